//! A message with what it means, worked out once, when it is taken in: what others say about a message is looked at each
//! time that it is, and reading a content can take as long as its sender likes.

use std::collections::BTreeMap;

use super::conversation::Posted;
use super::kind::Kind;
use super::{Content, Status};
use crate::ids::MessageId;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) posted: Posted,
    pub(super) what: What,
    /// What a vote is for; of anything else nothing.
    pub(super) options: Vec<usize>,
}

/// What a content is, by itself: what it replaces stands beside that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Something to be shown, of itself or in place of another message.
    Message,
    Poll,
    Reaction,
    Deletion,
    Vote,
    Closing,
    Receipts,
}

impl Said {
    pub(super) fn new(posted: Posted) -> Self {
        let mut voted = Vec::new();
        let what = match posted.content.kind() {
            Kind::Poll(_) => What::Poll,
            Kind::Reaction { .. } => What::Reaction,
            Kind::Deletion { .. } => What::Deletion,
            Kind::Vote { options, .. } => {
                voted = options;
                What::Vote
            }
            Kind::Closing { .. } => What::Closing,
            Kind::Receipts(_) => What::Receipts,
            _ => What::Message,
        };
        Self { posted, what, options: voted }
    }

    /// Whether it is this and no edit: what replaces a message is a deletion of it, or may be what it shows, and no more.
    pub(super) fn is(&self, what: What) -> bool {
        self.what == what && self.posted.content.replaces.is_none()
    }

    /// Whether it is shown as a message of its own.
    pub(super) fn stands_alone(&self) -> bool {
        self.is(What::Message) || self.is(What::Poll)
    }

    /// The one message that it refers to; what receipts name stands apart.
    pub(super) fn refers_to(&self) -> Option<MessageId> {
        let Content { replaces, in_reply_to, .. } = &self.posted.content;
        replaces.or(in_reply_to.filter(|_| self.what != What::Receipts))
    }

    /// The message without which it means nothing.
    pub(super) fn subject(&self) -> Option<MessageId> {
        self.refers_to().filter(|_| !self.stands_alone())
    }

    /// The messages that it tells of, if these are receipts, with what counts: nothing for what is not known.
    pub(super) fn receipts(&self) -> BTreeMap<MessageId, Option<Status>> {
        let mut named = BTreeMap::new();
        if self.is(What::Receipts)
            && let Kind::Receipts(receipts) = self.posted.content.kind()
        {
            for receipt in receipts {
                let status = named.entry(receipt.message).or_default();
                *status = Some(receipt.status).filter(|status| status.is_known()).max(*status);
            }
        }
        named
    }
}
