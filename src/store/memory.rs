//! A store that forgets.

use core::fmt;
use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::{ChangeSet, RecordKey, Store, StoreError};

/// A store in memory, for tests: what it holds is gone with the process.
#[derive(Default)]
pub struct MemoryStore(BTreeMap<RecordKey, Zeroizing<Vec<u8>>>);

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A copy as it is now: what a process that is killed here would find when it opens the store again.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        Self(self.0.clone())
    }

    /// How many records there are, the version record among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was ever applied.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The records, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&RecordKey, &[u8])> {
        self.0.iter().map(|(key, value)| (key, value.as_slice()))
    }

    /// Writes or deletes one record, whatever the version; what it held before.
    pub(crate) fn replace(&mut self, key: &RecordKey, value: Option<&[u8]>) -> Option<Zeroizing<Vec<u8>>> {
        match value {
            Some(value) => self.0.insert(key.clone(), Zeroizing::new(value.to_vec())),
            None => self.0.remove(key),
        }
    }
}

impl Store for MemoryStore {
    fn load(&self, key: &RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.get(key).map(|value| value.to_vec()))
    }

    fn apply(&mut self, changes: &ChangeSet) -> Result<(), StoreError> {
        changes.check(self.0.get(&RecordKey::VERSION).map(|value| value.as_slice()))?;
        for (key, value) in changes.iter() {
            match (self.0.get_mut(key), value) {
                // Most records keep their length.
                (Some(held), Some(value)) if held.len() == value.len() => held.copy_from_slice(value),
                _ => drop(self.replace(key, value)),
            }
        }
        Ok(())
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(records) = self;
        f.debug_struct("MemoryStore").field("len", &records.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_does_not_follow() {
        let mut store = MemoryStore::new();
        let before = store.snapshot();
        let mut changes = ChangeSet::new(0);
        changes.put(RecordKey::of(9, &[]), vec![1]);
        store.apply(&changes).unwrap();
        assert!(before.is_empty());
        assert_eq!(store.len(), 2);
        assert_eq!(store.iter().next(), Some((&RecordKey::VERSION, &1_u64.to_be_bytes()[..])));
        assert_eq!(format!("{store:?}"), "MemoryStore { len: 2, .. }");
    }
}
