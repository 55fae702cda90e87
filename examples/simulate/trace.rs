//! What happened, as lines for people and as one digest.

use std::fmt::Arguments;

use sha2::{Digest, Sha256};

pub(crate) struct Trace {
    show: bool,
    digest: Sha256,
}

impl Trace {
    pub(crate) fn new(show: bool) -> Self {
        Self { show, digest: Sha256::new() }
    }

    /// A line of the history.
    pub(crate) fn line(&mut self, step: u64, what: Arguments<'_>) {
        let line = format!("{step:>6}  {what}");
        self.bytes(line.as_bytes());
        if self.show {
            println!("{line}");
        }
    }

    /// Bytes that went out or came in.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.digest.update((bytes.len() as u64).to_be_bytes());
        self.digest.update(bytes);
    }

    /// The history up to here in 16 digits.
    pub(crate) fn digest(&self) -> String {
        self.digest.clone().finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}
