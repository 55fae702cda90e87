//! Keeping evidence of messages: only if asked to, across restarts, and for no more than the message that it is of.

mod support;

use convivio::ErrorKind;
use convivio::client::{Change, Event, EventKind};
use convivio::report::{Evidence, Report};
use convivio::testing::App;
use support::*;

/// The messages that came with evidence, and how many came in all.
fn with_evidence(device: &Device) -> (Vec<(&Event, &Evidence)>, usize) {
    let mut all = 0;
    let mut found = Vec::new();
    for event in &device.events {
        let EventKind::Message { evidence, .. } = &event.what else { continue };
        all += 1;
        found.extend(evidence.as_ref().map(|evidence| (event, evidence)));
    }
    (found, all)
}

#[test]
fn evidence_comes_only_if_asked_for_and_the_setting_lasts() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut bob]);
    let mut say = |maria: &mut Device, bob: &mut Device, text| {
        bob.say(&group, text);
        world.quiet(&mut [maria, bob]);
    };
    assert!(!maria.client.keeps_evidence().unwrap());
    assert!(!maria.disk.records().contains_key(&[13][..]), "no setting was made");
    say(&mut maria, &mut bob, "not asked for yet");
    maria.client.keep_evidence(true).unwrap();
    maria.restart();
    assert!(maria.client.keeps_evidence().unwrap());
    say(&mut maria, &mut bob, "asked for");
    maria.restart();
    say(&mut maria, &mut bob, "and still");
    maria.client.keep_evidence(false).unwrap();
    say(&mut maria, &mut bob, "no more");
    maria.restart();
    say(&mut maria, &mut bob, "and never again");
    assert_eq!(maria.heard().len(), 5);
    let (found, all) = with_evidence(&maria);
    let texts: Vec<_> = found.iter().map(|(event, _)| text_of(event)).collect();
    assert_eq!((texts, all), (vec!["asked for".to_owned(), "and still".to_owned()], 5));
    // Nobody else's evidence comes of it, and nothing of what is sent.
    assert!(!bob.client.keeps_evidence().unwrap());
    // Asking for what is so already changes nothing.
    let before = maria.disk.records();
    maria.client.keep_evidence(false).unwrap();
    assert_eq!(maria.disk.records(), before);
}

fn text_of(event: &Event) -> String {
    let EventKind::Message { content, .. } = &event.what else { panic!("not a message") };
    String::from_utf8(content.clone()).unwrap()
}

#[test]
fn evidence_waits_in_the_inbox_and_goes_with_what_is_acknowledged() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut bob]);
    world.quiet(&mut [&mut maria, &mut bob]);
    maria.client.keep_evidence(true).unwrap();
    bob.say(&group, "before the crash");
    world.post(&mut bob);
    let entries = world.hub.deliver(&mut maria.client).unwrap();
    let (told, _) = maria.client.receive(&entries).unwrap();
    maria.restart();
    assert_eq!(maria.client.inbox(9).unwrap(), told, "the same after a restart, with the evidence");
    let EventKind::Message { evidence: Some(evidence), .. } = &told[0].what else { panic!("{told:?}") };
    assert_eq!(Evidence::from_bytes(&evidence.to_bytes()).unwrap(), *evidence);
    let json = serde_json::to_string(&told[0]).unwrap();
    assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), told[0]);
    let holds = |maria: &Device| {
        let key = &evidence.to_bytes()[..];
        maria.disk.records().values().any(|value| value.windows(key.len()).any(|part| part == key))
    };
    assert!(holds(&maria));
    maria.client.ack(told[0].id).unwrap();
    assert!(!holds(&maria), "the app has taken it over");
}

/// The whole way, with an app's server that knows nothing but the report, the apps' roots and the hub's key.
#[test]
fn an_app_verifies_a_report_long_after() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut bob]);
    world.quiet(&mut [&mut maria, &mut bob]);
    maria.client.keep_evidence(true).unwrap();
    world.clock.advance(DAY);
    world.hub.set_time(world.clock.now());
    let id = bob.say(&group, "something that nobody should have to read");
    world.quiet(&mut [&mut maria, &mut bob]);
    let (found, _) = with_evidence(&maria);
    let ((event, evidence), seq) = (found[0], found[0].0.seq);
    let stamp = world.hub.stamp(&group, seq).unwrap();
    let report = Report::new(evidence, text_of(event).as_bytes(), stamp).unwrap().to_bytes();
    assert!(report.len() < 1_300, "{} bytes", report.len());

    // Bob is out, the group is gone for Maria, and everyone's credentials have run out.
    maria.client.change(&group, Change::Remove(bob.user.clone())).unwrap();
    world.quiet(&mut [&mut maria]);
    maria.client.forget(&group).unwrap();
    world.clock.advance(400 * DAY);
    let (trust, hub) = (App::trust(&[&world.courier]).unwrap(), world.hub.public_key().clone());
    let verified = Report::from_bytes(&report).unwrap().verify(&trust, &hub).unwrap();
    assert_eq!((verified.user(), verified.id(), verified.group()), (&bob.user, id, group));
    assert_eq!((verified.began(), verified.seen_at()), (START, convivio::Timestamp(START.0 + DAY)));
    assert_eq!(verified.seq(), seq);
    let nobody = Report::from_bytes(&report).unwrap().verify(&App::trust(&[]).unwrap(), &hub);
    assert_eq!(nobody.unwrap_err().kind(), ErrorKind::NotAllowed);
}

/// What the members and the group are called is not in a report, nor a hash of it alone that can be guessed.
#[test]
fn a_report_shows_nothing_of_the_group_that_can_be_guessed() {
    let mut world = World::new();
    let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
    let mut anna = world.device("anna");
    let group = world.group(&mut maria, &mut [&mut bob, &mut anna]);
    maria.client.keep_evidence(true).unwrap();
    bob.say(&group, "reported");
    world.quiet(&mut [&mut maria, &mut bob, &mut anna]);
    let (found, _) = with_evidence(&maria);
    let stamp = world.hub.stamp(&group, found[0].0.seq).unwrap();
    let report = Report::new(found[0].1, b"reported", stamp).unwrap().to_bytes();
    let contains = |part: &[u8]| report.windows(part.len()).any(|window| window == part);
    assert!(contains(b"/u/bob"), "the sender is named");
    for name in ["/u/maria", "/u/anna", "Trip"] {
        assert!(!contains(name.as_bytes()), "{name}");
    }
    let view = maria.client.group(&group).unwrap();
    let state = view.state();
    let others = state.leaves().filter(|(_, leaf)| *leaf.user() != bob.user);
    for (_, leaf) in others {
        assert!(!contains(leaf.hash().as_bytes()) && !contains(leaf.identity_key().as_bytes()));
    }
    // SHA-256 of what an outsider may guess, under the labels of section 2.3.
    use sha2::{Digest as _, Sha256};
    let hash = |label: &str, encoded: &[u8]| {
        let mut input = minicbor::Encoder::new(Vec::new());
        input.array(2).unwrap().str(label).unwrap();
        let mut input = input.into_writer();
        input.extend_from_slice(encoded);
        Sha256::digest(input)
    };
    assert!(!contains(&hash("hash info", &state.info().to_bytes())));
    assert!(!contains(&hash("hash policy", &state.policy().to_bytes())));
    assert!(!contains(state.transcript()));
}
