//! X25519 (RFC 7748) with checked, cached public keys, and X-Wing (draft-connolly-cfrg-xwing-kem).

use core::fmt;

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::montgomery::MontgomeryPoint;
use rand::CryptoRng;
use x_wing::{Decapsulator as _, KeyExport as _, TryDecapsulate as _};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

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
        let montgomery = MontgomeryPoint(bytes);
        montgomery
            .to_edwards(0)
            .filter(|point| !point.is_small_order() && point.to_montgomery().0 == bytes)
            .map(|point| Self { bytes, point })
            .ok_or(Error::malformed("not a valid X25519 public key"))
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
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
        let secret = StaticSecret::from(*self.secret.expose());
        let shared = secret.diffie_hellman(&PublicKey::from(*theirs));
        if shared.was_contributory() { Ok(Secret::copy_from(shared.as_bytes())) } else { Err(Error::unauthentic()) }
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
    key: Box<x_wing::EncapsulationKey>,
}

/// Bytes of an X-Wing ciphertext.
pub(crate) const XWING_CIPHERTEXT: usize = x_wing::CIPHERTEXT_SIZE;

impl InitKey {
    /// Length in bytes.
    pub const LEN: usize = x_wing::ENCAPSULATION_KEY_SIZE;

    /// Reads a public key. Fails with `Malformed` if either half is invalid.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Result<Self> {
        const INVALID: Error = Error::malformed("not a valid X-Wing public key");
        let x25519 = bytes.last_chunk::<32>().ok_or(INVALID)?;
        SealKey::from_bytes(*x25519).map_err(|_| INVALID)?;
        let key = x_wing::EncapsulationKey::try_from(bytes.as_slice()).map_err(|_| INVALID)?;
        Ok(Self { key: Box::new(key) })
    }

    /// The bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.key.to_bytes().to_vec()
    }

    /// Encapsulates with 64 secret coins: the ciphertext and the shared secret.
    pub(crate) fn encapsulate(&self, coins: &Secret<64>) -> (Vec<u8>, Secret<32>) {
        let (ciphertext, mut shared) = self.key.encapsulate_deterministic(coins.expose().into());
        (ciphertext.to_vec(), Secret::from_bytes(shared.as_mut()))
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
        InitKey { key: Box::new(self.expand().encapsulation_key().clone()) }
    }

    /// Decapsulates; `Unauthentic` if the X25519 part is of low order.
    pub(crate) fn decapsulate(&self, ciphertext: &[u8; XWING_CIPHERTEXT]) -> Result<Secret<32>> {
        let mut shared = self.expand().try_decapsulate(ciphertext.into()).map_err(|_| Error::unauthentic())?;
        Ok(Secret::from_bytes(shared.as_mut()))
    }

    fn expand(&self) -> x_wing::DecapsulationKeyRejectNonContrib {
        x_wing::DecapsulationKeyRejectNonContrib::from(*self.0.expose())
    }
}

impl fmt::Debug for InitSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(_) = self;
        f.write_str("InitSecret(redacted)")
    }
}
