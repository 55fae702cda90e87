//! What a malicious member can say: nothing that the group chokes on, nothing in another's name.

use convivio::client::{Answer, Change, EventKind};
use convivio::content::{
    Body, Choices, Content, Conversation, Disposition, Expiry, Kind, Part, Poll, Posted, Receipt, Semantics, Status,
};
use convivio::group::{GroupInfo, Role};
use convivio::identity::UnverifiedKeyPackage;
use convivio::testing::{App, LocalHub};
use convivio::{Client, ErrorKind, GroupId, MessageId, limits};

/// Maria, who founded the group, reads what Mallory says.
struct Talk {
    hub: LocalHub,
    group: GroupId,
    maria: Client,
    mallory: Client,
    conversation: Conversation,
    /// Messages of which Maria's app could read nothing.
    refused: Vec<ErrorKind>,
}

impl Talk {
    fn new() -> Self {
        let app = App::new("a.example").unwrap();
        let (mut hub, mut maria, mut mallory) =
            (LocalHub::new(), app.client("maria").unwrap(), app.client("mallory").unwrap());
        let group = maria.create_group(App::policy(&[&app]).unwrap(), GroupInfo::default()).unwrap();
        let package = UnverifiedKeyPackage::try_from(&mallory.key_packages(1).unwrap()[0]).unwrap();
        maria.change(&group, Change::Add(vec![package])).unwrap();
        hub.sync(&mut maria).unwrap();
        hub.sync(&mut mallory).unwrap();
        mallory.answer(&group, Answer::Accept).unwrap();
        Self { hub, group, maria, mallory, conversation: Conversation::new(), refused: Vec::new() }
    }

    fn maria_says(&mut self, content: &Content) -> MessageId {
        let id = self.maria.send(&self.group, &content.to_bytes()).unwrap();
        let view = self.maria.group(&self.group).unwrap();
        let (seq, time) = (view.next_entry(), view.state().time());
        let user = self.maria.identity().unwrap().user().clone();
        self.hub.sync(&mut self.maria).unwrap();
        self.conversation.insert(Posted { id, seq, user, moderates: true, time, content: content.clone() });
        id
    }

    /// Any bytes, as any member can send them; Maria's app takes in what it can read.
    fn mallory_says(&mut self, bytes: &[u8]) -> MessageId {
        let id = self.mallory.send(&self.group, bytes).unwrap();
        self.hub.sync(&mut self.mallory).unwrap();
        for event in self.hub.sync(&mut self.maria).unwrap() {
            let EventKind::Message { id, user, content, .. } = event.what else { continue };
            let view = self.maria.group(&self.group).unwrap();
            let moderates = view.state().user(&user).is_some_and(|user| user.role >= Role::Admin);
            let time = view.state().time();
            match Content::from_bytes(&content) {
                Ok(content) => {
                    self.conversation.insert(Posted { id, seq: event.seq, user, moderates, time, content });
                }
                Err(error) => self.refused.push(error.kind()),
            }
        }
        id
    }

    /// What Maria's app shows: of each message its text, and who reacted and voted.
    fn screen(&self) -> Vec<String> {
        let drawn = self.conversation.messages().map(|view| {
            let shown = view.content.map_or("(deleted)".to_owned(), Content::fallback);
            let votes = view.tally.map(|tally| (tally.closed, tally.votes.iter().map(|v| v.len()).collect::<Vec<_>>()));
            format!("{}: {shown} {:?} {:?} {votes:?}", view.user.name(), view.reactions, view.receipts)
        });
        drawn.collect()
    }
}

/// One array head after another, with nothing in them; claims of lengths that are not there; and well-formed CBOR that is
/// no content. Sent as real messages, authentic and encrypted.
#[test]
fn row_13_bombs_in_content_are_refused_and_the_group_goes_on() {
    let mut talk = Talk::new();
    talk.maria_says(&Content::text("hello"));
    let good = Content::text("x").with_salt([0; 16]).to_bytes();
    let nest = |levels: usize| {
        let part =
            (0..levels).fold(Part::null(), |part, _| Part::choose_one(Disposition::RENDER, vec![part, Part::null()]));
        Content::new(part).to_bytes()
    };
    let wide = Body::Multi { semantics: Semantics::ProcessAll, parts: vec![Part::null(); 10_000] };
    let wide = Content::new(Part { disposition: Disposition::RENDER, language: String::new(), body: wide }).to_bytes();
    let extension = |value: &[u8]| {
        let head = [&good[..good.iter().position(|byte| *byte == 0xa0).unwrap()], &[0xa1, 0x01]].concat();
        [&head, value, &good[head.len() - 1..]].concat()
    };
    let bombs: Vec<(&str, Vec<u8>)> = vec![
        ("arrays in arrays", vec![0x81; 60_000]),
        ("maps in maps", [&good[..21], &[0xa1, 0x01].repeat(30_000)[..]].concat()),
        ("a list of 2^64 parts", [&good[..22], b"\x85\x01\x60\x03\x00\x9b\xff\xff\xff\xff\xff\xff\xff\xff"].concat()),
        ("a text of 2^64 bytes", [&good[..22], b"\x85\x01\x7b\xff\xff\xff\xff\xff\xff\xff\xff"].concat()),
        ("an extension of arrays in arrays", extension(&[vec![0x81; 50_000], vec![0x00]].concat())),
        ("an extension that never ends", extension(&[0x9f; 50_000])),
        ("ten levels", nest(10)),
        ("a thousand levels", nest(1_000)),
        ("ten thousand parts", wide),
        ("nothing", vec![]),
        ("a text of another app", b"hello".to_vec()),
    ];
    let count = bombs.len();
    for (what, bomb) in bombs {
        assert!(Content::from_bytes(&bomb).is_err(), "{what}");
        talk.mallory_says(&bomb);
    }
    assert_eq!(talk.refused.len(), count);
    // The control: what is well within the bounds is read, and the group goes on.
    talk.mallory_says(&nest(limits::CONTENT_DEPTH));
    talk.mallory_says(&extension(&[vec![0x81; 4_000], vec![0x00]].concat()));
    assert_eq!((talk.refused.len(), talk.conversation.len()), (count, 3));
    talk.maria_says(&Content::text("still here"));
    assert!(talk.screen().last().unwrap().starts_with("maria: still here"));
}

#[test]
fn row_01_a_member_cannot_change_what_others_said() {
    let mut talk = Talk::new();
    let text = talk.maria_says(&Content::text("I will pay"));
    let poll = Poll::new("Where to?", &["Beach", "Mountains"], Choices::One).unwrap();
    let asked = talk.maria_says(&Content::poll(&poll));
    let vote = talk.maria_says(&Content::vote(asked, &poll, &[0]).unwrap());
    let liked = talk.maria_says(&Content::reaction(text, "👍").unwrap());
    let before = talk.screen();
    let everything: Vec<Content> = [text, asked, vote, liked]
        .into_iter()
        .flat_map(|id| {
            [
                Content::text("I will not pay").replacing(id),
                Content::deletion(id),
                Content::reaction(text, "👎").unwrap().replacing(id),
                Content::poll(&poll).replacing(id),
                Content::vote(asked, &poll, &[1]).unwrap().replacing(id),
                Content::deletion(id).expiring(Expiry::At(1)).reply_to(id),
                Content::receipts(&[Receipt { message: id, status: Status::Read }]).unwrap(),
                Content::receipts(&[Receipt { message: asked, status: Status::Read }]).unwrap().replacing(id),
                Content::close(asked).replacing(id),
            ]
        })
        .chain([Content::close(asked), Content::close(vote)])
        .collect();
    for content in &everything {
        talk.mallory_says(&content.to_bytes());
    }
    let seen = talk.conversation.messages().next().unwrap().receipts.len();
    assert_eq!(seen, 1, "its own receipts count, as its own word");
    let without_receipts = |screen: Vec<String>| -> Vec<String> {
        let own = "UserUri(mimi://a.example/u/mallory): Read";
        screen.into_iter().map(|line| line.replace(own, "")).collect()
    };
    assert_eq!(without_receipts(talk.screen()), before);
    assert_eq!(talk.conversation.expired(convivio::Timestamp(u64::MAX), |_| Some(convivio::Timestamp(0))), []);
    // The control: the same, by Maria, does all of it.
    talk.maria_says(&Content::text("I will not pay").replacing(text));
    talk.maria_says(&Content::deletion(liked));
    talk.maria_says(&Content::close(asked));
    let after = talk.screen();
    assert!(after[0].contains("I will not pay") && !after[0].contains("👍"), "{after:?}");
    assert!(after[1].contains("Some((Some("), "{after:?}");
}

/// Votes for options that are not there, twice, in polls that are none; huge polls; replies in circles.
#[test]
fn row_13_senseless_votes_and_polls_are_shown_harmlessly() {
    let mut talk = Talk::new();
    let poll = Poll::new("Where to?", &["Beach", "Mountains"], Choices::One).unwrap();
    let asked = talk.maria_says(&Content::poll(&poll));
    let by_hand = |bytes: &[u8], kind: &str| {
        let parts = vec![Part::new(kind, bytes), Part::new("text/plain", "a vote")];
        Content::new(Part::choose_one(Disposition::RENDER, parts)).reply_to(asked)
    };
    const VOTE: &str = "application/vnd.convivio.vote+cbor";
    const POLL: &str = "application/vnd.convivio.poll+cbor";
    for bytes in [&b"\x81\x02"[..], b"\x81\x18\xff", b"\x82\x00\x01", b"\x82\x00\x00", b"\x82\x01\x00"] {
        talk.mallory_says(&by_hand(bytes, VOTE).to_bytes());
    }
    let tally = |talk: &Talk| {
        let votes = talk.conversation.message(&asked).unwrap().tally.unwrap().votes;
        votes.iter().map(|users| users.len()).collect::<Vec<_>>()
    };
    assert_eq!(tally(&talk), [0, 0]);
    assert_eq!(talk.conversation.messages().count(), 1, "votes that do not count are no messages");

    // What is no vote or poll at all is a message with its text.
    let many: Vec<u8> =
        [&b"\x84\x61?\x98\x41"[..], &(0..65).flat_map(|n| [0x61, b'0' + n]).collect::<Vec<u8>>(), b"\xf5\xf6"].concat();
    let odd: [(&[u8], &str); 7] = [
        (b"", VOTE),
        (b"\x81\x19\x01\x00", VOTE),
        (b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff", VOTE),
        (b"\x84\x61?\x81\x61a\xf4\xf6", POLL),
        (b"\x84\x61?\x82\x61a\x61a\xf4\xf6", POLL),
        (b"\x84\x61?\x82\x61a\x64b\xe2\x80\xae\xf4\xf6", POLL),
        (&many, POLL),
    ];
    for (n, (bytes, kind)) in odd.into_iter().enumerate() {
        let content = by_hand(bytes, kind);
        assert!(matches!(content.kind(), Kind::Custom { .. }), "{bytes:?}");
        talk.mallory_says(&content.to_bytes());
        assert_eq!(talk.conversation.messages().count(), n + 2);
        assert!(talk.screen().last().unwrap().starts_with("mallory: a vote"));
    }
    // The control.
    talk.mallory_says(&Content::vote(asked, &poll, &[1]).unwrap().to_bytes());
    assert_eq!(tally(&talk), [0, 1]);
}

/// Thousands of messages about one message. Nothing here finishes in a test's time if each is compared with each.
#[test]
fn row_15_a_flood_about_one_message_is_read_in_bounded_time() {
    let user = |name: &str| format!("mimi://a.example/u/{name}").parse().unwrap();
    let id = |n: u64| MessageId::from_bytes(core::array::from_fn(|at| if at < 8 { n.to_be_bytes()[at] } else { 0 }));
    let poll = Poll::new("?", &["a", "b"], Choices::One).unwrap();
    let mut all = Conversation::new();
    let say = |all: &mut Conversation, n: u64, content: Content| {
        let time = convivio::Timestamp(0);
        all.insert(Posted { id: id(n), seq: n, user: user("mallory"), moderates: false, time, content });
    };
    say(&mut all, 0, Content::poll(&poll));
    for n in (1..40_000).step_by(4) {
        say(&mut all, n, Content::vote(id(0), &poll, &[1]).unwrap());
        say(&mut all, n + 1, Content::reaction(id(0), &n.to_string()).unwrap());
        say(&mut all, n + 2, Content::deletion(id(n)));
        say(&mut all, n + 3, Content::text("x").reply_to(id(0)).replacing(id(n + 3)));
    }
    let view = all.message(&id(0)).unwrap();
    assert_eq!(view.reactions.len(), limits::REACTIONS);
    assert!(view.tally.unwrap().votes.iter().all(|users| users.is_empty()), "each vote was taken back");
    assert_eq!(all.messages().count(), 1);
    all.purge([id(0)]);
    assert_eq!(all.messages().count(), 0);
}
