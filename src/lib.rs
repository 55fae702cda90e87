//! End-to-end encrypted groups across apps.
//!
//! One group, members on different apps, one encrypted conversation. Each app keeps its own accounts and backend; a device
//! links this crate. Most apps need one type, [`Client`]: a device over a [store], with its groups, outbox and inbox.
//! Below it stand pillars that work alone: [identity], [sealed envelopes](envelope), the [sender-key ratchet](ratchet) and the
//! [group].
//!
//! # A tour
//!
//! ```
//! use convivio::client::{Answer, Change, EventKind};
//! use convivio::group::{GroupInfo, Role};
//! use convivio::identity::UnverifiedKeyPackage;
//! use convivio::testing::{App, LocalHub};
//!
//! // Two apps, each with keys of its own, and a relay that neither trusts.
//! let (photos, courier) = (App::new("photos.example")?, App::new("courier.example")?);
//! let mut hub = LocalHub::new();
//! let (mut maria, mut bob) = (photos.client("maria")?, courier.client("bob")?);
//!
//! // Maria founds a group that users of both apps may join, and Bob's device publishes a key package.
//! let group = maria.create_group(App::policy(&[&photos, &courier])?, GroupInfo::new("Wedding", "")?)?;
//! let published = bob.key_packages(1)?.remove(0).to_bytes();
//!
//! // Adding him is a commit: queued, posted, and done when it comes back through the hub's log.
//! maria.change(&group, Change::Add(vec![UnverifiedKeyPackage::from_bytes(&published)?]))?;
//! hub.sync(&mut maria)?;
//!
//! // Bob is asked before anything of the group is read.
//! let invitation = hub.sync(&mut bob)?.remove(0);
//! assert!(matches!(invitation.what, EventKind::Invitation { .. }));
//! bob.answer(&group, Answer::Accept)?;
//!
//! // A message is durable when `send` returns, and encrypted when the outbox is drained.
//! bob.send(&group, "Ciao Maria!".as_bytes())?;
//! hub.sync(&mut bob)?;
//! let message = hub.sync(&mut maria)?.remove(0);
//! let EventKind::Message { user, content, .. } = message.what else { panic!() };
//! assert_eq!((user.as_str(), content.as_slice()), ("mimi://courier.example/u/bob", "Ciao Maria!".as_bytes()));
//!
//! // The event stays in Maria's inbox, across crashes, until her app has taken it over.
//! maria.ack(message.id)?;
//!
//! // Both hold the same group with the same history.
//! assert_eq!(maria.group(&group)?.authenticator(), bob.group(&group)?.authenticator());
//! # Ok::<(), convivio::Error>(())
//! ```
//!
//! # Where things are
//!
//! | | |
//! |---|---|
//! | [`client`] | one device: what apps use |
//! | [`group`], [`ratchet`], [`envelope`], [`identity`] | the pillars |
//! | [`linking`] | making a new device one of its user's |
//! | [`store`] | the store trait, stores, encryption at rest |
//! | [`content`] | what people say: text, reactions, edits, polls, attachments, and what it adds up to |
//! | [`attachment`] | files, encrypted in chunks |
//! | [`log`] | what travels between devices and hubs |
//! | [`report`] | showing an app one message, with proof of who sent it |
//! | [`limits`] | every bound, with its reason |
//! | [`testing`] | a hub in memory, apps made up on the spot |
//!
//! The feature `parallel`, off by default, spreads over all cores what is done for many members at once: reading and
//! verifying a group's roster when joining, verifying those a commit adds, and sealing commits and welcomes. It costs the
//! dependency `rayon` and its threads; what comes out is the same.
//!
//! The protocol itself is specified in `docs/protocol.md`; comments cite its sections.

// The library never panics on what arrives, prints nothing and leaves nothing unfinished; tests and examples may.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::todo,
        clippy::unimplemented,
        clippy::dbg_macro,
        clippy::print_stdout,
        clippy::print_stderr
    )
)]

pub mod attachment;
pub mod client;
pub mod content;
pub mod envelope;
pub mod group;
#[cfg(any(doc, doctest))]
pub mod guide;
pub mod identity;
pub mod limits;
pub mod linking;
pub mod log;
pub mod ratchet;
pub mod report;
pub mod store;
pub mod testing;

mod crypto;
mod error;
mod ids;
mod labels;
mod padding;
mod secret;
#[cfg(test)]
mod vectors;
mod wire;

pub use client::{Change, Client};
pub use crypto::kem::{InitKey, InitSecret, SealKey, SealSecret};
pub use crypto::sign::{Signature, SignatureInput, Signer, SigningKey, VerifyKey};
pub use error::{Error, ErrorKind, Result};
pub use ids::{DeviceId, Epoch, Generation, GroupId, LeafHash, LeafIndex, MessageId, Suite, Timestamp, Validity};
pub use secret::Secret;

/// The README's program is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
