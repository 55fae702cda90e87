//! Padmé (Nikitin et al., PETS 2019): a length rounded up so that it tells at most O(log log n) bits, for at most 12 %
//! more bytes.

use core::ops::Range;

use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::limits;
use crate::wire::{Reader, Writer};

/// Bytes of the longest padded payload.
pub(super) const MAX_PADDED: usize = padded_len(head_len(limits::ENVELOPE_PAYLOAD) + limits::ENVELOPE_PAYLOAD);

/// The payload as a CBOR byte string, then zeros up to the Padmé length.
pub(super) fn pad(payload: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    if payload.len() > limits::ENVELOPE_PAYLOAD {
        return Err(Error::limit("an envelope's payload is longer than the protocol allows"));
    }
    let len = padded_len(head_len(payload.len()).saturating_add(payload.len()));
    let mut w = Writer::with_capacity(len);
    w.bytes(payload);
    let mut padded = Zeroizing::new(w.finish());
    padded.resize(len, 0);
    Ok(padded)
}

/// Where the payload is inside [`pad`]'s output. Refuses another head than the shortest, another length than Padmé's, and
/// padding that is not zero: there is one padded form of a payload.
pub(super) fn unpad(padded: &[u8]) -> Result<Range<usize>> {
    let mut r = Reader::new(padded);
    let payload = r.bytes(limits::ENVELOPE_PAYLOAD)?;
    let len = r.position();
    let head = head_len(payload.len());
    let shortest = len == head.saturating_add(payload.len());
    let zeros = padded.get(len..).is_some_and(|rest| rest.iter().all(|&byte| byte == 0));
    if !shortest || padded.len() != padded_len(len) || !zeros {
        return Err(Error::malformed("not the one padded form of this payload"));
    }
    Ok(head..len)
}

/// Padmé: `len` rounded up to a multiple of 2^(e − s), where e is the exponent of `len` and s the bits of e.
const fn padded_len(len: usize) -> usize {
    let Some(exponent) = len.checked_ilog2() else { return len };
    let Some(log) = exponent.checked_ilog2() else { return len };
    let low_bits = exponent.saturating_sub(log.saturating_add(1));
    let mask = (1usize << low_bits).saturating_sub(1);
    len.saturating_add(mask) & !mask
}

/// Bytes of the head of a CBOR byte string.
const fn head_len(len: usize) -> usize {
    match len {
        0..24 => 1,
        24..0x100 => 2,
        0x100..0x1_0000 => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_the_paper() {
        // (length, Padmé): small lengths stay, 9 → 10 is the paper's first example, powers of two stay.
        let table = [
            (0, 0),
            (1, 1),
            (2, 2),
            (7, 7),
            (8, 8),
            (9, 10),
            (15, 16),
            (16, 16),
            (17, 18),
            (33, 36),
            (100, 104),
            (1_000, 1_024),
            (1_025, 1_088),
            (10_000, 10_240),
            (65_536, 65_536),
            (65_537, 67_584),
            (1_000_000, 1_015_808),
            (33_554_437, 34_603_008),
        ];
        for (len, padded) in table {
            assert_eq!(padded_len(len), padded, "{len}");
        }
    }

    #[test]
    fn padding_costs_at_most_twelve_percent_and_never_shrinks() {
        let mut last = 0;
        for len in 0..70_000 {
            let padded = padded_len(len);
            assert!(padded >= len && padded * 100 <= len * 112, "{len} → {padded}");
            assert!(padded >= last && padded_len(padded) == padded);
            last = padded;
        }
    }

    #[test]
    fn a_payload_has_one_padded_form() {
        for len in [0, 1, 22, 23, 24, 25, 255, 256, 257, 65_535, 65_536, 65_537] {
            let payload = vec![7; len];
            let padded = pad(&payload).unwrap();
            assert_eq!(padded[unpad(&padded).unwrap()], payload);
            assert!(unpad(&padded[..padded.len() - 1]).is_err());
            let mut longer = padded.clone();
            longer.push(0);
            assert!(unpad(&longer).is_err());
        }
        let mut dirty = pad(&[7; 100]).unwrap();
        assert_eq!(dirty.len(), 104);
        dirty[103] = 1;
        assert!(unpad(&dirty).is_err());
        // A head longer than needed, and one of indefinite length.
        assert!(unpad(&[0x58, 1, 7]).is_err());
        assert!(unpad(&[0x5f, 0x41, 7, 0xff]).is_err());
        assert!(unpad(&[]).is_err());
        assert!(pad(&vec![0; limits::ENVELOPE_PAYLOAD + 1]).is_err());
    }
}
