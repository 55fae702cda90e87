//! Row 21, the log and the store: an entry, or a record, in the place of another kind.

use std::collections::BTreeSet;

use convivio::client::{Change, EventKind, Status};
use convivio::envelope::{Draft, EnvelopeFor, EnvelopeType, Recipient, seal_to};
use convivio::identity::IdentityKey;
use convivio::log::{EntryBody, LogEntry};
use convivio::store::{RecordKey, SealedStore, Store as _, StoreErrorKind, StoreKey};
use convivio::{Client, LeafIndex, SigningKey, Suite};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::clocks::Own;
use crate::kit::{Insider, Value};
use crate::support::*;
use crate::witness::{Pair, lasting};

/// Everything that can be sealed to Bob: what it is, and the part that he gets.
fn parts(pair: &mut Pair) -> Vec<(&'static str, EnvelopeFor)> {
    let mut rng = StdRng::seed_from_u64(8);
    let mut maria = pair.insider_maria();
    let group = maria.group();
    let own = SigningKey::from_seed(&maria.keys.signing);
    let to = [Recipient::X25519 { id: vec![1], key: group.state().leaf(LeafIndex(1)).unwrap().seal_key() }];
    let letter = seal_to(&own, b"", &to, b"hello", &mut rng).unwrap();
    // What a commit says, in an envelope that says it is something else.
    let said = maria.plan(Vec::new());
    let mut dressed = |kind| {
        let draft = Draft::new(kind, Suite::One, said.public(), &mut rng).unwrap();
        let signed = draft.sign(vec![0], Some(vec![vec![1]]), &said.payload(), &own).unwrap();
        signed.seal(&to, &[]).unwrap().split(&[1]).unwrap()
    };
    let (as_request, as_letter) = (dressed(EnvelopeType::Request), dressed(EnvelopeType::Standalone));
    // Maria asks to be readmitted, to the request key of this epoch, and invites Bob elsewhere.
    let request = request_of(pair, &maria);
    let package = pair.bob.package();
    let draft = Draft::new(EnvelopeType::Welcome, Suite::One, vec![0], &mut rng).unwrap();
    let id = package.id().as_bytes().to_vec();
    let verified = package.verify(&group.state().policy().apps, START).unwrap();
    let to = [Recipient::XWing { id: id.clone(), key: verified.init_key() }];
    let welcome = draft.sign(vec![0], None, b"welcome", &own).unwrap().seal(&to, &[]).unwrap();
    vec![
        ("a standalone envelope", letter.split(&[1]).unwrap()),
        ("a commit in a request", as_request),
        ("a commit in a standalone envelope", as_letter),
        ("a request", request),
        ("a welcome", welcome.split(&id).unwrap()),
    ]
}

fn request_of(pair: &mut Pair, maria: &Insider) -> EnvelopeFor {
    let group = maria.group();
    let package = pair.maria.package().verify(&group.state().policy().apps, START).unwrap();
    let epoch = group.state().epoch();
    let seal = |actor: convivio::group::Actor<'_>| {
        let request = group.request_to_rejoin(&package, actor.signer).unwrap();
        let key = (epoch, group.request_key());
        group.seal_request(&request, key, actor.signer, &mut StdRng::seed_from_u64(9)).unwrap()
    };
    maria.actor(seal).split(&Value::Int(epoch.0).encode()).unwrap()
}

/// Everything that an envelope part could be shown as.
fn guises(part: &EnvelopeFor, package: convivio::LeafHash) -> Vec<(&'static str, EntryBody)> {
    let (header, stanza) = (part.header().bytes().to_vec(), part.stanza().to_vec());
    let body = part.body().to_vec();
    let commit = EntryBody::Commit { header: header.clone(), stanza: Some(stanza), body: body.clone() };
    let welcome = EntryBody::Welcome { commit_header: header, commit_body: body, package, welcome: part.clone() };
    vec![
        ("a commit", commit),
        ("a welcome", welcome),
        ("a request", EntryBody::Request(Some(part.clone()))),
        ("a message", EntryBody::Message(part.to_bytes())),
        ("a message, cut", EntryBody::Message(part.body().to_vec())),
    ]
}

/// A commit entry of these parts.
fn commit(header: &[u8], stanza: &[u8], body: &[u8]) -> EntryBody {
    EntryBody::Commit { header: header.to_vec(), stanza: Some(stanza.to_vec()), body: body.to_vec() }
}

/// Every part in every guise but its own, and a frame as each part of a commit.
fn cases(pair: &mut Pair, frame: &[u8], heal: &EnvelopeFor) -> Vec<(String, EntryBody)> {
    let mut parts = parts(pair);
    parts.push(("a commit", heal.clone()));
    let package = *pair.bob.client.package_ids().unwrap().last().unwrap();
    let guised = |(what, part): &(&'static str, EnvelopeFor)| {
        let what = *what;
        guises(part, package).into_iter().map(move |(guise, body)| (format!("{what} as {guise}"), body))
    };
    let own = ["a request as a request", "a commit as a commit"];
    let parts = parts.iter().flat_map(guised).filter(|(what, _)| !own.contains(&what.as_str()));
    let (header, stanza, body) = (heal.header().bytes(), heal.stanza(), heal.body());
    let frames = [
        ("a frame as a header", commit(frame, stanza, body)),
        ("a frame as a stanza", commit(header, &frame[..48], body)),
        ("a frame as a body", commit(header, stanza, frame)),
    ];
    parts.chain(frames.map(|(what, body)| (what.to_owned(), body))).collect()
}

#[test]
fn row_21_no_entry_counts_as_another_kind() {
    let mut pair = Pair::new();
    let mut maria = pair.insider_maria();
    let frame = maria.say(b"hello");
    let heal = maria.plan(Vec::new()).seal().envelope().split(&[1]).unwrap();
    let cases = cases(&mut pair, &frame, &heal);
    assert_eq!(cases.len(), 31);

    let Pair { mut world, mut bob, group, .. } = pair;
    let mut victim = world.device("nobody");
    let (seq, epoch) = (bob.client.group(&group).unwrap().next_entry(), bob.epoch(&group));
    for (what, body) in cases {
        victim.open(bob.disk.copy());
        victim.news();
        let (before, heard) = (lasting(&victim), victim.heard().len());
        let summary = victim.receive(&[LogEntry { group, seq, body }]);
        assert_eq!(lasting(&victim), before, "{what}");
        let news = victim.news();
        let silent = news.iter().all(|event| matches!(event, EventKind::Void { entries: 1 }));
        assert!(silent && news.len() <= 1 && summary.echoes.is_empty(), "{what}: {news:?}");
        assert_eq!(victim.status(&group), Status::Active, "{what}");
        assert_eq!(victim.client.groups().unwrap(), [group], "{what}");
        // And what is genuine still counts, whatever number the hub gives it.
        let seq = victim.client.group(&group).unwrap().next_entry();
        victim.receive(&[LogEntry { group, seq, body: EntryBody::Message(frame.clone()) }]);
        assert_eq!(victim.heard().len(), heard + 1, "{what}");
        let body = commit(heal.header().bytes(), heal.stanza(), heal.body());
        victim.receive(&[LogEntry { group, seq: seq + 1, body }]);
        assert_eq!(victim.epoch(&group), epoch + 1, "{what}");
    }
}

#[test]
fn row_21_no_sealed_record_is_read_in_the_place_of_another() {
    let disk = Disk::default();
    let key = || StoreKey::from_bytes(&mut [7; 32]);
    let store = SealedStore::create(disk.clone(), key()).unwrap();
    let world = World::new();
    let (mut rng, identity) = (StdRng::seed_from_u64(1), IdentityKey::from_seed(&[1; 32]));
    let keys = world.photos.enrol_device("maria", &identity, 1, &mut rng).unwrap();
    let mut maria = Client::create_in(store, keys, Own::at(START, 1)).unwrap();
    let group = maria.create_group(world.policy(), Default::default()).unwrap();
    maria.key_packages(1).unwrap();
    maria.send(&group, b"hello").unwrap();
    maria.change(&group, Change::Heal).unwrap();
    maria.outbox(9).unwrap();
    drop(maria);

    let mut records = disk.records();
    records.remove(RecordKey::VERSION.as_bytes());
    let kinds: BTreeSet<u8> = records.keys().map(|name| name[0]).collect();
    assert!(kinds.len() >= 12, "{kinds:?}");
    let sealed = SealedStore::open(disk.clone(), key()).unwrap();
    for (name, own) in &records {
        for (other, value) in &records {
            disk.overwrite(name, value.clone());
            let read = sealed.load(&RecordKey::from_bytes(name).unwrap()).map(drop).map_err(|error| error.kind());
            let expected = if name == other { Ok(()) } else { Err(StoreErrorKind::Damaged) };
            assert_eq!(read, expected, "{other:?} in the place of {name:?}");
        }
        disk.overwrite(name, own.clone());
    }
    let mut maria = Client::open_in(sealed, None, Own::at(START, 2)).unwrap();
    assert_eq!(maria.outbox(9).unwrap().len(), 3);
}
