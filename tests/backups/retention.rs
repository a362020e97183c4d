//! Old backups go, and what is kept is whole: whoever prunes, whatever the target refuses, wherever it is killed.

use crate::support;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use chartvault::*;
use support::HandClock;
use support::offsite::{Killed, Offsite, all_are_there, is_sound, told};

const DAY: Duration = Duration::from_secs(86_400);

/// A backup, and how many notes there were then.
type Made = (u64, usize);

/// A site that makes a backup a day, every seventh from the beginning, and so much more of one patient's chart.
fn history(days: u64) -> (Offsite, Vec<RecordId<support::Note>>, Vec<Made>) {
    let site = Offsite::new();
    let (patient, mut notes) = site.patient(5);
    let mut made = Vec::new();
    for day in 0..days {
        let session = site.session();
        notes.push(session.put(patient, &support::note(&support::offsite::text(notes.len()))).unwrap());
        session.close().unwrap();
        let backup = if day % 7 == 0 { site.backup().from_the_beginning() } else { site.backup() };
        made.push((backup.run().unwrap().manifest, notes.len()));
        site.house.clock.advance(DAY);
    }
    (site, notes, made)
}

fn now(site: &Offsite) -> Timestamp {
    HandClock::now(&site.house.clock)
}

fn prune<'t>(site: &Offsite, target: &'t dyn BackupTarget, retention: BackupRetention) -> PruneBackups<'t> {
    prune_backups(target, site.vault.backup_key().unwrap(), retention).as_of(now(site))
}

fn objects(site: &Offsite) -> Vec<PathBuf> {
    support::files_in(&site.disk()).into_iter().filter(|file| file.starts_with("objects")).collect()
}

fn comes_back(site: &Offsite, name: &str, notes: &[RecordId<support::Note>], (manifest, many): Made) {
    let restore = site.restore().to(RestorePoint::Manifest(manifest));
    let (_, vault, session) = site.restored(name, restore).unwrap();
    all_are_there(&session, &notes[..many]);
    assert!(notes.get(many).is_none_or(|later| session.get(*later).is_err()), "{manifest}");
    is_sound(&vault);
}

#[test]
fn what_is_kept_comes_back_and_what_is_not_is_gone() {
    let (site, notes, made) = history(36);
    // Days 0 to 35; copies begin on days 0, 7, 14, 21, 28 and 35. The clock stands at day 36.
    let retention = BackupRetention::new().last(2).weekly(3).least_age(3 * DAY);
    let before = objects(&site).len();
    let would = prune(&site, &site.target, retention).dry_run().run().unwrap();
    assert_eq!(objects(&site).len(), before);
    let pruned = prune(&site, &site.target, retention).run().unwrap();
    assert!(would.dry_run && would.to_string().replace("would remove", "removed") == pruned.to_string(), "{would}");
    assert_eq!((&pruned.chains[..], pruned.manifests), (&[made[0].0, made[7].0, made[14].0][..], 21), "{pruned}");
    assert!(pruned.refused.is_empty() && pruned.damaged.is_empty() && pruned.bytes > 0);
    assert_eq!(u64::try_from(before - objects(&site).len()).unwrap(), pruned.objects);
    let kept: Vec<u64> = pruned.kept.iter().map(|kept| kept.manifest).collect();
    assert_eq!(kept, made[21..].iter().map(|made| made.0).collect::<Vec<_>>());
    assert!(pruned.kept.iter().filter(|kept| kept.wanted).count() >= 3);
    for index in [21, 24, 27, 28, 35] {
        comes_back(&site, &format!("restored-{index}"), &notes, made[index]);
    }
    for index in [0, 13, 20] {
        let gone = site.restore().to(RestorePoint::Manifest(made[index].0)).into(site.place("gone"), &site.house.key);
        assert!(matches!(gone, Err(Error::Backup(BackupFault::Target { .. }))), "{gone:?}");
        let _ = fs::remove_dir_all(site.place("gone"));
    }
    // Once more removes nothing, nor does it with orphans.
    let again = prune(&site, &site.target, retention).orphans().run().unwrap();
    assert_eq!((again.manifests, again.objects, again.orphans, again.kept), (0, 0, 0, pruned.kept));
    // The vault goes on from there.
    let more = site.backup().run().unwrap();
    assert!(!more.from_the_beginning && more.manifest == made[35].0 + 1);
    comes_back(&site, "newest", &notes, (more.manifest, notes.len()));
}

/// A target that does not allow some calls: whose credential may not remove, or whose objects are locked.
struct Locked<'t> {
    to: &'t FolderTarget,
    locks: fn(&str) -> bool,
}

impl BackupTarget for Locked<'_> {
    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<(), TargetError> {
        self.to.put_new(name, bytes)
    }

    fn get(&self, name: &str, limit: usize) -> Result<Vec<u8>, TargetError> {
        self.to.get(name, limit)
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(StoredObject)) -> Result<(), TargetError> {
        self.to.list(prefix, each)
    }

    fn delete(&self, name: &str) -> Result<(), TargetError> {
        if (self.locks)(name) {
            return Err(TargetError::Refused { name: name.to_owned(), why: "locked".to_owned() });
        }
        self.to.delete(name)
    }

    fn name(&self) -> &str {
        "locked"
    }
}

#[test]
fn what_the_target_refuses_to_remove_is_told_and_stays_whole() {
    let (site, notes, made) = history(15);
    let retention = BackupRetention::new().last(1);
    let before = objects(&site);
    // A credential that can only add: backups are made with it, and nothing is removed with it.
    let add_only = Locked { to: &site.target, locks: |_| true };
    let last = site.vault.backup(&add_only).packs_to(&site.packs).run().unwrap();
    let pruned = prune(&site, &add_only, retention).run().unwrap();
    assert_eq!((pruned.manifests, pruned.objects, pruned.refused.len()), (0, 0, 2), "{pruned}");
    assert_eq!(pruned.refused[0], ("manifests/0000000007".to_owned(), "locked".to_owned()));
    assert!(before.iter().all(|file| site.disk().join(file).exists()));
    // A lock on one manifest keeps those before it and all that they name.
    let pruned = prune(&site, &Locked { to: &site.target, locks: |name| name.ends_with("/0000000003") }, retention)
        .run()
        .unwrap();
    assert_eq!((&pruned.chains[..], pruned.manifests, pruned.refused.len()), (&[8][..], 11, 1), "{pruned}");
    assert_eq!(pruned.kept.iter().map(|kept| kept.manifest).collect::<Vec<_>>(), [1, 2, 3, 15, last.manifest]);
    for index in [0, 2, 14] {
        comes_back(&site, &format!("restored-{index}"), &notes, made[index]);
    }
    // Locked objects are left, and go as orphans when the lock has run out.
    let locked = Locked { to: &site.target, locks: |name| name.starts_with("objects/") };
    let pruned = prune(&site, &locked, retention).run().unwrap();
    assert!(pruned.manifests == 3 && pruned.objects == 0 && pruned.refused.len() >= 3, "{pruned}");
    let orphans = u64::try_from(pruned.refused.len()).unwrap();
    assert_eq!(prune(&site, &site.target, retention).run().unwrap().orphans, 0);
    assert_eq!(prune(&site, &site.target, retention).orphans().run().unwrap().orphans, orphans);
    comes_back(&site, "newest", &notes, (last.manifest, notes.len()));
}

#[test]
fn a_pruning_killed_at_any_call_leaves_every_listed_backup_whole() {
    let (site, notes, made) = history(10);
    let retention = BackupRetention::new().last(2);
    let pristine = site.place("pristine");
    support::copy_dir(&site.disk(), &pristine);
    for after_effect in [false, true] {
        let mut calls = 0;
        loop {
            let copy = site.place(&format!("disk-{after_effect}-{calls}"));
            support::copy_dir(&pristine, &copy);
            let target = FolderTarget::open(&copy).unwrap();
            let killed = Killed::at(&target, calls, after_effect);
            let first = prune(&site, &killed, retention).run();
            assert_eq!(first.is_ok(), !killed.was_met(), "{first:?}");
            // What is listed is whole, by the objects' names and lengths; some of it is restored in earnest.
            let would = prune(&site, &target, retention).dry_run().run().unwrap();
            assert_eq!(would.damaged, [0; 0], "{calls}");
            let newest = made.iter().find(|made| made.0 == would.kept.last().unwrap().manifest).unwrap();
            assert_eq!(newest, made.last().unwrap());
            if calls % 5 == 0 {
                let mut numbers = BTreeSet::new();
                target.list("manifests/", &mut |object| numbers.extend(object.name[10..].parse::<u64>().ok())).unwrap();
                let (number, many) = *made.iter().find(|made| numbers.contains(&made.0)).unwrap();
                let restore = Vault::restore(&target).packs_from(&site.packs).options(site.house.options());
                let name = format!("restored-{after_effect}-{calls}");
                let restored = site.restored(&name, restore.to(RestorePoint::Manifest(number))).unwrap();
                all_are_there(&restored.2, &notes[..many]);
            }
            let again = prune(&site, &target, retention).orphans().run().unwrap();
            assert_eq!(again.kept.iter().map(|kept| kept.manifest).collect::<Vec<_>>(), [8, 9, 10]);
            let mut left = 0;
            target.list("objects/", &mut |_| left += 1).unwrap();
            let clean = prune(&site, &target, retention).orphans().run().unwrap();
            assert_eq!((clean.manifests, clean.objects, clean.orphans), (0, 0, 0), "{left} objects");
            fs::remove_dir_all(&copy).unwrap();
            calls += 1;
            if !killed.was_met() {
                break;
            }
        }
        assert!(calls > 20, "{calls}");
    }
}

#[test]
fn the_vault_tells_of_a_pruning_in_its_log() {
    let (site, _, _) = history(8);
    let retention = BackupRetention::new().last(1);
    site.vault.prune_backups(&site.target, retention).dry_run().run().unwrap();
    assert_eq!(told(&site.session(), AuditEvent::BackupPruned), [""; 0]);
    let pruned = site.vault.prune_backups(&site.target, retention).run().unwrap();
    assert_eq!((pruned.manifests, &pruned.chains[..]), (7, &[1][..]));
    let killed = Killed::at(&site.target, 1, false);
    let failed = site.vault.prune_backups(&killed, retention).orphans().run();
    assert!(matches!(failed, Err(Error::Backup(BackupFault::Target { .. }))), "{failed:?}");
    let entries = told(&site.session(), AuditEvent::BackupPruned);
    assert!(entries.len() == 2 && entries[0] == pruned.to_string() && entries[1].contains("killed"), "{entries:?}");
}

#[test]
fn nothing_is_removed_where_something_is_not_as_it_has_to_be() {
    let (site, notes, made) = history(15);
    let retention = BackupRetention::new().last(1);
    // Another vault's key.
    let other = Offsite::new().vault.backup_key().unwrap();
    let refused = prune_backups(&site.target, other, retention).as_of(now(&site)).run();
    assert!(matches!(refused, Err(BackupFault::Unsigned { .. })), "{refused:?}");
    // A manifest that is none, put there to have real ones removed.
    site.target.put_new("manifests/0000009999", b"forged").unwrap();
    let refused = prune(&site, &site.target, retention).orphans().run();
    assert!(matches!(refused, Err(BackupFault::Manifest { .. })), "{refused:?}");
    site.target.delete("manifests/0000009999").unwrap();
    assert_eq!(prune(&site, &site.target, BackupRetention::new()).run().unwrap().kept.len(), 15);
    // The newest copy lost an object: the one before is the newest that can be restored, and stays.
    let (all, mut newest) = (objects(&site), BTreeSet::new());
    let text = fs::read_to_string(site.disk().join("manifests/0000000015")).unwrap();
    newest.extend(all.iter().filter(|file| text.contains(file.to_str().unwrap())));
    fs::remove_file(site.disk().join(newest.first().unwrap())).unwrap();
    let pruned = prune(&site, &site.target, retention).run().unwrap();
    assert_eq!((&pruned.chains[..], &pruned.damaged[..]), (&[1][..], &[15][..]), "{pruned}");
    assert_eq!(pruned.kept.last().unwrap().manifest, 14);
    comes_back(&site, "restored", &notes, made[13]);
}
