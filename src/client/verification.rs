//! Whom the user of this device has made sure of (`docs/protocol.md`, section 3.6).

use super::Client;
use super::pins::Pin;
use super::stage::Draft;
use crate::crypto::sign::VerifyKey;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{QrComparison, UserUri};
use crate::ids::GroupId;

/// How sure this device is of another user.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verification {
    /// This device has not met the user, in any group it has accepted.
    Unknown,
    /// The identity key is the first one seen, on the word of the user's app. Nobody has compared it.
    Pinned,
    /// The identity key was compared with the user over another channel.
    Verified,
    /// Some groups have the user with another identity key, which was not accepted. Warn in these groups; nothing is
    /// blocked.
    Changed {
        /// Whether the key that this device knows was compared.
        was_verified: bool,
        /// The groups with another key.
        groups: Vec<GroupId>,
    },
}

impl Client {
    /// Compares the code that the other user shows with this group's identity keys, and marks the user's as verified if it
    /// [matches](QrComparison::Match): the key is then also the one accepted, whatever was known before. Any other outcome
    /// changes nothing.
    ///
    /// The mark is of the key and of this device. It lasts across groups and restarts, until another key is accepted or
    /// [`unverify`](Self::unverify) is called. Fails with `UnknownGroup`, with `NotMember` if the user is not in the group,
    /// with `Misuse` for this device's own user, and as [`SafetyNumber::compare_qr`](crate::identity::SafetyNumber::compare_qr).
    pub fn verify_user(&mut self, group: &GroupId, user: &UserUri, scanned: &[u8]) -> Result<QrComparison> {
        let view = self.group(group)?;
        let comparison = view.safety_number(user)?.compare_qr(scanned)?;
        let theirs = view.state().user(user).map(|theirs| theirs.identity.clone());
        if let (QrComparison::Match, Some(key)) = (comparison, theirs) {
            self.mark_verified(user, &key)?;
        }
        Ok(comparison)
    }

    /// Marks `key`, whose safety number was compared digit by digit, as the user's and as verified. Take it from the group
    /// whose [`safety_number`](super::GroupView::safety_number) was compared: [`User::identity`](crate::group::User) of its
    /// [`state`](super::GroupView::state), and from the same reading of it. `Misuse` for this device's own user.
    pub fn mark_verified(&mut self, user: &UserUri, key: &VerifyKey) -> Result<()> {
        self.run(|draft| draft.mark_verified(user, key)).map(|saved| saved.value)
    }

    /// Takes the mark off a user. The identity key stays known. Nothing happens if there is no mark.
    pub fn unverify(&mut self, user: &UserUri) -> Result<()> {
        self.run(|draft| draft.unverify(user)).map(|saved| saved.value)
    }

    /// How sure this device is of another user, by its mark and by what the groups it reads show now. `Misuse` for this
    /// device's own user.
    ///
    /// A changed key blocks nothing: as in other messengers, most changes are a lost phone, and whether to hold messages
    /// back, for a verified user say, is the app's to decide.
    pub fn verification(&mut self, user: &UserUri) -> Result<Verification> {
        self.run(|draft| draft.verification(user)).map(|saved| saved.value)
    }
}

impl Draft<'_> {
    /// See [`Client::mark_verified`].
    pub fn mark_verified(&mut self, user: &UserUri, key: &VerifyKey) -> Result<()> {
        self.other(user)?;
        self.keep_user(user, Pin { key: *key.as_bytes(), verified: true });
        Ok(())
    }

    /// See [`Client::unverify`].
    pub fn unverify(&mut self, user: &UserUri) -> Result<()> {
        if let Some(pin) = self.pin_of(user)? {
            self.keep_user(user, Pin { verified: false, ..pin });
        }
        Ok(())
    }

    /// See [`Client::verification`].
    pub fn verification(&mut self, user: &UserUri) -> Result<Verification> {
        self.other(user)?;
        let Some(Pin { key, verified }) = self.pin_of(user)? else { return Ok(Verification::Unknown) };
        let mut groups = Vec::new();
        for group in self.memory.groups.clone() {
            let session = self.memory.session(self.store, group)?;
            let other = session.group.state.users.get(user).is_some_and(|theirs| *theirs.identity.as_bytes() != key);
            if session.status.reads() && other {
                groups.push(group);
            }
        }
        Ok(match (groups.is_empty(), verified) {
            (false, was_verified) => Verification::Changed { was_verified, groups },
            (true, true) => Verification::Verified,
            (true, false) => Verification::Pinned,
        })
    }

    /// One's own identity key is that of the device's credential, and nothing to be compared.
    fn other(&self, user: &UserUri) -> Result<()> {
        if user == self.memory.device.identity().user() {
            return Err(Error::new(ErrorKind::Misuse, "this is the user of this device: verify another"));
        }
        Ok(())
    }
}
