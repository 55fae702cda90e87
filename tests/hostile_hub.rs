//! A hub that shows whatever it likes. It may delay a group and hide things from a member; it may not stop a group,
//! empty a queue in silence, or bring a device down.

mod support;

use convivio::client::{Answer, Change, EventKind, Status};
use convivio::log::{EntryBody, LogEntry, Post, PostBody, PostReply};
use convivio::{ErrorKind, GroupId};
use support::*;

fn pair() -> (World, Device, Device, GroupId) {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut bob]);
    world.quiet(&mut [&mut maria, &mut bob]);
    maria.news();
    bob.news();
    (world, maria, bob, group)
}

/// Appends whatever the hub likes.
fn append(world: &mut World, group: GroupId, body: PostBody) {
    let domain = world.photos.domain().clone();
    let taken = (0..200)
        .any(|after| world.hub.post(&domain, &Post { group, after, body: body.clone() }) == PostReply::Accepted);
    assert!(taken, "the hub does not take its own garbage");
}

/// A commit and a frame of a group that has nothing to do with ours.
fn foreign(world: &mut World) -> (PostBody, Vec<u8>) {
    let mut eve = world.device("eve");
    let group = world.group(&mut eve, &mut []);
    eve.say(&group, "junk");
    let PostBody::Message(frame) = eve.outbox().remove(0).body else { panic!("not a message") };
    world.sync(&mut eve);
    eve.client.change(&group, Change::Heal).unwrap();
    (eve.outbox().remove(0).body, frame)
}

/// A commit that nobody can open, and a frame that says it is of the epoch after: nobody's signature is on either, so
/// they raise a doubt and no more. Every member goes on writing and reading, and the first who is heard ends it.
#[test]
fn two_made_up_posts_stop_nobody() {
    let (mut world, mut maria, mut bob, group) = pair();
    let (commit, mut frame) = foreign(&mut world);
    append(&mut world, group, commit);
    frame[1..17].copy_from_slice(group.as_bytes());
    frame[17..21].copy_from_slice(&u32::try_from(maria.epoch(&group) + 1).unwrap().to_be_bytes());
    append(&mut world, group, PostBody::Message(frame.clone()));
    append(&mut world, group, PostBody::Message(frame));
    for device in [&mut maria, &mut bob] {
        world.sync(device);
        let told = device.news().into_iter().filter(|what| *what == EventKind::Excluded).count();
        assert_eq!((told, device.status(&group)), (1, Status::Excluded), "told once");
        device.restart();
        assert_eq!(device.status(&group), Status::Excluded);
    }
    maria.say(&group, "are you there?");
    world.sync(&mut maria);
    assert_eq!(maria.queued(&group), 1, "kept past its echo while there is doubt");
    world.sync(&mut bob);
    assert!(bob.news().contains(&EventKind::Resumed));
    bob.say(&group, "I am");
    world.quiet(&mut [&mut bob, &mut maria]);
    assert!(maria.news().contains(&EventKind::Resumed));
    assert_eq!((maria.heard().len(), bob.heard().len()), (1, 1));
    agree(&group, &mut [&mut maria, &mut bob]);
}

#[test]
fn a_void_commit_before_an_own_one_doubles_nothing_and_makes_nobody_a_clone() {
    let (mut world, mut maria, mut bob, group) = pair();
    let (commit, _) = foreign(&mut world);
    append(&mut world, group, commit);
    maria.say(&group, "m0");
    world.sync(&mut maria);
    maria.client.change(&group, Change::Heal).unwrap();
    world.sync(&mut maria);
    maria.say(&group, "m1");
    world.sync(&mut maria);
    world.sync(&mut bob);
    bob.client.change(&group, Change::Heal).unwrap();
    world.quiet(&mut [&mut bob, &mut maria]);
    let heard: Vec<String> = bob.heard().into_iter().map(|(_, text)| text).collect();
    assert_eq!(heard, ["m0", "m1"]);
    assert!(!maria.events.iter().any(|event| event.what == EventKind::CloneSuspected));
    bob.say(&group, "both");
    world.quiet(&mut [&mut bob, &mut maria]);
    agree(&group, &mut [&mut maria, &mut bob]);
}

/// What the victim writes into an epoch that has ended before any sign of it, the hub can swallow, as it can swallow
/// any message. From the first sign on the victim knows, and keeps what it writes.
#[test]
fn a_commit_hidden_behind_another_entry_shows_with_the_next_frames() {
    let (mut world, mut maria, mut bob, group) = pair();
    maria.client.change(&group, Change::Heal).unwrap();
    world.sync(&mut maria);
    // One frame of a later epoch may be a flipped bit, two are a sign.
    maria.say(&group, "hello");
    maria.say(&group, "hello?");
    world.sync(&mut maria);
    let log = bob.pending(&world.hub, &group);
    assert_eq!(log.len(), 3);
    bob.receive(&[LogEntry { body: EntryBody::Request(None), ..log[0].clone() }]);
    bob.receive(&log[1..]);
    assert_eq!((bob.status(&group), bob.heard()), (Status::Excluded, vec![]));
    assert!(bob.news().contains(&EventKind::Excluded));
    bob.say(&group, "lost?");
    let PostBody::Message(frame) = bob.outbox().remove(0).body else { panic!("not a message") };
    let seq = bob.client.group(&group).unwrap().next_entry();
    bob.receive(&[LogEntry { group, seq, body: EntryBody::Message(frame) }]);
    assert_eq!(bob.queued(&group), 1);
    // Readmitted, Bob says it again, and it is heard once.
    bob.client.change(&group, Change::Rejoin).unwrap();
    world.post(&mut bob);
    world.sync(&mut maria);
    let request = maria.news().into_iter().find_map(|what| match what {
        EventKind::RejoinRequested { request, .. } => Some(request),
        _ => None,
    });
    maria.client.change(&group, Change::Readmit(request.unwrap())).unwrap();
    world.quiet(&mut [&mut maria, &mut bob]);
    assert_eq!(maria.heard(), [("bob".to_owned(), "lost?".to_owned())]);
    agree(&group, &mut [&mut maria, &mut bob]);
}

/// The hub numbers entries, and may number them up to the last number there is.
#[test]
fn no_sequence_number_is_too_high() {
    let (mut world, _, mut bob, _) = pair();
    let mut eve = world.device("eve");
    let group = world.group(&mut eve, &mut []);
    let package = bob.package();
    eve.client.change(&group, Change::Add(vec![package])).unwrap();
    world.sync(&mut eve);
    let mut welcome = world.hub.welcomes(&bob.client.package_ids().unwrap()).remove(0);
    welcome.seq = u64::MAX - 1;
    bob.receive(&[welcome]);
    bob.client.answer(&group, Answer::Accept).unwrap();
    for _ in 0..2 {
        bob.receive(&[LogEntry { group, seq: u64::MAX, body: EntryBody::Message(vec![0; 200]) }]);
        bob.restart();
        assert_eq!(bob.status(&group), Status::Active);
    }
}

#[test]
fn a_broken_welcome_shown_again_and_again_leaves_no_trace() {
    let (mut world, _, mut bob, _) = pair();
    let mut eve = world.device("eve");
    let group = world.group(&mut eve, &mut []);
    let package = bob.package();
    eve.client.change(&group, Change::Add(vec![package])).unwrap();
    world.sync(&mut eve);
    let honest = world.hub.welcomes(&bob.client.package_ids().unwrap()).remove(0);
    let mut broken = honest.clone();
    let EntryBody::Welcome { commit_body, .. } = &mut broken.body else { panic!("not a welcome") };
    commit_body.push(0);
    for _ in 0..20 {
        bob.receive(core::slice::from_ref(&broken));
    }
    assert_eq!(bob.news(), []);
    // And does not spend the package.
    bob.receive(&[honest]);
    assert!(matches!(bob.news()[..], [EventKind::Invitation { .. }]));
}

/// A group that is held is not entered anew by any welcome, since another group may bear its id: whoever was removed
/// forgets it, and is then asked like everyone.
#[test]
fn who_was_removed_and_is_added_again_is_asked_once_the_old_group_is_forgotten() {
    let (mut world, mut maria, mut bob, group) = pair();
    maria.client.change(&group, Change::Remove(bob.user.clone())).unwrap();
    world.sync(&mut maria);
    world.sync(&mut bob);
    let package = bob.package();
    maria.client.change(&group, Change::Add(vec![package])).unwrap();
    world.sync(&mut maria);
    world.sync(&mut bob);
    assert_eq!(bob.status(&group), Status::Removed);
    assert_eq!(bob.client.answer(&group, Answer::Accept).unwrap_err().kind(), ErrorKind::Misuse);
    bob.client.forget(&group).unwrap();
    bob.restart();
    world.sync(&mut bob);
    assert_eq!(bob.status(&group), Status::Invited);
    bob.client.answer(&group, Answer::Accept).unwrap();
    world.quiet(&mut [&mut bob, &mut maria]);
    agree(&group, &mut [&mut maria, &mut bob]);
}
