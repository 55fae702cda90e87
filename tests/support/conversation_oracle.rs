//! What a conversation adds up to, worked out a second time: slowly, from nothing, and straight from
//! `docs/protocol.md`, section 11.5.

#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use std::collections::{BTreeMap, BTreeSet};

use convivio::MessageId;
use convivio::content::{Body, Content, Conversation, Kind, MessageView, Posted, Status};

/// A message as an app would draw it.
#[derive(Debug, PartialEq, Eq)]
pub struct Drawn {
    pub id: MessageId,
    pub by: String,
    pub seq: u64,
    pub shown: Option<Vec<u8>>,
    pub edited: bool,
    pub reactions: BTreeMap<String, BTreeSet<String>>,
    pub receipts: BTreeMap<String, Status>,
    pub votes: Option<Vec<BTreeSet<String>>>,
    pub closed: Option<u64>,
}

/// What the library makes of it.
pub fn drawn(conversation: &Conversation) -> Vec<Drawn> {
    conversation.messages().map(draw).collect()
}

fn draw(view: MessageView<'_>) -> Drawn {
    let names = |users: &BTreeSet<&convivio::identity::UserUri>| users.iter().map(ToString::to_string).collect();
    Drawn {
        id: view.id,
        by: view.user.to_string(),
        seq: view.seq,
        shown: view.content.map(Content::to_bytes),
        edited: view.edited,
        reactions: view.reactions.iter().map(|(with, users)| ((*with).to_owned(), names(users))).collect(),
        receipts: view.receipts.iter().map(|(user, status)| (user.to_string(), *status)).collect(),
        votes: view.tally.as_ref().map(|tally| tally.votes.iter().map(names).collect()),
        closed: view.tally.as_ref().and_then(|tally| tally.closed),
    }
}

/// What it should make of it, whatever the order of `history` and however often a message stands in it.
pub fn expected(history: &[Posted], purged: &[MessageId]) -> Vec<Drawn> {
    let mut first: BTreeMap<MessageId, &Posted> = BTreeMap::new();
    for posted in history {
        let known = first.entry(posted.id).or_insert(posted);
        if (posted.seq, posted.time, posted.moderates) < (known.seq, known.time, known.moderates) {
            *known = posted;
        }
    }
    let gone = gone(&first, purged);
    let mut all: Vec<&Posted> = first.into_values().filter(|posted| !gone.contains(&posted.id)).collect();
    all.sort_by_key(|posted| (posted.seq, posted.id));
    all.iter().filter(|posted| alone(&posted.content)).map(|posted| one(posted, &all)).collect()
}

/// What was purged, and what means nothing without it.
fn gone(all: &BTreeMap<MessageId, &Posted>, purged: &[MessageId]) -> BTreeSet<MessageId> {
    let mut gone: BTreeSet<MessageId> = purged.iter().copied().collect();
    loop {
        let more: Vec<MessageId> = all.values().filter(|it| moot(&it.content, &gone)).map(|it| it.id).collect();
        let before = gone.len();
        gone.extend(more);
        if gone.len() == before {
            return gone;
        }
    }
}

fn moot(content: &Content, gone: &BTreeSet<MessageId>) -> bool {
    if let Some(edited) = content.replaces {
        return gone.contains(&edited);
    }
    match content.kind() {
        Kind::Reaction { to: id, .. } | Kind::Vote { poll: id, .. } | Kind::Closing { poll: id } => gone.contains(&id),
        Kind::Receipts(receipts) => receipts.iter().all(|receipt| gone.contains(&receipt.message)),
        _ => false,
    }
}

fn alone(content: &Content) -> bool {
    match content.kind() {
        Kind::Reaction { .. } | Kind::Deletion { .. } | Kind::Vote { .. } => false,
        Kind::Closing { .. } | Kind::Receipts(_) => false,
        _ => content.replaces.is_none(),
    }
}

fn deleted(posted: &Posted, all: &[&Posted]) -> bool {
    let lasting = match posted.content.kind() {
        Kind::Deletion { .. } => true,
        Kind::Closing { .. } | Kind::Receipts(_) => posted.content.replaces.is_none(),
        _ => false,
    };
    let mut deletions = all.iter().filter(|other| other.content.kind() == Kind::Deletion { of: posted.id });
    !lasting && deletions.any(|other| other.moderates || other.user == posted.user)
}

fn edit<'h>(posted: &Posted, all: &[&'h Posted]) -> Option<&'h Content> {
    let mut last = None;
    for other in all {
        let edits = other.content.replaces == Some(posted.id) && other.user == posted.user;
        let holds = other.content.part.body != Body::Null && !matches!(other.content.kind(), Kind::Poll(_));
        if edits && holds && !deleted(other, all) {
            last = Some(&other.content);
        }
    }
    last
}

fn one(posted: &Posted, all: &[&Posted]) -> Drawn {
    let (id, by) = (posted.id, posted.user.to_string());
    let mut drawn = Drawn {
        id,
        by: by.clone(),
        seq: posted.seq,
        shown: None,
        edited: false,
        reactions: BTreeMap::new(),
        receipts: BTreeMap::new(),
        votes: None,
        closed: None,
    };
    if deleted(posted, all) {
        return drawn;
    }
    (drawn.votes, drawn.closed) = votes(posted, all);
    let edit = if drawn.votes.is_some() { None } else { edit(posted, all) };
    drawn.edited = edit.is_some();
    drawn.shown = Some(edit.unwrap_or(&posted.content).to_bytes());
    for other in all {
        react(&mut drawn, other, all);
        let Kind::Receipts(receipts) = other.content.kind() else { continue };
        if other.content.replaces.is_some() {
            continue;
        }
        let said = receipts.iter().filter(|it| it.message == id && it.status <= Status::Read).map(|it| it.status).max();
        let before = drawn.receipts.get(&other.user.to_string()).copied();
        if let (Some(status), true) = (said.max(before), other.user != posted.user) {
            drawn.receipts.insert(other.user.to_string(), status);
        }
    }
    drawn
}

fn react(drawn: &mut Drawn, other: &Posted, all: &[&Posted]) {
    let is_one = matches!(other.content.kind(), Kind::Reaction { to, .. } if to == drawn.id);
    if !is_one || other.content.replaces.is_some() || deleted(other, all) {
        return;
    }
    let now = edit(other, all).unwrap_or(&other.content);
    let Kind::Reaction { with, .. } = now.kind() else { return };
    let by = other.user.to_string();
    // Two that look the same are one, as the first has it.
    let look = |text: &str| text.replace(['\u{fe0f}', '\u{200d}'], "");
    let with = drawn.reactions.keys().find(|first| look(first) == look(with)).cloned().unwrap_or(with.to_owned());
    if drawn.reactions.values().filter(|users| users.contains(&by)).count() < convivio::limits::REACTIONS {
        drawn.reactions.entry(with).or_default().insert(by);
    }
}

type Votes = (Option<Vec<BTreeSet<String>>>, Option<u64>);

fn votes(posted: &Posted, all: &[&Posted]) -> Votes {
    let Kind::Poll(poll) = posted.content.kind() else { return (None, None) };
    let closes =
        |other: &Posted| other.content.replaces.is_none() && other.content.kind() == Kind::Closing { poll: posted.id };
    let closings = all.iter().filter(|other| closes(other));
    let closed = closings.filter(|other| other.moderates || other.user == posted.user).map(|other| other.seq).min();
    let mut last: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for other in all {
        let Kind::Vote { poll: voted, options } = other.content.kind() else { continue };
        let late = closed.is_some_and(|seq| other.seq >= seq) || poll.closes().is_some_and(|time| other.time >= time);
        let counts = voted == posted.id && other.content.replaces.is_none() && !late && poll.accepts(&options);
        if counts && !deleted(other, all) {
            last.insert(other.user.to_string(), options);
        }
    }
    let of =
        |option| last.iter().filter(|(_, chosen)| chosen.contains(&option)).map(|(user, _)| user.clone()).collect();
    (Some((0..poll.options().len()).map(of).collect()), closed)
}
