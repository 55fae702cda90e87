//! An app that receives what it is given and says how far it has come: `chat DATABASE STOP`.
//!
//! On standard input: log entries, each with its length, 4 bytes, little-endian, before it. Where STOP says, it stands still
//! until it is killed.

use std::io::{self, Read, Write};
use std::{env, process};

use convivio::Client;
use convivio::log::LogEntry;
use convivio_sqlite_tests::{Database, SqliteStore, insert_chat_rows, write_records};
use rusqlite::Connection;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().collect();
    let [_, path, stop] = arguments.as_slice() else { return Err("usage: chat DATABASE STOP".into()) };
    let database = Database::open(Connection::open(path)?)?;
    let mut client = Client::open(SqliteStore(database.clone()))?;
    let entries = read_entries()?;
    reached("open", stop)?;
    let staged = client.stage(|draft| {
        draft.receive(&entries)?;
        let last = draft.events().last().map(|event| event.id);
        last.map_or(Ok(()), |last| draft.ack(last))
    })?;
    reached("staged", stop)?;
    let mut connection = database.connection();
    let tx = connection.transaction()?;
    write_records(&tx, staged.changes())?;
    reached("records", stop)?;
    insert_chat_rows(&tx, staged.events())?;
    reached("rows", stop)?;
    tx.commit()?;
    reached("committed", stop)?;
    drop(connection);
    staged.saved()?;
    reached("saved", stop)
}

fn reached(stage: &str, stop: &str) -> Result<(), Box<dyn std::error::Error>> {
    println!("{stage}");
    io::stdout().flush()?;
    if stage == stop {
        // Until it is killed, or whoever wanted to is gone.
        io::stdin().read_to_end(&mut Vec::new())?;
        process::exit(1);
    }
    Ok(())
}

fn read_entries() -> Result<Vec<LogEntry>, Box<dyn std::error::Error>> {
    let (mut input, mut entries, mut number) = (io::stdin().lock(), Vec::new(), [0; 4]);
    input.read_exact(&mut number)?;
    for _ in 0..u32::from_le_bytes(number) {
        input.read_exact(&mut number)?;
        let mut bytes = vec![0; u32::from_le_bytes(number) as usize];
        input.read_exact(&mut bytes)?;
        entries.push(LogEntry::from_bytes(&bytes)?);
    }
    Ok(entries)
}
