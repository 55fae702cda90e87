//! How often a message asks the allocator: what is counted here, a busy machine cannot hide.

use allocation_counter::measure;
use convivio::ratchet::{EpochContext, ReceivingChain, ReceivingChains, SendingChain};
use convivio::{Epoch, GroupId, LeafIndex, Secret, SigningKey};
use rand::SeedableRng;
use rand::rngs::StdRng;

const BATCH: usize = 64;

fn epoch() -> EpochContext {
    EpochContext::new(GroupId::from_bytes([1; 16]), Epoch(1), [1; 32], Secret::from_bytes(&mut [1; 32]))
}

/// A sender and the reader of a group with `members` more.
fn pair(members: u32) -> (SendingChain, ReceivingChains, StdRng) {
    let (mut rng, mut reader) = (StdRng::seed_from_u64(1), ReceivingChains::new());
    let key = SigningKey::generate(&mut rng);
    for leaf in 1..=members {
        let chain = ReceivingChain::new(Secret::generate(&mut rng), key.verify_key().clone());
        reader.insert(LeafIndex(leaf), chain);
    }
    let sender = SendingChain::new(LeafIndex(0), Secret::generate(&mut rng), key);
    reader.insert(LeafIndex(0), ReceivingChain::from_sender_key(sender.sender_key()));
    (sender, reader, rng)
}

fn frames(mut sender: SendingChain, rng: &mut StdRng, count: usize, content: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for _ in 0..count {
        let mut frame = Vec::new();
        sender = sender.encrypt_into(&epoch(), content, rng, &mut frame).unwrap();
        frames.push(frame);
    }
    frames
}

/// Runs `f` once before it counts: the first message sets up what all share.
fn count(mut f: impl FnMut()) -> u64 {
    f();
    measure(f).count_total
}

#[test]
fn to_encrypt_takes_the_frame_or_nothing() {
    for len in [0, 32, 256, 16 * 1_024] {
        let (sender, _, mut rng) = pair(1);
        let (epoch, content, mut chain) = (epoch(), vec![7; len], Some(sender));
        let with_frame = count(|| {
            let (_, next) = chain.take().unwrap().encrypt(&epoch, &content, &mut rng).unwrap();
            chain = Some(next);
        });
        assert_eq!(with_frame, 1, "{len} bytes");

        let mut out = Vec::with_capacity(100_000);
        let into_a_buffer = count(|| {
            chain = chain.take().unwrap().encrypt_into(&epoch, &content, &mut rng, &mut out).ok();
        });
        assert_eq!(into_a_buffer, 0, "{len} bytes");
    }
}

#[test]
fn to_decrypt_takes_the_content_and_one_more_however_many_send() {
    for members in [1, 1_000] {
        for len in [0, 32, 256, 16 * 1_024] {
            let (sender, mut reader, mut rng) = pair(members);
            let (epoch, frames) = (epoch(), frames(sender, &mut rng, 4, &vec![7; len]));
            let mut next = frames.iter();
            let alone = count(|| drop(reader.decrypt(&epoch, next.next().unwrap()).unwrap()));
            assert_eq!(alone, 2, "{len} bytes, {members} others");

            let mut next = next.cloned().collect::<Vec<_>>().into_iter();
            let in_place = count(|| drop(reader.decrypt_in_place(&epoch, next.next().unwrap()).unwrap()));
            assert_eq!(in_place, 1, "{len} bytes, {members} others");
        }
    }
}

/// What is not the content is what a batch has of its own: a few lists, and what the curve arithmetic asks for.
#[test]
fn a_batch_takes_little_more_than_the_contents_however_many_send() {
    let counted = [1, 1_000].map(|members| {
        let (sender, mut reader, mut rng) = pair(members);
        let (epoch, frames) = (epoch(), frames(sender, &mut rng, 2 * BATCH, &[7; 256]));
        let mut batches = frames.chunks(BATCH).map(|batch| batch.iter().map(Vec::as_slice).collect::<Vec<_>>());
        count(|| {
            let results = reader.decrypt_batch(&epoch, &batches.next().unwrap());
            assert!(results.len() == BATCH && results.iter().all(Result::is_ok));
        })
    });
    assert_eq!(counted[0], counted[1], "it must not matter how many others there are");
    println!("{} allocations for {BATCH} messages", counted[0]);
    assert!(counted[0] <= 2 * BATCH as u64, "{} allocations for {BATCH} messages", counted[0]);
}
