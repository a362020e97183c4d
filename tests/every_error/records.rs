//! What a session answers about patients and records.

use super::*;

#[test]
fn a_cursor_of_another_chart_is_refused() {
    let ward = Ward::new();
    ward.session.put(ward.patient, &note(TEXT)).unwrap();
    let cursor = ward.session.chart(ward.patient).limit(1).page().unwrap().next.unwrap();
    let other = ward.session.register_patient([]).unwrap();
    let refused = ward.session.chart(other).after(cursor).page();
    assert!(matches!(refused, Err(Error::CursorOfAnother)), "{refused:?}");
    advises(refused, "go on where its page came from");
}

#[test]
fn a_patient_whom_nobody_registered_is_not_there() {
    let ward = Ward::new();
    let refused = ward.session.put(PatientId::from_bytes([7; 16]), &note(TEXT));
    assert!(matches!(refused, Err(Error::NoSuchPatient(_))), "{refused:?}");
    advises(refused, "find the patient by an identifier");
}

#[test]
fn a_record_that_nobody_put_is_not_there() {
    let ward = Ward::new();
    let next = format!("{}-2", ward.id.to_string().strip_suffix("-1").unwrap());
    let refused = ward.session.get(next.parse::<RecordId<Note>>().unwrap());
    assert!(matches!(refused, Err(Error::NoSuchRecord(_))), "{refused:?}");
    advises(refused, "list the chart");
}

#[test]
fn a_version_that_nobody_wrote_is_not_there() {
    let ward = Ward::new();
    let refused = ward.session.get_version(ward.id, Version::new(3).unwrap());
    assert!(matches!(refused, Err(Error::NoSuchVersion { .. })), "{refused:?}");
    advises(refused, "its history shows");
}

#[test]
fn a_change_of_an_older_version_is_a_conflict() {
    let ward = Ward::new();
    let refused = ward.session.amend(ward.id, Version::FIRST, &note(TEXT));
    assert!(matches!(refused, Err(Error::Conflict { .. })), "{refused:?}");
    advises(refused, "read it again and decide anew");
}

#[test]
fn a_void_record_takes_no_further_versions() {
    let ward = Ward::new();
    let void = ward.session.void(ward.id, Version::new(2).unwrap(), "wrong patient").unwrap();
    let refused = ward.session.amend(ward.id, void, &note(TEXT));
    assert!(matches!(refused, Err(Error::Voided(_))), "{refused:?}");
    advises(refused, "put a new record");
}

#[test]
fn an_identifier_leads_to_one_patient() {
    let ward = Ward::new();
    let refused = ward.session.register_patient([mrn()]);
    assert!(matches!(refused, Err(Error::IdentifierTaken { .. })), "{refused:?}");
    advises(refused, "find the patient by it");
}

#[test]
fn an_identifier_that_is_too_long_is_refused() {
    let refused = Identifier::new("urn:mrn:errors", &MRN.repeat(500)).map(drop);
    assert!(matches!(refused, Err(Error::Identifier(_))), "{refused:?}");
    advises(refused, "1 to 1024 bytes");
}

#[test]
fn a_record_is_not_voided_without_a_reason() {
    let ward = Ward::new();
    let refused = ward.session.void(ward.id, Version::new(2).unwrap(), "");
    assert!(matches!(refused, Err(Error::InvalidText { what: "reason", len: 0, .. })), "{refused:?}");
    advises(refused, "it may have 1 to 1024");
}

#[test]
fn one_call_reads_so_many_records_and_no_more() {
    let ward = Ward::new();
    let refused = ward.session.get_many(&[ward.id; 1_001]);
    assert!(matches!(refused, Err(Error::TooMany { len: 1_001, limit: 1_000, .. })), "{refused:?}");
    advises(refused, "make several");
}

#[test]
fn a_value_that_is_too_large_is_not_put() {
    let ward = Ward::new();
    let refused = ward.session.put(ward.patient, &note(&TEXT.repeat(MAX_VALUE / TEXT.len() + 1)));
    assert!(matches!(refused, Err(Error::Encode(EncodeError::TooLarge { .. }))), "{refused:?}");
    advises(refused, "split it");
}

#[test]
fn a_typed_record_is_not_read_verbatim() {
    let ward = Ward::new();
    let refused = ward.session.get_verbatim(ward.id.into());
    assert!(matches!(refused, Err(Error::Decode { source: DecodeError::NotVerbatim { .. }, .. })), "{refused:?}");
    advises(refused, "read it as its type");
}

#[test]
fn a_batch_that_is_too_large_for_one_commit_is_refused() {
    let ward = Ward::new();
    let mut batch = ward.session.batch();
    let (kind, largest) = (Kind::new("Binary").unwrap(), vec![b'x'; MAX_VALUE]);
    let mut put = || batch.put_verbatim(ward.patient, &kind, &largest, PutOptions::new()).map(drop);
    let refused = (0..13).map(|_| put()).find(Result::is_err).unwrap();
    assert!(matches!(refused, Err(Error::CommitTooLarge { .. })), "{refused:?}");
    advises(refused, "split it");
}
