//! Makes key packs, and removes those that they replace.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use super::keys::Keys;
use super::packs::{Older, Packs};
use super::{Backup, key_of, seed_of, under_way};
use crate::backup::BackupFault;
use crate::backup::manifest::{Manifest, PackRef};
use crate::backup::pack::{PART_BYTES, PackFront, PackPart, SecretRow};
use crate::backup::pack_end::PackEnd;
use crate::backup::seal;
use crate::crypto::random;
use crate::error::Error;
use crate::format::keys::Tree;
use crate::policy;
use crate::storage::Scan;
use crate::unlocked::Unlocked;
use crate::vault::ErasureLedger;

/// How often a pack is written again because the keys changed meanwhile.
const ATTEMPTS: u64 = 4;

/// The key pack that a backup needs.
#[derive(Default)]
pub(super) struct Packed {
    pub(super) pack: Option<PackRef>,
    /// If there is a place for packs: what its newest one is of.
    pub(super) keys: Option<Keys>,
    pub(super) new: bool,
    pub(super) older: Older,
}

/// Makes a pack unless there is one that is of the keys and the ledger as they are now, or all begins anew, and removes older ones which neither
/// this target's newest whole backup nor the last one to another target needs.
pub(super) fn keep(
    unlocked: &Unlocked,
    backup: &Backup<'_>,
    (newest, whole): (Option<&Manifest>, Option<&Manifest>),
) -> Result<Packed, Error> {
    let named = newest.and_then(|newest| newest.pack);
    let Some(packs) = backup.packs else { return Ok(Packed { pack: named, ..Packed::default() }) };
    let _one = unlocked.packing.lock().unwrap_or_else(PoisonError::into_inner);
    let (place, key) = (packs, key_of(unlocked));
    let packs = Packs::at(place, &key)?;
    let least = named.map_or(0, |pack| pack.number);
    // Another target may keep its packs there as well: one of the keys and the ledger of now is good for all.
    let is_of_now = |end: &PackEnd| end.pack.number >= least && Keys::of(end) == Keys::now(unlocked);
    // From the beginning is for the recipients of now.
    let there = packs.newest().filter(|end| !backup.from_the_beginning && is_of_now(end));
    let (end, new, packs) = match there {
        Some(end) => (end, false, packs),
        None => {
            let end = write(unlocked, backup, &packs, packs.last().max(least).saturating_add(1))?;
            // With parts of those that were begun in vain.
            (end, true, Packs::at(place, &key)?)
        }
    };
    let older = packs.remove_older(&end, &needed(unlocked, backup, whole));
    Ok(Packed { pack: Some(end.pack), keys: Some(Keys::of(&end)), new, older })
}

/// Removes older packs that the backup before the one that is whole now needed; gives those that are there still.
pub(super) fn tidy(unlocked: &Unlocked, backup: &Backup<'_>, packed: Packed, whole: &Manifest) -> Older {
    let Some(packs) = backup.packs.filter(|_| !packed.older.needed.is_empty()) else { return packed.older };
    let _one = unlocked.packing.lock().unwrap_or_else(PoisonError::into_inner);
    // What cannot be read now is looked at by the next backup.
    match Packs::at(packs, &key_of(unlocked)).map(|packs| (packs.newest(), packs)) {
        Ok((Some(newest), packs)) => packs.remove_older(&newest, &needed(unlocked, backup, Some(whole))),
        _ => packed.older,
    }
}

/// The oldest data epochs of which this target's newest whole backup, the last one to each other target, and those under way
/// have something.
fn needed(unlocked: &Unlocked, backup: &Backup<'_>, whole: Option<&Manifest>) -> BTreeSet<u32> {
    let here = policy::kept_name(backup.target.name());
    let others = unlocked.policy.backups().into_iter().filter(|(target, _)| *target != here);
    let others = others.filter_map(|(_, remembered)| Some(remembered.made?.oldest_data_epoch));
    let whole = whole.map(|whole| whole.data_epochs.0);
    whole.into_iter().chain(others).chain(under_way::needed(unlocked)).collect()
}

/// Writes header, ledger and rows that fit each other: if the keys change meanwhile, all of them once more as the next number.
fn write(unlocked: &Unlocked, backup: &Backup<'_>, packs: &Packs<'_>, first: u64) -> Result<PackEnd, Error> {
    for attempt in 0..ATTEMPTS {
        let (number, keys) = (first.saturating_add(attempt), Keys::now(unlocked));
        let parts = write_parts(unlocked, backup, packs, (number, keys))?;
        if Keys::now(unlocked) == keys {
            let Keys { generation: header_generation, data_epochs, erasures } = keys;
            let end = PackEnd { pack: PackRef { number, header_generation, erasures }, data_epochs, parts };
            packs.put(&PackEnd::name_of(number), end.sign(&key_of(unlocked), &seed_of(unlocked)).as_bytes())?;
            return Ok(end);
        }
    }
    Err(Error::RotationUnderWay)
}

/// Gives their number. Without its end a pack counts as none.
fn write_parts(
    unlocked: &Unlocked,
    backup: &Backup<'_>,
    packs: &Packs<'_>,
    (number, keys): (u64, Keys),
) -> Result<u32, Error> {
    let header = unlocked.header.lock().unwrap_or_else(PoisonError::into_inner).bytes.clone();
    let ledger = ErasureLedger::seal(unlocked, &unlocked.policy.erasures())?;
    let mut front = Some(PackFront { header_generation: keys.generation, erasures: keys.erasures, header });
    let (mut ledger, mut secrets) = (ledger.as_bytes(), Secrets::new(unlocked));
    let (seed, id) = (seed_of(unlocked), random::array()?);
    let mut next = secrets.next()?;
    for part in 0_u32.. {
        let (begin, rest) = ledger.split_at(ledger.len().min(PART_BYTES));
        ledger = rest;
        let (mut rows, mut bytes): (Vec<SecretRow>, usize) = (Vec::new(), begin.len());
        while bytes < PART_BYTES
            && let Some(row) = next
        {
            bytes = bytes.saturating_add(row.0.len()).saturating_add(row.1.len());
            rows.push(row);
            next = secrets.next()?;
        }
        let last = ledger.is_empty() && next.is_none();
        let (vault, front, ledger) = (unlocked.vault, front.take(), begin.to_vec());
        let written = PackPart { vault, number, id, part, last, front, ledger, rows };
        let too_long = |_| BackupFault::Pack { number, what: "a row of it is too long" };
        let sealed = seal::seal(&backup.recipients, written.sign(&seed).map_err(too_long)?)?;
        packs.put(&PackPart::name_of(number, part), &sealed)?;
        if last {
            return Ok(part.saturating_add(1));
        }
    }
    Err(BackupFault::Pack { number, what: "it has more parts than it can have" }.into())
}

/// The rows of all patients' secrets, some at a time.
struct Secrets<'u> {
    unlocked: &'u Unlocked,
    read: std::vec::IntoIter<SecretRow>,
    /// The key of the last one; nothing before the first.
    last: Option<Vec<u8>>,
    is_at_end: bool,
}

impl<'u> Secrets<'u> {
    fn new(unlocked: &'u Unlocked) -> Self {
        Self { unlocked, read: Vec::new().into_iter(), last: None, is_at_end: false }
    }

    fn next(&mut self) -> Result<Option<SecretRow>, Error> {
        const CHUNK: usize = 4_096;
        if self.read.len() == 0 && !self.is_at_end {
            let scan = Scan { prefix: &[], after: self.last.as_deref(), limit: CHUNK };
            let some = self.unlocked.committer.scan(Tree::Patients, scan)?;
            self.is_at_end = some.len() < CHUNK;
            let some: Vec<SecretRow> = some.into_iter().map(|(key, value)| (key, value.to_vec())).collect();
            self.last = some.last().map(|(key, _)| key.clone()).or_else(|| self.last.take());
            self.read = some.into_iter();
        }
        Ok(self.read.next())
    }
}
