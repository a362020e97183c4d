//! Whether one grant allows less than another.

use super::inspect::EffectiveRights;
use super::statement::Listed;

impl EffectiveRights {
    /// Why this does not allow less than `other`, if so. Compared is what can be done: actions, kinds, patients, purposes,
    /// sensitivity, facilities, emergencies and roles, whatever their revision; not how long it is valid, nor what has to be
    /// shown.
    pub(crate) fn not_less_than(&self, other: &Self) -> Option<&'static str> {
        let sensitivity = self.sensitivity > other.sensitivity;
        let wider = [
            (!within(&self.actions, &other.actions), "it allows further actions"),
            (!listed_within(&self.kinds, &other.kinds), "it reaches further kinds"),
            (!listed_within(&self.patients, &other.patients), "it reaches further patients"),
            (!within(&self.purposes, &other.purposes), "it allows further purposes"),
            (sensitivity, "it reaches more confidential records"),
            (!listed_within(&self.facilities, &other.facilities), "it opens sessions in further facilities"),
            (!self.emergency_within(other), "it allows more in emergencies"),
            (!self.roles_within(other), "it is not bound by the roles that bind the other"),
        ];
        if let Some((_, why)) = wider.into_iter().find(|(wider, _)| *wider) {
            return Some(why);
        }
        let as_wide = within(&other.actions, &self.actions)
            && listed_within(&other.kinds, &self.kinds)
            && listed_within(&other.patients, &self.patients)
            && within(&other.purposes, &self.purposes)
            && other.sensitivity == self.sensitivity
            && listed_within(&other.facilities, &self.facilities)
            && other.emergency_within(self)
            && other.roles_within(self);
        as_wide.then_some("it allows as much")
    }

    fn emergency_within(&self, other: &Self) -> bool {
        match (&self.emergency, &other.emergency) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(theirs)) => {
                within(&own.actions, &theirs.actions)
                    && own.sensitivity <= theirs.sensitivity
                    && own.longest <= theirs.longest
            }
        }
    }

    /// More roles allow more, but none is no bound.
    fn roles_within(&self, other: &Self) -> bool {
        let cites = |role| other.roles.iter().any(|(theirs, _)| theirs == role);
        other.roles.is_empty() || !self.roles.is_empty() && self.roles.iter().all(|(role, _)| cites(role))
    }
}

fn within<T: PartialEq>(some: &[T], all: &[T]) -> bool {
    some.iter().all(|one| all.contains(one))
}

fn listed_within<T: PartialEq>(some: &Listed<T>, all: &Listed<T>) -> bool {
    match (some, all) {
        (_, Listed::All) => true,
        (Listed::All, Listed::Only(_)) => false,
        (Listed::Only(some), Listed::Only(all)) => within(some, all),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ids::{PatientId, RoleId, VaultId};
    use crate::terms::{Action, Confidentiality, Purpose};
    use crate::token::{Grant, IssuerKey};

    fn rights(limit: impl Fn(Grant) -> Grant) -> EffectiveRights {
        let grant = Grant::to("dr.osei").all_kinds().purposes([Purpose::Treatment]).valid_for(Duration::from_secs(60));
        let issuer = IssuerKey::generate().unwrap();
        limit(grant).sign(&issuer, VaultId::from_bytes([0; 16])).unwrap().inspect().effective()
    }

    fn usual(grant: Grant) -> Grant {
        grant.all_patients().actions([Action::Read, Action::List]).sensitivity(Confidentiality::Restricted)
    }

    #[test]
    fn a_grant_that_allows_less_in_one_thing_and_more_in_none_is_less() {
        let (base, role) = (rights(usual), |byte| RoleId::from_bytes([byte; 16]));
        let patient = PatientId::from_bytes([1; 16]);
        let minute = Duration::from_secs(60);
        let urgent = |grant: Grant| usual(grant).emergency([Action::Read], Confidentiality::Restricted, minute);
        let why = |new: &EffectiveRights, old: &EffectiveRights| new.not_less_than(old).unwrap_or("less");
        let read = |grant: Grant| grant.all_patients().actions([Action::Read]).sensitivity(Confidentiality::Restricted);
        let one = |grant: Grant| {
            let grant = grant.patient(patient).actions([Action::Read, Action::List]);
            grant.sensitivity(Confidentiality::Restricted)
        };
        assert_eq!(why(&rights(read), &base), "less");
        assert_eq!(why(&base, &rights(read)), "it allows further actions");
        assert_eq!(why(&rights(one), &base), "less");
        assert_eq!(why(&base, &rights(one)), "it reaches further patients");
        assert_eq!(why(&rights(one), &rights(read)), "it allows further actions");
        assert_eq!(why(&base, &rights(usual)), "it allows as much");
        assert_eq!(why(&base, &rights(urgent)), "less");
        assert_eq!(why(&rights(urgent), &base), "it allows more in emergencies");
        let nurse = rights(|grant| usual(grant).cite(role(1), 1));
        let both = rights(|grant| usual(grant).cite(role(1), 2).cite(role(2), 1));
        assert_eq!((why(&nurse, &base), why(&nurse, &both)), ("less", "less"));
        assert_eq!(why(&base, &nurse), "it is not bound by the roles that bind the other");
        assert_eq!(why(&both, &nurse), "it is not bound by the roles that bind the other");
        let high = rights(|grant| usual(grant).sensitivity(Confidentiality::VeryRestricted));
        assert_eq!(why(&high, &base), "it reaches more confidential records");
    }
}
