//! A group of three, of whom one is killed again and again, and what must be so whatever happens.

#![allow(dead_code, reason = "each test uses its part")]

mod lied_to;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use convivio::client::{Answer, Event, EventId, EventKind, Status, Subscription};
use convivio::group::{GroupInfo, RejoinRequest, Role};
use convivio::identity::{IdentityKey, UnverifiedKeyPackage, UserUri};
use convivio::log::{EntryBody, LogEntry, Post, PostBody, PostId, PostReply};
use convivio::ratchet::{EpochContext, Frame};
use convivio::store::MemoryStore;
use convivio::testing::{App, LocalHub};
use convivio::{Change, Client, Epoch, ErrorKind, GroupId, MessageId, Secret};
use convivio_killed_tests::conversation::{Answered, Clock, Command, Done, GroupSeen, Simulated, View, Wanted, app};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// The device that things are done to.
pub trait Victim {
    /// What it holds, as far as it has said.
    fn view(&self) -> &View;

    /// Tells it to do something. `attempt` counts how often it was told so before.
    fn call(&mut self, what: &Command, attempt: u32) -> Outcome;

    /// Whether it has failed and started again.
    fn has_restarted(&self) -> bool;
}

/// What became of a command.
#[derive(Debug)]
pub enum Outcome {
    Done(Done),
    /// The device failed before it answered, and has started again; whether it has done what it was told all the same.
    Interrupted {
        happened: bool,
    },
    /// The device would not: only where its disk has lied to it.
    Refused(ErrorKind),
}

/// Where the salt is in a frame.
pub const SALT: Range<usize> = 21..37;

/// Steps between two episodes.
const STEPS: u32 = 8;

/// The frames under one message key, by their salts, from which the key and nonce of each come.
type Salts = BTreeMap<Vec<u8>, Vec<u8>>;

/// A member who is left alone.
struct Peer {
    client: Client,
    user: UserUri,
    heard: Vec<(MessageId, String)>,
    requests: Vec<RejoinRequest>,
}

pub struct World<V> {
    app: App,
    hub: LocalHub,
    peers: [Peer; 2],
    guest: Peer,
    pub victim: V,
    user: UserUri,
    group: GroupId,
    rng: StdRng,
    /// What was said: by the victim, and by the others.
    said: [BTreeSet<String>; 2],
    /// The events that the victim's app has taken over, and the last that it acknowledged.
    taken: BTreeMap<EventId, Event>,
    acknowledged: EventId,
    /// Which frames went out under each header key, leaf and generation, by their salts.
    frames: BTreeMap<(Vec<u8>, u32, u32), Salts>,
    /// Which commit went out for each epoch.
    commits: BTreeMap<u64, PostId>,
    /// How many changes the victim was asked for, and how many are known to be over.
    wanted: usize,
    over: usize,
    /// The victim's disk has forgotten what it had acknowledged, or has half of it: there is less to rely on.
    pub lied_to: bool,
    /// How often it was to say something since then, and what it was told.
    spoken: usize,
    /// What it was given to say after its disk had lied.
    since: BTreeSet<String>,
    pub told: Vec<EventKind>,
}

impl<V: Victim> World<V> {
    /// Founded by the victim or by another, as the seed has it; all are owners.
    pub fn new(seed: u64, clock: &Clock, victim: V) -> Self {
        let (app, ..) = app(seed);
        let mut rng = StdRng::seed_from_u64(!seed);
        let mut peer = |name: &str| {
            let keys = app.enrol_device(name, &IdentityKey::generate(&mut rng), 0, &mut rng).unwrap();
            let client = Client::create_in(MemoryStore::new(), keys, Simulated::new(clock, rng.random())).unwrap();
            Peer { client, user: app.user(name).unwrap(), heard: Vec::new(), requests: Vec::new() }
        };
        let (peers, guest) = ([peer("anna"), peer("bob")], peer("guest"));
        let mut world = Self {
            hub: LocalHub::new(),
            peers,
            guest,
            victim,
            user: app.user("victim").unwrap(),
            app,
            group: GroupId::from_bytes([0; 16]),
            rng,
            said: Default::default(),
            taken: BTreeMap::new(),
            acknowledged: EventId(0),
            frames: BTreeMap::new(),
            commits: BTreeMap::new(),
            wanted: 0,
            over: 0,
            lied_to: false,
            spoken: 1_000,
            since: BTreeSet::new(),
            told: Vec::new(),
        };
        if seed % 4 < 2 {
            world.found()
        } else {
            world.join()
        }
        world.quiet();
        world
    }

    fn found(&mut self) {
        self.once(&Command::Found);
        self.group = self.victim.view().groups[0].group;
        let packages = self.peers.each_mut().map(|peer| peer.package());
        self.change(Wanted::Add(packages.to_vec()));
        self.turn();
        for peer in &mut self.peers {
            peer.sync(&mut self.hub);
            peer.client.answer(&self.group, Answer::Accept).unwrap();
        }
        for n in 0..2 {
            let user = self.peers[n].user.clone();
            self.change(Wanted::MakeOwner(user));
        }
    }

    fn join(&mut self) {
        let [anna, bob] = &mut self.peers;
        let policy = App::policy(&[&self.app]).unwrap();
        self.group = anna.client.create_group(policy, GroupInfo::new("Trip", "").unwrap()).unwrap();
        anna.client.change(&self.group, Change::Add(vec![bob.package()])).unwrap();
        anna.sync(&mut self.hub);
        bob.sync(&mut self.hub);
        bob.client.answer(&self.group, Answer::Accept).unwrap();
        anna.client.change(&self.group, Change::Role(bob.user.clone(), Role::Owner)).unwrap();
        self.invite();
    }

    /// Anna adds the victim, who accepts and is made an owner.
    fn invite(&mut self) {
        let Some(Done::KeyPackage(package)) = self.insist(&Command::KeyPackage) else { panic!("no key package") };
        let anna = &mut self.peers[0];
        anna.client.change(&self.group, Change::Add(vec![*package])).unwrap();
        anna.client.change(&self.group, Change::Role(self.user.clone(), Role::Owner)).unwrap();
        anna.sync(&mut self.hub);
        self.quiet();
        assert_eq!(self.own().status, "Invited");
        self.once(&Command::Accept(self.group));
        assert_eq!(self.own().status, "Active");
    }

    /// The group as the victim sees it.
    fn own(&self) -> &GroupSeen {
        self.victim.view().group(&self.group).expect("the victim has no group any more")
    }

    fn queued(&self) -> Option<usize> {
        self.victim.view().group(&self.group).map(|own| own.queued)
    }

    /// Has the victim do what must not be done twice. Whether it did.
    fn once(&mut self, command: &Command) -> bool {
        for attempt in 0..1_000 {
            match self.victim.call(command, attempt) {
                Outcome::Done(_) | Outcome::Interrupted { happened: true } => return true,
                Outcome::Interrupted { .. } | Outcome::Refused(_) if self.lied_to => return false,
                Outcome::Interrupted { happened: false } => {}
                Outcome::Refused(why) => panic!("{command:?}: {why:?}"),
            }
        }
        false
    }

    /// Has the victim do what may be done again, until it has given what it is to give.
    fn insist(&mut self, command: &Command) -> Option<Done> {
        (0..1_000).find_map(|attempt| match self.victim.call(command, attempt) {
            Outcome::Done(done) => Some(done),
            Outcome::Interrupted { .. } => None,
            Outcome::Refused(_) if self.lied_to => Some(Done::Nothing),
            Outcome::Refused(why) => panic!("{command:?}: {why:?}"),
        })
    }

    /// As an app does it that was killed meanwhile: it looks into the queue before it asks again.
    fn enqueue(&mut self, command: &Command) {
        let before = self.queued();
        self.once(command);
        assert!(self.queued() == before.map(|before| before + 1) || self.lied_to, "{command:?}");
    }

    fn change(&mut self, wanted: Wanted) {
        self.wanted += 1;
        self.enqueue(&Command::Change(self.group, wanted));
    }

    fn send(&mut self) {
        let text = format!("victim says {}", self.said[0].len());
        self.enqueue(&Command::Send(self.group, text.clone()));
        self.said[0].insert(text);
    }

    /// One turn of the victim's app. Whether anything moved.
    fn turn(&mut self) -> bool {
        let posted = self.post(0.0);
        let fetched = self.fetch(0.0);
        self.take() | posted | fetched
    }

    /// Whether the hub has taken anything new.
    fn post(&mut self, loss: f64) -> bool {
        let posts = match self.insist(&Command::Outbox) {
            Some(Done::Posts(posts)) => posts,
            _ if self.lied_to => return false,
            _ => panic!("no outbox"),
        };
        let before = self.hub.seen().len();
        for post in posts {
            self.note(&post);
            if self.rng.random_bool(loss) {
                break;
            }
            let answered = match self.hub.post(&self.app.domain().clone(), &post) {
                PostReply::Accepted => Answered::Accepted,
                PostReply::Behind => Answered::Behind,
                _ => Answered::Refused,
            };
            if !self.rng.random_bool(loss) {
                self.insist(&Command::Posted(Box::new(post), answered));
            }
        }
        self.hub.seen().len() != before
    }

    /// No generation of a chain is ever used for two frames, and no epoch for two commits, whatever became of them.
    fn note(&mut self, post: &Post) {
        let (own, lied_to) = (self.own().clone(), self.lied_to);
        match &post.body {
            PostBody::Message(bytes) => {
                let frame = Frame::parse(bytes).unwrap();
                let key = own.header_key.clone();
                let secret = Secret::from_bytes(&mut key.clone().try_into().unwrap());
                assert_eq!(u64::from(frame.epoch_low()), own.epoch, "a frame of another epoch");
                let context = EpochContext::new(post.group, Epoch(own.epoch), [0; 32], secret);
                let (leaf, generation) = frame.unmask(&context);
                assert_eq!(leaf, own.leaf);
                let salts = self.frames.entry((key, leaf.0, generation.0)).or_default();
                let known = salts.entry(bytes[SALT].to_vec()).or_insert_with(|| bytes.clone());
                assert_eq!(known, bytes, "two frames under one key and nonce");
                assert!(salts.len() == 1 || lied_to, "two frames under one message key");
            }
            PostBody::Commit { .. } => {
                let known = self.commits.entry(own.epoch).or_insert_with(|| post.id());
                assert!(*known == post.id() || lied_to, "two commits for one epoch");
            }
            _ => {}
        }
    }

    fn fetch(&mut self, loss: f64) -> bool {
        let mut entries = self.hub.welcomes(&self.victim.view().packages);
        for (group, leaf, next) in self.victim.view().reads.clone() {
            entries.extend(self.hub.fetch(&Subscription { group, leaf, next }));
        }
        if self.rng.random_bool(loss) {
            entries.truncate(entries.len() / 2);
        }
        self.receive(entries)
    }

    fn receive(&mut self, entries: Vec<LogEntry>) -> bool {
        let before = self.victim.view().reads.clone();
        if !entries.is_empty() {
            self.insist(&Command::Receive(entries));
        }
        self.victim.view().reads != before
    }

    /// The app takes over what is in the inbox, then acknowledges. Whether there was anything.
    fn take(&mut self) -> bool {
        let inbox = self.victim.view().inbox.clone();
        for event in &inbox {
            if self.lied_to {
                self.told.push(event.what.clone());
                continue;
            }
            assert!(event.id > self.acknowledged, "{event:?} comes after it was acknowledged");
            match self.taken.get(&event.id) {
                Some(known) => assert_eq!(known, event, "an event changed"),
                None => {
                    let ends = matches!(
                        event.what,
                        EventKind::Changed { intent: Some(_), .. } | EventKind::IntentDropped { .. }
                    );
                    self.over += usize::from(ends);
                    self.taken.insert(event.id, event.clone());
                }
            }
        }
        let Some(last) = inbox.last() else { return false };
        self.insist(&Command::Ack(last.clone()));
        self.acknowledged = last.id;
        assert!(self.victim.view().inbox.is_empty() || self.lied_to);
        true
    }

    /// Until nobody has anything left to do.
    pub fn quiet(&mut self) {
        for _ in 0..100 {
            let mut moved = self.turn();
            for peer in self.peers.iter_mut().chain([&mut self.guest]) {
                moved |= peer.sync(&mut self.hub);
            }
            if !moved {
                return;
            }
        }
        panic!("it never gets quiet");
    }

    /// A life with everything in it.
    pub fn play(&mut self) {
        for episode in [Self::take_in_a_guest, Self::be_left_out_and_return, Self::be_removed_and_return] {
            (0..STEPS).for_each(|_| self.step());
            episode(self);
        }
    }

    /// One step, of whatever kind.
    pub fn step(&mut self) {
        let n = self.rng.random_range(0..2);
        match self.rng.random_range(0..40) {
            0..12 => self.send(),
            12..15 => self.change(Wanted::Heal),
            15 => {
                let name = format!("Trip {}", self.wanted);
                self.change(Wanted::Rename(name));
            }
            16..20 => {
                let text = format!("another says {}", self.said[1].len());
                self.peers[n].client.send(&self.group, text.as_bytes()).unwrap();
                self.peers[n].sync(&mut self.hub);
                self.said[1].insert(text);
            }
            20..23 => {
                self.peers[n].client.change(&self.group, Change::Heal).unwrap();
                self.peers[n].sync(&mut self.hub);
            }
            23..26 => drop(self.post(0.2)),
            26..29 => drop(self.fetch(0.3)),
            29 => drop(self.take()),
            30 => self.take_in_a_guest(),
            31 => self.be_removed_and_return(),
            32 => self.be_left_out_and_return(),
            _ => drop(self.turn()),
        }
    }

    /// The victim adds someone, and takes them out again.
    fn take_in_a_guest(&mut self) {
        self.quiet();
        let (package, user) = (self.guest.package(), self.guest.user.clone());
        self.change(Wanted::Add(vec![package]));
        self.quiet();
        self.guest.client.answer(&self.group, Answer::Accept).unwrap();
        self.change(Wanted::Remove(user));
        self.quiet();
        assert_eq!(self.guest.client.group(&self.group).unwrap().status(), Status::Removed);
        self.guest.client.forget(&self.group).unwrap();
    }

    /// Anna removes the victim, which forgets the group and is invited anew.
    fn be_removed_and_return(&mut self) {
        self.quiet();
        self.check();
        self.peers[0].client.change(&self.group, Change::Remove(self.user.clone())).unwrap();
        self.quiet();
        assert_eq!(self.own().status, "Removed");
        self.once(&Command::Forget(self.group));
        assert!(self.victim.view().groups.is_empty());
        self.invite();
    }

    /// The hub keeps the victim's part of a commit from it; it notices, asks, and Anna readmits it.
    fn be_left_out_and_return(&mut self) {
        self.quiet();
        for _ in 0..2 {
            self.peers[1].client.change(&self.group, Change::Heal).unwrap();
            self.peers[1].sync(&mut self.hub);
            let [(group, leaf, next)] = self.victim.view().reads[..] else { panic!("one group is read") };
            let mut entries = self.hub.fetch(&Subscription { group, leaf, next });
            for entry in &mut entries {
                if let EntryBody::Commit { stanza, .. } = &mut entry.body {
                    *stanza = None;
                }
            }
            self.receive(entries);
        }
        assert_eq!(self.own().status, "Excluded");
        self.send();
        self.enqueue(&Command::Change(self.group, Wanted::Rejoin));
        self.quiet();
        let request = self.peers[0].requests.pop().expect("a request to be readmitted");
        self.peers.iter_mut().for_each(|peer| peer.requests.clear());
        self.peers[0].client.change(&self.group, Change::Readmit(Box::new(request))).unwrap();
        self.quiet();
        assert_eq!(self.own().status, "Active");
    }

    /// Everyone has the same group, nothing waits, and everyone has what the others said, each once.
    pub fn check(&mut self) {
        let own = self.own().clone();
        assert_eq!((own.status.as_str(), own.queued), ("Active", 0));
        for peer in &mut self.peers {
            let view = peer.client.group(&self.group).unwrap();
            assert_eq!((view.status(), view.queued()), (Status::Active, 0));
            assert_eq!((view.authenticator(), view.state().epoch().0), (&own.authenticator, own.epoch));
            assert_eq!(view.state().context_hash(), own.context_hash);
            let heard = peer.heard.iter().map(|(_, text)| text);
            let mut heard: Vec<&String> = heard.filter(|text| text.starts_with("victim")).collect();
            heard.sort();
            assert!(heard.into_iter().eq(&self.said[0]), "{} has not heard all, each once", peer.user);
        }
        let mut heard: Vec<String> =
            self.taken.values().filter_map(|event| text(&event.what)).map(|(_, text)| text).collect();
        heard.sort();
        assert!(heard.iter().eq(&self.said[1]), "the victim has not heard all, each once");
        assert_eq!(self.over, self.wanted, "a change happened twice, or not at all");
    }
}

impl Peer {
    fn package(&mut self) -> UnverifiedKeyPackage {
        (&self.client.key_packages(1).unwrap()[0]).try_into().unwrap()
    }

    /// Whether anything moved.
    fn sync(&mut self, hub: &mut LocalHub) -> bool {
        let before = (hub.seen().len(), self.client.subscriptions().unwrap());
        hub.sync(&mut self.client).unwrap();
        let inbox = self.client.inbox(usize::MAX).unwrap();
        if let Some(last) = inbox.last() {
            self.client.ack(last.id).unwrap();
        }
        for event in inbox {
            self.heard.extend(text(&event.what));
            if let EventKind::RejoinRequested { request, .. } = event.what {
                self.requests.push(*request);
            }
        }
        before != (hub.seen().len(), self.client.subscriptions().unwrap())
    }
}

fn text(what: &EventKind) -> Option<(MessageId, String)> {
    match what {
        EventKind::Message { id, content, .. } => Some((*id, String::from_utf8(content.clone()).unwrap())),
        _ => None,
    }
}
