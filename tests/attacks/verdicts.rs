//! Row 31: signatures verified together and one by one, honest ones, torsioned ones and forged ones: always one verdict. Two
//! readers who verify in different ways would fork the group.

use convivio::identity::{Leaf, TrustedApps, UnverifiedLeaf, verify_all};
use convivio::log::{EntryBody, LogEntry};
use convivio::ratchet::{ReceivingChain, ReceivingChains};
use convivio::{LeafIndex, Secret, VerifyKey};
use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::kit::cbor::{array, public, sign, signature_input};
use crate::kit::envelope::pad;
use crate::kit::leaf::LeafPlan;
use crate::kit::ratchet::{Place, app_message};
use crate::kit::{Insider, Thief, Value};
use crate::support::*;
use crate::witness::{Pair, lasting, moved, under_key, with_torsion};

/// How a signature is made.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Made {
    Honest,
    /// By the holder of the key, with R moved by a point of small order: valid.
    Torsioned(usize),
    /// An honest one, moved by a stranger.
    Moved(usize),
    /// Under another key.
    Forged,
    /// One bit of S is wrong.
    Flipped,
    /// S + ℓ, which the equation would accept.
    AboveTheOrder,
}

const MADE: [Made; 12] = [
    Made::Honest,
    Made::Honest,
    Made::Honest,
    Made::Torsioned(1),
    Made::Torsioned(2),
    Made::Torsioned(4),
    Made::Torsioned(7),
    Made::Moved(1),
    Made::Moved(4),
    Made::Forged,
    Made::Flipped,
    Made::AboveTheOrder,
];

const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

impl Made {
    const fn valid(self) -> bool {
        matches!(self, Self::Honest | Self::Torsioned(_))
    }

    fn sign(self, seed: &[u8; 32], label: &str, fields: &Value) -> [u8; 64] {
        let mut honest = sign(seed, label, fields);
        match self {
            Self::Honest => honest,
            Self::Torsioned(at) => with_torsion(seed, label, fields, EIGHT_TORSION[at]),
            Self::Moved(at) => moved(honest, EIGHT_TORSION[at]),
            Self::Forged => sign(&[66; 32], label, fields),
            Self::Flipped => {
                honest[40] ^= 1;
                honest
            }
            Self::AboveTheOrder => {
                let mut carry = 0;
                for (byte, order) in honest[32..].iter_mut().zip(ORDER) {
                    let sum = u16::from(*byte) + u16::from(order) + carry;
                    (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
                }
                honest
            }
        }
    }
}

/// A frame of the insider's own, at this place, its signature made so.
fn frame(insider: &Insider, generation: u32, made: Made) -> Vec<u8> {
    signed_frame(insider, generation, |fields| made.sign(&insider.keys.signing, "sign message", fields))
}

fn signed_frame(insider: &Insider, generation: u32, sign: impl Fn(&Value) -> [u8; 64]) -> Vec<u8> {
    let (epoch, at) = (insider.epoch(), Place { leaf: insider.own(), generation });
    let mut nonce = [0; 16];
    nonce[..4].copy_from_slice(&generation.to_be_bytes());
    let padded = pad(&app_message(&insider.seen, nonce, format!("{generation}").as_bytes()));
    let salt = core::array::from_fn(|_| 7);
    let signature = sign(&epoch.signed(at, &salt, &padded));
    let key = insider.message_key(at).unwrap();
    epoch.encrypt(at, (&key, salt), &[padded, signature.to_vec()].concat())
}

/// The chains of a reader who holds these senders'.
fn chains(of: &Insider, keys: &[(u32, VerifyKey)]) -> ReceivingChains {
    let mut chains = ReceivingChains::new();
    for (leaf, key) in keys {
        let chain_key = Secret::from_bytes(&mut of.chains[leaf].1.clone());
        chains.insert(LeafIndex(*leaf), ReceivingChain::new(chain_key, key.clone()));
    }
    chains
}

/// Everything that a reader's chains hold: of each sender the next generation, its chain key, and the kept keys.
type Contents = Vec<(u32, u32, [u8; 32], Vec<(u32, [u8; 32])>)>;

fn contents(chains: &ReceivingChains) -> Contents {
    let skipped = |chain: &ReceivingChain| {
        chain.skipped().map(|(generation, key)| (generation.0, *key.expose())).collect::<Vec<_>>()
    };
    chains.iter().map(|(leaf, chain)| (leaf.0, chain.next().0, *chain.chain_key().expose(), skipped(chain))).collect()
}

#[test]
fn row_31_messages_are_judged_together_as_they_are_one_by_one() {
    let pair = Pair::new();
    let senders = [pair.insider_maria(), pair.insider_bob()];
    let group = senders[0].group();
    let keys: Vec<(u32, VerifyKey)> =
        group.state().leaves().map(|(leaf, of)| (leaf.0, of.signature_key().clone())).collect();
    let mut rng = StdRng::seed_from_u64(31);
    for round in 0..24_u32 {
        // Sizes around those at which a batch is split, and each kind alone and among others.
        let count = [1, 2, 3, 12, 40, 300][(round % 6) as usize];
        let mut frames = Vec::new();
        let mut next = [0_u32; 2];
        for _ in 0..count {
            let from = rng.random_range(0..2);
            let made =
                if round < 12 { MADE[(round as usize) % MADE.len()] } else { MADE[rng.random_range(0..MADE.len())] };
            let skip = rng.random_range(0..2);
            next[from] += skip;
            frames.push((frame(&senders[from], next[from], made), made));
            next[from] += 1;
        }
        let bytes: Vec<&[u8]> = frames.iter().map(|(frame, _)| frame.as_slice()).collect();
        let (mut together, mut single) = (chains(&senders[0], &keys), chains(&senders[0], &keys));
        let batch: Vec<_> = together.decrypt_batch(group.context(), &bytes);
        for ((frame, made), in_batch) in frames.iter().zip(batch) {
            let alone = single.decrypt(group.context(), frame).map_err(|error| error.kind());
            let in_batch = in_batch.map_err(|error| error.kind());
            assert_eq!(alone.is_ok(), made.valid(), "{made:?}");
            assert_eq!(in_batch, alone, "{made:?}");
        }
        assert_eq!(contents(&together), contents(&single));
    }
}

/// A client that reads the log in one piece holds, record for record, what one that reads it entry by entry holds.
#[test]
fn row_31_a_client_that_reads_all_at_once_holds_what_one_that_reads_each_alone_holds() {
    let Pair { mut world, maria, bob, group, .. } = Pair::new();
    let insider = Insider::of(&maria, &group);
    let next = { &bob }.disk.copy();
    let mut both = [world.device("one"), world.device("two")];
    for device in &mut both {
        device.open(next.copy());
        device.news();
    }
    let start = both[0].client.group(&group).unwrap().next_entry();
    let entries: Vec<LogEntry> = (0..60)
        .map(|at| {
            let body = EntryBody::Message(frame(&insider, at, MADE[at as usize % MADE.len()]));
            LogEntry { group, seq: start + u64::from(at), body }
        })
        .collect();
    both[0].receive(&entries);
    entries.iter().for_each(|entry| drop(both[1].receive(core::slice::from_ref(entry))));
    assert_eq!(lasting(&both[0]), lasting(&both[1]));
    let valid = (0..60).filter(|at| MADE[*at as usize % MADE.len()].valid()).map(|at: u32| at.to_string());
    let valid: Vec<String> = valid.collect();
    for device in &both {
        let heard: Vec<String> = device.heard().into_iter().map(|(_, text)| text).collect();
        assert_eq!(heard, valid);
    }
}

#[test]
fn row_31_leaves_are_judged_together_as_they_are_one_by_one() {
    let mut world = World::new();
    let mut devices: Vec<Device> = (0..6).map(|at| world.device(&format!("user{at}"))).collect();
    let trust = convivio::testing::App::trust(&[&world.photos]).unwrap();
    let leaves: Vec<(Vec<u8>, [u8; 32])> = devices
        .iter_mut()
        .map(|device| (device.package().leaf().to_bytes(), Thief::of(device).device().1.unwrap()))
        .collect();
    let mut rng = StdRng::seed_from_u64(5);
    for round in 0..60 {
        let one = |made: Made, at: usize| {
            let (leaf, device) = &leaves[at];
            let body = LeafPlan::like(leaf).body();
            let signature = made.sign(device, "sign leaf", &array![body.as_slice()]);
            let mut leaf = Value::decode(leaf);
            *leaf.item(1) = signature.into();
            UnverifiedLeaf::from_bytes(&leaf.encode()).unwrap()
        };
        // Mostly good ones, so that many batches are.
        let made: Vec<Made> = (0..leaves.len())
            .map(|_| if round % 2 == 0 { MADE[rng.random_range(0..7)] } else { MADE[rng.random_range(0..MADE.len())] })
            .collect();
        let all: Vec<UnverifiedLeaf> = made.iter().zip(0..).map(|(made, at)| one(*made, at)).collect();
        let alone: Vec<_> = all.iter().map(|leaf| leaf.clone().verify(&trust, Some(START))).collect();
        for (verdict, made) in alone.iter().zip(&made) {
            assert_eq!(verdict.is_ok(), made.valid(), "{made:?}");
        }
        let together = batch(all, &trust);
        assert_eq!(together.is_ok(), made.iter().all(|made| made.valid()), "{made:?}");
    }
}

fn batch(leaves: Vec<UnverifiedLeaf>, trust: &TrustedApps) -> convivio::Result<Vec<Leaf>> {
    verify_all(leaves.into_iter().map(|leaf| (leaf, None)).collect(), trust, Some(START))
}

/// A key that is a sum of a good point and one of small order is a key like another: what its holder signs is valid in both,
/// with R moved or not.
#[test]
fn row_31_a_key_of_mixed_order_verifies_alike_in_both() {
    let pair = Pair::new();
    let insider = pair.insider_maria();
    let (group, seed) = (insider.group(), insider.keys.signing);
    let honest: EdwardsPoint = CompressedEdwardsY(public(&seed)).decompress().unwrap();
    for torsion in &EIGHT_TORSION[1..] {
        let mixed = (honest + torsion).compress().to_bytes();
        let by_holder = |at: u32| {
            let moved = EIGHT_TORSION[at as usize % 8];
            signed_frame(&insider, at, |fields| {
                under_key((&seed, &mixed), &signature_input("sign message", fields), moved)
            })
        };
        // Every fifth is signed for the good key and so not for this one.
        let frame = |at: u32| if at % 5 == 4 { frame(&insider, at, Made::Honest) } else { by_holder(at) };
        let frames: Vec<Vec<u8>> = (0..25).map(frame).collect();
        let bytes: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
        let keys = [(0, VerifyKey::from_bytes(mixed).unwrap())];
        for few in [bytes.as_slice(), &bytes[..4]] {
            let (mut together, mut single) = (chains(&insider, &keys), chains(&insider, &keys));
            let batch = together.decrypt_batch(group.context(), few);
            for ((frame, in_batch), at) in few.iter().zip(batch).zip(0..) {
                let alone = single.decrypt(group.context(), frame).map_err(|error| error.kind());
                assert_eq!(alone.is_ok(), at % 5 != 4);
                assert_eq!(in_batch.map_err(|error| error.kind()), alone);
            }
            assert_eq!(contents(&together), contents(&single));
        }
    }
}
