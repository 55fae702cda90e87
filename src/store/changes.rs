//! Records and what is changed about them.

use core::fmt;
use std::borrow::Cow;
use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::{Store, StoreError, StoreErrorKind};

/// The name of a record: 1 to 128 bytes, ordered as bytes.
///
/// Names are not secret and are not hidden by a [`SealedStore`](super::SealedStore): they tell kinds of records, group
/// ids and counters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey(Cow<'static, [u8]>);

impl RecordKey {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 128;

    /// The record that holds the store's version: 8 bytes, big-endian; absent means 0. Every change set writes it.
    pub const VERSION: Self = Self(Cow::Borrowed(&[RESERVED]));

    /// The record by which a sealed store knows its key.
    pub(crate) const KEY_CHECK: Self = Self(Cow::Borrowed(&[RESERVED, 1]));

    /// The name made of a tag and parts. The tag fixes how many parts there are and the length of each, so that no two
    /// records share a name. Tag 0 is the stores' own.
    pub(crate) fn of(tag: u8, parts: &[&[u8]]) -> Self {
        let mut bytes = Vec::with_capacity(parts.iter().fold(1, |len, part| len + part.len()));
        bytes.push(tag);
        for part in parts {
            bytes.extend_from_slice(part);
        }
        debug_assert!(tag != RESERVED && bytes.len() <= Self::MAX_LEN, "not a record's name");
        Self(Cow::Owned(bytes))
    }

    /// Takes the name back from a store that lists its records.
    ///
    /// # Errors
    /// [`StoreErrorKind::Damaged`] unless it is 1 to 128 bytes long.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        if bytes.is_empty() || bytes.len() > Self::MAX_LEN {
            return Err(StoreError::damaged("a record's name is not 1 to 128 bytes long: restore the store"));
        }
        Ok(Self(Cow::Owned(bytes.to_vec())))
    }

    /// The name, 1 to 128 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The tag of the records that belong to the stores themselves.
const RESERVED: u8 = 0;

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordKey(")?;
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

/// The changes of one operation, to be applied wholly or not at all (`docs/protocol.md`, section 7).
///
/// It names the version it builds on and moves the store to the next one, so a second process or handle that writes
/// to the same store is caught. The values may be secrets; they are wiped on drop and never printed.
///
/// A [`Store`] applies it; an app that keeps the records in its own database does the same inside its own transaction:
/// [`check`](ChangeSet::check) against the stored [version record](RecordKey::VERSION), then write and delete what
/// [`iter`](ChangeSet::iter) yields.
pub struct ChangeSet {
    base: u64,
    changes: BTreeMap<RecordKey, Option<Zeroizing<Vec<u8>>>>,
}

impl ChangeSet {
    /// No changes yet, building on version `base`.
    pub(crate) fn new(base: u64) -> Self {
        let version = Zeroizing::new(base.to_be_bytes().to_vec());
        Self { base, changes: BTreeMap::from([(RecordKey::VERSION, Some(version))]) }
    }

    fn set(&mut self, key: RecordKey, value: Option<Zeroizing<Vec<u8>>>) {
        debug_assert!(key != RecordKey::VERSION, "the version is written by the change set itself");
        let first = self.is_empty();
        self.changes.insert(key, value);
        if first {
            let version = Zeroizing::new(self.version_record().to_vec());
            self.changes.insert(RecordKey::VERSION, Some(version));
        }
    }

    /// No changes yet, building on what is in `store`.
    ///
    /// # Errors
    /// Those of [`Store::load`], and Damaged if the version record is no version.
    pub(crate) fn on(store: &dyn Store) -> Result<Self, StoreError> {
        Ok(Self::new(version(store.load(&RecordKey::VERSION)?.as_deref())?))
    }

    /// The record is to hold `value`.
    pub(crate) fn put(&mut self, key: RecordKey, value: Vec<u8>) {
        self.set(key, Some(Zeroizing::new(value)));
    }

    /// The record is to be gone.
    pub(crate) fn delete(&mut self, key: RecordKey) {
        self.set(key, None);
    }

    /// What these changes make of the record: `None` if they leave it alone, `Some(None)` if they delete it.
    pub(crate) fn get(&self, key: &RecordKey) -> Option<Option<&[u8]>> {
        self.changes.get(key).map(|value| value.as_ref().map(|value| value.as_slice()))
    }

    /// The version these changes build on.
    #[must_use]
    pub const fn base(&self) -> u64 {
        self.base
    }

    /// The version of the store once these changes are applied: the next one, or the same if there are no changes, so
    /// that it does not matter whether an empty set is applied.
    #[must_use]
    pub fn next(&self) -> u64 {
        if self.is_empty() { self.base } else { self.base.saturating_add(1) }
    }

    /// How many records change, not counting the version record.
    #[must_use]
    pub fn len(&self) -> usize {
        self.changes.len().saturating_sub(1)
    }

    /// Whether no record but the version record changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every record to write (`Some`) or to delete (`None`), in the order of their names, the
    /// [version record](RecordKey::VERSION) among them. Deleting a record that is not there is not an error.
    pub fn iter(&self) -> impl Iterator<Item = (&RecordKey, Option<&[u8]>)> {
        self.changes.iter().map(|(key, value)| (key, value.as_ref().map(|value| value.as_slice())))
    }

    /// The value [`iter`](ChangeSet::iter) yields for the version record, for a store that keeps it elsewhere.
    #[must_use]
    pub fn version_record(&self) -> [u8; 8] {
        self.next().to_be_bytes()
    }

    /// Whether these changes build on what is stored. `stored_version` is the value of the
    /// [version record](RecordKey::VERSION), read in the transaction that will write the changes.
    ///
    /// # Errors
    /// [`StoreErrorKind::Conflict`] if the store is at another version, [`StoreErrorKind::Damaged`] if the record holds
    /// no version.
    pub fn check(&self, stored_version: Option<&[u8]>) -> Result<(), StoreError> {
        if version(stored_version)? != self.base {
            return Err(StoreError::new(
                StoreErrorKind::Conflict,
                "someone else has written to this store: close it, make sure it has one user only, open it again",
            ));
        }
        Ok(())
    }
}

/// The version in a version record. The last number is no version, for nothing could follow it.
fn version(stored: Option<&[u8]>) -> Result<u64, StoreError> {
    let Some(stored) = stored else { return Ok(0) };
    match stored.try_into().map(u64::from_be_bytes) {
        Ok(version) if version < u64::MAX => Ok(version),
        _ => Err(StoreError::damaged("the store's version record is not one: restore the store")),
    }
}

impl fmt::Debug for ChangeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { base, changes: _ } = self;
        f.debug_struct("ChangeSet").field("base", base).field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(tag: u8) -> RecordKey {
        RecordKey::of(tag, &[])
    }

    #[test]
    fn a_name_is_its_tag_and_parts() {
        let name = RecordKey::of(7, &[&[1, 2], &[3]]);
        assert_eq!(name.as_bytes(), [7, 1, 2, 3]);
        assert_eq!(RecordKey::from_bytes(&[7, 1, 2, 3]).unwrap(), name);
        assert!(RecordKey::of(7, &[&[255]]) < RecordKey::of(8, &[]));
        assert_eq!(format!("{name:?}"), "RecordKey(07010203)");
    }

    #[test]
    fn names_are_bounded() {
        assert!(RecordKey::from_bytes(&[1; 128]).is_ok());
        for bad in [&[][..], &[1; 129]] {
            assert_eq!(RecordKey::from_bytes(bad).unwrap_err().kind(), StoreErrorKind::Damaged);
        }
    }

    #[test]
    fn the_overlay_tells_deleted_from_untouched() {
        let mut changes = ChangeSet::new(3);
        changes.put(key(1), vec![9]);
        changes.delete(key(2));
        assert_eq!(changes.get(&key(1)), Some(Some(&[9][..])));
        assert_eq!(changes.get(&key(2)), Some(None));
        assert_eq!(changes.get(&key(3)), None);
        changes.put(key(2), vec![8]);
        assert_eq!(changes.get(&key(2)), Some(Some(&[8][..])));
        assert_eq!(changes.len(), 2);
    }

    #[test]
    fn the_version_record_is_among_the_changes() {
        let mut changes = ChangeSet::new(3);
        for next in [3, 4] {
            assert_eq!((changes.is_empty(), changes.base(), changes.next()), (next == 3, 3, next));
            let written: Vec<_> = changes.iter().take(1).collect();
            assert_eq!(written, [(&RecordKey::VERSION, Some(&changes.version_record()[..]))]);
            assert_eq!(changes.version_record(), next.to_be_bytes());
            changes.delete(key(1));
        }
    }

    #[test]
    fn only_the_version_built_on_passes() {
        fn kind(base: u64, stored: Option<&[u8]>) -> Result<(), StoreErrorKind> {
            ChangeSet::new(base).check(stored).map_err(|error| error.kind())
        }
        assert_eq!(kind(0, None), Ok(()));
        assert_eq!(kind(5, Some(&5_u64.to_be_bytes()[..])), Ok(()));
        assert_eq!(kind(5, None), Err(StoreErrorKind::Conflict));
        assert_eq!(kind(5, Some(&6_u64.to_be_bytes()[..])), Err(StoreErrorKind::Conflict));
        assert_eq!(kind(0, Some(&[])), Err(StoreErrorKind::Damaged));
        assert_eq!(kind(u64::MAX, Some(&[255; 8])), Err(StoreErrorKind::Damaged));
    }

    #[test]
    fn values_are_not_printed() {
        let mut changes = ChangeSet::new(0);
        changes.put(key(1), vec![0xAB; 40]);
        assert_eq!(format!("{changes:?}"), "ChangeSet { base: 0, len: 1, .. }");
    }
}
