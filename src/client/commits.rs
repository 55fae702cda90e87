//! Commits as they come through the log (`docs/protocol.md`, section 5.6).

use super::event::{EventKind, IntentId};
use super::records;
use super::session::{Row, Session, Status};
use super::stage::Draft;
use crate::envelope::{EnvelopeFor, Header};
use crate::error::Result;
use crate::group::{CommitHeader, Effect, Rejected, Transition, entry_hash};
use crate::identity::UserUri;
use crate::limits;

impl Draft<'_> {
    /// A commit entry of the log: header, our stanza, body. Whether it counts for us.
    pub(super) fn commit_entry(
        &mut self,
        session: &mut Session,
        seq: u64,
        (header, stanza, body): (&[u8], Option<&[u8]>, &[u8]),
    ) -> Result<bool> {
        let state = &session.group.state;
        let clear = CommitHeader::from_envelope_header(header).ok().filter(|clear| clear.group == state.group);
        let Some(clear) = clear else {
            session.cursor.doubt();
            return Ok(false);
        };
        if clear.epoch < state.epoch {
            return Ok(false);
        }
        if clear.epoch > state.epoch {
            self.ahead(session, seq);
            return Ok(false);
        }
        let Some(stanza) = stanza else {
            if clear.mailboxes.drop.contains(&session.group.own) {
                self.emit(session.id(), seq, EventKind::Removed);
                session.stop(Status::Removed, &mut self.changes);
                return Ok(true);
            }
            session.cursor.doubt();
            return Ok(false);
        };
        let commit = Header::decode(header).and_then(|h| EnvelopeFor::new(h, stanza.to_vec(), body.to_vec()));
        let Ok(commit) = commit else {
            session.cursor.doubt();
            return Ok(false);
        };
        let entry = entry_hash(header, body);
        let own = session.pending.as_ref().filter(|pending| pending.entry == entry);
        match session.group.process(&commit, own.map(|pending| &pending.fresh)) {
            Ok(transition) => {
                let row = own.map(|pending| pending.row);
                self.adopt(session, seq, transition, row)?;
                Ok(true)
            }
            Err(Rejected::Unopened(_)) => {
                session.cursor.doubt();
                Ok(false)
            }
            Err(Rejected::Invalid(_)) => {
                self.own_commit_failed(session, own.is_some());
                Ok(false)
            }
            // Alone it proves nothing but that one member says so: it stops us only if a commit that we could not open
            // may have led there.
            Err(Rejected::OtherHistory) if session.cursor.doubted => {
                self.exclude(session, seq, EventKind::ForkSuspected);
                Ok(false)
            }
            Err(Rejected::OtherHistory) => {
                self.emit(session.id(), seq, EventKind::ForkSuspected);
                Ok(false)
            }
        }
    }

    /// An entry of an epoch that we have not come to. Noise, unless a commit that we could not open may have led there.
    /// Whether it means something for us.
    pub(super) fn ahead(&mut self, session: &mut Session, seq: u64) -> bool {
        if session.cursor.doubted {
            self.exclude(session, seq, EventKind::Excluded);
        }
        session.cursor.doubted
    }

    fn exclude(&mut self, session: &mut Session, seq: u64, why: EventKind) {
        self.emit(session.id(), seq, why.clone());
        if why != EventKind::Excluded {
            self.emit(session.id(), seq, EventKind::Excluded);
        }
        session.stop(Status::Excluded, &mut self.changes);
    }

    /// Our own commit turned out void, say because its time passed while it waited: make another.
    fn own_commit_failed(&mut self, session: &mut Session, own: bool) {
        if own {
            session.set_pending(None, &mut self.changes);
        }
    }

    /// Enters the epoch of a valid commit.
    fn adopt(&mut self, session: &mut Session, seq: u64, transition: Transition, own: Option<u64>) -> Result<()> {
        let Transition { group, chains, by, changes: effects } = transition;
        let author = session.group.state.member(by)?.0.user().clone();
        // Whoever committed in this epoch took the commit we could not open for void.
        if by == session.group.own {
            session.cursor.renewed = self.environment.now();
        } else {
            session.cursor.doubted = false;
            session.settle(&mut self.changes);
        }
        let intent = own.map(IntentId);
        let public = own.is_none_or(|row| matches!(session.queue.get(&row), Some(Row::Change(_))));
        if let Some(row) = own {
            session.drop_row(row, &mut self.changes);
        }
        session.set_pending(None, &mut self.changes);
        session.advance(group, chains, &mut self.changes);
        self.report_skew(session, seq);
        self.pin_added(session, seq, &effects)?;
        let left = effects.iter().any(|effect| matches!(effect, Effect::Left(_)));
        if left {
            drop_taken_out(session, &mut self.changes);
        }
        if session.status == Status::Active {
            let intent = intent.filter(|_| public);
            self.emit(session.id(), seq, EventKind::Changed { by: author, effects, intent });
        }
        Ok(())
    }

    fn report_skew(&mut self, session: &Session, seq: u64) {
        let (claimed, now) = (session.group.state.time.0, self.environment.now().0);
        if claimed > now.saturating_add(limits::CLOCK_SKEW) {
            self.emit(session.id(), seq, EventKind::ClockSkew);
        }
    }

    fn pin_added(&mut self, session: &Session, seq: u64, effects: &[Effect]) -> Result<()> {
        for effect in effects {
            if let Effect::Added(user, _) = effect {
                self.pin(session, seq, user)?;
            }
        }
        Ok(())
    }

    /// Remembers a user's identity key, and tells the app if another one was known (section 3.6).
    pub(super) fn pin(&mut self, session: &Session, seq: u64, user: &UserUri) -> Result<()> {
        let Some(entry) = session.group.state.users.get(user) else { return Ok(()) };
        let name = records::pin(user);
        let known = self.load(&name)?;
        let record = records::encode(1, |w| {
            w.bytes(entry.identity.as_bytes());
        });
        if known.as_ref() != Some(&record) {
            if known.is_some() {
                self.emit(session.id(), seq, EventKind::IdentityChanged { user: user.clone() });
            }
            self.changes.put(name, record);
        }
        Ok(())
    }
}

/// A leave that someone has committed needs no commit of ours.
fn drop_taken_out(session: &mut Session, changes: &mut crate::store::ChangeSet) {
    let leaves = &session.group.state.leaves;
    let done: Vec<u64> = session
        .queue
        .iter()
        .filter(|(_, row)| matches!(row, Row::TakeOut { leaf, .. } if !leaves.contains_key(leaf)))
        .map(|(number, _)| *number)
        .collect();
    for number in done {
        session.drop_row(number, changes);
    }
}
