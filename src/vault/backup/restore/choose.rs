//! Which manifests a state is put together from.

use super::{RestorePoint, nothing};
use crate::backup::manifest::{Manifest, SignedManifest, Tip};
use crate::backup::shelf::Shelf;
use crate::backup::{BackupFault, BackupKey};
use crate::clock::Timestamp;
use crate::error::Error;

/// The manifests of one copy, from its beginning to a whole one, each the successor of the one before; and the last of them.
pub(super) struct Chosen(Vec<SignedManifest>, SignedManifest);

impl Chosen {
    /// `last`: the manifest that a restore had chosen which is gone on with now.
    pub(super) fn find(
        shelf: Shelf<'_>,
        key: &BackupKey,
        point: RestorePoint,
        last: Option<u64>,
    ) -> Result<Self, Error> {
        let numbers = shelf.manifests()?;
        numbers.last().ok_or_else(|| nothing(shelf))?;
        let get = |number| shelf.manifest(number, Some(key));
        let number = match (last, point) {
            (Some(number), _) => Some(number),
            (None, RestorePoint::Newest) => whole_before(&numbers, u64::MAX, &get)?,
            (None, RestorePoint::Manifest(number)) => Some(number),
            (None, RestorePoint::Entry(_) | RestorePoint::Time(_)) => reaching(&numbers, point, &get)?,
        };
        let number = number.ok_or_else(|| nothing(shelf))?;
        Ok(Self::ending_with(number, &get)?)
    }

    fn ending_with(number: u64, get: &dyn Fn(u64) -> Result<SignedManifest, BackupFault>) -> Result<Self, BackupFault> {
        let last = get(number)?;
        if !last.manifest.whole {
            return Err(BackupFault::Manifest {
                what: "it is the beginning of a copy whose end stands in a later one",
            });
        }
        let (begin, _) = last.manifest.chain;
        if begin > number {
            return Err(BackupFault::Broken { number });
        }
        let (mut before, mut later) = (Vec::new(), last.clone());
        for at in (begin..number).rev() {
            let manifest = get(at)?;
            if later.manifest.previous != Some(manifest.sha256) || manifest.manifest.chain.0 != begin {
                return Err(BackupFault::Broken { number: at.saturating_add(1) });
            }
            before.push(std::mem::replace(&mut later, manifest));
        }
        before.push(later);
        before.reverse();
        Ok(Self(before, last))
    }

    /// The newest manifest of all, whole or not.
    pub(super) fn newest(shelf: Shelf<'_>, key: &BackupKey) -> Result<SignedManifest, BackupFault> {
        let number = *shelf.manifests()?.last().ok_or_else(|| nothing(shelf))?;
        shelf.manifest(number, Some(key))
    }

    pub(super) fn last(&self) -> &SignedManifest {
        &self.1
    }

    /// The hash of the manifest with which the copy begins.
    pub(super) fn begin(&self) -> [u8; 32] {
        self.0.first().unwrap_or(&self.1).sha256
    }

    pub(super) fn manifests(&self) -> impl Iterator<Item = &Manifest> {
        self.0.iter().map(|signed| &signed.manifest)
    }
}

/// The newest whole manifest below a number.
fn whole_before(
    numbers: &[u64],
    below: u64,
    get: &dyn Fn(u64) -> Result<SignedManifest, BackupFault>,
) -> Result<Option<u64>, BackupFault> {
    for number in numbers.iter().rev().filter(|number| **number < below) {
        if get(*number)?.manifest.whole {
            return Ok(Some(*number));
        }
    }
    Ok(None)
}

/// The first whole manifest that reaches to a point.
fn reaching(
    numbers: &[u64],
    point: RestorePoint,
    get: &dyn Fn(u64) -> Result<SignedManifest, BackupFault>,
) -> Result<Option<u64>, BackupFault> {
    let found = match point {
        RestorePoint::Entry(seq) => with_entry(numbers, seq, get)?,
        RestorePoint::Time(time) => made_after(numbers, time, get)?,
        RestorePoint::Newest | RestorePoint::Manifest(_) => None,
    };
    if found.is_some() {
        return Ok(found);
    }
    let Some(newest) = whole_before(numbers, u64::MAX, get)? else { return Ok(None) };
    let Manifest { made, tip: Tip { entries, .. }, .. } = get(newest)?.manifest;
    if point == RestorePoint::Time(made) {
        return Ok(Some(newest));
    }
    Err(BackupFault::TooLate { point: point.to_string(), entries })
}

/// The first whole manifest whose state has an entry.
fn with_entry(
    numbers: &[u64],
    seq: u64,
    get: &dyn Fn(u64) -> Result<SignedManifest, BackupFault>,
) -> Result<Option<u64>, BackupFault> {
    // Entries grow from manifest to manifest.
    let (mut low, mut high) = (0, numbers.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let Some(number) = numbers.get(middle) else { break };
        if get(*number)?.manifest.tip.entries > seq { high = middle } else { low = middle + 1 }
    }
    for number in numbers.get(low..).unwrap_or_default() {
        if get(*number)?.manifest.whole {
            return Ok(Some(*number));
        }
    }
    Ok(None)
}

/// The first whole manifest of a state from after a time, of those behind which none was made earlier: where the clock had
/// been ahead and was set right, what came since is in a later one.
fn made_after(
    numbers: &[u64],
    time: Timestamp,
    get: &dyn Fn(u64) -> Result<SignedManifest, BackupFault>,
) -> Result<Option<u64>, BackupFault> {
    let (mut found, mut earliest) = (None, Timestamp::from_micros(i64::MAX));
    for number in numbers.iter().rev() {
        let Manifest { made, whole, .. } = get(*number)?.manifest;
        // What was written in the same microsecond may have come behind.
        if made <= time {
            break;
        }
        if whole && made <= earliest {
            found = Some(*number);
        }
        earliest = earliest.min(made);
    }
    Ok(found)
}
