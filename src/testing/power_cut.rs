//! The power is cut at every single step of redb's in a device's life, with any part of the unsynced writes on the
//! medium: it finds its state as it was before or after an operation, never one between, and never one that is older
//! than what a call has acknowledged.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::{CryptoRng, SeedableRng};

use super::{App, LocalHub};
use crate::client::{Answer, Change, Client, Environment};
use crate::group::GroupInfo;
use crate::identity::{IdentityKey, UnverifiedKeyPackage};
use crate::ids::{GroupId, Timestamp, Validity};
use crate::store::power_cut::{CUTS, Medium, advance, after_power_cut, create, records, reopen};
use crate::store::{ChangeSet, RecordKey, RedbStore, Store, StoreError};

const START: Timestamp = Timestamp(1_800_000_000);

struct Simulated(StdRng);

impl Environment for Simulated {
    fn now(&self) -> Timestamp {
        START
    }

    fn rng(&mut self) -> &mut dyn CryptoRng {
        &mut self.0
    }
}

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// A store that notes, whenever it has acknowledged a change set, at which step of its medium that was and what it holds.
struct Noted {
    store: RedbStore,
    medium: Medium,
    acknowledged: Arc<Mutex<Vec<(usize, Records)>>>,
}

impl Store for Noted {
    fn load(&self, key: &RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.load(key)
    }

    fn apply(&mut self, changes: &ChangeSet) -> Result<(), StoreError> {
        self.store.apply(changes)?;
        self.acknowledged.lock().unwrap().push((self.medium.len(), records(&self.store)));
        Ok(())
    }
}

/// Founds a group, adds Bob, writes, reads, renames, heals, removes him.
fn story(maria: &mut Client, bob: &mut Client, app: &App) {
    let mut hub = LocalHub::new();
    let policy = App::policy(&[app]).unwrap();
    let group = maria.create_group(policy, GroupInfo::new("Trip", "").unwrap()).unwrap();
    let package = UnverifiedKeyPackage::try_from(&bob.key_packages(1).unwrap()[0]).unwrap();
    maria.change(&group, Change::Add(vec![package])).unwrap();
    sync(&mut hub, maria);
    sync(&mut hub, bob);
    bob.answer(&group, Answer::Accept).unwrap();
    for n in 0..3 {
        talk(&mut hub, [maria, bob], &group, n);
        maria.change(&group, Change::Heal).unwrap();
        sync(&mut hub, maria);
    }
    maria.key_packages(3).unwrap();
    let bob = app.user("bob").unwrap();
    maria.change(&group, Change::Remove(bob)).unwrap();
    sync(&mut hub, maria);
    maria.forget(&group).unwrap();
}

fn talk(hub: &mut LocalHub, [maria, bob]: [&mut Client; 2], group: &GroupId, n: usize) {
    maria.send(group, format!("hello {n}").as_bytes()).unwrap();
    sync(hub, maria);
    sync(hub, bob);
    for _ in 0..5 {
        bob.send(group, &[7; 500]).unwrap();
    }
    sync(hub, bob);
    sync(hub, maria);
}

fn sync(hub: &mut LocalHub, client: &mut Client) {
    hub.sync(client).unwrap();
    if let Some(last) = client.inbox(usize::MAX).unwrap().last() {
        client.ack(last.id).unwrap();
    }
}

#[test]
fn row_11_a_device_finds_the_state_before_or_after_a_power_cut_at_each_step() {
    let mut rng = StdRng::seed_from_u64(11);
    let app = App::new_in("photos.example", Validity::starting(START, 365 * 86_400), &mut rng).unwrap();
    let medium = Medium::holding(Vec::new(), usize::MAX);
    let acknowledged = Arc::default();
    let store = create(medium.clone());
    let first = medium.len();
    let store = Noted { store, medium: medium.clone(), acknowledged: Arc::clone(&acknowledged) };
    let mut enrol = |name| {
        let identity = IdentityKey::generate(&mut rng);
        (app.enrol_device(name, &identity, 0, &mut rng).unwrap(), Simulated(StdRng::seed_from_u64(7)))
    };
    let (keys, environment) = enrol("maria");
    let mut maria = Client::create_in(store, keys, environment).unwrap();
    let (keys, environment) = enrol("bob");
    let mut bob = Client::create_in(super::FaultyStore::new(), keys, environment).unwrap();
    story(&mut maria, &mut bob, &app);
    let acknowledged = acknowledged.lock().unwrap().clone();
    let seen = check(&medium, first, &acknowledged);
    println!("{} change sets, {seen:?}", acknowledged.len());
    assert!(acknowledged.len() > 30 && seen.steps > 200, "{seen:?}");
    // Each set is on the medium a step before that is certain.
    assert!(seen.before > 1_000 && seen.after >= acknowledged.len(), "{seen:?}");
}

#[derive(Debug, Default)]
struct Seen {
    steps: usize,
    cuts: usize,
    before: usize,
    after: usize,
}

/// Cuts the power after each step from the `first` on, in each way, and looks.
fn check(medium: &Medium, first: usize, acknowledged: &[(usize, Records)]) -> Seen {
    let (mut synced, mut unsynced, mut seen) = (Vec::new(), Vec::new(), Seen::default());
    let empty = Records::new();
    for (done, step) in (1..).zip(medium.steps()) {
        advance(&mut synced, &mut unsynced, step);
        let before = acknowledged.iter().take_while(|(at, _)| *at <= done).count();
        let Some((_, after)) = acknowledged.get(before) else { break };
        let before = before.checked_sub(1).map_or(&empty, |last| &acknowledged[last].1);
        if done < first {
            continue;
        }
        seen.steps += 1;
        for kept in CUTS {
            let found = records(&reopen(after_power_cut(&synced, &unsynced, kept)));
            assert!(found == *before || found == *after, "step {done}, {kept:?}");
            seen.cuts += 1;
            seen.before += usize::from(found == *before);
            seen.after += usize::from(found == *after);
        }
    }
    seen
}
