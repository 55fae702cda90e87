//! The client: one device, its groups, and a store that survives any crash (`docs/protocol.md`, section 7).
//!
//! A [`Client`] does no input or output of its own but through its [`Store`]. Log entries go in through
//! [`receive`](Client::receive), events come out; content goes in through [`send`](Client::send), posts for the hub come
//! out of [`outbox`](Client::outbox). Everything a call gives is durable before it is given.

mod ask;
mod change;
mod commits;
mod device;
mod event;
mod join;
mod links;
mod memory;
mod own_devices;
mod pins;
mod queue;
mod receive;
mod records;
mod reports;
mod send;
mod session;
mod stage;
mod standing;
mod stored;
mod verification;

use core::fmt;

pub use ask::OpenJoin;
pub use change::Change;
pub use device::{DeviceKeys, Environment, System};
pub use event::{Event, EventId, EventKind, IntentId};
pub use join::Answer;
pub use own_devices::{OwnDevice, RevokedDevice};
pub use receive::Summary;
pub use stage::{Draft, Saved, Staged};
pub use standing::Status;
pub use verification::Verification;

use crate::crypto::sign::{Signer, VerifyKey};
use crate::error::{Error, ErrorKind, Result};
use crate::group::{AuthenticatorDigits, Group, GroupInfo, GroupState, InviteLink, JoinRequest, LinkId, Policy};
use crate::identity::{AppDomain, DeviceIdentity, KeyPackage, SafetyNumber, UserUri};
use crate::ids::{DeviceId, GroupId, LeafHash, LeafIndex, MessageId, Timestamp};
use crate::log::{LogEntry, Post, PostReply};
use crate::secret::Secret;
use crate::store::Store;
use memory::Memory;

/// One device over one store.
///
/// Every method that changes something is one transaction: after `Ok` it is durable, after an error nothing happened.
/// Only a failure of the store (`Storage`) leaves the outcome unknown; the client is then closed, and opening it again
/// shows what happened.
pub struct Client {
    store: Box<dyn Store>,
    environment: Box<dyn Environment>,
    memory: Option<Memory>,
    /// An external device key, between two readings of the store.
    signer: Option<Box<dyn Signer>>,
    closed: bool,
}

/// A group as it stands.
#[derive(Debug)]
pub struct GroupView<'c> {
    group: &'c Group,
    status: Status,
    reads: bool,
    queued: usize,
    next: u64,
    doorbook: &'c links::Doorbook,
}

/// What to ask a group's hub for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The group.
    pub group: GroupId,
    /// This device's leaf, whose mailbox it is.
    pub leaf: LeafIndex,
    /// The first entry wanted.
    pub next: u64,
}

impl Client {
    /// Makes an empty store the store of this device.
    ///
    /// Fails with `Misuse` if it already is a device's, and as the store fails.
    pub fn create(store: impl Store + 'static, keys: DeviceKeys) -> Result<Self> {
        Self::create_in(store, keys, System::default())
    }

    /// [`create`](Self::create), with time and randomness of your own.
    pub fn create_in(
        store: impl Store + 'static,
        keys: DeviceKeys,
        environment: impl Environment + 'static,
    ) -> Result<Self> {
        let mut store = Box::new(store);
        let (mut memory, changes) = Memory::create(store.as_ref(), keys)?;
        store.apply(&changes)?;
        memory.version = changes.next();
        Ok(Self { store, environment: Box::new(environment), memory: Some(memory), signer: None, closed: false })
    }

    /// Opens the store of a device whose key is kept in it.
    ///
    /// Fails with `Misuse` if the store holds no device or the device's key is kept elsewhere, with `Damaged` if its
    /// records are damaged or newer than this library, and as the store fails. The store is left as it is.
    pub fn open(store: impl Store + 'static) -> Result<Self> {
        Self::open_in(store, None, System::default())
    }

    /// [`open`](Self::open), with the device key if it is kept elsewhere, and with time and randomness of your own.
    pub fn open_in(
        store: impl Store + 'static,
        signer: Option<Box<dyn Signer>>,
        environment: impl Environment + 'static,
    ) -> Result<Self> {
        let store = Box::new(store);
        let memory = Memory::open(store.as_ref(), signer)?;
        Ok(Self { store, environment: Box::new(environment), memory: Some(memory), signer: None, closed: false })
    }

    /// Who this device is.
    pub fn identity(&mut self) -> Result<&DeviceIdentity> {
        Ok(self.memory()?.device.identity())
    }

    /// Goes on with a newer credential of the same user and device, shown in every commit from now on.
    pub fn renew(&mut self, identity: DeviceIdentity) -> Result<()> {
        self.run(|draft| {
            draft.memory.device.renew(identity)?;
            let record = draft.memory.device.record();
            draft.changes.put(records::device(), record);
            Ok(())
        })
        .map(|saved| saved.value)
    }

    /// Advertises other features than so far, at most 64 (see [`DeviceKeys::with_features`]): in every key package made
    /// from now on, and in each group with this device's next commit there. Queue a [`Change::Heal`] to tell a group at
    /// once. Fails with `Limit` for more.
    pub fn advertise(&mut self, features: &[u32]) -> Result<()> {
        self.run(|draft| {
            draft.memory.device.advertise(features)?;
            let record = draft.memory.device.record();
            draft.changes.put(records::device(), record);
            Ok(())
        })
        .map(|saved| saved.value)
    }

    /// Makes `count` one-time key packages, to be published in the app's key directory. Each lets one inviter add this
    /// device to one group.
    pub fn key_packages(&mut self, count: u16) -> Result<Vec<KeyPackage>> {
        self.run(|draft| draft.key_packages(count)).map(|saved| saved.value)
    }

    /// Makes a key package for when the directory has run out of one-time ones. It lives seven days, may be used more
    /// than once, and whoever joins by it heals at once.
    pub fn last_resort_package(&mut self) -> Result<KeyPackage> {
        self.run(|draft| draft.last_resort_package()).map(|saved| saved.value)
    }

    /// Erases every key package that is not used yet and makes `count` new ones to publish in their place: after the
    /// store may have been copied, since a thief could use the old ones to enter new groups in this device's name.
    ///
    /// Invitations by an old package can no longer be opened; only that of an open request to be readmitted is kept.
    pub fn replace_key_packages(&mut self, count: u16) -> Result<Vec<KeyPackage>> {
        self.run(|draft| draft.replace_key_packages(count)).map(|saved| saved.value)
    }

    /// Takes `key` for a user's identity key from now on, after [`EventKind::IdentityChanged`] and a comparison of safety
    /// numbers, or ahead of any group. Another key than the one that was [verified](Self::verify_user) drops the mark; after
    /// a comparison [`mark_verified`](Self::mark_verified) accepts and marks in one.
    pub fn accept_identity(&mut self, user: &UserUri, key: &VerifyKey) -> Result<()> {
        self.run(|draft| draft.accept_identity(user, key)).map(|saved| saved.value)
    }

    /// Takes these for an app's root keys from now on, after [`EventKind::RootChanged`], or ahead of any group.
    pub fn accept_roots(&mut self, domain: &AppDomain, roots: &[VerifyKey]) -> Result<()> {
        self.run(|draft| {
            draft.accept_roots(domain, roots);
            Ok(())
        })
        .map(|saved| saved.value)
    }

    /// The ids of the key packages whose private halves are held: what a directory hands a welcome over by.
    pub fn package_ids(&mut self) -> Result<Vec<LeafHash>> {
        Ok(self.memory()?.packages.keys().copied().collect())
    }

    /// Founds a group with this device as owner. Its log is opened by the first post that the outbox gives.
    ///
    /// Fails with `NotAllowed` if the policy does not list this device's own app, and with `Expired` if the device's
    /// credential is out of date.
    pub fn create_group(&mut self, policy: Policy, info: GroupInfo) -> Result<GroupId> {
        self.run(|draft| draft.create_group(policy, info)).map(|saved| saved.value)
    }

    /// Queues a change to a group. It happens when its commit is through the log ([`EventKind::Changed`]), is made anew
    /// if another commit was first, and is dropped with a reason if it can no longer happen
    /// ([`EventKind::IntentDropped`]). While it is not clear whether the others are still in this epoch, it waits for a
    /// sign of them, at most a minute.
    pub fn change(&mut self, group: &GroupId, change: Change) -> Result<IntentId> {
        self.run(|draft| draft.change(*group, change)).map(|saved| saved.value)
    }

    /// Queues a message: at most [`limits::MESSAGE`](crate::limits::MESSAGE) bytes, of whatever form the group's apps agree on.
    ///
    /// It is durable at once and encrypted when the outbox is drained. The id is what every member will see. Each call
    /// is a transaction; many messages, and the outbox with them, are one by [`stage`](Self::stage).
    pub fn send(&mut self, group: &GroupId, content: &[u8]) -> Result<MessageId> {
        self.run(|draft| draft.send(*group, content)).map(|saved| saved.value)
    }

    /// Encrypts what is queued and gives at most `max` posts, in the order in which a hub must take them, group by group;
    /// requests to be let in come last. So that a hub out of reach holds up no other, use [`outbox_of`](Self::outbox_of).
    ///
    /// A post is given again until the hub has accepted it, so a crash between here and there loses nothing.
    pub fn outbox(&mut self, max: usize) -> Result<Vec<Post>> {
        self.run(|draft| draft.outbox(max)).map(|saved| saved.posts)
    }

    /// [`outbox`](Self::outbox) of one group, for whoever talks to several hubs.
    pub fn outbox_of(&mut self, group: &GroupId, max: usize) -> Result<Vec<Post>> {
        self.run(|draft| draft.outbox_of(*group, max)).map(|saved| saved.posts)
    }

    /// Tells what the hub answered to a post.
    pub fn posted(&mut self, post: &Post, reply: PostReply) -> Result<()> {
        self.run(|draft| draft.posted(post, reply)).map(|saved| saved.value)
    }

    /// When to drain the outbox next even if nothing else happens: another member's leave that this device may have to
    /// commit, a healing that the policy asks for, an answer to a member who asks whether others are still here, the
    /// end of this device's own waiting for such an answer, a request that it admits by itself, or the end of its rest after
    /// the hub refused what it had queued by itself.
    pub fn wake_at(&mut self) -> Result<Option<Timestamp>> {
        let (mut earliest, now) = (None, self.environment.now());
        for group in self.groups()? {
            self.memory()?;
            let Some(memory) = &mut self.memory else { return Err(closed()) };
            memory.session(self.store.as_ref(), group)?;
            let Some(session) = memory.sessions.get(&group) else { continue };
            let due = session.wake_at(memory.device.may_commit(session.group.state(), now));
            earliest = [earliest, due].into_iter().flatten().min();
        }
        Ok(earliest)
    }

    /// Processes log entries, of any groups and in any order, in one transaction.
    ///
    /// A bad entry is an event or a count, never an error. What came twice is counted and skipped. Where a group's next
    /// entry is missing, the rest of that group is left for later ([`EventKind::Gap`]).
    pub fn receive(&mut self, entries: &[LogEntry]) -> Result<(Vec<Event>, Summary)> {
        self.run(|draft| draft.receive(entries)).map(|saved| (saved.events, saved.value))
    }

    /// The events that are not acknowledged yet, oldest first, at most `max`.
    pub fn inbox(&mut self, max: usize) -> Result<Vec<Event>> {
        let counters = &self.memory()?.counters;
        let range = counters.first_event..counters.next_event;
        let mut events = Vec::new();
        for id in range.take(max) {
            let record = records::load(self.store.as_ref(), &records::event(id))?
                .ok_or(Error::damaged("an event of the inbox is missing"))?;
            let event: Event = records::decode(&record, 1, |r| r.item())?;
            if event.id != EventId(id) {
                return Err(Error::damaged("an event of the inbox is another one: restore the store"));
            }
            events.push(event);
        }
        Ok(events)
    }

    /// Acknowledges every event up to and including this one: the app has taken them over, and they are deleted.
    pub fn ack(&mut self, up_to: EventId) -> Result<()> {
        self.run(|draft| draft.ack(up_to)).map(|saved| saved.value)
    }

    /// Answers an invitation.
    pub fn answer(&mut self, group: &GroupId, answer: Answer) -> Result<()> {
        self.run(|draft| draft.answer(*group, answer)).map(|saved| saved.value)
    }

    /// Deletes everything this device holds of a group. The others are told nothing; leave first.
    ///
    /// Needed before an invitation to a group that this device still holds, as after a removal: until then a welcome to
    /// it does nothing.
    pub fn forget(&mut self, group: &GroupId) -> Result<()> {
        self.run(|draft| draft.forget(*group)).map(|saved| saved.value)
    }

    /// Opens an invite link to a group: whoever is given it can ask to be let in, for `lifetime` seconds or until it is
    /// [closed](Change::CloseLink). It is open once its commit is through the log. `hub` is where to ask, at most 255 bytes
    /// in whatever form the apps agree on.
    ///
    /// The link is given once and kept nowhere: [share it](InviteLink::to_text) with those who are to ask. With it comes the
    /// intent of opening it, by which [`Changed`](EventKind::Changed) and [`IntentDropped`](EventKind::IntentDropped) name
    /// it. It carries this device's user and identity key: whom they let in is in at once; another's answer is an
    /// invitation, as only the opener's can be told from one made up. Fails with
    /// `NotAllowed` unless this device's user may both add users and change the info, and with `Limit` if the group has
    /// 16 links open.
    pub fn open_link(&mut self, group: &GroupId, hub: &str, lifetime: u64) -> Result<(InviteLink, IntentId)> {
        self.run(|draft| draft.open_link(*group, hub, lifetime)).map(|saved| saved.value)
    }

    /// Has this client admit by itself whoever asks by this link from now on, or stop doing so. The setting is this
    /// device's own and lasts until the link is closed or has expired.
    ///
    /// It never admits anyone who has been in the group before, as far as this device knows, nor a user whom it knows by
    /// another identity key, nor a further device of a user who is in, nor a request that a member declined, nor the same
    /// request twice; those are for the user. It ends when this device's user may no longer add users. Fails with `NotAllowed` if this device's user may not
    /// add users, and with `Expired` if there is no such link.
    pub fn auto_approve(&mut self, group: &GroupId, link: LinkId, on: bool) -> Result<()> {
        self.run(|draft| draft.auto_approve(*group, link, on)).map(|saved| saved.value)
    }

    /// Declines a request to be let in: the other members who could admit it are told, so that their apps need not ask
    /// again, and no client admits it by itself. Whoever asked is told nothing. Its id is that of the message that says so.
    ///
    /// Fails with `NotAllowed` if this device's user may not add users.
    pub fn decline(&mut self, group: &GroupId, request: &JoinRequest) -> Result<MessageId> {
        self.run(|draft| draft.decline(*group, request)).map(|saved| saved.value)
    }

    /// Asks to be let into a group by an invite link. The request goes out with the next [`outbox`](Self::outbox), to the
    /// [hub](InviteLink::hub) of the group, and holds for a day. If the [opener](InviteLink::opener) of the link lets this
    /// device in, the group is [joined](EventKind::Joined) without another question; if another member does, it is an
    /// [invitation](EventKind::Invitation).
    ///
    /// Gives the request's id. Fails with `Expired` if the link has, with `Misuse` if the group is held, and with `Limit`
    /// beyond 64 requests.
    pub fn ask_to_join(&mut self, link: &InviteLink) -> Result<LeafHash> {
        self.run(|draft| draft.ask_to_join(link)).map(|saved| saved.value)
    }

    /// Takes back a request to be let in: it is posted no more. Members who have it already may still act on it, which is
    /// then an [invitation](EventKind::Invitation), unless this device has asked for the same group again.
    pub fn withdraw(&mut self, request: &LeafHash) -> Result<()> {
        self.run(|draft| draft.withdraw(request)).map(|saved| saved.value)
    }

    /// This device's requests to be let in that may still be answered, in no particular order.
    pub fn open_joins(&mut self) -> Result<Vec<OpenJoin>> {
        Ok(self.memory()?.joins.values().filter(|join| !join.withdrawn).cloned().collect())
    }

    /// The groups this device holds.
    pub fn groups(&mut self) -> Result<Vec<GroupId>> {
        Ok(self.memory()?.groups.iter().copied().collect())
    }

    /// A group as it stands; `UnknownGroup` if there is none.
    pub fn group(&mut self, group: &GroupId) -> Result<GroupView<'_>> {
        self.memory()?;
        let Some(memory) = &mut self.memory else { return Err(closed()) };
        let session = memory.session(self.store.as_ref(), *group)?;
        Ok(GroupView {
            group: &session.group,
            status: session.standing(),
            reads: session.status.reads(),
            queued: session.queue.len(),
            next: session.cursor.next,
            doorbook: &session.doorbook,
        })
    }

    /// What to fetch from the hubs: for every group that is read, the mailbox and the first entry wanted.
    pub fn subscriptions(&mut self) -> Result<Vec<Subscription>> {
        let mut wanted = Vec::new();
        for group in self.groups()? {
            let view = self.group(&group)?;
            if view.reads {
                wanted.push(Subscription { group, leaf: view.group.own_index(), next: view.next });
            }
        }
        Ok(wanted)
    }

    /// Drafts an operation whose changes the app applies in a transaction of its own; see [`Staged`].
    ///
    /// If `f` or any call on the draft fails, nothing happened.
    pub fn stage<T>(&mut self, f: impl FnOnce(&mut Draft<'_>) -> Result<T>) -> Result<Staged<'_, T>> {
        self.memory()?;
        Staged::new(self, f)
    }

    fn run<T>(&mut self, f: impl FnOnce(&mut Draft<'_>) -> Result<T>) -> Result<Saved<T>> {
        self.stage(f)?.apply()
    }

    /// The memory, read again if it was in doubt.
    fn memory(&mut self) -> Result<&mut Memory> {
        if self.closed {
            return Err(closed());
        }
        if self.memory.is_none() {
            let opened = Memory::open(self.store.as_ref(), self.signer.take());
            self.closed = opened.is_err();
            self.memory = Some(opened?);
        }
        self.memory.as_mut().ok_or_else(closed)
    }

    /// Drops the memory: the store knows.
    fn doubt(&mut self) {
        if let Some(memory) = self.memory.take() {
            self.signer = memory.device.into_signer();
        }
    }

    fn close(&mut self) {
        self.doubt();
        self.closed = true;
    }
}

impl Draft<'_> {
    /// See [`Client::ack`].
    pub fn ack(&mut self, up_to: EventId) -> Result<()> {
        let counters = &self.memory.counters;
        if up_to.0 >= counters.next_event {
            return Err(Error::misuse("there is no such event to acknowledge yet"));
        }
        for id in counters.first_event..=up_to.0 {
            self.changes.delete(records::event(id));
        }
        if up_to.0 >= counters.first_event {
            self.memory.counters.first_event = up_to.0.saturating_add(1);
            self.memory.save_counters(&mut self.changes);
        }
        Ok(())
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the client was closed by a storage failure: open it again")
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { store: _, environment: _, memory: _, signer: _, closed } = self;
        f.debug_struct("Client").field("closed", closed).finish_non_exhaustive()
    }
}

impl GroupView<'_> {
    /// Where this device stands.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.status
    }

    /// What all members share: users, roles, devices, policy, info.
    #[must_use]
    pub const fn state(&self) -> &GroupState {
        self.group.state()
    }

    /// This device's place.
    #[must_use]
    pub const fn own_index(&self) -> LeafIndex {
        self.group.own_index()
    }

    /// 32 bytes that are equal for two members exactly if they hold the same group with the same history. Not secret.
    #[must_use]
    pub const fn authenticator(&self) -> &[u8; 32] {
        self.group.authenticator()
    }

    /// The authenticator as 60 digits, or a QR code, which members compare over another channel. `NotMember` if this device
    /// has stopped in the group.
    pub fn authenticator_digits(&self) -> Result<AuthenticatorDigits> {
        if !self.reads && self.status != Status::Invited {
            return Err(Error::new(ErrorKind::NotMember, "this device has stopped in the group"));
        }
        let state = self.group.state();
        Ok(AuthenticatorDigits::new(state.group(), state.epoch(), self.group.authenticator()))
    }

    /// A 32-byte secret that only the members of this epoch can derive, for another use such as a call.
    ///
    /// Fails with `NotMember` if this device has stopped in the group: its secrets are erased.
    pub fn export(&self, label: &str, context: &[u8]) -> Result<Secret<32>> {
        if !self.reads && self.status != Status::Invited {
            return Err(Error::new(ErrorKind::NotMember, "this device has stopped in the group"));
        }
        Ok(self.group.export(label, context))
    }

    /// What this device's user and another user of the group compare, over another channel, to know that nobody stands
    /// between them. `NotMember` if there is no such user.
    pub fn safety_number(&self, other: &UserUri) -> Result<SafetyNumber> {
        let state = self.group.state();
        let theirs = state.user(other).ok_or(Error::new(ErrorKind::NotMember, "no such user in the group"))?;
        let own = self.group.own_leaf()?;
        Ok(SafetyNumber::new(own.user(), own.identity_key(), other, &theirs.identity))
    }

    /// How many messages and changes wait to be through the log.
    #[must_use]
    pub const fn queued(&self) -> usize {
        self.queued
    }

    /// The sequence number of the next log entry wanted.
    #[must_use]
    pub const fn next_entry(&self) -> u64 {
        self.next
    }

    /// Whether every device of the group advertises this feature: see [`GroupState::supports`].
    #[must_use]
    pub fn supports(&self, feature: u32) -> bool {
        self.group.state().supports(feature)
    }

    /// Whether this client admits by itself who asks by this link.
    #[must_use]
    pub fn auto_approves(&self, link: LinkId) -> bool {
        self.doorbook.admits(link)
    }

    /// The devices of one user.
    pub fn devices(&self, user: &UserUri) -> impl Iterator<Item = DeviceId> {
        self.group.state().leaves_of(user).map(|(_, leaf)| leaf.device())
    }
}
