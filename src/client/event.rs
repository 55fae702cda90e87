//! What a device tells its app (`docs/protocol.md`, section 7).

use core::fmt;

use crate::content::{Content, Posted};
use crate::error::{Error, ErrorKind, Result};
use crate::group::{Effect, GroupInfo, JoinRequest, LinkId, RejoinRequest, Role};
use crate::identity::{AppDomain, UserUri};
use crate::ids::{DeviceId, GroupId, LeafHash, MessageId, Timestamp};
use crate::limits;
use crate::report::Evidence;
use crate::wire::{Reader, Wire, Writer, public_encoding};

/// An event's place in the inbox: 1, 2, 3 and so on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct EventId(pub u64);

/// A queued [`Change`](super::Change) of one group, until it happened or was dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct IntentId(pub u64);

/// Something that happened in a group. It stays in the inbox, across restarts, until it is acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its place in the inbox.
    pub id: EventId,
    /// The group.
    pub group: GroupId,
    /// The log entry it came with.
    pub seq: u64,
    /// What happened.
    pub what: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// A member said something.
    Message {
        /// The message's id, the same for every member. A message whose sender could not tell whether it counted may
        /// come twice, with one id: show it once.
        id: MessageId,
        /// Who said it.
        user: UserUri,
        /// On which device.
        device: DeviceId,
        /// What its sender could do in the epoch in which it was said.
        role: Role,
        /// The group's time in that epoch: that of its last commit. All members have it from the log alike.
        time: Timestamp,
        /// What was said: the app's bytes.
        content: Vec<u8>,
        /// What a report of it needs, if the device [keeps](super::Client::keep_evidence) that.
        evidence: Option<Evidence>,
    },
    /// A message of our own is in the log, and counts: what [`Message`](Self::Message) is to the others. The event's entry
    /// is its place.
    Sent {
        /// The id that `send` gave.
        id: MessageId,
        /// Ourselves.
        user: UserUri,
        /// This device.
        device: DeviceId,
        /// What we could do in the epoch in which it was said.
        role: Role,
        /// The group's time in that epoch.
        time: Timestamp,
        /// What was said: the app's bytes.
        content: Vec<u8>,
    },
    /// A commit changed the group.
    Changed {
        /// Who made it.
        by: UserUri,
        /// What it changed.
        effects: Vec<Effect>,
        /// Our own intent that this was.
        intent: Option<IntentId>,
    },
    /// We were added. Nothing of the group is read or shown until it is answered.
    Invitation {
        /// Who added us.
        by: UserUri,
        /// What the group is called.
        info: GroupInfo,
        /// How many users are in it.
        users: u32,
    },
    /// We are in, without being asked again: another device of our own user added this one, or a member let us in whom we
    /// [asked](super::Client::ask_to_join) by an invite link. The group is read from here on.
    Joined {
        /// Who added us.
        by: UserUri,
        /// What the group is called.
        info: GroupInfo,
        /// How many users are in it.
        users: u32,
    },
    /// We were readmitted after lost or excluded state; queued messages go out again.
    Rejoined {
        /// Who readmitted us.
        by: UserUri,
    },
    /// We were taken out: by a commit that was sealed to us all the same, which ends the group here, or by one that we
    /// cannot read, so by what the hub says, which is a doubt like [`Excluded`](Self::Excluded).
    Removed,
    /// Another device that lost its state asks to be readmitted.
    RejoinRequested {
        /// Whose device.
        user: UserUri,
        /// Which.
        device: DeviceId,
        /// The request, for [`Change::Readmit`](super::Change::Readmit).
        request: Box<RejoinRequest>,
    },
    /// Someone outside asks by an invite link to be let in. Told to those who may add users, once for each request.
    JoinRequested {
        /// Whose device. It may be a further one of a user who is in: compare the identity keys.
        user: UserUri,
        /// Which.
        device: DeviceId,
        /// By which link.
        link: LinkId,
        /// The request, for [`Change::Admit`](super::Change::Admit) or [`decline`](super::Client::decline).
        request: Box<JoinRequest>,
        /// Whether the user was removed from the group before: only an admin can let it in again, and no client does so by
        /// itself.
        barred: bool,
        /// Whether this device knows the user by another identity key: then somebody else may ask under that name, and no
        /// client lets them in by itself.
        other_identity: bool,
    },
    /// A request to be let in was declined: one to this group by a member, or one of this device by the hub, which does not
    /// take it.
    JoinDeclined {
        /// Which.
        request: LeafHash,
        /// The member.
        by: Option<UserUri>,
    },
    /// A user has another identity key in this group than the one this device knows. Told each time, until the app
    /// [accepts](super::Client::accept_identity) the new one.
    IdentityChanged {
        /// Who.
        user: UserUri,
        /// Whether the key that this device knows was [verified](super::Client::verify_user): then somebody may well sit
        /// between. Always for one's own user, whose key the device's credential names.
        verified: bool,
    },
    /// A queued message cannot be sent: the hub refused it for good, or our role no longer may post.
    MessageDropped {
        /// Which.
        id: MessageId,
        /// Why.
        why: ErrorKind,
    },
    /// A queued change can no longer happen. Also told, once in an epoch, of the taking out of a
    /// [revoked device](super::Client::revoke_device) that the hub refuses: it is tried again after the next entry or an hour.
    IntentDropped {
        /// Which: the id that `change` gave. One that no call gave is of what the client queued by itself: that, or a heal.
        intent: IntentId,
        /// Why.
        why: ErrorKind,
    },
    /// Log entries that count for nothing: too late, not allowed, or not authentic.
    Void {
        /// How many.
        entries: u32,
    },
    /// The others may have gone on without us: something claims to be from a later epoch, or to take us out. This epoch
    /// is read and written on; nothing is lost by waiting for [`Resumed`](Self::Resumed) or by rejoining.
    Excluded,
    /// They have not: a member of our epoch has seen the same log, or has led the group on with us.
    Resumed,
    /// The group lists another root key for an app than this device knows. Told each time, until the app
    /// [accepts](super::Client::accept_roots) it.
    RootChanged {
        /// The app.
        domain: AppDomain,
    },
    /// Members may have been shown different histories.
    ForkSuspected,
    /// The hub skipped entries.
    Gap {
        /// The sequence number that should have come.
        expected: u64,
    },
    /// Messages of our own came back that this state has not sent: it was restored from an old copy.
    RolledBack,
    /// A message that claims to be ours, which we did not send.
    CloneSuspected,
    /// A commit's clock is more than an hour ahead of ours.
    ClockSkew,
}

impl EventKind {
    /// What to do about it, if anything.
    #[must_use]
    pub const fn next_step(&self) -> Option<&'static str> {
        match self {
            Self::Invitation { .. } => Some("show who invites, then answer the invitation"),
            Self::RejoinRequested { .. } => Some("ask the user, then readmit the device or ignore the request"),
            Self::JoinRequested { other_identity: true, .. } => Some(
                "you know this user by another identity key, so it may be somebody else: decline the request unless you have \
                 asked them over another channel and compared safety numbers",
            ),
            Self::JoinRequested { barred: true, .. } => {
                Some("this user was removed from the group before: ask the other admins before you admit the request")
            }
            Self::JoinRequested { .. } => Some("ask the user, then admit or decline the request"),
            Self::JoinDeclined { by: None, .. } => {
                Some("show that the hub does not take the request: ask for another link")
            }
            Self::IdentityChanged { verified: true, .. } => Some(
                "you had verified this user: say nothing in confidence until you have compared safety numbers again, face to \
                 face or by voice; accept the new identity key only if they match",
            ),
            Self::IdentityChanged { .. } => Some("compare safety numbers, then accept the user's new identity key"),
            Self::RootChanged { .. } => Some("check the app's root key over another channel, then accept it"),
            Self::IntentDropped { .. } | Self::MessageDropped { .. } => {
                Some("show why, and ask the user whether to try something else")
            }
            Self::Excluded | Self::RolledBack => Some("ask to be readmitted: change(group, Change::Rejoin)"),
            Self::Removed => Some("show it, then forget the group; or rejoin, if that is not so"),
            Self::ForkSuspected => Some("compare the group's authenticator with another member over another channel"),
            Self::Gap { .. } => Some("fetch the group's log again from the expected entry"),
            Self::CloneSuspected => Some("check whether a copy of this device's store is in use elsewhere"),
            Self::ClockSkew => Some("check this device's clock"),
            Self::Message { .. }
            | Self::Sent { .. }
            | Self::Changed { .. }
            | Self::Joined { .. }
            | Self::Rejoined { .. }
            | Self::JoinDeclined { by: Some(_), .. }
            | Self::Void { .. }
            | Self::Resumed => None,
        }
    }
}

impl Event {
    /// What was said, if this is a message, one's own or another's, in the form of [`content`](crate::content): for a
    /// [`Conversation`](crate::content::Conversation). None for other events, and for bytes that are not of that form.
    #[must_use]
    pub fn posted(&self) -> Option<Posted> {
        let (EventKind::Message { id, user, role, time, content, .. }
        | EventKind::Sent { id, user, role, time, content, .. }) = &self.what
        else {
            return None;
        };
        let content = Content::from_bytes(content).ok()?;
        let moderates = *role >= Role::Admin;
        Some(Posted { id: *id, seq: self.seq, user: user.clone(), moderates, time: *time, content })
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Wire for Event {
    fn write(&self, w: &mut Writer) {
        w.array(4).uint(self.id.0).item(&self.group).uint(self.seq).item(&self.what);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(4)?;
        Ok(Self { id: EventId(r.u64()?), group: r.item()?, seq: r.u64()?, what: r.item()? })
    }
}

public_encoding!(Event);

impl Wire for EventKind {
    fn write(&self, w: &mut Writer) {
        match self {
            Self::Message { id, user, device, role, time, content, evidence } => {
                w.array(8).uint(0).item(id).item(user).item(device).item(role).item(time).bytes(content);
                w.option(evidence.as_ref())
            }
            Self::Sent { id, user, device, role, time, content } => {
                w.array(7).uint(21).item(id).item(user).item(device).item(role).item(time).bytes(content)
            }
            Self::Changed { by, effects, intent } => {
                w.array(4).uint(1).item(by).list(effects.iter());
                match intent {
                    Some(intent) => w.uint(intent.0),
                    None => w.null(),
                }
            }
            Self::Invitation { by, info, users } => w.array(4).uint(2).item(by).item(info).uint((*users).into()),
            Self::Joined { by, info, users } => w.array(4).uint(18).item(by).item(info).uint((*users).into()),
            Self::Rejoined { by } => w.array(2).uint(3).item(by),
            Self::Removed => w.array(1).uint(4),
            Self::RejoinRequested { user, device, request } => {
                w.array(4).uint(5).item(user).item(device).item(request.as_ref())
            }
            Self::JoinRequested { user, device, link, request, barred, other_identity } => {
                w.array(7).uint(19).item(user).item(device).item(link).item(request.as_ref());
                w.bool(*barred).bool(*other_identity)
            }
            Self::JoinDeclined { request, by } => w.array(3).uint(20).item(request).option(by.as_ref()),
            Self::IdentityChanged { user, verified } => w.array(3).uint(6).item(user).bool(*verified),
            Self::IntentDropped { intent, why } => w.array(3).uint(7).uint(intent.0).uint(kind_number(*why)),
            Self::Void { entries } => w.array(2).uint(8).uint((*entries).into()),
            Self::Excluded => w.array(1).uint(9),
            Self::ForkSuspected => w.array(1).uint(10),
            Self::Gap { expected } => w.array(2).uint(11).uint(*expected),
            Self::RolledBack => w.array(1).uint(12),
            Self::CloneSuspected => w.array(1).uint(13),
            Self::ClockSkew => w.array(1).uint(14),
            Self::Resumed => w.array(1).uint(16),
            Self::RootChanged { domain } => w.array(2).uint(17).item(domain),
            Self::MessageDropped { id, why } => w.array(3).uint(15).item(id).uint(kind_number(*why)),
        };
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        let len = r.array_up_to(8)?;
        Ok(match (len, r.u8()?) {
            (8, 0) => Self::Message {
                id: r.item()?,
                user: r.item()?,
                device: r.item()?,
                role: r.item()?,
                time: r.item()?,
                content: r.bytes(limits::MESSAGE_CONTENT)?.to_vec(),
                evidence: r.option()?,
            },
            (7, 21) => Self::Sent {
                id: r.item()?,
                user: r.item()?,
                device: r.item()?,
                role: r.item()?,
                time: r.item()?,
                content: r.bytes(limits::MESSAGE_CONTENT)?.to_vec(),
            },
            (4, 1) => Self::Changed {
                by: r.item()?,
                effects: r.list(limits::PROPOSALS.saturating_add(2 * limits::LINKS))?,
                intent: if r.null()? { None } else { Some(IntentId(r.u64()?)) },
            },
            (4, 2) => Self::Invitation { by: r.item()?, info: r.item()?, users: r.u32()? },
            (4, 18) => Self::Joined { by: r.item()?, info: r.item()?, users: r.u32()? },
            (2, 3) => Self::Rejoined { by: r.item()? },
            (1, 4) => Self::Removed,
            (4, 5) => Self::RejoinRequested { user: r.item()?, device: r.item()?, request: Box::new(r.item()?) },
            (7, 19) => Self::JoinRequested {
                user: r.item()?,
                device: r.item()?,
                link: r.item()?,
                request: Box::new(r.item()?),
                barred: r.bool()?,
                other_identity: r.bool()?,
            },
            (3, 20) => Self::JoinDeclined { request: r.item()?, by: r.option()? },
            (3, 6) => Self::IdentityChanged { user: r.item()?, verified: r.bool()? },
            (3, 7) => Self::IntentDropped { intent: IntentId(r.u64()?), why: kind_of(r.u64()?) },
            (2, 8) => Self::Void { entries: r.u32()? },
            (1, 9) => Self::Excluded,
            (1, 10) => Self::ForkSuspected,
            (2, 11) => Self::Gap { expected: r.u64()? },
            (1, 12) => Self::RolledBack,
            (1, 13) => Self::CloneSuspected,
            (1, 14) => Self::ClockSkew,
            (1, 16) => Self::Resumed,
            (2, 17) => Self::RootChanged { domain: r.item()? },
            (3, 15) => Self::MessageDropped { id: r.item()?, why: kind_of(r.u64()?) },
            _ => return Err(Error::malformed("not an event")),
        })
    }
}

/// The kinds for which an intent is dropped.
const KINDS: [ErrorKind; 8] = [
    ErrorKind::NotAllowed,
    ErrorKind::NotMember,
    ErrorKind::Expired,
    ErrorKind::Unsupported,
    ErrorKind::Limit,
    ErrorKind::Duplicate,
    ErrorKind::Malformed,
    ErrorKind::Unauthentic,
];

fn kind_number(kind: ErrorKind) -> u64 {
    KINDS.iter().position(|known| *known == kind).map_or(0, |at| at as u64)
}

fn kind_of(number: u64) -> ErrorKind {
    usize::try_from(number).ok().and_then(|at| KINDS.get(at).copied()).unwrap_or(ErrorKind::NotAllowed)
}
