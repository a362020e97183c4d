//! A store of many records: its size, and how long it takes to open after a clean stop.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::clinic::{CHART, Peer, VALUE, values};
use crate::stand::fill;

/// What became of it.
pub struct Stored {
    pub peer: &'static Peer,
    /// Bytes of disk blocks that all files take, as a multiple of the values' bytes.
    pub size: f64,
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
    let size = size_of(own.path()) as f64 / (records * VALUE) as f64;
    let opens = [(), ()].map(|()| {
        let start = Instant::now();
        let clinic = (peer.open)(own.path());
        let open = start.elapsed();
        assert!(clinic.desk().chart(patients / 2) > 0);
        let chart = start.elapsed() - open;
        clinic.close();
        Opened { open, chart }
    });
    Stored { peer, size, opens }
}

/// Bytes of all files below, as blocks of the file system.
fn size_of(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() { size_of(&entry.path()) } else { metadata.blocks() * 512 }
        })
        .sum()
}
