//! A fixed-length secret: on the heap, wiped on drop, never printed, never copied.

use core::fmt;

use rand::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// `N` secret bytes.
///
/// The bytes live in one heap allocation, so moving the value leaves no copies behind, and are wiped when it is
/// dropped. There is no `Clone`, `Copy`, `==`, `Deref` or serialisation; comparison is constant-time.
///
/// ```compile_fail
/// let secret = convivio::Secret::<32>::from_bytes(&mut [7; 32]);
/// let _copy = secret.clone();
/// ```
#[derive(Zeroize, ZeroizeOnDrop)]
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

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(_) = self;
        write!(f, "Secret<{N}>(redacted)")
    }
}
