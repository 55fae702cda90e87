//! The examples about devices and verification do what they say.

#![allow(clippy::duplicate_mod, reason = "both examples show codes")]

#[path = "../two_devices.rs"]
#[allow(dead_code)]
mod two_devices;
#[path = "../verify_safety_number.rs"]
#[allow(dead_code)]
mod verify_safety_number;

fn shows(run: impl Fn(&mut dyn std::io::Write) -> convivio::Result<()>, all: &[&str]) {
    let mut out = Vec::new();
    run(&mut out).unwrap();
    let mut rest = std::str::from_utf8(&out).unwrap();
    for shown in all {
        let at = rest.find(shown).unwrap_or_else(|| panic!("{shown:?} is not shown, or not in its place:\n{rest}"));
        rest = &rest[at + shown.len()..];
    }
}

#[test]
fn a_laptop_is_linked_used_lost_and_revoked() {
    shows(
        |out| two_devices::run(out),
        &[
            "█",
            "Link device",
            "This becomes a device of mimi://courier.example/u/bob. Is that you?",
            "adds the laptop to 3 groups",
            "laptop      certificate no. 1  in 3 groups",
            "phone reads: [\"See you at the church!\"]  laptop reads: [\"See you at the church!\"]",
            "Maria reads: [\"I will be late for the match\"]  phone reads: [\"I will be late for the match\"]",
            "still in 3 groups …",
            "still in 0 groups: done.",
            "phone reads: [\"The gift is a secret\"]  laptop reads: []",
        ],
    );
}

#[test]
fn a_user_is_verified_and_a_stranger_in_their_place_is_not() {
    shows(
        |out| verify_safety_number::run(out),
        &[
            "known, not verified",
            "█",
            "It matches",
            "verified ✔",
            "Equal: both see the same members",
            "you had verified this user",
            "another identity key than the one that was verified, in 1 group(s)",
            "Mismatch",
        ],
    );
}
