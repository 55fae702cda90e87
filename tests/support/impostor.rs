//! Someone with a made-up root of an app, in the name of one of its users, who gives groups of their own the ids of others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use convivio::client::Environment;
use convivio::identity::IdentityKey;
use convivio::store::MemoryStore;
use convivio::testing::App;
use convivio::{Client, Timestamp, Validity};
use rand::rngs::StdRng;
use rand::{CryptoRng, SeedableRng};

use crate::support::{Clock, DAY, START, World};

/// Randomness whose next 16 bytes are chosen, when armed: a founder chooses a group's id.
struct Dealt {
    clock: Clock,
    bytes: [u8; 16],
    armed: Arc<AtomicBool>,
    rng: StdRng,
}

impl Environment for Dealt {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn rng(&mut self) -> &mut dyn CryptoRng {
        self
    }
}

impl rand::rand_core::TryRng for Dealt {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        self.rng.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        self.rng.try_next_u64()
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        if out.len() == 16 && self.armed.swap(false, Ordering::SeqCst) {
            out.copy_from_slice(&self.bytes);
            return Ok(());
        }
        self.rng.try_fill_bytes(out)
    }
}

impl rand::rand_core::TryCryptoRng for Dealt {}

/// An app of this domain with a made-up root, its user "maria", and the switch that makes the next id be `id`.
pub(crate) fn impostor(world: &World, id: [u8; 16]) -> (App, Client, Arc<AtomicBool>) {
    let mut rng = StdRng::seed_from_u64(99);
    let app = App::new_in("photos.example", Validity::starting(Timestamp(START.0 - DAY), 365 * DAY), &mut rng).unwrap();
    let keys = app.enrol_device("maria", &IdentityKey::generate(&mut rng), 1, &mut rng).unwrap();
    let armed = Arc::new(AtomicBool::new(false));
    let env = Dealt { clock: world.clock.clone(), bytes: id, armed: armed.clone(), rng };
    let client = Client::create_in(MemoryStore::new(), keys, env).unwrap();
    (app, client, armed)
}
