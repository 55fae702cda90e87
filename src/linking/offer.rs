//! What a new device shows to its user's other device.

use core::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use zeroize::Zeroizing;

use crate::crypto::kdf::{self, Hash};
use crate::crypto::kem::SealKey;
use crate::crypto::sign::VerifyKey;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::DeviceId;
use crate::labels;
use crate::secret::Secret;
use crate::wire::{Reader, Writer};

const VERSION: u8 = 1;

/// Bytes of the encoding, always: five heads and what they announce.
const LEN: usize = 121;

/// What the text form begins with, so that an app can tell what was scanned.
const PREFIX: &str = "convivio:device#";

/// What a new device shows, as a QR code, to the device that holds its user's identity key: the id and key it wants to be
/// certified, a key to seal the answer to, and a secret.
///
/// **Secret to bystanders**: whoever sees it cannot read the answer, but can answer first, as another user; the new device
/// therefore shows [whose it becomes](super::Link::identity) before it goes on. And whoever gets a user to scan an offer
/// of his own becomes that user's device: ask before answering, and scan only from a screen in sight.
pub struct DeviceOffer {
    device: DeviceId,
    key: VerifyKey,
    pairing: SealKey,
    secret: Secret<32>,
}

impl DeviceOffer {
    pub(super) const fn new(device: DeviceId, key: VerifyKey, pairing: SealKey, secret: Secret<32>) -> Self {
        Self { device, key, pairing, secret }
    }

    /// The id of the device that wants to be certified.
    #[must_use]
    pub const fn device(&self) -> DeviceId {
        self.device
    }

    /// Its key.
    #[must_use]
    pub const fn device_key(&self) -> &VerifyKey {
        &self.key
    }

    /// The key that the answer is sealed to.
    pub(super) const fn pairing_key(&self) -> &SealKey {
        &self.pairing
    }

    /// The secret under which the answer is sealed once more.
    pub(super) const fn secret(&self) -> &Secret<32> {
        &self.secret
    }

    /// By which an answer is bound to this offer. The secret is not in it: it is the key of whatever this is used for.
    pub(super) fn hash(&self) -> Hash {
        kdf::hash(labels::HASH_DEVICE_OFFER, 3, |w| {
            w.item(&self.device).item(&self.key).item(&self.pairing);
        })
    }

    /// For a QR code in binary mode, 121 bytes: array(1, device id, device key, pairing key, secret) in deterministic CBOR.
    #[must_use]
    pub fn to_secret_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut w = Writer::with_capacity(LEN);
        w.array(5).uint(VERSION.into()).item(&self.device).item(&self.key).item(&self.pairing);
        w.bytes(self.secret.expose());
        Zeroizing::new(w.finish())
    }

    /// Reads [`to_secret_bytes`](Self::to_secret_bytes). Fails with `Malformed` on anything but the one encoding and on a
    /// key that is of low order or not on its curve, and with `Unsupported` on another version.
    pub fn from_secret_bytes(bytes: &[u8]) -> Result<Self> {
        let mut r = Reader::new(bytes);
        r.array(5)?;
        if r.u8()? != VERSION {
            return Err(Error::new(ErrorKind::Unsupported, "a device offer of another version: update the library"));
        }
        let (device, key, pairing) = (r.item()?, r.item()?, r.item()?);
        let secret = Secret::copy_from(r.fixed_ref()?);
        r.finish()?;
        let read = Self { device, key, pairing, secret };
        // Whoever makes an offer chooses the time that this takes.
        if *read.to_secret_bytes() != bytes {
            return Err(Error::malformed("not the one deterministic encoding of this value"));
        }
        Ok(read)
    }

    /// For a QR code as text, or a link, 178 bytes: `convivio:device#` and the bytes as unpadded base64url. Never a web
    /// address: what is behind a `#` there still ends up in histories.
    #[must_use]
    pub fn to_secret_text(&self) -> Zeroizing<String> {
        let code = Zeroizing::new(Base64UrlUnpadded::encode_string(&self.to_secret_bytes()));
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len().saturating_add(code.len())));
        text.push_str(PREFIX);
        text.push_str(&code);
        text
    }

    /// Reads [`to_secret_text`](Self::to_secret_text). Fails with `Malformed` if it is not that, and as
    /// [`from_secret_bytes`](Self::from_secret_bytes) does.
    pub fn from_secret_text(text: &str) -> Result<Self> {
        let code =
            text.strip_prefix(PREFIX).ok_or(Error::malformed("not a device offer: scan the new device's code"))?;
        let mut bytes = Zeroizing::new([0; LEN]);
        let read = Base64UrlUnpadded::decode(code, &mut *bytes)
            .map_err(|_| Error::malformed("a device offer is not whole: scan the new device's code again"))?;
        Self::from_secret_bytes(read)
    }
}

impl fmt::Debug for DeviceOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, key, pairing: _, secret: _ } = self;
        f.debug_struct("DeviceOffer").field("device", device).field("key", key).finish_non_exhaustive()
    }
}
