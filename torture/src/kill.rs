//! `kill`: the process dies before each call that changes the disk, one after another.

use std::io;
use std::time::Duration;

use crate::bench::{self, Allow, Case, Settings};
use crate::report::{Outcome, Tally};
use crate::rng::Rng;
use crate::scene::{PATIENCE, Scene, Scenes};
use crate::tracer::{Call, Observer, Reaction, Tracer, Watch, What};

/// Numbers of the cases of one scene start at a multiple of this.
const SCENE: u64 = 100_000;

/// Dies before the call with this number, from 1; never with 0.
struct At {
    number: u64,
    seen: u64,
    last: &'static str,
}

impl Observer for At {
    fn enter(&mut self, call: &Call) -> Reaction {
        if matches!(call.what, What::Open { .. }) {
            return Reaction::Go;
        }
        self.seen += 1;
        if self.seen != self.number {
            return Reaction::Go;
        }
        self.last = call.what.word();
        Reaction::Kill
    }
}

pub fn run(settings: &Settings, scenes: &Scenes, tally: &mut Tally) -> io::Result<()> {
    let mut all = scenes.all()?;
    all.extend([scenes.crowd(), scenes.crowd_compacting(), scenes.crowd_rotating()]);
    let mut cases = Vec::new();
    for (at, scene) in all.iter().enumerate() {
        let calls = count(settings, scene)?;
        println!("  {}: {calls} calls", scene.name);
        // Threads of the trees make the number vary a little; a run that ends by itself is judged as well.
        let most = calls + calls / 20;
        cases.extend((1..=most).map(|number| (at, number)));
    }
    let mut rng = Rng::of(settings.seed, &[3]);
    if settings.quick {
        for at in (1..cases.len()).rev() {
            cases.swap(at, rng.below(at + 1));
        }
    }
    let cases = cases.into_iter().map(|(at, number)| Case {
        number: (at as u64 + 1) * SCENE + number,
        label: format!("{}, call {number}", all[at].name),
        what: (at, number),
    });
    let limit = Duration::from_secs(settings.scale(35, 86_400) as u64);
    bench::run(settings, tally, limit, cases, |bench, case| {
        let (at, number) = case.what;
        let scene = &all[at];
        let vault = bench.lay_out(scene.base.as_ref().map(|base| base.dir.as_path()))?;
        let mut killer = At { number, seen: 0, last: "end" };
        let tracer = Tracer { watch: Watch::Changes, below: &bench.dir, with_data: false, patience: PATIENCE };
        let ended = tracer.run(&mut bench::work(&scene.plan_at(&vault)?)?, &mut killer)?;
        if ended.hung || ended.code.is_some_and(|code| code != 0) {
            return Ok(Outcome::Bad(format!("it did not end well: {:?} {}", ended.code, ended.complaint)));
        }
        bench.judge(case.number, settings.seed, &(scene.said().to_owned() + &ended.said), Allow::Nothing)
    })
}

/// How many calls a scene has when nothing disturbs it.
fn count(settings: &Settings, scene: &Scene) -> io::Result<u64> {
    let root = settings.scratch.join("count");
    bench::clear(&root)?;
    let vault = root.join("v");
    if let Some(base) = &scene.base {
        bench::copy_dir(&base.dir, &vault)?;
    }
    let mut counter = At { number: 0, seen: 0, last: "" };
    let tracer = Tracer { watch: Watch::Changes, below: &root, with_data: false, patience: PATIENCE };
    let ended = tracer.run(&mut bench::work(&scene.plan_at(&vault)?)?, &mut counter)?;
    if ended.code != Some(0) {
        return Err(io::Error::other(format!("undisturbed, {} failed: {ended:?}", scene.name)));
    }
    Ok(counter.seen)
}
