//! A second opener, written from section 4 of `docs/protocol.md` alone: another HPKE library opens the stanza, and
//! every other step uses the primitives directly. It shares no code with the crate but the bytes.

// Clippy allows these in test functions, but not in the helpers of an integration test.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use convivio::envelope::{EnvelopeFor, Recipient, seal_to};
use convivio::{InitSecret, SealSecret, SigningKey};
use curve25519_dalek::montgomery::MontgomeryPoint;
use hkdf::Hkdf;
use hpke::{Deserializable as _, Kem, OpModeR, single_shot_open};
use minicbor::{Decoder, Encoder};
use rand::SeedableRng;
use rand::rngs::StdRng;
use sha2::{Digest, Sha256};

fn cbor(write: impl FnOnce(&mut Encoder<Vec<u8>>)) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    write(&mut encoder);
    encoder.into_writer()
}

fn expand_label<const N: usize>(secret: &[u8], label: &str, context: &[u8]) -> [u8; N] {
    let info = cbor(|w| {
        w.array(3).unwrap().str(label).unwrap().bytes(context).unwrap().u64(N as u64).unwrap();
    });
    let mut out = [0; N];
    Hkdf::<Sha256>::from_prk(secret).unwrap().expand(&info, &mut out).unwrap();
    out
}

/// The header's fields: ephemeral key, commitment.
fn header_fields(header: &[u8]) -> (Option<Vec<u8>>, Vec<u8>) {
    let mut d = Decoder::new(header);
    assert_eq!(d.array().unwrap(), Some(6));
    assert_eq!([d.u8().unwrap(), d.u8().unwrap(), d.u8().unwrap()], [1, 1, 1]); // version, standalone, suite 1
    let ephemeral = match d.datatype().unwrap() {
        minicbor::data::Type::Null => {
            d.null().unwrap();
            None
        }
        _ => Some(d.bytes().unwrap().to_vec()),
    };
    let commitment = d.bytes().unwrap().to_vec();
    assert_eq!(d.bytes().unwrap(), b""); // the public part
    assert_eq!(d.position(), header.len());
    (ephemeral, commitment)
}

/// What HPKE binds a stanza to.
fn info(header: &[u8], ephemeral: &[u8], ciphertext: &[u8], public: &[u8], id: &[u8]) -> Vec<u8> {
    let header_hash: [u8; 32] = Sha256::digest(cbor(|w| {
        w.array(2).unwrap().str("envelope header").unwrap().bytes(header).unwrap();
    }))
    .into();
    cbor(|w| {
        w.array(7).unwrap().str("envelope stanza").unwrap().u8(1).unwrap();
        for field in [ephemeral, ciphertext, public, id, &header_hash] {
            w.bytes(field).unwrap();
        }
    })
}

fn hpke_open<K: Kem>(secret: &[u8], enc: &[u8], info: &[u8], sealed: &[u8]) -> Vec<u8> {
    single_shot_open::<hpke::aead::ChaCha20Poly1305, hpke::kdf::HkdfSha256, K>(
        &OpModeR::Base,
        &K::PrivateKey::from_bytes(secret).unwrap(),
        &K::EncappedKey::from_bytes(enc).unwrap(),
        info,
        sealed,
        b"",
    )
    .unwrap()
}

/// Everything after the seed: commitment, body, signature. Returns sender key, info, payload.
fn open_body(part: &EnvelopeFor, seed: &[u8], id: &[u8]) -> ([u8; 32], Vec<u8>, Vec<u8>) {
    let header = part.header().bytes();
    let (ephemeral, commitment) = header_fields(header);
    assert_eq!(expand_label::<32>(seed, "envelope commitment", b"").to_vec(), commitment);
    if let Some(ephemeral) = ephemeral {
        let scalar = expand_label::<32>(seed, "envelope ephemeral", b"");
        assert_eq!(MontgomeryPoint::mul_base_clamped(scalar).as_bytes().to_vec(), ephemeral);
    }
    let header_hash = Sha256::digest(cbor(|w| {
        w.array(2).unwrap().str("envelope header").unwrap().bytes(header).unwrap();
    }));
    let key: [u8; 44] = expand_label(seed, "envelope content key", &header_hash);
    let body = ChaCha20Poly1305::new_from_slice(&key[..32])
        .unwrap()
        .decrypt(key[32..].try_into().unwrap(), Payload { msg: part.body(), aad: header })
        .unwrap();

    let mut d = Decoder::new(&body);
    assert_eq!(d.array().unwrap(), Some(5));
    let padded = d.bytes().unwrap();
    let sender = d.bytes().unwrap();
    assert_eq!(d.array().unwrap(), Some(1));
    assert_eq!(d.bytes().unwrap(), id);
    let signature = d.bytes().unwrap();
    assert_eq!(d.bytes().unwrap(), b""); // the tail
    assert_eq!(d.position(), body.len());

    let signed = cbor(|w| {
        w.array(5).unwrap().str("sign envelope").unwrap().bytes(header).unwrap().bytes(sender).unwrap();
        w.array(1).unwrap().bytes(id).unwrap().bytes(padded).unwrap();
    });
    let input = [b"convivio sig 1\0".as_slice(), &Sha256::digest(signed)].concat();
    let mut d = Decoder::new(sender);
    assert_eq!(d.array().unwrap(), Some(2));
    let key: [u8; 32] = d.bytes().unwrap().try_into().unwrap();
    let info = d.bytes().unwrap().to_vec();
    let signature = ed25519_dalek::Signature::from_slice(signature).unwrap();
    ed25519_dalek::VerifyingKey::from_bytes(&key).unwrap().verify_strict(&input, &signature).unwrap();
    (key, info, Decoder::new(padded).bytes().unwrap().to_vec())
}

#[test]
fn an_x25519_stanza_is_what_rfc_9180_says() {
    let mut rng = StdRng::seed_from_u64(1);
    let (alice, bob) = (SigningKey::generate(&mut rng), SealSecret::generate(&mut rng));
    let to = [Recipient::X25519 { id: b"bob".to_vec(), key: bob.public() }];
    let part = seal_to(&alice, b"from alice", &to, &[7; 1_000], &mut rng).unwrap().split(b"bob").unwrap();
    let header = part.header().bytes();

    let (ephemeral, _) = header_fields(header);
    let ephemeral = ephemeral.unwrap();
    let info = info(header, &ephemeral, b"", bob.public().as_bytes(), b"bob");
    let secret = bob.expose().expose();
    let seed = hpke_open::<hpke::kem::X25519HkdfSha256>(secret, &ephemeral, &info, part.stanza());

    let opened = open_body(&part, &seed, b"bob");
    assert_eq!(opened, (*alice.verify_key().as_bytes(), b"from alice".to_vec(), vec![7; 1_000]));
}

#[test]
fn an_x_wing_stanza_is_hpke_with_x_wing() {
    let mut rng = StdRng::seed_from_u64(1);
    let (alice, bob) = (SigningKey::generate(&mut rng), InitSecret::generate(&mut rng));
    let public = bob.public();
    let to = [Recipient::XWing { id: b"bob".to_vec(), key: &public }];
    let part = seal_to(&alice, b"from alice", &to, b"hello", &mut rng).unwrap().split(b"bob").unwrap();
    let header = part.header().bytes();

    let (ciphertext, sealed) = part.stanza().split_at(1_120);
    let info = info(header, b"", ciphertext, &public.to_bytes(), b"bob");
    let seed = hpke_open::<hpke::kem::XWing>(bob.expose().expose(), ciphertext, &info, sealed);

    // The ciphertext is the one that the seed makes.
    let context = cbor(|w| {
        w.array(2).unwrap().u8(0).unwrap().bytes(b"bob").unwrap();
    });
    let coins: [u8; 64] = expand_label(&seed, "envelope coins", &context);
    let key = x_wing::EncapsulationKey::try_from(public.to_bytes().as_slice()).unwrap();
    assert_eq!(key.encapsulate_deterministic(&coins.into()).0.as_slice(), ciphertext);

    let opened = open_body(&part, &seed, b"bob");
    assert_eq!(opened, (*alice.verify_key().as_bytes(), b"from alice".to_vec(), b"hello".to_vec()));
}
