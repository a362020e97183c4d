//! What a vault is doing when it is hurt: a state to start from, and a run of the workload.

use std::fs;
use std::io::{self, Error};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::bench::{self, Settings, clear, copy_dir};
use crate::killer::{KillWhen, Killer};
use crate::plan::Plan;
use crate::tracer::{Tracer, Watch};

/// How long a run of the workload may take before it counts as hung.
pub const PATIENCE: Duration = Duration::from_secs(150);

/// A vault to start from.
#[derive(Clone, Debug)]
pub struct Base {
    pub dir: PathBuf,
    /// What was said while it was made.
    pub said: String,
    /// What is on the disk, where the system's cache shows something else: a sync failed, and its pages look clean.
    pub on_disk: Option<PathBuf>,
}

impl Base {
    pub const fn new(dir: PathBuf, said: String) -> Self {
        Self { dir, said, on_disk: None }
    }
}

/// One scene.
#[derive(Clone, Debug)]
pub struct Scene {
    pub name: &'static str,
    pub base: Option<Base>,
    /// Without the directory.
    pub plan: Plan,
}

impl Scene {
    /// What was said before it begins.
    pub fn said(&self) -> &str {
        self.base.as_ref().map_or("", |base| &base.said)
    }

    /// The scene as a plan for a copy of its vault at `dir`.
    pub fn plan_at(&self, dir: &Path) -> io::Result<Plan> {
        let mut plan = Plan { dir: dir.to_owned(), ..self.plan.clone() };
        if let Some(base) = &self.base {
            let ledger = dir.with_extension("said");
            fs::write(&ledger, &base.said)?;
            plan.ledger = Some(ledger);
        }
        Ok(plan)
    }
}

/// All bases and scenes of a seed.
pub struct Scenes {
    root: PathBuf,
    seed: u64,
    small: Base,
    busy: Base,
    rolled: Base,
}

impl Scenes {
    /// Makes the bases.
    pub fn prepare(settings: &Settings) -> io::Result<Self> {
        let (root, seed) = (settings.scratch.join("bases"), settings.seed);
        clear(&root)?;
        let small = Plan { create: true, steps: 16, dir: root.join("small"), ..Plan::new(seed) };
        let small = Base::new(small.dir.clone(), run_whole(&small)?);
        let busy = root.join("busy");
        copy_dir(&small.dir, &busy)?;
        let none = || Base::new(PathBuf::new(), String::new());
        let mut scenes = Self { root, seed, busy: none(), rolled: none(), small };
        let said = scenes.kill_at(&scenes.small, &busy, scenes.plan(60), 20, KillWhen::Answered)?;
        scenes.busy = Base::new(busy, said);
        scenes.rolled = scenes.rolled()?;
        Ok(scenes)
    }

    /// A vault that was closed, with segments to be compacted.
    fn rolled(&self) -> io::Result<Base> {
        let dir = self.root.join("rolled");
        copy_dir(&self.small.dir, &dir)?;
        let scene = Scene { name: "rolled", base: Some(self.small.clone()), plan: self.plan(60) };
        let said = self.small.said.clone() + &run_whole(&scene.plan_at(&dir)?)?;
        if bench::files_in(&dir.join("journal"))?.len() < 3 {
            return Err(Error::other("too few segments to compact"));
        }
        Ok(Base::new(dir, said))
    }

    fn plan(&self, steps: usize) -> Plan {
        Plan { steps, ..Plan::new(self.seed) }
    }

    /// A vault whose process died in the middle of its work, before it said that answer; and what was said of it.
    pub(crate) fn kill_at_answer(&self, base: &Base, dir: &Path, plan: Plan, answer: usize) -> io::Result<String> {
        self.kill_at(base, dir, plan, answer, KillWhen::Answered)
    }

    /// A vault whose process died at some moment.
    fn kill_at(&self, base: &Base, dir: &Path, plan: Plan, answers: usize, when: KillWhen) -> io::Result<String> {
        let scene = Scene { name: "busy", base: Some(base.clone()), plan };
        let mut killer = Killer::new(answers, when);
        let tracer = Tracer { watch: Watch::Changes, below: dir, with_data: false, patience: PATIENCE };
        let ended = tracer.run(&mut bench::work(&scene.plan_at(dir)?)?, &mut killer)?;
        if ended.said.lines().any(|line| line.starts_with('w')) {
            return Err(Error::other(format!("undisturbed, the workload failed: {}", ended.said)));
        }
        if ended.code.is_some() {
            return Err(Error::other(format!("the process that was to be killed ended by itself: {ended:?}")));
        }
        Ok(base.said.clone() + &ended.said)
    }

    /// A vault of which everything is known and that was closed.
    pub const fn small(&self) -> &Base {
        &self.small
    }

    /// A vault that was not closed.
    pub const fn busy(&self) -> &Base {
        &self.busy
    }

    /// Every scene, in the order of a vault's life.
    pub fn all(&self) -> io::Result<Vec<Scene>> {
        let small = || Some(self.small.clone());
        let mut scenes = vec![
            Scene { name: "create", base: None, plan: Plan { create: true, ..self.plan(3) } },
            Scene { name: "work", base: small(), plan: Plan { checkpoint: 9, ..self.plan(24) } },
            Scene { name: "roll", base: small(), plan: self.plan(40) },
            Scene { name: "large", base: small(), plan: Plan { largest: 1 << 20, ..self.plan(10) } },
        ];
        let window = Plan { window: 6, ..self.plan(30) };
        scenes.push(Scene { name: "window", base: small(), plan: window });
        let mend = |name, base: io::Result<Base>| -> io::Result<Scene> {
            Ok(Scene { name, base: Some(base?), plan: self.plan(2) })
        };
        scenes.push(mend("recover", Ok(self.busy.clone()))?);
        scenes.push(mend("torn", self.torn())?);
        let gone = |name: &str| {
            let name = name.to_owned();
            move |dir: &Path| remove(&dir.join(&name))
        };
        scenes.push(mend(
            "no-state",
            self.changed("no-state", |dir| {
                gone("state.a")(dir)?;
                gone("state.b")(dir)
            }),
        )?);
        scenes.push(mend("no-trees", self.changed("no-trees", gone("sled-1")))?);
        scenes.push(mend("one-header", self.changed("one-header", gone("header.b")))?);
        scenes.push(mend("opening", self.changed("opening", |dir| fs::write(dir.join("opening"), b"")))?);
        scenes.push(mend(
            "old-trees",
            self.changed("old-trees", |dir| {
                remove(&dir.join("sled-1"))?;
                copy_dir(&self.small.dir.join("sled-1"), &dir.join("sled-1"))
            }),
        )?);
        scenes.extend(self.compactions()?);
        scenes.extend(self.rotations()?);
        Ok(scenes)
    }

    /// Compactions, and openings after one was interrupted.
    fn compactions(&self) -> io::Result<Vec<Scene>> {
        let rolled = || Some(self.rolled.clone());
        let large = Plan { largest: 1 << 20, compact: 4, ..self.plan(8) };
        let mut scenes = vec![
            Scene { name: "compact", base: rolled(), plan: Plan { compact: 20, ..self.plan(40) } },
            Scene { name: "compact-large", base: rolled(), plan: large },
        ];
        let moments = [
            ("base-unnamed", KillWhen::BaseNamed),
            ("base-named", KillWhen::CompactionLogged),
            ("base-logged", KillWhen::Removing(1)),
            ("half-removed", KillWhen::Removing(2)),
        ];
        for (name, when) in moments {
            let dir = self.root.join(name);
            // Each way makes its scenes anew.
            clear(&dir)?;
            copy_dir(&self.rolled.dir, &dir)?;
            let said = self.kill_at(&self.rolled, &dir, Plan { compact: 3, ..self.plan(60) }, 0, when)?;
            scenes.push(Scene { name, base: Some(Base::new(dir, said)), plan: Plan { compact: 2, ..self.plan(2) } });
        }
        Ok(scenes)
    }

    /// Rotations of everything, and openings after one was interrupted.
    fn rotations(&self) -> io::Result<Vec<Scene>> {
        // Values so large that one batch does not hold them all.
        let wide = self.root.join("wide");
        clear(&wide)?;
        copy_dir(&self.small.dir, &wide)?;
        let scene = Scene {
            name: "wide",
            base: Some(self.small.clone()),
            plan: Plan { largest: 1 << 20, first: 1_000_000, ..self.plan(8) },
        };
        let said = self.small.said.clone() + &run_whole(&scene.plan_at(&wide)?)?;
        let wide = Base::new(wide, said);
        let mut scenes = vec![
            Scene { name: "rotate", base: Some(self.small.clone()), plan: Plan { rotate: 4, ..self.plan(32) } },
            Scene { name: "rotate-wide", base: Some(wide.clone()), plan: Plan { rotate: 2, ..self.plan(2) } },
        ];
        let moments = [
            ("key-waiting", 0, KillWhen::Framing("data", 3)),
            ("half-resealed", 0, KillWhen::Framing("data", 5)),
            ("half-dropped", 0, KillWhen::Heading("data", 4)),
            ("half-rewrapped", 1, KillWhen::Heading("wrap", 2)),
            ("half-suite", 2, KillWhen::Framing("suite", 5)),
            ("half-root", 3, KillWhen::Heading("root", 2)),
            ("audit-waiting", 5, KillWhen::Framing("audit", 3)),
            ("erase-begun", 6, KillWhen::Framing("erase", 2)),
            ("erase-half", 6, KillWhen::Heading("erase", 2)),
            ("erase-rows", 6, KillWhen::Framing("erase", 8)),
        ];
        for (name, turn, when) in moments {
            let dir = self.root.join(name);
            clear(&dir)?;
            copy_dir(&wide.dir, &dir)?;
            let said = self.kill_at(&wide, &dir, Plan { rotate: 2, turn, ..self.plan(2) }, 0, when)?;
            scenes.push(Scene { name, base: Some(Base::new(dir, said)), plan: Plan { rotate: 2, ..self.plan(2) } });
        }
        Ok(scenes)
    }

    /// Many writers and readers while one key after another is rotated.
    pub fn crowd_rotating(&self) -> Scene {
        let plan = Plan { writers: 3, readers: 2, rotate: 1, ..self.plan(14) };
        Scene { name: "crowd-rotating", base: Some(self.rolled.clone()), plan }
    }

    /// Many writers and readers at once.
    pub fn crowd(&self) -> Scene {
        let plan = Plan { writers: 4, readers: 2, ..self.plan(12) };
        Scene { name: "crowd", base: Some(self.small.clone()), plan }
    }

    /// The same while the journal is compacted again and again.
    pub fn crowd_compacting(&self) -> Scene {
        let plan = Plan { writers: 3, readers: 2, compact: 8, ..self.plan(14) };
        Scene { name: "crowd-compacting", base: Some(self.rolled.clone()), plan }
    }

    /// The vault that was not closed, changed by hand.
    fn changed(&self, name: &str, change: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<Base> {
        let dir = self.root.join(name);
        clear(&dir)?;
        copy_dir(&self.busy.dir, &dir)?;
        change(&dir)?;
        Ok(Base::new(dir, self.busy.said.clone()))
    }

    /// A vault whose last frame is in the system's cache and nowhere else, though it looks as if it had been written.
    pub fn ghost(&self) -> io::Result<Scene> {
        let (base, _) = self.unsynced("ghost")?;
        let on_disk = self.root.join("ghost-on-disk");
        copy_dir(&base.dir, &on_disk)?;
        let path = newest_segment(&on_disk)?;
        let mut bytes = fs::read(&path)?;
        let start = last_frame(&bytes).ok_or_else(|| Error::other("no frame in the newest segment"))?;
        bytes[start..].fill(0);
        fs::write(path, bytes)?;
        let base = Base { on_disk: Some(on_disk), ..base };
        Ok(Scene { name: "ghost", base: Some(base), plan: self.plan(2) })
    }

    /// A vault with the first part of a frame that was never synced: its last sector did not reach the disk.
    fn torn(&self) -> io::Result<Base> {
        let (base, path) = self.unsynced("torn")?;
        let mut bytes = fs::read(&path)?;
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let sector = (end - 1) / 512 * 512;
        bytes[sector..end].fill(0);
        fs::write(path, bytes)?;
        Ok(base)
    }

    /// A vault whose process died between the write of a frame and its sync; and the segment with that frame.
    fn unsynced(&self, name: &str) -> io::Result<(Base, PathBuf)> {
        let dir = self.root.join(name);
        clear(&dir)?;
        copy_dir(&self.small.dir, &dir)?;
        let said = self.kill_at(&self.small, &dir, self.plan(60), 12, KillWhen::Unsynced)?;
        let path = newest_segment(&dir)?;
        Ok((Base::new(dir, said), path))
    }
}

fn newest_segment(vault: &Path) -> io::Result<PathBuf> {
    let journal = vault.join("journal");
    let segments = bench::files_in(&journal)?;
    let newest = segments.iter().rfind(|name| name.extension().is_some_and(|end| end == "cvj"));
    Ok(journal.join(newest.ok_or_else(|| Error::other("no segment"))?))
}

/// Where the last frame of a segment starts (docs/format/journal.md: frames from byte 512 on, magic, then length).
fn last_frame(segment: &[u8]) -> Option<usize> {
    let (mut at, mut last) = (512, None);
    while segment.get(at..at + 4) == Some(b"CVF1") {
        last = Some(at);
        let len: [u8; 4] = segment.get(at + 4..at + 8)?.try_into().ok()?;
        at += u32::from_be_bytes(len) as usize;
    }
    last
}

fn remove(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        fs::remove_dir_all(path)
    } else if path.exists() {
        fs::remove_file(path)
    } else {
        Ok(())
    }
}

/// Runs the workload undisturbed.
pub fn run_whole(plan: &Plan) -> io::Result<String> {
    let output = bench::work(plan)?.output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() || said.lines().any(|line| line.starts_with('w') || line.starts_with('e')) {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(Error::other(format!("undisturbed, the workload failed: {said}{complaint}")));
    }
    Ok(said)
}
