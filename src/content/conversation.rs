//! What was said, added up: edits, deletions, reactions, votes, receipts (`docs/protocol.md`, section 11.5).
//!
//! The state is the set of messages, each under its id with the first place at which it stands in the group's log; adding
//! one is a join of sets, so order, repetition and restarts cannot matter. What follows from the set is worked out when
//! it is looked at.

use std::collections::{BTreeMap, BTreeSet};

use super::kind::Kind;
use super::poll::Poll;
use super::receipt::Status;
use super::{Body, Content};
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
type Place = (u64, MessageId);

/// What was said in a group, and what it adds up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversation {
    messages: BTreeMap<MessageId, Posted>,
    /// What refers to a message, by place.
    about: BTreeMap<MessageId, BTreeSet<Place>>,
}

/// A message as it is to be shown.
#[derive(Debug)]
pub struct MessageView<'c> {
    /// As it was sent.
    pub posted: &'c Posted,
    /// What to show: the last edit, or what was sent. Nothing of a deleted message is given.
    pub content: Option<&'c Content>,
    /// Whether [`content`](Self::content) is an edit.
    pub edited: bool,
    /// Who reacted with what.
    pub reactions: BTreeMap<&'c str, BTreeSet<&'c UserUri>>,
    /// Who has received or read it, as far as they say.
    pub receipts: BTreeMap<&'c UserUri, Status>,
    /// The result, if it is a poll.
    pub tally: Option<Tally<'c>>,
}

/// The result of a poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally<'c> {
    /// The poll.
    pub poll: Poll,
    /// Who voted for each option, in the order of the options.
    pub votes: Vec<BTreeSet<&'c UserUri>>,
    /// The place in the log from which votes no longer count.
    pub closed: Option<u64>,
}

impl Conversation {
    /// Nothing said yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a message, in any order and however often; whether anything was new.
    pub fn insert(&mut self, posted: Posted) -> bool {
        let id = posted.id;
        // The same message can stand in the log twice (section 5.6): the first place counts.
        if self.messages.get(&id).is_some_and(|known| known.seq <= posted.seq) {
            return false;
        }
        self.remove(&id);
        for target in targets(&posted.content) {
            self.about.entry(target).or_default().insert((posted.seq, id));
        }
        self.messages.insert(id, posted);
        true
    }

    /// Forgets a message, as one that has expired; whether it was known. What refers to it stays without effect.
    pub fn remove(&mut self, id: &MessageId) -> bool {
        let Some(posted) = self.messages.remove(id) else { return false };
        for target in targets(&posted.content) {
            if let Some(about) = self.about.get_mut(&target) {
                about.remove(&(posted.seq, *id));
                if about.is_empty() {
                    self.about.remove(&target);
                }
            }
        }
        true
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

    /// The messages to be shown as such, in the order of the log: not edits, reactions, votes and the like.
    pub fn messages(&self) -> impl Iterator<Item = MessageView<'_>> {
        let mut shown: Vec<&Posted> = self.messages.values().filter(|posted| stands_alone(&posted.content)).collect();
        shown.sort_by_key(|posted| (posted.seq, posted.id));
        shown.into_iter().map(|posted| self.view(posted))
    }

    /// One message, if it is held and to be shown as such.
    #[must_use]
    pub fn message(&self, id: &MessageId) -> Option<MessageView<'_>> {
        self.messages.get(id).filter(|posted| stands_alone(&posted.content)).map(|posted| self.view(posted))
    }

    fn view<'c>(&'c self, posted: &'c Posted) -> MessageView<'c> {
        if self.is_deleted(posted) {
            let (reactions, receipts) = (BTreeMap::new(), BTreeMap::new());
            return MessageView { posted, content: None, edited: false, reactions, receipts, tally: None };
        }
        let tally = self.tally(posted);
        // Votes are for the options as they were: a poll is not edited.
        let edit = if tally.is_some() { None } else { self.last_edit(posted) };
        MessageView {
            posted,
            content: Some(edit.unwrap_or(&posted.content)),
            edited: edit.is_some(),
            reactions: self.reactions(posted),
            receipts: self.receipts(posted),
            tally,
        }
    }

    /// What refers to a message, in the order of the log.
    fn about(&self, id: &MessageId) -> impl DoubleEndedIterator<Item = &Posted> {
        self.about.get(id).into_iter().flatten().filter_map(|(_, id)| self.messages.get(id))
    }

    /// Deleted once is deleted: by the author, or by who moderates.
    fn is_deleted(&self, posted: &Posted) -> bool {
        self.about(&posted.id).any(|other| {
            let deletes = matches!(other.content.kind(), Kind::Deletion { of } if of == posted.id);
            deletes && (other.user == posted.user || other.moderates)
        })
    }

    /// The last edit by the author.
    fn last_edit(&self, posted: &Posted) -> Option<&Content> {
        let edits = |other: &&Posted| {
            other.user == posted.user
                && other.content.replaces == Some(posted.id)
                && other.content.part.body != Body::Null
                && !self.is_deleted(other)
        };
        self.about(&posted.id).rev().find(edits).map(|edit| &edit.content)
    }

    fn reactions<'c>(&'c self, posted: &Posted) -> BTreeMap<&'c str, BTreeSet<&'c UserUri>> {
        let mut reactions: BTreeMap<&str, BTreeSet<&UserUri>> = BTreeMap::new();
        for other in self.about(&posted.id).filter(|other| other.content.replaces.is_none()) {
            if !matches!(other.content.kind(), Kind::Reaction { to, .. } if to == posted.id) || self.is_deleted(other) {
                continue;
            }
            let now = self.last_edit(other).unwrap_or(&other.content);
            if let Kind::Reaction { with, .. } = now.kind() {
                reactions.entry(with).or_default().insert(&other.user);
            }
        }
        reactions
    }

    fn receipts<'c>(&'c self, posted: &Posted) -> BTreeMap<&'c UserUri, Status> {
        let mut receipts = BTreeMap::new();
        for other in self.about(&posted.id).filter(|other| other.user != posted.user) {
            let Kind::Receipts(list) = other.content.kind() else { continue };
            for receipt in list.iter().filter(|receipt| receipt.message == posted.id) {
                let status = receipts.entry(&other.user).or_insert(receipt.status);
                *status = receipt.status.max(*status);
            }
        }
        receipts
    }

    /// Each user's last vote before the closing counts; one that the poll does not accept is as if it were not there.
    fn tally<'c>(&'c self, posted: &'c Posted) -> Option<Tally<'c>> {
        let Kind::Poll(poll) = posted.content.kind() else { return None };
        let closed = self.closing(posted, &poll);
        let mut last: BTreeMap<&UserUri, Vec<usize>> = BTreeMap::new();
        for other in self.about(&posted.id).filter(|other| closed.is_none_or(|closed| other.seq < closed)) {
            if let Kind::Vote { poll: voted, options } = other.content.kind()
                && voted == posted.id
                && other.content.replaces.is_none()
                && poll.accepts(&options)
                && !self.is_deleted(other)
            {
                last.insert(&other.user, options);
            }
        }
        let votes_for = |option: usize| {
            last.iter().filter(|(_, options)| options.contains(&option)).map(|(user, _)| *user).collect()
        };
        let votes = (0..poll.options().len()).map(votes_for).collect();
        Some(Tally { poll, votes, closed })
    }

    /// The first place at which a poll is closed: by its author or who moderates, or because the group's time had come.
    fn closing(&self, posted: &Posted, poll: &Poll) -> Option<u64> {
        let closes = |other: &&Posted| {
            let asked = matches!(other.content.kind(), Kind::Closing { poll } if poll == posted.id)
                && (other.user == posted.user || other.moderates);
            asked || poll.closes().is_some_and(|time| other.time >= time)
        };
        self.about(&posted.id).find(closes).map(|other| other.seq)
    }
}

/// Which messages a content is about.
fn targets(content: &Content) -> BTreeSet<MessageId> {
    let mut targets: BTreeSet<MessageId> = [content.replaces, content.in_reply_to].into_iter().flatten().collect();
    if let Kind::Receipts(receipts) = content.kind() {
        targets.extend(receipts.iter().map(|receipt| receipt.message));
    }
    targets
}

fn stands_alone(content: &Content) -> bool {
    let refers = matches!(
        content.kind(),
        Kind::Reaction { .. } | Kind::Deletion { .. } | Kind::Vote { .. } | Kind::Closing { .. } | Kind::Receipts(_)
    );
    content.replaces.is_none() && !refers
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
        w.array(2).uint(VERSION.into()).list(self.messages.values());
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(2)?;
        if r.u8()? != VERSION {
            return Err(Error::new(ErrorKind::Unsupported, "a conversation of another version: update the library"));
        }
        let mut conversation = Self::new();
        for posted in r.list(usize::MAX)? {
            if !conversation.insert(posted) {
                return Err(Error::malformed("a conversation holds a message twice"));
            }
        }
        Ok(conversation)
    }
}

public_encoding!(Conversation);
