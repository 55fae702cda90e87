//! Members commit at once. The hub's order decides; the losers' intents are made anew, or dropped with a reason.

mod support;

use convivio::client::{Change, EventKind, IntentId};
use convivio::group::{GroupInfo, Role};
use convivio::log::PostReply;
use convivio::{ErrorKind, GroupId};
use support::*;

/// What became of a queued change.
fn outcome(device: &mut Device, intent: IntentId) -> Result<(), ErrorKind> {
    let news = device.news();
    let end = news.iter().find_map(|what| match what {
        EventKind::Changed { intent: Some(of), .. } if *of == intent => Some(Ok(())),
        EventKind::IntentDropped { intent: of, why } if *of == intent => Some(Err(*why)),
        _ => None,
    });
    end.unwrap_or_else(|| panic!("{} never heard what became of the change: {news:?}", device.user))
}

/// Everyone has made a commit for the same epoch; then they post and read in this order, and go on until it is quiet.
fn race(
    order: &[usize],
    members: usize,
    change: impl Fn(usize, &mut World, &[Device]) -> Change,
) -> (World, Vec<Device>, GroupId, Vec<Result<(), ErrorKind>>) {
    let mut world = World::new();
    let mut founder = world.device("0");
    let mut others: Vec<Device> = (1..=members).map(|i| world.device_of(i % 2, &i.to_string())).collect();
    let group = world.group(&mut founder, &mut others.iter_mut().collect::<Vec<_>>());
    for member in &others[..members - 1] {
        founder.client.change(&group, Change::Role(member.user.clone(), Role::Owner)).unwrap();
    }
    others.insert(0, founder);
    let mut devices = others;
    world.quiet(&mut devices.iter_mut().collect::<Vec<_>>());
    let changes: Vec<Change> = (0..members).map(|i| change(i, &mut world, &devices)).collect();
    let mut intents = Vec::new();
    for (device, change) in devices.iter_mut().zip(changes) {
        device.news();
        intents.push(device.client.change(&group, change).unwrap());
        assert_eq!(device.outbox().len(), 1);
    }
    let mut posted = vec![false; members];
    for actor in order {
        if core::mem::replace(&mut posted[*actor], true) {
            world.read(&mut devices[*actor]);
        } else {
            world.post(&mut devices[*actor]);
        }
    }
    world.quiet(&mut devices.iter_mut().collect::<Vec<_>>());
    let outcomes = devices.iter_mut().zip(intents).map(|(device, intent)| outcome(device, intent)).collect();
    (world, devices, group, outcomes)
}

/// The group works on: everyone says something and everyone hears it.
fn lives(world: &mut World, group: &GroupId, devices: &mut [&mut Device]) {
    world.quiet(devices);
    let before: Vec<usize> = devices.iter().map(|device| device.heard().len()).collect();
    for device in devices.iter_mut() {
        device.say(group, "still here");
    }
    world.quiet(devices);
    for (device, before) in devices.iter().zip(before) {
        assert_eq!(device.heard().len(), before + devices.len() - 1, "{}", device.user);
    }
    agree(group, devices);
}

#[test]
fn changes_that_go_together_all_happen_in_every_order() {
    for members in [2, 3] {
        for order in interleavings(members, 2) {
            let (mut world, mut devices, group, outcomes) = race(&order, members, |i, world, devices| match i {
                0 => Change::Info(GroupInfo::new("Renamed", "").unwrap()),
                1 => Change::Role(devices[members].user.clone(), Role::Admin),
                _ => Change::Add(vec![world.device_of(1, "guest").package()]),
            });
            assert!(outcomes.iter().all(Result::is_ok), "{order:?}: {outcomes:?}");
            let mut devices: Vec<&mut Device> = devices.iter_mut().collect();
            let state = devices[0].client.group(&group).unwrap();
            assert_eq!(state.state().info().name(), "Renamed");
            assert_eq!(state.state().users().len(), members + 1 + usize::from(members == 3));
            let last = devices[members].user.clone();
            assert_eq!(devices[0].role(&group, &last), Role::Admin);
            lives(&mut world, &group, &mut devices);
        }
    }
}

#[test]
fn of_the_same_removal_by_several_one_happens_and_the_others_hear_why_not() {
    for members in [2, 3] {
        for order in interleavings(members, 2) {
            let (mut world, mut devices, group, mut outcomes) =
                race(&order, members, |_, _, devices| Change::Remove(devices[members].user.clone()));
            outcomes.sort_by_key(|outcome| outcome.is_err());
            let mut expected = vec![Err(ErrorKind::NotMember); members];
            expected[0] = Ok(());
            assert_eq!(outcomes, expected, "{order:?}");
            lives(&mut world, &group, &mut devices[..members].iter_mut().collect::<Vec<_>>());
        }
    }
}

#[test]
fn of_two_owners_who_demote_each_other_one_wins() {
    for order in interleavings(2, 2) {
        let (mut world, mut devices, group, outcomes) =
            race(&order, 2, |i, _, devices| Change::Role(devices[1 - i].user.clone(), Role::Member));
        let first = order[0];
        assert_eq!((outcomes[first], outcomes[1 - first]), (Ok(()), Err(ErrorKind::NotAllowed)), "{order:?}");
        lives(&mut world, &group, &mut devices.iter_mut().collect::<Vec<_>>());
    }
}

#[test]
fn who_removes_one_who_commits_at_the_same_time_wins_or_is_made_anew() {
    for order in interleavings(2, 2) {
        let mut world = World::new();
        let (mut owner, mut bob) = (world.device("owner"), world.device_of(1, "bob"));
        let group = world.group(&mut owner, &mut [&mut bob]);
        world.quiet(&mut [&mut owner, &mut bob]);
        owner.client.change(&group, Change::Remove(bob.user.clone())).unwrap();
        bob.client.change(&group, Change::Heal).unwrap();
        owner.outbox();
        bob.outbox();
        let mut posted = [false; 2];
        for actor in order {
            let device = if actor == 0 { &mut owner } else { &mut bob };
            if core::mem::replace(&mut posted[actor], true) {
                world.read(device);
            } else {
                world.post(device);
            }
        }
        world.quiet(&mut [&mut owner, &mut bob]);
        assert!(!owner.has(&group, &bob.user));
        assert_eq!(bob.status(&group), convivio::client::Status::Removed);
        agree(&group, &mut [&mut owner]);
    }
}

#[test]
fn a_race_is_lost_well_over_a_restart_at_every_step() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut bob]);
    world.quiet(&mut [&mut maria, &mut bob]);
    let ours = maria.client.change(&group, Change::Info(GroupInfo::new("Ours", "").unwrap())).unwrap();
    let post = maria.outbox().remove(0);
    bob.client.change(&group, Change::Heal).unwrap();
    world.sync(&mut bob);
    // The post is under way when the process dies; the hub refuses the swap and the answer reaches nobody.
    maria.restart();
    assert_eq!(world.hub.post(maria.user.domain(), &post), PostReply::Behind);
    assert_eq!(maria.outbox()[0].id(), post.id(), "the same commit is posted again, not another");
    maria.restart();
    world.read(&mut maria);
    maria.restart();
    maria.news();
    world.quiet(&mut [&mut maria, &mut bob]);
    assert_eq!(outcome(&mut maria, ours), Ok(()));
    assert_eq!(bob.client.group(&group).unwrap().state().info().name(), "Ours");
    agree(&group, &mut [&mut maria, &mut bob]);
}

#[test]
fn a_commit_whose_answer_was_lost_is_recognised_when_it_returns() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut bob]);
    world.quiet(&mut [&mut maria, &mut bob]);
    let epoch = maria.epoch(&group);
    maria.news();
    let intent = maria.client.change(&group, Change::Heal).unwrap();
    let post = maria.outbox().remove(0);
    assert_eq!(world.hub.post(maria.user.domain(), &post), PostReply::Accepted);
    maria.restart();
    world.quiet(&mut [&mut maria, &mut bob]);
    assert_eq!((outcome(&mut maria, intent), maria.epoch(&group)), (Ok(()), epoch + 1));
    agree(&group, &mut [&mut maria, &mut bob]);
}
