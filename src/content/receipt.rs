//! Receipts: which messages were delivered or read (`docs/protocol.md`, section 11.4).

use crate::error::{Error, Result};
use crate::ids::MessageId;
use crate::limits;
use crate::wire::{Reader, Wire, Writer};

use super::part::{Disposition, Part};

/// The media type of a list of receipts.
pub(super) const RECEIPTS: &str = "application/vnd.convivio.receipts+cbor";

/// What became of one message at the sender of the receipt. As authentic as any message of that member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The message.
    pub message: MessageId,
    /// What became of it.
    pub status: Status,
}

/// What became of a message. The later one includes the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Status {
    /// It has come to one of the user's devices.
    Delivered,
    /// It was shown.
    Read,
    /// Something this version does not know, by its number; it is kept and means nothing.
    Other(u8),
}

impl Status {
    pub(super) const fn is_known(self) -> bool {
        !matches!(self, Self::Other(_))
    }
}

/// Whoever does not know receipts is to show nothing, so this is not marked as something to be shown.
pub(super) fn to_part(receipts: &[Receipt]) -> Result<Part> {
    if receipts.len() > limits::RECEIPTS {
        return Err(Error::limit("a message has at most 256 receipts: send more messages"));
    }
    let part = Part::new(RECEIPTS, Receipts(receipts.to_vec()).encode());
    Ok(Part { disposition: Disposition::UNSPECIFIED, ..part })
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Receipts(pub(super) Vec<Receipt>);

impl Wire for Receipts {
    fn write(&self, w: &mut Writer) {
        w.list(self.0.iter());
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.list(limits::RECEIPTS).map(Self)
    }
}

impl Wire for Receipt {
    fn write(&self, w: &mut Writer) {
        w.array(2).item(&self.message).uint(match self.status {
            Status::Delivered => 1,
            Status::Read => 2,
            Status::Other(number) => number.into(),
        });
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(2)?;
        let message = r.item()?;
        let status = match r.u8()? {
            1 => Status::Delivered,
            2 => Status::Read,
            number => Status::Other(number),
        };
        Ok(Self { message, status })
    }
}
