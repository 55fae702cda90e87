//! Whoever copied a device's store: reads its records (`docs/protocol.md`, section 7.2) and tries everything it finds.

use std::collections::BTreeMap;

use convivio::GroupId;

use super::Value;
use super::cbor::array;
use super::envelope::{open_init_stanza, open_stanza};
use super::ratchet::{Epoch, message_key};
use super::state::{State, small};
use crate::support::{Device, Disk, Records};

/// A copy of a store, and what can be read from it.
#[derive(Clone)]
pub struct Thief {
    records: Records,
    disk: Disk,
}

/// The keys of a group's record: one member's secrets in one epoch.
#[derive(Clone, Debug)]
pub struct GroupKeys {
    pub own: u32,
    pub signing: [u8; 32],
    pub seal: [u8; 32],
    pub header_key: [u8; 32],
    pub exporter: [u8; 32],
    pub authenticator: [u8; 32],
    pub request: [u8; 32],
    pub init: [u8; 32],
}

/// The private halves of a key package, and the package.
#[derive(Clone, Debug)]
pub struct PackageKeys {
    pub id: [u8; 32],
    pub package: Vec<u8>,
    pub signing: [u8; 32],
    pub seal: [u8; 32],
    pub init: [u8; 32],
}

impl Thief {
    pub fn of(device: &Device) -> Self {
        let disk = device.disk.copy();
        Self { records: disk.records(), disk }
    }

    /// The same loot from a device whose own key was elsewhere.
    pub fn without_device_key(mut self) -> Self {
        let mut device = self.record(1, None, &[]).unwrap();
        *device.item(2) = Value::Null;
        let device = device.encode();
        self.disk.overwrite(&[1], device.clone());
        self.records.insert(vec![1], device);
        self
    }

    /// A store of its own, to open as the victim's.
    pub fn disk(&self) -> Disk {
        self.disk.copy()
    }

    /// Whether these bytes are anywhere in the loot.
    pub fn has(&self, wanted: &[u8]) -> bool {
        self.records.values().any(|value| value.windows(wanted.len()).any(|window| window == wanted))
    }

    /// Everything that may be a key: each byte string of 32 bytes, at whatever depth, and each record of 32 bytes.
    pub fn candidates(&self) -> Vec<[u8; 32]> {
        let mut found = Vec::new();
        for value in self.records.values() {
            found.extend(<[u8; 32]>::try_from(value.as_slice()).ok());
            found.extend(value.windows(34).filter(|window| window[..2] == [0x58, 0x20]).map(|window| {
                let key: [u8; 32] = window[2..].try_into().unwrap();
                key
            }));
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// What a frame says, if anything in the loot opens it: as its message key, or as a chain key at or before its
    /// generation. The thief is given what the epoch's members share, except the chains.
    pub fn reads(&self, epoch: &Epoch, frame: &[u8]) -> Option<Vec<u8>> {
        let generation = epoch.unmask(frame).generation.min(64);
        let opens = |key: &[u8; 32]| epoch.open(frame, key).map(|opened| opened.carried);
        let tries = |key: &[u8; 32]| opens(key).or_else(|| (0..=generation).find_map(|n| opens(&message_key(key, n))));
        self.candidates().iter().find_map(tries)
    }

    /// The seed of an envelope, if anything in the loot opens this stanza, as an X25519 or an X-Wing key.
    pub fn opens(&self, place: (&[u8], &[u8]), stanza: &[u8]) -> Option<[u8; 32]> {
        let open = if stanza.len() == 48 { open_stanza } else { open_init_stanza };
        self.candidates().iter().find_map(|key| open(key, place, stanza))
    }

    pub fn group_keys(&self, group: &GroupId) -> GroupKeys {
        let record = self.record(16, Some(group), &[]).unwrap();
        let key = |at: usize| record.items()[at].fixed();
        GroupKeys {
            own: small(&record.items()[2]),
            signing: key(3),
            seal: key(4),
            header_key: key(5),
            exporter: key(6),
            authenticator: key(7),
            request: key(8),
            init: key(9),
        }
    }

    pub fn state(&self, group: &GroupId) -> State {
        let record = self.record(17, Some(group), &[]).unwrap();
        let mut parts = Value::decode(record.items()[1].bytes());
        let with_leaf = |index: &Value| {
            let record = self.record(18, Some(group), &small(index).to_be_bytes()).unwrap();
            array![index.clone(), record.items()[1].clone()]
        };
        *parts.item(5) = Value::List(parts.items()[5].items().iter().map(with_leaf).collect());
        *parts.item(3) = Value::List(users(parts.items()[5].items(), parts.items()[3].items()));
        State::from_value(&Value::List([&[Value::Int(1)], parts.items()].concat()))
    }

    /// For every sender, ourselves included: the next generation and its chain key.
    pub fn chains(&self, group: &GroupId) -> BTreeMap<u32, (u32, [u8; 32])> {
        let mut chains = BTreeMap::new();
        for (index, _) in self.state(group).leaves {
            if let Some(record) = self.record(22, Some(group), &index.to_be_bytes()) {
                chains.insert(index, (small(&record.items()[2]), record.items()[1].fixed()));
            } else if let Some(page) = self.record(21, Some(group), &(index / 32).to_be_bytes()) {
                let untouched = page.items()[1].items().iter().find(|pair| small(&pair.items()[0]) == index);
                chains.extend(untouched.map(|pair| (index, (0, pair.items()[1].fixed()))));
            }
        }
        if let Some(own) = self.record(20, Some(group), &[]) {
            chains.insert(self.group_keys(group).own, (small(&own.items()[1]), own.items()[2].fixed()));
        }
        chains
    }

    /// The hash of the last commit entry that the device had processed, and its number.
    pub fn seen(&self, group: &GroupId) -> ([u8; 32], u64) {
        let record = self.record(19, Some(group), &[]).unwrap();
        (record.items()[5].fixed(), record.items()[2].int())
    }

    /// The encoded device identity, and the seed of the device key if it is kept in the store.
    pub fn device(&self) -> (Vec<u8>, Option<[u8; 32]>) {
        let record = self.record(1, None, &[]).unwrap();
        let seed = if record.items()[2] == Value::Null { None } else { Some(record.items()[2].fixed()) };
        (record.items()[1].bytes().to_vec(), seed)
    }

    /// Every key package whose private halves are held.
    pub fn packages(&self) -> Vec<PackageKeys> {
        let of = |(name, record): (&Vec<u8>, &Vec<u8>)| {
            let record = Value::decode(record);
            let [_, package, signing, seal, init, _] = record.items() else { panic!("not a package") };
            PackageKeys {
                id: name[1..].try_into().unwrap(),
                package: package.bytes().to_vec(),
                signing: signing.fixed(),
                seal: seal.fixed(),
                init: init.fixed(),
            }
        };
        self.records.iter().filter(|(name, _)| name[0] == 5).map(of).collect()
    }

    /// A record by its tag and name, decoded.
    pub fn record(&self, tag: u8, group: Option<&GroupId>, rest: &[u8]) -> Option<Value> {
        let group = group.map_or(&[][..], |group| group.as_bytes().as_slice());
        self.records.get(&[&[tag], group, rest].concat()).map(|record| Value::decode(record))
    }
}

/// The users of these leaves, plain members but for those with a role or a least serial of their own.
fn users(leaves: &[Value], ranked: &[Value]) -> Vec<Value> {
    let mut users = BTreeMap::new();
    for leaf in leaves {
        let identity = Value::decode(Value::decode(leaf.items()[1].bytes()).items()[2].bytes());
        let credential = Value::decode(identity.items()[0].items()[0].bytes());
        let [uri, key, _] = credential.items() else { panic!("not a credential") };
        users.insert(uri.text().to_owned(), array![uri.clone(), key.clone(), 1, 0]);
    }
    for user in ranked {
        let [uri, role, least_serial] = user.items() else { panic!("not a user's rank") };
        let user = users.get_mut(uri.text()).unwrap();
        (*user.item(2), *user.item(3)) = (role.clone(), least_serial.clone());
    }
    users.into_values().collect()
}
