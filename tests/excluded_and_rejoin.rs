//! A device that was lied to, or whose store is an old copy, stops, asks to be readmitted, and loses nothing.

mod support;

use convivio::ErrorKind;
use convivio::client::{Change, EventKind, Status};
use convivio::group::{Effect, GroupInfo, RejoinRequest};
use convivio::log::{EntryBody, LogEntry};
use convivio::{GroupId, MessageId};
use support::*;

/// Three members, quiet.
fn three() -> (World, [Device; 3], GroupId) {
    let mut world = World::new();
    let (mut maria, mut bob, mut anna) = (world.device("maria"), world.device_of(1, "bob"), world.device("anna"));
    let group = world.group(&mut maria, &mut [&mut bob, &mut anna]);
    world.quiet(&mut [&mut maria, &mut bob, &mut anna]);
    (world, [maria, bob, anna], group)
}

/// The entry that the hub makes of the honest one for its victim.
type Lie = fn(honest: &LogEntry, others: &LogEntry) -> EntryBody;

fn swapped_stanza(honest: &LogEntry, others: &LogEntry) -> EntryBody {
    match (honest.body.clone(), others.body.clone()) {
        (EntryBody::Commit { header, body, .. }, EntryBody::Commit { stanza, .. }) => {
            EntryBody::Commit { header, stanza, body }
        }
        _ => panic!("not a commit"),
    }
}

fn no_stanza(honest: &LogEntry, _: &LogEntry) -> EntryBody {
    let EntryBody::Commit { header, body, .. } = honest.body.clone() else { panic!("not a commit") };
    EntryBody::Commit { header, stanza: None, body }
}

fn swapped_body(honest: &LogEntry, _: &LogEntry) -> EntryBody {
    let EntryBody::Commit { header, stanza, mut body } = honest.body.clone() else { panic!("not a commit") };
    body[40] ^= 1;
    EntryBody::Commit { header, stanza, body }
}

fn swapped_header(honest: &LogEntry, _: &LogEntry) -> EntryBody {
    let EntryBody::Commit { mut header, stanza, body } = honest.body.clone() else { panic!("not a commit") };
    let last = header.len() - 1;
    header[last] ^= 1;
    EntryBody::Commit { header, stanza, body }
}

/// Shows the next commit to its victim as the lie has it.
fn lie(world: &World, lie: Lie, victim: &mut Device, other: &mut Device, group: &GroupId) {
    let honest = victim.pending(&world.hub, group).remove(0);
    let others = other.pending(&world.hub, group).remove(0);
    assert!(matches!(honest.body, EntryBody::Commit { .. }));
    victim.receive(&[LogEntry { body: lie(&honest, &others), ..honest }]);
}

/// Bob asks, Maria readmits, and all are together again.
fn rejoin(world: &mut World, [maria, bob, anna]: &mut [Device; 3], group: &GroupId) {
    bob.client.change(group, Change::Rejoin).unwrap();
    world.sync(bob);
    maria.news();
    world.quiet(&mut [maria, anna, bob]);
    assert_ne!(bob.status(group), Status::Active, "nothing happens by itself");
    let request = requested(maria, &bob.user).expect("a request");
    maria.client.change(group, Change::Readmit(Box::new(request))).unwrap();
    anna.news();
    world.quiet(&mut [maria, bob, anna]);
    let told = bob.news().into_iter().rfind(|what| !matches!(what, EventKind::Sent { .. }));
    assert_eq!(told, Some(EventKind::Rejoined { by: maria.user.clone() }));
    let device = bob.client.identity().unwrap().device();
    assert!(anna.effects().contains(&Effect::Rejoined(bob.user.clone(), device)), "everyone sees it");
    world.quiet(&mut [maria, bob, anna]);
    agree(group, &mut [maria, bob, anna]);
}

fn requested(by: &mut Device, whose: &convivio::identity::UserUri) -> Option<RejoinRequest> {
    by.news().into_iter().find_map(|what| match what {
        EventKind::RejoinRequested { user, request, .. } if user == *whose => Some(*request),
        _ => None,
    })
}

fn ids(device: &Device) -> Vec<MessageId> {
    device.messages().into_iter().map(|(id, ..)| id).collect()
}

#[test]
fn whoever_was_shown_another_commit_notices_at_the_next_thing_that_is_said_and_loses_nothing() {
    let lies: [Lie; 4] = [swapped_stanza, no_stanza, swapped_body, swapped_header];
    for (which, by_message) in (0..lies.len()).flat_map(|i| [(i, true), (i, false)]) {
        let (mut world, mut all, group) = three();
        let [maria, bob, anna] = &mut all;
        maria.client.change(&group, Change::Heal).unwrap();
        world.sync(maria);
        lie(&world, lies[which], bob, anna, &group);
        world.quiet(&mut [maria, anna]);
        // He writes on, none the wiser. The hub takes it; it counts for nobody.
        let first = bob.say(&group, "am I still heard?");
        world.sync(bob);
        assert_eq!(bob.status(&group), Status::Active);
        // Then something of the next epoch comes.
        if by_message {
            anna.say(&group, "what a day");
        } else {
            anna.client.change(&group, Change::Heal).unwrap();
        }
        world.quiet(&mut [anna, maria]);
        bob.news();
        world.sync(bob);
        assert_eq!(bob.status(&group), Status::Excluded, "{which}");
        assert!(bob.news().contains(&EventKind::Excluded));
        assert_eq!((bob.queued(&group), anna.heard().len()), (1, 0));
        bob.restart();
        rejoin(&mut world, &mut all, &group);
        let [maria, bob, anna] = &mut all;
        assert_eq!((ids(maria).contains(&first), ids(anna)), (true, vec![first]));
        assert_eq!(bob.queued(&group), 0);
    }
}

#[test]
fn a_request_is_used_once_and_only_by_who_is_in_the_group() {
    let (mut world, mut all, group) = three();
    let [maria, bob, anna] = &mut all;
    maria.client.change(&group, Change::Heal).unwrap();
    world.sync(maria);
    lie(&world, no_stanza, bob, anna, &group);
    anna.client.change(&group, Change::Heal).unwrap();
    world.quiet(&mut [anna, maria, bob]);
    assert_eq!(bob.status(&group), Status::Excluded);
    rejoin(&mut world, &mut all, &group);
    let [maria, bob, anna] = &mut all;
    // The hub shows the request again.
    let leaf = maria.client.group(&group).unwrap().own_index();
    let log = world.hub.fetch(&convivio::client::Subscription { group, leaf, next: 1 });
    let request = log.into_iter().find(|entry| matches!(entry.body, EntryBody::Request(_))).unwrap();
    let seq = maria.client.group(&group).unwrap().next_entry();
    maria.news();
    maria.receive(&[LogEntry { seq, ..request }]);
    assert_eq!(maria.news(), [EventKind::Void { entries: 1 }]);
    anna.say(&group, "fine");
    world.quiet(&mut [anna, bob]);
    assert_eq!(bob.heard().len(), 1);
}

#[test]
fn the_removed_do_not_return_by_asking() {
    let (mut world, mut all, group) = three();
    let [maria, bob, anna] = &mut all;
    maria.client.change(&group, Change::Remove(bob.user.clone())).unwrap();
    world.quiet(&mut [maria, bob, anna]);
    assert_eq!(bob.status(&group), Status::Removed);
    let request = bob.client.change(&group, Change::Rejoin).unwrap();
    world.sync(bob);
    maria.news();
    world.quiet(&mut [maria, anna]);
    assert_eq!(requested(maria, &bob.user), None);
    assert!(request.0 > 0 && !maria.has(&group, &bob.user));
}

#[test]
fn an_old_copy_of_a_store_is_noticed_before_anything_is_encrypted_twice() {
    let (mut world, mut all, group) = three();
    let [maria, bob, anna] = &mut all;
    let before = bob.say(&group, "before the copy");
    world.quiet(&mut [bob, maria, anna]);
    let backup = bob.disk.copy();
    let after = bob.say(&group, "after the copy");
    world.quiet(&mut [bob, maria, anna]);
    // The phone is set up again from last night's backup.
    bob.open(backup);
    let queued = bob.say(&group, "from the restored phone");
    bob.news();
    world.read(bob);
    assert_eq!(bob.news().last(), Some(&EventKind::RolledBack));
    assert_eq!((bob.status(&group), bob.outbox().len()), (Status::RolledBack, 0));
    bob.restart();
    rejoin(&mut world, &mut all, &group);
    let [maria, _, anna] = &mut all;
    assert_eq!((ids(maria), ids(anna)), (vec![before, after, queued], vec![before, after, queued]));
}

#[test]
fn a_copy_from_before_an_own_commit_is_excluded_and_rejoins() {
    let (mut world, mut all, group) = three();
    let [maria, bob, anna] = &mut all;
    let backup = bob.disk.copy();
    bob.client.change(&group, Change::Heal).unwrap();
    world.quiet(&mut [bob, maria, anna]);
    bob.open(backup);
    world.read(bob);
    maria.say(&group, "hello?");
    world.quiet(&mut [maria, anna]);
    world.read(bob);
    assert_eq!(bob.status(&group), Status::Excluded);
    rejoin(&mut world, &mut all, &group);
}

#[test]
fn a_queued_change_survives_a_rejoin_under_its_intent() {
    let (mut world, mut all, group) = three();
    let [maria, bob, anna] = &mut all;
    bob.client.change(&group, Change::Heal).unwrap();
    world.quiet(&mut [bob, maria, anna]);
    maria.client.change(&group, Change::Role(bob.user.clone(), convivio::group::Role::Admin)).unwrap();
    world.quiet(&mut [maria, bob, anna]);
    maria.client.change(&group, Change::Heal).unwrap();
    world.sync(maria);
    let intent = bob.client.change(&group, Change::Info(GroupInfo::new("Bob's idea", "").unwrap())).unwrap();
    lie(&world, no_stanza, bob, anna, &group);
    anna.say(&group, "hm");
    world.quiet(&mut [anna, maria]);
    world.read(bob);
    assert_eq!(bob.status(&group), Status::Excluded);
    bob.restart();
    bob.client.change(&group, Change::Rejoin).unwrap();
    world.sync(bob);
    world.quiet(&mut [maria, anna]);
    let request = requested(maria, &bob.user).unwrap();
    maria.client.change(&group, Change::Readmit(Box::new(request))).unwrap();
    world.quiet(&mut [maria, bob, anna]);
    let made = |what: &EventKind| matches!(what, EventKind::Changed { intent: Some(of), .. } if *of == intent);
    assert!(bob.news().iter().any(made));
    assert_eq!(anna.client.group(&group).unwrap().state().info().name(), "Bob's idea");
    agree(&group, &mut [maria, bob, anna]);
}

/// Nobody came for a while, so he asked again, and then two members let him in by one request each.
#[test]
fn a_device_that_asked_twice_may_be_readmitted_twice() {
    let (mut world, mut all, group) = three();
    let [maria, bob, anna] = &mut all;
    maria.client.change(&group, Change::Heal).unwrap();
    world.sync(maria);
    lie(&world, no_stanza, bob, anna, &group);
    anna.client.change(&group, Change::Heal).unwrap();
    world.quiet(&mut [anna, maria, bob]);
    assert_eq!(bob.status(&group), Status::Excluded);
    let said = bob.say(&group, "back soon");
    for readmitting in [&mut *maria, &mut *anna] {
        bob.client.change(&group, Change::Rejoin).unwrap();
        world.sync(bob);
        world.quiet(&mut [readmitting]);
        let last = |news: Vec<EventKind>| {
            news.into_iter().rev().find_map(|what| match what {
                EventKind::RejoinRequested { request, .. } => Some(request),
                _ => None,
            })
        };
        let request = last(readmitting.news()).expect("a request");
        readmitting.client.change(&group, Change::Readmit(request)).unwrap();
    }
    world.quiet(&mut [maria, anna]);
    world.quiet(&mut [bob, maria, anna]);
    assert_eq!(bob.status(&group), Status::Active);
    assert_eq!((ids(maria), ids(anna)), (vec![said], vec![said]));
    agree(&group, &mut [maria, bob, anna]);
}

#[test]
fn only_whoever_is_out_asks_to_come_back() {
    let (_, [mut maria, ..], group) = three();
    assert_eq!(maria.refused(&group, Change::Rejoin), ErrorKind::Misuse);
}

#[test]
fn in_a_group_of_two_the_other_readmits_however_often_it_has_committed_meanwhile() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut bob]);
    world.quiet(&mut [&mut maria, &mut bob]);
    for i in 0..5 {
        maria.client.change(&group, Change::Heal).unwrap();
        world.sync(&mut maria);
        if i == 0 {
            let honest = bob.pending(&world.hub, &group).remove(0);
            bob.receive(&[LogEntry { body: no_stanza(&honest, &honest), ..honest }]);
        }
        maria.restart();
    }
    bob.say(&group, "do you see me?");
    world.sync(&mut bob);
    assert_eq!(bob.status(&group), Status::Excluded);
    bob.client.change(&group, Change::Rejoin).unwrap();
    world.quiet(&mut [&mut bob, &mut maria]);
    let request = requested(&mut maria, &bob.user).expect("a request that can be read");
    maria.client.change(&group, Change::Readmit(Box::new(request))).unwrap();
    world.quiet(&mut [&mut maria, &mut bob]);
    agree(&group, &mut [&mut maria, &mut bob]);
    assert_eq!(maria.heard(), [("bob".to_owned(), "do you see me?".to_owned())]);
}

#[test]
fn two_copies_of_a_store_in_use_at_once_are_noticed_by_both() {
    let (mut world, [mut maria, mut bob, mut anna], group) = three();
    let mut copy = world.device("unused");
    copy.open(bob.disk.copy());
    bob.say(&group, "from the phone");
    copy.say(&group, "from the copy");
    let (ours, theirs) = (bob.outbox(), copy.outbox());
    let courier = world.courier.domain().clone();
    for post in ours.iter().chain(&theirs) {
        assert_eq!(world.hub.post(&courier, post), convivio::log::PostReply::Accepted);
    }
    bob.news();
    world.read(&mut bob);
    world.read(&mut copy);
    assert!(bob.news().contains(&EventKind::CloneSuspected));
    assert!(copy.news().contains(&EventKind::CloneSuspected));
    // For the others a place in the chain is used once, and nothing repeats: salts differ, so keys and nonces do.
    world.quiet(&mut [&mut maria, &mut anna]);
    assert_eq!(maria.heard(), [("bob".to_owned(), "from the phone".to_owned())]);
    assert_eq!(anna.heard(), maria.heard());
}
