//! openmls over RustCrypto.

mod disk;
mod group;

use std::rc::Rc;

use openmls::prelude::tls_codec::Deserialize as _;
use openmls::prelude::*;
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::{MemoryStorage, RustCrypto};
use openmls_traits::storage::{CURRENT_VERSION, StorageProvider};

use crate::works::{Disk, Frame, Membership, Messages, Peer, Setting, Window};

const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;

pub struct OpenMls;

impl Peer for OpenMls {
    fn name(&self) -> &'static str {
        "openmls"
    }

    fn notes(&self) -> Vec<String> {
        [
            "openmls_rust_crypto, suite X25519, AES-128-GCM, SHA-256, Ed25519; basic credentials, so nobody vouches for a \
             member. Commits are private messages, the ratchet tree is inside the welcome, no padding by default.",
            "In memory means openmls_memory_storage, which openmls writes to with every message: its own way, included \
             in the figures, and the reason why a message costs more in a larger group.",
            "Reverse order needs a wider `SenderRatchetConfiguration` than the default of 5 late messages: (2000, 2000), \
             for this work alone.",
            "It uses rayon for commits, on as many threads as the bench is told to use, one by default.",
            "Persisted: openmls_sqlite_storage with postcard as its codec (JSON is larger and slower). A batch is one \
             transaction around the calls, which its borrowed connection allows.",
        ]
        .map(String::from)
        .to_vec()
    }

    fn messages(&self, setting: Setting) -> Box<dyn Messages> {
        let founder = Member::new(MemoryStorage::default());
        let others: Vec<_> = (0..setting.senders).map(|_| Member::new(MemoryStorage::default())).collect();
        let (group, mut joined) = found(&founder, &others, setting.members, setting.window);
        let mut members: Vec<_> = std::iter::once(founder).chain(others).collect();
        let reader = (members.pop().expect("somebody reads"), joined.pop().expect("somebody reads"));
        let senders = members.into_iter().zip(std::iter::once(group).chain(joined)).collect();
        Box::new(Messaging { senders, reader })
    }

    fn membership(&self, n: usize) -> Box<dyn Membership> {
        Box::new(group::BigGroup::new(n))
    }

    fn disks(&self) -> Vec<Disk> {
        disk::all()
    }
}

/// Cryptography and storage of one member.
struct Backend<S> {
    crypto: RustCrypto,
    storage: S,
}

impl<S: StorageProvider<CURRENT_VERSION>> OpenMlsProvider for Backend<S> {
    type CryptoProvider = RustCrypto;
    type RandProvider = RustCrypto;
    type StorageProvider = S;

    fn storage(&self) -> &S {
        &self.storage
    }

    fn crypto(&self) -> &RustCrypto {
        &self.crypto
    }

    fn rand(&self) -> &RustCrypto {
        &self.crypto
    }
}

struct Member<S> {
    backend: Backend<S>,
    signer: Rc<SignatureKeyPair>,
    credential: CredentialWithKey,
}

impl<S: StorageProvider<CURRENT_VERSION>> Member<S> {
    fn new(storage: S) -> Self {
        let signer = SignatureKeyPair::new(SignatureScheme::ED25519).unwrap();
        let key = signer.to_public_vec();
        let credential = BasicCredential::new(key.clone()).into();
        Self {
            backend: Backend { crypto: RustCrypto::default(), storage },
            credential: CredentialWithKey { credential, signature_key: key.into() },
            signer: Rc::new(signer),
        }
    }

    /// The same member over another storage.
    fn over<T>(&self, storage: T) -> Member<T> {
        Member {
            backend: Backend { crypto: RustCrypto::default(), storage },
            signer: Rc::clone(&self.signer),
            credential: self.credential.clone(),
        }
    }

    fn key_package(&self) -> KeyPackage {
        let credential = self.credential.clone();
        let bundle = KeyPackage::builder().build(SUITE, &self.backend, self.signer.as_ref(), credential).unwrap();
        bundle.key_package().clone()
    }

    fn create(&self, window: Window) -> MlsGroup {
        let config = MlsGroupCreateConfig::builder()
            .ciphersuite(SUITE)
            .wire_format_policy(PURE_CIPHERTEXT_WIRE_FORMAT_POLICY)
            .use_ratchet_tree_extension(true)
            .sender_ratchet_configuration(ratchet(window))
            .build();
        MlsGroup::new(&self.backend, self.signer.as_ref(), &config, self.credential.clone()).unwrap()
    }

    fn join(&self, welcome: &[u8], window: Window) -> MlsGroup {
        let config = MlsGroupJoinConfig::builder()
            .wire_format_policy(PURE_CIPHERTEXT_WIRE_FORMAT_POLICY)
            .use_ratchet_tree_extension(true)
            .sender_ratchet_configuration(ratchet(window))
            .build();
        let MlsMessageBodyIn::Welcome(welcome) = parse(welcome).expect("a message").extract() else {
            panic!("not a welcome")
        };
        let staged = StagedWelcome::new_from_welcome(&self.backend, &config, welcome, None).unwrap();
        staged.into_group(&self.backend).unwrap()
    }

    fn encrypt(&self, group: &mut MlsGroup, content: &[u8]) -> Vec<u8> {
        group.create_message(&self.backend, self.signer.as_ref(), content).unwrap().to_bytes().unwrap()
    }

    fn decrypt(&self, group: &mut MlsGroup, frame: &[u8]) -> Option<Vec<u8>> {
        let message = parse(frame)?.try_into_protocol_message().ok()?;
        match group.process_message(&self.backend, message).ok()?.into_content() {
            ProcessedMessageContent::ApplicationMessage(message) => Some(message.into_bytes()),
            _ => None,
        }
    }
}

fn ratchet(window: Window) -> SenderRatchetConfiguration {
    match window {
        Window::Default => SenderRatchetConfiguration::default(),
        Window::Wide => SenderRatchetConfiguration::new(2_000, 2_000),
    }
}

fn parse(bytes: &[u8]) -> Option<MlsMessageIn> {
    MlsMessageIn::tls_deserialize_exact(bytes).ok()
}

/// A group of `members`, of whom the founder and these others hold it themselves.
fn found<S: StorageProvider<CURRENT_VERSION>>(
    founder: &Member<S>,
    others: &[Member<S>],
    members: usize,
    window: Window,
) -> (MlsGroup, Vec<MlsGroup>) {
    let mut group = founder.create(window);
    let silent = (1 + others.len()..members).map(|_| Member::new(MemoryStorage::default()).key_package());
    let packages: Vec<_> = others.iter().map(Member::key_package).chain(silent).collect();
    let (_, welcome, _) =
        group.add_members_without_update(&founder.backend, founder.signer.as_ref(), &packages).unwrap();
    group.merge_pending_commit(&founder.backend).unwrap();
    let welcome = welcome.to_bytes().unwrap();
    (group, others.iter().map(|other| other.join(&welcome, window)).collect())
}

struct Messaging {
    senders: Vec<(Member<MemoryStorage>, MlsGroup)>,
    reader: (Member<MemoryStorage>, MlsGroup),
}

impl Messages for Messaging {
    fn encrypt(&mut self, sender: usize, content: &[u8]) -> Vec<u8> {
        let (member, group) = &mut self.senders[sender];
        member.encrypt(group, content)
    }

    fn decrypt(&mut self, frame: &Frame) -> Option<Vec<u8>> {
        let (member, group) = &mut self.reader;
        member.decrypt(group, &frame.bytes)
    }
}
