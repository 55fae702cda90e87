//! Convivio.

pub mod identity;
pub mod envelope;
pub mod limits;
pub mod store;
pub mod ratchet;

mod crypto;
mod error;
mod ids;
mod labels;
mod padding;
mod secret;
mod wire;

pub use crypto::kem::{InitKey, InitSecret, SealKey, SealSecret};
pub use crypto::sign::{Signature, SignatureInput, Signer, SigningKey, VerifyKey};
pub use error::{Error, ErrorKind, Result};
pub use ids::{DeviceId, Epoch, Generation, GroupId, LeafHash, LeafIndex, MessageId, Suite, Timestamp, Validity};
pub use secret::Secret;
