//! A sealed store whose medium someone can write to: what was touched is an error and never another value, what was
//! not touched is what it was (`docs/protocol.md`, section 7.2).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use arbitrary::{Arbitrary, Unstructured};
use convivio::client::{Change, Client};
use convivio::group::GroupInfo;
use convivio::store::{ChangeSet, RecordKey, SealedStore, Store, StoreError, StoreErrorKind, StoreKey};
use convivio::testing::App;
use convivio::{ErrorKind, Result};

use super::town::{Fixed, device_keys, town};
use super::{Seeds, noise};

#[derive(Arbitrary, Debug)]
struct Input {
    other_key: bool,
    attacks: Vec<Attack>,
}

#[derive(Arbitrary, Debug)]
enum Attack {
    Flip(u8, u16, u8),
    Cut(u8, u16),
    Grow(u8, u8),
    /// One record's value under another's name.
    Move(u8, u8),
    Delete(u8),
    Write(u8, Vec<u8>),
    /// A record under a name of its own.
    Add(Vec<u8>, Vec<u8>),
}

type Records = BTreeMap<RecordKey, Vec<u8>>;

/// A medium that anyone can write to.
#[derive(Clone, Default)]
struct Medium(Arc<Mutex<Records>>);

impl Store for Medium {
    fn load(&self, key: &RecordKey) -> std::result::Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.lock().unwrap().get(key).cloned())
    }

    fn apply(&mut self, changes: &ChangeSet) -> std::result::Result<(), StoreError> {
        let mut records = self.0.lock().unwrap();
        changes.check(records.get(&RecordKey::VERSION).map(Vec::as_slice))?;
        for (key, value) in changes.iter() {
            match value {
                Some(value) => records.insert(key.clone(), value.to_vec()),
                None => records.remove(key),
            };
        }
        Ok(())
    }
}

fn key(byte: u8) -> StoreKey {
    StoreKey::from_bytes(&mut [byte; 32])
}

/// What a device wrote: sealed, and what it says.
fn honest() -> &'static (Records, Records) {
    static HONEST: OnceLock<(Records, Records)> = OnceLock::new();
    HONEST.get_or_init(|| {
        let medium = Medium::default();
        let store = SealedStore::create(medium.clone(), key(7)).unwrap();
        let mut client = Client::create_in(store, device_keys("erin", 40), Fixed::new(41)).unwrap();
        client.key_packages(2).unwrap();
        let info = GroupInfo::new("Diary", "").unwrap();
        let group = client.create_group(App::policy(&[&town().app]).unwrap(), info).unwrap();
        client.send(&group, b"dear diary").unwrap();
        client.outbox(9).unwrap();
        client.change(&group, Change::Heal).unwrap();
        let store = SealedStore::open(medium.clone(), key(7)).unwrap();
        let sealed = medium.0.lock().unwrap().clone();
        let plain = sealed.keys().map(|name| (name.clone(), store.load(name).unwrap().unwrap())).collect();
        (sealed, plain)
    })
}

pub fn run(data: &[u8]) {
    let Ok(Input { other_key, attacks }) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let (honest, plain) = honest();
    let mut records = honest.clone();
    attacks.iter().take(8).for_each(|attack| apply(&mut records, attack));
    let medium = Medium(Arc::new(Mutex::new(records.clone())));
    let check = honest.keys().nth(1).unwrap();
    let opened = SealedStore::open(medium.clone(), key(if other_key { 8 } else { 7 }));
    let right = !other_key && records.get(check) == honest.get(check);
    assert_eq!(opened.is_ok(), right, "a sealed store opens with its own key and check only");
    match opened {
        Err(error) => assert_eq!(error.kind(), StoreErrorKind::Damaged),
        Ok(store) => compare(&store, &records, (honest, plain)),
    }
    if right {
        client(&medium, &records, honest);
    }
}

fn apply(records: &mut Records, attack: &Attack) {
    let name = |which: &u8| records.keys().nth(usize::from(*which) % records.len().max(1)).cloned();
    match attack {
        Attack::Flip(which, at, bits) => {
            let Some(value) = name(which).and_then(|name| records.get_mut(&name)).filter(|v| !v.is_empty()) else {
                return;
            };
            let at = usize::from(*at) % value.len();
            value[at] ^= bits;
        }
        Attack::Cut(which, len) => {
            if let Some(value) = name(which).and_then(|name| records.get_mut(&name)) {
                value.truncate((*len).into());
            }
        }
        Attack::Grow(which, by) => {
            if let Some(value) = name(which).and_then(|name| records.get_mut(&name)) {
                value.resize(value.len() + usize::from(*by), 0);
            }
        }
        Attack::Move(from, to) => {
            let (Some(from), Some(to)) = (name(from), name(to)) else { return };
            let value = records[&from].clone();
            records.insert(to, value);
        }
        Attack::Delete(which) => drop(name(which).and_then(|name| records.remove(&name))),
        Attack::Write(which, value) => drop(name(which).map(|name| records.insert(name, value.clone()))),
        Attack::Add(name, value) => {
            if let Ok(name) = RecordKey::from_bytes(name) {
                records.insert(name, value.clone());
            }
        }
    }
}

fn compare(store: &SealedStore<Medium>, records: &Records, (honest, plain): (&Records, &Records)) {
    for name in records.keys().chain(honest.keys()).filter(|name| **name != RecordKey::VERSION) {
        let loaded = store.load(name);
        match records.get(name) {
            None => assert!(loaded.unwrap().is_none()),
            same if same == honest.get(name) => assert_eq!(loaded.unwrap().as_ref(), plain.get(name)),
            Some(_) => assert_eq!(loaded.unwrap_err().kind(), StoreErrorKind::Damaged, "{name:?} was taken"),
        }
    }
}

/// A device over it notices or is not concerned; if nothing was touched it goes on.
fn client(medium: &Medium, records: &Records, honest: &Records) {
    let store = SealedStore::open(medium.clone(), key(7)).unwrap();
    let lived = Client::open_in(store, None, Fixed::new(50)).and_then(|mut client| live(&mut client));
    match lived {
        Ok(()) => {}
        Err(error) => {
            assert!(records != honest, "{error}");
            assert!(matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Storage | ErrorKind::Misuse), "{error}");
        }
    }
}

fn live(client: &mut Client) -> Result<()> {
    client.inbox(9)?;
    client.package_ids()?;
    for group in client.groups()? {
        client.group(&group)?;
        client.send(&group, b"today")?;
    }
    client.outbox(9)?;
    client.key_packages(1).map(drop)
}

pub fn seeds() -> Seeds {
    noise(&[10, 40, 160])
}
