//! A pruned log against whoever may write its bytes: the entry that allows the log to begin where it does cannot be changed, moved
//! or made, and a crash leaves all of it or nothing.

use crate::support;

use std::sync::Arc;
use std::time::Duration;

use chartvault::test_util::{Fault, FileOp, Stored, TestVault};
use chartvault::*;
use chartvault_verify::merkle::leaf_hash;
use support::House;

const DAY: u64 = 86_400;

fn days(days: u64) -> Duration {
    Duration::from_secs(days * DAY)
}

fn fill(session: &Session, entries: u64) {
    let mrn = Identifier::new("urn:mrn:clinic-a", "12345").unwrap();
    let newest = session.audit().unwrap().query(AuditFilter::new()).limit(1).page().unwrap().entries[0].seq;
    for _ in newest + 3..entries {
        session.find_patient(&mrn).unwrap();
    }
}

fn person(clinic: &TestVault, name: &str) -> Session {
    clinic.session(&clinic.grant(name).all_kinds().actions(Action::ALL.iter().copied())).unwrap()
}

fn archived(session: &Session, end: u64) -> Vec<u8> {
    let mut file = Vec::new();
    session.audit().unwrap().archive(0..end, &mut file).unwrap();
    file
}

/// A vault in memory whose first 256 entries were pruned, an auditor, and the number of the entry that says so.
fn pruned() -> (TestVault, Session, u64) {
    let clinic = TestVault::new().build().unwrap();
    fill(&person(&clinic, "a.lund"), 400);
    clinic.clock().advance(days(5));
    clinic.vault().set_log_retention(LogRetention::however_short(days(1)), clinic.key()).unwrap();
    let auditor = person(&clinic, "a.lund");
    let file = archived(&auditor, 256);
    auditor.audit().unwrap().prune(&mut &file[..], &person(&clinic, "s.berg")).unwrap();
    fill(&auditor, 500);
    let page = auditor.audit().unwrap().query(AuditFilter::new().event(AuditEvent::LogPruned)).page().unwrap();
    (clinic, auditor, page.entries[0].seq)
}

/// Whatever is looked at, and by however many: the same fault.
#[track_caller]
fn finds(auditor: &Session, seq: u64, what: FaultKind) {
    for scope in [Scope::All, Scope::Chain] {
        let found = auditor.audit().unwrap().verify(scope).run();
        assert!(matches!(&found, Err(Error::Audit(fault)) if (fault.seq, fault.what) == (seq, what)), "{found:?}");
    }
    let report = auditor.audit().unwrap().verify(Scope::All).report().unwrap();
    assert!(report.integrity.is_unsound(), "{report}");
}

/// Changes the entry of a number, and makes all links behind it right again.
fn forge(clinic: &TestVault, seq: u64, change: &dyn Fn(&mut Vec<u8>)) {
    let mut before: Option<[u8; 32]> = None;
    clinic.store().unwrap().tamper(Stored::Entries, |at, bytes| {
        let number = 256 + at as u64;
        if number == seq {
            change(bytes);
        } else if let Some(leaf) = before.filter(|_| number > seq) {
            bytes[46..78].copy_from_slice(&leaf);
        }
        before = (number >= seq).then(|| leaf_hash(bytes));
        true
    });
}

#[test]
fn attack_prune_and_then_forge() {
    let (clinic, auditor, seq) = pruned();
    forge(&clinic, seq, &|bytes| *bytes.last_mut().unwrap() ^= 1);
    finds(&auditor, seq, FaultKind::CannotOpen);
    // Or what it says is hidden: as an ordinary entry it allows nothing.
    let (clinic, auditor, seq) = pruned();
    forge(&clinic, seq, &|bytes| bytes[4] = 2);
    finds(&auditor, 256, FaultKind::NotPruned);
    let (clinic, auditor, seq) = pruned();
    // An ordinary entry called a prune entry says nothing of it.
    forge(&clinic, seq + 1, &|bytes| bytes[4] = 4);
    let found = auditor.audit().unwrap().verify(Scope::All).run();
    assert!(matches!(&found, Err(Error::Audit(fault)) if fault.seq == seq + 1), "{found:?}");
}

#[test]
fn attack_the_first_entry_that_was_kept_is_another() {
    let (clinic, auditor, _) = pruned();
    clinic.store().unwrap().tamper(Stored::Entries, |at, bytes| {
        bytes[50] ^= u8::from(at == 0);
        true
    });
    finds(&auditor, 256, FaultKind::LinkBroken);
}

#[test]
fn attack_a_prune_entry_of_another_vault() {
    let (other, _, theirs) = pruned();
    let (clinic, auditor, seq) = pruned();
    let mut foreign = Vec::new();
    other.store().unwrap().tamper(Stored::Entries, |at, bytes| {
        if 256 + at as u64 == theirs {
            foreign = bytes.clone();
        }
        true
    });
    let found = VaultId::from_bytes(foreign[6..22].try_into().unwrap());
    forge(&clinic, seq, &|bytes| *bytes = foreign.clone());
    finds(&auditor, seq, FaultKind::WrongVault { found });
    forge(&clinic, seq, &|bytes| bytes[6..22].copy_from_slice(clinic.vault().id().as_bytes()));
    finds(&auditor, seq, FaultKind::CannotOpen);
}

#[test]
fn attack_entries_behind_the_cut_are_taken_out_as_if_they_had_been_pruned() {
    let (clinic, auditor, _) = pruned();
    clinic.store().unwrap().tamper(Stored::Entries, |at, _| at >= 3);
    let found = auditor.audit().unwrap().verify(Scope::All).run();
    assert!(matches!(found, Err(Error::Audit(_))), "{found:?}");
    let (clinic, auditor, seq) = pruned();
    let gone = (seq + 20..seq + 30).map(|seq| seq - 256);
    clinic.store().unwrap().tamper(Stored::Entries, |at, _| !gone.clone().any(|gone| gone == at as u64));
    let found = auditor.audit().unwrap().verify(Scope::All).run();
    assert!(matches!(&found, Err(Error::Audit(fault)) if fault.seq == seq + 20), "{found:?}");
    let report = auditor.audit().unwrap().verify(Scope::All).report().unwrap();
    assert!(report.integrity.is_unsound() && report.completeness.is_unsound(), "{report}");
}

#[test]
fn what_was_pruned_of_a_patient_is_no_gap_and_what_is_missing_is_one() {
    let clinic = TestVault::new().build().unwrap();
    let session = person(&clinic, "a.lund");
    let patients = [(); 2].map(|()| session.register_patient([]).unwrap());
    let read = || patients.iter().for_each(|patient| drop(session.kinds(*patient).unwrap()));
    fill(&session, 300);
    read();
    clinic.clock().advance(days(5));
    clinic.vault().set_log_retention(LogRetention::however_short(days(1)), clinic.key()).unwrap();
    let session = person(&clinic, "a.lund");
    let file = archived(&session, 256);
    session.audit().unwrap().prune(&mut &file[..], &person(&clinic, "s.berg")).unwrap();
    patients.iter().for_each(|patient| drop(session.kinds(*patient).unwrap()));
    let report = session.audit().unwrap().verify(Scope::All).report().unwrap();
    assert!(report.completeness.is_sound() && report.pruned.is_some(), "{report}");
    // Counted once more than it was written: then one is missing, and not for having been pruned.
    clinic.store().unwrap().tamper(Stored::Counts, |_, count| {
        *count.last_mut().unwrap() += 1;
        true
    });
    let report = session.audit().unwrap().verify(Scope::All).report().unwrap();
    assert!(report.integrity.is_sound() && report.completeness.is_unsound(), "{report}");
}

#[test]
fn a_crash_or_a_failing_disk_leaves_all_of_it_or_nothing() {
    let prepared = || {
        let (house, vault) = House::create();
        fill(&house.session(&vault), 300);
        house.clock.advance(days(5));
        vault.set_log_retention(LogRetention::however_short(days(1)), &house.key).unwrap();
        let session = house.session(&vault);
        let file = archived(&session, 256);
        let grant = Grant::to("s.berg").purpose(Purpose::Treatment).all_patients().all_kinds();
        let grant = grant.actions([Action::Audit]).valid_for(days(1)).issued_at(house.clock.now());
        let second = house.session_of(&vault, &grant);
        (house, vault, session, file, second)
    };
    let mut outcomes = [0, 0];
    for (op, nth) in [(FileOp::Write, 0), (FileOp::Write, 1), (FileOp::Write, 2), (FileOp::Sync, 1), (FileOp::Sync, 2)]
    {
        let (house, vault, session, file, second) = prepared();
        let view = session.audit().unwrap();
        let fault = Fault::on(op, std::io::ErrorKind::Other).after(nth).for_good();
        let pruned = view.prune(&mut &file[..], &second);
        let hits = fault.hits();
        drop(fault);
        assert!(pruned.is_err() || hits == 0, "{op:?} {nth}");
        drop((session, second, vault));
        let vault = house.open();
        let session = house.session(&vault);
        let verified = session.audit().unwrap().verify(Scope::All).run().unwrap();
        assert!([0, 256].contains(&verified.first), "{}", verified.first);
        outcomes[usize::from(verified.first > 0)] += 1;
        assert!(vault.check(CheckScope::All, &mut |_| ()).unwrap().is_sound());
    }
    println!("{} not pruned, {} pruned", outcomes[0], outcomes[1]);
    assert!(outcomes[0] > 0);
}

#[test]
fn an_anchor_that_holds_less_than_was_pruned_still_vouches_for_the_log() {
    let disk = tempfile::tempdir().unwrap();
    let anchor = Arc::new(FileAnchor::new("second disk", disk.path()));
    let (house, vault) = House::create();
    fill(&house.session(&vault), 150);
    vault.close().unwrap();
    let vault = house.open();
    let held = vault.log_checkpoint().unwrap();
    let no_proof = |_| Err(AnchorError::Failed { why: "none".into() });
    anchor.publish(vault.id(), &held, &no_proof).unwrap();
    fill(&house.session(&vault), 300);
    house.clock.advance(days(5));
    vault.set_log_retention(LogRetention::however_short(days(1)), &house.key).unwrap();
    let session = house.session(&vault);
    let file = archived(&session, 256);
    let grant = Grant::to("s.berg").purpose(Purpose::Treatment).all_patients().all_kinds();
    let grant = grant.actions([Action::Audit]).valid_for(days(1)).issued_at(house.clock.now());
    session.audit().unwrap().prune(&mut &file[..], &house.session_of(&vault, &grant)).unwrap();
    vault.close().unwrap();
    assert!(held.size < 256);
    let options = house.options().anchor(anchor, AnchorPolicy::default());
    let vault = Vault::open_with(house.path(), options).unwrap().unlock(&house.key).unwrap();
    let report = house.session(&vault).audit().unwrap().verify(Scope::All).report().unwrap();
    assert!(report.is_sound(), "{report}");
}
