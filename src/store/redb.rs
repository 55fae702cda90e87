//! A store in a file of its own, kept by redb.
//!
//! The file is a redb database of two tables. `convivio` says what it is: under `format`, the 8 bytes "convivio" and
//! a format version, 4 bytes big-endian. `records` holds the records, name → value.

#[cfg(test)]
pub(crate) mod power_cut;
mod probe;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use rand::TryRng;
use rand::rngs::SysRng;
use redb::{Builder, Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use super::{ChangeSet, RecordKey, Store, StoreError, StoreErrorKind};

/// A store in a file of its own.
///
/// One process and one handle have it open at a time. Every [`apply`](Store::apply) is one transaction, on the medium
/// when it returns. A deleted record's bytes stay in the file until their page is used again: wrap it in a
/// [`SealedStore`](super::SealedStore), so that they are worth nothing without the key.
///
/// Opening reads the whole file once and checks every page, without writing, before the file is trusted: a fifth of
/// a second for 100,000 records of 700 bytes.
///
/// ```no_run
/// use convivio::store::{RedbStore, SealedStore, StoreKey};
///
/// # fn from_keystore() -> StoreKey { StoreKey::from_bytes(&mut [7; 32]) }
/// let store = SealedStore::open_or_create(RedbStore::open_or_create("device.convivio")?, from_keystore())?;
/// # Ok::<(), convivio::store::StoreError>(())
/// ```
#[derive(Debug)]
pub struct RedbStore(Database);

impl RedbStore {
    /// Creates the file, readable and writable by its owner only.
    ///
    /// It appears complete or not at all: it is written under another name beside `path` and then given its own.
    ///
    /// # Errors
    /// [`StoreErrorKind::Failed`] if there is a file already, which is left alone, or the file system fails.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        if fs::symlink_metadata(path).is_ok() {
            return Err(exists(io::ErrorKind::AlreadyExists.into()));
        }
        let draft = Draft::new(path)?;
        let database = builder().create(&draft.0).map_err(failure)?;
        initialise(&database).map_err(failure)?;
        database.close().map_err(failure)?;
        draft.name(path)?;
        Self::open(path)
    }

    /// Opens the file.
    ///
    /// # Errors
    /// [`StoreErrorKind::Locked`] if another process or handle has it open, [`StoreErrorKind::Damaged`] if it is not
    /// such a file or is corrupted, [`StoreErrorKind::Newer`] if a newer version of this library wrote it: in all three
    /// cases not a byte of it was changed. [`StoreErrorKind::Failed`] if there is no file, or the file system fails.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        probe::probe(path)?;
        let database = builder().open(path).map_err(failure)?;
        check_format(&database)?;
        Ok(Self(database))
    }

    /// Opens the file, or creates it if there is none.
    ///
    /// # Errors
    /// Those of [`open`](RedbStore::open) and [`create`](RedbStore::create).
    pub fn open_or_create(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(path),
            _ => Self::open(path),
        }
    }

    /// Gives space of deleted records back to the file system. Takes long for a large file.
    ///
    /// # Errors
    /// [`StoreErrorKind::Damaged`] if the file is corrupted, [`StoreErrorKind::Failed`] if the file system fails.
    pub fn compact(&mut self) -> Result<(), StoreError> {
        self.0.compact().map(drop).map_err(failure)
    }

    fn read(&self, key: &RecordKey) -> Result<Option<Vec<u8>>, redb::Error> {
        let records = self.0.begin_read()?.open_table(RECORDS)?;
        Ok(records.get(key.as_bytes())?.map(|value| value.value().to_vec()))
    }
}

impl Store for RedbStore {
    fn load(&self, key: &RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(key).map_err(failure)
    }

    fn apply(&mut self, changes: &ChangeSet) -> Result<(), StoreError> {
        let mut transaction = self.0.begin_write().map_err(failure)?;
        transaction.set_durability(Durability::Immediate).map_err(failure)?;
        {
            let mut records = transaction.open_table(RECORDS).map_err(failure)?;
            let version = records.get(RecordKey::VERSION.as_bytes()).map_err(failure)?;
            changes.check(version.as_ref().map(|version| version.value()))?;
            drop(version);
            for (key, value) in changes.iter() {
                match value {
                    Some(value) => records.insert(key.as_bytes(), value),
                    None => records.remove(key.as_bytes()),
                }
                .map_err(failure)?;
            }
        }
        transaction.commit().map_err(failure)
    }
}

const FORMAT: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("convivio");
const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");
const FORMAT_KEY: &str = "format";
const MAGIC: &[u8; 8] = b"convivio";
const FORMAT_VERSION: u32 = 1;

/// Bytes of pages redb keeps in memory. Its own default, 1 GiB, is for servers.
const CACHE: usize = 16 * 1024 * 1024;

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE);
    builder
}

/// Writes both tables into an empty database.
fn initialise(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    let format = [MAGIC.as_slice(), &FORMAT_VERSION.to_be_bytes()].concat();
    transaction.open_table(FORMAT)?.insert(FORMAT_KEY, format.as_slice())?;
    transaction.open_table(RECORDS)?;
    Ok(transaction.commit()?)
}

/// Whether the database is one of ours, of this format.
fn check_format(database: &Database) -> Result<(), StoreError> {
    let read = || -> Result<Option<Vec<u8>>, redb::Error> {
        let format = database.begin_read()?.open_table(FORMAT)?;
        Ok(format.get(FORMAT_KEY)?.map(|value| value.value().to_vec()))
    };
    let format = match read() {
        Ok(format) => format.unwrap_or_default(),
        Err(redb::Error::TableDoesNotExist(_)) => Vec::new(),
        Err(error) => return Err(failure(error)),
    };
    let version = format.strip_prefix(MAGIC).and_then(|version| version.try_into().ok()).map(u32::from_be_bytes);
    match version {
        Some(FORMAT_VERSION) => Ok(()),
        Some(version) if version > FORMAT_VERSION => Err(newer()),
        _ => Err(StoreError::damaged("this file is a database but not a Convivio store: check the path")),
    }
}

const fn newer() -> StoreError {
    StoreError::new(StoreErrorKind::Newer, "this store was written by a newer version of the library: update the app")
}

fn exists(error: io::Error) -> StoreError {
    StoreError::new(StoreErrorKind::Failed, "there is a file already: open it, or choose another path").caused_by(error)
}

/// The one place where redb's errors get our kinds.
fn failure(error: impl Into<redb::Error>) -> StoreError {
    use redb::Error as E;
    let error = error.into();
    match &error {
        E::DatabaseAlreadyOpen | E::LockProtocolMismatch => StoreError::new(
            StoreErrorKind::Locked,
            "another process or handle has this store open: close it there first",
        ),
        E::UpgradeRequired(version) if *version > REDB_FORMAT => newer(),
        E::Io(cause) if cause.kind() == io::ErrorKind::NotFound => {
            StoreError::new(StoreErrorKind::Failed, "there is no store at this path: check it, or create one")
        }
        E::Io(cause) if !matches!(cause.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => {
            return StoreError::failed(error);
        }
        E::Io(_)
        | E::Corrupted(_)
        | E::UpgradeRequired(_)
        | E::RepairAborted
        | E::TableTypeMismatch { .. }
        | E::TableIsMultimap(_)
        | E::TableIsNotMultimap(_)
        | E::TypeDefinitionChanged { .. }
        | E::TableDoesNotExist(_) => {
            StoreError::damaged("this file is corrupted or not a Convivio store: restore it, or check the path")
        }
        _ => return StoreError::failed(error),
    }
    .caused_by(error)
}

/// The version of redb's own file format that this build writes.
const REDB_FORMAT: u8 = 3;

/// A file under a passing name. Removed on drop.
struct Draft(PathBuf);

impl Draft {
    /// An empty file beside `path`, for its owner only.
    fn new(path: &Path) -> Result<Self, StoreError> {
        let mut random = [0; 8];
        SysRng.try_fill_bytes(&mut random).map_err(StoreError::failed)?;
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{:016x}.new", u64::from_be_bytes(random)));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let draft = Self(name.into());
        options.open(&draft.0).map_err(StoreError::failed)?;
        Ok(draft)
    }

    /// Gives it its name, unless another file has that.
    fn name(self, path: &Path) -> Result<(), StoreError> {
        match fs::hard_link(&self.0, path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(exists(error)),
            // A file system without links: look, then rename. Two processes that create at once are not told apart.
            Err(_) if fs::symlink_metadata(path).is_ok() => return Err(exists(io::ErrorKind::AlreadyExists.into())),
            Err(_) => fs::rename(&self.0, path).map_err(StoreError::failed)?,
        }
        sync_directory(path)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Nothing to be done about a failure: what remains is an empty store under a name nobody asks for.
        let _ = fs::remove_file(&self.0);
    }
}

/// Makes a new name in a directory durable, where directories can be synced.
fn sync_directory(path: &Path) -> Result<(), StoreError> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|directory| directory.sync_all()).map_err(StoreError::failed)
}
