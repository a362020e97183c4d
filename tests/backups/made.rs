//! Backups: made while others work, restored to any state, and never bringing back who was erased.

use crate::support;

use std::fs;
use std::thread;

use chartvault::*;
use support::offsite::{Offsite, all_are_there, is_sound, text, told};
use support::{note, verify};

fn notes_of(session: &Session, patient: PatientId) -> usize {
    session.list::<support::Note>(patient).limit(1_000).page().unwrap().entries.len()
}

#[test]
fn what_is_backed_up_comes_back_and_the_log_tells_of_both() {
    let site = Offsite::new();
    let (_, notes) = site.patient(300);
    let made = site.backup().run().unwrap();
    assert!(made.from_the_beginning && made.new_pack && made.pack == Some(1));
    assert_eq!(told(&site.session(), AuditEvent::BackupMade), [made.to_string()]);
    site.vault.close().unwrap();
    let (restored, vault, session) = site.restored("restored.vault", site.restore()).unwrap();
    assert_eq!((restored.manifest, restored.left_out, restored.entries), (1, 0, made.entries));
    all_are_there(&session, &notes);
    let entry = &told(&session, AuditEvent::VaultRestored)[..];
    assert!(entry.len() == 1 && entry[0].contains("manifest 1"), "{entry:?}");
    verify(&session);
    is_sound(&vault);
}

#[test]
fn a_later_backup_copies_what_is_new_and_a_restore_has_both() {
    let site = Offsite::new();
    let (_, first) = site.patient(600);
    let whole = site.backup().run().unwrap();
    let (_, second) = site.patient(10);
    let more = site.backup().run().unwrap();
    assert!(!more.from_the_beginning && !more.new_pack);
    assert_eq!(more.pack, Some(1));
    assert!(more.journal_bytes * 5 < whole.journal_bytes, "{more} after {whole}");
    let (_, vault, session) = site.restored("restored.vault", site.restore()).unwrap();
    all_are_there(&session, &first);
    all_are_there(&session, &second);
    is_sound(&vault);
}

#[test]
fn a_backup_goes_on_after_the_vault_was_closed_killed_and_compacted() {
    let mut site = Offsite::new();
    let (_, mut notes) = site.patient(100);
    site.backup().run().unwrap();
    site.vault.close().unwrap();
    site.vault = site.house.open();
    notes.extend(site.patient(0).1);
    assert!(!site.backup().run().unwrap().from_the_beginning);
    // The journal has no file any more in which the copy ended.
    for number in 0..400 {
        site.session()
            .put_verbatim(
                site.session().register_patient([]).unwrap(),
                &Kind::new("Observation").unwrap(),
                text(number).as_bytes(),
                PutOptions::new(),
            )
            .unwrap();
    }
    site.vault.compact().unwrap().unwrap();
    let anew = site.backup().run().unwrap();
    assert!(anew.from_the_beginning);
    assert!(!site.backup().run().unwrap().from_the_beginning);
    let (_, vault, session) = site.restored("restored.vault", site.restore()).unwrap();
    all_are_there(&session, &notes);
    is_sound(&vault);
    // What was copied before the compaction is still a backup of its own.
    let before = site.restore().to(RestorePoint::Manifest(2));
    let (_, vault, session) = site.restored("before.vault", before).unwrap();
    all_are_there(&session, &notes);
    is_sound(&vault);
}

#[test]
fn a_vault_is_restored_to_an_entry_and_to_a_time() {
    let site = Offsite::new();
    let (patient, _) = site.patient(0);
    let session = site.session();
    let mut states = Vec::new();
    for number in 0..90 {
        site.house.clock.step(60);
        session.put(patient, &note(&text(number))).unwrap();
        let newest = session.audit().unwrap().query(AuditFilter::new()).limit(1).page().unwrap().entries[0].seq;
        states.push((newest, site.house.clock.now()));
        if number == 30 || number == 60 {
            site.backup().run().unwrap();
        }
    }
    let last = site.backup().run().unwrap();
    for at in [0_usize, 1, 29, 30, 31, 60, 61, 89] {
        let (entry, time) = states[at];
        for (name, point) in [("entry", RestorePoint::Entry(entry)), ("time", RestorePoint::Time(time))] {
            let (restored, vault, session) =
                site.restored(&format!("{name}-{at}.vault"), site.restore().to(point)).unwrap();
            let kept = notes_of(&session, patient);
            assert_eq!(kept, at + 1, "{point}");
            assert!(restored.entries > entry);
            is_sound(&vault);
        }
    }
    let late = site.restore().to(RestorePoint::Entry(last.entries)).into(site.place("late"), &site.house.key);
    assert!(matches!(late, Err(Error::Backup(BackupFault::TooLate { .. }))), "{late:?}");
}

#[test]
fn who_was_erased_since_stays_erased_whatever_is_restored() {
    let site = Offsite::new();
    let (gone, hers) = site.patient(20);
    let (_, stays) = site.patient(20);
    site.backup().run().unwrap();
    let old_pack = fs::read_dir(site.safe().join("packs")).unwrap().count();
    assert_eq!(old_pack, 1);
    site.erase(gone);
    let (_, later) = site.patient(5);
    let made = site.backup().run().unwrap();
    assert!(made.new_pack && made.older_packs.is_empty());
    assert_eq!(made.pack, Some(2));
    for (name, manifest) in [("before", 1), ("after", 2)] {
        let restore = site.restore().to(RestorePoint::Manifest(manifest));
        let (restored, vault, session) = site.restored(name, restore).unwrap();
        assert!(matches!(session.get(hers[0]), Err(Error::Erased { .. })), "{restored}");
        assert_eq!(vault.erasures().unwrap().len(), 1);
        all_are_there(&session, &stays);
        assert_eq!(restored.erased.erased, usize::from(manifest == 1));
        if manifest == 2 {
            all_are_there(&session, &later);
        }
        verify(&session);
    }
}

#[test]
fn an_older_key_pack_is_refused() {
    let site = Offsite::new();
    let (gone, _) = site.patient(3);
    site.backup().run().unwrap();
    let kept = site.place("kept");
    support::copy_dir(&site.safe(), &kept);
    site.erase(gone);
    site.backup().run().unwrap();
    let old = FolderTarget::open(&kept).unwrap();
    let refused = Vault::restore(&site.target).packs_from(&old).into(site.place("restored"), &site.house.key);
    assert!(matches!(refused, Err(Error::Backup(BackupFault::OldPack { found: 1, wanted: 2 }))), "{refused:?}");
    // Without any there is nothing to open it with.
    let none = Vault::restore(&site.target).into(site.place("other"), &site.house.key);
    assert!(matches!(none, Err(Error::Backup(BackupFault::NoPack { .. }))), "{none:?}");
}

#[test]
fn an_older_ledger_is_refused() {
    let site = Offsite::new();
    let (gone, _) = site.patient(3);
    site.backup().run().unwrap();
    site.erase(gone);
    // Nobody made a new pack.
    site.vault.backup(&site.target).run().unwrap();
    let refused = site.restore().into(site.place("restored"), &site.house.key);
    assert!(matches!(refused, Err(Error::Backup(BackupFault::OldLedger { found: 0, wanted: 1 }))), "{refused:?}");
}

#[test]
fn sealed_backups_show_nothing_and_open_with_an_identity_only() {
    let site = Offsite::new();
    let (_, notes) = site.patient(50);
    let (office, other) = (BackupIdentity::generate(), BackupIdentity::generate());
    site.backup().seal_to(office.recipient()).run().unwrap();
    for file in support::files_in(&site.disk()).iter().filter(|file| file.starts_with("objects")) {
        assert!(fs::read(site.disk().join(file)).unwrap().starts_with(b"age-encryption.org/v1"));
    }
    for identity in [None, Some(other)] {
        let restore = identity.into_iter().fold(site.restore(), Restore::identity);
        let refused = restore.into(site.place("refused"), &site.house.key);
        assert!(matches!(refused, Err(Error::Backup(BackupFault::Sealed))), "{refused:?}");
        let _ = fs::remove_dir_all(site.place("refused"));
    }
    let (_, _, session) = site.restored("restored", site.restore().identity(office)).unwrap();
    all_are_there(&session, &notes);
}

#[test]
fn a_vault_that_was_brought_back_does_not_go_on_with_a_newer_backup() {
    let mut site = Offsite::new();
    site.patient(20);
    site.vault.close().unwrap();
    let copy = site.place("copy");
    support::copy_dir(&site.house.path(), &copy);
    site.vault = site.house.open();
    site.patient(20);
    site.backup().run().unwrap();
    site.vault.close().unwrap();
    let (old, session) = site.open(&copy);
    let refused = old.backup(&site.target).run();
    assert!(matches!(refused, Err(Error::Backup(BackupFault::NotOurs { number: 1, .. }))), "{refused:?}");
    // Not even once its log is as long.
    for _ in 0..100 {
        session.register_patient([]).unwrap();
    }
    let refused = old.backup(&site.target).run();
    assert!(matches!(refused, Err(Error::Backup(BackupFault::NotOurs { number: 1, .. }))), "{refused:?}");
    assert_eq!(told(&session, AuditEvent::BackupFailed).len(), 2);
}

#[test]
fn others_go_on_working_while_a_backup_is_made() {
    let site = Offsite::new();
    let (patient, _) = site.patient(50);
    let (done, backed) = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let session = site.session();
            (0..300).map(|number| session.put(patient, &note(&text(number))).unwrap()).collect::<Vec<_>>()
        });
        let backed: Vec<_> = (0..6).map(|_| site.backup().run().unwrap()).collect();
        (writer.join().unwrap(), backed)
    });
    site.backup().run().unwrap();
    assert!(backed.iter().skip(1).all(|made| !made.from_the_beginning));
    let (_, vault, session) = site.restored("restored", site.restore()).unwrap();
    all_are_there(&session, &done);
    is_sound(&vault);
    for made in backed {
        let restore = site.restore().to(RestorePoint::Manifest(made.manifest));
        let (_, vault, session) = site.restored(&format!("restored-{}", made.manifest), restore).unwrap();
        assert!(notes_of(&session, patient) >= 50);
        is_sound(&vault);
    }
}

#[test]
fn a_restored_vault_goes_on_with_its_backups() {
    let mut site = Offsite::new();
    let (_, notes) = site.patient(40);
    site.backup().run().unwrap();
    site.vault.close().unwrap();
    let place = site.place("restored");
    site.restore().into(&place, &site.house.key).unwrap();
    site.vault = site.house.open_at(&place).unwrap();
    let (_, more) = site.patient(10);
    site.backup().run().unwrap();
    let (_, _, session) = site.restored("again", site.restore()).unwrap();
    all_are_there(&session, &notes);
    all_are_there(&session, &more);
    assert_eq!(told(&session, AuditEvent::VaultRestored).len(), 2);
}

#[test]
fn two_targets_share_a_place_for_key_packs() {
    let site = Offsite::new();
    let (gone, _) = site.patient(5);
    let second = FolderTarget::create(site.place("second")).unwrap();
    let both = || [&site.target, &second].map(|to| site.vault.backup(to).packs_to(&site.packs).run().unwrap());
    let first = both();
    assert_eq!(first.map(|made| (made.pack, made.new_pack)), [(Some(1), true), (Some(1), false)]);
    site.erase(gone);
    let after = both();
    assert_eq!(after.map(|made| (made.pack, made.new_pack)), [(Some(2), true), (Some(2), false)]);
    assert_eq!(support::files_in(&site.safe().join("packs")).len(), 2);
    for (name, target) in [("a", &site.target), ("b", &second)] {
        let restore = Vault::restore(target).packs_from(&site.packs).options(site.house.options());
        let (_, vault, _) = site.restored(name, restore).unwrap();
        assert_eq!(vault.erasures().unwrap().len(), 1);
    }
}

#[test]
fn a_restored_vault_knows_of_the_backup_that_it_came_from() {
    let site = Offsite::new();
    site.patient(3);
    let made = site.backup().run().unwrap();
    assert_eq!(made.manifest, 1);
    let (_, vault, session) = site.restored("restored", site.restore()).unwrap();
    let status = vault.backup_status().unwrap();
    let [target] = &*status.targets else { panic!("{status}") };
    let last = target.last_backup.unwrap();
    assert_eq!((target.target.as_str(), last.manifest, last.entries), (site.target.name(), 1, made.entries));
    assert_eq!((last.at, last.pack.map(|pack| pack.number)), (made.made, Some(1)));
    let since = target.entries_since.unwrap();
    assert!(since > 0 && since < 10, "{since}");
    assert_eq!(status.loss_window().map(|(entries, _)| entries), Some(since));
    // What is lost of it when it is brought back to before.
    let earlier = site.restore().to(RestorePoint::Entry(made.entries - 3));
    let (_, vault, _) = site.restored("earlier", earlier).unwrap();
    let last = vault.backup_status().unwrap().targets[0].last_backup.unwrap();
    assert!(last.entries < made.entries, "{last:?}");
    drop(session);
}
