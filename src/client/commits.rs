//! Commits as they come through the log (`docs/protocol.md`, section 5.6).

use super::event::{EventKind, IntentId};
use super::own_devices::has_own;
use super::queue::{Pending, Row};
use super::session::Session;
use super::stage::Draft;
use super::standing::{Doubt, Status};
use crate::envelope::{EnvelopeFor, Header};
use crate::error::{ErrorKind, Result};
use crate::group::{ChainKeys, CommitHeader, Rejected, Role, Transition, entry_hash};
use crate::identity::Leaf;
use crate::ids::LeafIndex;
use crate::limits;
use crate::log::PostBody;
use crate::wire::Wire;

/// A commit entry of the log: header, our stanza, body.
type CommitEntry<'a> = (&'a [u8], Option<&'a [u8]>, &'a [u8]);

impl Draft<'_> {
    /// A commit entry of the log. Whether it counts for us.
    pub(super) fn commit_entry(&mut self, session: &mut Session, seq: u64, entry: CommitEntry<'_>) -> Result<bool> {
        let seen = entry_hash(entry.0, entry.2);
        let counts = self.judge(session, seq, entry)?;
        session.cursor.seen = seen;
        session.cursor.last_commit = seq;
        Ok(counts)
    }

    fn judge(&mut self, session: &mut Session, seq: u64, (header, stanza, body): CommitEntry<'_>) -> Result<bool> {
        let state = &session.group.state;
        let clear = CommitHeader::from_envelope_header(header).ok().filter(|clear| clear.group == state.group);
        let Some(clear) = clear else {
            self.doubt(session, seq, Doubt::Unopened);
            return Ok(false);
        };
        if clear.epoch < state.epoch {
            return Ok(false);
        }
        if clear.epoch > state.epoch {
            self.later_epoch(session, seq);
            return Ok(false);
        }
        let own = session.pending.take_if(|pending| pending.entry == entry_hash(header, body));
        let stanza = match &own {
            // We know what we sealed to ourselves, whatever the hub shows.
            Some(Pending { body: PostBody::Commit { commit, .. }, .. }) => {
                commit.split(&session.group.own.encode()).map(|own| own.stanza().to_vec())
            }
            _ => stanza.map(<[u8]>::to_vec),
        };
        let Some(stanza) = stanza else {
            let removed = clear.mailboxes.drop.contains(&session.group.own);
            self.doubt(session, seq, if removed { Doubt::Removed } else { Doubt::Unopened });
            return Ok(removed);
        };
        let commit = Header::decode(header).and_then(|header| EnvelopeFor::new(header, stanza, body.to_vec()));
        let processed = match &commit {
            Ok(commit) => session.group.process_in_pages(commit, own.as_ref().map(|pending| &pending.fresh)),
            Err(_) => {
                self.doubt(session, seq, Doubt::Unopened);
                return Ok(false);
            }
        };
        match processed {
            Ok(transition) => {
                self.adopt(session, seq, transition, own)?;
                return Ok(true);
            }
            Err(Rejected::Unopened(_)) => self.doubt(session, seq, Doubt::Unopened),
            Err(Rejected::Invalid(_)) => {}
            // One member says so, and nobody who shares our history can take it for valid.
            Err(Rejected::OtherHistory) => self.emit(session.id(), seq, EventKind::ForkSuspected),
            Err(Rejected::Removed) => {
                self.emit(session.id(), seq, EventKind::Removed);
                session.stop(Status::Removed, &mut self.changes);
                return Ok(true);
            }
        }
        // Our own commit, if it was that, is void: its row makes another.
        if own.is_some() {
            session.set_pending(None, &mut self.changes);
        }
        Ok(false)
    }

    /// Something in the log may have led the others on without us. It is not authenticated, so nothing is given up for
    /// it: this epoch goes on being read and written, and messages are kept until another member shows that they count.
    pub(super) fn doubt(&mut self, session: &mut Session, seq: u64, doubt: Doubt) {
        let alone = session.group.state.leaves.len() == 1;
        // What was said before this sign says nothing of it.
        session.cursor.support = None;
        if alone || doubt <= session.cursor.doubt {
            return;
        }
        session.cursor.doubt = doubt;
        match doubt {
            Doubt::Excluded => self.emit(session.id(), seq, EventKind::Excluded),
            Doubt::Removed => self.emit(session.id(), seq, EventKind::Removed),
            Doubt::None | Doubt::Unopened => {}
        }
    }

    /// Something claims to be from a later epoch. Once may be a flipped bit.
    pub(super) fn later_epoch(&mut self, session: &mut Session, seq: u64) {
        let doubt = if session.cursor.doubt == Doubt::None { Doubt::Unopened } else { Doubt::Excluded };
        self.doubt(session, seq, doubt);
    }

    /// Another member of this epoch has seen the same log as we have. One may have shut us out and lie about it, so where
    /// there are two other users, two must say so.
    pub(super) fn support(&mut self, session: &mut Session, seq: u64, by: LeafIndex) {
        if session.cursor.doubt == Doubt::None {
            return;
        }
        let state = &session.group.state;
        let user_of = |leaf: LeafIndex| state.leaf(leaf).map(Leaf::user);
        let own = user_of(session.group.own);
        let others = state.users.keys().filter(|user| Some(*user) != own).count();
        let first = session.cursor.support.and_then(user_of);
        let enough = user_of(by) == own || others <= 1 || first.is_some_and(|first| Some(first) != user_of(by));
        if enough {
            self.settle(session, seq);
        } else {
            session.cursor.support = Some(by);
        }
    }

    fn settle(&mut self, session: &mut Session, seq: u64) {
        if session.cursor.doubt >= Doubt::Excluded {
            self.emit(session.id(), seq, EventKind::Resumed);
        }
        for row in session.settle(&mut self.changes) {
            self.emit_sent(session, row);
        }
    }

    /// Someone uses keys of this epoch that are not ours, or bits were flipped.
    pub(super) fn fork(&mut self, session: &mut Session, seq: u64) {
        if session.cursor.doubt == Doubt::None {
            self.emit(session.id(), seq, EventKind::ForkSuspected);
        }
        self.later_epoch(session, seq);
    }

    /// Enters the epoch of a valid commit.
    fn adopt(
        &mut self,
        session: &mut Session,
        seq: u64,
        (transition, chains): (Transition, ChainKeys),
        own: Option<Pending>,
    ) -> Result<()> {
        let Transition { group, by, changes: effects, seen, .. } = transition;
        let author = session.group.state.member(by)?.0.user().clone();
        if by == session.group.own {
            session.cursor.renewed = self.environment.now();
        } else if seen == session.cursor.seen {
            self.support(session, seq, by);
        }
        let intent = own.as_ref().and_then(|pending| match session.queue.get(&pending.row) {
            Some(Row::Change(_)) => Some(IntentId(pending.row)),
            _ => None,
        });
        if let Some(pending) = own {
            session.drop_row(pending.row, &mut self.changes);
        }
        session.set_pending(None, &mut self.changes);
        self.outlive_removed(session, &group.state);
        session.advance((group, chains), &mut self.changes);
        if session.group.state.leaves.len() == 1 && session.cursor.doubt != Doubt::None {
            // Nobody is left who could have gone on, or say otherwise.
            self.settle(session, seq);
        }
        session.trust();
        self.report_skew(session, seq);
        self.check_changed_pins(session, seq, &effects)?;
        drop_done(session, &mut self.changes);
        self.settle_requests(session, &effects)?;
        if session.status == Status::Active {
            self.emit(session.id(), seq, EventKind::Changed { by: author, effects, intent });
        }
        self.stay_if_last_owner(session, seq);
        Ok(())
    }

    /// Two owners left at once and the other was faster: a group keeps one, so this leave can no longer happen.
    fn stay_if_last_owner(&mut self, session: &mut Session, seq: u64) {
        if session.status != Status::Leaving {
            return;
        }
        let state = &session.group.state;
        let owners = state.users.values().filter(|user| user.role == Role::Owner).count();
        let is_owner = state.member(session.group.own).is_ok_and(|(_, user)| user.role == Role::Owner);
        if owners != 1 || !is_owner {
            return;
        }
        session.status = Status::Active;
        session.save_group(&mut self.changes);
        let leaves: Vec<u64> = session.own_signs().collect();
        for number in leaves {
            session.drop_row(number, &mut self.changes);
        }
        let intent = IntentId(session.cursor.leave);
        self.emit(session.id(), seq, EventKind::IntentDropped { intent, why: ErrorKind::NotAllowed });
    }

    fn report_skew(&mut self, session: &Session, seq: u64) {
        let (claimed, now) = (session.group.state.time.0, self.environment.now().0);
        if claimed > now.saturating_add(limits::CLOCK_SKEW) {
            self.emit(session.id(), seq, EventKind::ClockSkew);
        }
    }
}

/// A leave that someone has committed needs no commit of ours, nor a revocation, and in a new epoch nobody waits for a sign of
/// life.
fn drop_done(session: &mut Session, changes: &mut crate::store::ChangeSet) {
    let leaves = &session.group.state.leaves;
    let done: Vec<u64> = session
        .queue
        .iter()
        .filter(|(_, row)| match row {
            Row::TakeOut { leaf, .. } => !leaves.contains_key(leaf),
            Row::Revoke(device) => !has_own(session, *device),
            Row::Answer { .. } => true,
            _ => false,
        })
        .map(|(number, _)| *number)
        .collect();
    for number in done {
        session.drop_row(number, changes);
    }
}
