//! What a device says it understands (`docs/protocol.md`, section 11.8).
//!
//! Feature numbers stand in the capabilities of each leaf. An app advertises those that it shows as what they are, by
//! [`DeviceKeys::with_features`](crate::client::DeviceKeys::with_features) and
//! [`Client::advertise`](crate::Client::advertise), and asks [`GroupView::supports`](crate::client::GroupView::supports)
//! before it offers something that others could only show by its [fallback](super::Content::fallback).
//!
//! A member's word about its own app, no more: whoever says less only sees less.

use std::collections::BTreeSet;

use super::kind::{Format, Kind};
use super::part::Body;
use super::{Content, Part};

/// Plain text.
pub const TEXT: u32 = 1;
/// Markdown.
pub const MARKDOWN: u32 = 2;
/// Replies.
pub const REPLY: u32 = 3;
/// Mentions of users.
pub const MENTION: u32 = 4;
/// Reactions.
pub const REACTION: u32 = 5;
/// Edits.
pub const EDIT: u32 = 6;
/// Deletions for all.
pub const DELETION: u32 = 7;
/// Polls, votes and their closing.
pub const POLL: u32 = 8;
/// Files, encrypted as section 11.6 has it.
pub const ATTACHMENT: u32 = 9;
/// Delivery and read receipts.
pub const RECEIPT: u32 = 10;
/// Messages that disappear.
pub const EXPIRY: u32 = 11;
/// Topics.
pub const TOPIC: u32 = 12;

/// All of the above.
pub const ALL: [u32; 12] =
    [TEXT, MARKDOWN, REPLY, MENTION, REACTION, EDIT, DELETION, POLL, ATTACHMENT, RECEIPT, EXPIRY, TOPIC];

/// From here on numbers are for apps to agree on among themselves; below, for this protocol.
pub const PRIVATE: u32 = 0x1_0000;

impl Content {
    /// The features by which a device shows all of this as what it is. Empty for an app's own types, which have a
    /// [private](PRIVATE) number, if any, and for what this version does not know.
    #[must_use]
    pub fn features(&self) -> BTreeSet<u32> {
        let kind = self.kind();
        let mut features: BTreeSet<u32> = of_kind(&kind).into_iter().collect();
        let told_by_kind = matches!(kind, Kind::Reaction { .. } | Kind::Vote { .. } | Kind::Closing { .. });
        let also = [
            (self.replaces.is_some() && !matches!(kind, Kind::Deletion { .. }), EDIT),
            (self.in_reply_to.is_some() && !told_by_kind, REPLY),
            (!self.mentions().is_empty(), MENTION),
            (self.expires.is_some(), EXPIRY),
            (!self.topic.is_empty(), TOPIC),
            (self.part.leaves().iter().any(|part| is_file(part)), ATTACHMENT),
        ];
        features.extend(also.into_iter().filter(|(needed, _)| *needed).map(|(_, feature)| feature));
        features
    }
}

const fn of_kind(kind: &Kind<'_>) -> Option<u32> {
    match kind {
        Kind::Text { format: Format::Plain, .. } => Some(TEXT),
        Kind::Text { format: Format::Markdown, .. } => Some(MARKDOWN),
        Kind::Reaction { .. } => Some(REACTION),
        Kind::Deletion { .. } => Some(DELETION),
        Kind::Poll(_) | Kind::Vote { .. } | Kind::Closing { .. } => Some(POLL),
        Kind::Attachment(_) => Some(ATTACHMENT),
        Kind::Receipts(_) => Some(RECEIPT),
        Kind::Custom { .. } | Kind::Other => None,
    }
}

const fn is_file(part: &Part) -> bool {
    matches!(part.body, Body::External(_))
}
