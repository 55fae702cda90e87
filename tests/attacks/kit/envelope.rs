//! Sealed envelopes, sealed and opened step by step as `docs/protocol.md`, section 4, has them: whoever holds the keys
//! may leave out, repeat or change any step.

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _};
use convivio::envelope::Envelope;
use curve25519_dalek::montgomery::MontgomeryPoint;

use super::Value;
use super::cbor::{array, expand, expand_label, extract, hash, sign};

pub const STANDALONE: u64 = 1;
pub const COMMIT: u64 = 2;
pub const WELCOME: u64 = 3;
pub const REQUEST: u64 = 4;

/// An envelope that is being made: the seed, and the header that commits to it.
#[derive(Clone)]
pub struct Sealer {
    pub seed: [u8; 32],
    /// The scalar behind the header's ephemeral key; none for X-Wing keys.
    pub ephemeral: Option<[u8; 32]>,
    pub header: Vec<u8>,
}

/// What the body holds. `ids` are the recipients, where the type names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub padded: Vec<u8>,
    pub sender: Vec<u8>,
    pub ids: Option<Vec<Vec<u8>>>,
    pub signature: [u8; 64],
    pub tail: Vec<u8>,
}

impl Sealer {
    /// An envelope of this type to X25519 keys, as section 4.2 derives it from the seed.
    pub fn new(kind: u64, seed: [u8; 32], public: &[u8]) -> Self {
        let ephemeral = expand_label(&seed, "envelope ephemeral", b"");
        let key = MontgomeryPoint::mul_base_clamped(ephemeral).to_bytes();
        Self { seed, ephemeral: Some(ephemeral), header: header(kind, Some(&key), &commitment(&seed), public) }
    }

    /// The same to X-Wing keys.
    pub fn to_init_keys(kind: u64, seed: [u8; 32], public: &[u8]) -> Self {
        Self { seed, ephemeral: None, header: header(kind, None, &commitment(&seed), public) }
    }

    /// A stanza that carries any 32 bytes, though honest ones carry the seed. `place` is the recipient's among the ids.
    pub fn stanza(&self, carried: &[u8; 32], (key, id): (&[u8], &[u8]), place: u64) -> Vec<u8> {
        if let Some(ephemeral) = self.ephemeral {
            let enc = MontgomeryPoint::mul_base_clamped(ephemeral).to_bytes();
            let dh = MontgomeryPoint(key.try_into().unwrap()).mul_clamped(ephemeral).to_bytes();
            return self.stanza_of(carried, (key, id), (&dh, &enc));
        }
        let coins: [u8; 64] = expand_label(&self.seed, "envelope coins", &array![place, id].encode());
        let (ct, shared) = x_wing::EncapsulationKey::try_from(key).unwrap().encapsulate_deterministic(&coins.into());
        let sealed = hpke(X_WING, shared.as_ref(), &info(&self.header, (b"", &ct), key, id)).seal(carried);
        [ct.as_slice(), &sealed].concat()
    }

    /// A stanza by whoever knows the shared secret of this ephemeral key, by whatever means.
    pub fn stanza_of(
        &self,
        carried: &[u8; 32],
        (key, id): (&[u8], &[u8]),
        (dh, enc): (&[u8; 32], &[u8; 32]),
    ) -> Vec<u8> {
        hpke(X25519, &dhkem_shared(dh, enc, key), &info(&self.header, (enc, b""), key, id)).seal(carried)
    }

    /// Signs a payload, pads it first.
    pub fn sign(&self, label: &str, sender: &[u8], ids: Option<Vec<Vec<u8>>>, by: (&[u8; 32], &[u8])) -> Content {
        let (signing, payload) = by;
        let padded = pad(payload);
        let signature = sign(signing, label, &signed(&self.header, sender, ids.as_deref(), &padded));
        Content { padded, sender: sender.to_vec(), ids, signature, tail: Vec::new() }
    }

    pub fn body(&self, content: &Content) -> Vec<u8> {
        let Content { padded, sender, ids, signature, tail } = content;
        let ids = ids_value(ids.as_deref());
        let text = array![padded.as_slice(), sender.as_slice(), ids, *signature, tail.as_slice()].encode();
        content_key(&self.seed, &self.header).seal_with(&self.header, &text)
    }
}

/// The fields that an envelope's signature covers.
pub fn signed(header: &[u8], sender: &[u8], ids: Option<&[Vec<u8>]>, padded: &[u8]) -> Value {
    array![header, sender, ids_value(ids), padded]
}

/// Puts an envelope together from its parts, as a hub or anyone may.
pub fn envelope(header: &[u8], stanzas: &[(Vec<u8>, Vec<u8>)], body: &[u8]) -> Envelope {
    let mut stanzas = stanzas.to_vec();
    stanzas.sort();
    let stanzas: Vec<Value> = stanzas.into_iter().map(|(id, stanza)| array![id, stanza]).collect();
    Envelope::from_bytes(&array![header, stanzas, body].encode()).unwrap()
}

pub fn header(kind: u64, ephemeral: Option<&[u8; 32]>, commitment: &[u8; 32], public: &[u8]) -> Vec<u8> {
    array![1, kind, 1, ephemeral.map_or(Value::Null, Value::from), commitment, public].encode()
}

pub fn commitment(seed: &[u8; 32]) -> [u8; 32] {
    expand_label(seed, "envelope commitment", b"")
}

/// What a stanza carries to the holder of this X25519 private key; none if it does not open. Nothing else is checked.
pub fn open_stanza(secret: &[u8; 32], (header, id): (&[u8], &[u8]), stanza: &[u8]) -> Option<[u8; 32]> {
    let enc: [u8; 32] = Value::decode(header).items()[3].fixed();
    let key = MontgomeryPoint::mul_base_clamped(*secret).to_bytes();
    let shared = dhkem_shared(&MontgomeryPoint(enc).mul_clamped(*secret).to_bytes(), &enc, &key);
    hpke(X25519, &shared, &info(header, (&enc, b""), &key, id)).open(stanza)?.try_into().ok()
}

/// The same for an X-Wing private key.
pub fn open_init_stanza(secret: &[u8; 32], (header, id): (&[u8], &[u8]), stanza: &[u8]) -> Option<[u8; 32]> {
    use x_wing::{Decapsulate as _, Decapsulator as _, KeyExport as _};
    let key = x_wing::DecapsulationKey::from(*secret);
    let (ct, sealed) = stanza.split_at_checked(x_wing::CIPHERTEXT_SIZE)?;
    let shared = key.decapsulate(&ct.try_into().unwrap());
    let public = key.encapsulation_key().to_bytes();
    hpke(X_WING, shared.as_ref(), &info(header, (b"", ct), &public, id)).open(sealed)?.try_into().ok()
}

/// Decrypts a body with a seed, whoever signed it.
pub fn open_body(seed: &[u8; 32], header: &[u8], body: &[u8]) -> Option<Content> {
    let text = Value::decode(&content_key(seed, header).open_with(header, body)?);
    let [padded, sender, ids, signature, tail] = text.items() else { panic!("not a body") };
    let ids = match ids {
        Value::Null => None,
        ids => Some(ids.items().iter().map(|id| id.bytes().to_vec()).collect()),
    };
    let [padded, sender, tail] = [padded, sender, tail].map(|field| field.bytes().to_vec());
    Some(Content { padded, sender, ids, signature: signature.fixed(), tail })
}

impl Content {
    pub fn payload(&self) -> Vec<u8> {
        minicbor::Decoder::new(&self.padded).bytes().unwrap().to_vec()
    }
}

/// Padmé, section 2.5.
pub fn pad(content: &[u8]) -> Vec<u8> {
    let mut padded = Value::from(content).encode();
    let length = padded.len();
    if length >= 2 {
        let e = length.ilog2();
        let low = (1_usize << (e - (e.ilog2() + 1))) - 1;
        padded.resize((length + low) & !low, 0);
    }
    padded
}

/// A key and a nonce, 32 and 12 bytes, and what they encrypt.
pub struct Cipher(pub [u8; 44]);

impl Cipher {
    pub fn seal_with(&self, aad: &[u8], msg: &[u8]) -> Vec<u8> {
        let (key, nonce) = self.0.split_at(32);
        let nonce: [u8; 12] = nonce.try_into().unwrap();
        ChaCha20Poly1305::new_from_slice(key).unwrap().encrypt(&nonce.into(), Payload { msg, aad }).unwrap()
    }

    pub fn open_with(&self, aad: &[u8], msg: &[u8]) -> Option<Vec<u8>> {
        let (key, nonce) = self.0.split_at(32);
        let nonce: [u8; 12] = nonce.try_into().unwrap();
        ChaCha20Poly1305::new_from_slice(key).unwrap().decrypt(&nonce.into(), Payload { msg, aad }).ok()
    }

    fn seal(&self, msg: &[u8]) -> Vec<u8> {
        self.seal_with(b"", msg)
    }

    fn open(&self, msg: &[u8]) -> Option<Vec<u8>> {
        self.open_with(b"", msg)
    }
}

/// What a seed encrypts the body of this header with.
pub fn content_key(seed: &[u8; 32], header: &[u8]) -> Cipher {
    Cipher(expand_label(seed, "envelope content key", &hash("envelope header", &array![header])))
}

fn ids_value(ids: Option<&[Vec<u8>]>) -> Value {
    ids.map_or(Value::Null, |ids| Value::List(ids.iter().map(|id| Value::from(id.as_slice())).collect()))
}

fn info(header: &[u8], (ephemeral, ct): (&[u8], &[u8]), key: &[u8], id: &[u8]) -> Vec<u8> {
    let header_hash = hash("envelope header", &array![header]);
    array!["envelope stanza", 1, ephemeral, ct, key, id, header_hash].encode()
}

const X25519: [u8; 2] = [0x00, 0x20];
const X_WING: [u8; 2] = [0x64, 0x7a];

fn dhkem_shared(dh: &[u8], enc: &[u8], key: &[u8]) -> [u8; 32] {
    let suite = [b"KEM".as_slice(), &X25519].concat();
    let eae = labeled_extract(&suite, b"", "eae_prk", dh);
    labeled_expand(&suite, &eae, "shared_secret", &[enc, key].concat())
}

/// Single-shot HPKE in base mode, written out in section 4.3.
fn hpke(kem: [u8; 2], shared: &[u8], info: &[u8]) -> Cipher {
    let suite = [b"HPKE".as_slice(), &kem, &[0, 1, 0, 3]].concat();
    let psk = labeled_extract(&suite, b"", "psk_id_hash", b"");
    let context = [&[0][..], &psk, &labeled_extract(&suite, b"", "info_hash", info)].concat();
    let secret = labeled_extract(&suite, shared, "secret", b"");
    let key: [u8; 32] = labeled_expand(&suite, &secret, "key", &context);
    let nonce: [u8; 12] = labeled_expand(&suite, &secret, "base_nonce", &context);
    Cipher([key.as_slice(), &nonce].concat().try_into().unwrap())
}

fn labeled_extract(suite: &[u8], salt: &[u8], label: &str, input: &[u8]) -> [u8; 32] {
    let salt = if salt.is_empty() { &[0; 32] } else { salt };
    extract(salt, &[b"HPKE-v1", suite, label.as_bytes(), input].concat())
}

fn labeled_expand<const N: usize>(suite: &[u8], prk: &[u8], label: &str, info: &[u8]) -> [u8; N] {
    let length = u16::try_from(N).unwrap().to_be_bytes();
    expand(prk, &[&length, b"HPKE-v1".as_slice(), suite, label.as_bytes(), info].concat())
}
