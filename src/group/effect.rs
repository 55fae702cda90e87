//! What a commit changed, for people to see.

use core::fmt;

use super::info::GroupInfo;
use super::link::LinkId;
use super::policy::{Policy, Role};
use crate::error::{Error, Result};
use crate::identity::UserUri;
use crate::ids::{DeviceId, Timestamp};
use crate::wire::{Reader, Wire, Writer, public_encoding};

/// Characters of a name in a sentence.
const LINE: usize = 64;

/// One thing that a commit changed, as the members see it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect {
    /// The rules were replaced.
    Policy(Policy),
    /// The name, description, picture or default for disappearing messages was replaced.
    Info(GroupInfo),
    /// A user left, or revoked the last of their devices.
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
    /// A user was taken out, and barred if the list has room, by the word of their own app; whose commit it was only took that up.
    Revoked(UserUri),
    /// A user revoked one of their devices; others are left. Whose commit it was only took that up.
    DeviceRevoked(UserUri, DeviceId),
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
            Self::Revoked(user) => w.array(2).uint(10).item(user),
            Self::DeviceRevoked(user, device) => w.array(3).uint(11).item(user).item(device),
            Self::LinkOpened(link, expires) => w.array(3).uint(12).item(link).item(expires),
            Self::LinkClosed(link) => w.array(2).uint(13).item(link),
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
            (2, 10) => Self::Revoked(r.item()?),
            (3, 11) => Self::DeviceRevoked(r.item()?, r.item()?),
            (3, 12) => Self::LinkOpened(r.item()?, r.item()?),
            (2, 13) => Self::LinkClosed(r.item()?),
            _ => return Err(Error::malformed("not an effect")),
        })
    }
}

public_encoding!(Effect);

/// What happened as a sentence without who did it, for logs and for apps without words of their own: "bob (courier.example)
/// is now an admin".
impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Two users of one name at two apps are two people, and the characters of both parts are plain.
        let who = |user: &UserUri| format!("{} ({})", user.name(), user.domain());
        match self {
            Self::Policy(_) => f.write_str("the group has new rules"),
            Self::Info(info) => write!(f, "the group is called \u{201c}{}\u{201d}", shortened(info.name())),
            Self::Left(user) => write!(f, "{} left", who(user)),
            Self::Removed(user) => write!(f, "{} was removed", who(user)),
            Self::DeviceRemoved(user, _) => write!(f, "a device of {} was taken out", who(user)),
            Self::Rejoined(user, _) => write!(f, "a device of {} is back", who(user)),
            Self::Added(user, _) => write!(f, "{} was added", who(user)),
            Self::DeviceAdded(user, _) => write!(f, "a device of {} was added", who(user)),
            Self::Role(user, role) => {
                let article = if matches!(role, Role::Admin | Role::Owner) { "an" } else { "a" };
                write!(f, "{} is now {article} {role}", who(user))
            }
            Self::Healed(user, _) => write!(f, "{} has new keys", who(user)),
            Self::Revoked(user) => write!(f, "{} was revoked by their app", who(user)),
            Self::DeviceRevoked(user, _) => write!(f, "a device of {} was revoked", who(user)),
            Self::LinkOpened(..) => f.write_str("an invite link was opened"),
            Self::LinkClosed(_) => f.write_str("an invite link was closed"),
        }
    }
}

/// A name as long as a line bears. What it consists of was checked when it was read.
fn shortened(name: &str) -> String {
    let mut short: String = name.chars().take(LINE).collect();
    if short.len() < name.len() {
        short.push('\u{2026}');
    }
    short
}
