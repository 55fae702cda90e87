//! The changes that a commit makes (`docs/protocol.md`, section 5.3).

use super::info::Profile;
use super::policy::{Policy, Role};
use crate::crypto::kdf::{self, Hash};
use crate::crypto::sign::{Signature, SignatureInput};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{Revocation, UnverifiedLeaf, UserUri};
use crate::ids::{DeviceId, GroupId, LeafHash, LeafIndex};
use crate::labels;
use crate::wire::{Reader, Wire, Writer};

/// One change. A commit lists its changes in the order of these variants, and within one by what they name.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Proposal {
    /// Replaces the policy.
    Policy(Policy),
    /// Replaces what the group shows, and its open links.
    Info(Profile),
    /// Takes out a leaf, or its user with all devices, as the leaf's own signature asks.
    Leave {
        /// The leaf that signed.
        leaf: LeafIndex,
        /// Whether the user leaves, or only this device.
        scope: LeaveScope,
        /// Its signature, by [`Group::sign_leave`](super::Group::sign_leave).
        signature: Signature,
    },
    /// Takes out a user with all leaves, and bars its identity.
    Remove(UserUri),
    /// Takes out one of the committer's own devices.
    RemoveDevice(LeafIndex),
    /// Puts a new leaf of the same device in the place of one that lost its state.
    Replace {
        /// The leaf that lost its state.
        leaf: LeafIndex,
        /// The new one, from a key package of the same device.
        with: UnverifiedLeaf,
        /// The device's signature over the group, the device and the new leaf's hash.
        consent: Signature,
    },
    /// Adds a device: of a new user, or of one who is already in.
    Add(UnverifiedLeaf),
    /// Gives a user another role.
    Role {
        /// Who.
        user: UserUri,
        /// What the user may do from now on.
        role: Role,
    },
    /// Takes out a user or a device, as the app or the user itself has signed.
    Revoke(Revocation),
}

/// What leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaveScope {
    /// The user, with all devices.
    User,
    /// One device; the user, too, if it was the last.
    Device,
}

impl Wire for LeaveScope {
    fn write(&self, w: &mut Writer) {
        w.bool(*self == Self::User);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        Ok(if r.bool()? { Self::User } else { Self::Device })
    }
}

impl Proposal {
    /// Where this stands in a commit. Strictly increasing, so no two changes of a commit name the same thing.
    pub(crate) fn order(&self) -> (u8, Vec<u8>) {
        match self {
            Self::Policy(_) => (0, Vec::new()),
            Self::Info(_) => (1, Vec::new()),
            Self::Leave { leaf, .. } => (2, leaf.0.to_be_bytes().to_vec()),
            Self::Remove(user) => (3, user.as_str().as_bytes().to_vec()),
            Self::RemoveDevice(leaf) => (4, leaf.0.to_be_bytes().to_vec()),
            Self::Replace { leaf, .. } => (5, leaf.0.to_be_bytes().to_vec()),
            Self::Add(leaf) => (6, leaf.hash().as_bytes().to_vec()),
            Self::Role { user, .. } => (7, user.as_str().as_bytes().to_vec()),
            Self::Revoke(_) => (8, self.hash().to_vec()),
        }
    }

    /// The hash of one proposal.
    pub(crate) fn hash(&self) -> Hash {
        kdf::hash(labels::HASH_PROPOSAL, 1, |w| {
            w.item(self);
        })
    }
}

/// The hash of a commit's list of proposal hashes, which its committer's fresh leaf is bound to.
pub(crate) fn list_hash(hashes: &[Hash]) -> Hash {
    kdf::hash(labels::HASH_PROPOSALS, 1, |w| {
        w.array(hashes.len());
        for hash in hashes {
            w.bytes(hash);
        }
    })
}

/// What a leaving member signs: it holds as long as the leaf lives, in whichever commit takes it up.
pub(crate) fn leave_input(group: GroupId, leaf: LeafIndex, scope: LeaveScope) -> SignatureInput {
    SignatureInput::new(labels::SIGN_LEAVE, 3, |w| {
        w.item(&group).item(&leaf).item(&scope);
    })
}

/// What a device signs to be readmitted: it holds for one group and one new leaf.
pub(crate) fn rejoin_input(group: GroupId, device: DeviceId, with: &LeafHash) -> SignatureInput {
    SignatureInput::new(labels::SIGN_REJOIN, 3, |w| {
        w.item(&group).item(&device).item(with);
    })
}

impl Wire for Proposal {
    fn write(&self, w: &mut Writer) {
        match self {
            Self::Policy(policy) => w.array(2).uint(0).item(policy),
            Self::Info(info) => w.array(2).uint(1).item(info),
            Self::Leave { leaf, scope, signature } => w.array(4).uint(2).item(leaf).item(scope).item(signature),
            Self::Remove(user) => w.array(2).uint(3).item(user),
            Self::RemoveDevice(leaf) => w.array(2).uint(4).item(leaf),
            Self::Replace { leaf, with, consent } => w.array(4).uint(5).item(leaf).item(with).item(consent),
            Self::Add(leaf) => w.array(2).uint(6).item(leaf),
            Self::Role { user, role } => w.array(3).uint(7).item(user).item(role),
            Self::Revoke(revocation) => w.array(2).uint(8).item(revocation),
        };
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        let (len, kind) = r.kind_of_array()?;
        let proposal = match (len, kind) {
            (2, 0) => Self::Policy(r.item()?),
            (2, 1) => Self::Info(r.item()?),
            (4, 2) => Self::Leave { leaf: r.item()?, scope: r.item()?, signature: r.item()? },
            (2, 3) => Self::Remove(r.item()?),
            (2, 4) => Self::RemoveDevice(r.item()?),
            (4, 5) => Self::Replace { leaf: r.item()?, with: r.item()?, consent: r.item()? },
            (2, 6) => Self::Add(r.item()?),
            (3, 7) => Self::Role { user: r.item()?, role: r.item()? },
            (2, 8) => Self::Revoke(r.item()?),
            (_, 0..=8) => return Err(Error::malformed("a proposal of a known kind with other items")),
            _ => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "a proposal this version does not know: update the library",
                ));
            }
        };
        Ok(proposal)
    }
}
