//! The power is cut at every single step of a change set, with any part of the unsynced writes on the medium, whole or
//! torn: the store then holds the state before or after, never one between.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use redb::{ReadableDatabase, ReadableTable, StorageBackend};

use super::{RECORDS, RedbStore, builder, check_format, initialise};
use crate::store::{ChangeSet, RecordKey, Store};

/// A medium that remembers what was done to it, and fails for good after some steps.
#[derive(Clone, Debug)]
pub(crate) struct Medium(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    now: Vec<u8>,
    steps: Vec<Step>,
    steps_left: usize,
}

/// What was done to a medium.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Write(usize, Vec<u8>),
    SetLen(usize),
    Sync,
}

impl Medium {
    pub(crate) fn holding(bytes: Vec<u8>, steps_left: usize) -> Self {
        Self(Arc::new(Mutex::new(State { now: bytes, steps: Vec::new(), steps_left })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// How many steps were done.
    pub(crate) fn len(&self) -> usize {
        self.state().steps.len()
    }

    /// What was done.
    pub(crate) fn steps(&self) -> Vec<Step> {
        self.state().steps.clone()
    }

    /// What it holds if the power stays on.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.state().now.clone()
    }

    fn step(&self, step: Step) -> Result<(), io::Error> {
        let mut state = self.state();
        state.steps_left = state.steps_left.checked_sub(1).ok_or(io::Error::other("no power"))?;
        apply(&mut state.now, &step);
        state.steps.push(step);
        Ok(())
    }
}

fn apply(bytes: &mut Vec<u8>, step: &Step) {
    match step {
        Step::Write(at, data) => {
            let end = at + data.len();
            bytes.resize(bytes.len().max(end), 0);
            bytes[*at..end].copy_from_slice(data);
        }
        Step::SetLen(len) => bytes.resize(*len, 0),
        Step::Sync => {}
    }
}

/// Which of the steps since the last sync are on the medium after a power cut.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kept {
    /// Those whose bit is set, counted from 0 and modulo 64: nothing, everything, or any of it, as if in another order.
    Steps(u64),
    /// Of every write, the sectors whose bit is set, counted from the start of the medium.
    Sectors(u64),
}

/// The ways in which a power cut is tried.
pub(crate) const CUTS: [Kept; 9] = [
    Kept::Steps(0),
    Kept::Steps(u64::MAX),
    Kept::Steps(1),
    Kept::Steps(0x5555_5555_5555_5555),
    Kept::Steps(0xAAAA_AAAA_AAAA_AAAA),
    Kept::Steps(0xF0F0_0FF0_1234_5678),
    Kept::Sectors(0x5555_5555_5555_5555),
    Kept::Sectors(0xAAAA_AAAA_AAAA_AAAA),
    Kept::Sectors(0x0F0F_F00F_1248_1248),
];

/// What a medium writes at once.
const SECTOR: usize = 512;

/// What a medium holds that was synced with these bytes and then lost power after these steps.
pub(crate) fn after_power_cut(synced: &[u8], unsynced: &[Step], kept: Kept) -> Vec<u8> {
    let mut bytes = synced.to_vec();
    for (i, step) in unsynced.iter().enumerate() {
        match (kept, step) {
            (Kept::Steps(kept), step) if kept >> (i % 64) & 1 == 1 => apply(&mut bytes, step),
            (Kept::Steps(_), _) => {}
            (Kept::Sectors(kept), Step::Write(at, data)) => write_sectors(&mut bytes, *at, data, kept),
            (Kept::Sectors(_), step) => apply(&mut bytes, step),
        }
    }
    bytes
}

fn write_sectors(bytes: &mut Vec<u8>, at: usize, data: &[u8], kept: u64) {
    bytes.resize(bytes.len().max(at + data.len()), 0);
    for (place, byte) in (at..).zip(data) {
        if kept >> (place / SECTOR % 64) & 1 == 1 {
            bytes[place] = *byte;
        }
    }
}

impl StorageBackend for Medium {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.state().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let state = self.state();
        let offset = usize::try_from(offset).unwrap();
        out.copy_from_slice(state.now.get(offset..offset + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.step(Step::SetLen(usize::try_from(len).unwrap()))
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.step(Step::Sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.step(Step::Write(usize::try_from(offset).unwrap(), data.to_vec()))
    }
}

/// A new store on a medium.
pub(crate) fn create(medium: Medium) -> RedbStore {
    let store = open(medium);
    initialise(&store.0).unwrap();
    store
}

fn open(medium: Medium) -> RedbStore {
    RedbStore(builder().set_check_integrity_on_open(true).create_with_backend(medium).unwrap())
}

/// What a restart finds on a medium with these bytes.
pub(crate) fn reopen(bytes: Vec<u8>) -> RedbStore {
    let store = open(Medium::holding(bytes, usize::MAX));
    check_format(&store.0).unwrap();
    store
}

/// Every record of a store.
pub(crate) fn records(store: &RedbStore) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let records = store.0.begin_read().unwrap().open_table(RECORDS).unwrap();
    let both = records.iter().unwrap().map(Result::unwrap);
    both.map(|(key, value)| (key.value().to_vec(), value.value().to_vec())).collect()
}

const RECORD_COUNT: u8 = 40;

fn name(n: u8) -> RecordKey {
    RecordKey::of(1, &[&[n]])
}

/// Every record is to be filled with the number of the version.
fn fill(store: &RedbStore) -> ChangeSet {
    let mut changes = ChangeSet::on(store).unwrap();
    let version = u8::try_from(changes.base() + 1).unwrap();
    (0..RECORD_COUNT).for_each(|n| changes.put(name(n), vec![version; 300]));
    changes
}

/// The version, of which every record must be.
fn version(store: &RedbStore) -> u64 {
    let version = ChangeSet::on(store).unwrap().base();
    for n in 0..RECORD_COUNT {
        assert_eq!(store.load(&name(n)).unwrap().unwrap(), vec![u8::try_from(version).unwrap(); 300]);
    }
    version
}

/// A medium with three versions applied, cleanly closed.
fn written() -> Vec<u8> {
    let medium = Medium::holding(Vec::new(), usize::MAX);
    let mut store = create(medium.clone());
    for _ in 0..3 {
        store.apply(&fill(&store)).unwrap();
    }
    drop(store);
    medium.bytes()
}

#[test]
fn a_change_set_is_there_wholly_or_not_at_all() {
    let bytes = written();
    let mut seen = [0; 2];
    for steps in 0.. {
        let medium = Medium::holding(bytes.clone(), usize::MAX);
        let mut store = open(medium.clone());
        let changes = fill(&store);
        medium.state().steps_left = steps;
        let applied = store.apply(&changes).is_ok();
        let (mut synced, mut pending) = (bytes.clone(), Vec::new());
        for step in medium.steps() {
            advance(&mut synced, &mut pending, step);
        }
        for kept in CUTS {
            let version = version(&reopen(after_power_cut(&synced, &pending, kept)));
            assert!(
                version == 4 || version == 3 && !applied,
                "version {version} after {steps} steps, {} pending, {kept:?}",
                pending.len()
            );
            seen[usize::from(version == 4)] += 1;
        }
        if applied {
            break;
        }
    }
    assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");
}

/// One more step: a sync makes those before it durable.
pub(crate) fn advance(synced: &mut Vec<u8>, unsynced: &mut Vec<Step>, step: Step) {
    match step {
        Step::Sync => unsynced.drain(..).for_each(|step| apply(synced, &step)),
        step => unsynced.push(step),
    }
}
