//! One device over a file, which does what it is told until it is killed: `device PATH SEED LIFE`.
//!
//! An odd seed keeps the file sealed. LIFE numbers the starts, so that no two draw the same randomness.

use std::io::{self, Read, Stdout};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard};
use std::{env, process};

use conversation::{Answered, Command, Done, GroupSeen, Report, Request, Simulated, Stop, View, Wanted};
use convivio::client::{Answer, Event};
use convivio::group::{GroupInfo, Role};
use convivio::identity::UnverifiedKeyPackage;
use convivio::log::PostReply;
use convivio::store::{ChangeSet, RecordKey, RedbStore, SealedStore, Store, StoreError, StoreKey};
use convivio::testing::App;
use convivio::{Change, Client, ErrorKind, GroupId};

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
    let mut device = Device::start(path, seed, life)?;
    let view = device.view()?;
    device.store.shared().report(&Report::Done(Done::Nothing, Box::new(view)));
    loop {
        let request: Request = match conversation::read(&mut io::stdin()) {
            Ok(request) => request,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        device.store.shared().stop = request.stop;
        let done = device.obey(request.what)?;
        let view = device.view()?;
        let mut shared = device.store.shared();
        shared.stop = None;
        shared.report(&Report::Done(done, Box::new(view)));
    }
}

struct Device {
    app: App,
    client: Client,
    store: Watched,
}

impl Device {
    fn start(path: &str, seed: u64, life: u64) -> Result<Self, Failure> {
        let file = RedbStore::open_or_create(path)?;
        let store: Box<dyn Store> = if seed % 2 == 1 {
            Box::new(SealedStore::open_or_create(file, StoreKey::from_bytes(&mut [7; 32]))?)
        } else {
            Box::new(file)
        };
        let store = Watched(Arc::new(Mutex::new(Shared { store, stop: None, output: io::stdout() })));
        let (app, identity, mut rng) = conversation::app(seed);
        let environment = || Simulated::new(seed.rotate_left(32) ^ life);
        let client = match Client::open_in(store.clone(), None, environment()) {
            // An earlier life ended before it had made this its device.
            Err(error) if error.kind() == ErrorKind::Misuse => {
                let keys = app.enrol_device("victim", &identity, 0, &mut rng)?;
                Client::create_in(store.clone(), keys, environment())?
            }
            opened => opened?,
        };
        Ok(Self { app, client, store })
    }

    fn obey(&mut self, command: Command) -> Result<Done, Failure> {
        let client = &mut self.client;
        match command {
            Command::KeyPackage => {
                let package = UnverifiedKeyPackage::try_from(&client.key_packages(1)?.remove(0))?;
                return Ok(Done::KeyPackage(Box::new(package)));
            }
            Command::Outbox => return Ok(Done::Posts(client.outbox(usize::MAX)?)),
            Command::Found => {
                client.create_group(App::policy(&[&self.app])?, GroupInfo::new("Trip", "")?)?;
            }
            Command::Change(group, wanted) => {
                client.change(&group, change(wanted)?)?;
            }
            Command::Send(group, content) => {
                client.send(&group, content.as_bytes())?;
            }
            Command::Posted(post, answered) => client.posted(&post, reply(answered))?,
            Command::Receive(entries) => {
                client.receive(&entries)?;
            }
            Command::Ack(Event { id, .. }) => client.ack(id)?,
            Command::Accept(group) => client.answer(&group, Answer::Accept)?,
            Command::Forget(group) => client.forget(&group)?,
        }
        Ok(Done::Nothing)
    }

    fn view(&mut self) -> Result<View, Failure> {
        let mut groups = Vec::new();
        for group in self.client.groups()? {
            let header_key = header_key(&self.store, group)?;
            let view = self.client.group(&group)?;
            groups.push(GroupSeen {
                group,
                status: format!("{:?}", view.status()),
                epoch: view.state().epoch().0,
                leaf: view.own_index(),
                next: view.next_entry(),
                queued: view.queued(),
                authenticator: *view.authenticator(),
                context_hash: view.state().context_hash(),
                header_key,
            });
        }
        let version = self.store.load(&RecordKey::VERSION)?.unwrap_or_default();
        let reads = self.client.subscriptions()?;
        Ok(View {
            version: version.iter().fold(0, |version, byte| version << 8 | u64::from(*byte)),
            packages: self.client.package_ids()?,
            inbox: self.client.inbox(usize::MAX)?,
            groups,
            reads: reads.into_iter().map(|wanted| (wanted.group, wanted.leaf, wanted.next)).collect(),
        })
    }
}

fn change(wanted: Wanted) -> Result<Change, Failure> {
    Ok(match wanted {
        Wanted::Add(packages) => Change::Add(packages),
        Wanted::Remove(user) => Change::Remove(user),
        Wanted::MakeOwner(user) => Change::Role(user, Role::Owner),
        Wanted::Rename(name) => Change::Info(GroupInfo::new(&name, "")?),
        Wanted::Heal => Change::Heal,
        Wanted::Rejoin => Change::Rejoin,
    })
}

const fn reply(answered: Answered) -> PostReply {
    match answered {
        Answered::Accepted => PostReply::Accepted,
        Answered::Behind => PostReply::Behind,
        Answered::Refused => PostReply::Refused,
    }
}

/// The sixth field of a group's record (`docs/protocol.md`, section 7.2).
fn header_key(store: &Watched, group: GroupId) -> Result<Vec<u8>, Failure> {
    let name = [&[16], group.as_bytes().as_slice()].concat();
    let record = store.load(&RecordKey::from_bytes(&name)?)?.ok_or("a group without a record")?;
    let mut fields = minicbor::Decoder::new(&record);
    fields.array()?;
    (0..5).try_for_each(|_| fields.skip())?;
    Ok(fields.bytes()?.to_vec())
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
