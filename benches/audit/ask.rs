//! Questions to a long log.

use std::time::Instant;

use chartvault::{AuditFilter, Outcome, PatientId};

use super::clinic::{Clinic, PEOPLE};
use super::{median, say};

/// Milliseconds to make the index of the whole log, by a question that nothing answers.
pub(crate) fn whole_index(clinic: &Clinic) -> f64 {
    let start = Instant::now();
    let nobody = AuditFilter::new().patient(PatientId::from_bytes([0; 16]));
    while clinic.people[0].audit().unwrap().query(nobody.clone()).page().unwrap().next.is_some() {}
    clinic.vault.checkpoint().unwrap();
    start.elapsed().as_secs_f64() * 1e3
}

pub(crate) fn all(clinic: &Clinic, rounds: usize) {
    let actor = {
        let page = clinic.people[1].audit().unwrap().query(AuditFilter::new()).limit(1).page().unwrap();
        page.entries[0].actor.unwrap()
    };
    let questions = [
        ("the newest 100", AuditFilter::new()),
        ("of one patient (one entry in a thousand)", AuditFilter::new().patient(clinic.patients[17])),
        ("another patient, whole (1,000 entries of a million)", AuditFilter::new().patient(clinic.patients[400])),
        ("of one person (one entry in 32)", AuditFilter::new().actor(actor)),
        ("of a person and a patient", AuditFilter::new().actor(actor).patient(clinic.patients[17 % PEOPLE])),
        ("denials (none)", AuditFilter::new().outcome(Outcome::Denied)),
    ];
    for (name, filter) in questions {
        let limit = if name.contains("whole") { 1_000 } else { 100 };
        let mut first = None;
        let mut took = Vec::new();
        for _ in 0..=rounds {
            let start = Instant::now();
            let audit = clinic.people[0].audit().unwrap();
            std::hint::black_box(audit.query(filter.clone()).limit(limit).page().unwrap());
            let ms = start.elapsed().as_secs_f64() * 1e3;
            if first.is_none() { first = Some(ms) } else { took.push(ms) }
        }
        say(&format!("{name}: first time"), first.unwrap(), "ms");
        say(&format!("{name}: again (wanted: 10)"), median(took), "ms");
    }
}
