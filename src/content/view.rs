//! What the messages add up to: edits, deletions, reactions, votes, receipts (`docs/protocol.md`, section 11.5).

use std::collections::{BTreeMap, BTreeSet};

use super::conversation::{Conversation, Posted};
use super::kind::Kind;
use super::poll::Poll;
use super::receipt::Status;
use super::said::{Said, What};
use super::text::seen;
use super::{Content, Receipt};
use crate::error::Result;
use crate::identity::UserUri;
use crate::ids::{MessageId, Timestamp};
use crate::limits;

/// A message as it is to be shown.
#[derive(Debug)]
pub struct MessageView<'c> {
    /// Which.
    pub id: MessageId,
    /// Who said it.
    pub user: &'c UserUri,
    /// Its place in the log.
    pub seq: u64,
    /// The group's time there: that of its last commit, so not when it was said.
    pub time: Timestamp,
    /// What it answers, as it was first sent; see [`Conversation::ancestors`].
    pub in_reply_to: Option<MessageId>,
    /// What to show: the last edit, or what was sent; `None` once it is deleted.
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
    /// The place in the log at which somebody closed it, and from which votes no longer count.
    pub closed: Option<u64>,
}

impl Tally<'_> {
    /// Whether votes no longer count in a group whose time is this: that of its last commit
    /// ([`GroupState::time`](crate::group::GroupState)).
    #[must_use]
    pub fn is_closed(&self, time: Timestamp) -> bool {
        self.closed.is_some() || self.poll.closes().is_some_and(|closes| closes <= time)
    }
}

impl Conversation {
    /// The messages to be shown as such, in the order of the log, from either end: not edits, reactions, votes and the
    /// like. Each takes time in what is about it.
    pub fn messages(&self) -> impl DoubleEndedIterator<Item = MessageView<'_>> {
        self.shown.iter().filter_map(|(_, id)| self.messages.get(id)).map(|said| self.view(said))
    }

    /// One message, if it is held and to be shown as such.
    #[must_use]
    pub fn message(&self, id: &MessageId) -> Option<MessageView<'_>> {
        self.alone(id).map(|said| self.view(said))
    }

    /// What a message answers, what that answers, and so on, the nearest first: at most
    /// [`limits::ANCESTORS`], each once, so that replies in a circle end.
    #[must_use]
    pub fn ancestors(&self, id: &MessageId) -> Vec<MessageId> {
        let (mut chain, mut at) = (Vec::new(), *id);
        while let Some(next) = self.alone(&at).and_then(|said| said.posted.content.in_reply_to) {
            if next == *id || chain.contains(&next) || chain.len() >= limits::ANCESTORS {
                break;
            }
            chain.push(next);
            at = next;
        }
        chain
    }

    /// The messages that answer this one, in the order of the log.
    pub fn replies(&self, id: &MessageId) -> impl DoubleEndedIterator<Item = MessageView<'_>> {
        self.about(id).filter(|other| other.stands_alone()).map(|said| self.view(said))
    }

    /// The messages of a topic, in the order of the log, by what they said when they were first sent.
    pub fn in_topic(&self, topic: &[u8]) -> impl DoubleEndedIterator<Item = MessageView<'_>> {
        let of_topic = move |said: &&Said| said.posted.content.topic == topic;
        self.shown.iter().filter_map(|(_, id)| self.messages.get(id)).filter(of_topic).map(|said| self.view(said))
    }

    /// What `user` is to send so that the others know these messages as delivered or read, if the user agreed to that:
    /// as few messages as can be, without one's own messages, without deleted and unknown ones, and without what one has
    /// said already.
    pub fn receipts_due(
        &self,
        user: &UserUri,
        status: Status,
        messages: impl IntoIterator<Item = MessageId>,
    ) -> Result<Vec<Content>> {
        let due = |id: &MessageId| {
            self.alone(id).is_some_and(|said| {
                let told = self.receipts_of(id).any(|(by, told)| by == user && told >= status);
                said.posted.user != *user && !told && !self.is_deleted(said)
            })
        };
        let due: BTreeSet<MessageId> = messages.into_iter().filter(due).collect();
        let receipts: Vec<Receipt> = due.into_iter().map(|message| Receipt { message, status }).collect();
        receipts.chunks(limits::RECEIPTS).map(Content::receipts).collect()
    }

    fn alone(&self, id: &MessageId) -> Option<&Said> {
        self.messages.get(id).filter(|said| said.stands_alone())
    }

    fn view<'c>(&'c self, said: &'c Said) -> MessageView<'c> {
        let Posted { id, seq, user, moderates: _, time, content } = &said.posted;
        let mut view = MessageView {
            id: *id,
            user,
            seq: *seq,
            time: *time,
            in_reply_to: content.in_reply_to,
            content: None,
            edited: false,
            reactions: BTreeMap::new(),
            receipts: BTreeMap::new(),
            tally: None,
        };
        if self.is_deleted(said) {
            return view;
        }
        view.tally = self.tally(said);
        // Votes are for the options as they were: a poll is not edited.
        let edit = if view.tally.is_some() { None } else { self.last_edit(said) };
        view.content = Some(edit.map_or(content, |edit| &edit.posted.content));
        view.edited = edit.is_some();
        view.reactions = self.reactions(said);
        view.receipts = self.receipts(said);
        view
    }

    /// Deleted once is deleted: by the author, or by who moderates. Deletions, closings and receipts are not deleted.
    pub(super) fn is_deleted(&self, said: &Said) -> bool {
        if said.what == What::Deletion || said.is(What::Closing) || said.is(What::Receipts) {
            return false;
        }
        // Whatever is a deletion replaces what it refers to.
        self.about(&said.posted.id).any(|other| other.what == What::Deletion && may(other, said))
    }

    /// The last edit by the author. Nothing becomes a poll by it.
    fn last_edit(&self, said: &Said) -> Option<&Said> {
        let edits = |other: &&Said| {
            other.posted.content.replaces.is_some()
                && other.posted.user == said.posted.user
                && !matches!(other.what, What::Deletion | What::Poll)
                && !self.is_deleted(other)
        };
        self.about(&said.posted.id).rev().find(edits)
    }

    /// Of each user the first few different ones, so that nobody fills the screen. Those that look the same are one, as
    /// the first of them has it.
    fn reactions<'c>(&'c self, said: &Said) -> BTreeMap<&'c str, BTreeSet<&'c UserUri>> {
        let mut reactions: BTreeMap<&str, BTreeSet<&UserUri>> = BTreeMap::new();
        let mut looks: BTreeMap<String, &str> = BTreeMap::new();
        let mut counts: BTreeMap<&UserUri, usize> = BTreeMap::new();
        for other in self.about(&said.posted.id).filter(|other| other.is(What::Reaction) && !self.is_deleted(other)) {
            let now = self.last_edit(other).unwrap_or(other);
            if now.what != What::Reaction {
                continue;
            }
            let Kind::Reaction { with, .. } = now.posted.content.kind() else { continue };
            let count = counts.entry(&other.posted.user).or_default();
            if *count >= limits::REACTIONS {
                continue;
            }
            let first = *looks.entry(seen(with)).or_insert(with);
            if reactions.entry(first).or_default().insert(&other.posted.user) {
                *count = count.saturating_add(1);
            }
        }
        reactions
    }

    fn receipts<'c>(&'c self, said: &'c Said) -> BTreeMap<&'c UserUri, Status> {
        let mut receipts = BTreeMap::new();
        for (user, told) in self.receipts_of(&said.posted.id).filter(|(user, _)| **user != said.posted.user) {
            let status = receipts.entry(user).or_insert(told);
            *status = told.max(*status);
        }
        receipts
    }

    /// Each user's last vote before the closing counts; one that the poll does not accept is as if it were not there.
    fn tally<'c>(&'c self, said: &'c Said) -> Option<Tally<'c>> {
        if said.what != What::Poll {
            return None;
        }
        let Kind::Poll(poll) = said.posted.content.kind() else { return None };
        let closed = self.closing(said);
        let in_time = |other: &Posted| {
            closed.is_none_or(|closed| other.seq < closed) && poll.closes().is_none_or(|closes| other.time < closes)
        };
        let counts = |other: &&Said| {
            other.is(What::Vote) && in_time(&other.posted) && poll.accepts(&other.options) && !self.is_deleted(other)
        };
        let last: BTreeMap<&UserUri, &[usize]> = self
            .about(&said.posted.id)
            .filter(counts)
            .map(|vote| (&vote.posted.user, vote.options.as_slice()))
            .collect();
        let votes_for = |option: usize| {
            last.iter().filter(|(_, options)| options.contains(&option)).map(|(user, _)| *user).collect()
        };
        let votes = (0..poll.options().len()).map(votes_for).collect();
        Some(Tally { poll, votes, closed })
    }

    /// The first place at which a poll is closed by its author or who moderates.
    fn closing(&self, said: &Said) -> Option<u64> {
        let closes = |other: &&Said| other.is(What::Closing) && may(other, said);
        self.about(&said.posted.id).find(closes).map(|other| other.posted.seq)
    }
}

/// Whether one may delete or close another: as its author, or as who moderates.
fn may(other: &Said, said: &Said) -> bool {
    other.posted.user == said.posted.user || other.posted.moderates
}
