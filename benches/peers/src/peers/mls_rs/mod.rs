//! mls-rs, with either of two implementations of the cryptography.

mod disk;
mod group;

use mls_rs::client_builder::{ClientBuilder, MlsConfig, PaddingMode};
use mls_rs::group::{Group, ReceivedMessage};
use mls_rs::identity::SigningIdentity;
use mls_rs::identity::basic::{BasicCredential, BasicIdentityProvider};
use mls_rs::mls_rules::{DefaultMlsRules, EncryptionOptions};
use mls_rs::storage_provider::in_memory::InMemoryGroupStateStorage;
use mls_rs::{CipherSuite, CipherSuiteProvider, Client, CryptoProvider, GroupStateStorage, MlsMessage};
use mls_rs_crypto_awslc::AwsLcCryptoProvider;
use mls_rs_crypto_rustcrypto::RustCryptoProvider;

use crate::peers::NOT_RUST;
use crate::works::{Disk, Frame, Membership, Messages, Peer, Setting};

const SUITE: CipherSuite = CipherSuite::CURVE25519_AES128;

/// With the provider that everyone may use.
pub fn rust_crypto() -> impl Peer {
    MlsRs { name: "mls-rs RustCrypto", crypto: RustCryptoProvider::new() }
}

/// With the provider over C and assembly.
pub fn aws_lc() -> impl Peer {
    MlsRs { name: NOT_RUST, crypto: AwsLcCryptoProvider::new() }
}

struct MlsRs<P> {
    name: &'static str,
    crypto: P,
}

impl<P: CryptoProvider + Clone + 'static> Peer for MlsRs<P> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn notes(&self) -> Vec<String> {
        if self.name == NOT_RUST {
            return vec!["As with RustCrypto, but computed by aws-lc: C and assembly for each processor.".into()];
        }
        [
            "Suite X25519, AES-128-GCM, SHA-256, Ed25519; basic credentials, so nobody vouches for a member. Commits are \
             private messages (`encrypt_control_messages`), padding as it is set by default, the ratchet tree inside \
             the welcome.",
            "All default features. Its `rayon` works on as many threads as the bench is told to use, one by default.",
            "Keys for up to 1,024 late messages are kept by default, which reverse order needs.",
            "Persisted: mls-rs-provider-sqlite writes the whole state when `write_to_storage` is called, here after \
             every message or once for a batch.",
        ]
        .map(String::from)
        .to_vec()
    }

    fn messages(&self, setting: Setting) -> Box<dyn Messages> {
        let in_memory = || client(&self.crypto, InMemoryGroupStateStorage::new());
        let others: Vec<_> = (0..setting.senders).map(|_| in_memory()).collect();
        let silent = (1 + others.len()..setting.members).map(|_| key_package(&in_memory()));
        let (first, mut joined) = found(&in_memory(), &others, silent.collect());
        let reader = joined.pop().expect("somebody reads");
        let senders = std::iter::once(first).chain(joined).collect();
        Box::new(Messaging { senders, reader })
    }

    fn membership(&self, n: usize) -> Box<dyn Membership> {
        group::new(&self.crypto, n)
    }

    fn disks(&self) -> Vec<Disk> {
        disk::all(&self.crypto)
    }
}

/// A client with keys of its own, whose groups are kept in `storage`.
fn client<P, S>(crypto: &P, storage: S) -> Client<impl MlsConfig + use<P, S>>
where
    P: CryptoProvider + Clone + 'static,
    S: GroupStateStorage + Clone + 'static,
{
    let suite = crypto.cipher_suite_provider(SUITE).unwrap();
    let (secret, public) = suite.signature_key_generate().unwrap();
    let name = public.as_bytes().to_vec();
    let identity = SigningIdentity::new(BasicCredential::new(name).into_credential(), public);
    let encryption = EncryptionOptions::new(true, PaddingMode::default());
    ClientBuilder::new()
        .group_state_storage(storage)
        .identity_provider(BasicIdentityProvider::new())
        .crypto_provider(crypto.clone())
        .mls_rules(DefaultMlsRules::new().with_encryption_options(encryption))
        .signing_identity(identity, secret, SUITE)
        .build()
}

/// A group of a founder, these others who hold it too, and the owners of these key packages.
fn found<C: MlsConfig>(
    founder: &Client<C>,
    others: &[Client<C>],
    silent: Vec<MlsMessage>,
) -> (Group<C>, Vec<Group<C>>) {
    let mut group = founder.create_group(Default::default(), Default::default(), None).unwrap();
    let mut commit = group.commit_builder();
    for package in others.iter().map(key_package).chain(silent) {
        commit = commit.add_member(package).unwrap();
    }
    let output = commit.build().unwrap();
    group.apply_pending_commit().unwrap();
    let join = |other: &Client<C>| other.join_group(None, &output.welcome_messages[0], None).unwrap().0;
    (group, others.iter().map(join).collect())
}

fn key_package<C: MlsConfig>(client: &Client<C>) -> MlsMessage {
    client.generate_key_package_message(Default::default(), Default::default(), None).unwrap()
}

struct Messaging<C: MlsConfig> {
    senders: Vec<Group<C>>,
    reader: Group<C>,
}

impl<C: MlsConfig> Messages for Messaging<C> {
    fn encrypt(&mut self, sender: usize, content: &[u8]) -> Vec<u8> {
        encrypt(&mut self.senders[sender], content)
    }

    fn decrypt(&mut self, frame: &Frame) -> Option<Vec<u8>> {
        decrypt(&mut self.reader, &frame.bytes)
    }
}

fn encrypt<C: MlsConfig>(group: &mut Group<C>, content: &[u8]) -> Vec<u8> {
    group.encrypt_application_message(content, Vec::new()).unwrap().to_bytes().unwrap()
}

fn decrypt<C: MlsConfig>(group: &mut Group<C>, frame: &[u8]) -> Option<Vec<u8>> {
    match group.process_incoming_message(MlsMessage::from_bytes(frame).ok()?).ok()? {
        ReceivedMessage::ApplicationMessage(message) => Some(message.data().to_vec()),
        _ => None,
    }
}
