//! One group as a client holds it: a memory of the group's records, written through and dropped when in doubt.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::change::Change;
use super::records::{self, PAGE};
use crate::crypto::kdf::Hash;
use crate::crypto::kem::SealSecret;
use crate::crypto::sign::{Signature, SigningKey};
use crate::envelope::Envelope;
use crate::error::{Error, Result};
use crate::group::{EpochSecrets, FreshKeys, Group, Transition, UnverifiedState};
use crate::identity::UnverifiedLeaf;
use crate::ids::{Generation, GroupId, LeafIndex, MessageId, Timestamp};
use crate::limits;
use crate::log::{PostBody, PostId};
use crate::ratchet::{EpochContext, ReceivingChain, ReceivingChains, SendingChain};
use crate::secret::Secret;
use crate::store::{ChangeSet, RecordKey};
use crate::wire::{Reader, Wire, Writer};

/// Where this device stands in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// Added, and not answered yet. Nothing of the group is read.
    Invited,
    /// A member.
    Active,
    /// A member who asked to be taken out.
    Leaving,
    /// The group went on without us; [rejoin](super::Change::Rejoin) or forget it.
    Excluded,
    /// Our state is an old copy; [rejoin](super::Change::Rejoin) or forget it.
    RolledBack,
    /// Taken out, by what the hub says; forget it, or rejoin if that is not so.
    Removed,
}

impl Status {
    /// Whether log entries are processed.
    pub(super) const fn reads(self) -> bool {
        matches!(self, Self::Active | Self::Leaving)
    }
}

/// Where a device is in a group's log and in its own queue.
#[derive(Debug)]
pub(super) struct Cursor {
    /// The sequence number of the next entry.
    pub(super) next: u64,
    /// The sequence number of the last commit entry processed, valid or not.
    pub(super) last_commit: u64,
    /// Queue rows are numbered from `first_row` to before `next_row`, with gaps.
    pub(super) first_row: u64,
    pub(super) next_row: u64,
    /// A commit could not be opened, so what came back since may be void for the others (section 5.6).
    pub(super) unsettled: bool,
    /// Whether one could not, even if it looks settled: others who were sealed out with us may have made it look so.
    pub(super) doubted: bool,
    /// When this device's own leaf was last renewed.
    pub(super) renewed: Timestamp,
}

impl Cursor {
    /// A commit could not be opened.
    pub(super) const fn doubt(&mut self) {
        self.unsettled = true;
        self.doubted = true;
    }

    /// At the start of a group's log, or right after the entry that let us in.
    pub(super) const fn after(entry: u64, now: Timestamp) -> Self {
        let next = entry.saturating_add(1);
        Self { next, last_commit: entry, first_row: 1, next_row: 1, unsettled: false, doubted: false, renewed: now }
    }
}

/// Something queued, in the order it was asked for.
#[derive(Debug)]
pub(super) enum Row {
    /// The group's log is to be opened.
    Create,
    /// A message, kept as content until its echo counts.
    Message { content: Vec<u8>, id: MessageId, sealed: Option<Sealed>, echoed: bool },
    /// A change, until its commit returns.
    Change(Change),
    /// Another member's leave, to be committed once `not_before` has passed.
    TakeOut { leaf: LeafIndex, signature: Signature, not_before: Timestamp },
    /// A request to be readmitted.
    Request(Envelope),
}

/// A message as encrypted in the present epoch.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) generation: Generation,
    pub(super) frame: Vec<u8>,
}

/// Our own commit, from before it is posted until an entry of its epoch counts.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) row: u64,
    pub(super) entry: Hash,
    pub(super) fresh: FreshKeys,
    pub(super) body: PostBody,
}

/// A group held in memory.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) group: Group,
    pub(super) status: Status,
    pub(super) cursor: Cursor,
    /// Taken out only while it encrypts.
    pub(super) sending: Option<SendingChain>,
    pub(super) chains: ReceivingChains,
    /// Senders whose chain has moved and so has a record of its own.
    pub(super) started: BTreeSet<LeafIndex>,
    pub(super) queue: BTreeMap<u64, Row>,
    pub(super) pending: Option<Pending>,
    /// The row of each post that was handed out.
    pub(super) posts: BTreeMap<PostId, u64>,
    /// Rows that the hub has accepted, to be posted no more while this process lives.
    pub(super) accepted: BTreeSet<u64>,
    /// The last commit entry that the hub says there is a newer one than.
    pub(super) behind: Option<u64>,
}

impl Session {
    /// A group just created or joined, written whole.
    pub(super) fn enter(transition: Transition, status: Status, cursor: Cursor, changes: &mut ChangeSet) -> Self {
        let Transition { group, chains, .. } = transition;
        let mut session = Self {
            group,
            status,
            cursor,
            sending: None,
            chains: ReceivingChains::default(),
            started: BTreeSet::new(),
            queue: BTreeMap::new(),
            pending: None,
            posts: BTreeMap::new(),
            accepted: BTreeSet::new(),
            behind: None,
        };
        for (index, leaf) in &session.group.state.leaves {
            changes.put(records::leaf(session.id(), *index), leaf_record(leaf.encoded()));
        }
        session.start_chains(chains);
        session.save_epoch(changes);
        session.save_cursor(changes);
        session
    }

    pub(super) fn id(&self) -> GroupId {
        self.group.state.group
    }

    /// Moves to the next epoch: its keys are stored, all of the last epoch's are erased, and messages without an echo
    /// are to be encrypted anew.
    pub(super) fn advance(&mut self, group: Group, chains: Vec<(LeafIndex, Secret<32>)>, changes: &mut ChangeSet) {
        self.erase_chains(changes);
        let (id, old) = (self.id(), &self.group.state.leaves);
        for index in old.keys().filter(|index| !group.state.leaves.contains_key(index)) {
            changes.delete(records::leaf(id, *index));
        }
        for (index, leaf) in &group.state.leaves {
            if !old.get(index).is_some_and(|old| Arc::ptr_eq(old, leaf)) {
                changes.put(records::leaf(id, *index), leaf_record(leaf.encoded()));
            }
        }
        self.group = group;
        self.start_chains(chains);
        self.requeue(false, changes);
        self.save_epoch(changes);
    }

    /// Every message without an echo goes out again in the epoch that comes; with `all`, also those whose echo did not
    /// count.
    fn requeue(&mut self, all: bool, changes: &mut ChangeSet) {
        let id = self.id();
        self.accepted.clear();
        self.posts.clear();
        for (number, row) in &mut self.queue {
            let Row::Message { sealed, echoed, .. } = row else { continue };
            if *echoed && !all {
                continue;
            }
            *echoed = false;
            if sealed.take().is_some() {
                changes.put(records::row(id, *number), row_record(row));
            }
        }
    }

    /// The commit we could not open was void for the others, too: what has come back does count.
    pub(super) fn settle(&mut self, changes: &mut ChangeSet) {
        self.cursor.unsettled = false;
        let done: Vec<u64> = self
            .queue
            .iter()
            .filter(|(_, row)| matches!(row, Row::Message { echoed: true, .. }))
            .map(|(number, _)| *number)
            .collect();
        for number in done {
            self.drop_row(number, changes);
        }
    }

    /// Stops reading and sending, and erases the epoch's message keys. The roster stays, for a rejoin.
    pub(super) fn stop(&mut self, status: Status, changes: &mut ChangeSet) {
        self.status = status;
        self.erase_chains(changes);
        self.pending = None;
        changes.delete(records::pending(self.id()));
        changes.delete(records::sending(self.id()));
        self.sending = None;
        self.cursor.unsettled = false;
        self.requeue(true, changes);
        self.save_group(changes);
    }

    /// Deletes every record of the group.
    pub(super) fn forget(&mut self, changes: &mut ChangeSet) {
        let id = self.id();
        self.erase_chains(changes);
        for index in self.group.state.leaves.keys() {
            changes.delete(records::leaf(id, *index));
        }
        for number in self.queue.keys() {
            changes.delete(records::row(id, *number));
        }
        let whole: [fn(GroupId) -> RecordKey; 5] =
            [records::group, records::state, records::cursor, records::sending, records::pending];
        for key in whole {
            changes.delete(key(id));
        }
    }

    pub(super) fn push_row(&mut self, row: Row, changes: &mut ChangeSet) -> u64 {
        let number = self.cursor.next_row;
        self.cursor.next_row = number.saturating_add(1);
        changes.put(records::row(self.id(), number), row_record(&row));
        self.queue.insert(number, row);
        self.save_cursor(changes);
        number
    }

    /// Takes a row of the state that this one replaces, in its old place.
    pub(super) fn restore_row(&mut self, number: u64, row: Row, changes: &mut ChangeSet) {
        self.queue.insert(number, row);
        self.save_row(number, changes);
        self.cursor.first_row = self.cursor.first_row.min(number);
        self.save_cursor(changes);
    }

    pub(super) fn drop_row(&mut self, number: u64, changes: &mut ChangeSet) {
        self.queue.remove(&number);
        self.accepted.remove(&number);
        changes.delete(records::row(self.id(), number));
        self.cursor.first_row = self.queue.keys().next().copied().unwrap_or(self.cursor.next_row);
    }

    /// When something falls due by itself.
    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        if self.status != Status::Active {
            return None;
        }
        let every = self.group.state.policy.heal_after;
        let heal = (every > 0).then(|| self.cursor.renewed.after(every.saturating_add(1)));
        let leaves = self.queue.values().filter_map(|row| match row {
            Row::TakeOut { not_before, .. } => Some(*not_before),
            _ => None,
        });
        leaves.chain(heal).min()
    }

    pub(super) fn save_row(&self, number: u64, changes: &mut ChangeSet) {
        if let Some(row) = self.queue.get(&number) {
            changes.put(records::row(self.id(), number), row_record(row));
        }
    }

    pub(super) fn set_pending(&mut self, pending: Option<Pending>, changes: &mut ChangeSet) {
        match &pending {
            Some(pending) => changes.put(records::pending(self.id()), pending_record(pending)),
            None => changes.delete(records::pending(self.id())),
        }
        self.pending = pending;
    }

    pub(super) fn save_cursor(&self, changes: &mut ChangeSet) {
        let Cursor { next, last_commit, first_row, next_row, unsettled, doubted, renewed } = &self.cursor;
        let record = records::encode(7, |w| {
            w.uint(*next).uint(*last_commit).uint(*first_row).uint(*next_row);
            w.bool(*unsettled).bool(*doubted).item(renewed);
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
        let EpochSecrets { context, exporter, authenticator, init } = &self.group.secrets;
        let record = records::encode(8, |w| {
            w.uint(status_number(self.status)).item(&self.group.own);
            w.bytes(self.group.signing.expose_seed()).bytes(self.group.seal.expose().expose());
            w.bytes(context.header_key().expose()).bytes(exporter.expose()).bytes(authenticator).bytes(init.expose());
        });
        changes.put(records::group(self.id()), record);
    }

    fn save_epoch(&self, changes: &mut ChangeSet) {
        self.save_group(changes);
        let state = self.group.state.encode_without_leaves();
        changes.put(
            records::state(self.id()),
            records::encode(1, |w| {
                w.bytes(&state);
            }),
        );
        self.save_sending(changes);
        let pages: BTreeSet<u32> = self.group.state.leaves.keys().map(|leaf| leaf.0 / PAGE).collect();
        for page in pages {
            self.save_page(page, changes);
        }
    }

    fn start_chains(&mut self, chains: Vec<(LeafIndex, Secret<32>)>) {
        for (index, key) in chains {
            if index == self.group.own {
                self.sending = Some(SendingChain::new(index, key, self.group.signing.duplicate()));
            } else if let Some(leaf) = self.group.state.leaves.get(&index) {
                self.chains.insert(index, ReceivingChain::new(key, leaf.signature_key().clone()));
            }
        }
    }

    /// Erases every chain and late message's key of the epoch that ends.
    fn erase_chains(&mut self, changes: &mut ChangeSet) {
        let id = self.id();
        let pages: BTreeSet<u32> = self.group.state.leaves.keys().map(|leaf| leaf.0 / PAGE).collect();
        for page in pages {
            changes.delete(records::page(id, page));
        }
        for leaf in core::mem::take(&mut self.started) {
            changes.delete(records::chain(id, leaf));
            if let Some(chain) = self.chains.get(leaf) {
                for (generation, _) in chain.skipped() {
                    changes.delete(records::skipped(id, leaf, generation));
                }
            }
        }
        self.chains = ReceivingChains::default();
        let sent = self.sending.as_ref().map_or(0, |chain| chain.generation().0);
        for generation in 0..sent {
            changes.delete(records::sent(id, Generation(generation)));
        }
    }

    fn save_page(&self, page: u32, changes: &mut ChangeSet) {
        let first = page.saturating_mul(PAGE);
        let untouched: Vec<(LeafIndex, &ReceivingChain)> = (first..first.saturating_add(PAGE))
            .map(LeafIndex)
            .filter(|leaf| !self.started.contains(leaf))
            .filter_map(|leaf| self.chains.get(leaf).map(|chain| (leaf, chain)))
            .collect();
        let record = records::encode(1, |w| {
            w.array(untouched.len());
            for (leaf, chain) in untouched {
                w.array(2).item(&leaf).bytes(chain.chain_key().expose());
            }
        });
        changes.put(records::page(self.id(), page), record);
    }
}

/// Reads a group's records. `load` gives a record or none.
pub(super) fn load(id: GroupId, load: &dyn Fn(RecordKey) -> Result<Option<Vec<u8>>>) -> Result<Session> {
    let need = |key| load(key)?.ok_or(Error::damaged("a record of a group is missing: restore the store"));
    let (status, group) = load_group(id, &need)?;
    let cursor = records::decode(&need(records::cursor(id))?, 7, |r| {
        Ok(Cursor {
            next: r.u64()?,
            last_commit: r.u64()?,
            first_row: r.u64()?,
            next_row: r.u64()?,
            unsettled: r.bool()?,
            doubted: r.bool()?,
            renewed: r.item()?,
        })
    })?;
    let mut queue = BTreeMap::new();
    for number in cursor.first_row..cursor.next_row {
        if let Some(record) = load(records::row(id, number))? {
            queue.insert(number, records::decode(&record, 1, read_row)?);
        }
    }
    let pending = load(records::pending(id))?.map(|record| records::decode(&record, 5, read_pending)).transpose()?;
    let sending = load(records::sending(id))?
        .map(|record| {
            records::decode(&record, 2, |r| {
                let generation = r.item()?;
                let key = Secret::from_bytes(&mut r.fixed()?);
                Ok(SendingChain::restore(group.own, generation, key, group.signing.duplicate()))
            })
        })
        .transpose()?;
    let mut session = Session {
        group,
        status,
        cursor,
        sending,
        chains: ReceivingChains::default(),
        started: BTreeSet::new(),
        queue,
        pending,
        posts: BTreeMap::new(),
        accepted: BTreeSet::new(),
        behind: None,
    };
    load_chains(&mut session, load)?;
    Ok(session)
}

fn load_group(id: GroupId, need: &dyn Fn(RecordKey) -> Result<Vec<u8>>) -> Result<(Status, Group)> {
    let state =
        records::decode(&need(records::state(id))?, 1, |r| UnverifiedState::<LeafIndex>::decode(r.bytes(usize::MAX)?))?;
    let UnverifiedState { mut state, leaves } = state;
    for index in leaves {
        let record = need(records::leaf(id, index))?;
        let leaf = records::decode(&record, 1, |r| UnverifiedLeaf::decode(r.bytes(limits::LEAF)?))?;
        // It was verified before it was stored.
        state.leaves.insert(index, Arc::new(leaf.assume_verified()));
    }
    let context_hash = state.context_hash();
    records::decode(&need(records::group(id))?, 8, |r| {
        let status = status_of(r.u64()?)?;
        let own = r.item()?;
        let signing = SigningKey::from_seed(Secret::<32>::from_bytes(&mut r.fixed()?).expose());
        let seal = SealSecret::from_secret(Secret::from_bytes(&mut r.fixed()?));
        let header_key = Secret::from_bytes(&mut r.fixed()?);
        let secrets = EpochSecrets {
            context: EpochContext::new(id, state.epoch, context_hash, header_key),
            exporter: Secret::from_bytes(&mut r.fixed()?),
            authenticator: r.fixed()?,
            init: Secret::from_bytes(&mut r.fixed()?),
        };
        Ok((status, Group { state, own, signing, seal, secrets }))
    })
}

fn load_chains(session: &mut Session, load: &dyn Fn(RecordKey) -> Result<Option<Vec<u8>>>) -> Result<()> {
    let id = session.id();
    if !matches!(session.status, Status::Active | Status::Leaving | Status::Invited) {
        return Ok(());
    }
    let mut untouched = BTreeMap::new();
    let pages: BTreeSet<u32> = session.group.state.leaves.keys().map(|leaf| leaf.0 / PAGE).collect();
    for page in pages {
        let record = load(records::page(id, page))?.ok_or(Error::damaged("a record of chain keys is missing"))?;
        records::decode(&record, 1, |r| {
            for _ in 0..r.array_up_to(PAGE as usize)? {
                r.array(2)?;
                untouched.insert(r.item::<LeafIndex>()?, Secret::from_bytes(&mut r.fixed()?));
            }
            Ok(())
        })?;
    }
    for (index, leaf) in &session.group.state.leaves {
        if *index == session.group.own {
            continue;
        }
        let key = leaf.signature_key().clone();
        let chain = match untouched.remove(index) {
            Some(chain_key) => ReceivingChain::new(chain_key, key),
            None => {
                session.started.insert(*index);
                let record = load(records::chain(id, *index))?.ok_or(Error::damaged("a sender's chain is missing"))?;
                let (chain_key, next, late) = records::decode(&record, 3, read_chain)?;
                let mut skipped = BTreeMap::new();
                for generation in late {
                    let bytes = load(records::skipped(id, *index, generation))?;
                    let mut bytes: [u8; 32] = bytes
                        .and_then(|bytes| bytes.try_into().ok())
                        .ok_or(Error::damaged("a late message's key is missing"))?;
                    skipped.insert(generation, Secret::from_bytes(&mut bytes));
                }
                ReceivingChain::restore(chain_key, next, skipped, key)?
            }
        };
        session.chains.insert(*index, chain);
    }
    Ok(())
}

fn leaf_record(encoded: &[u8]) -> Vec<u8> {
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
    let (key, next) = (Secret::from_bytes(&mut r.fixed()?), r.item()?);
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

fn row_record(row: &Row) -> Vec<u8> {
    records::encode(1, |w| {
        match row {
            Row::Create => w.array(1).uint(0),
            Row::Message { content, id, sealed, echoed } => {
                w.array(5).uint(1).bytes(content).item(id).bool(*echoed);
                match sealed {
                    Some(Sealed { generation, frame }) => w.array(2).item(generation).bytes(frame),
                    None => w.null(),
                }
            }
            Row::Change(change) => w.array(2).uint(2).item(change),
            Row::TakeOut { leaf, signature, not_before } => {
                w.array(4).uint(3).item(leaf).item(signature).item(not_before)
            }
            Row::Request(request) => w.array(2).uint(4).item(request),
        };
    })
}

fn read_row(r: &mut Reader<'_>) -> Result<Row> {
    let len = r.array_up_to(5)?;
    Ok(match (len, r.u8()?) {
        (1, 0) => Row::Create,
        (5, 1) => {
            let content = r.bytes(usize::MAX)?.to_vec();
            let (id, echoed) = (r.item()?, r.bool()?);
            let sealed = if r.null()? {
                None
            } else {
                r.array(2)?;
                Some(Sealed { generation: r.item()?, frame: r.bytes(usize::MAX)?.to_vec() })
            };
            Row::Message { content, id, sealed, echoed }
        }
        (2, 2) => Row::Change(r.item()?),
        (4, 3) => Row::TakeOut { leaf: r.item()?, signature: r.item()?, not_before: r.item()? },
        (2, 4) => Row::Request(r.item()?),
        _ => return Err(Error::damaged("not a row of the queue")),
    })
}

fn pending_record(pending: &Pending) -> Vec<u8> {
    let Pending { row, entry, fresh, body } = pending;
    records::encode(5, |w: &mut Writer| {
        w.uint(*row).bytes(entry).bytes(fresh.signing.expose_seed()).bytes(fresh.seal.expose().expose()).item(body);
    })
}

fn read_pending(r: &mut Reader<'_>) -> Result<Pending> {
    Ok(Pending {
        row: r.u64()?,
        entry: r.fixed()?,
        fresh: FreshKeys {
            signing: SigningKey::from_seed(Secret::<32>::from_bytes(&mut r.fixed()?).expose()),
            seal: SealSecret::from_secret(Secret::from_bytes(&mut r.fixed()?)),
        },
        body: r.item()?,
    })
}

const STATUSES: [Status; 6] =
    [Status::Invited, Status::Active, Status::Leaving, Status::Excluded, Status::RolledBack, Status::Removed];

fn status_number(status: Status) -> u64 {
    STATUSES.iter().position(|known| *known == status).map_or(0, |at| at as u64)
}

fn status_of(number: u64) -> Result<Status> {
    let at = usize::try_from(number).ok().and_then(|at| STATUSES.get(at).copied());
    at.ok_or(Error::damaged("not the status of a group"))
}
