//! Groups kept by openmls_sqlite_storage.

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use openmls::prelude::MlsGroup;
use openmls_sqlite_storage::{Codec, SqliteStorageProvider};
use rusqlite::Connection;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Member, found};
use crate::sqlite::{self, Settings};
use crate::works::{Disk, Persisted, Window, timed};

/// The codec of what is stored, which openmls leaves to its user.
#[derive(Default)]
struct Postcard;

impl Codec for Postcard {
    type Error = postcard::Error;

    fn to_vec<T: Serialize>(value: &T) -> Result<Vec<u8>, Self::Error> {
        postcard::to_stdvec(value)
    }

    fn from_slice<T: DeserializeOwned>(slice: &[u8]) -> Result<T, Self::Error> {
        postcard::from_bytes(slice)
    }
}

type Storage = SqliteStorageProvider<Postcard, Rc<Connection>>;

pub(super) fn all() -> Vec<Disk> {
    let disk = |settings: &'static Settings| Disk {
        store: settings.name,
        durable: settings.durable,
        open: Box::new(move |dir, members| open(settings, dir, members)),
    };
    sqlite::ALL.iter().map(disk).collect()
}

fn connect(settings: &Settings, path: &Path) -> Rc<Connection> {
    let mut connection = settings.open(path).unwrap();
    SqliteStorageProvider::<Postcard, _>::new(&mut connection).run_migrations().unwrap();
    Rc::new(connection)
}

fn open(settings: &Settings, dir: &Path, members: usize) -> Box<dyn Persisted> {
    let connections = ["sender.db", "reader.db"].map(|name| connect(settings, &dir.join(name)));
    let [sender, reader] = connections.clone().map(|connection| Member::new(Storage::new(connection)));
    let (sending, mut joined) = found(&sender, std::slice::from_ref(&reader), members, Window::Default);
    let receiving = joined.remove(0);
    let [sender, reader] = [(sender, sending), (reader, receiving)]
        .into_iter()
        .zip(connections)
        .map(|((member, group), connection)| Party { member, group, connection })
        .collect::<Vec<_>>()
        .try_into()
        .unwrap_or_else(|_| unreachable!("two of them"));
    Box::new(Pair { sender, reader, sent: Vec::new() })
}

struct Party {
    member: Member<Storage>,
    group: MlsGroup,
    connection: Rc<Connection>,
}

impl Party {
    /// Runs a batch in one transaction; a single message needs none, since openmls writes once for it.
    fn batch<T>(&mut self, size: usize, run: impl FnOnce(&mut Self) -> T) -> (T, Duration) {
        timed(|| {
            if size == 1 {
                return run(self);
            }
            self.connection.execute_batch("BEGIN IMMEDIATE").unwrap();
            let value = run(self);
            self.connection.execute_batch("COMMIT").unwrap();
            value
        })
    }
}

struct Pair {
    sender: Party,
    reader: Party,
    sent: Vec<Vec<u8>>,
}

impl Persisted for Pair {
    fn send(&mut self, content: &[u8], batch: usize) -> Duration {
        let (sent, time) = self
            .sender
            .batch(batch, |Party { member, group, .. }| (0..batch).map(|_| member.encrypt(group, content)).collect());
        self.sent = sent;
        time
    }

    fn receive(&mut self) -> Duration {
        let (read, time) = self.reader.batch(self.sent.len(), |Party { member, group, .. }| {
            self.sent.iter().map(|frame| member.decrypt(group, frame)).collect::<Vec<_>>()
        });
        assert!(read.iter().all(Option::is_some));
        time
    }
}
