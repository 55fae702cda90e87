//! The ways into a group: found it, be added, be readmitted (`docs/protocol.md`, section 5.5 and 5.7).

use super::change::Change;
use super::event::EventKind;
use super::memory::PackageEntry;
use super::records;
use super::session::{Cursor, Row, Session, Status};
use super::stage::Draft;
use crate::crypto::kem::{InitSecret, SealSecret};
use crate::crypto::sign::SigningKey;
use crate::envelope::EnvelopeId;
use crate::error::{Error, ErrorKind, Result};
use crate::group::{Group, GroupInfo, Joined, Policy, Transition};
use crate::identity::{KeyPackage, KeyPackageSecrets, PackageOptions, UnverifiedKeyPackage};
use crate::ids::{GroupId, LeafHash, Validity};
use crate::limits;
use crate::log::{EntryBody, LogEntry};
use crate::secret::Secret;
use crate::wire::Wire;

/// What to say to an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Join: from here on the group is read.
    Accept,
    /// Stay out: the others are asked to take this device out again.
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
        let mut session = Session::enter(created, Status::Active, Cursor::after(0, now), &mut self.changes);
        session.push_row(Row::Create, &mut self.changes);
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
        (0..count).map(|_| self.new_package(false)).collect()
    }

    /// See [`Client::last_resort_package`](super::Client::last_resort_package).
    pub fn last_resort_package(&mut self) -> Result<KeyPackage> {
        self.drop_expired_packages();
        self.new_package(true)
    }

    pub(super) fn new_package(&mut self, last_resort: bool) -> Result<KeyPackage> {
        let now = self.environment.now();
        let actor = self.memory.device.actor();
        let lifetime = if last_resort { limits::LAST_RESORT_LIFETIME } else { limits::KEY_PACKAGE_LIFETIME };
        let credential = actor.identity.credential().validity();
        let validity = Validity { not_before: now, not_after: now.after(lifetime).min(credential.not_after) };
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
        let expired: Vec<LeafHash> =
            self.memory.packages.values().filter(|entry| entry.not_after.0 < limit).map(|entry| entry.id).collect();
        for id in expired {
            self.drop_package(&id);
        }
    }

    fn drop_package(&mut self, id: &LeafHash) {
        self.changes.delete(records::package(id));
        self.memory.packages.remove(id);
        self.memory.save_packages(&mut self.changes);
    }

    /// A welcome: an invitation, or the answer to our request to be readmitted. Whether it let us in.
    pub(super) fn welcome(&mut self, entry: &LogEntry) -> Result<bool> {
        let EntryBody::Welcome { commit_header, commit_body, package: id, welcome } = &entry.body else {
            return Ok(false);
        };
        if !self.memory.packages.contains_key(id) {
            return Ok(false);
        }
        let old = self.stopped_session(entry.group)?;
        if self.memory.groups.contains(&entry.group) && old.is_none() {
            return Ok(false);
        }
        let Some(record) = self.load(&records::package(id))? else { return Ok(false) };
        let stored = StoredPackage::read(&record)?;
        let joined = Group::join(welcome, &stored.package, &stored.secrets, (commit_header, commit_body));
        let joined = joined
            .ok()
            .filter(|joined| joined.group.state.group == entry.group && !stored.used.contains(&joined.welcome));
        match joined {
            Some(joined) => {
                self.settle_package(stored, joined.welcome);
                self.join(entry.seq, joined, old)?;
                Ok(true)
            }
            None => {
                if let Some(old) = old {
                    self.memory.sessions.insert(entry.group, old);
                }
                self.emit(entry.group, entry.seq, EventKind::Void { entries: 1 });
                Ok(false)
            }
        }
    }

    /// The session of a group that we are out of, taken out of memory.
    fn stopped_session(&mut self, group: GroupId) -> Result<Option<Session>> {
        if !self.memory.groups.contains(&group) {
            return Ok(None);
        }
        let session = self.memory.session(self.store, group)?;
        if matches!(session.status, Status::Excluded | Status::RolledBack | Status::Removed) {
            return Ok(self.memory.sessions.remove(&group));
        }
        Ok(None)
    }

    /// A one-time package's keys are erased; a last-resort package remembers the welcome as long as it lives.
    fn settle_package(&mut self, mut stored: StoredPackage, welcome: EnvelopeId) {
        let id = stored.package.id();
        if stored.package.last_resort() && stored.used.len() < REMEMBERED {
            stored.used.push(welcome);
            self.changes.put(records::package(&id), stored.record());
        } else {
            self.drop_package(&id);
        }
    }

    fn join(&mut self, seq: u64, joined: Joined, old: Option<Session>) -> Result<()> {
        let Joined { group, chains, inviter, readmitted, .. } = joined;
        let by = group.state.member(inviter)?.0.user().clone();
        let heal = group
            .own_leaf()
            .is_ok_and(|leaf| matches!(leaf.source(), crate::identity::Source::Package { last_resort: true, .. }));
        // Readmission is what this device asked for; being added, even again, is for its user to answer.
        let (status, what) = if old.is_some() && readmitted {
            (Status::Active, EventKind::Rejoined { by })
        } else {
            let users = u32::try_from(group.state.users.len()).unwrap_or(u32::MAX);
            (Status::Invited, EventKind::Invitation { by, info: group.state.info.clone(), users })
        };
        let transition = Transition { group, chains, by: inviter, changes: Vec::new() };
        let mut cursor = Cursor::after(seq, self.environment.now());
        let mut queue = std::collections::BTreeMap::new();
        if let Some(mut old) = old {
            old.forget(&mut self.changes);
            queue = core::mem::take(&mut old.queue);
            // Rows keep their numbers, by which the app knows its intents.
            cursor.next_row = old.cursor.next_row;
            cursor.first_row = cursor.next_row;
        }
        let mut session = Session::enter(transition, status, cursor, &mut self.changes);
        for (number, row) in queue {
            match (row, status) {
                (row @ (Row::Message { .. } | Row::Change(_)), Status::Active) => {
                    session.restore_row(number, row, &mut self.changes);
                }
                (row @ (Row::Message { .. } | Row::Change(_)), _) => {
                    self.dropped(&session, seq, (number, &row), ErrorKind::NotMember);
                }
                (Row::Create | Row::TakeOut { .. } | Row::Request(_), _) => {}
            }
        }
        if heal {
            session.push_row(Row::Change(Change::Heal), &mut self.changes);
        }
        let known: Vec<_> = session.group.state.users.keys().cloned().collect();
        let group = session.id();
        for user in &known {
            self.pin(&session, seq, user)?;
        }
        self.keep(session);
        self.emit(group, seq, what);
        Ok(())
    }

    /// See [`Client::answer`](super::Client::answer).
    pub fn answer(&mut self, group: GroupId, answer: Answer) -> Result<()> {
        self.with(group, |draft, session| {
            if session.status != Status::Invited {
                return Err(Error::misuse("there is no open invitation to this group"));
            }
            session.status = Status::Active;
            match answer {
                Answer::Accept => session.save_group(&mut draft.changes),
                Answer::Decline => {
                    draft.leave(session)?;
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
                signing: SigningKey::from_seed(Secret::<32>::from_bytes(&mut r.fixed()?).expose()),
                seal: SealSecret::from_secret(Secret::from_bytes(&mut r.fixed()?)),
                init: InitSecret::from_secret(Secret::from_bytes(&mut r.fixed()?)),
            };
            Ok(Self { package: package.assume_verified(), secrets, used: r.list(REMEMBERED)? })
        })
    }
}
