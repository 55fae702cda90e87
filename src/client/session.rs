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
use crate::group::{EpochSecrets, FreshKeys, Group, LeaveScope, MessageContent, Said, Transition, UnverifiedState};
use crate::identity::UnverifiedLeaf;
use crate::ids::{Epoch, Generation, GroupId, LeafHash, LeafIndex, MessageId, Timestamp};
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
    /// A member who, by signs that are not authenticated, the others have gone on without. The epoch is still read and
    /// written; [rejoin](super::Change::Rejoin), or wait.
    Excluded,
    /// Our state is an old copy; [rejoin](super::Change::Rejoin) or forget it.
    RolledBack,
    /// Taken out. If only the hub says so, the epoch is still read and written, in case it lies; after a commit that we
    /// could read, nothing is. Forget the group, or [rejoin](super::Change::Rejoin).
    Removed,
}

impl Status {
    /// Whether log entries are processed.
    pub(super) const fn reads(self) -> bool {
        matches!(self, Self::Active | Self::Leaving)
    }
}

/// Seconds to wait for an answer before a commit of ours goes on without one: every member online has had its turn.
const ANSWER_TIME: u64 = 60;

/// What signs there are that the others have gone on without us, each weightier than the one before. None of them is
/// authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Doubt {
    /// None.
    None,
    /// A commit could not be opened.
    Unopened,
    /// Something claims to be from a later epoch.
    Excluded,
    /// A commit that is not sealed to us claims to take us out.
    Removed,
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
    /// The hash of the last commit entry processed, valid or not.
    pub(super) seen: Hash,
    /// While there is doubt, what came back may be void for the others, and is kept (`docs/protocol.md`, section 5.6).
    pub(super) doubt: Doubt,
    /// The last epoch without doubt, whose request key the others hold.
    pub(super) trusted: Epoch,
    /// The key package of our open request to be readmitted.
    pub(super) rejoin: Option<LeafHash>,
    /// The row of our leave.
    pub(super) leave: u64,
    /// When this device's own leaf was last renewed.
    pub(super) renewed: Timestamp,
}

impl Row {
    /// Whether this is a message that the protocol sends by itself.
    pub(super) fn is_sign(&self) -> bool {
        matches!(self.said(), Some(Said::Leave(..) | Said::Here { .. }))
    }

    /// Whether this is a sign of life, or asks for one.
    pub(super) fn is_here(&self) -> bool {
        matches!(self.said(), Some(Said::Here { .. }))
    }

    fn said(&self) -> Option<Said> {
        let Self::Message { content, .. } = self else { return None };
        MessageContent::decode(content).ok().map(|content| content.said)
    }
}

impl Cursor {
    /// At the start of a group's log, or right after the entry that let us in.
    pub(super) const fn after(entry: u64, seen: Hash, now: Timestamp) -> Self {
        let next = entry.saturating_add(1);
        Self {
            next,
            last_commit: entry,
            first_row: 1,
            next_row: 1,
            seen,
            doubt: Doubt::None,
            trusted: Epoch(0),
            rejoin: None,
            leave: 0,
            renewed: now,
        }
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
    /// Another member's leave, to be committed once `not_before` has passed and while it can be.
    TakeOut { leaf: LeafIndex, scope: LeaveScope, signature: Signature, not_before: Timestamp },
    /// A request to be readmitted.
    Request(Envelope),
    /// An answer to a member that asks whether others are still in this epoch, unless one is given before.
    Answer { to: LeafIndex, not_before: Timestamp },
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

/// A group in its next epoch, and the first chain keys there.
pub(super) type Entered = (Group, Vec<(LeafIndex, Secret<32>)>);

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
    /// The request keys of the last epochs.
    pub(super) requests: BTreeMap<Epoch, Secret<32>>,
    /// The row of each post that was handed out.
    pub(super) posts: BTreeMap<PostId, u64>,
    /// Rows that the hub has accepted, to be posted no more while this process lives.
    pub(super) accepted: BTreeSet<u64>,
    /// The last commit entry that the hub says there is a newer one than.
    pub(super) behind: Option<u64>,
    /// When we asked whether the others are still here.
    pub(super) asked: Option<Timestamp>,
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
            requests: BTreeMap::new(),
            posts: BTreeMap::new(),
            accepted: BTreeSet::new(),
            behind: None,
            asked: None,
        };
        for (index, leaf) in &session.group.state.leaves {
            changes.put(records::leaf(session.id(), *index), leaf_record(leaf.encoded()));
        }
        session.trust();
        session.start_chains(chains);
        session.keep_request_key(changes);
        session.save_epoch(changes);
        session.save_cursor(changes);
        session
    }

    pub(super) fn id(&self) -> GroupId {
        self.group.state.group
    }

    /// Moves to the next epoch: its keys are stored, all of the last epoch's are erased, and messages without an echo
    /// are to be encrypted anew.
    pub(super) fn advance(&mut self, (group, chains): Entered, all_again: bool, changes: &mut ChangeSet) {
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
        self.requeue(all_again, changes);
        self.keep_request_key(changes);
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
            let again = all && core::mem::take(echoed);
            if sealed.take().is_some() | again {
                changes.put(records::row(id, *number), row_record(row));
            }
        }
    }

    /// What we could not open was void for the others, too: what has come back does count.
    pub(super) fn settle(&mut self, changes: &mut ChangeSet) {
        self.cursor.doubt = Doubt::None;
        self.trust();
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

    /// Stops reading and sending for good, and erases the epoch's keys. The roster and the request key stay, for a
    /// rejoin.
    pub(super) fn stop(&mut self, status: Status, changes: &mut ChangeSet) {
        self.status = status;
        self.erase_chains(changes);
        self.pending = None;
        changes.delete(records::pending(self.id()));
        changes.delete(records::sending(self.id()));
        self.sending = None;
        self.group.secrets.erase();
        self.cursor.doubt = Doubt::None;
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
        let whole: [fn(GroupId) -> RecordKey; 6] =
            [records::group, records::state, records::cursor, records::sending, records::pending, records::requests];
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

    /// When something falls due by itself: a heal, another's leave, an answer, or the end of waiting for one.
    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        if !self.status.reads() {
            return None;
        }
        let active = self.status == Status::Active;
        let every = self.group.state.policy.heal_after;
        let heal = (active && every > 0).then(|| self.cursor.renewed.after(every.saturating_add(1)));
        let held = self.cursor.doubt != Doubt::None && self.pending.is_none();
        let answer = self.asked.filter(|_| held).map(|asked| asked.after(ANSWER_TIME));
        let rows = self.queue.values().filter_map(|row| match row {
            Row::Answer { not_before, .. } => Some(*not_before),
            Row::TakeOut { not_before, .. } if active => Some(answer.unwrap_or_default().max(*not_before)),
            Row::Change(_) => answer,
            _ => None,
        });
        rows.chain(heal).min()
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
        let Cursor { next, last_commit, first_row, next_row, seen, doubt, trusted, rejoin, leave, renewed } =
            &self.cursor;
        let record = records::encode(10, |w| {
            w.uint(*next).uint(*last_commit).uint(*first_row).uint(*next_row).bytes(seen);
            w.uint(doubt_number(*doubt)).item(trusted).option(rejoin.as_ref()).uint(*leave).item(renewed);
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
        let EpochSecrets { context, exporter, authenticator, request, init } = &self.group.secrets;
        let record = records::encode(9, |w| {
            w.uint(status_number(self.status)).item(&self.group.own);
            w.bytes(self.group.signing.expose_seed()).bytes(self.group.seal.expose().expose());
            w.bytes(context.header_key().expose()).bytes(exporter.expose()).bytes(authenticator);
            w.bytes(request.expose()).bytes(init.expose());
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

    fn keep_request_key(&mut self, changes: &mut ChangeSet) {
        let key = Secret::copy_from(self.group.secrets.request.expose());
        self.requests.insert(self.group.state.epoch, key);
        while self.requests.len() > limits::REQUEST_EPOCHS {
            self.requests.pop_first();
        }
        let record = records::encode(1, |w| {
            w.array(self.requests.len());
            for (epoch, key) in &self.requests {
                w.array(2).item(epoch).bytes(key.expose());
            }
        });
        changes.put(records::requests(self.id()), record);
    }

    /// The rows of messages that the protocol sends by itself: our own leave, and signs of life.
    pub(super) fn own_signs(&self) -> impl Iterator<Item = u64> {
        self.queue.iter().filter(|(_, row)| row.is_sign()).map(|(number, _)| *number)
    }

    /// Whether a commit of ours must wait: while it is not clear that the others are still here, it could lead us away
    /// from them. Whoever has asked and got no answer in time goes on, so that nobody is held by what anyone can post.
    pub(super) fn holds_commits(&self, now: Timestamp) -> bool {
        let doubtful = self.cursor.doubt != Doubt::None && self.group.state.leaves.len() > 1;
        doubtful && self.pending.is_none() && self.asked.is_none_or(|asked| now < asked.after(ANSWER_TIME))
    }

    /// Remembers this epoch as one that others have come to as well.
    pub(super) fn trust(&mut self) {
        if self.cursor.doubt == Doubt::None {
            self.cursor.trusted = self.group.state.epoch;
            self.asked = None;
        }
    }

    /// Where this device stands, by all signs.
    pub(super) const fn standing(&self) -> Status {
        match (self.status, self.cursor.doubt) {
            (Status::Active | Status::Leaving, Doubt::Removed) => Status::Removed,
            (Status::Active | Status::Leaving, Doubt::Excluded) => Status::Excluded,
            (status, _) => status,
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
    let cursor = records::decode(&need(records::cursor(id))?, 10, |r| {
        Ok(Cursor {
            next: r.u64()?,
            last_commit: r.u64()?,
            first_row: r.u64()?,
            next_row: r.u64()?,
            seen: r.fixed()?,
            doubt: doubt_of(r.u64()?)?,
            trusted: r.item()?,
            rejoin: r.option()?,
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
        requests,
        posts: BTreeMap::new(),
        accepted: BTreeSet::new(),
        behind: None,
        asked: None,
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
    records::decode(&need(records::group(id))?, 9, |r| {
        let status = status_of(r.u64()?)?;
        let own = r.item()?;
        let signing = SigningKey::from_seed(Secret::<32>::from_bytes(&mut r.fixed()?).expose());
        let seal = SealSecret::from_secret(Secret::from_bytes(&mut r.fixed()?));
        let header_key = Secret::from_bytes(&mut r.fixed()?);
        let secrets = EpochSecrets {
            context: EpochContext::new(id, state.epoch, context_hash, header_key),
            exporter: Secret::from_bytes(&mut r.fixed()?),
            authenticator: r.fixed()?,
            request: Secret::from_bytes(&mut r.fixed()?),
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
            Row::TakeOut { leaf, scope, signature, not_before } => {
                w.array(5).uint(3).item(leaf).item(scope).item(signature).item(not_before)
            }
            Row::Request(request) => w.array(2).uint(4).item(request),
            Row::Answer { to, not_before } => w.array(3).uint(5).item(to).item(not_before),
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
        (5, 3) => Row::TakeOut { leaf: r.item()?, scope: r.item()?, signature: r.item()?, not_before: r.item()? },
        (2, 4) => Row::Request(r.item()?),
        (3, 5) => Row::Answer { to: r.item()?, not_before: r.item()? },
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

fn read_requests(r: &mut Reader<'_>) -> Result<BTreeMap<Epoch, Secret<32>>> {
    let count = r.array_up_to(limits::REQUEST_EPOCHS)?;
    (0..count)
        .map(|_| {
            r.array(2)?;
            Ok((r.item()?, Secret::from_bytes(&mut r.fixed()?)))
        })
        .collect()
}

const DOUBTS: [Doubt; 4] = [Doubt::None, Doubt::Unopened, Doubt::Excluded, Doubt::Removed];

fn doubt_number(doubt: Doubt) -> u64 {
    DOUBTS.iter().position(|known| *known == doubt).map_or(0, |at| at as u64)
}

fn doubt_of(number: u64) -> Result<Doubt> {
    let at = usize::try_from(number).ok().and_then(|at| DOUBTS.get(at).copied());
    at.ok_or(Error::damaged("not a doubt of a group"))
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
