//! A hub that loses, repeats, reorders and delays, and processes that die: everyone ends with everything, once.

mod support;

use std::collections::BTreeMap;

use convivio::client::{Change, EventKind};
use convivio::group::GroupInfo;
use convivio::testing::Faults;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use support::*;

const BAD: Faults = Faults { lose_post: 0.2, lose_reply: 0.2, lose_entry: 0.15, repeat: 0.2, reorder: 0.4, delay: 0.3 };

/// Five devices of four users chat and change the group for a while over a bad line; then the line is good again.
fn story(seed: u64, faults: Faults, restarts: bool) {
    let mut world = World::with_faults(Faults::default(), seed);
    let mut rng = StdRng::seed_from_u64(seed);
    let names = [(0, "maria"), (0, "anna"), (1, "bob"), (1, "bob"), (1, "carl")];
    let mut devices: Vec<Device> = names.iter().map(|(app, name)| world.device_of(*app, name)).collect();
    let (founder, others) = devices.split_first_mut().unwrap();
    let group = world.group(founder, &mut others.iter_mut().collect::<Vec<_>>());
    world.quiet(&mut devices.iter_mut().collect::<Vec<_>>());

    world.hub.set_faults(faults);
    let mut said = BTreeMap::new();
    for step in 0..120 {
        let at = rng.random_range(0..devices.len());
        let device = &mut devices[at];
        match rng.random_range(0..10) {
            0..4 => {
                let text = format!("{step} from {at}");
                said.insert(device.say(&group, &text), (at, text));
            }
            4 => {
                device.client.change(&group, Change::Heal).unwrap();
            }
            5 if at == 0 => {
                let info = GroupInfo::new(&format!("Trip {step}"), "").unwrap();
                device.client.change(&group, Change::Info(info)).unwrap();
            }
            6 if restarts => device.restart(),
            7 => {
                world.post(device);
            }
            8 => world.read(device),
            _ => world.sync(device),
        }
        world.clock.advance(1);
    }
    world.hub.set_faults(Faults::default());
    let mut all: Vec<&mut Device> = devices.iter_mut().collect();
    world.quiet(&mut all);
    agree(&group, &mut all);
    for (at, device) in all.iter().enumerate() {
        let mut heard: Vec<_> = device.messages().into_iter().map(|(id, _, text)| (id, text)).collect();
        heard.sort();
        let others = said.iter().filter(|(_, (from, _))| *from != at);
        let expected: Vec<_> = others.map(|(id, (_, text))| (*id, text.clone())).collect();
        assert_eq!(heard, expected, "seed {seed}: {}", device.user);
        let lost = |what: &EventKind| {
            matches!(what, EventKind::Excluded | EventKind::ForkSuspected | EventKind::RolledBack | EventKind::Removed)
                || matches!(
                    what,
                    EventKind::CloneSuspected | EventKind::MessageDropped { .. } | EventKind::IntentDropped { .. }
                )
        };
        assert!(!device.events.iter().any(|event| lost(&event.what)), "seed {seed}: {:?}", device.events);
        // Each sender is heard in the order in which it spoke.
        for from in 0..names.len() {
            let suffix = format!("from {from}");
            let steps: Vec<u32> = device
                .messages()
                .iter()
                .filter(|(_, _, text)| text.ends_with(&suffix))
                .map(|(_, _, text)| text.split(' ').next().unwrap().parse().unwrap())
                .collect();
            assert!(steps.is_sorted(), "seed {seed}: {steps:?}");
        }
    }
}

#[test]
fn everything_bad_at_once() {
    (1..=12).for_each(|seed| story(seed, BAD, false));
}

#[test]
fn everything_bad_at_once_and_processes_die() {
    (21..=32).for_each(|seed| story(seed, BAD, true));
}

#[test]
fn each_fault_alone() {
    let none = Faults::default();
    let alone = [
        Faults { lose_post: 0.5, ..none },
        Faults { lose_reply: 0.5, ..none },
        Faults { lose_entry: 0.5, ..none },
        Faults { repeat: 0.7, ..none },
        Faults { reorder: 0.9, ..none },
        Faults { delay: 0.9, ..none },
    ];
    for (seed, faults) in (41..).zip(alone) {
        story(seed, faults, true);
    }
}

#[test]
fn a_welcome_that_comes_late_twice_and_after_what_follows_it() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut []);
    let package = bob.package();
    maria.client.change(&group, Change::Add(vec![package])).unwrap();
    world.sync(&mut maria);
    maria.say(&group, "hello");
    world.sync(&mut maria);
    let welcome = world.hub.welcomes(&bob.client.package_ids().unwrap());
    let leaf = convivio::LeafIndex(1);
    let rest = world.hub.fetch(&convivio::client::Subscription { group, leaf, next: 1 });
    let summary = bob.receive(&rest);
    assert_eq!(summary.deferred as usize, rest.len());
    let mixed: Vec<_> = rest.iter().chain(&welcome).chain(&welcome).cloned().collect();
    bob.receive(&mixed);
    bob.receive(&welcome);
    let invitations = bob.news().into_iter().filter(|what| matches!(what, EventKind::Invitation { .. }));
    assert_eq!(invitations.count(), 1);
    bob.client.answer(&group, convivio::client::Answer::Accept).unwrap();
    world.quiet(&mut [&mut bob, &mut maria]);
    assert_eq!(bob.heard().len(), 1);
    agree(&group, &mut [&mut bob, &mut maria]);
}
