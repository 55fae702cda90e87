//! Where a device keeps what it must not lose: one ordered map of records, changed atomically
//! (`docs/protocol.md`, section 7).
//!
//! | store | for |
//! |---|---|
//! | [`RedbStore`] | a file of its own |
//! | [`SealedStore`] | encryption at rest, over any other store |
//! | [`MemoryStore`] | tests |
//! | your own [`Store`] | the database the app already has; [`conformance`] checks it |
//!
//! A store knows nothing of groups or keys. It loads a record, and applies a [`ChangeSet`] wholly or not at all. What
//! it is given holds private keys and received plaintext, so unless the platform encrypts the medium, wrap it in
//! a [`SealedStore`].

mod changes;
pub mod conformance;
mod error;
mod memory;
#[cfg(feature = "redb")]
mod redb;
mod sealed;

#[cfg(feature = "redb")]
pub use self::redb::RedbStore;
#[cfg(all(test, feature = "redb"))]
pub(crate) use self::redb::power_cut;
pub use changes::{ChangeSet, RecordKey};
pub use error::{StoreError, StoreErrorKind};
pub use memory::MemoryStore;
pub use sealed::{SealedStore, StoreKey};

/// An ordered map of records that changes atomically.
///
/// The whole contract, checked by [`conformance::check`]:
///
/// - `load` gives the bytes last applied under a key, or `None` if there are none. Whatever keeps it from knowing is an
///   error, never `None`: a lost record would look like a group that was never joined.
/// - `apply` first checks the change set against the stored version ([`ChangeSet::check`]), then makes every change of
///   [`ChangeSet::iter`], durably, in one transaction. After `Ok` all of it survives a crash, after a crash all or
///   none of it is there.
/// - After an error from `apply` the outcome is unknown to the caller, who closes the store and opens it again. An
///   error of kind [`StoreErrorKind::Conflict`] has changed nothing.
///
/// ```
/// use std::collections::BTreeMap;
/// use convivio::store::{ChangeSet, RecordKey, Store, StoreError};
///
/// #[derive(Default)]
/// struct MyStore(BTreeMap<Vec<u8>, Vec<u8>>);
///
/// impl Store for MyStore {
///     fn load(&self, key: &RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
///         Ok(self.0.get(key.as_bytes()).cloned())
///     }
///
///     fn apply(&mut self, changes: &ChangeSet) -> Result<(), StoreError> {
///         changes.check(self.load(&RecordKey::VERSION)?.as_deref())?;
///         for (key, value) in changes.iter() {
///             match value {
///                 Some(value) => self.0.insert(key.as_bytes().to_vec(), value.to_vec()),
///                 None => self.0.remove(key.as_bytes()),
///             };
///         }
///         Ok(())
///     }
/// }
///
/// convivio::store::conformance::check(MyStore::default(), |store| Ok(store))?;
/// # Ok::<(), convivio::store::conformance::Finding>(())
/// ```
pub trait Store: Send {
    /// The value under `key`, or `None` if there is none.
    ///
    /// The value may hold secrets; whoever takes it wipes it.
    ///
    /// # Errors
    /// Whatever keeps the store from telling.
    fn load(&self, key: &RecordKey) -> Result<Option<Vec<u8>>, StoreError>;

    /// Makes all of the changes, durably, or none.
    ///
    /// # Errors
    /// [`StoreErrorKind::Conflict`] if the stored version is not the one the changes build on; then nothing has
    /// changed. After any other error the outcome is unknown until the store is opened again.
    fn apply(&mut self, changes: &ChangeSet) -> Result<(), StoreError>;
}

impl<S: Store + ?Sized> Store for Box<S> {
    fn load(&self, key: &RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        (**self).load(key)
    }

    fn apply(&mut self, changes: &ChangeSet) -> Result<(), StoreError> {
        (**self).apply(changes)
    }
}
