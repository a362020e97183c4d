//! Questions to a long log.

use std::time::Instant;

use chartvault::{AuditFilter, Outcome};

use super::clinic::{Clinic, PEOPLE};
use super::{median, say};

pub(crate) fn all(clinic: &Clinic, rounds: usize) {
    let actor = {
        let page = clinic.people[1].audit().unwrap().query(AuditFilter::new()).limit(1).page().unwrap();
        page.entries[0].actor.unwrap()
    };
    let questions = [
        ("the newest 100", AuditFilter::new()),
        ("of one patient (one entry in a thousand)", AuditFilter::new().patient(clinic.patients[17])),
        ("of one person (one entry in 32)", AuditFilter::new().actor(actor)),
        ("of a person and a patient", AuditFilter::new().actor(actor).patient(clinic.patients[17 % PEOPLE])),
        ("denials (none)", AuditFilter::new().outcome(Outcome::Denied)),
    ];
    for (name, filter) in questions {
        let mut first = None;
        let mut took = Vec::new();
        for _ in 0..=rounds {
            let start = Instant::now();
            let audit = clinic.people[0].audit().unwrap();
            std::hint::black_box(audit.query(filter.clone()).page().unwrap());
            let ms = start.elapsed().as_secs_f64() * 1e3;
            if first.is_none() { first = Some(ms) } else { took.push(ms) }
        }
        say(&format!("{name}: first time"), first.unwrap(), "ms");
        say(&format!("{name}: again (wanted: 10)"), median(took), "ms");
    }
}
