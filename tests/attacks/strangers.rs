//! Rules that no row of the list names, about the way back into a group: through those who were in it, by a leaf that is no
//! older, and not in the commit that removes (sections 5.3 and 5.7).

use convivio::client::{Change, EventKind};
use convivio::group::RejoinRequest;
use convivio::log::{EntryBody, LogEntry};
use convivio::testing::App;
use convivio::{ErrorKind, GroupId};

use crate::kit::cbor::{array, public, sign};
use crate::kit::commit::{Forged, WelcomePlan};
use crate::kit::insider::public_seal;
use crate::kit::leaf::{Chain, LeafPlan, Names, leaf_hash, package_source};
use crate::kit::{Hub, Insider, Value};
use crate::support::*;
use crate::witness::{Pair, Verdict, judge, lasting};

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

/// All keys of Carol's, of an app of her own.
const CAROL: Chain = Chain { root: [71; 32], app: [72; 32], identity: [73; 32], device: [74; 32] };

/// A leaf of Carol's device, of a certificate with this serial, good from this time on, with keys of this number.
fn carols(serial: u64, not_before: u64, keys: u8) -> Vec<u8> {
    leaf_of((CAROL, "carol", 7), serial, not_before, keys)
}

/// The same of anyone at that app, and any device.
fn leaf_of((chain, user, device): (Chain, &str, u8), serial: u64, not_before: u64, keys: u8) -> Vec<u8> {
    let user = format!("mimi://fake.example/u/{user}");
    let validity = (START.0 - DAY, START.0 + DAY);
    let domain = "fake.example".to_owned();
    let names = Names { domain, user: user.clone(), certified: user, device: [device; 16], serial, validity };
    let plan = LeafPlan {
        suite: 1,
        signature_key: public(&[keys; 32]).to_vec(),
        seal_key: public_seal(&[keys + 1; 32]).to_vec(),
        capabilities: array![array![1], array![]],
        validity: (not_before, START.0 + DAY),
        source: package_source(&[keys], false, START.0 + DAY),
        identity: chain.device_identity(&names),
    };
    plan.sign(&chain.device)
}

/// A member's view of a group in which Carol has the leaf 2, by her fifth certificate.
fn with_carol(mut insider: Insider) -> Insider {
    let state = &mut insider.state;
    state.users.push(array!["mimi://fake.example/u/carol", public(&CAROL.identity), 1, 0]);
    state.users.sort_by(|a, b| a.items()[0].text().cmp(b.items()[0].text()));
    state.set_leaf(2, carols(5, START.0, 80));
    state.next_leaf = 3;
    let mut apps = state.policy.items()[0].items().to_vec();
    apps.push(array!["fake.example", array![public(&CAROL.root)]]);
    apps.sort_by(|a, b| a.items()[0].text().cmp(b.items()[0].text()));
    *state.policy.item(0) = Value::List(apps);
    insider
}

#[test]
fn a_leaf_is_replaced_by_one_that_is_no_older() {
    let pair = Pair::new();
    let (mut maria, reader) = (with_carol(pair.insider_maria()), with_carol(pair.insider_bob()).group());
    let mut replaced_by = |leaf: Vec<u8>| {
        let consent = sign(&CAROL.device, "sign rejoin", &array![maria.state.group, [7; 16], leaf_hash(&leaf)]);
        let mut plan = maria.plan(vec![array![5, 2, Value::decode(&leaf), consent]]);
        (plan.opened, plan.dropped) = (vec![(3, "fake.example".to_owned())], vec![2]);
        plan.next.leaves.retain(|(index, _)| *index != 2);
        plan.next.set_leaf(3, leaf);
        plan.next.next_leaf = 4;
        judge(&reader, &plan.seal().entry(1))
    };
    assert_eq!(replaced_by(carols(5, START.0, 90)), Verdict::Valid);
    assert_eq!(replaced_by(carols(6, START.0, 90)), Verdict::Valid);
    let refused = Verdict::Void(ErrorKind::NotAllowed);
    assert_eq!(replaced_by(carols(4, START.0, 90)), refused, "by an earlier certificate");
    assert_eq!(replaced_by(carols(5, START.0 - 1, 90)), refused, "by a package from before the leaf");
    let other = Chain { identity: [75; 32], ..CAROL };
    for (whose, what) in [
        ((other, "carol", 7), "another identity"),
        ((CAROL, "dave", 7), "another user"),
        ((CAROL, "carol", 8), "another device"),
    ] {
        assert_eq!(replaced_by(leaf_of(whose, 5, START.0, 90)), refused, "{what}");
    }
}

/// A removal bars; that a commit undoes that at once would reset what the group knows of the user.
#[test]
fn one_commit_does_not_remove_and_add_the_same_user() {
    let pair = Pair::new();
    let (mut maria, reader) = (with_carol(pair.insider_maria()), with_carol(pair.insider_bob()).group());
    let remove = array![3, "mimi://fake.example/u/carol"];
    let mut plan = maria.plan(vec![remove.clone()]);
    plan.dropped = vec![2];
    plan.next.leaves.retain(|(index, _)| *index != 2);
    plan.next.users.retain(|user| user.items()[0].text() != "mimi://fake.example/u/carol");
    plan.next.barred.push(public(&CAROL.identity).into());
    assert_eq!(judge(&reader, &plan.seal().entry(1)), Verdict::Valid);
    let leaf = carols(5, START.0, 90);
    let mut plan = maria.plan(vec![remove, array![6, Value::decode(&leaf)]]);
    (plan.opened, plan.dropped) = (vec![(3, "fake.example".to_owned())], vec![2]);
    plan.next.leaves.retain(|(index, _)| *index != 2);
    plan.next.set_leaf(3, leaf);
    plan.next.next_leaf = 4;
    assert_eq!(judge(&reader, &plan.seal().entry(1)), Verdict::Void(ErrorKind::NotAllowed));
}

/// Carol has two devices. Either may commit that the other leaves, and neither its own leave.
#[test]
fn no_device_commits_its_own_leave() {
    let pair = Pair::new();
    let with_both = |insider: Insider| {
        let mut insider = with_carol(insider);
        insider.state.set_leaf(3, leaf_of((CAROL, "carol", 8), 5, START.0, 90));
        insider.state.next_leaf = 4;
        insider
    };
    let (mut carol, reader) = (with_both(pair.insider_bob()), with_both(pair.insider_bob()).group());
    (carol.keys.own, carol.keys.signing, carol.keys.seal, carol.device) = (2, [80; 32], [81; 32], Some(CAROL.device));
    let mut leaving = |leaf: u64, signing: u8| {
        let signature = sign(&[signing; 32], "sign leave", &array![carol.state.group, leaf, false]);
        let mut plan = carol.plan(vec![array![2, leaf, false, signature]]);
        plan.dropped = vec![leaf as u32];
        plan.next.leaves.retain(|(index, _)| u64::from(*index) != leaf || leaf == 2);
        judge(&reader, &plan.seal().entry(1))
    };
    assert_eq!(leaving(3, 90), Verdict::Valid);
    assert_eq!(leaving(2, 80), Verdict::Void(ErrorKind::NotAllowed));
}
