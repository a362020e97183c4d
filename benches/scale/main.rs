//! What grows with the vault: import, opening after a clean stop and after a crash, first touch, checking, rebuilding, memory.
//!
//! `cargo bench --bench scale -- --records 1000000 --runs 3`; without arguments a small vault, in a minute or two. It works
//! in a new directory under `TMPDIR`. Medians of the runs, as a table in Markdown.

mod steps;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use steps::{CHART, Place};

/// Bytes that a record of 512 takes in the journal, about: what fills the space between two checkpoints.
const JOURNALED: usize = 1_000;
const MIB: usize = 1 << 20;

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
            let (least, most) = (percentile(runs.clone(), 0), percentile(runs.clone(), 100));
            let digits = if most < 100.0 { 2 } else { 0 };
            println!(
                "| {name} | {:.digits$} | {least:.digits$} | {most:.digits$} | {} |",
                median(runs.clone()),
                runs.len()
            );
        }
    }
}

struct Bench {
    place: Place,
    figures: Figures,
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
        let dropped = std::mem::take(&mut self.figures);
        self.step("", &["tail".into(), records.to_string(), idle.as_secs().to_string()]);
        self.figures = dropped;
        self.step(prefix, &["read".into(), "1".into(), "no".into()]);
    }

    /// All rows, by the newest time of a figure.
    fn rate(&mut self, time: &str, name: &str) {
        let newest = self.figures.runs.get(time).and_then(|runs| runs.last()).copied().unwrap_or(f64::NAN);
        self.figures.add(name.to_owned(), steps::rows(&self.place) as f64 / newest * 1e3);
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

fn argument(name: &str, default: usize) -> usize {
    let value = std::env::args().skip_while(|argument| argument != name).nth(1);
    value.map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} takes a number")))
}

fn child() -> bool {
    let arguments: Vec<String> = std::env::args().skip_while(|argument| argument != "--step").skip(1).collect();
    let [dir, step, rest @ ..] = arguments.as_slice() else { return false };
    let place = Place(dir.into());
    let number = |at: usize| rest[at].parse::<usize>().unwrap();
    match step.as_str() {
        "import" => steps::import(&place, number(0)),
        "read" => steps::read(&place, number(0), rest[1] == "whole"),
        "tail" => steps::tail(&place, number(0), Duration::from_secs(number(1) as u64)),
        "check" => steps::check(&place),
        "stall" => steps::stall(&place, number(0)),
        other => panic!("no step {other}"),
    }
    std::io::stdout().flush().unwrap();
    true
}

fn main() {
    if child() {
        return;
    }
    let (records, runs, idle) = (argument("--records", 50_000), argument("--runs", 3), argument("--idle", 0));
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench { place: Place(dir.path().to_owned()), figures: Figures::default() };
    eprintln!("{records} records, charts of {CHART}, in {:?}", dir.path());
    bench.step("", &["import".into(), records.to_string()]);
    let touches = (records / CHART).min(1_000);
    for _ in 0..runs {
        bench.step("clean: ", &["read".into(), touches.to_string(), "whole".into()]);
        bench.step("", &["check".into()]);
        bench.crash("crash, 1 MiB behind: ", MIB / JOURNALED, Duration::ZERO);
        bench.crash("crash, 60 MiB behind: ", (60 * MIB / JOURNALED).min(records), Duration::ZERO);
        if idle > 0 {
            bench.crash("crash, idle: ", MIB / JOURNALED, Duration::from_secs(idle as u64));
        }
        bench.without_trees();
        bench.step("rebuilt: ", &["read".into(), "1".into(), "no".into()]);
        bench.rate("rebuilt: open ms", "rebuilt: rows/s");
        bench.step("", &["stall".into(), (160 * MIB / JOURNALED).min(records).to_string()]);
    }
    bench.figures.table();
}
