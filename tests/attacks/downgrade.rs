//! Row 22: whoever is between, or invites, cannot talk a group or a device down to less than it speaks.

use convivio::ErrorKind;
use convivio::envelope::{EnvelopeType, Header};
use convivio::identity::{UnverifiedKeyPackage, UnverifiedLeaf};
use convivio::log::EntryBody;
use convivio::ratchet::Frame;

use crate::kit::cbor::{array, sign};
use crate::kit::envelope::{COMMIT, WELCOME, header};
use crate::kit::hub::parts;
use crate::kit::leaf::LeafPlan;
use crate::kit::{Hub, Insider, Value};
use crate::support::*;
use crate::witness::{Pair, Verdict, judge, lasting, void_only};

/// The header with another version or suite.
fn altered(header: &[u8], at: usize, number: u64) -> Vec<u8> {
    let mut header = Value::decode(header);
    *header.item(at) = Value::Int(number);
    header.encode()
}

#[test]
fn row_22_a_hub_cannot_show_another_suite_or_version() {
    let Pair { mut maria, mut bob, group, .. } = Pair::new();
    let (hub, mut insider) = (Hub::of(group), Insider::of(&maria, &group));
    let commit = insider.plan(Vec::new()).seal();
    let (bytes, stanza, body) = parts(&commit.entry(1));
    let before = lasting(&bob);
    for number in [0, 2, 3, 255] {
        for at in [0, 2] {
            let bytes = altered(&bytes, at, number);
            assert_eq!(Header::decode(&bytes).unwrap_err().kind(), ErrorKind::Unsupported);
            hub.show(&mut bob, EntryBody::Commit { header: bytes, stanza: stanza.clone(), body: body.clone() });
            assert!(void_only(&bob.news()));
        }
    }
    // A frame's version and type are its first byte.
    maria.say(&group, "hello");
    let post = Hub::of(group).collect(&mut maria).remove(0);
    let frame = crate::kit::hub::frame_of(&post).to_vec();
    for first in [0x01, 0x10, 0x12, 0x21, 0xff] {
        let mut frame = frame.clone();
        frame[0] = first;
        assert_eq!(Frame::parse(&frame).unwrap_err().kind(), ErrorKind::Unsupported);
        hub.show(&mut bob, EntryBody::Message(frame));
        assert!(void_only(&bob.news()));
    }
    assert_eq!(lasting(&bob), before);
    hub.show(&mut bob, EntryBody::Message(frame));
    hub.show(&mut bob, commit.entry(1));
    assert_eq!((bob.heard().len(), bob.epoch(&group)), (1, 2));
}

/// Recorded traffic stays closed to a later quantum computer because each joiner's secret came under X-Wing: there is no
/// other welcome.
#[test]
fn row_22_a_welcome_is_under_x_wing_and_nothing_less() {
    let (key, commitment) = ([9; 32], [7; 32]);
    for (kind, ephemeral, read) in
        [(WELCOME, None, true), (WELCOME, Some(&key), false), (COMMIT, Some(&key), true), (COMMIT, None, false)]
    {
        let decoded = Header::decode(&header(kind, ephemeral, &commitment, &[])).map(|header| header.kind());
        let expected = if kind == WELCOME { EnvelopeType::Welcome } else { EnvelopeType::Commit };
        match decoded {
            Ok(kind) => assert!(read && kind == expected),
            Err(error) => assert!(!read && error.kind() == ErrorKind::Malformed),
        }
    }
}

/// A leaf by its own device key, with these suites and features.
fn leaf_with(leaf: &[u8], device: &[u8; 32], capabilities: Value) -> Vec<u8> {
    LeafPlan { capabilities, ..LeafPlan::like(leaf) }.sign(device)
}

#[test]
fn row_22_what_a_device_can_do_cannot_be_taken_away() {
    let Pair { mut world, group, maria, .. } = Pair::new();
    let mut carol = world.device("carol");
    let device = device_seed(&carol);
    let package = Value::decode(&carol.package().to_bytes());
    let both = leaf_with(package.items()[0].bytes(), &device, array![array![1, 2], array![3, 7]]);
    let apps = Insider::of(&maria, &group).group().state().policy().apps.clone();
    let verify = |leaf: Vec<u8>| {
        let mut package = package.clone();
        *package.item(0) = leaf.into();
        let package = UnverifiedKeyPackage::from_bytes(&package.encode())?;
        package.verify(&apps, START).map(|package| package.leaf().capabilities().suite_ids().to_vec())
    };
    // Suites that this build does not know are kept for whoever does.
    assert_eq!(verify(both.clone()).unwrap(), [1, 2]);
    let stripped = [array![array![1], array![3, 7]], array![array![1, 2], array![3]], array![array![1], array![]]];
    for capabilities in stripped {
        let by_others = {
            let mut leaf = Value::decode(&both);
            *leaf.item(0) = LeafPlan { capabilities, ..LeafPlan::like(&both) }.body().into();
            leaf.encode()
        };
        assert_eq!(verify(by_others).unwrap_err().kind(), ErrorKind::Unauthentic);
    }
    // Not even by the device itself below what its own keys are for.
    let none = leaf_with(package.items()[0].bytes(), &device, array![array![2], array![]]);
    assert_eq!(verify(none).unwrap_err().kind(), ErrorKind::Malformed);
}

fn device_seed(device: &Device) -> [u8; 32] {
    crate::kit::Thief::of(device).device().1.unwrap()
}

#[test]
fn row_22_an_inviter_cannot_add_who_does_not_speak_the_groups_suite() {
    let Pair { mut world, maria, mut bob, group } = Pair::new();
    let mut carol = world.device("carol");
    let (package, device) = (carol.package(), device_seed(&carol));
    let mut insider = Insider::of(&maria, &group);
    let reader = Insider::of(&bob, &group).group();
    let mut adding = |change: &dyn Fn(&mut LeafPlan)| {
        let mut plan = LeafPlan::like(&package.leaf().to_bytes());
        change(&mut plan);
        let leaf = plan.sign(&device);
        let honest = insider.adding(&package);
        let proposals = vec![array![6, Value::decode(&leaf)]];
        let mut commit = insider.plan(proposals);
        (commit.opened, commit.next.users, commit.next.next_leaf) =
            (honest.opened, honest.next.users, honest.next.next_leaf);
        commit.next.set_leaf(2, leaf);
        commit.seal().entry(1)
    };
    assert_eq!(judge(&reader, &adding(&|_| {})), Verdict::Valid);
    let other = adding(&|leaf| leaf.capabilities = array![array![2], array![]]);
    assert_eq!(judge(&reader, &other), Verdict::Void(ErrorKind::NotAllowed));
    // Of a suite that this build does not know it cannot say that it is void for everyone; it does not follow, either.
    let unknown = adding(&|leaf| leaf.suite = 2);
    assert_eq!(judge(&reader, &unknown), Verdict::Unopened(ErrorKind::Unsupported));
    let (hub, before) = (Hub::of(group), lasting(&bob));
    for commit in [other, unknown] {
        hub.show(&mut bob, commit);
        assert!(void_only(&bob.news()));
    }
    assert_eq!(lasting(&bob), before);
}

#[test]
fn row_22_an_inviter_cannot_show_a_joiner_less_than_the_group_has() {
    let Pair { mut world, maria, group, .. } = Pair::new();
    let mut carol = world.device("carol");
    let package = carol.package();
    let (hub, mut insider) = (Hub::of(group), Insider::of(&maria, &group));
    let made = insider.adding(&package).seal();
    let before = lasting(&carol);
    let show = |change: &dyn Fn(&mut crate::kit::state::State), carol: &mut Device| {
        let (mut welcome, mut state) = (made.welcome(), made.state.clone());
        change(&mut state);
        welcome.agree_on(&state, made.joiner);
        hub.show_welcome(carol, &made.envelope(), &welcome.seal(&package));
        carol.client.groups().unwrap()
    };
    // Another suite for the group.
    assert_eq!(show(&|state| state.suite = 2, &mut carol), []);
    // Bob's leaf without what it can do: it is not Maria's to sign.
    let strip = |state: &mut crate::kit::state::State| {
        let mut leaf = Value::decode(state.leaf(1).unwrap());
        let plan = LeafPlan::like(state.leaf(1).unwrap());
        *leaf.item(0) = LeafPlan { capabilities: array![array![1], array![9]], ..plan }.body().into();
        assert!(UnverifiedLeaf::from_bytes(&leaf.encode()).is_ok());
        state.set_leaf(1, leaf.encode());
    };
    assert_eq!(show(&strip, &mut carol), []);
    assert_eq!((lasting(&carol), carol.news()), (before, vec![]));
    assert_eq!(show(&|_| {}, &mut carol), [group]);
}

#[test]
fn row_22_no_other_version_of_a_leaf_or_a_state_is_read() {
    let Pair { mut world, maria, group, .. } = Pair::new();
    let mut carol = world.device("carol");
    let (package, device) = (carol.package(), device_seed(&carol));
    let versioned = |version: u64| {
        let mut leaf = Value::decode(&package.leaf().to_bytes());
        let mut body = Value::decode(leaf.items()[0].bytes());
        *body.item(0) = Value::Int(version);
        let body = body.encode();
        *leaf.item(1) = sign(&device, "sign leaf", &array![body.as_slice()]).into();
        *leaf.item(0) = body.into();
        UnverifiedLeaf::from_bytes(&leaf.encode()).map(drop).map_err(|error| error.kind())
    };
    assert_eq!(versioned(1), Ok(()));
    let (hub, mut insider) = (Hub::of(group), Insider::of(&maria, &group));
    let made = insider.adding(&package).seal();
    let before = lasting(&carol);
    for version in [0, 2, 255] {
        assert_eq!(versioned(version), Err(ErrorKind::Unsupported));
        let mut welcome = made.welcome();
        *welcome.state.item(0) = Value::Int(version);
        hub.show_welcome(&mut carol, &made.envelope(), &welcome.seal(&package));
        assert_eq!((carol.client.groups().unwrap(), lasting(&carol)), (vec![], before.clone()));
    }
    hub.show_welcome(&mut carol, &made.envelope(), &made.welcome().seal(&package));
    assert_eq!(carol.client.groups().unwrap(), [group]);
}
