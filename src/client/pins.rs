//! What a device remembers of others across groups: users' identity keys and apps' roots (`docs/protocol.md`,
//! section 3.6). The first one seen is kept; another is reported, every time, until the app accepts it. This device's own
//! user and app are known from its credential.

use super::event::EventKind;
use super::records;
use super::session::Session;
use super::stage::Draft;
use crate::crypto::sign::VerifyKey;
use crate::error::Result;
use crate::group::Effect;
use crate::identity::{AppDomain, UserUri};
use crate::store::RecordKey;

/// What is known of a user: the identity key, and whether it was compared with the user over another channel.
pub(super) struct Pin {
    pub(super) key: [u8; 32],
    pub(super) verified: bool,
}

impl Draft<'_> {
    /// Compares everyone in a group with what is known, and keeps what is new if `keep` says so.
    pub(super) fn check_pins(&mut self, session: &Session, seq: u64, keep: bool) -> Result<()> {
        for user in session.group.state.users.keys() {
            self.check_user(session, seq, user, keep)?;
        }
        self.check_roots(session, seq, keep)
    }

    /// Compares those whom a commit added, and the apps it listed.
    pub(super) fn check_changed_pins(&mut self, session: &Session, seq: u64, effects: &[Effect]) -> Result<()> {
        for effect in effects {
            match effect {
                Effect::Added(user, _) => self.check_user(session, seq, user, true)?,
                Effect::Policy(_) => self.check_roots(session, seq, true)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn check_user(&mut self, session: &Session, seq: u64, user: &UserUri, keep: bool) -> Result<()> {
        let Some(entry) = session.group.state.users.get(user) else { return Ok(()) };
        let own = self.memory.device.identity();
        let known = if user == own.user() {
            Some(Pin { key: *own.identity_key().as_bytes(), verified: true })
        } else {
            self.pin_of(user)?
        };
        match known {
            Some(Pin { key, verified }) if key != *entry.identity.as_bytes() => {
                self.emit(session.id(), seq, EventKind::IdentityChanged { user: user.clone(), verified });
            }
            None if keep => self.keep_user(user, Pin { key: *entry.identity.as_bytes(), verified: false }),
            _ => {}
        }
        Ok(())
    }

    fn check_roots(&mut self, session: &Session, seq: u64, keep: bool) -> Result<()> {
        let own = self.memory.device.identity();
        let (own_domain, own_root) = (own.user().domain().clone(), *own.credential().root().as_bytes());
        for app in session.group.state.policy.apps.apps() {
            let roots: Vec<[u8; 32]> = app.roots().iter().map(|root| *root.as_bytes()).collect();
            let name = records::pin_app(app.domain());
            let expected = match self.pinned(&name)? {
                None if *app.domain() == own_domain => Some(vec![own_root]),
                pinned => pinned,
            };
            match expected {
                Some(known) if !roots.iter().all(|root| known.contains(root)) => {
                    self.emit(session.id(), seq, EventKind::RootChanged { domain: app.domain().clone() });
                }
                None if keep => self.keep_pin(name, &roots),
                _ => {}
            }
        }
        Ok(())
    }

    /// See [`Client::accept_identity`](super::Client::accept_identity).
    pub fn accept_identity(&mut self, user: &UserUri, key: &VerifyKey) -> Result<()> {
        let known = self.pin_of(user)?;
        // Verified is a key, not a user: another one has to be compared again.
        let verified = known.is_some_and(|known| known.verified && known.key == *key.as_bytes());
        self.keep_user(user, Pin { key: *key.as_bytes(), verified });
        Ok(())
    }

    /// The identity key that this device knows of another user.
    pub(super) fn pin_of(&self, user: &UserUri) -> Result<Option<Pin>> {
        let record = self.load(&records::pin_user(user))?;
        record
            .map(|record| records::decode(&record, 2, |r| Ok(Pin { key: r.fixed()?, verified: r.bool()? })))
            .transpose()
    }

    pub(super) fn keep_user(&mut self, user: &UserUri, Pin { key, verified }: Pin) {
        let record = records::encode(2, |w| {
            w.bytes(&key).bool(verified);
        });
        self.changes.put(records::pin_user(user), record);
    }

    /// See [`Client::accept_roots`](super::Client::accept_roots).
    pub fn accept_roots(&mut self, domain: &AppDomain, roots: &[VerifyKey]) {
        let roots: Vec<[u8; 32]> = roots.iter().map(|root| *root.as_bytes()).collect();
        self.keep_pin(records::pin_app(domain), &roots);
    }

    fn pinned(&self, name: &RecordKey) -> Result<Option<Vec<[u8; 32]>>> {
        let record = self.load(name)?;
        record
            .map(|record| {
                records::decode(&record, 1, |r| {
                    let count = r.array_up_to(usize::MAX)?;
                    (0..count).map(|_| r.fixed()).collect()
                })
            })
            .transpose()
    }

    fn keep_pin(&mut self, name: RecordKey, keys: &[[u8; 32]]) {
        let record = records::encode(1, |w| {
            w.array(keys.len());
            for key in keys {
                w.bytes(key);
            }
        });
        self.changes.put(name, record);
    }
}
