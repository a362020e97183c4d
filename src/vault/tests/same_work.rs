//! What a caller must not learn by waiting: a refusal takes the same work whether the patient is there or not. Counted, not
//! timed.

use std::collections::BTreeMap;

use super::*;
use crate::crypto::counted;
use crate::{ChartLabel, Confidentiality, ErasureOrder, Identifier, Kind, PatientId, PutOptions, RecordRef, Session};

struct Room {
    _dir: tempfile::TempDir,
    vault: Vault,
    key: RawKey,
    issuer: IssuerKey,
}

type Work = BTreeMap<&'static str, u64>;

impl Room {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (key, issuer) = (RawKey::generate().unwrap(), IssuerKey::generate().unwrap());
        // Nobody else touches the trees meanwhile.
        let new = Vault::create(dir.path()).raw_key(&key).options(Options::new().scrub_rate(0));
        let (vault, _) = new.finish().unwrap();
        vault.trust_issuer(issuer.public(), &key).unwrap();
        Self { _dir: dir, vault, key, issuer }
    }

    fn session(&self, ceiling: Confidentiality, patients: &[PatientId]) -> Session {
        let grant = Grant::to("dr.osei").all_kinds().actions(Action::ALL.iter().copied()).sensitivity(ceiling);
        let grant = grant.purpose(Purpose::Treatment).valid_for(std::time::Duration::from_secs(3_600));
        let grant = match patients {
            [] => grant.all_patients(),
            listed => listed.iter().fold(grant, |grant, patient| grant.patient(*patient)),
        };
        self.vault.session(grant.sign(&self.issuer, self.vault.id()).unwrap(), Purpose::Treatment).unwrap()
    }
}

fn kind() -> Kind {
    Kind::new("note").unwrap()
}

fn mrn(value: &str) -> Identifier {
    Identifier::new("urn:mrn:clinic-a", value).unwrap()
}

/// Calls that are refused, by name, and the work that each of them does. Each is made twice before it is counted.
fn work_of(session: &Session, patient: PatientId) -> Vec<(&'static str, Work)> {
    let id = RecordRef::new(patient, kind().id(), 1);
    type Call<'c> = (&'static str, Box<dyn Fn() -> bool + 'c>);
    let calls: Vec<Call<'_>> = vec![
        ("get", Box::new(|| session.get_verbatim(id).is_err())),
        ("get many", Box::new(|| session.get_many_verbatim(&[id]).is_err())),
        ("history", Box::new(|| session.history_verbatim(id).is_err())),
        ("list", Box::new(|| session.list_verbatim(patient, &kind()).page().is_err())),
        ("chart", Box::new(|| session.chart(patient).page().is_err())),
        ("kinds", Box::new(|| session.kinds(patient).is_err())),
        ("put", Box::new(|| session.put_verbatim(patient, &kind(), b"more", PutOptions::new()).is_err())),
        ("void", Box::new(|| session.void(id, crate::Version::FIRST, "wrong").is_err())),
        ("retention", Box::new(|| session.retention(patient).is_err())),
        ("label", Box::new(|| session.label_chart(patient, ChartLabel::NONE, "rule 7").is_err())),
    ];
    let measured = calls.into_iter().map(|(name, call)| {
        assert!(call() && call(), "{name} is refused");
        (name, counted::during(call).1)
    });
    measured.collect()
}

fn work_of_finding(session: &Session, identifier: &Identifier) -> (bool, Work) {
    let find = || matches!(session.find_patient(identifier), Err(Error::Denied { .. }) | Ok(None));
    assert!(find() && find());
    counted::during(find)
}

#[test]
fn refusals_take_the_same_work_whether_the_patient_is_there_or_not() {
    let room = Room::new();
    let all = room.session(Confidentiality::VeryRestricted, &[]);
    let register = |value: &str| {
        let patient = all.register_patient([mrn(value)]).unwrap();
        all.put_verbatim(patient, &kind(), b"private", PutOptions::new()).unwrap();
        patient
    };
    let [hidden, listed_hidden, left_out, erased] = ["1", "2", "3", "4"].map(register);
    let [nobody, listed_nobody, other] = [7, 8, 9].map(|byte| PatientId::from_bytes([byte; 16]));
    room.vault.erase_patient(&all, erased, &ErasureOrder::new("asked", "17"), &room.key, &mut |_| ()).unwrap();
    let limited = room.session(Confidentiality::Normal, &[]);
    let listed = room.session(Confidentiality::Normal, &[listed_hidden, listed_nobody]);
    for patient in [hidden, listed_hidden] {
        limited.kinds(patient).unwrap();
        all.label_chart(patient, ChartLabel::new().confidentiality(Confidentiality::Restricted), "rule 7").unwrap();
    }
    room.vault.compact().unwrap();

    let there = work_of(&limited, hidden);
    assert_eq!(there, work_of(&limited, nobody), "hidden, and nobody");
    assert!(there.iter().all(|(_, work)| work["decrypt"] > 0 && work["encrypt"] > 1), "{there:?}");
    assert_eq!(work_of(&listed, listed_hidden), work_of(&listed, listed_nobody), "of those listed");
    let out = work_of(&listed, left_out);
    assert_eq!(out, work_of(&listed, other), "left out, and nobody");
    assert_eq!(out, work_of(&listed, erased), "left out, and erased");

    let finds = |session: &Session, value: &str| work_of_finding(session, &mrn(value));
    assert_eq!(finds(&limited, "1"), finds(&limited, "9"), "found by identifier");
    for value in ["2", "3"] {
        assert_eq!(finds(&listed, value), finds(&listed, "9"), "found by identifier {value}");
    }
}
