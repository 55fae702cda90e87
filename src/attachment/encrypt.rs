//! Encrypting a file chunk by chunk.

use core::fmt;

use rand::CryptoRng;

use super::chunk::{self, Place};
use super::{FileKey, too_long, whole_hash};
use crate::crypto::kdf::{Expander, Hash, sha256};
use crate::error::{Error, Result};
use crate::limits::{ATTACHMENT_CHUNK, ATTACHMENT_CHUNKS};
use crate::secret::Secret;

/// Encrypts a file whose plaintext comes chunk by chunk.
pub struct Encryptor {
    key: Secret<32>,
    keys: Expander,
    size: u64,
    index: Vec<Hash>,
    ended: bool,
}

impl Encryptor {
    /// Draws the file's key.
    #[must_use]
    pub fn new(rng: &mut dyn CryptoRng) -> Self {
        Self::with_key(Secret::generate(rng))
    }

    /// With the key of an encryption that broke off. Over the same file it gives the same bytes again, so that what was
    /// uploaded need not be uploaded again. Never for another file.
    #[must_use]
    pub fn with_key(key: Secret<32>) -> Self {
        let keys = Expander::new(key.expose());
        Self { key, keys, size: 0, index: Vec::new(), ended: false }
    }

    /// The key, 32 bytes, for an upload that may break off.
    #[must_use]
    pub const fn key(&self) -> &Secret<32> {
        &self.key
    }

    /// Encrypts the next chunk: [`ATTACHMENT_CHUNK`] bytes, or as many as are left in the last; 32 bytes are added.
    ///
    /// Fails with `Misuse` if a chunk that is not the last has another length or comes after the last, and with `Limit`
    /// if the file gets longer than [`ATTACHMENT_CHUNKS`] chunks.
    pub fn chunk(&mut self, text: &[u8], last: bool) -> Result<Vec<u8>> {
        let number = self.index.len() as u64;
        let whole = text.len() == ATTACHMENT_CHUNK;
        let rest = last && text.len() < ATTACHMENT_CHUNK && (number == 0 || !text.is_empty());
        if self.ended || !(whole || rest) {
            return Err(Error::misuse("every chunk of an attachment is whole, but for the last, which is not empty"));
        }
        if number >= ATTACHMENT_CHUNKS {
            return Err(too_long());
        }
        let sealed = chunk::seal(&self.keys, Place { number, last }, text);
        self.index.push(sha256(&sealed));
        self.size = self.size.saturating_add(text.len() as u64);
        self.ended = last;
        Ok(sealed)
    }

    /// What goes into the message, and the index, 32 bytes for each chunk, which is stored after the last chunk.
    ///
    /// Fails with `Misuse` before the last chunk.
    pub fn finish(self) -> Result<(FileKey, Vec<u8>)> {
        let Self { key, keys: _, size, index, ended } = self;
        if !ended {
            return Err(Error::misuse("an attachment ends with a chunk marked as its last"));
        }
        let hash = whole_hash(&key, size, &index);
        Ok((FileKey { key, size, hash }, index.concat()))
    }
}

impl fmt::Debug for Encryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key: _, keys: _, size, index, ended } = self;
        let mut out = f.debug_struct("Encryptor");
        out.field("size", size).field("chunks", &index.len()).field("ended", ended).finish_non_exhaustive()
    }
}
