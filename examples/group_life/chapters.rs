//! What happens, chapter by chapter.

use std::io::Cursor;
use std::str::FromStr as _;

use convivio::attachment;
use convivio::client::{Answer, Change, EventKind, Status, Verification};
use convivio::content::{Choices, Content, Expiry, Kind, Poll, Status as Seen, features};
use convivio::group::{GroupInfo, InviteLink, Policy, Role};
use convivio::identity::{QrComparison, UnverifiedKeyPackage};
use convivio::linking::{Answering, DeviceOffer, NewDevice, Transfer};
use convivio::report::Report;
use convivio::store::MemoryStore;
use convivio::testing::{App, FaultyStore};

use super::Outcome;
use super::stage::{Stage, enrol};

/// A day.
const DAY: u64 = 24 * 60 * 60;

/// Maria founds the group; Rita is added by a key package, Bob comes by an invite link.
pub(crate) fn people_come(stage: &mut Stage<'_>) -> Outcome {
    stage.chapter("A group of three apps")?;
    let (keys, identity) = enrol(&stage.photos, "maria")?;
    stage.enter_first("maria", keys, identity)?;
    stage.enter(|stage| &stage.shop, "rita")?;
    stage.enter(|stage| &stage.courier, "bob")?;

    let policy = App::policy(&[&stage.photos, &stage.courier, &stage.shop])?;
    let info = GroupInfo::new("Wedding cake", "Saturday, three tiers")?;
    stage.group = stage.client("maria")?.create_group(policy, info)?;
    let group = stage.group;

    let package = stage.client("rita")?.key_packages(1)?.remove(0).to_bytes();
    stage.change("maria", Change::Add(vec![UnverifiedKeyPackage::from_bytes(&package)?]))?;
    let news = stage.who("rita")?.take();
    stage.check(matches!(news[..], [EventKind::Invitation { .. }]), "Rita is asked before anything is shown to her")?;
    stage.client("rita")?.answer(&group, Answer::Accept)?;

    let link = stage.client("maria")?.open_link(&group, "photos.example", 7 * DAY)?.to_text();
    stage.settle()?;
    stage.tell(format!("Maria shows a link of {} characters on the shop's counter", link.len()))?;
    stage.client("bob")?.ask_to_join(&InviteLink::from_str(&link)?)?;
    stage.settle()?;
    let request = stage.who("maria")?.take().into_iter().find_map(|what| match what {
        EventKind::JoinRequested { request, .. } => Some(request),
        _ => None,
    });
    let outside = stage.client("bob")?.groups()?.is_empty();
    stage.check(outside, "Bob asks by the link, and sees nothing until a member lets him in")?;
    stage.change("maria", Change::Admit(request.ok_or("nobody asked")?))?;
    let asked = stage.who("bob")?.take().iter().any(|what| matches!(what, EventKind::Invitation { .. }));
    let inside = stage.client("bob")?.group(&group)?.status() == Status::Active;
    stage.check(inside && !asked, "Maria agrees, and he is in without being asked again")
}

/// Text, Markdown, a reply, a mention, a reaction, an edit, a deletion.
pub(crate) fn they_talk(stage: &mut Stage<'_>) -> Outcome {
    stage.chapter("Talking")?;
    let group = stage.group;
    for feature in [features::TEXT, features::REACTION, features::POLL] {
        let all = stage.client("maria")?.group(&group)?.supports(feature);
        let name = if feature == features::TEXT {
            "text"
        } else if feature == features::POLL {
            "polls"
        } else {
            "reactions"
        };
        stage.tell(format!("every app shows {name}: {}", if all { "yes" } else { "no" }))?;
    }
    let bob = stage.user("bob")?;
    let hello = stage.say("maria", &Content::markdown(&format!("Can [Bob]({bob}) bring it by **four**?")))?;
    let receipts = stage.who("bob")?.conversation.receipts_due(&bob, Seen::Read, [hello])?;
    for receipt in receipts {
        stage.say("bob", &receipt)?;
    }
    let read = stage.who("maria")?.conversation.message(&hello).is_some_and(|view| view.receipts.contains_key(&bob));
    stage.check(read, "Bob agreed to tell when he has read something: Maria sees that he has")?;
    let yes = stage.say("bob", &Content::text("Yes, by 4").reply_to(hello))?;
    stage.say("rita", &Content::text("Please keep it cool"))?;
    stage.say("maria", &Content::reaction(yes, "👍")?)?;
    stage.say("bob", &Content::text("Yes, by half past 3").replacing(yes))?;
    stage.say("rita", &Content::text("By five, I said").replacing(yes))?;
    stage.show("maria", &yes)?;
    stage.show("rita", &hello)?;
    let edited = |stage: &mut Stage<'_>, name: &str| -> Outcome<String> {
        let view = stage.who(name)?.conversation.message(&yes).ok_or("it is gone")?;
        Ok(view.content.map(Content::fallback).unwrap_or_default())
    };
    let same = edited(stage, "maria")? == "Yes, by half past 3" && edited(stage, "rita")? == "Yes, by half past 3";
    stage.check(same, "Only its author can edit a message: Rita's try has no effect anywhere")?;
    let oops = stage.say("bob", &Content::text("wrong chat, sorry"))?;
    stage.say("maria", &Content::deletion(oops))?;
    let gone = stage.who("rita")?.conversation.message(&oops).is_some_and(|view| view.content.is_none());
    stage.check(gone, "Maria, who owns the group, deletes a message of Bob's for all")?;

    let note = Content::text("The door code is 4711").expiring(Expiry::AfterReading(60));
    let note = stage.say("maria", &note)?;
    stage.clock.advance(61);
    let (now, shown) = (stage.clock.now(), stage.clock.now().0 - 61);
    let bob = stage.who("bob")?;
    let ended = bob.conversation.expired(now, |_| Some(convivio::Timestamp(shown)));
    bob.conversation.purge(ended);
    let gone = bob.conversation.message(&note).is_none();
    stage.check(gone, "A message that disappears is gone a minute after Bob saw it")
}

/// A poll, votes, a changed vote, the end, and a vote that comes too late.
pub(crate) fn they_vote(stage: &mut Stage<'_>) -> Outcome {
    stage.chapter("A poll")?;
    let poll = Poll::new("Which cake?", &["lemon", "chocolate", "carrot"], Choices::One)?;
    let id = stage.say("rita", &Content::poll(&poll))?;
    stage.say("maria", &Content::vote(id, &poll, &[1])?)?;
    stage.say("bob", &Content::vote(id, &poll, &[1])?)?;
    stage.say("maria", &Content::vote(id, &poll, &[0])?)?;
    stage.say("rita", &Content::close(id))?;
    stage.say("bob", &Content::vote(id, &poll, &[2])?)?;
    stage.show("maria", &id)?;
    stage.show("bob", &id)?;
    let mut tallies = Vec::new();
    for name in ["maria", "bob", "rita"] {
        let tally =
            stage.who(name)?.conversation.message(&id).and_then(|view| {
                view.tally.map(|tally| tally.votes.iter().map(|votes| votes.len()).collect::<Vec<_>>())
            });
        tallies.push(tally);
    }
    let same = tallies.iter().all(|tally| tally.as_deref() == Some(&[1, 1, 0]));
    stage.check(same, "One result on every device: the changed vote counts, the late one does not")
}

/// A picture, which lies encrypted at a file server.
pub(crate) fn they_send_a_file(stage: &mut Stage<'_>) -> Outcome {
    stage.chapter("A picture")?;
    let picture: Vec<u8> = (0..1_500_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut server = Vec::new();
    let key = attachment::encrypt(&mut picture.as_slice(), &mut server, &mut rand::rng())?;
    let part = key.to_part("https://files.example/cake", "image/jpeg", "cake.jpg");
    let id = stage.say("maria", &Content::attachment(part))?;
    stage.tell(format!("{} bytes, encrypted: {} bytes at the file server", picture.len(), server.len()))?;
    stage.show("rita", &id)?;
    let bob = stage.who("bob")?;
    let view = bob.conversation.message(&id).ok_or("no picture")?;
    let Some(Kind::Attachment(part)) = view.content.map(Content::kind) else { return Err("not a picture".into()) };
    let key = attachment::FileKey::try_from(part)?;
    let mut read = Vec::new();
    attachment::decrypt(&key, &mut Cursor::new(&server), &mut read)?;
    stage.check(read == picture, "Bob's app reads it, every chunk verified")?;
    let last = server.len() / 2;
    server[last] ^= 1;
    let spoilt = attachment::decrypt(&key, &mut Cursor::new(&server), &mut Vec::new()).is_err();
    stage.check(spoilt, "One bit changed at the server, and it is refused")?;

    let small = attachment::encrypt(&mut picture[..20_000].as_ref(), &mut Vec::new(), &mut rand::rng())?;
    let small = small.to_part("https://files.example/small", "image/jpeg", "cake.jpg");
    let info = GroupInfo::new("Wedding cake 🎂", "Saturday, three tiers")?.with_picture(Some(small))?;
    stage.change("maria", Change::Info(info.with_disappearing(30 * 24 * 60 * 60)))?;
    let group = stage.group;
    let shown = stage.client("rita")?.group(&group)?.state().info().clone();
    stage.check(shown.picture().is_some(), format!("The group has a picture and a new name: {}", shown.name()))
}

/// Safety numbers, verified marks, the group's digits.
pub(crate) fn they_make_sure(stage: &mut Stage<'_>) -> Outcome {
    stage.chapter("Making sure")?;
    let (group, maria, bob) = (stage.group, stage.user("maria")?, stage.user("bob")?);
    let shown = stage.client("bob")?.group(&group)?.safety_number(&maria)?;
    stage.tell(format!("Bob's phone shows {shown}"))?;
    let found = stage.client("maria")?.verify_user(&group, &bob, &shown.qr())?;
    let marked = stage.client("maria")?.verification(&bob)?;
    let verified = found == QrComparison::Match && matches!(marked, Verification::Verified);
    stage.check(verified, "Maria scans it: it matches, and her device remembers that")?;
    let digits = stage.client("maria")?.group(&group)?.authenticator_digits()?.to_string();
    let same = stage.client("rita")?.group(&group)?.authenticator_digits()?.to_string() == digits;
    stage.tell(format!("the group itself: {digits}"))?;
    stage.check(same, "Rita's desk shows the same digits: one group, one history")?;
    let call = stage.client("maria")?.group(&group)?.export("call", b"1")?;
    let joined = stage.client("bob")?.group(&group)?.export("call", b"1")?;
    stage.check(call.expose() == joined.expose(), "A call between them has a secret that only members can derive")
}

/// Maria links a tablet, which reads along, and revokes it.
pub(crate) fn someone_gets_a_second_device(stage: &mut Stage<'_>) -> Outcome {
    stage.chapter("A second device")?;
    let tablet = NewDevice::begin(&mut rand::rng());
    let code = tablet.offer().to_secret_text();
    stage.tell(format!("Maria's tablet shows a code of {} characters, her phone scans it", code.len()))?;
    let now = stage.clock.now();
    let serial = stage.client("maria")?.next_serial()?;
    let answer = {
        let identity = stage.identity.as_ref().ok_or("no identity key")?;
        let device = stage.people[0].client.identity()?;
        let answering = Answering { serial, now, transfer: Transfer::Stay };
        DeviceOffer::from_secret_text(&code)?.answer(device, identity, answering, &mut rand::rng())?
    };
    let link = tablet.open(&answer, &App::trust(&[&stage.photos])?, now)?;
    let (keys, _) = tablet.finish(link)?;
    stage.enter_with("tablet", keys, &features::ALL, MemoryStore::new())?;

    let package = stage.client("tablet")?.key_packages(1)?.remove(0).to_bytes();
    stage.client("maria")?.add_device(vec![UnverifiedKeyPackage::from_bytes(&package)?])?;
    stage.settle()?;
    let id = stage.say("bob", &Content::text("Is anyone reading this on a tablet?"))?;
    let both = ["maria", "tablet"].map(|name| stage.who(name).is_ok_and(|who| who.conversation.message(&id).is_some()));
    stage.check(both == [true; 2], "What Bob says reaches both of Maria's devices")?;
    stage.say("tablet", &Content::text("Yes!"))?;

    let lost = stage.client("tablet")?.identity()?.device();
    stage.client("maria")?.revoke_device(lost)?;
    stage.settle()?;
    stage.who("tablet")?.here = false;
    let id = stage.say("maria", &Content::text("The tablet is lost, by the way"))?;
    let blind = stage.who("tablet")?.conversation.message(&id).is_none();
    stage.check(blind, "Revoked, the tablet reads nothing of what is said next")
}

/// Bob's phone goes back to yesterday's backup, and he comes back.
pub(crate) fn someone_loses_everything(stage: &mut Stage<'_>) -> Outcome {
    stage.chapter("A lost state")?;
    let (keys, _) = enrol(&stage.courier, "carla")?;
    let disk = FaultyStore::new();
    stage.enter_with("carla", keys, &features::ALL, disk.clone())?;
    let (group, package) = (stage.group, stage.client("carla")?.key_packages(1)?.remove(0).to_bytes());
    stage.change("maria", Change::Add(vec![UnverifiedKeyPackage::from_bytes(&package)?]))?;
    stage.client("carla")?.answer(&group, Answer::Accept)?;
    stage.settle()?;
    let backup = FaultyStore::holding(disk.contents());
    stage.say("carla", &Content::text("Hello all"))?;
    stage.say("carla", &Content::text("My phone is acting up"))?;
    stage.reopen("carla", backup)?;
    let waiting = stage.say("carla", &Content::text("Where was I?"))?;
    let noticed = stage.client("carla")?.group(&group)?.status() == Status::RolledBack;
    stage.check(noticed, "Restored from an old copy, Carla's device notices before anything is encrypted twice")?;
    stage.client("carla")?.change(&group, Change::Rejoin)?;
    stage.settle()?;
    let request = stage.who("maria")?.take().into_iter().find_map(|what| match what {
        EventKind::RejoinRequested { request, .. } => Some(request),
        _ => None,
    });
    stage.change("maria", Change::Readmit(request.ok_or("nobody asked")?))?;
    let back = stage.client("carla")?.group(&group)?.status() == Status::Active;
    stage.check(back, "She asks, Maria agrees, and everyone sees it")?;
    let again = stage.who("rita")?.conversation.message(&waiting).is_some();
    stage.check(again, "What she said on the old copy went out again, and counts")
}

/// Bob hands a message to the shop's backend.
pub(crate) fn something_is_reported(stage: &mut Stage<'_>) -> Outcome {
    stage.chapter("A report")?;
    stage.hub.set_time(stage.clock.now());
    let group = stage.group;
    stage.client("bob")?.keep_evidence(true)?;
    stage.who("bob")?.take_events();
    stage.say("carla", &Content::text("something nasty"))?;
    let heard = stage.who("bob")?.take_events().into_iter().find_map(|event| match event.what {
        EventKind::Message { content, evidence: Some(evidence), .. } => Some((event.seq, content, evidence)),
        _ => None,
    });
    let (seq, content, evidence) = heard.ok_or("nothing was kept")?;
    let stamp = stage.hub.stamp(&group, seq).ok_or("no stamp")?;
    let report = Report::new(&evidence, &content, stamp)?.to_bytes();
    stage.tell(format!("Bob's report: {} bytes", report.len()))?;
    let trust = App::trust(&[&stage.courier])?;
    let verified = Report::from_bytes(&report)?.verify(&trust, stage.hub.public_key())?;
    let carla = stage.user("carla")?;
    stage.check(
        *verified.user() == carla,
        "The courier app verifies it offline: Carla said so, in this group, at this time",
    )?;
    let mut forged = report;
    let last = forged.len() / 2;
    forged[last] ^= 1;
    let refused = Report::from_bytes(&forged).and_then(|report| report.verify(&trust, stage.hub.public_key())).is_err();
    stage.check(refused, "With one bit changed it is worth nothing")
}

/// Roles, announcements, an app that revokes a user, an app that goes.
pub(crate) fn they_govern(stage: &mut Stage<'_>) -> Outcome {
    stage.chapter("Rules")?;
    let (group, bob, rita) = (stage.group, stage.user("bob")?, stage.user("rita")?);
    stage.change("maria", Change::Role(rita.clone(), Role::Admin))?;
    let quiet = Policy { post: Role::Admin, ..stage.client("maria")?.group(&group)?.state().policy().clone() };
    stage.change("maria", Change::Policy(quiet.clone()))?;
    let silent = stage.client("bob")?.send(&group, &Content::text("May I?").to_bytes()).is_err();
    stage.check(silent, "In an announcement group only admins post")?;
    stage.change("maria", Change::Policy(Policy { post: Role::Member, ..quiet }))?;
    let alone = stage.client("maria")?.change(&group, Change::Leave).is_err();
    stage.check(alone, "The last owner cannot leave")?;

    let identity = stage.client("carla")?.identity()?.identity_key().clone();
    let carla = stage.user("carla")?;
    let revocation = stage.courier.key().revoke(&carla, &identity, stage.clock.now())?;
    stage.who("carla")?.here = false;
    stage.change("bob", Change::Revoke(revocation))?;
    let out = stage.client("maria")?.group(&group)?.state().user(&carla).is_none();
    stage.check(out, "The courier app takes back its word on Carla, and she is out, whoever commits it")?;

    stage.who("bob")?.here = false;
    let domain = stage.courier.domain().clone();
    stage.change("maria", Change::DelistApp(domain))?;
    let out = stage.client("rita")?.group(&group)?.state().user(&bob).is_none();
    stage.check(out, "The courier app is delisted by the owner, and its users go with it")?;
    stage.clock.advance(DAY);
    let last = stage.say("rita", &Content::text("See you on Saturday"))?;
    stage.show("maria", &last)
}
