//! A poll among three apps. One of them knows no polls, and shows what it can; a vote is changed; a late one does not count.

use std::io::{self, Write};

use convivio::client::{Answer, Change};
use convivio::content::{Choices, Content, Conversation, Poll, Tally, features, harmless};
use convivio::group::GroupInfo;
use convivio::identity::{UnverifiedKeyPackage, UserUri};
use convivio::store::MemoryStore;
use convivio::testing::{App, LocalHub};
use convivio::{Client, GroupId, MessageId};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A person's app: a client, and what was said in the group.
struct Phone {
    client: Client,
    user: UserUri,
    draws_polls: bool,
    said: Conversation,
    /// What an app shows that knows nothing but text: one line after the other.
    lines: Vec<String>,
}

impl Phone {
    fn new(app: &App, name: &str, draws_polls: bool) -> Result<Self> {
        let known: &[u32] = if draws_polls { &features::ALL } else { &[features::TEXT] };
        let client = Client::create(MemoryStore::new(), app.enrol(name)?.with_features(known))?;
        Ok(Self { client, user: app.user(name)?, draws_polls, said: Conversation::new(), lines: Vec::new() })
    }

    /// Fetches what was said, by oneself too, and takes it in at its place in the log, which all see alike.
    fn sync(&mut self, hub: &mut LocalHub) -> Result<()> {
        for event in hub.sync(&mut self.client)? {
            if let Some(posted) = event.posted() {
                let text = posted.content.fallback().replace('\n', "\n      ");
                self.lines.push(format!("{}: {text}", posted.user.name()));
                self.said.insert(posted);
            }
            self.client.ack(event.id)?;
        }
        Ok(())
    }

    fn say(&mut self, hub: &mut LocalHub, group: &GroupId, content: Content) -> Result<MessageId> {
        let id = self.client.send(group, &content.to_bytes())?;
        self.sync(hub)?;
        Ok(id)
    }

    fn show(&self, out: &mut dyn Write) -> Result<()> {
        line(out, &format!("\n{} on {}", self.user.name(), self.user.domain()))?;
        if !self.draws_polls {
            return self.lines.iter().try_for_each(|text| line(out, &format!("  {text}")));
        }
        for view in self.said.messages() {
            match (&view.tally, view.content) {
                (Some(tally), Some(_)) => draw(out, view.user.name(), tally)?,
                (None, Some(content)) => line(out, &format!("  {}: {}", view.user.name(), content.fallback()))?,
                (_, None) => line(out, &format!("  {} deleted a message", view.user.name()))?,
            }
        }
        Ok(())
    }
}

fn line(out: &mut dyn Write, text: &str) -> Result<()> {
    Ok(writeln!(out, "{text}")?)
}

/// The result as bars.
fn draw(out: &mut dyn Write, by: &str, tally: &Tally<'_>) -> Result<()> {
    let state = if tally.closed.is_some() { "closed" } else { "open" };
    line(out, &format!("  {by} asks: {} ({state})", tally.poll.question()))?;
    for (option, users) in tally.poll.options().iter().zip(&tally.votes) {
        let names: Vec<&str> = users.iter().map(|user| user.name()).collect();
        let bar = format!("{}{}", "█".repeat(4 * users.len()), "·".repeat(12_usize.saturating_sub(4 * users.len())));
        let text = format!("    {:<10} {bar} {} {}", harmless(option), users.len(), names.join(", "));
        line(out, text.trim_end())?;
    }
    Ok(())
}

/// Founds a group of three, on three apps.
fn found(hub: &mut LocalHub) -> Result<([Phone; 3], GroupId)> {
    let apps = [App::new("photos.example")?, App::new("courier.example")?, App::new("tiny.example")?];
    let [photos, courier, tiny] = &apps;
    let [mut maria, mut bob, mut gita] =
        [Phone::new(photos, "maria", true)?, Phone::new(courier, "bob", true)?, Phone::new(tiny, "gita", false)?];
    let group = maria.client.create_group(App::policy(&[photos, courier, tiny])?, GroupInfo::new("Trip", "")?)?;
    let mut packages = Vec::new();
    for phone in [&mut bob, &mut gita] {
        packages.push(UnverifiedKeyPackage::from_bytes(&phone.client.key_packages(1)?.remove(0).to_bytes())?);
    }
    maria.client.change(&group, Change::Add(packages))?;
    maria.sync(hub)?;
    for phone in [&mut bob, &mut gita] {
        phone.sync(hub)?;
        phone.client.answer(&group, Answer::Accept)?;
        phone.sync(hub)?;
    }
    Ok(([maria, bob, gita], group))
}

/// The story, told to `out`.
pub(crate) fn run(out: &mut dyn Write) -> Result<()> {
    let mut hub = LocalHub::new();
    let ([mut maria, mut bob, mut gita], group) = found(&mut hub)?;

    // Before she asks, Maria's app looks who could only read the poll.
    let poll = Poll::new("Where to?", &["Beach", "Mountains"], Choices::One)?;
    let question = Content::poll(&poll);
    for feature in question.features() {
        let view = maria.client.group(&group)?;
        let lacking: Vec<String> = view.state().lacking(feature).iter().map(|user| user.name().to_owned()).collect();
        line(out, &format!("{} will see the question as text.", lacking.join(" and ")))?;
    }
    let asked = maria.say(&mut hub, &group, question)?;

    // Bob changes his mind; Gita, whose app knows no polls, answers in words.
    bob.say(&mut hub, &group, Content::vote(asked, &poll, &[0])?)?;
    bob.say(&mut hub, &group, Content::vote(asked, &poll, &[1])?)?;
    maria.say(&mut hub, &group, Content::vote(asked, &poll, &[1])?)?;
    gita.say(&mut hub, &group, Content::text("I would like the beach").reply_to(asked))?;
    maria.sync(&mut hub)?;
    maria.show(out)?;

    // Maria closes it. Bob's last vote stands behind that in the log, whatever his clock says.
    maria.say(&mut hub, &group, Content::close(asked))?;
    bob.say(&mut hub, &group, Content::vote(asked, &poll, &[0])?)?;
    for phone in [&mut maria, &mut bob, &mut gita] {
        phone.sync(&mut hub)?;
        phone.show(out)?;
    }

    let same = maria.said == bob.said && bob.said == gita.said;
    line(out, if same { "\nAll three hold the same." } else { "\nThey hold different things!" })
}

fn main() -> Result<()> {
    run(&mut io::stdout())
}
