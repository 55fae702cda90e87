//! The relay: the library's hub in memory, reached through bytes only, and everything that went through noted.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Write};

use convivio::client::{Client, Event, Subscription};
use convivio::identity::AppDomain;
use convivio::log::{LogEntry, Post, PostReply};
use convivio::testing::{LocalHub, SeenKind};
use convivio::{MessageId, Result};

/// Rows of the table of entries, at most, before its middle is left out.
const ROWS: usize = 40;

/// Bytes of a piece of text that is looked for, at least: shorter ones turn up in random bytes by chance.
pub(crate) const LEAST: usize = 6;

/// A relay, and every byte it was ever given or gave.
#[derive(Debug, Default)]
pub(crate) struct Relay {
    hub: LocalHub,
    wire: Vec<Vec<u8>>,
    domains: BTreeSet<AppDomain>,
}

/// What an exchange with the relay brought.
#[derive(Debug, Default)]
pub(crate) struct News {
    pub(crate) events: Vec<Event>,
    /// Messages of one's own that are in the log.
    pub(crate) delivered: Vec<MessageId>,
    pub(crate) duplicates: u32,
    /// Entries the relay handed over.
    pub(crate) entries: usize,
}

impl Relay {
    /// Posts what a device has to post and gives it what it has not read, until neither has anything left to do.
    pub(crate) fn exchange(&mut self, client: &mut Client) -> Result<News> {
        let mut news = News::default();
        loop {
            let posted = self.take(client)?;
            let entries = self.give(client)?;
            let before = client.subscriptions()?;
            news.add(client, &entries)?;
            if posted == 0 && client.subscriptions()? == before {
                return Ok(news);
            }
        }
    }

    /// Gives a device what it has missed, the last entry first, and only then takes what it has to post.
    pub(crate) fn catch_up(&mut self, client: &mut Client) -> Result<News> {
        let mut news = News::default();
        let mut entries = self.give(client)?;
        entries.reverse();
        news.add(client, &entries)?;
        let News { events, delivered, duplicates, entries } = self.exchange(client)?;
        news.events.extend(events);
        news.delivered.extend(delivered);
        news.duplicates += duplicates;
        news.entries += entries;
        Ok(news)
    }

    /// Gives a device everything once more.
    pub(crate) fn repeat(&mut self, client: &mut Client) -> Result<News> {
        let mut news = News::default();
        for wanted in client.subscriptions()? {
            let entries = self.mailbox(Subscription { next: 1, ..wanted });
            self.wire.extend(entries.iter().map(LogEntry::to_bytes));
            news.add(client, &entries)?;
        }
        Ok(news)
    }

    /// A mailbox's entries, for whoever asks.
    pub(crate) fn mailbox(&self, wanted: Subscription) -> Vec<LogEntry> {
        self.hub.fetch(&wanted)
    }

    fn take(&mut self, client: &mut Client) -> Result<usize> {
        let from = client.identity()?.user().domain().clone();
        self.domains.insert(from.clone());
        let mut accepted = 0;
        for post in client.outbox(usize::MAX)? {
            let bytes = post.to_bytes();
            let reply = self.hub.post(&from, &Post::from_bytes(&bytes)?);
            self.wire.push(bytes);
            accepted += usize::from(reply == PostReply::Accepted);
            client.posted(&post, reply)?;
        }
        Ok(accepted)
    }

    fn give(&mut self, client: &mut Client) -> Result<Vec<LogEntry>> {
        let mut given = Vec::new();
        for entry in self.hub.deliver(client)? {
            let bytes = entry.to_bytes();
            given.push(LogEntry::from_bytes(&bytes)?);
            self.wire.push(bytes);
        }
        Ok(given)
    }

    /// How many bytes went through.
    pub(crate) fn bytes(&self) -> usize {
        self.wire.iter().map(Vec::len).sum()
    }

    /// Which of these pieces of text went through, in any byte; parts of app domains aside, which it must know.
    pub(crate) fn finds<'a>(&self, pieces: &'a BTreeSet<String>) -> BTreeSet<&'a str> {
        let known = |piece: &str| self.domains.iter().any(|domain| domain.as_str().contains(piece));
        self.search(pieces.iter().map(String::as_str).filter(|piece| !known(piece)))
    }

    /// Whether the search finds what is there.
    pub(crate) fn finds_domains(&self) -> bool {
        let long = || self.domains.iter().map(AppDomain::as_str).filter(|domain| domain.len() >= LEAST);
        self.search(long()) == long().collect()
    }

    /// One pass over all bytes. A piece is known by its first [`LEAST`] bytes, which it must have.
    fn search<'a>(&self, pieces: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
        let mut starts: HashMap<&[u8], Vec<&str>> = HashMap::new();
        for piece in pieces {
            starts.entry(piece.as_bytes().get(..LEAST).unwrap_or_default()).or_default().push(piece);
        }
        let mut found = BTreeSet::new();
        for bytes in &self.wire {
            for (at, start) in bytes.windows(LEAST).enumerate() {
                let Some(pieces) = starts.get(start) else { continue };
                let rest = bytes.get(at..).unwrap_or_default();
                found.extend(pieces.iter().filter(|piece| rest.starts_with(piece.as_bytes())));
            }
        }
        found
    }

    /// The sizes of the messages, each once.
    pub(crate) fn message_sizes(&self) -> BTreeSet<usize> {
        self.hub.seen().iter().filter(|seen| seen.kind == SeenKind::Message).map(|seen| seen.bytes).collect()
    }

    /// What it saw, as a table.
    pub(crate) fn table(&self, out: &mut dyn Write) -> io::Result<()> {
        let rows = self.hub.seen();
        let width = rows.iter().map(|seen| seen.from.as_str().len()).max().unwrap_or(0).max("posted by".len());
        writeln!(out, "  entry  {:width$}   bytes  what", "posted by")?;
        let (head, tail) = if rows.len() > ROWS { (ROWS - 5, 4) } else { (rows.len(), 0) };
        for (at, seen) in rows.iter().enumerate() {
            if at == head {
                writeln!(out, "      …  ({} more)", rows.len() - head - tail)?;
            }
            if at < head || at >= rows.len() - tail {
                let (what, from) = (describe(&seen.kind), seen.from.as_str());
                writeln!(out, "  {:>5}  {from:width$}  {:>6}  {what}", seen.seq, seen.bytes)?;
            }
        }
        Ok(())
    }
}

impl News {
    fn add(&mut self, client: &mut Client, entries: &[LogEntry]) -> Result<()> {
        let (events, summary) = client.receive(entries)?;
        self.events.extend(events);
        self.delivered.extend(summary.echoes);
        self.duplicates += summary.duplicates;
        self.entries += entries.len();
        Ok(())
    }
}

fn describe(kind: &SeenKind) -> String {
    match kind {
        SeenKind::Message => "message".into(),
        SeenKind::Request => "request".into(),
        SeenKind::Commit { added, dropped } => {
            let mut what = String::from("change");
            for domain in added {
                what += &format!(", opens a mailbox for {domain}");
            }
            match dropped {
                0 => {}
                1 => what += ", closes a mailbox",
                many => what += &format!(", closes {many} mailboxes"),
            }
            what
        }
        _ => "something else".into(),
    }
}
