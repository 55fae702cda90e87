//! Plays the steps of a script: apps, people and a relay, and what they show.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use convivio::client::{Answer, Change, EventKind, Status, Subscription};
use convivio::group::GroupInfo;
use convivio::identity::{AppDomain, QrComparison, UnverifiedKeyPackage, UserUri};
use convivio::log::EntryBody;
use convivio::testing::App;
use convivio::{Client, GroupId};

use super::people::{Line, Outcome, Person};
use super::relay::{LEAST, News, Relay};
use super::script::{Act, Step};

/// A conversation while it is played.
pub(crate) struct Play<'o> {
    out: &'o mut dyn Write,
    dir: PathBuf,
    relay: Relay,
    apps: Vec<App>,
    people: Vec<Person>,
    group: Option<GroupId>,
    /// What must not be seen by the relay, besides names.
    said: Vec<String>,
    delivered: usize,
    removed: Vec<Removal>,
    checks: Checks,
}

/// Who was removed, and a copy of the store from just before.
struct Removal {
    who: usize,
    copy: PathBuf,
    /// The log's first entry that the copy has not read.
    next: u64,
}

/// What was checked, and whether it holds.
#[derive(Debug, Default)]
pub(crate) struct Checks(pub(crate) Vec<(bool, String)>);

impl Checks {
    fn add(&mut self, holds: bool, what: impl Into<String>) {
        self.0.push((holds, what.into()));
    }
}

impl<'o> Play<'o> {
    pub(crate) fn new(dir: PathBuf, out: &'o mut dyn Write) -> Self {
        Self {
            out,
            dir,
            relay: Relay::default(),
            apps: Vec::new(),
            people: Vec::new(),
            group: None,
            said: Vec::new(),
            delivered: 0,
            removed: Vec::new(),
            checks: Checks::default(),
        }
    }

    /// One line of the script.
    pub(crate) fn step(&mut self, Step { act, .. }: Step) -> Outcome<()> {
        if !matches!(act, Act::Restart) {
            // Only now, so that what the last line brought is still in the inboxes if everything stops here.
            self.take_over()?;
        }
        match act {
            Act::Create(founder, info) => self.create(founder, info),
            Act::Allow(domain) => self.allow(domain),
            Act::Add(user) => self.add(user),
            Act::Remove(name) => self.remove(&name),
            Act::Say(name, text) => self.say(&name, text),
            Act::Late(name) => self.late(&name),
            Act::Back(name) => self.back(&name),
            Act::Twice(name) => self.twice(&name),
            Act::Restart => self.restart(),
            Act::Safety(one, other) => self.safety(&one, &other),
        }
    }

    /// What remains to be checked when everything has been said, and the relay's view.
    pub(crate) fn finish(mut self) -> Outcome<Checks> {
        let late: Vec<String> =
            self.people.iter().filter(|person| !person.online).map(|person| person.name().to_owned()).collect();
        for name in late {
            self.back(&name)?;
        }
        self.take_over()?;
        self.check_reading();
        self.check_authenticators()?;
        self.check_removed()?;
        self.check_relay()?;
        Ok(self.checks)
    }

    fn create(&mut self, founder: UserUri, info: GroupInfo) -> Outcome<()> {
        let at = self.enrol(founder)?;
        let policy = App::policy(&[self.app(self.user(at)?.domain())?])?;
        writeln!(self.out, "• {} founds the group \"{}\"", self.name(at), info.name())?;
        self.said.push(info.name().to_owned());
        self.group = Some(self.person(at)?.client()?.create_group(policy, info)?);
        self.person(at)?.member = true;
        self.exchange(at)?;
        Ok(())
    }

    fn allow(&mut self, domain: AppDomain) -> Outcome<()> {
        let root = self.app(&domain)?.root().public().clone();
        let group = self.group()?;
        let founder = self.person(0)?.client()?;
        let mut policy = founder.group(&group)?.state().policy().clone();
        policy.apps.insert(domain.clone(), root)?;
        founder.change(&group, Change::Policy(policy))?;
        writeln!(self.out, "• {} allows {domain}, and names the root key it vouches under", self.name(0))?;
        self.everyone()?;
        Ok(())
    }

    fn add(&mut self, user: UserUri) -> Outcome<()> {
        let group = self.group()?;
        let at = self.enrol(user)?;
        let package = self.person(at)?.client()?.key_packages(1)?;
        // The app's directory hands it to the founder; the relay has no part in it.
        let published = package.first().ok_or("no key package was made")?.to_bytes();
        let package = UnverifiedKeyPackage::from_bytes(&published)?;
        self.person(0)?.client()?.change(&group, Change::Add(vec![package]))?;
        self.person(at)?.member = true;
        writeln!(self.out, "• {} adds {} by a key package of {} bytes", self.name(0), self.name(at), published.len())?;
        for (whose, news) in self.everyone()? {
            for event in news.events {
                let EventKind::Invitation { by, info, users } = event.what else { continue };
                let (name, user) = (self.name(whose), self.user(at)?);
                writeln!(self.out, "    {name} ({user}) is invited by {by}")?;
                writeln!(self.out, "    to \"{}\", a group of {users}, and accepts", info.name())?;
                self.person(whose)?.client()?.answer(&group, Answer::Accept)?;
                self.exchange(whose)?;
            }
        }
        let state = self.person(at)?.client()?.group(&group)?.status();
        self.checks.add(state == Status::Active, format!("{} joined by the key package", self.name(at)));
        Ok(())
    }

    fn remove(&mut self, name: &str) -> Outcome<()> {
        let (group, at) = (self.group()?, self.find(name)?);
        let copy = self.dir.join(format!("{name}.before-removal.redb"));
        let person = self.person(at)?;
        person.close();
        person.copy_store(&copy)?;
        person.open()?;
        let next = person.client()?.group(&group)?.next_entry();
        let user = person.user.clone();
        person.member = false;
        self.removed.push(Removal { who: at, copy, next });
        self.person(0)?.client()?.change(&group, Change::Remove(user))?;
        writeln!(self.out, "• {} removes {name}", self.name(0))?;
        for (whose, news) in self.everyone()? {
            if whose == at && news.events.iter().any(|event| event.what == EventKind::Removed) {
                writeln!(self.out, "    {name} is told so; a copy of the store from just before is kept for later")?;
            }
        }
        Ok(())
    }

    fn say(&mut self, name: &str, text: String) -> Outcome<()> {
        let (group, at) = (self.group()?, self.find(name)?);
        let person = self.person(at)?;
        let id = person.client()?.send(&group, text.as_bytes())?;
        let line = Line { by: person.user.clone(), text: text.clone() };
        person.waiting.push((id, line.clone()));
        self.said.push(text.clone());
        if !self.person(at)?.online {
            writeln!(self.out, "  {name} (waits in the outbox): {text}")?;
            return Ok(());
        }
        self.posted(at, std::slice::from_ref(&line));
        self.exchange(at)?;
        let news = self.everyone()?;
        let readers = self.readers(&line, &news);
        writeln!(self.out, "  {name} → {readers}: {text}")?;
        Ok(())
    }

    fn late(&mut self, name: &str) -> Outcome<()> {
        let at = self.find(name)?;
        self.person(at)?.online = false;
        writeln!(self.out, "• {name} is out of reach")?;
        Ok(())
    }

    fn back(&mut self, name: &str) -> Outcome<()> {
        let at = self.find(name)?;
        let person = self.person(at)?;
        person.online = true;
        let waited: Vec<Line> = person.waiting.iter().map(|(_, line)| line.clone()).collect();
        self.posted(at, &waited);
        let Self { people, relay, .. } = self;
        let person = people.get_mut(at).ok_or("nobody")?;
        let news = relay.catch_up(person.client()?)?;
        self.note_delivered(at, &news)?;
        writeln!(self.out, "• {name} is back; what was missed comes at once, the last first")?;
        for Line { by, text } in lines(&news) {
            writeln!(self.out, "  {} → {name}, late: {text}", by.name())?;
        }
        let news = self.everyone()?;
        for line in &waited {
            writeln!(self.out, "  {name} → {}, late: {}", self.readers(line, &news), line.text)?;
        }
        Ok(())
    }

    fn twice(&mut self, name: &str) -> Outcome<()> {
        let at = self.find(name)?;
        let Self { people, relay, .. } = self;
        let news = relay.repeat(people.get_mut(at).ok_or("nobody")?.client()?)?;
        let (entries, duplicates) = (news.entries, news.duplicates);
        writeln!(self.out, "• The relay delivers all {entries} entries of {name}'s mailbox once more")?;
        writeln!(self.out, "    {name}'s device knows {duplicates} of them, and shows {}", lines(&news).len())?;
        let known = usize::try_from(duplicates)? == entries && news.events.is_empty();
        self.checks.add(known, format!("What {name} was sent twice was shown once"));
        Ok(())
    }

    fn restart(&mut self) -> Outcome<()> {
        let group = self.group();
        let mut before = Vec::new();
        for person in &mut self.people {
            before.push(standing(person.client()?, group.as_ref().ok())?);
            person.close();
        }
        writeln!(self.out, "• Every app stops before it takes over what just came, and starts again on its store")?;
        let mut same = true;
        let (mut inbox, mut outbox) = (0, 0);
        for (person, before) in self.people.iter_mut().zip(before) {
            person.open()?;
            let now = standing(person.client()?, group.as_ref().ok())?;
            for event in &now.0 {
                let (from, content) = match &event.what {
                    EventKind::Message { user, content, .. } => (user.name(), content),
                    EventKind::Sent { content, .. } => ("delivered", content),
                    _ => continue,
                };
                let text = String::from_utf8_lossy(content);
                writeln!(self.out, "    still in {}'s inbox: {from}: {text}", person.user.name())?;
            }
            for (_, line) in &person.waiting {
                writeln!(self.out, "    still in {}'s outbox: {}", person.user.name(), line.text)?;
            }
            inbox += now.0.len();
            outbox += person.waiting.len();
            same &= now == before;
        }
        let what = format!("{inbox} unread in the inboxes, {outbox} unsent in the outboxes");
        self.checks.add(same, format!("The restart lost and repeated nothing ({what})"));
        Ok(())
    }

    fn safety(&mut self, one: &str, other: &str) -> Outcome<()> {
        let (group, one_at, other_at) = (self.group()?, self.find(one)?, self.find(other)?);
        let (one_user, other_user) = (self.user(one_at)?, self.user(other_at)?);
        let ones = self.person(one_at)?.client()?.group(&group)?.safety_number(&other_user)?;
        let others = self.person(other_at)?.client()?.group(&group)?.safety_number(&one_user)?;
        let scanned = ones.compare_qr(&others.qr())? == QrComparison::Match;
        writeln!(self.out, "• {one} and {other} meet, and compare safety numbers")?;
        let width = one.len().max(other.len());
        writeln!(self.out, "    {one:width$}  {ones}")?;
        writeln!(self.out, "    {other:width$}  {others}")?;
        let equal = ones.digits() == others.digits() && scanned;
        self.checks.add(equal, format!("The safety numbers of {one} and {other} are equal, as digits and as QR codes"));
        Ok(())
    }

    /// A device posts and reads.
    fn exchange(&mut self, at: usize) -> Outcome<News> {
        let Self { people, relay, .. } = self;
        let news = relay.exchange(people.get_mut(at).ok_or("nobody")?.client()?)?;
        self.note_delivered(at, &news)?;
        Ok(news)
    }

    /// Everyone who can be reached posts and reads, the founder first.
    fn everyone(&mut self) -> Outcome<Vec<(usize, News)>> {
        let mut all = Vec::new();
        for at in 0..self.people.len() {
            if self.person(at)?.online {
                all.push((at, self.exchange(at)?));
            }
        }
        Ok(all)
    }

    /// Who got a line, and who will.
    fn readers(&self, line: &Line, news: &[(usize, News)]) -> String {
        let now = news.iter().filter(|(_, news)| lines(news).contains(line)).map(|(whose, _)| self.name(*whose));
        let late = self.people.iter().filter(|person| person.member && !person.online && person.user != line.by);
        let readers: Vec<String> = now.chain(late.map(|person| format!("({} later)", person.name()))).collect();
        if readers.is_empty() { "nobody yet".into() } else { readers.join(", ") }
    }

    fn take_over(&mut self) -> Outcome<()> {
        self.people.iter_mut().try_for_each(Person::take_over)
    }

    /// These lines are about to be posted: whoever is a member is to read them.
    fn posted(&mut self, by: usize, lines: &[Line]) {
        for (at, person) in self.people.iter_mut().enumerate() {
            if person.member && at != by {
                person.due.extend_from_slice(lines);
            }
        }
    }

    fn note_delivered(&mut self, at: usize, news: &News) -> Outcome<()> {
        self.delivered += news.delivered.len();
        self.person(at)?.waiting.retain(|(id, _)| !news.delivered.contains(id));
        Ok(())
    }

    fn check_reading(&mut self) {
        let read: usize = self.people.iter().map(|person| person.read.len()).sum();
        let right = self.people.iter().all(|person| person.read == person.due);
        let sent = self.said.len() - 1;
        let what = format!(
            "Everyone read what was said while they were in, once and in order ({sent} messages, {read} readings)"
        );
        self.checks.add(right, what);
        let waiting = self.people.iter().any(|person| !person.waiting.is_empty());
        self.checks.add(!waiting && self.delivered == sent, "Every sender learnt that every message was delivered");
        for person in &self.people {
            for surprise in &person.surprises {
                let next = surprise.next_step().unwrap_or("nothing to do");
                self.checks.add(false, format!("{}'s device reports {surprise:?}: {next}", person.name()));
            }
        }
    }

    fn check_authenticators(&mut self) -> Outcome<()> {
        let group = self.group()?;
        let mut all = BTreeSet::new();
        let members = self.people.iter_mut().filter(|person| person.member);
        let mut count = 0;
        for person in members {
            all.insert(person.authenticator(&group)?);
            count += 1;
        }
        let shown: String = all.iter().flatten().take(4).map(|byte| format!("{byte:02x}")).collect();
        let what = format!("All {count} members hold the same group: authenticator {shown}…");
        self.checks.add(all.len() == 1, what);
        Ok(())
    }

    /// Hands whoever was removed every later entry, as the relay gave it to each of those who stayed: to their own
    /// device, and to copies of the store that never heard of the removal.
    fn check_removed(&mut self) -> Outcome<()> {
        let group = self.group()?;
        let mut stayed = Vec::new();
        for person in self.people.iter_mut().filter(|person| person.member) {
            stayed.extend(person.client()?.subscriptions()?);
        }
        for Removal { who, copy, next } in std::mem::take(&mut self.removed) {
            let current = self.person(0)?.authenticator(&group)?;
            let (mut read, mut same) = (0, false);
            let (mut entries, mut messages) = (0, 0);
            let again = copy.with_extension("again.redb");
            for mailbox in &stayed {
                let later = self.relay.mailbox(Subscription { next, ..*mailbox });
                entries = entries.max(later.len());
                let said = later.iter().filter(|entry| matches!(entry.body, EntryBody::Message(_))).count();
                messages = messages.max(said);
                std::fs::copy(&copy, &again)?;
                let mut stubborn = self.person(who)?.open_copy(&again)?;
                for client in [&mut stubborn, self.person(who)?.client()?] {
                    let (events, _) = client.receive(&later)?;
                    read += events.iter().filter(|event| is_message(&event.what)).count();
                    same |= *client.group(&group)?.authenticator() == current;
                }
            }
            std::fs::remove_file(&again)?;
            std::fs::remove_file(&copy)?;
            let (name, others) = (self.name(who), stayed.len());
            let handed = format!("all {entries} later entries, as each of {others} members got them");
            let what = format!("{name}, removed, reads {read} of {messages} later messages (given {handed})");
            self.checks.add(read == 0 && !same, what);
        }
        Ok(())
    }

    fn check_relay(&mut self) -> Outcome<()> {
        writeln!(self.out, "\nWhat the relay learned: sizes and routing")?;
        self.relay.table(self.out)?;
        let texts = self.said.iter().skip(1).map(String::len);
        let (least, most) = (texts.clone().min().unwrap_or(0), texts.max().unwrap_or(0));
        let sizes: Vec<String> = self.relay.message_sizes().iter().map(usize::to_string).collect();
        if !sizes.is_empty() {
            writeln!(self.out, "  Texts of {least} to {most} bytes became messages of {} bytes.", sizes.join(", "))?;
        }
        writeln!(
            self.out,
            "  It knows which app posted and which app each mailbox is for; not who, not what, not the group's name."
        )?;
        let (pieces, bytes) = (self.pieces(), self.relay.bytes());
        let found = self.relay.finds(&pieces);
        let what = format!("No name, title or text in the {bytes} bytes the relay held ({} looked for)", pieces.len());
        self.checks.add(found.is_empty(), what);
        for piece in found {
            self.checks.add(false, format!("The relay saw \"{piece}\""));
        }
        self.checks
            .add(self.relay.finds_domains(), "The same search finds the apps' domains, which the relay must know");
        Ok(())
    }

    /// What the relay must not see: users as they are written in credentials, the title, every text and its words.
    fn pieces(&self) -> BTreeSet<String> {
        let users = self.people.iter().flat_map(|person| {
            let name = person.name();
            [person.user.as_str().to_owned(), format!("/u/{name}"), format!("{name}@"), name.to_owned()]
        });
        let texts = self.said.iter().flat_map(|text| {
            text.split(|c: char| !c.is_alphanumeric()).chain(text.split_whitespace()).chain([text.as_str()])
        });
        users.chain(texts.map(str::to_owned)).filter(|piece| piece.len() >= LEAST).collect()
    }

    fn enrol(&mut self, user: UserUri) -> Outcome<usize> {
        let dir = self.dir.clone();
        let app = self.app(user.domain())?;
        let person = Person::enrol(app, user, &dir)?;
        self.people.push(person);
        Ok(self.people.len() - 1)
    }

    /// An app, made when it is first spoken of.
    fn app(&mut self, domain: &AppDomain) -> Outcome<&App> {
        if !self.apps.iter().any(|app| app.domain() == domain) {
            self.apps.push(App::new(domain.as_str())?);
        }
        Ok(self.apps.iter().find(|app| app.domain() == domain).ok_or("no such app")?)
    }

    fn group(&self) -> Outcome<GroupId> {
        Ok(self.group.ok_or("there is no group yet")?)
    }

    fn find(&self, name: &str) -> Outcome<usize> {
        let found = self.people.iter().position(|person| person.name() == name);
        Ok(found.ok_or_else(|| format!("nobody is called {name}"))?)
    }

    fn person(&mut self, at: usize) -> Outcome<&mut Person> {
        Ok(self.people.get_mut(at).ok_or("nobody is there")?)
    }

    fn user(&self, at: usize) -> Outcome<UserUri> {
        Ok(self.people.get(at).ok_or("nobody is there")?.user.clone())
    }

    fn name(&self, at: usize) -> String {
        self.people.get(at).map_or("nobody", Person::name).to_owned()
    }
}

/// What a restart must not change: the inbox, the queue's length, the place in the log, the group.
type Standing = (Vec<convivio::client::Event>, Option<(usize, u64, [u8; 32])>);

fn standing(client: &mut Client, group: Option<&GroupId>) -> Outcome<Standing> {
    let inbox = client.inbox(usize::MAX)?;
    let held = match group {
        Some(group) if client.groups()?.contains(group) => {
            let view = client.group(group)?;
            Some((view.queued(), view.next_entry(), *view.authenticator()))
        }
        _ => None,
    };
    Ok((inbox, held))
}

fn lines(news: &News) -> Vec<Line> {
    let line = |what: &EventKind| match what {
        EventKind::Message { user, content, .. } => {
            Some(Line { by: user.clone(), text: String::from_utf8_lossy(content).into_owned() })
        }
        _ => None,
    };
    news.events.iter().filter_map(|event| line(&event.what)).collect()
}

const fn is_message(what: &EventKind) -> bool {
    matches!(what, EventKind::Message { .. })
}
