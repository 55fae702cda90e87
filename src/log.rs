//! What travels between a device and a hub: posts up, log entries down (`docs/protocol.md`, section 8).

mod stamp;

pub use stamp::{HubKey, Stamp};

use crate::crypto::kdf;
use crate::envelope::{Envelope, EnvelopeFor};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::AppDomain;
use crate::ids::{GroupId, LeafHash, LeafIndex};
use crate::labels;
use crate::limits;
use crate::wire::{Reader, Wire, Writer, bytes_id, public_encoding};

bytes_id! {
    /// A post: the hash of what it says, so that a repeated one is recognised.
    PostId, 32
}

/// Something for a hub to do or to append to a group's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// The group.
    pub group: GroupId,
    /// The sequence number of the last commit entry the author has processed, valid or not; 0 for none.
    ///
    /// A commit is appended only if that is still the last commit entry; a message likewise, so that what would be
    /// void is answered with [`PostReply::Behind`] and not logged.
    pub after: u64,
    /// What to do.
    pub body: PostBody,
}

/// What a post asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PostBody {
    /// Open the log of a new group, with one mailbox.
    Create {
        /// The founder's leaf.
        leaf: LeafIndex,
        /// The app that serves it.
        domain: AppDomain,
    },
    /// Append a message frame.
    Message(Vec<u8>),
    /// Append a commit and, if it adds someone, its welcome: both or neither.
    Commit {
        /// To the members.
        commit: Envelope,
        /// To those who are added.
        welcome: Option<Envelope>,
    },
    /// Append a sealed request to be readmitted, or to be let in: this one also from an app without a mailbox.
    Request(Envelope),
}

impl Post {
    /// The id: the same for every attempt to post the same thing.
    #[must_use]
    pub fn id(&self) -> PostId {
        post_id(self.group, &self.body)
    }
}

pub(crate) fn post_id(group: GroupId, body: &PostBody) -> PostId {
    PostId(kdf::hash(labels::HASH_POST, 2, |w| {
        w.item(&group).item(body);
    }))
}

/// A hub's answer to a post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PostReply {
    /// Appended, now or by an earlier attempt.
    Accepted,
    /// There is a newer commit than the author has processed: fetch, receive, and drain the outbox again.
    Behind,
    /// The hub will not take it, ever: the group is unknown to it, the post too large, or its clock far off.
    Refused,
}

/// One entry of a group's log, as it comes to one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// The group.
    pub group: GroupId,
    /// The place in the log: 1, 2, 3 and so on, without gaps.
    pub seq: u64,
    /// What was appended.
    pub body: EntryBody,
}

/// What an entry holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryBody {
    /// A message frame.
    Message(Vec<u8>),
    /// A commit, for whoever was a member before it.
    Commit {
        /// The envelope's header.
        header: Vec<u8>,
        /// The reader's own stanza; none for those it removes.
        stanza: Option<Vec<u8>>,
        /// The envelope's body.
        body: Vec<u8>,
    },
    /// A commit with its welcome, for whoever it added.
    Welcome {
        /// The header of the commit.
        commit_header: Vec<u8>,
        /// The body of the commit.
        commit_body: Vec<u8>,
        /// The key package that was used.
        package: LeafHash,
        /// The welcome, with the reader's stanza.
        welcome: EnvelopeFor,
    },
    /// A request of either kind, with its one stanza, which is the same for every reader.
    Request(Option<EnvelopeFor>),
}

impl Wire for PostBody {
    fn write(&self, w: &mut Writer) {
        match self {
            Self::Create { leaf, domain } => w.array(3).uint(0).item(leaf).item(domain),
            Self::Message(frame) => w.array(2).uint(1).bytes(frame),
            Self::Commit { commit, welcome } => w.array(3).uint(2).item(commit).option(welcome.as_ref()),
            Self::Request(request) => w.array(2).uint(3).item(request),
        };
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        let len = r.array_up_to(3)?;
        Ok(match (len, r.u8()?) {
            (3, 0) => Self::Create { leaf: r.item()?, domain: r.item()? },
            (2, 1) => Self::Message(r.bytes(limits::POST)?.to_vec()),
            (3, 2) => Self::Commit { commit: r.item()?, welcome: r.option()? },
            (2, 3) => Self::Request(r.item()?),
            _ => return Err(unknown()),
        })
    }
}

impl Wire for Post {
    fn write(&self, w: &mut Writer) {
        w.array(3).item(&self.group).uint(self.after).item(&self.body);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(3)?;
        Ok(Self { group: r.item()?, after: r.u64()?, body: r.item()? })
    }
}

public_encoding!(Post);

impl Wire for EntryBody {
    fn write(&self, w: &mut Writer) {
        match self {
            Self::Message(frame) => w.array(2).uint(1).bytes(frame),
            Self::Commit { header, stanza, body } => {
                w.array(4).uint(2).bytes(header);
                match stanza {
                    Some(stanza) => w.bytes(stanza),
                    None => w.null(),
                };
                w.bytes(body)
            }
            Self::Welcome { commit_header, commit_body, package, welcome } => {
                w.array(5).uint(3).bytes(commit_header).bytes(commit_body).item(package).item(welcome)
            }
            Self::Request(request) => w.array(2).uint(4).option(request.as_ref()),
        };
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        let len = r.array_up_to(5)?;
        Ok(match (len, r.u8()?) {
            (2, 1) => Self::Message(r.bytes(limits::POST)?.to_vec()),
            (4, 2) => Self::Commit {
                header: r.bytes(limits::POST)?.to_vec(),
                stanza: if r.null()? { None } else { Some(r.bytes(limits::POST)?.to_vec()) },
                body: r.bytes(limits::POST)?.to_vec(),
            },
            (5, 3) => Self::Welcome {
                commit_header: r.bytes(limits::POST)?.to_vec(),
                commit_body: r.bytes(limits::POST)?.to_vec(),
                package: r.item()?,
                welcome: r.item()?,
            },
            (2, 4) => Self::Request(r.option()?),
            _ => return Err(unknown()),
        })
    }
}

impl Wire for LogEntry {
    fn write(&self, w: &mut Writer) {
        w.array(3).item(&self.group).uint(self.seq).item(&self.body);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(3)?;
        Ok(Self { group: r.item()?, seq: r.u64()?, body: r.item()? })
    }
}

public_encoding!(LogEntry);

fn unknown() -> Error {
    Error::new(ErrorKind::Unsupported, "a kind of post or entry this version does not know: update the library")
}
