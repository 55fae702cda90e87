//! What people say: text, replies, reactions, edits, deletions, polls, attachments (`docs/protocol.md`, section 11).
//!
//! An optional layer. A group carries bytes; apps that want to understand each other put a [`Content`] into them, which
//! follows the form of MIMI content (draft-ietf-mimi-content). Whatever an app does not know it keeps and shows by its
//! [fallback](Content::fallback):
//!
//! ```
//! use convivio::content::{Choices, Content, Kind, Poll};
//!
//! let poll = Content::poll(&Poll::new("Where to?", &["Beach", "Mountains"], Choices::One)?);
//! let bytes = poll.to_bytes(); // what client.send takes
//!
//! let received = Content::from_bytes(&bytes)?;
//! assert!(matches!(received.kind(), Kind::Poll(poll) if poll.options() == ["Beach", "Mountains"]));
//! assert_eq!(received.fallback(), "Where to?\n1. Beach\n2. Mountains"); // for an app without polls
//! # Ok::<(), convivio::Error>(())
//! ```
//!
//! What was said adds up to a [`Conversation`], the same on every device whatever the order of arrival.

mod conversation;
mod expiry;
mod extensions;
mod external;
pub mod features;
mod kind;
mod mentions;
mod part;
mod poll;
mod receipt;
mod said;
mod text;
mod view;

pub use self::conversation::{Conversation, Posted};
pub use self::expiry::Expiry;
pub use self::extensions::Extensions;
pub use self::external::External;
pub use self::kind::{Format, Kind};
pub use self::part::{Body, Disposition, Part, Semantics};
pub use self::poll::{Choices, Poll};
pub use self::receipt::{Receipt, Status};
pub use self::text::{MARKDOWN, PLAIN, harmless, harmless_lines, safe_url};
pub use self::view::{MessageView, Tally};

use rand::RngExt as _;

use crate::error::{Error, Result};
use crate::ids::MessageId;
use crate::limits;
use crate::wire::{Reader, Wire, Writer, public_encoding};

/// One message's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// 16 random bytes.
    salt: [u8; 16],
    /// The message that this one takes the place of.
    pub replaces: Option<MessageId>,
    /// What groups messages into a thread; empty for none, at most [`limits::CONTENT_TOPIC`] bytes.
    pub topic: Vec<u8>,
    /// When readers should delete it.
    pub expires: Option<Expiry>,
    /// The message that this one answers or is about.
    pub in_reply_to: Option<MessageId>,
    /// Fields this version does not know, and an app's own.
    pub extensions: Extensions,
    /// The body.
    pub part: Part,
}

impl Content {
    /// A content of one part, or of a tree of them.
    #[must_use]
    pub fn new(part: Part) -> Self {
        Self {
            salt: rand::rng().random(),
            replaces: None,
            topic: Vec::new(),
            expires: None,
            in_reply_to: None,
            extensions: Extensions::default(),
            part,
        }
    }

    /// Plain text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::new(Part::new(PLAIN, text))
    }

    /// Markdown, in GitHub's flavour without HTML.
    #[must_use]
    pub fn markdown(text: &str) -> Self {
        Self::new(Part::new(MARKDOWN, text))
    }

    /// A reaction to a message, such as one emoji. Deleting the reaction takes it back.
    ///
    /// Fails with `Malformed` for more than [`limits::REACTION`] bytes, for nothing, and for characters that mislead:
    /// others would show it as a message.
    pub fn reaction(to: MessageId, with: &str) -> Result<Self> {
        if !text::is_reaction(with) {
            return Err(Error::malformed("a reaction is an emoji or a word, of at most 64 bytes"));
        }
        let part = Part { disposition: Disposition::REACTION, ..Part::new(PLAIN, with) };
        Ok(Self::new(part).reply_to(to))
    }

    /// Deletes a message for all: one's own, or as an admin anyone's.
    #[must_use]
    pub fn deletion(of: MessageId) -> Self {
        Self { replaces: Some(of), ..Self::new(Part::null()) }
    }

    /// A poll.
    #[must_use]
    pub fn poll(poll: &Poll) -> Self {
        Self::new(poll.to_part())
    }

    /// A vote in a poll, which replaces an earlier one of the same user: the numbers of the options, from 0; none to
    /// abstain after all. Fails with `Misuse` for what does not count in this poll.
    pub fn vote(id: MessageId, poll: &Poll, options: &[usize]) -> Result<Self> {
        Ok(Self::new(poll.vote(options)?).reply_to(id))
    }

    /// Closes a poll: its author's right, and an admin's.
    #[must_use]
    pub fn close(poll: MessageId) -> Self {
        Self::new(poll::closing()).reply_to(poll)
    }

    /// A file that lies elsewhere.
    #[must_use]
    pub fn attachment(file: External) -> Self {
        let body = Body::External(Box::new(file));
        Self::new(Part { disposition: Disposition::ATTACHMENT, language: String::new(), body })
    }

    /// Something of an app's own, with the text that other apps show.
    #[must_use]
    pub fn custom(media_type: &str, bytes: &[u8], fallback: &str) -> Self {
        let parts = vec![Part::new(media_type, bytes), Part::new(PLAIN, fallback)];
        Self::new(Part::choose_one(Disposition::RENDER, parts))
    }

    /// Tells which messages were delivered or read. Send it only if the user agreed to that; see
    /// [`Conversation::receipts_due`]. Fails with `Limit` for more than [`limits::RECEIPTS`].
    pub fn receipts(receipts: &[Receipt]) -> Result<Self> {
        receipt::to_part(receipts).map(Self::new)
    }

    /// As an answer to a message.
    #[must_use]
    pub fn reply_to(self, message: MessageId) -> Self {
        Self { in_reply_to: Some(message), ..self }
    }

    /// In place of a message of one's own: an edit. It counts as nothing else: a vote, closing or receipt that replaces
    /// something is none, and a reaction only changes the one that it replaces.
    #[must_use]
    pub fn replacing(self, message: MessageId) -> Self {
        Self { replaces: Some(message), ..self }
    }

    /// With an end. Honest readers delete it then; nobody can be forced to.
    #[must_use]
    pub fn expiring(self, expires: Expiry) -> Self {
        Self { expires: Some(expires), ..self }
    }

    /// In a thread.
    #[must_use]
    pub fn in_topic(self, topic: &[u8]) -> Self {
        Self { topic: topic.to_vec(), ..self }
    }

    /// With a language, as a list of tags (RFC 5646) such as `"de"`, on its outermost part.
    #[must_use]
    pub fn in_language(mut self, language: &str) -> Self {
        language.clone_into(&mut self.part.language);
        self
    }

    /// Whether others can read it: fails as they would, with `Limit` for what is too long, too deep or too much, and with
    /// `Malformed` for fewer than two parts in a whole. Of what the functions here make only texts can be too long, as an
    /// option's, a file's or a topic's; ask before sending what was put together by hand.
    pub fn check(&self) -> Result<()> {
        Self::from_bytes(&self.to_bytes()).map(drop)
    }

    /// With 16 bytes of your own as salt, for reproducible examples.
    #[must_use]
    pub fn with_salt(self, salt: [u8; 16]) -> Self {
        Self { salt, ..self }
    }
}

impl Wire for Content {
    fn write(&self, w: &mut Writer) {
        let Self { salt, replaces, topic, expires, in_reply_to, extensions, part } = self;
        w.array(7).bytes(salt).option(replaces.as_ref()).bytes(topic).option(expires.as_ref());
        w.option(in_reply_to.as_ref()).item(extensions).item(part);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(7)?;
        Ok(Self {
            salt: r.fixed()?,
            replaces: r.option()?,
            topic: r.bytes(limits::CONTENT_TOPIC)?.to_vec(),
            expires: r.option()?,
            in_reply_to: r.option()?,
            extensions: r.item()?,
            part: r.item()?,
        })
    }
}

public_encoding!(Content);
