//! Row 24: a recipient knows the seed of what it received, and could seal it on. The sender's signature says for whom it
//! was (section 4.4).

use convivio::client::{Change, EventKind};
use convivio::envelope::{Envelope, EnvelopeFor, Opener, Recipient, open_from, seal_to};
use convivio::log::EntryBody;
use convivio::{ErrorKind, SealSecret, Secret, SigningKey};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::kit::envelope::{Content, STANDALONE, Sealer, envelope, open_body, open_init_stanza, open_stanza};
use crate::kit::hub::commit_of;
use crate::kit::{Hub, Insider, Thief, Value};
use crate::support::*;
use crate::witness::{Pair, lasting};

fn secret(byte: u8) -> SealSecret {
    SealSecret::from_secret(Secret::from_bytes(&mut [byte; 32]))
}

/// What a recipient makes of its part: the same header and seed, with a stanza for someone else.
fn sealed_on(seed: [u8; 32], part: &EnvelopeFor, to: (&[u8], &[u8]), content: &Content) -> Envelope {
    let header = part.header().bytes();
    let public = Value::decode(header).items()[5].bytes().to_vec();
    let kind = Value::decode(header).items()[1].int();
    let sealer = Sealer::new(kind, seed, &public);
    assert_eq!(sealer.header, header, "the seed makes the very header");
    envelope(header, &[(to.1.to_vec(), sealer.stanza(&seed, to, 0))], &sealer.body(content))
}

#[test]
fn row_24_a_letter_cannot_be_sealed_on_in_its_senders_name() {
    let (alice, bob, carol) = (SigningKey::from_seed(&[1; 32]), secret(2), secret(3));
    let mut rng = StdRng::seed_from_u64(1);
    let to = [Recipient::X25519 { id: b"bob".to_vec(), key: bob.public() }];
    let letter = seal_to(&alice, b"alice", &to, b"for bob", &mut rng).unwrap();
    let part = letter.split(b"bob").unwrap();
    let header = part.header().bytes();
    let seed = open_stanza(&[2; 32], (header, b"bob"), part.stanza()).unwrap();
    let content = open_body(&seed, header, part.body()).unwrap();
    assert_eq!(content.payload(), b"for bob");
    let carols = (carol.public().as_bytes().as_slice(), b"carol".as_slice());
    let opened = |envelope: Envelope, by: &SealSecret, id: &[u8]| {
        let part = envelope.split(id).unwrap();
        open_from(&part, Opener::X25519(by), id).map(|(opened, from)| (opened.payload().to_vec(), from.key))
    };

    // As it is; Bob can open what he makes of it, so it is made right.
    let own = (bob.public().as_bytes().as_slice(), b"bob".as_slice());
    let again = opened(sealed_on(seed, &part, own, &content), &bob, b"bob").unwrap();
    assert_eq!(again, (b"for bob".to_vec(), alice.verify_key().clone()));
    let on = opened(sealed_on(seed, &part, carols, &content), &carol, b"carol");
    assert_eq!(on.unwrap_err().kind(), ErrorKind::NotAllowed);
    // With Carol among the recipients, which Alice has not signed.
    for ids in [vec![b"carol".to_vec()], vec![b"bob".to_vec(), b"carol".to_vec()]] {
        let content = Content { ids: Some(ids), ..content.clone() };
        let on = opened(sealed_on(seed, &part, carols, &content), &carol, b"carol");
        assert_eq!(on.unwrap_err().kind(), ErrorKind::Unauthentic);
    }
    // Under Bob's own id, which Carol does not have.
    let as_bob = (carol.public().as_bytes().as_slice(), b"bob".as_slice());
    let on = sealed_on(seed, &part, as_bob, &content).split(b"bob").unwrap();
    let on = open_from(&on, Opener::X25519(&carol), b"carol");
    assert_eq!(on.unwrap_err().kind(), ErrorKind::Unauthentic);
    // In his own name he can pass on what he likes.
    let to = [Recipient::X25519 { id: b"carol".to_vec(), key: carol.public() }];
    let passed = seal_to(&SigningKey::from_seed(&[2; 32]), b"bob", &to, b"for bob", &mut rng).unwrap();
    assert_ne!(opened(passed, &carol, b"carol").unwrap().1, *alice.verify_key());
    assert_eq!(Value::decode(header).items()[1].int(), STANDALONE);
}

#[test]
fn row_24_a_request_cannot_be_sealed_on_to_another_group_or_epoch() {
    let Pair { mut world, mut maria, mut bob, group } = Pair::new();
    let other = world.group(&mut maria, &mut [&mut bob]);
    maria.news();
    let insider = Insider::of(&bob, &group);
    let package = bob.package().verify(&insider.group().state().policy().apps, START).unwrap();
    let made = insider.actor(|bob| {
        let group = insider.group();
        let request = group.request_to_rejoin(&package, bob.signer).unwrap();
        let key = (group.state().epoch(), group.request_key());
        group.seal_request(&request, key, bob.signer, &mut StdRng::seed_from_u64(1)).unwrap()
    });
    let part = made.split(&[1]).unwrap();
    let (header, hub) = (part.header().bytes(), Hub::of(group));
    let seed = open_stanza(&insider.keys.request, (header, &[1]), part.stanza()).unwrap();
    let content = open_body(&seed, header, part.body()).unwrap();

    // Into the other group that both are in: as it is, or under that group's key.
    let elsewhere = Insider::of(&maria, &other).keys.request;
    let key = SealSecret::from_secret(Secret::from_bytes(&mut { elsewhere }));
    let to = (key.public().as_bytes().as_slice(), [1].as_slice());
    let on = sealed_on(seed, &part, to, &content).split(&[1]).unwrap();
    // And with that group's address on it, which Bob has not signed.
    let mut public = Value::decode(part.header().public());
    *public.item(0) = other.as_bytes().into();
    let sealer = Sealer::new(4, seed, &public.encode());
    let readdressed = envelope(&sealer.header, &[(vec![1], sealer.stanza(&seed, to, 0))], &sealer.body(&content));
    let before = lasting(&maria);
    for request in [part.clone(), on, readdressed.split(&[1]).unwrap()] {
        Hub::of(other).show(&mut maria, EntryBody::Request(Some(request)));
    }
    assert_eq!(lasting(&maria), before);
    let news = maria.news();
    assert!(news.len() == 3 && news.iter().all(|what| matches!(what, EventKind::Void { entries: 1 })), "{news:?}");
    hub.show(&mut maria, EntryBody::Request(Some(part)));
    // What Maria so learns she cannot use in the other group.
    let request = maria.news().into_iter().find_map(|what| match what {
        EventKind::RejoinRequested { request, .. } => Some(request),
        _ => None,
    });
    let readmit = Change::Readmit(request.unwrap());
    assert_eq!(maria.refused(&other, readmit.clone()), ErrorKind::NotAllowed);
    assert!(maria.client.change(&group, readmit).is_ok());
}

#[test]
fn row_24_a_welcome_cannot_be_sealed_on_to_another_device() {
    let Pair { mut world, mut maria, group, .. } = Pair::new();
    let (mut carol, mut dave) = (world.device("carol"), world.device("dave"));
    let (package, daves) = (carol.package(), dave.package());
    maria.client.change(&group, Change::Add(vec![package.clone()])).unwrap();
    let mut hub = Hub::of(group);
    let post = hub.collect(&mut maria).remove(0);
    let (commit, Some(welcome)) = commit_of(&post) else { panic!("no welcome") };
    // Carol has opened it and knows the seed.
    let part = welcome.split(package.id().as_bytes()).unwrap();
    let init = Thief::of(&carol).packages()[0].init;
    let header = part.header().bytes();
    let seed = open_init_stanza(&init, (header, package.id().as_bytes()), part.stanza()).unwrap();
    let content = open_body(&seed, header, part.body()).unwrap();
    let sealer = Sealer::to_init_keys(3, seed, part.header().public());
    assert_eq!(sealer.header, header);
    let to = |package: &convivio::identity::UnverifiedKeyPackage| {
        let key = Value::decode(&package.to_bytes()).items()[1].bytes().to_vec();
        let id = package.id().as_bytes().to_vec();
        envelope(header, &[(id.clone(), sealer.stanza(&seed, (&key, &id), 0))], &sealer.body(&content))
    };
    let before = lasting(&dave);
    hub.show_welcome(&mut dave, commit, &to(&daves));
    assert_eq!((dave.client.groups().unwrap(), dave.news(), lasting(&dave)), (vec![], vec![], before));
    // To Carol herself it is the welcome that it was.
    hub.show_welcome(&mut carol, commit, &to(&package));
    assert_eq!(carol.client.groups().unwrap(), [group]);
}
