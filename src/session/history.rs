//! Earlier versions of a record.

use super::Session;
use super::access::{Done, Hold, Op};
use super::any::AnyEntry;
use super::read::{AnswerBytes, Opened, access, missing};
use crate::audit::AuditEvent;
use crate::error::Error;
use crate::format::keys::{RecordKey, Tree, record_prefix};
use crate::record::{Entry, Record, RecordId, RecordRef, VerbatimEntry, Version};
use crate::storage::Scan;

/// Versions that one call of [`Session::history`] may return.
const MAX_HISTORY: usize = 1_000;

impl Session {
    /// All versions of a record, newest first; at most the newest 1,000.
    ///
    /// # Errors
    /// [`Error::TooMany`] above 64 MiB of versions (then read them one by one with [`Session::get_version`], or with
    /// [`Session::export`]), and as [`Session::get`]; one version that was changed or removed, or has no successor in
    /// the version of `T`, fails the call. [`Session::history_any`] shows the others.
    pub fn history<T: Record>(&self, id: RecordId<T>) -> Result<Vec<Entry<T>>, Error> {
        self.versions(id.into(), |_, opened| opened.typed())
    }

    /// [`Session::history`] of a record that was put verbatim.
    ///
    /// # Errors
    /// As [`Session::history`].
    pub fn history_verbatim(&self, record: RecordRef) -> Result<Vec<VerbatimEntry>, Error> {
        self.versions(record, |_, opened| opened.verbatim())
    }

    /// All versions of a record, newest first and at most the newest 1,000, each to be decoded on its own: for a record
    /// of a kind known only at run time, or one of whose versions cannot be upgraded.
    ///
    /// # Errors
    /// As [`Session::history`], but for [`Error::Decode`].
    pub fn history_any(&self, record: impl Into<RecordRef>) -> Result<Vec<AnyEntry>, Error> {
        let record = record.into();
        self.versions(record, |op, opened| {
            let kind = op.unlocked.policy.kind(record.kind()).ok_or(Error::TamperedRow { what: "kind" })?;
            AnyEntry::new(kind, opened)
        })
    }

    fn versions<T>(
        &self,
        record: RecordRef,
        view: impl Fn(&Op<'_>, Opened) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let op = self.begin(access(AuditEvent::HistoryRead, record.kind(), record.patient()))?;
        let stripe = op.stripe(record.patient());
        op.run(Hold::Read(stripe), |op| {
            let chart = op.chart(record.patient())?;
            let newest = op.newest(&chart, record)?;
            let prefix = record_prefix(&chart.tag, &op.kind_tag(&chart, record.kind()), record.number());
            let scan = Scan { prefix: &prefix, after: None, limit: MAX_HISTORY };
            let keys = op.unlocked.committer.scan_keys(Tree::Records, scan)?;
            let mut expected = newest.version.number();
            let (mut entries, mut touched) = (Vec::with_capacity(keys.len()), Vec::with_capacity(keys.len()));
            let mut bytes = AnswerBytes::default();
            for key in &keys {
                let gone = || missing(record, "a version", u64::from(expected));
                let value = op.unlocked.committer.get(Tree::Records, key)?.ok_or_else(gone)?;
                let opened = op.open(&chart, record.kind(), key, &value)?;
                if opened.version.number() != expected {
                    return Err(missing(record, "a version", u64::from(expected)).into());
                }
                expected = expected.saturating_sub(1);
                op.may_give(&opened)?;
                bytes.add(&opened)?;
                touched.push(opened.audited(&chart));
                entries.push(view(op, opened)?);
            }
            if expected != 0 && keys.len() < MAX_HISTORY {
                return Err(missing(record, "a version", u64::from(expected)).into());
            }
            Ok(Done::read(entries, vec![chart.audited(touched)]))
        })
    }

    /// A record as it was at one version. The token must allow the confidentiality of that version and of the newest.
    ///
    /// # Errors
    /// [`Error::NoSuchVersion`] for a version that was not written yet, and as [`Session::get`].
    pub fn get_version<T: Record>(&self, id: RecordId<T>, version: Version) -> Result<Entry<T>, Error> {
        self.one_version(id.into(), version, Opened::typed)
    }

    /// [`Session::get_version`] of a record that was put verbatim.
    ///
    /// # Errors
    /// As [`Session::get_version`].
    pub fn get_verbatim_version(&self, record: RecordRef, version: Version) -> Result<VerbatimEntry, Error> {
        self.one_version(record, version, Opened::verbatim)
    }

    fn one_version<T>(
        &self,
        record: RecordRef,
        version: Version,
        view: impl Fn(&Opened) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let op = self.begin(access(AuditEvent::RecordRead, record.kind(), record.patient()))?;
        let stripe = op.stripe(record.patient());
        op.run(Hold::Read(stripe), |op| {
            let chart = op.chart(record.patient())?;
            // A record that was found to be more confidential is so in all its versions.
            let newest = op.newest(&chart, record)?;
            op.may_give(&newest)?;
            if newest.version < version {
                return Err(Error::NoSuchVersion { record, version }.into());
            }
            if newest.version == version {
                return Ok(Done::read(view(&newest)?, vec![chart.audited(vec![newest.audited(&chart)])]));
            }
            let kind_tag = op.kind_tag(&chart, record.kind());
            let (number, patient_tag) = (record.number(), chart.tag);
            let key = RecordKey { patient_tag, kind_tag, number, version: version.number() }.to_bytes();
            let value = op.unlocked.committer.get(Tree::Records, &key)?;
            let value = value.ok_or_else(|| missing(record, "a version", u64::from(version.number())))?;
            let opened = op.open(&chart, record.kind(), &key, &value)?;
            op.may_give(&opened)?;
            Ok(Done::read(view(&opened)?, vec![chart.audited(vec![opened.audited(&chart)])]))
        })
    }
}
