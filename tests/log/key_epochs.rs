//! The log's key is rotated: what is logged from then on is sealed under the new one, what was logged before stays as it is,
//! and the log is verified, asked and checked over the change as if there were none.

use crate::support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use chartvault::*;
use support::{House, note, verify, whole_log};

fn is_sound(vault: &Vault) {
    let report = vault.check(CheckScope::All, &mut |_| ()).unwrap();
    assert!(report.is_sound() && report.total() == 0, "{report}");
}

#[test]
fn the_log_goes_on_unbroken_under_a_new_key_and_those_from_before_stay() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let ama = session.register_patient([]).unwrap();
    let id = session.put(ama, &note("before")).unwrap();
    let before = verify(&session);
    let seen = whole_log(&session);
    assert_eq!(vault.rotate_audit_key(&house.key).unwrap(), 2);
    let now = vault.rotation().unwrap();
    assert_eq!((now.audit_epoch, &now.audit_epochs[..], now.is_under_way()), (2, &[1, 2][..], false));
    // Versions from before and from now on, in entries under either key.
    session.amend(id, Version::FIRST, &note("after")).unwrap();
    session.put(ama, &note("later")).unwrap();
    session.get(id).unwrap();
    verify(&session);
    session.audit().unwrap().verify(Scope::Since(before)).run().unwrap();
    session.audit().unwrap().verify(Scope::Chain).run().unwrap();
    is_sound(&vault);
    let log = whole_log(&session);
    assert_eq!(log[..seen.len()], seen[..]);
    let said = |event| {
        let of = log.iter().filter(move |entry| entry.event == event);
        of.map(|entry| entry.detail.clone().unwrap_or_default()).collect::<Vec<_>>()
    };
    assert_eq!(said(AuditEvent::KeyAdded), ["audit key 2; header 2"]);
    assert_eq!(said(AuditEvent::KeyActivated), ["audit key 2"]);
    let about_ama = AuditFilter::new().patient(ama);
    let page = session.audit().unwrap().query(about_ama.clone()).page().unwrap();
    // Registered, put, amended, put, read.
    assert_eq!(page.entries.len(), 5);
    drop(session);
    vault.close().unwrap();
    let vault = house.open();
    let session = house.session(&vault);
    assert_eq!(vault.rotation().unwrap().audit_epoch, 2);
    session.audit().unwrap().verify(Scope::Since(before)).run().unwrap();
    assert_eq!(session.audit().unwrap().query(about_ama).page().unwrap().entries.len(), 5);
    assert_eq!(vault.rotate_audit_key(&house.key).unwrap(), 3);
    assert_eq!(session.get(id).unwrap().value.text, "after");
    verify(&session);
    is_sound(&vault);
}

#[test]
fn other_keys_are_rotated_before_and_after_and_the_log_keeps_its_own() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let ama = session.register_patient([]).unwrap();
    let id = session.put(ama, &note("kept")).unwrap();
    vault.begin_data_rotation(&house.key).unwrap();
    assert_eq!(vault.rotate_audit_key(&house.key).unwrap(), 2);
    vault.continue_rotation(&house.key, &mut |_| ()).unwrap();
    vault.rotate_wrap_key(&house.key, &mut |_| ()).unwrap();
    vault.rotate_root_key(&[(&house.key).into()]).unwrap();
    vault.continue_rotation(&house.key, &mut |_| ()).unwrap();
    let now = vault.rotation().unwrap();
    assert_eq!((now.data_epochs, now.wrap_epochs, now.audit_epochs), (vec![3], vec![3], vec![1, 2]));
    drop(session);
    vault.close().unwrap();
    let vault = house.open();
    let session = house.session(&vault);
    assert_eq!((vault.rotation().unwrap().audit_epoch, session.get(id).unwrap().value.text.as_str()), (2, "kept"));
    verify(&session);
    is_sound(&vault);
}

/// Reads that wait are prepared under one key and sealed under another; nobody meets an error, and nothing is lost.
#[test]
fn charts_are_read_and_written_while_the_key_of_the_log_changes() {
    const TURNS: u32 = 12;
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let window = ReadAudit::Windowed { delay: Duration::from_secs(60), entries: 1_000 };
    vault.set_read_audit(window, &house.key).unwrap();
    let patients: Vec<_> = (0..4).map(|_| session.register_patient([]).unwrap()).collect();
    let ids: Vec<_> = patients.iter().map(|patient| session.put(*patient, &note("kept")).unwrap()).collect();
    let done = AtomicBool::new(false);
    let (read, written) = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let session = house.session(&vault);
            let mut read = 0;
            while !done.load(Ordering::Relaxed) {
                assert_eq!(session.get(ids[read % ids.len()]).unwrap().value.text, "kept");
                read += 1;
                thread::sleep(Duration::from_micros(200));
            }
            read
        });
        let writer = scope.spawn(|| {
            let session = house.session(&vault);
            let mut written = 0;
            while !done.load(Ordering::Relaxed) {
                session.put(patients[written % patients.len()], &note("more")).unwrap();
                written += 1;
            }
            written
        });
        let verifier = scope.spawn(|| {
            let session = house.session(&vault);
            while !done.load(Ordering::Relaxed) {
                verify(&session);
                session.audit().unwrap().query(AuditFilter::new()).limit(50).page().unwrap();
            }
        });
        for epoch in 2..2 + TURNS {
            assert_eq!(vault.rotate_audit_key(&house.key).unwrap(), epoch);
            thread::sleep(Duration::from_millis(5));
        }
        done.store(true, Ordering::Relaxed);
        verifier.join().unwrap();
        (reader.join().unwrap(), writer.join().unwrap())
    });
    assert!(read > 0 && written > 0);
    let log = whole_log(&session);
    let reads = log.iter().filter(|entry| entry.event == AuditEvent::RecordRead).map(|entry| entry.reads.len().max(1));
    assert_eq!(reads.sum::<usize>(), read);
    assert_eq!(log.iter().filter(|entry| entry.event == AuditEvent::RecordPut).count(), written + ids.len());
    verify(&session);
    is_sound(&vault);
    drop(session);
    vault.close().unwrap();
    let vault = house.open();
    verify(&house.session(&vault));
    assert_eq!(vault.rotation().unwrap().audit_epoch, 1 + TURNS);
}

/// Entries of the middle are lost, of several epochs: what stands in for them is of the epoch of the one before.
#[test]
fn a_vault_whose_log_has_several_keys_is_salvaged() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let ama = session.register_patient([]).unwrap();
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(session.put(ama, &note(&"words ".repeat(400))).unwrap());
        vault.rotate_audit_key(&house.key).unwrap();
    }
    ids.push(session.put(ama, &note("the last")).unwrap());
    drop((session, vault));
    // The frames that a wound reaches differ with its place; so do the epochs of the entries that are lost.
    let journal = house.path().join("journal/0000000001.cvj");
    let whole = std::fs::read(&journal).unwrap();
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap();
    let mut lost = 0;
    for (turn, at) in (600..end).step_by(end / 9).enumerate() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        std::fs::write(&journal, &bytes).unwrap();
        let into = house.dir.path().join(format!("salvaged-{turn}"));
        let salvaged = Vault::open_with(house.path(), house.options()).unwrap().salvage(&house.key, &into);
        let report = salvaged.unwrap();
        let vault = house.open_at(&into).unwrap();
        let session = match report.doubt {
            None => house.session(&vault),
            Some(_) => {
                let token = house.grant().sign(&house.issuer, vault.id()).unwrap();
                let doubtful = vault.session_with(&token, Purpose::Treatment).accept_doubtful();
                let Ok(session) = doubtful.open() else { continue };
                session
            }
        };
        session.audit().unwrap().verify(Scope::All).past_lost_entries().run().unwrap();
        lost += whole_log(&session).iter().filter(|entry| entry.event == AuditEvent::EntryLost).count();
    }
    assert!(lost > 0);
}
