//! What keeps flags from being raised, for a while and for a reason.

use super::context::{CareAnswer, CareContext};
use super::rule::MonitorRule;
use crate::clock::Timestamp;
use crate::ids::{PatientId, PrincipalId};

/// Bytes of a suppressor's reason.
pub(crate) const MAX_SUPPRESS_REASON: usize = 256;
/// Bytes of the name of a group.
pub(crate) const MAX_GROUP: usize = 64;

/// Keeps flags from being raised that are known to be explainable: a department that shares its charts, a rota, a treating
/// team, a household that consented. It ends by itself, says why, never holds for whoever made it, and what it held back is
/// counted ([`Tally`](super::Tally)).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Suppressor {
    /// Flags of which rule; `None`: of all.
    pub rule: Option<MonitorRule>,
    /// Flags about whom; `None`: about anybody.
    pub actor: Option<PrincipalId>,
    /// Flags about those whom the host counts to this group ([`CareContext::is_in`]), 1 to 64 bytes.
    pub group: Option<String>,
    /// Flags about whose chart; `None`: about any.
    pub patient: Option<PatientId>,
    /// Until when, by the time of the access.
    pub until: Timestamp,
    /// Why, 1 to 256 bytes; let it name a rule and no person.
    pub reason: String,
    /// Who made it: for them it does not hold.
    pub by: Option<PrincipalId>,
}

impl Suppressor {
    /// One for everybody and everything, until then; narrow it.
    #[must_use]
    pub fn new(until: Timestamp, reason: &str) -> Self {
        let reason = reason.to_owned();
        Self { rule: None, actor: None, group: None, patient: None, until, reason, by: None }
    }

    /// Only flags of this rule.
    #[must_use]
    pub const fn rule(mut self, rule: MonitorRule) -> Self {
        self.rule = Some(rule);
        self
    }

    /// Only flags about this principal.
    #[must_use]
    pub const fn actor(mut self, actor: PrincipalId) -> Self {
        self.actor = Some(actor);
        self
    }

    /// Only flags about those whom the host counts to this group.
    #[must_use]
    pub fn group(mut self, group: &str) -> Self {
        self.group = Some(group.to_owned());
        self
    }

    /// Only flags about this patient's chart.
    #[must_use]
    pub const fn patient(mut self, patient: PatientId) -> Self {
        self.patient = Some(patient);
        self
    }

    /// Whether it holds back a flag; `Err` where only the host could say and it cannot.
    pub(super) fn holds(
        &self,
        (rule, at): (MonitorRule, Timestamp),
        (actor, patient): (Option<PrincipalId>, Option<PatientId>),
        context: &dyn CareContext,
    ) -> Result<bool, ()> {
        let fits = at < self.until
            && self.rule.is_none_or(|of| of == rule)
            && (self.actor.is_none() || self.actor == actor)
            && (self.patient.is_none() || self.patient == patient)
            && (self.by.is_none() || self.by != actor);
        match (&self.group, actor) {
            _ if !fits => Ok(false),
            (None, _) => Ok(true),
            (Some(_), None) => Ok(false),
            (Some(group), Some(actor)) => match context.is_in(actor, group) {
                CareAnswer::Yes => Ok(true),
                CareAnswer::No | CareAnswer::NotKept => Ok(false),
                CareAnswer::Failed => Err(()),
            },
        }
    }
}
