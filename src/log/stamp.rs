//! What a hub signs about a message, so that others can tell when it got it (`docs/protocol.md`, section 12.2).

use core::fmt;

use super::{EntryBody, LogEntry};
use crate::crypto::kdf::{Hash, sha256};
use crate::crypto::sign::{Signature, SignatureInput, SigningKey, VerifyKey};
use crate::error::{Error, Result};
use crate::ids::{GroupId, Timestamp};
use crate::labels;
use crate::wire::{Reader, Wire, Writer, public_encoding};

/// The key that a hub signs its [stamps](Stamp) with. Its public half is published, and named by whoever relies on it.
pub struct HubKey(SigningKey);

impl HubKey {
    /// A hub's key. Use it for nothing else.
    #[must_use]
    pub const fn new(key: SigningKey) -> Self {
        Self(key)
    }

    /// What verifies its stamps.
    #[must_use]
    pub const fn public(&self) -> &VerifyKey {
        self.0.verify_key()
    }

    /// Signs that this entry of a log is a message, and when the hub got it, by the hub's clock.
    ///
    /// Fails with `Misuse` if the entry is not a message.
    pub fn stamp(&self, entry: &LogEntry, received: Timestamp) -> Result<Stamp> {
        let EntryBody::Message(frame) = &entry.body else {
            return Err(Error::misuse("only messages are stamped"));
        };
        let unsigned = Unsigned { group: entry.group, seq: entry.seq, frame: sha256(frame), received };
        let signature = self.0.sign(&unsigned.input());
        Ok(Stamp { unsigned, signature })
    }
}

impl fmt::Debug for HubKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(key) = self;
        f.debug_tuple("HubKey").field(key.verify_key()).finish()
    }
}

/// A hub's word that a message was in a group's log, where, and when it came; about 125 bytes. Not secret: of the
/// message it holds a hash of what is encrypted.
///
/// Nothing of it counts before [`verify`](Self::verify).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    unsigned: Unsigned,
    signature: Signature,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Unsigned {
    group: GroupId,
    seq: u64,
    frame: Hash,
    received: Timestamp,
}

impl Unsigned {
    fn input(&self) -> SignatureInput {
        let Self { group, seq, frame, received } = self;
        SignatureInput::new(labels::SIGN_STAMP, 4, |w| {
            w.item(group).uint(*seq).bytes(frame).item(received);
        })
    }
}

impl Stamp {
    /// The group in whose log it is.
    #[must_use]
    pub const fn group(&self) -> GroupId {
        self.unsigned.group
    }

    /// The place in the log.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.unsigned.seq
    }

    /// SHA-256 of the message's frame, 32 bytes.
    #[must_use]
    pub const fn frame_hash(&self) -> &[u8; 32] {
        &self.unsigned.frame
    }

    /// When the hub got it, by the hub's clock.
    #[must_use]
    pub const fn received(&self) -> Timestamp {
        self.unsigned.received
    }

    /// Whether this hub signed it; `Unauthentic` if not.
    pub fn verify(&self, hub: &VerifyKey) -> Result<()> {
        hub.verify(&self.unsigned.input(), &self.signature)
    }
}

impl Wire for Stamp {
    fn write(&self, w: &mut Writer) {
        let Unsigned { group, seq, frame, received } = &self.unsigned;
        w.array(5).item(group).uint(*seq).bytes(frame).item(received).item(&self.signature);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(5)?;
        let unsigned = Unsigned { group: r.item()?, seq: r.u64()?, frame: r.fixed()?, received: r.item()? };
        Ok(Self { unsigned, signature: r.item()? })
    }
}

public_encoding!(Stamp);
