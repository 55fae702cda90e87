//! Being added is an invitation: nothing is read, shown or said before it is answered.

mod support;

use convivio::ErrorKind;
use convivio::client::{Answer, Change, EventKind, Status};
use convivio::group::{Effect, GroupInfo};
use support::*;

fn invited(world: &mut World) -> (Device, Device, convivio::GroupId) {
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut []);
    let package = bob.package();
    maria.client.change(&group, Change::Add(vec![package])).unwrap();
    maria.say(&group, "welcome, whoever comes");
    world.quiet(&mut [&mut maria, &mut bob]);
    (maria, bob, group)
}

#[test]
fn nothing_is_read_or_said_before_the_answer() {
    let mut world = World::new();
    let (mut maria, mut bob, group) = invited(&mut world);
    let news = bob.news();
    let [EventKind::Invitation { by, info, users }] = &news[..] else { panic!("{news:?}") };
    assert_eq!((by, info.name(), *users), (&maria.user, "Trip", 2));
    assert_eq!(bob.status(&group), Status::Invited);
    assert!(bob.client.subscriptions().unwrap().is_empty());
    assert_eq!(bob.client.send(&group, b"hm").unwrap_err().kind(), ErrorKind::Misuse);
    assert_eq!(bob.refused(&group, Change::Heal), ErrorKind::Misuse);
    // Even if the hub pushes what follows.
    let leaf = bob.client.group(&group).unwrap().own_index();
    let next = bob.client.group(&group).unwrap().next_entry();
    let log = world.hub.fetch(&convivio::client::Subscription { group, leaf, next });
    assert!(!log.is_empty());
    let summary = bob.receive(&log);
    assert_eq!((summary.deferred as usize, bob.news()), (log.len(), vec![]));
    // It is still an invitation after a restart, and after days.
    bob.restart();
    world.clock.advance(3 * DAY);
    world.quiet(&mut [&mut maria, &mut bob]);
    assert_eq!((bob.status(&group), bob.news()), (Status::Invited, vec![]));
}

#[test]
fn who_accepts_reads_everything_since_and_nothing_from_before() {
    let mut world = World::new();
    let (mut maria, mut anna) = (world.device("maria"), world.device("anna"));
    let group = world.group(&mut maria, &mut [&mut anna]);
    let mut bob = world.device_of(1, "bob");
    maria.say(&group, "before");
    world.quiet(&mut [&mut maria, &mut anna]);
    let package = bob.package();
    maria.client.change(&group, Change::Add(vec![package])).unwrap();
    maria.say(&group, "first");
    world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
    // The group goes on meanwhile, over several epochs.
    for text in ["second", "third"] {
        anna.client.change(&group, Change::Heal).unwrap();
        world.quiet(&mut [&mut anna, &mut maria, &mut bob]);
        anna.say(&group, text);
        world.quiet(&mut [&mut anna, &mut maria, &mut bob]);
    }
    assert_eq!(bob.heard(), []);
    bob.client.answer(&group, Answer::Accept).unwrap();
    world.quiet(&mut [&mut bob, &mut maria, &mut anna]);
    let said: Vec<String> = bob.heard().into_iter().map(|(_, text)| text).collect();
    assert_eq!(said, ["first", "second", "third"]);
    agree(&group, &mut [&mut maria, &mut anna, &mut bob]);
    bob.say(&group, "here I am");
    world.quiet(&mut [&mut bob, &mut maria, &mut anna]);
    assert_eq!(maria.heard().last().unwrap().1, "here I am");
}

#[test]
fn who_declines_is_taken_out_and_sees_nothing() {
    let mut world = World::new();
    let (mut maria, mut bob, group) = invited(&mut world);
    bob.news();
    bob.client.answer(&group, Answer::Decline).unwrap();
    assert_eq!(bob.status(&group), Status::Leaving);
    bob.restart();
    world.quiet(&mut [&mut bob, &mut maria]);
    world.clock.advance(MINUTE);
    world.quiet(&mut [&mut maria, &mut bob]);
    assert_eq!(maria.effects().last(), Some(&Effect::Left(bob.user.clone())));
    assert_eq!((bob.heard(), bob.status(&group)), (vec![], Status::Removed));
    assert_eq!(bob.news(), [EventKind::Removed]);
    // Declining bars nobody.
    bob.client.forget(&group).unwrap();
    world.bring_in(group, &mut maria, &mut [&mut bob]);
    world.quiet(&mut [&mut maria, &mut bob]);
    agree(&group, &mut [&mut maria, &mut bob]);
}

#[test]
fn an_invitation_by_a_last_resort_package_can_be_declined_too() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut []);
    let package = bob.client.last_resort_package().unwrap();
    let package = convivio::identity::UnverifiedKeyPackage::from_bytes(&package.to_bytes()).unwrap();
    maria.client.change(&group, Change::Add(vec![package])).unwrap();
    world.quiet(&mut [&mut maria, &mut bob]);
    bob.client.answer(&group, Answer::Decline).unwrap();
    for _ in 0..2 {
        world.quiet(&mut [&mut bob, &mut maria]);
        world.clock.advance(MINUTE);
    }
    assert!(!maria.has(&group, &bob.user));
}

#[test]
fn it_is_answered_once() {
    let mut world = World::new();
    let (_, mut bob, group) = invited(&mut world);
    bob.client.answer(&group, Answer::Accept).unwrap();
    for answer in [Answer::Accept, Answer::Decline] {
        assert_eq!(bob.client.answer(&group, answer).unwrap_err().kind(), ErrorKind::Misuse);
    }
    assert_eq!(bob.status(&group), Status::Active);
}

#[test]
fn an_invitation_can_be_withdrawn_before_the_answer() {
    let mut world = World::new();
    let (mut maria, mut bob, group) = invited(&mut world);
    maria.client.change(&group, Change::Remove(bob.user.clone())).unwrap();
    world.quiet(&mut [&mut maria, &mut bob]);
    bob.client.answer(&group, Answer::Accept).unwrap();
    world.quiet(&mut [&mut bob, &mut maria]);
    assert_eq!(bob.status(&group), Status::Removed);
    assert_eq!(maria.client.group(&group).unwrap().state().users().len(), 1);
}

#[test]
fn an_unanswered_invitation_can_be_forgotten() {
    let mut world = World::new();
    let (mut maria, mut bob, group) = invited(&mut world);
    bob.client.forget(&group).unwrap();
    assert_eq!(bob.client.group(&group).unwrap_err().kind(), ErrorKind::UnknownGroup);
    bob.restart();
    assert!(bob.client.groups().unwrap().is_empty());
    world.quiet(&mut [&mut maria, &mut bob]);
    assert!(
        bob.client.groups().unwrap().is_empty(),
        "the one-time package is gone, so the old welcome is not opened again"
    );
}

#[test]
fn a_device_that_its_own_user_adds_is_not_asked() {
    let mut world = World::new();
    let (mut maria, mut phone, mut laptop) =
        (world.device("maria"), world.device_of(1, "bob"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut phone]);
    let package = laptop.package();
    phone.client.change(&group, Change::Add(vec![package])).unwrap();
    world.quiet(&mut [&mut phone, &mut maria, &mut laptop]);
    let news = laptop.news();
    let [EventKind::Joined { by, info, users }] = &news[..] else { panic!("{news:?}") };
    assert_eq!((by, info.name(), *users), (&phone.user, "Trip", 2));
    assert_eq!(laptop.client.answer(&group, Answer::Decline).unwrap_err().kind(), ErrorKind::Misuse);
    laptop.say(&group, "from both now");
    world.quiet(&mut [&mut laptop, &mut phone, &mut maria]);
    assert_eq!((maria.heard().len(), phone.heard().len()), (1, 1));
    agree(&group, &mut [&mut maria, &mut phone, &mut laptop]);
}

#[test]
fn a_device_that_another_user_adds_is_asked_though_its_user_is_in() {
    let mut world = World::new();
    let (mut maria, mut phone, mut laptop) =
        (world.device("maria"), world.device_of(1, "bob"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut phone]);
    let package = laptop.package();
    maria.client.change(&group, Change::Add(vec![package])).unwrap();
    world.quiet(&mut [&mut maria, &mut phone, &mut laptop]);
    assert_eq!(laptop.status(&group), Status::Invited);
}

/// Someone vouched for under the same name with another identity key is not our user, and cannot pass for it.
#[test]
fn a_namesake_with_another_identity_key_adds_nobody() {
    let mut world = World::new();
    let mut bob = world.device_of(1, "bob");
    let mut elsewhere = World::with_faults(Default::default(), 2);
    let mut namesake = elsewhere.device_of(1, "bob");
    // The namesake's app has the same name and another root: in a group under that root Bob's own leaf does not verify.
    let group = namesake.client.create_group(elsewhere.policy(), GroupInfo::new("Trap", "").unwrap()).unwrap();
    let package = bob.package();
    let refused = namesake.client.change(&group, Change::Add(vec![package])).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotAllowed);
}
