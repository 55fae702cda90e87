//! Proposals three times over: as the model has them, as the crate does, and as bytes by hand.

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use convivio::group::{LeaveScope, Proposal};
use convivio::identity::{
    Capabilities, IdentityKey, KeyPackage, KeyPackageSecrets, LeafBody, PackageOptions, Revocation, Source,
    UnverifiedKeyPackage, UnverifiedLeaf, sign_leaf,
};
use convivio::{InitKey, LeafHash, Signature, Timestamp, Validity};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::cbor::{FALSE, Item, TRUE, bytes, number, parse, text};
use super::rules::{Act, CAST, Rules, USERS};
use super::scene::Scene;
use super::town::NOW;
use super::{by_hand, cast};

#[derive(Arbitrary, Debug)]
pub enum Proposed {
    Policy(Rules),
    Info(u8),
    Leave(u8, bool, bool),
    Remove(u8),
    RemoveDevice(u8),
    Replace(u8, bool),
    Add(u8, u8),
    Role(u8, u8),
    RevokeUser(u8, u8),
    RevokeDevice(u8, u8, u8),
}

/// The place of a proposal among others (section 5.3).
pub type Place = (u8, Vec<u8>);

struct Made {
    place: Place,
    act: Act,
    proposal: Proposal,
    item: Item,
}

/// The proposals of one commit.
pub struct Proposing<'a> {
    scene: &'a Scene,
    made: Vec<Made>,
    packages: Vec<(KeyPackage, KeyPackageSecrets)>,
}

impl<'a> Proposing<'a> {
    pub fn new(scene: &'a Scene, _by: usize) -> Self {
        Self { scene, made: Vec::new(), packages: Vec::new() }
    }

    pub fn add(&mut self, proposed: &Proposed) {
        let device = |n: &u8| usize::from(*n) % CAST.len();
        let person = |n: &u8| usize::from(*n) % USERS.len();
        match proposed {
            Proposed::Policy(rules) => {
                let rules = rules.bounded();
                let policy = cast::policy(&rules);
                let item = vec![number(0_u8), parse(&policy.to_bytes()).unwrap()];
                self.push((0, Vec::new()), Act::Policy(rules), Proposal::Policy(policy), item);
            }
            Proposed::Info(info) => {
                let shown = parse(&cast::info(*info).to_bytes()).unwrap();
                let item = vec![number(1_u8), Item::Array(vec![shown, Item::Array(Vec::new())])];
                self.push((1, Vec::new()), Act::Info(*info), Proposal::Info(cast::info(*info).into()), item);
            }
            Proposed::Leave(who, user, genuine) => self.leave(device(who), *user, *genuine),
            Proposed::Remove(who) => {
                let (who, uri) = (person(who), cast::user(person(who)));
                let item = vec![number(3_u8), text(uri.as_str())];
                self.push((3, uri.as_str().into()), Act::Remove(who), Proposal::Remove(uri), item);
            }
            Proposed::RemoveDevice(who) => {
                let leaf = self.scene.leaf(device(who));
                let item = vec![number(4_u8), number(leaf.0)];
                let place = (4, leaf.0.to_be_bytes().to_vec());
                self.push(place, Act::RemoveDevice(device(who)), Proposal::RemoveDevice(leaf), item);
            }
            Proposed::Replace(who, genuine) => self.replace(device(who), *genuine),
            Proposed::Add(who, how) => self.add_device(device(who), how % 5),
            Proposed::Role(who, role) => {
                let (who, role, uri) = (person(who), role % 4, cast::user(person(who)));
                let item = vec![number(7_u8), text(uri.as_str()), number(role)];
                let place = (7, uri.as_str().into());
                self.push(place, Act::Role(who, role), Proposal::Role { user: uri, role: cast::role(role) }, item);
            }
            Proposed::RevokeUser(who, how) => self.revoke_user(device(who), how % 5),
            Proposed::RevokeDevice(who, serial, how) => self.revoke_device(device(who), u64::from(serial % 8), how % 4),
        }
    }

    fn push(&mut self, place: Place, act: Act, proposal: Proposal, item: Vec<Item>) {
        self.made.push(Made { place, act, proposal, item: Item::Array(item) });
    }

    fn leave(&mut self, device: usize, user: bool, genuine: bool) {
        let (leaf, scope) = (self.scene.leaf(device), if user { LeaveScope::User } else { LeaveScope::Device });
        let mut signature = [0; 64];
        if self.scene.model.devices.contains(&device) {
            let Proposal::Leave { signature: genuine, .. } = self.scene.group(device).sign_leave(scope) else {
                panic!("not a leave");
            };
            signature = *genuine.as_bytes();
        }
        signature[40] ^= u8::from(!genuine);
        let item = vec![number(2_u8), number(leaf.0), if user { TRUE } else { FALSE }, bytes(&signature)];
        let proposal = Proposal::Leave { leaf, scope, signature: Signature::from_bytes(signature) };
        self.push((2, leaf.0.to_be_bytes().to_vec()), Act::Leave { device, user, genuine }, proposal, item);
    }

    fn replace(&mut self, device: usize, genuine: bool) {
        let (package, secrets) = self.package(device, true);
        let fields = vec![
            bytes(self.scene.id.as_bytes()),
            bytes(cast::device_id(device).as_bytes()),
            bytes(package.id().as_bytes()),
        ];
        let mut consent = by_hand::sign(cast::device_key(device).expose_seed(), "sign rejoin", fields);
        consent[40] ^= u8::from(!genuine);
        let (leaf, with) = (self.scene.leaf(device), UnverifiedLeaf::try_from(package.leaf()).unwrap());
        let item = vec![number(5_u8), number(leaf.0), parse(&with.to_bytes()).unwrap(), bytes(&consent)];
        let proposal = Proposal::Replace { leaf, with, consent: Signature::from_bytes(consent) };
        self.packages.push((package, secrets));
        self.push((5, leaf.0.to_be_bytes().to_vec()), Act::Replace { device, genuine }, proposal, item);
    }

    /// By the user's app; or else by the other, with another signature, or of another time.
    fn revoke_user(&mut self, device: usize, how: u8) {
        let (user, identity) = (cast::user(CAST[device].user), cast::identity(device));
        let of = |app: usize, time| cast::apps()[app].key().revoke(&user, identity.identity_key(), time);
        let app = CAST[device].app;
        let mut item = parse(&of(app, NOW).unwrap().to_bytes()).unwrap();
        match how {
            2 => item.array_mut()[2] = spoilt(&item.array()[2]),
            3 => item = parse(&of(app, NOW.after(1)).unwrap().to_bytes()).unwrap(),
            4 => {
                let other = cast::apps()[1 - app].key().certificate().to_bytes();
                item.array_mut()[3] = parse(&other).unwrap();
            }
            _ => {}
        }
        self.revoke(item, Act::RevokeUser { device, genuine: how < 2 });
    }

    /// By the user's identity key; or else another's, or of another time.
    fn revoke_device(&mut self, device: usize, serial: u64, how: u8) {
        let time = if how == 3 { NOW.after(1) } else { NOW };
        let key = if how == 2 { 77 } else { CAST[device].identity };
        let key = IdentityKey::from_seed(&[key; 32]);
        let user = cast::user(CAST[device].user);
        let revocation = key.revoke_device(&user, cast::device_id(device), serial, time).unwrap();
        let act = Act::RevokeDevice { device, serial, genuine: how < 2 };
        self.revoke(parse(&revocation.to_bytes()).unwrap(), act);
    }

    fn revoke(&mut self, revocation: Item, act: Act) {
        let proposal = Proposal::Revoke(Revocation::from_bytes(&revocation.encode()).unwrap());
        let item = vec![number(8_u8), revocation];
        let hash = by_hand::hash("hash proposal", vec![Item::Array(item.clone())]);
        self.push((8, hash.to_vec()), act, proposal, item);
    }

    /// By a package that is sound, twice as often as one that is out of date or was changed after it was signed, or by a
    /// leaf that was made for a commit.
    fn add_device(&mut self, device: usize, how: u8) {
        let (package, secrets) = self.package(device, how != 2);
        let mut encoded = UnverifiedKeyPackage::try_from(&package).unwrap().leaf().to_bytes();
        let leaf = parse(&encoded).unwrap();
        if how == 4 {
            let source = Source::Commit {
                group: self.scene.id,
                leaf: self.scene.leaf(device),
                parent: [0; 32],
                proposals: [0; 32],
            };
            let body = LeafBody {
                signature_key: package.leaf().signature_key().clone(),
                seal_key: package.leaf().seal_key().clone(),
                capabilities: Capabilities::default(),
                validity: package.leaf().validity(),
                source,
            };
            let leaf = sign_leaf(&cast::identity(device), &cast::device_key(device), body).unwrap();
            encoded = leaf.encoded().to_vec();
        }
        if how == 3 {
            let mut leaf = leaf;
            let mut signature = leaf.array()[1].content();
            signature[40] ^= 1;
            leaf.array_mut()[1] = bytes(&signature);
            encoded = leaf.encode();
        }
        let leaf = UnverifiedLeaf::from_bytes(&encoded).unwrap();
        let item = vec![number(6_u8), parse(&encoded).unwrap()];
        self.packages.push((package, secrets));
        let place = (6, leaf.hash().as_bytes().to_vec());
        self.push(place, Act::Add { device, sound: how < 2 }, Proposal::Add(leaf), item);
    }

    fn package(&self, device: usize, in_time: bool) -> (KeyPackage, KeyPackageSecrets) {
        let mut validity = Validity { not_before: NOW, not_after: NOW.after(2 * 24 * 60 * 60) };
        if !in_time {
            validity = Validity { not_before: Timestamp(NOW.0 - 500), not_after: Timestamp(NOW.0 - 1) };
        }
        let options = PackageOptions { capabilities: Capabilities::default(), validity, last_resort: false };
        let dice = &mut StdRng::seed_from_u64(1_000 + self.packages.len() as u64);
        KeyPackage::create(&cast::identity(device), &cast::device_key(device), options, dice).unwrap()
    }

    /// In the order that a commit must have.
    pub fn in_order(&self) -> Vec<(Place, Act)> {
        let mut acts: Vec<_> = self.made.iter().map(|made| (made.place.clone(), made.act.clone())).collect();
        acts.sort_by(|a, b| a.0.cmp(&b.0));
        acts
    }

    pub fn items_in_order(&self) -> Vec<Item> {
        let mut items: Vec<_> = self.made.iter().map(|made| (&made.place, &made.item)).collect();
        items.sort_by_key(|(place, _)| *place);
        items.into_iter().map(|(_, item)| item.clone()).collect()
    }

    pub fn proposals(&self) -> Vec<Proposal> {
        self.made.iter().map(|made| made.proposal.clone()).collect()
    }

    pub fn packages(&self) -> &[(KeyPackage, KeyPackageSecrets)] {
        &self.packages
    }

    pub fn init_keys(&self) -> BTreeMap<LeafHash, InitKey> {
        self.packages.iter().map(|(package, _)| (package.id(), package.init_key().clone())).collect()
    }
}

/// A signature with one bit changed.
fn spoilt(signature: &Item) -> Item {
    let mut signature = signature.content();
    signature[40] ^= 1;
    bytes(&signature)
}
