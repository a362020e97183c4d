//! What an operation asks of the token and of the vault's rules.

use super::access::Op;
use crate::ids::{KindId, PatientId};
use crate::terms::{Action, Confidentiality, Purpose};
use crate::token::{Denial, Reach, Request};

impl Op<'_> {
    /// Asks the token, and the rules of the vault.
    pub(super) fn decide(
        &self,
        kind: Reach<KindId>,
        patient: Reach<PatientId>,
        confidentiality: Option<Confidentiality>,
    ) -> Result<(), Denial> {
        self.ask(kind, patient);
        let request = self.request(kind, patient, confidentiality);
        let decision = self.session.0.token.decide(&request).and_then(|()| self.standing.allows(&request));
        decision.inspect_err(|_| self.refused.set(Some(request)))
    }

    /// Asks whether the glass may be broken for a patient, whose chart is so confidential: whether any of the emergency's
    /// actions would be allowed then.
    pub(super) fn decide_emergency(
        &self,
        patient: PatientId,
        confidentiality: Option<Confidentiality>,
    ) -> Result<(), Denial> {
        let request = |action: Action| Request {
            action,
            kind: Reach::Filtered,
            patient: Reach::One(patient),
            purpose: Purpose::BreakGlass,
            confidentiality,
            now: self.now,
            emergency: Some(patient),
        };
        let decide = |action: &Action| {
            let request = request(*action);
            self.session.0.token.decide(&request).and_then(|()| self.standing.allows(&request))
        };
        let mut answers = Action::ALL.iter().map(decide);
        let first = answers.next().unwrap_or(Ok(()));
        if first.is_ok() || answers.any(|answer| answer.is_ok()) {
            return Ok(());
        }
        self.refused.set(Some(request(Action::Read)));
        first
    }

    pub(super) fn request(
        &self,
        kind: Reach<KindId>,
        patient: Reach<PatientId>,
        confidentiality: Option<Confidentiality>,
    ) -> Request {
        let (action, purpose) = (self.access.action, self.session.0.purpose);
        let emergency = self.session.0.emergency.map(|emergency| emergency.patient);
        Request { action, kind, patient, purpose, confidentiality, now: self.now, emergency }
    }

    /// Whether the token and the rules allow more than they were asked for so far; nothing is noted.
    pub(super) fn would_allow(
        &self,
        kind: Reach<KindId>,
        patient: Reach<PatientId>,
        level: Option<Confidentiality>,
    ) -> bool {
        let request = self.request(kind, patient, level);
        self.session.0.token.decide(&request).and_then(|()| self.standing.allows(&request)).is_ok()
    }

    /// Notes what the operation turns to.
    pub(super) fn ask(&self, kind: Reach<KindId>, patient: Reach<PatientId>) {
        let mut asked = self.asked.get();
        if matches!(kind, Reach::One(_)) {
            asked.kind = kind;
        }
        if matches!(patient, Reach::One(_)) {
            asked.patient = patient;
            if !matches!(kind, Reach::One(_)) {
                // A kind of the chart before says nothing about this one.
                asked.kind = self.access.kind;
            }
        }
        self.asked.set(asked);
    }

    /// Asks the token about a record that has been opened but not given out.
    pub(super) fn may_see(
        &self,
        kind: KindId,
        patient: PatientId,
        confidentiality: Confidentiality,
    ) -> Result<(), Denial> {
        self.decide(Reach::One(kind), Reach::One(patient), Some(confidentiality))
    }
}
