//! What a token with a ceiling may see of a record that changed its level.

use crate::support;

use chartvault::*;
use support::{House, base_grant, note};

fn level(level: Confidentiality) -> PutOptions {
    PutOptions::new().confidentiality(level)
}

#[test]
fn a_record_that_became_more_confidential_is_so_in_all_its_versions() {
    let (house, vault) = House::create();
    let all = house.session(&vault);
    let patient = all.register_patient([]).unwrap();
    let id = all.put_with(patient, &note("HIV"), level(Confidentiality::Normal)).unwrap();
    let grant = base_grant().all_patients().all_kinds().actions([Action::Read]);
    let grant = grant.sensitivity(Confidentiality::Normal).issued_at(house.clock.now());
    let limited = house.session_of(&vault, &grant);
    assert_eq!(limited.get_version(id, Version::FIRST).unwrap().value, note("HIV"));

    let second = all.amend_with(id, Version::FIRST, &note("HIV"), level(Confidentiality::Restricted)).unwrap();
    for version in [Version::FIRST, second, Version::new(9).unwrap()] {
        assert!(matches!(limited.get_version(id, version), Err(Error::Denied { .. })), "{version}");
    }
    assert!(matches!(limited.history(id), Err(Error::Denied { .. })));

    let third = all.amend_with(id, second, &note("redacted"), level(Confidentiality::Normal)).unwrap();
    assert_eq!(limited.get_version(id, third).unwrap().value, note("redacted"));
    assert!(matches!(limited.get_version(id, second), Err(Error::Denied { .. })));
    assert!(matches!(all.get_version(id, Version::new(9).unwrap()), Err(Error::NoSuchVersion { .. })));
}
