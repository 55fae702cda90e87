//! A device's records survive, whatever store they are in.

use convivio::store::{MemoryStore, SealedStore, Store, StoreErrorKind, StoreKey, conformance};

fn key() -> StoreKey {
    StoreKey::from_bytes(&mut [7; 32])
}

#[test]
fn the_memory_store_keeps_the_contract() {
    conformance::check(MemoryStore::new(), |store| Ok(store.snapshot())).unwrap();
}

#[test]
fn the_sealed_store_keeps_the_contract() {
    let store = SealedStore::create(MemoryStore::new(), key()).unwrap();
    conformance::check(store, |store| SealedStore::open(store.into_inner(), key())).unwrap();
}

#[test]
fn a_boxed_store_keeps_the_contract() {
    let store: Box<dyn Store> = Box::new(SealedStore::create(MemoryStore::new(), key()).unwrap());
    conformance::check(store, Ok).unwrap();
}

#[test]
fn sealing_twice_is_sealing() {
    let outer = || StoreKey::from_bytes(&mut [8; 32]);
    let store = SealedStore::create(MemoryStore::new(), key()).unwrap();
    // The inner layer's key check took version 1 and the name of the outer one's.
    assert_eq!(SealedStore::create(store, outer()).unwrap_err().kind(), StoreErrorKind::Conflict);
}

#[cfg(feature = "redb")]
mod in_a_file {
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicU32, Ordering};

    use convivio::store::{RecordKey, RedbStore, StoreError};
    use redb::{Database, TableDefinition};

    use super::*;

    /// A directory of this test's own.
    struct Dir(PathBuf);

    impl Dir {
        fn new() -> Self {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let name = format!("convivio-store-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn file(&self) -> PathBuf {
            self.0.join("device.convivio")
        }

        /// A file with some records in it, closed.
        fn written(&self) -> PathBuf {
            let path = self.file();
            conformance::check(RedbStore::create(&path).unwrap(), reopen(&path)).unwrap();
            path
        }

        /// A file with a mebibyte of records in it, closed.
        fn full(&self) -> PathBuf {
            let (path, full) = (self.file(), self.0.join("full"));
            let reopen = |store| {
                drop(store);
                if !full.exists() {
                    fs::copy(&path, &full).map_err(StoreError::failed)?;
                }
                RedbStore::open(&path)
            };
            conformance::check(RedbStore::create(&path).unwrap(), reopen).unwrap();
            full
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn reopen(path: &Path) -> impl FnMut(RedbStore) -> Result<RedbStore, StoreError> {
        move |store| {
            drop(store);
            RedbStore::open(path)
        }
    }

    fn version(store: &RedbStore) -> Option<Vec<u8>> {
        store.load(&RecordKey::VERSION).unwrap()
    }

    /// Opening is refused for this reason, and the file stays as it is.
    fn refused(path: &Path, kind: StoreErrorKind) {
        let before = fs::read(path).unwrap();
        assert_eq!(RedbStore::open(path).unwrap_err().kind(), kind);
        assert_eq!(RedbStore::open_or_create(path).unwrap_err().kind(), kind);
        assert!(fs::read(path).unwrap() == before, "the file was touched");
    }

    /// Writes the format record as some other version of the library might.
    fn set_format(path: &Path, format: &[u8]) {
        let database = Database::open(path).unwrap();
        let transaction = database.begin_write().unwrap();
        let table = TableDefinition::<&str, &[u8]>::new("convivio");
        transaction.open_table(table).unwrap().insert("format", format).unwrap();
        transaction.commit().unwrap();
    }

    #[test]
    fn it_keeps_the_contract() {
        Dir::new().written();
    }

    #[test]
    fn sealed_it_keeps_the_contract() {
        let dir = Dir::new();
        let path = dir.file();
        let store = SealedStore::open_or_create(RedbStore::open_or_create(&path).unwrap(), key()).unwrap();
        conformance::check(store, |store| {
            drop(store);
            SealedStore::open(RedbStore::open(&path)?, key())
        })
        .unwrap();
    }

    #[test]
    fn a_missing_file_is_an_error_and_is_not_created() {
        let dir = Dir::new();
        let error = RedbStore::open(dir.file()).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Failed);
        assert!(error.to_string().contains("no store at this path"), "{error}");
        assert!(!dir.file().exists());
    }

    #[test]
    fn creating_never_overwrites_and_leaves_nothing_beside() {
        let dir = Dir::new();
        let path = dir.written();
        let before = fs::read(&path).unwrap();
        assert_eq!(RedbStore::create(&path).unwrap_err().kind(), StoreErrorKind::Failed);
        assert!(fs::read(&path).unwrap() == before);
        assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error() {
        let dir = Dir::new();
        let error = RedbStore::open_or_create(dir.0.join("nowhere").join("file")).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Failed);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_reads_the_file() {
        use std::os::unix::fs::PermissionsExt as _;

        let dir = Dir::new();
        assert_eq!(fs::metadata(dir.written()).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_second_handle_is_locked_out() {
        let dir = Dir::new();
        let store = RedbStore::open(dir.written()).unwrap();
        refused(&dir.file(), StoreErrorKind::Locked);
        assert!(version(&store).is_some());
        drop(store);
        RedbStore::open(dir.file()).unwrap();
    }

    #[test]
    fn what_is_not_a_store_is_left_alone() {
        let dir = Dir::new();
        let whole = fs::read(dir.written()).unwrap();
        let text = b"Dear diary, this is no database at all. ".repeat(2_000);
        for contents in [&[][..], &[0; 8192], b"tiny", &text, &whole[..64], &whole[..4096], &whole[..whole.len() / 2]] {
            fs::write(dir.file(), contents).unwrap();
            refused(&dir.file(), StoreErrorKind::Damaged);
        }
    }

    #[test]
    fn another_programs_database_is_left_alone() {
        let dir = Dir::new();
        drop(Database::create(dir.file()).unwrap());
        refused(&dir.file(), StoreErrorKind::Damaged);
        set_format(&dir.file(), b"somebody\0\0\0\x01");
        refused(&dir.file(), StoreErrorKind::Damaged);
    }

    #[test]
    fn a_newer_store_is_left_alone() {
        let dir = Dir::new();
        set_format(&dir.written(), b"convivio\0\0\0\x02");
        refused(&dir.file(), StoreErrorKind::Newer);
    }

    #[test]
    fn a_newer_store_whose_process_was_killed_is_left_alone() {
        let dir = Dir::new();
        set_format(&dir.written(), b"convivio\0\0\0\x02");
        let open = Database::open(dir.file()).unwrap();
        let killed = dir.0.join("killed");
        fs::copy(dir.file(), &killed).unwrap();
        drop(open);
        refused(&killed, StoreErrorKind::Newer);
    }

    #[test]
    fn a_killed_process_loses_nothing_it_applied() {
        let dir = Dir::new();
        let store = RedbStore::open(dir.written()).unwrap();
        let killed = dir.0.join("killed");
        fs::copy(dir.file(), &killed).unwrap();
        assert_eq!(version(&RedbStore::open(&killed).unwrap()), version(&store));
    }

    #[test]
    fn compacting_keeps_the_records() {
        let dir = Dir::new();
        let path = dir.written();
        let mut store = RedbStore::open(&path).unwrap();
        let before = (version(&store), fs::metadata(&path).unwrap().len());
        store.compact().unwrap();
        assert_eq!(version(&store), before.0);
        drop(store);
        assert!(fs::metadata(&path).unwrap().len() < before.1);
        assert_eq!(version(&RedbStore::open(&path).unwrap()), before.0);
    }

    #[test]
    fn a_flipped_bit_is_noticed_or_harmless() {
        let dir = Dir::new();
        let path = dir.full();
        let whole = fs::read(&path).unwrap();
        let expected = version(&RedbStore::open(&path).unwrap());
        let mut damaged = 0;
        for at in (0..512).step_by(11).chain((0..whole.len()).step_by(whole.len() / 97)) {
            let mut altered = whole.clone();
            altered[at] ^= 1 << (at % 8);
            fs::write(&path, &altered).unwrap();
            match RedbStore::open(&path) {
                Ok(store) => assert_eq!(version(&store), expected, "byte {at}"),
                Err(error) => {
                    let expected = matches!(error.kind(), StoreErrorKind::Damaged | StoreErrorKind::Newer);
                    assert!(expected, "byte {at}: {error:?}");
                    refused(&path, error.kind());
                    damaged += 1;
                }
            }
        }
        assert!(damaged > 20, "{damaged} noticed");
    }

    #[test]
    fn of_many_who_create_at_once_one_succeeds() {
        let dir = Dir::new();
        let path = dir.file();
        let created = std::thread::scope(|scope| {
            let all: Vec<_> = (0..8).map(|_| scope.spawn(|| RedbStore::create(&path))).collect();
            all.into_iter().map(|one| one.join().unwrap()).filter(Result::is_ok).count()
        });
        assert_eq!(created, 1);
        assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 1);
        RedbStore::open(&path).unwrap();
    }
}
