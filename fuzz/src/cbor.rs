//! CBOR as trees (`docs/protocol.md`, section 2.3), written from that page alone: what mutates a structure and not its
//! bytes, and a second opinion on what the one encoding is.

use arbitrary::Arbitrary;

/// A value of the subset in use.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    Uint(u64),
    Bytes(Vec<u8>),
    Text(Vec<u8>),
    Array(Vec<Item>),
    /// `false`, `true`, `null`.
    Simple(u8),
    /// A byte string that is itself the encoding of an array.
    Wrapped(Box<Item>),
}

pub fn bytes(bytes: &[u8]) -> Item {
    Item::Bytes(bytes.to_vec())
}

pub fn text(text: &str) -> Item {
    Item::Text(text.as_bytes().to_vec())
}

pub fn number(number: impl Into<u64>) -> Item {
    Item::Uint(number.into())
}

pub const FALSE: Item = Item::Simple(20);
pub const TRUE: Item = Item::Simple(21);
pub const NULL: Item = Item::Simple(22);

/// A length or number in the shortest head; `longer` steps up from it.
fn head(out: &mut Vec<u8>, major: u8, value: u64, longer: u8) {
    let shortest = match value {
        0..=23 => 0,
        24..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 3,
        _ => 4,
    };
    let be = value.to_be_bytes();
    match (shortest + longer).min(4) {
        0 => out.push(major << 5 | be[7]),
        size => {
            out.push(major << 5 | (23 + size));
            out.extend_from_slice(&be[8 - (1 << (size - 1))..]);
        }
    }
}

impl Item {
    pub fn encode(&self) -> Vec<u8> {
        self.encode_with(usize::MAX, 0)
    }

    /// With the head of one node longer than it needs to be.
    pub fn encode_with(&self, node: usize, longer: u8) -> Vec<u8> {
        let (mut out, mut at) = (Vec::new(), 0);
        self.write(&mut out, &mut at, (node, longer));
        out
    }

    fn write(&self, out: &mut Vec<u8>, at: &mut usize, long: (usize, u8)) {
        let longer = if *at == long.0 { long.1 } else { 0 };
        *at += 1;
        match self {
            Self::Uint(value) => head(out, 0, *value, longer),
            Self::Bytes(bytes) => {
                head(out, 2, bytes.len() as u64, longer);
                out.extend_from_slice(bytes);
            }
            Self::Text(text) => {
                head(out, 3, text.len() as u64, longer);
                out.extend_from_slice(text);
            }
            Self::Array(items) => {
                head(out, 4, items.len() as u64, longer);
                items.iter().for_each(|item| item.write(out, at, long));
            }
            Self::Simple(simple) => out.push(0xe0 | simple),
            Self::Wrapped(inner) => {
                let mut wrapped = Vec::new();
                inner.write(&mut wrapped, at, long);
                head(out, 2, wrapped.len() as u64, longer);
                out.extend(wrapped);
            }
        }
    }

    /// How many nodes it has.
    pub fn nodes(&self) -> usize {
        match self {
            Self::Array(items) => 1 + items.iter().map(Self::nodes).sum::<usize>(),
            Self::Wrapped(inner) => 1 + inner.nodes(),
            _ => 1,
        }
    }

    /// The node of this number, the root being 0, each before what is in it.
    pub fn node(&mut self, at: usize) -> Option<&mut Self> {
        if at == 0 {
            return Some(self);
        }
        let mut left = at - 1;
        let inner = match self {
            Self::Array(items) => items.as_mut_slice(),
            Self::Wrapped(inner) => std::slice::from_mut(inner.as_mut()),
            _ => return None,
        };
        for item in inner {
            let nodes = item.nodes();
            if left < nodes {
                return item.node(left);
            }
            left -= nodes;
        }
        None
    }

    pub fn array(&self) -> &[Self] {
        let Self::Array(items) = self else { panic!("not an array: {self:?}") };
        items
    }

    pub fn array_mut(&mut self) -> &mut Vec<Self> {
        let Self::Array(items) = self else { panic!("not an array") };
        items
    }

    /// What a byte string holds.
    pub fn content(&self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) | Self::Text(bytes) => bytes.clone(),
            Self::Wrapped(inner) => inner.encode(),
            other => panic!("not a string: {other:?}"),
        }
    }
}

/// Reads the one encoding of an item, and nothing after it.
pub fn parse(mut data: &[u8]) -> Option<Item> {
    let item = read(&mut data, 0)?;
    data.is_empty().then_some(item)
}

fn read(data: &mut &[u8], depth: u8) -> Option<Item> {
    let (first, rest) = data.split_first().filter(|_| depth < 16)?;
    *data = rest;
    let (major, info) = (first >> 5, first & 31);
    let value = match info {
        0..=23 => u64::from(info),
        24..=27 => {
            let (value, rest) = data.split_at_checked(1 << (info - 24))?;
            *data = rest;
            value.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
        }
        _ => return None,
    };
    let mut shortest = Vec::new();
    head(&mut shortest, major, value, 0);
    let is_shortest = shortest[0] == *first;
    let string = |data: &mut &[u8]| {
        let (string, rest) = data.split_at_checked(usize::try_from(value).ok()?)?;
        *data = rest;
        Some(string.to_vec())
    };
    match major {
        0 if is_shortest => Some(Item::Uint(value)),
        2 if is_shortest => Some(wrapped(string(data)?)),
        3 if is_shortest => Some(Item::Text(string(data)?)),
        4 if is_shortest && value <= data.len() as u64 => {
            (0..value).map(|_| read(data, depth + 1)).collect::<Option<_>>().map(Item::Array)
        }
        7 if (20..=22).contains(&info) => Some(Item::Simple(info)),
        _ => None,
    }
}

fn wrapped(bytes: Vec<u8>) -> Item {
    match parse(&bytes) {
        Some(inner @ Item::Array(_)) if bytes.len() > 1 => Item::Wrapped(Box::new(inner)),
        _ => Item::Bytes(bytes),
    }
}

/// A change to one node of a tree.
#[derive(Arbitrary, Debug)]
pub struct Edit {
    at: u16,
    how: How,
}

#[derive(Arbitrary, Debug)]
enum How {
    Uint(u64),
    Near(i8),
    Flip(u16, u8),
    Bytes(Vec<u8>),
    Text(String),
    Cut(u8),
    Grow(u8),
    Drop,
    Repeat,
    /// A copy of another node in its place.
    Copy(u16),
    /// The two change places, within an array.
    Swap(u8, u8),
    Simple(u8),
    Unwrap,
    Reverse,
}

/// The tree after these edits, of which what does not fit is passed over.
pub fn edit(mut tree: Item, edits: &[Edit]) -> Item {
    for Edit { at, how } in edits {
        let nodes = tree.nodes();
        let other = match how {
            How::Copy(from) => tree.node(usize::from(*from) % nodes).cloned(),
            _ => None,
        };
        if let Some(node) = tree.node(usize::from(*at) % nodes) {
            apply(node, how, other);
        }
    }
    tree
}

fn apply(node: &mut Item, how: &How, other: Option<Item>) {
    match (how, node) {
        (How::Near(by), Item::Uint(value)) => *value = value.saturating_add_signed((*by).into()),
        (How::Flip(at, mask), Item::Bytes(bytes) | Item::Text(bytes)) if !bytes.is_empty() => {
            let at = usize::from(*at) % bytes.len();
            bytes[at] ^= mask;
        }
        (How::Cut(by), Item::Bytes(bytes) | Item::Text(bytes)) => {
            bytes.truncate(bytes.len().saturating_sub((*by).into()))
        }
        (How::Grow(by), Item::Bytes(bytes) | Item::Text(bytes)) => bytes.resize(bytes.len() + usize::from(*by), 0x61),
        (How::Drop, Item::Array(items)) => drop(items.pop()),
        (How::Repeat, Item::Array(items)) => items.extend(items.last().cloned()),
        (How::Swap(a, b), Item::Array(items)) if !items.is_empty() => {
            let (a, b) = (usize::from(*a) % items.len(), usize::from(*b) % items.len());
            items.swap(a, b);
        }
        (How::Reverse, Item::Array(items)) => items.reverse(),
        (How::Unwrap, node @ Item::Wrapped(_)) => {
            if let Item::Wrapped(inner) = node.clone() {
                *node = *inner;
            }
        }
        (How::Uint(value), node) => *node = Item::Uint(*value),
        (How::Bytes(value), node) => *node = bytes(value),
        (How::Text(value), node) => *node = text(value),
        (How::Simple(value), node) => *node = Item::Simple(20 + value % 3),
        // A copy of a whole tree into itself only grows.
        (How::Copy(_), node) => {
            if let Some(other) = other.filter(|other| other.nodes() < 64) {
                *node = other;
            }
        }
        _ => {}
    }
}
