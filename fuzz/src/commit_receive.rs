//! Commit entries: as they come from a hub, and what an owner of the group may put inside one.

use convivio::client::EventKind;
use convivio::envelope::{Draft, EnvelopeType, Recipient, SignedDraft};
use convivio::log::{EntryBody, LogEntry};
use convivio::{SigningKey, Suite};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::town::{Shared, changed, tag, town};
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
                receive(&entry);
            }
        }
        EDIT => {
            let Some(bytes) = edited(&town.commit.to_bytes(), rest) else { return };
            if let Ok(entry) = LogEntry::from_bytes(&bytes) {
                receive(&entry);
            }
        }
        INSIDER => commit(rest, &town.maria.signing()),
        FORGED => commit(rest, &SigningKey::from_seed(&[1; 32])),
        _ => {}
    }
}

/// A commit of Maria's to Bob, with any public part, payload and tail under a valid seal, signed with this key.
fn commit(data: &[u8], signing: &SigningKey) {
    let town = town();
    let (public, payload) = chunk(data);
    let dice = &mut StdRng::seed_from_u64(3);
    let Ok(draft) = Draft::new(EnvelopeType::Commit, Suite::One, public.to_vec(), dice) else { return };
    let sender = vec![u8::try_from(town.maria.leaf.0).unwrap()];
    let Ok(signed) = draft.sign(sender, None, payload, signing) else { return };
    receive(&entry(signed));
}

fn entry(signed: SignedDraft) -> LogEntry {
    let town = town();
    let bob = vec![u8::try_from(town.bob_inside.leaf.0).unwrap()];
    let sealed =
        signed.seal(&[Recipient::X25519 { id: bob.clone(), key: town.bob_inside.seal().public() }], &[0; 32]).unwrap();
    let body = EntryBody::Commit {
        header: sealed.header().bytes().to_vec(),
        stanza: sealed.split(&bob).map(|part| part.stanza().to_vec()),
        body: sealed.body().to_vec(),
    };
    LogEntry { group: town.group, seq: town.next, body }
}

/// Bob's device gets the entry. Nobody here knows the epoch's init secret but through the honest commit, so only that
/// one may change the group.
fn receive(entry: &LogEntry) {
    let (town, store) = (town(), Shared::of(&town().bob));
    let before = store.records();
    let mut bob = store.open();
    let authenticator = *bob.group(&town.group).unwrap().authenticator();
    let (events, _) = bob.receive(std::slice::from_ref(entry)).unwrap();
    let after = store.records();
    if *entry == town.commit {
        assert!(events.iter().any(|event| matches!(event.what, EventKind::Changed { .. })), "{events:?}");
        assert_eq!(bob.group(&town.group).unwrap().authenticator(), &town.after);
    } else {
        assert!(!events.iter().any(|event| matches!(event.what, EventKind::Changed { .. })), "a forged commit");
        assert_eq!(bob.group(&town.group).unwrap().authenticator(), &authenticator);
        // What stops a group: a commit of another history, a hub's word that we are out.
        let stopped = events
            .iter()
            .any(|event| matches!(event.what, EventKind::ForkSuspected | EventKind::Excluded | EventKind::Removed));
        let allowed = [tag::VERSION, tag::COUNTERS, tag::EVENT, tag::CURSOR];
        let tags = changed(&before, &after);
        assert!(stopped || tags.iter().all(|tag| allowed.contains(tag)), "a void entry changed records {tags:?}");
    }
    // What is stored is what is in memory.
    assert!(store.open().group(&town.group).is_ok());
}

pub fn seeds() -> Seeds {
    let town = town();
    let EntryBody::Commit { header, body, .. } = &town.commit.body else { panic!("not a commit") };
    let public = convivio::envelope::Header::decode(header).unwrap().public().to_vec();
    let removed = EntryBody::Commit { header: header.clone(), stanza: None, body: body.clone() };
    let removed = LogEntry { body: removed, ..town.commit.clone() };
    let mut seeds = vec![
        seed("raw_honest", RAW, &[&town.commit.to_bytes()]),
        seed("raw_no_stanza", RAW, &[&removed.to_bytes()]),
        seed("raw_welcome", RAW, &[&town.welcome.to_bytes()]),
        seed("raw_message", RAW, &[&town.fresh.to_bytes()]),
        seed("edit", EDIT, &[&[1, 0, 1]]),
    ];
    let payload = honest_payload();
    for (name, kind) in [("insider", INSIDER), ("forged", FORGED)] {
        seeds.push(seed(name, kind, &[&chunked(&public), &payload]));
        // Another history: the parent hash is the payload's first field.
        let mut other = payload.clone();
        other[5] ^= 1;
        seeds.push(seed(&format!("{name}_other_history"), kind, &[&chunked(&public), &other]));
        seeds.push(seed(&format!("{name}_no_public"), kind, &[&chunked(b""), &payload]));
    }
    seeds
}

/// What Maria's commit says, as Bob opens it with the key from his store.
fn honest_payload() -> Vec<u8> {
    use convivio::envelope::{EnvelopeFor, Header, Opener, open};
    let town = town();
    let EntryBody::Commit { header, stanza: Some(stanza), body } = &town.commit.body else { panic!("no stanza") };
    let part = EnvelopeFor::new(Header::decode(header).unwrap(), stanza.clone(), body.clone()).unwrap();
    let secret = town.bob_inside.seal();
    let id = vec![u8::try_from(town.bob_inside.leaf.0).unwrap()];
    let opened = open(&part, EnvelopeType::Commit, Opener::X25519(&secret), &id).unwrap();
    opened.verify(town.maria.signing().verify_key()).unwrap().payload().to_vec()
}
