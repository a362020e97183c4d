//! A store of many records: its size, and how long it takes to open after a clean stop.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::clinic::{CHART, Peer, VALUE, values};
use crate::stand::fill;

/// What became of it.
pub struct Stored {
    pub peer: &'static Peer,
    /// Bytes of disk blocks that all files take, as a multiple of the values' bytes.
    pub size: f64,
    /// Of these, what stands behind the last byte of its file that is not zero: room that was made beforehand.
    pub room: f64,
    /// The first opening after the import, and the second.
    pub opens: [Opened; 2],
}

/// One opening.
pub struct Opened {
    /// Until the store is open.
    pub open: Duration,
    /// From there until the first chart of [`CHART`] is read, and its entry durable.
    pub chart: Duration,
}

pub fn store(peer: &'static Peer, dir: &Path, records: usize) -> Stored {
    let own = tempfile::tempdir_in(dir).unwrap();
    let patients = records.div_ceil(CHART).max(1);
    let clinic = (peer.create)(own.path(), patients);
    fill(&*clinic, 1, records, patients, &values());
    clinic.close();
    let [size, room] = size_of(own.path()).map(|bytes| bytes as f64 / (records * VALUE) as f64);
    let opens = [(), ()].map(|()| {
        let start = Instant::now();
        let clinic = (peer.open)(own.path());
        let open = start.elapsed();
        assert!(clinic.desk().chart(patients / 2) > 0);
        let chart = start.elapsed() - open;
        clinic.close();
        Opened { open, chart }
    });
    Stored { peer, size, room, opens }
}

/// Bytes of all files below, as blocks of the file system; and how many of them are room made beforehand.
fn size_of(dir: &Path) -> [u64; 2] {
    let entries = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
    let sizes = entries.map(|entry| {
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() {
            return size_of(&entry.path());
        }
        let size = metadata.blocks() * 512;
        // Holes take no blocks: what is left counts.
        [size, size.saturating_sub(written(&File::open(entry.path()).unwrap()))]
    });
    sizes.fold([0, 0], |[size, room], [more, more_room]| [size + more, room + more_room])
}

/// Bytes up to the last that is not zero.
fn written(file: &File) -> u64 {
    const CHUNK: u64 = 1 << 20;
    let mut end = file.metadata().unwrap().len();
    while end > 0 {
        let start = end.saturating_sub(CHUNK);
        let mut bytes = vec![0; (end - start) as usize];
        file.read_exact_at(&mut bytes, start).unwrap();
        if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
            return start + last as u64 + 1;
        }
        end = start;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_what_stands_behind_the_last_byte_that_is_not_zero() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("below")).unwrap();
        let mut bytes = vec![0; 3 << 20];
        bytes[1 << 20] = 1;
        std::fs::write(dir.path().join("below/segment"), &bytes).unwrap();
        std::fs::write(dir.path().join("full"), [1; 4_096]).unwrap();
        assert_eq!(written(&File::open(dir.path().join("below/segment")).unwrap()), (1 << 20) + 1);
        let [size, room] = size_of(dir.path());
        assert!(size >= (3 << 20) + 4_096, "{size}");
        assert_eq!(size - room, (1 << 20) + 1 + 4_096);
    }

    #[test]
    fn a_file_of_zeros_holds_nothing() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(5 << 20).unwrap();
        assert_eq!(written(&file), 0);
    }
}
