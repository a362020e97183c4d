//! Readers beside writers: what a reader sees is whole, and nobody is told of damage that is none.

use crate::support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use chartvault::*;
use support::{House, Note, note};

const ROUNDS: usize = 150;

/// Works in the background until the foreground is done.
fn beside(work: impl Fn(usize) + Sync, foreground: impl FnOnce()) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| (0..).take_while(|_| !done.load(Ordering::Relaxed)).for_each(&work));
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(foreground));
        done.store(true, Ordering::Relaxed);
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

fn kind(number: usize) -> Kind {
    Kind::new(&format!("kind-{number}")).unwrap()
}

#[test]
fn the_log_is_read_and_verified_while_others_write() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let write = |_| {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| session.put(patient, &note("busy")).unwrap());
            }
        });
    };
    beside(write, || {
        let mut earlier = support::verify(&session);
        for _ in 0..ROUNDS {
            let page = session.audit().unwrap().query(AuditFilter::new()).limit(1).page().unwrap();
            assert_eq!(page.entries.len(), 1);
            earlier = session.audit().unwrap().verify(Scope::Since(earlier)).run().unwrap();
        }
    });
}

#[test]
fn a_history_is_whole_while_others_amend() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let id = session.put(patient, &note("first")).unwrap();
    let amend = |_| {
        let newest = session.get(id).unwrap();
        session.amend(id, newest.version, &note("more")).unwrap();
    };
    beside(amend, || {
        for _ in 0..ROUNDS {
            let history = session.history(id).unwrap();
            assert_eq!(history.last().unwrap().version, Version::FIRST);
            session.get_version(id, Version::FIRST).unwrap();
        }
    });
}

#[test]
fn a_record_asked_for_while_it_is_put_is_there_or_not_yet_but_never_missing() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let first = session.put(patient, &note("first")).unwrap();
    let newest = AtomicU64::new(first.number());
    let first = first.to_string();
    let stem = first.strip_suffix("-1").unwrap();
    let put = |_| newest.store(session.put(patient, &note("next")).unwrap().number(), Ordering::Relaxed);
    beside(put, || {
        for _ in 0..ROUNDS {
            let next = format!("-{}", newest.load(Ordering::Relaxed) + 1);
            let id: RecordId<Note> = [stem, &next].concat().parse().unwrap();
            match session.get(id) {
                Ok(_) | Err(Error::NoSuchRecord(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn a_chart_shows_kinds_that_are_used_for_the_first_time() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let put = |number| {
        session.put_verbatim(patient, &kind(number), b"{}", PutOptions::new()).unwrap();
    };
    beside(put, || {
        for _ in 0..ROUNDS / 3 {
            session.chart(patient).limit(5).page().unwrap();
            session.kinds(patient).unwrap();
        }
    });
}

/// Closing comes between the sync of a first record of its kind and its answer.
#[test]
fn a_put_that_met_the_closing_of_the_vault_is_stored_if_and_only_if_it_was_acknowledged() {
    for _ in 0..5 {
        let (house, vault) = House::create();
        let session = house.session(&vault);
        let patients: Vec<_> = (0..4).map(|_| session.register_patient([]).unwrap()).collect();
        let acknowledged: Vec<usize> = thread::scope(|scope| {
            let writers: Vec<_> = patients
                .iter()
                .enumerate()
                .map(|(writer, patient)| {
                    let (session, patient) = (&session, *patient);
                    scope.spawn(move || {
                        let put = |number| {
                            let kind = kind(1_000 * writer + number);
                            session.put_verbatim(patient, &kind, b"{}", PutOptions::new())
                        };
                        (0..).map(put).take_while(Result::is_ok).count()
                    })
                })
                .collect();
            thread::sleep(std::time::Duration::from_millis(30));
            vault.close().unwrap();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        let vault = house.open();
        let session = house.session(&vault);
        for (patient, acknowledged) in patients.iter().zip(acknowledged) {
            assert_eq!(session.kinds(*patient).unwrap().len(), acknowledged);
        }
    }
}
