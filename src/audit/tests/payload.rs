use proptest::prelude::*;

use super::kit;
use crate::audit::defect::EntryDefect;
use crate::audit::event::{AuditEvent, Outcome};
use crate::audit::payload::{
    Fields, MAX_ATTESTERS, MAX_DETAIL, MAX_HOST_TEXT, MAX_REFUSALS, MAX_REVOCATION_IDS, Payload, put_field, tag,
};
use crate::clock::Timestamp;
use crate::ids::{AttesterId, IssuerId, KindId, PatientId, PrincipalId, RevocationId, SessionId, Ticket};
use crate::terms::{Action, Purpose};

fn maybe<T: std::fmt::Debug>(of: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    proptest::option::of(of)
}

fn id<T: std::fmt::Debug>(from: fn([u8; 16]) -> T) -> impl Strategy<Value = Option<T>> {
    maybe(any::<[u8; 16]>().prop_map(from))
}

fn text(limit: usize) -> impl Strategy<Value = Option<String>> {
    maybe("[a-zA-Z \u{e4}\u{20ac}]{0,40}".prop_filter("within the limit", move |text| text.len() <= limit))
}

pub(super) fn any_fields() -> impl Strategy<Value = Fields> {
    let what = (any::<u16>(), 1u8..=3, 0..Action::ALL.len(), 0..Purpose::ALL.len());
    let ids = (
        id(PrincipalId::from_bytes),
        id(IssuerId::from_bytes),
        id(SessionId::from_bytes),
        id(Ticket::from_bytes),
        id(KindId::from_bytes),
        id(PatientId::from_bytes),
        proptest::collection::vec(any::<[u8; 16]>().prop_map(RevocationId::from_bytes), 0..=MAX_REVOCATION_IDS),
    );
    let rest = (maybe(any::<u16>()), maybe(any::<u32>()), any::<bool>());
    let texts = (text(MAX_DETAIL), text(MAX_HOST_TEXT), text(MAX_HOST_TEXT), text(MAX_HOST_TEXT));
    let attesters = proptest::collection::vec(any::<[u8; 16]>().prop_map(AttesterId::from_bytes), 0..=MAX_ATTESTERS);
    let refusals = proptest::collection::vec(any::<(u8, u16)>(), 0..=MAX_REFUSALS);
    let shown = (any::<bool>(), attesters, refusals);
    (what, ids, rest, texts, shown).prop_map(
        |(what, ids, (reason, count, terms), texts, (possession, attesters, refusals))| {
            let fields = Fields::new(AuditEvent::from_code(what.0), Outcome::from_code(what.1).unwrap());
            let (actor, issuer, session, ticket, kind, requested, revocation_ids) = ids;
            let (detail, request_id, host, device) = texts;
            Fields {
                actor,
                issuer,
                revocation_ids,
                session,
                action: terms.then(|| Action::ALL[what.2]),
                purpose: terms.then(|| Purpose::ALL[what.3]),
                reason,
                ticket,
                kind,
                requested,
                count,
                detail,
                request_id,
                host,
                device,
                possession,
                attesters,
                refusals,
                ..fields
            }
        },
    )
}

fn encode(fields: &Fields) -> Vec<u8> {
    let mut out = Vec::new();
    fields.put_before_subjects(&mut out).unwrap();
    fields.put_after_subjects(&mut out).unwrap();
    out
}

fn minimal() -> Vec<u8> {
    encode(&Fields::new(AuditEvent::RecordRead, Outcome::Allowed))
}

fn with(tag: u16, value: &[u8]) -> Result<Fields, EntryDefect> {
    let mut bytes = minimal();
    put_field(&mut bytes, tag, value).unwrap();
    Payload::decode(&bytes).map(|payload| payload.fields)
}

proptest! {
    #[test]
    fn decode_inverts_encode(fields in any_fields()) {
        let bytes = encode(&fields);
        let payload = Payload::decode(&bytes).unwrap();
        prop_assert_eq!(payload.fields, fields);
        prop_assert!(payload.subjects.is_empty() && payload.clock.is_none());
    }

    #[test]
    fn arbitrary_bytes_never_panic(tail in proptest::collection::vec(0u8..20, 0..200)) {
        let _ = Payload::decode(&tail).is_ok();
        let _ = Payload::decode(&[minimal(), tail].concat()).is_ok();
    }
}

#[test]
fn every_cut_of_a_full_payload_is_refused_or_ends_between_fields() {
    let bytes = encode(&kit::full().fields);
    let whole_fields: Vec<usize> = (0..bytes.len()).filter(|len| Payload::decode(&bytes[..*len]).is_ok()).collect();
    assert_eq!(whole_fields.len(), 15, "one after the two mandatory fields, one after each further but the last");
}

#[test]
fn an_unknown_field_is_refused_when_critical_and_skipped_when_not() {
    assert_eq!(with(0x000E, b"new"), Err(EntryDefect::UnknownField(0x000E)));
    assert_eq!(with(0x7FFF, b""), Err(EntryDefect::UnknownField(0x7FFF)));
    let skipped = Fields::new(AuditEvent::RecordRead, Outcome::Allowed);
    assert_eq!(with(0x8000, b"new"), Ok(skipped.clone()));
    assert_eq!(with(0xFFFF, b""), Ok(skipped));
}

#[test]
fn fields_that_do_not_ascend_are_refused() {
    let out_of_order = |first: u16, second: u16| {
        let mut bytes = minimal();
        put_field(&mut bytes, first, &[1; 16]).unwrap();
        put_field(&mut bytes, second, &[2; 16]).unwrap();
        Payload::decode(&bytes).err()
    };
    assert_eq!(out_of_order(tag::ACTOR, tag::ISSUER), None);
    assert_eq!(out_of_order(tag::ISSUER, tag::ACTOR), Some(EntryDefect::FieldOrder(tag::ACTOR)));
    assert_eq!(out_of_order(tag::ACTOR, tag::ACTOR), Some(EntryDefect::FieldOrder(tag::ACTOR)), "twice");
    assert_eq!(with(tag::EVENT, &[0, 1]), Err(EntryDefect::FieldOrder(tag::EVENT)));
}

#[test]
fn a_missing_event_or_outcome_is_refused() {
    assert_eq!(Payload::decode(&[]).err(), Some(EntryDefect::MissingField(tag::EVENT)));
    assert_eq!(Payload::decode(&minimal()[..6]).err(), Some(EntryDefect::MissingField(tag::OUTCOME)));
    assert_eq!(Payload::decode(&minimal()[6..]).err(), Some(EntryDefect::MissingField(tag::EVENT)));
    let mut bytes = minimal();
    bytes[10] = 4;
    assert_eq!(Payload::decode(&bytes).err(), Some(EntryDefect::FieldValue(tag::OUTCOME)));
}

#[test]
fn a_field_of_another_length_is_refused() {
    let lengths = [
        (tag::ACTOR, 16),
        (tag::ISSUER, 16),
        (tag::SESSION, 16),
        (tag::REASON, 2),
        (tag::TICKET, 16),
        (tag::KIND, 16),
        (tag::REQUESTED, 16),
        (tag::COUNT, 4),
        (tag::CLOCK, 8),
    ];
    for (tag, len) in lengths {
        assert!(with(tag, &vec![1; len]).is_ok(), "field {tag:#06x}");
        for other in [0, len - 1, len + 1] {
            assert_eq!(with(tag, &vec![1; other]), Err(EntryDefect::FieldValue(tag)), "field {tag:#06x}");
        }
    }
}

#[test]
fn terms_and_texts_that_cannot_be_are_refused() {
    for tag in [tag::ACTION, tag::PURPOSE] {
        assert!(with(tag, &1u32.to_be_bytes()).is_ok());
        for bits in [0, 3, 1 << 31] {
            assert_eq!(with(tag, &u32::to_be_bytes(bits)), Err(EntryDefect::FieldValue(tag)), "bits {bits:#x}");
        }
    }
    for tag in [tag::DETAIL, tag::REQUEST_ID, tag::HOST, tag::DEVICE] {
        let limit = if tag == tag::DETAIL { MAX_DETAIL } else { MAX_HOST_TEXT };
        assert!(with(tag, &vec![b'a'; limit]).is_ok());
        assert_eq!(with(tag, &vec![b'a'; limit + 1]), Err(EntryDefect::FieldValue(tag)));
        assert_eq!(with(tag, &[0xFF]), Err(EntryDefect::FieldValue(tag)), "not UTF-8");
    }
    let ids = |len| with(tag::REVOCATION_IDS, &vec![1; len]);
    assert!(ids(16).is_ok() && ids(128).is_ok());
    for len in [0, 15, 17, 144] {
        assert_eq!(ids(len), Err(EntryDefect::FieldValue(tag::REVOCATION_IDS)), "{len} bytes");
    }
}

#[test]
fn what_was_shown_at_session_opening_is_read_strictly() {
    assert!(with(tag::POSSESSION, &[1]).unwrap().possession);
    for value in [&[][..], &[0], &[2], &[1, 1]] {
        assert_eq!(with(tag::POSSESSION, value), Err(EntryDefect::FieldValue(tag::POSSESSION)), "{value:?}");
    }
    let ids = |len| with(tag::ATTESTERS, &vec![1; len]);
    assert!(ids(16).is_ok() && ids(MAX_ATTESTERS * 16).is_ok());
    for len in [0, 15, 17, (MAX_ATTESTERS + 1) * 16] {
        assert_eq!(ids(len), Err(EntryDefect::FieldValue(tag::ATTESTERS)), "{len} bytes");
    }
    // A version that does not know these fields skips them.
    assert!([tag::POSSESSION, tag::ATTESTERS].iter().all(|tag| tag & 0x8000 != 0));
}

#[test]
fn subjects_are_read_strictly() {
    let one = |tag: u8| [&[tag; 16][..], &[0, 0, 0, 1], &[0, 3], b"abc"].concat();
    let two = [&[0, 2][..], &one(1), &one(2)].concat();
    assert!(with(tag::SUBJECTS, &two).is_ok());
    let wrong = Err(EntryDefect::FieldValue(tag::SUBJECTS));
    for len in 0..two.len() {
        assert_eq!(with(tag::SUBJECTS, &two[..len]), wrong, "length {len}");
    }
    assert_eq!(with(tag::SUBJECTS, &[&two[..], &[0]].concat()), wrong, "trailing byte");
    assert_eq!(with(tag::SUBJECTS, &[0, 0]), wrong, "none");
    assert_eq!(with(tag::SUBJECTS, &[&[0, 2][..], &one(1), &one(1)].concat()), wrong, "one patient twice");
    assert_eq!(with(tag::SUBJECTS, &[0xFF; 65_535]), wrong, "lengths of 65,535");
}

#[test]
fn the_clock_field_is_read() {
    let mut bytes = minimal();
    put_field(&mut bytes, tag::CLOCK, &(-5i64).to_be_bytes()).unwrap();
    assert_eq!(Payload::decode(&bytes).unwrap().clock, Some(Timestamp::from_micros(-5)));
}
