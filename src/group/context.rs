//! What stands for a group's state in every derivation and message (`docs/protocol.md`, section 5.1).

use super::state::VERSION;
use crate::crypto::kdf::{self, Hash};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{Epoch, GroupId, Suite, Timestamp};
use crate::labels;
use crate::wire::{Reader, Wire, Writer};

/// The parts of the group context: where it is and when it began, and one hash of all else.
///
/// So whoever shows that a message is of this group and epoch shows these few and nothing of who is in the group. The
/// hash cannot be guessed from outside: it covers the transcript, in which are signatures that only members have seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupContext {
    pub(crate) suite: Suite,
    pub(crate) group: GroupId,
    pub(crate) epoch: Epoch,
    pub(crate) time: Timestamp,
    /// Users, barred, leaves, next index, policy, info and transcript.
    pub(crate) members: Hash,
}

impl GroupContext {
    /// The context hash.
    pub(crate) fn hash(&self) -> Hash {
        kdf::hash(labels::HASH_CONTEXT, 6, |w| self.write_parts(w))
    }

    fn write_parts(&self, w: &mut Writer) {
        w.uint(VERSION).item(&self.suite).item(&self.group).item(&self.epoch).item(&self.time).bytes(&self.members);
    }
}

impl Wire for GroupContext {
    fn write(&self, w: &mut Writer) {
        self.write_parts(w.array(6));
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(6)?;
        if r.u64()? != VERSION {
            return Err(Error::new(ErrorKind::Unsupported, "a group of a newer protocol version: update the library"));
        }
        Ok(Self { suite: r.item()?, group: r.item()?, epoch: r.item()?, time: r.item()?, members: r.fixed()? })
    }
}
