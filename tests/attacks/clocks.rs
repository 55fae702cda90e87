//! Clients that live at times of their own.

use convivio::Timestamp;
use convivio::client::Environment;
use rand::rngs::StdRng;
use rand::{CryptoRng, SeedableRng};

/// A clock that stands still and that nobody shares, and seeded randomness.
pub struct Own {
    time: Timestamp,
    rng: StdRng,
}

impl Own {
    pub fn at(time: Timestamp, seed: u64) -> Self {
        Self { time, rng: StdRng::seed_from_u64(seed) }
    }
}

impl Environment for Own {
    fn now(&self) -> Timestamp {
        self.time
    }

    fn rng(&mut self) -> &mut dyn CryptoRng {
        &mut self.rng
    }
}
