//! Keys of a vault in use, rotated: everything reads as before, others go on working, and wherever it breaks off, the vault
//! opens and goes on.

use crate::support;

use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use chartvault::test_util::{Fault, FileOp, Stored, TestVault};
use chartvault::*;
use support::{House, Note, copy_dir, note, verify, whole_log};

/// A clinic's day in a vault, and what must be read of it from then on.
struct Day {
    patients: Vec<PatientId>,
    notes: Vec<(RecordId<Note>, Vec<String>)>,
}

fn mrn(number: usize) -> Identifier {
    Identifier::new("urn:mrn:clinic-a", &format!("patient {number}")).unwrap()
}

impl Day {
    /// Some patients, records of them, and versions of some of these.
    fn spend(session: &Session, patients: usize, notes: usize) -> Self {
        let patients: Vec<_> = (0..patients).map(|at| session.register_patient([mrn(at)]).unwrap()).collect();
        let mut day = Self { patients, notes: Vec::new() };
        for (number, patient) in day.patients.iter().enumerate() {
            for at in 0..notes {
                let text = format!("patient {number}, note {at}: {}", "words ".repeat(at * 40));
                let id = session.put(*patient, &note(&text)).unwrap();
                let mut texts = vec![text];
                if at % 3 == 0 {
                    texts.push(format!("{number}-{at} amended"));
                    session.amend(id, Version::FIRST, &note(&texts[1])).unwrap();
                }
                day.notes.push((id, texts));
            }
        }
        day
    }

    fn versions(&self) -> u64 {
        self.notes.iter().map(|(_, texts)| texts.len() as u64).sum()
    }

    fn is_read(&self, session: &Session) {
        for (number, patient) in self.patients.iter().enumerate() {
            assert_eq!(session.find_patient(&mrn(number)).unwrap(), Some(*patient));
        }
        for (id, texts) in &self.notes {
            assert_eq!(session.get(*id).unwrap().value.text, *texts.last().unwrap());
            for (version, text) in (1..).zip(texts) {
                let version = Version::new(version).unwrap();
                assert_eq!(session.get_version(*id, version).unwrap().value.text, *text);
            }
        }
    }
}

fn is_sound(vault: &Vault) {
    let report = vault.check(CheckScope::All, &mut |_| ()).unwrap();
    assert!(report.is_sound(), "{report}");
}

/// What the log says of keys and headers.
fn said(session: &Session) -> Vec<(AuditEvent, Outcome, String)> {
    use AuditEvent::{HeaderWritten, KeyActivated, KeyAdded, KeyDropped, RootKeyChanged, RowsResealed, SuiteChanged};
    let of_keys = [HeaderWritten, KeyActivated, KeyAdded, KeyDropped, RootKeyChanged, RowsResealed, SuiteChanged];
    let entries = whole_log(session).into_iter().filter(|entry| of_keys.contains(&entry.event));
    entries.map(|entry| (entry.event, entry.outcome, entry.detail.unwrap_or_default())).collect()
}

#[test]
fn patients_keys_are_wrapped_under_a_new_key_and_the_old_one_goes() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let day = Day::spend(&session, 7, 3);
    let mut told = Vec::new();
    let rotated = vault.rotate_wrap_key(&house.key, &mut |progress| told.push(progress)).unwrap();
    // The facility chart has a key as well.
    assert_eq!((rotated.rewrapped, rotated.unreadable), (8, 0));
    assert_eq!(vault.rotation().unwrap().wrap_epochs, [2]);
    assert!(!vault.rotation().unwrap().is_under_way());
    assert!(told.iter().all(|progress| progress.task == Task::RewrapPatients && progress.total == Some(8)));
    day.is_read(&session);
    let later = Day { patients: vec![session.register_patient([]).unwrap()], notes: Vec::new() };
    let id = session.put(later.patients[0], &note("later")).unwrap();
    use {AuditEvent::*, Outcome::*};
    let expected = [
        (KeyAdded, Allowed, "wrap key 2; header 2"),
        (HeaderWritten, Allowed, "header 2"),
        (RowsResealed, Allowed, "the newest wrap key of the tree patients"),
        (KeyDropped, Allowed, "wrap keys before 2; header 3"),
        (HeaderWritten, Allowed, "header 3"),
    ];
    assert_eq!(said(&session), expected.map(|(event, outcome, detail)| (event, outcome, detail.to_owned())));
    is_sound(&vault);
    drop(session);
    vault.close().unwrap();
    let vault = house.open();
    let session = house.session(&vault);
    day.is_read(&session);
    assert_eq!(session.get(id).unwrap().value.text, "later");
    verify(&session);
}

/// What a rotation does, and whether it is through.
type Rotate = fn(&Vault, &House) -> Result<Rotated, Error>;

/// Every sort of file operation fails from the nth on, and the process ends there. What is left opens, reads as before, and
/// the rotation can be made.
fn breaks_off_anywhere(rotate: Rotate, step: u32) {
    for op in [FileOp::Open, FileOp::Write, FileOp::Sync] {
        let mut unfinished = 0;
        for passing in (0..).step_by(step as usize) {
            let (house, vault) = House::create();
            let session = house.session(&vault);
            let day = Day::spend(&session, 3, 2);
            let fault = Fault::on(op, ErrorKind::Other).after(passing).for_good();
            let rotated = rotate(&vault, &house);
            let hits = fault.hits();
            let crashed = house.dir.path().join("crashed");
            copy_dir(&house.path(), &crashed);
            drop(fault);
            drop((session, vault));
            let again = goes_on(&house, &crashed, &day, rotate);
            unfinished += u32::from(again);
            assert!(rotated.is_err() || !again, "{op:?} {passing}: it was acknowledged and is not done");
            if hits == 0 {
                assert!(rotated.is_ok());
                break;
            }
        }
        assert!(unfinished > 0 || op == FileOp::Open, "{op:?}");
    }
}

/// Whether a rotation was under way. It is ended, or made once more.
fn goes_on(house: &House, path: &Path, day: &Day, rotate: Rotate) -> bool {
    let vault = house.open_at(path).unwrap();
    let session = house.session(&vault);
    day.is_read(&session);
    let under_way = vault.rotation().unwrap().is_under_way();
    let id = session.put(day.patients[0], &note("after the crash")).unwrap();
    rotate(&vault, house).unwrap();
    assert!(!vault.rotation().unwrap().is_under_way());
    day.is_read(&session);
    assert_eq!(session.get(id).unwrap().value.text, "after the crash");
    verify(&session);
    drop(session);
    vault.close().unwrap();
    let vault = house.open_at(path).unwrap();
    day.is_read(&house.session(&vault));
    is_sound(&vault);
    under_way
}

#[test]
fn a_new_wrap_key_that_breaks_off_anywhere_leaves_a_vault_that_goes_on() {
    breaks_off_anywhere(|vault, house| vault.rotate_wrap_key(&house.key, &mut |_| ()), 1);
}

#[test]
fn a_new_data_key_that_breaks_off_anywhere_leaves_a_vault_that_goes_on() {
    breaks_off_anywhere(|vault, house| vault.rotate_data_key(&house.key, &mut |_| ()), 1);
}

#[test]
fn a_new_key_of_the_log_that_breaks_off_anywhere_leaves_a_vault_that_goes_on() {
    breaks_off_anywhere(|vault, house| vault.rotate_audit_key(&house.key).map(|_| Rotated::default()), 1);
}

#[test]
fn another_suite_that_breaks_off_anywhere_leaves_a_vault_that_goes_on() {
    // What an interrupted call has begun is ended by the next one, whichever suite that asks for.
    let change = |vault: &Vault, house: &House| {
        vault.continue_rotation(&house.key, &mut |_| ())?;
        let other = if vault.suite() == Suite::Aes256Gcm { Suite::ChaCha20Poly1305 } else { Suite::Aes256Gcm };
        vault.change_suite(other, &house.key, &mut |_| ())
    };
    breaks_off_anywhere(change, 2);
}

#[test]
fn records_are_sealed_under_a_new_data_key_and_the_old_one_goes() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let day = Day::spend(&session, 5, 4);
    let before = vault.rotation().unwrap();
    assert_eq!((before.data_epoch, &before.data_epochs[..], before.is_under_way()), (1, &[1][..], false));
    let begun = vault.begin_data_rotation(&house.key).unwrap();
    assert_eq!((begun.data_epoch, &begun.data_epochs[..], begun.passed), (2, &[1, 2][..], 0));
    assert!(begun.is_under_way() && begun.versions == Some(day.versions()));
    // Under the new key already.
    let between = session.put(day.patients[0], &note("between")).unwrap();
    day.is_read(&session);
    let mut tasks = Vec::new();
    let rotated = vault.continue_rotation(&house.key, &mut |progress| tasks.push(progress.task)).unwrap();
    assert_eq!((rotated.resealed, rotated.rewrapped, rotated.unreadable), (day.versions(), 0, 0));
    assert!(tasks.contains(&Task::ResealRecords) && tasks.contains(&Task::CountResealed));
    let after = vault.rotation().unwrap();
    assert_eq!((after.data_epoch, &after.data_epochs[..], after.is_under_way()), (2, &[2][..], false));
    day.is_read(&session);
    assert_eq!(session.get(between).unwrap().value.text, "between");
    use {AuditEvent::*, Outcome::*};
    let expected = [
        (KeyAdded, Allowed, "data key 2; header 2"),
        (HeaderWritten, Allowed, "header 2"),
        (KeyActivated, Allowed, "data key 2"),
        (RowsResealed, Allowed, "the data key in force of the tree records"),
        (KeyDropped, Allowed, "data keys before 2; header 3"),
        (HeaderWritten, Allowed, "header 3"),
    ];
    assert_eq!(said(&session), expected.map(|(event, outcome, detail)| (event, outcome, detail.to_owned())));
    let resealed = whole_log(&session).into_iter().find(|entry| entry.event == RowsResealed).unwrap();
    assert_eq!((resealed.count, resealed.subjects.len()), (Some(day.versions() as u32), 0));
    is_sound(&vault);
    assert_eq!(vault.continue_rotation(&house.key, &mut |_| ()).unwrap(), Rotated::default());
    drop(session);
    vault.close().unwrap();
    let vault = house.open();
    day.is_read(&house.session(&vault));
    assert_eq!(vault.rotation().unwrap().data_epochs, [2]);
    verify(&house.session(&vault));
}

#[test]
fn a_rotation_that_was_begun_is_ended_after_the_vault_was_opened_again() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let day = Day::spend(&session, 3, 3);
    vault.begin_data_rotation(&house.key).unwrap();
    let id = session.put(day.patients[1], &note("under the new key")).unwrap();
    drop((session, vault));
    let vault = house.open();
    let session = house.session(&vault);
    day.is_read(&session);
    assert_eq!(session.get(id).unwrap().value.text, "under the new key");
    // Begun once more, before the first is through.
    assert_eq!(vault.begin_data_rotation(&house.key).unwrap().data_epochs, [1, 2, 3]);
    let rotated = vault.continue_rotation(&house.key, &mut |_| ()).unwrap();
    assert_eq!(rotated.resealed, day.versions() + 1);
    assert_eq!(vault.rotation().unwrap().data_epochs, [3]);
    day.is_read(&session);
    is_sound(&vault);
}

#[test]
fn a_credential_that_does_not_open_the_vault_rotates_nothing_and_is_logged() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let (wrong, before) = (RawKey::generate().unwrap(), vault.rotation().unwrap());
    let none = &mut |_: Progress| ();
    let suite = if vault.suite() == Suite::Aes256Gcm { Suite::ChaCha20Poly1305 } else { Suite::Aes256Gcm };
    let refused = [
        vault.rotate_data_key(&wrong, none).map(drop),
        vault.rotate_wrap_key(&wrong, none).map(drop),
        vault.continue_rotation(&wrong, none).map(drop),
        vault.rotate_audit_key(&wrong).map(drop),
        vault.change_suite(suite, &wrong, none).map(drop),
        vault.rotate_root_key(&[(&wrong).into()]).map(drop),
        vault.rotate_root_key(&[(&house.key).into(), (&wrong).into()]).map(drop),
    ];
    for refused in refused {
        assert!(matches!(refused, Err(Error::Unlock(UnlockError::WrongCredential))), "{refused:?}");
    }
    let refused = vault.rotate_root_key(&[]);
    assert!(matches!(refused, Err(Error::NoCredential)), "{refused:?}");
    assert_eq!((vault.rotation().unwrap(), vault.slots().unwrap().len()), (before, 2));
    use AuditEvent::{KeyAdded, RootKeyChanged, RowsResealed, SuiteChanged};
    let events = [KeyAdded, KeyAdded, RowsResealed, KeyAdded, SuiteChanged, RootKeyChanged, RootKeyChanged];
    let said: Vec<_> = said(&session).into_iter().map(|(event, outcome, _)| (event, outcome)).collect();
    assert_eq!(said, events.map(|event| (event, Outcome::Denied)));
}

#[test]
fn another_suite_seals_everything_anew() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let day = Day::spend(&session, 4, 3);
    let (before, after) = match vault.suite() {
        Suite::Aes256Gcm => (Suite::Aes256Gcm, Suite::ChaCha20Poly1305),
        other => (other, Suite::Aes256Gcm),
    };
    assert_eq!(vault.change_suite(before, &house.key, &mut |_| ()).unwrap(), Rotated::default());
    let rotated = vault.change_suite(after, &house.key, &mut |_| ()).unwrap();
    assert_eq!((rotated.resealed, rotated.rewrapped, rotated.unreadable), (day.versions(), 5, 0));
    // Four identifiers; the issuer, a kind, the session's grant and its use, the signing epoch. The data key in force is new.
    assert_eq!(rotated.others, 4 + 5);
    assert_eq!(vault.suite(), after);
    day.is_read(&session);
    is_sound(&vault);
    drop(session);
    vault.close().unwrap();
    assert_eq!(vault.suite(), after);
    let vault = house.open();
    assert_eq!(vault.suite(), after);
    let session = house.session(&vault);
    day.is_read(&session);
    verify(&session);
    // Slots are changed, and the vault is opened, as before.
    vault.replace_slot(1, NewSlot::of(&RawKey::generate().unwrap()), &house.key).unwrap();
    assert_eq!(vault.change_suite(before, &house.key, &mut |_| ()).unwrap().resealed, day.versions());
    day.is_read(&session);
}

#[test]
fn a_new_root_key_keeps_the_slots_whose_credentials_are_shown_and_names_the_others() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let day = Day::spend(&session, 3, 3);
    let [night, leaving] = ["night shift", "who leaves"].map(Passphrase::new);
    let new = |pass, label| NewSlot::of(pass).kdf(PassphraseCost::MINIMUM).label(label);
    vault.add_slot(new(&night, "night desk"), &house.key).unwrap();
    vault.add_slot(new(&leaving, "dr.mertens"), &house.key).unwrap();
    let before = vault.slots().unwrap();
    let old = ["header.a", "header.b"].map(|name| std::fs::read(house.path().join(name)).unwrap());
    let answer = vault.rotate_root_key(&[(&night).into(), (&house.key).into()]).unwrap();
    assert_eq!((&answer.kept[..], answer.dropped.len()), (&[0, 2][..], 2));
    let dropped: Vec<_> = answer.dropped.iter().map(|slot| (slot.number, slot.label.as_str())).collect();
    assert_eq!(dropped, [(1, "recovery key"), (3, "dr.mertens")]);
    // Those that stay are as they were.
    assert_eq!(vault.slots().unwrap(), [before[0].clone(), before[2].clone()]);
    let now = vault.rotation().unwrap();
    assert_eq!((now.data_epoch, &now.wrap_epochs[..]), (2, &[1, 2][..]));
    let id = session.put(day.patients[0], &note("since then")).unwrap();
    let rotated = vault.continue_rotation(&night, &mut |_| ()).unwrap();
    assert_eq!((rotated.resealed, rotated.rewrapped), (day.versions(), 4));
    day.is_read(&session);
    let expected = "slots dropped: 1, 3; header 4";
    assert!(said(&session).iter().any(|(event, _, detail)| *event == AuditEvent::RootKeyChanged && detail == expected));
    drop(session);
    vault.close().unwrap();
    let locked = || Vault::open_with(house.path(), house.options()).unwrap();
    let refused = locked().unlock(&leaving).map(drop);
    assert!(matches!(refused, Err(Error::Unlock(UnlockError::WrongCredential))), "{refused:?}");
    for credential in [Credential::from(&night), (&house.key).into()] {
        let vault = locked().unlock(credential).unwrap();
        let session = house.session(&vault);
        day.is_read(&session);
        assert_eq!(session.get(id).unwrap().value.text, "since then");
        verify(&session);
        drop(session);
        vault.close().unwrap();
    }
    // Put back, the header of then is refused.
    for (name, bytes) in ["header.a", "header.b"].iter().zip(old) {
        std::fs::write(house.path().join(name), bytes).unwrap();
    }
    let refused = locked().unlock(&leaving).map(drop);
    assert!(matches!(refused, Err(Error::Storage(StorageError::HeaderRolledBack { .. }))), "{refused:?}");
}

/// Keeps a key, and does something each time that it is asked for it.
struct Meanwhile<F>(std::sync::Mutex<Option<[u8; 32]>>, F);

impl<F: Fn() + Send + Sync> KeyProvider for Meanwhile<F> {
    fn name(&self) -> &str {
        "meanwhile"
    }

    fn wrap(&self, _: &KeyContext, key: &[u8; 32]) -> Result<Vec<u8>, ProviderError> {
        *self.0.lock().unwrap() = Some(*key);
        Ok(b"ticket".to_vec())
    }

    fn unwrap(&self, _: &KeyContext, _: &[u8]) -> Result<RawKey, ProviderError> {
        (self.1)();
        self.0.lock().unwrap().map(RawKey::from_bytes).ok_or(ProviderError::Refused)
    }
}

#[test]
fn a_credential_whose_slot_is_replaced_while_others_are_tried_keeps_no_slot_of_a_new_root_key() {
    let (house, vault) = House::create();
    let [leaving, new] = [RawKey::generate().unwrap(), RawKey::generate().unwrap()];
    let number = vault.add_slot(NewSlot::of(&leaving).label("desk"), &house.key).unwrap();
    let armed = AtomicBool::new(false);
    let provider = Meanwhile(std::sync::Mutex::default(), || {
        if armed.swap(false, Ordering::Relaxed) {
            vault.replace_slot(number, NewSlot::of(&new), &house.key).unwrap();
        }
    });
    vault.add_slot(NewSlot::of(Credential::provider(&provider)), &house.key).unwrap();
    armed.store(true, Ordering::Relaxed);
    let shown = [(&house.key).into(), (&leaving).into(), Credential::provider(&provider)];
    let refused = vault.rotate_root_key(&shown);
    assert!(matches!(refused, Err(Error::Unlock(UnlockError::WrongCredential))), "{refused:?}");
    assert!(!armed.load(Ordering::Relaxed));
    vault.close().unwrap();
    let locked = Vault::open_with(house.path(), house.options()).unwrap();
    let refused = locked.unlock(&leaving).map(drop);
    assert!(matches!(refused, Err(Error::Unlock(UnlockError::WrongCredential))), "{refused:?}");
    locked.unlock(&new).unwrap();
}

#[test]
fn a_new_root_key_that_breaks_off_anywhere_leaves_the_old_one_or_the_new_one() {
    breaks_off_anywhere(
        |vault, house| {
            vault.rotate_root_key(&[(&house.key).into()])?;
            vault.continue_rotation(&house.key, &mut |_| ())
        },
        1,
    );
}

/// What a writer or reader does at most, so that the log stays short.
const MOST: usize = 200;

#[test]
fn two_persons_keep_their_slot_in_whichever_order_they_come() {
    let (house, vault) = House::create();
    let (chief, safe) = (Passphrase::new("the chief's"), RawKey::generate().unwrap());
    let (both, turned) = (TwoPersons::new(&chief, &safe), TwoPersons::new(&safe, &chief));
    let new = NewSlot::of(&both).label("board").partners("chief", "safe").kdf(PassphraseCost::MINIMUM);
    vault.add_slot(new, &house.key).unwrap();
    let partners = |vault: &Vault| {
        let slot = vault.slots().unwrap().into_iter().find(|slot| slot.number == 2).unwrap();
        let mut named: Vec<_> = slot.partners.into_iter().map(|one| (one.label, one.kind, one.kdf)).collect();
        named.sort_by(|one, other| one.0.cmp(&other.0));
        named
    };
    let before = partners(&vault);
    for shown in [&turned, &both] {
        let answer = vault.rotate_root_key(&[shown.into(), (&house.key).into()]).unwrap();
        assert_eq!(answer.kept, [0, 2]);
        assert_eq!(partners(&vault), before);
    }
    // They do not open it by themselves, as somebody must.
    let refused = vault.rotate_root_key(&[(&turned).into()]);
    assert!(matches!(refused, Err(Error::LastSlot { slot: 2 })), "{refused:?}");
    assert_eq!(vault.slots().unwrap().len(), 2);
    vault.close().unwrap();
    Vault::open_with(house.path(), house.options()).unwrap().unlock(&both).unwrap();
}

#[test]
fn a_data_key_that_the_header_has_and_no_frame_put_in_force_does_not_seal_and_is_used_next() {
    let waits = (0..).find_map(|passing| {
        let (house, vault) = House::create();
        let session = house.session(&vault);
        let day = Day::spend(&session, 2, 2);
        let fault = Fault::on(FileOp::Write, ErrorKind::Other).after(passing).for_good();
        let begun = vault.begin_data_rotation(&house.key);
        drop(fault);
        assert!(begun.is_err(), "no write left a header with a key that waits");
        drop((session, vault));
        let vault = house.open();
        let now = vault.rotation().unwrap();
        (now.data_epochs == [1, 2] && now.data_epoch == 1).then_some((house, vault, day))
    });
    let (house, vault, day) = waits.unwrap();
    let session = house.session(&vault);
    let id = session.put(day.patients[0], &note("under the old one")).unwrap();
    let wrong = vault.begin_data_rotation(&RawKey::generate().unwrap());
    assert!(matches!(wrong, Err(Error::Unlock(UnlockError::WrongCredential))), "{wrong:?}");
    assert_eq!(vault.rotation().unwrap().data_epoch, 1);
    let begun = vault.begin_data_rotation(&house.key).unwrap();
    assert_eq!((begun.data_epoch, &begun.data_epochs[..]), (2, &[1, 2][..]));
    assert_eq!(vault.continue_rotation(&house.key, &mut |_| ()).unwrap().resealed, day.versions() + 1);
    assert_eq!(session.get(id).unwrap().value.text, "under the old one");
    day.is_read(&session);
}

#[test]
fn a_rotation_that_broke_off_goes_on_where_it_was() {
    const RECORDS: u64 = 1_700;
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patients: Vec<_> = (0..5).map(|_| session.register_patient([]).unwrap()).collect();
    let mut ids = Vec::new();
    for patient in &patients {
        let mut batch = session.batch();
        (0..RECORDS / 5).for_each(|at| batch.put(*patient, &note(&at.to_string()), PutOptions::new()).unwrap());
        ids.extend(batch.commit().unwrap());
    }
    vault.begin_data_rotation(&house.key).unwrap();
    // Two batches, and the vault stops.
    let mut fault = None;
    let mut seen = 0;
    let broken = vault.continue_rotation(&house.key, &mut |_| {
        seen += 1;
        if seen == 2 {
            fault = Some(Fault::on(FileOp::Sync, ErrorKind::Other).for_good());
        }
    });
    assert!(matches!(broken, Err(Error::OutcomeUnknown(_) | Error::NotCommitted(_))), "{broken:?}");
    drop(fault);
    drop((session, vault));
    let vault = house.open();
    let session = house.session(&vault);
    let passed = vault.rotation().unwrap().passed;
    // Whether the one that failed is there is not known.
    assert!([500, 1_000, 1_500].contains(&passed), "{passed}");
    let mut first = None;
    let rotated = vault.continue_rotation(&house.key, &mut |progress| {
        first.get_or_insert(progress);
    });
    let first = first.unwrap();
    assert_eq!((rotated.unwrap().resealed, first.total), (RECORDS - passed, Some(RECORDS - passed)));
    assert_eq!(vault.rotation().unwrap().data_epochs, [2]);
    for (at, id) in ids.iter().enumerate() {
        let id = RecordId::<Note>::try_from(*id).unwrap();
        assert_eq!(session.get(id).unwrap().value.text, (at as u64 % (RECORDS / 5)).to_string());
    }
    verify(&session);
    is_sound(&vault);
}

#[test]
fn a_vault_is_salvaged_in_the_middle_of_a_rotation() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let day = Day::spend(&session, 3, 3);
    vault.begin_data_rotation(&house.key).unwrap();
    let id = session.put(day.patients[0], &note("under the new key")).unwrap();
    drop(session);
    vault.close().unwrap();
    let into = house.dir.path().join("salvaged");
    let report = Vault::open_with(house.path(), house.options()).unwrap().salvage(&house.key, &into).unwrap();
    assert!(report.doubt.is_none(), "{report}");
    let vault = house.open_at(&into).unwrap();
    let session = house.session(&vault);
    day.is_read(&session);
    assert_eq!((vault.rotation().unwrap().data_epoch, vault.rotation().unwrap().data_epochs), (2, vec![1, 2]));
    assert_eq!(vault.continue_rotation(&house.key, &mut |_| ()).unwrap().resealed, day.versions());
    day.is_read(&session);
    assert_eq!(session.get(id).unwrap().value.text, "under the new key");
    is_sound(&vault);
}

/// A vault of two patients in memory, where rows can be changed behind its back.
#[test]
fn rows_that_do_not_open_keep_the_old_keys_and_are_counted() {
    let clinic = TestVault::new().options(Options::new().record_cache(0)).build().unwrap();
    let session = clinic.physician().unwrap();
    let [ama, kofi] = [(); 2].map(|()| session.register_patient([]).unwrap());
    let [lost, other] = [ama, kofi].map(|patient| session.put(patient, &note("as it was")).unwrap());
    let flip = |stored, which| {
        clinic.store().unwrap().tamper(stored, |at, bytes| {
            bytes[40] ^= u8::from(at == which);
            true
        });
    };
    let mut rows = Vec::new();
    clinic.store().unwrap().tamper(Stored::Records, |_, bytes| {
        rows.push(bytes.clone());
        true
    });
    flip(Stored::Records, 0);
    let (vault, key) = (clinic.vault(), clinic.key());
    let rotated = vault.rotate_data_key(key, &mut |_| ()).unwrap();
    assert_eq!((rotated.resealed, rotated.unreadable), (1, 1));
    let now = vault.rotation().unwrap();
    assert_eq!((now.data_epoch, &now.data_epochs[..], now.is_under_way()), (2, &[1, 2][..], true));
    let said = rotated.to_string();
    assert!(said.contains("1 rows do not open, so old keys stay"), "{said}");
    // Mended, it is sealed anew like the others.
    flip(Stored::Records, 0);
    let rotated = vault.continue_rotation(key, &mut |_| ()).unwrap();
    assert_eq!((rotated.resealed, rotated.unreadable), (1, 0));
    assert_eq!(vault.rotation().unwrap().data_epochs, [2]);
    for id in [lost, other] {
        assert_eq!(session.get(id).unwrap().value.text, "as it was");
    }
    // The same with a patient's key. What is deleted from the keyring opens nothing that was kept.
    flip(Stored::Patients, 0);
    let rotated = vault.rotate_wrap_key(key, &mut |_| ()).unwrap();
    assert_eq!((rotated.rewrapped, rotated.unreadable, vault.rotation().unwrap().wrap_epochs), (2, 1, vec![1, 2]));
    flip(Stored::Patients, 0);
    assert_eq!(vault.continue_rotation(key, &mut |_| ()).unwrap().rewrapped, 1);
    assert_eq!(vault.rotation().unwrap().wrap_epochs, [2]);
    let mut old = rows.into_iter();
    clinic.store().unwrap().tamper(Stored::Records, |_, bytes| {
        *bytes = old.next().unwrap();
        true
    });
    for id in [lost, other] {
        let refused = session.get(id);
        assert!(matches!(refused, Err(Error::Tampered { .. })), "{refused:?}");
    }
}

/// Two write, two read, one rotates everything there is to rotate: nobody meets an error or a wrong value, and nothing is
/// lost.
#[test]
fn charts_are_read_and_written_while_keys_are_rotated() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let day = Day::spend(&session, 6, 6);
    let done = AtomicBool::new(false);
    let written: Vec<(RecordId<Note>, String)> = thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let (session, day, done) = (house.session(&vault), &day, &done);
                scope.spawn(move || {
                    let mut written = Vec::new();
                    for at in 0..MOST {
                        if done.load(Ordering::Relaxed) {
                            break;
                        }
                        let patient = day.patients[at % day.patients.len()];
                        let id = session.put(patient, &note(&format!("{writer}, {at}"))).unwrap();
                        let text = format!("{writer}, {at}, amended");
                        session.amend(id, Version::FIRST, &note(&text)).unwrap();
                        session.register_patient([]).unwrap();
                        written.push((id, text));
                    }
                    written
                })
            })
            .collect();
        for _ in 0..2 {
            let (session, day, done) = (house.session(&vault), &day, &done);
            scope.spawn(move || {
                for _ in (0..MOST).take_while(|_| !done.load(Ordering::Relaxed)) {
                    day.is_read(&session);
                }
            });
        }
        let ended = Ended(&done);
        for turn in 0..2 {
            vault.rotate_data_key(&house.key, &mut |_| ()).unwrap();
            vault.rotate_wrap_key(&house.key, &mut |_| ()).unwrap();
            vault.rotate_audit_key(&house.key).unwrap();
            let suite = if turn % 2 == 0 { Suite::ChaCha20Poly1305 } else { Suite::Aes256Gcm };
            vault.change_suite(suite, &house.key, &mut |_| ()).unwrap();
        }
        drop(ended);
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    assert!(!written.is_empty() && !vault.rotation().unwrap().is_under_way());
    let check = |vault: &Vault| {
        let session = house.session(vault);
        day.is_read(&session);
        for (id, text) in &written {
            assert_eq!(session.get(*id).unwrap().value.text, *text);
        }
        verify(&session);
    };
    check(&vault);
    is_sound(&vault);
    drop(session);
    vault.close().unwrap();
    check(&house.open());
}

/// Lets the others end, also in a panic.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
