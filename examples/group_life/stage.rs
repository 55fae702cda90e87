//! Three apps, their users' devices, a hub and a clock; and what each app shows.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use convivio::client::{DeviceKeys, Environment, Event, EventKind};
use convivio::content::{Content, Conversation, MessageView, features, harmless};
use convivio::identity::{IdentityKey, UserUri};
use convivio::store::{MemoryStore, Store};
use convivio::testing::{App, LocalHub};
use convivio::{Client, GroupId, MessageId, Timestamp};
use rand::CryptoRng;
use rand::rngs::StdRng;

use super::Outcome;

/// What the photo app shows: all there is.
const PHOTOS: &[u32] = &features::ALL;
/// What the courier app shows.
const COURIER: &[u32] = &[
    features::TEXT,
    features::REPLY,
    features::REACTION,
    features::EDIT,
    features::DELETION,
    features::ATTACHMENT,
    features::EXPIRY,
    features::RECEIPT,
];
/// What the support desk shows.
const SHOP: &[u32] = &[features::TEXT];

pub(crate) struct Stage<'w> {
    pub(crate) photos: App,
    pub(crate) courier: App,
    pub(crate) shop: App,
    pub(crate) hub: LocalHub,
    pub(crate) clock: Clock,
    pub(crate) group: GroupId,
    pub(crate) people: Vec<Person>,
    /// Maria's identity key, which stays on her phone.
    pub(crate) identity: Option<IdentityKey>,
    out: &'w mut dyn Write,
    checks: usize,
    failed: usize,
}

/// A device with its app.
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) client: Client,
    pub(crate) understands: &'static [u32],
    pub(crate) conversation: Conversation,
    /// What it was told and has not been asked for yet.
    pub(crate) news: Vec<Event>,
    /// Whether it still takes part.
    pub(crate) here: bool,
}

/// The time of the story, which does not wait.
#[derive(Clone)]
pub(crate) struct Clock(Arc<AtomicU64>);

struct Env(Clock, StdRng);

impl Clock {
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Person {
    /// What it was told since it was last asked.
    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.news)
    }

    pub(crate) fn take(&mut self) -> Vec<EventKind> {
        self.take_events().into_iter().map(|event| event.what).collect()
    }
}

impl Environment for Env {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn rng(&mut self) -> &mut dyn CryptoRng {
        &mut self.1
    }
}

impl<'w> Stage<'w> {
    pub(crate) fn new(out: &'w mut dyn Write) -> Outcome<Self> {
        writeln!(out, "Maria is on a photo app, Bob on a courier app, Rita at a shop's support desk.")?;
        Ok(Self {
            photos: App::new("photos.example")?,
            courier: App::new("courier.example")?,
            shop: App::new("shop.example")?,
            hub: LocalHub::new(),
            clock: Clock(Arc::new(AtomicU64::new(Timestamp::now().0))),
            group: GroupId::from_bytes([0; 16]),
            people: Vec::new(),
            identity: None,
            out,
            checks: 0,
            failed: 0,
        })
    }

    /// A user of an app with a first device, whose app shows these features.
    pub(crate) fn enter(&mut self, app: fn(&Self) -> &App, name: &str) -> Outcome {
        let keys = app(self).enrol(name)?;
        self.enter_with(name, keys, features_of(app(self)), MemoryStore::new())
    }

    /// The first device of a user whose identity key is kept for more.
    pub(crate) fn enter_first(&mut self, name: &str, keys: DeviceKeys, identity: IdentityKey) -> Outcome {
        self.identity = Some(identity);
        self.enter_with(name, keys, &features::ALL, MemoryStore::new())
    }

    pub(crate) fn enter_with(
        &mut self,
        name: &str,
        keys: DeviceKeys,
        understands: &'static [u32],
        store: impl Store + 'static,
    ) -> Outcome {
        let environment = Env(self.clock.clone(), rand::make_rng());
        let client = Client::create_in(store, keys.with_features(understands), environment)?;
        let conversation = Conversation::new();
        let name = name.to_owned();
        self.people.push(Person { name, client, understands, conversation, news: Vec::new(), here: true });
        Ok(())
    }

    /// Goes on with a device on another copy of its store.
    pub(crate) fn reopen(&mut self, name: &str, store: impl Store + 'static) -> Outcome {
        let environment = Env(self.clock.clone(), rand::make_rng());
        self.who(name)?.client = Client::open_in(store, None, environment)?;
        Ok(())
    }

    pub(crate) fn who(&mut self, name: &str) -> Outcome<&mut Person> {
        Ok(self
            .people
            .iter_mut()
            .find(|person| person.name == name)
            .ok_or_else(|| format!("nobody is called {name}"))?)
    }

    pub(crate) fn client(&mut self, name: &str) -> Outcome<&mut Client> {
        Ok(&mut self.who(name)?.client)
    }

    pub(crate) fn user(&mut self, name: &str) -> Outcome<UserUri> {
        Ok(self.client(name)?.identity()?.user().clone())
    }

    /// Says something, and lets everyone hear it.
    pub(crate) fn say(&mut self, name: &str, content: &Content) -> Outcome<MessageId> {
        let group = self.group;
        let id = self.client(name)?.send(&group, &content.to_bytes())?;
        self.settle()?;
        Ok(id)
    }

    /// Changes the group, and lets everyone see it.
    pub(crate) fn change(&mut self, name: &str, change: convivio::Change) -> Outcome {
        let group = self.group;
        self.client(name)?.change(&group, change)?;
        self.settle()
    }

    /// Lets posts and entries travel until nothing moves, and each app take over what it is told.
    pub(crate) fn settle(&mut self) -> Outcome {
        let mut told: BTreeMap<u64, String> = BTreeMap::new();
        // What the last one posts is news for the first in the next round.
        let mut quiet = 0;
        while quiet < 2 {
            quiet += 1;
            for person in &mut self.people {
                for event in self.hub.sync(&mut person.client)? {
                    quiet = 0;
                    person.client.ack(event.id)?;
                    if let Some(posted) = event.posted() {
                        person.conversation.insert(posted);
                    }
                    if let EventKind::Changed { by, effects, .. } = &event.what {
                        let done: Vec<String> = effects.iter().map(ToString::to_string).collect();
                        told.entry(event.seq).or_insert_with(|| format!("{}: {}", short(by), done.join(", ")));
                    }
                    person.news.push(event);
                }
            }
        }
        for line in told.into_values() {
            writeln!(self.out, "  • {line}")?;
        }
        Ok(())
    }

    pub(crate) fn chapter(&mut self, title: &str) -> Outcome {
        Ok(writeln!(self.out, "\n— {title} —")?)
    }

    pub(crate) fn tell(&mut self, line: impl AsRef<str>) -> Outcome {
        Ok(writeln!(self.out, "  {}", line.as_ref())?)
    }

    pub(crate) fn check(&mut self, holds: bool, what: impl AsRef<str>) -> Outcome {
        self.checks += 1;
        self.failed += usize::from(!holds);
        Ok(writeln!(self.out, "  {} {}", if holds { '✔' } else { '✘' }, what.as_ref())?)
    }

    /// How a message looks in someone's app.
    pub(crate) fn show(&mut self, name: &str, id: &MessageId) -> Outcome {
        let person = self.who(name)?;
        let view = person.conversation.message(id).ok_or("that message is not there")?;
        let lines = shown(&view, person.understands);
        writeln!(self.out, "  {name}'s app shows:")?;
        for line in lines {
            writeln!(self.out, "    │ {line}")?;
        }
        Ok(())
    }

    /// The story is over: everyone who is in has the same conversation and the same group.
    pub(crate) fn end(mut self) -> Outcome<bool> {
        self.chapter("At the end")?;
        let group = self.group;
        let mut all = Vec::new();
        for person in self.people.iter_mut().filter(|person| person.here) {
            all.push((*person.client.group(&group)?.authenticator(), person.client.identity()?.user().clone()));
        }
        let same = all.windows(2).all(|two| two[0].0 == two[1].0);
        self.check(same, format!("All {} devices hold the same group with the same history", all.len()))?;
        // Bob left before the end, Carla came later: these two were there for all of it.
        let [maria, rita] = ["maria", "rita"].map(|name| self.people.iter().find(|person| person.name == name));
        let both = maria.zip(rita).ok_or("somebody is missing")?;
        let (same, said) = (both.0.conversation == both.1.conversation, both.0.conversation.len());
        self.check(same, format!("Maria's and Rita's apps hold the same conversation: {said} things that were said"))?;
        let (checks, failed) = (self.checks, self.failed);
        writeln!(self.out, "\n{} of {checks} checks hold.", checks - failed)?;
        Ok(failed == 0)
    }
}

/// What an app shows of a message: what it is, or its fallback.
fn shown(view: &MessageView<'_>, understands: &[u32]) -> Vec<String> {
    let Some(content) = view.content else { return vec!["(deleted)".into()] };
    let knows = content.features().iter().all(|feature| understands.contains(feature));
    let mark = if view.edited { " (edited)" } else { "" };
    let mut lines = vec![format!("{}: {}{mark}", short(view.user), content.fallback().replace('\n', " · "))];
    if knows && let Some(tally) = &view.tally {
        lines[0] = format!("{} asks: {}", short(view.user), tally.poll.question());
        for (option, votes) in tally.poll.options().iter().zip(&tally.votes) {
            let names: Vec<&str> = votes.iter().map(|user| user.name()).collect();
            lines.push(format!("{option:<9} {:<4} {}", "█".repeat(votes.len()), names.join(", ")));
        }
        lines.push(if tally.closed.is_some() { "closed".into() } else { "open".into() });
    }
    if understands.contains(&features::REACTION) && !view.reactions.is_empty() {
        let all = view.reactions.iter().map(|(with, users)| format!("{} {}", harmless(with), users.len()));
        lines.push(all.collect::<Vec<_>>().join("  "));
    }
    lines
}

fn features_of(app: &App) -> &'static [u32] {
    match app.domain().as_str() {
        "photos.example" => PHOTOS,
        "courier.example" => COURIER,
        _ => SHOP,
    }
}

pub(crate) fn short(user: &UserUri) -> String {
    format!("{} ({})", user.name(), user.domain().as_str())
}

/// The keys of a user whose identity key is at hand, as on a first device.
pub(crate) fn enrol(app: &App, name: &str) -> Outcome<(DeviceKeys, IdentityKey)> {
    let mut rng: StdRng = rand::make_rng();
    let identity = IdentityKey::generate(&mut rng);
    Ok((app.enrol_device(name, &identity, 0, &mut rng)?, identity))
}
