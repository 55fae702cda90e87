//! What is left when the victim's disk has forgotten what it had acknowledged, or holds half of it.

use std::collections::{BTreeMap, BTreeSet};

use convivio::Change;
use convivio::client::{EventKind, Status};
use convivio_killed_tests::conversation::{Clock, Command, Done, Wanted};

use super::{Victim, World};

/// More than members wait for each other's signs of life (`docs/protocol.md`, section 5.6).
const LONG_ENOUGH: u64 = 61;

impl<V: Victim> World<V> {
    /// A stretch of ordinary life, in which the disk lies.
    pub fn live_on(&mut self) {
        self.lied_to = true;
        for round in 0..2 {
            self.speak();
            self.turn();
            self.hear(round % 2);
            self.turn();
            self.speak();
            self.post(0.0);
            self.want(if round == 1 { Wanted::Rename("Journey".to_owned()) } else { Wanted::Heal });
            self.turn();
            self.speak();
            self.turn();
        }
    }

    /// What it is not asked to send it need not send.
    fn speak(&mut self) {
        let text = format!("victim says {}", self.spoken);
        self.spoken += 1;
        if self.once(&Command::Send(self.group, text.clone())) {
            let said = if self.victim.has_restarted() { &mut self.since } else { &mut self.said[0] };
            said.insert(text);
        }
    }

    fn want(&mut self, wanted: Wanted) {
        let _ = self.once(&Command::Change(self.group, wanted));
    }

    fn hear(&mut self, from: usize) {
        let text = format!("another says {}", self.said[1].len());
        self.peers[from].client.send(&self.group, text.as_bytes()).unwrap();
        self.peers[from].sync(&mut self.hub);
        self.said[1].insert(text);
    }

    /// By the ways that everyone has, the victim becomes a member like the others again.
    pub fn recover(&mut self, clock: &Clock) {
        for _ in 0..8 {
            self.quiet();
            let anna = &mut self.peers[0].client;
            let (agreed, is_in) = {
                let view = anna.group(&self.group).unwrap();
                (*view.authenticator(), view.state().user(&self.user).is_some())
            };
            let own = self.victim.view().group(&self.group);
            match own.map(|own| (own.status.as_str(), own.authenticator == agreed && own.queued == 0)) {
                Some(("Active", true)) => return,
                Some(("Active", false)) => self.others_go_on(),
                Some(("RolledBack" | "Excluded", _)) => self.ask_to_return(),
                Some(("Invited", _)) => drop(self.once(&Command::Accept(self.group))),
                Some(_) => drop(self.once(&Command::Forget(self.group))),
                None if is_in => {
                    anna.change(&self.group, Change::Remove(self.user.clone())).unwrap();
                }
                None => self.invite_again(),
            }
            clock.advance(LONG_ENOUGH);
        }
        panic!("it does not find back: {:#?}", self.victim.view());
    }

    /// What shows a device that has lost its way that it has.
    fn others_go_on(&mut self) {
        for peer in &mut self.peers {
            peer.client.change(&self.group, Change::Heal).unwrap();
            peer.sync(&mut self.hub);
        }
    }

    fn ask_to_return(&mut self) {
        self.peers[0].requests.clear();
        self.want(Wanted::Rejoin);
        self.quiet();
        if let Some(request) = self.peers[0].requests.pop() {
            self.peers[0].client.change(&self.group, Change::Readmit(Box::new(request))).unwrap();
        }
    }

    fn invite_again(&mut self) {
        let Some(Done::KeyPackage(package)) = self.insist(&Command::KeyPackage) else { return };
        self.peers[0].client.change(&self.group, Change::Add(vec![*package])).unwrap();
    }

    /// The others are as one, and were told nothing twice; how many of the victim's words they have not heard.
    pub fn others_agree(&mut self) -> [usize; 2] {
        let views = self.peers.each_mut().map(|peer| {
            let view = peer.client.group(&self.group).unwrap();
            assert_eq!((view.status(), view.queued()), (Status::Active, 0));
            (*view.authenticator(), view.state().context_hash())
        });
        assert_eq!(views[0], views[1]);
        let heard = self.peers.each_ref().map(|peer| {
            let words = peer.heard.iter().filter(|(_, text)| text.starts_with("victim"));
            // A message may come twice under one id (`docs/protocol.md`, section 5.6), and under one id only.
            let by_id: BTreeMap<_, _> = words.cloned().collect();
            let texts: BTreeSet<String> = by_id.values().cloned().collect();
            assert_eq!(texts.len(), by_id.len(), "one thing was said twice");
            texts
        });
        assert_eq!(heard[0], heard[1], "one member has heard what another has not");
        [&self.said[0], &self.since].map(|said| said.difference(&heard[0]).count())
    }

    /// Whoever is a member again is heard and hears. Everyone's word is what ends the doubts that the victim, as long as it
    /// went on from what it had, has raised in the others.
    pub fn talk(&mut self) {
        let (before, events) = (self.spoken, self.told.len());
        self.speak();
        self.hear(0);
        self.hear(1);
        self.quiet();
        let last = format!("victim says {before}");
        for peer in &self.peers {
            let times = peer.heard.iter().filter(|(_, text)| *text == last).count();
            assert_eq!(times, 1, "{} does not hear the victim", peer.user);
        }
        let heard = self.told[events..].iter().filter(|what| matches!(what, EventKind::Message { .. }));
        assert_eq!(heard.count(), 2, "the victim does not hear: {:?}", self.told);
    }

    /// Lets the others be quiet among themselves, and see to it that they are.
    pub fn leave_the_victim_alone(&mut self) {
        for _ in 0..3 {
            for peer in &mut self.peers {
                peer.sync(&mut self.hub);
            }
        }
    }
}
