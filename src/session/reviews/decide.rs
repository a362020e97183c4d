//! Deciding over a grant in a review.

use std::sync::Arc;

use super::super::access::{Done, Hold, Op};
use super::super::grants::revocation;
use super::{Reviews, access, check_note};
use crate::audit::AuditEvent;
use crate::committer::Stripe;
use crate::error::Error;
use crate::ids::RevocationId;
use crate::policy::{Decided, DecisionRow, Ended, KnownGrant, PolicyRow, ReviewDecision, Revocation, RoundRow};
use crate::token::Revoke;

impl Reviews<'_> {
    /// Decides over a grant that a round lists, with a note of up to 512 bytes. What revokes it is in the same commit. As long
    /// as the round is open and the grant has not ended, somebody can decide anew; the log has each decision.
    ///
    /// # Errors
    /// [`Error::NoSuchReview`], [`Error::ReviewClosed`], [`Error::NoSuchGrant`] for a grant that the round does not list,
    /// [`Error::OwnGrant`] for a grant of the session's own principal, [`Error::GrantEnded`], [`Error::NoReplacement`] where
    /// the grant named cannot take its place, [`Error::InvalidText`], and what [`Session`](crate::Session) lists.
    pub fn decide(
        &self,
        number: u32,
        grant: RevocationId,
        decision: ReviewDecision,
        note: &str,
    ) -> Result<Decided, Error> {
        check_note(note)?;
        let op = self.session.begin(access(AuditEvent::ReviewDecided))?;
        op.run(Hold::Write(&[Stripe::Policy]), |op| {
            let (policy, by) = (&op.unlocked.policy, self.session.principal());
            let round = op.open_round(number)?;
            let item = round.item(grant).ok_or(Error::NoSuchGrant { grant })?;
            if item.subject == by {
                return Err(Error::OwnGrant { grant }.into());
            }
            let known = policy.grant(grant).ok_or(Error::NoSuchGrant { grant })?;
            if let Some(ended) = op.unlocked.ended(&known, op.now) {
                return Err(Error::GrantEnded { grant, how: how(ended) }.into());
            }
            if let ReviewDecision::Narrow { to } = decision {
                op.check_replacement(&known, to)?;
            }
            let decided = Decided { decision, at: op.now, by, note: note.to_owned() };
            let row = DecisionRow { round: number, decided: decided.clone(), grant: known.row.grant.clone() };
            let mut applies = vec![PolicyRow::Decision(Arc::new(row))];
            if decision != ReviewDecision::Keep {
                let said = format!("review {number}");
                let revocation = revocation(&op.unlocked, Revoke::Block(grant), op.now, by, &said);
                let replaced_by = if let ReviewDecision::Narrow { to } = decision { Some(to) } else { None };
                applies.push(PolicyRow::Revocation(Revocation { replaced_by, ..revocation }));
            }
            let rows = applies.iter().map(|row| op.unlocked.policy_row(row)).collect::<Result<_, _>>()?;
            let detail = Some(format!("review {number}, {grant}: {decision}; {note}"));
            Ok(Done { detail, applies, ..Done::write(decided, rows, Vec::new()) })
        })
    }
}

const fn how(ended: Ended) -> &'static str {
    match ended {
        Ended::Expired => "it has expired",
        Ended::Revoked => "it was revoked",
    }
}

impl Op<'_> {
    /// A round in which it can be decided.
    pub(super) fn open_round(&self, number: u32) -> Result<Arc<RoundRow>, Error> {
        let row = self.unlocked.policy.round(number).ok_or(Error::NoSuchReview { review: number })?;
        match row.closed {
            Some((at, _)) => Err(Error::ReviewClosed { review: number, at }),
            None => Ok(row),
        }
    }

    /// An error unless a grant can take the place of another that is revoked.
    fn check_replacement(&self, old: &KnownGrant, to: RevocationId) -> Result<(), Error> {
        let refused = |why| Err(Error::NoReplacement { grant: to, why });
        let Some(new) = self.unlocked.policy.grant(to).filter(|new| new.row.registered_by.is_some()) else {
            return refused("it is not registered");
        };
        if new.revocable.rids.contains(&old.row.id()) {
            return refused("it was narrowed from the other, and would be revoked with it");
        }
        if new.revocable.subject != old.revocable.subject {
            return refused("it is of another subject");
        }
        if let Some(ended) = self.unlocked.ended(&new, self.now) {
            return refused(how(ended));
        }
        match new.row.grant.rights().not_less_than(&old.row.grant.rights()) {
            Some(why) => refused(why),
            None => Ok(()),
        }
    }

    /// How a grant came to an end over which nothing was decided.
    pub(super) fn ended_undecided(&self, round: u32, grant: RevocationId) -> Option<Ended> {
        if self.unlocked.policy.decided(round, grant).is_some() {
            return None;
        }
        // As long as the round is open its grants are kept.
        self.unlocked.policy.grant(grant).map_or(Some(Ended::Expired), |known| self.unlocked.ended(&known, self.now))
    }

    /// How many grants of an open round are left to decide over.
    pub(super) fn undecided(&self, row: &RoundRow) -> usize {
        let left = |grant| {
            self.unlocked.policy.decided(row.number, grant).is_none()
                && self.ended_undecided(row.number, grant).is_none()
        };
        row.items.iter().filter(|item| left(item.grant)).count()
    }
}
