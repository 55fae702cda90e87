//! A sender key as it is handed to those who may read.

use core::fmt;

use zeroize::Zeroizing;

use crate::crypto::sign::VerifyKey;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{Generation, LeafIndex};
use crate::secret::Secret;
use crate::wire::{Reader, Writer};

/// The version of the encoding.
const VERSION: u8 = 1;

/// What one hands to those who may read a [`SendingChain`](super::SendingChain), for whoever distributes sender keys
/// without this crate's groups: leaf, generation, chain key and verify key.
///
/// Secret: whoever has it reads every message from its generation on. It cannot sign. Send it through an
/// authenticated and confidential channel, such as a sealed envelope, and only once to each reader; a reader takes the
/// verify key from it on that channel's word.
pub struct SenderKey {
    leaf: LeafIndex,
    generation: Generation,
    chain_key: Secret<32>,
    key: VerifyKey,
}

impl SenderKey {
    pub(super) const fn new(leaf: LeafIndex, generation: Generation, chain_key: Secret<32>, key: VerifyKey) -> Self {
        Self { leaf, generation, chain_key, key }
    }

    /// The sender's leaf, under which the reader inserts the chain. Check that it is that sender's and not another's.
    #[must_use]
    pub const fn leaf(&self) -> LeafIndex {
        self.leaf
    }

    /// The first generation it reads.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// The key that verifies the sender's messages.
    #[must_use]
    pub const fn verify_key(&self) -> &VerifyKey {
        &self.key
    }

    /// Its encoding: array(version, leaf, generation, verify key, chain key) in deterministic CBOR, at most 80 bytes.
    #[must_use]
    pub fn to_secret_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut w = Writer::new();
        w.array(5).uint(VERSION.into()).item(&self.leaf).item(&self.generation).item(&self.key);
        // Last, so that the buffer never grows, and leaves no copy of it behind, once the secret is in it.
        w.bytes(self.chain_key.expose());
        Zeroizing::new(w.finish())
    }

    /// Reads [`to_secret_bytes`](Self::to_secret_bytes). Fails with `Malformed` on anything but the one encoding, and
    /// with `Unsupported` on another version.
    pub fn from_secret_bytes(bytes: &[u8]) -> Result<Self> {
        let mut r = Reader::new(bytes);
        r.array(5)?;
        if r.u8()? != VERSION {
            return Err(Error::new(ErrorKind::Unsupported, "a sender key of another version: update the library"));
        }
        let (leaf, generation, key) = (r.item()?, r.item()?, r.item()?);
        let chain_key = r.bytes(32)?.try_into().map_err(|_| Error::malformed("a chain key has 32 bytes"))?;
        r.finish()?;
        let read = Self { leaf, generation, chain_key: Secret::copy_from(chain_key), key };
        if *read.to_secret_bytes() != bytes {
            return Err(Error::malformed("not the one deterministic encoding of this value"));
        }
        Ok(read)
    }

    pub(super) fn into_chain(self) -> (Generation, Secret<32>, VerifyKey) {
        (self.generation, self.chain_key, self.key)
    }
}

impl fmt::Debug for SenderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { leaf, generation, chain_key: _, key } = self;
        f.debug_struct("SenderKey")
            .field("leaf", leaf)
            .field("generation", generation)
            .field("key", key)
            .finish_non_exhaustive()
    }
}
