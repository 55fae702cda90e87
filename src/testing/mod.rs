//! A hub in memory and apps made up on the spot, for tests, examples and simulations.
//!
//! Nothing here is for production: the app's root key lives in memory, and the hub keeps nothing.

mod app;
mod faulty;
mod hub;
#[cfg(all(test, feature = "redb"))]
mod power_cut;

pub use app::App;
pub use faulty::{Fault, FaultyStore};
pub use hub::{Faults, LocalHub, Seen, SeenKind};
