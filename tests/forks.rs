//! A hub shows different histories to different members. It shows once the branches exchange traffic.

mod support;

use convivio::GroupId;
use convivio::client::{Change, EventKind, Status};
use convivio::log::{EntryBody, LogEntry, Post, PostBody};
use support::*;

/// What the hub makes of a post for one member.
fn shown(post: &Post, seq: u64, to: &mut Device) -> LogEntry {
    let body = match &post.body {
        PostBody::Message(frame) => EntryBody::Message(frame.clone()),
        PostBody::Commit { commit, .. } => {
            let leaf = to.client.group(&post.group).unwrap().own_index();
            // A leaf index below 24 is one byte of CBOR.
            let stanza = commit.split(&[u8::try_from(leaf.0).unwrap()]).map(|part| part.stanza().to_vec());
            EntryBody::Commit { header: commit.header().bytes().to_vec(), stanza, body: commit.body().to_vec() }
        }
        _ => panic!("not shown to members"),
    };
    LogEntry { group: post.group, seq, body }
}

/// Shows a post as the next entry.
fn show(post: &Post, to: &mut Device) {
    let seq = to.client.group(&post.group).unwrap().next_entry();
    let entry = shown(post, seq, to);
    to.receive(&[entry]);
}

/// Maria and Dora are shown Maria's commit, Bob and Carl are shown Bob's.
fn forked() -> ([Device; 4], GroupId) {
    let mut world = World::new();
    let (mut maria, mut dora) = (world.device("maria"), world.device("dora"));
    let (mut bob, mut carl) = (world.device_of(1, "bob"), world.device_of(1, "carl"));
    let group = world.group(&mut maria, &mut [&mut dora, &mut bob, &mut carl]);
    world.quiet(&mut [&mut maria, &mut dora, &mut bob, &mut carl]);
    maria.client.change(&group, Change::Heal).unwrap();
    bob.client.change(&group, Change::Heal).unwrap();
    let (ours, theirs) = (maria.outbox().remove(0), bob.outbox().remove(0));
    show(&ours, &mut maria);
    show(&ours, &mut dora);
    show(&theirs, &mut bob);
    show(&theirs, &mut carl);
    let mut all = [maria, dora, bob, carl];
    assert!(all.iter_mut().all(|device| device.epoch(&group) == 2));
    // Within a branch, nothing is amiss. Between the branches, the authenticators differ.
    let auth: Vec<[u8; 32]> = all.iter_mut().map(|d| *d.client.group(&group).unwrap().authenticator()).collect();
    assert!(auth[0] == auth[1] && auth[2] == auth[3] && auth[0] != auth[2]);
    all.iter_mut().for_each(|device| drop(device.news()));
    (all, group)
}

#[test]
fn a_message_of_one_branch_shown_in_the_other_is_a_suspicion() {
    let ([mut maria, mut dora, mut bob, _], group) = forked();
    maria.say(&group, "can you hear me?");
    let post = maria.outbox().remove(0);
    show(&post, &mut dora);
    assert_eq!(dora.heard().len(), 1);
    show(&post, &mut bob);
    assert_eq!(bob.heard(), []);
    assert!(bob.news().contains(&EventKind::ForkSuspected));
    assert_eq!(bob.status(&group), Status::Active, "one frame is no proof");
}

#[test]
fn a_commit_on_another_history_is_a_suspicion_and_stops_nobody() {
    let ([_, mut dora, _, mut carl], group) = forked();
    // Dora and Carl have the same leaves in both branches, so Carl opens Dora's commit, and it names another parent. Any
    // member could make such a commit up, and would stop the whole group by it.
    dora.client.change(&group, Change::Heal).unwrap();
    let post = dora.outbox().remove(0);
    show(&post, &mut carl);
    assert!(carl.news().contains(&EventKind::ForkSuspected));
    assert_eq!(carl.status(&group), Status::Active);
}

#[test]
fn whoever_is_switched_to_the_other_branch_is_excluded_and_keeps_what_it_had_to_say() {
    let ([mut maria, mut dora, mut bob, _], group) = forked();
    let id = bob.say(&group, "to everyone");
    bob.outbox();
    // From here on the hub shows Maria's branch to Bob, too.
    maria.client.change(&group, Change::Heal).unwrap();
    let post = maria.outbox().remove(0);
    show(&post, &mut maria);
    show(&post, &mut dora);
    show(&post, &mut bob);
    assert_eq!(bob.epoch(&group), 2, "he cannot open it");
    dora.say(&group, "on we go");
    show(&dora.outbox().remove(0), &mut bob);
    assert_eq!(bob.status(&group), Status::Excluded);
    assert!(bob.news().contains(&EventKind::Excluded));
    assert_eq!(bob.queued(&group), 1, "{id:?} waits for the rejoin");
}
