//! The same device four times, each over another store: a plain map, which is the model; in memory; on disk; and sealed
//! on disk. Whatever it does, every answer is the same, and every record in the end (`docs/protocol.md`, section 7.1).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use arbitrary::{Arbitrary, Unstructured};
use convivio::client::{Answer, Change, Client};
use convivio::group::GroupInfo;
use convivio::log::PostReply;
use convivio::store::{ChangeSet, MemoryStore, RecordKey, RedbStore, SealedStore, Store, StoreError, StoreKey};
use convivio::testing::App;
use convivio::{ErrorKind, GroupId, Result, SigningKey};

use super::town::{Fixed, device_keys, town};
use super::{Seeds, noise};

#[derive(Arbitrary, Debug)]
enum Op {
    Found(u8),
    Send(u8, u16),
    Packages(u8),
    LastResort,
    Replace(u8),
    Pin(u8, u8),
    /// Drains so many posts, which the hub takes or not.
    Outbox(u8, bool),
    Heal(u8),
    Answer(u8, bool),
    Ack(u8),
    Forget(u8),
    /// Drafted and dropped.
    Draft(u8),
    /// Drafted, and whether it was applied is not known.
    Unknown(u8),
    /// Another handle writes behind this one's back, which must notice and then is closed.
    Behind,
    Reopen,
}

/// The model.
#[derive(Default)]
struct Map(BTreeMap<Vec<u8>, Vec<u8>>);

impl Store for Map {
    fn load(&self, key: &RecordKey) -> std::result::Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.get(key.as_bytes()).cloned())
    }

    fn apply(&mut self, changes: &ChangeSet) -> std::result::Result<(), StoreError> {
        changes.check(self.0.get(RecordKey::VERSION.as_bytes()).map(Vec::as_slice))?;
        for (key, value) in changes.iter() {
            match value {
                Some(value) => self.0.insert(key.as_bytes().to_vec(), value.to_vec()),
                None => self.0.remove(key.as_bytes()),
            };
        }
        Ok(())
    }
}

/// A store that a client and this test hold together.
struct Held<S>(Arc<Mutex<Option<S>>>);

impl<S> Clone for Held<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> Held<S> {
    fn new(store: S) -> Self {
        Self(Arc::new(Mutex::new(Some(store))))
    }
}

impl<S: Store> Store for Held<S> {
    fn load(&self, key: &RecordKey) -> std::result::Result<Option<Vec<u8>>, StoreError> {
        self.0.lock().unwrap().as_ref().unwrap().load(key)
    }

    fn apply(&mut self, changes: &ChangeSet) -> std::result::Result<(), StoreError> {
        self.0.lock().unwrap().as_mut().unwrap().apply(changes)
    }
}

#[derive(Clone)]
enum Medium {
    Map(Held<Map>),
    Memory(Held<MemoryStore>),
    Disk(Held<RedbStore>, PathBuf),
    Sealed(Held<RedbStore>, PathBuf),
}

fn key() -> StoreKey {
    StoreKey::from_bytes(&mut [8; 32])
}

impl Medium {
    fn all(folder: &Path) -> [Self; 4] {
        let disk = |name: &str| (Held::new(RedbStore::create(folder.join(name)).unwrap()), folder.join(name));
        let (plain, sealed) = (disk("plain"), disk("sealed"));
        SealedStore::create(sealed.0.clone(), key()).unwrap();
        [
            Self::Map(Held::new(Map::default())),
            Self::Memory(Held::new(MemoryStore::new())),
            Self::Disk(plain.0, plain.1),
            Self::Sealed(sealed.0, sealed.1),
        ]
    }

    /// The store as a client gets it.
    fn store(&self) -> Box<dyn Store> {
        match self {
            Self::Map(map) => Box::new(map.clone()),
            Self::Memory(memory) => Box::new(memory.clone()),
            Self::Disk(disk, _) => Box::new(disk.clone()),
            Self::Sealed(disk, _) => Box::new(SealedStore::open(disk.clone(), key()).unwrap()),
        }
    }

    /// What is on disk is closed and opened again.
    fn reopen(&self) {
        if let Self::Disk(disk, path) | Self::Sealed(disk, path) = self {
            let mut disk = disk.0.lock().unwrap();
            drop(disk.take());
            *disk = Some(RedbStore::open(path).unwrap());
        }
    }
}

/// A device, and what happened to it so far.
struct Lane {
    medium: Medium,
    client: Client,
    groups: Vec<GroupId>,
    opened: u64,
}

pub fn run(data: &[u8]) {
    let ram = Path::new("/dev/shm");
    let folder = tempfile::tempdir_in(if ram.is_dir() { ram.to_owned() } else { std::env::temp_dir() }).unwrap();
    let mut lanes = Medium::all(folder.path()).map(|medium| {
        let client = Client::create_in(medium.store(), device_keys("erin", 40), Fixed::new(41)).unwrap();
        Lane { medium, client, groups: Vec::new(), opened: 0 }
    });
    for op in Unstructured::new(data).arbitrary_iter::<Op>().into_iter().flatten().flatten().take(24) {
        let mut answers = lanes.iter_mut().map(|lane| lane.step(&op));
        let model = answers.next().unwrap();
        answers.for_each(|answer| assert_eq!(answer, model, "{op:?}"));
    }
    let Medium::Map(model) = lanes[0].medium.clone() else { panic!("the model comes first") };
    let model = model.0.lock().unwrap().take().unwrap().0;
    for lane in &lanes[1..] {
        let store = lane.medium.store();
        for (name, value) in model.iter().filter(|(name, _)| *name != RecordKey::VERSION.as_bytes()) {
            let stored = store.load(&RecordKey::from_bytes(name).unwrap()).unwrap();
            assert_eq!(stored.as_ref(), Some(value), "{name:02x?}");
        }
        if let Medium::Memory(memory) = &lane.medium {
            assert_eq!(memory.0.lock().unwrap().as_ref().unwrap().len(), model.len());
        }
    }
}

/// What a call gave, or why not. Errors of kind Storage close the client.
type Answered = std::result::Result<String, ErrorKind>;

fn answer<T: std::fmt::Debug>(result: Result<T>) -> Answered {
    result.map(|value| format!("{value:?}")).map_err(|error| error.kind())
}

impl Lane {
    fn step(&mut self, op: &Op) -> Answered {
        let client = &mut self.client;
        let group = |which: &u8| self.groups.get(usize::from(*which) % self.groups.len().max(1)).copied();
        let of = |which: &u8| group(which).unwrap_or(GroupId::from_bytes([0; 16]));
        match op {
            Op::Found(name) => {
                let info = GroupInfo::new(&name.to_string(), "").unwrap();
                let made = client.create_group(App::policy(&[&town().app]).unwrap(), info);
                self.groups.extend(made.as_ref().ok());
                answer(made)
            }
            Op::Send(which, len) => answer(client.send(&of(which), &vec![*which; usize::from(*len)])),
            Op::Packages(count) => answer(client.key_packages((count % 4).into())),
            Op::LastResort => answer(client.last_resort_package()),
            Op::Replace(count) => answer(client.replace_key_packages((count % 3).into())),
            Op::Pin(name, key) => {
                let user = town().app.user(&format!("user{}", name % 4)).unwrap();
                answer(client.accept_identity(&user, SigningKey::from_seed(&[*key; 32]).verify_key()))
            }
            Op::Outbox(max, taken) => answer(client.outbox((*max).into()).and_then(|posts| {
                let reply = if *taken { PostReply::Accepted } else { PostReply::Refused };
                posts.iter().try_for_each(|post| client.posted(post, reply))?;
                Ok(posts)
            })),
            Op::Heal(which) => answer(client.change(&of(which), Change::Heal)),
            Op::Answer(which, yes) => {
                answer(client.answer(&of(which), if *yes { Answer::Accept } else { Answer::Decline }))
            }
            Op::Ack(id) => answer(client.ack(convivio::client::EventId((*id).into()))),
            Op::Forget(which) => answer(client.forget(&of(which))),
            Op::Draft(which) => {
                let group = of(which);
                answer(client.stage(|draft| draft.send(group, b"never")).map(drop))
            }
            Op::Unknown(which) => {
                let group = of(which);
                let staged = client.stage(|draft| draft.send(group, b"perhaps")).map(|staged| staged.unknown());
                let answered = answer(staged);
                self.reopen();
                answered
            }
            Op::Behind => {
                // After a draft that came to nothing it would read its store anew, and miss nothing.
                client.groups().unwrap();
                let mut other = Client::open_in(self.medium.store(), None, Fixed::new(55)).unwrap();
                other.key_packages(1).unwrap();
                assert_eq!(client.key_packages(1).unwrap_err().kind(), ErrorKind::Storage);
                let closed = answer(client.groups());
                self.reopen();
                closed
            }
            Op::Reopen => {
                self.reopen();
                answer(self.client.groups())
            }
        }
    }

    fn reopen(&mut self) {
        self.opened += 1;
        self.medium.reopen();
        self.client = Client::open_in(self.medium.store(), None, Fixed::new(60 + self.opened)).unwrap();
    }
}

pub fn seeds() -> Seeds {
    noise(&[20, 100, 300])
}
