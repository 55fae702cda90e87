//! The disk breaks the contract of a store: it loses what it had acknowledged, or keeps half of a set of changes.
//!
//! No client can make good what is lost. What must be so all the same: no key with its nonce is used for two things, the
//! others notice nothing, and the device is told, or finds out, and becomes a member like the others again.

mod world;

use std::collections::BTreeMap;

use convivio::ErrorKind;
use convivio::client::EventKind;
use convivio::testing::{Fault, FaultyStore};
use convivio_killed_tests::client::Device;
use convivio_killed_tests::conversation::{Clock, Command, View};
use world::{Outcome, Victim, World};

/// A device whose disk lies once.
struct Deceived {
    store: FaultyStore,
    device: Device<FaultyStore>,
    view: View,
    seed: u64,
    clock: Clock,
    /// It has noticed that its store is not whole.
    damaged: bool,
}

impl Deceived {
    fn new(seed: u64, clock: &Clock) -> Self {
        let store = FaultyStore::new();
        let mut device = Device::start(store.clone(), (seed, 0), clock).unwrap();
        let view = device.view().unwrap();
        Self { store, device, view, seed, clock: clock.clone(), damaged: false }
    }

    fn restart(&mut self) {
        self.store = self.store.restart();
        match Device::start(self.store.clone(), (self.seed, 1), &self.clock) {
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

/// How it went: what the device was told, and whether anything that it had been given to send never came.
fn story(seed: u64, nth: u64, fault: Fault) -> (&'static str, usize) {
    println!("seed {seed} nth {nth} {fault:?}");
    let clock = Clock::default();
    let mut world = World::new(seed, &clock, Deceived::new(seed, &clock));
    world.victim.store.fail(nth, fault);
    world.live_on();
    assert!(world.victim.store.applies() > nth);
    if world.victim.damaged {
        world.leave_the_victim_alone();
        return ("damaged", world.others_agree());
    }
    world.recover(&clock);
    println!("{:?}", world.told);
    let lost = world.others_agree();
    let told = |what: &EventKind| match what {
        EventKind::RolledBack => Some("rolled back"),
        EventKind::CloneSuspected => Some("clone suspected"),
        EventKind::Excluded => Some("excluded"),
        _ => None,
    };
    let told = world.told.iter().find_map(told).unwrap_or("nothing");
    world.talk();
    (told, lost)
}

/// How many writes the stretch of life has.
fn writes(seed: u64) -> u64 {
    let clock = Clock::default();
    let mut world = World::new(seed, &clock, Deceived::new(seed, &clock));
    let before = world.victim.store.applies();
    world.live_on();
    world.victim.store.applies() - before
}

fn stories(faults: &[Fault]) -> BTreeMap<&'static str, (u32, usize)> {
    let mut table = BTreeMap::new();
    for seed in [2, 3] {
        for nth in 1..=writes(seed) {
            for fault in faults {
                let (told, lost) = story(seed, nth, *fault);
                let row = table.entry(told).or_insert((0, 0));
                *row = (row.0 + 1, row.1 + lost);
            }
        }
    }
    println!("{faults:?}: told, how often, words lost: {table:?}");
    table
}

#[test]
fn row_12_a_disk_that_forgets_its_last_writes() {
    stories(&[Fault::Unsynced(1)]);
    stories(&[Fault::Unsynced(2)]);
    stories(&[Fault::Unsynced(5)]);
    stories(&[Fault::Unsynced(12)]);
}

#[test]
fn row_11_a_disk_that_tears_a_set_of_changes() {
    stories(&[Fault::Torn(1)]);
    stories(&[Fault::Torn(!1)]);
    stories(&[Fault::Torn(0x5555_5555_5555_5555)]);
    stories(&[Fault::Torn(0xAAAA_AAAA_AAAA_AAAA)]);
}
