//! The body of a content: one part, several, or none (`docs/protocol.md`, section 11.1).

use crate::error::{Error, Result};
use crate::limits;
use crate::wire::{Reader, Wire, Writer};

use super::external::External;

/// One part: what it is for, in which language, and the part itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What the reader should do with it.
    pub disposition: Disposition,
    /// A list of language tags (RFC 5646), or empty; at most [`limits::CONTENT_LANGUAGE`] bytes.
    pub language: String,
    /// What it holds.
    pub body: Body,
}

/// What a part holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Body {
    /// Nothing, as in a deletion.
    Null,
    /// Bytes of a media type.
    Single {
        /// The media type with its parameters, at most [`limits::CONTENT_TYPE`] bytes.
        media_type: String,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Something that lies elsewhere.
    External(Box<External>),
    /// Two parts or more.
    Multi {
        /// How they belong together.
        semantics: Semantics,
        /// The parts, at most [`limits::CONTENT_PARTS`] in the whole content.
        parts: Vec<Part>,
    },
}

/// What a part is for. Numbers from 9 on are kept as they are and mean nothing here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Disposition(pub u8);

impl Disposition {
    /// Not said.
    pub const UNSPECIFIED: Self = Self(0);
    /// To be shown.
    pub const RENDER: Self = Self(1);
    /// A reaction to another message.
    pub const REACTION: Self = Self(2);
    /// A profile.
    pub const PROFILE: Self = Self(3);
    /// To be shown within another part.
    pub const INLINE: Self = Self(4);
    /// An icon.
    pub const ICON: Self = Self(5);
    /// To be fetched when asked for.
    pub const ATTACHMENT: Self = Self(6);
    /// A session, such as a call.
    pub const SESSION: Self = Self(7);
    /// A preview of something.
    pub const PREVIEW: Self = Self(8);
}

/// How the parts of a content belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Semantics {
    /// Alternatives: the reader takes the first it understands.
    ChooseOne,
    /// All of them or none.
    SingleUnit,
    /// As many as the reader understands.
    ProcessAll,
}

impl Part {
    /// A part that is to be shown.
    #[must_use]
    pub fn new(media_type: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        let body = Body::Single { media_type: media_type.into(), bytes: bytes.into() };
        Self { disposition: Disposition::RENDER, language: String::new(), body }
    }

    /// The empty part.
    #[must_use]
    pub const fn null() -> Self {
        Self { disposition: Disposition::UNSPECIFIED, language: String::new(), body: Body::Null }
    }

    /// Alternatives, the preferred one first. Two at least, else the content cannot be read back.
    #[must_use]
    pub const fn choose_one(disposition: Disposition, parts: Vec<Self>) -> Self {
        Self { disposition, language: String::new(), body: Body::Multi { semantics: Semantics::ChooseOne, parts } }
    }

    /// Every leaf of the tree of parts, depth first. The tree is bounded, so this ends soon.
    pub(super) fn leaves(&self) -> Vec<&Self> {
        let (mut leaves, mut open) = (Vec::new(), vec![self]);
        while let Some(part) = open.pop() {
            match &part.body {
                Body::Multi { parts, .. } => open.extend(parts.iter().rev()),
                _ => leaves.push(part),
            }
        }
        leaves
    }

    /// Reads a part of a tree of which `depth` levels and `left` parts may still come.
    pub(super) fn read_within(r: &mut Reader<'_>, depth: usize, left: &mut usize) -> Result<Self> {
        *left = left.checked_sub(1).ok_or(Error::limit("a content has more parts than are read"))?;
        let len = r.array_up_to(16)?;
        let disposition = Disposition(r.u8()?);
        let language = r.text(limits::CONTENT_LANGUAGE)?.to_owned();
        let body = match (r.u8()?, len) {
            (0, 3) => Body::Null,
            (1, 5) => Body::Single {
                media_type: r.text(limits::CONTENT_TYPE)?.to_owned(),
                bytes: r.bytes(limits::MESSAGE)?.to_vec(),
            },
            (2, 15) => Body::External(Box::new(External::read(r)?)),
            (3, 5) => {
                let depth = depth.checked_sub(1).ok_or(Error::limit("a content is nested too deeply"))?;
                let semantics = Semantics::read(r)?;
                let count = r.array_up_to(limits::CONTENT_PARTS)?;
                if count < 2 {
                    return Err(Error::malformed("a content of several parts has at least two"));
                }
                let parts: Result<Vec<Self>> = (0..count).map(|_| Self::read_within(r, depth, left)).collect();
                Body::Multi { semantics, parts: parts? }
            }
            _ => return Err(Error::malformed("not a part of a content")),
        };
        Ok(Self { disposition, language, body })
    }
}

impl Wire for Part {
    fn write(&self, w: &mut Writer) {
        let Self { disposition, language, body } = self;
        let head = |w: &mut Writer, len: usize, cardinality: u64| {
            w.array(len).uint(disposition.0.into()).text(language).uint(cardinality);
        };
        match body {
            Body::Null => head(w, 3, 0),
            Body::Single { media_type, bytes } => {
                head(w, 5, 1);
                w.text(media_type).bytes(bytes);
            }
            Body::External(external) => {
                head(w, 15, 2);
                external.write(w);
            }
            Body::Multi { semantics, parts } => {
                head(w, 5, 3);
                w.item(semantics).list(parts.iter());
            }
        }
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        Self::read_within(r, limits::CONTENT_DEPTH, &mut { limits::CONTENT_PARTS })
    }
}

impl Wire for Semantics {
    fn write(&self, w: &mut Writer) {
        w.uint(match self {
            Self::ChooseOne => 0,
            Self::SingleUnit => 1,
            Self::ProcessAll => 2,
        });
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        match r.u8()? {
            0 => Ok(Self::ChooseOne),
            1 => Ok(Self::SingleUnit),
            2 => Ok(Self::ProcessAll),
            _ => Err(Error::malformed("not a relation of parts")),
        }
    }
}
