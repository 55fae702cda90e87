//! Envelope bodies made by hand under a seed that is known (`docs/protocol.md`, section 4.4 and 4.5): any padding, list of
//! recipients, sender, tail and signature behind valid encryption, for each type. What a reader must make of each is
//! known before.

use std::sync::OnceLock;

use arbitrary::{Arbitrary, Unstructured};
use convivio::envelope::{Draft, EnvelopeFor, EnvelopeType, Opener, Recipient, open};
use convivio::{InitKey, InitSecret, SealSecret, Secret, SigningKey, Suite};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::by_hand::{encrypt, expand_label, hash, pad, padme, sign};
use super::cbor::{Item, NULL, bytes, text};
use super::{Seeds, noise};

#[derive(Arbitrary, Debug)]
struct Input {
    kind: Kind,
    public: Vec<u8>,
    payload: Vec<u8>,
    form: Form,
    sender: Vec<u8>,
    long_sender: bool,
    ids: Ids,
    tail: Option<u8>,
    signed: Signed,
    /// The heads of the body: one too long, or a byte after the end.
    longer: Option<(u8, u8)>,
    after: bool,
    opened_as: Option<Kind>,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
enum Kind {
    Standalone,
    StandaloneQuantum,
    Commit,
    Welcome,
    Request,
}

#[derive(Arbitrary, Debug)]
enum Form {
    Right,
    AlsoRight,
    Zeros(i8),
    Dirty(u8, u8),
    LongHead(u8),
    Bare,
}

#[derive(Arbitrary, Debug)]
enum Ids {
    Right,
    AlsoRight,
    /// With others, in order.
    More(u8),
    /// The opposite of what the type has.
    Opposite,
    Others(u8),
    Nobody,
    Twice,
    Reversed(u8),
    Empty,
    Long,
    Many(u16),
}

#[derive(Arbitrary, Debug, PartialEq)]
enum Signed {
    Right,
    AlsoRight,
    ByAnother,
    OtherLabel,
    OtherPayload,
    OtherSender,
    OtherIds,
    Short(u8),
}

const ID: &[u8] = b"bob";

struct Reader {
    seal: SealSecret,
    init: InitSecret,
    init_key: InitKey,
}

fn reader() -> &'static Reader {
    static READER: OnceLock<Reader> = OnceLock::new();
    READER.get_or_init(|| {
        let init = InitSecret::from_secret(Secret::from_bytes(&mut [21; 32]));
        Reader { seal: SealSecret::from_secret(Secret::from_bytes(&mut [22; 32])), init_key: init.public(), init }
    })
}

impl Kind {
    fn kind(self) -> EnvelopeType {
        match self {
            Self::Standalone | Self::StandaloneQuantum => EnvelopeType::Standalone,
            Self::Commit => EnvelopeType::Commit,
            Self::Welcome => EnvelopeType::Welcome,
            Self::Request => EnvelopeType::Request,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Standalone | Self::StandaloneQuantum => "sign envelope",
            Self::Commit => "sign commit",
            Self::Welcome => "sign welcome",
            Self::Request => "sign request",
        }
    }

    fn quantum(self) -> bool {
        matches!(self, Self::StandaloneQuantum | Self::Welcome)
    }

    fn names(self) -> bool {
        !matches!(self, Self::Commit | Self::Welcome)
    }
}

pub fn run(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let (part, seed) = shell(&input);
    let header = part.header().bytes();
    let (padded, canonical) = input.form.pad(&input.payload);
    let (ids, named) = input.ids.list(input.kind);
    let sender = if input.long_sender { vec![7; 4_097] } else { input.sender.clone() };
    let signature = input.sign(header, (&padded, &sender, &ids));
    let usual = if input.kind == Kind::Commit { 32 } else { 0 };
    let tail = vec![5; input.tail.unwrap_or(usual).into()];
    let length = tail.len();

    let body = Item::Array(vec![bytes(&padded), bytes(&sender), ids, bytes(&signature), bytes(&tail)]);
    let shortest = body.encode();
    let mut text = shortest.clone();
    if let Some((node, by)) = input.longer {
        text = body.encode_with(usize::from(node) % body.nodes(), 1 + by % 4);
    }
    text.extend(input.after.then_some(0));
    let context = hash("envelope header", vec![bytes(header)]);
    let key: [u8; 44] = expand_label(&seed, "envelope content key", &context);
    let part = EnvelopeFor::new(part.header().clone(), part.stanza().to_vec(), encrypt(&key, header, &text)).unwrap();

    let well_formed = canonical
        && named
        && sender.len() <= 4_096
        && length == usize::from(usual)
        && signature.len() == 64
        && text == shortest
        && input.opened_as.is_none_or(|kind| kind.kind() == input.kind.kind());
    let Reader { seal, init, init_key } = reader();
    let opener = if input.kind.quantum() {
        Opener::XWing { secret: init, public: Some(init_key) }
    } else {
        Opener::X25519(seal)
    };
    let opened = open(&part, input.opened_as.unwrap_or(input.kind).kind(), opener, ID);
    assert_eq!(opened.is_ok(), well_formed, "{input:?}: {:?}", opened.err());
    let Ok(opened) = opened else { return };
    assert_eq!(opened.sender(), sender);
    let signing = SigningKey::from_seed(&[23; 32]);
    let verified = opened.verify(signing.verify_key());
    let right = matches!(input.signed, Signed::Right | Signed::AlsoRight);
    assert_eq!(verified.is_ok(), right, "{input:?}");
    let Ok(verified) = verified else { return };
    assert_eq!((verified.payload(), verified.padded()), (input.payload.as_slice(), padded.as_slice()));
    assert_eq!((verified.sender(), verified.tail()), (sender.as_slice(), tail.as_slice()));
}

/// A real envelope, of which header and stanza are kept, and its seed.
fn shell(input: &Input) -> (EnvelopeFor, [u8; 32]) {
    let (mut seed, Reader { seal, init_key, .. }) = ([0; 32], reader());
    StdRng::seed_from_u64(24).fill_bytes(&mut seed);
    let dice = &mut StdRng::seed_from_u64(24);
    let public = input.public.clone();
    let draft = match input.kind {
        Kind::StandaloneQuantum => Draft::standalone_to_init_keys(Suite::One, public, dice),
        kind => Draft::new(kind.kind(), Suite::One, public, dice),
    };
    let ids = input.kind.names().then(|| vec![ID.to_vec()]);
    let signed = draft.unwrap().sign(Vec::new(), ids, b"", &SigningKey::from_seed(&[23; 32])).unwrap();
    let recipient = if input.kind.quantum() {
        Recipient::XWing { id: ID.to_vec(), key: init_key }
    } else {
        Recipient::X25519 { id: ID.to_vec(), key: seal.public() }
    };
    let tail: &[u8] = if input.kind == Kind::Commit { &[0; 32] } else { &[] };
    (signed.seal(&[recipient], tail).unwrap().split(ID).unwrap(), seed)
}

impl Input {
    fn sign(&self, header: &[u8], (padded, sender, ids): (&[u8], &[u8], &Item)) -> Vec<u8> {
        let mut fields = vec![bytes(header), bytes(sender), ids.clone(), bytes(padded)];
        let (mut seed, mut label) = ([23; 32], self.kind.label());
        match self.signed {
            Signed::Right | Signed::AlsoRight | Signed::Short(_) => {}
            Signed::ByAnother => seed = [1; 32],
            Signed::OtherLabel => label = if label == "sign commit" { "sign welcome" } else { "sign commit" },
            Signed::OtherPayload => fields[3] = bytes(&[padded, &[0]].concat()),
            Signed::OtherSender => fields[1] = bytes(&[sender, &[0]].concat()),
            Signed::OtherIds => fields[2] = text("other"),
        }
        let signature = sign(&seed, label, fields).to_vec();
        if let Signed::Short(len) = self.signed { signature[..usize::from(len) % 64].to_vec() } else { signature }
    }
}

impl Ids {
    /// The list, and whether it is one that the type may have and that Bob is in.
    fn list(&self, kind: Kind) -> (Item, bool) {
        let list = |ids: &[&[u8]]| Item::Array(ids.iter().map(|id| bytes(id)).collect());
        let many = |count: usize| {
            let ids = (0..count).map(|n| [&[b'c'][..], &u16::try_from(n).unwrap().to_be_bytes()].concat());
            Item::Array(std::iter::once(ID.to_vec()).chain(ids).map(|id| bytes(&id)).collect())
        };
        let right = if kind.names() { list(&[ID]) } else { NULL };
        match self {
            Self::Right | Self::AlsoRight => (right, true),
            Self::Opposite if kind.names() => (NULL, false),
            Self::Opposite => (list(&[ID]), false),
            Self::More(more) => (list(&[&[b'a', *more], ID, &[b'c', *more]]), kind.names()),
            Self::Many(count) => {
                let count = usize::from(*count) % 400;
                (many(count), kind.names() && count < 256)
            }
            Self::Others(other) => (list(&[&[b'a', *other]]), false),
            Self::Nobody => (list(&[]), false),
            Self::Twice => (list(&[ID, ID]), false),
            Self::Reversed(more) => (list(&[&[b'c', *more], ID]), false),
            Self::Empty => (list(&[b"", ID]), false),
            Self::Long => (list(&[ID, &[b'x'; 33]]), false),
        }
    }
}

impl Form {
    fn pad(&self, payload: &[u8]) -> (Vec<u8>, bool) {
        let right = pad(payload);
        let used = bytes(payload).encode().len();
        let mut padded = right.clone();
        match self {
            Self::Zeros(by) => padded.resize(padded.len().saturating_add_signed((*by).into()).max(used), 0),
            Self::Dirty(at, value) if padded.len() > used => {
                let at = used + usize::from(*at) % (padded.len() - used);
                padded[at] = *value;
            }
            Self::LongHead(by) => {
                padded = bytes(payload).encode_with(0, 1 + by % 4);
                padded.resize(padme(padded.len()), 0);
            }
            // Text, not bytes, by its head.
            Self::Bare => padded[0] |= 0x20,
            Self::Right | Self::AlsoRight | Self::Dirty(..) => {}
        }
        let canonical = padded == right;
        (padded, canonical)
    }
}

pub fn seeds() -> Seeds {
    let mut seeds = noise(&[60, 200]);
    seeds.push(("honest".to_owned(), vec![0; 100]));
    seeds
}
