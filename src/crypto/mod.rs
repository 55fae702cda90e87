//! The only rooms that name a cryptographic library (`docs/protocol.md`, section 2).

pub(crate) mod aead;
pub(crate) mod hpke;
pub(crate) mod kdf;
pub(crate) mod kem;
pub(crate) mod parallel;
pub(crate) mod sign;
mod xwing;

#[cfg(test)]
mod tests;
