//! A group of six devices in which every role, both apps, a barred user and a revoked device are found, as each member's
//! store has it and as each member's `Group`.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use convivio::group::Group;
use convivio::store::MemoryStore;
use convivio::{GroupId, LeafIndex, SigningKey};

use super::cast;
use super::cbor::{Item, number, parse};
use super::group_ops::{Deed, played};
use super::rules::{ADMIN, CAST, Model, READER};

pub struct Scene {
    pub id: GroupId,
    pub model: Model,
    /// Of every device of the cast; the group is in those of its members.
    pub stores: Vec<MemoryStore>,
    /// The next entry of the log.
    pub next: u64,
    groups: Vec<Option<(Group, SigningKey)>>,
}

pub fn scene() -> &'static Scene {
    static SCENE: OnceLock<Scene> = OnceLock::new();
    SCENE.get_or_init(build)
}

fn build() -> Scene {
    let deeds = [
        (0, Deed::Add(2)),
        (0, Deed::Add(4)),
        (0, Deed::Add(6)),
        (0, Deed::Add(7)),
        (0, Deed::Add(1)),
        (0, Deed::Role(1, ADMIN)),
        (0, Deed::Role(3, READER)),
        (0, Deed::Add(8)),
        (0, Deed::Remove(5)),
        (2, Deed::Add(3)),
        (2, Deed::RemoveDevice(3)),
    ];
    let (id, model, next, stores) = played(&deeds);
    let groups = (0..CAST.len()).map(|n| model.devices.contains(&n).then(|| group(&stores[n]))).collect();
    Scene { id, model, stores, next, groups }
}

impl Scene {
    pub fn group(&self, device: usize) -> &Group {
        &self.groups[device].as_ref().unwrap().0
    }

    /// The member's present signature key.
    pub fn signing(&self, device: usize) -> SigningKey {
        SigningKey::from_seed(self.groups[device].as_ref().unwrap().1.expose_seed())
    }

    /// The device's leaf, or an index that nobody has.
    pub fn leaf(&self, device: usize) -> LeafIndex {
        let mut leaves = self.group(0).state().leaves();
        let found = leaves.find(|(_, leaf)| leaf.device() == cast::device_id(device));
        found.map_or(LeafIndex(1_000 + device as u32), |(index, _)| index)
    }
}

/// A group put together from its records (section 7.2): what the store has in pieces, `Group` has in one.
fn group(store: &MemoryStore) -> (Group, SigningKey) {
    let record = |tag: u8| parse(store.iter().find(|(key, _)| key.as_bytes()[0] == tag).unwrap().1).unwrap();
    let inner = |record: &Item| parse(&record.array()[1].content()).unwrap();
    let mut keys = record(16).array()[2..].to_vec();
    let signing = SigningKey::from_seed(&keys[1].content().try_into().unwrap());
    let mut state = inner(&record(17)).array().to_vec();
    let leaves = store.iter().filter(|(key, _)| key.as_bytes()[0] == 18).map(|(key, value)| {
        let index = u32::from_be_bytes(*key.as_bytes().last_chunk().unwrap());
        Item::Array(vec![number(index), parse(value).unwrap().array()[1].clone()])
    });
    let leaves: Vec<Item> = leaves.collect();
    state[3] = Item::Array(users(&leaves, state[3].array()));
    state[5] = Item::Array(leaves);
    state.insert(0, number(1_u8));
    keys.push(Item::Array(state));
    (Group::from_secret_bytes(&Item::Array(keys).encode()).unwrap(), signing)
}

/// The users of these leaves, in the order of their URIs: plain members but for those with a role or a least serial of
/// their own.
fn users(leaves: &[Item], ranked: &[Item]) -> Vec<Item> {
    let mut users = BTreeMap::new();
    for leaf in leaves {
        let identity = parse(&parse(&leaf.array()[1].content()).unwrap().array()[2].content()).unwrap();
        let credential = parse(&identity.array()[0].array()[0].content()).unwrap();
        let [uri, key, _] = credential.array() else { panic!("not a credential") };
        let rank = ranked.iter().find(|rank| rank.array()[0] == *uri).map(|rank| rank.array()[1..].to_vec());
        let rank = rank.unwrap_or_else(|| vec![number(1_u8), number(0_u8)]);
        users.insert(uri.content().to_vec(), Item::Array([vec![uri.clone(), key.clone()], rank].concat()));
    }
    users.into_values().collect()
}
