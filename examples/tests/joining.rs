//! How people come in: the example of an invite link.

#[path = "../invite_link.rs"]
#[allow(dead_code, reason = "only its story is told")]
mod invite_link;

#[test]
fn a_link_is_opened_asked_by_answered_rotated_and_runs_out() {
    let mut out = Vec::new();
    invite_link::run(&mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains("shares it:\n  convivio:join#"), "{out}");
    let told = |name: &str, text: &str| assert!(out.contains(&format!("{name}: {text}")), "{name}: {text}\n{out}");
    told("Maria", "bob of courier.example asks to join\nBob: in \u{201c}Book club\u{201d}, let in by maria, 2 people");
    told("Maria", "cem of courier.example asks to join\nCem: in \u{201c}Book club\u{201d}, let in by maria, 3 people");
    told("Maria", "dora of courier.example asks to join\nDora: not let in, and told nothing");
    told("Eve, by the old one", "not let in, and told nothing");
    assert!(!out.contains("eve of"), "a request by a closed link was told:\n{out}");
    told("Fay", "this invite link has expired: ask for another");
    assert!(out.ends_with("In the group: bob, cem, maria\n"), "{out}");
}
