//! What the security report says of backups: what is missing, what is old, what failed, and what mends it.

use crate::support;

use std::fs;

use chartvault::*;
use support::offsite::Offsite;

const DAY: i64 = 86_400;

fn report(site: &Offsite) -> SecurityReport {
    site.vault.security_report(&site.session()).unwrap()
}

/// The findings about backups, by their codes, with their weights.
fn found(site: &Offsite) -> Vec<(&'static str, Weight)> {
    let of = [
        "no-backup",
        "backup-old",
        "backup-failed",
        "no-drill",
        "drill-old",
        "drill-failed",
        "no-key-pack",
        "key-pack-old",
        "recovery-slow",
    ];
    let mut found: Vec<_> = report(site).findings.iter().map(|finding| (finding.code, finding.weight)).collect();
    found.retain(|(code, _)| of.contains(code));
    found
}

fn drill(site: &Offsite) -> Result<DrillReport, Error> {
    let below = site.place("temporary");
    fs::create_dir_all(&below).unwrap();
    site.vault.drill(&site.target).packs_from(&site.packs).into_temporary(below).run(&site.house.key)
}

#[test]
fn what_is_missing_is_found_and_is_gone_once_it_is_done() {
    let site = Offsite::new();
    site.patient(5);
    assert_eq!(found(&site), [("no-backup", Weight::High)]);
    let said = report(&site);
    let finding = said.findings.iter().find(|finding| finding.code == "no-backup").unwrap();
    assert_eq!(finding.reason.section(), "45 CFR 164.308(a)(7)(ii)(A)");
    assert!(finding.mend.contains("chartvault backup run"), "{finding:?}");
    site.backup().run().unwrap();
    assert_eq!(found(&site), [("no-drill", Weight::Medium)]);
    let said = report(&site);
    let finding = said.findings.iter().find(|finding| finding.code == "no-drill").unwrap();
    assert_eq!(finding.reason, Reason::ContingencyTesting);
    assert!(finding.mend.contains("chartvault backup drill"), "{finding:?}");
    assert!(drill(&site).unwrap().is_sound());
    assert_eq!(found(&site), []);
}

#[test]
fn what_is_old_is_found_the_older_the_graver() {
    let site = Offsite::new();
    site.patient(5);
    site.backup().run().unwrap();
    drill(&site).unwrap();
    site.house.clock.step(DAY);
    assert_eq!(found(&site), []);
    site.house.clock.step(DAY);
    assert_eq!(found(&site), [("backup-old", Weight::Medium)]);
    site.house.clock.step(6 * DAY);
    assert_eq!(found(&site), [("backup-old", Weight::High)]);
    let said = report(&site);
    let finding = said.findings.iter().find(|finding| finding.code == "backup-old").unwrap();
    let since = said.backups.targets[0].entries_since.unwrap();
    assert!(finding.what.contains("192 hours") && finding.what.contains(&since.to_string()), "{finding:?}");
    // A quarter is over.
    site.house.clock.step(84 * DAY);
    site.backup().run().unwrap();
    assert_eq!(found(&site), []);
    site.house.clock.step(DAY);
    assert_eq!(found(&site), [("drill-old", Weight::Medium)]);
}

#[test]
fn what_failed_is_found_until_it_is_mended() {
    let site = Offsite::new();
    site.patient(100);
    site.backup().run().unwrap();
    drill(&site).unwrap();
    let kept = site.place("kept");
    support::copy_dir(&site.disk(), &kept);
    let manifest = site.disk().join("manifests/0000000001");
    let mut bytes = fs::read(&manifest).unwrap();
    bytes[40] ^= 1;
    fs::write(&manifest, bytes).unwrap();
    site.house.clock.step(60);
    assert!(matches!(site.backup().run(), Err(Error::Backup(_))));
    assert!(matches!(drill(&site), Err(Error::Backup(_))));
    assert_eq!(found(&site), [("drill-failed", Weight::High), ("backup-failed", Weight::High)]);
    fs::copy(kept.join("manifests/0000000001"), &manifest).unwrap();
    site.house.clock.step(60);
    site.backup().run().unwrap();
    assert_eq!(found(&site), [("drill-failed", Weight::High)]);
    drill(&site).unwrap();
    assert_eq!(found(&site), []);
}

#[test]
fn a_key_pack_that_is_missing_or_older_than_keys_or_ledger_is_found() {
    let site = Offsite::new();
    let (gone, _) = site.patient(5);
    site.vault.backup(&site.target).run().unwrap();
    assert_eq!(found(&site), [("no-key-pack", Weight::High), ("no-drill", Weight::Medium)]);
    site.backup().run().unwrap();
    drill(&site).unwrap();
    assert_eq!(found(&site), []);
    let other = RawKey::generate().unwrap();
    site.vault.add_slot(NewSlot::of(&other), &site.house.key).unwrap();
    assert_eq!(found(&site), [("key-pack-old", Weight::Medium)]);
    site.erase(gone);
    assert_eq!(found(&site), [("key-pack-old", Weight::High)]);
    let said = report(&site);
    let finding = said.findings.iter().find(|finding| finding.code == "key-pack-old").unwrap();
    assert_eq!(finding.reason, Reason::DisasterRecovery);
    assert!(finding.what.contains("1 patients"), "{finding:?}");
    site.backup().run().unwrap();
    assert_eq!(found(&site), []);
}

#[test]
fn every_form_of_the_report_tells_of_each_target() {
    let site = Offsite::new();
    site.patient(5);
    site.backup().run().unwrap();
    drill(&site).unwrap();
    let said = report(&site);
    assert_eq!(said.backups.targets.len(), 1);
    let json: serde_json::Value = serde_json::from_str(&said.to_json()).unwrap();
    let of = &json["backups"][0];
    assert_eq!(of["target"], said.backups.targets[0].target);
    assert_eq!((&of["manifest"], &of["drill"]), (&1.into(), &"allowed".into()));
    assert_eq!(of["entries"], said.backups.targets[0].entries_since.unwrap());
    assert!(of.get("failure").is_none());
    let page = said.to_html();
    assert!(page.contains("What would be lost if this machine were gone") && page.contains("Recovery in seconds"));
}
