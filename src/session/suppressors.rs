//! What keeps flags from being raised.

use super::access::{Done, Hold, Refused};
use super::flags::{Flags, access, check_text};
use crate::audit::AuditEvent;
use crate::clock::Timestamp;
use crate::committer::Stripe;
use crate::error::Error;
use crate::ids::PrincipalId;
use crate::monitor::{FlagError, MAX_GROUP, MAX_SUPPRESS_REASON, Suppressor};
use crate::policy::{PolicyRow, SuppressorRow};

/// Suppressors that are in force at once.
const MOST: usize = 1_000;

/// A [`Suppressor`] that the vault keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ActiveSuppressor {
    /// Its number, from 1.
    pub number: u32,
    /// What it holds back. Without a patient where they were erased since; then it holds back nothing.
    pub suppressor: Suppressor,
    /// Whether it is about one patient's chart.
    pub about_patient: bool,
    /// Who made it.
    pub by: PrincipalId,
    /// When.
    pub made: Timestamp,
}

impl Flags<'_> {
    /// Keeps flags from being raised from now on, until the suppressor ends; gives its number. What was raised stays. Nobody
    /// suppresses flags about themselves, and one never holds for whoever made it. The log has all of it but the patient.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let session = clinic.session();
    /// let until = "2056-01-01T00:00:00Z".parse().unwrap();
    /// let suppressor = Suppressor::new(until, "shared waiting list").rule(MonitorRule::NoRelation).group("ward 3");
    /// let number = session.flags().suppress(&suppressor)?;
    /// session.flags().lift(number)?; // it ends now
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidText`] for a reason or a group that is blank or too long, [`FlagError::OwnSuppressor`],
    /// [`Error::NoSuchPatient`], [`Error::TooMany`] where a thousand are in force, and what
    /// [`Session`](crate::Session) lists.
    pub fn suppress(&self, suppressor: &Suppressor) -> Result<u32, Error> {
        check_text("reason", &suppressor.reason, MAX_SUPPRESS_REASON)?;
        if let Some(group) = &suppressor.group {
            check_text("group", group, MAX_GROUP)?;
        }
        let by = self.session.principal();
        let op = self.session.begin(access(AuditEvent::MonitoringChanged))?;
        op.run(Hold::Write(&[Stripe::Policy]), |op| {
            if suppressor.actor == Some(by) {
                return Err(Refused::Failed(FlagError::OwnSuppressor.into()));
            }
            let patient_tag = match suppressor.patient {
                None => None,
                Some(patient) => {
                    let tag = op.unlocked.keyring().patient_tag(patient);
                    let known = op.unlocked.patient_of(&tag)?;
                    Some(known.map(|_| tag).ok_or(Error::NoSuchPatient(patient))?)
                }
            };
            let before = op.unlocked.policy.suppressors();
            let len = before.iter().filter(|row| row.until > op.now).count();
            if len >= MOST {
                return Err(Error::TooMany { what: "suppressors in force", len: len + 1, limit: MOST }.into());
            }
            let number = before.last().map_or(0, |row| row.number).saturating_add(1);
            let row = SuppressorRow {
                number,
                patient_tag,
                rule: suppressor.rule,
                actor: suppressor.actor,
                group: suppressor.group.clone(),
                until: suppressor.until,
                by,
                made: op.now,
                reason: suppressor.reason.clone(),
            };
            let said = told(&row);
            let row = PolicyRow::Suppressor(row);
            let rows = vec![op.unlocked.policy_row(&row)?];
            Ok(Done { detail: Some(said), applies: vec![row], ..Done::write(number, rows, Vec::new()) })
        })
    }

    /// Ends a suppressor now; no error where it has ended.
    ///
    /// # Errors
    /// [`FlagError::NoSuchSuppressor`], and what [`Session`](crate::Session) lists.
    pub fn lift(&self, number: u32) -> Result<(), Error> {
        let op = self.session.begin(access(AuditEvent::MonitoringChanged))?;
        op.run(Hold::Write(&[Stripe::Policy]), |op| {
            let mut found = op.unlocked.policy.suppressors().into_iter().filter(|row| row.number == number);
            let mut row = found.next().ok_or(FlagError::NoSuchSuppressor { number }).map_err(Error::from)?;
            row.until = row.until.min(op.now);
            let row = PolicyRow::Suppressor(row);
            let rows = vec![op.unlocked.policy_row(&row)?];
            let detail = Some(format!("suppressor {number} lifted"));
            Ok(Done { detail, applies: vec![row], ..Done::write((), rows, Vec::new()) })
        })
    }

    /// All suppressors, those that ended included, ascending by number.
    ///
    /// # Errors
    /// What [`Session`](crate::Session) lists.
    pub fn suppressors(&self) -> Result<Vec<ActiveSuppressor>, Error> {
        let op = self.session.begin(access(AuditEvent::FlagsListed))?;
        op.run(Hold::Nothing, |op| {
            let named = |row: SuppressorRow| {
                let mut suppressor = Suppressor::new(row.until, &row.reason);
                (suppressor.rule, suppressor.actor, suppressor.group) = (row.rule, row.actor, row.group);
                suppressor.patient = row.patient_tag.and_then(|tag| op.unlocked.patient_of(&tag).ok().flatten());
                suppressor.by = Some(row.by);
                let about_patient = row.patient_tag.is_some();
                ActiveSuppressor { number: row.number, suppressor, about_patient, by: row.by, made: row.made }
            };
            let listed: Vec<_> = op.unlocked.policy.suppressors().into_iter().map(named).collect();
            let (count, detail) = (u32::try_from(listed.len()).ok(), Some("suppressors".to_owned()));
            Ok(Done { count, detail, ..Done::read(listed, Vec::new()) })
        })
    }
}

/// What the log says of it: no patient, since the entry stays when one is erased.
fn told(row: &SuppressorRow) -> String {
    let rule = row.rule.map_or_else(|| "all rules".to_owned(), |rule| rule.to_string());
    let actor = row.actor.map_or_else(String::new, |actor| format!(", {actor}"));
    let group = row.group.as_ref().map_or_else(String::new, |group| format!(", group {group}"));
    let patient = if row.patient_tag.is_some() { ", one patient" } else { "" };
    let SuppressorRow { number, until, reason, .. } = row;
    format!("suppressor {number}: {rule}{actor}{group}{patient}, until {until}: {reason}")
}
