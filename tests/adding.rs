//! People and devices are added to a group.

mod support;

use convivio::ErrorKind;
use convivio::client::{Change, EventKind};
use convivio::group::Effect;
use convivio::identity::UnverifiedKeyPackage;
use convivio::limits::KEY_PACKAGE_LIFETIME;
use support::*;

#[test]
fn many_at_once_in_one_commit() {
    let mut world = World::new();
    let mut maria = world.device("maria");
    let mut guests: Vec<Device> = (0..20).map(|i| world.device_of(i % 2, &format!("guest{i}"))).collect();
    let group = world.group(&mut maria, &mut guests.iter_mut().collect::<Vec<_>>());
    assert_eq!(maria.epoch(&group), 1);
    guests[7].say(&group, "so many of us");
    let mut all: Vec<&mut Device> = guests.iter_mut().collect();
    all.push(&mut maria);
    world.quiet(&mut all);
    agree(&group, &mut all);
    let heard = all.iter().filter(|device| device.heard() == [("guest7".to_owned(), "so many of us".to_owned())]);
    assert_eq!(heard.count(), 20);
    assert_eq!(all[0].client.group(&group).unwrap().state().users().len(), 21);
}

#[test]
fn a_user_brings_devices_without_any_role() {
    let mut world = World::new();
    let (mut maria, mut phone, mut laptop) =
        (world.device("maria"), world.device_of(1, "bob"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut phone]);
    world.bring_in(group, &mut phone, &mut [&mut laptop]);
    world.quiet(&mut [&mut maria, &mut phone, &mut laptop]);
    agree(&group, &mut [&mut maria, &mut phone, &mut laptop]);
    let bob = phone.user.clone();
    assert_eq!(maria.client.group(&group).unwrap().devices(&bob).count(), 2);
    assert!(matches!(&maria.effects()[..], [Effect::Added(..), Effect::DeviceAdded(user, _)] if *user == bob));

    laptop.say(&group, "from the laptop");
    world.quiet(&mut [&mut laptop, &mut phone, &mut maria]);
    assert_eq!(phone.heard(), [("bob".to_owned(), "from the laptop".to_owned())]);
    assert_eq!(maria.heard(), phone.heard());
}

#[test]
fn a_member_may_not_add_others() {
    let mut world = World::new();
    let (mut maria, mut bob, mut eve) = (world.device("maria"), world.device_of(1, "bob"), world.device_of(1, "eve"));
    let group = world.group(&mut maria, &mut [&mut bob]);
    assert_eq!(bob.dropped(&mut world, &group, Change::Add(vec![eve.package()])), ErrorKind::NotAllowed);
    assert!(!bob.has(&group, &eve.user));
}

#[test]
fn nothing_is_added_twice() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut []);
    let (one, other) = (bob.package(), bob.package());
    // The same package twice, and two packages of one device.
    let twice = Change::Add(vec![one.clone(), one.clone()]);
    assert_eq!(maria.dropped(&mut world, &group, twice), ErrorKind::Malformed);
    assert_eq!(maria.dropped(&mut world, &group, Change::Add(vec![one.clone(), other.clone()])), ErrorKind::NotAllowed);
    assert_eq!(maria.epoch(&group), 0);
    // A device that is in already.
    maria.client.change(&group, Change::Add(vec![one])).unwrap();
    world.sync(&mut maria);
    assert_eq!(maria.dropped(&mut world, &group, Change::Add(vec![other])), ErrorKind::NotAllowed);
    assert_eq!(maria.epoch(&group), 1);
}

#[test]
fn a_one_time_package_opens_one_welcome() {
    let mut world = World::new();
    let (mut maria, mut anna, mut bob) = (world.device("maria"), world.device("anna"), world.device_of(1, "bob"));
    let package = bob.package();
    let groups = [world.group(&mut maria, &mut []), world.group(&mut anna, &mut [])];
    for (device, group) in [(&mut maria, &groups[0]), (&mut anna, &groups[1])] {
        device.client.change(group, Change::Add(vec![package.clone()])).unwrap();
        world.sync(device);
    }
    world.sync(&mut bob);
    world.sync(&mut bob);
    let invitations = bob.news().into_iter().filter(|what| matches!(what, EventKind::Invitation { .. })).count();
    assert_eq!((invitations, bob.client.groups().unwrap().len()), (1, 1));
    assert!(bob.client.package_ids().unwrap().is_empty(), "the private half is erased");
}

#[test]
fn a_last_resort_package_serves_twice_and_its_user_heals_at_once() {
    let mut world = World::new();
    let (mut maria, mut anna, mut bob) = (world.device("maria"), world.device("anna"), world.device_of(1, "bob"));
    let package = bob.client.last_resort_package().unwrap();
    let package = UnverifiedKeyPackage::from_bytes(&package.to_bytes()).unwrap();
    for inviter in [&mut maria, &mut anna] {
        let group = world.group(inviter, &mut []);
        inviter.client.change(&group, Change::Add(vec![package.clone()])).unwrap();
        world.sync(inviter);
        world.sync(&mut bob);
        bob.client.answer(&group, convivio::client::Answer::Accept).unwrap();
        world.quiet(&mut [&mut bob, inviter]);
        agree(&group, &mut [&mut bob, inviter]);
        assert_eq!(inviter.epoch(&group), 2, "the joiner has renewed the keys that are in the package");
        assert!(matches!(inviter.effects().last(), Some(Effect::Healed(user, _)) if *user == bob.user));
    }
}

#[test]
fn only_users_of_listed_apps() {
    let mut world = World::new();
    let (mut maria, mut zoe) = (world.device("maria"), world.device_of(2, "zoe"));
    let group = world.group(&mut maria, &mut []);
    assert_eq!(maria.refused(&group, Change::Add(vec![zoe.package()])), ErrorKind::NotAllowed);
    assert_eq!((maria.queued(&group), maria.epoch(&group)), (0, 0));
}

#[test]
fn an_expired_package_is_refused_at_once_or_when_its_turn_comes() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut []);
    let (one, other) = (bob.package(), bob.package());
    maria.client.change(&group, Change::Add(vec![one])).unwrap();
    world.clock.advance(KEY_PACKAGE_LIFETIME + 1);
    assert_eq!(maria.refused(&group, Change::Add(vec![other])), ErrorKind::Expired);
    world.sync(&mut maria);
    let news = maria.news();
    assert!(matches!(news[..], [EventKind::IntentDropped { why: ErrorKind::Expired, .. }]), "{news:?}");
    assert!(!maria.has(&group, &bob.user));
}

#[test]
fn nobody_swaps_the_init_key() {
    let mut world = World::new();
    let (mut maria, mut bob, mut eve) = (world.device("maria"), world.device_of(1, "bob"), world.device_of(1, "eve"));
    let group = world.group(&mut maria, &mut []);
    let (mut package, eves) = (bob.package().to_bytes(), eve.package().to_bytes());
    let key = package.len() - 1_216;
    package[key..].copy_from_slice(&eves[eves.len() - 1_216..]);
    let swapped = UnverifiedKeyPackage::from_bytes(&package).unwrap();
    assert_eq!(maria.refused(&group, Change::Add(vec![swapped])), ErrorKind::Unauthentic);
}
