//! Welcomes: as they come from a hub, and what a real inviter may put inside one.

use std::sync::OnceLock;

use convivio::client::EventKind;
use convivio::envelope::{Draft, EnvelopeFor, EnvelopeType, Opener, Recipient, open};
use convivio::identity::KeyPackage;
use convivio::log::{EntryBody, LogEntry};
use convivio::{InitKey, InitSecret, LeafHash, Secret, SigningKey, Suite};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::town::{NOW, Shared, changed, town};
use super::{Seeds, chunk, chunked, edited, kind, seed};

const RAW: u8 = 0;
const EDIT: u8 = 1;
const INSIDER: u8 = 2;
const FORGED: u8 = 3;

pub fn run(data: &[u8]) {
    let Some((kind, rest)) = kind(data) else { return };
    let town = town();
    match kind {
        RAW => {
            if let Ok(entry) = LogEntry::from_bytes(rest) {
                assert_eq!(entry.to_bytes(), rest);
                assert!(!receive(&entry) || entry == town.welcome, "a welcome of unknown origin was accepted");
            }
        }
        EDIT => {
            let Some(bytes) = edited(&town.welcome.to_bytes(), rest) else { return };
            if let Ok(entry) = LogEntry::from_bytes(&bytes) {
                let accepted = receive(&entry);
                // The place in the log is the hub's to say.
                assert!(!accepted || LogEntry { seq: town.welcome.seq, ..entry } == town.welcome, "an edited welcome");
            }
        }
        // If it lets her in, then into the one group that the inviter's keys lead to: the rest checks it.
        INSIDER => drop(invite(rest, &town.maria_after.signing())),
        FORGED => assert!(!invite(rest, &SigningKey::from_seed(&[1; 32])), "a forged welcome was accepted"),
        _ => {}
    }
}

/// A welcome by Maria's new leaf to Carol's package, with any public part and payload under a valid seal.
fn invite(data: &[u8], signing: &SigningKey) -> bool {
    let (public, payload) = chunk(data);
    rewrapped(public, payload, signing).is_some_and(|entry| receive(&entry))
}

/// The entry that hands over such a welcome with the honest commit.
pub fn rewrapped(public: &[u8], payload: &[u8], signing: &SigningKey) -> Option<LogEntry> {
    let dice = &mut StdRng::seed_from_u64(4);
    let draft = Draft::new(EnvelopeType::Welcome, Suite::One, public.to_vec(), dice).ok()?;
    let sender = vec![u8::try_from(town().maria_after.leaf.0).unwrap()];
    let signed = draft.sign(sender, None, payload, signing).ok()?;
    let (id, key) = carol();
    let sealed = signed.seal(&[Recipient::XWing { id: id.as_bytes().to_vec(), key }], &[]).unwrap();
    Some(entry(sealed.split(id.as_bytes()).unwrap()))
}

/// Carol's package.
fn carol() -> &'static (LeafHash, InitKey) {
    static CAROL: OnceLock<(LeafHash, InitKey)> = OnceLock::new();
    CAROL.get_or_init(|| {
        let trust = convivio::testing::App::trust(&[&town().app]).unwrap();
        let package: KeyPackage = town().package.clone().verify(&trust, NOW).unwrap();
        (package.id(), package.init_key().clone())
    })
}

/// The entry that hands this welcome over with the honest commit.
fn entry(welcome: EnvelopeFor) -> LogEntry {
    let EntryBody::Welcome { commit_header, commit_body, package, .. } = town().welcome.body.clone() else {
        panic!("not a welcome")
    };
    LogEntry { body: EntryBody::Welcome { commit_header, commit_body, package, welcome }, ..town().welcome.clone() }
}

/// Carol's device gets the entry. Whether it is in the group then; if not, nothing at all has changed.
fn receive(entry: &LogEntry) -> bool {
    let (town, store) = (town(), Shared::of(&town().carol));
    let before = store.records();
    let mut carol = store.open();
    let (events, _) = carol.receive(std::slice::from_ref(entry)).unwrap();
    if carol.groups().unwrap().is_empty() {
        let tags = changed(&before, &store.records());
        assert!(tags.is_empty() && events.is_empty(), "a refused welcome left records {tags:?}, {events:?}");
        return false;
    }
    assert!(matches!(&events[..], [event] if matches!(event.what, EventKind::Invitation { .. })), "{events:?}");
    assert_eq!(carol.group(&town.group).unwrap().authenticator(), &town.after, "into another group");
    // The key that opened it is gone.
    assert!(!carol.package_ids().unwrap().contains(&carol_id()));
    assert!(store.open().group(&town.group).is_ok());
    true
}

fn carol_id() -> LeafHash {
    carol().0
}

pub fn seeds() -> Seeds {
    let town = town();
    let EntryBody::Welcome { welcome, .. } = &town.welcome.body else { panic!("not a welcome") };
    let public = welcome.header().public().to_vec();
    let payload = honest_payload();
    let mut seeds = vec![
        seed("raw_honest", RAW, &[&town.welcome.to_bytes()]),
        seed("raw_commit", RAW, &[&town.commit.to_bytes()]),
        seed("edit", EDIT, &[&[1, 0, 1]]),
    ];
    for (name, kind) in [("insider", INSIDER), ("forged", FORGED)] {
        seeds.push(seed(name, kind, &[&chunked(&public), &payload]));
        seeds.push(seed(&format!("{name}_no_group"), kind, &[&chunked(b""), &payload]));
        let mut other = payload.clone();
        let last = other.len() - 1;
        other[last] ^= 1;
        seeds.push(seed(&format!("{name}_other_transcript"), kind, &[&chunked(&public), &other]));
    }
    seeds
}

/// What Maria's welcome says, as Carol opens it with the key from her store: the last 32 bytes before the list of used
/// welcomes, which is empty.
pub fn honest_payload() -> Vec<u8> {
    let EntryBody::Welcome { welcome, .. } = &town().welcome.body else { panic!("not a welcome") };
    let (id, _) = carol();
    let (_, record) =
        town().carol.iter().find(|(key, _)| key.as_bytes()[0] == 5 && key.as_bytes()[1..] == *id.as_bytes()).unwrap();
    let at = record.len() - 33;
    let secret = InitSecret::from_secret(Secret::from_bytes(&mut record[at..at + 32].try_into().unwrap()));
    let opener = Opener::XWing { secret: &secret, public: None };
    let opened = open(welcome, EnvelopeType::Welcome, opener, id.as_bytes()).unwrap();
    opened.verify(town().maria_after.signing().verify_key()).unwrap().payload().to_vec()
}
