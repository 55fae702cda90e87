//! Receipts: which messages were delivered or read (`docs/protocol.md`, section 11.4).

use crate::error::{Error, Result};
use crate::ids::MessageId;
use crate::limits;
use crate::wire::{Reader, Wire, Writer};

use super::part::Part;

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
}

/// At most [`limits::RECEIPTS`] go into one message; the rest is left out.
pub(super) fn to_part(receipts: &[Receipt]) -> Part {
    let receipts: Vec<Receipt> = receipts.iter().take(limits::RECEIPTS).copied().collect();
    Part::new(RECEIPTS, Receipts(receipts).encode())
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
        });
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(2)?;
        let message = r.item()?;
        let status = match r.u8()? {
            1 => Status::Delivered,
            2 => Status::Read,
            _ => return Err(Error::malformed("not the status of a message")),
        };
        Ok(Self { message, status })
    }
}
