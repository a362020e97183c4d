//! Every text that a person or another program hands in: what is read is shown and read again alike.
#![no_main]

use std::fmt::Display;
use std::str::FromStr;

use chartvault::*;

fn again<T: FromStr + Display + PartialEq>(text: &str) {
    if let Ok(read) = text.parse::<T>() {
        let shown = read.to_string();
        assert!(shown.parse::<T>().is_ok_and(|same| same == read), "{shown}");
    }
}

libfuzzer_sys::fuzz_target!(|text: &str| {
    again::<VaultId>(text);
    again::<PatientId>(text);
    again::<Ticket>(text);
    again::<Timestamp>(text);
    again::<Version>(text);
    again::<Kind>(text);
    again::<RecordRef>(text);
    again::<IssuerId>(text);
    again::<AttesterId>(text);
    again::<DeviceId>(text);
    again::<IssuerPublicKey>(text);
    again::<HolderPublicKey>(text);
    again::<DevicePublicKey>(text);
    again::<AttesterPublicKey>(text);
    again::<Challenge>(text);
    again::<Attestation>(text);
    again::<Possession>(text);
    again::<DeviceProof>(text);
    if let Ok(key) = text.parse::<RecoveryKey>() {
        let shown = key.expose_text();
        assert_eq!(*shown.parse::<RecoveryKey>().unwrap().expose_text(), *shown);
    }
    if let Ok(share) = text.parse::<Share>() {
        let shown = share.expose_text();
        assert_eq!(*shown.parse::<Share>().unwrap().expose_text(), *shown);
    }
    if let Ok(identifier) = Identifier::new("urn:mrn:clinic-a", text) {
        assert_eq!(format!("{identifier:?}"), "Identifier(\"urn:mrn:clinic-a\", redacted)");
    }
});
