//! Reading CBOR within bounds.

use minicbor::Decoder;
use minicbor::data::Type;

use super::Wire;
use super::item::Flaw;
use crate::error::{Error, Result};

/// Items whose room is reserved before the first is read, whatever length a list claims.
const PREALLOCATE: usize = 64;

/// Reads CBOR items one after the other. Whatever is not of the expected type and within its bound is an error.
pub(crate) struct Reader<'b>(Decoder<'b>);

impl<'b> Reader<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self(Decoder::new(bytes))
    }

    /// An array of exactly `len` items, which the caller reads next.
    pub(crate) fn array(&mut self, len: usize) -> Result<()> {
        match usize::try_from(self.definite_array()?) {
            Ok(found) if found == len => Ok(()),
            _ => Err(Error::malformed("an array has the wrong length")),
        }
    }

    /// An array of at most `max` items, which the caller reads next; its length.
    pub(crate) fn array_up_to(&mut self, max: usize) -> Result<usize> {
        match usize::try_from(self.definite_array()?) {
            Ok(len) if len <= max => Ok(len),
            _ => Err(Error::limit("a list is longer than the protocol allows")),
        }
    }

    /// An array of up to eight items whose first is the number of its kind; how many, and which. A reader that does not know
    /// the kind goes by that, and not by how many items there are.
    pub(crate) fn kind_of_array(&mut self) -> Result<(usize, u8)> {
        match self.array_up_to(8)? {
            0 => Err(Error::malformed("an empty array where a kind is expected")),
            len => Ok((len, self.u8()?)),
        }
    }

    /// A map of at most `max` pairs, which the caller reads next; how many.
    pub(crate) fn map_up_to(&mut self, max: usize) -> Result<usize> {
        let len = self.0.map().map_err(malformed)?.ok_or(Error::malformed("a map of indefinite length"))?;
        match usize::try_from(len) {
            Ok(len) if len <= max => Ok(len),
            _ => Err(Error::limit("a map is larger than the protocol allows")),
        }
    }

    /// Any one well-formed item of at most `max` bytes, as it is encoded, borrowed from the input.
    pub(crate) fn any(&mut self, max: usize) -> Result<&'b [u8]> {
        let start = self.0.position();
        let rest = self.0.input().get(start..).unwrap_or_default();
        let within = rest.get(..max).unwrap_or(rest);
        let len = match super::item::len(within) {
            Ok(len) => len,
            Err(Flaw::CutOff) if within.len() < rest.len() => {
                return Err(Error::limit("an item is longer than the protocol allows"));
            }
            Err(_) => return Err(Error::malformed("truncated, or not a well-formed CBOR item")),
        };
        self.0.set_position(start.saturating_add(len));
        Ok(within.get(..len).unwrap_or_default())
    }

    fn definite_array(&mut self) -> Result<u64> {
        self.0.array().map_err(malformed)?.ok_or(Error::malformed("an array of indefinite length"))
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        self.0.u8().map_err(malformed)
    }

    pub(crate) fn u16(&mut self) -> Result<u16> {
        self.0.u16().map_err(malformed)
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        self.0.u32().map_err(malformed)
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        self.0.u64().map_err(malformed)
    }

    pub(crate) fn bool(&mut self) -> Result<bool> {
        self.0.bool().map_err(malformed)
    }

    /// A byte string of at most `max` bytes, borrowed from the input.
    pub(crate) fn bytes(&mut self, max: usize) -> Result<&'b [u8]> {
        let bytes = self.0.bytes().map_err(malformed)?;
        if bytes.len() > max {
            return Err(Error::limit("a byte string is longer than the protocol allows"));
        }
        Ok(bytes)
    }

    /// A byte string of exactly `N` bytes.
    pub(crate) fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.0.bytes().map_err(malformed)?;
        bytes.try_into().map_err(|_| Error::malformed("a byte string has the wrong length"))
    }

    /// The same, borrowed from the input: what is secret is copied once, to where it is wiped.
    pub(crate) fn fixed_ref<const N: usize>(&mut self) -> Result<&'b [u8; N]> {
        let bytes = self.0.bytes().map_err(malformed)?;
        bytes.try_into().map_err(|_| Error::malformed("a byte string has the wrong length"))
    }

    /// A text string of at most `max` bytes, borrowed from the input.
    pub(crate) fn text(&mut self, max: usize) -> Result<&'b str> {
        let text = self.0.str().map_err(malformed)?;
        if text.len() > max {
            return Err(Error::limit("a text is longer than the protocol allows"));
        }
        Ok(text)
    }

    pub(crate) fn item<T: Wire>(&mut self) -> Result<T> {
        T::read(self)
    }

    /// An array of at most `max` items.
    pub(crate) fn list<T: Wire>(&mut self, max: usize) -> Result<Vec<T>> {
        let len = self.array_up_to(max)?;
        let mut items = Vec::with_capacity(len.min(PREALLOCATE));
        for _ in 0..len {
            items.push(T::read(self)?);
        }
        Ok(items)
    }

    /// An item, or null.
    pub(crate) fn option<T: Wire>(&mut self) -> Result<Option<T>> {
        if self.null()? { Ok(None) } else { T::read(self).map(Some) }
    }

    /// Whether the next item is null, which is then read.
    pub(crate) fn null(&mut self) -> Result<bool> {
        let null = self.0.datatype().map_err(malformed)? == Type::Null;
        if null {
            self.0.null().map_err(malformed)?;
        }
        Ok(null)
    }

    /// Bytes read so far.
    pub(crate) fn position(&self) -> usize {
        self.0.position()
    }

    /// Refuses bytes after the last item.
    pub(crate) fn finish(self) -> Result<()> {
        if self.0.position() != self.0.input().len() {
            return Err(Error::malformed("bytes follow the end of the value"));
        }
        Ok(())
    }
}

fn malformed(_: minicbor::decode::Error) -> Error {
    Error::malformed("truncated, or not the expected CBOR item")
}
