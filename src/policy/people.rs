//! What is held in memory of principals while the vault is unlocked: what decisions and sign-ins need, and no secret.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use super::Policy;
use super::failures::{Failures, MAX_UNKNOWN_NAMES, least};
use super::principal::PrincipalRow;
use crate::bytes::Reader;
use crate::crypto::passphrase::PassphraseCost;
use crate::ids::PrincipalId;

/// Principals and failed sign-ins.
#[derive(Default)]
pub(super) struct People {
    by_id: HashMap<PrincipalId, Person>,
    /// Names in their order, for lists.
    names: BTreeMap<String, PrincipalId>,
    failures: HashMap<PrincipalId, Failures>,
}

struct Person {
    name: String,
    disabled: bool,
    /// Of the password, where there is one.
    cost: Option<PassphraseCost>,
}

/// Whether somebody is enrolled, and may act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Enrolment {
    /// Never enrolled here: known by tokens alone.
    None,
    Enabled,
    Disabled,
}

impl People {
    /// Whether decisions depend on what is new.
    pub(super) fn apply(&mut self, row: &PrincipalRow) -> bool {
        let (disabled, cost) = (row.disabled.is_some(), row.password.as_ref().map(|verifier| verifier.cost));
        self.names.insert(row.name.clone(), row.id());
        let person = Person { name: row.name.clone(), disabled, cost };
        self.by_id.insert(row.id(), person).is_none_or(|before| before.disabled != disabled)
    }

    pub(super) fn count(&mut self, failures: Failures) {
        if failures.count == 0 {
            self.failures.remove(&failures.of);
        } else {
            self.failures.insert(failures.of, failures);
        }
    }
}

impl Policy {
    /// Whether a principal may act.
    pub(crate) fn enrolment(&self, principal: PrincipalId) -> Enrolment {
        match self.read().people.by_id.get(&principal) {
            None => Enrolment::None,
            Some(Person { disabled: false, .. }) => Enrolment::Enabled,
            Some(Person { disabled: true, .. }) => Enrolment::Disabled,
        }
    }

    /// The name of a principal who is enrolled.
    pub(crate) fn principal_name(&self, principal: PrincipalId) -> Option<String> {
        self.read().people.by_id.get(&principal).map(|person| person.name.clone())
    }

    /// Whether a principal is enrolled, disabled or not.
    pub(crate) fn is_enrolled(&self, principal: PrincipalId) -> bool {
        self.enrolment(principal) != Enrolment::None
    }

    /// How many principals are enrolled.
    pub(crate) fn principals(&self) -> usize {
        self.read().people.by_id.len()
    }

    /// Names behind `after` in their order, `limit` at most.
    pub(crate) fn names_after(&self, after: Option<&str>, limit: usize) -> Vec<String> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let known = self.read();
        known.people.names.range::<str, _>((from, Bound::Unbounded)).take(limit).map(|(name, _)| name.clone()).collect()
    }

    /// What is taken for the cost of a password that nobody has: that of some principal, always the same one for the same
    /// name, so that a name nobody has takes as long as one that somebody has.
    pub(crate) fn cost_in_place_of(&self, principal: PrincipalId) -> Option<PassphraseCost> {
        let known = self.read();
        // The names in their order, since the order of the map by id differs from one opening to the next.
        let names = &known.people.names;
        let person = |id| known.people.by_id.get(id).and_then(|person| person.cost);
        let count = names.values().filter_map(person).count();
        let place = usize::from(Reader::new(principal.as_bytes()).u16().ok()?).checked_rem(count)?;
        names.values().filter_map(person).nth(place)
    }

    /// Failures under the name of a principal, or of nobody.
    pub(crate) fn failures(&self, of: PrincipalId) -> Failures {
        self.read().people.failures.get(&of).copied().unwrap_or(Failures::none(of))
    }

    /// Which count has to go before one for another name that nobody has is kept.
    pub(crate) fn failures_to_forget(&self) -> Option<Failures> {
        let known = self.read();
        let people = &known.people;
        let unknown = || people.failures.values().filter(|failures| !people.by_id.contains_key(&failures.of));
        if unknown().count() < MAX_UNKNOWN_NAMES { None } else { least(unknown().copied()) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::PolicyRow;
    use super::*;
    use crate::clock::Timestamp;
    use crate::crypto::kdf;
    use std::sync::Arc;

    const NOW: Timestamp = Timestamp::from_micros(0);

    fn policy(names: &[&str]) -> Policy {
        let policy = Policy::default();
        for name in names {
            policy.apply(PolicyRow::Principal(Arc::new(PrincipalRow::new(name, NOW))));
        }
        policy
    }

    fn fail(policy: &Policy, name: &str, times: u32) {
        let of = kdf::principal_id(name);
        policy.apply(PolicyRow::Failures(Failures { of, count: times, last: NOW }));
    }

    #[test]
    fn the_1025th_name_that_nobody_has_pushes_out_the_smallest_count_and_never_that_of_a_principal() {
        let policy = policy(&["dr.osei"]);
        fail(&policy, "dr.osei", 1);
        (1..MAX_UNKNOWN_NAMES).for_each(|number| fail(&policy, &format!("nobody-{number}"), 7));
        assert_eq!(policy.failures_to_forget(), None);
        fail(&policy, "nobody", 6);
        assert_eq!(policy.failures_to_forget().map(|failures| failures.of), Some(kdf::principal_id("nobody")));
        policy.apply(PolicyRow::Failures(Failures::none(kdf::principal_id("nobody"))));
        assert_eq!(policy.failures_to_forget(), None);
        assert_eq!(policy.failures(kdf::principal_id("dr.osei")).count, 1);
    }

    #[test]
    fn names_come_in_their_order_a_page_at_a_time() {
        let policy = policy(&["b", "a", "d", "c"]);
        assert_eq!(policy.names_after(None, 3), ["a", "b", "c"]);
        assert_eq!(policy.names_after(Some("c"), 3), ["d"]);
        assert_eq!((policy.names_after(Some("d"), 3).len(), policy.principals()), (0, 4));
    }

    #[test]
    fn a_name_that_nobody_has_costs_what_some_principals_password_costs() {
        let cheap = PassphraseCost::MINIMUM;
        let dear = PassphraseCost::new(20 << 10, 2, 1).unwrap();
        let policy = policy(&["without a password"]);
        assert_eq!(policy.cost_in_place_of(kdf::principal_id("x")), None);
        for (name, cost) in [("a", cheap), ("b", dear)] {
            let mut row = PrincipalRow::new(name, NOW);
            row.password = Some(super::super::principal::tests::verifier(cost));
            policy.apply(PolicyRow::Principal(Arc::new(row)));
        }
        let costs: Vec<_> = (0..64).map(|n| policy.cost_in_place_of(kdf::principal_id(&format!("x{n}")))).collect();
        assert!(costs.contains(&Some(cheap)) && costs.contains(&Some(dear)));
        assert_eq!(costs[0], policy.cost_in_place_of(kdf::principal_id("x0")));
    }
}
