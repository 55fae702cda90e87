//! A group of any size, of which only a few members hold the group themselves.

use mls_rs::client_builder::MlsConfig;
use mls_rs::group::{CommitOutput, Group, ReceivedMessage};
use mls_rs::storage_provider::in_memory::InMemoryGroupStateStorage;
use mls_rs::{Client, CryptoProvider, GroupStateStorage, MlsMessage};

use super::{client, key_package};
use crate::peers::tree;
use crate::works::{Change, Cost, Membership, Scope, timed};

/// A group of `n`: the founder at leaf 0, the reader at the last leaf.
struct BigGroup<C: MlsConfig> {
    /// The founder's group before it let in the others, and their key packages.
    alone: Group<C>,
    packages: Vec<MlsMessage>,
    clients: Vec<Client<C>>,
    welcome: Vec<u8>,
    founder: Group<C>,
    reader: Group<C>,
    /// Where the reader keeps it.
    storage: InMemoryGroupStateStorage,
    /// The founder's and the reader's groups in a tree in which others have committed, once it is made.
    warm: Option<(Group<C>, Group<C>)>,
}

pub(super) fn new<P: CryptoProvider + Clone + 'static>(crypto: &P, n: usize) -> Box<dyn Membership> {
    let storage = InMemoryGroupStateStorage::new();
    let mut clients: Vec<_> = (1..n).map(|_| client(crypto, InMemoryGroupStateStorage::new())).collect();
    clients.push(client(crypto, storage.clone()));
    let packages: Vec<MlsMessage> = clients[1..].iter().map(key_package).collect();
    let alone = clients[0].create_group(Default::default(), Default::default(), None).unwrap();
    let mut founder = alone.clone();
    let (_, welcome) = let_in(&mut founder, &packages);
    founder.apply_pending_commit().unwrap();
    let reader = join(&clients[n - 1], &welcome);
    Box::new(BigGroup { alone, packages, clients, welcome, founder, reader, storage, warm: None })
}

/// The commit that lets them in, and their welcome.
fn let_in<C: MlsConfig>(group: &mut Group<C>, packages: &[MlsMessage]) -> (Vec<u8>, Vec<u8>) {
    let mut commit = group.commit_builder();
    for package in packages {
        commit = commit.add_member(package.clone()).unwrap();
    }
    let output = commit.build().unwrap();
    (output.commit_message.to_bytes().unwrap(), output.welcome_messages[0].to_bytes().unwrap())
}

fn join<C: MlsConfig>(client: &Client<C>, welcome: &[u8]) -> Group<C> {
    client.join_group(None, &MlsMessage::from_bytes(welcome).unwrap(), None).unwrap().0
}

fn receive<C: MlsConfig>(group: &mut Group<C>, commit: &[u8]) {
    let received = group.process_incoming_message(MlsMessage::from_bytes(commit).unwrap()).unwrap();
    assert!(matches!(received, ReceivedMessage::Commit(_)));
}

/// What `make` costs its author and the other, each from a copy of its group.
fn change<C: MlsConfig>(
    (author, other): (&Group<C>, &Group<C>),
    make: impl FnOnce(&mut Group<C>) -> CommitOutput,
) -> Change {
    let (mut author, mut other) = (author.clone(), other.clone());
    let (commit, time) = timed(|| make(&mut author).commit_message.to_bytes().unwrap());
    let (_, received) = timed(|| receive(&mut other, &commit));
    Change { author: Cost { time, bytes: commit.len() }, receiver: Cost { time: received, bytes: commit.len() } }
}

impl<C: MlsConfig> Membership for BigGroup<C> {
    fn scope(&self) -> Scope {
        Scope::Whole
    }

    fn create(&mut self) -> Cost {
        let mut group = self.alone.clone();
        let ((commit, welcome), time) = timed(|| let_in(&mut group, &self.packages));
        Cost { time, bytes: commit.len() + welcome.len() }
    }

    fn join(&mut self) -> Cost {
        let client = self.clients.last().expect("the reader");
        let (_, time) = timed(|| join(client, &self.welcome));
        Cost { time, bytes: self.welcome.len() }
    }

    fn remove(&mut self) -> Change {
        let remove = |group: &mut Group<C>| group.commit_builder().remove_member(1).unwrap().build().unwrap();
        change((&self.founder, &self.reader), remove)
    }

    fn heal(&mut self) -> Change {
        change((&self.founder, &self.reader), |group| group.commit_builder().build().unwrap())
    }

    fn stored(&mut self) -> usize {
        let mut reader = self.reader.clone();
        reader.write_to_storage().unwrap();
        let id = reader.group_id().to_vec();
        let state = self.storage.state(&id).unwrap().map_or(0, |state| state.len());
        let epochs = (0..=reader.current_epoch()).filter_map(|epoch| self.storage.epoch(&id, epoch).unwrap());
        state + epochs.map(|epoch| epoch.len()).sum::<usize>()
    }

    fn heal_warm(&mut self) -> Option<Change> {
        let (founder, reader) = self.warm.take().unwrap_or_else(|| self.warmed());
        let heal = change((&founder, &reader), |group| group.commit_builder().build().unwrap());
        self.warm = Some((founder, reader));
        Some(heal)
    }
}

impl<C: MlsConfig> BigGroup<C> {
    /// Lets one member of every subtree beside the founder's path commit once.
    fn warmed(&self) -> (Group<C>, Group<C>) {
        let (mut founder, mut reader) = (self.founder.clone(), self.reader.clone());
        let leaves = tree::beside_the_first(self.clients.len());
        let mut others: Vec<Group<C>> = leaves.iter().map(|leaf| join(&self.clients[*leaf], &self.welcome)).collect();
        for author in 0..others.len() {
            let commit = others[author].commit_builder().build().unwrap().commit_message.to_bytes().unwrap();
            others[author].apply_pending_commit().unwrap();
            let rest = others.iter_mut().enumerate().filter(|(i, _)| *i != author).map(|(_, other)| other);
            rest.chain([&mut founder, &mut reader]).for_each(|group| receive(group, &commit));
        }
        (founder, reader)
    }
}
