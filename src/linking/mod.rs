//! Making a new device one's own: what it shows, what it is answered (`docs/protocol.md`, section 3.8).
//!
//! The new device [draws its keys](NewDevice::begin) and shows an [offer](DeviceOffer), as a QR code. The device that holds
//! the user's identity key scans it and [answers](DeviceOffer::answer) with the credential, a certificate for the new
//! device and, only if asked to, the identity key. The answer may travel by any channel: it is sealed to a key that only
//! the new device has, and under it to the secret in the QR code. Whoever relays the answer learns nothing and changes
//! nothing, and neither a photograph of the code alone nor a quantum computer alone opens it later.
//!
//! ```
//! use convivio::identity::IdentityKey;
//! use convivio::linking::{Answering, DeviceOffer, NewDevice, Transfer};
//! use convivio::testing::App;
//! use convivio::{Client, Timestamp};
//!
//! # let mut rng = rand::rng();
//! # let (app, identity) = (App::new("photos.example")?, IdentityKey::generate(&mut rng));
//! # let keys = app.enrol_device("maria", &identity, 0, &mut rng)?;
//! # let mut phone = Client::create(convivio::store::MemoryStore::new(), keys)?;
//! // The laptop shows this text as a QR code; it is for the eyes of the user's other device alone.
//! let laptop = NewDevice::begin(&mut rng);
//! let code = laptop.offer().to_secret_text();
//!
//! // The phone scans it and asks its user, then certifies the laptop. The identity key stays where it is.
//! let answering = Answering { serial: phone.next_serial()?, now: Timestamp::now(), transfer: Transfer::Stay };
//! let answer = DeviceOffer::from_secret_text(&code)?.answer(phone.identity()?, &identity, answering, &mut rng)?;
//!
//! // The laptop shows whose device it is about to become.
//! let link = laptop.open(&answer, &App::trust(&[&app])?, Timestamp::now())?;
//! assert_eq!(link.identity().user().as_str(), "mimi://photos.example/u/maria");
//! let (keys, identity_key) = laptop.finish(link)?;
//! assert!(identity_key.is_none());
//! let laptop = Client::create(convivio::store::MemoryStore::new(), keys)?;
//! # drop(laptop);
//! # Ok::<(), convivio::Error>(())
//! ```

mod answer;
mod new_device;
mod offer;

pub use answer::{Answering, Transfer};
pub use new_device::{Link, NewDevice};
pub use offer::DeviceOffer;
