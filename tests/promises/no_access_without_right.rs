//! No access without a right: kinds, patients, actions, purposes, confidentiality and time are held by every operation
//! that could get around them, at any depth of narrowing, in sessions that are open already.

use crate::support;

use std::time::Duration;

use chartvault::*;
use support::{Allergy, House, Note, base_grant, note};

fn mrn(value: &str) -> Identifier {
    Identifier::new("urn:mrn:a", value).unwrap()
}

fn document() -> Kind {
    Kind::new("DocumentReference").unwrap()
}

fn pollen() -> Allergy {
    Allergy { substance: "pollen".into() }
}

/// Two charts with a note, an allergy and a document each, put by somebody who may do everything.
struct Clinic {
    house: House,
    vault: Vault,
    all: Session,
    charts: [Chart; 2],
}

#[derive(Clone, Copy)]
struct Chart {
    patient: PatientId,
    note: RecordId<Note>,
    allergy: RecordId<Allergy>,
}

impl Clinic {
    fn new() -> Self {
        let (house, vault) = House::create();
        let all = house.session(&vault);
        let charts = ["1", "2"].map(|value| {
            let patient = all.register_patient([mrn(value)]).unwrap();
            all.put_verbatim(patient, &document(), b"{}", PutOptions::new()).unwrap();
            let note = all.put(patient, &note("one")).unwrap();
            Chart { patient, note, allergy: all.put(patient, &pollen()).unwrap() }
        });
        Self { house, vault, all, charts }
    }

    fn grant(&self) -> Grant {
        base_grant().issued_at(self.house.clock.now())
    }

    fn session(&self, grant: &Grant) -> Session {
        self.house.session_of(&self.vault, grant)
    }

    /// Why the newest denial was one, as the log has it.
    fn last_denial(&self) -> Option<DenyReason> {
        let filter = AuditFilter::new().outcome(Outcome::Denied);
        let page = self.all.audit().unwrap().query(filter).limit(1).page().unwrap();
        page.entries.first().and_then(|entry| entry.reason).and_then(DenyReason::from_code)
    }

    fn denied<T>(&self, reason: DenyReason, what: &str, answer: Result<T, Error>) {
        assert!(matches!(answer, Err(Error::Denied { .. })), "{what}: {:?}", answer.err());
        assert_eq!(self.last_denial(), Some(reason), "{what}");
    }
}

fn everyone_may(grant: Grant) -> Grant {
    grant.actions(Action::ALL.iter().copied())
}

/// Asks for one chart in every way that names a note; each must be denied for `reason`.
fn every_note_operation_is_denied(clinic: &Clinic, s: &Session, chart: Chart, reason: DenyReason) {
    let Chart { patient, note: id, .. } = chart;
    clinic.denied(reason, "put", s.put(patient, &note("x")));
    clinic.denied(reason, "get", s.get(id));
    clinic.denied(reason, "get_many", s.get_many(&[id]));
    clinic.denied(reason, "get_version", s.get_version(id, Version::FIRST));
    clinic.denied(reason, "get_verbatim", s.get_verbatim(id.into()));
    clinic.denied(reason, "history", s.history(id));
    clinic.denied(reason, "list", s.list::<Note>(patient).page());
    clinic.denied(reason, "amend", s.amend(id, Version::FIRST, &note("x")));
    clinic.denied(reason, "void", s.void(id, Version::FIRST, "x"));
    let mut batch = s.batch();
    batch.put(patient, &note("x"), PutOptions::new()).unwrap();
    clinic.denied(reason, "batch", batch.commit());
}

/// Nothing in the charts but what was put first.
fn nothing_was_written(clinic: &Clinic) {
    for chart in clinic.charts {
        let counts: Vec<u64> = clinic.all.kinds(chart.patient).unwrap().iter().map(|count| count.records).collect();
        assert_eq!(counts, [1, 1, 1]);
        assert_eq!(clinic.all.get(chart.note).unwrap().version, Version::FIRST);
    }
}

type Narrowing<'a> = dyn Fn(&Token) -> Result<Token, AttenuateError> + 'a;

#[test]
fn other_kinds_are_denied_and_left_out_of_charts() {
    let clinic = Clinic::new();
    let s = clinic.session(&everyone_may(clinic.grant().all_patients().kind::<Allergy>()));
    let chart = clinic.charts[0];
    every_note_operation_is_denied(&clinic, &s, chart, DenyReason::Kind);
    nothing_was_written(&clinic);
    assert_eq!(s.get(chart.allergy).unwrap().value, pollen());
    let seen = s.chart(chart.patient).page().unwrap();
    assert_eq!((seen.entries.len(), seen.withheld), (1, 0), "other kinds are not even counted");
    assert_eq!(seen.entries[0].kind().as_str(), "allergy");
    let kinds = s.kinds(chart.patient).unwrap();
    assert_eq!(kinds.len(), 1, "{kinds:?}");
    let mut mixed = s.batch();
    mixed.put(chart.patient, &pollen(), PutOptions::new()).unwrap();
    mixed.put_verbatim(chart.patient, &document(), b"{}", PutOptions::new()).unwrap();
    clinic.denied(DenyReason::Kind, "a batch of which one part is allowed", mixed.commit());
    nothing_was_written(&clinic);
}

#[test]
fn other_patients_are_denied_whether_they_exist_or_not() {
    let clinic = Clinic::new();
    let [own, other] = clinic.charts;
    let s = clinic.session(&everyone_may(clinic.grant().all_kinds().patient(own.patient)));
    every_note_operation_is_denied(&clinic, &s, other, DenyReason::Patient);
    nothing_was_written(&clinic);
    clinic.denied(DenyReason::Patient, "chart", s.chart(other.patient).page());
    clinic.denied(DenyReason::Patient, "kinds", s.kinds(other.patient));
    clinic.denied(DenyReason::Patient, "one of two", s.get_many(&[own.note, other.note]));
    clinic.denied(DenyReason::Patient, "a record of no such patient", s.get::<Note>(stranger()));
    clinic.denied(DenyReason::Patient, "another's identifier", s.find_patient(&mrn("2")));
    clinic.denied(DenyReason::Patient, "nobody's identifier", s.find_patient(&mrn("none")));
    clinic.denied(DenyReason::Patient, "a new patient", s.register_patient([mrn("3")]));
    clinic.denied(DenyReason::Patient, "an identifier for another", s.add_identifier(other.patient, mrn("3")));
    clinic.denied(DenyReason::Patient, "the log", s.audit());
    assert_eq!(s.find_patient(&mrn("1")).unwrap(), Some(own.patient));
    assert_eq!(s.get(own.note).unwrap().value, note("one"));
}

/// A note of a patient who was never registered.
fn stranger() -> RecordId<Note> {
    format!("record-{}-1", "5a".repeat(16)).parse().unwrap()
}

#[test]
fn the_facilitys_chart_needs_all_patients() {
    let clinic = Clinic::new();
    let facility = PatientId::FACILITY;
    let id = clinic.all.put(facility, &note("the freezer alarm went off")).unwrap();
    let own = clinic.charts[0].patient;
    let s = clinic.session(&everyone_may(clinic.grant().all_kinds().patient(own)));
    clinic.denied(DenyReason::Patient, "get", s.get(id));
    clinic.denied(DenyReason::Patient, "put", s.put(facility, &note("x")));
    clinic.denied(DenyReason::Patient, "chart", s.chart(facility).page());
    let listed = clinic.grant().all_kinds().actions([Action::Read]).patient(facility);
    assert!(matches!(
        listed.sign(&clinic.house.issuer, clinic.vault.id()),
        Err(GrantError::Limit(LimitError::Facility))
    ));
}

#[test]
fn each_action_allows_itself_and_nothing_else() {
    let clinic = Clinic::new();
    let Chart { patient, note: id, .. } = clinic.charts[0];
    let newest = || clinic.all.get(id).unwrap().version;
    for allowed in Action::ALL {
        let s = clinic.session(&clinic.grant().all_patients().all_kinds().actions([*allowed]));
        let answers: Vec<(Action, &str, Result<(), Error>)> = vec![
            (Action::Read, "get", s.get(id).map(drop)),
            (Action::Read, "get_many", s.get_many(&[id]).map(drop)),
            (Action::Read, "history", s.history(id).map(drop)),
            (Action::Read, "find", s.find_patient(&mrn("1")).map(drop)),
            (Action::List, "list", s.list::<Note>(patient).page().map(drop)),
            (Action::List, "chart", s.chart(patient).page().map(drop)),
            (Action::List, "kinds", s.kinds(patient).map(drop)),
            (Action::Create, "put", s.put(patient, &note("x")).map(drop)),
            (Action::Create, "register", s.register_patient([]).map(drop)),
            (Action::Create, "identifier", s.add_identifier(patient, mrn("1b"))),
            (Action::Create, "batch", s.batch().commit().map(drop)),
            (Action::Amend, "amend", s.amend(id, newest(), &note("x")).map(drop)),
            (Action::Void, "void", s.void(clinic.charts[1].note, Version::FIRST, "x").map(drop)),
            (Action::Audit, "query", s.audit().and_then(|log| log.query(AuditFilter::new()).page()).map(drop)),
            (Action::Audit, "verify", s.audit().and_then(|log| log.verify(Scope::All).run()).map(drop)),
        ];
        for (needed, what, answer) in answers {
            let denied = matches!(answer, Err(Error::Denied { .. }));
            assert_eq!(denied, needed != *allowed, "{what} with {allowed}: {answer:?}");
            assert!(denied || answer.is_ok(), "{what} with {allowed}: {answer:?}");
        }
    }
}

#[test]
fn more_confidential_records_are_withheld_and_cannot_be_changed() {
    let clinic = Clinic::new();
    let patient = clinic.charts[0].patient;
    let secret = PutOptions::new().confidentiality(Confidentiality::Restricted);
    let id = clinic.all.put_with(patient, &note("psychotherapy"), secret.clone()).unwrap();
    let grant = everyone_may(clinic.grant().all_patients().all_kinds()).sensitivity(Confidentiality::Normal);
    let s = clinic.session(&grant);
    let reason = DenyReason::Sensitivity;
    clinic.denied(reason, "get", s.get(id));
    clinic.denied(reason, "get_many", s.get_many(&[clinic.charts[0].note, id]));
    clinic.denied(reason, "history", s.history(id));
    clinic.denied(reason, "get_version", s.get_version(id, Version::FIRST));
    clinic.denied(reason, "amend", s.amend(id, Version::FIRST, &note("x")));
    clinic.denied(reason, "void", s.void(id, Version::FIRST, "x"));
    clinic.denied(reason, "put", s.put_with(patient, &note("x"), secret.clone()));
    clinic.denied(reason, "raise", s.amend_with(clinic.charts[0].note, Version::FIRST, &note("x"), secret.clone()));
    let mut batch = s.batch();
    batch.put(patient, &note("x"), secret).unwrap();
    clinic.denied(reason, "batch", batch.commit());
    let listed = s.list::<Note>(patient).page().unwrap();
    assert_eq!((listed.entries.len(), listed.withheld), (1, 1));
    let chart = s.chart(patient).page().unwrap();
    assert_eq!((chart.entries.len(), chart.withheld), (3, 1));
    assert_eq!(clinic.all.history(id).unwrap().len(), 1);
}

#[test]
fn an_earlier_more_confidential_version_stays_closed() {
    let clinic = Clinic::new();
    let secret = PutOptions::new().confidentiality(Confidentiality::Restricted);
    let id = clinic.all.put_with(clinic.charts[0].patient, &note("psychotherapy"), secret).unwrap();
    clinic.all.amend_with(id, Version::FIRST, &note("checkup"), PutOptions::new()).unwrap();
    let grant = everyone_may(clinic.grant().all_patients().all_kinds()).sensitivity(Confidentiality::Normal);
    let s = clinic.session(&grant);
    assert_eq!(s.get(id).unwrap().value, note("checkup"));
    clinic.denied(DenyReason::Sensitivity, "its first version", s.get_version(id, Version::FIRST));
    clinic.denied(DenyReason::Sensitivity, "its history", s.history(id));
}

#[test]
fn a_purpose_that_was_not_granted_opens_no_session() {
    let clinic = Clinic::new();
    let grant = everyone_may(clinic.grant().all_patients().all_kinds());
    let token = grant.sign(&clinic.house.issuer, clinic.vault.id()).unwrap();
    for purpose in Purpose::ALL.iter().filter(|purpose| **purpose != Purpose::Treatment) {
        let refused = clinic.vault.session(&token, *purpose);
        assert!(
            matches!(refused, Err(Error::SessionRefused(denial)) if denial.reason == DenyReason::Purpose),
            "{purpose}: {refused:?}"
        );
    }
}

#[test]
fn a_token_narrowed_seven_times_allows_what_every_block_allows() {
    let clinic = Clinic::new();
    let [own, other] = clinic.charts;
    let now = clinic.house.clock.now();
    let grant = everyone_may(clinic.grant().all_patients().all_kinds());
    let mut token = grant.sign(&clinic.house.issuer, clinic.vault.id()).unwrap();
    let depths: [&Narrowing<'_>; 7] = [
        &|token| token.attenuate().issued_at(now).patient(own.patient).finish(),
        &|token| token.attenuate().issued_at(now).actions([Action::Read, Action::List]).finish(),
        &|token| token.attenuate().issued_at(now).kind::<Note>().kind::<Allergy>().finish(),
        &|token| token.attenuate().issued_at(now).sensitivity(Confidentiality::Normal).finish(),
        &|token| token.attenuate().issued_at(now).valid_for(Duration::from_secs(60)).finish(),
        &|token| token.attenuate().issued_at(now).kind::<Note>().finish(),
        &|token| token.attenuate().issued_at(now).actions([Action::Read]).finish(),
    ];
    for narrow in depths {
        token = narrow(&token).unwrap();
    }
    assert!(matches!(token.attenuate().issued_at(now).finish(), Err(AttenuateError::TooDeep { .. })));
    let s = clinic.vault.session(&token, Purpose::Treatment).unwrap();
    assert_eq!(s.get(own.note).unwrap().value, note("one"));
    clinic.denied(DenyReason::Patient, "another patient", s.get(other.note));
    clinic.denied(DenyReason::Kind, "a kind taken away at depth 6", s.get(own.allergy));
    clinic.denied(DenyReason::Action, "an action taken away at depth 7", s.list::<Note>(own.patient).page());
    clinic.house.clock.step(60);
    clinic.denied(DenyReason::Expired, "after the time of depth 5", s.get(own.note));
    let widening = token.attenuate().issued_at(now).actions([Action::Void]).finish();
    assert!(matches!(widening, Err(AttenuateError::TooDeep { .. } | AttenuateError::Widening { .. })));
}

#[test]
fn an_open_session_ends_with_its_token_at_the_exact_second() {
    let clinic = Clinic::new();
    let id = clinic.charts[0].note;
    let grant = everyone_may(clinic.grant().all_patients().all_kinds()).valid_for(Duration::from_secs(600));
    let s = clinic.session(&grant);
    clinic.house.clock.step(600);
    clinic.house.clock.step_micros(-1);
    assert_eq!(s.get(id).unwrap().value, note("one"));
    clinic.house.clock.step_micros(1);
    clinic.denied(DenyReason::Expired, "at the second", s.get(id));
    let token = grant.sign(&clinic.house.issuer, clinic.vault.id()).unwrap();
    let reopened = clinic.vault.session(&token, Purpose::Treatment);
    assert!(matches!(reopened, Err(Error::Token(TokenError::Expired { .. }))), "{reopened:?}");
}

#[test]
fn a_token_counts_only_from_its_start() {
    let clinic = Clinic::new();
    let start = clinic.house.clock.now().saturating_add(Duration::from_secs(100));
    let grant = everyone_may(clinic.grant().all_patients().all_kinds()).not_before(start);
    let token = grant.sign(&clinic.house.issuer, clinic.vault.id()).unwrap();
    clinic.house.clock.step(99);
    let early = clinic.vault.session(&token, Purpose::Treatment);
    assert!(matches!(early, Err(Error::Token(TokenError::NotYetValid { .. }))), "{early:?}");
    clinic.house.clock.step(1);
    assert!(clinic.vault.session(&token, Purpose::Treatment).is_ok());
}

#[test]
fn tokens_of_other_vaults_and_other_issuers_open_nothing() {
    let (clinic, elsewhere) = (Clinic::new(), Clinic::new());
    let grant = everyone_may(clinic.grant().all_patients().all_kinds());
    let foreign = grant.sign(&clinic.house.issuer, elsewhere.vault.id()).unwrap();
    let refused = clinic.vault.session(&foreign, Purpose::Treatment);
    assert!(matches!(refused, Err(Error::Token(TokenError::WrongVault { .. }))), "{refused:?}");
    let mut bytes = foreign.expose_bytes().to_vec();
    let at = bytes.windows(16).position(|part| part == elsewhere.vault.id().as_bytes()).unwrap();
    bytes[at..at + 16].copy_from_slice(clinic.vault.id().as_bytes());
    let patched = UnverifiedToken::from_bytes(&bytes).unwrap();
    let refused = clinic.vault.session(&patched, Purpose::Treatment);
    assert!(matches!(refused, Err(Error::Token(TokenError::BadSignature { .. }))), "{refused:?}");
    let stranger = grant.sign(&elsewhere.house.issuer, clinic.vault.id()).unwrap();
    let refused = clinic.vault.session(&stranger, Purpose::Treatment);
    assert!(matches!(refused, Err(Error::Token(TokenError::UnknownIssuer { .. }))), "{refused:?}");
}

#[test]
fn whoever_has_no_credential_of_the_vault_cannot_make_it_trust_an_issuer() {
    let clinic = Clinic::new();
    let stranger = IssuerKey::generate().unwrap();
    let refused = clinic.vault.trust_issuer(stranger.public(), &RawKey::generate().unwrap());
    assert!(matches!(refused, Err(Error::Unlock(UnlockError::WrongCredential))), "{refused:?}");
    let refused = clinic.vault.trust_issuer(stranger.public(), &Passphrase::new("guessed"));
    assert!(matches!(refused, Err(Error::Unlock(UnlockError::NoSuchSlotKind { .. }))), "{refused:?}");
    let token = clinic.grant().all_patients().all_kinds().actions([Action::Read]);
    let token = token.sign(&stranger, clinic.vault.id()).unwrap();
    assert!(matches!(clinic.vault.session(&token, Purpose::Treatment), Err(Error::Token(_))));
    let filter = AuditFilter::new().event(AuditEvent::IssuerTrusted).outcome(Outcome::Denied);
    let entries = clinic.all.audit().unwrap().query(filter).page().unwrap().entries;
    assert_eq!(entries.len(), 2, "each attempt is logged");
    assert!(entries.iter().all(|entry| entry.issuer == Some(stranger.public().id())));
}
