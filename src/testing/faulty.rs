//! A store on a medium that fails when a test says so.

use core::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::store::{ChangeSet, MemoryStore, RecordKey, Store, StoreError, StoreErrorKind};

/// How an [`apply`](Store::apply) fails. The caller sees the same error each time: it cannot tell which it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The power goes before anything is written.
    Before,
    /// The power goes when everything is written.
    After,
}

/// A store in memory whose power can be cut at any `apply`.
///
/// A clone is a second handle to the same medium, so a test keeps one and gives the other to a client. Once the power
/// went, every handle fails until [`restart`](Self::restart) gives a new one: what a new process would find. Handles
/// from before stay dead, like the process that held them.
///
/// ```
/// use convivio::testing::{App, Fault, FaultyStore};
///
/// let (app, store) = (App::new("photos.example")?, FaultyStore::new());
/// let mut maria = app.client_on("maria", store.clone())?;
/// store.fail(1, Fault::After);
/// assert!(maria.key_packages(1).is_err());
///
/// let mut maria = convivio::Client::open(store.restart())?;
/// assert_eq!(maria.package_ids()?.len(), 1);
/// # Ok::<(), convivio::Error>(())
/// ```
#[derive(Clone)]
pub struct FaultyStore {
    medium: Arc<Mutex<Medium>>,
    /// The restart this handle is from.
    life: u64,
}

#[derive(Default)]
struct Medium {
    records: MemoryStore,
    applies: u64,
    planned: Option<(u64, Fault)>,
    /// The only restart whose handles work; none while the power is off.
    life: Option<u64>,
    restarts: u64,
}

impl Default for FaultyStore {
    fn default() -> Self {
        Self::new()
    }
}

impl FaultyStore {
    /// An empty store that works.
    #[must_use]
    pub fn new() -> Self {
        Self::holding(MemoryStore::new())
    }

    /// A store with these records, that works.
    #[must_use]
    pub fn holding(records: MemoryStore) -> Self {
        let medium = Medium { records, life: Some(0), ..Medium::default() };
        Self { medium: Arc::new(Mutex::new(medium)), life: 0 }
    }

    /// Cuts the power at the `nth` apply from now on, counted from 1.
    pub fn fail(&self, nth: u64, fault: Fault) {
        let mut medium = self.medium();
        medium.planned = Some((medium.applies.saturating_add(nth), fault));
    }

    /// How many times something was applied or failed to be.
    #[must_use]
    pub fn applies(&self) -> u64 {
        self.medium().applies
    }

    /// Whether a planned fault has happened and nothing was restarted since.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.medium().life.is_none()
    }

    /// Power again: a new handle, and the end of those from before. What was planned is forgotten.
    #[must_use]
    pub fn restart(&self) -> Self {
        let mut medium = self.medium();
        medium.restarts = medium.restarts.saturating_add(1);
        medium.life = Some(medium.restarts);
        medium.planned = None;
        Self { medium: Arc::clone(&self.medium), life: medium.restarts }
    }

    /// A copy of what is on the medium.
    #[must_use]
    pub fn contents(&self) -> MemoryStore {
        self.medium().records.snapshot()
    }

    fn medium(&self) -> MutexGuard<'_, Medium> {
        // A test that panicked elsewhere leaves whole records behind: nothing here unwinds halfway.
        self.medium.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn powered(&self) -> Result<MutexGuard<'_, Medium>, StoreError> {
        let medium = self.medium();
        if medium.life == Some(self.life) { Ok(medium) } else { Err(no_power()) }
    }
}

impl Store for FaultyStore {
    fn load(&self, key: &RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        self.powered()?.records.load(key)
    }

    fn apply(&mut self, changes: &ChangeSet) -> Result<(), StoreError> {
        let mut medium = self.powered()?;
        medium.applies = medium.applies.saturating_add(1);
        let fault = medium.planned.filter(|(nth, _)| *nth == medium.applies).map(|(_, fault)| fault);
        if fault != Some(Fault::Before) {
            medium.records.apply(changes)?;
        }
        if fault.is_some() {
            medium.life = None;
            return Err(no_power());
        }
        Ok(())
    }
}

const fn no_power() -> StoreError {
    StoreError::new(StoreErrorKind::Failed, "the power is off: restart the store")
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { medium: _, life } = self;
        f.debug_struct("FaultyStore").field("life", life).finish_non_exhaustive()
    }
}
