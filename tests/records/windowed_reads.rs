//! A vault that lets the entries of reads wait: what a crash can lose, what it cannot, and what the log says of it.

use crate::support;

use std::process::{Command, Stdio};
use std::time::Duration;

use chartvault::*;
use support::{House, Note, base_grant, copy_dir, everything, note, small, verify, whole_log};

const LONG: Duration = Duration::from_secs(60);

fn window(entries: u32) -> ReadAudit {
    ReadAudit::Windowed { delay: LONG, entries }
}

/// A house whose vault lets so many entries wait, with a session and a record.
fn windowed(entries: u32) -> (House, Vault, Session, RecordId<Note>) {
    let (house, vault) = House::create();
    vault.set_read_audit(window(entries), &house.key).unwrap();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let id = session.put(patient, &note("x")).unwrap();
    (house, vault, session, id)
}

/// What is found when the machine stops now.
fn after_a_crash(house: &House) -> (tempfile::TempDir, Vault) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("found");
    copy_dir(&house.path(), &path);
    let vault = house.open_at(&path).unwrap();
    (dir, vault)
}

fn reads(log: &[AuditEntry]) -> usize {
    let of_reads = log.iter().filter(|entry| entry.event == AuditEvent::RecordRead);
    of_reads.map(|entry| entry.reads.len().max(1)).sum()
}

#[test]
fn a_crash_loses_reads_of_the_window_only_and_the_log_says_so() {
    let (house, vault, session, id) = windowed(8);
    let total = 21;
    for _ in 0..total {
        session.get(id).unwrap();
    }
    let (_dir, found) = after_a_crash(&house);
    let missing = found.opening().missing_reads.unwrap();
    let log = whole_log(&house.session(&found));
    verify(&house.session(&found));
    assert_eq!(reads(&log), 16, "two windows full");
    assert!(total - reads(&log) <= missing.at_most as usize);
    assert_eq!((missing.at_most, missing.delay), (7, LONG));
    let recovery = log.iter().find(|entry| entry.event == AuditEvent::Recovered).unwrap();
    assert_eq!(recovery.seq, missing.after + 1, "right after the newest entry that was found");
    let said = recovery.detail.clone().unwrap();
    let expected = format!("up to 7 reads of the last 60000 ms may be missing after entry {}", missing.after);
    assert!(said.contains(&expected), "{said}");
    drop((session, vault));
}

#[test]
fn a_clean_end_and_a_vault_without_a_window_leave_no_gap() {
    let (house, vault, session, id) = windowed(100);
    for _ in 0..10 {
        session.get(id).unwrap();
    }
    vault.close().unwrap();
    let vault = house.open();
    assert_eq!((vault.opening().clean, vault.opening().missing_reads), (true, None));
    assert_eq!(vault.read_audit().unwrap(), window(100), "the choice is the vault's");
    assert_eq!(reads(&whole_log(&house.session(&vault))), 10);
    vault.set_read_audit(ReadAudit::Durable, &house.key).unwrap();
    house.session(&vault).get(id).unwrap();
    let (_dir, found) = after_a_crash(&house);
    assert_eq!((found.opening().clean, found.opening().missing_reads), (false, None));
    assert_eq!(reads(&whole_log(&house.session(&found))), 11);
}

#[test]
fn dropping_a_vault_without_closing_it_writes_what_waits() {
    let (house, vault, session, id) = windowed(100);
    for _ in 0..10 {
        session.get(id).unwrap();
    }
    drop((session, vault));
    let vault = house.open();
    assert_eq!(reads(&whole_log(&house.session(&vault))), 10);
}

#[test]
fn denials_and_writes_are_durable_when_answered_and_bring_the_reads_before_them() {
    let (house, vault, session, id) = windowed(1_000);
    let narrow = base_grant().all_patients().all_kinds().actions([Action::List]).issued_at(house.clock.now());
    let narrow = house.session_of(&vault, &narrow);
    for _ in 0..5 {
        session.get(id).unwrap();
    }
    let Err(Error::Denied { ticket }) = narrow.get(id) else { panic!("it was not denied") };
    let (_dir, found) = after_a_crash(&house);
    let log = whole_log(&house.session(&found));
    assert_eq!(reads(&log), 6);
    let denial = log.iter().position(|entry| entry.ticket == Some(ticket)).unwrap();
    assert_eq!(reads(&log[..denial]), 5, "the reads stand before it");

    for _ in 0..5 {
        session.get(id).unwrap();
    }
    let unwritten = session.get_version(id, Version::new(9).unwrap());
    assert!(matches!(unwritten, Err(Error::NoSuchVersion { .. })));
    let (_dir, found) = after_a_crash(&house);
    assert_eq!(reads(&whole_log(&house.session(&found))), 12, "a failure is durable, too");

    for _ in 0..5 {
        session.get(id).unwrap();
    }
    session.amend(id, Version::FIRST, &note("y")).unwrap();
    let (_dir, found) = after_a_crash(&house);
    let log = whole_log(&house.session(&found));
    let amended = log.iter().position(|entry| entry.event == AuditEvent::RecordAmended).unwrap();
    assert_eq!((reads(&log[..amended]), reads(&log)), (17, 17));
}

#[test]
fn every_sort_of_read_may_wait_and_nothing_else_does() {
    let (house, vault, session, id) = windowed(1_000);
    let patient = id.patient();
    let nobody = Identifier::new("urn:mrn:a", "nobody").unwrap();
    let lost = |name: &str, work: &dyn Fn()| {
        session.find_patient(&nobody).unwrap();
        let before = whole_log(&house.session(&after_a_crash(&house).1)).len();
        work();
        let after = whole_log(&house.session(&after_a_crash(&house).1)).len();
        assert!(after >= before, "{name}");
        after == before
    };
    let waits: [(&str, &dyn Fn()); 6] = [
        ("get", &|| drop(session.get(id).unwrap())),
        ("get many", &|| drop(session.get_many(&[id]).unwrap())),
        ("list", &|| drop(session.list::<Note>(patient).page().unwrap())),
        ("chart", &|| drop(session.chart(patient).page().unwrap())),
        ("history", &|| drop(session.history(id).unwrap())),
        ("version", &|| drop(session.get_version(id, Version::FIRST).unwrap())),
    ];
    for (name, work) in waits {
        assert!(lost(name, work), "{name} did not wait");
    }
    let durable: [(&str, &dyn Fn()); 5] = [
        ("kinds", &|| drop(session.kinds(patient).unwrap())),
        ("find", &|| assert_eq!(session.find_patient(&nobody).unwrap(), None)),
        ("put", &|| assert!(session.put(patient, &note("z")).is_ok())),
        ("log", &|| drop(session.audit().unwrap().query(AuditFilter::new()).limit(1).page().unwrap())),
        ("session", &|| drop(house.session(&vault))),
    ];
    for (name, work) in durable {
        assert!(!lost(name, work), "{name} waited");
    }
}

#[test]
fn the_log_shows_reads_that_were_just_answered_and_when_they_were() {
    let (house, vault, session, id) = windowed(100);
    let first = house.clock.now();
    session.get(id).unwrap();
    house.clock.step(30);
    session.get(id).unwrap();
    house.clock.step(7);
    let log = whole_log(&session);
    let entry = log.iter().find(|entry| entry.event == AuditEvent::RecordRead).unwrap();
    let times: Vec<_> = entry.reads.iter().map(|read| read.time).collect();
    assert_eq!((entry.time, times), (first, vec![first, first.saturating_add(Duration::from_secs(30))]));
    session.get(id).unwrap();
    let before = verify(&session).entries;
    session.get(id).unwrap();
    assert_eq!(verify(&session).entries, before + 2, "the verification and the read");
    vault.close().unwrap();
}

#[test]
fn reads_that_share_an_entry_are_all_named_in_it() {
    let (house, vault, session, id) = windowed(1_000);
    let other = session.put(session.register_patient([]).unwrap(), &note("y")).unwrap();
    let colleague = house.session(&vault);
    let before = whole_log(&session).len();
    for (session, id) in [(&session, id), (&session, other), (&colleague, id), (&session, id), (&session, other)] {
        session.get(id).unwrap();
    }
    session.history(id).unwrap();
    let log = whole_log(&session);
    let found: Vec<_> = log[before..].iter().filter(|entry| !entry.subjects.is_empty()).collect();
    let [shared, single, history] = found[..] else { panic!("{found:?}") };
    assert_eq!((single.event, single.reads.len()), (AuditEvent::RecordRead, 0));
    assert_ne!(single.session, shared.session, "another session's reads are its own");
    assert_eq!((history.event, history.reads.len()), (AuditEvent::HistoryRead, 0));
    let patients = [Some(id.patient()), Some(other.patient())];
    assert_eq!(shared.subjects.iter().map(|subject| subject.patient).collect::<Vec<_>>(), patients);
    // As often as it was read.
    for subject in &shared.subjects {
        assert_eq!(subject.records.iter().map(|record| record.number).collect::<Vec<_>>(), [1, 1]);
    }
    let named: Vec<_> = shared.reads.iter().map(|read| (read.subject, read.records)).collect();
    assert_eq!(named, [(0, 1), (1, 1), (0, 1), (1, 1)]);
    assert!(shared.to_string().contains(" x4 "), "{shared}");
    verify(&session);
    assert!(vault.check(CheckScope::All, &mut |_| ()).unwrap().is_sound());
}

#[test]
fn each_read_is_found_by_its_own_time() {
    let (house, _vault, session, id) = windowed(1_000);
    let other = session.put(session.register_patient([]).unwrap(), &note("y")).unwrap();
    session.get(id).unwrap();
    house.clock.step(30);
    let then = house.clock.now();
    session.get(other).unwrap();
    house.clock.step(7);
    let asked = |filter: AuditFilter| {
        let filter = filter.event(AuditEvent::RecordRead);
        session.audit().unwrap().query(filter).page().unwrap().entries.len()
    };
    assert_eq!(asked(AuditFilter::new().patient(other.patient()).from(then)), 1);
    assert_eq!(asked(AuditFilter::new().patient(id.patient()).to(then)), 1);
    assert_eq!(asked(AuditFilter::new().from(house.clock.now())), 0);
}

#[test]
fn what_follows_reads_is_before_none_of_them_though_the_clock_goes_back() {
    let (house, vault, session, id) = windowed(1_000);
    let before = whole_log(&session).len();
    session.get(id).unwrap();
    house.clock.step(10);
    session.get(id).unwrap();
    house.clock.step(-5);
    session.amend(id, Version::FIRST, &note("z")).unwrap();
    assert!(vault.check(CheckScope::All, &mut |_| ()).unwrap().is_sound());
    let log = whole_log(&session);
    let found: Vec<_> = log[before..].iter().filter(|entry| !entry.subjects.is_empty()).collect();
    let [reads, amended] = found[..] else { panic!("{found:?}") };
    assert_eq!(reads.reads.len(), 2);
    assert!(reads.reads[1].time > reads.time && amended.time >= reads.reads[1].time);
    verify(&session);
}

#[test]
fn reads_share_no_entry_across_what_was_written_between_them() {
    let (_house, _vault, session, id) = windowed(1_000);
    let before = whole_log(&session).len();
    session.get(id).unwrap();
    session.get(id).unwrap();
    let amended = session.amend(id, Version::FIRST, &note("z"));
    amended.unwrap();
    session.get(id).unwrap();
    session.get(id).unwrap();
    let log = whole_log(&session);
    let versions = |entry: &AuditEntry| entry.subjects[0].records.iter().map(|r| r.version).collect::<Vec<_>>();
    let found: Vec<_> = log[before..].iter().filter(|entry| !entry.subjects.is_empty()).map(versions).collect();
    assert_eq!(found, [vec![1, 1], vec![2], vec![2, 2]]);
}

#[test]
fn a_clock_that_goes_back_behind_a_read_that_still_waits_is_noticed() {
    let (house, _vault, session, id) = windowed(100);
    house.clock.step(3_600);
    session.get(id).unwrap();
    house.clock.step(-3_600);
    assert!(matches!(session.get(id), Err(Error::ClockRollback { .. })));
}

#[test]
fn the_choice_asks_for_a_credential_has_bounds_and_stands_in_the_log() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let entries = whole_log(&session).len();
    for bad in [window(0), window(10_001), ReadAudit::Windowed { delay: Duration::ZERO, entries: 5 }] {
        assert!(matches!(vault.set_read_audit(bad, &house.key), Err(Error::ReadAudit(_))));
        let elsewhere = house.dir.path().join("other");
        let refused = Vault::create(&elsewhere).raw_key(&house.key).read_audit(bad).finish();
        assert!(matches!(refused, Err(Error::ReadAudit(_))) && !elsewhere.exists());
    }
    assert!(!whole_log(&session)[entries..].iter().any(|entry| entry.event == AuditEvent::ReadAuditChanged));
    let wrong = RawKey::generate().unwrap();
    assert!(matches!(vault.set_read_audit(window(7), &wrong), Err(Error::Unlock(_))));
    assert_eq!(vault.read_audit().unwrap(), ReadAudit::Durable);
    vault.set_read_audit(window(10_000), &house.key).unwrap();
    vault.set_read_audit(window(7), &house.key).unwrap();
    let log = whole_log(&session);
    let changes: Vec<_> = log.iter().filter(|entry| entry.event == AuditEvent::ReadAuditChanged).collect();
    assert_eq!(
        changes.iter().map(|entry| entry.outcome).collect::<Vec<_>>(),
        [Outcome::Denied, Outcome::Allowed, Outcome::Allowed]
    );
    let said = changes[2].detail.as_deref();
    assert_eq!(said, Some("from windowed, 60000 ms, 10000 entries to windowed, 60000 ms, 7 entries"));
    vault.close().unwrap();
    assert!(matches!(vault.set_read_audit(window(7), &house.key), Err(Error::Sealed)));
    assert_eq!(house.open().read_audit().unwrap(), window(7));
}

#[test]
fn a_vault_created_with_a_window_says_so_in_its_first_entries() {
    let dir = tempfile::tempdir().unwrap();
    let key = RawKey::generate().unwrap();
    let (vault, _) = Vault::create(dir.path()).raw_key(&key).read_audit(window(9)).finish().unwrap();
    let issuer = IssuerKey::generate().unwrap();
    vault.trust_issuer(issuer.public(), &key).unwrap();
    let session = vault.session(everything().sign(&issuer, vault.id()).unwrap(), Purpose::Treatment).unwrap();
    let log = whole_log(&session);
    assert_eq!((log[0].event, log[1].event), (AuditEvent::VaultCreated, AuditEvent::ReadAuditChanged));
    assert_eq!(log[1].detail.as_deref(), Some("from durable to windowed, 60000 ms, 9 entries"));
}

const DIR: &str = "CHARTVAULT_WINDOW_DIR";
const TOKEN: &str = "CHARTVAULT_WINDOW_TOKEN";
const RECORD: &str = "CHARTVAULT_WINDOW_RECORD";
const KEY: [u8; 32] = [0x57; 32];

/// The process that ends without a word. Run by the test below only.
#[test]
#[ignore = "the process that the other test starts"]
fn victim() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let told = |name: &str| std::env::var(name).unwrap();
    let vault = Vault::open_with(dir, small()).unwrap().unlock(&RawKey::from_bytes(KEY)).unwrap();
    let session = vault.session(Token::from_text(&told(TOKEN)).unwrap(), Purpose::Treatment).unwrap();
    for _ in 0..25 {
        session.get_verbatim(told(RECORD).parse().unwrap()).unwrap();
    }
    std::process::abort();
}

#[test]
fn a_process_that_aborts_loses_no_more_than_the_window() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vault");
    let (key, issuer) = (RawKey::from_bytes(KEY), IssuerKey::generate().unwrap());
    let created = Vault::create(&path).raw_key(&key).read_audit(window(10)).options(small()).finish();
    let (vault, _) = created.unwrap();
    vault.trust_issuer(issuer.public(), &key).unwrap();
    let token = everything().sign(&issuer, vault.id()).unwrap();
    let session = vault.session(&token, Purpose::Treatment).unwrap();
    let patient = session.register_patient([]).unwrap();
    let kind = Kind::new("Observation").unwrap();
    let record = session.put_verbatim(patient, &kind, b"{}", PutOptions::new()).unwrap();
    vault.close().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "windowed_reads::victim"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.env(DIR, &path).env(TOKEN, token.expose_text().as_str()).env(RECORD, record.to_string());
    assert!(command.status().unwrap().code().is_none(), "it ended by itself");
    let vault = Vault::open_with(&path, small()).unwrap().unlock(&key).unwrap();
    assert!(vault.opening().missing_reads.is_some_and(|missing| missing.at_most == 9));
    let session = vault.session(&token, Purpose::Treatment).unwrap();
    verify(&session);
    assert_eq!(reads(&whole_log(&session)), 20);
}

#[test]
fn a_query_finds_what_its_filter_lets_through_also_where_reads_share_an_entry_and_the_clock_was_set_back() {
    let (house, vault, session, id) = windowed(100);
    let before = house.clock.now();
    house.clock.step(-7_200);
    vault.reset_clock(&house.key).unwrap();
    for _ in 0..3 {
        session.get(id).unwrap();
        house.clock.step(1);
    }
    let log = whole_log(&session);
    let shared = log.iter().find(|entry| entry.reads.len() == 3).unwrap();
    assert!(shared.clock.is_some() && shared.reads.iter().all(|read| read.time < before) && shared.time >= before);
    let times = [shared.reads[0].time, before, shared.time.saturating_add(Duration::from_secs(1))];
    for time in times {
        for filter in
            [AuditFilter::new().to(time), AuditFilter::new().from(time), AuditFilter::new().from(before).to(time)]
        {
            let lets_through = filter.matches(shared);
            let asked = session.audit().unwrap().query(filter.clone()).limit(1_000).page().unwrap().entries;
            assert_eq!(asked.contains(shared), lets_through, "{filter:?}");
            let mut following = session.audit().unwrap().subscribe(filter.clone()).from(shared.seq).unwrap();
            let first = following.next_within(Duration::from_millis(1)).unwrap();
            assert_eq!(first.as_ref() == Some(shared), lets_through, "{filter:?}");
        }
    }
    assert!(AuditFilter::new().from(times[2]).matches(shared), "the second read was a second later, by the log's time");
    assert!(!AuditFilter::new().to(before).matches(shared), "by the log's time it was not before");
}
