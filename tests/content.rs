//! What people say, as bytes: what one app makes another reads, what it does not know it keeps, what is bad it refuses.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test says what went wrong by failing")]

use convivio::content::{
    Body, Choices, Content, Disposition, Expiry, External, Format, Kind, Part, Poll, Receipt, Semantics, Status,
    harmless, harmless_lines, safe_url,
};
use convivio::{ErrorKind, MessageId, Timestamp, limits};
use proptest::prelude::*;

const ID: MessageId = MessageId::from_bytes([7; 32]);
const SALT: [u8; 16] = [9; 16];

fn again(content: &Content) -> Content {
    Content::from_bytes(&content.to_bytes()).unwrap()
}

fn file() -> External {
    External {
        media_type: "image/jpeg".to_owned(),
        url: "https://files.example/1".to_owned(),
        expires: 0,
        size: 3,
        algorithm: 0x8001,
        key: vec![1; 32],
        nonce: Vec::new(),
        aad: vec![2; 8],
        hash_algorithm: 1,
        hash: vec![3; 32],
        description: "the beach".to_owned(),
        filename: "beach.jpg".to_owned(),
    }
}

fn poll() -> Poll {
    Poll::new("Where to?", &["Beach", "Mountains"], Choices::One).unwrap()
}

fn kind(bytes: &[u8]) -> ErrorKind {
    Content::from_bytes(bytes).unwrap_err().kind()
}

#[test]
fn every_kind_comes_back_as_what_it_was() {
    let vote = Content::vote(ID, &poll(), &[1]).unwrap();
    let receipts = [Receipt { message: ID, status: Status::Read }];
    let contents = [
        (Content::text("hi"), Kind::Text { text: "hi", format: Format::Plain }),
        (Content::markdown("*hi*").reply_to(ID), Kind::Text { text: "*hi*", format: Format::Markdown }),
        (Content::text("ho").replacing(ID), Kind::Text { text: "ho", format: Format::Plain }),
        (Content::reaction(ID, "👍").unwrap(), Kind::Reaction { to: ID, with: "👍" }),
        (Content::deletion(ID), Kind::Deletion { of: ID }),
        (Content::poll(&poll()), Kind::Poll(poll())),
        (vote, Kind::Vote { poll: ID, options: vec![1] }),
        (Content::close(ID), Kind::Closing { poll: ID }),
        (Content::attachment(file()), Kind::Attachment(&file())),
        (Content::receipts(&receipts).unwrap(), Kind::Receipts(receipts.to_vec())),
        (
            Content::custom("application/x-map", b"\x01", "a map"),
            Kind::Custom { media_type: "application/x-map", bytes: b"\x01" },
        ),
    ];
    for (content, meant) in contents {
        assert_eq!(content.kind(), meant);
        let read = again(&content);
        assert_eq!(read, content);
        assert_eq!(read.kind(), meant);
    }
}

#[test]
fn an_app_that_knows_only_text_has_something_to_show() {
    let shown = |content: Content| again(&content).fallback();
    assert_eq!(shown(Content::poll(&poll())), "Where to?\n1. Beach\n2. Mountains");
    assert_eq!(shown(Content::vote(ID, &poll(), &[0]).unwrap()), "Beach");
    assert_eq!(shown(Content::vote(ID, &poll(), &[]).unwrap()), "(no vote)");
    assert_eq!(shown(Content::markdown("*hi*")), "*hi*");
    assert_eq!(shown(Content::attachment(file())), "beach.jpg: the beach");
    assert_eq!(shown(Content::custom("application/x-map", b"\x01", "a map")), "a map");
    assert_eq!(shown(Content::deletion(ID)), "");
}

#[test]
fn what_is_not_known_survives() {
    let mut content = Content::new(Part {
        disposition: Disposition(200),
        language: "de, it".to_owned(),
        body: Body::Single { media_type: "application/x-new".to_owned(), bytes: vec![1, 2] },
    })
    .in_topic(b"wedding")
    .expiring(Expiry::AfterReading(60));
    // An array within a map, and a negative number: whatever CBOR has.
    content.extensions.insert("x-mood", vec![0xa1, 0x01, 0x82, 0x20, 0xf6]).unwrap();
    content.extensions.insert("another", vec![0x01]).unwrap();
    let read = again(&content);
    assert_eq!(read, content);
    assert_eq!(read.extensions.get("x-mood"), Some(&[0xa1, 0x01, 0x82, 0x20, 0xf6][..]));
    assert_eq!(read.extensions.get("x-other"), None);
}

/// draft-ietf-mimi-content, section 4, read by hand: seven fields, then the part.
#[test]
fn the_form_is_that_of_mimi() {
    let bytes = Content::text("hi").with_salt(SALT).to_bytes();
    let mut expected = vec![0x87, 0x50];
    expected.extend_from_slice(&SALT);
    expected.extend_from_slice(b"\xf6\x40\xf6\xf6\xa0\x85\x01\x60\x01\x78\x18text/plain;charset=utf-8\x42hi");
    assert_eq!(bytes, expected);

    let bytes = Content::reaction(ID, "x").unwrap().expiring(Expiry::At(60)).with_salt(SALT).to_bytes();
    let mut expected = vec![0x87, 0x50];
    expected.extend_from_slice(&SALT);
    expected.extend_from_slice(b"\xf6\x40\x82\xf4\x18\x3c\x58\x20");
    expected.extend_from_slice(&[7; 32]);
    expected.extend_from_slice(b"\xa0\x85\x02\x60\x01\x78\x18text/plain;charset=utf-8\x41x");
    assert_eq!(bytes, expected);
}

#[test]
fn nests_and_bombs_are_refused_within_bounds() {
    let nested = |levels: usize| {
        (0..levels).fold(Part::new("text/plain", "x"), |part, _| {
            Part::choose_one(Disposition::RENDER, vec![part, Part::null()])
        })
    };
    assert!(Content::from_bytes(&Content::new(nested(limits::CONTENT_DEPTH)).to_bytes()).is_ok());
    assert_eq!(kind(&Content::new(nested(limits::CONTENT_DEPTH + 1)).to_bytes()), ErrorKind::Limit);
    assert_eq!(kind(&Content::new(nested(4_000)).to_bytes()), ErrorKind::Limit);

    let wide = |count: usize| {
        let body = Body::Multi { semantics: Semantics::ProcessAll, parts: vec![Part::null(); count] };
        Content::new(Part { disposition: Disposition::RENDER, language: String::new(), body })
    };
    assert!(Content::from_bytes(&wide(limits::CONTENT_PARTS - 1).to_bytes()).is_ok());
    assert_eq!(kind(&wide(limits::CONTENT_PARTS).to_bytes()), ErrorKind::Limit);
    assert_eq!(kind(&wide(1).to_bytes()), ErrorKind::Malformed);
    assert_eq!(kind(&wide(0).to_bytes()), ErrorKind::Malformed);

    let long = |len: usize| Content::text("x").in_topic(&vec![0; len]).to_bytes();
    assert!(Content::from_bytes(&long(limits::CONTENT_TOPIC)).is_ok());
    assert_eq!(kind(&long(limits::CONTENT_TOPIC + 1)), ErrorKind::Limit);
}

#[test]
fn extensions_have_one_order_and_bounds() {
    let mut content = Content::text("x");
    for at in 0..limits::CONTENT_EXTENSIONS {
        content.extensions.insert(&format!("field {at}"), vec![0x00]).unwrap();
    }
    assert_eq!(content.extensions.insert("one more", vec![0x00]).unwrap_err().kind(), ErrorKind::Limit);
    assert!(content.extensions.insert("field 0", vec![0x01]).unwrap().is_some());
    assert_eq!(again(&content), content);

    let mut content = Content::text("x");
    assert_eq!(content.extensions.insert("", vec![0x00]).unwrap_err().kind(), ErrorKind::Malformed);
    assert_eq!(content.extensions.insert(&"n".repeat(256), vec![0x00]).unwrap_err().kind(), ErrorKind::Limit);
    assert_eq!(content.extensions.insert("two items", vec![0x00, 0x00]).unwrap_err().kind(), ErrorKind::Malformed);
    assert_eq!(content.extensions.insert("cut off", vec![0x42, 0x00]).unwrap_err().kind(), ErrorKind::Malformed);
    let long = [&[0x59, 0x10, 0x00][..], &[0; 4_096]].concat();
    assert_eq!(content.extensions.insert("long", long).unwrap_err().kind(), ErrorKind::Limit);

    // Two names the wrong way round, and one name twice: no sender of this version makes that.
    let mut content = Content::text("x").with_salt(SALT);
    content.extensions.insert("a", vec![0x01]).unwrap();
    content.extensions.insert("b", vec![0x02]).unwrap();
    let bytes = content.to_bytes();
    let at = bytes.windows(6).position(|six| six == b"\x61a\x01\x61b\x02").unwrap();
    for wrong in [b"\x61b\x02\x61a\x01", b"\x61a\x01\x61a\x01"] {
        let mut bytes = bytes.clone();
        bytes[at..at + 6].copy_from_slice(wrong);
        assert_eq!(kind(&bytes), ErrorKind::Malformed);
    }
    // One name in a longer form beside itself, and names that are none; a number is one.
    for (six, good) in [
        (b"\x01\x02\x61a\x18\x18", true),
        (b"\x01\x02\x38\x18\x18\x18", true),
        (b"\x01\x02\x18\x01\x18\x18", false),
        (b"\x01\x02\x38\x01\x18\x18", false),
        (b"\x01\x02\x78\x01a\x04", false),
        (b"\x01\x02\x41a\x18\x18", false),
        (b"\x01\x02\x61\xff\x18\x18", false),
    ] {
        let mut bytes = bytes.clone();
        bytes[at..at + 6].copy_from_slice(six);
        assert_eq!(Content::from_bytes(&bytes).is_ok(), good, "{six:x?}");
    }
}

/// RFC 8949, appendix F and section 3.2: what is an item, and what is none.
#[test]
fn extension_values_are_well_formed() {
    let insert = |value: &[u8]| {
        let mut content = Content::text("x").with_salt(SALT);
        let taken = content.extensions.insert("n", value.to_vec()).map(|_| again(&content) == content);
        // What a sender here cannot say, a reader refuses.
        let placed = Content::text("x").with_salt(SALT).to_bytes();
        let at = placed.iter().rposition(|byte| *byte == 0xa0).unwrap();
        let sent = [&placed[..at], &[0xa1, 0x61, b'n'], value, &placed[at + 1..]].concat();
        assert_eq!(Content::from_bytes(&sent).is_ok(), taken.is_ok(), "{value:x?}");
        taken
    };
    let good: [&[u8]; 20] = [
        &[0x00],
        &[0x1b, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0x38, 0xff],
        &[0x40],
        &[0x5f, 0xff],
        &[0x5f, 0x41, 0, 0x40, 0xff],
        &[0x7f, 0x61, b'a', 0x60, 0xff],
        &[0x80],
        &[0x9f, 0xff],
        &[0x9f, 0x9f, 0xff, 0x01, 0xff],
        &[0x82, 0x9f, 0xff, 0xbf, 0xff],
        &[0xa1, 0x01, 0xa0],
        &[0xbf, 0x01, 0x02, 0xff],
        &[0xbf, 0xbf, 0xff, 0x9f, 0xff, 0xff],
        &[0xc1, 0xc0, 0x00],
        &[0xf6],
        &[0xf8, 0x20],
        &[0xf9, 0, 0],
        &[0xfb, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0xf0],
    ];
    for value in good {
        assert!(insert(value).unwrap(), "{value:x?}");
    }
    let bad: [&[u8]; 28] = [
        // A break outside of what it ends.
        &[0xff],
        &[0x81, 0xff],
        &[0x82, 0x01, 0xff],
        &[0xa1, 0xff],
        &[0xa1, 0x01, 0xff],
        &[0xa2, 0x01, 0x02, 0xff],
        &[0xc0, 0xff],
        &[0x9f, 0x81, 0xff, 0xff],
        &[0x9f, 0xc0, 0xff, 0xff],
        // Half a pair.
        &[0xbf, 0x01, 0xff],
        &[0xbf, 0x01, 0x02, 0x03, 0xff],
        // A second form of a simple value.
        &[0xf8, 0x00],
        &[0xf8, 0x18],
        &[0xf8, 0x1f],
        // Chunks of another type, or of no length.
        &[0x7f, 0x41, 0x00, 0xff],
        &[0x5f, 0x61, 0x61, 0xff],
        &[0x5f, 0x5f, 0xff, 0xff],
        &[0x5f, 0x00, 0xff],
        &[0x5f, 0xc0, 0x40, 0xff],
        // Heads that mean nothing.
        &[0x1c],
        &[0x1f],
        &[0x3f],
        &[0xdf, 0x00],
        &[0xfc],
        // Cut off, or claimed to be endless.
        &[0xc0],
        &[0x9f],
        &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00],
        &[0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00],
    ];
    for value in bad {
        assert_eq!(insert(value).unwrap_err().kind(), ErrorKind::Malformed, "{value:x?}");
    }
    // The longest, and one more byte; as deep as can be.
    let longest = [&[0x59, 0x0f, 0xfd][..], &[0; 4_093]].concat();
    assert!(insert(&longest).unwrap());
    assert_eq!(insert(&[&[0x81], &longest[..]].concat()).unwrap_err().kind(), ErrorKind::Limit);
    assert!(insert(&[vec![0x81; 4_095], vec![0x80]].concat()).unwrap());
}

#[test]
fn polls_and_votes_that_make_no_sense() {
    let many: Vec<String> = (0..=limits::POLL_OPTIONS).map(|n| n.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let make = |question: &str, options: &[&str]| Poll::new(question, options, Choices::Many).map_err(|e| e.kind());
    assert!(make("?", &many[..limits::POLL_OPTIONS]).is_ok());
    assert_eq!(make("?", &many).unwrap_err(), ErrorKind::Limit);
    assert_eq!(make("?", &["only one"]).unwrap_err(), ErrorKind::Limit);
    assert_eq!(make("?", &["a", "a"]).unwrap_err(), ErrorKind::Malformed);
    assert_eq!(make("?", &["a", " "]).unwrap_err(), ErrorKind::Malformed);
    assert_eq!(make("?", &["a", "b\u{202e}"]).unwrap_err(), ErrorKind::Malformed);
    assert_eq!(make(&"?".repeat(513), &["a", "b"]).unwrap_err(), ErrorKind::Limit);
    // What looks the same is the same, and what looks like nothing is blank.
    for hidden in ["\u{34f}", "\u{2800}", "\u{fe0f}", "\u{e0101}", "\u{e0041}", "\u{200d}", "\u{200c}", "\u{180b}", " "]
    {
        assert_eq!(make("?", &["a", &format!("a{hidden}")]).unwrap_err(), ErrorKind::Malformed, "{hidden:?}");
        assert_eq!(make("?", &["a", hidden]).unwrap_err(), ErrorKind::Malformed, "{hidden:?}");
        assert_eq!(make(hidden, &["a", "b"]).unwrap_err(), ErrorKind::Malformed, "{hidden:?}");
        assert_eq!(Content::reaction(ID, hidden).unwrap_err().kind(), ErrorKind::Malformed, "{hidden:?}");
    }
    // Flags that differ by tags look different.
    let flags = [
        "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
        "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
    ];
    assert!(make("?", &[flags[0], flags[1], "❤\u{fe0f}", "👩\u{200d}👧", "می\u{200c}خواهم"]).is_ok());

    let vote = |poll: &Poll, options: &[usize]| Content::vote(ID, poll, options).map_err(|e| e.kind());
    let many = make("?", &["a", "b"]).unwrap();
    assert_eq!(vote(&poll(), &[0, 1]).unwrap_err(), ErrorKind::Misuse);
    assert_eq!(vote(&poll(), &[2]).unwrap_err(), ErrorKind::Misuse);
    assert_eq!(vote(&many, &[1, 1]).unwrap_err(), ErrorKind::Misuse);
    assert_eq!(vote(&many, &[1, 0]).unwrap().kind(), Kind::Vote { poll: ID, options: vec![0, 1] });

    // One that arrives is something unknown, with a text to show.
    let good = Content::poll(&poll());
    let bytes = good.to_bytes();
    let at = bytes.windows(5).position(|five| five == b"Beach").unwrap();
    let mut bad = bytes.clone();
    bad[at..at + 5].copy_from_slice(b"Be\x07ch");
    let bad = Content::from_bytes(&bad).unwrap();
    assert!(matches!(bad.kind(), Kind::Custom { .. }));
    assert_eq!(bad.fallback(), good.fallback());
}

#[test]
fn names_cannot_disguise_themselves() {
    assert_eq!(harmless("bea\u{202e}gpj.exe\n"), "bea\u{fffd}gpj.exe\u{fffd}");
    assert_eq!(harmless("Ünïcode 🏖"), "Ünïcode 🏖");
    let named = |filename: &str| External { filename: filename.to_owned(), ..file() }.file_name();
    assert_eq!(named("../../etc/passwd"), "passwd");
    assert_eq!(named("C:\\Windows\\evil.exe"), "evil.exe");
    assert_eq!(named(".bashrc"), "bashrc");
    assert_eq!(named("a\0b:c"), "a\u{fffd}bc");
    for empty in ["", "..", "/", "a/", " . ", "-", ". .", "~-. "] {
        assert_eq!(named(empty), "file", "{empty:?}");
    }
    // What a shell takes for an option or a home, and what Windows takes for a device or drops.
    assert_eq!(named("--force.jpg"), "force.jpg");
    assert_eq!(named("~root"), "root");
    assert_eq!(named("evil.exe. . "), "evil.exe");
    for device in ["CON", "con.jpg", "NUL.tar.gz", "com1", "LPT9.txt", "aux .x", "COM¹"] {
        assert_eq!(named(device), format!("_{device}"), "no device");
    }
    for fine in ["console.log", "com10", "COMA.jpg", "null"] {
        assert_eq!(named(fine), fine);
    }
    // Each of these bytes becomes three.
    let long = format!("{}.jpeg", "\u{1}".repeat(250));
    let name = named(&long);
    assert!(name.len() <= 255 && name.ends_with("\u{fffd}.jpeg"), "{name}");
    assert!(named(&"ä".repeat(127)).len() <= 255);
    // What is cut off bares neither an end that Windows drops, nor a device.
    for end in [".", " ", " . "] {
        let cut = named(&format!("{}{end}{}", "a".repeat(250), "b".repeat(400)).replace("bbbb", end));
        assert!(!cut.ends_with(['.', ' ']) && cut.len() <= 255, "{cut:?}");
    }
    assert_eq!(named(&format!("CON{}x", " ".repeat(252))), "_CON");
    let device = named(&format!("NUL.{}", "a".repeat(251)));
    assert!(device.len() == 255 && device.starts_with("_NUL."), "{device}");
}

#[test]
fn nothing_that_a_reader_cannot_see_passes_in_a_name() {
    for c in
        "\u{ad}\u{115f}\u{1160}\u{180e}\u{200b}\u{2060}\u{2064}\u{206f}\u{3164}\u{feff}\u{ffa0}\u{fffb}\u{85}\u{2067}"
            .chars()
    {
        assert_eq!(harmless(&format!("a{c}b")), "a\u{fffd}b", "{c:?}");
        assert!(Poll::new("?", &["a", &format!("a{c}")], Choices::One).is_err(), "{c:?}");
    }
    // Emoji and scripts that are written with joiners stay whole.
    for fine in ["👩‍👩‍👧", "می‌خواهم", "שלום"] {
        assert_eq!(harmless(fine), fine);
    }
    assert_eq!(harmless_lines("a\n\tb\u{202e}c\u{7}\r"), "a\n\tb\u{fffd}c\u{fffd}\u{fffd}");
    assert_eq!(Content::text("a\u{202e}b\u{1b}[2J").fallback(), "a\u{fffd}b\u{fffd}[2J");
    assert_eq!(Content::text("one\ntwo").fallback(), "one\ntwo");
}

#[test]
fn only_urls_that_are_what_they_seem_are_fetched() {
    for good in [
        "https://files.example/1",
        "HTTPS://a-b.example:8443/x?y#z",
        "https://[2001:db8::1]/x",
        "https://a.example",
        "https://[::ffff:1.2.3.4]:443",
        "https://192.0.2.1:1/",
    ] {
        assert_eq!(safe_url(good), Some(good));
        assert_eq!(External { url: good.to_owned(), ..file() }.safe_url(), Some(good));
    }
    for bad in [
        "",
        "javascript:alert(1)",
        "javascript://files.example/%0aalert(1)",
        "file:///etc/passwd",
        "data:text/html,x",
        "http://files.example/1",
        "https:/files.example",
        "https://",
        "https:///x",
        "https://:443/x",
        "https://good.example@evil.example/",
        "https://good.example:x@evil.example/",
        "https://good.example\\@evil.example/",
        "https://exa mple/",
        "https://a.example/\n",
        "https://a.example/\u{202e}gpj",
        "https://аpple.example/",
        "https://[good.example]/",
        "https://[::1]evil.example/",
        "https://[::1]:x/",
        "https://[::1]:/",
        "https://[::1",
        "https://[]/",
        "https://[::1%25eth0]/",
        "https://[:;1]/",
        "https://a.example[::1]/",
        "https://a.example:/",
        "https://a.example:8443x/",
        "https://a.example:+443/",
        "https://a.example:443:443/",
        "https://a.example:999999/",
        " https://a.example/",
    ] {
        assert_eq!(safe_url(bad), None, "{bad:?}");
    }
}

#[test]
fn mentions_are_links_to_users_in_markdown() {
    let names = |text: &str| -> Vec<String> {
        Content::markdown(text).mentions().iter().map(|user| user.name().to_owned()).collect()
    };
    let ada = "mimi://a.example/u/ada";
    assert_eq!(names(&format!("Thanks, [@Ada]({ada})!")), ["ada"]);
    assert_eq!(
        names(&format!("<{ada}> and [Bob](<mimi://b.example/u/bob>) and [Ada]({ada} \"again\")")),
        ["ada", "bob"]
    );
    assert_eq!(names(&format!("[a]({ada})[b](mimi://b.example/u/b)")), ["ada", "b"]);
    for none in [
        ada.to_owned(),
        format!("`[@Ada]({ada})`"),
        format!("```\n<{ada}>\n```"),
        // Fences are whole lines: what closes one is as long, of the same mark and alone; else it goes on to the end.
        format!("~~~\n<{ada}>\n~~~"),
        format!("```rust\n<{ada}>"),
        format!("````\n```\n\n<{ada}>\n````"),
        format!("```\n`` <{ada}>\n~~~\n``` x\n<{ada}>\n"),
        format!("   ```\r\n<{ada}>\r\n`````\r\n"),
        format!("``a\n<{ada}> `b` ``"),
        format!("\\<{ada}>"),
        format!("[@Ada](https://{ada})"),
        "[@Ada](mimi://a.example/r/room)".to_owned(),
        format!("[@Ada]({ada}/x)"),
        format!("[@Ada]({ada}"),
        format!("[@Ada] ({ada})"),
        "[](".to_owned(),
        "<".to_owned(),
        "\\".to_owned(),
        "``[`".to_owned(),
    ] {
        assert_eq!(names(&none), [""; 0], "{none:?}");
    }
    // A backtick that nothing closes hides nothing.
    assert_eq!(names(&format!("`` ` <{ada}>")), ["ada"]);
    // Nor does one hide another paragraph, or a fence what comes after it.
    for one in [
        format!("a ` b\n\n<{ada}> ` c"),
        format!("```\ncode\n`````\n<{ada}>\n"),
        format!("~~~ a `b`\n~~~~\n<{ada}>"),
        format!("``` a `b`\n<{ada}>"),
        format!("~~\n<{ada}>"),
    ] {
        assert_eq!(names(&one), ["ada"], "{one:?}");
    }
    assert!(Content::text(&format!("<{ada}>")).mentions().is_empty(), "plain text has no links");
    let many: String = (0..300).map(|n| format!("<mimi://a.example/u/u{n}>")).collect();
    assert_eq!(Content::markdown(&many).mentions().len(), limits::MENTIONS);
}

#[test]
fn a_content_says_what_its_readers_need() {
    use convivio::content::features::{self, *};
    let needs = |content: Content| -> Vec<u32> { content.features().into_iter().collect() };
    assert_eq!(needs(Content::text("hi")), [TEXT]);
    assert_eq!(needs(Content::markdown("<mimi://a.example/u/ada>").reply_to(ID)), [MARKDOWN, REPLY, MENTION]);
    assert_eq!(
        needs(Content::text("ho").replacing(ID).expiring(Expiry::At(1)).in_topic(b"x")),
        [TEXT, EDIT, EXPIRY, TOPIC]
    );
    assert_eq!(needs(Content::reaction(ID, "x").unwrap()), [REACTION]);
    assert_eq!(needs(Content::deletion(ID)), [DELETION]);
    assert_eq!(needs(Content::poll(&poll())), [POLL]);
    assert_eq!(needs(Content::vote(ID, &poll(), &[0]).unwrap()), [POLL]);
    assert_eq!(needs(Content::close(ID)), [POLL]);
    assert_eq!(needs(Content::attachment(file())), [ATTACHMENT]);
    assert_eq!(needs(Content::receipts(&[]).unwrap()), [RECEIPT]);
    assert_eq!(needs(Content::custom("application/x-map", b"", "a map")), [0; 0]);
    assert!(features::ALL.is_sorted() && features::ALL.iter().all(|feature| *feature < PRIVATE));
}

#[test]
fn a_kind_of_the_future_may_have_one_of_today_beside_it() {
    let of = |parts: Vec<Part>| Content::new(Part::choose_one(Disposition::RENDER, parts));
    let Body::Multi { parts: poll_parts, .. } = Content::poll(&poll()).part.body else { panic!() };
    let custom = Part::new("application/x-poll-of-2040", "?");
    let both = of([vec![custom.clone()], poll_parts.clone()].concat());
    assert_eq!(both.kind(), Kind::Poll(poll()));
    let text = of(vec![custom.clone(), Part::new("text/plain", "?")]);
    assert!(matches!(text.kind(), Kind::Custom { .. }), "a text is only its fallback");
    let first = of(vec![Part::new("text/markdown", "*x*"), poll_parts[0].clone()]);
    assert!(matches!(first.kind(), Kind::Text { .. }), "what is known and preferred comes first");
}

#[test]
fn what_others_would_refuse_is_found_before_it_is_sent() {
    assert!(Content::text("x").in_language("de").check().is_ok());
    let bad = [
        Content::text("x").in_topic(&[0; limits::CONTENT_TOPIC + 1]),
        Content::text("x").in_language(&"x".repeat(65)),
        Content::attachment(External { filename: "x".repeat(256), ..file() }),
        Content::new(Part::choose_one(Disposition::RENDER, vec![Part::null()])),
    ];
    for content in bad {
        assert!(content.check().is_err(), "{content:?}");
    }
}

#[test]
fn the_end_of_a_message_counts_from_when_it_was_shown() {
    assert_eq!(Expiry::At(60).ends(None), Some(Timestamp(60)));
    assert_eq!(Expiry::AfterReading(60).ends(None), None);
    assert_eq!(Expiry::AfterReading(60).ends(Some(Timestamp(5))), Some(Timestamp(65)));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_and_have_one_reading(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(content) = Content::from_bytes(&bytes) {
            prop_assert_eq!(content.to_bytes(), bytes);
        }
    }

    #[test]
    fn a_flipped_byte_is_another_content_or_none(at in 0usize..10_000, with in 1u8..) {
        let content = Content::poll(&poll()).with_salt(SALT);
        let mut bytes = content.to_bytes();
        let at = at % bytes.len();
        bytes[at] ^= with;
        if let Ok(other) = Content::from_bytes(&bytes) {
            prop_assert_ne!(&other, &content);
            let _ = (other.kind(), other.fallback());
        }
    }
}
