//! What a group gives to other uses: exported secrets, and 32 bytes to compare.

mod support;

use convivio::GroupId;
use convivio::client::Change;
use support::*;

fn exported(device: &mut Device, group: &GroupId, label: &str, context: &[u8]) -> [u8; 32] {
    *device.client.group(group).unwrap().export(label, context).unwrap().expose()
}

#[test]
fn members_export_the_same_secret_for_one_use_and_others_for_others() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let groups = [world.group(&mut maria, &mut [&mut bob]), world.group(&mut maria, &mut [&mut bob])];
    world.quiet(&mut [&mut maria, &mut bob]);
    let mut all = Vec::new();
    for epoch in 0..2 {
        for group in &groups {
            for (label, context) in [("call", &b""[..]), ("call", b"1"), ("cal", b"l"), ("", b"call"), ("", b"")] {
                let secret = exported(&mut maria, group, label, context);
                assert_eq!(exported(&mut bob, group, label, context), secret);
                all.push(secret);
            }
            if epoch == 0 {
                bob.client.change(group, Change::Heal).unwrap();
            }
        }
        world.quiet(&mut [&mut bob, &mut maria]);
    }
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!((count, all.len()), (20, 20), "no two uses, groups or epochs share a secret");
    maria.restart();
    assert_eq!(exported(&mut maria, &groups[0], "call", b""), exported(&mut bob, &groups[0], "call", b""));
}

#[test]
fn the_removed_export_nothing_that_the_others_use() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut bob]);
    world.quiet(&mut [&mut maria, &mut bob]);
    maria.client.change(&group, Change::Remove(bob.user.clone())).unwrap();
    world.quiet(&mut [&mut maria, &mut bob]);
    assert_ne!(exported(&mut maria, &group, "call", b""), exported(&mut bob, &group, "call", b""));
}

#[test]
fn the_authenticator_is_equal_for_those_who_hold_the_same_history_and_changes_with_it() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut bob]);
    world.quiet(&mut [&mut maria, &mut bob]);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let ours = *maria.client.group(&group).unwrap().authenticator();
        assert_eq!(*bob.client.group(&group).unwrap().authenticator(), ours);
        assert!(!seen.contains(&ours));
        seen.push(ours);
        // Messages are no history.
        maria.say(&group, "hello");
        world.quiet(&mut [&mut maria, &mut bob]);
        assert_eq!(*bob.client.group(&group).unwrap().authenticator(), ours);
        maria.restart();
        assert_eq!(*maria.client.group(&group).unwrap().authenticator(), ours);
        bob.client.change(&group, Change::Heal).unwrap();
        world.quiet(&mut [&mut bob, &mut maria]);
    }
}
