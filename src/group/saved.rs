//! A group in one secret record, for those who bring their own storage.

use zeroize::Zeroizing;

use super::Group;
use super::schedule::EpochSecrets;
use super::state::UnverifiedState;
use crate::crypto::kem::SealSecret;
use crate::crypto::sign::SigningKey;
use crate::error::{Error, Result};
use crate::ratchet::EpochContext;
use crate::secret::Secret;
use crate::wire::{Reader, Writer};

impl Group {
    /// Everything of this epoch but the chains, private keys included. Whoever reads it can act as this member.
    #[must_use]
    pub fn to_secret_bytes(&self) -> Zeroizing<Vec<u8>> {
        let EpochSecrets { context, exporter, authenticator, request, init } = &self.secrets;
        let mut w = Writer::new();
        w.array(9).item(&self.own);
        w.bytes(self.signing.expose_seed()).bytes(self.seal.expose().expose());
        w.bytes(context.header_key().expose()).bytes(exporter.expose()).bytes(authenticator);
        w.bytes(request.expose()).bytes(init.expose());
        self.state.write(&mut w);
        Zeroizing::new(w.finish())
    }

    /// Reads [`to_secret_bytes`](Self::to_secret_bytes) from one's own storage, without verifying the roster again:
    /// never for bytes from others. Fails with `Damaged`.
    pub fn from_secret_bytes(bytes: &[u8]) -> Result<Self> {
        read(bytes).map_err(|error| Error::damaged("a stored group is damaged").caused_by(error))
    }
}

fn read(bytes: &[u8]) -> Result<Group> {
    let mut r = Reader::new(bytes);
    r.array(9)?;
    let own = r.item()?;
    let signing = SigningKey::from_seed(Secret::<32>::copy_from(r.fixed_ref()?).expose());
    let seal = SealSecret::from_secret(Secret::copy_from(r.fixed_ref()?));
    let header_key = Secret::copy_from(r.fixed_ref()?);
    let exporter = Secret::copy_from(r.fixed_ref()?);
    let authenticator = r.fixed()?;
    let request = Secret::copy_from(r.fixed_ref()?);
    let init = Secret::copy_from(r.fixed_ref()?);
    let state = UnverifiedState::read(&mut r)?.assume_verified()?;
    r.finish()?;
    let context = EpochContext::new(state.group, state.epoch, state.context_hash(), header_key);
    let secrets = EpochSecrets { context, exporter, authenticator, request, init };
    Ok(Group { state, own, signing, seal, secrets })
}
