//! The way out: queue, encrypt, post (`docs/protocol.md`, section 7.3).

use super::change::Change;
use super::event::{EventKind, IntentId};
use super::queue::{Pending, Row, Sealed};
use super::session::Session;
use super::stage::Draft;
use super::standing::{Doubt, Status};
use crate::error::{Error, ErrorKind, Result};
use crate::group::{
    LeaveScope, MessageContent, NewCommit, Occasion, Proposal, Said, entry_hash, leave_input, message_id, seal_message,
};
use crate::ids::{GroupId, MessageId};
use crate::limits;
use crate::log::{Post, PostBody, PostReply, post_id};
use crate::wire::Wire;

impl Draft<'_> {
    /// See [`Client::send`](super::Client::send).
    pub fn send(&mut self, group: GroupId, content: &[u8]) -> Result<MessageId> {
        self.with(group, |draft, session| {
            require(session, Status::Active)?;
            let (_, user) = session.group.state.member(session.group.own)?;
            if user.role < session.group.state.policy.post {
                return Err(Error::not_allowed("your role may not post in this group"));
            }
            if content.len() > limits::MESSAGE {
                return Err(Error::limit("a message is at most 64 KiB less 64 bytes: attach what is longer"));
            }
            draft.queue_message(session, Said::App(content.to_vec()))
        })
    }

    /// See [`Client::change`](super::Client::change).
    pub fn change(&mut self, group: GroupId, change: Change) -> Result<IntentId> {
        self.with(group, |draft, session| {
            let row = match change {
                Change::Rejoin => return draft.ask_to_rejoin(session),
                Change::Leave => {
                    require(session, Status::Active)?;
                    return draft.leave(session, LeaveScope::User);
                }
                change => {
                    require(session, Status::Active)?;
                    let (proposals, _) =
                        change.proposals(&session.group.state, session.group.own, draft.environment.now())?;
                    if proposals.len() > limits::PROPOSALS {
                        return Err(Error::limit("one change makes at most 10,000 proposals"));
                    }
                    draft.refuse_revoked(&change)?;
                    change.verify(&session.group.state, session.group.own, draft.environment.now())?;
                    session.note_pardon(&change, &mut draft.changes);
                    Row::Change(change)
                }
            };
            Ok(IntentId(session.push_row(row, &mut draft.changes)))
        })
    }

    /// Queues the message that asks the others to take us out; from now on the app can queue nothing else.
    pub(super) fn leave(&mut self, session: &mut Session, scope: LeaveScope) -> Result<IntentId> {
        let state = &session.group.state;
        let (own, _) = state.member(session.group.own)?;
        if state.users.len() == 1 {
            return Err(Error::misuse("you are alone in this group: forget it"));
        }
        let owners = state.users.values().filter(|user| user.role == crate::group::Role::Owner).count();
        let sole_owner = owners == 1 && state.user(own.user()).is_some_and(|u| u.role == crate::group::Role::Owner);
        let others = state.leaves_of(own.user()).count() > 1;
        if sole_owner && !(scope == LeaveScope::Device && others) {
            return Err(Error::not_allowed("a group keeps at least one owner: give another member that role first"));
        }
        let signature = session.group.signing.sign(&leave_input(session.id(), session.group.own, scope));
        session.cursor.leave = session.cursor.next_row;
        self.queue_message(session, Said::Leave(scope, signature))?;
        session.status = Status::Leaving;
        session.save_group(&mut self.changes);
        Ok(IntentId(session.cursor.leave))
    }

    pub(super) fn queue_message(&mut self, session: &mut Session, said: Said) -> Result<MessageId> {
        let content = MessageContent::new(said, self.environment.rng()).encode();
        let own = session.group.own_leaf()?;
        let id = message_id(session.id(), own.user(), own.device(), &content);
        let row = Row::Message { content, id, sealed: None, echo: None };
        session.push_row(row, &mut self.changes);
        Ok(id)
    }

    fn ask_to_rejoin(&mut self, session: &mut Session) -> Result<IntentId> {
        let stopped = matches!(session.status, Status::RolledBack | Status::Removed);
        if !stopped && session.cursor.doubt == Doubt::None {
            return Err(Error::misuse("nothing shows that the group has gone on without this device"));
        }
        let package = self.new_package(false, session.renewed_at()?)?;
        let signer = self.memory.device.signer();
        let request = session.group.request_to_rejoin(&package, signer)?;
        let epoch = session.cursor.trusted;
        let key = session.requests.get(&epoch).ok_or(Error::new(
            ErrorKind::Expired,
            "this device was left behind too long ago to ask by the hub: ask to be removed and added again",
        ))?;
        let request = session.group.seal_request(&request, (epoch, key), signer, self.environment.rng())?;
        if session.cursor.rejoin.len() >= limits::OPEN_REQUESTS {
            let oldest = session.cursor.rejoin.remove(0);
            self.drop_package(&oldest);
        }
        session.cursor.rejoin.push(package.id());
        Ok(IntentId(session.push_row(Row::Request(request), &mut self.changes)))
    }

    /// See [`Client::outbox`](super::Client::outbox). The posts are handed out once the draft is durable.
    pub fn outbox(&mut self, max: usize) -> Result<()> {
        let groups: Vec<GroupId> = self.memory.groups.iter().copied().collect();
        for group in groups {
            if self.posts.len() >= max {
                break;
            }
            self.with(group, |draft, session| draft.drain(session, max))?;
        }
        // Last: the hub of a link may be any, and out of reach.
        self.post_joins(None, max)
    }

    /// See [`Client::outbox_of`](super::Client::outbox_of).
    pub fn outbox_of(&mut self, group: GroupId, max: usize) -> Result<()> {
        let max = self.posts.len().saturating_add(max);
        let asks = self.memory.joins.values().any(|join| join.group == group);
        if self.memory.groups.contains(&group) || !asks {
            self.with(group, |draft, session| draft.drain(session, max))?;
        }
        self.post_joins(Some(group), max)
    }

    /// Posts a group's rows in order. A commit is the last, but for requests.
    fn drain(&mut self, session: &mut Session, max: usize) -> Result<()> {
        session.end_rest(self.environment.now());
        self.queue_revocations(session);
        self.heal_if_due(session);
        let mut sealed_any = false;
        let waits = session.behind == Some(session.cursor.last_commit);
        self.look_for_others(session)?;
        let mut numbers: Vec<u64> = session.queue.keys().copied().collect();
        if self.memory.own.has_revoked() {
            // Whoever has a lost device is not to read what still waits.
            numbers.sort_by_key(|number| !matches!(session.queue.get(number), Some(Row::Revoke(_))));
        }
        let (mut held, mut committed, now) = (false, false, self.environment.now());
        let overheard = self.is_overheard(session);
        for number in numbers {
            if self.posts.len() >= max {
                break;
            }
            let Some(row) = session.queue.get(&number) else { continue };
            match row {
                Row::Create => {
                    let domain = self.memory.device.identity().user().domain().clone();
                    self.post(session, number, PostBody::Create { leaf: session.group.own, domain });
                }
                Row::Request(request) => {
                    let body = PostBody::Request(request.clone());
                    self.post(session, number, body);
                }
                // What follows a commit waits for the new epoch, but for requests: if the commit never comes back to us, one
                // is the way out.
                _ if !session.status.reads() || waits || committed => {}
                Row::Message { echo: Some(_), .. } | Row::Answer { .. } => {}
                // What was said after a change is for those whom the change leaves; a leave is signed by the key it brings.
                Row::Message { .. } if held && !row.is_here() => {}
                // Also where no commit of ours can take the device out yet; who leaves now will not say it.
                Row::Message { .. } if overheard && row.is_app() => {
                    if session.status == Status::Leaving {
                        self.give_back(session, number);
                    }
                }
                Row::Message { .. } => {
                    if is_silenced(session) && self.give_back(session, number) {
                        continue;
                    }
                    sealed_any |= self.seal(session, number)?;
                    if let Some(Row::Message { sealed: Some(Sealed { frame, .. }), .. }) = session.queue.get(&number) {
                        self.post(session, number, PostBody::Message(frame.clone()));
                    }
                }
                // A commit of ours would renew the leaf whose leave is on its way.
                Row::TakeOut { .. } | Row::Admit { .. } if session.status != Status::Active => {}
                Row::TakeOut { not_before, .. } | Row::Admit { not_before, .. } if *not_before > now => {}
                Row::TakeOut { .. } | Row::Admit { .. } if session.holds_commits(now) => {}
                Row::Change(_) | Row::Revoke(_) if session.holds_commits(now) => held = true,
                Row::Change(_) | Row::Revoke(_) | Row::TakeOut { .. } | Row::Admit { .. } => {
                    committed = self.commit(session, number)?;
                }
            }
        }
        if sealed_any {
            session.save_sending(&mut self.changes);
        }
        Ok(())
    }

    /// Asks for a sign of the others if a commit waits for one, and gives one that was asked for.
    fn look_for_others(&mut self, session: &mut Session) -> Result<()> {
        if !session.status.reads() {
            return Ok(());
        }
        let now = self.environment.now();
        let due = |row: &Row| matches!(row, Row::Answer { not_before, .. } if *not_before <= now);
        let answers: Vec<u64> = session.queue.iter().filter(|(_, row)| due(row)).map(|(number, _)| *number).collect();
        for number in &answers {
            session.drop_row(*number, &mut self.changes);
        }
        if !answers.is_empty() {
            self.queue_message(session, Said::Here { asks: false })?;
        }
        let waits = session.queue.values().any(Row::is_commit);
        if waits && session.holds_commits(now) && session.cursor.held.is_none() {
            session.cursor.held = Some(now);
            self.queue_message(session, Said::Here { asks: true })?;
        } else if !waits && session.cursor.held.take().is_some() {
            session.save_cursor(&mut self.changes);
        }
        Ok(())
    }

    /// Queues the healing that the policy asks for.
    fn heal_if_due(&mut self, session: &mut Session) {
        let every = session.group.state.policy.heal_after;
        let now = self.environment.now();
        let due = every > 0 && now > session.cursor.renewed.after(every) && !session.rests(now);
        let queued = session.queue.values().any(|row| matches!(row, Row::Change(_) | Row::Revoke(_)));
        if due && !queued && session.status == Status::Active && self.may_heal(session) {
            session.push_row(Row::Change(Change::Heal), &mut self.changes);
        }
    }

    /// Whether a commit of this device could count: a credential that has run out, or that the group does not list, would
    /// drop the healing each time it falls due, until the app [renews](super::Client::renew) it.
    pub(super) fn may_heal(&self, session: &Session) -> bool {
        self.memory.device.may_commit(&session.group.state, self.environment.now())
    }

    fn post(&mut self, session: &mut Session, number: u64, body: PostBody) {
        if !session.accepted.contains(&number) {
            session.posts.insert(post_id(session.id(), &body), number);
            self.posts.push(Post { group: session.id(), after: session.cursor.last_commit, body });
        }
    }

    /// Gives back what the app said and what can no longer be said, unless it is encrypted and may be in the log. Whether it
    /// was given back.
    fn give_back(&mut self, session: &mut Session, number: u64) -> bool {
        let Some(row @ Row::Message { sealed: None, .. }) = session.queue.get(&number) else { return false };
        if !row.is_app() {
            return false;
        }
        self.dropped(session, session.cursor.next, (number, row), ErrorKind::NotAllowed);
        session.drop_row(number, &mut self.changes);
        session.save_cursor(&mut self.changes);
        true
    }

    /// Encrypts a row in this epoch unless it is already; whether it did.
    fn seal(&mut self, session: &mut Session, number: u64) -> Result<bool> {
        if session.status == Status::Leaving {
            sign_leave_anew(session, number);
        }
        let Some(Row::Message { content, sealed: sealed @ None, .. }) = session.queue.get_mut(&number) else {
            return Ok(false);
        };
        let Some(chain) = session.sending.take() else {
            return Err(Error::misuse("this group has stopped"));
        };
        let generation = chain.generation();
        let context = session.group.context();
        let [seen @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = &session.cursor.seen;
        let message = seal_message(seen, content);
        let (frame, next) = chain.encrypt(context, &message, self.environment.rng()).map_err(|(error, _)| error)?;
        *sealed = Some(Sealed { generation, frame });
        session.sending = Some(next);
        session.save_row(number, &mut self.changes);
        Ok(true)
    }

    /// Makes the commit of a row, or posts the pending one again; whether the rows behind it wait.
    fn commit(&mut self, session: &mut Session, number: u64) -> Result<bool> {
        if let Some(pending) = &session.pending {
            let (row, body) = (pending.row, pending.body.clone());
            self.post(session, row, body);
            return Ok(true);
        }
        let made = match self.make_commit(session, number) {
            Ok(made) => made,
            Err(error) if error.kind() == ErrorKind::Storage => return Err(error),
            // The key store of the device key failed: try again with the next outbox, and let other groups go on.
            Err(error) if error.kind() == ErrorKind::Signer => return Ok(true),
            // It is due as long as the device is in: try again with the next outbox.
            Err(_) if matches!(session.queue.get(&number), Some(Row::Revoke(_))) => return Ok(false),
            Err(error) => {
                let own = matches!(session.queue.get(&number), Some(Row::Change(_)));
                session.drop_row(number, &mut self.changes);
                session.save_cursor(&mut self.changes);
                if own {
                    let what = EventKind::IntentDropped { intent: IntentId(number), why: error.kind() };
                    self.emit(session.id(), session.cursor.next, what);
                }
                return Ok(false);
            }
        };
        let NewCommit { envelope, welcome, fresh } = made;
        let entry = entry_hash(envelope.header().bytes(), envelope.body());
        let body = PostBody::Commit { commit: envelope, welcome };
        self.post(session, number, body.clone());
        session.set_pending(Some(Pending { row: number, entry, fresh, body }), &mut self.changes);
        Ok(true)
    }

    fn make_commit(&mut self, session: &Session, number: u64) -> Result<NewCommit> {
        let now = self.environment.now();
        let group = &session.group;
        match session.queue.get(&number) {
            Some(Row::Change(change)) => self.refuse_revoked(change)?,
            Some(Row::Admit { request, .. }) => self.refuse_revoked(&Change::Admit(request.clone()))?,
            _ => {}
        }
        let (proposals, init_keys) = match session.queue.get(&number) {
            Some(Row::Change(change)) => {
                session.check_pardon(change)?;
                change.proposals(&group.state, group.own, now)?
            }
            Some(Row::Revoke(device)) => Change::RemoveDevice(*device).proposals(&group.state, group.own, now)?,
            Some(Row::TakeOut { leaf, scope, signature, .. }) => {
                (vec![Proposal::Leave { leaf: *leaf, scope: *scope, signature: *signature }], Default::default())
            }
            Some(Row::Admit { request, .. }) if self.admits_by_itself(session, request)? => {
                Change::Admit(request.clone()).proposals(&group.state, group.own, now)?
            }
            Some(Row::Admit { .. }) => return Err(Error::not_allowed("this request is for the user to answer")),
            _ => return Err(Error::misuse("this row is not a commit")),
        };
        let time = match session.queue.get(&number) {
            Some(Row::Change(change)) => change.at(now),
            _ => now,
        };
        let occasion = Occasion { time, seen: session.cursor.seen };
        group.commit(proposals, &init_keys, occasion, self.memory.device.actor(), self.environment.rng())
    }

    /// See [`Client::posted`](super::Client::posted).
    pub fn posted(&mut self, post: &Post, reply: PostReply) -> Result<()> {
        if self.posted_join(post, reply)? {
            return Ok(());
        }
        self.with(post.group, |draft, session| {
            // A post of an epoch that has ended meanwhile, or of an earlier process: its row is posted again anyway.
            let Some(number) = session.posts.get(&post.id()).copied() else { return Ok(()) };
            match reply {
                PostReply::Accepted => match session.queue.get(&number) {
                    Some(Row::Create | Row::Request(_)) => {
                        session.drop_row(number, &mut draft.changes);
                        session.save_cursor(&mut draft.changes);
                    }
                    _ => {
                        session.accepted.insert(number);
                    }
                },
                PostReply::Behind => session.behind = Some(post.after),
                PostReply::Refused => draft.refused(session, number),
            }
            Ok(())
        })
    }

    fn refused(&mut self, session: &mut Session, number: u64) {
        if session.pending.as_ref().is_some_and(|pending| pending.row == number) {
            session.set_pending(None, &mut self.changes);
        }
        if matches!(session.queue.get(&number), Some(Row::Revoke(_) | Row::Change(Change::Heal))) {
            session.rest(self.environment.now());
        }
        if let Some(row) = session.queue.get(&number) {
            self.dropped(session, session.cursor.next, (number, row), ErrorKind::NotAllowed);
            if matches!(row, Row::Revoke(_)) && !core::mem::replace(&mut session.refusal_told, true) {
                let what = EventKind::IntentDropped { intent: IntentId(number), why: ErrorKind::NotAllowed };
                self.emit(session.id(), session.cursor.next, what);
            }
            if row.is_sign() && !row.is_here() {
                session.status = Status::Active;
                session.save_group(&mut self.changes);
            }
        }
        session.drop_row(number, &mut self.changes);
        session.save_cursor(&mut self.changes);
    }

    /// Tells the app that what it asked for will not happen. What the protocol queued by itself is nobody's loss.
    pub(super) fn dropped(&mut self, session: &Session, seq: u64, (number, row): (u64, &Row), why: ErrorKind) {
        match row {
            Row::Message { id, .. } => self.emit(session.id(), seq, EventKind::MessageDropped { id: *id, why }),
            Row::Create | Row::Change(_) | Row::Request(_) => {
                self.emit(session.id(), seq, EventKind::IntentDropped { intent: IntentId(number), why });
            }
            Row::TakeOut { .. } | Row::Admit { .. } | Row::Revoke(_) | Row::Answer { .. } => {}
        }
    }
}

/// Whether our user may no longer post: what was queued while it might would be void for everyone.
fn is_silenced(session: &Session) -> bool {
    let state = &session.group.state;
    state.member(session.group.own).is_ok_and(|(_, user)| user.role < state.policy.post)
}

/// A queued leave is signed by the leaf as it is when it goes out: a commit of ours may have renewed it meanwhile.
fn sign_leave_anew(session: &mut Session, number: u64) {
    let Some(Row::Message { content, sealed: None, .. }) = session.queue.get_mut(&number) else { return };
    if let Ok(MessageContent { nonce, said: Said::Leave(scope, _) }) = MessageContent::decode(content) {
        let input = leave_input(session.group.state.group, session.group.own, scope);
        *content = MessageContent { nonce, said: Said::Leave(scope, session.group.signing.sign(&input)) }.encode();
    }
}

pub(super) fn require(session: &Session, status: Status) -> Result<()> {
    // The other half is for what is queued unasked: another's leave, a heal.
    if session.cursor.next_row.saturating_sub(session.cursor.first_row) >= limits::QUEUE / 2 {
        return Err(Error::limit("too much waits to be posted: drain the outbox first"));
    }
    if session.status == status {
        return Ok(());
    }
    Err(match session.status {
        Status::Invited => Error::misuse("answer the invitation first"),
        Status::Leaving => Error::misuse("this device is leaving the group"),
        _ => Error::new(ErrorKind::NotMember, "this device is out of the group: rejoin or forget it"),
    })
}
