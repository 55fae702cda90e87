//! One frame, and many at once with exactly the results of one after the other (`docs/protocol.md`, section 6).
//!
//! Each frame is decrypted against a draft of its sender's chain that assumes the frames before it were good. Then all
//! signatures are verified in one equation. If it holds, the assumption was right and the drafts become the state. If
//! not, the drafts are thrown away and the frames go one by one. Nothing reaches the caller before its signature.

use std::collections::BTreeMap;

use super::chain::{Opened, Position, open};
use super::draft::Draft;
use super::frame::{Claim, EpochContext, Frame};
use super::proof::Proof;
use super::receiving::{Received, ReceivingChain, ReceivingChains, Step};
use crate::crypto::sign::{Signed, verify_batch};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::LeafIndex;
use crate::limits::SKIPPED_PER_GROUP;

/// Frames whose signatures are verified in one equation. More would gain little, and one forgery sends all of them the
/// slow way.
const TOGETHER: usize = 256;

/// Decrypts one frame in the buffer it came in.
pub(super) fn decrypt_one(
    chains: &mut ReceivingChains,
    epoch: &EpochContext,
    claim: &Claim,
    frame: Vec<u8>,
) -> Result<Received> {
    let Position { leaf, generation } = claim.at;
    let chain = find(chains, leaf)?;
    let mut draft = Draft::new(chain);
    let opened = open_for(chains, draft.message_key(chain, generation)?, claim, (epoch, frame))?;
    chain.key().verify(&opened.input, &opened.signature)?;
    let step = draft.step(generation);
    let mut received = received(opened, claim.at, step);
    let skipped_total = skipped_after(chains.skipped_total(), &received.step);
    chains.commit([(leaf, draft)], skipped_total);
    received.step.evicted = chains.evict();
    Ok(received)
}

pub(super) fn decrypt(chains: &mut ReceivingChains, epoch: &EpochContext, frames: &[&[u8]]) -> Vec<Result<Received>> {
    let mut results = Vec::with_capacity(frames.len());
    while let Some(rest) = frames.get(results.len()..).filter(|rest| !rest.is_empty()) {
        let attempt = Attempt::new(chains, epoch, rest);
        if attempt.is_authentic(chains) {
            attempt.commit(chains, &mut results);
        } else {
            let count = attempt.outcomes.len();
            results.extend(rest.iter().take(count).map(|frame| chains.decrypt(epoch, frame)));
        }
    }
    results
}

/// The frames of a batch decrypted on the assumption that their signatures are good.
struct Attempt {
    drafts: BTreeMap<LeafIndex, Draft>,
    /// Message keys kept for late messages in the whole group, were the drafts the state.
    skipped_total: usize,
    outcomes: Vec<Result<(Opened, Position, Step)>>,
}

impl Attempt {
    /// Takes frames up to [`TOGETHER`], or up to the one at which keys have to be given up: which keys the next frame
    /// finds is only known after that.
    fn new(chains: &ReceivingChains, epoch: &EpochContext, frames: &[&[u8]]) -> Self {
        let skipped_total = chains.skipped_total();
        let outcomes = Vec::with_capacity(frames.len().min(TOGETHER));
        let mut attempt = Self { drafts: BTreeMap::new(), skipped_total, outcomes };
        for frame in frames.iter().take(TOGETHER) {
            let outcome = attempt.open(chains, epoch, frame);
            let evicts = outcome.is_ok() && attempt.skipped_total > SKIPPED_PER_GROUP;
            attempt.outcomes.push(outcome);
            if evicts {
                break;
            }
        }
        attempt
    }

    /// Bounds, header, chain position, tag, padding; a frame that fails leaves the draft as it was.
    fn open(
        &mut self,
        chains: &ReceivingChains,
        epoch: &EpochContext,
        frame: &[u8],
    ) -> Result<(Opened, Position, Step)> {
        let claim = Frame::parse(frame)?.claim(epoch)?;
        let Position { leaf, generation } = claim.at;
        let chain = find(chains, leaf)?;
        let draft = self.drafts.entry(leaf).or_insert_with(|| Draft::new(chain));
        let opened = open_for(chains, draft.message_key(chain, generation)?, &claim, (epoch, frame.to_vec()))?;
        let step = draft.step(generation);
        self.skipped_total = skipped_after(self.skipped_total, &step);
        Ok((opened, claim.at, step))
    }

    fn is_authentic(&self, chains: &ReceivingChains) -> bool {
        let opened = self.outcomes.iter().flatten();
        let signed: Option<Vec<_>> = opened
            .map(|(Opened { content: _, input, signature, proof: _ }, at, _)| {
                let key = chains.get(at.leaf)?.key();
                Some(Signed { key, input: *input, signature: *signature })
            })
            .collect();
        signed.is_some_and(|signed| signed.is_empty() || verify_batch(&signed).is_ok())
    }

    /// Makes the drafts the state. Only the last frame can have gone over the bound of the group, so what is given up
    /// is its doing.
    fn commit(self, chains: &mut ReceivingChains, results: &mut Vec<Result<Received>>) {
        chains.commit(self.drafts, self.skipped_total);
        results.extend(self.outcomes.into_iter().map(|outcome| {
            let (opened, at, step) = outcome?;
            Ok(received(opened, at, step))
        }));
        if let Some(Ok(last)) = results.last_mut() {
            last.step.evicted = chains.evict();
        }
    }
}

/// Opens a frame, with what proves it if the reader keeps that.
fn open_for(
    chains: &ReceivingChains,
    message_key: &[u8; 32],
    claim: &Claim,
    (epoch, frame): (&EpochContext, Vec<u8>),
) -> Result<Opened> {
    let mut opened = open(message_key, claim, epoch, frame)?;
    if chains.keeps_proofs() {
        opened.proof = Some(Box::new(Proof::new(message_key, claim, &opened)));
    }
    Ok(opened)
}

fn find(chains: &ReceivingChains, leaf: LeafIndex) -> Result<&ReceivingChain> {
    chains.get(leaf).ok_or(Error::new(ErrorKind::NotMember, "a message from a leaf we do not know"))
}

fn skipped_after(total: usize, step: &Step) -> usize {
    total.saturating_add(step.skipped.len()).saturating_sub(step.took_skipped.into())
}

/// Hands the content out: its signature was verified.
fn received(mut opened: Opened, at: Position, step: Step) -> Received {
    let Position { leaf, generation } = at;
    let content = core::mem::take(&mut *opened.content);
    Received { leaf, generation, content, step, proof: opened.proof }
}
