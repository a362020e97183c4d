mod removed;
mod windowed;

use super::*;
use crate::keyring::{self, Keyring, NewSlot, RawKey, copies};
use crate::token::IssuerKey;
use crate::{Action, Grant, PassphraseCost, Timestamp};

/// A header with this vault's id, a newer generation, and a slot for a key of one's own: all that somebody needs who may
/// write the directory, but knows no key of the vault.
fn forged_header(vault: &Vault, key: &RawKey) -> Vec<u8> {
    let (keyring, root) = (Keyring::generate().unwrap(), keyring::new_root().unwrap());
    let new =
        NewSlot { number: 0, created: Timestamp::from_micros(0), label: "raw key", cost: PassphraseCost::MINIMUM };
    let slot = keyring::create_slot(vault.id(), vault.suite(), new, key.into(), &root).unwrap();
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

#[cfg(feature = "tracing")]
#[test]
fn every_event_of_an_operation_has_a_span_of_its_own_name() {
    use AuditEvent as E;
    // Entries that stand beside the one of the operation, or in its place.
    let beside = [E::UnlockFailed, E::Recovered, E::TokenRefused, E::SessionExpired];
    for event in E::ALL.iter().filter(|event| !beside.contains(event)) {
        assert!(crate::observe::has_span(event.word()), "{event} has no line in observe/spans.rs");
    }
}
