//! `errors`: each call fails in turn, once or for good, with EIO or ENOSPC; and disks that are really full.

use std::io;
use std::time::Duration;

use crate::bench::{self, Allow, Case, Settings};
use crate::full_disk;
use crate::plan::Plan;
use crate::report::{Outcome, Tally};
use crate::rng::Rng;
use crate::scene::{PATIENCE, Scene, Scenes};
use crate::tracer::{Call, Observer, Reaction, Tracer, Watch, What};

/// Numbers of the cases of one scene start at a multiple of this; then sort of fault, then call.
const SCENE: u64 = 10_000_000;
const FAULT: u64 = 100_000;

/// One sort of fault.
#[derive(Clone, Copy, Debug)]
struct Fault {
    errno: i32,
    name: &'static str,
    for_good: bool,
    /// Calls that read fail, rather than those that change.
    reading: bool,
}

const FAULTS: [Fault; 5] = [
    Fault { errno: libc::EIO, name: "EIO once", for_good: false, reading: false },
    Fault { errno: libc::EIO, name: "EIO for good", for_good: true, reading: false },
    Fault { errno: libc::ENOSPC, name: "ENOSPC once", for_good: false, reading: false },
    Fault { errno: libc::ENOSPC, name: "ENOSPC for good", for_good: true, reading: false },
    Fault { errno: libc::EIO, name: "EIO once while reading", for_good: false, reading: true },
];

impl Fault {
    /// Whether a call can fail like this: only what takes room can fail for lack of it.
    fn concerns(&self, what: &What) -> bool {
        match what {
            What::Say { .. } => false,
            // What was said before is read by the workload itself.
            What::Read { path } | What::Open { path } => {
                self.reading && path.extension().is_none_or(|end| end != "said")
            }
            What::Write { .. } | What::Create { .. } | What::MakeDir { .. } | What::Allocate { .. } => !self.reading,
            _ => !self.reading && self.errno != libc::ENOSPC,
        }
    }
}

/// Lets the call with this number fail, from 1; none with 0.
struct Failing {
    fault: Fault,
    number: u64,
    seen: u64,
    failed: &'static str,
    /// A frame's sync has just failed: whoever waits for it must not be told that all is well.
    owes_error: bool,
    /// Somebody was told so.
    lied: bool,
}

impl Observer for Failing {
    fn enter(&mut self, call: &Call) -> Reaction {
        if let What::Say { bytes } = &call.what
            && self.owes_error
        {
            self.lied |= bytes.starts_with(b"a ");
            self.owes_error = false;
        }
        if !self.fault.concerns(&call.what) {
            return Reaction::Go;
        }
        self.seen += 1;
        let hit = self.seen == self.number || (self.fault.for_good && self.number > 0 && self.seen > self.number);
        if !hit {
            return Reaction::Go;
        }
        self.failed = call.what.word();
        self.owes_error |=
            matches!(&call.what, What::Sync { path } if path.extension().is_some_and(|end| end == "cvj"));
        Reaction::Refuse(self.fault.errno)
    }
}

pub fn run(settings: &Settings, scenes: &Scenes, tally: &mut Tally) -> io::Result<()> {
    // Openings that mend much the same way as another, and the longest runs, are left to kills and power cuts.
    let left = ["window", "no-trees", "old-trees", "base-named", "compact-large"];
    let all: Vec<Scene> = scenes.all()?.into_iter().filter(|scene| !left.contains(&scene.name)).collect();
    let mut cases = Vec::new();
    for (at, scene) in all.iter().enumerate() {
        for (which, fault) in FAULTS.iter().enumerate() {
            let calls = count(settings, scene, *fault)?;
            cases.extend((1..=calls).map(|number| (at, which, number)));
        }
    }
    println!("  {} calls that can fail", cases.len());
    if settings.quick {
        let mut rng = Rng::of(settings.seed, &[4]);
        for at in (1..cases.len()).rev() {
            cases.swap(at, rng.below(at + 1));
        }
    }
    let cases = cases.into_iter().map(|(at, which, number)| Case {
        number: (at as u64 + 1) * SCENE + which as u64 * FAULT + number,
        label: format!("{}, {}, call {number}", all[at].name, FAULTS[which].name),
        what: (at, which, number),
    });
    let limit = Duration::from_secs(settings.scale(40, 86_400) as u64);
    bench::run(settings, tally, limit, cases, |bench, case| {
        let (at, which, number) = case.what;
        let scene = &all[at];
        let vault = bench.lay_out(scene.base.as_ref().map(|base| base.dir.as_path()))?;
        let mut failing =
            Failing { fault: FAULTS[which], number, seen: 0, failed: "nothing", owes_error: false, lied: false };
        let watch = if failing.fault.reading { Watch::All } else { Watch::Changes };
        let tracer = Tracer { watch, below: &bench.dir, with_data: false, patience: PATIENCE };
        let plan = Plan { faults: true, ..scene.plan_at(&vault)? };
        let ended = tracer.run(&mut bench::work(&plan)?, &mut failing)?;
        if ended.hung || ended.code != Some(0) {
            let how = if ended.hung { "it hung" } else { "it panicked or died" };
            return Ok(Outcome::Bad(format!("{how} after {} failed: {}", failing.failed, ended.complaint)));
        }
        if failing.lied {
            return Ok(Outcome::Bad("the sync of a frame failed, and the next answer was that all is well".into()));
        }
        let said = scene.said().to_owned() + &ended.said;
        bench.judge(case.number, settings.seed, &said, Allow::Nothing)
    })?;
    full_disk::run(settings, scenes, tally)
}

/// How many calls of a scene can fail like this.
fn count(settings: &Settings, scene: &Scene, fault: Fault) -> io::Result<u64> {
    let root = settings.scratch.join("count");
    bench::clear(&root)?;
    let vault = root.join("v");
    if let Some(base) = &scene.base {
        bench::copy_dir(&base.dir, &vault)?;
    }
    let mut counter = Failing { fault, number: 0, seen: 0, failed: "", owes_error: false, lied: false };
    let watch = if fault.reading { Watch::All } else { Watch::Changes };
    let tracer = Tracer { watch, below: &root, with_data: false, patience: PATIENCE };
    let ended = tracer.run(&mut bench::work(&scene.plan_at(&vault)?)?, &mut counter)?;
    if ended.code != Some(0) {
        return Err(io::Error::other(format!("undisturbed, {} failed: {ended:?}", scene.name)));
    }
    Ok(counter.seen)
}
