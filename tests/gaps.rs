//! The hub holds something back: it is noticed, nothing is skipped, and it is made good later.

mod support;

use convivio::client::{Change, EventKind};
use support::*;

#[test]
fn what_follows_a_gap_waits_until_it_is_filled() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut bob]);
    world.quiet(&mut [&mut maria, &mut bob]);
    for text in ["one", "two", "three"] {
        maria.say(&group, text);
    }
    maria.client.change(&group, Change::Heal).unwrap();
    world.sync(&mut maria);
    maria.say(&group, "four");
    world.sync(&mut maria);
    let log = bob.pending(&world.hub, &group);
    assert_eq!(log.len(), 5);
    for missing in 0..log.len() {
        let mut bob = {
            let mut twin = world.device("unused");
            twin.open(bob.disk.copy());
            twin
        };
        let epoch = bob.epoch(&group);
        let some: Vec<_> = log.iter().filter(|entry| entry.seq != log[missing].seq).cloned().collect();
        bob.receive(&some);
        let gap = EventKind::Gap { expected: log[missing].seq };
        let last = missing + 1 == log.len();
        assert_eq!(bob.news().contains(&gap), !last);
        assert_eq!(bob.client.group(&group).unwrap().next_entry(), log[missing].seq);
        assert_eq!(bob.epoch(&group), epoch + u64::from(missing > 3));
        assert!(gap.next_step().is_some());
        // Over a restart, and with the rest in the wrong order.
        bob.restart();
        let rest: Vec<_> = log.iter().rev().cloned().collect();
        bob.receive(&rest);
        let heard: Vec<_> = bob.heard().into_iter().map(|(_, text)| text).collect();
        assert_eq!(heard, ["one", "two", "three", "four"]);
        assert_eq!(bob.epoch(&group), epoch + 1);
    }
}

#[test]
fn a_gap_in_one_group_holds_up_no_other() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let groups = [world.group(&mut maria, &mut [&mut bob]), world.group(&mut maria, &mut [&mut bob])];
    world.quiet(&mut [&mut maria, &mut bob]);
    for group in &groups {
        maria.say(group, "one");
        maria.say(group, "two");
    }
    world.sync(&mut maria);
    let mut entries = bob.pending(&world.hub, &groups[0]);
    entries.remove(0);
    entries.extend(bob.pending(&world.hub, &groups[1]));
    bob.receive(&entries);
    assert_eq!(bob.heard().len(), 2);
    world.quiet(&mut [&mut bob, &mut maria]);
    assert_eq!(bob.heard().len(), 4);
}
