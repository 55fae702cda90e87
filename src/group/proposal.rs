//! The changes that a commit makes (`docs/protocol.md`, section 5.3).

use super::policy::{GroupInfo, Policy, Role};
use crate::crypto::kdf::{self, Hash};
use crate::crypto::sign::{Signature, SignatureInput};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{UnverifiedLeaf, UserUri};
use crate::ids::{GroupId, LeafIndex};
use crate::labels;
use crate::wire::{Reader, Wire, Writer};

/// One change. A commit lists its changes in the order of these variants, and within one by what they name.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Proposal {
    /// Replaces the policy.
    Policy(Policy),
    /// Replaces the info.
    Info(GroupInfo),
    /// Takes out the user of this leaf, as its own signature asks.
    Leave {
        /// The leaf that signed.
        leaf: LeafIndex,
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
pub(crate) fn leave_input(group: GroupId, leaf: LeafIndex) -> SignatureInput {
    SignatureInput::new(labels::SIGN_LEAVE, 2, |w| {
        w.item(&group).item(&leaf);
    })
}

impl Wire for Proposal {
    fn write(&self, w: &mut Writer) {
        match self {
            Self::Policy(policy) => w.array(2).uint(0).item(policy),
            Self::Info(info) => w.array(2).uint(1).item(info),
            Self::Leave { leaf, signature } => w.array(3).uint(2).item(leaf).item(signature),
            Self::Remove(user) => w.array(2).uint(3).item(user),
            Self::RemoveDevice(leaf) => w.array(2).uint(4).item(leaf),
            Self::Replace { leaf, with } => w.array(3).uint(5).item(leaf).item(with),
            Self::Add(leaf) => w.array(2).uint(6).item(leaf),
            Self::Role { user, role } => w.array(3).uint(7).item(user).item(role),
        };
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        let len = r.array_up_to(3)?;
        let proposal = match (len, r.u8()?) {
            (2, 0) => Self::Policy(r.item()?),
            (2, 1) => Self::Info(r.item()?),
            (3, 2) => Self::Leave { leaf: r.item()?, signature: r.item()? },
            (2, 3) => Self::Remove(r.item()?),
            (2, 4) => Self::RemoveDevice(r.item()?),
            (3, 5) => Self::Replace { leaf: r.item()?, with: r.item()? },
            (2, 6) => Self::Add(r.item()?),
            (3, 7) => Self::Role { user: r.item()?, role: r.item()? },
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
