//! Keeping what a member needs to report a message (`docs/protocol.md`, section 12.1).

use super::Client;
use super::memory::Memory;
use super::records;
use super::stage::Draft;
use crate::error::Result;
use crate::store::{ChangeSet, Store};

/// What holds for the whole device.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Settings {
    /// Whether messages come with what proves them to others.
    pub(super) evidence: bool,
}

impl Client {
    /// Whether each message from now on comes with the [`Evidence`](crate::report::Evidence) that a
    /// [`Report`](crate::report::Report) of it needs. Off at first; the setting lasts.
    ///
    /// Off, because evidence is what the ratchet otherwise erases: with it, a message's key lives as long as the app keeps
    /// it, and opens that message for whoever finds both. It opens no other message. An app that shows the message's text
    /// for as long loses nothing by that; one that has messages disappear lets the evidence go with them.
    ///
    /// It costs about 1 kB in the inbox for each message, and hashing the group's roster once for each batch received.
    /// Messages of one's own come without.
    pub fn keep_evidence(&mut self, keep: bool) -> Result<()> {
        self.run(|draft| {
            draft.keep_evidence(keep);
            Ok(())
        })
        .map(|saved| saved.value)
    }

    /// Whether messages come with evidence.
    pub fn keeps_evidence(&mut self) -> Result<bool> {
        Ok(self.memory()?.settings.evidence)
    }
}

impl Draft<'_> {
    /// See [`Client::keep_evidence`].
    pub fn keep_evidence(&mut self, keep: bool) {
        if self.memory.settings.evidence != keep {
            self.memory.settings.evidence = keep;
            self.memory.save_settings(&mut self.changes);
        }
    }
}

impl Settings {
    /// The device's own, or those of a device that has never changed any.
    pub(super) fn load(store: &dyn Store) -> Result<Self> {
        let Some(record) = records::load(store, &records::settings())? else { return Ok(Self::default()) };
        records::decode(&record, 1, |r| Ok(Self { evidence: r.bool()? }))
    }
}

impl Memory {
    fn save_settings(&self, changes: &mut ChangeSet) {
        let Settings { evidence } = self.settings;
        let record = records::encode(1, |w| {
            w.bool(evidence);
        });
        changes.put(records::settings(), record);
    }
}
