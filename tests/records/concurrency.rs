//! Many at once: writers and readers on the same charts, several after the same version, one closing while others work,
//! and a second process or handle that wants the same directory.

use crate::support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;

use chartvault::*;
use support::{House, Note, note, verify};

const WRITERS: usize = 8;
const READERS: usize = 8;
const STEPS: usize = 20;

/// Texts of a chart's notes, newest first; fails when half a pair is among them.
fn whole_pairs(texts: impl Iterator<Item = String>) -> Vec<String> {
    let texts: Vec<String> = texts.collect();
    let mut pairs: BTreeMap<&str, usize> = BTreeMap::new();
    for text in &texts {
        if let Some(pair) = text.strip_suffix(" left").or(text.strip_suffix(" right")) {
            *pairs.entry(pair).or_default() += 1;
        }
    }
    assert!(pairs.values().all(|count| *count == 2), "half a batch: {pairs:?}");
    texts
}

fn list(session: &Session, patient: PatientId) -> Vec<Entry<Note>> {
    let page = session.list::<Note>(patient).limit(1_000).page().unwrap();
    assert!(page.next.is_none());
    page.entries
}

#[test]
fn writers_and_readers_of_the_same_charts_see_whole_batches_and_lose_nothing() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let charts: Vec<PatientId> = (0..3).map(|_| session.register_patient([]).unwrap()).collect();
    let (done, acknowledged) = (AtomicBool::new(false), Mutex::new(BTreeMap::new()));
    thread::scope(|scope| {
        let (charts, vault, house, done, acknowledged) = (&charts, &vault, &house, &done, &acknowledged);
        let readers: Vec<_> = (0..READERS)
            .map(|reader| {
                scope.spawn(move || {
                    let session = house.session(vault);
                    let mut reads = 0;
                    while !done.load(Ordering::SeqCst) {
                        let chart = charts[(reader + reads) % charts.len()];
                        whole_pairs(list(&session, chart).into_iter().map(|entry| entry.value.text));
                        let page = session.chart(chart).limit(1_000).page().unwrap();
                        whole_pairs(page.entries.iter().map(|any| any.decode::<Note>().unwrap().value.text));
                        reads += 1;
                    }
                    reads
                })
            })
            .collect();
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn(move || {
                    let session = house.session(vault);
                    for step in 0..STEPS {
                        let (chart, name) = (charts[(writer + step) % charts.len()], format!("{writer}.{step}"));
                        let mut own = Vec::new();
                        if step % 3 == 0 {
                            let mut batch = session.batch();
                            for side in ["left", "right"] {
                                let text = format!("{name} {side}");
                                batch.put(chart, &note(&text), PutOptions::new()).unwrap();
                                own.push(text);
                            }
                            let records = batch.commit().unwrap();
                            own = own.into_iter().rev().collect();
                            let ids = records.into_iter().map(|record| record.try_into().unwrap());
                            acknowledged.lock().unwrap().extend(ids.zip(own.into_iter().rev()));
                        } else {
                            let id = session.put(chart, &note(&name)).unwrap();
                            assert_eq!(session.get(id).unwrap().value.text, name, "one reads what one wrote");
                            acknowledged.lock().unwrap().insert(id, name);
                        }
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, Ordering::SeqCst);
        assert!(readers.into_iter().map(|reader| reader.join().unwrap()).sum::<usize>() > READERS);
    });
    let acknowledged: BTreeMap<RecordId<Note>, String> = acknowledged.into_inner().unwrap();
    let everything = |session: &Session| -> BTreeMap<RecordId<Note>, String> {
        let entries = charts.iter().flat_map(|chart| list(session, *chart));
        entries.map(|entry| (entry.id, entry.value.text)).collect()
    };
    assert_eq!(everything(&session), acknowledged);
    verify(&session);
    drop((session, vault));
    let vault = house.open();
    let session = house.session(&vault);
    assert_eq!(everything(&session), acknowledged, "after reopening");
    verify(&session);
}

#[test]
fn each_version_has_exactly_one_winner() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let id = session.put(session.register_patient([]).unwrap(), &note("0")).unwrap();
    let barrier = Barrier::new(WRITERS);
    let mut wins: Vec<(Version, String)> = Vec::new();
    for round in 0..15 {
        let newest = session.get(id).unwrap().version;
        let won: Vec<(Version, String)> = thread::scope(|scope| {
            let racers: Vec<_> = (0..WRITERS)
                .map(|racer| {
                    let (session, barrier) = (session.clone(), &barrier);
                    scope.spawn(move || {
                        let text = format!("{round}.{racer}");
                        barrier.wait();
                        match session.amend(id, newest, &note(&text)) {
                            Ok(version) => Some((version, text)),
                            Err(Error::Conflict { expected, found, .. }) => {
                                assert!(expected == newest && found > newest);
                                None
                            }
                            Err(error) => panic!("{error}"),
                        }
                    })
                })
                .collect();
            racers.into_iter().filter_map(|racer| racer.join().unwrap()).collect()
        });
        assert_eq!(won.len(), 1, "round {round}: {won:?}");
        wins.extend(won);
    }
    let history: Vec<(Version, String)> =
        session.history(id).unwrap().into_iter().map(|entry| (entry.version, entry.value.text)).collect();
    assert!(history.iter().rev().skip(1).eq(wins.iter()), "{history:?}");
}

#[test]
fn an_identifier_wanted_by_many_leads_to_one_patient() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    for round in 0..10 {
        let mrn = Identifier::new("urn:mrn:a", &round.to_string()).unwrap();
        let registered: Vec<PatientId> = thread::scope(|scope| {
            let register = || session.register_patient([mrn.clone()]);
            let racers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(register)).collect();
            let answers = racers.into_iter().map(|racer| racer.join().unwrap());
            let is_taken = |error: &Error| matches!(error, Error::IdentifierTaken { .. });
            answers.filter_map(|answer| answer.inspect_err(|error| assert!(is_taken(error), "{error}")).ok()).collect()
        });
        assert_eq!(registered.len(), 1, "{registered:?}");
        assert_eq!(session.find_patient(&mrn).unwrap(), Some(registered[0]));
    }
}

#[test]
fn a_new_kind_put_by_many_at_once_is_learned_once() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let charts: Vec<PatientId> = (0..WRITERS).map(|_| session.register_patient([]).unwrap()).collect();
    for round in 0..10 {
        let kind = Kind::new(&format!("kind-{round}")).unwrap();
        thread::scope(|scope| {
            for chart in &charts {
                let (session, kind) = (&session, &kind);
                scope.spawn(move || session.put_verbatim(*chart, kind, b"{}", PutOptions::new()).unwrap());
            }
        });
    }
    drop((session, vault));
    let vault = house.open();
    let session = house.session(&vault);
    for chart in charts {
        assert_eq!(session.kinds(chart).unwrap().len(), 10);
        assert_eq!(session.chart(chart).page().unwrap().entries.len(), 10);
    }
    verify(&session);
}

#[test]
fn reading_what_is_just_being_written_is_never_an_alarm() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let chart = session.register_patient([]).unwrap();
    let (first, done) = (session.put(chart, &note("0")).unwrap(), AtomicBool::new(false));
    let next = |id: RecordId<Note>| -> RecordId<Note> {
        let text = id.to_string();
        let (patient, number) = text.rsplit_once('-').unwrap();
        format!("{patient}-{}", number.parse::<u64>().unwrap() + 1).parse().unwrap()
    };
    thread::scope(|scope| {
        let (session, done) = (&session, &done);
        scope.spawn(move || {
            let mut version = Version::FIRST;
            for step in 0..150 {
                version = session.amend(first, version, &note("x")).unwrap();
                session.put(chart, &note(&step.to_string())).unwrap();
            }
            done.store(true, Ordering::SeqCst);
        });
        scope.spawn(move || {
            while !done.load(Ordering::SeqCst) {
                let history = session.history(first).unwrap();
                assert!(history.iter().rev().map(|entry| entry.version.number()).eq(1..=history.len() as u32));
            }
        });
        scope.spawn(move || {
            let mut wanted = Version::FIRST;
            while !done.load(Ordering::SeqCst) {
                match session.get_version(first, wanted) {
                    Ok(_) => wanted = (wanted.number() + 1).to_string().parse().unwrap(),
                    Err(error) => assert!(matches!(error, Error::NoSuchVersion { .. }), "{error}"),
                }
            }
        });
        scope.spawn(move || {
            let mut wanted = first;
            while !done.load(Ordering::SeqCst) {
                match session.get(wanted) {
                    Ok(_) => wanted = next(wanted),
                    Err(error) => assert!(matches!(error, Error::NoSuchRecord(_)), "{error}"),
                }
                session.kinds(chart).unwrap();
            }
        });
    });
}

#[test]
fn closing_while_others_write_keeps_what_was_acknowledged_and_seals_the_rest() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let chart = session.register_patient([]).unwrap();
    let acknowledged: Vec<RecordId<Note>> = thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| {
                let session = session.clone();
                scope.spawn(move || {
                    let mut own = Vec::new();
                    loop {
                        match session.put(chart, &note("x")) {
                            Ok(id) => own.push(id),
                            Err(Error::Sealed) => return own,
                            Err(error) => panic!("{error}"),
                        }
                    }
                })
            })
            .collect();
        thread::sleep(std::time::Duration::from_millis(200));
        vault.close().unwrap();
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    let vault = house.open();
    assert!(vault.opening().clean);
    let session = house.session(&vault);
    assert!(!acknowledged.is_empty());
    for ids in acknowledged.chunks(1_000) {
        assert_eq!(session.get_many(ids).unwrap().len(), ids.len());
    }
    assert_eq!(session.kinds(chart).unwrap()[0].records, acknowledged.len() as u64);
    verify(&session);
}

#[test]
fn one_handle_at_a_time_has_the_directory() {
    let (house, vault) = House::create();
    let in_use = |answer: Result<(), Error>| matches!(answer, Err(Error::InUse { .. }));
    assert!(in_use(Vault::open(house.path()).map(drop)));
    assert!(matches!(Vault::create(house.path()).raw_key(&house.key).finish(), Err(Error::NotEmpty { .. })));
    vault.close().unwrap();
    let session = {
        let locked = Vault::open_with(house.path(), house.options()).unwrap();
        assert!(in_use(Vault::open(house.path()).map(drop)), "held before it is unlocked");
        let vault = locked.unlock(&house.key).unwrap();
        assert!(in_use(locked.unlock(&house.key).map(drop)), "unlocking twice");
        vault.close().unwrap();
        let again = locked.unlock(&house.key).unwrap();
        house.session(&again)
    };
    assert!(in_use(Vault::open(house.path()).map(drop)), "a session alone holds it");
    drop(session);
    assert!(Vault::open(house.path()).is_ok());
}

/// Tries to open a vault that this test's parent holds. Run by the next test only.
#[test]
#[ignore = "the second process of the next test"]
fn second_process() {
    if let Ok(path) = std::env::var("CHARTVAULT_HELD") {
        let opened = Vault::open(path);
        assert!(matches!(opened, Err(Error::InUse { .. })), "{opened:?}");
        println!("\nin use");
    }
}

#[test]
fn a_second_process_is_told_that_the_vault_is_in_use() {
    let (house, _vault) = House::create();
    let mut second = std::process::Command::new(std::env::current_exe().unwrap());
    second
        .args(["--ignored", "--exact", "concurrency::second_process", "--nocapture"])
        .env("CHARTVAULT_HELD", house.path());
    let output = second.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("\nin use"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}
