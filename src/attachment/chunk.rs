//! One chunk of an attachment.
//!
//! ```text
//! salt = expand_label(key, "attachment salt", number (8) ‖ last (1) ‖ SHA-256(text), 16)
//! chunk key ‖ nonce = expand_label(key, "attachment chunk", number ‖ last ‖ salt, 44)
//! sealed = salt ‖ ChaCha20-Poly1305(chunk key, nonce, no associated data, text)
//! ```
//!
//! The salt depends on the text, so that a device whose random generator was copied, and so draws the same key twice,
//! still never encrypts two texts under one chunk key; and encrypting a file again under its key gives the same bytes,
//! so that a broken upload can go on.

use crate::crypto::aead;
use crate::crypto::kdf::{Expander, sha256};
use crate::error::{Error, Result};
use crate::labels;
use crate::secret::Secret;

const SALT: usize = 16;

/// Bytes by which sealing lengthens a chunk.
pub(super) const OVERHEAD: usize = SALT + aead::TAG;

/// Where a chunk stands.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) number: u64,
    pub(super) last: bool,
}

impl Place {
    /// Number and mark, then `rest`.
    fn context(self, rest: &[u8]) -> Vec<u8> {
        [&self.number.to_be_bytes()[..], &[self.last.into()], rest].concat()
    }
}

/// Seals a chunk; the length is the caller's to check.
pub(super) fn seal(keys: &Expander, at: Place, text: &[u8]) -> Vec<u8> {
    let salt: Secret<SALT> = keys.expand(labels::ATTACHMENT_SALT, &at.context(&sha256(text)));
    let mut sealed = Vec::with_capacity(text.len().saturating_add(OVERHEAD));
    sealed.extend_from_slice(salt.expose());
    sealed.extend_from_slice(text);
    let (key, nonce) = chunk_key(keys, at, salt.expose());
    aead::seal_in_place(key.expose(), &nonce, &[], &mut sealed, SALT);
    sealed
}

/// Opens a chunk, whose length was checked.
pub(super) fn open(keys: &Expander, at: Place, sealed: &[u8]) -> Result<Vec<u8>> {
    let (salt, sealed) = sealed.split_first_chunk::<SALT>().ok_or(Error::unauthentic())?;
    let (key, nonce) = chunk_key(keys, at, salt);
    let mut text = sealed.to_vec();
    aead::open_in_place(key.expose(), &nonce, &[], &mut text, 0).map_err(|_| Error::unauthentic())?;
    Ok(text)
}

fn chunk_key(keys: &Expander, at: Place, salt: &[u8; SALT]) -> (Secret<32>, [u8; 12]) {
    let both: Secret<44> = keys.expand(labels::ATTACHMENT_CHUNK, &at.context(salt));
    let mut nonce = [0; 12];
    let key = Secret::fill_with(|key| {
        let (front, back) = both.expose().split_at(32);
        key.copy_from_slice(front);
        nonce.copy_from_slice(back);
    });
    (key, nonce)
}
