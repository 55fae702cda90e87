//! What a group of up to ten devices does, against a model that knows who is in, with which role, under which rules, and
//! who must have heard what (`docs/protocol.md`, section 5.2, 5.3 and 5.6). Readers lag, read in pieces, read twice and
//! restart; two may act at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arbitrary::{Arbitrary, Unstructured};
use convivio::client::{Answer, Change, Client, Environment, Event, EventKind, Status};
use convivio::identity::UnverifiedKeyPackage;
use convivio::log::LogEntry;
use convivio::store::MemoryStore;
use convivio::testing::LocalHub;
use convivio::{ErrorKind, GroupId, Timestamp};
use rand::rngs::StdRng;
use rand::{CryptoRng, SeedableRng};

use super::cast;
use super::rules::{Act, CAST, Model, OWNER, Rules, USERS};
use super::town::{NOW, Shared};
use super::{Seeds, noise};

#[derive(Arbitrary, Debug)]
enum Op {
    Do(u8, Deed),
    /// The second has decided before it hears of the first.
    Race(u8, Deed, u8, Deed),
    Leave(u8),
    Read(u8),
    /// Reads only so many entries.
    Part(u8, u8),
    Again(u8),
    Restart(u8),
}

#[derive(Arbitrary, Debug)]
pub enum Deed {
    Say(u8),
    Add(u8),
    Remove(u8),
    RemoveDevice(u8),
    Role(u8, u8),
    Policy(Rules),
    Info(u8),
    Heal,
}

struct Clock(Arc<AtomicU64>, StdRng);

impl Environment for Clock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }

    fn rng(&mut self) -> &mut dyn CryptoRng {
        &mut self.1
    }
}

struct Device {
    store: Shared,
    client: Client,
    heard: Vec<(String, Vec<u8>)>,
    received: Vec<LogEntry>,
    lives: u64,
}

struct Said {
    by: usize,
    text: Vec<u8>,
    /// Who was in.
    to: BTreeSet<usize>,
}

struct Play {
    hub: LocalHub,
    clock: Arc<AtomicU64>,
    group: GroupId,
    devices: Vec<Device>,
    model: Model,
    said: Vec<Said>,
}

pub fn run(data: &[u8]) {
    let mut play = Play::new();
    for op in Unstructured::new(data).arbitrary_iter::<Op>().into_iter().flatten().flatten().take(24) {
        play.step(&op);
    }
    play.finish();
}

/// A group in which this was done, and everyone has read it: the model, the next entry, every device's store.
pub fn played(deeds: &[(usize, Deed)]) -> (GroupId, Model, u64, Vec<MemoryStore>) {
    let mut play = Play::new();
    deeds.iter().for_each(|(by, deed)| play.act(*by, deed));
    play.finish();
    let next = play.devices[0].client.group(&play.group).unwrap().next_entry();
    (play.group, play.model, next, play.devices.iter().map(|device| device.store.snapshot()).collect())
}

fn device(number: u8) -> usize {
    usize::from(number) % CAST.len()
}

fn person(number: u8) -> usize {
    usize::from(number) % USERS.len()
}

impl Play {
    fn new() -> Self {
        let clock = Arc::new(AtomicU64::new(NOW.0));
        let mut devices: Vec<Device> = (0..CAST.len())
            .map(|n| {
                let store = Shared::default();
                let environment = Clock(Arc::clone(&clock), StdRng::seed_from_u64(n as u64));
                let client = Client::create_in(store.clone(), cast::device_keys(n), environment).unwrap();
                Device { store, client, heard: Vec::new(), received: Vec::new(), lives: 0 }
            })
            .collect();
        let group = devices[0].client.create_group(cast::policy(&Rules::USUAL), cast::info(0)).unwrap();
        let (hub, model) = (LocalHub::new(), Model::founded(0));
        let mut play = Self { hub, clock, group, devices, model, said: Vec::new() };
        play.read(0);
        play
    }

    fn step(&mut self, op: &Op) {
        match op {
            Op::Do(by, deed) => self.act(device(*by), deed),
            Op::Race(first, deed, second, other) if device(*first) != device(*second) => {
                self.race((device(*first), deed), (device(*second), other));
            }
            Op::Race(..) => {}
            Op::Leave(by) => self.leave(device(*by)),
            Op::Read(who) => self.read(device(*who)),
            Op::Part(who, count) => {
                let who = device(*who);
                let mut entries = self.hub.deliver(&mut self.devices[who].client).unwrap();
                entries.truncate((count % 8).into());
                self.receive(who, &entries);
            }
            Op::Again(who) => {
                let entries = self.devices[device(*who)].received.clone();
                self.receive(device(*who), &entries);
            }
            Op::Restart(who) => self.restart(device(*who)),
        }
    }

    fn act(&mut self, by: usize, deed: &Deed) {
        self.read(by);
        let asked = self.ask(by, deed);
        self.conclude(by, deed, asked);
    }

    fn race(&mut self, (first, deed): (usize, &Deed), (second, other): (usize, &Deed)) {
        self.read(first);
        self.read(second);
        let asked = self.ask(second, other);
        self.act(first, deed);
        self.conclude(second, other, asked);
    }

    /// Queues it. What is refused at once does not happen.
    fn ask(&mut self, by: usize, deed: &Deed) -> Option<Vec<u8>> {
        let group = self.group;
        let text = format!("{} by {by}", self.said.len() * 100 + by).into_bytes();
        let asked = match deed {
            Deed::Say(_) => self.devices[by].client.send(&group, &text).map(drop),
            deed => {
                let change = self.change(deed);
                self.devices[by].client.change(&group, change).map(drop)
            }
        };
        if !self.model.devices.contains(&by) {
            assert_eq!(asked.as_ref().unwrap_err().kind(), ErrorKind::UnknownGroup, "{by} {deed:?}");
        }
        let refused = [ErrorKind::NotAllowed, ErrorKind::NotMember, ErrorKind::UnknownGroup];
        asked.map_err(|error| assert!(refused.contains(&error.kind()), "{error}: {deed:?}")).ok().map(|()| text)
    }

    /// It goes through the log, or does not, as the model says.
    fn conclude(&mut self, by: usize, deed: &Deed, asked: Option<Vec<u8>>) {
        let before = self.model.clone();
        let heard = self.hub.seen().len();
        let predicted = if let Deed::Say(_) = deed {
            self.model.role(by).is_some_and(|role| role >= self.model.rules.post)
        } else {
            let next = self.model.commit(by, &acts(deed));
            next.map(|next| self.model = next).is_some()
        };
        let was_in = before.devices.contains(&by);
        let epoch = self.epoch(by);
        self.read(by);
        match (&asked, deed) {
            // It was refused at once, in a race perhaps for a reason that is gone.
            (None, _) => {
                self.model = before;
                assert_eq!(self.hub.seen().len(), heard, "{by} {deed:?} was refused and posted");
                return;
            }
            (Some(text), Deed::Say(_)) if predicted => {
                let to = before.devices.iter().copied().filter(|device| *device != by).collect();
                self.said.push(Said { by, text: text.clone(), to });
            }
            (Some(_), Deed::Say(_)) => {}
            (Some(_), _) if was_in => {
                let moved = self.epoch(by) != epoch;
                let others = self.hub.seen()[heard..].len();
                assert_eq!(others > 0 && moved, predicted, "{by} {deed:?} in {before:?}");
            }
            (Some(_), _) => {}
        }
        self.look(by);
    }

    fn epoch(&mut self, who: usize) -> Option<u64> {
        self.devices[who].client.group(&self.group).ok().map(|view| view.state().epoch().0)
    }

    fn change(&mut self, deed: &Deed) -> Change {
        match deed {
            Deed::Say(_) => panic!("not a change"),
            Deed::Add(who) => {
                let package = self.devices[device(*who)].client.key_packages(1).unwrap().remove(0);
                Change::Add(vec![UnverifiedKeyPackage::from_bytes(&package.to_bytes()).unwrap()])
            }
            Deed::Remove(who) => Change::Remove(cast::user(person(*who))),
            Deed::RemoveDevice(who) => Change::RemoveDevice(cast::device_id(device(*who))),
            Deed::Role(who, role) => Change::Role(cast::user(person(*who)), cast::role(role % 4)),
            Deed::Policy(rules) => Change::Policy(cast::policy(&rules.bounded())),
            Deed::Info(info) => Change::Info(cast::info(*info)),
            Deed::Heal => Change::Heal,
        }
    }

    fn leave(&mut self, by: usize) {
        self.read(by);
        let model = &self.model;
        let owners = model.users.values().filter(|user| user.role == OWNER).count();
        let may = model.role(by).is_some_and(|role| model.users.len() > 1 && !(role == OWNER && owners == 1));
        let asked = self.devices[by].client.change(&self.group, Change::Leave);
        assert_eq!(asked.is_ok(), may, "{by} leaves {model:?}");
        if !may {
            return;
        }
        self.model.take_out(CAST[by].user);
        for _ in 0..2 {
            self.read(by);
            self.model.devices.clone().into_iter().for_each(|device| self.read(device));
            // Within half a minute another member has committed it.
            self.clock.fetch_add(40, Ordering::Relaxed);
        }
        self.read(by);
        self.look(by);
        self.model.devices.clone().into_iter().for_each(|device| {
            self.read(device);
            self.look(device);
        });
    }

    /// Posts and reads until nothing is left.
    fn read(&mut self, who: usize) {
        for _ in 0..20 {
            self.hub.post_outbox(&mut self.devices[who].client).unwrap();
            let entries = self.hub.deliver(&mut self.devices[who].client).unwrap();
            let before = self.devices[who].client.subscriptions().unwrap();
            self.receive(who, &entries);
            if self.devices[who].client.subscriptions().unwrap() == before {
                return;
            }
        }
        panic!("device {who} is never done");
    }

    fn receive(&mut self, who: usize, entries: &[LogEntry]) {
        let (events, _) = self.devices[who].client.receive(entries).unwrap();
        self.devices[who].received.extend_from_slice(entries);
        events.iter().for_each(|event| self.take(who, event));
        if let Some(last) = events.last() {
            self.devices[who].client.ack(last.id).unwrap();
        }
    }

    fn take(&mut self, who: usize, event: &Event) {
        let (group, device) = (self.group, &mut self.devices[who]);
        match &event.what {
            EventKind::Message { user, content, .. } => device.heard.push((user.name().to_owned(), content.clone())),
            EventKind::Invitation { .. } => {
                // In the same fetch it may have been taken out again.
                if device.client.group(&group).unwrap().status() == Status::Invited {
                    device.client.answer(&group, Answer::Accept).unwrap();
                }
            }
            EventKind::Removed => device.client.forget(&group).unwrap(),
            // Ben's name came with another identity key: his contacts are told.
            EventKind::IdentityChanged { user, .. } => assert_eq!(*user, cast::user(1)),
            EventKind::Changed { .. }
            | EventKind::Sent { .. }
            | EventKind::Joined { .. }
            | EventKind::IntentDropped { .. }
            | EventKind::MessageDropped { .. }
            | EventKind::Gap { .. }
            | EventKind::Void { .. } => {}
            other => panic!("device {who}: {other:?} among honest devices"),
        }
    }

    fn restart(&mut self, who: usize) {
        let device = &mut self.devices[who];
        device.lives += 1;
        let dice = StdRng::seed_from_u64(device.lives << 8 | who as u64);
        device.client = Client::open_in(device.store.clone(), None, Clock(Arc::clone(&self.clock), dice)).unwrap();
    }

    /// A device that has read everything sees what the model says.
    fn look(&mut self, who: usize) {
        let Device { client, .. } = &mut self.devices[who];
        if self.model.devices.contains(&who) {
            let view = client.group(&self.group).unwrap();
            assert_eq!((view.status(), view.queued()), (Status::Active, 0), "device {who}");
            cast::compare(view.state(), &self.model);
        } else {
            assert!(client.groups().unwrap().is_empty(), "device {who} is out");
        }
    }

    fn finish(&mut self) {
        let mut authenticators = BTreeSet::new();
        for who in 0..self.devices.len() {
            self.read(who);
            self.look(who);
            if self.model.devices.contains(&who) {
                authenticators.insert(*self.devices[who].client.group(&self.group).unwrap().authenticator());
            }
            let said = self.said.iter().filter(|said| said.to.contains(&who));
            let expected: Vec<_> = said.map(|said| (USERS[CAST[said.by].user].to_owned(), said.text.clone())).collect();
            assert_eq!(self.devices[who].heard, expected, "device {who}");
        }
        assert_eq!(authenticators.len(), 1, "the members hold different groups");
    }
}

fn acts(deed: &Deed) -> Vec<Act> {
    match deed {
        Deed::Say(_) => panic!("not a change"),
        Deed::Add(who) => vec![Act::Add { device: device(*who), sound: true }],
        Deed::Remove(who) => vec![Act::Remove(person(*who))],
        Deed::RemoveDevice(who) => vec![Act::RemoveDevice(device(*who))],
        Deed::Role(who, role) => vec![Act::Role(person(*who), role % 4)],
        Deed::Policy(rules) => vec![Act::Policy(rules.bounded())],
        Deed::Info(info) => vec![Act::Info(*info)],
        Deed::Heal => Vec::new(),
    }
}

pub fn seeds() -> Seeds {
    noise(&[30, 120, 400])
}
