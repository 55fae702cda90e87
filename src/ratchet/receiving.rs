//! The reader's side: one chain per sender, and the keys kept for late messages (`docs/protocol.md`, section 6).

use core::cmp::Reverse;
use core::fmt;
use core::ops::Range;
use std::collections::{BTreeMap, BinaryHeap};

use super::batch;
use super::draft::Draft;
use super::frame::{EpochContext, Frame};
use super::proof::Proof;
use super::sender_key::SenderKey;
use crate::crypto::sign::VerifyKey;
use crate::error::{Error, Result};
use crate::ids::{Generation, LeafIndex};
use crate::limits::{SKIPPED_PER_GROUP, SKIPPED_PER_SENDER};
use crate::secret::Secret;

/// The chains of all senders of one epoch, as one reader holds them.
///
/// Message keys kept for late messages are bounded per sender by [`SKIPPED_PER_SENDER`] and over all senders by
/// [`SKIPPED_PER_GROUP`]: beyond that, whoever holds most loses the oldest.
#[derive(Default)]
pub struct ReceivingChains {
    chains: BTreeMap<LeafIndex, ReceivingChain>,
    skipped_total: usize,
    proofs: bool,
}

impl ReceivingChains {
    /// No chains yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { chains: BTreeMap::new(), skipped_total: 0, proofs: false }
    }

    /// Whether what is received comes with a [`Proof`], which holds its message key. Off unless it is asked for: a
    /// message key is erased as soon as it was used.
    pub const fn keep_proofs(&mut self, keep: bool) {
        self.proofs = keep;
    }

    pub(super) const fn keeps_proofs(&self) -> bool {
        self.proofs
    }

    /// Takes the chain of the sender at `leaf`; gives back the one it replaces.
    pub fn insert(&mut self, leaf: LeafIndex, chain: ReceivingChain) -> Option<ReceivingChain> {
        let replaced = self.remove(leaf);
        self.skipped_total = self.skipped_total.saturating_add(chain.skipped.len());
        self.chains.insert(leaf, chain);
        replaced
    }

    /// The chain of the sender at `leaf`.
    #[must_use]
    pub fn get(&self, leaf: LeafIndex) -> Option<&ReceivingChain> {
        self.chains.get(&leaf)
    }

    /// Forgets the sender at `leaf`.
    pub fn remove(&mut self, leaf: LeafIndex) -> Option<ReceivingChain> {
        let removed = self.chains.remove(&leaf)?;
        self.skipped_total = self.skipped_total.saturating_sub(removed.skipped.len());
        Some(removed)
    }

    /// All chains, by leaf.
    pub fn iter(&self) -> impl Iterator<Item = (LeafIndex, &ReceivingChain)> {
        self.chains.iter().map(|(leaf, chain)| (*leaf, chain))
    }

    /// Message keys kept for late messages of all senders.
    #[must_use]
    pub const fn skipped_total(&self) -> usize {
        self.skipped_total
    }

    /// Decrypts and verifies one frame and moves its sender's chain on. On an error nothing changed.
    ///
    /// Fails with
    /// - what [`Frame::parse`](super::Frame::parse) says, before anything else is looked at;
    /// - `Unauthentic` if it is of another group or epoch, or tag or signature are wrong;
    /// - `NotMember` if no chain is held for the leaf it claims: in a group, a sign that its author sees another
    ///   roster;
    /// - `Duplicate` if its generation was used, or its key given up;
    /// - `Limit` if it would skip, or keep, too many generations;
    /// - `Malformed` if its padding is wrong.
    pub fn decrypt(&mut self, epoch: &EpochContext, frame: &[u8]) -> Result<Received> {
        let claim = Frame::parse(frame)?.claim(epoch)?;
        batch::decrypt_one(self, epoch, &claim, frame.to_vec())
    }

    /// [`decrypt`](Self::decrypt) without another buffer for the content: it is in the one that the frame came in.
    ///
    /// On an error that buffer is dropped, and wiped of whatever was decrypted in it.
    ///
    /// ```
    /// # use convivio::ratchet::{EpochContext, ReceivingChains};
    /// # fn read(chains: &mut ReceivingChains, epoch: &EpochContext, frame: Vec<u8>) -> convivio::Result<()> {
    /// let buffer = frame.as_ptr();
    /// let received = chains.decrypt_in_place(epoch, frame)?;
    /// assert_eq!(received.content.as_ptr(), buffer);
    /// # Ok(())
    /// # }
    /// # use convivio::ratchet::{ReceivingChain, SendingChain};
    /// # use convivio::{Epoch, GroupId, LeafIndex, Secret, SigningKey};
    /// # let mut rng = rand::rng();
    /// # let epoch = EpochContext::new(GroupId::generate(&mut rng), Epoch(1), [2; 32], Secret::generate(&mut rng));
    /// # let chain = SendingChain::new(LeafIndex(0), Secret::generate(&mut rng), SigningKey::generate(&mut rng));
    /// # let mut chains = ReceivingChains::new();
    /// # chains.insert(LeafIndex(0), ReceivingChain::from_sender_key(chain.sender_key()));
    /// # let (frame, _) = chain.encrypt(&epoch, b"hello", &mut rng).unwrap();
    /// # read(&mut chains, &epoch, frame).unwrap();
    /// ```
    pub fn decrypt_in_place(&mut self, epoch: &EpochContext, frame: Vec<u8>) -> Result<Received> {
        let claim = Frame::parse(&frame)?.claim(epoch)?;
        batch::decrypt_one(self, epoch, &claim, frame)
    }

    /// Decrypts frames in their order, with exactly the results and the state that [`decrypt`](Self::decrypt) one
    /// after the other would have, several times faster: the signatures of many frames are verified at once.
    pub fn decrypt_batch(&mut self, epoch: &EpochContext, frames: &[&[u8]]) -> Vec<Result<Received>> {
        batch::decrypt(self, epoch, frames)
    }

    /// Takes over what a batch worked out. The total is what the drafts counted.
    pub(super) fn commit(&mut self, drafts: impl IntoIterator<Item = (LeafIndex, Draft)>, skipped_total: usize) {
        for (leaf, draft) in drafts {
            if let Some(chain) = self.chains.get_mut(&leaf) {
                draft.commit(chain);
            }
        }
        self.skipped_total = skipped_total;
    }

    /// Brings the kept keys back under the bound of the group: whoever holds most, and among those the lowest leaf,
    /// loses the oldest. Says which went.
    pub(super) fn evict(&mut self) -> Vec<(LeafIndex, Generation)> {
        let mut evicted = Vec::new();
        if self.skipped_total <= SKIPPED_PER_GROUP {
            return evicted;
        }
        let mut holders: BinaryHeap<_> =
            self.chains.iter().map(|(leaf, chain)| (chain.skipped.len(), Reverse(*leaf))).collect();
        while self.skipped_total > SKIPPED_PER_GROUP {
            let Some((_, Reverse(leaf))) = holders.pop() else { break };
            let Some(chain) = self.chains.get_mut(&leaf) else { break };
            let Some((generation, _)) = chain.skipped.pop_first() else { break };
            evicted.push((leaf, generation));
            self.skipped_total = self.skipped_total.saturating_sub(1);
            holders.push((chain.skipped.len(), Reverse(leaf)));
        }
        evicted
    }
}

impl fmt::Debug for ReceivingChains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chains, skipped_total, proofs } = self;
        f.debug_struct("ReceivingChains")
            .field("senders", &chains.len())
            .field("skipped_total", skipped_total)
            .field("proofs", proofs)
            .finish()
    }
}

/// One sender's chain as a reader holds it: the chain key of the next generation, the message keys of generations
/// that were passed over, and the key that verifies.
///
/// Secret, so there is no `Clone`; the owner stores it through the accessors.
pub struct ReceivingChain {
    pub(super) chain_key: Secret<32>,
    pub(super) next: Generation,
    pub(super) skipped: BTreeMap<Generation, Secret<32>>,
    key: VerifyKey,
}

impl ReceivingChain {
    /// A chain at generation 0.
    #[must_use]
    pub const fn new(chain_key: Secret<32>, key: VerifyKey) -> Self {
        Self { chain_key, next: Generation(0), skipped: BTreeMap::new(), key }
    }

    /// The chain of a sender key that was handed over: reads from that key's generation on.
    #[must_use]
    pub fn from_sender_key(sender_key: SenderKey) -> Self {
        let (next, chain_key, key) = sender_key.into_chain();
        Self { chain_key, next, skipped: BTreeMap::new(), key }
    }

    /// A stored chain. Fails with `Damaged` if a skipped key is not of a generation before `next`, or if there are
    /// more than [`SKIPPED_PER_SENDER`].
    pub fn restore(
        chain_key: Secret<32>,
        next: Generation,
        skipped: BTreeMap<Generation, Secret<32>>,
        key: VerifyKey,
    ) -> Result<Self> {
        let ahead = skipped.last_key_value().is_some_and(|(last, _)| *last >= next);
        if ahead || skipped.len() > SKIPPED_PER_SENDER as usize {
            return Err(Error::damaged("a stored chain keeps keys it cannot have"));
        }
        Ok(Self { chain_key, next, skipped, key })
    }

    /// The chain key of generation [`next`](Self::next), 32 bytes, for the owner to store.
    #[must_use]
    pub const fn chain_key(&self) -> &Secret<32> {
        &self.chain_key
    }

    /// The lowest generation not passed yet.
    #[must_use]
    pub const fn next(&self) -> Generation {
        self.next
    }

    /// The message keys kept for late messages, oldest first, for the owner to store.
    pub fn skipped(&self) -> impl ExactSizeIterator<Item = (Generation, &Secret<32>)> {
        self.skipped.iter().map(|(generation, key)| (*generation, key))
    }

    /// The message key kept for one late message, 32 bytes.
    #[must_use]
    pub fn skipped_key(&self, generation: Generation) -> Option<&Secret<32>> {
        self.skipped.get(&generation)
    }

    /// The key that verifies the sender's messages.
    #[must_use]
    pub const fn key(&self) -> &VerifyKey {
        &self.key
    }
}

impl fmt::Debug for ReceivingChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chain_key: _, next, skipped, key } = self;
        f.debug_struct("ReceivingChain")
            .field("next", next)
            .field("skipped", &skipped.len())
            .field("key", key)
            .finish_non_exhaustive()
    }
}

/// A message that was decrypted and verified.
#[non_exhaustive]
#[derive(Debug, PartialEq, Eq)]
pub struct Received {
    /// Who sent it.
    pub leaf: LeafIndex,
    /// Its place in the sender's chain.
    pub generation: Generation,
    /// What was sent.
    pub content: Vec<u8>,
    /// What changed in the reader's state.
    pub step: Step,
    /// What shows it to others, if the reader [keeps](ReceivingChains::keep_proofs) that.
    pub proof: Option<Box<Proof>>,
}

/// What one message changed, so that a store writes one small record of its chain and a row for each kept key.
///
/// After a batch, write what the chain holds in the end: a key that one message stored, a later one may have taken.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// The generations whose message keys were newly kept, those just before this message; empty if it was the next.
    pub skipped: Range<u32>,
    /// Whether it was a late message: its kept key was used and erased, and the chain itself did not move.
    pub took_skipped: bool,
    /// Keys given up for the bound of the group, in order; they may be of other senders.
    pub evicted: Vec<(LeafIndex, Generation)>,
}
