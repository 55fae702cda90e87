//! What counts for nothing, and changes nothing.

mod support;

use convivio::client::{Change, EventKind, Status};
use convivio::log::{EntryBody, Post, PostBody, PostReply};
use convivio::{GroupId, Timestamp};
use support::*;

fn pair(world: &mut World) -> (Device, Device, GroupId) {
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut bob]);
    world.quiet(&mut [&mut maria, &mut bob]);
    (maria, bob, group)
}

/// Appends whatever the hub likes.
fn append(world: &mut World, group: GroupId, body: PostBody) {
    let domain = world.photos.domain().clone();
    let taken = (0..200)
        .any(|after| world.hub.post(&domain, &Post { group, after, body: body.clone() }) == PostReply::Accepted);
    assert!(taken, "the hub does not take its own garbage");
}

fn view(device: &mut Device, group: &GroupId) -> (u64, [u8; 32], Status) {
    let view = device.client.group(group).unwrap();
    (view.state().epoch().0, *view.authenticator(), view.status())
}

#[test]
fn garbage_of_every_kind_is_void_and_the_group_goes_on() {
    let mut world = World::new();
    let (mut maria, mut bob, group) = pair(&mut world);
    let mut other = world.device("other");
    let elsewhere = world.group(&mut other, &mut []);
    other.client.change(&elsewhere, Change::Heal).unwrap();
    let PostBody::Commit { commit: foreign, .. } = other.outbox().remove(0).body else { panic!("not a commit") };
    let other_frame = {
        other.client.send(&elsewhere, b"elsewhere").unwrap();
        world.sync(&mut other);
        let log = world.hub.fetch(&convivio::client::Subscription {
            group: elsewhere,
            leaf: convivio::LeafIndex(0),
            next: 1,
        });
        let EntryBody::Message(frame) = &log.last().unwrap().body else { panic!("not a message") };
        frame.clone()
    };
    let before = view(&mut bob, &group);
    let garbage = [
        PostBody::Message(Vec::new()),
        PostBody::Message(vec![0; 125]),
        PostBody::Message(vec![255; 60_000]),
        PostBody::Message(other_frame),
        PostBody::Request(foreign.clone()),
        PostBody::Commit { commit: foreign.clone(), welcome: None },
        PostBody::Commit { commit: foreign.clone(), welcome: Some(foreign) },
    ];
    for (i, body) in garbage.into_iter().enumerate() {
        append(&mut world, group, body);
        bob.news();
        world.read(&mut bob);
        let news = bob.news();
        assert_eq!(news, [EventKind::Void { entries: 1 }], "{i}");
        assert_eq!(view(&mut bob, &group), before, "{i}");
        // Whoever writes behind it is heard.
        maria.say(&group, &format!("after {i}"));
        world.quiet(&mut [&mut maria, &mut bob]);
        assert_eq!(bob.heard().len(), 2 * i + 1);
        // And knows that it counts, once another is heard who has seen the garbage, too.
        bob.say(&group, "I heard you");
        world.quiet(&mut [&mut bob, &mut maria]);
        assert_eq!(maria.heard().len(), i + 1);
        maria.say(&group, "and I you");
        world.quiet(&mut [&mut maria, &mut bob]);
        assert_eq!(bob.heard().len(), 2 * i + 2);
        agree(&group, &mut [&mut maria, &mut bob]);
    }
    bob.client.change(&group, Change::Heal).unwrap();
    world.quiet(&mut [&mut bob, &mut maria]);
    assert_eq!(maria.epoch(&group), before.0 + 1);
    agree(&group, &mut [&mut maria, &mut bob]);
}

#[test]
fn every_byte_of_a_real_message_matters() {
    let mut world = World::new();
    let (mut maria, mut bob, group) = pair(&mut world);
    maria.say(&group, "exactly this");
    world.post(&mut maria);
    let honest = bob.pending(&world.hub, &group).remove(0);
    let EntryBody::Message(frame) = honest.body.clone() else { panic!("not a message") };
    let before = view(&mut bob, &group);
    let mut seq = honest.seq;
    // Bytes 17 to 20 are the epoch: some of their flips claim a later one, which raises a doubt and no more.
    let standing = [Status::Active, Status::Excluded];
    for at in 0..frame.len() {
        let mut forged = frame.clone();
        forged[at] ^= 1 << (at % 8);
        let entry = convivio::log::LogEntry { seq, body: EntryBody::Message(forged), ..honest.clone() };
        bob.receive(&[entry]);
        seq += 1;
        let (epoch, authenticator, status) = view(&mut bob, &group);
        assert_eq!((bob.heard().len(), epoch, authenticator), (0, before.0, before.1), "byte {at}");
        assert!(standing.contains(&status), "byte {at}");
    }
    bob.receive(&[convivio::log::LogEntry { seq, ..honest }]);
    assert_eq!((bob.heard().len(), bob.status(&group)), (1, Status::Active));
}

#[test]
fn entries_of_unknown_groups_are_put_aside() {
    let mut world = World::new();
    let (mut maria, mut bob, group) = pair(&mut world);
    let mut other = world.device("other");
    maria.say(&group, "for members");
    world.post(&mut maria);
    let log = bob.pending(&world.hub, &group);
    let summary = other.receive(&log);
    assert_eq!((summary.deferred as usize, other.news()), (log.len(), vec![]));
    assert!(other.client.groups().unwrap().is_empty());
}

#[test]
fn a_welcome_with_another_commit_or_to_another_package_opens_nothing() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut []);
    let (one, other) = (bob.package(), bob.package());
    maria.client.change(&group, Change::Add(vec![one.clone()])).unwrap();
    world.sync(&mut maria);
    let honest = world.hub.welcomes(&[one.id()]).remove(0);
    let EntryBody::Welcome { commit_header, commit_body, package, welcome } = honest.body.clone() else { panic!() };
    let mut wrong_body = commit_body.clone();
    wrong_body[9] ^= 1;
    let lies = [
        EntryBody::Welcome {
            commit_header: commit_header.clone(),
            commit_body: wrong_body,
            package,
            welcome: welcome.clone(),
        },
        EntryBody::Welcome { commit_header, commit_body, package: other.id(), welcome },
    ];
    for body in lies {
        bob.receive(&[convivio::log::LogEntry { body, ..honest.clone() }]);
        assert_eq!(bob.news(), [], "a hub could fill the inbox with it");
        assert!(bob.client.groups().unwrap().is_empty());
    }
    assert_eq!(bob.client.package_ids().unwrap().len(), 2, "the package is still good");
    bob.receive(&[honest]);
    assert!(matches!(bob.news()[..], [EventKind::Invitation { .. }]));
}

#[test]
fn clocks_do_not_decide_what_is_valid() {
    let mut world = World::new();
    let (mut maria, mut bob, group) = pair(&mut world);
    let before = world.clock.now();
    world.clock.advance(3 * 60 * MINUTE);
    maria.client.change(&group, Change::Heal).unwrap();
    world.sync(&mut maria);
    assert_eq!(maria.client.group(&group).unwrap().state().time(), Timestamp(before.0 + 3 * 60 * MINUTE));
    // Bob's clock is three hours slow: he takes the commit, and is told.
    world.clock.advance(0u64.wrapping_sub(3 * 60 * MINUTE));
    bob.news();
    world.quiet(&mut [&mut bob, &mut maria]);
    assert!(bob.news().contains(&EventKind::ClockSkew));
    agree(&group, &mut [&mut maria, &mut bob]);
    // And his own commit does not go back in time.
    bob.client.change(&group, Change::Heal).unwrap();
    world.quiet(&mut [&mut bob, &mut maria]);
    agree(&group, &mut [&mut maria, &mut bob]);
}
