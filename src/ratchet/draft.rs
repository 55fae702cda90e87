//! What would become of one receiving chain, worked out beside it: nothing changes until the signatures are verified.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::receiving::{ReceivingChain, Step};
use crate::crypto::kdf::chain_step;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::Generation;
use crate::limits::SKIPPED_PER_SENDER;
use crate::secret::Secret;

/// The state of a chain after the frames of a batch so far, as a difference to the chain.
pub(super) struct Draft {
    next: Generation,
    chain_key: Secret<32>,
    /// Derived from `chain_key`, the first for `next`. Only a cache: frames that fail cannot make us derive it twice.
    ahead: VecDeque<Derived>,
    /// Message keys that this batch passed over.
    added: BTreeMap<Generation, Secret<32>>,
    /// Generations whose keys the chain keeps and this batch used.
    taken: BTreeSet<Generation>,
}

/// The message key of one generation, and the chain key after it.
struct Derived {
    message_key: Secret<32>,
    chain_key: Secret<32>,
}

impl Draft {
    pub(super) fn new(chain: &ReceivingChain) -> Self {
        Self {
            next: chain.next,
            chain_key: Secret::copy_from(chain.chain_key.expose()),
            ahead: VecDeque::new(),
            added: BTreeMap::new(),
            taken: BTreeSet::new(),
        }
    }

    /// The message key of `generation`, without using it up. The position is checked before anything is derived.
    pub(super) fn message_key<'a>(
        &'a mut self,
        chain: &'a ReceivingChain,
        generation: Generation,
    ) -> Result<&'a Secret<32>> {
        let Some(distance) = generation.0.checked_sub(self.next.0) else {
            return self.kept(chain, generation).ok_or(DUPLICATE);
        };
        // A sender stops one short of the last number, so that there is always a next one.
        let distance = distance as usize;
        if self.kept_len(chain).saturating_add(distance) > SKIPPED_PER_SENDER as usize || generation.0 == u32::MAX {
            return Err(Error::limit("a message skips more of its sender's messages than are kept"));
        }
        while self.ahead.len() <= distance {
            let tip = self.ahead.back().map_or(&self.chain_key, |derived| &derived.chain_key);
            let (message_key, chain_key) = chain_step(tip.expose());
            self.ahead.push_back(Derived { message_key, chain_key });
        }
        self.ahead.get(distance).map(|derived| &derived.message_key).ok_or(DUPLICATE)
    }

    /// Uses up the message key of `generation`, which [`message_key`](Self::message_key) gave.
    pub(super) fn step(&mut self, generation: Generation) -> Step {
        if generation < self.next {
            if self.added.remove(&generation).is_none() {
                self.taken.insert(generation);
            }
            return Step { took_skipped: true, ..Step::default() };
        }
        let skipped = self.next.0..generation.0;
        for at in skipped.clone() {
            if let Some(Derived { message_key, chain_key: _ }) = self.ahead.pop_front() {
                self.added.insert(Generation(at), message_key);
            }
        }
        if let Some(Derived { message_key: _, chain_key }) = self.ahead.pop_front() {
            self.chain_key = chain_key;
        }
        self.next = Generation(generation.0.saturating_add(1));
        let skipped = if skipped.is_empty() { 0..0 } else { skipped };
        Step { skipped, ..Step::default() }
    }

    /// Makes it the state of the chain it was drafted from.
    pub(super) fn commit(self, chain: &mut ReceivingChain) {
        let Self { next, chain_key, ahead: _, added, taken } = self;
        for generation in taken {
            chain.skipped.remove(&generation);
        }
        chain.skipped.extend(added);
        chain.next = next;
        chain.chain_key = chain_key;
    }

    fn kept<'a>(&'a self, chain: &'a ReceivingChain, generation: Generation) -> Option<&'a Secret<32>> {
        let old = || chain.skipped.get(&generation).filter(|_| !self.taken.contains(&generation));
        self.added.get(&generation).or_else(old)
    }

    fn kept_len(&self, chain: &ReceivingChain) -> usize {
        chain.skipped.len().saturating_add(self.added.len()).saturating_sub(self.taken.len())
    }
}

const DUPLICATE: Error = Error::new(ErrorKind::Duplicate, "this message was processed before, or its key given up");
