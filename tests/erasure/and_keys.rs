//! Erasures beside what else happens to keys: rotations that are under way, and headers and slots of every sort.

use crate::support;

use std::fs;
use std::io::ErrorKind;

use chartvault::test_util::{Fault, FileOp};
use chartvault::*;
use support::{House, Note, files_in, note, small, verify};

struct Ward {
    house: House,
    vault: Vault,
    session: Session,
    ama: PatientId,
    of_ama: RecordId<Note>,
    of_ben: RecordId<Note>,
}

fn order() -> ErasureOrder {
    ErasureOrder::new("the patient asked", "GDPR 17(1)(b)")
}

impl Ward {
    fn new() -> Self {
        let (house, vault) = House::create();
        let session = house.session(&vault);
        let [ama, ben] =
            ["1", "2"].map(|mrn| session.register_patient([Identifier::new("urn:mrn:keys", mrn).unwrap()]).unwrap());
        let of_ama = session.put(ama, &note("goes")).unwrap();
        session.amend(of_ama, Version::FIRST, &note("goes as well")).unwrap();
        let of_ben = session.put(ben, &note("stays")).unwrap();
        Self { house, vault, session, ama, of_ama, of_ben }
    }

    fn erase(&self) -> Result<ErasureReport, Error> {
        self.vault.erase_patient(&self.session, self.ama, &order(), &self.house.key, &mut |_| ())
    }

    fn finish(&self) -> Result<usize, Error> {
        self.vault.finish_erasures(&self.house.key, &mut |_| ())
    }

    /// Begins an erasure that cannot change the header.
    fn erase_half(&self) {
        let fault = Fault::on(FileOp::Open, ErrorKind::PermissionDenied);
        assert!(matches!(self.erase(), Err(Error::Header(_))));
        drop(fault);
        assert!(!self.is_finished());
    }

    fn is_finished(&self) -> bool {
        self.vault.erasures().unwrap().iter().all(|erasure| erasure.finished.is_some())
    }

    /// One chart is gone, the other is whole, and the vault is sound.
    fn is_erased(&self) {
        let read = self.session.get(self.of_ama);
        assert!(matches!(read, Err(Error::Erased { patient, .. }) if patient == self.ama), "{read:?}");
        assert_eq!(self.session.get(self.of_ben).unwrap().value, note("stays"));
        let report = self.vault.check(CheckScope::All, &mut |_| ()).unwrap();
        assert!(report.is_sound(), "{report}");
        verify(&self.session);
    }

    /// The data and wrap epochs that are held.
    fn epochs(&self) -> (Vec<u32>, Vec<u32>) {
        let rotation = self.vault.rotation().unwrap();
        (rotation.data_epochs, rotation.wrap_epochs)
    }
}

#[test]
fn a_patient_is_erased_while_records_are_half_way_to_another_data_key() {
    let ward = Ward::new();
    ward.vault.begin_data_rotation(&ward.house.key).unwrap();
    let report = ward.erase().unwrap();
    assert_eq!((report.versions, report.level), (2, ErasureLevel::Unreadable));
    assert_eq!(ward.epochs(), (vec![1, 2], vec![2]), "no older wrap key, and both data keys");
    ward.is_erased();
    let rotated = ward.vault.continue_rotation(&ward.house.key, &mut |_| ()).unwrap();
    assert_eq!((rotated.resealed, rotated.unreadable), (1, 0));
    assert_eq!(ward.epochs(), (vec![2], vec![2]));
    ward.is_erased();
}

#[test]
fn a_patient_is_erased_while_a_new_wrap_key_is_not_through_and_after_a_new_root_key() {
    let ward = Ward::new();
    // The header that drops the old key is not written: its second opening of a file for each copy.
    let fault = Fault::on(FileOp::Open, ErrorKind::PermissionDenied).after(3);
    let broken = ward.vault.rotate_wrap_key(&ward.house.key, &mut |_| ());
    assert_eq!((fault.hits(), broken.is_err()), (1, true));
    drop(fault);
    assert_eq!(ward.epochs().1, [1, 2]);
    ward.erase().unwrap();
    assert_eq!(ward.epochs().1, [3]);
    ward.is_erased();

    let ward = Ward::new();
    ward.vault.rotate_root_key(&[(&ward.house.key).into()]).unwrap();
    assert_eq!(ward.epochs(), (vec![1, 2], vec![1, 2]));
    ward.erase().unwrap();
    assert_eq!(ward.epochs(), (vec![1, 2], vec![3]));
    let rotated = ward.vault.continue_rotation(&ward.house.key, &mut |_| ()).unwrap();
    assert_eq!((ward.epochs(), rotated.unreadable), ((vec![2], vec![3]), 0));
    ward.is_erased();
}

type Rotate = fn(&Ward) -> Result<Rotated, Error>;

#[test]
fn whatever_is_rotated_during_an_unfinished_erasure_ends_and_so_does_the_erasure() {
    let rotations: [(&str, Rotate); 4] = [
        ("data key", |ward| ward.vault.rotate_data_key(&ward.house.key, &mut |_| ())),
        ("wrap key", |ward| ward.vault.rotate_wrap_key(&ward.house.key, &mut |_| ())),
        ("suite", |ward| {
            let other = if ward.vault.suite() == Suite::Aes256Gcm { Suite::ChaCha20Poly1305 } else { Suite::Aes256Gcm };
            ward.vault.change_suite(other, &ward.house.key, &mut |_| ())
        }),
        ("root key", |ward| {
            ward.vault.rotate_root_key(&[(&ward.house.key).into()])?;
            ward.vault.continue_rotation(&ward.house.key, &mut |_| ())
        }),
    ];
    for (name, rotate) in rotations {
        let ward = Ward::new();
        ward.erase_half();
        // Records of somebody whose secret is gone need no key: nothing of them opens under any.
        assert_eq!(rotate(&ward).unwrap().unreadable, 0, "{name}");
        assert!(!ward.vault.rotation().unwrap().is_under_way(), "{name}");
        ward.is_erased();
        assert!(!ward.is_finished(), "{name}: its rows are there still");
        let before = ward.epochs().1;
        assert_eq!(ward.finish().unwrap(), 1, "{name}");
        assert!(ward.is_finished() && ward.epochs().1.len() == 1 && ward.epochs().1 > before, "{name}");
        ward.is_erased();
        assert_eq!(ward.vault.rotation().unwrap().versions, Some(1), "{name}");
    }
}

#[test]
fn an_erasure_and_a_rotation_refuse_each_other_while_one_is_at_work() {
    let ward = Ward::new();
    let mut refused = 0;
    let mut erase = |_: Progress| {
        assert!(matches!(ward.erase(), Err(Error::RotationUnderWay)));
        refused += 1;
    };
    ward.vault.rotate_data_key(&ward.house.key, &mut erase).unwrap();
    assert!(refused > 0 && ward.vault.erasures().unwrap().is_empty());
    assert_eq!(ward.session.get(ward.of_ama).unwrap().value, note("goes as well"));
    let mut refused = 0;
    let mut rotate = |_: Progress| {
        let other = ward.vault.rotate_wrap_key(&ward.house.key, &mut |_| ());
        assert!(matches!(other, Err(Error::RotationUnderWay)));
        assert!(matches!(ward.finish(), Err(Error::RotationUnderWay)));
        refused += 1;
    };
    ward.vault.erase_patient(&ward.session, ward.ama, &order(), &ward.house.key, &mut rotate).unwrap();
    assert!(refused > 0);
    ward.is_erased();
}

#[test]
fn an_erasure_rewrites_a_detached_header_and_is_refused_while_its_medium_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let (path, stick, drawer) = (dir.path().join("vault"), dir.path().join("stick"), dir.path().join("drawer"));
    let (key, issuer) = (RawKey::generate().unwrap(), IssuerKey::generate().unwrap());
    let new = Vault::create(&path).raw_key(&key).options(small()).detached_header(&stick);
    let (vault, _) = new.finish().unwrap();
    vault.trust_issuer(issuer.public(), &key).unwrap();
    assert_eq!(vault.key_report().unwrap().risks, [KeyRisk::HeaderOnOneMedium]);
    let token = support::everything().sign(&issuer, vault.id()).unwrap();
    let session = vault.session(&token, Purpose::Treatment).unwrap();
    let patient = session.register_patient([]).unwrap();
    let id = session.put(patient, &note("goes")).unwrap();

    fs::rename(&stick, &drawer).unwrap();
    let refused = vault.erase_patient(&session, patient, &order(), &key, &mut |_| ());
    assert!(matches!(refused, Err(Error::Header(_))), "{refused:?}");
    assert!(vault.erasures().unwrap().is_empty() && session.get(id).is_ok());
    fs::rename(&drawer, &stick).unwrap();

    let old = fs::read(stick.join("header.a")).unwrap();
    vault.erase_patient(&session, patient, &order(), &key, &mut |_| ()).unwrap();
    let copies = ["header.a", "header.b"].map(|name| fs::read(stick.join(name)).unwrap());
    assert!(copies[0] == copies[1] && copies[0] != old);
    assert!(!files_in(&path).iter().any(|file| file.ends_with("header.a") || file.ends_with("header.b")));
    assert_eq!(vault.rotation().unwrap().wrap_epochs, [2]);
    vault.close().unwrap();
    let vault = Vault::open_with(&path, small().header(&stick)).unwrap().unlock(&key).unwrap();
    let session = vault.session(&token, Purpose::Treatment).unwrap();
    assert!(matches!(session.get(id), Err(Error::Erased { .. })));
    vault.close().unwrap();
    // The copy from before, put back, is refused: it would hold the old wrap key.
    fs::write(stick.join("header.a"), &old).unwrap();
    fs::write(stick.join("header.b"), &old).unwrap();
    let refused = Vault::open_with(&path, small().header(&stick)).unwrap().unlock(&key);
    assert!(matches!(refused, Err(Error::Storage(StorageError::HeaderRolledBack { .. }))), "{refused:?}");
}

#[test]
fn two_persons_erase_together_and_neither_alone() {
    let ward = Ward::new();
    let [chief, deputy] = [(); 2].map(|()| RawKey::generate().unwrap());
    let pair = TwoPersons::new(&chief, &deputy);
    ward.vault.add_slot(NewSlot::of(&pair).label("chief and deputy"), &ward.house.key).unwrap();
    let erase = |credential: Credential<'_>| {
        ward.vault.erase_patient(&ward.session, ward.ama, &order(), credential, &mut |_| ())
    };
    let alone = erase((&chief).into());
    assert!(matches!(alone, Err(Error::NeedsPartner { slot: 2, .. })), "{alone:?}");
    assert_eq!(ward.session.get(ward.of_ama).unwrap().value, note("goes as well"));
    erase((&pair).into()).unwrap();
    ward.is_erased();
    assert_eq!(ward.vault.slots().unwrap().len(), 3, "all slots open the new header");
}

#[test]
fn unlocking_with_a_better_derivation_finishes_an_erasure_too() {
    let ward = Ward::new();
    let (pass, cost) = (Passphrase::new("night shift"), PassphraseCost::MINIMUM);
    let better = PassphraseCost::new(cost.memory_kib() + 1024, cost.passes(), 1).unwrap();
    ward.vault.add_slot(NewSlot::of(&pass).kdf(cost), &ward.house.key).unwrap();
    ward.erase_half();
    ward.vault.close().unwrap();
    let locked = Vault::open_with(ward.house.path(), ward.house.options()).unwrap();
    let vault = locked.unlocking().upgrade_kdf(better).unlock(&pass).unwrap();
    assert!(matches!(vault.opening().kdf_upgrade, Some(KdfUpgrade::Done { slot: 2 })));
    assert!(vault.erasures().unwrap()[0].finished.is_some());
    assert_eq!(vault.slots().unwrap()[2].kdf, Some(better.into()));
    vault.close().unwrap();
    let vault = locked.unlock(&pass).unwrap();
    assert_eq!(vault.rotation().unwrap().wrap_epochs, [2]);
}
