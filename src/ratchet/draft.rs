//! What would become of one receiving chain, worked out beside it: nothing changes until the signatures are verified.

use std::collections::BTreeSet;

use zeroize::{Zeroize, Zeroizing};

use super::receiving::{ReceivingChain, Step};
use crate::crypto::kdf::chain_step;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::Generation;
use crate::limits::SKIPPED_PER_SENDER;
use crate::secret::Secret;

/// The state of a chain after the frames of a batch so far, as a difference to the chain.
pub(super) struct Draft {
    next: Generation,
    /// The keys of the generations from the chain's next one on, as far as they were derived: also beyond `next`, so
    /// that frames that fail cannot make us derive them twice.
    derived: Derived,
    /// Generations that this batch passed over.
    added: BTreeSet<Generation>,
    /// Generations whose keys the chain keeps and this batch used.
    taken: BTreeSet<Generation>,
}

impl Draft {
    pub(super) fn new(chain: &ReceivingChain) -> Self {
        Self { next: chain.next, derived: Derived::new(), added: BTreeSet::new(), taken: BTreeSet::new() }
    }

    /// The message key of `generation`, without using it up. The position is checked before anything is derived.
    pub(super) fn message_key<'a>(
        &'a mut self,
        chain: &'a ReceivingChain,
        generation: Generation,
    ) -> Result<&'a [u8; 32]> {
        let Some(distance) = generation.0.checked_sub(self.next.0) else {
            return self.kept(chain, generation).ok_or(DUPLICATE);
        };
        // A sender stops one short of the last number, so that there is always a next one.
        let distance = distance as usize;
        if self.kept_len(chain).saturating_add(distance) > SKIPPED_PER_SENDER as usize || generation.0 == u32::MAX {
            return Err(Error::limit("a message skips more of its sender's messages than are kept"));
        }
        self.derived.up_to(chain, generation);
        self.derived.message_key(chain, generation).ok_or(DUPLICATE)
    }

    /// Uses up the message key of `generation`, which [`message_key`](Self::message_key) gave.
    pub(super) fn step(&mut self, generation: Generation) -> Step {
        if generation < self.next {
            if !self.added.remove(&generation) {
                self.taken.insert(generation);
            }
            return Step { took_skipped: true, ..Step::default() };
        }
        let skipped = self.next.0..generation.0;
        self.added.extend(skipped.clone().map(Generation));
        self.next = Generation(generation.0.saturating_add(1));
        let skipped = if skipped.is_empty() { 0..0 } else { skipped };
        Step { skipped, ..Step::default() }
    }

    /// Makes it the state of the chain it was drafted from.
    pub(super) fn commit(self, chain: &mut ReceivingChain) {
        let Self { next, derived, added, taken } = self;
        for generation in taken {
            chain.skipped.remove(&generation);
        }
        for generation in added {
            if let Some(key) = derived.message_key(chain, generation) {
                chain.skipped.insert(generation, Secret::copy_from(key));
            }
        }
        if let Some(key) = derived.chain_key(chain, next) {
            chain.chain_key.expose_mut().copy_from_slice(key);
            chain.next = next;
        }
    }

    fn kept<'a>(&'a self, chain: &'a ReceivingChain, generation: Generation) -> Option<&'a [u8; 32]> {
        if self.added.contains(&generation) {
            return self.derived.message_key(chain, generation);
        }
        chain.skipped.get(&generation).filter(|_| !self.taken.contains(&generation)).map(Secret::expose)
    }

    fn kept_len(&self, chain: &ReceivingChain) -> usize {
        chain.skipped.len().saturating_add(self.added.len()).saturating_sub(self.taken.len())
    }
}

/// The keys of the generations from a chain's next one on: of each the message key, and the chain key after it.
struct Derived(Zeroizing<Vec<[[u8; 32]; 2]>>);

impl Derived {
    fn new() -> Self {
        Self(Zeroizing::new(Vec::new()))
    }

    /// Derives what is missing up to `generation`.
    fn up_to(&mut self, chain: &ReceivingChain, generation: Generation) {
        let Some(last) = Self::index(chain, generation) else { return };
        self.reserve(last.saturating_add(1));
        while self.0.len() <= last {
            self.0.push([[0; 32]; 2]);
            let (before, [message_key, chain_key]) = match self.0.as_mut_slice() {
                [.., [_, before], new] => (&*before, new),
                [new] => (chain.chain_key.expose(), new),
                [] => return,
            };
            chain_key.copy_from_slice(before);
            chain_step(chain_key, message_key);
        }
    }

    /// Makes room for `len` generations, and leaves no keys behind where there was none.
    fn reserve(&mut self, len: usize) {
        if len > self.0.capacity() {
            let mut grown = Vec::with_capacity(len.max(self.0.len().saturating_mul(2)));
            grown.extend_from_slice(&self.0);
            self.0.zeroize();
            *self.0 = grown;
        }
    }

    fn message_key(&self, chain: &ReceivingChain, generation: Generation) -> Option<&[u8; 32]> {
        Self::index(chain, generation).and_then(|at| self.0.get(at)).map(|[message_key, _]| message_key)
    }

    /// The chain key of `next`, unless it is the chain's own.
    fn chain_key(&self, chain: &ReceivingChain, next: Generation) -> Option<&[u8; 32]> {
        let last = Self::index(chain, next)?.checked_sub(1)?;
        self.0.get(last).map(|[_, chain_key]| chain_key)
    }

    fn index(chain: &ReceivingChain, generation: Generation) -> Option<usize> {
        generation.0.checked_sub(chain.next.0).map(|at| at as usize)
    }
}

const DUPLICATE: Error = Error::new(ErrorKind::Duplicate, "this message was processed before, or its key given up");
