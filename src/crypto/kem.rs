//! X25519 (RFC 7748) with checked, cached public keys, and the keys of X-Wing.

use core::fmt;

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::montgomery::MontgomeryPoint;
use rand::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::xwing;
use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::wire::{Reader, Wire, Writer, public_encoding};

/// A leaf's X25519 public key: 32 bytes, the canonical u-coordinate of a point on the curve (not its twist) that is
/// not of low order. Checked once, when it is read, and kept as an Edwards point, which multiplies faster.
#[derive(Clone)]
pub struct SealKey {
    bytes: [u8; 32],
    point: EdwardsPoint,
}

impl SealKey {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// Reads a public key. Fails with `Malformed` if it is not canonical, on the twist, or of low order.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self> {
        Some(bytes)
            .filter(is_canonical)
            .and_then(|bytes| MontgomeryPoint(bytes).to_edwards(0))
            .filter(|point| !point.is_small_order())
            .map(|point| Self { bytes, point })
            .ok_or(Error::malformed("not a valid X25519 public key"))
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

/// Whether `bytes` is a number below p = 2²⁵⁵ − 19, and so the one encoding of its u-coordinate.
fn is_canonical(bytes: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = bytes;
    *last < 0x7f || (*last == 0x7f && !(*first >= 0xed && middle.iter().all(|&byte| byte == 0xff)))
}

impl PartialEq for SealKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for SealKey {}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, point: _ } = self;
        f.write_str("SealKey(")?;
        bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

impl Wire for SealKey {
    fn write(&self, w: &mut Writer) {
        w.bytes(&self.bytes);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        Self::from_bytes(r.fixed()?)
    }
}

public_encoding!(serde SealKey);

/// An X25519 private key. Wiped on drop, never printed.
pub struct SealSecret {
    secret: Secret<32>,
    public: SealKey,
}

impl SealSecret {
    /// Draws a key.
    #[must_use]
    pub fn generate(rng: &mut dyn CryptoRng) -> Self {
        Self::from_secret(Secret::generate(rng))
    }

    /// The key of 32 secret bytes, clamped at use (RFC 7748, section 5).
    #[must_use]
    pub fn from_secret(secret: Secret<32>) -> Self {
        let point = EdwardsPoint::mul_base_clamped(*secret.expose());
        // A clamped scalar times the base point has prime order, so the key passes the checks of `SealKey`.
        let public = SealKey { bytes: point.to_montgomery().0, point };
        Self { secret, public }
    }

    /// The secret, for the caller to store.
    #[must_use]
    pub const fn expose(&self) -> &Secret<32> {
        &self.secret
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &SealKey {
        &self.public
    }

    /// A second copy, for the next epoch while this one may still turn out to stay.
    pub(crate) fn duplicate(&self) -> Self {
        Self { secret: Secret::copy_from(self.secret.expose()), public: self.public.clone() }
    }

    /// X25519 with bytes from elsewhere; `Unauthentic` if the shared secret is zero.
    pub(crate) fn agree(&self, theirs: &[u8; 32]) -> Result<Secret<32>> {
        let scalar = Zeroizing::new(*self.secret.expose());
        // X25519 is defined for every input. Those that are valid keys, as all honest ones are, multiply faster as
        // Edwards points, and come to the same.
        let mut shared = match SealKey::from_bytes(*theirs) {
            Ok(key) => Zeroizing::new(key.point.mul_clamped(*scalar)).to_montgomery(),
            Err(_) => MontgomeryPoint(*theirs).mul_clamped(*scalar),
        };
        let shared = Secret::from_bytes(&mut shared.0);
        if shared.expose().ct_eq(&[0; 32]).into() { Err(Error::unauthentic()) } else { Ok(shared) }
    }

    /// X25519 with many checked keys: one scalar multiplication each, one inversion for all.
    pub(crate) fn agree_all(&self, theirs: &[&SealKey]) -> Vec<Secret<32>> {
        let scalar = Zeroizing::new(*self.secret.expose());
        let points: Zeroizing<Vec<EdwardsPoint>> =
            Zeroizing::new(theirs.iter().map(|key| key.point.mul_clamped(*scalar)).collect());
        let mut shared = EdwardsPoint::to_montgomery_batch(&points);
        shared.iter_mut().map(|point| Secret::from_bytes(&mut point.0)).collect()
    }
}

/// The public half of a one-time X25519 key, and what it agrees on with `theirs`: two multiplications, one inversion.
pub(super) fn agree_once(secret: &[u8; 32], theirs: &SealKey) -> ([u8; 32], Secret<32>) {
    let points = Zeroizing::new([EdwardsPoint::mul_base_clamped(*secret), theirs.point.mul_clamped(*secret)]);
    let mut both = EdwardsPoint::to_montgomery_batch(&*points);
    match both.as_mut_slice() {
        [public, shared] => (public.0, Secret::from_bytes(&mut shared.0)),
        _ => unreachable!("two points have two coordinates"),
    }
}

impl fmt::Debug for SealSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { secret: _, public } = self;
        f.debug_struct("SealSecret").field("public", public).finish_non_exhaustive()
    }
}

/// A key package's X-Wing public key: 1,216 bytes, whose ML-KEM half passed the modulus check and whose X25519 half
/// passed the checks of [`SealKey`].
#[derive(Clone)]
pub struct InitKey {
    key: Box<xwing::PublicKey>,
}

/// Bytes of an X-Wing ciphertext.
pub(crate) const XWING_CIPHERTEXT: usize = xwing::CIPHERTEXT;

impl InitKey {
    /// Length in bytes.
    pub const LEN: usize = xwing::PUBLIC_KEY;

    /// Reads a public key. Fails with `Malformed` if either half is invalid.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Result<Self> {
        xwing::PublicKey::from_bytes(bytes)
            .map(|key| Self { key: Box::new(key) })
            .ok_or(Error::malformed("not a valid X-Wing public key"))
    }

    /// The bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.key.to_bytes()
    }

    /// Encapsulates with 64 secret coins: the ciphertext and the shared secret.
    pub(crate) fn encapsulate(&self, coins: &Secret<64>) -> (Vec<u8>, Secret<32>) {
        self.key.encapsulate(coins)
    }
}

impl PartialEq for InitKey {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for InitKey {}

impl fmt::Debug for InitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key: _ } = self;
        f.write_str("InitKey")
    }
}

impl Wire for InitKey {
    fn write(&self, w: &mut Writer) {
        w.bytes(&self.to_bytes());
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        Self::from_bytes(&r.fixed()?)
    }
}

/// An X-Wing private key, kept as its 32-byte seed. Wiped on drop, never printed.
pub struct InitSecret(Secret<32>);

impl InitSecret {
    /// Draws a key.
    #[must_use]
    pub fn generate(rng: &mut dyn CryptoRng) -> Self {
        Self(Secret::generate(rng))
    }

    /// The key of a 32-byte seed.
    #[must_use]
    pub const fn from_secret(seed: Secret<32>) -> Self {
        Self(seed)
    }

    /// The seed, for the caller to store.
    #[must_use]
    pub const fn expose(&self) -> &Secret<32> {
        &self.0
    }

    /// The public half, derived anew.
    #[must_use]
    pub fn public(&self) -> InitKey {
        InitKey { key: Box::new(xwing::PrivateKey::expand(&self.0).public()) }
    }

    /// Decapsulates; `Unauthentic` if the X25519 part is of low order.
    pub(crate) fn decapsulate(&self, ciphertext: &[u8; XWING_CIPHERTEXT]) -> Result<Secret<32>> {
        xwing::PrivateKey::expand(&self.0).decapsulate(ciphertext)
    }
}

impl fmt::Debug for InitSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(_) = self;
        f.write_str("InitSecret(redacted)")
    }
}
