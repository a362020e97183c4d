//! What keeps a chart, or single records of it, from being erased: a date until which it has to be kept, and legal holds.
//! One row a chart (docs/format/policy.md, table 32), read when it is asked for and not held in memory.

use std::collections::BTreeMap;

use super::row::BadRow;
use crate::bytes::{Put, Reader};
use crate::clock::Timestamp;
use crate::ids::{KindId, PatientId, PrincipalId};
use crate::record::{RecordId, RecordRef};

/// Bytes of the reason of a hold, or of a change of a retention.
pub(crate) const MAX_HOLD_REASON: usize = 256;
/// Records of one chart that can have terms of their own.
pub(crate) const MAX_RETAINED: usize = 1_000;

const UNTIL: u8 = 1;
const HOLD: u8 = 2;

/// What is to be retained or held: a whole chart, or one record of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetentionOf {
    /// All of a patient's chart.
    Chart(PatientId),
    /// One record; the chart that it is part of cannot be erased either as long as it has to be kept.
    Record(RecordRef),
}

impl RetentionOf {
    /// Whose chart it is.
    #[must_use]
    pub const fn patient(self) -> PatientId {
        match self {
            Self::Chart(patient) => patient,
            Self::Record(record) => record.patient(),
        }
    }
}

impl From<PatientId> for RetentionOf {
    fn from(patient: PatientId) -> Self {
        Self::Chart(patient)
    }
}

impl From<RecordRef> for RetentionOf {
    fn from(record: RecordRef) -> Self {
        Self::Record(record)
    }
}

impl<T: crate::record::Record> From<RecordId<T>> for RetentionOf {
    fn from(id: RecordId<T>) -> Self {
        Self::Record(id.into())
    }
}

/// How long something has to be kept. Nothing of it: it can be erased.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// It is not to be erased before this.
    pub retain_until: Option<Timestamp>,
    /// It is not to be erased until this is lifted.
    pub legal_hold: Option<LegalHold>,
}

/// An order to keep something, until it is lifted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LegalHold {
    /// When it was placed.
    pub since: Timestamp,
    /// By whom.
    pub by: PrincipalId,
    /// Why, 1 to 256 bytes.
    pub reason: String,
}

impl Retention {
    const fn is_empty(&self) -> bool {
        self.retain_until.is_none() && self.legal_hold.is_none()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let flag = |there: bool, bit: u8| if there { bit } else { 0 };
        out.put_u8(flag(self.retain_until.is_some(), UNTIL) | flag(self.legal_hold.is_some(), HOLD));
        if let Some(until) = self.retain_until {
            out.put_i64(until.as_micros());
        }
        if let Some(hold) = &self.legal_hold {
            out.put_i64(hold.since.as_micros());
            out.put(hold.by.as_bytes());
            // Never more than MAX_HOLD_REASON, which fits.
            out.put_u16(u16::try_from(hold.reason.len()).unwrap_or(u16::MAX));
            out.put(hold.reason.as_bytes());
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, BadRow> {
        let flags = reader.u8()?;
        if flags & !(UNTIL | HOLD) != 0 {
            return Err(BadRow);
        }
        let mut terms = Self::default();
        if flags & UNTIL != 0 {
            terms.retain_until = Some(Timestamp::from_micros(reader.i64()?));
        }
        if flags & HOLD != 0 {
            let (since, by) = (Timestamp::from_micros(reader.i64()?), PrincipalId::from_bytes(reader.array()?));
            let reason = std::str::from_utf8(reader.len16()?).map_err(|_| BadRow)?.to_owned();
            if !(1..=MAX_HOLD_REASON).contains(&reason.len()) {
                return Err(BadRow);
            }
            terms.legal_hold = Some(LegalHold { since, by, reason });
        }
        Ok(terms)
    }
}

/// All that keeps a chart: a policy row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RetentionRow {
    pub(crate) patient_tag: [u8; 16],
    pub(crate) chart: Retention,
    /// By kind and number; none of them empty.
    pub(crate) records: BTreeMap<(KindId, u64), Retention>,
}

impl RetentionRow {
    pub(crate) const fn none(patient_tag: [u8; 16]) -> Self {
        let chart = Retention { retain_until: None, legal_hold: None };
        Self { patient_tag, chart, records: BTreeMap::new() }
    }

    /// Whether nothing keeps the chart.
    pub(crate) fn is_empty(&self) -> bool {
        self.chart.is_empty() && self.records.is_empty()
    }

    /// Changes the terms of the chart or of a record.
    pub(crate) fn change(&mut self, of: RetentionOf, change: impl FnOnce(&mut Retention)) {
        match of {
            RetentionOf::Chart(_) => change(&mut self.chart),
            RetentionOf::Record(record) => {
                let place = (record.kind(), record.number());
                let terms = self.records.entry(place).or_default();
                change(terms);
                if terms.is_empty() {
                    self.records.remove(&place);
                }
            }
        }
    }

    /// The terms of the chart, then those of its records.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Option<(KindId, u64)>, &Retention)> {
        [(None, &self.chart)].into_iter().chain(self.records.iter().map(|(place, terms)| (Some(*place), terms)))
    }

    /// Behind the number of the table.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.put(&self.patient_tag);
        self.chart.encode(out);
        // Never more than MAX_RETAINED, which fits.
        out.put_u16(u16::try_from(self.records.len()).unwrap_or(u16::MAX));
        for ((kind, number), terms) in &self.records {
            out.put(kind.as_bytes());
            out.put_u64(*number);
            terms.encode(out);
        }
    }

    pub(super) fn decode(mut reader: Reader<'_>) -> Result<Self, BadRow> {
        let mut row = Self::none(reader.array()?);
        row.chart = Retention::decode(&mut reader)?;
        let count = reader.u16()?;
        if usize::from(count) > MAX_RETAINED {
            return Err(BadRow);
        }
        for _ in 0..count {
            let place = (KindId::from_bytes(reader.array()?), reader.u64()?);
            let terms = Retention::decode(&mut reader)?;
            let ascends = row.records.last_key_value().is_none_or(|(before, _)| *before < place);
            if place.1 == 0 || terms.is_empty() || !ascends {
                return Err(BadRow);
            }
            row.records.insert(place, terms);
        }
        reader.finish()?;
        if row.is_empty() { Err(BadRow) } else { Ok(row) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::PolicyRow;
    use super::*;
    use crate::format::worked;
    use proptest::prelude::*;

    const PAGE: &str = include_str!("../../docs/format/policy.md");

    fn any_terms() -> impl Strategy<Value = Retention> {
        let hold = (any::<i64>(), any::<[u8; 16]>(), "[a-zé ]{1,40}").prop_map(|(since, by, reason)| LegalHold {
            since: Timestamp::from_micros(since),
            by: PrincipalId::from_bytes(by),
            reason,
        });
        (proptest::option::of(any::<i64>()), proptest::option::of(hold))
            .prop_map(|(until, legal_hold)| Retention { retain_until: until.map(Timestamp::from_micros), legal_hold })
    }

    fn documented() -> RetentionRow {
        let mut row = RetentionRow::none([0xD4; 16]);
        row.chart.retain_until = Some("2036-01-05T12:00:00Z".parse().unwrap());
        let record = RecordRef::new(PatientId::FACILITY, crate::record::Kind::new("allergy").unwrap().id(), 3);
        row.change(record.into(), |terms| {
            terms.legal_hold = Some(LegalHold {
                since: "2026-01-05T12:00:00Z".parse().unwrap(),
                by: crate::crypto::kdf::principal_id("dr.osei"),
                reason: "case 17".into(),
            });
        });
        row
    }

    #[test]
    fn the_worked_example_holds_and_whatever_was_cut_prolonged_or_flipped_is_refused_or_another_row() {
        let row = PolicyRow::Retention(documented());
        let bytes = row.to_bytes();
        assert_eq!(bytes, worked::bytes(PAGE, "retention_row"));
        assert_eq!(PolicyRow::parse(&bytes), Ok(row.clone()));
        for len in 0..bytes.len() {
            assert_eq!(PolicyRow::parse(&bytes[..len]), Err(BadRow), "{len}");
        }
        assert_eq!(PolicyRow::parse(&[&bytes[..], &[0]].concat()), Err(BadRow));
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(PolicyRow::parse(&bad).as_ref(), Ok(&row), "bit {bit}");
        }
    }

    #[test]
    fn a_row_that_keeps_nothing_is_refused_and_a_record_whose_terms_go_leaves_no_trace() {
        let mut row = RetentionRow::none([1; 16]);
        assert_eq!(PolicyRow::parse(&PolicyRow::Retention(row.clone()).to_bytes()), Err(BadRow));
        let record = RecordRef::new(PatientId::FACILITY, KindId::from_bytes([2; 16]), 1);
        row.change(record.into(), |terms| terms.retain_until = Some(Timestamp::from_micros(1)));
        assert!(!row.is_empty());
        row.change(record.into(), |terms| terms.retain_until = None);
        assert!(row.is_empty());
    }

    proptest! {
        #[test]
        fn retentions_come_back(
            tag: [u8; 16],
            chart in any_terms(),
            records in proptest::collection::btree_map((any::<[u8; 16]>(), 1u64..), any_terms(), 0..5),
        ) {
            let records = records.into_iter().map(|((kind, number), terms)| ((KindId::from_bytes(kind), number), terms));
            let records = records.filter(|(_, terms)| !terms.is_empty()).collect();
            let row = RetentionRow { patient_tag: tag, chart, records };
            prop_assume!(!row.is_empty());
            let row = PolicyRow::Retention(row);
            prop_assert_eq!(PolicyRow::parse(&row.to_bytes()), Ok(row));
        }

        #[test]
        fn what_parses_is_what_would_be_written(rest in proptest::collection::vec(0u8..4, 0..80)) {
            let bytes = [&[32][..], &rest].concat();
            if let Ok(row) = PolicyRow::parse(&bytes) {
                prop_assert_eq!(row.to_bytes(), bytes);
            }
        }
    }
}
