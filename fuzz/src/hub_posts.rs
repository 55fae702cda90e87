//! Posts to a hub against a model of its log (`docs/protocol.md`, section 8.2): what it answers, and who then gets what.

use std::collections::{BTreeMap, BTreeSet};

use arbitrary::{Arbitrary, Unstructured};
use convivio::client::Subscription;
use convivio::group::CommitHeader;
use convivio::log::{EntryBody, LogEntry, Post, PostBody, PostReply};
use convivio::testing::LocalHub;
use convivio::{GroupId, LeafIndex};

use super::cbor::{Edit, edit, parse};
use super::town::town;
use super::{Seeds, noise};

#[derive(Arbitrary, Debug)]
enum Op {
    /// One of the town's posts, perhaps changed, and what its author claims to have seen.
    Post {
        which: u8,
        edits: Vec<Edit>,
        after: After,
    },
    Fetch {
        leaf: u8,
        next: u8,
    },
    Welcomes,
}

#[derive(Arbitrary, Debug)]
enum After {
    AsMade,
    Last,
    Number(u8),
}

/// What the hub must remember of one group.
#[derive(Default)]
struct Log {
    created: Option<PostBody>,
    entries: Vec<PostBody>,
    last_commit: u64,
    /// The first and the last entry of each mailbox.
    mailboxes: BTreeMap<u32, (u64, u64)>,
}

pub fn run(data: &[u8]) {
    let (mut u, mut hub) = (Unstructured::new(data), LocalHub::new());
    let mut model: BTreeMap<GroupId, Log> = BTreeMap::new();
    for op in u.arbitrary_iter::<Op>().into_iter().flatten().flatten().take(64) {
        match op {
            Op::Post { which, edits, after } => {
                let Some(post) = post(which, &edits, &after, &model) else { continue };
                let reply = hub.post(town().app.domain(), &post);
                assert_eq!(reply, expected(&mut model, &post), "{post:?}");
            }
            Op::Fetch { leaf, next } => {
                for (group, log) in &model {
                    let wanted = Subscription { group: *group, leaf: LeafIndex((leaf % 6).into()), next: next.into() };
                    compare(&hub.fetch(&wanted), log, &wanted);
                }
            }
            Op::Welcomes => welcomes(&hub, &model),
        }
    }
}

fn post(which: u8, edits: &[Edit], after: &After, model: &BTreeMap<GroupId, Log>) -> Option<Post> {
    let posts = &town().posts;
    let tree = parse(&posts[usize::from(which) % posts.len()].to_bytes()).unwrap();
    let mut post = Post::from_bytes(&edit(tree, &edits[..edits.len().min(3)]).encode()).ok()?;
    match after {
        After::AsMade => {}
        After::Last => post.after = model.get(&post.group).map_or(0, |log| log.last_commit),
        After::Number(after) => post.after = (*after).into(),
    }
    Some(post)
}

/// What the hub must answer.
fn expected(model: &mut BTreeMap<GroupId, Log>, post: &Post) -> PostReply {
    if let PostBody::Create { leaf, .. } = &post.body {
        let log = model.entry(post.group).or_default();
        if log.created.is_none() {
            log.created = Some(post.body.clone());
            log.mailboxes.insert(leaf.0, (1, u64::MAX));
        }
        return if log.created.as_ref() == Some(&post.body) { PostReply::Accepted } else { PostReply::Refused };
    }
    let Some(log) = model.get_mut(&post.group) else { return PostReply::Refused };
    if log.entries.contains(&post.body) {
        return PostReply::Accepted;
    }
    let is_request = matches!(post.body, PostBody::Request(_));
    if post.after != log.last_commit && !is_request {
        return PostReply::Behind;
    }
    let seq = log.entries.len() as u64 + 1;
    if let PostBody::Commit { commit, .. } = &post.body {
        let Ok(clear) = CommitHeader::from_envelope_header(commit.header().bytes()) else { return PostReply::Refused };
        for leaf in clear.mailboxes.drop {
            log.mailboxes.entry(leaf.0).and_modify(|(_, last)| *last = seq);
        }
        for (leaf, _) in clear.mailboxes.add {
            log.mailboxes.insert(leaf.0, (seq + 1, u64::MAX));
        }
        log.last_commit = seq;
    }
    log.entries.push(post.body.clone());
    PostReply::Accepted
}

/// A mailbox holds its entries, each once and in order, and of a commit its own stanza only.
fn compare(entries: &[LogEntry], log: &Log, wanted: &Subscription) {
    let range = log.mailboxes.get(&wanted.leaf.0).copied().unwrap_or((1, 0));
    let expected: Vec<u64> =
        (1..=log.entries.len() as u64).filter(|seq| *seq >= wanted.next && (range.0..=range.1).contains(seq)).collect();
    assert_eq!(entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), expected);
    for entry in entries {
        assert_eq!(LogEntry::from_bytes(&entry.to_bytes()).unwrap(), *entry);
        match (&entry.body, &log.entries[usize::try_from(entry.seq).unwrap() - 1]) {
            (EntryBody::Message(frame), PostBody::Message(posted)) => assert_eq!(frame, posted),
            (EntryBody::Commit { header, stanza, body }, PostBody::Commit { commit, .. }) => {
                assert_eq!((header.as_slice(), body.as_slice()), (commit.header().bytes(), commit.body()));
                let id = super::cbor::number(wanted.leaf.0).encode();
                let own = commit.stanzas().iter().find(|stanza| stanza.recipient() == id);
                assert_eq!(stanza.as_deref(), own.map(|own| own.bytes()));
            }
            (EntryBody::Request(part), PostBody::Request(request)) => {
                assert_eq!(part.as_ref().map(|part| part.body()), Some(request.body()));
            }
            (entry, posted) => panic!("{posted:?} came as {entry:?}"),
        }
    }
}

/// Every package that a welcome in the log is for gets it once for each, and no other does.
fn welcomes(hub: &LocalHub, model: &BTreeMap<GroupId, Log>) {
    let package = town().package.id();
    let found = hub.welcomes(&[package]);
    let mut expected = BTreeSet::new();
    for (group, log) in model {
        for (seq, body) in (1_u64..).zip(&log.entries) {
            let PostBody::Commit { welcome: Some(welcome), .. } = body else { continue };
            if welcome.split(package.as_bytes()).is_some() {
                expected.insert((*group, seq));
            }
        }
    }
    assert_eq!(found.len(), expected.len());
    for entry in found {
        assert!(expected.remove(&(entry.group, entry.seq)));
        assert!(matches!(&entry.body, EntryBody::Welcome { package: to, .. } if *to == package));
    }
}

pub fn seeds() -> Seeds {
    noise(&[30, 150, 600])
}
