//! Key slots of an open vault: added, removed and replaced while others work, in the log, and whole after every crash.

use crate::support;

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use chartvault::test_util::{Fault, FileOp, Resource, without};
use chartvault::*;
use support::{House, copy_dir, files_in, note, verify, whole_log};

const CHEAP: PassphraseCost = PassphraseCost::MINIMUM;

fn opens<'c>(house: &House, path: &Path, credential: impl Into<Credential<'c>>) -> bool {
    let unlocked = Vault::open_with(path, house.options()).unwrap().unlock(credential);
    match unlocked {
        Ok(vault) => vault.close().is_ok(),
        Err(Error::Unlock(UnlockError::WrongCredential | UnlockError::NoSuchSlotKind { .. })) => false,
        Err(error) => panic!("{error}"),
    }
}

fn labels(vault: &Vault) -> Vec<(u8, String)> {
    vault.slots().unwrap().into_iter().map(|slot| (slot.number, slot.label)).collect()
}

/// What the log says of slots and headers.
fn said(vault: &Vault, house: &House) -> Vec<(AuditEvent, Outcome, String)> {
    let log = whole_log(&house.session(vault));
    let about = |event| (AuditEvent::SlotAdded.code()..=AuditEvent::HeaderWritten.code()).contains(&event);
    let entries = log.into_iter().filter(|entry| about(entry.event.code()));
    entries.map(|entry| (entry.event, entry.outcome, entry.detail.unwrap_or_default())).collect()
}

#[test]
fn slots_are_added_replaced_and_removed_and_each_opens_as_long_as_it_is_there() {
    let (house, vault) = House::create();
    let (night, day) = (Passphrase::new("night shift"), RawKey::generate().unwrap());
    let added = vault.add_slot(NewSlot::of(&night).label("night desk").kdf(CHEAP), &house.key).unwrap();
    assert_eq!(added, 2);
    let expected = [(0, "raw key"), (1, "recovery key"), (2, "night desk")].map(|(n, l)| (n, l.to_owned()));
    assert_eq!(labels(&vault), expected);
    let slot = vault.slots().unwrap().pop().unwrap();
    assert_eq!((slot.kind, slot.kdf), (SlotKind::Passphrase, Some(KdfParameters::Argon2id(CHEAP))));
    assert_eq!(slot.created, house.clock.now());
    vault.close().unwrap();
    assert!(opens(&house, &house.path(), &night) && opens(&house, &house.path(), &house.key));

    // Another kind under the same number and label; the credential that is replaced may be the one shown.
    let vault = house.open();
    vault.replace_slot(2, NewSlot::of(&day), &night).unwrap();
    assert_eq!(labels(&vault), expected);
    assert_eq!(vault.slots().unwrap()[2].kind, SlotKind::RawKey);
    vault.close().unwrap();
    assert!(!opens(&house, &house.path(), &night) && opens(&house, &house.path(), &day));

    let vault = house.open();
    vault.remove_slot(2, &day).unwrap();
    assert_eq!(labels(&vault), expected[..2]);
    vault.close().unwrap();
    assert!(!opens(&house, &house.path(), &day) && opens(&house, &house.path(), &house.key));
    verify(&house.session(&house.open()));
}

#[test]
fn a_key_file_opens_the_vault_that_it_was_made_for() {
    let (house, vault) = House::create();
    let stick = house.dir.path().join("clinic.key");
    let key_file = KeyFile::create(&stick, vault.id()).unwrap();
    vault.add_slot(NewSlot::of(&key_file).label("stick"), &house.key).unwrap();
    assert_eq!(vault.slots().unwrap()[2].kind, SlotKind::KeyFile);
    vault.close().unwrap();
    assert!(opens(&house, &house.path(), &KeyFile::read(&stick).unwrap()));
    let (other, theirs) = House::create();
    theirs.close().unwrap();
    let locked = Vault::open_with(other.path(), other.options()).unwrap();
    let refused = locked.unlock(&KeyFile::read(&stick).unwrap()).map(drop);
    assert!(
        matches!(refused, Err(Error::Unlock(UnlockError::NoSuchSlotKind { kind: SlotKind::KeyFile }))),
        "{refused:?}"
    );
}

#[test]
fn any_two_of_three_shares_open_the_vault_and_one_does_not() {
    let (house, vault) = House::create();
    let (shared, shares) = SharedKey::split(2, 3).unwrap();
    vault.add_slot(NewSlot::of(&shared).label("board"), &house.key).unwrap();
    let slot = vault.slots().unwrap().pop().unwrap();
    let group = slot.shares.unwrap();
    assert_eq!((slot.kind, group.set, group.needed, group.of), (SlotKind::SharedKey, shared.set(), 2, 3));
    // A shared key may be the last that is left.
    vault.remove_slot(0, &shared).unwrap();
    vault.remove_slot(1, &shared).unwrap();
    let refused = vault.remove_slot(2, &shared);
    assert!(matches!(refused, Err(Error::LastSlot { slot: 2 })), "{refused:?}");
    vault.close().unwrap();
    let papers: Vec<String> = shares.iter().map(|share| share.expose_text().to_lowercase()).collect();
    for pair in [[0, 1], [2, 0], [1, 2]] {
        let typed = pair.map(|at| papers[at].parse::<Share>().unwrap());
        assert!(opens(&house, &house.path(), &SharedKey::combine(&typed).unwrap()));
    }
    let few = SharedKey::combine([&papers[1].parse().unwrap()]);
    assert!(matches!(few, Err(ShareError::TooFew { found: 1, needed: 2 })), "{few:?}");
}

#[test]
fn who_comes_alone_is_told_who_is_missing_and_nothing_else() {
    let (house, vault) = House::create();
    let [chief, deputy, wrong] = ["chief's", "deputy's", "nobody's"].map(Passphrase::new);
    let safe = RawKey::generate().unwrap();
    let (pair, mixed) = (TwoPersons::new(&chief, &deputy), TwoPersons::new(&chief, &safe));
    let new = NewSlot::of(&pair).label("archive").partners("chief", "deputy").kdf(CHEAP);
    vault.add_slot(new, &house.key).unwrap();
    let slot = vault.slots().unwrap().pop().unwrap();
    let partners: Vec<_> = slot.partners.iter().map(|partner| (&*partner.label, partner.kind, partner.kdf)).collect();
    let cheap = Some(KdfParameters::Argon2id(CHEAP));
    assert_eq!((slot.kind, slot.kdf), (SlotKind::TwoPersons, None));
    assert_eq!(partners, [("chief", SlotKind::Passphrase, cheap), ("deputy", SlotKind::Passphrase, cheap)]);
    // A slot for two is never the last.
    vault.remove_slot(1, &pair).unwrap();
    let refused = vault.remove_slot(0, &pair);
    assert!(matches!(refused, Err(Error::LastSlot { slot: 0 })), "{refused:?}");
    let refused = vault.replace_slot(0, NewSlot::of(&mixed).partners("chief", "safe").kdf(CHEAP), &house.key);
    assert!(matches!(refused, Err(Error::LastSlot { slot: 0 })), "{refused:?}");
    vault.close().unwrap();
    let locked = Vault::open_with(house.path(), house.options()).unwrap();
    // The right passphrase and a wrong one get the same answer: neither was tried.
    for alone in [&chief, &deputy, &wrong] {
        let refused = locked.unlock(alone).map(drop);
        let Err(Error::NeedsPartner { slot: 2, label, partners }) = &refused else { panic!("{refused:?}") };
        assert_eq!((label.as_str(), partners.join(" ")), ("archive", "chief deputy".to_owned()));
    }
    let vault = locked.unlock(&TwoPersons::new(&deputy, &chief)).unwrap();
    vault.replace_slot(2, NewSlot::of(&mixed).partners("chief", "safe").kdf(CHEAP), &pair).unwrap();
    assert_eq!(vault.slots().unwrap()[1].label, "archive");
    vault.close().unwrap();
    let refused = locked.unlock(&chief).map(drop);
    assert!(matches!(&refused, Err(Error::NeedsPartner { partners, .. }) if *partners == ["safe"]), "{refused:?}");
    // This one was tried where raw keys open by themselves, so it counts as a failed attempt.
    let refused = locked.unlock(&safe).map(drop);
    assert!(matches!(&refused, Err(Error::NeedsPartner { partners, .. }) if *partners == ["chief"]), "{refused:?}");
    let vault = locked.unlock(&mixed).unwrap();
    let log = whole_log(&house.session(&vault));
    let failed: Vec<_> = log.iter().filter(|entry| entry.event == AuditEvent::UnlockFailed).collect();
    assert_eq!(failed.iter().map(|entry| entry.count).collect::<Vec<_>>(), [Some(1)]);
}

fn unlock_upgrading(house: &House, pass: &Passphrase, to: impl Into<KdfParameters>) -> Vault {
    let locked = Vault::open_with(house.path(), house.options()).unwrap();
    locked.unlocking().upgrade_kdf(to).unlock(pass).unwrap()
}

#[test]
fn a_weak_derivation_is_upgraded_by_the_next_unlock_that_asks_for_it() {
    let (house, vault) = House::create();
    let pass = Passphrase::new("as before");
    vault.add_slot(NewSlot::of(&pass).label("desk").kdf(CHEAP), &house.key).unwrap();
    let made = vault.slots().unwrap()[2].created;
    vault.close().unwrap();
    house.clock.step(60);
    let dearer = PassphraseCost::new(20 * 1024, 2, 1).unwrap();
    assert!(opens(&house, &house.path(), &pass));
    let vault = unlock_upgrading(&house, &pass, dearer);
    assert_eq!(vault.opening().kdf_upgrade, Some(KdfUpgrade::Done { slot: 2 }));
    let slot = vault.slots().unwrap().pop().unwrap();
    assert_eq!((slot.label.as_str(), slot.created, slot.last_used), ("desk", made, Some(house.clock.now())));
    assert_eq!(slot.kdf, Some(KdfParameters::Argon2id(dearer)));
    let log = said(&vault, &house);
    let (event, outcome, detail) = &log[log.len() - 2];
    assert_eq!((*event, *outcome), (AuditEvent::SlotChanged, Outcome::Allowed));
    let expected = "slot 2: passphrase \"desk\" (Argon2id, 19 MiB, 2 passes, 1 lane) becomes \
                    passphrase \"desk\" (Argon2id, 20 MiB, 2 passes, 1 lane); header 3";
    assert_eq!(detail, expected);
    vault.close().unwrap();
    // Not again, not downwards, and not without being asked.
    for to in [dearer, CHEAP] {
        let vault = unlock_upgrading(&house, &pass, to);
        assert_eq!(vault.opening().kdf_upgrade, Some(KdfUpgrade::NotNeeded));
        assert_eq!(vault.slots().unwrap()[2].kdf, Some(KdfParameters::Argon2id(dearer)));
        vault.close().unwrap();
    }
    let vault = house.open();
    assert_eq!(vault.opening().kdf_upgrade, None);
    assert_eq!(said(&vault, &house).len(), log.len());
}

#[test]
fn an_upgrade_that_fails_keeps_nobody_out() {
    let (house, vault) = House::create();
    let pass = Passphrase::new("as before");
    vault.add_slot(NewSlot::of(&pass).kdf(CHEAP), &house.key).unwrap();
    vault.close().unwrap();
    let dearer = PassphraseCost::new(20 * 1024, 2, 1).unwrap();
    let scarce = without(Resource::PassphraseMemory).after(1);
    let vault = unlock_upgrading(&house, &pass, dearer);
    drop(scarce);
    let Some(KdfUpgrade::Failed { slot: 2, why }) = &vault.opening().kdf_upgrade else { panic!("{}", vault.opening()) };
    assert!(why.contains("KiB of memory"), "{why}");
    assert_eq!(vault.slots().unwrap()[2].kdf, Some(KdfParameters::Argon2id(CHEAP)));
    vault.close().unwrap();
    let vault = unlock_upgrading(&house, &pass, dearer);
    assert_eq!(vault.opening().kdf_upgrade, Some(KdfUpgrade::Done { slot: 2 }));
}

#[test]
fn a_changed_credential_opens_the_slot_of_the_old_one() {
    let (house, vault) = House::create();
    let [first, second] = ["first", "second"].map(Passphrase::new);
    let new = |pass| NewSlot::of(pass).kdf(CHEAP);
    let number = vault.add_slot(new(&first).label("dr.osei"), &house.key).unwrap();
    house.clock.step(60);
    assert_eq!(vault.change_credential(&first, new(&second)).unwrap(), number);
    let slot = vault.slots().unwrap().pop().unwrap();
    assert_eq!((slot.number, slot.label.as_str(), slot.created), (number, "dr.osei", house.clock.now()));
    let again = vault.change_credential(&first, new(&second));
    assert!(matches!(again, Err(Error::Unlock(UnlockError::WrongCredential))), "{again:?}");
    vault.close().unwrap();
    assert!(!opens(&house, &house.path(), &first) && opens(&house, &house.path(), &second));
}

#[test]
fn every_change_stands_in_the_log_before_and_after_the_header_is_written() {
    let (house, vault) = House::create();
    let key = RawKey::generate().unwrap();
    vault.add_slot(NewSlot::of(&key).label("safe"), &house.key).unwrap();
    vault.replace_slot(2, NewSlot::of(&key).label("till"), &key).unwrap();
    vault.remove_slot(2, &house.key).unwrap();
    let refused = vault.remove_slot(1, &key);
    assert!(matches!(refused, Err(Error::Unlock(UnlockError::WrongCredential))), "{refused:?}");
    let refused = vault.remove_slot(2, &house.key);
    assert!(matches!(refused, Err(Error::NoSuchSlot { slot: 2 })), "{refused:?}");
    use {AuditEvent::*, Outcome::*};
    let expected = [
        (SlotAdded, Allowed, "slot 2: raw key \"safe\"; header 2"),
        (HeaderWritten, Allowed, "header 2"),
        (SlotChanged, Allowed, "slot 2: raw key \"safe\" becomes raw key \"till\"; header 3"),
        (HeaderWritten, Allowed, "header 3"),
        (SlotRemoved, Allowed, "slot 2: raw key \"till\"; header 4"),
        (HeaderWritten, Allowed, "header 4"),
        (SlotRemoved, Denied, "unlock failed"),
        (SlotRemoved, Failed, "no such slot"),
    ];
    assert_eq!(said(&vault, &house), expected.map(|(event, outcome, detail)| (event, outcome, detail.to_owned())));
}

#[test]
fn the_last_slot_that_opens_the_vault_stays() {
    let (house, vault) = House::create();
    vault.remove_slot(1, &house.key).unwrap();
    let refused = vault.remove_slot(0, &house.key);
    assert!(matches!(refused, Err(Error::LastSlot { slot: 0 })), "{refused:?}");
    vault.close().unwrap();
    assert!(opens(&house, &house.path(), &house.key));
}

#[test]
fn thirty_two_slots_and_not_one_more() {
    let (house, vault) = House::create();
    let keys: Vec<RawKey> = (0..30).map(|_| RawKey::generate().unwrap()).collect();
    for key in &keys {
        vault.add_slot(NewSlot::of(key).label(&"x".repeat(64)), &house.key).unwrap();
    }
    let refused = vault.add_slot(NewSlot::of(&house.key), &house.key);
    let limit = HeaderError::TooManySlots { slots: 33, limit: 32 };
    assert!(matches!(refused, Err(Error::Slot(NewSlotError::Header(found))) if found == limit), "{refused:?}");
    let refused = vault.replace_slot(5, NewSlot::of(&house.key).label(&"x".repeat(65)), &house.key);
    let label = NewSlotError::LabelNotAllowed { limit: 64 };
    assert!(matches!(refused, Err(Error::Slot(found)) if found == label), "{refused:?}");
    vault.close().unwrap();
    assert!(keys.iter().all(|key| opens(&house, &house.path(), key)));
}

#[test]
fn the_last_use_of_a_slot_is_known_and_not_that_of_another_with_its_number() {
    let (house, vault) = House::create();
    let key = RawKey::generate().unwrap();
    vault.add_slot(NewSlot::of(&key), &house.key).unwrap();
    let used = |vault: &Vault| vault.slots().unwrap().into_iter().map(|slot| slot.last_used).collect::<Vec<_>>();
    assert_eq!(used(&vault), [None; 3]);
    vault.close().unwrap();
    house.clock.step(3_600);
    let first = house.clock.now();
    let vault = Vault::open_with(house.path(), house.options()).unwrap().unlock(&key).unwrap();
    assert_eq!(used(&vault), [None, None, Some(first)]);
    vault.close().unwrap();
    house.clock.step(3_600);
    let vault = house.open();
    let second = house.clock.now();
    assert_eq!(used(&vault), [Some(second), None, Some(first)]);
    house.clock.step(1);
    vault.remove_slot(2, &key).unwrap();
    vault.add_slot(NewSlot::of(&key), &house.key).unwrap();
    assert_eq!(used(&vault), [Some(second), None, None]);
}

#[test]
fn charts_are_read_and_written_while_slots_change() {
    let (house, vault) = House::create();
    let session = Arc::new(house.session(&vault));
    let patient = session.register_patient([]).unwrap();
    thread::scope(|scope| {
        for worker in 0..2 {
            let session = &session;
            scope.spawn(move || {
                for at in 0..40 {
                    let id = session.put(patient, &note(&format!("{worker}-{at}"))).unwrap();
                    session.get(id).unwrap();
                }
            });
        }
        for changer in 0..2 {
            let (vault, house) = (&vault, &house);
            scope.spawn(move || {
                for at in 0..5 {
                    let key = RawKey::generate().unwrap();
                    let number =
                        vault.add_slot(NewSlot::of(&key).label(&format!("{changer}-{at}")), &house.key).unwrap();
                    vault.remove_slot(number, &key).unwrap();
                }
            });
        }
    });
    assert_eq!(vault.slots().unwrap().len(), 2);
    assert_eq!(session.list::<support::Note>(patient).limit(100).page().unwrap().entries.len(), 80);
    verify(&session);
    drop(session);
    vault.close().unwrap();
    verify(&house.session(&house.open()));
}

fn header_files(path: &Path) -> [Vec<u8>; 2] {
    ["header.a", "header.b"].map(|name| fs::read(path.join(name)).unwrap())
}

#[test]
fn a_header_from_before_a_removal_is_refused_as_rolled_back() {
    let (house, vault) = House::create();
    let key = RawKey::generate().unwrap();
    vault.add_slot(NewSlot::of(&key), &house.key).unwrap();
    let before = header_files(&house.path());
    vault.remove_slot(2, &house.key).unwrap();
    // While it is open: whoever shows a credential that only the older header knows.
    for (name, bytes) in ["header.a", "header.b"].iter().zip(&before) {
        fs::write(house.path().join(name), bytes).unwrap();
    }
    let refused = vault.add_slot(NewSlot::of(&key), &key);
    assert!(
        matches!(refused, Err(Error::Storage(StorageError::HeaderRolledBack { header: 2, journal: 3 }))),
        "{refused:?}"
    );
    let issuer = IssuerKey::generate().unwrap();
    let refused = vault.trust_issuer(issuer.public(), &key);
    assert!(matches!(refused, Err(Error::Storage(StorageError::HeaderRolledBack { .. }))), "{refused:?}");
    drop(vault);
    for credential in [&key, &house.key] {
        let refused = Vault::open_with(house.path(), house.options()).unwrap().unlock(credential).map(drop);
        assert!(
            matches!(refused, Err(Error::Storage(StorageError::HeaderRolledBack { header: 2, journal: 3 }))),
            "{refused:?}"
        );
    }
}

#[test]
fn no_copy_of_the_header_holds_what_was_removed() {
    let (house, vault) = House::create();
    let key = RawKey::generate().unwrap();
    vault.add_slot(NewSlot::of(&key).label("to be forgotten"), &house.key).unwrap();
    let holds = |label: &[u8]| header_files(&house.path()).map(|bytes| bytes.windows(label.len()).any(|w| w == label));
    assert_eq!(holds(b"to be forgotten"), [true; 2]);
    vault.remove_slot(2, &house.key).unwrap();
    assert_eq!(holds(b"to be forgotten"), [false; 2]);
    let everywhere = files_in(&house.path()).into_iter().filter(|file| file.file_name().is_some_and(|n| n != "lock"));
    for file in everywhere {
        let bytes = fs::read(house.path().join(&file)).unwrap();
        assert!(!bytes.windows(15).any(|window| window == b"to be forgotten"), "{}", file.display());
    }
}

/// Every write and every sync of a change fails once, and the process ends there: what is left opens with the old
/// credential or the new one, never with neither, and is whole again after it was opened.
#[test]
fn a_change_that_breaks_off_anywhere_leaves_the_old_header_or_the_new_one() {
    for op in [FileOp::Open, FileOp::Write, FileOp::Sync] {
        let mut states = Vec::new();
        for passing in 0.. {
            let (house, vault) = House::create();
            let (old, new) = (RawKey::generate().unwrap(), RawKey::generate().unwrap());
            vault.add_slot(NewSlot::of(&old), &house.key).unwrap();
            let fault = Fault::on(op, ErrorKind::Other).after(passing).for_good();
            let changed = vault.replace_slot(2, NewSlot::of(&new), &old);
            let hits = fault.hits();
            let crashed = house.dir.path().join("crashed");
            copy_dir(&house.path(), &crashed);
            drop(fault);
            drop(vault);
            let state = (opens(&house, &crashed, &old), opens(&house, &crashed, &new));
            assert!(state.0 != state.1, "{op:?} {passing}: {state:?}");
            assert!(changed.is_err() || state == (false, true), "{op:?} {passing}: acknowledged and lost");
            let [a, b] = header_files(&crashed);
            assert_eq!(a, b, "{op:?} {passing}");
            let vault = house.open_at(&crashed).unwrap();
            verify(&house.session(&vault));
            states.push(state);
            if hits == 0 {
                assert!(changed.is_ok());
                break;
            }
        }
        assert!(states.contains(&(true, false)) || op == FileOp::Open, "{op:?} {states:?}");
        assert_eq!(states.last(), Some(&(false, true)));
    }
}

#[test]
fn a_header_that_cannot_be_written_is_an_error_in_the_log_and_the_next_change_mends_it() {
    let (house, vault) = House::create();
    let (first, second) = (RawKey::generate().unwrap(), RawKey::generate().unwrap());
    // The first copy is opened, the second is not.
    let fault = Fault::on(FileOp::Open, ErrorKind::PermissionDenied).after(1);
    let refused = vault.add_slot(NewSlot::of(&first), &house.key);
    assert_eq!(fault.hits(), 1);
    drop(fault);
    assert!(matches!(refused, Err(Error::Header(HeaderFileError::Io { .. }))), "{refused:?}");
    let [added, written] = &said(&vault, &house)[..] else { panic!() };
    assert_eq!((added.0, added.1), (AuditEvent::SlotAdded, Outcome::Allowed));
    assert_eq!((written.0, written.1), (AuditEvent::HeaderWritten, Outcome::Failed));
    // It is there after all, in one copy; what comes next goes on from it.
    assert_eq!(vault.add_slot(NewSlot::of(&second), &house.key).unwrap(), 3);
    assert_eq!(vault.slots().unwrap().len(), 4);
    vault.close().unwrap();
    for key in [&first, &second, &house.key] {
        assert!(opens(&house, &house.path(), key));
    }
}

#[test]
fn a_slot_that_opens_another_vault_changes_nothing_here() {
    let (house, vault) = House::create();
    let (other, theirs) = House::create();
    theirs.close().unwrap();
    for name in ["header.a", "header.b"] {
        fs::copy(other.path().join(name), house.path().join(name)).unwrap();
    }
    let refused = vault.add_slot(NewSlot::of(&other.key), &other.key);
    assert!(matches!(refused, Err(Error::Unlock(UnlockError::HeaderTampered))), "{refused:?}");
}
