//! A ledger of so many erasures that no part of a key pack has room for it.

use super::*;
use crate::audit::{AuditEvent, Draft, Outcome};
use crate::backup::pack::{self, PackPart};
use crate::policy::{Erasure, PolicyRow};
use crate::{FolderTarget, Vault};

#[test]
fn a_long_ledger_goes_over_several_parts_of_a_pack_and_comes_back() {
    const ERASED: u32 = 16_000;
    let dir = tempfile::tempdir().unwrap();
    let key = RawKey::generate().unwrap();
    let (vault, _) = Vault::create(dir.path().join("vault")).raw_key(&key).finish().unwrap();
    let unlocked = vault.0.gate.enter().unwrap();
    let time = Timestamp::from_micros(1_767_614_400_000_000);
    let erasure = |number: u32| Erasure {
        patient_tag: [&[0; 12], &number.to_be_bytes()[..]].concat().try_into().unwrap(),
        begun: time,
        finished: Some(time),
        by: None,
        reason: "r".repeat(256),
        legal_ground: "g".repeat(256),
        identity: false,
        log_entries: 1,
    };
    let rows: Vec<PolicyRow> = (0..ERASED).map(|number| PolicyRow::Erasure(erasure(number))).collect();
    for some in rows.chunks(1_000) {
        let sealed = some.iter().map(|row| unlocked.policy_row(row).unwrap()).collect();
        unlocked.commit(sealed, vec![Draft::new(AuditEvent::ErasureBegun, Outcome::Allowed)]).unwrap();
        some.iter().for_each(|row| unlocked.policy.apply(row.clone()));
    }
    let target = FolderTarget::create(dir.path().join("disk")).unwrap();
    vault.backup(&target).run().unwrap();
    let made = vault.backup(&target).packs_to(&target).run().unwrap();
    assert!(made.new_pack && !made.pack_is_old, "{made}");
    let part = |part| std::fs::read(dir.path().join("disk").join(PackPart::name_of(1, part)));
    let lens: Vec<usize> = (0..).map_while(|number| part(number).ok()).map(|part| part.len()).collect();
    assert!(lens.len() > 1 && lens.iter().sum::<usize>() > pack::PART_BYTES, "{lens:?}");
    assert!(lens.iter().all(|len| *len < pack::MAX_LEN), "{lens:?}");

    let place = dir.path().join("restored");
    let restored = Vault::restore(&target).into(&place, &key).unwrap();
    assert_eq!(restored.erased.known, usize::try_from(ERASED).unwrap());
    let opened = Vault::open(&place).unwrap().unlock(&key).unwrap();
    assert!(opened.0.gate.enter().unwrap().policy.erasures() == unlocked.policy.erasures());
}
