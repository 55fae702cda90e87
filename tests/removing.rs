//! A user is removed, with everything that means.

mod support;

use convivio::ErrorKind;
use convivio::client::{Answer, Change, EventKind, Status};
use convivio::group::{Effect, Role};
use convivio::log::{EntryBody, LogEntry, Post, PostReply};
use support::*;

#[test]
fn a_removal_covers_all_devices_of_the_user() {
    let mut world = World::new();
    let (mut maria, mut anna) = (world.device("maria"), world.device("anna"));
    let (mut phone, mut laptop) = (world.device_of(1, "bob"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut anna, &mut phone, &mut laptop]);
    world.quiet(&mut [&mut maria, &mut anna, &mut phone, &mut laptop]);
    anna.news();
    maria.client.change(&group, Change::Remove(phone.user.clone())).unwrap();
    world.quiet(&mut [&mut maria, &mut anna, &mut phone, &mut laptop]);
    agree(&group, &mut [&mut maria, &mut anna]);
    assert_eq!(maria.client.group(&group).unwrap().state().leaves().len(), 2);
    assert_eq!(anna.effects(), [Effect::Removed(phone.user.clone())]);
    for device in [&mut phone, &mut laptop] {
        assert_eq!(device.news().last(), Some(&EventKind::Removed));
        assert_eq!(device.status(&group), Status::Removed);
        device.client.forget(&group).unwrap();
        assert!(device.client.groups().unwrap().is_empty());
    }
}

/// First chain keys lie in pages of 32 leaves (section 7.2). A page whose leaves are all gone leaves the store with them, and no
/// key of it stays.
#[test]
fn the_chain_keys_of_those_who_are_gone_leave_the_store() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device("bob"));
    let group = world.group(&mut maria, &mut [&mut bob]);
    let guests = (0..40).map(|n| world.device(&format!("guest{n}")).package()).collect();
    maria.client.change(&group, Change::Add(guests)).unwrap();
    world.quiet(&mut [&mut maria, &mut bob]);

    let pages = |disk: &Disk| -> Vec<(u8, Vec<u8>)> {
        let records = disk.records().into_iter();
        records.filter(|(name, _)| name.starts_with(&[21])).map(|(name, value)| (name[name.len() - 1], value)).collect()
    };
    let before = pages(&bob.disk);
    assert_eq!(before.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [0, 1]);
    let state = maria.client.group(&group).unwrap();
    let late: Vec<_> =
        state.state().leaves().filter(|(leaf, _)| leaf.0 >= 32).map(|(_, leaf)| leaf.user().clone()).collect();
    assert_eq!(late.len(), 10);
    for user in late {
        maria.client.change(&group, Change::Remove(user)).unwrap();
    }
    world.quiet(&mut [&mut maria, &mut bob]);

    for device in [&maria, &bob] {
        let after = pages(&device.disk);
        assert_eq!(after.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [0]);
        let old_key = |(_, page): &(u8, Vec<u8>)| page[page.len() - 32..].to_vec();
        let medium: Vec<u8> = device.disk.records().into_values().flatten().collect();
        for key in before.iter().map(old_key) {
            assert!(!medium.windows(32).any(|window| window == key));
        }
    }
}

/// Everything that came after the removal, as a hub in league with the removed would show it.
fn all_traffic(world: &World, of: &mut Device, group: convivio::GroupId) -> Vec<LogEntry> {
    let leaf = of.client.group(&group).unwrap().own_index();
    world.hub.fetch(&convivio::client::Subscription { group, leaf, next: 1 })
}

#[test]
fn the_removed_read_nothing_after_it_with_all_their_keys_and_all_the_traffic() {
    let mut world = World::new();
    let (mut maria, mut anna, mut bob) = (world.device("maria"), world.device("anna"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut anna, &mut bob]);
    world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
    // Bob keeps a copy of his device from before the removal.
    let kept = bob.disk.copy();
    maria.client.change(&group, Change::Remove(bob.user.clone())).unwrap();
    world.quiet(&mut [&mut maria, &mut anna]);
    maria.say(&group, "he is gone");
    anna.say(&group, "at last");
    world.quiet(&mut [&mut maria, &mut anna]);
    anna.client.change(&group, Change::Heal).unwrap();
    world.quiet(&mut [&mut maria, &mut anna]);
    anna.say(&group, "and again");
    world.quiet(&mut [&mut maria, &mut anna]);

    // He sees the whole log, with the stanzas of whomever he likes in the place of his own.
    let all = all_traffic(&world, &mut anna, group);
    assert!(all.iter().filter(|entry| matches!(entry.body, EntryBody::Message(_))).count() >= 3);
    bob.open(kept.copy());
    bob.receive(&all);
    assert_eq!(bob.heard(), []);
    // Nor with the removal itself withheld.
    bob.open(kept.copy());
    let without: Vec<LogEntry> = all
        .iter()
        .filter(|entry| matches!(entry.body, EntryBody::Message(_)))
        .zip(bob.client.group(&group).unwrap().next_entry()..)
        .map(|(entry, seq)| LogEntry { seq, ..entry.clone() })
        .collect();
    bob.receive(&without);
    assert_eq!(bob.heard(), []);
}

#[test]
fn the_removed_post_nothing_that_counts() {
    let mut world = World::new();
    let (mut maria, mut anna, mut bob) = (world.device("maria"), world.device("anna"), world.device_of(1, "bob"));
    let mut policy = world.policy();
    (policy.add, policy.remove) = (Role::Member, Role::Member);
    let group = world.group_under(policy, &mut maria, &mut [&mut anna, &mut bob]);
    world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
    // Made by Bob's device while he was in: a message, and a commit that would bring in a friend.
    let mut friend = world.device_of(1, "friend");
    bob.say(&group, "I am still here");
    bob.client.change(&group, Change::Add(vec![friend.package()])).unwrap();
    let posts = bob.outbox();
    assert_eq!(posts.len(), 2);

    maria.client.change(&group, Change::Remove(bob.user.clone())).unwrap();
    world.quiet(&mut [&mut maria, &mut anna]);
    let epoch = maria.epoch(&group);
    let courier = world.courier.domain().clone();
    for post in posts {
        // By the rules of the hub he is behind; a hub in league with him takes it all the same.
        assert_eq!(world.hub.post(&courier, &post), PostReply::Behind);
        let taken = (1..9).map(|after| world.hub.post(&courier, &Post { after, ..post.clone() }));
        assert!(taken.into_iter().any(|reply| reply == PostReply::Accepted));
    }
    maria.news();
    world.quiet(&mut [&mut maria, &mut anna]);
    assert!(maria.news().iter().all(|what| matches!(what, EventKind::Void { .. })));
    assert_eq!((maria.epoch(&group), maria.heard(), anna.heard()), (epoch, vec![], vec![]));
    assert!(!maria.has(&group, &friend.user));
    // And the group goes on.
    anna.say(&group, "nothing happened");
    world.quiet(&mut [&mut maria, &mut anna]);
    assert_eq!(maria.heard().len(), 1);
    agree(&group, &mut [&mut maria, &mut anna]);
}

#[test]
fn the_removed_come_back_only_by_an_admins_own_act() {
    let mut world = World::new();
    let (mut maria, mut anna, mut bob) = (world.device("maria"), world.device("anna"), world.device_of(1, "bob"));
    let mut policy = world.policy();
    policy.add = Role::Member;
    let group = world.group_under(policy, &mut maria, &mut [&mut anna, &mut bob]);
    world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
    let (old, fresh) = (bob.package(), bob.package());
    maria.client.change(&group, Change::Remove(bob.user.clone())).unwrap();
    world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
    // A member may add whom they like, but not whom an admin has removed; nor another device of the same identity.
    assert_eq!(anna.dropped(&mut world, &group, Change::Add(vec![old])), ErrorKind::NotAllowed);
    let mut laptop = world.device_of(1, "bob");
    assert_eq!(anna.dropped(&mut world, &group, Change::Add(vec![laptop.package()])), ErrorKind::NotAllowed);

    bob.news();
    maria.client.change(&group, Change::Add(vec![fresh])).unwrap();
    world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
    // While he holds the old state, a group of that id, whoever made it, does not take its place.
    assert_eq!((bob.news(), bob.status(&group)), (vec![], Status::Removed));
    bob.client.forget(&group).unwrap();
    world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
    // It is an invitation like any other.
    assert!(matches!(bob.news()[..], [EventKind::Invitation { .. }]));
    assert_eq!(bob.status(&group), Status::Invited);
    bob.client.answer(&group, Answer::Accept).unwrap();
    // No longer barred: members may add his other devices.
    anna.client.change(&group, Change::Add(vec![laptop.package()])).unwrap();
    world.quiet(&mut [&mut maria, &mut anna, &mut bob]);
    agree(&group, &mut [&mut maria, &mut anna, &mut bob]);
    assert_eq!(maria.client.group(&group).unwrap().devices(&bob.user).count(), 2);
}

#[test]
fn what_was_queued_before_a_removal_is_not_sent_after_a_new_invitation_is_declined() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut bob]);
    bob.say(&group, "typed before");
    maria.client.change(&group, Change::Remove(bob.user.clone())).unwrap();
    world.sync(&mut maria);
    world.quiet(&mut [&mut bob, &mut maria]);
    let package = bob.package();
    maria.client.change(&group, Change::Add(vec![package])).unwrap();
    bob.client.forget(&group).unwrap();
    world.quiet(&mut [&mut maria, &mut bob]);
    bob.client.answer(&group, Answer::Decline).unwrap();
    world.quiet(&mut [&mut bob, &mut maria]);
    assert_eq!(maria.heard(), []);
}

#[test]
fn a_lost_device_is_taken_out_by_its_user_and_its_certificate_does_not_return() {
    let mut world = World::new();
    let (mut maria, mut old, mut new) = (world.device("maria"), world.device_of(1, "bob"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut old, &mut new]);
    world.quiet(&mut [&mut maria, &mut old, &mut new]);
    let back = old.package();
    let id = old.client.identity().unwrap().device();
    new.client.change(&group, Change::RemoveDevice(id)).unwrap();
    world.quiet(&mut [&mut new, &mut maria, &mut old]);
    agree(&group, &mut [&mut maria, &mut new]);
    assert_eq!(old.status(&group), Status::Removed);
    assert_eq!(maria.effects().last(), Some(&Effect::DeviceRemoved(old.user.clone(), id)));
    assert_eq!(new.dropped(&mut world, &group, Change::Add(vec![back])), ErrorKind::NotAllowed);
    // Not another's device, and not the one in use.
    let marias = maria.client.identity().unwrap().device();
    assert_eq!(new.refused(&group, Change::RemoveDevice(marias)), ErrorKind::NotMember);
    let own = new.client.identity().unwrap().device();
    assert_eq!(new.dropped(&mut world, &group, Change::RemoveDevice(own)), ErrorKind::NotAllowed);
}

#[test]
fn nobody_removes_themselves_or_who_is_not_there() {
    let mut world = World::new();
    let (mut maria, mut bob, nobody) = (world.device("maria"), world.device_of(1, "bob"), world.device("nobody"));
    let group = world.group(&mut maria, &mut [&mut bob]);
    assert_eq!(maria.dropped(&mut world, &group, Change::Remove(maria.user.clone())), ErrorKind::NotAllowed);
    assert_eq!(maria.dropped(&mut world, &group, Change::Remove(nobody.user.clone())), ErrorKind::NotMember);
}
