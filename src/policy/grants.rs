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
/// Bytes of grants that nobody registered.
const MOST_SEEN_BYTES: usize = 8 << 20;

/// By id.
#[derive(Default)]
pub(super) struct Grants {
    rows: BTreeMap<RevocationId, Known>,
    /// By when they end.
    ends: BTreeSet<(Timestamp, RevocationId)>,
    uses: HashMap<RevocationId, GrantUse>,
    bytes: usize,
    /// Of them, those of grants that nobody registered.
    seen_bytes: usize,
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
        self.count(&row, usize::saturating_add);
        if let Some(old) = self.rows.insert(id, Known { row, revocable }) {
            self.count(&old.row, usize::saturating_sub);
        }
    }

    pub(super) fn used(&mut self, used: GrantUse) {
        self.uses.insert(used.id, used);
    }

    fn remove(&mut self, id: RevocationId) {
        self.uses.remove(&id);
        if let Some(known) = self.rows.remove(&id) {
            self.ends.remove(&(known.revocable.not_after, id));
            self.count(&known.row, usize::saturating_sub);
        }
    }

    fn count(&mut self, row: &GrantRow, change: fn(usize, usize) -> usize) {
        self.bytes = change(self.bytes, row.len());
        if row.registered_by.is_none() {
            self.seen_bytes = change(self.seen_bytes, row.len());
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

    /// How many bytes of grants there may be more that somebody registers, or that open a session without: of those, so that
    /// whoever narrows a token again and again does not keep others from registering theirs.
    pub(crate) fn room_for_grants(&self, registered: bool) -> usize {
        let grants = &self.read().grants;
        if registered {
            MOST_GRANT_BYTES.saturating_sub(grants.bytes.saturating_sub(grants.seen_bytes))
        } else {
            MOST_SEEN_BYTES.saturating_sub(grants.seen_bytes)
        }
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

#[cfg(test)]
mod tests {
    use super::super::PolicyRow;
    use super::super::grant::tests::documented;
    use super::*;

    #[test]
    fn grants_take_their_room_once_and_give_it_back() {
        let policy = Policy::default();
        let (row, id) = (Arc::new(documented()), documented().id());
        for _ in 0..2 {
            policy.apply(PolicyRow::Grant(Arc::clone(&row)));
            assert_eq!(policy.room_for_grants(true), MOST_GRANT_BYTES - row.len());
        }
        let end = row.grant.revocable().not_after;
        assert_eq!(policy.grants_ended(Timestamp::from_micros(end.as_micros() - 1), 9), []);
        assert_eq!(policy.grants_ended(end, 9), [id]);
        policy.forget_grants(&[id]);
        assert_eq!((policy.room_for_grants(true), policy.grants_ended(end, 9)), (MOST_GRANT_BYTES, Vec::new()));
        assert!(policy.grant(id).is_none());
    }

    #[test]
    fn a_row_is_counted_as_what_its_page_says() {
        let row = documented();
        let behind_the_note =
            PolicyRow::Grant(Arc::new(row.clone())).to_bytes().len() - (1 + 1 + 8 + 16 + 2) - row.note.len();
        assert_eq!(row.len(), behind_the_note + row.note.len() + 64);
    }
}
