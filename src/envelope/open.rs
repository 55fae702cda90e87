//! Opening an envelope. Nothing it says is handed out before its signature verified.

use core::fmt;

use zeroize::Zeroizing;

use super::header::{EnvelopeType, Header};
use super::seal::{Body, Signed, check_payload};
use super::{EnvelopeFor, EnvelopeId, MAX_PADDED, Opener, check_ids, mkem};
use crate::crypto::aead;
use crate::crypto::sign::{Signature, VerifyKey};
use crate::error::{Error, Result};
use crate::labels;
use crate::limits;
use crate::padding;
use crate::secret::Secret;
use crate::wire::Reader;

/// Opens the part of the recipient `recipient_id`, up to the signature.
///
/// The checks come in the order of section 4: stanza, commitment and ephemeral key, body, form of the content. Fails
/// with `Malformed` or `Limit` for another type or form, with `Unauthentic` if anything does not fit together, and
/// with `NotAllowed` if the envelope names its recipients and this one is not among them.
pub fn open(
    envelope: &EnvelopeFor,
    expected: EnvelopeType,
    opener: Opener<'_>,
    recipient_id: &[u8],
) -> Result<UnverifiedEnvelope> {
    let EnvelopeFor { header, stanza, body } = envelope;
    if header.kind() != expected {
        return Err(Error::malformed("an envelope of another type"));
    }
    let seed = mkem::unwrap(header, &opener, recipient_id, stanza)?;
    let (key, nonce) = mkem::content_key(&seed, &header.hash());
    let mut text = Zeroizing::new(body.clone());
    aead::open_in_place(key.expose(), nonce.expose(), header.bytes(), &mut text, 0)?;
    let content = EnvelopeText::parse(expected, &text)?;
    if let Some(ids) = &content.recipient_ids
        && ids.binary_search_by(|id| id.as_slice().cmp(recipient_id)).is_err()
    {
        return Err(Error::not_allowed("the sender did not seal this envelope to this recipient"));
    }
    Ok(UnverifiedEnvelope { header: header.clone(), seed, content })
}

/// An envelope that was opened but whose signature was not verified: its recipient knows the seed, nothing more.
///
/// Find out from [`sender`](Self::sender) whose key must have signed, then [`verify`](Self::verify).
#[must_use = "nothing is known of an envelope before its signature verified"]
pub struct UnverifiedEnvelope {
    header: Header,
    seed: Secret<{ mkem::SEED }>,
    content: EnvelopeText,
}

impl UnverifiedEnvelope {
    /// Who claims to have sent it.
    #[must_use]
    pub fn sender(&self) -> &[u8] {
        &self.content.sender
    }

    /// The header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The payload, which NOBODY HAS VOUCHED FOR. Only to find in a welcome the leaf whose key must have signed it.
    pub(crate) fn claimed_payload(&self) -> &[u8] {
        self.content.payload()
    }

    /// The seed, for the known answers.
    #[cfg(test)]
    pub(crate) const fn seed(&self) -> &Secret<{ mkem::SEED }> {
        &self.seed
    }

    /// Verifies the signature under the sender's key; `Unauthentic` if it does not.
    pub fn verify(self, key: &VerifyKey) -> Result<OpenedEnvelope> {
        let Self { header, seed, content } = self;
        key.verify(&content.signed(&header).signature_input(), &content.signature)?;
        Ok(OpenedEnvelope { header, seed, content })
    }
}

impl fmt::Debug for UnverifiedEnvelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { header, seed: _, content: _ } = self;
        f.debug_struct("UnverifiedEnvelope").field("header", header).finish_non_exhaustive()
    }
}

/// An envelope whose signature verified. Its content is wiped when it is dropped.
pub struct OpenedEnvelope {
    header: Header,
    seed: Secret<{ mkem::SEED }>,
    content: EnvelopeText,
}

impl OpenedEnvelope {
    /// The header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.content.payload()
    }

    /// The payload in its padded form, as it was signed.
    #[must_use]
    pub fn padded(&self) -> &[u8] {
        &self.content.padded
    }

    /// The sender field.
    #[must_use]
    pub fn sender(&self) -> &[u8] {
        &self.content.sender
    }

    /// The signature.
    #[must_use]
    pub const fn signature(&self) -> &Signature {
        &self.content.signature
    }

    /// The tail: 32 bytes for a commit, else empty. The signature does not cover it.
    #[must_use]
    pub fn tail(&self) -> &[u8] {
        &self.content.tail
    }

    /// The ids of all recipients, sorted, if the type names them.
    #[must_use]
    pub fn recipient_ids(&self) -> Option<&[Vec<u8>]> {
        self.content.recipient_ids.as_deref()
    }

    /// The hash of everything that was signed, the same for every recipient. Computed at each call.
    #[must_use]
    pub fn id(&self) -> EnvelopeId {
        EnvelopeId::from_bytes(self.content.signed(&self.header).digest(labels::HASH_ENVELOPE))
    }

    /// The seed.
    pub(crate) const fn seed(&self) -> &Secret<{ mkem::SEED }> {
        &self.seed
    }
}

impl fmt::Debug for OpenedEnvelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { header, seed: _, content: _ } = self;
        f.debug_struct("OpenedEnvelope").field("header", header).finish_non_exhaustive()
    }
}

/// The parsed body.
struct EnvelopeText {
    padded: Zeroizing<Vec<u8>>,
    sender: Vec<u8>,
    recipient_ids: Option<Vec<Vec<u8>>>,
    signature: Signature,
    tail: Vec<u8>,
}

impl EnvelopeText {
    /// Reads the one encoding of a body of this type.
    fn parse(kind: EnvelopeType, text: &[u8]) -> Result<Self> {
        let mut r = Reader::new(text);
        r.array(5)?;
        let padded = r.bytes(MAX_PADDED)?;
        let payload = padding::unpad(padded)?;
        check_payload(payload)?;
        let sender = r.bytes(limits::ENVELOPE_SENDER)?;
        let recipient_ids = read_ids(kind, &mut r)?;
        let signature = r.item()?;
        let tail = r.bytes(limits::ENVELOPE_TAIL)?;
        r.finish()?;
        if tail.len() != kind.tail_len() {
            return Err(Error::malformed("this type of envelope has another length of tail"));
        }
        let body = Body { padded, sender, ids: recipient_ids.as_deref(), signature: &signature, tail };
        if *Zeroizing::new(body.encode()) != text {
            return Err(Error::malformed("not the one deterministic encoding of a body"));
        }
        Ok(Self {
            padded: Zeroizing::new(padded.to_vec()),
            sender: sender.to_vec(),
            recipient_ids,
            signature,
            tail: tail.to_vec(),
        })
    }

    fn payload(&self) -> &[u8] {
        padding::unpad(&self.padded).unwrap_or_default()
    }

    fn signed<'a>(&'a self, header: &'a Header) -> Signed<'a> {
        Signed { header, sender: &self.sender, ids: self.recipient_ids.as_deref(), padded: &self.padded }
    }
}

fn read_ids(kind: EnvelopeType, r: &mut Reader<'_>) -> Result<Option<Vec<Vec<u8>>>> {
    if r.null()? {
        return if kind.names_recipients() {
            Err(Error::malformed("an envelope does not name its recipients"))
        } else {
            Ok(None)
        };
    }
    if !kind.names_recipients() {
        return Err(Error::malformed("this type of envelope does not name its recipients"));
    }
    let mut ids = Vec::new();
    for _ in 0..r.array_up_to(limits::ENVELOPE_RECIPIENTS)? {
        ids.push(r.bytes(limits::ENVELOPE_RECIPIENT_ID)?.to_vec());
    }
    check_ids(ids.iter().map(Vec::as_slice))?;
    Ok(Some(ids))
}
