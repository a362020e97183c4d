//! All that was measured, and what can be said about it.

use crate::floor::Cipher;
use crate::peers;
use crate::storeroom::Stored;
use crate::works::{FLOOR_GOAL, Work};

/// The rates of one operation: for each peer, those of all rounds.
pub struct Row {
    pub work: &'static Work,
    pub rates: Vec<Vec<f64>>,
}

/// Everything.
pub struct Figures {
    pub peers: Vec<&'static crate::clinic::Peer>,
    pub rows: Vec<Row>,
    pub stored: Vec<Stored>,
    /// Bytes that one put writes, and how often a second so many can be appended and synced.
    pub floor: Option<(usize, Vec<f64>)>,
    pub ciphers: Vec<Cipher>,
    pub place: Place,
}

/// Where and how it was measured.
pub struct Place {
    pub rounds: usize,
    pub millis: u128,
    pub records: usize,
    pub import: usize,
    pub cores: usize,
    pub file_system: String,
    /// Of the minute before the first run.
    pub load: String,
}

/// A ratio to SQLCipher or to the floor: the median, the least and the most of the rounds. Of each round by itself,
/// because a shared machine is slow and fast by turns, and both with it.
pub struct Ratio {
    pub middle: f64,
    pub least: f64,
    pub most: f64,
}

pub fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

impl Row {
    /// How peer number `at` compares with SQLCipher, if both ran.
    pub fn ratio(&self, figures: &Figures, at: usize) -> Option<Ratio> {
        Some(Ratio::of(&self.rates[at], &self.rates[figures.at(peers::BASE)?]))
    }
}

impl Ratio {
    fn of(rates: &[f64], base: &[f64]) -> Self {
        let by_round: Vec<_> = rates.iter().zip(base).map(|(rate, base)| rate / base).collect();
        Self {
            middle: median(&by_round),
            least: by_round.iter().copied().fold(f64::INFINITY, f64::min),
            most: by_round.iter().copied().fold(0.0, f64::max),
        }
    }
}

impl Figures {
    /// The place of a peer.
    pub fn at(&self, name: &str) -> Option<usize> {
        self.peers.iter().position(|peer| peer.name == name)
    }

    /// How a peer's rate of the operation that the floor has a goal for compares with the floor, if both were measured.
    pub fn ratio_to_floor(&self, name: &str) -> Option<Ratio> {
        let row = self.rows.iter().find(|row| row.work.name == FLOOR_GOAL.0)?;
        let (_, floor) = self.floor.as_ref()?;
        Some(Ratio::of(&row.rates[self.at(name)?], floor))
    }
}

impl Place {
    /// Too short, or beside too much else, to be called a measurement.
    pub fn is_look(&self) -> bool {
        let busy = self.load.parse::<f64>().is_ok_and(|load| load > self.cores as f64 * 0.75);
        self.rounds < 5 || self.millis < 1_000 || busy
    }

    pub fn of(options: &crate::options::Options) -> Self {
        let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let load = text("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned();
        Self {
            rounds: options.rounds,
            millis: options.time.as_millis(),
            records: options.records,
            import: options.import,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            file_system: file_system(&options.dir, &text("/proc/self/mounts")),
            load,
        }
    }
}

/// The type of the file system that holds a directory.
fn file_system(dir: &std::path::Path, mounts: &str) -> String {
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let holder = mounts.filter(|(mount, _)| dir.starts_with(mount)).max_by_key(|(mount, _)| mount.len());
    holder.map_or_else(|| "unknown file system".to_owned(), |(_, kind)| kind.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(median(&[9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[9.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn a_ratio_is_taken_round_by_round() {
        // The machine was half as fast in the second round, and the floor's third run met something else.
        let ratio = Ratio::of(&[60.0, 30.0, 60.0], &[100.0, 50.0, 80.0]);
        assert_eq!((ratio.least, ratio.middle, ratio.most), (0.6, 0.6, 0.75));
    }

    #[test]
    fn the_nearest_mount_tells_the_file_system() {
        let mounts = "/dev/a / ext4 rw\ntmpfs /dev/shm tmpfs rw\n";
        assert_eq!(file_system(std::path::Path::new("/"), mounts), "ext4");
        assert_eq!(file_system(std::path::Path::new("/nowhere"), ""), "unknown file system");
    }
}
