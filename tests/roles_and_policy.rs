//! Who may do what, and which apps may be in a group.

mod support;

use convivio::client::{Change, EventKind};
use convivio::group::{Effect, GroupInfo, Policy, Role};
use convivio::testing::App;
use convivio::{ErrorKind, GroupId};
use support::*;

const ROLES: [Role; 4] = [Role::Reader, Role::Member, Role::Admin, Role::Owner];

/// Whether the actor's change happened; if not, it was refused for what the role may not do.
fn attempt(world: &mut World, actor: &mut Device, group: &GroupId, change: Change) -> bool {
    let epoch = actor.epoch(group);
    actor.news();
    let intent = actor.client.change(group, change).unwrap();
    world.sync(actor);
    let news = actor.news();
    let happened = news.iter().any(|what| matches!(what, EventKind::Changed { intent: Some(of), .. } if *of == intent));
    let not_allowed = EventKind::IntentDropped { intent, why: ErrorKind::NotAllowed };
    assert!(happened || news.contains(&not_allowed), "{news:?}");
    assert_eq!(actor.epoch(group) > epoch, happened);
    happened
}

#[test]
fn the_whole_table_of_who_may_do_what() {
    for required in ROLES {
        for role in ROLES {
            let mut world = World::new();
            let (mut owner, mut actor) = (world.device("owner"), world.device_of(1, "actor"));
            let (mut target, mut guest) = (world.device("target"), world.device_of(1, "guest"));
            let group = world.group(&mut owner, &mut [&mut actor, &mut target]);
            let mut policy = world.policy();
            (policy.add, policy.remove, policy.post) = (required, required, required);
            (policy.info, policy.policy) = (required, required);
            owner.client.change(&group, Change::Policy(policy.clone())).unwrap();
            owner.client.change(&group, Change::Role(target.user.clone(), Role::Reader)).unwrap();
            owner.client.change(&group, Change::Role(actor.user.clone(), role)).unwrap();
            world.quiet(&mut [&mut owner, &mut actor, &mut target]);
            assert_eq!(actor.role(&group, &actor.user.clone()), role);

            let may = role >= required;
            let case = format!("a {role} where it takes a {required}");
            let info = Change::Info(GroupInfo::new("New name", "").unwrap());
            assert_eq!(attempt(&mut world, &mut actor, &group, info), may, "info: {case}");
            policy.heal_after = 0;
            let policy = Change::Policy(policy);
            assert_eq!(attempt(&mut world, &mut actor, &group, policy), may, "policy: {case}");
            let add = Change::Add(vec![guest.package()]);
            assert_eq!(attempt(&mut world, &mut actor, &group, add), may, "add: {case}");
            assert_eq!(actor.client.send(&group, b"hello").is_ok(), may, "post: {case}");
            // Removing also takes a role above the other's, which owners always have.
            let remove = Change::Remove(target.user.clone());
            let above = role == Role::Owner || role > Role::Reader;
            assert_eq!(attempt(&mut world, &mut actor, &group, remove), may && above, "remove: {case}");
            // Renewing one's own keys is everyone's right.
            assert!(attempt(&mut world, &mut actor, &group, Change::Heal), "heal: {case}");
            world.quiet(&mut [&mut owner, &mut actor]);
            agree(&group, &mut [&mut owner, &mut actor]);
            assert_eq!(owner.heard().len(), usize::from(may), "post: {case}");
        }
    }
}

#[test]
fn who_may_give_which_role_to_whom() {
    let mut world = World::new();
    let (mut owner, mut actor, mut target) =
        (world.device("owner"), world.device_of(1, "actor"), world.device("target"));
    let group = world.group(&mut owner, &mut [&mut actor, &mut target]);
    for role in ROLES {
        for from in ROLES {
            for to in ROLES {
                for (user, given) in [(&actor.user, role), (&target.user, from)] {
                    owner.client.change(&group, Change::Role(user.clone(), given)).unwrap();
                }
                world.quiet(&mut [&mut owner, &mut actor, &mut target]);
                let may = match role {
                    Role::Owner => true,
                    Role::Admin => from < Role::Admin && to <= Role::Admin,
                    _ => false,
                };
                let change = Change::Role(target.user.clone(), to);
                assert_eq!(attempt(&mut world, &mut actor, &group, change), may, "a {role} makes a {from} a {to}");
            }
        }
    }
    world.quiet(&mut [&mut owner, &mut actor, &mut target]);
    agree(&group, &mut [&mut owner, &mut actor, &mut target]);
}

#[test]
fn an_admin_removes_neither_admins_nor_owners() {
    let mut world = World::new();
    let (mut owner, mut admin, mut other) = (world.device("owner"), world.device_of(1, "admin"), world.device("other"));
    let group = world.group(&mut owner, &mut [&mut admin, &mut other]);
    for user in [&admin.user, &other.user] {
        owner.client.change(&group, Change::Role(user.clone(), Role::Admin)).unwrap();
    }
    world.quiet(&mut [&mut owner, &mut admin, &mut other]);
    assert!(!attempt(&mut world, &mut admin, &group, Change::Remove(other.user.clone())));
    assert!(!attempt(&mut world, &mut admin, &group, Change::Remove(owner.user.clone())));
    let own = admin.user.clone();
    // Anyone may step down, and nobody climbs back alone.
    assert!(attempt(&mut world, &mut admin, &group, Change::Role(own.clone(), Role::Reader)));
    assert!(!attempt(&mut world, &mut admin, &group, Change::Role(own, Role::Member)));
    assert!(attempt(&mut world, &mut owner, &group, Change::Remove(other.user.clone())));
}

#[test]
fn the_last_owner_cannot_step_down_or_be_removed() {
    let mut world = World::new();
    let (mut owner, mut heir) = (world.device("owner"), world.device_of(1, "heir"));
    let group = world.group(&mut owner, &mut [&mut heir]);
    let own = owner.user.clone();
    assert!(!attempt(&mut world, &mut owner, &group, Change::Role(own.clone(), Role::Admin)));
    assert!(attempt(&mut world, &mut owner, &group, Change::Role(heir.user.clone(), Role::Owner)));
    assert!(attempt(&mut world, &mut owner, &group, Change::Role(own, Role::Member)));
    world.quiet(&mut [&mut heir, &mut owner]);
    assert!(attempt(&mut world, &mut heir, &group, Change::Remove(owner.user.clone())));
}

#[test]
fn readers_read_and_what_they_had_queued_comes_back_to_them() {
    let mut world = World::new();
    let (mut owner, mut bob) = (world.device("owner"), world.device_of(1, "bob"));
    let group = world.group(&mut owner, &mut [&mut bob]);
    // Bob writes while he still may, but his phone is offline until he no longer may.
    let id = bob.say(&group, "too late");
    owner.client.change(&group, Change::Role(bob.user.clone(), Role::Reader)).unwrap();
    owner.say(&group, "announcement");
    world.sync(&mut owner);
    bob.news();
    world.quiet(&mut [&mut bob, &mut owner]);
    assert_eq!(bob.heard(), [("owner".to_owned(), "announcement".to_owned())]);
    assert_eq!(owner.heard(), []);
    assert!(bob.news().contains(&EventKind::MessageDropped { id, why: ErrorKind::NotAllowed }));
    assert_eq!(bob.client.send(&group, b"may I?").unwrap_err().kind(), ErrorKind::NotAllowed);
    assert_eq!(bob.queued(&group), 0);
}

#[test]
fn a_third_app_is_allowed_and_its_user_added_in_one_group() {
    let mut world = World::new();
    let (mut maria, mut bob, mut zoe) = (world.device("maria"), world.device_of(1, "bob"), world.device_of(2, "zoe"));
    let group = world.group(&mut maria, &mut [&mut bob]);
    assert_eq!(maria.refused(&group, Change::Add(vec![zoe.package()])), ErrorKind::NotAllowed);
    let all = App::policy(&[&world.photos, &world.courier, &world.lumen]).unwrap();
    assert!(!attempt(&mut world, &mut bob, &group, Change::Policy(all.clone())), "a member does not admit apps");
    assert!(attempt(&mut world, &mut maria, &group, Change::Policy(all.clone())));
    world.bring_in(group, &mut maria, &mut [&mut zoe]);
    world.quiet(&mut [&mut maria, &mut bob, &mut zoe]);
    agree(&group, &mut [&mut maria, &mut bob, &mut zoe]);
    assert_eq!(
        bob.effects(),
        [Effect::Policy(all), Effect::Added(zoe.user.clone(), zoe.client.identity().unwrap().device())]
    );
    zoe.say(&group, "ciao da lumen 🌟");
    world.quiet(&mut [&mut zoe, &mut maria, &mut bob]);
    assert_eq!(bob.heard(), [("zoe".to_owned(), "ciao da lumen 🌟".to_owned())]);
}

#[test]
fn an_app_is_delisted_only_once_its_users_are_gone() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut bob]);
    let alone = App::policy(&[&world.photos]).unwrap();
    assert!(!attempt(&mut world, &mut maria, &group, Change::Policy(alone.clone())));
    assert!(attempt(&mut world, &mut maria, &group, Change::Remove(bob.user.clone())));
    assert!(attempt(&mut world, &mut maria, &group, Change::Policy(alone)));
    assert_eq!(maria.refused(&group, Change::Add(vec![bob.package()])), ErrorKind::NotAllowed);
    // Nor one's own app.
    let others = App::policy(&[&world.courier]).unwrap();
    assert!(!attempt(&mut world, &mut maria, &group, Change::Policy(others)));
}

#[test]
fn a_group_is_founded_only_under_a_policy_that_lists_its_founders_app() {
    let mut world = World::new();
    let mut zoe = world.device_of(2, "zoe");
    let founded = zoe.client.create_group(world.policy(), GroupInfo::default());
    assert_eq!(founded.unwrap_err().kind(), ErrorKind::NotAllowed);
    assert!(zoe.client.groups().unwrap().is_empty());
    // A root that is not the app's own counts for nothing.
    let forged = App::new("lumen.example").unwrap();
    let founded = zoe.client.create_group(Policy::new(App::trust(&[&forged]).unwrap()), GroupInfo::default());
    assert_eq!(founded.unwrap_err().kind(), ErrorKind::NotAllowed);
}
