//! A disk that is really full: a small one of its own, in memory. Skipped, with a line that says so, where it cannot be
//! mounted.
#![cfg(target_os = "linux")]

use crate::support;

use std::fs;
use std::path::Path;
use std::process::Command;

use chartvault::*;
use support::{House, note, verify};

/// A file system of its own, unmounted when dropped.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(at: &'a Path, mebibytes: u32) -> Option<Self> {
        let size = format!("size={mebibytes}m");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
        mount.is_ok_and(|done| done.status.success()).then_some(Self(at))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).output();
    }
}

fn is_full<T: std::fmt::Debug>(answer: &Result<T, Error>) -> bool {
    matches!(answer, Err(Error::NotCommitted(error)) if matches!(**error, StorageError::DiskFull { .. }))
}

#[test]
fn a_full_disk_refuses_writes_then_reads_and_goes_on_when_there_is_room() {
    let place = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::mount(place.path(), 24) else {
        println!("skipped: a tmpfs cannot be mounted here");
        return;
    };
    let (house, _) = House::create();
    let options = || house.options().segment_bytes(256 << 10, 1 << 20).keep_free(4 << 20).cache_bytes(8 << 20);
    let path = place.path().join("vault");
    let (vault, _) = Vault::create(&path).raw_key(&house.key).options(options()).finish().unwrap();
    vault.trust_issuer(house.issuer.public(), &house.key).unwrap();
    let s = house.session(&vault);
    let ama = s.register_patient([]).unwrap();
    fs::write(place.path().join("ballast"), vec![1; 6 << 20]).unwrap();

    let mut ids = Vec::new();
    let refused = loop {
        match s.put(ama, &note(&"x".repeat(3_000))) {
            Ok(id) => ids.push(id),
            refused => break refused,
        }
        assert!(ids.len() < 20_000, "it never fills");
    };
    assert!(is_full(&refused), "{refused:?}");
    assert!(ids.len() > 100, "{}", ids.len());
    // Reads and denials go on, each with its entry, until the reserve is used up as well.
    let mut reads = 0;
    let refused = loop {
        match s.get(ids[reads % ids.len()]) {
            Ok(found) => assert_eq!(found.value.text.len(), 3_000),
            refused => break refused,
        }
        reads += 1;
        assert!(reads < 100_000, "it never fills");
    };
    assert!(is_full(&refused.map(|_| ())) && reads > 50, "{reads}");
    assert!(is_full(&s.put(ama, &note("small"))));

    fs::remove_file(place.path().join("ballast")).unwrap();
    let last = s.put(ama, &note("there is room again")).unwrap();
    for id in ids.iter().chain([&last]) {
        s.get(*id).unwrap();
    }
    verify(&s);
    vault.close().unwrap();
    let again = Vault::open_with(&path, options()).unwrap().unlock(&house.key).unwrap();
    assert!(again.opening().clean && again.opening().rebuilt.is_none(), "{:?}", again.opening());
    let s = house.session(&again);
    let reads_logged = support::whole_log(&s).iter().filter(|entry| entry.event == AuditEvent::RecordRead).count();
    assert_eq!(reads_logged, reads + ids.len() + 1);
    assert_eq!(s.get(last).unwrap().value.text, "there is room again");
}
