//! What keeps a chart from being erased, as it is stored.

use super::{Chart, Unlocked};
use crate::clock::Timestamp;
use crate::committer::Row;
use crate::error::Error;
use crate::format::keys::Tree;
use crate::policy::{PolicyRow, RetentionRow};
use crate::record::RecordRef;

const WHAT: &str = "policy row";

impl Unlocked {
    /// What keeps a chart, and nothing where nothing does. Hold the chart's stripe for as long as it has to stay so.
    pub(crate) fn retention(&self, patient_tag: &[u8; 16]) -> Result<RetentionRow, Error> {
        let (table, id) = PolicyRow::place_of_retention(*patient_tag);
        let key = self.keyring().policy_tag(table, &id);
        let Some(value) = self.committer.get(Tree::Policy, &key)? else { return Ok(RetentionRow::none(*patient_tag)) };
        let body = self.open_row(self.keyring().policy_sealer(), Tree::Policy, &key, &value, WHAT)?;
        match PolicyRow::parse(&body) {
            Ok(PolicyRow::Retention(row)) if row.patient_tag == *patient_tag => Ok(row),
            _ => Err(Error::TamperedRow { what: WHAT }),
        }
    }

    /// The row that puts this in place of what kept the chart; one that keeps nothing is removed. Hold the policy stripe
    /// from here until it is queued.
    pub(crate) fn retention_row(&self, row: RetentionRow) -> Result<Option<Row>, Error> {
        if !row.is_empty() {
            return self.policy_row(&PolicyRow::Retention(row)).map(Some);
        }
        self.removed_policy_row(&PolicyRow::Retention(row))
    }

    /// An error if a chart, or anything in it, has to be kept: that of a hold before that of a date, the latest date first.
    pub(crate) fn check_erasable(&self, chart: &Chart, now: Timestamp) -> Result<(), Error> {
        let (patient, row) = (chart.patient, self.retention(&chart.tag)?);
        let named = |place: Option<(_, _)>| place.map(|(kind, number)| RecordRef::new(patient, kind, number));
        let held = row.all().find_map(|(place, terms)| Some((place, terms.legal_hold.as_ref()?)));
        if let Some((place, hold)) = held {
            return Err(Error::LegalHold { patient, record: named(place), since: hold.since });
        }
        let until =
            row.all().filter_map(|(place, terms)| Some((terms.retain_until.filter(|until| *until > now)?, place)));
        match until.max_by_key(|(until, _)| *until) {
            Some((until, place)) => Err(Error::Retained { patient, record: named(place), until }),
            None => Ok(()),
        }
    }
}
