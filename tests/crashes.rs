//! The power goes at every single write, on any device: nothing is lost, nothing comes twice, no key is used twice.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use convivio::client::{Answer, Environment, Event, EventId, EventKind, Status};
use convivio::group::GroupInfo;
use convivio::identity::{AppDomain, IdentityKey, UnverifiedKeyPackage};
use convivio::log::PostBody;
use convivio::ratchet::{EpochContext, Frame};
use convivio::store::{RecordKey, Store};
use convivio::testing::{App, Fault, Faults, FaultyStore, LocalHub};
use convivio::{Change, Client, Epoch, ErrorKind, GroupId, Result, Secret, Timestamp, Validity};
use rand::rngs::StdRng;
use rand::{CryptoRng, RngExt, SeedableRng};

/// Time and randomness that a test decides.
struct Simulated(Arc<AtomicU64>, StdRng);

impl Environment for Simulated {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }

    fn rng(&mut self) -> &mut dyn CryptoRng {
        &mut self.1
    }
}

const START: u64 = 1_800_000_000;

/// A device and what its app has taken over, which a crash of the device's store does not touch.
struct Device {
    store: FaultyStore,
    client: Client,
    taken: BTreeMap<EventId, Event>,
    crashes: u64,
}

struct World {
    app: App,
    hub: LocalHub,
    domain: AppDomain,
    /// How many posts the hub had logged at the last look.
    seen: usize,
    /// How often a post does not arrive, and how often its answer does not.
    loss: f64,
    rng: StdRng,
    clock: Arc<AtomicU64>,
    devices: Vec<Device>,
    seed: u64,
    /// Which frame went out under each header key, leaf and generation.
    used: BTreeMap<([u8; 32], u32, u32), Vec<u8>>,
    /// What was said, and by whom.
    sent: BTreeMap<String, usize>,
}

impl World {
    fn new(count: usize, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let clock = Arc::new(AtomicU64::new(START));
        let validity = Validity::starting(Timestamp(START - 3600), 365 * 86_400);
        let app = App::new_in("photos.example", validity, &mut rng).unwrap();
        let mut devices = Vec::new();
        for n in 0..count {
            let identity = IdentityKey::generate(&mut rng);
            let keys = app.enrol_device(&format!("user{n}"), &identity, 0, &mut rng).unwrap();
            let store = FaultyStore::new();
            let environment = Simulated(Arc::clone(&clock), StdRng::seed_from_u64(rng.random()));
            let client = Client::create_in(store.clone(), keys, environment).unwrap();
            devices.push(Device { store, client, taken: BTreeMap::new(), crashes: 0 });
        }
        let hub = LocalHub::with_faults(Faults::default(), seed);
        let domain = app.domain().clone();
        let loss = 0.0;
        Self {
            app,
            hub,
            domain,
            seen: 0,
            loss,
            rng,
            clock,
            devices,
            seed,
            used: BTreeMap::new(),
            sent: BTreeMap::new(),
        }
    }

    /// Runs an operation. If the power goes meanwhile, the device starts again and looks whether it happened.
    fn call<T>(
        &mut self,
        n: usize,
        mut operation: impl FnMut(&mut Client) -> Result<T>,
        mut happened: impl FnMut(&mut Client) -> Option<T>,
    ) -> T {
        loop {
            match operation(&mut self.devices[n].client) {
                Ok(value) => return value,
                Err(error) => {
                    assert!(self.devices[n].store.has_failed(), "seed {}: {error:?}", self.seed);
                    assert_eq!(error.kind(), ErrorKind::Storage);
                    self.restart(n);
                    if let Some(value) = happened(&mut self.devices[n].client) {
                        return value;
                    }
                }
            }
        }
    }

    /// Runs an operation that may be repeated.
    fn again<T>(&mut self, n: usize, operation: impl FnMut(&mut Client) -> Result<T>) -> T {
        self.call(n, operation, |_| None)
    }

    fn restart(&mut self, n: usize) {
        let device = &mut self.devices[n];
        assert_eq!(device.client.groups().map_err(|error| error.kind()), Err(ErrorKind::Closed));
        device.crashes += 1;
        let rng = StdRng::seed_from_u64(self.seed ^ (device.crashes << 32) ^ n as u64);
        let environment = Simulated(Arc::clone(&self.clock), rng);
        device.store = device.store.restart();
        device.client = Client::open_in(device.store.clone(), None, environment).unwrap();
    }

    fn found(&mut self) -> GroupId {
        let policy = App::policy(&[&self.app]).unwrap();
        let info = GroupInfo::new("Trip", "").unwrap();
        let create = |client: &mut Client| client.create_group(policy.clone(), info.clone());
        self.call(0, create, |client| client.groups().unwrap().first().copied())
    }

    fn add(&mut self, group: GroupId, n: usize) {
        let package = self.call(
            n,
            |client| Ok(client.key_packages(1)?.remove(0)),
            // It was made and never published: make another.
            |_| None,
        );
        let package = UnverifiedKeyPackage::try_from(&package).unwrap();
        self.change(0, group, &Change::Add(vec![package]));
        self.settle();
        let accept = |client: &mut Client| client.answer(&group, Answer::Accept);
        let status = |client: &mut Client| client.group(&group).unwrap().status();
        self.call(n, accept, |client| (status(client) == Status::Active).then_some(()));
        assert_eq!(status(&mut self.devices[n].client), Status::Active);
    }

    fn queued(&mut self, n: usize, group: GroupId) -> usize {
        self.devices[n].client.group(&group).unwrap().queued()
    }

    fn change(&mut self, n: usize, group: GroupId, change: &Change) {
        let before = self.queued(n, group);
        let queued = |client: &mut Client| client.group(&group).unwrap().queued();
        self.call(
            n,
            |client| client.change(&group, change.clone()).map(drop),
            |client| (queued(client) > before).then_some(()),
        );
    }

    fn send(&mut self, n: usize, group: GroupId, content: &str) {
        let before = self.queued(n, group);
        let queued = |client: &mut Client| client.group(&group).unwrap().queued();
        self.call(
            n,
            |client| client.send(&group, content.as_bytes()).map(drop),
            |client| (queued(client) > before).then_some(()),
        );
        assert!(self.sent.insert(content.to_owned(), n).is_none());
    }

    /// One turn of a device: post, fetch, receive, take over, acknowledge. Whether anything moved.
    fn turn(&mut self, n: usize) -> bool {
        let mut moved = self.post(n);
        let before = self.devices[n].client.subscriptions().unwrap();
        let entries = self.hub.deliver(&mut self.devices[n].client).unwrap();
        self.again(n, |client| client.receive(&entries).map(drop));
        moved |= self.devices[n].client.subscriptions().unwrap() != before;
        moved |= self.take(n);
        moved
    }

    fn post(&mut self, n: usize) -> bool {
        let posts = self.again(n, |client| client.outbox(usize::MAX));
        let mut moved = false;
        for post in posts {
            self.note(n, &post.body, post.group);
            if self.rng.random_bool(self.loss) {
                // What comes later must not overtake it.
                break;
            }
            let reply = self.hub.post(&self.domain.clone(), &post);
            moved |= self.hub.seen().len() != self.seen;
            self.seen = self.hub.seen().len();
            if !self.rng.random_bool(self.loss) {
                self.again(n, |client| client.posted(&post, reply));
            }
        }
        moved
    }

    /// No generation of a chain is ever used for two frames, whatever became of them.
    fn note(&mut self, n: usize, body: &PostBody, group: GroupId) {
        let PostBody::Message(bytes) = body else { return };
        let frame = Frame::parse(bytes).unwrap();
        let key = header_key(&self.devices[n].store, group);
        let context =
            EpochContext::new(group, Epoch(frame.epoch_low().into()), [0; 32], Secret::from_bytes(&mut key.clone()));
        let (leaf, generation) = frame.unmask(&context);
        let known = self.used.entry((key, leaf.0, generation.0)).or_insert_with(|| bytes.clone());
        assert_eq!(known, bytes, "two frames under one key, seed {}", self.seed);
    }

    /// The app takes over what is in the inbox, then acknowledges. Whether there was anything.
    fn take(&mut self, n: usize) -> bool {
        let events = self.again(n, |client| client.inbox(usize::MAX));
        for event in &events {
            let known = self.devices[n].taken.entry(event.id).or_insert_with(|| event.clone());
            assert_eq!(known, event, "an event changed, seed {}", self.seed);
        }
        if let Some(last) = events.last() {
            self.again(n, |client| client.ack(last.id));
        }
        !events.is_empty()
    }

    fn settle(&mut self) {
        for _ in 0..100 {
            let moved = (0..self.devices.len()).fold(false, |moved, n| self.turn(n) | moved);
            if !moved {
                return;
            }
        }
        panic!("it never settles, seed {}", self.seed);
    }

    /// Everyone has the same group, nothing is queued, and everyone has every message once, its own by their echoes.
    fn check(&mut self, group: GroupId) {
        let authenticator = *self.devices[0].client.group(&group).unwrap().authenticator();
        for n in 0..self.devices.len() {
            let view = self.devices[n].client.group(&group).unwrap();
            assert_eq!(*view.authenticator(), authenticator, "seed {}, device {n}", self.seed);
            assert_eq!(view.queued(), 0, "seed {}, device {n}", self.seed);
            let mut heard: Vec<String> = self.devices[n].taken.values().filter_map(content).collect();
            let in_order = heard.clone();
            heard.sort();
            let expected: Vec<String> = self.sent.keys().cloned().collect();
            assert_eq!(heard, expected, "seed {}, device {n}", self.seed);
            for other in 0..self.devices.len() {
                let own = |said: &&String| self.sent[*said] == other;
                let numbers: Vec<u32> = in_order.iter().filter(own).map(|said| number(said)).collect();
                assert!(numbers.is_sorted(), "seed {}: {numbers:?}", self.seed);
            }
        }
    }
}

fn content(event: &Event) -> Option<String> {
    match &event.what {
        EventKind::Message { content, .. } | EventKind::Sent { content, .. } => {
            Some(String::from_utf8(content.clone()).unwrap())
        }
        EventKind::Changed { .. } | EventKind::Invitation { .. } | EventKind::Gap { .. } => None,
        other => panic!("{other:?}"),
    }
}

/// The number at the end of a message of these tests.
fn number(said: &str) -> u32 {
    said.rsplit(' ').next().unwrap().parse().unwrap()
}

/// The header key of the epoch a device is in, from its record of the group.
fn header_key(store: &FaultyStore, group: GroupId) -> [u8; 32] {
    let name = [&[16], group.as_bytes().as_slice()].concat();
    let record = store.contents().load(&RecordKey::from_bytes(&name).unwrap()).unwrap().unwrap();
    let mut fields = minicbor::Decoder::new(&record);
    fields.array().unwrap();
    (0..5).for_each(|_| fields.skip().unwrap());
    fields.bytes().unwrap().try_into().unwrap()
}

/// A conversation of three with everything in it, two of whom can be made to crash.
fn story(world: &mut World) {
    let group = world.found();
    world.add(group, 1);
    world.add(group, 2);
    for n in 0..3 {
        world.send(n, group, &format!("hello from {n}, number 1"));
        world.send(n, group, &format!("hello from {n}, number 2"));
    }
    world.settle();
    // Encrypted and not posted when another's commit ends the epoch.
    world.send(0, group, "hello from 0, number 3");
    world.send(1, group, "hello from 1, number 3");
    world.change(2, group, &Change::Heal);
    let unposted = world.again(1, |client| client.outbox(usize::MAX));
    unposted.iter().for_each(|post| world.note(1, &post.body, group));
    world.turn(2);
    world.settle();
    // Two commits at once.
    world.change(0, group, &Change::Info(GroupInfo::new("Journey", "").unwrap()));
    world.change(1, group, &Change::Heal);
    let lost = world.again(1, |client| client.outbox(usize::MAX));
    assert!(matches!(lost[0].body, PostBody::Commit { .. }));
    world.turn(0);
    world.send(1, group, "hello from 1, number 4");
    world.settle();
    world.check(group);
}

const DEVICES: usize = 3;

fn crash_at_each_write(device: usize, faults: &[Fault]) {
    let mut world = World::new(DEVICES, 7);
    let first = world.devices[device].store.applies();
    story(&mut world);
    let writes: Range<u64> = 1..world.devices[device].store.applies() - first + 1;
    assert!(writes.end > 15, "the story has {} writes", writes.end);
    for fault in faults {
        for nth in writes.clone() {
            let mut world = World::new(DEVICES, 7);
            world.devices[device].store.fail(nth, *fault);
            story(&mut world);
            assert_eq!(world.devices[device].crashes, 1, "write {nth} came");
        }
    }
}

#[test]
fn the_inviter_crashes_before_each_write() {
    crash_at_each_write(0, &[Fault::Before]);
}

#[test]
fn the_inviter_crashes_after_each_write() {
    crash_at_each_write(0, &[Fault::After]);
}

#[test]
fn the_joiner_crashes_before_each_write() {
    crash_at_each_write(1, &[Fault::Before]);
}

#[test]
fn the_joiner_crashes_after_each_write() {
    crash_at_each_write(1, &[Fault::After]);
}

#[test]
fn a_bystander_crashes_at_each_write() {
    crash_at_each_write(2, &[Fault::Before, Fault::After]);
}

/// Nothing crashes, and the client cannot know what is on the disk all the same.
#[test]
fn row_11_the_inviters_disk_refuses_or_loses_its_answer_at_each_write() {
    crash_at_each_write(0, &[Fault::Refused, Fault::Misreported]);
}

/// Any device crashes at any time, while the hub loses, repeats, reorders and delays.
fn random_schedule(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut world = World::new(DEVICES, seed);
    let group = world.found();
    (1..DEVICES).for_each(|n| world.add(group, n));
    let faults = Faults { lose_entry: 0.1, repeat: 0.2, reorder: 0.2, delay: 0.2, ..Faults::default() };
    world.hub.set_faults(faults);
    world.loss = 0.15;
    for step in 0..60 {
        let n = rng.random_range(0..DEVICES);
        if rng.random_bool(0.3) {
            let fault = if rng.random() { Fault::Before } else { Fault::After };
            world.devices[n].store.fail(rng.random_range(1..4), fault);
        }
        match rng.random_range(0..10) {
            0..=3 => world.send(n, group, &format!("from {n}, number {step}")),
            4 if rng.random() => world.change(n, group, &Change::Heal),
            4 => {
                let info = GroupInfo::new(&format!("Trip {step}"), "").unwrap();
                world.change(0, group, &Change::Info(info));
            }
            5 => drop(world.post(n)),
            6 => drop(world.take(n)),
            _ => drop(world.turn(n)),
        }
    }
    world.hub.set_faults(Faults::default());
    world.loss = 0.0;
    world.settle();
    world.check(group);
}

#[test]
fn any_device_crashes_at_any_time() {
    for seed in 0..24 {
        random_schedule(seed);
    }
}

#[test]
fn a_dead_handle_stays_dead() {
    let store = FaultyStore::new();
    let app = App::new("photos.example").unwrap();
    let mut client = app.client_on("maria", store.clone()).unwrap();
    store.fail(1, Fault::Before);
    assert_eq!(client.key_packages(1).unwrap_err().kind(), ErrorKind::Storage);
    assert!(store.is_down());
    let mut reopened = Client::open(store.restart()).unwrap();
    assert_eq!(client.key_packages(1).unwrap_err().kind(), ErrorKind::Closed);
    assert!(store.load(&RecordKey::VERSION).is_err());
    reopened.key_packages(1).unwrap();
}
