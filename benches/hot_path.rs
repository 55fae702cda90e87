//! What every message costs, and sealing to many. `cargo bench --bench hot_path`.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "a bench reports to people")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use convivio::envelope::{Draft, Envelope, EnvelopeType, Opener, Recipient, open};
use convivio::ratchet::{EpochContext, ReceivingChain, ReceivingChains, SendingChain};
use convivio::{Epoch, GroupId, InitKey, InitSecret, LeafIndex, SealSecret, Secret, SigningKey, Suite};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use ed25519_dalek::Signer as _;
use rand::SeedableRng;
use rand::rand_core::UnwrapErr;
use rand::rngs::{StdRng, SysRng};

const SIZES: [usize; 4] = [32, 256, 1_024, 16 * 1_024];
const BATCH: usize = 64;
/// A backlog.
const MANY: usize = 1_000;
const RECIPIENTS: [usize; 3] = [1, 100, 1_000];
/// Bytes of what is sealed.
const PAYLOAD: [u8; 256] = [7; 256];

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20)
        .configure_from_args();
    print_sizes();
    print_ratio();
    messages(&mut criterion);
    orders(&mut criterion);
    envelopes(&mut criterion);
    criterion.final_summary();
}

fn rng() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

fn epoch() -> EpochContext {
    EpochContext::new(GroupId::from_bytes([1; 16]), Epoch(1), [1; 32], Secret::from_bytes(&mut [1; 32]))
}

fn print_sizes() {
    println!("\n| content, bytes | frame, bytes |\n|---|---|");
    for size in SIZES {
        let (frame, _) = Senders::new(1).chain(0).encrypt(&epoch(), &vec![7; size], &mut rng()).unwrap();
        println!("| {size} | {} |", frame.len());
    }
    println!(
        "\n| recipients of 256 bytes | X25519: all bytes | each | X-Wing: all bytes | each |\n|---|---|---|---|---|"
    );
    for count in RECIPIENTS {
        let audience = Audience::new(count);
        let [x25519, xwing] = [false, true].map(|quantum| {
            let envelope = audience.seal(quantum);
            let part = envelope.split(&id(0)).unwrap();
            format!("{} | {}", envelope.to_bytes().len(), part.to_bytes().len())
        });
        println!("| {count} | {x25519} | {xwing} |");
    }
    println!();
}

/// What a message costs over the one signature that it cannot do without. Measured in turn and the best of each taken,
/// so that it is the same on a busy machine.
fn print_ratio() {
    let (epoch, key) = (epoch(), ed25519_dalek::SigningKey::from_bytes(&[1; 32]));
    let (mut chain, mut out) = (Some(Senders::new(1).chain(0)), Vec::new());
    let mut rng = StdRng::seed_from_u64(1);
    let [mut sign, mut encrypt] = [Duration::MAX; 2];
    for _ in 0..2_000 {
        let start = Instant::now();
        for _ in 0..10 {
            black_box(key.sign(&black_box([7; 47])));
        }
        sign = sign.min(start.elapsed() / 10);
        let start = Instant::now();
        for _ in 0..10 {
            out.clear();
            chain = chain.take().unwrap().encrypt_into(&epoch, &[7; 256], &mut rng, &mut out).ok();
        }
        encrypt = encrypt.min(start.elapsed() / 10);
    }
    let ratio = encrypt.as_secs_f64() / sign.as_secs_f64();
    println!("\nto encrypt 256 bytes {encrypt:?}, a signature of ed25519-dalek {sign:?}: {ratio:.2} times");
}

/// Senders who write in turn, and one who reads them.
struct Senders {
    chains: Vec<Option<SendingChain>>,
    turn: usize,
    reader: ReceivingChains,
}

impl Senders {
    fn new(count: usize) -> Self {
        let mut reader = ReceivingChains::new();
        let chains = (0..count).map(|i| {
            let leaf = LeafIndex(u32::try_from(i).unwrap());
            let chain = SendingChain::new(leaf, Secret::generate(&mut rng()), SigningKey::generate(&mut rng()));
            reader.insert(leaf, ReceivingChain::from_sender_key(chain.sender_key()));
            Some(chain)
        });
        Self { chains: chains.collect(), turn: 0, reader }
    }

    fn chain(&mut self, i: usize) -> SendingChain {
        self.chains.get_mut(i).unwrap().take().unwrap()
    }

    fn frames(&mut self, epoch: &EpochContext, content: &[u8], count: usize) -> Vec<Vec<u8>> {
        let next = |_| {
            let at = self.turn;
            self.turn = (at + 1) % self.chains.len();
            let (frame, chain) = self.chain(at).encrypt(epoch, content, &mut rng()).unwrap();
            *self.chains.get_mut(at).unwrap() = Some(chain);
            frame
        };
        (0..count).map(next).collect()
    }
}

fn messages(criterion: &mut Criterion) {
    let epoch = epoch();
    let mut group = criterion.benchmark_group("message");
    // What no message can do without, to compare with.
    group.bench_function("a signature of ed25519-dalek", |b| {
        let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
        b.iter(|| key.sign(&[7; 47]));
    });
    for size in SIZES {
        let content = vec![7; size];
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("encrypt", size), |b| {
            let mut chain = Some(Senders::new(1).chain(0));
            b.iter(|| {
                let (frame, next) = chain.take().unwrap().encrypt(&epoch, &content, &mut rng()).unwrap();
                chain = Some(next);
                frame
            });
        });
        group.bench_function(BenchmarkId::new("encrypt into a buffer", size), |b| {
            let (mut chain, mut out) = (Some(Senders::new(1).chain(0)), Vec::new());
            b.iter(|| {
                out.clear();
                chain = chain.take().unwrap().encrypt_into(&epoch, &content, &mut rng(), &mut out).ok();
                out.len()
            });
        });
        group.bench_function(BenchmarkId::new("decrypt", size), |b| {
            let mut senders = Senders::new(1);
            b.iter_custom(|iterations| {
                let mut spent = Duration::ZERO;
                for frame in senders.frames(&epoch, &content, iterations.try_into().unwrap()) {
                    let start = Instant::now();
                    senders.reader.decrypt(&epoch, &frame).unwrap();
                    spent += start.elapsed();
                }
                spent
            });
        });
        group.throughput(Throughput::Elements(BATCH as u64));
        group.bench_function(BenchmarkId::new("encrypt 64", size), |b| {
            let mut senders = Senders::new(1);
            b.iter(|| senders.frames(&epoch, &content, BATCH));
        });
        for (count, name) in [(1, "one sender"), (8, "eight senders"), (20, "twenty senders")] {
            let name = format!("decrypt 64 of {name}");
            group.bench_function(BenchmarkId::new(name, size), |b| {
                let mut senders = Senders::new(count);
                b.iter_custom(|iterations| timed(&mut senders, iterations, &epoch, &content, BATCH));
            });
        }
    }
    group.finish();
}

/// A thousand messages of one sender and of twenty, in the order they were sent and the other way round.
fn orders(criterion: &mut Criterion) {
    let (epoch, content) = (epoch(), [7; 256]);
    let mut group = criterion.benchmark_group("a thousand messages");
    group.sample_size(10).throughput(Throughput::Elements(MANY as u64));
    for (count, whose) in [(1, "one sender"), (20, "twenty senders")] {
        for reversed in [false, true] {
            let order = if reversed { "in reverse" } else { "in order" };
            let setup = || {
                let mut senders = Senders::new(count);
                let mut frames = senders.frames(&epoch, &content, MANY);
                if reversed {
                    frames.reverse();
                }
                (senders.reader, frames)
            };
            group.bench_function(format!("{whose}, one by one, {order}"), |b| {
                b.iter_batched(
                    setup,
                    |(mut reader, frames)| {
                        frames.iter().for_each(|frame| drop(reader.decrypt(&epoch, frame).unwrap()));
                        (reader, frames)
                    },
                    BatchSize::PerIteration,
                );
            });
            group.bench_function(format!("{whose}, at once, {order}"), |b| {
                b.iter_batched(
                    setup,
                    |(mut reader, frames)| {
                        let all: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
                        assert!(reader.decrypt_batch(&epoch, &all).iter().all(Result::is_ok));
                        (reader, frames)
                    },
                    BatchSize::PerIteration,
                );
            });
        }
    }
    group.finish();
}

/// The time to decrypt `iterations` batches, without the time to encrypt them.
fn timed(senders: &mut Senders, iterations: u64, epoch: &EpochContext, content: &[u8], batch: usize) -> Duration {
    let mut spent = Duration::ZERO;
    for _ in 0..iterations {
        let frames = senders.frames(epoch, content, batch);
        let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
        let start = Instant::now();
        let results = senders.reader.decrypt_batch(epoch, &frames);
        spent += start.elapsed();
        assert!(results.iter().all(Result::is_ok));
    }
    spent
}

/// Recipients of both kinds.
struct Audience {
    sender: SigningKey,
    seal: Vec<SealSecret>,
    init: InitSecret,
    init_keys: Vec<InitKey>,
}

impl Audience {
    fn new(count: usize) -> Self {
        let init = InitSecret::generate(&mut rng());
        Self {
            sender: SigningKey::generate(&mut rng()),
            seal: (0..count).map(|_| SealSecret::generate(&mut rng())).collect(),
            // Generating lattice keys is not what is measured, and all keys cost the same: everyone has one.
            init_keys: vec![init.public(); count],
            init,
        }
    }

    fn seal(&self, quantum: bool) -> Envelope {
        let kind = if quantum { EnvelopeType::Welcome } else { EnvelopeType::Commit };
        let recipients: Vec<Recipient<'_>> = if quantum {
            let keys = self.init_keys.iter().enumerate();
            keys.map(|(i, key)| Recipient::XWing { id: id(i), key }).collect()
        } else {
            let keys = self.seal.iter().enumerate();
            keys.map(|(i, secret)| Recipient::X25519 { id: id(i), key: secret.public() }).collect()
        };
        let draft = Draft::new(kind, Suite::One, Vec::new(), &mut rng()).unwrap();
        let tail: &[u8] = if quantum { &[] } else { &[0; 32] };
        draft.sign(vec![1], None, &PAYLOAD, &self.sender).unwrap().seal(&recipients, tail).unwrap()
    }
}

fn id(i: usize) -> Vec<u8> {
    u32::try_from(i).unwrap().to_be_bytes().to_vec()
}

fn envelopes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("envelope");
    group.sample_size(10).measurement_time(Duration::from_secs(1));
    for count in RECIPIENTS {
        let audience = Audience::new(count);
        for (quantum, name) in [(false, "X25519"), (true, "X-Wing")] {
            group.throughput(Throughput::Elements(count as u64));
            group.bench_function(BenchmarkId::new(format!("seal, {name}"), count), |b| {
                b.iter(|| audience.seal(quantum))
            });
            group.throughput(Throughput::Elements(1));
            let part = audience.seal(quantum).split(&id(0)).unwrap();
            let kind = if quantum { EnvelopeType::Welcome } else { EnvelopeType::Commit };
            let opener = if quantum {
                Opener::XWing { secret: &audience.init, public: audience.init_keys.first() }
            } else {
                Opener::X25519(audience.seal.first().unwrap())
            };
            group.bench_function(BenchmarkId::new(format!("open, {name}"), count), |b| {
                b.iter_batched(
                    || part.clone(),
                    |part| open(&part, kind, opener, &id(0)).unwrap().verify(audience.sender.verify_key()).unwrap(),
                    BatchSize::SmallInput,
                );
            });
        }
    }
    group.finish();
}
