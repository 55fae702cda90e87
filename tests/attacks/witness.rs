//! What several of the rows 19 to 34 look with: a device's lasting records, members of a group without a hub, signatures
//! that only their maker can make.

use std::collections::BTreeMap;

use convivio::client::EventKind;
use convivio::group::{Group, Rejected};
use convivio::log::{EntryBody, Post, PostBody, PostReply};
use convivio::{ErrorKind, GroupId, Signature, SignatureInput, Signer, SigningKey, VerifyKey};
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use sha2::{Digest as _, Sha512};

use crate::kit::cbor::{sha256, signature_input};
use crate::kit::{Insider, Value};
use crate::support::*;

/// Records whose change says nothing but that an entry was counted: the store's version, the inbox's counters and
/// events, the cursor.
const COUNTED: [u8; 4] = [0, 2, 6, 19];

/// The records of a device without those: their names, and a hash of what they hold.
pub fn lasting(device: &Device) -> BTreeMap<String, [u8; 32]> {
    let records = device.disk.records().into_iter().filter(|(name, _)| !COUNTED.contains(&name[0]));
    let hex = |name: Vec<u8>| name.iter().map(|byte| format!("{byte:02x}")).collect();
    let records: BTreeMap<_, _> = records.map(|(name, value)| (hex(name), sha256(&value))).collect();
    assert!(records.len() > 3);
    records
}

/// Whether these events say no more than that an entry counts for nothing.
pub fn void_only(news: &[EventKind]) -> bool {
    matches!(news, [EventKind::Void { entries: 1 }])
}

/// Passes over what these devices were told so far.
pub fn unheard(devices: &mut [&mut Device]) {
    devices.iter_mut().for_each(|device| _ = device.news());
}

/// Two members of a group, all that they hold, and a third who may join.
pub struct Pair {
    pub world: World,
    pub maria: Device,
    pub bob: Device,
    pub group: GroupId,
}

impl Pair {
    pub fn new() -> Self {
        let mut world = World::new();
        let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
        let group = world.group(&mut maria, &mut [&mut bob]);
        world.quiet(&mut [&mut maria, &mut bob]);
        maria.news();
        bob.news();
        Self { world, maria, bob, group }
    }

    pub fn insider_maria(&self) -> Insider {
        Insider::of(&self.maria, &self.group)
    }

    pub fn insider_bob(&self) -> Insider {
        Insider::of(&self.bob, &self.group)
    }
}

/// Appends whatever the adversary likes to a group's log.
pub fn append(world: &mut World, group: GroupId, body: PostBody) {
    let domain = world.photos.domain().clone();
    let taken = (0..2_000)
        .any(|after| world.hub.post(&domain, &Post { group, after, body: body.clone() }) == PostReply::Accepted);
    assert!(taken, "the hub does not take this");
}

/// How a member judges a commit that a hub shows; nothing of the group changes by that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Valid,
    /// For everyone.
    Void(ErrorKind),
    Unopened(ErrorKind),
    OtherHistory,
    Removed,
}

pub fn judge(group: &Group, entry: &EntryBody) -> Verdict {
    let EntryBody::Commit { header, stanza: Some(stanza), body } = entry else { panic!("no commit with a stanza") };
    let header = convivio::envelope::Header::decode(header).unwrap();
    let part = convivio::envelope::EnvelopeFor::new(header, stanza.clone(), body.clone()).unwrap();
    let before = group.to_secret_bytes();
    let verdict = match group.process(&part, None) {
        Ok(_) => Verdict::Valid,
        Err(Rejected::Invalid(error)) => Verdict::Void(error.kind()),
        Err(Rejected::Unopened(error)) => Verdict::Unopened(error.kind()),
        Err(Rejected::OtherHistory) => Verdict::OtherHistory,
        Err(Rejected::Removed) => Verdict::Removed,
    };
    assert_eq!(*before, *group.to_secret_bytes());
    verdict
}

/// Gives one signature, whatever it is asked to sign.
pub struct Says(pub VerifyKey, pub Signature);

impl Signer for Says {
    fn verify_key(&self) -> &VerifyKey {
        &self.0
    }

    fn sign(&self, _: &SignatureInput) -> convivio::Result<Signature> {
        Ok(self.1)
    }
}

/// A signature by the key's holder whose R is moved by a point of small order: equation 4 of section 2.1 holds, the
/// one without the cofactor does not.
pub fn with_torsion(seed: &[u8; 32], label: &str, fields: &Value, torsion: EdwardsPoint) -> [u8; 64] {
    let key = SigningKey::from_seed(seed);
    under_key((seed, key.verify_key().as_bytes()), &signature_input(label, fields), torsion)
}

/// The same under a public key that may itself be moved by a point of small order.
pub fn under_key((seed, key): (&[u8; 32], &[u8; 32]), message: &[u8], torsion: EdwardsPoint) -> [u8; 64] {
    let expanded: [u8; 64] = Sha512::digest(seed).into();
    let scalar = Scalar::from_bytes_mod_order(clamp_integer(expanded[..32].try_into().unwrap()));
    let wide = |parts: [&[u8]; 3]| {
        let hash: [u8; 64] = Sha512::digest(parts.concat()).into();
        Scalar::from_bytes_mod_order_wide(&hash)
    };
    let nonce = wide([&expanded[32..], message, &[]]);
    let r = (EdwardsPoint::mul_base(&nonce) + torsion).compress();
    let s = nonce + wide([r.as_bytes(), key, message]) * scalar;
    [*r.as_bytes(), *s.as_bytes()].concat().try_into().unwrap()
}

/// A valid signature, moved by a stranger, who does not know the key: refused under either equation.
pub fn moved(mut signature: [u8; 64], torsion: EdwardsPoint) -> [u8; 64] {
    let r = CompressedEdwardsY(signature[..32].try_into().unwrap()).decompress().unwrap();
    signature[..32].copy_from_slice((r + torsion).compress().as_bytes());
    signature
}
