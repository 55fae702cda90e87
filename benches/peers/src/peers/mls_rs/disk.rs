//! Groups kept by mls-rs-provider-sqlite.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mls_rs::CryptoProvider;
use mls_rs::client_builder::MlsConfig;
use mls_rs::group::Group;
use mls_rs::storage_provider::in_memory::InMemoryGroupStateStorage;
use mls_rs_provider_sqlite::connection_strategy::ConnectionStrategy;
use mls_rs_provider_sqlite::storage::SqLiteGroupStateStorage;
use mls_rs_provider_sqlite::{SqLiteDataStorageEngine, SqLiteDataStorageError};
use rusqlite::Connection;

use super::{client, decrypt, encrypt, found, key_package};
use crate::sqlite::{self, Settings};
use crate::works::{Disk, Persisted, timed};

pub(super) fn all<P: CryptoProvider + Clone + 'static>(crypto: &P) -> Vec<Disk> {
    let disk = |settings: &'static Settings| {
        let crypto = crypto.clone();
        let open = move |dir: &Path, members: usize| open(&crypto, settings, dir, members);
        Disk { store: settings.name, durable: settings.durable, open: Box::new(open) }
    };
    sqlite::ALL.iter().map(disk).collect()
}

/// Where a database is, and how it is set.
struct Place {
    path: PathBuf,
    settings: &'static Settings,
}

impl ConnectionStrategy for Place {
    fn make_connection(&self) -> Result<Connection, SqLiteDataStorageError> {
        self.settings.open(&self.path).map_err(|error| SqLiteDataStorageError::SqlEngineError(error.into()))
    }
}

fn storage(path: PathBuf, settings: &'static Settings) -> SqLiteGroupStateStorage {
    SqLiteDataStorageEngine::new(Place { path, settings }).unwrap().group_state_storage().unwrap()
}

fn open<P: CryptoProvider + Clone + 'static>(
    crypto: &P,
    settings: &'static Settings,
    dir: &Path,
    members: usize,
) -> Box<dyn Persisted> {
    let [sender, reader] = ["sender.db", "reader.db"].map(|name| client(crypto, storage(dir.join(name), settings)));
    let silent = (2..members).map(|_| key_package(&client(crypto, InMemoryGroupStateStorage::new())));
    let (mut sender, mut others) = found(&sender, &[reader], silent.collect());
    let mut reader = others.remove(0);
    sender.write_to_storage().unwrap();
    reader.write_to_storage().unwrap();
    Box::new(Pair { sender, reader, sent: Vec::new() })
}

struct Pair<C: MlsConfig> {
    sender: Group<C>,
    reader: Group<C>,
    sent: Vec<Vec<u8>>,
}

impl<C: MlsConfig> Persisted for Pair<C> {
    fn send(&mut self, content: &[u8], batch: usize) -> Duration {
        let (sent, time) = timed(|| {
            let sent = (0..batch).map(|_| encrypt(&mut self.sender, content)).collect();
            self.sender.write_to_storage().unwrap();
            sent
        });
        self.sent = sent;
        time
    }

    fn receive(&mut self) -> Duration {
        let (read, time) = timed(|| {
            let read: Vec<_> = self.sent.iter().map(|frame| decrypt(&mut self.reader, frame)).collect();
            self.reader.write_to_storage().unwrap();
            read
        });
        assert!(read.iter().all(Option::is_some));
        time
    }
}
