//! What the devices of a group understand: each app says it, the group answers for all.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test says what went wrong by failing")]

mod support;

use convivio::client::Change;
use convivio::content::{Choices, Content, Poll, features};
use convivio::group::GroupInfo;
use convivio::identity::UnverifiedKeyPackage;
use convivio::testing::{App, LocalHub};
use convivio::{Client, ErrorKind, GroupId, limits};
use support::Disk;

/// Three apps of different skill, one group.
struct Town {
    hub: LocalHub,
    group: GroupId,
    clients: [Client; 3],
    disks: [Disk; 3],
}

fn town(skills: [&[u32]; 3]) -> Town {
    let apps = ["full.example", "photos.example", "tiny.example"].map(|name| App::new(name).unwrap());
    let disks = [(); 3].map(|()| Disk::default());
    let mut place = 0;
    let mut clients = apps.each_ref().map(|app| {
        let keys = app.enrol("ada").unwrap().with_features(skills[place]);
        let client = Client::create(disks[place].clone(), keys).unwrap();
        place += 1;
        client
    });
    let policy = App::policy(&apps.each_ref()).unwrap();
    let group = clients[0].create_group(policy, GroupInfo::default()).unwrap();
    let packages = [1, 2].map(|at: usize| {
        let package = clients[at].key_packages(1).unwrap().remove(0);
        UnverifiedKeyPackage::try_from(&package).unwrap()
    });
    clients[0].change(&group, Change::Add(packages.to_vec())).unwrap();
    let mut town = Town { hub: LocalHub::new(), group, clients, disks };
    town.sync();
    for client in &mut town.clients[1..] {
        client.answer(&group, convivio::client::Answer::Accept).unwrap();
    }
    town.sync();
    town
}

impl Town {
    fn sync(&mut self) {
        for _ in 0..3 {
            for client in &mut self.clients {
                self.hub.sync(client).unwrap();
            }
        }
    }

    /// What every client says of a feature.
    fn supports(&mut self, feature: u32) -> [bool; 3] {
        let group = self.group;
        self.clients.each_mut().map(|client| client.group(&group).unwrap().supports(feature))
    }

    fn lacking(&mut self, feature: u32) -> Vec<String> {
        let view = self.clients[0].group(&self.group).unwrap();
        view.state().lacking(feature).iter().map(|user| user.domain().as_str().to_owned()).collect()
    }
}

#[test]
fn a_group_supports_what_all_of_its_devices_do() {
    const OWN: u32 = features::PRIVATE + 7;
    let mut town =
        town([&[&features::ALL[..], &[OWN]].concat(), &[features::TEXT, features::ATTACHMENT, OWN], &[features::TEXT]]);
    assert_eq!(town.supports(features::TEXT), [true; 3]);
    assert_eq!(town.supports(features::ATTACHMENT), [false; 3]);
    assert_eq!(town.supports(OWN), [false; 3]);
    assert_eq!(town.lacking(features::TEXT), [""; 0]);
    assert_eq!(town.lacking(OWN), ["tiny.example"]);
    assert_eq!(town.lacking(features::POLL), ["photos.example", "tiny.example"]);

    // What an app asks before it offers a poll.
    let poll = Content::poll(&Poll::new("?", &["a", "b"], Choices::One).unwrap());
    let view = town.clients[0].group(&town.group).unwrap();
    assert!(!poll.features().iter().all(|feature| view.supports(*feature)));
    assert!(Content::text("hi").features().iter().all(|feature| view.supports(*feature)));
}

#[test]
fn what_a_device_advertises_is_known_by_its_next_commit_and_outlives_a_crash() {
    let mut town = town([&features::ALL, &features::ALL, &[features::TEXT]]);
    assert_eq!(town.supports(features::POLL), [false; 3]);
    let group = town.group;
    town.clients[2].advertise(&[features::POLL, features::TEXT]).unwrap();
    town.sync();
    assert_eq!(town.supports(features::POLL), [false; 3], "the others have not been told");

    // The process ends; the store remembers.
    town.clients[2] = Client::open(town.disks[2].clone()).unwrap();
    town.clients[2].change(&group, Change::Heal).unwrap();
    town.sync();
    assert_eq!(town.supports(features::POLL), [true; 3]);
    assert_eq!(town.supports(features::MARKDOWN), [false; 3]);
    let package = town.clients[2].key_packages(1).unwrap().remove(0);
    assert!(package.leaf().capabilities().has_feature(features::POLL));

    // Less than before, too.
    town.clients[2].advertise(&[]).unwrap();
    town.clients[2].change(&group, Change::Heal).unwrap();
    town.sync();
    assert_eq!(town.supports(features::TEXT), [false; 3]);
}

#[test]
fn more_than_a_leaf_can_say_is_refused_and_changes_nothing() {
    let mut town = town([&features::ALL; 3]);
    let many: Vec<u32> = (0..=limits::FEATURES as u32).collect();
    assert_eq!(town.clients[0].advertise(&many).unwrap_err().kind(), ErrorKind::Limit);
    town.clients[0].advertise(&many[1..]).unwrap();
    assert_eq!(town.clients[0].advertise(&many).unwrap_err().kind(), ErrorKind::Limit);
    let package = town.clients[0].key_packages(1).unwrap().remove(0);
    assert_eq!(package.leaf().capabilities().features().len(), limits::FEATURES);
}
