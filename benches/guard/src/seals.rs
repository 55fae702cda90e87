//! Envelopes.

use convivio::envelope::{Draft, EnvelopeType, Recipient};
use convivio::{InitSecret, SealSecret, SigningKey, Suite};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::measured;

/// Bytes of what is sealed.
const PAYLOAD: [u8; 256] = [7; 256];

pub fn x25519() {
    let mut rng = StdRng::seed_from_u64(1);
    let keys: Vec<SealSecret> = (0..100).map(|_| SealSecret::generate(&mut rng)).collect();
    let recipients: Vec<Recipient<'_>> =
        (0..).zip(&keys).map(|(i, secret)| Recipient::X25519 { id: id(i), key: secret.public() }).collect();
    seal(EnvelopeType::Commit, &recipients, &[0; 32], &mut rng);
}

pub fn xwing() {
    let mut rng = StdRng::seed_from_u64(1);
    let key = InitSecret::generate(&mut rng).public();
    seal(EnvelopeType::Welcome, &[Recipient::XWing { id: id(0), key: &key }], &[], &mut rng);
}

fn seal(kind: EnvelopeType, recipients: &[Recipient<'_>], tail: &[u8], rng: &mut StdRng) {
    let sender = SigningKey::generate(rng);
    let mut sealed = None;
    measured(&mut || {
        let draft = Draft::new(kind, Suite::One, Vec::new(), rng).unwrap();
        sealed = draft.sign(vec![1], None, &PAYLOAD, &sender).unwrap().seal(recipients, tail).ok();
    });
    assert!(sealed.unwrap().split(&id(0)).is_some());
}

fn id(i: u32) -> Vec<u8> {
    i.to_be_bytes().to_vec()
}
