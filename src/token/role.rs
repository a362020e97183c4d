//! Roles (RBAC, ANSI INCITS 359): named rights that grants cite. What a role allows is kept by the vault, so that a role
//! can be changed without asking those who hold tokens.

use std::collections::BTreeSet;
use std::fmt::{self, Write};

use serde::{Deserialize, Serialize};

use super::MAX_LISTED;
use super::decide::{Reach, Request};
use super::statement::words;
use crate::clock::Timestamp;
use crate::crypto::kdf;
use crate::ids::{KindId, PrincipalId, RoleId};
use crate::record::{Kind, Record};
use crate::terms::{Action, Categories, Category, Confidentiality, Purpose};

/// Bytes of the longest name of a role.
pub(crate) const MAX_NAME: usize = 64;
/// Bytes of the longest description of a role.
pub(crate) const MAX_DESCRIPTION: usize = 256;

/// Rights under a name, such as `nurse`: actions, kinds, purposes, and how confidential a record may be. Data to be edited:
/// [`Role::clinical`] gives some to start from. It counts once a vault defines it
/// ([`Roles::define`](crate::Roles::define)), which numbers its revisions.
///
/// ```
/// use chartvault::{Action, Purpose, Role};
/// let nurse = Role::new("nurse").description("care on the ward").all_kinds()
///     .actions([Action::Read, Action::List, Action::Create]).purposes([Purpose::Treatment]);
/// let reader = nurse.clone().without_actions([Action::Create]);
/// assert_eq!(nurse.difference(&reader), "- action create\n");
/// # assert!(nurse.check().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[must_use]
pub struct Role {
    name: String,
    #[serde(default)]
    description: String,
    actions: BTreeSet<Action>,
    /// `None` is all.
    kinds: Option<BTreeSet<Kind>>,
    purposes: BTreeSet<Purpose>,
    sensitivity: Confidentiality,
    #[serde(default)]
    categories: BTreeSet<Category>,
}

/// A role that no vault takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRole {
    /// A blank name, or one of more than 64 bytes.
    #[error("the name of a role has 1 to {MAX_NAME} bytes that are not all blank; this one has {len}")]
    Name {
        /// Its bytes.
        len: usize,
    },
    /// A description of more than 256 bytes.
    #[error("the description of role {role:?} has {len} bytes; it may have {MAX_DESCRIPTION}")]
    Description {
        /// The role.
        role: String,
        /// Its bytes.
        len: usize,
    },
    /// It allows nothing.
    #[error("role {role:?} lists no {what}, with which nothing is allowed")]
    Empty {
        /// The role.
        role: String,
        /// Of what it lists none.
        what: &'static str,
    },
    /// More kinds than a block of a token can list.
    #[error("role {role:?} lists {found} kinds; it may list {MAX_LISTED}: say all kinds, or make two roles")]
    TooManyKinds {
        /// The role.
        role: String,
        /// How many.
        found: usize,
    },
}

impl Role {
    /// A role that allows nothing yet, up to normal confidentiality, with no kind listed.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            description: String::new(),
            actions: BTreeSet::new(),
            kinds: Some(BTreeSet::new()),
            purposes: BTreeSet::new(),
            sensitivity: Confidentiality::default(),
            categories: BTreeSet::new(),
        }
    }

    /// What it is for, up to 256 bytes.
    pub fn description(mut self, text: &str) -> Self {
        text.clone_into(&mut self.description);
        self
    }

    /// Adds actions.
    pub fn actions(mut self, actions: impl IntoIterator<Item = Action>) -> Self {
        self.actions.extend(actions);
        self
    }

    /// Takes actions away.
    pub fn without_actions(mut self, actions: impl IntoIterator<Item = Action>) -> Self {
        actions.into_iter().for_each(|action| {
            self.actions.remove(&action);
        });
        self
    }

    /// Adds a kind of record.
    pub fn kind<T: Record>(self) -> Self {
        self.kinds([Kind::of::<T>()])
    }

    /// Adds kinds of record; at most 32.
    pub fn kinds(mut self, kinds: impl IntoIterator<Item = Kind>) -> Self {
        self.kinds.get_or_insert_default().extend(kinds);
        self
    }

    /// Takes kinds away. Of a role for all kinds nothing can be taken: list those that stay.
    pub fn without_kinds(mut self, kinds: impl IntoIterator<Item = Kind>) -> Self {
        if let Some(listed) = &mut self.kinds {
            kinds.into_iter().for_each(|kind| {
                listed.remove(&kind);
            });
        }
        self
    }

    /// All kinds of record, those included that come later.
    pub fn all_kinds(mut self) -> Self {
        self.kinds = None;
        self
    }

    /// Adds purposes of use.
    pub fn purposes(mut self, purposes: impl IntoIterator<Item = Purpose>) -> Self {
        self.purposes.extend(purposes);
        self
    }

    /// The most confidential records.
    pub const fn sensitivity(mut self, ceiling: Confidentiality) -> Self {
        self.sensitivity = ceiling;
        self
    }

    /// Adds sensitive categories of records, which a role that does not name them never allows.
    pub fn categories(mut self, categories: impl IntoIterator<Item = Category>) -> Self {
        self.categories.extend(categories);
        self
    }

    /// Takes sensitive categories away.
    pub fn without_categories(mut self, categories: impl IntoIterator<Item = Category>) -> Self {
        categories.into_iter().for_each(|category| {
            self.categories.remove(&category);
        });
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id by which grants cite it.
    #[must_use]
    pub fn id(&self) -> RoleId {
        kdf::role_id(&self.name)
    }

    /// What it is for.
    #[must_use]
    pub fn description_text(&self) -> &str {
        &self.description
    }

    /// Its actions, in the order of their bits.
    pub fn listed_actions(&self) -> impl Iterator<Item = Action> {
        self.actions.iter().copied()
    }

    /// Its kinds, ascending; `None` is all.
    #[must_use]
    pub const fn listed_kinds(&self) -> Option<&BTreeSet<Kind>> {
        self.kinds.as_ref()
    }

    /// Its purposes of use, in the order of their bits.
    pub fn listed_purposes(&self) -> impl Iterator<Item = Purpose> {
        self.purposes.iter().copied()
    }

    /// The most confidential records that it allows.
    #[must_use]
    pub const fn ceiling(&self) -> Confidentiality {
        self.sensitivity
    }

    /// Sensitive categories whose records it allows, in the order of their bits.
    pub fn listed_categories(&self) -> impl Iterator<Item = Category> {
        self.categories.iter().copied()
    }

    /// Whether a vault would take it.
    ///
    /// # Errors
    /// [`InvalidRole`] with the first thing that is not as it must be.
    pub fn check(&self) -> Result<(), InvalidRole> {
        let role = || self.name.clone();
        let (len, kinds) = (self.name.len(), self.kinds.as_ref().map(BTreeSet::len));
        match (kinds, self.description.len()) {
            _ if self.name.trim().is_empty() || len > MAX_NAME => Err(InvalidRole::Name { len }),
            (_, len) if len > MAX_DESCRIPTION => Err(InvalidRole::Description { role: role(), len }),
            _ if self.actions.is_empty() => Err(InvalidRole::Empty { role: role(), what: "action" }),
            _ if self.purposes.is_empty() => Err(InvalidRole::Empty { role: role(), what: "purpose" }),
            (Some(0), _) => Err(InvalidRole::Empty { role: role(), what: "kind" }),
            (Some(found), _) if found > MAX_LISTED => Err(InvalidRole::TooManyKinds { role: role(), found }),
            _ => Ok(()),
        }
    }

    /// What another revision of it has more and less, a line each behind `+` and `-`; nothing where both are alike.
    #[must_use]
    pub fn difference(&self, newer: &Self) -> String {
        let mut lines = String::new();
        compare(&mut lines, "action", &self.actions, &newer.actions);
        match (&self.kinds, &newer.kinds) {
            (Some(old), Some(new)) => compare(&mut lines, "kind", old, new),
            (None, Some(new)) => {
                line(&mut lines, '-', "kinds", "all");
                compare(&mut lines, "kind", &BTreeSet::new(), new);
            }
            (Some(old), None) => {
                compare(&mut lines, "kind", old, &BTreeSet::new());
                line(&mut lines, '+', "kinds", "all");
            }
            (None, None) => {}
        }
        compare(&mut lines, "purpose", &self.purposes, &newer.purposes);
        if self.sensitivity != newer.sensitivity {
            line(&mut lines, '-', "sensitivity up to", self.sensitivity);
            line(&mut lines, '+', "sensitivity up to", newer.sensitivity);
        }
        compare(&mut lines, "category", &self.categories, &newer.categories);
        if self.description != newer.description {
            line(&mut lines, '-', "description", &self.description);
            line(&mut lines, '+', "description", &newer.description);
        }
        lines
    }
}

fn line(lines: &mut String, sign: char, what: &str, value: impl fmt::Display) {
    // Writing to a string cannot fail.
    let _ = writeln!(lines, "{sign} {what} {value}");
}

fn compare<T: Ord + fmt::Display>(lines: &mut String, what: &str, old: &BTreeSet<T>, new: &BTreeSet<T>) {
    old.difference(new).for_each(|gone| line(lines, '-', what, gone));
    new.difference(old).for_each(|come| line(lines, '+', what, come));
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.name, self.description)?;
        writeln!(f, "  actions: {}", words(&self.actions.iter().collect::<Vec<_>>()))?;
        match &self.kinds {
            None => writeln!(f, "  kinds: all")?,
            Some(kinds) => writeln!(f, "  kinds: {}", words(&kinds.iter().collect::<Vec<_>>()))?,
        }
        writeln!(f, "  purposes: {}", words(&self.purposes.iter().collect::<Vec<_>>()))?;
        write!(f, "  sensitivity: up to {}", self.sensitivity)?;
        if self.categories.is_empty() {
            return Ok(());
        }
        write!(f, "\n  sensitive categories: {}", words(&self.categories.iter().collect::<Vec<_>>()))
    }
}

/// A role as a vault defined it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoleRevision {
    /// What it allows.
    pub role: Role,
    /// The number of this revision, from 1.
    pub revision: u32,
    /// When it was defined.
    pub defined_at: Timestamp,
    /// By whom.
    pub defined_by: PrincipalId,
    /// Whether no grant may cite it any more.
    pub retired: bool,
}

/// What a role allows, ready for decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoleRights {
    actions: u32,
    /// Ascending; `None` is all.
    kinds: Option<Vec<KindId>>,
    purposes: u32,
    sensitivity: Confidentiality,
    categories: Categories,
}

impl RoleRights {
    pub(crate) fn of(role: &Role) -> Self {
        let kinds = role.kinds.as_ref().map(|kinds| {
            let mut ids: Vec<KindId> = kinds.iter().map(Kind::id).collect();
            ids.sort_unstable();
            ids
        });
        Self {
            actions: role.actions.iter().fold(0, |bits, action| bits | action.bit()),
            kinds,
            purposes: role.purposes.iter().fold(0, |bits, purpose| bits | purpose.bit()),
            sensitivity: role.sensitivity,
            categories: role.categories.iter().copied().collect(),
        }
    }

    /// Sensitive categories whose records it allows.
    pub(crate) const fn categories(&self) -> Categories {
        self.categories
    }

    /// How confidential a record may be at most.
    pub(crate) const fn sensitivity(&self) -> Confidentiality {
        self.sensitivity
    }

    /// Whether the role alone allows the operation.
    pub(crate) fn allows(&self, request: &Request) -> bool {
        let kind = match (&self.kinds, request.kind) {
            (None, _) | (Some(_), Reach::Filtered) => true,
            (Some(listed), Reach::One(kind)) => listed.binary_search(&kind).is_ok(),
            (Some(_), Reach::Whole) => false,
        };
        // What may be done in an emergency, and how confidential it may be, the grant's issuer has said.
        let usual = request.emergency.is_none();
        kind && (!usual || self.actions & request.action.bit() != 0)
            && self.purposes & request.purpose.bit() != 0
            && (!usual || request.confidentiality.is_none_or(|level| level <= self.sensitivity))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nurse() -> Role {
        let kinds = ["note", "allergy"].map(|name| Kind::new(name).unwrap());
        Role::new("nurse").actions([Action::Read]).kinds(kinds).purposes([Purpose::Treatment])
    }

    #[test]
    fn a_role_that_allows_nothing_or_has_no_name_is_refused() {
        assert_eq!(nurse().check(), Ok(()));
        assert_eq!(Role { name: " ".into(), ..nurse() }.check(), Err(InvalidRole::Name { len: 1 }));
        assert_eq!(Role { name: "x".repeat(65), ..nurse() }.check(), Err(InvalidRole::Name { len: 65 }));
        assert!(matches!(
            nurse().description(&"x".repeat(257)).check(),
            Err(InvalidRole::Description { len: 257, .. })
        ));
        let empty = |role: Role| match role.check() {
            Err(InvalidRole::Empty { what, .. }) => what,
            other => panic!("{other:?}"),
        };
        assert_eq!(empty(nurse().without_actions([Action::Read])), "action");
        assert_eq!(empty(Role { purposes: BTreeSet::new(), ..nurse() }), "purpose");
        assert_eq!(empty(nurse().without_kinds(["note", "allergy"].map(|name| Kind::new(name).unwrap()))), "kind");
        let many = (0..31).map(|number| Kind::new(&format!("kind-{number}")).unwrap());
        assert!(matches!(nurse().kinds(many).check(), Err(InvalidRole::TooManyKinds { found: 33, .. })));
    }

    #[test]
    fn differences_name_what_came_and_what_went() {
        let newer = nurse()
            .actions([Action::Create])
            .without_kinds([Kind::new("note").unwrap()])
            .sensitivity(Confidentiality::Restricted);
        let lines = "+ action create\n- kind note\n- sensitivity up to N\n+ sensitivity up to R\n";
        assert_eq!(nurse().difference(&newer), lines);
        assert_eq!(nurse().difference(&nurse()), "");
        assert_eq!(nurse().difference(&nurse().all_kinds()), "- kind allergy\n- kind note\n+ kinds all\n");
        assert_eq!(nurse().all_kinds().difference(&nurse()), "- kinds all\n+ kind allergy\n+ kind note\n");
    }

    #[test]
    fn a_role_comes_back_from_json() {
        let json = serde_json::to_string(&nurse()).unwrap();
        assert_eq!(serde_json::from_str::<Role>(&json).unwrap(), nurse());
        for clinical in Role::clinical() {
            assert_eq!(clinical.check(), Ok(()), "{clinical}");
            let json = serde_json::to_string(&clinical).unwrap();
            assert_eq!(serde_json::from_str::<Role>(&json).unwrap(), clinical);
        }
    }
}
