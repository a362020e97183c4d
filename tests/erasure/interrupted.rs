//! Erasures that break off, backups that are restored, and others who work meanwhile.

use crate::support;

use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use chartvault::test_util::{Fault, FileOp};
use chartvault::*;
use support::{House, Note, copy_dir, note, verify, whole_log};

fn order() -> ErasureOrder {
    ErasureOrder::new("the patient asked", "GDPR 17(1)(b)")
}

fn mrn(value: &str) -> Identifier {
    Identifier::new("urn:mrn:erasure", value).unwrap()
}

fn erase(vault: &Vault, house: &House, session: &Session, patient: PatientId) -> Result<ErasureReport, Error> {
    vault.erase_patient(session, patient, &order(), &house.key, &mut |_| ())
}

fn is_sound(vault: &Vault) {
    let report = vault.check(CheckScope::All, &mut |_| ()).unwrap();
    assert!(report.is_sound(), "{report}");
}

struct Ward {
    house: House,
    vault: Vault,
    session: Session,
    ama: PatientId,
    of_ama: Vec<RecordId<Note>>,
    of_ben: RecordId<Note>,
}

impl Ward {
    fn new() -> Self {
        let (house, vault) = House::create();
        let session = house.session(&vault);
        let ama = session.register_patient([mrn("1")]).unwrap();
        let ben = session.register_patient([mrn("2")]).unwrap();
        let of_ama = ["first", "second"].map(|text| session.put(ama, &note(text)).unwrap()).to_vec();
        let of_ben = session.put(ben, &note("stays")).unwrap();
        Self { house, vault, session, ama, of_ama, of_ben }
    }

    /// Whether the chart of a vault that was opened is whole; otherwise it is erased, to the last record.
    fn is_whole(&self, session: &Session) -> bool {
        assert_eq!(session.get(self.of_ben).unwrap().value, note("stays"));
        let found = session.find_patient(&mrn("1")).unwrap();
        let read: Vec<_> = self.of_ama.iter().map(|id| session.get(*id)).collect();
        if read.iter().all(Result::is_ok) {
            assert_eq!(found, Some(self.ama));
            assert_eq!(session.list::<Note>(self.ama).page().unwrap().entries.len(), 2);
            return true;
        }
        assert_eq!(found, None);
        for refused in read {
            assert!(matches!(refused, Err(Error::Erased { .. })), "half a chart: {refused:?}");
        }
        assert!(matches!(session.chart(self.ama).page(), Err(Error::Erased { .. })));
        false
    }

    fn opened(&self, path: &Path) -> (Vault, Session) {
        let vault = self.house.open_at(path).unwrap();
        let session = self.house.session(&vault);
        (vault, session)
    }
}

/// Every write, sync, opening, renaming, removal and reading of an erasure fails for good, and the process ends there:
/// what is left opens with the chart whole or erased, finishes by itself what was begun, and goes on.
#[test]
fn an_erasure_that_breaks_off_anywhere_leaves_the_chart_whole_or_erased() {
    for op in [FileOp::Write, FileOp::Sync, FileOp::Open, FileOp::Rename, FileOp::Remove, FileOp::Read] {
        let (mut whole, mut erased) = (0, 0);
        for passing in 0.. {
            let ward = Ward::new();
            let order = if passing % 2 == 0 { order() } else { order().identity() };
            let fault = Fault::on(op, ErrorKind::Other).after(passing).for_good();
            let done = ward.vault.erase_patient(&ward.session, ward.ama, &order, &ward.house.key, &mut |_| ());
            let hits = fault.hits();
            let crashed = ward.house.dir.path().join("crashed");
            copy_dir(&ward.house.path(), &crashed);
            drop(fault);
            let (vault, session) = ward.opened(&crashed);
            let is_whole = ward.is_whole(&session);
            assert!(done.is_err() || !is_whole, "{op:?} {passing}: acknowledged, and there again");
            let ledger = vault.erasures().unwrap();
            assert_eq!(ledger.len(), usize::from(!is_whole), "{op:?} {passing}");
            assert!(ledger.iter().all(|erasure| erasure.finished.is_some()), "{op:?} {passing}: not finished");
            assert_eq!(vault.rotation().unwrap().wrap_epochs.len(), 1, "{op:?} {passing}");
            is_sound(&vault);
            verify(&session);
            if is_whole {
                whole += 1;
                erase(&vault, &ward.house, &session, ward.ama).unwrap();
                assert!(!ward.is_whole(&session));
            } else {
                erased += 1;
            }
            // It goes on: the person is registered anew, and closes and opens as ever.
            let again = session.register_patient([mrn("1")]).unwrap();
            session.put(again, &note("new")).unwrap();
            vault.close().unwrap();
            let (vault, session) = ward.opened(&crashed);
            assert_eq!(session.find_patient(&mrn("1")).unwrap(), Some(again));
            assert_eq!(vault.erasures().unwrap().len(), 1);
            if hits == 0 {
                break;
            }
        }
        assert!(erased > 0, "{op:?}: {whole} whole, {erased} erased");
    }
}

/// What is begun and not finished, by an erasure that could not change the header.
fn half_erased() -> Ward {
    let ward = Ward::new();
    let fault = Fault::on(FileOp::Open, ErrorKind::PermissionDenied);
    assert!(erase(&ward.vault, &ward.house, &ward.session, ward.ama).is_err());
    drop(fault);
    assert!(ward.vault.erasures().unwrap()[0].finished.is_none());
    ward
}

#[test]
fn an_unlock_that_breaks_off_anywhere_while_it_finishes_an_erasure_leaves_it_to_the_next() {
    for op in [FileOp::Write, FileOp::Sync, FileOp::Open, FileOp::Rename, FileOp::Remove] {
        let (mut unfinished, mut refused) = (0, 0);
        for passing in 0.. {
            let ward = half_erased();
            let [here, crashed] = ["here", "crashed"].map(|name| ward.house.dir.path().join(name));
            copy_dir(&ward.house.path(), &here);
            let fault = Fault::on(op, ErrorKind::Other).after(passing).for_good();
            let opened = ward.house.open_at(&here);
            let hits = fault.hits();
            copy_dir(&here, &crashed);
            let finished = |vault: &Vault| vault.erasures().unwrap()[0].finished.is_some();
            unfinished += u32::from(opened.as_ref().is_ok_and(|vault| !finished(vault)));
            refused += u32::from(opened.is_err());
            drop(fault);
            if let Ok(vault) = &opened {
                // What stopped the log would have to be the answer.
                ward.house.session(vault).register_patient([]).unwrap();
            }
            drop(opened);
            let (vault, session) = ward.opened(&crashed);
            assert!(!ward.is_whole(&session) && finished(&vault), "{op:?} {passing}");
            assert_eq!(vault.rotation().unwrap().wrap_epochs.len(), 1, "{op:?} {passing}");
            assert_eq!(vault.rotation().unwrap().versions, Some(1), "{op:?} {passing}");
            is_sound(&vault);
            if hits == 0 {
                break;
            }
        }
        // A disk that takes no write stops the log, and is the answer; a header that cannot be opened is not.
        match op {
            FileOp::Write | FileOp::Sync => assert!(refused > 0, "{op:?}: no unlock was refused"),
            FileOp::Open => assert!(unfinished > 0, "no vault opened with an erasure that could not be finished"),
            _ => {}
        }
    }
}

#[test]
fn a_replay_that_breaks_off_anywhere_leaves_each_chart_whole_or_erased_and_can_be_made_again() {
    for op in [FileOp::Write, FileOp::Sync, FileOp::Open] {
        for passing in 0.. {
            let ward = Ward::new();
            let late = ward.session.register_patient([mrn("3")]).unwrap();
            let of_late = ward.session.put(late, &note("late")).unwrap();
            ward.vault.checkpoint().unwrap();
            let [backup, crashed] = ["backup", "crashed"].map(|name| ward.house.dir.path().join(name));
            copy_dir(&ward.house.path(), &backup);
            for patient in [ward.ama, late] {
                erase(&ward.vault, &ward.house, &ward.session, patient).unwrap();
            }
            let ledger = ward.vault.export_erasures().unwrap();
            let (vault, _) = ward.opened(&backup);
            let fault = Fault::on(op, ErrorKind::Other).after(passing).for_good();
            let replayed = vault.replay_erasures(&ledger, &ward.house.key, &mut |_| ());
            let hits = fault.hits();
            copy_dir(&backup, &crashed);
            drop((vault, fault));
            let (vault, session) = ward.opened(&crashed);
            let whole = [ward.is_whole(&session), session.get(of_late).is_ok()];
            assert!(replayed.is_err() || whole == [false; 2], "{op:?} {passing}: acknowledged, and there again");
            assert!(vault.erasures().unwrap().iter().all(|erasure| erasure.finished.is_some()), "{op:?} {passing}");
            is_sound(&vault);
            let again = vault.replay_erasures(&ledger, &ward.house.key, &mut |_| ()).unwrap();
            let left = whole.into_iter().filter(|whole| *whole).count();
            assert_eq!((again.erased, again.known, again.absent), (left, 2 - left, 0), "{op:?} {passing}");
            assert!(!ward.is_whole(&session) && matches!(session.get(of_late), Err(Error::Erased { .. })));
            is_sound(&vault);
            verify(&session);
            if hits == 0 {
                break;
            }
        }
    }
}

#[test]
fn an_erasure_that_was_interrupted_is_finished_by_the_next_call_too() {
    let ward = Ward::new();
    // The first write is the commit that destroys the secret; the header's are the next but one.
    let fault = Fault::on(FileOp::Open, ErrorKind::PermissionDenied);
    let broken = erase(&ward.vault, &ward.house, &ward.session, ward.ama);
    assert_eq!(fault.hits(), 1);
    drop(fault);
    assert!(matches!(broken, Err(Error::Header(_))), "{broken:?}");
    assert!(!ward.is_whole(&ward.session), "the chart is gone from the first step on");
    assert!(ward.vault.erasures().unwrap()[0].finished.is_none());
    is_sound(&ward.vault);
    let again = erase(&ward.vault, &ward.house, &ward.session, ward.ama);
    assert!(matches!(again, Err(Error::Erased { .. })), "{again:?}");
    let wrong = RawKey::generate().unwrap();
    let refused = ward.vault.finish_erasures(&wrong, &mut |_| ());
    assert!(matches!(refused, Err(Error::Unlock(UnlockError::WrongCredential))), "{refused:?}");
    assert_eq!(ward.vault.finish_erasures(&ward.house.key, &mut |_| ()).unwrap(), 1);
    assert_eq!(ward.vault.finish_erasures(&ward.house.key, &mut |_| ()).unwrap(), 0);
    assert!(ward.vault.erasures().unwrap()[0].finished.is_some());
    is_sound(&ward.vault);
}

#[test]
fn a_backup_that_is_restored_is_erased_again_from_the_ledger() {
    let ward = Ward::new();
    ward.vault.close().unwrap();
    let backup = ward.house.dir.path().join("backup");
    copy_dir(&ward.house.path(), &backup);
    let (vault, session) = ward.opened(&ward.house.path());
    let late = session.register_patient([mrn("3")]).unwrap();
    erase(&vault, &ward.house, &session, ward.ama).unwrap();
    erase(&vault, &ward.house, &session, late).unwrap();
    let kept = vault.export_erasures().unwrap().as_bytes().to_vec();
    let of_here = vault.erasures().unwrap();
    vault.close().unwrap();

    let (vault, session) = ward.opened(&backup);
    assert!(ward.is_whole(&session), "a backup knows nothing of it");
    session.place_legal_hold(ward.ama, "of the time of the backup").unwrap();
    let ledger = ErasureLedger::from_bytes(&kept).unwrap();
    assert_eq!(ledger.vault().unwrap(), vault.id());
    let wrong = RawKey::generate().unwrap();
    let refused = vault.replay_erasures(&ledger, &wrong, &mut |_| ());
    assert!(matches!(refused, Err(Error::Unlock(UnlockError::WrongCredential))), "{refused:?}");
    assert!(ward.is_whole(&session));
    let replayed = vault.replay_erasures(&ledger, &ward.house.key, &mut |_| ()).unwrap();
    assert_eq!((replayed.erased, replayed.known, replayed.absent), (1, 0, 1));
    assert!(!ward.is_whole(&session));
    let replayed = vault.replay_erasures(&ledger, &ward.house.key, &mut |_| ()).unwrap();
    assert_eq!((replayed.erased, replayed.known, replayed.absent), (0, 2, 0));
    let of_there = vault.erasures().unwrap();
    for (here, there) in of_here.iter().zip(&of_there) {
        assert_eq!((here.patient_tag, here.begun, &here.reason), (there.patient_tag, there.begun, &there.reason));
        assert!(there.finished.is_some());
    }
    is_sound(&vault);
    let log = whole_log(&session);
    let said: Vec<_> = log.iter().filter(|entry| entry.event == AuditEvent::ErasureBegun).collect();
    assert_eq!(said.iter().map(|entry| entry.outcome).collect::<Vec<_>>(), {
        use Outcome::{Allowed, Denied};
        [Denied, Allowed, Allowed]
    });
    vault.close().unwrap();
    let (_vault, session) = ward.opened(&backup);
    assert!(!ward.is_whole(&session));
    verify(&session);
}

#[test]
fn every_bit_of_a_ledger_counts_and_every_cut_is_refused() {
    let ward = Ward::new();
    erase(&ward.vault, &ward.house, &ward.session, ward.ama).unwrap();
    let bytes = ward.vault.export_erasures().unwrap().as_bytes().to_vec();
    let take_in = |bytes: &[u8]| {
        let ledger = ErasureLedger::from_bytes(bytes)?;
        ward.vault.replay_erasures(&ledger, &ward.house.key, &mut |_| ()).map(drop)
    };
    take_in(&bytes).unwrap();
    for len in 0..bytes.len() {
        assert!(matches!(take_in(&bytes[..len]), Err(Error::Ledger(_))), "length {len}");
    }
    assert!(matches!(take_in(&[&bytes[..], &[0]].concat()), Err(Error::Ledger(LedgerError::DoesNotOpen))));
    // One bit of each byte, so that it takes no minute.
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(matches!(take_in(&flipped), Err(Error::Ledger(_))), "byte {at}");
    }
}

#[test]
fn others_read_and_write_while_a_patient_is_erased_and_nothing_of_the_patient_comes_after_the_answer() {
    let ward = Ward::new();
    let patients: Vec<PatientId> = (0..200).map(|_| ward.session.register_patient([]).unwrap()).collect();
    let (answered, done) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let mut workers = Vec::new();
        for worker in 0..2 {
            let (session, patients) = (ward.house.session(&ward.vault), &patients);
            let (ward, answered, done) = (&ward, &answered, &done);
            workers.push(scope.spawn(move || {
                let (mut read, mut refused) = (0, 0);
                for at in (worker..).step_by(7) {
                    if done.load(Ordering::SeqCst) {
                        break;
                    }
                    let before = answered.load(Ordering::SeqCst);
                    match session.get(ward.of_ama[at % 2]) {
                        Ok(_) => assert!(!before, "read after it was acknowledged"),
                        Err(Error::Erased { .. }) => refused += 1,
                        Err(error) => panic!("{error}"),
                    }
                    assert!(matches!(
                        session.list::<Note>(ward.ama).page().map(|page| page.entries.len()),
                        Ok(2) | Err(Error::Erased { .. })
                    ));
                    let id = session.put(patients[at % 200], &note("meanwhile")).unwrap();
                    assert_eq!(session.get(id).unwrap().value, note("meanwhile"));
                    let exported = session.export().start().unwrap().collect::<Result<Vec<_>, _>>().unwrap();
                    assert!(!exported.is_empty());
                    read += 1;
                }
                assert!(read > 0 && refused > 0, "{read} {refused}");
            }));
        }
        erase(&ward.vault, &ward.house, &ward.session, ward.ama).unwrap();
        answered.store(true, Ordering::SeqCst);
        is_sound(&ward.vault);
        done.store(true, Ordering::SeqCst);
    });
    assert!(!ward.is_whole(&ward.session));
    verify(&ward.session);
}

#[test]
fn a_salvaged_vault_has_nothing_of_who_was_erased() {
    let ward = Ward::new();
    erase(&ward.vault, &ward.house, &ward.session, ward.ama).unwrap();
    ward.vault.close().unwrap();
    let into = ward.house.dir.path().join("salvaged");
    let locked = Vault::open_with(ward.house.path(), ward.house.options()).unwrap();
    let report = locked.salvage(&ward.house.key, &into).unwrap();
    drop(locked);
    let (vault, session) = ward.opened(&into);
    assert!(!ward.is_whole(&session), "{report}");
    assert_eq!(vault.erasures().unwrap().len(), 1);
    is_sound(&vault);
}
