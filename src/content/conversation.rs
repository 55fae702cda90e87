//! What was said: the set of messages, each at its place in the group's log (`docs/protocol.md`, section 11.5).
//!
//! The state is the set of messages, each under its id with the first place at which it stands, and the set of those
//! that are gone for good. Adding to either is a join of sets, so order, repetition and restarts cannot matter. What
//! follows from them is worked out when it is looked at (see the file `view.rs`).

use std::collections::{BTreeMap, BTreeSet};

use super::kind::Kind;
use super::{Content, Part};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::UserUri;
use crate::ids::{MessageId, Timestamp};
use crate::wire::{Reader, Wire, Writer, public_encoding};

/// A message as the group's log has it: what a client's message event tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// The message.
    pub id: MessageId,
    /// Its place in the log.
    pub seq: u64,
    /// Who said it.
    pub user: UserUri,
    /// Whether the sender was an admin there, and so might delete others' messages and close their polls.
    pub moderates: bool,
    /// The group's time there: that of its last commit.
    pub time: Timestamp,
    /// What was said.
    pub content: Content,
}

/// The version of the form in which a conversation is stored.
const VERSION: u8 = 1;

/// A place in the log: messages under one sequence number, if a hub repeats one, by their ids.
pub(super) type Spot = (u64, MessageId);

/// What was said in a group, and what it adds up to.
///
/// Memory: the messages, and a few hundred bytes for each; 32 bytes for each that is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversation {
    pub(super) messages: BTreeMap<MessageId, Posted>,
    /// What refers to a message, by place.
    about: BTreeMap<MessageId, BTreeSet<Spot>>,
    /// What is to be shown as such, by place.
    pub(super) shown: BTreeSet<Spot>,
    /// What has ended, and what meant nothing without it: never taken in again.
    gone: BTreeSet<MessageId>,
}

impl Posted {
    pub(super) const fn spot(&self) -> Spot {
        (self.seq, self.id)
    }
}

impl Conversation {
    /// Nothing said yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a message, in any order and however often; whether anything was new.
    pub fn insert(&mut self, posted: Posted) -> bool {
        let facts = |posted: &Posted| (posted.seq, posted.time, posted.moderates);
        // The same message can stand in the log twice (section 5.6): the first place counts.
        let known = self.messages.get(&posted.id).is_some_and(|known| facts(known) <= facts(&posted));
        if known || self.gone.contains(&posted.id) {
            return false;
        }
        if self.is_moot(&posted.content) {
            self.purge([posted.id]);
            return true;
        }
        self.take_out(&posted.id);
        for target in targets(&posted.content) {
            self.about.entry(target).or_default().insert(posted.spot());
        }
        if stands_alone(&posted.content) {
            self.shown.insert(posted.spot());
        }
        self.messages.insert(posted.id, posted);
        true
    }

    /// Which messages have come to their end at `now`, by what they said when they were first sent
    /// ([`Expiry`](super::Expiry)): show them no longer, and [purge](Self::purge) them.
    ///
    /// `first_shown` is when this device first showed a message, which the app keeps: from then on counts an end that
    /// is relative. Neither an edit nor anybody else's word changes when a message ends.
    #[must_use]
    pub fn expired(&self, now: Timestamp, first_shown: impl Fn(&MessageId) -> Option<Timestamp>) -> Vec<MessageId> {
        self.ends(first_shown).filter(|(end, _)| *end <= now).map(|(_, id)| id).collect()
    }

    /// When the next message comes to its end: when to look at [`expired`](Self::expired) again.
    #[must_use]
    pub fn next_end(&self, first_shown: impl Fn(&MessageId) -> Option<Timestamp>) -> Option<Timestamp> {
        self.ends(first_shown).map(|(end, _)| end).min()
    }

    /// Forgets messages for good, as those that have expired: nothing of them is kept but their ids, so that they do not
    /// come back, and what means nothing without them goes as well: their edits, reactions, votes, receipts. Replies stay.
    pub fn purge(&mut self, ids: impl IntoIterator<Item = MessageId>) {
        let mut open: Vec<MessageId> = ids.into_iter().collect();
        while let Some(id) = open.pop() {
            if !self.gone.insert(id) {
                continue;
            }
            self.take_out(&id);
            let moot = self.about(&id).filter(|other| self.is_moot(&other.content)).map(|other| other.id);
            open.extend(moot.collect::<Vec<_>>());
        }
    }

    /// Erases what [deleted](Content::deletion) messages said, and all that is about them; how many were erased. They are
    /// still shown as deleted ones, at their places; taken back reactions, votes and edits are gone.
    ///
    /// Call it before storing, once what the hub has is received.
    pub fn erase_deleted(&mut self) -> usize {
        let deleted: Vec<Spot> = self
            .messages
            .values()
            .filter(|it| !is_empty(&it.content) && self.is_deleted(it))
            .map(Posted::spot)
            .collect();
        for (seq, id) in &deleted {
            if !self.shown.contains(&(*seq, *id)) {
                self.purge([*id]);
                continue;
            }
            let means_nothing = |other: &&Posted| {
                !matches!(other.content.kind(), Kind::Deletion { .. }) && subject(&other.content) == Some(*id)
            };
            let about: Vec<MessageId> = self.about(id).filter(means_nothing).map(|other| other.id).collect();
            self.purge(about);
            if let Some(posted) = self.messages.get_mut(id) {
                posted.content = Content::new(Part::null()).with_salt([0; 16]);
            }
        }
        deleted.len()
    }

    /// How many messages are held, with all that only refers to others.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// What refers to a message, in the order of the log.
    pub(super) fn about<'c>(&'c self, id: &MessageId) -> impl DoubleEndedIterator<Item = &'c Posted> + use<'c> {
        self.about.get(id).into_iter().flatten().filter_map(|(_, id)| self.messages.get(id))
    }

    fn ends(
        &self,
        first_shown: impl Fn(&MessageId) -> Option<Timestamp>,
    ) -> impl Iterator<Item = (Timestamp, MessageId)> {
        let shown = self.shown.iter().filter_map(|(_, id)| self.messages.get(id));
        shown.filter_map(move |posted| Some((posted.content.expires?.ends(first_shown(&posted.id))?, posted.id)))
    }

    fn take_out(&mut self, id: &MessageId) {
        let Some(posted) = self.messages.remove(id) else { return };
        self.shown.remove(&posted.spot());
        for target in targets(&posted.content) {
            if let Some(about) = self.about.get_mut(&target) {
                about.remove(&posted.spot());
                if about.is_empty() {
                    self.about.remove(&target);
                }
            }
        }
    }

    /// Whether a content means nothing since what it is about is gone.
    fn is_moot(&self, content: &Content) -> bool {
        let gone = |id: &MessageId| self.gone.contains(id);
        match content.kind() {
            Kind::Receipts(receipts) if content.replaces.is_none() => receipts.iter().all(|it| gone(&it.message)),
            _ => subject(content).as_ref().is_some_and(gone),
        }
    }
}

/// The message without which a content means nothing.
fn subject(content: &Content) -> Option<MessageId> {
    content.replaces.or(match content.kind() {
        Kind::Reaction { to: id, .. } | Kind::Vote { poll: id, .. } | Kind::Closing { poll: id } => Some(id),
        _ => None,
    })
}

/// Which messages a content is about.
fn targets(content: &Content) -> BTreeSet<MessageId> {
    let mut targets: BTreeSet<MessageId> = [content.replaces, content.in_reply_to].into_iter().flatten().collect();
    if let Kind::Receipts(receipts) = content.kind() {
        targets.extend(receipts.iter().map(|receipt| receipt.message));
    }
    targets
}

/// Whether a content is shown as a message of its own.
pub(super) fn stands_alone(content: &Content) -> bool {
    let refers = matches!(
        content.kind(),
        Kind::Reaction { .. } | Kind::Deletion { .. } | Kind::Vote { .. } | Kind::Closing { .. } | Kind::Receipts(_)
    );
    content.replaces.is_none() && !refers
}

/// What is left of a content that was erased.
fn is_empty(content: &Content) -> bool {
    *content == Content::new(Part::null()).with_salt([0; 16])
}

impl Wire for Posted {
    fn write(&self, w: &mut Writer) {
        let Self { id, seq, user, moderates, time, content } = self;
        w.array(6).item(id).uint(*seq).item(user).bool(*moderates).item(time).item(content);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(6)?;
        Ok(Self {
            id: r.item()?,
            seq: r.u64()?,
            user: r.item()?,
            moderates: r.bool()?,
            time: r.item()?,
            content: r.item()?,
        })
    }
}

public_encoding!(Posted);

/// For the app to store whole, if it does not keep the messages one by one: a version, and their list by id.
impl Wire for Conversation {
    fn write(&self, w: &mut Writer) {
        w.array(3).uint(VERSION.into()).list(self.messages.values()).list(self.gone.iter());
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(3)?;
        if r.u8()? != VERSION {
            return Err(Error::new(ErrorKind::Unsupported, "a conversation of another version: update the library"));
        }
        let messages: Vec<Posted> = r.list(usize::MAX)?;
        let mut conversation = Self { gone: r.list(usize::MAX)?.into_iter().collect(), ..Self::new() };
        let count = messages.len();
        for posted in messages {
            conversation.insert(posted);
        }
        if conversation.len() != count {
            return Err(Error::malformed("a conversation holds a message twice, or one that is gone"));
        }
        Ok(conversation)
    }
}

public_encoding!(Conversation);
