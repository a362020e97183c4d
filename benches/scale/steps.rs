//! What a child process does. Each step is a process of its own, so that its peak memory is its own and it can be killed.
//! It prints its figures, one `name value` a line.

use std::fs;
use std::io::{BufRead, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chartvault::{
    Action, CheckScope, Grant, Identifier, IssuerKey, Kind, Options, PatientId, Progress, Purpose, PutOptions, RawKey,
    ReadAudit, RecordRef, Session, Task, Vault,
};

use crate::place::{Place, memory, processor, say};
use crate::{median, percentile};

/// Bytes of a value.
pub(crate) const VALUE: usize = 512;
/// Records of one chart.
pub(crate) const CHART: usize = 100;
const BATCH: usize = 500;
const WRITERS: usize = 2;

fn kind() -> Kind {
    Kind::new("Observation").unwrap()
}

/// Charts of [`CHART`] records each, in batches of [`BATCH`], by [`WRITERS`] threads. Gives a record of each chart.
fn bulk(place: &Place, session: &Session, charts: &[PatientId]) -> Vec<RecordRef> {
    place.note_items(charts.len() * (CHART + 1));
    let (next, found) = (AtomicUsize::new(0), Mutex::new(vec![None; charts.len()]));
    let (kind, value) = (kind(), vec![b'x'; VALUE]);
    let per_batch = BATCH / CHART;
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(per_batch, Ordering::Relaxed);
                    let Some(mine) = charts.get(at..charts.len().min(at + per_batch)).filter(|mine| !mine.is_empty())
                    else {
                        break;
                    };
                    let mut batch = session.batch();
                    for record in 0..mine.len() * CHART {
                        batch.put_verbatim(mine[record / CHART], &kind, &value, PutOptions::new()).unwrap();
                    }
                    let written = batch.commit().unwrap();
                    let mut found = found.lock().unwrap();
                    written.chunks(CHART).enumerate().for_each(|(chart, written)| found[at + chart] = Some(written[0]));
                }
            });
        }
    });
    found.into_inner().unwrap().into_iter().flatten().collect()
}

fn register(session: &Session, patients: usize) -> Vec<PatientId> {
    let all: Vec<[Identifier; 0]> = vec![[]; patients];
    all.chunks(1_000).flat_map(|some| session.register_patients(some.iter().cloned()).unwrap()).collect()
}

/// Makes the vault, and closes it.
pub(crate) fn import(place: &Place, records: usize) {
    let key = RawKey::generate().unwrap();
    fs::write(place.0.join("key"), *key.expose_bytes()).unwrap();
    let (vault, _) = Vault::create(place.vault()).raw_key(&key).options(Options::new()).finish().unwrap();
    let issuer = IssuerKey::generate().unwrap();
    vault.trust_issuer(issuer.public(), &key).unwrap();
    let grant = Grant::to("bench").all_patients().all_kinds().actions(Action::ALL.iter().copied());
    let grant = grant.purpose(Purpose::Treatment).valid_for(Duration::from_secs(30 * 86_400));
    let token = grant.sign(&issuer, vault.id()).unwrap();
    fs::write(place.0.join("token"), token.expose_text().as_bytes()).unwrap();
    let session = vault.session(&token, Purpose::Treatment).unwrap();

    let patients = records.div_ceil(CHART);
    let start = Instant::now();
    let charts = register(&session, patients);
    say("register patients/s", patients as f64 / start.elapsed().as_secs_f64());
    let start = Instant::now();
    let charts = bulk(place, &session, &charts);
    say("import records/s", (patients * CHART) as f64 / start.elapsed().as_secs_f64());
    let lines: String = charts.iter().map(|record| format!("{record}\n")).collect();
    fs::write(place.0.join("charts"), lines).unwrap();
    let start = Instant::now();
    drop(session);
    vault.close().unwrap();
    say("close ms", start.elapsed().as_secs_f64() * 1e3);
    let written = (patients * CHART) as f64;
    say("journal, bytes a record", place.journaled() as f64 / written);
    say("trees, bytes a record", place.trees() as f64 / written);
    place.say_sizes();
}

/// Opens, and measures the first touch of some charts against the second.
pub(crate) fn touch(place: &Place, touches: usize) {
    let (vault, session) = place.open_measured();
    let charts = place.charts();
    let step = (charts.len() / touches.max(1)).max(1);
    let chosen: Vec<RecordRef> = charts.iter().copied().step_by(step).take(touches).collect();
    let mut get = |record: &RecordRef| {
        let start = Instant::now();
        session.get_verbatim(*record).unwrap();
        start.elapsed().as_secs_f64() * 1e3
    };
    // So that no sync of an entry is in the figures.
    let window = ReadAudit::Windowed { delay: Duration::from_secs(1), entries: 1_000 };
    vault.set_read_audit(window, &place.key()).unwrap();
    let first: Vec<f64> = chosen.iter().map(&mut get).collect();
    let second: Vec<f64> = chosen.iter().map(&mut get).collect();
    vault.set_read_audit(ReadAudit::Durable, &place.key()).unwrap();
    say("first touch ms", median(first.clone()));
    if touches > 1 {
        say("first touch, 99 % ms", percentile(first.clone(), 99));
        say("first touch, worst ms", percentile(first, 100));
    }
    say("second touch ms", median(second));
    drop(session);
    vault.close().unwrap();
}

/// Reads everything, twice: page by page of one kind, and chart by chart.
pub(crate) fn list(place: &Place) {
    let (vault, session) = place.open();
    let (charts, start, mut records) = (place.charts(), Instant::now(), 0);
    for record in &charts {
        let mut next = None;
        loop {
            let mut list = session.list_verbatim(record.patient(), &kind()).limit(CHART);
            if let Some(cursor) = next {
                list = list.after(cursor);
            }
            let page = list.page().unwrap();
            records += page.entries.len();
            next = page.next;
            if next.is_none() {
                break;
            }
        }
    }
    assert_eq!(records, charts.len() * CHART);
    say("every chart listed once, records/s", records as f64 / start.elapsed().as_secs_f64());
    say("memory MiB", memory("VmRSS"));
    let (start, mut records) = (Instant::now(), 0);
    for record in &charts {
        records += session.chart(record.patient()).limit(CHART).page().unwrap().entries.len();
    }
    say("every chart as a chart, again, records/s", records as f64 / start.elapsed().as_secs_f64());
    drop(session);
    vault.close().unwrap();
}

/// Checks of all sorts, in rows and log entries a second, and in those a second of processor time.
pub(crate) fn check(place: &Place) {
    let (vault, session) = place.open();
    let scopes = [("trees", CheckScope::Trees), ("journal", CheckScope::Journal), ("records", CheckScope::Records)];
    for (name, scope) in scopes {
        let (start, before) = (Instant::now(), processor());
        let report = vault.check(scope, &mut |_| ()).unwrap();
        assert!(report.is_sound(), "{report}");
        let (took, busy) = (start.elapsed().as_secs_f64(), processor() - before);
        say(&format!("{name}, s"), took);
        say(&format!("{name}, rows and entries/s"), place.items() as f64 / took);
        say(&format!("{name}, rows and entries a second of processor time"), place.items() as f64 / busy);
    }
    drop(session);
    vault.close().unwrap();
}

/// A new data key, and everything sealed under it.
pub(crate) fn rotate(place: &Place) {
    let (vault, session) = place.open();
    let (start, mut resealed) = (Instant::now(), (0, 0.0));
    let mut watch = |progress: Progress| {
        if progress.task == Task::ResealRecords {
            resealed = (progress.done, start.elapsed().as_secs_f64());
        }
    };
    let rotated = vault.rotate_data_key(&place.key(), &mut watch).unwrap();
    assert_eq!(rotated.unreadable, 0);
    say("versions/s", resealed.0 as f64 / resealed.1);
    say("count and compaction, s", start.elapsed().as_secs_f64() - resealed.1);
    drop(session);
    vault.close().unwrap();
    place.say_sizes();
}

/// Opens, writes `records` more, waits `idle`, says so and waits to be killed.
pub(crate) fn tail(place: &Place, records: usize, idle: Duration) {
    let (_vault, session) = place.open();
    let charts = register(&session, records / CHART);
    bulk(place, &session, &charts);
    std::thread::sleep(idle);
    println!("ready");
    std::io::stdout().flush().unwrap();
    std::io::stdin().lock().lines().for_each(drop);
}

/// Single puts beside an import that journals enough for `checkpoints` checkpoints, and how long the worst took.
pub(crate) fn stall(place: &Place, records: usize) {
    let (vault, session) = place.open();
    let patients = register(&session, records.div_ceil(CHART) + 1);
    let (mine, others) = patients.split_first().unwrap();
    let (value, kind, stop) = (vec![b'x'; VALUE], kind(), AtomicBool::new(false));
    let mut took = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut took = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let start = Instant::now();
                session.put_verbatim(*mine, &kind, &value, PutOptions::new()).unwrap();
                took.push(start.elapsed().as_secs_f64() * 1e3);
            }
            took
        });
        bulk(place, &session, others);
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    took.sort_by(f64::total_cmp);
    say("ms", median(took.clone()));
    say("99 % ms", percentile(took.clone(), 99));
    say("worst ms", percentile(took, 100));
    drop(session);
    vault.close().unwrap();
}
