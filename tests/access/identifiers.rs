//! Identifiers: what means the same is the same, and a limited token learns nothing through them.

use crate::support;

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

#[test]
fn many_patients_are_registered_in_one_commit_all_or_none() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let taken = session.register_patient([mrn("taken")]).unwrap();
    let registered = |session: &Session| {
        let log = support::whole_log(session);
        log.into_iter().filter(|entry| entry.event == AuditEvent::PatientRegistered).collect::<Vec<_>>()
    };
    // A list that claims what somebody has, or claims one thing twice, registers nobody.
    for second in ["taken", "new"] {
        let refused = session.register_patients([vec![mrn("new"), mrn("own")], vec![mrn(second)]]);
        assert!(matches!(refused, Err(Error::IdentifierTaken { .. })), "{refused:?}");
        assert_eq!(session.find_patient(&mrn("new")).unwrap(), None);
    }
    let before = registered(&session).iter().filter(|entry| entry.outcome == Outcome::Allowed).count();
    let all = session.register_patients((0..1_000).map(|number| [mrn(&number.to_string())])).unwrap();
    assert_eq!(all.len(), 1_000);
    for number in [0, 1, 998, 999] {
        assert_eq!(session.find_patient(&mrn(&number.to_string())).unwrap(), Some(all[number]));
        session.put(all[number], &support::note("there")).unwrap();
    }
    let entries: Vec<_> =
        registered(&session).into_iter().filter(|entry| entry.outcome == Outcome::Allowed).skip(before).collect();
    assert!(entries.len() < 10, "{}", entries.len());
    let log: Vec<PatientId> =
        entries.iter().flat_map(|entry| entry.subjects.iter().filter_map(|subject| subject.patient)).collect();
    assert!(all.iter().all(|patient| log.contains(patient)) && !log.contains(&taken));
    let too_many = session.register_patients(vec![Vec::new(); 1_001]);
    assert!(matches!(too_many, Err(Error::TooMany { len: 1_001, limit: 1_000, .. })), "{too_many:?}");
    verify(&session);
}
