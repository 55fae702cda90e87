//! A rule that no row of the list names: the way back into a group is through those who were in it (section 5.7).

use convivio::GroupId;
use convivio::client::{Change, EventKind};
use convivio::group::RejoinRequest;
use convivio::log::{EntryBody, LogEntry};
use convivio::testing::App;

use crate::kit::cbor::array;
use crate::kit::commit::{Forged, WelcomePlan};
use crate::kit::{Hub, Insider, Value};
use crate::support::*;
use crate::witness::{Pair, lasting};

/// A commit that puts the device of this request in the place of the leaf `old`, and its welcome.
fn readmission(by: &mut Insider, request: &RejoinRequest, old: u32) -> (Forged, WelcomePlan) {
    let leaf = request.package().leaf().to_bytes();
    let consent = *request.to_bytes().last_chunk::<64>().unwrap();
    let mut plan = by.plan(vec![array![5, u64::from(old), Value::decode(&leaf), consent]]);
    let new = plan.next.next_leaf;
    plan.opened = vec![(new, request.package().leaf().claims().domain().as_str().to_owned())];
    plan.dropped = vec![old];
    plan.next.next_leaf += 1;
    plan.next.leaves.retain(|(index, _)| *index != old);
    plan.next.set_leaf(new, leaf);
    let forged = plan.seal();
    let mut welcome = forged.welcome();
    welcome.replaced = vec![array![u64::from(new), u64::from(old), consent]];
    (forged, welcome)
}

/// A stranger with a group of their own, to which they give the id of ours and in which they put Bob's leaf.
fn stranger(device: &Device, own: GroupId, real: &Insider, bob: &Device) -> Insider {
    let mut stranger = Insider::of(device, &own);
    stranger.state.group = real.state.group;
    let bobs = real.state.users.iter().find(|user| user.items()[0].text() == bob.user.as_str()).unwrap();
    stranger.state.users.push(bobs.clone());
    stranger.state.users.sort_by(|a, b| a.items()[0].text().cmp(b.items()[0].text()));
    stranger.state.set_leaf(1, real.state.leaf(1).unwrap().to_vec());
    stranger.state.next_leaf = 2;
    stranger
}

/// A request may leak, and a group's id is its founder's choice: whoever has both could give the device another group in
/// the place of its own, and be told all that waits in its queue.
#[test]
fn a_device_comes_back_only_through_a_member_that_it_knows() {
    let Pair { mut world, mut maria, mut bob, group } = Pair::new();
    maria.client.change(&group, Change::Heal).unwrap();
    world.sync(&mut maria);
    let mut entry = bob.pending(&world.hub, &group).remove(0);
    let EntryBody::Commit { stanza, .. } = &mut entry.body else { panic!("not a commit") };
    *stanza = None;
    bob.receive(&[LogEntry { ..entry }]);
    bob.client.change(&group, Change::Rejoin).unwrap();
    world.post(&mut bob);
    world.sync(&mut maria);
    let request = maria.news().into_iter().find_map(|what| match what {
        EventKind::RejoinRequested { request, .. } => Some(request),
        _ => None,
    });
    let (request, mut real) = (request.unwrap(), Insider::of(&maria, &group));
    bob.news();

    // Someone Bob has never seen, and someone with Maria's name and a key and a root of their own.
    let mut eve = world.device("eve");
    let eves = world.group(&mut eve, &mut []);
    let mut elsewhere = World::with_faults(Default::default(), 2);
    let mut namesake = elsewhere.device("maria");
    let policy = App::policy(&[&elsewhere.photos, &world.courier]).unwrap();
    let theirs = elsewhere.group_under(policy, &mut namesake, &mut []);
    let (hub, before) = (Hub::of(group), lasting(&bob));
    for (device, own) in [(&eve, eves), (&namesake, theirs)] {
        let mut stranger = stranger(device, own, &real, &bob);
        let (forged, welcome) = readmission(&mut stranger, &request, 1);
        hub.show_welcome(&mut bob, &forged.envelope(), &welcome.seal(request.package()));
        assert_eq!((bob.news(), lasting(&bob)), (vec![], before.clone()), "{}", device.user);
    }
    // By Maria's hand the same is a readmission.
    let (forged, welcome) = readmission(&mut real, &request, 1);
    hub.show_welcome(&mut bob, &forged.envelope(), &welcome.seal(request.package()));
    assert!(matches!(bob.news()[..], [EventKind::Rejoined { .. }]));
    assert_eq!(*bob.client.group(&group).unwrap().authenticator(), forged.keys.authenticator);
}
