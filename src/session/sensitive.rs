//! Records of sensitive categories and restricted charts: what is left of a token's rights once the chart's label, the
//! roles and the host's consent have been asked.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use super::access::{Op, Refused};
use super::read::Opened;
use crate::audit::{AuditConsent, AuditEvent, note_consent};
use crate::consent::ConsentQuestion;
use crate::ids::{KindId, PatientId};
use crate::policy::ChartLabel;
use crate::record::{Body, RecordRef};
use crate::terms::{Categories, Confidentiality, Purpose};
use crate::token::{Denial, DenyReason, Reach};
use crate::unlocked::Chart;

/// What an operation has found out about what is sensitive.
#[derive(Default)]
pub(super) struct Sensitive {
    /// The chart that was opened last, and how it is labelled: looked up once a chart, and not for each of its records.
    label: Cell<Option<(PatientId, ChartLabel)>>,
    /// Nothing is allocated for operations that ask nobody.
    consulted: RefCell<Option<Box<Consulted>>>,
}

/// What the host's consent was asked, and what it said.
#[derive(Default)]
struct Consulted {
    permitted: HashMap<Subject, bool>,
    answers: Vec<AuditConsent>,
}

/// What a question is about, beside what is the same for the whole operation.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Subject {
    patient: PatientId,
    /// `None`: the chart.
    record: Option<RecordRef>,
    confidentiality: Confidentiality,
    categories: Categories,
}

impl Sensitive {
    /// The answers of the host, for the entry.
    pub(super) fn answers(&self) -> Vec<AuditConsent> {
        self.consulted.borrow().as_ref().map(|consulted| consulted.answers.clone()).unwrap_or_default()
    }
}

impl Op<'_> {
    /// Whether a chart that is there may be opened. To whom it may not, the patient is not there.
    pub(super) fn may_open(&self, chart: &Chart) -> Result<(), DenyReason> {
        let label = self.unlocked.policy.chart_label(&chart.tag);
        self.sensitive.label.set(Some((chart.patient, label)));
        if label == ChartLabel::NONE {
            return Ok(());
        }
        let level = Some(label.confidentiality);
        let ceiling = match self.access().event {
            // What counts is what will be allowed then.
            AuditEvent::GlassBroken => self.decide_emergency(chart.patient, level),
            _ => self.decide(Reach::Filtered, Reach::One(chart.patient), level),
        };
        ceiling.map_err(|_| DenyReason::Chart)?;
        let ChartLabel { confidentiality, categories, .. } = label;
        let of = Subject { patient: chart.patient, record: None, confidentiality, categories };
        match label.is_restricted().then(|| self.consult(of, label)).flatten() {
            Some(false) => Err(DenyReason::Consent),
            Some(true) | None => Ok(()),
        }
    }

    /// Whether a record that was opened may leave the session, or be followed by another version.
    pub(super) fn may_give(&self, opened: &Opened) -> Result<(), Refused> {
        self.may_give_body(opened, &opened.body()?).map_err(Refused::Denied)
    }

    /// [`Op::may_give`] of a record whose body is at hand.
    pub(super) fn may_give_body(&self, opened: &Opened, body: &Body<'_>) -> Result<(), Denial> {
        let (kind, patient) = (opened.record.kind(), opened.record.patient());
        let label = match self.sensitive.label.get() {
            Some((of, label)) if of == patient => label,
            _ => self.unlocked.policy.chart_label(opened.patient_tag()),
        };
        let confidentiality = body.confidentiality.max(label.confidentiality);
        self.may_see(kind, patient, confidentiality)?;
        let categories = body.labels.categories().union(label.categories);
        if categories.is_empty() && !label.is_restricted() {
            return Ok(());
        }
        let of = Subject { patient, record: Some(opened.record), confidentiality, categories };
        let allowed = self.consult(of, label).unwrap_or_else(|| self.roles_allow(kind, of));
        if allowed { Ok(()) } else { Err(Denial { block: 0, reason: DenyReason::Consent }) }
    }

    /// Whether a role of the grant allows the categories of a record, where nobody is there to be asked.
    fn roles_allow(&self, kind: KindId, of: Subject) -> bool {
        let request = self.request(Reach::One(kind), Reach::One(of.patient), Some(of.confidentiality));
        self.standing.allows_categories(&request, of.categories)
    }

    /// What the host's consent says, asked once. `None` where there is nobody to be asked.
    fn consult(&self, of: Subject, label: ChartLabel) -> Option<bool> {
        let known = self.sensitive.consulted.borrow().as_ref().and_then(|held| held.permitted.get(&of).copied());
        if known.is_some() {
            return known;
        }
        let break_glass = self.breaks_glass();
        let question = ConsentQuestion {
            patient: of.patient,
            kind: of.record.map(RecordRef::kind),
            record: of.record,
            confidentiality: of.confidentiality,
            categories: of.categories,
            staff: label.staff,
            vip: label.vip,
            principal: self.session.principal(),
            purpose: if break_glass { Purpose::BreakGlass } else { self.session.purpose() },
            action: self.access().action,
            break_glass,
        };
        let answer = self.unlocked.consent.ask(&question)?;
        let mut held = self.sensitive.consulted.borrow_mut();
        let held = held.get_or_insert_default();
        note_consent(&mut held.answers, answer.is_permitted(), answer.code());
        held.permitted.insert(of, answer.is_permitted());
        Some(answer.is_permitted())
    }

    /// Whether the glass was broken for this operation, or is about to be.
    fn breaks_glass(&self) -> bool {
        self.session.emergency_patient().is_some() || self.access().event == AuditEvent::GlassBroken
    }
}
