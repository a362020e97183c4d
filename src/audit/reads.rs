//! Reads of one caller that share an entry: it names what each of them read, and when.

use std::time::Duration;

use super::defect::EntryDefect;
use super::draft::Draft;
use super::entry::{MAX_PAYLOAD, entry_len};
use super::payload::{FIELD_HEAD, tag};
use super::subject::{AuditRecord, DraftSubject, MAX_RECORDS_PER_ENTRY, SubjectLen};
use crate::bytes::{Put, Reader, TooLong};
use crate::clock::Timestamp;

/// Reads under one entry.
pub(super) const MAX_READS: usize = 1_000;
/// Microseconds from the first to the last of them: the longest that a window may be (`ReadAudit`), and less than clocks may
/// differ by.
pub(crate) const MAX_SPAN: u32 = 60_000_000;
/// Bytes of one of them.
const READ_LEN: usize = 4 + 2 + 2;

/// One of several reads that share an entry. One that read records of several patients stands once for each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct AuditRead {
    /// When it was. The first was at the entry's time, or at [`clock`](super::AuditEntry::clock) where that is there.
    pub time: Timestamp,
    /// Whose records it read: the place in [`AuditEntry::subjects`](super::AuditEntry::subjects), from 0.
    pub subject: usize,
    /// How many records: those of the subject that follow what the reads before it took.
    pub records: usize,
}

/// An [`AuditRead`] as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReadMark {
    /// Microseconds after the first of them.
    after: u32,
    subject: u16,
    records: u16,
}

impl ReadMark {
    fn of(after: u32, subject: usize, records: &[AuditRecord]) -> Option<Self> {
        let (subject, records) = (u16::try_from(subject).ok()?, u16::try_from(records.len()).ok()?);
        Some(Self { after, subject, records })
    }

    /// Where the first of them was at this time.
    pub(super) fn shown(self, first: Timestamp) -> AuditRead {
        let time = first.saturating_add(Duration::from_micros(self.after.into()));
        AuditRead { time, subject: self.subject.into(), records: self.records.into() }
    }
}

pub(super) fn put(reads: &[ReadMark], out: &mut impl Put) -> Result<(), TooLong> {
    if reads.is_empty() {
        return Ok(());
    }
    out.put_u16(tag::READS);
    out.put_u16(u16::try_from(reads.len().saturating_mul(READ_LEN)).map_err(|_| TooLong)?);
    for read in reads {
        out.put_u32(read.after);
        out.put_u16(read.subject);
        out.put_u16(read.records);
    }
    Ok(())
}

/// The list of an entry with so many subjects.
pub(super) fn parse(value: &[u8], subjects: usize) -> Result<Vec<ReadMark>, EntryDefect> {
    let wrong = EntryDefect::FieldValue(tag::READS);
    let count = value.len() / READ_LEN;
    if !value.len().is_multiple_of(READ_LEN) || !(2..=MAX_READS).contains(&count) {
        return Err(wrong);
    }
    let mut reader = Reader::new(value);
    let mut reads = Vec::with_capacity(count);
    for _ in 0..count {
        let (after, subject, records) = (reader.u32()?, reader.u16()?, reader.u16()?);
        let earliest = reads.last().map_or(0, |last: &ReadMark| last.after);
        let latest = if reads.is_empty() { 0 } else { MAX_SPAN };
        if usize::from(subject) >= subjects || after < earliest || after > latest {
            return Err(wrong);
        }
        reads.push(ReadMark { after, subject, records });
    }
    let names = |subject| reads.iter().any(|read| usize::from(read.subject) == subject);
    if (0..subjects).all(names) { Ok(reads) } else { Err(wrong) }
}

/// Whether a list says of the subject at this place that so many of its records were read.
pub(super) fn adds_up(reads: &[ReadMark], subject: usize, records: usize) -> bool {
    let of = reads.iter().filter(|read| usize::from(read.subject) == subject);
    reads.is_empty() || of.map(|read| usize::from(read.records)).sum::<usize>() == records
}

/// An entry that takes in reads, as long as it waits: those that differ in nothing but when, whose and which records.
pub(crate) struct Reads {
    draft: Draft,
    time: Timestamp,
    subjects: Vec<SubjectLen>,
    calls: usize,
    records: usize,
    /// Bytes of the payload.
    len: usize,
}

impl Reads {
    /// Whether a read makes one entry: not if it read too much for that.
    pub(crate) fn can_hold(draft: &Draft) -> bool {
        draft.check(Self::len_of(draft)).is_ok()
    }

    /// Bytes of the payload, with what it takes of the list as soon as there is a second one.
    fn len_of(draft: &Draft) -> usize {
        draft.payload_len() + FIELD_HEAD + draft.subjects.len() * READ_LEN
    }

    /// With the first of them.
    pub(crate) fn of(mut draft: Draft, now: Timestamp) -> Self {
        let len = Self::len_of(&draft);
        let subjects = draft.subjects.iter().map(|subject| SubjectLen::of(&subject.records)).collect();
        draft.reads =
            (0..).zip(&draft.subjects).filter_map(|(at, subject)| ReadMark::of(0, at, &subject.records)).collect();
        Self { calls: 1, records: draft.records(), time: now, subjects, len, draft }
    }

    pub(crate) const fn time(&self) -> Timestamp {
        self.time
    }

    /// Bytes of the entry, at most.
    pub(crate) const fn entry_len(&self) -> usize {
        entry_len(self.len)
    }

    /// Patients.
    pub(crate) const fn subjects(&self) -> usize {
        self.subjects.len()
    }

    /// Takes another read in; gives it back if it has to have an entry of its own.
    pub(crate) fn add(&mut self, draft: Draft, now: Timestamp) -> Option<Draft> {
        let Some(after) = self.takes(&draft, now) else { return Some(draft) };
        self.calls += 1;
        self.records += draft.records();
        for subject in draft.subjects {
            let at = self.place(&subject).unwrap_or(self.subjects.len());
            self.draft.reads.extend(ReadMark::of(after, at, &subject.records));
            self.len += READ_LEN;
            match (self.draft.subjects.get_mut(at), self.subjects.get_mut(at)) {
                (Some(held), Some(len)) => {
                    self.len -= len.in_entry();
                    len.add(&held.records, &subject.records);
                    self.len += len.in_entry();
                    held.records.extend(subject.records);
                }
                _ => {
                    let len = SubjectLen::of(&subject.records);
                    self.len += len.in_entry();
                    self.subjects.push(len);
                    self.draft.subjects.push(subject);
                }
            }
        }
        None
    }

    /// How long after the first it was; nothing if it cannot be taken in.
    fn takes(&self, draft: &Draft, now: Timestamp) -> Option<u32> {
        let after = u32::try_from(now.as_micros().checked_sub(self.time.as_micros())?).ok()?;
        if after > MAX_SPAN {
            return None;
        }
        let alone = |subject: &DraftSubject| SubjectLen::of(&subject.records).in_entry() + READ_LEN;
        let new: usize = draft.subjects.iter().map(alone).sum();
        // Padding takes at most an eighth: of what is added, and of what it is added to.
        let fits = self.len + self.len / 8 + new + new / 8 <= MAX_PAYLOAD
            && self.records + draft.records() <= MAX_RECORDS_PER_ENTRY
            && self.draft.reads.len() + draft.subjects.len() <= MAX_READS;
        let follows = self.draft.reads.last().is_some_and(|last| last.after <= after);
        let same_keys = |subject: &DraftSubject| {
            let held = self.place(subject).and_then(|at| self.draft.subjects.get(at));
            held.is_none_or(|held| held.generation == subject.generation)
        };
        let like = !draft.subjects.is_empty()
            && draft.fields.count.is_none()
            && draft.fields.detail.is_none()
            && draft.fields.consent.is_empty()
            && draft.kind == self.draft.kind
            && draft.fields == self.draft.fields;
        (fits && follows && like && draft.subjects.iter().all(same_keys)).then_some(after)
    }

    fn place(&self, subject: &DraftSubject) -> Option<usize> {
        self.draft.subjects.iter().position(|held| held.patient_tag == subject.patient_tag)
    }

    /// The entry. One read needs no list.
    pub(crate) fn into_draft(mut self) -> Draft {
        if self.calls == 1 {
            self.draft.reads.clear();
        }
        self.draft
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::audit::entry::EntryRef;
    use crate::audit::tests::kit;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(kit::START + 1_000_000 + micros)
    }

    fn draft(patients: &[(u8, usize)]) -> Draft {
        let mut draft = kit::read(1);
        let records = |n: usize| (0..).take(n).map(|number| kit::record(1 + (number / 2 % 7) as u8, number)).collect();
        draft.subjects = patients.iter().map(|(patient, n)| kit::subject(*patient, records(*n))).collect();
        draft
    }

    fn entry_of(reads: Reads) -> (usize, super::super::AuditEntry) {
        let entries = kit::log(vec![kit::genesis(), reads.into_draft()]);
        (entries[1].len(), kit::open(&EntryRef::parse(&entries[1]).unwrap()).unwrap())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn an_entry_of_several_reads_says_what_each_of_them_read_and_is_no_longer_than_foreseen(
            reads in proptest::collection::vec((0i64..1000, 1u8..5, 0usize..4), 1..20),
        ) {
            let (mut time, mut held) = (0, None::<Reads>);
            let mut meant = Vec::new();
            for (step, patient, records) in &reads {
                time += step;
                let new = draft(&[(*patient, *records)]);
                held = Some(match held {
                    None => Reads::of(new, at(time)),
                    Some(mut held) => {
                        prop_assert!(held.add(new, at(time)).is_none());
                        held
                    }
                });
                meant.push((at(time), *patient, *records));
            }
            let held = held.unwrap();
            prop_assert_eq!(held.time(), at(reads[0].0));
            let foreseen = held.entry_len();
            let (len, entry) = entry_of(held);
            prop_assert!(len <= foreseen, "{} bytes instead of {}", len, foreseen);
            let total: usize = entry.subjects.iter().map(|subject| subject.records.len()).sum();
            prop_assert_eq!(total, meant.iter().map(|(.., records)| records).sum::<usize>());
            if meant.len() == 1 {
                prop_assert!(entry.reads.is_empty());
            } else {
                // The log's own clock stands at the entry.
                let after = |time: Timestamp, first: Timestamp| time.as_micros() - first.as_micros();
                let said = entry.reads.iter().map(|read| {
                    let patient = entry.subjects[read.subject].patient.unwrap().as_bytes()[0];
                    (after(read.time, entry.time), patient, read.records)
                });
                let meant = meant.iter().map(|(time, patient, n)| (after(*time, meant[0].0), *patient, *n));
                prop_assert_eq!(said.collect::<Vec<_>>(), meant.collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn what_differs_in_more_than_when_whose_and_which_records_has_an_entry_of_its_own() {
        let one = || draft(&[(1, 1)]);
        let held = || Reads::of(one(), at(5));
        let joins = |draft: Draft, time: i64| held().add(draft, at(time)).is_none();
        assert!(joins(one(), 5) && joins(draft(&[(2, 1), (1, 3)]), 6));
        assert!(!joins(one(), 4), "before the first");
        let span = i64::from(MAX_SPAN);
        assert!(joins(one(), 5 + span) && !joins(one(), 6 + span), "too long after it");
        let other = |change: fn(&mut Draft)| {
            let mut draft = one();
            change(&mut draft);
            draft
        };
        assert!(!joins(other(|draft| draft.fields.session = Some(crate::ids::SessionId::from_bytes([9; 16]))), 6));
        assert!(!joins(other(|draft| draft.fields.request_id = Some("7".into())), 6));
        assert!(!joins(other(|draft| draft.fields.detail = Some("2 withheld".into())), 6));
        assert!(!joins(other(|draft| draft.fields.count = Some(1)), 6));
        assert!(!joins(other(|draft| draft.subjects[0].generation = 2), 6), "another key of the patient");
        assert!(!joins(draft(&[]), 6), "nobody to name it by");
        let with_detail = || other(|draft| draft.fields.detail = Some("2 withheld".into()));
        let mut held = Reads::of(with_detail(), at(5));
        assert!(held.add(with_detail(), at(6)).is_some(), "whose detail is it?");
        let mut nobody = Reads::of(draft(&[]), at(5));
        assert!(nobody.add(one(), at(6)).is_some());
    }

    #[test]
    fn an_entry_takes_in_no_more_than_it_holds() {
        for patients in [1u8, 250] {
            let mut held = Reads::of(draft(&[(1, 1)]), at(0));
            let mut reads = 1usize;
            while held.add(draft(&[(1 + (reads % usize::from(patients)) as u8, 1)]), at(reads as i64)).is_none() {
                reads += 1;
            }
            assert!(reads == MAX_RECORDS_PER_ENTRY || patients > 1, "{reads} reads of one patient");
            assert!(reads > 200, "{reads} reads");
            let (_, entry) = entry_of(held);
            assert_eq!(entry.reads.len(), reads);
        }
        let too_many = draft(&[(1, MAX_RECORDS_PER_ENTRY + 1)]);
        assert!(!Reads::can_hold(&too_many) && Reads::can_hold(&draft(&[(1, MAX_RECORDS_PER_ENTRY)])));
    }

    #[test]
    fn a_list_that_is_not_canonical_is_refused() {
        let mark = |after: u32, subject: u16| [&after.to_be_bytes()[..], &subject.to_be_bytes(), &[0, 1]].concat();
        let list = |marks: &[Vec<u8>]| parse(&marks.concat(), 2);
        assert!(list(&[mark(0, 0), mark(0, 1), mark(7, 0)]).is_ok());
        assert!(list(&[mark(0, 0), mark(7, 1), mark(7, 2)]).is_err(), "no such subject");
        assert!(list(&[mark(0, 0), mark(7, 0)]).is_err(), "a subject that nobody read");
        assert!(list(&[mark(0, 0), mark(8, 1), mark(7, 0)]).is_err(), "not in order");
        assert!(list(&[mark(1, 0), mark(7, 1)]).is_err(), "the first is at the entry's time");
        assert!(list(&[mark(0, 0), mark(MAX_SPAN, 1)]).is_ok());
        assert!(list(&[mark(0, 0), mark(MAX_SPAN + 1, 1)]).is_err(), "no window is that long");
        assert!(list(&[mark(0, 0)]).is_err(), "one read needs no list");
        assert!(list(&[]).is_err());
        assert!(list(&[mark(0, 0), mark(7, 1), vec![0]]).is_err());
        let many = |n: usize| list(&(0..n).map(|at| mark(0, (at % 2) as u16)).collect::<Vec<_>>());
        assert!(many(MAX_READS).is_ok() && many(MAX_READS + 1).is_err());
    }
}
