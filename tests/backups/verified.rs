//! Backups verified without a key of the vault: whatever was changed is found, and named.

use crate::support;

use std::fs;
use std::path::PathBuf;

use chartvault::*;
use support::offsite::{Killed, Offsite, told};

fn check(site: &Offsite) -> BackupVerified {
    let key = site.vault.backup_key().unwrap();
    BackupCheck::of(&site.target).signed_by(key).run().unwrap()
}

/// A site with a base, increments, and a second copy.
fn site() -> Offsite {
    let site = Offsite::new();
    for _ in 0..2 {
        site.patient(150);
        site.vault.compact().unwrap();
    }
    site.backup().run().unwrap();
    for _ in 0..3 {
        site.patient(30);
        site.backup().run().unwrap();
    }
    site.vault.compact().unwrap();
    site.backup().from_the_beginning().run().unwrap();
    site
}

fn files(site: &Offsite, below: &str) -> Vec<PathBuf> {
    support::files_in(&site.disk()).into_iter().filter(|file| file.starts_with(below)).collect()
}

#[test]
fn a_sound_backup_is_sound_whoever_looks() {
    let site = site();
    let found = check(&site);
    assert!(found.is_sound() && found.looked_inside && found.signed, "{found} {:?}", found.findings);
    assert_eq!((found.manifests, found.last, found.whole), (5, 5, Some(5)));
    let anybody = BackupCheck::of(&site.target).run().unwrap();
    assert!(anybody.is_sound() && !anybody.signed);
    // Goes on with the copy that has the manifest.
    let later = BackupCheck::of(&site.target).from_manifest(5).run().unwrap();
    assert!(later.is_sound() && later.objects < found.objects, "{later}");
    let own = site.vault.verify_backup(&site.target, &[], &mut |_| ()).unwrap();
    assert!(own.is_sound());
    assert!(told(&site.session(), AuditEvent::BackupVerified)[0].contains("nothing is wrong"));
}

#[test]
fn a_flipped_byte_in_every_object_is_found_and_named() {
    let site = site();
    for file in files(&site, "objects") {
        let path = site.disk().join(&file);
        let bytes = fs::read(&path).unwrap();
        for at in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut bad = bytes.clone();
            bad[at] ^= 0x10;
            fs::write(&path, &bad).unwrap();
            let found = check(&site);
            let named = |finding: &BackupFinding| {
                finding.object.as_deref() == file.to_str() && matches!(finding.flaw, BackupFlaw::Object(_))
            };
            assert!(!found.is_sound() && found.findings.iter().any(named), "{file:?} {at}: {:?}", found.findings);
            assert_eq!(found.findings.len(), 1, "{:?}", found.findings);
        }
        fs::write(&path, &bytes).unwrap();
    }
    for (number, file) in (1..).zip(files(&site, "manifests")) {
        let path = site.disk().join(&file);
        let bytes = fs::read(&path).unwrap();
        for at in [0, bytes.len() / 2, bytes.len() - 3] {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            let found = check(&site);
            assert!(found.findings.iter().any(|finding| finding.manifest == number), "{file:?} {at}");
        }
        fs::write(&path, &bytes).unwrap();
    }
    assert!(check(&site).is_sound());
}

#[test]
fn what_was_removed_exchanged_or_cut_is_found() {
    let flaws = |change: &dyn Fn(&Offsite)| {
        let site = site();
        change(&site);
        let found = check(&site);
        assert!(!found.is_sound(), "{found}");
        found.findings.into_iter().map(|finding| finding.flaw).collect::<Vec<_>>()
    };
    let first = |site: &Offsite, below: &str| site.disk().join(&files(site, below)[0]);
    let removed = flaws(&|site| fs::remove_file(first(site, "objects")).unwrap());
    assert!(matches!(&removed[0], BackupFlaw::Object(what) if what.contains("not there")), "{removed:?}");
    let cut = flaws(&|site| {
        let path = first(site, "objects");
        let bytes = fs::read(&path).unwrap();
        fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
    });
    assert!(matches!(&cut[0], BackupFlaw::Object(what) if what.contains("shorter")), "{cut:?}");
    let gap = flaws(&|site| fs::remove_file(site.disk().join("manifests/0000000003")).unwrap());
    assert!(gap.contains(&BackupFlaw::MissingManifest), "{gap:?}");
    let exchanged = flaws(&|site| {
        let (a, b) = (site.disk().join("manifests/0000000002"), site.disk().join("manifests/0000000003"));
        let second = fs::read(&a).unwrap();
        fs::copy(&b, &a).unwrap();
        fs::write(b, second).unwrap();
    });
    assert!(matches!(&exchanged[0], BackupFlaw::Unreadable(_)), "{exchanged:?}");
    // Another vault's manifests, whole as they are.
    let other = site();
    let forged = flaws(&|site| {
        for below in ["manifests", "objects"] {
            fs::remove_dir_all(site.disk().join(below)).unwrap();
            support::copy_dir(&other.disk().join(below), &site.disk().join(below));
        }
    });
    assert!(forged.iter().all(|flaw| *flaw == BackupFlaw::Unsigned), "{forged:?}");
}

#[test]
fn the_newest_manifest_of_a_fork_is_found_by_the_vault_itself() {
    let site = Offsite::new();
    site.patient(5);
    site.backup().run().unwrap();
    site.vault.close().unwrap();
    let copy = site.place("copy");
    support::copy_dir(&site.house.path(), &copy);
    let vault = site.house.open();
    let session = site.house.session(&vault);
    for _ in 0..20 {
        session.register_patient([]).unwrap();
    }
    vault.backup(&site.target).run().unwrap();
    let (brought_back, session) = site.open(&copy);
    let found = brought_back.verify_backup(&site.target, &[], &mut |_| ()).unwrap();
    assert_eq!(found.findings.iter().map(|finding| &finding.flaw).collect::<Vec<_>>(), [&BackupFlaw::NotTheVaults]);
    assert_eq!(told(&session, AuditEvent::BackupVerified).len(), 1);
}

#[test]
fn sealed_objects_are_looked_into_with_an_identity_only() {
    let site = Offsite::new();
    site.patient(20);
    let (office, other) = (BackupIdentity::generate(), BackupIdentity::generate());
    site.backup().seal_to(office.recipient()).run().unwrap();
    let without = check(&site);
    assert!(without.is_sound() && !without.looked_inside);
    let wrong = BackupCheck::of(&site.target).identity(other).run().unwrap();
    assert!(wrong.is_sound() && !wrong.looked_inside);
    let with = BackupCheck::of(&site.target).identity(office).run().unwrap();
    assert!(with.is_sound() && with.looked_inside);
}

#[test]
fn a_copy_that_is_not_finished_is_no_fault_and_no_backup() {
    let site = Offsite::new();
    site.patient(3_000);
    let mut calls = 20;
    while site.vault.backup(&Killed::at(&site.target, calls, false)).run().is_err() {
        if !files(&site, "manifests").is_empty() {
            let found = check(&site);
            assert!(found.findings.is_empty() && found.whole.is_none() && !found.is_sound(), "{found}");
        }
        calls += 17;
    }
    assert!(check(&site).is_sound());
    let nothing = FolderTarget::create(site.place("nothing")).unwrap();
    assert!(matches!(BackupCheck::of(&nothing).run(), Err(BackupFault::Nothing { .. })));
}

/// Edits the newest manifest as somebody without the key would.
fn edited(edit: &dyn Fn(&str) -> String) -> Vec<BackupFlaw> {
    let site = site();
    let path = site.disk().join("manifests/0000000004");
    let text = fs::read_to_string(&path).unwrap();
    let changed = edit(&text);
    assert_ne!(changed, text);
    fs::write(&path, changed).unwrap();
    fs::remove_file(site.disk().join("manifests/0000000005")).unwrap();
    let pinned = check(&site);
    assert!(pinned.findings.iter().any(|finding| finding.flaw == BackupFlaw::Unsigned));
    // Without a key nobody knows who made it; it still has to hold together.
    let found = BackupCheck::of(&site.target).run().unwrap();
    found.findings.into_iter().map(|finding| finding.flaw).collect()
}

fn line(text: &str, word: &str) -> String {
    text.lines().find(|line| line.starts_with(word)).unwrap().to_owned()
}

#[test]
fn manifests_that_somebody_edited_do_not_hold_together() {
    let previous = edited(&|text| {
        let line = line(text, "previous ");
        text.replace(&line, &format!("previous {}", "0".repeat(64)))
    });
    assert_eq!(previous, [BackupFlaw::NotNext]);
    let end = edited(&|text| {
        let tip = line(text, "tip ");
        let hash = tip.split(' ').nth(2).unwrap();
        text.replace(hash, &"0".repeat(64))
    });
    assert_eq!(end, [BackupFlaw::OtherEnd]);
    let root = edited(&|text| {
        let log = line(text, "log ");
        let root = log.split(' ').nth(3).unwrap();
        text.replace(root, &format!("{}=", "A".repeat(43)))
    });
    assert_eq!(root, [BackupFlaw::OtherRoot]);
    let order = edited(&|text| {
        let object = line(text, "object ");
        let words: Vec<&str> = object.split(' ').collect();
        let moved = format!("{} {} {}", words[5], words[6].parse::<u64>().unwrap() + 8, words[7]);
        text.replace(&words[5..8].join(" "), &moved)
    });
    assert!(matches!(&order[..], [BackupFlaw::Journal { place, .. }] if place.contains("segment-")), "{order:?}");
}
