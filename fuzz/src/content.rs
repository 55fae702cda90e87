//! What members say (`docs/protocol.md`, section 11): bytes as they come, which have one reading or none; and whole
//! histories in any order, with repetitions, restarts and ends, against a second, naive reading of section 11.5.

use arbitrary::{Arbitrary, Unstructured};
use convivio::content::{Choices, Content, Conversation, Expiry, Kind, Poll, Posted, Receipt, Status};
use convivio::identity::UserUri;
use convivio::{MessageId, Timestamp, limits};

use super::{Seeds, kind, noise, seed};

#[path = "../../tests/support/conversation_oracle.rs"]
mod oracle;

const CONTENT: u8 = 0;
const CONVERSATION: u8 = 1;
const HISTORY: u8 = 2;

const TOPIC: &[u8] = b"topic";

pub fn run(data: &[u8]) {
    match kind(data) {
        Some((CONTENT, bytes)) => form(bytes),
        Some((CONVERSATION, bytes)) => stored(bytes),
        Some((HISTORY, bytes)) => {
            if let Ok(plan) = Plan::arbitrary_take_rest(Unstructured::new(bytes)) {
                fold(&plan);
            }
        }
        _ => {}
    }
}

/// Whatever is read is written back the same, means something and has a harmless text.
fn form(bytes: &[u8]) {
    let Ok(content) = Content::from_bytes(bytes) else { return };
    assert!(content.to_bytes() == bytes, "two encodings of one content");
    content.check().expect("what was read can be sent on");
    let bad = |c: char| (c.is_control() && c != '\n' && c != '\t') || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!content.fallback().chars().any(bad), "a fallback that misleads");
    assert!(content.mentions().len() <= limits::MENTIONS);
    assert!(content.features().len() < 8);
    match content.kind() {
        Kind::Poll(poll) => {
            assert!(poll.options().len() <= limits::POLL_OPTIONS);
            assert_eq!(Content::poll(&poll).kind(), Kind::Poll(poll.clone()), "a poll that cannot be asked again");
        }
        Kind::Attachment(file) => {
            let name = file.file_name();
            let odd = ['/', '\\', '\0', ':', '\u{202e}'];
            assert!(!name.is_empty() && name.len() <= 255 && !name.starts_with(['.', '-']) && !name.contains(odd));
            assert!(file.safe_url().is_none_or(|url| url[..8].eq_ignore_ascii_case("https://")));
        }
        Kind::Reaction { with, .. } => assert!((1..=limits::REACTION).contains(&with.len())),
        _ => {}
    }
}

fn stored(bytes: &[u8]) {
    let Ok(conversation) = Conversation::from_bytes(bytes) else { return };
    assert!(conversation.to_bytes() == bytes, "two encodings of one conversation");
    let _ = oracle::drawn(&conversation);
}

#[derive(Arbitrary, Debug)]
struct Plan {
    said: Vec<Say>,
    steps: Vec<Step>,
    /// Otherwise what is deleted is erased now and then.
    repeats: bool,
}

#[derive(Arbitrary, Debug)]
struct Say {
    what: What,
    about: u8,
    also: u8,
    by: u8,
    seq: u8,
    flags: u8,
}

#[derive(Arbitrary, Debug)]
enum What {
    Text,
    Edit,
    Reply,
    Reaction,
    OtherReaction,
    Deletion,
    Poll,
    ClosingPoll,
    Vote,
    Close,
    Receipts,
}

#[derive(Arbitrary, Debug)]
enum Step {
    /// A message, at its place or so much later.
    Insert(u8, u8),
    Purge(u8),
    Restart,
    Erase,
}

fn id(n: u8) -> MessageId {
    MessageId::from_bytes([n; 32])
}

fn poll() -> Poll {
    Poll::new("?", &["a", "b", "c"], Choices::Many).unwrap()
}

fn posted((n, say): (u8, &Say)) -> Posted {
    let Say { what, about, also, by, seq, flags } = say;
    let (about, other) = (id(about % 24), id(also % 24));
    let word = char::from(b'a' + also % 20).to_string();
    let content = match what {
        What::Text => Content::text(&word),
        What::Edit => Content::text(&word).replacing(about),
        What::Reply => Content::text(&word).reply_to(about),
        What::Reaction => Content::reaction(about, &word).unwrap(),
        What::OtherReaction => Content::reaction(about, &word).unwrap().replacing(other),
        What::Deletion => Content::deletion(about),
        What::Poll => Content::poll(&poll()),
        What::ClosingPoll => Content::poll(&poll().closing_at(Timestamp(u64::from(also % 64)))),
        What::Vote => {
            let options: Vec<usize> = (0..3).filter(|at| also & (1 << at) != 0).collect();
            Content::vote(about, &poll(), &options).unwrap()
        }
        What::Close => Content::close(about),
        What::Receipts => {
            let receipt = |message, status| Receipt { message, status };
            Content::receipts(&[receipt(about, Status::Delivered), receipt(other, Status::Read)]).unwrap()
        }
    };
    let content = if flags & 1 == 0 { content } else { content.expiring(Expiry::At(u32::from(*also))) };
    let mut content = if flags & 6 == 2 { content.replacing(other) } else { content };
    if flags & 24 == 8 {
        content.in_reply_to = content.in_reply_to.or(Some(other));
    }
    if flags & 32 != 0 {
        content.topic = TOPIC.to_vec();
    }
    let user: UserUri = format!("mimi://a.example/u/u{}", by % 3).parse().unwrap();
    let (seq, moderates) = (u64::from(seq % 32), by % 3 == 2);
    Posted { id: id(n), seq, user, moderates, time: Timestamp(seq), content: content.with_salt([n; 16]) }
}

fn fold(plan: &Plan) {
    let said: Vec<Posted> = (0_u8..24).zip(&plan.said).map(posted).collect();
    if said.is_empty() {
        return;
    }
    let (mut all, mut heard, mut purged) = (Conversation::new(), Vec::new(), Vec::new());
    // The same without anything erased.
    let mut kept = Conversation::new();
    for step in plan.steps.iter().take(64) {
        match step {
            Step::Insert(which, later) => {
                let mut posted = said[usize::from(*which) % said.len()].clone();
                if plan.repeats && later % 4 == 1 {
                    posted.seq += u64::from(*later);
                    posted.moderates = !posted.moderates;
                }
                all.insert(posted.clone());
                kept.insert(posted.clone());
                heard.push(posted);
            }
            Step::Purge(which) => {
                let of = &said[usize::from(*which) % said.len()];
                // What has an end is a message of its own; but even for others order must not matter.
                if plan.repeats
                    || (of.content.replaces.is_none() && !matches!(of.content.kind(), Kind::Deletion { .. }))
                {
                    all.purge([of.id]);
                    kept.purge([of.id]);
                    purged.push(of.id);
                }
            }
            Step::Restart => {
                let read = Conversation::from_bytes(&all.to_bytes()).expect("a conversation reads back");
                assert!(read == all, "a restart changes something");
                all = read;
            }
            Step::Erase if !plan.repeats => {
                all.erase_deleted();
                assert_eq!(all.erase_deleted(), 0);
            }
            Step::Erase => {}
        }
    }
    assert_eq!(oracle::drawn(&all), oracle::expected(&heard, &purged));
    assert_eq!(rest(&all), rest(&kept));
    for posted in &heard {
        let chain = all.ancestors(&posted.id);
        assert!(chain.len() <= limits::ANCESTORS && !chain.contains(&posted.id));
    }
    let ended = all.expired(Timestamp(40), |_| None);
    all.purge(ended);
    assert!(all.next_end(|_| None).is_none_or(|end| end > Timestamp(40)));
}

/// What follows beside what is drawn: topics, ends, and who answers whom.
fn rest(all: &Conversation) -> Vec<Vec<MessageId>> {
    let mut rest = vec![all.in_topic(TOPIC).map(|view| view.id).collect(), all.expired(Timestamp(40), |_| None)];
    for id in (0..24).map(id) {
        rest.extend([all.ancestors(&id), all.replies(&id).map(|view| view.id).collect()]);
    }
    rest
}

/// A content with a value of an extension that no sender of this version makes.
fn extended(value: &[u8]) -> Vec<u8> {
    let mut content = Content::text("hi").with_salt([3; 16]);
    content.extensions.insert("n", vec![0x00]).unwrap();
    let bytes = content.to_bytes();
    let at = bytes.windows(3).position(|three| three == b"\x61n\x00").unwrap() + 2;
    [&bytes[..at], value, &bytes[at + 1..]].concat()
}

pub fn seeds() -> Seeds {
    let poll = Poll::new("Where to?", &["Beach", "Mountains"], Choices::One).unwrap();
    let about = id(7);
    let mut rich =
        Content::markdown("[@Ada](mimi://a.example/u/ada) `code` <mimi://a.example/u/bob>").in_topic(b"trip");
    rich.extensions.insert("x-mood", vec![0xa1, 0x01, 0x82, 0x20, 0xf6]).unwrap();
    let contents = [
        ("text", Content::text("hi").expiring(Expiry::AfterReading(60))),
        ("markdown", rich),
        ("reaction", Content::reaction(about, "x").unwrap()),
        ("edit", Content::text("ho").replacing(about)),
        ("deletion", Content::deletion(about)),
        ("poll", Content::poll(&poll.clone().closing_at(Timestamp(9)))),
        ("vote", Content::vote(about, &poll, &[1]).unwrap()),
        ("closing", Content::close(about)),
        ("receipts", Content::receipts(&[Receipt { message: about, status: Status::Read }]).unwrap()),
        ("custom", Content::custom("application/x-map", b"\x01", "a map")),
        ("file", Content::attachment(super::attachment::part())),
    ];
    let contents = contents.map(|(name, content)| (name, content.with_salt([3; 16])));
    let mut seeds: Seeds = contents.iter().map(|(name, content)| seed(name, CONTENT, &[&content.to_bytes()])).collect();
    let mut all = Conversation::new();
    for (n, (_, content)) in (0_u8..).zip(&contents) {
        let user = "mimi://a.example/u/ada".parse().unwrap();
        let (seq, time) = (n.into(), Timestamp(n.into()));
        all.insert(Posted { id: id(n), seq, user, moderates: n % 2 == 0, time, content: content.clone() });
    }
    all.purge([id(0), id(99)]);
    let values: [(&str, &[u8]); 4] = [
        ("endless", &[0xbf, 0x9f, 0xff, 0x5f, 0x41, 0x00, 0xff, 0xff]),
        ("break", &[0x82, 0x01, 0xff]),
        ("half", &[0xbf, 0x01, 0xff]),
        ("simple", &[0xf8, 0x10]),
    ];
    seeds.extend(values.map(|(name, value)| seed(name, CONTENT, &[&extended(value)])));
    let code = Content::markdown("``` a `b`\n\\``<mimi://a.example/u/ada>\n\n~~~\n<mimi://a.example/u/bob>\n~~~~\n");
    seeds.push(seed("code", CONTENT, &[&code.with_salt([3; 16]).to_bytes()]));
    seeds.push(seed("whole", CONVERSATION, &[&all.to_bytes()]));
    for (name, bytes) in noise(&[60, 200, 400]) {
        seeds.push(seed(&name, HISTORY, &[&bytes]));
    }
    seeds
}
