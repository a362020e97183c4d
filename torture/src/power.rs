//! `power`: the power goes at every moment of a recorded run, and the disk keeps of the unsynced what it likes.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::bench::{self, Allow, Case, Settings};
use crate::disk::{self, Disk, Fate, Image, MODELS, Model};
use crate::report::Tally;
use crate::rng::Rng;
use crate::scene::{PATIENCE, Scene, Scenes};
use crate::tracer::{Call, Observer, Reaction, Tracer, Watch, What};

/// Numbers of images: scene, model, moment, fate.
const SCENE: u64 = 100_000_000;
const MODEL: u64 = 10_000_000;
const MOMENT: u64 = 100;

/// One thing that was recorded.
enum Event {
    Enter(Call),
    Leave(u64, i64),
}

#[derive(Default)]
struct Recorder(Vec<Event>);

impl Observer for Recorder {
    fn enter(&mut self, call: &Call) -> Reaction {
        self.0.push(Event::Enter(call.clone()));
        Reaction::Go
    }

    fn leave(&mut self, id: u64, result: i64) {
        self.0.push(Event::Leave(id, result));
    }
}

/// A run of a scene, with all that it wrote.
struct Recording {
    scene: Scene,
    top: PathBuf,
    vault: PathBuf,
    events: Vec<Event>,
}

fn record(settings: &Settings, scene: Scene) -> io::Result<Recording> {
    let top = settings.scratch.join("record").join(scene.name);
    bench::clear(&top)?;
    let vault = top.join("v");
    if let Some(base) = &scene.base {
        bench::copy_dir(&base.dir, &vault)?;
    }
    let mut recorder = Recorder::default();
    let tracer = Tracer { watch: Watch::Changes, below: &top, with_data: true, patience: PATIENCE };
    let ended = tracer.run(&mut bench::work(&scene.plan_at(&vault)?)?, &mut recorder)?;
    if ended.code != Some(0) {
        return Err(io::Error::other(format!("undisturbed, {} failed: {ended:?}", scene.name)));
    }
    let unknown = recorder.0.iter().find_map(|event| match event {
        Event::Enter(Call { what: What::Other { path, number }, .. }) => {
            Some(format!("{number} on {}", path.display()))
        }
        Event::Enter(Call { what: What::Allocate { path }, .. }) => Some(format!("fallocate on {}", path.display())),
        _ => None,
    });
    if let Some(unknown) = unknown {
        return Err(io::Error::other(format!("a call that is not simulated: {unknown}")));
    }
    // The vault is now what the run made of it; what it was before is in the base.
    Ok(Recording { scene, top, vault, events: recorder.0 })
}

/// A moment's image, and what had been said until then.
struct Cut {
    image: Image,
    said: String,
}

/// The images of one recording under one model, one after another.
struct Cuts<'a> {
    recording: &'a Recording,
    model: Model,
    number: u64,
    disk: Disk,
    said: String,
    next_event: usize,
    moment: u64,
    fates: Vec<(u64, Fate)>,
    seen: BTreeSet<u64>,
    settings: &'a Settings,
    last: &'static str,
}

impl<'a> Cuts<'a> {
    fn new(settings: &'a Settings, recording: &'a Recording, number: u64, model: Model) -> io::Result<Self> {
        let disk = disk_before(recording, model)?;
        let said = recording.scene.said().to_owned();
        Ok(Self {
            recording,
            model,
            number,
            disk,
            said,
            next_event: 0,
            moment: 0,
            fates: Vec::new(),
            seen: BTreeSet::new(),
            settings,
            last: "",
        })
    }

    /// Goes on to the next moment at which a cut could leave something new.
    fn advance(&mut self) -> Option<()> {
        loop {
            let event = self.recording.events.get(self.next_event)?;
            self.next_event += 1;
            match event {
                Event::Enter(call) => {
                    self.last = call.what.word();
                    if let What::Say { bytes } = &call.what {
                        self.said.push_str(&String::from_utf8_lossy(bytes));
                        if !bytes.starts_with(b"a ") {
                            continue;
                        }
                    } else {
                        self.disk.enter(call.id, &call.what);
                        if !matches!(call.what, What::Write { .. } | What::Truncate { .. }) {
                            continue;
                        }
                    }
                }
                Event::Leave(id, result) => {
                    self.disk.leave(*id, *result);
                }
            }
            self.moment += 1;
            self.fates = self.fates();
            return Some(());
        }
    }

    fn fates(&self) -> Vec<(u64, Fate)> {
        let mut fates = vec![Fate::AllLost, Fate::AllKept, Fate::ContentsLost, Fate::NamesLost];
        let mut rng = Rng::of(self.settings.seed, &[5, self.number, self.moment]);
        for at in 0..self.settings.scale(4, 48) {
            let sector = if at % 2 == 0 { 512 } else { 4_096 };
            fates.push(Fate::Torn { sector, kept: *rng.pick(&[15, 50, 85, 97]) });
        }
        let mut fates: Vec<_> = (0..).zip(fates).collect();
        if self.settings.quick && self.settings.only.is_none() {
            fates.retain(|_| rng.percent(8));
        }
        fates.reverse();
        fates
    }
}

/// The disk as it was before the run.
fn disk_before(recording: &Recording, model: Model) -> io::Result<Disk> {
    match &recording.scene.base {
        None => Disk::load(model, &recording.top, Path::new("/nonexistent")),
        Some(base) => {
            bench::clear(&recording.vault)?;
            bench::copy_dir(base.on_disk.as_ref().unwrap_or(&base.dir), &recording.vault)?;
            Disk::load(model, &recording.top, &recording.vault)
        }
    }
}

impl Iterator for Cuts<'_> {
    type Item = Case<Cut>;

    fn next(&mut self) -> Option<Case<Cut>> {
        loop {
            let Some((which, fate)) = self.fates.pop() else {
                self.advance()?;
                continue;
            };
            let number = self.number + self.moment * MOMENT + which;
            if self.settings.only.is_some_and(|only| only != number) {
                continue;
            }
            let image = self.disk.image(fate, &mut Rng::of(self.settings.seed, &[6, number]));
            let mut hasher = DefaultHasher::new();
            (&image, self.said.len()).hash(&mut hasher);
            if !self.seen.insert(hasher.finish()) {
                continue;
            }
            let label = format!(
                "{}, {:?}, moment {} (after {}), {fate:?}",
                self.recording.scene.name, self.model, self.moment, self.last
            );
            return Some(Case { number, label, what: Cut { image, said: self.said.clone() } });
        }
    }
}

pub fn run(settings: &Settings, scenes: &Scenes, tally: &mut Tally) -> io::Result<()> {
    let mut recordings = Vec::new();
    for scene in scenes.all()?.into_iter().chain([
        scenes.crowd(),
        scenes.crowd_compacting(),
        scenes.crowd_rotating(),
        scenes.ghost()?,
    ]) {
        let recording = record(settings, scene)?;
        println!("  {}: {} events", recording.scene.name, recording.events.len());
        recordings.push(recording);
    }
    let mut cuts = Vec::new();
    for (at, recording) in (1..).zip(&recordings) {
        for (which, model) in (0..).zip(MODELS) {
            cuts.push(Cuts::new(settings, recording, at * SCENE + which * MODEL, model)?);
        }
    }
    let limit = Duration::from_secs(settings.scale(60, 86_400) as u64);
    bench::run(settings, tally, limit, in_turn(cuts), |bench, case| {
        bench::clear(&bench.dir)?;
        disk::lay_out(&case.what.image, &bench.dir)?;
        bench.judge(case.number, settings.seed, &case.what.said, Allow::WrongTrees)
    })
}

/// One from each, again and again, so that a run that is stopped has tried something of all.
fn in_turn<T>(mut iterators: Vec<impl Iterator<Item = T>>) -> impl Iterator<Item = T> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while !iterators.is_empty() {
            let turn = at % iterators.len();
            match iterators[turn].next() {
                Some(item) => {
                    at = turn + 1;
                    return Some(item);
                }
                None => drop(iterators.remove(turn)),
            }
        }
        None
    })
}
