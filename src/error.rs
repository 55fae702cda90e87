//! One opaque error for the whole crate, sorted by who is to blame.

use core::fmt;

/// The result of every fallible call in this crate.
pub type Result<T, E = Error> = core::result::Result<T, E>;

/// What went wrong, in one word, so that code can branch on it.
///
/// The first group blames the bytes that arrived, the second the caller, the third the machine. Every failed
/// cryptographic check is [`ErrorKind::Unauthentic`] and says no more, so that an attacker learns nothing from it.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Bytes that no correct sender produces: truncated, not canonical, out of range. Drop them.
    Malformed,
    /// A signature, tag, commitment or confirmation did not verify. Drop the object; nothing changed.
    Unauthentic,
    /// Authentic, but the sender or the caller may not do this under the group's rules.
    NotAllowed,
    /// A credential, certificate, key package or request is outside its validity time. Ask for a fresh one.
    Expired,
    /// A version, suite or type this build does not know. Update the library.
    Unsupported,
    /// A bound of [`limits`](crate::limits) would be exceeded.
    Limit,
    /// Already processed; nothing was done again.
    Duplicate,
    /// No group with this id is held by this device.
    UnknownGroup,
    /// The named user, device or leaf is not in the group.
    NotMember,
    /// The call does not fit the state, for example answering an invitation twice. Fix the calling code.
    Misuse,
    /// The key store that holds a device or identity key failed; nothing happened. Try again.
    Signer,
    /// Reading or writing a file failed; nothing else happened. Try again.
    File,
    /// The store failed and the outcome is unknown. Close the client and open it again.
    Storage,
    /// A stored record is damaged, sealed under another key, or from a newer version. The store is left untouched.
    Damaged,
    /// The client was closed by an earlier storage failure. Open it again.
    Closed,
}

/// The error of this crate: a [kind](Error::kind) and a sentence. It never carries key material or plaintext.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct Error {
    kind: ErrorKind,
    what: &'static str,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub(crate) const fn new(kind: ErrorKind, what: &'static str) -> Self {
        Self { kind, what, source: None }
    }

    pub(crate) const fn malformed(what: &'static str) -> Self {
        Self::new(ErrorKind::Malformed, what)
    }

    /// The one error of every cryptographic check: same kind, same words.
    pub(crate) const fn unauthentic() -> Self {
        Self::new(ErrorKind::Unauthentic, "not authentic: drop this object, nothing was changed")
    }

    pub(crate) const fn not_allowed(what: &'static str) -> Self {
        Self::new(ErrorKind::NotAllowed, what)
    }

    pub(crate) const fn limit(what: &'static str) -> Self {
        Self::new(ErrorKind::Limit, what)
    }

    pub(crate) const fn misuse(what: &'static str) -> Self {
        Self::new(ErrorKind::Misuse, what)
    }

    pub(crate) const fn damaged(what: &'static str) -> Self {
        Self::new(ErrorKind::Damaged, what)
    }

    /// For a [`Signer`](crate::Signer) outside this process that could not sign.
    pub fn signer(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Signer, "the key store could not sign: try again").caused_by(source)
    }

    /// Keeps the cause, for errors of stores and external signers.
    pub(crate) fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What went wrong, in one word.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
