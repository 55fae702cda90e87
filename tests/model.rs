//! Random operations on a few devices, against a simple model of who must see what.
//!
//! The model is the group's log as its founder reads it, entry by entry: who is in from where to where, and what was
//! said when. From it follows, to the message and in order, what every other device must have shown.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use convivio::client::{Answer, Environment, Event, EventId, EventKind, Status};
use convivio::group::{Effect, GroupInfo, Role};
use convivio::identity::{IdentityKey, UnverifiedKeyPackage, UserUri};
use convivio::log::{LogEntry, PostReply};
use convivio::testing::{App, FaultyStore, LocalHub};
use convivio::{Change, Client, ErrorKind, GroupId, MessageId, Result, Timestamp, Validity};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{CryptoRng, RngExt, SeedableRng};

/// What is done, by the device of the first number.
#[derive(Clone, Debug)]
enum Op {
    Send(usize),
    Add(usize, usize),
    Remove(usize, usize),
    Role(usize, usize, bool),
    Heal(usize),
    Leave(usize),
    /// Posts, fetches and takes over everything.
    Turn(usize),
    /// Encrypts and posts, and the answers are lost.
    PostUnanswered(usize),
    /// Encrypts, and nothing reaches the hub.
    EncryptOnly(usize),
    /// Fetches only so many entries.
    Part(usize, usize),
    /// Gets everything it ever got again.
    Duplicate(usize),
    Restart(usize),
    Wait,
}

fn ops(devices: usize) -> impl Strategy<Value = Vec<Op>> {
    let device = 0..devices;
    // The founder stays: it is the chronicler.
    let other = 1..devices;
    let op = prop_oneof![
        6 => device.clone().prop_map(Op::Send),
        3 => (device.clone(), other.clone()).prop_map(|(by, who)| Op::Add(by, who)),
        1 => (device.clone(), other.clone()).prop_map(|(by, who)| Op::Remove(by, who)),
        1 => (device.clone(), other.clone(), any::<bool>()).prop_map(|(by, who, admin)| Op::Role(by, who, admin)),
        1 => device.clone().prop_map(Op::Heal),
        1 => other.prop_map(Op::Leave),
        8 => device.clone().prop_map(Op::Turn),
        2 => device.clone().prop_map(Op::PostUnanswered),
        1 => device.clone().prop_map(Op::EncryptOnly),
        3 => (device.clone(), 0..4_usize).prop_map(|(who, count)| Op::Part(who, count)),
        1 => device.clone().prop_map(Op::Duplicate),
        2 => device.prop_map(Op::Restart),
        1 => Just(Op::Wait),
    ];
    prop::collection::vec(op, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn everyone_sees_what_the_log_entitles_them_to(
        (devices, ops) in (3..=5_usize).prop_flat_map(|devices| (Just(devices), ops(devices))),
        seed in any::<u64>(),
    ) {
        let mut world = World::new(devices, seed);
        ops.iter().for_each(|op| world.run(op));
        world.settle();
        world.check();
    }
}

struct Simulated(Arc<AtomicU64>, StdRng);

impl Environment for Simulated {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }

    fn rng(&mut self) -> &mut dyn CryptoRng {
        &mut self.1
    }
}

struct Device {
    user: UserUri,
    store: FaultyStore,
    client: Client,
    taken: BTreeSet<EventId>,
    heard: Vec<(u64, MessageId, Vec<u8>)>,
    received: Vec<LogEntry>,
    /// How often it was in the group and forgot it.
    lives: u32,
    /// From where it no longer listened, since it was leaving.
    silent: Vec<u64>,
}

/// What the log says.
#[derive(Default)]
struct Chronicle {
    said: BTreeMap<u64, MessageId>,
    added: Vec<(u64, UserUri)>,
    ended: Vec<(u64, UserUri)>,
}

struct Sent {
    by: usize,
    life: u32,
    content: Vec<u8>,
}

struct World {
    hub: LocalHub,
    app: App,
    clock: Arc<AtomicU64>,
    rng: StdRng,
    devices: Vec<Device>,
    group: GroupId,
    chronicle: Chronicle,
    sent: BTreeMap<MessageId, Sent>,
}

const START: u64 = 1_800_000_000;

impl World {
    fn new(count: usize, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let clock = Arc::new(AtomicU64::new(START));
        let validity = Validity::starting(Timestamp(START - 3600), 365 * 86_400);
        let app = App::new_in("photos.example", validity, &mut rng).unwrap();
        let mut devices: Vec<Device> = (0..count)
            .map(|n| {
                let name = format!("user{n}");
                let identity = IdentityKey::generate(&mut rng);
                let keys = app.enrol_device(&name, &identity, 0, &mut rng).unwrap();
                let environment = Simulated(Arc::clone(&clock), StdRng::seed_from_u64(rng.random()));
                let store = FaultyStore::new();
                let client = Client::create_in(store.clone(), keys, environment).unwrap();
                let (taken, heard, received) = (BTreeSet::new(), Vec::new(), Vec::new());
                let user = app.user(&name).unwrap();
                Device { user, store, client, taken, heard, received, lives: 0, silent: Vec::new() }
            })
            .collect();
        let info = GroupInfo::new("Trip", "").unwrap();
        let group = devices[0].client.create_group(App::policy(&[&app]).unwrap(), info).unwrap();
        let hub = LocalHub::new();
        let mut world =
            Self { hub, app, clock, rng, devices, group, chronicle: Chronicle::default(), sent: BTreeMap::new() };
        world.add(0, 1);
        world.turn(0);
        world.turn(1);
        world
    }

    fn run(&mut self, op: &Op) {
        let group = self.group;
        match *op {
            Op::Send(n) => self.send(n),
            Op::Add(by, who) => self.add(by, who),
            Op::Remove(by, who) => self.change(by, Change::Remove(self.devices[who].user.clone())),
            Op::Role(by, who, admin) => {
                let role = if admin { Role::Admin } else { Role::Member };
                self.change(by, Change::Role(self.devices[who].user.clone(), role));
            }
            Op::Heal(n) => self.change(n, Change::Heal),
            Op::Leave(n) => {
                let client = &mut self.devices[n].client;
                if tolerate(client.change(&group, Change::Leave)).is_some() {
                    let from = client.group(&group).unwrap().next_entry();
                    self.devices[n].silent.push(from);
                }
            }
            Op::Turn(n) => drop(self.turn(n)),
            Op::PostUnanswered(n) => drop(self.post(n, false)),
            Op::EncryptOnly(n) => drop(self.devices[n].client.outbox(usize::MAX).unwrap()),
            Op::Part(n, count) => {
                let mut entries = self.hub.deliver(&mut self.devices[n].client).unwrap();
                entries.truncate(count);
                self.receive(n, entries);
            }
            Op::Duplicate(n) => {
                let entries = self.devices[n].received.clone();
                self.receive(n, entries);
            }
            Op::Restart(n) => self.restart(n),
            Op::Wait => drop(self.clock.fetch_add(40, Ordering::Relaxed)),
        }
    }

    fn send(&mut self, by: usize) {
        let content = format!("message {} of {by}", self.sent.len()).into_bytes();
        let device = &mut self.devices[by];
        if let Some(id) = tolerate(device.client.send(&self.group, &content)) {
            let sent = Sent { by, life: device.lives, content };
            assert!(self.sent.insert(id, sent).is_none());
        }
    }

    fn add(&mut self, by: usize, who: usize) {
        let package = self.devices[who].client.key_packages(1).unwrap().remove(0);
        self.change(by, Change::Add(vec![UnverifiedKeyPackage::try_from(&package).unwrap()]));
    }

    fn change(&mut self, by: usize, change: Change) {
        tolerate(self.devices[by].client.change(&self.group, change));
    }

    fn restart(&mut self, n: usize) {
        let environment = Simulated(Arc::clone(&self.clock), StdRng::seed_from_u64(self.rng.random()));
        let device = &mut self.devices[n];
        device.store = device.store.restart();
        device.client = Client::open_in(device.store.clone(), None, environment).unwrap();
    }

    /// Whether anything moved.
    fn turn(&mut self, n: usize) -> bool {
        let posted = self.post(n, true);
        let entries = self.hub.deliver(&mut self.devices[n].client).unwrap();
        self.receive(n, entries) | posted
    }

    fn post(&mut self, n: usize, answered: bool) -> bool {
        let logged = self.hub.seen().len();
        for post in self.devices[n].client.outbox(usize::MAX).unwrap() {
            let reply = self.hub.post(self.app.domain(), &post);
            assert_ne!(reply, PostReply::Refused);
            if answered {
                self.devices[n].client.posted(&post, reply).unwrap();
            }
        }
        self.hub.seen().len() > logged
    }

    /// Whether anything happened.
    fn receive(&mut self, n: usize, entries: Vec<LogEntry>) -> bool {
        let client = &mut self.devices[n].client;
        let before = client.subscriptions().unwrap();
        client.receive(&entries).unwrap();
        self.devices[n].received.extend(entries);
        let events = self.devices[n].client.inbox(usize::MAX).unwrap();
        events.iter().for_each(|event| self.take(n, event));
        if let Some(last) = events.last() {
            self.devices[n].client.ack(last.id).unwrap();
        }
        self.devices[n].client.subscriptions().unwrap() != before || !events.is_empty()
    }

    /// The app takes an event over.
    fn take(&mut self, n: usize, event: &Event) {
        let group = self.group;
        let device = &mut self.devices[n];
        assert!(device.taken.insert(event.id), "device {n}: {event:?} came twice");
        match &event.what {
            EventKind::Message { id, content, .. } => {
                device.heard.push((event.seq, *id, content.clone()));
                if n == 0 {
                    self.chronicle.said.insert(event.seq, *id);
                }
            }
            EventKind::Sent { id, .. } if n == 0 => {
                self.chronicle.said.insert(event.seq, *id);
            }
            EventKind::Changed { effects, .. } if n == 0 => self.chronicle.note(event.seq, effects),
            EventKind::Invitation { .. } => {
                // It may have been taken out again meanwhile.
                tolerate(device.client.answer(&group, Answer::Accept));
            }
            EventKind::Removed => {
                device.client.forget(&group).unwrap();
                device.lives += 1;
            }
            EventKind::Changed { .. }
            | EventKind::Sent { .. }
            | EventKind::IntentDropped { .. }
            | EventKind::Gap { .. }
            | EventKind::Void { .. } => {}
            other => panic!("device {n}: {other:?} among honest devices"),
        }
    }

    fn settle(&mut self) {
        let mut quiet = 0;
        for _ in 0..200 {
            let moved = (0..self.devices.len()).fold(false, |moved, n| self.turn(n) | moved);
            quiet = if moved { 0 } else { quiet + 1 };
            if quiet == 3 {
                return;
            }
            // Leaves are taken up within half a minute.
            self.clock.fetch_add(40, Ordering::Relaxed);
        }
        panic!("it never settles");
    }

    fn check(&mut self) {
        let group = self.group;
        let view = self.devices[0].client.group(&group).unwrap();
        let members: BTreeSet<UserUri> = view.state().users().map(|(user, _)| user.clone()).collect();
        let authenticator = *view.authenticator();
        for n in 0..self.devices.len() {
            let device = &mut self.devices[n];
            if members.contains(&device.user) {
                let view = device.client.group(&group).unwrap();
                assert_eq!((view.status(), view.queued()), (Status::Active, 0), "device {n}");
                assert_eq!(*view.authenticator(), authenticator, "device {n}");
            } else {
                assert!(device.client.groups().unwrap().is_empty(), "device {n}");
            }
            self.check_heard(n);
        }
        let once: BTreeSet<&MessageId> = self.chronicle.said.values().collect();
        assert_eq!(once.len(), self.chronicle.said.len(), "a message is in the log once");
        for (id, sent) in &self.sent {
            let device = &self.devices[sent.by];
            let stayed = members.contains(&device.user) && sent.life == device.lives;
            assert!(!stayed || once.contains(id), "lost: {:?}", String::from_utf8_lossy(&sent.content));
        }
    }

    /// The device has heard exactly what was said by others while it was in and listening, in the log's order.
    fn check_heard(&self, n: usize) {
        let device = &self.devices[n];
        let listening = |seq: u64| n == 0 || self.chronicle.was_in(&device.user, &device.silent, seq);
        let expected: Vec<_> = self
            .chronicle
            .said
            .iter()
            .filter(|(seq, id)| self.sent[*id].by != n && listening(**seq))
            .map(|(seq, id)| (*seq, *id, self.sent[id].content.clone()))
            .collect();
        assert_eq!(device.heard, expected, "device {n}");
    }
}

impl Chronicle {
    fn note(&mut self, seq: u64, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Added(user, _) => self.added.push((seq, user.clone())),
                Effect::Removed(user) | Effect::Left(user) => self.ended.push((seq, user.clone())),
                _ => {}
            }
        }
    }

    /// Whether what is in the log there is for this user: added before, and neither taken out nor leaving since.
    fn was_in(&self, user: &UserUri, silent: &[u64], seq: u64) -> bool {
        let own = |events: &[(u64, UserUri)]| {
            events.iter().filter(|(at, who)| who == user && *at < seq).map(|(at, _)| *at).max()
        };
        let Some(added) = own(&self.added) else { return false };
        let leaving = silent.iter().any(|from| *from > added && *from <= seq);
        own(&self.ended).is_none_or(|ended| ended < added) && !leaving
    }
}

/// A refusal is fine, and changes nothing; a failure is not.
fn tolerate<T>(result: Result<T>) -> Option<T> {
    result
        .inspect_err(|error| {
            let kind = error.kind();
            let refusal = [
                ErrorKind::NotAllowed,
                ErrorKind::NotMember,
                ErrorKind::Misuse,
                ErrorKind::UnknownGroup,
                ErrorKind::Duplicate,
            ];
            assert!(refusal.contains(&kind), "{kind}: {error}");
        })
        .ok()
}
