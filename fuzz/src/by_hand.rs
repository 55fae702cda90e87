//! The derivations that an insider needs to put anything at all inside valid encryption and signatures, written from
//! `docs/protocol.md` with the primitives directly. It shares no code with the crate.

use chacha20::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use ed25519_dalek::Signer as _;
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use super::cbor::{Item, bytes, number, text};

pub fn sha256(data: &[u8]) -> [u8; 32] {
    Sha256::digest(data).into()
}

/// hash(label, fields …), section 2.3.
pub fn hash(label: &str, fields: Vec<Item>) -> [u8; 32] {
    sha256(&labelled(label, fields))
}

fn labelled(label: &str, fields: Vec<Item>) -> Vec<u8> {
    Item::Array([vec![text(label)], fields].concat()).encode()
}

/// sign(key, label, fields …), section 2.1.
pub fn sign(seed: &[u8; 32], label: &str, fields: Vec<Item>) -> [u8; 64] {
    let input = [&b"convivio sig 1\0"[..], &hash(label, fields)].concat();
    ed25519_dalek::SigningKey::from_bytes(seed).sign(&input).to_bytes()
}

pub fn verify_key(seed: &[u8; 32]) -> [u8; 32] {
    ed25519_dalek::SigningKey::from_bytes(seed).verifying_key().to_bytes()
}

pub fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().into()
}

pub fn expand_label<const N: usize>(secret: &[u8; 32], label: &str, context: &[u8]) -> [u8; N] {
    let info = labelled(label, vec![bytes(context), number(N as u64)]);
    let mut out = [0; N];
    Hkdf::<Sha256>::from_prk(secret).unwrap().expand(&info, &mut out).unwrap();
    out
}

/// The message key and the next chain key, section 6.2.
pub fn chain_step(chain_key: &[u8; 32]) -> ([u8; 32], [u8; 32]) {
    (hmac(chain_key, &[1]), hmac(chain_key, &[2]))
}

/// Section 2.5.
pub fn padme(len: usize) -> usize {
    if len < 2 {
        return len;
    }
    let e = len.ilog2();
    let s = e.checked_ilog2().map_or(0, |log| log + 1);
    let m = (1_usize << e.saturating_sub(s)) - 1;
    (len + m) & !m
}

pub fn pad(content: &[u8]) -> Vec<u8> {
    let mut padded = bytes(content).encode();
    padded.resize(padme(padded.len()), 0);
    padded
}

/// What is in the clear parts of a frame, section 6.1.
pub struct Clear<'a> {
    pub first: u8,
    pub group: [u8; 16],
    pub epoch_low: u32,
    pub salt: [u8; 16],
    pub leaf: u32,
    pub generation: u32,
    pub header_key: &'a [u8; 32],
}

impl Clear<'_> {
    pub fn bytes(&self) -> Vec<u8> {
        let mut header = (u64::from(self.leaf) << 32 | u64::from(self.generation)).to_be_bytes();
        let (counter, nonce) = self.salt.split_at(4);
        let mut cipher = chacha20::ChaCha20::new(self.header_key.into(), nonce.try_into().unwrap());
        cipher.seek(u64::from(u32::from_le_bytes(counter.try_into().unwrap())) * 64);
        cipher.apply_keystream(&mut header);
        [&[self.first][..], &self.group, &self.epoch_low.to_be_bytes(), &self.salt, &header].concat()
    }
}

/// A frame of any clear part and text, under this message key.
pub fn frame(message_key: &[u8; 32], context_hash: &[u8; 32], clear: &Clear<'_>, text: &[u8]) -> Vec<u8> {
    let both: [u8; 44] = expand_label(message_key, "message", &clear.salt);
    let clear = clear.bytes();
    let aad = labelled("message aad", vec![bytes(context_hash), bytes(&clear)]);
    [clear, encrypt(&both, &aad, text)].concat()
}

/// ChaCha20-Poly1305 under a key ‖ nonce.
pub fn encrypt(both: &[u8; 44], aad: &[u8], text: &[u8]) -> Vec<u8> {
    let cipher = ChaCha20Poly1305::new_from_slice(&both[..32]).unwrap();
    cipher.encrypt(both[32..].try_into().unwrap(), Payload { msg: text, aad }).unwrap()
}
