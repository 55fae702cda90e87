//! Welcomes by a real inviter who says what it likes about the group, with the key schedule worked out for exactly that
//! (`docs/protocol.md`, section 5.5). Who joins has the inviter's word for the state and no other, but only for a state
//! that is consistent, and comes into the very group that the schedule leads to.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use arbitrary::{Arbitrary, Unstructured};
use convivio::SigningKey;
use convivio::client::EventKind;
use convivio::group::{GroupState, Role};

use super::by_hand::{expand_label, hash, hmac};
use super::cbor::{Edit, Item, bytes, edit, number, parse};
use super::town::{Shared, town};
use super::welcome::{honest_payload, rewrapped};
use super::{Seeds, choice, noise};

#[derive(Arbitrary, Debug)]
struct Input {
    /// What is changed anywhere in the payload, and of the state in particular.
    anywhere: Vec<Edit>,
    part: u8,
    edits: Vec<Edit>,
    /// Whether the confirmation is worked out for what is said.
    confirmed: bool,
    public: Option<Vec<u8>>,
    forged: bool,
}

/// The items of a welcome's payload and of the state in it.
const JOINER: usize = 0;
const CONFIRMATION: usize = 1;
const STATE: usize = 6;
const ITEMS: usize = 7;
const STATE_ITEMS: usize = 12;

pub fn run(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let honest = honest();
    let mut payload = edit(honest.clone(), &input.anywhere[..input.anywhere.len().min(2)]);
    if let Item::Array(items) = &mut payload
        && let Some(Item::Array(state)) = items.get_mut(STATE)
        && state.len() == STATE_ITEMS
    {
        let part = &mut state[usize::from(input.part) % STATE_ITEMS];
        *part = edit(part.clone(), &input.edits[..input.edits.len().min(4)]);
    }
    let authenticator = confirm(&mut payload, input.confirmed);
    let public = input.public.clone().unwrap_or_else(|| bytes(town().group.as_bytes()).encode());
    let signing = if input.forged { SigningKey::from_seed(&[1; 32]) } else { town().maria_after.signing() };
    let untouched = payload == *honest && public == bytes(town().group.as_bytes()).encode() && !input.forged;

    let store = Shared::of(&town().carol);
    let before = store.records();
    let mut carol = store.open();
    let Some(entry) = rewrapped(&public, &payload.encode(), &signing) else { return };
    let (events, _) = carol.receive(&[entry]).unwrap();
    if carol.groups().unwrap().is_empty() {
        assert!(!untouched, "an honest welcome was refused");
        assert!(events.is_empty() && store.records() == before, "a refused welcome left something: {events:?}");
        return;
    }
    assert!(!input.forged, "a forged welcome was accepted");
    assert!(matches!(&events[..], [event] if matches!(event.what, EventKind::Invitation { .. })), "{events:?}");
    let view = carol.group(&town().group).unwrap();
    assert_eq!(Some(*view.authenticator()), authenticator, "into a group that the schedule does not lead to");
    consistent(view.state());
    // What was stored is what was joined.
    let joined = carol.group(&town().group).unwrap().state().context_hash();
    assert_eq!(store.open().group(&town().group).unwrap().state().context_hash(), joined);
}

/// Section 5.1: users and leaves belong together, nothing is twice, somebody owns it.
fn consistent(state: &GroupState) {
    let (mut keys, mut devices, mut present) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (_, leaf) in state.leaves() {
        assert!(keys.insert(*leaf.signature_key().as_bytes()) && keys.insert(*leaf.seal_key().as_bytes()));
        assert!(devices.insert((leaf.user().clone(), leaf.device())));
        assert_eq!(state.user(leaf.user()).unwrap().identity, *leaf.identity_key());
        present.insert(leaf.user().clone());
    }
    assert!(state.users().map(|(user, _)| user.clone()).eq(present));
    assert!(state.users().any(|(_, user)| user.role == Role::Owner));
}

/// Works out the schedule for the state as it is said (section 5.4), and puts the confirmation in if asked to. Gives the
/// authenticator, if there is a state to speak of.
fn confirm(payload: &mut Item, put: bool) -> Option<[u8; 32]> {
    let Item::Array(items) = payload else { return None };
    if items.len() != ITEMS {
        return None;
    }
    let Item::Bytes(joiner) = &items[JOINER] else { return None };
    let joiner: [u8; 32] = joiner.as_slice().try_into().ok()?;
    let Item::Array(state) = &items[STATE] else { return None };
    let [version, suite, group, epoch, users, barred, leaves, next, policy, info, time, transcript] = &state[..] else {
        return None;
    };
    let leaf_hash = |leaf: &Item| {
        let Item::Array(pair) = leaf else { return None };
        let [index, Item::Wrapped(leaf)] = &pair[..] else { return None };
        let Item::Array(leaf) = leaf.as_ref() else { return None };
        let [body, signature, _] = &leaf[..] else { return None };
        let hash = hash("hash leaf", vec![body.clone(), signature.clone()]);
        Some(Item::Array(vec![index.clone(), bytes(&hash)]))
    };
    let Item::Array(leaves) = leaves else { return None };
    let leaves: Vec<Item> = leaves.iter().map(leaf_hash).collect::<Option<_>>()?;
    let part = |label: &str, part: &Item| bytes(&hash(label, vec![part.clone()]));
    let members = hash(
        "hash members",
        vec![
            part("hash users", users),
            part("hash barred", barred),
            part("hash leaves", &Item::Array(leaves)),
            next.clone(),
            part("hash policy", policy),
            part("hash info", info),
            transcript.clone(),
        ],
    );
    let fields = [version, suite, group, epoch, time].into_iter().cloned().chain([bytes(&members)]).collect();
    let context = hash("group context", fields);
    let Item::Bytes(transcript) = transcript else { return None };
    let epoch_secret: [u8; 32] = expand_label(&hmac(&joiner, &[0; 32]), "epoch", &context);
    let confirmation = hmac(&expand_label::<32>(&epoch_secret, "confirm key", b""), transcript);
    if put {
        items[CONFIRMATION] = bytes(&confirmation);
    }
    Some(expand_label(&epoch_secret, "authenticator", b""))
}

fn honest() -> &'static Item {
    static HONEST: OnceLock<Item> = OnceLock::new();
    HONEST.get_or_init(|| {
        let mut honest = parse(&honest_payload()).unwrap();
        let confirmation = honest.array()[CONFIRMATION].clone();
        assert_eq!(confirm(&mut honest, true), Some(town().after), "the schedule by hand is another");
        assert_eq!(honest.array()[CONFIRMATION], confirmation);
        assert_eq!(honest.array()[STATE].array()[0], number(1_u8));
        honest
    })
}

pub fn seeds() -> Seeds {
    let mut seeds = noise(&[20, 60, 150]);
    seeds.push(("honest".to_owned(), Vec::new()));
    // Edits of one part of the state, each at a node, by a number of `How`'s and its field, and all confirmed.
    let state = honest().array()[STATE].array();
    let of = |name: &str, part: usize, edits: &[(usize, u64, &[u8])]| {
        let each = edits.iter().flat_map(|(at, how, field)| {
            [&[1][..], &u16::try_from(*at).unwrap().to_le_bytes(), &choice(*how, 14), field].concat()
        });
        (name.to_owned(), [0, part as u8].into_iter().chain(each).chain([0, 1, 0, 0]).collect())
    };
    let (users, leaves) = (&state[4], &state[6]);
    let last_leaf = leaves.nodes() + 1;
    let (uint, drop, repeat) = (0, 7, 8);
    // Maria, the owner, is the last of the users.
    let role = users.nodes() - 2;
    seeds.extend([
        of("no_owner", 4, &[(role, uint, &[0; 8])]),
        of("leaf_without_a_user", 4, &[(0, drop, &[])]),
        of("user_without_a_leaf", 6, &[(0, drop, &[])]),
        of("user_twice", 4, &[(0, repeat, &[])]),
        of("leaf_twice", 6, &[(0, repeat, &[])]),
        of("leaf_at_two_places", 6, &[(0, repeat, &[]), (last_leaf, uint, &[9; 8])]),
        of("next_leaf_too_low", 7, &[(0, uint, &[0; 8])]),
        of("another_name", 9, &[(1, 4, b"A\x01B\x00")]),
        of("another_time", 10, &[(0, 1, &[5])]),
    ]);
    seeds
}
