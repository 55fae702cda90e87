//! Invite links as people live them: opened, shared, asked by, answered, rotated.

mod support;

use convivio::client::{Change, EventKind, Status};
use convivio::group::{Effect, InviteLink, JoinRequest, Role};
use convivio::{ErrorKind, GroupId, LeafHash};
use support::*;

const WEEK: u64 = 7 * DAY;

/// Maria's group, and a link to it that is open.
fn with_link(world: &mut World, maria: &mut Device) -> (GroupId, InviteLink) {
    let group = world.group(maria, &mut []);
    let link = open(world, maria, &group);
    (group, link)
}

fn open(world: &mut World, device: &mut Device, group: &GroupId) -> InviteLink {
    let link = device.client.open_link(group, "https://hub.photos.example", WEEK).unwrap();
    world.sync(device);
    link
}

/// A link travels as text.
fn shared(link: &InviteLink) -> InviteLink {
    link.to_text().parse().unwrap()
}

fn asks(world: &mut World, device: &mut Device, link: &InviteLink) -> LeafHash {
    let request = device.client.ask_to_join(&shared(link)).unwrap();
    world.sync(device);
    request
}

/// The requests that a device was told of since it was last asked.
fn requests(device: &mut Device) -> Vec<JoinRequest> {
    let request = |what| if let EventKind::JoinRequested { request, .. } = what { Some(*request) } else { None };
    device.news().into_iter().filter_map(request).collect()
}

fn admit(world: &mut World, by: &mut Device, group: &GroupId, request: JoinRequest) {
    by.client.change(group, Change::Admit(Box::new(request))).unwrap();
    world.sync(by);
}

#[test]
fn who_asks_by_a_link_and_is_admitted_is_in_without_another_question() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let (group, link) = with_link(&mut world, &mut maria);
    assert_eq!(maria.effects(), [Effect::LinkOpened(link.id(), link.expires())]);
    let request = asks(&mut world, &mut bob, &link);
    let open = bob.client.open_joins().unwrap();
    assert_eq!((open[0].request, open[0].group, open[0].link), (request, group, link.id()));
    assert_eq!((open[0].hub.as_str(), open[0].posted), ("https://hub.photos.example", true));

    world.sync(&mut maria);
    let news = maria.news();
    let [EventKind::JoinRequested { user, link: by, request: asked, barred, .. }] = &news[..] else {
        panic!("{news:?}")
    };
    assert_eq!((user, *by, asked.id(), *barred), (&bob.user, link.id(), request, false));
    admit(&mut world, &mut maria, &group, JoinRequest::clone(asked));
    assert!(matches!(&maria.effects()[..], [Effect::Added(user, _)] if *user == bob.user));

    world.sync(&mut bob);
    let news = bob.news();
    let [EventKind::Joined { by, info, users }] = &news[..] else { panic!("{news:?}") };
    assert_eq!((by, info.name(), *users), (&maria.user, "Trip", 2));
    assert_eq!((bob.status(&group), bob.client.open_joins().unwrap()), (Status::Active, vec![]));
    bob.say(&group, "here I am");
    world.quiet(&mut [&mut bob, &mut maria]);
    assert_eq!(maria.heard(), [("bob".to_owned(), "here I am".to_owned())]);
    agree(&group, &mut [&mut maria, &mut bob]);
    // Bob's pins are kept: Maria with another key would be told.
    assert_eq!(bob.role(&group, &bob.user.clone()), Role::Member);
}

#[test]
fn a_request_is_told_once_to_those_who_may_add_and_to_nobody_else() {
    let mut world = World::new();
    let (mut maria, mut anna, mut carl, mut bob) =
        (world.device("maria"), world.device("anna"), world.device("carl"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut anna, &mut carl]);
    maria.client.change(&group, Change::Role(anna.user.clone(), Role::Admin)).unwrap();
    world.quiet(&mut [&mut maria, &mut anna, &mut carl]);
    let link = open(&mut world, &mut maria, &group);
    asks(&mut world, &mut bob, &link);
    // The hub has it twice in its log, and the process of one who was told starts again.
    for _ in 0..2 {
        world.quiet(&mut [&mut maria, &mut anna, &mut carl]);
        maria.restart();
    }
    assert_eq!((requests(&mut maria).len(), requests(&mut anna).len()), (1, 1));
    assert!(carl.news().iter().all(|what| matches!(what, EventKind::Invitation { .. } | EventKind::Changed { .. })));
}

#[test]
fn two_who_admit_at_once_admit_once() {
    let mut world = World::new();
    let (mut maria, mut anna, mut bob) = (world.device("maria"), world.device("anna"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut anna]);
    maria.client.change(&group, Change::Role(anna.user.clone(), Role::Admin)).unwrap();
    world.quiet(&mut [&mut maria, &mut anna]);
    let link = open(&mut world, &mut maria, &group);
    asks(&mut world, &mut bob, &link);
    for device in [&mut maria, &mut anna] {
        world.read(device);
        let request = requests(device).remove(0);
        device.client.change(&group, Change::Admit(Box::new(request))).unwrap();
    }
    world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
    agree(&group, &mut [&mut maria, &mut anna, &mut bob]);
    let dropped = |device: &mut Device| {
        device.news().iter().any(|what| matches!(what, EventKind::IntentDropped { why: ErrorKind::NotAllowed, .. }))
    };
    assert!(dropped(&mut anna) != dropped(&mut maria));
}

#[test]
fn what_one_declines_the_others_need_not_decide() {
    let mut world = World::new();
    let (mut maria, mut anna, mut carl, mut bob) =
        (world.device("maria"), world.device("anna"), world.device("carl"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut anna, &mut carl]);
    maria.client.change(&group, Change::Role(anna.user.clone(), Role::Admin)).unwrap();
    world.quiet(&mut [&mut maria, &mut anna, &mut carl]);
    let link = open(&mut world, &mut maria, &group);
    // Anna's client would admit by itself.
    world.quiet(&mut [&mut anna, &mut carl]);
    anna.client.auto_approve(&group, link.id(), true).unwrap();
    let id = asks(&mut world, &mut bob, &link);
    world.read(&mut anna);
    world.sync(&mut maria);
    let request = requests(&mut maria).remove(0);
    maria.client.decline(&group, &request).unwrap();
    [&mut maria, &mut anna, &mut carl].into_iter().for_each(|device| drop(device.news()));
    world.quiet(&mut [&mut maria, &mut anna, &mut carl]);
    world.clock.advance(MINUTE);
    world.quiet(&mut [&mut maria, &mut anna, &mut carl, &mut bob]);
    assert_eq!(anna.news(), [EventKind::JoinDeclined { request: id, by: Some(maria.user.clone()) }]);
    assert_eq!((maria.news(), carl.news()), (vec![], vec![]));
    // Whoever asked is told nothing, and may ask again.
    assert_eq!((bob.news(), bob.client.groups().unwrap()), (vec![], vec![]));
    assert!(!maria.has(&group, &bob.user));
    assert_eq!(carl.client.decline(&group, &request).unwrap_err().kind(), ErrorKind::NotAllowed);
}

#[test]
fn a_client_admits_by_itself_whom_its_user_would() {
    let mut world = World::new();
    let (mut maria, mut bob, mut dora) = (world.device("maria"), world.device_of(1, "bob"), world.device_of(1, "dora"));
    let group = world.group(&mut maria, &mut []);
    // Before the link's commit is through.
    let link = maria.client.open_link(&group, "", WEEK).unwrap();
    maria.client.auto_approve(&group, link.id(), true).unwrap();
    world.sync(&mut maria);
    maria.restart();
    assert!(maria.client.group(&group).unwrap().auto_approves(link.id()));
    world.clock.advance(1);
    asks(&mut world, &mut bob, &link);
    world.read(&mut maria);
    // It waits for its turn, across a restart.
    maria.restart();
    let due = maria.client.wake_at().unwrap().unwrap();
    assert!(due.0 < world.clock.now().0 + 30);
    world.clock.advance(30);
    world.quiet(&mut [&mut maria, &mut bob]);
    assert_eq!((bob.status(&group), maria.has(&group, &bob.user)), (Status::Active, true));
    assert!(!maria.news().iter().any(|what| matches!(what, EventKind::IntentDropped { .. })));
    // Switched off, it asks its user again.
    maria.client.auto_approve(&group, link.id(), false).unwrap();
    asks(&mut world, &mut dora, &link);
    world.quiet(&mut [&mut maria, &mut bob]);
    world.clock.advance(MINUTE);
    world.quiet(&mut [&mut maria, &mut bob]);
    assert_eq!((requests(&mut maria).len(), maria.has(&group, &dora.user)), (1, false));
}

#[test]
fn two_clients_that_admit_by_themselves_do_it_once_and_tell_of_no_failure() {
    let mut world = World::new();
    let (mut maria, mut anna) = (world.device("maria"), world.device("anna"));
    let group = world.group(&mut maria, &mut [&mut anna]);
    maria.client.change(&group, Change::Role(anna.user.clone(), Role::Admin)).unwrap();
    world.quiet(&mut [&mut maria, &mut anna]);
    let link = open(&mut world, &mut maria, &group);
    world.quiet(&mut [&mut maria, &mut anna]);
    maria.client.auto_approve(&group, link.id(), true).unwrap();
    anna.client.auto_approve(&group, link.id(), true).unwrap();
    let mut guests: Vec<Device> = (0..5).map(|n| world.device_of(1, &format!("guest{n}"))).collect();
    for guest in &mut guests {
        asks(&mut world, guest, &link);
    }
    [&mut maria, &mut anna].into_iter().for_each(|device| world.read(device));
    world.clock.advance(MINUTE);
    let mut all: Vec<&mut Device> = [&mut maria, &mut anna].into_iter().chain(&mut guests).collect();
    world.quiet(&mut all);
    agree(&group, &mut all);
    assert_eq!(all[0].client.group(&group).unwrap().state().users().len(), 7);
    for device in all {
        assert!(!device.news().iter().any(|what| matches!(what, EventKind::IntentDropped { .. })));
    }
}

#[test]
fn a_link_that_is_closed_or_over_lets_nobody_ask() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let (group, old) = with_link(&mut world, &mut maria);
    // Rotated: another is opened, the old one closed.
    let new = open(&mut world, &mut maria, &group);
    maria.client.change(&group, Change::CloseLink(old.id())).unwrap();
    world.sync(&mut maria);
    assert_eq!(maria.effects().last(), Some(&Effect::LinkClosed(old.id())));
    let open: Vec<_> = maria.client.group(&group).unwrap().state().links().iter().map(|link| link.id()).collect();
    assert_eq!(open, [new.id()]);
    asks(&mut world, &mut bob, &old);
    world.sync(&mut maria);
    assert_eq!(maria.news(), [EventKind::Void { entries: 1 }]);
    assert_eq!(maria.refused(&group, Change::CloseLink(old.id())), ErrorKind::Expired);
    // Over.
    world.clock.advance(WEEK + 1);
    assert_eq!(bob.client.ask_to_join(&new).unwrap_err().kind(), ErrorKind::Expired);
    // Opening another makes room of it.
    let third = maria.client.open_link(&group, "", DAY).unwrap();
    world.sync(&mut maria);
    let open: Vec<_> = maria.client.group(&group).unwrap().state().links().iter().map(|link| link.id()).collect();
    assert_eq!(open, [third.id()]);
}

#[test]
fn a_request_that_came_in_time_is_not_admitted_once_its_link_is_closed() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let (group, link) = with_link(&mut world, &mut maria);
    asks(&mut world, &mut bob, &link);
    world.sync(&mut maria);
    let request = requests(&mut maria).remove(0);
    maria.client.change(&group, Change::CloseLink(link.id())).unwrap();
    maria.client.change(&group, Change::Admit(Box::new(request.clone()))).unwrap();
    world.sync(&mut maria);
    let dropped = |what: &EventKind| matches!(what, EventKind::IntentDropped { why: ErrorKind::Expired, .. });
    assert!(maria.news().iter().any(dropped));
    assert_eq!(maria.refused(&group, Change::Admit(Box::new(request))), ErrorKind::Expired);
    assert!(!maria.has(&group, &bob.user));
}

#[test]
fn who_may_open_links_may_add_and_change_the_info() {
    let mut world = World::new();
    let (mut maria, mut anna) = (world.device("maria"), world.device("anna"));
    let mut policy = world.policy();
    (policy.info, policy.add) = (Role::Member, Role::Admin);
    let group = world.group_under(policy.clone(), &mut maria, &mut [&mut anna]);
    assert_eq!(anna.client.open_link(&group, "", DAY).unwrap_err().kind(), ErrorKind::NotAllowed);
    (policy.info, policy.add) = (Role::Admin, Role::Member);
    maria.client.change(&group, Change::Policy(policy)).unwrap();
    world.quiet(&mut [&mut maria, &mut anna]);
    assert_eq!(anna.client.open_link(&group, "", DAY).unwrap_err().kind(), ErrorKind::NotAllowed);
    assert_eq!(maria.client.open_link(&group, "", 0).unwrap_err().kind(), ErrorKind::Misuse);
    assert_eq!(maria.client.open_link(&group, &"x".repeat(256), DAY).unwrap_err().kind(), ErrorKind::Limit);
    assert_eq!(maria.client.open_link(&group, "a\u{202e}b", DAY).unwrap_err().kind(), ErrorKind::Malformed);
    let link = open(&mut world, &mut maria, &group);
    assert!(maria.client.auto_approve(&group, link.id(), true).is_ok());
    let unknown = convivio::group::LinkId::from_bytes([7; 16]);
    assert_eq!(maria.client.auto_approve(&group, unknown, true).unwrap_err().kind(), ErrorKind::Expired);
}

#[test]
fn sixteen_links_are_open_at_once() {
    let mut world = World::new();
    let mut maria = world.device("maria");
    let group = world.group(&mut maria, &mut []);
    for _ in 0..16 {
        open(&mut world, &mut maria, &group);
    }
    assert_eq!(maria.client.open_link(&group, "", DAY).unwrap_err().kind(), ErrorKind::Limit);
    assert_eq!(maria.client.group(&group).unwrap().state().links().len(), 16);
}

#[test]
fn a_request_waits_for_its_hub_across_restarts_and_can_be_taken_back() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let (group, link) = with_link(&mut world, &mut maria);
    let request = bob.client.ask_to_join(&link).unwrap();
    let posts = bob.client.outbox_of(&group, 9).unwrap();
    bob.restart();
    assert_eq!((bob.outbox(), posts.len()), (posts, 1));
    bob.client.withdraw(&request).unwrap();
    bob.restart();
    assert_eq!((bob.outbox(), bob.client.open_joins().unwrap()), (vec![], vec![]));
    assert_eq!(bob.client.withdraw(&request).unwrap_err().kind(), ErrorKind::Misuse);
    assert!(!bob.client.package_ids().unwrap().contains(&request));
    // What is not posted within a day is not posted any more, and forgotten a month later.
    bob.client.ask_to_join(&link).unwrap();
    world.clock.advance(DAY + 1);
    assert_eq!(bob.outbox(), []);
    world.clock.advance(31 * DAY);
    assert_eq!((bob.outbox(), bob.client.open_joins().unwrap()), (vec![], vec![]));
}

#[test]
fn who_was_away_when_it_was_let_in_comes_in_later() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let (group, link) = with_link(&mut world, &mut maria);
    asks(&mut world, &mut bob, &link);
    world.sync(&mut maria);
    let request = requests(&mut maria).remove(0);
    admit(&mut world, &mut maria, &group, request);
    world.clock.advance(20 * DAY);
    bob.client.key_packages(1).unwrap();
    bob.client.replace_key_packages(1).unwrap();
    bob.restart();
    world.quiet(&mut [&mut bob, &mut maria]);
    assert_eq!(bob.status(&group), Status::Active);
}

#[test]
fn a_hub_that_does_not_take_a_request_is_told_of() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = maria.client.create_group(world.policy(), convivio::group::GroupInfo::default()).unwrap();
    // The hub does not know the group yet.
    let link = maria.client.open_link(&group, "", DAY).unwrap();
    let request = asks(&mut world, &mut bob, &link);
    assert_eq!(bob.news(), [EventKind::JoinDeclined { request, by: None }]);
    assert_eq!(bob.client.open_joins().unwrap(), []);
}

#[test]
fn a_further_device_of_a_user_who_is_in_asks_too_and_no_client_admits_it_by_itself() {
    let mut world = World::new();
    let (mut maria, mut phone, mut laptop) =
        (world.device("maria"), world.device_of(1, "bob"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut phone]);
    let link = open(&mut world, &mut maria, &group);
    maria.client.auto_approve(&group, link.id(), true).unwrap();
    world.clock.advance(1);
    asks(&mut world, &mut laptop, &link);
    world.quiet(&mut [&mut maria, &mut phone]);
    world.clock.advance(MINUTE);
    world.quiet(&mut [&mut maria, &mut phone, &mut laptop]);
    assert!(laptop.client.groups().unwrap().is_empty());
    let request = requests(&mut maria).remove(0);
    admit(&mut world, &mut maria, &group, request);
    world.quiet(&mut [&mut laptop, &mut phone, &mut maria]);
    agree(&group, &mut [&mut maria, &mut phone, &mut laptop]);
}

#[test]
fn what_the_group_shows_and_its_links_change_without_each_other() {
    let mut world = World::new();
    let (mut maria, mut anna, mut bob) = (world.device("maria"), world.device("anna"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut anna]);
    maria.client.change(&group, Change::Role(anna.user.clone(), Role::Admin)).unwrap();
    world.quiet(&mut [&mut maria, &mut anna]);
    // Both change it at once: one loses the race, and both changes happen.
    let link = maria.client.open_link(&group, "", WEEK).unwrap();
    let renamed = convivio::group::GroupInfo::new("Another trip", "").unwrap().with_disappearing(3_600);
    anna.client.change(&group, Change::Info(renamed.clone())).unwrap();
    world.quiet(&mut [&mut maria, &mut anna]);
    for device in [&mut maria, &mut anna] {
        let view = device.client.group(&group).unwrap();
        assert_eq!((view.state().info(), view.state().links().len()), (&renamed, 1));
    }
    let effects = maria.effects();
    assert!(
        effects.contains(&Effect::Info(renamed)) && effects.contains(&Effect::LinkOpened(link.id(), link.expires()))
    );
    // And the link still works.
    asks(&mut world, &mut bob, &link);
    world.sync(&mut anna);
    let request = requests(&mut anna).remove(0);
    admit(&mut world, &mut anna, &group, request);
    world.quiet(&mut [&mut bob, &mut anna, &mut maria]);
    agree(&group, &mut [&mut maria, &mut anna, &mut bob]);
}

/// Both devices lose power at every one of their writes, before it is on the disk and just after.
#[test]
fn power_that_fails_at_any_write_loses_no_request_and_lets_nobody_in_twice() {
    let mut cuts = 0;
    for writes in 0..14 {
        for after in [false, true] {
            let mut world = World::new();
            let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
            let group = world.group(&mut maria, &mut []);
            maria.disk.cut_power(writes, after);
            bob.disk.cut_power(writes, after);
            let opened = |device: &mut Device| !device.client.group(&group).unwrap().state().links().is_empty();
            // Whoever cannot tell whether the link was made opens another: nobody holds the first.
            let link = loop {
                match maria.client.open_link(&group, "", WEEK) {
                    Ok(link) => break link,
                    Err(_) => cuts += restarted(&mut maria),
                }
            };
            while maria.client.auto_approve(&group, link.id(), true).is_err() {
                cuts += restarted(&mut maria);
            }
            cuts += synced(&mut world, &mut maria);
            assert!(opened(&mut maria));
            world.clock.advance(1);
            while bob.client.open_joins().unwrap().is_empty() {
                let asked = bob.client.ask_to_join(&link);
                cuts += asked.err().map_or(0, |_| restarted(&mut bob));
            }
            cuts += synced(&mut world, &mut bob) + synced(&mut world, &mut maria);
            world.clock.advance(MINUTE);
            cuts += synced(&mut world, &mut maria) + synced(&mut world, &mut bob);
            cuts += synced(&mut world, &mut maria);
            assert_eq!((bob.status(&group), bob.client.open_joins().unwrap()), (Status::Active, vec![]));
            while bob.queued(&group) == 0 && bob.client.send(&group, b"in").is_err() {
                cuts += restarted(&mut bob);
            }
            cuts += synced(&mut world, &mut bob) + synced(&mut world, &mut maria);
            [&maria, &bob].into_iter().for_each(|device| device.disk.cut_power(u64::MAX, false));
            world.quiet(&mut [&mut maria, &mut bob]);
            assert_eq!(maria.heard().len(), 1, "after {writes} writes");
            agree(&group, &mut [&mut maria, &mut bob]);
        }
    }
    assert!(cuts > 20, "{cuts}");
}

/// Starts again after the power went; whether it did.
fn restarted(device: &mut Device) -> usize {
    assert!(device.disk.power_on(), "something else failed");
    device.restart();
    1
}

/// Syncs until that goes well; how often it did not.
fn synced(world: &mut World, device: &mut Device) -> usize {
    (0..).find(|_| world.hub.sync(&mut device.client).is_ok() || restarted(device) == 0).unwrap()
}
