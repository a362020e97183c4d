//! Whatever an entry says, its resource is valid by the schema of R4.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::audit::tests::kit;
use crate::audit::{AuditSubject, EntryRef};
use crate::ids::SessionId;
use crate::terms::Purpose;

#[allow(unreachable_pub)] // for the tests of behaviour it is public
#[path = "../../../tests/support/schema.rs"]
mod schema;

fn lines(release: Release, entry: &AuditEntry) -> Vec<Value> {
    let mut out = String::new();
    put(release, kit::VAULT, &Delivered::new((entry.seq, entry.time, [7; 32]), Some(entry.clone())), &mut out);
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

static SCHEMA: LazyLock<schema::Schema> =
    LazyLock::new(|| schema::Schema::new(include_str!("../../../tests/data/fhir/audit-event-r4.schema.json")));

#[test]
fn every_event_however_it_ended_is_valid_and_only_one_that_was_done_claims_a_pattern() {
    let nobody = AuditSubject { patient: None, counter: None, records: Vec::new() };
    let facility = AuditSubject { patient: Some(PatientId::FACILITY), ..nobody.clone() };
    let named = kit::full_entry().subjects;
    for event in AuditEvent::ALL.iter().copied().chain([AuditEvent::Other(60_000)]) {
        for outcome in [Outcome::Allowed, Outcome::Denied, Outcome::Failed] {
            for subjects in [vec![], vec![nobody.clone()], vec![facility.clone()], named.clone()] {
                let entry = AuditEntry { event, outcome, subjects, ..kit::full_entry() };
                for line in lines(Release::R4, &entry) {
                    assert_eq!(SCHEMA.faults(&line), Vec::<String>::new(), "{line}");
                    let claims = line.get("meta").is_some();
                    let erased = entry.subjects == [nobody.clone()];
                    assert!(!claims || (outcome == Outcome::Allowed && !erased), "{line}");
                }
            }
        }
    }
}

#[test]
fn an_entry_that_names_neither_actor_nor_session_still_has_the_vault_as_its_agent() {
    let entries = kit::log(vec![kit::genesis()]);
    let entry = kit::open(&EntryRef::parse(&entries[0]).unwrap()).unwrap();
    let [line] = &lines(Release::R4, &entry)[..] else { panic!() };
    assert_eq!(SCHEMA.faults(line), Vec::<String>::new());
    assert_eq!(line["agent"].as_array().unwrap().len(), 1);
    assert_eq!(line["agent"][0]["who"], line["source"]["observer"]);
    let expected = "urn:uuid:11111111-1111-1111-1111-111111111111";
    assert_eq!(line["source"]["observer"]["identifier"]["value"], expected);
    assert_eq!(line["id"], format!("{}-0-0", "11".repeat(16)));
}

#[test]
fn reads_that_share_an_entry_have_a_resource_each() {
    let entries = kit::log(vec![kit::genesis(), kit::several_reads()]);
    let entry = kit::open(&EntryRef::parse(&entries[1]).unwrap()).unwrap();
    let session = Some(SessionId::from_bytes([9; 16]));
    let found = lines(Release::R4, &AuditEntry { session, ..entry.clone() });
    for (line, read) in found.iter().zip(&entry.reads) {
        assert_eq!(line["recorded"], read.time.to_string());
        assert_eq!(line["meta"]["profile"][0], format!("{}PatientRead", codes::BALP_PROFILE));
    }
    assert_eq!(found.len(), 3);
}

#[test]
fn a_lost_entry_is_a_major_failure() {
    let entry = AuditEntry { event: AuditEvent::EntryLost, outcome: Outcome::Failed, ..kit::full_entry() };
    for release in [Release::R4, Release::R5] {
        let line = &lines(release, &entry)[0];
        let outcome = if release == Release::R4 { &line["outcome"] } else { &line["outcome"]["code"]["code"] };
        assert_eq!(outcome, "12");
    }
}

#[test]
fn times_that_fhir_has_no_form_for_are_the_nearest_that_it_has() {
    for time in [Timestamp::MIN, Timestamp::MAX, Timestamp::from_micros(0)] {
        let line = &lines(Release::R4, &AuditEntry { time, clock: Some(time), ..kit::full_entry() })[0];
        assert_eq!(SCHEMA.faults(line), Vec::<String>::new(), "{line}");
    }
}

proptest! {
    #[test]
    fn any_text_is_valid_on_one_line(
        texts in proptest::array::uniform4(any::<String>()),
        n in 0..Purpose::ALL.len(),
    ) {
        let [detail, host, request_id, device] = texts.map(Some);
        let purpose = Some(Purpose::ALL[n]);
        let entry = AuditEntry { detail, host, request_id, device, purpose, ..kit::full_entry() };
            for line in lines(Release::R4, &entry) {
            prop_assert_eq!(SCHEMA.faults(&line), Vec::<String>::new());
        }
        prop_assert_eq!(lines(Release::R5, &entry).len(), 1);
    }
}
