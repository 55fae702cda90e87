//! The device that is killed: a process, and what must be so each time it comes back.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command as Program, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use convivio_killed_tests::conversation::{self, Command, Report, Request, Stop, View};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::tally::{Stage, Tally};
use crate::world::{Outcome, Victim};

/// When the process is killed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Killing {
    Never,
    /// Some while after it was told something, or was started, with this chance. The while is drawn from the seed, but what
    /// the process gets done in it is up to the machine.
    AtRandomMoments(f64),
    /// Right before each write, and once that write was tried again, right after it.
    AroundEachWrite,
}

pub struct Killed {
    path: PathBuf,
    seed: u64,
    lives: u64,
    process: Process,
    view: View,
    killing: Killing,
    pub tally: Tally,
    rng: StdRng,
    /// How long each operation takes if it is let be.
    durations: BTreeMap<&'static str, Duration>,
}

const OPENING: &str = "open";
const CREATING: &str = "create";

impl Killed {
    /// Starts a device over a file that is not there yet. That, too, is interrupted.
    pub fn new(path: PathBuf, seed: u64, killing: Killing) -> Self {
        let mut victim = Self {
            process: Process::start(&path, seed, 0),
            path,
            seed,
            lives: 0,
            view: View::default(),
            killing,
            tally: Tally::default(),
            rng: StdRng::seed_from_u64(seed ^ 0x006B_1115),
            durations: BTreeMap::from([(CREATING, Duration::from_millis(30))]),
        };
        victim.view = victim.opened();
        assert!((1..=2).contains(&victim.view.version), "more was written than a new device: {:?}", victim.view);
        victim
    }

    /// One transaction: all of it, or nothing; and if it was said to be done, all.
    fn judge(&mut self, name: &'static str, before: &View, reports: Vec<Report>) -> Outcome {
        let now = &self.view;
        let happened = now.version == before.version + 1;
        assert!(happened || now == before, "{name} was half done: {now:#?}, and before {before:#?}");
        let (stage, outcome) = match reports.into_iter().last() {
            None => {
                assert!(!happened, "{name} was done before it wrote");
                (Stage::Before, Outcome::Interrupted { happened })
            }
            Some(Report::Writes) if happened => (Stage::WritingKept, Outcome::Interrupted { happened }),
            Some(Report::Writes) => (Stage::WritingLost, Outcome::Interrupted { happened }),
            Some(Report::Written) => {
                assert!(happened, "{name} was written and is lost");
                (Stage::Unanswered, Outcome::Interrupted { happened })
            }
            Some(Report::Done(done, view)) => {
                assert_eq!(*now, *view, "{name} was done and is not as it was");
                (Stage::Answered, Outcome::Done(done))
            }
            Some(Report::Failed(why)) => panic!("{name}: {why}"),
        };
        self.tally.count(name, stage);
        outcome
    }

    /// A new process, which may be killed again while it opens the store, and must find what the last one left.
    fn restart(&mut self) {
        self.lives += 1;
        self.process = Process::start(&self.path, self.seed, self.lives);
        self.view = self.opened();
    }

    fn opened(&mut self) -> View {
        let name = if self.view.version == 0 { CREATING } else { OPENING };
        loop {
            let delay = self.delay(name);
            let (reports, killed) = self.process.listen(delay, None);
            match reports.into_iter().last() {
                Some(Report::Done(_, view)) if !killed => {
                    self.learn(name);
                    return *view;
                }
                Some(Report::Failed(why)) => panic!("it does not open: {why}"),
                last => {
                    let stage = match last {
                        None => Stage::Before,
                        Some(Report::Writes) => Stage::WritingLost,
                        Some(Report::Written) => Stage::Unanswered,
                        _ => Stage::Answered,
                    };
                    self.tally.count(name, stage);
                    self.lives += 1;
                    self.process = Process::start(&self.path, self.seed, self.lives);
                }
            }
        }
    }

    /// How long it may live on: at most as long as the operation takes.
    fn delay(&mut self, name: &'static str) -> Option<Duration> {
        let Killing::AtRandomMoments(chance) = self.killing else { return None };
        let usual = *self.durations.get(name)?;
        // A process that is always killed while it starts gets nowhere.
        let chance = if name == OPENING { chance / 4.0 } else { chance };
        self.rng.random_bool(chance).then(|| usual.mul_f64(self.rng.random_range(0.0..1.0)))
    }

    fn learn(&mut self, name: &'static str) {
        let (took, usual) = (self.process.took, self.durations.entry(name).or_insert(self.process.took));
        *usual = (*usual * 3 + took) / 4;
    }
}

impl Victim for Killed {
    fn view(&self) -> &View {
        &self.view
    }

    fn has_restarted(&self) -> bool {
        self.lives > 0
    }

    /// Tells it to do something, once. If it is killed meanwhile, it is started again and must be where it was before or
    /// where it has got to, and in the latter place if it had said so.
    fn call(&mut self, what: &Command, attempt: u32) -> Outcome {
        let name = what.name();
        let stop = match (self.killing, attempt) {
            // Whose answer came, a new process does not know: there is no second try, the post is posted again.
            (Killing::AroundEachWrite, 0) if matches!(what, Command::Posted(..)) && self.rng.random() => {
                Some(Stop::AfterTheWrite)
            }
            (Killing::AroundEachWrite, 0) => Some(Stop::BeforeTheWrite),
            (Killing::AroundEachWrite, 1) => Some(Stop::AfterTheWrite),
            _ => None,
        };
        self.process.tell(&Request { what: what.clone(), stop });
        let delay = self.delay(name);
        let (mut reports, killed) = self.process.listen(delay, stop);
        if !killed {
            let Some((Report::Done(done, view), before)) = reports.split_last_mut() else { panic!("no answer") };
            assert!(before.len() <= 2, "more than one transaction: {before:?}");
            self.learn(name);
            self.view = std::mem::take(view.as_mut());
            return Outcome::Done(done.clone());
        }
        let before = self.view.clone();
        self.restart();
        self.judge(name, &before, reports)
    }
}

/// The process, its ends of the pipes, and the clock.
struct Process {
    child: Child,
    input: ChildStdin,
    reports: Receiver<Report>,
    told: Instant,
    /// What the last answer took.
    took: Duration,
}

impl Process {
    fn start(path: &PathBuf, seed: u64, life: u64) -> Self {
        let mut child = Program::new(env!("CARGO_BIN_EXE_device"))
            .arg(path)
            .args([seed.to_string(), life.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, reports) = channel();
        // Ends with the process: what was said before the end is still heard, half a report is not.
        thread::spawn(move || {
            while let Ok(report) = conversation::read(&mut output) {
                if sender.send(report).is_err() {
                    break;
                }
            }
        });
        Self { child, input, reports, told: Instant::now(), took: Duration::ZERO }
    }

    fn tell(&mut self, request: &Request) {
        self.told = Instant::now();
        conversation::write(&mut self.input, request).unwrap();
    }

    /// What it says until it is done, or is killed: after the delay, or where it was told to stop. Whether it was.
    fn listen(&mut self, delay: Option<Duration>, stop: Option<Stop>) -> (Vec<Report>, bool) {
        let (until, mut reports) = (delay.map(|delay| self.told + delay), Vec::new());
        loop {
            let heard = match until {
                Some(until) => self.reports.recv_timeout(until.saturating_duration_since(Instant::now())),
                None => self.reports.recv().map_err(RecvTimeoutError::from),
            };
            let Ok(report) = heard else {
                assert_eq!(heard.unwrap_err(), RecvTimeoutError::Timeout, "it ended by itself after {reports:?}");
                break;
            };
            if let Report::Failed(why) = report {
                panic!("it failed: {why}");
            }
            let stops = match report {
                Report::Writes => stop == Some(Stop::BeforeTheWrite),
                Report::Written => stop == Some(Stop::AfterTheWrite),
                _ => false,
            };
            let done = matches!(report, Report::Done(..));
            reports.push(report);
            if done && until.is_none() {
                self.took = self.told.elapsed();
                return (reports, false);
            }
            if stops {
                break;
            }
        }
        self.kill();
        reports.extend(self.reports.iter());
        (reports, true)
    }

    /// SIGKILL.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
