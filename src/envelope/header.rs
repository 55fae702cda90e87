//! The public part of an envelope (`docs/protocol.md`, section 4).

use core::fmt;

use crate::crypto::kdf::{Hash, hash};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::Suite;
use crate::labels;
use crate::limits;
use crate::wire::{Reader, Wire, Writer};

const VERSION: u8 = 1;

/// What an envelope is for. The type decides the signature label, the kind of recipients' keys and whether there is
/// a tail, so an envelope made for one purpose is refused for any other.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EnvelopeType {
    /// For users of envelopes alone: to X25519 keys or to X-Wing keys, all of one kind.
    Standalone,
    /// A group's commit, to the X25519 keys of its leaves.
    Commit,
    /// A group's welcome, to the X-Wing keys of key packages.
    Welcome,
    /// A request of a member to a group, to X25519 keys.
    Request,
    /// A request of someone outside to be let into a group, to the X25519 key of an invite link.
    Join,
}

impl EnvelopeType {
    /// Whether the signed part names the recipients.
    pub(crate) const fn names_recipients(self) -> bool {
        matches!(self, Self::Standalone | Self::Request | Self::Join)
    }

    /// Bytes of the tail.
    pub(crate) const fn tail_len(self) -> usize {
        match self {
            Self::Commit => limits::ENVELOPE_TAIL,
            Self::Standalone | Self::Welcome | Self::Request | Self::Join => 0,
        }
    }

    /// How many recipients there may be.
    pub(crate) const fn max_recipients(self) -> usize {
        match self {
            Self::Standalone | Self::Request => limits::ENVELOPE_RECIPIENTS,
            Self::Commit | Self::Welcome => limits::ROSTER,
            Self::Join => 1,
        }
    }

    pub(super) const fn signature_label(self) -> labels::Label {
        match self {
            Self::Standalone => labels::SIGN_ENVELOPE,
            Self::Commit => labels::SIGN_COMMIT,
            Self::Welcome => labels::SIGN_WELCOME,
            Self::Request => labels::SIGN_REQUEST,
            Self::Join => labels::SIGN_JOIN,
        }
    }

    /// Whether a header of this type may have, or lack, an ephemeral key.
    const fn allows_ephemeral(self, present: bool) -> bool {
        match self {
            Self::Standalone => true,
            Self::Commit | Self::Request | Self::Join => present,
            Self::Welcome => !present,
        }
    }
}

impl Wire for EnvelopeType {
    fn write(&self, w: &mut Writer) {
        w.uint(match self {
            Self::Standalone => 1,
            Self::Commit => 2,
            Self::Welcome => 3,
            Self::Request => 4,
            Self::Join => 5,
        });
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        match r.u8()? {
            1 => Ok(Self::Standalone),
            2 => Ok(Self::Commit),
            3 => Ok(Self::Welcome),
            4 => Ok(Self::Request),
            5 => Ok(Self::Join),
            _ => Err(unsupported("an envelope type this version does not know: update the library")),
        }
    }
}

/// The header of an envelope: in the clear, and bound into every stanza, the body and the signature.
///
/// Nothing in it is to be believed before the envelope was opened and verified; until then it only routes. Its bytes
/// are kept as received.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    bytes: Vec<u8>,
    fields: Fields,
}

impl Header {
    /// Reads a header of at most [`limits::ENVELOPE_HEADER`] bytes. Fails with `Limit`, `Malformed`, or `Unsupported`
    /// for a version, type or suite this build does not know.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > limits::ENVELOPE_HEADER {
            return Err(Error::limit("an envelope's header is longer than the protocol allows"));
        }
        Ok(Self { fields: Fields::decode(bytes)?, bytes: bytes.to_vec() })
    }

    /// What the envelope is for.
    #[must_use]
    pub const fn kind(&self) -> EnvelopeType {
        self.fields.kind
    }

    /// The cipher suite.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.fields.suite
    }

    /// The ephemeral X25519 key E that all recipients share, 32 bytes; absent if the recipients' keys are X-Wing.
    #[must_use]
    pub const fn ephemeral(&self) -> Option<&[u8; 32]> {
        self.fields.ephemeral.as_ref()
    }

    /// The commitment to the seed: 32 bytes.
    #[must_use]
    pub const fn commitment(&self) -> &[u8; 32] {
        &self.fields.commitment
    }

    /// The public part that the type defines.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        &self.fields.public
    }

    /// The encoding, as received.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The labelled hash of the bytes.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        header_hash(&self.bytes)
    }

    pub(super) fn new(
        kind: EnvelopeType,
        suite: Suite,
        ephemeral: Option<[u8; 32]>,
        commitment: [u8; 32],
        public: Vec<u8>,
    ) -> Result<Self> {
        let fields = Fields { kind, suite, ephemeral, commitment, public };
        let bytes = fields.encode();
        if bytes.len() > limits::ENVELOPE_HEADER {
            return Err(Error::limit("an envelope's header is longer than the protocol allows"));
        }
        Ok(Self { bytes, fields })
    }
}

fn header_hash(bytes: &[u8]) -> Hash {
    hash(labels::HASH_HEADER, 1, |w| {
        w.bytes(bytes);
    })
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, fields } = self;
        f.debug_struct("Header")
            .field("kind", &fields.kind)
            .field("suite", &fields.suite)
            .field("bytes", &bytes.len())
            .finish_non_exhaustive()
    }
}

/// A header is a byte string inside an envelope, so that its bytes survive as they were.
impl Wire for Header {
    fn write(&self, w: &mut Writer) {
        w.bytes(&self.bytes);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        Self::decode(r.bytes(limits::ENVELOPE_HEADER)?)
    }
}

#[derive(Clone, PartialEq, Eq)]
struct Fields {
    kind: EnvelopeType,
    suite: Suite,
    ephemeral: Option<[u8; 32]>,
    commitment: [u8; 32],
    public: Vec<u8>,
}

impl Wire for Fields {
    fn write(&self, w: &mut Writer) {
        w.array(6).uint(VERSION.into()).item(&self.kind).item(&self.suite);
        match &self.ephemeral {
            Some(key) => w.bytes(key),
            None => w.null(),
        };
        w.bytes(&self.commitment).bytes(&self.public);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(6)?;
        if r.u8()? != VERSION {
            return Err(unsupported("an envelope version this build does not know: update the library"));
        }
        let kind: EnvelopeType = r.item()?;
        let suite = r.item()?;
        let ephemeral = if r.null()? { None } else { Some(r.fixed()?) };
        if !kind.allows_ephemeral(ephemeral.is_some()) {
            return Err(Error::malformed("an ephemeral key where this type has none, or none where it has one"));
        }
        let commitment = r.fixed()?;
        let public = r.bytes(limits::ENVELOPE_HEADER)?.to_vec();
        Ok(Self { kind, suite, ephemeral, commitment, public })
    }
}

const fn unsupported(what: &'static str) -> Error {
    Error::new(ErrorKind::Unsupported, what)
}
