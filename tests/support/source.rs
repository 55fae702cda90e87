//! What `src/` says about types, read as text.

#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A type: its room, whether it is public, and the words of its declaration.
struct Declared {
    room: String,
    public: bool,
    words: BTreeSet<String>,
}

/// Words that mean that whoever has them in a field holds a secret.
const SECRET: [&str; 4] = ["Secret", "SigningKey", "Zeroizing", "dyn_Signer"];

/// The public types that hold a secret, directly or through other types: `room::Name`.
pub fn holders_of_secrets() -> BTreeSet<String> {
    let types = declared();
    let mut secret: BTreeSet<&str> = SECRET.into();
    loop {
        let more =
            types.iter().filter(|(_, of)| of.iter().any(|one| one.words.iter().any(|w| secret.contains(w.as_str()))));
        let before = secret.len();
        secret.extend(more.map(|(name, _)| name.as_str()).collect::<Vec<_>>());
        if secret.len() == before {
            break;
        }
    }
    let public = types.iter().flat_map(|(name, of)| of.iter().map(move |one| (name, one)));
    public
        .filter(|(name, one)| {
            one.public && (one.words.iter().any(|word| secret.contains(word.as_str())) || *name == "Secret")
        })
        .map(|(name, one)| format!("{}::{name}", one.room))
        .collect()
}

/// The names of types that go through `serde`.
pub fn serialisable() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (_, text) in sources() {
        for form in text.split("public_encoding!(").skip(1) {
            let name = form.split(')').next().unwrap().trim_start_matches("serde ");
            names.insert(name.to_owned());
        }
        for derived in text.split("serde::Serialize").skip(1) {
            let after = derived.split_once("pub ").map_or("", |(_, rest)| rest);
            names.extend(after.split(|c: char| !c.is_alphanumeric()).nth(1).map(str::to_owned));
        }
    }
    names
}

/// The names of types with a `Display`.
pub fn displayed() -> BTreeSet<String> {
    let texts = sources().into_iter().map(|(_, text)| text);
    let after = texts.flat_map(|text| text.split("Display for ").skip(1).map(str::to_owned).collect::<Vec<_>>());
    after.filter_map(|rest| words_of(&rest).into_iter().next()).collect()
}

fn declared() -> BTreeMap<String, Vec<Declared>> {
    let mut types: BTreeMap<String, Vec<Declared>> = BTreeMap::new();
    for (room, text) in sources() {
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let public = line.starts_with("pub ");
            let start = line.split_once("struct ").or(line.split_once("enum "));
            let Some((_, rest)) = start.filter(|(before, _)| before.is_empty() || before.starts_with("pub")) else {
                continue;
            };
            let mut words = words_of(rest);
            let name = words.remove(0);
            if rest.ends_with('{') {
                let fields = lines.by_ref().take_while(|line| *line != "}");
                // Without the names of fields and variants.
                words.extend(fields.filter(|line| !line.contains("//")).flat_map(|line| words_of(line).split_off(1)));
            }
            types.entry(name).or_default().push(Declared {
                room: room.clone(),
                public,
                words: words.into_iter().collect(),
            });
        }
    }
    types
}

/// The names in a line, with a trait object's as one.
fn words_of(line: &str) -> Vec<String> {
    let line = line.replace("pub(crate) ", "").replace("pub(super) ", "").replace("pub ", "").replace("dyn ", "dyn_");
    let words = line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
    let words: Vec<String> = words.map(str::to_owned).collect();
    if words.is_empty() { vec![String::new()] } else { words }
}

/// The files of `src/` but its tests, with the rooms they are in.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut found, mut folders) = (Vec::new(), vec![root.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            let test = path.file_stem().is_some_and(|stem| stem == "tests" || stem == "vectors");
            if path.is_dir() && !test {
                folders.push(path);
            } else if !test && path.extension().is_some_and(|ext| ext == "rs") {
                let room = path.strip_prefix(&root).unwrap().iter().next().unwrap().to_str().unwrap();
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned();
                found.push((room.trim_end_matches(".rs").to_owned(), code));
            }
        }
    }
    found
}
