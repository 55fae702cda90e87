//! Asking to be let into a group by an invite link, from outside (`docs/protocol.md`, section 5.9).

use super::event::EventKind;
use super::memory::Memory;
use super::records;
use super::stage::Draft;
use crate::crypto::kem::SealKey;
use crate::crypto::sign::VerifyKey;
use crate::envelope::{Envelope, EnvelopeType};
use crate::error::{Error, ErrorKind, Result};
use crate::group::{GroupState, InviteLink, Joined, LinkId};
use crate::identity::UserUri;
use crate::ids::{GroupId, LeafHash, Timestamp, Validity};
use crate::limits;
use crate::log::{Post, PostBody, PostReply};
use crate::store::ChangeSet;
use crate::wire::{Reader, Wire, Writer};

/// A request of this device to be let into a group, as long as it may be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenJoin {
    /// Which: what [`ask_to_join`](super::Client::ask_to_join) gave.
    pub request: LeafHash,
    /// The group.
    pub group: GroupId,
    /// Where its hub is, as the link says.
    pub hub: String,
    /// By which link.
    pub link: LinkId,
    /// Who opened the link, as it says: whom they let in is in without another question.
    pub opener: UserUri,
    /// The last second at which members may act on it. An answer from before then still counts when it comes later.
    pub expires: Timestamp,
    /// Whether the hub has taken it.
    pub posted: bool,
    /// The link's join key, by which the group is known again.
    join: SealKey,
    /// The opener's identity key.
    identity: VerifyKey,
    /// Taken back, while members may still act on it: it is kept to tell what comes of it.
    pub(super) withdrawn: bool,
}

impl OpenJoin {
    /// Whether this group has the link that was asked by: whoever let us in shares its join key.
    fn is_answered_by(&self, state: &GroupState) -> bool {
        self.group == state.group() && state.links().iter().any(|open| open.is(self.link, &self.join))
    }
}

impl Memory {
    pub(super) fn save_joins(&self, changes: &mut ChangeSet) {
        changes.put(records::joins(), records::encode_list(self.joins.values()));
    }
}

impl Draft<'_> {
    /// Whether a welcome to `package` is the opener's answer to a request by a link of theirs, for which we still ask.
    pub(super) fn is_answered(&self, joined: &Joined, package: &LeafHash) -> Result<bool> {
        let state = &joined.group.state;
        let inviter = state.member(joined.inviter)?.0;
        let is_opener = |join: &&OpenJoin| join.opener == *inviter.user() && join.identity == *inviter.identity_key();
        let mut open = self.memory.joins.values().filter(|join| !join.withdrawn && join.is_answered_by(state));
        Ok(self.memory.joins.contains_key(package) && open.any(|join| is_opener(&join)))
    }

    /// See [`Client::ask_to_join`](super::Client::ask_to_join).
    pub fn ask_to_join(&mut self, link: &InviteLink) -> Result<LeafHash> {
        let now = self.environment.now();
        if now > link.expires() {
            return Err(Error::new(ErrorKind::Expired, "this invite link has expired: ask for another"));
        }
        if self.memory.groups.contains(&link.group()) {
            return Err(Error::misuse("this device holds that group already: answer, rejoin or forget it"));
        }
        self.drop_old_joins(now);
        if self.memory.joins.len() >= limits::OPEN_JOINS {
            let withdrawn = self.memory.joins.values().filter(|join| join.withdrawn);
            let oldest = withdrawn.min_by_key(|join| join.expires).map(|join| join.request);
            oldest.iter().for_each(|request| self.drop_join(request));
        }
        if self.memory.joins.len() >= limits::OPEN_JOINS {
            return Err(Error::limit("this device has asked to be let into 64 groups: withdraw a request first"));
        }
        // From an hour before, for members whose clock is behind ours.
        let validity = Validity {
            not_before: Timestamp(now.0.saturating_sub(limits::CLOCK_SKEW)),
            not_after: now.after(limits::REQUEST_LIFETIME),
        };
        let package = self.package_for(validity, false)?;
        let (request, expires) = (package.id(), package.leaf().validity().not_after);
        let sealed = link.seal(&link.request(&package)?, self.memory.device.signer(), self.environment.rng())?;
        self.changes.put(records::join(&request), records::encode_one(&sealed));
        let (group, hub, join) = (link.group(), link.hub().to_owned(), link.join().clone());
        let (opener, identity) = (link.opener().0.clone(), link.opener().1.clone());
        let (link, posted, withdrawn) = (link.id(), false, false);
        let open = OpenJoin { request, group, hub, link, opener, expires, posted, join, identity, withdrawn };
        self.memory.joins.insert(request, open);
        self.memory.save_joins(&mut self.changes);
        Ok(request)
    }

    /// See [`Client::withdraw`](super::Client::withdraw).
    pub fn withdraw(&mut self, request: &LeafHash) -> Result<()> {
        let Some(join) = self.memory.joins.get_mut(request).filter(|join| !join.withdrawn) else {
            return Err(Error::misuse("there is no such open request to be let in"));
        };
        if join.posted {
            // A member may let us in by it all the same, and then we must be able to enter.
            join.withdrawn = true;
            self.memory.save_joins(&mut self.changes);
        } else {
            self.drop_join(request);
        }
        Ok(())
    }

    /// Forgets a request, with the keys that could open its answer.
    fn drop_join(&mut self, request: &LeafHash) {
        self.memory.joins.remove(request);
        self.memory.save_joins(&mut self.changes);
        self.changes.delete(records::join(request));
        self.drop_package(request);
    }

    /// Takes back every request to be let into this group.
    pub(super) fn withdraw_all(&mut self, group: GroupId) -> Result<()> {
        let joins = self.memory.joins.values().filter(|join| join.group == group && !join.withdrawn);
        let requests: Vec<LeafHash> = joins.map(|join| join.request).collect();
        requests.iter().try_for_each(|request| self.withdraw(request))
    }

    /// Forgets every request to be let into this group.
    pub(super) fn drop_joins_of(&mut self, group: GroupId) {
        let joins = self.memory.joins.values().filter(|join| join.group == group);
        let requests: Vec<LeafHash> = joins.map(|join| join.request).collect();
        requests.iter().for_each(|request| self.drop_join(request));
    }

    /// Forgets those to which no answer can be under way any more.
    fn drop_old_joins(&mut self, now: Timestamp) {
        let joins = self.memory.joins.values().filter(|join| now > join.expires.after(limits::JOIN_KEPT));
        let requests: Vec<LeafHash> = joins.map(|join| join.request).collect();
        requests.iter().for_each(|request| self.drop_join(request));
    }

    /// Posts the requests that no hub has taken yet, to all groups or to one.
    pub(super) fn post_joins(&mut self, group: Option<GroupId>, max: usize) -> Result<()> {
        let now = self.environment.now();
        self.drop_old_joins(now);
        let due = |join: &&super::OpenJoin| {
            !join.posted && now <= join.expires && group.is_none_or(|group| group == join.group)
        };
        let due: Vec<(LeafHash, GroupId)> =
            self.memory.joins.values().filter(due).map(|join| (join.request, join.group)).collect();
        for (request, group) in due {
            if self.posts.len() >= max {
                break;
            }
            let body = PostBody::Request(self.sealed_join(&request)?);
            self.posts.push(Post { group, after: 0, body });
        }
        Ok(())
    }

    fn sealed_join(&self, request: &LeafHash) -> Result<Envelope> {
        let missing = || Error::damaged("a request to be let in is missing: restore the store");
        let record = self.load(&records::join(request))?.ok_or_else(missing)?;
        records::decode(&record, 1, |r| r.item())
    }

    /// What a hub says to a request of ours. Whether the post is one.
    pub(super) fn posted_join(&mut self, post: &Post, reply: PostReply) -> Result<bool> {
        let PostBody::Request(sealed) = &post.body else { return Ok(false) };
        if sealed.header().kind() != EnvelopeType::Join {
            return Ok(false);
        }
        let open: Vec<LeafHash> = self.memory.joins.values().filter(|join| !join.posted).map(|j| j.request).collect();
        for request in open {
            if self.sealed_join(&request)? != *sealed {
                continue;
            }
            match reply {
                PostReply::Accepted => {
                    if let Some(join) = self.memory.joins.get_mut(&request) {
                        join.posted = true;
                    }
                    self.memory.save_joins(&mut self.changes);
                    self.changes.delete(records::join(&request));
                }
                PostReply::Refused => {
                    self.drop_join(&request);
                    self.emit(post.group, 0, EventKind::JoinDeclined { request, by: None });
                }
                PostReply::Behind => {}
            }
        }
        Ok(true)
    }
}

impl Wire for OpenJoin {
    fn write(&self, w: &mut Writer) {
        let Self { request, group, hub, link, opener, expires, posted, join, identity, withdrawn } = self;
        w.array(10).item(request).item(group).text(hub).item(link).item(opener).item(expires).bool(*posted).item(join);
        w.item(identity).bool(*withdrawn);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(10)?;
        Ok(Self {
            request: r.item()?,
            group: r.item()?,
            hub: r.text(limits::LINK_HUB)?.to_owned(),
            link: r.item()?,
            opener: r.item()?,
            expires: r.item()?,
            posted: r.bool()?,
            join: r.item()?,
            identity: r.item()?,
            withdrawn: r.bool()?,
        })
    }
}
