//! Invite links as members use them: open, answer who asks, or have the client answer (`docs/protocol.md`, section 5.9).

use std::collections::{BTreeMap, BTreeSet};

use super::change::Change;
use super::event::{EventKind, IntentId};
use super::pins::Pin;
use super::queue::Row;
use super::records;
use super::send::require;
use super::session::Session;
use super::stage::Draft;
use super::standing::Status;
use crate::envelope::EnvelopeFor;
use crate::error::{Error, ErrorKind, Result};
use crate::group::{Effect, InviteLink, JoinRequest, LinkId, Said};
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
    /// Queued requests of barred users, whom this device's user lets in knowing that.
    pardoned: BTreeSet<LeafHash>,
    /// Users who were in the group and are not, the oldest first: the group has forgotten which devices they revoked.
    gone: Vec<UserUri>,
}

/// A request as it is remembered.
#[derive(Debug)]
struct Asked {
    request: LeafHash,
    link: LinkId,
    identity: [u8; 32],
    expires: Timestamp,
    declined: bool,
}

/// A link and since when its requests are admitted.
struct Auto(LinkId, Timestamp);

impl Doorbook {
    pub(super) fn record(&self) -> Vec<u8> {
        let auto: Vec<Auto> = self.auto.iter().map(|(link, since)| Auto(*link, *since)).collect();
        records::encode(4, |w| {
            w.list(self.asked.values()).list(auto.iter()).list(self.pardoned.iter()).list(self.gone.iter());
        })
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self> {
        // Each link's share was of those open when it was filled: all together are fewer than four times the whole.
        let asked: Vec<Asked> = r.list(4 * limits::JOIN_REQUESTS)?;
        let auto: Vec<Auto> = r.list(limits::LINKS)?;
        let pardoned: Vec<LeafHash> = r.list(usize::MAX)?;
        Ok(Self {
            asked: asked.into_iter().map(|asked| (asked.request, asked)).collect(),
            auto: auto.into_iter().map(|Auto(link, since)| (link, since)).collect(),
            pardoned: pardoned.into_iter().collect(),
            gone: r.list(limits::GONE)?,
        })
    }

    /// Whether a link has had its share, of so many that are open: one that is flooded leaves the others theirs.
    fn is_full(&self, link: LinkId, links: usize) -> bool {
        let of_link = self.asked.values().filter(|asked| asked.link == link).count();
        of_link >= limits::JOIN_REQUESTS.checked_div(links).unwrap_or(0)
    }

    /// Whether a request is new, and not one too many of one user.
    fn check(&self, request: &JoinRequest) -> Result<()> {
        if self.asked.contains_key(&request.id()) {
            return Err(Error::new(ErrorKind::Duplicate, "this request was seen before"));
        }
        let identity = identity_of(request);
        if self.asked.values().filter(|asked| asked.identity == identity).count() >= limits::REQUESTS_OF_ONE {
            return Err(Error::limit(
                "four requests of one user are remembered: further ones count once those are over",
            ));
        }
        Ok(())
    }

    /// Whether its user has this client admit a request by itself: nobody declined it.
    fn wants(&self, request: &JoinRequest) -> bool {
        let since = self.auto.get(&request.link());
        self.asked.get(&request.id()).is_some_and(|asked| !asked.declined)
            && since.is_some_and(|since| request.made() >= *since)
            && !self.gone.contains(request.user())
    }

    /// Remembers who went.
    fn note_gone(&mut self, effects: &[Effect]) -> bool {
        let before = self.gone.len();
        for effect in effects {
            let (Effect::Left(user) | Effect::Removed(user) | Effect::Revoked(user)) = effect else { continue };
            if !self.gone.contains(user) {
                self.gone.push(user.clone());
            }
        }
        let changed = self.gone.len() != before;
        self.gone.drain(..self.gone.len().saturating_sub(limits::GONE));
        changed
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
        self.status == Status::Active && self.has_add_role()
    }

    fn has_add_role(&self) -> bool {
        let state = &self.group.state;
        state.member(self.group.own).is_ok_and(|(_, user)| user.role >= state.policy.add)
    }

    /// A user lets someone in: if whoever asks is barred, knowing that.
    pub(super) fn note_pardon(&mut self, change: &Change, changes: &mut ChangeSet) {
        let Change::Admit(request) = change else { return };
        if request.is_barred(&self.group.state) && self.doorbook.pardoned.insert(request.id()) {
            self.save_doorbook(changes);
        }
    }

    /// Whoever was barred only after the user let them in is not let in.
    pub(super) fn check_pardon(&self, change: &Change) -> Result<()> {
        match change {
            Change::Admit(request)
                if request.is_barred(&self.group.state) && !self.doorbook.pardoned.contains(&request.id()) =>
            {
                Err(Error::not_allowed("whoever asks was removed meanwhile: ask the user again"))
            }
            _ => Ok(()),
        }
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
    pub fn open_link(&mut self, group: GroupId, hub: &str, lifetime: u64) -> Result<(InviteLink, IntentId)> {
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
            let own = draft.memory.device.identity();
            let opener = (own.user().clone(), own.identity_key().clone());
            InviteLink::generate(group, opener, hub, expires, draft.environment.rng())
        })?;
        let intent = self.change(group, Change::OpenLink(open))?;
        Ok((link, intent))
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
    pub(super) fn join_request(&mut self, session: &mut Session, seq: u64, sealed: &EnvelopeFor) -> Result<bool> {
        if !session.may_add() {
            return Ok(true);
        }
        let now = self.environment.now();
        session.tidy_doorbook(now);
        let (state, book) = (&session.group.state, &session.doorbook);
        let Ok(link) = state.asked_link(sealed, now) else { return Ok(false) };
        if book.is_full(link, state.links().len()) {
            return Ok(false);
        }
        let request = match state.open_new_request(sealed, now, |request| book.check(request)) {
            Ok(request) => request,
            Err(error) => return Ok(error.kind() == ErrorKind::Duplicate),
        };
        let (id, identity, expires) = (request.id(), identity_of(&request), request.expires());
        let barred = request.is_barred(state);
        session.doorbook.asked.insert(id, Asked { request: id, link, identity, expires, declined: false });
        session.save_doorbook(&mut self.changes);
        let other_identity = self.is_other_identity(&request)?;
        let (user, device) = (request.user().clone(), request.device());
        let asked = Box::new(request.clone());
        let what = EventKind::JoinRequested { user, device, link, request: asked, barred, other_identity };
        self.emit(session.id(), seq, what);
        self.take_up(session, request)?;
        Ok(true)
    }

    /// Whether this device knows whoever asks by another identity key.
    fn is_other_identity(&self, request: &JoinRequest) -> Result<bool> {
        let known = self.pin_of(request.user())?;
        Ok(known.is_some_and(|Pin { key, .. }| key != identity_of(request)))
    }

    /// Whether this client may admit a request by itself now: as its user wants, and whoever asks is new to the group, and
    /// no other than this device knows.
    pub(super) fn admits_by_itself(&self, session: &Session, request: &JoinRequest) -> Result<bool> {
        let fits = session.doorbook.wants(request) && is_stranger(session, request);
        Ok(fits && !self.is_other_identity(request)?)
    }

    /// Queues an admission that this client makes by itself, when its turn comes.
    fn take_up(&mut self, session: &mut Session, request: JoinRequest) -> Result<()> {
        let waiting = || session.queue.values().filter_map(Row::admits);
        // One of a user is enough: once it is in, no other is admitted unasked.
        let room = waiting().count() < limits::ADMITS && waiting().all(|other| other.user() != request.user());
        if room && self.admits_by_itself(session, &request)? {
            let not_before = self.environment.now().after(self.turn());
            session.push_row(Row::Admit { request: Box::new(request), not_before }, &mut self.changes);
        }
        Ok(())
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

    /// A new epoch: who is in is admitted, what is closed is forgotten, and what its user no longer wants is dropped.
    pub(super) fn settle_requests(&mut self, session: &mut Session, effects: &[Effect]) -> Result<()> {
        let book = &session.doorbook;
        let before = (book.asked.len(), book.auto.len(), book.pardoned.len());
        session.tidy_doorbook(self.environment.now());
        if !session.has_add_role() {
            session.doorbook.auto.clear();
        }
        let wanted = |row: &Row| match row {
            Row::Change(Change::Admit(request)) => Some(request.id()),
            _ => None,
        };
        let queued: BTreeSet<LeafHash> = session.queue.values().filter_map(wanted).collect();
        session.doorbook.pardoned.retain(|request| queued.contains(request));
        let gone = session.doorbook.note_gone(effects);
        let book = &session.doorbook;
        if gone || before != (book.asked.len(), book.auto.len(), book.pardoned.len()) {
            session.save_doorbook(&mut self.changes);
        }
        let mut done = Vec::new();
        for (number, row) in &session.queue {
            let Some(request) = row.admits() else { continue };
            if !self.admits_by_itself(session, request)? {
                done.push(*number);
            }
        }
        for number in done {
            session.drop_row(number, &mut self.changes);
        }
        Ok(())
    }
}

fn identity_of(request: &JoinRequest) -> [u8; 32] {
    *request.package().leaf().claims().identity_key().as_bytes()
}

/// Whether whoever asks is new to the group: nobody who was removed, and no further device of a user who is in.
fn is_stranger(session: &Session, request: &JoinRequest) -> bool {
    let state = &session.group.state;
    !request.is_barred(state) && state.user(request.user()).is_none()
}

impl Wire for Asked {
    fn write(&self, w: &mut Writer) {
        let Self { request, link, identity, expires, declined } = self;
        w.array(5).item(request).item(link).bytes(identity).item(expires).bool(*declined);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(5)?;
        let (request, link, identity) = (r.item()?, r.item()?, r.fixed()?);
        Ok(Self { request, link, identity, expires: r.item()?, declined: r.bool()? })
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
