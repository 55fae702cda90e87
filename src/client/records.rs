//! The records a client keeps, their names and their forms (`docs/protocol.md`, section 7.2).
//!
//! Every record is a CBOR array whose first element is the version of its form.

use zeroize::Zeroizing;

use crate::crypto::kdf;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{AppDomain, UserUri};
use crate::ids::{Generation, GroupId, LeafHash, LeafIndex};
use crate::labels;
use crate::store::{RecordKey, Store};
use crate::wire::{Reader, Wire, Writer};

/// The version of every record's form.
const FORM: u64 = 1;

pub(super) fn device() -> RecordKey {
    RecordKey::of(1, &[])
}

pub(super) fn counters() -> RecordKey {
    RecordKey::of(2, &[])
}

pub(super) fn groups() -> RecordKey {
    RecordKey::of(3, &[])
}

pub(super) fn packages() -> RecordKey {
    RecordKey::of(4, &[])
}

pub(super) fn package(id: &LeafHash) -> RecordKey {
    RecordKey::of(5, &[id.as_bytes()])
}

pub(super) fn event(id: u64) -> RecordKey {
    RecordKey::of(6, &[&id.to_be_bytes()])
}

pub(super) fn pin_user(user: &UserUri) -> RecordKey {
    RecordKey::of(7, &[&pin(user)])
}

pub(super) fn pin_app(domain: &AppDomain) -> RecordKey {
    RecordKey::of(8, &[&pin(domain)])
}

pub(super) fn joins() -> RecordKey {
    RecordKey::of(9, &[])
}

pub(super) fn join(request: &LeafHash) -> RecordKey {
    RecordKey::of(10, &[request.as_bytes()])
}

/// What this device knows of its user's others: the last serial it gave, and which devices are revoked.
pub(super) fn own_devices() -> RecordKey {
    RecordKey::of(11, &[])
}

pub(super) fn settings() -> RecordKey {
    RecordKey::of(13, &[])
}

fn pin(of: &impl Wire) -> kdf::Hash {
    kdf::hash(labels::HASH_PIN, 1, |w| {
        w.item(of);
    })
}

pub(super) fn group(group: GroupId) -> RecordKey {
    RecordKey::of(16, &[group.as_bytes()])
}

pub(super) fn state(group: GroupId) -> RecordKey {
    RecordKey::of(17, &[group.as_bytes()])
}

pub(super) fn leaf(group: GroupId, leaf: LeafIndex) -> RecordKey {
    RecordKey::of(18, &[group.as_bytes(), &leaf.0.to_be_bytes()])
}

pub(super) fn cursor(group: GroupId) -> RecordKey {
    RecordKey::of(19, &[group.as_bytes()])
}

pub(super) fn sending(group: GroupId) -> RecordKey {
    RecordKey::of(20, &[group.as_bytes()])
}

pub(super) fn page(group: GroupId, page: u32) -> RecordKey {
    RecordKey::of(21, &[group.as_bytes(), &page.to_be_bytes()])
}

pub(super) fn chain(group: GroupId, leaf: LeafIndex) -> RecordKey {
    RecordKey::of(22, &[group.as_bytes(), &leaf.0.to_be_bytes()])
}

pub(super) fn skipped(group: GroupId, leaf: LeafIndex, generation: Generation) -> RecordKey {
    RecordKey::of(23, &[group.as_bytes(), &leaf.0.to_be_bytes(), &generation.0.to_be_bytes()])
}

pub(super) fn pending(group: GroupId) -> RecordKey {
    RecordKey::of(24, &[group.as_bytes()])
}

pub(super) fn row(group: GroupId, row: u64) -> RecordKey {
    RecordKey::of(25, &[group.as_bytes(), &row.to_be_bytes()])
}

pub(super) fn sent(group: GroupId, generation: Generation) -> RecordKey {
    RecordKey::of(26, &[group.as_bytes(), &generation.0.to_be_bytes()])
}

pub(super) fn requests(group: GroupId) -> RecordKey {
    RecordKey::of(27, &[group.as_bytes()])
}

pub(super) fn doorbook(group: GroupId) -> RecordKey {
    RecordKey::of(28, &[group.as_bytes()])
}

/// A record as it was read: it may hold secrets, and is wiped when it is dropped.
pub(super) type Record = Zeroizing<Vec<u8>>;

/// Reads a record.
pub(super) fn load(store: &dyn Store, key: &RecordKey) -> Result<Option<Record>> {
    Ok(store.load(key)?.map(Record::new))
}

/// A record of `count` fields.
pub(super) fn encode(count: usize, write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    encode_large(0, count, write)
}

/// A record of `count` fields, with room for `capacity` bytes.
pub(super) fn encode_large(capacity: usize, count: usize, write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut w = Writer::with_capacity(capacity);
    w.array(count.saturating_add(1)).uint(FORM);
    write(&mut w);
    w.finish()
}

/// Reads a record of `count` fields; whatever is wrong with it, the store is damaged.
pub(super) fn decode<T>(bytes: &[u8], count: usize, read: impl FnOnce(&mut Reader<'_>) -> Result<T>) -> Result<T> {
    let mut r = Reader::new(bytes);
    let value = (|| {
        r.array(count.saturating_add(1))?;
        if r.u64()? != FORM {
            return Err(Error::new(ErrorKind::Damaged, "the store was written by a newer version: update the library"));
        }
        read(&mut r)
    })();
    value.and_then(|value| r.finish().map(|()| value)).map_err(|error| {
        if error.kind() == ErrorKind::Damaged {
            error
        } else {
            Error::damaged("a stored record is damaged: restore the store or enrol the device anew").caused_by(error)
        }
    })
}

/// The record of one item.
pub(super) fn encode_one(item: &impl Wire) -> Vec<u8> {
    encode(1, |w| {
        w.item(item);
    })
}

/// The record of a list of items.
pub(super) fn encode_list<'a, T: Wire + 'a>(items: impl ExactSizeIterator<Item = &'a T>) -> Vec<u8> {
    encode(1, |w| {
        w.list(items);
    })
}

pub(super) fn decode_list<T: Wire>(bytes: &[u8]) -> Result<Vec<T>> {
    decode(bytes, 1, |r| r.list(usize::MAX))
}
