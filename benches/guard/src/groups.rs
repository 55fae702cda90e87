//! Changes of a group of a hundred, through clients over stores in memory.

use convivio::client::{Answer, Change, Client, Environment};
use convivio::group::GroupInfo;
use convivio::identity::IdentityKey;
use convivio::store::MemoryStore;
use convivio::testing::{App, LocalHub};
use convivio::{GroupId, Timestamp, Validity};
use rand::rngs::StdRng;
use rand::{CryptoRng, SeedableRng};

use crate::measured;

const MEMBERS: u64 = 100;
/// Messages of a batch.
const SAID: usize = 64;
const NOW: Timestamp = Timestamp(1_800_000_000);

/// A clock that stands still, and seeded randomness.
struct Still(StdRng);

impl Environment for Still {
    fn now(&self) -> Timestamp {
        NOW
    }

    fn rng(&mut self) -> &mut dyn CryptoRng {
        &mut self.0
    }
}

struct Town {
    hub: LocalHub,
    founder: Client,
    reader: Client,
    group: GroupId,
    app: App,
}

fn client(app: &App, name: &str, seed: u64) -> Client {
    let mut rng = StdRng::seed_from_u64(seed);
    let keys = app.enrol_device(name, &IdentityKey::generate(&mut rng), 0, &mut rng).unwrap();
    Client::create_in(MemoryStore::new(), keys, Still(rng)).unwrap()
}

impl Town {
    /// A group of [`MEMBERS`], of whom only the founder and the reader are ever online, and the reader has not joined yet.
    fn new() -> Self {
        let mut rng = StdRng::seed_from_u64(0);
        let app = App::new_in("town.example", Validity::starting(NOW, 1_000_000), &mut rng).unwrap();
        let (mut founder, mut reader, mut hub) =
            (client(&app, "founder", 1), client(&app, "reader", 2), LocalHub::new());
        let group =
            founder.create_group(App::policy(&[&app]).unwrap(), GroupInfo::new("Everyone", "").unwrap()).unwrap();
        let others =
            (3..=MEMBERS).map(|seed| client(&app, &format!("user{seed}"), seed).key_packages(1).unwrap().remove(0));
        let packages = others.chain(reader.key_packages(1).unwrap());
        let packages = packages.map(|package| (&package).try_into().unwrap()).collect();
        founder.change(&group, Change::Add(packages)).unwrap();
        hub.sync(&mut founder).unwrap();
        Self { hub, founder, reader, group, app }
    }

    fn joined() -> Self {
        let mut town = Self::new();
        town.hub.sync(&mut town.reader).unwrap();
        town.reader.answer(&town.group, Answer::Accept).unwrap();
        town.hub.sync(&mut town.reader).unwrap();
        town.hub.sync(&mut town.founder).unwrap();
        town
    }

    /// The founder has said [`SAID`] things.
    fn said(&mut self) {
        for _ in 0..SAID {
            self.founder.send(&self.group, &[7; 256]).unwrap();
        }
        assert_eq!(self.hub.post_outbox(&mut self.founder).unwrap(), SAID);
    }

    fn removal(&self) -> Change {
        Change::Remove(self.app.user("user50").unwrap())
    }
}

pub fn join() {
    let mut town = Town::new();
    let entries = town.hub.welcomes(&town.reader.package_ids().unwrap());
    let mut events = Vec::new();
    measured(&mut || events = town.reader.receive(&entries).unwrap().0);
    assert_eq!(events.len(), 1);
}

pub fn remove() {
    let mut town = Town::joined();
    let change = town.removal();
    let mut posts = Vec::new();
    measured(&mut || {
        town.founder.change(&town.group, change.clone()).unwrap();
        posts = town.founder.outbox(1).unwrap();
    });
    assert_eq!(posts.len(), 1);
}

pub fn receive_commit() {
    let mut town = Town::joined();
    town.founder.change(&town.group, town.removal()).unwrap();
    town.hub.sync(&mut town.founder).unwrap();
    let entries = town.hub.deliver(&mut town.reader).unwrap();
    let mut events = Vec::new();
    measured(&mut || events = town.reader.receive(&entries).unwrap().0);
    assert_eq!(events.len(), 1);
}

/// Queued, encrypted and handed out, in one transaction.
pub fn say() {
    let mut town = Town::joined();
    town.said();
    town.hub.sync(&mut town.founder).unwrap();
    let mut posts = Vec::new();
    measured(&mut || {
        let staged = town.founder.stage(|draft| {
            for _ in 0..SAID {
                draft.send(town.group, &[7; 256])?;
            }
            draft.outbox(usize::MAX)
        });
        posts = staged.unwrap().apply().unwrap().posts;
    });
    assert_eq!(posts.len(), SAID);
}

/// Back through the log.
pub fn hear_back() {
    let mut town = Town::joined();
    town.said();
    let entries = town.hub.deliver(&mut town.founder).unwrap();
    let mut echoes = Vec::new();
    measured(&mut || echoes = town.founder.receive(&entries).unwrap().1.echoes);
    assert_eq!(echoes.len(), SAID);
}

/// Received and acknowledged, in two transactions.
pub fn read() {
    let mut town = Town::joined();
    town.said();
    let entries = town.hub.deliver(&mut town.reader).unwrap();
    let mut events = Vec::new();
    measured(&mut || {
        events = town.reader.receive(&entries).unwrap().0;
        town.reader.ack(events[SAID - 1].id).unwrap();
    });
    assert_eq!(events.len(), SAID);
}
