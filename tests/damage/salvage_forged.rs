//! Salvage against somebody who can write the files and has no key: doubt is declared, and cannot be taken out again.

use crate::support;

use std::fs;
use std::path::{Path, PathBuf};

use chartvault::*;
use support::{House, copy_dir, files_in, note};

/// Where the frames of a segment start.
fn frames(segment: &Path) -> Vec<usize> {
    let bytes = fs::read(segment).unwrap();
    (512..bytes.len())
        .step_by(8)
        .filter(|at| bytes[*at..].starts_with(b"CVF1") && !bytes[*at..].starts_with(b"CVF1-END"))
        .collect()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x40;
    fs::write(path, bytes).unwrap();
}

/// Takes away all that remembers how far the journal had come, but the journal.
fn forget(vault: &Path) {
    for name in ["state.a", "state.b", "clean"] {
        let _ = fs::remove_file(vault.join(name));
    }
    for number in 1..9 {
        let _ = fs::remove_dir_all(vault.join(format!("sled-{number}")));
    }
}

/// A vault with one record, as it lies on the disk.
fn one_record() -> (House, Vault, Session, RecordId<support::Note>) {
    let (house, vault) = House::create();
    let s = house.session(&vault);
    let patient = s.register_patient([Identifier::new("urn:mrn", "1").unwrap()]).unwrap();
    let id = s.put(patient, &note("first")).unwrap();
    (house, vault, s, id)
}

fn segments(vault: &Path) -> Vec<PathBuf> {
    let journal = vault.join("journal");
    let all = files_in(&journal).into_iter().filter(|name| !name.to_string_lossy().starts_with("base-"));
    all.map(|name| journal.join(name)).collect()
}

#[test]
fn doubt_stays_when_all_frames_behind_the_salvage_are_cut_off() {
    let (house, vault, s, _) = one_record();
    vault.close().unwrap();
    drop((s, vault));
    let (damaged, into) = (house.dir.path().join("damaged"), house.dir.path().join("salvaged"));
    copy_dir(&house.path(), &damaged);
    forget(&damaged);
    let first = &segments(&damaged)[0];
    flip(first, frames(first)[1] + 100);
    let report = Vault::open_with(&damaged, house.options()).unwrap().salvage(&house.key, &into).unwrap();
    assert!(report.doubt.is_some(), "{report}");

    forget(&into);
    for segment in segments(&into) {
        let mut bytes = fs::read(&segment).unwrap();
        bytes[512..].fill(0);
        fs::write(&segment, bytes).unwrap();
    }
    match house.open_at(&into) {
        Err(error) => println!("refused: {error}"),
        Ok(vault) => assert!(vault.doubt().unwrap().is_some(), "a vault in doubt passes for one that is not"),
    }
}

#[test]
fn a_journal_that_went_another_way_than_state_files_or_trees_remember_is_no_proof() {
    for witness in ["state", "trees", "both"] {
        let (house, vault, s, id) = one_record();
        vault.checkpoint().unwrap();
        let old = house.dir.path().join("old");
        copy_dir(&house.path(), &old);
        s.amend(id, Version::FIRST, &note("amended, and acknowledged")).unwrap();
        vault.checkpoint().unwrap();
        let here = house.dir.path().join("here");
        copy_dir(&house.path(), &here);
        drop((s, vault));

        // Somebody puts the old copy back for a day, and the newer state files and trees for the next one.
        let vault = house.open_at(&old).unwrap();
        let s = house.session(&vault);
        for number in 0..20 {
            s.put(id.patient(), &note(&format!("on the other way {number}"))).unwrap();
        }
        vault.close().unwrap();
        drop((s, vault));
        forget(&old);
        if witness != "trees" {
            for name in ["state.a", "state.b"] {
                fs::copy(here.join(name), old.join(name)).unwrap();
            }
        }
        if witness != "state" {
            copy_dir(&here.join("sled-1"), &old.join("sled-1"));
        }
        let refused = house.open_at(&old);
        println!("{witness}: {:?}", refused.as_ref().err());
        let opens = refused.is_ok();
        drop(refused);
        let into = house.dir.path().join("salvaged");
        let report = Vault::open_with(&old, house.options()).unwrap().salvage(&house.key, &into).unwrap();
        assert!(opens || report.doubt.is_some(), "{witness}: opening refuses it, salvage proves it\n{report}");
    }
}

#[test]
fn files_of_the_journal_with_impossible_numbers_do_no_harm() {
    let most = u64::MAX;
    for name in [format!("base-{most}.cvj"), format!("{most}.cvj"), format!("{}.cvj", most - 1)] {
        let (house, vault, s, id) = one_record();
        vault.close().unwrap();
        drop((s, vault));
        let (damaged, into) = (house.dir.path().join("damaged"), house.dir.path().join("salvaged"));
        copy_dir(&house.path(), &damaged);
        fs::write(damaged.join("journal").join(&name), b"nothing").unwrap();
        let report = Vault::open_with(&damaged, house.options()).unwrap().salvage(&house.key, &into).unwrap();
        println!("{name}: {report}");
        for _ in 0..3 {
            let vault = house.open_at(&into).unwrap();
            let token = house.grant().sign(&house.issuer, vault.id()).unwrap();
            let s = vault.session_with(&token, Purpose::Treatment).accept_doubtful().open().unwrap();
            assert_eq!(s.get(id).unwrap().value.text, "first");
            vault.close().unwrap();
        }
    }
}

/// Nobody's files are taken for what an attempt left behind, and no link is followed to them.
#[test]
fn a_link_or_a_directory_of_others_in_the_place_of_the_work_is_left_alone() {
    let (house, vault, s, _) = one_record();
    vault.close().unwrap();
    drop((s, vault));
    let (into, work) = (house.dir.path().join("salvaged"), house.dir.path().join("salvaged.salvaging"));
    let salvage = || Vault::open_with(house.path(), house.options())?.salvage(&house.key, &into);
    let precious = |dir: &Path| {
        fs::create_dir_all(dir.join("vault")).unwrap();
        fs::write(dir.join("vault/precious"), b"of somebody").unwrap();
        dir.join("vault/precious")
    };

    let theirs = precious(&work);
    let refused = salvage();
    assert!(matches!(&refused, Err(Error::NotEmpty { path }) if *path == work), "{refused:?}");
    assert!(theirs.exists());
    fs::remove_dir_all(&work).unwrap();

    #[cfg(unix)]
    {
        let elsewhere = house.dir.path().join("elsewhere");
        let theirs = precious(&elsewhere);
        fs::write(elsewhere.join("lock"), b"").unwrap();
        for link in [&work, &into] {
            std::os::unix::fs::symlink(&elsewhere, link).unwrap();
            let refused = salvage();
            assert!(matches!(refused, Err(Error::Storage(StorageError::Refused { .. }))), "{refused:?}");
            assert!(theirs.exists());
            fs::remove_file(link).unwrap();
        }
    }
    salvage().unwrap();
    house.open_at(&into).unwrap();
}
