//! A member with all that a member holds, who follows no rule: it forges whatever the epoch's secrets allow.

use std::collections::BTreeMap;

use convivio::group::{Actor, Group};
use convivio::identity::{Capabilities, DeviceIdentity, UnverifiedKeyPackage};
use convivio::{GroupId, SigningKey};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::Value;
use super::cbor::{array, public};
use super::commit::Plan;
use super::leaf::{LeafPlan, commit_source, refreshed};
use super::ratchet::{Epoch, Place, app_message, message_key};
use super::state::State;
use super::thief::{GroupKeys, Thief};
use crate::support::{Device, START, World};

/// One member's secrets in one epoch. Nothing here is more than the member's own store holds.
pub struct Insider {
    pub keys: GroupKeys,
    pub state: State,
    /// For every sender the next generation and its chain key.
    pub chains: BTreeMap<u32, (u32, [u8; 32])>,
    /// The encoded device identity, and the seed of the device key if that was in the store.
    pub identity: Vec<u8>,
    pub device: Option<[u8; 32]>,
    /// Hash of the last commit entry processed.
    pub seen: [u8; 32],
    pub dice: StdRng,
}

impl Insider {
    /// What this member holds now.
    pub fn of(device: &Device, group: &GroupId) -> Self {
        Self::from_loot(&Thief::of(device), group)
    }

    /// What a thief can do with a stolen store.
    pub fn from_loot(thief: &Thief, group: &GroupId) -> Self {
        let (identity, device) = thief.device();
        Self {
            keys: thief.group_keys(group),
            state: thief.state(group),
            chains: thief.chains(group),
            identity,
            device,
            seen: thief.seen(group).0,
            dice: StdRng::seed_from_u64(7),
        }
    }

    pub fn own(&self) -> u32 {
        self.keys.own
    }

    pub fn epoch(&self) -> Epoch {
        let (group, epoch, header_key) = (self.state.group, self.state.epoch, self.keys.header_key);
        Epoch { group, epoch, context_hash: self.state.context_hash(), header_key }
    }

    /// The same as the group pillar has it, through its public door.
    pub fn group(&self) -> Group {
        let GroupKeys { own, signing, seal, header_key, exporter, authenticator, request, init } = self.keys;
        let state = self.state.to_value();
        let own = u64::from(own);
        let saved = array![own, signing, seal, header_key, exporter, authenticator, request, init, state];
        Group::from_secret_bytes(&saved.encode()).unwrap()
    }

    /// A device's identity and key, to act with through the pillars: [`Actor`].
    pub fn actor<T>(&self, act: impl FnOnce(Actor<'_>) -> T) -> T {
        let key = SigningKey::from_seed(&self.device.expect("the device key is elsewhere"));
        act(Actor { identity: &self.device_identity(), signer: &key, capabilities: &Capabilities::default() })
    }

    /// The member's own identity, verified under its own root.
    pub fn device_identity(&self) -> DeviceIdentity {
        let identity = convivio::identity::UnverifiedDeviceIdentity::from_bytes(&self.identity).unwrap();
        let mut trust = convivio::identity::TrustedApps::new();
        let credential = identity.credential();
        trust.insert(credential.user().domain().clone(), credential.root().clone()).unwrap();
        let created = identity.certificate().created();
        identity.verify(&trust, created).unwrap()
    }

    pub fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.dice.fill_bytes(&mut bytes);
        bytes
    }

    /// The message key of any sender's place, as far as the chains still lead there.
    pub fn message_key(&self, at: Place) -> Option<[u8; 32]> {
        let (next, key) = self.chains.get(&at.leaf)?;
        Some(message_key(key, at.generation.checked_sub(*next)?))
    }

    /// The next unused place of any sender.
    pub fn next_place(&self, leaf: u32) -> Place {
        Place { leaf, generation: self.chains[&leaf].0 }
    }

    /// A frame in anyone's place, encrypted as that member would, signed by this key.
    pub fn frame(&mut self, at: Place, signing: &[u8; 32], text: &[u8]) -> Vec<u8> {
        let (nonce, random) = (self.random(), self.random());
        let (carried, key) = (app_message(&self.seen, nonce, text), self.message_key(at).unwrap());
        self.epoch().frame(at, &key, (signing, &carried), random)
    }

    /// An honest message of our own.
    pub fn say(&mut self, text: &[u8]) -> Vec<u8> {
        let (own, signing) = (self.next_place(self.own()), self.keys.signing);
        let frame = self.frame(own, &signing, text);
        let (generation, key) = self.chains[&own.leaf];
        self.chains.insert(own.leaf, (generation + 1, super::ratchet::step(&key).1));
        frame
    }

    /// What the holder of these chains reads in a frame of this epoch, whoever signed it.
    pub fn reads(&self, frame: &[u8]) -> Option<Vec<u8>> {
        let epoch = self.epoch();
        Some(epoch.open(frame, &self.message_key(epoch.unmask(frame))?)?.carried)
    }

    /// A commit of these proposals in our own name, to be changed at will before it is sealed. The state it leads to is
    /// so far that of a heal: whoever proposes more changes `next` as well.
    pub fn plan(&mut self, proposals: Vec<Value>) -> Plan {
        let (signing, seal) = (self.random(), self.random());
        let (own, parent, time) = (self.own(), self.state.transcript, self.state.time);
        let old = LeafPlan::like(self.state.leaf(own).unwrap());
        let leaf = LeafPlan {
            signature_key: public(&signing).to_vec(),
            seal_key: public_seal(&seal).to_vec(),
            validity: (time, old.validity.1),
            source: commit_source(self.state.group, own, parent, &proposals),
            ..old
        };
        let leaf = leaf.sign(&self.device.unwrap_or([0; 32]));
        let mut next = self.state.clone();
        next.epoch = next.epoch.saturating_add(1);
        next.set_leaf(own, leaf.clone());
        Plan {
            group: self.state.group,
            epoch: self.state.epoch,
            time,
            seen: self.seen,
            opened: Vec::new(),
            dropped: Vec::new(),
            sender: own,
            signing: self.keys.signing,
            parent,
            proposals,
            leaf: refreshed(&leaf),
            seed: self.random(),
            init: self.keys.init,
            old_next_leaf: self.state.next_leaf,
            next,
            fresh: (signing, seal),
        }
    }

    /// Goes on in the epoch that a forged commit of our own leads to.
    pub fn enter(&mut self, commit: &super::commit::Forged) {
        let keys = &commit.keys;
        self.state = commit.state.clone();
        self.chains = self.state.leaves.iter().map(|(leaf, _)| (*leaf, (0, keys.chain(*leaf)))).collect();
        self.seen = commit.entry_hash();
        self.keys = GroupKeys {
            own: self.keys.own,
            signing: commit.fresh.0,
            seal: commit.fresh.1,
            header_key: keys.epoch.header_key,
            exporter: keys.exporter,
            authenticator: keys.authenticator,
            request: keys.request,
            init: keys.init,
        };
    }
}

/// The X25519 key of a private key.
pub fn public_seal(secret: &[u8; 32]) -> [u8; 32] {
    curve25519_dalek::montgomery::MontgomeryPoint::mul_base_clamped(*secret).to_bytes()
}

#[test]
fn an_insider_has_what_its_store_has_and_makes_what_others_accept() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let id = world.group(&mut maria, &mut [&mut bob]);
    let mut insider = Insider::of(&bob, &id);
    let view = maria.client.group(&id).unwrap();
    assert_eq!(insider.state.context_hash(), view.state().context_hash());
    assert_eq!(insider.keys.authenticator, *view.authenticator());
    assert_eq!(insider.group().state().context_hash(), view.state().context_hash());
    // A message and a commit, made by hand, are taken for honest ones.
    let mut hub = super::Hub::of(id);
    let frame = insider.say(b"by hand");
    hub.show(&mut maria, convivio::log::EntryBody::Message(frame));
    assert_eq!(maria.heard(), [("bob".to_owned(), "by hand".to_owned())]);
    let forged = insider.plan(Vec::new()).seal();
    hub.show(&mut maria, forged.entry(0));
    assert_eq!(maria.epoch(&id), 2);
    assert_eq!(*maria.client.group(&id).unwrap().authenticator(), forged.keys.authenticator);
    insider.enter(&forged);
    let frame = insider.say(b"and again");
    hub.show(&mut maria, convivio::log::EntryBody::Message(frame));
    assert_eq!(maria.heard().len(), 2);
    // What Maria writes, the insider reads.
    maria.say(&id, "clear as day");
    let posts = hub.collect(&mut maria);
    let convivio::log::PostBody::Message(frame) = &posts[0].body else { panic!("not a message") };
    assert!(insider.reads(frame).unwrap().ends_with(b"clear as day"));
    // A welcome, too.
    let mut carol = world.device("carol");
    let package = carol.package();
    let forged = insider.adding(&package).seal();
    let welcome = forged.welcome().seal(&package);
    assert_eq!(insider.state.time, START.0);
    hub.show_welcome(&mut carol, &forged.envelope(), &welcome);
    assert_eq!(carol.client.groups().unwrap(), [id], "{:?}", carol.news());
}

impl Insider {
    /// A commit that adds a new user by this package: valid if our role allows it.
    pub fn adding(&mut self, package: &UnverifiedKeyPackage) -> Plan {
        let leaf = package.leaf().to_bytes();
        let mut plan = self.plan(vec![array![6, Value::decode(&leaf)]]);
        let claims = package.leaf().claims();
        let index = plan.next.next_leaf;
        plan.opened = vec![(index, claims.domain().as_str().to_owned())];
        plan.next.next_leaf += 1;
        plan.next.set_leaf(index, leaf);
        plan.next.users.push(array![claims.user().as_str(), claims.identity_key().as_bytes(), 1, 0]);
        plan.next.users.sort_by(|a, b| a.items()[0].text().cmp(b.items()[0].text()));
        plan
    }
}
