//! The protocol's text and the code name the same sections and the same labels.

// Clippy allows these in test functions, but not in the helpers of an integration test.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn protocol() -> String {
    fs::read_to_string(root().join("docs/protocol.md")).unwrap()
}

/// The numbers of the headings: 2, 2.1, 2.2 …
fn headings() -> BTreeSet<String> {
    let number = |line: &str| line.trim_start_matches('#').split_whitespace().next().map(str::to_owned);
    protocol().lines().filter(|line| line.starts_with("##")).filter_map(number).collect()
}

/// The numbers behind "section " or "sections " in a text, but for those of RFCs and standards.
fn cited(text: &str) -> Vec<String> {
    let mut numbers = Vec::new();
    for (at, word) in text.match_indices("section") {
        let before = text.get(at.saturating_sub(24)..at).unwrap_or_default();
        if before.contains("RFC") || before.contains("FIPS") {
            continue;
        }
        let rest = text.get(at + word.len()..).unwrap_or_default().trim_start_matches('s').trim_start();
        let number: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        numbers.extend(Some(number.trim_end_matches('.').to_owned()).filter(|number| !number.is_empty()));
    }
    numbers
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_section_that_the_code_cites_exists() {
    let headings = headings();
    let mut sources = vec![root().join("docs/protocol.md")];
    files(&root().join("src"), &mut sources);
    let (mut count, mut missing) = (0, Vec::new());
    for path in sources {
        let text = fs::read_to_string(&path).unwrap().replace('\n', " ").replace(" //! ", " ").replace(" /// ", " ");
        for number in cited(&text) {
            count += 1;
            if !headings.contains(&number) {
                missing.push(format!("{} cites section {number}", path.display()));
            }
        }
    }
    assert_eq!(missing, [""; 0]);
    assert!(count > 50, "only {count} citations were found");
}

#[test]
fn the_table_of_labels_is_that_of_the_code() {
    let labels = fs::read_to_string(root().join("src/labels.rs")).unwrap();
    let text = protocol();
    let table: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.contains("**All labels:**"))
        .take_while(|line| !line.contains("**Common types:**"))
        .filter_map(|line| line.strip_prefix("| `")?.split(" |").next())
        .flat_map(|cell| cell.split("`, `"))
        .map(|label| label.trim_matches('`'))
        .collect();
    let code: Vec<&str> = labels.lines().filter_map(|line| line.split_once(" = \"")?.1.strip_suffix("\";")).collect();
    assert!(code.len() > 40);
    let sorted = |list: &[&str]| list.iter().map(|label| (*label).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(sorted(&table), sorted(&code));
    assert_eq!(table.len(), code.len(), "a label stands in the table twice");
}
