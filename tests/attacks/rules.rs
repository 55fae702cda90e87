//! Rules that no row of the list names and that no other test would miss: bounds of section 2.4, and a few of the rules of
//! section 5.3 that an honest client never comes near.

use convivio::ErrorKind;
use convivio::client::{Change, EventKind, Status};
use convivio::group::{Occasion, Proposal};
use convivio::identity::{AppKeyCertificate, Capabilities, UnverifiedKeyPackage, UnverifiedLeaf};
use convivio::log::{EntryBody, LogEntry, PostBody};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::kit::cbor::{array, public, sign};
use crate::kit::commit::{Plan, WelcomePlan};
use crate::kit::envelope::{open_init_stanza, open_stanza};
use crate::kit::leaf::{Chain, LeafPlan, Names, commit_source, package_source};
use crate::kit::ratchet::Place;
use crate::kit::{Hub, Insider, Value};
use crate::support::*;
use crate::witness::{Pair, Verdict, append, judge, lasting, void_only};

/// A leaf of a key package of some user's device, as good as one that nobody has verified yet.
fn leaf(user: &str, device: u32) -> Vec<u8> {
    let chain = Chain { root: [1; 32], app: [2; 32], identity: [3; 32], device: [4; 32] };
    let mut id = [0; 16];
    id[..4].copy_from_slice(&device.to_be_bytes());
    let (domain, user) = ("photos.example".to_owned(), format!("mimi://photos.example/u/{user}"));
    let validity = (START.0, START.0 + DAY);
    let names = Names { domain, user: user.clone(), certified: user, device: id, serial: 1, validity };
    let plan = LeafPlan {
        suite: 1,
        signature_key: crate::kit::cbor::public(&[5; 32]).to_vec(),
        seal_key: crate::kit::insider::public_seal(&[6; 32]).to_vec(),
        capabilities: array![array![1], array![]],
        validity,
        source: package_source(&device.to_be_bytes(), false, START.0 + DAY),
        identity: chain.device_identity(&names),
    };
    plan.sign(&chain.device)
}

/// The commit that adds these leaves, in the order that commits have; signed, sealed and confirmed.
fn adding(insider: &mut Insider, leaves: impl Iterator<Item = Vec<u8>>) -> Plan {
    let mut leaves: Vec<(Vec<u8>, [u8; 32])> =
        leaves.map(|leaf| (leaf.clone(), crate::kit::leaf::leaf_hash(&leaf))).collect();
    leaves.sort_by_key(|(_, hash)| *hash);
    insider.plan(leaves.iter().map(|(leaf, _)| array![6, Value::decode(leaf)]).collect())
}

fn verdict(pair: &Pair, plan: &Plan) -> Verdict {
    judge(&pair.insider_bob().group(), &plan.seal().entry(1))
}

#[test]
fn a_group_has_ten_thousand_leaves_and_no_more() {
    let pair = Pair::new();
    let mut maria = pair.insider_maria();
    // One leaf made whole and changed in its device's id, so that making ten thousand is quick.
    let mut made = (0..9_999_u32).map(|device| leaf(&format!("u{}", device / 64), device));
    let mut leaves: Vec<Vec<u8>> = made.by_ref().take(9_998).collect();
    // With Maria and Bob that is as many as there may be: refused later, since the keys are all the same.
    assert_eq!(verdict(&pair, &adding(&mut maria, leaves.iter().cloned())), Verdict::Void(ErrorKind::NotAllowed));
    leaves.extend(made);
    assert_eq!(verdict(&pair, &adding(&mut maria, leaves.into_iter())), Verdict::Void(ErrorKind::Limit));
}

#[test]
fn a_user_has_sixty_four_devices_and_no_more() {
    let pair = Pair::new();
    let mut maria = pair.insider_maria();
    let mut devices = |count| adding(&mut maria, (0..count).map(|device| leaf("anna", device)));
    assert_eq!(verdict(&pair, &devices(64)), Verdict::Void(ErrorKind::NotAllowed), "for their keys");
    assert_eq!(verdict(&pair, &devices(65)), Verdict::Void(ErrorKind::Limit));
}

#[test]
fn a_commit_has_ten_thousand_proposals_and_no_more() {
    let pair = Pair::new();
    let mut maria = pair.insider_maria();
    let mut leaves = |count: u64| maria.plan((2..count + 2).map(|leaf| array![2, leaf, true, [0; 64]]).collect());
    assert_eq!(verdict(&pair, &leaves(10_000)), Verdict::Void(ErrorKind::NotMember));
    assert_eq!(verdict(&pair, &leaves(10_001)), Verdict::Void(ErrorKind::Limit));
}

#[test]
fn proposals_have_one_order() {
    let pair = Pair::new();
    let mut maria = pair.insider_maria();
    let info = |name: &str| array![1, array![array![name, "", Value::Null, 0], array![]]];
    let (policy, bob) = (array![0, maria.state.policy.clone()], pair.bob.user.as_str());
    let role = array![7, bob, 2];
    let valid = {
        let mut plan = maria.plan(vec![policy.clone(), info("a"), role.clone()]);
        plan.next.info = array![array!["a", "", Value::Null, 0], array![]];
        let at = plan.next.users.iter().position(|user| user.items()[0].text() == bob).unwrap();
        *plan.next.users[at].item(2) = Value::Int(2);
        plan
    };
    assert_eq!(verdict(&pair, &valid), Verdict::Valid);
    for proposals in [
        vec![info("a"), policy.clone()],
        vec![role.clone(), info("a")],
        vec![info("a"), info("a")],
        vec![info("a"), info("b")],
        vec![role.clone(), role.clone()],
        // Maria's URI is behind Bob's.
        vec![array![7, pair.maria.user.as_str(), 3], role.clone()],
    ] {
        assert_eq!(verdict(&pair, &maria.plan(proposals)), Verdict::Void(ErrorKind::Malformed));
    }
}

#[test]
fn nobody_commits_their_own_leave() {
    let pair = Pair::new();
    let mut bob = pair.insider_bob();
    let signature = sign(&bob.keys.signing, "sign leave", &array![bob.state.group, 1, true]);
    let mut plan = bob.plan(vec![array![2, 1, true, signature]]);
    plan.dropped = vec![1];
    let reader = pair.insider_maria().group();
    assert_eq!(judge(&reader, &plan.seal().entry(0)), Verdict::Void(ErrorKind::NotAllowed));
    // By Maria it is done.
    let mut maria = pair.insider_maria();
    let mut plan = maria.plan(vec![array![2, 1, true, signature]]);
    plan.dropped = vec![1];
    plan.next.leaves.retain(|(index, _)| *index != 1);
    plan.next.users.retain(|user| user.items()[0].text() != pair.bob.user.as_str());
    let forged = plan.seal();
    let part = forged.envelope().split(&[0]).unwrap();
    assert!(maria.group().process(&part, Some(&fresh(&forged.fresh))).is_ok());
}

fn fresh((signing, seal): &([u8; 32], [u8; 32])) -> convivio::group::FreshKeys {
    convivio::group::FreshKeys {
        signing: convivio::SigningKey::from_seed(signing),
        seal: convivio::SealSecret::from_secret(convivio::Secret::from_bytes(&mut seal.clone())),
    }
}

#[test]
fn an_added_leaf_is_of_a_key_package() {
    let mut pair = Pair::new();
    let mut carol = pair.world.device("carol");
    let (package, device) = (carol.package(), crate::kit::Thief::of(&carol).device().1.unwrap());
    let mut maria = pair.insider_maria();
    let honest = maria.adding(&package);
    assert_eq!(verdict(&pair, &honest), Verdict::Valid);
    let source = commit_source(maria.state.group, 2, maria.state.transcript, &[]);
    let leaf = LeafPlan { source, ..LeafPlan::like(&package.leaf().to_bytes()) }.sign(&device);
    let mut plan = maria.plan(vec![array![6, Value::decode(&leaf)]]);
    (plan.opened, plan.next.users, plan.next.next_leaf) = (honest.opened, honest.next.users, honest.next.next_leaf);
    plan.next.set_leaf(2, leaf);
    assert_eq!(verdict(&pair, &plan), Verdict::Void(ErrorKind::NotAllowed));
}

/// Whoever has all of a device's keys can commit as the device. The device itself does not follow: it could not sign in the
/// epoch that comes.
#[test]
fn a_commit_in_our_name_that_is_not_ours_is_not_entered() {
    let Pair { mut maria, mut bob, group, .. } = Pair::new();
    let forged = Insider::of(&bob, &group).plan(Vec::new());
    // Sealed to Bob's present key as well, so that he can read it.
    let mut sealed = forged.seal();
    let (present, sealer) = (LeafPlan::like(Insider::of(&bob, &group).state.leaf(1).unwrap()), sealed.sealer.clone());
    *sealed.stanza(1) = sealer.stanza(&sealer.seed, (&present.seal_key, &[1]), 0);
    let hub = Hub::of(group);
    hub.show(&mut maria, sealed.entry(0));
    assert_eq!(maria.epoch(&group), 2, "for Maria it is Bob's");
    let before = lasting(&bob);
    hub.show(&mut bob, sealed.entry(1));
    assert!(void_only(&bob.news()));
    assert_eq!((lasting(&bob), bob.epoch(&group)), (before, 1));
}

/// The most that is remembered of who was removed; then the oldest may come back by any member's add.
#[test]
fn of_the_barred_the_oldest_is_forgotten_first() {
    let pair = Pair::new();
    let mut maria = pair.insider_maria();
    // A state that has barred as many as there may be, the first two of them Carol and Dave.
    let key = |byte: u8| Value::from(crate::kit::cbor::public(&[byte; 32]));
    let barred = (0..1_024_u32).map(|at| if at < 2 { key(30 + at as u8) } else { key((at % 20) as u8 + 40) });
    maria.state.barred = barred.collect();
    let group = maria.group();
    let bob = pair.bob.user.clone();
    let occasion = Occasion { time: START, seen: [0; 32] };
    let mut rng = StdRng::seed_from_u64(1);
    let made = maria
        .actor(|actor| group.commit(vec![Proposal::Remove(bob)], &Default::default(), occasion, actor, &mut rng))
        .unwrap();
    let next = group.process(&made.envelope.split(&[0]).unwrap(), Some(&made.fresh)).unwrap().group;
    let saved = Value::decode(&next.to_secret_bytes());
    let barred = saved.items()[8].items()[5].items();
    assert_eq!(barred.len(), 1_024);
    assert_eq!(barred[0], key(31), "Carol is forgotten, Dave is not");
    let bobs = pair.insider_bob().device_identity().identity_key().as_bytes().to_vec();
    assert_eq!(barred[1_023], Value::from(bobs));
}

/// A dishonest app makes users and takes them back, as many as it likes, and any member takes that up: nobody whom an admin
/// has removed is forgotten by it.
#[test]
fn a_revocation_pushes_nobody_off_the_barred() {
    let pair = Pair::new();
    let bobs = pair.insider_bob().device_identity().identity_key().clone();
    let word = pair.world.courier.key().revoke(&pair.bob.user, &bobs, START).unwrap();
    let barred_after = |before: u32| {
        let mut maria = pair.insider_maria();
        maria.state.barred = (0..before).map(|at| Value::from(public(&[(at % 20) as u8 + 40; 32]))).collect();
        let (group, occasion) = (maria.group(), Occasion { time: START, seen: [0; 32] });
        let (proposals, mut rng) = (vec![Proposal::Revoke(word.clone())], StdRng::seed_from_u64(1));
        let made =
            maria.actor(|actor| group.commit(proposals, &Default::default(), occasion, actor, &mut rng)).unwrap();
        let next = group.process(&made.envelope.split(&[0]).unwrap(), Some(&made.fresh)).unwrap().group;
        assert!(next.state().user(&pair.bob.user).is_none(), "he is out in any case");
        let saved = Value::decode(&next.to_secret_bytes());
        (maria.state.barred, saved.items()[8].items()[5].items().to_vec())
    };
    let (mut before, after) = barred_after(1_023);
    before.push(bobs.as_bytes().to_vec().into());
    assert_eq!(after, before, "where there is room he is the last of them");
    let (before, after) = barred_after(1_024);
    assert_eq!(after, before, "where there is none, nothing changes");
}

/// What a newer version adds has a number of its own: a known one with other items is garbage for everyone.
#[test]
fn a_known_kind_of_proposal_has_its_items_and_no_others() {
    let Pair { maria, bob, group, .. } = Pair::new();
    let reader = Insider::of(&bob, &group).group();
    let verdict = |proposal: Value| {
        let plan = Insider::of(&maria, &group).plan(vec![proposal]);
        judge(&reader, &plan.seal().entry(1))
    };
    let user = bob.user.as_str();
    assert_eq!(verdict(array![3, user, 0]), Verdict::Void(ErrorKind::Malformed));
    assert_eq!(verdict(array![7, user]), Verdict::Void(ErrorKind::Malformed));
    assert_eq!(verdict(array![8, array![1, 0]]), Verdict::Void(ErrorKind::Malformed));
    for later in [array![9], array![9, user], array![9, 1, 2, 3, 4, 5, 6, 7], array![8, array![2, 0, 0, 0, 0]]] {
        assert_eq!(verdict(later), Verdict::Unopened(ErrorKind::Unsupported));
    }
}

#[test]
fn what_is_signed_has_a_longest_length() {
    // The bytes are nothing either way: those that are too long are not even looked at.
    let statement = |length: usize| array![vec![0xff; length], [0; 64]].encode();
    let kind = |result: convivio::Result<()>| result.unwrap_err().kind();
    let certificate = |length| kind(AppKeyCertificate::from_bytes(&statement(length)).map(drop));
    assert_eq!((certificate(512), certificate(513)), (ErrorKind::Malformed, ErrorKind::Limit));
    let good = leaf("anna", 1);
    let of_leaf = |at: usize, length: usize| {
        let mut leaf = Value::decode(&good);
        *leaf.item(at) = vec![0xff; length].into();
        kind(UnverifiedLeaf::from_bytes(&leaf.encode()).map(drop))
    };
    assert_eq!((of_leaf(0, 1_024), of_leaf(0, 1_025)), (ErrorKind::Malformed, ErrorKind::Limit));
    assert_eq!((of_leaf(2, 2_048), of_leaf(2, 2_049)), (ErrorKind::Malformed, ErrorKind::Limit));
    let package = |length: usize| {
        let bytes = array![vec![0xff; length], vec![0; 1_216]].encode();
        kind(UnverifiedKeyPackage::from_bytes(&bytes).map(drop))
    };
    assert_eq!((package(4_096), package(4_097)), (ErrorKind::Malformed, ErrorKind::Limit));
    let capabilities = |suites: u64, features: u64| {
        let list = |count| Value::List((1..=count).map(Value::Int).collect());
        Capabilities::from_bytes(&array![list(suites), list(features)].encode()).map_err(|error| error.kind())
    };
    assert!(capabilities(16, 64).is_ok());
    assert_eq!((capabilities(17, 0), capabilities(1, 65)), (Err(ErrorKind::Limit), Err(ErrorKind::Limit)));
}

#[test]
fn what_a_message_carries_has_one_encoding() {
    let Pair { maria, mut bob, group, .. } = Pair::new();
    let insider = Insider::of(&maria, &group);
    let (epoch, at) = (insider.epoch(), Place { leaf: 0, generation: 0 });
    let carried = crate::kit::ratchet::app_message(&insider.seen, [1; 16], b"hello");
    let show = |bytes: &[u8], generation: u32, bob: &mut Device| {
        let at = Place { generation, ..at };
        let key = insider.message_key(at).unwrap();
        let frame = epoch.frame(at, &key, (&insider.keys.signing, bytes), [9; 32]);
        Hub::of(group).show(bob, EntryBody::Message(frame));
        bob.heard().len()
    };
    let head_of_content = carried.iter().rposition(|byte| *byte == 0x83).unwrap() - 2;
    assert_eq!(carried[head_of_content], 0x58, "a byte string of 24 bytes");
    let length = carried[head_of_content + 1];
    let longer = [&carried[..head_of_content], &[0x59, 0, length], &carried[head_of_content + 2..]].concat();
    let behind = [carried.as_slice(), &[0]].concat();
    for (generation, bytes) in [(0, longer), (1, behind), (2, carried[1..].to_vec()), (3, vec![])] {
        assert_eq!(show(&bytes, generation, &mut bob), 0);
        assert!(void_only(&bob.news()));
    }
    assert_eq!(show(&carried, 4, &mut bob), 1);
}

/// Bob is shown a commit that he cannot open; the others go on for so many epochs; then he asks.
fn asks_after(epochs: usize) -> Vec<EventKind> {
    let Pair { mut world, mut maria, mut bob, group } = Pair::new();
    for at in 0..epochs {
        maria.client.change(&group, Change::Heal).unwrap();
        world.sync(&mut maria);
        if at == 0 {
            let mut entry = bob.pending(&world.hub, &group).remove(0);
            let EntryBody::Commit { stanza, .. } = &mut entry.body else { panic!("not a commit") };
            *stanza = None;
            bob.receive(&[LogEntry { ..entry }]);
        }
    }
    maria.news();
    bob.client.change(&group, Change::Rejoin).unwrap();
    let PostBody::Request(request) = bob.outbox().remove(0).body else { panic!("not a request") };
    append(&mut world, group, PostBody::Request(request));
    world.read(&mut maria);
    maria.news()
}

#[test]
fn who_is_behind_by_more_than_the_kept_epochs_cannot_ask() {
    // The present epoch and sixty-three before it: Bob's is the last of them, or just gone.
    assert!(matches!(asks_after(63)[..], [EventKind::RejoinRequested { .. }]));
    assert!(void_only(&asks_after(64)));
}

#[test]
fn eight_requests_stay_open_and_the_oldest_goes_first() {
    let Pair { mut world, mut maria, mut bob, group } = Pair::new();
    maria.client.change(&group, Change::Heal).unwrap();
    world.sync(&mut maria);
    let mut entry = bob.pending(&world.hub, &group).remove(0);
    let EntryBody::Commit { stanza, .. } = &mut entry.body else { panic!("not a commit") };
    *stanza = None;
    bob.receive(&[LogEntry { ..entry }]);
    let mut requests = Vec::new();
    for asked in 1..=9 {
        bob.client.change(&group, Change::Rejoin).unwrap();
        world.post(&mut bob);
        world.sync(&mut maria);
        let request = maria.news().into_iter().find_map(|what| match what {
            EventKind::RejoinRequested { request, .. } => Some(request),
            _ => None,
        });
        requests.push(request.unwrap());
        assert_eq!(bob.client.package_ids().unwrap().len(), asked.min(8));
    }
    let held = bob.client.package_ids().unwrap();
    let open: Vec<bool> = requests.iter().map(|request| held.contains(&request.package().id())).collect();
    assert_eq!(open, [false, true, true, true, true, true, true, true, true]);
    // The oldest that is open still brings him back.
    maria.client.change(&group, Change::Readmit(requests.remove(1))).unwrap();
    world.quiet(&mut [&mut maria, &mut bob]);
    assert_eq!(bob.status(&group), Status::Active);
    agree(&group, &mut [&mut maria, &mut bob]);
}

/// A client passes over the commits of another group and epoch before it opens them; so does the pillar by itself.
#[test]
fn a_commit_is_of_this_group_and_epoch() {
    let pair = Pair::new();
    let mut maria = pair.insider_maria();
    let plan = maria.plan(Vec::new());
    assert_eq!(verdict(&pair, &plan), Verdict::Valid);
    let refused = Verdict::Void(ErrorKind::NotAllowed);
    assert_eq!(verdict(&pair, &Plan { group: [9; 16], ..plan.clone() }), refused);
    for epoch in [0, 2, 1 << 40] {
        assert_eq!(verdict(&pair, &Plan { epoch, ..plan.clone() }), refused);
    }
}

#[test]
fn a_welcome_is_signed_by_the_committers_fresh_key() {
    let Pair { mut world, maria, bob, group, .. } = Pair::new();
    let mut carol = world.device("carol");
    let (package, hub) = (carol.package(), Hub::of(group));
    let mut insider = Insider::of(&maria, &group);
    let made = insider.adding(&package).seal();
    let before = lasting(&carol);
    // The key of before the commit, another member's, and one of nobody's.
    for signing in [insider.keys.signing, Insider::of(&bob, &group).keys.signing, [66; 32]] {
        let welcome = WelcomePlan { signing, ..made.welcome() };
        hub.show_welcome(&mut carol, &made.envelope(), &welcome.seal(&package));
        assert_eq!((carol.client.groups().unwrap(), lasting(&carol)), (vec![], before.clone()));
    }
    hub.show_welcome(&mut carol, &made.envelope(), &made.welcome().seal(&package));
    assert_eq!(carol.client.groups().unwrap(), [group]);
}

/// A welcome under its commit's seed would be as open to a quantum computer as that is.
#[test]
fn a_welcome_has_a_seed_of_its_own() {
    let Pair { mut world, mut maria, bob, group } = Pair::new();
    let mut carol = world.device("carol");
    let package = carol.package();
    maria.client.change(&group, Change::Add(vec![package.clone()])).unwrap();
    let post = Hub::of(group).collect(&mut maria).remove(0);
    let (commit, welcome) = crate::kit::hub::commit_of(&post);
    let (commit, welcome) = (commit.split(&[1]).unwrap(), welcome.unwrap().split(package.id().as_bytes()).unwrap());
    let bobs = crate::kit::Thief::of(&bob).group_keys(&group).seal;
    let carols = crate::kit::Thief::of(&carol).packages()[0].init;
    let of_commit = open_stanza(&bobs, (commit.header().bytes(), &[1]), commit.stanza()).unwrap();
    let id = package.id();
    let place = (welcome.header().bytes(), id.as_bytes().as_slice());
    let of_welcome = open_init_stanza(&carols, place, welcome.stanza()).unwrap();
    assert_ne!(of_commit, of_welcome);
}
