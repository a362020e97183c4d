//! Identifiers: what means the same is the same, and a limited token learns nothing through them.

mod support;

use chartvault::*;
use support::{House, base_grant, verify};

fn mrn(value: &str) -> Identifier {
    Identifier::new("urn:mrn:a", value).unwrap()
}

#[test]
fn an_identifier_given_twice_in_two_spellings_is_registered_once() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let spellings = ["M\u{fc}ller 1", " M\u{fc}ller 1 ", "Mu\u{308}ller 1"].map(mrn);
    assert_eq!(spellings[0], spellings[1]);
    let patient = session.register_patient(spellings.clone()).unwrap();
    vault.close().unwrap();
    let vault = house.open();
    assert_eq!(vault.opening().rebuilt, None);
    let session = house.session(&vault);
    for spelling in spellings {
        assert_eq!(session.find_patient(&spelling).unwrap(), Some(patient));
    }
    verify(&session);
}
