//! What the tokens of an issuer can allow at most.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::decide::{Reach, Request};
use super::statement::words;
use crate::ids::KindId;
use crate::record::{Kind, Record};
use crate::terms::{Action, Confidentiality, Purpose};

/// Kinds that a ceiling can list.
pub(crate) const MAX_CEILING_KINDS: usize = 1_000;

/// What the tokens of an issuer can allow at most in a vault, whatever they say
/// ([`Vault::limit_issuer`](crate::Vault::limit_issuer)). What is not said is not limited; an empty list allows nothing. It
/// binds in emergencies, too.
///
/// ```
/// use std::time::Duration;
/// use chartvault::{Action, Ceiling, Confidentiality, Purpose};
/// let agency = Ceiling::new().actions([Action::Read, Action::List]).purposes([Purpose::Treatment])
///     .sensitivity(Confidentiality::Normal).longest_validity(Duration::from_secs(12 * 3_600));
/// assert!(agency.to_string().starts_with("actions read, list; kinds all"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Ceiling {
    actions: Option<BTreeSet<Action>>,
    kinds: Option<BTreeSet<Kind>>,
    purposes: Option<BTreeSet<Purpose>>,
    sensitivity: Confidentiality,
    /// Whole seconds.
    longest: Option<u32>,
}

impl Default for Ceiling {
    fn default() -> Self {
        let sensitivity = Confidentiality::VeryRestricted;
        Self { actions: None, kinds: None, purposes: None, sensitivity, longest: None }
    }
}

impl Ceiling {
    /// One that limits nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// At most these actions, and those said before.
    pub fn actions(mut self, actions: impl IntoIterator<Item = Action>) -> Self {
        self.actions.get_or_insert_default().extend(actions);
        self
    }

    /// At most this kind of record, and those said before.
    pub fn kind<T: Record>(self) -> Self {
        self.kinds([Kind::of::<T>()])
    }

    /// At most these kinds of record, and those said before; 1,000 in all.
    pub fn kinds(mut self, kinds: impl IntoIterator<Item = Kind>) -> Self {
        self.kinds.get_or_insert_default().extend(kinds);
        self
    }

    /// At most these purposes of use, and those said before.
    pub fn purposes(mut self, purposes: impl IntoIterator<Item = Purpose>) -> Self {
        self.purposes.get_or_insert_default().extend(purposes);
        self
    }

    /// At most records of this confidentiality.
    pub const fn sensitivity(mut self, level: Confidentiality) -> Self {
        self.sensitivity = level;
        self
    }

    /// Grants are valid for so long at most, from when they were issued: whole seconds.
    pub fn longest_validity(mut self, length: Duration) -> Self {
        self.longest = Some(u32::try_from(length.as_secs()).unwrap_or(u32::MAX));
        self
    }

    /// Its actions; `None` is no limit.
    #[must_use]
    pub const fn listed_actions(&self) -> Option<&BTreeSet<Action>> {
        self.actions.as_ref()
    }

    /// Its kinds; `None` is no limit.
    #[must_use]
    pub const fn listed_kinds(&self) -> Option<&BTreeSet<Kind>> {
        self.kinds.as_ref()
    }

    /// Its purposes; `None` is no limit.
    #[must_use]
    pub const fn listed_purposes(&self) -> Option<&BTreeSet<Purpose>> {
        self.purposes.as_ref()
    }

    /// The most confidential records.
    #[must_use]
    pub const fn most_confidential(&self) -> Confidentiality {
        self.sensitivity
    }

    /// How long grants can be valid; `None` is no limit.
    #[must_use]
    pub fn longest_validity_of_grants(&self) -> Option<Duration> {
        self.longest.map(|seconds| Duration::from_secs(seconds.into()))
    }
}

impl fmt::Display for Ceiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// More would not fit an entry of the log.
        const SHOWN: usize = 8;
        let list = |listed: Option<Vec<String>>| match listed {
            None => "all".to_owned(),
            Some(listed) if listed.len() > SHOWN => format!("{} of them", listed.len()),
            Some(listed) => words(&listed),
        };
        let kinds = list(self.kinds.as_ref().map(|kinds| kinds.iter().map(Kind::to_string).collect()));
        let actions = self.actions.as_ref().map_or_else(|| "all".into(), |set| words(&set.iter().collect::<Vec<_>>()));
        let purposes =
            self.purposes.as_ref().map_or_else(|| "all".into(), |set| words(&set.iter().collect::<Vec<_>>()));
        write!(f, "actions {actions}; kinds {kinds}; purposes {purposes}; up to {}", self.sensitivity)?;
        self.longest.iter().try_for_each(|seconds| write!(f, "; valid for {seconds} s"))
    }
}

/// What a ceiling leaves, ready for decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CeilingRights {
    actions: u32,
    /// Ascending; `None` is all.
    kinds: Option<Vec<KindId>>,
    purposes: u32,
    sensitivity: Confidentiality,
}

impl CeilingRights {
    pub(crate) fn of(ceiling: &Ceiling) -> Self {
        let kinds = ceiling.kinds.as_ref().map(|kinds| {
            let mut ids: Vec<KindId> = kinds.iter().map(Kind::id).collect();
            ids.sort_unstable();
            ids
        });
        let actions = ceiling.actions.as_ref().map(|set| set.iter().fold(0, |bits, action| bits | action.bit()));
        let purposes = ceiling.purposes.as_ref().map(|set| set.iter().fold(0, |bits, purpose| bits | purpose.bit()));
        let (actions, purposes) = (actions.unwrap_or(u32::MAX), purposes.unwrap_or(u32::MAX));
        Self { actions, kinds, purposes, sensitivity: ceiling.sensitivity }
    }

    /// Whether anything can be allowed for a purpose.
    pub(crate) const fn allows_purpose(&self, purpose: Purpose) -> bool {
        self.purposes & purpose.bit() != 0
    }

    /// Whether the operation can be allowed.
    pub(crate) fn allows(&self, request: &Request) -> bool {
        let kind = match (&self.kinds, request.kind) {
            (None, _) | (Some(_), Reach::Filtered) => true,
            (Some(listed), Reach::One(kind)) => listed.binary_search(&kind).is_ok(),
            (Some(_), Reach::Whole) => false,
        };
        kind && self.actions & request.action.bit() != 0
            && self.allows_purpose(request.purpose)
            && request.confidentiality.is_none_or(|level| level <= self.sensitivity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn request() -> Request {
        Request {
            action: Action::Read,
            kind: Reach::One(Kind::new("note").unwrap().id()),
            patient: Reach::Whole,
            purpose: Purpose::Treatment,
            confidentiality: Some(Confidentiality::Normal),
            now: Timestamp::from_micros(0),
            emergency: None,
        }
    }

    #[test]
    fn each_part_of_a_ceiling_refuses_what_is_beyond_it_and_what_is_not_said_refuses_nothing() {
        let allows = |ceiling: Ceiling, request: Request| CeilingRights::of(&ceiling).allows(&request);
        assert!(allows(Ceiling::new(), request()));
        let full = || {
            Ceiling::new().actions([Action::Read]).kinds([Kind::new("note").unwrap()]).purposes([Purpose::Treatment])
        };
        let full = || full().sensitivity(Confidentiality::Normal);
        assert!(allows(full(), request()));
        let beyond = [
            Request { action: Action::List, ..request() },
            Request { kind: Reach::One(Kind::new("allergy").unwrap().id()), ..request() },
            Request { kind: Reach::Whole, ..request() },
            Request { purpose: Purpose::Research, ..request() },
            Request { confidentiality: Some(Confidentiality::Restricted), ..request() },
        ];
        for beyond in beyond {
            assert!(!allows(full(), beyond), "{beyond:?}");
            assert!(allows(Ceiling::new(), beyond), "{beyond:?}");
        }
        assert!(allows(full(), Request { kind: Reach::Filtered, ..request() }));
        assert!(!allows(Ceiling::new().actions([]), request()));
    }
}
