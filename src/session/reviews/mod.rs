//! Reviews of grants: a round lists every grant that is live, and somebody decides over each.

mod decide;
mod list;

use std::sync::Arc;

pub use list::{ReviewItem, ReviewItems, ReviewPage, ReviewRound};

use super::Session;
use super::access::{Access, Done, Hold, Refused};
use crate::audit::AuditEvent;
use crate::clock::Timestamp;
use crate::committer::Stripe;
use crate::error::Error;
use crate::policy::{MAX_REVIEW_NOTE, MOST_IN_ROUND, PolicyRow, RoundItem, RoundRow};
use crate::terms::Action;
use crate::token::Reach;

/// Rounds that a vault can have, and grants that all of them can list together.
const MOST_ROUNDS: usize = 1_000;
const MOST_LISTED: usize = 100_000;

/// The reviews of grants; see [`Session::reviews`].
#[derive(Clone, Copy, Debug)]
pub struct Reviews<'s> {
    session: &'s Session,
}

impl Session {
    /// The reviews of this vault's grants. A round lists every grant that is live when it is opened; somebody whose grant it
    /// is not decides over each, and it is closed when none is left. What ends meanwhile counts as settled. Rounds and
    /// decisions are kept for ever. All calls need the review action.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # use std::time::Duration;
    /// # let clinic = Clinic::new();
    /// let review = |who: &str| Grant::to(who).all_patients().all_kinds().actions([Action::Review, Action::Grant])
    ///     .purpose(Purpose::Operations).valid_for(Duration::from_secs(3_600)).sign(&clinic.issuer, clinic.vault.id());
    /// let [lund, adu] = [review("a.lund")?, review("m.adu")?].map(|token| clinic.vault.session(&token, Purpose::Operations));
    /// let (lund, adu) = (lund?, adu?);
    /// let round = lund.reviews().open(SystemClock.now().saturating_add(Duration::from_secs(14 * 86_400)), "autumn")?;
    /// for item in lund.reviews().items(round.number).page()?.items {
    ///     let reviewer = if item.subject == lund.principal() { &adu } else { &lund };
    ///     reviewer.reviews().decide(round.number, item.grant, ReviewDecision::Keep, "as it should be")?;
    /// }
    /// assert!(lund.reviews().close(round.number)?.closed.is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn reviews(&self) -> Reviews<'_> {
        Reviews { session: self }
    }
}

impl Reviews<'_> {
    /// Opens a round over every grant that is live now, to be closed until `due`, with a note of up to 512 bytes. Several can
    /// be open at once; what is decided in one says nothing in another, but what is revoked is settled in all.
    ///
    /// # Errors
    /// [`Error::InvalidText`] for a note that is too long, [`Error::TooMany`] for more than 50,000 grants in a round, 1,000
    /// rounds, or 100,000 grants in all rounds, and what [`Session`] lists.
    pub fn open(&self, due: Timestamp, note: &str) -> Result<ReviewRound, Error> {
        check_note(note)?;
        let op = self.session.begin(access(AuditEvent::ReviewOpened))?;
        op.run(Hold::Write(&[Stripe::Policy]), |op| {
            let policy = &op.unlocked.policy;
            let rounds = policy.rounds();
            let live = op.unlocked.live_grants(op.now, None, MOST_IN_ROUND.saturating_add(1), |_| true);
            let listed = rounds.iter().fold(live.len(), |sum, round| sum.saturating_add(round.items.len()));
            within("reviews of grants", rounds.len().saturating_add(1), MOST_ROUNDS)?;
            within("live grants", live.len(), MOST_IN_ROUND)?;
            within("grants in all reviews", listed, MOST_LISTED)?;
            let item = |known: &crate::policy::KnownGrant| RoundItem {
                grant: known.row.id(),
                subject: known.revocable.subject,
                ended: None,
            };
            let row = Arc::new(RoundRow {
                number: rounds.last().map_or(0, |round| round.number).saturating_add(1),
                opened: op.now,
                opened_by: self.session.principal(),
                due,
                told: None,
                closed: None,
                note: note.to_owned(),
                items: live.iter().map(item).collect(),
            });
            let (detail, count) = (Some(format!("review {}, due {due}", row.number)), u32::try_from(live.len()).ok());
            let round = op.review_round(&row);
            let row = PolicyRow::Round(row);
            let rows = vec![op.unlocked.policy_row(&row)?];
            Ok(Done { detail, count, applies: vec![row], ..Done::write(round, rows, Vec::new()) })
        })
    }

    /// Closes a round in which nothing is left to decide. What ended by itself is noted with it.
    ///
    /// # Errors
    /// [`Error::NoSuchReview`], [`Error::ReviewClosed`], [`Error::ReviewUnfinished`] with how many grants are left, and what
    /// [`Session`] lists.
    pub fn close(&self, number: u32) -> Result<ReviewRound, Error> {
        let op = self.session.begin(access(AuditEvent::ReviewClosed))?;
        op.run(Hold::Write(&[Stripe::Policy]), |op| {
            let mut row = (*op.open_round(number)?).clone();
            let left = op.undecided(&row);
            if left > 0 {
                return Err(Refused::Failed(Error::ReviewUnfinished { review: number, left }));
            }
            for item in &mut row.items {
                item.ended = op.ended_undecided(number, item.grant);
            }
            row.closed = Some((op.now, self.session.principal()));
            let row = Arc::new(row);
            let round = op.review_round(&row);
            let row = PolicyRow::Round(row);
            let rows = vec![op.unlocked.policy_row(&row)?];
            let detail = Some(format!("review {number}"));
            Ok(Done { detail, applies: vec![row], ..Done::write(round, rows, Vec::new()) })
        })
    }
}

fn within(what: &'static str, len: usize, limit: usize) -> Result<(), Error> {
    if len > limit { Err(Error::TooMany { what, len, limit }) } else { Ok(()) }
}

fn check_note(note: &str) -> Result<(), Error> {
    match note.len() {
        0..=MAX_REVIEW_NOTE => Ok(()),
        len => Err(Error::InvalidText { what: "note", len, least: 0, limit: MAX_REVIEW_NOTE }),
    }
}

/// About no chart, and so about everybody.
const fn access(event: AuditEvent) -> Access {
    Access { event, action: Action::Review, kind: Reach::Whole, patient: Reach::Whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_reviews_are_reached_and_not_passed() {
        assert!(within("rounds", MOST_ROUNDS, MOST_ROUNDS).is_ok());
        let refused = within("rounds", MOST_ROUNDS + 1, MOST_ROUNDS);
        assert!(matches!(refused, Err(Error::TooMany { len: 1_001, limit: 1_000, .. })));
        assert!(check_note(&"x".repeat(512)).is_ok());
        assert!(matches!(check_note(&"x".repeat(513)), Err(Error::InvalidText { len: 513, .. })));
    }
}
