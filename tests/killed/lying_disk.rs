//! The disk breaks the contract of a store: it loses what it had acknowledged, or keeps half of a set of changes.
//!
//! No client can make good what is lost. What must be so all the same: no key with its nonce is used for two things, the
//! others notice nothing, and the device is told, or finds out, and becomes a member like the others again.

mod world;

use std::collections::BTreeMap;

use convivio::client::EventKind;
use convivio::log::PostBody;
use convivio::ratchet::{EpochContext, Frame};
use convivio::testing::{Fault, FaultyStore};
use convivio::{Epoch, ErrorKind, Secret};
use convivio_killed_tests::client::Device;
use convivio_killed_tests::conversation::{Clock, Command, Done, View, Wanted};
use world::{Outcome, SALT, Victim, World};

/// The victim joins a group that another has founded.
const SEED: u64 = 2;

/// A device whose disk lies once.
struct Deceived {
    store: FaultyStore,
    device: Device<FaultyStore>,
    view: View,
    clock: Clock,
    /// It has noticed that its store is not whole.
    damaged: bool,
    restarted: bool,
}

impl Deceived {
    fn new(clock: &Clock) -> Self {
        let store = FaultyStore::new();
        let mut device = Device::start(store.clone(), (SEED, 0), clock).unwrap();
        let view = device.view().unwrap();
        Self { store, device, view, clock: clock.clone(), damaged: false, restarted: false }
    }

    fn restart(&mut self) {
        self.store = self.store.restart();
        self.restarted = true;
        match Device::start(self.store.clone(), (SEED, 1), &self.clock) {
            Ok(device) => self.device = device,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
                self.damaged = true;
            }
        }
    }

    /// What it holds now. If it notices that its store is not whole, it has nothing more to say.
    fn look(&mut self) {
        let seen =
            if self.damaged { Err(ErrorKind::Damaged) } else { self.device.view().map_err(|error| error.kind()) };
        self.view = seen.unwrap_or_else(|kind| {
            assert_eq!(kind, ErrorKind::Damaged);
            assert!(self.device.obey(Command::Outbox).is_err(), "bytes of a store that is not whole");
            self.damaged = true;
            View::default()
        });
    }
}

impl Victim for Deceived {
    fn view(&self) -> &View {
        &self.view
    }

    fn has_restarted(&self) -> bool {
        self.restarted
    }

    fn call(&mut self, what: &Command, _: u32) -> Outcome {
        if self.damaged {
            return Outcome::Refused(ErrorKind::Damaged);
        }
        let obeyed = self.device.obey(what.clone());
        let outcome = match obeyed {
            Ok(done) => Outcome::Done(done),
            Err(_) if self.store.has_failed() => {
                self.restart();
                Outcome::Interrupted { happened: false }
            }
            Err(error) => {
                self.damaged = error.kind() == ErrorKind::Damaged;
                Outcome::Refused(error.kind())
            }
        };
        self.look();
        outcome
    }
}

/// How it went: what the device was told, and how much that it was given to send never came, of what it was given before
/// its disk lied and of what it was given since.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Outcomes {
    stories: usize,
    lost_before: usize,
    lost_since: usize,
}

type Table = BTreeMap<&'static str, Outcomes>;

fn story(nth: u64, fault: Fault, table: &mut Table) {
    let clock = Clock::default();
    let mut world = World::new(SEED, &clock, Deceived::new(&clock));
    let before = world.victim.store.applies();
    world.victim.store.fail(nth, fault);
    world.live_on();
    assert!(world.victim.restarted && world.victim.store.applies() >= before + nth);
    if world.victim.damaged {
        world.leave_the_victim_alone();
    } else {
        world.recover(&clock);
        world.talk();
    }
    let [lost_before, lost_since] = world.others_agree();
    let told = world.told.iter().find_map(sign).unwrap_or("nothing");
    let told = if world.victim.damaged { "damaged" } else { told };
    let sum = table.entry(told).or_default();
    sum.stories += 1;
    sum.lost_before += lost_before;
    sum.lost_since += lost_since;
}

/// What tells an app that something is wrong with its device.
const fn sign(what: &EventKind) -> Option<&'static str> {
    match what {
        EventKind::RolledBack => Some("rolled back"),
        EventKind::CloneSuspected => Some("clone suspected"),
        EventKind::Excluded => Some("excluded"),
        _ => None,
    }
}

/// How many writes the stretch of life has.
fn writes() -> u64 {
    let clock = Clock::default();
    let mut world = World::new(SEED, &clock, Deceived::new(&clock));
    let before = world.victim.store.applies();
    world.live_on();
    world.victim.store.applies() - before
}

/// The disk lies once in each story, at each of the writes.
fn stories(fault: Fault) -> Table {
    let (mut table, writes) = (Table::new(), writes());
    assert!(writes > 20, "the story has {writes} writes");
    (1..=writes).for_each(|nth| story(nth, fault, &mut table));
    println!("{fault:?}: {table:#?}");
    table
}

#[test]
fn row_12_a_disk_that_forgets_what_it_had_acknowledged() {
    for sets in [1, 2, 5, 12] {
        let table = stories(Fault::Unsynced(sets));
        for (told, Outcomes { lost_since, .. }) in &table {
            // A message in a place of the chain that an earlier life has used is void for the others, and a client cannot
            // tell whether it is (`docs/protocol.md`, section 5.6): the app is warned.
            assert!(*lost_since == 0 || *told == "clone suspected", "{sets} lost: {table:#?}");
        }
        assert!(!table.contains_key("damaged"), "what was there once was whole: {table:#?}");
        assert_eq!(table.contains_key("rolled back"), sets > 1, "{sets} lost: {table:#?}");
        if sets == 1 {
            // As if the power had gone before the write.
            let unharmed = |outcomes: &Outcomes| outcomes.lost_before == 0;
            assert!(table.keys().eq(&["nothing"]) && table.values().all(unharmed), "{table:#?}");
        }
    }
}

/// The version alone, all but the version, and every other change, from the first on or from the second.
const TEARS: [u64; 4] = [1, !1, 0x5555_5555_5555_5555, 0xAAAA_AAAA_AAAA_AAAA];

#[test]
fn row_11_a_disk_that_keeps_a_part_of_a_set_of_changes() {
    let mut damaged = 0;
    for kept in TEARS {
        let table = stories(Fault::Torn(kept));
        let lost: usize = table.values().map(|outcomes| outcomes.lost_since).sum();
        assert_eq!(lost, 0, "it went on from half of a set: {table:#?}");
        damaged += table.get("damaged").map_or(0, |outcomes| outcomes.stories);
    }
    assert!(damaged > 10, "it noticed that its store was not whole {damaged} times");
}

/// A machine is copied while it runs: both copies have the same keys and even the same random generator. What they say
/// differently they encrypt under different keys and nonces; what they say alike is one message.
#[test]
fn row_12_two_copies_of_a_machine_never_encrypt_two_messages_under_one_key_and_nonce() {
    let clock = Clock::default();
    let world = World::new(SEED, &clock, Deceived::new(&clock));
    let group = world.victim.view.groups[0].group;
    let copies = [["one", "alike", "three"], ["uno", "alike", "tre"]].map(|texts| {
        let store = FaultyStore::holding(world.victim.store.contents());
        let mut device = Device::start(store, (SEED, 9), &clock).unwrap();
        let frames = texts.map(|text| {
            device.obey(Command::Send(group, text.to_owned())).unwrap();
            let Done::Posts(posts) = device.obey(Command::Outbox).unwrap() else { panic!("no posts") };
            match posts.last().map(|post| &post.body) {
                Some(PostBody::Message(frame)) => frame.clone(),
                other => panic!("not a message: {other:?}"),
            }
        });
        (frames, device.view().unwrap().groups.remove(0))
    });
    let [(ours, own), (theirs, _)] = &copies;
    let secret = Secret::from_bytes(&mut own.header_key.clone().try_into().unwrap());
    let context = EpochContext::new(group, Epoch(own.epoch), [0; 32], secret);
    for (n, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        let place = |frame: &[u8]| Frame::parse(frame).unwrap().unmask(&context);
        assert_eq!(place(ours), place(theirs), "they have one message key");
        assert_eq!(ours[SALT] == theirs[SALT], n == 1, "key and nonce come from it and the salt");
        assert_eq!(ours == theirs, n == 1);
    }
}

/// The same for commits: one header, in which the seed's commitment is, means one content key and nonce
/// (`docs/protocol.md`, section 4.2).
#[test]
fn row_12_two_copies_of_a_machine_never_encrypt_two_commits_under_one_key_and_nonce() {
    let clock = Clock::default();
    let world = World::new(SEED, &clock, Deceived::new(&clock));
    let group = world.victim.view.groups[0].group;
    let commits = [Wanted::Heal, Wanted::Rename("Journey".to_owned())].map(|wanted| {
        let store = FaultyStore::holding(world.victim.store.contents());
        let mut device = Device::start(store, (SEED, 9), &clock).unwrap();
        device.obey(Command::Change(group, wanted)).unwrap();
        let Done::Posts(mut posts) = device.obey(Command::Outbox).unwrap() else { panic!("no posts") };
        let Some(PostBody::Commit { commit, .. }) = posts.pop().map(|post| post.body) else { panic!("no commit") };
        commit
    });
    let [heal, rename] = &commits;
    assert_ne!(heal.body(), rename.body());
    assert_ne!(heal.header().bytes(), rename.header().bytes(), "one key and nonce for two commits");
}
