//! Workers, each with a place in memory to break vaults in and a judge of its own, and the cases that they are given.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::checked::TREES_MENDED;
use crate::court::{Judge, Question};
use crate::judge::{Care, Verdict};
use crate::plan::Plan;
use crate::report::{Outcome, Tally};

/// How a run was asked for.
#[derive(Clone, Debug)]
pub struct Settings {
    pub seed: u64,
    pub jobs: usize,
    /// A sample, and a limit of time for each way.
    pub quick: bool,
    /// Only this case, and everything about it is shown and kept.
    pub only: Option<u64>,
    /// Where broken vaults are made: in memory, unless told otherwise.
    pub scratch: PathBuf,
    /// Where the progress of a full run is kept.
    pub state: Option<PathBuf>,
    /// Stop a way at its first bad case.
    pub first: bool,
}

impl Settings {
    /// Of two numbers, the one for this run.
    pub const fn scale(&self, quick: usize, full: usize) -> usize {
        if self.quick { quick } else { full }
    }

    /// Where bad cases are kept.
    pub fn kept(&self, way: &str, number: u64) -> PathBuf {
        self.scratch.with_file_name(format!("torture-bad-{}", self.seed)).join(format!("{way}-{number}"))
    }
}

/// One case: its number within its way, and what a person should know of it.
pub struct Case<T> {
    pub number: u64,
    pub label: String,
    pub what: T,
}

/// A worker's place and judge.
pub struct Bench {
    pub dir: PathBuf,
    pub judge: Judge,
    way: &'static str,
    settings: Settings,
}

/// What damage may lead to besides a whole vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Allow {
    /// Nothing: it has to open, and a check finds nothing in its trees.
    Nothing,
    /// The trees may be wrong, as long as a check mends them: they can be built anew.
    WrongTrees,
    /// A typed error that says what is wrong and what to do.
    NamedDamage,
    /// Only that: opening has to read what was damaged.
    OnlyNamedDamage,
}

impl Bench {
    pub fn vault(&self) -> PathBuf {
        self.dir.join("v")
    }

    /// A fresh copy of a vault to be broken; an empty place for none.
    pub fn lay_out(&self, base: Option<&Path>) -> io::Result<PathBuf> {
        let vault = self.vault();
        clear(&self.dir)?;
        if let Some(base) = base {
            copy_dir(base, &vault)?;
        }
        Ok(vault)
    }

    /// Judges the vault of this bench by what was said about it.
    pub fn judge(&mut self, number: u64, seed: u64, said: &str, allow: Allow) -> io::Result<Outcome> {
        let aside = self.dir.join("aside");
        if self.vault().exists() {
            copy_dir(&self.vault(), &aside)?;
        }
        let care = match number % 16 {
            7 => Care::Checked,
            _ if number.is_multiple_of(3) => Care::Thorough,
            _ => Care::Whole,
        };
        let outcome =
            self.judge_with(number, seed, said, allow, &Question::Judge(care), |place| match aside.exists() {
                true => copy_dir(&aside, place),
                false => Ok(()),
            });
        let _ = fs::remove_dir_all(&aside);
        outcome
    }

    /// The same; what was judged can be made again by `lay_out`, if it has to be kept.
    pub fn judge_with(
        &mut self,
        number: u64,
        seed: u64,
        said: &str,
        allow: Allow,
        question: &Question,
        lay_out: impl FnOnce(&Path) -> io::Result<()>,
    ) -> io::Result<Outcome> {
        let ledger = self.dir.join("ledger");
        fs::write(&ledger, said)?;
        let keep = self.settings.kept(self.way, number);
        let verdict = self.judge.ask(&self.vault(), &ledger, seed, question)?;
        let outcome = match verdict {
            Verdict::Good(class) if allow == Allow::OnlyNamedDamage => Outcome::Bad(format!("not noticed: {class}")),
            Verdict::Good(class) if allow == Allow::Nothing && class.contains(TREES_MENDED) => {
                Outcome::Bad(format!("nobody hurt the trees: {class}"))
            }
            Verdict::Good(class) => Outcome::Good(class),
            Verdict::Refused(name, _) if allow >= Allow::NamedDamage && names_damage(&name) => {
                Outcome::Good(format!("refused: {name}"))
            }
            Verdict::Refused(name, words) => Outcome::Bad(format!("does not open or read: {name}: {words}")),
            Verdict::Bad(what) => Outcome::Bad(what),
        };
        if self.settings.only.is_some() || matches!(outcome, Outcome::Bad(_)) {
            clear(&keep)?;
            lay_out(&keep.join("v"))?;
            fs::write(keep.join("ledger"), said)?;
            println!("      kept: torture judge {} --seed {seed}", keep.display());
        }
        Ok(outcome)
    }
}

/// Errors that say which stored bytes are wrong.
pub fn names_damage(name: &str) -> bool {
    const STORAGE: [&str; 8] = [
        "Damaged",
        "HeaderRolledBack",
        "JournalBehind",
        "Missing",
        "NotAVault",
        "OtherVault",
        "StateDamaged",
        "UnknownFormat",
    ];
    if name == "Unsound" {
        return true;
    }
    match name.split_once('(') {
        Some(("Storage", inner)) => STORAGE.iter().any(|known| inner.starts_with(known)),
        Some(("Header" | "Audit", _)) => true,
        Some(("Unlock", inner)) => inner.starts_with("HeaderTampered") || inner.starts_with("Header"),
        _ => ["Tampered", "TamperedRow", "Missing", "Header", "Audit"].iter().any(|known| name.starts_with(known)),
    }
}

/// Gives cases to workers until there are no more, time is up, or the first is bad.
pub fn run<T: Send>(
    settings: &Settings,
    tally: &mut Tally,
    limit: Duration,
    cases: impl Iterator<Item = Case<T>> + Send,
    work: impl Fn(&mut Bench, &Case<T>) -> io::Result<Outcome> + Sync,
) -> io::Result<()> {
    let (way, started) = (tally.way, Instant::now());
    let (cases, tally) = (Mutex::new(cases), Mutex::new(tally));
    let (stop, failed) = (AtomicBool::new(false), Mutex::new(None));
    // The next case that is to be done; cases are made one after another, under their lock.
    let next = || loop {
        let case = lock(&cases).next()?;
        let wanted = match settings.only {
            Some(only) => case.number == only,
            None => !lock(&tally).is_done(case.number),
        };
        if wanted || stop.load(Ordering::Relaxed) {
            return wanted.then_some(case);
        }
    };
    let worker = |number: usize| {
        let dir = settings.scratch.join(format!("{way}-{number}"));
        let mut bench = Bench { dir, judge: Judge::default(), way, settings: settings.clone() };
        while !stop.load(Ordering::Relaxed) {
            if started.elapsed() > limit {
                lock(&tally).remark = Some("stopped by time".into());
                break;
            }
            let Some(case) = next() else { break };
            match work(&mut bench, &case) {
                Ok(outcome) => {
                    let last = settings.first && matches!(outcome, Outcome::Bad(_));
                    stop.fetch_or(last, Ordering::Relaxed);
                    lock(&tally).record(case.number, &case.label, outcome);
                }
                Err(error) => {
                    stop.store(true, Ordering::Relaxed);
                    *lock(&failed) = Some(io::Error::new(error.kind(), format!("{way}:{}: {error}", case.number)));
                }
            }
        }
        let mut tally = lock(&tally);
        tally.peak = tally.peak.max(bench.judge.peak);
        let _ = fs::remove_dir_all(&bench.dir);
    };
    thread::scope(|scope| (0..settings.jobs).for_each(|number| drop(scope.spawn(move_worker(&worker, number)))));
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

const fn move_worker<'a>(worker: &'a (dyn Fn(usize) + Sync), number: usize) -> impl FnOnce() + Send + 'a {
    move || worker(number)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The workload as a command.
pub fn work(plan: &Plan) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("work").args(plan.words()).env("RUST_BACKTRACE", "0");
    Ok(command)
}

/// Makes an empty directory.
pub fn clear(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::create_dir_all(dir)
}

/// Copies a directory with all it holds.
pub fn copy_dir(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &target)?;
        } else {
            fs::write(target, fs::read(entry.path())?)?;
        }
    }
    Ok(())
}

/// All files below a directory, by their path in it, sorted.
pub fn files_in(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut found, mut dirs) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(next) = dirs.pop() {
        for entry in fs::read_dir(next)? {
            let path = entry?.path();
            if path.is_dir() {
                dirs.push(path);
            } else if let Ok(inside) = path.strip_prefix(dir) {
                found.push(inside.to_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}
