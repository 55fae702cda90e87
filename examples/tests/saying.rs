//! What people say: the examples of polls and files.

#[path = "../attachment.rs"]
#[allow(dead_code, reason = "only its story is told")]
mod attachment;
#[path = "../poll.rs"]
#[allow(dead_code, reason = "only its story is told")]
mod poll;

#[test]
fn three_apps_hold_the_same_result_and_one_without_polls_reads_it() {
    let mut out = Vec::new();
    poll::run(&mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    assert!(out.starts_with("gita will see the question as text.\n"), "{out}");
    let open =
        "maria asks: Where to? (open)\n    Beach      ············ 0\n    Mountains  ████████···· 2 bob, maria\n";
    assert!(out.contains(open), "Bob's second vote replaced his first:\n{out}");
    let closed = open.replace("open", "closed");
    assert_eq!(out.matches(&closed).count(), 2, "his third came late:\n{out}");
    assert!(
        out.contains("maria: Where to?\n      1. Beach\n      2. Mountains\n  bob: Beach\n  bob: Mountains"),
        "{out}"
    );
    assert!(out.contains("gita: I would like the beach"), "{out}");
    assert!(out.ends_with("All three hold the same.\n"), "{out}");
}

#[test]
fn a_file_is_interrupted_resumed_and_verified() {
    for size in [3 * (1 << 20) + 17, 1 << 16] {
        let mut out = Vec::new();
        attachment::run(size, &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        let chunks = size.div_ceil(1 << 16);
        assert!(out.contains(&format!("in {chunks} chunks")), "{out}");
        assert!(out.contains(&format!("went on at chunk {}: video/mp4 as wedding.mp4 is whole", chunks / 2)), "{out}");
        assert!(out.contains("byte for byte"), "{out}");
        assert!(out.contains("refused"), "{out}");
    }
}
