//! Sender keys: each sender has one chain that all readers follow, so a message costs the same however many read it
//! (`docs/protocol.md`, section 6).
//!
//! A message is 125 bytes longer than its padded content. It hides sender and position from whoever carries it, is
//! encrypted under a key used once, and signed. Messages may arrive late, twice, in any order or not at all.
//!
//! Within this crate's groups the chains derive from the epoch secret and the group layer does all of this. Alone,
//! this pillar is for those who distribute sender keys themselves. Then the following is up to you:
//!
//! - **Hand over sender keys** through a channel that is confidential and says who speaks, to each reader once.
//! - **A leaf index** of its own for every sender, that readers agree on.
//! - **A new epoch whenever a reader leaves**: a new header key and fresh chain keys and signing keys of all senders. A
//!   reader who had a chain key reads all that follows in that chain.
//! - **The context hash** covers what all must agree on, at least who the senders and readers are.
//! - **Store the next chain before the bytes leave**, and the receiving chains together with what was received.
//!
//! ```
//! use convivio::ratchet::{EpochContext, ReceivingChain, ReceivingChains, SenderKey, SendingChain};
//! use convivio::{Epoch, GroupId, LeafIndex, Secret, SigningKey};
//!
//! # fn main() -> convivio::Result<()> {
//! # use rand::SeedableRng;
//! let mut rng = rand::rngs::StdRng::from_rng(&mut rand::rng());
//!
//! // What all of an epoch share. The header key is drawn by one and handed to all.
//! let group = GroupId::generate(&mut rng);
//! let header_key = *Secret::<32>::generate(&mut rng).expose();
//! let epoch = |mut key: [u8; 32]| EpochContext::new(group, Epoch(1), [2; 32], Secret::from_bytes(&mut key));
//! let (hers, his) = (epoch(header_key), epoch(header_key));
//!
//! // Alice starts a chain and hands its sender key to every reader, each through a sealed channel.
//! let alice = SendingChain::new(LeafIndex(0), Secret::generate(&mut rng), SigningKey::generate(&mut rng));
//! let handed_over = alice.sender_key().to_secret_bytes();
//!
//! // Bob takes it in.
//! let sender_key = SenderKey::from_secret_bytes(&handed_over)?;
//! let mut bob = ReceivingChains::new();
//! bob.insert(sender_key.leaf(), ReceivingChain::from_sender_key(sender_key));
//!
//! // Each message consumes the chain and gives the next one.
//! let (first, alice) = alice.encrypt(&hers, b"hello", &mut rng).map_err(|(error, _)| error)?;
//! let (second, _alice) = alice.encrypt(&hers, b"all of you", &mut rng).map_err(|(error, _)| error)?;
//!
//! // They may arrive in any order, once.
//! assert_eq!(bob.decrypt(&his, &second)?.content, b"all of you");
//! assert_eq!(bob.decrypt(&his, &first)?.content, b"hello");
//! assert!(bob.decrypt(&his, &first).is_err());
//! # Ok(())
//! # }
//! ```

mod batch;
mod chain;
mod draft;
mod frame;
mod proof;
mod receiving;
mod sender_key;
mod sending;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

pub use frame::{EpochContext, Frame};
pub use proof::Proof;
pub(crate) use proof::Scene;
pub use receiving::{Received, ReceivingChain, ReceivingChains, Step};
pub use sender_key::SenderKey;
pub use sending::{Encrypted, OwnFrame, SendingChain};
