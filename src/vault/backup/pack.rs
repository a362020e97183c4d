//! Makes key packs, and removes those that they replace.

use std::sync::PoisonError;

use super::{Backup, key_of, seed_of};
use crate::backup::manifest::{Manifest, PackRef};
use crate::backup::pack::{PART_BYTES, PackFront, PackPart, SecretRow};
use crate::backup::pack_end::PackEnd;
use crate::backup::shelf::Shelf;
use crate::backup::{BackupFault, BackupTarget, TargetError, seal};
use crate::crypto::random;
use crate::error::Error;
use crate::format::keys::Tree;
use crate::storage::Scan;
use crate::unlocked::Unlocked;
use crate::vault::ErasureLedger;

/// How often the rows are read again because the keys changed meanwhile.
const ATTEMPTS: u32 = 4;

/// The key pack that a backup needs.
#[derive(Default)]
pub(super) struct Packed {
    pub(super) pack: Option<PackRef>,
    pub(super) new: bool,
    pub(super) older: Vec<u64>,
}

/// Makes a pack unless the newest manifest names one that is of the keys and the ledger as they are now.
pub(super) fn keep(unlocked: &Unlocked, backup: &Backup<'_>, newest: Option<&Manifest>) -> Result<Packed, Error> {
    let pack = newest.and_then(|newest| newest.pack);
    let Some(packs) = backup.packs else { return Ok(Packed { pack, ..Packed::default() }) };
    let shelf = Shelf::new(packs);
    let _one = unlocked.packing.lock().unwrap_or_else(PoisonError::into_inner);
    let (there, whole) = (shelf.packs()?, shelf.whole_packs()?);
    let now = (generation(unlocked), erasures(unlocked));
    // Another target may keep its packs there as well: one of the keys and the ledger of now is good for all.
    let least = pack.map_or(0, |pack| pack.number);
    if let Some(number) = whole.last().filter(|number| **number >= least)
        && let Ok(PackEnd { pack, parts }) = shelf.pack_end(*number, &key_of(unlocked))
        && (pack.header_generation, pack.erasures) == now
        && (0..parts).all(|part| there.contains(&(*number, part)))
    {
        let older = remove_older(packs, &there, &whole, pack.number);
        return Ok(Packed { pack: Some(pack), new: false, older });
    }
    let last = there.iter().map(|(number, _)| *number).chain(whole.iter().copied()).max().unwrap_or(0).max(least);
    let pack = write(unlocked, backup, &shelf, last.saturating_add(1))?;
    Ok(Packed { pack: Some(pack), new: true, older: remove_older(packs, &there, &whole, pack.number) })
}

/// Generation of the header in force.
pub(super) fn generation(unlocked: &Unlocked) -> u64 {
    unlocked.header.lock().unwrap_or_else(PoisonError::into_inner).generation
}

pub(super) fn erasures(unlocked: &Unlocked) -> u64 {
    u64::try_from(unlocked.policy.erasures().len()).unwrap_or(u64::MAX)
}

fn write(unlocked: &Unlocked, backup: &Backup<'_>, shelf: &Shelf<'_>, number: u64) -> Result<PackRef, Error> {
    let (front, rows) = gather(unlocked)?;
    let (header_generation, erasures) = (front.header_generation, front.erasures);
    let (seed, id) = (seed_of(unlocked), random::array()?);
    let (mut front, mut rows) = (Some(front), rows.into_iter().peekable());
    for part in 0_u32.. {
        let (mut some, mut bytes): (Vec<SecretRow>, usize) = (Vec::new(), 0);
        while bytes < PART_BYTES
            && let Some(row) = rows.next()
        {
            bytes = bytes.saturating_add(row.0.len()).saturating_add(row.1.len());
            some.push(row);
        }
        let last = rows.peek().is_none();
        let part = PackPart { vault: unlocked.vault, number, id, part, last, front: front.take(), rows: some };
        let too_long = |_| BackupFault::Pack { number, what: "a row of it is too long" };
        let sealed = seal::seal(&backup.recipients, part.sign(&seed).map_err(too_long)?)?;
        let name = PackPart::name_of(number, part.part);
        shelf.target.put_new(&name, &sealed).map_err(|error| shelf.failed(error))?;
        if last {
            let pack = PackRef { number, header_generation, erasures };
            let end = PackEnd { pack, parts: part.part.saturating_add(1) };
            let note = end.sign(&key_of(unlocked), &seed);
            shelf.target.put_new(&PackEnd::name_of(number), note.as_bytes()).map_err(|error| shelf.failed(error))?;
            return Ok(pack);
        }
    }
    Err(BackupFault::Pack { number, what: "it has more parts than it can have" }.into())
}

/// Header, ledger and rows that fit each other: if a new header came in force meanwhile, all of them once more.
fn gather(unlocked: &Unlocked) -> Result<(PackFront, Vec<SecretRow>), Error> {
    let mut attempt = 0;
    loop {
        let held = unlocked.header.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let entries = unlocked.policy.erasures();
        let erasures = u64::try_from(entries.len()).unwrap_or(u64::MAX);
        let ledger = ErasureLedger::seal(unlocked, &entries)?.as_bytes().to_vec();
        let rows = secrets(unlocked)?;
        if (generation(unlocked), self::erasures(unlocked)) == (held.generation, erasures) {
            let front = PackFront { header_generation: held.generation, erasures, header: held.bytes, ledger };
            return Ok((front, rows));
        }
        attempt += 1;
        if attempt >= ATTEMPTS {
            return Err(Error::RotationUnderWay);
        }
    }
}

fn secrets(unlocked: &Unlocked) -> Result<Vec<SecretRow>, Error> {
    const CHUNK: usize = 4_096;
    let mut rows: Vec<SecretRow> = Vec::new();
    loop {
        let after = rows.last().map(|(key, _)| key.clone());
        let scan = Scan { prefix: &[], after: after.as_deref(), limit: CHUNK };
        let some = unlocked.committer.scan(Tree::Patients, scan)?;
        let got = some.len();
        rows.extend(some.into_iter().map(|(key, value)| (key, value.to_vec())));
        if got < CHUNK {
            return Ok(rows);
        }
    }
}

/// Removes older packs, the end of each before its parts; gives those that are left.
fn remove_older(packs: &dyn BackupTarget, there: &[(u64, u32)], whole: &[u64], newest: u64) -> Vec<u64> {
    let ends = whole.iter().map(|number| (*number, PackEnd::name_of(*number)));
    let parts = there.iter().map(|(number, part)| (*number, PackPart::name_of(*number, *part)));
    let mut left = Vec::new();
    for (number, name) in ends.chain(parts).filter(|(number, _)| *number < newest) {
        let gone = matches!(packs.delete(&name), Ok(()) | Err(TargetError::Absent { .. }));
        if !gone && !left.contains(&number) {
            left.push(number);
        }
    }
    left
}
