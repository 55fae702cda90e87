//! Finds known bytes in whatever form they are shown: raw, hexadecimal, base64, as lists of numbers, as large integers,
//! whole or in parts of eight bytes, forwards or backwards.

#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use std::collections::{BTreeSet, HashMap};

/// The shortest part that counts as found. Eight bytes do not come about by chance.
pub const PART: usize = 8;

pub struct Detector(HashMap<[u8; PART], String>);

impl Detector {
    /// Looks for these secrets, each with a name to report.
    pub fn new<N: AsRef<str>>(secrets: impl IntoIterator<Item = (N, Vec<u8>)>) -> Self {
        let mut parts = HashMap::new();
        for (name, bytes) in secrets {
            assert!(bytes.len() >= PART, "too short to be looked for: {}", name.as_ref());
            for part in bytes.windows(PART) {
                let mut part: [u8; PART] = part.try_into().unwrap();
                parts.insert(part, name.as_ref().to_owned());
                part.reverse();
                parts.insert(part, format!("{} backwards", name.as_ref()));
            }
        }
        Self(parts)
    }

    /// The names of what is in these bytes as it is.
    pub fn in_bytes(&self, bytes: &[u8]) -> BTreeSet<&str> {
        bytes.windows(PART).filter_map(|part| self.0.get(part)).map(String::as_str).collect()
    }

    /// The names of what this text shows in any form.
    pub fn in_text(&self, text: &str) -> BTreeSet<&str> {
        let forms = [runs_of_hex(text), runs_of_base64(text), runs_of_numbers(text, 10), runs_of_numbers(text, 16)];
        let decoded = forms.iter().flatten().flat_map(|run| self.in_bytes(run));
        self.in_bytes(text.as_bytes()).into_iter().chain(decoded).collect()
    }

    /// Fails with what was found, and where.
    pub fn assert_silent(&self, text: &str, whose: &str) {
        let found = self.in_text(text);
        assert!(found.is_empty(), "{whose} shows {found:?}:\n{text}");
    }
}

/// What each longest run of hexadecimal digits says, from its first digit and from its second.
fn runs_of_hex(text: &str) -> Vec<Vec<u8>> {
    let digits = text.split(|c: char| !c.is_ascii_hexdigit()).filter(|run| run.len() >= 2 * PART);
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.flat_map(|run| [0, 1].map(|from| run.as_bytes()[from..].chunks_exact(2).map(pair).collect())).collect()
}

/// The same for base64 of either alphabet, from each of the first four letters: a secret may start anywhere in it.
fn runs_of_base64(text: &str) -> Vec<Vec<u8>> {
    let value = |c: char| match c {
        'A'..='Z' => Some(c as u32 - 'A' as u32),
        'a'..='z' => Some(c as u32 - 'a' as u32 + 26),
        '0'..='9' => Some(c as u32 - '0' as u32 + 52),
        '+' | '-' => Some(62),
        '/' | '_' => Some(63),
        _ => None,
    };
    let letters = text.split(|c: char| value(c).is_none()).filter(|run| run.len() > PART);
    let decode = |run: &str| -> Vec<u8> {
        let sextets: Vec<u32> = run.chars().filter_map(value).collect();
        let triple = |four: &[u32]| four.iter().fold(0, |sum, sextet| sum << 6 | sextet).to_be_bytes();
        sextets.chunks_exact(4).flat_map(|four| triple(four)[1..].to_vec()).collect()
    };
    letters.flat_map(|run| (0..4).map(move |from| decode(&run[from..]))).collect()
}

/// What lists of numbers say, be they written `[1, 2]`, `1,2`, `01 02`, `0x1, 0x2` or one a line: bytes one by one, and
/// larger integers in either order of their bytes.
fn runs_of_numbers(text: &str, radix: u32) -> Vec<Vec<u8>> {
    let (mut runs, mut run) = (Vec::new(), Vec::new());
    for word in text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        let digits = if radix == 16 { word.trim_start_matches("0x") } else { word };
        match u128::from_str_radix(digits, radix) {
            Ok(byte) if byte < 256 => run.push(byte as u8),
            Ok(large) => {
                runs.push(std::mem::take(&mut run));
                runs.extend([large.to_be_bytes().to_vec(), large.to_le_bytes().to_vec()]);
            }
            Err(_) => runs.push(std::mem::take(&mut run)),
        }
    }
    runs.push(run);
    runs
}
