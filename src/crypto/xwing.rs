//! X-Wing (draft-connolly-cfrg-xwing-kem): ML-KEM-768 (FIPS 203) and X25519 under one combiner.

use libcrux_ml_kem::mlkem768::{self, MlKem768Ciphertext, MlKem768PrivateKey, MlKem768PublicKey};
use sha3::{Digest, Sha3_256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::kem::{SealKey, SealSecret, agree_once};
use crate::error::Result;
use crate::secret::Secret;

const ML_KEM_PUBLIC_KEY: usize = 1184;
const ML_KEM_PRIVATE_KEY: usize = 2400;
const ML_KEM_CIPHERTEXT: usize = 1088;

/// Bytes of a public key.
pub(super) const PUBLIC_KEY: usize = ML_KEM_PUBLIC_KEY + 32;

/// Bytes of a ciphertext.
pub(super) const CIPHERTEXT: usize = ML_KEM_CIPHERTEXT + 32;

/// Both halves, checked.
#[derive(Clone)]
pub(super) struct PublicKey {
    ml_kem: MlKem768PublicKey,
    x25519: SealKey,
}

impl PublicKey {
    /// `None` if a coefficient of the ML-KEM half is not reduced (FIPS 203, section 7.2), or if the X25519 half is not
    /// a valid [`SealKey`].
    pub(super) fn from_bytes(bytes: &[u8; PUBLIC_KEY]) -> Option<Self> {
        let (ml_kem, x25519): (&[u8; ML_KEM_PUBLIC_KEY], _) = split(bytes);
        let x25519 = SealKey::from_bytes(*x25519).ok()?;
        let ml_kem = MlKem768PublicKey::from(ml_kem);
        mlkem768::validate_public_key(&ml_kem).then_some(Self { ml_kem, x25519 })
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        [self.ml_kem.as_slice(), self.x25519.as_bytes().as_slice()].concat()
    }

    /// EncapsulateDerand: the coins are those of ML-KEM, then the ephemeral X25519 key.
    pub(super) fn encapsulate(&self, coins: &Secret<64>) -> (Vec<u8>, Secret<32>) {
        let (ml_kem_coins, ephemeral) = split(coins.expose());
        let (ml_kem_ciphertext, mut ml_kem_shared) = mlkem768::encapsulate(&self.ml_kem, *ml_kem_coins);
        let ml_kem_shared = Secret::from_bytes(&mut ml_kem_shared);
        let (x25519_ciphertext, x25519_shared) = agree_once(ephemeral, &self.x25519);
        let shared = combine(&ml_kem_shared, &x25519_shared, &x25519_ciphertext, &self.x25519);
        ([ml_kem_ciphertext.as_slice(), x25519_ciphertext.as_slice()].concat(), shared)
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.ml_kem.as_slice() == other.ml_kem.as_slice() && self.x25519 == other.x25519
    }
}

/// What a seed expands to. Wiped on drop; libcrux wipes nothing itself.
pub(super) struct PrivateKey {
    ml_kem: Box<MlKem768PrivateKey>,
    ml_kem_public: MlKem768PublicKey,
    x25519: SealSecret,
}

impl PrivateKey {
    pub(super) fn expand(seed: &Secret<32>) -> Self {
        let (ml_kem_seed, x25519) = shake256(seed);
        let (ml_kem, ml_kem_public) = mlkem768::generate_key_pair(*ml_kem_seed.expose()).into_parts();
        Self { ml_kem: Box::new(ml_kem), ml_kem_public, x25519: SealSecret::from_secret(x25519) }
    }

    pub(super) fn public(&self) -> PublicKey {
        PublicKey { ml_kem: self.ml_kem_public.clone(), x25519: self.x25519.public().clone() }
    }

    /// `Unauthentic` if the X25519 half is of low order. An ML-KEM half that is not what was sent gives another secret.
    pub(super) fn decapsulate(&self, ciphertext: &[u8; CIPHERTEXT]) -> Result<Secret<32>> {
        let (ml_kem, x25519): (&[u8; ML_KEM_CIPHERTEXT], _) = split(ciphertext);
        let x25519_shared = self.x25519.agree(x25519)?;
        let mut ml_kem_shared = mlkem768::decapsulate(&self.ml_kem, &MlKem768Ciphertext::from(ml_kem));
        let ml_kem_shared = Secret::from_bytes(&mut ml_kem_shared);
        Ok(combine(&ml_kem_shared, &x25519_shared, x25519, self.x25519.public()))
    }
}

impl Drop for PrivateKey {
    fn drop(&mut self) {
        self.ml_kem[0..ML_KEM_PRIVATE_KEY].zeroize();
    }
}

impl ZeroizeOnDrop for PrivateKey {}

fn combine(ml_kem: &Secret<32>, x25519: &Secret<32>, ciphertext: &[u8; 32], public: &SealKey) -> Secret<32> {
    const LABEL: &[u8; 6] = br"\.//^\";
    let mut hash = Sha3_256::new();
    for part in [ml_kem.expose(), x25519.expose(), ciphertext, public.as_bytes()] {
        hash.update(part);
    }
    hash.update(LABEL);
    Secret::from_bytes(&mut hash.finalize().into())
}

/// SHAKE256(seed, 96), its first 64 bytes and the others. Both seed and output are shorter than a block, so this is one
/// permutation, done in place: a hash state that is moved about leaves the seed behind it on the stack.
fn shake256(seed: &Secret<32>) -> (Secret<64>, Secret<32>) {
    const PADDING: [u64; 25] = {
        let mut state = [0; 25];
        state[4] = 0x1f;
        state[16] = 1 << 63;
        state
    };
    let mut state = Zeroizing::new(PADDING);
    let (lanes, _) = seed.expose().as_chunks();
    for (lane, bytes) in state.iter_mut().zip(lanes) {
        *lane = u64::from_le_bytes(*bytes);
    }
    keccak::Keccak::new().with_f1600(|permute| permute(&mut state));
    let mut output = state.iter().flat_map(|lane| lane.to_le_bytes());
    let first = Secret::fill_with(|out| out.iter_mut().zip(&mut output).for_each(|(to, from)| *to = from));
    (first, Secret::fill_with(|out| out.iter_mut().zip(&mut output).for_each(|(to, from)| *to = from)))
}

/// The two parts of `bytes`.
fn split<const N: usize, const A: usize, const B: usize>(bytes: &[u8; N]) -> (&[u8; A], &[u8; B]) {
    const { assert!(A + B == N) };
    match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => (first, last),
        _ => unreachable!("both parts are shorter than the whole"),
    }
}
