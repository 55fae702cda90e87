//! Row 33: what comes late. A message that races a commit, a client that sleeps through a thousand commits, a key of an
//! epoch that has ended.

use convivio::client::{Change, EventKind, Status};
use convivio::log::{EntryBody, PostBody};
use convivio::{GroupId, MessageId};

use crate::kit::{Hub, Insider};
use crate::support::*;
use crate::witness::{Pair, append, lasting, unheard, void_only};

/// Maria says something and Bob renews his keys, each in four steps: write, encrypt and post, post again, read. In every
/// order, the message is delivered once, under the id that it had from the start.
#[test]
fn row_33_a_message_that_races_a_commit_is_delivered_once_under_one_id() {
    for order in interleavings(2, 4) {
        let Pair { mut world, mut maria, mut bob, group } = Pair::new();
        let (mut steps, mut id, mut held) = ([0, 0], None, Vec::new());
        for actor in &order {
            let device = if *actor == 0 { &mut maria } else { &mut bob };
            match (actor, steps[*actor]) {
                (0, 0) => id = Some(device.say(&group, "caught in a race")),
                (_, 0) => drop(device.client.change(&group, Change::Heal).unwrap()),
                // Made now and on its way for a while, or posted at once.
                (_, 1) => held.push((*actor, device.outbox())),
                (_, 2) => drop(world.post(device)),
                _ => world.read(device),
            }
            steps[*actor] += 1;
        }
        for (actor, posts) in held {
            let domain = if actor == 0 { world.photos.domain() } else { world.courier.domain() };
            posts.iter().for_each(|post| _ = world.hub.post(&domain.clone(), post));
        }
        world.quiet(&mut [&mut maria, &mut bob]);
        let heard: Vec<MessageId> = bob.messages().into_iter().map(|(id, ..)| id).collect();
        assert_eq!(heard, [id.unwrap()], "{order:?}");
        assert_eq!((maria.epoch(&group), maria.queued(&group)), (2, 0), "{order:?}");
        agree(&group, &mut [&mut maria, &mut bob]);
    }
}

/// The epochs that the sleeper misses.
const MISSED: usize = 1_000;

#[test]
fn row_33_a_client_that_sleeps_through_a_thousand_commits_catches_up() {
    let Pair { mut world, mut maria, mut bob, group } = Pair::new();
    let own = bob.say(&group, "good night");
    bob.outbox();
    for night in 0..MISSED {
        maria.client.change(&group, Change::Heal).unwrap();
        if night % 100 == 0 {
            maria.say(&group, &format!("{night}"));
        }
        world.sync(&mut maria);
    }
    bob.restart();
    let log = bob.pending(&world.hub, &group);
    assert!(log.len() >= MISSED);
    bob.receive(&log);
    assert_eq!(bob.epoch(&group) as usize, 1 + MISSED);
    let heard: Vec<String> = bob.heard().into_iter().map(|(_, text)| text).collect();
    let said: Vec<String> = (0..MISSED).step_by(100).map(|night| night.to_string()).collect();
    assert_eq!(heard, said);
    assert_eq!(bob.status(&group), Status::Active);
    // What it had encrypted before it fell asleep is said again, once.
    world.quiet(&mut [&mut bob, &mut maria]);
    assert_eq!(maria.messages().into_iter().map(|(id, ..)| id).collect::<Vec<_>>(), [own]);
    agree(&group, &mut [&mut maria, &mut bob]);
}

/// What the thief of an epoch's keys makes in that epoch, after it has ended.
fn posthumous(thief: &mut Insider) -> Vec<(&'static str, PostBody)> {
    let [commit, another] = [thief.plan(Vec::new()), thief.plan(Vec::new())]
        .map(|plan| PostBody::Commit { commit: plan.seal().envelope(), welcome: None });
    let other = crate::kit::ratchet::Place { leaf: 0, generation: 0 };
    let signing = thief.keys.signing;
    let in_marias_place = thief.frame(other, &signing, b"I am Maria");
    vec![
        ("a message", PostBody::Message(thief.say(b"old news"))),
        ("a message in another's place", PostBody::Message(in_marias_place)),
        ("a commit", commit),
        // One that was taken for a sign of a later epoch would be a doubt, and a second would be told.
        ("another", another),
    ]
}

#[test]
fn row_33_what_a_stolen_old_key_says_in_an_epoch_that_ended_is_void() {
    let Pair { mut world, mut maria, mut bob, group } = Pair::new();
    // Everything of Bob's, the device key too.
    let mut thief = Insider::of(&bob, &group);
    let in_time = thief.say(b"in time");
    let mut witness = world.device("nobody");
    witness.open(maria.disk.copy());
    Hub::of(group).show(&mut witness, EntryBody::Message(in_time));
    assert_eq!(witness.heard(), [("bob".to_owned(), "in time".to_owned())], "the key is good as long as its epoch is");
    bob.client.change(&group, Change::Heal).unwrap();
    world.quiet(&mut [&mut bob, &mut maria]);
    unheard(&mut [&mut maria, &mut bob]);
    for (what, body) in posthumous(&mut thief) {
        let before = [lasting(&maria), lasting(&bob)];
        append(&mut world, group, body);
        for device in [&mut maria, &mut bob] {
            world.read(device);
            let news = device.news();
            assert!(void_only(&news), "{what}: {news:?}");
            assert_eq!(device.status(&group), Status::Active, "{what}");
        }
        assert_eq!([lasting(&maria), lasting(&bob)], before, "{what}");
    }
    undisturbed(&mut world, &mut maria, &mut bob, &group);
}

/// The group goes on as if nothing had been.
fn undisturbed(world: &mut World, maria: &mut Device, bob: &mut Device, group: &GroupId) {
    maria.say(group, "still here");
    bob.say(group, "so am I");
    bob.client.change(group, Change::Heal).unwrap();
    world.quiet(&mut [maria, bob]);
    assert_eq!((maria.heard().len(), bob.heard().len()), (1, 1));
    assert!(!maria.events.iter().any(|event| matches!(event.what, EventKind::Excluded | EventKind::ForkSuspected)));
    agree(group, &mut [maria, bob]);
}
