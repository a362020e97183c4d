//! What only the host knows: who is whose colleague, patient, relative.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::rule::MonitorRule;
use crate::clock::Timestamp;
use crate::crypto::kdf;
use crate::ids::{PatientId, PrincipalId};

/// The host's answer to a question about an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CareAnswer {
    /// Yes.
    Yes,
    /// No.
    No,
    /// The host keeps no such thing: the rule raises nothing.
    NotKept,
    /// The host keeps it and cannot say now: a flag is raised that says so, for the actor and the day.
    Failed,
}

/// What a [`CareContext`] is asked about a flag that is about to be raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlagQuestion {
    /// The rule.
    pub rule: MonitorRule,
    /// Whom the flag is about; `None` where nobody is known, as when a name was tried that nobody has.
    pub actor: Option<PrincipalId>,
    /// Whose chart; `None` where the flag is about no single one.
    pub patient: Option<PatientId>,
    /// When.
    pub at: Timestamp,
}

/// What the host knows of staff and patients, for [monitoring](crate::MonitoringRules). All of it is optional: what is not
/// implemented counts as [`CareAnswer::NotKept`]. Names never come into the vault: the host answers yes or no.
///
/// **It is asked for each access that is monitored**, in a thread of the vault or of whoever runs the rules over the past:
/// let it answer from memory, and never call into the vault or a session. One that panics has answered
/// [`CareAnswer::Failed`]. It is asked about the past as well, with the time of the access: where it answers from what holds
/// now, flags over the past can differ from those of then.
///
/// ```
/// use std::sync::Arc;
/// use chartvault::{CareAnswer, CareContext, Options, PatientId, PrincipalId, Timestamp};
///
/// struct Rota;
///
/// impl CareContext for Rota {
///     fn has_relation(&self, _: PrincipalId, _: PatientId, _: Timestamp) -> CareAnswer {
///         CareAnswer::Failed // the rota's server is down: flags are raised that say so
///     }
/// }
///
/// let options = Options::new().care_context(Arc::new(Rota));
/// ```
pub trait CareContext: Send + Sync {
    /// Whether the patient is the actor.
    fn is_own_record(&self, actor: PrincipalId, patient: PatientId) -> CareAnswer {
        let _ = (actor, patient);
        CareAnswer::NotKept
    }

    /// Whether both have the same surname.
    fn has_same_surname(&self, actor: PrincipalId, patient: PatientId) -> CareAnswer {
        let _ = (actor, patient);
        CareAnswer::NotKept
    }

    /// Whether the patient is known to many.
    fn is_vip(&self, patient: PatientId) -> CareAnswer {
        let _ = patient;
        CareAnswer::NotKept
    }

    /// Whether the actor had a part in the patient's care at that time: an appointment, an admission, a referral.
    fn has_relation(&self, actor: PrincipalId, patient: PatientId, at: Timestamp) -> CareAnswer {
        let _ = (actor, patient, at);
        CareAnswer::NotKept
    }

    /// Whether the actor was on duty at that time, as the rota says.
    fn is_on_duty(&self, actor: PrincipalId, at: Timestamp) -> CareAnswer {
        let _ = (actor, at);
        CareAnswer::NotKept
    }

    /// Whether the actor belongs to a group that a [`Suppressor`](super::Suppressor) names: a department, a role, a team.
    fn is_in(&self, actor: PrincipalId, group: &str) -> CareAnswer {
        let _ = (actor, group);
        CareAnswer::NotKept
    }

    /// What speaks against a flag, in words that name a rule and no person: it stands in the flag, for whoever reviews it,
    /// and suppresses nothing.
    fn explains(&self, question: &FlagQuestion) -> Option<String> {
        let _ = question;
        None
    }
}

/// A host that knows nothing.
impl CareContext for () {}

/// The host's context, if it gave one. A panic of it leaves nothing half done here.
#[derive(Clone, Default)]
pub(crate) struct CareHook(Option<Arc<dyn CareContext>>);

impl CareHook {
    pub(crate) fn new(context: Arc<dyn CareContext>) -> Self {
        Self(Some(context))
    }

    fn ask(&self, ask: impl FnOnce(&dyn CareContext) -> CareAnswer) -> CareAnswer {
        let Some(context) = &self.0 else { return CareAnswer::NotKept };
        catch_unwind(AssertUnwindSafe(|| ask(&**context))).unwrap_or(CareAnswer::Failed)
    }
}

impl CareContext for CareHook {
    fn is_own_record(&self, actor: PrincipalId, patient: PatientId) -> CareAnswer {
        self.ask(|context| context.is_own_record(actor, patient))
    }

    fn has_same_surname(&self, actor: PrincipalId, patient: PatientId) -> CareAnswer {
        self.ask(|context| context.has_same_surname(actor, patient))
    }

    fn is_vip(&self, patient: PatientId) -> CareAnswer {
        self.ask(|context| context.is_vip(patient))
    }

    fn has_relation(&self, actor: PrincipalId, patient: PatientId, at: Timestamp) -> CareAnswer {
        self.ask(|context| context.has_relation(actor, patient, at))
    }

    fn is_on_duty(&self, actor: PrincipalId, at: Timestamp) -> CareAnswer {
        self.ask(|context| context.is_on_duty(actor, at))
    }

    fn is_in(&self, actor: PrincipalId, group: &str) -> CareAnswer {
        self.ask(|context| context.is_in(actor, group))
    }

    fn explains(&self, question: &FlagQuestion) -> Option<String> {
        let context = self.0.as_ref()?;
        let asked = catch_unwind(AssertUnwindSafe(|| context.explains(question)));
        asked.unwrap_or_else(|_| Some("the host could not be asked what speaks against it".to_owned()))
    }
}

impl PrincipalId {
    /// The id of a principal of this name, as tokens name it ([`Grant::to`](crate::Grant::to)).
    ///
    /// ```
    /// use chartvault::PrincipalId;
    /// assert_eq!(PrincipalId::of("dr.osei"), PrincipalId::of("dr.osei"));
    /// assert_ne!(PrincipalId::of("dr.osei"), PrincipalId::of("n.adu"));
    /// ```
    #[must_use]
    pub fn of(name: &str) -> Self {
        kdf::principal_id(name)
    }
}
