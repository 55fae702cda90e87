//! A message that comes after a commit is of an epoch that has ended: void, and sent again under the same id.

mod support;

use convivio::client::{Change, EventKind};
use convivio::log::{EntryBody, Post, PostReply};
use support::*;

#[test]
fn a_message_that_lost_to_a_commit_is_delivered_once_under_its_id() {
    for order in interleavings(2, 2) {
        let mut world = World::new();
        let (mut maria, mut bob, mut anna) = (world.device("maria"), world.device_of(1, "bob"), world.device("anna"));
        let group = world.group(&mut maria, &mut [&mut bob, &mut anna]);
        world.quiet(&mut [&mut maria, &mut bob, &mut anna]);
        maria.client.change(&group, Change::Heal).unwrap();
        let id = bob.say(&group, "ciao");
        // Both are encrypted in the same epoch before either is posted.
        maria.outbox();
        bob.outbox();
        let mut posted = [false; 2];
        for actor in order {
            let device = if actor == 0 { &mut maria } else { &mut bob };
            if core::mem::replace(&mut posted[actor], true) {
                world.read(device);
            } else {
                world.post(device);
            }
        }
        world.quiet(&mut [&mut maria, &mut bob, &mut anna]);
        let once = [(id, "bob".to_owned(), "ciao".to_owned())];
        assert_eq!((maria.messages(), anna.messages()), (once.to_vec(), once.to_vec()));
        agree(&group, &mut [&mut maria, &mut bob, &mut anna]);
    }
}

#[test]
fn logged_after_the_commit_it_is_void_for_everyone_and_its_author_sends_it_again() {
    let mut world = World::new();
    let (mut maria, mut bob, mut anna) = (world.device("maria"), world.device_of(1, "bob"), world.device("anna"));
    let group = world.group(&mut maria, &mut [&mut bob, &mut anna]);
    world.quiet(&mut [&mut maria, &mut bob, &mut anna]);
    let ids = [bob.say(&group, "one"), bob.say(&group, "two")];
    let posts = bob.outbox();
    maria.client.change(&group, Change::Heal).unwrap();
    world.sync(&mut maria);
    // A hub that does not spare anyone the round trip takes them behind the commit.
    let last = anna.pending(&world.hub, &group).last().unwrap().seq;
    for post in &posts {
        let reply = world.hub.post(bob.user.domain(), &Post { after: last, ..post.clone() });
        assert_eq!(reply, PostReply::Accepted);
        bob.client.posted(post, reply).unwrap();
    }
    anna.news();
    world.sync(&mut anna);
    assert_eq!((anna.heard(), anna.news().last()), (vec![], Some(&EventKind::Void { entries: 2 })));
    world.quiet(&mut [&mut bob, &mut maria, &mut anna]);
    let expected = [(ids[0], "one"), (ids[1], "two")].map(|(id, text)| (id, "bob".to_owned(), text.to_owned()));
    assert_eq!((maria.messages(), anna.messages()), (expected.to_vec(), expected.to_vec()));
    assert_eq!(bob.queued(&group), 0);
    // The second encryption shares nothing with the first.
    let leaf = anna.client.group(&group).unwrap().own_index();
    let log = world.hub.fetch(&convivio::client::Subscription { group, leaf, next: 1 });
    let frames: Vec<_> =
        log.iter().filter_map(|e| if let EntryBody::Message(f) = &e.body { Some(f) } else { None }).collect();
    assert_eq!(frames.len(), 4);
    assert!(frames[0][21..37] != frames[2][21..37] && frames[0][45..61] != frames[2][45..61]);
}

#[test]
fn a_removed_member_does_not_read_what_was_encrypted_before_the_removal_and_posted_after_it() {
    let mut world = World::new();
    let (mut maria, mut bob, mut anna) = (world.device("maria"), world.device_of(1, "bob"), world.device("anna"));
    let group = world.group(&mut maria, &mut [&mut bob, &mut anna]);
    world.quiet(&mut [&mut maria, &mut bob, &mut anna]);
    anna.say(&group, "not for Bob");
    anna.outbox();
    maria.client.change(&group, Change::Remove(bob.user.clone())).unwrap();
    world.sync(&mut maria);
    world.quiet(&mut [&mut anna, &mut maria, &mut bob]);
    assert_eq!((maria.heard().len(), bob.heard().len()), (1, 0));
}

#[test]
fn nothing_is_lost_over_a_restart_between_encryption_and_echo() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut bob]);
    world.quiet(&mut [&mut maria, &mut bob]);
    let id = bob.say(&group, "kept");
    bob.restart();
    let first = bob.outbox();
    bob.restart();
    assert_eq!(bob.outbox(), first, "the same bytes again, so no key is used twice");
    maria.client.change(&group, Change::Heal).unwrap();
    world.sync(&mut maria);
    world.read(&mut bob);
    bob.restart();
    assert_ne!(bob.outbox(), first);
    world.quiet(&mut [&mut bob, &mut maria]);
    assert_eq!(maria.messages(), [(id, "bob".to_owned(), "kept".to_owned())]);
}

#[test]
fn an_echo_tells_the_author_which_message_is_delivered() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut bob]);
    world.quiet(&mut [&mut maria, &mut bob]);
    let id = bob.say(&group, "did it arrive?");
    world.post(&mut bob);
    let log = bob.pending(&world.hub, &group);
    let summary = bob.receive(&log);
    assert_eq!((summary.echoes, bob.queued(&group)), (vec![id], 0));
    let summary = bob.receive(&log);
    assert_eq!((summary.echoes.len(), summary.duplicates), (0, 1));
}
