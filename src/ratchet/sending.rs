//! The sender's side: a chain that is consumed by every message (`docs/protocol.md`, section 6).

use core::fmt;

use rand::CryptoRng;
use zeroize::Zeroizing;

use super::chain::{Author, Position, open, seal};
use super::frame::{EpochContext, Frame};
use super::sender_key::SenderKey;
use crate::crypto::kdf::chain_step;
use crate::crypto::sign::{SigningKey, VerifyKey};
use crate::error::{Error, Result};
use crate::ids::{Generation, LeafIndex};
use crate::limits::{MESSAGE_CONTENT, SKIPPED_PER_SENDER};
use crate::secret::Secret;

/// What [`SendingChain::encrypt`] gives: the frame and the chain for the next message, or the error and the chain as
/// it was.
pub type Encrypted = core::result::Result<(Vec<u8>, SendingChain), (Error, SendingChain)>;

/// One device's own sender key in one epoch: chain key, signing key and the generation of the next message.
///
/// [`encrypt`](Self::encrypt) consumes it and gives back the next one, so no generation is used twice:
///
/// ```compile_fail,E0382
/// # use convivio::ratchet::{EpochContext, SendingChain};
/// # fn twice(chain: SendingChain, epoch: &EpochContext, rng: &mut dyn rand::CryptoRng) {
/// let first = chain.encrypt(epoch, b"one", rng);
/// let second = chain.encrypt(epoch, b"two", rng); // the chain was moved
/// # }
/// ```
///
/// Store the next chain before the frame leaves the device. Should an old copy ever be restored, the salt of each
/// message keeps keys and nonces distinct all the same, and [`examine`](Self::examine) detects it.
pub struct SendingChain {
    leaf: LeafIndex,
    generation: Generation,
    chain_key: Secret<32>,
    signing: SigningKey,
}

impl SendingChain {
    /// A new chain at generation 0. `chain_key` is 32 bytes, fresh for this leaf in this epoch.
    #[must_use]
    pub const fn new(leaf: LeafIndex, chain_key: Secret<32>, signing: SigningKey) -> Self {
        Self::restore(leaf, Generation(0), chain_key, signing)
    }

    /// A stored chain whose next message has `generation` and comes from `chain_key`.
    #[must_use]
    pub const fn restore(leaf: LeafIndex, generation: Generation, chain_key: Secret<32>, signing: SigningKey) -> Self {
        Self { leaf, generation, chain_key, signing }
    }

    /// Encrypts and signs one message of at most [`MESSAGE_CONTENT`] bytes. The frame is 125 bytes longer than the
    /// padded content.
    ///
    /// Fails with `Limit` if the content is longer or the chain has come to its end after 2³² − 1 messages; the chain
    /// in the error is the one you had.
    #[expect(clippy::result_large_err, reason = "the error hands the chain back")]
    pub fn encrypt(self, epoch: &EpochContext, content: &[u8], rng: &mut dyn CryptoRng) -> Encrypted {
        let mut frame = Vec::new();
        let next = self.encrypt_into(epoch, content, rng, &mut frame)?;
        Ok((frame, next))
    }

    /// [`encrypt`](Self::encrypt) into a buffer of yours: appends the frame to `out`. On an error `out` is as it was.
    ///
    /// ```
    /// # use convivio::ratchet::{EpochContext, SendingChain};
    /// # fn send(mut chain: SendingChain, epoch: &EpochContext, rng: &mut dyn rand::CryptoRng) -> convivio::Result<()> {
    /// let mut packet = Vec::new();
    /// for text in [&b"hello"[..], b"all of you"] {
    ///     packet.clear();
    ///     packet.extend_from_slice(b"to the hub: ");
    ///     chain = chain.encrypt_into(epoch, text, rng, &mut packet).map_err(|(error, _)| error)?;
    ///     assert_eq!(packet.len(), 12 + 125 + (1 + text.len()).next_multiple_of(2));
    /// }
    /// # Ok(())
    /// # }
    /// # use convivio::{Epoch, GroupId, LeafIndex, Secret, SigningKey};
    /// # let mut rng = rand::rng();
    /// # let epoch = EpochContext::new(GroupId::generate(&mut rng), Epoch(1), [2; 32], Secret::generate(&mut rng));
    /// # let chain = SendingChain::new(LeafIndex(0), Secret::generate(&mut rng), SigningKey::generate(&mut rng));
    /// # send(chain, &epoch, &mut rng).unwrap();
    /// ```
    #[expect(clippy::result_large_err, reason = "the error hands the chain back")]
    pub fn encrypt_into(
        mut self,
        epoch: &EpochContext,
        content: &[u8],
        rng: &mut dyn CryptoRng,
        out: &mut Vec<u8>,
    ) -> core::result::Result<Self, (Error, Self)> {
        if content.len() > MESSAGE_CONTENT {
            return Err((Error::limit("the content is too long for one message: attach it"), self));
        }
        let Some(next) = self.generation.0.checked_add(1) else {
            return Err((Error::limit("this chain has come to its end: commit to start a new epoch"), self));
        };
        let mut message_key = Zeroizing::new([0; 32]);
        chain_step(self.chain_key.expose_mut(), &mut message_key);
        let at = Position { leaf: self.leaf, generation: self.generation };
        seal(&message_key, &Author { at, signing: &self.signing, epoch }, content, rng, out);
        self.generation = Generation(next);
        Ok(self)
    }

    /// Looks at a frame that came back from the hub and bears our own leaf. Nothing is decrypted for the caller and
    /// the chain does not change.
    ///
    /// Fails with `Misuse` if the frame bears another leaf, `Limit` if its generation is more than
    /// [`SKIPPED_PER_SENDER`] past ours, `Unauthentic` if it is of another group or epoch or, at or past our
    /// generation, was not made by our keys, and as [`Frame::parse`] does.
    pub fn examine(&self, epoch: &EpochContext, frame: &[u8]) -> Result<OwnFrame> {
        let claim = Frame::parse(frame)?.claim(epoch)?;
        let Position { leaf, generation } = claim.at;
        if leaf != self.leaf {
            return Err(Error::misuse("this frame is from another leaf: decrypt it"));
        }
        let Some(ahead) = generation.0.checked_sub(self.generation.0) else {
            return Ok(OwnFrame::Past(generation));
        };
        if ahead > SKIPPED_PER_SENDER {
            return Err(Error::limit("a message claims a generation too far ahead"));
        }
        let mut chain_key = Secret::copy_from(self.chain_key.expose());
        let mut message_key = Zeroizing::new([0; 32]);
        for _ in 0..=ahead {
            chain_step(chain_key.expose_mut(), &mut message_key);
        }
        let opened = open(&message_key, &claim, epoch, frame.to_vec())?;
        self.signing.verify_key().verify(&opened.input, &opened.signature)?;
        Ok(OwnFrame::Future(generation))
    }

    /// What others need to read this chain from its next message on. Secret: it goes only to those who may read.
    #[must_use]
    pub fn sender_key(&self) -> SenderKey {
        let chain_key = Secret::copy_from(self.chain_key.expose());
        SenderKey::new(self.leaf, self.generation, chain_key, self.verify_key().clone())
    }

    /// The generation of the next message.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// The leaf it belongs to.
    #[must_use]
    pub const fn leaf(&self) -> LeafIndex {
        self.leaf
    }

    /// The chain key of the next message, 32 bytes, for the owner to store.
    #[must_use]
    pub const fn chain_key(&self) -> &Secret<32> {
        &self.chain_key
    }

    /// The key that verifies its messages.
    #[must_use]
    pub const fn verify_key(&self) -> &VerifyKey {
        self.signing.verify_key()
    }

    /// Takes it apart into what [`restore`](Self::restore) takes.
    #[must_use]
    pub fn into_parts(self) -> (LeafIndex, Generation, Secret<32>, SigningKey) {
        (self.leaf, self.generation, self.chain_key, self.signing)
    }
}

impl fmt::Debug for SendingChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { leaf, generation, chain_key: _, signing: _ } = self;
        f.debug_struct("SendingChain").field("leaf", leaf).field("generation", generation).finish_non_exhaustive()
    }
}

/// What [`SendingChain::examine`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnFrame {
    /// Below our generation. Nothing was verified, the keys being gone: compare it with what we remember sending. If
    /// we never sent it, someone else may be using our keys.
    Past(Generation),
    /// At or past our generation, and made by our own keys: our state was rolled back to an older copy. Stop using
    /// this chain.
    Future(Generation),
}
