//! The grants that a vault knows, in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use super::Policy;
use super::grant::{GrantRow, GrantUse};
use crate::clock::Timestamp;
use crate::ids::RevocationId;
use crate::token::Revocable;

/// Bytes that all grants of a vault may take together.
pub(crate) const MOST_GRANT_BYTES: usize = 32 << 20;

/// By id.
#[derive(Default)]
pub(super) struct Grants {
    rows: BTreeMap<RevocationId, Known>,
    /// By when they end.
    ends: BTreeSet<(Timestamp, RevocationId)>,
    uses: HashMap<RevocationId, GrantUse>,
    bytes: usize,
}

struct Known {
    row: Arc<GrantRow>,
    revocable: Arc<Revocable>,
}

/// A grant, and what decides whether it is live.
#[derive(Clone, Debug)]
pub(crate) struct KnownGrant {
    pub(crate) row: Arc<GrantRow>,
    pub(crate) revocable: Arc<Revocable>,
    pub(crate) used: Option<GrantUse>,
}

impl Grants {
    pub(super) fn put(&mut self, row: Arc<GrantRow>) {
        let (id, revocable) = (row.id(), Arc::new(row.grant.revocable()));
        self.ends.insert((revocable.not_after, id));
        self.bytes = self.bytes.saturating_add(row.len());
        if let Some(old) = self.rows.insert(id, Known { row, revocable }) {
            self.bytes = self.bytes.saturating_sub(old.row.len());
        }
    }

    pub(super) fn used(&mut self, used: GrantUse) {
        self.uses.insert(used.id, used);
    }

    fn remove(&mut self, id: RevocationId) {
        self.uses.remove(&id);
        if let Some(known) = self.rows.remove(&id) {
            self.ends.remove(&(known.revocable.not_after, id));
            self.bytes = self.bytes.saturating_sub(known.row.len());
        }
    }

    fn get(&self, id: RevocationId) -> Option<KnownGrant> {
        let Known { row, revocable } = self.rows.get(&id)?;
        let used = self.uses.get(&id).copied();
        Some(KnownGrant { row: Arc::clone(row), revocable: Arc::clone(revocable), used })
    }
}

impl Policy {
    /// A grant by its id.
    pub(crate) fn grant(&self, id: RevocationId) -> Option<KnownGrant> {
        self.read().grants.get(id)
    }

    /// The first grants behind an id that are wanted, ascending by id.
    pub(crate) fn grants(
        &self,
        after: Option<RevocationId>,
        limit: usize,
        wanted: impl Fn(&KnownGrant) -> bool,
    ) -> Vec<KnownGrant> {
        let known = self.read();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = known.grants.rows.range((from, Bound::Unbounded));
        behind.filter_map(|(id, _)| known.grants.get(*id)).filter(wanted).take(limit).collect()
    }

    /// Whether a token, or one that it was narrowed from, was registered by somebody.
    pub(crate) fn is_registered(&self, token: &Revocable) -> bool {
        let known = self.read();
        let registered = |rid| known.grants.rows.get(rid).is_some_and(|grant| grant.row.registered_by.is_some());
        token.rids.iter().any(registered)
    }

    /// How many bytes of grants there may be more.
    pub(crate) fn room_for_grants(&self) -> usize {
        MOST_GRANT_BYTES.saturating_sub(self.read().grants.bytes)
    }

    /// Some of the grants that ended until then.
    pub(crate) fn grants_ended(&self, until: Timestamp, limit: usize) -> Vec<RevocationId> {
        let known = self.read();
        let ended = known.grants.ends.iter().take_while(|(end, _)| *end <= until).map(|(_, id)| *id);
        ended.filter(|id| !known.reviews.is_under_review(*id)).take(limit).collect()
    }

    /// Forgets grants whose rows were removed.
    pub(crate) fn forget_grants(&self, ids: &[RevocationId]) {
        let mut known = self.known.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        ids.iter().for_each(|id| known.grants.remove(*id));
    }
}
