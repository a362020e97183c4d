//! What the records of a vault must be, by the ledger: acknowledged versions as they were written, and in their place
//! behind them what was under way.

use std::collections::{BTreeMap, BTreeSet};

use chartvault::RecordRef;

use crate::ledger::{Deed, End, Ledger};
use crate::value::value;

/// One version as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub value: Vec<u8>,
    pub voided: bool,
}

/// Where a version comes from: the operation, the part of its batch, the length; a void repeats what was there.
#[derive(Clone, Copy, Debug)]
enum Source {
    Written { op: u64, part: usize, len: usize },
    Void,
}

/// Records that are owed, and records that may be there.
pub struct Expected<'a> {
    seed: u64,
    ledger: &'a Ledger,
    owed: BTreeMap<RecordRef, BTreeMap<u32, Source>>,
    met: BTreeSet<RecordRef>,
    /// For each operation under way: which of its parts were found.
    under_way: BTreeMap<u64, BTreeSet<usize>>,
}

impl<'a> Expected<'a> {
    pub fn of(seed: u64, ledger: &'a Ledger) -> Self {
        let mut owed: BTreeMap<RecordRef, BTreeMap<u32, Source>> = BTreeMap::new();
        for (op, (deed, end)) in &ledger.ops {
            let End::Acknowledged(answer) = end else { continue };
            match deed {
                Deed::Put { lens, .. } => {
                    for ((part, len), record) in lens.iter().enumerate().zip(answer) {
                        let Ok(record) = record.parse() else { continue };
                        owed.entry(record).or_default().insert(1, Source::Written { op: *op, part, len: *len });
                    }
                }
                Deed::Amend { record, expected, len, .. } => {
                    let source = Source::Written { op: *op, part: 0, len: *len };
                    owed.entry(*record).or_default().insert(expected + 1, source);
                }
                Deed::Void { record, expected } => {
                    owed.entry(*record).or_default().insert(expected + 1, Source::Void);
                }
                _ => {}
            }
        }
        Self { seed, ledger, owed, met: BTreeSet::new(), under_way: BTreeMap::new() }
    }

    /// Every record that is owed, with its newest version.
    pub fn newest(&self) -> Vec<(RecordRef, u32)> {
        self.owed.iter().filter_map(|(record, owed)| Some((*record, *owed.last_key_value()?.0))).collect()
    }

    /// Takes in all versions of one record.
    pub fn meet(&mut self, record: RecordRef, kind: usize, found: &[Found]) -> Result<(), String> {
        self.met.insert(record);
        let newest = self.owed.get(&record).and_then(|owed| owed.last_key_value());
        if let Some((newest, _)) = newest
            && *newest as usize > found.len()
        {
            return Err(format!("{record}: version {newest} was acknowledged and is gone, {} are there", found.len()));
        }
        self.compare(record, kind, found)
    }

    /// Whether the versions that are there, the first ones, are right.
    pub fn compare(&mut self, record: RecordRef, kind: usize, found: &[Found]) -> Result<(), String> {
        let owed = self.owed.get(&record).cloned().unwrap_or_default();
        for (at, version) in found.iter().enumerate() {
            let number = at as u32 + 1;
            let before = at.checked_sub(1).and_then(|at| found.get(at));
            let right = match owed.get(&number) {
                Some(source) => self.is(*source, version, before),
                None => self.is_under_way(record, kind, number, version, before),
            };
            if !right {
                let owed = if owed.contains_key(&number) { "acknowledged" } else { "never begun" };
                return Err(format!(
                    "{record} version {number} ({owed}) has {} bytes, {:?}, that are not its own",
                    version.value.len(),
                    String::from_utf8_lossy(version.value.get(..20).unwrap_or(&version.value))
                ));
            }
        }
        Ok(())
    }

    fn is(&self, source: Source, found: &Found, before: Option<&Found>) -> bool {
        match source {
            Source::Written { op, part, len } => {
                !found.voided && found.value.len() == len && found.value == value(self.seed, op, part, len)
            }
            Source::Void => found.voided && before.is_some_and(|before| before.value == found.value),
        }
    }

    /// Whether something that nobody heard the end of wrote this.
    fn is_under_way(
        &mut self,
        record: RecordRef,
        kind: usize,
        number: u32,
        found: &Found,
        before: Option<&Found>,
    ) -> bool {
        let ledger = self.ledger;
        for (op, (deed, end)) in &ledger.ops {
            if !matches!(end, End::Open | End::Unknown) {
                continue;
            }
            let sources: Vec<Source> = match deed {
                Deed::Put { patient, kind: put, lens }
                    if *patient == record.patient() && *put == kind && number == 1 =>
                {
                    lens.iter().enumerate().map(|(part, len)| Source::Written { op: *op, part, len: *len }).collect()
                }
                Deed::Amend { record: amended, expected, len, .. } if *amended == record && expected + 1 == number => {
                    vec![Source::Written { op: *op, part: 0, len: *len }]
                }
                Deed::Void { record: voided, expected } if *voided == record && expected + 1 == number => {
                    vec![Source::Void]
                }
                _ => continue,
            };
            for (part, source) in sources.into_iter().enumerate() {
                let taken = self.under_way.get(op).is_some_and(|parts| parts.contains(&part));
                if !taken && self.is(source, found, before) {
                    self.under_way.entry(*op).or_default().insert(part);
                    return true;
                }
            }
        }
        false
    }

    /// Nothing that is owed may be left; nothing under way may be there by half.
    pub fn finish(self) -> Result<(), String> {
        if let Some(record) = self.owed.keys().find(|record| !self.met.contains(record)) {
            return Err(format!("{record} was acknowledged and is gone"));
        }
        for (op, parts) in &self.under_way {
            if let Some((Deed::Put { lens, .. }, _)) = self.ledger.ops.get(op)
                && parts.len() != lens.len()
            {
                return Err(format!(
                    "operation {op}: {} of {} records are there, half a batch",
                    parts.len(),
                    lens.len()
                ));
            }
        }
        Ok(())
    }
}
