//! SHA-256, HMAC and HKDF (RFC 5869), always over labelled arrays (`docs/protocol.md`, section 2.3).

use hmac::digest::FixedOutput;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroizing, zeroize_bytes};

use crate::labels::Label;
use crate::secret::Secret;
use crate::wire::{Writer, labelled_short};

/// A SHA-256 hash: 32 bytes.
pub(crate) type Hash = [u8; 32];

/// SHA-256 of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// SHA-256 of the array (label, fields …), of which `write` writes `count` fields.
pub(crate) fn hash(label: Label, count: usize, write: impl FnOnce(&mut Writer)) -> Hash {
    sha256(labelled_short(label, count, write).as_slice())
}

/// SHA-256 of the array (label, list), the items of the list encoded in pieces.
pub(crate) fn hash_list<'a>(label: Label, len: usize, items: impl Iterator<Item = &'a [u8]>) -> Hash {
    let head = labelled_short(label, 1, |w| {
        w.array(len);
    });
    items.fold(Sha256::new().chain_update(head.as_slice()), Digest::chain_update).finalize().into()
}

/// HKDF-Extract: a pseudorandom key from a salt and input key material.
pub(crate) fn extract(salt: &[u8; 32], input: &[u8]) -> Secret<32> {
    // HMAC(salt, input), which is what HKDF-Extract is.
    let mut prk = hmac(salt, &[input]);
    Secret::from_bytes(&mut prk)
}

/// HKDF-Expand over the array (label, context, `N`).
pub(crate) fn expand_label<const N: usize>(secret: &[u8; 32], label: Label, context: &[u8]) -> Secret<N> {
    Expander::new(secret).expand(label, context)
}

/// An HKDF pseudorandom key with its HMAC state prepared, for many expansions of one secret.
pub(crate) struct Expander(Hmac<Sha256>);

impl Expander {
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        Self(keyed(secret))
    }

    pub(crate) fn expand<const N: usize>(&self, label: Label, context: &[u8]) -> Secret<N> {
        Secret::fill_with(|out| self.expand_into(label, context, out))
    }

    /// The same, to where the caller wipes it.
    pub(crate) fn expand_into<const N: usize>(&self, label: Label, context: &[u8], out: &mut [u8; N]) {
        // A longer output would fail, and the secret stay all zeros.
        const { assert!(N <= 255 * 32) };
        let head = labelled_short(label, 2, |w| {
            w.bytes_head(context.len());
        });
        let mut tail = Writer::short();
        tail.uint(N as u64);
        self.expand_info(&[head.as_slice(), context, tail.as_slice()], out);
    }

    /// HKDF-Expand with the info given in parts: block `n` is HMAC(secret, the block before ‖ info ‖ `n`). Outputs are
    /// of at most 8,160 bytes; ours are at most 64.
    pub(crate) fn expand_info(&self, info: &[&[u8]], out: &mut [u8]) {
        let mut last = [0; 32];
        for (n, part) in (1..=255_u8).zip(out.chunks_mut(32)) {
            let mut mac = self.0.clone();
            if n > 1 {
                mac.update(&last);
            }
            info.iter().for_each(|part| mac.update(part));
            mac.update(&[n]);
            mac.finalize_into((&mut last).into());
            part.iter_mut().zip(&last).for_each(|(out, byte)| *out = *byte);
        }
        zeroize_bytes(&mut last);
    }
}

/// HMAC-SHA256 over the concatenation of `parts`. Only for fixed layouts; everything else goes through a label.
pub(crate) fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> Hash {
    let mut mac = keyed(key);
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Whether `tag` is HMAC(key, message), in constant time.
pub(crate) fn hmac_matches(key: &[u8; 32], message: &[u8], tag: &[u8]) -> bool {
    let expected = Zeroizing::new(hmac(key, &[message]));
    expected.as_slice().ct_eq(tag).into()
}

/// One step of a sender chain (section 6): writes the message key, and the next chain key over the present one.
pub(crate) fn chain_step(chain_key: &mut [u8; 32], message_key: &mut [u8; 32]) {
    let mut message = keyed(chain_key);
    let mut next = message.clone();
    Mac::update(&mut message, &[1]);
    Mac::update(&mut next, &[2]);
    message.finalize_into(message_key.into());
    next.finalize_into(chain_key.into());
}

/// HMAC pads a key shorter than its 64-byte block with zeros, so a 32-byte key padded here is the same key.
fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    let mut block = Zeroizing::new([0; 64]);
    if let Some(front) = block.first_chunk_mut() {
        *front = *key;
    }
    Hmac::new((&*block).into())
}
