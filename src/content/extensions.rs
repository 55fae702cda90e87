//! Fields of a content that this version does not know, kept as they came.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::limits;
use crate::wire::{Reader, Wire, Writer};

/// Named fields beside those of the form: names of 1 to 255 bytes or numbers, each with one CBOR item of at most
/// [`limits::CONTENT_EXTENSION`] bytes, [`limits::CONTENT_EXTENSIONS`] at most. What is not known survives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extensions(BTreeMap<Vec<u8>, Vec<u8>>);

impl Extensions {
    /// The value of a named field: one CBOR item, encoded.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.get(&encoded_name(name)).map(Vec::as_slice)
    }

    /// Sets a field; gives back the value it had. Fails with `Malformed` or `Limit` for a name or value that readers
    /// would refuse.
    pub fn insert(&mut self, name: &str, value: Vec<u8>) -> Result<Option<Vec<u8>>> {
        let key = encoded_name(name);
        let mut r = Reader::new(&key);
        read_name(&mut r)?;
        let mut r = Reader::new(&value);
        r.any(limits::CONTENT_EXTENSION)?;
        r.finish()?;
        if self.0.len() >= limits::CONTENT_EXTENSIONS && !self.0.contains_key(&key) {
            return Err(Error::limit("a content has no room for another extension"));
        }
        Ok(self.0.insert(key, value))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn encoded_name(name: &str) -> Vec<u8> {
    let mut w = Writer::new();
    w.text(name);
    w.finish()
}

/// A name of 1 to 255 bytes or a number, with its encoding.
fn read_name<'b>(r: &mut Reader<'b>) -> Result<&'b [u8]> {
    let name = r.any(limits::CONTENT_EXTENSION_NAME + 2)?;
    let is_name = match name.first() {
        // Major types 0 and 1: numbers.
        Some(head) if head >> 5 <= 1 => true,
        // Major type 3: text, not empty, of a stated length.
        Some(head) if head >> 5 == 3 => {
            let mut r = Reader::new(name);
            !r.text(limits::CONTENT_EXTENSION_NAME)?.is_empty()
        }
        _ => false,
    };
    if is_name && is_shortest(name) {
        Ok(name)
    } else {
        Err(Error::malformed("an extension is named by a text or a number, in its shortest form"))
    }
}

/// Whether the head of an item is no longer than its number needs, so that a name has one form.
fn is_shortest(item: &[u8]) -> bool {
    match item {
        [head, rest @ ..] => match (head & 0x1f, rest) {
            (24, [byte, ..]) => *byte >= 24,
            (25, [high, ..]) => *high != 0,
            (26, [a, b, ..]) => (*a, *b) != (0, 0),
            (27, [a, b, c, d, ..]) => (*a, *b, *c, *d) != (0, 0, 0, 0),
            (info, _) => info < 24,
        },
        [] => false,
    }
}

impl Wire for Extensions {
    fn write(&self, w: &mut Writer) {
        w.map(self.0.len());
        for (name, value) in &self.0 {
            w.encoded(name).encoded(value);
        }
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        let mut fields = BTreeMap::new();
        for _ in 0..r.map_up_to(limits::CONTENT_EXTENSIONS)? {
            let name = read_name(r)?.to_vec();
            fields.insert(name, r.any(limits::CONTENT_EXTENSION)?.to_vec());
        }
        // In another order, or with one name twice, it does not encode back to what was read.
        Ok(Self(fields))
    }
}
