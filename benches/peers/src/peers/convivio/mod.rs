//! convivio itself.

#[path = "../../../../support/big_group.rs"]
mod big_group;
mod disk;
mod group;

use convivio::ratchet::{EpochContext, ReceivingChain, ReceivingChains, SendingChain};
use convivio::{Epoch, GroupId, LeafIndex, Secret, SigningKey};

use crate::works::{Disk, Frame, Membership, Messages, Peer, Setting};

pub struct Convivio;

impl Peer for Convivio {
    fn name(&self) -> &'static str {
        crate::peers::OWN
    }

    fn notes(&self) -> Vec<String> {
        [
            "Messages: the ratchet, with its state in memory; a backlog goes through `decrypt_batch`. The sender is hidden \
             from the relay, content is padded. 2,000 keys for late messages of each sender are kept by default.",
            "Membership: `Client` over `MemoryStore`, so each figure includes making and writing the records of the \
             change. `join` verifies the chain of trust of every member (app, identity, device) and answers the \
             invitation; `create` verifies that of every key package, and seals with X25519 and ML-KEM (X-Wing). What a \
             member downloads is what a hub hands it: the shared part and its own stanza.",
            "Persisted: `Client`. Sending is queueing and draining the outbox in one transaction; receiving writes the \
             chain and the content of every message to the inbox, and acknowledges what the batch before it gave, in \
             one transaction. What the hub does is not in the time, nor is the sender's reading of its own messages in the \
             log, except where it says echo.",
            "State: all records of one member.",
        ]
        .map(String::from)
        .to_vec()
    }

    fn messages(&self, setting: Setting) -> Box<dyn Messages> {
        // Everyone but the reader has a chain.
        Box::new(Ratchet::new(setting.members - 1))
    }

    fn membership(&self, n: usize) -> Box<dyn Membership> {
        Box::new(group::Group::new(n))
    }

    fn disks(&self) -> Vec<Disk> {
        disk::all()
    }
}

struct Ratchet {
    epoch: EpochContext,
    /// `None` only while a chain encrypts.
    senders: Vec<Option<SendingChain>>,
    reader: ReceivingChains,
}

impl Ratchet {
    fn new(senders: usize) -> Self {
        let mut reader = ReceivingChains::new();
        let senders = (0..senders).map(|i| {
            let leaf = LeafIndex(u32::try_from(i).unwrap());
            let chain =
                SendingChain::new(leaf, Secret::generate(&mut rand::rng()), SigningKey::generate(&mut rand::rng()));
            reader.insert(leaf, ReceivingChain::from_sender_key(chain.sender_key()));
            Some(chain)
        });
        let senders = senders.collect();
        let header_key = Secret::generate(&mut rand::rng());
        let epoch = EpochContext::new(GroupId::generate(&mut rand::rng()), Epoch(1), [1; 32], header_key);
        Self { epoch, senders, reader }
    }
}

impl Messages for Ratchet {
    fn encrypt(&mut self, sender: usize, content: &[u8]) -> Vec<u8> {
        let chain = self.senders[sender].take().expect("a chain comes back");
        let (frame, chain) = chain.encrypt(&self.epoch, content, &mut rand::rng()).unwrap();
        self.senders[sender] = Some(chain);
        frame
    }

    fn decrypt(&mut self, frame: &Frame) -> Option<Vec<u8>> {
        self.reader.decrypt(&self.epoch, &frame.bytes).ok().map(|received| received.content)
    }

    fn catch_up(&mut self, queue: &[Frame]) -> Vec<Option<Vec<u8>>> {
        let frames: Vec<&[u8]> = queue.iter().map(|frame| frame.bytes.as_slice()).collect();
        let received = self.reader.decrypt_batch(&self.epoch, &frames);
        received.into_iter().map(|one| one.ok().map(|received| received.content)).collect()
    }
}
