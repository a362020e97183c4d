//! `ext4`: a real file system on a loop device. At a random moment the backing file, which holds only what reached the
//! "disk", is copied while the process stands still; the copy is mounted, ext4 recovers its own journal, and what is in
//! it is judged.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use crate::bench::{self, Allow, Case, Settings};
use crate::listen::Running;
use crate::plan::Plan;
use crate::report::{Outcome, Tally};
use crate::rng::Rng;
use crate::scene::Scenes;

const SIZE: u64 = 24 << 20;

fn tool(name: &str, args: &[&str]) -> io::Result<Output> {
    let output = Command::new(name).args(args).stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(output);
    }
    Err(io::Error::other(format!("{name} {args:?}: {}", String::from_utf8_lossy(&output.stderr).trim())))
}

/// A file with an ext4 in it on a loop device, mounted; unmounted and detached when dropped.
struct Loop {
    device: String,
    mounted: Option<PathBuf>,
}

impl Loop {
    /// Direct I/O where the file system below can, so that the backing file holds what was written, no more.
    fn attach(image: &Path) -> io::Result<Self> {
        let image = image.to_string_lossy();
        let output = tool("losetup", &["--find", "--show", "--direct-io=on", &image])?;
        Ok(Self { device: String::from_utf8_lossy(&output.stdout).trim().to_owned(), mounted: None })
    }

    fn mount(&mut self, at: &Path) -> io::Result<()> {
        bench::clear(at)?;
        tool("mount", &["-t", "ext4", &self.device, &at.to_string_lossy()])?;
        self.mounted = Some(at.to_owned());
        Ok(())
    }

    /// Writes that the device has completed, and those under way.
    fn activity(&self) -> io::Result<(String, bool)> {
        let name = self.device.trim_start_matches("/dev/");
        let stat = fs::read_to_string(format!("/sys/block/{name}/stat"))?;
        let words: Vec<&str> = stat.split_whitespace().collect();
        Ok((words.get(4).copied().unwrap_or_default().to_owned(), words.get(8) == Some(&"0")))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        if let Some(at) = &self.mounted {
            let _ = tool("umount", &[&at.to_string_lossy()]);
        }
        let _ = tool("losetup", &["--detach", &self.device]);
    }
}

pub fn run(settings: &Settings, scenes: &Scenes, tally: &mut Tally) -> io::Result<()> {
    // Not in memory: a backing file there is read through the page cache all the same.
    let disk = std::env::temp_dir().join(format!("torture-ext4-{}", std::process::id()));
    bench::clear(&disk)?;
    let done = cuts(settings, scenes, tally, &disk);
    fs::remove_dir_all(&disk)?;
    done
}

fn cuts(settings: &Settings, scenes: &Scenes, tally: &mut Tally, disk: &Path) -> io::Result<()> {
    let blank = disk.join("blank");
    File::create(&blank)?.set_len(SIZE)?;
    let probe = tool("mkfs.ext4", &["-q", "-F", "-b", "4096", &blank.to_string_lossy()])
        .and_then(|_| Loop::attach(&blank))
        .and_then(|mut device| device.mount(&disk.join("probe")));
    if let Err(error) = probe {
        println!("  skipped: no ext4 on a loop device here ({error})");
        tally.remark = Some("skipped: no loop devices or no root".into());
        return Ok(());
    }
    let cases = (0..settings.scale(6, 50) as u64).map(|number| Case {
        number,
        label: if number % 3 == 0 { "create and work" } else { "work" }.to_owned(),
        what: number % 3 == 0,
    });
    let limit = Duration::from_secs(settings.scale(40, 86_400) as u64);
    let one = Settings { jobs: 1, ..settings.clone() };
    bench::run(&one, tally, limit, cases, |bench, case| {
        let (image, copy) = (disk.join("image"), disk.join("copy"));
        fs::copy(&blank, &image)?;
        let said = cut(settings, scenes, &image, &copy, disk, case.number, case.what)?;
        let mut device = Loop::attach(&copy)?;
        device.mount(&disk.join("after"))?;
        bench::clear(&bench.dir)?;
        let there = disk.join("after").join("v");
        if there.exists() {
            bench::copy_dir(&there, &bench.vault())?;
        }
        drop(device);
        let outcome = bench.judge(case.number, settings.seed, &said, Allow::WrongTrees)?;
        Ok(match outcome {
            Outcome::Good(class) => Outcome::Good(format!("{class}, {} acknowledged", scale_of(&said))),
            bad => bad,
        })
    })
}

fn scale_of(said: &str) -> &'static str {
    match said.lines().filter(|line| line.starts_with("a ")).count() {
        0..20 => "up to 20",
        20..200 => "20 to 200",
        _ => "more than 200",
    }
}

/// Works on the file system in `image`, and copies that at some moment. What had been said until then is returned.
fn cut(
    settings: &Settings,
    scenes: &Scenes,
    image: &Path,
    copy: &Path,
    disk: &Path,
    number: u64,
    create: bool,
) -> io::Result<String> {
    let mut device = Loop::attach(image)?;
    let at = disk.join("at");
    device.mount(&at)?;
    let vault = at.join("v");
    let mut plan = Plan { create, steps: 1_000_000, dir: vault.clone(), ..Plan::new(settings.seed + number) };
    plan.seed = settings.seed;
    let mut before = String::new();
    if !create {
        bench::copy_dir(&scenes.small().dir, &vault)?;
        tool("sync", &["-f", &at.to_string_lossy()])?;
        before.clone_from(&scenes.small().said);
        let ledger = disk.join("said-before");
        fs::write(&ledger, &before)?;
        plan.ledger = Some(ledger);
    }
    let mut rng = Rng::of(settings.seed, &[8, number]);
    let mut running = Running::start(&plan, None)?;
    running.hear(rng.below(if create { 60 } else { 250 }));
    thread::sleep(Duration::from_micros(rng.word() % 3_000));
    running.pause()?;
    // The device must stand still while it is copied: a disk stops at one moment.
    loop {
        let before = device.activity()?;
        fs::copy(image, copy)?;
        let after = device.activity()?;
        if before == after && after.1 {
            break;
        }
        thread::sleep(Duration::from_millis(5));
    }
    let said = running.kill()?;
    Ok(before + &said)
}
