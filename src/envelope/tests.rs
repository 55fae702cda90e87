//! Attacks that need the inside of an envelope.
