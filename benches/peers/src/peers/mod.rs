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

/// Who computes with C and assembly. All others are Rust, but for SQLite.
pub const NOT_RUST: &str = "mls-rs aws-lc";

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
