//! Opening envelopes of anyone's making.

use convivio::envelope::{
    Draft, Envelope, EnvelopeFor, EnvelopeType, Opener, Recipient, ReplayGuard, open_from, seal_to,
};
use convivio::{ErrorKind, InitKey, InitSecret, SealSecret, SigningKey, Suite};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::sync::OnceLock;

use super::{Seeds, chunk, chunked, edited, kind, seed};

const RAW_X25519: u8 = 0;
const RAW_XWING: u8 = 1;
const EDIT_X25519: u8 = 2;
const EDIT_XWING: u8 = 3;
const INSIDER: u8 = 4;
const ID: &[u8] = b"bob";

struct People {
    alice: SigningKey,
    seal: SealSecret,
    init: InitSecret,
    init_key: InitKey,
    /// To Bob's seal key, and to his init key.
    honest: [EnvelopeFor; 2],
}

fn people() -> &'static People {
    static PEOPLE: OnceLock<People> = OnceLock::new();
    PEOPLE.get_or_init(|| {
        let dice = &mut StdRng::seed_from_u64(1);
        let (alice, seal, init) = (SigningKey::generate(dice), SealSecret::generate(dice), InitSecret::generate(dice));
        let init_key = init.public();
        let to = |recipient, dice: &mut StdRng| {
            seal_to(&alice, b"alice@town.example", &[recipient], b"hello", dice).unwrap().split(ID).unwrap()
        };
        let honest = [
            to(Recipient::X25519 { id: ID.to_vec(), key: seal.public() }, dice),
            to(Recipient::XWing { id: ID.to_vec(), key: &init_key }, dice),
        ];
        People { alice, seal, init, init_key, honest }
    })
}

impl People {
    fn opener(&self, quantum: bool) -> Opener<'_> {
        if quantum {
            Opener::XWing { secret: &self.init, public: Some(&self.init_key) }
        } else {
            Opener::X25519(&self.seal)
        }
    }
}

pub fn run(data: &[u8]) {
    let Some((kind, rest)) = kind(data) else { return };
    let people = people();
    match kind {
        RAW_X25519 | RAW_XWING => {
            let quantum = kind == RAW_XWING;
            if let Ok(whole) = Envelope::from_bytes(rest) {
                assert_eq!(whole.to_bytes(), rest);
                whole.split(ID).iter().for_each(|part| accept(part, quantum));
            }
            if let Ok(part) = EnvelopeFor::from_bytes(rest) {
                assert_eq!(part.to_bytes(), rest);
                accept(&part, quantum);
            }
        }
        EDIT_X25519 | EDIT_XWING => {
            let quantum = kind == EDIT_XWING;
            let Some(bytes) = edited(&people.honest[usize::from(quantum)].to_bytes(), rest) else { return };
            let opened = EnvelopeFor::from_bytes(&bytes).and_then(|part| open_from(&part, people.opener(quantum), ID));
            assert!(opened.is_err(), "an edited envelope was opened");
        }
        INSIDER => insider(rest),
        _ => {}
    }
}

/// Whoever knows Bob's key can seal to him: what opens is a sender's word, once.
fn accept(part: &EnvelopeFor, quantum: bool) {
    let opener = people().opener(quantum);
    let Ok((opened, sender)) = open_from(part, opener, ID) else { return };
    let (again, same) = open_from(part, opener, ID).unwrap();
    assert_eq!((opened.payload(), opened.id(), &sender.key), (again.payload(), again.id(), &same.key));
    let mut guard = ReplayGuard::new();
    guard.accept(&opened).unwrap();
    assert_eq!(guard.accept(&again).unwrap_err().kind(), ErrorKind::Duplicate);
}

/// A sender field and a payload of any form under a valid signature.
fn insider(data: &[u8]) {
    let people = people();
    let ((sender, payload), dice) = (chunk(data), &mut StdRng::seed_from_u64(2));
    let Ok(draft) = Draft::new(EnvelopeType::Standalone, Suite::One, Vec::new(), dice) else { return };
    let Ok(signed) = draft.sign(sender.to_vec(), Some(vec![ID.to_vec()]), payload, &people.alice) else { return };
    let recipient = Recipient::X25519 { id: ID.to_vec(), key: people.seal.public() };
    let part = signed.seal(&[recipient], &[]).unwrap().split(ID).unwrap();
    if let Ok((opened, sender)) = open_from(&part, people.opener(false), ID) {
        assert_eq!(opened.payload(), payload);
        assert_eq!(&sender.key, people.alice.verify_key());
    }
    accept(&part, false);
}

pub fn seeds() -> Seeds {
    let people = people();
    let [x25519, xwing] = &people.honest;
    let (opened, _) = open_from(x25519, people.opener(false), ID).unwrap();
    vec![
        seed("raw_x25519", RAW_X25519, &[&x25519.to_bytes()]),
        seed("raw_xwing", RAW_XWING, &[&xwing.to_bytes()]),
        seed("raw_other_key", RAW_XWING, &[&x25519.to_bytes()]),
        seed("edit_x25519", EDIT_X25519, &[&[0, 60, 1]]),
        seed("edit_xwing", EDIT_XWING, &[&[0, 60, 1]]),
        seed("insider", INSIDER, &[&chunked(opened.sender()), b"hello"]),
        seed("insider_no_sender", INSIDER, &[&chunked(b""), b"hello"]),
    ]
}
