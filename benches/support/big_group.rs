//! Groups of any size, cheap to build: two real devices, and key packages for everyone else.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    reason = "shared by benches and a test, neither of which uses all of it"
)]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use convivio::client::{Answer, Change, Client};
use convivio::group::GroupInfo;
use convivio::identity::{IdentityKey, KeyPackage, PackageOptions, UnverifiedKeyPackage, UserUri};
use convivio::log::{EntryBody, LogEntry, Post, PostBody};
use convivio::store::{ChangeSet, MemoryStore, RecordKey, Store, StoreError};
use convivio::testing::{App, LocalHub};
use convivio::{DeviceId, GroupId, SigningKey, Suite, Timestamp, Validity};

/// A store that can be copied behind its client's back, so that an operation can be done again from the same state. It
/// counts the bytes that are written to it.
#[derive(Clone, Default)]
pub struct Shared(Arc<Mutex<Disk>>);

#[derive(Default)]
struct Disk {
    records: MemoryStore,
    written: usize,
}

impl Shared {
    /// A client over a copy of what is stored now, with its groups read.
    pub fn reopened(&self) -> Client {
        self.copy().open()
    }

    /// What is stored now, in a store of its own to which nothing was written yet.
    pub fn copy(&self) -> Self {
        let records = self.disk().records.snapshot();
        Self(Arc::new(Mutex::new(Disk { records, written: 0 })))
    }

    /// A client over this store, with its groups read.
    pub fn open(&self) -> Client {
        let mut client = Client::open(self.clone()).unwrap();
        client.subscriptions().unwrap();
        client
    }

    /// Bytes of names and values written since this was last asked.
    pub fn take_written(&self) -> usize {
        std::mem::take(&mut self.disk().written)
    }

    /// Bytes of all names and values stored.
    pub fn stored(&self) -> usize {
        self.disk().records.iter().map(|(key, value)| key.as_bytes().len() + value.len()).sum()
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Shared {
    fn load(&self, key: &RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        self.disk().records.load(key)
    }

    fn apply(&mut self, changes: &ChangeSet) -> Result<(), StoreError> {
        let mut disk = self.disk();
        disk.written +=
            changes.iter().map(|(key, value)| key.as_bytes().len() + value.map_or(0, <[u8]>::len)).sum::<usize>();
        disk.records.apply(changes)
    }
}

/// Users of one app, enrolled once for groups of every size.
pub struct Town {
    pub app: App,
    packages: Vec<UnverifiedKeyPackage>,
}

impl Town {
    /// A town of `size` users who have published a key package each.
    pub fn new(size: usize) -> Self {
        let mut town = Self { app: App::new("town.example").unwrap(), packages: Vec::new() };
        town.enrol(size);
        town
    }

    /// So many users more.
    pub fn enrol(&mut self, more: usize) {
        let all = self.packages.len()..self.packages.len() + more;
        self.packages.extend(all.map(|i| package(&self.app, &format!("user{i:05}"))));
    }

    pub fn user(&self, i: usize) -> UserUri {
        self.app.user(&format!("user{i:05}")).unwrap()
    }
}

fn package(app: &App, name: &str) -> UnverifiedKeyPackage {
    let mut rng = rand::rng();
    let (identity, key) = (IdentityKey::generate(&mut rng), SigningKey::generate(&mut rng));
    let device = app.certify(name, &identity, (DeviceId::generate(&mut rng), 0), &key).unwrap();
    let options = PackageOptions {
        capabilities: convivio::identity::Capabilities::new(&[Suite::One], &[]).unwrap(),
        validity: Validity::starting(Timestamp::now(), 24 * 60 * 60),
        last_resort: false,
    };
    let (package, _) = KeyPackage::create(&device, &key, options, &mut rng).unwrap();
    UnverifiedKeyPackage::try_from(&package).unwrap()
}

/// A real device with its store.
pub struct Device {
    pub client: Client,
    pub store: Shared,
}

impl Device {
    pub fn new(app: &App, name: &str) -> Self {
        let store = Shared::default();
        Self { client: app.client_on(name, store.clone()).unwrap(), store }
    }

    pub fn package(&mut self) -> UnverifiedKeyPackage {
        let package = self.client.key_packages(1).unwrap().remove(0);
        UnverifiedKeyPackage::try_from(&package).unwrap()
    }
}

/// A group of `n` members in epoch 1: a founder, a reader, and `n - 2` who are never online.
pub struct BigGroup {
    pub id: GroupId,
    pub hub: LocalHub,
    pub founder: Device,
    pub reader: Device,
    /// The founder's store before it added the others.
    pub alone: Shared,
    /// Whom it then added.
    pub others: Vec<UnverifiedKeyPackage>,
    /// The reader's store before it was added, and the entry that let it in.
    pub outside: Shared,
    pub invitation: LogEntry,
    /// The post that added the others.
    pub creation: Post,
    /// The place of the next entry in the log.
    next: u64,
}

impl BigGroup {
    pub fn new(town: &Town, n: usize) -> Self {
        let (mut founder, mut reader) = (Device::new(&town.app, "founder"), Device::new(&town.app, "reader"));
        let mut hub = LocalHub::new();
        let policy = App::policy(&[&town.app]).unwrap();
        let id = founder.client.create_group(policy, GroupInfo::new("Everyone", "").unwrap()).unwrap();
        hub.sync(&mut founder.client).unwrap();
        let mut others: Vec<_> = town.packages.iter().take(n - 2).cloned().collect();
        others.push(reader.package());
        let (alone, outside) = (founder.store.copy(), reader.store.copy());
        founder.client.change(&id, Change::Add(others.clone())).unwrap();
        let creation = founder.client.outbox(1).unwrap().remove(0);
        hub.sync(&mut founder.client).unwrap();
        let invitation = hub.welcomes(&reader.client.package_ids().unwrap()).remove(0);
        hub.sync(&mut reader.client).unwrap();
        reader.client.answer(&id, Answer::Accept).unwrap();
        hub.sync(&mut reader.client).unwrap();
        assert_eq!(reader.client.group(&id).unwrap().state().users().len(), n);
        let next = reader.client.group(&id).unwrap().next_entry();
        Self { id, hub, founder, reader, alone, others, outside, invitation, creation, next }
    }

    /// The founder's post for this change, and what the reader gets of it. Nothing of it stays.
    pub fn change(&self, change: Change) -> (Post, LogEntry) {
        let mut founder = self.founder.store.reopened();
        founder.change(&self.id, change).unwrap();
        let post = founder.outbox(1).unwrap().remove(0);
        let leaf = self.reader.store.reopened().group(&self.id).unwrap().own_index();
        let other = LogEntry { group: self.id, seq: self.next, body: commit_for(&post, leaf.0) };
        (post, other)
    }

    /// A commit of the founder as it returns to it, if it is the next.
    pub fn echo(&self, post: &Post) -> LogEntry {
        LogEntry { group: self.id, seq: self.next, body: commit_for(post, 0) }
    }
}

/// What a hub hands to one leaf of a commit. Recipients are named by the CBOR of their leaf index.
fn commit_for(post: &Post, leaf: u32) -> EntryBody {
    let PostBody::Commit { commit, .. } = &post.body else { panic!("not a commit") };
    let own = match leaf {
        0..=23 => commit.split(&[leaf as u8]),
        24..=255 => commit.split(&[0x18, leaf as u8]),
        _ => commit.split(&[0x19, (leaf >> 8) as u8, leaf as u8]),
    };
    EntryBody::Commit {
        header: commit.header().bytes().to_vec(),
        stanza: own.map(|own| own.stanza().to_vec()),
        body: commit.body().to_vec(),
    }
}
