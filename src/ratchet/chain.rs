//! One message under its key, both directions (`docs/protocol.md`, section 6).

use core::ops::Range;

use rand::CryptoRng;
use zeroize::Zeroizing;

use super::frame::{self, CLEAR, Claim, EpochContext, OVERHEAD};
use super::proof::Proof;
use crate::crypto::aead;
use crate::crypto::kdf::{Expander, Hash, sha256};
use crate::crypto::sign::{Signature, SignatureInput, SigningKey};
use crate::error::{Error, Result};
use crate::ids::{Generation, LeafIndex};
use crate::labels;
use crate::limits::MESSAGE_CONTENT;
use crate::padding::{pad_into, padded_len, unpad_range};

/// A place in a group's chains: whose, and which message of it.
#[derive(Clone, Copy)]
pub(super) struct Position {
    pub(super) leaf: LeafIndex,
    pub(super) generation: Generation,
}

/// Who sends a message, and at which place of which epoch.
pub(super) struct Author<'a> {
    pub(super) at: Position,
    pub(super) signing: &'a SigningKey,
    pub(super) epoch: &'a EpochContext,
}

/// Appends the frame of `content` under the message key, which no other message may use.
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
    message_key: &[u8; 32],
    author: &Author<'_>,
    content: &[u8],
    rng: &mut dyn CryptoRng,
    out: &mut Vec<u8>,
) {
    let Author { at, signing, epoch } = *author;
    let mut hedge = Zeroizing::new([0; 64]);
    let (random, hashed) = hedge.split_at_mut(32);
    rng.fill_bytes(random);

    let start = out.len();
    let text = start.saturating_add(CLEAR);
    out.reserve(OVERHEAD.saturating_add(padded_len(content.len())));
    out.resize(text, 0);
    pad_into(out, content);
    let digest = sha256(out.get(text..).unwrap_or_default());
    hashed.copy_from_slice(&digest);

    let keys = Expander::new(message_key);
    let mut salt = [0; 16];
    keys.expand_into(labels::SALT, &*hedge, &mut salt);
    let clear = frame::clear_bytes(epoch, &salt, at.leaf, at.generation);
    if let Some(front) = out.get_mut(start..text) {
        front.copy_from_slice(&clear);
    }
    out.extend_from_slice(signing.sign(&signature_input(epoch.context_hash(), at, &salt, &digest)).as_bytes());
    let mut key = Zeroizing::new([0; 32]);
    let nonce = key_and_nonce(&keys, &salt, &mut key);
    aead::seal_in_place(&key, &nonce, frame::aad(epoch.context_hash(), &clear).as_slice(), out, text);
}

/// A message whose tag was right. Whoever has the chain key could have made it: only its signature says who did.
pub(super) struct Opened {
    /// Wiped unless it is taken out, which is for when the signature was verified.
    pub(super) content: Zeroizing<Vec<u8>>,
    pub(super) input: SignatureInput,
    pub(super) signature: Signature,
    /// What shows it to others, for a reader that wants to be able to.
    pub(super) proof: Option<Box<Proof>>,
}

/// Decrypts `frame` under the message key of the place it claims, and takes off all that is not content, in place.
pub(super) fn open(message_key: &[u8; 32], claim: &Claim, epoch: &EpochContext, frame: Vec<u8>) -> Result<Opened> {
    let (mut text, mut key) = (Zeroizing::new(frame), Zeroizing::new([0; 32]));
    let nonce = key_and_nonce(&Expander::new(message_key), &claim.salt, &mut key);
    let aad = frame::aad(epoch.context_hash(), &claim.clear);
    aead::open_in_place(&key, &nonce, aad.as_slice(), &mut text, CLEAR)?;
    let (padded, signature) = text
        .get(CLEAR..)
        .and_then(|text| text.split_last_chunk())
        .ok_or(Error::malformed("a message is shorter than its signature"))?;
    let content = unpad_range(padded)?;
    if content.len() > MESSAGE_CONTENT {
        return Err(Error::limit("a message's content is longer than the protocol allows"));
    }
    let input = signature_input(epoch.context_hash(), claim.at, &claim.salt, &sha256(padded));
    let signature = Signature::from_bytes(*signature);
    keep_range(&mut text, CLEAR.saturating_add(content.start)..CLEAR.saturating_add(content.end));
    Ok(Opened { content: text, input, signature, proof: None })
}

fn keep_range(bytes: &mut Vec<u8>, range: Range<usize>) {
    bytes.truncate(range.end);
    bytes.drain(..range.start);
}

/// What the sender signs. It is the hash of the content that enters, so a long message is read once.
pub(super) fn signature_input(context_hash: &Hash, at: Position, salt: &[u8; 16], digest: &Hash) -> SignatureInput {
    SignatureInput::new(labels::SIGN_MESSAGE, 5, |w| {
        w.bytes(context_hash).item(&at.leaf).item(&at.generation).bytes(salt).bytes(digest);
    })
}

/// key ‖ nonce = expand_label(mk, "message", salt, 44). The nonce is no secret once the key is.
pub(super) fn key_and_nonce(keys: &Expander, salt: &[u8; 16], key: &mut [u8; 32]) -> [u8; 12] {
    let mut both = Zeroizing::new([0; 44]);
    keys.expand_into(labels::MESSAGE, salt, &mut both);
    let (front, back) = both.split_at(32);
    let mut nonce = [0; 12];
    key.copy_from_slice(front);
    nonce.copy_from_slice(back);
    nonce
}
