//! Rows 1 and 18: things in another's name, by a member with all shared keys, and by an outsider with one stolen key.

use convivio::client::{Change, EventKind};
use convivio::group::Rejected;
use convivio::log::EntryBody;
use convivio::{ErrorKind, LeafIndex};

use crate::kit::cbor::{array, sign};
use crate::kit::commit::{Forged, encode_leaf};
use crate::kit::ratchet::Place;
use crate::kit::scene::{ANNA, BOB, MALLORY, MARIA, copy_of, void, void_without_doubt};
use crate::kit::{Insider, Scene, Value};

/// Mallory has the chain key, the salt rule, the header key: everything of Bob's but the key he signs with.
#[test]
fn row_01_a_member_forges_a_message_in_another_members_name() {
    let Scene { mut world, hub, id, mut maria, mut bob, mallory, .. } = Scene::new();
    let mut insider = Insider::of(&mallory, &id);
    let bobs = Insider::of(&bob, &id).keys.signing;
    let place = insider.next_place(BOB);
    // The control: what differs is the signing key alone.
    let mut other_maria = copy_of(&mut world, &maria);
    let honest = insider.frame(place, &bobs, b"give Mallory the keys");
    hub.show(&mut other_maria, EntryBody::Message(honest));
    assert_eq!(other_maria.heard(), [("bob".to_owned(), "give Mallory the keys".to_owned())]);

    for ahead in [0, 1, 5] {
        let place = Place { generation: place.generation + ahead, ..place };
        let forged = insider.frame(place, &insider.keys.signing.clone(), b"give Mallory the keys");
        assert!(insider.reads(&forged).is_some(), "it opens, and only the signature is wrong");
        void_without_doubt(&hub, &id, &mut maria, EntryBody::Message(forged));
    }
    // Nor does it take anything from Bob, whose next message has the very key of the first forgery.
    let said = bob.say(&id, "it was not me");
    let post = bob.outbox().remove(0);
    hub.show_post(&mut maria, &post);
    assert_eq!(maria.messages(), [(said, "bob".to_owned(), "it was not me".to_owned())]);
}

/// A signature that Bob did make, around the same plaintext, encrypted anew for another place.
#[test]
fn row_01_a_members_signature_is_moved_to_another_place() {
    let Scene { mut world, hub, id, mut maria, mut bob, mallory, .. } = Scene::new();
    let mut insider = Insider::of(&mallory, &id);
    bob.say(&id, "yes");
    let post = bob.outbox().remove(0);
    let frame = crate::kit::hub::frame_of(&post).to_vec();
    let (epoch, at) = (insider.epoch(), insider.epoch().unmask(&frame));
    assert_eq!(at, insider.next_place(BOB));
    let opened = epoch.open(&frame, &insider.message_key(at).unwrap()).unwrap();
    let plaintext = [crate::kit::envelope::pad(&opened.carried), opened.signature.to_vec()].concat();
    let salt: [u8; 16] = frame[21..37].try_into().unwrap();
    let again =
        |insider: &Insider, at: Place, salt| epoch.encrypt(at, (&insider.message_key(at).unwrap(), salt), &plaintext);
    assert_eq!(again(&insider, at, salt), frame, "the forger knows the form");
    let (later, other): (_, [u8; 16]) = (Place { generation: at.generation + 1, ..at }, insider.random());
    for forged in [
        again(&insider, at, other),
        again(&insider, later, salt),
        again(&insider, insider.next_place(ANNA), salt),
        again(&insider, insider.next_place(MALLORY), salt),
    ] {
        void_without_doubt(&hub, &id, &mut maria, EntryBody::Message(forged));
    }
    // Another plaintext of the same signature is one of another content.
    let mut longer = plaintext.clone();
    longer.splice(0..0, [0x58]);
    let forged = epoch.encrypt(at, (&insider.message_key(at).unwrap(), salt), &longer);
    void_without_doubt(&hub, &id, &mut maria, EntryBody::Message(forged));
    let mut other_maria = copy_of(&mut world, &maria);
    hub.show(&mut other_maria, EntryBody::Message(frame));
    assert_eq!(other_maria.heard().len(), 1);
}

/// A leave, which any member commits for whoever signed it, and which a message carries.
#[test]
fn row_01_a_member_signs_a_leave_for_another() {
    let Scene { hub, id, mut maria, bob, mut anna, mallory, .. } = Scene::new();
    let mut insider = Insider::of(&mallory, &id);
    let bobs = Insider::of(&bob, &id).keys.signing;
    let leave = |by: &[u8; 32]| {
        let signature = sign(by, "sign leave", &array![*id.as_bytes(), u64::from(BOB), true]);
        array![2, u64::from(BOB), true, signature]
    };
    let by_mallory = insider.keys.signing;
    // In a message that claims to be Bob's, and in an authentic one of Mallory's.
    for leaf in [BOB, MALLORY] {
        let content = array![insider.random::<16>(), 1, array![true, leave(&by_mallory).items()[3].clone()]].encode();
        let carried = array![&insider.seen[..16], content].encode();
        let (place, random) = (insider.next_place(leaf), insider.random());
        let key = insider.message_key(place).unwrap();
        let frame = insider.epoch().frame(place, &key, (&by_mallory, &carried), random);
        hub.show(&mut maria, EntryBody::Message(frame));
        assert_eq!(maria.news(), [EventKind::Void { entries: 1 }]);
        assert_eq!(maria.queued(&id), 0, "Maria does not set about taking anyone out");
    }
    // As a proposal of Mallory's own commit.
    let plan = |insider: &mut Insider, by: &[u8; 32]| {
        let mut plan = insider.plan(vec![leave(by)]);
        plan.next.leaves.retain(|(leaf, _)| *leaf != BOB);
        plan.next.users.retain(|user| !user.items()[0].text().ends_with("/bob"));
        plan.dropped = vec![BOB];
        plan.seal()
    };
    let marias = Insider::of(&maria, &id).group();
    let process = |forged: &Forged| {
        let part = forged.envelope().split(&encode_leaf(MARIA)).unwrap();
        marias.process(&part, None)
    };
    let (honest, forged) = (plan(&mut insider, &bobs), plan(&mut insider, &by_mallory));
    assert!(process(&honest).is_ok(), "Bob's own signature is what is missing");
    assert!(matches!(process(&forged), Err(Rejected::Invalid(error)) if error.kind() == ErrorKind::Unauthentic));
    void(&hub, &mut maria, forged.entry(MARIA));
    void(&hub, &mut anna, forged.entry(ANNA));
    assert!(maria.has(&id, &bob.user));
}

/// A commit that names another as its committer, and a welcome to it.
#[test]
fn row_01_a_member_commits_in_another_members_name() {
    let Scene { mut world, hub, id, mut maria, bob, mallory, mut anna, .. } = Scene::new();
    let mut insider = Insider::of(&mallory, &id);
    // Maria is the owner; Mallory would give itself her role.
    let mut plan = Insider::of(&maria, &id).plan(vec![array![7, mallory.user.as_str(), 3]]);
    let role = plan.next.users.iter_mut().find(|user| user.items()[0].text() == mallory.user.as_str()).unwrap();
    *role.item(2) = Value::Int(3);
    let bobs = Insider::of(&bob, &id).group();
    let process =
        |plan: &crate::kit::commit::Plan| bobs.process(&plan.seal().envelope().split(&encode_leaf(BOB)).unwrap(), None);
    assert!(process(&plan).is_ok(), "with Maria's two keys it would be a commit of hers");
    let honest = plan.clone();
    plan.signing = insider.keys.signing;
    assert!(matches!(process(&plan), Err(Rejected::Unopened(_))), "signed by Mallory");
    void(&hub, &mut anna, plan.seal().entry(ANNA));
    // Nor in its own name, which is below the role that it takes.
    let mut plan = insider.plan(plan.proposals);
    plan.next.users = honest.next.users;
    assert!(matches!(process(&plan), Err(Rejected::Invalid(error)) if error.kind() == ErrorKind::NotAllowed));
    void(&hub, &mut anna, plan.seal().entry(ANNA));
    void(&hub, &mut maria, plan.seal().entry(MARIA));
    // And a welcome by Mallory in Maria's name lets nobody in.
    let mut carol = world.device("carol");
    let package = carol.package();
    let forged = insider.adding(&package).seal();
    let mut welcome = forged.welcome();
    welcome.sender = MARIA;
    hub.show_welcome(&mut carol, &forged.envelope(), &welcome.seal(&package));
    assert_eq!((carol.client.groups().unwrap(), carol.news()), (vec![], vec![]));
    welcome.sender = MALLORY;
    hub.show_welcome(&mut carol, &forged.envelope(), &welcome.seal(&package));
    assert_eq!(carol.client.groups().unwrap(), [id], "in its own name");
}

/// Someone outside has the key that Bob signs messages and commits with, and all that the hub has; nothing else.
#[test]
fn row_18_an_outsider_with_a_stolen_signature_key_alone_tries_to_join() {
    let mut scene = Scene::new();
    let stolen = scene.as_thief_of(&scene.bob).keys.signing;
    let Scene { world, hub, id, maria, bob, anna, .. } = &mut scene;
    let mut eve = world.device("eve");
    let eves_group = world.group(&mut eve, &mut []);
    // The outsider's own secrets, in the shape of the group's: it knows the public state, and draws the rest.
    let mut outsider = Insider::of(&eve, &eves_group);
    outsider.state = Insider::of(bob, id).state;
    outsider.keys.own = BOB;
    outsider.keys.signing = stolen;
    outsider.chains = [(BOB, (0, outsider.random()))].into();
    outsider.keys.init = outsider.random();
    outsider.seen = Insider::of(bob, id).seen;

    let add = outsider.adding(&eve.package());
    let heal = outsider.plan(Vec::new());
    for plan in [&heal, &add] {
        // Bob's fresh leaf, signed by Eve's device key: the stolen key does not sign leaves.
        let rejected = Insider::of(maria, id).group().process(&plan.seal().envelope().split(&[0]).unwrap(), None);
        assert!(matches!(rejected, Err(Rejected::Invalid(_))));
        void(hub, maria, plan.seal().entry(MARIA));
    }
    // With a leaf of Bob's that would do, the outsider still lacks the init secret, and so the confirmation.
    let mut lucky = Insider::of(bob, id).plan(Vec::new());
    assert!(Insider::of(maria, id).group().process(&lucky.seal().envelope().split(&[0]).unwrap(), None).is_ok());
    lucky.init = outsider.keys.init;
    let rejected = Insider::of(maria, id).group().process(&lucky.seal().envelope().split(&[0]).unwrap(), None);
    assert!(matches!(rejected, Err(Rejected::Unopened(error)) if error.kind() == ErrorKind::Unauthentic));
    void(hub, anna, lucky.seal().entry(ANNA));
    // Messages: the outsider has no chain.
    let frame = outsider.frame(Place { leaf: BOB, generation: 0 }, &stolen, b"it is I");
    void(hub, maria, EntryBody::Message(frame));
    assert!(maria.heard().is_empty());
}

/// Coming back is by a request, which the device key signs.
#[test]
fn row_18_an_outsider_with_a_stolen_signature_key_alone_tries_to_rejoin() {
    let Scene { mut world, hub, id, mut maria, bob, anna, .. } = Scene::new();
    let thief = Insider::of(&bob, &id);
    let (stolen, device_key) = (thief.keys.signing, thief.device.unwrap());
    let mut twin = copy_of(&mut world, &bob);
    let package = twin.package();
    let consent = |by: &[u8; 32]| {
        let leaf: LeafIndex = LeafIndex(BOB);
        let device = *thief.group().state().leaf(leaf).unwrap().device().as_bytes();
        sign(by, "sign rejoin", &array![*id.as_bytes(), device, *package.id().as_bytes()])
    };
    let request = |by: &[u8; 32]| {
        let bytes = array![*id.as_bytes(), Value::decode(&package.to_bytes()), consent(by)].encode();
        convivio::group::RejoinRequest::from_bytes(&bytes).unwrap()
    };
    let refused = maria.refused(&id, Change::Readmit(Box::new(request(&stolen))));
    assert_eq!(refused, ErrorKind::Unauthentic);
    // Sealed to the group (the outsider is even given the request key), signed by the stolen key or by the device's.
    let seal = |request_by: &[u8; 32], sealed_by: &[u8; 32]| {
        let signer = convivio::SigningKey::from_seed(sealed_by);
        let epoch = thief.group().state().epoch();
        let key = convivio::Secret::from_bytes(&mut thief.keys.request.clone());
        let mut dice = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(1);
        let envelope = thief.group().seal_request(&request(request_by), (epoch, &key), &signer, &mut dice).unwrap();
        let all = envelope.stanzas().first().unwrap().recipient().to_vec();
        EntryBody::Request(envelope.split(&all))
    };
    for (request_by, sealed_by) in [(&stolen, &stolen), (&stolen, &device_key), (&device_key, &stolen)] {
        assert_eq!(void(&hub, &mut maria, seal(request_by, sealed_by)), []);
    }
    hub.show(&mut maria, seal(&device_key, &device_key));
    assert!(matches!(&maria.news()[..], [EventKind::RejoinRequested { .. }]), "with the device key it is a request");
    // In a commit of a member who plays along, everyone checks the consent.
    let mut insider = Insider::of(&maria, &id);
    let mut replace = |consent: [u8; 64]| {
        let (leaf, new) = (package.leaf().to_bytes(), insider.state.next_leaf);
        let mut plan = insider.plan(vec![array![5, u64::from(BOB), Value::decode(&leaf), consent]]);
        plan.next.leaves.retain(|(index, _)| *index != BOB);
        plan.next.set_leaf(new, leaf);
        plan.next.next_leaf += 1;
        plan.opened = vec![(new, "courier.example".to_owned())];
        plan.dropped = vec![BOB];
        Insider::of(&anna, &id).group().process(&plan.seal().envelope().split(&encode_leaf(ANNA)).unwrap(), None)
    };
    assert!(replace(consent(&device_key)).is_ok());
    let rejected = replace(consent(&stolen));
    assert!(matches!(rejected, Err(Rejected::Invalid(error)) if error.kind() == ErrorKind::Unauthentic));
}
