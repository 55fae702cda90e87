//! Row 20: a bad line for a long time. The simulation goes much further (`docs/simulation.md`); this is the same in small.

use std::collections::{BTreeMap, BTreeSet};

use convivio::client::{Change, EventKind};
use convivio::group::GroupInfo;
use convivio::testing::Faults;
use convivio::{GroupId, MessageId};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::support::*;

/// Of every post, answer, entry and fetch a good part goes wrong.
const WEATHER: Faults =
    Faults { lose_post: 0.25, lose_reply: 0.25, lose_entry: 0.2, repeat: 0.25, reorder: 0.5, delay: 0.4 };

/// Devices of four users at two apps, and what everyone said, with whoever was in the group when it was said.
struct Crowd {
    world: World,
    devices: Vec<Device>,
    group: GroupId,
    said: BTreeMap<MessageId, usize>,
}

impl Crowd {
    fn new(seed: u64) -> Self {
        let mut world = World::with_faults(Faults::default(), seed);
        let names = [(0, "maria"), (0, "maria"), (0, "anna"), (1, "bob"), (1, "bob"), (1, "carl"), (1, "carl")];
        let mut devices: Vec<Device> = names.iter().map(|(app, name)| world.device_of(*app, name)).collect();
        let (founder, others) = devices.split_first_mut().unwrap();
        let group = world.group(founder, &mut others.iter_mut().collect::<Vec<_>>());
        world.quiet(&mut devices.iter_mut().collect::<Vec<_>>());
        devices.iter_mut().for_each(|device| drop(device.news()));
        Self { world, devices, group, said: BTreeMap::new() }
    }

    fn step(&mut self, rng: &mut StdRng, step: usize) {
        let at = rng.random_range(0..self.devices.len());
        let (device, group) = (&mut self.devices[at], self.group);
        match rng.random_range(0..24) {
            0..7 => drop(self.said.insert(device.say(&group, &format!("{step}")), at)),
            7 => drop(device.client.change(&group, Change::Heal).unwrap()),
            8 if at < 2 => {
                let info = GroupInfo::new(&format!("Trip {step}"), "").unwrap();
                device.client.change(&group, Change::Info(info)).unwrap();
            }
            9..12 => device.restart(),
            12..15 => drop(self.world.post(device)),
            15..18 => self.world.read(device),
            _ => self.world.sync(device),
        }
        self.world.clock.advance(1);
    }

    /// The line is good again: everyone has everything, once, in the order of each sender, and nobody was told of worse.
    fn settle(&mut self) {
        self.world.hub.set_faults(Faults::default());
        let mut all: Vec<&mut Device> = self.devices.iter_mut().collect();
        self.world.quiet(&mut all);
        agree(&self.group, &mut all);
        for (at, device) in all.iter().enumerate() {
            let heard: Vec<MessageId> = device.messages().into_iter().map(|(id, ..)| id).collect();
            let of = |own: bool| self.said.iter().filter(move |(_, from)| (**from == at) == own).map(|(id, _)| *id);
            let expected: BTreeSet<MessageId> = of(false).collect();
            assert_eq!(
                device.sent().len(),
                of(true).count(),
                "{} was told of an echo twice, or not at all",
                device.user
            );
            assert_eq!(device.sent().into_iter().collect::<BTreeSet<_>>(), of(true).collect());
            assert_eq!(heard.len(), expected.len(), "{} heard something twice, or not at all", device.user);
            assert_eq!(heard.into_iter().collect::<BTreeSet<_>>(), expected);
            let worse = |what: &EventKind| {
                !matches!(
                    what,
                    EventKind::Message { .. }
                        | EventKind::Sent { .. }
                        | EventKind::Changed { .. }
                        | EventKind::Invitation { .. }
                        | EventKind::Joined { .. }
                        | EventKind::Gap { .. }
                        | EventKind::Void { .. }
                )
            };
            let worse: Vec<_> = device.events.iter().filter(|event| worse(&event.what)).collect();
            assert!(worse.is_empty(), "{}: {worse:?}", device.user);
        }
    }
}

#[test]
fn row_20_everyone_has_everything_after_thousands_of_bad_steps() {
    for seed in [1, 2] {
        let (mut crowd, mut rng) = (Crowd::new(seed), StdRng::seed_from_u64(seed));
        for round in 0..4 {
            crowd.world.hub.set_faults(WEATHER);
            (0..500).for_each(|step| crowd.step(&mut rng, round * 500 + step));
            crowd.settle();
        }
        assert!(crowd.said.len() > 400);
    }
}
