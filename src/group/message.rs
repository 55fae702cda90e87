//! What a group message holds, and its id (`docs/protocol.md`, section 6.4).

use super::proposal::LeaveScope;
use crate::crypto::kdf;
use crate::crypto::sign::Signature;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::UserUri;
use crate::ids::{DeviceId, GroupId, LeafHash, MessageId};
use crate::labels;
use crate::limits;
use crate::wire::{Reader, Wire, Writer};

/// The content of a message: a random nonce, so that equal texts are different messages, and what is said.
///
/// Encoded once, when it is queued; every encryption of it, in whichever epoch, carries the same bytes. A leave alone is
/// signed anew if the leaf's key has changed meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MessageContent {
    pub(crate) nonce: [u8; 16],
    pub(crate) said: Said,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// The app's bytes.
    App(Vec<u8>),
    /// The sender leaves; the signature is what a commit needs to take it out.
    Leave(LeaveScope, Signature),
    /// The sender is still in this epoch, and asks whether others are, or answers that.
    Here { asks: bool },
    /// The sender declines the request to be let in whose key package this is.
    Decline(LeafHash),
}

impl MessageContent {
    pub(crate) fn new(said: Said, rng: &mut dyn rand::CryptoRng) -> Self {
        let mut nonce = [0; 16];
        rng.fill_bytes(&mut nonce);
        Self { nonce, said }
    }
}

/// What kind of thing a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MessageKind {
    App,
    Leave,
    Here,
    Decline,
}

/// The kind of a content of this device's own, which needs no second look at its form.
pub(crate) fn kind_of(own: &[u8]) -> Option<MessageKind> {
    head(own).ok().map(|(kind, _)| kind)
}

/// The app's bytes in a content of this device's own.
pub(crate) fn app_bytes(own: &[u8]) -> Option<&[u8]> {
    let (MessageKind::App, mut r) = head(own).ok()? else { return None };
    r.bytes(limits::MESSAGE_CONTENT).ok()
}

fn head(content: &[u8]) -> Result<(MessageKind, Reader<'_>)> {
    let mut r = Reader::new(content);
    r.array(3)?;
    r.fixed_ref::<16>()?;
    let kind = match r.u8()? {
        0 => MessageKind::App,
        1 => MessageKind::Leave,
        2 => MessageKind::Here,
        3 => MessageKind::Decline,
        _ => return Err(Error::malformed("a kind of message that this device does not send")),
    };
    Ok((kind, r))
}

/// Which commit entry of the log the author of a message had processed last: the first half of its hash.
type Seen = [u8; 16];

/// What a frame carries: what its author had seen of the log, and the content.
pub(crate) fn seal_message(seen: &Seen, content: &[u8]) -> Vec<u8> {
    let mut w = Writer::new();
    w.array(2).bytes(seen).bytes(content);
    w.finish()
}

/// Reads [`seal_message`].
pub(crate) fn open_message(bytes: &[u8]) -> Result<(Seen, &[u8])> {
    let mut r = Reader::new(bytes);
    r.array(2)?;
    let seen = r.fixed()?;
    let content = r.bytes(limits::MESSAGE_CONTENT)?;
    r.finish()?;
    if seal_message(&seen, content) != bytes {
        return Err(Error::malformed("not the one deterministic encoding of a message"));
    }
    Ok((seen, content))
}

/// Equal for all members, stable across re-encryption, whatever a hub does to the bytes.
pub(crate) fn message_id(group: GroupId, user: &UserUri, device: DeviceId, content: &[u8]) -> MessageId {
    MessageId(kdf::hash(labels::HASH_MESSAGE_ID, 4, |w| {
        w.item(&group).item(user).item(&device).bytes(content);
    }))
}

impl Wire for MessageContent {
    fn write(&self, w: &mut Writer) {
        w.array(3).bytes(&self.nonce);
        match &self.said {
            Said::App(bytes) => w.uint(0).bytes(bytes),
            Said::Leave(scope, signature) => w.uint(1).array(2).item(scope).item(signature),
            Said::Here { asks } => w.uint(2).bool(*asks),
            Said::Decline(request) => w.uint(3).item(request),
        };
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(3)?;
        let nonce = r.fixed()?;
        let said = match r.u8()? {
            0 => Said::App(r.bytes(limits::MESSAGE_CONTENT)?.to_vec()),
            1 => {
                r.array(2)?;
                Said::Leave(r.item()?, r.item()?)
            }
            2 => Said::Here { asks: r.bool()? },
            3 => Said::Decline(r.item()?),
            _ => return Err(Error::new(ErrorKind::Unsupported, "a kind of message this version does not know")),
        };
        Ok(Self { nonce, said })
    }
}
