//! What was said adds up to the same on every device: in any order, however often, across restarts.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test says what went wrong by failing")]

use convivio::content::{Choices, Content, Conversation, Poll, Posted, Receipt, Status};
use convivio::identity::UserUri;
use convivio::{MessageId, Timestamp};
use proptest::prelude::*;
use proptest::sample::Index;

fn user(name: &str) -> UserUri {
    format!("mimi://a.example/u/{name}").parse().unwrap()
}

fn id(n: u8) -> MessageId {
    MessageId::from_bytes([n; 32])
}

/// Message `n` at place `n` of the log.
fn said(n: u8, by: &str, content: Content) -> Posted {
    let moderates = by == "admin";
    Posted { id: id(n), seq: n.into(), user: user(by), moderates, time: Timestamp(u64::from(n) * 10), content }
}

fn conversation(said: impl IntoIterator<Item = Posted>) -> Conversation {
    let mut conversation = Conversation::new();
    for said in said {
        conversation.insert(said);
    }
    conversation
}

fn shown(conversation: &Conversation, n: u8) -> Option<String> {
    conversation.message(&id(n)).unwrap().content.map(Content::fallback)
}

/// What an app would draw, as text to compare.
fn drawn(conversation: &Conversation) -> String {
    conversation.messages().map(|message| format!("{message:?}\n")).collect()
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
        said(1, "ada", Content::text("helo")),
        said(2, "ada", Content::text("hello").replacing(id(1))),
        said(3, "bob", Content::text("goodbye").replacing(id(1))),
        said(4, "admin", Content::text("moderated").replacing(id(1))),
    ]);
    assert_eq!(shown(&all, 1).unwrap(), "hello");
    assert!(all.message(&id(1)).unwrap().edited);
    assert_eq!(all.messages().count(), 1, "edits are not messages of their own");
    all.insert(said(5, "ada", Content::text("hello!").replacing(id(1))));
    assert_eq!(shown(&all, 1).unwrap(), "hello!");
    // Taking an edit back shows the one before.
    all.insert(said(6, "ada", Content::deletion(id(5))));
    assert_eq!(shown(&all, 1).unwrap(), "hello");
}

#[test]
fn the_author_and_admins_delete_and_nothing_brings_it_back() {
    let text = || said(1, "ada", Content::text("oops"));
    assert!(shown(&conversation([text(), said(2, "bob", Content::deletion(id(1)))]), 1).is_some());
    for by in ["ada", "admin"] {
        let late = said(3, "ada", Content::text("again").replacing(id(1)));
        let all = conversation([text(), said(2, by, Content::deletion(id(1))), late]);
        let message = all.message(&id(1)).unwrap();
        assert!(message.content.is_none() && message.reactions.is_empty());
    }
}

#[test]
fn a_deletion_or_edit_may_come_before_what_it_is_about() {
    let late = [
        said(3, "ada", Content::deletion(id(1))),
        said(2, "ada", Content::text("second").replacing(id(1))),
        said(1, "ada", Content::text("first")),
    ];
    assert_eq!(shown(&conversation(late), 1), None);
}

#[test]
fn reactions_are_counted_by_user_changed_and_taken_back() {
    let mut all = conversation([
        said(1, "ada", Content::text("hi")),
        said(2, "bob", Content::reaction(id(1), "👍")),
        said(3, "bob", Content::reaction(id(1), "👍")),
        said(4, "cem", Content::reaction(id(1), "👎")),
    ]);
    let counts = |all: &Conversation| -> Vec<(String, usize)> {
        let message = all.message(&id(1)).unwrap();
        message.reactions.iter().map(|(with, users)| ((*with).to_owned(), users.len())).collect()
    };
    assert_eq!(counts(&all), [("👍".to_owned(), 1), ("👎".to_owned(), 1)]);
    all.insert(said(5, "cem", Content::reaction(id(1), "👍").replacing(id(4))));
    assert_eq!(counts(&all), [("👍".to_owned(), 2)]);
    all.insert(said(6, "cem", Content::deletion(id(4))));
    all.insert(said(7, "ada", Content::deletion(id(2))));
    assert_eq!(counts(&all), [("👍".to_owned(), 1)], "one takes back one's own only");
}

#[test]
fn the_last_vote_counts_and_late_or_senseless_ones_do_not() {
    let vote = |options: &[usize]| Content::vote(id(1), &poll(), options).unwrap();
    let other = Poll::new("?", &["a", "b", "c", "d"], Choices::Many).unwrap();
    let mut all = conversation([
        said(1, "ada", Content::poll(&poll())),
        said(2, "bob", vote(&[0])),
        said(3, "bob", vote(&[1, 2])),
        said(4, "cem", vote(&[0])),
        said(5, "cem", Content::vote(id(1), &other, &[3]).unwrap()),
        said(6, "dia", vote(&[0])),
        said(7, "dia", vote(&[])),
        said(8, "eva", Content::close(id(1))),
    ]);
    assert_eq!(voters(&all, 1), [vec!["cem"], vec!["bob"], vec!["bob"]]);
    assert_eq!(all.message(&id(1)).unwrap().tally.unwrap().closed, None, "eva may not close it");
    all.insert(said(9, "ada", Content::close(id(1))));
    all.insert(said(10, "eva", vote(&[2])));
    assert_eq!(voters(&all, 1), [vec!["cem"], vec!["bob"], vec!["bob"]]);
    assert_eq!(all.message(&id(1)).unwrap().tally.unwrap().closed, Some(9));
    // An admin's word that stands earlier in the log, and comes later, closes it earlier.
    let mut early = said(11, "admin", Content::close(id(1)));
    early.seq = 3;
    all.insert(early);
    assert_eq!(voters(&all, 1), [vec!["bob"], vec![], vec![]]);
}

#[test]
fn a_poll_closes_by_the_groups_time_and_no_clock() {
    let vote = || Content::vote(id(1), &poll(), &[0]).unwrap();
    let closing = poll().closing_at(Timestamp(35));
    let all = conversation([
        said(1, "ada", Content::poll(&closing)),
        said(3, "bob", vote()),
        said(4, "cem", vote()),
        said(5, "dia", vote()),
    ]);
    assert_eq!(voters(&all, 1), [vec!["bob"], vec![], vec![]]);
    assert_eq!(all.message(&id(1)).unwrap().tally.unwrap().closed, Some(4));
}

#[test]
fn receipts_are_each_users_own_word() {
    let receipt = |status| Content::receipts(&[Receipt { message: id(1), status }]);
    let all = conversation([
        said(1, "ada", Content::text("hi")),
        said(2, "bob", receipt(Status::Read)),
        said(3, "bob", receipt(Status::Delivered)),
        said(4, "cem", receipt(Status::Delivered)),
        said(5, "ada", receipt(Status::Read)),
    ]);
    let message = all.message(&id(1)).unwrap();
    assert_eq!(message.receipts, [(&user("bob"), Status::Read), (&user("cem"), Status::Delivered)].into());
    assert_eq!(all.messages().count(), 1);
}

#[test]
fn circles_end() {
    let all = conversation([
        said(1, "ada", Content::text("a").replacing(id(2)).reply_to(id(3))),
        said(2, "ada", Content::text("b").replacing(id(1)).reply_to(id(2))),
        said(3, "ada", Content::text("c").reply_to(id(3))),
        said(4, "ada", Content::deletion(id(4))),
        said(5, "ada", Content::reaction(id(5), "x").replacing(id(5))),
    ]);
    assert_eq!(all.messages().count(), 1);
    assert_eq!(shown(&all, 3).unwrap(), "c");
}

#[test]
fn what_is_forgotten_leaves_nothing_behind() {
    let mut all = conversation([said(1, "ada", Content::text("hi")), said(2, "bob", Content::reaction(id(1), "x"))]);
    assert!(all.remove(&id(2)) && !all.remove(&id(2)));
    assert!(all.message(&id(1)).unwrap().reactions.is_empty());
    assert!(all.remove(&id(1)));
    assert_eq!(all, Conversation::new());
}

/// Anything anyone might say about the first few messages.
fn anything() -> impl Strategy<Value = Content> {
    let target = (1u8..12).prop_map(id);
    let text = "[abc]{1,2}";
    prop_oneof![
        text.prop_map(|text| Content::text(&text)),
        (target.clone(), text).prop_map(|(target, text)| Content::text(&text).replacing(target)),
        (target.clone(), text).prop_map(|(target, text)| Content::text(&text).reply_to(target)),
        (target.clone(), "[xyz]").prop_map(|(target, with)| Content::reaction(target, &with)),
        (target.clone(), target.clone(), "[xyz]").prop_map(|(a, b, with)| Content::reaction(a, &with).replacing(b)),
        target.clone().prop_map(Content::deletion),
        (0u64..150).prop_map(|time| Content::poll(&poll().closing_at(Timestamp(time)))),
        Just(Content::poll(&poll())),
        (target.clone(), proptest::sample::subsequence(vec![0, 1, 2], 0..=3))
            .prop_map(|(target, options)| Content::vote(target, &poll(), &options).unwrap()),
        target.clone().prop_map(Content::close),
        target.prop_map(|message| Content::receipts(&[Receipt { message, status: Status::Read }])),
    ]
}

fn histories() -> impl Strategy<Value = Vec<Posted>> {
    let who = prop_oneof![Just("ada"), Just("bob"), Just("admin")];
    proptest::collection::vec((anything(), who, 1u64..15), 1..14).prop_map(|all| {
        let all = (1u8..).zip(all);
        // Places may repeat, as a hub that repeats them would have it.
        all.map(|(n, (content, by, seq))| Posted { seq, ..said(n, by, content) }).collect()
    })
}

proptest! {
    #[test]
    fn order_repetition_and_restarts_do_not_matter(
        history in histories(),
        order in proptest::collection::vec((any::<Index>(), any::<Index>(), any::<bool>()), 0..40),
    ) {
        let expected = conversation(history.clone());

        let mut other = history.clone();
        other.extend(order.iter().map(|(at, _, _)| at.get(&history).clone()));
        for (a, b, _) in &order {
            let (a, b) = (a.index(other.len()), b.index(other.len()));
            other.swap(a, b);
        }
        let mut device = Conversation::new();
        for (at, said) in other.into_iter().enumerate() {
            if order.get(at).is_some_and(|(_, _, restart)| *restart) {
                device = Conversation::from_bytes(&device.to_bytes()).unwrap();
            }
            device.insert(said);
        }
        prop_assert_eq!(&device, &expected);
        prop_assert_eq!(drawn(&device), drawn(&expected));
    }

    #[test]
    fn a_message_that_stands_twice_counts_at_its_first_place(history in histories(), later in any::<Index>(), by in 0u64..10) {
        let mut again = later.get(&history).clone();
        again.seq += by;
        again.moderates = !again.moderates;
        let expected = conversation(history.clone());
        if by > 0 {
            let after = conversation(history.iter().cloned().chain([again.clone()]));
            let before = conversation([again].into_iter().chain(history));
            prop_assert_eq!(drawn(&after), drawn(&expected));
            prop_assert_eq!(drawn(&before), drawn(&expected));
        }
    }
}
