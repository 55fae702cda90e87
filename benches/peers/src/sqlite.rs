//! How SQLite is set, the same for everyone who keeps state in it.

use std::path::Path;

use rusqlite::Connection;

/// How hard SQLite tries.
pub struct Settings {
    pub name: &'static str,
    pub durable: bool,
    journal: &'static str,
    synchronous: &'static str,
}

/// SQLite as it is by default, as it is fastest while durable, and as many set it, which a power cut may undo.
pub static ALL: [Settings; 3] = [
    Settings { name: "SQLite default", durable: true, journal: "DELETE", synchronous: "FULL" },
    Settings { name: "SQLite WAL", durable: true, journal: "WAL", synchronous: "FULL" },
    Settings { name: "SQLite WAL NORMAL", durable: false, journal: "WAL", synchronous: "NORMAL" },
];

impl Settings {
    pub fn open(&self, path: &Path) -> rusqlite::Result<Connection> {
        let connection = Connection::open(path)?;
        let mode: String = connection.pragma_update_and_check(None, "journal_mode", self.journal, |row| row.get(0))?;
        assert!(mode.eq_ignore_ascii_case(self.journal));
        connection.pragma_update(None, "synchronous", self.synchronous)?;
        Ok(connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_called_durable_syncs_fully() {
        let dir = tempfile::tempdir().unwrap();
        for settings in &ALL {
            let connection = settings.open(&dir.path().join(settings.name)).unwrap();
            let level: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
            assert_eq!(settings.durable, level >= 2, "{}", settings.name);
        }
    }
}
