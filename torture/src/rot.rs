//! `rot`: bits flip, files are cut, lost, zeroed in places, or put back from an earlier day, in vaults of both suites.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::bench::{self, Allow, Case, Settings};
use crate::plan::Plan;
use crate::report::Tally;
use crate::scene::{Base, Scenes, run_whole};

/// Numbers of the cases of one suite start at a multiple of this.
const SUITE: u64 = 1_000_000_000;
const PAGE: usize = 4_096;

/// What happens to one file.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Delete,
    Older,
    Cut(usize),
    ZeroPage(usize),
    Flip { byte: usize, bit: usize },
}

/// One file of a vault, and how often it can be damaged in each way.
struct Target {
    path: PathBuf,
    len: usize,
    /// Up to here there is something; behind it are zeros.
    used: usize,
    /// Every bit is flipped, or one of each byte.
    every_bit: bool,
    /// From here on the journal is newer than the last checkpoint, so that opening reads it.
    read_from: Option<usize>,
    older: Option<PathBuf>,
}

impl Target {
    fn pages(&self) -> usize {
        self.len.div_ceil(PAGE)
    }

    /// Cut at each page, and around its end.
    fn cuts(&self) -> usize {
        self.pages() + 8
    }

    fn flips(&self) -> usize {
        // Of zeros behind the end, one in each sector.
        let behind = (self.len - self.used) / 512;
        self.used * if self.every_bit { 8 } else { 1 } + behind
    }

    /// Cases that are no flips.
    fn single(&self) -> usize {
        if self.read_from.is_some() { 0 } else { 2 + self.cuts() + self.pages() }
    }

    fn cases(&self) -> usize {
        self.single() + self.flips()
    }

    fn damage(&self, case: usize) -> Damage {
        match case.checked_sub(self.single()) {
            Some(flip) => self.flip(flip),
            None if case == 0 => Damage::Delete,
            None if case == 1 => Damage::Older,
            None => self.cut_or_zeroed(case - 2),
        }
    }

    fn cut_or_zeroed(&self, case: usize) -> Damage {
        if case < self.cuts() {
            let len =
                if case < self.pages() { case * PAGE } else { self.used.saturating_sub((case - self.pages()) * 7) };
            return Damage::Cut(len);
        }
        Damage::ZeroPage(case - self.cuts())
    }

    fn flip(&self, case: usize) -> Damage {
        let per_byte = if self.every_bit { 8 } else { 1 };
        if case < self.used * per_byte {
            let byte = case / per_byte;
            return Damage::Flip { byte, bit: if self.every_bit { case % 8 } else { byte % 8 } };
        }
        Damage::Flip { byte: self.used + (case - self.used * per_byte) * 512, bit: 3 }
    }
}

/// A vault, as it was on an earlier day and as it is.
struct Exhibit {
    name: &'static str,
    base: Base,
    targets: Vec<Target>,
}

impl Exhibit {
    fn make(settings: &Settings, aes: bool) -> io::Result<Self> {
        let root = settings.scratch.join(format!("rot-{}", if aes { "aes" } else { "chacha" }));
        bench::clear(&root)?;
        let (now, earlier) = (root.join("now"), root.join("earlier"));
        let first = Plan { create: true, aes, steps: 12, dir: now.clone(), ..Plan::new(settings.seed) };
        let mut said = run_whole(&first)?;
        bench::copy_dir(&now, &earlier)?;
        let ledger = root.join("said");
        fs::write(&ledger, &said)?;
        let second = Plan { steps: 12, dir: now.clone(), ledger: Some(ledger), ..Plan::new(settings.seed + 1_000) };
        // The same secrets, other steps.
        let second = Plan { seed: settings.seed, checkpoint: 5, ..second };
        said.push_str(&run_whole(&second)?);
        let mut targets = Vec::new();
        for path in bench::files_in(&now)? {
            let bytes = fs::read(now.join(&path))?;
            if path == Path::new("lock") || bytes.is_empty() {
                continue;
            }
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            let older = Some(earlier.join(&path)).filter(|older| older.exists());
            let every_bit = !path.starts_with("sled-1");
            targets.push(Target { path, len: bytes.len(), used, every_bit, read_from: None, older });
        }
        Ok(Self { name: if aes { "AES" } else { "ChaCha20" }, base: Base::new(now, said), targets })
    }

    /// A vault whose trees fill several of sled's segments: what rots in an old one is dropped there without a word, and
    /// newer ones look well.
    fn grown(settings: &Settings) -> io::Result<Self> {
        let root = settings.scratch.join("rot-grown");
        bench::clear(&root)?;
        let plan = Plan {
            create: true,
            steps: 260,
            largest: 4_096,
            checkpoint: 40,
            dir: root.join("now"),
            ..Plan::new(settings.seed)
        };
        let said = run_whole(&plan)?;
        let mut targets = Vec::new();
        for path in bench::files_in(&plan.dir)?.into_iter().filter(|path| path.starts_with("sled-1")) {
            let bytes = fs::read(plan.dir.join(&path))?;
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            targets.push(Target { path, len: bytes.len(), used, every_bit: false, read_from: None, older: None });
        }
        Ok(Self { name: "grown", base: Base::new(plan.dir, said), targets })
    }

    /// A vault that was not closed. The end of its journal may look torn after a cut, so bits flip there, no more.
    fn unclean(scenes: &Scenes) -> io::Result<Self> {
        let (now, before) = (scenes.busy(), scenes.small());
        let mut targets = Vec::new();
        for path in bench::files_in(&now.dir.join("journal"))? {
            let path = Path::new("journal").join(path);
            let bytes = fs::read(now.dir.join(&path))?;
            let end = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            let read_from = fs::read(before.dir.join(&path)).map_or(0, |earlier| end(&earlier));
            let (len, used) = (bytes.len(), end(&bytes));
            if path.extension().is_some_and(|name| name == "cvj") && used > read_from {
                let read_from = Some(read_from);
                targets.push(Target { path, len, used, every_bit: true, read_from, older: None });
            }
        }
        Ok(Self { name: "not closed", base: now.clone(), targets })
    }

    fn cases(&self) -> usize {
        self.targets.iter().map(Target::cases).sum()
    }

    fn case(&self, mut case: usize) -> Option<(&Target, Damage)> {
        for target in &self.targets {
            if case < target.cases() {
                return Some((target, target.damage(case)));
            }
            case -= target.cases();
        }
        None
    }

    /// All cases, those that are few first, the many mixed so that a part of them is a fair sample.
    fn order(&self, quick: bool) -> Vec<usize> {
        let (mut few, mut many, mut start) = (Vec::new(), Vec::new(), 0);
        for target in &self.targets {
            let single = target.single();
            let one_in = if self.name == "grown" { 2 } else { 7 };
            few.extend((start..start + single).filter(|case| !quick || case % one_in == 0 || *case < start + 2));
            let flips = target.flips();
            // A stride that has no divisor in common with any number of flips up to itself.
            let mut stride = 7_919;
            while flips.is_multiple_of(stride) {
                stride += 2;
            }
            let wanted = if quick { flips.min(150) } else { flips };
            many.push((0..wanted).map(|at| start + single + at * stride % flips.max(1)).collect::<Vec<_>>());
            start += target.cases();
        }
        let longest = many.iter().map(Vec::len).max().unwrap_or(0);
        few.extend((0..longest).flat_map(|at| many.iter().filter_map(move |flips| flips.get(at).copied())));
        few
    }
}

fn hurt(vault: &Path, target: &Target, damage: Damage) -> io::Result<()> {
    let path = vault.join(&target.path);
    let change = |change: &dyn Fn(&mut Vec<u8>)| -> io::Result<()> {
        let mut bytes = fs::read(&path)?;
        change(&mut bytes);
        fs::write(&path, bytes)
    };
    match damage {
        Damage::Delete => fs::remove_file(&path),
        Damage::Older => target.older.as_ref().map_or(Ok(()), |older| fs::copy(older, &path).map(drop)),
        Damage::Cut(len) => change(&|bytes| bytes.truncate(len)),
        Damage::ZeroPage(page) => change(&|bytes| {
            let end = (page * PAGE + PAGE).min(bytes.len());
            bytes[page * PAGE..end].fill(0);
        }),
        Damage::Flip { byte, bit } => change(&|bytes| {
            if let Some(byte) = bytes.get_mut(byte) {
                *byte ^= 1 << bit;
            }
        }),
    }
}

pub fn run(settings: &Settings, scenes: &Scenes, tally: &mut Tally) -> io::Result<()> {
    let exhibits = [
        Exhibit::make(settings, false)?,
        Exhibit::make(settings, true)?,
        Exhibit::unclean(scenes)?,
        Exhibit::grown(settings)?,
    ];
    let orders: Vec<Vec<usize>> = exhibits.iter().map(|exhibit| exhibit.order(settings.quick)).collect();
    exhibits.iter().for_each(|exhibit| println!("  {}: {} cases", exhibit.name, exhibit.cases()));
    let longest = orders.iter().map(Vec::len).max().unwrap_or(0);
    let alternating = (0..longest).flat_map(|at| {
        (0..orders.len()).filter_map({
            let orders = &orders;
            move |suite| orders[suite].get(at).map(|case| (suite, *case))
        })
    });
    let exhibits = &exhibits;
    let cases = alternating.filter_map(|(suite, case)| {
        let (target, damage) = exhibits[suite].case(case)?;
        let number = (suite as u64 + 1) * SUITE + case as u64;
        let suite_name = exhibits[suite].name;
        Some(Case {
            number,
            label: format!("{suite_name}, {}: {damage:?}", target.path.display()),
            what: (suite, target, damage),
        })
    });
    let limit = Duration::from_secs(settings.scale(45, 864_000) as u64);
    bench::run(settings, tally, limit, cases, |bench, case| {
        let (suite, target, damage) = case.what;
        let base = &exhibits[suite].base;
        let vault = bench.lay_out(Some(&base.dir))?;
        hurt(&vault, target, damage)?;
        // Only the journal is the truth; all else is mended from it, or has a second copy.
        let allow = match (target.read_from, damage) {
            (Some(from), Damage::Flip { byte, .. }) if byte >= from && byte < target.used => Allow::OnlyNamedDamage,
            _ if target.path.starts_with("journal") => Allow::NamedDamage,
            _ => Allow::Nothing,
        };
        bench.judge(case.number, settings.seed, &base.said, allow)
    })
}
