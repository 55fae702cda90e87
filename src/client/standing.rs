//! Where a device stands in a group, and what signs there are that it may be wrong about that.

use crate::error::{Error, Result};

/// Where this device stands in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// Added, and not answered yet. Nothing of the group is read.
    Invited,
    /// A member.
    Active,
    /// A member who asked to be taken out.
    Leaving,
    /// A member who, by signs that are not authenticated, the others have gone on without. The epoch is still read and
    /// written; [rejoin](super::Change::Rejoin), or wait.
    Excluded,
    /// Our state is an old copy; [rejoin](super::Change::Rejoin) or forget it.
    RolledBack,
    /// Taken out. If only the hub says so, the epoch is still read and written, in case it lies; after a commit that we
    /// could read, nothing is. Forget the group, or [rejoin](super::Change::Rejoin).
    Removed,
}

impl Status {
    /// Whether log entries are processed.
    pub(super) const fn reads(self) -> bool {
        matches!(self, Self::Active | Self::Leaving)
    }
}

/// What signs there are that the others have gone on without us, each weightier than the one before. None of them is
/// authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Doubt {
    /// None.
    None,
    /// A commit could not be opened.
    Unopened,
    /// Something claims to be from a later epoch.
    Excluded,
    /// A commit that is not sealed to us claims to take us out.
    Removed,
}

const DOUBTS: [Doubt; 4] = [Doubt::None, Doubt::Unopened, Doubt::Excluded, Doubt::Removed];

pub(super) fn doubt_number(doubt: Doubt) -> u64 {
    DOUBTS.iter().position(|known| *known == doubt).map_or(0, |at| at as u64)
}

pub(super) fn doubt_of(number: u64) -> Result<Doubt> {
    let at = usize::try_from(number).ok().and_then(|at| DOUBTS.get(at).copied());
    at.ok_or(Error::damaged("not a doubt of a group"))
}

const STATUSES: [Status; 6] =
    [Status::Invited, Status::Active, Status::Leaving, Status::Excluded, Status::RolledBack, Status::Removed];

pub(super) fn status_number(status: Status) -> u64 {
    STATUSES.iter().position(|known| *known == status).map_or(0, |at| at as u64)
}

pub(super) fn status_of(number: u64) -> Result<Status> {
    let at = usize::try_from(number).ok().and_then(|at| STATUSES.get(at).copied());
    at.ok_or(Error::damaged("not the status of a group"))
}
