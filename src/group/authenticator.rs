//! A group's authenticator for people to compare (`docs/protocol.md`, section 5.4).

use core::fmt;

use subtle::ConstantTimeEq;

use crate::crypto::kdf::{self, Hash};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{half_of_digits, write_in_fives};
use crate::ids::{Epoch, GroupId};
use crate::labels;
use crate::wire::{Reader, Wire, Writer};

const VERSION: u16 = 1;
const QR_TAG: &str = "convivio group";

/// Hashes behind each half, as with a safety number: whoever compares a part only still has 2¹² times the guesses.
const ROUNDS: u32 = 4_096;

/// 60 digits, or a QR code, that two members of a group compare over a channel on which they recognise each other.
///
/// Equal digits mean: both hold the same group, with the same members and identity keys, rules and epoch, and with the same
/// history since it was founded; so neither the hub nor a member shows them different groups. That the members are who they
/// say is another matter, which safety numbers answer. They change with every commit; two devices that have not read as far
/// differ, and the code tells them so.
///
/// Sixty, because whoever makes two groups to confuse two people can try many of both, and finds two of half as many digits
/// that look alike after the square root of the tries: about 2⁴⁹ for 30 digits, 2⁹⁹ for 60. Half j (0, then 1) is:
///
/// ```text
/// h[0]    = SHA-256(array("authenticator digits", 1, j, authenticator))
/// h[i]    = SHA-256(array("authenticator digits", 1, j, h[i-1]))                i = 1 … 4095
/// group k = big-endian integer of bytes 5k … 5k+4 of h[4095], mod 100000        k = 0 … 5, five digits each
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct AuthenticatorDigits {
    digits: String,
    shown: Shown,
}

/// What scanning another member's code showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupComparison {
    /// Both hold the same group with the same history.
    Match,
    /// The same group and epoch, with another history: the hub or a member has parted the group. Trust neither side's
    /// roster, and found a new group.
    Mismatch,
    /// The same group at another epoch: let both devices fetch what is new, then compare again. If that does not help, one
    /// of them is kept from the others.
    OtherEpoch,
    /// The code is of another group.
    OtherGroup,
}

impl AuthenticatorDigits {
    /// The digits of a group's authenticator. Takes about a millisecond.
    pub(crate) fn new(group: GroupId, epoch: Epoch, authenticator: &Hash) -> Self {
        let shown = Shown { group, epoch, authenticator: *authenticator };
        Self { digits: [half(0, authenticator), half(1, authenticator)].concat(), shown }
    }

    /// The 60 digits without spaces.
    #[must_use]
    pub fn digits(&self) -> &str {
        &self.digits
    }

    /// What to show as a QR code (binary mode): the deterministic CBOR of array("convivio group", 1, group id, epoch,
    /// authenticator). Not secret, but it names the group.
    #[must_use]
    pub fn qr(&self) -> Vec<u8> {
        self.shown.encode()
    }

    /// Compares with what another member's device shows. Fails with `Malformed` if that is not a group's code and with
    /// `Unsupported` if it is of a newer version.
    pub fn compare_qr(&self, scanned: &[u8]) -> Result<GroupComparison> {
        let Shown { group, epoch, authenticator } = Shown::decode(scanned)?;
        Ok(if group != self.shown.group {
            GroupComparison::OtherGroup
        } else if epoch != self.shown.epoch {
            GroupComparison::OtherEpoch
        } else if authenticator.ct_eq(&self.shown.authenticator).into() {
            GroupComparison::Match
        } else {
            GroupComparison::Mismatch
        })
    }
}

fn half(number: u64, authenticator: &Hash) -> String {
    let hash = |of: &Hash| {
        kdf::hash(labels::HASH_AUTHENTICATOR_DIGITS, 3, |w| {
            w.uint(VERSION.into()).uint(number).bytes(of);
        })
    };
    half_of_digits(&(0..ROUNDS).fold(*authenticator, |last, _| hash(&last)))
}

impl fmt::Display for AuthenticatorDigits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_in_fives(&self.digits, f)
    }
}

impl fmt::Debug for AuthenticatorDigits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { digits, shown } = self;
        f.debug_struct("AuthenticatorDigits")
            .field("group", &shown.group)
            .field("epoch", &shown.epoch)
            .field("digits", digits)
            .finish()
    }
}

#[derive(Clone, PartialEq, Eq)]
struct Shown {
    group: GroupId,
    epoch: Epoch,
    authenticator: Hash,
}

impl Wire for Shown {
    fn write(&self, w: &mut Writer) {
        w.array(5).text(QR_TAG).uint(VERSION.into()).item(&self.group).item(&self.epoch).bytes(&self.authenticator);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        r.array(5)?;
        if r.text(QR_TAG.len())? != QR_TAG {
            return Err(Error::malformed("not a group's code"));
        }
        if r.u16()? != VERSION {
            return Err(Error::new(ErrorKind::Unsupported, "a group's code of a newer version: update the library"));
        }
        Ok(Self { group: r.item()?, epoch: r.item()?, authenticator: r.fixed()? })
    }
}

#[cfg(test)]
mod tests {
    use super::AuthenticatorDigits;
    use crate::ids::{Epoch, GroupId};

    /// Computed apart from this code, with Python's hashlib.
    #[test]
    fn the_digits_of_a_known_authenticator() {
        let authenticator = core::array::from_fn(|i| i as u8);
        let digits = AuthenticatorDigits::new(GroupId::from_bytes([7; 16]), Epoch(3), &authenticator);
        assert_eq!(digits.to_string(), "50067 94323 38766 63331 68089 00504 47338 13887 71846 88239 13848 46767");
    }
}
