//! The people of [`rules`](super::rules) with real keys, and a look at a real group in the model's terms.

use std::sync::OnceLock;

use convivio::client::DeviceKeys;
use convivio::group::{GroupInfo, GroupState, Policy, Role};
use convivio::identity::{DeviceIdentity, IdentityKey, UserUri};
use convivio::testing::App;
use convivio::{DeviceId, SigningKey, Timestamp, Validity};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::rules::{Actor, CAST, Member, Model, Rules, USERS};
use super::town::NOW;

/// The two apps of the cast.
pub fn apps() -> &'static [App; 2] {
    static APPS: OnceLock<[App; 2]> = OnceLock::new();
    APPS.get_or_init(|| {
        let validity = Validity::starting(Timestamp(NOW.0 - 1_000), 1_000_000);
        let dice = &mut StdRng::seed_from_u64(11);
        ["town.example", "other.example"].map(|domain| App::new_in(domain, validity, dice).unwrap())
    })
}

pub fn user(user: usize) -> UserUri {
    let app = CAST.iter().find(|actor| actor.user == user).unwrap().app;
    apps()[app].user(USERS[user]).unwrap()
}

pub fn device_id(device: usize) -> DeviceId {
    DeviceId::from_bytes([device as u8; 16])
}

pub fn device_key(device: usize) -> SigningKey {
    SigningKey::from_seed(&[100 + device as u8; 32])
}

pub fn identity(device: usize) -> DeviceIdentity {
    let Actor { user, identity, serial, app } = CAST[device];
    let identity = IdentityKey::from_seed(&[identity; 32]);
    apps()[app].certify(USERS[user], &identity, (device_id(device), serial), &device_key(device)).unwrap()
}

pub fn device_keys(device: usize) -> DeviceKeys {
    DeviceKeys::new(identity(device), device_key(device)).unwrap()
}

pub fn role(role: u8) -> Role {
    [Role::Reader, Role::Member, Role::Admin, Role::Owner][usize::from(role)]
}

pub fn policy(rules: &Rules) -> Policy {
    let apps: Vec<&App> = apps().iter().take(if rules.both_apps { 2 } else { 1 }).collect();
    let mut policy = App::policy(&apps).unwrap();
    policy.add = role(rules.add);
    policy.remove = role(rules.remove);
    policy.post = role(rules.post);
    policy.info = role(rules.info);
    policy.policy = role(rules.policy);
    policy.heal_after = 0;
    policy
}

pub fn info(info: u8) -> GroupInfo {
    GroupInfo::new(&format!("Group {info}"), "").unwrap()
}

/// The state is what the model says: people, roles, devices, least serials, rules.
pub fn compare(state: &GroupState, model: &Model) {
    let users = state.users().map(|(uri, entry)| {
        let number = USERS.iter().position(|name| *name == uri.name()).unwrap();
        let role =
            [Role::Reader, Role::Member, Role::Admin, Role::Owner].iter().position(|r| *r == entry.role).unwrap();
        let identity = CAST
            .iter()
            .map(|actor| actor.identity)
            .find(|identity| *IdentityKey::from_seed(&[*identity; 32]).public() == entry.identity)
            .unwrap();
        (number, Member { identity, role: role as u8, least_serial: entry.least_serial })
    });
    assert_eq!(users.collect::<std::collections::BTreeMap<_, _>>(), model.users);
    let devices = state.leaves().map(|(_, leaf)| usize::from(leaf.device().as_bytes()[0]));
    assert_eq!(devices.collect::<std::collections::BTreeSet<_>>(), model.devices);
    assert_eq!(state.policy(), &policy(&model.rules));
    assert_eq!(state.info(), &info(model.info));
}
