//! One group as a client holds it: a memory of the group's records, written through and dropped when in doubt.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::links::Doorbook;
use super::queue::{Pending, Row, pending_record, row_record};
use super::records;
use super::standing::{Doubt, Status};
use super::stored::leaf_record;
use crate::crypto::kdf::Hash;
use crate::error::Result;
use crate::group::{ChainKeys, CommitHeader, Group, GroupState, PAGE, Transition};
use crate::ids::{Epoch, Generation, GroupId, LeafHash, LeafIndex, Timestamp};
use crate::limits;
use crate::log::{PostBody, PostId};
use crate::ratchet::{ReceivingChain, ReceivingChains, SendingChain};
use crate::secret::Secret;
use crate::store::{ChangeSet, RecordKey};

/// Seconds to wait for an answer before a commit of ours goes on without one: every member online has had its turn.
const ANSWER_TIME: u64 = 60;

/// Seconds after which a commit that nobody asked for is tried again where the hub refused it and nothing came since.
const REFUSAL_REST: u64 = 60 * 60;

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
    /// The first other member whose word speaks against the doubt.
    pub(super) support: Option<LeafIndex>,
    /// Since when commits of ours wait in doubt.
    pub(super) held: Option<Timestamp>,
    /// The key packages of our open requests to be readmitted.
    pub(super) rejoin: Vec<LeafHash>,
    /// The row of our leave.
    pub(super) leave: u64,
    /// When this device's own leaf was last renewed.
    pub(super) renewed: Timestamp,
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
            support: None,
            held: None,
            rejoin: Vec::new(),
            leave: 0,
            renewed: now,
        }
    }
}

/// A group in its next epoch, and the first chain keys there.
pub(super) type Entered = (Group, ChainKeys);

/// A group held in memory.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) group: Group,
    pub(super) status: Status,
    pub(super) cursor: Cursor,
    /// Taken out only while it encrypts.
    pub(super) sending: Option<SendingChain>,
    /// First chain keys of the senders whose chains have not moved.
    pub(super) first: ChainKeys,
    /// The chains of those who have spoken.
    pub(super) chains: ReceivingChains,
    /// Senders whose chain has moved and so has a record of its own.
    pub(super) started: BTreeSet<LeafIndex>,
    pub(super) queue: BTreeMap<u64, Row>,
    pub(super) pending: Option<Pending>,
    /// The request keys of the last epochs.
    pub(super) requests: BTreeMap<Epoch, Secret<32>>,
    /// What is remembered of those who asked to be let in.
    pub(super) doorbook: Doorbook,
    /// The row of each post that was handed out.
    pub(super) posts: BTreeMap<PostId, u64>,
    /// Rows that the hub has accepted, to be posted no more while this process lives.
    pub(super) accepted: BTreeSet<u64>,
    /// The last commit entry that the hub says there is a newer one than.
    pub(super) behind: Option<u64>,
    /// Where the log was when the hub refused a commit that nobody asked for, and until when none is tried again there.
    pub(super) refused: Option<(u64, Timestamp)>,
    /// Whether the app was told in this epoch that the hub refuses a revocation.
    pub(super) refusal_told: bool,
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
            first: ChainKeys::default(),
            chains: ReceivingChains::default(),
            started: BTreeSet::new(),
            queue: BTreeMap::new(),
            pending: None,
            requests: BTreeMap::new(),
            doorbook: Doorbook::default(),
            posts: BTreeMap::new(),
            accepted: BTreeSet::new(),
            behind: None,
            refused: None,
            refusal_told: false,
        };
        for (index, leaf) in &session.group.state.leaves {
            changes.put(records::leaf(session.id(), *index), leaf_record(leaf.encoded()));
        }
        session.trust();
        session.start_chains(chains.into_iter().collect());
        session.keep_request_key(changes);
        session.save_epoch(changes);
        session.save_cursor(changes);
        session.save_doorbook(changes);
        session
    }

    pub(super) fn id(&self) -> GroupId {
        self.group.state.group
    }

    /// Moves to the next epoch: its keys are stored, all of the last epoch's are erased, and messages without an echo
    /// are to be encrypted anew.
    pub(super) fn advance(&mut self, (group, chains): Entered, changes: &mut ChangeSet) {
        self.erase_chains(&pages_of(&group.state), changes);
        let (id, old) = (self.id(), &self.group.state.leaves);
        let new = &group.state.leaves;
        for (index, _) in old.unshared(new).filter(|(index, _)| !new.contains_key(index)) {
            changes.delete(records::leaf(id, *index));
        }
        for (index, leaf) in new.unshared(old) {
            if !old.get(index).is_some_and(|old| Arc::ptr_eq(old, leaf)) {
                changes.put(records::leaf(id, *index), leaf_record(leaf.encoded()));
            }
        }
        self.group = group;
        (self.refused, self.refusal_told) = (None, false);
        self.start_chains(chains);
        self.requeue(false, changes);
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
            let Row::Message { sealed, echo, .. } = row else { continue };
            let again = all && echo.take().is_some();
            if sealed.take().is_some() | again {
                changes.put(records::row(id, *number), row_record(row));
            }
        }
    }

    /// What we could not open was void for the others, too: what has come back does count. Gives it.
    pub(super) fn settle(&mut self, changes: &mut ChangeSet) -> Vec<Row> {
        self.cursor.doubt = Doubt::None;
        self.trust();
        let done: Vec<u64> = self
            .queue
            .iter()
            .filter(|(_, row)| matches!(row, Row::Message { echo: Some(_), .. } | Row::Request(_)))
            .map(|(number, _)| *number)
            .collect();
        done.into_iter().filter_map(|number| self.drop_row(number, changes)).collect()
    }

    /// Stops reading and sending for good, and erases the epoch's keys. The roster and the request key stay, for a
    /// rejoin.
    pub(super) fn stop(&mut self, status: Status, changes: &mut ChangeSet) {
        self.status = status;
        self.erase_chains(&[], changes);
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
        self.erase_chains(&[], changes);
        for index in self.group.state.leaves.keys() {
            changes.delete(records::leaf(id, *index));
        }
        for number in self.queue.keys() {
            changes.delete(records::row(id, *number));
        }
        let whole: [fn(GroupId) -> RecordKey; 7] = [
            records::group,
            records::state,
            records::cursor,
            records::sending,
            records::pending,
            records::requests,
            records::doorbook,
        ];
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

    pub(super) fn drop_row(&mut self, number: u64, changes: &mut ChangeSet) -> Option<Row> {
        let row = self.queue.remove(&number);
        self.accepted.remove(&number);
        changes.delete(records::row(self.id(), number));
        self.cursor.first_row = self.queue.keys().next().copied().unwrap_or(self.cursor.next_row);
        row
    }

    /// When something falls due by itself: a heal if one is possible, another's leave, an answer, or the end of waiting for
    /// one.
    pub(super) fn wake_at(&self, may_heal: bool) -> Option<Timestamp> {
        if !self.status.reads() {
            return None;
        }
        let active = self.status == Status::Active;
        let every = self.group.state.policy.heal_after;
        // What the hub refused waits for that, and for the next entry.
        let rest = self.refused.filter(|(next, _)| *next == self.cursor.next).map(|(_, until)| until);
        let heal = (active && may_heal && every > 0)
            .then(|| self.cursor.renewed.after(every.saturating_add(1)).max(rest.unwrap_or_default()));
        let held = self.cursor.doubt != Doubt::None && self.pending.is_none();
        let answer = self.cursor.held.filter(|_| held).map(|since| since.after(ANSWER_TIME));
        let rows = self.queue.values().filter_map(|row| match row {
            Row::Answer { not_before, .. } => Some(*not_before),
            Row::TakeOut { not_before, .. } | Row::Admit { not_before, .. } if active => {
                Some(answer.unwrap_or_default().max(*not_before))
            }
            Row::Change(_) | Row::Revoke(_) => answer,
            _ => None,
        });
        rows.chain(heal).chain(rest.filter(|_| active && may_heal && self.pending.is_none())).min()
    }

    pub(super) fn set_pending(&mut self, pending: Option<Pending>, changes: &mut ChangeSet) {
        match &pending {
            Some(pending) => changes.put(records::pending(self.id()), pending_record(pending)),
            None => changes.delete(records::pending(self.id())),
        }
        self.pending = pending;
    }

    /// Remembers that the hub refused a commit that is queued by itself.
    pub(super) const fn rest(&mut self, now: Timestamp) {
        self.refused = Some((self.cursor.next, now.after(REFUSAL_REST)));
    }

    /// Once it is over, a rest wakes nobody.
    pub(super) fn end_rest(&mut self, now: Timestamp) {
        self.refused = self.refused.filter(|(_, until)| now < *until);
    }

    /// Whether to queue no commit by oneself: the hub has just refused one, and would refuse it again.
    pub(super) fn rests(&self, now: Timestamp) -> bool {
        self.refused.is_some_and(|(next, until)| next == self.cursor.next && now < until)
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
        doubtful && self.pending.is_none() && self.cursor.held.is_none_or(|since| now < since.after(ANSWER_TIME))
    }

    /// When our leaf was renewed, by the group's clock, as far as the others may have come with us: in the group's state,
    /// or by a commit of ours that did not return.
    pub(super) fn renewed_at(&self) -> Result<Timestamp> {
        let leaf = self.group.own_leaf()?.validity().not_before;
        let pending = match &self.pending {
            Some(Pending { body: PostBody::Commit { commit, .. }, .. }) => {
                CommitHeader::from_envelope_header(commit.header().bytes())?.time
            }
            _ => leaf,
        };
        Ok(leaf.max(pending))
    }

    /// Remembers this epoch as one that others have come to as well.
    pub(super) fn trust(&mut self) {
        if self.cursor.doubt == Doubt::None {
            self.cursor.trusted = self.group.state.epoch;
            self.cursor.support = None;
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

    fn start_chains(&mut self, mut first: ChainKeys) {
        let own = self.group.own;
        self.sending = first.get(own).map(|key| self.group.sending_chain(Secret::copy_from(key)));
        first.erase(own);
        self.first = first;
    }

    /// Has the chain of another member's leaf at hand; whether there is one. Its first key is held until the chain has moved
    /// and has a record of its own.
    pub(super) fn ready_chain(&mut self, leaf: LeafIndex) -> bool {
        if self.chains.get(leaf).is_some() {
            return true;
        }
        let (Some(key), Some(sender)) = (self.first.get(leaf), self.group.state.leaves.get(&leaf)) else {
            return false;
        };
        self.chains.insert(leaf, ReceivingChain::new(Secret::copy_from(key), sender.signature_key().clone()));
        true
    }

    /// The pages in which the first chain keys of all leaves lie.
    pub(super) fn pages(&self) -> Vec<u32> {
        pages_of(&self.group.state)
    }

    /// Erases every chain and late message's key of the epoch that ends. The records of the pages `reused` are about to be
    /// written over.
    fn erase_chains(&mut self, reused: &[u32], changes: &mut ChangeSet) {
        let id = self.id();
        for page in self.pages().iter().filter(|page| reused.binary_search(page).is_err()) {
            changes.delete(records::page(id, *page));
        }
        for leaf in core::mem::take(&mut self.started) {
            changes.delete(records::chain(id, leaf));
            if let Some(chain) = self.chains.get(leaf) {
                for (generation, _) in chain.skipped() {
                    changes.delete(records::skipped(id, leaf, generation));
                }
            }
        }
        (self.first, self.chains) = (ChainKeys::default(), ReceivingChains::default());
        let sent = self.sending.as_ref().map_or(0, |chain| chain.generation().0);
        for generation in 0..sent {
            changes.delete(records::sent(id, Generation(generation)));
        }
    }
}

fn pages_of(state: &GroupState) -> Vec<u32> {
    let mut pages: Vec<u32> = state.leaves.keys().map(|leaf| leaf.0 / PAGE).collect();
    pages.dedup();
    pages
}
