//! Row 30, invite links: those outside with a link that is forged, old, or not theirs, a hub that helps them, and members
//! who misuse a request. Requests are made by hand, so that every part can be another.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use convivio::client::{Change, EventKind, Status};
use convivio::envelope::Envelope;
use convivio::group::{InviteLink, JoinRequest, Policy, Role};
use convivio::identity::UnverifiedKeyPackage;
use convivio::log::{EntryBody, PostBody};
use convivio::{ErrorKind, GroupId};

use crate::kit::cbor::{array, hash, public, sign};
use crate::kit::envelope::{Sealer, envelope};
use crate::kit::insider::public_seal;
use crate::kit::{Hub, Insider, Thief, Value};
use crate::support::*;
use crate::witness::{Verdict, append, judge, lasting, unheard, void_only};

const JOIN: u64 = 5;
const WEEK: u64 = 7 * DAY;

/// What is in a link, and what a request by it says: every part can be another.
#[derive(Clone)]
struct Asking {
    group: [u8; 16],
    /// In the payload and in the clear.
    named: ([u8; 16], [u8; 16]),
    link: [u8; 16],
    /// In the payload, where it is another.
    inner_link: [u8; 16],
    recipient: Vec<u8>,
    join: [u8; 32],
    invite: [u8; 32],
    package: Vec<u8>,
    /// For which package and group the invite key signs.
    signed: ([u8; 16], [u8; 32]),
    label: &'static str,
    sender: Vec<u8>,
    device: [u8; 32],
}

impl Asking {
    /// What the library would make of this link for a device with this key.
    fn honest(link: &InviteLink, package: &UnverifiedKeyPackage, device: &Device) -> Self {
        let text = link.to_text();
        let bytes = Base64UrlUnpadded::decode_vec(text.strip_prefix("convivio:join#").unwrap()).unwrap();
        let parts = Value::decode(&bytes);
        let [_, group, _, join, invite, ..] = parts.items() else { panic!("not a link") };
        let (group, invite) = (group.fixed(), invite.fixed());
        let link: [u8; 16] = link_id(&invite);
        Self {
            group,
            named: (group, group),
            link,
            inner_link: link,
            recipient: link.to_vec(),
            join: join.fixed(),
            invite,
            package: package.to_bytes(),
            signed: (group, *package.id().as_bytes()),
            label: "sign join",
            sender: Vec::new(),
            device: Thief::of(device).device().1.unwrap(),
        }
    }

    fn seal(&self) -> Envelope {
        let signature = sign(&self.invite, "sign invite", &array![self.signed.0, self.signed.1]);
        let payload = array![self.named.0, self.inner_link, Value::decode(&self.package), signature].encode();
        let sealer = Sealer::new(JOIN, [self.group[0]; 32], &array![self.named.1, self.link].encode());
        let stanza = sealer.stanza(&sealer.seed, (&self.join, &self.recipient), 0);
        let ids = Some(vec![self.recipient.clone()]);
        let content = sealer.sign(self.label, &self.sender, ids, (&self.device, &payload));
        envelope(&sealer.header, &[(self.recipient.clone(), stanza)], &sealer.body(&content))
    }
}

fn link_id(invite: &[u8; 32]) -> [u8; 16] {
    *hash("hash link", &array![public(invite)]).first_chunk().unwrap()
}

/// The package of a request that a device made by the library.
fn package_of(request: &JoinRequest) -> UnverifiedKeyPackage {
    request.package().clone()
}

fn requests(device: &mut Device) -> Vec<(Box<JoinRequest>, bool)> {
    let of =
        |what| if let EventKind::JoinRequested { request, barred, .. } = what { Some((request, barred)) } else { None };
    device.news().into_iter().filter_map(of).collect()
}

fn open(world: &mut World, by: &mut Device, group: &GroupId) -> InviteLink {
    let link = by.client.open_link(group, "", WEEK).unwrap().0;
    world.sync(by);
    by.news();
    link
}

/// A device asks by a link, and those inside read it.
fn ask(world: &mut World, device: &mut Device, link: &InviteLink, inside: &mut Device) {
    device.client.ask_to_join(link).unwrap();
    world.sync(device);
    world.sync(inside);
}

fn part(sealed: &Envelope) -> EntryBody {
    EntryBody::Request(sealed.split(sealed.stanzas()[0].recipient()))
}

#[test]
fn row_30_a_request_is_of_the_link_the_group_and_the_package_that_it_names() {
    let mut world = World::new();
    let (mut maria, mut bob, mut carol) = (world.device("maria"), world.device_of(1, "bob"), world.device("carol"));
    let mut stranger = world.device_of(2, "lou");
    let group = world.group(&mut maria, &mut []);
    let (link, other) = (open(&mut world, &mut maria, &group), open(&mut world, &mut maria, &group));
    let elsewhere = world.group(&mut maria, &mut []);
    maria.news();
    // The packages that the library makes for a request, as a member sees them.
    let mut package = |world: &mut World, device: &mut Device, link: &InviteLink| {
        device.client.ask_to_join(link).unwrap();
        world.sync(device);
        world.sync(&mut maria);
        package_of(&requests(&mut maria).pop().unwrap().0)
    };
    let (bobs, carols) = (package(&mut world, &mut bob, &other), package(&mut world, &mut carol, &other));
    // Seen before by another link; what is tried is new to a member who has forgotten both.
    maria.client.change(&group, Change::CloseLink(other.id())).unwrap();
    world.sync(&mut maria);
    maria.news();

    let honest = Asking::honest(&link, &bobs, &bob);
    let long_lived = bob.package();
    let last_resort = bob.client.last_resort_package().unwrap();
    let last_resort = UnverifiedKeyPackage::from_bytes(&last_resort.to_bytes()).unwrap();
    let by = |package: &UnverifiedKeyPackage, device: &Device| Asking::honest(&link, package, device);
    let id_of_other: [u8; 16] = *other.id().as_bytes();
    let attempts = [
        ("by another invite key", Asking { invite: [7; 32], ..honest.clone() }),
        (
            "by a link of one's own",
            Asking {
                invite: [7; 32],
                link: link_id(&[7; 32]),
                inner_link: link_id(&[7; 32]),
                recipient: link_id(&[7; 32]).to_vec(),
                ..honest.clone()
            },
        ),
        ("signed for another group", Asking { signed: ([3; 16], *bobs.id().as_bytes()), ..honest.clone() }),
        ("signed for another package", Asking { signed: (honest.group, *carols.id().as_bytes()), ..honest.clone() }),
        ("with another's package", Asking { device: honest.device, ..by(&carols, &bob) }),
        ("naming another group inside", Asking { named: (*elsewhere.as_bytes(), honest.group), ..honest.clone() }),
        ("naming another group outside", Asking { named: (honest.group, *elsewhere.as_bytes()), ..honest.clone() }),
        ("naming another link inside", Asking { inner_link: id_of_other, ..honest.clone() }),
        (
            "by a link that is closed",
            Asking { invite: Asking::honest(&other, &bobs, &bob).invite, ..Asking::honest(&other, &bobs, &bob) },
        ),
        (
            "sealed to the key of a link that is closed",
            Asking { join: Asking::honest(&other, &bobs, &bob).join, ..honest.clone() },
        ),
        ("to another recipient", Asking { recipient: vec![9; 16], ..honest.clone() }),
        ("signed as something else", Asking { label: "sign request", ..honest.clone() }),
        ("with a sender", Asking { sender: vec![1], ..honest.clone() }),
        ("by a package of three months", by(&long_lived, &bob)),
        ("by a last-resort package", by(&last_resort, &bob)),
        ("of an app that is not in the group", by(&stranger.package(), &stranger)),
    ];
    for (what, asking) in attempts {
        let before = lasting(&maria);
        append(&mut world, group, PostBody::Request(asking.seal()));
        world.sync(&mut maria);
        let news = maria.news();
        assert!(void_only(&news), "{what}: {news:?}");
        assert_eq!(lasting(&maria), before, "{what}");
    }
    // The kit makes what the library takes.
    append(&mut world, group, PostBody::Request(honest.seal()));
    world.sync(&mut maria);
    assert_eq!(requests(&mut maria).len(), 1);
    // A hub that shows it to another group of the same member.
    assert_eq!(Hub::of(elsewhere).show(&mut maria, part(&honest.seal())).duplicates, 0);
    assert!(void_only(&maria.news()));
    // Who is in does not ask.
    let marias = Asking { device: Thief::of(&maria).device().1.unwrap(), ..by(&maria.package(), &maria) };
    append(&mut world, group, PostBody::Request(marias.seal()));
    world.sync(&mut maria);
    assert!(void_only(&maria.news()));
}

#[test]
fn row_30_a_removed_member_does_not_return_by_an_old_link() {
    let mut world = World::new();
    let (mut maria, mut mallory, mut bob) = (world.device("maria"), world.device("mallory"), world.device_of(1, "bob"));
    let policy = Policy { add: Role::Member, ..world.policy() };
    let group = world.group_under(policy, &mut maria, &mut [&mut mallory]);
    let link = open(&mut world, &mut maria, &group);
    maria.client.auto_approve(&group, link.id(), true).unwrap();
    world.quiet(&mut [&mut maria, &mut mallory]);
    mallory.client.auto_approve(&group, link.id(), true).unwrap();
    world.clock.advance(1);
    ask(&mut world, &mut bob, &link, &mut maria);
    world.clock.advance(MINUTE);
    world.quiet(&mut [&mut maria, &mut mallory, &mut bob]);
    assert!(maria.has(&group, &bob.user));
    maria.client.change(&group, Change::Remove(bob.user.clone())).unwrap();
    world.quiet(&mut [&mut maria, &mut mallory, &mut bob]);
    bob.client.forget(&group).unwrap();
    unheard(&mut [&mut maria, &mut mallory]);

    // He still has the link. Nobody's client lets him in, and no member can.
    ask(&mut world, &mut bob, &link, &mut maria);
    world.clock.advance(MINUTE);
    world.quiet(&mut [&mut maria, &mut mallory, &mut bob]);
    let (request, barred) = requests(&mut mallory).pop().unwrap();
    assert!(barred && requests(&mut maria)[0].1 && !maria.has(&group, &bob.user));
    assert_eq!(mallory.dropped(&mut world, &group, Change::Admit(request.clone())), ErrorKind::NotAllowed);
    // Once the link is rotated, he is not even heard.
    maria.client.change(&group, Change::CloseLink(link.id())).unwrap();
    world.quiet(&mut [&mut maria, &mut mallory]);
    unheard(&mut [&mut maria]);
    ask(&mut world, &mut bob, &link, &mut maria);
    assert!(void_only(&maria.news()));
    assert_eq!(maria.refused(&group, Change::Admit(request)), ErrorKind::Expired);
    // An admin's own act brings him back.
    let new = open(&mut world, &mut maria, &group);
    ask(&mut world, &mut bob, &new, &mut maria);
    let (request, _) = requests(&mut maria).pop().unwrap();
    maria.client.change(&group, Change::Admit(request)).unwrap();
    world.quiet(&mut [&mut maria, &mut mallory, &mut bob]);
    assert_eq!(bob.status(&group), Status::Active);
}

#[test]
fn row_30_a_replayed_request_does_not_bring_back_who_left() {
    let mut world = World::new();
    let (mut maria, mut anna, mut bob) = (world.device("maria"), world.device("anna"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut []);
    let link = open(&mut world, &mut maria, &group);
    maria.client.auto_approve(&group, link.id(), true).unwrap();
    world.clock.advance(1);
    bob.client.ask_to_join(&link).unwrap();
    let PostBody::Request(sealed) = bob.outbox().remove(0).body else { panic!("not a request") };
    world.sync(&mut bob);
    world.sync(&mut maria);
    world.clock.advance(MINUTE);
    world.quiet(&mut [&mut maria, &mut bob]);
    bob.client.change(&group, Change::Leave).unwrap();
    for _ in 0..2 {
        world.quiet(&mut [&mut bob, &mut maria]);
        world.clock.advance(MINUTE);
    }
    assert!(!maria.has(&group, &bob.user));
    // Anna comes later, with the same rights and the same setting: she never saw the request.
    world.bring_in(group, &mut maria, &mut [&mut anna]);
    maria.client.change(&group, Change::Role(anna.user.clone(), Role::Admin)).unwrap();
    world.quiet(&mut [&mut maria, &mut anna]);
    anna.client.auto_approve(&group, link.id(), true).unwrap();
    unheard(&mut [&mut maria, &mut anna]);

    // The hub shows the request again: to who remembers it, also after a restart, and to who does not.
    let hub = Hub::of(group);
    for again in 0..2 {
        hub.show(&mut maria, part(&sealed));
        assert_eq!(maria.news(), [], "{again}");
        maria.restart();
    }
    hub.show(&mut anna, part(&sealed));
    assert_eq!(requests(&mut anna).len(), 1);
    world.clock.advance(MINUTE);
    assert!(maria.outbox().is_empty() && anna.outbox().is_empty(), "a client lets in who has left");
    // After a day it is nothing to anyone.
    world.clock.advance(DAY);
    maria.restart();
    hub.show(&mut maria, part(&sealed));
    assert!(void_only(&maria.news()));
}

#[test]
fn row_30_a_request_lets_nobody_take_the_device_elsewhere() {
    let mut world = World::new();
    let (mut maria, mut mallory, mut bob) = (world.device("maria"), world.device("mallory"), world.device_of(1, "bob"));
    let policy = Policy { add: Role::Member, ..world.policy() };
    let group = world.group_under(policy, &mut maria, &mut [&mut mallory]);
    let link = open(&mut world, &mut maria, &group);
    world.quiet(&mut [&mut maria, &mut mallory]);
    // Mallory, a member, is told of the request, and adds its package to another group of hers.
    let trap = world.group(&mut mallory, &mut []);
    ask(&mut world, &mut bob, &link, &mut mallory);
    let (request, _) = requests(&mut mallory).pop().unwrap();
    mallory.client.change(&trap, Change::Add(vec![package_of(&request)])).unwrap();
    world.quiet(&mut [&mut mallory, &mut bob]);
    assert!(mallory.has(&trap, &bob.user));
    assert_eq!((bob.client.groups().unwrap(), bob.news()), (vec![], vec![]));
    // The request still stands for the group it was meant for.
    world.sync(&mut maria);
    let (request, _) = requests(&mut maria).pop().unwrap();
    maria.client.change(&group, Change::Admit(request)).unwrap();
    world.quiet(&mut [&mut maria, &mut bob]);
    assert_eq!((bob.client.groups().unwrap(), bob.status(&group)), (vec![group], Status::Active));
}

/// Another group under the same id: whoever makes it is an inviter like any other, also with the link's join secret, as former
/// members have it.
#[test]
fn row_30_another_group_of_that_id_is_an_invitation() {
    for secret in [None, Some([5; 32]), Some([0; 32])] {
        let mut world = World::new();
        let (mut maria, mut mallory, mut bob) =
            (world.device("maria"), world.device("mallory"), world.device_of(1, "bob"));
        let group = world.group(&mut maria, &mut []);
        let link = open(&mut world, &mut maria, &group);
        ask(&mut world, &mut bob, &link, &mut maria);
        let package = package_of(&requests(&mut maria).pop().unwrap().0);
        let real = Insider::of(&maria, &group);
        let own = world.group(&mut mallory, &mut []);
        let mut stranger = Insider::of(&mallory, &own);
        stranger.state.group = *group.as_bytes();
        let mut entry = real.state.info.items()[1].items()[0].clone();
        if let Some(secret) = secret {
            if secret != [0; 32] {
                *entry.item(1) = Value::from(secret.as_slice());
                assert_ne!(public_seal(&secret), Asking::honest(&link, &package, &bob).join);
            }
            *stranger.state.info.item(1) = Value::List(vec![entry]);
        }
        let forged = stranger.adding(&package).seal();
        Hub::of(group).show_welcome(&mut bob, &forged.envelope(), &forged.welcome().seal(&package));
        let news = bob.news();
        assert!(matches!(news[..], [EventKind::Invitation { .. }]), "{news:?}");
        // The request stays open.
        assert_eq!(bob.client.open_joins().unwrap().len(), 1);
    }
}

#[test]
fn row_30_a_flood_of_requests_is_bounded_and_ends_with_its_link() {
    let mut world = World::new();
    let (mut maria, mut bob, mut carol) =
        (world.device("maria"), world.device_of(1, "bob"), world.device_of(1, "carol"));
    let group = world.group(&mut maria, &mut []);
    let (link, other) = (open(&mut world, &mut maria, &group), open(&mut world, &mut maria, &group));
    // As after a thousand requests of today by one link.
    let expires = world.clock.now().0 + DAY;
    let asked =
        |n: u64| array![hash("flood", &array![n]), *link.id().as_bytes(), hash("who", &array![n]), expires, false];
    let record = array![1, (0..1_024).map(asked).collect::<Vec<_>>(), array![], array![], array![]].encode();
    maria.disk.overwrite(&[&[28], group.as_bytes().as_slice()].concat(), record);
    maria.restart();
    ask(&mut world, &mut bob, &link, &mut maria);
    assert!(void_only(&maria.news()));
    // The other link has its share, and so has another that is opened once the first is closed.
    ask(&mut world, &mut carol, &other, &mut maria);
    assert_eq!(requests(&mut maria).len(), 1);
    maria.client.change(&group, Change::CloseLink(link.id())).unwrap();
    world.sync(&mut maria);
    let new = open(&mut world, &mut maria, &group);
    ask(&mut world, &mut bob, &new, &mut maria);
    assert_eq!(requests(&mut maria).len(), 1);
}

/// What waits to be admitted unasked is bounded; the user is told of all.
#[test]
fn row_30_a_crowd_at_a_link_does_not_fill_the_queue() {
    let mut world = World::new();
    let mut maria = world.device("maria");
    let group = world.group(&mut maria, &mut []);
    let link = open(&mut world, &mut maria, &group);
    maria.client.auto_approve(&group, link.id(), true).unwrap();
    world.clock.advance(1);
    for n in 0..70 {
        let mut guest = world.device_of(1, &format!("guest{n}"));
        guest.client.ask_to_join(&link).unwrap();
        world.post(&mut guest);
    }
    world.read(&mut maria);
    assert_eq!((requests(&mut maria).len(), maria.queued(&group)), (70, 64));
    world.clock.advance(MINUTE);
    world.sync(&mut maria);
    assert_eq!(maria.queued(&group), 0);
    assert_eq!(maria.client.group(&group).unwrap().state().users().len(), 65);
}

#[test]
fn row_30_a_link_text_is_read_whole_or_not_at_all() {
    let mut world = World::new();
    let mut maria = world.device("maria");
    let group = world.group(&mut maria, &mut []);
    let link = maria.client.open_link(&group, "hub.example", DAY).unwrap().0;
    let text = link.to_text().to_string();
    let read: InviteLink = text.parse().unwrap();
    assert_eq!(
        (read.group(), read.id(), read.hub(), read.expires()),
        (group, link.id(), "hub.example", link.expires())
    );
    assert_eq!(*read.to_text(), text);
    let kind = |text: &str| text.parse::<InviteLink>().map(drop).map_err(|error| error.kind());
    for end in 0..text.len() {
        assert_eq!(kind(&text[..end]), Err(ErrorKind::Malformed), "{end}");
    }
    let body = text.strip_prefix("convivio:join#").unwrap();
    let bytes = Base64UrlUnpadded::decode_vec(body).unwrap();
    let written = |bytes: &[u8]| format!("convivio:join#{}", Base64UrlUnpadded::encode_string(bytes));
    let with = |at: usize, item: Value| {
        let mut parts = Value::decode(&bytes);
        *parts.item(at) = item;
        written(&parts.encode())
    };
    let junk = [
        format!("{text}A"),
        format!(" {text}"),
        format!("{text}\n"),
        format!("{text}="),
        body.to_owned(),
        format!("CONVIVIO:join#{body}"),
        format!("convivio:join#{}", "A".repeat(1 << 20)),
        written(&[&bytes[..], &[0]].concat()),
        written(&array![1].encode()),
        written(&[0x9f]),
        written(&[0x9b, 0xff]),
        with(1, Value::from([1; 15].as_slice())),
        with(2, Value::from("x".repeat(256).as_str())),
        with(2, Value::from("a\u{202e}b")),
        with(3, Value::from([0; 32].as_slice())),
        with(4, Value::from([0; 31].as_slice())),
        with(5, Value::Null),
        "\u{202e}".to_owned(),
        "https://example.com".to_owned(),
    ];
    for junk in junk {
        assert_eq!(kind(&junk), Err(ErrorKind::Malformed), "{}", &junk.chars().take(60).collect::<String>());
    }
    assert_eq!(kind(&with(0, Value::Int(2))), Err(ErrorKind::Unsupported));
}

/// Rules that no row names: which infos are valid, by hand.
#[test]
fn links_are_ordered_bounded_and_opened_by_those_who_may_add() {
    let mut world = World::new();
    let (mut maria, mut mallory) = (world.device("maria"), world.device("mallory"));
    let policy = Policy { info: Role::Member, ..world.policy() };
    let group = world.group_under(policy, &mut maria, &mut [&mut mallory]);
    let link = open(&mut world, &mut maria, &group);
    world.quiet(&mut [&mut maria, &mut mallory]);
    // As the other of the two judges it.
    let judged = |by: &Device, links: Vec<Value>| {
        let mut insider = Insider::of(by, &group);
        let info = array![insider.state.info.items()[0].clone(), links];
        let mut plan = insider.plan(vec![array![1, info.clone()]]);
        plan.next.info = info;
        let (judge_of, leaf) = if by.user == maria.user { (&mallory, 1) } else { (&maria, 0) };
        judge(&Insider::of(judge_of, &group).group(), &plan.seal().entry(leaf))
    };
    let present = Insider::of(&maria, &group).state.info.items()[1].items()[0].clone();
    let mut keys: Vec<[u8; 32]> = (1..=17).map(|n| public(&[n; 32])).collect();
    keys.sort_unstable();
    let links = |n: usize| keys[..n].iter().map(|key| array![*key, [7; 32], 9]).collect::<Vec<_>>();
    assert_eq!(judged(&maria, links(16)), Verdict::Valid);
    assert_eq!(judged(&maria, links(17)), Verdict::Void(ErrorKind::Limit));
    assert_eq!(judged(&maria, links(2).into_iter().rev().collect()), Verdict::Void(ErrorKind::Malformed));
    assert_eq!(judged(&maria, vec![links(1)[0].clone(); 2]), Verdict::Void(ErrorKind::Malformed));
    // Mallory may change the info and not add: she may leave links as they are, and close them.
    assert_eq!(judged(&mallory, vec![present.clone()]), Verdict::Valid);
    assert_eq!(judged(&mallory, vec![]), Verdict::Valid);
    assert_eq!(judged(&mallory, links(1)), Verdict::Void(ErrorKind::NotAllowed));
    let mut longer = present;
    *longer.item(2) = Value::Int(link.expires().0 + 1);
    assert_eq!(judged(&mallory, vec![longer]), Verdict::Void(ErrorKind::NotAllowed));
}

/// A member whose role may not add says by hand that it declines.
#[test]
fn a_decline_by_one_who_may_not_add_is_void() {
    let mut world = World::new();
    let (mut maria, mut mallory, mut bob) = (world.device("maria"), world.device("mallory"), world.device_of(1, "bob"));
    let group = world.group(&mut maria, &mut [&mut mallory]);
    let link = open(&mut world, &mut maria, &group);
    maria.client.auto_approve(&group, link.id(), true).unwrap();
    world.quiet(&mut [&mut maria, &mut mallory]);
    world.clock.advance(1);
    ask(&mut world, &mut bob, &link, &mut maria);
    let (request, _) = requests(&mut maria).pop().unwrap();
    world.sync(&mut mallory);
    let mut insider = Insider::of(&mallory, &group);
    let (at, signing) = (insider.next_place(insider.own()), insider.keys.signing);
    let content = array![insider.random::<16>(), 3, *request.id().as_bytes()].encode();
    let carried = array![&insider.seen[..16], content].encode();
    let (key, random) = (insider.message_key(at).unwrap(), insider.random());
    let frame = insider.epoch().frame(at, &key, (&signing, &carried), random);
    append(&mut world, group, PostBody::Message(frame));
    world.sync(&mut maria);
    assert!(void_only(&maria.news()));
    world.clock.advance(MINUTE);
    world.quiet(&mut [&mut maria, &mut mallory, &mut bob]);
    assert!(maria.has(&group, &bob.user));
}
