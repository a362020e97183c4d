//! What grows with the vault: import, log, opening after a clean stop and after a crash, first touch, listing,
//! verifying, checking, rebuilding, compacting, rotating the data key; memory and disk of each.
//!
//! `cargo bench --bench scale -- --records 1000000 --entries 1000000,3000000`; without arguments a small vault, in a
//! few minutes. Medians of the runs, as tables in Markdown. Three million entries take 4 GB of disk.
//!
//! * `--records N`: in charts of 100; 50,000 if not given.
//! * `--entries N,N`: the log is filled up to so many, and opened and verified at each; 50,000 if not given.
//! * `--steps NAME,NAME`: these alone, in the order given: log, open, list, check, crash, rebuild, stall, compact,
//!   rotate; all
//!   of them if not given. The import comes first in any case.
//! * `--runs N`: how often; 3 if not given. Filling, compacting and rotating happen once.
//! * `--idle SECONDS`: also a crash after so much rest.
//! * `--dir DIR`: works there, goes on with the vault that is there, and leaves it. Else in a new directory under
//!   `TMPDIR`.

mod log;
mod place;
mod steps;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use place::{MIB, Place};
use steps::{CHART, VALUE};

/// Bytes that a record of 512 takes in the journal, about: what fills the space between two checkpoints.
const JOURNALED: usize = 1_000;
const STEPS: [&str; 9] = ["log", "open", "list", "check", "crash", "rebuild", "stall", "compact", "rotate"];

pub(crate) fn median(values: Vec<f64>) -> f64 {
    percentile(values, 50)
}

pub(crate) fn percentile(mut values: Vec<f64>, percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get((values.len() * percent / 100).min(values.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// Figures by name, in the order in which they were first seen.
#[derive(Default)]
struct Figures {
    order: Vec<String>,
    runs: BTreeMap<String, Vec<f64>>,
}

impl Figures {
    fn add(&mut self, name: String, value: f64) {
        if !self.runs.contains_key(&name) {
            self.order.push(name.clone());
        }
        self.runs.entry(name).or_default().push(value);
    }

    fn table(&self) {
        println!("\n| figure | median | least | most | runs |\n|---|---|---|---|---|");
        for name in &self.order {
            let runs = self.runs[name].clone();
            let [middle, least, most] = [50, 0, 100].map(|percent| shown(percentile(runs.clone(), percent)));
            println!("| {name} | {middle} | {least} | {most} | {} |", runs.len());
        }
    }
}

fn shown(value: f64) -> String {
    if value < 100.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}

struct Bench {
    place: Place,
    figures: Figures,
    /// With so many entries in the log.
    logs: Vec<(usize, Figures)>,
}

impl Bench {
    /// Runs a step in a process of its own; kills it when it says that it is ready.
    fn step(&mut self, prefix: &str, arguments: &[String]) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("--step")
            .arg(&self.place.0)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut killed = false;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if line == "ready" {
                child.kill().unwrap();
                killed = true;
                break;
            }
            let (name, value) = line.split_once('\t').unwrap_or_else(|| panic!("a figure, not {line:?}"));
            eprintln!("  {prefix}{name}: {value}");
            self.figures.add(format!("{prefix}{name}"), value.parse().unwrap());
        }
        let status = child.wait().unwrap();
        assert!(killed || status.success(), "{arguments:?}: {status}");
    }

    /// Leaves a crash behind, with this much written after the last checkpoint, and opens.
    fn crash(&mut self, prefix: &str, records: usize, idle: Duration) {
        self.step("", &["tail".into(), records.to_string(), idle.as_secs().to_string()]);
        self.step(prefix, &["touch".into(), "1".into()]);
    }

    /// Fills the log up to so many entries, opens and verifies.
    fn log(&mut self, entries: usize, runs: usize) {
        let others = std::mem::take(&mut self.figures);
        self.step("fill: ", &["fill".into(), entries.to_string()]);
        // It scans what sled has written since, and the others do not.
        self.step("first opening: ", &["touch".into(), "1".into()]);
        for _ in 0..runs {
            self.step("later opening: ", &["touch".into(), "1".into()]);
            self.step("verify: ", &["verify".into()]);
        }
        self.logs.push((entries, std::mem::replace(&mut self.figures, others)));
    }

    /// One run of a step.
    fn repeat(&mut self, step: &str, records: usize, idle: usize) {
        let touches = (records / CHART).clamp(1, 1_000).to_string();
        match step {
            "open" => self.step("clean: ", &["touch".into(), touches]),
            "list" => self.step("list: ", &["list".into()]),
            "check" => self.step("check: ", &["check".into()]),
            "crash" => {
                self.crash("crash, 1 MiB behind: ", MIB / JOURNALED, Duration::ZERO);
                self.crash("crash, 60 MiB behind: ", (60 * MIB / JOURNALED).min(records), Duration::ZERO);
                if idle > 0 {
                    self.crash("crash, idle: ", MIB / JOURNALED, Duration::from_secs(idle as u64));
                }
            }
            "rebuild" => {
                self.without_trees();
                self.step("rebuilt: ", &["touch".into(), "1".into()]);
                self.rate("rebuilt: open ms", "rebuilt: rows and entries/s");
            }
            "stall" => {
                self.step("put beside imports: ", &["stall".into(), (160 * MIB / JOURNALED).min(records).to_string()])
            }
            other => panic!("no step {other}"),
        }
    }

    /// All rows and entries, by the newest time of a figure.
    fn rate(&mut self, time: &str, name: &str) {
        let newest = self.figures.runs.get(time).and_then(|runs| runs.last()).copied().unwrap_or(f64::NAN);
        self.figures.add(name.to_owned(), self.place.items() as f64 / newest * 1e3);
    }

    /// What grows with the log: a column for each length, medians.
    fn log_table(&self) {
        let Some((_, first)) = self.logs.first() else { return };
        let lengths: Vec<String> = self.logs.iter().map(|(entries, _)| format!(" {entries} |")).collect();
        println!("\n| entries in the log |{}\n|---|{}", lengths.concat(), "---|".repeat(lengths.len()));
        for name in &first.order {
            let cell =
                |figures: &Figures| figures.runs.get(name).map_or_else(String::new, |runs| shown(median(runs.clone())));
            let cells: Vec<String> = self.logs.iter().map(|(_, figures)| format!(" {} |", cell(figures))).collect();
            println!("| {name} |{}", cells.concat());
        }
    }

    fn without_trees(&self) {
        for entry in fs::read_dir(self.place.vault()).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name().to_string_lossy().starts_with("sled-") {
                fs::remove_dir_all(entry.path()).unwrap();
            }
        }
    }
}

fn text(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}

fn numbers(name: &str, default: usize) -> Vec<usize> {
    let parse = |part: &str| part.parse().unwrap_or_else(|_| panic!("{name} takes numbers"));
    text(name).map_or_else(|| vec![default], |text| text.split(',').map(parse).collect())
}

fn number(name: &str, default: usize) -> usize {
    let [number] = numbers(name, default)[..] else { panic!("{name} takes one number") };
    number
}

fn chosen() -> Vec<String> {
    let Some(text) = text("--steps") else { return STEPS.map(str::to_owned).to_vec() };
    let chosen: Vec<String> = text.split(',').map(str::to_owned).collect();
    if let Some(other) = chosen.iter().find(|step| !STEPS.contains(&step.as_str())) {
        panic!("no step {other}; there are {STEPS:?}");
    }
    chosen
}

fn child() -> bool {
    let arguments: Vec<String> = std::env::args().skip_while(|argument| argument != "--step").skip(1).collect();
    let [dir, step, rest @ ..] = arguments.as_slice() else { return false };
    let place = Place(dir.into());
    let number = |at: usize| rest[at].parse::<usize>().unwrap();
    match step.as_str() {
        "import" => steps::import(&place, number(0)),
        "fill" => log::fill(&place, number(0) as u64),
        "verify" => log::verify(&place),
        "touch" => steps::touch(&place, number(0)),
        "list" => steps::list(&place),
        "tail" => steps::tail(&place, number(0), Duration::from_secs(number(1) as u64)),
        "check" => steps::check(&place),
        "stall" => steps::stall(&place, number(0)),
        "compact" => log::compact(&place),
        "rotate" => steps::rotate(&place),
        other => panic!("no step {other}"),
    }
    place::say("peak MiB", place::memory("VmHWM"));
    std::io::stdout().flush().unwrap();
    true
}

fn main() {
    if child() {
        return;
    }
    let (records, runs, idle) = (number("--records", 50_000), number("--runs", 3), number("--idle", 0));
    let (entries, steps) = (numbers("--entries", 50_000), chosen());
    let temporary = tempfile::tempdir().unwrap();
    let dir = text("--dir").map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let mut bench = Bench { place: Place(dir), figures: Figures::default(), logs: Vec::new() };
    eprintln!("{records} records, charts of {CHART}, in {:?}", bench.place.0);
    if bench.place.vault().exists() {
        eprintln!("going on with the vault that is there");
    } else {
        fs::create_dir_all(&bench.place.0).unwrap();
        bench.step("import: ", &["import".into(), records.to_string()]);
    }
    for step in steps {
        match step.as_str() {
            "log" => entries.iter().for_each(|entries| bench.log(*entries, runs)),
            "compact" => {
                bench.step("compact: ", &["compact".into()]);
                bench.step("compacted: ", &["touch".into(), "1".into()]);
            }
            "rotate" => bench.step("rotate: ", &["rotate".into()]),
            step => (0..runs).for_each(|_| bench.repeat(step, records, idle)),
        }
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let records = bench.place.charts().len() * CHART;
    println!("\n{records} records of {VALUE} bytes in charts of {CHART}; {cores} cores.");
    bench.figures.table();
    bench.log_table();
}
