//! What people read and type: names of apps and users, group names, safety numbers, and the form that apps put into
//! their JSON. Each against a second reading of the rules.

use arbitrary::{Arbitrary, Unstructured};
use convivio::group::GroupInfo;
use convivio::identity::{AppDomain, IdentityKey, QrComparison, SafetyNumber, UserUri};
use convivio::{GroupId, VerifyKey};
use std::sync::OnceLock;

use super::cbor::{Edit, edit, number, parse, text};
use super::{Seeds, noise};

#[derive(Arbitrary, Debug)]
enum Input<'a> {
    Raw(&'a str),
    Domain(Vec<Piece<'a>>),
    User(Vec<Piece<'a>>, Vec<Piece<'a>>),
    Info(&'a str, &'a str),
    Qr(Vec<Edit>),
    Json(&'a str),
}

/// What names are made of, and what they are not.
#[derive(Arbitrary, Debug)]
enum Piece<'a> {
    Letter(u8),
    Digit(u8),
    Dot,
    Hyphen,
    Many(u8, u8),
    Any(&'a str),
    Marks(u8),
}

pub fn run(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    match input {
        Input::Raw(text) => {
            domain(text);
            user(text);
        }
        Input::Domain(pieces) => domain(&joined(&pieces)),
        Input::User(domain, name) => user(&format!("mimi://{}/u/{}", joined(&domain), joined(&name))),
        Input::Info(name, description) => info(name, description),
        Input::Qr(edits) => qr(&edits),
        Input::Json(text) => json(text),
    }
}

fn joined(pieces: &[Piece<'_>]) -> String {
    let piece = |piece: &Piece<'_>| match piece {
        Piece::Letter(letter) => char::from(b'a' + letter % 26).to_string(),
        Piece::Digit(digit) => char::from(b'0' + digit % 10).to_string(),
        Piece::Dot => ".".to_owned(),
        Piece::Hyphen => "-".to_owned(),
        Piece::Many(letter, times) => char::from(b'a' + letter % 26).to_string().repeat((*times).into()),
        Piece::Any(text) => (*text).to_owned(),
        Piece::Marks(which) => ["/u/", "~", "_", "A", "%41", "@", "\u{e9}", ".."][usize::from(*which) % 8].to_owned(),
    };
    pieces.iter().map(piece).collect()
}

/// Section 3.1.
fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        let bytes = label.as_bytes();
        let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
        (1..=63).contains(&bytes.len()) && bytes.iter().all(inner) && bytes[0] != b'-' && bytes[bytes.len() - 1] != b'-'
    };
    let labels: Vec<&str> = text.split('.').collect();
    let digits = labels[labels.len() - 1].chars().all(|c| c.is_ascii_digit());
    text.len() <= 253 && labels.into_iter().all(label) && !digits
}

fn is_user(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("mimi://") else { return false };
    let Some(at) = rest.find('/') else { return false };
    let (domain, path) = rest.split_at(at);
    let Some(name) = path.strip_prefix("/u/") else { return false };
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b));
    is_domain(domain) && plain && (1..=64).contains(&name.len()) && name != "." && name != ".."
}

fn domain(text: &str) {
    let read = text.parse::<AppDomain>();
    assert_eq!(read.is_ok(), is_domain(text), "{text:?}");
    if let Ok(domain) = read {
        assert_eq!(domain.as_str(), text);
        let json = serde_json::to_string(&domain).unwrap();
        assert_eq!(serde_json::from_str::<AppDomain>(&json).unwrap(), domain);
    }
}

fn user(text: &str) {
    let read = text.parse::<UserUri>();
    assert_eq!(read.is_ok(), is_user(text), "{text:?}");
    if let Ok(user) = read {
        assert_eq!(format!("mimi://{}/u/{}", user.domain().as_str(), user.name()), text);
        assert_eq!(UserUri::new(user.domain(), user.name()).unwrap(), user);
        let json = serde_json::to_string(&user).unwrap();
        assert_eq!(serde_json::from_str::<UserUri>(&json).unwrap(), user);
    }
}

/// Section 5.1: no control characters but the line feed of a description, and none that turn the direction of text.
fn info(name: &str, description: &str) {
    let bad = |c: char| {
        let c = u32::from(c);
        c < 0x20
            || (0x7f..0xa0).contains(&c)
            || [0x200e, 0x200f].contains(&c)
            || (0x202a..=0x202e).contains(&c)
            || (0x2066..=0x2069).contains(&c)
    };
    let good = !name.chars().any(bad)
        && !description.chars().any(|c| bad(c) && c != '\n')
        && name.len() + description.len() <= 16_384;
    let read = GroupInfo::new(name, description);
    assert_eq!(read.is_ok(), good, "{name:?}, {description:?}");
    if let Ok(info) = read {
        assert_eq!((info.name(), info.description()), (name, description));
        let bytes = info.to_bytes();
        assert_eq!(GroupInfo::from_bytes(&bytes).unwrap(), info);
    }
}

struct Pair {
    ours: SafetyNumber,
    theirs: SafetyNumber,
}

fn pair() -> &'static Pair {
    static PAIR: OnceLock<Pair> = OnceLock::new();
    PAIR.get_or_init(|| {
        let key = |seed: u8| -> VerifyKey { IdentityKey::from_seed(&[seed; 32]).public().clone() };
        let user = |name: &str| -> UserUri { format!("mimi://town.example/u/{name}").parse().unwrap() };
        let (maria, bob) = ((user("maria"), key(1)), (user("bob"), key(2)));
        let number = |a: &(UserUri, VerifyKey), b: &(UserUri, VerifyKey)| SafetyNumber::new(&a.0, &a.1, &b.0, &b.1);
        Pair { ours: number(&maria, &bob), theirs: number(&bob, &maria) }
    })
}

/// Only what the other side really shows is a match.
fn qr(edits: &[Edit]) {
    let Pair { ours, theirs } = pair();
    assert_eq!(ours.digits(), theirs.digits());
    let honest = parse(&theirs.qr()).unwrap();
    let tree = edit(honest.clone(), &edits[..edits.len().min(4)]);
    let shown = tree.encode();
    let found = ours.compare_qr(&shown);
    assert_eq!(matches!(found, Ok(QrComparison::Match)), shown == theirs.qr(), "{tree:?}");
    if let Ok(found) = found {
        let [tag, version, first, second] = tree.array() else { panic!("{tree:?} was read") };
        assert_eq!((tag, version), (&text("convivio safety number"), &number(1_u8)));
        let users = [first, second].map(|party| party.array()[0].clone());
        let same = [&honest.array()[2], &honest.array()[3]].map(|party| party.array()[0].clone()) == users;
        assert_eq!(found == QrComparison::OtherUsers, !same);
    }
}

/// Ids in an app's JSON: what reads writes back the same.
fn json(text: &str) {
    if let Ok(id) = serde_json::from_str::<GroupId>(text) {
        let written = serde_json::to_string(&id).unwrap();
        assert_eq!(serde_json::from_str::<GroupId>(&written).unwrap(), id);
        let inner: String = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&inner).unwrap(), written, "an id has two forms");
    }
    if let Ok(info) = serde_json::from_str::<GroupInfo>(text) {
        let written = serde_json::to_string(&info).unwrap();
        assert_eq!(serde_json::from_str::<GroupInfo>(&written).unwrap(), info);
    }
}

pub fn seeds() -> Seeds {
    let mut seeds = noise(&[30, 120]);
    // The first four bytes choose the kind: 0 raw, 1 domain, 2 user, 3 info, 4 code, 5 JSON.
    let kind = |kind: u32| (u64::from(kind) * (1 << 32) / 6 + 1).to_le_bytes()[..4].to_vec();
    let texts = [
        (0, "mimi://town.example/u/maria"),
        (0, "xn--bcher-kva.example"),
        (3, "A town\u{202e} and its people"),
        (5, "\"BwcHBwcHBwcHBwcHBwcHBw\""),
    ];
    for (i, (which, text)) in texts.into_iter().enumerate() {
        seeds.push((format!("text_{i}"), [kind(which), text.as_bytes().to_vec()].concat()));
    }
    seeds
}
