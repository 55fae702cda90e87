//! Many chains of trust, verified in one batch of signatures.

use std::collections::BTreeSet;

use super::device::UnverifiedDeviceIdentity;
use super::statement::Check;
use crate::crypto::sign::verify_batch;
use crate::error::Result;

/// The signatures still to be checked, each of them once.
#[derive(Default)]
pub(super) struct Chains<'a> {
    checks: Vec<Check<'a>>,
    seen: BTreeSet<(&'static str, &'a [u8; 32], &'a [u8], &'a [u8; 64])>,
}

impl<'a> Chains<'a> {
    /// Adds a device's links, except those that `known`, verified before, shares with it: same label, key, bytes and
    /// signature.
    pub(super) fn device(&mut self, device: &'a UnverifiedDeviceIdentity, known: Option<&UnverifiedDeviceIdentity>) {
        let known = known.map(UnverifiedDeviceIdentity::checks);
        for check in device.checks() {
            if !known.as_ref().is_some_and(|known| known.contains(&check)) {
                self.signature(check);
            }
        }
    }

    pub(super) fn signature(&mut self, check: Check<'a>) {
        if self.seen.insert(check.id()) {
            self.checks.push(check);
        }
    }

    /// `Unauthentic` if any signature does not verify.
    pub(super) fn verify(self) -> Result<()> {
        let batch: Vec<_> = self.checks.iter().map(Check::signed).collect();
        verify_batch(&batch)
    }
}
