//! Who a device is, which app vouches for it, and the keys it brings to a group (`docs/protocol.md`, section 3).
//!
//! Trust runs in one line, each link a signature over the next key: an app's root names an [app key](AppKey), the app
//! key a user's [identity key](IdentityKey) in a [`Credential`], the identity key a device key in a
//! [`DeviceCertificate`], and the device key the fresh keys of a [`Leaf`]. Which roots to trust is the caller's
//! decision, made in [`TrustedApps`].
//!
//! What is read from bytes is a claim. `Unverified…::verify` walks the whole line and gives the type that the rest of
//! the crate accepts.

mod app;
mod chain;
mod claims;
mod credential;
mod device;
mod key_package;
mod leaf;
mod refreshed_leaf;
mod revocation;
mod safety_number;
mod statement;
mod uri;

pub use app::{AppKey, AppKeyCertificate, AppRoot, TrustedApp, TrustedApps};
pub use claims::{Capabilities, LeafClaims, Source};
pub use credential::Credential;
pub(crate) use device::LAST_SERIAL;
pub use device::{DeviceCertificate, DeviceIdentity, IdentityKey, UnverifiedDeviceIdentity};
pub use key_package::{KeyPackage, KeyPackageSecrets, PackageOptions, UnverifiedKeyPackage};
pub(crate) use leaf::check_all;
pub use leaf::{Leaf, LeafBody, UnverifiedLeaf, sign_leaf, verify_all};
pub(crate) use refreshed_leaf::RefreshedLeaf;
pub use revocation::{Revocation, Revoked};
pub use safety_number::{QrComparison, SafetyNumber};
pub(crate) use safety_number::{half_of_digits, write_in_fives};
pub use uri::{AppDomain, UserUri};
