//! The message frame and the chains of `docs/protocol.md`, section 6, by hand.

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit as _, StreamCipher as _, StreamCipherSeek as _};

use super::cbor::{array, expand_label, hmac, sha256, sign};
use super::envelope::{Cipher, pad};

/// What all members of an epoch share and every frame is bound to.
#[derive(Clone, Copy, Debug)]
pub struct Epoch {
    pub group: [u8; 16],
    pub epoch: u64,
    pub context_hash: [u8; 32],
    pub header_key: [u8; 32],
}

/// The place that a frame claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub leaf: u32,
    pub generation: u32,
}

/// A decrypted frame, and the key and nonce that it was encrypted under.
pub struct OpenedFrame {
    /// What is carried: `[seen, content]`.
    pub carried: Vec<u8>,
    pub signature: [u8; 64],
    pub key_and_nonce: [u8; 44],
}

/// `mk[g]` and `ck[g + 1]` of `ck[g]`.
pub fn step(chain_key: &[u8; 32]) -> ([u8; 32], [u8; 32]) {
    (hmac(chain_key, &[1]), hmac(chain_key, &[2]))
}

/// The message key of the generation that is `ahead` of this chain key.
pub fn message_key(chain_key: &[u8; 32], ahead: u32) -> [u8; 32] {
    let last = (0..ahead).fold(*chain_key, |key, _| step(&key).1);
    step(&last).0
}

impl Epoch {
    /// A frame at any place, encrypted under any message key, signed by anyone. `random` is what goes into the salt.
    pub fn frame(
        &self,
        at: Place,
        message_key: &[u8; 32],
        (signing, carried): (&[u8; 32], &[u8]),
        random: [u8; 32],
    ) -> Vec<u8> {
        let padded = pad(carried);
        let digest = sha256(&padded);
        let salt: [u8; 16] = expand_label(message_key, "salt", &[random, digest].concat());
        let signature = sign(signing, "sign message", &self.signed(at, &salt, &padded));
        self.encrypt(at, (message_key, salt), &[padded, signature.to_vec()].concat())
    }

    /// What a message's signature covers.
    pub fn signed(&self, at: Place, salt: &[u8; 16], padded: &[u8]) -> super::Value {
        array![self.context_hash, u64::from(at.leaf), u64::from(at.generation), salt, sha256(padded)]
    }

    /// A frame around any plaintext.
    pub fn encrypt(&self, at: Place, (message_key, salt): (&[u8; 32], [u8; 16]), plaintext: &[u8]) -> Vec<u8> {
        let epoch = u32::try_from(self.epoch & 0xffff_ffff).unwrap();
        let mut header = [at.leaf.to_be_bytes(), at.generation.to_be_bytes()].concat();
        self.mask(&salt, &mut header);
        let clear = [&[0x11][..], &self.group, &epoch.to_be_bytes(), &salt, &header].concat();
        let sealed = Cipher(expand_label(message_key, "message", &salt)).seal_with(&self.aad(&clear), plaintext);
        [clear, sealed].concat()
    }

    /// Whose frame it is and where in the chain: what every member can tell, and whoever else holds the header key.
    pub fn unmask(&self, frame: &[u8]) -> Place {
        let mut header = frame[37..45].to_vec();
        self.mask(frame[21..37].try_into().unwrap(), &mut header);
        let number = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().unwrap());
        Place { leaf: number(0), generation: number(4) }
    }

    /// Decrypts a frame with a message key; the signature is not checked.
    pub fn open(&self, frame: &[u8], message_key: &[u8; 32]) -> Option<OpenedFrame> {
        let (clear, sealed) = frame.split_at(45);
        let key_and_nonce = expand_label(message_key, "message", &clear[21..37]);
        let text = Cipher(key_and_nonce).open_with(&self.aad(clear), sealed)?;
        let (padded, signature) = text.split_last_chunk::<64>()?;
        let carried = minicbor::Decoder::new(padded).bytes().ok()?.to_vec();
        Some(OpenedFrame { carried, signature: *signature, key_and_nonce })
    }

    fn aad(&self, clear: &[u8]) -> Vec<u8> {
        array!["message aad", self.context_hash, clear].encode()
    }

    fn mask(&self, salt: &[u8; 16], header: &mut [u8]) {
        let counter = u32::from_le_bytes(salt[..4].try_into().unwrap());
        let nonce: [u8; 12] = salt[4..].try_into().unwrap();
        let mut cipher = ChaCha20::new(&self.header_key.into(), &nonce.into());
        cipher.seek(u64::from(counter) * 64);
        cipher.apply_keystream(header);
    }
}

/// What an app's message carries, section 6.4.
pub fn app_message(seen: &[u8; 32], nonce: [u8; 16], text: &[u8]) -> Vec<u8> {
    let content = array![nonce, 0, text].encode();
    array![&seen[..16], content].encode()
}
