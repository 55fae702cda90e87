//! Every attack of the list, by an adversary that really holds what the attack says: tests are named after its rows, and
//! `docs/validation.md` says which rule and which code each of them is about.

#![allow(unreachable_pub, reason = "the modules of a test have no outside")]

#[path = "../support/impostor.rs"]
mod impostor;
mod kit;
#[path = "../support/mod.rs"]
mod support;

// Rows 1 to 18.
mod bounds;
mod committers;
mod curves;
mod dumps;
mod every_byte;
mod forgery;
mod hub_changes;
mod inviter;
mod malformed;
mod power;
mod races;
mod removed;
mod replay;
mod rollback;
mod salamanders;
mod swapped;
mod vouching;

// Rows 19 to 34, and rules that no row names.
mod attachments;
mod clocks;
mod configuration;
mod confusion;
mod content;
mod downgrade;
mod entries;
mod invalid_leaves;
mod judges;
mod labels;
mod late;
mod link_answers;
mod link_approval;
mod linking;
mod links;
mod missing;
mod packages;
mod reports;
mod resealing;
mod returning;
mod revocations;
mod rules;
mod stolen_store;
mod strangers;
mod verdicts;
mod weather;
mod witness;
