//! The disk fails at each write, in every way in which a disk can.

mod world;

use convivio::ErrorKind;
use convivio::testing::{Fault, FaultyStore};
use convivio_killed_tests::client::Device;
use convivio_killed_tests::conversation::{Clock, Command, View};
use world::{Outcome, Victim, World};

/// A device whose disk fails at its next write, whenever it is told something for the first time.
struct Failing {
    store: FaultyStore,
    device: Device<FaultyStore>,
    view: View,
    seed: u64,
    lives: u64,
    faults: &'static [Fault],
    failures: usize,
}

impl Failing {
    fn new(seed: u64, faults: &'static [Fault]) -> Self {
        let store = FaultyStore::new();
        let mut device = Device::start(store.clone(), (seed, 0), &Clock::default()).unwrap();
        let view = device.view().unwrap();
        Self { store, device, view, seed, lives: 0, faults, failures: 0 }
    }

    /// As after a crash, even if the process has not ended: the client knows no more than a new one.
    fn restart(&mut self) {
        self.lives += 1;
        self.failures += 1;
        self.store = self.store.restart();
        self.device = Device::start(self.store.clone(), (self.seed, self.lives), &Clock::default()).unwrap();
        self.view = self.device.view().unwrap();
    }
}

impl Victim for Failing {
    fn view(&self) -> &View {
        &self.view
    }

    fn has_restarted(&self) -> bool {
        self.lives > 0
    }

    fn call(&mut self, what: &Command, attempt: u32) -> Outcome {
        // Whose answer came, a new process does not know: there is no second try, the post is posted again.
        let skipped = usize::from(matches!(what, Command::Posted(..)) && self.lives % 2 == 1);
        let fault = self.faults.get(attempt as usize + skipped).copied();
        if let Some(fault) = fault {
            self.store.fail(1, fault);
        }
        let before = self.view.clone();
        match self.device.obey(what.clone()) {
            Ok(done) => {
                self.view = self.device.view().unwrap();
                Outcome::Done(done)
            }
            Err(error) => {
                assert!(self.store.has_failed(), "{what:?}: {error}");
                assert_eq!(error.kind(), ErrorKind::Storage);
                assert_eq!(self.device.view().unwrap_err().kind(), ErrorKind::Closed);
                self.restart();
                let happened = matches!(fault, Some(Fault::After | Fault::Misreported));
                assert_eq!(self.view.version, before.version + u64::from(happened));
                assert!(happened || self.view == before, "{what:?} was half done");
                Outcome::Interrupted { happened }
            }
        }
    }
}

/// Everything that a device does, by founders and joiners.
fn stories(faults: &'static [Fault]) {
    for seed in 1..=8 {
        let mut world = World::new(seed, &Clock::default(), Failing::new(seed, faults));
        world.play();
        world.quiet();
        world.check();
        let failures = world.victim.failures;
        assert!(if faults.is_empty() { failures == 0 } else { failures > 50 }, "the disk failed {failures} times");
    }
}

#[test]
fn row_11_the_power_goes_around_each_write() {
    stories(&[Fault::Before, Fault::After]);
}

#[test]
fn row_11_the_disk_is_full_at_each_write_and_then_loses_its_answer() {
    stories(&[Fault::Refused, Fault::Misreported]);
}

/// The same lives, so that what fails above fails for the faults.
#[test]
fn a_disk_that_works() {
    stories(&[]);
}
