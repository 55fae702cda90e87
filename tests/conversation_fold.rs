//! What was said adds up: each rule of `docs/protocol.md`, section 11.5, by itself.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test says what went wrong by failing")]

use allocation_counter::measure;
use convivio::content::{
    Body, Choices, Content, Conversation, Disposition, Expiry, Part, Poll, Posted, Receipt, Status,
};
use convivio::identity::UserUri;
use convivio::{ErrorKind, MessageId, Timestamp, limits};

fn user(name: &str) -> UserUri {
    format!("mimi://a.example/u/{name}").parse().unwrap()
}

fn id(n: u8) -> MessageId {
    MessageId::from_bytes([n; 32])
}

/// Message `n` at place `n` of the log.
fn posted(n: u8, by: &str, content: Content) -> Posted {
    let moderates = by == "admin";
    Posted { id: id(n), seq: n.into(), user: user(by), moderates, time: Timestamp(u64::from(n) * 10), content }
}

fn conversation(all: impl IntoIterator<Item = Posted>) -> Conversation {
    let mut conversation = Conversation::new();
    for posted in all {
        conversation.insert(posted);
    }
    conversation
}

fn shown(conversation: &Conversation, n: u8) -> Option<String> {
    conversation.message(&id(n)).unwrap().content.map(Content::fallback)
}

fn poll() -> Poll {
    Poll::new("Where to?", &["Beach", "Mountains", "Home"], Choices::Many).unwrap()
}

fn voters(conversation: &Conversation, n: u8) -> Vec<Vec<&str>> {
    let tally = conversation.message(&id(n)).unwrap().tally.unwrap();
    tally.votes.iter().map(|users| users.iter().map(|user| user.name()).collect()).collect()
}

#[test]
fn the_author_edits_and_nobody_else() {
    let mut all = conversation([
        posted(1, "ada", Content::text("helo")),
        posted(2, "ada", Content::text("hello").replacing(id(1))),
        posted(3, "bob", Content::text("goodbye").replacing(id(1))),
        posted(4, "admin", Content::text("moderated").replacing(id(1))),
    ]);
    assert_eq!(shown(&all, 1).unwrap(), "hello");
    assert!(all.message(&id(1)).unwrap().edited);
    assert_eq!(all.messages().count(), 1, "edits are not messages of their own");
    all.insert(posted(5, "ada", Content::text("hello!").replacing(id(1))));
    assert_eq!(shown(&all, 1).unwrap(), "hello!");
    // Taking an edit back shows the one before.
    all.insert(posted(6, "ada", Content::deletion(id(5))));
    assert_eq!(shown(&all, 1).unwrap(), "hello");
}

#[test]
fn the_author_and_admins_delete_and_nothing_brings_it_back() {
    let text = || posted(1, "ada", Content::text("oops"));
    assert!(shown(&conversation([text(), posted(2, "bob", Content::deletion(id(1)))]), 1).is_some());
    for by in ["ada", "admin"] {
        let late = posted(3, "ada", Content::text("again").replacing(id(1)));
        let all = conversation([text(), posted(2, by, Content::deletion(id(1))), late]);
        let message = all.message(&id(1)).unwrap();
        assert!(message.content.is_none() && message.reactions.is_empty());
    }
}

#[test]
fn a_deletion_or_edit_may_come_before_what_it_is_about() {
    let late = [
        posted(3, "ada", Content::deletion(id(1))),
        posted(2, "ada", Content::text("second").replacing(id(1))),
        posted(1, "ada", Content::text("first")),
    ];
    assert_eq!(shown(&conversation(late), 1), None);
}

#[test]
fn reactions_are_counted_by_user_changed_and_taken_back() {
    let mut all = conversation([
        posted(1, "ada", Content::text("hi")),
        posted(2, "bob", Content::reaction(id(1), "👍").unwrap()),
        posted(3, "bob", Content::reaction(id(1), "👍").unwrap()),
        posted(4, "cem", Content::reaction(id(1), "👎").unwrap()),
    ]);
    let counts = |all: &Conversation| -> Vec<(String, usize)> {
        let message = all.message(&id(1)).unwrap();
        message.reactions.iter().map(|(with, users)| ((*with).to_owned(), users.len())).collect()
    };
    assert_eq!(counts(&all), [("👍".to_owned(), 1), ("👎".to_owned(), 1)]);
    all.insert(posted(5, "cem", Content::reaction(id(1), "👍").unwrap().replacing(id(4))));
    assert_eq!(counts(&all), [("👍".to_owned(), 2)]);
    all.insert(posted(6, "cem", Content::deletion(id(4))));
    all.insert(posted(7, "ada", Content::deletion(id(2))));
    assert_eq!(counts(&all), [("👍".to_owned(), 1)], "one takes back one's own only");
    // What looks the same is the same, as the first of them has it.
    all.insert(posted(9, "dia", Content::reaction(id(1), "👍\u{fe0f}").unwrap()));
    all.insert(posted(10, "bob", Content::reaction(id(1), "👍\u{fe0f}").unwrap()));
    assert_eq!(counts(&all), [("👍".to_owned(), 2)]);
    all.insert(posted(8, "eva", Content::reaction(id(1), "👍\u{fe0f}").unwrap()));
    assert_eq!(counts(&all), [("👍".to_owned(), 3)]);
}

#[test]
fn the_last_vote_counts_and_late_or_senseless_ones_do_not() {
    let vote = |options: &[usize]| Content::vote(id(1), &poll(), options).unwrap();
    let other = Poll::new("?", &["a", "b", "c", "d"], Choices::Many).unwrap();
    let mut all = conversation([
        posted(1, "ada", Content::poll(&poll())),
        posted(2, "bob", vote(&[0])),
        posted(3, "bob", vote(&[1, 2])),
        posted(4, "cem", vote(&[0])),
        posted(5, "cem", Content::vote(id(1), &other, &[3]).unwrap()),
        posted(6, "dia", vote(&[0])),
        posted(7, "dia", vote(&[])),
        posted(8, "eva", Content::close(id(1))),
    ]);
    assert_eq!(voters(&all, 1), [vec!["cem"], vec!["bob"], vec!["bob"]]);
    assert_eq!(all.message(&id(1)).unwrap().tally.unwrap().closed, None, "eva may not close it");
    all.insert(posted(9, "ada", Content::close(id(1))));
    all.insert(posted(10, "eva", vote(&[2])));
    assert_eq!(voters(&all, 1), [vec!["cem"], vec!["bob"], vec!["bob"]]);
    assert_eq!(all.message(&id(1)).unwrap().tally.unwrap().closed, Some(9));
    // An admin's word that stands earlier in the log, and comes later, closes it earlier.
    let mut early = posted(11, "admin", Content::close(id(1)));
    early.seq = 3;
    all.insert(early);
    assert_eq!(voters(&all, 1), [vec!["bob"], vec![], vec![]]);
}

#[test]
fn a_poll_closes_by_the_groups_time_and_no_clock() {
    let vote = || Content::vote(id(1), &poll(), &[0]).unwrap();
    let closing = poll().closing_at(Timestamp(35));
    let all = conversation([
        posted(1, "ada", Content::poll(&closing)),
        posted(3, "bob", vote()),
        posted(4, "cem", vote()),
        posted(5, "dia", vote()),
    ]);
    assert_eq!(voters(&all, 1), [vec!["bob"], vec![], vec![]]);
    let tally = all.message(&id(1)).unwrap().tally.unwrap();
    assert_eq!(tally.closed, None, "nobody has closed it");
    assert!(!tally.is_closed(Timestamp(34)) && tally.is_closed(Timestamp(35)), "but its time has come");
}

#[test]
fn a_vote_taken_back_is_none_and_a_closing_is_not_taken_back() {
    let vote = |options: &[usize]| Content::vote(id(1), &poll(), options).unwrap();
    let mut all = conversation([
        posted(1, "ada", Content::poll(&poll())),
        posted(2, "bob", vote(&[0])),
        posted(3, "bob", vote(&[1])),
        posted(4, "bob", Content::deletion(id(3))),
        posted(5, "ada", Content::close(id(1))),
        posted(6, "ada", Content::deletion(id(5))),
        posted(7, "cem", vote(&[2])),
    ]);
    assert_eq!(voters(&all, 1), [vec!["bob"], vec![], vec![]], "the vote before it counts again");
    // A vote in place of another message is none, nor is one for another poll, whatever it replaces.
    all.insert(posted(2, "dia", vote(&[2]).replacing(id(9))));
    assert_eq!(voters(&all, 1), [vec!["bob"], vec![], vec![]]);
}

#[test]
fn polls_are_neither_edited_nor_made_by_editing() {
    let other = Poll::new("Where not to?", &["Beach", "Mountains", "Home"], Choices::Many).unwrap();
    let all = conversation([
        posted(1, "ada", Content::poll(&poll())),
        posted(2, "ada", Content::poll(&other).replacing(id(1))),
        posted(3, "ada", Content::text("never mind").replacing(id(1))),
        posted(4, "ada", Content::text("hi")),
        posted(5, "ada", Content::poll(&other).replacing(id(4))),
    ]);
    assert!(shown(&all, 1).unwrap().starts_with("Where to?"));
    assert_eq!(shown(&all, 4).unwrap(), "hi");
}

#[test]
fn one_user_cannot_fill_the_screen_with_reactions() {
    let many = |n: u8| posted(n, "bob", Content::reaction(id(1), &format!("no. {n}")).unwrap());
    let all = conversation([posted(1, "ada", Content::text("hi"))].into_iter().chain((2..60).map(many)));
    let reactions = all.message(&id(1)).unwrap().reactions;
    assert_eq!(reactions.len(), limits::REACTIONS);
    assert!(reactions.contains_key("no. 2") && !reactions.contains_key("no. 59"), "the first ones");
    // What does not fit a reaction is a message, and no sender here makes one.
    let long = "x".repeat(limits::REACTION + 1);
    for bad in ["", " ", "a\u{202e}b", "a\nb", long.as_str()] {
        assert_eq!(Content::reaction(id(1), bad).unwrap_err().kind(), ErrorKind::Malformed);
    }
}

#[test]
fn receipts_are_each_users_own_word() {
    let receipt = |status| Content::receipts(&[Receipt { message: id(1), status }]).unwrap();
    let all = conversation([
        posted(1, "ada", Content::text("hi")),
        posted(2, "bob", receipt(Status::Read)),
        posted(3, "bob", receipt(Status::Delivered)),
        posted(4, "cem", receipt(Status::Delivered)),
        posted(5, "ada", receipt(Status::Read)),
    ]);
    let message = all.message(&id(1)).unwrap();
    assert_eq!(message.receipts, [(&user("bob"), Status::Read), (&user("cem"), Status::Delivered)].into());
    assert_eq!(all.messages().count(), 1);
}

#[test]
fn circles_end() {
    let all = conversation([
        posted(1, "ada", Content::text("a").replacing(id(2)).reply_to(id(3))),
        posted(2, "ada", Content::text("b").replacing(id(1)).reply_to(id(2))),
        posted(3, "ada", Content::text("c").reply_to(id(3))),
        posted(4, "ada", Content::deletion(id(4))),
        posted(5, "ada", Content::reaction(id(5), "x").unwrap().replacing(id(5))),
    ]);
    assert_eq!(all.messages().count(), 1);
    assert_eq!(shown(&all, 3).unwrap(), "c");
}

/// A message with an edit, a reaction, a receipt and a reply.
fn about_to_end(expires: Expiry) -> Conversation {
    conversation([
        posted(1, "ada", Content::text("first words").expiring(expires)),
        posted(2, "ada", Content::text("second words").replacing(id(1)).expiring(Expiry::At(u32::MAX))),
        posted(3, "bob", Content::text("third words").replacing(id(1)).expiring(Expiry::At(u32::MAX))),
        posted(4, "bob", Content::reaction(id(1), "a mark").unwrap()),
        posted(5, "bob", Content::receipts(&[Receipt { message: id(1), status: Status::Read }]).unwrap()),
        posted(6, "cem", Content::text("I answer").reply_to(id(1))),
    ])
}

fn holds(conversation: &Conversation, words: &str) -> bool {
    conversation.to_bytes().windows(words.len()).any(|window| window == words.as_bytes())
}

#[test]
fn a_message_ends_when_it_said_so_first() {
    let never = |_: &MessageId| None;
    let all = about_to_end(Expiry::At(50));
    assert_eq!(all.expired(Timestamp(49), never), []);
    assert_eq!(all.next_end(never), Some(Timestamp(50)));
    assert_eq!(all.expired(Timestamp(50), never), [id(1)], "neither its author's edit nor anybody's extends it");

    // From when it was first shown here, and from no other time.
    let all = about_to_end(Expiry::AfterReading(50));
    assert_eq!((all.next_end(never), all.expired(Timestamp(u64::MAX), never)), (None, vec![]));
    let shown = |message: &MessageId| (*message == id(1)).then_some(Timestamp(1_000));
    assert_eq!(all.next_end(shown), Some(Timestamp(1_050)));
    assert_eq!(all.expired(Timestamp(1_049), shown), []);
    assert_eq!(all.expired(Timestamp(1_050), shown), [id(1)]);
}

#[test]
fn what_has_ended_leaves_nothing_behind_and_does_not_come_back() {
    let mut all = about_to_end(Expiry::At(50));
    for words in ["first words", "second words", "third words", "a mark"] {
        assert!(holds(&all, words), "or the test looks for the wrong words");
    }
    all.purge([id(1)]);
    for words in ["first words", "second words", "third words", "a mark"] {
        assert!(!holds(&all, words), "{words}");
    }
    assert!(all.message(&id(1)).is_none());
    assert_eq!(all.message(&id(6)).unwrap().in_reply_to, Some(id(1)), "the answer stays");
    assert_eq!(all.len(), 1);
    // Again from the log, and late edits of it: also after a restart.
    let mut all = Conversation::from_bytes(&all.to_bytes()).unwrap();
    assert!(!all.insert(posted(1, "ada", Content::text("first words").expiring(Expiry::At(50)))));
    all.insert(posted(7, "ada", Content::text("second words again").replacing(id(1))));
    all.insert(posted(8, "eva", Content::reaction(id(1), "a mark").unwrap()));
    assert!(!holds(&all, "first words") && !holds(&all, "again") && !holds(&all, "a mark"));
    assert_eq!(all.len(), 1);
}

#[test]
fn a_poll_ends_with_its_votes() {
    let mut all = conversation([
        posted(1, "ada", Content::poll(&poll()).expiring(Expiry::At(50))),
        posted(2, "bob", Content::vote(id(1), &poll(), &[0]).unwrap()),
        // A vote's own end means nothing: it would tell who was there to see it.
        posted(3, "cem", Content::vote(id(1), &poll(), &[1]).unwrap().expiring(Expiry::At(1))),
        posted(4, "ada", Content::close(id(1))),
    ]);
    assert_eq!(all.expired(Timestamp(49), |_| None), []);
    assert_eq!(voters(&all, 1), [vec!["bob"], vec!["cem"], vec![]]);
    all.purge(all.expired(Timestamp(50), |_| None));
    assert!(all.is_empty());
}

#[test]
fn what_is_deleted_can_be_erased() {
    let mut all = about_to_end(Expiry::At(50));
    all.insert(posted(7, "ada", Content::deletion(id(1))));
    all.insert(posted(8, "bob", Content::deletion(id(4))));
    assert!(holds(&all, "first words"));
    assert_eq!(all.erase_deleted(), 2);
    for words in ["first words", "second words", "third words", "a mark"] {
        assert!(!holds(&all, words), "{words}");
    }
    let all = &mut Conversation::from_bytes(&all.to_bytes()).unwrap();
    assert_eq!((shown(all, 1), all.messages().count()), (None, 2), "it is still shown as deleted");
    assert_eq!(all.erase_deleted(), 0);
    assert!(!all.insert(posted(1, "ada", Content::text("first words"))), "and does not come back");
    assert_eq!(shown(all, 1), None);
}

#[test]
fn chains_of_replies_end() {
    let mut all = conversation((2..200).map(|n| posted(n, "ada", Content::text("and").reply_to(id(n - 1)))));
    assert_eq!(all.ancestors(&id(4)), [id(3), id(2), id(1)], "even one that is not held is told");
    assert_eq!(all.ancestors(&id(190)).len(), limits::ANCESTORS);
    // In circles, of one and of two.
    all.insert(posted(201, "ada", Content::text("a").reply_to(id(201))));
    all.insert(posted(202, "ada", Content::text("b").reply_to(id(203))));
    all.insert(posted(203, "ada", Content::text("c").reply_to(id(202)).in_topic(b"circles")));
    assert_eq!(all.ancestors(&id(201)), []);
    assert_eq!(all.ancestors(&id(202)), [id(203)]);
    // An edit does not move a message elsewhere.
    all.insert(posted(204, "ada", Content::text("d").reply_to(id(5)).replacing(id(3)).in_topic(b"circles")));
    assert_eq!(all.ancestors(&id(3)), [id(2), id(1)]);
    let ids = |views: Vec<convivio::content::MessageView<'_>>| views.iter().map(|view| view.id).collect::<Vec<_>>();
    assert_eq!(ids(all.replies(&id(2)).collect()), [id(3)]);
    assert_eq!(ids(all.in_topic(b"circles").collect()), [id(203)]);
}

#[test]
fn receipts_are_due_once_and_in_as_few_messages_as_can_be() {
    let mut all = conversation((1..=250).map(|n| posted(n, if n == 250 { "bob" } else { "ada" }, Content::text("hi"))));
    all.insert(posted(251, "ada", Content::deletion(id(1))));
    all.insert(posted(252, "cem", Content::reaction(id(2), "x").unwrap()));
    let every = || (0..=255).map(id);
    let due = |all: &Conversation, status| all.receipts_due(&user("bob"), status, every()).unwrap();
    let delivered = due(&all, Status::Delivered);
    // Neither one's own, nor deleted, unknown ones, or what only refers to others.
    let [one] = delivered.as_slice() else { panic!("{} messages", delivered.len()) };
    let convivio::content::Kind::Receipts(receipts) = one.kind() else { panic!("{one:?}") };
    assert_eq!(receipts.len(), 248);
    all.insert(posted(253, "bob", one.clone()));
    assert_eq!(all.message(&id(7)).unwrap().receipts, [(&user("bob"), Status::Delivered)].into());
    assert_eq!(due(&all, Status::Delivered), [], "not twice");
    assert_eq!(due(&all, Status::Read).len(), 1, "but more can be said");
    let too_many = [Receipt { message: id(1), status: Status::Read }; limits::RECEIPTS + 1];
    assert_eq!(Content::receipts(&too_many).unwrap_err().kind(), ErrorKind::Limit);
    // What a later version may say is kept, counts for nothing, and is no message.
    let other = Content::receipts(&[Receipt { message: id(7), status: Status::Other(5) }]).unwrap();
    all.insert(posted(254, "cem", Content::from_bytes(&other.to_bytes()).unwrap()));
    assert_eq!(all.message(&id(7)).unwrap().receipts.len(), 1);
    assert!(all.message(&id(254)).is_none());
}

/// What counts as itself, and what as an edit: nothing is both, or it would count here and be erased there.
#[test]
fn what_replaces_a_message_neither_closes_nor_receives() {
    let read = Content::receipts(&[Receipt { message: id(1), status: Status::Read }]).unwrap();
    let all = [
        posted(1, "ada", Content::poll(&poll())),
        posted(2, "ada", Content::text("x").expiring(Expiry::At(50))),
        posted(3, "bob", Content::text("y").expiring(Expiry::At(50))),
        posted(4, "ada", Content::close(id(1)).replacing(id(2))),
        posted(5, "bob", read.clone().replacing(id(3))),
        posted(6, "bob", Content::vote(id(1), &poll(), &[1]).unwrap()),
        posted(7, "ada", Content::deletion(id(2))),
    ];
    let poll_of = |all: &Conversation| {
        let view = all.message(&id(1)).unwrap();
        let votes: Vec<usize> = voters(all, 1).iter().map(Vec::len).collect();
        (view.receipts.len(), view.tally.unwrap().closed, votes)
    };
    let open = (0, None, vec![0, 1, 0]);
    let mut all = conversation(all);
    assert_eq!(poll_of(&all), open);
    all.erase_deleted();
    all.purge(all.expired(Timestamp(50), |_| None));
    assert_eq!(poll_of(&all), open, "and nothing of that is changed by what is erased");
    // The control: the same that replace nothing. And as an edit it is taken back like any other.
    all.insert(posted(8, "bob", read));
    all.insert(posted(9, "ada", Content::close(id(1))));
    assert_eq!(poll_of(&all), (1, Some(9), open.2));
    all.insert(posted(10, "ada", Content::text("z")));
    all.insert(posted(11, "ada", Content::close(id(1)).replacing(id(10))));
    assert_eq!(shown(&all, 10).unwrap(), "The poll is closed.");
    all.insert(posted(12, "ada", Content::deletion(id(11))));
    assert_eq!(shown(&all, 10).unwrap(), "z");
}

#[test]
fn what_was_erased_keeps_its_place_and_its_end() {
    let middle = posted(5, "bob", Content::text("middle").reply_to(id(1)).in_topic(b"t").expiring(Expiry::At(50)));
    let mut all = conversation([
        posted(1, "ada", Content::text("root").in_topic(b"t")),
        middle.clone(),
        posted(6, "ada", Content::text("leaf").reply_to(id(5)).in_topic(b"t")),
        posted(7, "bob", Content::deletion(id(5))),
    ]);
    assert_eq!(all.erase_deleted(), 1);
    assert!(!holds(&all, "middle"));
    let place = |all: &Conversation| (all.ancestors(&id(6)), all.replies(&id(1)).count(), all.in_topic(b"t").count());
    assert_eq!(place(&all), (vec![id(5), id(1)], 1, 3));
    assert_eq!(all, Conversation::from_bytes(&all.to_bytes()).unwrap(), "a restart changes nothing");
    // The same message at an earlier place stands there once.
    assert!(all.insert(Posted { seq: 3, ..middle }));
    assert_eq!((place(&all), all.erase_deleted()), ((vec![id(5), id(1)], 1, 3), 1));
    // What came too late to be erased with it is erased the next time.
    all.insert(posted(8, "bob", Content::text("middle again").replacing(id(5))));
    assert!(holds(&all, "again"));
    all.erase_deleted();
    assert!(!holds(&all, "again"));
    assert_eq!(all.expired(Timestamp(50), |_| None), [id(5)]);
    all.purge([id(5)]);
    assert_eq!(place(&all), (vec![id(5)], 0, 2));
}

fn wide(a: u8, n: u32) -> MessageId {
    let mut bytes = [a; 32];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    MessageId::from_bytes(bytes)
}

/// Receipts of many messages, behind other parts that only look like receipts.
#[test]
fn looking_at_messages_reads_nothing_again() {
    let ids: Vec<MessageId> = (0..256).map(|n| wide(1, n)).collect();
    let receipts: Vec<Receipt> = ids.iter().map(|id| Receipt { message: *id, status: Status::Read }).collect();
    let good = Content::receipts(&receipts).unwrap().part;
    let Body::Single { media_type, mut bytes } = good.body.clone() else { panic!("{good:?}") };
    *bytes.last_mut().unwrap() = 0xff;
    let parts = [vec![Part::new(media_type, bytes); 5], vec![good]].concat();
    let heavy = Content::new(Part::choose_one(Disposition::UNSPECIFIED, parts));
    let mut all = Conversation::new();
    for (id, seq) in ids.iter().zip(0..) {
        all.insert(Posted { id: *id, seq, ..posted(1, "ada", Content::text("hi")) });
    }
    let said = measure(|| {
        for n in 0..40 {
            all.insert(Posted { id: wide(2, n), seq: 1_000, ..posted(1, "mallory", heavy.clone()) });
        }
    });
    assert!(said.bytes_total > 40 * 6 * 8_000, "reading them once takes memory, so that this test can see it");
    let seen = measure(|| assert!(all.messages().all(|view| view.receipts.len() == 1)));
    assert!(seen.bytes_total < said.bytes_total / 4, "{} bytes to look at all, {}", seen.bytes_total, said.bytes_total);
}

#[test]
fn what_is_held_is_a_few_times_what_was_sent() {
    let mut all = Conversation::new();
    let mut sent = 0;
    let held = measure(|| {
        for k in 0..100 {
            let receipt = |n| Receipt { message: wide(7, k * 256 + n), status: Status::Read };
            let content = Content::receipts(&(0..256).map(receipt).collect::<Vec<_>>()).unwrap();
            sent += i64::try_from(content.to_bytes().len()).unwrap();
            all.insert(Posted { id: wide(2, k), ..posted(1, "mallory", content) });
        }
    });
    assert!(held.bytes_current < 6 * sent, "{} bytes for {sent}", held.bytes_current);
}
