//! What a group's messages add up to is the same on every device, for its own messages and others', over a bad line and
//! across restarts (`docs/protocol.md`, section 11.5).

mod support;

use convivio::client::Change;
use convivio::content::{Choices, Content, Conversation, Kind, Poll, Receipt, Status};
use convivio::group::Role;
use convivio::testing::Faults;
use convivio::{GroupId, MessageId};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use support::{Device, World};

const WEATHER: Faults =
    Faults { lose_post: 0.2, lose_reply: 0.2, lose_entry: 0.2, repeat: 0.2, reorder: 0.4, delay: 0.3 };

/// Devices of four users at two apps; the first founded the group.
struct Crowd {
    world: World,
    devices: Vec<Device>,
    group: GroupId,
    rng: StdRng,
    /// Everything that was ever said, and the polls among it.
    said: Vec<MessageId>,
    polls: Vec<(MessageId, Poll)>,
}

impl Crowd {
    fn new(seed: u64) -> Self {
        let mut world = World::with_faults(Faults::default(), seed);
        let names = [(0, "maria"), (0, "maria"), (0, "anna"), (1, "bob"), (1, "carl")];
        let mut devices: Vec<Device> = names.iter().map(|(app, name)| world.device_of(*app, name)).collect();
        let (founder, others) = devices.split_first_mut().unwrap();
        let group = world.group(founder, &mut others.iter_mut().collect::<Vec<_>>());
        world.quiet(&mut devices.iter_mut().collect::<Vec<_>>());
        Self { world, devices, group, rng: StdRng::seed_from_u64(seed), said: Vec::new(), polls: Vec::new() }
    }

    fn any_message(&mut self) -> MessageId {
        let at = self.rng.random_range(0..self.said.len().max(1));
        self.said.get(at).copied().unwrap_or_else(|| MessageId::from_bytes([9; 32]))
    }

    fn any_content(&mut self, step: usize) -> Content {
        let about = self.any_message();
        match self.rng.random_range(0..12) {
            0..3 => Content::text(&format!("message {step}")),
            3 => Content::markdown(&format!("*edit* {step}")).replacing(about),
            4 => Content::deletion(about),
            5 | 6 => Content::reaction(about, ["👍", "❤️", "?"][step % 3]).unwrap(),
            7 => Content::close(about),
            8 => Content::receipts(&[Receipt { message: about, status: Status::Read }]).unwrap(),
            _ => self.vote().unwrap_or_else(|| Content::text("no poll yet").reply_to(about)),
        }
    }

    fn vote(&mut self) -> Option<Content> {
        let at = self.rng.random_range(0..self.polls.len().max(1));
        let (id, poll) = self.polls.get(at)?;
        let options: &[usize] = [[0].as_slice(), &[1], &[0, 2], &[]][self.rng.random_range(0..4)];
        Content::vote(*id, poll, options).ok()
    }

    fn step(&mut self, step: usize) {
        let at = self.rng.random_range(0..self.devices.len());
        let group = self.group;
        match self.rng.random_range(0..20) {
            0..7 => {
                let content = self.any_content(step);
                self.said.push(self.devices[at].client.send(&group, &content.to_bytes()).unwrap());
            }
            7 => {
                let poll = Poll::new(&format!("when? {step}"), &["mon", "tue", "wed"], Choices::Many).unwrap();
                let closes = self.world.clock.now().after(40);
                let poll = if step.is_multiple_of(2) { poll.closing_at(closes) } else { poll };
                let id = self.devices[at].client.send(&group, &Content::poll(&poll).to_bytes()).unwrap();
                self.said.push(id);
                self.polls.push((id, poll));
            }
            8 => drop(self.devices[at].client.change(&group, Change::Heal).unwrap()),
            9 if at < 2 => {
                let (user, role) = (self.devices[3].user.clone(), [Role::Member, Role::Admin][step % 2]);
                drop(self.devices[at].client.change(&group, Change::Role(user, role)));
            }
            10..12 => self.devices[at].restart(),
            12..14 => drop(self.world.post(&mut self.devices[at])),
            14..16 => self.world.read(&mut self.devices[at]),
            _ => self.world.sync(&mut self.devices[at]),
        }
        self.world.clock.advance(1);
    }

    fn settle(&mut self) {
        self.world.hub.set_faults(Faults::default());
        self.world.quiet(&mut self.devices.iter_mut().collect::<Vec<_>>());
    }
}

fn conversation(device: &Device) -> Conversation {
    let mut conversation = Conversation::new();
    device.events.iter().filter_map(convivio::client::Event::posted).for_each(|posted| {
        conversation.insert(posted);
    });
    conversation
}

#[test]
fn every_device_of_a_group_makes_the_same_of_what_was_said() {
    let (mut edits, mut closed, mut votes, mut deleted) = (0, 0, 0, 0);
    for seed in 0..8 {
        let mut crowd = Crowd::new(seed);
        crowd.world.hub.set_faults(WEATHER);
        (0..150).for_each(|step| crowd.step(step));
        crowd.settle();
        let all: Vec<Conversation> = crowd.devices.iter().map(conversation).collect();
        assert_eq!(all[0].len(), crowd.said.len(), "seed {seed}: something was said and is not there");
        for (at, other) in all.iter().enumerate() {
            assert_eq!(*other, all[0], "seed {seed}: {} sees another conversation", crowd.devices[at].user);
        }
        for message in all[0].messages() {
            edits += usize::from(message.edited);
            deleted += usize::from(message.content.is_none());
            let Some(tally) = &message.tally else { continue };
            closed += usize::from(tally.closed.is_some());
            votes += tally.votes.iter().map(|users| users.len()).sum::<usize>();
        }
    }
    assert!(
        edits > 0 && closed > 0 && votes > 0 && deleted > 0,
        "{edits} {closed} {votes} {deleted}: too little to see"
    );
}

#[test]
fn what_is_not_of_the_form_is_no_part_of_it() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut bob]);
    maria.say(&group, "raw bytes of an app that has a form of its own");
    maria.client.send(&group, &Content::text("hello").to_bytes()).unwrap();
    world.quiet(&mut [&mut maria, &mut bob]);
    for device in [&maria, &bob] {
        let conversation = conversation(device);
        let kinds: Vec<_> = conversation.messages().map(|message| message.content.unwrap().kind()).collect();
        assert!(matches!(&kinds[..], [Kind::Text { text: "hello", .. }]), "{kinds:?}");
    }
    assert_eq!(maria.sent().len(), 2, "both are told all the same");
}
