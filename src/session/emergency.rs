//! Breaking the glass: a session for one patient beyond the usual rights, with a reason, for a while, to be reviewed.

use std::sync::{Arc, Mutex, Weak};

use super::access::{Access, Done, Hold};
use super::{Inner, Life, Session};
use crate::audit::AuditEvent;
use crate::committer::Stripe;
use crate::crypto::random;
use crate::error::Error;
use crate::ids::{CaseId, PatientId, SessionId};
use crate::observe;
use crate::policy::{CaseRow, EmergencyReason, MAX_CASE_TEXT, PolicyRow};
use crate::terms::{Action, Purpose};
use crate::token::Reach;

/// An emergency that a session was opened for: its rights reach one patient, for a while.
#[derive(Clone, Copy, Debug)]
pub(super) struct Emergency {
    pub(super) patient: PatientId,
    /// In seconds from the opening of the session.
    pub(super) longest: std::time::Duration,
}

impl Session {
    /// Breaks the glass for one patient, in an emergency: opens a session in which the token's emergency rights count in
    /// the place of its actions and its ceiling ([`Grant::emergency`](crate::Grant::emergency)), for the purpose
    /// [`Purpose::BreakGlass`], which the token has to allow. Everything else of the token binds as before. The
    /// reason, 1 to 512 bytes that are not all blank, is kept with the case; let it name no person, since it stays when a
    /// patient is erased. The entry about it and the case to be reviewed are durable when this returns, before anything
    /// is read; cases that are open never stand in the way of care.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # use std::time::Duration;
    /// # let clinic = Clinic::new();
    /// # let patient = clinic.session().register_patient([])?;
    /// let grant = Grant::to("nurse.adu").all_patients().all_kinds().actions([Action::List])
    ///     .purposes([Purpose::Treatment, Purpose::BreakGlass])
    ///     .emergency([Action::Read, Action::List], Confidentiality::Restricted, Duration::from_secs(900));
    /// let token = grant.valid_for(Duration::from_secs(3_600)).sign(&clinic.issuer, clinic.vault.id())?;
    /// let session = clinic.vault.session(&token, Purpose::Treatment)?;
    /// let urgent = session.break_glass(patient, EmergencyReason::PatientInDanger, "found unconscious")?;
    /// assert!(urgent.chart(patient).page()?.entries.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidText`] for a blank or too long reason, [`Error::Denied`] where the token allows nothing in an
    /// emergency or not that purpose, [`Error::NoSuchPatient`], and what [`Session`] lists.
    pub fn break_glass(&self, patient: PatientId, reason: EmergencyReason, text: &str) -> Result<Self, Error> {
        let len = if text.trim().is_empty() { 0 } else { text.len() };
        if !(1..=MAX_CASE_TEXT).contains(&len) {
            return Err(Error::InvalidText { what: "reason", len, least: 1, limit: MAX_CASE_TEXT });
        }
        let (id, case) = (SessionId::from_bytes(random::array()?), CaseId::from_bytes(random::array()?));
        let op = self.begin_emergency(patient)?;
        let stripes = [op.stripe(patient), Stripe::Policy];
        let (opened, longest) = op.run(Hold::Write(&stripes), |op| {
            let chart = op.chart(patient)?;
            let longest = self.0.token.emergency().unwrap_or_default();
            let row = PolicyRow::Case(CaseRow {
                id: case,
                patient_tag: chart.tag,
                actor: self.principal(),
                session: id,
                token: self.0.token.verified().id(),
                at: op.now,
                until: op.now.saturating_add(longest),
                reason,
                text: text.to_owned(),
                assigned: None,
                review: None,
                escalated: None,
            });
            let rows = vec![op.unlocked.policy_row(&row)?];
            let detail = Some(format!("{reason}: {text}; {case}; opens {id}"));
            let subjects = vec![chart.audited(Vec::new())];
            Ok(Done { detail, applies: vec![row], ..Done::write((op.now, longest), rows, subjects) })
        })?;
        let unlocked = self.0.gate.enter()?;
        let signed_in = self.life().signed_in;
        let inner = Arc::new(Inner {
            gate: self.0.gate.clone(),
            token: self.0.token.clone(),
            standing: unlocked.standing(self.0.token.verified()).map_err(Error::SessionRefused)?,
            sign_in: self.0.sign_in,
            limits: self.0.limits.clone(),
            purpose: Purpose::BreakGlass,
            emergency: Some(Emergency { patient, longest }),
            id,
            opened,
            life: Mutex::new(Life { last_used: opened, signed_in, ended: None }),
            charts: Mutex::default(),
            open: observe::OpenSession::new(),
        });
        let holder: Weak<Inner> = Arc::downgrade(&inner);
        unlocked.add_holder(holder);
        Ok(Self(inner))
    }

    /// The patient for whom the glass was broken, in a session that [`Session::break_glass`] opened.
    #[must_use]
    pub fn emergency_patient(&self) -> Option<PatientId> {
        self.0.emergency.map(|emergency| emergency.patient)
    }
}

/// What is asked of the token before the glass is broken.
pub(super) const fn access(patient: PatientId) -> Access {
    Access { event: AuditEvent::GlassBroken, action: Action::Read, kind: Reach::Filtered, patient: Reach::One(patient) }
}
