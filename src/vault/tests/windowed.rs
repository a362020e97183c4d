//! Entries of reads that may wait: what is synced when, seen from inside.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::audit::{EntryRef, SubjectKey, open_entry};
use crate::storage::fault::{self, FileOp};
use crate::{Opening, ReadAudit, RecordRef};

const LONG: Duration = Duration::from_secs(60);

struct Ward {
    _dir: tempfile::TempDir,
    path: PathBuf,
    key: RawKey,
    vault: Vault,
    session: Session,
    record: RecordRef,
}

impl Ward {
    fn new(choice: ReadAudit) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vault");
        let key = RawKey::generate().unwrap();
        let (vault, _) = Vault::create(&path).raw_key(&key).read_audit(choice).finish().unwrap();
        let issuer = IssuerKey::generate().unwrap();
        vault.trust_issuer(issuer.public(), &key).unwrap();
        let grant = Grant::to("dr.osei").all_patients().all_kinds().actions(Action::ALL.iter().copied());
        let grant = grant.purpose(Purpose::Treatment).valid_for(Duration::from_secs(3_600));
        let session = vault.session(grant.sign(&issuer, vault.id()).unwrap(), Purpose::Treatment).unwrap();
        let patient = session.register_patient([]).unwrap();
        let kind = Kind::new("Observation").unwrap();
        let record = session.put_verbatim(patient, &kind, b"{}", crate::PutOptions::new()).unwrap();
        Self { _dir: dir, path, key, vault, session, record }
    }

    fn windowed(delay: Duration, entries: u32) -> Self {
        Self::new(ReadAudit::Windowed { delay, entries })
    }

    fn read(&self) {
        self.session.get_verbatim(self.record).unwrap();
    }

    /// Entries that are durable; those of several reads count as many times.
    fn durable(&self) -> u64 {
        let unlocked = self.vault.0.gate.enter().unwrap();
        let (mut from, mut durable) = (0, 0);
        loop {
            let entries = unlocked.committer.storage().entries(from, 1_000).unwrap();
            let Some((last, _)) = entries.last() else { return durable };
            from = last + 1;
            for (_, bytes) in &entries {
                let entry = EntryRef::parse(bytes).unwrap();
                let entry = open_entry(&entry, unlocked.keyring().audit(), |_, _, _| None::<&SubjectKey>).unwrap();
                durable += entry.reads.len().max(1) as u64;
            }
        }
    }

    fn reopened(self) -> Opening {
        let Self { path, key, vault, session, _dir, .. } = self;
        drop((vault, session));
        Vault::open(&path).unwrap().unlock(&key).unwrap().opening().clone()
    }
}

#[test]
fn reads_of_a_vault_that_chose_nothing_are_durable_when_answered() {
    let ward = Ward::new(ReadAudit::Durable);
    let before = ward.durable();
    for read in 1..=5 {
        ward.read();
        assert_eq!(ward.durable(), before + read);
    }
}

#[test]
fn reads_in_a_window_are_answered_before_any_sync_and_durable_with_the_next_write() {
    let ward = Ward::windowed(LONG, 100);
    let before = ward.durable();
    // Every sync of this thread would fail.
    fault::arm(FileOp::Sync, 0, ErrorKind::Other);
    (0..50).for_each(|_| ward.read());
    assert!(!fault::disarm(), "a read synced");
    assert_eq!(ward.durable(), before);
    ward.session.register_patient([]).unwrap();
    assert_eq!(ward.durable(), before + 51);
}

#[test]
fn the_read_that_fills_the_window_makes_all_durable_before_it_is_answered() {
    let ward = Ward::windowed(LONG, 5);
    let before = ward.durable();
    for round in 1..=3 {
        (0..4).for_each(|_| ward.read());
        assert_eq!(ward.durable(), before + (round - 1) * 5);
        ward.read();
        assert_eq!(ward.durable(), before + round * 5);
    }
    let ward = Ward::windowed(LONG, 1);
    let before = ward.durable();
    ward.read();
    assert_eq!(ward.durable(), before + 1);
}

#[test]
fn entries_that_waited_for_long_enough_are_written_by_themselves() {
    let ward = Ward::windowed(Duration::from_millis(1), 10_000);
    for round in 1..=3 {
        let (before, since) = (ward.durable(), Instant::now());
        ward.read();
        while ward.durable() != before + 1 {
            assert!(since.elapsed() < Duration::from_secs(30), "round {round}: nobody wrote it");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn an_entry_waits_no_longer_than_the_newest_choice_lets_it() {
    for between in [None, Some(ReadAudit::Durable)] {
        let ward = Ward::windowed(LONG, 100);
        ward.read();
        let short = ReadAudit::Windowed { delay: Duration::from_millis(1), entries: 100 };
        for choice in between.into_iter().chain([short]) {
            ward.vault.set_read_audit(choice, &ward.key).unwrap();
        }
        let (before, since) = (ward.durable(), Instant::now());
        ward.read();
        while ward.durable() != before + 1 {
            assert!(since.elapsed() < LONG / 2, "it waits as long as the choice before let it");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn many_readers_never_get_ahead_of_the_window() {
    const WINDOW: u32 = 8;
    let ward = Ward::windowed(LONG, WINDOW);
    let (before, answered, done) = (ward.durable(), AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let readers: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..60 {
                        ward.read();
                        answered.fetch_add(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        let watch = scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                // In this order: what was durable when they were answered is so afterwards.
                let answered = answered.load(Ordering::SeqCst);
                let durable = ward.durable() - before;
                assert!(answered < durable + u64::from(WINDOW), "{answered} answered, {durable} durable");
                thread::yield_now();
            }
        });
        let failed = readers.into_iter().any(|reader| reader.join().is_err());
        done.store(true, Ordering::SeqCst);
        assert!(!failed);
        watch.join().unwrap();
    });
    ward.vault.checkpoint().unwrap();
    assert_eq!(ward.durable(), before + 360);
}

#[test]
fn where_waiting_entries_cannot_be_written_the_vault_stops_and_the_next_opening_says_what_may_be_missing() {
    let ward = Ward::windowed(LONG, 10);
    let (before, clone) = (ward.durable(), ward.session.clone());
    (0..3).for_each(|_| ward.read());
    fault::arm(FileOp::Sync, 0, ErrorKind::Other);
    assert!(matches!(ward.vault.checkpoint(), Err(Error::OutcomeUnknown(_))));
    assert!(fault::disarm());
    for session in [&clone, &ward.session] {
        assert!(matches!(session.get_verbatim(ward.record), Err(Error::AuditUnavailable { .. })));
    }
    assert!(matches!(ward.vault.checkpoint(), Err(Error::AuditUnavailable { .. })));
    assert!(matches!(ward.vault.close(), Err(Error::AuditUnavailable { .. })));
    let opening = ward.reopened();
    assert!(!opening.clean);
    let missing = opening.missing_reads.unwrap();
    assert_eq!((missing.at_most, missing.delay), (9, LONG));
    // The frame was written and its sync failed: its one entry of three reads is there or not.
    assert!(missing.after + 1 == before || missing.after == before, "{missing:?} {before}");
}

#[test]
fn a_vault_that_stopped_with_entries_waiting_does_not_count_as_closed() {
    let ward = Ward::windowed(LONG, 10);
    ward.read();
    ward.vault.0.gate.enter().unwrap().committer.stop("on purpose");
    assert!(matches!(ward.vault.close(), Err(Error::AuditUnavailable { .. })));
    let opening = ward.reopened();
    assert!(!opening.clean && opening.missing_reads.is_some(), "{opening}");
}

#[test]
fn a_dropped_vault_writes_what_waits_and_frees_its_directory_at_once() {
    let Ward { _dir, path, key, mut vault, session, record } = Ward::windowed(Duration::from_millis(1), 100);
    session.get_verbatim(record).unwrap();
    let mut durable = vault.0.gate.enter().unwrap().committer.storage().head().entries;
    drop(session);
    for round in 0..20 {
        let unlocked = vault.0.gate.enter().unwrap();
        let read = Draft::new(AuditEvent::RecordRead, Outcome::Allowed);
        unlocked.committer.wait(unlocked.committer.queue_read(read).unwrap()).unwrap();
        drop(unlocked);
        // Whatever the thread does at this moment: the directory is free when the last handle is gone.
        thread::sleep(Duration::from_micros(round * 150));
        drop(vault);
        vault = Vault::open(&path).unwrap().unlock(&key).unwrap();
        let now = vault.0.gate.enter().unwrap().committer.storage().head().entries;
        assert!(now >= durable + 3, "the read, the recovery, the opening: {durable} to {now}");
        durable = now;
    }
}

#[test]
fn choosing_anew_writes_what_waits_and_holds_at_once() {
    let ward = Ward::windowed(LONG, 100);
    let before = ward.durable();
    ward.read();
    ward.vault.set_read_audit(ReadAudit::Durable, &ward.key).unwrap();
    assert_eq!(ward.durable(), before + 2);
    ward.read();
    assert_eq!(ward.durable(), before + 3);
    ward.vault.set_read_audit(ReadAudit::Windowed { delay: LONG, entries: 3 }, &ward.key).unwrap();
    (0..2).for_each(|_| ward.read());
    assert_eq!(ward.durable(), before + 4);
    let wrong = RawKey::generate().unwrap();
    let refused = ward.vault.set_read_audit(ReadAudit::Durable, &wrong);
    assert!(matches!(refused, Err(Error::Unlock(UnlockError::WrongCredential))), "{refused:?}");
    assert_eq!(ward.durable(), before + 7, "a refusal is durable, and all before it");
    (0..2).for_each(|_| ward.read());
    assert_eq!(ward.durable(), before + 7, "the window holds as before");
}
