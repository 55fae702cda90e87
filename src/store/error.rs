//! The error of a store, and what it means to the rest of the crate.

use core::fmt;

use crate::error::{Error, ErrorKind};

/// Why a store could not do what it was asked.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoreErrorKind {
    /// Another process or handle has the store open. Close that one first.
    Locked,
    /// The store was written by a newer version of this library. Nothing was touched; update the app.
    Newer,
    /// What is there is not a store, is broken, or is sealed under another key. Nothing was touched; restore it.
    Damaged,
    /// The store is at another version than the changes build on: it has a second user. Nothing was changed.
    Conflict,
    /// The medium failed, for example because it is full. The outcome is unknown: close the store and open it again.
    Failed,
}

impl fmt::Display for StoreErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The error of a store: a [kind](StoreError::kind), a sentence that says what to do next, and the cause, if there is
/// one. It never carries values of records.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct StoreError {
    kind: StoreErrorKind,
    what: &'static str,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl StoreError {
    /// An error for a store of one's own. `what` says what happened and what to do next, without secrets.
    #[must_use]
    pub const fn new(kind: StoreErrorKind, what: &'static str) -> Self {
        Self { kind, what, source: None }
    }

    /// The medium failed: the usual error of a store of one's own. Keeps the cause.
    #[must_use]
    pub fn failed(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(StoreErrorKind::Failed, "the store's medium failed: see the cause, then open the store again")
            .caused_by(source)
    }

    pub(crate) const fn damaged(what: &'static str) -> Self {
        Self::new(StoreErrorKind::Damaged, what)
    }

    /// Keeps the cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Why, in one word.
    #[must_use]
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

impl From<StoreError> for Error {
    /// Damaged and Newer become [`ErrorKind::Damaged`], all else [`ErrorKind::Storage`]. The store's error is the
    /// source.
    fn from(error: StoreError) -> Self {
        let outer = match error.kind {
            StoreErrorKind::Damaged | StoreErrorKind::Newer => {
                Self::new(ErrorKind::Damaged, "the store cannot be read: see the cause; nothing in it was touched")
            }
            StoreErrorKind::Locked | StoreErrorKind::Conflict | StoreErrorKind::Failed => Self::new(
                ErrorKind::Storage,
                "the store failed: see the cause, then close the client and open it again",
            ),
        };
        outer.caused_by(error)
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn a_store_error_is_the_source_of_the_crates_error() {
        let cases = [
            (StoreErrorKind::Locked, ErrorKind::Storage),
            (StoreErrorKind::Newer, ErrorKind::Damaged),
            (StoreErrorKind::Damaged, ErrorKind::Damaged),
            (StoreErrorKind::Conflict, ErrorKind::Storage),
            (StoreErrorKind::Failed, ErrorKind::Storage),
        ];
        for (kind, expected) in cases {
            let error = Error::from(StoreError::new(kind, "what").caused_by("why"));
            assert_eq!(error.kind(), expected);
            let inner = error.source().unwrap().downcast_ref::<StoreError>().unwrap();
            assert_eq!(inner.kind(), kind);
            assert_eq!(inner.to_string(), "what");
            assert_eq!(inner.source().unwrap().to_string(), "why");
        }
    }
}
