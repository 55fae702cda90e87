//! Row 32: what is valid depends on the state and the bytes of a commit and on nothing else, so that clients with other
//! clocks, pins, settings and histories never part.

use convivio::client::{Answer, Change, Client, DeviceKeys, EventKind, Status};
use convivio::identity::{IdentityKey, UnverifiedKeyPackage, UserUri};
use convivio::log::{EntryBody, LogEntry};
use convivio::store::{SealedStore, StoreKey};
use convivio::{GroupId, SigningKey, Timestamp};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::clocks::Own;
use crate::kit::cbor::array;
use crate::kit::commit::{Forged, Plan};
use crate::kit::leaf::{LeafPlan, commit_source, refreshed};
use crate::kit::{Insider, Thief, Value};
use crate::support::*;

/// A judge: a client of its own kind.
struct Judge {
    what: &'static str,
    client: Client,
    disk: Disk,
    clock: Timestamp,
    sealed: bool,
    /// Reads each entry twice, starts again before each, reads in pieces.
    restless: bool,
}

impl Judge {
    fn new(world: &World, what: &'static str, clock: Timestamp, (seed, sealed): (u64, bool)) -> Self {
        let (disk, mut rng) = (Disk::default(), StdRng::seed_from_u64(100 + seed));
        let keys = world.photos.enrol_device(what, &IdentityKey::generate(&mut rng), 1, &mut rng).unwrap();
        let features: Vec<u32> = (0..seed as u32).collect();
        let keys = DeviceKeys::with_features(keys, &features);
        let env = Own::at(START, 200 + seed);
        let client = if sealed {
            let store = SealedStore::create(disk.clone(), StoreKey::from_bytes(&mut [7; 32])).unwrap();
            Client::create_in(store, keys, env).unwrap()
        } else {
            Client::create_in(disk.clone(), keys, env).unwrap()
        };
        Self { what, client, disk, clock, sealed, restless: false }
    }

    /// Starts again; from the second time on at the judge's own time.
    fn restart(&mut self) {
        let env = Own::at(self.clock, 300);
        self.client = if self.sealed {
            let store = SealedStore::open(self.disk.clone(), StoreKey::from_bytes(&mut [7; 32])).unwrap();
            Client::open_in(store, None, env).unwrap()
        } else {
            Client::open_in(self.disk.clone(), None, env).unwrap()
        };
    }

    fn package(&mut self) -> UnverifiedKeyPackage {
        UnverifiedKeyPackage::from_bytes(&self.client.key_packages(1).unwrap()[0].to_bytes()).unwrap()
    }

    /// What this judge makes of the next entry.
    fn read(&mut self, group: &GroupId, commit: &Forged) -> Ruling {
        let view = self.client.group(group).unwrap();
        let (seq, leaf) = (view.next_entry(), view.own_index());
        let entry = LogEntry { group: *group, seq, body: commit.entry(leaf.0) };
        let times = if self.restless { 2 } else { 1 };
        for _ in 0..times {
            self.client.receive(core::slice::from_ref(&entry)).unwrap();
            if self.restless {
                self.restart();
            }
        }
        let inbox = self.client.inbox(99).unwrap();
        if let Some(last) = inbox.last() {
            self.client.ack(last.id).unwrap();
        }
        let view = self.client.group(group).unwrap();
        let void = inbox.iter().filter(|event| matches!(event.what, EventKind::Void { .. })).count();
        Ruling { status: view.status(), epoch: view.state().epoch().0, authenticator: *view.authenticator(), void }
    }
}

/// A verdict and all that follows from it.
#[derive(Clone, Debug, PartialEq)]
struct Ruling {
    status: Status,
    epoch: u64,
    authenticator: [u8; 32],
    void: usize,
}

/// Judges who have nothing in common but the group, and Mallory, an admin, who makes the commits by hand.
fn court() -> (World, Vec<Judge>, Insider, GroupId) {
    let mut world = World::new();
    let (mut maria, mut mallory) = (world.device("maria"), world.device("mallory"));
    let group = world.group(&mut maria, &mut [&mut mallory]);
    let far = [
        ("on-time", START, (1, false)),
        ("years-behind", Timestamp(0), (2, false)),
        ("years-ahead", Timestamp(START.0 + 3_000 * DAY), (3, false)),
        ("sealed-at-rest", Timestamp(START.0 - 40 * DAY), (4, true)),
        ("distrustful", Timestamp(START.0 + 5 * MINUTE), (5, false)),
        ("restless", Timestamp(START.0 + DAY), (6, false)),
        ("in-doubt", START, (7, false)),
        ("late", START, (8, false)),
    ];
    let mut judges: Vec<Judge> =
        far.into_iter().map(|(what, clock, how)| Judge::new(&world, what, clock, how)).collect();
    // Some have seen other groups, and think they know other keys.
    let stranger = SigningKey::from_seed(&[9; 32]);
    let users: [UserUri; 2] = [maria.user.clone(), mallory.user.clone()];
    for user in &users {
        judges[4].client.accept_identity(user, stranger.verify_key()).unwrap();
    }
    judges[4].client.accept_roots(world.courier.domain(), &[stranger.verify_key().clone()]).unwrap();
    judges[5].client.create_group(world.policy(), Default::default()).unwrap();

    let (early, late) = judges.split_at_mut(7);
    let packages = early.iter_mut().map(Judge::package).collect();
    let admin = Change::Role(mallory.user.clone(), convivio::group::Role::Admin);
    for change in [admin, Change::Add(packages), Change::Heal, Change::Add(vec![late[0].package()])] {
        maria.client.change(&group, change).unwrap();
        world.sync(&mut maria);
    }
    world.quiet(&mut [&mut maria, &mut mallory]);
    for judge in &mut judges {
        world.hub.sync(&mut judge.client).unwrap();
        judge.client.answer(&group, Answer::Accept).unwrap();
        world.hub.sync(&mut judge.client).unwrap();
        judge.restart();
        let last = judge.client.inbox(99).unwrap().last().unwrap().id;
        judge.client.ack(last).unwrap();
    }
    judges[5].restless = true;
    // One has seen something that it could not open, and expects the worst since.
    let garbage = EntryBody::Commit { header: vec![0], stanza: None, body: vec![] };
    let seq = judges[6].client.group(&group).unwrap().next_entry();
    judges[6].client.receive(&[LogEntry { group, seq, body: garbage }]).unwrap();
    let last = judges[6].client.inbox(99).unwrap().last().unwrap().id;
    judges[6].client.ack(last).unwrap();
    let insider = Insider::of(&mallory, &group);
    (world, judges, insider, group)
}

/// A leaf of a key package that was valid from here to there, signed by its device.
fn aged(device: &mut Device, from: u64, to: u64) -> Vec<u8> {
    let mut leaf = LeafPlan::like(&device.package().leaf().to_bytes());
    leaf.validity = (from, to);
    let Value::List(mut source) = leaf.source else { panic!("not a source") };
    source[3] = Value::Int(to);
    leaf.source = Value::List(source);
    leaf.sign(&Thief::of(device).device().1.unwrap())
}

/// A commit that adds this leaf at this time.
fn adding(mallory: &mut Insider, package: &UnverifiedKeyPackage, (leaf, time): (Vec<u8>, u64)) -> Plan {
    let honest = mallory.adding(package);
    let mut plan = mallory.plan(vec![array![6, Value::decode(&leaf)]]);
    plan.opened.clone_from(&honest.opened);
    plan.next.users.clone_from(&honest.next.users);
    plan.next.next_leaf = honest.next.next_leaf;
    plan.next.set_leaf(honest.opened[0].0, leaf);
    at(plan, time)
}

/// The same commit at another time of the committer's.
fn at(mut plan: Plan, time: u64) -> Plan {
    (plan.time, plan.next.time) = (time, time);
    plan
}

/// A heal at this time, by a leaf that is good from then on.
fn since(mallory: &mut Insider, time: u64) -> Plan {
    let mut plan = at(mallory.plan(vec![]), time);
    let mut leaf = LeafPlan::like(plan.next.leaf(mallory.own()).unwrap());
    leaf.validity.0 = time;
    let leaf = leaf.sign(&mallory.device.unwrap());
    plan.leaf = refreshed(&leaf);
    plan.next.set_leaf(mallory.own(), leaf);
    plan
}

/// Replaces the policy by the same one, which is not an admin's to do.
fn policy(mallory: &mut Insider, _: &mut World) -> Plan {
    let policy = mallory.state.policy.clone();
    mallory.plan(vec![array![0, policy]])
}

/// A heal by the leaf that is in the roster.
fn same_leaf(mallory: &mut Insider, _: &mut World) -> Plan {
    let mut plan = mallory.plan(vec![]);
    let leaf = mallory.state.leaf(mallory.own()).unwrap().to_vec();
    plan.leaf = refreshed(&leaf);
    plan.next.set_leaf(mallory.own(), leaf);
    plan
}

/// A heal by a leaf that was signed for a removal.
fn leaf_of_a_removal(mallory: &mut Insider, _: &mut World) -> Plan {
    let mut plan = mallory.plan(vec![]);
    let mut leaf = LeafPlan::like(plan.next.leaf(mallory.own()).unwrap());
    let removal = [array![3, "mimi://photos.example/u/maria"]];
    leaf.source = commit_source(mallory.state.group, mallory.own(), mallory.state.transcript, &removal);
    let leaf = leaf.sign(&mallory.device.unwrap());
    plan.leaf = refreshed(&leaf);
    plan.next.set_leaf(mallory.own(), leaf);
    plan
}

/// Adds someone at this time by a package that is good from one time to another.
fn package(name: &'static str, (from, to): (u64, u64), time: u64) -> Make {
    Box::new(move |mallory, world| {
        let mut device = world.device(name);
        let leaf = aged(&mut device, from, to);
        adding(mallory, &device.package(), (leaf, time))
    })
}

type Make = Box<dyn Fn(&mut Insider, &mut World) -> Plan>;

/// Hostile and honest commits, by name, each with whether it is valid.
fn cases() -> Vec<(&'static str, bool, Make)> {
    let now = START.0;
    vec![
        ("a heal", true, Box::new(|mallory, _| mallory.plan(vec![]))),
        ("a heal before the group's time", false, Box::new(move |mallory, _| since(mallory, now - 1))),
        ("a heal of another group", false, Box::new(|mallory, _| Plan { group: [9; 16], ..mallory.plan(vec![]) })),
        ("mailboxes that nobody has", false, Box::new(|mallory, _| Plan { dropped: vec![0], ..mallory.plan(vec![]) })),
        ("a policy by an admin", false, Box::new(policy)),
        ("a package in its last second", true, package("good", (now - DAY, now + 60), now + 60)),
        ("a package a second too late", false, package("old", (now - DAY, now + 60), now + 61)),
        ("a package before its time", false, package("young", (now + 180, now + DAY), now + 120)),
        ("a package that lives too long", false, package("long", (now, now + 91 * DAY), now + 120)),
        ("the committer's present leaf", false, Box::new(same_leaf)),
        ("a leaf for other proposals", false, Box::new(leaf_of_a_removal)),
        ("a heal of weeks to come", true, Box::new(move |mallory, _| at(mallory.plan(vec![]), now + 60 * DAY))),
    ]
}

#[test]
fn row_32_clients_that_have_nothing_in_common_judge_alike() {
    let (mut world, mut judges, mut mallory, group) = court();
    let mut epoch = mallory.state.epoch;
    for (what, valid, make) in cases() {
        let commit = make(&mut mallory, &mut world).seal();
        let rulings: Vec<(&str, Ruling)> =
            judges.iter_mut().map(|judge| (judge.what, judge.read(&group, &commit))).collect();
        epoch += u64::from(valid);
        for (judge, ruling) in &rulings {
            assert_eq!(*ruling, rulings[0].1, "{judge} on {what}");
            let expected = (epoch, usize::from(!valid));
            assert_eq!((ruling.epoch, ruling.void, ruling.status), (expected.0, expected.1, Status::Active), "{what}");
        }
        if valid {
            assert_eq!(rulings[0].1.authenticator, commit.keys.authenticator);
            mallory.enter(&commit);
        }
    }
    assert!(epoch > 3);
}
