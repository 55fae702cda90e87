//! Every bound is exact: what is just as large as it may be goes through, one byte or one item more does not.

use convivio::envelope::{Draft, Envelope, EnvelopeFor, EnvelopeType, Header, Opener, Recipient, open, seal_to};
use convivio::{ErrorKind, Result, SealKey, SealSecret, SigningKey, Suite, limits};
use rand::SeedableRng;
use rand::rngs::StdRng;

fn kind_of<T>(result: Result<T>) -> ErrorKind {
    result.err().expect("must be refused").kind()
}

/// A sender, a recipient, and as many ids of it as an envelope may name, each as long as it may be.
struct Pair {
    alice: SigningKey,
    bob: SealSecret,
    ids: Vec<Vec<u8>>,
}

impl Pair {
    fn new() -> Self {
        let mut rng = StdRng::seed_from_u64(1);
        let id = |n: usize| [&n.to_be_bytes()[..], &[7; limits::ENVELOPE_RECIPIENT_ID - 8]].concat();
        let ids = (0..limits::ENVELOPE_RECIPIENTS).map(id).collect();
        Self { alice: SigningKey::generate(&mut rng), bob: SealSecret::generate(&mut rng), ids }
    }

    fn recipients<'a>(&self, key: &'a SealKey) -> Vec<Recipient<'a>> {
        self.ids.iter().map(|id| Recipient::X25519 { id: id.clone(), key }).collect()
    }

    /// An envelope whose header, sender and payload have these lengths.
    fn seal(&self, header: usize, sender: usize, payload: usize) -> Result<Envelope> {
        let mut rng = StdRng::seed_from_u64(2);
        let bare = Draft::new(EnvelopeType::Standalone, Suite::One, vec![0; 65_536], &mut rng)?;
        let head = bare.header().bytes().len() - 65_536;
        let draft = Draft::new(EnvelopeType::Standalone, Suite::One, vec![0; header - head], &mut rng)?;
        assert_eq!(draft.header().bytes().len(), header);
        let signed = draft.sign(vec![1; sender], Some(self.ids.clone()), &vec![2; payload], &self.alice)?;
        signed.seal(&self.recipients(self.bob.public()), &[])
    }
}

#[test]
fn an_envelope_as_large_as_it_may_be_in_every_part_arrives() {
    let pair = Pair::new();
    let (header, sender, payload) = (limits::ENVELOPE_HEADER, limits::ENVELOPE_SENDER, limits::ENVELOPE_PAYLOAD);
    let largest = pair.seal(header, sender, payload).unwrap();
    let largest = Envelope::from_bytes(&largest.to_bytes()).unwrap();
    let part = largest.split(&pair.ids[255]).unwrap();
    let part = EnvelopeFor::from_bytes(&part.to_bytes()).unwrap();
    let opened = open(&part, EnvelopeType::Standalone, Opener::X25519(&pair.bob), &pair.ids[255]).unwrap();
    let opened = opened.verify(pair.alice.verify_key()).unwrap();
    assert_eq!((opened.payload().len(), opened.sender().len()), (payload, sender));
    assert_eq!(opened.recipient_ids().map(<[_]>::len), Some(limits::ENVELOPE_RECIPIENTS));

    // One byte more in any part does not, neither at the sender nor at the reader.
    assert_eq!(kind_of(pair.seal(header + 1, 0, 0)), ErrorKind::Limit);
    assert_eq!(kind_of(pair.seal(70_000, sender + 1, 0)), ErrorKind::Limit);
    assert_eq!(kind_of(pair.seal(70_000, 0, payload + 1)), ErrorKind::Limit);
    let head = largest.header().bytes();
    assert!(Header::decode(head).is_ok());
    assert_eq!(kind_of(Header::decode(&[head, &[0]].concat())), ErrorKind::Limit);
}

#[test]
fn a_body_longer_than_any_that_can_be_sealed_is_refused_unread() {
    let pair = Pair::new();
    let part = pair.seal(70_000, 0, 0).unwrap().split(&pair.ids[0]).unwrap();
    let with = |body| EnvelopeFor::new(part.header().clone(), part.stanza().to_vec(), vec![0; body]);
    // The longest payload with its padding, a sender, ids with a head of two bytes, signature, tail, tag, other heads.
    let longest = 32 * 1024 * 1024 + 1024 * 1024 + 4_096 + 256 * 34 + 64 + 32 + 16 + 32;
    assert!(with(longest).is_ok());
    assert_eq!(kind_of(with(longest + 1)), ErrorKind::Limit);
}

#[test]
fn recipients_are_counted_before_anything_is_sealed() {
    let mut pair = Pair::new();
    let seal = |pair: &Pair| {
        let recipients = pair.recipients(pair.bob.public());
        seal_to(&pair.alice, b"", &recipients, b"hello", &mut StdRng::seed_from_u64(3))
    };
    assert_eq!(seal(&pair).unwrap().stanzas().len(), limits::ENVELOPE_RECIPIENTS);
    pair.ids.push(vec![1]);
    assert_eq!(kind_of(seal(&pair)), ErrorKind::Limit);
}
