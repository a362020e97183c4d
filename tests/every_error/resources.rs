//! Machines that run out of random bytes or of memory.

use std::time::Duration;

use super::vaults::with_passphrase;
use super::*;
use chartvault::test_util::{MemoryStore, Resource, without};

#[test]
fn without_random_bytes_nothing_new_is_made() {
    let ward = Ward::new();
    let dry = without(Resource::RandomBytes);
    let refused = ward.clinic.vault().challenge().map(drop);
    assert!(matches!(refused, Err(Error::Random(RandomFailed))), "{refused:?}");
    advises(refused, "try again");
    assert!(matches!(RawKey::generate(), Err(RandomFailed)));
    assert!(matches!(SharedKey::split(2, 3), Err(ShareError::Random(RandomFailed))));
    drop(dry);
    ward.clinic.vault().challenge().unwrap();
}

#[test]
fn without_random_bytes_no_token_is_signed_or_narrowed_and_nothing_attested() {
    let ward = Ward::new();
    let grant = ward.clinic.grant("dr.osei").all_kinds().actions([Action::Read]);
    let token = ward.clinic.token(&grant).unwrap();
    let attester = AttesterKey::generate().unwrap();
    let _dry = without(Resource::RandomBytes);
    let refused = ward.clinic.token(&grant).map(drop);
    assert!(matches!(refused, Err(GrantError::Random(RandomFailed))), "{refused:?}");
    let refused = token.attenuate().patient(ward.patient).finish().map(drop);
    assert!(matches!(refused, Err(AttenuateError::Random(RandomFailed))), "{refused:?}");
    let attestation = Attestation::of(&token, Claim::ON_DUTY).valid_for(Duration::from_secs(60));
    let refused = attestation.sign(&attester).map(drop);
    assert!(matches!(refused, Err(AttestError::Random(RandomFailed))), "{refused:?}");
}

/// At whichever draw they run out, be it one for a coefficient: a key is split whole or not at all.
#[test]
fn random_bytes_that_run_out_while_a_key_is_split_make_no_shares() {
    let enough = (0..1_000).find(|draws| {
        let dry = without(Resource::RandomBytes).after(*draws);
        let split = SharedKey::split(3, 5).map(|(_, shares)| shares.len());
        drop(dry);
        assert!(matches!(split, Ok(5) | Err(ShareError::Random(RandomFailed))), "after {draws} draws: {split:?}");
        split.is_ok()
    });
    // The set, the key, and two coefficients for each of its bytes.
    assert!(enough.is_some_and(|draws| draws >= 2 + 2 * 32), "{enough:?}");
}

/// At whichever draw they run out: creating fails with a typed error, and what is left behind is no vault.
#[test]
fn random_bytes_that_run_out_while_creating_make_no_vault() {
    let (key, passphrase) = (RawKey::generate().unwrap(), Passphrase::new(PASSPHRASE));
    let (mut slots, mut created) = (0, false);
    for draws in 0..100 {
        let store = MemoryStore::new();
        let new = store.create_vault().raw_key(&key).passphrase(&passphrase).passphrase_cost(PassphraseCost::MINIMUM);
        let dry = without(Resource::RandomBytes).after(draws);
        let answer = new.finish().map(drop);
        drop(dry);
        match answer {
            Ok(()) => {
                created = true;
                break;
            }
            Err(Error::Slot(NewSlotError::Random(RandomFailed))) => slots += 1,
            Err(Error::Random(_) | Error::AuditUnavailable { .. }) => {}
            Err(other) => panic!("after {draws} draws: {other:?}"),
        }
        assert!(matches!(store.open_vault(Options::new()), Err(Error::Header(_))), "after {draws} draws");
    }
    assert!(created && slots > 0);
}

/// Nothing is given out whose entry could not be sealed, and nothing is kept of a write that failed.
#[test]
fn random_bytes_that_run_out_in_an_access_lose_nothing_and_give_nothing() {
    let mut done = 0;
    for draws in 0..20 {
        let mut ward = Ward::new();
        let dry = without(Resource::RandomBytes).after(draws);
        let (put, got) = (ward.session.put(ward.patient, &note(TEXT)), ward.session.get(ward.id));
        drop(dry);
        for error in [put.as_ref().err(), got.as_ref().err()].into_iter().flatten() {
            assert!(matches!(error, Error::Random(_) | Error::AuditUnavailable { .. }), "after {draws}: {error:?}");
        }
        ward.clinic.crash().unwrap();
        let session = ward.clinic.physician().unwrap();
        let kept = session.list::<Note>(ward.patient).page().unwrap().entries.len();
        assert_eq!(kept, 1 + usize::from(put.is_ok()), "after {draws} draws");
        support::verify(&ward.clinic.auditor().unwrap());
        done += usize::from(put.is_ok() && got.is_ok());
    }
    assert!(done > 0 && done < 20);
}

/// A number belongs to a record that is there; where a put or a batch failed the next one gets it.
#[test]
fn what_could_not_be_put_takes_no_number() {
    let ward = Ward::new();
    let put = || ward.session.put(ward.patient, &note(TEXT)).map(|id| RecordRef::from(id).number());
    let (mut newest, mut failed) = (put().unwrap(), 0);
    for draws in 0..6 {
        let mut batch = ward.session.batch();
        (0..2).for_each(|_| batch.put(ward.patient, &note(TEXT), PutOptions::new()).unwrap());
        let dry = without(Resource::RandomBytes).after(draws);
        let (one, two) = (put(), batch.commit());
        drop(dry);
        failed += usize::from(one.is_err()) + usize::from(two.is_err());
        newest += u64::from(one.is_ok()) + 2 * u64::from(two.is_ok());
        assert_eq!(put().unwrap(), newest + 1, "after {draws} draws");
        newest += 1;
    }
    assert!((1..12).contains(&failed), "{failed}");
}

#[test]
fn without_memory_for_argon2_a_passphrase_neither_makes_nor_opens_a_slot() {
    let (key, store) = with_passphrase(PASSPHRASE);
    let passphrase = Passphrase::new(PASSPHRASE);
    let none = without(Resource::PassphraseMemory);
    let refused = MemoryStore::new().create_vault().passphrase(&passphrase).finish().map(drop);
    assert!(matches!(refused, Err(Error::Slot(NewSlotError::OutOfMemory { memory_kib: 65_536 }))), "{refused:?}");
    advises(refused, "lower the cost");
    let locked = store.open_vault(Options::new()).unwrap();
    let refused = locked.unlock(&passphrase).map(drop);
    assert!(matches!(refused, Err(Error::Unlock(UnlockError::OutOfMemory { memory_kib: 19_456 }))), "{refused:?}");
    advises(refused, "free memory and try again");
    // Another credential needs none, and the count of wrong ones has not grown.
    let vault = locked.unlock(&key).unwrap();
    drop(none);
    vault.close().unwrap();
    locked.unlock(&passphrase).unwrap();
}
