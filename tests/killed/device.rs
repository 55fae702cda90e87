//! One device over a file, which does what it is told until it is killed: `device PATH SEED LIFE`.
//!
//! An odd seed keeps the file sealed.

use std::io::{self, Read, Stdout};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard};
use std::{env, process};

use convivio::store::{ChangeSet, RecordKey, RedbStore, SealedStore, Store, StoreError, StoreKey};
use convivio_killed_tests::client::Device;
use convivio_killed_tests::conversation::{self, Clock, Done, Report, Request, Stop};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().collect();
    let [_, path, seed, life] = arguments.as_slice() else {
        eprintln!("usage: device PATH SEED LIFE");
        return ExitCode::FAILURE;
    };
    match live(path, seed.parse().unwrap(), life.parse().unwrap()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The test reads it, if it still lives.
            let _ = conversation::write(&mut io::stdout(), &Report::Failed(describe(error.as_ref())));
            ExitCode::FAILURE
        }
    }
}

type Failure = Box<dyn std::error::Error>;

fn describe(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Starts, and obeys until the test ends the conversation or the process.
fn live(path: &str, seed: u64, life: u64) -> Result<(), Failure> {
    let store = Watched::open(path, seed)?;
    let mut device = Device::start(store.clone(), (seed, life), &Clock::default())?;
    let view = device.view()?;
    store.shared().report(&Report::Done(Done::Nothing, Box::new(view)));
    loop {
        let request: Request = match conversation::read(&mut io::stdin()) {
            Ok(request) => request,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        store.shared().stop = request.stop;
        let done = device.obey(request.what)?;
        let view = device.view()?;
        let mut shared = store.shared();
        shared.stop = None;
        shared.report(&Report::Done(done, Box::new(view)));
    }
}

/// A store that says before and after it writes, and stands still there if it was told to.
#[derive(Clone)]
struct Watched(Arc<Mutex<Shared>>);

struct Shared {
    store: Box<dyn Store>,
    stop: Option<Stop>,
    output: Stdout,
}

impl Watched {
    fn open(path: &str, seed: u64) -> Result<Self, StoreError> {
        let file = RedbStore::open_or_create(path)?;
        let store: Box<dyn Store> = if seed % 2 == 1 {
            Box::new(SealedStore::open_or_create(file, StoreKey::from_bytes(&mut [7; 32]))?)
        } else {
            Box::new(file)
        };
        Ok(Self(Arc::new(Mutex::new(Shared { store, stop: None, output: io::stdout() }))))
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap()
    }
}

impl Shared {
    fn report(&mut self, report: &Report) {
        // Without a test there is nobody to work for: the process is about to end.
        let _ = conversation::write(&mut self.output, report);
    }

    /// Until it is killed, or the test is gone.
    fn stand_still(&self, at: Stop) {
        if self.stop == Some(at) {
            let _ = io::stdin().read_to_end(&mut Vec::new());
            process::exit(1);
        }
    }
}

impl Store for Watched {
    fn load(&self, key: &RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        self.shared().store.load(key)
    }

    fn apply(&mut self, changes: &ChangeSet) -> Result<(), StoreError> {
        let mut shared = self.shared();
        shared.report(&Report::Writes);
        shared.stand_still(Stop::BeforeTheWrite);
        shared.store.apply(changes)?;
        shared.report(&Report::Written);
        shared.stand_still(Stop::AfterTheWrite);
        Ok(())
    }
}
