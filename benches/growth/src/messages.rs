//! What a message costs, in groups of every size at once: the sizes take turns, so that whatever else the machine does
//! hits all of them alike.

use std::time::Duration;

use convivio::log::{EntryBody, LogEntry, PostBody, PostReply};
use convivio::ratchet::{EpochContext, ReceivingChain, ReceivingChains, SendingChain};
use convivio::{Epoch, GroupId, LeafIndex, Secret, SigningKey};
use ed25519_dalek::{Signer, Verifier};
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;

use crate::big_group::BigGroup;
use crate::cost::{measure, median};
use crate::rows::Rows;

/// Bytes of what is said.
const CONTENT: usize = 256;

/// Messages by which a sender's chain has left the page it shared, and every length has settled.
const FIRST: usize = 2;

/// What a message goes through: queued, encrypted, back as an echo, read by another.
const STEPS: [&str; 4] = ["send", "encrypt", "echo", "decrypt"];

/// One group and what was measured in it.
struct Lane<'g> {
    n: usize,
    group: &'g mut BigGroup,
    times: [Vec<Duration>; 4],
    written: [usize; 4],
    frames: usize,
}

/// Sends messages in each of the groups. Their bytes must be the same in all, or this fails.
pub(crate) fn through_clients(
    groups: &mut [(usize, BigGroup)],
    messages: usize,
    rows: &mut Rows,
) -> Result<(), String> {
    let new = |(n, group)| Lane { n, group, times: Default::default(), written: [0; 4], frames: 0 };
    let mut lanes: Vec<Lane<'_>> = groups.iter_mut().map(|(n, group)| new((*n, group))).collect();
    lanes.iter_mut().for_each(|lane| (0..FIRST).for_each(|_| lane.message()));
    for lane in &mut lanes {
        (lane.times, lane.written, lane.frames) = Default::default();
    }
    for _ in 0..messages {
        lanes.iter_mut().for_each(Lane::message);
    }
    for lane in &mut lanes {
        lane.report(messages, rows);
    }
    let bytes: Vec<_> = lanes.iter().map(|lane| (lane.n, lane.written, lane.frames)).collect();
    let flat = bytes.windows(2).all(|pair| matches!(pair, [a, b] if (a.1, a.2) == (b.1, b.2)));
    if flat { Ok(()) } else { Err(format!("a message's bytes depend on the members (n, written, frames): {bytes:?}")) }
}

impl Lane<'_> {
    fn message(&mut self) {
        let Self { group, times, written, frames, .. } = self;
        let BigGroup { id, founder, reader, .. } = &mut **group;
        let mut step = |at: usize, time: Duration, bytes: usize| {
            times[at].push(time);
            written[at] += bytes;
        };
        founder.store.take_written();
        reader.store.take_written();

        let (_, cost) = measure(|| founder.client.send(id, &[7; CONTENT]).unwrap());
        step(0, cost.time, founder.store.take_written());
        let (mut posts, cost) = measure(|| founder.client.outbox(1).unwrap());
        step(1, cost.time, founder.store.take_written());
        let post = posts.remove(0);
        founder.client.posted(&post, PostReply::Accepted).unwrap();

        let PostBody::Message(frame) = post.body else { panic!("not a message") };
        *frames += frame.len();
        let seq = founder.client.group(id).unwrap().next_entry();
        let entry = [LogEntry { group: *id, seq, body: EntryBody::Message(frame) }];
        let ((_, summary), cost) = measure(|| founder.client.receive(&entry).unwrap());
        assert_eq!(summary.echoes.len(), 1);
        step(2, cost.time, founder.store.take_written());
        let ((events, _), cost) = measure(|| reader.client.receive(&entry).unwrap());
        step(3, cost.time, reader.store.take_written());
        reader.client.ack(events[0].id).unwrap();
    }

    fn report(&mut self, messages: usize, rows: &mut Rows) {
        for ((step, times), written) in STEPS.iter().zip(&mut self.times).zip(self.written) {
            rows.time(step, "client", self.n, median(times));
            rows.bytes("written", step, self.n, written as f64 / messages as f64);
        }
        rows.bytes("frame", "client", self.n, self.frames as f64 / messages as f64);
    }
}

/// The ratchet alone, where each message comes from another of `n` senders, and beside it a signature alone.
pub(crate) struct Senders {
    n: usize,
    epoch: EpochContext,
    chains: Vec<Option<SendingChain>>,
    reader: ReceivingChains,
    keys: Vec<ed25519_dalek::SigningKey>,
    turn: usize,
    times: [Vec<Duration>; 4],
}

impl Senders {
    pub(crate) fn new(n: usize) -> Self {
        let mut reader = ReceivingChains::new();
        let chains = (0..n).map(|i| {
            let leaf = LeafIndex(u32::try_from(i).unwrap());
            let chain = SendingChain::new(leaf, Secret::generate(&mut rng()), SigningKey::generate(&mut rng()));
            reader.insert(leaf, ReceivingChain::from_sender_key(chain.sender_key()));
            Some(chain)
        });
        let chains = chains.collect();
        let keys = (0..n).map(|i| ed25519_dalek::SigningKey::from_bytes(&[i as u8; 32])).collect();
        let epoch = EpochContext::new(GroupId::from_bytes([1; 16]), Epoch(1), [1; 32], Secret::generate(&mut rng()));
        Self { n, epoch, chains, reader, keys, turn: 0, times: Default::default() }
    }

    fn message(&mut self) {
        // Far apart, so that what one message brought into the caches does not help the next.
        self.turn = (self.turn + 7_919) % self.n;
        let chain = self.chains[self.turn].take().unwrap();
        let (sent, encrypt) = measure(|| chain.encrypt(&self.epoch, &[7; CONTENT], &mut rng()).unwrap());
        self.chains[self.turn] = Some(sent.1);
        let (read, decrypt) = measure(|| self.reader.decrypt(&self.epoch, &sent.0).unwrap());
        assert_eq!(read.content.len(), CONTENT);

        let (key, digest) = (&self.keys[self.turn], [self.times[0].len() as u8; 32]);
        let (signature, sign) = measure(|| key.sign(&digest));
        let (valid, verify) = measure(|| key.verifying_key().verify(&digest, &signature));
        assert!(valid.is_ok());
        for (times, cost) in self.times.iter_mut().zip([encrypt, decrypt, sign, verify]) {
            times.push(cost.time);
        }
    }

    /// The sizes take turns here, too.
    pub(crate) fn measure(all: &mut [Self], messages: usize, rows: &mut Rows) {
        for _ in 0..messages {
            all.iter_mut().for_each(Self::message);
        }
        for one in all {
            let [encrypt, decrypt, sign, verify] = one.times.each_mut().map(|times| median(times));
            rows.time("encrypt", "ratchet", one.n, encrypt);
            rows.time("decrypt", "ratchet", one.n, decrypt);
            rows.time("sign", "ed25519-dalek", one.n, sign);
            rows.time("verify", "ed25519-dalek", one.n, verify);
        }
    }
}

fn rng() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}
