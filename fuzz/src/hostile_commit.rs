//! Commits by any member with any list of proposals (`docs/protocol.md`, section 5.3): a model of the rules says which
//! are valid, and every reader, a `Group` alone and a whole `Client`, must say the same. What the crate will not make is
//! made by hand, with the member's own keys.

use std::collections::{BTreeMap, BTreeSet};

use arbitrary::{Arbitrary, Unstructured};
use convivio::client::EventKind;
use convivio::envelope::{Draft, Envelope, EnvelopeType, Recipient};
use convivio::group::{Actor, CommitHeader, Group, NewCommit, Occasion, Rejected, Transition};
use convivio::identity::{Capabilities, LeafBody, Source, sign_leaf};
use convivio::log::{EntryBody, LogEntry};
use convivio::{SealSecret, SigningKey, Suite, Validity};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::cbor::{Edit, Item, NULL, bytes, edit, number, parse};
use super::proposals::{Proposed, Proposing};
use super::rules::{Act, CAST};
use super::scene::{Scene, scene};
use super::town::{NOW, Shared};
use super::{Seeds, by_hand, cast, choice, noise};

#[derive(Arbitrary, Debug)]
struct Input {
    by: u8,
    /// Which member's client reads it, too.
    reader: u8,
    proposals: Vec<Proposed>,
    twist: Option<Twist>,
}

/// What is wrong with a commit besides its proposals.
#[derive(Arbitrary, Debug)]
enum Twist {
    Confirmation,
    Parent(u8),
    Time(u32),
    Epoch(u64),
    Mailboxes,
    /// Each proposal twice, or all in the other order.
    Order(bool),
    /// The committer's fresh leaf: bound elsewhere, another device's, with its old keys, with the identity repeated.
    Source(u8),
    Leaf(u8),
    OldKeys(bool),
    Identity,
    Sender(u8),
    Signature,
    /// Anything else, of which it is only known that all say the same.
    Payload(Vec<Edit>),
    /// A day and a second after its time, when requests to be readmitted are over.
    Late,
}

/// What a reader says.
#[derive(Debug, PartialEq)]
enum Verdict {
    Valid,
    Unopened,
    Invalid,
    OtherHistory,
}

pub fn run(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let scene = scene();
    let members: Vec<usize> = scene.model.devices.iter().copied().collect();
    let by = members[usize::from(input.by) % members.len()];
    let reader = members[usize::from(input.reader) % members.len()];
    let mut proposing = Proposing::new(scene, by);
    input.proposals.iter().take(8).for_each(|proposed| proposing.add(proposed));
    let acts = proposing.in_order();
    let once = acts.windows(2).all(|pair| pair[0].0 != pair[1].0);
    let acts: Vec<Act> = acts.into_iter().map(|(_, act)| act).collect();
    let next = scene.model.commit(by, &acts).filter(|_| once);

    let made = make(scene, by, &proposing);
    assert_eq!(made.is_ok(), next.is_some(), "{acts:?} by {by}: {made:?}");
    if let (Ok(made), None, Some(next)) = (&made, &input.twist, &next) {
        let entered = accepted(scene, by, made, &proposing);
        entered.iter().for_each(|group| cast::compare(group.state(), next));
        client(scene, reader, (by, &made.envelope), Verdict::Valid, entered.first());
        return;
    }
    let public = made.as_ref().ok().map(|made| made.envelope.header().public().to_vec());
    let (envelope, expected) = twisted(scene, by, (&proposing.items_in_order(), public), input.twist.as_ref());
    let mut verdicts = BTreeMap::new();
    for member in members.iter().filter(|member| **member != by) {
        let part = envelope.split(&number(scene.leaf(*member).0).encode()).unwrap();
        let group = scene.group(*member);
        let verdict = match group.process(&part, None) {
            Ok(_) => panic!("a commit without a confirmation was entered: {input:?}"),
            Err(Rejected::Unopened(_)) => Verdict::Unopened,
            Err(Rejected::Invalid(_)) => Verdict::Invalid,
            Err(Rejected::OtherHistory) => Verdict::OtherHistory,
            Err(Rejected::Removed) => panic!("removed by a commit without a confirmation: {input:?}"),
        };
        verdicts.insert(*member, verdict);
    }
    let mut all = verdicts.into_values();
    let first = all.next().unwrap();
    assert!(all.all(|verdict| verdict == first), "readers disagree: {input:?}");
    let expected = expected.map(|valid| if next.is_some() { valid } else { Verdict::Invalid });
    if let Some(expected) = expected {
        assert_eq!(first, expected, "{acts:?} by {by}, {:?}", input.twist);
    }
    if reader != by {
        client(scene, reader, (by, &envelope), first, None);
    }
}

fn make(scene: &Scene, by: usize, proposing: &Proposing<'_>) -> convivio::Result<NewCommit> {
    let (identity, key, capabilities) = (cast::identity(by), cast::device_key(by), Capabilities::default());
    let actor = Actor { identity: &identity, signer: &key, capabilities: &capabilities };
    let occasion = Occasion { time: NOW, seen: [0; 32] };
    let dice = &mut StdRng::seed_from_u64(31);
    scene.group(by).commit(proposing.proposals(), &proposing.init_keys(), occasion, actor, dice)
}

/// Everyone who stays and everyone who is added comes into one group.
fn accepted(scene: &Scene, by: usize, made: &NewCommit, proposing: &Proposing<'_>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut effects = Vec::new();
    for member in &scene.model.devices {
        let Some(part) = made.envelope.split(&number(scene.leaf(*member).0).encode()) else { continue };
        let fresh = (*member == by).then_some(&made.fresh);
        let Transition { group, changes, .. } = scene.group(*member).process(&part, fresh).unwrap();
        effects.push(changes);
        groups.push(group);
    }
    for (package, secrets) in proposing.packages() {
        let Some(welcome) = made.welcome.as_ref().and_then(|welcome| welcome.split(package.id().as_bytes())) else {
            panic!("nobody welcomes {:?}", package.id());
        };
        let commit = (made.envelope.header().bytes(), made.envelope.body());
        groups.push(Group::join(&welcome, package, secrets, commit).unwrap().group);
    }
    let authenticators: BTreeSet<_> = groups.iter().map(|group| *group.authenticator()).collect();
    assert_eq!(authenticators.len(), 1);
    assert!(effects.windows(2).all(|pair| pair[0] == pair[1]));
    groups
}

/// The commit made by hand, and what everyone must say of it if its proposals are valid; none if that is not known.
fn twisted(
    scene: &Scene,
    by: usize,
    (items, public): (&[Item], Option<Vec<u8>>),
    twist: Option<&Twist>,
) -> (Envelope, Option<Verdict>) {
    let mut expected = Some(Verdict::Invalid);
    let state = scene.group(by).state();
    let mut items = items.to_vec();
    let clear = Item::Array(vec![
        bytes(scene.id.as_bytes()),
        number(state.epoch().0),
        number(NOW.0),
        bytes(&[0; 32]),
        Item::Array(Vec::new()),
        Item::Array(Vec::new()),
    ]);
    let mut clear = public.map_or(clear, |public| parse(&public).unwrap());
    let (mut parent, mut sender) = (*state.transcript(), scene.leaf(by).0);
    let mut signing = scene.signing(by);
    match twist {
        None | Some(Twist::Confirmation) => expected = Some(Verdict::Unopened),
        Some(Twist::Parent(flip)) => {
            parent[0] ^= flip | 1;
            expected = None;
        }
        Some(Twist::Time(back)) => clear.array_mut()[2] = number(state.time().0 - 1 - u64::from(back % 1_000)),
        Some(Twist::Late) => {
            clear.array_mut()[2] = number(NOW.0 + 24 * 60 * 60 + 1);
            let replaces = items.iter().any(|item| item.array()[0] == number(5_u8));
            // A revocation from a second ahead is none from the future a day later.
            let revokes = items.iter().any(|item| item.array()[0] == number(8_u8));
            expected = (!revokes).then_some(if replaces { Verdict::Invalid } else { Verdict::Unopened });
        }
        Some(Twist::Epoch(by)) => clear.array_mut()[1] = number(state.epoch().0 ^ by.max(&1)),
        Some(Twist::Mailboxes) => clear.array_mut()[5] = Item::Array(vec![number(77_u8)]),
        Some(Twist::Order(_)) if items.len() < 2 => items.extend([items.clone(), items.clone()].concat()),
        Some(Twist::Order(true)) => items.reverse(),
        Some(Twist::Order(false)) => items.extend(items.clone()),
        Some(Twist::Sender(_) | Twist::Signature | Twist::Payload(_)) => expected = None,
        Some(_) => {}
    }
    if items.is_empty() && matches!(twist, Some(Twist::Order(_))) {
        expected = Some(Verdict::Unopened);
    }
    let leaf = fresh_leaf(scene, by, (&items, parent), twist);
    let mut payload = Item::Array(vec![bytes(&parent), Item::Array(items), leaf]);
    match twist {
        Some(Twist::Payload(edits)) => payload = edit(payload, &edits[..edits.len().min(6)]),
        Some(Twist::Sender(other)) => sender ^= u32::from(*other).max(1),
        Some(Twist::Signature) => signing = SigningKey::from_seed(&[1; 32]),
        _ => {}
    }
    let dice = &mut StdRng::seed_from_u64(32);
    let draft = Draft::new(EnvelopeType::Commit, Suite::One, clear.encode(), dice).unwrap();
    let signed = draft.sign(number(sender).encode(), None, &payload.encode(), &signing).unwrap();
    let keys = state.leaves().map(|(index, leaf)| (number(index.0).encode(), leaf.seal_key()));
    let recipients: Vec<_> = keys.map(|(id, key)| Recipient::X25519 { id, key }).collect();
    (signed.seal(&recipients, &[0; 32]).unwrap(), expected)
}

/// The committer's fresh leaf in its refreshed form (section 3.4).
fn fresh_leaf(scene: &Scene, by: usize, (items, parent): (&[Item], [u8; 32]), twist: Option<&Twist>) -> Item {
    let hashes = items.iter().map(|item| bytes(&by_hand::hash("hash proposal", vec![item.clone()]))).collect();
    let mut proposals = by_hand::hash("hash proposals", vec![Item::Array(hashes)]);
    let mut owner = by;
    let (mut signing, mut seal) = (SigningKey::from_seed(&[41; 32]), None);
    match twist {
        Some(Twist::Source(flip)) => proposals[0] ^= flip | 1,
        Some(Twist::Leaf(other)) => owner = (by + 1 + usize::from(*other) % (CAST.len() - 1)) % CAST.len(),
        Some(Twist::OldKeys(true)) => signing = scene.signing(by),
        Some(Twist::OldKeys(false)) => {
            seal = scene.group(by).state().leaf(scene.leaf(by)).map(|leaf| leaf.seal_key().clone());
        }
        _ => {}
    }
    let identity = cast::identity(owner);
    let body = LeafBody {
        signature_key: signing.verify_key().clone(),
        seal_key: seal.unwrap_or_else(|| SealSecret::generate(&mut StdRng::seed_from_u64(33)).public().clone()),
        capabilities: Capabilities::default(),
        validity: Validity { not_before: NOW, ..identity.credential().validity() },
        source: Source::Commit { group: scene.id, leaf: scene.leaf(by), parent, proposals },
    };
    let leaf = sign_leaf(&identity, &cast::device_key(owner), body).unwrap();
    let mut leaf = parse(leaf.encoded()).unwrap();
    if owner == by && !matches!(twist, Some(Twist::Identity)) {
        leaf.array_mut()[2] = NULL;
    }
    leaf
}

/// A whole client reads it as the next entry, and comes to the same.
fn client(scene: &Scene, reader: usize, (by, envelope): (usize, &Envelope), verdict: Verdict, entered: Option<&Group>) {
    let store = Shared::of(&scene.stores[reader]);
    let mut client = store.open();
    let own = number(scene.leaf(reader).0).encode();
    let stanza = envelope.split(&own).map(|part| part.stanza().to_vec());
    let is_out = stanza.is_none();
    if reader == by {
        // It was not queued by this client, so it cannot open what it sealed to a leaf that it does not know.
        return;
    }
    let header = envelope.header().bytes().to_vec();
    let epoch = CommitHeader::from_envelope_header(&header).map(|clear| clear.epoch);
    let body = EntryBody::Commit { header, stanza, body: envelope.body().to_vec() };
    let (events, _) = client.receive(&[LogEntry { group: scene.id, seq: scene.next, body }]).unwrap();
    let view = client.group(&scene.id).unwrap();
    let changed = events.iter().any(|event| matches!(event.what, EventKind::Changed { .. }));
    let forked = events.iter().any(|event| event.what == EventKind::ForkSuspected);
    let removed = events.iter().any(|event| event.what == EventKind::Removed);
    assert_eq!(view.next_entry(), scene.next + 1);
    if verdict == Verdict::Valid {
        assert_eq!((changed, removed), (!is_out, is_out), "{events:?}");
        if !is_out {
            assert_eq!(Some(view.authenticator()), entered.map(|group| group.authenticator()));
        }
        return;
    }
    assert!(!changed && !removed, "{events:?}");
    assert_eq!(view.authenticator(), scene.group(reader).authenticator());
    if epoch.is_ok_and(|epoch| epoch == scene.group(reader).state().epoch()) {
        assert_eq!(forked, verdict == Verdict::OtherHistory, "{events:?}");
        assert_eq!(doubt(&store) > 0, verdict == Verdict::Unopened, "a client says otherwise: {verdict:?}");
    }
}

/// The doubt that a client's cursor remembers (section 7.2).
fn doubt(store: &Shared) -> u64 {
    let records = store.records();
    let (_, cursor) = records.iter().find(|(key, _)| key.as_bytes()[0] == super::town::tag::CURSOR).unwrap();
    let Item::Uint(doubt) = parse(cursor).unwrap().array()[6] else { panic!("no doubt") };
    doubt
}

pub fn seeds() -> Seeds {
    let mut seeds = noise(&[16, 60, 200]);
    // A heal by Ann, read by Ben, with every twist.
    seeds.extend((0..14).map(|twist| {
        let bytes = [&[0, 2, 0, 1][..], &choice(twist, 14), &[1; 8]].concat();
        (format!("twist_{twist:02}"), bytes)
    }));
    // By Ann or, third of the members, Ben: proposals by number and fields, as `Proposed` has them.
    let of = |name: &str, by: u8, proposals: &[(u64, &[u8])]| {
        let each = proposals.iter().flat_map(|(kind, fields)| [&[1][..], &choice(*kind, 10), fields].concat());
        (name.to_owned(), [by, 3].into_iter().chain(each).chain([0, 0]).collect())
    };
    seeds.extend([
        of("own_device_leaves", 0, &[(2, &[0, 0, 1])]),
        of("one_of_two_devices_leaves", 2, &[(2, &[1, 0, 1])]),
        of("removed_and_added", 0, &[(3, &[4]), (6, &[7, 0])]),
        of("role_of_someone_higher", 2, &[(7, &[0, 0])]),
        of("barred_and_added", 0, &[(6, &[8, 0])]),
        of("revoked_and_added", 2, &[(6, &[3, 0])]),
        of("another_identity", 0, &[(6, &[9, 0])]),
        of("replaced", 0, &[(5, &[4, 1])]),
        of("added_by_a_leaf_of_a_commit", 0, &[(6, &[8, 4])]),
        of("user_revoked", 2, &[(8, &[6, 0])]),
        of("owner_revoked", 2, &[(8, &[0, 0])]),
        of("revoked_by_the_other_app", 0, &[(8, &[4, 4])]),
        of("revoked_from_the_future", 0, &[(8, &[4, 3])]),
        of("app_delisted_and_its_user_removed", 0, &[(0, &[2, 2, 1, 2, 3, 0]), (3, &[4])]),
        of("device_revoked", 2, &[(9, &[1, 3, 0])]),
        of("last_device_revoked", 2, &[(9, &[6, 7, 0])]),
        of("device_revoked_by_another", 2, &[(9, &[4, 7, 2])]),
        of("device_revoked_and_added", 0, &[(6, &[5, 0]), (9, &[4, 7, 0])]),
        of("revoked_and_readmitted", 0, &[(5, &[4, 1]), (8, &[4, 0])]),
    ]);
    let late = [&[0, 3, 1][..], &choice(5, 10), &[4, 1, 0, 1], &choice(13, 14)].concat();
    seeds.push(("replaced_too_late".to_owned(), late));
    seeds
}
