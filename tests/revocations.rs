//! An app takes back its word on a user, a user theirs on a device, and groups follow (`docs/protocol.md`, section 3.7).

mod support;

use convivio::client::{Answer, Change, EventKind, Status};
use convivio::group::{Effect, Role};
use convivio::identity::{DeviceCertificate, Revocation, Revoked, UnverifiedDeviceIdentity};
use convivio::testing::App;
use convivio::{DeviceId, ErrorKind, GroupId, Timestamp, Validity, limits};
use support::*;

/// Courier takes back its word on this user, at this moment.
fn by_courier(world: &World, device: &mut Device) -> Revocation {
    let identity = device.client.identity().unwrap().identity_key().clone();
    world.courier.key().revoke(&device.user, &identity, world.clock.now()).unwrap()
}

/// A user of Courier's takes back their word on a device.
fn by_owner(world: &World, device: &mut Device) -> Revocation {
    let certificate = device.client.identity().unwrap().certificate().clone();
    let identity = world.identity(1, device.user.name());
    identity.revoke_device(&device.user, certificate.device(), certificate.serial(), world.clock.now()).unwrap()
}

/// Courier vouches for the user of this device from now on.
fn vouch_again(world: &World, device: &mut Device) {
    let present = device.client.identity().unwrap().clone();
    let validity = Validity::starting(world.clock.now(), DAY);
    let credential = world.courier.key().vouch(present.user(), present.identity_key(), validity).unwrap();
    let renewed = UnverifiedDeviceIdentity::new(credential, present.certificate().clone());
    let trust = App::trust(&[&world.courier]).unwrap();
    device.client.renew(renewed.verify(&trust, world.clock.now()).unwrap()).unwrap();
}

struct Story {
    world: World,
    maria: Device,
    anna: Device,
    bob: Device,
    group: GroupId,
}

/// Maria owns the group, Anna is a plain member, and Bob is of another app; members may add.
fn story() -> Story {
    let mut world = World::new();
    let (mut maria, mut anna, mut bob) = (world.device("maria"), world.device("anna"), world.device_of(1, "bob"));
    let mut rules = world.policy();
    rules.add = Role::Member;
    let group = world.group_under(rules, &mut maria, &mut [&mut anna, &mut bob]);
    world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
    for device in [&mut maria, &mut anna, &mut bob] {
        device.news();
    }
    Story { world, maria, anna, bob, group }
}

#[test]
fn any_member_takes_up_the_word_of_an_app_and_everyone_is_told() {
    let Story { mut world, mut maria, mut anna, mut bob, group } = story();
    let revocation = by_courier(&world, &mut bob);
    // As the app's backend hands it out.
    let revocation = Revocation::from_bytes(&revocation.to_bytes()).unwrap();
    let intent = anna.client.change(&group, Change::Revoke(revocation)).unwrap();
    anna.restart();
    world.quiet(&mut [&mut anna, &mut maria, &mut bob]);
    let (by, effects) = (anna.user.clone(), vec![Effect::Revoked(bob.user.clone())]);
    let told = |intent| EventKind::Changed { by: by.clone(), effects: effects.clone(), intent };
    assert_eq!((anna.news(), maria.news()), (vec![told(Some(intent))], vec![told(None)]));
    assert_eq!((bob.news().last(), bob.status(&group)), (Some(&EventKind::Removed), Status::Removed));
    agree(&group, &mut [&mut maria, &mut anna]);
    // He is barred, whatever device it is: no member brings him back.
    let mut laptop = world.device_of(1, "bob");
    for device in [&mut bob, &mut laptop] {
        let package = device.package();
        assert_eq!(anna.dropped(&mut world, &group, Change::Add(vec![package])), ErrorKind::NotAllowed);
    }
}

/// An admin may let him in again. As long as his credential is the one from before, the app's word holds, and takes him
/// out again: who vouches for a user is the app, and not the admin.
#[test]
fn a_revocation_holds_until_the_app_vouches_again() {
    let Story { mut world, mut maria, mut anna, mut bob, group } = story();
    let revocation = by_courier(&world, &mut bob);
    anna.client.change(&group, Change::Revoke(revocation.clone())).unwrap();
    world.quiet(&mut [&mut anna, &mut maria, &mut bob]);
    assert_eq!(anna.refused(&group, Change::Revoke(revocation.clone())), ErrorKind::NotMember, "he is out");
    bob.client.forget(&group).unwrap();
    world.bring_in(group, &mut maria, &mut [&mut bob]);
    world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
    anna.client.change(&group, Change::Revoke(revocation.clone())).unwrap();
    world.quiet(&mut [&mut anna, &mut maria, &mut bob]);
    assert!(!maria.has(&group, &bob.user));

    // The app has changed its mind. Bob's new packages show it, and the old word is over.
    world.clock.advance(1);
    vouch_again(&world, &mut bob);
    bob.client.forget(&group).unwrap();
    world.bring_in(group, &mut maria, &mut [&mut bob]);
    world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
    assert_eq!(anna.refused(&group, Change::Revoke(revocation)), ErrorKind::NotAllowed);
    // A new one is not.
    let again = by_courier(&world, &mut bob);
    anna.client.change(&group, Change::Revoke(again)).unwrap();
    world.quiet(&mut [&mut anna, &mut maria, &mut bob]);
    assert!(!maria.has(&group, &bob.user));
}

#[test]
fn a_device_that_shows_the_new_credential_first_is_not_revoked_by_the_old_word() {
    let Story { mut world, mut maria, mut anna, mut bob, group } = story();
    let revocation = by_courier(&world, &mut bob);
    world.clock.advance(1);
    vouch_again(&world, &mut bob);
    bob.client.change(&group, Change::Heal).unwrap();
    anna.client.change(&group, Change::Revoke(revocation)).unwrap();
    world.post(&mut bob);
    anna.news();
    world.quiet(&mut [&mut anna, &mut maria, &mut bob]);
    let dropped = |what: &EventKind| matches!(what, EventKind::IntentDropped { why: ErrorKind::NotAllowed, .. });
    assert!(anna.news().iter().any(dropped));
    agree(&group, &mut [&mut maria, &mut anna, &mut bob]);
}

#[test]
fn two_who_take_it_up_at_once_do_it_once() {
    let Story { mut world, mut maria, mut anna, mut bob, group } = story();
    let revocation = by_courier(&world, &mut bob);
    let epoch = maria.epoch(&group);
    for device in [&mut maria, &mut anna] {
        device.client.change(&group, Change::Revoke(revocation.clone())).unwrap();
    }
    world.post(&mut anna);
    world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
    assert_eq!(maria.epoch(&group), epoch + 1);
    let moot = |what: &EventKind| matches!(what, EventKind::IntentDropped { why: ErrorKind::NotMember, .. });
    assert!(maria.news().iter().any(moot));
    agree(&group, &mut [&mut maria, &mut anna]);
}

#[test]
fn readers_and_the_revoked_themselves_do_not_take_it_up() {
    let Story { mut world, mut maria, mut anna, mut bob, group } = story();
    maria.client.change(&group, Change::Role(anna.user.clone(), Role::Reader)).unwrap();
    world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
    let revocation = Change::Revoke(by_courier(&world, &mut bob));
    assert_eq!(anna.refused(&group, revocation.clone()), ErrorKind::NotAllowed);
    assert_eq!(bob.refused(&group, revocation), ErrorKind::NotAllowed);
    let own = Change::Revoke(by_owner(&world, &mut bob));
    assert_eq!(anna.refused(&group, own.clone()), ErrorKind::NotAllowed);
    assert_eq!(bob.refused(&group, own), ErrorKind::NotAllowed, "the device in use");
}

#[test]
fn an_owner_is_revoked_if_there_is_another() {
    let Story { mut world, mut maria, mut anna, mut bob, group } = story();
    maria.client.change(&group, Change::Role(bob.user.clone(), Role::Owner)).unwrap();
    world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
    let revocation = by_courier(&world, &mut bob);
    anna.client.change(&group, Change::Revoke(revocation)).unwrap();
    world.quiet(&mut [&mut anna, &mut maria, &mut bob]);
    assert!(!maria.has(&group, &bob.user));
    agree(&group, &mut [&mut maria, &mut anna]);
}

/// Of two owners one leaves and the other is revoked. Whichever comes first, the one who is left stays the owner.
#[test]
fn an_owner_who_is_leaving_stays_if_the_other_is_revoked_first() {
    let Story { mut world, mut maria, mut anna, mut bob, group } = story();
    maria.client.change(&group, Change::Role(bob.user.clone(), Role::Owner)).unwrap();
    world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
    let intent = maria.client.change(&group, Change::Leave).unwrap();
    world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
    let revocation = by_courier(&world, &mut bob);
    anna.client.change(&group, Change::Revoke(revocation)).unwrap();
    world.quiet(&mut [&mut anna, &mut maria, &mut bob]);
    world.clock.advance(MINUTE);
    world.quiet(&mut [&mut anna, &mut maria]);
    assert!(maria.news().contains(&EventKind::IntentDropped { intent, why: ErrorKind::NotAllowed }));
    assert_eq!((maria.status(&group), anna.role(&group, &maria.user)), (Status::Active, Role::Owner));
    agree(&group, &mut [&mut maria, &mut anna]);
}

#[test]
fn what_is_not_the_word_of_the_present_app_key_is_refused_at_once() {
    let Story { mut world, mut anna, mut bob, mut maria, group } = story();
    let (user, identity) = (bob.user.clone(), bob.client.identity().unwrap().identity_key().clone());
    let now = world.clock.now();
    let key = world.courier.key();
    let mut why = |revocation: Revocation| anna.refused(&group, Change::Revoke(revocation));
    // Clocks may be an hour apart, and no more.
    let ahead = |by| key.revoke(&user, &identity, now.after(by)).unwrap();
    assert_eq!(why(ahead(limits::CLOCK_SKEW + 1)), ErrorKind::Expired);
    let other = maria.client.identity().unwrap().identity_key().clone();
    assert_eq!(why(key.revoke(&user, &other, now).unwrap()), ErrorKind::NotAllowed, "another identity");
    let nobody = "mimi://courier.example/u/nobody".parse().unwrap();
    assert_eq!(why(key.revoke(&nobody, &identity, now).unwrap()), ErrorKind::NotMember);
    let impostor = App::new_in("courier.example", Validity::starting(Timestamp(0), u64::MAX), &mut rand()).unwrap();
    assert_eq!(why(impostor.key().revoke(&user, &identity, now).unwrap()), ErrorKind::NotAllowed, "another root");
    let before = key.revoke(&user, &identity, Timestamp(START.0 - DAY - 1));
    assert_eq!(before.unwrap_err().kind(), ErrorKind::Misuse);
    assert_eq!(key.revoke(&maria.user, &identity, now).unwrap_err().kind(), ErrorKind::NotAllowed);

    // Courier's clock is ahead. The commit waits for nothing, and says so of its own time.
    anna.client.change(&group, Change::Revoke(ahead(limits::CLOCK_SKEW))).unwrap();
    world.quiet(&mut [&mut anna, &mut maria, &mut bob]);
    assert!(!maria.has(&group, &bob.user));
    assert_eq!(maria.client.group(&group).unwrap().state().time(), now.after(limits::CLOCK_SKEW));
}

fn rand() -> rand::rngs::StdRng {
    rand::SeedableRng::seed_from_u64(77)
}

/// A word holds as long as the certificate of the app key that gave it: a key that has run out may be in anyone's hands.
#[test]
fn a_revocation_ends_with_the_app_keys_certificate() {
    let Story { mut world, mut maria, mut anna, mut bob, group } = story();
    let identity = bob.client.identity().unwrap().identity_key().clone();
    let key = convivio::SigningKey::from_seed(&[9; 32]);
    let certificate = world.courier.root().certify(key.verify_key(), Validity::starting(START, DAY));
    let app = convivio::identity::AppKey::new(key, certificate).unwrap();
    let revocation = Change::Revoke(app.revoke(&bob.user, &identity, START).unwrap());
    world.clock.advance(DAY + 1);
    assert_eq!(anna.refused(&group, revocation.clone()), ErrorKind::Expired);
    // Queued in time, and committed too late: dropped, and the app is asked for another.
    let Story { world: mut other, anna: mut annas, group: elsewhere, .. } = story();
    let intent = annas.client.change(&elsewhere, revocation).unwrap();
    other.clock.advance(DAY + 1);
    other.sync(&mut annas);
    assert!(annas.news().contains(&EventKind::IntentDropped { intent, why: ErrorKind::Expired }));
    let anew = by_courier(&world, &mut bob);
    anna.client.change(&group, Change::Revoke(anew)).unwrap();
    world.quiet(&mut [&mut anna, &mut maria, &mut bob]);
    assert!(!maria.has(&group, &bob.user));
}

#[test]
fn a_lost_device_is_revoked_through_anyone_and_does_not_come_back_by_its_certificate() {
    let Story { mut world, mut maria, mut anna, mut bob, group } = story();
    let mut laptop = world.device_of(1, "bob");
    world.bring_in(group, &mut bob, &mut [&mut laptop]);
    world.quiet(&mut [&mut maria, &mut anna, &mut bob, &mut laptop]);
    let (back, id) = (laptop.package(), laptop.client.identity().unwrap().device());
    let revocation = Change::Revoke(by_owner(&world, &mut laptop));
    anna.client.change(&group, revocation.clone()).unwrap();
    maria.news();
    world.quiet(&mut [&mut anna, &mut maria, &mut bob, &mut laptop]);
    assert_eq!(maria.effects(), [Effect::DeviceRevoked(bob.user.clone(), id)]);
    assert_eq!((laptop.status(&group), bob.status(&group)), (Status::Removed, Status::Active));
    agree(&group, &mut [&mut maria, &mut anna, &mut bob]);
    let view = maria.client.group(&group).unwrap();
    assert_eq!(view.state().user(&bob.user).unwrap().least_serial, 3, "one more than the revoked");
    assert_eq!(anna.refused(&group, revocation.clone()), ErrorKind::NotMember);
    for by in [&mut bob, &mut anna] {
        let add = Change::Add(vec![back.clone()]);
        assert_eq!(by.dropped(&mut world, &group, add), ErrorKind::NotAllowed);
    }
    // The next device is certified later and comes in; the old word is not about it.
    let mut tablet = world.device_of(1, "bob");
    world.bring_in(group, &mut bob, &mut [&mut tablet]);
    world.quiet(&mut [&mut maria, &mut anna, &mut bob, &mut tablet]);
    assert_eq!(anna.refused(&group, revocation), ErrorKind::NotMember);
    agree(&group, &mut [&mut maria, &mut anna, &mut bob, &mut tablet]);
}

#[test]
fn a_device_that_is_certified_again_is_not_revoked_by_the_old_word() {
    let Story { mut world, mut maria, mut anna, mut bob, group } = story();
    let old = Change::Revoke(by_owner(&world, &mut bob));
    let present = bob.client.identity().unwrap().clone();
    let identity = world.identity(1, "bob");
    let certificate =
        identity.certify_device(&bob.user, present.device(), present.device_key(), 9, world.clock.now()).unwrap();
    let renewed = UnverifiedDeviceIdentity::new(present.credential().clone(), certificate);
    let trust = App::trust(&[&world.courier]).unwrap();
    bob.client.renew(renewed.verify(&trust, world.clock.now()).unwrap()).unwrap();
    bob.client.change(&group, Change::Heal).unwrap();
    world.quiet(&mut [&mut bob, &mut maria, &mut anna]);
    assert_eq!(anna.refused(&group, old), ErrorKind::NotAllowed);
    // The bound is inclusive.
    let bound = |serial| identity_revokes(&world, &bob, present.device(), serial);
    assert_eq!(anna.refused(&group, bound(8)), ErrorKind::NotAllowed);
    anna.client.change(&group, bound(9)).unwrap();
    world.quiet(&mut [&mut anna, &mut maria, &mut bob]);
    assert_eq!(maria.effects().last(), Some(&Effect::Left(bob.user.clone())), "it was his last");
}

fn identity_revokes(world: &World, bob: &Device, device: DeviceId, serial: u64) -> Change {
    Change::Revoke(world.identity(1, "bob").revoke_device(&bob.user, device, serial, world.clock.now()).unwrap())
}

#[test]
fn ones_own_device_is_revoked_by_another_even_of_a_reader() {
    let Story { mut world, mut maria, mut anna, mut bob, group } = story();
    let mut laptop = world.device_of(1, "bob");
    world.bring_in(group, &mut bob, &mut [&mut laptop]);
    maria.client.change(&group, Change::Role(bob.user.clone(), Role::Reader)).unwrap();
    world.quiet(&mut [&mut maria, &mut anna, &mut bob, &mut laptop]);
    let revocation = by_owner(&world, &mut laptop);
    bob.client.change(&group, Change::Revoke(revocation)).unwrap();
    world.quiet(&mut [&mut bob, &mut maria, &mut anna, &mut laptop]);
    assert_eq!((laptop.status(&group), maria.role(&group, &bob.user)), (Status::Removed, Role::Reader));
    // The word of another's identity key is none.
    let phone = bob.client.identity().unwrap().certificate().clone();
    let forged = world.identity(0, "maria").revoke_device(&bob.user, phone.device(), phone.serial(), START).unwrap();
    assert_eq!(anna.refused(&group, Change::Revoke(forged)), ErrorKind::Unauthentic);
    let ahead = Timestamp(world.clock.now().0 + 2 * limits::CLOCK_SKEW);
    let early = world.identity(1, "bob").revoke_device(&bob.user, phone.device(), phone.serial(), ahead).unwrap();
    assert_eq!(anna.refused(&group, Change::Revoke(early)), ErrorKind::Expired);
}

/// Whose last device was revoked is out but not barred: it was their own word, and with a new device they come back.
#[test]
fn who_revokes_their_last_device_may_be_added_again() {
    let Story { mut world, mut maria, mut anna, mut bob, group } = story();
    let revocation = by_owner(&world, &mut bob);
    anna.client.change(&group, Change::Revoke(revocation.clone())).unwrap();
    world.quiet(&mut [&mut anna, &mut maria, &mut bob]);
    assert_eq!(bob.status(&group), Status::Removed);
    let mut phone = world.device_of(1, "bob");
    world.bring_in(group, &mut anna, &mut [&mut phone]);
    // A group forgets the serials of who is out. The word still holds if the old device is brought back.
    let package = bob.package();
    bob.client.forget(&group).unwrap();
    anna.client.change(&group, Change::Add(vec![package])).unwrap();
    world.quiet(&mut [&mut anna, &mut maria, &mut phone, &mut bob]);
    bob.client.answer(&group, Answer::Accept).unwrap();
    world.quiet(&mut [&mut anna, &mut maria, &mut phone, &mut bob]);
    assert_eq!(maria.client.group(&group).unwrap().devices(&bob.user).count(), 2);
    phone.client.change(&group, Change::Revoke(revocation)).unwrap();
    world.quiet(&mut [&mut phone, &mut maria, &mut anna, &mut bob]);
    assert_eq!((bob.status(&group), phone.status(&group)), (Status::Removed, Status::Active));
    agree(&group, &mut [&mut maria, &mut anna, &mut phone]);
}

#[test]
fn a_revocation_says_what_it_takes_back_in_one_encoding() {
    let Story { world, mut bob, .. } = story();
    let identity = bob.client.identity().unwrap().identity_key().clone();
    let of_user = by_courier(&world, &mut bob);
    assert_eq!((of_user.user(), of_user.time()), (&bob.user, START));
    assert_eq!(of_user.what(), Revoked::User { identity: &identity });
    let of_device = by_owner(&world, &mut bob);
    assert_eq!((of_device.user(), of_device.time()), (&bob.user, START));
    let device = bob.client.identity().unwrap().device();
    assert_eq!(of_device.what(), Revoked::Device { device, serial: 1 });
    for revocation in [of_user, of_device] {
        let bytes = revocation.to_bytes();
        assert_eq!(Revocation::from_bytes(&bytes).unwrap(), revocation);
        // A kind that comes later is not garbage.
        let mut later = bytes.clone();
        later[1] = 2;
        assert_eq!(Revocation::from_bytes(&later).unwrap_err().kind(), ErrorKind::Unsupported);
        assert!(Revocation::from_bytes(&bytes[..bytes.len() - 1]).is_err());
        // Nor is a known kind with more items a later one.
        let longer = [&[bytes[0] + 1], &bytes[1..], &[0]].concat();
        assert_eq!(Revocation::from_bytes(&longer).unwrap_err().kind(), ErrorKind::Malformed);
    }
    for (later, kind) in [
        (vec![0x81, 2], ErrorKind::Unsupported),
        (vec![0x88, 2, 0, 0, 0, 0, 0, 0, 0], ErrorKind::Unsupported),
        (vec![0x81, 1], ErrorKind::Malformed),
        (vec![0x80], ErrorKind::Malformed),
        (vec![0x89, 2, 0, 0, 0, 0, 0, 0, 0, 0], ErrorKind::Limit),
    ] {
        assert_eq!(Revocation::from_bytes(&later).unwrap_err().kind(), kind, "{later:?}");
    }
}

/// What has the last number of all could never be outdated.
#[test]
fn the_last_serial_of_all_is_none() {
    let Story { world, mut bob, .. } = story();
    let identity = world.identity(1, "bob");
    let own = bob.client.identity().unwrap();
    let certify = |serial| identity.certify_device(own.user(), own.device(), own.device_key(), serial, START);
    let revoke = |serial| identity.revoke_device(own.user(), own.device(), serial, START);
    assert_eq!(certify(u64::MAX).unwrap_err().kind(), ErrorKind::Misuse);
    assert_eq!(revoke(u64::MAX).unwrap_err().kind(), ErrorKind::Misuse);
    // Nor is it read from anyone else, whoever signed it.
    let number = |last: u8| [&[0x1b], &[0xff; 7][..], &[last]].concat();
    let altered = |bytes: Vec<u8>| {
        let at = bytes.windows(9).position(|window| window == number(0xfe)).unwrap();
        [&bytes[..at], &number(0xff), &bytes[at + 9..]].concat()
    };
    let certificate = certify(u64::MAX - 1).unwrap().to_bytes();
    let revocation = revoke(u64::MAX - 1).unwrap().to_bytes();
    assert!(DeviceCertificate::from_bytes(&certificate).is_ok() && Revocation::from_bytes(&revocation).is_ok());
    let why = DeviceCertificate::from_bytes(&altered(certificate)).unwrap_err().kind();
    assert_eq!(why, ErrorKind::Malformed);
    assert_eq!(Revocation::from_bytes(&altered(revocation)).unwrap_err().kind(), ErrorKind::Malformed);
}
