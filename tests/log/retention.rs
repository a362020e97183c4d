//! How long the log is kept: for ever unless somebody says otherwise, what keeps it, and archives that show what was there.

use crate::support;

use std::time::Duration;

use chartvault::*;
use chartvault_verify::archive;
use support::{House, base_grant, verify, whole_log};

const DAY: u64 = 86_400;

fn days(days: u64) -> Duration {
    Duration::from_secs(days * DAY)
}

/// Adds entries until the log has so many.
fn fill(session: &Session, entries: u64) {
    let mrn = Identifier::new("urn:mrn:clinic-a", "12345").unwrap();
    while session.audit().unwrap().query(AuditFilter::new()).limit(1).page().unwrap().entries[0].seq + 2 < entries {
        session.find_patient(&mrn).unwrap();
    }
}

fn retention(session: &Session) -> LogRetentionReport {
    session.audit().unwrap().retention().unwrap()
}

fn archived(session: &Session, entries: std::ops::Range<u64>) -> (Vec<u8>, LogArchive) {
    let mut file = Vec::new();
    let archive = session.audit().unwrap().archive(entries, &mut file).unwrap();
    (file, archive)
}

#[test]
fn a_new_vault_keeps_its_log_for_ever() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    fill(&session, 300);
    house.clock.advance(days(20_000));
    let session = house.session(&vault);
    let report = retention(&session);
    assert_eq!((report.terms, report.entries, report.kept_from), (LogRetention::default(), 256, 0));
    assert_eq!(report.kept_by, [LogKept::ForEver]);
}

#[test]
fn terms_are_set_with_a_credential_and_last_and_the_log_says_so() {
    let (house, vault) = House::create();
    let terms = LogRetention::keep_for(days(3_653)).unwrap().newest(1_000);
    let wrong = RawKey::generate().unwrap();
    assert!(matches!(vault.set_log_retention(terms, &wrong), Err(Error::Unlock(_))));
    assert_eq!(retention(&house.session(&vault)).terms, LogRetention::default());
    vault.set_log_retention(terms, &house.key).unwrap();
    vault.close().unwrap();
    let vault = house.open();
    let session = house.session(&vault);
    assert_eq!(retention(&session).terms, terms);
    let log = whole_log(&session);
    let said: Vec<_> = log.iter().filter(|entry| entry.event == AuditEvent::RetentionChanged).collect();
    let told = said.iter().map(|entry| (entry.outcome, entry.detail.as_deref().unwrap()));
    let expected = format!("the log is kept for {} s, and its newest 1000 entries", 3_653 * DAY);
    assert_eq!(told.collect::<Vec<_>>()[1..], [(Outcome::Allowed, &expected[..])]);
    assert_eq!(said[0].outcome, Outcome::Denied);
    vault.set_log_retention(LogRetention::default(), &house.key).unwrap();
    assert_eq!(retention(&session).kept_by, []);
    assert!(vault.check(CheckScope::All, &mut |_| ()).unwrap().is_sound());
}

#[test]
fn whole_tiles_may_go_once_all_their_entries_are_old_enough_and_not_among_the_newest() {
    let (house, vault) = House::create();
    fill(&house.session(&vault), 300);
    house.clock.advance(days(10));
    fill(&house.session(&vault), 600);
    house.clock.advance(days(5));
    let session = house.session(&vault);
    let kept = |keep: u64, newest: u64| {
        vault.set_log_retention(LogRetention::however_short(days(keep)).newest(newest), &house.key).unwrap();
        let report = retention(&session);
        assert_eq!(report.entries, 512);
        (report.kept_from, report.kept_by)
    };
    assert_eq!(kept(16, 0), (0, vec![LogKept::Age]));
    assert_eq!(kept(15, 0), (256, vec![LogKept::Age]), "exactly as old");
    assert_eq!(kept(6, 0), (256, vec![LogKept::Age]), "the second tile ends with younger ones");
    assert_eq!(kept(5, 0), (512, vec![]));
    assert_eq!(kept(5, 1), (256, vec![LogKept::Newest]));
    assert_eq!(kept(5, 256), (256, vec![LogKept::Newest]));
    assert_eq!(kept(5, 257), (0, vec![LogKept::Newest]));
    assert_eq!(kept(5, u64::MAX), (0, vec![LogKept::Newest]));
    assert_eq!(kept(6, 256), (256, vec![LogKept::Age, LogKept::Newest]));
}

#[test]
fn a_hold_keeps_all_of_the_log_until_the_last_one_is_lifted() {
    let (house, vault) = House::create();
    fill(&house.session(&vault), 300);
    house.clock.advance(days(5));
    vault.set_log_retention(LogRetention::however_short(days(1)), &house.key).unwrap();
    let session = house.session(&vault);
    assert_eq!(retention(&session).kept_from, 256);
    let first = session.audit().unwrap().place_log_hold("case 17").unwrap();
    assert_eq!((first.since, first.by, &first.reason[..]), (house.clock.now(), session.principal(), "case 17"));
    house.clock.advance(Duration::from_secs(1));
    let second = session.audit().unwrap().place_log_hold("case 18").unwrap();
    drop(session);
    vault.close().unwrap();
    let vault = house.open();
    let session = house.session(&vault);
    let report = retention(&session);
    assert_eq!(report.holds, [first.clone(), second.clone()]);
    assert_eq!((report.kept_from, report.kept_by), (0, vec![LogKept::Held(first.id), LogKept::Held(second.id)]));
    session.audit().unwrap().lift_log_hold(first.id, "case 17 is closed").unwrap();
    assert_eq!(retention(&session).kept_by, [LogKept::Held(second.id)]);
    let again = session.audit().unwrap().lift_log_hold(first.id, "case 17 is closed");
    assert!(matches!(again, Err(Error::NoSuchLogHold { hold }) if hold == first.id), "{again:?}");
    session.audit().unwrap().lift_log_hold(second.id, "case 18 is closed").unwrap();
    assert_eq!(retention(&session).kept_from, 256);
    let log = whole_log(&session);
    let about = |entry: &&AuditEntry| matches!(entry.event.code(), 104 | 105) && entry.outcome == Outcome::Allowed;
    let said: Vec<_> = log.iter().filter(about).map(|entry| entry.detail.clone().unwrap()).collect();
    let expected =
        [(&first, "case 17"), (&second, "case 18"), (&first, "case 17 is closed"), (&second, "case 18 is closed")];
    assert_eq!(said, expected.map(|(hold, reason)| format!("{}: {reason}", hold.id)));
    assert!(vault.check(CheckScope::All, &mut |_| ()).unwrap().is_sound());
    verify(&session);
}

#[test]
fn emergencies_and_reviews_that_are_open_keep_the_log_from_when_they_began() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    fill(&session, 300);
    house.clock.advance(days(1));
    let grant = base_grant().issued_at(house.clock.now()).all_patients().all_kinds().actions([Action::Read]);
    let grant = grant.purpose(Purpose::BreakGlass);
    let grant = grant.emergency([Action::Read], Confidentiality::Normal, Duration::from_secs(60));
    let token = grant.sign(&house.issuer, vault.id()).unwrap();
    let nurse = vault.session(&token, Purpose::Treatment).unwrap();
    nurse.break_glass(patient, EmergencyReason::Other, "alarm").unwrap();
    let session = house.session(&vault);
    let round = session.reviews().open(house.clock.now().saturating_add(days(90)), "autumn").unwrap();
    fill(&session, 600);
    house.clock.advance(days(5));
    vault.set_log_retention(LogRetention::however_short(days(1)), &house.key).unwrap();
    let session = house.session(&vault);
    let report = retention(&session);
    let [LogKept::Case(case), LogKept::Review(number)] = report.kept_by[..] else { panic!("{report:?}") };
    assert_eq!((report.entries, report.kept_from, number), (512, 256, round.number));
    assert_eq!(session.cases().list(CaseState::Open, None).unwrap()[0].id, case);
}

#[test]
fn an_archive_says_the_same_to_the_vault_and_to_whoever_has_no_key_even_of_a_log_that_went_on() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    fill(&session, 600);
    let (file, archive) = archived(&session, 0..512);
    assert_eq!((archive.first, archive.end, archive.bytes), (0, 512, file.len() as u64));
    assert_eq!(archive::verify(&file[..]).unwrap(), archive);
    assert_eq!(session.audit().unwrap().check_archive(&mut &file[..]).unwrap(), archive);
    let halves = [0..256, 256..512].map(|entries| archived(&session, entries).1.root);
    assert_eq!(archive.root, chartvault_verify::merkle::node_hash(&halves[0], &halves[1]), "nodes of the log's tree");
    let log = whole_log(&session);
    let exports: Vec<_> = log.iter().filter(|entry| entry.event == AuditEvent::LogExported).collect();
    let hash: String = archive.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = format!("archive of entries 0 up to 512, SHA-256 {hash}");
    assert_eq!((exports.len(), exports[0].detail.as_deref()), (3, Some(&expected[..])));
    assert!(log.iter().any(|entry| entry.detail.as_deref() == Some(&format!("as in the log: {expected}"))));
    vault.close().unwrap();
    let vault = house.open();
    assert_eq!(house.session(&vault).audit().unwrap().check_archive(&mut &file[..]).unwrap(), archive);
}

#[test]
fn only_whole_tiles_that_are_there_are_archived_and_what_is_refused_writes_nothing() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    fill(&session, 300);
    let backwards = std::ops::Range { start: 512, end: 256 };
    for entries in [0..255, 1..256, 0..0, 256..512, 0..512, backwards] {
        let mut file = Vec::new();
        let refused = session.audit().unwrap().archive(entries.clone(), &mut file);
        let Err(Error::LogArchive(LogArchiveError::NotWhole { first, end, whole })) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!((first..end, whole, file.len()), (entries, 256, 0));
    }
}

#[test]
fn an_archive_that_somebody_wrote_anew_is_found_by_the_log() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    fill(&session, 300);
    let (file, _) = archived(&session, 0..256);
    // Sound in itself: made with the means of whoever verifies without a key. Only the last entry is another.
    let mut reader = archive::ArchiveReader::begin(&file[..]).unwrap();
    let mut forged = Vec::new();
    let mut writer = archive::ArchiveWriter::begin(&mut forged, reader.vault(), 0..256).unwrap();
    while let Some((seq, entry)) = reader.next_entry().unwrap() {
        let mut entry = entry.to_vec();
        *entry.last_mut().unwrap() ^= u8::from(seq == 255);
        writer.push(&entry).unwrap();
    }
    writer.finish().unwrap();
    assert!(archive::verify(&forged[..]).is_ok());
    let refused = session.audit().unwrap().check_archive(&mut &forged[..]);
    assert!(matches!(refused, Err(Error::LogArchive(LogArchiveError::Differs { seq: 255 }))), "{refused:?}");
    let mut cut = &file[..file.len() - 1];
    let refused = session.audit().unwrap().check_archive(&mut cut);
    assert!(matches!(refused, Err(Error::LogArchive(LogArchiveError::Archive(_)))), "{refused:?}");
    let (others, other) = House::create();
    let stranger = others.session(&other);
    let refused = stranger.audit().unwrap().check_archive(&mut &file[..]);
    assert!(matches!(refused, Err(Error::LogArchive(LogArchiveError::OtherVault))), "{refused:?}");
}

#[test]
fn a_file_that_cannot_be_written_is_told_and_the_log_had_said_before_what_was_to_be_written() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    fill(&session, 300);
    let mut full: &mut [u8] = &mut [0; 100];
    let refused = session.audit().unwrap().archive(0..256, &mut full);
    assert!(
        matches!(refused, Err(Error::LogArchive(LogArchiveError::Archive(archive::ArchiveError::Write(_))))),
        "{refused:?}"
    );
    let log = whole_log(&session);
    assert_eq!(log.iter().filter(|entry| entry.event == AuditEvent::LogExported).count(), 1);
}

#[test]
fn without_the_audit_action_nobody_holds_the_log_or_archives_it() {
    let (house, vault) = House::create();
    let auditor = house.session(&vault);
    fill(&auditor, 300);
    let others = Action::ALL.iter().copied().filter(|action| *action != Action::Audit);
    let grant = base_grant().issued_at(house.clock.now()).all_patients().all_kinds().actions(others);
    let other = house.session_of(&vault, &grant);
    assert!(matches!(other.audit().map(drop), Err(Error::Denied { .. })));
    assert_eq!(retention(&auditor).holds, []);
    for (reason, found) in [("  ".to_owned(), 0), ("x".repeat(257), 257)] {
        let refused = auditor.audit().unwrap().place_log_hold(&reason);
        assert!(matches!(refused, Err(Error::InvalidText { what: "reason", len, .. }) if len == found), "{refused:?}");
        let refused = auditor.audit().unwrap().lift_log_hold(LogHoldId::from_bytes([1; 16]), &reason);
        assert!(matches!(refused, Err(Error::InvalidText { what: "reason", len, .. }) if len == found), "{refused:?}");
    }
    for _ in 0..100 {
        auditor.audit().unwrap().place_log_hold("case 17").unwrap();
    }
    let refused = auditor.audit().unwrap().place_log_hold("case 17");
    assert!(matches!(refused, Err(Error::TooMany { len: 101, limit: 100, .. })), "{refused:?}");
}

#[test]
fn a_hold_whose_entry_could_not_be_written_does_not_stand() {
    use chartvault::test_util::{Fault, FileOp};
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let view = session.audit().unwrap();
    let fault = Fault::on(FileOp::Write, std::io::ErrorKind::Other).for_good();
    let refused = view.place_log_hold("case 17");
    assert!(refused.is_err() && fault.hits() > 0, "{refused:?}");
    drop(fault);
    drop((session, vault));
    let vault = house.open();
    let session = house.session(&vault);
    assert_eq!(retention(&session).holds, []);
    verify(&session);
}
