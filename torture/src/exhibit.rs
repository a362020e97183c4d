//! Vaults on show, held in memory, each with the files that are damaged and the ways in which they are.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::bench;

const PAGE: usize = 4_096;
/// Bytes of a state file whose every bit is flipped in one case.
pub(crate) const CHUNK: usize = 512;
/// Of state files, one bit of every so many bytes is flipped end to end.
const STATE_STRIDE: usize = 97;

/// What happens to one file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Damage {
    Delete,
    Older,
    Cut(usize),
    ZeroPage(usize),
    /// Every bit of a part of a state file, shown to the library's own reader of it and to nothing else.
    Unreadable {
        from: usize,
    },
    Flip {
        byte: usize,
        bit: usize,
    },
}

/// Which bits of a file are flipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flips {
    EveryBit,
    /// One bit of every so many bytes.
    OneIn(usize),
}

/// One file of a vault, and how often it can be damaged in each way.
pub(crate) struct Target {
    pub(crate) path: PathBuf,
    len: usize,
    /// Up to here there is something; behind it are zeros.
    pub(crate) used: usize,
    pub(crate) flips: Flips,
    /// From here on the journal is newer than the last checkpoint, so that opening reads it.
    pub(crate) read_from: Option<usize>,
    older: Option<Vec<u8>>,
    /// Every bit is shown to the reader of state files.
    bit_by_bit: bool,
}

impl Target {
    fn pages(&self) -> usize {
        self.len.div_ceil(PAGE)
    }

    /// Cut at each page, and around its end.
    fn cuts(&self) -> usize {
        self.pages() + 8
    }

    /// Parts of a state file that are shown to its reader bit by bit.
    fn chunks(&self) -> usize {
        if self.bit_by_bit { self.len.div_ceil(CHUNK) } else { 0 }
    }

    /// Flips among the bytes that hold something, from where anybody reads them.
    fn used_flips(&self) -> usize {
        let used = self.used - self.read_from.unwrap_or(0);
        match self.flips {
            Flips::EveryBit => used * 8,
            Flips::OneIn(stride) => used.div_ceil(stride),
        }
    }

    fn flips(&self) -> usize {
        // Of zeros behind the end, one in each sector.
        self.used_flips() + (self.len - self.used) / 512
    }

    /// Cases that are no flips.
    fn single(&self) -> usize {
        if self.read_from.is_some() { 0 } else { 2 + self.cuts() + self.pages() + self.chunks() }
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
        match (case - self.cuts()).checked_sub(self.pages()) {
            None => Damage::ZeroPage(case - self.cuts()),
            Some(chunk) => Damage::Unreadable { from: chunk * CHUNK },
        }
    }

    fn flip(&self, case: usize) -> Damage {
        let start = self.read_from.unwrap_or(0);
        match (case.checked_sub(self.used_flips()), self.flips) {
            (Some(behind), _) => Damage::Flip { byte: self.used + behind * 512, bit: 3 },
            (None, Flips::EveryBit) => Damage::Flip { byte: start + case / 8, bit: case % 8 },
            (None, Flips::OneIn(stride)) => Damage::Flip { byte: start + case * stride, bit: (start + case) % 8 },
        }
    }

    /// The file's contents after the damage; `None` if it is gone.
    fn hurt(&self, mut bytes: Vec<u8>, damage: Damage) -> Option<Vec<u8>> {
        match damage {
            Damage::Delete => return None,
            Damage::Older => return Some(self.older.clone().unwrap_or(bytes)),
            Damage::Cut(len) => bytes.truncate(len),
            Damage::ZeroPage(page) => {
                let end = (page * PAGE + PAGE).min(bytes.len());
                bytes[page * PAGE..end].fill(0);
            }
            Damage::Unreadable { .. } => {}
            Damage::Flip { byte, bit } => {
                if let Some(byte) = bytes.get_mut(byte) {
                    *byte ^= 1 << bit;
                }
            }
        }
        Some(bytes)
    }
}

/// A vault as it is, in memory.
pub(crate) struct Exhibit {
    pub(crate) name: &'static str,
    pub(crate) said: String,
    files: Vec<(PathBuf, Vec<u8>)>,
    pub(crate) targets: Vec<Target>,
    /// In a quick run, one in so many of the cases that are no flips.
    pub(crate) one_in: usize,
}

impl Exhibit {
    /// Takes a vault in. `choose` says which bits of a file are flipped; nothing for files that stay whole.
    pub(crate) fn of(
        name: &'static str,
        (dir, earlier): (&Path, Option<&Path>),
        said: String,
        choose: impl Fn(&Path) -> Option<Flips>,
    ) -> io::Result<Self> {
        let (mut files, mut targets) = (Vec::new(), Vec::new());
        for path in bench::files_in(dir)? {
            let bytes = fs::read(dir.join(&path))?;
            if let Some(flips) = choose(&path).filter(|_| !bytes.is_empty()) {
                let older = earlier.and_then(|earlier| fs::read(earlier.join(&path)).ok());
                let (path, len, used, bit_by_bit) =
                    (path.clone(), bytes.len(), end(&bytes), older.is_some() && is_state(&path));
                targets.push(Target { path, len, used, flips, read_from: None, older, bit_by_bit });
            }
            files.push((path, bytes));
        }
        Ok(Self { name, said, files, targets, one_in: 7 })
    }

    /// Only the part of the journal that is newer than an earlier state of the vault is damaged, by flips alone: its end
    /// may look torn after a cut.
    pub(crate) fn only_newer_than(mut self, before: &Path) -> Self {
        for target in &mut self.targets {
            target.read_from = Some(fs::read(before.join(&target.path)).map_or(0, |earlier| end(&earlier)));
        }
        self.targets.retain(|target| target.read_from.is_some_and(|from| target.used > from));
        self
    }

    /// Every so many bytes of state files are flipped end to end.
    pub(crate) fn everywhere(path: &Path) -> Option<Flips> {
        if is_state(path) {
            return Some(Flips::OneIn(STATE_STRIDE));
        }
        Some(if path.starts_with("sled-1") { Flips::OneIn(1) } else { Flips::EveryBit })
    }

    pub(crate) fn cases(&self) -> usize {
        self.targets.iter().map(Target::cases).sum()
    }

    /// How many bytes of which files hold something.
    pub(crate) fn bytes(&self) -> String {
        let about = |target: &Target| format!("{} {}", target.path.display(), target.used);
        self.targets.iter().map(about).collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn case(&self, mut case: usize) -> Option<(&Target, Damage)> {
        for target in &self.targets {
            if case < target.cases() {
                return Some((target, target.damage(case)));
            }
            case -= target.cases();
        }
        None
    }

    pub(crate) fn contents(&self, target: &Target) -> &[u8] {
        let file = self.files.iter().find(|(path, _)| *path == target.path);
        file.map_or(&[], |(_, bytes)| bytes)
    }

    /// Whether the damage takes away, or changes, something that the file holds.
    pub(crate) fn loses(&self, target: &Target, damage: Damage) -> bool {
        let whole = &self.contents(target)[..target.used];
        let hurt = target.hurt(self.contents(target).to_vec(), damage);
        hurt.is_none_or(|hurt| hurt.get(..target.used) != Some(whole))
    }

    /// The vault with this damage in a place that may hold what became of another.
    pub(crate) fn lay_out(&self, place: &Path, target: &Target, damage: Damage) -> io::Result<()> {
        for found in if place.exists() { bench::files_in(place)? } else { Vec::new() } {
            if !self.files.iter().any(|(path, _)| *path == found) {
                fs::remove_file(place.join(found))?;
            }
        }
        for (path, bytes) in &self.files {
            let at = place.join(path);
            if *path != target.path {
                write(&at, bytes)?;
            } else if let Some(hurt) = target.hurt(bytes.clone(), damage) {
                write(&at, &hurt)?;
            } else if at.exists() {
                fs::remove_file(&at)?;
            }
        }
        Ok(())
    }

    /// All cases, those that are few first, the many mixed so that a part of them is a fair sample.
    pub(crate) fn order(&self, quick: bool) -> Vec<usize> {
        let (mut few, mut many, mut start) = (Vec::new(), Vec::new(), 0);
        for target in &self.targets {
            let (single, chunks) = (target.single(), target.chunks());
            let wanted = |case: &usize| match case - start {
                _ if !quick => true,
                // Each of these takes as long as a hundred others.
                at if at >= single - chunks => at % 200 == 0,
                at => at < 2 || case.is_multiple_of(self.one_in),
            };
            few.extend((start..start + single).filter(wanted));
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

fn is_state(path: &Path) -> bool {
    path.starts_with("state.a") || path.starts_with("state.b")
}

/// Behind the last byte that is not zero.
fn end(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

/// Zeros at the end are left to the file system.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = match File::create(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(path.parent().unwrap_or(path))?;
            File::create(path)?
        }
        made => made?,
    };
    file.write_all(&bytes[..end(bytes)])?;
    file.set_len(bytes.len() as u64)
}
