//! Messages, without a group around them.

use std::hint::black_box;

use convivio::ratchet::{EpochContext, ReceivingChain, ReceivingChains, SendingChain};
use convivio::{Epoch, GroupId, LeafIndex, Secret, SigningKey};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::measured;

/// Messages of a batch.
const BATCH: usize = 64;

fn epoch() -> EpochContext {
    EpochContext::new(GroupId::from_bytes([1; 16]), Epoch(1), [1; 32], Secret::from_bytes(&mut [1; 32]))
}

/// Senders who write in turn, and one who reads them.
struct Senders {
    rng: StdRng,
    chains: Vec<SendingChain>,
    reader: ReceivingChains,
}

impl Senders {
    fn new(count: u32) -> Self {
        let (mut rng, mut chains, mut reader) = (StdRng::seed_from_u64(1), Vec::new(), ReceivingChains::new());
        for leaf in (0..count).map(LeafIndex) {
            let chain = SendingChain::new(leaf, Secret::generate(&mut rng), SigningKey::generate(&mut rng));
            reader.insert(leaf, ReceivingChain::from_sender_key(chain.sender_key()));
            chains.push(chain);
        }
        Self { rng, chains, reader }
    }

    /// `rounds` messages of each sender.
    fn frames(&mut self, rounds: usize, len: usize) -> Vec<Vec<u8>> {
        let content = vec![7; len];
        let mut frames = Vec::new();
        for _ in 0..rounds {
            let write = |chain: SendingChain| {
                let (frame, next) = chain.encrypt(&epoch(), &content, &mut self.rng).unwrap();
                frames.push(frame);
                next
            };
            self.chains = std::mem::take(&mut self.chains).into_iter().map(write).collect();
        }
        frames
    }
}

pub fn encrypt(len: usize) {
    let mut senders = Senders::new(1);
    // The first message of a process sets tables up.
    senders.frames(1, len);
    let (epoch, content, mut chain) = (epoch(), vec![7; len], senders.chains.pop());
    measured(&mut || {
        chain = black_box(chain.take().unwrap().encrypt(&epoch, &content, &mut senders.rng)).ok().map(|(_, c)| c)
    });
    assert_eq!(chain.unwrap().generation().0, 2);
}

pub fn decrypt(len: usize) {
    let mut senders = Senders::new(1);
    let (frames, epoch) = (senders.frames(2, len), epoch());
    senders.reader.decrypt(&epoch, &frames[0]).unwrap();
    let mut received = None;
    measured(&mut || received = senders.reader.decrypt(&epoch, &frames[1]).ok());
    assert_eq!(received.unwrap().content, vec![7; len]);
}

/// A message that a thousand later ones overtook.
pub fn decrypt_late() {
    let mut senders = Senders::new(1);
    let (frames, epoch) = (senders.frames(1_000, 256), epoch());
    senders.reader.decrypt(&epoch, &frames[999]).unwrap();
    let mut received = None;
    measured(&mut || received = senders.reader.decrypt(&epoch, &frames[500]).ok());
    assert!(received.unwrap().step.took_skipped);
}

pub fn batch(count: u32, len: usize) {
    let mut senders = Senders::new(count);
    let (frames, epoch) = (senders.frames(BATCH.div_ceil(count as usize) + 1, len), epoch());
    let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    let (first, rest) = frames.split_at(count as usize);
    senders.reader.decrypt_batch(&epoch, first);
    let mut results = Vec::new();
    measured(&mut || results = senders.reader.decrypt_batch(&epoch, &rest[..BATCH]));
    assert!(results.len() == BATCH && results.iter().all(Result::is_ok));
}
