//! Files in chunks (`docs/protocol.md`, section 11.6) against what a reader knows: a chunk is the one that was encrypted,
//! or refused; the whole is there, or refused. In any order, as often as one likes, also by one who knows the key.

use std::io::Cursor;

use arbitrary::{Arbitrary, Unstructured};
use convivio::attachment::{Decryptor, Encryptor, FileKey, decrypt};
use convivio::content::External;
use convivio::limits::ATTACHMENT_CHUNK;
use convivio::{ErrorKind, Secret};

use super::{Seeds, noise};

#[derive(Arbitrary, Debug)]
struct Input {
    /// Whole chunks of the text, and bytes beside them.
    chunks: u8,
    rest: u16,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
enum Step {
    /// Reads a chunk, as it is.
    Read(u8),
    /// The same with one byte changed.
    Flip(u8, u16, u8),
    /// A chunk in the place of another.
    Swap(u8, u8),
    /// A chunk that is too short, or too long.
    Length(u8, i8),
    /// The index or what the message says, changed.
    Index(u16, u8),
    Hash(u8, u8),
    Key(u8, u8),
    Size(i8),
    /// The whole file, changed, cut or lengthened at one place.
    Whole(u32, u8, i8),
    /// Encrypts it again from the start, as after a broken upload.
    Again,
}

struct File {
    text: Vec<u8>,
    sealed: Vec<Vec<u8>>,
    index: Vec<u8>,
    part: External,
}

fn encrypted(text: Vec<u8>) -> File {
    let mut encryptor = Encryptor::with_key(Secret::from_bytes(&mut [7; 32]));
    let chunks: Vec<&[u8]> = if text.is_empty() { vec![&[]] } else { text.chunks(ATTACHMENT_CHUNK).collect() };
    let last = chunks.len() - 1;
    let sealed = chunks.iter().enumerate().map(|(n, chunk)| encryptor.chunk(chunk, n == last).unwrap()).collect();
    let (key, index) = encryptor.finish().unwrap();
    let part = key.to_part("https://files.example/1", "image/jpeg", "beach.jpg");
    File { text, sealed, index, part }
}

/// What a message says of a small file.
pub(super) fn part() -> External {
    encrypted(b"a photo".to_vec()).part
}

pub fn run(data: &[u8]) {
    let Ok(Input { chunks, rest, steps }) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let len = usize::from(chunks % 3) * ATTACHMENT_CHUNK + usize::from(rest) % 600;
    let text: Vec<u8> = (0..len).map(|at| (at * 31 / 7) as u8).collect();
    let file = encrypted(text);
    let key = FileKey::try_from(&file.part).unwrap();
    let reader = Decryptor::new(&key, &file.index).unwrap();
    let whole = [file.sealed.concat(), file.index.clone()].concat();
    assert_eq!(key.encrypted_size(), whole.len() as u64);
    for step in steps.iter().take(12) {
        match step {
            Step::Read(n) => {
                let n = usize::from(*n) % file.sealed.len();
                let at = key.chunk_at(n as u64).unwrap();
                let sealed = &whole[at.start as usize..at.end as usize];
                assert!(sealed == file.sealed[n], "a chunk lies elsewhere than it says");
                let text = file.text.chunks(ATTACHMENT_CHUNK).nth(n).unwrap_or_default();
                assert!(reader.chunk(n as u64, sealed).unwrap() == text);
            }
            Step::Again => {
                let again = encrypted(file.text.clone());
                assert!(again.sealed == file.sealed && again.index == file.index && again.part == file.part);
            }
            step => tampered(step, &file, &reader, &whole),
        }
    }
    let mut out = Vec::new();
    decrypt(&key, &mut Cursor::new(&whole), &mut out).unwrap();
    assert!(out == file.text);
    another_text(&file, &reader);
}

/// A member, who knows the key, has encrypted another text of this length under it.
fn another_text(file: &File, reader: &Decryptor) {
    let mut text = file.text.clone();
    let Some(first) = text.first_mut() else { return };
    *first ^= 1;
    let other = encrypted(text);
    assert_eq!(reader.chunk(0, &other.sealed[0]).unwrap_err().kind(), ErrorKind::Unauthentic);
    assert!(Decryptor::new(&FileKey::try_from(&file.part).unwrap(), &other.index).is_err());
}

/// Whatever is changed is refused, and nothing of it comes out.
fn tampered(step: &Step, file: &File, reader: &Decryptor, whole: &[u8]) {
    let count = file.sealed.len();
    let pick = |n: &u8| usize::from(*n) % count;
    let refused = |n: usize, sealed: &[u8]| {
        if sealed != file.sealed[n] {
            assert_eq!(reader.chunk(n as u64, sealed).unwrap_err().kind(), ErrorKind::Unauthentic);
        }
    };
    match step {
        Step::Flip(n, at, with) => {
            let mut sealed = file.sealed[pick(n)].clone();
            let at = usize::from(*at) % sealed.len();
            sealed[at] ^= with;
            refused(pick(n), &sealed);
        }
        Step::Swap(n, other) => refused(pick(n), &file.sealed[pick(other)]),
        Step::Length(n, by) => {
            let mut sealed = file.sealed[pick(n)].clone();
            sealed.resize(sealed.len().saturating_add_signed((*by).into()), 0);
            refused(pick(n), &sealed);
        }
        Step::Index(at, with) => {
            let mut index = file.index.clone();
            let at = usize::from(*at) % index.len();
            index[at] ^= with;
            let key = FileKey::try_from(&file.part).unwrap();
            assert_eq!(Decryptor::new(&key, &index).is_ok(), *with == 0);
        }
        Step::Hash(at, with) | Step::Key(at, with) => {
            let mut part = file.part.clone();
            let field = if matches!(step, Step::Hash(..)) { &mut part.hash } else { &mut part.key };
            field[usize::from(*at) % 32] ^= with;
            opens(&part, file, whole);
        }
        Step::Size(by) => {
            let mut part = file.part.clone();
            part.size = part.size.saturating_add_signed((*by).into());
            opens(&part, file, whole);
        }
        Step::Whole(at, with, by) => {
            let mut changed = whole.to_vec();
            let at = *at as usize % changed.len();
            changed[at] ^= with;
            changed.resize(changed.len().saturating_add_signed((*by).into()), 0);
            let key = FileKey::try_from(&file.part).unwrap();
            let mut out = Vec::new();
            let opened = decrypt(&key, &mut Cursor::new(&changed), &mut out);
            assert_eq!(opened.is_ok(), changed == whole);
            assert!(file.text.starts_with(&out), "something came out that is not of the file");
        }
        Step::Read(_) | Step::Again => {}
    }
}

fn opens(part: &External, file: &File, whole: &[u8]) {
    let opened = FileKey::try_from(part).and_then(|key| decrypt(&key, &mut Cursor::new(whole), &mut Vec::new()));
    assert_eq!(opened.is_ok(), *part == file.part, "what a message says of a file and what was encrypted differ");
}

pub fn seeds() -> Seeds {
    noise(&[12, 40, 120])
}
