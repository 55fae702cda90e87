//! Every change of a group is told to every member, with who made it, and can be said in words.

mod support;

use convivio::GroupId;
use convivio::client::{Change, EventKind};
use convivio::group::{Effect, GroupInfo, Policy, Role};
use convivio::identity::UserUri;
use support::*;

/// Maria owns the group, Anna is an admin, Bob of the other app has a phone and a laptop, and Carl may come.
struct Story {
    world: World,
    devices: [Device; 6],
    group: GroupId,
}

const MARIA: usize = 0;
const ANNA: usize = 1;
const BOB: usize = 2;
const LAPTOP: usize = 3;
const CARL: usize = 4;
const TABLET: usize = 5;

fn story() -> Story {
    let mut world = World::new();
    let devices = [(0, "maria"), (0, "anna"), (1, "bob"), (1, "bob"), (0, "carl"), (1, "bob")];
    let mut devices = devices.map(|(app, name)| world.device_of(app, name));
    let [maria, anna, bob, laptop, ..] = &mut devices;
    let group = world.group(maria, &mut [anna, bob, laptop]);
    maria.client.change(&group, Change::Role(anna.user.clone(), Role::Admin)).unwrap();
    let mut story = Story { world, devices, group };
    story.settle();
    story
}

impl Story {
    /// Everyone who was in at the start reads everything there is.
    fn settle(&mut self) {
        let [maria, anna, bob, laptop, ..] = &mut self.devices;
        self.world.quiet(&mut [maria, anna, bob, laptop]);
        self.devices.iter_mut().for_each(|device| drop(device.news()));
    }

    fn user(&self, of: usize) -> UserUri {
        self.devices[of].user.clone()
    }

    fn device(&mut self, of: usize) -> convivio::DeviceId {
        self.devices[of].client.identity().unwrap().device()
    }
}

/// Who does it, by which change, what everyone is told, and how that is said.
struct Case {
    by: usize,
    change: fn(&mut Story) -> Change,
    effect: fn(&mut Story) -> Effect,
    words: &'static str,
}

fn cases() -> Vec<Case> {
    vec![
        Case {
            by: MARIA,
            change: |story| Change::Policy(Policy::announcements(story.world.policy().apps)),
            effect: |story| Effect::Policy(Policy::announcements(story.world.policy().apps)),
            words: "the group has new rules",
        },
        Case {
            by: ANNA,
            change: |_| Change::Info(GroupInfo::new("Rome", "in May").unwrap()),
            effect: |_| Effect::Info(GroupInfo::new("Rome", "in May").unwrap()),
            words: "the group is called “Rome”",
        },
        Case {
            by: ANNA,
            change: |story| Change::Remove(story.user(BOB)),
            effect: |story| Effect::Removed(story.user(BOB)),
            words: "bob (courier.example) was removed",
        },
        Case {
            by: BOB,
            change: |story| Change::RemoveDevice(story.device(LAPTOP)),
            effect: |story| Effect::DeviceRemoved(story.user(BOB), story.device(LAPTOP)),
            words: "a device of bob (courier.example) was taken out",
        },
        Case {
            by: ANNA,
            change: |story| Change::Add(vec![story.devices[CARL].package()]),
            effect: |story| Effect::Added(story.user(CARL), story.device(CARL)),
            words: "carl (photos.example) was added",
        },
        Case {
            by: LAPTOP,
            change: |story| Change::Add(vec![story.devices[TABLET].package()]),
            effect: |story| Effect::DeviceAdded(story.user(BOB), story.device(TABLET)),
            words: "a device of bob (courier.example) was added",
        },
        Case {
            by: MARIA,
            change: |story| Change::Role(story.user(BOB), Role::Admin),
            effect: |story| Effect::Role(story.user(BOB), Role::Admin),
            words: "bob (courier.example) is now an admin",
        },
        Case {
            by: ANNA,
            change: |story| Change::Role(story.user(BOB), Role::Reader),
            effect: |story| Effect::Role(story.user(BOB), Role::Reader),
            words: "bob (courier.example) is now a reader",
        },
        Case {
            by: BOB,
            change: |_| Change::Heal,
            effect: |story| Effect::Healed(story.user(BOB), story.device(BOB)),
            words: "bob (courier.example) has new keys",
        },
        Case {
            by: ANNA,
            change: |story| {
                let (bob, world) = (&story.devices[BOB].user, &story.world);
                let key = world.identity(1, "bob").public();
                Change::Revoke(world.courier.key().revoke(bob, key, START).unwrap())
            },
            effect: |story| Effect::Revoked(story.user(BOB)),
            words: "bob (courier.example) was revoked by their app",
        },
        Case {
            by: MARIA,
            change: |story| {
                let (user, device) = (story.user(BOB), story.device(LAPTOP));
                Change::Revoke(story.world.identity(1, "bob").revoke_device(&user, device, 2, START).unwrap())
            },
            effect: |story| Effect::DeviceRevoked(story.user(BOB), story.device(LAPTOP)),
            words: "a device of bob (courier.example) was revoked",
        },
    ]
}

#[test]
fn every_change_is_told_to_everyone_who_stays_with_who_made_it() {
    for Case { by, change, effect, words } in cases() {
        let mut story = story();
        let (group, expected) = (story.group, effect(&mut story));
        let change = change(&mut story);
        let intent = story.devices[by].client.change(&group, change).unwrap();
        let Story { world, devices: [maria, anna, bob, laptop, ..], .. } = &mut story;
        world.quiet(&mut [maria, anna, bob, laptop]);
        let author = story.devices[by].user.clone();
        let mut told = 0;
        for (at, device) in story.devices.iter_mut().enumerate().take(CARL) {
            if device.status(&group) != convivio::client::Status::Active {
                continue;
            }
            let intent = (at == by).then_some(intent);
            let changed = EventKind::Changed { by: author.clone(), effects: vec![expected.clone()], intent };
            assert_eq!(device.news(), [changed], "{words}");
            told += 1;
        }
        assert!(told >= 2, "{words}");
        assert_eq!(expected.to_string(), words);
        assert_eq!(Effect::from_bytes(&expected.to_bytes()).unwrap(), expected);
    }
}

/// A leave is asked by message and committed by another; a readmission, too. Both are told with who committed them.
#[test]
fn a_leave_and_a_readmission_are_told_with_who_committed_them() {
    let mut story = story();
    let group = story.group;
    let Story { world, devices: [maria, anna, bob, laptop, ..], .. } = &mut story;
    // The laptop is rolled back, and asks.
    let old = laptop.disk.copy();
    laptop.say(&group, "hello");
    world.quiet(&mut [laptop, maria, anna, bob]);
    laptop.open(old);
    world.quiet(&mut [laptop]);
    laptop.client.change(&group, Change::Rejoin).unwrap();
    world.post(laptop);
    world.quiet(&mut [maria]);
    let request = maria.news().into_iter().find_map(|what| match what {
        EventKind::RejoinRequested { request, .. } => Some(request),
        _ => None,
    });
    anna.news();
    maria.client.change(&group, Change::Readmit(request.unwrap())).unwrap();
    world.quiet(&mut [maria, anna, bob, laptop]);
    let device = laptop.client.identity().unwrap().device();
    let effect = Effect::Rejoined(bob.user.clone(), device);
    assert_eq!(effect.to_string(), "a device of bob (courier.example) is back");
    let changed = |by: &UserUri, effect| EventKind::Changed { by: by.clone(), effects: vec![effect], intent: None };
    assert!(anna.news().contains(&changed(&maria.user, effect)));

    bob.client.change(&group, Change::Leave).unwrap();
    world.sync(bob);
    world.sync(maria);
    world.clock.advance(MINUTE);
    world.sync(maria);
    world.quiet(&mut [anna]);
    let effect = Effect::Left(bob.user.clone());
    assert_eq!(effect.to_string(), "bob (courier.example) left");
    assert!(anna.news().contains(&changed(&maria.user, effect)));
}

/// What a group is called is its admins' choice, and one line for everyone else.
#[test]
fn a_long_name_is_cut_short_in_words() {
    let said = |name: &str| Effect::Info(GroupInfo::new(name, "").unwrap()).to_string();
    assert_eq!(said(""), "the group is called “”");
    assert_eq!(said(&"ä".repeat(64)), format!("the group is called “{}”", "ä".repeat(64)));
    assert_eq!(said(&"ä".repeat(65)), format!("the group is called “{}…”", "ä".repeat(64)));
    assert_eq!(said(&"a".repeat(16_384)).chars().count(), "the group is called “…”".chars().count() + 64);
}
