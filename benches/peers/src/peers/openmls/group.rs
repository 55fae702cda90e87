//! A group of any size, of which only a few members hold the group themselves.

use std::sync::RwLock;

use openmls::prelude::tls_codec::{Deserialize as _, Serialize as _};
use openmls::prelude::*;
use openmls_rust_crypto::MemoryStorage;

use super::{Member, parse};
use crate::peers::tree;
use crate::works::{Change, Cost, Membership, Scope, Window, timed};

/// A group of `n`: the founder at leaf 0, the reader at the last leaf.
pub(super) struct BigGroup {
    id: GroupId,
    /// Everyone as they were before the founder let in the others, and their key packages.
    members: Vec<Member<MemoryStorage>>,
    packages: Vec<KeyPackageIn>,
    welcome: Vec<u8>,
    /// The founder and the reader, both in the group.
    founder: Member<MemoryStorage>,
    reader: Member<MemoryStorage>,
    /// The same two in a tree in which others have committed, once it is made.
    warm: Option<(Member<MemoryStorage>, Member<MemoryStorage>)>,
}

/// A member over a copy of what it has stored.
fn copy(member: &Member<MemoryStorage>) -> Member<MemoryStorage> {
    let values = member.backend.storage.values.read().unwrap().clone();
    member.over(MemoryStorage { values: RwLock::new(values) })
}

impl BigGroup {
    pub(super) fn new(n: usize) -> Self {
        let members: Vec<_> = (0..n).map(|_| Member::new(MemoryStorage::default())).collect();
        let received = |member: &Member<_>| {
            let bytes = member.key_package().tls_serialize_detached().unwrap();
            KeyPackageIn::tls_deserialize_exact(bytes).unwrap()
        };
        let packages: Vec<_> = members[1..].iter().map(received).collect();
        let id = members[0].create(Window::Default).group_id().clone();
        let founder = copy(&members[0]);
        let mut group = load(&founder, &id);
        let (_, welcome) = let_in(&founder, &mut group, &packages);
        group.merge_pending_commit(&founder.backend).unwrap();
        let reader = copy(&members[n - 1]);
        reader.join(&welcome, Window::Default);
        Self { id, members, packages, welcome, founder, reader, warm: None }
    }

    /// What `make` costs its author and the other, each over a copy of what it has stored.
    fn change(
        &self,
        (author, other): (&Member<MemoryStorage>, &Member<MemoryStorage>),
        make: impl FnOnce(&Member<MemoryStorage>, &mut MlsGroup) -> MlsMessageOut,
    ) -> Change {
        let (author, other) = (copy(author), copy(other));
        let (mut sending, mut receiving) = (load(&author, &self.id), load(&other, &self.id));
        let (commit, time) = timed(|| make(&author, &mut sending).to_bytes().unwrap());
        let (_, received) = timed(|| receive(&other, &mut receiving, &commit));
        Change { author: Cost { time, bytes: commit.len() }, receiver: Cost { time: received, bytes: commit.len() } }
    }

    /// Lets one member of every subtree beside the founder's path commit once.
    fn warmed(&self) -> (Member<MemoryStorage>, Member<MemoryStorage>) {
        let (founder, reader) = (copy(&self.founder), copy(&self.reader));
        let join = |leaf: usize| {
            let member = copy(&self.members[leaf]);
            let group = member.join(&self.welcome, Window::Default);
            (member, group)
        };
        let mut others: Vec<_> = tree::beside_the_first(self.members.len()).into_iter().map(join).collect();
        let mut readers = [&founder, &reader].map(|member| (member, load(member, &self.id)));
        for author in 0..others.len() {
            let (member, group) = &mut others[author];
            let commit = heal(member, group).to_bytes().unwrap();
            group.merge_pending_commit(&member.backend).unwrap();
            for (i, (member, group)) in others.iter_mut().enumerate() {
                if i != author {
                    receive(member, group, &commit);
                }
            }
            readers.iter_mut().for_each(|(member, group)| receive(member, group, &commit));
        }
        (founder, reader)
    }
}

fn load(member: &Member<MemoryStorage>, id: &GroupId) -> MlsGroup {
    MlsGroup::load(&member.backend.storage, id).unwrap().expect("the group is stored")
}

/// The commit that lets them in once their packages are found valid, and their welcome.
fn let_in(founder: &Member<MemoryStorage>, group: &mut MlsGroup, packages: &[KeyPackageIn]) -> (Vec<u8>, Vec<u8>) {
    let crypto = founder.backend.crypto();
    let valid = |package: &KeyPackageIn| package.clone().validate(crypto, ProtocolVersion::Mls10).unwrap();
    let packages: Vec<KeyPackage> = packages.iter().map(valid).collect();
    let (commit, welcome, _) =
        group.add_members_without_update(&founder.backend, founder.signer.as_ref(), &packages).unwrap();
    (commit.to_bytes().unwrap(), welcome.to_bytes().unwrap())
}

fn heal(member: &Member<MemoryStorage>, group: &mut MlsGroup) -> MlsMessageOut {
    let parameters = LeafNodeParameters::default();
    group.self_update(&member.backend, member.signer.as_ref(), parameters).unwrap().into_commit()
}

fn receive(member: &Member<MemoryStorage>, group: &mut MlsGroup, commit: &[u8]) {
    let message = parse(commit).unwrap().try_into_protocol_message().unwrap();
    let processed = group.process_message(&member.backend, message).unwrap();
    let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else { panic!("not a commit") };
    group.merge_staged_commit(&member.backend, *staged).unwrap();
}

impl Membership for BigGroup {
    fn scope(&self) -> Scope {
        Scope::Whole
    }

    fn create(&mut self) -> Cost {
        let founder = copy(&self.members[0]);
        let mut group = load(&founder, &self.id);
        let ((commit, welcome), time) = timed(|| let_in(&founder, &mut group, &self.packages));
        Cost { time, bytes: commit.len() + welcome.len() }
    }

    fn join(&mut self) -> Cost {
        let joiner = copy(self.members.last().expect("the reader"));
        let (_, time) = timed(|| joiner.join(&self.welcome, Window::Default));
        Cost { time, bytes: self.welcome.len() }
    }

    fn remove(&mut self) -> Change {
        self.change((&self.founder, &self.reader), |member, group| {
            let removed = [LeafNodeIndex::new(1)];
            group.remove_members(&member.backend, member.signer.as_ref(), &removed).unwrap().0
        })
    }

    fn heal(&mut self) -> Change {
        self.change((&self.founder, &self.reader), heal)
    }

    fn stored(&mut self) -> usize {
        let values = self.reader.backend.storage.values.read().unwrap();
        values.iter().map(|(key, value)| key.len() + value.len()).sum()
    }

    fn heal_warm(&mut self) -> Option<Change> {
        let (founder, reader) = self.warm.take().unwrap_or_else(|| self.warmed());
        let change = self.change((&founder, &reader), heal);
        self.warm = Some((founder, reader));
        Some(change)
    }
}
