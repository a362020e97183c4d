//! The reviews of grants, in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Policy;
use super::round::{Decided, DecisionRow, RoundRow};
use crate::clock::Timestamp;
use crate::ids::RevocationId;

/// By number.
#[derive(Default)]
pub(super) struct Rounds {
    rounds: BTreeMap<u32, Round>,
}

#[derive(Default)]
struct Round {
    row: Option<Arc<RoundRow>>,
    decided: HashMap<RevocationId, Arc<Decided>>,
}

impl Rounds {
    pub(super) fn put(&mut self, row: Arc<RoundRow>) {
        let round = self.rounds.entry(row.number).or_default();
        round.row = Some(row);
    }

    /// The round's own row may come later. Of the decision, the grant as it was then is left where it is stored.
    pub(super) fn decide(&mut self, row: &DecisionRow) {
        let round = self.rounds.entry(row.round).or_default();
        round.decided.insert(row.grant.id(), Arc::new(row.decided.clone()));
    }

    /// Whether a round that is open lists a grant.
    pub(super) fn is_under_review(&self, grant: RevocationId) -> bool {
        let mut open = self.rounds.values().filter_map(|round| round.row.as_ref()).filter(|row| row.closed.is_none());
        open.any(|row| row.item(grant).is_some())
    }
}

impl Policy {
    /// A round by its number.
    pub(crate) fn round(&self, number: u32) -> Option<Arc<RoundRow>> {
        self.read().reviews.rounds.get(&number)?.row.clone()
    }

    /// All rounds, the first one first.
    pub(crate) fn rounds(&self) -> Vec<Arc<RoundRow>> {
        self.read().reviews.rounds.values().filter_map(|round| round.row.clone()).collect()
    }

    /// What was decided over a grant in a round.
    pub(crate) fn decided(&self, round: u32, grant: RevocationId) -> Option<Arc<Decided>> {
        self.read().reviews.rounds.get(&round)?.decided.get(&grant).cloned()
    }

    /// Rounds that are overdue, and that the log was not told of yet.
    pub(crate) fn rounds_to_tell(&self, now: Timestamp) -> Vec<Arc<RoundRow>> {
        let wanted = |row: &Arc<RoundRow>| row.closed.is_none() && row.told.is_none() && row.due <= now;
        self.rounds().into_iter().filter(wanted).collect()
    }
}
