//! A client that takes its commands one by one and shows all that can be seen of it.

use convivio::client::{Answer, Event};
use convivio::group::{GroupInfo, Role};
use convivio::identity::UnverifiedKeyPackage;
use convivio::log::PostReply;
use convivio::store::{RecordKey, Store};
use convivio::testing::App;
use convivio::{Change, Client, ErrorKind, GroupId, Result};

use crate::conversation::{Answered, Clock, Command, Done, GroupSeen, Simulated, View, Wanted, app};

/// The device over a store of which another handle is kept, to look into.
pub struct Device<S> {
    app: App,
    client: Client,
    store: S,
}

impl<S: Store + Clone + 'static> Device<S> {
    /// Opens the store, or makes it the store of the user of this seed. `life` numbers the starts, so that no two draw the
    /// same randomness.
    ///
    /// # Errors
    /// Those of the client.
    pub fn start(store: S, (seed, life): (u64, u64), clock: &Clock) -> Result<Self> {
        let (app, identity, mut rng) = app(seed);
        let environment = || Simulated::new(clock, seed.rotate_left(32) ^ life);
        let client = match Client::open_in(store.clone(), None, environment()) {
            // An earlier life ended before it had made this its device.
            Err(error) if error.kind() == ErrorKind::Misuse => {
                let keys = app.enrol_device("victim", &identity, 0, &mut rng)?;
                Client::create_in(store.clone(), keys, environment())?
            }
            opened => opened?,
        };
        Ok(Self { app, client, store })
    }

    /// One call of the client.
    ///
    /// # Errors
    /// Those of the call.
    pub fn obey(&mut self, command: Command) -> Result<Done> {
        let client = &mut self.client;
        match command {
            Command::KeyPackage => {
                let package = UnverifiedKeyPackage::try_from(&client.key_packages(1)?.remove(0))?;
                return Ok(Done::KeyPackage(Box::new(package)));
            }
            Command::Outbox => return Ok(Done::Posts(client.outbox(usize::MAX)?)),
            Command::Found => {
                client.create_group(App::policy(&[&self.app])?, GroupInfo::new("Trip", "")?)?;
            }
            Command::Change(group, wanted) => {
                client.change(&group, change(wanted)?)?;
            }
            Command::Send(group, content) => {
                client.send(&group, content.as_bytes())?;
            }
            Command::Posted(post, answered) => client.posted(&post, reply(answered))?,
            Command::Receive(entries) => {
                client.receive(&entries)?;
            }
            Command::Ack(Event { id, .. }) => client.ack(id)?,
            Command::Accept(group) => client.answer(&group, Answer::Accept)?,
            Command::Forget(group) => client.forget(&group)?,
        }
        Ok(Done::Nothing)
    }

    /// All that can be seen of it now.
    ///
    /// # Errors
    /// Those of the client and its store.
    pub fn view(&mut self) -> Result<View> {
        let mut groups = Vec::new();
        for group in self.client.groups()? {
            let view = self.client.group(&group)?;
            groups.push(GroupSeen {
                group,
                status: format!("{:?}", view.status()),
                epoch: view.state().epoch().0,
                leaf: view.own_index(),
                next: view.next_entry(),
                queued: view.queued(),
                authenticator: *view.authenticator(),
                context_hash: view.state().context_hash(),
                header_key: header_key(&self.store, group)?,
            });
        }
        let version = self.store.load(&RecordKey::VERSION)?.unwrap_or_default();
        let reads = self.client.subscriptions()?;
        Ok(View {
            version: version.iter().fold(0, |version, byte| version << 8 | u64::from(*byte)),
            packages: self.client.package_ids()?,
            inbox: self.client.inbox(usize::MAX)?,
            groups,
            reads: reads.into_iter().map(|wanted| (wanted.group, wanted.leaf, wanted.next)).collect(),
        })
    }
}

fn change(wanted: Wanted) -> Result<Change> {
    Ok(match wanted {
        Wanted::Add(packages) => Change::Add(packages),
        Wanted::Remove(user) => Change::Remove(user),
        Wanted::MakeOwner(user) => Change::Role(user, Role::Owner),
        Wanted::Rename(name) => Change::Info(GroupInfo::new(&name, "")?),
        Wanted::Heal => Change::Heal,
        Wanted::Rejoin => Change::Rejoin,
    })
}

const fn reply(answered: Answered) -> PostReply {
    match answered {
        Answered::Accepted => PostReply::Accepted,
        Answered::Behind => PostReply::Behind,
        Answered::Refused => PostReply::Refused,
    }
}

/// The sixth field of a group's record (`docs/protocol.md`, section 7.2).
fn header_key(store: &impl Store, group: GroupId) -> Result<Vec<u8>> {
    let name = [&[16], group.as_bytes().as_slice()].concat();
    let record = store.load(&RecordKey::from_bytes(&name)?)?.expect("the client has read it just now");
    let mut fields = minicbor::Decoder::new(&record);
    fields.array().unwrap();
    (0..5).for_each(|_| fields.skip().unwrap());
    Ok(fields.bytes().unwrap().to_vec())
}
