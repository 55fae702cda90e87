//! What is wrong, in words.

use std::fmt;

/// An invariant that does not hold.
#[derive(Debug)]
pub(crate) struct Broken(pub(crate) String);

pub(crate) type Outcome<T = ()> = Result<T, Broken>;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

pub(crate) fn broken<T>(what: impl Into<String>) -> Outcome<T> {
    Err(Broken(what.into()))
}

pub(crate) fn ensure(holds: bool, what: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(Broken(what())) }
}
