//! Message frames: as they come, and what a member may put inside one.

use std::collections::BTreeMap;

use convivio::log::{EntryBody, LogEntry};
use convivio::ratchet::{Frame, ReceivingChain, ReceivingChains};
use convivio::{LeafIndex, Result, SigningKey};

use super::town::{Shared, changed, tag, town};
use super::{Seeds, chunk, chunked, edited, kind, seed};

const RAW: u8 = 0;
const EDIT: u8 = 1;
const INSIDER: u8 = 2;
const FORGED: u8 = 3;

pub fn run(data: &[u8]) {
    let Some((kind, rest)) = kind(data) else { return };
    match kind {
        RAW => raw(rest),
        EDIT => {
            let Some(frame) = edited(&town().maria.frame(0, b"hello", town().maria.signing()), rest) else { return };
            let mut chains = reader();
            assert!(receive(&mut chains, &frame).is_err(), "an edited frame was accepted");
            assert!(client(&frame).is_empty(), "an edited frame changed what is kept");
        }
        INSIDER => {
            let tags = client(&town().maria.frame(0, &rest[..rest.len().min(4_096)], town().maria.signing()));
            let allowed = [tag::PAGE, tag::CHAIN, tag::SKIPPED, tag::ROW];
            assert!(tags.iter().all(|tag| allowed.contains(tag)), "a message changed records {tags:?}");
        }
        FORGED => {
            // Everything but Maria's signing key: what any other member holds.
            let Some((generation, content)) = rest.split_first() else { return };
            let content = &content[..content.len().min(4_096)];
            let frame = town().maria.frame((*generation % 8).into(), content, SigningKey::from_seed(&[1; 32]));
            assert!(receive(&mut reader(), &frame).is_err(), "a forged frame was accepted");
            assert!(client(&frame).is_empty(), "a forged frame changed what is kept");
        }
        _ => {}
    }
}

fn reader() -> ReceivingChains {
    let (maria, mut chains) = (&town().maria, ReceivingChains::new());
    chains.insert(maria.leaf, ReceivingChain::from_sender_key(maria.chain(maria.signing()).sender_key()));
    chains
}

type State = (usize, BTreeMap<LeafIndex, ([u8; 32], u32, BTreeMap<u32, [u8; 32]>)>);

fn state(chains: &ReceivingChains) -> State {
    let all = chains.iter().map(|(leaf, chain)| {
        let skipped = chain.skipped().map(|(generation, key)| (generation.0, *key.expose())).collect();
        (leaf, (*chain.chain_key().expose(), chain.next().0, skipped))
    });
    (chains.skipped_total(), all.collect())
}

/// Decrypts; an error must leave every byte as it was.
fn receive(chains: &mut ReceivingChains, frame: &[u8]) -> Result<(u32, Vec<u8>)> {
    let before = state(chains);
    let result = chains.decrypt(&town().maria.context(), frame);
    assert!(result.is_ok() || state(chains) == before, "an error left a trace");
    result.map(|received| (received.generation.0, received.content))
}

/// Frames of any bytes: one by one and together come to the same.
fn raw(mut data: &[u8]) {
    let mut frames = Vec::new();
    while !data.is_empty() && frames.len() < 16 {
        let (frame, rest) = chunk(data);
        frames.push(frame);
        if rest.len() >= data.len() {
            break;
        }
        data = rest;
    }
    let (mut single, mut batch) = (reader(), reader());
    let one_by_one: Vec<_> = frames.iter().map(|frame| receive(&mut single, frame).map_err(|e| e.kind())).collect();
    let together = batch.decrypt_batch(&town().maria.context(), &frames);
    let together: Vec<_> =
        together.into_iter().map(|r| r.map(|r| (r.generation.0, r.content)).map_err(|e| e.kind())).collect();
    assert_eq!(one_by_one, together);
    assert!(state(&single) == state(&batch), "a batch left another state");
    for frame in frames {
        if let Ok(frame) = Frame::parse(frame) {
            let _ = frame.unmask(&town().maria.context());
        }
    }
}

/// Bob's device gets the frame as its next entry. The tags of the records that changed beyond what every entry does:
/// the place in the log, and word of what was void.
fn client(frame: &[u8]) -> Vec<u8> {
    let (town, store) = (town(), Shared::of(&town().bob));
    let before = store.records();
    let mut bob = store.open();
    let entry = LogEntry { group: town.group, seq: town.next, body: EntryBody::Message(frame.to_vec()) };
    bob.receive(&[entry]).unwrap();
    let mut tags = changed(&before, &store.records());
    tags.retain(|tag| ![tag::VERSION, tag::COUNTERS, tag::EVENT, tag::CURSOR].contains(tag));
    // It still opens, and still reads.
    store.open().group(&town.group).unwrap();
    tags
}

pub fn seeds() -> Seeds {
    let town = town();
    let frame = |generation, content: &[u8]| chunked(&town.maria.frame(generation, content, town.maria.signing()));
    let EntryBody::Message(honest) = &town.fresh.body else { panic!("not a message") };
    let said = |kind: u8, said: &[u8]| [&[0x83, 0x50][..], &[7; 16], &[kind], said].concat();
    vec![
        seed("raw_in_order", RAW, &[&frame(0, b"one"), &frame(1, b"two")]),
        seed("raw_out_of_order", RAW, &[&frame(5, b"five"), &frame(2, b"two"), &frame(2, b"two"), &frame(9, b"")]),
        seed("raw_other_epoch", RAW, &[&chunked(honest), &frame(0, b"one")]),
        seed("raw_short", RAW, &[&chunked(&[1; 125])]),
        seed("edit", EDIT, &[&[0, 30, 1]]),
        seed("insider_text", INSIDER, &[&said(0, b"\x45hello")]),
        seed("insider_leave", INSIDER, &[&said(1, &[&[0x58, 0x40][..], &[9; 64]].concat())]),
        seed("insider_empty", INSIDER, &[]),
        seed("forged", FORGED, &[&[0], &said(0, b"\x45hello")]),
        seed("forged_later", FORGED, &[&[7], &said(0, b"\x45hello")]),
    ]
}
