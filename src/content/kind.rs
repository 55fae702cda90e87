//! What a content means, as far as this version knows.

use std::borrow::Cow;

use crate::ids::MessageId;
use crate::wire::Wire;

use super::Content;
use super::external::External;
use super::part::{Body, Disposition, Part, Semantics};
use super::poll::{CLOSING, POLL, Poll, VOTE, Vote};
use super::receipt::{RECEIPTS, Receipt, Receipts};
use super::text::{self, MARKDOWN, PLAIN, harmless_lines};

/// What a content means.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind<'c> {
    /// Text to be shown.
    Text {
        /// The text. It may hold anything that Unicode has; only names and the like need to be
        /// [harmless](super::harmless).
        text: &'c str,
        /// How to show it.
        format: Format,
    },
    /// A reaction to a message.
    Reaction {
        /// The message.
        to: MessageId,
        /// An emoji, or a few words.
        with: &'c str,
    },
    /// Deletes a message, if its sender may.
    Deletion {
        /// The message.
        of: MessageId,
    },
    /// A poll.
    Poll(Poll),
    /// A vote.
    Vote {
        /// The poll.
        poll: MessageId,
        /// The numbers of the options voted for.
        options: Vec<usize>,
    },
    /// Closes a poll, if its sender may.
    Closing {
        /// The poll.
        poll: MessageId,
    },
    /// A file that lies elsewhere.
    Attachment(&'c External),
    /// What became of messages.
    Receipts(Vec<Receipt>),
    /// Something of an app's own: show what you know, else the [fallback](Content::fallback).
    Custom {
        /// Its media type.
        media_type: &'c str,
        /// Its bytes.
        bytes: &'c [u8],
    },
    /// Several parts, or something this version does not know: look at [`Content::part`].
    Other,
}

/// How to show a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As it is.
    Plain,
    /// As Markdown; HTML in it is to be shown as text.
    Markdown,
}

impl Content {
    /// What it means. An edit is told as what it would be by itself, though it only changes what the message that it
    /// [replaces](Self::replaces) shows.
    #[must_use]
    pub fn kind(&self) -> Kind<'_> {
        match (self.replaces, &self.part.body, self.in_reply_to) {
            (Some(of), Body::Null, _) => Kind::Deletion { of },
            (None, Body::Null, _) => Kind::Other,
            (_, _, Some(to)) if self.part.disposition == Disposition::REACTION => match text::of(&self.part, PLAIN) {
                Some(with) if text::is_reaction(with) => Kind::Reaction { to, with },
                _ => Kind::Other,
            },
            _ => self.shown(),
        }
    }

    /// What an app shows that knows nothing but text: the first plain text in it, else Markdown as it is, else what is
    /// said of a file; empty if there is none of them. Without characters that [do harm](super::harmless_lines).
    #[must_use]
    pub fn fallback(&self) -> String {
        let leaves = self.part.leaves();
        let first = |kind| leaves.iter().find_map(|leaf| text::of(leaf, kind)).map(harmless_lines).map(Cow::into_owned);
        let file = || {
            leaves.iter().find_map(|leaf| match &leaf.body {
                Body::External(file) => Some(file.fallback()),
                _ => None,
            })
        };
        first(PLAIN).or_else(|| first(MARKDOWN)).or_else(file).unwrap_or_default()
    }

    fn shown(&self) -> Kind<'_> {
        match &self.part.body {
            Body::Multi { semantics: Semantics::ChooseOne, parts } => self.chosen(parts),
            _ => self.kind_of(&self.part),
        }
    }

    /// Of alternatives the first, unless it is not known and a later one is, and more than text: so a kind of the future
    /// can have one of today beside it.
    fn chosen<'c>(&self, parts: &'c [Part]) -> Kind<'c> {
        let mut kinds = parts.iter().map(|part| self.kind_of(part));
        let first = kinds.next().unwrap_or(Kind::Other);
        let is_known = |kind: &Kind<'_>| !matches!(kind, Kind::Custom { .. } | Kind::Other);
        if is_known(&first) {
            return first;
        }
        kinds.find(|kind| is_known(kind) && !matches!(kind, Kind::Text { .. })).unwrap_or(first)
    }

    fn kind_of<'c>(&self, part: &'c Part) -> Kind<'c> {
        match &part.body {
            Body::External(file) => Kind::Attachment(file),
            Body::Single { media_type, bytes } => self.known(part, (media_type, bytes)),
            Body::Null | Body::Multi { .. } => Kind::Other,
        }
    }

    /// What claims to be a poll or a vote and is not well-formed is just something unknown, with its fallback.
    fn known<'c>(&self, part: &'c Part, (media_type, bytes): (&'c str, &'c [u8])) -> Kind<'c> {
        let custom = Kind::Custom { media_type, bytes };
        let plain = text::of(part, PLAIN).map(|text| Kind::Text { text, format: Format::Plain });
        let markdown = || text::of(part, MARKDOWN).map(|text| Kind::Text { text, format: Format::Markdown });
        if let Some(text) = plain.or_else(markdown) {
            return text;
        }
        let known = match (media_type, self.in_reply_to) {
            (POLL, _) => Poll::decode(bytes).ok().map(Kind::Poll),
            (VOTE, Some(poll)) => Vote::decode(bytes).ok().map(|Vote(options)| Kind::Vote { poll, options }),
            (CLOSING, Some(poll)) if bytes.is_empty() => Some(Kind::Closing { poll }),
            (RECEIPTS, _) => Receipts::decode(bytes).ok().map(|Receipts(receipts)| Kind::Receipts(receipts)),
            _ => None,
        };
        known.unwrap_or(custom)
    }
}
