//! Backups and restores that are interrupted at every step, and run again.

use crate::support;

use std::io::ErrorKind;

use chartvault::test_util::{Fault, FileOp};
use chartvault::*;
use support::offsite::{Killed, Offsite, all_are_there, is_sound, told};

#[test]
fn a_backup_that_is_killed_at_any_call_to_its_target_is_made_by_the_next_run() {
    for after_effect in [false, true] {
        let mut calls = 0;
        loop {
            let site = Offsite::new();
            let (_, mut notes) = site.patient(20);
            site.backup().run().unwrap();
            notes.extend(site.patient(0).1);
            site.vault.rotate_wrap_key(&site.house.key, &mut |_| ()).unwrap();
            let (target, packs) =
                (Killed::at(&site.target, calls, after_effect), Killed::at(&site.packs, calls, after_effect));
            let made = site.vault.backup(&target).packs_to(&packs).run();
            let met = target.was_met() || packs.was_met();
            // A key pack that could not be removed is told of, and no failure.
            assert!(met || made.is_ok(), "{made:?}");
            let again = site.backup().run().unwrap();
            assert!(again.older_packs.is_empty() && !again.from_the_beginning);
            let (_, _, session) = site.restored("restored", site.restore()).unwrap();
            all_are_there(&session, &notes);
            calls += 1;
            if !met {
                break;
            }
        }
        assert!(calls > 4, "{calls}");
    }
}

#[test]
fn a_copy_that_was_interrupted_goes_on_behind_what_is_there() {
    // More than one manifest: pieces are small where segments are.
    let site = Offsite::new();
    let (_, notes) = site.patient(4_000);
    let mut calls = 2;
    let (mut failed, mut largest) = (0, 0);
    loop {
        let target = Killed::at(&site.target, calls, false);
        match site.vault.backup(&target).packs_to(&site.packs).run() {
            Ok(made) => {
                largest = largest.max(made.objects);
                break;
            }
            Err(Error::Backup(BackupFault::Target { .. })) => failed += 1,
            Err(error) => panic!("{error}"),
        }
        calls += 9;
    }
    assert!(failed > 1 && largest < 16, "{failed} {largest}");
    let (_, vault, session) = site.restored("restored", site.restore()).unwrap();
    all_are_there(&session, &notes);
    is_sound(&vault);
}

#[test]
fn a_restore_that_is_killed_at_any_call_to_its_target_goes_on() {
    let site = Offsite::new();
    let (gone, _) = site.patient(5);
    let (_, notes) = site.patient(400);
    site.backup().run().unwrap();
    site.patient(30);
    site.erase(gone);
    site.backup().run().unwrap();
    let place = site.place("restored");
    let mut calls = 0;
    loop {
        let (target, packs) = (Killed::at(&site.target, calls, false), Killed::at(&site.packs, calls, false));
        let restore = Vault::restore(&target).packs_from(&packs).options(site.house.options());
        match restore.to(RestorePoint::Manifest(1)).into(&place, &site.house.key) {
            Ok(restored) => {
                assert_eq!(restored.erased.erased, 1);
                break;
            }
            Err(Error::Backup(BackupFault::Target { .. })) => {}
            Err(error) => panic!("{error}"),
        }
        // Before anything was copied nothing is claimed either.
        let refused = site.house.open_at(&place);
        let nothing = matches!(refused, Err(Error::Header(HeaderFileError::NotAVault { .. })));
        assert!(matches!(refused, Err(Error::RestoreUnfinished { .. })) || nothing, "{refused:?}");
        assert_eq!(nothing, !place.join("restoring").exists());
        calls += 1;
    }
    assert!(calls > 5, "{calls}");
    let (vault, session) = site.open(&place);
    all_are_there(&session, &notes);
    assert_eq!(told(&session, AuditEvent::VaultRestored).len(), 1);
    assert_eq!(vault.erasures().unwrap().len(), 1);
    is_sound(&vault);
}

#[test]
fn a_restore_whose_disk_fails_at_any_operation_goes_on() {
    let site = Offsite::new();
    let (gone, _) = site.patient(3);
    let (_, notes) = site.patient(60);
    site.backup().run().unwrap();
    site.erase(gone);
    site.backup().run().unwrap();
    for (op, step, apart) in [
        (FileOp::Write, 7, false),
        (FileOp::Sync, 5, false),
        (FileOp::Open, 7, false),
        (FileOp::Rename, 1, false),
        (FileOp::Write, 7, true),
        (FileOp::Sync, 5, true),
        (FileOp::Open, 7, true),
    ] {
        let place = site.place(&format!("{op:?} {apart}"));
        let stick = site.place(&format!("stick {op:?}"));
        let options = || if apart { site.house.options().header(&stick) } else { site.house.options() };
        let mut passing = 0;
        loop {
            let fault = Fault::on(op, ErrorKind::Other).after(passing).for_good();
            let restore = site.restore().options(options()).to(RestorePoint::Manifest(1));
            let restored = restore.into(&place, &site.house.key);
            let hits = fault.hits();
            drop(fault);
            if restored.is_ok() {
                break;
            }
            assert!(hits > 0, "{restored:?}");
            let opened = Vault::open_with(&place, options()).and_then(|locked| locked.unlock(&site.house.key));
            assert!(opened.is_err(), "{op:?} {passing}");
            passing += step;
        }
        let vault = Vault::open_with(&place, options()).unwrap().unlock(&site.house.key).unwrap();
        let session = site.house.session(&vault);
        all_are_there(&session, &notes);
        assert_eq!(vault.erasures().unwrap().len(), 1);
        is_sound(&vault);
    }
}
