//! What a vault says about its keys.

use crate::support;

use std::io::ErrorKind;

use chartvault::test_util::{Fault, FileOp};
use chartvault::*;
use support::House;

fn risks(vault: &Vault) -> Vec<KeyRisk> {
    vault.key_report().unwrap().risks
}

#[test]
fn a_new_vault_has_little_to_be_seen_to_and_untried_slots_are_named_after_ninety_days() {
    let (house, vault) = House::create();
    let created = house.clock.now();
    let report = vault.key_report().unwrap();
    assert_eq!((report.vault, report.at, report.created), (vault.id(), created, Some(created)));
    assert_eq!(report.risks, [KeyRisk::HeaderOnOneDisk]);
    assert_eq!(report.keys.len(), 3);
    assert!(report.keys.iter().all(|key| key.epoch == 1 && key.not_before == created));
    vault.close().unwrap();
    house.clock.step(90 * 86_400 - 1);
    let vault = house.open();
    assert_eq!(risks(&vault), [KeyRisk::HeaderOnOneDisk]);
    house.clock.step(1);
    let untried = KeyRisk::NeverUsed { slot: 1, since: created };
    assert_eq!(risks(&vault), [untried, KeyRisk::HeaderOnOneDisk], "slot 0 has just unlocked it");
}

#[test]
fn single_points_of_failure_and_cheap_passphrases_are_named() {
    let (house, vault) = House::create();
    vault.remove_slot(1, &house.key).unwrap();
    assert_eq!(risks(&vault), [KeyRisk::OnlyOneSlot { slot: 0 }, KeyRisk::NoRecovery, KeyRisk::HeaderOnOneDisk]);
    let pass = Passphrase::new("night shift");
    let cheap = PassphraseCost::MINIMUM;
    vault.add_slot(NewSlot::of(&pass).kdf(cheap), &house.key).unwrap();
    let (found, advised) = (KdfParameters::from(cheap), KdfParameters::default());
    let named = KeyRisk::CheapPassphrase { slot: 1, found, advised };
    assert_eq!(risks(&vault), [KeyRisk::NoRecovery, named, KeyRisk::HeaderOnOneDisk]);
    let (shared, _) = SharedKey::split(2, 3).unwrap();
    vault.add_slot(NewSlot::of(&shared).label("board"), &house.key).unwrap();
    vault.replace_slot(1, NewSlot::of(&pass), &house.key).unwrap();
    assert_eq!(risks(&vault), [KeyRisk::HeaderOnOneDisk]);
    // Whoever holds the other half has to guess one passphrase.
    let half = RawKey::generate().unwrap();
    vault.add_slot(NewSlot::of(&TwoPersons::new(&pass, &half)).kdf(cheap), &house.key).unwrap();
    let named = KeyRisk::CheapPassphrase { slot: 3, found, advised };
    assert_eq!(risks(&vault), [named, KeyRisk::HeaderOnOneDisk]);
}

#[test]
fn what_was_begun_and_not_ended_is_named_and_a_new_wrap_key_is_young() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    house.clock.step(86_400);
    let order = ErasureOrder::new("the patient asked", "GDPR 17(1)(b)");
    let broken = Fault::on(FileOp::Open, ErrorKind::PermissionDenied);
    assert!(vault.erase_patient(&session, patient, &order, &house.key, &mut |_| ()).is_err());
    drop(broken);
    assert_eq!(risks(&vault), [KeyRisk::HeaderOnOneDisk, KeyRisk::ErasuresUnfinished { patients: 1 }]);
    vault.finish_erasures(&house.key, &mut |_| ()).unwrap();
    let report = vault.key_report().unwrap();
    assert_eq!((report.risks, report.erasures), (vec![KeyRisk::HeaderOnOneDisk], 1));
    let wrap = report.keys.iter().find(|key| key.sort == KeySort::Wrap).unwrap();
    assert!(wrap.epoch > 1 && wrap.not_before == house.clock.now(), "{wrap:?}");
    let data = report.keys.iter().find(|key| key.sort == KeySort::Data).unwrap();
    assert_eq!(report.at.saturating_since(data.not_before).as_secs(), 86_400);
    vault.begin_data_rotation(&house.key).unwrap();
    assert_eq!(risks(&vault), [KeyRisk::HeaderOnOneDisk, KeyRisk::RotationUnderWay]);
}

#[test]
fn the_report_is_a_table_that_can_be_read() {
    let (house, vault) = House::create();
    let pass = Passphrase::new("night shift");
    vault.add_slot(NewSlot::of(&pass).label("night desk").kdf(PassphraseCost::MINIMUM), &house.key).unwrap();
    house.clock.step(100 * 86_400);
    let shown = vault.key_report().unwrap().to_string();
    println!("{shown}");
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[0], format!("keys of {} on 2026-04-15", vault.id()));
    assert_eq!(lines[2], "   0  raw key         raw key                  100  never       -");
    assert_eq!(
        lines[4],
        "   2  passphrase      night desk               100  never       Argon2id, 19 MiB, 2 passes, 1 lane"
    );
    assert_eq!((lines[5], lines[6]), ("data key 1: 100 days old", "wrap key 1: 100 days old"));
    assert!(lines.iter().all(|line| line.len() <= 120 && !line.contains("Some(")), "{shown}");
    assert!(
        lines.contains(
            &"- slot 1 never unlocked the vault since 2026-01-05: find its credential and try it, or remove it"
        )
    );
}
