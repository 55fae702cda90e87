//! Two members make sure that nobody sits between them, from what their clients know.

mod support;

use convivio::GroupId;
use convivio::client::{Change, EventKind};
use convivio::identity::{QrComparison, SafetyNumber};
use support::*;

/// The number as this device sees it: its own identity, and the other's as the group's roster has it.
fn number(device: &mut Device, other: &Device, group: &GroupId) -> SafetyNumber {
    let own = device.client.identity().unwrap();
    let (user, key) = (own.user().clone(), own.identity_key().clone());
    let view = device.client.group(group).unwrap();
    let theirs = view.state().user(&other.user).unwrap().identity.clone();
    SafetyNumber::new(&user, &key, &other.user, &theirs)
}

#[test]
fn members_compare_digits_and_codes_whichever_device_they_hold() {
    let mut world = World::new();
    let (mut maria, mut anna) = (world.device("maria"), world.device("anna"));
    let (mut phone, mut laptop) = (world.device_of(1, "bob"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut phone, &mut laptop, &mut anna]);
    world.quiet(&mut [&mut maria, &mut phone, &mut laptop, &mut anna]);
    let (ours, theirs) = (number(&mut maria, &phone, &group), number(&mut phone, &maria, &group));
    assert_eq!((ours.digits(), ours.digits().len()), (theirs.digits(), 60));
    assert_eq!(number(&mut laptop, &maria, &group).digits(), ours.digits());
    assert_eq!(ours.compare_qr(&theirs.qr()).unwrap(), QrComparison::Match);
    assert_eq!(theirs.compare_qr(&ours.qr()).unwrap(), QrComparison::Match);
    let annas = number(&mut anna, &phone, &group);
    assert_ne!(annas.digits(), ours.digits());
    assert_eq!(ours.compare_qr(&annas.qr()).unwrap(), QrComparison::OtherUsers);
    // It outlives changes of the group and of keys that are not the identity's.
    phone.client.change(&group, Change::Heal).unwrap();
    world.quiet(&mut [&mut maria, &mut phone, &mut laptop, &mut anna]);
    assert_eq!(number(&mut maria, &phone, &group).digits(), ours.digits());
}

#[test]
fn a_known_user_with_another_identity_key_is_reported_and_does_not_compare() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut bob]);
    world.quiet(&mut [&mut maria, &mut bob]);
    let before = number(&mut maria, &bob, &group);
    // Bob's app vouches for somebody else under his name.
    let mut somebody = {
        let mut other = World::with_faults(Default::default(), 99);
        core::mem::swap(&mut other.courier, &mut world.courier);
        let mut device = other.device_of(1, "bob");
        core::mem::swap(&mut other.courier, &mut world.courier);
        let package = device.package();
        (device, package)
    };
    assert_eq!(somebody.0.user, bob.user);
    // Beside Bob there is no place for it; in his place, everyone is told.
    let add = Change::Add(vec![somebody.1]);
    assert_eq!(maria.dropped(&mut world, &group, add.clone()), convivio::ErrorKind::NotAllowed);
    maria.client.change(&group, Change::Remove(bob.user.clone())).unwrap();
    world.sync(&mut maria);
    maria.news();
    maria.client.change(&group, add).unwrap();
    world.sync(&mut maria);
    assert!(maria.news().contains(&EventKind::IdentityChanged { user: bob.user.clone(), verified: false }));
    world.sync(&mut somebody.0);
    let after = number(&mut maria, &bob, &group);
    assert_ne!(before.digits(), after.digits());
    let bobs = SafetyNumber::new(
        &bob.user,
        bob.client.identity().unwrap().identity_key(),
        &maria.user,
        maria.client.identity().unwrap().identity_key(),
    );
    assert_eq!(after.compare_qr(&bobs.qr()).unwrap(), QrComparison::Mismatch);
    assert_eq!(before.compare_qr(&bobs.qr()).unwrap(), QrComparison::Match);
}
