//! Members leave, and others take them out.

mod support;

use convivio::ErrorKind;
use convivio::client::{Answer, Change, EventKind, Status};
use convivio::group::{Effect, Role};
use support::*;

#[test]
fn whoever_is_there_commits_it_after_a_short_while() {
    let mut world = World::new();
    let (mut maria, mut anna) = (world.device("maria"), world.device("anna"));
    let (mut phone, mut laptop) = (world.device_of(1, "bob"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut anna, &mut phone, &mut laptop]);
    world.quiet(&mut [&mut maria, &mut anna, &mut phone, &mut laptop]);
    anna.news();
    phone.client.change(&group, Change::Leave).unwrap();
    assert_eq!(phone.status(&group), Status::Leaving);
    assert_eq!(phone.client.send(&group, b"one more thing").unwrap_err().kind(), ErrorKind::Misuse);
    assert_eq!(phone.refused(&group, Change::Leave), ErrorKind::Misuse);
    world.sync(&mut phone);
    // An ordinary member is enough; the user's other device is not.
    world.sync(&mut laptop);
    assert_eq!(laptop.client.wake_at().unwrap().filter(|at| *at < world.clock.now().after(MINUTE)), None);
    world.sync(&mut anna);
    let due = anna.client.wake_at().unwrap().expect("a leave waits to be committed");
    assert!(due <= world.clock.now().after(30));
    if due > world.clock.now() {
        assert!(anna.outbox().is_empty(), "not before its time");
    }
    world.clock.advance(30);
    world.quiet(&mut [&mut anna]);
    assert_eq!(anna.effects(), [Effect::Left(phone.user.clone())]);
    world.quiet(&mut [&mut maria, &mut anna, &mut phone, &mut laptop]);
    agree(&group, &mut [&mut maria, &mut anna]);
    for device in [&mut phone, &mut laptop] {
        assert_eq!((device.status(&group), device.news().last()), (Status::Removed, Some(&EventKind::Removed)));
    }
}

#[test]
fn two_who_commit_it_at_once_do_it_once() {
    let mut world = World::new();
    let (mut maria, mut anna, mut bob) = (world.device("maria"), world.device("anna"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut anna, &mut bob]);
    world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
    bob.client.change(&group, Change::Leave).unwrap();
    world.quiet(&mut [&mut bob, &mut maria, &mut anna]);
    let epoch = maria.epoch(&group);
    world.clock.advance(MINUTE);
    let (ours, theirs) = (maria.outbox(), anna.outbox());
    assert_eq!((ours.len(), theirs.len()), (1, 1));
    world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
    agree(&group, &mut [&mut maria, &mut anna]);
    assert_eq!(maria.epoch(&group), epoch + 1);
    let noise = |what: &EventKind| matches!(what, EventKind::IntentDropped { .. });
    assert!(!maria.news().iter().chain(&anna.news()).any(noise), "nobody asked for it, so nobody is told");
}

#[test]
fn a_leave_holds_over_epochs_and_restarts_and_own_commits_queued_before_it() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut bob]);
    // Bob's own commit renews the leaf whose key signs the leave.
    bob.client.change(&group, Change::Heal).unwrap();
    bob.client.change(&group, Change::Leave).unwrap();
    world.quiet(&mut [&mut bob, &mut maria]);
    maria.client.change(&group, Change::Heal).unwrap();
    world.quiet(&mut [&mut maria]);
    maria.restart();
    bob.restart();
    world.clock.advance(MINUTE);
    world.quiet(&mut [&mut maria, &mut bob]);
    assert!(!maria.has(&group, &bob.user));
    assert_eq!(bob.status(&group), Status::Removed);
}

#[test]
fn who_left_is_not_barred() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let mut policy = world.policy();
    policy.add = Role::Member;
    let group = world.group_under(policy, &mut maria, &mut [&mut bob]);
    let mut anna = world.device("anna");
    world.bring_in(group, &mut maria, &mut [&mut anna]);
    world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
    bob.client.change(&group, Change::Leave).unwrap();
    world.quiet(&mut [&mut bob, &mut maria]);
    world.clock.advance(MINUTE);
    world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
    bob.client.forget(&group).unwrap();
    world.bring_in(group, &mut anna, &mut [&mut bob]);
    world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
    agree(&group, &mut [&mut maria, &mut anna, &mut bob]);
}

#[test]
fn the_last_owner_stays_until_there_is_another() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut bob]);
    assert_eq!(maria.refused(&group, Change::Leave), ErrorKind::NotAllowed);
    assert_eq!(maria.status(&group), Status::Active);
    // Nor by giving the role away to nobody.
    let demote = Change::Role(maria.user.clone(), Role::Member);
    assert_eq!(maria.dropped(&mut world, &group, demote), ErrorKind::NotAllowed);
    maria.client.change(&group, Change::Role(bob.user.clone(), Role::Owner)).unwrap();
    world.quiet(&mut [&mut maria, &mut bob]);
    maria.client.change(&group, Change::Leave).unwrap();
    world.quiet(&mut [&mut maria, &mut bob]);
    world.clock.advance(MINUTE);
    world.quiet(&mut [&mut bob, &mut maria]);
    assert_eq!((maria.status(&group), bob.has(&group, &maria.user)), (Status::Removed, false));
    assert_eq!(bob.refused(&group, Change::Leave), ErrorKind::Misuse, "alone, there is nobody to ask");
}

#[test]
fn two_owners_who_leave_at_once_do_not_leave_the_group_without_one() {
    let mut world = World::new();
    let (mut maria, mut anna, mut bob) = (world.device("maria"), world.device("anna"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut anna, &mut bob]);
    maria.client.change(&group, Change::Role(anna.user.clone(), Role::Owner)).unwrap();
    world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
    maria.client.change(&group, Change::Leave).unwrap();
    anna.client.change(&group, Change::Leave).unwrap();
    world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
    for _ in 0..3 {
        world.clock.advance(MINUTE);
        world.quiet(&mut [&mut bob, &mut maria, &mut anna]);
    }
    let state = bob.client.group(&group).unwrap();
    let owners = state.state().users().filter(|(_, user)| user.role == Role::Owner).count();
    assert_eq!((owners, state.status(), state.queued()), (1, Status::Active, 0));
    bob.say(&group, "who is left?");
    world.quiet(&mut [&mut bob, &mut maria, &mut anna]);
}

#[test]
fn declining_is_leaving() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut []);
    let package = bob.package();
    maria.client.change(&group, Change::Add(vec![package])).unwrap();
    world.quiet(&mut [&mut maria, &mut bob]);
    bob.client.answer(&group, Answer::Decline).unwrap();
    world.quiet(&mut [&mut bob, &mut maria]);
    world.clock.advance(MINUTE);
    world.quiet(&mut [&mut maria, &mut bob]);
    assert_eq!(maria.effects().last(), Some(&Effect::Left(bob.user.clone())));
    assert_eq!(bob.status(&group), Status::Removed);
}

/// Whoever leaves commits nobody else's leave any more: that commit would renew the leaf whose own leave is on its way,
/// and make its signature void.
#[test]
fn two_who_leave_are_both_taken_out_by_whoever_stays() {
    let mut world = World::new();
    let (mut maria, mut anna, mut bob) = (world.device("maria"), world.device("anna"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut anna, &mut bob]);
    world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
    bob.client.change(&group, Change::Leave).unwrap();
    world.sync(&mut bob);
    world.sync(&mut anna);
    anna.client.change(&group, Change::Leave).unwrap();
    world.sync(&mut anna);
    world.sync(&mut maria);
    world.clock.advance(MINUTE);
    // Anna's turn to take Bob out comes first.
    world.sync(&mut anna);
    world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
    assert_eq!(maria.client.group(&group).unwrap().state().users().count(), 1);
    assert_eq!((anna.status(&group), bob.status(&group)), (Status::Removed, Status::Removed));
}

#[test]
fn a_second_device_that_declines_leaves_the_first_in() {
    let mut world = World::new();
    let (mut maria, mut phone, mut laptop) =
        (world.device("maria"), world.device_of(1, "bob"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut phone]);
    world.quiet(&mut [&mut maria, &mut phone]);
    let package = laptop.package();
    maria.client.change(&group, Change::Add(vec![package])).unwrap();
    world.quiet(&mut [&mut maria, &mut phone, &mut laptop]);
    laptop.client.answer(&group, Answer::Decline).unwrap();
    world.quiet(&mut [&mut laptop, &mut maria, &mut phone]);
    world.clock.advance(MINUTE);
    world.quiet(&mut [&mut maria, &mut phone, &mut laptop]);
    assert_eq!((laptop.status(&group), phone.status(&group)), (Status::Removed, Status::Active));
    phone.say(&group, "still here");
    world.quiet(&mut [&mut phone, &mut maria]);
    assert_eq!(maria.heard().len(), 1);
    agree(&group, &mut [&mut maria, &mut phone]);
}

#[test]
fn what_a_leaving_reader_had_queued_is_given_back_and_not_told_as_sent() {
    let mut world = World::new();
    let (mut maria, mut bob, mut anna) = (world.device("maria"), world.device_of(1, "bob"), world.device("anna"));
    let group = world.group(&mut maria, &mut [&mut bob, &mut anna]);
    maria.client.change(&group, Change::Role(bob.user.clone(), Role::Reader)).unwrap();
    world.sync(&mut maria);
    let id = bob.say(&group, "too late");
    bob.client.change(&group, Change::Leave).unwrap();
    world.read(&mut bob);
    world.post(&mut bob);
    world.read(&mut bob);
    world.quiet(&mut [&mut maria, &mut anna]);
    assert_eq!(maria.heard(), []);
    assert_eq!(bob.sent(), []);
    let dropped = |what: &EventKind| matches!(what, EventKind::MessageDropped { id: of, .. } if *of == id);
    assert!(bob.news().iter().any(dropped));
}
