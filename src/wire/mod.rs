//! The control plane's one encoding: deterministic CBOR arrays (RFC 8949, section 4.2), read within bounds
//! (`docs/protocol.md`, section 2.3). The message frame alone has a fixed layout and lives with the ratchet.

mod id;
mod item;
mod reader;
mod serde_form;
mod writer;

pub(crate) use id::{bytes_id, public_encoding, string_form};
pub(crate) use reader::Reader;
pub(crate) use serde_form::{deserialize, serialize};
pub(crate) use writer::{Writer, labelled, labelled_short};

use crate::error::{Error, Result};

/// A value with exactly one encoding.
pub(crate) trait Wire: Sized {
    /// Writes exactly one CBOR item.
    fn write(&self, w: &mut Writer);

    /// Reads exactly one CBOR item, within the bounds of its type.
    fn read(r: &mut Reader<'_>) -> Result<Self>;

    /// The encoding.
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        self.write(&mut w);
        w.finish()
    }

    /// Reads `bytes`, all of it, and refuses whatever does not encode back to the very same bytes.
    fn decode(bytes: &[u8]) -> Result<Self> {
        let mut r = Reader::new(bytes);
        let value = Self::read(&mut r)?;
        r.finish()?;
        if value.encode() != bytes {
            return Err(Error::malformed("not the one deterministic encoding of this value"));
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests;
