//! What the vault's own rules say of a token, beside what its blocks say: whether it was revoked, whether its subject may
//! act, what its issuer can grant, whether it is registered where it has to be, whether its roles are in force and what they
//! allow. What does not depend on the operation is resolved once for a session, and again when the policy has changed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Unlocked;
use crate::clock::Timestamp;
use crate::ids::{KindId, RoleId};
use crate::policy::{CitedRole, Enrolment};
use crate::terms::{Categories, Confidentiality, Purpose};
use crate::token::{
    CeilingRights, Denial, DenyReason, Reach, Request, Revocable, Revoke, RoleRights, StoredGrant, TokenError,
    UnverifiedToken, VerifiedToken,
};

/// What the rules leave to a token, whatever the operation.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    /// Those that the grant cites; none is no limit.
    roles: Vec<Arc<RoleRights>>,
    /// What the issuer can grant at most; none is no limit.
    ceiling: Option<Arc<CeilingRights>>,
    /// Kinds in compartments that the token does not name.
    out_of_reach: Vec<KindId>,
    /// How long sessions may lie idle and last, by the rules for all tokens.
    pub(crate) idle: Option<Duration>,
    pub(crate) longest: Option<Duration>,
}

impl Standing {
    /// Whether the rules leave anything to be done for a purpose.
    pub(crate) fn opens(&self, purpose: Purpose) -> Result<(), Denial> {
        match &self.ceiling {
            Some(ceiling) if !ceiling.allows_purpose(purpose) => Err(by_rule(DenyReason::Issuer)),
            _ => Ok(()),
        }
    }

    /// How confidential a record may be at most, by the roles.
    pub(crate) fn most_confidential(&self) -> Confidentiality {
        self.roles.iter().map(|role| role.sensitivity()).max().unwrap_or(Confidentiality::VeryRestricted)
    }

    /// Whether the rules allow an operation that the token allows.
    pub(crate) fn allows(&self, request: &Request) -> Result<(), Denial> {
        if self.ceiling.as_ref().is_some_and(|ceiling| !ceiling.allows(request)) {
            return Err(by_rule(DenyReason::Issuer));
        }
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
        let (policy, issuer) = (&self.policy, token.issuer());
        if token.vault() == self.vault && policy.revocation(Revoke::Issuer(issuer)).is_some() {
            return Err(TokenError::IssuerRevoked { issuer });
        }
        let longest = policy.rules().longest_validity_of_tokens();
        let revoked = |rid| policy.revocation(Revoke::Block(rid)).is_some();
        let verified = token.verify(self.vault, |issuer| policy.issuer(issuer), revoked, now, longest)?;
        policy.check_not_revoked(verified.revocable())?;
        match policy.ceiling(issuer).and_then(|(ceiling, _)| ceiling.longest_validity_of_grants()) {
            Some(longest) if lives_longer(verified.revocable(), longest) => {
                Err(TokenError::BeyondCeiling { issuer, longest })
            }
            _ => Ok(verified),
        }
    }

    /// How a token stands, to be kept for as long as the policy stays as it is.
    pub(crate) fn standing(&self, token: &VerifiedToken) -> Result<Resolved, Denial> {
        let (generation, standing) = self.resolve(token);
        standing.map(|standing| Resolved(Mutex::new((generation, Ok(standing)))))
    }

    fn resolve(&self, token: &VerifiedToken) -> (u64, Result<Arc<Standing>, Denial>) {
        // Before anything is looked up: a change meanwhile makes it stale.
        let generation = self.policy.generation();
        (generation, self.resolve_now(token).map(Arc::new))
    }

    fn resolve_now(&self, token: &VerifiedToken) -> Result<Standing, Denial> {
        self.resolve_named(token.revocable(), token.roles(), |kind| token.names_kind(kind))
    }

    /// How a grant stands that the vault keeps.
    pub(crate) fn standing_of(&self, grant: &StoredGrant, names: &Revocable) -> Result<Standing, Denial> {
        self.resolve_named(names, grant.roles(), |kind| grant.names_kind(kind))
    }

    fn resolve_named(
        &self,
        names: &Revocable,
        roles: impl Iterator<Item = (RoleId, u32)>,
        names_kind: impl Fn(KindId) -> bool,
    ) -> Result<Standing, Denial> {
        let policy = &self.policy;
        if policy.revoked_by(names).is_some() {
            return Err(by_rule(DenyReason::Revoked));
        }
        let rules = policy.rules();
        match policy.enrolment(names.subject) {
            Enrolment::Disabled => return Err(by_rule(DenyReason::Principal)),
            Enrolment::None if rules.wants_enrolled_principals() => return Err(by_rule(DenyReason::Principal)),
            Enrolment::None | Enrolment::Enabled => {}
        }
        if rules.wants_registered_grants() && !policy.is_registered(names) {
            return Err(by_rule(DenyReason::NotRegistered));
        }
        if lives_longer(names, rules.longest_validity_of_tokens()) {
            return Err(by_rule(DenyReason::Issuer));
        }
        let ceiling = match policy.ceiling(names.issuer) {
            Some((ceiling, _))
                if ceiling.longest_validity_of_grants().is_some_and(|longest| lives_longer(names, longest)) =>
            {
                return Err(by_rule(DenyReason::Issuer));
            }
            ceiling => ceiling.map(|(_, rights)| rights),
        };
        let roles = roles.map(|(id, revision)| match policy.cited_role(id, revision) {
            CitedRole::InForce(rights) => Ok(rights),
            CitedRole::Changed => Err(by_rule(DenyReason::RoleChanged)),
            CitedRole::Unknown => Err(by_rule(DenyReason::RoleUnknown)),
        });
        let (idle, longest) = (rules.idle_limit(), rules.longest_session());
        let out_of_reach = policy.kept_apart().into_keys().filter(|kind| !names_kind(*kind)).collect();
        Ok(Standing { roles: roles.collect::<Result<_, _>>()?, ceiling, out_of_reach, idle, longest })
    }
}

/// Whether the grant itself, whatever it was narrowed to, is valid for longer than its issuer can grant.
fn lives_longer(token: &Revocable, longest: Duration) -> bool {
    token.granted_until > token.issued_at.saturating_add(longest)
}
