//! Sealed envelopes: one payload to many recipients, with a sender whom only they learn
//! (`docs/protocol.md`, section 4).
//!
//! A random 32-byte seed decides the key of the payload; each recipient finds the seed in a *stanza* of its own, 48
//! bytes for an X25519 key and 1,168 bytes for a post-quantum X-Wing key. The header commits to the seed, so all
//! recipients read the same payload, and the sender's signature is inside the encryption.
//!
//! To send something sealed without a group, use [`seal_to`] and [`open_from`], with a [`ReplayGuard`] for each
//! receiving key:
//!
//! ```
//! use convivio::envelope::{Opener, Recipient, ReplayGuard, open_from, recipient_id, seal_to};
//! use convivio::{SealSecret, SigningKey};
//! # fn main() -> convivio::Result<()> {
//! # let mut rng = rand::rng();
//! let (alice, bob) = (SigningKey::generate(&mut rng), SealSecret::generate(&mut rng));
//! let to_bob = recipient_id(bob.public().as_bytes());
//!
//! let recipients = [Recipient::X25519 { id: to_bob.clone(), key: bob.public() }];
//! let envelope = seal_to(&alice, b"alice@example", &recipients, b"hello", &mut rng)?;
//!
//! let for_bob = envelope.split(&to_bob).expect("it was sealed to Bob");
//! let (opened, sender) = open_from(&for_bob, Opener::X25519(&bob), &to_bob)?;
//! assert_eq!(&sender.key, alice.verify_key()); // whether to trust this key is Bob's decision
//! ReplayGuard::new().accept(&opened)?; // and one that was opened before is refused
//! assert_eq!(opened.payload(), b"hello");
//! # Ok(()) }
//! ```
//!
//! Not forward secret: whoever later learns a recipient's private key opens every envelope recorded for it. That is
//! what groups are for, which use envelopes for their commits and welcomes.

mod header;
mod mkem;
mod open;
mod seal;
mod standalone;
#[cfg(test)]
mod tests;

use core::fmt;

pub use self::header::{EnvelopeType, Header};
pub use self::open::{OpenedEnvelope, UnverifiedEnvelope, open};
pub use self::seal::{Draft, SignedDraft};
pub use self::standalone::{ReplayGuard, Sender, open_from, recipient_id, seal_to};
use crate::crypto::aead;
use crate::crypto::kem::{InitKey, InitSecret, SealKey, SealSecret};
use crate::error::{Error, Result};
use crate::limits;
use crate::padding;
use crate::wire::{Reader, Wire, Writer, bytes_id, public_encoding};

bytes_id! {
    /// An envelope: the hash of everything its sender signed, 32 bytes.
    EnvelopeId, 32
}

/// Bytes of the longest padded payload.
const MAX_PADDED: usize = padding::padded_len(limits::ENVELOPE_PAYLOAD);

/// Bytes of the longest body: the longest of each of its parts, and room for their heads.
const MAX_BODY: usize = MAX_PADDED
    + limits::ENVELOPE_SENDER
    + limits::ENVELOPE_RECIPIENTS * (limits::ENVELOPE_RECIPIENT_ID + 2)
    + crate::Signature::LEN
    + limits::ENVELOPE_TAIL
    + aead::TAG
    + 32;

/// Whom to seal to: an opaque id of 1 to 32 bytes by which the recipient finds its stanza, and a key.
#[derive(Clone, Debug)]
pub enum Recipient<'a> {
    /// A long-lived or leaf key.
    X25519 {
        /// The id.
        id: Vec<u8>,
        /// The key.
        key: &'a SealKey,
    },
    /// The post-quantum key of a key package.
    XWing {
        /// The id.
        id: Vec<u8>,
        /// The key.
        key: &'a InitKey,
    },
}

impl Recipient<'_> {
    /// The id.
    #[must_use]
    pub fn id(&self) -> &[u8] {
        match self {
            Self::X25519 { id, .. } | Self::XWing { id, .. } => id,
        }
    }
}

/// The private key to open with.
#[derive(Clone, Copy, Debug)]
pub enum Opener<'a> {
    /// For an X25519 recipient.
    X25519(&'a SealSecret),
    /// For an X-Wing recipient.
    XWing {
        /// The private key.
        secret: &'a InitSecret,
        /// Its public half if it is at hand; deriving it costs an ML-KEM key generation.
        public: Option<&'a InitKey>,
    },
}

/// One recipient's copy of the seed, sealed to its key.
#[derive(Clone, PartialEq, Eq)]
pub struct Stanza {
    recipient: Vec<u8>,
    bytes: Vec<u8>,
}

impl Stanza {
    /// The recipient's id: 1 to 32 bytes.
    #[must_use]
    pub fn recipient(&self) -> &[u8] {
        &self.recipient
    }

    /// The sealed seed: 48 bytes for X25519, 1,168 bytes for X-Wing.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Wire for Stanza {
    fn write(&self, w: &mut Writer) {
        w.array(2).bytes(&self.recipient).bytes(&self.bytes);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(2)?;
        let recipient = r.bytes(limits::ENVELOPE_RECIPIENT_ID)?.to_vec();
        Ok(Self { recipient, bytes: r.bytes(mkem::XWING_STANZA)?.to_vec() })
    }
}

impl fmt::Debug for Stanza {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { recipient, bytes } = self;
        f.debug_struct("Stanza").field("recipient", recipient).field("bytes", &bytes.len()).finish()
    }
}

/// A sealed envelope with the stanzas of all its recipients, sorted by their ids.
///
/// Whoever carries it may hand each recipient only its part ([`split`](Self::split)).
#[derive(Clone, PartialEq, Eq)]
pub struct Envelope {
    header: Header,
    stanzas: Vec<Stanza>,
    body: Vec<u8>,
}

impl Envelope {
    /// The public header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The stanzas, in the order of their recipients' ids.
    #[must_use]
    pub fn stanzas(&self) -> &[Stanza] {
        &self.stanzas
    }

    /// The encrypted body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The part of one recipient; `None` if there is no stanza for it.
    #[must_use]
    pub fn split(&self, recipient: &[u8]) -> Option<EnvelopeFor> {
        let index = self.stanzas.binary_search_by(|stanza| stanza.recipient.as_slice().cmp(recipient)).ok()?;
        let stanza = self.stanzas.get(index)?.bytes.clone();
        Some(EnvelopeFor { header: self.header.clone(), stanza, body: self.body.clone() })
    }

    /// The one way to make one, sent or received: everything about its form is checked here.
    fn new(header: Header, stanzas: Vec<Stanza>, body: Vec<u8>) -> Result<Self> {
        if stanzas.len() > header.kind().max_recipients() || body.len() > MAX_BODY {
            return Err(Error::limit("an envelope has more recipients or a longer body than the protocol allows"));
        }
        let len = mkem::stanza_len(&header);
        if stanzas.is_empty() || stanzas.iter().any(|stanza| stanza.bytes.len() != len) {
            return Err(Error::malformed("an envelope has no stanza, or one of the wrong length"));
        }
        check_ids(stanzas.iter().map(Stanza::recipient))?;
        Ok(Self { header, stanzas, body })
    }
}

impl Wire for Envelope {
    fn write(&self, w: &mut Writer) {
        w.array(3).item(&self.header).list(self.stanzas.iter()).bytes(&self.body);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(3)?;
        let header: Header = r.item()?;
        let stanzas = r.list(header.kind().max_recipients())?;
        Self::new(header, stanzas, r.bytes(MAX_BODY)?.to_vec())
    }
}

public_encoding!(Envelope);

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { header, stanzas, body } = self;
        f.debug_struct("Envelope")
            .field("header", header)
            .field("stanzas", &stanzas.len())
            .field("body", &body.len())
            .finish()
    }
}

/// One recipient's part of an envelope: the header, its stanza, the body.
#[derive(Clone, PartialEq, Eq)]
pub struct EnvelopeFor {
    header: Header,
    stanza: Vec<u8>,
    body: Vec<u8>,
}

impl EnvelopeFor {
    /// Puts the parts together, as a carrier kept them. Fails with `Malformed` or `Limit`.
    pub fn new(header: Header, stanza: Vec<u8>, body: Vec<u8>) -> Result<Self> {
        if body.len() > MAX_BODY {
            return Err(Error::limit("an envelope's body is longer than the protocol allows"));
        }
        if stanza.len() != mkem::stanza_len(&header) {
            return Err(Error::malformed("a stanza has the wrong length"));
        }
        Ok(Self { header, stanza, body })
    }

    /// The public header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The stanza: 48 bytes for X25519, 1,168 bytes for X-Wing.
    #[must_use]
    pub fn stanza(&self) -> &[u8] {
        &self.stanza
    }

    /// The encrypted body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

impl Wire for EnvelopeFor {
    fn write(&self, w: &mut Writer) {
        w.array(3).item(&self.header).bytes(&self.stanza).bytes(&self.body);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(3)?;
        Self::new(r.item()?, r.bytes(mkem::XWING_STANZA)?.to_vec(), r.bytes(MAX_BODY)?.to_vec())
    }
}

public_encoding!(EnvelopeFor);

impl fmt::Debug for EnvelopeFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { header, stanza, body } = self;
        f.debug_struct("EnvelopeFor")
            .field("header", header)
            .field("stanza", &stanza.len())
            .field("body", &body.len())
            .finish()
    }
}

/// Ids of 1 to 32 bytes, in strictly ascending order, so that none appears twice.
fn check_ids<'a>(ids: impl Iterator<Item = &'a [u8]>) -> Result<()> {
    let mut last: &[u8] = &[];
    for id in ids {
        if id.len() > limits::ENVELOPE_RECIPIENT_ID {
            return Err(Error::limit("a recipient's id is longer than the protocol allows"));
        }
        // The empty id is not above the empty start.
        if id <= last {
            return Err(Error::malformed("recipients' ids are not unique, not in order, or empty"));
        }
        last = id;
    }
    Ok(())
}
