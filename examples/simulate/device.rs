//! A device: a client over a store whose power can go, a clock of its own, and an app that takes events over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use convivio::client::{Environment, Event, EventId};
use convivio::identity::{AppDomain, UserUri};
use convivio::store::{RecordKey, Store};
use convivio::testing::FaultyStore;
use convivio::{Client, DeviceId, ErrorKind, GroupId, MessageId, Timestamp};
use rand::rngs::StdRng;
use rand::{CryptoRng, SeedableRng};

use super::outcome::{Outcome, broken, ensure};

/// The time of a history, which the hub has and no device quite.
#[derive(Clone)]
pub(crate) struct Clock(Arc<AtomicU64>);

impl Clock {
    pub(crate) fn starting(at: Timestamp) -> Self {
        Self(Arc::new(AtomicU64::new(at.0)))
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

/// What a client is given for time and randomness.
pub(crate) struct Simulated {
    pub(crate) clock: Clock,
    pub(crate) skew: i64,
    pub(crate) rng: StdRng,
}

impl Environment for Simulated {
    fn now(&self) -> Timestamp {
        Timestamp(self.clock.now().0.saturating_add_signed(self.skew))
    }

    fn rng(&mut self) -> &mut dyn CryptoRng {
        &mut self.rng
    }
}

/// What came of a call.
pub(crate) enum Ran<T> {
    Done(T),
    /// Against the rules, or not now: nothing happened.
    Refused(ErrorKind),
    /// The power went; the device has started again, and its store knows whether it happened.
    Crashed,
}

pub(crate) struct Device {
    /// Such as `ana.1`.
    pub(crate) name: String,
    pub(crate) user: UserUri,
    pub(crate) domain: AppDomain,
    pub(crate) id: DeviceId,
    pub(crate) client: Client,
    pub(crate) store: FaultyStore,
    pub(crate) clock: Clock,
    pub(crate) skew: i64,
    /// How many entries it takes at once.
    pub(crate) batch: usize,
    pub(crate) seed: u64,
    pub(crate) crashes: u64,
    /// Events that were seen in the inbox and are not acknowledged.
    pub(crate) inbox: BTreeMap<EventId, Event>,
    pub(crate) last_event: EventId,
}

impl Device {
    /// Makes a call. If the power goes meanwhile, the device starts again.
    pub(crate) fn run<T>(&mut self, call: impl FnOnce(&mut Client) -> convivio::Result<T>) -> Outcome<Ran<T>> {
        match call(&mut self.client) {
            Ok(value) => Ok(Ran::Done(value)),
            Err(error) if self.store.is_down() => {
                ensure(error.kind() == ErrorKind::Storage, || format!("{}: {error} as the power went", self.name))?;
                let closed = self.client.groups().map_err(|error| error.kind()).err();
                ensure(closed == Some(ErrorKind::Closed), || format!("{}: goes on without its store", self.name))?;
                self.crashes += 1;
                self.restart()?;
                Ok(Ran::Crashed)
            }
            Err(error) => match error.kind() {
                kind @ (ErrorKind::NotAllowed
                | ErrorKind::NotMember
                | ErrorKind::Misuse
                | ErrorKind::UnknownGroup
                | ErrorKind::Duplicate
                | ErrorKind::Expired
                | ErrorKind::Unauthentic) => Ok(Ran::Refused(kind)),
                kind => broken(format!("{}: {kind}: {error}", self.name)),
            },
        }
    }

    /// Makes a call that nothing may refuse and that may be made twice, until it is through.
    pub(crate) fn must<T>(&mut self, mut call: impl FnMut(&mut Client) -> convivio::Result<T>) -> Outcome<T> {
        loop {
            match self.run(&mut call)? {
                Ran::Done(value) => return Ok(value),
                Ran::Crashed => {}
                Ran::Refused(kind) => return broken(format!("{}: refused ({kind})", self.name)),
            }
        }
    }

    /// Ends the process and starts it again on the same store.
    pub(crate) fn restart(&mut self) -> Outcome {
        self.seed = self.seed.wrapping_add(1 << 32);
        self.store = self.store.restart();
        let environment =
            Simulated { clock: self.clock.clone(), skew: self.skew, rng: StdRng::seed_from_u64(self.seed) };
        match Client::open_in(self.store.clone(), None, environment) {
            Ok(client) => self.client = client,
            Err(error) => return broken(format!("{}: does not start again: {error}", self.name)),
        }
        Ok(())
    }

    /// Events that were not there at the last look. What was there and is not acknowledged must be there still.
    pub(crate) fn look(&mut self) -> Outcome<Vec<Event>> {
        let events = self.must(|client| client.inbox(usize::MAX))?;
        let known = events.iter().take_while(|event| event.id <= self.last_event);
        ensure(known.eq(self.inbox.values()), || {
            format!("{}: the inbox has changed behind the app's back", self.name)
        })?;
        let new: Vec<Event> = events.into_iter().filter(|event| event.id > self.last_event).collect();
        for event in &new {
            let next = EventId(self.last_event.0 + 1);
            ensure(event.id == next, || format!("{}: event {} where {next} was due", self.name, event.id))?;
            self.last_event = event.id;
            self.inbox.insert(event.id, event.clone());
        }
        Ok(new)
    }

    /// The app has taken over what it saw.
    pub(crate) fn acknowledge(&mut self) -> Outcome {
        if !self.inbox.is_empty() {
            let last = self.last_event;
            self.must(|client| client.ack(last))?;
            self.inbox.clear();
        }
        Ok(())
    }

    /// The number that the next queued row of a group will have.
    pub(crate) fn next_row(&self, group: GroupId) -> Outcome<u64> {
        Ok(self.rows(group)?.1)
    }

    fn rows(&self, group: GroupId) -> Outcome<(u64, u64)> {
        let Some(record) = self.record(19, group, &[])? else { return Ok((0, 0)) };
        fields(&record, |d| {
            (0..3).try_for_each(|_| d.skip())?;
            Ok((d.u64()?, d.u64()?))
        })
    }

    /// The id of the message in a row, if it is one of the app's.
    pub(crate) fn message_in(&self, group: GroupId, row: u64) -> Outcome<Option<MessageId>> {
        Ok(self.message(group, row)?.map(|message| message.id))
    }

    fn message(&self, group: GroupId, row: u64) -> Outcome<Option<Queued>> {
        let Some(record) = self.record(25, group, &row.to_be_bytes())? else { return Ok(None) };
        fields(&record, |d| {
            d.skip()?;
            d.array()?;
            if d.u64()? != 1 {
                return Ok(None);
            }
            let content = d.bytes()?.to_vec();
            let id: [u8; 32] = d.bytes()?.try_into().unwrap_or_default();
            d.skip()?;
            let frame = if d.array().is_ok_and(|len| len == Some(2)) {
                d.skip()?;
                Some(d.bytes()?.to_vec())
            } else {
                None
            };
            let mut content = minicbor::Decoder::new(&content);
            content.array()?;
            content.skip()?;
            let app = content.u64()? == 0;
            Ok(Some(Queued { id: MessageId::from_bytes(id), frame, app }))
        })
    }

    /// Which of the app's messages a frame carries, by the queue on this device's store; none for what the protocol says
    /// by itself.
    pub(crate) fn carried(&self, group: GroupId, frame: &[u8]) -> Outcome<Option<MessageId>> {
        let (first, next) = self.rows(group)?;
        for row in first..next {
            if let Some(Queued { id, frame: Some(sealed), app }) = self.message(group, row)?
                && sealed == frame
            {
                return Ok(app.then_some(id));
            }
        }
        broken(format!("{}: a frame goes out whose row is not on the store", self.name))
    }

    /// The row of the pending commit.
    pub(crate) fn pending(&self, group: GroupId) -> Outcome<u64> {
        let Some(record) = self.record(24, group, &[])? else {
            return broken(format!("{}: a commit goes out that is not on the store", self.name));
        };
        fields(&record, |d| {
            d.skip()?;
            d.u64()
        })
    }

    /// The header key of the epoch that the device is in.
    pub(crate) fn header_key(&self, group: GroupId) -> Outcome<[u8; 32]> {
        let Some(record) = self.record(16, group, &[])? else {
            return broken(format!("{}: a frame goes out of a group that is not on the store", self.name));
        };
        fields(&record, |d| {
            (0..5).try_for_each(|_| d.skip())?;
            Ok(d.bytes()?.try_into().unwrap_or_default())
        })
    }

    fn record(&self, tag: u8, group: GroupId, rest: &[u8]) -> Outcome<Option<Vec<u8>>> {
        let name = [&[tag], group.as_bytes().as_slice(), rest].concat();
        let record = RecordKey::from_bytes(&name).ok().map(|key| self.store.load(&key));
        match record {
            Some(Ok(record)) => Ok(record),
            _ => broken(format!("{}: its store cannot be read", self.name)),
        }
    }
}

/// A message as its row has it.
struct Queued {
    id: MessageId,
    frame: Option<Vec<u8>>,
    app: bool,
}

/// Reads the fields of a record (`docs/protocol.md`, section 7.2).
fn fields<T>(
    record: &[u8],
    read: impl FnOnce(&mut minicbor::Decoder<'_>) -> Result<T, minicbor::decode::Error>,
) -> Outcome<T> {
    let mut decoder = minicbor::Decoder::new(record);
    let read = decoder.array().and_then(|_| read(&mut decoder));
    read.or_else(|error| broken(format!("a record is not as docs/protocol.md has it: {error}")))
}
