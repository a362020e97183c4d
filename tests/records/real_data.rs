//! Real FHIR data, where it lies beside the repository: every resource comes back as the bytes that went in, also after
//! closing and reopening. Skipped with a printed line where the data is not there.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

mod clinic {
    include!("../support/clinic.rs");
}

use clinic::*;

fn lines(name: &str) -> Option<impl Iterator<Item = Vec<u8>>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
    let Ok(file) = File::open(&path) else {
        println!("skipped: {} is not there", path.display());
        return None;
    };
    let text = BufReader::new(zstd::Decoder::new(file).unwrap());
    Some(text.split(b'\n').map(Result::unwrap).filter(|line| !line.is_empty()))
}

/// Each line under its resource type, in a chart of its own for every hundred lines.
fn round_trip(name: &str, expected: usize) {
    let Some(source) = lines(name) else { return };
    let Clinic { vault, token, dir, key, .. } = Clinic::new();
    let session = vault.session(&token, Purpose::Treatment).unwrap();
    let mut records = Vec::new();
    let mut patient = PatientId::FACILITY;
    let mut batch = session.batch();
    for (number, line) in source.enumerate() {
        if number.is_multiple_of(100) {
            records.extend(std::mem::replace(&mut batch, session.batch()).commit().unwrap());
            patient = session.register_patient([]).unwrap();
        }
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        let kind = Kind::new(value["resourceType"].as_str().unwrap()).unwrap();
        batch.put_verbatim(patient, &kind, &line, PutOptions::new()).unwrap();
    }
    records.extend(batch.commit().unwrap());
    assert_eq!(records.len(), expected);
    vault.close().unwrap();

    let vault = Vault::open(dir.path().join("clinic.vault")).unwrap().unlock(&key).unwrap();
    let session = vault.session(&token, Purpose::Treatment).unwrap();
    let mut source = lines(name).unwrap();
    for records in records.chunks(500) {
        for (entry, line) in session.get_many_verbatim(records).unwrap().into_iter().zip(source.by_ref()) {
            assert_eq!(entry.value, line, "{:?}", entry.id);
        }
    }
    assert!(source.next().is_none());
    session.audit().unwrap().verify(Scope::All).run().unwrap();
}

#[test]
fn hl7_examples_come_back() {
    round_trip("hl7-r4-clinical.ndjson.zst", 688);
}

#[test]
fn synthea_patients_come_back() {
    round_trip("synthea-r4-120.ndjson.zst", 27_674);
}
