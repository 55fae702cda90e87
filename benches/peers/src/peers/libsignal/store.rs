//! Stores in memory, which the library asks its user to bring.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use wacore_libsignal::protocol::error::Result;
use wacore_libsignal::protocol::{
    Direction, IdentityChange, IdentityKey, IdentityKeyPair, IdentityKeyStore, PreKeyId, PreKeyRecord, PreKeyStore,
    ProtocolAddress, SenderKeyName, SenderKeyRecord, SenderKeyStore, SessionRecord, SessionStore, SignalProtocolError,
    SignedPreKeyId, SignedPreKeyRecord, SignedPreKeyStore,
};

/// Sender keys. A record is taken out to be used and put back, so that no message pays for a copy of late keys.
#[derive(Default)]
pub(super) struct SenderKeys(Mutex<HashMap<SenderKeyName, Option<SenderKeyRecord>>>);

impl SenderKeys {
    pub(super) fn bytes(&self) -> usize {
        let records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        records.values().flatten().map(|record| record.serialize().unwrap().len()).sum()
    }
}

#[async_trait]
impl SenderKeyStore for SenderKeys {
    async fn store_sender_key(&mut self, name: &SenderKeyName, record: SenderKeyRecord) -> Result<()> {
        let records = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        match records.get_mut(name) {
            Some(slot) => *slot = Some(record),
            None => drop(records.insert(name.clone(), Some(record))),
        }
        Ok(())
    }

    async fn load_sender_key(&self, name: &SenderKeyName) -> Result<Option<SenderKeyRecord>> {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(records.get_mut(name).and_then(Option::take))
    }
}

#[derive(Default)]
pub(super) struct Sessions(HashMap<ProtocolAddress, SessionRecord>);

impl Sessions {
    pub(super) fn bytes(&self) -> usize {
        self.0.values().map(|record| record.serialize().unwrap().len()).sum()
    }
}

#[async_trait]
impl SessionStore for Sessions {
    async fn load_session(&self, address: &ProtocolAddress) -> Result<Option<SessionRecord>> {
        Ok(self.0.get(address).cloned())
    }

    async fn has_session(&self, address: &ProtocolAddress) -> Result<bool> {
        Ok(self.0.contains_key(address))
    }

    async fn store_session(&mut self, address: &ProtocolAddress, record: SessionRecord) -> Result<()> {
        self.0.insert(address.clone(), record);
        Ok(())
    }
}

/// One's own identity, and the identities met.
pub(super) struct Identities {
    pub(super) own: IdentityKeyPair,
    met: HashMap<ProtocolAddress, IdentityKey>,
}

impl Identities {
    pub(super) fn new(own: IdentityKeyPair) -> Self {
        Self { own, met: HashMap::new() }
    }
}

#[async_trait]
impl IdentityKeyStore for Identities {
    async fn get_identity_key_pair(&self) -> Result<IdentityKeyPair> {
        Ok(self.own.clone())
    }

    async fn get_local_registration_id(&self) -> Result<u32> {
        Ok(1)
    }

    async fn save_identity(&mut self, address: &ProtocolAddress, identity: &IdentityKey) -> Result<IdentityChange> {
        let changed = self.met.get(address).is_some_and(|known| known != identity);
        self.met.insert(address.clone(), *identity);
        Ok(IdentityChange::from_changed(changed))
    }

    async fn is_trusted_identity(&self, address: &ProtocolAddress, key: &IdentityKey, _: Direction) -> Result<bool> {
        Ok(self.met.get(address).is_none_or(|known| known == key))
    }

    async fn get_identity(&self, address: &ProtocolAddress) -> Result<Option<IdentityKey>> {
        Ok(self.met.get(address).copied())
    }
}

#[derive(Default)]
pub(super) struct PreKeys(HashMap<PreKeyId, PreKeyRecord>);

#[async_trait]
impl PreKeyStore for PreKeys {
    async fn get_pre_key(&self, id: PreKeyId) -> Result<PreKeyRecord> {
        self.0.get(&id).cloned().ok_or(SignalProtocolError::InvalidPreKeyId)
    }

    async fn save_pre_key(&mut self, id: PreKeyId, record: &PreKeyRecord) -> Result<()> {
        self.0.insert(id, record.clone());
        Ok(())
    }

    async fn remove_pre_key(&mut self, id: PreKeyId) -> Result<()> {
        self.0.remove(&id);
        Ok(())
    }
}

#[derive(Default)]
pub(super) struct SignedPreKeys(HashMap<SignedPreKeyId, SignedPreKeyRecord>);

#[async_trait]
impl SignedPreKeyStore for SignedPreKeys {
    async fn get_signed_pre_key(&self, id: SignedPreKeyId) -> Result<SignedPreKeyRecord> {
        self.0.get(&id).cloned().ok_or(SignalProtocolError::InvalidSignedPreKeyId)
    }

    async fn save_signed_pre_key(&mut self, id: SignedPreKeyId, record: &SignedPreKeyRecord) -> Result<()> {
        self.0.insert(id, record.clone());
        Ok(())
    }
}
