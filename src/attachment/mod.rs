//! Files beside a group: encrypted in chunks under a key of their own, which travels in a message
//! (`docs/protocol.md`, section 11.6).
//!
//! Wherever the file is kept, nobody there can read it, and no chunk can be changed, moved, dropped, repeated or added
//! without being refused; nor can a member of the group who knows the key, since the message carries a hash as well.
//!
//! ```
//! use convivio::attachment::{decrypt, encrypt};
//! use convivio::content::{Content, Kind};
//! use std::io::Cursor;
//! # fn main() -> convivio::Result<()> {
//! let photo = vec![7; 200_000];
//! let mut uploaded = Vec::new(); // or a file, or the body of a request
//! let attachment = encrypt(&mut photo.as_slice(), &mut uploaded, &mut rand::rng())?;
//! let message = Content::attachment(attachment.to_part("https://files.example/1", "image/jpeg", "beach.jpg"));
//!
//! // Another member, with what was uploaded.
//! let Kind::Attachment(part) = message.kind() else { panic!() };
//! let attachment = part.try_into()?;
//! let mut downloaded = Vec::new();
//! decrypt(&attachment, &mut Cursor::new(uploaded), &mut downloaded)?;
//! assert_eq!(downloaded, photo);
//! # Ok(()) }
//! ```
//!
//! For parts of a file, for going on where a transfer broke off, and without `std::io`, there are [`Encryptor`] and
//! [`Decryptor`]. Memory: a chunk, and 32 bytes for each chunk of the file.

mod chunk;
mod decrypt;
mod encrypt;
mod stream;

use core::fmt;
use core::ops::Range;

pub use self::decrypt::Decryptor;
pub use self::encrypt::Encryptor;
pub use self::stream::{decrypt, encrypt};

use self::chunk::OVERHEAD;
use crate::content::External;
use crate::crypto::kdf::{self, Hash};
use crate::error::{Error, ErrorKind, Result};
use crate::labels;
use crate::limits::{ATTACHMENT_CHUNK, ATTACHMENT_CHUNKS};
use crate::secret::Secret;

/// How attachments are encrypted, as a number of the AEAD registry's private range.
const ALGORITHM: u16 = 0xc001;

/// SHA-256, in the registry of named information hashes.
const SHA_256: u8 = 1;

/// What a message says of a file so that its readers can decrypt it: key, length and hash. Secret, as the message is.
pub struct FileKey {
    key: Secret<32>,
    size: u64,
    hash: Hash,
}

impl FileKey {
    /// Bytes of the plaintext.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// How many chunks it has, at least one: all but the last of [`ATTACHMENT_CHUNK`] bytes.
    #[must_use]
    pub const fn chunks(&self) -> u64 {
        chunks_of(self.size)
    }

    /// Where a chunk lies in the encrypted file; `None` if there is no such chunk.
    #[must_use]
    pub fn chunk_at(&self, number: u64) -> Option<Range<u64>> {
        let sealed = (ATTACHMENT_CHUNK + OVERHEAD) as u64;
        let start = number.checked_mul(sealed).filter(|_| number < self.chunks())?;
        Some(start..start.saturating_add(sealed).min(self.index_at().start))
    }

    /// Where the index lies in the encrypted file: after the chunks, at its end. It is needed first.
    #[must_use]
    pub const fn index_at(&self) -> Range<u64> {
        let chunks = self.chunks();
        let start = self.size.saturating_add(chunks.saturating_mul(OVERHEAD as u64));
        start..start.saturating_add(chunks.saturating_mul(size_of::<Hash>() as u64))
    }

    /// Bytes of the encrypted file: 64 more than the plaintext for each chunk.
    #[must_use]
    pub const fn encrypted_size(&self) -> u64 {
        self.index_at().end
    }

    /// What goes into a message, for [`Content::attachment`](crate::content::Content::attachment).
    #[must_use]
    pub fn to_part(&self, url: &str, media_type: &str, filename: &str) -> External {
        External {
            media_type: media_type.to_owned(),
            url: url.to_owned(),
            expires: 0,
            size: self.size,
            algorithm: ALGORITHM,
            key: self.key.expose().to_vec(),
            nonce: Vec::new(),
            aad: Vec::new(),
            hash_algorithm: SHA_256,
            hash: self.hash.to_vec(),
            description: String::new(),
            filename: filename.to_owned(),
        }
    }
}

impl TryFrom<&External> for FileKey {
    type Error = Error;

    /// Fails with `Unsupported` if the file is encrypted in another way, and with `Malformed` or `Limit` if it says what
    /// no attachment says.
    fn try_from(part: &External) -> Result<Self> {
        if part.algorithm != ALGORITHM || part.hash_algorithm != SHA_256 {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "a file that is encrypted in a way this version does not know",
            ));
        }
        let wrong = |_| Error::malformed("an attachment has a key and a hash of 32 bytes each");
        let key = Secret::copy_from(part.key.as_slice().try_into().map_err(wrong)?);
        let hash = part.hash.as_slice().try_into().map_err(wrong)?;
        if chunks_of(part.size) > ATTACHMENT_CHUNKS {
            return Err(too_long());
        }
        if !part.nonce.is_empty() || !part.aad.is_empty() {
            return Err(Error::malformed("an attachment has neither nonce nor associated data"));
        }
        Ok(Self { key, size: part.size, hash })
    }
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key: _, size, hash: _ } = self;
        f.debug_struct("FileKey").field("size", size).finish_non_exhaustive()
    }
}

/// An empty file has one chunk, too, so that there is something to verify.
const fn chunks_of(size: u64) -> u64 {
    let chunks = size.div_ceil(ATTACHMENT_CHUNK as u64);
    if chunks == 0 { 1 } else { chunks }
}

/// Bytes of the plaintext of chunk `number`.
fn text_len(size: u64, number: u64) -> u64 {
    let chunk = ATTACHMENT_CHUNK as u64;
    size.saturating_sub(number.saturating_mul(chunk)).min(chunk)
}

/// The hash of a whole attachment, which binds its key, its length, and every chunk in its place.
fn whole_hash(key: &Secret<32>, size: u64, index: &[Hash]) -> Hash {
    let commitment: Secret<32> = kdf::expand_label(key.expose(), labels::ATTACHMENT_COMMITMENT, &[]);
    let index = kdf::sha256(index.as_flattened());
    kdf::hash(labels::HASH_ATTACHMENT, 3, |w| {
        w.bytes(commitment.expose()).uint(size).bytes(&index);
    })
}

fn too_long() -> Error {
    Error::limit("an attachment is at most 64 GiB long")
}
