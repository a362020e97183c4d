//! Makes key packs, and removes those that they replace.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use super::packs::{Older, Packs};
use super::{Backup, key_of, seed_of};
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

/// How often the rows are read again because the keys changed meanwhile.
const ATTEMPTS: u32 = 4;

/// The keys and the ledger of a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Keys {
    /// Of the header in force.
    pub(super) generation: u64,
    /// The oldest and the newest data epoch of which there is a key.
    pub(super) data_epochs: (u32, u32),
    /// Entries of the ledger.
    pub(super) erasures: u64,
}

impl Keys {
    pub(super) fn now(unlocked: &Unlocked) -> Self {
        // Whoever changes the header puts its keys in force a moment later.
        let _changing = unlocked.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = unlocked.header.lock().unwrap_or_else(PoisonError::into_inner).generation;
        let epochs = unlocked.keyring().data_epochs();
        let data_epochs = (epochs.first().copied().unwrap_or(0), epochs.last().copied().unwrap_or(0));
        let erasures = u64::try_from(unlocked.policy.erasures().len()).unwrap_or(u64::MAX);
        Self { generation, data_epochs, erasures }
    }

    const fn of(end: &PackEnd) -> Self {
        let PackRef { header_generation, erasures, .. } = end.pack;
        Self { generation: header_generation, data_epochs: end.data_epochs, erasures }
    }
}

/// The key pack that a backup needs.
#[derive(Default)]
pub(super) struct Packed {
    pub(super) pack: Option<PackRef>,
    /// If there is a place for packs: what its newest one is of.
    pub(super) keys: Option<Keys>,
    pub(super) new: bool,
    pub(super) older: Older,
}

/// Makes a pack unless there is one that is of the keys and the ledger as they are now, and removes older ones which neither
/// this target's newest whole backup nor the last one to another target needs.
pub(super) fn keep(
    unlocked: &Unlocked,
    backup: &Backup<'_>,
    (newest, whole): (Option<&Manifest>, Option<&Manifest>),
) -> Result<Packed, Error> {
    let named = newest.and_then(|newest| newest.pack);
    let Some(packs) = backup.packs else { return Ok(Packed { pack: named, ..Packed::default() }) };
    let _one = unlocked.packing.lock().unwrap_or_else(PoisonError::into_inner);
    let packs = Packs::at(packs, &key_of(unlocked))?;
    let least = named.map_or(0, |pack| pack.number);
    // Another target may keep its packs there as well: one of the keys and the ledger of now is good for all.
    let there = packs.newest().filter(|end| end.pack.number >= least && Keys::of(end) == Keys::now(unlocked));
    let (end, new) = match there {
        Some(end) => (end, false),
        None => (write(unlocked, backup, &packs, packs.last().max(least).saturating_add(1))?, true),
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

/// The oldest data epochs of which this target's newest whole backup, and the last one to each other target, have something.
fn needed(unlocked: &Unlocked, backup: &Backup<'_>, whole: Option<&Manifest>) -> BTreeSet<u32> {
    let here = policy::kept_name(backup.target.name());
    let others = unlocked.policy.backups().into_iter().filter(|(target, _)| *target != here);
    let others = others.filter_map(|(_, remembered)| Some(remembered.made?.oldest_data_epoch));
    whole.map(|whole| whole.data_epochs.0).into_iter().chain(others).collect()
}

fn write(unlocked: &Unlocked, backup: &Backup<'_>, packs: &Packs<'_>, number: u64) -> Result<PackEnd, Error> {
    let Gathered { keys, header, ledger, rows } = gather(unlocked)?;
    let Keys { generation: header_generation, data_epochs, erasures } = keys;
    let (seed, id) = (seed_of(unlocked), random::array()?);
    let mut front = Some(PackFront { header_generation, erasures, header });
    let (mut ledger, mut rows) = (ledger.as_bytes(), rows.into_iter().peekable());
    for part in 0_u32.. {
        let (begin, rest) = ledger.split_at(ledger.len().min(PART_BYTES));
        ledger = rest;
        let (mut some, mut bytes): (Vec<SecretRow>, usize) = (Vec::new(), begin.len());
        while bytes < PART_BYTES
            && let Some(row) = rows.next()
        {
            bytes = bytes.saturating_add(row.0.len()).saturating_add(row.1.len());
            some.push(row);
        }
        let last = ledger.is_empty() && rows.peek().is_none();
        let (vault, front, ledger) = (unlocked.vault, front.take(), begin.to_vec());
        let part = PackPart { vault, number, id, part, last, front, ledger, rows: some };
        let too_long = |_| BackupFault::Pack { number, what: "a row of it is too long" };
        let sealed = seal::seal(&backup.recipients, part.sign(&seed).map_err(too_long)?)?;
        packs.put(&PackPart::name_of(number, part.part), &sealed)?;
        if last {
            let pack = PackRef { number, header_generation, erasures };
            let end = PackEnd { pack, data_epochs, parts: part.part.saturating_add(1) };
            packs.put(&PackEnd::name_of(number), end.sign(&key_of(unlocked), &seed).as_bytes())?;
            return Ok(end);
        }
    }
    Err(BackupFault::Pack { number, what: "it has more parts than it can have" }.into())
}

/// What a pack is made of.
struct Gathered {
    keys: Keys,
    header: Vec<u8>,
    ledger: ErasureLedger,
    rows: Vec<SecretRow>,
}

/// Header, ledger and rows that fit each other: if a new header came in force meanwhile, all of them once more.
fn gather(unlocked: &Unlocked) -> Result<Gathered, Error> {
    for _ in 0..ATTEMPTS {
        let keys = Keys::now(unlocked);
        let header = unlocked.header.lock().unwrap_or_else(PoisonError::into_inner).bytes.clone();
        let ledger = ErasureLedger::seal(unlocked, &unlocked.policy.erasures())?;
        let rows = secrets(unlocked)?;
        if Keys::now(unlocked) == keys {
            return Ok(Gathered { keys, header, ledger, rows });
        }
    }
    Err(Error::RotationUnderWay)
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
