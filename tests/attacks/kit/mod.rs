//! The adversary kit: what the attacks of this suite are made with.
//!
//! | who | holds | file |
//! |---|---|---|
//! | [`Hub`] | all that was ever posted; shows each device what it likes | `hub.rs` |
//! | [`Insider`] | all of a member's secrets of an epoch; makes frames, commits and welcomes with any content | `insider.rs`, `commit.rs` |
//! | [`Thief`] | a copy of a store, with or without the device key; tries every key in it | `thief.rs` |
//!
//! [`Scene`] is four members and a hub, `scene.rs`, with [`void`](scene::void) for what must count for nothing.
//!
//! They stand on the public API and on a second implementation of the wire forms, written from `docs/protocol.md` alone,
//! with no rule checked: `cbor.rs` (section 2), `leaf.rs` (3), `envelope.rs` (4), `state.rs` (5.1, 5.4), `commit.rs` (5.3 to
//! 5.5), `ratchet.rs` (6), `report.rs` (12); and `poly1305.rs`, which makes one tag hold under two keys. That an honest thing made by it is accepted also checks the page against the code.

#![allow(dead_code, unreachable_pub, reason = "each attack uses its part")]

pub mod cbor;
pub mod commit;
pub mod envelope;
pub mod hub;
pub mod insider;
pub mod leaf;
pub mod poly1305;
pub mod ratchet;
pub mod report;
pub mod scene;
pub mod state;
pub mod thief;

pub use cbor::Value;
pub use hub::Hub;
pub use insider::Insider;
pub use scene::Scene;
pub use thief::Thief;
