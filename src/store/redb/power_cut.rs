//! The power is cut at every single step of a change set, with any part of the unsynced writes on the medium: the
//! store then holds the state before or after, never one between.

use std::io;
use std::sync::{Arc, Mutex};

use redb::StorageBackend;

use super::{RedbStore, builder, check_format, initialise};
use crate::store::{ChangeSet, RecordKey, Store};

/// A medium that fails for good after some steps.
#[derive(Clone, Debug)]
struct Medium(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    synced: Vec<u8>,
    now: Vec<u8>,
    /// Writes since the last sync.
    pending: Vec<(usize, Vec<u8>)>,
    steps_left: usize,
}

impl Medium {
    fn holding(bytes: Vec<u8>, steps_left: usize) -> Self {
        Self(Arc::new(Mutex::new(State { synced: bytes.clone(), now: bytes, pending: Vec::new(), steps_left })))
    }

    fn step<T>(&self, f: impl FnOnce(&mut State) -> T) -> Result<T, io::Error> {
        let mut state = self.0.lock().unwrap();
        state.steps_left = state.steps_left.checked_sub(1).ok_or(io::Error::other("no power"))?;
        Ok(f(&mut state))
    }

    /// What the medium holds if, of the writes since the last sync, it kept those whose bit in `kept` is set.
    fn after_power_cut(&self, kept: u64) -> Vec<u8> {
        let state = self.0.lock().unwrap();
        let mut bytes = state.synced.clone();
        bytes.resize(state.now.len(), 0);
        for (i, (at, data)) in state.pending.iter().enumerate() {
            if kept >> (i % 64) & 1 == 1 && at + data.len() <= bytes.len() {
                bytes[*at..at + data.len()].copy_from_slice(data);
            }
        }
        bytes
    }
}

impl StorageBackend for Medium {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.0.lock().unwrap().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let state = self.0.lock().unwrap();
        let offset = usize::try_from(offset).unwrap();
        out.copy_from_slice(state.now.get(offset..offset + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.step(|state| state.now.resize(usize::try_from(len).unwrap(), 0))
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.step(|state| {
            state.synced.clone_from(&state.now);
            state.pending.clear();
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.step(|state| {
            let at = usize::try_from(offset).unwrap();
            state.now.resize(state.now.len().max(at + data.len()), 0);
            state.now[at..at + data.len()].copy_from_slice(data);
            state.pending.push((at, data.to_vec()));
        })
    }
}

fn open(medium: Medium) -> RedbStore {
    RedbStore(builder().set_check_integrity_on_open(true).create_with_backend(medium).unwrap())
}

const RECORDS: u8 = 40;

fn name(n: u8) -> RecordKey {
    RecordKey::of(1, &[&[n]])
}

/// Every record is to be filled with the number of the version.
fn fill(store: &RedbStore) -> ChangeSet {
    let mut changes = ChangeSet::on(store).unwrap();
    let version = u8::try_from(changes.base() + 1).unwrap();
    (0..RECORDS).for_each(|n| changes.put(name(n), vec![version; 300]));
    changes
}

/// The version, of which every record must be.
fn version(store: &RedbStore) -> u64 {
    let version = ChangeSet::on(store).unwrap().base();
    for n in 0..RECORDS {
        assert_eq!(store.load(&name(n)).unwrap().unwrap(), vec![u8::try_from(version).unwrap(); 300]);
    }
    version
}

/// A medium with three versions applied, cleanly closed.
fn written() -> Vec<u8> {
    let medium = Medium::holding(Vec::new(), usize::MAX);
    let mut store = open(medium.clone());
    initialise(&store.0).unwrap();
    for _ in 0..3 {
        store.apply(&fill(&store)).unwrap();
    }
    drop(store);
    medium.after_power_cut(u64::MAX)
}

#[test]
fn a_change_set_is_there_wholly_or_not_at_all() {
    let bytes = written();
    let mut seen = [0; 2];
    for steps in 0.. {
        let medium = Medium::holding(bytes.clone(), usize::MAX);
        let mut store = open(medium.clone());
        let changes = fill(&store);
        medium.0.lock().unwrap().steps_left = steps;
        let applied = store.apply(&changes).is_ok();
        let pending = medium.0.lock().unwrap().pending.len();
        for kept in [0, u64::MAX, 0x5555_5555_5555_5555, 0xAAAA_AAAA_AAAA_AAAA, 0xF0F0_0FF0_1234_5678] {
            let reopened = open(Medium::holding(medium.after_power_cut(kept), usize::MAX));
            check_format(&reopened.0).unwrap();
            let version = version(&reopened);
            assert!(
                version == 4 || version == 3 && !applied,
                "version {version} after {steps} steps, {pending} pending"
            );
            seen[usize::from(version == 4)] += 1;
        }
        if applied {
            break;
        }
    }
    assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");
}
