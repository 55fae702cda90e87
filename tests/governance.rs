//! How a group is run: announcement groups, apps that come and go, owners who stay.

mod support;

use convivio::client::{Change, EventKind, Status};
use convivio::group::{Effect, GroupInfo, Policy, Role};
use convivio::identity::{AppKey, AppRoot, TrustedApp, UnverifiedDeviceIdentity};
use convivio::testing::App;
use convivio::{ErrorKind, GroupId, SigningKey, Validity, limits};
use support::*;

fn trusted(app: &App) -> TrustedApp {
    TrustedApp::new(app.domain().clone(), vec![app.root().public().clone()]).unwrap()
}

fn policy(device: &mut Device, group: &GroupId) -> Policy {
    device.client.group(group).unwrap().state().policy().clone()
}

#[test]
fn in_an_announcement_group_admins_speak_and_all_others_read() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let rules = Policy::announcements(App::trust(&[&world.photos, &world.courier]).unwrap());
    assert_eq!(rules, Policy { post: Role::Admin, ..world.policy() });
    let group = world.group_under(rules, &mut maria, &mut [&mut bob]);
    let stranger = "mimi://photos.example/u/nobody".parse().unwrap();
    let posting = [&maria.user, &bob.user, &stranger].map(|user| user.clone());
    let view = bob.client.group(&group).unwrap();
    assert_eq!(posting.map(|user| view.state().may_post(&user)), [true, false, false]);

    assert_eq!(bob.client.send(&group, b"me too").unwrap_err().kind(), ErrorKind::NotAllowed);
    maria.say(&group, "the office is closed on Monday");
    world.quiet(&mut [&mut maria, &mut bob]);
    assert_eq!(bob.heard().len(), 1);
    // All that is not a message is still theirs.
    bob.client.change(&group, Change::Heal).unwrap();
    world.quiet(&mut [&mut bob, &mut maria]);
    agree(&group, &mut [&mut maria, &mut bob]);
    maria.client.change(&group, Change::Role(bob.user.clone(), Role::Admin)).unwrap();
    world.quiet(&mut [&mut maria, &mut bob]);
    bob.say(&group, "and on Tuesday");
    world.quiet(&mut [&mut bob, &mut maria]);
    assert_eq!(maria.heard().len(), 1);
    bob.client.change(&group, Change::Leave).unwrap();
    world.quiet(&mut [&mut bob, &mut maria]);
    world.clock.advance(MINUTE);
    world.quiet(&mut [&mut maria, &mut bob]);
    assert_eq!(bob.status(&group), Status::Removed);
}

#[test]
fn what_members_had_queued_when_a_group_falls_silent_is_given_back_and_never_posted() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut bob]);
    let (first, second) = (bob.say(&group, "as I was saying"), bob.say(&group, "and another thing"));
    let rules = Policy::announcements(world.policy().apps);
    maria.client.change(&group, Change::Policy(rules)).unwrap();
    maria.say(&group, "quiet, please");
    world.sync(&mut maria);
    bob.news();
    world.read(&mut bob);
    assert_eq!(world.post(&mut bob), 0, "nothing of it leaves the device");
    let dropped = |id| EventKind::MessageDropped { id, why: ErrorKind::NotAllowed };
    let news = bob.news();
    assert!(news.contains(&dropped(first)) && news.contains(&dropped(second)), "{news:?}");
    bob.restart();
    world.quiet(&mut [&mut bob, &mut maria]);
    assert_eq!((bob.queued(&group), bob.heard().len(), maria.heard().len()), (0, 1, 0));
    agree(&group, &mut [&mut maria, &mut bob]);
}

#[test]
fn an_app_is_admitted_into_the_policy_of_the_moment() {
    let mut world = World::new();
    let (mut maria, mut anna, mut bob) = (world.device("maria"), world.device("anna"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut anna, &mut bob]);
    maria.client.change(&group, Change::Role(anna.user.clone(), Role::Owner)).unwrap();
    world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
    // Anna silences the group while Maria's device, which does not know yet, admits an app.
    let silent = Policy::announcements(world.policy().apps);
    anna.client.change(&group, Change::Policy(silent.clone())).unwrap();
    maria.client.change(&group, Change::AdmitApp(trusted(&world.lumen))).unwrap();
    maria.restart();
    world.post(&mut anna);
    world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
    let expected = App::policy(&[&world.photos, &world.courier, &world.lumen]).unwrap().apps;
    let now = policy(&mut bob, &group);
    assert_eq!((now.post, &now.apps), (Role::Admin, &expected), "neither change undoes the other");
    assert_eq!(bob.effects().last(), Some(&Effect::Policy(now)));
    let mut zoe = world.device_of(2, "zoe");
    world.bring_in(group, &mut maria, &mut [&mut zoe]);
    world.quiet(&mut [&mut maria, &mut anna, &mut bob, &mut zoe]);
    agree(&group, &mut [&mut maria, &mut anna, &mut bob, &mut zoe]);
    // Who may not change the policy admits nobody; what is there is not admitted again.
    assert_eq!(maria.refused(&group, Change::AdmitApp(trusted(&world.lumen))), ErrorKind::Duplicate);
    let other = App::new("other.example").unwrap();
    assert_eq!(bob.dropped(&mut world, &group, Change::AdmitApp(trusted(&other))), ErrorKind::NotAllowed);
}

#[test]
fn a_list_of_apps_has_its_bounds() {
    let mut world = World::new();
    let mut maria = world.device("maria");
    let mut rules = world.policy();
    let key = |n: u8| SigningKey::from_seed(&[n; 32]).verify_key().clone();
    for n in 0..62 {
        rules.apps.insert(format!("app{n}.example").parse().unwrap(), key(n)).unwrap();
    }
    let group = world.group_under(rules, &mut maria, &mut []);
    assert_eq!(maria.refused(&group, Change::AdmitApp(trusted(&world.lumen))), ErrorKind::Limit);
    let courier = world.courier.domain().clone();
    let more = |n: u8| TrustedApp::new(courier.clone(), (100..100 + n).map(key).collect());
    assert_eq!(maria.refused(&group, Change::AdmitApp(more(4).unwrap())), ErrorKind::Limit, "with the one there is");
    maria.client.change(&group, Change::AdmitApp(more(3).unwrap())).unwrap();
    world.quiet(&mut [&mut maria]);
    assert_eq!(policy(&mut maria, &group).apps.app(&courier).unwrap().roots().len(), limits::ROOTS_PER_APP);
    let kind = |made: convivio::Result<TrustedApp>| made.unwrap_err().kind();
    assert_eq!((kind(more(5)), kind(more(0))), (ErrorKind::Limit, ErrorKind::Malformed));
    assert_eq!(kind(TrustedApp::new(courier.clone(), vec![key(1), key(1)])), ErrorKind::Malformed);
}

#[test]
fn a_delisted_app_goes_with_all_its_users_and_may_come_back() {
    let mut world = World::new();
    let (mut maria, mut anna) = (world.device("maria"), world.device("anna"));
    let (mut bob, mut bobs, mut carl) =
        (world.device_of(1, "bob"), world.device_of(1, "bob"), world.device_of(1, "carl"));
    let mut rules = world.policy();
    rules.add = Role::Member;
    let group = world.group_under(rules.clone(), &mut maria, &mut [&mut anna, &mut bob, &mut bobs]);
    world.quiet(&mut [&mut maria, &mut anna, &mut bob, &mut bobs]);
    let courier = world.courier.domain().clone();
    // Queued before Carl is in, whom Anna adds; the commit is of the users that there are then.
    let added = carl.package();
    anna.client.change(&group, Change::Add(vec![added])).unwrap();
    maria.client.change(&group, Change::DelistApp(courier.clone())).unwrap();
    world.post(&mut anna);
    anna.news();
    world.quiet(&mut [&mut maria, &mut anna, &mut bob, &mut bobs, &mut carl]);
    agree(&group, &mut [&mut maria, &mut anna]);
    let left = rules.apps.domains().filter(|domain| **domain != courier).count();
    let now = policy(&mut anna, &group);
    assert_eq!((now.apps.apps().len(), now.add), (left, Role::Member));
    let effects = anna.effects();
    let gone = |user: &convivio::identity::UserUri| effects.contains(&Effect::Removed(user.clone()));
    assert!(gone(&bob.user) && gone(&carl.user) && effects.contains(&Effect::Policy(now)));
    for device in [&mut bob, &mut bobs] {
        assert_eq!(device.status(&group), Status::Removed);
    }
    assert_eq!(maria.refused(&group, Change::Add(vec![bob.package()])), ErrorKind::NotAllowed);
    assert_eq!(maria.refused(&group, Change::DelistApp(courier.clone())), ErrorKind::NotMember);

    // It was the app and not Bob: when it is back, any member who may add may add him.
    maria.client.change(&group, Change::AdmitApp(trusted(&world.courier))).unwrap();
    world.quiet(&mut [&mut maria, &mut anna]);
    bob.client.forget(&group).unwrap();
    world.bring_in(group, &mut anna, &mut [&mut bob]);
    world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
    agree(&group, &mut [&mut maria, &mut anna, &mut bob]);
}

/// Bob was removed for what he did. That his app goes and comes back does not make that undone.
#[test]
fn who_was_barred_before_stays_barred_when_their_app_comes_back() {
    let mut world = World::new();
    let (mut maria, mut anna, mut bob) = (world.device("maria"), world.device("anna"), world.device_of(1, "bob"));
    let mut rules = world.policy();
    rules.add = Role::Member;
    let group = world.group_under(rules, &mut maria, &mut [&mut anna, &mut bob]);
    for change in [
        Change::Remove(bob.user.clone()),
        Change::DelistApp(world.courier.domain().clone()),
        Change::AdmitApp(trusted(&world.courier)),
    ] {
        maria.client.change(&group, change).unwrap();
        world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
    }
    assert_eq!(anna.dropped(&mut world, &group, Change::Add(vec![bob.package()])), ErrorKind::NotAllowed);
}

#[test]
fn who_may_not_delist_an_app() {
    let mut world = World::new();
    let (mut maria, mut anna, mut bob) = (world.device("maria"), world.device("anna"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut anna, &mut bob]);
    let [photos, courier, lumen] =
        [&world.photos, &world.courier, &world.lumen].map(|app| Change::DelistApp(app.domain().clone()));
    assert_eq!(maria.refused(&group, photos.clone()), ErrorKind::NotAllowed, "one's own");
    assert_eq!(maria.refused(&group, lumen), ErrorKind::NotMember, "one that is not there");
    assert_eq!(anna.dropped(&mut world, &group, courier.clone()), ErrorKind::NotAllowed, "a member");
    // Bob may change the policy, but the only owner is of the other app.
    let mut rules = world.policy();
    (rules.policy, rules.remove) = (Role::Admin, Role::Admin);
    maria.client.change(&group, Change::Policy(rules)).unwrap();
    maria.client.change(&group, Change::Role(bob.user.clone(), Role::Admin)).unwrap();
    world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
    assert_eq!(bob.refused(&group, photos.clone()), ErrorKind::NotAllowed);
    // Nor is an admin's word enough for an owner when there is another.
    maria.client.change(&group, Change::Role(bob.user.clone(), Role::Owner)).unwrap();
    world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
    maria.client.change(&group, Change::Role(anna.user.clone(), Role::Admin)).unwrap();
    world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
    assert_eq!(anna.dropped(&mut world, &group, courier), ErrorKind::NotAllowed);
    // Between owners it is done.
    bob.client.change(&group, photos).unwrap();
    world.quiet(&mut [&mut bob, &mut maria, &mut anna]);
    assert_eq!((maria.status(&group), anna.status(&group)), (Status::Removed, Status::Removed));
    assert_eq!(bob.client.group(&group).unwrap().state().users().len(), 1);
}

/// A new root of an app, in four steps: admitted, devices renew and heal, the old one retires.
#[test]
fn an_app_changes_its_root_without_losing_anyone() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut bob]);
    let domain = world.courier.domain().clone();
    let old = world.courier.root().public().clone();
    let root = AppRoot::from_seed(domain.clone(), &[7; 32]);
    let new = root.public().clone();
    let retire = |root: &convivio::VerifyKey| Change::RetireRoot(domain.clone(), root.clone());
    assert_eq!(maria.refused(&group, retire(&new)), ErrorKind::NotMember, "not listed");
    assert_eq!(maria.refused(&group, retire(&old)), ErrorKind::NotAllowed, "the app's only one");

    maria.client.change(&group, Change::AdmitApp(TrustedApp::new(domain.clone(), vec![new.clone()]).unwrap())).unwrap();
    world.quiet(&mut [&mut maria, &mut bob]);
    assert!(
        maria.news().contains(&EventKind::RootChanged { domain: domain.clone() }),
        "pins say so until it is accepted"
    );
    let under = |of: &mut Device, root| of.client.group(&group).unwrap().state().devices_under(&domain, root);
    assert_eq!((under(&mut maria, &old), under(&mut maria, &new)), (1, 0));
    assert_eq!(maria.refused(&group, retire(&old)), ErrorKind::NotAllowed, "Bob's device is under it");

    // Bob's app vouches for him under the new root, and his device shows that with its next commit.
    let key = SigningKey::from_seed(&[8; 32]);
    let validity = Validity::starting(START, DAY);
    let app = AppKey::new(SigningKey::from_seed(&[8; 32]), root.certify(key.verify_key(), validity)).unwrap();
    let present = bob.client.identity().unwrap().clone();
    // Until then the word of the new root on him is none yet, after it that of the old one none any more.
    let revoke = |by: &AppKey| Change::Revoke(by.revoke(present.user(), present.identity_key(), START).unwrap());
    let (of_old, of_new) = (revoke(world.courier.key()), revoke(&app));
    assert_eq!(maria.refused(&group, of_new.clone()), ErrorKind::NotAllowed);
    let credential = app.vouch(present.user(), present.identity_key(), validity).unwrap();
    let renewed = UnverifiedDeviceIdentity::new(credential, present.certificate().clone());
    let trust = policy(&mut bob, &group).apps;
    bob.client.renew(renewed.verify(&trust, START).unwrap()).unwrap();
    bob.client.change(&group, Change::Heal).unwrap();
    world.quiet(&mut [&mut bob, &mut maria]);
    assert_eq!((under(&mut maria, &old), under(&mut maria, &new)), (0, 1));
    assert_eq!(bob.dropped(&mut world, &group, retire(&old)), ErrorKind::NotAllowed, "a member");
    maria.client.change(&group, retire(&old)).unwrap();
    maria.restart();
    world.quiet(&mut [&mut maria, &mut bob]);
    assert_eq!(policy(&mut bob, &group).apps.app(&domain).unwrap().roots(), [new]);
    agree(&group, &mut [&mut maria, &mut bob]);
    assert_eq!(maria.refused(&group, of_old), ErrorKind::NotAllowed);
    maria.client.change(&group, of_new).unwrap();
    world.quiet(&mut [&mut maria, &mut bob]);
    assert_eq!(bob.status(&group), Status::Removed);
}

fn owners(device: &mut Device, group: &GroupId) -> usize {
    let view = device.client.group(group).unwrap();
    view.state().users().filter(|(_, user)| user.role == Role::Owner).count()
}

/// Every way in which a user goes or loses a role, tried on the only owner; two who go at once are in `tests/leaving.rs`.
#[test]
fn the_last_owner_stays_whatever_is_tried() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let (mut tablet, mut anna) = (world.device("maria"), world.device("anna"));
    let mut rules = world.policy();
    (rules.policy, rules.remove) = (Role::Admin, Role::Admin);
    let group = world.group_under(rules, &mut maria, &mut [&mut bob, &mut tablet, &mut anna]);
    maria.client.change(&group, Change::Role(bob.user.clone(), Role::Admin)).unwrap();
    world.quiet(&mut [&mut maria, &mut bob, &mut tablet, &mut anna]);
    let own = maria.user.clone();
    let (photos, identity) = (world.photos.domain().clone(), world.identity(0, "maria").public().clone());
    let revoked = world.photos.key().revoke(&own, &identity, world.clock.now()).unwrap();
    // By herself, by an admin, by the word of her app.
    assert_eq!(maria.refused(&group, Change::Leave), ErrorKind::NotAllowed);
    assert_eq!(tablet.refused(&group, Change::Leave), ErrorKind::NotAllowed);
    assert_eq!(maria.dropped(&mut world, &group, Change::Role(own.clone(), Role::Admin)), ErrorKind::NotAllowed);
    assert_eq!(bob.dropped(&mut world, &group, Change::Role(own.clone(), Role::Member)), ErrorKind::NotAllowed);
    assert_eq!(bob.dropped(&mut world, &group, Change::Remove(own.clone())), ErrorKind::NotAllowed);
    assert_eq!(bob.refused(&group, Change::DelistApp(photos)), ErrorKind::NotAllowed);
    assert_eq!(bob.dropped(&mut world, &group, Change::Revoke(revoked)), ErrorKind::NotAllowed);
    // Her devices go, but for the last.
    let [phone, second] =
        [&mut maria, &mut tablet].map(|device| device.client.identity().unwrap().certificate().clone());
    let revoke = |certificate: &convivio::identity::DeviceCertificate| {
        let identity = world.identity(0, "maria");
        let (device, serial) = (certificate.device(), certificate.serial());
        Change::Revoke(identity.revoke_device(&own, device, serial, START).unwrap())
    };
    let (first, last) = (revoke(&second), revoke(&phone));
    bob.client.change(&group, first).unwrap();
    world.quiet(&mut [&mut bob, &mut maria, &mut tablet, &mut anna]);
    assert_eq!(tablet.status(&group), Status::Removed);
    assert_eq!(bob.dropped(&mut world, &group, last), ErrorKind::NotAllowed);
    assert_eq!(maria.dropped(&mut world, &group, Change::RemoveDevice(phone.device())), ErrorKind::NotAllowed);
    world.quiet(&mut [&mut maria, &mut bob, &mut anna]);
    assert_eq!((owners(&mut anna, &group), maria.role(&group, &own)), (1, Role::Owner));
    agree(&group, &mut [&mut maria, &mut bob, &mut anna]);
    maria.client.change(&group, Change::Info(GroupInfo::new("still mine", "").unwrap())).unwrap();
    world.quiet(&mut [&mut maria, &mut bob, &mut anna]);
    agree(&group, &mut [&mut maria, &mut bob, &mut anna]);
}
