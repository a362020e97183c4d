mod checked;
mod cut_salvaged;
mod epochs;
mod erased;
mod grants;
mod idle;
mod kept_apart;
mod log_index;
mod log_tree;
#[cfg(feature = "backup")]
mod many_erased;
mod memory;
mod pruned;
mod removed;
mod rotated;
mod same_work;
mod sign_in;
mod windowed;

use super::*;
use crate::committer::{CommitFailed, Row};
use crate::format::keys::Tree;
use crate::keyring::{self, Keyring, NewSlot, RawKey, SlotPlace, UnlockError, copies};
use crate::storage::StorageError;
use crate::storage::fault::set_free;
use crate::token::IssuerKey;
use crate::{Action, Grant, Timestamp};

/// A header with this vault's id, a newer generation, and a slot for a key of one's own: all that somebody needs who may
/// write the directory, but knows no key of the vault.
fn forged_header(vault: &Vault, key: &RawKey) -> Vec<u8> {
    let (keyring, root) = (Keyring::generate().unwrap(), keyring::new_root().unwrap());
    let place = SlotPlace { number: 0, created: Timestamp::from_micros(0), label: "raw key".into() };
    let slot = NewSlot::of(key).prepare(vault.id()).unwrap().seal(vault.id(), vault.suite(), place, &root).unwrap();
    keyring.new_header(vault.id(), 2, &[vault.suite()], vec![slot], &root).unwrap()
}

#[test]
fn a_header_put_there_by_somebody_else_does_not_make_an_issuer_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let (key, own) = (RawKey::generate().unwrap(), RawKey::generate().unwrap());
    let (vault, _) = Vault::create(dir.path()).raw_key(&key).finish().unwrap();
    copies::write(dir.path(), &forged_header(&vault, &own)).unwrap();
    let issuer = IssuerKey::generate().unwrap();
    let trusted = vault.trust_issuer(issuer.public(), &own);
    assert!(matches!(trusted, Err(Error::Unlock(UnlockError::HeaderTampered))), "{trusted:?}");
}

#[test]
fn a_forged_copy_of_the_header_that_is_whole_does_not_hide_the_genuine_one() {
    let dir = tempfile::tempdir().unwrap();
    let (key, own) = (RawKey::generate().unwrap(), RawKey::generate().unwrap());
    let (vault, _) = Vault::create(dir.path()).raw_key(&key).finish().unwrap();
    let forged = forged_header(&vault, &own);
    vault.close().unwrap();
    drop(vault);
    std::fs::write(dir.path().join("header.a"), &forged).unwrap();
    let vault = Vault::open(dir.path()).unwrap().unlock(&key).unwrap();
    vault.close().unwrap();
    drop(vault);
    // Opening wrote the genuine one over both.
    let refused = Vault::open(dir.path()).unwrap().unlock(&own);
    assert!(matches!(refused, Err(Error::Unlock(UnlockError::WrongCredential))), "{refused:?}");
    assert!(Vault::open(dir.path()).unwrap().unlock(&key).is_ok());
}

#[test]
fn no_session_keeps_keys_after_it_has_ended_or_the_vault_was_closed() {
    let dir = tempfile::tempdir().unwrap();
    let key = RawKey::generate().unwrap();
    let (vault, _) = Vault::create(dir.path()).raw_key(&key).finish().unwrap();
    let issuer = IssuerKey::generate().unwrap();
    vault.trust_issuer(issuer.public(), &key).unwrap();
    let grant = Grant::to("dr.osei").all_patients().all_kinds().actions(Action::ALL.iter().copied());
    let grant = grant.purpose(Purpose::Treatment).valid_for(std::time::Duration::from_secs(60));
    let token = grant.sign(&issuer, vault.id()).unwrap();
    let sessions = [(); 2].map(|()| vault.session(&token, Purpose::Treatment).unwrap());
    let patient = sessions[0].register_patient([]).unwrap();
    for session in &sessions {
        session.kinds(patient).unwrap();
        assert!(session.holds_keys());
    }
    sessions[0].close().unwrap();
    assert!(sessions[0].kinds(patient).is_err());
    assert!(!sessions[0].holds_keys());
    vault.close().unwrap();
    assert!(!sessions[1].holds_keys());
}

#[test]
fn closing_wipes_the_records_that_were_opened() {
    let dir = tempfile::tempdir().unwrap();
    let key = RawKey::generate().unwrap();
    let (vault, _) = Vault::create(dir.path()).raw_key(&key).finish().unwrap();
    let issuer = IssuerKey::generate().unwrap();
    vault.trust_issuer(issuer.public(), &key).unwrap();
    let grant = Grant::to("dr.osei").all_patients().all_kinds().actions(Action::ALL.iter().copied());
    let grant = grant.purpose(Purpose::Treatment).valid_for(std::time::Duration::from_secs(3_600));
    let session = vault.session(grant.sign(&issuer, vault.id()).unwrap(), Purpose::Treatment).unwrap();
    let patient = session.register_patient([]).unwrap();
    let kind = Kind::new("Binary").unwrap();
    let record = session.put_verbatim(patient, &kind, b"value", crate::PutOptions::new()).unwrap();
    session.get_verbatim(record).unwrap();
    session.chart(patient).page().unwrap();
    let held = {
        let unlocked = vault.0.gate.enter().unwrap();
        let tag = unlocked.keyring().patient_tag(patient);
        let scan = crate::storage::Scan { prefix: &tag, after: None, limit: 1 };
        let keys = unlocked.committer.scan_keys(Tree::Records, scan).unwrap();
        let key = crate::format::keys::RecordKey::from_bytes(&keys[0]).unwrap();
        std::sync::Arc::downgrade(&unlocked.bodies.version(&key, None).unwrap())
    };
    assert_eq!(held.strong_count(), 1, "nobody else keeps it");
    // Before the last entry is written, which may take its time.
    let sealed = vault.0.gate.seal().unwrap();
    sealed.let_go();
    assert!(held.upgrade().is_none());
    assert!(matches!(session.get_verbatim(record), Err(Error::Sealed)));
}

#[test]
fn an_answer_that_would_fill_the_memory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let key = RawKey::generate().unwrap();
    let (vault, _) = Vault::create(dir.path()).raw_key(&key).finish().unwrap();
    let issuer = IssuerKey::generate().unwrap();
    vault.trust_issuer(issuer.public(), &key).unwrap();
    let grant = Grant::to("dr.osei").all_patients().all_kinds().actions(Action::ALL.iter().copied());
    let grant = grant.purpose(Purpose::Treatment).valid_for(std::time::Duration::from_secs(3_600));
    let session = vault.session(grant.sign(&issuer, vault.id()).unwrap(), Purpose::Treatment).unwrap();
    let patient = session.register_patient([]).unwrap();
    let (kind, value) = (Kind::new("Binary").unwrap(), vec![b'x'; 300 << 10]);
    let record = session.put_verbatim(patient, &kind, &value, crate::PutOptions::new()).unwrap();
    let amend = |from| session.amend_verbatim(record, crate::Version::new(from).unwrap(), &value).unwrap();
    for from in 1..3 {
        amend(from);
    }
    assert_eq!(session.get_many_verbatim(&[record; 3]).unwrap().len(), 3);
    assert!(matches!(session.get_many_verbatim(&[record; 4]), Err(Error::TooMany { limit: 0x10_0000, .. })));
    assert_eq!(session.history_verbatim(record).unwrap().len(), 3);
    amend(3);
    assert!(matches!(session.history_verbatim(record), Err(Error::TooMany { limit: 0x10_0000, .. })));
    assert_eq!(session.get_verbatim_version(record, crate::Version::FIRST).unwrap().value, value);
    let all = session.export().whole_history().patients([patient]).start().unwrap();
    assert_eq!(all.map(|entry| entry.unwrap().version().number()).min(), Some(1));
}

/// As check and scrub look at it, while others change it.
#[test]
fn a_header_that_is_being_written_is_not_taken_for_damage() {
    let dir = tempfile::tempdir().unwrap();
    let key = RawKey::generate().unwrap();
    let (vault, _) = Vault::create(dir.path()).raw_key(&key).finish().unwrap();
    let unlocked = vault.0.gate.enter().unwrap();
    std::thread::scope(|scope| {
        let changing = scope.spawn(|| {
            for _ in 0..30 {
                let number = vault.add_slot(NewSlot::of(&key), &key).unwrap();
                vault.remove_slot(number, &key).unwrap();
            }
        });
        while !changing.is_finished() {
            let found = check::header_findings(&unlocked, &vault.0.home);
            assert!(found.is_empty(), "{found:?}");
        }
    });
}

#[cfg(feature = "tracing")]
#[test]
fn every_event_of_an_operation_has_a_span_of_its_own_name() {
    use AuditEvent as E;
    // Entries that stand beside the one of the operation, or in its place.
    let beside = [
        E::DamageFound,
        E::UnlockFailed,
        E::Recovered,
        E::TokenRefused,
        E::SessionExpired,
        E::EntryLost,
        E::HeaderWritten,
        E::KeyActivated,
        E::KeyDropped,
        E::CaseOverdue,
        E::ReviewOverdue,
        E::SigningEpochBegun,
        E::CheckpointAnchored,
        E::AnchorFailed,
        E::SinkDetached,
        E::FlagRaised,
        E::FlagOverdue,
        E::BackupFailed,
    ];
    for event in E::ALL.iter().filter(|event| !beside.contains(event)) {
        assert!(crate::observe::has_span(event.word()), "{event} has no line in observe/spans.rs");
    }
    // What leaves no entry.
    assert!(crate::observe::has_span("checkpoint-signed"));
}
/// A vault in whose journal one row is written again and again, each time in a frame of its own.
fn wasteful(dir: &Path, key: &RawKey, share: u8) -> Vault {
    let mut options = Options::new().segment_bytes(64 << 10, 64 << 10).compact_share(share);
    options.storage.compact_least = 200_000;
    let (vault, _) = Vault::create(dir).raw_key(key).options(options).finish().unwrap();
    let unlocked = vault.0.gate.enter().unwrap();
    let mut replaces = None;
    for number in 0..120_u8 {
        let mut row = Row::new(Tree::Lookup, vec![1; 32], vec![number; 4_000]);
        row.replaces = replaces;
        replaces = row.value.clone();
        unlocked.committer.commit(vec![row], Vec::new()).unwrap();
    }
    drop(unlocked);
    vault
}

#[test]
fn a_journal_full_of_what_was_overwritten_is_compacted_by_itself_and_logged() {
    let dir = tempfile::tempdir().unwrap();
    let key = RawKey::generate().unwrap();
    let vault = wasteful(dir.path(), &key, 50);
    let journal = || crate::storage::file::dir_bytes(&dir.path().join("journal"));
    let started = std::time::Instant::now();
    // Some eight segments were written; how many of them had been when the first compaction began, nobody knows.
    while journal() > 450_000 {
        assert!(started.elapsed().as_secs() < 60, "it is not compacted");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    vault.close().unwrap();
    let vault = Vault::open(dir.path()).unwrap().unlock(&key).unwrap();
    let unlocked = vault.0.gate.enter().unwrap();
    assert_eq!(unlocked.committer.get(Tree::Lookup, &[1; 32]).unwrap().as_deref(), Some(&[119; 4_000][..]));
}

#[test]
fn a_compaction_that_was_interrupted_is_finished_and_logged_by_the_next_opening() {
    let dir = tempfile::tempdir().unwrap();
    let key = RawKey::generate().unwrap();
    let vault = wasteful(dir.path(), &key, 100);
    {
        let unlocked = vault.0.gate.enter().unwrap();
        unlocked.committer.storage().compact(&mut |_| (), &|| true).unwrap().unwrap();
    }
    let before = vault.0.gate.enter().unwrap().committer.storage().head().entries;
    drop(vault);
    let vault = Vault::open(dir.path()).unwrap().unlock(&key).unwrap();
    // After an unclean end: recovered, compacted, opened.
    let after = vault.0.gate.enter().unwrap().committer.storage().head().entries;
    assert_eq!(after - before, 3);
    let journal = std::fs::read_dir(dir.path().join("journal")).unwrap();
    let names: Vec<_> = journal.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!names.contains(&"0000000001.cvj".into()), "{names:?}");
    assert_eq!(vault.compact().unwrap(), None);
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let target = to.join(file.file_name());
        if file.file_type().unwrap().is_dir() {
            copy_dir(&file.path(), &target);
        } else {
            std::fs::copy(file.path(), target).unwrap();
        }
    }
}

/// The system says that nothing is free; what is there already can be written all the same.
#[test]
fn without_free_space_writes_are_refused_reads_use_the_reserve_and_nothing_stops() {
    let dir = tempfile::tempdir().unwrap();
    let key = RawKey::generate().unwrap();
    let options = Options::new().segment_bytes(64 << 10, 64 << 10);
    let (vault, _) = Vault::create(dir.path()).raw_key(&key).options(options).finish().unwrap();
    let unlocked = vault.0.gate.enter().unwrap();
    let committer = &unlocked.committer;
    let draft = || vec![Draft::new(AuditEvent::RecordRead, Outcome::Allowed)];
    let row = |number: u8| vec![Row::new(Tree::Lookup, vec![number; 32], vec![number; 500])];
    let is_full = |answer: Result<(), CommitFailed>| match answer {
        Err(CommitFailed::NotCommitted(error)) => assert!(matches!(*error, StorageError::DiskFull { .. }), "{error}"),
        other => panic!("{other:?}"),
    };
    committer.commit(row(1), draft()).unwrap();
    set_free(Some(0));
    // Noticed when the next group is to be settled: it is durable, visible, and waits for its place in the trees.
    committer.commit(row(2), draft()).unwrap();
    committer.settle();
    is_full(committer.commit(row(3), draft()));
    assert!(matches!(committer.storage().checkpoint(), Err(StorageError::DiskFull { .. })));
    let (entries, get) = (committer.storage().head().entries, |number: u8| {
        committer.get(Tree::Lookup, &[number; 32]).unwrap().map(|value| value.len())
    });
    assert_eq!((get(1), get(2), get(3)), (Some(500), Some(500), None));
    let reads = (0..10_000).take_while(|_| committer.commit(Vec::new(), draft()).is_ok()).count();
    assert!((20..1_000).contains(&reads), "{reads}");
    is_full(committer.commit(Vec::new(), draft()));
    assert_eq!(committer.storage().head().entries, entries + reads as u64);
    // The log is whole all the same: what waits for its place in the trees is read from memory.
    let log = committer.storage().entries(0, usize::MAX).unwrap();
    assert_eq!(log.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), (0..entries + reads as u64).collect::<Vec<_>>());
    assert_eq!(committer.newest_entry().unwrap().seq, entries + reads as u64 - 1);
    let middle = committer.storage().entries(entries + 1, 3).unwrap();
    assert_eq!(middle.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [entries + 1, entries + 2, entries + 3]);
    let crashed = tempfile::tempdir().unwrap();
    copy_dir(dir.path(), crashed.path());

    set_free(None);
    committer.commit(row(3), draft()).unwrap();
    committer.settle();
    assert_eq!((get(1), get(2), get(3)), (Some(500), Some(500), Some(500)));
    assert!(committer.nothing_waits());
    assert_eq!(committer.newest_entry().unwrap().seq, committer.storage().head().entries - 1);
    drop(unlocked);
    vault.close().unwrap();
    assert!(Vault::open(dir.path()).unwrap().unlock(&key).unwrap().opening().clean);
    // What was acknowledged while the disk was full is there after a crash as well.
    let vault = Vault::open(crashed.path()).unwrap().unlock(&key).unwrap();
    let unlocked = vault.0.gate.enter().unwrap();
    assert!(unlocked.committer.get(Tree::Lookup, &[2; 32]).unwrap().is_some());
    assert!(unlocked.committer.storage().head().entries > entries + reads as u64);
}
