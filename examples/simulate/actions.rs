//! What users and their devices do, one thing at a time.

use convivio::client::{Answer, Change, Status};
use convivio::group::{GroupInfo, Policy, Role};
use convivio::identity::{IdentityKey, UnverifiedKeyPackage};
use convivio::testing::{App, Fault};
use convivio::{GroupId, SigningKey};
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};

use super::device::Ran;
use super::history::{DeviceNo, History, Said};
use super::outcome::{Outcome, broken};
use super::world::{World, short};

impl World {
    /// One step of the history.
    pub(crate) fn act(&mut self) -> Outcome {
        self.step += 1;
        self.clock.advance(self.rng.random_range(0..20));
        self.land_late(false)?;
        let made_up = self.network.weather.made_up;
        if super::network::chance(&mut self.rng, made_up)
            && let Some(group) = self.any_group()
        {
            self.make_up(group)?;
        }
        let d = self.rng.random_range(0..self.devices.len());
        match self.rng.random_range(0..1_000) {
            0..200 => self.in_a_group(d, Self::say),
            200..560 => self.turn(d).map(drop),
            560..620 => self.post(d).map(drop),
            620..700 => {
                let max = self.rng.random_range(1..6);
                self.read(d, max).map(drop)
            }
            // Encrypts, and nothing reaches the hub.
            700..715 => self.outbox(d).map(drop),
            715..775 => self.devices[d].acknowledge(),
            775..845 => self.in_a_group(d, Self::change_something),
            845..895 => self.in_a_group(d, Self::answer),
            895..920 => self.in_a_group(d, Self::readmit),
            920..935 => self.in_a_group(d, Self::move_on),
            935..965 => {
                let fault = if self.rng.random() { Fault::Before } else { Fault::After };
                self.devices[d].store.fail(self.rng.random_range(1..6), fault);
                Ok(())
            }
            965..972 => {
                self.counts.restarts += 1;
                self.devices[d].restart()
            }
            972..978 => self.cut_off(),
            978..984 => {
                self.reopen_mailboxes();
                Ok(())
            }
            984..990 => self.pin_something(d),
            _ => {
                self.clock.advance(self.rng.random_range(20..1_200));
                Ok(())
            }
        }
    }

    fn any_group(&mut self) -> Option<GroupId> {
        let groups: Vec<GroupId> = self.ledger.histories.keys().copied().collect();
        groups.choose(&mut self.rng).copied()
    }

    fn in_a_group(&mut self, d: DeviceNo, act: impl FnOnce(&mut Self, DeviceNo, GroupId) -> Outcome) -> Outcome {
        let groups = self.groups(d)?;
        match groups.choose(&mut self.rng).copied() {
            Some(group) => act(self, d, group),
            None => Ok(()),
        }
    }

    /// Founds a group for all apps. Its log is open before anything can go wrong.
    pub(crate) fn found(&mut self, d: DeviceNo) -> Outcome<GroupId> {
        let apps: Vec<&App> = self.apps.iter().collect();
        let policy = App::policy(&apps).or_else(|error| broken(error.to_string()))?;
        let info = GroupInfo::new("Trip", "").or_else(|error| broken(error.to_string()))?;
        let group = self.devices[d].must(|client| client.create_group(policy.clone(), info.clone()))?;
        let view = self.devices[d].client.group(&group).or_else(|error| broken(error.to_string()))?;
        self.ledger.histories.insert(group, History::founded(view.state(), d));
        self.ledger.entered(group, d, 0)?;
        let name = self.devices[d].name.clone();
        self.note(format_args!("{name} founds {}", short(group)));
        self.turn(d)?;
        Ok(group)
    }

    pub(crate) fn say(&mut self, d: DeviceNo, group: GroupId) -> Outcome {
        let len = match self.rng.random_range(0..100) {
            0..80 => self.rng.random_range(0..60),
            80..98 => self.rng.random_range(60..2_000),
            _ => self.rng.random_range(2_000..65_000),
        };
        let mut content = format!("{} to {} at {}: ", self.devices[d].name, short(group), self.step).into_bytes();
        let start = content.len();
        content.resize(start + len, 0);
        self.rng.fill_bytes(&mut content[start..]);
        self.say_this(d, group, content)
    }

    pub(crate) fn say_this(&mut self, d: DeviceNo, group: GroupId, content: Vec<u8>) -> Outcome {
        let row = self.devices[d].next_row(group)?;
        let id = match self.devices[d].run(|client| client.send(&group, &content))? {
            Ran::Done(id) => id,
            Ran::Refused(_) => return Ok(()),
            Ran::Crashed => match self.devices[d].message_in(group, row)? {
                Some(id) => id,
                None => return Ok(()),
            },
        };
        let name = self.devices[d].name.clone();
        self.note(format_args!("{name} says {} ({} bytes) in {}", brief(&id.to_string()), content.len(), short(group)));
        self.counts.messages += 1;
        let life = self.ledger.lives.get(&(group, d)).copied().unwrap_or_default();
        let said =
            Said { by: d, content, life, counted: 0, counted_at: 0, misplaced: false, settled: false, dropped: false };
        self.ledger.history(group)?.said.insert(id, said);
        Ok(())
    }

    fn change_something(&mut self, d: DeviceNo, group: GroupId) -> Outcome {
        let history = self.ledger.history(group)?;
        let members: Vec<DeviceNo> = history.members().collect();
        let change = match self.rng.random_range(0..100) {
            0..30 => return self.add_someone(d, group),
            30..42 => {
                let Some(other) = members.choose(&mut self.rng) else { return Ok(()) };
                let role = *[Role::Reader, Role::Member, Role::Admin, Role::Admin, Role::Owner]
                    .choose(&mut self.rng)
                    .unwrap_or(&Role::Admin);
                Change::Role(self.devices[*other].user.clone(), role)
            }
            42..50 => {
                let Some(other) = members.choose(&mut self.rng) else { return Ok(()) };
                Change::Remove(self.devices[*other].user.clone())
            }
            50..56 => {
                let Some(other) = members.choose(&mut self.rng) else { return Ok(()) };
                Change::RemoveDevice(self.devices[*other].id)
            }
            56..64 => {
                let name = format!("Trip {}", self.step);
                Change::Info(GroupInfo::new(&name, "where to?").or_else(|error| broken(error.to_string()))?)
            }
            64..70 => Change::Policy(self.some_policy()?),
            70..76 => return self.leave(d, group),
            76..80 if self.status(d, group) != Some(Status::Active) => Change::Rejoin,
            _ => Change::Heal,
        };
        self.change(d, group, change)
    }

    fn some_policy(&mut self) -> Outcome<Policy> {
        let apps: Vec<&App> = self.apps.iter().collect();
        let mut policy = App::policy(&apps).or_else(|error| broken(error.to_string()))?;
        policy.post = if self.rng.random_bool(0.3) { Role::Reader } else { Role::Member };
        policy.info = if self.rng.random() { Role::Member } else { Role::Admin };
        policy.add = if self.rng.random() { Role::Member } else { Role::Admin };
        policy.heal_after = *[0, 3 * 60 * 60, 7 * 24 * 60 * 60].choose(&mut self.rng).unwrap_or(&0);
        Ok(policy)
    }

    /// Queues a change, and remembers under which row.
    pub(crate) fn change(&mut self, d: DeviceNo, group: GroupId, change: Change) -> Outcome {
        let row = self.devices[d].next_row(group)?;
        let asked = change.clone();
        let queued = match self.devices[d].run(|client| client.change(&group, asked))? {
            Ran::Done(intent) => {
                if intent.0 != row {
                    return broken(format!("an intent has row {intent:?} and not {row}"));
                }
                true
            }
            Ran::Refused(_) => false,
            Ran::Crashed => self.devices[d].next_row(group)? > row,
        };
        if queued {
            let name = self.devices[d].name.clone();
            self.note(format_args!("{name} wants in {}: {}", short(group), wish(&change)));
            self.counts.changes += 1;
            if matches!(change, Change::Leave)
                && let Some(place) = self.ledger.places.get_mut(&(group, d))
            {
                place.leaving = true;
            }
            if matches!(change, Change::Rejoin) {
                for id in self.devices[d].client.package_ids().or_else(|error| broken(error.to_string()))? {
                    self.ledger.packages.insert(id, d);
                }
            }
            self.intents.insert((group, d, row), change);
        }
        Ok(())
    }

    /// Someone leaves, unless so few are left that nobody could take them out.
    fn leave(&mut self, d: DeviceNo, group: GroupId) -> Outcome {
        let user = self.devices[d].user.clone();
        let history = self.ledger.history(group)?;
        let shared = history.shared(history.now()).clone();
        let staying = shared.leaves.values().filter(|other| {
            let leaving = self.ledger.places.get(&(group, **other)).is_none_or(|place| place.leaving);
            !leaving && self.devices[**other].user != user
        });
        if staying.count() < 3 || shared.role(&user) == Some(Role::Owner) {
            return Ok(());
        }
        self.change(d, group, Change::Leave)
    }

    /// One device adds another that is not in, by a package of its own.
    pub(crate) fn add_someone(&mut self, d: DeviceNo, group: GroupId) -> Outcome {
        let history = self.ledger.history(group)?;
        let members: Vec<DeviceNo> = history.members().collect();
        let mut others: Vec<DeviceNo> = (0..self.devices.len()).filter(|other| !members.contains(other)).collect();
        let mut packages = Vec::new();
        for _ in 0..self.rng.random_range(1..3) {
            if others.is_empty() {
                break;
            }
            let other = others.swap_remove(self.rng.random_range(0..others.len()));
            packages.push(self.package(other)?);
        }
        if packages.is_empty() {
            return Ok(());
        }
        self.change(d, group, Change::Add(packages))
    }

    pub(crate) fn package(&mut self, d: DeviceNo) -> Outcome<UnverifiedKeyPackage> {
        let last_resort = self.rng.random_bool(0.15);
        let package = self.devices[d].must(|client| {
            if last_resort { client.last_resort_package() } else { Ok(client.key_packages(1)?.remove(0)) }
        })?;
        self.ledger.packages.insert(package.id(), d);
        UnverifiedKeyPackage::try_from(&package).or_else(|error| broken(error.to_string()))
    }

    /// Invited users mostly accept.
    pub(crate) fn answer(&mut self, d: DeviceNo, group: GroupId) -> Outcome {
        if self.status(d, group) != Some(Status::Invited) {
            return Ok(());
        }
        let user = self.devices[d].user.clone();
        let decline = self.rng.random_bool(0.05) && {
            let history = self.ledger.history(group)?;
            history.shared(history.now()).role(&user) != Some(Role::Owner)
        };
        self.answer_with(d, group, if decline { Answer::Decline } else { Answer::Accept })
    }

    pub(crate) fn answer_with(&mut self, d: DeviceNo, group: GroupId, answer: Answer) -> Outcome {
        let answered = match self.devices[d].run(|client| client.answer(&group, answer))? {
            Ran::Done(()) => true,
            Ran::Refused(_) => false,
            Ran::Crashed => self.status(d, group) != Some(Status::Invited),
        };
        if answered {
            let name = self.devices[d].name.clone();
            self.note(format_args!("{name} answers the invitation to {}: {answer:?}", short(group)));
            if answer == Answer::Decline
                && let Some(place) = self.ledger.places.get_mut(&(group, d))
            {
                place.leaving = true;
            }
        }
        self.observe(d, &super::world::Lies::new())
    }

    /// A user who was asked lets a device back in.
    pub(crate) fn readmit(&mut self, d: DeviceNo, group: GroupId) -> Outcome {
        match self.requests.get_mut(&(group, d)).and_then(Vec::pop) {
            Some(request) => self.change(d, group, Change::Readmit(Box::new(request))),
            None => Ok(()),
        }
    }

    /// A user who is told that the others have gone on asks to be let back in; one who was taken out forgets the group.
    fn move_on(&mut self, d: DeviceNo, group: GroupId) -> Outcome {
        match self.status(d, group) {
            Some(Status::Removed) if self.is_out(group, d) => self.forget(d, group),
            Some(Status::Excluded | Status::Removed) => self.change(d, group, Change::Rejoin),
            _ => Ok(()),
        }
    }

    fn cut_off(&mut self) -> Outcome {
        let until = self.step + self.rng.random_range(20..200);
        let cut: Vec<DeviceNo> = (0..self.devices.len()).filter(|_| self.rng.random_bool(0.3)).collect();
        for d in &cut {
            self.network.cut[*d] = until;
        }
        self.counts.partitions += 1;
        self.note(format_args!("cut off until {until}: {cut:?}"));
        Ok(())
    }

    /// Apps put back the mailboxes of members that a void commit has dropped (`docs/protocol.md`, section 8.3).
    pub(crate) fn reopen_mailboxes(&mut self) {
        for (group, history) in &self.ledger.histories {
            for leaf in history.shared(history.now()).leaves.keys() {
                self.network.reopen(group, *leaf);
            }
        }
    }

    /// A device takes a wrong key for a user's, or other roots for an app's: it is told so, and judges no commit by it.
    fn pin_something(&mut self, d: DeviceNo) -> Outcome {
        if self.rng.random() {
            let (user, key) = (
                self.devices[self.rng.random_range(0..self.devices.len())].user.clone(),
                IdentityKey::generate(&mut self.rng),
            );
            self.devices[d].must(|client| client.accept_identity(&user, key.public()))
        } else {
            let domain = self.apps[self.rng.random_range(0..self.apps.len())].domain().clone();
            let key = SigningKey::generate(&mut self.rng);
            self.devices[d].must(|client| client.accept_roots(&domain, std::slice::from_ref(key.verify_key())))
        }
    }
}

fn wish(change: &Change) -> String {
    match change {
        Change::Add(packages) => {
            let users: Vec<String> =
                packages.iter().map(|package| package.leaf().claims().user().to_string()).collect();
            format!("Add {}", users.join(" and "))
        }
        Change::Readmit(request) => format!("Readmit {}", request.package().leaf().claims().user()),
        Change::Policy(_) => "Policy".into(),
        other => format!("{other:?}"),
    }
}

fn brief(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}
