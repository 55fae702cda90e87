//! Requests to be readmitted after excluded, removed or rolled-back state (`docs/protocol.md`, section 5.7).

use super::Group;
use super::proposal::{Proposal, rejoin_input};
use super::state::GroupState;
use crate::crypto::kem::SealSecret;
use crate::crypto::sign::{Signature, Signer};
use crate::envelope::{self, Draft, Envelope, EnvelopeFor, EnvelopeType, Header, Opener, Recipient};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{KeyPackage, Leaf, UnverifiedKeyPackage};
use crate::ids::{Epoch, GroupId, LeafIndex, Timestamp};
use crate::limits;
use crate::secret::Secret;
use crate::wire::{Reader, Wire, Writer, public_encoding};

/// What a device signs and asks to be given a new leaf for, in the place of its old one.
///
/// It can travel by any channel: nothing in it is secret, and the device's signature holds for this one group and
/// package. [`Group::seal_request`] seals one to the group's members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejoinRequest {
    group: GroupId,
    package: UnverifiedKeyPackage,
    consent: Signature,
}

/// What the clear part of a sealed request says: whose members can open it.
struct Address {
    group: GroupId,
    epoch: Epoch,
}

impl RejoinRequest {
    /// The group.
    #[must_use]
    pub const fn group(&self) -> GroupId {
        self.group
    }

    /// The key package to readmit the device by, not verified.
    #[must_use]
    pub const fn package(&self) -> &UnverifiedKeyPackage {
        &self.package
    }

    /// Verifies that a device of the group, as `state` has it, asks for this at `now`. Its clock may be ahead of ours.
    ///
    /// Fails with `Unauthentic`, `Expired`, `NotMember` or `NotAllowed`.
    pub fn verify(&self, state: &GroupState, now: Timestamp) -> Result<KeyPackage> {
        let (_, old) = self.device_in(state)?;
        let ahead = self.made() <= now.after(limits::CLOCK_SKEW);
        let package = self.package.clone().verify(&state.policy.apps, if ahead { self.at(now) } else { now })?;
        let leaf = package.leaf();
        if self.group != state.group || leaf.identity_key() != old.identity_key() {
            return Err(Error::not_allowed("a request for another group, or by another identity"));
        }
        let (made, renewed) = (leaf.validity().not_before, old.validity().not_before);
        if now > made.after(limits::REQUEST_LIFETIME) || made < renewed || leaf.hash() == old.hash() {
            return Err(Error::new(
                ErrorKind::Expired,
                "this request is over: the device has come back, or may ask again",
            ));
        }
        old.device_key().verify(&rejoin_input(self.group, old.device(), &leaf.hash()), &self.consent)?;
        Ok(package)
    }

    /// The first moment, from `now` on, at which the package may be used.
    pub(crate) fn at(&self, now: Timestamp) -> Timestamp {
        now.max(self.made())
    }

    fn made(&self) -> Timestamp {
        self.package.leaf().claims().validity().not_before
    }

    /// The change that readmits the device in the place that it has in `state`. `NotMember` if it has none.
    pub fn proposal(&self, state: &GroupState) -> Result<Proposal> {
        let (leaf, _) = self.device_in(state)?;
        Ok(Proposal::Replace { leaf, with: self.package.leaf().clone(), consent: self.consent })
    }

    fn device_in<'s>(&self, state: &'s GroupState) -> Result<(LeafIndex, &'s Leaf)> {
        let claims = self.package.leaf().claims();
        let mut leaves = state.leaves_of(claims.user());
        let found = leaves.find(|(_, leaf)| leaf.device() == claims.device());
        let (index, leaf) = found.ok_or(Error::new(ErrorKind::NotMember, "this device is not in the group"))?;
        Ok((index, leaf.as_ref()))
    }
}

impl Wire for RejoinRequest {
    fn write(&self, w: &mut Writer) {
        w.array(3).item(&self.group).item(&self.package).item(&self.consent);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(3)?;
        Ok(Self { group: r.item()?, package: r.item()?, consent: r.item()? })
    }
}

public_encoding!(RejoinRequest);

impl Wire for Address {
    fn write(&self, w: &mut Writer) {
        w.array(2).item(&self.group).item(&self.epoch);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(2)?;
        Ok(Self { group: r.item()?, epoch: r.item()? })
    }
}

impl Group {
    /// Signs a request to be readmitted by `package`. Fails as the signer fails.
    pub fn request_to_rejoin(&self, package: &KeyPackage, signer: &dyn Signer) -> Result<RejoinRequest> {
        let consent = signer.sign(&rejoin_input(self.state.group, package.leaf().device(), &package.id()))?;
        let package = UnverifiedKeyPackage::try_from(package)?;
        Ok(RejoinRequest { group: self.state.group, package, consent })
    }

    /// Seals a request to whoever was a member in `epoch`, under that epoch's [request key](Self::request_key), which all
    /// of them derived.
    ///
    /// Fails as the signer fails.
    pub fn seal_request(
        &self,
        request: &RejoinRequest,
        (epoch, key): (Epoch, &Secret<32>),
        signer: &dyn Signer,
        rng: &mut dyn rand::CryptoRng,
    ) -> Result<Envelope> {
        let address = Address { group: self.state.group, epoch };
        let id = epoch.encode();
        let key = SealSecret::from_secret(Secret::copy_from(key.expose()));
        let payload = request.encode();
        let draft = Draft::hedged(EnvelopeType::Request, self.state.suite, address.encode(), &[&payload], rng)?;
        let signed = draft.sign(Vec::new(), Some(vec![id.clone()]), &payload, signer)?;
        signed.seal(&[Recipient::X25519 { id, key: key.public() }], &[])
    }

    /// The request key of this epoch, 32 bytes. Members keep those of the last epochs, to open requests of whoever came
    /// no further; it opens nothing else.
    #[must_use]
    pub const fn request_key(&self) -> &Secret<32> {
        &self.secrets.request
    }

    /// Which epoch's request key opens a request. Not authenticated.
    pub fn request_epoch(header: &Header) -> Result<Epoch> {
        Ok(Address::decode(header.public())?.epoch)
    }

    /// Opens a request with the request key of its epoch, and [verifies](RejoinRequest::verify) it at `now`.
    ///
    /// Fails with `Malformed` or `Unauthentic`, with `NotAllowed` if it is for another group, and as verifying fails.
    pub fn open_request(&self, request: &EnvelopeFor, key: &Secret<32>, now: Timestamp) -> Result<RejoinRequest> {
        let seal = SealSecret::from_secret(Secret::copy_from(key.expose()));
        let address = Address::decode(request.header().public())?;
        let opener = Opener::X25519(&seal);
        let opened = envelope::open(request, EnvelopeType::Request, opener, &address.epoch.encode())?;
        let body = RejoinRequest::decode(opened.claimed_payload())?;
        let package = body.verify(&self.state, now)?;
        opened.verify(package.leaf().device_key())?;
        if address.group != self.state.group {
            return Err(Error::not_allowed("a request for another group"));
        }
        Ok(body)
    }
}
