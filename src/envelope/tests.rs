//! What a dishonest sender or recipient can try, who knows the seed and builds every part as it likes.

use rand::SeedableRng;
use rand::rngs::StdRng;
use zeroize::Zeroizing;

use super::seal::{Body, Signed};
use super::*;
use crate::crypto::aead;
use crate::error::ErrorKind;
use crate::ids::Suite;
use crate::padding;
use crate::secret::Secret;
use crate::{Signature, SigningKey};

const ALL: [EnvelopeType; 4] =
    [EnvelopeType::Standalone, EnvelopeType::Commit, EnvelopeType::Welcome, EnvelopeType::Request];

fn rng() -> StdRng {
    StdRng::seed_from_u64(7)
}

/// Every part of an envelope, in the forger's hands.
struct Forgery {
    header: Header,
    seed: Secret<32>,
    signer: SigningKey,
    sender: Vec<u8>,
    ids: Option<Vec<Vec<u8>>>,
    padded: Zeroizing<Vec<u8>>,
    tail: Vec<u8>,
}

impl Forgery {
    fn new(kind: EnvelopeType) -> Self {
        let mut rng = rng();
        let draft = Draft::new(kind, Suite::One, b"public".to_vec(), &mut rng).unwrap();
        Self {
            header: draft.header().clone(),
            seed: Secret::copy_from(draft.seed.expose()),
            signer: SigningKey::generate(&mut rng),
            sender: b"alice".to_vec(),
            ids: kind.names_recipients().then(|| vec![b"bob".to_vec()]),
            padded: zeroize::Zeroizing::new(padding::pad(b"the payload")),
            tail: vec![9; kind.tail_len()],
        }
    }

    fn signature(&self) -> Signature {
        let Self { header, sender, ids, padded, .. } = self;
        self.signer.sign(&Signed { header, sender, ids: ids.as_deref(), padded }.signature_input())
    }

    fn text(&self) -> Vec<u8> {
        let Self { sender, ids, padded, tail, .. } = self;
        Body { padded, sender, ids: ids.as_deref(), signature: &self.signature(), tail }.encode()
    }

    fn seal_text(&self, mut text: Vec<u8>) -> Vec<u8> {
        let (key, nonce) = mkem::content_key(&self.seed, &self.header.hash());
        aead::seal_in_place(key.expose(), nonce.expose(), self.header.bytes(), &mut text, 0);
        text
    }

    fn stanza_to(&self, id: &[u8], key: &SealKey) -> Vec<u8> {
        let ephemeral = mkem::ephemeral(&self.seed);
        let recipients = [Recipient::X25519 { id: id.to_vec(), key }];
        mkem::wrap(&self.header, Some(&ephemeral), &self.seed, &recipients).unwrap().remove(0).bytes
    }

    /// Sealed to Bob with this text as the body, opened by him.
    fn open_text(&self, text: Vec<u8>) -> Result<UnverifiedEnvelope> {
        let body = self.seal_text(text);
        let kind = self.header.kind();
        if kind == EnvelopeType::Welcome {
            let bob = InitSecret::generate(&mut rng());
            let public = bob.public();
            let recipients = [Recipient::XWing { id: b"bob".to_vec(), key: &public }];
            let stanza = mkem::wrap(&self.header, None, &self.seed, &recipients).unwrap().remove(0).bytes;
            let envelope = EnvelopeFor::new(self.header.clone(), stanza, body).unwrap();
            return open(&envelope, kind, Opener::XWing { secret: &bob, public: None }, b"bob");
        }
        let bob = SealSecret::generate(&mut rng());
        let stanza = self.stanza_to(b"bob", bob.public());
        let envelope = EnvelopeFor::new(self.header.clone(), stanza, body).unwrap();
        open(&envelope, kind, Opener::X25519(&bob), b"bob")
    }

    fn open(&self) -> Result<UnverifiedEnvelope> {
        self.open_text(self.text())
    }
}

fn kind_of<T>(result: Result<T>) -> ErrorKind {
    result.err().expect("must be refused").kind()
}

#[test]
fn the_forger_can_build_an_honest_envelope() {
    for kind in ALL {
        let forgery = Forgery::new(kind);
        let unverified = forgery.open().unwrap();
        assert_eq!(unverified.sender(), b"alice");
        assert_eq!(unverified.claimed_payload(), b"the payload");
        let opened = unverified.verify(forgery.signer.verify_key()).unwrap();
        assert_eq!(opened.payload(), b"the payload");
        assert_eq!(opened.padded(), &**forgery.padded);
        assert_eq!(opened.tail(), forgery.tail);
        assert_eq!(opened.recipient_ids(), forgery.ids.as_deref());
        assert_eq!(opened.signature(), &forgery.signature());
        assert!(opened.seed().ct_eq(&forgery.seed));
    }
}

#[test]
fn two_seeds_for_one_body_fail_the_commitment() {
    // The stanza is authentic, the seed in it is not the one the header commits to: with a cipher that does not commit
    // to its key, the body could be made to open under both.
    let mut rng = rng();
    let honest = Forgery::new(EnvelopeType::Standalone);
    let bob = SealSecret::generate(&mut rng);
    let other = Secret::generate(&mut rng);
    let ephemeral = mkem::ephemeral(&honest.seed);
    let recipients = [Recipient::X25519 { id: b"bob".to_vec(), key: bob.public() }];
    let stanza = mkem::wrap(&honest.header, Some(&ephemeral), &other, &recipients).unwrap().remove(0).bytes;
    let refused = mkem::unwrap(&honest.header, &Opener::X25519(&bob), b"bob", &stanza);
    assert_eq!(kind_of(refused), ErrorKind::Unauthentic);

    let bob = InitSecret::generate(&mut rng);
    let public = bob.public();
    let welcome = Forgery::new(EnvelopeType::Welcome);
    let recipients = [Recipient::XWing { id: b"bob".to_vec(), key: &public }];
    let stanza = mkem::wrap(&welcome.header, None, &other, &recipients).unwrap().remove(0).bytes;
    let opener = Opener::XWing { secret: &bob, public: Some(&public) };
    assert_eq!(kind_of(mkem::unwrap(&welcome.header, &opener, b"bob", &stanza)), ErrorKind::Unauthentic);
}

#[test]
fn an_ephemeral_key_that_the_seed_does_not_make_is_refused() {
    let mut rng = rng();
    let bob = SealSecret::generate(&mut rng);
    let (seed, ephemeral) = (Secret::generate(&mut rng), SealSecret::generate(&mut rng));
    let enc = Some(*ephemeral.public().as_bytes());
    let commitment = *mkem::commitment(&seed).expose();
    let header = Header::new(EnvelopeType::Standalone, Suite::One, enc, commitment, Vec::new()).unwrap();
    let recipients = [Recipient::X25519 { id: b"bob".to_vec(), key: bob.public() }];
    let stanza = mkem::wrap(&header, Some(&ephemeral), &seed, &recipients).unwrap().remove(0).bytes;
    let refused = mkem::unwrap(&header, &Opener::X25519(&bob), b"bob", &stanza);
    assert_eq!(kind_of(refused), ErrorKind::Unauthentic);
}

#[test]
fn an_ephemeral_key_of_low_order_is_refused() {
    let mut rng = rng();
    let bob = SealSecret::generate(&mut rng);
    let seed = Secret::generate(&mut rng);
    let commitment = *mkem::commitment(&seed).expose();
    let header = Header::new(EnvelopeType::Commit, Suite::One, Some([0; 32]), commitment, Vec::new()).unwrap();
    let refused = mkem::unwrap(&header, &Opener::X25519(&bob), b"bob", &[0; 48]);
    assert_eq!(kind_of(refused), ErrorKind::Unauthentic);
}

#[test]
fn a_received_envelope_cannot_be_sealed_on_to_a_third_party() {
    // Bob knows the seed, so he makes Carol a stanza that opens; but Alice signed whom she wrote to.
    let received = Forgery::new(EnvelopeType::Standalone);
    let carol = SealSecret::generate(&mut rng());
    let body = received.seal_text(received.text());
    for (id, expected) in [(&b"carol"[..], ErrorKind::NotAllowed), (b"", ErrorKind::NotAllowed)] {
        let stanza = received.stanza_to(id, carol.public());
        let envelope = EnvelopeFor::new(received.header.clone(), stanza, body.clone()).unwrap();
        let refused = open(&envelope, EnvelopeType::Standalone, Opener::X25519(&carol), id);
        assert_eq!(kind_of(refused), expected);
    }
    // Put into an envelope of Bob's own, the signature does not fit the header; renamed, not the ids.
    let alice = received.signer.verify_key();
    let mut own = Forgery::new(EnvelopeType::Standalone);
    let fresh = Draft::new(EnvelopeType::Standalone, Suite::One, Vec::new(), &mut StdRng::seed_from_u64(8)).unwrap();
    own.header = fresh.header().clone();
    own.seed = Secret::copy_from(fresh.seed.expose());
    assert_eq!(kind_of(own.open_text(received.text()).unwrap().verify(alice)), ErrorKind::Unauthentic);
    let renamed = vec![b"bob".to_vec(), b"carol".to_vec()];
    let Forgery { sender, padded, tail, .. } = &received;
    let text = Body { padded, sender, ids: Some(&renamed), signature: &received.signature(), tail }.encode();
    assert_eq!(kind_of(received.open_text(text).unwrap().verify(alice)), ErrorKind::Unauthentic);
}

#[test]
fn a_tail_is_exactly_what_the_type_has() {
    for kind in ALL {
        for len in [0, 1, 31, 32] {
            let mut forgery = Forgery::new(kind);
            forgery.tail = vec![9; len];
            match forgery.open() {
                Ok(_) => assert_eq!(len, kind.tail_len()),
                Err(error) => {
                    assert_ne!(len, kind.tail_len());
                    assert_eq!(error.kind(), ErrorKind::Malformed);
                }
            }
        }
        let mut forgery = Forgery::new(kind);
        forgery.tail = vec![9; 33];
        assert_eq!(kind_of(forgery.open()), ErrorKind::Limit);
    }
}

#[test]
fn the_tail_is_outside_the_signature_and_everything_else_inside() {
    let forgery = Forgery::new(EnvelopeType::Commit);
    let signature = forgery.signature();
    let key = forgery.signer.verify_key();
    let Forgery { sender, padded, .. } = &forgery;
    let verify = |padded: &[u8], sender: &[u8], tail: &[u8]| {
        let text = Body { padded, sender, ids: None, signature: &signature, tail }.encode();
        forgery.open_text(text).unwrap().verify(key)
    };
    assert_eq!(verify(padded, sender, &[1; 32]).unwrap().tail(), [1; 32]);
    assert_eq!(kind_of(verify(padded, b"mallory", &[9; 32])), ErrorKind::Unauthentic);
    assert_eq!(kind_of(verify(&padding::pad(b"other"), sender, &[9; 32])), ErrorKind::Unauthentic);
}

#[test]
fn recipients_are_named_exactly_where_the_type_has_them() {
    let bob = || vec![b"bob".to_vec()];
    for kind in ALL {
        let mut forgery = Forgery::new(kind);
        forgery.ids = (!kind.names_recipients()).then(bob);
        assert_eq!(kind_of(forgery.open()), ErrorKind::Malformed);
    }
    let lists: [(Vec<Vec<u8>>, ErrorKind); 5] = [
        (vec![], ErrorKind::NotAllowed),
        (vec![b"bob".to_vec(), b"bob".to_vec()], ErrorKind::Malformed),
        (vec![b"carol".to_vec(), b"bob".to_vec()], ErrorKind::Malformed),
        (vec![vec![], b"bob".to_vec()], ErrorKind::Malformed),
        (vec![vec![1; 33], b"bob".to_vec()], ErrorKind::Limit),
    ];
    for (ids, expected) in lists {
        let mut forgery = Forgery::new(EnvelopeType::Request);
        forgery.ids = Some(ids);
        assert_eq!(kind_of(forgery.open()), expected);
    }
    let mut forgery = Forgery::new(EnvelopeType::Standalone);
    forgery.ids = Some((0..257u16).map(|i| i.to_be_bytes().to_vec()).collect());
    assert_eq!(kind_of(forgery.open()), ErrorKind::Limit);
}

#[test]
fn the_body_has_one_encoding() {
    let forgery = Forgery::new(EnvelopeType::Standalone);
    let text = forgery.text();
    assert_eq!(text[..2], [0x85, 0x4c]); // array(5), bytes(12)
    let spellings: [&[u8]; 4] = [&[0x85, 0x58, 12], &[0x98, 5, 0x4c], &[0x9f, 0x4c], &[0x84, 0x4c]];
    for head in spellings {
        assert_eq!(kind_of(forgery.open_text([head, &text[2..]].concat())), ErrorKind::Malformed);
    }
    let longer = [&text[..], &[0]].concat();
    assert_eq!(kind_of(forgery.open_text(longer)), ErrorKind::Malformed);
    for len in 0..text.len() {
        assert_eq!(kind_of(forgery.open_text(text[..len].to_vec())), ErrorKind::Malformed);
    }
}

/// A buffer that grows leaves a copy of the secret payload behind, which nobody wipes.
#[test]
fn what_is_signed_and_what_is_sealed_is_written_into_room_made_once() {
    let mut forgery = Forgery::new(EnvelopeType::Standalone);
    for (sender, ids, payload) in [(0, 1, 0), (limits::ENVELOPE_SENDER, 1, 0), (0, limits::ENVELOPE_RECIPIENTS, 70_000)]
    {
        let id = |n: usize| [&n.to_be_bytes()[..], &[1; limits::ENVELOPE_RECIPIENT_ID - 8]].concat();
        forgery.sender = vec![1; sender];
        forgery.ids = Some((0..ids).map(id).collect());
        forgery.padded = Zeroizing::new(padding::pad(&vec![2; payload]));
        let Forgery { sender, ids, padded, tail, .. } = &forgery;
        let signature = forgery.signature();
        let body = Body { padded, sender, ids: ids.as_deref(), signature: &signature, tail }.encode();
        let parts =
            padded.len() + sender.len() + ids.as_ref().map_or(0, Vec::len) * (limits::ENVELOPE_RECIPIENT_ID + 2);
        assert_eq!(body.capacity(), parts + 256);
        assert!(body.len() + aead::TAG <= body.capacity());
    }
}

#[test]
fn padding_has_one_form() {
    for padded in [&b"\x4bthe payload\0"[..], b"\x46abcdef\0\x01\0", b"\x58\x01a", b"", b"\x01"] {
        let mut forgery = Forgery::new(EnvelopeType::Standalone);
        forgery.padded = Zeroizing::new(padded.to_vec());
        assert_eq!(kind_of(forgery.open()), ErrorKind::Malformed);
    }
}

#[test]
fn a_signature_for_one_type_is_none_for_another() {
    let digests = ALL.map(|kind| {
        let header = Forgery::new(EnvelopeType::Commit).header;
        Signed { header: &header, sender: b"", ids: None, padded: b"" }.digest(kind.signature_label())
    });
    for (i, a) in digests.iter().enumerate() {
        assert!(!digests[i + 1..].contains(a));
    }
}

#[test]
fn x_wing_recipients_share_no_randomness() {
    let mut rng = rng();
    let key = InitSecret::generate(&mut rng).public();
    let forgery = Forgery::new(EnvelopeType::Welcome);
    let recipients = [1u8, 2, 3].map(|id| Recipient::XWing { id: vec![id], key: &key });
    let stanzas = mkem::wrap(&forgery.header, None, &forgery.seed, &recipients).unwrap();
    for (i, a) in stanzas.iter().enumerate() {
        for b in &stanzas[i + 1..] {
            assert_ne!(a.bytes[..32], b.bytes[..32]); // ML-KEM
            assert_ne!(a.bytes[1088..1120], b.bytes[1088..1120]); // X25519
            assert_ne!(a.bytes[1120..], b.bytes[1120..]);
        }
    }
}

/// However many recipients there are, and however they are divided among cores, each gets its own stanza, in its place.
#[test]
fn every_recipient_of_many_gets_its_own_stanza() {
    let (mut rng, commit, welcome) = (rng(), Forgery::new(EnvelopeType::Commit), Forgery::new(EnvelopeType::Welcome));
    let id = |i: usize| u32::try_from(i).unwrap().to_be_bytes().to_vec();
    let seals: Vec<SealSecret> = (0..61).map(|_| SealSecret::generate(&mut rng)).collect();
    let all: Vec<_> =
        seals.iter().enumerate().map(|(i, key)| Recipient::X25519 { id: id(i), key: key.public() }).collect();
    let ephemeral = mkem::ephemeral(&commit.seed);
    let stanzas = mkem::wrap(&commit.header, Some(&ephemeral), &commit.seed, &all).unwrap();
    assert_eq!(stanzas.len(), all.len());
    for (i, stanza) in stanzas.iter().enumerate() {
        let alone = mkem::wrap(&commit.header, Some(&ephemeral), &commit.seed, &all[i..=i]).unwrap();
        assert!(stanza.recipient == id(i) && *stanza == alone[0]);
        assert!(mkem::unwrap(&commit.header, &Opener::X25519(&seals[i]), &id(i), &stanza.bytes).is_ok());
    }

    let inits: Vec<(InitSecret, InitKey)> = (0..21)
        .map(|_| InitSecret::generate(&mut rng))
        .map(|secret| {
            let public = secret.public();
            (secret, public)
        })
        .collect();
    let all: Vec<_> = inits.iter().enumerate().map(|(i, (_, key))| Recipient::XWing { id: id(i), key }).collect();
    let stanzas = mkem::wrap(&welcome.header, None, &welcome.seed, &all).unwrap();
    assert_eq!(stanzas.len(), all.len());
    for (i, stanza) in stanzas.iter().enumerate() {
        let opener = Opener::XWing { secret: &inits[i].0, public: Some(&inits[i].1) };
        assert_eq!(stanza.recipient, id(i));
        assert!(mkem::unwrap(&welcome.header, &opener, &id(i), &stanza.bytes).is_ok());
    }
    let mixed = [all[0].clone(), Recipient::X25519 { id: id(1), key: seals[1].public() }];
    assert_eq!(kind_of(mkem::wrap(&welcome.header, None, &welcome.seed, &mixed)), ErrorKind::Misuse);
}

#[test]
fn secrets_are_not_printed() {
    let forgery = Forgery::new(EnvelopeType::Commit);
    let draft = Draft::new(EnvelopeType::Commit, Suite::One, Vec::new(), &mut rng()).unwrap();
    let mut printed = format!("{draft:?}");
    let signed = draft.sign(b"alice".to_vec(), None, b"the payload", &forgery.signer).unwrap();
    printed += &format!("{signed:?}");
    let unverified = forgery.open().unwrap();
    printed += &format!("{unverified:?}");
    printed += &format!("{:?}", unverified.verify(forgery.signer.verify_key()).unwrap());
    let seed: String = format!("{:?}", &forgery.seed.expose()[..4]);
    assert!(!printed.contains(seed.trim_matches(['[', ']'])) && !printed.contains("payload"), "{printed}");
}

/// A committer removes a member and also seals a stanza to its old leaf: the member must learn that it is out, not take
/// the commit for void.
#[test]
fn a_removed_member_with_a_stanza_all_the_same_learns_that_it_is_out() {
    use crate::group::{Actor, Group, GroupInfo, Occasion, Policy, Proposal, Rejected};
    use crate::identity::{Capabilities, KeyPackage, PackageOptions, UnverifiedLeaf};
    use crate::testing::App;
    use crate::wire::Wire;
    let app = App::new("a.example").unwrap();
    let mut rng = rand::rng();
    let now = crate::Timestamp::now();
    let caps = Capabilities::default();
    let make = |name: &str| {
        let identity = crate::identity::IdentityKey::generate(&mut rand::rng());
        let key = crate::SigningKey::generate(&mut rand::rng());
        (app.certify(name, &identity, (crate::DeviceId::generate(&mut rand::rng()), 0), &key).unwrap(), key)
    };
    let ((mi, mk), (bi, bk)) = (make("maria"), make("bob"));
    let actor = Actor { identity: &mi, signer: &mk, capabilities: &caps };
    let maria = Group::create(actor, Policy::new(App::trust(&[&app]).unwrap()), GroupInfo::default(), now, &mut rng)
        .unwrap()
        .group;
    let validity = crate::Validity { not_before: now, not_after: now.after(1000) };
    let options = PackageOptions { capabilities: caps.clone(), validity, last_resort: false };
    let (package, secrets) = KeyPackage::create(&bi, &bk, options, &mut rng).unwrap();
    let keys = [(package.id(), package.init_key().clone())].into();
    let add = vec![Proposal::Add(UnverifiedLeaf::try_from(package.leaf()).unwrap())];
    let new = maria.commit(add, &keys, Occasion { time: now, seen: [0; 32] }, actor, &mut rng).unwrap();
    let maria = maria.process(&new.envelope.split(&maria.own.encode()).unwrap(), Some(&new.fresh)).unwrap().group;
    let welcome = new.welcome.unwrap().split(package.id().as_bytes()).unwrap();
    let bob =
        Group::join(&welcome, &package, &secrets, (new.envelope.header().bytes(), new.envelope.body())).unwrap().group;

    let out = maria
        .commit(
            vec![Proposal::Remove(bi.user().clone())],
            &Default::default(),
            Occasion { time: now, seen: [0; 32] },
            actor,
            &mut rng,
        )
        .unwrap();
    let own = out.envelope.split(&maria.own.encode()).unwrap();
    let opened =
        super::open(&own, super::EnvelopeType::Commit, super::Opener::X25519(&out.fresh.seal), &maria.own.encode());
    let opened = opened.unwrap().verify(maria.signing.verify_key()).unwrap();
    let ephemeral = super::mkem::ephemeral(opened.seed());
    let to_bob = [super::Recipient::X25519 { id: bob.own.encode(), key: bob.seal.public() }];
    let stanza = super::mkem::wrap(own.header(), Some(&ephemeral), opened.seed(), &to_bob).unwrap().remove(0);
    let for_bob = super::EnvelopeFor::new(own.header().clone(), stanza.bytes().to_vec(), own.body().to_vec()).unwrap();
    let result = bob.process(&for_bob, None);
    assert!(matches!(result, Err(Rejected::Removed)), "{result:?}");
}
