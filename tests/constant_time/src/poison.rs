//! Marking secrets for Valgrind's memcheck: memory that is marked undefined may be moved, added and hashed, but memcheck
//! reports every branch and every address that depends on it (Langley's ctgrind, 2010).

use std::ffi::c_void;

use convivio::Secret;
use crabgrind::RunMode;
use crabgrind::memcheck::{MemState, mark_mem};
use rand::rand_core::{Infallible, TryCryptoRng, TryRng};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Whether memcheck is watching.
pub fn watched() -> bool {
    matches!(crabgrind::run_mode(), RunMode::Valgrind)
}

/// From here on these bytes are secret.
pub fn hide(bytes: &[u8]) {
    mark(bytes, MemState::Undefined);
}

/// From here on these bytes are public: they went over the wire, or are a public key.
pub fn publish(bytes: &[u8]) {
    mark(bytes, MemState::Defined);
}

fn mark(bytes: &[u8], state: MemState) {
    // What it returns says nothing in this version; whether memcheck watches is asked once, and shown by the controls.
    let _ = mark_mem(bytes.as_ptr().cast_mut().cast::<c_void>(), bytes.len(), state);
}

/// A secret of these bytes, hidden.
pub fn hidden<const N: usize>(mut bytes: [u8; N]) -> Secret<N> {
    hide(&bytes);
    Secret::from_bytes(&mut bytes)
}

/// Randomness all of which is secret.
pub struct HiddenRng(StdRng);

impl HiddenRng {
    pub fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }
}

impl TryRng for HiddenRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill_bytes(out);
        hide(out);
        Ok(())
    }
}

impl TryCryptoRng for HiddenRng {}
