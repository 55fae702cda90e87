//! What a client holds in memory of its store: read at open, written through, dropped when in doubt.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::ask::OpenJoin;
use super::device::{Device, DeviceKeys};
use super::own_devices::OwnDevices;
use super::records;
use super::reports::Settings;
use super::session::Session;
use super::stored;
use crate::crypto::sign::Signer;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{GroupId, LeafHash, Timestamp};
use crate::store::{ChangeSet, RecordKey, Store};
use crate::wire::{Reader, Wire, Writer};

/// The device's own records, and the groups used so far.
pub(super) struct Memory {
    pub(super) version: u64,
    pub(super) device: Device,
    pub(super) own: OwnDevices,
    pub(super) settings: Settings,
    pub(super) counters: Counters,
    pub(super) groups: BTreeSet<GroupId>,
    pub(super) packages: BTreeMap<LeafHash, PackageEntry>,
    pub(super) joins: BTreeMap<LeafHash, OpenJoin>,
    pub(super) sessions: BTreeMap<GroupId, Session>,
}

/// The inbox: events before `first_event` were acknowledged.
#[derive(Debug)]
pub(super) struct Counters {
    pub(super) first_event: u64,
    pub(super) next_event: u64,
}

impl Counters {
    /// The inbox has no holes, so its ends tell whether the counters are damaged; acknowledging counts through them.
    fn check(&self, store: &dyn Store) -> Result<()> {
        let Self { first_event, next_event } = *self;
        let held = |id| Ok::<_, Error>(store.load(&records::event(id))?.is_some());
        let whole = match next_event.checked_sub(1) {
            Some(last) if first_event <= last => held(first_event)? && held(last)?,
            _ => first_event == next_event && !held(next_event)?,
        };
        if whole { Ok(()) } else { Err(Error::damaged("the inbox is not where its counters say: restore the store")) }
    }
}

/// What is remembered of a key package besides its private keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct PackageEntry {
    pub(super) id: LeafHash,
    pub(super) not_after: Timestamp,
    pub(super) last_resort: bool,
}

impl Memory {
    /// The memory of a new device, and the changes that make it one.
    pub(super) fn create(store: &dyn Store, keys: DeviceKeys) -> Result<(Self, ChangeSet)> {
        if store.load(&records::device())?.is_some() {
            return Err(Error::misuse("this store already holds a device: open it"));
        }
        let mut changes = ChangeSet::on(store)?;
        let memory = Self {
            version: changes.base(),
            device: Device::new(keys)?,
            own: OwnDevices::default(),
            settings: Settings::default(),
            counters: Counters { first_event: 1, next_event: 1 },
            groups: BTreeSet::new(),
            packages: BTreeMap::new(),
            joins: BTreeMap::new(),
            sessions: BTreeMap::new(),
        };
        changes.put(records::device(), memory.device.record());
        memory.save_counters(&mut changes);
        memory.save_groups(&mut changes);
        memory.save_packages(&mut changes);
        memory.save_joins(&mut changes);
        Ok((memory, changes))
    }

    /// Reads a device's records. `signer` is its device key if that lives outside the store.
    pub(super) fn open(store: &dyn Store, signer: Option<Box<dyn Signer>>) -> Result<Self> {
        // First of all: what another process writes from here on is then noticed at the next change.
        let version = ChangeSet::on(store)?.base();
        let need =
            |key: RecordKey| records::load(store, &key)?.ok_or(Error::damaged("a record of the device is missing"));
        let record = records::load(store, &records::device())?
            .ok_or(Error::new(ErrorKind::Misuse, "this store holds no device: create one"))?;
        let device = Device::read(&record, signer)?;
        let own = records::load(store, &records::own_devices())?;
        let own = own.map(|record| OwnDevices::read(&record)).transpose()?.unwrap_or_default();
        let counters = records::decode(&need(records::counters())?, 2, |r| {
            Ok(Counters { first_event: r.u64()?, next_event: r.u64()? })
        })?;
        counters.check(store)?;
        let groups = records::decode_list(&need(records::groups())?)?.into_iter().collect();
        let packages: Vec<PackageEntry> = records::decode_list(&need(records::packages())?)?;
        let joins: Vec<OpenJoin> = records::decode_list(&need(records::joins())?)?;
        Ok(Self {
            version,
            device,
            own,
            settings: Settings::load(store)?,
            counters,
            groups,
            packages: packages.into_iter().map(|entry| (entry.id, entry)).collect(),
            joins: joins.into_iter().map(|join| (join.request, join)).collect(),
            sessions: BTreeMap::new(),
        })
    }

    /// A group's session, read if it is not in memory.
    pub(super) fn session(&mut self, store: &dyn Store, group: GroupId) -> Result<&mut Session> {
        if !self.groups.contains(&group) {
            return Err(Error::new(ErrorKind::UnknownGroup, "this device holds no group with this id"));
        }
        match self.sessions.entry(group) {
            Entry::Occupied(session) => Ok(session.into_mut()),
            Entry::Vacant(place) => Ok(place.insert(stored::load(group, &|key| records::load(store, &key))?)),
        }
    }

    pub(super) fn save_counters(&self, changes: &mut ChangeSet) {
        let Counters { first_event, next_event } = &self.counters;
        let record = records::encode(2, |w| {
            w.uint(*first_event).uint(*next_event);
        });
        changes.put(records::counters(), record);
    }

    pub(super) fn save_groups(&self, changes: &mut ChangeSet) {
        changes.put(records::groups(), records::encode_list(self.groups.iter()));
    }

    pub(super) fn save_packages(&self, changes: &mut ChangeSet) {
        changes.put(records::packages(), records::encode_list(self.packages.values()));
    }
}

impl Wire for PackageEntry {
    fn write(&self, w: &mut Writer) {
        w.array(3).item(&self.id).item(&self.not_after).bool(self.last_resort);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(3)?;
        Ok(Self { id: r.item()?, not_after: r.item()?, last_resort: r.bool()? })
    }
}
