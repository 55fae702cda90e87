//! An app that keeps its chat and its device's records in one transaction is killed (SIGKILL) around it: both are there, or
//! neither is.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use convivio::client::Answer;
use convivio::group::GroupInfo;
use convivio::log::LogEntry;
use convivio::testing::{App, LocalHub};
use convivio::{Change, Client, GroupId};
use convivio_sqlite_tests::{Database, SqliteStore};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rusqlite::Connection;

/// Maria, and a hub, and Bob's app, of which only the database is there between its lives.
struct Scene {
    hub: LocalHub,
    maria: Client,
    group: GroupId,
    path: PathBuf,
    said: Vec<String>,
    _directory: tempfile::TempDir,
}

fn database(path: &Path) -> Database {
    Database::open(Connection::open(path).unwrap()).unwrap()
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.sqlite");
        let (app, mut hub) = (App::new("photos.example").unwrap(), LocalHub::new());
        let mut maria = app.client("maria").unwrap();
        let mut bob = app.client_on("bob", SqliteStore(database(&path))).unwrap();
        let group = maria.create_group(App::policy(&[&app]).unwrap(), GroupInfo::new("Trip", "").unwrap()).unwrap();
        let package = (&bob.key_packages(1).unwrap()[0]).try_into().unwrap();
        maria.change(&group, Change::Add(vec![package])).unwrap();
        hub.sync(&mut maria).unwrap();
        hub.sync(&mut bob).unwrap();
        bob.answer(&group, Answer::Accept).unwrap();
        let seen = bob.inbox(10).unwrap();
        bob.ack(seen.last().unwrap().id).unwrap();
        Self { hub, maria, group, path, said: Vec::new(), _directory: directory }
    }

    fn say(&mut self) {
        let text = format!("message {}", self.said.len());
        self.maria.send(&self.group, text.as_bytes()).unwrap();
        self.hub.sync(&mut self.maria).unwrap();
        self.said.push(text);
    }

    /// What the database holds: the chat, and what the device has not received yet.
    fn look(&mut self) -> (Vec<String>, Vec<LogEntry>) {
        let database = database(&self.path);
        let chat = database.chat();
        let mut bob = Client::open(SqliteStore(database)).unwrap();
        assert!(bob.inbox(10).unwrap().is_empty(), "it is acknowledged where it is taken over");
        (chat, self.hub.deliver(&mut bob).unwrap())
    }

    /// Starts the app, kills it at a stage or after a while, or lets it be; the last stage that it reached.
    fn run(&mut self, entries: &[LogEntry], stop: &str, after: Option<Duration>) -> String {
        let mut child = Command::new(env!("CARGO_BIN_EXE_chat"))
            .arg(&self.path)
            .arg(stop)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut frames = (entries.len() as u32).to_le_bytes().to_vec();
        for bytes in entries.iter().map(LogEntry::to_bytes) {
            frames.extend((bytes.len() as u32).to_le_bytes());
            frames.extend(bytes);
        }
        let mut input = child.stdin.take().unwrap();
        input.write_all(&frames).unwrap();
        let stages = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        if let Some(after) = after {
            std::thread::sleep(after);
            child.kill().unwrap();
        }
        let mut reached = "nothing".to_owned();
        for stage in stages {
            if stage == stop {
                child.kill().unwrap();
            }
            reached = stage;
        }
        child.wait().unwrap();
        reached
    }

    /// The chat and the device's records tell the same story.
    fn check(&mut self) -> bool {
        let (chat, rest) = self.look();
        let done = rest.is_empty();
        assert_eq!(chat, self.said[..self.said.len() - usize::from(!done)]);
        done
    }
}

#[test]
fn row_11_an_app_killed_around_its_own_transaction_has_both_or_neither() {
    let mut scene = Scene::new();
    for (stop, is_there) in
        [("open", false), ("staged", false), ("records", false), ("rows", false), ("committed", true), ("saved", true)]
    {
        scene.say();
        let (_, entries) = scene.look();
        assert_eq!(entries.len(), 1);
        assert_eq!(scene.run(&entries, stop, None), stop);
        assert_eq!(scene.check(), is_there, "killed at {stop}");
        // The same again, to the end: what was there comes once.
        assert_eq!(scene.run(&entries, "never", None), "saved");
        assert!(scene.check());
    }
}

/// At which instruction that is, is up to the machine; what the database then holds is not.
#[test]
fn row_11_an_app_killed_at_random_moments_has_both_or_neither() {
    let (mut scene, mut rng) = (Scene::new(), StdRng::seed_from_u64(11));
    scene.say();
    let started = Instant::now();
    let (_, entries) = scene.look();
    assert_eq!(scene.run(&entries, "never", None), "saved");
    let usual = started.elapsed();
    let mut tally: BTreeMap<(String, bool), u32> = BTreeMap::new();
    for _ in 0..100 {
        if scene.check() {
            scene.say();
        }
        let (_, entries) = scene.look();
        let reached = scene.run(&entries, "never", Some(usual.mul_f64(rng.random_range(0.0..1.0))));
        let done = scene.check();
        assert!(done || !["committed", "saved"].contains(&reached.as_str()), "{reached} and lost");
        assert!(!done || ["rows", "committed", "saved"].contains(&reached.as_str()), "{reached} and there");
        *tally.entry((reached, done)).or_default() += 1;
    }
    println!("the last stage reached, whether it was there afterwards, how often: {tally:?}");
    assert!(tally.len() > 1, "every kill hit the same place: {tally:?}");
}
