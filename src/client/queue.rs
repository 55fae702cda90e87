//! What a device has yet to get through a group's log, in the order it was asked for.

use super::change::Change;
use super::records;
use crate::crypto::kdf::Hash;
use crate::crypto::kem::SealSecret;
use crate::crypto::sign::{Signature, SigningKey};
use crate::envelope::Envelope;
use crate::error::{Error, Result};
use crate::group::{FreshKeys, JoinRequest, LeaveScope, MessageKind, Role, kind_of};
use crate::ids::{DeviceId, Generation, LeafIndex, MessageId, Timestamp};
use crate::log::PostBody;
use crate::secret::Secret;
use crate::wire::{Reader, Wire, Writer};

/// Something queued, in the order it was asked for.
#[derive(Debug)]
pub(super) enum Row {
    /// The group's log is to be opened.
    Create,
    /// A message, kept as content until its echo counts.
    Message { content: Vec<u8>, id: MessageId, sealed: Option<Sealed>, echo: Option<Echo> },
    /// A change, until its commit returns.
    Change(Change),
    /// Another member's leave, to be committed once `not_before` has passed and while it can be.
    TakeOut { leaf: LeafIndex, scope: LeaveScope, signature: Signature, not_before: Timestamp },
    /// A request to be readmitted.
    Request(Envelope),
    /// A revoked device of our own user, to be taken out.
    Revoke(DeviceId),
    /// An answer to a member that asks whether others are still in this epoch, unless one is given before.
    Answer { to: LeafIndex, not_before: Timestamp, spoken: Option<LeafIndex> },
    /// A request to be let in that this client admits by itself, once `not_before` has passed and while it can.
    Admit { request: Box<JoinRequest>, not_before: Timestamp },
}

impl Row {
    /// Whether this is a message that the protocol sends by itself.
    pub(super) fn is_sign(&self) -> bool {
        matches!(self.kind(), Some(MessageKind::Leave | MessageKind::Here))
    }

    /// Whether this becomes a commit.
    pub(super) const fn is_commit(&self) -> bool {
        matches!(self, Self::Change(_) | Self::Revoke(_) | Self::TakeOut { .. } | Self::Admit { .. })
    }

    /// The request that this admits unasked.
    pub(super) fn admits(&self) -> Option<&JoinRequest> {
        if let Self::Admit { request, .. } = self { Some(request) } else { None }
    }

    /// Whether this is what the app said.
    pub(super) fn is_app(&self) -> bool {
        self.kind() == Some(MessageKind::App)
    }

    /// Whether this is a sign of life, or asks for one.
    pub(super) fn is_here(&self) -> bool {
        self.kind() == Some(MessageKind::Here)
    }

    fn kind(&self) -> Option<MessageKind> {
        let Self::Message { content, .. } = self else { return None };
        kind_of(content)
    }
}

/// Where a message of ours came back in the log, and what its sender and the group were then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Echo {
    pub(super) seq: u64,
    pub(super) role: Role,
    pub(super) time: Timestamp,
}

impl Wire for Echo {
    fn write(&self, w: &mut Writer) {
        w.array(3).uint(self.seq).item(&self.role).item(&self.time);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(3)?;
        Ok(Self { seq: r.u64()?, role: r.item()?, time: r.item()? })
    }
}

/// A message as encrypted in the present epoch.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) generation: Generation,
    pub(super) frame: Vec<u8>,
}

/// Our own commit, from before it is posted until an entry of its epoch counts.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) row: u64,
    pub(super) entry: Hash,
    pub(super) fresh: FreshKeys,
    pub(super) body: PostBody,
}

pub(super) fn row_record(row: &Row) -> Vec<u8> {
    records::encode(1, |w| {
        match row {
            Row::Create => w.array(1).uint(0),
            Row::Message { content, id, sealed, echo } => {
                w.array(5).uint(1).bytes(content).item(id).option(echo.as_ref());
                match sealed {
                    Some(Sealed { generation, frame }) => w.array(2).item(generation).bytes(frame),
                    None => w.null(),
                }
            }
            Row::Change(change) => w.array(2).uint(2).item(change),
            Row::TakeOut { leaf, scope, signature, not_before } => {
                w.array(5).uint(3).item(leaf).item(scope).item(signature).item(not_before)
            }
            Row::Request(request) => w.array(2).uint(4).item(request),
            Row::Answer { to, not_before, spoken } => {
                w.array(4).uint(5).item(to).item(not_before).option(spoken.as_ref())
            }
            Row::Admit { request, not_before } => w.array(3).uint(6).item(request.as_ref()).item(not_before),
            Row::Revoke(device) => w.array(2).uint(8).item(device),
        };
    })
}

pub(super) fn read_row(r: &mut Reader<'_>) -> Result<Row> {
    let len = r.array_up_to(5)?;
    Ok(match (len, r.u8()?) {
        (1, 0) => Row::Create,
        (5, 1) => {
            let content = r.bytes(usize::MAX)?.to_vec();
            let (id, echo) = (r.item()?, r.option()?);
            let sealed = if r.null()? {
                None
            } else {
                r.array(2)?;
                Some(Sealed { generation: r.item()?, frame: r.bytes(usize::MAX)?.to_vec() })
            };
            Row::Message { content, id, sealed, echo }
        }
        (2, 2) => Row::Change(r.item()?),
        (5, 3) => Row::TakeOut { leaf: r.item()?, scope: r.item()?, signature: r.item()?, not_before: r.item()? },
        (2, 4) => Row::Request(r.item()?),
        (3, 6) => Row::Admit { request: Box::new(r.item()?), not_before: r.item()? },
        (2, 8) => Row::Revoke(r.item()?),
        (4, 5) => Row::Answer { to: r.item()?, not_before: r.item()?, spoken: r.option()? },
        _ => return Err(Error::damaged("not a row of the queue")),
    })
}

pub(super) fn pending_record(pending: &Pending) -> Vec<u8> {
    let Pending { row, entry, fresh, body } = pending;
    records::encode(5, |w: &mut Writer| {
        w.uint(*row).bytes(entry).bytes(fresh.signing.expose_seed()).bytes(fresh.seal.expose().expose()).item(body);
    })
}

pub(super) fn read_pending(r: &mut Reader<'_>) -> Result<Pending> {
    Ok(Pending {
        row: r.u64()?,
        entry: r.fixed()?,
        fresh: FreshKeys {
            signing: SigningKey::from_seed(Secret::<32>::copy_from(r.fixed_ref()?).expose()),
            seal: SealSecret::from_secret(Secret::copy_from(r.fixed_ref()?)),
        },
        body: r.item()?,
    })
}
