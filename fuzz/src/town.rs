//! A small town, the same on every run: an app, its users, a group, and every message between them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use convivio::client::{Answer, Change, Client, DeviceKeys, Environment};
use convivio::group::GroupInfo;
use convivio::identity::{IdentityKey, UnverifiedKeyPackage};
use convivio::log::{EntryBody, LogEntry, Post, PostBody};
use convivio::ratchet::{EpochContext, SendingChain};
use convivio::store::{ChangeSet, MemoryStore, RecordKey, Store, StoreError};
use convivio::testing::{App, LocalHub};
use convivio::{Epoch, Generation, GroupId, LeafIndex, SealSecret, Secret, SigningKey, Timestamp, Validity};
use rand::rngs::StdRng;
use rand::{CryptoRng, SeedableRng};

pub const NOW: Timestamp = Timestamp(1_800_000_000);

/// A clock that stands still, and dice that always fall the same way.
pub struct Fixed(StdRng);

impl Fixed {
    pub fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }
}

impl Environment for Fixed {
    fn now(&self) -> Timestamp {
        NOW
    }

    fn rng(&mut self) -> &mut dyn CryptoRng {
        &mut self.0
    }
}

/// A store that can be looked into while a client uses it.
#[derive(Clone, Default)]
pub struct Shared(pub Arc<Mutex<MemoryStore>>);

impl Shared {
    pub fn of(store: &MemoryStore) -> Self {
        Self(Arc::new(Mutex::new(store.snapshot())))
    }

    pub fn snapshot(&self) -> MemoryStore {
        self.0.lock().unwrap().snapshot()
    }

    pub fn open(&self) -> Client {
        Client::open_in(self.clone(), None, Fixed::new(99)).unwrap()
    }

    pub fn records(&self) -> BTreeMap<RecordKey, Vec<u8>> {
        self.0.lock().unwrap().iter().map(|(key, value)| (key.clone(), value.to_vec())).collect()
    }
}

impl Store for Shared {
    fn load(&self, key: &RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.lock().unwrap().load(key)
    }

    fn apply(&mut self, changes: &ChangeSet) -> Result<(), StoreError> {
        self.0.lock().unwrap().apply(changes)
    }
}

/// The tags of the records that differ.
pub fn changed(before: &BTreeMap<RecordKey, Vec<u8>>, after: &BTreeMap<RecordKey, Vec<u8>>) -> Vec<u8> {
    let keys = before.keys().chain(after.keys());
    let mut tags: Vec<u8> = keys.filter(|key| before.get(key) != after.get(key)).map(|key| key.as_bytes()[0]).collect();
    tags.sort_unstable();
    tags.dedup();
    tags
}

/// The tags of records: of the device, and of one group.
pub mod tag {
    pub const VERSION: u8 = 0;
    pub const COUNTERS: u8 = 2;
    pub const EVENT: u8 = 6;
    pub const CURSOR: u8 = 19;
    pub const PAGE: u8 = 21;
    pub const CHAIN: u8 = 22;
    pub const SKIPPED: u8 = 23;
    pub const ROW: u8 = 25;
}

/// What a member of the group can take out of its own store.
pub struct Insider {
    pub leaf: LeafIndex,
    group: GroupId,
    epoch: Epoch,
    context_hash: [u8; 32],
    signing: [u8; 32],
    seal: [u8; 32],
    header_key: [u8; 32],
    chain_key: [u8; 32],
}

impl Insider {
    /// Reads the records "group" and "sending" of an epoch in which nothing was sent.
    fn of(client: &mut Client, store: &Shared, group: GroupId) -> Self {
        let records = store.records();
        let record = |tag| records.iter().find(|(key, _)| key.as_bytes()[0] == tag).unwrap().1;
        let keys = record(16);
        let key = |i: usize| keys[4 + 34 * i + 2..4 + 34 * (i + 1)].try_into().unwrap();
        let sending = record(20);
        let view = client.group(&group).unwrap();
        assert_eq!(u32::from(keys[3]), view.own_index().0);
        Self {
            leaf: view.own_index(),
            group,
            epoch: view.state().epoch(),
            context_hash: view.state().context_hash(),
            signing: key(0),
            seal: key(1),
            header_key: key(2),
            chain_key: sending[sending.len() - 32..].try_into().unwrap(),
        }
    }

    pub fn signing(&self) -> SigningKey {
        SigningKey::from_seed(&self.signing)
    }

    pub fn seal(&self) -> SealSecret {
        SealSecret::from_secret(Secret::from_bytes(&mut self.seal.clone()))
    }

    pub fn context(&self) -> EpochContext {
        let header_key = Secret::from_bytes(&mut self.header_key.clone());
        EpochContext::new(self.group, self.epoch, self.context_hash, header_key)
    }

    pub fn chain(&self, signing: SigningKey) -> SendingChain {
        SendingChain::restore(self.leaf, Generation(0), Secret::from_bytes(&mut self.chain_key.clone()), signing)
    }

    /// A frame at some generation, signed with this key.
    pub fn frame(&self, generation: u32, content: &[u8], signing: SigningKey) -> Vec<u8> {
        let context = self.context();
        let mut dice = StdRng::seed_from_u64(5);
        let mut chain = self.chain(signing);
        for _ in 0..generation {
            chain = chain.encrypt(&context, b"", &mut dice).unwrap().1;
        }
        chain.encrypt(&context, content, &mut dice).unwrap().0
    }
}

/// Maria, owner of the group and the insider; Bob, a member and the victim; Carol, who is outside or invited.
pub struct Town {
    pub group: GroupId,
    pub maria: Insider,
    /// Bob's store in epoch 1, before anything was said, and his keys in it.
    pub bob: MemoryStore,
    pub bob_inside: Insider,
    /// The next entry of the log.
    pub next: u64,
    /// Maria's commit that adds Carol as Bob gets it.
    pub commit: LogEntry,
    /// The authenticator of the epoch it leads to.
    pub after: [u8; 32],
    /// Maria in that epoch.
    pub maria_after: Insider,
    /// Carol's store before she is invited, and her welcome.
    pub carol: MemoryStore,
    pub package: UnverifiedKeyPackage,
    pub welcome: LogEntry,
    /// Bob's store after a busy day.
    pub busy: MemoryStore,
    /// What is next in his log then.
    pub fresh: LogEntry,
    /// Posts of all kinds.
    pub posts: Vec<Post>,
    /// Bob's own messages of that day, as they come back.
    pub echoes: Vec<EntryBody>,
    pub app: App,
}

pub fn town() -> &'static Town {
    static TOWN: OnceLock<Town> = OnceLock::new();
    TOWN.get_or_init(build)
}

/// A device of one more user of the town.
pub fn device_keys(name: &str, seed: u64) -> DeviceKeys {
    keys(&town().app, name, seed)
}

fn keys(app: &App, name: &str, seed: u64) -> DeviceKeys {
    let mut dice = StdRng::seed_from_u64(seed);
    app.enrol_device(name, &IdentityKey::generate(&mut dice), 0, &mut dice).unwrap()
}

fn device(app: &App, name: &str, seed: u64) -> (Client, Shared) {
    let keys = keys(app, name, seed);
    let store = Shared::default();
    (Client::create_in(store.clone(), keys, Fixed::new(seed + 100)).unwrap(), store)
}

fn package(client: &mut Client) -> UnverifiedKeyPackage {
    UnverifiedKeyPackage::try_from(&client.key_packages(1).unwrap().remove(0)).unwrap()
}

fn sync(hub: &mut LocalHub, clients: &mut [&mut Client]) {
    for _ in 0..2 {
        for client in &mut *clients {
            hub.sync(client).unwrap();
        }
    }
}

fn build() -> Town {
    let start = Timestamp(NOW.0 - 1_000);
    let app = App::new_in("town.example", Validity::starting(start, 1_000_000), &mut StdRng::seed_from_u64(1)).unwrap();
    let (mut maria, maria_store) = device(&app, "maria", 2);
    let (mut bob, bob_store) = device(&app, "bob", 3);
    let (mut carol, carol_store) = device(&app, "carol", 4);
    let (mut dave, _) = device(&app, "dave", 5);
    let mut hub = LocalHub::new();
    let info = GroupInfo::new("Town", "Everyone here").unwrap();
    let group = maria.create_group(App::policy(&[&app]).unwrap(), info).unwrap();
    let mut posts = maria.outbox(9).unwrap();
    let add = vec![package(&mut bob), package(&mut dave)];
    maria.change(&group, Change::Add(add)).unwrap();
    sync(&mut hub, &mut [&mut maria, &mut bob, &mut dave]);
    bob.answer(&group, Answer::Accept).unwrap();
    dave.answer(&group, Answer::Accept).unwrap();
    sync(&mut hub, &mut [&mut bob, &mut dave]);

    let next = bob.group(&group).unwrap().next_entry();
    let bob_inside = Insider::of(&mut bob, &bob_store, group);
    let (quiet, insider) = (bob_store.snapshot(), Insider::of(&mut maria, &maria_store, group));

    // Maria adds Carol.
    let package = package(&mut carol);
    carol.last_resort_package().unwrap();
    let outside = carol_store.snapshot();
    maria.change(&group, Change::Add(vec![package.clone()])).unwrap();
    posts.extend(maria.outbox(9).unwrap());
    hub.sync(&mut maria).unwrap();
    let commit = hub.fetch(&bob.subscriptions().unwrap()[0]).remove(0);
    let welcome = hub.welcomes(&carol.package_ids().unwrap()).remove(0);
    let maria_after = Insider::of(&mut maria, &maria_store, group);
    let after = *maria.group(&group).unwrap().authenticator();
    sync(&mut hub, &mut [&mut bob, &mut dave, &mut carol]);
    carol.answer(&group, Answer::Accept).unwrap();

    // A busy day: messages, one of them late; queued ones; a change under way; packages; an inbox.
    maria.send(&group, b"one").unwrap();
    maria.send(&group, b"two").unwrap();
    let frames = maria.outbox(9).unwrap();
    posts.extend(frames.clone());
    for post in frames.iter().rev() {
        hub.post(app.domain(), post);
    }
    let entries = hub.fetch(&bob.subscriptions().unwrap()[0]);
    bob.receive(&entries[..1]).unwrap();
    bob.key_packages(1).unwrap();
    bob.last_resort_package().unwrap();
    bob.send(&group, b"under way").unwrap();
    bob.change(&group, Change::Heal).unwrap();
    let own = bob.outbox(9).unwrap();
    posts.extend(own.clone());
    let echoes = own.into_iter().filter_map(|post| match post.body {
        PostBody::Message(frame) => Some(EntryBody::Message(frame)),
        _ => None,
    });
    bob.send(&group, b"queued").unwrap();
    Town {
        group,
        maria: insider,
        bob: quiet,
        bob_inside,
        next,
        after,
        maria_after,
        carol: outside,
        package,
        busy: bob_store.snapshot(),
        fresh: entries[1].clone(),
        posts,
        echoes: echoes.collect(),
        commit,
        welcome,
        app,
    }
}
