//! Backups and restores of vaults with settings of their own: keys kept elsewhere, clocks that jump.

use crate::support;

use std::fs;

use chartvault::*;
use support::offsite::{Killed, Offsite, all_are_there, is_sound, told};
use support::{House, whole_log};

const DAY: i64 = 86_400;

#[test]
fn a_second_machine_that_takes_over_does_not_sign_with_the_key_of_the_first() {
    let keys = tempfile::tempdir().unwrap();
    let file = keys.path().join("signing.key");
    let kept = file.clone();
    let site = Offsite::of(House::create_with(move |options| options.signing_key_file(&kept)));
    let (_, notes) = site.patient(3);
    site.backup().run().unwrap();
    let before = site.vault.opening().signing_epoch;
    let place = site.place("standby");
    Vault::restore(&site.target).follow_into(&place, &site.vault.backup_key().unwrap()).unwrap();
    // More is logged, and then the first machine is gone, but not the disk with the signing key.
    site.patient(3);
    let logged = u64::try_from(whole_log(&site.session()).len()).unwrap();
    site.restore().into(&place, &site.house.key).unwrap();
    let (vault, session) = site.open(&place);
    all_are_there(&session, &notes);
    is_sound(&vault);
    let log = whole_log(&session);
    let restored = log.iter().find(|entry| entry.event == AuditEvent::VaultRestored).unwrap().seq;
    assert!(restored < logged, "nothing was left out");
    // One epoch is that of the restore, and closing it began this one.
    assert_eq!(vault.opening().signing_epoch, before + 2, "entry {restored} is signed in epoch {before} twice");
}

#[test]
fn a_key_that_was_announced_to_the_vault_before_is_not_taken_either() {
    let keys = tempfile::tempdir().unwrap();
    let (file, away) = (keys.path().join("signing.key"), keys.path().join("away"));
    let kept = file.clone();
    let Offsite { house, vault, target, packs } =
        Offsite::of(House::create_with(move |options| options.signing_key_file(&kept)));
    vault.close().unwrap();
    let site = Offsite { vault: house.open(), house, target, packs };
    let (_, notes) = site.patient(3);
    site.backup().run().unwrap();
    // The state that ends with the final checkpoint of the first epoch, which names the key of the second.
    let log = whole_log(&site.session());
    let closed = log.iter().find(|entry| entry.event == AuditEvent::VaultClosed).unwrap().seq;
    let (place, point) = (site.place("restored"), RestorePoint::Entry(closed));
    // It is begun while the key is not there, and gone on with when it is.
    fs::rename(&file, &away).unwrap();
    for passing in 1.. {
        let killed = Killed::at(&site.target, passing, false);
        let restore = Vault::restore(&killed).packs_from(&site.packs).options(site.house.options()).to(point);
        let failed = restore.into(&place, &site.house.key);
        assert!(matches!(failed, Err(Error::Backup(BackupFault::Target { .. }))), "{failed:?}");
        if place.join("restoring").exists() {
            break;
        }
    }
    fs::rename(&away, &file).unwrap();
    site.restore().to(point).into(&place, &site.house.key).unwrap();
    let (vault, session) = site.open(&place);
    assert!(session.get(notes[0]).is_err(), "nothing was left out");
    is_sound(&vault);
    let begun = told(&session, AuditEvent::SigningEpochBegun);
    assert!(begun[0].starts_with("epoch 2") && begun[0].contains("missing"), "{begun:?}");
}

#[test]
fn a_backup_of_a_time_that_never_came_does_not_hide_that_those_since_failed() {
    let site = Offsite::new();
    site.patient(1);
    site.backup().run().unwrap();
    site.house.clock.step(3_650 * DAY);
    site.backup().run().unwrap();
    site.house.clock.step(-3_650 * DAY);
    site.vault.reset_clock(&site.house.key).unwrap();
    site.house.clock.step(DAY);
    let lost = site.disk().join("manifests");
    fs::rename(&lost, site.place("away")).unwrap();
    fs::write(&lost, b"no folder").unwrap();
    site.backup().run().unwrap_err();
    let status = site.vault.backup_status().unwrap();
    assert!(status.targets[0].failing().is_some(), "{status}");
    site.house.clock.step(20 * DAY);
    let report = site.vault.security_report(&site.session()).unwrap();
    let codes: Vec<_> = report.findings.iter().map(|finding| finding.code).collect();
    assert!(codes.contains(&"backup-failed"), "{codes:?}");
    assert!(codes.contains(&"backup-old"), "{codes:?}");
}

#[test]
fn a_backup_under_a_clock_that_fell_back_says_so() {
    let site = Offsite::new();
    let (_, notes) = site.patient(1);
    site.backup().run().unwrap();
    site.house.clock.step(-DAY);
    let failed = site.backup().run();
    assert!(matches!(failed, Err(Error::ClockRollback { .. })), "{failed:?}");
    // Restoring asks no clock.
    let place = site.place("restored");
    site.restore().into(&place, &site.house.key).unwrap();
    site.house.clock.step(2 * DAY);
    let (_, session) = site.open(&place);
    all_are_there(&session, &notes);
}
