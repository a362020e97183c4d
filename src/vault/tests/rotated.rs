//! Keys that a rotation drops while somebody is at work.

use super::*;
use crate::format::keys::RecordKey;
use crate::storage::Scan;

struct Room {
    _dir: tempfile::TempDir,
    key: RawKey,
    vault: Vault,
    session: Session,
    patient: crate::PatientId,
    kind: Kind,
}

fn room() -> Room {
    let dir = tempfile::tempdir().unwrap();
    let key = RawKey::generate().unwrap();
    let (vault, _) = Vault::create(dir.path()).raw_key(&key).finish().unwrap();
    let issuer = IssuerKey::generate().unwrap();
    vault.trust_issuer(issuer.public(), &key).unwrap();
    let grant = Grant::to("dr.osei").all_patients().all_kinds().actions(Action::ALL.iter().copied());
    let grant = grant.purpose(Purpose::Treatment).valid_for(std::time::Duration::from_secs(3_600));
    let session = vault.session(grant.sign(&issuer, vault.id()).unwrap(), Purpose::Treatment).unwrap();
    let patient = session.register_patient([]).unwrap();
    let kind = Kind::new("note").unwrap();
    session.put_verbatim(patient, &kind, b"as it was", crate::PutOptions::new()).unwrap();
    Room { _dir: dir, key, vault, session, patient, kind }
}

#[test]
fn who_read_a_row_before_its_key_was_dropped_still_opens_it_and_nobody_else_does() {
    let room = room();
    let unlocked = room.vault.0.gate.enter().unwrap();
    let chart = unlocked.find_chart(room.patient).unwrap().unwrap();
    let scan = Scan { prefix: &chart.tag, after: None, limit: 1 };
    let (key, value) = unlocked.committer.scan(Tree::Records, scan).unwrap().remove(0);
    let key = RecordKey::from_bytes(&key).unwrap();
    room.vault.rotate_data_key(&room.key, &mut |_| ()).unwrap();
    room.vault.rotate_wrap_key(&room.key, &mut |_| ()).unwrap();
    assert!(unlocked.open_record(&chart, room.kind.id(), key, &value).is_ok());
    // And a chart from before opens what was sealed since.
    let (_, sealed) = unlocked.committer.scan(Tree::Records, scan).unwrap().remove(0);
    assert_ne!(sealed, value);
    assert!(unlocked.open_record(&chart, room.kind.id(), key, &sealed).is_ok());
    let now = unlocked.find_chart(room.patient).unwrap().unwrap();
    assert!(unlocked.open_record(&now, room.kind.id(), key, &sealed).is_ok());
    let gone = unlocked.open_record(&now, room.kind.id(), key, &value);
    assert!(matches!(gone, Err(Error::Tampered { .. })));
}

#[test]
fn sessions_keep_no_chart_that_was_derived_from_a_keyring_before() {
    let room = room();
    assert!(room.session.holds_keys());
    room.vault.rotate_wrap_key(&room.key, &mut |_| ()).unwrap();
    assert!(!room.session.holds_keys());
    let record = room.session.put_verbatim(room.patient, &room.kind, b"since", crate::PutOptions::new()).unwrap();
    assert!(room.session.holds_keys());
    // One that is out of date is not used to seal, either.
    room.vault.begin_data_rotation(&room.key).unwrap();
    let unlocked = room.vault.0.gate.enter().unwrap();
    room.session.put_verbatim(room.patient, &room.kind, b"later", crate::PutOptions::new()).unwrap();
    let scan = Scan { prefix: &[], after: None, limit: 10 };
    let rows = unlocked.committer.scan(Tree::Records, scan).unwrap();
    let epochs: Vec<_> = rows.iter().map(|(_, value)| crate::format::envelope::parse(value).unwrap().0.epoch).collect();
    assert_eq!(epochs, [2, 1, 1], "newest first");
    assert_eq!(room.session.get_verbatim(record).unwrap().value, b"since");
}

#[test]
fn versions_are_counted_as_soon_as_they_are_acknowledged() {
    let room = room();
    for number in 2..100 {
        room.session.put_verbatim(room.patient, &room.kind, b"one more", crate::PutOptions::new()).unwrap();
        assert_eq!(room.vault.rotation().unwrap().versions, Some(number));
    }
}
