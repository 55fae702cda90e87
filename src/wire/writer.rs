//! Writing deterministic CBOR.

use core::convert::Infallible;

use minicbor::Encoder;
use minicbor::encode::Write;
use zeroize::Zeroize;

use super::Wire;
use crate::labels::Label;

/// Appends CBOR items. Integers and lengths take their shortest form, nothing is of indefinite length.
///
/// Writing to a `Vec` cannot fail, so the encoder's results are dropped here and nowhere else.
pub(crate) struct Writer(Encoder<Buffer>);

/// Bytes that may be secret: what a growing buffer leaves behind is wiped.
struct Buffer(Vec<u8>);

impl Write for Buffer {
    type Error = Infallible;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        let len = self.0.len().saturating_add(bytes.len());
        if len > self.0.capacity() {
            let mut grown = Vec::with_capacity(len.max(self.0.capacity().saturating_mul(2)).max(64));
            grown.extend_from_slice(&self.0);
            self.0.zeroize();
            self.0 = grown;
        }
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self::with_capacity(0)
    }

    /// With room for `capacity` bytes.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(Encoder::new(Buffer(Vec::with_capacity(capacity))))
    }

    /// Opens an array of `len` items, which the caller writes next.
    pub(crate) fn array(&mut self, len: usize) -> &mut Self {
        let _ = self.0.array(len as u64);
        self
    }

    /// Opens a map of `len` pairs, which the caller writes next in the order of their encoded keys.
    pub(crate) fn map(&mut self, len: usize) -> &mut Self {
        let _ = self.0.map(len as u64);
        self
    }

    /// One item that is encoded already.
    pub(crate) fn encoded(&mut self, item: &[u8]) -> &mut Self {
        let _ = self.0.writer_mut().write_all(item);
        self
    }

    pub(crate) fn uint(&mut self, value: u64) -> &mut Self {
        let _ = self.0.u64(value);
        self
    }

    pub(crate) fn bool(&mut self, value: bool) -> &mut Self {
        let _ = self.0.bool(value);
        self
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        let _ = self.0.bytes(value);
        self
    }

    pub(crate) fn text(&mut self, value: &str) -> &mut Self {
        let _ = self.0.str(value);
        self
    }

    pub(crate) fn null(&mut self) -> &mut Self {
        let _ = self.0.null();
        self
    }

    pub(crate) fn item(&mut self, value: &impl Wire) -> &mut Self {
        value.write(self);
        self
    }

    /// An array of items.
    pub(crate) fn list<'a, T: Wire + 'a>(&mut self, items: impl ExactSizeIterator<Item = &'a T>) -> &mut Self {
        self.array(items.len());
        for item in items {
            item.write(self);
        }
        self
    }

    /// The item, or null.
    pub(crate) fn option<T: Wire>(&mut self, value: Option<&T>) -> &mut Self {
        match value {
            Some(value) => self.item(value),
            None => self.null(),
        }
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0.into_writer().0
    }
}

/// The encoding of the array (label, fields …), of which `write` writes `count` fields.
pub(crate) fn labelled(label: Label, count: usize, write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut w = Writer::new();
    w.array(count.saturating_add(1)).text(label.text());
    write(&mut w);
    w.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_holds_what_was_written_however_it_grew() {
        for capacity in [0, 1, 7, 1_000] {
            let mut buffer = Buffer(Vec::with_capacity(capacity));
            let pieces: Vec<Vec<u8>> = (0..40).map(|n| vec![n; usize::from(n) * 3]).collect();
            pieces.iter().for_each(|piece| buffer.write_all(piece).unwrap());
            assert_eq!(buffer.0, pieces.concat());
        }
    }
}
