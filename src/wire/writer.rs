//! Writing deterministic CBOR.

use minicbor::Encoder;

use super::Wire;
use crate::labels::Label;

/// Appends CBOR items. Integers and lengths take their shortest form, nothing is of indefinite length.
///
/// Writing to a `Vec` cannot fail, so the encoder's results are dropped here and nowhere else.
pub(crate) struct Writer(Encoder<Vec<u8>>);

impl Writer {
    pub(crate) fn new() -> Self {
        Self(Encoder::new(Vec::new()))
    }

    /// With room for `capacity` bytes: what is secret must not be left behind by a growing buffer.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(Encoder::new(Vec::with_capacity(capacity)))
    }

    /// Opens an array of `len` items, which the caller writes next.
    pub(crate) fn array(&mut self, len: usize) -> &mut Self {
        let _ = self.0.array(len as u64);
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
        self.0.into_writer()
    }
}

/// The encoding of the array (label, fields …), of which `write` writes `count` fields.
pub(crate) fn labelled(label: Label, count: usize, write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut w = Writer::new();
    w.array(count.saturating_add(1)).text(label.text());
    write(&mut w);
    w.finish()
}
