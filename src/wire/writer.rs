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
///
/// Those of a [short](Writer::short) writer are not on the heap until they outgrow `room`.
struct Buffer {
    heap: Vec<u8>,
    stack: [u8; SHORT],
    /// How much of `stack` is written, and how much of it may be.
    len: usize,
    room: usize,
}

/// Bytes that a short writer holds on the stack: the arrays of a message are all shorter.
const SHORT: usize = 128;

impl Buffer {
    const fn new(heap: Vec<u8>, room: usize) -> Self {
        Self { heap, stack: [0; SHORT], len: 0, room }
    }

    fn as_slice(&self) -> &[u8] {
        if self.room > 0 { self.stack.get(..self.len).unwrap_or_default() } else { &self.heap }
    }

    #[cold]
    fn grow(&mut self, len: usize) {
        let mut grown = Vec::with_capacity(len.max(self.heap.capacity().saturating_mul(2)).max(64));
        grown.extend_from_slice(&self.heap);
        self.heap.zeroize();
        self.heap = grown;
    }
}

impl Write for Buffer {
    type Error = Infallible;

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        if self.room > 0 {
            let len = self.len.saturating_add(bytes.len());
            if let Some(place) = self.stack.get_mut(self.len..len) {
                place.copy_from_slice(bytes);
                self.len = len;
                return Ok(());
            }
            self.heap = self.as_slice().to_vec();
            self.room = 0;
        }
        if bytes.len() > self.heap.capacity().saturating_sub(self.heap.len()) {
            self.grow(self.heap.len().saturating_add(bytes.len()));
        }
        self.heap.extend_from_slice(bytes);
        Ok(())
    }
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self::with_capacity(0)
    }

    /// With room for `capacity` bytes.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(Encoder::new(Buffer::new(Vec::with_capacity(capacity), 0)))
    }

    /// For what is short and no secret: without an allocation up to 128 bytes, which are not wiped.
    pub(crate) fn short() -> Self {
        Self(Encoder::new(Buffer::new(Vec::new(), SHORT)))
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

    /// The head of a byte string of `len` bytes, which are to follow it.
    pub(crate) fn bytes_head(&mut self, len: usize) -> &mut Self {
        let _ = self.0.bytes_len(len as u64);
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

    /// Items that are encoded already.
    pub(crate) fn encoded(&mut self, items: &[u8]) -> &mut Self {
        let _ = self.0.writer_mut().write_all(items);
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

    /// What is written so far.
    pub(crate) fn as_slice(&self) -> &[u8] {
        self.0.writer().as_slice()
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        let buffer = self.0.into_writer();
        if buffer.room > 0 { buffer.as_slice().to_vec() } else { buffer.heap }
    }
}

/// The encoding of the array (label, fields …), of which `write` writes `count` fields.
pub(crate) fn labelled(label: Label, count: usize, write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut w = Writer::new();
    w.array(count.saturating_add(1)).text(label.text());
    write(&mut w);
    w.finish()
}

/// The same of what is short and no secret, in a [short](Writer::short) writer.
pub(crate) fn labelled_short(label: Label, count: usize, write: impl FnOnce(&mut Writer)) -> Writer {
    let mut w = Writer::short();
    w.array(count.saturating_add(1)).text(label.text());
    write(&mut w);
    w
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels;

    #[test]
    fn a_buffer_holds_what_was_written_however_it_grew() {
        for (capacity, room) in [(0, 0), (1, 0), (7, 0), (1_000, 0), (0, SHORT)] {
            let mut buffer = Buffer::new(Vec::with_capacity(capacity), room);
            let pieces: Vec<Vec<u8>> = (0..40).map(|n| vec![n; usize::from(n) * 3]).collect();
            for (n, piece) in pieces.iter().enumerate() {
                buffer.write_all(piece).unwrap();
                assert_eq!(buffer.as_slice(), pieces[..=n].concat());
            }
        }
    }

    #[test]
    fn a_short_writer_writes_what_any_other_does() {
        for len in 0..300 {
            let write = |mut w: Writer| {
                w.array(2).bytes_head(len);
                w.as_slice().to_vec()
            };
            assert_eq!(write(Writer::short()), write(Writer::new()));
            let bytes = vec![7; len];
            let array = |w: &mut Writer| {
                w.bytes(&bytes);
            };
            assert_eq!(labelled_short(labels::SALT, 1, array).finish(), labelled(labels::SALT, 1, array));
        }
    }
}
