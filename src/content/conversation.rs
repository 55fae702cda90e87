//! What was said: the set of messages, each at its place in the group's log (`docs/protocol.md`, section 11.5).
//!
//! The state is the set of messages, each under its id with the first place at which it stands, and the set of those
//! that are gone for good. Adding to either is a join of sets, so order, repetition and restarts cannot matter. What
//! follows from them is worked out when it is looked at (see the file `view.rs`).

use std::collections::{BTreeMap, BTreeSet};

use super::said::{Said, What};
use super::{Content, Extensions, Part, Status};
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

/// The ends of what stands under one id.
const FIRST: MessageId = MessageId::from_bytes([0; 32]);
const LAST: MessageId = MessageId::from_bytes([0xff; 32]);

/// What was said in a group, and what it adds up to.
///
/// Memory: the messages and a few hundred bytes for each; for lists of receipts up to six times their bytes; 32 bytes and
/// as much again for each that is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversation {
    pub(super) messages: BTreeMap<MessageId, Said>,
    /// What refers to a message, by place.
    about: BTreeSet<(MessageId, Spot)>,
    /// What a message with receipts says of a message that is not gone.
    receipts: BTreeMap<(MessageId, MessageId), Option<Status>>,
    /// How many those are, of each message with receipts.
    named: BTreeMap<MessageId, usize>,
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
        let known = self.messages.get(&posted.id).is_some_and(|known| facts(&known.posted) <= facts(&posted));
        if known || self.gone.contains(&posted.id) {
            return false;
        }
        let (id, said) = (posted.id, Said::new(posted));
        let receipts = self.lasting_receipts(&said);
        let names_nothing = said.is(What::Receipts) && receipts.is_empty();
        if names_nothing || said.subject().is_some_and(|subject| self.gone.contains(&subject)) {
            self.purge([id]);
            return true;
        }
        self.take_out(&id);
        self.put(said, receipts);
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
            open.extend(self.about(&id).filter(|other| other.subject() == Some(id)).map(|other| other.posted.id));
            open.extend(self.forget_receipts_of(id));
        }
    }

    /// Erases what [deleted](Content::deletion) messages said, and all that is about them; how many were erased. They are
    /// still shown as deleted ones, at their places: when they end, what they answer and their topics stay. Taken back
    /// reactions, votes and edits are gone.
    ///
    /// Call it before storing, once what the hub has is received.
    pub fn erase_deleted(&mut self) -> usize {
        let deleted: Vec<MessageId> =
            self.messages.values().filter(|said| self.is_deleted(said)).map(|said| said.posted.id).collect();
        deleted.into_iter().filter(|id| self.erase(*id)).count()
    }

    /// Whether there was anything to erase.
    fn erase(&mut self, id: MessageId) -> bool {
        // It may be gone, with another one that it was about.
        let Some(said) = self.messages.get(&id) else { return true };
        if !said.stands_alone() {
            self.purge([id]);
            return true;
        }
        let erased = erased(&said.posted);
        let is_new = erased != said.posted;
        let means_nothing = |other: &&Said| other.what != What::Deletion && other.subject() == Some(id);
        let about: Vec<MessageId> = self.about(&id).filter(means_nothing).map(|other| other.posted.id).collect();
        self.purge(about);
        if is_new {
            self.take_out(&id);
            self.put(Said::new(erased), BTreeMap::new());
        }
        is_new
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

    /// What refers to a message, in the order of the log; receipts apart.
    pub(super) fn about<'c>(&'c self, id: &MessageId) -> impl DoubleEndedIterator<Item = &'c Said> + use<'c> {
        let range = (*id, (0, FIRST))..=(*id, (u64::MAX, LAST));
        self.about.range(range).filter_map(|(_, (_, id))| self.messages.get(id))
    }

    /// The receipts of a message: who sent them, and what they say.
    pub(super) fn receipts_of(&self, id: &MessageId) -> impl Iterator<Item = (&UserUri, Status)> {
        let known =
            self.receipts.range((*id, FIRST)..=(*id, LAST)).filter_map(|((_, by), status)| Some((by, (*status)?)));
        known.filter_map(|(by, status)| Some((&self.messages.get(by)?.posted.user, status)))
    }

    /// What receipts say of messages that are not gone.
    fn lasting_receipts(&self, said: &Said) -> BTreeMap<MessageId, Option<Status>> {
        let mut receipts = said.receipts();
        receipts.retain(|message, _| !self.gone.contains(message));
        receipts
    }

    fn ends(
        &self,
        first_shown: impl Fn(&MessageId) -> Option<Timestamp>,
    ) -> impl Iterator<Item = (Timestamp, MessageId)> {
        let shown = self.shown.iter().filter_map(|(_, id)| self.messages.get(id)).map(|said| &said.posted);
        shown.filter_map(move |posted| Some((posted.content.expires?.ends(first_shown(&posted.id))?, posted.id)))
    }

    fn put(&mut self, said: Said, receipts: BTreeMap<MessageId, Option<Status>>) {
        let (id, spot) = (said.posted.id, said.posted.spot());
        self.about.extend(said.refers_to().map(|target| (target, spot)));
        if said.is(What::Receipts) {
            self.named.insert(id, receipts.len());
        }
        self.receipts.extend(receipts.into_iter().map(|(message, status)| ((message, id), status)));
        if said.stands_alone() {
            self.shown.insert(spot);
        }
        self.messages.insert(id, said);
    }

    fn take_out(&mut self, id: &MessageId) {
        let Some(said) = self.messages.remove(id) else { return };
        self.shown.remove(&said.posted.spot());
        if let Some(target) = said.refers_to() {
            self.about.remove(&(target, said.posted.spot()));
        }
        for message in said.receipts().into_keys() {
            self.receipts.remove(&(message, *id));
        }
        self.named.remove(id);
    }

    /// Forgets what is said of a message that is gone; those that say nothing else.
    fn forget_receipts_of(&mut self, id: MessageId) -> Vec<MessageId> {
        let by: Vec<MessageId> = self.receipts.range((id, FIRST)..=(id, LAST)).map(|((_, by), _)| *by).collect();
        let mut moot = Vec::new();
        for by in by {
            self.receipts.remove(&(id, by));
            if let Some(left) = self.named.get_mut(&by) {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    moot.push(by);
                }
            }
        }
        moot
    }
}

/// What is left of a message whose words are erased: what makes its place among others, and its end.
fn erased(posted: &Posted) -> Posted {
    let Posted { id, seq, user, moderates, time, content } = posted;
    let Content { salt: _, replaces, topic, expires, in_reply_to, extensions: _, part: _ } = content;
    let content = Content {
        salt: [0; 16],
        replaces: *replaces,
        topic: topic.clone(),
        expires: *expires,
        in_reply_to: *in_reply_to,
        extensions: Extensions::default(),
        part: Part::null(),
    };
    Posted { id: *id, seq: *seq, user: user.clone(), moderates: *moderates, time: *time, content }
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
        w.array(3).uint(VERSION.into()).list(self.messages.values().map(|said| &said.posted)).list(self.gone.iter());
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
