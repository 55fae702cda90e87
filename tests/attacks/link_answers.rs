//! Row 30, answers to who asks by an invite link: from those who have the group's id, or a request and the link's join
//! secret, and put another group in its place.

use std::sync::atomic::Ordering;

use convivio::client::{Answer, Change, EventKind, Status};
use convivio::group::{GroupInfo, InviteLink, JoinRequest};
use convivio::identity::{Capabilities, IdentityKey, KeyPackage, PackageOptions, UnverifiedKeyPackage};
use convivio::log::{Post, PostBody};
use convivio::testing::{App, LocalHub};
use convivio::{Client, DeviceId, ErrorKind, GroupId, SigningKey, Timestamp, Validity};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::impostor::impostor;
use crate::support::*;

/// A "maria" under a made-up root of her app, and her group under the id of another, on a hub of its own.
struct Impostor {
    client: Client,
    hub: LocalHub,
    group: GroupId,
}

impl Impostor {
    fn of(world: &World, group: GroupId) -> Self {
        let (app, mut client, armed) = impostor(world, *group.as_bytes());
        let mut hub = LocalHub::new();
        armed.store(true, Ordering::SeqCst);
        let policy = App::policy(&[&app, &world.courier]).unwrap();
        assert_eq!(client.create_group(policy, GroupInfo::new("Trip", "").unwrap()).unwrap(), group);
        hub.sync(&mut client).unwrap();
        Self { client, hub, group }
    }

    fn change(&mut self, change: Change) {
        self.client.change(&self.group, change).unwrap();
        self.hub.sync(&mut self.client).unwrap();
    }

    /// Adds a device by this package, which the device is shown.
    fn add(&mut self, package: UnverifiedKeyPackage, device: &mut Device) {
        self.change(Change::Add(vec![package]));
        let packages = device.client.package_ids().unwrap();
        device.receive(&self.hub.welcomes(&packages));
    }
}

fn requests(device: &mut Device) -> Vec<JoinRequest> {
    let request = |what| if let EventKind::JoinRequested { request, .. } = what { Some(*request) } else { None };
    device.news().into_iter().filter_map(request).collect()
}

fn open(world: &mut World, device: &mut Device, group: &GroupId) -> InviteLink {
    let link = device.client.open_link(group, "", 7 * DAY).unwrap().0;
    world.sync(device);
    link
}

fn invited(news: &[EventKind]) -> bool {
    matches!(news, [EventKind::Invitation { .. }])
}

fn admit_all(world: &mut World, by: &mut Device, group: &GroupId) {
    world.sync(by);
    for request in requests(by) {
        by.client.change(group, Change::Admit(Box::new(request))).unwrap();
    }
    world.sync(by);
}

/// Who knows the group's id alone, and has a package of Bob's from the directory.
#[test]
fn row_30_a_false_invitation_does_not_shut_out_who_asked() {
    for forgets in [false, true] {
        let mut world = World::new();
        let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
        let group = world.group(&mut maria, &mut []);
        let link = open(&mut world, &mut maria, &group);
        bob.client.ask_to_join(&link).unwrap();
        let loose = bob.package();
        Impostor::of(&world, group).add(loose, &mut bob);
        assert!(invited(&bob.news()));
        // Bob does not care for it, and may forget it. His request goes out, and its answer counts.
        if forgets {
            bob.client.forget(&group).unwrap();
        }
        bob.restart();
        world.sync(&mut bob);
        admit_all(&mut world, &mut maria, &group);
        world.sync(&mut bob);
        assert!(matches!(bob.news()[0], EventKind::Joined { .. }));
        world.quiet(&mut [&mut maria, &mut bob]);
        agree(&group, &mut [&mut maria, &mut bob]);
        assert_eq!(bob.client.open_joins().unwrap(), []);
        bob.restart();
        assert_eq!(bob.status(&group), Status::Active);
    }
}

/// A member who may not even add opens the request, and hands it and the link's join secret to someone who poses as the
/// link's opener, under a made-up root of her app.
#[test]
fn row_30_who_poses_as_the_opener_is_asked_about_and_pins_nothing() {
    let mut world = World::new();
    let (mut maria, mut mallory, mut bob) =
        (world.device("maria"), world.device_of(1, "mallory"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut mallory]);
    let link = open(&mut world, &mut maria, &group);
    world.quiet(&mut [&mut maria, &mut mallory]);
    bob.client.ask_to_join(&link).unwrap();
    let Post { body: PostBody::Request(sealed), .. } = bob.outbox().remove(0) else { panic!("not a request") };
    world.sync(&mut bob);
    let part = sealed.split(sealed.stanzas()[0].recipient()).unwrap();
    let state = mallory.client.group(&group).unwrap().state().clone();
    let request = state.open_join_request(&part, world.clock.now()).unwrap();
    let mut eve = Impostor::of(&world, group);
    eve.change(Change::OpenLink(state.links()[0].clone()));
    eve.add(request.package().clone(), &mut bob);
    let news = bob.news();
    // He is told that another root stands for an app of his group only if he knew one: it is an invitation like any other.
    assert!(invited(&news), "{news:?}");
    // The true answer to the same request still comes in.
    admit_all(&mut world, &mut maria, &group);
    world.sync(&mut bob);
    let news = bob.news();
    assert!(matches!(news[..], [EventKind::Joined { .. }]), "the true Maria is the impostor now: {news:?}");
    agree(&group, &mut [&mut maria, &mut bob]);
}

/// An answer by another member is for the user, and takes the place of nothing that the user was shown.
#[test]
fn row_30_what_a_user_was_shown_is_not_replaced_but_by_the_opener() {
    let mut world = World::new();
    let (mut maria, mut anna, mut bob) = (world.device("maria"), world.device("anna"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut anna]);
    maria.client.change(&group, Change::Role(anna.user.clone(), convivio::group::Role::Admin)).unwrap();
    world.quiet(&mut [&mut maria, &mut anna]);
    let link = open(&mut world, &mut maria, &group);
    world.quiet(&mut [&mut maria, &mut anna]);
    bob.client.ask_to_join(&link).unwrap();
    world.sync(&mut bob);
    let mut eve = Impostor::of(&world, group);
    eve.change(Change::OpenLink(maria.client.group(&group).unwrap().state().links()[0].clone()));
    let loose = bob.package();
    eve.add(loose, &mut bob);
    assert!(invited(&bob.news()));
    // Anna's answer, which she can only give as a member, waits until he has made up his mind about the other.
    admit_all(&mut world, &mut anna, &group);
    world.read(&mut bob);
    assert_eq!(bob.news(), []);
    bob.client.forget(&group).unwrap();
    world.read(&mut bob);
    let news = bob.news();
    assert!(matches!(&news[..], [EventKind::Invitation { by, .. }] if *by == anna.user), "{news:?}");
    // The impostor's comes too late to be what he accepts.
    world.sync(&mut maria);
    let request = requests(&mut maria).remove(0);
    eve.add(request.package().clone(), &mut bob);
    assert_eq!(bob.news(), []);
    bob.client.answer(&group, Answer::Accept).unwrap();
    world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
    agree(&group, &mut [&mut maria, &mut anna, &mut bob]);
}

/// Nor does it keep out a device that its own user adds.
#[test]
fn row_30_a_false_invitation_does_not_shut_out_ones_own_device() {
    let mut world = World::new();
    let (mut maria, mut phone, mut tablet) =
        (world.device("maria"), world.device_of(1, "bob"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut phone]);
    let mut eve = Impostor::of(&world, group);
    let loose = tablet.package();
    eve.add(loose, &mut tablet);
    assert!(invited(&tablet.news()));
    let package = tablet.package();
    phone.client.change(&group, Change::Add(vec![package])).unwrap();
    world.quiet(&mut [&mut maria, &mut phone]);
    world.sync(&mut tablet);
    let news = tablet.news();
    assert!(matches!(&news[..], [EventKind::Joined { by, .. }] if *by == phone.user), "{news:?}");
    world.quiet(&mut [&mut maria, &mut phone, &mut tablet]);
    agree(&group, &mut [&mut maria, &mut phone, &mut tablet]);
}

/// A false invitation and the true adding may come at once: neither keeps the other out, nor stops what else came.
#[test]
fn row_30_a_false_invitation_in_one_fetch_with_ones_own_device() {
    let mut world = World::new();
    let (mut maria, mut phone, mut tablet) =
        (world.device("maria"), world.device_of(1, "bob"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut phone]);
    let mut eve = Impostor::of(&world, group);
    eve.change(Change::Add(vec![tablet.package()]));
    let package = tablet.package();
    phone.client.change(&group, Change::Add(vec![package])).unwrap();
    world.quiet(&mut [&mut maria, &mut phone]);
    let packages = tablet.client.package_ids().unwrap();
    let entries = [eve.hub.welcomes(&packages), world.hub.welcomes(&packages)].concat();
    assert!(entries.len() == 2 && entries[0].seq < entries[1].seq, "the false one is read first");
    tablet.receive(&entries);
    let news = tablet.news();
    assert!(matches!(&news[..], [EventKind::Invitation { .. }, .., EventKind::Joined { .. }]), "{news:?}");
    tablet.restart();
    world.quiet(&mut [&mut maria, &mut phone, &mut tablet]);
    agree(&group, &mut [&mut maria, &mut phone, &mut tablet]);
}

/// Who declines an invitation has asked for nothing any more.
#[test]
fn row_30_declining_takes_back_the_request() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut []);
    let link = open(&mut world, &mut maria, &group);
    bob.client.ask_to_join(&link).unwrap();
    world.sync(&mut bob);
    let mut eve = Impostor::of(&world, group);
    let loose = bob.package();
    eve.add(loose, &mut bob);
    bob.client.answer(&group, Answer::Decline).unwrap();
    bob.client.forget(&group).unwrap();
    bob.news();
    admit_all(&mut world, &mut maria, &group);
    world.sync(&mut bob);
    assert!(invited(&bob.news()), "he is asked");
}

/// Bytes that the library never makes: a last-resort package, whose keys live on, that is valid for a day only.
#[test]
fn row_30_a_last_resort_package_is_no_request() {
    let mut world = World::new();
    let mut maria = world.device("maria");
    let group = world.group(&mut maria, &mut []);
    let link = open(&mut world, &mut maria, &group);
    let mut rng = StdRng::seed_from_u64(7);
    let key = SigningKey::generate(&mut rng);
    let id = DeviceId::from_bytes([9; 16]);
    let device = world.courier.certify("eve", &IdentityKey::generate(&mut rng), (id, 1), &key).unwrap();
    let now = world.clock.now();
    let validity = Validity { not_before: Timestamp(now.0 - 3_600), not_after: Timestamp(now.0 + DAY) };
    let state = maria.client.group(&group).unwrap().state().clone();
    let mut judged = |last_resort| {
        let options = PackageOptions { capabilities: Capabilities::default(), validity, last_resort };
        let (package, _) = KeyPackage::create(&device, &key, options, &mut rng).unwrap();
        let sealed = link.seal(&link.request(&package).unwrap(), &key, &mut rng).unwrap();
        let part = sealed.split(sealed.stanzas()[0].recipient()).unwrap();
        state.open_join_request(&part, now).map(drop).map_err(|error| error.kind())
    };
    assert_eq!(judged(false), Ok(()));
    assert_eq!(judged(true), Err(ErrorKind::NotAllowed));
}
