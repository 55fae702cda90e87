//! Two processes open one store, or a store is not what it should be: that is said, and nothing is corrupted.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::sync::{Arc, Mutex};

use convivio::client::Answer;
use convivio::group::GroupInfo;
use convivio::identity::UnverifiedKeyPackage;
use convivio::store::{ChangeSet, MemoryStore, RecordKey, Store, StoreError, StoreErrorKind};
use convivio::testing::{App, FaultyStore, LocalHub};
use convivio::{Change, Client, Error, ErrorKind, GroupId};

/// The kind of the store's error under a client's.
fn cause(error: &Error) -> Option<StoreErrorKind> {
    error.source()?.downcast_ref::<StoreError>().map(StoreError::kind)
}

fn records(store: &MemoryStore) -> BTreeMap<Vec<u8>, Vec<u8>> {
    store.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.to_vec())).collect()
}

/// Maria in a group with Bob, with something in every kind of record; Maria's store.
fn written() -> (FaultyStore, GroupId) {
    let (app, store, mut hub) = (App::new("photos.example").unwrap(), FaultyStore::new(), LocalHub::new());
    let mut maria = app.client_on("maria", store.clone()).unwrap();
    let mut bob = app.client("bob").unwrap();
    let group = maria.create_group(App::policy(&[&app]).unwrap(), GroupInfo::new("Trip", "").unwrap()).unwrap();
    let package = UnverifiedKeyPackage::try_from(&bob.key_packages(1).unwrap()[0]).unwrap();
    maria.key_packages(1).unwrap();
    maria.change(&group, Change::Add(vec![package])).unwrap();
    hub.sync(&mut maria).unwrap();
    hub.sync(&mut bob).unwrap();
    bob.answer(&group, Answer::Accept).unwrap();
    bob.send(&group, b"one").unwrap();
    hub.sync(&mut bob).unwrap();
    hub.sync(&mut maria).unwrap();
    maria.send(&group, b"queued").unwrap();
    maria.change(&group, Change::Heal).unwrap();
    maria.outbox(usize::MAX).unwrap();
    (store, group)
}

#[test]
fn the_second_writer_is_caught() {
    let (store, group) = written();
    let [mut first, mut second] = [0, 1].map(|_| Client::open(store.clone()).unwrap());
    assert_eq!(second.group(&group).unwrap().queued(), 2);
    first.send(&group, b"from the first").unwrap();
    let before = records(&store.contents());

    let error = second.send(&group, b"from the second").unwrap_err();
    assert_eq!((error.kind(), cause(&error)), (ErrorKind::Storage, Some(StoreErrorKind::Conflict)));
    assert_eq!(second.outbox(usize::MAX).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(records(&store.contents()), before);
    assert_eq!(first.outbox(usize::MAX).unwrap().len(), 2, "the first goes on");

    let mut third = Client::open(store.clone()).unwrap();
    assert_eq!(third.group(&group).unwrap().queued(), 3);
}

#[test]
fn the_second_to_encrypt_gives_no_bytes() {
    let app = App::new("photos.example").unwrap();
    let store = FaultyStore::new();
    let mut client = app.client_on("maria", store.clone()).unwrap();
    let group = client.create_group(App::policy(&[&app]).unwrap(), GroupInfo::new("Notes", "").unwrap()).unwrap();
    client.send(&group, b"once").unwrap();
    drop(client);
    let [mut first, mut second] = [0, 1].map(|_| Client::open(store.clone()).unwrap());
    assert_eq!(second.group(&group).unwrap().queued(), 2);
    assert_eq!(first.outbox(usize::MAX).unwrap().len(), 2);
    let error = second.outbox(usize::MAX).unwrap_err();
    assert_eq!(cause(&error), Some(StoreErrorKind::Conflict));
    // Whoever opens now posts the very same bytes.
    let mut third = Client::open(store.clone()).unwrap();
    assert_eq!(third.outbox(usize::MAX).unwrap(), first.outbox(usize::MAX).unwrap());
}

#[test]
fn a_group_read_late_is_no_way_around() {
    let (store, group) = written();
    // Opened before the other wrote, and it reads the group only afterwards.
    let mut late = Client::open(store.clone()).unwrap();
    Client::open(store.clone()).unwrap().send(&group, b"meanwhile").unwrap();
    assert_eq!(late.group(&group).unwrap().queued(), 3);
    let error = late.send(&group, b"late").unwrap_err();
    assert_eq!(cause(&error), Some(StoreErrorKind::Conflict));
}

type Action = Box<dyn FnMut() + Send>;

/// A handle at whose nth load something else happens first.
struct Interrupted(FaultyStore, Mutex<(u32, Action)>);

impl Store for Interrupted {
    fn load(&self, key: &RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        let mut plan = self.1.lock().unwrap();
        if plan.0 == 0 {
            (plan.1)();
        }
        plan.0 = plan.0.wrapping_sub(1);
        drop(plan);
        self.0.load(key)
    }

    fn apply(&mut self, changes: &ChangeSet) -> Result<(), StoreError> {
        self.0.apply(changes)
    }
}

#[test]
fn another_writes_while_the_store_is_being_read() {
    for nth in 0..12 {
        let (store, group) = written();
        let mut other = Client::open(store.clone()).unwrap();
        let others = Arc::new(Mutex::new([false; 2]));
        let outcome = Arc::clone(&others);
        let action: Action = Box::new(move || {
            let made = other.key_packages(1).is_ok();
            *outcome.lock().unwrap() = [made, other.send(&group, b"from the other").is_ok()];
        });
        let mut client = Client::open(Interrupted(store.clone(), Mutex::new((nth, action)))).unwrap();
        let made = client.key_packages(1).is_ok();
        let sent = client.send(&group, b"from this one").is_ok();
        let mut reopened = Client::open(store.clone()).unwrap();
        let packages = reopened.package_ids().unwrap().len();
        let queued = reopened.group(&group).unwrap().queued();
        // Whatever either was told is so, and the other way round.
        let [others_made, others_sent] = *others.lock().unwrap();
        let written = [others_made, made].map(usize::from).iter().sum::<usize>();
        assert_eq!(packages, 1 + written, "load {nth}");
        assert_eq!(queued, 2 + usize::from(others_sent) + usize::from(sent), "load {nth}");
        assert!(made || others_made, "load {nth}: one of them can write");
    }
}

/// A store whose records a test can alter, and which counts what is written.
#[derive(Clone)]
struct Altered(Arc<Mutex<BTreeMap<Vec<u8>, Vec<u8>>>>);

impl Store for Altered {
    fn load(&self, key: &RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.lock().unwrap().get(key.as_bytes()).cloned())
    }

    fn apply(&mut self, _: &ChangeSet) -> Result<(), StoreError> {
        panic!("nothing is written to a store that cannot be read")
    }
}

/// Opens a store and reads all that can be read.
fn read_all(store: Altered, group: GroupId) -> convivio::Result<()> {
    let mut client = Client::open(store)?;
    client.inbox(usize::MAX)?;
    client.group(&group)?;
    client.subscriptions().map(drop)
}

#[test]
fn a_damaged_or_newer_record_is_told_and_left_as_it_is() {
    let (store, group) = written();
    let whole = records(&store.contents());
    let mut passed = Vec::new();
    for (name, value) in &whole {
        let newer = |value: &[u8]| {
            let mut value = value.to_vec();
            if let Some(form) = value.get_mut(1) {
                *form = 2;
            }
            value
        };
        let alterations = [newer(value), value[..value.len() - 1].to_vec(), Vec::new(), [value, &[0][..]].concat()];
        for altered in alterations {
            let mut records = whole.clone();
            records.insert(name.clone(), altered);
            let store = Altered(Arc::new(Mutex::new(records.clone())));
            // Pins and key packages are read when they are used.
            match read_all(store.clone(), group) {
                Err(error) => assert_eq!(error.kind(), ErrorKind::Damaged, "{name:02x?}: {error:?}"),
                Ok(()) => passed.push((name[0], records[name].len())),
            }
            assert_eq!(*store.0.lock().unwrap(), records);
        }
    }
    // Key packages, pins and hashes of what was sent are read when they are used; any 8 bytes are a version.
    passed.retain(|(tag, len)| !matches!(tag, 5 | 7 | 26) && (*tag, *len) != (0, 8));
    assert!(passed.is_empty(), "{passed:?}");
}

#[test]
fn a_missing_record_is_damage_and_not_absence() {
    let (store, group) = written();
    let whole = records(&store.contents());
    for name in whole.keys() {
        let mut records = whole.clone();
        records.remove(name);
        let outcome = read_all(Altered(Arc::new(Mutex::new(records))), group);
        let may_be_absent = matches!(name[0], 0 | 5 | 7 | 24 | 25 | 26);
        match outcome {
            Ok(()) => assert!(may_be_absent || name[0] == 20, "{name:02x?}"),
            // Without the device's own record there is no device.
            Err(error) if name[0] == 1 => assert_eq!(error.kind(), ErrorKind::Misuse),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Damaged, "{name:02x?}"),
        }
    }
}

#[cfg(feature = "redb")]
mod in_a_file {
    use std::fs;

    use convivio::store::{RedbStore, SealedStore, StoreKey};

    use super::*;

    #[test]
    fn a_locked_damaged_or_foreign_file_stays_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("device.convivio");
        let key = |byte: u8| StoreKey::from_bytes(&mut [byte; 32]);
        let app = App::new("photos.example").unwrap();
        let store = SealedStore::create(RedbStore::create(&path).unwrap(), key(7)).unwrap();
        let mut client = app.client_on("maria", store).unwrap();
        client.key_packages(3).unwrap();
        assert_eq!(RedbStore::open(&path).unwrap_err().kind(), StoreErrorKind::Locked);
        client.key_packages(1).unwrap();
        drop(client);

        let before = fs::read(&path).unwrap();
        let opened = SealedStore::open(RedbStore::open(&path).unwrap(), key(8));
        assert_eq!(opened.map(drop).unwrap_err().kind(), StoreErrorKind::Damaged);
        // Read as a plain store, the sealed records are damaged ones.
        let error = Client::open(RedbStore::open(&path).unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
        let keys = app.enrol("maria").unwrap();
        assert_eq!(Client::create(RedbStore::open(&path).unwrap(), keys).unwrap_err().kind(), ErrorKind::Misuse);
        let mut client = Client::open(SealedStore::open(RedbStore::open(&path).unwrap(), key(7)).unwrap()).unwrap();
        assert_eq!(client.package_ids().unwrap().len(), 4);
        drop(client);

        let mut broken = before.clone();
        let middle = broken.len() / 2;
        broken.truncate(middle);
        fs::write(&path, &broken).unwrap();
        assert!(RedbStore::open(&path).is_err());
        assert_eq!(fs::read(&path).unwrap(), broken);
    }
}
