//! Garbage in the log: whoever wants to commit asks first whether the others are still here.

mod support;

use convivio::GroupId;
use convivio::client::{Change, EventKind};
use convivio::group::Role;
use convivio::log::{Post, PostBody, PostReply};
use support::*;

/// Posts a commit that is no commit of this group.
fn litter(world: &mut World, group: &GroupId) {
    let mut stranger = world.device("stranger");
    let elsewhere = world.group(&mut stranger, &mut []);
    stranger.client.change(&elsewhere, Change::Heal).unwrap();
    let PostBody::Commit { commit, .. } = stranger.outbox().remove(0).body else { panic!("not a commit") };
    let body = PostBody::Commit { commit, welcome: None };
    let domain = stranger.user.domain().clone();
    let posts = (0..100).map(|after| Post { group: *group, after, body: body.clone() });
    let taken = posts.map(|post| world.hub.post(&domain, &post)).any(|reply| reply == PostReply::Accepted);
    assert!(taken, "the hub does not take it");
}

fn three() -> (World, [Device; 3], GroupId) {
    let mut world = World::new();
    let (mut maria, mut bob, mut anna) = (world.device("maria"), world.device_of(1, "bob"), world.device("anna"));
    let group = world.group(&mut maria, &mut [&mut bob, &mut anna]);
    world.quiet(&mut [&mut maria, &mut bob, &mut anna]);
    (world, [maria, bob, anna], group)
}

#[test]
fn a_reader_answers_without_a_word_to_its_app() {
    let (mut world, [mut maria, mut bob, mut anna], group) = three();
    maria.client.change(&group, Change::Role(bob.user.clone(), Role::Reader)).unwrap();
    world.quiet(&mut [&mut maria, &mut bob, &mut anna]);
    litter(&mut world, &group);
    world.sync(&mut maria);
    let epoch = maria.epoch(&group);
    maria.client.change(&group, Change::Heal).unwrap();
    world.sync(&mut maria);
    assert_eq!(maria.epoch(&group), epoch, "she waits");
    world.sync(&mut bob);
    let due = bob.client.wake_at().unwrap().expect("an answer falls due");
    assert!(due < world.clock.now().after(30));
    world.clock.advance(30);
    bob.news();
    world.sync(&mut bob);
    let news = bob.news();
    assert!(!news.iter().any(|what| matches!(what, EventKind::MessageDropped { .. })), "{news:?}");
    // Anna's is the second word that Maria waits for.
    world.sync(&mut anna);
    world.clock.advance(30);
    world.sync(&mut anna);
    world.sync(&mut maria);
    assert_eq!(maria.epoch(&group), epoch + 1);
    world.quiet(&mut [&mut bob, &mut anna, &mut maria]);
    assert_eq!((bob.queued(&group), maria.queued(&group)), (0, 0));
}

#[test]
fn who_gets_no_answer_goes_on_and_is_not_woken_for_it_again() {
    let (mut world, [mut maria, mut bob, mut anna], group) = three();
    litter(&mut world, &group);
    world.sync(&mut maria);
    let epoch = maria.epoch(&group);
    maria.client.change(&group, Change::Heal).unwrap();
    world.sync(&mut maria);
    assert_eq!(maria.client.wake_at().unwrap(), Some(world.clock.now().after(MINUTE)));
    world.clock.advance(MINUTE);
    world.sync(&mut maria);
    assert_eq!(maria.epoch(&group), epoch + 1, "nobody answered");
    let next = maria.client.wake_at().unwrap();
    assert!(next.is_none_or(|at| at > world.clock.now()), "{next:?}");
    world.quiet(&mut [&mut maria, &mut bob, &mut anna]);
    agree(&group, &mut [&mut maria, &mut bob, &mut anna]);
}

#[test]
fn a_leave_does_not_overtake_a_change_that_renews_its_key() {
    let (mut world, [mut maria, mut bob, mut anna], group) = three();
    litter(&mut world, &group);
    world.sync(&mut anna);
    anna.client.change(&group, Change::Heal).unwrap();
    anna.client.change(&group, Change::Leave).unwrap();
    world.sync(&mut anna);
    world.clock.advance(MINUTE);
    world.sync(&mut anna);
    world.quiet(&mut [&mut maria, &mut bob, &mut anna]);
    for _ in 0..3 {
        world.clock.advance(MINUTE);
        world.quiet(&mut [&mut maria, &mut bob, &mut anna]);
    }
    assert!(!maria.has(&group, &anna.user) && !bob.has(&group, &anna.user));
}
