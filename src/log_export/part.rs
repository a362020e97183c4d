//! An entry taken apart into what each line of a flat form can hold: one patient, at one time.

use crate::audit::{AuditEntry, AuditRecord, AuditSubject};
use crate::clock::Timestamp;

/// What an entry says of one patient: all of it, or one of several reads that share the entry. An entry about nobody is one
/// part.
pub(super) struct Part<'e> {
    /// Its number within the entry, from 0.
    pub(super) number: usize,
    pub(super) time: Timestamp,
    pub(super) subject: Option<&'e AuditSubject>,
    pub(super) records: &'e [AuditRecord],
}

pub(super) fn parts(entry: &AuditEntry) -> Vec<Part<'_>> {
    let time = entry.time;
    if entry.subjects.is_empty() {
        return vec![Part { number: 0, time, subject: None, records: &[] }];
    }
    if entry.reads.is_empty() {
        let all = entry.subjects.iter().enumerate();
        return all
            .map(|(number, subject)| Part { number, time, subject: Some(subject), records: &subject.records })
            .collect();
    }
    let mut taken = vec![0_usize; entry.subjects.len()];
    let part = |(number, read): (usize, &crate::audit::AuditRead)| {
        let subject = entry.subjects.get(read.subject);
        let from = taken.get(read.subject).copied().unwrap_or(0);
        let to = from.saturating_add(read.records);
        if let Some(taken) = taken.get_mut(read.subject) {
            *taken = to;
        }
        // Of a patient who was erased there are no records any more.
        let records = subject.and_then(|subject| subject.records.get(from..to)).unwrap_or(&[]);
        Part { number, time: read.time, subject, records }
    };
    entry.reads.iter().enumerate().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::EntryRef;
    use crate::audit::tests::kit;

    #[test]
    fn an_entry_that_several_reads_share_has_a_part_for_each_with_its_own_records() {
        let entries = kit::log(vec![kit::genesis(), kit::several_reads()]);
        let mut entry = kit::open(&EntryRef::parse(&entries[1]).unwrap()).unwrap();
        let who = |part: &Part<'_>| (part.number, part.time, part.subject.unwrap().patient.unwrap());
        let expected: Vec<_> = [1, 2, 1].map(kit::patient).into_iter().zip(&entry.reads).enumerate().collect();
        let found: Vec<_> = parts(&entry).iter().map(who).collect();
        assert_eq!(found, expected.iter().map(|(n, (patient, read))| (*n, read.time, *patient)).collect::<Vec<_>>());
        assert!(parts(&entry).iter().all(|part| part.records.len() == 1));
        entry.subjects[0] = AuditSubject { patient: None, counter: None, records: Vec::new() };
        assert_eq!(parts(&entry).iter().map(|part| part.records.len()).collect::<Vec<_>>(), [0, 1, 0]);
    }

    #[test]
    fn an_entry_about_nobody_is_one_part_and_any_other_one_for_each_patient() {
        let mut entry = kit::full_entry();
        assert_eq!(parts(&entry).iter().map(|part| part.records.len()).collect::<Vec<_>>(), [3]);
        entry.subjects.clear();
        assert!(matches!(&parts(&entry)[..], [Part { number: 0, subject: None, records: [], .. }]));
    }
}
