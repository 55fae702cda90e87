//! Membership through [`Client`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use convivio::client::{Answer, Change as Intent, Client};
use convivio::identity::UnverifiedKeyPackage;
use convivio::log::LogEntry;
use convivio::store::{ChangeSet, MemoryStore, RecordKey, Store, StoreError};

use super::big_group::{BigGroup, Town};
use crate::works::{Change, Cost, Membership, Scope, timed};

pub(super) struct Group {
    town: Town,
    group: BigGroup,
    invitation: Vec<u8>,
    n: usize,
}

impl Group {
    pub(super) fn new(n: usize) -> Self {
        let town = Town::new(n);
        let group = BigGroup::new(&town, n);
        Self { invitation: group.invitation.to_bytes(), town, group, n }
    }

    fn change(&self, intent: &Intent) -> Change {
        let (_, entry) = self.group.change(intent.clone());
        let entry = entry.to_bytes();
        let author = self.commit(self.group.founder.store.reopened(), intent);
        let mut reader = self.group.reader.store.reopened();
        let (events, time) = timed(|| receive(&mut reader, &entry));
        assert_eq!(events, 1);
        Change { author, receiver: Cost { time, bytes: entry.len() } }
    }

    fn commit(&self, mut client: Client, intent: &Intent) -> Cost {
        let intent = intent.clone();
        let (post, time) = timed(|| {
            client.change(&self.group.id, intent).unwrap();
            client.outbox(1).unwrap().remove(0).to_bytes()
        });
        Cost { time, bytes: post.len() }
    }
}

fn receive(client: &mut Client, entry: &[u8]) -> usize {
    client.receive(&[LogEntry::from_bytes(entry).unwrap()]).unwrap().0.len()
}

impl Membership for Group {
    fn scope(&self) -> Scope {
        Scope::Whole
    }

    fn create(&mut self) -> Cost {
        self.commit(self.group.alone.reopened(), &Intent::Add(self.group.others.clone()))
    }

    fn join(&mut self) -> Cost {
        let mut client = self.group.outside.reopened();
        let (events, time) = timed(|| {
            let events = receive(&mut client, &self.invitation);
            client.answer(&self.group.id, Answer::Accept).unwrap();
            events
        });
        assert_eq!(events, 1);
        Cost { time, bytes: self.invitation.len() }
    }

    fn remove(&mut self) -> Change {
        self.change(&Intent::Remove(self.town.user(0)))
    }

    fn heal(&mut self) -> Change {
        self.change(&Intent::Heal)
    }

    fn heal_warm(&mut self) -> Option<Change> {
        // There is no tree: it costs the same whoever has committed before.
        Some(self.heal())
    }

    /// Of one who joins a group of `n - 1`.
    fn stored(&mut self) -> usize {
        let mut group = BigGroup::new(&self.town, self.n - 1);
        let store = Counting::default();
        let mut joiner = self.town.app.client_on("joiner", store.clone()).unwrap();
        let package = UnverifiedKeyPackage::try_from(&joiner.key_packages(1).unwrap().remove(0)).unwrap();
        group.founder.client.change(&group.id, Intent::Add(vec![package])).unwrap();
        group.hub.sync(&mut group.founder.client).unwrap();
        group.hub.sync(&mut joiner).unwrap();
        joiner.answer(&group.id, Answer::Accept).unwrap();
        group.hub.sync(&mut joiner).unwrap();
        assert_eq!(joiner.group(&group.id).unwrap().state().users().len(), self.n);
        store.bytes()
    }
}

/// A store that knows the size of each of its records.
#[derive(Clone, Default)]
struct Counting(Arc<Mutex<(MemoryStore, BTreeMap<RecordKey, usize>)>>);

impl Counting {
    fn bytes(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.values().sum()
    }
}

impl Store for Counting {
    fn load(&self, key: &RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.load(key)
    }

    fn apply(&mut self, changes: &ChangeSet) -> Result<(), StoreError> {
        let (store, sizes) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in changes.iter() {
            match value {
                Some(value) => sizes.insert(key.clone(), key.as_bytes().len() + value.len()),
                None => sizes.remove(key),
            };
        }
        store.apply(changes)
    }
}
