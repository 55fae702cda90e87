//! One message under its key, both directions (`docs/protocol.md`, section 6).

use rand::CryptoRng;
use zeroize::Zeroizing;

use super::frame::{self, CLEAR, EpochContext, Frame, OVERHEAD};
use crate::crypto::aead;
use crate::crypto::kdf::{Expander, Hash, sha256};
use crate::crypto::sign::{Signature, SignatureInput, SigningKey};
use crate::error::{Error, Result};
use crate::ids::{Generation, LeafIndex};
use crate::labels;
use crate::limits::MESSAGE_CONTENT;
use crate::padding::{pad_into, padded_len, unpad};
use crate::secret::Secret;

/// A place in a group's chains: whose, and which message of it.
#[derive(Clone, Copy)]
pub(super) struct Position {
    pub(super) leaf: LeafIndex,
    pub(super) generation: Generation,
}

/// Who sends a message, and at which place.
pub(super) struct Author<'a> {
    pub(super) at: Position,
    pub(super) signing: &'a SigningKey,
}

/// Makes the frame of `content` under the message key, which is used up by it.
///
/// ```text
/// padded = pad(content)
/// salt = expand_label(mk, "salt", random ‖ SHA-256(padded), 16)
/// key ‖ nonce = expand_label(mk, "message", salt, 44)
/// frame = clear ‖ AEAD(key, nonce, aad, padded ‖ Sign(context hash, leaf, generation, salt, SHA-256(padded)))
/// ```
///
/// The salt depends on the content as well as on the random bytes, so that a restored state with a cloned random
/// generator still never encrypts two contents under one key and nonce.
pub(super) fn seal(
    message_key: Secret<32>,
    author: &Author<'_>,
    epoch: &EpochContext,
    content: &[u8],
    rng: &mut dyn CryptoRng,
) -> Vec<u8> {
    let Author { at, signing } = *author;
    let mut out = Vec::with_capacity(OVERHEAD.saturating_add(padded_len(content.len())));
    out.resize(CLEAR, 0);
    pad_into(&mut out, content);
    let digest = sha256(out.get(CLEAR..).unwrap_or_default());

    let keys = Expander::new(message_key.expose());
    let mut hedge = Zeroizing::new([0; 64]);
    let (random, hashed) = hedge.split_at_mut(32);
    rng.fill_bytes(random);
    hashed.copy_from_slice(&digest);
    let salt: Secret<16> = keys.expand(labels::SALT, &*hedge);
    let salt = *salt.expose();

    let clear = frame::clear_bytes(epoch, &salt, at.leaf, at.generation);
    if let Some(front) = out.first_chunk_mut() {
        *front = clear;
    }
    out.extend_from_slice(signing.sign(&signature_input(epoch, at, &salt, &digest)).as_bytes());
    let (key, nonce) = key_and_nonce(&keys, &salt);
    aead::seal_in_place(key.expose(), &nonce, &frame::aad(epoch, &clear), &mut out, CLEAR);
    out
}

/// A message whose tag was right. Whoever has the chain key could have made it: only its signature says who did.
pub(super) struct Opened {
    pub(super) content: Vec<u8>,
    pub(super) input: SignatureInput,
    pub(super) signature: Signature,
}

/// Decrypts `frame` under the message key of `at` and takes the padding off.
pub(super) fn open(message_key: &Secret<32>, at: Position, epoch: &EpochContext, frame: &Frame<'_>) -> Result<Opened> {
    let (key, nonce) = key_and_nonce(&Expander::new(message_key.expose()), frame.salt());
    let mut text = frame.sealed().to_vec();
    aead::open_in_place(key.expose(), &nonce, &frame.aad(epoch), &mut text, 0)?;
    let (padded, signature) =
        text.split_last_chunk().ok_or(Error::malformed("a message is shorter than its signature"))?;
    let content = unpad(padded)?.to_vec();
    if content.len() > MESSAGE_CONTENT {
        return Err(Error::limit("a message's content is longer than the protocol allows"));
    }
    let input = signature_input(epoch, at, frame.salt(), &sha256(padded));
    Ok(Opened { content, input, signature: Signature::from_bytes(*signature) })
}

/// What the sender signs. It is the hash of the content that enters, so a long message is read once.
pub(super) fn signature_input(epoch: &EpochContext, at: Position, salt: &[u8; 16], digest: &Hash) -> SignatureInput {
    SignatureInput::new(labels::SIGN_MESSAGE, 5, |w| {
        w.bytes(epoch.context_hash()).item(&at.leaf).item(&at.generation).bytes(salt).bytes(digest);
    })
}

/// key ‖ nonce = expand_label(mk, "message", salt, 44). The nonce is no secret once the key is.
pub(super) fn key_and_nonce(keys: &Expander, salt: &[u8; 16]) -> (Secret<32>, [u8; 12]) {
    let both: Secret<44> = keys.expand(labels::MESSAGE, salt);
    let mut nonce = [0; 12];
    let key = Secret::fill_with(|key| {
        let (front, back) = both.expose().split_at(32);
        key.copy_from_slice(front);
        nonce.copy_from_slice(back);
    });
    (key, nonce)
}
