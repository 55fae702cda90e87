//! Sending and receiving chains against a model that knows only numbers: which generations of which sender are used,
//! kept or given up (`docs/protocol.md`, section 6.2). No result, no error kind and no kept key may differ from it.

use std::collections::{BTreeMap, BTreeSet};

use arbitrary::{Arbitrary, Unstructured};
use convivio::ratchet::{EpochContext, OwnFrame, Received, ReceivingChain, ReceivingChains, SendingChain};
use convivio::{Epoch, ErrorKind, Generation, GroupId, LeafIndex, Result, Secret, SigningKey};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::{Seeds, by_hand, choice, noise};

const PER_SENDER: usize = 2_000;
const PER_GROUP: usize = 20_000;

#[derive(Arbitrary, Debug)]
enum Op {
    /// The sender says something of this length; the frame joins the pool.
    Send(u8, u16),
    /// The sender goes on by so many messages that nobody will see.
    Skip(u8, u16),
    Deliver(u8),
    Together(Vec<u8>),
    /// A frame of the pool with a bit flipped, which joins the pool.
    Spoil(u8, u16, u8),
    /// The reader is stored and read again.
    Restart,
    /// The reader forgets the sender's chain, or learns it anew from where the sender is.
    Forget(u8),
    Learn(u8),
    /// The sender looks at a frame of its own, or another's.
    Examine(u8, u8),
}

/// A frame, and what it is.
struct Sent {
    by: usize,
    generation: u32,
    content: Vec<u8>,
    spoiled: bool,
    frame: Vec<u8>,
}

/// What a reader must hold of one sender.
#[derive(Clone, Default)]
struct Window {
    next: u32,
    kept: BTreeSet<u32>,
}

struct Bench {
    context: EpochContext,
    senders: Vec<Option<SendingChain>>,
    reader: ReceivingChains,
    model: BTreeMap<usize, Window>,
    pool: Vec<Sent>,
    dice: StdRng,
}

pub fn run(data: &[u8]) {
    let mut u = Unstructured::new(data);
    let Ok(senders) = u.int_in_range(1..=12_usize) else { return };
    let mut bench = Bench::new(senders);
    for op in u.arbitrary_iter::<Op>().into_iter().flatten().flatten().take(96) {
        bench.step(&op);
        bench.compare();
    }
}

impl Bench {
    fn new(senders: usize) -> Self {
        let context =
            EpochContext::new(GroupId::from_bytes([7; 16]), Epoch(9), [3; 32], Secret::from_bytes(&mut [5; 32]));
        let senders = (0..senders)
            .map(|n| {
                let leaf = LeafIndex(u32::try_from(n).unwrap());
                Some(SendingChain::new(
                    leaf,
                    Secret::from_bytes(&mut [n as u8; 32]),
                    SigningKey::from_seed(&[n as u8; 32]),
                ))
            })
            .collect::<Vec<_>>();
        let mut bench = Self {
            context,
            senders,
            reader: ReceivingChains::new(),
            model: BTreeMap::new(),
            pool: Vec::new(),
            dice: StdRng::seed_from_u64(1),
        };
        (0..bench.senders.len()).for_each(|n| bench.learn(n));
        bench
    }

    fn step(&mut self, op: &Op) {
        let count = self.senders.len();
        match op {
            Op::Send(by, len) => self.send(usize::from(*by) % count, usize::from(*len) % 3_000),
            Op::Skip(by, by_how_much) => self.skip(usize::from(*by) % count, *by_how_much % 2_101),
            Op::Deliver(which) => self.deliver(&[*which]),
            Op::Together(which) => self.deliver(&which[..which.len().min(16)]),
            Op::Spoil(which, at, mask) if !self.pool.is_empty() => {
                let Sent { by, generation, content, frame, .. } = &self.pool[usize::from(*which) % self.pool.len()];
                let mut frame = frame.clone();
                let at = usize::from(*at) % frame.len();
                frame[at] ^= mask | 1;
                // Spoiled twice may be mended.
                let spoiled = !self.pool.iter().any(|sent| !sent.spoiled && sent.frame == frame);
                let sent = Sent { by: *by, generation: *generation, content: content.clone(), spoiled, frame };
                self.pool.push(sent);
            }
            Op::Restart => self.restart(),
            Op::Forget(by) => {
                let by = usize::from(*by) % count;
                self.reader.remove(leaf(by));
                self.model.remove(&by);
            }
            Op::Learn(by) => self.learn(usize::from(*by) % count),
            Op::Examine(by, which) if !self.pool.is_empty() => {
                self.examine(usize::from(*by) % count, usize::from(*which) % self.pool.len());
            }
            _ => {}
        }
    }

    fn sender(&self, by: usize) -> &SendingChain {
        self.senders[by].as_ref().unwrap()
    }

    fn learn(&mut self, by: usize) {
        let key = self.sender(by).sender_key();
        self.model.insert(by, Window { next: key.generation().0, kept: BTreeSet::new() });
        self.reader.insert(leaf(by), ReceivingChain::from_sender_key(key));
    }

    fn send(&mut self, by: usize, len: usize) {
        let content = vec![by as u8; len];
        let chain = self.senders[by].take().unwrap();
        let generation = chain.generation().0;
        let (frame, chain) = chain.encrypt(&self.context, &content, &mut self.dice).unwrap();
        assert_eq!(frame.len(), 125 + by_hand::pad(&content).len());
        self.senders[by] = Some(chain);
        self.pool.push(Sent { by, generation, content, spoiled: false, frame });
    }

    fn skip(&mut self, by: usize, count: u16) {
        let (leaf, Generation(generation), key, signing) = self.senders[by].take().unwrap().into_parts();
        let mut key = *key.expose();
        (0..count).for_each(|_| key = by_hand::chain_step(&key).1);
        let generation = Generation(generation + u32::from(count));
        self.senders[by] = Some(SendingChain::restore(leaf, generation, Secret::from_bytes(&mut key), signing));
    }

    fn deliver(&mut self, which: &[u8]) {
        if self.pool.is_empty() {
            return;
        }
        let sent: Vec<&Sent> = which.iter().map(|which| &self.pool[usize::from(*which) % self.pool.len()]).collect();
        let frames: Vec<&[u8]> = sent.iter().map(|sent| sent.frame.as_slice()).collect();
        let results = match &frames[..] {
            [one] => vec![self.reader.decrypt(&self.context, one)],
            many => self.reader.decrypt_batch(&self.context, many),
        };
        assert_eq!(results.len(), sent.len());
        for (sent, result) in sent.into_iter().zip(results) {
            expect(&mut self.model, sent, result);
        }
    }

    fn restart(&mut self) {
        let stored = std::mem::take(&mut self.reader);
        for (leaf, chain) in stored.iter() {
            let copy = |key: &Secret<32>| Secret::from_bytes(&mut key.expose().clone());
            let kept = chain.skipped().map(|(generation, key)| (generation, copy(key))).collect();
            let read = ReceivingChain::restore(copy(chain.chain_key()), chain.next(), kept, chain.key().clone());
            self.reader.insert(leaf, read.unwrap());
        }
    }

    fn examine(&self, by: usize, which: usize) {
        let (chain, sent) = (self.sender(by), &self.pool[which]);
        let found = chain.examine(&self.context, &sent.frame);
        match found {
            _ if sent.spoiled => assert!(!matches!(found, Ok(OwnFrame::Future(_))), "a spoiled frame passes for ours"),
            Err(error) => assert!(sent.by != by && error.kind() == ErrorKind::Misuse, "{error}"),
            Ok(found) => assert_eq!((found, sent.by), (OwnFrame::Past(Generation(sent.generation)), by)),
        }
    }

    /// What is held is what the model says.
    fn compare(&self) {
        let held: Vec<_> = self.reader.iter().map(|(leaf, _)| leaf).collect();
        assert_eq!(held, self.model.keys().map(|by| leaf(*by)).collect::<Vec<_>>());
        for (by, window) in &self.model {
            let chain = self.reader.get(leaf(*by)).unwrap();
            assert_eq!(chain.next().0, window.next, "sender {by}");
            assert!(chain.skipped().map(|(generation, _)| generation.0).eq(window.kept.iter().copied()), "sender {by}");
        }
        assert_eq!(self.reader.skipped_total(), kept(&self.model));
    }
}

fn leaf(n: usize) -> LeafIndex {
    LeafIndex(u32::try_from(n).unwrap())
}

fn kept(model: &BTreeMap<usize, Window>) -> usize {
    model.values().map(|window| window.kept.len()).sum()
}

/// What the next frame must come to, and what it leaves.
fn expect(model: &mut BTreeMap<usize, Window>, sent: &Sent, result: Result<Received>) {
    if sent.spoiled {
        assert!(result.is_err(), "a spoiled frame was taken");
        return;
    }
    let refused = |kind| assert_eq!(result.as_ref().unwrap_err().kind(), kind);
    let Some(window) = model.get_mut(&sent.by) else { return refused(ErrorKind::NotMember) };
    let (mut skipped, late) = (0..0, window.kept.remove(&sent.generation));
    if !late {
        let Some(distance) = sent.generation.checked_sub(window.next) else { return refused(ErrorKind::Duplicate) };
        if window.kept.len() + distance as usize > PER_SENDER {
            return refused(ErrorKind::Limit);
        }
        if distance > 0 {
            skipped = window.next..sent.generation;
        }
        window.kept.extend(skipped.clone());
        window.next = sent.generation + 1;
    }
    let mut evicted = Vec::new();
    while kept(model) > PER_GROUP {
        let most = model.values().map(|window| window.kept.len()).max().unwrap();
        let (by, window) = model.iter_mut().find(|(_, window)| window.kept.len() == most).unwrap();
        evicted.push((leaf(*by), Generation(window.kept.pop_first().unwrap())));
    }
    let received = result.unwrap();
    assert_eq!((received.leaf, received.generation.0), (leaf(sent.by), sent.generation));
    assert_eq!(received.content, sent.content);
    assert_eq!((received.step.skipped, received.step.took_skipped, received.step.evicted), (skipped, late, evicted));
}

pub fn seeds() -> Seeds {
    let mut seeds = noise(&[64, 300, 900]);
    seeds.push(("over_the_bound_of_a_group".to_owned(), full()));
    seeds
}

/// Twelve senders whose reader keeps two thousand keys of each, and then their late messages.
fn full() -> Vec<u8> {
    let mut seed = vec![11];
    let op = |seed: &mut Vec<u8>, variant: u64, fields: &[u8]| {
        seed.push(1);
        seed.extend(choice(variant, 9));
        seed.extend(fields);
    };
    for by in 0..12 {
        op(&mut seed, 0, &[by, 1, 0]);
        op(&mut seed, 1, &[by, 0xcf, 7]);
        op(&mut seed, 0, &[by, 1, 0]);
        op(&mut seed, 2, &[2 * by + 1]);
    }
    (0..12).for_each(|by| op(&mut seed, 2, &[2 * by]));
    seed
}
