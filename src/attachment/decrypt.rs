//! Decrypting a file, in order or in parts.

use core::fmt;

use super::chunk::{self, OVERHEAD, Place};
use super::{FileKey, whole_hash};
use crate::crypto::kdf::{Expander, Hash, sha256};
use crate::error::{Error, Result};

/// Decrypts the chunks of one attachment, each when and as often as it is asked for.
pub struct Decryptor {
    keys: Expander,
    size: u64,
    index: Vec<Hash>,
}

impl Decryptor {
    /// Checks the index of an attachment, the bytes at [`FileKey::index_at`] of the encrypted file, against its hash.
    ///
    /// From here on every chunk that decrypts is the very one that was encrypted. `Unauthentic` if the index is another.
    pub fn new(attachment: &FileKey, index: &[u8]) -> Result<Self> {
        let FileKey { key, size, hash } = attachment;
        let range = attachment.index_at();
        if index.len() as u64 != range.end.saturating_sub(range.start) {
            return Err(Error::unauthentic());
        }
        let (hashes, _) = index.as_chunks::<32>();
        if whole_hash(key, *size, hashes) != *hash {
            return Err(Error::unauthentic());
        }
        Ok(Self { keys: Expander::new(key.expose()), size: *size, index: hashes.to_vec() })
    }

    /// Decrypts chunk `number`, the bytes at [`FileKey::chunk_at`] of the encrypted file.
    ///
    /// `Unauthentic`, and nothing of it, if it is not that chunk of that file; `Misuse` if the file has no such chunk.
    pub fn chunk(&self, number: u64, sealed: &[u8]) -> Result<Vec<u8>> {
        let at = usize::try_from(number).ok().and_then(|at| self.index.get(at));
        let hash = at.ok_or(Error::misuse("an attachment has no such chunk"))?;
        // Whoever made the file might have lied about its length, too.
        let len = super::text_len(self.size, number).saturating_add(OVERHEAD as u64);
        if sealed.len() as u64 != len || sha256(sealed) != *hash {
            return Err(Error::unauthentic());
        }
        let last = number.saturating_add(1) == self.index.len() as u64;
        chunk::open(&self.keys, Place { number, last }, sealed)
    }

    /// How many chunks there are.
    #[must_use]
    pub const fn chunks(&self) -> u64 {
        self.index.len() as u64
    }
}

impl fmt::Debug for Decryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { keys: _, size, index } = self;
        f.debug_struct("Decryptor").field("size", size).field("chunks", &index.len()).finish_non_exhaustive()
    }
}
