//! Sealed envelopes and sealed records (`docs/protocol.md`, sections 4 and 7.2).

use std::hint::black_box;

use convivio::envelope::{self, Opener, Recipient};
use convivio::store::{MemoryStore, SealedStore, StoreKey};
use convivio::{ErrorKind, InitSecret, SealSecret, Secret, SigningKey};
use rand::rngs::StdRng;
use rand::{CryptoRng, SeedableRng};

use crate::poison::{HiddenRng, hidden, hide, publish};

const SEEDS: [[u8; 32]; 2] = [*b"the first reader's private key..", *b"the second reader's private key."];
const SIGNER: [u8; 32] = *b"signs what the sender encloses..";
const PAYLOAD: &[u8] = b"what was enclosed for two readers";

fn plain(n: usize) -> Secret<32> {
    Secret::from_bytes(&mut SEEDS[n].clone())
}

fn to_x25519(signer: &SigningKey, payload: &[u8], rng: &mut dyn CryptoRng) -> envelope::Envelope {
    let keys = [0, 1].map(|n| SealSecret::from_secret(plain(n)).public().clone());
    let recipients = [0, 1].map(|n| Recipient::X25519 { id: vec![n as u8 + 1], key: &keys[n] });
    envelope::seal_to(signer, b"", &recipients, payload, rng).unwrap()
}

fn to_xwing(signer: &SigningKey, payload: &[u8], rng: &mut dyn CryptoRng) -> envelope::Envelope {
    let keys = [0, 1].map(|n| InitSecret::from_secret(plain(n)).public());
    let recipients = [0, 1].map(|n| Recipient::XWing { id: vec![n as u8 + 1], key: &keys[n] });
    envelope::seal_to(signer, b"", &recipients, payload, rng).unwrap()
}

type Seal = fn(&SigningKey, &[u8], &mut dyn CryptoRng) -> envelope::Envelope;

/// Seed, signing key and payload are hidden; the readers' keys are public.
fn seal(to: Seal) {
    let (seed, payload) = (hidden(SIGNER), PAYLOAD.to_vec());
    hide(&payload);
    let signer = SigningKey::from_seed(seed.expose());
    publish(signer.verify_key().as_bytes());
    let sealed = to(&signer, &payload, &mut HiddenRng::new(3));
    publish(sealed.body());
    black_box(sealed);
}

/// What comes from another device, where nothing is hidden.
fn sealed(to: Seal) -> envelope::EnvelopeFor {
    to(&SigningKey::from_seed(&SIGNER), PAYLOAD, &mut StdRng::seed_from_u64(4)).split(&[1]).unwrap()
}

pub fn seal_x25519() {
    seal(to_x25519);
}

pub fn seal_xwing() {
    seal(to_xwing);
}

pub fn open_x25519() {
    let sealed = sealed(to_x25519);
    let secret = SealSecret::from_secret(hidden(SEEDS[0]));
    publish(secret.public().as_bytes());
    let (opened, _) = envelope::open_from(&sealed, Opener::X25519(&secret), &[1]).unwrap();
    black_box(opened);
}

/// By the wrong reader.
pub fn refuse_x25519() {
    let sealed = sealed(to_x25519);
    let secret = SealSecret::from_secret(hidden(SEEDS[1]));
    publish(secret.public().as_bytes());
    let error = envelope::open_from(&sealed, Opener::X25519(&secret), &[1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthentic);
}

pub fn open_xwing() {
    let sealed = sealed(to_xwing);
    let public = InitSecret::from_secret(plain(0)).public();
    let secret = InitSecret::from_secret(hidden(SEEDS[0]));
    let opener = Opener::XWing { secret: &secret, public: Some(&public) };
    let (opened, _) = envelope::open_from(&sealed, opener, &[1]).unwrap();
    black_box(opened);
}

/// The record by which a wrong key is noticed, sealed and opened under a hidden store key.
pub fn store_at_rest() {
    let key = || {
        let mut key = *b"the key this store is sealed by.";
        hide(&key);
        StoreKey::from_bytes(&mut key)
    };
    let store = SealedStore::create(MemoryStore::new(), key()).unwrap();
    black_box(SealedStore::open(store.into_inner(), key()).unwrap());
}
