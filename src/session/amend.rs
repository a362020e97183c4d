//! New versions of a record: amendments and voids. Earlier versions stay as they are.

use super::access::{Access, Done, Hold, Refused};
use super::read::Opened;
use super::{PutOptions, Session};
use crate::audit::AuditEvent;
use crate::error::Error;
use crate::record::{self, Body, Coding, DecodeError, MAX_REASON, Record, RecordId, RecordRef, Status, Version};
use crate::terms::Action;
use crate::token::Reach;

/// What a new version changes.
struct Change<'a> {
    event: AuditEvent,
    action: Action,
    status: Status,
    reason: &'a str,
    /// `None` repeats the value.
    value: Option<(Coding, &'a [u8])>,
    /// Refuses to follow a value that the writer does not know all of.
    knows: fn(&Body<'_>) -> Result<(), DecodeError>,
    /// `None` keeps time, confidentiality and labels.
    options: Option<PutOptions>,
}

impl<'a> Change<'a> {
    const fn typed<T: Record>(value: &'a [u8], options: Option<PutOptions>) -> Self {
        let knows = |before: &Body<'_>| before.check_not_newer::<T>();
        Self { value: Some((Coding::of::<T>(), value)), knows, options, ..Self::AMENDMENT }
    }

    const fn verbatim(value: &'a [u8]) -> Self {
        Self { value: Some((Coding::Verbatim, value)), ..Self::AMENDMENT }
    }

    const fn void(reason: &'a str) -> Self {
        let (event, action, status) = (AuditEvent::RecordVoided, Action::Void, Status::Voided);
        Self { event, action, status, reason, ..Self::AMENDMENT }
    }

    const AMENDMENT: Self = Self {
        event: AuditEvent::RecordAmended,
        action: Action::Amend,
        status: Status::Active,
        reason: "",
        value: None,
        knows: |_| Ok(()),
        options: None,
    };
}

impl Session {
    /// Writes a new version of a record, based on the version that was read. Clinical time, confidentiality and labels
    /// stay. Returns the new version, which is stored in the version of `T`, whichever the earlier ones are stored in.
    ///
    /// # Errors
    /// [`Error::Conflict`] when `expected` is not the newest version any more, [`Error::Voided`] for a record that was
    /// voided, [`Error::Decode`] when the record is stored in a newer version of the type, [`Error::Encode`], what [`Session::get`] answers for a record that is not there or damaged, and what
    /// [`Session`] lists.
    pub fn amend<T: Record>(&self, id: RecordId<T>, expected: Version, value: &T) -> Result<Version, Error> {
        let encoded = self.encode(value)?;
        self.change(id.into(), expected, &Change::typed::<T>(&encoded, None))
    }

    /// [`Session::amend`] that also replaces clinical time, confidentiality and labels.
    ///
    /// # Errors
    /// As [`Session::amend`].
    pub fn amend_with<T: Record>(
        &self,
        id: RecordId<T>,
        expected: Version,
        value: &T,
        options: PutOptions,
    ) -> Result<Version, Error> {
        let encoded = self.encode(value)?;
        self.change(id.into(), expected, &Change::typed::<T>(&encoded, Some(options)))
    }

    /// [`Session::amend`] for bytes kept as they are.
    ///
    /// # Errors
    /// As [`Session::amend`].
    pub fn amend_verbatim(&self, record: RecordRef, expected: Version, bytes: &[u8]) -> Result<Version, Error> {
        record::check_value(bytes.len())?;
        self.change(record, expected, &Change::verbatim(bytes))
    }

    /// Marks a record as entered in error, with the reason (1 to 1,024 bytes). Its history stays readable; it takes no
    /// further versions. Returns the voiding version.
    ///
    /// # Errors
    /// [`Error::InvalidText`] for a blank or too long reason, and as [`Session::amend`].
    pub fn void(&self, record: impl Into<RecordRef>, expected: Version, reason: &str) -> Result<Version, Error> {
        if reason.trim().is_empty() || reason.len() > MAX_REASON {
            let len = reason.trim().len();
            return Err(Error::InvalidText { what: "reason", len, least: 1, limit: MAX_REASON });
        }
        self.change(record.into(), expected, &Change::void(reason))
    }

    fn change(&self, record: RecordRef, expected: Version, change: &Change<'_>) -> Result<Version, Error> {
        let op = self.begin(Access {
            event: change.event,
            action: change.action,
            kind: Reach::One(record.kind()),
            patient: Reach::One(record.patient()),
        })?;
        let stripe = op.stripe(record.patient());
        op.run(Hold::Write(&[stripe]), |op| {
            let chart = op.chart(record.patient())?;
            let newest = op.newest(&chart, record)?;
            op.may_give(&newest)?;
            let before = newest.body()?;
            let version = next_version(&newest, &before, expected)?;
            (change.knows)(&before).map_err(|source| newest.undecoded(source))?;
            let (coding, value) = change.value.unwrap_or((before.coding, before.value));
            let mut body = Body {
                coding,
                value,
                author: self.principal(),
                recorded_at: op.now,
                status: change.status,
                reason: change.reason,
                ..before.clone()
            };
            if let Some(options) = change.options.clone() {
                body.clinical_time = options.clinical_time;
                body.confidentiality = options.confidentiality;
                body.labels = options.labels;
                op.may_see(record.kind(), record.patient(), body.confidentiality).map_err(Refused::Denied)?;
            }
            let kind_tag = op.kind_tag(&chart, record.kind());
            let (row, audited) = op.version_row(&chart, kind_tag, record, version, &body)?;
            Ok(Done::write(version, vec![row], vec![chart.audited(vec![audited])]))
        })
    }
}

fn next_version(newest: &Opened, before: &Body<'_>, expected: Version) -> Result<Version, Error> {
    let record = newest.record;
    if newest.version != expected {
        return Err(Error::Conflict { record, expected, found: newest.version });
    }
    if before.status == Status::Voided {
        return Err(Error::Voided(record));
    }
    let limit = usize::MAX;
    newest.version.next().ok_or(Error::TooMany { what: "versions of a record", len: limit, limit })
}
