//! Reports: a member shows an app one message, with proof of who sent it, in which group, and when the hub had it
//! (`docs/protocol.md`, section 12).
//!
//! The member's client keeps [`Evidence`] of messages if it was [asked to](crate::Client::keep_evidence), and the hub
//! gives a [`Stamp`] for an entry of its log. Both and the message's content make a [`Report`], which the app verifies
//! offline, with one call and no state.
//!
//! # What a verified report says
//!
//! The named device signed this content, in this epoch of the group with this id, and the hub had the message in the
//! group's log by the time of the stamp. The user is the one for whom an app that the verifier trusts has vouched: compare
//! [`VerifiedReport::leaf`]'s identity key with the one that is known, if there is one.
//!
//! # What it does not say
//!
//! - Whether the message counted: who is removed, or may not post, can still sign something and have it logged.
//! - Who else was in the group, or what else was said there: a report shows none of it, and its key opens this message
//!   alone.
//! - That the hub got it no earlier. A member can have a copy of the message logged again; by the earlier of two stamps
//!   it was said.
//! - Anything against whoever put another's message under their own name: a device can claim a key that is not its own.
//!   Nobody can do that to another's device.
//!
//! Expiry is not looked at: a member whose credential has run out meanwhile is still who it was.

mod evidence;

use core::fmt;

pub use evidence::Evidence;

use crate::crypto::kdf::sha256;
use crate::crypto::sign::VerifyKey;
use crate::error::{Error, ErrorKind, Result};
use crate::group::{GroupContext, message_id};
use crate::identity::{AppDomain, Leaf, TrustedApps, UserUri};
use crate::ids::{DeviceId, Epoch, GroupId, MessageId, Timestamp};
use crate::limits;
use crate::log::Stamp;
use crate::wire::{Reader, Wire, Writer};

/// The version of its form.
const VERSION: u64 = 1;

/// A message, laid open to whoever gets this: about 1.1 kB and the content.
///
/// It goes to the app and to nobody else, over a channel that is confidential. As received it is a claim, until
/// [`verify`](Self::verify).
#[derive(Clone, PartialEq, Eq)]
pub struct Report {
    evidence: Evidence,
    content: Vec<u8>,
    stamp: Stamp,
}

impl Report {
    /// A report of the message that this is the evidence of. `content` is what the message's event had, the app's bytes;
    /// the stamp is of the event's group and sequence number.
    ///
    /// Fails with `Misuse` if evidence, content and stamp are not of one message, and with `Limit` for more than a message
    /// carries.
    pub fn new(evidence: &Evidence, content: &[u8], stamp: Stamp) -> Result<Self> {
        let whole = evidence.kept().content(content)?;
        let report = Self { evidence: evidence.clone(), content: content.to_vec(), stamp };
        report
            .check_frame(&whole)
            .map_err(|_| Error::misuse("evidence, content and stamp are of different messages"))?;
        Ok(report)
    }

    /// The one encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.encode()
    }

    /// Reads [`to_bytes`](Self::to_bytes). Fails with `Malformed`, `Limit` or `Unsupported`, and refuses any bytes but
    /// the one encoding.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::decode(bytes)
    }

    /// Verifies all of it: the hub's stamp, that the stamped frame is the one this content makes, that the sender's leaf
    /// signed it, and that a trusted app vouches for the sender.
    ///
    /// `trust` are the apps whose users may be reported, with every root that counted when the message was sent. `hub` is
    /// the key of the group's hub. Without state, clock or network, and the same for everyone.
    ///
    /// Fails with `NotAllowed` if the sender's app is not among `trust` or vouches outside its domain, and with
    /// `Unauthentic` if anything else is not what it claims.
    pub fn verify(&self, trust: &TrustedApps, hub: &VerifyKey) -> Result<VerifiedReport> {
        let Self { evidence, content, stamp } = self;
        let evidence = evidence.kept();
        stamp.verify(hub)?;
        let whole = evidence.content(content)?;
        self.check_frame(&whole)?;
        let signature_key = evidence.leaf.claims().signature_key();
        evidence.proof.verify(signature_key, evidence.at, &evidence.scene(), &evidence.carried(&whole))?;
        let leaf = evidence.leaf.clone().verify(trust, None)?;
        let GroupContext { group, epoch, time: began, .. } = evidence.context;
        let id = message_id(group, leaf.user(), leaf.device(), &whole);
        Ok(VerifiedReport { leaf, id, epoch, began, content: content.clone(), stamp: stamp.clone() })
    }

    /// Whether the hub's stamp is for the frame that this content makes under the evidence's key, in the log of the group
    /// that the sender signed for.
    fn check_frame(&self, whole: &[u8]) -> Result<()> {
        let Self { evidence, content: _, stamp } = self;
        let evidence = evidence.kept();
        let frame = evidence.proof.frame(&evidence.scene(), &evidence.carried(whole));
        let same = stamp.group() == evidence.context.group && *stamp.frame_hash() == sha256(&frame);
        if same { Ok(()) } else { Err(Error::unauthentic()) }
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { evidence, content, stamp } = self;
        f.debug_struct("Report")
            .field("evidence", evidence)
            .field("content_len", &content.len())
            .field("stamp", stamp)
            .finish()
    }
}

impl Wire for Report {
    fn write(&self, w: &mut Writer) {
        let Self { evidence, content, stamp } = self;
        w.array(4).uint(VERSION).item(evidence).bytes(content).item(stamp);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(4)?;
        if r.u64()? != VERSION {
            return Err(Error::new(ErrorKind::Unsupported, "a report of another version: update the library"));
        }
        Ok(Self { evidence: r.item()?, content: r.bytes(limits::MESSAGE_CONTENT)?.to_vec(), stamp: r.item()? })
    }
}

/// A report that holds: who said what, where, and by when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedReport {
    leaf: Leaf,
    id: MessageId,
    epoch: Epoch,
    began: Timestamp,
    content: Vec<u8>,
    stamp: Stamp,
}

impl VerifiedReport {
    /// Who sent it.
    #[must_use]
    pub fn user(&self) -> &UserUri {
        self.leaf.user()
    }

    /// On which device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.leaf.device()
    }

    /// The app that vouches for the sender.
    #[must_use]
    pub fn app(&self) -> &AppDomain {
        self.leaf.domain()
    }

    /// All that is known of the sender: the identity key, to compare with the known one, the device's key and certificate,
    /// the credential and when it was valid.
    #[must_use]
    pub const fn leaf(&self) -> &Leaf {
        &self.leaf
    }

    /// What was said: the app's bytes.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// The message's id, the one that every member's event had: reports of one message have one id.
    #[must_use]
    pub const fn id(&self) -> MessageId {
        self.id
    }

    /// The group.
    #[must_use]
    pub const fn group(&self) -> GroupId {
        self.stamp.group()
    }

    /// The group's epoch.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The group's time when the epoch began, by the clock of whoever made its commit. It was sent after that.
    #[must_use]
    pub const fn began(&self) -> Timestamp {
        self.began
    }

    /// The place in the hub's log.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.stamp.seq()
    }

    /// When the hub had it, by the hub's clock. It was sent before that.
    #[must_use]
    pub const fn seen_at(&self) -> Timestamp {
        self.stamp.received()
    }
}
