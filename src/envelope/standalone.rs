//! Envelopes on their own, for users of this pillar alone: [`seal_to`], [`open_from`], [`ReplayGuard`].

use core::fmt;
use std::collections::BTreeSet;

use rand::CryptoRng;

use super::header::EnvelopeType;
use super::open::{OpenedEnvelope, open};
use super::seal::{Draft, check_payload};
use super::{Envelope, EnvelopeFor, EnvelopeId, Opener, Recipient};
use crate::crypto::kdf::hash;
use crate::crypto::sign::{Signer, VerifyKey};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::Suite;
use crate::wire::{Reader, Wire, Writer, public_encoding};
use crate::{labels, limits};

/// Seals `payload` to recipients whose keys are all X25519 or all X-Wing, at most [`limits::ENVELOPE_RECIPIENTS`].
///
/// `info` is signed and travels beside the sender's key, sealed like the payload: a name, or whatever helps the
/// recipient to decide whether it trusts that key. Fails with `Misuse` if there is no recipient, one twice, or keys
/// of both kinds; with `Limit`; and as the signer fails.
pub fn seal_to(
    sender: &dyn Signer,
    info: &[u8],
    recipients: &[Recipient<'_>],
    payload: &[u8],
    rng: &mut dyn CryptoRng,
) -> Result<Envelope> {
    if recipients.len() > limits::ENVELOPE_RECIPIENTS {
        return Err(Error::limit("an envelope has more recipients than the protocol allows"));
    }
    // The seed depends on the payload, so its length is checked before anything is drawn.
    check_payload(payload)?;
    let claim = Sender { key: sender.verify_key().clone(), info: info.to_vec() }.encode();
    let mut ids: Vec<Vec<u8>> = recipients.iter().map(|recipient| recipient.id().to_vec()).collect();
    ids.sort();
    let mut content = vec![payload, &claim];
    content.extend(ids.iter().map(Vec::as_slice));
    let draft = match recipients.first() {
        Some(Recipient::XWing { .. }) => Draft::hedged_to_init_keys(Suite::One, &content, rng)?,
        Some(Recipient::X25519 { .. }) | None => {
            Draft::hedged(EnvelopeType::Standalone, Suite::One, Vec::new(), &content, rng)?
        }
    };
    draft.sign(claim, Some(ids), payload, sender)?.seal(recipients, &[])
}

/// Opens what [`seal_to`] sealed and verifies its signature under the key it carries.
///
/// That proves that whoever holds [`Sender::key`] sent it to this recipient, and no more: **the caller must decide
/// whether it trusts that key**, and then hand the envelope to a [`ReplayGuard`]. Fails like [`open`] and with
/// `Unauthentic` if the signature does not verify.
pub fn open_from(envelope: &EnvelopeFor, opener: Opener<'_>, recipient_id: &[u8]) -> Result<(OpenedEnvelope, Sender)> {
    let unverified = open(envelope, EnvelopeType::Standalone, opener, recipient_id)?;
    let sender = Sender::decode(unverified.sender())?;
    let opened = unverified.verify(&sender.key)?;
    Ok((opened, sender))
}

/// A recipient's id for those who have no better one: the 32-byte labelled hash of its public key's bytes.
///
/// Whoever carries the envelope can tell whose key it is, if he knows the key. Two parties who want to hide that can
/// agree on random ids.
#[must_use]
pub fn recipient_id(public_key: &[u8]) -> Vec<u8> {
    hash(labels::HASH_RECIPIENT, 1, |w| {
        w.bytes(public_key);
    })
    .to_vec()
}

/// Who sealed a standalone envelope.
#[derive(Clone, PartialEq, Eq)]
pub struct Sender {
    /// The key under which the signature verified.
    pub key: VerifyKey,
    /// What the sender says beside it, signed: at most about 4,000 bytes.
    pub info: Vec<u8>,
}

impl Wire for Sender {
    fn write(&self, w: &mut Writer) {
        w.array(2).item(&self.key).bytes(&self.info);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(2)?;
        Ok(Self { key: r.item()?, info: r.bytes(limits::ENVELOPE_SENDER)?.to_vec() })
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, info } = self;
        f.debug_struct("Sender").field("key", key).field("info", &info.len()).finish()
    }
}

/// Remembers which envelopes one receiving key has accepted, so that each is acted on once.
///
/// Keep one for each receiving key, for as long as that key lives and across restarts: store
/// [`to_bytes`](Self::to_bytes) together with whatever the envelope caused. When the key is replaced and erased, drop
/// its guard. It holds 32 bytes for each envelope, at most [`limits::ENVELOPES_PER_KEY`] of them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ReplayGuard(BTreeSet<EnvelopeId>);

impl ReplayGuard {
    /// A guard that has seen nothing, for a key that has opened nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeSet::new())
    }

    /// Remembers a verified envelope. Call it after deciding that the sender's key is to be trusted, so that strangers
    /// cannot fill it. Fails with `Duplicate` if it was accepted before, and with `Limit` if the key has accepted as
    /// many as it may: replace the key.
    pub fn accept(&mut self, envelope: &OpenedEnvelope) -> Result<()> {
        let id = envelope.id();
        if self.0.contains(&id) {
            return Err(Error::new(ErrorKind::Duplicate, "this envelope was accepted before"));
        }
        if self.0.len() >= limits::ENVELOPES_PER_KEY {
            return Err(Error::limit("this key has accepted as many envelopes as it may: replace it"));
        }
        self.0.insert(id);
        Ok(())
    }

    /// How many envelopes are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Wire for ReplayGuard {
    fn write(&self, w: &mut Writer) {
        w.list(self.0.iter());
    }

    /// Ids out of order or twice are refused since they do not encode back to the same bytes.
    fn read(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self(r.list(limits::ENVELOPES_PER_KEY)?.into_iter().collect()))
    }
}

public_encoding!(ReplayGuard);

impl fmt::Debug for ReplayGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(ids) = self;
        f.debug_struct("ReplayGuard").field("len", &ids.len()).finish()
    }
}
