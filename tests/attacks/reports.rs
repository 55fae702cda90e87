//! Row 23: false reports, and real messages that are to be unreportable.
//!
//! Whoever forges here holds what a member holds and, where it says so, the hub's key as well.

use convivio::client::{Change, EventKind};
use convivio::group::Role;
use convivio::identity::TrustedApps;
use convivio::log::{EntryBody, HubKey, LogEntry, PostBody, Stamp};
use convivio::report::{Evidence, Report, VerifiedReport};
use convivio::testing::App;
use convivio::{Epoch, ErrorKind, GroupId, MessageId, SigningKey, Timestamp, VerifyKey};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::kit::cbor::{array, hmac, sha256};
use crate::kit::leaf::LeafPlan;
use crate::kit::ratchet::{Place, app_message};
use crate::kit::report::{ReportPlan, StampPlan};
use crate::kit::{Insider, Value};
use crate::support::*;
use crate::witness::append;

/// A hub that works with the forger.
const HUB: [u8; 32] = [0x48; 32];

/// Maria keeps evidence; Bob, of the other app, has said something.
struct Told {
    world: World,
    group: GroupId,
    maria: Device,
    bob: Device,
    mallory: Device,
    id: MessageId,
}

impl Told {
    fn new(text: &str) -> Self {
        let mut world = World::new();
        let (mut maria, mut bob) = (world.device("maria"), world.device_of(1, "bob"));
        let mut mallory = world.device("mallory");
        world.hub.set_time(START);
        let group = world.group(&mut maria, &mut [&mut bob, &mut mallory]);
        maria.client.keep_evidence(true).unwrap();
        let id = bob.say(&group, text);
        world.quiet(&mut [&mut maria, &mut bob, &mut mallory]);
        Self { world, group, maria, bob, mallory, id }
    }

    fn trust(&self) -> TrustedApps {
        App::trust(&[&self.world.photos, &self.world.courier]).unwrap()
    }

    /// The report of what Maria heard last.
    fn report(&self) -> Report {
        self.report_of(&reportable(&self.maria).pop().unwrap())
    }

    fn report_of(&self, heard: &Heard) -> Report {
        let stamp = self.world.hub.stamp(&heard.group, heard.seq).unwrap();
        Report::new(&heard.evidence, &heard.content, stamp).unwrap()
    }

    fn plan(&self) -> ReportPlan {
        self.plan_of(&reportable(&self.maria).pop().unwrap())
    }

    fn plan_of(&self, heard: &Heard) -> ReportPlan {
        ReportPlan::from_bytes(&self.report_of(heard).to_bytes())
    }

    fn verify(&self, report: &Report) -> Result<VerifiedReport, ErrorKind> {
        report.verify(&self.trust(), self.world.hub.public_key()).map_err(|error| error.kind())
    }

    /// What comes of this before the honest hub's key.
    fn judge(&self, plan: &ReportPlan) -> Result<VerifiedReport, ErrorKind> {
        self.verify(&Report::from_bytes(&plan.encode()).unwrap())
    }

    /// What comes of this if the hub stamps whatever it is about.
    fn judge_stamped(&self, plan: &ReportPlan) -> Result<VerifiedReport, ErrorKind> {
        let mut plan = plan.clone();
        plan.stamp(&HUB);
        let report = Report::from_bytes(&plan.encode()).unwrap();
        report.verify(&self.trust(), &public(&HUB)).map_err(|error| error.kind())
    }
}

fn public(seed: &[u8; 32]) -> VerifyKey {
    SigningKey::from_seed(seed).verify_key().clone()
}

struct Heard {
    group: GroupId,
    seq: u64,
    id: MessageId,
    content: Vec<u8>,
    evidence: Evidence,
}

/// The messages that came to this device with evidence.
fn reportable(device: &Device) -> Vec<Heard> {
    let heard = device.events.iter().filter_map(|event| match &event.what {
        EventKind::Message { id, content, evidence: Some(evidence), .. } => {
            let (content, evidence) = (content.clone(), evidence.clone());
            Some(Heard { group: event.group, seq: event.seq, id: *id, content, evidence })
        }
        _ => None,
    });
    heard.collect()
}

/// The frame of an entry, as the hub has it.
fn logged(world: &World, maria: &mut Device, group: &GroupId, seq: u64) -> Vec<u8> {
    let mut wanted = maria.client.subscriptions().unwrap().remove(0);
    wanted.next = seq;
    assert_eq!(wanted.group, *group);
    let entry = world.hub.fetch(&wanted).remove(0);
    let EntryBody::Message(frame) = entry.body else { panic!("not a message") };
    frame
}

#[test]
fn row_23_a_report_says_who_said_what_where_and_by_when() {
    let mut told = Told::new("I know where you live");
    let report = told.report();
    let verified = told.verify(&report).unwrap();
    assert_eq!(*verified.user(), told.bob.user);
    assert_eq!(verified.device(), told.bob.client.identity().unwrap().device());
    assert_eq!(verified.app(), told.world.courier.domain());
    assert_eq!(verified.leaf().identity_key(), told.bob.client.identity().unwrap().credential().identity_key());
    assert_eq!((verified.content(), verified.id()), ("I know where you live".as_bytes(), told.id));
    assert_eq!((verified.group(), verified.epoch()), (told.group, Epoch(1)));
    assert_eq!((verified.began(), verified.seen_at()), (START, START));
    // By hand it is the frame that was logged, and signed as the page says.
    let plan = told.plan();
    assert_eq!(plan.frame(), logged(&told.world, &mut told.maria, &told.group, verified.seq()));
    let bobs = Insider::of(&told.bob, &told.group);
    let mut again = plan.clone();
    again.sign(&bobs.keys.signing);
    assert_eq!(again, plan);
    assert_eq!(plan.context_hash(), bobs.epoch().context_hash);
    assert_eq!(plan.encode(), report.to_bytes());
    // It goes on holding, when the group and the clocks have gone on and Bob is out of it.
    told.maria.client.change(&told.group, Change::Remove(told.bob.user.clone())).unwrap();
    told.world.clock.advance(400 * DAY);
    told.world.quiet(&mut [&mut told.maria, &mut told.mallory]);
    assert_eq!(told.verify(&Report::from_bytes(&report.to_bytes()).unwrap()), Ok(verified));
}

/// Whatever a member makes of its frames: what a reader shows to its user, that user can report.
#[test]
fn row_23_no_message_that_is_accepted_is_unreportable() {
    let mut told = Told::new("hello");
    let mut insider = Insider::of(&told.bob, &told.group);
    let (epoch, signing) = (insider.epoch(), insider.keys.signing);
    let next = insider.next_place(insider.own());
    let long = "x".repeat(60_000);
    // Late, after a gap, in any order; with a salt that follows from nothing; empty, and as long as can be.
    let said = [(7, "after a gap"), (3, "late"), (0, ""), (1, long.as_str()), (1_900, "far ahead"), (8, "again late")];
    for (ahead, text) in said {
        let at = Place { generation: next.generation + ahead, ..next };
        let (key, salt, nonce) = (insider.message_key(at).unwrap(), insider.random(), insider.random());
        let carried = app_message(&insider.seen, nonce, text.as_bytes());
        let padded = crate::kit::envelope::pad(&carried);
        let signature = crate::kit::cbor::sign(&signing, "sign message", &epoch.signed(at, &salt, &padded));
        let frame = epoch.encrypt(at, (&key, salt), &[padded, signature.to_vec()].concat());
        append(&mut told.world, told.group, PostBody::Message(frame));
    }
    // Among forgeries, so that they are opened again one by one.
    let forged = insider.frame(Place { generation: next.generation + 9, ..next }, &[9; 32], b"forged");
    append(&mut told.world, told.group, PostBody::Message(forged));
    told.world.read(&mut told.maria);
    let heard = reportable(&told.maria);
    assert_eq!(told.maria.heard().len(), 1 + said.len());
    assert_eq!(heard.len(), 1 + said.len());
    for message in heard {
        let verified = told.verify(&told.report_of(&message)).unwrap();
        assert_eq!((verified.id(), verified.user()), (message.id, &told.bob.user));
        assert_eq!(verified.content(), message.content);
    }
}

#[test]
fn row_23_no_byte_of_a_report_can_change() {
    let told = Told::new("hello");
    let honest = told.report().to_bytes();
    for at in 0..honest.len() {
        let mut changed = honest.clone();
        changed[at] ^= 1 << (at % 8);
        if let Ok(report) = Report::from_bytes(&changed) {
            assert!(told.verify(&report).is_err(), "byte {at} changed and nobody noticed");
        }
    }
}

/// Each part changed by a member, with the frame and the hub's own stamp made to fit: what is left is the signature.
#[test]
fn row_23_another_content_or_place_does_not_hold_though_the_hub_helps() {
    let told = Told::new("I like you");
    let honest = told.plan();
    assert!(told.judge_stamped(&honest).is_ok(), "the control");
    type Change = fn(&mut ReportPlan);
    let changes: [(&str, Change); 12] = [
        ("the text", |plan| plan.text = b"I hate you".to_vec()),
        ("a text of another length", |plan| plan.text.push(b'!')),
        ("the nonce", |plan| plan.nonce[0] ^= 1),
        ("what was seen", |plan| plan.seen[0] ^= 1),
        ("the leaf index", |plan| plan.at.leaf += 1),
        ("the generation", |plan| plan.at.generation += 1),
        ("the salt", |plan| plan.salt[0] ^= 1),
        ("the epoch", |plan| *plan.context.item(3) = Value::Int(2)),
        ("the time", |plan| *plan.context.item(4) = Value::Int(START.0 + 1)),
        ("the members", |plan| *plan.context.item(5) = array![[7; 32]].items()[0].clone()),
        ("the signature", |plan| plan.signature[40] ^= 1),
        ("the group", |plan| {
            *plan.context.item(2) = array![[7; 16]].items()[0].clone();
            plan.stamp.group = [7; 16];
        }),
    ];
    for (what, change) in changes {
        let mut plan = honest.clone();
        change(&mut plan);
        assert_ne!(plan, honest);
        assert_eq!(told.judge_stamped(&plan), Err(ErrorKind::Unauthentic), "{what}, stamped");
        assert_eq!(told.judge(&plan), Err(ErrorKind::Unauthentic), "{what}");
    }
    let mut plan = honest;
    *plan.context.item(1) = Value::Int(2);
    assert_eq!(Report::from_bytes(&plan.encode()).map_err(|error| error.kind()), Err(ErrorKind::Unsupported));
}

/// Under which leaf it is shown is not the reporter's choice either.
#[test]
fn row_23_a_message_is_not_put_in_another_members_mouth() {
    let told = Told::new("I know where you live");
    let honest = told.plan();
    let mallory = Insider::of(&told.mallory, &told.group);
    let (state, device) = (mallory.state.clone(), mallory.device.unwrap());
    let bobs = LeafPlan::like(&honest.leaf);
    let mallorys = LeafPlan::like(state.leaf(mallory.own()).unwrap());
    // Mallory says it herself, and shows Maria's leaf, or one that names Bob but has Mallory's keys.
    let mut said = honest.clone();
    said.sign(&mallory.keys.signing);
    let named = LeafPlan { signature_key: mallorys.signature_key.clone(), ..bobs.clone() };
    for leaf in [honest.leaf.clone(), state.leaf(0).unwrap().to_vec(), named.sign(&device)] {
        let plan = ReportPlan { leaf, ..said.clone() };
        assert_eq!(told.judge_stamped(&plan), Err(ErrorKind::Unauthentic));
    }
    // What Bob said is not what Maria or Mallory said.
    for index in [0, mallory.own()] {
        let leaf = state.leaf(index).unwrap().to_vec();
        for at in [honest.at, Place { leaf: index, ..honest.at }] {
            let plan = ReportPlan { leaf: leaf.clone(), at, ..honest.clone() };
            assert_eq!(told.judge_stamped(&plan), Err(ErrorKind::Unauthentic));
        }
    }
    // The identity of one in the leaf of another is not even a leaf.
    let mut mixed = Value::decode(&honest.leaf);
    *mixed.item(2) = Value::from(mallorys.identity.as_slice());
    let plan = ReportPlan { leaf: mixed.encode(), ..honest.clone() };
    assert_eq!(Report::from_bytes(&plan.encode()).map_err(|error| error.kind()), Err(ErrorKind::Malformed));
    // Mallory can claim for herself what Bob said, and nobody can do that to her.
    let stolen = LeafPlan { signature_key: bobs.signature_key, ..mallorys };
    let plan = ReportPlan { leaf: stolen.sign(&device), ..honest };
    assert_eq!(*told.judge(&plan).unwrap().user(), told.mallory.user);
}

#[test]
fn row_23_a_message_is_not_moved_to_another_group_or_epoch() {
    let mut told = Told::new("only among us");
    let honest = told.plan();
    let other = told.world.group(&mut told.maria, &mut [&mut told.bob, &mut told.mallory]);
    told.bob.say(&other, "in public");
    told.maria.client.change(&told.group, Change::Heal).unwrap();
    told.world.quiet(&mut [&mut told.maria, &mut told.bob, &mut told.mallory]);
    told.bob.say(&told.group, "later");
    told.world.quiet(&mut [&mut told.maria, &mut told.bob, &mut told.mallory]);
    let heard = reportable(&told.maria);
    for (group, text, epoch) in [(other, "in public", 1), (told.group, "later", 2)] {
        let elsewhere = heard.iter().find(|heard| heard.content == text.as_bytes()).unwrap();
        let elsewhere = told.plan_of(elsewhere);
        let insider = Insider::of(&told.bob, &group);
        assert_eq!(
            (elsewhere.context_hash(), elsewhere.context.items()[3].int()),
            (insider.epoch().context_hash, epoch)
        );
        // The other place's context, leaf and stamp, one by one and together, around what was said in the first.
        for choice in 1..8 {
            let mut plan = honest.clone();
            if choice & 1 > 0 {
                plan.context = elsewhere.context.clone();
            }
            if choice & 2 > 0 {
                plan.leaf = elsewhere.leaf.clone();
            }
            if choice & 4 > 0 {
                plan.stamp = elsewhere.stamp.clone();
            }
            // In the next epoch Bob has the same leaf, with which nothing is changed.
            assert_eq!(told.judge(&plan).is_ok(), plan == honest, "{choice}");
        }
        // Nor if the hub logs it there.
        let moved = ReportPlan { context: elsewhere.context.clone(), leaf: elsewhere.leaf.clone(), ..honest.clone() };
        assert_eq!(told.judge_stamped(&moved), Err(ErrorKind::Unauthentic));
        let mut moved = honest.clone();
        moved.stamp = StampPlan { frame: sha256(&honest.frame()), ..elsewhere.stamp };
        moved.stamp.sign(&HUB);
        let report = Report::from_bytes(&moved.encode()).unwrap();
        let there = report.verify(&told.trust(), &public(&HUB)).map(drop).map_err(|error| error.kind());
        assert_eq!(there, if group == told.group { Ok(()) } else { Err(ErrorKind::Unauthentic) });
    }
}

#[test]
fn row_23_a_stamp_is_of_one_message_by_one_hub() {
    let mut told = Told::new("the first");
    told.bob.say(&told.group, "the other");
    told.world.quiet(&mut [&mut told.maria, &mut told.bob]);
    let heard = reportable(&told.maria);
    let [first, second] = &heard[..] else { panic!() };
    let stamps = [first, second].map(|heard| told.world.hub.stamp(&told.group, heard.seq).unwrap());
    let made = |evidence, content: &[u8], stamp: &Stamp| {
        Report::new(evidence, content, stamp.clone()).map(drop).map_err(|error| error.kind())
    };
    assert_eq!(made(&first.evidence, &first.content, &stamps[0]), Ok(()));
    assert_eq!(made(&first.evidence, &first.content, &stamps[1]), Err(ErrorKind::Misuse));
    assert_eq!(made(&first.evidence, &second.content, &stamps[0]), Err(ErrorKind::Misuse));
    assert_eq!(made(&second.evidence, &first.content, &stamps[0]), Err(ErrorKind::Misuse));
    assert_eq!(made(&first.evidence, &vec![0; 1 << 17], &stamps[0]), Err(ErrorKind::Limit));
    // By hand, where nobody asks.
    let honest = told.plan();
    let with = |stamp| ReportPlan { stamp, ..honest.clone() };
    let of = |stamp: &Stamp| StampPlan::from_bytes(&stamp.to_bytes());
    let changed = |change: fn(&mut StampPlan)| {
        let mut stamp = of(&stamps[1]);
        change(&mut stamp);
        stamp
    };
    assert!(told.judge(&with(of(&stamps[1]))).is_ok(), "the control");
    let foreign = changed(|stamp| stamp.sign(&HUB));
    for stamp in [
        of(&stamps[0]),
        foreign,
        changed(|stamp| stamp.seq += 1),
        changed(|stamp| stamp.received -= 1),
        changed(|stamp| stamp.group[0] ^= 1),
        changed(|stamp| stamp.frame[0] ^= 1),
    ] {
        assert_eq!(told.judge(&with(stamp)), Err(ErrorKind::Unauthentic));
    }
    // Only messages are stamped, and only those that there are.
    let key = HubKey::new(SigningKey::from_seed(&HUB));
    let entry = LogEntry { group: told.group, seq: 1, body: EntryBody::Request(None) };
    assert_eq!(key.stamp(&entry, START).unwrap_err().kind(), ErrorKind::Misuse);
    assert!([0, 1, 99].iter().all(|seq| told.world.hub.stamp(&told.group, *seq).is_none()));
}

#[test]
fn row_23_only_users_of_trusted_apps_are_reported() {
    let told = Told::new("hello");
    let report = told.report();
    let hub = told.world.hub.public_key();
    let under = |apps: &[&App]| report.verify(&App::trust(apps).unwrap(), hub).map(drop).map_err(|error| error.kind());
    assert_eq!(under(&[&told.world.courier]), Ok(()));
    assert_eq!(under(&[&told.world.photos, &told.world.lumen]), Err(ErrorKind::NotAllowed));
    assert_eq!(under(&[]), Err(ErrorKind::NotAllowed));
    // Another root for the same domain.
    let validity = convivio::Validity::starting(START, DAY);
    let impostor = App::new_in("courier.example", validity, &mut StdRng::seed_from_u64(5)).unwrap();
    assert_eq!(under(&[&impostor]), Err(ErrorKind::NotAllowed));
}

/// A sender and a reporter who work together: two contents, both signed for one place, and one frame.
#[test]
fn row_23_one_frame_is_of_one_content() {
    let mut told = Told::new("hello");
    let mut insider = Insider::of(&told.bob, &told.group);
    let signing = insider.keys.signing;
    let at = insider.next_place(insider.own());
    let mut mild = ReportPlan { at, text: b"see you soon".to_vec(), ..told.plan() };
    mild.message_key = insider.message_key(at).unwrap();
    mild.salt = insider.random();
    let mut harsh = ReportPlan { text: b"I'll get you".to_vec(), ..mild.clone() };
    let epoch = insider.epoch();
    for plan in [&mut mild, &mut harsh] {
        plan.header = epoch.encrypt(at, (&plan.message_key, plan.salt), b"")[37..45].try_into().unwrap();
        plan.sign(&signing);
    }
    assert_eq!((mild.header, mild.frame().len()), (harsh.header, harsh.frame().len()));
    append(&mut told.world, told.group, PostBody::Message(mild.frame()));
    told.world.read(&mut told.maria);
    let heard = reportable(&told.maria).pop().unwrap();
    assert_eq!(heard.content, b"see you soon");
    let stamp = StampPlan::from_bytes(&told.world.hub.stamp(&told.group, heard.seq).unwrap().to_bytes());
    mild.stamp = stamp.clone();
    assert!(told.judge(&mild).is_ok());
    harsh.stamp = stamp;
    assert_eq!(told.judge(&harsh), Err(ErrorKind::Unauthentic));
    // Nor under any key that would turn the one frame into the other content: each makes a frame of its own.
    for guess in 0..50 {
        harsh.message_key = hmac(&[guess], b"a guess");
        assert_eq!(told.judge(&harsh), Err(ErrorKind::Unauthentic));
    }
    // Signed twice and logged twice it is two messages, and both are Bob's.
    assert!(told.judge_stamped(&harsh).is_ok());
}

/// Whoever has a report has the key of one message: of the others of the same sender in the same epoch none opens.
#[test]
fn row_23_a_report_opens_no_other_message() {
    let mut told = Told::new("one");
    for text in ["two", "three", "four"] {
        told.bob.say(&told.group, text);
    }
    told.world.quiet(&mut [&mut told.maria, &mut told.bob]);
    let epoch = Insider::of(&told.maria, &told.group).epoch();
    let heard = reportable(&told.maria);
    let plans: Vec<ReportPlan> = heard.iter().map(|heard| told.plan_of(heard)).collect();
    assert_eq!(plans.len(), 4);
    for (n, plan) in plans.iter().enumerate() {
        // The key itself, and all that the steps of a chain make of it.
        let mut keys = vec![plan.message_key];
        for step in 0..8 {
            keys.extend([[1], [2]].map(|input| hmac(&keys[step], &input)));
        }
        for (other, target) in plans.iter().enumerate() {
            let opens = keys.iter().filter(|key| epoch.open(&target.frame(), key).is_some()).count();
            assert_eq!(opens, usize::from(n == other));
        }
    }
}

/// A copy of a message, logged again by another member: of the two stamps the earlier one counts, and nothing else differs.
#[test]
fn row_23_a_message_logged_again_says_only_by_when() {
    let mut told = Told::new("I was angry");
    let honest = told.report();
    let mut again = told.plan();
    told.world.hub.set_time(Timestamp(START.0 + DAY));
    again.message_key = [9; 32];
    append(&mut told.world, told.group, PostBody::Message(again.frame()));
    told.world.read(&mut told.maria);
    assert_eq!(told.maria.heard().len(), 1, "for the members it is void");
    let wanted = told.maria.client.subscriptions().unwrap()[0].next;
    let stamp = told.world.hub.stamp(&told.group, wanted - 1).unwrap();
    again.stamp = StampPlan::from_bytes(&stamp.to_bytes());
    let (first, second) = (told.verify(&honest).unwrap(), told.judge(&again).unwrap());
    assert_eq!((first.id(), first.user(), first.epoch()), (second.id(), second.user(), second.epoch()));
    assert_eq!((first.content(), first.began()), (second.content(), second.began()));
    assert_eq!((first.seen_at(), second.seen_at()), (START, Timestamp(START.0 + DAY)));
    // Earlier than it was there nothing is stamped.
    assert!(first.seq() < second.seq());
}

/// Logged, and void by the group's rules: the report shows that it was signed and logged, and no more.
#[test]
fn row_23_a_void_message_was_signed_all_the_same() {
    let mut told = Told::new("hello");
    let bob = told.bob.user.clone();
    told.maria.client.change(&told.group, Change::Role(bob, Role::Reader)).unwrap();
    told.world.quiet(&mut [&mut told.maria, &mut told.bob, &mut told.mallory]);
    let insider = &mut Insider::of(&told.bob, &told.group);
    let at = insider.next_place(insider.own());
    let (epoch, key, salt) = (insider.epoch(), insider.message_key(at).unwrap(), insider.random());
    let context = &insider.state;
    let mut plan = ReportPlan { at, message_key: key, salt, text: b"not allowed to".to_vec(), ..told.plan() };
    *plan.context.item(3) = Value::Int(context.epoch);
    *plan.context.item(4) = Value::Int(context.time);
    *plan.context.item(5) = Value::from(context.members_hash().as_slice());
    assert_eq!(plan.context_hash(), epoch.context_hash);
    plan.leaf = context.leaf(insider.own()).unwrap().to_vec();
    plan.header = epoch.encrypt(at, (&key, salt), b"")[37..45].try_into().unwrap();
    plan.sign(&insider.keys.signing);
    append(&mut told.world, told.group, PostBody::Message(plan.frame()));
    told.world.read(&mut told.maria);
    assert_eq!(reportable(&told.maria).len(), 1, "it is not shown, and comes without evidence");
    let seq = told.maria.client.subscriptions().unwrap()[0].next - 1;
    plan.stamp = StampPlan::from_bytes(&told.world.hub.stamp(&told.group, seq).unwrap().to_bytes());
    assert_eq!(told.judge(&plan).unwrap().content(), b"not allowed to");
}

#[test]
fn row_23_what_is_no_report_is_refused() {
    let told = Told::new("hello");
    let honest = told.report().to_bytes();
    let mut rng = StdRng::seed_from_u64(23);
    for end in 0..honest.len() {
        assert!(Report::from_bytes(&honest[..end]).is_err(), "{end}");
        let mut noise = honest[..end].to_vec();
        rng.fill_bytes(&mut noise);
        assert!(Report::from_bytes(&noise).is_err());
        assert!(Evidence::from_bytes(&noise).is_err());
        assert!(Stamp::from_bytes(&noise).is_err());
    }
    let mut value = Value::decode(&honest);
    for at in [0, 1] {
        // Of the report, and of the evidence in it.
        let mut newer = value.clone();
        *if at == 0 { newer.item(0) } else { newer.item(1).item(0) } = Value::Int(2);
        let refused = Report::from_bytes(&newer.encode()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unsupported);
    }
    *value.item(2) = Value::from(vec![0; 70_000]);
    assert_eq!(Report::from_bytes(&value.encode()).unwrap_err().kind(), ErrorKind::Limit);
}
