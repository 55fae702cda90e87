//! An invite link: opened, asked by from another app, approved by a person and by a client, declined, rotated, expired.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use convivio::client::{Change, Environment, EventKind};
use convivio::group::{GroupInfo, InviteLink, JoinRequest};
use convivio::store::MemoryStore;
use convivio::testing::{App, LocalHub};
use convivio::{Client, GroupId, Timestamp};
use rand::rngs::StdRng;
use rand::{CryptoRng, SeedableRng};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const DAY: u64 = 24 * 60 * 60;

/// A clock that all of them read, so that a week can pass.
#[derive(Clone)]
struct Clock(Arc<AtomicU64>);

impl Clock {
    fn pass(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

struct World(Clock, StdRng);

impl Environment for World {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.0.load(Ordering::SeqCst))
    }

    fn rng(&mut self) -> &mut dyn CryptoRng {
        &mut self.1
    }
}

/// The apps, the hub, the clock, and where all of it is shown.
struct Stage<'w> {
    photos: App,
    courier: App,
    hub: LocalHub,
    clock: Clock,
    out: &'w mut dyn Write,
}

impl Stage<'_> {
    fn phone(&self, app: &App, name: &str) -> Result<Client> {
        let world = World(self.clock.clone(), StdRng::from_rng(&mut rand::rng()));
        Ok(Client::create_in(MemoryStore::new(), app.enrol(name)?, world)?)
    }

    fn say(&mut self, text: &str) -> Result<()> {
        Ok(writeln!(self.out, "{text}")?)
    }

    /// Someone on the other app asks by the text of a link; what Maria is told of it.
    fn asks(&mut self, name: &str, text: &str, maria: &mut Client) -> Result<(Client, Option<Box<JoinRequest>>)> {
        let mut phone = self.phone(&self.courier, name)?;
        // Text from others: whatever is not a link is an error that says what to do.
        phone.ask_to_join(&text.parse::<InviteLink>()?)?;
        self.hub.sync(&mut phone)?;
        let mut told = None;
        for event in self.hub.sync(maria)? {
            if let EventKind::JoinRequested { user, request, barred, .. } = event.what {
                let note = if barred { ", who was removed before" } else { "" };
                self.say(&format!("Maria: {} of {} asks to join{note}", user.name(), user.domain()))?;
                told = Some(request);
            }
            maria.ack(event.id)?;
        }
        Ok((phone, told))
    }

    /// What the one who asked is told.
    fn told(&mut self, name: &str, phone: &mut Client) -> Result<()> {
        let mut heard = false;
        for event in self.hub.sync(phone)? {
            if let EventKind::Joined { by, info, users } = event.what {
                self.say(&format!(
                    "{name}: in \u{201c}{}\u{201d}, let in by {}, {users} people",
                    info.name(),
                    by.name()
                ))?;
                heard = true;
            }
            phone.ack(event.id)?;
        }
        if !heard {
            self.say(&format!("{name}: not let in, and told nothing"))?;
        }
        Ok(())
    }
}

fn main() -> Result<()> {
    run(&mut io::stdout().lock())
}

pub fn run(out: &mut dyn Write) -> Result<()> {
    let clock = Clock(Arc::new(AtomicU64::new(Timestamp::now().0)));
    let (photos, courier) = (App::new("photos.example")?, App::new("courier.example")?);
    let mut stage = Stage { photos, courier, hub: LocalHub::new(), clock, out };
    let mut maria = stage.phone(&stage.photos, "maria")?;
    let policy = App::policy(&[&stage.photos, &stage.courier])?;
    let group = maria.create_group(policy, GroupInfo::new("Book club", "Every second Monday")?)?;

    let (link, _) = maria.open_link(&group, "https://hub.photos.example", 7 * DAY)?;
    stage.hub.sync(&mut maria)?;
    let text = link.to_text();
    stage.say(&format!("Maria opens a link for a week, and shares it:\n  {}…", text.get(..60).unwrap_or(&text)))?;

    approved_by_a_person(&mut stage, (&mut maria, group), &text)?;
    approved_by_the_client(&mut stage, (&mut maria, group), &link)?;
    declined(&mut stage, (&mut maria, group), &text)?;
    rotated_and_expired(&mut stage, (&mut maria, group), &link)?;

    let people: Vec<_> = maria.group(&group)?.state().users().map(|(user, _)| user.name().to_owned()).collect();
    stage.say(&format!("\nIn the group: {}", people.join(", ")))
}

fn approved_by_a_person(stage: &mut Stage<'_>, (maria, group): (&mut Client, GroupId), text: &str) -> Result<()> {
    stage.say("\nApproved by a person")?;
    let (mut bob, request) = stage.asks("bob", text, maria)?;
    maria.change(&group, Change::Admit(request.ok_or("Maria was not told")?))?;
    stage.hub.sync(maria)?;
    stage.told("Bob", &mut bob)
}

fn approved_by_the_client(
    stage: &mut Stage<'_>,
    (maria, group): (&mut Client, GroupId),
    link: &InviteLink,
) -> Result<()> {
    stage.say("\nApproved by Maria's client")?;
    maria.auto_approve(&group, link.id(), true)?;
    stage.clock.pass(1);
    let (mut cem, _) = stage.asks("cem", &link.to_text(), maria)?;
    // Members' clients take turns, within half a minute.
    stage.clock.pass(30);
    stage.hub.sync(maria)?;
    stage.told("Cem", &mut cem)?;
    Ok(maria.auto_approve(&group, link.id(), false)?)
}

fn declined(stage: &mut Stage<'_>, (maria, group): (&mut Client, GroupId), text: &str) -> Result<()> {
    stage.say("\nDeclined")?;
    let (mut dora, request) = stage.asks("dora", text, maria)?;
    maria.decline(&group, &*request.ok_or("Maria was not told")?)?;
    stage.hub.sync(maria)?;
    stage.told("Dora", &mut dora)
}

fn rotated_and_expired(stage: &mut Stage<'_>, (maria, group): (&mut Client, GroupId), old: &InviteLink) -> Result<()> {
    stage.say("\nThe link has spread too far: Maria opens another, and closes it")?;
    let (new, _) = maria.open_link(&group, old.hub(), 7 * DAY)?;
    maria.change(&group, Change::CloseLink(old.id()))?;
    stage.hub.sync(maria)?;
    let (mut eve, request) = stage.asks("eve", &old.to_text(), maria)?;
    if request.is_some() {
        return Err("a request by a closed link was told".into());
    }
    stage.told("Eve, by the old one", &mut eve)?;

    stage.say("\nA week later, by the new one")?;
    stage.clock.pass(7 * DAY + 1);
    match stage.asks("fay", &new.to_text(), maria) {
        Ok(_) => Err("a link that has expired was taken".into()),
        Err(error) => stage.say(&format!("Fay: {error}")),
    }
}
