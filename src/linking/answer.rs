//! What the device that holds the identity key says to an offer.
//!
//! ```text
//! payload = salt ‖ ChaCha20-Poly1305(key, nonce, no associated data, text)       of a standalone envelope to the pairing key
//! salt         = expand_label(secret, "link salt", offer hash ‖ SHA-256(text), 16)
//! key ‖ nonce  = expand_label(secret, "link key", offer hash ‖ salt, 44)
//! ```
//!
//! The salt depends on the text, so that two answers to one offer never meet under one key, whatever the random generator.

use core::fmt;

use rand::CryptoRng;
use zeroize::Zeroizing;

use super::offer::DeviceOffer;
use crate::crypto::aead;
use crate::crypto::kdf::{self, sha256};
use crate::envelope::{Recipient, recipient_id, seal_to};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{DeviceIdentity, IdentityKey, UnverifiedDeviceIdentity};
use crate::ids::Timestamp;
use crate::labels;
use crate::limits;
use crate::secret::Secret;
use crate::wire::{Reader, Writer};

const VERSION: u8 = 1;
const SALT: usize = 16;

/// Where the identity key is afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// Where it is. The new device cannot enrol others.
    Stay,
    /// On the new device as well, whose app is to keep it. Erase it on this one once the new device says that it has it,
    /// if it is to move.
    Copy,
}

/// How an offer is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answering {
    /// The serial of the new certificate: [`Client::next_serial`](crate::Client::next_serial).
    pub serial: u64,
    /// This moment.
    pub now: Timestamp,
    /// Whether the identity key goes along.
    pub transfer: Transfer,
}

impl DeviceOffer {
    /// Certifies the device that offers itself, and seals to it what makes it one of `own`'s user. At most
    /// [`limits::DEVICE_ANSWER`] bytes, which may travel by any channel, through anyone.
    ///
    /// Ask the user first: this is how a device gets to read and write as them. Fails with `Misuse` if the offer is this
    /// device's own, if `identity` is not the key of `own`, or if a key is to go along that lives in a key store; with
    /// `Expired` if the credential, or the app key under it, does not hold at `now`, which the new device would refuse; and as a
    /// key store fails.
    pub fn answer(
        &self,
        own: &DeviceIdentity,
        identity: &IdentityKey,
        answering: Answering,
        rng: &mut dyn CryptoRng,
    ) -> Result<Vec<u8>> {
        if own.device() == self.device() || own.device_key() == self.device_key() {
            return Err(Error::misuse("this device is the one that answers: scan the code of the new one"));
        }
        if own.identity_key() != identity.public() {
            return Err(Error::misuse("this is not the identity key of the device's user"));
        }
        if !own.credential().holds_at(answering.now) {
            return Err(Error::new(
                ErrorKind::Expired,
                "this device's credential, or the app key under it, has run out: renew it first",
            ));
        }
        let seed = match answering.transfer {
            Transfer::Stay => None,
            Transfer::Copy => Some(
                identity
                    .expose_seed()
                    .ok_or(Error::misuse("the identity key lives in a key store and cannot go along: let it stay"))?,
            ),
        };
        let Answering { serial, now, .. } = answering;
        let certificate = identity.certify_device(own.user(), self.device(), self.device_key(), serial, now)?;
        let answer = Grant {
            identity: UnverifiedDeviceIdentity::new(own.credential().clone(), certificate),
            seed: seed.map(Secret::copy_from),
        };
        let (sealed, id) = (self.seal(answer.encode()), recipient_id(self.pairing_key().as_bytes()));
        let to = [Recipient::X25519 { id: id.clone(), key: self.pairing_key() }];
        let envelope = seal_to(identity.signer(), &[], &to, &sealed, rng)?;
        let part = envelope.split(&id).ok_or(Error::misuse("an envelope has no part for its recipient"))?;
        Ok(part.to_bytes())
    }

    fn seal(&self, mut text: Zeroizing<Vec<u8>>) -> Vec<u8> {
        let salt: Secret<SALT> = kdf::expand_label(
            self.secret().expose(),
            labels::LINK_SALT,
            &[self.hash().as_slice(), &sha256(&text)].concat(),
        );
        let (key, nonce) = self.key(salt.expose());
        aead::seal_in_place(key.expose(), &nonce, &[], &mut text, 0);
        [salt.expose().as_slice(), &text].concat()
    }

    fn unseal(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let (salt, sealed) = sealed.split_first_chunk::<SALT>().ok_or(Error::unauthentic())?;
        let (key, nonce) = self.key(salt);
        let mut text = Zeroizing::new(sealed.to_vec());
        aead::open_in_place(key.expose(), &nonce, &[], &mut text, 0).map_err(|_| Error::unauthentic())?;
        Ok(text)
    }

    fn key(&self, salt: &[u8; SALT]) -> (Secret<32>, [u8; 12]) {
        let context = [self.hash().as_slice(), salt].concat();
        let both: Secret<44> = kdf::expand_label(self.secret().expose(), labels::LINK_KEY, &context);
        let (front, back) = both.expose().split_at(32);
        let mut nonce = [0; 12];
        nonce.copy_from_slice(back);
        (Secret::fill_with(|key| key.copy_from_slice(front)), nonce)
    }

    /// What the payload of an answer's envelope says. `Unauthentic` if it is not an answer to this offer.
    pub(super) fn read(&self, payload: &[u8]) -> Result<Grant> {
        Grant::decode(&self.unseal(payload)?)
    }
}

/// What an answer brings: the chain of trust that ends in the new device, and perhaps the identity key.
pub(super) struct Grant {
    pub(super) identity: UnverifiedDeviceIdentity,
    pub(super) seed: Option<Secret<32>>,
}

impl Grant {
    /// As long with a seed as without, so that its length does not tell.
    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut w = Writer::with_capacity(limits::DEVICE_IDENTITY.saturating_add(64));
        w.array(4).uint(VERSION.into()).item(&self.identity).bool(self.seed.is_some());
        w.bytes(self.seed.as_ref().map_or(&[0; 32], |seed| seed.expose()));
        Zeroizing::new(w.finish())
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let mut r = Reader::new(bytes);
        r.array(4)?;
        if r.u8()? != VERSION {
            return Err(Error::new(ErrorKind::Unsupported, "the answer is of another version: update the library"));
        }
        let (identity, comes) = (r.item()?, r.bool()?);
        let seed = Secret::copy_from(r.fixed_ref()?);
        r.finish()?;
        let read = Self { identity, seed: comes.then_some(seed) };
        if *read.encode() != bytes {
            return Err(Error::malformed("not the one deterministic encoding of this value"));
        }
        Ok(read)
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { identity, seed: _ } = self;
        f.debug_struct("Grant").field("identity", identity).finish_non_exhaustive()
    }
}
