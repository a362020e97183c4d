//! What a token would allow, asked without using it.

use std::fmt;

use super::Session;
use super::access::{Done, Hold, Op};
use super::audit;
use crate::audit::AuditEvent;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::ids::{FacilityId, KindId, PatientId};
use crate::terms::{Action, Confidentiality, Purpose};
use crate::token::{Caveat, Denial, EffectiveRights, Listed, Reach, Request, Rights, TokenError, UnverifiedToken};

/// What somebody might want to do, for a dry run.
///
/// ```
/// use chartvault::{Action, Confidentiality, Operation, PatientId, Purpose};
/// let reading = Operation::new(Action::Read, Purpose::Treatment).patient(PatientId::from_bytes([7; 16])).kind_named("note");
/// let restricted = reading.confidentiality(Confidentiality::Restricted);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Operation {
    action: Action,
    purpose: Purpose,
    kind: Option<KindId>,
    patient: Option<PatientId>,
    confidentiality: Option<Confidentiality>,
    facility: Option<FacilityId>,
}

impl Operation {
    /// An action for a purpose, on all kinds and patients, unless they are named.
    pub const fn new(action: Action, purpose: Purpose) -> Self {
        Self { action, purpose, kind: None, patient: None, confidentiality: None, facility: None }
    }

    /// With this kind of record.
    pub const fn kind(mut self, kind: KindId) -> Self {
        self.kind = Some(kind);
        self
    }

    /// With the kind of this name.
    pub fn kind_named(self, name: &str) -> Self {
        self.kind(crate::crypto::kdf::kind_id(name))
    }

    /// In this patient's chart.
    pub const fn patient(mut self, patient: PatientId) -> Self {
        self.patient = Some(patient);
        self
    }

    /// With a record of this confidentiality.
    pub const fn confidentiality(mut self, level: Confidentiality) -> Self {
        self.confidentiality = Some(level);
        self
    }

    /// In a session in the facility of this name.
    pub fn facility(mut self, name: &str) -> Self {
        self.facility = Some(crate::crypto::kdf::facility_id(name));
        self
    }

    fn request(&self, now: Timestamp, emergency: Option<PatientId>) -> Request {
        let Self { action, purpose, kind, patient, confidentiality, .. } = *self;
        let (kind, patient) = (kind.map_or(Reach::Whole, Reach::One), patient.map_or(Reach::Whole, Reach::One));
        Request { action, kind, patient, purpose, confidentiality, now, emergency }
    }
}

/// What came of a dry run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ruling {
    /// Why the token opens no session at all, if that is so.
    pub token: Option<TokenError>,
    /// Everything that refuses the operation, block by block, rules of the vault included.
    pub refusals: Vec<Denial>,
    /// What has to be shown beside the token before a session opens.
    pub demands: Vec<Caveat>,
}

impl Ruling {
    /// Whether the operation would be allowed now, once all that is demanded is shown.
    #[must_use]
    pub const fn is_allowed(&self) -> bool {
        self.token.is_none() && self.refusals.is_empty()
    }
}

impl fmt::Display for Ruling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", if self.is_allowed() { "allowed" } else { "refused" })?;
        self.token.iter().try_for_each(|error| writeln!(f, "  the token: {error}"))?;
        self.refusals.iter().try_for_each(|denial| writeln!(f, "  {denial}"))?;
        self.demands.iter().try_for_each(|caveat| writeln!(f, "  to be shown: {caveat}"))
    }
}

/// A token's rights as the vault sees them now. `Display` gives lines to read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenStanding {
    /// What it says, block by block.
    pub rights: Rights,
    /// What all blocks together leave.
    pub effective: EffectiveRights,
    /// Why it is worth nothing now, if that is so: it is not genuine, or not valid.
    pub token: Option<TokenError>,
    /// Why it is worth nothing now, if a rule of the vault refuses it: it was revoked, a role was changed, and so on.
    pub refused: Option<Denial>,
    /// The roles that it cites, by name where the vault knows them, each at a revision.
    pub roles: Vec<(String, u32)>,
    /// How often it was used by the count of the block that leaves fewest, where uses are limited.
    pub uses_left: Option<u32>,
}

impl fmt::Display for TokenStanding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.token, &self.refused) {
            (Some(error), _) => writeln!(f, "worth nothing: {error}")?,
            (None, Some(denial)) => writeln!(f, "worth nothing: {}", denial.reason)?,
            (None, None) => writeln!(f, "in force")?,
        }
        self.roles.iter().try_for_each(|(name, revision)| writeln!(f, "  role: {name}, revision {revision}"))?;
        self.uses_left.iter().try_for_each(|left| writeln!(f, "  uses left: {left}"))?;
        write!(f, "{}", self.effective)
    }
}

impl Session {
    /// Whether this session's own token and the vault's rules allow an operation now: for a host that shows its users only
    /// what they may do. Says nothing of a patient or a record, and leaves no entry, since nothing is accessed; the operation
    /// itself is decided anew, and can still be denied for what it meets. No, once the session has ended.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let session = clinic.session();
    /// assert!(session.may(&Operation::new(Action::Void, Purpose::Treatment)));
    /// assert!(!session.may(&Operation::new(Action::Void, Purpose::Research))); // the session is for treatment
    /// ```
    #[must_use]
    pub fn may(&self, operation: &Operation) -> bool {
        let Ok(unlocked) = self.0.gate.enter() else { return false };
        let Ok(now) = unlocked.now() else { return false };
        let Ok(standing) = self.0.standing.now(&unlocked, self.0.token.verified()) else { return false };
        let life = self.life();
        let signed_in = self.0.sign_in.is_none_or(|demand| life.signed_in.meets(demand, now).is_ok());
        if life.ended.is_some() || self.0.too_long(&life, &standing, now).is_some() || !signed_in {
            return false;
        }
        drop(life);
        let request = operation.request(now, self.0.emergency.map(|emergency| emergency.patient));
        operation.purpose == self.0.purpose
            && self.0.token.decide(&request).and_then(|()| standing.allows(&request)).is_ok()
            && unlocked.one_more_use(&self.0.limits).is_ok()
    }

    /// What a token is worth in this vault now: its rights, and what the vault's rules leave of them. Needs the audit action
    /// for all patients and kinds. The token is not used, and no session opened.
    ///
    /// # Errors
    /// What [`Session`] lists. That the token is refused is no error, but the answer.
    pub fn effective_rights(&self, token: impl AsRef<UnverifiedToken>) -> Result<TokenStanding, Error> {
        let token = token.as_ref();
        let op = self.begin(audit::access(AuditEvent::RightsRead))?;
        op.run(Hold::Nothing, |op| {
            let standing = op.standing_of(token);
            Ok(Done { detail: Some(token.id().to_string()), ..Done::read(standing, Vec::new()) })
        })
    }

    /// Whether a token would allow an operation now: a dry run, for whoever looks after rights. Needs the audit action for all
    /// patients and kinds. It is answered from the token and the vault's rules alone; whether the patient or a record exists, and
    /// how confidential it is, is not looked up. A limit of uses is not counted.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let (session, token) = (clinic.session(), &clinic.token);
    /// let narrow = token.attenuate().actions([Action::Read]).finish().unwrap();
    /// let read = Operation::new(Action::Read, Purpose::Treatment).kind_named("note");
    /// assert!(session.would_allow(&narrow, &read)?.is_allowed());
    /// let ruling = session.would_allow(&narrow, &Operation::new(Action::Void, Purpose::Research))?;
    /// assert_eq!(ruling.refusals.len(), 2); // block 0 refuses the purpose, block 1 the action
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// What [`Session`] lists. That the token is refused is no error, but the answer.
    pub fn would_allow(&self, token: impl AsRef<UnverifiedToken>, operation: &Operation) -> Result<Ruling, Error> {
        let token = token.as_ref();
        let op = self.begin(audit::access(AuditEvent::RightsRead))?;
        op.run(Hold::Nothing, |op| {
            let ruling = op.ruling(token, operation);
            Ok(Done { detail: Some(format!("dry run of {}", token.id())), ..Done::read(ruling, Vec::new()) })
        })
    }
}

impl Op<'_> {
    fn standing_of(&self, token: &UnverifiedToken) -> TokenStanding {
        let rights = token.inspect();
        let effective = rights.effective();
        let name =
            |id| self.unlocked.policy.role(id).map_or_else(|| id.to_string(), |role| role.role.name().to_owned());
        let roles = effective.roles.iter().map(|(id, revision)| (name(*id), *revision)).collect();
        let (token, refused, uses_left) = match self.unlocked.verify(token, self.now) {
            Err(error) => (Some(error), None, None),
            Ok(verified) => {
                let left =
                    verified.max_uses().map(|limit| limit.most.saturating_sub(self.unlocked.policy.used(limit.rid)));
                (None, self.unlocked.standing(&verified).err(), left.min())
            }
        };
        TokenStanding { rights, effective, token, refused, roles, uses_left }
    }

    fn ruling(&self, token: &UnverifiedToken, operation: &Operation) -> Ruling {
        let demands = demands(&token.inspect().effective());
        let verified = match self.unlocked.verify(token, self.now) {
            Ok(verified) => verified,
            Err(error) => return Ruling { token: Some(error), refusals: Vec::new(), demands },
        };
        let Operation { purpose, facility, .. } = *operation;
        let reach = operation.request(self.now, None);
        let mut refusals: Vec<Denial> = verified.refusals_at_opening(purpose, facility).collect();
        let by_rules = match self.unlocked.standing(&verified) {
            Ok(standing) => standing.last().and_then(|standing| standing.allows(&reach)).err(),
            Err(denial) => Some(denial),
        };
        for denial in verified.refusals(&reach).into_iter().chain(by_rules) {
            if !refusals.contains(&denial) {
                refusals.push(denial);
            }
        }
        let limits: Vec<_> = verified.max_uses().collect();
        refusals.extend(self.unlocked.one_more_use(&limits).err());
        refusals.sort_by_key(|denial| denial.block);
        Ruling { token: None, refusals, demands }
    }
}

fn demands(effective: &EffectiveRights) -> Vec<Caveat> {
    let shown = [
        (!effective.devices.is_empty(), Caveat::Device),
        (effective.sign_in.is_some(), Caveat::Mfa),
        (!effective.attestations.is_empty(), Caveat::Attestations),
        (effective.facilities != Listed::All, Caveat::Facility),
    ];
    shown.into_iter().filter_map(|(demanded, caveat)| demanded.then_some(caveat)).collect()
}
