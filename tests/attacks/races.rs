//! Row 14: commits at once, invalid ones among them, and orders that differ from member to member. The plain races of
//! honest members are in `tests/racing_commits.rs`.

use convivio::GroupId;
use convivio::client::{Change, EventKind, Status};
use convivio::group::GroupInfo;
use convivio::log::{EntryBody, Post, PostBody, PostReply};

use crate::kit::cbor::array;
use crate::kit::scene::{copy_of, go_on};
use crate::kit::{Hub, Insider, Scene, Thief, Value};
use crate::support::{Device, MINUTE, World, agree};

/// What Mallory posts in the race.
#[derive(Clone, Copy, Debug)]
enum Foul {
    /// A commit that gives itself the owner's role, authentic and confirmed.
    BreaksARule,
    /// An authentic commit of another history.
    OtherHistory,
    /// One that nobody can open.
    Garbage,
}

fn foul(insider: &mut Insider, kind: Foul) -> PostBody {
    let mut plan = match kind {
        Foul::BreaksARule => {
            let user = convivio::identity::UnverifiedLeaf::from_bytes(insider.state.leaf(insider.own()).unwrap());
            let user = user.unwrap().claims().user().as_str().to_owned();
            let mut plan = insider.plan(vec![array![7, user.as_str(), 3]]);
            let place = plan.next.users.iter_mut().find(|entry| entry.items()[0].text() == user).unwrap();
            *place.item(2) = Value::Int(3);
            plan
        }
        _ => insider.plan(Vec::new()),
    };
    if matches!(kind, Foul::OtherHistory) {
        plan.parent = [9; 32];
    }
    let mut forged = plan.seal();
    if matches!(kind, Foul::Garbage) {
        forged.stanzas.iter_mut().for_each(|(_, stanza)| stanza[0] ^= 1);
    }
    PostBody::Commit { commit: forged.envelope(), welcome: None }
}

/// Every order in which two committers post and read, and Mallory posts.
fn orders() -> Vec<Vec<usize>> {
    let honest = crate::support::interleavings(2, 2);
    honest.iter().flat_map(|order| (0..=4).map(|at| [&order[..at], &[2], &order[at..]].concat())).collect()
}

#[test]
fn row_14_two_members_commit_at_once_and_a_member_posts_an_invalid_commit_in_every_interleaving() {
    let orders = orders();
    assert_eq!(orders.len(), 30);
    for kind in [Foul::BreaksARule, Foul::OtherHistory, Foul::Garbage] {
        for order in &orders {
            race(order, kind);
        }
    }
}

fn race(order: &[usize], kind: Foul) {
    let mut world = World::new();
    let (mut maria, mut bob, mut mallory) = (world.device("maria"), world.device_of(1, "bob"), world.device("mallory"));
    let id = world.group(&mut maria, &mut [&mut bob, &mut mallory]);
    world.quiet(&mut [&mut maria, &mut bob, &mut mallory]);
    [&mut maria, &mut bob, &mut mallory].into_iter().for_each(|device| drop(device.news()));
    let before = maria.epoch(&id);
    let renamed = maria.client.change(&id, Change::Info(GroupInfo::new("Renamed", "").unwrap())).unwrap();
    let healed = bob.client.change(&id, Change::Heal).unwrap();
    let body = foul(&mut Insider::of(&mallory, &id), kind);
    let after = Thief::of(&mallory).seen(&id).1;
    let (mut posted, mut foul_is_in) = ([false; 2], false);
    for actor in order {
        match actor {
            2 => {
                // Behind, if it comes too late: then there is nothing to judge.
                let reply = world.hub.post(mallory.user.domain(), &Post { group: id, after, body: body.clone() });
                assert_ne!(reply, PostReply::Refused);
                foul_is_in = reply == PostReply::Accepted;
            }
            n => {
                let device = if *n == 0 { &mut maria } else { &mut bob };
                if core::mem::replace(&mut posted[*n], true) {
                    world.read(device);
                } else {
                    world.post(device);
                }
            }
        }
    }
    // Whoever is in doubt waits for a sign of life, a minute at most.
    for _ in 0..4 {
        world.quiet(&mut [&mut maria, &mut bob, &mut mallory]);
        world.clock.advance(MINUTE / 2 + 1);
    }
    for (device, wanted) in [(&mut maria, renamed), (&mut bob, healed)] {
        let news = device.news();
        let happened = |what: &EventKind| matches!(what, EventKind::Changed { intent, .. } if *intent == Some(wanted));
        assert!(news.iter().any(happened), "{kind:?} {order:?}");
        // Another history is a suspicion, if it is shown at all; a broken rule is void, and garbage a passing doubt.
        let suspected = news.contains(&EventKind::ForkSuspected);
        assert_eq!(suspected, foul_is_in && matches!(kind, Foul::OtherHistory), "{kind:?} {order:?}");
    }
    assert_eq!(maria.epoch(&id), before + 2, "both, once each: {kind:?} {order:?}");
    assert_eq!(bob.client.group(&id).unwrap().state().info().name(), "Renamed");
    agree(&id, &mut [&mut maria, &mut bob, &mut mallory]);
}

/// Each member is shown two commits of one epoch, in either order: every choice for four members.
#[test]
fn row_14_the_hub_shows_different_orders_to_different_members() {
    for choice in 0..16_usize {
        let mut scene = Scene::new();
        let id = scene.id;
        scene.maria.client.change(&id, Change::Heal).unwrap();
        scene.bob.client.change(&id, Change::Heal).unwrap();
        let (ours, theirs) =
            (scene.hub.collect(&mut scene.maria).remove(0), scene.hub.collect(&mut scene.bob).remove(0));
        let Scene { world, hub, maria, bob, anna, mallory, .. } = &mut scene;
        let mut all = [maria, bob, anna, mallory];
        for (n, device) in all.iter_mut().enumerate() {
            let order = if choice >> n & 1 == 0 { [&ours, &theirs] } else { [&theirs, &ours] };
            order.into_iter().for_each(|post| hub.show_post(device, post));
            // The first is the one; the second is void, and only its author makes it anew.
            assert_eq!((device.epoch(&id), device.status(&id)), (2, Status::Active));
        }
        let branch = |n: usize| choice >> n & 1;
        let words = all.each_mut().map(|device| *device.client.group(&id).unwrap().authenticator());
        for a in 0..4 {
            for b in 0..4 {
                assert_eq!(words[a] == words[b], branch(a) == branch(b), "comparing authenticators tells");
            }
        }
        suspect(hub, &id, world, (&mut all, &branch));
        // Nobody is wedged: each branch goes on by itself, the loser's intent with it.
        for wanted in [0, 1] {
            let both = all.iter_mut().enumerate();
            let mut members: Vec<&mut Device> =
                both.filter(|(n, _)| branch(*n) == wanted).map(|(_, device)| &mut **device).collect();
            if members.len() > 1 {
                go_on(hub, &id, &mut members);
            }
        }
    }
}

/// Once a message of one branch is shown in the other, the fork is seen there: on copies, to go on from here.
fn suspect(
    hub: &Hub,
    id: &GroupId,
    world: &mut World,
    (all, branch): (&mut [&mut Device; 4], &dyn Fn(usize) -> usize),
) {
    for from in 0..4 {
        let message = Insider::of(all[from], id).say(b"from the other side");
        for to in (0..4).filter(|to| branch(*to) != branch(from)) {
            let mut copy = copy_of(world, all[to]);
            hub.show(&mut copy, EntryBody::Message(message.clone()));
            assert!(copy.news().contains(&EventKind::ForkSuspected), "{from} to {to}");
            assert_eq!((copy.status(id), copy.heard().len()), (Status::Active, 0), "one frame is no proof");
        }
    }
}

/// Messages of one epoch have no order among themselves: each member may be shown another, and hears them all.
#[test]
fn row_14_the_hub_shows_messages_in_different_orders_to_different_members() {
    let mut scene = Scene::new();
    let id = scene.id;
    let mut posts = Vec::new();
    for n in 0..3 {
        for device in [&mut scene.maria, &mut scene.bob] {
            device.say(&id, &n.to_string());
            posts.push(scene.hub.collect(device).remove(0));
        }
    }
    for (turn, device) in scene.all().into_iter().enumerate() {
        let mut order = posts.clone();
        order.rotate_left(turn + 1);
        if turn % 2 == 1 {
            order.reverse();
        }
        let hub = Hub::of(id);
        order.iter().for_each(|post| hub.show_post(device, post));
        let own = usize::from(turn < 2) * 3;
        assert_eq!(device.heard().len(), 6 - own, "{}", device.user);
        assert_eq!(device.queued(&id), 0);
    }
    scene.goes_on();
}
