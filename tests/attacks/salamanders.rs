//! Row 8: one ciphertext, two keys. ChaCha20-Poly1305 does not commit to its key, so an envelope must.

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit as _, StreamCipher as _};
use convivio::envelope::{EnvelopeType, Opener, open};
use convivio::{ErrorKind, SealSecret, Secret, VerifyKey};

use crate::kit::Value;
use crate::kit::cbor::{array, expand_label, public, sign};
use crate::kit::envelope::{
    COMMIT, Cipher, Content, STANDALONE, Sealer, commitment, content_key, envelope, header, pad,
};
use crate::kit::insider::public_seal;
use crate::kit::poly1305::{OneTime, collide};

const MALLORY: [u8; 32] = [9; 32];
const ALICE: [u8; 32] = [1; 32];
const BOB: [u8; 32] = [2; 32];

/// What a recipient makes of its part.
fn open_as(
    secret: [u8; 32],
    id: &[u8],
    envelope: &convivio::envelope::Envelope,
    kind: EnvelopeType,
) -> convivio::Result<Vec<u8>> {
    let secret = SealSecret::from_secret(Secret::from_bytes(&mut secret.clone()));
    let opened = open(&envelope.split(id).unwrap(), kind, Opener::X25519(&secret), id)?;
    Ok(opened.verify(&VerifyKey::from_bytes(public(&MALLORY)).unwrap())?.payload().to_vec())
}

/// The 16-byte blocks that the tag of a ciphertext is the polynomial of.
fn blocks(aad: &[u8], ciphertext: &[u8]) -> Vec<[u8; 16]> {
    let mut bytes = Vec::new();
    for part in [aad, ciphertext] {
        bytes.extend_from_slice(part);
        bytes.resize(bytes.len().next_multiple_of(16), 0);
    }
    bytes.extend((aad.len() as u64).to_le_bytes());
    bytes.extend((ciphertext.len() as u64).to_le_bytes());
    bytes.chunks(16).map(|block| block.try_into().unwrap()).collect()
}

fn keystream(cipher: &Cipher, length: usize) -> Vec<u8> {
    let (key, nonce) = cipher.0.split_at(32);
    let (key, nonce): ([u8; 32], [u8; 12]) = (key.try_into().unwrap(), nonce.try_into().unwrap());
    let mut stream = vec![0; length];
    ChaCha20::new(&key.into(), &nonce.into()).apply_keystream(&mut stream);
    stream
}

/// A commit-type envelope that names Alice's seed in its header; its body is authentic under her key and under Bob's,
/// and is under Bob's a well-formed, signed content. The tail, outside the signature, gives the room for it.
fn salamander() -> (Sealer, [u8; 32], Vec<u8>, Content) {
    let seeds = [[3; 32], [4; 32]];
    let sealer = Sealer::new(COMMIT, seeds[0], b"whatever");
    let keys = seeds.map(|seed| content_key(&seed, &sealer.header));
    let padded = pad(b"to Bob alone");
    // A sender field of a length that puts the tail on the border of a block.
    let content = (0..16).find_map(|length| {
        let sender = vec![7; length];
        let fields = array![sealer.header.as_slice(), sender.as_slice(), Value::Null, padded.as_slice()];
        let signature = sign(&MALLORY, "sign commit", &fields);
        let content = Content { padded: padded.clone(), sender, ids: None, signature, tail: vec![0; 32] };
        text(&content).len().is_multiple_of(16).then_some(content)
    });
    let mut content = content.unwrap();
    let plain = text(&content);
    let streams = [0, 1].map(|i| keystream(&keys[i], 64 + plain.len()));
    let once = [0, 1].map(|i| OneTime::new(streams[i][..32].try_into().unwrap()));
    let ciphertext: Vec<u8> = plain.iter().zip(&streams[1][64..]).map(|(a, b)| a ^ b).collect();
    let all = blocks(&sealer.header, &ciphertext);
    let free = [all.len() - 3, all.len() - 2];
    let (tag, found) = (1_u128..)
        .find_map(|n| {
            let tag = n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            Some((tag, collide([&once[0], &once[1]], &all, free, tag)?))
        })
        .unwrap();
    let tail_at = ciphertext.len() - 32;
    let body = [&ciphertext[..tail_at], &found[0], &found[1], &tag.to_le_bytes()].concat();
    content.tail = body[tail_at..tail_at + 32].iter().zip(&streams[1][64 + tail_at..]).map(|(a, b)| a ^ b).collect();
    (sealer, seeds[1], body, content)
}

/// The plaintext of a body.
fn text(content: &Content) -> Vec<u8> {
    let Content { padded, sender, signature, tail, .. } = content;
    array![padded.as_slice(), sender.as_slice(), Value::Null, *signature, tail.as_slice()].encode()
}

#[test]
fn row_08_invisible_salamanders_one_ciphertext_two_keys_on_an_envelope() {
    let (sealer, second, body, content) = salamander();
    for seed in [sealer.seed, second] {
        assert!(content_key(&seed, &sealer.header).open_with(&sealer.header, &body).is_some(), "both keys open it");
    }
    let stanza = |carried: &[u8; 32], secret: &[u8; 32], id: &[u8]| {
        (id.to_vec(), sealer.stanza(carried, (&public_seal(secret), id), 0))
    };
    let made = envelope(&sealer.header, &[stanza(&sealer.seed, &ALICE, b"a"), stanza(&second, &BOB, b"b")], &body);
    assert_eq!(open_as(BOB, b"b", &made, EnvelopeType::Commit).unwrap_err().kind(), ErrorKind::Unauthentic);
    // The control: the content that Bob would have read is good, in an envelope that commits to its seed.
    let honest = Sealer::new(COMMIT, second, b"whatever");
    let fields = array![honest.header.as_slice(), content.sender.as_slice(), Value::Null, content.padded.as_slice()];
    let content = Content { signature: sign(&MALLORY, "sign commit", &fields), ..content };
    let to = (b"b".to_vec(), honest.stanza(&second, (&public_seal(&BOB), b"b"), 0));
    let made = envelope(&honest.header, &[to], &honest.body(&content));
    assert_eq!(open_as(BOB, b"b", &made, EnvelopeType::Commit).unwrap(), b"to Bob alone");
}

/// Without a collision: header, stanza and body each for one seed, in every combination of two seeds.
#[test]
fn row_08_invisible_salamanders_header_stanza_and_body_of_two_seeds() {
    let seeds = [[5; 32], [6; 32]];
    let scalars: [[u8; 32]; 2] = seeds.map(|seed| expand_label(&seed, "envelope ephemeral", b""));
    let mut accepted = Vec::new();
    for choice in 0..16_usize {
        let [committed, ephemeral, carried, encrypted] = [0, 1, 2, 3].map(|bit| choice >> bit & 1);
        let bytes = header(STANDALONE, Some(&public_seal(&scalars[ephemeral])), &commitment(&seeds[committed]), b"");
        let sealer = Sealer { seed: seeds[encrypted], ephemeral: Some(scalars[ephemeral]), header: bytes };
        let ids = Some(vec![b"b".to_vec()]);
        let content = sealer.sign("sign envelope", b"", ids, (&MALLORY, b"hello"));
        let stanza = sealer.stanza(&seeds[carried], (&public_seal(&BOB), b"b"), 0);
        let made = envelope(&sealer.header, &[(b"b".to_vec(), stanza)], &sealer.body(&content));
        match open_as(BOB, b"b", &made, EnvelopeType::Standalone) {
            Ok(payload) => {
                assert_eq!(payload, b"hello");
                accepted.push(choice);
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unauthentic),
        }
    }
    assert_eq!(accepted, [0b0000, 0b1111], "all of one seed");
}
