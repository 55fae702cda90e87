//! Convivio.

pub mod client;
pub mod envelope;
pub mod group;
pub mod identity;
pub mod limits;
pub mod log;
pub mod ratchet;
pub mod store;
pub mod testing;

mod crypto;
mod error;
mod ids;
mod labels;
mod padding;
mod secret;
#[cfg(test)]
mod vectors;
mod wire;

pub use client::{Change, Client};
pub use crypto::kem::{InitKey, InitSecret, SealKey, SealSecret};
pub use crypto::sign::{Signature, SignatureInput, Signer, SigningKey, VerifyKey};
pub use error::{Error, ErrorKind, Result};
pub use ids::{DeviceId, Epoch, Generation, GroupId, LeafHash, LeafIndex, MessageId, Suite, Timestamp, Validity};
pub use secret::Secret;
