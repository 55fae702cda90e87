//! A person: a device of an app, its store in a file of its own, and what its owner has read.

use std::path::{Path, PathBuf};

use convivio::client::{Client, EventKind};
use convivio::identity::UserUri;
use convivio::store::{RedbStore, SealedStore, StoreKey};
use convivio::testing::App;
use convivio::{GroupId, MessageId};
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;

/// A result with whatever error, to be shown to a person.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Who said what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) by: UserUri,
    pub(crate) text: String,
}

/// A person with a device.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) user: UserUri,
    pub(crate) member: bool,
    pub(crate) online: bool,
    /// What was said by others while this person was in the group.
    pub(crate) due: Vec<Line>,
    /// What the app took over from the device's inbox.
    pub(crate) read: Vec<Line>,
    /// Messages queued, and not known to be in the log yet.
    pub(crate) waiting: Vec<(MessageId, Line)>,
    /// Whatever else happened that should not have.
    pub(crate) surprises: Vec<EventKind>,
    device: Device,
}

/// A client over its file. Closing it is what ending a process does.
#[derive(Debug)]
struct Device {
    file: PathBuf,
    key: Key,
    client: Option<Client>,
}

/// The store's key, which a platform would keep in its keystore.
struct Key(StoreKey);

impl Person {
    /// Enrols a user with an app, on a new device.
    pub(crate) fn enrol(app: &App, user: UserUri, dir: &Path) -> Outcome<Self> {
        let file = dir.join(format!("{}@{}.redb", user.name(), user.domain()));
        let key = Key(StoreKey::generate(&mut UnwrapErr(SysRng)));
        let created = RedbStore::create(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let store = SealedStore::create(created, key.copy())?;
        let client = Some(app.client_on(user.name(), store)?);
        Ok(Self {
            user,
            member: false,
            online: true,
            due: Vec::new(),
            read: Vec::new(),
            waiting: Vec::new(),
            surprises: Vec::new(),
            device: Device { file, key, client },
        })
    }

    pub(crate) fn name(&self) -> &str {
        self.user.name()
    }

    pub(crate) fn client(&mut self) -> Outcome<&mut Client> {
        self.device.client.as_mut().ok_or("this device is switched off".into())
    }

    /// Ends the process. What was not acknowledged is still in the inbox.
    pub(crate) fn close(&mut self) {
        self.device.client = None;
    }

    /// Starts the process again.
    pub(crate) fn open(&mut self) -> Outcome<()> {
        self.device.client = Some(open(&self.device.file, &self.device.key)?);
        Ok(())
    }

    /// Copies the store of a closed device, as a thief or a stubborn owner would.
    pub(crate) fn copy_store(&self, to: &Path) -> Outcome<()> {
        std::fs::copy(&self.device.file, to)?;
        Ok(())
    }

    /// Opens a copy of the store.
    pub(crate) fn open_copy(&self, copy: &Path) -> Outcome<Client> {
        open(copy, &self.device.key)
    }

    /// The app takes over what is in the inbox, and acknowledges it.
    pub(crate) fn take_over(&mut self) -> Outcome<()> {
        let events = self.client()?.inbox(usize::MAX)?;
        let Some(last) = events.last().map(|event| event.id) else { return Ok(()) };
        for event in events {
            match event.what {
                EventKind::Message { user, content, .. } => {
                    self.read.push(Line { by: user, text: String::from_utf8_lossy(&content).into_owned() });
                }
                EventKind::Sent { .. } | EventKind::Changed { .. } | EventKind::Invitation { .. } => {}
                EventKind::Removed if !self.member => {}
                other => self.surprises.push(other),
            }
        }
        Ok(self.client()?.ack(last)?)
    }

    /// Digits that are the same for all who hold the same group.
    pub(crate) fn authenticator(&mut self, group: &GroupId) -> Outcome<[u8; 32]> {
        Ok(*self.client()?.group(group)?.authenticator())
    }
}

fn open(file: &Path, key: &Key) -> Outcome<Client> {
    Ok(Client::open(SealedStore::open(RedbStore::open(file)?, key.copy())?)?)
}

impl Key {
    fn copy(&self) -> StoreKey {
        StoreKey::from_bytes(&mut self.0.expose().to_owned())
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(redacted)")
    }
}
