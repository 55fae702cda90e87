//! Errors are of the documented kinds, say what to do, and leave everything as it was.

mod support;

use convivio::client::{Answer, Change, DeviceKeys, EventId};
use convivio::group::GroupInfo;
use convivio::store::{MemoryStore, Store};
use convivio::testing::App;
use convivio::{Client, ErrorKind, GroupId, SigningKey};
use rand::SeedableRng;
use support::*;

fn kind<T>(result: convivio::Result<T>) -> ErrorKind {
    let Err(error) = result else { panic!("this is not refused") };
    assert!(error.to_string().len() > 10, "an error says what is the matter");
    error.kind()
}

#[test]
fn a_store_is_one_devices() {
    let app = App::new("photos.example").unwrap();
    let disk = Disk::default();
    assert_eq!(kind(Client::open(disk.clone())), ErrorKind::Misuse, "there is no device in it");
    drop(app.client_on("maria", disk.clone()).unwrap());
    assert_eq!(kind(app.client_on("maria", disk.clone())), ErrorKind::Misuse, "there is one already");
    assert_eq!(Client::open(disk).unwrap().identity().unwrap().user().name(), "maria");
}

#[test]
fn a_device_key_is_the_one_that_is_certified() {
    let mut rng = rand::rngs::StdRng::seed_from_u64(1);
    let app = App::new("photos.example").unwrap();
    let identity = convivio::identity::IdentityKey::generate(&mut rng);
    let (key, other) = (SigningKey::generate(&mut rng), SigningKey::generate(&mut rng));
    let device = app.certify("maria", &identity, (convivio::DeviceId::generate(&mut rng), 1), &key).unwrap();
    assert_eq!(kind(DeviceKeys::new(device.clone(), other)), ErrorKind::Misuse);
    let mut client = Client::create(MemoryStore::new(), DeviceKeys::new(device, key).unwrap()).unwrap();
    // Renewed is only the same device of the same user.
    let other = SigningKey::generate(&mut rng);
    let second = app.certify("maria", &identity, (convivio::DeviceId::generate(&mut rng), 2), &other).unwrap();
    assert_eq!(kind(client.renew(second)), ErrorKind::Misuse);
    assert_eq!(client.identity().unwrap().certificate().serial(), 1);
}

#[test]
fn calls_on_a_group_that_is_not_there() {
    let mut world = World::new();
    let mut maria = world.device("maria");
    let nowhere = GroupId::generate(&mut rand::rngs::StdRng::seed_from_u64(7));
    let client = &mut maria.client;
    assert_eq!(kind(client.send(&nowhere, b"hello")), ErrorKind::UnknownGroup);
    assert_eq!(kind(client.change(&nowhere, Change::Heal)), ErrorKind::UnknownGroup);
    assert_eq!(kind(client.answer(&nowhere, Answer::Accept)), ErrorKind::UnknownGroup);
    assert_eq!(kind(client.forget(&nowhere)), ErrorKind::UnknownGroup);
    assert_eq!(kind(client.group(&nowhere).map(|_| ())), ErrorKind::UnknownGroup);
    assert_eq!(kind(client.ack(EventId(1))), ErrorKind::Misuse);
    assert_eq!(client.outbox(9).unwrap(), []);
}

#[test]
fn a_message_has_a_longest_length() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut bob]);
    assert_eq!(kind(maria.client.send(&group, &[b'x'; 64 * 1024])), ErrorKind::Limit);
    assert_eq!(maria.queued(&group), 0);
    let longest = "x".repeat(64 * 1024 - 32);
    maria.say(&group, &longest);
    maria.say(&group, "");
    world.quiet(&mut [&mut maria, &mut bob]);
    let heard: Vec<_> = bob.heard().into_iter().map(|(_, text)| text).collect();
    assert_eq!(heard, [longest, String::new()]);
}

#[test]
fn names_have_a_longest_length_and_hide_nothing() {
    assert_eq!(kind(GroupInfo::new(&"x".repeat(16 * 1024), "x")), ErrorKind::Limit);
    for bad in ["a\u{202e}b", "a\nb", "\u{7}"] {
        assert_eq!(kind(GroupInfo::new(bad, "")), ErrorKind::Malformed);
    }
    assert!(GroupInfo::new("Gita 🚂", "due\nrighe").is_ok());
}

#[test]
fn alone_there_is_nobody_to_leave_to() {
    let mut world = World::new();
    let mut maria = world.device("maria");
    let group = world.group(&mut maria, &mut []);
    assert_eq!(maria.refused(&group, Change::Leave), ErrorKind::Misuse);
    assert_eq!(kind(maria.client.answer(&group, Answer::Decline)), ErrorKind::Misuse);
    maria.client.forget(&group).unwrap();
    assert_eq!(maria.client.groups().unwrap(), []);
}

#[test]
fn an_operation_that_fails_or_is_dropped_leaves_no_trace() {
    let mut world = World::new();
    let mut maria = world.device("maria");
    let group = world.group(&mut maria, &mut []);
    let version = maria.disk.load(&convivio::store::RecordKey::VERSION).unwrap();
    // The second of two steps fails, so neither happened.
    let both = maria.client.stage(|draft| {
        draft.send(group, b"first")?;
        draft.send(group, &[0; 70_000])
    });
    assert_eq!(kind(both.map(|_| ())), ErrorKind::Limit);
    drop(maria.client.stage(|draft| draft.send(group, b"never mind")).unwrap());
    assert_eq!(maria.queued(&group), 0);
    assert_eq!(maria.disk.load(&convivio::store::RecordKey::VERSION).unwrap(), version);
    // Two steps that both go well are one transaction.
    let saved = maria.client.stage(|draft| Ok((draft.send(group, b"one")?, draft.send(group, b"two")?))).unwrap();
    saved.apply().unwrap();
    assert_eq!(maria.queued(&group), 2);
    world.quiet(&mut [&mut maria]);
    assert_eq!(maria.queued(&group), 0);
}

#[test]
fn a_second_process_on_one_store_is_caught_and_opening_again_mends_it() {
    let mut world = World::new();
    let mut maria = world.device("maria");
    let group = world.group(&mut maria, &mut []);
    let mut second = Client::open(maria.disk.clone()).unwrap();
    second.send(&group, b"from the second").unwrap();
    assert_eq!(kind(maria.client.send(&group, b"from the first")), ErrorKind::Storage);
    assert_eq!(kind(maria.client.groups()), ErrorKind::Closed);
    assert_eq!(kind(maria.client.send(&group, b"from the first")), ErrorKind::Closed);
    maria.restart();
    assert_eq!(maria.queued(&group), 1);
}
