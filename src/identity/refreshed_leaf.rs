//! A leaf in the place of an earlier one, as a commit carries it.

use super::claims::Terms;
use super::device::UnverifiedDeviceIdentity;
use super::leaf::{Leaf, UnverifiedLeaf};
use super::statement::Statement;
use crate::error::{Error, Result};
use crate::limits;
use crate::wire::{Reader, Wire, Writer};

/// A leaf that comes in the place of a known one of the same device.
///
/// It carries a device identity only if that is another than the known leaf's: a credential and a device certificate
/// are almost half a kilobyte that every reader of every commit holds already (`docs/protocol.md`, section 3.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefreshedLeaf {
    statement: Statement<Terms>,
    identity: Option<UnverifiedDeviceIdentity>,
}

impl RefreshedLeaf {
    /// The form of `leaf` for those who know `known`.
    pub(crate) fn new(leaf: UnverifiedLeaf, known: &Leaf) -> Self {
        let (statement, identity) = leaf.into_parts();
        let changed = identity != *known.identity().as_unverified();
        Self { statement, identity: changed.then_some(identity) }
    }

    /// The whole leaf, still to be verified. Fails with `Malformed` if it needs another identity than the known leaf's
    /// and has none, or carries the very same once more: there is one form for each.
    pub(crate) fn complete(&self, known: &Leaf) -> Result<UnverifiedLeaf> {
        let known = known.identity().as_unverified();
        let identity = match &self.identity {
            Some(identity) if identity == known => {
                return Err(Error::malformed("a commit repeats the device identity of its committer's leaf"));
            }
            Some(identity) => identity,
            None => known,
        };
        UnverifiedLeaf::new(self.statement.clone(), identity.clone())
    }
}

impl Wire for RefreshedLeaf {
    fn write(&self, w: &mut Writer) {
        let Self { statement, identity } = self;
        statement.write(w.array(3));
        match identity {
            Some(identity) => w.bytes(&identity.encode()),
            None => w.null(),
        };
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(3)?;
        let statement = Statement::read(r, limits::LEAF_BODY)?;
        let identity = if r.null()? { None } else { Some(Wire::decode(r.bytes(limits::DEVICE_IDENTITY)?)?) };
        Ok(Self { statement, identity })
    }
}
