//! A fixed-length secret: on the heap, wiped on drop, never printed, never copied.

use core::fmt;

use rand::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// `N` secret bytes.
///
/// The bytes live in one heap allocation, so moving the value leaves no copies behind, and are wiped when it is
/// dropped, and never before: an emptied key would still be a key. There is no `Clone`, `Copy`, `==`, `Deref` or
/// serialisation; comparison is constant-time.
///
/// ```compile_fail
/// let secret = convivio::Secret::<32>::from_bytes(&mut [7; 32]);
/// let _copy = secret.clone();
/// ```
pub struct Secret<const N: usize>(Box<[u8; N]>);

impl<const N: usize> Secret<N> {
    /// Takes the bytes over and wipes the caller's copy.
    #[must_use]
    pub fn from_bytes(bytes: &mut [u8; N]) -> Self {
        let secret = Self::copy_from(bytes);
        bytes.zeroize();
        secret
    }

    /// Draws `N` bytes.
    #[must_use]
    pub fn generate(rng: &mut dyn CryptoRng) -> Self {
        Self::fill_with(|bytes| rng.fill_bytes(bytes))
    }

    /// The bytes. Whoever copies them takes over the duty to wipe them.
    #[must_use]
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }

    /// Constant-time comparison.
    #[must_use]
    pub fn ct_eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }

    /// The bytes, to be overwritten in place.
    pub(crate) fn expose_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }

    pub(crate) fn copy_from(bytes: &[u8; N]) -> Self {
        Self::fill_with(|out| out.copy_from_slice(bytes))
    }

    /// A secret written in place, so that no other copy of it exists.
    pub(crate) fn fill_with(write: impl FnOnce(&mut [u8; N])) -> Self {
        let mut secret = Self(Box::new([0; N]));
        write(&mut secret.0);
        secret
    }
}

impl<const N: usize> Drop for Secret<N> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<const N: usize> ZeroizeOnDrop for Secret<N> {}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(_) = self;
        write!(f, "Secret<{N}>(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn debug_redacts() {
        let secret = Secret::copy_from(&[0x5a; 32]);
        assert_eq!(format!("{secret:?}"), "Secret<32>(redacted)");
        assert_eq!(format!("{secret:#?}"), "Secret<32>(redacted)");
        assert_eq!(format!("{:?}", Some(&secret)), "Some(Secret<32>(redacted))");
    }

    #[test]
    fn the_callers_copy_is_wiped() {
        let mut bytes = [0x5a; 32];
        let secret = Secret::from_bytes(&mut bytes);
        assert_eq!(bytes, [0; 32]);
        assert_eq!(secret.expose(), &[0x5a; 32]);
    }

    #[test]
    fn comparison_sees_every_byte() {
        let secret = Secret::copy_from(&[1; 32]);
        assert!(secret.ct_eq(&Secret::copy_from(&[1; 32])));
        for at in 0..32 {
            let mut bytes = [1; 32];
            bytes[at] ^= 0x80;
            assert!(!secret.ct_eq(&Secret::copy_from(&bytes)));
        }
    }

    #[test]
    fn two_draws_differ() {
        let mut rng = rand::rng();
        assert!(!Secret::<32>::generate(&mut rng).ct_eq(&Secret::generate(&mut rng)));
    }
}
