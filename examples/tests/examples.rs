//! The examples do what they say, and say what is wrong with what they are given.

#[path = "../cross_app_group/main.rs"]
#[allow(dead_code)]
mod cross_app_group;

use convivio::limits;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// A directory of this test's own, removed at the end.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("convivio-examples-{:016x}", rand::random::<u64>()));
        fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    fn script(&self, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join("script.txt");
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Whether it went well, what it printed, and what it complained about.
fn run(args: &[&dyn AsRef<Path>]) -> (bool, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let args = args.iter().map(|arg| OsString::from(arg.as_ref()));
    let code = cross_app_group::run(args, &mut out, &mut err);
    let well = format!("{code:?}") == format!("{:?}", std::process::ExitCode::SUCCESS);
    (well, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

/// What is said about a script that cannot be played, after the file's name.
fn complaint(script: impl AsRef<[u8]>) -> String {
    let dir = Dir::new();
    let path = dir.script(script);
    let (well, out, err) = run(&[&"--script", &path]);
    assert!(!well);
    assert_eq!(out, "", "nothing of a malformed script is played");
    let complaint = err.strip_prefix(&format!("error: {}:", path.display()));
    complaint.unwrap_or_else(|| panic!("does not begin with the file's name: {err}")).trim().to_owned()
}

#[test]
fn the_shipped_conversation_passes_every_check() {
    let (well, out, err) = run(&[]);
    assert!(well, "{out}{err}");
    assert_eq!(err, "");
    assert!(!out.contains('✘'), "{out}");
    for shown in [
        "bob joined",
        "support joined",
        "safety numbers of maria and bob are equal",
        "sent twice was shown once",
        "The restart lost and repeated nothing (2 unread",
        "once and in order (20 messages, 28 readings)",
        "bob, removed, reads 0 of 3 later messages",
        "All 2 members hold the same group",
        "No name, title or text in the",
        "still in bob's inbox: maria: Grazie Bob!",
    ] {
        assert!(out.contains(shown), "{shown:?} is not shown:\n{out}");
    }
}

#[test]
fn a_script_with_other_people_works_and_leaves_its_stores_where_asked() {
    let dir = Dir::new();
    // With a byte order mark and a line end as some editors write them.
    let script = dir.script(
        "\u{feff}# Other people, other apps, and everything at once.\r\n\
         @create Zoe_1@a.example Ufficio\r\n\
         @allow b.example\n@add li@b.example\n@add ada@a.example\n\
         Zoe_1: 你好: colons too\nli: ok\n\
         @late li\n@late ada\nli: queued 1\nada: queued 2\nZoe_1: to nobody yet\n@restart\nli: queued 3\n\
         @allow c.example\n@add kim@c.example\nkim: new here\n@back li\n@twice li\n@remove li\nkim: bye li\n\
         @twice kim\n@safety Zoe_1 kim\n@remove kim\n@restart\nZoe_1: ada comes back at the end\n",
    );
    let stores = dir.0.join("new/stores");
    let (well, out, err) = run(&[&"--script", &script, &"--dir", &stores]);
    assert!(well, "{out}{err}");
    assert!(out.contains("li (waits in the outbox): queued 1"), "{out}");
    assert!(out.contains("still in ada's outbox: queued 2"), "{out}");
    assert!(out.contains("li, removed, reads 0 of 3 later messages"), "{out}");
    assert!(out.contains("kim, removed, reads 0 of 2 later messages"), "{out}");
    assert!(stores.join("Zoe_1@a.example.redb").is_file());

    // The stores are there already, and are left alone.
    let (well, _, err) = run(&[&"--script", &script, &"--dir", &stores]);
    assert!(!well);
    assert!(err.contains("script.txt:2: ") && err.contains("Zoe_1@a.example.redb"), "{err}");
}

#[test]
fn a_malformed_line_is_named_with_what_was_expected() {
    let start = "# a comment\n@create maria@photos.example Gita\n@allow courier.example\n@add bob@courier.example\n";
    for (line, said) in [
        ("Ciao a tutti", "expected \"name: text\""),
        ("maria:", "expected \"maria: text\", found no text"),
        ("my friend: hello", "expected \"name: text\""),
        ("anna: ciao", "nobody is called \"anna\" here"),
        ("@dance bob", "unknown directive \"@dance\": expected @create"),
        ("@create bob@courier.example Gita", "founded already"),
        ("@allow Courier", "not a lowercase DNS name"),
        ("@allow courier.example", "allowed already"),
        ("@add anna", "without an app"),
        ("@add anna@shop.example", "expected \"@allow shop.example\" on a line before"),
        ("@add bob@photos.example", "there is a bob already"),
        ("@add b/b@photos.example", "expected \"@add name@app.example\": \"b/b\""),
        ("@remove", "expected \"@remove name\""),
        ("@remove maria", "expected someone else to remove"),
        ("@back bob", "expected \"@late bob\" on a line before"),
        ("@late bob\n@remove bob", "expected \"@back bob\" on a line before"),
        ("@late maria\n@remove bob", "expected \"@back maria\" before @remove"),
        ("@remove bob\nbob: ma come?", "bob was removed on line 5"),
        ("@remove bob\n@add bob@courier.example", "is barred"),
        ("@restart now", "expected \"@restart\" alone"),
        ("@late bob\n@safety bob maria", "bob is late"),
        ("@safety bob bob", "expected \"@safety name name\""),
        ("maria: \u{1b}[2J", "control characters"),
    ] {
        let complaint = complaint(format!("{start}{line}\n"));
        let number = 4 + line.lines().count();
        assert!(complaint.starts_with(&format!("{number}: ")) && complaint.contains(said), "{line}: {complaint}");
    }
    let long = complaint(format!("{start}maria: {}\n", "a".repeat(limits::MESSAGE + 1)));
    assert!(long.starts_with("5: expected at most 65472 bytes"), "{long}");
    let latin = complaint([start.as_bytes(), b"maria: perch\xe9\n"].concat());
    assert!(latin.starts_with("5: expected UTF-8"), "{latin}");
    assert!(complaint("@create maria@photos.example\n").starts_with("1: expected \"@create name@app.example title\""));
    assert!(complaint("maria: ciao\n").starts_with("1: expected \"@create"));
    assert!(complaint("").starts_with("nothing in it to play"));
    assert!(complaint("# only this\n\n").starts_with("nothing in it to play"));
    assert!(complaint("a\n".repeat(3 << 20)).starts_with("a script is at most 4 MiB"));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let dir = Dir::new();
    for path in [dir.0.join("missing.txt"), dir.0.clone()] {
        let (well, out, err) = run(&[&"--script", &path]);
        assert!(!well && out.is_empty());
        assert!(err.contains(&format!("{}: cannot be read", path.display())), "{err}");
    }
    for args in [&[&"--scripts" as &dyn AsRef<Path>][..], &[&"--script"], &[&"file"]] {
        let (well, _, err) = run(args);
        assert!(!well && err.starts_with("error: "), "{err}");
    }
    let (well, out, _) = run(&[&"--help"]);
    assert!(well && out.contains("--script FILE"));
}

#[test]
fn the_longest_message_goes_through() {
    let dir = Dir::new();
    let script =
        dir.script(format!("@create a@a.example Lungo\n@add b@a.example\na: {}\n", "é".repeat(limits::MESSAGE / 2)));
    let (well, out, err) = run(&[&"--script", &script]);
    assert!(well, "{err}");
    assert!(!out.contains('✘'), "a check failed");
}

/// The README's program is `examples/hello.rs` from its first import on.
#[test]
fn the_readme_shows_the_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Ok(readme) = fs::read_to_string(root.join("../README.md")) else { return };
    let example = fs::read_to_string(root.join("hello.rs")).unwrap();
    let program = &example[example.find("use ").unwrap()..];
    assert!(readme.contains(&format!("```rust\n{program}```")), "README.md and examples/hello.rs differ");
}
