//! Someone makes up an app's root and a known user's name, and gives a group of their own the id of ours.

#[path = "support/impostor.rs"]
mod impostor;
mod support;

use std::sync::atomic::Ordering;

use convivio::client::{Answer, Change, EventKind, Status, Subscription};
use convivio::group::GroupInfo;
use convivio::log::{Post, PostReply};
use convivio::testing::{App, LocalHub};
use convivio::{Client, GroupId, LeafIndex};
use impostor::impostor;
use support::*;

fn pair() -> (World, Device, Device, GroupId) {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut bob]);
    world.quiet(&mut [&mut maria, &mut bob]);
    maria.news();
    bob.news();
    (world, maria, bob, group)
}

/// The id of a group is its founder's choice. A commit of the other group, shown in ours, claims in its clear header to
/// take Bob out: he is told that the hub says so, and goes on until a member is heard. No welcome of the other group
/// replaces the one he holds, not even by the package of his own request: so nothing he says is ever read there.
#[test]
fn another_group_of_the_same_id_neither_removes_a_member_nor_takes_its_place() {
    let (mut world, mut maria, mut bob, group) = pair();
    let (fake, mut eve, armed) = impostor(&world, *group.as_bytes());
    let mut fake_hub = LocalHub::new();
    armed.store(true, Ordering::SeqCst);
    let policy = App::policy(&[&fake, &world.courier]).unwrap();
    let copy = eve.create_group(policy, GroupInfo::new("Trip", "").unwrap()).unwrap();
    assert_eq!(copy, group);
    fake_hub.sync(&mut eve).unwrap();
    let mut sock = world.device_of(1, "sock");
    let package = sock.package();
    eve.change(&copy, Change::Add(vec![package])).unwrap();
    fake_hub.sync(&mut eve).unwrap();
    eve.change(&copy, Change::Remove(sock.user.clone())).unwrap();
    let out = eve.outbox(9).unwrap().remove(0);
    let domain = world.photos.domain().clone();
    let last = bob.client.group(&group).unwrap().next_entry() - 1;
    let real = (0..=last).any(|after| {
        let post = Post { after, ..out.clone() };
        world.hub.post(&domain, &post) == PostReply::Accepted
    });
    assert!(real);
    let id = bob.say(&group, "for maria only");
    world.read(&mut bob);
    assert_eq!(bob.status(&group), Status::Removed, "so says the hub");
    // He asks to come back; the request leaks, and Eve adds him by its package.
    bob.client.change(&group, Change::Rejoin).unwrap();
    world.sync(&mut bob);
    world.sync(&mut maria);
    let request = maria.news().into_iter().find_map(|what| match what {
        EventKind::RejoinRequested { request, .. } => Some(request),
        _ => None,
    });
    fake_hub.sync(&mut eve).unwrap();
    let loose = bob.package();
    let leaked = request.unwrap().package().clone();
    for package in [loose, leaked] {
        eve.change(&copy, Change::Add(vec![package])).unwrap();
        fake_hub.sync(&mut eve).unwrap();
        let welcomes = fake_hub.welcomes(&bob.client.package_ids().unwrap());
        assert!(!welcomes.is_empty());
        bob.receive(&welcomes);
        // Whatever he posts, Eve's log takes.
        bob.say(&group, "and this");
        for post in bob.outbox() {
            let taken =
                (0..99).any(|after| fake_hub.post(&domain, &Post { after, ..post.clone() }) == PostReply::Accepted);
            assert!(taken);
        }
        fake_hub.sync(&mut eve).unwrap();
        bob.restart();
        assert!(bob.client.group(&group).unwrap().state().policy().apps.lists(&domain, world.photos.root().public()));
        eve.change(&copy, Change::Remove(bob.user.clone())).unwrap();
        fake_hub.sync(&mut eve).unwrap();
    }
    let read = eve.inbox(999).unwrap().into_iter().any(|event| matches!(event.what, EventKind::Message { .. }));
    assert!(!read, "an outsider has read Bob's queue");
    // Maria is heard, and all is as it was.
    maria.say(&group, "you are still here");
    for _ in 0..3 {
        world.sync(&mut maria);
        world.post(&mut bob);
        // The hub has believed the header and closed Bob's mailbox; the log is the same in Maria's.
        let next = bob.client.group(&group).unwrap().next_entry();
        let log = world.hub.fetch(&Subscription { group, leaf: LeafIndex(0), next });
        bob.receive(&log);
    }
    world.sync(&mut maria);
    assert!(bob.news().contains(&EventKind::Resumed));
    assert_eq!(bob.heard().len(), 1);
    assert_eq!(maria.messages().iter().filter(|(heard, ..)| *heard == id).count(), 1);
    assert_eq!(maria.heard().len(), 3);
    agree(&group, &mut [&mut maria, &mut bob]);
}

/// The first identity key of a user and the first roots of an app are kept; others are reported, with every invitation,
/// until they are accepted.
#[test]
fn a_made_up_root_and_a_known_users_name_are_reported() {
    let (world, maria, mut bob, _) = pair();
    let (fake, mut eve, _) = impostor(&world, [0; 16]);
    let mut fake_hub = LocalHub::new();
    let mut told = |bob: &mut Device, eve: &mut Client| {
        let policy = App::policy(&[&fake, &world.courier]).unwrap();
        let group = eve.create_group(policy, GroupInfo::new("x", "").unwrap()).unwrap();
        fake_hub.sync(eve).unwrap();
        let package = bob.package();
        eve.change(&group, Change::Add(vec![package])).unwrap();
        fake_hub.sync(eve).unwrap();
        let welcomes = fake_hub.welcomes(&bob.client.package_ids().unwrap());
        bob.receive(&welcomes);
        bob.restart();
        let news = bob.news();
        assert!(matches!(&news[0], EventKind::Invitation { by, .. } if *by == maria.user));
        (group, news[1..].to_vec())
    };
    let strange = [
        EventKind::IdentityChanged { user: maria.user.clone(), verified: false },
        EventKind::RootChanged { domain: world.photos.domain().clone() },
    ];
    let (group, news) = told(&mut bob, &mut eve);
    assert_eq!(news, strange);
    // To accept the invitation is not to accept the keys.
    bob.client.answer(&group, Answer::Accept).unwrap();
    bob.receive(&[]);
    assert_eq!(bob.news(), strange);
    assert_eq!(told(&mut bob, &mut eve).1, strange);
    let key = eve.identity().unwrap().identity_key().clone();
    bob.client.accept_identity(&maria.user, &key).unwrap();
    bob.client.accept_roots(world.photos.domain(), &[fake.root().public().clone()]).unwrap();
    assert_eq!(told(&mut bob, &mut eve).1, []);
}
