//! Verifying the log: the same answer from any number of threads, and the first fault by its number.

use std::time::Duration;

use chartvault::test_util::{Stored, TestVault};
use chartvault::{
    AuditEvent, AuditFilter, Clock, Error, FaultKind, Identifier, LogFault, LogReport, LogVerdict, Scope, Session,
    Timestamp, VerifiedLog,
};

/// More than four stretches that one thread looks at.
const ENTRIES: usize = 4_300;

fn busy_vault() -> TestVault {
    let clinic = TestVault::new().build().unwrap();
    let session = clinic.physician().unwrap();
    let mrn = Identifier::new("urn:mrn:clinic-a", "12345").unwrap();
    session.register_patient([mrn.clone()]).unwrap();
    for _ in 0..ENTRIES {
        session.find_patient(&mrn).unwrap();
    }
    clinic
}

fn verify(session: &Session, scope: Scope, threads: usize) -> Result<VerifiedLog, Error> {
    session.audit()?.verify(scope).threads(threads).run()
}

#[test]
fn any_number_of_threads_finds_the_same() {
    let clinic = busy_vault();
    let auditor = clinic.auditor().unwrap();
    let alone = verify(&auditor, Scope::All, 1).unwrap();
    assert!(alone.entries > 4_000);
    // Each verification is an entry itself.
    for (more, threads) in (1..).zip([0, 2, 3, 5, 16, 1_000]) {
        let mut seen = Vec::new();
        let mut note = |progress: chartvault::Progress| seen.push(progress.done);
        let found = auditor.audit().unwrap().verify(Scope::All).threads(threads).on_progress(&mut note).run().unwrap();
        assert_eq!(found.entries, alone.entries + more, "{threads} threads");
        assert!(seen.is_sorted() && seen.last() == Some(&found.entries), "{threads} threads");
    }
    let chain = verify(&auditor, Scope::Chain, 3).unwrap();
    assert_eq!(verify(&auditor, Scope::Since(chain), 2).unwrap().entries, chain.entries + 1);
}

#[test]
fn the_first_fault_is_named_whichever_thread_met_it() {
    for (bad, last) in [(0, 1), (999, 1_000), (1_000, 2_999), (2_500, 4_100)] {
        let clinic = busy_vault();
        let auditor = clinic.auditor().unwrap();
        clinic.store().unwrap().tamper(Stored::Entries, |at, bytes| {
            if at == bad || at == last {
                let end = bytes.len() - 1;
                bytes[end] ^= 1;
            }
            true
        });
        for threads in [1, 2, 3, 7] {
            let keyed = verify(&auditor, Scope::All, threads).unwrap_err();
            let (seq, what) = (bad as u64, FaultKind::CannotOpen);
            assert!(matches!(keyed, Error::Audit(fault) if (fault.seq, fault.what) == (seq, what)), "{keyed}");
            let chain = verify(&auditor, Scope::Chain, threads).unwrap_err();
            let (seq, what) = (bad as u64 + 1, FaultKind::LinkBroken);
            assert!(matches!(chain, Error::Audit(fault) if (fault.seq, fault.what) == (seq, what)), "{chain}");
        }
    }
}

fn report(session: &Session, scope: Scope) -> LogReport {
    session.audit().unwrap().verify(scope).report().unwrap()
}

/// A vault with entries about two patients.
fn with_patients() -> TestVault {
    let clinic = TestVault::new().build().unwrap();
    let session = clinic.physician().unwrap();
    for mrn in ["12345", "67890"] {
        let mrn = Identifier::new("urn:mrn:clinic-a", mrn).unwrap();
        session.register_patient([mrn.clone()]).unwrap();
        session.find_patient(&mrn).unwrap();
        session.find_patient(&mrn).unwrap();
    }
    clinic
}

#[test]
fn a_log_as_it_was_written_is_whole_and_how_new_it_is_nobody_inside_can_tell() {
    let clinic = with_patients();
    let auditor = clinic.auditor().unwrap();
    let all = report(&auditor, Scope::All);
    assert_eq!((&all.integrity, &all.completeness), (&LogVerdict::Sound, &LogVerdict::Sound), "{all}");
    assert!(matches!(all.freshness, LogVerdict::Unknown(_)) && !all.is_sound() && !all.is_unsound());
    let chain = report(&auditor, Scope::Chain);
    assert!(chain.integrity.is_sound() && matches!(chain.completeness, LogVerdict::Unknown(_)), "{chain}");
    let since = report(&auditor, Scope::Since(all.verified));
    assert!(since.completeness.is_sound() && since.verified.entries == chain.verified.entries + 1, "{since}");
    let told = auditor.audit().unwrap().query(AuditFilter::new()).limit(1).page().unwrap();
    let detail = told.entries[0].detail.as_deref();
    assert_eq!(detail, Some("integrity sound, completeness sound, freshness not known"));
}

#[test]
fn an_entry_that_was_changed_and_one_that_is_gone_are_told_apart() {
    let clinic = with_patients();
    let auditor = clinic.auditor().unwrap();
    clinic.store().unwrap().tamper(Stored::Entries, |at, bytes| {
        bytes[130] ^= u8::from(at == 3);
        true
    });
    let changed = report(&auditor, Scope::All);
    let [LogFault::Entry(fault)] = faults(&changed.integrity) else { panic!("{changed}") };
    assert_eq!((fault.seq, fault.what), (3, FaultKind::CannotOpen));
    assert!(matches!(changed.completeness, LogVerdict::Unknown(_)) && changed.is_unsound(), "{changed}");

    let clinic = with_patients();
    let auditor = clinic.auditor().unwrap();
    clinic.store().unwrap().tamper(Stored::Entries, |at, _| at != 3);
    let gone = report(&auditor, Scope::All);
    assert!(gone.integrity.is_unsound() && gone.completeness.is_unsound(), "{gone}");
}

fn faults(verdict: &LogVerdict) -> &[LogFault] {
    match verdict {
        LogVerdict::Unsound(faults) => faults,
        _ => &[],
    }
}

/// Whoever has all keys can leave entries out and count anew, but the vault has counted as well.
#[test]
fn another_number_of_entries_than_the_vault_counted_is_a_fault() {
    let clinic = with_patients();
    let auditor = clinic.auditor().unwrap();
    let add = |more: i64| {
        clinic.store().unwrap().tamper(Stored::Counts, |_, count| {
            let counted = i64::from_be_bytes(count.as_slice().try_into().unwrap());
            *count = (counted + more).to_be_bytes().to_vec();
            true
        });
    };
    for (more, off) in [(1, 1), (-2, -1)] {
        add(more);
        let other = report(&auditor, Scope::All);
        // Two patients, and the facility's own chart.
        assert!(other.integrity.is_sound() && faults(&other.completeness).len() == 3, "{other}");
        for fault in faults(&other.completeness) {
            let LogFault::Counted { found, counted, .. } = fault else { panic!("{other}") };
            assert_eq!(*counted, found.checked_add_signed(off).unwrap(), "{other}");
        }
    }
    add(1);
    assert!(report(&auditor, Scope::All).completeness.is_sound());
}

#[test]
fn a_log_whose_tail_was_cut_is_not_opened() {
    let mut clinic = with_patients();
    let store = clinic.store().unwrap().clone();
    clinic.vault().close().unwrap();
    let entries = clinic_entries(&store);
    store.tamper(Stored::Entries, |at, _| at < entries - 3);
    let refused = clinic.crash().map(drop).unwrap_err();
    assert!(matches!(refused, Error::Audit(fault) if matches!(fault.what, FaultKind::Reordered { .. })), "{refused}");
}

fn clinic_entries(store: &chartvault::test_util::MemoryStore) -> usize {
    let mut entries = 0;
    store.tamper(Stored::Entries, |_, _| {
        entries += 1;
        true
    });
    entries
}

#[test]
fn entries_whose_time_was_changed_or_that_stand_in_the_place_of_others_are_missed_by_no_summary() {
    let clinic = TestVault::new().build().unwrap();
    let session = clinic.physician().unwrap();
    let mrn = Identifier::new("urn:mrn:clinic-a", "12345").unwrap();
    session.register_patient([mrn.clone()]).unwrap();
    clinic.clock().advance(Duration::from_secs(3_600));
    let from = clinic.clock().now();
    for _ in 0..40 {
        session.find_patient(&mrn).unwrap();
    }
    let auditor = clinic.auditor().unwrap();
    let sum_up = || auditor.audit().unwrap().summary(from, Timestamp::MAX).unwrap();
    let all = sum_up();
    assert!(all.entries >= 40 && all.unreadable == 0);
    let log =
        auditor.audit().unwrap().query(AuditFilter::new().event(AuditEvent::PatientFound)).page().unwrap().entries;
    let (newest, oldest) = (log[0].seq as usize, log[39].seq as usize);
    // As if all but the newest had been long ago.
    clinic.store().unwrap().tamper(Stored::Entries, |at, bytes| {
        if (oldest..newest).contains(&at) {
            bytes[30..38].fill(0);
        }
        true
    });
    let changed = sum_up();
    assert!(changed.unreadable >= 39, "{} of {}", changed.unreadable, changed.entries);
    // One in the place of another, of the same log and under its keys.
    let mut copied = None;
    clinic.store().unwrap().tamper(Stored::Entries, |at, bytes| {
        match at.checked_sub(newest) {
            Some(0) => copied = Some(bytes.clone()),
            Some(1) => bytes.clone_from(copied.as_ref().unwrap()),
            _ => {}
        }
        true
    });
    assert_eq!(sum_up().unreadable, changed.unreadable + 1);
}

#[test]
fn no_entry_is_handed_over_whose_link_cannot_be_read() {
    let clinic = busy_vault();
    let auditor = clinic.auditor().unwrap();
    // Few are wanted of what the index covers, so that they are read one by one.
    let rare = || {
        let begun = AuditFilter::new().event(AuditEvent::PatientRegistered);
        auditor.audit().unwrap().query(begun).oldest_first().limit(1).page()
    };
    let seq = rare().unwrap().entries[0].seq;
    clinic.store().unwrap().tamper(Stored::Entries, |at, bytes| {
        if at as u64 == seq + 1 {
            bytes[0] ^= 1;
        }
        true
    });
    let refused = rare();
    assert!(matches!(refused, Err(Error::Audit(fault)) if fault.seq == seq + 1), "{refused:?}");
}

#[test]
fn an_export_up_to_a_time_leaves_out_no_entry_whose_time_was_changed() {
    use chartvault_verify::merkle::leaf_hash;
    let clinic = TestVault::new().build().unwrap();
    let session = clinic.physician().unwrap();
    let mrn = Identifier::new("urn:mrn:clinic-a", "12345").unwrap();
    session.register_patient([mrn.clone()]).unwrap();
    (0..40).for_each(|_| assert!(session.find_patient(&mrn).unwrap().is_some()));
    clinic.clock().step(7_200);
    let until = chartvault::Clock::now(&**clinic.clock());
    clinic.clock().step(60);
    let later = chartvault::Clock::now(&**clinic.clock());
    (0..10).for_each(|_| assert!(session.find_patient(&mrn).unwrap().is_some()));
    let auditor = clinic.auditor().unwrap();
    let export = || auditor.audit().unwrap().export(AuditFilter::new().to(until)).write(&mut Vec::new());
    let before = export().unwrap().entries;
    let mut prev = None::<[u8; 32]>;
    clinic.store().unwrap().tamper(Stored::Entries, |at, bytes| {
        if at >= 20 {
            let time = i64::from_be_bytes(bytes[30..38].try_into().unwrap());
            bytes[30..38].copy_from_slice(&time.max(later.as_micros()).to_be_bytes());
            if let Some(prev) = prev {
                bytes[46..78].copy_from_slice(&prev);
            }
            prev = Some(leaf_hash(bytes));
        }
        true
    });
    let after = export();
    assert!(after.is_err() || after.is_ok_and(|told| told.entries == before));
}

#[test]
fn a_query_from_a_time_on_leaves_out_no_newest_entry_whose_time_was_changed() {
    use chartvault_verify::merkle::leaf_hash;
    let clinic = TestVault::new().build().unwrap();
    let from = chartvault::Clock::now(&**clinic.clock());
    let session = clinic.physician().unwrap();
    let mrn = Identifier::new("urn:mrn:clinic-a", "12345").unwrap();
    session.register_patient([mrn.clone()]).unwrap();
    (0..60).for_each(|_| assert!(session.find_patient(&mrn).unwrap().is_some()));
    let auditor = clinic.auditor().unwrap();
    let entries = auditor.audit().unwrap().query(AuditFilter::new().from(from)).limit(1_000).page().unwrap().entries;
    let (count, newest) = (entries.len(), entries[0].seq);
    let mut prev = None::<[u8; 32]>;
    clinic.store().unwrap().tamper(Stored::Entries, |at, bytes| {
        if at as u64 + 5 >= newest {
            bytes[30..38].copy_from_slice(&0_i64.to_be_bytes());
            if let Some(prev) = prev {
                bytes[46..78].copy_from_slice(&prev);
            }
            prev = Some(leaf_hash(bytes));
        }
        true
    });
    let page = auditor.audit().unwrap().query(AuditFilter::new().from(from)).limit(1_000).page();
    assert!(page.is_err() || page.is_ok_and(|page| page.entries.len() > count));
}
