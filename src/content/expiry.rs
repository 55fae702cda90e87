//! When a message should disappear.

use crate::error::Result;
use crate::ids::Timestamp;
use crate::wire::{Reader, Wire, Writer};

/// When readers should delete a message. A request: whoever has read it may have kept it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// At a time, in seconds since 1970.
    At(u32),
    /// So many seconds after it was first shown.
    AfterReading(u32),
}

impl Expiry {
    /// When a message that was first shown at `shown` is to be deleted; `None` as long as it was not shown and counts
    /// from then.
    #[must_use]
    pub fn ends(self, shown: Option<Timestamp>) -> Option<Timestamp> {
        match self {
            Self::At(time) => Some(Timestamp(time.into())),
            Self::AfterReading(seconds) => shown.map(|shown| shown.after(seconds.into())),
        }
    }
}

impl Wire for Expiry {
    fn write(&self, w: &mut Writer) {
        match self {
            Self::At(time) => w.array(2).bool(false).uint((*time).into()),
            Self::AfterReading(seconds) => w.array(2).bool(true).uint((*seconds).into()),
        };
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(2)?;
        Ok(if r.bool()? { Self::AfterReading(r.u32()?) } else { Self::At(r.u32()?) })
    }
}
