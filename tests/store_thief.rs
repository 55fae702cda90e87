//! Whoever has copied a device's store can use the key packages in it, until the device replaces them.

mod support;

use convivio::client::{Answer, Change};
use convivio::group::GroupInfo;
use convivio::identity::UnverifiedKeyPackage;
use support::*;

/// A heal closes the groups to the thief, not the packages that are published: those are in a directory that the
/// library does not see, so replacing them is a call of its own.
#[test]
fn replaced_key_packages_invite_the_owner_and_no_thief() {
    let mut world = World::new();
    let (mut maria, mut bob, mut thief) = (world.device("maria"), world.device_of(1, "bob"), world.device("unused"));
    let (old, stolen) = (bob.package(), bob.package());
    thief.open(bob.disk.copy());
    // What the copy is worth: an invitation by a package that was in it is the thief's as well.
    let first = world.group(&mut maria, &mut []);
    maria.client.change(&first, Change::Add(vec![stolen])).unwrap();
    world.sync(&mut maria);
    world.sync(&mut thief);
    assert_eq!(thief.client.groups().unwrap(), [first]);

    let fresh = bob.client.replace_key_packages(3).unwrap();
    let ids: Vec<_> = fresh.iter().map(|package| package.id()).collect();
    let mut held = bob.client.package_ids().unwrap();
    held.sort();
    let mut expected = ids.clone();
    expected.sort();
    assert_eq!(held, expected, "nothing old is held");
    // An inviter who took an old package from a stale directory reaches nobody here.
    let second = maria.client.create_group(world.policy(), GroupInfo::new("second", "").unwrap()).unwrap();
    maria.client.change(&second, Change::Add(vec![old])).unwrap();
    world.sync(&mut maria);
    bob.restart();
    world.sync(&mut bob);
    assert!(bob.client.groups().unwrap().is_empty());
    // By a new one the owner comes in, and the thief, who holds all the old keys and the same device key, does not.
    let third = maria.client.create_group(world.policy(), GroupInfo::new("third", "").unwrap()).unwrap();
    let package = UnverifiedKeyPackage::from_bytes(&fresh[0].to_bytes()).unwrap();
    maria.client.change(&third, Change::Add(vec![package])).unwrap();
    world.sync(&mut maria);
    world.sync(&mut thief);
    let welcomes = world.hub.welcomes(&ids);
    assert_eq!(welcomes.len(), 1);
    thief.receive(&welcomes);
    assert!(!thief.client.groups().unwrap().contains(&third));
    world.sync(&mut bob);
    bob.client.answer(&third, Answer::Accept).unwrap();
    bob.say(&third, "me");
    world.quiet(&mut [&mut bob, &mut maria]);
    assert_eq!(maria.heard(), [("bob".to_owned(), "me".to_owned())]);
}
