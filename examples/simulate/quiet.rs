//! Quiet: the line is good, nobody lies, time passes, and everyone syncs until nothing moves. Then all must be well.

use convivio::GroupId;
use convivio::client::{Answer, Change, Status};
use convivio::group::Role;

use super::history::DeviceNo;
use super::network::Weather;
use super::outcome::{Outcome, broken, ensure};
use super::world::{World, short};

/// Rounds after which something is wedged.
const ROUNDS: usize = 400;

impl World {
    /// A quiet period, and the invariants at its end.
    pub(crate) fn quiet(&mut self) -> Outcome {
        self.note(format_args!("quiet"));
        self.network.weather = Weather::default();
        self.network.cut.fill(0);
        self.land_late(true)?;
        self.settle()?;
        let groups: Vec<GroupId> = self.ledger.histories.keys().copied().collect();
        for group in groups {
            if self.tainted.contains(&group) {
                self.end_doubts(group)?;
                self.bring_back(group)?;
                if self.abandoned.contains(&group) {
                    continue;
                }
                self.end_doubts(group)?;
            }
            self.check(group)?;
            let end = self.ledger.history(group)?.log.len() as u64;
            self.quiet_at.insert(group, end);
        }
        self.counts.quiet_periods += 1;
        self.tainted.clear();
        self.ledger.places.values_mut().for_each(|place| place.lied_to = false);
        self.network.weather = self.weather;
        Ok(())
    }

    /// Everyone syncs, answers and waits, until nothing has moved for as long as anyone may wait.
    pub(crate) fn settle(&mut self) -> Outcome {
        let mut still = 0;
        for _ in 0..ROUNDS {
            let mut moved = false;
            self.reopen_mailboxes();
            for d in 0..self.devices.len() {
                moved |= self.turn(d)?;
                self.devices[d].acknowledge()?;
                moved |= self.tidy(d)?;
            }
            still = if moved { 0 } else { still + 1 };
            // Leaves are taken up within half a minute, commits are held for a minute.
            if still == 4 {
                return Ok(());
            }
            self.clock.advance(40);
        }
        broken("it never comes to rest")
    }

    /// What any app would do: accept what is open, forget what is over. Whether there was anything.
    fn tidy(&mut self, d: DeviceNo) -> Outcome<bool> {
        let mut moved = false;
        for group in self.groups(d)? {
            if self.abandoned.contains(&group) {
                self.forget(d, group)?;
            } else if self.status(d, group) == Some(Status::Invited) {
                self.answer_with(d, group, Answer::Accept)?;
                moved = true;
            } else if self.is_out(group, d) {
                if !self.tainted.contains(&group) {
                    let told = self.status(d, group) == Some(Status::Removed);
                    ensure(told, || format!("{} is out of {} and was not told", self.devices[d].name, short(group)))?;
                }
                self.forget(d, group)?;
                moved = true;
            }
        }
        Ok(moved)
    }

    /// Members who are where the log leads say something, twice; who still doubts asks, by a change.
    fn end_doubts(&mut self, group: GroupId) -> Outcome {
        for _ in 0..2 {
            for d in self.faithful(group)? {
                let content = format!("{} is here, {}", self.devices[d].name, self.ledger.told).into_bytes();
                self.say_this(d, group, content)?;
            }
            self.settle()?;
        }
        for d in self.faithful(group)? {
            if self.is_done(d, group) {
                continue;
            }
            self.counts.questions += 1;
            self.change(d, group, Change::Heal)?;
            self.settle()?;
            // A hub that showed it a commit which is none in the log finds it behind until the next one is.
            let others: Vec<DeviceNo> = self.faithful(group)?.into_iter().filter(|other| *other != d).collect();
            for other in others {
                if !self.is_done(d, group) {
                    self.change(other, group, Change::Heal)?;
                    self.settle()?;
                }
            }
        }
        Ok(())
    }

    /// Nothing waits, and there is no doubt.
    fn is_done(&mut self, d: DeviceNo, group: GroupId) -> bool {
        let view = self.devices[d].client.group(&group);
        view.is_ok_and(|view| view.status() == Status::Active && view.queued() == 0)
    }

    /// Members who are where the log leads.
    fn faithful(&mut self, group: GroupId) -> Outcome<Vec<DeviceNo>> {
        let history = self.ledger.history(group)?;
        let now = history.now();
        let members: Vec<DeviceNo> = history.members().collect();
        let there = |d: &DeviceNo| self.ledger.places.get(&(group, *d)).is_some_and(|place| place.epoch == now);
        Ok(members.into_iter().filter(there).collect())
    }

    /// Whoever was led astray has noticed, asks, and is let in again.
    fn bring_back(&mut self, group: GroupId) -> Outcome {
        let members: Vec<DeviceNo> = self.ledger.history(group)?.members().collect();
        for d in members {
            if self.faithful(group)?.contains(&d) {
                continue;
            }
            let name = self.devices[d].name.clone();
            let status = self.status(d, group);
            if self.ledger.history(group)?.members().count() == 1 && status == Some(Status::Active) {
                // The hub hid from it the commit by which it came to be alone: nobody is left to notice by.
                return self.abandon(group);
            }
            ensure(matches!(status, Some(Status::Excluded | Status::Removed)), || {
                format!("{name} was left behind in {} and does not notice: {status:?}", short(group))
            })?;
            if self.let_in(d, group)? {
                continue;
            }
            let Some(helper) = self.helper(d, group)? else {
                // Nobody is left of the epoch that it was in, to whom it could speak.
                return self.abandon(group);
            };
            // A member whose clock is hours off takes no request for one of today; its user sets it right.
            for other in 0..self.devices.len() {
                self.devices[other].skew = 0;
                self.devices[other].restart()?;
            }
            let back = self.let_in(d, group)?;
            let helper = self.devices[helper].name.clone();
            ensure(back, || {
                format!("{name} asked to be let in to {} again, {helper} could, and it is not", short(group))
            })?;
        }
        Ok(())
    }

    /// A device asks to be let in, and whoever can lets it. Whether it is.
    fn let_in(&mut self, d: DeviceNo, group: GroupId) -> Outcome<bool> {
        self.change(d, group, Change::Rejoin)?;
        self.settle()?;
        for helper in self.faithful(group)? {
            while !self.faithful(group)?.contains(&d)
                && self.requests.get(&(group, helper)).is_some_and(|open| !open.is_empty())
            {
                self.readmit(helper, group)?;
                self.settle()?;
            }
        }
        Ok(self.faithful(group)?.contains(&d))
    }

    /// A member who was there when all was last quiet, and may readmit.
    fn helper(&mut self, d: DeviceNo, group: GroupId) -> Outcome<Option<DeviceNo>> {
        let since = self.quiet_at.get(&group).copied().unwrap_or_default();
        let faithful = self.faithful(group)?;
        let shared = self.ledger.history(group)?;
        let shared = shared.shared(shared.now()).clone();
        let there =
            |other: &DeviceNo| self.ledger.places.get(&(group, *other)).is_some_and(|place| place.joined <= since);
        let may = |other: &DeviceNo| shared.role(&self.devices[*other].user) >= Some(Role::Member);
        Ok(faithful.into_iter().find(|other| *other != d && there(other) && may(other)))
    }

    /// Everyone gives a group up, and founds another.
    fn abandon(&mut self, group: GroupId) -> Outcome {
        self.counts.abandoned += 1;
        for d in 0..self.devices.len() {
            if self.groups(d)?.contains(&group) {
                self.forget(d, group)?;
            }
        }
        self.ledger.histories.remove(&group);
        self.abandoned.insert(group);
        let group = self.found(0)?;
        self.add_someone(0, group)?;
        self.settle()
    }

    /// What must hold of a group when all is quiet.
    fn check(&mut self, group: GroupId) -> Outcome {
        let history = self.ledger.history(group)?;
        let (now, end) = (history.now(), history.log.len() as u64);
        let shared = history.shared(now).clone();
        for d in 0..self.devices.len() {
            let name = self.devices[d].name.clone();
            let Some(leaf) = shared.leaf_of(d) else {
                let held = self.groups(d)?.contains(&group);
                ensure(!held, || format!("{name} still holds {}, which it is out of", short(group)))?;
                continue;
            };
            let Some(place) = self.ledger.places.get(&(group, d)) else {
                return broken(format!("{name} is in {} and does not know", short(group)));
            };
            ensure((place.epoch, place.leaf) == (now, leaf), || format!("{name} is left behind in {}", short(group)))?;
            let view = self.devices[d].client.group(&group).or_else(|error| broken(error.to_string()))?;
            let stands = (view.status(), view.queued(), view.next_entry());
            ensure(stands == (Status::Active, 0, end + 1), || {
                format!("{name} stands at {stands:?} in {} when all is quiet, entry {end} being the last", short(group))
            })?;
        }
        self.check_messages(group)?;
        self.counts.largest = self.counts.largest.max(shared.leaves.len() as u64);
        Ok(())
    }

    /// Every message of who is still in counts, once; and everyone who was there throughout has told it as often.
    fn check_messages(&mut self, group: GroupId) -> Outcome {
        let tainted = self.tainted.contains(&group);
        let history = self.ledger.history(group)?;
        let shared = history.shared(history.now()).clone();
        let Some(history) = self.ledger.histories.get(&group) else { return broken("no such group") };
        for (id, said) in &history.said {
            let author = self.ledger.places.get(&(group, said.by)).filter(|place| place.life == said.life);
            let name = &self.devices[said.by].name;
            // A hub that shows an author a commit later than the others has its message void for them (section 5.6).
            let misplaced = said.misplaced && author.is_some_and(|place| place.misordered);
            if author.is_some() && !said.dropped && !misplaced {
                ensure(said.counted > 0, || format!("message {id} of {name} is lost"))?;
            }
            ensure(said.counted <= 1 || tainted || said.settled, || {
                format!("message {id} of {name} counts {} times", said.counted)
            })?;
            for d in shared.leaves.values().filter(|d| **d != said.by) {
                let Some(place) = self.ledger.places.get(&(group, *d)) else { continue };
                if said.counted == 0 || place.flawed || place.joined >= said.counted_at {
                    continue;
                }
                let told = place.told.get(id).copied().unwrap_or_default();
                ensure(told == said.counted, || format!("{} has message {id} {told} times", self.devices[*d].name))?;
            }
        }
        if let Some(history) = self.ledger.histories.get_mut(&group) {
            history.said.values_mut().for_each(|said| said.settled = true);
        }
        Ok(())
    }

    /// New people where few are left.
    pub(crate) fn refill(&mut self) -> Outcome {
        let groups: Vec<GroupId> = self.ledger.histories.keys().copied().collect();
        for group in groups {
            let history = self.ledger.history(group)?;
            let shared = history.shared(history.now()).clone();
            let owner =
                shared.leaves.values().copied().find(|d| shared.role(&self.devices[*d].user) == Some(Role::Owner));
            if let Some(owner) = owner.filter(|_| shared.leaves.len() < 8) {
                self.add_someone(owner, group)?;
                self.add_someone(owner, group)?;
            }
        }
        Ok(())
    }
}
