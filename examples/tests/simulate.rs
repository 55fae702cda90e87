//! The simulation is what it says: the same seed is the same history, and what it watches for it sees.

#[path = "../simulate/main.rs"]
#[allow(dead_code)]
mod simulate;

use std::collections::BTreeMap;

use convivio::client::{Event, EventKind};
use convivio::group::Role;
use convivio::{GroupId, Timestamp};
use simulate::history::{DeviceNo, Logged};
use simulate::ledger::Shown;
use simulate::network::Weather;
use simulate::run;
use simulate::world::World;

#[test]
fn a_few_histories_hold_every_invariant() {
    let mut rejoined = 0;
    for seed in 0..12 {
        let told = run::one(seed, 320, false);
        assert_eq!(told.failure, None, "seed {seed}");
        assert!(told.counts.crashes > 0 && told.counts.commits > 0, "seed {seed}");
        rejoined += told.counts.rejoins;
    }
    assert!(rejoined > 0, "nobody was led astray and came back");
}

#[test]
fn one_seed_is_one_history() {
    let digest = |seed| run::one(seed, 160, false).digest;
    let first = digest(3);
    assert_eq!(first, digest(3));
    assert_ne!(first, digest(7));
}

/// A quiet world, and its largest group.
fn world() -> (World, GroupId, Vec<DeviceNo>) {
    let mut world = World::new(4, false).unwrap();
    run::found(&mut world).unwrap();
    world.weather = Weather::default();
    world.quiet().unwrap();
    let largest = world.ledger.histories.iter().max_by_key(|(_, history)| history.members().count());
    let (group, history) = largest.unwrap();
    let (group, members) = (*group, history.members().collect::<Vec<_>>());
    assert!(members.len() > 2);
    (world, group, members)
}

fn says(world: &mut World, d: DeviceNo, group: GroupId) {
    world.say_this(d, group, b"hello".to_vec()).unwrap();
    world.post(d).unwrap();
}

/// What the quiet period finds wrong.
fn wrong(world: &mut World) -> String {
    world.quiet().expect_err("the oracle sees nothing").to_string()
}

fn catches(found: &str, expected: &str) {
    assert!(found.contains(expected), "{found}");
}

/// The hub shows a device something else, and says so to nobody.
fn secretly(
    world: &mut World,
    d: DeviceNo,
    group: GroupId,
    lie: impl Fn(&mut convivio::log::LogEntry),
) -> Result<(), String> {
    let wanted = world.devices[d].client.subscriptions().unwrap();
    let mut entries = world.network.fetch(&wanted, &[]);
    entries.iter_mut().filter(|entry| entry.group == group).for_each(lie);
    world.receive(d, &entries, &BTreeMap::new()).map_err(|broken| broken.to_string())
}

fn nothing(entry: &mut convivio::log::LogEntry) {
    entry.body = convivio::log::EntryBody::Request(None);
}

#[test]
fn a_message_that_one_member_never_gets_is_missed() {
    let (mut world, group, members) = world();
    says(&mut world, members[0], group);
    catches(&secretly(&mut world, members[1], group, nothing).unwrap_err(), "does not show its message");
}

#[test]
fn a_commit_that_one_member_never_gets_is_missed() {
    let (mut world, group, members) = world();
    world.change(members[0], group, convivio::Change::Heal).unwrap();
    world.post(members[0]).unwrap();
    catches(&secretly(&mut world, members[1], group, nothing).unwrap_err(), "another verdict on a commit");
}

#[test]
fn a_message_that_never_reaches_the_log_is_lost() {
    let (mut world, group, members) = world();
    world.say_this(members[0], group, b"hello".to_vec()).unwrap();
    // The hub says that it has it.
    let post = world.outbox(members[0]).unwrap().remove(0);
    world.devices[members[0]].client.posted(&post, convivio::log::PostReply::Accepted).unwrap();
    catches(&wrong(&mut world), "stands at (Active, 1,");
}

#[test]
fn a_message_that_is_shown_twice_is_noticed() {
    let (mut world, group, members) = world();
    says(&mut world, members[0], group);
    let id = *world.ledger.history(group).unwrap().said.keys().next().unwrap();
    let next = world.ledger.places[&(group, members[1])].next;
    world.turn(members[1]).unwrap();
    let event = heard(&world, members[1], group, id, next);
    catches(&world.ledger.told(group, members[1], &event).unwrap_err().to_string(), "to which it is not entitled");
}

/// The event by which a device told a message of the first member's.
fn heard(world: &World, d: DeviceNo, group: GroupId, id: convivio::MessageId, seq: u64) -> Event {
    assert_eq!(world.ledger.places[&(group, d)].told[&id], 1);
    let said = &world.ledger.histories[&group].said[&id];
    let (user, device) = world.ledger.ids[said.by].clone();
    let (role, time) = (Role::Owner, Timestamp(0));
    let what = EventKind::Message { id, user, device, role, time, content: said.content.clone(), evidence: None };
    Event { id: convivio::client::EventId(1), group, seq, what }
}

#[test]
fn a_message_that_reaches_who_was_removed_is_noticed() {
    let (mut world, group, members) = world();
    let (owner, removed) = (members[0], *members.last().unwrap());
    let user = world.devices[removed].user.clone();
    world.change(owner, group, convivio::Change::Remove(user)).unwrap();
    world.turn(owner).unwrap();
    says(&mut world, owner, group);
    let history = world.ledger.history(group).unwrap();
    let (id, seq) = (*history.said.keys().next().unwrap(), history.log.len() as u64);
    let said = &history.said[&id];
    assert!(matches!(history.entry(seq), Some(Logged::Message(_))));
    let (user, device) = (world.devices[owner].user.clone(), world.devices[owner].id);
    let (role, time) = (Role::Owner, Timestamp(0));
    let what = EventKind::Message { id, user, device, role, time, content: said.content.clone(), evidence: None };
    let event = Event { id: convivio::client::EventId(1), group, seq, what };
    catches(&world.ledger.told(group, removed, &event).unwrap_err().to_string(), "to which it is not entitled");
}

#[test]
fn another_content_or_author_is_noticed() {
    let (mut world, group, members) = world();
    says(&mut world, members[0], group);
    world.turn(members[0]).unwrap();
    let said = world.ledger.history(group).unwrap().said.values_mut().next().unwrap();
    said.content.push(b'!');
    catches(&world.turn(members[1]).unwrap_err().to_string(), "with another content or author");
}

#[test]
fn a_role_time_or_place_that_nobody_had_is_noticed() {
    let (mut world, group, members) = world();
    says(&mut world, members[0], group);
    let history = world.ledger.history(group).unwrap();
    let (id, now) = (*history.said.keys().next().unwrap(), history.shared(history.now()).time);
    let (content, at) = (history.said[&id].content.clone(), history.said[&id].counted_at);
    let later = Timestamp(now.0 + 1);
    for (role, time, seq, complaint) in [
        (Role::Owner, now, at, None),
        (Role::Admin, now, at, Some("role or time")),
        (Role::Owner, later, at, Some("role or time")),
        (Role::Owner, now, at + 1, Some("which counts for the others at")),
    ] {
        let (user, device) = world.ledger.ids[members[0]].clone();
        let what = EventKind::Sent { id, user, device, role, time, content: content.clone() };
        let event = Event { id: convivio::client::EventId(1), group, seq, what };
        match (world.ledger.told(group, members[0], &event), complaint) {
            (told, None) => told.unwrap(),
            (told, Some(complaint)) => catches(&told.unwrap_err().to_string(), complaint),
        }
    }
}

#[test]
fn a_message_that_is_in_the_log_twice_is_noticed() {
    let (mut world, group, members) = world();
    says(&mut world, members[0], group);
    world.settle().unwrap();
    let said = world.ledger.history(group).unwrap().said.values_mut().next().unwrap();
    said.counted += 1;
    catches(&wrong(&mut world), "counts 2 times");
}

#[test]
fn a_key_that_comes_twice_is_noticed() {
    let (mut world, ..) = world();
    let key = ([1; 32], 2, 3);
    world.ledger.key_used(key, b"one frame").unwrap();
    world.ledger.key_used(key, b"one frame").unwrap();
    catches(&world.ledger.key_used(key, b"another").unwrap_err().to_string(), "two frames under generation 3");
    world.ledger.seed_used([1; 32], b"an envelope".to_vec()).unwrap();
    catches(
        &world.ledger.seed_used([1; 32], b"another".to_vec()).unwrap_err().to_string(),
        "two envelopes under one seed",
    );
}

#[test]
fn a_member_with_another_transcript_is_noticed() {
    let (mut world, group, members) = world();
    let history = world.ledger.history(group).unwrap();
    let now = history.now();
    if let Some((transcript, _)) = &mut history.epochs[now].marks {
        transcript[0] ^= 1;
    }
    catches(&world.turn(members[1]).unwrap_err().to_string(), "another transcript");
}

#[test]
fn a_device_left_behind_in_silence_is_noticed() {
    let (mut world, group, members) = world();
    world.change(members[0], group, convivio::Change::Heal).unwrap();
    world.post(members[0]).unwrap();
    // The ledger is told of the lie, and nothing follows by which the device could notice.
    let next = world.ledger.places[&(group, members[1])].next;
    let shown = BTreeMap::from([(next, Shown { entry: next, how: simulate::ledger::How::Spoilt })]);
    let wanted = world.devices[members[1]].client.subscriptions().unwrap();
    let mut entries = world.network.fetch(&wanted, &[]);
    entries.iter_mut().filter(|entry| entry.group == group).for_each(nothing);
    world.receive(members[1], &entries, &BTreeMap::from([(group, shown)])).unwrap();
    catches(&wrong(&mut world), "is left behind");
}
