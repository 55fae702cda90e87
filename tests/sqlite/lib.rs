//! An app that keeps its chat and its device's records in one SQLite database, and changes both in one transaction.

use std::error::Error as StdError;
use std::sync::{Arc, Mutex, MutexGuard};

use convivio::Client;
use convivio::client::{Event, EventKind};
use convivio::log::LogEntry;
use convivio::store::{ChangeSet, RecordKey, Store, StoreError};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

/// The app's database: its chat and, beside it, the device's records.
#[derive(Clone)]
pub struct Database(Arc<Mutex<Connection>>);

impl Database {
    pub fn open(connection: Connection) -> rusqlite::Result<Self> {
        connection.execute_batch(
            "PRAGMA synchronous = FULL;
             CREATE TABLE IF NOT EXISTS chat (id BLOB PRIMARY KEY, user TEXT NOT NULL, said BLOB NOT NULL);
             CREATE TABLE IF NOT EXISTS convivio (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;",
        )?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    pub fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap()
    }

    pub fn chat(&self) -> Vec<String> {
        let connection = self.connection();
        let mut rows = connection.prepare("SELECT said FROM chat ORDER BY rowid").unwrap();
        let said = rows.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
        said.map(|said| String::from_utf8(said.unwrap()).unwrap()).collect()
    }
}

/// The device's records, in the app's database.
pub struct SqliteStore(pub Database);

impl Store for SqliteStore {
    fn load(&self, key: &RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        load(&self.0.connection(), key)
    }

    fn apply(&mut self, changes: &ChangeSet) -> Result<(), StoreError> {
        let mut connection = self.0.connection();
        let tx = connection.transaction().map_err(StoreError::failed)?;
        write_records(&tx, changes)?;
        tx.commit().map_err(StoreError::failed)
    }
}

fn load(connection: &Connection, key: &RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
    connection
        .prepare_cached("SELECT value FROM convivio WHERE key = ?1")
        .and_then(|mut select| select.query_row([key.as_bytes()], |row| row.get(0)).optional())
        .map_err(StoreError::failed)
}

/// Our half of a transaction.
pub fn write_records(tx: &Transaction<'_>, changes: &ChangeSet) -> Result<(), StoreError> {
    changes.check(load(tx, &RecordKey::VERSION)?.as_deref())?;
    let upsert = "INSERT INTO convivio VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    let mut put = tx.prepare_cached(upsert).map_err(StoreError::failed)?;
    let mut delete = tx.prepare_cached("DELETE FROM convivio WHERE key = ?1").map_err(StoreError::failed)?;
    for (key, value) in changes.iter() {
        match value {
            Some(value) => put.execute(params![key.as_bytes(), value]),
            None => delete.execute([key.as_bytes()]),
        }
        .map_err(StoreError::failed)?;
    }
    Ok(())
}

/// The app's half. The message id is the key, so that nothing is ever shown twice.
pub fn insert_chat_rows(tx: &Transaction<'_>, events: &[Event]) -> rusqlite::Result<()> {
    for event in events {
        if let EventKind::Message { id, user, content, .. } = &event.what {
            tx.execute("INSERT INTO chat VALUES (?1, ?2, ?3)", params![id.as_bytes(), user.to_string(), content])?;
        }
    }
    Ok(())
}

/// The pattern: receive, write the app's rows, acknowledge, all in one transaction.
pub fn receive(
    client: &mut Client,
    database: &Database,
    entries: &[LogEntry],
) -> Result<Vec<Event>, Box<dyn StdError>> {
    let staged = client.stage(|draft| draft.receive(entries))?;
    let mut connection = database.connection();
    let tx = connection.transaction()?;
    write_records(&tx, staged.changes())?;
    insert_chat_rows(&tx, staged.events())?;
    match tx.commit() {
        Ok(()) => Ok(staged.saved()?.events),
        Err(error) => {
            staged.unknown();
            Err(error.into())
        }
    }
}
