//! A group's secrets: restored, committed from, carried into the next epoch, exported (`docs/protocol.md`, section 5).

use std::collections::BTreeMap;
use std::hint::black_box;

use convivio::envelope::EnvelopeFor;
use convivio::group::{Actor, Group, GroupInfo, NewCommit, Occasion};
use convivio::identity::{Capabilities, DeviceIdentity, IdentityKey};
use convivio::testing::App;
use convivio::{DeviceId, SigningKey, Suite, Timestamp, Validity};
use rand::rngs::StdRng;
use rand::{CryptoRng, SeedableRng};

use crate::poison::{HiddenRng, hidden, hide, publish};

const NOW: Timestamp = Timestamp(1_800_000_000);
const DEVICE: [u8; 32] = *b"the seed of the device's own key";

/// A founder alone in a group, as its own storage has it, and who the device is.
struct Founder {
    saved: Vec<u8>,
    identity: DeviceIdentity,
}

fn founder() -> Founder {
    let mut rng = StdRng::seed_from_u64(5);
    let validity = Validity::starting(Timestamp(NOW.0 - 1), 1_000_000);
    let app = App::new_in("photos.example", validity, &mut rng).unwrap();
    let (identity, key) = (IdentityKey::generate(&mut rng), SigningKey::from_seed(&DEVICE));
    let identity = app.certify("maria", &identity, (DeviceId::generate(&mut rng), 0), &key).unwrap();
    let (policy, info) = (App::policy(&[&app]).unwrap(), GroupInfo::default());
    let group = Group::create(actor(&identity, &key, &capabilities()), policy, info, NOW, &mut rng).unwrap().group;
    Founder { saved: group.to_secret_bytes().to_vec(), identity }
}

fn capabilities() -> Capabilities {
    Capabilities::new(&[Suite::One], &[]).unwrap()
}

fn actor<'a>(identity: &'a DeviceIdentity, signer: &'a SigningKey, capabilities: &'a Capabilities) -> Actor<'a> {
    Actor { identity, signer, capabilities }
}

/// The group read back with its private keys, header key, exporter, request key and init secret hidden: the byte
/// strings of 32 after the leaf index, but for the authenticator, the fifth.
fn restored(founder: &Founder) -> Group {
    for n in [0, 1, 2, 3, 5, 6] {
        let at = 2 + n * 34;
        assert_eq!(founder.saved[at..at + 2], [0x58, 32]);
        hide(&founder.saved[at + 2..at + 34]);
    }
    Group::from_secret_bytes(&founder.saved).unwrap()
}

fn heal(group: &Group, identity: &DeviceIdentity, key: &SigningKey, rng: &mut dyn CryptoRng) -> NewCommit {
    let occasion = Occasion { time: NOW, seen: [0; 32] };
    group.commit(Vec::new(), &BTreeMap::new(), occasion, actor(identity, key, &capabilities()), rng).unwrap()
}

pub fn restore() {
    black_box(restored(&founder()));
}

/// Fresh keys, envelope seed and device key are hidden, and the secrets of the epoch.
pub fn commit() {
    let founder = founder();
    let seed = hidden(DEVICE);
    let key = SigningKey::from_seed(seed.expose());
    publish(key.verify_key().as_bytes());
    black_box(heal(&restored(&founder), &founder.identity, &key, &mut HiddenRng::new(6)));
}

/// The next epoch, from a commit made where nothing was hidden. The key that opens the commit is not hidden either, or all
/// that is in it would count as secret: `open-x25519` watches over that.
pub fn process() {
    let founder = founder();
    let group = Group::from_secret_bytes(&founder.saved).unwrap();
    let made = heal(&group, &founder.identity, &SigningKey::from_seed(&DEVICE), &mut StdRng::seed_from_u64(7));
    let [stanza] = made.envelope.stanzas() else { panic!("one member, one stanza") };
    let (header, body) = (made.envelope.header().clone(), made.envelope.body().to_vec());
    let part = EnvelopeFor::new(header, stanza.bytes().to_vec(), body).unwrap();
    black_box(restored(&founder).process(&part, Some(&made.fresh)).unwrap());
}

pub fn export() {
    black_box(restored(&founder()).export("call", b"tomorrow"));
}
