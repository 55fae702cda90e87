//! Frames made by hand by a member who holds every chain key of the epoch (`docs/protocol.md`, section 6): any padding,
//! any signature, any place, any content. What a reader must make of each is known before it reads it.

use std::sync::OnceLock;

use arbitrary::{Arbitrary, Unstructured};
use convivio::client::EventKind;
use convivio::log::{EntryBody, LogEntry};
use convivio::ratchet::{ReceivingChain, ReceivingChains};

use super::by_hand::{self, Clear, chain_step, pad, padme, sha256};
use super::cbor::{FALSE, Item, NULL, TRUE, bytes, number};
use super::town::{Shared, tag, town};
use super::{Seeds, noise};

#[derive(Arbitrary, Debug)]
struct Input {
    said: Said,
    form: Form,
    signed: Signed,
    generation: u8,
    clear: Option<Other>,
}

/// What the message says (section 6.4).
#[derive(Arbitrary, Debug)]
enum Said {
    App(Vec<u8>),
    Here(bool),
    Leave(bool),
    /// A kind that is not known, or a known one of another form.
    Kind(u8, Vec<u8>),
    /// A carrier of other lengths than it has.
    Carrier(Vec<u8>, Vec<u8>),
    Raw(Vec<u8>),
}

/// How it is padded (section 2.5).
#[derive(Arbitrary, Debug)]
enum Form {
    Right,
    /// So many zeros more, or fewer.
    Zeros(i8),
    Dirty(u8, u8),
    LongHead(u8),
    Bare,
}

/// What the signature is over (section 6.3).
#[derive(Arbitrary, Debug)]
enum Signed {
    Right,
    ByAnother(u8),
    Context(u8),
    Leaf(u32),
    Generation(u32),
    Salt(u8),
    Digest(u8),
    Flipped(u16),
    Missing,
}

/// A field of the clear part that is another than it should be.
#[derive(Arbitrary, Debug)]
enum Other {
    First(u8),
    Group(u8),
    Epoch(u32),
    Leaf(u32),
    Generation(u32),
    HeaderKey(u8),
}

pub fn run(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let content = input.said.carried();
    let (padded, canonical) = input.form.pad(&content);
    let (frame, placed) = make(&input, &padded);
    let authentic = matches!(input.signed, Signed::Right) && canonical && placed;

    let mut chains = ReceivingChains::new();
    let maria = &town().maria;
    chains.insert(maria.leaf, ReceivingChain::from_sender_key(maria.chain(maria.signing()).sender_key()));
    let received = chains.decrypt(&maria.context(), &frame);
    match &received {
        Ok(received) => {
            assert!(authentic, "a frame that no member makes was taken: {input:?}");
            assert_eq!((&received.content, received.generation.0), (&content, place(&input)));
            assert_eq!(chains.skipped_total(), place(&input) as usize);
        }
        Err(error) => {
            assert!(!authentic, "{error}: {input:?}");
            assert_eq!(chains.skipped_total(), 0);
        }
    }
    let shown = client(frame);
    let said = input.said.shown().filter(|_| authentic);
    assert_eq!(shown, said, "{input:?}");
}

fn place(input: &Input) -> u32 {
    (input.generation % 16).into()
}

/// The frame, and whether its clear part is what it should be.
fn make(input: &Input, padded: &[u8]) -> (Vec<u8>, bool) {
    let (maria, generation) = (&town().maria, place(input));
    let (context, signing) = (maria.context(), maria.signing());
    let (mut message_key, mut chain_key) = chain_step(maria.chain(maria.signing()).chain_key().expose());
    for _ in 0..generation {
        (message_key, chain_key) = chain_step(&chain_key);
    }
    let mut header_key = *context.header_key().expose();
    let group = *town().group.as_bytes();
    let (salt, epoch_low) = ([9; 16], u32::try_from(context.epoch().0).unwrap());
    let honest = Clear { first: 0x11, group, epoch_low, salt, leaf: maria.leaf.0, generation, header_key: &header_key };
    let text = sign(input, padded, (&honest, context.context_hash()), signing.expose_seed());
    let right = honest.bytes();
    let mut clear = Clear { header_key: &[0; 32], ..honest };
    match &input.clear {
        Some(Other::First(first)) => clear.first = *first,
        Some(Other::Group(flip)) => clear.group[0] ^= flip,
        Some(Other::Epoch(epoch)) => clear.epoch_low = *epoch,
        Some(Other::Leaf(leaf)) => clear.leaf = *leaf,
        Some(Other::Generation(at)) => clear.generation = *at,
        Some(Other::HeaderKey(flip)) => header_key[0] ^= flip,
        None => {}
    }
    clear.header_key = &header_key;
    let placed = clear.bytes() == right;
    (by_hand::frame(&message_key, context.context_hash(), &clear, &text), placed)
}

/// The padded content and a signature.
fn sign(input: &Input, padded: &[u8], (clear, context): (&Clear<'_>, &[u8; 32]), seed: &[u8; 32]) -> Vec<u8> {
    let (mut context, mut leaf, mut generation) = (*context, clear.leaf, clear.generation);
    let (mut salt, mut digest, mut seed) = (clear.salt, sha256(padded), *seed);
    match input.signed {
        Signed::ByAnother(flip) => seed[0] ^= flip | 1,
        Signed::Context(flip) => context[0] ^= flip | 1,
        Signed::Leaf(other) => leaf ^= other | 1,
        Signed::Generation(other) => generation ^= other | 1,
        Signed::Salt(flip) => salt[0] ^= flip | 1,
        Signed::Digest(flip) => digest[0] ^= flip | 1,
        Signed::Missing => return padded.to_vec(),
        Signed::Right | Signed::Flipped(_) => {}
    }
    let fields = vec![bytes(&context), number(leaf), number(generation), bytes(&salt), bytes(&digest)];
    let mut signature = by_hand::sign(&seed, "sign message", fields);
    if let Signed::Flipped(bit) = input.signed {
        signature[usize::from(bit / 8) % 64] ^= 1 << (bit % 8);
    }
    [padded, &signature].concat()
}

impl Form {
    /// The padded content, and whether it is the one that `pad` makes.
    fn pad(&self, content: &[u8]) -> (Vec<u8>, bool) {
        let right = pad(content);
        let used = bytes(content).encode().len();
        let mut padded = right.clone();
        match self {
            Self::Right => {}
            Self::Zeros(by) => padded.resize(padded.len().saturating_add_signed((*by).into()).max(used), 0),
            Self::Dirty(at, value) if padded.len() > used => {
                let at = used + usize::from(*at) % (padded.len() - used);
                padded[at] = *value;
            }
            Self::LongHead(by) => {
                padded = bytes(content).encode_with(0, 1 + by % 4);
                padded.resize(padme(padded.len()), 0);
            }
            Self::Bare => padded = content.to_vec(),
            Self::Dirty(..) => {}
        }
        let canonical = padded == right;
        (padded, canonical)
    }
}

impl Said {
    /// [seen, content]; for what is not of that form, other bytes.
    fn carried(&self) -> Vec<u8> {
        let carry = |content: &[u8]| Item::Array(vec![bytes(&[0; 16]), bytes(content)]).encode();
        let said = |kind: u8, what: Item| carry(&Item::Array(vec![bytes(&[7; 16]), number(kind), what]).encode());
        match self {
            Self::App(text) => said(0, bytes(text)),
            Self::Here(asks) => said(2, if *asks { TRUE } else { FALSE }),
            Self::Leave(user) => said(1, Item::Array(vec![if *user { TRUE } else { FALSE }, bytes(&[5; 64])])),
            Self::Kind(kind, what) if *kind > 2 => said(*kind, bytes(what)),
            Self::Kind(kind, _) => said(*kind, NULL),
            Self::Carrier(seen, content) if seen.len() == 16 => carry(&[content.as_slice(), &[0xff]].concat()),
            Self::Carrier(seen, content) => Item::Array(vec![bytes(seen), bytes(content)]).encode(),
            Self::Raw(raw) => [&[0xff][..], raw].concat(),
        }
    }

    /// What the app is shown of it.
    fn shown(&self) -> Option<Vec<u8>> {
        if let Self::App(text) = self { Some(text.clone()) } else { None }
    }
}

/// Bob's device gets the frame as its next entry; what his app is shown. He is left with a group that opens, and that
/// nothing of this has stopped.
fn client(frame: Vec<u8>) -> Option<Vec<u8>> {
    static RECORDS: OnceLock<usize> = OnceLock::new();
    let (town, store) = (town(), Shared::of(&town().bob));
    let before = *RECORDS.get_or_init(|| store.records().len());
    let mut bob = store.open();
    let entry = LogEntry { group: town.group, seq: town.next, body: EntryBody::Message(frame) };
    let (events, _) = bob.receive(&[entry]).unwrap();
    let view = store.open().group(&town.group).unwrap().next_entry();
    assert_eq!(view, town.next + 1);
    let new = store.records().keys().filter(|key| ![tag::EVENT, tag::SKIPPED].contains(&key.as_bytes()[0])).count();
    assert!(new <= before + 2, "a frame left {new} records where there were {before}");
    events.into_iter().find_map(|event| match event.what {
        EventKind::Message { content, .. } => Some(content),
        _ => None,
    })
}

pub fn seeds() -> Seeds {
    noise(&[24, 100, 400])
}
