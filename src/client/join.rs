//! The ways into a group: found it, be added, be readmitted (`docs/protocol.md`, section 5.5 and 5.7).

use super::change::Change;
use super::event::EventKind;
use super::memory::PackageEntry;
use super::queue::Row;
use super::records;
use super::session::{Cursor, Session};
use super::stage::Draft;
use super::standing::Status;
use crate::crypto::kdf::Hash;
use crate::crypto::kem::{InitSecret, SealSecret};
use crate::crypto::sign::SigningKey;
use crate::envelope::EnvelopeId;
use crate::error::{Error, Result};
use crate::group::{Group, GroupInfo, Joined, LeaveScope, Policy, Transition, entry_hash};
use crate::identity::{KeyPackage, KeyPackageSecrets, Leaf, PackageOptions, Source, UnverifiedKeyPackage};
use crate::ids::{GroupId, LeafHash, Timestamp, Validity};
use crate::limits;
use crate::log::{EntryBody, LogEntry};
use crate::secret::Secret;
use crate::wire::Wire;

/// What to say to an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Join: from here on the group is read.
    Accept,
    /// Stay out: the others are asked to take this device out again. Other devices of the user stay.
    Decline,
}

/// Welcomes that a last-resort package's keys are remembered to have opened, at most.
const REMEMBERED: usize = 1_024;

/// A stored key package: its private halves, itself, and the welcomes it opened.
struct StoredPackage {
    package: KeyPackage,
    secrets: KeyPackageSecrets,
    used: Vec<EnvelopeId>,
}

impl Draft<'_> {
    /// See [`Client::create_group`](super::Client::create_group).
    pub fn create_group(&mut self, policy: Policy, info: GroupInfo) -> Result<GroupId> {
        let now = self.environment.now();
        let created = Group::create(self.memory.device.actor(), policy, info, now, self.environment.rng())?;
        let mut session = Session::enter(created, Status::Active, Cursor::after(0, [0; 32], now), &mut self.changes);
        session.push_row(Row::Create, &mut self.changes);
        self.check_pins(&session, 0, true)?;
        Ok(self.keep(session))
    }

    fn keep(&mut self, session: Session) -> GroupId {
        let group = session.id();
        if self.memory.groups.insert(group) {
            self.memory.save_groups(&mut self.changes);
        }
        self.memory.sessions.insert(group, session);
        group
    }

    /// See [`Client::key_packages`](super::Client::key_packages).
    pub fn key_packages(&mut self, count: u16) -> Result<Vec<KeyPackage>> {
        self.drop_expired_packages();
        (0..count).map(|_| self.new_package(false, Timestamp(0))).collect()
    }

    /// See [`Client::last_resort_package`](super::Client::last_resort_package).
    pub fn last_resort_package(&mut self) -> Result<KeyPackage> {
        self.drop_expired_packages();
        self.new_package(true, Timestamp(0))
    }

    /// See [`Client::replace_key_packages`](super::Client::replace_key_packages).
    pub fn replace_key_packages(&mut self, count: u16) -> Result<Vec<KeyPackage>> {
        let mut unused: Vec<LeafHash> = self.memory.packages.keys().copied().collect();
        // The answer to an open request to be readmitted comes by its package.
        for group in self.memory.groups.clone() {
            let asked = &self.memory.session(self.store, group)?.cursor.rejoin;
            unused.retain(|id| !asked.contains(id));
        }
        unused.retain(|id| !self.memory.joins.contains_key(id));
        for id in unused {
            self.drop_package(&id);
        }
        self.key_packages(count)
    }

    /// A package that is valid from now on, but not before `earliest`.
    pub(super) fn new_package(&mut self, last_resort: bool, earliest: Timestamp) -> Result<KeyPackage> {
        let now = self.environment.now().max(earliest);
        let lifetime = if last_resort { limits::LAST_RESORT_LIFETIME } else { limits::KEY_PACKAGE_LIFETIME };
        self.package_for(Validity { not_before: now, not_after: now.after(lifetime) }, last_resort)
    }

    /// A package for this time, as far as the device's credential goes.
    pub(super) fn package_for(&mut self, validity: Validity, last_resort: bool) -> Result<KeyPackage> {
        let actor = self.memory.device.actor();
        let credential = actor.identity.credential().validity();
        let validity = Validity { not_after: validity.not_after.min(credential.not_after), ..validity };
        let options = PackageOptions { capabilities: actor.capabilities.clone(), validity, last_resort };
        let (package, secrets) = KeyPackage::create(actor.identity, actor.signer, options, self.environment.rng())?;
        let entry = PackageEntry { id: package.id(), not_after: validity.not_after, last_resort };
        let stored = StoredPackage { package, secrets, used: Vec::new() };
        self.changes.put(records::package(&entry.id), stored.record());
        self.memory.packages.insert(entry.id, entry);
        self.memory.save_packages(&mut self.changes);
        Ok(stored.package)
    }

    fn drop_expired_packages(&mut self) {
        // A welcome may still be under way for a day.
        let limit = self.environment.now().0.saturating_sub(24 * 60 * 60);
        let joins = &self.memory.joins;
        let expired = |entry: &&PackageEntry| entry.not_after.0 < limit && !joins.contains_key(&entry.id);
        let expired: Vec<LeafHash> = self.memory.packages.values().filter(expired).map(|entry| entry.id).collect();
        for id in expired {
            self.drop_package(&id);
        }
    }

    pub(super) fn drop_package(&mut self, id: &LeafHash) {
        self.changes.delete(records::package(id));
        self.memory.packages.remove(id);
        self.memory.save_packages(&mut self.changes);
    }

    /// A welcome: an invitation, or the answer to our request to be readmitted. Whether it let us in.
    ///
    /// A group that is already held is entered anew only by the package of our own request, and through a member we
    /// know from there: a group's id is its founder's choice, so another group may bear the same.
    pub(super) fn welcome(&mut self, entry: &LogEntry) -> Result<bool> {
        let EntryBody::Welcome { commit_header, commit_body, package: id, welcome } = &entry.body else {
            return Ok(false);
        };
        let held = self.memory.groups.contains(&entry.group);
        let asked = held && self.memory.session(self.store, entry.group)?.cursor.rejoin.contains(id);
        // Whoever lets us in where we have not asked uses a request of ours for something else.
        let elsewhere = self.memory.joins.get(id).is_some_and(|join| join.group != entry.group);
        let invited = held && self.memory.session(self.store, entry.group)?.status == Status::Invited;
        if !self.memory.packages.contains_key(id) || held && !asked && !invited || elsewhere {
            return Ok(false);
        }
        let Some(record) = self.load(&records::package(id))? else { return Ok(false) };
        let stored = StoredPackage::read(&record)?;
        let commit = (commit_header.as_slice(), commit_body.as_slice());
        let Ok(joined) = Group::join(welcome, &stored.package, &stored.secrets, commit) else { return Ok(false) };
        if joined.group.state.group != entry.group || stored.used.contains(&joined.welcome) {
            return Ok(false);
        }
        let seen = entry_hash(commit_header, commit_body);
        if asked {
            if !self.is_readmission(entry.group, &joined)? {
                return Ok(false);
            }
            self.settle_package(stored, joined.welcome);
            self.rejoin((entry.seq, seen), joined)?;
        } else {
            let consented = self.has_consented(&joined, &stored.package.id())?;
            // What the user was shown, and may be about to accept, gives way to nothing that asks again.
            if held && !consented {
                return Ok(false);
            }
            if held {
                self.give_way(entry.group)?;
            }
            self.settle_package(stored, joined.welcome);
            self.join((entry.seq, seen), joined, consented)?;
        }
        Ok(true)
    }

    /// Whether whoever let us back in was a member, with the same identity, in the state that we hold.
    fn is_readmission(&mut self, group: GroupId, joined: &Joined) -> Result<bool> {
        let known = &self.memory.session(self.store, group)?.group.state;
        let (inviter, _) = joined.group.state.member(joined.inviter)?;
        let same = known.user(inviter.user()).is_some_and(|user| user.identity == *inviter.identity_key());
        Ok(joined.readmitted && same)
    }

    /// Whether our user has consented to what a welcome to `package` leads to: asked the link's opener for it, or certified
    /// the device that adds us.
    fn has_consented(&mut self, joined: &Joined, package: &LeafHash) -> Result<bool> {
        let asked = !joined.readmitted && self.is_answered(joined, package)?;
        Ok(asked || self.consents_to(joined.group.state.member(joined.inviter)?.0))
    }

    /// Erases a group that we hold as an invitation only, so that nobody shuts us out by a group under the same id.
    fn give_way(&mut self, group: GroupId) -> Result<()> {
        self.memory.session(self.store, group)?;
        if let Some(mut old) = self.memory.sessions.remove(&group) {
            old.forget(&mut self.changes);
        }
        Ok(())
    }

    /// A one-time package's keys are erased; one that lives on remembers the welcome as long as it does: a last resort, and
    /// that of a request of ours, until the user is in.
    fn settle_package(&mut self, mut stored: StoredPackage, welcome: EnvelopeId) {
        let id = stored.package.id();
        let lives = stored.package.last_resort() || self.memory.joins.contains_key(&id);
        if lives && stored.used.len() < REMEMBERED {
            stored.used.push(welcome);
            self.changes.put(records::package(&id), stored.record());
        } else {
            self.drop_package(&id);
        }
    }

    /// Enters a group that this device was added to: as an invitation, unless its user has consented already.
    fn join(&mut self, (seq, seen): (u64, Hash), joined: Joined, consented: bool) -> Result<()> {
        let state = &joined.group.state;
        let inviter = state.member(joined.inviter)?.0;
        let users = u32::try_from(state.users.len()).unwrap_or(u32::MAX);
        let (by, info) = (inviter.user().clone(), state.info().clone());
        let (status, what) = if consented {
            (Status::Active, EventKind::Joined { by, info, users })
        } else {
            (Status::Invited, EventKind::Invitation { by, info, users })
        };
        let cursor = Cursor::after(seq, seen, self.environment.now());
        let session = self.enter(joined, status, cursor);
        let group = session.id();
        self.emit(group, seq, what);
        self.check_pins(&session, seq, consented)?;
        if consented {
            self.drop_joins_of(group);
        }
        self.keep(session);
        Ok(())
    }

    /// Comes back into a group: the old state is erased, and what was queued goes out again.
    fn rejoin(&mut self, (seq, seen): (u64, Hash), joined: Joined) -> Result<()> {
        let by = joined.group.state.member(joined.inviter)?.0.user().clone();
        let group = joined.group.state.group;
        self.memory.session(self.store, group)?;
        let Some(mut old) = self.memory.sessions.remove(&group) else { return Ok(()) };
        old.forget(&mut self.changes);
        let signs: Vec<u64> = old.own_signs().collect();
        let mut cursor = Cursor::after(seq, seen, self.environment.now());
        // Rows keep their numbers, by which the app knows its intents.
        (cursor.first_row, cursor.next_row) = (old.cursor.next_row, old.cursor.next_row);
        // Another member may have readmitted us by another request of ours.
        cursor.rejoin = core::mem::take(&mut old.cursor.rejoin);
        cursor.rejoin.retain(|id| self.memory.packages.contains_key(id));
        let (parent, known) = (joined.parent, old.group.state.transcript);
        let mut session = self.enter(joined, Status::Active, cursor);
        session.doorbook = core::mem::take(&mut old.doorbook);
        session.save_doorbook(&mut self.changes);
        for (number, row) in old.queue {
            let row = match row {
                // The commit that let us in leads on from our epoch: what came back in that has counted.
                row @ Row::Message { echo: Some(_), .. } if parent == known => {
                    self.emit_sent(&session, row);
                    continue;
                }
                Row::Message { content, id, .. } if !signs.contains(&number) => {
                    Row::Message { content, id, sealed: None, echo: None }
                }
                Row::Change(change) => Row::Change(change),
                // Whom to revoke is found out anew.
                Row::Message { .. }
                | Row::Create
                | Row::TakeOut { .. }
                | Row::Admit { .. }
                | Row::Revoke(_)
                | Row::Request(_)
                | Row::Answer { .. } => continue,
            };
            session.restore_row(number, row, &mut self.changes);
        }
        self.emit(group, seq, EventKind::Rejoined { by });
        self.check_pins(&session, seq, true)?;
        self.keep(session);
        Ok(())
    }

    /// Whoever comes in by a last-resort package, whose keys live on, heals at once.
    fn enter(&mut self, joined: Joined, status: Status, cursor: Cursor) -> Session {
        let Joined { group, chains, inviter, .. } = joined;
        let last_resort = |leaf: &Leaf| matches!(leaf.source(), Source::Package { last_resort: true, .. });
        let heal = group.own_leaf().is_ok_and(last_resort);
        let seen = cursor.seen;
        let transition = Transition { group, chains, by: inviter, changes: Vec::new(), seen };
        let mut session = Session::enter(transition, status, cursor, &mut self.changes);
        if heal {
            session.push_row(Row::Change(Change::Heal), &mut self.changes);
        }
        session
    }

    /// See [`Client::answer`](super::Client::answer).
    pub fn answer(&mut self, group: GroupId, answer: Answer) -> Result<()> {
        self.with(group, |draft, session| {
            if session.status != Status::Invited {
                return Err(Error::misuse("there is no open invitation to this group"));
            }
            session.status = Status::Active;
            session.save_group(&mut draft.changes);
            match answer {
                Answer::Accept => {
                    draft.drop_joins_of(group);
                    draft.check_pins(session, session.cursor.last_commit, true)?;
                }
                Answer::Decline => {
                    draft.withdraw_all(group)?;
                    draft.leave(session, LeaveScope::Device)?;
                }
            }
            Ok(())
        })
    }

    /// See [`Client::forget`](super::Client::forget).
    pub fn forget(&mut self, group: GroupId) -> Result<()> {
        self.with(group, |draft, session| {
            session.forget(&mut draft.changes);
            draft.memory.groups.remove(&group);
            draft.memory.save_groups(&mut draft.changes);
            Ok(())
        })
    }
}

impl StoredPackage {
    fn record(&self) -> Vec<u8> {
        let Self { package, secrets: KeyPackageSecrets { signing, seal, init }, used } = self;
        records::encode(5, |w| {
            w.bytes(&package.to_bytes()).bytes(signing.expose_seed()).bytes(seal.expose().expose());
            w.bytes(init.expose().expose()).list(used.iter());
        })
    }

    fn read(record: &[u8]) -> Result<Self> {
        records::decode(record, 5, |r| {
            let package = UnverifiedKeyPackage::decode(r.bytes(usize::MAX)?)?;
            let secrets = KeyPackageSecrets {
                signing: SigningKey::from_seed(Secret::<32>::copy_from(r.fixed_ref()?).expose()),
                seal: SealSecret::from_secret(Secret::copy_from(r.fixed_ref()?)),
                init: InitSecret::from_secret(Secret::copy_from(r.fixed_ref()?)),
            };
            Ok(Self { package: package.assume_verified(), secrets, used: r.list(REMEMBERED)? })
        })
    }
}
