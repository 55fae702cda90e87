//! Ed25519 under one verification rule, alone and in batches (`docs/protocol.md`, section 2.1).
//!
//! The rule is RFC 8032, section 5.1.7, with the cofactored equation \[8\]\[S\]B = \[8\]R + \[8\]\[k\]A, where S < ℓ, A and R
//! are canonical encodings, and A is not of small order. Because the equation is cofactored, a random linear
//! combination of many signatures accepts exactly what single checks accept, but for a chance of 2⁻¹²⁸.

use core::cell::RefCell;
use core::fmt;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use ed25519_dalek::Signer as _;
use rand::CryptoRng;
use sha2::{Digest, Sha256, Sha512};
use zeroize::Zeroizing;

use super::kdf;
use super::parallel::in_parts;
use crate::error::{Error, Result};
use crate::labels::Label;
use crate::wire::{Reader, Wire, Writer, public_encoding};

/// What every signature of the protocol is made over: 47 bytes, "convivio sig 1" ‖ 0x00 ‖ SHA-256(array(label, …)).
///
/// Opaque on purpose: only the protocol makes one, so a signer cannot be asked to sign anything else.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SignatureInput([u8; 47]);

impl SignatureInput {
    /// Over the array (label, fields …), of which `write` writes `count` fields.
    pub(crate) fn new(label: Label, count: usize, write: impl FnOnce(&mut Writer)) -> Self {
        Self::of_digest(&kdf::hash(label, count, write))
    }

    pub(crate) fn of_digest(digest: &kdf::Hash) -> Self {
        let mut input = [0; 47];
        let (prefix, rest) = input.split_at_mut(15);
        prefix.copy_from_slice(b"convivio sig 1\0");
        rest.copy_from_slice(digest);
        Self(input)
    }

    /// The 47 bytes that Ed25519 signs.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 47] {
        &self.0
    }
}

impl fmt::Debug for SignatureInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(_) = self;
        f.write_str("SignatureInput")
    }
}

/// An Ed25519 signature: 64 bytes, R ‖ S.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

impl Signature {
    /// Length in bytes.
    pub const LEN: usize = 64;

    /// Wraps the bytes, unchecked; verification checks them.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(_) = self;
        f.write_str("Signature")
    }
}

impl Wire for Signature {
    fn write(&self, w: &mut Writer) {
        w.bytes(&self.0);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.fixed().map(Self)
    }
}

/// An Ed25519 public key: 32 bytes, a canonical encoding of a point that is not of small order.
#[derive(Clone)]
pub struct VerifyKey {
    bytes: [u8; 32],
    minus_point: EdwardsPoint,
}

impl VerifyKey {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// Reads a public key. Fails with `Malformed` if the encoding is not canonical, not on the curve, or of small
    /// order.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self> {
        if let Some(key) = KnownKeys::find(&bytes) {
            return Ok(key);
        }
        let point = Some(bytes)
            .filter(is_canonical)
            .and_then(|bytes| CompressedEdwardsY(bytes).decompress())
            .filter(|point| !point.is_small_order())
            .ok_or(Error::malformed("not a valid Ed25519 public key"))?;
        let key = Self { bytes, minus_point: -point };
        KnownKeys::remember(&key);
        Ok(key)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// Verifies one signature; `Unauthentic` if it does not.
    pub fn verify(&self, input: &SignatureInput, signature: &Signature) -> Result<()> {
        self.verify_bytes(&input.0, signature)
    }

    /// [`verify`](Self::verify) over any message; apart so that published vectors reach it.
    pub(super) fn verify_bytes(&self, message: &[u8], signature: &Signature) -> Result<()> {
        let Terms { r, s, k } = Terms::new(self, message, signature)?;
        let expected = EdwardsPoint::vartime_double_scalar_mul_basepoint(&k, &self.minus_point, &s);
        // What honest signers make holds without the cofactor: R is then the encoding of the expected point, and a
        // canonical one. So only other signatures need R as a point.
        if expected.compress().0 == *r || (expected - decode(r)?).mul_by_cofactor().is_identity() {
            Ok(())
        } else {
            Err(Error::unauthentic())
        }
    }
}

impl PartialEq for VerifyKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for VerifyKey {}

impl fmt::Debug for VerifyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, minus_point: _ } = self;
        f.write_str("VerifyKey(")?;
        bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

impl Wire for VerifyKey {
    fn write(&self, w: &mut Writer) {
        w.bytes(&self.bytes);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        Self::from_bytes(r.fixed()?)
    }
}

public_encoding!(serde VerifyKey);

/// The valid public keys of one value, so that a key which many of its parts name, an app's or a user's, is decompressed
/// once. On whichever cores the parts are read.
#[derive(Clone, Default)]
pub(crate) struct KnownKeys(Arc<Mutex<BTreeMap<[u8; 32], VerifyKey>>>);

thread_local! {
    /// Those of the value that this thread reads, if somebody keeps them.
    static KNOWN: RefCell<Option<KnownKeys>> = const { RefCell::new(None) };
}

impl KnownKeys {
    /// What `read` comes to, with the keys that it reads known from here on.
    pub(crate) fn while_reading<T>(&self, read: impl FnOnce() -> T) -> T {
        /// Puts back what was known before, also when `read` panics: a worker thread may live on.
        struct Restore(Option<KnownKeys>);
        impl Drop for Restore {
            fn drop(&mut self) {
                KNOWN.set(self.0.take());
            }
        }
        let _restore = Restore(KNOWN.replace(Some(self.clone())));
        read()
    }

    pub(super) fn find(bytes: &[u8; 32]) -> Option<VerifyKey> {
        KNOWN.with_borrow(|known| known.as_ref()?.lock().get(bytes).cloned())
    }

    fn remember(key: &VerifyKey) {
        KNOWN.with_borrow(|known| known.as_ref().and_then(|known| known.lock().insert(key.bytes, key.clone())));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<[u8; 32], VerifyKey>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One signature of a batch.
pub(crate) struct Signed<'a> {
    pub(crate) key: &'a VerifyKey,
    pub(crate) input: SignatureInput,
    pub(crate) signature: Signature,
}

/// Signatures that one core verifies before another is asked to help: some 0.4 milliseconds' work.
const LEAST_PART: usize = 32;

/// Verifies all signatures at once; `Unauthentic` if any of them does not verify, without saying which.
pub(crate) fn verify_batch(batch: &[Signed<'_>]) -> Result<()> {
    // Each part is a combination of its own, and all must hold.
    for verdict in in_parts(batch, LEAST_PART, verify_part) {
        verdict?;
    }
    Ok(())
}

fn verify_part(batch: &[Signed<'_>]) -> Result<()> {
    let equations: Result<Vec<_>> =
        batch.iter().map(|item| Equation::new(item.key, &item.input.0, &item.signature)).collect();
    match equations?.as_slice() {
        [one] => one.verify(),
        many => verify_equations(many),
    }
}

/// The parts of a signature: R as it is encoded, S below ℓ, and k.
struct Terms<'a> {
    r: &'a [u8; 32],
    s: Scalar,
    k: Scalar,
}

impl<'a> Terms<'a> {
    /// Refuses S ≥ ℓ.
    fn new(key: &VerifyKey, message: &[u8], signature: &'a Signature) -> Result<Self> {
        let (r, s) = signature.0.split_first_chunk::<32>().ok_or(Error::unauthentic())?;
        let s: [u8; 32] = s.try_into().map_err(|_| Error::unauthentic())?;
        let s = Option::from(Scalar::from_canonical_bytes(s)).ok_or(Error::unauthentic())?;
        // k = SHA-512(R ‖ A ‖ message) mod ℓ.
        let hash = Sha512::new().chain_update(r).chain_update(key.bytes).chain_update(message).finalize();
        Ok(Self { r, s, k: Scalar::from_bytes_mod_order_wide(&hash.into()) })
    }
}

/// R as a point. Refuses what is not a canonical encoding of one.
fn decode(r: &[u8; 32]) -> Result<EdwardsPoint> {
    let point = Some(*r).filter(is_canonical).and_then(|bytes| CompressedEdwardsY(bytes).decompress());
    point.ok_or(Error::unauthentic())
}

/// What is left of a signature once its encodings are checked: \[8\]\[S\]B = \[8\]R + \[8\]\[k\]A.
pub(super) struct Equation<'a> {
    key: &'a VerifyKey,
    signature: &'a Signature,
    r: EdwardsPoint,
    s: Scalar,
    k: Scalar,
}

impl<'a> Equation<'a> {
    /// Refuses S ≥ ℓ and an R that is not a canonical encoding of a point.
    pub(super) fn new(key: &'a VerifyKey, message: &[u8], signature: &'a Signature) -> Result<Self> {
        let Terms { r, s, k } = Terms::new(key, message, signature)?;
        Ok(Self { key, signature, r: decode(r)?, s, k })
    }

    fn verify(&self) -> Result<()> {
        let expected = EdwardsPoint::vartime_double_scalar_mul_basepoint(&self.k, &self.key.minus_point, &self.s);
        if (expected - self.r).mul_by_cofactor().is_identity() { Ok(()) } else { Err(Error::unauthentic()) }
    }
}

/// The check is \[8\](\[Σ zᵢSᵢ\]B − Σ \[zᵢ\]Rᵢ − Σ \[zᵢkᵢ\]Aᵢ) = 0 with the terms of one key collapsed. The 128-bit zᵢ are
/// drawn from a hash over all that the equations say, so the verdict is a function of the signatures alone.
pub(super) fn verify_equations(equations: &[Equation<'_>]) -> Result<()> {
    let mut transcript = Sha256::new();
    for equation in equations {
        transcript.update(equation.key.bytes);
        transcript.update(equation.k.as_bytes());
        transcript.update(equation.signature.0);
    }
    let seed: [u8; 32] = transcript.finalize().into();

    let mut base = Scalar::ZERO;
    let mut keys: BTreeMap<&[u8; 32], (Scalar, EdwardsPoint)> = BTreeMap::new();
    let mut scalars = Vec::with_capacity(equations.len().saturating_mul(2).saturating_add(1));
    let mut points = Vec::with_capacity(scalars.capacity());
    for (equation, z) in equations.iter().zip(coefficients(&seed)) {
        base += z * equation.s;
        let (sum, _) = keys.entry(&equation.key.bytes).or_insert((Scalar::ZERO, equation.key.minus_point));
        *sum += z * equation.k;
        scalars.push(z);
        points.push(-equation.r);
    }
    for (scalar, point) in keys.into_values() {
        scalars.push(scalar);
        points.push(point);
    }
    scalars.push(base);
    points.push(curve25519_dalek::constants::ED25519_BASEPOINT_POINT);
    let sum = EdwardsPoint::vartime_multiscalar_mul(&scalars, &points);
    if sum.mul_by_cofactor().is_identity() { Ok(()) } else { Err(Error::unauthentic()) }
}

/// An endless stream of 128-bit scalars from `seed`.
fn coefficients(seed: &[u8; 32]) -> impl Iterator<Item = Scalar> {
    (0u64..).map(move |i| {
        let hash = Sha256::new().chain_update(seed).chain_update(i.to_le_bytes()).finalize();
        let mut bytes = [0; 32];
        for (byte, hashed) in bytes.iter_mut().zip(hash).take(16) {
            *byte = hashed;
        }
        Scalar::from_bytes_mod_order(bytes)
    })
}

/// Whether `bytes` is the one encoding of its point, if it is on the curve: y below 2²⁵⁵ − 19, and no sign bit where
/// x is 0 (y = 1 or −1).
pub(super) fn is_canonical(bytes: &[u8; 32]) -> bool {
    let mut y = *bytes;
    let [first, middle @ .., last] = &mut y;
    let negative = *last & 0x80 != 0;
    *last &= 0x7f;
    let all_ones = middle.iter().all(|&byte| byte == 0xff) && *last == 0x7f;
    let all_zeros = middle.iter().all(|&byte| byte == 0) && *last == 0;
    let reduced = !(all_ones && *first >= 0xed);
    let x_is_zero = (all_zeros && *first == 1) || (all_ones && *first == 0xec);
    reduced && !(negative && x_is_zero)
}

/// Whoever can sign for a key, here or in a key store outside this process.
///
/// [`SigningKey`] is one; an OS key store or a secure enclave can be another. An error must mean that nothing was
/// signed.
pub trait Signer: Send {
    /// The public half.
    fn verify_key(&self) -> &VerifyKey;

    /// Signs the 47 bytes of `input` with Ed25519 (RFC 8032, pure).
    fn sign(&self, input: &SignatureInput) -> Result<Signature>;
}

/// An Ed25519 private key held in this process. Wiped on drop, never printed.
pub struct SigningKey {
    key: Box<ed25519_dalek::SigningKey>,
    public: VerifyKey,
}

impl SigningKey {
    /// Draws a key.
    #[must_use]
    pub fn generate(rng: &mut dyn CryptoRng) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *seed);
        Self::from_seed(&seed)
    }

    /// The key of a 32-byte RFC 8032 seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let key = Box::new(ed25519_dalek::SigningKey::from_bytes(seed));
        let public = key.verifying_key();
        // A clamped scalar times the base point has prime order and a canonical encoding.
        let public = VerifyKey { bytes: public.to_bytes(), minus_point: -public.to_edwards() };
        Self { key, public }
    }

    /// The seed, for the caller to store. Handle it as the secret it is.
    #[must_use]
    pub fn expose_seed(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// The public half.
    #[must_use]
    pub const fn verify_key(&self) -> &VerifyKey {
        &self.public
    }

    /// A second copy, for the chain that signs messages beside the group that signs commits.
    pub(crate) fn duplicate(&self) -> Self {
        Self { key: self.key.clone(), public: self.public.clone() }
    }

    /// Signs; with a key in this process that cannot fail.
    #[must_use]
    pub fn sign(&self, input: &SignatureInput) -> Signature {
        self.sign_bytes(&input.0)
    }

    /// [`sign`](Self::sign) over any message; apart so that published vectors reach it.
    pub(super) fn sign_bytes(&self, message: &[u8]) -> Signature {
        Signature(self.key.sign(message).to_bytes())
    }
}

impl Signer for SigningKey {
    fn verify_key(&self) -> &VerifyKey {
        &self.public
    }

    fn sign(&self, input: &SignatureInput) -> Result<Signature> {
        Ok(Self::sign(self, input))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key: _, public } = self;
        f.debug_struct("SigningKey").field("public", public).finish_non_exhaustive()
    }
}
