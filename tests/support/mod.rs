//! Apps, devices, a clock and a hub: what the stories of group life are played with.
//!
//! Nothing here depends on the time or randomness of the machine, so a story goes the same way every time.

#![allow(dead_code, unreachable_pub, reason = "each story uses its part")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use convivio::client::{Answer, Change, DeviceKeys, Environment, Event, EventKind, Status};
use convivio::group::{Effect, GroupInfo, Policy, Role};
use convivio::identity::{IdentityKey, UnverifiedKeyPackage, UserUri};
use convivio::linking::{Answering, DeviceOffer, NewDevice, Transfer};
use convivio::log::{LogEntry, Post};
use convivio::store::{ChangeSet, RecordKey, Store, StoreError, StoreErrorKind};
use convivio::testing::{App, Faults, LocalHub};
use convivio::{Client, DeviceId, ErrorKind, GroupId, MessageId, Timestamp, Validity};
use rand::rngs::StdRng;
use rand::{CryptoRng, SeedableRng};

pub const START: Timestamp = Timestamp(1_800_000_000);
pub const MINUTE: u64 = 60;
pub const DAY: u64 = 24 * 60 * MINUTE;
const YEAR: u64 = 365 * DAY;

/// The time of a story, shared by all of its devices.
#[derive(Clone)]
pub struct Clock(Arc<AtomicU64>);

impl Clock {
    pub fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }

    pub fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

struct Env(Clock, StdRng);

impl Environment for Env {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn rng(&mut self) -> &mut dyn CryptoRng {
        &mut self.1
    }
}

/// A store that outlives its client, as a disk does; its holder can look into it, write on it and cut its power.
#[derive(Clone, Default)]
pub struct Disk(Arc<Mutex<Medium>>);

/// Records by their names.
pub type Records = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Default)]
struct Medium {
    records: Records,
    /// How many more writes succeed, and whether the one that fails is on the disk all the same.
    cut: Option<(u64, bool)>,
    off: bool,
}

impl Disk {
    pub fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(Medium { records: self.records(), ..Medium::default() })))
    }

    pub fn records(&self) -> Records {
        self.0.lock().unwrap().records.clone()
    }

    /// Writes a record past the client.
    pub fn overwrite(&self, name: &[u8], value: Vec<u8>) {
        self.0.lock().unwrap().records.insert(name.to_vec(), value);
    }

    /// After `writes` more the power goes: before the next write is on the disk, or just after.
    pub fn cut_power(&self, writes: u64, after: bool) {
        self.0.lock().unwrap().cut = Some((writes, after));
    }

    /// Puts the power on again; whether it was off.
    pub fn power_on(&self) -> bool {
        core::mem::take(&mut self.0.lock().unwrap().off)
    }
}

impl Store for Disk {
    fn load(&self, key: &RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        let medium = self.0.lock().unwrap();
        if medium.off { Err(no_power()) } else { Ok(medium.records.get(key.as_bytes()).cloned()) }
    }

    fn apply(&mut self, changes: &ChangeSet) -> Result<(), StoreError> {
        changes.check(self.load(&RecordKey::VERSION)?.as_deref())?;
        let mut medium = self.0.lock().unwrap();
        let fails = medium.cut.is_some_and(|(left, _)| left == 0);
        let written = !fails || medium.cut.is_some_and(|(_, after)| after);
        for (key, value) in changes.iter().filter(|_| written) {
            match value {
                Some(value) => medium.records.insert(key.as_bytes().to_vec(), value.to_vec()),
                None => medium.records.remove(key.as_bytes()),
            };
        }
        if fails {
            (medium.cut, medium.off) = (None, true);
            return Err(no_power());
        }
        medium.cut = medium.cut.map(|(left, after)| (left - 1, after));
        Ok(())
    }
}

fn no_power() -> StoreError {
    StoreError::new(StoreErrorKind::Failed, "the power is off")
}

/// Three apps, a hub, a clock.
pub struct World {
    pub photos: App,
    pub courier: App,
    /// Not in the usual policy.
    pub lumen: App,
    pub hub: LocalHub,
    pub clock: Clock,
    identities: BTreeMap<String, (IdentityKey, u64)>,
    rng: StdRng,
    seed: u64,
}

impl World {
    pub fn new() -> Self {
        Self::with_faults(Faults::default(), 1)
    }

    pub fn with_faults(faults: Faults, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let validity = Validity::starting(Timestamp(START.0 - DAY), YEAR);
        let mut app = |domain| App::new_in(domain, validity, &mut rng).unwrap();
        let (photos, courier, lumen) = (app("photos.example"), app("courier.example"), app("lumen.example"));
        Self {
            photos,
            courier,
            lumen,
            hub: LocalHub::with_faults(faults, seed),
            clock: Clock(Arc::new(AtomicU64::new(START.0))),
            identities: BTreeMap::new(),
            rng,
            seed: seed << 32,
        }
    }

    /// The usual policy, of two apps.
    pub fn policy(&self) -> Policy {
        App::policy(&[&self.photos, &self.courier]).unwrap()
    }

    /// A device of a user of the first app; the same name again is one more device of the same user.
    pub fn device(&mut self, name: &str) -> Device {
        self.device_of(0, name)
    }

    /// The same, of one of the three apps.
    pub fn device_of(&mut self, app: usize, name: &str) -> Device {
        let key = format!("{app} {name}");
        let fresh = IdentityKey::generate(&mut self.rng);
        let (identity, serial) = self.identities.entry(key).or_insert((fresh, 0));
        *serial += 1;
        let app = [&self.photos, &self.courier, &self.lumen][app];
        let keys = app.enrol_device(name, identity, *serial, &mut self.rng).unwrap();
        let user = app.user(name).unwrap();
        self.start(user, keys)
    }

    /// A device with these keys.
    pub fn start(&mut self, user: UserUri, keys: DeviceKeys) -> Device {
        self.seed += 1;
        let (disk, clock) = (Disk::default(), self.clock.clone());
        let env = Env(clock.clone(), StdRng::seed_from_u64(self.seed));
        let client = Client::create_in(disk.clone(), keys, env).unwrap();
        Device { client, disk, clock, seed: self.seed, user, events: Vec::new(), taken: 0 }
    }

    /// The identity key of a user who has a device.
    pub fn identity_of(&self, app: usize, name: &str) -> IdentityKey {
        IdentityKey::from_seed(self.identities[&format!("{app} {name}")].0.expose_seed().unwrap())
    }

    /// One more device of this device's user, linked by it with the user's identity key.
    pub fn link(&mut self, app: usize, old: &mut Device) -> Device {
        let identity = self.identity_of(app, old.user.name());
        let new = NewDevice::begin(&mut self.rng);
        let (serial, now) = (old.client.next_serial().unwrap(), self.clock.now());
        let answering = Answering { serial, now, transfer: Transfer::Stay };
        let offer = DeviceOffer::from_secret_text(&new.offer().to_secret_text()).unwrap();
        let answer = offer.answer(old.client.identity().unwrap(), &identity, answering, &mut self.rng).unwrap();
        let app = [&self.photos, &self.courier, &self.lumen][app];
        let link = new.open(&answer, &App::trust(&[app]).unwrap(), now).unwrap();
        let (keys, identity_key) = new.finish(link).unwrap();
        assert!(identity_key.is_none());
        self.start(old.user.clone(), keys)
    }

    /// Has one device add another of its user everywhere, and the other accept.
    pub fn bring_along(&mut self, old: &mut Device, new: &mut Device) {
        let packages = new.packages(u16::try_from(old.client.groups().unwrap().len()).unwrap());
        old.client.add_device(packages).unwrap();
        self.sync(old);
        self.enter(new);
        self.sync(old);
    }

    /// Reads, and accepts what there is to be accepted.
    pub fn enter(&mut self, device: &mut Device) {
        self.sync(device);
        for group in device.client.groups().unwrap() {
            if device.status(&group) == Status::Invited {
                device.client.answer(&group, Answer::Accept).unwrap();
            }
        }
        self.sync(device);
    }

    /// The identity key of a user of one of the three apps, who has a device.
    pub fn identity(&self, app: usize, name: &str) -> &IdentityKey {
        &self.identities[&format!("{app} {name}")].0
    }

    /// A group that this device founds and the others are in.
    pub fn group(&mut self, founder: &mut Device, others: &mut [&mut Device]) -> GroupId {
        let policy = self.policy();
        self.group_under(policy, founder, others)
    }

    pub fn group_under(&mut self, policy: Policy, founder: &mut Device, others: &mut [&mut Device]) -> GroupId {
        let group = founder.client.create_group(policy, GroupInfo::new("Trip", "").unwrap()).unwrap();
        self.sync(founder);
        if !others.is_empty() {
            self.bring_in(group, founder, others);
        }
        group
    }

    /// One device adds others, who accept; those of its own user are in at once.
    pub fn bring_in(&mut self, group: GroupId, by: &mut Device, others: &mut [&mut Device]) {
        let packages = others.iter_mut().map(|device| device.package()).collect();
        by.client.change(&group, Change::Add(packages)).unwrap();
        self.sync(by);
        for device in others.iter_mut() {
            self.sync(device);
            if device.user != by.user {
                device.client.answer(&group, Answer::Accept).unwrap();
            }
            self.sync(device);
        }
        self.sync(by);
    }

    /// Posts and reads until this device has nothing left to do.
    pub fn sync(&mut self, device: &mut Device) {
        self.hub.sync(&mut device.client).unwrap();
        device.take_over();
    }

    /// Only posts what this device has to post.
    pub fn post(&mut self, device: &mut Device) -> usize {
        let accepted = self.hub.post_outbox(&mut device.client).unwrap();
        device.take_over();
        accepted
    }

    /// Only reads what the hub has for this device.
    pub fn read(&mut self, device: &mut Device) {
        let entries = self.hub.deliver(&mut device.client).unwrap();
        device.receive(&entries);
    }

    /// Lets these devices talk until none of them moves.
    pub fn quiet(&mut self, devices: &mut [&mut Device]) {
        let mut before: Vec<_> = Vec::new();
        for _ in 0..100 {
            devices.iter_mut().for_each(|device| self.sync(device));
            let now: Vec<_> = devices.iter_mut().map(|device| device.position()).collect();
            if now == before {
                return;
            }
            before = now;
        }
        panic!("still not quiet after a hundred rounds");
    }
}

/// A device, its disk, and all that it was ever told.
pub struct Device {
    pub client: Client,
    pub disk: Disk,
    pub user: UserUri,
    pub events: Vec<Event>,
    clock: Clock,
    seed: u64,
    taken: usize,
}

impl Device {
    /// A fresh key package, as others read it.
    pub fn package(&mut self) -> UnverifiedKeyPackage {
        self.packages(1).remove(0)
    }

    pub fn packages(&mut self, count: u16) -> Vec<UnverifiedKeyPackage> {
        let packages = self.client.key_packages(count).unwrap();
        packages.iter().map(|package| UnverifiedKeyPackage::from_bytes(&package.to_bytes()).unwrap()).collect()
    }

    /// The id of this device.
    pub fn id(&mut self) -> DeviceId {
        self.client.identity().unwrap().device()
    }

    pub fn receive(&mut self, entries: &[LogEntry]) -> convivio::client::Summary {
        let (_, summary) = self.client.receive(entries).unwrap();
        self.take_over();
        summary
    }

    /// Takes over what is in the inbox, as an app does.
    fn take_over(&mut self) {
        let inbox = self.client.inbox(usize::MAX).unwrap();
        if let Some(last) = inbox.last() {
            self.client.ack(last.id).unwrap();
        }
        self.events.extend(inbox);
    }

    /// Ends the process and starts it again on the same disk.
    pub fn restart(&mut self) {
        self.open(self.disk.clone());
    }

    /// Starts again on this disk.
    pub fn open(&mut self, disk: Disk) {
        self.seed += 1 << 16;
        self.disk = disk.clone();
        let env = Env(self.clock.clone(), StdRng::seed_from_u64(self.seed));
        self.client = Client::open_in(disk, None, env).unwrap();
    }

    /// A snapshot of the whole machine, memory and randomness with it: two processes that go on from here alike.
    pub fn twin(&mut self) -> Self {
        let disk = self.disk.copy();
        self.restart();
        let env = Env(self.clock.clone(), StdRng::seed_from_u64(self.seed));
        let client = Client::open_in(disk.clone(), None, env).unwrap();
        let (user, clock, seed) = (self.user.clone(), self.clock.clone(), self.seed);
        Self { client, disk, clock, seed, user, events: self.events.clone(), taken: self.taken }
    }

    /// What has happened since this was last asked.
    pub fn news(&mut self) -> Vec<EventKind> {
        let news = self.events[self.taken..].iter().map(|event| event.what.clone()).collect();
        self.taken = self.events.len();
        news
    }

    /// What the commits since the last question changed.
    pub fn effects(&mut self) -> Vec<Effect> {
        let changed = |what| if let EventKind::Changed { effects, .. } = what { effects } else { Vec::new() };
        self.news().into_iter().flat_map(changed).collect()
    }

    /// Everything that others ever said to this device: who, and what.
    pub fn heard(&self) -> Vec<(String, String)> {
        self.messages().into_iter().map(|(_, user, text)| (user, text)).collect()
    }

    pub fn messages(&self) -> Vec<(MessageId, String, String)> {
        let said = |event: &Event| match &event.what {
            EventKind::Message { id, user, content, .. } => {
                Some((*id, user.name().to_owned(), String::from_utf8(content.clone()).unwrap()))
            }
            _ => None,
        };
        self.events.iter().filter_map(said).collect()
    }

    /// The messages of this device that count, in the order of the log.
    pub fn sent(&self) -> Vec<MessageId> {
        let sent = |event: &Event| if let EventKind::Sent { id, .. } = &event.what { Some(*id) } else { None };
        self.events.iter().filter_map(sent).collect()
    }

    pub fn say(&mut self, group: &GroupId, text: &str) -> MessageId {
        self.client.send(group, text.as_bytes()).unwrap()
    }

    pub fn status(&mut self, group: &GroupId) -> Status {
        self.client.group(group).unwrap().status()
    }

    pub fn epoch(&mut self, group: &GroupId) -> u64 {
        self.client.group(group).unwrap().state().epoch().0
    }

    pub fn queued(&mut self, group: &GroupId) -> usize {
        self.client.group(group).unwrap().queued()
    }

    pub fn has(&mut self, group: &GroupId, user: &UserUri) -> bool {
        self.client.group(group).unwrap().state().user(user).is_some()
    }

    pub fn role(&mut self, group: &GroupId, user: &UserUri) -> Role {
        self.client.group(group).unwrap().state().user(user).unwrap().role
    }

    /// The entries of one group that the hub holds for this device from here on.
    pub fn pending(&mut self, hub: &LocalHub, group: &GroupId) -> Vec<LogEntry> {
        let wanted = self.client.subscriptions().unwrap();
        wanted.iter().filter(|wanted| wanted.group == *group).flat_map(|wanted| hub.fetch(wanted)).collect()
    }

    pub fn outbox(&mut self) -> Vec<Post> {
        self.client.outbox(usize::MAX).unwrap()
    }

    /// Queues a change that is refused at once; why.
    pub fn refused(&mut self, group: &GroupId, change: Change) -> ErrorKind {
        self.client.change(group, change).expect_err("this change is not refused").kind()
    }

    /// Queues a change, tries to commit it, and expects it to be dropped; why.
    pub fn dropped(&mut self, world: &mut World, group: &GroupId, change: Change) -> ErrorKind {
        let intent = self.client.change(group, change).unwrap();
        self.news();
        world.sync(self);
        let reason = self.news().into_iter().find_map(|what| match what {
            EventKind::IntentDropped { intent: of, why } if of == intent => Some(why),
            _ => None,
        });
        reason.expect("this change is not dropped")
    }

    fn position(&mut self) -> Vec<(GroupId, Status, u64, usize)> {
        let groups = self.client.groups().unwrap();
        let of = |group| {
            let view = self.client.group(&group).unwrap();
            (group, view.status(), view.next_entry(), view.queued())
        };
        groups.into_iter().map(of).collect()
    }
}

/// Asserts that all of these hold the same group, with nothing left to send.
pub fn agree(group: &GroupId, devices: &mut [&mut Device]) {
    let views: Vec<_> = devices
        .iter_mut()
        .map(|device| {
            let view = device.client.group(group).unwrap();
            let state = view.state();
            let users: Vec<_> =
                state.users().map(|(uri, user)| (uri.clone(), user.role, user.identity.clone())).collect();
            let leaves: Vec<_> = state.leaves().map(|(index, leaf)| (index, leaf.hash())).collect();
            assert_eq!((view.status(), view.queued()), (Status::Active, 0), "{}", device.user);
            let shared = (state.policy().clone(), state.info().clone(), state.time());
            (state.epoch(), *state.transcript(), *view.authenticator(), users, leaves, shared)
        })
        .collect();
    for (view, device) in views.iter().zip(devices.iter()).skip(1) {
        assert_eq!(view, &views[0], "{} does not see what the first sees", device.user);
    }
}

/// Every order in which actors `0..actors` can take `steps` steps each.
pub fn interleavings(actors: usize, steps: usize) -> Vec<Vec<usize>> {
    fn extend(left: &mut Vec<usize>, so_far: &mut Vec<usize>, all: &mut Vec<Vec<usize>>) {
        if left.iter().all(|n| *n == 0) {
            all.push(so_far.clone());
        }
        for actor in 0..left.len() {
            if left[actor] > 0 {
                left[actor] -= 1;
                so_far.push(actor);
                extend(left, so_far, all);
                so_far.pop();
                left[actor] += 1;
            }
        }
    }
    let mut all = Vec::new();
    extend(&mut vec![steps; actors], &mut Vec::new(), &mut all);
    all
}
