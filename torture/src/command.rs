//! The command line.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

use crate::bench::{self, Settings};
use crate::judge::{self, Care, Verdict};
use crate::ledger::Ledger;
use crate::plan::Plan;
use crate::report::{self, Tally};
use crate::scene::Scenes;
use crate::{bugs, contention, court, errors, ext4, kill, power, rot, workload};

const USAGE: &str = "\
torture quick [WAY…] [--seed N] [--jobs N] [--scratch DIR] [--first]
    a sample of every way, or of those named; a few minutes
torture full [WAY…] [--seed N] [--jobs N] [--scratch DIR] [--state DIR]
    everything; goes on where an earlier run with the same seed and state directory stopped
torture case WAY:NUMBER [--seed N] [--full]
    one case again (--full: numbered by a full run); what it leaves is kept
torture judge DIR [--seed N]
    judges what was kept of a bad case: DIR/v by DIR/ledger
torture bugs [NAME…] [--seed N] [--check]
    puts each bug of torture/bugs into a copy of the library and demands that `quick` finds it (--check: only whether the
    patches still apply)

ways: kill power errors rot contention ext4";

/// A way of hurting a vault.
type Way = fn(&Settings, &Scenes, &mut Tally) -> io::Result<()>;

const WAYS: &[(&str, Way)] = &[
    ("kill", kill::run),
    ("power", power::run),
    ("errors", errors::run),
    ("rot", rot::run),
    ("contention", contention::run),
    ("ext4", ext4::run),
];

/// What was asked for.
struct Asked {
    words: Vec<String>,
    settings: Settings,
}

/// Runs the command; 0 if nothing bad was found.
pub fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("torture: {error}");
            ExitCode::from(2)
        }
    }
}

fn dispatch(args: &[String]) -> io::Result<bool> {
    let (first, rest) = match args.split_first() {
        Some((first, rest)) => (first.as_str(), rest),
        None => return Err(io::Error::other(USAGE)),
    };
    match first {
        "work" => workload::run(Plan::parse(rest).map_err(io::Error::other)?).map(|()| true),
        "judge-server" => court::serve().map(|()| true),
        "quick" => run(parse(rest, true)?),
        "full" => run(parse(rest, false)?),
        "case" => {
            let mut asked = parse(rest, !rest.iter().any(|word| word == "--full"))?;
            let case = asked.words.first().and_then(|word| word.split_once(':'));
            let (way, number) = case.ok_or_else(|| io::Error::other(USAGE))?;
            asked.settings.only = Some(number.parse().map_err(io::Error::other)?);
            asked.settings.state = None;
            asked.words = vec![way.to_owned()];
            run(asked)
        }
        "bugs" => {
            let asked = parse(rest, true)?;
            bugs::run(&asked.words, asked.settings.seed, rest.iter().any(|word| word == "--check"))
        }
        "judge" => {
            let asked = parse(rest, true)?;
            let dir = asked.words.first().ok_or_else(|| io::Error::other(USAGE))?;
            judge_kept(Path::new(dir), asked.settings.seed)
        }
        _ => Err(io::Error::other(USAGE)),
    }
}

fn parse(args: &[String], quick: bool) -> io::Result<Asked> {
    let mut settings = Settings {
        seed: 1,
        jobs: thread::available_parallelism().map_or(2, std::num::NonZero::get),
        quick,
        only: None,
        scratch: PathBuf::from("/dev/shm"),
        state: (!quick).then(|| PathBuf::from("torture-state")),
        first: false,
    };
    let mut words = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| io::Error::other(format!("{arg} needs a value")));
        match arg.as_str() {
            "--seed" => settings.seed = value()?.parse().map_err(io::Error::other)?,
            "--jobs" => settings.jobs = value()?.parse().map_err(io::Error::other)?,
            "--scratch" => settings.scratch = value()?.into(),
            "--state" => settings.state = Some(value()?.into()),
            "--first" => settings.first = true,
            "--full" | "--check" => {}
            word if word.starts_with('-') => return Err(io::Error::other(USAGE)),
            word => words.push(word.to_owned()),
        }
    }
    Ok(Asked { words, settings })
}

fn run(asked: Asked) -> io::Result<bool> {
    let Asked { words, mut settings } = asked;
    if let Some(unknown) = words.iter().find(|word| WAYS.iter().all(|(way, _)| way != word)) {
        return Err(io::Error::other(format!("there is no way called {unknown}\n{USAGE}")));
    }
    settings.scratch = settings.scratch.join(format!("torture-{}", std::process::id()));
    bench::clear(&settings.scratch)?;
    let done = run_ways(&words, &settings);
    let _ = std::fs::remove_dir_all(&settings.scratch);
    done
}

fn run_ways(words: &[String], settings: &Settings) -> io::Result<bool> {
    println!("seed {}, {} workers, in {}", settings.seed, settings.jobs, settings.scratch.display());
    let scenes = Scenes::prepare(settings)?;
    let mut tallies = Vec::new();
    for (way, torture) in WAYS.iter().filter(|(way, _)| words.is_empty() || words.iter().any(|word| word == way)) {
        let mut tally = Tally::start(way, settings.seed, settings.state.as_deref())?;
        torture(settings, &scenes, &mut tally)?;
        tally.finish();
        tallies.push(tally);
        if settings.first && tallies.iter().any(|tally| tally.bad() > 0) {
            break;
        }
    }
    println!("{}", report::table(&tallies));
    let bad: usize = tallies.iter().map(Tally::bad).sum();
    println!("{}", if bad == 0 { "no promise was broken".to_owned() } else { format!("{bad} BAD") });
    Ok(bad == 0)
}

fn judge_kept(dir: &Path, seed: u64) -> io::Result<bool> {
    let ledger = Ledger::read(&std::fs::read_to_string(dir.join("ledger"))?);
    // A copy: judging mends it.
    let copy = dir.with_extension("judged");
    bench::clear(&copy)?;
    bench::copy_dir(&dir.join("v"), &copy)?;
    let verdict = judge::judge(&copy, seed, &ledger, Care::Thorough);
    println!("{verdict:?}");
    std::fs::remove_dir_all(&copy)?;
    Ok(matches!(verdict, Verdict::Good(_)))
}
