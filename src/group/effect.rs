//! What a commit changed, for people to see.

use super::info::GroupInfo;
use super::link::LinkId;
use super::policy::{Policy, Role};
use crate::error::{Error, Result};
use crate::identity::UserUri;
use crate::ids::{DeviceId, Timestamp};
use crate::wire::{Reader, Wire, Writer, public_encoding};

/// One thing that a commit changed, as the members see it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect {
    /// The rules were replaced.
    Policy(Policy),
    /// The name, description, picture or default for disappearing messages was replaced.
    Info(GroupInfo),
    /// A user left.
    Left(UserUri),
    /// A user was removed and barred.
    Removed(UserUri),
    /// A user took out one of their own devices.
    DeviceRemoved(UserUri, DeviceId),
    /// A device that had lost its state was readmitted.
    Rejoined(UserUri, DeviceId),
    /// A new user was added, with a first device.
    Added(UserUri, DeviceId),
    /// A user who was already in was added with one more device.
    DeviceAdded(UserUri, DeviceId),
    /// A user has a new role.
    Role(UserUri, Role),
    /// The committer renewed its keys.
    Healed(UserUri, DeviceId),
    /// An invite link was opened, to expire after this second.
    LinkOpened(LinkId, Timestamp),
    /// An invite link was closed.
    LinkClosed(LinkId),
}

impl Wire for Effect {
    fn write(&self, w: &mut Writer) {
        match self {
            Self::Policy(policy) => w.array(2).uint(0).item(policy),
            Self::Info(info) => w.array(2).uint(1).item(info),
            Self::Left(user) => w.array(2).uint(2).item(user),
            Self::Removed(user) => w.array(2).uint(3).item(user),
            Self::DeviceRemoved(user, device) => w.array(3).uint(4).item(user).item(device),
            Self::Rejoined(user, device) => w.array(3).uint(5).item(user).item(device),
            Self::Added(user, device) => w.array(3).uint(6).item(user).item(device),
            Self::DeviceAdded(user, device) => w.array(3).uint(7).item(user).item(device),
            Self::Role(user, role) => w.array(3).uint(8).item(user).item(role),
            Self::Healed(user, device) => w.array(3).uint(9).item(user).item(device),
            Self::LinkOpened(link, expires) => w.array(3).uint(16).item(link).item(expires),
            Self::LinkClosed(link) => w.array(2).uint(17).item(link),
        };
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        let len = r.array_up_to(3)?;
        Ok(match (len, r.u8()?) {
            (2, 0) => Self::Policy(r.item()?),
            (2, 1) => Self::Info(r.item()?),
            (2, 2) => Self::Left(r.item()?),
            (2, 3) => Self::Removed(r.item()?),
            (3, 4) => Self::DeviceRemoved(r.item()?, r.item()?),
            (3, 5) => Self::Rejoined(r.item()?, r.item()?),
            (3, 6) => Self::Added(r.item()?, r.item()?),
            (3, 7) => Self::DeviceAdded(r.item()?, r.item()?),
            (3, 8) => Self::Role(r.item()?, r.item()?),
            (3, 9) => Self::Healed(r.item()?, r.item()?),
            (3, 16) => Self::LinkOpened(r.item()?, r.item()?),
            (2, 17) => Self::LinkClosed(r.item()?),
            _ => return Err(Error::malformed("not an effect")),
        })
    }
}

public_encoding!(Effect);
