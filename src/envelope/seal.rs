//! Making an envelope, in three steps that consume each other: a draft, a signed draft, the sealed envelope.

use core::fmt;

use rand::CryptoRng;
use zeroize::Zeroizing;

use super::header::{EnvelopeType, Header};
use super::{Envelope, Recipient, check_ids, mkem};
use crate::crypto::aead;
use crate::crypto::kdf::sha256;
use crate::crypto::kem::SealSecret;
use crate::crypto::sign::{Signature, SignatureInput, Signer};
use crate::error::{Error, Result};
use crate::ids::Suite;
use crate::labels::Label;
use crate::limits;
use crate::padding;
use crate::secret::Secret;
use crate::wire::Writer;

/// An envelope whose seed is drawn and whose header is fixed.
pub struct Draft {
    header: Header,
    pub(super) seed: Secret<{ mkem::SEED }>,
    ephemeral: Option<SealSecret>,
}

impl Draft {
    /// Draws the seed of an envelope to X25519 keys, or for a welcome to X-Wing keys. `public` is the part of the
    /// header that the type defines. Fails with `Limit` if the header gets longer than
    /// [`limits::ENVELOPE_HEADER`].
    ///
    /// Two drafts from equal randomness share a key: a generator that was copied with its machine must not serve both.
    /// Where the library itself seals, the seed depends on the content as well.
    pub fn new(kind: EnvelopeType, suite: Suite, public: Vec<u8>, rng: &mut dyn CryptoRng) -> Result<Self> {
        Self::with_seed(kind, suite, public, Secret::generate(rng))
    }

    /// Like [`new`](Self::new), with a seed that depends on `content` as well: on all that will be sealed and is not in
    /// the header (`docs/protocol.md`, section 4.2).
    pub(crate) fn hedged(
        kind: EnvelopeType,
        suite: Suite,
        public: Vec<u8>,
        content: &[&[u8]],
        rng: &mut dyn CryptoRng,
    ) -> Result<Self> {
        Self::with_seed(kind, suite, public, mkem::hedged_seed(content, rng))
    }

    fn with_seed(kind: EnvelopeType, suite: Suite, public: Vec<u8>, seed: Secret<{ mkem::SEED }>) -> Result<Self> {
        match kind {
            EnvelopeType::Welcome => Self::from_seed(kind, suite, public, seed, None),
            EnvelopeType::Standalone | EnvelopeType::Commit | EnvelopeType::Request | EnvelopeType::Join => {
                let ephemeral = mkem::ephemeral(&seed);
                Self::from_seed(kind, suite, public, seed, Some(ephemeral))
            }
        }
    }

    /// Like [`new`](Self::new), for a standalone envelope to X-Wing keys.
    pub fn standalone_to_init_keys(suite: Suite, public: Vec<u8>, rng: &mut dyn CryptoRng) -> Result<Self> {
        Self::from_seed(EnvelopeType::Standalone, suite, public, Secret::generate(rng), None)
    }

    /// The same, hedged.
    pub(crate) fn hedged_to_init_keys(suite: Suite, content: &[&[u8]], rng: &mut dyn CryptoRng) -> Result<Self> {
        Self::from_seed(EnvelopeType::Standalone, suite, Vec::new(), mkem::hedged_seed(content, rng), None)
    }

    /// The header, final.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Pads the payload and signs it with the header, the sender and the recipients' ids.
    ///
    /// `sender` is what tells a recipient whose key verifies the signature, at most [`limits::ENVELOPE_SENDER`]
    /// bytes. Standalone envelopes and requests name their recipients, in any order; commits and welcomes pass `None`.
    /// Fails with `Limit`, with `Misuse` for ids where the type has none or the reverse, and as the signer fails.
    pub fn sign(
        self,
        sender: Vec<u8>,
        recipient_ids: Option<Vec<Vec<u8>>>,
        payload: &[u8],
        signer: &dyn Signer,
    ) -> Result<SignedDraft> {
        if sender.len() > limits::ENVELOPE_SENDER {
            return Err(Error::limit("an envelope's sender is longer than the protocol allows"));
        }
        let recipient_ids = sorted_ids(self.header.kind(), recipient_ids)?;
        check_payload(payload)?;
        let padded = Zeroizing::new(padding::pad(payload));
        let signed = Signed { header: &self.header, sender: &sender, ids: recipient_ids.as_deref(), padded: &padded };
        let signature = signer.sign(&signed.signature_input())?;
        let Self { header, seed, ephemeral } = self;
        Ok(SignedDraft { header, seed, ephemeral, sender, recipient_ids, padded, signature })
    }

    fn from_seed(
        kind: EnvelopeType,
        suite: Suite,
        public: Vec<u8>,
        seed: Secret<{ mkem::SEED }>,
        ephemeral: Option<SealSecret>,
    ) -> Result<Self> {
        let enc = ephemeral.as_ref().map(|key| *key.public().as_bytes());
        let header = Header::new(kind, suite, enc, *mkem::commitment(&seed).expose(), public)?;
        Ok(Self { header, seed, ephemeral })
    }
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { header, seed: _, ephemeral: _ } = self;
        f.debug_struct("Draft").field("header", header).finish_non_exhaustive()
    }
}

/// A draft whose content is fixed and signed. What a group hashes into its transcript is readable here, before the
/// tail that depends on it is known.
pub struct SignedDraft {
    header: Header,
    seed: Secret<{ mkem::SEED }>,
    ephemeral: Option<SealSecret>,
    sender: Vec<u8>,
    recipient_ids: Option<Vec<Vec<u8>>>,
    padded: Zeroizing<Vec<u8>>,
    signature: Signature,
}

impl SignedDraft {
    /// The header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The sender field.
    #[must_use]
    pub fn sender(&self) -> &[u8] {
        &self.sender
    }

    /// The payload in its padded form. Secret where the payload is.
    #[must_use]
    pub fn padded(&self) -> &[u8] {
        &self.padded
    }

    /// The signature.
    #[must_use]
    pub const fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The seed.
    pub(crate) const fn seed(&self) -> &Secret<{ mkem::SEED }> {
        &self.seed
    }

    /// Seals to the recipients, given in any order. The tail is 32 bytes for a commit and empty for every other type;
    /// it is outside the signature.
    ///
    /// Fails with `Misuse` if the tail has another length, if a key is of the wrong kind, if there is no recipient or
    /// one twice, or if they are not those that were signed; with `Limit` if there are too many.
    pub fn seal(self, recipients: &[Recipient<'_>], tail: &[u8]) -> Result<Envelope> {
        let kind = self.header.kind();
        if tail.len() != kind.tail_len() {
            return Err(Error::misuse("this type of envelope has another length of tail"));
        }
        if recipients.len() > kind.max_recipients() {
            return Err(Error::limit("an envelope has more recipients than the protocol allows"));
        }
        let mut recipients = recipients.to_vec();
        recipients.sort_by(|a, b| a.id().cmp(b.id()));
        check_own_ids(recipients.iter().map(Recipient::id))?;
        if let Some(signed) = &self.recipient_ids
            && !signed.iter().map(Vec::as_slice).eq(recipients.iter().map(Recipient::id))
        {
            return Err(Error::misuse("the recipients are not those that were signed"));
        }
        let stanzas = mkem::wrap(&self.header, self.ephemeral.as_ref(), &self.seed, &recipients)?;
        let body = self.seal_body(tail);
        Envelope::new(self.header, stanzas, body)
    }

    fn seal_body(&self, tail: &[u8]) -> Vec<u8> {
        let body = Body {
            padded: &self.padded,
            sender: &self.sender,
            ids: self.recipient_ids.as_deref(),
            signature: &self.signature,
            tail,
        };
        let (key, nonce) = mkem::content_key(&self.seed, &self.header.hash());
        let mut sealed = body.encode();
        aead::seal_in_place(key.expose(), nonce.expose(), self.header.bytes(), &mut sealed, 0);
        sealed
    }
}

impl fmt::Debug for SignedDraft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { header, seed: _, ephemeral: _, sender, recipient_ids: _, padded: _, signature: _ } = self;
        f.debug_struct("SignedDraft").field("header", header).field("sender", &sender.len()).finish_non_exhaustive()
    }
}

/// What the sender signs, and what the envelope's id is the hash of.
pub(super) struct Signed<'a> {
    pub(super) header: &'a Header,
    pub(super) sender: &'a [u8],
    pub(super) ids: Option<&'a [Vec<u8>]>,
    pub(super) padded: &'a [u8],
}

impl Signed<'_> {
    pub(super) fn signature_input(&self) -> SignatureInput {
        SignatureInput::of_digest(&self.digest(self.header.kind().signature_label()))
    }

    /// SHA-256 of array(label, header, sender, recipient ids, padded payload). Not by way of `hash`, whose growing
    /// buffer would leave pieces of a secret payload behind.
    pub(super) fn digest(&self, label: Label) -> [u8; 32] {
        let room = self.header.bytes().len().saturating_add(room(self.sender, self.ids, self.padded));
        let mut w = Writer::with_capacity(room);
        w.array(5).text(label.text()).bytes(self.header.bytes()).bytes(self.sender);
        write_ids(&mut w, self.ids);
        w.bytes(self.padded);
        sha256(&Zeroizing::new(w.finish()))
    }
}

/// The plaintext of the body.
pub(super) struct Body<'a> {
    pub(super) padded: &'a [u8],
    pub(super) sender: &'a [u8],
    pub(super) ids: Option<&'a [Vec<u8>]>,
    pub(super) signature: &'a Signature,
    pub(super) tail: &'a [u8],
}

impl Body<'_> {
    /// The encoding, in a buffer that has room for the tag. Secret: the caller encrypts it in place or wipes it.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(room(self.sender, self.ids, self.padded));
        w.array(5).bytes(self.padded).bytes(self.sender);
        write_ids(&mut w, self.ids);
        w.item(self.signature).bytes(self.tail);
        w.finish()
    }
}

/// Enough bytes for these three, a label or a signature, a tail, a tag and all heads: no buffer grows.
fn room(sender: &[u8], ids: Option<&[Vec<u8>]>, padded: &[u8]) -> usize {
    const REST: usize = 256;
    let ids = ids.unwrap_or_default().len().saturating_mul(limits::ENVELOPE_RECIPIENT_ID + 2);
    sender.len().saturating_add(ids).saturating_add(padded.len()).saturating_add(REST)
}

fn write_ids(w: &mut Writer, ids: Option<&[Vec<u8>]>) {
    let Some(ids) = ids else {
        w.null();
        return;
    };
    w.array(ids.len());
    for id in ids {
        w.bytes(id);
    }
}

/// The ids in their one order, present exactly where the type has them.
fn sorted_ids(kind: EnvelopeType, ids: Option<Vec<Vec<u8>>>) -> Result<Option<Vec<Vec<u8>>>> {
    if kind.names_recipients() != ids.is_some() {
        return Err(Error::misuse("standalone envelopes and requests name their recipients, no other type does"));
    }
    let Some(mut ids) = ids else { return Ok(None) };
    if ids.len() > kind.max_recipients() {
        return Err(Error::limit("an envelope has more recipients than the protocol allows"));
    }
    ids.sort();
    check_own_ids(ids.iter().map(Vec::as_slice))?;
    Ok(Some(ids))
}

/// A payload as long as it may be, of ours or received.
pub(super) fn check_payload(payload: &[u8]) -> Result<()> {
    if payload.len() > limits::ENVELOPE_PAYLOAD {
        return Err(Error::limit("an envelope's payload is longer than the protocol allows"));
    }
    Ok(())
}

/// The check of received ids, blaming the caller instead.
fn check_own_ids<'a>(mut ids: impl ExactSizeIterator<Item = &'a [u8]>) -> Result<()> {
    if ids.len() == 0 {
        return Err(Error::misuse("an envelope needs a recipient"));
    }
    check_ids(&mut ids).map_err(|_| Error::misuse("recipients' ids are 1 to 32 bytes, each used once"))
}
