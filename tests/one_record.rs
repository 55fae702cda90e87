//! A message costs the same few records and the same bytes on the way, however many members the group has.

use std::sync::{Arc, Mutex};

use convivio::client::Answer;
use convivio::group::GroupInfo;
use convivio::identity::UnverifiedKeyPackage;
use convivio::log::{EntryBody, LogEntry};
use convivio::store::{ChangeSet, MemoryStore, RecordKey, Store, StoreError};
use convivio::testing::{App, LocalHub};
use convivio::{Change, Client, GroupId};

/// A store that counts what is written to it.
#[derive(Clone, Default)]
struct Counting(Arc<Mutex<(MemoryStore, Written)>>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Written {
    transactions: usize,
    records: usize,
    bytes: usize,
}

impl Store for Counting {
    fn load(&self, key: &RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.lock().unwrap().0.load(key)
    }

    fn apply(&mut self, changes: &ChangeSet) -> Result<(), StoreError> {
        let mut inner = self.0.lock().unwrap();
        inner.1.transactions += 1;
        for (key, value) in changes.iter() {
            inner.1.records += 1;
            inner.1.bytes += key.as_bytes().len() + value.map_or(0, <[u8]>::len);
        }
        inner.0.apply(changes)
    }
}

impl Counting {
    fn take(&self) -> Written {
        std::mem::take(&mut self.0.lock().unwrap().1)
    }
}

/// What a message costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Costs {
    /// To queue, to encrypt, to have back, to receive.
    written: [Written; 4],
    /// Bytes on the way to and from the hub.
    frame: usize,
}

struct Group {
    maria: (Client, Counting),
    bob: (Client, Counting),
    hub: LocalHub,
    id: GroupId,
}

impl Group {
    fn of(members: usize) -> Self {
        let app = App::new("photos.example").unwrap();
        let (stores, mut hub) = ([Counting::default(), Counting::default()], LocalHub::new());
        let mut maria = app.client_on("maria", stores[0].clone()).unwrap();
        let mut bob = app.client_on("bob", stores[1].clone()).unwrap();
        let package =
            |client: &mut Client| UnverifiedKeyPackage::try_from(&client.key_packages(1).unwrap()[0]).unwrap();
        let mut packages = vec![package(&mut bob)];
        for n in 2..members {
            packages.push(package(&mut app.client(&format!("user{n}")).unwrap()));
        }
        let id = maria.create_group(App::policy(&[&app]).unwrap(), GroupInfo::new("Trip", "").unwrap()).unwrap();
        maria.change(&id, Change::Add(packages)).unwrap();
        hub.sync(&mut maria).unwrap();
        hub.sync(&mut bob).unwrap();
        bob.answer(&id, Answer::Accept).unwrap();
        let [ours, theirs] = stores;
        Self { maria: (maria, ours), bob: (bob, theirs), hub, id }
    }

    fn message(&mut self) -> Costs {
        let (maria, bob) = (&mut self.maria.0, &mut self.bob.0);
        self.maria.1.take();
        self.bob.1.take();
        maria.send(&self.id, b"a message of ordinary length, as people write them").unwrap();
        let queued = self.maria.1.take();
        self.hub.post_outbox(maria).unwrap();
        let encrypted = self.maria.1.take();
        let entries = self.hub.deliver(maria).unwrap();
        maria.receive(&entries).unwrap();
        let echoed = self.maria.1.take();
        let entries = self.hub.deliver(bob).unwrap();
        assert_eq!(bob.receive(&entries).unwrap().0.len(), 1);
        let [LogEntry { body: EntryBody::Message(frame), .. }] = &entries[..] else { panic!("{entries:?}") };
        Costs { written: [queued, encrypted, echoed, self.bob.1.take()], frame: frame.len() }
    }
}

#[test]
fn a_message_costs_the_same_in_a_group_of_any_size() {
    let [mut two, mut hundred, mut many] = [2, 100, 300].map(Group::of);
    // A sender's first message of an epoch also takes its chain out of a page of at most 32.
    let firsts = [two.message(), hundred.message(), many.message()];
    for costs in firsts {
        assert!(costs.written[3].bytes < 2048, "{costs:?}");
    }

    let [small, medium, large] = [two.message(), hundred.message(), many.message()];
    assert_eq!((small, medium), (medium, large));
    for cost in large.written {
        assert_eq!(cost.transactions, 1, "{large:?}");
        assert!(cost.records <= 6 && cost.bytes < 1024, "{large:?}");
    }
}

#[test]
fn a_batch_is_one_transaction() {
    let mut group = Group::of(3);
    group.message();
    for _ in 0..50 {
        group.maria.0.send(&group.id, b"one of many").unwrap();
    }
    group.maria.1.take();
    let posts = group.maria.0.outbox(usize::MAX).unwrap();
    assert_eq!((posts.len(), group.maria.1.take().transactions), (50, 1));
    group.hub.post_outbox(&mut group.maria.0).unwrap();
    assert_eq!(group.maria.1.take().transactions, 0, "posting again writes nothing");
    let entries = group.hub.deliver(&mut group.bob.0).unwrap();
    group.bob.1.take();
    group.bob.0.receive(&entries).unwrap();
    let written = group.bob.1.take();
    assert_eq!(written.transactions, 1);
    assert!(written.records <= 50 + 6, "one record for each event, and one chain: {written:?}");
}
