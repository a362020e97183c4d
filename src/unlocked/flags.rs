//! Flags that monitoring raised: kept with their entries in the log, and told to the log once they are overdue.

use std::fmt::Write;

use super::Unlocked;
use crate::audit::{AuditEvent, Draft, Outcome};
use crate::clock::Timestamp;
use crate::committer::Stripe;
use crate::error::Error;
use crate::ids::{PatientId, PrincipalId};
use crate::monitor::{CareAnswer, CareContext, FlagQuestion, RaisedFlag, Suppressor};
use crate::policy::{FlagRow, PolicyRow};

/// Flags in one commit.
const MOST: usize = 64;

/// What a run of the rules says of itself, in the commit of its last flags.
pub(crate) struct RunEnd {
    pub(crate) draft: Draft,
    /// What monitoring remembers now.
    pub(crate) state: Vec<u8>,
}

impl Unlocked {
    /// Keeps flags that were not raised before, each with its entry; gives how many those are.
    pub(crate) fn raise_flags(&self, flags: Vec<RaisedFlag>, mut end: Option<RunEnd>) -> Result<u64, Error> {
        let now = self.now()?;
        let mut new: u64 = 0;
        let mut flags = flags.into_iter().peekable();
        while flags.peek().is_some() || end.is_some() {
            let queued = {
                let _held = self.stripes.write(&[Stripe::Policy]);
                let (mut rows, mut drafts, mut applies) = (Vec::new(), Vec::new(), Vec::new());
                for mut flag in flags.by_ref().take(MOST) {
                    // Under a key, so that the log does not say whose chart it was to whoever knows patients' ids.
                    flag.id = PolicyRow::id_of_flag(|table, id| self.keyring().policy_tag(table, id), flag.id);
                    // One that was closed stays closed.
                    if self.policy.flag(flag.id).is_some() {
                        continue;
                    }
                    let mut draft = Draft::new(AuditEvent::FlagRaised, Outcome::Allowed);
                    draft.fields.detail = Some(told(&flag));
                    let row = PolicyRow::Flag(self.flag_row(flag, now));
                    rows.push(self.policy_row(&row)?);
                    drafts.push(draft);
                    applies.push(row);
                    new = new.saturating_add(1);
                }
                if flags.peek().is_none()
                    && let Some(RunEnd { draft, state }) = end.take()
                {
                    let row = PolicyRow::MonitorState(state.into());
                    rows.push(self.policy_row(&row)?);
                    drafts.push(draft);
                    applies.push(row);
                }
                if drafts.is_empty() {
                    continue;
                }
                let queued = self.committer.queue(rows, drafts)?;
                applies.into_iter().for_each(|row| self.policy.apply(row));
                queued
            };
            self.committer.wait(queued)?;
        }
        Ok(new)
    }

    fn flag_row(&self, flag: RaisedFlag, raised: Timestamp) -> FlagRow {
        let RaisedFlag { id, rule, actor, patient, at, entries, why, against } = flag;
        let patient_tag = patient.map(|patient| self.keyring().patient_tag(patient));
        let (assigned, closed, escalated) = (None, None, None);
        FlagRow { id, patient_tag, rule, actor, at, raised, entries, why, against, assigned, closed, escalated }
    }

    /// Tells the log of flags that are overdue and that it was not told of yet; gives how many.
    pub(crate) fn escalate_flags(&self) -> Result<usize, Error> {
        let now = self.now()?;
        let Some(within) = self.policy.monitoring().map(|row| row.rules.time_to_close()) else { return Ok(0) };
        let (queued, told) = {
            let _held = self.stripes.write(&[Stripe::Policy]);
            let overdue = self.policy.flags(None, MOST, |row| {
                row.closed.is_none() && row.escalated.is_none() && row.raised.saturating_add(within) <= now
            });
            if overdue.is_empty() {
                return Ok(0);
            }
            let (mut rows, mut drafts, mut applies) = (Vec::new(), Vec::new(), Vec::new());
            for mut flag in overdue {
                let mut draft = Draft::new(AuditEvent::FlagOverdue, Outcome::Failed);
                draft.fields.detail = Some(format!("{} {}, raised at {}", flag.id, flag.rule, flag.raised));
                flag.escalated = Some(now);
                let row = PolicyRow::Flag(flag);
                rows.push(self.policy_row(&row)?);
                drafts.push(draft);
                applies.push(row);
            }
            let (told, queued) = (rows.len(), self.committer.queue(rows, drafts)?);
            applies.into_iter().for_each(|row| self.policy.apply(row));
            (queued, told)
        };
        self.committer.wait(queued)?;
        Ok(told)
    }

    /// What keeps flags from being raised. One about a patient who was erased holds for nobody, and is left out.
    pub(crate) fn suppressors(&self) -> Vec<Suppressor> {
        let named = |row: crate::policy::SuppressorRow| {
            let patient = match row.patient_tag {
                None => None,
                Some(tag) => Some(self.patient_of(&tag).ok().flatten()?),
            };
            let mut suppressor = Suppressor::new(row.until, &row.reason);
            (suppressor.rule, suppressor.actor, suppressor.group) = (row.rule, row.actor, row.group);
            (suppressor.patient, suppressor.by) = (patient, Some(row.by));
            Some(suppressor)
        };
        self.policy.suppressors().into_iter().filter_map(named).collect()
    }
}

/// What the log says of a flag: no patient, since the entry stays when one is erased.
fn told(flag: &RaisedFlag) -> String {
    let mut said = format!("{} {}", flag.id, flag.rule);
    if let Some(actor) = flag.actor {
        let _ = write!(said, " of {actor}");
    }
    let _ = write!(said, ": {}; entries", flag.why);
    for seq in &flag.entries {
        // The longest that fits beside the rest; the row has them all.
        if said.len() > 1_000 {
            break;
        }
        let _ = write!(said, " {seq}");
    }
    said
}

/// What the host knows, and how the vault labels charts.
pub(crate) struct Known<'u>(pub(crate) &'u Unlocked);

impl CareContext for Known<'_> {
    fn is_own_record(&self, actor: PrincipalId, patient: PatientId) -> CareAnswer {
        self.0.care.is_own_record(actor, patient)
    }

    fn has_same_surname(&self, actor: PrincipalId, patient: PatientId) -> CareAnswer {
        self.0.care.has_same_surname(actor, patient)
    }

    fn is_vip(&self, patient: PatientId) -> CareAnswer {
        if self.0.policy.chart_label(&self.0.keyring().patient_tag(patient)).vip {
            return CareAnswer::Yes;
        }
        self.0.care.is_vip(patient)
    }

    fn has_relation(&self, actor: PrincipalId, patient: PatientId, at: Timestamp) -> CareAnswer {
        self.0.care.has_relation(actor, patient, at)
    }

    fn is_on_duty(&self, actor: PrincipalId, at: Timestamp) -> CareAnswer {
        self.0.care.is_on_duty(actor, at)
    }

    fn is_in(&self, actor: PrincipalId, group: &str) -> CareAnswer {
        self.0.care.is_in(actor, group)
    }

    fn explains(&self, question: &FlagQuestion) -> Option<String> {
        self.0.care.explains(question)
    }
}
