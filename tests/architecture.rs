//! Imports go one way: from the ground up, never back (see the table).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Which rooms a room may name. Whatever is not listed here is an arrow the other way.
const ALLOWED: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("limits", &[]),
    ("labels", &[]),
    ("secret", &[]),
    ("wire", &["error", "labels"]),
    ("ids", &["error", "wire"]),
    ("padding", &["error", "wire"]),
    ("crypto", &["error", "labels", "limits", "secret", "wire"]),
    ("identity", &["crypto", "error", "ids", "labels", "limits", "wire"]),
    ("envelope", &["crypto", "error", "ids", "labels", "limits", "padding", "secret", "wire"]),
    ("ratchet", &["crypto", "error", "ids", "labels", "limits", "padding", "secret", "wire"]),
    (
        "group",
        &["content", "crypto", "envelope", "error", "identity", "ids", "labels", "limits", "ratchet", "secret", "wire"],
    ),
    ("log", &["crypto", "envelope", "error", "identity", "ids", "labels", "limits", "wire"]),
    ("report", &["crypto", "error", "group", "identity", "ids", "limits", "log", "ratchet", "wire"]),
    ("content", &["error", "identity", "ids", "limits", "wire"]),
    ("attachment", &["content", "crypto", "error", "labels", "limits", "secret", "wire"]),
    // Only its encryption at rest names the AEAD.
    ("store", &["crypto", "error", "labels", "secret", "wire"]),
    (
        "client",
        &[
            "content", "crypto", "envelope", "error", "group", "identity", "ids", "labels", "limits", "log", "ratchet",
            "report", "secret", "store", "wire",
        ],
    ),
    ("linking", &["client", "crypto", "envelope", "error", "identity", "ids", "labels", "limits", "secret", "wire"]),
    ("testing", &["client", "crypto", "envelope", "error", "group", "identity", "ids", "log", "store", "wire"]),
];

/// What is exported at the root, and where it lives.
const ROOT: &[(&str, &str)] =
    &[("Error", "error"), ("ErrorKind", "error"), ("Result", "error"), ("Secret", "secret"), ("Signature", "crypto")];

#[test]
fn imports_go_one_way() {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let root: BTreeMap<&str, &str> = ROOT.iter().copied().collect();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut arrows = 0;
    for file in rust_files(&src) {
        let room = room_of(&src, &file);
        // The known answers are a test that looks into every room.
        if room == "lib" || room == "vectors" || room == "guide" {
            continue;
        }
        let allowed = allowed.get(room.as_str()).unwrap_or_else(|| panic!("{room} is not in the table: add it"));
        let text = fs::read_to_string(&file).unwrap();
        for named in rooms_named(&text) {
            let named = root.get(named.as_str()).map_or(named, ToString::to_string);
            arrows += 1;
            assert!(
                named == room || allowed.contains(&named.as_str()),
                "{} names crate::{named}, which {room} may not",
                file.strip_prefix(&src).unwrap().display()
            );
        }
    }
    assert!(arrows > 100, "the test has stopped reading the imports");
}

/// The name of what stands behind each `crate::` outside of comments and tests.
fn rooms_named(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split("crate::").skip(1))
        .map(|rest| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>())
        .filter(|name| !name.is_empty())
        .collect()
}

fn room_of(src: &Path, file: &Path) -> String {
    let inside = file.strip_prefix(src).unwrap();
    inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let is_test = path.file_stem().is_some_and(|stem| stem == "tests" || stem == "vectors");
        if path.is_dir() && !is_test {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|ext| ext == "rs") && !is_test {
            files.push(path);
        }
    }
    files
}
