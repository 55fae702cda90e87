//! What travels: a removal from a group of a thousand, and a message.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's helpers may fail the test")]

#[path = "../benches/support/big_group.rs"]
mod big_group;

use big_group::{BigGroup, Town};
use convivio::client::{Change, EventKind};
use convivio::log::{EntryBody, PostBody};

/// Bytes of a removal as one member gets it.
const DOWN: usize = 1_024;

/// Bytes of a message frame around the padded content (`docs/protocol.md`, section 6).
const FRAME: usize = 125;

#[test]
fn a_removal_from_a_thousand_is_at_most_60_kb_up_and_1_kb_down_each() {
    let town = Town::new(1_000);
    let mut all = BigGroup::new(&town, 1_000);
    let (post, entry) = all.change(Change::Remove(town.user(500)));
    let PostBody::Commit { commit, welcome: None } = &post.body else { panic!("not a lone commit: {post:?}") };
    assert_eq!(commit.stanzas().len(), 999);
    let (up, down) = (post.to_bytes().len(), entry.to_bytes().len());
    assert!(up <= 60_000, "{up} bytes up");
    assert!(down <= DOWN, "{down} bytes down");
    let EntryBody::Commit { stanza: Some(stanza), .. } = &entry.body else { panic!("no stanza: {entry:?}") };
    assert_eq!(stanza.len(), 48);

    // It is a real one.
    let (events, _) = all.reader.client.receive(&[entry]).unwrap();
    assert!(matches!(&events[..], [event] if matches!(event.what, EventKind::Changed { .. })), "{events:?}");
    assert_eq!(all.reader.client.group(&all.id).unwrap().state().users().len(), 999);
}

#[test]
fn a_message_is_at_most_125_bytes_longer_than_its_padded_content() {
    let town = Town::new(1);
    let mut group = BigGroup::new(&town, 3);
    // The content of a frame is what was said, a nonce of 16 bytes, and a few bytes of form.
    for said in [0, 1, 32, 256, 1_024, 16 * 1_024] {
        group.founder.client.send(&group.id, &vec![7; said]).unwrap();
        let post = group.founder.client.outbox(1).unwrap().remove(0);
        let PostBody::Message(frame) = &post.body else { panic!("not a message: {post:?}") };
        let content = said + 32;
        assert!(frame.len() <= FRAME + padme(content), "{said}: {}", frame.len());
        group.hub.sync(&mut group.founder.client).unwrap();
    }
}

/// The length Padmé pads `len` bytes and an end mark to, at most: an eighth more, and 16.
const fn padme(len: usize) -> usize {
    len + len / 8 + 16
}
