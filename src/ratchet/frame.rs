//! The message frame: a fixed layout, and the mask over its header (`docs/protocol.md`, section 6).

use core::fmt;

use super::chain::Position;
use crate::crypto::aead;
use crate::crypto::kdf::Hash;
use crate::crypto::sign::Signature;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{Epoch, Generation, GroupId, LeafIndex};
use crate::labels;
use crate::limits::MESSAGE_CONTENT;
use crate::padding::padded_len;
use crate::secret::Secret;
use crate::wire::{Writer, labelled_short};

/// Version 1 in the high four bits, type 1, a group message, in the low.
const VERSION_AND_TYPE: u8 = 0x11;

/// Bytes before the ciphertext: version and type 1, group id 16, epoch 4, salt 16, protected header 8.
pub(super) const CLEAR: usize = 45;

/// Bytes of a frame over its padded content: what is clear, the signature and the tag.
pub(super) const OVERHEAD: usize = CLEAR + Signature::LEN + aead::TAG;

/// What all messages of one epoch share: where they belong and the key that hides who sent them.
///
/// The group layer derives it from the epoch secret; whoever uses this pillar alone makes one whenever the set of
/// readers changes (see the [module](crate::ratchet)). Holds a secret, so there is no `Clone`; `Debug` shows no key.
pub struct EpochContext {
    group: GroupId,
    epoch: Epoch,
    context_hash: Hash,
    header_key: Secret<32>,
}

impl EpochContext {
    /// The context of `epoch` of `group`.
    ///
    /// `context_hash` (32 bytes) is the hash of everything sender and readers must agree on, such as the roster: a
    /// message made under another one does not open. `header_key` (32 bytes) hides leaf and generation from whoever
    /// carries the messages; every reader has it.
    #[must_use]
    pub const fn new(group: GroupId, epoch: Epoch, context_hash: [u8; 32], header_key: Secret<32>) -> Self {
        Self { group, epoch, context_hash, header_key }
    }

    /// The group.
    #[must_use]
    pub const fn group(&self) -> &GroupId {
        &self.group
    }

    /// The epoch, of which a frame shows the low 32 bits.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The hash that every message is bound to, 32 bytes.
    #[must_use]
    pub const fn context_hash(&self) -> &[u8; 32] {
        &self.context_hash
    }

    /// The key of the header mask, for the owner to store.
    #[must_use]
    pub const fn header_key(&self) -> &Secret<32> {
        &self.header_key
    }

    const fn epoch_low(&self) -> [u8; 4] {
        low(self.epoch)
    }

    /// The mask is its own inverse.
    fn mask(&self, salt: &[u8; 16], mut header: [u8; 8]) -> [u8; 8] {
        aead::mask_header(self.header_key.expose(), salt, &mut header);
        header
    }
}

impl fmt::Debug for EpochContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, epoch, context_hash: _, header_key: _ } = self;
        f.debug_struct("EpochContext").field("group", group).field("epoch", epoch).finish_non_exhaustive()
    }
}

/// A group message as it travels, within its bounds but neither opened nor verified: everything read from it is a
/// claim until [`ReceivingChains`](super::ReceivingChains) accepts it.
///
/// | field | bytes |
/// |---|---|
/// | version and type, 0x11 | 1 |
/// | group id | 16 |
/// | low 32 bits of the epoch, big-endian | 4 |
/// | salt | 16 |
/// | protected header: leaf index ‖ generation, each 32 bits big-endian, under the mask | 8 |
/// | ciphertext: padded content ‖ signature | n + 64 |
/// | tag | 16 |
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    clear: &'a [u8; CLEAR],
    group: GroupId,
    epoch_low: [u8; 4],
    salt: &'a [u8; 16],
    header: [u8; 8],
    sealed: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Reads the layout. Fails with `Malformed` on fewer bytes than the shortest message has, `Limit` on more than
    /// the longest has, and `Unsupported` on another version or type.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        if bytes.len() > OVERHEAD + padded_len(MESSAGE_CONTENT) {
            return Err(Error::limit("a message is longer than the protocol allows"));
        }
        if bytes.len() < OVERHEAD + padded_len(0) {
            return Err(TRUNCATED);
        }
        let (clear, sealed) = bytes.split_first_chunk::<CLEAR>().ok_or(TRUNCATED)?;
        let [version_and_type, rest @ ..] = clear;
        if *version_and_type != VERSION_AND_TYPE {
            let what = "not a group message this version knows: update the library";
            return Err(Error::new(ErrorKind::Unsupported, what));
        }
        let (group, rest) = rest.split_first_chunk().ok_or(TRUNCATED)?;
        let (epoch_low, rest) = rest.split_first_chunk().ok_or(TRUNCATED)?;
        let (salt, rest) = rest.split_first_chunk().ok_or(TRUNCATED)?;
        let header = rest.first_chunk().ok_or(TRUNCATED)?;
        Ok(Self { clear, group: GroupId(*group), epoch_low: *epoch_low, salt, header: *header, sealed })
    }

    /// The group it claims to belong to.
    #[must_use]
    pub const fn group(&self) -> GroupId {
        self.group
    }

    /// The low 32 bits of the epoch it claims to belong to.
    #[must_use]
    pub const fn epoch_low(&self) -> u32 {
        u32::from_be_bytes(self.epoch_low)
    }

    /// Whether group and epoch are those of `epoch`, as far as the frame shows them.
    #[must_use]
    pub fn is_for(&self, epoch: &EpochContext) -> bool {
        self.group == epoch.group && self.epoch_low == epoch.epoch_low()
    }

    /// The sender's leaf index and generation it claims. Meaningless unless the frame [is for](Self::is_for) `epoch`.
    #[must_use]
    pub fn unmask(&self, epoch: &EpochContext) -> (LeafIndex, Generation) {
        let [a, b, c, d, e, f, g, h] = epoch.mask(self.salt, self.header);
        (LeafIndex(u32::from_be_bytes([a, b, c, d])), Generation(u32::from_be_bytes([e, f, g, h])))
    }

    /// What it claims in this epoch; `Unauthentic` if it is of another group or epoch.
    pub(super) fn claim(&self, epoch: &EpochContext) -> Result<Claim> {
        if !self.is_for(epoch) {
            return Err(Error::unauthentic());
        }
        let (leaf, generation) = self.unmask(epoch);
        Ok(Claim { at: Position { leaf, generation }, salt: *self.salt, clear: *self.clear })
    }
}

/// What a frame claims: its place, the salt of its message key, and the bytes before the ciphertext.
pub(super) struct Claim {
    pub(super) at: Position,
    pub(super) salt: [u8; 16],
    pub(super) clear: [u8; CLEAR],
}

impl Claim {
    /// Leaf and generation as the frame has them, under the mask.
    pub(super) const fn header(&self) -> [u8; 8] {
        let [.., a, b, c, d, e, f, g, h] = self.clear;
        [a, b, c, d, e, f, g, h]
    }
}

impl fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { clear: _, group, epoch_low: _, salt: _, header: _, sealed } = self;
        f.debug_struct("Frame")
            .field("group", group)
            .field("epoch_low", &self.epoch_low())
            .field("sealed_len", &sealed.len())
            .finish()
    }
}

/// The bytes before the ciphertext.
pub(super) fn clear_bytes(
    epoch: &EpochContext,
    salt: &[u8; 16],
    leaf: LeafIndex,
    generation: Generation,
) -> [u8; CLEAR] {
    let [a, b, c, d] = leaf.0.to_be_bytes();
    let [e, f, g, h] = generation.0.to_be_bytes();
    layout(epoch.group, epoch.epoch, salt, epoch.mask(salt, [a, b, c, d, e, f, g, h]))
}

/// The same, from a header that is masked already.
pub(super) fn layout(group: GroupId, epoch: Epoch, salt: &[u8; 16], header: [u8; 8]) -> [u8; CLEAR] {
    let fields = [VERSION_AND_TYPE].into_iter().chain(group.0).chain(low(epoch)).chain(*salt).chain(header);
    let mut clear = [0; CLEAR];
    clear.iter_mut().zip(fields).for_each(|(byte, field)| *byte = field);
    clear
}

/// The associated data of a message: array(label, context hash, the bytes before the ciphertext).
pub(super) fn aad(context_hash: &Hash, clear: &[u8; CLEAR]) -> Writer {
    labelled_short(labels::MESSAGE_AAD, 2, |w| {
        w.bytes(context_hash).bytes(clear);
    })
}

/// The low 32 bits of an epoch, big-endian.
const fn low(epoch: Epoch) -> [u8; 4] {
    let [.., a, b, c, d] = epoch.0.to_be_bytes();
    [a, b, c, d]
}

const TRUNCATED: Error = Error::malformed("a message is shorter than its fixed fields");
