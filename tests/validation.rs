//! `docs/validation.md` names what exists, and leaves no attack out.

// Clippy allows these in test functions, but not in the helpers of an integration test.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Where the paths of the page begin.
const FOLDERS: [&str; 7] = ["src/", "tests/", "docs/", "examples/", "fuzz/", "benches/", ".ci/"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> String {
    fs::read_to_string(root().join("docs/validation.md")).unwrap()
}

/// What stands between backquotes on one line.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// A path of the project, and the function in it that is meant, if any.
fn named(text: &str) -> Option<(&str, Option<&str>)> {
    let is_path = FOLDERS.iter().any(|folder| text.starts_with(folder)) && !text.contains(char::is_whitespace);
    let (path, function) = text.split_once("::").map_or((text, None), |(path, function)| (path, Some(function)));
    is_path.then_some((path, function))
}

fn all_named(text: &str) -> Vec<(&str, Option<&str>)> {
    text.lines().flat_map(quoted).filter_map(named).collect()
}

fn defines(text: &str, function: &str) -> bool {
    text.match_indices(&format!("fn {function}")).any(|(at, found)| {
        let next = text.get(at + found.len()..).and_then(|rest| rest.chars().next());
        matches!(next, Some('(' | '<'))
    })
}

/// The cells of the rows of one section.
fn rows(text: &str, section: &str) -> Vec<Vec<String>> {
    let start = text.find(&format!("\n## {section}\n")).unwrap_or_else(|| panic!("there is no section {section}"));
    let body = text.get(start + 4..).unwrap();
    let body = body.split("\n## ").next().unwrap();
    let is_row = |line: &&str| line.starts_with("| ") && line.contains(|c: char| c.is_ascii_digit());
    body.lines()
        .filter(is_row)
        .map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every attack test there is: the number of its row, and its name as the page writes it.
fn attack_tests() -> Vec<(u32, String)> {
    let mut files = Vec::new();
    rust_files(&root().join("tests"), &mut files);
    let mut found = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let file = path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
        for rest in text.split("fn row_").skip(1) {
            let name = rest.split(['(', '<']).next().unwrap();
            let number = name.split('_').next().unwrap();
            if let Ok(number) = number.parse() {
                found.push((number, format!("{file}::row_{name}")));
            }
        }
    }
    found
}

#[test]
fn every_path_and_every_function_exists() {
    let text = page();
    let (mut functions, mut missing) = (0, BTreeSet::new());
    let mut files: BTreeMap<&str, String> = BTreeMap::new();
    for (path, function) in all_named(&text) {
        if !root().join(path).exists() {
            missing.insert(path.to_owned());
            continue;
        }
        let Some(function) = function else { continue };
        functions += 1;
        let file = files.entry(path).or_insert_with(|| fs::read_to_string(root().join(path)).unwrap());
        if !defines(file, function) {
            missing.insert(format!("{path}::{function}"));
        }
    }
    assert_eq!(missing, BTreeSet::new());
    assert!(functions > 300, "only {functions} functions were found");
}

#[test]
fn every_link_leads_somewhere() {
    let text = page();
    let links: Vec<&str> = text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(links.len() > 10);
    for link in links {
        let heading = |heading: &str| {
            text.lines().any(|line| line.starts_with("## ") && line[3..].to_lowercase().replace(' ', "-") == heading)
        };
        let found = match link.strip_prefix('#') {
            Some(anchor) => heading(anchor),
            None => root().join("docs").join(link).exists(),
        };
        assert!(found, "{link} leads nowhere");
    }
}

/// A rule has a number of its own, and code and a test behind it.
#[test]
fn every_rule_has_code_and_a_test() {
    let (mut numbers, rows) = (BTreeSet::new(), rows(&page(), "Rules"));
    for row in &rows {
        let [number, rule, code, tests] = row.as_slice() else { panic!("not a rule: {row:?}") };
        assert!(numbers.insert(number.clone()), "{number} stands twice");
        assert!(!rule.is_empty());
        let code = all_named(code);
        assert!(!code.is_empty() && code.iter().all(|(path, of)| path.starts_with("src/") && of.is_some()), "{number}");
        let tests = all_named(tests);
        assert!(!tests.is_empty() && tests.iter().all(|(_, function)| function.is_some()), "{number}");
    }
    assert!(rows.len() > 120, "only {} rules were found", rows.len());
}

/// The rules of each section of the protocol that has any.
#[test]
fn every_section_with_rules_is_there() {
    let sections: BTreeSet<String> =
        rows(&page(), "Rules").iter().map(|row| row[0].split('.').take(2).collect::<Vec<_>>().join(".")).collect();
    let protocol = fs::read_to_string(root().join("docs/protocol.md")).unwrap();
    let headings =
        protocol.lines().filter_map(|line| line.strip_prefix("### ")).map(|line| line.split(' ').next().unwrap());
    // What rules there are in 8.1 and 8.3 is for hubs: this crate has only one for tests.
    let missing: Vec<&str> = headings.filter(|of| !sections.contains(*of) && !["8.1", "8.3"].contains(of)).collect();
    assert_eq!(missing, [""; 0]);
}

/// The list of attacks has thirty-four rows. A row is tested, or its feature is not built yet and it says what is missing.
#[test]
fn every_attack_is_there_once() {
    let rows = rows(&page(), "Attacks");
    let numbers: Vec<u32> = rows.iter().map(|row| row[0].parse().unwrap()).collect();
    assert_eq!(numbers, (1..=34).collect::<Vec<u32>>());
    for row in &rows {
        let [number, attack, expected, defence, tests] = row.as_slice() else { panic!("not an attack: {row:?}") };
        assert!(!attack.is_empty() && !expected.is_empty() && !defence.is_empty());
        let tested = all_named(tests).iter().any(|(_, function)| function.is_some());
        assert!(tested || tests.starts_with("open: "), "attack {number} is neither tested nor open");
    }
}

/// Every attack test is on the page, in its own row and in no other attack's.
#[test]
fn every_attack_test_is_listed() {
    let rows = rows(&page(), "Attacks");
    let (mut missing, tests) = (BTreeSet::new(), attack_tests());
    for (number, test) in &tests {
        let listed: Vec<&str> = rows
            .iter()
            .filter(|row| {
                all_named(&row[4]).iter().any(|(path, of)| of.is_some_and(|of| *test == format!("{path}::{of}")))
            })
            .map(|row| row[0].as_str())
            .collect();
        if listed != [number.to_string()] {
            missing.insert(format!("{test} is listed under {listed:?}"));
        }
    }
    assert_eq!(missing, BTreeSet::new());
    assert!(tests.len() > 30);
}
