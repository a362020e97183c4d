//! What only somebody with the keys could forge: a version without its entry, and an entry without its version.

use super::*;
use crate::audit::AuditRecord;
use crate::format::keys::RecordKey;
use crate::ids::PatientId;
use crate::record::{Body, Coding, Kind, Labels, RecordRef, Status};
use crate::unlocked::Unlocked;
use crate::{Confidentiality, Version};

struct Forger {
    vault: Vault,
    patient: PatientId,
    kind: Kind,
}

impl Forger {
    fn new(dir: &Path) -> Self {
        let key = RawKey::generate().unwrap();
        let options = Options::new().scrub_rate(0);
        let (vault, _) = Vault::create(dir).raw_key(&key).options(options).finish().unwrap();
        let issuer = IssuerKey::generate().unwrap();
        vault.trust_issuer(issuer.public(), &key).unwrap();
        let grant = Grant::to("dr.osei").all_patients().all_kinds().actions(Action::ALL.iter().copied());
        let grant = grant.purpose(Purpose::Treatment).valid_for(std::time::Duration::from_secs(3_600));
        let session = vault.session(grant.sign(&issuer, vault.id()).unwrap(), Purpose::Treatment).unwrap();
        let patient = session.register_patient([]).unwrap();
        let kind = Kind::new("Binary").unwrap();
        for _ in 0..3 {
            session.put_verbatim(patient, &kind, b"genuine", crate::PutOptions::new()).unwrap();
        }
        Self { vault, patient, kind }
    }

    /// A fourth record, and how an entry would name it.
    fn fourth(&self, unlocked: &Unlocked) -> (Row, AuditRecord) {
        let chart = unlocked.find_chart(self.patient).unwrap().unwrap();
        let kind_tag = unlocked.keyring().kind_tag(&chart.tag, self.kind.id());
        let key = RecordKey { patient_tag: chart.tag, kind_tag, number: 4, version: 1 };
        let body = Body {
            kind: self.kind.id(),
            coding: Coding::Verbatim,
            author: crate::ids::PrincipalId::from_bytes([1; 16]),
            recorded_at: unlocked.now().unwrap(),
            clinical_time: None,
            status: Status::Active,
            confidentiality: Confidentiality::Normal,
            reason: "",
            labels: Labels::default(),
            value: b"forged",
        };
        let bytes = body.encode().unwrap();
        let tag = chart.subject.version_tag(self.patient, self.kind.id(), 4, 1, &bytes);
        let row = unlocked.record_row(&chart, key, &bytes).unwrap();
        (row, AuditRecord::new(self.kind.id(), 4, 1, tag))
    }

    fn entry(&self, unlocked: &Unlocked, record: AuditRecord) -> Draft {
        let chart = unlocked.find_chart(self.patient).unwrap().unwrap();
        let mut draft = Draft::new(AuditEvent::RecordPut, Outcome::Allowed);
        draft.subjects = vec![chart.audited(vec![record])];
        draft
    }

    /// The one finding, and the record that it is at.
    fn found(&self) -> Finding {
        let report = self.vault.check(CheckScope::Records, &mut |_| ()).unwrap();
        assert_eq!((report.total(), report.grave), (1, 1), "{report}");
        let [finding] = &report.findings[..] else { panic!("{report}") };
        let record = RecordRef::new(self.patient, self.kind.id(), 4);
        assert_eq!(finding.place, FindingPlace::Record { record, version: Some(Version::FIRST) });
        finding.clone()
    }
}

#[test]
fn a_version_without_its_entry_and_an_entry_without_its_version_are_found() {
    for (with_row, with_entry) in [(true, true), (true, false), (false, true)] {
        let dir = tempfile::tempdir().unwrap();
        let forger = Forger::new(dir.path());
        let unlocked = forger.vault.0.gate.enter().unwrap();
        let (row, record) = forger.fourth(&unlocked);
        let rows = if with_row { vec![row] } else { Vec::new() };
        let drafts = if with_entry { vec![forger.entry(&unlocked, record)] } else { Vec::new() };
        // What is recorded later than the newest entry counts only once there is a later one.
        let later = Draft::new(AuditEvent::KindRegistered, Outcome::Allowed);
        unlocked.commit(rows, drafts).unwrap();
        unlocked.commit(Vec::new(), vec![later]).unwrap();
        drop(unlocked);
        match (with_row, with_entry) {
            (true, true) => {
                let report = forger.vault.check(CheckScope::All, &mut |_| ()).unwrap();
                assert_eq!(report.total(), 0, "{report}");
            }
            (true, false) => assert!(forger.found().what.contains("no entry")),
            _ => assert!(forger.found().what.contains("not there as written")),
        }
    }
}

#[test]
fn an_entry_that_names_another_content_than_the_version_has_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let forger = Forger::new(dir.path());
    let unlocked = forger.vault.0.gate.enter().unwrap();
    let (row, record) = forger.fourth(&unlocked);
    let other = AuditRecord { tag: [7; 16], ..record };
    unlocked.commit(vec![row], vec![forger.entry(&unlocked, other)]).unwrap();
    drop(unlocked);
    forger.found();
}
