//! Row 25, as far as there is no directory yet: a key package that is used twice.

use convivio::client::{Answer, Change, EventKind, Status};
use convivio::identity::UnverifiedKeyPackage;
use convivio::{ErrorKind, GroupId};

use crate::kit::Thief;
use crate::support::*;
use crate::witness::lasting;

/// Two people with a group each, and one who is to be in both.
fn inviters() -> (World, [Device; 2], Device, [GroupId; 2]) {
    let mut world = World::new();
    let (mut maria, mut carl, bob) = (world.device("maria"), world.device_of(1, "carl"), world.device("bob"));
    let groups = [world.group(&mut maria, &mut []), world.group(&mut carl, &mut [])];
    (world, [maria, carl], bob, groups)
}

fn invited(news: &[EventKind]) -> usize {
    news.iter().filter(|what| matches!(what, EventKind::Invitation { .. })).count()
}

fn again(package: &UnverifiedKeyPackage) -> Change {
    Change::Add(vec![package.clone()])
}

/// A directory that hands one package to two inviters makes no harm: the first welcome that its owner reads lets it in,
/// and with that the keys are gone.
#[test]
fn row_25_of_two_who_claimed_one_package_one_wins() {
    for first in [0, 1] {
        let (mut world, mut inviters, mut bob, groups) = inviters();
        let package = bob.package();
        for (inviter, group) in inviters.iter_mut().zip(groups) {
            inviter.client.change(&group, again(&package)).unwrap();
            world.sync(inviter);
            assert!(inviter.has(&group, &bob.user), "each inviter's commit is valid in its group");
        }
        let mut welcomes = world.hub.welcomes(&[package.id()]);
        assert_eq!(welcomes.len(), 2);
        welcomes.sort_by_key(|entry| entry.group != groups[first]);
        bob.receive(&welcomes[..1]);
        assert_eq!((invited(&bob.news()), bob.client.groups().unwrap()), (1, vec![groups[first]]));
        assert!(Thief::of(&bob).packages().is_empty(), "its private halves are gone");
        let before = lasting(&bob);
        for _ in 0..2 {
            bob.receive(&welcomes[1..]);
            bob.receive(&welcomes);
            bob.restart();
        }
        assert_eq!((bob.news(), lasting(&bob)), (vec![], before));

        // The other takes the dead leaf out and asks with a package of its own.
        let (other, group) = (&mut inviters[1 - first], groups[1 - first]);
        other.client.change(&group, Change::Remove(bob.user.clone())).unwrap();
        world.sync(other);
        world.bring_in(group, other, &mut [&mut bob]);
        bob.client.answer(&groups[first], Answer::Accept).unwrap();
        world.quiet(&mut [other, &mut bob]);
        agree(&group, &mut [other, &mut bob]);
        assert_eq!(bob.status(&groups[first]), Status::Active);
    }
}

/// Both at once in one group: the hub's order decides, and the other hears that there was nothing left to do.
#[test]
fn row_25_of_two_members_who_add_by_one_package_at_once_one_wins() {
    let (mut world, [mut maria, mut carl], mut bob, [group, _]) = inviters();
    world.bring_in(group, &mut maria, &mut [&mut carl]);
    maria.client.change(&group, Change::Role(carl.user.clone(), convivio::group::Role::Admin)).unwrap();
    world.quiet(&mut [&mut maria, &mut carl]);
    let package = bob.package();
    for member in [&mut maria, &mut carl] {
        member.news();
        member.client.change(&group, again(&package)).unwrap();
        assert_eq!(member.outbox().len(), 1, "made before either is posted");
    }
    world.post(&mut carl);
    world.quiet(&mut [&mut maria, &mut carl, &mut bob]);
    let dropped = maria.news().into_iter().find_map(|what| match what {
        EventKind::IntentDropped { why, .. } => Some(why),
        _ => None,
    });
    assert_eq!(dropped, Some(ErrorKind::NotAllowed));
    assert_eq!(invited(&bob.news()), 1);
    bob.client.answer(&group, Answer::Accept).unwrap();
    bob.say(&group, "here once");
    world.quiet(&mut [&mut maria, &mut carl, &mut bob]);
    assert_eq!((maria.heard().len(), carl.heard().len()), (1, 1));
    agree(&group, &mut [&mut maria, &mut carl, &mut bob]);
}

/// When one-time packages have run out there is one that may be used again. Who joins by it heals before anything is
/// said under its keys, and no welcome to it counts twice.
#[test]
fn row_25_a_last_resort_package_serves_all_and_its_owner_heals_at_once() {
    let (mut world, mut inviters, mut bob, groups) = inviters();
    let package = bob.client.last_resort_package().unwrap();
    let package = UnverifiedKeyPackage::from_bytes(&package.to_bytes()).unwrap();
    for (inviter, group) in inviters.iter_mut().zip(groups) {
        inviter.client.change(&group, again(&package)).unwrap();
        world.sync(inviter);
        world.sync(&mut bob);
        assert_eq!(invited(&bob.news()), 1);
        bob.client.answer(&group, Answer::Accept).unwrap();
        let joined = bob.epoch(&group);
        let leaf = |device: &mut Device| {
            device.client.group(&group).unwrap().state().leaf(convivio::LeafIndex(1)).unwrap().hash()
        };
        let by_package = leaf(&mut bob);
        bob.say(&group, "hello");
        world.quiet(&mut [inviter, &mut bob]);
        assert_eq!(bob.epoch(&group), joined + 1);
        assert_ne!(leaf(&mut bob), by_package, "a leaf of its own before the first word");
        assert_eq!(inviter.heard().len(), 1);
        agree(&group, &mut [inviter, &mut bob]);
    }
    bob.news();
    let (welcomes, before) = (world.hub.welcomes(&[package.id()]), lasting(&bob));
    assert_eq!(welcomes.len(), 2);
    bob.receive(&welcomes);
    assert_eq!((bob.news(), lasting(&bob)), (vec![], before.clone()));
    bob.client.forget(&groups[0]).unwrap();
    bob.receive(&welcomes);
    assert_eq!(bob.client.groups().unwrap(), [groups[1]], "not even once the group is forgotten");
    // It ends after a week.
    world.clock.advance(8 * DAY);
    assert_eq!(inviters[0].refused(&groups[0], again(&package)), ErrorKind::Expired);
}
