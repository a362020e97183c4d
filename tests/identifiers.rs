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

/// Whether an identifier is known in this clinic is not for a token that is limited to some patients: neither to look
/// up nor to find out by claiming it.
#[test]
fn a_token_for_one_patient_does_not_find_out_whom_the_clinic_knows() {
    let (house, vault) = House::create();
    let all = house.session(&vault);
    let [own, other] = ["own", "other"].map(|value| all.register_patient([mrn(value)]).unwrap());
    let grant = base_grant().patient(own).all_kinds().actions([Action::Create, Action::Read]);
    let limited = house.session_of(&vault, &grant.issued_at(house.clock.now()));
    assert_eq!(limited.find_patient(&mrn("own")).unwrap(), Some(own));
    for value in ["other", "nobody"] {
        assert!(matches!(limited.find_patient(&mrn(value)), Err(Error::Denied { .. })), "{value}");
        assert!(matches!(limited.add_identifier(own, mrn(value)), Err(Error::Denied { .. })), "{value}");
    }
    assert_eq!(all.find_patient(&mrn("nobody")).unwrap(), None);
    assert_eq!(all.find_patient(&mrn("other")).unwrap(), Some(other));
}
