//! Encryption at rest, over any store (`docs/protocol.md`, section 7).
//!
//! A sealed value is XChaCha20-Poly1305 under the store key: a random 24-byte nonce, the ciphertext, a 16-byte tag. Its
//! associated data is array("store record", record name), so a value moved to another record does not open. With
//! 192-bit nonces a device may seal for ever: 2⁶⁴ records make a repetition as unlikely as 2⁻⁶⁵.
//!
//! Two records are the store's own. The version record stays plain, since the inner store compares it. The key check
//! is a sealed constant, by which another key is noticed on opening.

use core::fmt;

use rand::rngs::SysRng;
use rand::{CryptoRng, TryRng};
use zeroize::Zeroizing;

use super::{ChangeSet, RecordKey, Store, StoreError, StoreErrorKind};
use crate::crypto::aead;
use crate::labels;
use crate::secret::Secret;
use crate::wire::labelled;

/// A store whose values are sealed under a [`StoreKey`] before they reach the inner store.
///
/// It hides and authenticates values and binds each to its record. It does not hide the names of records, how many
/// there are, nor their lengths; and it cannot notice that a record, or the whole store, was put back to an older state or
/// deleted (for which see `docs/protocol.md`, section 7).
///
/// ```
/// use convivio::store::{MemoryStore, SealedStore, StoreErrorKind, StoreKey};
///
/// let inner = MemoryStore::new();
/// let store = SealedStore::create(inner, StoreKey::from_bytes(&mut [7; 32]))?;
///
/// // Later, with the key from the platform's keystore:
/// let inner = store.into_inner();
/// let wrong = SealedStore::open(inner.snapshot(), StoreKey::from_bytes(&mut [8; 32]));
/// assert_eq!(wrong.unwrap_err().kind(), StoreErrorKind::Damaged);
/// let store = SealedStore::open(inner, StoreKey::from_bytes(&mut [7; 32]))?;
/// # Ok::<(), convivio::store::StoreError>(())
/// ```
pub struct SealedStore<S> {
    inner: S,
    key: StoreKey,
}

impl<S: Store> SealedStore<S> {
    /// Begins to seal an empty store: writes the key check, which is its first version.
    ///
    /// # Errors
    /// [`StoreErrorKind::Conflict`] if something was written to the store before; those of the inner store; Failed if the
    /// operating system gives no randomness.
    pub fn create(inner: S, key: StoreKey) -> Result<Self, StoreError> {
        let mut store = Self { inner, key };
        let mut changes = ChangeSet::new(0);
        changes.put(RecordKey::KEY_CHECK, KEY_CHECK.to_vec());
        store.apply(&changes)?;
        Ok(store)
    }

    /// Opens a sealed store.
    ///
    /// # Errors
    /// [`StoreErrorKind::Damaged`] if it is sealed under another key or not sealed, [`StoreErrorKind::Newer`] if a newer
    /// version of this library sealed it, and those of the inner store. Nothing was touched.
    pub fn open(inner: S, key: StoreKey) -> Result<Self, StoreError> {
        let store = Self { inner, key };
        let sealed = store.inner.load(&RecordKey::KEY_CHECK)?.ok_or(StoreError::damaged(
            "this store is not sealed: open it as what it is, or create a sealed store elsewhere",
        ))?;
        let check = store.key.open(&RecordKey::KEY_CHECK, &sealed).map_err(|error| {
            StoreError::damaged("this store is sealed under another key: open it with the key it was created with")
                .caused_by(error)
        })?;
        if *check != KEY_CHECK {
            return Err(StoreError::new(
                StoreErrorKind::Newer,
                "this store was sealed by a newer version of the library: update the app",
            ));
        }
        Ok(store)
    }

    /// Opens a sealed store, or begins to seal it if nothing was ever written to it.
    ///
    /// # Errors
    /// Those of [`open`](SealedStore::open) and [`create`](SealedStore::create).
    pub fn open_or_create(inner: S, key: StoreKey) -> Result<Self, StoreError> {
        let fresh = inner.load(&RecordKey::KEY_CHECK)?.is_none() && inner.load(&RecordKey::VERSION)?.is_none();
        if fresh { Self::create(inner, key) } else { Self::open(inner, key) }
    }

    /// The inner store, for example to back it up as it is.
    #[must_use]
    pub const fn inner(&self) -> &S {
        &self.inner
    }

    /// Gives the inner store back and wipes the key.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S: Store> Store for SealedStore<S> {
    fn load(&self, key: &RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.inner.load(key)?;
        if *key == RecordKey::VERSION {
            return Ok(value);
        }
        let Some(sealed) = value else { return Ok(None) };
        let mut value = self.key.open(key, &sealed)?;
        Ok(Some(core::mem::take(&mut *value)))
    }

    fn apply(&mut self, changes: &ChangeSet) -> Result<(), StoreError> {
        let mut sealed = ChangeSet::new(changes.base());
        // One call to the operating system for all nonces: a change set may hold hundreds of records.
        let mut nonces = vec![[0; NONCE]; changes.len()];
        SysRng.try_fill_bytes(nonces.as_flattened_mut()).map_err(StoreError::failed)?;
        let records = changes.iter().filter(|(key, _)| **key != RecordKey::VERSION);
        for ((key, value), nonce) in records.zip(&nonces) {
            match value {
                Some(value) => sealed.put(key.clone(), self.key.seal(key, nonce, value)),
                None => sealed.delete(key.clone()),
            }
        }
        self.inner.apply(&sealed)
    }
}

impl<S> fmt::Debug for SealedStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { inner: _, key: _ } = self;
        f.write_str("SealedStore")
    }
}

/// The key of a [`SealedStore`]: 32 secret bytes, to be kept in the platform's keystore and never beside the store.
///
/// Without it the store is lost. It serves one store only.
pub struct StoreKey(Secret<32>);

impl StoreKey {
    /// Draws a key.
    #[must_use]
    pub fn generate(rng: &mut dyn CryptoRng) -> Self {
        Self(Secret::generate(rng))
    }

    /// Takes 32 uniformly random bytes over and wipes the caller's copy. A password is no key: derive one first, slowly.
    #[must_use]
    pub fn from_bytes(bytes: &mut [u8; 32]) -> Self {
        Self(Secret::from_bytes(bytes))
    }

    /// The 32 bytes, for the keystore. Whoever copies them takes over the duty to wipe them.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    fn seal(&self, record: &RecordKey, nonce: &[u8; NONCE], value: &[u8]) -> Vec<u8> {
        aead::seal_at_rest(self.expose(), nonce, &associated_data(record), value)
    }

    fn open(&self, record: &RecordKey, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        aead::open_at_rest(self.expose(), &associated_data(record), sealed).map(Zeroizing::new).map_err(|error| {
            StoreError::damaged(
                "a record was altered or moved, or is not from this store: restore the store, or rejoin",
            )
            .caused_by(error)
        })
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(_) = self;
        f.write_str("StoreKey(redacted)")
    }
}

/// What the key check says under its seal: the version of this format.
const KEY_CHECK: [u8; 1] = [1];

/// Bytes of the nonce of a sealed value.
const NONCE: usize = 24;

fn associated_data(record: &RecordKey) -> Vec<u8> {
    labelled(labels::STORE_RECORD, 1, |w| {
        w.bytes(record.as_bytes());
    })
}

#[cfg(test)]
mod tests {
    use super::super::MemoryStore;
    use super::*;

    fn key(byte: u8) -> StoreKey {
        StoreKey::from_bytes(&mut [byte; 32])
    }

    fn record(n: u8) -> RecordKey {
        RecordKey::of(9, &[&[n]])
    }

    /// A sealed store with "first" in record 1 and "second" in record 2, as its inner store.
    fn written() -> MemoryStore {
        let mut store = SealedStore::create(MemoryStore::new(), key(7)).unwrap();
        let mut changes = ChangeSet::on(&store).unwrap();
        changes.put(record(1), b"first".to_vec());
        changes.put(record(2), b"second".to_vec());
        store.apply(&changes).unwrap();
        store.into_inner()
    }

    /// The inner store with one record overwritten behind the sealed store's back.
    fn tampered(mut inner: MemoryStore, record: RecordKey, value: Option<Vec<u8>>) -> MemoryStore {
        let mut changes = ChangeSet::on(&inner).unwrap();
        match value {
            Some(value) => changes.put(record, value),
            None => changes.delete(record),
        }
        inner.apply(&changes).unwrap();
        inner
    }

    #[test]
    fn values_are_sealed_and_names_are_not() {
        let inner = written();
        let sealed = inner.load(&record(1)).unwrap().unwrap();
        assert_eq!(sealed.len(), NONCE + 5 + 16);
        assert!(!sealed.windows(5).any(|window| window == b"first"));
        assert_eq!(inner.load(&RecordKey::VERSION).unwrap().unwrap(), 2_u64.to_be_bytes());
    }

    #[test]
    fn the_same_value_never_seals_alike() {
        let mut store = SealedStore::open(written(), key(7)).unwrap();
        let before = store.inner().load(&record(1)).unwrap();
        let mut changes = ChangeSet::on(&store).unwrap();
        changes.put(record(1), b"first".to_vec());
        store.apply(&changes).unwrap();
        assert_ne!(store.inner().load(&record(1)).unwrap(), before);
    }

    #[test]
    fn another_key_is_noticed_on_opening() {
        let error = SealedStore::open(written(), key(8)).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Damaged);
        assert!(error.to_string().contains("another key"), "{error}");
    }

    #[test]
    fn a_plain_or_empty_store_is_not_taken_for_a_sealed_one() {
        let plain = tampered(MemoryStore::new(), record(1), Some(vec![1]));
        for inner in [MemoryStore::new(), plain.snapshot()] {
            assert_eq!(SealedStore::open(inner, key(7)).unwrap_err().kind(), StoreErrorKind::Damaged);
        }
        assert_eq!(SealedStore::open_or_create(plain.snapshot(), key(7)).unwrap_err().kind(), StoreErrorKind::Damaged);
        assert_eq!(SealedStore::create(plain, key(7)).unwrap_err().kind(), StoreErrorKind::Conflict);
    }

    #[test]
    fn open_or_create_does_either() {
        let store = SealedStore::open_or_create(MemoryStore::new(), key(7)).unwrap();
        assert!(SealedStore::open_or_create(store.into_inner(), key(7)).is_ok());
        assert!(SealedStore::open_or_create(written(), key(8)).is_err());
    }

    #[test]
    fn a_moved_value_is_refused() {
        let inner = written();
        let moved = inner.load(&record(1)).unwrap();
        let store = SealedStore::open(tampered(inner, record(2), moved), key(7)).unwrap();
        assert_eq!(store.load(&record(2)).unwrap_err().kind(), StoreErrorKind::Damaged);
        assert_eq!(store.load(&record(1)).unwrap().unwrap(), b"first");
    }

    #[test]
    fn every_altered_byte_is_refused_and_never_absent() {
        let inner = written();
        let sealed = inner.load(&record(1)).unwrap().unwrap();
        for i in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[i] ^= 1;
            let store = SealedStore::open(tampered(inner.snapshot(), record(1), Some(altered)), key(7)).unwrap();
            assert_eq!(store.load(&record(1)).unwrap_err().kind(), StoreErrorKind::Damaged);
        }
        for len in 0..sealed.len() {
            let cut = sealed[..len].to_vec();
            let store = SealedStore::open(tampered(inner.snapshot(), record(1), Some(cut)), key(7)).unwrap();
            assert_eq!(store.load(&record(1)).unwrap_err().kind(), StoreErrorKind::Damaged);
        }
    }

    #[test]
    fn a_newer_format_is_told_from_another_key() {
        let check = key(7).seal(&RecordKey::KEY_CHECK, &[0; NONCE], &[2]);
        let inner = tampered(written(), RecordKey::KEY_CHECK, Some(check));
        assert_eq!(SealedStore::open(inner, key(7)).unwrap_err().kind(), StoreErrorKind::Newer);
    }

    #[test]
    fn nothing_secret_is_printed() {
        let store = SealedStore::open(written(), key(7)).unwrap();
        assert_eq!(format!("{store:?} {:?}", key(7)), "SealedStore StoreKey(redacted)");
    }
}
