//! Everything people do in a group, on three apps that do not show the same things: the whole story, and what it shows.

#[path = "../group_life/main.rs"]
#[allow(dead_code)]
mod group_life;

#[test]
fn three_apps_live_through_all_of_it_in_one_group() {
    let mut out = Vec::new();
    let well = group_life::play(&mut out);
    let out = String::from_utf8(out).unwrap();
    assert!(matches!(well, Ok(true)), "{well:?}\n{out}");
    assert!(!out.contains('✘'), "{out}");
    for shown in [
        // The same poll, at an app that shows polls and at one that does not.
        "│ lemon     █    maria",
        "│ rita (shop.example): Which cake? · 1. lemon · 2. chocolate · 3. carrot",
        "│ bob (courier.example): Yes, by half past 3 (edited)",
        "bob (courier.example): carla (courier.example) was revoked by their app",
        "the group has new rules, bob (courier.example) was removed",
        "hold the same conversation",
    ] {
        assert!(out.contains(shown), "{shown:?} is not shown:\n{out}");
    }
}
