//! What the vault's own rules say of a token, beside what its blocks say: whether its subject may act, its roles are in
//! force and what they allow. What does not depend on the operation is resolved once for a session, and again when the policy has changed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Unlocked;
use crate::clock::Timestamp;
use crate::ids::KindId;
use crate::policy::{CitedRole, Enrolment};
use crate::terms::Categories;
use crate::token::{Denial, DenyReason, Reach, Request, RoleRights, TokenError, UnverifiedToken, VerifiedToken};

/// What the rules leave to a token, whatever the operation.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    /// Those that the grant cites; none is no limit.
    roles: Vec<Arc<RoleRights>>,
    /// Kinds in compartments that the token does not name.
    out_of_reach: Vec<KindId>,
    /// How long sessions may lie idle and last, by the rules for all tokens.
    pub(crate) idle: Option<Duration>,
    pub(crate) longest: Option<Duration>,
}

impl Standing {
    /// Whether the rules allow an operation that the token allows.
    pub(crate) fn allows(&self, request: &Request) -> Result<(), Denial> {
        if let Reach::One(kind) = request.kind
            && self.out_of_reach.contains(&kind)
        {
            return Err(by_rule(DenyReason::Compartment));
        }
        if self.roles.is_empty() || self.roles.iter().any(|role| role.allows(request)) {
            return Ok(());
        }
        Err(by_rule(DenyReason::Role))
    }
}

impl Standing {
    /// Whether a role of the grant allows an operation, and the sensitive categories of the record that it is about. A
    /// token without roles allows no category.
    pub(crate) fn allows_categories(&self, request: &Request, categories: Categories) -> bool {
        let by = |role: &Arc<RoleRights>| role.allows(request) && categories.are_within(role.categories());
        categories.is_empty() || self.roles.iter().any(by)
    }
}

/// The rules speak of the grant.
const fn by_rule(reason: DenyReason) -> Denial {
    Denial { block: 0, reason }
}

/// What was resolved last, and of which generation of the policy it is.
pub(crate) struct Resolved(Mutex<(u64, Result<Arc<Standing>, Denial>)>);

impl Resolved {
    /// How it stood when that was asked last.
    pub(crate) fn last(&self) -> Result<Arc<Standing>, Denial> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    /// How the token stands now.
    pub(crate) fn now(&self, unlocked: &Unlocked, token: &VerifiedToken) -> Result<Arc<Standing>, Denial> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.0 != unlocked.policy.generation() {
            *held = unlocked.resolve(token);
        }
        held.1.clone()
    }
}

impl Unlocked {
    /// Verifies a token as it was received, against the issuers and the rules of this vault.
    pub(crate) fn verify(&self, token: &UnverifiedToken, now: Timestamp) -> Result<VerifiedToken, TokenError> {
        let longest = self.policy.rules().longest_validity_of_tokens();
        token.verify(self.vault, |issuer| self.policy.issuer(issuer), |_| false, now, longest)
    }

    /// How a token stands, to be kept for as long as the policy stays as it is.
    pub(crate) fn standing(&self, token: &VerifiedToken) -> Result<Resolved, Denial> {
        let (generation, standing) = self.resolve(token);
        standing.map(|standing| Resolved(Mutex::new((generation, Ok(standing)))))
    }

    fn resolve(&self, token: &VerifiedToken) -> (u64, Result<Arc<Standing>, Denial>) {
        // Before anything is looked up: a change meanwhile makes it stale.
        let generation = self.policy.generation();
        let enrolled_only = self.policy.rules().wants_enrolled_principals();
        match self.policy.enrolment(token.subject()) {
            Enrolment::Disabled => return (generation, Err(by_rule(DenyReason::Principal))),
            Enrolment::None if enrolled_only => return (generation, Err(by_rule(DenyReason::Principal))),
            Enrolment::None | Enrolment::Enabled => {}
        }
        let roles = token.roles().map(|(id, revision)| match self.policy.cited_role(id, revision) {
            CitedRole::InForce(rights) => Ok(rights),
            CitedRole::Changed => Err(by_rule(DenyReason::RoleChanged)),
            CitedRole::Unknown => Err(by_rule(DenyReason::RoleUnknown)),
        });
        let rules = self.policy.rules();
        let (idle, longest) = (rules.idle_limit(), rules.longest_session());
        let out_of_reach: Vec<KindId> =
            self.policy.kept_apart().into_keys().filter(|kind| !token.names_kind(*kind)).collect();
        let roles = roles.collect::<Result<Vec<_>, _>>();
        (generation, roles.map(|roles| Arc::new(Standing { roles, out_of_reach, idle, longest })))
    }
}
