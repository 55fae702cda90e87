//! Row 30, clients that admit by themselves who asks by an invite link: only as their user wants now, and only who is new.

use convivio::client::{Change, EventKind};
use convivio::group::{GroupInfo, InviteLink, JoinRequest, Role};
use convivio::identity::IdentityKey;
use convivio::{ErrorKind, GroupId};
use rand::SeedableRng;

use crate::support::*;

fn open(world: &mut World, device: &mut Device, group: &GroupId) -> InviteLink {
    let link = device.client.open_link(group, "", 7 * DAY).unwrap().0;
    world.sync(device);
    link
}

/// Who asks, and whether they were removed or are known by another key.
fn told(device: &mut Device) -> Vec<(Box<JoinRequest>, bool, bool)> {
    let request = |what: EventKind| match what {
        EventKind::JoinRequested { request, barred, other_identity, .. } => Some((request, barred, other_identity)),
        _ => None,
    };
    device.news().into_iter().filter_map(request).collect()
}

/// A group of Maria and Anna, both admins, and a link by which Maria's client admits.
fn automatic(world: &mut World, maria: &mut Device, anna: &mut Device) -> (GroupId, InviteLink) {
    let group = world.group(maria, &mut [anna]);
    maria.client.change(&group, Change::Role(anna.user.clone(), Role::Admin)).unwrap();
    world.quiet(&mut [maria, anna]);
    let link = open(world, maria, &group);
    world.quiet(&mut [maria, anna]);
    maria.client.auto_approve(&group, link.id(), true).unwrap();
    world.clock.advance(1);
    (group, link)
}

/// Maria's client has made its commit, which never reaches the hub; another epoch comes, and Maria or Anna has declined.
#[test]
fn row_30_what_was_declined_is_not_admitted_by_a_commit_made_again() {
    for by_anna in [false, true] {
        let mut world = World::new();
        let (mut maria, mut anna, mut bob) = (world.device("maria"), world.device("anna"), world.device_of(1, "bob"));
        let (group, link) = automatic(&mut world, &mut maria, &mut anna);
        bob.client.ask_to_join(&link).unwrap();
        world.sync(&mut bob);
        world.read(&mut maria);
        world.read(&mut anna);
        let (request, ..) = told(&mut maria).remove(0);
        world.clock.advance(30);
        assert!(!maria.outbox().is_empty());
        if by_anna {
            anna.client.decline(&group, &request).unwrap();
        } else {
            maria.client.decline(&group, &request).unwrap();
        }
        anna.client.change(&group, Change::Info(GroupInfo::new("X", "").unwrap())).unwrap();
        world.sync(&mut anna);
        maria.restart();
        world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
        world.clock.advance(MINUTE);
        world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
        assert!(!maria.has(&group, &bob.user), "declined, and admitted in a later epoch");
        assert_eq!(maria.queued(&group), 0);
    }
}

/// The same, and Maria has switched it off, or off and on again.
#[test]
fn row_30_what_was_switched_off_does_not_admit_by_a_commit_made_again() {
    for on_again in [false, true] {
        let mut world = World::new();
        let (mut maria, mut anna, mut bob) = (world.device("maria"), world.device("anna"), world.device_of(1, "bob"));
        let (group, link) = automatic(&mut world, &mut maria, &mut anna);
        bob.client.ask_to_join(&link).unwrap();
        world.sync(&mut bob);
        world.read(&mut maria);
        world.clock.advance(30);
        assert!(!maria.outbox().is_empty());
        maria.client.auto_approve(&group, link.id(), false).unwrap();
        if on_again {
            maria.client.auto_approve(&group, link.id(), true).unwrap();
        }
        anna.client.change(&group, Change::Heal).unwrap();
        world.sync(&mut anna);
        for _ in 0..2 {
            world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
            world.clock.advance(MINUTE);
        }
        assert!(!maria.has(&group, &bob.user), "switched off, and admitted in a later epoch");
    }
}

/// Under the name of someone who was removed, with another identity key, which is not barred.
#[test]
fn row_30_another_identity_under_a_known_name_is_for_the_user() {
    let mut world = World::new();
    let (mut maria, mut bob, mut dora) = (world.device("maria"), world.device_of(1, "bob"), world.device_of(1, "dora"));
    let group = world.group(&mut maria, &mut []);
    let link = open(&mut world, &mut maria, &group);
    maria.client.auto_approve(&group, link.id(), true).unwrap();
    // Known from another group.
    world.group(&mut maria, &mut [&mut bob, &mut dora]);
    maria.news();
    world.clock.advance(1);
    let mut rng = rand::rngs::StdRng::seed_from_u64(99);
    let keys = world.courier.enrol_device("bob", &IdentityKey::generate(&mut rng), 1, &mut rng).unwrap();
    let mut posing = world.start(bob.user.clone(), keys);
    for device in [&mut posing, &mut dora] {
        device.client.ask_to_join(&link).unwrap();
        world.sync(device);
    }
    world.read(&mut maria);
    let news = maria.news();
    let sterner =
        news.iter().filter(|what| what.next_step().is_some_and(|step| step.contains("decline the request unless")));
    assert_eq!(sterner.count(), 1);
    let flags: Vec<bool> = news
        .iter()
        .filter_map(|what| {
            if let EventKind::JoinRequested { other_identity, .. } = what { Some(*other_identity) } else { None }
        })
        .collect();
    assert_eq!(flags, [true, false]);
    world.clock.advance(MINUTE);
    world.quiet(&mut [&mut maria, &mut posing, &mut dora]);
    assert_eq!((maria.has(&group, &bob.user), maria.has(&group, &dora.user)), (false, true));
}

/// Maria lets in a further device of Bob's; Anna is faster, and removes Bob. What Maria was shown is not so any more.
#[test]
fn row_30_who_is_removed_while_an_admission_waits_stays_out() {
    let mut world = World::new();
    let (mut maria, mut anna, mut phone, mut laptop) =
        (world.device("maria"), world.device("anna"), world.device_of(1, "bob"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut anna, &mut phone]);
    maria.client.change(&group, Change::Role(anna.user.clone(), Role::Admin)).unwrap();
    world.quiet(&mut [&mut maria, &mut anna, &mut phone]);
    let link = open(&mut world, &mut maria, &group);
    world.quiet(&mut [&mut maria, &mut anna, &mut phone]);
    laptop.client.ask_to_join(&link).unwrap();
    world.sync(&mut laptop);
    world.sync(&mut maria);
    let (request, barred, _) = told(&mut maria).remove(0);
    assert!(!barred);
    let intent = maria.client.change(&group, Change::Admit(request.clone())).unwrap();
    anna.client.change(&group, Change::Remove(phone.user.clone())).unwrap();
    world.sync(&mut anna);
    maria.restart();
    world.quiet(&mut [&mut maria, &mut anna, &mut laptop]);
    assert!(!anna.has(&group, &phone.user), "removed, and back by a lost race");
    assert!(maria.news().contains(&EventKind::IntentDropped { intent, why: ErrorKind::NotAllowed }));
    // Knowing that, an admin may.
    maria.client.change(&group, Change::Admit(request)).unwrap();
    maria.restart();
    world.quiet(&mut [&mut maria, &mut anna, &mut laptop]);
    assert!(anna.has(&group, &phone.user));
}

/// Once Bob has left, the group no longer knows that he revoked his phone; whoever was there knows that he was.
#[test]
fn row_30_a_revoked_device_does_not_come_back_unasked_once_its_user_left() {
    let mut world = World::new();
    let (mut maria, mut phone, mut laptop) =
        (world.device("maria"), world.device_of(1, "bob"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut phone]);
    let package = laptop.package();
    phone.client.change(&group, Change::Add(vec![package])).unwrap();
    world.quiet(&mut [&mut phone, &mut laptop, &mut maria]);
    let link = open(&mut world, &mut maria, &group);
    world.quiet(&mut [&mut phone, &mut laptop, &mut maria]);
    maria.client.auto_approve(&group, link.id(), true).unwrap();
    laptop.client.revoke_device(phone.id()).unwrap();
    world.quiet(&mut [&mut phone, &mut laptop, &mut maria]);
    laptop.client.change(&group, Change::Leave).unwrap();
    for _ in 0..3 {
        world.quiet(&mut [&mut laptop, &mut maria]);
        world.clock.advance(MINUTE);
    }
    assert!(!maria.has(&group, &phone.user));
    maria.restart();
    maria.news();
    phone.client.forget(&group).unwrap();
    phone.client.ask_to_join(&link).unwrap();
    world.sync(&mut phone);
    world.sync(&mut maria);
    world.clock.advance(MINUTE);
    world.quiet(&mut [&mut phone, &mut maria]);
    assert_eq!((told(&mut maria).len(), maria.has(&group, &phone.user)), (1, false));
}

/// One device asks over and over: four times it is heard, once it waits to be admitted, and others are heard.
#[test]
fn row_30_one_user_does_not_fill_the_book() {
    let mut world = World::new();
    let (mut maria, mut mallory, mut dora) =
        (world.device("maria"), world.device_of(1, "mallory"), world.device_of(1, "dora"));
    let group = world.group(&mut maria, &mut []);
    let (public, private) = (open(&mut world, &mut maria, &group), open(&mut world, &mut maria, &group));
    maria.client.auto_approve(&group, public.id(), true).unwrap();
    world.clock.advance(1);
    for _ in 0..70 {
        let request = mallory.client.ask_to_join(&public).unwrap();
        world.post(&mut mallory);
        mallory.client.withdraw(&request).unwrap();
    }
    world.read(&mut maria);
    assert_eq!((told(&mut maria).len(), maria.queued(&group)), (4, 1));
    dora.client.ask_to_join(&private).unwrap();
    world.sync(&mut dora);
    world.read(&mut maria);
    assert_eq!(told(&mut maria).len(), 1);
}
