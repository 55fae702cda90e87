//! Who may do what in a group, and which apps its members come from (`docs/protocol.md`, section 5.2).

use core::fmt;

use crate::crypto::kdf;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::TrustedApps;
use crate::labels;
use crate::wire::{Reader, Wire, Writer, public_encoding};

/// What a user may do, each role including those below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum Role {
    /// Reads; posts only where the policy lets readers post.
    Reader,
    /// An ordinary member; whoever is added starts as one.
    #[default]
    Member,
    /// Manages members.
    Admin,
    /// Manages everything. A group always has one.
    Owner,
}

impl Wire for Role {
    fn write(&self, w: &mut Writer) {
        w.uint(match self {
            Self::Reader => 0,
            Self::Member => 1,
            Self::Admin => 2,
            Self::Owner => 3,
        });
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        match r.u8()? {
            0 => Ok(Self::Reader),
            1 => Ok(Self::Member),
            2 => Ok(Self::Admin),
            3 => Ok(Self::Owner),
            _ => Err(Error::new(ErrorKind::Unsupported, "a role this version does not know: update the library")),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reader => "reader",
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        })
    }
}

/// The rules of one group: its apps, and the least role for each kind of act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The apps whose users may be members, each with the root keys it certifies its app keys under.
    pub apps: TrustedApps,
    /// Who may add users.
    pub add: Role,
    /// Who may remove users of a lower role.
    pub remove: Role,
    /// Who may send messages.
    pub post: Role,
    /// Who may change the group's info.
    pub info: Role,
    /// Who may change this policy.
    pub policy: Role,
    /// Seconds after which a member should heal, at the latest; 0 for never.
    pub heal_after: u64,
}

impl Policy {
    /// The usual rules: admins add and remove, everyone posts, admins change the info, owners the policy; members
    /// heal weekly.
    #[must_use]
    pub const fn new(apps: TrustedApps) -> Self {
        Self {
            apps,
            add: Role::Admin,
            remove: Role::Admin,
            post: Role::Member,
            info: Role::Admin,
            policy: Role::Owner,
            heal_after: 7 * 24 * 60 * 60,
        }
    }

    /// The rules of an announcement group: as [usual](Self::new), but only admins and owners send messages. Everyone reads,
    /// and may still leave, heal, and ask to be readmitted.
    ///
    /// What a member had queued when a group changes to this is given back ([`MessageDropped`]).
    ///
    /// [`MessageDropped`]: crate::client::EventKind::MessageDropped
    #[must_use]
    pub const fn announcements(apps: TrustedApps) -> Self {
        let mut policy = Self::new(apps);
        policy.post = Role::Admin;
        policy
    }

    pub(crate) fn hash(&self) -> kdf::Hash {
        kdf::hash(labels::HASH_POLICY, 1, |w| {
            w.item(self);
        })
    }
}

impl Wire for Policy {
    fn write(&self, w: &mut Writer) {
        let Self { apps, add, remove, post, info, policy, heal_after } = self;
        w.array(7).item(apps).item(add).item(remove).item(post).item(info).item(policy).uint(*heal_after);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(7)?;
        Ok(Self {
            apps: r.item()?,
            add: r.item()?,
            remove: r.item()?,
            post: r.item()?,
            info: r.item()?,
            policy: r.item()?,
            heal_after: r.u64()?,
        })
    }
}

public_encoding!(Policy);
