//! Backups beside what else goes on in a vault: rotations, erasures, credentials that come and go, sinks, headers kept apart.

use crate::support;

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use chartvault::*;
use support::offsite::{Offsite, all_are_there, is_sound, told};
use support::{House, Note, note, verify, whole_log};

#[test]
fn rotations_of_every_kind_between_backups_leave_each_state_restorable_or_say_why_not() {
    let site = Offsite::new();
    let key = &site.house.key;
    let (_, mut notes) = site.patient(60);
    let mut states = Vec::new();
    let mut back_up = |notes: &Vec<RecordId<Note>>| {
        let made = site.backup().run().unwrap();
        states.push((made.manifest, notes.len()));
    };
    back_up(&notes);
    site.vault.rotate_wrap_key(key, &mut |_| ()).unwrap();
    notes.extend(site.patient(0).1);
    back_up(&notes);
    site.vault.begin_data_rotation(key).unwrap();
    back_up(&notes);
    site.vault.continue_rotation(key, &mut |_| ()).unwrap();
    back_up(&notes);
    site.vault.rotate_audit_key(key).unwrap();
    back_up(&notes);
    site.vault.rotate_root_key(&[key.into()]).unwrap();
    back_up(&notes);
    for (manifest, many) in states {
        let name = format!("restored-{manifest}");
        match site.restored(&name, site.restore().to(RestorePoint::Manifest(manifest))) {
            Ok((_, vault, session)) => {
                all_are_there(&session, &notes[..many]);
                is_sound(&vault);
                verify(&session);
            }
            Err(Error::Backup(BackupFault::KeyGone { .. })) => {
                assert!(manifest <= 3, "{manifest}");
                assert!(!site.place(&name).join("journal").exists(), "told after it was copied");
            }
            Err(error) => panic!("{manifest}: {error}"),
        }
    }
}

#[test]
fn a_credential_that_was_removed_opens_no_vault_that_is_restored_from_then_on() {
    let site = Offsite::new();
    let (_, notes) = site.patient(20);
    let other = RawKey::generate().unwrap();
    let number = site.vault.add_slot(NewSlot::of(&other).label("night desk"), &site.house.key).unwrap();
    let with = site.backup().run().unwrap();
    site.vault.remove_slot(number, &site.house.key).unwrap();
    site.backup().run().unwrap();
    for point in [RestorePoint::Newest, RestorePoint::Manifest(with.manifest)] {
        let refused = site.restore().to(point).into(site.place("refused"), &other);
        assert!(matches!(refused, Err(Error::Unlock(_))), "{refused:?}");
    }
    let (_, _, session) = site.restored("restored", site.restore().to(RestorePoint::Manifest(with.manifest))).unwrap();
    all_are_there(&session, &notes);
    drop(session);
    let opened = Vault::open_with(site.place("restored"), site.house.options()).unwrap().unlock(&other);
    assert!(matches!(opened, Err(Error::Unlock(_))), "{opened:?}");
}

#[test]
fn erasures_during_backups_leave_nobody_who_comes_back() {
    let site = Offsite::new();
    let (stays, notes) = site.patient(40);
    let ended = AtomicBool::new(false);
    let erased = Mutex::new(Vec::new());
    let made = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..12 {
                let (patient, _) = site.patient(5);
                thread::sleep(Duration::from_millis(20));
                site.erase(patient);
                erased.lock().unwrap().push(patient);
            }
            ended.store(true, Ordering::Relaxed);
        });
        while !ended.load(Ordering::Relaxed) {
            site.backup().run().unwrap();
            made.fetch_add(1, Ordering::Relaxed);
        }
    });
    let last = site.backup().run().unwrap();
    let erased = erased.into_inner().unwrap();
    for manifest in [1, last.manifest / 2, last.manifest] {
        let restore = site.restore().to(RestorePoint::Manifest(manifest.max(1)));
        let (_, vault, session) = site.restored(&format!("restored-{manifest}"), restore).unwrap();
        all_are_there(&session, &notes);
        for patient in &erased {
            assert!(session.list::<Note>(*patient).limit(10).page().is_err(), "{manifest}: an erased patient is back");
        }
        assert!(session.list::<Note>(stays).limit(10).page().is_ok());
        is_sound(&vault);
        verify(&session);
    }
}

#[test]
fn what_many_acknowledged_before_a_backup_is_in_it() {
    let site = Offsite::new();
    let patient = site.patient(0).0;
    let ended = AtomicBool::new(false);
    let done = Mutex::new(Vec::new());
    let mut states = Vec::new();
    thread::scope(|scope| {
        for writer in 0..3 {
            let (site, done, ended) = (&site, &done, &ended);
            scope.spawn(move || {
                let session = site.session();
                for number in 0.. {
                    if ended.load(Ordering::Relaxed) {
                        break;
                    }
                    let text = format!("{writer} {number}");
                    let id = session.put(patient, &note(&text)).unwrap();
                    done.lock().unwrap().push((id, text));
                }
            });
        }
        for round in 0..12 {
            let acknowledged = done.lock().unwrap().len();
            if round % 4 == 3 {
                site.vault.compact().unwrap();
            }
            let made = site.backup().run().unwrap();
            states.push((made.manifest, acknowledged));
        }
        ended.store(true, Ordering::Relaxed);
    });
    let done = done.into_inner().unwrap();
    for (manifest, acknowledged) in states.into_iter().step_by(3) {
        let restore = site.restore().to(RestorePoint::Manifest(manifest));
        let (_, vault, session) = site.restored(&format!("restored-{manifest}"), restore).unwrap();
        for (id, text) in &done[..acknowledged] {
            assert_eq!(session.get(*id).unwrap().value.text, *text, "manifest {manifest}");
        }
        is_sound(&vault);
    }
}

/// A sink that keeps the numbers it gets, and fails when told to.
#[derive(Clone, Default)]
struct Numbers {
    got: Arc<Mutex<Vec<u64>>>,
    fails: Arc<AtomicBool>,
}

impl AuditSink for Numbers {
    fn deliver(&mut self, entries: &[Delivered]) -> Result<(), SinkError> {
        if self.fails.load(Ordering::Relaxed) {
            return Err(SinkError::Other("out of paper".to_owned()));
        }
        self.got.lock().unwrap().extend(entries.iter().map(|entry| entry.seq));
        Ok(())
    }
}

#[test]
fn a_vault_with_a_required_sink_is_backed_up_and_brought_back() {
    let numbers = Numbers::default();
    let sink = numbers.clone();
    let policy = SinkPolicy::Required { behind: 100, patience: Duration::from_secs(5) };
    let house = House::create_with(move |options| options.sink("siem", Box::new(sink.clone()), policy).unwrap());
    let site = Offsite::of(house);
    let (_, notes) = site.patient(20);
    site.backup().run().unwrap();
    site.patient(20);
    site.backup().run().unwrap();
    let log = whole_log(&site.session());
    let drilled = site.vault.drill(&site.target).packs_from(&site.packs).run(&site.house.key).unwrap();
    assert!(drilled.is_sound(), "{drilled}");
    let before = numbers.got.lock().unwrap().len();
    let (_, vault, session) = site.restored("restored", site.restore()).unwrap();
    all_are_there(&session, &notes);
    is_sound(&vault);
    assert_eq!(told(&session, AuditEvent::VaultRestored).len(), 1);
    // What only the drill's copy did is in nobody's log.
    let got = numbers.got.lock().unwrap()[..before].to_vec();
    let most = u64::try_from(log.len()).unwrap() + 20;
    assert!(got.iter().all(|seq| *seq < most), "{got:?} of {}", log.len());
    assert!(got.windows(2).all(|pair| pair[1] == pair[0] + 1), "{got:?}");
}

#[test]
fn a_header_kept_apart_stays_apart() {
    let stick = tempfile::tempdir().unwrap();
    let header = stick.path().join("header");
    let (dir, key) = (tempfile::tempdir().unwrap(), RawKey::generate().unwrap());
    let path = dir.path().join("vault");
    let new = Vault::create(&path).raw_key(&key).options(support::small());
    let (vault, _) = new.detached_header(&header).finish().unwrap();
    let issuer = IssuerKey::generate().unwrap();
    vault.trust_issuer(issuer.public(), &key).unwrap();
    let token = support::everything().sign(&issuer, vault.id()).unwrap();
    let session = vault.session(&token, Purpose::Treatment).unwrap();
    let patient = session.register_patient([]).unwrap();
    let id = session.put(patient, &note("apart")).unwrap();
    let target = FolderTarget::create(dir.path().join("disk")).unwrap();
    let packs = FolderTarget::create(dir.path().join("safe")).unwrap();
    vault.backup(&target).packs_to(&packs).run().unwrap();
    let drilled = vault.drill(&target).packs_from(&packs).run(&key).unwrap();
    assert!(drilled.is_sound(), "{drilled}");
    let (place, other) = (dir.path().join("restored"), stick.path().join("restored"));
    let options = || support::small().header(&other);
    Vault::restore(&target).packs_from(&packs).options(options()).into(&place, &key).unwrap();
    let beside: Vec<_> = fs::read_dir(&place).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(!beside.iter().any(|name| name == "header.a" || name == "header.b"), "{beside:?}");
    assert!(Vault::open_with(&place, support::small()).is_err(), "it opens without its header");
    let vault = Vault::open_with(&place, options()).unwrap().unlock(&key).unwrap();
    let session = vault.session(&token, Purpose::Treatment).unwrap();
    assert_eq!(session.get(id).unwrap().value.text, "apart");
    is_sound(&vault);
}

#[test]
fn two_backups_at_once_to_one_target_leave_a_chain_that_is_whole() {
    let site = Offsite::new();
    let (_, notes) = site.patient(300);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..15 {
                    match site.backup().run() {
                        Ok(_) | Err(Error::Backup(BackupFault::Raced { .. })) => {}
                        Err(error) => panic!("{error}"),
                    }
                    site.patient(2);
                }
            });
        }
    });
    site.backup().run().unwrap();
    let key = site.vault.backup_key().unwrap();
    let found = BackupCheck::of(&site.target).signed_by(key).run().unwrap();
    assert!(found.is_sound(), "{found} {:?}", found.findings);
    let (_, vault, session) = site.restored("restored", site.restore()).unwrap();
    all_are_there(&session, &notes);
    is_sound(&vault);
}

#[test]
fn who_follows_takes_over_and_restores_at_once_is_told_that_somebody_else_does() {
    let site = Offsite::new();
    let (_, notes) = site.patient(2_000);
    site.backup().run().unwrap();
    let (place, key) = (site.place("standby"), site.vault.backup_key().unwrap());
    let in_the_way = |error: &Error| {
        matches!(error, Error::InUse { .. } | Error::NotEmpty { .. } | Error::Backup(BackupFault::OtherRestore { .. }))
    };
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while done.load(Ordering::Relaxed) == 0 {
                    if let Err(error) = Vault::restore(&site.target).follow_into(&place, &key) {
                        assert!(in_the_way(&error), "{error}");
                    }
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(30));
                while done.load(Ordering::Relaxed) == 0 {
                    match site.restore().into(&place, &site.house.key) {
                        Ok(_) => {
                            done.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => assert!(in_the_way(&error), "{error}"),
                    }
                }
            });
        }
    });
    assert_eq!(done.load(Ordering::Relaxed), 1);
    let (vault, session) = site.open(&place);
    all_are_there(&session, &notes);
    is_sound(&vault);
    assert_eq!(told(&session, AuditEvent::VaultRestored).len(), 1);
}

#[test]
fn a_restore_while_its_backup_is_pruned_ends_whole_or_says_what_is_missing() {
    let site = Offsite::new();
    let (_, notes) = site.patient(200);
    for _ in 0..4 {
        site.house.clock.step(90 * 86_400);
        site.backup().from_the_beginning().run().unwrap();
    }
    let key = site.vault.backup_key().unwrap();
    thread::scope(|scope| {
        let pruning = scope.spawn(|| {
            thread::sleep(Duration::from_millis(5));
            let retention = BackupRetention::new().last(1);
            prune_backups(&site.target, key.clone(), retention).as_of(site.house.clock.now()).run().unwrap()
        });
        for (number, manifest) in [1, 2, 3, 4, 1, 2].into_iter().enumerate() {
            let restore = site.restore().to(RestorePoint::Manifest(manifest));
            match site.restored(&format!("restored-{number}"), restore) {
                Ok((_, vault, session)) => {
                    all_are_there(&session, &notes);
                    is_sound(&vault);
                }
                Err(Error::Backup(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(pruning.join().unwrap().chains.len(), 3);
    });
    let (_, vault, session) = site.restored("newest", site.restore()).unwrap();
    all_are_there(&session, &notes);
    is_sound(&vault);
}

#[test]
fn reads_whose_entries_waited_are_in_the_backup_and_later_ones_told_as_missing() {
    let window = ReadAudit::Windowed { delay: Duration::from_secs(60), entries: 1_000 };
    let (dir, key, issuer) =
        (tempfile::tempdir().unwrap(), RawKey::generate().unwrap(), IssuerKey::generate().unwrap());
    let path = dir.path().join("vault");
    let (vault, _) = Vault::create(&path).raw_key(&key).read_audit(window).options(support::small()).finish().unwrap();
    vault.trust_issuer(issuer.public(), &key).unwrap();
    let token = support::everything().sign(&issuer, vault.id()).unwrap();
    let session = vault.session(&token, Purpose::Treatment).unwrap();
    let patient = session.register_patient([]).unwrap();
    let id = session.put(patient, &note("pulse 60")).unwrap();
    for _ in 0..20 {
        session.get(id).unwrap();
    }
    let target = FolderTarget::create(dir.path().join("disk")).unwrap();
    let packs = FolderTarget::create(dir.path().join("safe")).unwrap();
    vault.backup(&target).packs_to(&packs).run().unwrap();
    let place = dir.path().join("restored");
    Vault::restore(&target).packs_from(&packs).options(support::small()).into(&place, &key).unwrap();
    let restored = Vault::open_with(&place, support::small()).unwrap().unlock(&key).unwrap();
    let session = restored.session(&token, Purpose::Treatment).unwrap();
    let log = whole_log(&session);
    let reads = log.iter().filter(|entry| entry.event == AuditEvent::RecordRead).map(|entry| entry.reads.len());
    assert_eq!(reads.sum::<usize>(), 20, "what was answered before a backup is in it");
    // Of what came after it nobody knows.
    let recovery = log.iter().find(|entry| entry.event == AuditEvent::Recovered).unwrap();
    assert!(recovery.detail.as_ref().unwrap().contains("up to 999 reads"), "{:?}", recovery.detail);
    verify(&session);
}

#[test]
fn the_public_key_of_the_backups_outlives_rotations_of_the_root() {
    let site = Offsite::new();
    let before = site.vault.backup_key().unwrap();
    site.backup().run().unwrap();
    let key = &site.house.key;
    site.vault.rotate_root_key(&[key.into()]).unwrap();
    site.patient(1);
    site.backup().run().unwrap();
    let after = site.vault.backup_key().unwrap();
    let found = BackupCheck::of(&site.target).signed_by(before.clone()).run();
    assert_eq!(before, after, "{found:?}");
    assert!(found.unwrap().is_sound());
}
