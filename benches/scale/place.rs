//! Where a child process works, and what it can tell about itself: sizes, memory, processor time.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use chartvault::{Options, Purpose, RawKey, RecordRef, Session, Token, Vault};

pub(crate) const MIB: usize = 1 << 20;

/// A directory with a vault, and what a later process needs to work in it.
pub(crate) struct Place(pub(crate) PathBuf);

impl Place {
    pub(crate) fn vault(&self) -> PathBuf {
        self.0.join("scale.vault")
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.vault().join("journal")
    }

    pub(crate) fn key(&self) -> RawKey {
        RawKey::from_bytes(fs::read(self.0.join("key")).unwrap().try_into().unwrap())
    }

    /// One record of each chart, in the order of writing.
    pub(crate) fn charts(&self) -> Vec<RecordRef> {
        fs::read_to_string(self.0.join("charts")).unwrap().lines().map(|line| line.parse().unwrap()).collect()
    }

    pub(crate) fn open(&self) -> (Vault, Session) {
        let vault = Vault::open_with(self.vault(), Options::new()).unwrap().unlock(&self.key()).unwrap();
        let session = self.session(&vault);
        (vault, session)
    }

    /// [`Place::open`], which says how long it took, what it replayed and what it holds.
    pub(crate) fn open_measured(&self) -> (Vault, Session) {
        let start = Instant::now();
        let vault = Vault::open_with(self.vault(), Options::new()).unwrap().unlock(&self.key()).unwrap();
        say("open ms", start.elapsed().as_secs_f64() * 1e3);
        say("open replayed frames", vault.opening().replayed_frames as f64);
        say("open memory MiB", memory("VmRSS"));
        let session = self.session(&vault);
        (vault, session)
    }

    pub(crate) fn session(&self, vault: &Vault) -> Session {
        let token: Token = fs::read_to_string(self.0.join("token")).unwrap().parse().unwrap();
        vault.session(&token, Purpose::Treatment).unwrap()
    }

    /// Bytes of the trees' files.
    pub(crate) fn trees(&self) -> u64 {
        let below = fs::read_dir(self.vault()).unwrap().map(|entry| entry.unwrap().path());
        below.filter(|path| path.is_dir() && !path.ends_with("journal")).map(|path| on_disk(&path)).sum()
    }

    /// Bytes of the journal without the room that was made beforehand: the zeros at the end of its newest segment, and
    /// the segment in the making.
    pub(crate) fn journaled(&self) -> u64 {
        let paths = fs::read_dir(self.journal()).unwrap().map(|entry| entry.unwrap().path());
        let files: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|end| end == "cvj")).collect();
        let all: u64 = files.iter().map(|path| fs::metadata(path).unwrap().len()).sum();
        let newest = fs::read(files.iter().filter(|path| is_segment(path)).max().unwrap()).unwrap();
        all - newest.iter().rev().take_while(|byte| **byte == 0).count() as u64
    }

    /// Says what all files take; the vault must be closed.
    pub(crate) fn say_sizes(&self) {
        let mib = |bytes: u64| bytes as f64 / MIB as f64;
        let journal = on_disk(&self.journal());
        say("disk, journal MiB", mib(journal));
        say("disk, of that room made beforehand MiB", mib(journal - self.journaled()));
        say("disk, trees MiB", mib(self.trees()));
        say("disk, state MiB", mib(fs::metadata(self.vault().join("state.a")).unwrap().len()));
    }

    /// Rows and log entries written so far by all steps; what single calls wrote is not counted.
    pub(crate) fn items(&self) -> usize {
        let noted = fs::read_to_string(self.0.join("items")).unwrap_or_default();
        noted.lines().map(|line| line.parse::<usize>().unwrap()).sum()
    }

    pub(crate) fn note_items(&self, items: usize) {
        let mut file = fs::File::options().append(true).create(true).open(self.0.join("items")).unwrap();
        writeln!(file, "{items}").unwrap();
    }
}

fn is_segment(path: &Path) -> bool {
    let stem = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".cvj"));
    stem.is_some_and(|stem| stem.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A figure for the parent.
pub(crate) fn say(name: &str, value: f64) {
    println!("{name}\t{value}");
}

/// MiB of this process, by its name in `/proc/self/status`; not a number where there is none.
pub(crate) fn memory(name: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::to_owned));
    line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).map_or(f64::NAN, |kib| kib / 1024.0)
}

/// Seconds that this process has had of a processor; not a number where the system does not tell.
pub(crate) fn processor() -> f64 {
    const TICKS: f64 = 100.0;
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    let ticks: Vec<f64> = fields.filter_map(|field| field.parse().ok()).collect();
    if ticks.len() == 2 { (ticks[0] + ticks[1]) / TICKS } else { f64::NAN }
}

/// Bytes of all files below a directory, as they take room on the disk.
fn on_disk(dir: &Path) -> u64 {
    fs::read_dir(dir).map_or(0, |entries| {
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.map(|path| if path.is_dir() { on_disk(&path) } else { fs::metadata(path).unwrap().len() }).sum()
    })
}
