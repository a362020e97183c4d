//! The rows of a patient who is erased.

use std::collections::BTreeSet;

use super::Unlocked;
use crate::clock::Timestamp;
use crate::committer::{Row, Stripe};
use crate::error::Error;
use crate::format::keys::{LookupRowKey, Tree};
use crate::ids::PatientId;
use crate::policy::{ChartLabel, Erasure, PolicyRow, RetentionRow};
use crate::storage::Scan;

/// Rows that are removed in one commit: their values have to be read, so their size counts as well.
const ROWS: usize = 256;
const BYTES: usize = 4 << 20;

/// What became of rows that had to go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Removed {
    pub(crate) rows: u64,
    /// Rows that cannot be read, and so not be removed either.
    pub(crate) left: u64,
}

impl Unlocked {
    /// When a patient was erased, if that was done.
    pub(crate) fn erased(&self, patient: PatientId) -> Option<Timestamp> {
        if !self.policy.has_erasures() {
            return None;
        }
        self.policy.erased(&self.keyring().patient_tag(patient))
    }

    /// An error if the patient was erased.
    pub(crate) fn check_not_erased(&self, patient: PatientId, patient_tag: &[u8; 16]) -> Result<(), Error> {
        self.policy.erased(patient_tag).map_or(Ok(()), |at| Err(Error::Erased { patient, at }))
    }

    /// The rows that begin an erasure, all of them in one commit: the ledger gets its entry, and the patient's secret goes,
    /// in all its generations, with what kept the chart and how it was labelled. Hold the chart's stripe and that of the policy.
    pub(crate) fn rows_of_erasure(&self, erasure: &Erasure) -> Result<Vec<Row>, Error> {
        let tag = erasure.patient_tag;
        let mut rows = vec![self.policy_row(&PolicyRow::Erasure(erasure.clone()))?];
        rows.extend(self.retention_row(RetentionRow::none(tag))?);
        rows.extend(self.chart_label_row(tag, ChartLabel::NONE)?);
        let scan = Scan { prefix: &tag, after: None, limit: usize::MAX };
        let secrets = self.committer.scan(Tree::Patients, scan)?;
        rows.extend(secrets.into_iter().map(|(key, old)| Row::removal(Tree::Patients, key, old)));
        Ok(rows)
    }

    /// Wipes what is kept in memory of a patient whose secret is gone.
    pub(crate) fn forget_patient(&self, patient_tag: &[u8; 16]) {
        self.bodies.forget(patient_tag);
        self.forget_charts();
    }

    /// Removes the records of a patient whose secret is gone.
    pub(crate) fn remove_records(&self, patient_tag: &[u8; 16], go_on: &dyn Fn() -> bool) -> Result<Removed, Error> {
        let mut removed = Removed::default();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let scan = Scan { prefix: patient_tag, after: after.as_deref(), limit: ROWS };
            let keys = self.committer.scan_keys(Tree::Records, scan)?;
            let Some(last) = keys.last() else { return Ok(removed) };
            after = Some(last.clone());
            self.remove(Tree::Records, keys, Stripe::chart(patient_tag), go_on, &mut removed)?;
        }
    }

    /// Removes all identifiers that lead to one of these patients, for which all identifiers are looked at.
    pub(crate) fn remove_identifiers(
        &self,
        patient_tags: &BTreeSet<[u8; 16]>,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Removed, Error> {
        const CHUNK: usize = 4_096;
        let mut removed = Removed::default();
        let mut after: Option<Vec<u8>> = None;
        loop {
            if !go_on() {
                return Err(Error::Sealed);
            }
            let scan = Scan { prefix: &[], after: after.as_deref(), limit: CHUNK };
            let keys = self.committer.scan_keys(Tree::Lookup, scan)?;
            let Some(last) = keys.last() else { return Ok(removed) };
            after = Some(last.clone());
            for key in keys {
                if let Ok(parsed) = LookupRowKey::from_bytes(&key)
                    && patient_tags.contains(&parsed.patient_tag)
                {
                    let stripe = Stripe::identifier(&parsed.identifier_tag);
                    self.remove(Tree::Lookup, vec![key], stripe, go_on, &mut removed)?;
                }
            }
        }
    }

    fn remove(
        &self,
        tree: Tree,
        keys: Vec<Vec<u8>>,
        stripe: Stripe,
        go_on: &dyn Fn() -> bool,
        removed: &mut Removed,
    ) -> Result<(), Error> {
        let mut keys = keys.into_iter().peekable();
        while keys.peek().is_some() {
            if !go_on() {
                return Err(Error::Sealed);
            }
            let queued = {
                let _held = self.stripes.write(&[stripe]);
                let (mut rows, mut bytes) = (Vec::new(), 0);
                while bytes < BYTES
                    && let Some(key) = keys.next()
                {
                    match self.committer.get(tree, &key) {
                        Ok(Some(old)) => {
                            bytes += old.len();
                            rows.push(Row::removal(tree, key, old));
                        }
                        Ok(None) => {}
                        Err(error) if error.is_of_one_value() => removed.left = removed.left.saturating_add(1),
                        Err(error) => return Err(error.into()),
                    }
                }
                if rows.is_empty() {
                    continue;
                }
                removed.rows = removed.rows.saturating_add(u64::try_from(rows.len()).unwrap_or(u64::MAX));
                self.committer.queue(rows, Vec::new())?
            };
            self.committer.wait(queued)?;
        }
        Ok(())
    }
}
