//! The new device's side.

use core::fmt;

use rand::CryptoRng;

use super::offer::DeviceOffer;
use crate::client::DeviceKeys;
use crate::crypto::kem::SealSecret;
use crate::crypto::sign::{Signer, SigningKey, VerifyKey};
use crate::envelope::{EnvelopeFor, Opener, open_from, recipient_id};
use crate::error::{Error, Result};
use crate::identity::{DeviceIdentity, IdentityKey, TrustedApps};
use crate::ids::{DeviceId, Timestamp};
use crate::limits;
use crate::secret::Secret;

/// A device that waits to be made one of its user's. It lives in memory only: if the app restarts before
/// [`finish`](Self::finish), begin again and show a new code. Nothing is lost then but a serial; a certificate for keys
/// that nobody has any more is worth nothing.
pub struct NewDevice {
    device: DeviceId,
    key: Key,
    pairing: SealSecret,
    secret: Secret<32>,
}

enum Key {
    /// To be kept in the client's store.
    Here(SigningKey),
    /// Kept elsewhere.
    Elsewhere(Box<dyn Signer>),
}

impl NewDevice {
    /// Draws a device id, a device key that the client's store will keep, and what the answer is sealed under.
    #[must_use]
    pub fn begin(rng: &mut dyn CryptoRng) -> Self {
        let key = Key::Here(SigningKey::generate(rng));
        Self::with_key(key, rng)
    }

    /// The same with a device key that is kept elsewhere, in an OS key store or a secure enclave.
    #[must_use]
    pub fn begin_external(signer: Box<dyn Signer>, rng: &mut dyn CryptoRng) -> Self {
        Self::with_key(Key::Elsewhere(signer), rng)
    }

    fn with_key(key: Key, rng: &mut dyn CryptoRng) -> Self {
        let device = DeviceId::generate(rng);
        Self { device, key, pairing: SealSecret::generate(rng), secret: Secret::generate(rng) }
    }

    /// What to show to the device that holds the user's identity key, and to nobody else.
    #[must_use]
    pub fn offer(&self) -> DeviceOffer {
        let (key, pairing) = (self.key.public().clone(), self.pairing.public().clone());
        DeviceOffer::new(self.device, key, pairing, Secret::copy_from(self.secret.expose()))
    }

    /// Opens and checks an answer, from whoever brought it. `trust` holds the roots of the app that this device is for.
    ///
    /// Nothing is decided yet: show [whose device](Link::identity) this becomes, and [finish](Self::finish) if the user
    /// says so. Fails with `Limit`, `Malformed` or `Unsupported` if it is no answer, with `Unauthentic` if it is not one to
    /// this offer by the identity key that it names, and as
    /// [`UnverifiedDeviceIdentity::verify`](crate::identity::UnverifiedDeviceIdentity::verify) does. After an error another
    /// answer can be tried: a relay that spoils one has only spoilt that one.
    pub fn open(&self, answer: &[u8], trust: &TrustedApps, now: Timestamp) -> Result<Link> {
        if answer.len() > limits::DEVICE_ANSWER {
            return Err(Error::limit("an answer to a device offer is not that long"));
        }
        let id = recipient_id(self.pairing.public().as_bytes());
        let (opened, sender) = open_from(&EnvelopeFor::from_bytes(answer)?, Opener::X25519(&self.pairing), &id)?;
        let answer = self.offer().read(opened.payload())?;
        let identity = answer.identity.verify(trust, now)?;
        let ours = identity.device() == self.device && identity.device_key() == self.key.public();
        if !ours || sender.key != *identity.identity_key() || !sender.info.is_empty() {
            return Err(Error::unauthentic());
        }
        let identity_key = answer.seed.map(|seed| IdentityKey::from_seed(seed.expose()));
        if identity_key.as_ref().is_some_and(|key| key.public() != identity.identity_key()) {
            return Err(Error::unauthentic());
        }
        Ok(Link { identity, identity_key })
    }

    /// Becomes the device that `link` says: its keys, for [`Client::create`](crate::Client::create), and the user's identity
    /// key if it came along, which the app is to keep apart from them. `Misuse` if `link` is of another new device.
    pub fn finish(self, link: Link) -> Result<(DeviceKeys, Option<IdentityKey>)> {
        let Link { identity, identity_key } = link;
        let keys = match self.key {
            Key::Here(key) => DeviceKeys::new(identity, key)?,
            Key::Elsewhere(signer) => DeviceKeys::external(identity, signer)?,
        };
        Ok((keys, identity_key))
    }
}

impl Key {
    fn public(&self) -> &VerifyKey {
        match self {
            Self::Here(key) => key.verify_key(),
            Self::Elsewhere(signer) => signer.verify_key(),
        }
    }
}

impl fmt::Debug for NewDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, key: _, pairing: _, secret: _ } = self;
        f.debug_struct("NewDevice").field("device", device).finish_non_exhaustive()
    }
}

/// An answer that was checked, before the user has agreed.
pub struct Link {
    identity: DeviceIdentity,
    identity_key: Option<IdentityKey>,
}

impl Link {
    /// Whose device this becomes: show the user's name before going on. Someone who saw the code, too, may have been the
    /// first to answer it.
    #[must_use]
    pub const fn identity(&self) -> &DeviceIdentity {
        &self.identity
    }

    /// Whether the user's identity key came along.
    #[must_use]
    pub const fn brings_identity_key(&self) -> bool {
        self.identity_key.is_some()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { identity, identity_key } = self;
        f.debug_struct("Link")
            .field("identity", identity)
            .field("brings_identity_key", &identity_key.is_some())
            .finish_non_exhaustive()
    }
}
