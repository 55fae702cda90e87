//! Messages per second with every byte durable before it counts: `cargo bench -p convivio-sqlite-tests`.
//!
//! Maria says what Bob reads, 256 bytes at a time, both over a file of redb or of SQLite in a directory of the system's
//! choice (set `TMPDIR` to measure another disk). One batch is: Maria queues and drains her outbox in one transaction,
//! posts, and takes her echoes in; Bob receives, and acknowledges. The hub is memory and not timed.

use std::path::Path;
use std::time::{Duration, Instant};

use convivio::client::Answer;
use convivio::group::GroupInfo;
use convivio::log::LogEntry;
use convivio::store::{RedbStore, Store};
use convivio::testing::{App, LocalHub};
use convivio::{Change, Client, GroupId};
use convivio_sqlite_tests::{Database, SqliteStore};
use rusqlite::Connection;

const CONTENT: [u8; 256] = [7; 256];
const PERIOD: Duration = Duration::from_secs(2);

fn main() {
    let directory = tempfile::tempdir().unwrap();
    println!(
        "| store | messages a batch | sent /s | echoes taken in /s | received /s | received and acknowledged at once /s |"
    );
    println!("|---|---|---|---|---|---|");
    let sqlite = |mode: &'static str| {
        move |path: &Path| -> Box<dyn Store> {
            let connection = Connection::open(path).unwrap();
            connection.pragma_update(None, "journal_mode", mode).unwrap();
            Box::new(SqliteStore(Database::open(connection).unwrap()))
        }
    };
    let stores: [(&str, Box<Opener>); 3] = [
        ("redb", Box::new(|path| Box::new(RedbStore::create(path).unwrap()))),
        ("SQLite, rollback journal", Box::new(sqlite("delete"))),
        ("SQLite, write-ahead log", Box::new(sqlite("wal"))),
    ];
    for (name, open) in stores {
        let mut scene = Scene::new(|who| open(&directory.path().join(format!("{name} {who}"))));
        for batch in [1, 64] {
            let Rates { sent, echoed, received, at_once } = scene.rates(batch);
            println!("| {name} | {batch} | {sent:.0} | {echoed:.0} | {received:.0} | {at_once:.0} |");
        }
    }
}

type Opener = dyn Fn(&Path) -> Box<dyn Store>;

struct Scene {
    hub: LocalHub,
    maria: Client,
    bob: Client,
    group: GroupId,
}

struct Rates {
    sent: f64,
    echoed: f64,
    received: f64,
    at_once: f64,
}

/// What was done in how long.
#[derive(Default)]
struct Spent(Duration, usize);

impl Spent {
    fn time<T>(&mut self, messages: usize, f: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let value = f();
        self.0 += start.elapsed();
        self.1 += messages;
        value
    }

    fn rate(&self) -> f64 {
        self.1 as f64 / self.0.as_secs_f64()
    }
}

impl Scene {
    fn new(open: impl Fn(&str) -> Box<dyn Store>) -> Self {
        let (app, mut hub) = (App::new("photos.example").unwrap(), LocalHub::new());
        let mut maria = app.client_on("maria", open("maria")).unwrap();
        let mut bob = app.client_on("bob", open("bob")).unwrap();
        let group = maria.create_group(App::policy(&[&app]).unwrap(), GroupInfo::new("Trip", "").unwrap()).unwrap();
        let package = (&bob.key_packages(1).unwrap()[0]).try_into().unwrap();
        maria.change(&group, Change::Add(vec![package])).unwrap();
        hub.sync(&mut maria).unwrap();
        hub.sync(&mut bob).unwrap();
        bob.answer(&group, Answer::Accept).unwrap();
        let seen = bob.inbox(10).unwrap();
        bob.ack(seen.last().unwrap().id).unwrap();
        hub.sync(&mut maria).unwrap();
        Self { hub, maria, bob, group }
    }

    fn rates(&mut self, batch: usize) -> Rates {
        let [mut sent, mut echoed, mut received, mut at_once]: [Spent; 4] = Default::default();
        let start = Instant::now();
        let mut round = 0;
        while start.elapsed() < PERIOD {
            sent.time(batch, || self.send(batch));
            echoed.time(batch, || {
                let entries = self.hub.deliver(&mut self.maria).unwrap();
                assert_eq!(self.maria.receive(&entries).unwrap().1.echoes.len(), batch);
            });
            let entries = self.hub.deliver(&mut self.bob).unwrap();
            assert_eq!(entries.len(), batch);
            round += 1;
            if round % 2 == 0 {
                received.time(batch, || self.receive(&entries));
            } else {
                at_once.time(batch, || self.receive_at_once(&entries));
            }
        }
        Rates { sent: sent.rate(), echoed: echoed.rate(), received: received.rate(), at_once: at_once.rate() }
    }

    /// One transaction for all that is said and encrypted; that the hub has it costs none.
    fn send(&mut self, batch: usize) {
        let staged = self.maria.stage(|draft| {
            for _ in 0..batch {
                draft.send(self.group, &CONTENT)?;
            }
            draft.outbox(usize::MAX)
        });
        let posts = staged.unwrap().apply().unwrap().posts;
        assert_eq!(posts.len(), batch);
        let from = self.maria.identity().unwrap().user().domain().clone();
        for post in posts {
            let reply = self.hub.post(&from, &post);
            self.maria.posted(&post, reply).unwrap();
        }
    }

    /// One transaction to receive and one, once the app has the messages, to acknowledge.
    fn receive(&mut self, entries: &[LogEntry]) {
        let (events, _) = self.bob.receive(entries).unwrap();
        self.bob.ack(events.last().unwrap().id).unwrap();
    }

    /// As an app does that keeps its messages in the same transaction.
    fn receive_at_once(&mut self, entries: &[LogEntry]) {
        let staged = self.bob.stage(|draft| {
            draft.receive(entries)?;
            let last = draft.events().last().unwrap().id;
            draft.ack(last)
        });
        staged.unwrap().apply().unwrap();
    }
}
