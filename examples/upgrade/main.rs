//! A record type that changes twice: what is stored stays, what is read is new, and what cannot be upgraded is named.
//!
//! `cargo run --example upgrade`

mod kinds;

use std::error::Error as StdError;
use std::path::Path;
use std::time::Duration;

use chartvault::{
    Action, DecodeError, Error, Grant, IssuerKey, PatientId, Purpose, RawKey, Record, RecordId, RecordRef, Session,
    Vault,
};
use kinds::{Allergy, AllergyV1, AllergyV2, NoSuchSeverity, Severity};

type Outcome<T> = Result<T, Box<dyn StdError>>;

fn main() -> Outcome<()> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("clinic.vault");
    let (key, issuer) = (RawKey::generate()?, IssuerKey::generate()?);
    let (vault, _) = Vault::create(&path).raw_key(&key).finish()?;
    vault.trust_issuer(issuer.public(), &key)?;
    vault.close()?;

    let (patient, latex) = in_2019(&open(&path, &key)?, &issuer)?;
    in_2022(&open(&path, &key)?, &issuer, patient)?;
    today(&open(&path, &key)?, &issuer, patient, latex)
}

fn open(path: &Path, key: &RawKey) -> Outcome<Vault> {
    Ok(Vault::open(path)?.unlock(key)?)
}

fn session(vault: &Vault, issuer: &IssuerKey) -> Outcome<Session> {
    let actions = [Action::Read, Action::List, Action::Create, Action::Amend];
    let grant = Grant::to("dr.osei").all_patients().kind::<Allergy>().actions(actions).purpose(Purpose::Treatment);
    let token = grant.valid_for(Duration::from_secs(3_600)).sign(issuer, vault.id())?;
    Ok(vault.session(&token, Purpose::Treatment)?)
}

/// The first program knows version 1 alone.
fn in_2019(vault: &Vault, issuer: &IssuerKey) -> Outcome<(PatientId, RecordRef)> {
    println!("2019, version 1: the severity is free text");
    let session = session(vault, issuer)?;
    let patient = session.register_patient([])?;
    let allergy =
        |substance: &str, severity: &str| AllergyV1 { substance: substance.into(), severity: severity.into() };
    session.put(patient, &allergy("penicillin", "Severe"))?;
    let latex = session.put(patient, &allergy("latex", "bad rash"))?;
    vault.close()?;
    Ok((patient, latex.into()))
}

/// The second reads version 1 as version 2.
fn in_2022(vault: &Vault, issuer: &IssuerKey, patient: PatientId) -> Outcome<()> {
    println!("\n2022, version 2: mild, moderate or severe");
    let session = session(vault, issuer)?;
    session.put(patient, &AllergyV2 { substance: "pollen".into(), severity: Severity::Mild })?;
    for record in session.chart(patient).page()?.entries {
        match record.decode::<AllergyV2>() {
            Ok(entry) => println!("  {:<11} {:?}", entry.value.substance, entry.value.severity),
            Err(error) => println!("  {error}"),
        }
    }
    vault.close()?;
    Ok(())
}

/// The third reads both as version 3.
fn today(vault: &Vault, issuer: &IssuerKey, patient: PatientId, latex: RecordRef) -> Outcome<()> {
    println!("\ntoday, version 3: with the year when it began");
    let session = session(vault, issuer)?;
    for record in session.chart(patient).page()?.entries.iter().filter(|record| record.record() != latex) {
        let entry = record.decode::<Allergy>()?;
        let stored = entry.schema.ok_or("an allergy is a typed record")?;
        println!("  {:<11} {:?}, stored in version {stored}", entry.value.substance, entry.value.severity);
        assert!(stored < Allergy::VERSION);
    }

    println!("\nOne of them has no successor, and no program guesses:");
    let id = RecordId::<Allergy>::try_from(latex)?;
    let Err(Error::Decode { record, version, source }) = session.get(id) else {
        return Err("the severity of latex was guessed".into());
    };
    let DecodeError::Upgrade { stored: 1, from: 1, to: 2, reason, .. } = &source else {
        return Err(source.into());
    };
    assert_eq!(record, latex);
    println!("  {reason}");
    assert!(reason.get_ref().is::<NoSuchSeverity>());

    println!("\nA physician reads it as what it is, decides, and amends it:");
    let old = session.get(RecordId::<AllergyV1>::try_from(latex)?)?.value;
    println!("  {}: {:?}", old.substance, old.severity);
    session.amend(id, version, &Allergy { substance: old.substance, severity: Severity::Moderate, since: None })?;
    let mended = session.get(id)?;
    assert_eq!((mended.value.severity, mended.schema), (Severity::Moderate, Some(3)));

    println!("\nIts history still has what was written first:");
    for version in session.history_any(latex)? {
        let told = match version.decode::<Allergy>() {
            Ok(entry) => format!("{:?}", entry.value.severity),
            Err(_) => format!("{:?}", version.decode::<AllergyV1>()?.value.severity),
        };
        let schema = version.schema().ok_or("an allergy is a typed record")?;
        println!("  version {} of the record, in version {schema} of the type: {told}", version.version());
    }
    assert_eq!(session.list::<Allergy>(patient).page()?.entries.len(), 3);
    vault.close()?;
    Ok(())
}

#[test]
fn a_type_changes_twice_and_nothing_is_lost() {
    main().unwrap();
}
