//! Requests of those outside to be let in, by an invite link (`docs/protocol.md`, section 5.9).

use super::link::{InviteLink, LinkId};
use super::proposal::Proposal;
use super::state::GroupState;
use crate::crypto::sign::{Signature, SignatureInput, Signer};
use crate::envelope::{self, Draft, Envelope, EnvelopeFor, EnvelopeType, Opener, Recipient};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{KeyPackage, Source, UnverifiedKeyPackage, UserUri};
use crate::ids::{DeviceId, GroupId, LeafHash, Suite, Timestamp};
use crate::labels;
use crate::limits;
use crate::wire::{Reader, Wire, Writer, public_encoding};

/// What a device asks by an invite link: to be added to one group by this key package.
///
/// The link's invite key has signed for the group and the package, so that it holds for no other. It holds for a day, as
/// long as its key package, and not once the link is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRequest {
    group: GroupId,
    link: LinkId,
    package: UnverifiedKeyPackage,
    signature: Signature,
}

/// What the clear part of a sealed request says: who can open it.
struct Address {
    group: GroupId,
    link: LinkId,
}

fn invite_input(group: GroupId, package: &LeafHash) -> SignatureInput {
    SignatureInput::new(labels::SIGN_INVITE, 2, |w| {
        w.item(&group).item(package);
    })
}

impl JoinRequest {
    /// Which request: the id of its key package.
    #[must_use]
    pub fn id(&self) -> LeafHash {
        self.package.id()
    }

    /// The group.
    #[must_use]
    pub const fn group(&self) -> GroupId {
        self.group
    }

    /// By which link.
    #[must_use]
    pub const fn link(&self) -> LinkId {
        self.link
    }

    /// The key package to add the device by, not verified.
    #[must_use]
    pub const fn package(&self) -> &UnverifiedKeyPackage {
        &self.package
    }

    /// Whose device asks.
    #[must_use]
    pub fn user(&self) -> &UserUri {
        self.package.leaf().claims().user()
    }

    /// Which device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.package.leaf().claims().device()
    }

    /// The last second at which its key package may be used.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.package.leaf().claims().validity().not_after
    }

    /// When it was made, by the clock of whoever asks. Packages are valid from an hour before.
    pub(crate) fn made(&self) -> Timestamp {
        self.package.leaf().claims().validity().not_before.after(limits::CLOCK_SKEW)
    }

    /// Whether whoever asks was removed from the group and so is barred.
    #[must_use]
    pub fn is_barred(&self, state: &GroupState) -> bool {
        state.barred.contains(self.package.leaf().claims().identity_key())
    }

    /// Verifies that a device which the group's apps vouch for asks for this group, by a link that is open in `state` and
    /// not over at `now`.
    ///
    /// Fails with `Expired` if the link is closed or over, or the package out of date; with `NotAllowed` if it is for
    /// another group, of an app that the group does not list, or of a device that is in; with `Unauthentic`.
    pub fn verify(&self, state: &GroupState, now: Timestamp) -> Result<KeyPackage> {
        if self.group != state.group {
            return Err(Error::not_allowed("a request for another group"));
        }
        let open = state.profile.link(self.link).filter(|link| now <= link.expires());
        let open = open.ok_or(Error::new(ErrorKind::Expired, "the link of this request is closed or has expired"))?;
        let claims = self.package.leaf().claims();
        if matches!(claims.source(), Source::Package { last_resort: true, .. }) {
            return Err(Error::not_allowed("a request is by a key package of its own, not by a last resort"));
        }
        let validity = claims.validity();
        if validity.not_after > self.made().after(limits::REQUEST_LIFETIME) {
            return Err(Error::not_allowed("a request holds for a day, and so does its key package"));
        }
        if claims.suite() != state.suite || !claims.capabilities().supports(state.suite) {
            return Err(Error::not_allowed("whoever asks does not support the group's suite"));
        }
        if state.leaves_of(claims.user()).any(|(_, leaf)| leaf.device() == claims.device()) {
            return Err(Error::not_allowed("this device is in the group already"));
        }
        open.invite().verify(&invite_input(self.group, &self.id()), &self.signature)?;
        self.package.clone().verify(&state.policy.apps, now)
    }

    /// The change that adds the device.
    #[must_use]
    pub fn proposal(&self) -> Proposal {
        Proposal::Add(self.package.leaf().clone())
    }
}

impl InviteLink {
    /// A request to be added by `package` to the link's group.
    pub fn request(&self, package: &KeyPackage) -> Result<JoinRequest> {
        let signature = self.invite().sign(&invite_input(self.group(), &package.id()));
        let package = UnverifiedKeyPackage::try_from(package)?;
        Ok(JoinRequest { group: self.group(), link: self.id(), package, signature })
    }

    /// Seals a request to the group's members. `signer` is the key of the device that asks. Fails as it fails.
    pub fn seal(&self, request: &JoinRequest, signer: &dyn Signer, rng: &mut dyn rand::CryptoRng) -> Result<Envelope> {
        let (payload, id) = (request.encode(), self.id().as_bytes().to_vec());
        let address = Address { group: self.group(), link: self.id() };
        let draft = Draft::hedged(EnvelopeType::Join, Suite::One, address.encode(), &[&payload], rng)?;
        let signed = draft.sign(Vec::new(), Some(vec![id.clone()]), &payload, signer)?;
        signed.seal(&[Recipient::X25519 { id, key: self.join() }], &[])
    }
}

impl GroupState {
    /// Opens a request by the join key of its link, and [verifies](JoinRequest::verify) it at `now`.
    ///
    /// Fails with `Malformed`, `Unauthentic`, `Expired` or `NotAllowed`.
    pub fn open_join_request(&self, request: &EnvelopeFor, now: Timestamp) -> Result<JoinRequest> {
        self.open_new_request(request, now, |_| Ok(()))
    }

    /// By which link a request claims to be, if that is open at `now`: before anything of it is opened.
    pub(crate) fn asked_link(&self, request: &EnvelopeFor, now: Timestamp) -> Result<LinkId> {
        let link = Address::decode(request.header().public())?.link;
        match self.profile.link(link) {
            Some(open) if now <= open.expires() => Ok(link),
            _ => Err(Error::new(ErrorKind::Expired, "the link of this request is closed or has expired")),
        }
    }

    /// The same, if `check` passes it before its signatures are verified.
    pub(crate) fn open_new_request(
        &self,
        request: &EnvelopeFor,
        now: Timestamp,
        check: impl FnOnce(&JoinRequest) -> Result<()>,
    ) -> Result<JoinRequest> {
        let address = Address::decode(request.header().public())?;
        let open = self.profile.link(address.link).filter(|link| now <= link.expires());
        let open = open.ok_or(Error::new(ErrorKind::Expired, "the link of this request is closed or has expired"))?;
        if address.group != self.group {
            return Err(Error::not_allowed("a request for another group"));
        }
        let opener = Opener::X25519(open.join());
        let opened = envelope::open(request, EnvelopeType::Join, opener, address.link.as_bytes())?;
        let body = JoinRequest::decode(opened.claimed_payload())?;
        if body.link != address.link || !opened.sender().is_empty() {
            return Err(Error::not_allowed("a request by another link than its header names"));
        }
        check(&body)?;
        let package = body.verify(self, now)?;
        opened.verify(package.leaf().device_key())?;
        Ok(body)
    }
}

impl Wire for JoinRequest {
    fn write(&self, w: &mut Writer) {
        w.array(4).item(&self.group).item(&self.link).item(&self.package).item(&self.signature);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(4)?;
        Ok(Self { group: r.item()?, link: r.item()?, package: r.item()?, signature: r.item()? })
    }
}

public_encoding!(JoinRequest);

impl Wire for Address {
    fn write(&self, w: &mut Writer) {
        w.array(2).item(&self.group).item(&self.link);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(2)?;
        Ok(Self { group: r.item()?, link: r.item()? })
    }
}
