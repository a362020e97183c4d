//! Small file systems in memory that really fill up, of many sizes.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::bench::{self, Allow, Case, Settings};
use crate::plan::Plan;
use crate::report::{Outcome, Tally};
use crate::scene::{PATIENCE, Scenes};
use crate::tracer::{Call, Observer, Reaction, Tracer, Watch};

/// Numbers of these cases, above those of single calls.
const FIRST: u64 = 1_000_000_000;

/// A tmpfs, gone when dropped.
struct Small(PathBuf);

impl Small {
    fn mount(dir: &Path, kib: usize) -> io::Result<Self> {
        bench::clear(dir)?;
        mount(dir, kib, 0)?;
        Ok(Self(dir.to_owned()))
    }

    /// Somebody made room.
    fn enlarge(&self, kib: usize) -> io::Result<()> {
        mount(&self.0, kib, libc::MS_REMOUNT)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        if let Ok(dir) = CString::new(self.0.as_os_str().as_bytes()) {
            // SAFETY: a plain system call; the text outlives it.
            unsafe { libc::umount2(dir.as_ptr(), libc::MNT_DETACH) };
        }
    }
}

fn mount(dir: &Path, kib: usize, flags: libc::c_ulong) -> io::Result<()> {
    let dir = CString::new(dir.as_os_str().as_bytes())?;
    let options = CString::new(format!("size={kib}k"))?;
    // SAFETY: a plain system call; the texts outlive it.
    let done =
        unsafe { libc::mount(c"tmpfs".as_ptr(), dir.as_ptr(), c"tmpfs".as_ptr(), flags, options.as_ptr().cast()) };
    if done != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

struct Silent;

impl Observer for Silent {
    fn enter(&mut self, _: &Call) -> Reaction {
        Reaction::Go
    }
}

pub(crate) fn run(settings: &Settings, scenes: &Scenes, tally: &mut Tally) -> io::Result<()> {
    let probe = settings.scratch.join("probe");
    if let Err(error) = Small::mount(&probe, 64) {
        println!("  full disks: skipped, a tmpfs cannot be mounted here ({error})");
        return Ok(());
    }
    let small: usize = bench::files_in(&scenes.small().dir)?
        .iter()
        .map(|file| scenes.small().dir.join(file).metadata().map_or(0, |about| about.len() as usize / 1_024 + 4))
        .sum();
    // From no room for the first file up to room for everything.
    let step = settings.scale(64, 4);
    let sizes = (small..small + 900).step_by(step).map(|kib| (true, kib));
    let sizes = sizes.chain((16..small + 300).step_by(step).map(|kib| (false, kib)));
    let cases = (0..).zip(sizes).map(|(at, (works, kib))| Case {
        number: FIRST + at,
        label: format!("{} on a disk of {kib} KiB", if works { "work" } else { "create" }),
        what: (works, kib),
    });
    let limit = Duration::from_secs(settings.scale(25, 86_400) as u64);
    bench::run(settings, tally, limit, cases, |bench, case| {
        let (works, kib) = case.what;
        bench::clear(&bench.dir)?;
        let disk = Small::mount(&bench.vault(), kib)?;
        let vault = bench.vault().join("v");
        let mut plan = Plan {
            faults: true,
            steps: 60,
            compact: 20,
            create: !works,
            dir: vault.clone(),
            ..Plan::new(settings.seed)
        };
        let mut said = String::new();
        if works {
            bench::copy_dir(&scenes.small().dir, &vault)?;
            let ledger = bench.dir.join("said-before");
            std::fs::write(&ledger, &scenes.small().said)?;
            plan.ledger = Some(ledger);
            said.push_str(&scenes.small().said);
        }
        let tracer =
            Tracer { watch: Watch::Changes, below: Path::new("/nowhere"), with_data: false, patience: PATIENCE };
        let ended = tracer.run(&mut bench::work(&plan)?, &mut Silent)?;
        if ended.hung || ended.code != Some(0) {
            let how = if ended.hung { "hung" } else { "panicked or died" };
            return Ok(Outcome::Bad(format!("on a full disk it {how}: {}", ended.complaint)));
        }
        said.push_str(&ended.said);
        let filled = ended.said.contains("\ne ");
        disk.enlarge(64 << 10)?;
        let inside = bench.dir.join("moved");
        if vault.exists() {
            bench::copy_dir(&vault, &inside)?;
        }
        drop(disk);
        let _ = std::fs::remove_dir_all(bench.vault());
        if inside.exists() {
            std::fs::rename(&inside, bench.vault())?;
        }
        let judged = bench.judge(case.number, settings.seed, &said, Allow::Nothing)?;
        Ok(match judged {
            Outcome::Good(class) if filled => Outcome::Good(format!("disk filled up, then room was made: {class}")),
            other => other,
        })
    })
}
