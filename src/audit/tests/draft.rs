use proptest::prelude::*;

use super::kit;
use super::payload::any_fields;
use crate::audit::draft::{Draft, DraftError};
use crate::audit::entry::{EntryRef, MAX_ENTRY};
use crate::audit::event::{AuditEvent, Outcome};
use crate::audit::payload::{MAX_ATTESTERS, MAX_DETAIL, MAX_HOST_TEXT, MAX_REFUSALS, MAX_REVOCATION_IDS, tag};
use crate::audit::subject::{AuditRecord, DraftSubject, MAX_RECORDS_PER_ENTRY};
use crate::crypto::RandomFailed;
use crate::ids::{AttesterId, RevocationId};

fn draft_of(subjects: Vec<DraftSubject>) -> Draft {
    let mut draft = Draft::new(AuditEvent::ChartRead, Outcome::Allowed);
    draft.subjects = subjects;
    draft
}

/// Fields as long as they may be.
fn longest() -> Draft {
    let mut draft = kit::full();
    draft.fields.revocation_ids = vec![RevocationId::from_bytes([1; 16]); MAX_REVOCATION_IDS];
    draft.fields.detail = Some("a".repeat(MAX_DETAIL));
    for text in [&mut draft.fields.request_id, &mut draft.fields.host, &mut draft.fields.device] {
        *text = Some("a".repeat(MAX_HOST_TEXT));
    }
    draft.fields.attesters = vec![AttesterId::from_bytes([1; 16]); MAX_ATTESTERS];
    draft.fields.refusals = vec![(1, 2); MAX_REFUSALS];
    draft.subjects.clear();
    draft
}

/// Every record of another kind than its neighbours: as many groups as can be.
fn records(n: usize) -> Vec<AuditRecord> {
    (0..).take(n).map(|number| kit::record(if number % 2 == 0 { 1 } else { 2 }, number)).collect()
}

/// `n` patients with one record each. They share a key, which is quicker to make.
fn patients(n: usize) -> Vec<DraftSubject> {
    let one = kit::subject(1, records(1));
    let tag = |at: usize| u128::try_from(at).unwrap().to_be_bytes();
    (0..n).map(|at| DraftSubject { patient_tag: tag(at), ..one.clone() }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]
    #[test]
    fn an_entry_says_what_its_draft_said(fields in any_fields(), counts in proptest::collection::vec(0usize..5, 0..4)) {
        let subjects: Vec<DraftSubject> = (1..).zip(&counts).map(|(n, count)| kit::subject(n, records(*count))).collect();
        let draft = Draft { fields: fields.clone(), ..draft_of(subjects.clone()) };
        let foreseen = draft.encoded_len();
        let entries = kit::log(vec![kit::genesis(), draft]);
        prop_assert!(entries[1].len() <= foreseen);
        let opened = kit::open(&EntryRef::parse(&entries[1]).unwrap()).unwrap();
        let said: Vec<_> = opened.subjects.iter().map(|s| (s.patient.unwrap(), s.counter.unwrap(), s.records.clone())).collect();
        let meant: Vec<_> = subjects.into_iter().map(|s| (s.patient, 1, s.records)).collect();
        prop_assert_eq!(said, meant);
        prop_assert_eq!((opened.event, opened.outcome, opened.actor), (fields.event, fields.outcome, fields.actor));
        prop_assert_eq!((opened.issuer, opened.revocation_ids), (fields.issuer, fields.revocation_ids));
        prop_assert_eq!((opened.session, opened.action, opened.purpose), (fields.session, fields.action, fields.purpose));
        prop_assert_eq!((opened.reason, opened.ticket, opened.kind), (fields.reason, fields.ticket, fields.kind));
        prop_assert_eq!((opened.requested, opened.count), (fields.requested, fields.count));
        prop_assert_eq!((opened.detail, opened.request_id), (fields.detail, fields.request_id));
        prop_assert_eq!((opened.host, opened.device, opened.clock), (fields.host, fields.device, None));
    }
}

#[test]
fn a_thousand_records_of_one_patient_always_fit_and_one_more_is_refused() {
    let with = |n| {
        let mut draft = longest();
        draft.subjects = vec![kit::subject(1, records(n))];
        draft
    };
    assert!(with(MAX_RECORDS_PER_ENTRY).encoded_len() <= MAX_ENTRY);
    let entries = kit::log(vec![kit::genesis(), with(MAX_RECORDS_PER_ENTRY)]);
    let opened = kit::open(&EntryRef::parse(&entries[1]).unwrap()).unwrap();
    assert_eq!(opened.subjects[0].records, records(MAX_RECORDS_PER_ENTRY));
    let refused = with(MAX_RECORDS_PER_ENTRY + 1).prepare().err();
    assert_eq!(refused, Some(DraftError::TooManyRecords(MAX_RECORDS_PER_ENTRY + 1)));
}

#[test]
fn the_foreseen_size_decides_exactly_how_many_patients_fit() {
    let most = (1..1_000).rfind(|n| draft_of(patients(*n)).encoded_len() <= MAX_ENTRY).unwrap();
    assert!(most >= 330, "{most}");
    assert!(draft_of(patients(most)).prepare().is_ok());
    let more = draft_of(patients(most + 1));
    let len = more.encoded_len();
    assert!(len > MAX_ENTRY);
    assert_eq!(more.prepare().err(), Some(DraftError::TooLarge(len)));
}

#[test]
fn a_draft_over_many_patients_is_split_into_entries_that_fit_and_nothing_gets_lost() {
    let mut draft = longest();
    draft.subjects = patients(MAX_RECORDS_PER_ENTRY);
    let tags: Vec<_> = draft.subjects.iter().map(|subject| subject.patient_tag).collect();
    assert!(draft.encoded_len() > MAX_ENTRY);
    let parts = draft.clone().split();
    let kept: Vec<_> = parts.iter().flat_map(|part| &part.subjects).map(|subject| subject.patient_tag).collect();
    assert_eq!(kept, tags);
    // All of them say the same, but answers of the host's consent are counted once.
    assert!(!draft.fields.consent.is_empty() && parts[0].fields == draft.fields);
    draft.fields.consent.clear();
    for (at, part) in parts.iter().enumerate() {
        assert!(part.encoded_len() <= MAX_ENTRY && part.clone().prepare().is_ok());
        assert!(at == 0 || part.fields == draft.fields);
    }
    assert_eq!(parts.len(), 3);
}

#[test]
fn a_draft_over_many_records_is_split_by_thousands_and_a_small_one_not_at_all() {
    let parts = draft_of(vec![kit::subject(1, records(2_500)), kit::subject(2, records(1))]).split();
    let sizes: Vec<Vec<usize>> =
        parts.iter().map(|part| part.subjects.iter().map(|subject| subject.records.len()).collect()).collect();
    assert_eq!(sizes, [vec![1_000], vec![1_000], vec![500, 1]]);
    let kept: Vec<AuditRecord> = parts.iter().flat_map(|part| part.subjects[0].records.clone()).collect();
    assert_eq!(kept, records(2_500));
    assert_eq!(draft_of(vec![]).split().len(), 1);
    assert_eq!(kit::read(1).split().len(), 1);
}

#[test]
fn fields_over_their_limits_are_refused_by_name() {
    assert!(longest().prepare().is_ok());
    let too_long = |change: fn(&mut Draft)| {
        let mut draft = longest();
        change(&mut draft);
        draft.prepare().err()
    };
    let expected = |field, limit| Some(DraftError::FieldTooLong { field, limit });
    let more = |draft: &mut Draft| draft.fields.revocation_ids.push(RevocationId::from_bytes([1; 16]));
    assert_eq!(too_long(more), expected(tag::REVOCATION_IDS, 8));
    assert_eq!(too_long(|draft| draft.fields.detail = Some("a".repeat(1_025))), expected(tag::DETAIL, 1_024));
    assert_eq!(too_long(|draft| draft.fields.request_id = Some("a".repeat(129))), expected(tag::REQUEST_ID, 128));
    assert_eq!(too_long(|draft| draft.fields.host = Some("a".repeat(129))), expected(tag::HOST, 128));
    assert_eq!(too_long(|draft| draft.fields.device = Some("a".repeat(70_000))), expected(tag::DEVICE, 128));
    let more = |draft: &mut Draft| draft.fields.attesters.push(AttesterId::from_bytes([1; 16]));
    assert_eq!(too_long(more), expected(tag::ATTESTERS, 32));
    assert_eq!(too_long(|draft| draft.fields.refusals.push((1, 2))), expected(tag::REFUSALS, 96));
}

#[test]
fn a_patient_stands_in_an_entry_once() {
    let draft = draft_of(vec![kit::subject(1, vec![]), kit::subject(2, vec![]), kit::subject(1, vec![])]);
    assert_eq!(draft.prepare().err(), Some(DraftError::PatientTwice));
}

#[test]
fn no_random_bytes_means_no_entry() {
    assert_eq!(kit::read(1).prepare_with(|_| Err(RandomFailed)).err(), Some(DraftError::Random(RandomFailed)));
}
