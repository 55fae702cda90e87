//! Invite links as members use them: open, answer who asks, or have the client answer (`docs/protocol.md`, section 5.9).

use std::collections::BTreeMap;

use super::change::Change;
use super::event::EventKind;
use super::queue::Row;
use super::records;
use super::send::require;
use super::session::Session;
use super::stage::Draft;
use super::standing::Status;
use crate::envelope::EnvelopeFor;
use crate::error::{Error, ErrorKind, Result};
use crate::group::{InviteLink, JoinRequest, LinkId, Said};
use crate::identity::UserUri;
use crate::ids::{GroupId, LeafHash, MessageId, Timestamp};
use crate::limits;
use crate::store::ChangeSet;
use crate::wire::{Reader, Wire, Writer};

/// What a member remembers of those who asked to be let into one group.
#[derive(Debug, Default)]
pub(super) struct Doorbook {
    /// Requests of the last day by links that are open: each is told once, and acted on by itself once.
    asked: BTreeMap<LeafHash, Asked>,
    /// Links whose requests this client admits by itself, if they were made from then on.
    auto: BTreeMap<LinkId, Timestamp>,
}

/// A request as it is remembered.
#[derive(Debug)]
struct Asked {
    request: LeafHash,
    link: LinkId,
    expires: Timestamp,
    declined: bool,
}

/// A link and since when its requests are admitted.
struct Auto(LinkId, Timestamp);

impl Doorbook {
    pub(super) fn record(&self) -> Vec<u8> {
        let auto: Vec<Auto> = self.auto.iter().map(|(link, since)| Auto(*link, *since)).collect();
        records::encode(2, |w| {
            w.list(self.asked.values()).list(auto.iter());
        })
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self> {
        let asked: Vec<Asked> = r.list(limits::JOIN_REQUESTS)?;
        let auto: Vec<Auto> = r.list(limits::LINKS)?;
        Ok(Self {
            asked: asked.into_iter().map(|asked| (asked.request, asked)).collect(),
            auto: auto.into_iter().map(|Auto(link, since)| (link, since)).collect(),
        })
    }

    pub(super) fn admits(&self, link: LinkId) -> bool {
        self.auto.contains_key(&link)
    }
}

impl Session {
    pub(super) fn save_doorbook(&self, changes: &mut ChangeSet) {
        changes.put(records::doorbook(self.id()), self.doorbook.record());
    }

    /// Forgets requests that nobody can act on any more, and links that are closed.
    fn tidy_doorbook(&mut self, now: Timestamp) {
        let (profile, queue) = (&self.group.state.profile, &self.queue);
        self.doorbook.asked.retain(|_, asked| now <= asked.expires && profile.link(asked.link).is_some());
        let queued = |id: LinkId| {
            let opens = |row: &Row| matches!(row, Row::Change(Change::OpenLink(link)) if link.id() == id);
            queue.values().any(opens)
        };
        self.doorbook.auto.retain(|link, _| profile.link(*link).is_some() || queued(*link));
    }

    /// Whether this device's user may let others in.
    fn may_add(&self) -> bool {
        let state = &self.group.state;
        self.status == Status::Active
            && state.member(self.group.own).is_ok_and(|(_, user)| user.role >= state.policy.add)
    }

    fn require_may_add(&self) -> Result<()> {
        require(self, Status::Active)?;
        if self.may_add() { Ok(()) } else { Err(Error::not_allowed("your role may not let others into this group")) }
    }

    /// Takes back what this client was about to admit by itself.
    fn drop_admits(&mut self, which: impl Fn(&JoinRequest) -> bool, changes: &mut ChangeSet) {
        let waiting = self.queue.iter().filter(|(_, row)| matches!(row, Row::Admit { request, .. } if which(request)));
        let numbers: Vec<u64> = waiting.map(|(number, _)| *number).collect();
        // One whose commit is under way goes on: it may be in the log already.
        for number in numbers {
            if self.pending.as_ref().is_none_or(|pending| pending.row != number) {
                self.drop_row(number, changes);
            }
        }
    }
}

impl Draft<'_> {
    /// See [`Client::open_link`](super::Client::open_link).
    pub fn open_link(&mut self, group: GroupId, hub: &str, lifetime: u64) -> Result<InviteLink> {
        if lifetime == 0 {
            return Err(Error::misuse("a link is open for a second or more"));
        }
        let (link, open) = self.with(group, |draft, session| {
            session.require_may_add()?;
            let state = &session.group.state;
            if state.member(session.group.own)?.1.role < state.policy.info {
                return Err(Error::not_allowed("your role may not change what this group shows"));
            }
            let expires = draft.environment.now().after(lifetime);
            InviteLink::generate(group, hub, expires, draft.environment.rng())
        })?;
        self.change(group, Change::OpenLink(open))?;
        Ok(link)
    }

    /// See [`Client::decline`](super::Client::decline).
    pub fn decline(&mut self, group: GroupId, request: &JoinRequest) -> Result<MessageId> {
        self.with(group, |draft, session| {
            session.require_may_add()?;
            if request.group() != group {
                return Err(Error::misuse("this is a request to another group"));
            }
            let id = request.id();
            session.drop_admits(|waiting| waiting.id() == id, &mut draft.changes);
            if let Some(asked) = session.doorbook.asked.get_mut(&id) {
                asked.declined = true;
                session.save_doorbook(&mut draft.changes);
            }
            draft.queue_message(session, Said::Decline(id))
        })
    }

    /// See [`Client::auto_approve`](super::Client::auto_approve).
    pub fn auto_approve(&mut self, group: GroupId, link: LinkId, on: bool) -> Result<()> {
        self.with(group, |draft, session| {
            let now = draft.environment.now();
            if on {
                session.require_may_add()?;
                session.doorbook.auto.entry(link).or_insert(now);
            } else {
                session.doorbook.auto.remove(&link);
                session.drop_admits(|waiting| waiting.link() == link, &mut draft.changes);
            }
            session.tidy_doorbook(now);
            if on && !session.doorbook.admits(link) {
                return Err(Error::new(ErrorKind::Expired, "this group has no such link: open one first"));
            }
            if session.doorbook.auto.len() > limits::LINKS {
                return Err(Error::limit("a client admits by itself who asks by at most 16 links"));
            }
            session.save_doorbook(&mut draft.changes);
            session.save_cursor(&mut draft.changes);
            Ok(())
        })
    }

    /// Someone outside asks to be let in. Whether the request is authentic, or not for us to judge.
    pub(super) fn join_request(&mut self, session: &mut Session, seq: u64, sealed: &EnvelopeFor) -> bool {
        if !session.may_add() {
            return true;
        }
        let now = self.environment.now();
        session.tidy_doorbook(now);
        if session.doorbook.asked.len() >= limits::JOIN_REQUESTS {
            return false;
        }
        let known = |id: &LeafHash| session.doorbook.asked.contains_key(id);
        let request = match session.group.state.open_new_request(sealed, now, known) {
            Ok(request) => request,
            Err(error) => return error.kind() == ErrorKind::Duplicate,
        };
        let (id, link) = (request.id(), request.link());
        let asked = Asked { request: id, link, expires: request.expires(), declined: false };
        session.doorbook.asked.insert(id, asked);
        session.save_doorbook(&mut self.changes);
        let barred = request.is_barred(&session.group.state);
        let (user, device) = (request.user().clone(), request.device());
        let what = EventKind::JoinRequested { user, device, link, request: Box::new(request.clone()), barred };
        self.emit(session.id(), seq, what);
        self.take_up(session, request);
        true
    }

    /// Queues an admission that this client makes by itself, when its turn comes.
    fn take_up(&mut self, session: &mut Session, request: JoinRequest) {
        let since = session.doorbook.auto.get(&request.link());
        let waiting = session.queue.values().filter(|row| matches!(row, Row::Admit { .. })).count();
        let wanted = since.is_some_and(|since| request.made() >= *since) && waiting < limits::ADMITS;
        if wanted && is_stranger(session, &request) {
            let not_before = self.environment.now().after(self.turn());
            session.push_row(Row::Admit { request: Box::new(request), not_before }, &mut self.changes);
        }
    }

    /// A member has declined a request. Whether it may.
    pub(super) fn declined(&mut self, session: &mut Session, seq: u64, by: &UserUri, request: LeafHash) -> bool {
        let state = &session.group.state;
        if state.users.get(by).is_none_or(|user| user.role < state.policy.add) {
            return false;
        }
        session.drop_admits(|waiting| waiting.id() == request, &mut self.changes);
        let (may_add, group) = (session.may_add(), session.id());
        let Some(asked) = session.doorbook.asked.get_mut(&request).filter(|asked| !asked.declined) else { return true };
        asked.declined = true;
        session.save_doorbook(&mut self.changes);
        if may_add {
            self.emit(group, seq, EventKind::JoinDeclined { request, by: Some(by.clone()) });
        }
        true
    }

    /// A new epoch: who is in is admitted, and what is closed is forgotten.
    pub(super) fn settle_requests(&mut self, session: &mut Session) {
        let state = &session.group.state;
        let gone = |request: &JoinRequest| {
            state.user(request.user()).is_some() || state.profile.link(request.link()).is_none()
        };
        let is_gone = |row: &Row| matches!(row, Row::Admit { request, .. } if gone(request));
        let done: Vec<u64> = session.queue.iter().filter(|(_, row)| is_gone(row)).map(|(n, _)| *n).collect();
        for number in done {
            session.drop_row(number, &mut self.changes);
        }
        let before = (session.doorbook.asked.len(), session.doorbook.auto.len());
        session.tidy_doorbook(self.environment.now());
        if before != (session.doorbook.asked.len(), session.doorbook.auto.len()) {
            session.save_doorbook(&mut self.changes);
        }
    }
}

/// Whether a client may admit by itself: nobody who was removed, and no further device of a user who is in.
pub(super) fn is_stranger(session: &Session, request: &JoinRequest) -> bool {
    let state = &session.group.state;
    !request.is_barred(state) && state.user(request.user()).is_none()
}

impl Wire for Asked {
    fn write(&self, w: &mut Writer) {
        let Self { request, link, expires, declined } = self;
        w.array(4).item(request).item(link).item(expires).bool(*declined);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(4)?;
        Ok(Self { request: r.item()?, link: r.item()?, expires: r.item()?, declined: r.bool()? })
    }
}

impl Wire for Auto {
    fn write(&self, w: &mut Writer) {
        let Self(link, since) = self;
        w.array(2).item(link).item(since);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(2)?;
        Ok(Self(r.item()?, r.item()?))
    }
}
