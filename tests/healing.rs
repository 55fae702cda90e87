//! A member renews its keys, and whoever stole the old ones is locked out.

mod support;

use convivio::client::{Change, EventKind};
use convivio::group::{Effect, Policy};
use convivio::log::PostReply;
use support::*;

#[test]
fn a_heal_is_one_commit_that_everyone_sees_and_every_key_is_new() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut bob]);
    world.quiet(&mut [&mut maria, &mut bob]);
    let keys = |device: &mut Device| {
        let view = device.client.group(&group).unwrap();
        let leaf = view.state().leaf(view.own_index()).unwrap();
        (leaf.signature_key().clone(), leaf.seal_key().clone(), leaf.hash(), *view.authenticator())
    };
    let before = keys(&mut bob);
    maria.news();
    let intent = bob.client.change(&group, Change::Heal).unwrap();
    world.quiet(&mut [&mut bob, &mut maria]);
    let after = keys(&mut bob);
    assert!(before.0 != after.0 && before.1 != after.1 && before.2 != after.2 && before.3 != after.3);
    agree(&group, &mut [&mut bob, &mut maria]);
    let healed = Effect::Healed(bob.user.clone(), bob.client.identity().unwrap().device());
    let seen = |intent| EventKind::Changed { by: bob.user.clone(), effects: vec![healed.clone()], intent };
    assert_eq!(maria.news(), [seen(None)]);
    assert_eq!(bob.events.last().unwrap().what, seen(Some(intent)));
}

#[test]
fn a_stolen_store_reads_until_its_owner_heals_and_no_further() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut bob]);
    world.quiet(&mut [&mut maria, &mut bob]);
    let stolen = bob.disk.copy();
    maria.say(&group, "before");
    world.quiet(&mut [&mut maria, &mut bob]);
    bob.client.change(&group, Change::Heal).unwrap();
    world.quiet(&mut [&mut bob, &mut maria]);
    maria.say(&group, "after");
    bob.say(&group, "me too");
    world.quiet(&mut [&mut maria, &mut bob]);
    assert_eq!(bob.heard().len(), 2);

    let mut thief = world.device("thief");
    thief.open(stolen);
    let log = thief.pending(&world.hub, &group);
    assert!(log.len() >= 4);
    thief.receive(&log);
    assert_eq!(thief.heard(), [("maria".to_owned(), "before".to_owned())]);
}

#[test]
fn a_policy_says_how_long_a_member_may_wait() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut bob]);
    world.quiet(&mut [&mut maria, &mut bob]);
    let epoch = maria.epoch(&group);
    world.clock.advance(7 * DAY - MINUTE);
    world.quiet(&mut [&mut maria, &mut bob]);
    assert_eq!(maria.epoch(&group), epoch);
    let due = bob.client.wake_at().unwrap().unwrap();
    assert!(due <= world.clock.now().after(2 * MINUTE), "{due}");
    maria.news();
    world.clock.advance(2 * MINUTE);
    world.quiet(&mut [&mut maria, &mut bob]);
    let healed: Vec<_> = maria.effects().into_iter().filter(|effect| matches!(effect, Effect::Healed(..))).collect();
    assert_eq!((healed.len(), maria.epoch(&group)), (2, epoch + 2), "each of the two, once");
    agree(&group, &mut [&mut maria, &mut bob]);
}

#[test]
fn a_policy_may_ask_for_none() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let mut policy = world.policy();
    policy.heal_after = 0;
    let group = world.group_under(policy, &mut maria, &mut [&mut bob]);
    world.quiet(&mut [&mut maria, &mut bob]);
    let epoch = maria.epoch(&group);
    world.clock.advance(60 * DAY);
    world.quiet(&mut [&mut maria, &mut bob]);
    assert_eq!((maria.epoch(&group), maria.client.wake_at().unwrap()), (epoch, None));
}

/// The first healing tried with a credential that has run out would be dropped with a reason, and so would the next:
/// an outbox drained every minute must not fill the inbox with what nobody asked for, nor wake the app for it.
#[test]
fn a_healing_that_cannot_be_is_not_tried_until_the_credential_is_renewed() {
    let mut world = World::new();
    let mut maria = world.device("maria");
    let group = world.group(&mut maria, &mut []);
    world.clock.advance(400 * DAY);
    maria.news();
    for _ in 0..10 {
        world.sync(&mut maria);
    }
    assert_eq!((maria.news(), maria.queued(&group), maria.client.wake_at().unwrap()), (vec![], 0, None));
    // An app that asks for one is told why it is not.
    assert_eq!(maria.dropped(&mut world, &group, Change::Heal), convivio::ErrorKind::Expired);
}

/// One that falls due and is refused by the hub is not made again before the next entry or an hour.
#[test]
fn a_refused_heal_rests() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let policy = Policy { heal_after: DAY, ..world.policy() };
    let group = world.group_under(policy, &mut maria, &mut [&mut bob]);
    world.clock.advance(2 * DAY);
    let refuse = |bob: &mut Device| {
        let posts = bob.client.outbox_of(&group, 9).unwrap();
        posts.iter().for_each(|post| bob.client.posted(post, PostReply::Refused).unwrap());
        posts.len()
    };
    assert_eq!((refuse(&mut bob), refuse(&mut bob)), (1, 0));
    assert_eq!(bob.client.wake_at().unwrap(), Some(world.clock.now().after(60 * 60)));
    world.clock.advance(60 * 60);
    assert_eq!((refuse(&mut bob), refuse(&mut bob)), (1, 0));
}

/// Its rest over, and nothing queued, a client asks to be woken for nothing.
#[test]
fn after_its_rest_a_refused_heal_wakes_nobody() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let policy = Policy { heal_after: 0, ..world.policy() };
    let group = world.group_under(policy, &mut maria, &mut [&mut bob]);
    bob.client.change(&group, Change::Heal).unwrap();
    let posts = bob.client.outbox_of(&group, 9).unwrap();
    posts.iter().for_each(|post| bob.client.posted(post, PostReply::Refused).unwrap());
    assert_eq!(bob.client.wake_at().unwrap(), Some(world.clock.now().after(60 * 60)));
    world.clock.advance(60 * 60);
    assert_eq!(bob.client.outbox_of(&group, 9).unwrap(), []);
    assert_eq!(bob.client.wake_at().unwrap(), None);
}
