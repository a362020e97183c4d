//! A long log: filling it, and verifying it.

use std::time::{Duration, Instant};

use chartvault::{AuditFilter, ReadAudit, RecordRef, Scope, Session, Vault};

use crate::place::{MIB, Place, processor, say};

const READERS: usize = 2;
/// Sessions of each reader, taken in turn. Reads of one session that wait together would share an entry, if fewer than
/// 17 sessions did: so each read has an entry of its own, as those of many people at work have.
const SESSIONS: usize = 32;
/// Reads that one caller makes one after the other, each durable before the next, to see what a lone entry takes.
const ALONE: u64 = 2_000;

/// Reads until the log has so many entries.
pub(crate) fn fill(place: &Place, entries: u64) {
    let trees = place.trees();
    let (vault, session) = place.open();
    let charts = place.charts();
    let before = newest(&session);
    alone(place, &session, &charts);

    let sessions: Vec<Session> = (0..READERS * SESSIONS).map(|_| place.session(&vault)).collect();
    let window = ReadAudit::Windowed { delay: Duration::from_secs(1), entries: 10_000 };
    vault.set_read_audit(window, &place.key()).unwrap();
    let (written, first) = (place.journaled(), newest(&session));
    let (start, busy) = (Instant::now(), processor());
    let each = entries.saturating_sub(first).div_ceil(READERS as u64);
    std::thread::scope(|scope| {
        for (reader, mine) in sessions.chunks(SESSIONS).enumerate() {
            let charts = &charts;
            scope.spawn(move || {
                let sessions = mine.iter().cycle();
                // Next to each other, and everybody's in turn: the log is about all patients.
                let records = charts.iter().cycle().skip(reader * charts.len() / READERS);
                for (session, record) in sessions.zip(records).take(usize::try_from(each).unwrap()) {
                    session.get_verbatim(*record).unwrap();
                }
            });
        }
    });
    // Makes durable what waits.
    vault.set_read_audit(ReadAudit::Durable, &place.key()).unwrap();
    let (took, busy) = (start.elapsed().as_secs_f64(), processor() - busy);
    let made = newest(&session) - first;
    assert!(made >= each * READERS as u64, "some of {each} reads of each reader share entries: {made}");
    if each > 0 {
        say("entries made, each by a read, entries/s", made as f64 / took);
        say("entries made a second of processor time", made as f64 / busy);
        say("journal, bytes an entry, many in a frame", (place.journaled() - written) as f64 / made as f64);
    }
    let all = newest(&session) - before;
    place.note_items(usize::try_from(all).unwrap());
    drop((session, sessions));
    close(&vault);
    say("trees, bytes an entry", place.trees().saturating_sub(trees) as f64 / all as f64);
    place.say_sizes();
}

/// Reads by one caller, each with a frame of its own.
fn alone(place: &Place, session: &Session, charts: &[RecordRef]) {
    let (written, first) = (place.journaled(), newest(session));
    let start = Instant::now();
    charts.iter().cycle().take(ALONE as usize).for_each(|record| drop(session.get_verbatim(*record).unwrap()));
    let took = start.elapsed().as_secs_f64();
    let made = newest(session) - first;
    say("reads of one caller, each durable, entries/s", ALONE as f64 / took);
    say("journal, bytes an entry, each in a frame", (place.journaled() - written) as f64 / made as f64);
}

/// Verifies the whole log, and its chain alone.
pub(crate) fn verify(place: &Place) {
    let (vault, session) = place.open();
    for (name, scope) in [("all of it", Scope::All), ("its chain alone", Scope::Chain)] {
        let (start, busy) = (Instant::now(), processor());
        let entries = session.audit().unwrap().verify(scope).run().unwrap().entries as f64;
        let (took, busy) = (start.elapsed().as_secs_f64(), processor() - busy);
        say(&format!("{name}, s"), took);
        say(&format!("{name}, entries/s"), entries / took);
        say(&format!("{name}, entries a second of processor time"), entries / busy);
    }
    drop(session);
    vault.close().unwrap();
}

/// Compacts the journal.
pub(crate) fn compact(place: &Place) {
    let (vault, session) = place.open();
    let start = Instant::now();
    match vault.compact().unwrap() {
        Some(compacted) => {
            say("s", start.elapsed().as_secs_f64());
            say("rows and entries", (compacted.rows + compacted.entries) as f64);
            say("closed files before MiB", compacted.bytes_before as f64 / MIB as f64);
            say("base after MiB", compacted.bytes_after as f64 / MIB as f64);
        }
        None => eprintln!("  no segment was closed: nothing to compact"),
    }
    drop(session);
    close(&vault);
    place.say_sizes();
}

/// Entries so far.
fn newest(session: &Session) -> u64 {
    let page = session.audit().unwrap().query(AuditFilter::new()).limit(1).page().unwrap();
    page.entries.first().map_or(0, |entry| entry.seq + 1)
}

fn close(vault: &Vault) {
    let start = Instant::now();
    vault.close().unwrap();
    say("close ms", start.elapsed().as_secs_f64() * 1e3);
}
