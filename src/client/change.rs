//! What an app asks to be changed in a group, and the proposals that make it so.

use std::collections::BTreeMap;

use crate::crypto::kem::InitKey;
use crate::crypto::sign::VerifyKey;
use crate::error::{Error, ErrorKind, Result};
use crate::group::{
    GroupInfo, GroupState, JoinRequest, LinkId, OpenLink, Policy, Proposal, RejoinRequest, Role, judge_revocation,
};
use crate::identity::{AppDomain, Revocation, TrustedApp, UnverifiedKeyPackage, UserUri, check_all};
use crate::ids::{DeviceId, LeafHash, LeafIndex, Timestamp};
use crate::limits;
use crate::wire::{Reader, Wire, Writer};

/// A change to a group, queued until its commit is through the log, or dropped with a reason.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Change {
    /// Adds the devices of these key packages: new users, or further devices of ones who are in.
    Add(Vec<UnverifiedKeyPackage>),
    /// Readmits a device of the group that was left behind or rolled back, as it asks.
    Readmit(Box<RejoinRequest>),
    /// Removes a user with all devices and bars the identity.
    Remove(UserUri),
    /// Takes out another device of one's own.
    RemoveDevice(DeviceId),
    /// Gives a user another role.
    Role(UserUri, Role),
    /// Replaces the policy.
    Policy(Policy),
    /// Replaces what the group is called and shows. Its invite links stay.
    Info(GroupInfo),
    /// Renews one's own keys, so that a thief of the old ones is locked out.
    Heal,
    /// Leaves the group, with all one's devices.
    Leave,
    /// Asks the other members to readmit this device, after [`Excluded`](super::EventKind::Excluded),
    /// [`Removed`](super::EventKind::Removed) or [`RolledBack`](super::EventKind::RolledBack).
    Rejoin,
    /// Lets in a device that asks by an invite link. A user who was removed comes back by it, if this device's user is an
    /// admin.
    Admit(Box<JoinRequest>),
    /// Opens an invite link: what [`open_link`](super::Client::open_link) queues.
    OpenLink(OpenLink),
    /// Closes an invite link, so that requests by it count no more. To rotate a link is to open another and close this one:
    /// do so after removing someone who knew it.
    CloseLink(LinkId),
    /// Lets users of one more app in, or takes on more roots of one that is listed already, as when it changes its root.
    /// Nothing else of the policy changes, whatever others change meanwhile.
    AdmitApp(TrustedApp),
    /// Takes another app off the list, and all its users out of the group, at once. They are not barred: if the app is
    /// admitted again, they may be added again.
    DelistApp(AppDomain),
    /// Takes one root of an app off the list, which no device in the group is [under](GroupState::devices_under) any more;
    /// another stays.
    RetireRoot(AppDomain, VerifyKey),
    /// Takes out a user or a device, as their app or they themselves have [signed](Revocation). Any member may.
    Revoke(Revocation),
}

/// The proposals of a change and the init keys they need.
pub(super) type Proposals = (Vec<Proposal>, BTreeMap<LeafHash, InitKey>);

impl Change {
    /// What this change comes to in `state` at `now`. Fails if it cannot be made, or has been made already.
    ///
    /// The signatures of those it adds are left to [`verify`](Self::verify), and to the commit. What a commit does not see
    /// is checked here: that the init key is the one the device signed.
    pub(super) fn proposals(&self, state: &GroupState, own: LeafIndex, now: Timestamp) -> Result<Proposals> {
        let mut init_keys = BTreeMap::new();
        let proposals = match self {
            Self::Add(packages) if packages.is_empty() => return Err(Error::misuse("there is nobody to add")),
            Self::Add(packages) => {
                let mut proposals = Vec::with_capacity(packages.len());
                for package in packages {
                    package.check_claims(&state.policy.apps, now)?;
                    init_keys.insert(package.id(), package.init_key().clone());
                    proposals.push(Proposal::Add(package.leaf().clone()));
                }
                proposals
            }
            Self::Readmit(request) => {
                let package = request.verify(state, now)?;
                init_keys.insert(package.id(), package.init_key().clone());
                vec![request.proposal(state)?]
            }
            Self::Remove(user) => vec![Proposal::Remove(user.clone())],
            Self::RemoveDevice(device) => {
                let (leaf, _) = state.member(own)?;
                vec![Proposal::RemoveDevice(find(state, leaf.user(), *device)?)]
            }
            Self::Role(user, role) => vec![Proposal::Role { user: user.clone(), role: *role }],
            Self::Policy(policy) => vec![Proposal::Policy(policy.clone())],
            Self::Info(info) => vec![Proposal::Info(state.profile.with_info(info.clone()))],
            Self::AdmitApp(app) => vec![admit(state, app)?],
            Self::DelistApp(domain) => delist(state, own, domain)?,
            Self::RetireRoot(domain, root) => vec![retire(state, domain, root)?],
            Self::Revoke(revocation) => vec![Proposal::Revoke(revocation.clone())],
            Self::Heal => Vec::new(),
            Self::Admit(request) => {
                let package = request.verify(state, now)?;
                if state.user(request.user()).is_some_and(|user| user.identity != *package.leaf().identity_key()) {
                    return Err(Error::not_allowed(
                        "this user is in with another identity key: compare safety numbers, then remove the old one",
                    ));
                }
                init_keys.insert(package.id(), package.init_key().clone());
                vec![request.proposal()]
            }
            Self::OpenLink(link) if now > link.expires() => {
                return Err(Error::new(ErrorKind::Expired, "this link has expired before it was open"));
            }
            Self::OpenLink(link) => vec![Proposal::Info(state.profile.with_link(link.clone(), now)?)],
            Self::CloseLink(link) => vec![Proposal::Info(state.profile.without_link(*link)?)],
            Self::Leave | Self::Rejoin => return Err(Error::misuse("leaving and rejoining are not commits")),
        };
        Ok((proposals, init_keys))
    }

    /// Verifies the chains of trust of those it adds, in one batch, or a revocation: whoever asks for a change hears of a
    /// forged one at once.
    pub(super) fn verify(&self, state: &GroupState, own: LeafIndex, now: Timestamp) -> Result<()> {
        match self {
            Self::Add(packages) => {
                check_all(packages.iter().map(|package| (package.leaf(), None)), &state.policy.apps, Some(now))
            }
            Self::Revoke(revocation) => {
                let (leaf, user) = state.member(own)?;
                let time = self.at(now).max(state.time);
                judge_revocation(state, (leaf, user.role), revocation, time).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// When to commit this. At a time at which what it rests on, by the clock of whoever signed that, was not made yet, the
    /// commit would be void; but a revocation from far ahead is none.
    pub(super) fn at(&self, now: Timestamp) -> Timestamp {
        match self {
            Self::Readmit(request) => request.at(now),
            Self::Revoke(revocation) if revocation.time() <= now.after(limits::CLOCK_SKEW) => {
                now.max(revocation.time())
            }
            _ => now,
        }
    }
}

fn admit(state: &GroupState, app: &TrustedApp) -> Result<Proposal> {
    let mut policy = state.policy.clone();
    let mut any = false;
    for root in app.roots() {
        any |= policy.apps.insert(app.domain().clone(), root.clone())?;
    }
    if any {
        Ok(Proposal::Policy(policy))
    } else {
        Err(Error::new(ErrorKind::Duplicate, "the group lists this app with these roots already"))
    }
}

fn delist(state: &GroupState, own: LeafIndex, domain: &AppDomain) -> Result<Vec<Proposal>> {
    if state.member(own)?.0.domain() == domain {
        return Err(Error::not_allowed("an app is taken off the list by a user of another app"));
    }
    let mut policy = state.policy.clone();
    if !policy.apps.remove_app(domain) {
        return Err(not_listed());
    }
    if !state.users.iter().any(|(uri, user)| user.role == Role::Owner && uri.domain() != domain) {
        return Err(Error::not_allowed("a group keeps at least one owner: give a user of another app that role first"));
    }
    let users = state.users.keys().filter(|user| user.domain() == domain);
    Ok(core::iter::once(Proposal::Policy(policy)).chain(users.cloned().map(Proposal::Remove)).collect())
}

fn retire(state: &GroupState, domain: &AppDomain, root: &VerifyKey) -> Result<Proposal> {
    let mut policy = state.policy.clone();
    if !policy.apps.remove(domain, root) {
        return Err(not_listed());
    }
    if policy.apps.app(domain).is_none() {
        return Err(Error::not_allowed("an app keeps a root: admit the new one first, or delist the app"));
    }
    if state.devices_under(domain, root) > 0 {
        return Err(Error::not_allowed("devices are still under this root: wait until they have renewed and healed"));
    }
    Ok(Proposal::Policy(policy))
}

const fn not_listed() -> Error {
    Error::new(ErrorKind::NotMember, "the group does not list this app or root")
}

fn find(state: &GroupState, user: &UserUri, device: DeviceId) -> Result<LeafIndex> {
    let found = state.leaves_of(user).find(|(_, leaf)| leaf.device() == device).map(|(index, _)| index);
    found.ok_or(Error::new(ErrorKind::NotMember, "this device is not in the group"))
}

impl Wire for Change {
    fn write(&self, w: &mut Writer) {
        match self {
            Self::Add(packages) => w.array(2).uint(0).list(packages.iter()),
            Self::Readmit(request) => w.array(2).uint(1).item(request.as_ref()),
            Self::Remove(user) => w.array(2).uint(2).item(user),
            Self::RemoveDevice(device) => w.array(2).uint(3).item(device),
            Self::Role(user, role) => w.array(3).uint(4).item(user).item(role),
            Self::Policy(policy) => w.array(2).uint(5).item(policy),
            Self::Info(info) => w.array(2).uint(6).item(info),
            Self::Heal => w.array(1).uint(7),
            Self::Leave => w.array(1).uint(8),
            Self::Rejoin => w.array(1).uint(9),
            Self::Admit(request) => w.array(2).uint(10).item(request.as_ref()),
            Self::OpenLink(link) => w.array(2).uint(11).item(link),
            Self::CloseLink(link) => w.array(2).uint(12).item(link),
            Self::AdmitApp(app) => w.array(2).uint(13).item(app),
            Self::DelistApp(domain) => w.array(2).uint(14).item(domain),
            Self::Revoke(revocation) => w.array(2).uint(15).item(revocation),
            Self::RetireRoot(domain, root) => w.array(3).uint(16).item(domain).item(root),
        };
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        let len = r.array_up_to(3)?;
        Ok(match (len, r.u8()?) {
            (2, 0) => Self::Add(r.list(limits::PROPOSALS)?),
            (2, 1) => Self::Readmit(Box::new(r.item()?)),
            (2, 2) => Self::Remove(r.item()?),
            (2, 3) => Self::RemoveDevice(r.item()?),
            (3, 4) => Self::Role(r.item()?, r.item()?),
            (2, 5) => Self::Policy(r.item()?),
            (2, 6) => Self::Info(r.item()?),
            (1, 7) => Self::Heal,
            (1, 8) => Self::Leave,
            (1, 9) => Self::Rejoin,
            (2, 10) => Self::Admit(Box::new(r.item()?)),
            (2, 11) => Self::OpenLink(r.item()?),
            (2, 12) => Self::CloseLink(r.item()?),
            (2, 13) => Self::AdmitApp(r.item()?),
            (2, 14) => Self::DelistApp(r.item()?),
            (2, 15) => Self::Revoke(r.item()?),
            (3, 16) => Self::RetireRoot(r.item()?, r.item()?),
            _ => return Err(Error::malformed("not a change")),
        })
    }
}
