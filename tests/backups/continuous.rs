//! Backups that follow a vault.

use crate::support;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use chartvault::*;
use support::House;
use support::offsite::{Offsite, all_are_there, is_sound, told};

/// Waits until it holds; fails after a time that only a machine in trouble needs.
fn soon(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn plan(site: &Offsite) -> ContinuousBackup {
    let open = |path| Arc::new(FolderTarget::open(path).unwrap());
    ContinuousBackup::to(open(site.disk())).packs_to(open(site.safe())).every(Duration::from_secs(1))
}

#[test]
fn what_is_written_is_copied_soon_and_nothing_is_where_nothing_is_new() {
    let site = Offsite::new();
    let following = site.vault.keep_backed_up(plan(&site)).unwrap();
    let (_, notes) = site.patient(100);
    soon("all is copied", || {
        let state = following.state();
        state.waiting == 0 && state.last.is_some_and(|last| last.entries > 100)
    });
    let manifest = following.state().last.unwrap().manifest;
    thread::sleep(Duration::from_millis(2_500));
    assert_eq!(following.state().last.unwrap().manifest, manifest);
    // As if the machine were gone.
    drop(following);
    let (_, vault, session) = site.restored("restored", site.restore()).unwrap();
    all_are_there(&session, &notes);
    is_sound(&vault);
}

#[test]
fn a_target_that_fails_is_told_once_and_tried_again() {
    let site = Offsite::new();
    site.patient(1);
    let away = site.place("away");
    std::fs::rename(site.disk(), &away).unwrap();
    let plan = ContinuousBackup::to(Arc::new(Away(site.disk()))).every(Duration::from_secs(1));
    let following = site.vault.keep_backed_up(plan).unwrap();
    soon("a failure", || following.state().failure.is_some());
    assert!(following.state().waiting > 0);
    thread::sleep(Duration::from_millis(2_500));
    std::fs::rename(&away, site.disk()).unwrap();
    soon("it works again", || following.state().last.is_some());
    following.finish().unwrap();
    assert_eq!(told(&site.session(), AuditEvent::BackupFailed).len(), 1);
}

/// A folder that is looked for at each call, as a disk that is plugged in now and then.
struct Away(std::path::PathBuf);

impl Away {
    fn found(&self) -> Result<FolderTarget, TargetError> {
        FolderTarget::open(&self.0)
    }
}

impl BackupTarget for Away {
    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<(), TargetError> {
        self.found()?.put_new(name, bytes)
    }

    fn get(&self, name: &str, limit: usize) -> Result<Vec<u8>, TargetError> {
        self.found()?.get(name, limit)
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(StoredObject)) -> Result<(), TargetError> {
        self.found()?.list(prefix, each)
    }

    fn delete(&self, name: &str) -> Result<(), TargetError> {
        self.found()?.delete(name)
    }

    fn name(&self) -> &str {
        "a disk"
    }
}

#[test]
fn who_lost_the_vault_to_another_machine_is_fenced_off() {
    let site = Offsite::new();
    let following = site.vault.keep_backed_up(plan(&site)).unwrap();
    site.patient(10);
    soon("a backup", || following.state().last.is_some_and(|last| last.entries > 10));
    // Another machine goes on with it, to the same target.
    let (_, other, session) = site.restored("other", site.restore()).unwrap();
    session.register_patient([]).unwrap();
    other.backup(&site.target).packs_to(&site.packs).run().unwrap();
    site.patient(1);
    soon("it is fenced", || following.state().is_fenced);
    assert!(following.state().failure.unwrap().contains("another machine goes on"));
}

#[test]
fn it_ends_with_the_vault_and_with_its_handle() {
    let site = Offsite::new();
    let following = site.vault.keep_backed_up(plan(&site)).unwrap();
    site.patient(3);
    site.vault.close().unwrap();
    assert!(matches!(following.finish(), Err(Error::Sealed)));
    let vault = site.house.open();
    let following = vault.keep_backed_up(plan(&site)).unwrap();
    drop(vault);
    drop(following);
    site.house.open();
}

#[test]
fn a_vault_that_nobody_uses_is_sealed_all_the_same() {
    let site = Offsite::of(House::create_with(|options| options.seal_when_idle(Duration::from_millis(1_500))));
    site.patient(3);
    let following = site.vault.keep_backed_up(plan(&site)).unwrap();
    soon("nothing is copied", || following.state().last.is_some());
    soon("it stays open", || site.house.open_at(&site.house.path()).is_ok());
    assert!(matches!(site.vault.backup_status(), Err(Error::Sealed)));
    drop(following);
}
