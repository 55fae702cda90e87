//! Padding of what is encrypted: the CBOR byte string of the content, then zeros up to the Padmé length
//! (`docs/protocol.md`, sections 4 and 6).
//!
//! Padmé (Nikitin et al., PETS 2019) hides all but O(log log L) bits of a length L at a cost of at most 12 %.

use core::ops::Range;

use crate::error::{Error, Result};
use crate::wire::Reader;

/// The padded form of `content`.
pub(crate) fn pad(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(padded_len(content.len()));
    pad_into(&mut out, content);
    out
}

/// Appends the padded form of `content`: [`padded_len`] bytes.
pub(crate) fn pad_into(out: &mut Vec<u8>, content: &[u8]) {
    let end = out.len().saturating_add(padded_len(content.len()));
    push_head(out, content.len());
    out.extend_from_slice(content);
    out.resize(end, 0);
}

/// Bytes of the padded form of `content_len` bytes.
pub(crate) const fn padded_len(content_len: usize) -> usize {
    padme(head_len(content_len).saturating_add(content_len))
}

/// The content of a padded form. Fails with `Malformed` on whatever [`pad`] would not have made: a length that is not
/// in its shortest form, a padding byte that is not zero, or too many or too few of them.
pub(crate) fn unpad(padded: &[u8]) -> Result<&[u8]> {
    unpad_range(padded).map(|content| padded.get(content).unwrap_or_default())
}

/// Where the content is in a padded form. Fails as [`unpad`] does.
pub(crate) fn unpad_range(padded: &[u8]) -> Result<Range<usize>> {
    let mut r = Reader::new(padded);
    let content = r.bytes(padded.len())?;
    let used = r.position();
    let zeros = padded.get(used..).unwrap_or_default();
    let exact = head_len(content.len()).saturating_add(content.len()) == used && padme(used) == padded.len();
    if !exact || zeros.iter().any(|&byte| byte != 0) {
        return Err(Error::malformed("padding that no correct sender makes"));
    }
    Ok(used.saturating_sub(content.len())..used)
}

/// Rounds a length up so that at most its leading ⌊log₂ ⌊log₂ L⌋⌋ + 2 bits differ from zero.
const fn padme(len: usize) -> usize {
    if len < 2 {
        return len;
    }
    let exponent = len.ilog2();
    let kept_bits = match exponent {
        0 => 1,
        _ => exponent.ilog2().saturating_add(1),
    };
    let mask = (1_usize << exponent.saturating_sub(kept_bits)).wrapping_sub(1);
    len.saturating_add(mask) & !mask
}

/// Bytes of the CBOR head (RFC 8949, section 3.1) of a byte string of `len` bytes.
const fn head_len(len: usize) -> usize {
    match len {
        0..=23 => 1,
        24..=0xff => 2,
        0x100..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

/// Appends the shortest CBOR head of a byte string of `len` bytes.
fn push_head(out: &mut Vec<u8>, len: usize) {
    let be = (len as u64).to_be_bytes();
    let [.., b3, b2, b1, b0] = be;
    match head_len(len) {
        1 => out.push(0x40 | b0),
        2 => out.extend_from_slice(&[0x58, b0]),
        3 => out.extend_from_slice(&[0x59, b1, b0]),
        5 => out.extend_from_slice(&[0x5a, b3, b2, b1, b0]),
        _ => {
            out.push(0x5b);
            out.extend_from_slice(&be);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{pad, padded_len, padme, unpad};
    use crate::wire::Writer;

    #[test]
    fn padme_gives_the_lengths_of_its_paper() {
        let rounded = [0, 1, 2, 8, 9, 10, 17, 100, 1_000, 65_541].map(padme);
        assert_eq!(rounded, [0, 1, 2, 8, 10, 10, 18, 104, 1_024, 67_584]);
    }

    #[test]
    fn every_length_comes_back_and_the_head_is_that_of_the_one_encoding() {
        for len in (0..300).chain([4_095, 65_535, 65_536, 70_000]) {
            let content = vec![7; len];
            let padded = pad(&content);
            let mut w = Writer::new();
            w.bytes(&content);
            assert!(padded.starts_with(&w.finish()));
            assert_eq!(padded.len(), padded_len(len));
            assert_eq!(unpad(&padded).unwrap(), content);
        }
    }

    #[test]
    fn only_the_one_padding_is_taken() {
        let padded = pad(&[1; 100]);
        assert_eq!(padded.len(), 104);
        for at in 102..104 {
            let mut dirty = padded.clone();
            dirty[at] = 1;
            assert!(unpad(&dirty).is_err());
        }
        assert!(unpad(&padded[..103]).is_err());
        assert!(unpad(&[&padded[..], &[0]].concat()).is_err());
        assert!(unpad(&[0x58, 1, 9, 0]).is_err(), "a length that is not in its shortest form");
        assert!(unpad(&[0x5f, 0xff]).is_err(), "indefinite length");
        assert!(unpad(&[]).is_err());
    }
}
