//! Erasures beside others at work: exports, reads, writes, and whoever is registered under the same identifier meanwhile.

use crate::support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use chartvault::*;
use support::{House, note, verify, whole_log};

fn order() -> ErasureOrder {
    ErasureOrder::new("the patient asked", "GDPR 17(1)(b)")
}

fn erase(vault: &Vault, house: &House, session: &Session, patient: PatientId) -> Result<ErasureReport, Error> {
    vault.erase_patient(session, patient, &order(), &house.key, &mut |_| ())
}

fn is_sound(vault: &Vault) {
    let report = vault.check(CheckScope::All, &mut |_| ()).unwrap();
    assert!(report.is_sound(), "{report}");
}

/// Patients with some notes each.
fn filled(session: &Session, patients: usize, notes: usize) -> BTreeMap<PatientId, Vec<RecordRef>> {
    let some = (0..patients).map(|_| {
        let patient = session.register_patient([]).unwrap();
        let batch: Vec<_> = (0..notes).map(|at| note(&format!("note {at}"))).collect();
        let ids = batch.iter().map(|note| session.put(patient, note).unwrap().into());
        (patient, ids.collect())
    });
    some.collect()
}

#[test]
fn an_export_of_all_charts_goes_on_while_patients_are_erased_and_gives_the_others_whole() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let staying = filled(&session, 150, 4);
    let leaving: Vec<_> = filled(&session, 25, 4).into_keys().collect();
    let (gone, whole) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while gone.load(Ordering::SeqCst) < leaving.len() {
                    let before = gone.load(Ordering::SeqCst);
                    let mut given: BTreeMap<PatientId, Vec<RecordRef>> = BTreeMap::new();
                    for entry in session.export().start().unwrap() {
                        let record = entry.unwrap().record();
                        given.entry(record.patient()).or_default().push(record);
                    }
                    for (patient, records) in &staying {
                        let mut of_patient = given.remove(patient).unwrap();
                        of_patient.sort();
                        assert_eq!(&of_patient, records, "each record of who stays, and once");
                    }
                    assert!(given.keys().all(|patient| leaving[before..].contains(patient)), "who was erased before");
                    whole.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for patient in &leaving {
            erase(&vault, &house, &session, *patient).unwrap();
            gone.fetch_add(1, Ordering::SeqCst);
        }
    });
    assert!(whole.load(Ordering::SeqCst) > 5, "exports that began while somebody was to be erased");
    is_sound(&vault);
    verify(&session);
}

#[test]
fn an_export_of_named_patients_ends_where_one_of_them_is_erased_and_the_log_blames_none_of_the_others() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let staying: Vec<_> = filled(&session, 100, 2).into_keys().collect();
    let leaving: Vec<_> = filled(&session, 20, 1).into_keys().collect();
    let refused: usize = thread::scope(|scope| {
        let export = |patient: PatientId| {
            let (session, staying) = (&session, &staying);
            scope.spawn(move || {
                let mut refused = 0;
                // Until it was erased.
                while refused == 0 {
                    let named = [patient].into_iter().chain(staying.iter().copied());
                    for entry in session.export().patients(named).start().unwrap() {
                        match entry {
                            Ok(_) => {}
                            Err(Error::Erased { patient: of, .. }) => refused += usize::from(of == patient),
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
                refused
            })
        };
        let one_by_one = leaving.iter().map(|patient| {
            let exporting = export(*patient);
            erase(&vault, &house, &session, *patient).unwrap();
            exporting.join().unwrap()
        });
        one_by_one.sum()
    });
    let log = whole_log(&session);
    let ended = log.iter().filter(|entry| {
        entry.event == AuditEvent::RecordsExported && entry.outcome != Outcome::Allowed && entry.subjects.is_empty()
    });
    assert_eq!((refused, ended.count()), (leaving.len(), leaving.len()));
}
