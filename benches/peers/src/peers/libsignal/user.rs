//! A user with pairwise sessions, over which sender keys travel.

use pollster::block_on;
use wacore_libsignal::protocol::{
    CiphertextMessage, CiphertextMessageType, GenericSignedPreKey, IdentityKeyPair, KeyPair, PreKeyBundle,
    PreKeyRecord, PreKeySignalMessage, PreKeyStore, ProtocolAddress, SignalMessage, SignedPreKeyRecord,
    SignedPreKeyStore, Timestamp, UsePQRatchet, message_decrypt, message_encrypt, process_prekey_bundle,
};

use super::store::{Identities, PreKeys, Sessions, SignedPreKeys};

/// A pairwise message on the wire.
pub(super) struct Wire {
    first: bool,
    pub(super) bytes: Vec<u8>,
}

pub(super) struct User {
    pub(super) address: ProtocolAddress,
    pub(super) identities: Identities,
    pub(super) sessions: Sessions,
    pre_keys: PreKeys,
    signed_pre_keys: SignedPreKeys,
}

impl User {
    pub(super) fn new(name: &str) -> Self {
        Self {
            address: ProtocolAddress::new(name, 1.into()),
            identities: Identities::new(IdentityKeyPair::generate(&mut rand::rng())),
            sessions: Sessions::default(),
            pre_keys: PreKeys::default(),
            signed_pre_keys: SignedPreKeys::default(),
        }
    }

    /// Publishes a one-time key and a signed key.
    pub(super) fn bundle(&mut self) -> PreKeyBundle {
        let mut rng = rand::rng();
        let (one_time, signed) = (KeyPair::generate(&mut rng), KeyPair::generate(&mut rng));
        let own = &self.identities.own;
        let signature = own.private_key().calculate_signature(&signed.public_key.serialize(), &mut rng).unwrap();
        let record = SignedPreKeyRecord::new(1.into(), Timestamp::from_epoch_millis(0), &signed, &signature);
        block_on(self.pre_keys.save_pre_key(1.into(), &PreKeyRecord::new(1.into(), &one_time))).unwrap();
        block_on(self.signed_pre_keys.save_signed_pre_key(1.into(), &record)).unwrap();
        let (one_time, signed) = (Some((1.into(), one_time.public_key)), (1.into(), signed.public_key));
        let identity = *self.identities.own.identity_key();
        PreKeyBundle::new(1, 1.into(), one_time, signed.0, signed.1, signature.to_vec(), identity).unwrap()
    }

    /// Starts a session with whoever published this.
    pub(super) fn meet(&mut self, address: &ProtocolAddress, bundle: &PreKeyBundle) {
        let (sessions, identities, rng) = (&mut self.sessions, &mut self.identities, &mut rand::rng());
        block_on(process_prekey_bundle(address, sessions, identities, bundle, rng, UsePQRatchet::No)).unwrap();
    }

    pub(super) fn encrypt(&mut self, to: &ProtocolAddress, content: &[u8]) -> Wire {
        let message = block_on(message_encrypt(content, to, &mut self.sessions, &mut self.identities)).unwrap();
        let first = message.message_type() == CiphertextMessageType::PreKey;
        Wire { first, bytes: message.serialize().to_vec() }
    }

    pub(super) fn decrypt(&mut self, from: &ProtocolAddress, wire: &Wire) -> Vec<u8> {
        let bytes = wire.bytes.as_slice();
        let message = if wire.first {
            CiphertextMessage::PreKeySignalMessage(PreKeySignalMessage::try_from(bytes).unwrap())
        } else {
            CiphertextMessage::SignalMessage(SignalMessage::try_from(bytes).unwrap())
        };
        let Self { sessions, identities, pre_keys, signed_pre_keys, .. } = self;
        let rng = &mut rand::rng();
        let read =
            message_decrypt(&message, from, sessions, identities, pre_keys, signed_pre_keys, rng, UsePQRatchet::No);
        block_on(read).unwrap().plaintext
    }
}
