//! `contention`: others reach for the same directory, it goes away, it cannot be written, the clock jumps.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::bench::{self, Allow, Bench, Case, Settings};
use crate::clock_jumps;
use crate::listen::Running;
use crate::plan::Plan;
use crate::report::{Outcome, Tally};
use crate::scene::Scenes;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// A second process opens the vault that a first one works with.
    SecondProcess,
    /// Several processes create a vault in one place at once.
    CreateRace,
    DirRemoved,
    DirRenamed,
    /// The process may not write the directory.
    NotPermitted,
    ClockJumps,
}

const TROUBLES: [Trouble; 6] = [
    Trouble::SecondProcess,
    Trouble::CreateRace,
    Trouble::DirRemoved,
    Trouble::DirRenamed,
    Trouble::NotPermitted,
    Trouble::ClockJumps,
];

pub fn run(settings: &Settings, scenes: &Scenes, tally: &mut Tally) -> io::Result<()> {
    let rounds = settings.scale(2, 20) as u64;
    let cases = (0..rounds).flat_map(|round| (0..).zip(TROUBLES).map(move |(which, trouble)| (round, which, trouble)));
    let cases = cases.map(|(round, which, trouble)| Case {
        number: round * 100 + which,
        label: format!("{trouble:?}"),
        what: (round, trouble),
    });
    let limit = Duration::from_secs(settings.scale(60, 86_400) as u64);
    bench::run(settings, tally, limit, cases, |bench, case| {
        let (round, trouble) = case.what;
        let outcome = cause(settings, scenes, bench, case.number, round, trouble)?;
        Ok(match outcome {
            Outcome::Good(class) => Outcome::Good(format!("{trouble:?}: {class}")),
            bad => bad,
        })
    })
}

fn cause(
    settings: &Settings,
    scenes: &Scenes,
    bench: &mut Bench,
    number: u64,
    round: u64,
    trouble: Trouble,
) -> io::Result<Outcome> {
    let vault =
        bench.lay_out(Some(&scenes.small().dir).filter(|_| trouble != Trouble::CreateRace).map(|dir| dir.as_path()))?;
    let before = scenes.small().said.clone();
    let ledger = bench.dir.join("v.said");
    fs::write(&ledger, &before)?;
    let plan = Plan { dir: vault.clone(), ledger: Some(ledger), faults: true, steps: 4, ..Plan::new(settings.seed) };
    let endless = Plan { steps: 1_000_000, ..plan.clone() };
    let some = 5 + 7 * round as usize;
    match trouble {
        Trouble::SecondProcess => {
            let mut first = Running::start(&endless, None)?;
            if !first.hear(some) {
                return Ok(Outcome::Bad("the first process ended by itself".into()));
            }
            match Running::start(&plan, None)?.end()? {
                Ok(said) if said.contains("is in use") => {}
                Ok(said) => return Ok(Outcome::Bad(format!("the second process was let in: {said}"))),
                Err(what) => return Ok(Outcome::Bad(what)),
            }
            first.hear(5);
            let said = before + &first.kill()?;
            bench.judge(number, settings.seed, &said, Allow::Nothing)
        }
        Trouble::CreateRace => {
            let create = Plan { create: true, ledger: None, ..plan };
            let racers: Vec<Running> = (0..3).map(|_| Running::start(&create, None)).collect::<io::Result<_>>()?;
            let (mut winner, mut created) = (String::new(), 0);
            for racer in racers {
                match racer.end()? {
                    Ok(said) if said.contains("a - created") => (winner, created) = (said, created + 1),
                    Ok(_) => {}
                    Err(what) => return Ok(Outcome::Bad(what)),
                }
            }
            if created > 1 {
                return Ok(Outcome::Bad(format!("{created} processes created the vault")));
            }
            bench.judge(number, settings.seed, &winner, Allow::Nothing)
        }
        Trouble::DirRemoved => {
            let mut first = Running::start(&endless, None)?;
            first.hear(some);
            // The process may make another file meanwhile.
            while let Err(error) = fs::remove_dir_all(&vault) {
                match error.kind() {
                    io::ErrorKind::DirectoryNotEmpty => {}
                    io::ErrorKind::NotFound => break,
                    _ => return Err(error),
                }
            }
            first.hear(some);
            // What goes on in files that have no name is nobody's loss; it must not panic.
            thread::sleep(Duration::from_millis(300));
            let said = first.kill()?;
            Ok(match said.lines().find(|line| line.starts_with('w')) {
                Some(line) => Outcome::Bad(line.to_owned()),
                None => Outcome::Good("went on or stopped with a typed error".into()),
            })
        }
        Trouble::DirRenamed => {
            let away = vault.with_extension("away");
            let mut first = Running::start(&endless, None)?;
            first.hear(some);
            fs::rename(&vault, &away)?;
            first.hear(40);
            let said = first.kill()?;
            fs::rename(&away, &vault)?;
            bench.judge(number, settings.seed, &(before + &said), Allow::Nothing)
        }
        Trouble::NotPermitted => {
            open_to_all(&bench.dir)?;
            let said = match Running::start(&plan, Some(65_534)) {
                Ok(running) => match running.end()? {
                    Ok(said) => said,
                    Err(what) => return Ok(Outcome::Bad(what)),
                },
                Err(error) => {
                    return Ok(Outcome::Good(format!("skipped: rights cannot be dropped ({})", error.kind())));
                }
            };
            if said.contains("\na ") || said.starts_with("a ") {
                return Ok(Outcome::Bad(format!("it worked where it may not write: {said}")));
            }
            bench.judge(number, settings.seed, &(before + &said), Allow::Nothing)
        }
        Trouble::ClockJumps => {
            if let Err(what) = clock_jumps::run(&vault, settings.seed, round) {
                return Ok(Outcome::Bad(what));
            }
            bench.judge(number, settings.seed, &before, Allow::Nothing)
        }
    }
}

/// Everybody may read everything below, and nobody but its owner write.
fn open_to_all(dir: &Path) -> io::Result<()> {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            open_to_all(&path)?;
        } else {
            fs::set_permissions(path, fs::Permissions::from_mode(0o644))?;
        }
    }
    Ok(())
}
