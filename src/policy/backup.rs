//! What the vault remembers of its backups (docs/format/policy.md, table 29): for each target the last backup, the last
//! failure, the last verification, the last drill that was sound and the last that was not, each in a row of its own, so that none waits for another.

#[cfg(feature = "backup")]
use std::collections::BTreeMap;
use std::time::Duration;

use super::row::BadRow;
use crate::audit::Outcome;
use crate::bytes::{Put, Reader};
use crate::clock::Timestamp;
use crate::crypto::kdf;

/// Bytes that are kept of a target's name.
const MAX_TARGET: usize = 1_024;
/// Bytes of the word for a failure.
const MAX_WORD: usize = 64;
/// Targets that are remembered.
#[cfg(feature = "backup")]
pub(crate) const MOST_TARGETS: usize = 64;

const MADE: u8 = 1;
const FAILED: u8 = 2;
const VERIFIED: u8 = 3;
const DRILLED: u8 = 4;
const DRILL_FAILED: u8 = 5;
#[cfg(feature = "backup")]
const SORTS: [u8; 5] = [MADE, FAILED, VERIFIED, DRILLED, DRILL_FAILED];

/// The last backup to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastBackup {
    /// When the state was taken that it holds.
    pub at: Timestamp,
    /// How long it took; zero in a vault that was restored from it.
    pub took: Duration,
    /// Number of its manifest.
    pub manifest: u64,
    /// Log entries that it covers.
    pub entries: u64,
    /// Bytes that were written to the target; 0 in a vault that was restored from it.
    pub stored_bytes: u64,
    /// The key pack that it needs, if one was ever made.
    pub pack: Option<LastPack>,
    /// The oldest data epoch whose key it needs.
    pub oldest_data_epoch: u32,
}

/// The key pack that the last backup needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastPack {
    /// Its number.
    pub number: u64,
    /// Generation of the header in it: it grows with each change of keys and slots.
    pub header_generation: u64,
    /// Patients that its erasure ledger names.
    pub erasures: u64,
}

#[cfg(feature = "backup")]
impl LastBackup {
    pub(crate) const fn new(
        (at, took): (Timestamp, Duration),
        (manifest, entries, stored_bytes): (u64, u64, u64),
        pack: Option<LastPack>,
        oldest_data_epoch: u32,
    ) -> Self {
        Self { at, took, manifest, entries, stored_bytes, pack, oldest_data_epoch }
    }
}

#[cfg(feature = "backup")]
impl LastPack {
    pub(crate) const fn new(number: u64, header_generation: u64, erasures: u64) -> Self {
        Self { number, header_generation, erasures }
    }
}

/// The last backup that could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastBackupFailure {
    /// When.
    pub at: Timestamp,
    /// A word for why, such as `backup target failed`; the log has more.
    pub why: String,
}

/// When this vault last had verified what a target holds: all that its newest backup consists of was read for a drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastVerification {
    /// When.
    pub at: Timestamp,
    /// [`Outcome::Allowed`] if what it holds was sound.
    pub outcome: Outcome,
    /// The newest manifest that was verified; 0 if it did not come so far.
    pub manifest: u64,
}

/// The last restore that was rehearsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastDrill {
    /// When.
    pub at: Timestamp,
    /// [`Outcome::Allowed`] if all was as it has to be.
    pub outcome: Outcome,
    /// The manifest that was restored; 0 if it did not come so far.
    pub manifest: u64,
    /// How long all of it took.
    pub took: Duration,
    /// How long it took from the beginning until the restored vault was open; zero if it did not come so far.
    pub recovery: Duration,
    /// Records that were opened.
    pub records: u64,
}

#[cfg(feature = "backup")]
impl LastVerification {
    pub(crate) const fn new(at: Timestamp, outcome: Outcome, manifest: u64) -> Self {
        Self { at, outcome, manifest }
    }
}

#[cfg(feature = "backup")]
impl LastDrill {
    pub(crate) const fn new(
        (at, outcome): (Timestamp, Outcome),
        manifest: u64,
        (took, recovery): (Duration, Duration),
        records: u64,
    ) -> Self {
        Self { at, outcome, manifest, took, recovery, records }
    }
}

impl LastDrill {
    /// Whether all was as it has to be.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.outcome == Outcome::Allowed
    }

    fn sort(&self) -> u8 {
        if self.is_sound() { DRILLED } else { DRILL_FAILED }
    }
}

/// What a row says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BackupNote {
    Made(LastBackup),
    Failed(LastBackupFailure),
    Verified(LastVerification),
    Drilled(LastDrill),
}

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BackupRow {
    /// As [`kept_name`] gives it.
    pub(crate) target: String,
    pub(crate) note: BackupNote,
}

/// What is remembered of one target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Remembered {
    pub(crate) made: Option<LastBackup>,
    pub(crate) failed: Option<LastBackupFailure>,
    pub(crate) verified: Option<LastVerification>,
    /// The last that was sound.
    pub(crate) drilled: Option<LastDrill>,
    pub(crate) drill_failed: Option<LastDrill>,
}

impl Remembered {
    pub(super) fn put(&mut self, note: BackupNote) {
        match note {
            BackupNote::Made(made) => self.made = Some(made),
            BackupNote::Failed(failed) => self.failed = Some(failed),
            BackupNote::Verified(verified) => self.verified = Some(verified),
            BackupNote::Drilled(drilled) if drilled.is_sound() => self.drilled = Some(drilled),
            BackupNote::Drilled(drilled) => self.drill_failed = Some(drilled),
        }
    }

    /// With the times that are still to come, which a clock gave that had jumped ahead, as those when it was set right: whatever
    /// came after that is later.
    pub(crate) fn counted_from(mut self, now: Timestamp, reset: Option<Timestamp>) -> Self {
        let Some(reset) = reset else { return self };
        let times = [
            self.made.as_mut().map(|made| &mut made.at),
            self.failed.as_mut().map(|failed| &mut failed.at),
            self.verified.as_mut().map(|verified| &mut verified.at),
            self.drilled.as_mut().map(|drilled| &mut drilled.at),
            self.drill_failed.as_mut().map(|drilled| &mut drilled.at),
        ];
        times.into_iter().flatten().filter(|at| **at > now).for_each(|at| *at = reset.min(now));
        self
    }

    /// When anything was last heard of it.
    #[cfg(feature = "backup")]
    fn newest(&self) -> Option<Timestamp> {
        let Self { made, failed, verified, drilled, drill_failed } = self;
        let times = [
            made.as_ref().map(|made| made.at),
            failed.as_ref().map(|failed| failed.at),
            verified.as_ref().map(|verified| verified.at),
            drilled.as_ref().map(|drilled| drilled.at),
            drill_failed.as_ref().map(|drilled| drilled.at),
        ];
        times.into_iter().flatten().max()
    }
}

/// Which targets make room for this one: those that were not heard of for longest.
#[cfg(feature = "backup")]
pub(super) fn in_the_way(known: &BTreeMap<String, Remembered>, target: &str) -> Vec<String> {
    let too_many = known.len().saturating_add(1).saturating_sub(MOST_TARGETS);
    if too_many == 0 || known.contains_key(target) {
        return Vec::new();
    }
    let mut names: Vec<_> = known.iter().map(|(name, of)| (of.newest(), name)).collect();
    names.sort();
    names.into_iter().take(too_many).map(|(_, name)| name.clone()).collect()
}

/// What is kept of a target's name: its first bytes, and no control characters.
#[cfg(feature = "backup")]
pub(crate) fn kept_name(name: &str) -> String {
    let mut kept = String::new();
    for c in name.chars().map(|c| if c.is_control() { '?' } else { c }) {
        if kept.len().saturating_add(c.len_utf8()) > MAX_TARGET {
            break;
        }
        kept.push(c);
    }
    kept
}

/// The word as it fits.
#[cfg(feature = "backup")]
pub(crate) fn failure(at: Timestamp, word: &'static str) -> LastBackupFailure {
    LastBackupFailure { at, why: word.get(..MAX_WORD).unwrap_or(word).to_owned() }
}

impl BackupRow {
    pub(super) fn place(&self) -> [u8; 16] {
        let sort = match self.note {
            BackupNote::Made(_) => MADE,
            BackupNote::Failed(_) => FAILED,
            BackupNote::Verified(_) => VERIFIED,
            BackupNote::Drilled(drilled) => drilled.sort(),
        };
        kdf::backup_note_id(sort, &self.target)
    }

    /// Where the rows of a target stand.
    #[cfg(feature = "backup")]
    pub(super) fn places(target: &str) -> impl Iterator<Item = [u8; 16]> + '_ {
        SORTS.into_iter().map(|sort| kdf::backup_note_id(sort, target))
    }

    /// Behind the number of the table.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match &self.note {
            BackupNote::Made(LastBackup { at, took, manifest, entries, stored_bytes, pack, oldest_data_epoch }) => {
                out.put_u8(MADE);
                out.put_i64(at.as_micros());
                out.put_u64(micros(*took));
                [manifest, entries, stored_bytes].into_iter().for_each(|number| out.put_u64(*number));
                out.put_u32(*oldest_data_epoch);
                out.put_u8(u8::from(pack.is_some()));
                if let Some(LastPack { number, header_generation, erasures }) = pack {
                    [number, header_generation, erasures].into_iter().for_each(|number| out.put_u64(*number));
                }
            }
            BackupNote::Failed(LastBackupFailure { at, why }) => {
                out.put_u8(FAILED);
                out.put_i64(at.as_micros());
                // Never more than MAX_WORD, which fits.
                out.put_u8(u8::try_from(why.len()).unwrap_or(u8::MAX));
                out.put(why.as_bytes());
            }
            BackupNote::Verified(LastVerification { at, outcome, manifest }) => {
                out.put_u8(VERIFIED);
                out.put_i64(at.as_micros());
                out.put_u8(outcome.code());
                out.put_u64(*manifest);
            }
            BackupNote::Drilled(drilled @ LastDrill { at, manifest, took, recovery, records, .. }) => {
                out.put_u8(drilled.sort());
                out.put_i64(at.as_micros());
                [*manifest, micros(*took), micros(*recovery), *records].into_iter().for_each(|n| out.put_u64(n));
            }
        }
        out.put(self.target.as_bytes());
    }

    pub(super) fn decode(mut reader: Reader<'_>) -> Result<Self, BadRow> {
        let (sort, at) = (reader.u8()?, Timestamp::from_micros(reader.i64()?));
        let outcome = |code| Outcome::from_code(code).filter(|outcome| *outcome != Outcome::Denied).ok_or(BadRow);
        let note = match sort {
            MADE => {
                let took = Duration::from_micros(reader.u64()?);
                let (manifest, entries, stored_bytes) = (reader.u64()?, reader.u64()?, reader.u64()?);
                let oldest_data_epoch = reader.u32()?;
                let pack = match reader.u8()? {
                    0 => None,
                    1 => {
                        let (number, header_generation, erasures) = (reader.u64()?, reader.u64()?, reader.u64()?);
                        Some(LastPack { number, header_generation, erasures })
                    }
                    _ => return Err(BadRow),
                };
                BackupNote::Made(LastBackup { at, took, manifest, entries, stored_bytes, pack, oldest_data_epoch })
            }
            FAILED => {
                let len = usize::from(reader.u8()?);
                let why = text(reader.take(len)?, 1..=MAX_WORD)?;
                BackupNote::Failed(LastBackupFailure { at, why })
            }
            VERIFIED => {
                let outcome = outcome(reader.u8()?)?;
                BackupNote::Verified(LastVerification { at, outcome, manifest: reader.u64()? })
            }
            DRILLED | DRILL_FAILED => {
                let outcome = if sort == DRILLED { Outcome::Allowed } else { Outcome::Failed };
                let manifest = reader.u64()?;
                let (took, recovery) = (Duration::from_micros(reader.u64()?), Duration::from_micros(reader.u64()?));
                BackupNote::Drilled(LastDrill { at, outcome, manifest, took, recovery, records: reader.u64()? })
            }
            _ => return Err(BadRow),
        };
        Ok(Self { target: text(reader.rest(), 0..=MAX_TARGET)?, note })
    }
}

fn text(bytes: &[u8], len: std::ops::RangeInclusive<usize>) -> Result<String, BadRow> {
    let text = str::from_utf8(bytes).map_err(|_| BadRow)?;
    let sound = len.contains(&text.len()) && !text.chars().any(char::is_control);
    if sound { Ok(text.to_owned()) } else { Err(BadRow) }
}

fn micros(length: Duration) -> u64 {
    u64::try_from(length.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
