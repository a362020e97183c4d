//! Failed unlocks. They happen before any key is open, so they are counted in a plain file and become one audit entry
//! at the next unlock. Whoever can write the directory can forge or delete the count; `SECURITY.md` says so.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use crate::bytes::{Put, Reader, Truncated};
use crate::clock::Timestamp;
use crate::crypto::hash;
use crate::platform;

const NAME: &str = "attempts";
const MAGIC: &[u8; 4] = b"CVF?";
const LEN: usize = 4 + 8 + 8 + 8 + 8;

/// How many unlocks failed since the last that succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attempts {
    pub(super) count: u64,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
}

impl Attempts {
    /// The count on disk; `None` when there is none. Bytes that are no count become one attempt at an unknown time,
    /// because something did happen to the file.
    pub(super) fn load(dir: &Path) -> Option<Self> {
        let mut bytes = Vec::with_capacity(LEN + 1);
        let path = dir.join(NAME);
        let file = platform::ordinary(&path).and_then(|()| File::open(&path)).ok()?;
        let limit = u64::try_from(LEN + 1).unwrap_or(u64::MAX);
        file.take(limit).read_to_end(&mut bytes).ok()?;
        Some(Self::from_bytes(&bytes))
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        parse(bytes).unwrap_or(Self { count: 1, first: Timestamp::MIN, last: Timestamp::MIN })
    }

    /// With one more failed unlock.
    pub(super) fn after(before: Option<Self>, now: Timestamp) -> Self {
        Self {
            count: before.map_or(0, |before| before.count).saturating_add(1),
            first: before.map_or(now, |before| before.first),
            last: now,
        }
    }

    /// Adds one failed unlock, durably.
    pub(super) fn count_one(dir: &Path, now: Timestamp) -> std::io::Result<()> {
        let after = Self::after(Self::load(dir), now);
        let path = dir.join(NAME);
        platform::ordinary(&path)?;
        let mut file = File::create(path)?;
        file.write_all(&after.to_bytes())?;
        file.sync_all()
    }

    /// Forgets the count, once an entry holds it.
    pub(super) fn clear(dir: &Path) -> std::io::Result<()> {
        match fs::remove_file(dir.join(NAME)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LEN);
        bytes.put(MAGIC);
        bytes.put_u64(self.count);
        bytes.put_i64(self.first.as_micros());
        bytes.put_i64(self.last.as_micros());
        let checksum: [u8; 8] = hash::sha256_short(&[&bytes]);
        bytes.put(&checksum);
        bytes
    }
}

fn parse(bytes: &[u8]) -> Result<Attempts, Truncated> {
    let mut reader = Reader::new(bytes);
    let content = Reader::new(bytes).take(LEN - 8)?;
    let magic: [u8; 4] = reader.array()?;
    let attempts = Attempts {
        count: reader.u64()?,
        first: Timestamp::from_micros(reader.i64()?),
        last: Timestamp::from_micros(reader.i64()?),
    };
    let checksum: [u8; 8] = reader.array()?;
    reader.finish()?;
    if magic != *MAGIC || checksum != hash::sha256_short(&[content]) {
        return Err(Truncated);
    }
    Ok(attempts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::worked;

    #[test]
    fn the_worked_example_holds() {
        const PAGE: &str = include_str!("../../docs/format/policy.md");
        let time = |name| worked::text(PAGE, name).parse().unwrap();
        let count = worked::text(PAGE, "attempts_count").parse().unwrap();
        let attempts = Attempts { count, first: time("attempts_first"), last: time("attempts_last") };
        assert_eq!(data_encoding::HEXLOWER.encode(&attempts.to_bytes()), worked::text(PAGE, "attempts_file"));
    }

    #[test]
    fn attempts_add_up_and_keep_the_first_time() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Attempts::load(dir.path()), None);
        for second in [10, 20, 30] {
            Attempts::count_one(dir.path(), Timestamp::from_micros(second)).unwrap();
        }
        let counted = Attempts::load(dir.path()).unwrap();
        let times = (Timestamp::from_micros(10), Timestamp::from_micros(30));
        assert_eq!((counted.count, (counted.first, counted.last)), (3, times));
        Attempts::clear(dir.path()).unwrap();
        Attempts::clear(dir.path()).unwrap();
        assert_eq!(Attempts::load(dir.path()), None);
    }

    #[test]
    fn a_spoilt_file_still_counts_as_something() {
        let dir = tempfile::tempdir().unwrap();
        Attempts::count_one(dir.path(), Timestamp::from_micros(1)).unwrap();
        let path = dir.path().join(NAME);
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert_eq!(Attempts::load(dir.path()).unwrap().first, Timestamp::MIN, "byte {at}");
        }
        fs::write(&path, b"").unwrap();
        assert_eq!(Attempts::load(dir.path()).unwrap().count, 1);
    }
}
