//! Row 28: no build of the crate checks less than another.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of `src/`, tests among them.
pub fn sources() -> Vec<PathBuf> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join("src"), &mut found);
    found.sort();
    assert!(found.len() > 80);
    found
}

/// A condition of the build: where it may stand, as file, line and start of the next line. No file: anywhere.
const CONDITIONS: [(&str, &str, &str); 15] = [
    // Tests beside the code.
    ("", "#[cfg(test)]", "mod "),
    ("envelope/open.rs", "#[cfg(test)]", "pub(crate) const fn seed(&self)"),
    ("labels.rs", "#[cfg(test)]", "const ALL: &[Label]"),
    // Lints that tests are spared, and the README and the guide as tests.
    ("lib.rs", "#![cfg_attr(", "not(test),"),
    ("lib.rs", "#[cfg(doctest)]", "#[doc = include_str!(\"../README.md\")]"),
    ("lib.rs", "#[cfg(any(doc, doctest))]", "pub mod guide;"),
    // The same work on one core or on several, in parts that are each checked.
    ("crypto/parallel.rs", "#[cfg(not(feature = \"parallel\"))]", "pub(crate) fn in_parts<"),
    ("crypto/parallel.rs", "#[cfg(feature = \"parallel\")]", "pub(crate) fn in_parts<"),
    // The store on disk, which can be left out, and what file systems there are.
    ("store/mod.rs", "#[cfg(feature = \"redb\")]", "mod redb;"),
    ("store/mod.rs", "#[cfg(feature = \"redb\")]", "pub use self::redb::RedbStore;"),
    ("store/mod.rs", "#[cfg(all(test, feature = \"redb\"))]", "pub(crate) use self::redb::power_cut;"),
    ("testing/mod.rs", "#[cfg(all(test, feature = \"redb\"))]", "mod power_cut;"),
    ("store/redb.rs", "#[cfg(test)]", "pub(crate) mod power_cut;"),
    ("store/redb.rs", "#[cfg(unix)]", "std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);"),
    ("store/redb.rs", "if cfg!(not(unix)) {", "return Ok(());"),
];

/// The lines of a file that are not comments, each with the next.
fn lines(text: &str) -> Vec<(&str, &str)> {
    let code: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.starts_with("//")).collect();
    code.iter().copied().zip(code.iter().copied().skip(1)).collect()
}

fn allowed(file: &str, line: &str, next: &str) -> bool {
    CONDITIONS
        .iter()
        .any(|(of, condition, what)| (of.is_empty() || *of == file) && *condition == line && next.starts_with(what))
}

/// Whatever is not listed above would be a build in which something else is done: in a fuzzing build, in a test build,
/// with a feature, by an environment variable.
#[test]
fn row_28_every_condition_of_the_build_is_known_and_none_is_around_a_check() {
    let (src, mut found) = (root().join("src"), 0);
    for path in sources() {
        let file = path.strip_prefix(&src).unwrap().to_str().unwrap().replace('\\', "/");
        let text = fs::read_to_string(&path).unwrap();
        for (line, next) in lines(&text) {
            let conditional =
                ["cfg(", "cfg!(", "cfg_attr(", "cfg_select", "target_"].iter().any(|word| line.contains(word));
            if conditional {
                found += 1;
                assert!(allowed(&file, line, next), "{file}: {line} / {next}");
            }
            let elsewhere = ["fuzzing", "debug_assertions", "env::var", "option_env!"];
            // The known answers are made by a test, which is asked to write them by a variable.
            let known_answers = file.ends_with("vectors.rs");
            assert!(known_answers || !elsewhere.iter().any(|word| line.contains(word)), "{file}: {line}");
            // Compiled out of a release: only where a caller inside the crate would be wrong.
            assert!(!line.contains("debug_assert") || file == "store/changes.rs", "{file}: {line}");
        }
    }
    assert!(found >= 25, "the scan has stopped reading: {found}");
}

#[test]
fn row_28_a_feature_adds_a_store_and_nothing_else() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (_, rest) = manifest.split_once("\n[features]\n").unwrap();
    let (features, _) = rest.split_once("\n[").unwrap();
    let lines: Vec<&str> = features.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert_eq!(lines, ["default = [\"redb\"]", "parallel = [\"dep:rayon\"]", "redb = [\"dep:redb\"]"]);
    assert!(!root().join("build.rs").exists() && !manifest.contains("unexpected_cfgs"));
    // The fuzz targets build the crate that apps build: no feature, no condition of their own. They are not in the package.
    if let Ok(fuzz) = fs::read_to_string(root().join("fuzz/Cargo.toml")) {
        let line = fuzz.lines().find(|line| line.starts_with("convivio =")).unwrap();
        assert!(line.contains("path = \"..\"") && !line.contains(" features = ["), "{line}");
        assert!(!fuzz.contains("rustflags"));
    }
}

/// The scan sees what it is for.
#[test]
fn row_28_a_condition_around_a_check_would_be_found() {
    for (line, next) in [
        ("#[cfg(not(fuzzing))]", "key.verify(&input, &signature)?;"),
        ("if cfg!(test) {", "return Ok(());"),
        ("#[cfg(test)]", "return Ok(());"),
        ("#[cfg(unix)]", "std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);"),
    ] {
        assert!(!allowed("crypto/sign.rs", line, next), "{line} / {next}");
    }
    assert!(allowed("store/redb.rs", "if cfg!(not(unix)) {", "return Ok(());"));
}
