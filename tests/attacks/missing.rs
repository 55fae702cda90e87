//! Row 26: a hub that drops or delays. Members notice what is missing from the numbers, and nothing is worse for it than
//! late. (That an entry is missing and the rest renumbered nobody can tell: `docs/threat-model.md`.)

use convivio::client::{Change, EventKind, Status};
use convivio::log::{LogEntry, PostReply};

use crate::support::*;
use crate::witness::{Pair, lasting};

/// Every way to leave some of six entries out, one fetch after the other.
#[test]
fn row_26_whatever_is_left_out_is_noticed_and_what_comes_later_is_read() {
    let Pair { mut world, mut maria, mut bob, group } = Pair::new();
    maria.say(&group, "1");
    maria.say(&group, "2");
    world.sync(&mut maria);
    maria.client.change(&group, Change::Heal).unwrap();
    world.sync(&mut maria);
    maria.say(&group, "3");
    world.sync(&mut maria);
    maria.client.change(&group, Change::Heal).unwrap();
    maria.say(&group, "4");
    world.sync(&mut maria);
    let log = bob.pending(&world.hub, &group);
    assert_eq!(log.len(), 6);
    let next = bob.client.group(&group).unwrap().next_entry();
    let mut victim = world.device("nobody");
    for left_out in 0_u32..64 {
        victim.open(bob.disk.copy());
        victim.news();
        let heard = victim.heard().len();
        let shown: Vec<LogEntry> =
            log.iter().zip(0..).filter(|(_, at)| left_out & (1 << at) == 0).map(|(entry, _)| entry.clone()).collect();
        let read = left_out.trailing_zeros().min(6);
        victim.receive(&shown);
        assert_eq!(victim.client.group(&group).unwrap().next_entry(), next + u64::from(read), "{left_out:06b}");
        let gaps: Vec<_> = victim.news().into_iter().filter(|what| matches!(what, EventKind::Gap { .. })).collect();
        let noticed = shown.len() > read as usize;
        let expected = if noticed { vec![EventKind::Gap { expected: next + u64::from(read) }] } else { vec![] };
        assert_eq!(gaps, expected, "{left_out:06b}");
        assert_eq!(victim.status(&group), Status::Active);
        // Later, all of it.
        victim.receive(&log);
        let heard: Vec<String> = victim.heard().into_iter().skip(heard).map(|(_, text)| text).collect();
        assert_eq!(heard, ["1", "2", "3", "4"], "{left_out:06b}");
        agree_on_epoch(&mut victim, &mut maria, &group);
    }
}

fn agree_on_epoch(one: &mut Device, other: &mut Device, group: &convivio::GroupId) {
    let authenticator = |device: &mut Device| *device.client.group(group).unwrap().authenticator();
    assert_eq!(authenticator(one), authenticator(other));
}

/// What a hub swallows is posted again, by this process and the next, until it has an answer; and that an answer was
/// swallowed does no harm, either.
#[test]
fn row_26_what_is_not_answered_is_posted_again() {
    let Pair { mut world, mut maria, mut bob, group } = Pair::new();
    let id = maria.say(&group, "hello?");
    maria.client.change(&group, Change::Heal).unwrap();
    let posts = maria.outbox();
    for _ in 0..3 {
        assert_eq!(maria.outbox(), posts, "byte for byte");
        maria.restart();
    }
    assert_eq!(maria.queued(&group), 2);
    // The hub takes the first and does not say so.
    let domain = world.photos.domain().clone();
    assert_eq!(world.hub.post(&domain, &posts[0]), PostReply::Accepted);
    assert_eq!(maria.outbox(), posts);
    world.quiet(&mut [&mut maria, &mut bob]);
    assert_eq!(bob.messages().into_iter().map(|(id, ..)| id).collect::<Vec<_>>(), [id]);
    agree(&group, &mut [&mut maria, &mut bob]);
}

/// A hub that is silent for as long as anything lives: nobody gives up, nothing is sent twice, nothing is decided.
#[test]
fn row_26_a_silent_hub_is_a_delay() {
    let Pair { mut world, mut maria, mut bob, group } = Pair::new();
    maria.say(&group, "before");
    bob.client.change(&group, Change::Leave).unwrap();
    let before = [lasting(&maria), lasting(&bob)];
    for _ in 0..30 {
        world.clock.advance(DAY);
        for device in [&mut maria, &mut bob] {
            device.restart();
            device.receive(&[]);
            assert!(device.client.inbox(9).unwrap().is_empty());
        }
    }
    assert_eq!([lasting(&maria), lasting(&bob)], before);
    assert_eq!((maria.status(&group), bob.status(&group)), (Status::Active, Status::Leaving));
    world.quiet(&mut [&mut maria, &mut bob]);
    world.clock.advance(MINUTE);
    world.quiet(&mut [&mut maria, &mut bob]);
    assert!(!maria.has(&group, &bob.user));
}
