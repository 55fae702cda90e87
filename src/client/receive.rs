//! The way in: log entries, in the log's order (`docs/protocol.md`, section 5.6 and 7.4).

use std::collections::{BTreeMap, BTreeSet};

use super::event::EventKind;
use super::queue::{Echo, Row, row_record};
use super::records;
use super::session::Session;
use super::stage::Draft;
use super::standing::{Doubt, Status};
use crate::crypto::kdf;
use crate::crypto::sign::Signature;
use crate::envelope::{EnvelopeFor, EnvelopeType};
use crate::error::{ErrorKind, Result};
use crate::group::{
    Group, GroupContext, LeaveScope, MessageContent, Said, app_bytes, leave_input, message_id, open_message,
};
use crate::ids::{Generation, GroupId, LeafIndex, MessageId};
use crate::log::{EntryBody, LogEntry};
use crate::ratchet::{Frame, OwnFrame, Received as Decrypted};
use crate::report::Evidence;
use crate::wire::Wire;

/// Seconds within which the members take turns at what only one must do.
const TURN: u64 = 30;

/// What became of a batch of log entries, besides its events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Our own messages that came back through the log in time to count: delivered.
    pub echoes: Vec<MessageId>,
    /// Entries seen before.
    pub duplicates: u32,
    /// Entries of groups that wait for an answer, or have stopped, or are not ours; fetch them again if that changes.
    pub deferred: u32,
}

/// What one message entry comes to, found before anything changes.
enum Sort<'a> {
    Own(&'a [u8], Generation),
    Other(&'a [u8]),
    /// Under a leaf that is not in the roster.
    Foreign,
    /// Of an epoch that we have not come to.
    Ahead,
    Void,
}

impl Draft<'_> {
    /// See [`Client::receive`](super::Client::receive).
    pub fn receive(&mut self, entries: &[LogEntry]) -> Result<Summary> {
        let mut by_group: BTreeMap<GroupId, (Vec<&LogEntry>, BTreeMap<u64, &LogEntry>)> = BTreeMap::new();
        let mut summary = Summary::default();
        for entry in entries {
            let (welcomes, log) = by_group.entry(entry.group).or_default();
            match &entry.body {
                EntryBody::Welcome { package, .. } if self.memory.packages.contains_key(package) => {
                    welcomes.push(entry)
                }
                _ if log.insert(entry.seq, entry).is_some() => {
                    summary.duplicates = summary.duplicates.saturating_add(1);
                }
                _ => {}
            }
        }
        for (group, (mut welcomes, log)) in by_group {
            let mut rest: Vec<&LogEntry> = log.into_values().collect();
            welcomes.sort_by_key(|entry| entry.seq);
            // A welcome comes before anything else of its group can be read. One for a package of ours comes by that and
            // not as part of the log we read: perhaps of another group with this id, it takes no entry's place there.
            for entry in welcomes {
                if self.welcome(entry).inspect_err(|_| self.failed = true)? {
                    rest.retain(|other| other.seq > entry.seq);
                } else {
                    summary.deferred = summary.deferred.saturating_add(1);
                }
            }
            if self.memory.groups.contains(&group) {
                self.with(group, |draft, session| draft.receive_in(session, &rest, &mut summary))?;
            } else {
                summary.deferred = summary.deferred.saturating_add(count(rest.len()));
            }
        }
        Ok(summary)
    }

    fn receive_in(&mut self, session: &mut Session, entries: &[&LogEntry], summary: &mut Summary) -> Result<()> {
        let first = session.cursor.next;
        let mut void = 0;
        let mut rest = entries;
        while let Some((entry, after)) = rest.split_first() {
            if !session.status.reads() {
                summary.deferred = summary.deferred.saturating_add(count(rest.len()));
                break;
            }
            if entry.seq < session.cursor.next {
                summary.duplicates = summary.duplicates.saturating_add(1);
                rest = after;
                continue;
            }
            if entry.seq > session.cursor.next {
                self.emit(session.id(), entry.seq, EventKind::Gap { expected: session.cursor.next });
                break;
            }
            if let EntryBody::Message(_) = entry.body {
                let run = message_run(rest, session.cursor.next);
                let (messages, after) = rest.split_at(run.min(rest.len()));
                void += self.messages(session, messages, summary)?;
                rest = after;
                continue;
            }
            match &entry.body {
                EntryBody::Commit { header, stanza, body } => {
                    void += u32::from(!self.commit_entry(session, entry.seq, (header, stanza.as_deref(), body))?);
                }
                EntryBody::Request(request) => {
                    void += u32::from(!self.request(session, entry.seq, request.as_ref())?)
                }
                // A commit that the hub shows to us as if it added us: what it is for the others we cannot tell.
                EntryBody::Welcome { commit_header, commit_body, .. } => {
                    void += u32::from(!self.commit_entry(session, entry.seq, (commit_header, None, commit_body))?);
                }
                EntryBody::Message(_) => {}
            }
            session.cursor.next = entry.seq.saturating_add(1);
            rest = after;
        }
        if void > 0 {
            self.emit(session.id(), session.cursor.next.saturating_sub(1), EventKind::Void { entries: void });
        }
        if session.cursor.next != first && self.memory.groups.contains(&session.id()) {
            session.save_cursor(&mut self.changes);
        }
        Ok(())
    }

    /// A run of messages within one epoch, their signatures verified together; how many were void.
    fn messages(&mut self, session: &mut Session, run: &[&LogEntry], summary: &mut Summary) -> Result<u32> {
        let sorted: Vec<(u64, Sort<'_>)> = run.iter().map(|entry| (entry.seq, sort(session, entry))).collect();
        let frames: Vec<&[u8]> = sorted
            .iter()
            .filter_map(|(_, sort)| if let Sort::Other(frame) = sort { Some(*frame) } else { None })
            .collect();
        let keep = self.memory.settings.evidence;
        session.chains.keep_proofs(keep);
        let context = keep.then(|| session.group.state.context());
        let mut decrypted = session.chains.decrypt_batch(&session.group.secrets.context, &frames).into_iter();
        self.save_steps(session, decrypted.as_slice());

        let mut void = 0;
        for (seq, sort) in sorted {
            let counts = match sort {
                Sort::Own(frame, generation) => self.own_message(session, seq, (frame, generation), summary)?,
                Sort::Other(_) => match decrypted.next() {
                    Some(Ok(message)) => self.message(session, seq, message, context.as_ref()),
                    Some(Err(error)) if error.kind() == ErrorKind::Duplicate => {
                        summary.duplicates = summary.duplicates.saturating_add(1);
                        true
                    }
                    _ => false,
                },
                Sort::Foreign => {
                    self.fork(session, seq);
                    false
                }
                Sort::Ahead => {
                    self.later_epoch(session, seq);
                    false
                }
                Sort::Void => false,
            };
            void += u32::from(!counts);
            session.cursor.next = seq.saturating_add(1);
            if !session.status.reads() {
                break;
            }
        }
        Ok(void)
    }

    fn save_steps(&mut self, session: &mut Session, decrypted: &[Result<Decrypted>]) {
        let (mut moved, mut late) = (BTreeSet::new(), BTreeSet::new());
        for message in decrypted.iter().flatten() {
            moved.insert(message.leaf);
            late.extend(message.step.skipped.clone().map(|generation| (message.leaf, Generation(generation))));
            if message.step.took_skipped {
                late.insert((message.leaf, message.generation));
            }
            for (leaf, generation) in &message.step.evicted {
                moved.insert(*leaf);
                late.insert((*leaf, *generation));
            }
        }
        session.save_chains(&moved, &late, &mut self.changes);
    }

    /// A member's message, authenticated. Whether it counts. With the group's context it comes with evidence.
    fn message(
        &mut self,
        session: &mut Session,
        seq: u64,
        mut message: Decrypted,
        context: Option<&GroupContext>,
    ) -> bool {
        let proof = message.proof.take();
        let Ok((seen, bytes)) = open_message(&message.content) else { return false };
        if session.cursor.seen.starts_with(&seen) {
            self.support(session, seq, message.leaf);
        }
        self.drop_answers(session, message.leaf);
        let state = &session.group.state;
        let Ok((leaf, user)) = state.member(message.leaf) else { return false };
        let Ok(content) = MessageContent::decode(bytes) else { return false };
        match content.said {
            Said::App(_) if user.role < state.policy.post => false,
            Said::App(said) => {
                let id = message_id(session.id(), leaf.user(), leaf.device(), bytes);
                if session.status == Status::Active {
                    let at = (message.leaf, message.generation);
                    let evidence = context.zip(proof).and_then(|(context, proof)| {
                        Evidence::new((context, leaf), at, *proof, (seen, content.nonce)).ok()
                    });
                    let (role, time) = (user.role, state.time);
                    let (user, device) = (leaf.user().clone(), leaf.device());
                    let what = EventKind::Message { id, user, device, role, time, content: said, evidence };
                    self.emit(session.id(), seq, what);
                }
                true
            }
            Said::Decline(request) => {
                let by = leaf.user().clone();
                self.declined(session, seq, &by, request)
            }
            Said::Leave(scope, signature) => self.take_up_leave(session, message.leaf, (scope, signature)),
            Said::Here { asks } => {
                let answering = session.queue.values().any(|row| matches!(row, Row::Answer { .. }));
                if asks && !answering {
                    let not_before = self.environment.now().after(self.turn());
                    session.push_row(Row::Answer { to: message.leaf, not_before, spoken: None }, &mut self.changes);
                }
                true
            }
        }
    }

    /// Once two others have spoken, whoever asked has its answer.
    fn drop_answers(&mut self, session: &mut Session, speaker: LeafIndex) {
        let id = session.id();
        for (number, row) in &mut session.queue {
            let Row::Answer { to, spoken, .. } = row else { continue };
            match spoken {
                _ if *to == speaker => {}
                None => {
                    *spoken = Some(speaker);
                    self.changes.put(records::row(id, *number), row_record(row));
                }
                Some(first) if *first == speaker => {}
                Some(_) => {
                    let done = *number;
                    session.drop_row(done, &mut self.changes);
                }
            }
            return;
        }
    }

    /// How long to wait, at random, for another member to do what only one must.
    pub(super) fn turn(&mut self) -> u64 {
        let mut byte = [0];
        self.environment.rng().fill_bytes(&mut byte);
        u64::from(byte[0]) % TURN
    }

    /// Another member wants out: whoever's turn comes first commits it.
    fn take_up_leave(
        &mut self,
        session: &mut Session,
        leaf: LeafIndex,
        (scope, signature): (LeaveScope, Signature),
    ) -> bool {
        let Ok((leaving, _)) = session.group.state.member(leaf) else { return false };
        if leaving.signature_key().verify(&leave_input(session.id(), leaf, scope), &signature).is_err() {
            return false;
        }
        let own_user = session.group.own_leaf().is_ok_and(|own| own.user() == leaving.user());
        let queued = session.queue.values().any(|row| matches!(row, Row::TakeOut { leaf: l, .. } if *l == leaf));
        if session.status == Status::Active && !own_user && !queued {
            let not_before = self.environment.now().after(self.turn());
            session.push_row(Row::TakeOut { leaf, scope, signature, not_before }, &mut self.changes);
        }
        true
    }

    /// A frame under our own leaf: our echo, or a sign that someone else holds our keys.
    fn own_message(
        &mut self,
        session: &mut Session,
        seq: u64,
        (frame, generation): (&[u8], Generation),
        summary: &mut Summary,
    ) -> Result<bool> {
        let sent = session.queue.iter().find_map(|(number, row)| match row {
            Row::Message { sealed: Some(sealed), id, echo, .. } if sealed.generation == generation => {
                Some((*number, *id, echo.is_some(), sealed.frame == frame))
            }
            _ => None,
        });
        if let Some((number, id, echoed, same)) = sent {
            if !same {
                self.emit(session.id(), seq, EventKind::CloneSuspected);
                return Ok(false);
            }
            self.changes.put(records::sent(session.id(), generation), kdf::sha256(frame).to_vec());
            let state = &session.group.state;
            let (role, time) = (state.member(session.group.own)?.1.role, state.time);
            let said_by_user = session.queue.get(&number).is_some_and(|row| !row.is_sign());
            if echoed {
                summary.duplicates = summary.duplicates.saturating_add(1);
            } else {
                if said_by_user {
                    summary.echoes.push(id);
                }
                self.echo(session, number, Echo { seq, role, time });
            }
            return Ok(true);
        }
        let Some(chain) = &session.sending else { return Ok(false) };
        match chain.examine(&session.group.secrets.context, frame) {
            Ok(OwnFrame::Future(_)) => {
                self.emit(session.id(), seq, EventKind::RolledBack);
                session.stop(Status::RolledBack, &mut self.changes);
                Ok(true)
            }
            // Its keys are gone, so all that can be told is whether it is the one we sent.
            Ok(OwnFrame::Past(generation)) => {
                if self
                    .load(&records::sent(session.id(), generation))?
                    .is_some_and(|known| *known == kdf::sha256(frame))
                {
                    summary.duplicates = summary.duplicates.saturating_add(1);
                    return Ok(true);
                }
                self.emit(session.id(), seq, EventKind::CloneSuspected);
                Ok(false)
            }
            Err(_) => Ok(false),
        }
    }

    /// A message of ours is in the log. Unless it may be void for the others, it is done.
    fn echo(&mut self, session: &mut Session, number: u64, at: Echo) {
        let is_here = session.queue.get(&number).is_some_and(Row::is_sign) && session.status != Status::Leaving;
        if session.cursor.doubt != Doubt::None && !is_here {
            if let Some(Row::Message { echo, .. }) = session.queue.get_mut(&number) {
                *echo = Some(at);
            }
            session.save_row(number, &mut self.changes);
        } else if let Some(Row::Message { content, id, sealed, .. }) = session.drop_row(number, &mut self.changes) {
            self.emit_sent(session, Row::Message { content, id, sealed, echo: Some(at) });
        }
    }

    /// Tells the app of a message of its own that counts, at its place in the log.
    pub(super) fn emit_sent(&mut self, session: &Session, row: Row) {
        let Row::Message { content, id, echo: Some(Echo { seq, role, time }), .. } = row else { return };
        let Some(content) = app_bytes(&content).map(<[u8]>::to_vec) else { return };
        let own = self.memory.device.identity();
        let (user, device) = (own.user().clone(), own.device());
        self.emit(session.id(), seq, EventKind::Sent { id, user, device, role, time, content });
    }

    /// A device asks to be readmitted, or to be let in. Whether the request is authentic, or not for us to judge.
    fn request(&mut self, session: &mut Session, seq: u64, request: Option<&EnvelopeFor>) -> Result<bool> {
        let Some(request) = request else { return Ok(true) };
        if request.header().kind() == EnvelopeType::Join {
            return self.join_request(session, seq, request);
        }
        let key = Group::request_epoch(request.header()).ok().and_then(|epoch| session.requests.get(&epoch));
        let Some(key) = key else { return Ok(false) };
        let Ok(request) = session.group.open_request(request, key, self.environment.now()) else { return Ok(false) };
        let leaf = request.package().leaf().claims();
        if leaf.device() == self.memory.device.identity().device() {
            return Ok(true);
        }
        let what = EventKind::RejoinRequested {
            user: leaf.user().clone(),
            device: leaf.device(),
            request: Box::new(request.clone()),
        };
        self.emit(session.id(), seq, what);
        Ok(true)
    }
}

/// How many of the first entries are messages without a gap.
fn message_run(entries: &[&LogEntry], next: u64) -> usize {
    let is_next = |(at, entry): &(u64, &&LogEntry)| {
        next.checked_add(*at) == Some(entry.seq) && matches!(entry.body, EntryBody::Message(_))
    };
    (0..).zip(entries).take_while(is_next).count()
}

fn sort<'a>(session: &mut Session, entry: &'a LogEntry) -> Sort<'a> {
    let EntryBody::Message(bytes) = &entry.body else { return Sort::Void };
    let context = &session.group.secrets.context;
    let Ok(frame) = Frame::parse(bytes) else { return Sort::Void };
    if !frame.is_for(context) {
        // The frame has the epoch's low 32 bits; half of their range is ahead.
        let low = u32::try_from(context.epoch().0 & u64::from(u32::MAX)).unwrap_or_default();
        let ahead = frame.epoch_low().wrapping_sub(low) <= u32::MAX / 2;
        return if frame.group() == session.id() && ahead { Sort::Ahead } else { Sort::Void };
    }
    let (leaf, generation) = frame.unmask(context);
    if leaf == session.group.own {
        Sort::Own(bytes, generation)
    } else if session.ready_chain(leaf) {
        Sort::Other(bytes)
    } else {
        Sort::Foreign
    }
}

fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
