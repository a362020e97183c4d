//! The keys of a record that is kept in a compartment.

use super::*;
use crate::format::envelope::{self, Place};
use crate::format::keys::{PatientKey, RecordKey};
use crate::ids::CompartmentId;
use crate::storage::Scan;
use crate::{Kind, PutOptions};

#[test]
fn neither_the_data_key_with_the_patients_secret_nor_another_compartment_opens_it() {
    let dir = tempfile::tempdir().unwrap();
    let key = RawKey::generate().unwrap();
    let (vault, _) = Vault::create(dir.path()).raw_key(&key).finish().unwrap();
    let issuer = IssuerKey::generate().unwrap();
    vault.trust_issuer(issuer.public(), &key).unwrap();
    let grant = Grant::to("dr.osei").all_patients().kind_named("process-note").actions(Action::ALL.iter().copied());
    let grant = grant.purpose(Purpose::Treatment).valid_for(std::time::Duration::from_secs(3_600));
    let token = grant.sign(&issuer, vault.id()).unwrap();
    let session = vault.session(&token, Purpose::Treatment).unwrap();
    let patient = session.register_patient([]).unwrap();
    let unlocked = vault.0.gate.enter().unwrap();
    // Somebody who read the chart before the compartment was made.
    let before = unlocked.find_chart(patient).unwrap().unwrap();
    let kind = Kind::new("process-note").unwrap();
    vault.create_compartment("process", [kind.clone()], &key).unwrap();
    vault.create_compartment("other", [Kind::new("other").unwrap()], &key).unwrap();
    session.put_verbatim(patient, &kind, b"apart", PutOptions::new()).unwrap();

    let scan = Scan { prefix: &before.tag, after: None, limit: 1 };
    let (storage_key, value) = unlocked.committer.scan(Tree::Records, scan).unwrap().remove(0);
    let (secret_key, sealed_secret) = unlocked.committer.scan(Tree::Patients, scan).unwrap().remove(0);
    let keyring = unlocked.keyring();
    let patient_key = PatientKey::from_bytes(&secret_key).unwrap();
    let (_, secret) = keyring.open_patient_secret(vault.id(), patient_key, &sealed_secret).unwrap();
    let opens = |compartment: Option<&str>| {
        let id = compartment.map(crate::crypto::kdf::compartment_id);
        let sealer = keyring.record_sealer(keyring.data_epoch(), &secret, id).unwrap();
        let place = Place { vault: vault.id(), tree: Tree::Records, key: &storage_key };
        envelope::open_value(&sealer, place, &value).is_ok()
    };
    assert!(opens(Some("process")) && !opens(None) && !opens(Some("other")));
    let unknown = CompartmentId::from_bytes([7; 16]);
    assert!(keyring.record_sealer(keyring.data_epoch(), &secret, Some(unknown)).is_none());

    let key = RecordKey::from_bytes(&storage_key).unwrap();
    assert!(unlocked.open_record(&before, kind.id(), key, &value).is_ok());
    // Sealed as if it were in none, it does not pass for one of the compartment.
    let forged = keyring.record_sealer(keyring.data_epoch(), &secret, None).unwrap();
    let row = unlocked.sealed_row(&forged, (keyring.data_epoch(), 1), Tree::Records, &storage_key, b"forged").unwrap();
    let now = unlocked.find_chart(patient).unwrap().unwrap();
    assert!(unlocked.open_record(&now, kind.id(), key, row.value.as_ref().unwrap()).is_err());
}
