//! The grants that a vault knows: those that open sessions are kept, and those that ended long ago are dropped.

use std::sync::Arc;
use std::time::Duration;

use super::Unlocked;
use crate::clock::Timestamp;
use crate::committer::Row;
use crate::error::Error;
use crate::format::keys::Tree;
use crate::ids::RevocationId;
use crate::policy::{DecisionRow, Ended, Enrolment, GrantRow, GrantUse, KnownGrant, PolicyRow};
use crate::token::{StoredGrant, VerifiedToken};

/// How long a grant is kept after it has ended.
pub(crate) const KEPT_AFTER_END: Duration = Duration::from_secs(30 * 86_400);
/// Grants dropped by one commit.
const DROPPED_AT_ONCE: usize = 16;
const WHAT: &str = "policy row";

/// What opening a session changes of what the vault knows.
#[derive(Default)]
pub(crate) struct Sighting {
    pub(crate) rows: Vec<Row>,
    pub(crate) applies: Vec<PolicyRow>,
    /// Grants whose rows are removed.
    pub(crate) dropped: Vec<RevocationId>,
    /// There is no room to keep the grant.
    pub(crate) not_kept: bool,
}

impl Unlocked {
    /// How a grant came to an end, if it did.
    pub(crate) fn ended(&self, grant: &KnownGrant, now: Timestamp) -> Option<Ended> {
        if self.policy.revoked_by(&grant.revocable).is_some() {
            return Some(Ended::Revoked);
        }
        (grant.revocable.not_after <= now).then_some(Ended::Expired)
    }

    /// Whether a grant has not ended, and its subject may act.
    pub(crate) fn is_live(&self, grant: &KnownGrant, now: Timestamp) -> bool {
        self.ended(grant, now).is_none() && self.policy.enrolment(grant.revocable.subject) != Enrolment::Disabled
    }

    /// The first live grants behind an id that are wanted, ascending by id.
    pub(crate) fn live_grants(
        &self,
        now: Timestamp,
        after: Option<RevocationId>,
        limit: usize,
        wanted: impl Fn(&KnownGrant) -> bool,
    ) -> Vec<KnownGrant> {
        // A page at a time, so that the policy is not held while each is looked at.
        const AT_ONCE: usize = 256;
        let (mut found, mut after) = (Vec::new(), after);
        while found.len() < limit {
            let some = self.policy.grants(after, AT_ONCE, &wanted);
            let last = some.last().map(|known| known.row.id());
            let live = some.into_iter().filter(|known| self.is_live(known, now));
            found.extend(live.take(limit.saturating_sub(found.len())));
            match last {
                Some(last) => after = Some(last),
                None => break,
            }
        }
        found
    }

    /// What is to be committed when a token opens a session: that it was used, the grant itself where it was never seen, and
    /// that some are dropped. Hold the policy stripe from here until it is queued and applied.
    pub(crate) fn sighting(&self, token: &VerifiedToken, now: Timestamp) -> Result<Sighting, Error> {
        let mut found = Sighting::default();
        let known = self.policy.grant(token.id());
        if known.is_none() {
            let (grant, note) = (StoredGrant::of(token), String::new());
            let row = GrantRow { grant, since: now, registered_by: None, note };
            found.not_kept = row.len() > self.policy.room_for_grants(false);
            if !found.not_kept {
                found.applies.push(PolicyRow::Grant(Arc::new(row)));
            }
        }
        // Whoever uses a narrowed token uses those that it comes from.
        let used = token.rids().iter().filter_map(|rid| match self.policy.grant(*rid) {
            Some(known) => Some((*rid, known.used)),
            None => (*rid == token.id() && !found.not_kept).then_some((*rid, None)),
        });
        let used = used.map(|(id, before): (RevocationId, Option<GrantUse>)| {
            let sessions = before.map_or(0, |used| used.sessions).saturating_add(1);
            let last = before.map_or(now, |used| used.last.max(now));
            PolicyRow::GrantUse(GrantUse { id, sessions, last })
        });
        let used: Vec<PolicyRow> = used.collect();
        found.applies.extend(used);
        found.rows = found.applies.iter().map(|row| self.policy_row(row)).collect::<Result<_, _>>()?;
        let until = Timestamp::from_micros(now.as_micros().saturating_sub(micros(KEPT_AFTER_END)));
        found.dropped = self.policy.grants_ended(until, DROPPED_AT_ONCE);
        // A token that is good again, because the clock was set back, stays.
        found.dropped.retain(|id| *id != token.id());
        for id in &found.dropped {
            for (table, id) in [PolicyRow::place_of_grant(*id), PolicyRow::place_of_grant_use(*id)] {
                let key = self.keyring().policy_tag(table, &id);
                let old = self.committer.get(Tree::Policy, &key)?;
                found.rows.extend(old.map(|old| Row::removal(Tree::Policy, key, old)));
            }
        }
        Ok(found)
    }

    /// Takes in force what was queued.
    pub(crate) fn saw(&self, sighting: Sighting) {
        sighting.applies.into_iter().for_each(|row| self.policy.apply(row));
        self.policy.forget_grants(&sighting.dropped);
    }

    /// What was decided over a grant, with the grant as it was then.
    pub(crate) fn decision(&self, round: u32, grant: RevocationId) -> Result<Option<Arc<DecisionRow>>, Error> {
        let (table, id) = PolicyRow::place_of_decision(round, grant);
        let key = self.keyring().policy_tag(table, &id);
        let Some(value) = self.committer.get(Tree::Policy, &key)? else { return Ok(None) };
        let body = self.open_row(self.keyring().policy_sealer(), Tree::Policy, &key, &value, WHAT)?;
        match PolicyRow::parse(&body) {
            Ok(PolicyRow::Decision(row)) if row.round == round && row.grant.id() == grant => Ok(Some(row)),
            _ => Err(Error::TamperedRow { what: WHAT }),
        }
    }
}

fn micros(length: Duration) -> i64 {
    i64::try_from(length.as_micros()).unwrap_or(i64::MAX)
}
