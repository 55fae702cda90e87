//! A store on a medium that fails when a test says so.

use core::fmt;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

use crate::store::{ChangeSet, MemoryStore, RecordKey, Store, StoreError, StoreErrorKind};

/// How an [`apply`](Store::apply) fails. The caller sees the same error each time: it cannot tell which it was, closes the
/// store and opens it again.
///
/// The first four are what any medium does, and a client goes on after each as if nothing had happened. The last two
/// break the contract of [`Store`]; `docs/crashes.md` says what is left then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The power goes before anything is written.
    Before,
    /// The power goes when everything is written.
    After,
    /// Nothing is written, and the power stays on: the disk is full.
    Refused,
    /// Everything is written, and the power stays on: the answer of the disk got lost.
    Misreported,
    /// The power goes when a part is written: change `n` of the set, counted from 0 in the order of [`ChangeSet::iter`],
    /// reaches the medium if bit `n` of this number, modulo 64, is set. For all of ones it is [`After`](Self::After).
    ///
    /// ```
    /// use convivio::testing::{App, Fault, FaultyStore};
    ///
    /// let (app, store) = (App::new("photos.example")?, FaultyStore::new());
    /// let mut maria = app.client_on("maria", store.clone())?;
    /// let before = store.contents().len();
    /// // The list of key packages, which is the second change after the version, and not the package itself.
    /// store.fail(1, Fault::Torn(0b011));
    /// assert!(maria.key_packages(1).is_err());
    /// assert_eq!(store.contents().len(), before);
    /// # Ok::<(), convivio::Error>(())
    /// ```
    Torn(u64),
    /// The power goes when everything is written, and takes this many sets of changes with it, this one and those before
    /// it: the disk had acknowledged what it kept in its cache. At most the last [`FaultyStore::CACHED`] are lost.
    ///
    /// ```
    /// use convivio::testing::{App, Fault, FaultyStore};
    ///
    /// let (app, store) = (App::new("photos.example")?, FaultyStore::new());
    /// let mut maria = app.client_on("maria", store.clone())?;
    /// maria.key_packages(1)?;
    /// store.fail(1, Fault::Unsynced(2));
    /// assert!(maria.key_packages(1).is_err());
    ///
    /// let mut maria = convivio::Client::open(store.restart())?;
    /// assert_eq!(maria.package_ids()?.len(), 0);
    /// # Ok::<(), convivio::Error>(())
    /// ```
    Unsynced(usize),
}

impl Fault {
    /// Whether the power goes with it, so that only [`FaultyStore::restart`] gives a store that works.
    #[must_use]
    pub const fn cuts_power(self) -> bool {
        match self {
            Self::Before | Self::After | Self::Torn(_) | Self::Unsynced(_) => true,
            Self::Refused | Self::Misreported => false,
        }
    }

    /// Whether the change at this place of a set reaches the medium.
    const fn writes(self, at: usize) -> bool {
        match self {
            Self::Before | Self::Refused => false,
            Self::After | Self::Misreported | Self::Unsynced(_) => true,
            Self::Torn(kept) => kept >> (at % 64) & 1 == 1,
        }
    }
}

/// A store in memory that fails at any `apply`, in any of the ways of [`Fault`].
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
///
/// // A full disk ends no process, but the client does not know that it is one: it closes all the same.
/// store.fail(1, Fault::Refused);
/// assert!(maria.key_packages(1).is_err() && !store.is_down());
/// assert_eq!(maria.package_ids().unwrap_err().kind(), convivio::ErrorKind::Closed);
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
    /// What the records were before each of the last sets of changes, oldest first.
    cached: VecDeque<Vec<Replaced>>,
    has_failed: bool,
    /// The only restart whose handles work; none while the power is off.
    life: Option<u64>,
    restarts: u64,
}

/// A record, and what it held before.
type Replaced = (RecordKey, Option<Zeroizing<Vec<u8>>>);

impl Default for FaultyStore {
    fn default() -> Self {
        Self::new()
    }
}

impl FaultyStore {
    /// How many sets of changes [`Fault::Unsynced`] can take back.
    pub const CACHED: usize = 64;

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

    /// Plans a fault for the `nth` apply from now on, counted from 1. It comes once.
    pub fn fail(&self, nth: u64, fault: Fault) {
        let mut medium = self.medium();
        medium.planned = Some((medium.applies.saturating_add(nth), fault));
    }

    /// How many times something was applied or failed to be.
    #[must_use]
    pub fn applies(&self) -> u64 {
        self.medium().applies
    }

    /// Whether the power is off: a planned fault has cut it, and nothing was restarted since.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.medium().life.is_none()
    }

    /// Whether a planned fault has come, with or without the power, and nothing was restarted since.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.medium().has_failed
    }

    /// Power again: a new handle, and the end of those from before. What was planned is forgotten.
    #[must_use]
    pub fn restart(&self) -> Self {
        let mut medium = self.medium();
        medium.restarts = medium.restarts.saturating_add(1);
        medium.life = Some(medium.restarts);
        medium.planned = None;
        medium.has_failed = false;
        // What a restart has read is on the medium for good.
        medium.cached.clear();
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
        if medium.life == Some(self.life) { Ok(medium) } else { Err(failed()) }
    }
}

impl Medium {
    fn write(&mut self, changes: &ChangeSet, fault: Option<Fault>) -> Result<(), StoreError> {
        changes.check(self.records.load(&RecordKey::VERSION)?.as_deref())?;
        let mut before = Vec::new();
        for (at, (key, value)) in changes.iter().enumerate() {
            if fault.is_none_or(|fault| fault.writes(at)) {
                before.push((key.clone(), self.records.replace(key, value)));
            }
        }
        self.cached.push_back(before);
        if self.cached.len() > FaultyStore::CACHED {
            self.cached.pop_front();
        }
        Ok(())
    }

    /// Takes the last sets of changes back.
    fn forget(&mut self, sets: usize) {
        for _ in 0..sets {
            for (key, value) in self.cached.pop_back().unwrap_or_default() {
                self.records.replace(&key, value.as_ref().map(|value| value.as_slice()));
            }
        }
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
        medium.write(changes, fault)?;
        let Some(fault) = fault else { return Ok(()) };
        medium.has_failed = true;
        if let Fault::Unsynced(sets) = fault {
            medium.forget(sets);
        }
        if fault.cuts_power() {
            medium.life = None;
        }
        Err(failed())
    }
}

const fn failed() -> StoreError {
    StoreError::new(StoreErrorKind::Failed, "the medium failed or has no power: restart the store")
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { medium: _, life } = self;
        f.debug_struct("FaultyStore").field("life", life).finish_non_exhaustive()
    }
}
