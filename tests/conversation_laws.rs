//! What was said adds up to the same on every device: in any order, however often, across restarts, whatever has ended in
//! between, and as a second, naive implementation has it.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test says what went wrong by failing")]

#[path = "support/conversation_oracle.rs"]
mod oracle;

use convivio::content::{Choices, Content, Conversation, Expiry, MessageView, Poll, Posted, Receipt, Status};
use convivio::identity::UserUri;
use convivio::{MessageId, Timestamp};
use oracle::{Drawn, drawn, expected};
use proptest::prelude::*;
use proptest::sample::Index;

fn id(n: u8) -> MessageId {
    MessageId::from_bytes([n; 32])
}

fn conversation(all: impl IntoIterator<Item = Posted>) -> Conversation {
    let mut conversation = Conversation::new();
    for posted in all {
        conversation.insert(posted);
    }
    conversation
}

fn poll() -> Poll {
    Poll::new("Where to?", &["Beach", "Mountains", "Home"], Choices::Many).unwrap()
}

/// Anything anyone might say about the first few messages.
fn anything() -> impl Strategy<Value = Content> {
    let target = (1u8..12).prop_map(id);
    let text = "[abc]{1,2}";
    let status = prop_oneof![Just(Status::Delivered), Just(Status::Read), Just(Status::Other(7))];
    let receipts = (target.clone(), status).prop_map(|(message, status)| Receipt { message, status });
    // Some look like others.
    let looks = "[xy][\u{fe0f}\u{200d}]?";
    let said = prop_oneof![
        text.prop_map(|text| Content::text(&text)),
        (target.clone(), text).prop_map(|(target, text)| Content::text(&text).replacing(target)),
        (target.clone(), text).prop_map(|(target, text)| Content::text(&text).reply_to(target)),
        (target.clone(), looks).prop_map(|(target, with)| Content::reaction(target, &with).unwrap()),
        (target.clone(), target.clone(), looks)
            .prop_map(|(a, b, with)| Content::reaction(a, &with).unwrap().replacing(b)),
        target.clone().prop_map(Content::deletion),
        (0u64..150).prop_map(|time| Content::poll(&poll().closing_at(Timestamp(time)))),
        Just(Content::poll(&poll())),
        target.clone().prop_map(|target| Content::poll(&poll()).replacing(target)),
        (target.clone(), proptest::sample::subsequence(vec![0, 1, 2], 0..=3))
            .prop_map(|(target, options)| Content::vote(target, &poll(), &options).unwrap()),
        target.clone().prop_map(Content::close),
        proptest::collection::vec(receipts, 0..4).prop_map(|receipts| Content::receipts(&receipts).unwrap()),
    ];
    // Anything may also be in place of something, answer something, belong to a topic and have an end.
    let also = (proptest::option::weighted(0.2, target.clone()), proptest::option::weighted(0.2, target));
    (said, also, any::<bool>(), any::<bool>()).prop_map(|(mut content, (replaces, answers), in_topic, ends)| {
        content.replaces = content.replaces.or(replaces);
        content.in_reply_to = content.in_reply_to.or(answers);
        if in_topic {
            content.topic = b"topic".to_vec();
        }
        if ends { content.expiring(Expiry::At(60)) } else { content }
    })
}

/// What a conversation shows, and what follows from it: who answers whom, topics, and when messages end.
fn seen(conversation: &Conversation) -> (Vec<Drawn>, Vec<Vec<MessageId>>) {
    let ids = |views: Vec<MessageView<'_>>| views.iter().map(|view| view.id).collect::<Vec<_>>();
    let mut rest = vec![ids(conversation.in_topic(b"topic").collect()), conversation.expired(Timestamp(60), |_| None)];
    for id in (1..15).map(id) {
        rest.extend([conversation.ancestors(&id), ids(conversation.replies(&id).collect())]);
    }
    (drawn(conversation), rest)
}

fn histories() -> impl Strategy<Value = Vec<Posted>> {
    let who = prop_oneof![Just("ada"), Just("bob"), Just("admin")];
    proptest::collection::vec((anything(), who, 1u64..15), 1..14).prop_map(|all| {
        let all = (1u8..).zip(all);
        // Places may repeat, as a hub that repeats them would have it.
        all.map(|(n, (content, by, seq))| Posted {
            id: id(n),
            seq,
            user: format!("mimi://a.example/u/{by}").parse::<UserUri>().unwrap(),
            moderates: by == "admin",
            time: Timestamp(seq * 10),
            content,
        })
        .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn order_repetition_restarts_and_ends_do_not_matter(
        history in histories(),
        order in proptest::collection::vec((any::<Index>(), any::<Index>(), 0u8..4), 0..40),
        ended in proptest::collection::vec((1u8..14, any::<Index>()), 0..3),
    ) {
        let mut at_once = conversation(history.clone());
        at_once.purge(ended.iter().map(|(n, _)| id(*n)));

        let mut other = history.clone();
        other.extend(order.iter().map(|(at, _, _)| at.get(&history).clone()));
        for (a, b, _) in &order {
            let (a, b) = (a.index(other.len()), b.index(other.len()));
            other.swap(a, b);
        }
        let mut device = Conversation::new();
        let count = other.len();
        for (at, posted) in other.into_iter().enumerate() {
            if order.get(at).is_some_and(|(_, _, restart)| *restart == 0) {
                device = Conversation::from_bytes(&device.to_bytes()).unwrap();
            }
            device.purge(ended.iter().filter(|(_, when)| when.index(count) == at).map(|(n, _)| id(*n)));
            device.insert(posted);
        }
        prop_assert_eq!(&device, &at_once);
        prop_assert_eq!(drawn(&device), drawn(&at_once));
        prop_assert_eq!(drawn(&device), expected(&history, &ended.iter().map(|(n, _)| id(*n)).collect::<Vec<_>>()));
    }

    #[test]
    fn a_message_that_stands_twice_counts_at_its_first_place(history in histories(), later in any::<Index>(), by in 0u64..10) {
        let mut again = later.get(&history).clone();
        again.seq += by;
        again.moderates = !again.moderates;
        let both: Vec<Posted> = history.iter().cloned().chain([again.clone()]).collect();
        let after = conversation(both.clone());
        let before = conversation([again].into_iter().chain(history.clone()));
        prop_assert_eq!(&after, &before);
        prop_assert_eq!(drawn(&after), expected(&both, &[]));
        if by > 0 {
            prop_assert_eq!(after, conversation(history));
        }
    }

    #[test]
    fn erasing_what_is_deleted_changes_nothing_that_is_shown(history in histories(), rest in any::<Index>()) {
        let mut erased = conversation(history.clone());
        erased.erase_deleted();
        prop_assert_eq!(seen(&erased), seen(&conversation(history.clone())));
        prop_assert_eq!(&erased, &Conversation::from_bytes(&erased.to_bytes()).unwrap());
        prop_assert_eq!(erased.erase_deleted(), 0);
        // Nor does it change what is left once some of it has ended.
        let mut kept = conversation(history.clone());
        let ended = kept.expired(Timestamp(60), |_| None);
        kept.purge(ended.clone());
        erased.purge(ended);
        prop_assert_eq!(seen(&erased), seen(&kept));
        // What comes later, and the same again, finds the same.
        let (first, last) = history.split_at(rest.index(history.len()));
        let mut early = conversation(first.to_vec());
        early.erase_deleted();
        for posted in last.iter().chain(first) {
            early.insert(posted.clone());
        }
        prop_assert_eq!(seen(&early), seen(&conversation(history)));
    }

    #[test]
    fn all_that_has_ended_is_purged_and_nothing_else_is_told(history in histories()) {
        let mut all = conversation(history.clone());
        let ended = all.expired(Timestamp(60), |_| None);
        let told = |id| all.message(id).is_some();
        prop_assert!(ended.iter().all(told));
        prop_assert_eq!(all.expired(Timestamp(59), |_| None), vec![]);
        all.purge(ended.clone());
        prop_assert_eq!(all.expired(Timestamp(u64::MAX), |_| None), vec![]);
        prop_assert_eq!(drawn(&all), expected(&history, &ended));
    }
}
