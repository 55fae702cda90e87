//! Group messages: encrypt, decrypt, the header mask, a sender key handed over (`docs/protocol.md`, section 6).

use std::hint::black_box;

use convivio::ratchet::{EpochContext, Frame, ReceivingChain, ReceivingChains, SenderKey, SendingChain};
use convivio::{Epoch, ErrorKind, GroupId, LeafIndex, Secret, SigningKey};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::poison::{HiddenRng, hidden, hide, publish};

const HEADER_KEY: [u8; 32] = *b"hides who sent it and how manyth";
const CHAIN_KEY: [u8; 32] = *b"the first chain key of a sender.";
const SEED: [u8; 32] = *b"signs the messages of the sender";
const CONTENT: &[u8] = b"a message of ordinary length, as people write them";
const LEAF: LeafIndex = LeafIndex(3);

fn epoch(header_key: Secret<32>) -> EpochContext {
    EpochContext::new(GroupId::from_bytes([1; 16]), Epoch(1), [2; 32], header_key)
}

fn plain(mut bytes: [u8; 32]) -> Secret<32> {
    Secret::from_bytes(&mut bytes)
}

/// Frames as they come from another device, where nothing is hidden.
fn frames<const N: usize>() -> [Vec<u8>; N] {
    let mut rng = StdRng::seed_from_u64(1);
    let epoch = epoch(plain(HEADER_KEY));
    let mut chain = Some(SendingChain::new(LEAF, plain(CHAIN_KEY), SigningKey::from_seed(&SEED)));
    std::array::from_fn(|_| {
        let (frame, next) = chain.take().unwrap().encrypt(&epoch, CONTENT, &mut rng).unwrap();
        chain = Some(next);
        frame
    })
}

/// A reader whose chain key is hidden. The header key is not: what it uncovers, a sender's leaf and generation, decides
/// which key is taken, and that shows in time (`docs/threat-model.md`). [`mask`] watches over the header key itself.
fn reader() -> (EpochContext, ReceivingChains) {
    let mut chains = ReceivingChains::new();
    let key = SigningKey::from_seed(&SEED).verify_key().clone();
    chains.insert(LEAF, ReceivingChain::new(hidden(CHAIN_KEY), key));
    (epoch(plain(HEADER_KEY)), chains)
}

/// A sender whose keys, randomness and words are all hidden.
fn sender() -> (EpochContext, SendingChain) {
    let seed = hidden(SEED);
    (epoch(hidden(HEADER_KEY)), SendingChain::new(LEAF, hidden(CHAIN_KEY), SigningKey::from_seed(seed.expose())))
}

pub fn encrypt() {
    let ((epoch, mut chain), mut rng) = (sender(), HiddenRng::new(2));
    let content = CONTENT.to_vec();
    hide(&content);
    for _ in 0..3 {
        let (frame, next) = chain.encrypt(&epoch, &content, &mut rng).unwrap();
        publish(&frame);
        black_box(frame);
        chain = next;
    }
}

/// In order, late and after a gap.
pub fn decrypt() {
    let frames: [_; 4] = frames();
    let (epoch, mut chains) = reader();
    for n in [0, 3, 1, 2] {
        let received = chains.decrypt(&epoch, &frames[n]).unwrap();
        publish(&received.content);
        assert_eq!(received.content, CONTENT);
    }
}

pub fn decrypt_batch() {
    let frames: [_; 4] = frames();
    let (epoch, mut chains) = reader();
    for received in chains.decrypt_batch(&epoch, &frames.each_ref().map(Vec::as_slice)) {
        let content = received.unwrap().content;
        publish(&content);
        assert_eq!(content, CONTENT);
    }
}

/// A frame with another tag.
pub fn refuse() {
    let [mut frame] = frames();
    *frame.last_mut().unwrap() ^= 1;
    let (epoch, mut chains) = reader();
    assert_eq!(chains.decrypt(&epoch, &frame).unwrap_err().kind(), ErrorKind::Unauthentic);
}

/// A frame of ours that comes back to an old copy of our state.
pub fn examine() {
    let [frame] = frames();
    let (_, chain) = sender();
    publish(chain.verify_key().as_bytes());
    let epoch = epoch(plain(HEADER_KEY));
    black_box(chain.examine(&epoch, &frame).unwrap());
}

pub fn mask() {
    let [frame] = frames();
    let epoch = epoch(hidden(HEADER_KEY));
    black_box(Frame::parse(&frame).unwrap().unmask(&epoch));
}

/// Handed over, and taken in.
pub fn sender_key() {
    let (_, chain) = sender();
    publish(chain.verify_key().as_bytes());
    let handed_over = chain.sender_key().to_secret_bytes();
    black_box(ReceivingChain::from_sender_key(SenderKey::from_secret_bytes(&handed_over).unwrap()));
}
