//! Counts records as their versions pass by in the order of keys: newest record of a kind first, newest version first.

use super::report::SalvagedRecords;
use crate::format::keys::RecordKey;
use crate::ids::{KindId, PatientId};
use crate::record::RecordRef;
use crate::storage::salvage::NAMED;

/// What is known of whose record it is.
type Name = Option<(PatientId, KindId)>;

/// A record whose versions pass by.
struct Passing {
    key: RecordKey,
    name: Name,
    /// Versions that open, and others.
    opened: u32,
    closed: u32,
    doubtful: bool,
    newest: u32,
}

#[derive(Default)]
pub(super) struct Tally {
    records: SalvagedRecords,
    passing: Option<Passing>,
}

impl Tally {
    /// The next version, and whether it opens.
    pub(super) fn version(&mut self, key: RecordKey, name: Name, opens: bool, doubtful: bool) {
        let same = |passing: &Passing| {
            let of = &passing.key;
            (of.patient_tag, of.kind_tag, of.number) == (key.patient_tag, key.kind_tag, key.number)
        };
        if !self.passing.as_ref().is_some_and(same) {
            self.pass(Some(&key));
            let (opened, closed, newest) = (0, 0, key.version);
            self.passing = Some(Passing { key, name, opened, closed, doubtful, newest });
        }
        if let Some(passing) = &mut self.passing {
            passing.name = passing.name.or(name);
            passing.doubtful |= doubtful;
            *(if opens { &mut passing.opened } else { &mut passing.closed }) += 1;
        }
    }

    pub(super) fn finish(mut self) -> SalvagedRecords {
        self.pass(None);
        self.records
    }

    /// Counts the record that has passed, and those that must have stood between it and the next one.
    fn pass(&mut self, next: Option<&RecordKey>) {
        let Some(Passing { key, name, opened, closed, doubtful, newest }) = self.passing.take() else { return };
        let record = |number| name.map(|(patient, kind)| RecordRef::new(patient, kind, number));
        if opened == 0 {
            self.lose(record(key.number));
        } else if closed > 0 || opened < newest {
            self.records.damaged += 1;
            if self.records.damaged_ids.len() < NAMED {
                self.records.damaged_ids.extend(record(key.number));
            }
        } else if doubtful {
            self.records.doubtful += 1;
        } else {
            self.records.whole += 1;
        }
        let chart = |key: &RecordKey| (key.patient_tag, key.kind_tag);
        let below = next.filter(|next| chart(next) == chart(&key)).map_or(0, |next| next.number);
        let missing = key.number.saturating_sub(below).saturating_sub(1);
        let named = u64::try_from(NAMED).unwrap_or(0).min(missing);
        (0..named).for_each(|at| self.lose(record(key.number - 1 - at)));
        self.records.lost += missing - named;
    }

    fn lose(&mut self, record: Option<RecordRef>) {
        self.records.lost += 1;
        if self.records.lost_ids.len() < NAMED {
            self.records.lost_ids.extend(record);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENT: PatientId = PatientId::from_bytes([1; 16]);
    const KIND: KindId = KindId::from_bytes([2; 16]);

    fn key(kind: u8, number: u64, version: u32) -> RecordKey {
        RecordKey { patient_tag: [1; 16], kind_tag: [kind; 8], number, version }
    }

    #[test]
    fn records_are_counted_by_what_is_left_of_them() {
        let mut tally = Tally::default();
        let name = Some((PATIENT, KIND));
        for (key, opens, doubtful) in [
            (key(1, 7, 2), true, false), // whole
            (key(1, 7, 1), true, false),
            (key(1, 6, 1), true, true),  // in doubt
            (key(1, 4, 3), true, false), // 5 lost; of 4 version 2 is
            (key(1, 4, 1), true, false),
            (key(1, 3, 1), false, true),  // lost, and so are 2 and 1
            (key(2, 1, 2), false, false), // its newest version does not open
            (key(2, 1, 1), true, false),
        ] {
            tally.version(key, name, opens, doubtful);
        }
        let record = |number| RecordRef::new(PATIENT, KIND, number);
        let expected = SalvagedRecords {
            whole: 1,
            doubtful: 1,
            damaged: 2,
            lost: 4,
            damaged_ids: vec![record(4), record(1)],
            lost_ids: vec![record(5), record(3), record(2), record(1)],
        };
        assert_eq!(tally.finish(), expected);
        assert_eq!(Tally::default().finish(), SalvagedRecords::default());
    }
}
