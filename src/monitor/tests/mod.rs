mod each_rule;
mod same;
mod stored;

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::audit::{AuditEntry, AuditEvent, AuditSubject, Outcome};
use crate::clock::Timestamp;
use crate::ids::{PatientId, PrincipalId};
use crate::terms::{Action, Purpose};

/// A Monday noon.
pub(crate) const NOON: &str = "2026-01-05T12:00:00Z";

pub(crate) fn noon() -> Timestamp {
    NOON.parse().unwrap()
}

pub(crate) fn later(seconds: u64) -> Timestamp {
    noon().saturating_add(Duration::from_secs(seconds))
}

pub(crate) fn actor(n: u8) -> PrincipalId {
    PrincipalId::from_bytes([n; 16])
}

pub(crate) fn patient(n: u16) -> PatientId {
    let mut bytes = [0xEE; 16];
    bytes[..2].copy_from_slice(&n.to_be_bytes());
    PatientId::from_bytes(bytes)
}

pub(crate) fn entry(seq: u64, time: Timestamp, event: AuditEvent, outcome: Outcome) -> AuditEntry {
    AuditEntry {
        seq,
        time,
        clock: None,
        event,
        outcome,
        actor: None,
        issuer: None,
        revocation_ids: Vec::new(),
        session: None,
        action: None,
        purpose: None,
        reason: None,
        ticket: None,
        kind: None,
        requested: None,
        count: None,
        detail: None,
        request_id: None,
        host: None,
        device: None,
        possession: false,
        attesters: Vec::new(),
        refusals: Vec::new(),
        consent: Vec::new(),
        pruned: None,
        subjects: Vec::new(),
        reads: Vec::new(),
    }
}

/// An actor read in a patient's chart.
pub(crate) fn read(seq: u64, time: Timestamp, who: u8, whom: u16) -> AuditEntry {
    let subjects = vec![AuditSubject { patient: Some(patient(whom)), counter: Some(1), records: Vec::new() }];
    let read = entry(seq, time, AuditEvent::RecordRead, Outcome::Allowed);
    AuditEntry {
        actor: Some(actor(who)),
        action: Some(Action::Read),
        purpose: Some(Purpose::Treatment),
        subjects,
        ..read
    }
}

pub(crate) fn denied(seq: u64, time: Timestamp, who: u8) -> AuditEntry {
    let denied = entry(seq, time, AuditEvent::RecordRead, Outcome::Denied);
    AuditEntry { actor: Some(actor(who)), action: Some(Action::Read), ..denied }
}

/// A host that knows what it is told.
#[derive(Default)]
pub(super) struct Host {
    pub(super) answers: BTreeMap<&'static str, CareAnswer>,
}

impl Host {
    pub(super) fn says(question: &'static str, answer: CareAnswer) -> Self {
        Self { answers: [(question, answer)].into() }
    }

    fn answer(&self, question: &str) -> CareAnswer {
        self.answers.get(question).copied().unwrap_or(CareAnswer::NotKept)
    }
}

impl CareContext for Host {
    fn is_own_record(&self, _: PrincipalId, _: PatientId) -> CareAnswer {
        self.answer("own")
    }

    fn has_same_surname(&self, _: PrincipalId, _: PatientId) -> CareAnswer {
        self.answer("surname")
    }

    fn is_vip(&self, _: PatientId) -> CareAnswer {
        self.answer("vip")
    }

    fn has_relation(&self, _: PrincipalId, _: PatientId, _: Timestamp) -> CareAnswer {
        self.answer("relation")
    }

    fn is_on_duty(&self, _: PrincipalId, _: Timestamp) -> CareAnswer {
        self.answer("duty")
    }

    fn is_in(&self, _: PrincipalId, group: &str) -> CareAnswer {
        self.answer(if group == "ward 3" { "group" } else { "" })
    }

    fn explains(&self, _: &FlagQuestion) -> Option<String> {
        (self.answer("explains") == CareAnswer::Yes).then(|| "a referral is on its way".to_owned())
    }
}

pub(super) fn fed(monitor: &mut Monitor, entries: &[AuditEntry], host: &dyn CareContext) -> Vec<RaisedFlag> {
    entries.iter().flat_map(|entry| monitor.feed(entry, host)).collect()
}
