//! Who could see a patient: every grant that is live, asked without using it. Who did, the log says.

use std::fmt;

use super::Session;
use super::access::{Done, Hold, Op};
use super::audit;
use crate::audit::AuditEvent;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::ids::{PatientId, PrincipalId, RevocationId};
use crate::policy::KnownGrant;
use crate::terms::{Action, Confidentiality, Purpose};
use crate::token::{Listed, Reach, Request};

/// A grant that reaches a patient's chart. `Display` is a line to read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PatientReach {
    /// The grant.
    pub grant: RevocationId,
    /// Whose it is.
    pub subject: PrincipalId,
    /// Their name, if they are enrolled.
    pub name: Option<String>,
    /// The roles that bound it, by name where the vault knows them, each at a revision.
    pub roles: Vec<(String, u32)>,
    /// What it allows with some kind of record in the chart, for some purpose; empty where only an emergency gives anything.
    pub actions: Vec<Action>,
    /// With which kinds at most, by name where the vault knows them.
    pub kinds: Listed<String>,
    /// For which purposes.
    pub purposes: Vec<Purpose>,
    /// How confidential a record may be at most.
    pub sensitivity: Confidentiality,
    /// What it allows in addition once the glass is broken for this patient.
    pub in_emergency: Vec<Action>,
    /// The first instant at which it does not count any more.
    pub until: Timestamp,
    /// When it opened a session last.
    pub last_used: Option<Timestamp>,
}

impl fmt::Display for PatientReach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |actions: &[Action]| actions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match &self.name {
            Some(name) => f.write_str(name)?,
            None => write!(f, "{}", self.subject)?,
        }
        for (role, revision) in &self.roles {
            write!(f, ", {role} {revision}")?;
        }
        if !self.actions.is_empty() {
            write!(f, ": {} up to {}", list(&self.actions), self.sensitivity)?;
        }
        if !self.in_emergency.is_empty() {
            write!(f, "; in an emergency: {}", list(&self.in_emergency))?;
        }
        write!(f, "; until {}", self.until)
    }
}

impl Session {
    /// Who could see a patient now: every live grant that the vault knows and that its rules leave in force, if it allows
    /// anything in this chart, by itself or once the glass is broken; ascending by grant. Grants that were never registered nor
    /// used are not known. What single records need besides (their own confidentiality, categories, consent) is not asked; a
    /// label of the chart is. Needs the audit action for all patients and kinds. The patient need not exist.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let session = clinic.session();
    /// let patient = session.register_patient([])?;
    /// for reach in session.could_access(patient)? {
    ///     println!("{reach}");
    /// }
    /// # assert_eq!(session.could_access(patient)?.len(), 1);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// What [`Session`] lists.
    pub fn could_access(&self, patient: PatientId) -> Result<Vec<PatientReach>, Error> {
        let op = self.begin(audit::access(AuditEvent::RightsRead))?;
        op.run(Hold::Nothing, |op| {
            let tag = op.unlocked.keyring().patient_tag(patient);
            let level = op.unlocked.policy.chart_label(&tag).confidentiality;
            let live = op.unlocked.live_grants(op.now, None, usize::MAX, |_| true);
            let found: Vec<PatientReach> = live.iter().filter_map(|known| op.reach(known, patient, level)).collect();
            let (count, detail) = (u32::try_from(found.len()).ok(), Some("who could see the patient".to_owned()));
            let chart = op.unlocked.find_chart(patient)?;
            let subjects = chart.map(|chart| chart.audited(Vec::new())).into_iter().collect();
            Ok(Done { count, detail, ..Done::read(found, subjects) })
        })
    }
}

/// What is about a chart.
const OF_CHARTS: [Action; 7] =
    [Action::Read, Action::List, Action::Create, Action::Amend, Action::Void, Action::Export, Action::Erase];

impl Op<'_> {
    fn reach(&self, known: &KnownGrant, patient: PatientId, level: Confidentiality) -> Option<PatientReach> {
        let grant = &known.row.grant;
        let standing = self.unlocked.standing_of(grant, &known.revocable).ok()?;
        let allows = |action: Action, purpose: Purpose, emergency: Option<PatientId>| {
            let (kind, patient) = (Reach::Filtered, Reach::One(patient));
            let confidentiality = Some(level);
            let request = Request { action, kind, patient, purpose, confidentiality, now: self.now, emergency };
            grant.allows(&request) && standing.allows(&request).is_ok()
        };
        let usual = |action: &Action| Purpose::ALL.iter().any(|purpose| allows(*action, *purpose, None));
        let actions: Vec<Action> = OF_CHARTS.into_iter().filter(usual).collect();
        let urgent = |action: &Action| !actions.contains(action) && allows(*action, Purpose::BreakGlass, Some(patient));
        let in_emergency: Vec<Action> = OF_CHARTS.into_iter().filter(urgent).collect();
        if actions.is_empty() && in_emergency.is_empty() {
            return None;
        }
        let rights = grant.rights();
        let (roles, kinds) = self.named(&rights);
        Some(PatientReach {
            grant: known.row.id(),
            subject: known.revocable.subject,
            name: self.unlocked.policy.principal_name(known.revocable.subject),
            roles,
            actions,
            kinds,
            purposes: rights.purposes,
            sensitivity: rights.sensitivity.min(standing.most_confidential()),
            in_emergency,
            until: rights.not_after,
            last_used: known.used.map(|used| used.last),
        })
    }
}
