//! Reads the script of a conversation: one line, one act. A line that makes no sense is named, with what was expected.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use convivio::group::GroupInfo;
use convivio::identity::{AppDomain, UserUri};
use convivio::limits;

/// Most bytes of a script: far beyond what anyone types, and far from filling the memory.
const MAX_SCRIPT: u64 = 4 * 1024 * 1024;

/// What a message costs besides its text.
const MESSAGE_OVERHEAD: usize = 32;

/// One line's act, and where it is written.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) line: usize,
    pub(crate) act: Act,
}

/// What the people of a script do. They are called by their names, which are unique.
#[derive(Debug)]
pub(crate) enum Act {
    Create(UserUri, GroupInfo),
    Allow(AppDomain),
    Add(UserUri),
    Remove(String),
    Say(String, String),
    Late(String),
    Back(String),
    Twice(String),
    Restart,
    Safety(String, String),
}

/// Why a script cannot be played: `file:line: what is wrong`.
#[derive(Debug)]
pub(crate) struct Malformed {
    file: String,
    line: Option<usize>,
    what: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, what } = self;
        match line {
            Some(line) => write!(f, "{file}:{line}: {what}"),
            None => write!(f, "{file}: {what}"),
        }
    }
}

impl std::error::Error for Malformed {}

/// Reads and checks a whole script before anything of it is played.
pub(crate) fn read(path: &Path) -> Result<Vec<Step>, Malformed> {
    let fail = |line, what| Malformed { file: path.display().to_string(), line, what };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_SCRIPT + 1).read_to_end(&mut bytes))
        .map_err(|error| fail(None, format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > MAX_SCRIPT {
        return Err(fail(None, "a script is at most 4 MiB".into()));
    }
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let before = bytes.iter().take(error.valid_up_to());
        let line = before.filter(|byte| **byte == b'\n').count() + 1;
        fail(Some(line), "expected UTF-8 text: save the file as UTF-8".into())
    })?;
    parse(text).map_err(|(line, what)| fail(line, what))
}

fn parse(text: &str) -> Result<Vec<Step>, (Option<usize>, String)> {
    let mut cast = Cast::default();
    let mut steps = Vec::new();
    for (line, written) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let written = written.trim();
        if written.is_empty() || written.starts_with('#') {
            continue;
        }
        let act = act(written).and_then(|act| cast.follow(line, act)).map_err(|what| (Some(line), what))?;
        steps.push(Step { line, act });
    }
    if steps.is_empty() {
        return Err((None, format!("nothing in it to play: expected \"{CREATE}\", and then lines \"name: text\"")));
    }
    Ok(steps)
}

const CREATE: &str = "@create name@app.example title";

/// One line by itself.
fn act(line: &str) -> Result<Act, String> {
    if line.chars().any(char::is_control) {
        return Err("expected text without control characters".into());
    }
    let Some(directive) = line.strip_prefix('@') else { return say(line) };
    let (word, rest) = directive.split_once(char::is_whitespace).unwrap_or((directive, ""));
    let rest = rest.trim();
    match word {
        "create" => {
            let (founder, title) =
                rest.split_once(char::is_whitespace).ok_or_else(|| format!("expected \"{CREATE}\", found no title"))?;
            let info = GroupInfo::new(title.trim(), "").map_err(|error| format!("this title will not do: {error}"))?;
            Ok(Act::Create(user(founder, CREATE)?, info))
        }
        "allow" => Ok(Act::Allow(domain(rest, "@allow app.example")?)),
        "add" => Ok(Act::Add(user(rest, "@add name@app.example")?)),
        "remove" => Ok(Act::Remove(one(rest, "@remove name")?)),
        "late" => Ok(Act::Late(one(rest, "@late name")?)),
        "back" => Ok(Act::Back(one(rest, "@back name")?)),
        "twice" => Ok(Act::Twice(one(rest, "@twice name")?)),
        "restart" if rest.is_empty() => Ok(Act::Restart),
        "restart" => Err(format!("expected \"@restart\" alone, found \"{rest}\" behind it")),
        "safety" => match rest.split_whitespace().collect::<Vec<_>>().as_slice() {
            [one, other] if one != other => Ok(Act::Safety((*one).into(), (*other).into())),
            _ => Err("expected \"@safety name name\", of two people".into()),
        },
        _ => Err(format!(
            "unknown directive \"@{word}\": expected @create, @allow, @add, @remove, @late, @back, @twice, @restart or \
             @safety"
        )),
    }
}

fn say(line: &str) -> Result<Act, String> {
    let expected = "expected \"name: text\", a directive that begins with @, or a comment that begins with #";
    let (name, text) = line.split_once(':').ok_or(expected)?;
    let (name, text) = (name.trim(), text.trim());
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(expected.into());
    }
    if text.is_empty() {
        return Err(format!("expected \"{name}: text\", found no text"));
    }
    let most = limits::MESSAGE_CONTENT - MESSAGE_OVERHEAD;
    if text.len() > most {
        return Err(format!("expected at most {most} bytes of text, found {}", text.len()));
    }
    Ok(Act::Say(name.into(), text.into()))
}

fn one(rest: &str, expected: &str) -> Result<String, String> {
    if rest.is_empty() || rest.contains(char::is_whitespace) {
        return Err(format!("expected \"{expected}\", found \"{rest}\" where one name should be"));
    }
    Ok(rest.into())
}

fn domain(text: &str, expected: &str) -> Result<AppDomain, String> {
    text.parse().map_err(|error| format!("expected \"{expected}\": \"{text}\": {error}"))
}

fn user(text: &str, expected: &str) -> Result<UserUri, String> {
    let (name, app) =
        text.split_once('@').ok_or_else(|| format!("expected \"{expected}\", found \"{text}\" without an app"))?;
    UserUri::new(&domain(app, expected)?, name).map_err(|error| format!("expected \"{expected}\": \"{name}\": {error}"))
}

/// Who is in the group at some line.
#[derive(Default)]
struct Cast {
    founder: Option<String>,
    apps: BTreeSet<AppDomain>,
    people: BTreeMap<String, Presence>,
}

#[derive(Clone, Copy, PartialEq)]
enum Presence {
    Here,
    Late,
    /// Since this line.
    Removed(usize),
}

impl Cast {
    /// Whether an act makes sense after those before it.
    fn follow(&mut self, line: usize, act: Act) -> Result<Act, String> {
        if matches!(act, Act::Create(..)) == self.founder.is_some() {
            return Err(match &self.founder {
                Some(_) => "expected one @create only: the group is founded already".into(),
                None => format!("expected \"{CREATE}\" before anything else"),
            });
        }
        match &act {
            Act::Create(user, _) => {
                self.founder = Some(user.name().into());
                self.apps.insert(user.domain().clone());
                self.people.insert(user.name().into(), Presence::Here);
            }
            Act::Allow(app) => {
                self.founder_is_here("@allow")?;
                if !self.apps.insert(app.clone()) {
                    return Err(format!("{app} is allowed already"));
                }
            }
            Act::Add(user) => self.add(user)?,
            Act::Remove(name) => {
                self.founder_is_here("@remove")?;
                self.expect(name, Presence::Here)?;
                if self.founder.as_ref() == Some(name) {
                    return Err(format!("expected someone else to remove: {name} founded the group"));
                }
                self.people.insert(name.clone(), Presence::Removed(line));
            }
            Act::Late(name) => {
                self.expect(name, Presence::Here)?;
                self.people.insert(name.clone(), Presence::Late);
            }
            Act::Back(name) => {
                self.expect(name, Presence::Late)?;
                self.people.insert(name.clone(), Presence::Here);
            }
            Act::Twice(name) => self.expect(name, Presence::Here)?,
            Act::Say(name, _) => self.member(name).map(|_| ())?,
            Act::Safety(one, other) => {
                // Who is late may not have heard of the other yet.
                self.expect(one, Presence::Here)?;
                self.expect(other, Presence::Here)?;
            }
            Act::Restart => {}
        }
        Ok(act)
    }

    fn add(&mut self, user: &UserUri) -> Result<(), String> {
        self.founder_is_here("@add")?;
        if !self.apps.contains(user.domain()) {
            return Err(format!("expected \"@allow {}\" on a line before", user.domain()));
        }
        match self.people.get(user.name()) {
            None => self.people.insert(user.name().into(), Presence::Here),
            Some(Presence::Removed(line)) => {
                return Err(format!("{} was removed on line {line}, and is barred: add someone else", user.name()));
            }
            Some(_) => return Err(format!("there is a {} already: expected another name", user.name())),
        };
        Ok(())
    }

    fn founder_is_here(&self, act: &str) -> Result<(), String> {
        match &self.founder {
            Some(founder) if self.people.get(founder) == Some(&Presence::Late) => {
                Err(format!("expected \"@back {founder}\" before {act}: {founder} founded the group and does it"))
            }
            _ => Ok(()),
        }
    }

    fn expect(&self, name: &str, presence: Presence) -> Result<(), String> {
        if self.member(name)? == presence {
            return Ok(());
        }
        Err(match presence {
            Presence::Late => format!("{name} is not late: expected \"@late {name}\" on a line before"),
            _ => format!("{name} is late: expected \"@back {name}\" on a line before"),
        })
    }

    fn member(&self, name: &str) -> Result<Presence, String> {
        match self.people.get(name) {
            None => Err(format!("nobody is called \"{name}\" here: expected \"@add {name}@app.example\" before")),
            Some(Presence::Removed(line)) => Err(format!("{name} was removed on line {line}: expected a member")),
            Some(presence) => Ok(*presence),
        }
    }
}
