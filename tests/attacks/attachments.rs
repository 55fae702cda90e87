//! Row 19: an encrypted file in the hands of whoever keeps it, and of a member who knows its key.

use std::io::Cursor;

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use convivio::ErrorKind;
use convivio::attachment::{Decryptor, FileKey, decrypt, encrypt};
use convivio::content::External;
use convivio::limits::ATTACHMENT_CHUNK;
use hkdf::Hkdf;
use rand::SeedableRng;
use rand::rngs::StdRng;
use sha2::{Digest, Sha256};

use crate::kit::cbor::array;

/// Bytes of a whole chunk, encrypted.
const SEALED: usize = ATTACHMENT_CHUNK + 32;

/// A file of three chunks and what a message says of it.
struct File {
    text: Vec<u8>,
    stored: Vec<u8>,
    part: External,
}

impl File {
    fn new() -> Self {
        Self::of((0u32..).flat_map(u32::to_le_bytes).take(2 * ATTACHMENT_CHUNK + 500).collect(), 1)
    }

    fn of(text: Vec<u8>, seed: u64) -> Self {
        let mut stored = Vec::new();
        let attachment = encrypt(&mut text.as_slice(), &mut stored, &mut StdRng::seed_from_u64(seed)).unwrap();
        Self { text, stored, part: attachment.to_part("", "", "") }
    }

    /// What a reader writes of these bytes, and how it ends.
    fn read(&self, stored: &[u8]) -> (Vec<u8>, Result<(), ErrorKind>) {
        let attachment = FileKey::try_from(&self.part).unwrap();
        let mut text = Vec::new();
        let ended = decrypt(&attachment, &mut Cursor::new(stored), &mut text);
        (text, ended.map_err(|error| error.kind()))
    }

    /// Refused, and of what was written before that every byte is the file's.
    fn refuses(&self, stored: &[u8], what: &str) {
        let (text, ended) = self.read(stored);
        assert_eq!(ended.unwrap_err(), ErrorKind::Unauthentic, "{what}");
        assert!(self.text.starts_with(&text) && text.len() < self.text.len(), "{what}");
    }

    /// The encrypted chunks, without the index.
    fn chunks(&self) -> Vec<Vec<u8>> {
        let index = self.stored.len() - 3 * 32;
        self.stored[..index].chunks(SEALED).map(<[u8]>::to_vec).collect()
    }

    /// The file with these chunks and the index it has, or one that fits them.
    fn with(&self, chunks: &[Vec<u8>], fitting: bool) -> Vec<u8> {
        let index = if fitting { index(chunks) } else { self.stored[self.stored.len() - 3 * 32..].to_vec() };
        [chunks.concat(), index].concat()
    }
}

fn index(chunks: &[Vec<u8>]) -> Vec<u8> {
    chunks.iter().flat_map(Sha256::digest).collect()
}

#[test]
fn row_19_attachment_chunks_swapped_dropped_repeated_truncated_extended() {
    let file = File::new();
    assert_eq!(file.read(&file.stored), (file.text.clone(), Ok(())));
    let chunks = file.chunks();
    let [a, b, c] = [0, 1, 2].map(|at: usize| chunks[at].clone());
    let shorter = c[..c.len() - 1].to_vec();
    let longer = [c.as_slice(), &[0]].concat();
    let ways = [
        ("two chunks swapped", vec![b.clone(), a.clone(), c.clone()]),
        ("the first dropped", vec![b.clone(), c.clone()]),
        ("the last dropped", vec![a.clone(), b.clone()]),
        ("one repeated in the place of another", vec![a.clone(), a.clone(), c.clone()]),
        ("one repeated beside itself", vec![a.clone(), a.clone(), b.clone(), c.clone()]),
        ("the last cut", vec![a.clone(), b.clone(), shorter]),
        ("the last made longer", vec![a.clone(), b.clone(), longer]),
        ("nothing left", vec![]),
    ];
    for (what, chunks) in ways {
        file.refuses(&file.with(&chunks, false), what);
        file.refuses(&file.with(&chunks, true), what);
    }
    for end in [0, 1, SEALED, file.stored.len() - 1] {
        file.refuses(&file.stored[..end], "cut anywhere");
    }
    file.refuses(&[file.stored.as_slice(), &[0]].concat(), "something behind the index");
}

#[test]
fn row_19_every_byte_of_an_attachment_matters() {
    let file = File::new();
    for at in (0..file.stored.len()).step_by(1_009).chain(file.stored.len() - 3 * 32..file.stored.len()) {
        let mut stored = file.stored.clone();
        stored[at] ^= 0x10;
        file.refuses(&stored, &format!("byte {at}"));
    }
}

#[test]
fn row_19_attachment_under_a_wrong_key_hash_or_length() {
    let file = File::new();
    let other = File::of(file.text.clone(), 2);
    assert_ne!(file.part.key, other.part.key);
    type Wrong = fn(&mut External, &External);
    let ways: [(&str, Wrong); 5] = [
        ("another key", |part, other| part.key.clone_from(&other.key)),
        ("another hash", |part, other| part.hash.clone_from(&other.hash)),
        ("one bit of the hash", |part, _| part.hash[0] ^= 1),
        ("a byte less", |part, _| part.size -= 1),
        ("a byte more", |part, _| part.size += 1),
    ];
    for (what, spoil) in ways {
        let mut part = file.part.clone();
        spoil(&mut part, &other.part);
        let spoilt = File { text: file.text.clone(), stored: Vec::new(), part };
        let (text, ended) = spoilt.read(&file.stored);
        assert_eq!((text.len(), ended), (0, Err(ErrorKind::Unauthentic)), "{what}");
    }
    file.refuses(&other.stored, "the same text under another key");
}

/// A member knows the key and, with the help of whoever keeps the file, seals a chunk of its own into it, right in every way
/// but that the message has another hash.
#[test]
fn row_19_a_member_who_knows_the_key_cannot_change_a_chunk() {
    let file = File::new();
    let mut chunks = file.chunks();
    // The author's own chunk, made by hand from section 11.6, is the very same: the forger knows how.
    let key: [u8; 32] = file.part.key.as_slice().try_into().unwrap();
    assert_eq!(seal_by_hand(&key, (1, false), &file.text[ATTACHMENT_CHUNK..2 * ATTACHMENT_CHUNK]), chunks[1]);
    chunks[1] = seal_by_hand(&key, (1, false), &[7; ATTACHMENT_CHUNK]);
    file.refuses(&file.with(&chunks, false), "a chunk that its key opens");
    file.refuses(&file.with(&chunks, true), "with an index that fits");

    // Nor when a part of the file is asked for, and nothing else looked at.
    let attachment = FileKey::try_from(&file.part).unwrap();
    let decryptor = Decryptor::new(&attachment, &file.stored[file.stored.len() - 3 * 32..]).unwrap();
    assert_eq!(decryptor.chunk(1, &chunks[1]).unwrap_err().kind(), ErrorKind::Unauthentic);
    assert_eq!(decryptor.chunk(0, &chunks[2]).unwrap_err().kind(), ErrorKind::Unauthentic);
    assert_eq!(Decryptor::new(&attachment, &index(&chunks)).unwrap_err().kind(), ErrorKind::Unauthentic);
}

/// One file under two keys, to show two members two texts: the hash that both see holds one key only.
#[test]
fn row_19_one_hash_does_not_hold_under_two_keys() {
    let file = File::of(vec![7; 100], 1);
    let other = File::of(vec![8; 100], 2);
    let index = index(&[file.stored[..132].to_vec()]);
    let hash = |key: &[u8]| {
        let commitment = expand(key.try_into().unwrap(), "attachment commitment", &[], 32);
        Sha256::digest(array!["hash attachment", commitment, 100u64, Sha256::digest(&index).to_vec()].encode()).to_vec()
    };
    assert_eq!(hash(&file.part.key), file.part.hash, "the hash as section 11.6 has it");
    assert_ne!(hash(&other.part.key), file.part.hash);
}

fn expand(key: &[u8; 32], label: &str, context: &[u8], len: usize) -> Vec<u8> {
    let info = array![label, context, len as u64].encode();
    let mut out = vec![0; len];
    Hkdf::<Sha256>::from_prk(key).unwrap().expand(&info, &mut out).unwrap();
    out
}

fn seal_by_hand(key: &[u8; 32], (number, last): (u64, bool), text: &[u8]) -> Vec<u8> {
    let place = [&number.to_be_bytes()[..], &[last.into()]].concat();
    let salt = expand(key, "attachment salt", &[place.as_slice(), &Sha256::digest(text)].concat(), 16);
    let both = expand(key, "attachment chunk", &[place, salt.clone()].concat(), 44);
    let cipher = chacha20poly1305::ChaCha20Poly1305::new_from_slice(&both[..32]).unwrap();
    let mut sealed = text.to_vec();
    let nonce: [u8; 12] = both[32..].try_into().unwrap();
    let tag = cipher.encrypt_inout_detached(&nonce.into(), &[], sealed.as_mut_slice().into()).unwrap();
    [salt, sealed, tag.to_vec()].concat()
}
