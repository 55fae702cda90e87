//! This device and the others of its user: adding one everywhere, and revoking one everywhere (`docs/protocol.md`,
//! section 3.8).

use std::collections::{BTreeMap, BTreeSet};

use super::Client;
use super::change::Change;
use super::event::IntentId;
use super::queue::Row;
use super::records;
use super::session::Session;
use super::stage::Draft;
use super::standing::Status;
use crate::error::{Error, ErrorKind, Result};
use crate::group::GroupState;
use crate::identity::{LAST_SERIAL, Leaf, UnverifiedKeyPackage, UserUri};
use crate::ids::{DeviceId, GroupId};
use crate::limits;
use crate::store::ChangeSet;

/// How much larger than all other serials the least of a group may be to be believed: so no founder of a group can use up
/// the serials of a user who enters it.
const SERIAL_JUMP: u64 = 1 << 32;

/// A device of this device's own user, as the groups that this device reads show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnDevice {
    /// Which.
    pub device: DeviceId,
    /// The largest serial of a certificate of it.
    pub serial: u64,
    /// The groups that it is in.
    pub groups: Vec<GroupId>,
    /// The groups that it is not in, and this device is.
    pub missing: Vec<GroupId>,
}

/// How far a revoked device is out.
///
/// While a group remains, what the app says there waits, since the device could read it: if that lasts, this device's
/// commits do not count there, mostly because its credential or the app key under it has run out, or the group does not list
/// the root. [Renew](Client::renew) it then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokedDevice {
    /// Which device.
    pub device: DeviceId,
    /// The groups in which it still is, as far as this device has read. Empty: it is out everywhere.
    pub remaining: Vec<GroupId>,
}

impl Client {
    /// Every device of this device's user that is in one of the groups this device reads, and this one, whose groups are all
    /// of them. A device that was linked and not added anywhere yet is not among them.
    pub fn own_devices(&mut self) -> Result<Vec<OwnDevice>> {
        self.run(|draft| draft.own_devices()).map(|saved| saved.value)
    }

    /// The serial for the next certificate that the user's identity key makes: above all that this device has seen of its
    /// user's, in any group, and all that it has given. Durable, so no two calls give the same.
    ///
    /// It takes one device for what all certify. Whoever keeps the identity key on two devices keeps a counter of their own,
    /// and takes the larger.
    pub fn next_serial(&mut self) -> Result<u64> {
        self.run(|draft| draft.next_serial()).map(|saved| saved.value)
    }

    /// Queues the adding of another device of this user to every group that this device is in and the other is not; gives
    /// the groups, each with its intent. Call it with key packages of that device, one for each group that
    /// [`own_devices`](Self::own_devices) says is missing; what is left over stays unused. Passed over are groups where the
    /// adding is queued already, and those that would refuse it: that do not list the app, or have revoked certificates as
    /// old as this device's.
    ///
    /// All of it is one transaction. Fails with `Misuse` if there is no package, or if they are not all of one other device
    /// of this user, with `Limit` if there are fewer packages than groups, with `NotAllowed` if the device is revoked or
    /// its certificate is older than a revocation in every group that is left, and as [`change`](Self::change) does.
    pub fn add_device(&mut self, packages: Vec<UnverifiedKeyPackage>) -> Result<Vec<(GroupId, IntentId)>> {
        self.run(|draft| draft.add_device(packages)).map(|saved| saved.value)
    }

    /// Takes another device of this user out of every group it is in, now and whenever it turns up again, until the end of
    /// this store. [`revoked_devices`](Self::revoked_devices) tells how far that is; it goes on with every
    /// [`outbox`](Self::outbox), across restarts and lost races. What waits in the outbox goes out only after the commit,
    /// however long that takes. Queued changes that would let the device in are dropped
    /// ([`IntentDropped`](super::EventKind::IntentDropped)), and it brings this one into no group unasked any more.
    /// From then on the device can neither read nor post, and no certificate as old as its own lets it or another back in:
    /// certify the devices that stay [anew](Self::next_serial), and [`renew`](Self::renew) them, before they enter further
    /// groups.
    ///
    /// **Whoever holds the device can do the same to this one.** What the identity key
    /// [signs](crate::identity::IdentityKey::revoke_device) any member can take up instead, by
    /// [`Change::Revoke`]. Whoever also has the identity key can link others: have the app revoke the
    /// user then. Fails with `Misuse` for the device in use, and with `Limit` if
    /// [`limits::REVOKED_DEVICES`] are revoked already.
    pub fn revoke_device(&mut self, device: DeviceId) -> Result<RevokedDevice> {
        self.run(|draft| draft.revoke_device(device)).map(|saved| saved.value)
    }

    /// The revoked devices, and where each of them still is.
    pub fn revoked_devices(&mut self) -> Result<Vec<RevokedDevice>> {
        self.run(|draft| draft.revoked_devices()).map(|saved| saved.value)
    }
}

/// What is remembered of one's own devices beside the groups.
#[derive(Debug, Default)]
pub(super) struct OwnDevices {
    /// The last serial given.
    serial: u64,
    revoked: BTreeSet<DeviceId>,
}

impl OwnDevices {
    pub(super) fn read(record: &[u8]) -> Result<Self> {
        records::decode(record, 2, |r| {
            Ok(Self { serial: r.u64()?, revoked: r.list(limits::REVOKED_DEVICES)?.into_iter().collect() })
        })
    }

    pub(super) fn has_revoked(&self) -> bool {
        !self.revoked.is_empty()
    }

    /// Remembers a serial that another device of ours has, so that the next one given is above it.
    fn outlive(&mut self, serial: u64, changes: &mut ChangeSet) {
        if serial > self.serial {
            self.serial = serial;
            self.save(changes);
        }
    }

    fn save(&self, changes: &mut ChangeSet) {
        let record = records::encode(2, |w| {
            w.uint(self.serial).list(self.revoked.iter());
        });
        changes.put(records::own_devices(), record);
    }
}

impl Draft<'_> {
    /// See [`Client::own_devices`].
    pub fn own_devices(&mut self) -> Result<Vec<OwnDevice>> {
        let own = self.memory.device.identity();
        let mut devices = BTreeMap::from([(own.device(), (own.certificate().serial(), BTreeSet::new()))]);
        let mut all = BTreeSet::new();
        for group in self.memory.groups.clone() {
            let session = self.memory.session(self.store, group)?;
            if !session.status.reads() {
                continue;
            }
            all.insert(group);
            for (device, serial) in own_leaves(session) {
                let (known, groups) = devices.entry(device).or_insert((serial, BTreeSet::new()));
                *known = serial.max(*known);
                groups.insert(group);
            }
        }
        let told = |(device, (serial, groups)): (DeviceId, (u64, BTreeSet<GroupId>))| OwnDevice {
            device,
            serial,
            missing: all.difference(&groups).copied().collect(),
            groups: groups.into_iter().collect(),
        };
        Ok(devices.into_iter().map(told).collect())
    }

    /// See [`Client::next_serial`].
    pub fn next_serial(&mut self) -> Result<u64> {
        let mut last = self.memory.own.serial.max(self.memory.device.identity().certificate().serial());
        for group in self.memory.groups.clone() {
            let session = self.memory.session(self.store, group)?;
            last = own_leaves(session).map(|(_, serial)| serial).fold(last, u64::max);
            // The least that the group takes is one more than the last that it does not. A founder can make it up.
            let refused = least_serial(session).saturating_sub(1);
            if refused.saturating_sub(last) <= SERIAL_JUMP {
                last = last.max(refused);
            }
        }
        if last >= LAST_SERIAL {
            return Err(Error::limit("this identity has no serials left: take another"));
        }
        let next = last.saturating_add(1);
        self.memory.own.serial = next;
        self.memory.own.save(&mut self.changes);
        Ok(next)
    }

    /// See [`Client::add_device`].
    pub fn add_device(&mut self, packages: Vec<UnverifiedKeyPackage>) -> Result<Vec<(GroupId, IntentId)>> {
        let (first, now) = (self.check_packages(&packages)?, self.environment.now());
        let claims = first.leaf().claims();
        let (mut missing, mut too_old) = (Vec::new(), false);
        for group in self.memory.groups.clone() {
            self.memory.session(self.store, group)?;
            let Some(session) = self.memory.sessions.get(&group) else { continue };
            let open = session.status == Status::Active && self.may_heal(session);
            if !open || has_own(session, claims.device()) || is_being_added(session, claims.device()) {
                continue;
            }
            // No founder of one group can stop the device from being added to the others.
            if claims.serial() < least_serial(session) {
                too_old = true;
            } else if first.check_claims(&session.group.state.policy.apps, now).is_ok() {
                missing.push(group);
            }
        }
        if too_old && missing.is_empty() {
            return Err(Error::not_allowed(
                "the groups have revoked certificates as old as this device's: certify it with the next serial first",
            ));
        }
        if packages.len() < missing.len() {
            return Err(Error::limit(
                "fewer key packages than groups to add the device to: fetch as many as are missing",
            ));
        }
        let added = missing.into_iter().zip(packages);
        added.map(|(group, package)| Ok((group, self.change(group, Change::Add(vec![package]))?))).collect()
    }

    /// The one with the oldest certificate, if all are of one other device of our own user.
    fn check_packages(&self, packages: &[UnverifiedKeyPackage]) -> Result<UnverifiedKeyPackage> {
        let own = self.memory.device.identity();
        let oldest = packages.iter().min_by_key(|package| package.leaf().claims().serial());
        let first = oldest.ok_or(Error::misuse("there is no key package: fetch some of the new device"))?;
        let device = first.leaf().claims().device();
        let is_ours = |package: &UnverifiedKeyPackage| {
            let claims = package.leaf().claims();
            claims.user() == own.user() && claims.identity_key() == own.identity_key() && claims.device() == device
        };
        if !packages.iter().all(is_ours) || device == own.device() {
            return Err(Error::misuse("these key packages are not all of one other device of this user"));
        }
        if packages.iter().map(UnverifiedKeyPackage::id).collect::<BTreeSet<_>>().len() < packages.len() {
            return Err(Error::misuse("a key package is given twice: each adds to one group"));
        }
        if self.memory.own.revoked.contains(&device) {
            return Err(Error::not_allowed("this device is revoked: link it anew"));
        }
        Ok(first.clone())
    }

    /// See [`Client::revoke_device`].
    pub fn revoke_device(&mut self, device: DeviceId) -> Result<RevokedDevice> {
        if device == self.memory.device.identity().device() {
            return Err(Error::misuse("this is the device in use: revoke it from another, or leave its groups"));
        }
        let revoked = &mut self.memory.own.revoked;
        if !revoked.contains(&device) && revoked.len() >= limits::REVOKED_DEVICES {
            return Err(Error::limit("more devices are revoked than a device remembers: enrol it anew"));
        }
        revoked.insert(device);
        self.memory.own.save(&mut self.changes);
        for group in self.memory.groups.clone() {
            self.with(group, |draft, session| {
                let serials = own_leaves(session).map(|(_, serial)| serial);
                draft.memory.own.outlive(serials.max().unwrap_or_default(), &mut draft.changes);
                draft.drop_what_lets_in(session);
                draft.queue_revocations(session);
                Ok(())
            })?;
        }
        Ok(RevokedDevice { device, remaining: self.groups_of(device)? })
    }

    /// See [`Client::revoked_devices`].
    pub fn revoked_devices(&mut self) -> Result<Vec<RevokedDevice>> {
        let revoked: Vec<DeviceId> = self.memory.own.revoked.iter().copied().collect();
        revoked.into_iter().map(|device| Ok(RevokedDevice { device, remaining: self.groups_of(device)? })).collect()
    }

    /// The groups in which a device of ours is, in any status but a stopped one.
    fn groups_of(&mut self, device: DeviceId) -> Result<Vec<GroupId>> {
        let mut groups = Vec::new();
        for group in self.memory.groups.clone() {
            let session = self.memory.session(self.store, group)?;
            if (session.status.reads() || session.status == Status::Invited) && has_own(session, device) {
                groups.push(group);
            }
        }
        Ok(groups)
    }

    /// Queues the taking out of revoked devices that are in this group: with every outbox, so that neither a crash nor a
    /// lost race, nor a commit that brings one back, nor a group that is entered later is missed. A credential that has run
    /// out could only make commits that count for nothing, and waits to be renewed.
    pub(super) fn queue_revocations(&mut self, session: &mut Session) {
        let revoked = &self.memory.own.revoked;
        let rests = session.rests(self.environment.now());
        if revoked.is_empty() || session.status != Status::Active || rests || !self.may_heal(session) {
            return;
        }
        let queued = |device| session.queue.values().any(|row| matches!(row, Row::Revoke(of) if *of == device));
        let devices = own_leaves(session).map(|(device, _)| device);
        let due: Vec<DeviceId> = devices.filter(|device| revoked.contains(device) && !queued(*device)).collect();
        for device in due {
            session.push_row(Row::Revoke(device), &mut self.changes);
        }
    }

    /// Whether a revoked device of ours is still in a group, and reads what is said there.
    pub(super) fn is_overheard(&self, session: &Session) -> bool {
        self.memory.own.has_revoked()
            && own_leaves(session).any(|(device, _)| self.memory.own.revoked.contains(&device))
    }

    /// Whether being added by this leaf is our user's own doing: the identity key has certified both devices, and has not
    /// taken the other's certificate back as far as this device knows. Who stole a device could bring us among strangers. A
    /// group that cannot be read might say so, and a least serial far ahead is its founder's invention.
    pub(super) fn consents_to(&mut self, leaf: &Leaf) -> bool {
        let own = self.memory.device.identity();
        let ours = leaf.user() == own.user() && leaf.identity_key() == own.identity_key();
        if !ours || self.memory.own.revoked.contains(&leaf.device()) {
            return false;
        }
        self.memory.groups.clone().into_iter().all(|group| {
            let Ok(session) = self.memory.session(self.store, group) else { return false };
            let outdated_by = least_serial(session).saturating_sub(leaf.serial());
            !session.status.reads() || outdated_by == 0 || outdated_by > SERIAL_JUMP
        })
    }

    /// Remembers the serials of our devices that a commit takes out, before it does, and those that it refuses from then on.
    /// The identity key has signed both, so nobody makes them up.
    pub(super) fn outlive_removed(&mut self, session: &Session, next: &GroupState) {
        let user = self.memory.device.identity().user();
        let stays = |device| next.leaves_of(user).any(|(_, leaf)| leaf.device() == device);
        let gone = own_leaves(session).filter(|(device, _)| !stays(*device)).map(|(_, serial)| serial).max();
        let least = next.users.get(user).map_or(0, |user| user.least_serial);
        let refused = if least > least_serial(session) { least.saturating_sub(1) } else { 0 };
        self.memory.own.outlive(gone.unwrap_or_default().max(refused), &mut self.changes);
    }

    /// Fails if a change would let in a device that its user has revoked.
    pub(super) fn refuse_revoked(&self, change: &Change) -> Result<()> {
        let is_revoked = |user: &UserUri, device| {
            user == self.memory.device.identity().user() && self.memory.own.revoked.contains(&device)
        };
        let refused = match change {
            Change::Add(packages) => packages.iter().any(|package| {
                let claims = package.leaf().claims();
                is_revoked(claims.user(), claims.device())
            }),
            Change::Readmit(request) => {
                let claims = request.package().leaf().claims();
                is_revoked(claims.user(), claims.device())
            }
            Change::Admit(request) => is_revoked(request.user(), request.device()),
            _ => false,
        };
        if refused { Err(Error::not_allowed("this device is revoked: link it anew")) } else { Ok(()) }
    }

    /// Drops what is queued and would let a revoked device in. A commit that is under way may be in the log already: it
    /// goes on, and the device is taken out again.
    fn drop_what_lets_in(&mut self, session: &mut Session) {
        let pending = session.pending.as_ref().map(|pending| pending.row);
        let lets_in = |row: &Row| match row {
            Row::Change(change) => self.refuse_revoked(change).is_err(),
            Row::Admit { request, .. } => self.refuse_revoked(&Change::Admit(request.clone())).is_err(),
            _ => false,
        };
        let rows = session.queue.iter().filter(|(number, row)| Some(**number) != pending && lets_in(row));
        let due: Vec<u64> = rows.map(|(number, _)| *number).collect();
        for number in due {
            if let Some(row) = session.drop_row(number, &mut self.changes) {
                self.dropped(session, session.cursor.next, (number, &row), ErrorKind::NotAllowed);
            }
            session.save_cursor(&mut self.changes);
        }
    }
}

/// The devices of this device's user in a group, with their certificates' serials. The group has one identity key for each
/// user, so they are all of ours.
fn own_leaves(session: &Session) -> impl Iterator<Item = (DeviceId, u64)> {
    let user = session.group.own_leaf().ok().map(|own| own.user());
    let leaves = user.into_iter().flat_map(|user| session.group.state.leaves_of(user));
    leaves.map(|(_, leaf)| (leaf.device(), leaf.serial()))
}

/// Whether a device of this device's user is in a group.
pub(super) fn has_own(session: &Session, device: DeviceId) -> bool {
    own_leaves(session).any(|(of, _)| of == device)
}

fn least_serial(session: &Session) -> u64 {
    let user = session.group.own_leaf().ok().and_then(|own| session.group.state.users.get(own.user()));
    user.map_or(0, |user| user.least_serial)
}

fn is_being_added(session: &Session, device: DeviceId) -> bool {
    session.queue.values().any(|row| match row {
        Row::Change(Change::Add(packages)) => packages.iter().any(|package| package.leaf().claims().device() == device),
        _ => false,
    })
}
