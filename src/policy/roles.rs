//! The roles of a vault, in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Policy;
use crate::ids::RoleId;
use crate::token::{RoleRevision, RoleRights};

/// By id and revision; the greatest revision is the one in force.
#[derive(Default)]
pub(super) struct Roles(BTreeMap<RoleId, Role>);

#[derive(Default)]
struct Role {
    revisions: BTreeMap<u32, RoleRevision>,
    rights: Option<Arc<RoleRights>>,
}

/// A role that a grant cites, at a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CitedRole {
    /// It is in force.
    InForce(Arc<RoleRights>),
    /// Another revision is.
    Changed,
    /// There is none of this id, or it was retired.
    Unknown,
}

impl Roles {
    pub(super) fn define(&mut self, row: RoleRevision) {
        let role = self.0.entry(row.role.id()).or_default();
        role.rights = (!row.retired).then(|| Arc::new(RoleRights::of(&row.role)));
        role.revisions.insert(row.revision, row);
    }

    /// One that is not in force any more. The one that is may come later.
    pub(super) fn remember(&mut self, row: RoleRevision) {
        self.0.entry(row.role.id()).or_default().revisions.insert(row.revision, row);
    }
}

impl Role {
    fn in_force(&self) -> Option<&RoleRevision> {
        self.revisions.values().next_back()
    }
}

impl Policy {
    /// What a grant cites.
    pub(crate) fn cited_role(&self, id: RoleId, revision: u32) -> CitedRole {
        let known = self.read();
        let Some(role) = known.roles.0.get(&id) else { return CitedRole::Unknown };
        match (&role.rights, role.in_force()) {
            (Some(rights), Some(in_force)) if in_force.revision == revision => CitedRole::InForce(Arc::clone(rights)),
            (Some(_), Some(_)) => CitedRole::Changed,
            _ => CitedRole::Unknown,
        }
    }

    /// A role as it is in force.
    pub(crate) fn role(&self, id: RoleId) -> Option<RoleRevision> {
        self.read().roles.0.get(&id)?.in_force().cloned()
    }

    /// All revisions of a role, the first one first.
    pub(crate) fn role_revisions(&self, id: RoleId) -> Vec<RoleRevision> {
        self.read().roles.0.get(&id).map(|role| role.revisions.values().cloned().collect()).unwrap_or_default()
    }

    /// All roles as they are in force, by name.
    pub(crate) fn roles(&self) -> Vec<RoleRevision> {
        let known = self.read();
        let mut roles: Vec<RoleRevision> = known.roles.0.values().filter_map(|role| role.in_force().cloned()).collect();
        roles.sort_by(|a, b| a.role.name().cmp(b.role.name()));
        roles
    }
}
