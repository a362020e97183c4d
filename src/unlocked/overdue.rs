//! Emergencies that nobody reviewed in time, and reviews of grants that nobody closed, are told to the log, once each.

use std::sync::Arc;

use super::Unlocked;
use crate::audit::{AuditEvent, Draft, Outcome};
use crate::committer::Stripe;
use crate::error::Error;
use crate::policy::{PolicyRow, RoundRow};

/// Cases told of in one commit.
const MOST: usize = 100;
/// Reviews of grants told of in one commit: each row names all of its grants.
const MOST_REVIEWS: usize = 4;

impl Unlocked {
    /// Tells the log of emergencies whose review is overdue and that it was not told of yet; gives how many.
    pub(crate) fn escalate_overdue(&self) -> Result<usize, Error> {
        let now = self.now()?;
        let within = self.policy.rules().time_for_review();
        let (queued, told) = {
            let _held = self.stripes.write(&[Stripe::Policy]);
            let overdue = self.policy.cases(None, MOST, |row| {
                row.review.is_none() && row.escalated.is_none() && row.at.saturating_add(within) <= now
            });
            if overdue.is_empty() {
                return Ok(0);
            }
            let (mut rows, mut drafts, mut applies) = (Vec::new(), Vec::new(), Vec::new());
            for mut case in overdue {
                let mut draft = Draft::new(AuditEvent::CaseOverdue, Outcome::Failed);
                draft.fields.detail = Some(format!("{} of {}, invoked at {}", case.id, case.actor, case.at));
                case.escalated = Some(now);
                let row = PolicyRow::Case(case);
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

    /// Tells the log of reviews of grants that are overdue and that it was not told of yet; gives how many.
    pub(crate) fn tell_of_overdue_reviews(&self) -> Result<usize, Error> {
        let now = self.now()?;
        if self.policy.rounds_to_tell(now).is_empty() {
            return Ok(0);
        }
        let (queued, told) = {
            let _held = self.stripes.write(&[Stripe::Policy]);
            let overdue = self.policy.rounds_to_tell(now);
            let (mut rows, mut drafts, mut applies) = (Vec::new(), Vec::new(), Vec::new());
            for round in overdue.into_iter().take(MOST_REVIEWS) {
                let mut draft = Draft::new(AuditEvent::ReviewOverdue, Outcome::Failed);
                draft.fields.detail = Some(format!("review {}, due {}", round.number, round.due));
                let row = PolicyRow::Round(Arc::new(RoundRow { told: Some(now), ..(*round).clone() }));
                rows.push(self.policy_row(&row)?);
                (drafts.push(draft), applies.push(row));
            }
            let (told, queued) = (rows.len(), self.committer.queue(rows, drafts)?);
            applies.into_iter().for_each(|row| self.policy.apply(row));
            (queued, told)
        };
        self.committer.wait(queued)?;
        Ok(told)
    }
}
