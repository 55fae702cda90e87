//! A lost device is revoked once and is out of every group, whatever happens in between.

mod support;

use convivio::client::{Change, DeviceKeys, EventKind, RevokedDevice, Status, Verification};
use convivio::group::{Effect, GroupInfo, Policy, Role};
use convivio::identity::{AppKey, UnverifiedDeviceIdentity, UnverifiedKeyPackage, UserUri};
use convivio::linking::{Answering, DeviceOffer, NewDevice, Transfer};
use convivio::log::{PostBody, PostReply};
use convivio::testing::App;
use convivio::{DeviceId, ErrorKind, GroupId, Timestamp, Validity};
use support::*;

/// Bob's phone and laptop, three groups of Maria's with both.
struct Scene {
    world: World,
    maria: Device,
    phone: Device,
    laptop: Device,
    lost: DeviceId,
    groups: Vec<GroupId>,
}

impl Scene {
    fn new() -> Self {
        let mut world = World::new();
        let (mut maria, mut phone) = (world.device("maria"), world.device_of(1, "bob"));
        let groups = (0..3).map(|_| world.group(&mut maria, &mut [&mut phone])).collect();
        let mut laptop = world.link(1, &mut phone);
        world.bring_along(&mut phone, &mut laptop);
        let lost = laptop.id();
        let mut scene = Self { world, maria, phone, laptop, lost, groups };
        scene.world.quiet(&mut [&mut scene.maria, &mut scene.phone, &mut scene.laptop]);
        scene
    }

    /// The groups in which the phone, by what it has read, still sees the lost device.
    fn remaining(&mut self) -> Vec<GroupId> {
        let mut all = self.phone.client.revoked_devices().unwrap();
        assert_eq!(all.len(), 1);
        let RevokedDevice { device, remaining } = all.remove(0);
        assert_eq!(device, self.lost);
        remaining
    }

    /// Lets everyone talk, the lost device among them, with a hub that goes on serving it.
    fn quiet(&mut self) {
        self.world.quiet(&mut [&mut self.maria, &mut self.phone]);
        for group in &self.groups {
            let leaf = self.laptop.client.group(group).unwrap().own_index();
            self.world.hub.reopen(group, leaf);
        }
        self.world.sync(&mut self.laptop);
        self.world.quiet(&mut [&mut self.maria, &mut self.phone]);
    }

    /// Courier vouches for Bob once more for so many seconds, by an app key that is certified for so many.
    fn vouch_for_the_phone(&mut self, credential: u64, app_key: u64) {
        vouch(&self.world.courier, &mut self.phone, self.world.clock.now(), [credential, app_key]);
    }

    /// One more device of Bob's, which an app has numbered by itself, in all his groups.
    fn device_with_serial(&mut self, serial: u64) -> Device {
        let keys = self.link_with_serial(serial).unwrap();
        let mut device = self.world.start(self.phone.user.clone(), keys);
        self.world.bring_along(&mut self.phone, &mut device);
        self.world.quiet(&mut [&mut self.maria, &mut self.phone, &mut device]);
        device
    }

    fn link_with_serial(&mut self, serial: u64) -> convivio::Result<DeviceKeys> {
        let (mut rng, identity, now) = (rand::rng(), self.world.identity_of(1, "bob"), self.world.clock.now());
        let new = NewDevice::begin(&mut rng);
        let offer = DeviceOffer::from_secret_text(&new.offer().to_secret_text())?;
        let answering = Answering { serial, now, transfer: Transfer::Stay };
        let answer = offer.answer(self.phone.client.identity()?, &identity, answering, &mut rng)?;
        let link = new.open(&answer, &App::trust(&[&self.world.courier])?, now)?;
        new.finish(link).map(|(keys, _)| keys)
    }

    /// The lost device founds a group with a user whom nobody has met, and adds these devices of Bob's.
    fn trap(&mut self, stranger: &str, others: &mut [&mut Device]) -> (GroupId, UserUri) {
        let mut stranger = self.world.device_of(2, stranger);
        let policy = App::policy(&[&self.world.courier, &self.world.lumen]).unwrap();
        let group = self.laptop.client.create_group(policy, GroupInfo::new("Trap", "").unwrap()).unwrap();
        self.world.sync(&mut self.laptop);
        let mut packages = vec![stranger.package(), self.phone.package()];
        packages.extend(others.iter_mut().map(|device| device.package()));
        self.laptop.client.change(&group, Change::Add(packages)).unwrap();
        self.world.sync(&mut self.laptop);
        (group, stranger.user)
    }

    /// From here on the lost device reads nothing of this group and says nothing there.
    fn is_out(&mut self, group: &GroupId) {
        for device in [&mut self.maria, &mut self.phone] {
            let view = device.client.group(group).unwrap();
            let user = view.state().user(&self.laptop.user).unwrap();
            assert!(view.devices(&self.laptop.user).all(|device| device != self.lost));
            assert!(user.least_serial > 2);
        }
        let before = (self.laptop.messages().len(), self.maria.messages().len(), self.phone.messages().len());
        self.maria.say(group, "between us");
        self.quiet();
        if self.laptop.status(group) == Status::Active {
            self.laptop.say(group, "I am still here");
        }
        self.quiet();
        assert_eq!(self.laptop.messages().len(), before.0, "the lost device reads on");
        assert_eq!(self.maria.messages().len(), before.1, "the lost device posts on");
        assert_eq!(self.phone.messages().len(), before.2 + 1);
        agree(group, &mut [&mut self.maria, &mut self.phone]);
    }
}

/// An app vouches for the user of a device from now on for so many seconds, by an app key that is certified for so many.
fn vouch(app: &App, device: &mut Device, now: Timestamp, seconds: [u64; 2]) {
    let [credential, app_key] = seconds.map(|seconds| Validity::starting(now, seconds));
    let key = || convivio::SigningKey::from_seed(&[9; 32]);
    let app_key = AppKey::new(key(), app.root().certify(key().verify_key(), app_key)).unwrap();
    let present = device.client.identity().unwrap().clone();
    let credential = app_key.vouch(present.user(), present.identity_key(), credential).unwrap();
    let renewed = UnverifiedDeviceIdentity::new(credential, present.certificate().clone());
    device.client.renew(renewed.verify(&App::trust(&[app]).unwrap(), now).unwrap()).unwrap();
}

#[test]
fn a_revoked_device_is_out_of_every_group_with_the_next_commits() {
    let mut scene = Scene::new();
    // Written before the loss was noticed, and not sent yet.
    let written = scene.groups[0];
    scene.phone.say(&written, "not for a thief");
    let revocation = scene.phone.client.revoke_device(scene.lost).unwrap();
    assert_eq!(revocation.remaining.len(), 3);
    assert_eq!(scene.remaining().len(), 3);
    scene.maria.news();
    scene.quiet();
    assert_eq!(scene.remaining(), []);
    let removed = Effect::DeviceRemoved(scene.phone.user.clone(), scene.lost);
    let news = scene.maria.news();
    let changes =
        news.iter().filter(|what| matches!(what, EventKind::Changed { effects, .. } if *effects == [removed.clone()]));
    assert_eq!((changes.count(), news.len()), (3, 4));
    assert_eq!(scene.maria.heard(), [("bob".to_owned(), "not for a thief".to_owned())]);
    assert_eq!(scene.laptop.heard(), [], "it goes out after the commit");
    for group in scene.groups.clone() {
        scene.is_out(&group);
    }
    assert_eq!(scene.laptop.status(&scene.groups[0]), Status::Removed);
}

/// In one group another commit is first, one has a slow hub, and one is entered only afterwards.
#[test]
fn a_lost_race_a_slow_hub_and_a_group_that_comes_later_are_caught_up_with() {
    let mut scene = Scene::new();
    let fourth = scene.world.group(&mut scene.maria, &mut [&mut scene.laptop]);
    let [first, second, third] = scene.groups[..] else { panic!() };
    scene.phone.client.revoke_device(scene.lost).unwrap();
    // A race in the first group, which the phone loses.
    scene.maria.client.change(&first, Change::Heal).unwrap();
    let posts = scene.phone.client.outbox_of(&first, 9).unwrap();
    scene.world.post(&mut scene.maria);
    let domain = scene.world.courier.domain().clone();
    for post in posts {
        let reply = scene.world.hub.post(&domain, &post);
        assert_eq!(reply, PostReply::Behind);
        scene.phone.client.posted(&post, reply).unwrap();
    }
    // The hub of the second takes the commit, and shows it to nobody for a while.
    for post in scene.phone.client.outbox_of(&second, 9).unwrap() {
        assert_eq!(scene.world.hub.post(&domain, &post), PostReply::Accepted);
    }
    assert_eq!(scene.remaining().len(), 3);
    scene.laptop.say(&second, "before the commit is shown");
    let late = scene.laptop.client.outbox_of(&second, 9).unwrap().remove(0);
    assert_eq!(scene.world.hub.post(&domain, &late), PostReply::Behind, "the hub's log has a commit the device lacks");
    scene.phone.restart();
    scene.quiet();
    assert_eq!(scene.remaining(), []);
    for group in [first, second, third] {
        scene.is_out(&group);
    }
    // The fourth, with the lost device in it, is entered now.
    scene.groups = vec![fourth];
    let package = scene.phone.package();
    scene.maria.client.change(&fourth, Change::Add(vec![package])).unwrap();
    scene.world.sync(&mut scene.maria);
    scene.world.sync(&mut scene.phone);
    assert_eq!(scene.remaining(), [fourth], "even before it is entered");
    scene.world.enter(&mut scene.phone);
    scene.quiet();
    assert_eq!(scene.remaining(), []);
    scene.is_out(&fourth);
}

/// The power goes at each write in turn, before it or just after.
#[test]
fn the_power_may_go_at_any_write_of_a_revocation() {
    for after in [false, true] {
        for write in 0.. {
            let mut scene = Scene::new();
            scene.phone.disk.cut_power(write, after);
            let revoked = scene.phone.client.revoke_device(scene.lost);
            let mut failed = revoked.is_err();
            if !failed {
                failed = scene.world.hub.sync(&mut scene.phone.client).is_err();
            }
            assert_eq!(failed, scene.phone.disk.power_on());
            if !failed {
                assert_eq!(write, 3, "the asking, the commits, and their return");
                break;
            }
            scene.phone.restart();
            if scene.phone.client.revoked_devices().unwrap().is_empty() {
                assert!(write == 0 && !after, "what was asked for is remembered from the first write on");
                scene.phone.client.revoke_device(scene.lost).unwrap();
            }
            scene.quiet();
            assert_eq!(scene.remaining(), []);
            for group in scene.groups.clone() {
                scene.is_out(&group);
            }
        }
    }
}

/// Also by one who may, with a package from before: its certificate is as old as the revocation.
#[test]
fn nobody_adds_a_revoked_device_again_by_its_old_certificate() {
    let mut scene = Scene::new();
    let (group, package) = (scene.groups[0], scene.laptop.package());
    scene.phone.client.revoke_device(scene.lost).unwrap();
    scene.quiet();
    let add = Change::Add(vec![package]);
    assert_eq!(scene.maria.dropped(&mut scene.world, &group, add), ErrorKind::NotAllowed);
    // Nor does a device that was certified earlier come in again, until it is certified anew.
    let spare = {
        let identity = scene.world.identity_of(1, "bob");
        let key = convivio::SigningKey::from_seed(&[3; 32]);
        let device = DeviceId::from_bytes([3; 16]);
        let old = scene.world.courier.certify("bob", &identity, (device, 2), &key).unwrap();
        let serial = scene.phone.client.next_serial().unwrap();
        let new = scene.world.courier.certify("bob", &identity, (device, serial), &key).unwrap();
        (convivio::client::DeviceKeys::new(old, key).unwrap(), new)
    };
    let mut spare_device = scene.world.start(scene.phone.user.clone(), spare.0);
    let packages = spare_device.packages(3);
    assert_eq!(scene.phone.client.add_device(packages).unwrap_err().kind(), ErrorKind::NotAllowed);
    spare_device.client.renew(spare.1).unwrap();
    scene.world.bring_along(&mut scene.phone, &mut spare_device);
    assert_eq!(spare_device.client.groups().unwrap().len(), 3);
}

/// Certified once more by a thief of the identity key and added by a helper, it is taken out once more.
#[test]
fn a_revoked_device_that_turns_up_again_is_taken_out_again() {
    let mut scene = Scene::new();
    let group = scene.groups[0];
    scene.phone.client.revoke_device(scene.lost).unwrap();
    scene.quiet();
    let identity = scene.world.identity_of(1, "bob");
    let key = convivio::SigningKey::from_seed(&[3; 32]);
    let again = scene.world.courier.certify("bob", &identity, (scene.lost, 50), &key).unwrap();
    let keys = convivio::client::DeviceKeys::new(again, key).unwrap();
    let mut thief = scene.world.start(scene.phone.user.clone(), keys);
    let package = thief.package();
    scene.maria.client.change(&group, Change::Add(vec![package])).unwrap();
    scene.world.sync(&mut scene.maria);
    scene.world.read(&mut scene.phone);
    assert_eq!(scene.remaining(), [group]);
    scene.world.quiet(&mut [&mut scene.maria, &mut scene.phone]);
    assert_eq!(scene.remaining(), []);
}

/// Two devices revoke a third at once: one commit does it, and nobody is told of a change that came to nothing.
#[test]
fn two_devices_may_revoke_a_third() {
    let mut scene = Scene::new();
    let mut tablet = scene.world.link(1, &mut scene.phone);
    scene.world.bring_along(&mut scene.phone, &mut tablet);
    scene.world.quiet(&mut [&mut scene.maria, &mut scene.phone, &mut tablet]);
    for device in [&mut scene.phone, &mut tablet] {
        device.client.revoke_device(scene.lost).unwrap();
        device.news();
        scene.world.post(device);
    }
    // Whoever lost the race has nothing left to do as soon as it has read of it.
    scene.world.read(&mut tablet);
    assert!(scene.groups.iter().all(|group| tablet.queued(group) == 0));
    scene.world.quiet(&mut [&mut scene.maria, &mut scene.phone, &mut tablet]);
    for device in [&mut scene.phone, &mut tablet] {
        let news = device.news();
        assert_eq!(news.len(), 3, "{news:?}");
        assert!(news.iter().all(|what| matches!(what, EventKind::Changed { .. })));
        assert_eq!(device.client.revoked_devices().unwrap()[0].remaining, []);
        assert!(scene.groups.iter().all(|group| device.queued(group) == 0));
    }
}

#[test]
fn the_device_in_use_is_not_revoked_and_a_stranger_is_remembered() {
    let mut scene = Scene::new();
    let own = scene.phone.id();
    assert_eq!(scene.phone.client.revoke_device(own).unwrap_err().kind(), ErrorKind::Misuse);
    // A device that was linked and never added: it is not going to be.
    let mut unused = scene.world.link(1, &mut scene.phone);
    let id = unused.id();
    assert_eq!(scene.phone.client.revoke_device(id).unwrap().remaining, []);
    scene.phone.restart();
    assert_eq!(scene.phone.client.revoked_devices().unwrap(), [RevokedDevice { device: id, remaining: Vec::new() }]);
    let packages: Vec<UnverifiedKeyPackage> = unused.packages(3);
    assert_eq!(scene.phone.client.add_device(packages).unwrap_err().kind(), ErrorKind::NotAllowed);
    // Another user's device is not ours to take out.
    let marias = scene.maria.id();
    assert_eq!(scene.phone.client.revoke_device(marias).unwrap().remaining, []);
    scene.quiet();
    assert!(scene.maria.client.own_devices().unwrap().iter().all(|device| device.missing.is_empty()));
}

/// A credential that has run out makes no commits: the revocation waits for another, and says so.
#[test]
fn a_revocation_waits_for_a_credential_that_holds() {
    let mut scene = Scene::new();
    scene.world.clock.advance(400 * DAY);
    scene.phone.client.revoke_device(scene.lost).unwrap();
    scene.phone.news();
    let records = scene.phone.disk.records();
    scene.world.sync(&mut scene.phone);
    assert_eq!(scene.phone.news(), []);
    assert_eq!(scene.phone.disk.records(), records, "there is nothing to be tried again and again");
    assert_eq!(scene.remaining().len(), 3);
    scene.vouch_for_the_phone(100 * DAY, 100 * DAY);
    scene.world.quiet(&mut [&mut scene.phone]);
    assert_eq!(scene.remaining(), []);
}

/// Members may not add others here, and a user still adds devices of their own.
#[test]
fn a_plain_member_adds_and_revokes_devices_of_their_own() {
    let mut world = World::new();
    let (mut maria, mut phone) = (world.device("maria"), world.device_of(1, "bob"));
    let policy = Policy { add: Role::Owner, remove: Role::Owner, ..world.policy() };
    let group = world.group_under(policy, &mut maria, &mut [&mut phone]);
    let mut laptop = world.link(1, &mut phone);
    world.bring_along(&mut phone, &mut laptop);
    world.quiet(&mut [&mut maria, &mut phone, &mut laptop]);
    agree(&group, &mut [&mut maria, &mut phone, &mut laptop]);
    let lost = laptop.id();
    phone.client.revoke_device(lost).unwrap();
    world.quiet(&mut [&mut maria, &mut phone]);
    agree(&group, &mut [&mut maria, &mut phone]);
    assert_eq!(phone.client.revoked_devices().unwrap()[0].remaining, []);
}

/// Its word counts for no consent any more, neither with whoever revoked it nor with another device that saw it go: the
/// strangers it brings one among are an ordinary invitation, and their keys are not kept.
#[test]
fn a_revoked_device_brings_nobody_into_a_group_unasked() {
    let mut scene = Scene::new();
    let mut tablet = scene.world.link(1, &mut scene.phone);
    scene.world.bring_along(&mut scene.phone, &mut tablet);
    scene.world.quiet(&mut [&mut scene.maria, &mut scene.phone, &mut tablet]);
    // As long as it is trusted, it does.
    let (trusted, _) = scene.trap("carol", &mut [&mut tablet]);
    for device in [&mut scene.phone, &mut tablet] {
        scene.world.read(device);
        assert_eq!(device.status(&trusted), Status::Active);
        device.client.forget(&trusted).unwrap();
    }
    scene.phone.client.revoke_device(scene.lost).unwrap();
    scene.world.quiet(&mut [&mut scene.maria, &mut scene.phone, &mut tablet]);
    assert_eq!(scene.remaining(), []);
    assert_eq!(tablet.client.revoked_devices().unwrap(), [], "it knows by the groups alone");
    let (group, stranger) = scene.trap("dave", &mut [&mut tablet]);
    for device in [&mut scene.phone, &mut tablet] {
        device.news();
        scene.world.read(device);
        assert_eq!(device.status(&group), Status::Invited);
        assert!(matches!(device.news()[..], [EventKind::Invitation { .. }]));
        assert_eq!(device.client.verification(&stranger).unwrap(), Verification::Unknown);
    }
}

/// Whatever keeps this device's commits from counting: what it says waits for the one that takes the lost device out.
#[test]
fn nothing_is_said_to_a_revoked_device_while_no_commit_can_be_made() {
    for (days, listed, queued_before) in
        [([10, 100], true, false), ([100, 10], true, false), ([10, 100], true, true), ([100, 100], false, true)]
    {
        let mut scene = Scene::new();
        let group = scene.groups[0];
        let now = scene.world.clock.now();
        // Or the app has changed its root, and the groups do not list the new one yet.
        let new_root = App::new_in("courier.example", Validity::starting(now, 100 * DAY), &mut rand::rng()).unwrap();
        let app = if listed { &scene.world.courier } else { &new_root };
        vouch(app, &mut scene.phone, now, days.map(|days| days * DAY));
        if queued_before {
            scene.phone.client.revoke_device(scene.lost).unwrap();
        }
        scene.world.clock.advance(20 * DAY);
        scene.phone.say(&group, "not for a thief");
        scene.phone.client.revoke_device(scene.lost).unwrap();
        scene.phone.news();
        scene.world.sync(&mut scene.phone);
        let records = scene.phone.disk.records();
        scene.world.sync(&mut scene.phone);
        assert_eq!(scene.phone.disk.records(), records, "there is nothing to be tried again and again");
        assert_eq!((scene.phone.news(), scene.remaining().len()), (Vec::new(), 3), "the app sees it by this");
        scene.phone.restart();
        for device in [&mut scene.phone, &mut scene.maria, &mut scene.laptop] {
            scene.world.sync(device);
        }
        assert_eq!((scene.laptop.heard(), scene.maria.heard()), (Vec::new(), Vec::new()));
        scene.vouch_for_the_phone(100 * DAY, 100 * DAY);
        scene.quiet();
        assert_eq!((scene.laptop.heard().len(), scene.maria.heard().len()), (0, 1));
        assert_eq!(scene.remaining(), []);
    }
}

/// Who leaves meanwhile hears that what waited will never be said.
#[test]
fn what_waits_for_a_revocation_is_given_back_to_who_leaves() {
    let mut scene = Scene::new();
    let group = scene.groups[0];
    vouch(&scene.world.courier, &mut scene.phone, scene.world.clock.now(), [10 * DAY, 100 * DAY]);
    scene.world.clock.advance(20 * DAY);
    let id = scene.phone.say(&group, "not for a thief");
    scene.phone.client.revoke_device(scene.lost).unwrap();
    scene.world.sync(&mut scene.phone);
    scene.phone.news();
    scene.phone.client.change(&group, Change::Leave).unwrap();
    scene.world.sync(&mut scene.phone);
    let dropped = EventKind::MessageDropped { id, why: ErrorKind::NotAllowed };
    assert_eq!(scene.phone.news(), [dropped]);
    for device in [&mut scene.maria, &mut scene.laptop] {
        scene.world.sync(device);
        assert_eq!(device.heard(), []);
    }
}

/// A hub that does not take the commit is asked once until something comes or an hour has passed, and says nothing of it
/// more than once.
#[test]
fn a_refused_revocation_rests() {
    let mut scene = Scene::new();
    let group = scene.groups[0];
    scene.phone.say(&group, "not for a thief");
    scene.phone.client.revoke_device(scene.lost).unwrap();
    let refuse = |scene: &mut Scene| {
        let mut commits = 0;
        while let [post] = &scene.phone.client.outbox_of(&group, 9).unwrap()[..] {
            assert!(matches!(post.body, PostBody::Commit { .. }));
            commits += 1;
            assert!(commits < 9);
            scene.phone.client.posted(post, PostReply::Refused).unwrap();
        }
        let dropped = |what: &EventKind| matches!(what, EventKind::IntentDropped { .. });
        scene.phone.receive(&[]);
        (commits, scene.phone.news().iter().filter(|what| dropped(what)).count())
    };
    scene.phone.news();
    assert_eq!(refuse(&mut scene), (1, 1));
    let records = scene.phone.disk.records();
    assert_eq!(refuse(&mut scene), (0, 0));
    assert_eq!(scene.phone.disk.records(), records);
    assert_eq!(scene.phone.client.wake_at().unwrap(), Some(scene.world.clock.now().after(60 * 60)));
    scene.world.clock.advance(60 * 60);
    assert_eq!(refuse(&mut scene), (1, 0));
    // Another entry may have changed the hub's mind.
    scene.laptop.say(&group, "I am still here");
    scene.world.sync(&mut scene.laptop);
    for entry in scene.phone.pending(&scene.world.hub, &group) {
        scene.phone.client.receive(&[entry]).unwrap();
    }
    assert_eq!(refuse(&mut scene), (1, 0));
    scene.world.clock.advance(60 * 60);
    scene.quiet();
    assert_eq!((scene.remaining(), scene.laptop.heard()), (Vec::new(), Vec::new()));
}

/// That a heal was refused before does not keep from the app that a revocation is.
#[test]
fn a_refused_revocation_is_told_after_a_refused_heal() {
    let mut scene = Scene::new();
    let group = scene.groups[0];
    let refuse = |scene: &mut Scene| {
        for post in scene.phone.client.outbox_of(&group, 9).unwrap() {
            scene.phone.client.posted(&post, PostReply::Refused).unwrap();
        }
        let dropped = |what: &EventKind| matches!(what, EventKind::IntentDropped { .. });
        scene.phone.receive(&[]);
        scene.phone.news().iter().filter(|what| dropped(what)).count()
    };
    scene.phone.news();
    scene.phone.client.change(&group, Change::Heal).unwrap();
    assert_eq!(refuse(&mut scene), 1);
    scene.phone.client.revoke_device(scene.lost).unwrap();
    scene.world.clock.advance(60 * 60);
    assert_eq!((refuse(&mut scene), refuse(&mut scene)), (1, 0));
}

#[test]
fn what_would_let_a_revoked_device_in_is_dropped_and_refused() {
    let mut scene = Scene::new();
    let mut tablet = scene.world.link(1, &mut scene.phone);
    let added = scene.phone.client.add_device(tablet.packages(3)).unwrap();
    scene.phone.news();
    let id = tablet.id();
    scene.phone.client.revoke_device(id).unwrap();
    scene.phone.receive(&[]);
    let dropped = |(_, intent): &(GroupId, _)| EventKind::IntentDropped { intent: *intent, why: ErrorKind::NotAllowed };
    assert_eq!(scene.phone.news(), added.iter().map(dropped).collect::<Vec<_>>());
    scene.phone.restart();
    scene.world.quiet(&mut [&mut scene.maria, &mut scene.phone, &mut tablet]);
    assert_eq!(tablet.client.groups().unwrap(), []);
    let (group, package) = (scene.groups[0], tablet.package());
    assert_eq!(scene.phone.refused(&group, Change::Add(vec![package])), ErrorKind::NotAllowed);
}

/// Nor by its own request: to be readmitted with its lost state, or to be let in by an invite link.
#[test]
fn no_request_of_a_revoked_device_is_granted() {
    let mut scene = Scene::new();
    let group = scene.groups[0];
    let backup = scene.laptop.disk.copy();
    scene.laptop.say(&group, "one");
    scene.world.quiet(&mut [&mut scene.maria, &mut scene.phone, &mut scene.laptop]);
    scene.laptop.open(backup);
    scene.world.sync(&mut scene.laptop);
    scene.laptop.client.change(&group, Change::Rejoin).unwrap();
    scene.world.sync(&mut scene.laptop);
    scene.world.read(&mut scene.phone);
    let asked = |what| if let EventKind::RejoinRequested { request, .. } = what { Some(request) } else { None };
    let readmit = Change::Readmit(scene.phone.news().into_iter().find_map(asked).unwrap());
    granted_no_more(&mut scene.phone, &group, readmit, scene.lost);

    let mut world = World::new();
    let (mut maria, mut phone) = (world.device("maria"), world.device_of(1, "bob"));
    let policy = Policy { add: Role::Member, ..world.policy() };
    let group = world.group_under(policy, &mut maria, &mut [&mut phone]);
    let link = maria.client.open_link(&group, "", DAY).unwrap();
    world.quiet(&mut [&mut maria, &mut phone]);
    let mut tablet = world.link(1, &mut phone);
    tablet.client.ask_to_join(&link.0).unwrap();
    world.sync(&mut tablet);
    world.read(&mut phone);
    let asked = |what| if let EventKind::JoinRequested { request, .. } = what { Some(request) } else { None };
    let admit = Change::Admit(phone.news().into_iter().find_map(asked).unwrap());
    granted_no_more(&mut phone, &group, admit, tablet.id());
}

/// Queued before the device is revoked, a change is dropped; afterwards it is refused.
fn granted_no_more(phone: &mut Device, group: &GroupId, change: Change, lost: DeviceId) {
    let intent = phone.client.change(group, change.clone()).unwrap();
    phone.client.revoke_device(lost).unwrap();
    phone.receive(&[]);
    assert_eq!(phone.news(), [EventKind::IntentDropped { intent, why: ErrorKind::NotAllowed }]);
    assert_eq!(phone.refused(group, change), ErrorKind::NotAllowed);
}

/// Whose adding is posted already may be in by the time it is revoked: the adding is not lost sight of, and undone.
#[test]
fn a_device_whose_adding_is_under_way_is_taken_out_again() {
    for posted in [true, false] {
        let mut scene = Scene::new();
        let mut tablet = scene.world.link(1, &mut scene.phone);
        scene.phone.client.add_device(tablet.packages(3)).unwrap();
        let group = scene.groups[0];
        let posts = scene.phone.client.outbox_of(&group, 9).unwrap();
        if posted {
            let domain = scene.world.courier.domain().clone();
            assert_eq!(scene.world.hub.post(&domain, &posts[0]), PostReply::Accepted);
        }
        let id = tablet.id();
        scene.phone.client.revoke_device(id).unwrap();
        scene.phone.say(&group, "between us");
        scene.phone.restart();
        let Scene { world, maria, phone, laptop, .. } = &mut scene;
        world.quiet(&mut [maria, phone, laptop, &mut tablet]);
        assert_eq!(scene.phone.client.revoked_devices().unwrap()[0].remaining, []);
        let view = scene.maria.client.group(&group).unwrap();
        assert!(view.devices(&scene.phone.user).all(|device| device != id));
        assert_eq!((tablet.heard(), scene.maria.heard().len()), (Vec::new(), 1));
        agree(&group, &mut [&mut scene.maria, &mut scene.phone, &mut scene.laptop]);
    }
}

/// An app that numbered certificates by itself goes on with the library's serials.
#[test]
fn serials_go_on_above_those_of_a_device_that_was_taken_out() {
    let serial = 1_800_000_000_000;
    for revoke in [true, false] {
        let mut scene = Scene::new();
        let mut tablet = scene.device_with_serial(serial);
        let id = tablet.id();
        if revoke {
            scene.phone.client.revoke_device(id).unwrap();
        } else {
            for group in scene.groups.clone() {
                scene.phone.client.change(&group, Change::RemoveDevice(id)).unwrap();
            }
        }
        scene.world.quiet(&mut [&mut scene.maria, &mut scene.phone]);
        scene.phone.restart();
        assert_eq!(scene.phone.client.next_serial().unwrap(), serial + 1);
        let mut next = scene.world.link(1, &mut scene.phone);
        assert_eq!(scene.phone.client.add_device(next.packages(3)).unwrap().len(), 3);
    }
    // Nor is a revocation that the identity key has signed out of reach.
    let mut scene = Scene::new();
    let (identity, now) = (scene.world.identity_of(1, "bob"), scene.world.clock.now());
    let word = identity.revoke_device(&scene.phone.user, scene.lost, serial, now).unwrap();
    scene.phone.client.change(&scene.groups[0], Change::Revoke(word)).unwrap();
    scene.world.sync(&mut scene.phone);
    assert_eq!(scene.phone.client.next_serial().unwrap(), serial + 1);
}

/// A serial that no later one could outdate is none.
#[test]
fn the_largest_serial_can_be_outdated() {
    let mut scene = Scene::new();
    assert_eq!(scene.link_with_serial(u64::MAX).err().unwrap().kind(), ErrorKind::Misuse);
    let mut tablet = scene.device_with_serial(u64::MAX - 1);
    let (id, group) = (tablet.id(), scene.groups[0]);
    let package = tablet.package();
    scene.phone.client.revoke_device(id).unwrap();
    scene.world.quiet(&mut [&mut scene.maria, &mut scene.phone]);
    assert_eq!(scene.maria.dropped(&mut scene.world, &group, Change::Add(vec![package])), ErrorKind::NotAllowed);
    assert_eq!(scene.phone.client.next_serial().unwrap_err().kind(), ErrorKind::Limit);
}
