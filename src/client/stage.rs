//! One operation: drafted in memory, applied to the store at once, and only then anything leaves
//! (`docs/protocol.md`, section 7.1).

use core::fmt;

use super::Client;
use super::device::Environment;
use super::event::{Event, EventId, EventKind};
use super::memory::Memory;
use super::records::{self, Record};
use super::session::Session;
use crate::error::Result;
use crate::ids::GroupId;
use crate::log::Post;
use crate::store::{ChangeSet, RecordKey, Store};

/// An operation being drafted. Its methods are those of [`Client`]; several of them make one transaction. If one of
/// them fails, so does the whole, even if its error is passed over.
pub struct Draft<'c> {
    pub(super) store: &'c dyn Store,
    pub(super) environment: &'c mut dyn Environment,
    pub(super) memory: &'c mut Memory,
    pub(super) changes: ChangeSet,
    pub(super) events: Vec<Event>,
    pub(super) posts: Vec<Post>,
    /// An operation failed midway: what is drafted is not whole any more.
    pub(super) failed: bool,
}

impl Draft<'_> {
    /// What has happened in this draft so far.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Runs `f` on a group's session. It is out of the memory meanwhile, and stays out if `f` fails.
    pub(super) fn with<T>(
        &mut self,
        group: GroupId,
        f: impl FnOnce(&mut Self, &mut Session) -> Result<T>,
    ) -> Result<T> {
        self.memory.session(self.store, group)?;
        let Some(mut session) = self.memory.sessions.remove(&group) else {
            return Err(crate::Error::misuse("a group is used twice at once"));
        };
        let value = f(self, &mut session).inspect_err(|_| self.failed = true)?;
        if self.memory.groups.contains(&group) {
            self.memory.sessions.insert(group, session);
        }
        Ok(value)
    }

    /// Writes an event to the inbox.
    pub(super) fn emit(&mut self, group: GroupId, seq: u64, what: EventKind) {
        let id = self.memory.counters.next_event;
        self.memory.counters.next_event = id.saturating_add(1);
        let event = Event { id: EventId(id), group, seq, what };
        self.changes.put(records::event(id), records::encode_one(&event));
        self.memory.save_counters(&mut self.changes);
        self.events.push(event);
    }

    /// A record as this draft sees it.
    pub(super) fn load(&self, key: &RecordKey) -> Result<Option<Record>> {
        match self.changes.get(key) {
            Some(changed) => Ok(changed.map(|value| Record::new(value.to_vec()))),
            None => records::load(self.store, key),
        }
    }
}

impl fmt::Debug for Draft<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft").field("records", &self.changes.len()).finish_non_exhaustive()
    }
}

/// An operation whose changes are ready for the app's own transaction.
///
/// Write [`changes`](Self::changes), and what the app makes of [`events`](Self::events), in one transaction; then call
/// [`saved`](Self::saved) if it committed, and [`unknown`](Self::unknown) if committing failed. Dropping it instead
/// means that it was not committed: the client reads its store again before the next call.
#[must_use = "the changes are not applied yet"]
pub struct Staged<'c, T> {
    client: &'c mut Client,
    /// The client's memory, which is ahead of its store until the changes are in it.
    memory: Option<Memory>,
    changes: ChangeSet,
    events: Vec<Event>,
    posts: Vec<Post>,
    value: Option<T>,
}

/// What an operation gives once it is durable.
#[derive(Debug)]
pub struct Saved<T> {
    /// What the closure returned.
    pub value: T,
    /// What to post, if the outbox was drained.
    pub posts: Vec<Post>,
    /// What happened.
    pub events: Vec<Event>,
}

impl<'c, T> Staged<'c, T> {
    /// Drafts an operation. If `f` fails or panics, the memory it has changed is dropped with this.
    pub(super) fn new(client: &'c mut Client, f: impl FnOnce(&mut Draft<'_>) -> Result<T>) -> Result<Self> {
        let memory = client.memory.take().ok_or(crate::Error::misuse("the client has no memory of its store"))?;
        let changes = ChangeSet::new(memory.version);
        let (events, posts) = (Vec::new(), Vec::new());
        let mut staged = Self { client, memory: Some(memory), changes, events, posts, value: None };
        staged.draft(f)?;
        Ok(staged)
    }

    fn draft(&mut self, f: impl FnOnce(&mut Draft<'_>) -> Result<T>) -> Result<()> {
        let Some(memory) = &mut self.memory else { return Ok(()) };
        let mut draft = Draft {
            store: self.client.store.as_ref(),
            environment: self.client.environment.as_mut(),
            changes: ChangeSet::new(memory.version),
            memory,
            events: Vec::new(),
            posts: Vec::new(),
            failed: false,
        };
        let value = f(&mut draft)?;
        let Draft { changes, events, posts, failed, .. } = draft;
        if failed {
            return Err(crate::Error::misuse("a call on the draft failed and its error was passed over"));
        }
        (self.changes, self.events, self.posts, self.value) = (changes, events, posts, Some(value));
        Ok(())
    }

    /// What to write, wholly or not at all; see [`ChangeSet`] for how.
    #[must_use]
    pub const fn changes(&self) -> &ChangeSet {
        &self.changes
    }

    /// What happened, to be written along with the changes.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Applies the changes to the client's own store.
    ///
    /// Fails with `Storage` if the store does, which closes the client: the outcome is unknown until it is opened
    /// again.
    pub fn apply(self) -> Result<Saved<T>> {
        if self.changes.is_empty() {
            return self.saved();
        }
        if let Err(error) = self.client.store.apply(&self.changes) {
            self.client.close();
            return Err(error.into());
        }
        self.saved()
    }

    /// The app's transaction has committed. An operation that changed nothing needs none.
    pub fn saved(mut self) -> Result<Saved<T>> {
        let value = self.value.take().ok_or(crate::Error::misuse("an operation is finished once"))?;
        if let Some(mut memory) = self.memory.take() {
            memory.version = self.changes.next();
            self.client.memory = Some(memory);
        }
        Ok(Saved { value, posts: core::mem::take(&mut self.posts), events: core::mem::take(&mut self.events) })
    }

    /// The app cannot tell whether its transaction committed. The client is closed; open it again.
    pub fn unknown(self) {
        self.client.close();
    }
}

impl<T> Drop for Staged<'_, T> {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            self.client.signer = memory.device.into_signer();
        }
    }
}

impl<T> fmt::Debug for Staged<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Staged").field("records", &self.changes.len()).finish_non_exhaustive()
    }
}
