//! The ratchet from outside: what arrives, in whatever order and from whomever, and what it does to the reader.

use std::collections::{BTreeMap, BTreeSet};

use convivio::limits::{MESSAGE_CONTENT, SKIPPED_PER_GROUP, SKIPPED_PER_SENDER};
use convivio::ratchet::{
    EpochContext, Frame, OwnFrame, Received, ReceivingChain, ReceivingChains, SenderKey, SendingChain,
};
use convivio::{Epoch, Error, ErrorKind, Generation, GroupId, LeafIndex, Result, Secret, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use sha2::Sha256;

fn rng() -> StdRng {
    StdRng::seed_from_u64(1)
}

fn secret(byte: u8) -> Secret<32> {
    Secret::from_bytes(&mut [byte; 32])
}

fn epoch_with(group: u8, epoch: u64, context: u8, header_key: u8) -> EpochContext {
    EpochContext::new(GroupId::from_bytes([group; 16]), Epoch(epoch), [context; 32], secret(header_key))
}

fn epoch() -> EpochContext {
    epoch_with(1, 1, 1, 1)
}

/// The sender at `leaf`, always the same one.
fn sender(leaf: u8) -> SendingChain {
    SendingChain::new(LeafIndex(leaf.into()), secret(leaf), SigningKey::from_seed(&[leaf; 32]))
}

/// The sender at `leaf` after `steps` messages that nobody saw, by a chain step of this file's own.
fn sender_after(leaf: u8, steps: u32) -> SendingChain {
    let (leaf, _, chain_key, signing) = sender(leaf).into_parts();
    let mut key = *chain_key.expose();
    for _ in 0..steps {
        let mac = Hmac::<Sha256>::new_from_slice(&key).unwrap().chain_update([2]);
        key = mac.finalize().into_bytes().into();
    }
    SendingChain::restore(leaf, Generation(steps), Secret::from_bytes(&mut key), signing)
}

/// The sender's chain in the hands of someone else: everything but the signing key.
fn forger(real: SendingChain) -> SendingChain {
    let (leaf, generation, chain_key, _) = real.into_parts();
    SendingChain::restore(leaf, generation, chain_key, SigningKey::from_seed(&[0xff; 32]))
}

fn reader(leaves: impl IntoIterator<Item = u8>) -> ReceivingChains {
    let mut chains = ReceivingChains::new();
    for leaf in leaves {
        let chain = ReceivingChain::from_sender_key(sender(leaf).sender_key());
        assert!(chains.insert(LeafIndex(leaf.into()), chain).is_none());
    }
    chains
}

fn send(chain: SendingChain, content: &[u8]) -> (Vec<u8>, SendingChain) {
    chain.encrypt(&epoch(), content, &mut rng()).unwrap()
}

/// `count` messages of the sender, each saying its generation.
fn frames(mut chain: SendingChain, count: usize) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for _ in 0..count {
        let content = chain.generation().to_string();
        let (frame, next) = send(chain, content.as_bytes());
        frames.push(frame);
        chain = next;
    }
    frames
}

/// Everything a reader holds, for comparison.
type State = (usize, BTreeMap<u32, ([u8; 32], u32, BTreeMap<u32, [u8; 32]>)>);

fn state(chains: &ReceivingChains) -> State {
    let all = chains.iter().map(|(leaf, chain)| {
        let skipped = chain.skipped().map(|(generation, key)| (generation.0, *key.expose())).collect();
        (leaf.0, (*chain.chain_key().expose(), chain.next().0, skipped))
    });
    (chains.skipped_total(), all.collect())
}

fn refused(chains: &mut ReceivingChains, frame: &[u8]) -> ErrorKind {
    refused_in(&epoch(), chains, frame)
}

fn refused_in(epoch: &EpochContext, chains: &mut ReceivingChains, frame: &[u8]) -> ErrorKind {
    let before = state(chains);
    let error = chains.decrypt(epoch, frame).unwrap_err();
    assert!(before == state(chains), "a failure must leave the state as it was: {error}");
    let in_place = chains.decrypt_in_place(epoch, frame.to_vec()).unwrap_err();
    assert!(before == state(chains) && in_place.kind() == error.kind(), "in place: {in_place}");
    error.kind()
}

#[test]
fn messages_in_order_move_the_chain_and_keep_nothing() {
    let mut reader = reader([1]);
    for (n, frame) in frames(sender(1), 5).iter().enumerate() {
        let got = reader.decrypt(&epoch(), frame).unwrap();
        assert_eq!((got.leaf, got.generation), (LeafIndex(1), Generation(n as u32)));
        assert_eq!(got.content, n.to_string().as_bytes());
        assert!(got.step.skipped.is_empty() && !got.step.took_skipped && got.step.evicted.is_empty());
    }
    let chain = reader.get(LeafIndex(1)).unwrap();
    assert_eq!(chain.chain_key().expose(), sender_after(1, 5).chain_key().expose());
    assert_eq!((chain.next(), reader.skipped_total()), (Generation(5), 0));
}

#[test]
fn a_frame_is_125_bytes_longer_than_its_padded_content_and_of_few_lengths() {
    for (content, padded) in [(0, 1), (10, 12), (20, 22), (100, 104), (256, 272), (MESSAGE_CONTENT, 67_584)] {
        let (frame, _) = send(sender(1), &vec![7; content]);
        assert_eq!(frame.len(), 125 + padded);
        assert_eq!(reader([1]).decrypt(&epoch(), &frame).unwrap().content.len(), content);
    }
}

#[test]
fn late_messages_are_read_once_and_their_keys_erased() {
    let frames = frames(sender(1), 4);
    let mut reader = reader([1]);
    let last = reader.decrypt(&epoch(), &frames[3]).unwrap();
    assert_eq!(last.step.skipped, 0..3);
    assert_eq!(reader.get(LeafIndex(1)).unwrap().skipped().len(), 3);

    let late = reader.decrypt(&epoch(), &frames[1]).unwrap();
    assert!(late.step.took_skipped && late.step.skipped.is_empty());
    assert!(reader.get(LeafIndex(1)).unwrap().skipped_key(Generation(1)).is_none());
    assert_eq!(refused(&mut reader, &frames[1]), ErrorKind::Duplicate);
    assert_eq!(refused(&mut reader, &frames[3]), ErrorKind::Duplicate);
    assert_eq!(reader.decrypt(&epoch(), &frames[0]).unwrap().content, b"0");
    assert_eq!(reader.decrypt(&epoch(), &frames[2]).unwrap().content, b"2");
    assert_eq!(reader.skipped_total(), 0);
}

#[test]
fn a_thousand_messages_in_reverse_order() {
    let frames = frames(sender(1), 1_000);
    let backwards: Vec<&[u8]> = frames.iter().rev().map(Vec::as_slice).collect();
    let mut reader = reader([1]);
    for (result, n) in reader.decrypt_batch(&epoch(), &backwards).into_iter().zip((0..1_000).rev()) {
        assert_eq!(result.unwrap().content, n.to_string().as_bytes());
    }
    assert_eq!((reader.skipped_total(), reader.get(LeafIndex(1)).unwrap().next()), (0, Generation(1_000)));
}

#[test]
fn the_bound_per_sender_is_exact_and_holds_for_what_is_kept() {
    let too_far = frames(sender_after(1, SKIPPED_PER_SENDER + 1), 1);
    assert_eq!(refused(&mut reader([1]), &too_far[0]), ErrorKind::Limit);

    let far = frames(sender_after(1, SKIPPED_PER_SENDER), 4);
    let mut reader = reader([1]);
    assert_eq!(reader.decrypt(&epoch(), &far[0]).unwrap().step.skipped, 0..SKIPPED_PER_SENDER);
    assert_eq!(refused(&mut reader, &far[2]), ErrorKind::Limit, "one more would have to be kept");
    reader.decrypt(&epoch(), &far[1]).unwrap();
    let early = frames(sender(1), 1);
    assert!(reader.decrypt(&epoch(), &early[0]).unwrap().step.took_skipped);
    assert_eq!(reader.decrypt(&epoch(), &far[3]).unwrap().step.skipped, 2_002..2_003, "there is room for one again");
}

#[test]
fn whoever_holds_most_loses_the_oldest() {
    let full = (SKIPPED_PER_GROUP / SKIPPED_PER_SENDER as usize) as u8;
    let jump = |leaf| frames(sender_after(leaf, SKIPPED_PER_SENDER), 1).remove(0);
    let mut all: Vec<_> = (0..=full).map(jump).collect();
    // After the bound was reached: a key that was given up, one that was not, and one more jump.
    all.push(frames(sender(0), 1).remove(0));
    all.push(frames(sender_after(0, 1_999), 1).remove(0));
    all.push(jump(full + 1));
    let all: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();

    let (mut singly, mut batched) = (reader(0..=full + 1), reader(0..=full + 1));
    let results: Vec<_> = all.iter().map(|frame| singly.decrypt(&epoch(), frame)).collect();
    let same = batched.decrypt_batch(&epoch(), &all);
    assert!(results.iter().zip(&same).all(|(a, b)| alike(a, b)));
    assert!(state(&singly) == state(&batched));

    let evicted = &results[usize::from(full)].as_ref().unwrap().step.evicted;
    assert_eq!(evicted.len(), SKIPPED_PER_SENDER as usize);
    assert_eq!(evicted[0], (LeafIndex(0), Generation(0)));
    assert_eq!(evicted[1], (LeafIndex(1), Generation(0)));
    assert_eq!(evicted[usize::from(full) + 1], (LeafIndex(0), Generation(1)));
    assert_eq!(results[usize::from(full) + 1].as_ref().unwrap_err().kind(), ErrorKind::Duplicate);
    assert!(results[usize::from(full) + 2].as_ref().unwrap().step.took_skipped);
    assert_eq!(singly.skipped_total(), SKIPPED_PER_GROUP);
    let held: Vec<_> = singly.iter().map(|(_, chain)| chain.skipped().len()).collect();
    assert_eq!(held.iter().sum::<usize>(), SKIPPED_PER_GROUP);
    assert!(held.iter().max().unwrap() - held.iter().min().unwrap() <= 1);
}

#[test]
fn any_changed_byte_is_refused_without_effect() {
    let (_, chain) = send(sender(1), b"seen before");
    let (good, _) = send(chain, b"do not touch");
    let mut reader = reader([1, 2]);
    for at in 0..good.len() {
        for flip in [0x01, 0x80] {
            let mut bad = good.clone();
            bad[at] ^= flip;
            refused(&mut reader, &bad);
        }
    }
    for len in 0..good.len() {
        refused(&mut reader, &good[..len]);
    }
    refused(&mut reader, &[&good[..], &[0]].concat());
    assert_eq!(refused(&mut reader, &vec![0x11; 125 + 67_585]), ErrorKind::Limit);
    assert_eq!(refused(&mut reader, &good[..125]), ErrorKind::Malformed);
    assert_eq!(reader.decrypt(&epoch(), &good).unwrap().content, b"do not touch");
}

#[test]
fn another_group_epoch_context_or_header_key_does_not_open() {
    let (frame, _) = send(sender(1), b"here and now");
    let mut reader = reader([1]);
    for other in [epoch_with(2, 1, 1, 1), epoch_with(1, 2, 1, 1), epoch_with(1, 1, 2, 1)] {
        assert_eq!(refused_in(&other, &mut reader, &frame), ErrorKind::Unauthentic);
    }
    refused_in(&epoch_with(1, 1, 1, 2), &mut reader, &frame);
    reader.decrypt(&epoch(), &frame).unwrap();
}

#[test]
fn a_frame_shows_its_group_and_the_low_half_of_the_epoch_and_hides_the_rest() {
    let epoch = epoch_with(1, 0x1_0000_0002, 1, 1);
    let (one, chain) = sender(7).encrypt(&epoch, b"one", &mut rng()).unwrap();
    let (two, _) = chain.encrypt(&epoch, b"two", &mut rng()).unwrap();
    let frame = Frame::parse(&two).unwrap();
    assert_eq!((frame.group(), frame.epoch_low()), (GroupId::from_bytes([1; 16]), 2));
    assert!(frame.is_for(&epoch) && frame.is_for(&epoch_with(1, 2, 1, 1)), "the context hash tells these apart");
    assert_eq!(frame.unmask(&epoch), (LeafIndex(7), Generation(1)));
    assert_ne!(one[37..41], two[37..41], "one sender's leaf looks different every time");
    assert_eq!(Frame::parse(&[0x21; 200]).unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn a_leaf_we_do_not_know_is_told_apart() {
    let (frame, _) = send(sender(9), b"who am I");
    assert_eq!(refused(&mut reader([1]), &frame), ErrorKind::NotMember);
}

#[test]
fn an_insider_with_the_chain_key_cannot_sign_for_the_sender() {
    let mut reader = reader([1]);
    let (forged, _) = send(forger(sender(1)), b"I owe you");
    assert_eq!(refused(&mut reader, &forged), ErrorKind::Unauthentic);
    let (forged_ahead, _) = send(forger(sender_after(1, 100)), b"I owe you more");
    assert_eq!(refused(&mut reader, &forged_ahead), ErrorKind::Unauthentic);
    let (real, _) = send(sender(1), b"I owe nothing");
    assert_eq!(reader.decrypt(&epoch(), &real).unwrap().content, b"I owe nothing");
}

#[test]
fn a_forgery_in_a_batch_spoils_only_itself() {
    let good = frames(sender(1), 3);
    let (forged, _) = send(forger(sender_after(1, 1)), b"forged");
    let mut reader = reader([1]);
    let results = reader.decrypt_batch(&epoch(), &[&good[0], &forged, &good[1], &good[1], &good[2]]);
    let kinds: Vec<_> = results.iter().map(|result| result.as_ref().map_err(Error::kind).err()).collect();
    assert_eq!(kinds, [None, Some(ErrorKind::Unauthentic), None, Some(ErrorKind::Duplicate), None]);
    assert!(reader.decrypt_batch(&epoch(), &[]).is_empty());
}

#[test]
fn what_cannot_be_sent_gives_the_chain_back() {
    let before = *sender(1).chain_key().expose();
    let (error, chain) = sender(1).encrypt(&epoch(), &vec![0; MESSAGE_CONTENT + 1], &mut rng()).unwrap_err();
    assert_eq!((error.kind(), chain.generation()), (ErrorKind::Limit, Generation(0)));
    assert_eq!(chain.chain_key().expose(), &before);

    let (leaf, _, chain_key, signing) = sender(1).into_parts();
    let at_the_end = SendingChain::restore(leaf, Generation(u32::MAX - 1), chain_key, signing);
    let mut reader = ReceivingChains::new();
    reader.insert(leaf, ReceivingChain::from_sender_key(at_the_end.sender_key()));
    let (last, over) = send(at_the_end, b"the last one");
    assert_eq!(over.encrypt(&epoch(), b"", &mut rng()).unwrap_err().0.kind(), ErrorKind::Limit);
    assert_eq!(reader.decrypt(&epoch(), &last).unwrap().generation, Generation(u32::MAX - 1));
    assert_eq!(refused(&mut reader, &last), ErrorKind::Duplicate);
}

#[test]
fn a_buffer_of_the_callers_gets_the_frame_appended_or_stays_as_it_was() {
    let mut out = b"before".to_vec();
    let next = sender(1).encrypt_into(&epoch(), b"hello", &mut rng(), &mut out).unwrap();
    let (frame, same) = send(sender(1), b"hello");
    assert_eq!(out, [&b"before"[..], &frame].concat());
    assert_eq!((next.generation(), next.chain_key().expose()), (same.generation(), same.chain_key().expose()));

    let kept = out.clone();
    let (error, _) = next.encrypt_into(&epoch(), &vec![0; MESSAGE_CONTENT + 1], &mut rng(), &mut out).unwrap_err();
    assert_eq!((error.kind(), out), (ErrorKind::Limit, kept));
}

#[test]
fn what_is_read_in_place_is_what_is_read_from_a_copy() {
    let (mut copied, mut in_place) = (reader([1]), reader([1]));
    let mut frames = frames(sender(1), 10);
    // In order, early, late and twice.
    frames.swap(2, 7);
    frames.push(frames[2].clone());
    for frame in frames {
        let one = copied.decrypt(&epoch(), &frame);
        let start = frame.as_ptr();
        let other = in_place.decrypt_in_place(&epoch(), frame);
        assert!(alike(&one, &other), "{one:?} {other:?}");
        assert!(other.is_err() || other.unwrap().content.as_ptr() == start, "another buffer was taken");
        assert!(state(&copied) == state(&in_place));
    }
}

#[test]
fn a_restored_state_with_a_cloned_generator_never_repeats_a_salt() {
    let (one, _) = sender(1).encrypt(&epoch(), b"one", &mut rng()).unwrap();
    let (two, _) = sender(1).encrypt(&epoch(), b"two", &mut rng()).unwrap();
    assert_ne!(one[21..37], two[21..37]);
}

#[test]
fn an_own_echo_tells_a_rolled_back_state() {
    let (first, chain) = send(sender(1), b"first");
    let (second, chain) = send(chain, b"second");
    let examine = |chain: &SendingChain, frame: &[u8]| chain.examine(&epoch(), frame).map_err(|error| error.kind());
    assert_eq!(examine(&chain, &first), Ok(OwnFrame::Past(Generation(0))));
    assert_eq!(examine(&chain, &second), Ok(OwnFrame::Past(Generation(1))));

    let rolled_back = sender(1);
    assert_eq!(examine(&rolled_back, &first), Ok(OwnFrame::Future(Generation(0))));
    assert_eq!(examine(&rolled_back, &second), Ok(OwnFrame::Future(Generation(1))));
    let mut bad = second.clone();
    *bad.last_mut().unwrap() ^= 1;
    assert_eq!(examine(&rolled_back, &bad), Err(ErrorKind::Unauthentic));
    assert_eq!(examine(&rolled_back, &send(forger(sender(1)), b"forged").0), Err(ErrorKind::Unauthentic));
    assert_eq!(examine(&rolled_back, &send(sender(2), b"theirs").0), Err(ErrorKind::Misuse));
    let far = |steps| send(sender_after(1, steps), b"far").0;
    assert_eq!(examine(&rolled_back, &far(2_000)), Ok(OwnFrame::Future(Generation(2_000))));
    assert_eq!(examine(&rolled_back, &far(2_001)), Err(ErrorKind::Limit));
    let elsewhere = epoch_with(1, 2, 1, 1);
    assert_eq!(rolled_back.examine(&elsewhere, &first).unwrap_err().kind(), ErrorKind::Unauthentic);
}

#[test]
fn a_sender_key_reads_from_its_generation_on_and_has_one_encoding() {
    let (before, chain) = send(sender(1), b"before you came");
    let bytes = chain.sender_key().to_secret_bytes();
    let sender_key = SenderKey::from_secret_bytes(&bytes).unwrap();
    assert_eq!((sender_key.leaf(), sender_key.generation()), (LeafIndex(1), Generation(1)));
    assert_eq!(sender_key.verify_key(), chain.verify_key());
    assert!(bytes.len() <= 80);

    let mut newcomer = ReceivingChains::new();
    newcomer.insert(sender_key.leaf(), ReceivingChain::from_sender_key(sender_key));
    let (after, _) = send(chain, b"welcome");
    assert_eq!(newcomer.decrypt(&epoch(), &after).unwrap().content, b"welcome");
    assert_eq!(refused(&mut newcomer, &before), ErrorKind::Duplicate);

    let kind = |bytes: &[u8]| SenderKey::from_secret_bytes(bytes).unwrap_err().kind();
    assert_eq!(kind(&bytes[..bytes.len() - 1]), ErrorKind::Malformed);
    assert_eq!(kind(&[&bytes[..], &[0]].concat()), ErrorKind::Malformed);
    let mut other_version = bytes.to_vec();
    other_version[1] = 2;
    assert_eq!(kind(&other_version), ErrorKind::Unsupported);
    let long_leaf = [&bytes[..2], &[0x18, 0x01], &bytes[3..]].concat();
    assert_eq!(kind(&long_leaf), ErrorKind::Malformed);
}

#[test]
fn a_stored_chain_comes_back_and_a_damaged_one_does_not() {
    let frames = frames(sender(1), 5);
    let mut before = reader([1]);
    before.decrypt(&epoch(), &frames[3]).unwrap();
    let stored = before.get(LeafIndex(1)).unwrap();
    let copy = |key: &Secret<32>| Secret::from_bytes(&mut key.expose().to_owned());
    let skipped = || stored.skipped().map(|(generation, key)| (generation, copy(key))).collect::<BTreeMap<_, _>>();
    let restore =
        |next, skipped| ReceivingChain::restore(copy(stored.chain_key()), next, skipped, stored.key().clone());

    let mut after = ReceivingChains::new();
    after.insert(LeafIndex(1), restore(stored.next(), skipped()).unwrap());
    assert!(state(&before) == state(&after));
    for at in [4, 0, 2, 1] {
        after.decrypt(&epoch(), &frames[at]).unwrap();
    }
    assert_eq!(restore(Generation(2), skipped()).unwrap_err().kind(), ErrorKind::Damaged);
    let many = (0..=SKIPPED_PER_SENDER).map(|n| (Generation(n), secret(1))).collect();
    assert_eq!(restore(Generation(u32::MAX), many).unwrap_err().kind(), ErrorKind::Damaged);
    assert_eq!((after.remove(LeafIndex(1)).is_some(), after.skipped_total()), (true, 0));
}

/// What the network, or an insider, does to one of the senders' messages.
#[derive(Clone, Debug)]
enum Arrival {
    Good { leaf: u8, generation: u32 },
    Flipped { leaf: u8, generation: u32, bit: prop::sample::Index },
    Forged { leaf: u8, generation: u32 },
}

const SENDERS: u8 = 3;
const MESSAGES: u32 = 12;

fn arrival() -> impl Strategy<Value = Arrival> {
    let place = || (0..SENDERS, 0..MESSAGES);
    prop_oneof![
        12 => place().prop_map(|(leaf, generation)| Arrival::Good { leaf, generation }),
        1 => (place(), any::<prop::sample::Index>())
            .prop_map(|((leaf, generation), bit)| Arrival::Flipped { leaf, generation, bit }),
        1 => place().prop_map(|(leaf, generation)| Arrival::Forged { leaf, generation }),
    ]
}

fn bytes_of(arrival: &Arrival, good: &[Vec<Vec<u8>>]) -> Vec<u8> {
    match arrival {
        Arrival::Good { leaf, generation } => good[usize::from(*leaf)][*generation as usize].clone(),
        Arrival::Flipped { leaf, generation, bit } => {
            let mut frame = good[usize::from(*leaf)][*generation as usize].clone();
            let bit = bit.index(frame.len() * 8);
            frame[bit / 8] ^= 1 << (bit % 8);
            frame
        }
        Arrival::Forged { leaf, generation } => send(forger(sender_after(*leaf, *generation)), b"forged").0,
    }
}

fn alike(a: &Result<Received>, b: &Result<Received>) -> bool {
    match (a, b) {
        (Ok(a), Ok(b)) => a == b,
        (Err(a), Err(b)) => a.kind() == b.kind(),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    /// Bytes from anyone, past the checks of version, group and epoch.
    #[test]
    fn noise_is_refused_without_effect(noise in prop::collection::vec(any::<u8>(), 0..400), last_counter in any::<bool>()) {
        let mut bytes = [&[0x11][..], &[1; 16], &[0, 0, 0, 1], &noise].concat();
        if last_counter && bytes.len() > 25 {
            bytes[21..25].fill(0xff);
        }
        refused(&mut reader([1, 2]), &bytes);
        refused(&mut reader([1, 2]), &noise);
        prop_assert!(sender(1).examine(&epoch(), &bytes).is_err());
    }

    /// The model: a message is read exactly once, whenever it comes; all else fails and changes nothing. And a batch
    /// is no more and no less than its frames one by one.
    #[test]
    fn any_order_with_losses_duplicates_and_hostile_frames(
        arrivals in prop::collection::vec(arrival(), 1..60),
        cuts in prop::collection::vec(1_usize..20, 60),
    ) {
        let good: Vec<_> = (0..SENDERS).map(|leaf| frames(sender(leaf), MESSAGES as usize)).collect();
        let bytes: Vec<_> = arrivals.iter().map(|arrival| bytes_of(arrival, &good)).collect();

        let (mut singly, mut read) = (reader(0..SENDERS), BTreeSet::new());
        let mut results = Vec::new();
        for (arrival, frame) in arrivals.iter().zip(&bytes) {
            let before = state(&singly);
            let result = singly.decrypt(&epoch(), frame);
            let kind = result.as_ref().err().map(Error::kind);
            match *arrival {
                Arrival::Good { leaf, generation } if read.insert((leaf, generation)) => prop_assert_eq!(kind, None),
                Arrival::Forged { leaf, generation } if !read.contains(&(leaf, generation)) => {
                    prop_assert_eq!(kind, Some(ErrorKind::Unauthentic));
                }
                Arrival::Good { .. } | Arrival::Forged { .. } => prop_assert_eq!(kind, Some(ErrorKind::Duplicate)),
                Arrival::Flipped { .. } => prop_assert!(kind.is_some()),
            }
            match (&result, arrival) {
                (Ok(got), Arrival::Good { leaf, generation }) => {
                    prop_assert_eq!((got.leaf.0, got.generation.0), (u32::from(*leaf), *generation));
                    prop_assert_eq!(&got.content, &generation.to_string().into_bytes());
                }
                _ => prop_assert!(before == state(&singly)),
            }
            results.push(result);
        }

        let mut batched = reader(0..SENDERS);
        let (mut in_batches, mut rest) = (Vec::new(), &bytes[..]);
        for cut in cuts {
            let (now, later) = rest.split_at(cut.min(rest.len()));
            let now: Vec<_> = now.iter().map(Vec::as_slice).collect();
            in_batches.extend(batched.decrypt_batch(&epoch(), &now));
            rest = later;
        }
        prop_assert_eq!(results.len(), in_batches.len());
        prop_assert!(results.iter().zip(&in_batches).all(|(a, b)| alike(a, b)));
        prop_assert!(state(&singly) == state(&batched));
        for leaf in 0..SENDERS {
            let next = singly.get(LeafIndex(leaf.into())).map(|chain| chain.next().0);
            let highest = read.iter().filter(|(of, _)| *of == leaf).map(|(_, generation)| generation + 1).max();
            prop_assert_eq!(next, Some(highest.unwrap_or(0)));
        }
    }
}
