//! A store with one record damaged: a typed error or a device that works, and never someone else's word for a member's.
//!
//! The bytes in a store are a device's own (`SealedStore` authenticates them). So what is tested is that damage is
//! noticed or harmless: no panic, no endless work, nothing written by opening, and no forged message let through.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use convivio::client::{Answer, Change, Client, EventKind};
use convivio::log::{EntryBody, LogEntry};
use convivio::store::{ChangeSet, RecordKey, Store, StoreError};
use convivio::{Error, ErrorKind, SigningKey};

use super::town::{Fixed, tag, town};
use super::{Seeds, edited};

const REPLACE: u8 = 0;
const EDIT: u8 = 1;
const DELETE: u8 = 2;

/// What the forged message says.
const LIE: &[u8] = b"\x83\x50lie lie lie lie \x00\x43lie";

pub fn run(data: &[u8]) {
    let Some(([kind, which], rest)) = data.split_first_chunk::<2>() else { return };
    let mut records: BTreeMap<RecordKey, Vec<u8>> =
        town().busy.iter().map(|(key, value)| (key.clone(), value.to_vec())).collect();
    let Some((key, honest)) = records.iter().nth(usize::from(*which) % records.len()) else { return };
    let key = key.clone();
    match *kind {
        REPLACE => records.insert(key, rest.to_vec()),
        EDIT => edited(honest, rest).and_then(|edited| records.insert(key, edited)),
        DELETE => records.remove(&key),
        _ => return,
    };
    let store = Records(Arc::new(Mutex::new(records.clone())));
    let opened = Client::open_in(store.clone(), None, Fixed::new(7));
    assert!(*store.0.lock().unwrap() == records, "opening wrote to the store");
    match opened {
        Ok(mut client) => {
            let _ = live(&mut client);
        }
        Err(error) => {
            let noticed = matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Storage | ErrorKind::Misuse);
            assert!(noticed, "opening a damaged store fails with {error}");
        }
    }
}

/// Everything a device does in a day, up to the first error.
fn live(bob: &mut Client) -> Result<(), Error> {
    let group = town().group;
    bob.inbox(100)?;
    bob.subscriptions()?;
    bob.package_ids()?;
    let forged = town().maria_after.frame(2, LIE, SigningKey::from_seed(&[1; 32]));
    let forged = LogEntry { body: EntryBody::Message(forged), ..town().fresh.clone() };
    let honest = LogEntry { seq: forged.seq.saturating_add(1), ..town().fresh.clone() };
    let (events, _) = bob.receive(&[forged, honest, town().welcome.clone()])?;
    for event in events {
        let lie = matches!(&event.what, EventKind::Message { content, .. } if content == b"lie");
        assert!(!lie, "a forged message was let through");
        bob.ack(event.id)?;
    }
    bob.send(&group, b"more")?;
    let posts = bob.outbox(100)?;
    for post in &posts {
        bob.posted(post, convivio::log::PostReply::Accepted)?;
    }
    bob.change(&group, Change::Heal)?;
    let _ = bob.answer(&group, Answer::Accept);
    bob.inbox(100)?;
    bob.forget(&group)
}

/// A store of any records.
#[derive(Clone)]
struct Records(Arc<Mutex<BTreeMap<RecordKey, Vec<u8>>>>);

impl Store for Records {
    fn load(&self, key: &RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.lock().unwrap().get(key).cloned())
    }

    fn apply(&mut self, changes: &ChangeSet) -> Result<(), StoreError> {
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

pub fn seeds() -> Seeds {
    let mut seeds = Vec::new();
    let mut seen = Vec::new();
    for (i, (key, value)) in (0_u8..).zip(town().busy.iter()) {
        let tag = key.as_bytes()[0];
        if seen.contains(&tag) && tag != tag::ROW {
            continue;
        }
        seen.push(tag);
        seeds.push((format!("replace_{tag:02}_{i}"), [&[REPLACE, i], value].concat()));
        seeds.push((format!("edit_{tag:02}_{i}"), vec![EDIT, i, 0, 2, 1]));
        seeds.push((format!("delete_{tag:02}_{i}"), vec![DELETE, i]));
        if tag == tag::CURSOR || tag == tag::COUNTERS {
            // Counters as large as can be: nothing may count up to them.
            let fields = if tag == tag::CURSOR { 5 } else { 2 };
            let huge = |at: usize| {
                let number = |i| if i == at { [&[0x1b][..], &[255; 7], &[254]].concat() } else { vec![1] };
                let mut record = vec![0x80 + 1 + fields as u8, 1];
                (0..fields.min(4)).for_each(|i| record.extend(number(i)));
                record.extend((4..fields).map(|_| 0xf4));
                record
            };
            for at in 0..fields.min(4) {
                seeds.push((format!("huge_{tag:02}_{at}"), [&[REPLACE, i][..], &huge(at)].concat()));
            }
        }
    }
    seeds
}
