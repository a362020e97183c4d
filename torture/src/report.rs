//! Counts what came of each case, shows it, keeps it for a run that goes on later, and says how to do a bad one again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Classes of outcomes that are shown one by one.
const SHOWN: usize = 24;

/// What came of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Good(String),
    Bad(String),
}

/// One way of hurting a vault, as far as it has come.
pub struct Tally {
    pub way: &'static str,
    seed: u64,
    done: BTreeSet<u64>,
    classes: BTreeMap<String, u64>,
    bad: Vec<(u64, String)>,
    log: Option<File>,
    started: Instant,
    /// Time of earlier runs.
    before: Duration,
    /// Why it did not run, or not to its end.
    pub remark: Option<String>,
    pub peak: u64,
}

impl Tally {
    /// Starts a way, or goes on where an earlier run with the same seed stopped.
    pub fn start(way: &'static str, seed: u64, state: Option<&Path>) -> io::Result<Self> {
        let mut tally = Self {
            way,
            seed,
            done: BTreeSet::new(),
            classes: BTreeMap::new(),
            bad: Vec::new(),
            log: None,
            started: Instant::now(),
            before: Duration::ZERO,
            remark: None,
            peak: 0,
        };
        if let Some(state) = state {
            fs::create_dir_all(state)?;
            let path: PathBuf = state.join(format!("{way}-{seed}.log"));
            for line in fs::read_to_string(&path).unwrap_or_default().lines() {
                tally.take_in(line);
            }
            tally.log = Some(OpenOptions::new().create(true).append(true).open(path)?);
        }
        Ok(tally)
    }

    fn take_in(&mut self, line: &str) {
        let words: Vec<&str> = line.splitn(3, '\t').collect();
        match words[..] {
            ["time", millis, _] => self.before += Duration::from_millis(millis.parse().unwrap_or(0)),
            [number, "good", class] => self.count(number, Outcome::Good(class.to_owned())),
            [number, "bad", what] => self.count(number, Outcome::Bad(what.to_owned())),
            _ => {}
        }
    }

    fn count(&mut self, number: &str, outcome: Outcome) {
        let Ok(number) = number.parse() else { return };
        if !self.done.insert(number) {
            return;
        }
        match outcome {
            Outcome::Good(class) => *self.classes.entry(class).or_default() += 1,
            Outcome::Bad(what) => self.bad.push((number, what)),
        }
    }

    pub fn is_done(&self, number: u64) -> bool {
        self.done.contains(&number)
    }

    pub fn cases(&self) -> usize {
        self.done.len()
    }

    pub fn bad(&self) -> usize {
        self.bad.len()
    }

    pub fn elapsed(&self) -> Duration {
        self.before + self.started.elapsed()
    }

    /// Takes one outcome in, and shows it when it is bad.
    pub fn record(&mut self, number: u64, label: &str, outcome: Outcome) {
        let (word, text) = match &outcome {
            Outcome::Good(class) => ("good", class.clone()),
            Outcome::Bad(what) => ("bad", format!("{label}: {what}")),
        };
        if let Some(log) = &mut self.log {
            let _ = log.write_all(format!("{number}\t{word}\t{text}\n").as_bytes());
        }
        if let Outcome::Bad(what) = &outcome {
            println!("  BAD {}:{number} ({label}): {what}", self.way);
            println!("      again: torture case {}:{number} --seed {}", self.way, self.seed);
        }
        let outcome = if word == "bad" { Outcome::Bad(text) } else { outcome };
        self.count(&number.to_string(), outcome);
        if self.done.len().is_multiple_of(100) {
            self.note_time();
        }
    }

    /// The way is through, for this time.
    pub fn finish(&mut self) {
        self.note_time();
        println!(
            "{}: {} cases, {} bad, {:.0} s, judges took at most {} MiB{}",
            self.way,
            self.cases(),
            self.bad(),
            self.elapsed().as_secs_f64(),
            self.peak >> 10,
            self.remark.as_ref().map_or_else(String::new, |remark| format!(" ({remark})")),
        );
        let mut classes: Vec<_> = self.classes.iter().collect();
        classes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (class, count) in classes.iter().take(SHOWN) {
            println!("  {count:>8} {class}");
        }
        if classes.len() > SHOWN {
            let rest: u64 = classes.iter().skip(SHOWN).map(|(_, count)| **count).sum();
            println!("  {rest:>8} in {} other ways", classes.len() - SHOWN);
        }
    }

    /// Keeps the time that was taken, now and then: a run can be stopped at any moment.
    fn note_time(&mut self) {
        let millis = self.started.elapsed().as_millis();
        if let Some(log) = &mut self.log {
            let _ = log.write_all(format!("time\t{millis}\t-\n").as_bytes());
        }
        self.before += self.started.elapsed();
        self.started = Instant::now();
    }

    /// How many were mended, by the class that the judge gave.
    fn that(&self, what: &str) -> u64 {
        self.classes.iter().filter(|(class, _)| class.contains(what)).map(|(_, count)| count).sum()
    }
}

/// The table at the end.
pub fn table(tallies: &[Tally]) -> String {
    let mut table =
        String::from("\n| way | cases | bad | trees rebuilt | torn end dropped | refused by name | seconds |\n");
    table.push_str("|---|---:|---:|---:|---:|---:|---:|\n");
    for tally in tallies {
        let _ = writeln!(
            table,
            "| {}{} | {} | {} | {} | {} | {} | {:.0} |",
            tally.way,
            tally.remark.as_ref().map_or_else(String::new, |remark| format!(" ({remark})")),
            tally.cases(),
            tally.bad(),
            tally.that("rebuilt"),
            tally.that("torn"),
            tally.that("refused"),
            tally.before.as_secs_f64(),
        );
    }
    table
}
