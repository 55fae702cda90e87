//! A session as records: written through as it changes, read when a group is first used.

use std::collections::{BTreeMap, BTreeSet};

use super::links::Doorbook;
use super::queue::{Row, read_pending, read_row, row_record};
use super::records::{self, Record};
use super::session::{Cursor, Session};
use super::standing::{Status, doubt_number, doubt_of, status_number, status_of};
use crate::crypto::kem::SealSecret;
use crate::crypto::sign::SigningKey;
use crate::error::{Error, ErrorKind, Result};
use crate::group::{ChainKeys, EpochSecrets, Group, PAGE, StoredState};
use crate::identity::UnverifiedLeaf;
use crate::ids::{Epoch, Generation, GroupId, LeafIndex};
use crate::limits;
use crate::ratchet::{EpochContext, ReceivingChain, ReceivingChains, SendingChain};
use crate::secret::Secret;
use crate::store::{ChangeSet, RecordKey};
use crate::wire::{Reader, Wire};

impl Session {
    pub(super) fn save_row(&self, number: u64, changes: &mut ChangeSet) {
        if let Some(row) = self.queue.get(&number) {
            changes.put(records::row(self.id(), number), row_record(row));
        }
    }

    pub(super) fn save_cursor(&self, changes: &mut ChangeSet) {
        let Cursor {
            next,
            last_commit,
            first_row,
            next_row,
            seen,
            doubt,
            trusted,
            support,
            held,
            rejoin,
            leave,
            renewed,
        } = &self.cursor;
        let record = records::encode(12, |w| {
            w.uint(*next).uint(*last_commit).uint(*first_row).uint(*next_row).bytes(seen);
            w.uint(doubt_number(*doubt)).item(trusted).option(support.as_ref()).option(held.as_ref());
            w.list(rejoin.iter()).uint(*leave).item(renewed);
        });
        changes.put(records::cursor(self.id()), record);
    }

    pub(super) fn save_sending(&self, changes: &mut ChangeSet) {
        if let Some(chain) = &self.sending {
            let record = records::encode(2, |w| {
                w.item(&chain.generation()).bytes(chain.chain_key().expose());
            });
            changes.put(records::sending(self.id()), record);
        }
    }

    /// Writes what the chains of these senders have become, and of these late messages' keys.
    pub(super) fn save_chains(
        &mut self,
        moved: &BTreeSet<LeafIndex>,
        late: &BTreeSet<(LeafIndex, Generation)>,
        changes: &mut ChangeSet,
    ) {
        let id = self.id();
        for leaf in moved {
            if self.started.insert(*leaf) {
                self.first.erase(*leaf);
                self.save_page(leaf.0 / PAGE, changes);
            }
            if let Some(chain) = self.chains.get(*leaf) {
                changes.put(records::chain(id, *leaf), chain_record(chain));
            }
        }
        for (leaf, generation) in late {
            let key = self.chains.get(*leaf).and_then(|chain| chain.skipped_key(*generation));
            let name = records::skipped(id, *leaf, *generation);
            match key {
                Some(key) => changes.put(name, key.expose().to_vec()),
                None => changes.delete(name),
            }
        }
    }

    pub(super) fn save_group(&self, changes: &mut ChangeSet) {
        let EpochSecrets { context, exporter, authenticator, request, init } = &self.group.secrets;
        let record = records::encode(9, |w| {
            w.uint(status_number(self.status)).item(&self.group.own);
            w.bytes(self.group.signing.expose_seed()).bytes(self.group.seal.expose().expose());
            w.bytes(context.header_key().expose()).bytes(exporter.expose()).bytes(authenticator);
            w.bytes(request.expose()).bytes(init.expose());
        });
        changes.put(records::group(self.id()), record);
    }

    pub(super) fn save_epoch(&self, changes: &mut ChangeSet) {
        self.save_group(changes);
        let state = self.group.state.encode_for_record();
        let record = records::encode_large(state.len().saturating_add(8), 1, |w| {
            w.bytes(&state);
        });
        changes.put(records::state(self.id()), record);
        self.save_sending(changes);
        for page in self.pages() {
            self.save_page(page, changes);
        }
    }

    pub(super) fn save_page(&self, page: u32, changes: &mut ChangeSet) {
        // A key, its leaf's index and their heads take at most 40 bytes.
        let room = self.first.page(page).count().saturating_mul(40).saturating_add(8);
        let record = records::encode_large(room, 1, |w| {
            w.array(self.first.page(page).count());
            for (leaf, key) in self.first.page(page) {
                w.array(2).item(&leaf).bytes(key);
            }
        });
        changes.put(records::page(self.id(), page), record);
    }
}

/// Reads a group's records. `load` gives a record or none.
pub(super) fn load(id: GroupId, load: &dyn Fn(RecordKey) -> Result<Option<Record>>) -> Result<Session> {
    let need = |key| load(key)?.ok_or(Error::damaged("a record of a group is missing: restore the store"));
    let (status, group) = load_group(id, &need)?;
    let cursor = records::decode(&need(records::cursor(id))?, 12, |r| {
        Ok(Cursor {
            next: r.u64()?,
            last_commit: r.u64()?,
            first_row: r.u64()?,
            next_row: r.u64()?,
            seen: r.fixed()?,
            doubt: doubt_of(r.u64()?)?,
            trusted: r.item()?,
            support: r.option()?,
            held: r.option()?,
            rejoin: r.list(limits::OPEN_REQUESTS)?,
            leave: r.u64()?,
            renewed: r.item()?,
        })
    })?;
    if cursor.next_row.saturating_sub(cursor.first_row) > limits::QUEUE {
        return Err(Error::damaged("a group's queue is longer than it can be: restore the store"));
    }
    let mut queue = BTreeMap::new();
    for number in cursor.first_row..cursor.next_row {
        if let Some(record) = load(records::row(id, number))? {
            queue.insert(number, records::decode(&record, 1, read_row)?);
        }
    }
    let pending = load(records::pending(id))?.map(|record| records::decode(&record, 5, read_pending)).transpose()?;
    let requests = records::decode(&need(records::requests(id))?, 1, read_requests)?;
    let doorbook = records::decode(&need(records::doorbook(id))?, 4, Doorbook::read)?;
    let sending = load(records::sending(id))?
        .map(|record| {
            records::decode(&record, 2, |r| {
                let generation = r.item()?;
                let key = Secret::copy_from(r.fixed_ref()?);
                Ok(SendingChain::restore(group.own, generation, key, group.signing.duplicate()))
            })
        })
        .transpose()?;
    check_generations(&queue, sending.as_ref())?;
    let mut session = Session {
        group,
        status,
        cursor,
        sending,
        first: ChainKeys::default(),
        chains: ReceivingChains::default(),
        started: BTreeSet::new(),
        queue,
        pending,
        requests,
        doorbook,
        posts: BTreeMap::new(),
        accepted: BTreeSet::new(),
        behind: None,
        refused: None,
        refusal_told: false,
    };
    load_chains(&mut session, load)?;
    Ok(session)
}

/// What was encrypted lies behind the chain; else a part of a set of changes is missing, and a message key would be used
/// twice.
fn check_generations(queue: &BTreeMap<u64, Row>, sending: Option<&SendingChain>) -> Result<()> {
    let next = sending.map_or(Generation(0), SendingChain::generation);
    let is_ahead = |row: &Row| matches!(row, Row::Message { sealed: Some(sealed), .. } if sealed.generation >= next);
    if queue.values().any(is_ahead) {
        return Err(Error::damaged("a group's chain is behind its messages: restore the store"));
    }
    Ok(())
}

fn load_group(id: GroupId, need: &dyn Fn(RecordKey) -> Result<Record>) -> Result<(Status, Group)> {
    let stored = records::decode(&need(records::state(id))?, 1, |r| StoredState::decode(r.bytes(usize::MAX)?))?;
    let state = stored.with_leaves(|index| {
        let record = need(records::leaf(id, index))?;
        let leaf = records::decode(&record, 1, |r| UnverifiedLeaf::decode(r.bytes(limits::LEAF)?))?;
        // It was verified before it was stored.
        Ok(leaf.assume_verified())
    });
    let state = state.map_err(|error| match error.kind() {
        ErrorKind::Malformed => Error::damaged("a stored group contradicts itself: restore the store").caused_by(error),
        _ => error,
    })?;
    let context_hash = state.context_hash();
    records::decode(&need(records::group(id))?, 9, |r| {
        let status = status_of(r.u64()?)?;
        let own = r.item()?;
        let signing = SigningKey::from_seed(Secret::<32>::copy_from(r.fixed_ref()?).expose());
        let seal = SealSecret::from_secret(Secret::copy_from(r.fixed_ref()?));
        let header_key = Secret::copy_from(r.fixed_ref()?);
        let secrets = EpochSecrets {
            context: EpochContext::new(id, state.epoch, context_hash, header_key),
            exporter: Secret::copy_from(r.fixed_ref()?),
            authenticator: r.fixed()?,
            request: Secret::copy_from(r.fixed_ref()?),
            init: Secret::copy_from(r.fixed_ref()?),
        };
        Ok((status, Group { state, own, signing, seal, secrets }))
    })
}

fn load_chains(session: &mut Session, load: &dyn Fn(RecordKey) -> Result<Option<Record>>) -> Result<()> {
    let id = session.id();
    if !matches!(session.status, Status::Active | Status::Leaving | Status::Invited) {
        return Ok(());
    }
    for page in session.pages() {
        let record = load(records::page(id, page))?.ok_or(Error::damaged("a record of chain keys is missing"))?;
        records::decode(&record, 1, |r| {
            for _ in 0..r.array_up_to(PAGE as usize)? {
                r.array(2)?;
                session.first.insert(r.item()?, r.fixed_ref()?);
            }
            Ok(())
        })?;
    }
    for (index, leaf) in &session.group.state.leaves {
        if *index == session.group.own || session.first.get(*index).is_some() {
            continue;
        }
        session.started.insert(*index);
        let record = load(records::chain(id, *index))?.ok_or(Error::damaged("a sender's chain is missing"))?;
        let (chain_key, next, late) = records::decode(&record, 3, read_chain)?;
        let mut skipped = BTreeMap::new();
        for generation in late {
            let bytes = load(records::skipped(id, *index, generation))?;
            let mut bytes: [u8; 32] = bytes
                .and_then(|bytes| bytes.as_slice().try_into().ok())
                .ok_or(Error::damaged("a late message's key is missing"))?;
            skipped.insert(generation, Secret::from_bytes(&mut bytes));
        }
        let chain = ReceivingChain::restore(chain_key, next, skipped, leaf.signature_key().clone())?;
        session.chains.insert(*index, chain);
    }
    Ok(())
}

pub(super) fn leaf_record(encoded: &[u8]) -> Vec<u8> {
    records::encode(1, |w| {
        w.bytes(encoded);
    })
}

/// The chain key, the next generation, and which late messages' keys are kept, as runs.
fn chain_record(chain: &ReceivingChain) -> Vec<u8> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for (Generation(generation), _) in chain.skipped() {
        match runs.last_mut() {
            Some((start, len)) if start.saturating_add(*len) == generation => *len = len.saturating_add(1),
            _ => runs.push((generation, 1)),
        }
    }
    records::encode(3, |w| {
        w.bytes(chain.chain_key().expose()).item(&chain.next()).array(runs.len());
        for (start, len) in runs {
            w.array(2).uint(start.into()).uint(len.into());
        }
    })
}

fn read_chain(r: &mut Reader<'_>) -> Result<(Secret<32>, Generation, Vec<Generation>)> {
    let (key, next) = (Secret::copy_from(r.fixed_ref()?), r.item()?);
    let mut late = Vec::new();
    for _ in 0..r.array_up_to(limits::SKIPPED_PER_SENDER as usize)? {
        r.array(2)?;
        let (start, len) = (r.u32()?, r.u32()?);
        if len > limits::SKIPPED_PER_SENDER {
            return Err(Error::damaged("a run of late messages is too long"));
        }
        late.extend((start..start.saturating_add(len)).map(Generation));
    }
    Ok((key, next, late))
}

fn read_requests(r: &mut Reader<'_>) -> Result<BTreeMap<Epoch, Secret<32>>> {
    let count = r.array_up_to(limits::REQUEST_EPOCHS)?;
    (0..count)
        .map(|_| {
            r.array(2)?;
            Ok((r.item()?, Secret::copy_from(r.fixed_ref()?)))
        })
        .collect()
}
