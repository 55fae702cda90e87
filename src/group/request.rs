//! Requests to be readmitted after lost or excluded state (`docs/protocol.md`, section 5.7).

use super::Group;
use super::state::GroupState;
use crate::crypto::kem::SealSecret;
use crate::crypto::sign::Signer;
use crate::envelope::{self, Draft, Envelope, EnvelopeFor, EnvelopeType, Opener, Recipient};
use crate::error::{Error, Result};
use crate::identity::{KeyPackage, UnverifiedKeyPackage};
use crate::ids::{GroupId, LeafIndex, Timestamp};
use crate::limits;
use crate::wire::{Reader, Wire, Writer};

/// A verified request of a device of the group to be given a new leaf in the place of its old one.
///
/// Acting on it is a member's decision, and everyone sees the outcome as [`Effect::Rejoined`](super::Effect).
#[derive(Clone, Debug)]
pub struct RejoinRequest {
    pub(crate) package: KeyPackage,
}

impl RejoinRequest {
    /// The key package to readmit the device by.
    #[must_use]
    pub const fn package(&self) -> &KeyPackage {
        &self.package
    }
}

struct Body {
    group: GroupId,
    leaf: LeafIndex,
    package: UnverifiedKeyPackage,
}

impl Wire for Body {
    fn write(&self, w: &mut Writer) {
        w.array(3).item(&self.group).item(&self.leaf).item(&self.package);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(3)?;
        Ok(Self { group: r.item()?, leaf: r.item()?, package: r.item()? })
    }
}

/// Seals a request to up to 256 members of the last state we held, signed by the device key.
fn seal(
    state: &GroupState,
    own: LeafIndex,
    package: &KeyPackage,
    signer: &dyn Signer,
    rng: &mut dyn rand::CryptoRng,
) -> Result<Envelope> {
    let others = state.leaves.iter().filter(|(index, _)| **index != own).take(limits::ENVELOPE_RECIPIENTS);
    let recipients: Vec<Recipient<'_>> =
        others.map(|(index, leaf)| Recipient::X25519 { id: index.encode(), key: leaf.seal_key() }).collect();
    let mut ids: Vec<Vec<u8>> = state.leaves.keys().filter(|index| **index != own).map(Wire::encode).collect();
    ids.truncate(limits::ENVELOPE_RECIPIENTS);
    ids.sort();
    let body = Body { group: state.group, leaf: own, package: UnverifiedKeyPackage::try_from(package)? };
    let draft = Draft::new(EnvelopeType::Request, state.suite, state.group.encode(), rng)?;
    draft.sign(Vec::new(), Some(ids), &body.encode(), signer)?.seal(&recipients, &[])
}

impl Group {
    /// Asks up to 256 other members, as this last state names them, to be readmitted by `package`.
    ///
    /// Fails as the signer fails, and with `Misuse` if there is no other member.
    pub fn rejoin_request(
        &self,
        package: &KeyPackage,
        signer: &dyn Signer,
        rng: &mut dyn rand::CryptoRng,
    ) -> Result<Envelope> {
        seal(&self.state, self.own, package, signer, rng)
    }

    /// Opens a request and verifies its chain of trust under the group's apps at `now`, and that it comes from the
    /// device whose leaf it names.
    ///
    /// Fails with `Unauthentic`, `Expired`, `Malformed`, `NotMember` or `NotAllowed`.
    pub fn open_request(&self, request: &EnvelopeFor, now: Timestamp) -> Result<RejoinRequest> {
        open(&self.state, (self.own, &self.seal), request, now)
    }
}

fn open(
    state: &GroupState,
    (own, seal): (LeafIndex, &SealSecret),
    request: &EnvelopeFor,
    now: Timestamp,
) -> Result<RejoinRequest> {
    let opened = envelope::open(request, EnvelopeType::Request, Opener::X25519(seal), &own.encode())?;
    let body = Body::decode(opened.claimed_payload())?;
    let package = body.package.verify(&state.policy.apps, now)?;
    opened.verify(package.leaf().device_key())?;
    let (old, _) = state.member(body.leaf)?;
    let leaf = package.leaf();
    let same = leaf.user() == old.user() && leaf.identity_key() == old.identity_key() && leaf.device() == old.device();
    if body.group != state.group || !same {
        return Err(Error::not_allowed("a request to readmit another device than the one it names"));
    }
    Ok(RejoinRequest { package })
}
