//! Sealed envelopes, as someone sees them who uses nothing else of the crate.

// Clippy allows these in test functions, but not in the helpers of an integration test.

use convivio::envelope::{
    Draft, Envelope, EnvelopeFor, EnvelopeType, Header, Opener, Recipient, ReplayGuard, open, open_from, recipient_id,
    seal_to,
};
use convivio::{ErrorKind, InitKey, InitSecret, Result, SealSecret, SigningKey, Suite, limits};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

fn rng() -> StdRng {
    StdRng::seed_from_u64(1)
}

fn kind_of<T>(result: Result<T>) -> ErrorKind {
    result.err().expect("must be refused").kind()
}

/// Alice, and two recipients of each kind.
struct People {
    alice: SigningKey,
    seal: [SealSecret; 2],
    init: [InitSecret; 2],
    init_keys: [InitKey; 2],
}

impl People {
    fn new() -> Self {
        let mut rng = rng();
        let init = [InitSecret::generate(&mut rng), InitSecret::generate(&mut rng)];
        Self {
            alice: SigningKey::generate(&mut rng),
            seal: [SealSecret::generate(&mut rng), SealSecret::generate(&mut rng)],
            init_keys: [init[0].public(), init[1].public()],
            init,
        }
    }

    fn recipients(&self, post_quantum: bool) -> Vec<Recipient<'_>> {
        let id = |i: usize| vec![b'b' + i as u8];
        if post_quantum {
            self.init_keys.iter().enumerate().map(|(i, key)| Recipient::XWing { id: id(i), key }).collect()
        } else {
            let keys = self.seal.iter().map(SealSecret::public).enumerate();
            keys.map(|(i, key)| Recipient::X25519 { id: id(i), key }).collect()
        }
    }

    fn opener(&self, post_quantum: bool, i: usize) -> Opener<'_> {
        if post_quantum {
            Opener::XWing { secret: &self.init[i], public: Some(&self.init_keys[i]) }
        } else {
            Opener::X25519(&self.seal[i])
        }
    }

    fn seal(&self, post_quantum: bool, payload: &[u8]) -> Envelope {
        self.seal_with(post_quantum, payload, 2)
    }

    fn seal_with(&self, post_quantum: bool, payload: &[u8], seed: u64) -> Envelope {
        let recipients = self.recipients(post_quantum);
        let mut rng = StdRng::seed_from_u64(seed);
        seal_to(&self.alice, b"alice@example", &recipients, payload, &mut rng).unwrap()
    }
}

#[test]
fn every_recipient_reads_it_and_learns_who_sent_it() {
    let people = People::new();
    for post_quantum in [false, true] {
        let envelope = people.seal(post_quantum, b"hello");
        let stanza = if post_quantum { 1_168 } else { 48 };
        assert!(envelope.stanzas().iter().all(|one| one.bytes().len() == stanza));
        let mut ids = Vec::new();
        for (i, id) in [b"b", b"c"].into_iter().enumerate() {
            let part = envelope.split(id).unwrap();
            let part = EnvelopeFor::from_bytes(&part.to_bytes()).unwrap();
            let (opened, sender) = open_from(&part, people.opener(post_quantum, i), id).unwrap();
            assert_eq!(opened.payload(), b"hello");
            assert_eq!(&sender.key, people.alice.verify_key());
            assert_eq!(sender.info, b"alice@example");
            assert_eq!(opened.recipient_ids().unwrap(), [b"b".to_vec(), b"c".to_vec()]);
            ids.push(opened.id());
        }
        assert_eq!(ids[0], ids[1]);
        assert!(envelope.split(b"d").is_none());
    }
}

#[test]
fn the_carrier_does_not_see_the_sender() {
    let people = People::new();
    let bytes = people.seal(false, b"hello").to_bytes();
    let key = people.alice.verify_key().as_bytes();
    assert!(!bytes.windows(32).any(|window| window == key));
    assert!(!bytes.windows(5).any(|window| window == b"alice" || window == b"hello"));
}

#[test]
fn an_x_wing_opener_needs_no_public_half() {
    let people = People::new();
    let part = people.seal(true, b"hello").split(b"b").unwrap();
    let opener = Opener::XWing { secret: &people.init[0], public: None };
    assert_eq!(open_from(&part, opener, b"b").unwrap().0.payload(), b"hello");
    let wrong = Opener::XWing { secret: &people.init[0], public: Some(&people.init_keys[1]) };
    assert_eq!(kind_of(open_from(&part, wrong, b"b")), ErrorKind::Unauthentic);
}

#[test]
fn every_flipped_bit_is_noticed() {
    let people = People::new();
    for post_quantum in [false, true] {
        let bytes = people.seal(post_quantum, b"hello").split(b"b").unwrap().to_bytes();
        // One bit of each byte in turn for the long post-quantum stanza, every bit for the other.
        for at in 0..bytes.len() {
            for bit in 0..8 {
                if post_quantum && bit != at % 8 {
                    continue;
                }
                let mut bytes = bytes.clone();
                bytes[at] ^= 1 << bit;
                let result = EnvelopeFor::from_bytes(&bytes)
                    .and_then(|part| open_from(&part, people.opener(post_quantum, 0), b"b"));
                assert!(result.is_err(), "byte {at}, bit {bit}");
            }
        }
    }
}

#[test]
fn every_truncation_and_every_added_byte_is_malformed() {
    let people = People::new();
    for post_quantum in [false, true] {
        let envelope = people.seal(post_quantum, b"hello");
        let (whole, part) = (envelope.to_bytes(), envelope.split(b"b").unwrap().to_bytes());
        assert_eq!(Envelope::from_bytes(&whole).unwrap(), envelope);
        for len in 0..whole.len() {
            assert_eq!(kind_of(Envelope::from_bytes(&whole[..len])), ErrorKind::Malformed);
        }
        for len in 0..part.len() {
            assert_eq!(kind_of(EnvelopeFor::from_bytes(&part[..len])), ErrorKind::Malformed);
        }
        assert_eq!(kind_of(Envelope::from_bytes(&[&whole[..], &[0]].concat())), ErrorKind::Malformed);
        assert_eq!(kind_of(EnvelopeFor::from_bytes(&[&part[..], &[0]].concat())), ErrorKind::Malformed);
    }
}

#[test]
fn parts_of_different_envelopes_do_not_fit_together() {
    let people = People::new();
    for post_quantum in [false, true] {
        // The same payload from the same sender to the same people, sealed twice.
        let (one, two) = (people.seal_with(post_quantum, b"hello", 2), people.seal_with(post_quantum, b"hello", 3));
        let (b, c, other) = (one.split(b"b").unwrap(), one.split(b"c").unwrap(), two.split(b"b").unwrap());
        let mixed = [
            (b.header(), c.stanza(), b.body()),
            (b.header(), other.stanza(), b.body()),
            (b.header(), b.stanza(), other.body()),
            (other.header(), b.stanza(), b.body()),
        ];
        for (header, stanza, body) in mixed {
            let part = EnvelopeFor::new(header.clone(), stanza.to_vec(), body.to_vec()).unwrap();
            let refused = open_from(&part, people.opener(post_quantum, 0), b"b");
            assert_eq!(kind_of(refused), ErrorKind::Unauthentic);
        }
    }
}

#[test]
fn the_wrong_key_id_type_or_kind_is_refused() {
    let people = People::new();
    for post_quantum in [false, true] {
        let part = people.seal(post_quantum, b"hello").split(b"b").unwrap();
        let [own, other] = [0, 1].map(|i| people.opener(post_quantum, i));
        assert_eq!(kind_of(open_from(&part, other, b"b")), ErrorKind::Unauthentic);
        assert_eq!(kind_of(open_from(&part, own, b"c")), ErrorKind::Unauthentic);
        assert_eq!(kind_of(open_from(&part, people.opener(!post_quantum, 0), b"b")), ErrorKind::Malformed);
        for kind in [EnvelopeType::Commit, EnvelopeType::Welcome, EnvelopeType::Request] {
            assert_eq!(kind_of(open(&part, kind, own, b"b")), ErrorKind::Malformed);
        }
        let unverified = open(&part, EnvelopeType::Standalone, own, b"b").unwrap();
        let mallory = SigningKey::generate(&mut StdRng::seed_from_u64(9));
        assert_eq!(kind_of(unverified.verify(mallory.verify_key())), ErrorKind::Unauthentic);
    }
}

#[test]
fn a_group_uses_commits_and_welcomes_the_same_way() {
    let people = People::new();
    for (kind, post_quantum, tail) in [(EnvelopeType::Commit, false, &[5; 32][..]), (EnvelopeType::Welcome, true, &[])]
    {
        let draft = Draft::new(kind, Suite::One, b"epoch 5".to_vec(), &mut rng()).unwrap();
        let header = draft.header().clone();
        let signed = draft.sign(b"leaf 1".to_vec(), None, b"what it says", &people.alice).unwrap();
        assert_eq!(signed.header(), &header);
        assert_eq!(signed.sender(), b"leaf 1");
        let (padded, signature) = (signed.padded().to_vec(), *signed.signature());
        let envelope = signed.seal(&people.recipients(post_quantum), tail).unwrap();
        let part = envelope.split(b"c").unwrap();
        assert_eq!(part.header().public(), b"epoch 5");
        assert_eq!(part.header().ephemeral().is_some(), !post_quantum);
        let unverified = open(&part, kind, people.opener(post_quantum, 1), b"c").unwrap();
        assert_eq!(unverified.sender(), b"leaf 1");
        let opened = unverified.verify(people.alice.verify_key()).unwrap();
        assert_eq!((opened.padded(), opened.signature(), opened.tail()), (&padded[..], &signature, tail));
        assert_eq!((opened.header(), opened.recipient_ids()), (&header, None));
    }
}

#[test]
fn a_sender_cannot_make_what_would_be_refused() {
    let people = People::new();
    let alice = &people.alice;
    let draft = |kind| Draft::new(kind, Suite::One, Vec::new(), &mut rng()).unwrap();
    let (standalone, commit, welcome) = (EnvelopeType::Standalone, EnvelopeType::Commit, EnvelopeType::Welcome);
    let named = |ids: &[&[u8]]| Some(ids.iter().map(|id| id.to_vec()).collect());
    let sign = |kind, ids| draft(kind).sign(Vec::new(), ids, b"", alice);

    // Ids: exactly where the type has them, unique, not empty, not too long, not too many.
    assert_eq!(kind_of(sign(standalone, None)), ErrorKind::Misuse);
    assert_eq!(kind_of(sign(commit, named(&[b"b"]))), ErrorKind::Misuse);
    assert_eq!(kind_of(sign(standalone, named(&[]))), ErrorKind::Misuse);
    assert_eq!(kind_of(sign(standalone, named(&[b"b", b"b"]))), ErrorKind::Misuse);
    assert_eq!(kind_of(sign(standalone, named(&[b""]))), ErrorKind::Misuse);
    assert_eq!(kind_of(sign(standalone, named(&[&[1; 33]]))), ErrorKind::Misuse);
    let many = (0..257u16).map(|i| i.to_be_bytes().to_vec()).collect();
    assert_eq!(kind_of(sign(standalone, Some(many))), ErrorKind::Limit);

    // Tails, and recipients: those signed, of the right kind, each once.
    let (classic, quantum) = (people.recipients(false), people.recipients(true));
    assert_eq!(kind_of(sign(commit, None).unwrap().seal(&classic, &[])), ErrorKind::Misuse);
    assert_eq!(kind_of(sign(welcome, None).unwrap().seal(&quantum, &[0; 32])), ErrorKind::Misuse);
    assert_eq!(kind_of(sign(welcome, None).unwrap().seal(&classic, &[])), ErrorKind::Misuse);
    assert_eq!(kind_of(sign(commit, None).unwrap().seal(&quantum, &[0; 32])), ErrorKind::Misuse);
    assert_eq!(kind_of(sign(commit, None).unwrap().seal(&[], &[0; 32])), ErrorKind::Misuse);
    let twice = [classic[0].clone(), classic[0].clone()];
    assert_eq!(kind_of(sign(commit, None).unwrap().seal(&twice, &[0; 32])), ErrorKind::Misuse);
    assert_eq!(kind_of(sign(standalone, named(&[b"b"])).unwrap().seal(&classic, &[])), ErrorKind::Misuse);
    let mixed = [classic[0].clone(), quantum[1].clone()];
    assert_eq!(kind_of(seal_to(alice, b"", &mixed, b"", &mut rng())), ErrorKind::Misuse);
    assert_eq!(kind_of(seal_to(alice, b"", &[], b"", &mut rng())), ErrorKind::Misuse);

    // Lengths.
    let long = vec![0; limits::ENVELOPE_SENDER + 1];
    assert_eq!(kind_of(seal_to(alice, &long, &classic, b"", &mut rng())), ErrorKind::Limit);
    let long = vec![0; limits::ENVELOPE_PAYLOAD + 1];
    assert_eq!(kind_of(seal_to(alice, b"", &classic, &long, &mut rng())), ErrorKind::Limit);
    let long = vec![0; limits::ENVELOPE_HEADER];
    assert_eq!(kind_of(Draft::new(commit, Suite::One, long, &mut rng())), ErrorKind::Limit);
}

#[test]
fn the_order_of_recipients_does_not_show() {
    let people = People::new();
    let mut recipients = people.recipients(false);
    let one = seal_to(&people.alice, b"", &recipients, b"hello", &mut rng()).unwrap();
    recipients.reverse();
    assert_eq!(seal_to(&people.alice, b"", &recipients, b"hello", &mut rng()).unwrap(), one);
}

#[test]
fn two_hundred_and_fifty_six_recipients_are_the_most() {
    let people = People::new();
    let key = people.seal[0].public();
    let mut all: Vec<_> = (0..256u16).map(|i| Recipient::X25519 { id: i.to_be_bytes().to_vec(), key }).collect();
    let envelope = seal_to(&people.alice, b"", &all, b"hello", &mut rng()).unwrap();
    let envelope = Envelope::from_bytes(&envelope.to_bytes()).unwrap();
    for id in [[0, 0], [0, 255]] {
        let part = envelope.split(&id).unwrap();
        assert_eq!(open_from(&part, Opener::X25519(&people.seal[0]), &id).unwrap().0.payload(), b"hello");
    }
    all.push(Recipient::X25519 { id: vec![1, 0], key });
    assert_eq!(kind_of(seal_to(&people.alice, b"", &all, b"hello", &mut rng())), ErrorKind::Limit);
}

#[test]
fn what_this_version_does_not_know_is_unsupported() {
    let people = People::new();
    let bytes = people.seal(false, b"").header().bytes().to_vec();
    assert_eq!(bytes[..4], [0x86, 1, 1, 1]); // array(6), version, type, suite
    for (at, value) in [(1, 2), (2, 0), (2, 6), (3, 2)] {
        let mut bytes = bytes.clone();
        bytes[at] = value;
        assert_eq!(kind_of(Header::decode(&bytes)), ErrorKind::Unsupported);
    }
    // A welcome has no ephemeral key.
    let mut welcome = bytes.clone();
    welcome[2] = 3;
    assert_eq!(kind_of(Header::decode(&welcome)), ErrorKind::Malformed);
    let mut classic = people.seal(true, b"").header().bytes().to_vec();
    assert!(Header::decode(&classic).is_ok());
    classic[2] = 4;
    assert_eq!(kind_of(Header::decode(&classic)), ErrorKind::Malformed);
}

#[test]
fn an_envelope_is_accepted_once_even_across_a_restart() {
    let people = People::new();
    let open = |seed| {
        let part = people.seal_with(false, b"pay 5", seed).split(b"b").unwrap();
        open_from(&part, people.opener(false, 0), b"b").unwrap().0
    };
    let (one, again, two) = (open(2), open(2), open(3));
    let mut guard = ReplayGuard::new();
    assert!(guard.is_empty());
    guard.accept(&one).unwrap();
    assert_eq!(kind_of(guard.accept(&again)), ErrorKind::Duplicate);
    assert!(!guard.is_empty());
    // The same words sealed anew are another envelope.
    guard.accept(&two).unwrap();
    let stored = guard.to_bytes();
    let mut guard = ReplayGuard::from_bytes(&stored).unwrap();
    assert_eq!(guard.len(), 2);
    assert_eq!(kind_of(guard.accept(&two)), ErrorKind::Duplicate);
    assert_eq!(guard.to_bytes(), stored);
    // Ids out of order are not what a guard writes.
    let (first, second) = (stored[1..35].to_vec(), stored[35..].to_vec());
    assert_eq!(kind_of(ReplayGuard::from_bytes(&[&[0x82], &second[..], &first].concat())), ErrorKind::Malformed);
}

#[test]
fn equal_randomness_seals_different_contents_under_different_seeds() {
    let people = People::new();
    let header = |info: &[u8], recipients: &[Recipient<'_>], payload: &[u8]| {
        seal_to(&people.alice, info, recipients, payload, &mut rng()).unwrap().header().clone()
    };
    for post_quantum in [false, true] {
        let all = people.recipients(post_quantum);
        let first = header(b"alice", &all, b"hello");
        assert_eq!(header(b"alice", &all, b"hello"), first);
        assert_ne!(header(b"alice", &all, b"hullo"), first);
        assert_ne!(header(b"Alice", &all, b"hello"), first);
        assert_ne!(header(b"alice", &all[..1], b"hello"), first);
    }
}

#[test]
fn what_travels_prints_as_what_it_is_and_how_long() {
    let people = People::new();
    let envelope = people.seal(false, b"hello");
    let part = envelope.split(b"b").unwrap();
    let (opened, sender) = open_from(&part, people.opener(false, 0), b"b").unwrap();
    let mut guard = ReplayGuard::new();
    guard.accept(&opened).unwrap();
    assert_eq!(format!("{guard:?}"), "ReplayGuard { len: 1 }");
    assert_eq!(format!("{:?}", envelope.header()), "Header { kind: Standalone, suite: One, bytes: 73, .. }");
    assert!(format!("{envelope:?}").starts_with("Envelope {"));
    assert!(format!("{part:?}").ends_with("stanza: 48, body: 147 }"), "{part:?}");
    assert!(format!("{:?}", envelope.stanzas()).contains("Stanza {"));
    assert!(format!("{sender:?}").starts_with("Sender { key: "));
}

#[test]
fn an_id_is_made_of_the_key() {
    let people = People::new();
    let [one, two] = [0, 1].map(|i| recipient_id(people.seal[i].public().as_bytes()));
    assert_eq!(one.len(), 32);
    assert_ne!(one, two);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn anything_survives_the_journey(
        payload in prop::collection::vec(any::<u8>(), 0..3_000),
        info in prop::collection::vec(any::<u8>(), 0..200),
        ids in prop::collection::btree_set(prop::collection::vec(any::<u8>(), 1..=32), 1..12),
        seed: u64,
    ) {
        let mut rng = StdRng::seed_from_u64(seed);
        let alice = SigningKey::generate(&mut rng);
        let keys: Vec<SealSecret> = ids.iter().map(|_| SealSecret::generate(&mut rng)).collect();
        let recipients: Vec<_> = ids.iter().cloned().zip(&keys)
            .map(|(id, key)| Recipient::X25519 { id, key: key.public() })
            .collect();
        let sealed = seal_to(&alice, &info, &recipients, &payload, &mut rng).unwrap();
        let sealed = Envelope::from_bytes(&sealed.to_bytes()).unwrap();
        for (id, key) in ids.iter().zip(&keys) {
            let (opened, sender) = open_from(&sealed.split(id).unwrap(), Opener::X25519(key), id).unwrap();
            prop_assert_eq!(opened.payload(), &payload[..]);
            prop_assert_eq!(&sender.info, &info);
            prop_assert_eq!(&sender.key, alice.verify_key());
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Envelope::from_bytes(&bytes);
        let _ = EnvelopeFor::from_bytes(&bytes);
        let _ = Header::decode(&bytes);
        let _ = ReplayGuard::from_bytes(&bytes);
    }
}
