//! Which records are opened: some at random, and one of every kind.

use std::collections::BTreeSet;

use crate::crypto::random;
use crate::error::Error;
use crate::format::keys::{PatientKey, RecordKey, Tree, kind_prefix};
use crate::ids::KindId;
use crate::storage::Scan;
use crate::unlocked::Unlocked;

/// Keys read at once.
const PAGE: usize = 1_000;

/// The places of records.
pub(super) type Places = BTreeSet<[u8; RecordKey::LEN]>;

/// So many records chosen at random, and one of every kind that has any.
pub(super) fn choose(copy: &Unlocked, records: u64) -> Result<Places, Error> {
    let mut places = Places::new();
    let wanted = usize::try_from(records).unwrap_or(usize::MAX);
    // Where there are few records, or few patients, the same ones are met again and again.
    let tries = records.saturating_mul(2);
    for _ in 0..tries {
        if places.len() >= wanted {
            break;
        }
        places.extend(one(copy)?);
    }
    sweep(copy, wanted, &mut places)?;
    one_of_every_kind(copy, &mut places)?;
    Ok(places)
}

/// One version of a record. Patients and kinds have tags that are spread evenly, so a random place is followed by a random
/// patient and kind; which record of them, and which version, is chosen by its number.
fn one(copy: &Unlocked) -> Result<Option<[u8; RecordKey::LEN]>, Error> {
    let from: [u8; RecordKey::LEN] = random::array()?;
    let Some(newest) = behind(copy, &[], &from)? else { return Ok(None) };
    let prefix = kind_prefix(&newest.patient_tag, &newest.kind_tag);
    let number = RecordKey { number: up_to(newest.number)?, version: u32::MAX - 1, ..newest };
    let Some(record) = behind(copy, &prefix, &number.to_bytes())?.filter(|found| found.number == number.number) else {
        return Ok(live(copy, newest));
    };
    let version = up_to(record.version.into())?;
    let key = RecordKey { version: u32::try_from(version).unwrap_or(record.version), ..record };
    let there = copy.committer.get(Tree::Records, &key.to_bytes())?.is_some();
    Ok(live(copy, if there { key } else { record }))
}

/// A number from 1 to the last one.
fn up_to(last: u64) -> Result<u64, Error> {
    let any = u64::from_be_bytes(random::array()?);
    Ok(any.checked_rem(last).unwrap_or(0).saturating_add(1))
}

/// The place behind this one, or the first of all.
fn behind(copy: &Unlocked, prefix: &[u8], after: &[u8]) -> Result<Option<RecordKey>, Error> {
    for after in [Some(after), None] {
        let found = copy.committer.scan_keys(Tree::Records, Scan { prefix, after, limit: 1 })?;
        if let Some(key) = found.first() {
            return Ok(RecordKey::from_bytes(key).ok());
        }
    }
    Ok(None)
}

/// The place, unless it is of a patient who was erased.
fn live(copy: &Unlocked, key: RecordKey) -> Option<[u8; RecordKey::LEN]> {
    copy.policy.erased(&key.patient_tag).is_none().then(|| key.to_bytes())
}

/// Fills up from the first record on.
fn sweep(copy: &Unlocked, wanted: usize, places: &mut Places) -> Result<(), Error> {
    let mut after: Option<Vec<u8>> = None;
    while places.len() < wanted {
        let scan = Scan { prefix: &[], after: after.as_deref(), limit: PAGE };
        let keys = copy.committer.scan_keys(Tree::Records, scan)?;
        let Some(last) = keys.last() else { break };
        after = Some(last.clone());
        for key in keys.iter().filter_map(|key| RecordKey::from_bytes(key).ok()) {
            if places.len() < wanted {
                places.extend(live(copy, key));
            }
        }
    }
    Ok(())
}

/// One of every kind that is not among them yet, of the first patient behind a random one who has any.
fn one_of_every_kind(copy: &Unlocked, places: &mut Places) -> Result<(), Error> {
    let keyring = copy.keyring();
    let mut missing: Vec<KindId> = copy.policy.kinds().into_iter().map(|kind| kind.id()).collect();
    for key in places.iter().filter_map(|key| RecordKey::from_bytes(key).ok()) {
        missing.retain(|kind| keyring.kind_tag(&key.patient_tag, *kind) != key.kind_tag);
    }
    let begin: [u8; PatientKey::LEN] = random::array()?;
    // From there to the end, and then from the first one to there.
    for (from, until) in [(Some(begin.to_vec()), None), (None, Some(begin.to_vec()))] {
        let mut after = from;
        while !missing.is_empty() {
            let scan = Scan { prefix: &[], after: after.as_deref(), limit: PAGE };
            let keys = copy.committer.scan_keys(Tree::Patients, scan)?;
            let Some(last) = keys.last() else { break };
            after = Some(last.clone());
            for key in keys.iter().filter_map(|key| PatientKey::from_bytes(key).ok()) {
                let tag = key.patient_tag;
                let mut left = Vec::new();
                for kind in std::mem::take(&mut missing) {
                    let prefix = kind_prefix(&tag, &keyring.kind_tag(&tag, kind));
                    let found =
                        copy.committer.scan_keys(Tree::Records, Scan { prefix: &prefix, after: None, limit: 1 })?;
                    let place = found.first().and_then(|key| RecordKey::from_bytes(key).ok());
                    match place.and_then(|key| live(copy, key)) {
                        Some(place) => drop(places.insert(place)),
                        None => left.push(kind),
                    }
                }
                missing = left;
                if missing.is_empty() {
                    break;
                }
            }
            if until.as_ref().is_some_and(|until| after.as_ref() >= Some(until)) {
                break;
            }
        }
    }
    Ok(())
}
