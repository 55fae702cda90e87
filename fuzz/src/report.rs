//! Reports (`docs/protocol.md`, section 12): a real one, changed as a structure, alone or with a hub that stamps whatever
//! the change makes of the message. What holds all the same says what the real one says.

use std::sync::OnceLock;

use arbitrary::{Arbitrary, Unstructured};
use convivio::client::EventKind;
use convivio::log::{EntryBody, HubKey, LogEntry};
use convivio::report::{Evidence, Report, VerifiedReport};
use convivio::testing::App;
use convivio::{ErrorKind, SigningKey};

use super::cbor::{Edit, Item, bytes, edit, number, parse};
use super::town::{NOW, Shared, town};
use super::{Seeds, by_hand, noise};

#[derive(Arbitrary, Debug)]
struct Input {
    /// A hub that works with the forger stamps the frame that the report makes.
    stamped: bool,
    edits: Vec<Edit>,
}

const HUB: [u8; 32] = [0x48; 32];

pub fn run(data: &[u8]) {
    // As bytes: a report, or nothing of the kind.
    let again = [Report::from_bytes(data).map(|it| it.to_bytes()), Evidence::from_bytes(data).map(|it| it.to_bytes())];
    assert!(again.iter().flatten().all(|again| again == data), "two encodings");
    let Ok(Input { stamped, edits }) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let (honest, said) = honest();
    let mut tree = edit(honest.clone(), &edits[..edits.len().min(6)]);
    if stamped {
        stamp(&mut tree);
    }
    let report = match Report::from_bytes(&tree.encode()) {
        Ok(report) => report,
        Err(error) => {
            let kind = error.kind();
            assert!(matches!(kind, ErrorKind::Malformed | ErrorKind::Limit | ErrorKind::Unsupported), "{kind:?}");
            return;
        }
    };
    assert_eq!(report.to_bytes(), tree.encode());
    match verify(&report) {
        Ok(verified) if stamped => assert_eq!(what(&verified), what(said), "the hub alone cannot make it say this"),
        Ok(verified) => {
            assert_eq!(verified, *said);
            assert_eq!(tree, *honest, "changed, and it holds");
        }
        Err(error) => {
            assert_ne!(tree, *honest);
            let kind = error.kind();
            assert!(matches!(
                kind,
                ErrorKind::Unauthentic | ErrorKind::NotAllowed | ErrorKind::Limit | ErrorKind::Malformed
            ));
        }
    }
}

/// All that a hub has no say in.
fn what(said: &VerifiedReport) -> impl PartialEq + std::fmt::Debug {
    let place = (said.group(), said.epoch(), said.began());
    (said.leaf().clone(), said.id(), said.content().to_vec(), place)
}

fn verify(report: &Report) -> convivio::Result<VerifiedReport> {
    report.verify(&App::trust(&[&town().app]).unwrap(), SigningKey::from_seed(&HUB).verify_key())
}

/// What Bob hears of Maria, as a report, and what it says.
fn honest() -> &'static (Item, VerifiedReport) {
    static HONEST: OnceLock<(Item, VerifiedReport)> = OnceLock::new();
    HONEST.get_or_init(|| {
        let town = town();
        let mut bob = Shared::of(&town.bob).open();
        bob.keep_evidence(true).unwrap();
        let frame = town.maria.frame(2, &carried(), town.maria.signing());
        let entry = LogEntry { group: town.group, seq: town.next, body: EntryBody::Message(frame) };
        let (events, _) = bob.receive(std::slice::from_ref(&entry)).unwrap();
        let EventKind::Message { content, evidence: Some(evidence), .. } = &events[0].what else {
            panic!("{events:?}")
        };
        let stamp = HubKey::new(SigningKey::from_seed(&HUB)).stamp(&entry, NOW).unwrap();
        let report = Report::new(evidence, content, stamp).unwrap();
        let mut tree = parse(&report.to_bytes()).unwrap();
        let verified = verify(&report).unwrap();
        assert!(stamp_fits(&mut tree), "the page and the code make another frame");
        (tree, verified)
    })
}

/// What a frame carries, section 6.4.
fn carried() -> Vec<u8> {
    let content = Item::Array(vec![bytes(&[7; 16]), number(0_u8), bytes(b"on the record")]).encode();
    Item::Array(vec![bytes(&[0; 16]), bytes(&content)]).encode()
}

/// The frame that a report is about, by hand, if it has the form of one.
fn frame(report: &Item) -> Option<Vec<u8>> {
    let Item::Array(report) = report else { return None };
    let [_, Item::Array(evidence), text, _] = &report[..] else { return None };
    let [_, Item::Array(context), _, _, _, Item::Array(proof), seen, nonce] = &evidence[..] else { return None };
    let [message_key, salt, header, signature] = &proof[..] else { return None };
    let [_, _, group, Item::Uint(epoch), _, _] = &context[..] else { return None };
    let string = |item: &Item| match item {
        Item::Bytes(_) | Item::Wrapped(_) => Some(item.content()),
        _ => None,
    };
    let low = u32::try_from(epoch % (1 << 32)).unwrap().to_be_bytes();
    let clear = [&[0x11][..], &string(group)?, &low, &string(salt)?, &string(header)?].concat();
    let content = Item::Array(vec![nonce.clone(), number(0_u8), text.clone()]).encode();
    let padded = by_hand::pad(&Item::Array(vec![seen.clone(), bytes(&content)]).encode());
    let context_hash = by_hand::hash("group context", context.clone());
    let keys = by_hand::expand_label(&string(message_key)?.try_into().ok()?, "message", &string(salt)?);
    let aad = [vec![Item::Text(b"message aad".to_vec())], vec![bytes(&context_hash), bytes(&clear)]].concat();
    let sealed = by_hand::encrypt(&keys, &Item::Array(aad).encode(), &[padded, string(signature)?].concat());
    Some([clear, sealed].concat())
}

/// Has the hub stamp it.
fn stamp(report: &mut Item) {
    let Some(hash) = frame(report).map(|frame| by_hand::sha256(&frame)) else { return };
    let Item::Array(stamp) = &mut report.array_mut()[3] else { return };
    let [group, seq, frame, received, signature] = &mut stamp[..] else { return };
    *frame = bytes(&hash);
    let fields = vec![group.clone(), seq.clone(), frame.clone(), received.clone()];
    *signature = bytes(&by_hand::sign(&HUB, "sign stamp", fields));
}

/// Whether the real report has the stamp that is made by hand.
fn stamp_fits(report: &mut Item) -> bool {
    let before = report.clone();
    stamp(report);
    *report == before
}

/// A report, and what it is made of.
pub fn pieces() -> [(&'static str, Vec<u8>); 3] {
    let report = &honest().0;
    [("report", report.encode()), ("evidence", report.array()[1].encode()), ("stamp", report.array()[3].encode())]
}

pub fn seeds() -> Seeds {
    let mut seeds = noise(&[1, 8, 30, 90]);
    seeds.extend(pieces().map(|(name, bytes)| (name.to_owned(), bytes)));
    seeds
}
