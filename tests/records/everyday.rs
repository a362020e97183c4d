//! A day in the clinic, through the public API alone.

include!("../support/clinic.rs");

#[test]
fn a_record_is_put_read_amended_and_voided() {
    let clinic = Clinic::new();
    let session = clinic.session();
    let mrn = Identifier::new("urn:mrn:a", "12345").unwrap();
    let patient = session.register_patient([mrn.clone()]).unwrap();
    assert_eq!(session.find_patient(&mrn).unwrap(), Some(patient));
    let id = session.put(patient, &Note { text: "one".into() }).unwrap();
    let entry = session.get(id).unwrap();
    assert_eq!((entry.value.text.as_str(), entry.version.number()), ("one", 1));
    let second = session.amend(id, entry.version, &Note { text: "two".into() }).unwrap();
    assert!(matches!(
        session.amend(id, entry.version, &Note { text: "late".into() }),
        Err(Error::Conflict { found, .. }) if found == second
    ));
    session.void(id, second, "wrong patient").unwrap();
    let history = session.history(id).unwrap();
    let texts: Vec<_> = history.iter().map(|entry| entry.value.text.as_str()).collect();
    assert_eq!(texts, ["two", "two", "one"]);
    assert_eq!(history[0].reason.as_deref(), Some("wrong patient"));
    assert_eq!(session.get_version(id, entry.version).unwrap().value.text, "one");
    assert!(session.list::<Note>(patient).page().unwrap().entries.is_empty());
    assert_eq!(session.list::<Note>(patient).include_voided().page().unwrap().entries.len(), 1);
    let verified = session.audit().unwrap().verify(Scope::All).run().unwrap();
    assert!(verified.entries > 10);
    for entry in session.audit().unwrap().query(AuditFilter::new()).page().unwrap().entries {
        println!("{entry}");
    }
    clinic.vault.close().unwrap();
    assert!(matches!(session.get(id), Err(Error::Sealed)));
}
