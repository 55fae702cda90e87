//! What the tests of this package share: a device that is told what to do, and the words for it.

pub mod client;
pub mod conversation;
