//! The libraries compared.

mod convivio;
mod libsignal;
mod mls_rs;
mod openmls;
mod tree;
mod vodozemac;

use crate::works::Peer;

/// Whose figures the others' are compared with.
pub const OWN: &str = "convivio";

/// All of them, this project's first.
pub fn all() -> Vec<Box<dyn Peer>> {
    vec![
        Box::new(convivio::Convivio),
        Box::new(vodozemac::Vodozemac),
        Box::new(libsignal::Libsignal),
        Box::new(openmls::OpenMls),
        Box::new(mls_rs::rust_crypto()),
        Box::new(mls_rs::aws_lc()),
    ]
}
