//! An app keeps its chat and this device's records in one SQLite database, and changes both in one transaction.

use std::panic::{AssertUnwindSafe, catch_unwind};

use convivio::client::{Answer, Event, EventKind};
use convivio::group::GroupInfo;
use convivio::log::LogEntry;
use convivio::store::conformance;
use convivio::testing::{App, LocalHub};
use convivio::{Change, Client, ErrorKind, GroupId};
use convivio_sqlite_tests::{Database, SqliteStore, insert_chat_rows, receive, write_records};
use rusqlite::Connection;

struct Scene {
    hub: LocalHub,
    maria: Client,
    bob: Client,
    database: Database,
    group: GroupId,
}

/// Maria and Bob in a group; Bob's records live in his app's database.
fn scene(connection: Connection) -> Scene {
    let app = App::new("photos.example").unwrap();
    let database = Database::open(connection).unwrap();
    let mut hub = LocalHub::new();
    let mut maria = app.client("maria").unwrap();
    let mut bob = app.client_on("bob", SqliteStore(database.clone())).unwrap();
    let group = maria.create_group(App::policy(&[&app]).unwrap(), GroupInfo::new("Trip", "").unwrap()).unwrap();
    let package = (&bob.key_packages(1).unwrap()[0]).try_into().unwrap();
    maria.change(&group, Change::Add(vec![package])).unwrap();
    hub.sync(&mut maria).unwrap();
    hub.sync(&mut bob).unwrap();
    bob.answer(&group, Answer::Accept).unwrap();
    let seen = bob.inbox(10).unwrap();
    bob.ack(seen.last().unwrap().id).unwrap();
    Scene { hub, maria, bob, database, group }
}

impl Scene {
    /// Maria says something; the entries that bring it to Bob.
    fn say(&mut self, what: &str) -> Vec<LogEntry> {
        self.maria.send(&self.group, what.as_bytes()).unwrap();
        self.hub.sync(&mut self.maria).unwrap();
        self.hub.deliver(&mut self.bob).unwrap()
    }
}

#[test]
fn the_apps_own_database_keeps_the_contract() {
    let store = SqliteStore(Database::open(Connection::open_in_memory().unwrap()).unwrap());
    conformance::check(store, |store| Ok(SqliteStore(store.0))).unwrap();

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.sqlite");
    let open = || SqliteStore(Database::open(Connection::open(&path).unwrap()).unwrap());
    conformance::check(open(), |store| {
        drop(store);
        Ok(open())
    })
    .unwrap();
}

#[test]
fn records_and_chat_rows_are_one_transaction() {
    let mut scene = scene(Connection::open_in_memory().unwrap());
    let entries = scene.say("ciao");
    let events = receive(&mut scene.bob, &scene.database, &entries).unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(scene.database.chat(), ["ciao"]);
    // Acknowledging is an operation like any other, in a transaction like any other.
    scene.bob.ack(events[0].id).unwrap();
    assert!(scene.bob.inbox(10).unwrap().is_empty());
    let entries = scene.say("again");
    receive(&mut scene.bob, &scene.database, &entries).unwrap();
    assert_eq!(scene.database.chat(), ["ciao", "again"]);
}

#[test]
fn receiving_and_acknowledging_are_one_draft() {
    let mut scene = scene(Connection::open_in_memory().unwrap());
    let entries = scene.say("ciao");
    let staged = scene
        .bob
        .stage(|draft| {
            draft.receive(&entries)?;
            let last = draft.events().last().map(|event| event.id);
            last.map_or(Ok(()), |last| draft.ack(last))
        })
        .unwrap();
    let mut connection = scene.database.connection();
    let tx = connection.transaction().unwrap();
    write_records(&tx, staged.changes()).unwrap();
    insert_chat_rows(&tx, staged.events()).unwrap();
    tx.commit().unwrap();
    drop(connection);
    staged.saved().unwrap();
    assert_eq!(scene.database.chat(), ["ciao"]);
    assert!(scene.bob.inbox(10).unwrap().is_empty());
}

#[test]
fn a_transaction_rolled_back_never_was() {
    let mut scene = scene(Connection::open_in_memory().unwrap());
    let entries = scene.say("ciao");
    let staged = scene.bob.stage(|draft| draft.receive(&entries)).unwrap();
    {
        let mut connection = scene.database.connection();
        let tx = connection.transaction().unwrap();
        write_records(&tx, staged.changes()).unwrap();
        insert_chat_rows(&tx, staged.events()).unwrap();
        tx.rollback().unwrap();
    }
    drop(staged);
    assert!(scene.database.chat().is_empty());
    assert!(scene.bob.inbox(10).unwrap().is_empty());
    // The client has read its store again: the entry is as new as it was.
    let again = scene.hub.deliver(&mut scene.bob).unwrap();
    assert_eq!(again, entries);
    receive(&mut scene.bob, &scene.database, &again).unwrap();
    assert_eq!(scene.database.chat(), ["ciao"]);
}

#[test]
fn sending_rolled_back_uses_no_key() {
    let mut scene = scene(Connection::open_in_memory().unwrap());
    scene.bob.send(&scene.group, b"mine").unwrap();
    let staged = scene.bob.stage(|draft| draft.outbox(10)).unwrap();
    assert!(!staged.changes().is_empty());
    drop(staged);
    // What never was saved gave no bytes, so that what is encrypted now is the first.
    hub_hears(&mut scene, &["mine"]);
}

fn hub_hears(scene: &mut Scene, said: &[&str]) {
    scene.hub.sync(&mut scene.bob).unwrap();
    let events = scene.hub.sync(&mut scene.maria).unwrap();
    let heard: Vec<_> = events.iter().filter_map(content).collect();
    assert_eq!(heard, said);
}

fn content(event: &Event) -> Option<&str> {
    match &event.what {
        EventKind::Message { content, .. } => Some(std::str::from_utf8(content).unwrap()),
        _ => None,
    }
}

#[test]
fn an_unknown_outcome_closes_the_client_and_reopening_tells() {
    for committed in [false, true] {
        let mut scene = scene(Connection::open_in_memory().unwrap());
        let entries = scene.say("ciao");
        let staged = scene.bob.stage(|draft| draft.receive(&entries)).unwrap();
        if committed {
            let mut connection = scene.database.connection();
            let tx = connection.transaction().unwrap();
            write_records(&tx, staged.changes()).unwrap();
            insert_chat_rows(&tx, staged.events()).unwrap();
            tx.commit().unwrap();
        }
        staged.unknown();
        assert_eq!(scene.bob.groups().unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(scene.bob.send(&scene.group, b"no").unwrap_err().kind(), ErrorKind::Closed);

        scene.bob = Client::open(SqliteStore(scene.database.clone())).unwrap();
        let rest = scene.hub.deliver(&mut scene.bob).unwrap();
        assert_eq!(rest.is_empty(), committed);
        receive(&mut scene.bob, &scene.database, &rest).unwrap();
        receive(&mut scene.bob, &scene.database, &entries).unwrap();
        assert_eq!(scene.database.chat(), ["ciao"]);
    }
}

#[test]
fn a_panic_in_the_apps_closure_leaves_the_client_where_its_store_is() {
    let mut scene = scene(Connection::open_in_memory().unwrap());
    let entries = scene.say("ciao");
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _ = scene.bob.stage(|draft| {
            draft.receive(&entries).unwrap();
            if draft.events().len() == 1 {
                std::panic::resume_unwind(Box::new("the app's own fault"));
            }
            Ok(())
        });
    }));
    assert!(panicked.is_err());
    assert_eq!(scene.hub.deliver(&mut scene.bob).unwrap(), entries);
    receive(&mut scene.bob, &scene.database, &entries).unwrap();
    assert_eq!(scene.database.chat(), ["ciao"]);
}

#[test]
fn a_staged_operation_that_is_leaked_was_not_made() {
    let mut scene = scene(Connection::open_in_memory().unwrap());
    let entries = scene.say("ciao");
    std::mem::forget(scene.bob.stage(|draft| draft.receive(&entries)).unwrap());
    receive(&mut scene.bob, &scene.database, &entries).unwrap();
    assert_eq!(scene.database.chat(), ["ciao"]);
}

#[test]
fn an_error_passed_over_in_a_draft_is_the_drafts() {
    let mut scene = scene(Connection::open_in_memory().unwrap());
    let group = scene.group;
    let too_long = vec![0; convivio::limits::MESSAGE_CONTENT];
    let staged = scene.bob.stage(|draft| {
        draft.send(group, b"one")?;
        let _ = draft.send(group, &too_long);
        draft.send(group, b"two")?;
        draft.outbox(10)
    });
    assert_eq!(staged.map(drop).unwrap_err().kind(), ErrorKind::Misuse);
    assert_eq!(scene.bob.group(&group).unwrap().queued(), 0);
    scene.bob.send(&group, b"three").unwrap();
    hub_hears(&mut scene, &["three"]);
}

#[test]
fn several_calls_are_one_transaction() {
    let mut scene = scene(Connection::open_in_memory().unwrap());
    let (group, entries) = (scene.group, scene.say("question"));
    let staged = scene
        .bob
        .stage(|draft| {
            draft.receive(&entries)?;
            draft.send(group, b"answer")?;
            draft.outbox(10)
        })
        .unwrap();
    let mut connection = scene.database.connection();
    let tx = connection.transaction().unwrap();
    write_records(&tx, staged.changes()).unwrap();
    insert_chat_rows(&tx, staged.events()).unwrap();
    tx.commit().unwrap();
    drop(connection);
    let saved = staged.saved().unwrap();
    assert_eq!((saved.events.len(), saved.posts.len()), (1, 1));
    hub_hears(&mut scene, &["answer"]);
}
