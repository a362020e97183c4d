//! Records that are gone without a trace in the journal's hashes: their numbers still tell.

use super::*;
use crate::PutOptions;
use crate::committer::Row;
use crate::format::keys::{RecordKey, Tree};
use crate::storage::Scan;

/// Takes away the first record of every kind, as a program that has the keys could.
fn remove_first_records(vault: &Vault) {
    let unlocked = vault.0.gate.enter().unwrap();
    let keys = unlocked.committer.scan_keys(Tree::Records, Scan { prefix: &[], after: None, limit: 100 }).unwrap();
    let first = keys.into_iter().filter(|key| RecordKey::from_bytes(key).unwrap().number == 1);
    let rows = first.map(|key| {
        let replaces = unlocked.committer.get(Tree::Records, &key).unwrap();
        Row { tree: Tree::Records, key: key.into(), value: None, replaces }
    });
    unlocked.commit(rows.collect(), Vec::new()).unwrap();
}

#[test]
fn an_export_of_one_kind_notices_that_its_first_record_is_gone_wherever_the_kind_stands() {
    let dir = tempfile::tempdir().unwrap();
    let key = RawKey::generate().unwrap();
    let (vault, _) = Vault::create(dir.path()).raw_key(&key).finish().unwrap();
    let issuer = IssuerKey::generate().unwrap();
    vault.trust_issuer(issuer.public(), &key).unwrap();
    let grant = Grant::to("dr.osei").all_patients().all_kinds().actions(Action::ALL.iter().copied());
    let grant = grant.purpose(Purpose::Treatment).valid_for(std::time::Duration::from_secs(3_600));
    let session = vault.session(grant.sign(&issuer, vault.id()).unwrap(), Purpose::Treatment).unwrap();
    let patient = session.register_patient([]).unwrap();
    let kinds = ["Observation", "Condition", "Procedure"].map(|name| Kind::new(name).unwrap());
    for kind in kinds.iter().chain(&kinds) {
        session.put_verbatim(patient, kind, b"{}", PutOptions::new()).unwrap();
    }
    remove_first_records(&vault);
    for kind in kinds {
        let id = kind.id();
        for export in [session.export(), session.export().whole_history()] {
            let found: Result<Vec<_>, _> = export.kinds([kind.clone()]).start().unwrap().collect();
            assert!(
                matches!(found, Err(Error::Missing { kind: Some(kind), number: 1, .. }) if kind == id),
                "{found:?}"
            );
        }
    }
}
