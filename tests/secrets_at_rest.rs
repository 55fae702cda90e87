//! What a thief of the medium finds: nothing without the store key, and with it nothing that was received and
//! acknowledged.

use std::collections::BTreeSet;

use convivio::client::{Answer, EventKind};
use convivio::group::GroupInfo;
use convivio::identity::UnverifiedKeyPackage;
use convivio::log::LogEntry;
use convivio::store::{MemoryStore, RecordKey, Store};
use convivio::testing::{App, FaultyStore, LocalHub};
use convivio::{Change, Client, GroupId};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

fn found(store: &MemoryStore, needle: &[u8]) -> bool {
    store.iter().any(|(key, value)| contains(key.as_bytes(), needle) || contains(value, needle))
}

fn pair(app: &App, hub: &mut LocalHub, maria: &mut Client, bob: &mut Client) -> GroupId {
    let info = GroupInfo::new("Unmistakable journey", "nowhere else to be found").unwrap();
    let group = maria.create_group(App::policy(&[app]).unwrap(), info).unwrap();
    let package = UnverifiedKeyPackage::try_from(&bob.key_packages(1).unwrap()[0]).unwrap();
    maria.change(&group, Change::Add(vec![package])).unwrap();
    hub.sync(maria).unwrap();
    hub.sync(bob).unwrap();
    bob.answer(&group, Answer::Accept).unwrap();
    group
}

fn acknowledge(client: &mut Client) {
    if let Some(last) = client.inbox(usize::MAX).unwrap().last() {
        client.ack(last.id).unwrap();
    }
}

#[cfg(feature = "redb")]
#[test]
fn a_sealed_file_shows_no_plaintext_and_no_key() {
    use convivio::client::DeviceKeys;
    use convivio::identity::IdentityKey;
    use convivio::store::{RedbStore, SealedStore, StoreKey};
    use convivio::{DeviceId, SigningKey};
    use rand::SeedableRng;

    const DEVICE_SEED: [u8; 32] = *b"the seed of this device's key ..";
    const STORE_KEY: [u8; 32] = *b"the key this store is sealed by.";
    const WORDS: [&[u8]; 6] = [
        b"Unmistakable journey",
        b"nowhere else to be found",
        b"unmistakable-maria",
        b"photos.example",
        b"an unmistakable message that was sent",
        b"an unmistakable message that was received",
    ];

    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, sealed: bool| {
        let path = directory.path().join(name);
        let mut rng = rand::rngs::StdRng::seed_from_u64(1);
        let (app, mut hub) = (App::new("photos.example").unwrap(), LocalHub::new());
        let identity = IdentityKey::generate(&mut rng);
        let key = SigningKey::from_seed(&DEVICE_SEED);
        let device = app.certify("unmistakable-maria", &identity, (DeviceId::generate(&mut rng), 0), &key).unwrap();
        let keys = DeviceKeys::new(device, key).unwrap();
        let file = RedbStore::create(&path).unwrap();
        let mut maria = if sealed {
            let key = StoreKey::from_bytes(&mut STORE_KEY.clone());
            Client::create(SealedStore::create(file, key).unwrap(), keys).unwrap()
        } else {
            Client::create(file, keys).unwrap()
        };
        let mut bob = app.client("bob").unwrap();
        let group = pair(&app, &mut hub, &mut maria, &mut bob);
        bob.send(&group, WORDS[5]).unwrap();
        hub.sync(&mut bob).unwrap();
        hub.sync(&mut maria).unwrap();
        // Queued and encrypted, not acknowledged, and in several places.
        maria.send(&group, WORDS[4]).unwrap();
        maria.outbox(usize::MAX).unwrap();
        maria.change(&group, Change::Heal).unwrap();
        drop(maria);
        std::fs::read(&path).unwrap()
    };
    let (plain, sealed) = (write("plain", false), write("sealed", true));
    for secret in WORDS.iter().copied().chain([DEVICE_SEED.as_slice()]) {
        assert!(contains(&plain, secret), "the test would find it: {:?}", String::from_utf8_lossy(secret));
        assert!(!contains(&sealed, secret), "{:?}", String::from_utf8_lossy(secret));
    }
    assert!(!contains(&sealed, &STORE_KEY));
}

/// A chain as the protocol defines it (section 6): from the first chain key, this many message keys and chain keys.
fn chain(first: &[u8], count: usize) -> Vec<([u8; 32], [u8; 32])> {
    let step = |key: &[u8], byte: u8| -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(&[byte]);
        mac.finalize().into_bytes().into()
    };
    let mut key: [u8; 32] = first.try_into().unwrap();
    (0..count)
        .map(|_| {
            let this = (key, step(&key, 1));
            key = step(&key, 2);
            this
        })
        .collect()
}

fn record(store: &MemoryStore, tag: u8, group: GroupId, rest: &[u8]) -> Option<Vec<u8>> {
    let name = [&[tag], group.as_bytes().as_slice(), rest].concat();
    store.load(&RecordKey::from_bytes(&name).unwrap()).unwrap()
}

/// The sender's own chain key, from its record.
fn sending_key(store: &FaultyStore, group: GroupId) -> Vec<u8> {
    let record = record(&store.contents(), 20, group, &[]).unwrap();
    let mut fields = minicbor::Decoder::new(&record);
    fields.array().unwrap();
    (0..2).for_each(|_| fields.skip().unwrap());
    fields.bytes().unwrap().to_vec()
}

const COUNT: usize = 8;

struct Recorded {
    maria: FaultyStore,
    bob: FaultyStore,
    group: GroupId,
    entries: Vec<LogEntry>,
    chain: Vec<([u8; 32], [u8; 32])>,
    environment: (App, LocalHub, Client, Client),
}

/// Maria said some things, which went through the log in this order; Bob has not read them yet.
fn recorded(order: &[usize]) -> Recorded {
    let (app, mut hub) = (App::new("photos.example").unwrap(), LocalHub::new());
    let stores = [FaultyStore::new(), FaultyStore::new()];
    let mut maria = app.client_on("maria", stores[0].clone()).unwrap();
    let mut bob = app.client_on("bob", stores[1].clone()).unwrap();
    let group = pair(&app, &mut hub, &mut maria, &mut bob);
    acknowledge(&mut bob);
    let first = sending_key(&stores[0], group);
    for n in 0..COUNT {
        maria.send(&group, format!("unmistakable words, number {n}").as_bytes()).unwrap();
    }
    let posts = maria.outbox(usize::MAX).unwrap();
    for n in order {
        hub.post(app.domain(), &posts[*n]);
    }
    let entries = hub.deliver(&mut bob).unwrap();
    assert_eq!(entries.len(), COUNT);
    let [maria_store, bob_store] = stores;
    let chain = chain(&first, COUNT + 1);
    Recorded { maria: maria_store, bob: bob_store, group, entries, chain, environment: (app, hub, maria, bob) }
}

fn nothing_used_is_left(dump: &MemoryStore, chain: &[([u8; 32], [u8; 32])], what: &str) {
    for (n, (chain_key, message_key)) in chain[..COUNT].iter().enumerate() {
        assert!(!found(dump, chain_key), "{what}: chain key {n}");
        assert!(!found(dump, message_key), "{what}: message key {n}");
    }
    assert!(found(dump, &chain[COUNT].0), "{what}: the next chain key is there, so the test looks for the right ones");
    assert!(!found(dump, b"unmistakable words"), "{what}: plaintext");
}

#[test]
fn what_was_received_and_acknowledged_is_gone_from_the_dump() {
    let orders: [[usize; COUNT]; 3] = [[0, 1, 2, 3, 4, 5, 6, 7], [7, 6, 5, 4, 3, 2, 1, 0], [3, 0, 1, 7, 2, 6, 4, 5]];
    for order in orders {
        for batch in [1, COUNT] {
            let Recorded { maria, bob, group, entries, chain, environment: (_, mut hub, mut alice, mut client) } =
                recorded(&order);
            for entries in entries.chunks(batch) {
                client.receive(entries).unwrap();
            }
            assert!(found(&bob.contents(), b"unmistakable words"), "until it is acknowledged");
            acknowledge(&mut client);
            let dump = bob.contents();
            nothing_used_is_left(&dump, &chain, "receiver");

            hub.sync(&mut alice).unwrap();
            assert_eq!(alice.group(&group).unwrap().queued(), 0);
            assert!(found(&maria.contents(), b"unmistakable words"), "what it said is in its inbox, too");
            acknowledge(&mut alice);
            nothing_used_is_left(&maria.contents(), &chain, "sender");

            cannot_read_again(dump, &entries);
        }
    }
}

/// A client restored from the dump, shown the recorded frames as what they were and as something new.
fn cannot_read_again(dump: MemoryStore, entries: &[LogEntry]) {
    let mut thief = Client::open(dump).unwrap();
    let next = thief.subscriptions().unwrap()[0].next;
    let (events, summary) = thief.receive(entries).unwrap();
    assert!(events.is_empty());
    assert_eq!(summary.duplicates as usize, entries.len());
    let renumbered: Vec<LogEntry> =
        entries.iter().zip(next..).map(|(entry, seq)| LogEntry { seq, ..entry.clone() }).collect();
    let (events, _) = thief.receive(&renumbered).unwrap();
    assert!(!events.iter().any(|event| matches!(event.what, EventKind::Message { .. })), "{events:?}");
}

#[test]
fn late_messages_keys_go_when_they_come() {
    let Recorded { bob, group, entries, chain, environment: (.., mut client), .. } =
        recorded(&[7, 0, 1, 2, 3, 4, 5, 6]);
    client.receive(&entries[..1]).unwrap();
    let late = |n: usize| found(&bob.contents(), &chain[n].1);
    assert!((0..7).all(late) && !late(7), "the keys of what is missing are kept");
    assert!(chain[..COUNT].iter().all(|(chain_key, _)| !found(&bob.contents(), chain_key)));
    client.receive(&entries[1..4]).unwrap();
    assert_eq!((0..COUNT).filter(|n| late(*n)).collect::<Vec<_>>(), [3, 4, 5, 6]);
    // Forgetting the group takes the rest with it.
    client.forget(&group).unwrap();
    assert_eq!((0..COUNT).filter(|n| late(*n)).count(), 0);
}

#[test]
fn an_epoch_that_ended_leaves_nothing_behind() {
    let Recorded { maria, bob, group, entries, environment: (_, mut hub, mut alice, mut client), .. } =
        recorded(&[3, 0, 1, 7, 2, 6, 4, 5]);
    client.receive(&entries[..2]).unwrap();
    acknowledge(&mut client);
    let secrets = |store: &FaultyStore| -> BTreeSet<Vec<u8>> {
        let records = store.contents();
        let in_epoch = |tag: u8| matches!(tag, 16 | 20..=23);
        let own = records.iter().filter(|(key, _)| in_epoch(key.as_bytes()[0]));
        own.flat_map(|(_, value)| value.windows(32).map(<[u8]>::to_vec).collect::<Vec<_>>()).collect()
    };
    let before = [secrets(&maria), secrets(&bob)];
    hub.sync(&mut alice).unwrap();
    hub.sync(&mut client).unwrap();
    client.change(&group, Change::Heal).unwrap();
    hub.sync(&mut client).unwrap();
    hub.sync(&mut alice).unwrap();
    alice.change(&group, Change::Heal).unwrap();
    hub.sync(&mut alice).unwrap();
    hub.sync(&mut client).unwrap();
    for (store, before) in [&maria, &bob].into_iter().zip(before) {
        let left: Vec<_> = secrets(store).intersection(&before).cloned().collect();
        assert!(left.is_empty(), "{left:02x?}");
    }
}
