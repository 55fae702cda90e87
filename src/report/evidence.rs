//! What a reader keeps of a message to be able to report it (`docs/protocol.md`, section 12.1).

use core::fmt;
use std::sync::Arc;

use crate::crypto::kdf::Hash;
use crate::error::{Error, ErrorKind, Result};
use crate::group::{GroupContext, MessageContent, Said, seal_message};
use crate::identity::{Leaf, UnverifiedLeaf};
use crate::ids::{Generation, LeafIndex};
use crate::limits;
use crate::ratchet::{Proof, Scene};
use crate::wire::{Reader, Wire, Writer};

/// The version of its form.
const VERSION: u64 = 1;

/// All that a [`Report`](super::Report) of one message needs but its content and the hub's stamp: about 1 kB.
///
/// It holds the key of that one message, and so is as confidential as its content: wiped when the last clone, all of
/// which share it, is dropped, and not shown by `Debug`. Whoever has it and the content can prove who wrote that.
#[derive(Clone, PartialEq, Eq)]
pub struct Evidence(Arc<Kept>);

#[derive(PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) context: GroupContext,
    pub(super) leaf: UnverifiedLeaf,
    pub(super) at: (LeafIndex, Generation),
    pub(super) proof: Proof,
    /// What the message carried besides the app's bytes.
    pub(super) seen: [u8; 16],
    pub(super) nonce: [u8; 16],
}

impl Evidence {
    /// Of an authentic message of this leaf, in the epoch of this context, that carried `seen` and a content with this
    /// nonce.
    pub(crate) fn new(
        (context, leaf): (&GroupContext, &Leaf),
        at: (LeafIndex, Generation),
        proof: Proof,
        (seen, nonce): ([u8; 16], [u8; 16]),
    ) -> Result<Self> {
        let (context, leaf) = (context.clone(), UnverifiedLeaf::try_from(leaf)?);
        Ok(Self(Arc::new(Kept { context, leaf, at, proof, seen, nonce })))
    }

    pub(super) fn kept(&self) -> &Kept {
        &self.0
    }

    /// The one encoding, for the app to store. Whoever copies it takes over the duty to erase it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.encode()
    }

    /// Reads [`to_bytes`](Self::to_bytes). Fails with `Malformed`, `Limit` or `Unsupported`, and refuses any bytes but
    /// the one encoding.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::decode(bytes)
    }
}

impl Kept {
    /// What the message's content was, whole, if this is what the app said; `Limit` if no message carries as much.
    pub(super) fn content(&self, app: &[u8]) -> Result<Vec<u8>> {
        let content = MessageContent { nonce: self.nonce, said: Said::App(app.to_vec()) }.encode();
        // What a frame carries is longer than this by what it has seen and two heads.
        if self.carried(&content).len() > limits::MESSAGE_CONTENT {
            return Err(Error::limit("a report of more than a message carries"));
        }
        Ok(content)
    }

    /// What the frame carried around this content.
    pub(super) fn carried(&self, content: &[u8]) -> Vec<u8> {
        seal_message(&self.seen, content)
    }

    /// Where the message was said.
    pub(super) fn scene(&self) -> Scene {
        let context_hash: Hash = self.context.hash();
        Scene { group: self.context.group, epoch: self.context.epoch, context_hash }
    }
}

impl fmt::Debug for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Kept { context, leaf, at, proof: _, seen: _, nonce: _ } = self.kept();
        f.debug_struct("Evidence")
            .field("group", &context.group)
            .field("epoch", &context.epoch)
            .field("user", leaf.claims().user())
            .field("at", at)
            .finish_non_exhaustive()
    }
}

impl Wire for Evidence {
    fn write(&self, w: &mut Writer) {
        let Kept { context, leaf, at: (index, generation), proof, seen, nonce } = self.kept();
        w.array(8).uint(VERSION).item(context).bytes(&leaf.encode());
        w.item(index).item(generation).item(proof).bytes(seen).bytes(nonce);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(8)?;
        if r.u64()? != VERSION {
            return Err(Error::new(ErrorKind::Unsupported, "evidence of another version: update the library"));
        }
        let (context, leaf) = (r.item()?, UnverifiedLeaf::decode(r.bytes(limits::LEAF)?)?);
        let (at, proof) = ((r.item()?, r.item()?), r.item()?);
        Ok(Self(Arc::new(Kept { context, leaf, at, proof, seen: r.fixed()?, nonce: r.fixed()? })))
    }
}
