//! What shows one message to somebody who is not in the group (`docs/protocol.md`, section 12).

use core::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::chain::{self, Opened, Position};
use super::frame::{self, CLEAR, Claim};
use crate::crypto::aead;
use crate::crypto::kdf::{Expander, Hash, sha256};
use crate::crypto::sign::{Signature, VerifyKey};
use crate::error::Result;
use crate::ids::{Epoch, Generation, GroupId, LeafIndex};
use crate::padding::{pad_into, padded_len};
use crate::secret::Secret;
use crate::wire::{Reader, Wire, Writer};

/// What a reader can show of one message besides its content: the sender's signature, and what the frame is made with.
///
/// The message key opens this message and no other: chain keys do not follow from it. As confidential as the content.
pub struct Proof {
    message_key: Secret<32>,
    salt: [u8; 16],
    header: [u8; 8],
    signature: Signature,
}

/// Where a message was said: what its signature and its frame are bound to.
pub(crate) struct Scene {
    pub(crate) group: GroupId,
    pub(crate) epoch: Epoch,
    pub(crate) context_hash: Hash,
}

impl Proof {
    pub(super) fn new(message_key: &[u8; 32], claim: &Claim, opened: &Opened) -> Self {
        let (salt, header, signature) = (claim.salt, claim.header(), opened.signature);
        Self { message_key: Secret::copy_from(message_key), salt, header, signature }
    }

    /// Whether the holder of `key` signed this content at this place.
    pub(crate) fn verify(
        &self,
        key: &VerifyKey,
        (leaf, generation): (LeafIndex, Generation),
        scene: &Scene,
        content: &[u8],
    ) -> Result<()> {
        let mut padded = Vec::with_capacity(padded_len(content.len()));
        pad_into(&mut padded, content);
        let digest = sha256(&padded);
        let at = Position { leaf, generation };
        key.verify(&chain::signature_input(&scene.context_hash, at, &self.salt, &digest), &self.signature)
    }

    /// The frame in which this content travelled, byte for byte: all of it follows from the message key.
    pub(crate) fn frame(&self, scene: &Scene, content: &[u8]) -> Vec<u8> {
        let clear = frame::layout(scene.group, scene.epoch, &self.salt, self.header);
        let mut out = Vec::with_capacity(frame::OVERHEAD.saturating_add(padded_len(content.len())));
        out.extend_from_slice(&clear);
        pad_into(&mut out, content);
        out.extend_from_slice(self.signature.as_bytes());
        let mut key = Zeroizing::new([0; 32]);
        let nonce = chain::key_and_nonce(&Expander::new(self.message_key.expose()), &self.salt, &mut key);
        aead::seal_in_place(&key, &nonce, frame::aad(&scene.context_hash, &clear).as_slice(), &mut out, CLEAR);
        out
    }
}

impl PartialEq for Proof {
    fn eq(&self, other: &Self) -> bool {
        let Self { message_key, salt, header, signature } = self;
        let same = *salt == other.salt && *header == other.header && *signature == other.signature;
        bool::from(message_key.expose().ct_eq(other.message_key.expose())) && same
    }
}

impl Eq for Proof {}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { message_key: _, salt: _, header: _, signature } = self;
        f.debug_struct("Proof").field("signature", signature).finish_non_exhaustive()
    }
}

impl Wire for Proof {
    fn write(&self, w: &mut Writer) {
        w.array(4).bytes(self.message_key.expose()).bytes(&self.salt).bytes(&self.header).item(&self.signature);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(4)?;
        let message_key = Secret::copy_from(r.fixed_ref()?);
        Ok(Self { message_key, salt: r.fixed()?, header: r.fixed()?, signature: r.item()? })
    }
}
