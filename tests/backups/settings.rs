//! Vaults with settings of their own: clocks that jump, anchors, a signing key kept elsewhere, recipients that change.

use crate::support;

use std::sync::Arc;
use std::time::Duration;

use chartvault::*;
use support::offsite::{Offsite, all_are_there, is_sound};
use support::{House, verify};

#[test]
fn a_clock_that_jumps_between_backups_leaves_each_state_restorable() {
    let site = Offsite::new();
    let mut states = Vec::new();
    let mut notes = Vec::new();
    for jump in [0, 3_600, -86_400, 60, 5 * 365 * 86_400, -5 * 365 * 86_400, 60] {
        site.house.clock.step(jump);
        let token = site.house.grant().sign(&site.house.issuer, site.vault.id()).unwrap();
        // Far behind its newest entry a vault takes nothing, and there is nothing to be backed up.
        match site.vault.session(token, Purpose::Treatment) {
            Ok(session) => {
                let patient = session.register_patient([]).unwrap();
                notes.push(session.put(patient, &support::note(&support::offsite::text(notes.len()))).unwrap());
                let made = site.backup().run().unwrap();
                states.push((made.manifest, made.made, notes.len()));
            }
            Err(Error::ClockRollback { .. }) => {
                let refused = site.backup().run();
                assert!(matches!(refused, Err(Error::ClockRollback { .. })), "{refused:?}");
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(states.len() > 2);
    // Right again, if late.
    site.house.clock.step(10 * 365 * 86_400);
    let points = BackupPoint::list(&site.target, Some(&site.vault.backup_key().unwrap())).unwrap();
    assert!(points.is_sorted_by_key(|point| point.made), "{points:?}");
    let status = site.vault.backup_status().unwrap();
    assert!(status.loss_window().is_some());
    for (manifest, made, many) in states {
        for point in [RestorePoint::Manifest(manifest), RestorePoint::Time(made)] {
            let name = format!("restored {manifest} {point}").replace(':', "-");
            let (_, vault, session) = site.restored(&name, site.restore().to(point)).unwrap();
            all_are_there(&session, &notes[..many]);
            is_sound(&vault);
            verify(&session);
        }
    }
}

#[test]
fn an_anchor_refuses_what_was_brought_back_and_a_new_one_takes_it() {
    let dir = tempfile::tempdir().unwrap();
    let kept = dir.path().join("anchor");
    std::fs::create_dir(&kept).unwrap();
    let at = kept.clone();
    let site = Offsite::of(House::create_with(move |options| {
        options.anchor(Arc::new(FileAnchor::new("disk", &at)), AnchorPolicy { entries: 1, ..AnchorPolicy::default() })
    }));
    let (_, notes) = site.patient(10);
    site.backup().run().unwrap();
    site.patient(5);
    site.vault.close().unwrap();
    let place = site.place("restored");
    site.restore().into(&place, &site.house.key).unwrap();
    let refused = site.house.open_at(&place);
    assert!(matches!(refused, Err(Error::Anchor { .. })), "{:?}", refused.err());
    let anew = dir.path().join("anew");
    std::fs::create_dir(&anew).unwrap();
    let options = support::small().clock(site.house.clock.clone());
    let options = options
        .anchor(Arc::new(FileAnchor::new("anew", &anew)), AnchorPolicy { entries: 1, ..AnchorPolicy::default() });
    let vault = Vault::open_with(&place, options).unwrap().unlock(&site.house.key).unwrap();
    all_are_there(&site.house.session(&vault), &notes);
    is_sound(&vault);
}

#[test]
fn a_signing_key_kept_elsewhere_stays_that_of_the_vault_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("signing.key");
    let at = path.clone();
    let site = Offsite::of(House::create_with(move |options| options.signing_key_file(&at)));
    let (_, notes) = site.patient(10);
    site.backup().run().unwrap();
    let before = std::fs::read(&path).unwrap();
    site.vault.drill(&site.target).packs_from(&site.packs).into_temporary(dir.path()).run(&site.house.key).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), before, "a drill changed the signing key of the vault in use");
    let place = site.place("restored");
    site.restore().options(support::small().clock(site.house.clock.clone())).into(&place, &site.house.key).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), before, "a restore changed the signing key of the vault in use");
    site.patient(1);
    verify(&site.session());
    site.vault.close().unwrap();
    verify(&site.house.session(&site.house.open()));
    let own = support::small().clock(site.house.clock.clone()).signing_key_file(dir.path().join("own.key"));
    let vault = Vault::open_with(&place, own).unwrap().unlock(&site.house.key).unwrap();
    all_are_there(&site.house.session(&vault), &notes);
    verify(&site.house.session(&vault));
}

#[test]
fn recipients_that_change_from_backup_to_backup() {
    let site = Offsite::new();
    let (one, other) = (BackupIdentity::generate(), BackupIdentity::generate());
    let (_, mut notes) = site.patient(10);
    let mut back_up = |recipients: &[&BackupIdentity]| {
        let mut backup = site.backup();
        for identity in recipients {
            backup = backup.seal_to(identity.recipient());
        }
        backup.run().unwrap();
        let patient = site.session().register_patient([]).unwrap();
        let text = support::offsite::text(notes.len());
        notes.push(site.session().put(patient, &support::note(&text)).unwrap());
        site.house.clock.advance(Duration::from_secs(1));
    };
    back_up(&[&one]);
    back_up(&[&other]);
    back_up(&[]);
    back_up(&[&one, &other]);
    let many = notes.len() - 1;
    for (name, alone) in [("one", &one), ("other", &other)] {
        let refused = site.restore().identity(alone.clone()).into(site.place(name), &site.house.key);
        assert!(matches!(refused, Err(Error::Backup(BackupFault::Sealed))), "{refused:?}");
    }
    let restore = site.restore().identity(other).identity(one);
    let (_, vault, session) = site.restored("both", restore).unwrap();
    all_are_there(&session, &notes[..many]);
    is_sound(&vault);
}

#[test]
fn a_restore_with_the_settings_of_the_vault_in_use_leaves_that_its_signing_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("signing.key");
    let at = path.clone();
    let site = Offsite::of(House::create_with(move |options| options.signing_key_file(&at)));
    let (_, notes) = site.patient(10);
    site.backup().run().unwrap();
    let before = std::fs::read(&path).unwrap();
    let place = site.place("restored");
    let refused = site.restore().into(&place, &site.house.key);
    assert!(matches!(&refused, Err(Error::NotEmpty { path: taken }) if *taken == path), "{refused:?}");
    assert_eq!(std::fs::read(&path).unwrap(), before, "a restore changed the signing key of the vault in use");
    // The same place, with the key of its own.
    let own = || support::small().clock(site.house.clock.clone()).signing_key_file(dir.path().join("own.key"));
    site.restore().options(own()).into(&place, &site.house.key).unwrap();
    let vault = Vault::open_with(&place, own()).unwrap().unlock(&site.house.key).unwrap();
    all_are_there(&site.house.session(&vault), &notes);
}

#[test]
fn a_restore_to_a_time_after_a_clock_was_set_right_has_what_was_written_until_then() {
    const DAY: i64 = 86_400;
    // Whether there is a backup of the time that never came.
    for ahead in [true, false] {
        let site = Offsite::new();
        let (patient, notes) = site.patient(1);
        site.backup().run().unwrap();
        let before = site.house.clock.now();
        site.house.clock.step(60 + 3_650 * DAY);
        let jumped = site.session().put(patient, &support::note("ten years ahead")).unwrap();
        if ahead {
            site.backup().run().unwrap();
        }
        site.house.clock.step(-3_650 * DAY);
        site.vault.reset_clock(&site.house.key).unwrap();
        site.house.clock.step(DAY);
        let right = site.session().put(patient, &support::note("after it was set right")).unwrap();
        site.house.clock.step(DAY);
        let time = site.house.clock.now();
        site.house.clock.step(DAY);
        let later = site.session().put(patient, &support::note("later")).unwrap();
        site.backup().run().unwrap();
        let (_, vault, session) = site.restored("restored", site.restore().to(RestorePoint::Time(time))).unwrap();
        all_are_there(&session, &notes);
        assert_eq!(session.get(right).unwrap().value.text, "after it was set right");
        // It was written before that.
        assert_eq!(session.get(jumped).unwrap().value.text, "ten years ahead");
        assert!(session.get(later).is_err());
        is_sound(&vault);
        let (_, vault, session) = site.restored("before", site.restore().to(RestorePoint::Time(before))).unwrap();
        all_are_there(&session, &notes);
        assert!(session.get(jumped).is_err() && session.get(right).is_err());
        is_sound(&vault);
    }
}

#[test]
fn recipients_of_now_open_what_is_backed_up_from_the_beginning() {
    let site = Offsite::new();
    let (lost, other) = (BackupIdentity::generate(), BackupIdentity::generate());
    let (_, notes) = site.patient(10);
    site.backup().seal_to(lost.recipient()).run().unwrap();
    let made = site.backup().seal_to(other.recipient()).from_the_beginning().run().unwrap();
    assert!(made.new_pack && made.older_packs.is_empty(), "{made}");
    let refused = site.restore().identity(lost).into(site.place("refused"), &site.house.key);
    assert!(matches!(refused, Err(Error::Backup(BackupFault::Sealed))), "{refused:?}");
    let (_, vault, session) = site.restored("restored", site.restore().identity(other)).unwrap();
    all_are_there(&session, &notes);
    is_sound(&vault);
}
