//! A client over redb, and one over SQLite.

use std::path::Path;
use std::time::Duration;

use convivio::GroupId;
use convivio::client::{Answer, Change, Client, Draft, EventId};
use convivio::group::GroupInfo;
use convivio::identity::UnverifiedKeyPackage;
use convivio::log::{LogEntry, Post};
use convivio::store::{ChangeSet, RecordKey, RedbStore, Store, StoreError};
use convivio::testing::{App, LocalHub};
use rusqlite::{Connection, OptionalExtension, params};

use crate::sqlite::{self, Settings};
use crate::works::{Disk, Persisted, timed};

pub(super) fn all() -> Vec<Disk> {
    let redb = |store: &'static str, echo: bool| Disk {
        store,
        durable: true,
        open: Box::new(move |dir, members| {
            let store = |name: &str| RedbStore::create(dir.join(name)).unwrap();
            Box::new(Pair { echo, ..pair(store("sender.redb"), store("reader.redb"), members) })
        }),
    };
    let sqlite = |settings: &'static Settings| Disk {
        store: settings.name,
        durable: settings.durable,
        open: Box::new(|dir, members| {
            let store = |name: &str| SqliteStore::open(settings, &dir.join(name)).unwrap();
            Box::new(pair(store("sender.db"), store("reader.db"), members))
        }),
    };
    [redb("redb", false), redb("redb, echo", true)].into_iter().chain(sqlite::ALL.iter().map(sqlite)).collect()
}

fn pair(sending: impl Store + 'static, reading: impl Store + 'static, members: usize) -> Pair {
    let app = App::new("town.example").unwrap();
    let mut hub = LocalHub::new();
    let mut sender = app.client_on("sender", sending).unwrap();
    let mut reader = app.client_on("reader", reading).unwrap();
    let group = sender.create_group(App::policy(&[&app]).unwrap(), GroupInfo::new("Everyone", "").unwrap()).unwrap();
    hub.sync(&mut sender).unwrap();
    let silent = (2..members).map(|i| package(&mut app.client(&format!("silent{i}")).unwrap()));
    let everyone = std::iter::once(package(&mut reader)).chain(silent).collect();
    sender.change(&group, Change::Add(everyone)).unwrap();
    hub.sync(&mut sender).unwrap();
    let invited = hub.sync(&mut reader).unwrap();
    reader.answer(&group, Answer::Accept).unwrap();
    let joined = hub.sync(&mut reader).unwrap();
    let seen = invited.iter().chain(&joined).last().expect("an invitation").id;
    hub.sync(&mut sender).unwrap();
    Pair { hub, sender, reader, group, seen, echo: false }
}

fn package(client: &mut Client) -> UnverifiedKeyPackage {
    UnverifiedKeyPackage::try_from(&client.key_packages(1).unwrap().remove(0)).unwrap()
}

struct Pair {
    hub: LocalHub,
    sender: Client,
    reader: Client,
    group: GroupId,
    /// The last event that the reader's app has taken over.
    seen: EventId,
    /// Whether reading one's own messages from the log again, which takes them off the queue, is part of sending.
    echo: bool,
}

impl Pair {
    /// The time to hear that the hub has taken these posts and to read them again, as one batch.
    fn echo(&mut self, posts: &[Post]) -> Duration {
        let from = self.sender.identity().unwrap().user().domain().clone();
        let replies: Vec<_> = posts.iter().map(|post| self.hub.post(&from, post)).collect();
        let entries = self.hub.deliver(&mut self.sender).unwrap();
        assert_eq!(entries.len(), posts.len());
        let hear = |draft: &mut Draft<'_>| {
            posts.iter().zip(&replies).try_for_each(|(post, reply)| draft.posted(post, *reply))?;
            draft.receive(&entries)
        };
        timed(|| self.sender.stage(hear).unwrap().apply().unwrap()).1
    }
}

impl Persisted for Pair {
    fn send(&mut self, content: &[u8], batch: usize) -> Duration {
        let ((posts, sent), time) = timed(|| {
            let queue = |draft: &mut Draft<'_>| {
                for _ in 0..batch {
                    draft.send(self.group, content)?;
                }
                draft.outbox(batch)
            };
            let posts = self.sender.stage(queue).unwrap().apply().unwrap().posts;
            let sent: Vec<_> = posts.iter().map(Post::to_bytes).collect();
            (posts, sent)
        });
        assert_eq!(sent.len(), batch);
        let echo = if self.echo { self.echo(&posts) } else { Duration::ZERO };
        self.hub.sync(&mut self.sender).unwrap();
        time + echo
    }

    fn receive(&mut self) -> Duration {
        let entries = self.hub.deliver(&mut self.reader).unwrap();
        let entries: Vec<Vec<u8>> = entries.iter().map(LogEntry::to_bytes).collect();
        let seen = self.seen;
        let (events, time) = timed(|| {
            let entries: Vec<_> = entries.iter().map(|entry| LogEntry::from_bytes(entry).unwrap()).collect();
            let receive = |draft: &mut Draft<'_>| {
                draft.ack(seen)?;
                draft.receive(&entries)
            };
            self.reader.stage(receive).unwrap().apply().unwrap().events
        });
        assert_eq!(events.len(), entries.len());
        self.seen = events.last().expect("a message").id;
        time
    }
}

/// Records in a table of their own.
struct SqliteStore(Connection);

impl SqliteStore {
    fn open(settings: &Settings, path: &Path) -> rusqlite::Result<Self> {
        let connection = settings.open(path)?;
        connection.execute_batch("CREATE TABLE convivio (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID")?;
        Ok(Self(connection))
    }
}

fn load(connection: &Connection, key: &RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
    let mut select =
        connection.prepare_cached("SELECT value FROM convivio WHERE key = ?1").map_err(StoreError::failed)?;
    select.query_row([key.as_bytes()], |row| row.get(0)).optional().map_err(StoreError::failed)
}

impl Store for SqliteStore {
    fn load(&self, key: &RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        load(&self.0, key)
    }

    fn apply(&mut self, changes: &ChangeSet) -> Result<(), StoreError> {
        let tx = self.0.transaction().map_err(StoreError::failed)?;
        changes.check(load(&tx, &RecordKey::VERSION)?.as_deref())?;
        for (key, value) in changes.iter() {
            let done = match value {
                Some(value) => tx
                    .prepare_cached("INSERT OR REPLACE INTO convivio VALUES (?1, ?2)")
                    .and_then(|mut put| put.execute(params![key.as_bytes(), value])),
                None => tx
                    .prepare_cached("DELETE FROM convivio WHERE key = ?1")
                    .and_then(|mut delete| delete.execute([key.as_bytes()])),
            };
            done.map_err(StoreError::failed)?;
        }
        tx.commit().map_err(StoreError::failed)
    }
}
