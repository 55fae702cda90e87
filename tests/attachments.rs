//! Files in chunks: whole, in parts, broken off and gone on, and in the hands of whoever keeps them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test says what went wrong by failing"
)]

use std::io::{self, Cursor, Read};

use convivio::attachment::{Decryptor, Encryptor, FileKey, decrypt, encrypt};
use convivio::content::{Content, External, Kind};
use convivio::limits::{ATTACHMENT_CHUNK, ATTACHMENT_CHUNKS};
use convivio::{ErrorKind, Secret};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// What a sender uploads of `text`, and what it says of it in a message.
fn sent(text: &[u8]) -> (Vec<u8>, External) {
    let mut uploaded = Vec::new();
    let attachment = encrypt(&mut &*text, &mut uploaded, &mut StdRng::seed_from_u64(text.len() as u64)).unwrap();
    assert_eq!(attachment.encrypted_size(), uploaded.len() as u64);
    let message = Content::attachment(attachment.to_part("https://files.example/1", "image/png", "a.png"));
    let Kind::Attachment(part) = message.kind() else { panic!() };
    (uploaded, part.clone())
}

fn received(part: &External, downloaded: &[u8]) -> Result<Vec<u8>, ErrorKind> {
    let attachment = FileKey::try_from(part).map_err(|error| error.kind())?;
    let mut text = Vec::new();
    decrypt(&attachment, &mut Cursor::new(downloaded), &mut text).map_err(|error| error.kind())?;
    Ok(text)
}

/// Bytes that differ everywhere.
fn text(len: usize) -> Vec<u8> {
    (0u32..).flat_map(u32::to_le_bytes).take(len).collect()
}

const LENGTHS: [usize; 7] = [
    0,
    1,
    ATTACHMENT_CHUNK - 1,
    ATTACHMENT_CHUNK,
    ATTACHMENT_CHUNK + 1,
    2 * ATTACHMENT_CHUNK,
    3 * ATTACHMENT_CHUNK + 5,
];

#[test]
fn a_file_of_any_length_comes_back() {
    for len in LENGTHS {
        let (uploaded, part) = sent(&text(len));
        let chunks = len.div_ceil(ATTACHMENT_CHUNK).max(1);
        assert_eq!(uploaded.len(), len + 64 * chunks);
        assert_eq!(part.size, len as u64);
        assert_eq!(received(&part, &uploaded).unwrap(), text(len), "{len}");
    }
}

#[test]
fn a_reader_may_give_little_at_a_time() {
    struct Slow<'a>(&'a [u8]);
    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let len = buffer.len().min(1_000).min(self.0.len());
            let (now, later) = self.0.split_at(len);
            buffer[..len].copy_from_slice(now);
            self.0 = later;
            Ok(len)
        }
    }
    let text = text(2 * ATTACHMENT_CHUNK + 7);
    let mut uploaded = Vec::new();
    let mut rng = StdRng::seed_from_u64(1);
    let attachment = encrypt(&mut Slow(&text), &mut uploaded, &mut rng).unwrap();
    let part = attachment.to_part("", "", "");
    assert_eq!(received(&part, &uploaded).unwrap(), text);
}

#[test]
fn any_chunk_can_be_read_alone_and_again() {
    let text = text(3 * ATTACHMENT_CHUNK + 5);
    let (uploaded, part) = sent(&text);
    let attachment = FileKey::try_from(&part).unwrap();
    let at = |range: core::ops::Range<u64>| &uploaded[range.start as usize..range.end as usize];
    let decryptor = Decryptor::new(&attachment, at(attachment.index_at())).unwrap();
    assert_eq!(decryptor.chunks(), 4);
    for number in [3, 0, 2, 2] {
        let chunk = decryptor.chunk(number, at(attachment.chunk_at(number).unwrap())).unwrap();
        let start = number as usize * ATTACHMENT_CHUNK;
        assert_eq!(chunk, text[start..text.len().min(start + ATTACHMENT_CHUNK)]);
    }
    assert!(attachment.chunk_at(4).is_none());
    assert_eq!(decryptor.chunk(4, &[]).unwrap_err().kind(), ErrorKind::Misuse);
}

#[test]
fn an_upload_that_broke_off_goes_on() {
    let text = text(2 * ATTACHMENT_CHUNK + 9);
    let mut first = Encryptor::new(&mut StdRng::seed_from_u64(1));
    let key = Secret::from_bytes(&mut { *first.key().expose() });
    let uploaded = first.chunk(&text[..ATTACHMENT_CHUNK], false).unwrap();
    drop(first);

    let mut again = Encryptor::with_key(key);
    let mut chunks = text.chunks(ATTACHMENT_CHUNK).peekable();
    let mut whole = Vec::new();
    while let Some(chunk) = chunks.next() {
        whole.extend(again.chunk(chunk, chunks.peek().is_none()).unwrap());
    }
    assert!(whole.starts_with(&uploaded), "what was uploaded need not be uploaded again");
    let (attachment, index) = again.finish().unwrap();
    whole.extend(index);
    assert_eq!(received(&attachment.to_part("", "", ""), &whole).unwrap(), text);
}

#[test]
fn a_copied_generator_does_not_encrypt_two_files_under_one_key() {
    let seal = |text: &[u8]| {
        let mut encryptor = Encryptor::new(&mut StdRng::seed_from_u64(1));
        encryptor.chunk(text, true).unwrap()
    };
    let (a, b) = (seal(&[0; 64]), seal(&[1; 64]));
    // Under one key stream the difference of the ciphertexts would be that of the texts.
    let difference: Vec<u8> = a[16..80].iter().zip(&b[16..80]).map(|(a, b)| a ^ b).collect();
    assert_ne!(a[..16], b[..16]);
    assert_ne!(difference, [1; 64]);
}

#[test]
fn an_encryptor_is_used_in_order() {
    let mut encryptor = Encryptor::new(&mut StdRng::seed_from_u64(1));
    let kind = |result: convivio::Result<Vec<u8>>| result.unwrap_err().kind();
    assert_eq!(kind(encryptor.chunk(&[0; 5], false)), ErrorKind::Misuse);
    assert_eq!(kind(encryptor.chunk(&[0; ATTACHMENT_CHUNK + 1], true)), ErrorKind::Misuse);
    encryptor.chunk(&[0; ATTACHMENT_CHUNK], false).unwrap();
    assert_eq!(kind(encryptor.chunk(&[], true)), ErrorKind::Misuse, "the last chunk of a longer file is not empty");
    encryptor.chunk(&[0; 5], true).unwrap();
    assert_eq!(kind(encryptor.chunk(&[0; 5], true)), ErrorKind::Misuse);
    let unfinished = Encryptor::new(&mut StdRng::seed_from_u64(1));
    assert_eq!(unfinished.finish().unwrap_err().kind(), ErrorKind::Misuse);
}

#[test]
fn a_file_that_cannot_be_read_or_written_says_so() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let error = encrypt(&mut Broken, &mut Vec::new(), &mut StdRng::seed_from_u64(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::File);
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "the disk is gone");
}

#[test]
fn what_a_message_says_of_a_file_is_checked_first() {
    let (_, good) = sent(b"hello");
    let kind = |change: fn(&mut External)| {
        let mut part = good.clone();
        change(&mut part);
        FileKey::try_from(&part).unwrap_err().kind()
    };
    assert_eq!(kind(|part| part.algorithm = 1), ErrorKind::Unsupported);
    assert_eq!(kind(|part| part.hash_algorithm = 2), ErrorKind::Unsupported);
    assert_eq!(kind(|part| part.key.truncate(31)), ErrorKind::Malformed);
    assert_eq!(kind(|part| part.hash.push(0)), ErrorKind::Malformed);
    assert_eq!(kind(|part| part.nonce.push(0)), ErrorKind::Malformed);
    assert_eq!(kind(|part| part.aad.push(0)), ErrorKind::Malformed);
    // A length as if it were exabytes reserves nothing.
    assert_eq!(kind(|part| part.size = u64::MAX), ErrorKind::Limit);
    assert_eq!(kind(|part| part.size = ATTACHMENT_CHUNKS * ATTACHMENT_CHUNK as u64 + 1), ErrorKind::Limit);
    let mut longest = good;
    longest.size = ATTACHMENT_CHUNKS * ATTACHMENT_CHUNK as u64;
    assert_eq!(received(&longest, b"short").unwrap_err(), ErrorKind::Unauthentic);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_length_comes_back_and_any_flipped_bit_is_refused(len in 0..3 * ATTACHMENT_CHUNK, at in any::<proptest::sample::Index>(), bit in 0..8u8) {
        let (mut uploaded, part) = sent(&text(len));
        prop_assert_eq!(received(&part, &uploaded).unwrap(), text(len));
        let at = at.index(uploaded.len());
        uploaded[at] ^= 1 << bit;
        prop_assert_eq!(received(&part, &uploaded).unwrap_err(), ErrorKind::Unauthentic);
    }
}
