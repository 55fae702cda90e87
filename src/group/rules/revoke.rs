//! Which revocations are valid, and what they do (`docs/protocol.md`, sections 3.7 and 5.3).

use super::{Pass, not_member, not_self};
use crate::error::{Error, Result};
use crate::group::effect::Effect;
use crate::group::policy::Role;
use crate::group::state::{GroupState, User};
use crate::identity::{Leaf, Revocation, Revoked};
use crate::ids::{LeafIndex, Timestamp};

/// What a valid revocation does.
pub(crate) enum Outcome {
    /// The user is out, and barred if the list has room.
    User,
    /// A device is out, and its user stays.
    Device(LeafIndex),
    /// It was the user's last.
    LastDevice,
}

/// Whether a revocation is valid in a commit of this leaf, with this role, at this time, and what it then does.
///
/// It is the word of an app or of the user, and not the committer's: so any member commits it, as it does a leave. Cheap
/// rules come before the signatures.
pub(crate) fn judge(
    state: &GroupState,
    (committer, role): (&Leaf, Role),
    revocation: &Revocation,
    time: Timestamp,
) -> Result<Outcome> {
    let user = revocation.user();
    if user != committer.user() && role < Role::Member {
        return Err(Error::not_allowed("a reader commits no revocation of another user"));
    }
    let entry = state.users.get(user).ok_or_else(not_member)?;
    let outcome = match revocation.what() {
        Revoked::User { identity } => {
            not_self(user, committer)?;
            if entry.identity != *identity {
                return Err(Error::not_allowed("this user has another identity key than the one that is revoked"));
            }
            check_present(state, revocation)?;
            Outcome::User
        }
        Revoked::Device { device, serial } => {
            let mut leaves = state.leaves_of(user);
            let (index, leaf) = leaves.find(|(_, leaf)| leaf.device() == device).ok_or_else(not_member)?;
            if leaf.serial() > serial {
                return Err(Error::not_allowed("the device was certified again after this revocation"));
            }
            if user == committer.user() && device == committer.device() {
                return Err(Error::not_allowed("nobody commits their own removal"));
            }
            if entry.devices.len() > 1 { Outcome::Device(index) } else { Outcome::LastDevice }
        }
    };
    revocation.verify(&state.policy.apps, &entry.identity, time)?;
    Ok(outcome)
}

/// The app that takes its word back is the one that gave it, and has not given it again. Else whoever may list roots could
/// list one of their own for any app, and remove whom their role does not let them.
fn check_present(state: &GroupState, revocation: &Revocation) -> Result<()> {
    let mut vouched = false;
    for (_, leaf) in state.leaves_of(revocation.user()) {
        vouched |= Some(leaf.root()) == revocation.root();
        if leaf.identity().credential().validity().not_before > revocation.time() {
            return Err(Error::not_allowed("the app has vouched for this user again since it revoked them"));
        }
    }
    if vouched {
        Ok(())
    } else {
        Err(Error::not_allowed("a user is revoked under the root that vouched for them: revoke by a key under that"))
    }
}

impl Pass<'_> {
    pub(super) fn revoke(&mut self, revocation: &Revocation) -> Result<()> {
        let user = revocation.user();
        // What this commit brings in is not in the state yet, and nobody who is brought in is taken out again.
        if self.new.iter().any(|(_, leaf, _)| leaf.claims().user() == user) {
            return Err(Error::not_allowed(
                "one commit does not add a device of a user and revoke the user or a device",
            ));
        }
        match judge(&self.next, (self.committer, self.role), revocation, self.next.time)? {
            Outcome::User => {
                self.bar(user, false);
                self.take_out(user);
                self.changes.push(Effect::Revoked(user.clone()));
            }
            Outcome::LastDevice => {
                self.take_out(user);
                self.changes.push(Effect::Left(user.clone()));
            }
            Outcome::Device(index) => {
                self.drop_leaf(index);
                let (Some(User { least_serial, .. }), Revoked::Device { device, serial }) =
                    (self.next.users.get_mut(user), revocation.what())
                else {
                    return Err(not_member());
                };
                *least_serial = (*least_serial).max(serial.saturating_add(1));
                self.changes.push(Effect::DeviceRevoked(user.clone(), device));
            }
        }
        Ok(())
    }
}
