//! The same entries in every form, as they are kept in tests/golden/exports: others read what was written years ago.

use std::path::PathBuf;

use super::*;
use crate::audit::tests::kit;
use crate::audit::{AuditEvent, AuditSubject, EntryRef, Outcome};
use crate::ids::PatientId;

const FORMS: [(LogFormat, &str); 6] = [
    (LogFormat::JsonLines, "log.jsonl"),
    (LogFormat::Csv, "log.csv"),
    (LogFormat::Cef, "log.cef"),
    (LogFormat::Rfc5424, "log.syslog"),
    (LogFormat::FhirR4, "log.r4.ndjson"),
    (LogFormat::FhirR5, "log.r5.ndjson"),
];

/// The beginning of a vault, one read, all that an entry can say, several reads, a session, the facility's own chart, somebody who
/// was erased, a broken glass, and an entry that was lost.
fn entries() -> Vec<Delivered> {
    let drafts =
        vec![kit::genesis(), kit::read(1), kit::full(), kit::several_reads(), kit::opened_with_proofs(), kit::read(2)];
    let stored = kit::log(drafts);
    let opened = stored.iter().map(|bytes| {
        let entry = EntryRef::parse(bytes).unwrap();
        (entry.leaf(), kit::open(&entry).unwrap())
    });
    let mut entries: Vec<_> = opened.collect();
    let (leaf, read) = entries[5].clone();
    let mut more = |change: &dyn Fn(&mut crate::audit::AuditEntry)| {
        let mut entry = read.clone();
        entry.seq = u64::try_from(entries.len()).unwrap();
        change(&mut entry);
        entries.push((leaf, entry));
    };
    more(&|entry| entry.subjects[0].patient = Some(PatientId::FACILITY));
    more(&|entry| entry.subjects = vec![AuditSubject { patient: None, counter: None, records: Vec::new() }]);
    more(&|entry| {
        (entry.event, entry.purpose) = (AuditEvent::GlassBroken, Some(crate::terms::Purpose::BreakGlass));
        entry.detail = Some("=found \"unconscious\",\nbed|3 \\ a=b".to_owned());
    });
    more(&|entry| {
        (entry.event, entry.outcome, entry.actor) = (AuditEvent::EntryLost, Outcome::Failed, None);
        entry.subjects.clear();
    });
    let delivered = |(leaf, entry): ([u8; 32], crate::audit::AuditEntry)| {
        Delivered::new((entry.seq, entry.time, leaf), Some(entry))
    };
    entries.into_iter().map(delivered).collect()
}

/// The form's text, with a word in place of the crate's version.
fn written(format: LogFormat) -> String {
    let mut text = format.head();
    entries().iter().for_each(|entry| format.put(kit::VAULT, entry, &mut text));
    let version = format!("|chartvault|{}|", env!("CARGO_PKG_VERSION"));
    text.replace(&version, "|chartvault|VERSION|")
}

fn place(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/exports").join(name)
}

#[test]
fn every_form_is_written_as_it_always_was() {
    for (format, name) in FORMS {
        let golden = std::fs::read_to_string(place(name)).unwrap();
        for (line, golden) in written(format).split('\n').zip(golden.split('\n')) {
            assert_eq!(line, golden, "{name}");
        }
        assert_eq!(written(format).len(), golden.len(), "{name}");
    }
}

#[test]
#[ignore = "writes the golden files, where a form was changed on purpose"]
fn write_the_golden_files() {
    for (format, name) in FORMS {
        std::fs::write(place(name), written(format)).unwrap();
    }
}

#[test]
fn the_lines_of_json_and_fhir_are_objects_and_those_of_fhir_are_as_many_as_parts() {
    let objects = |format: LogFormat| {
        let text = written(format);
        text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()).collect::<Vec<_>>().len()
    };
    let parts: usize = entries().iter().map(|entry| part::parts(entry.entry.as_ref().unwrap()).len()).sum();
    assert_eq!(objects(LogFormat::JsonLines), entries().len());
    assert_eq!((objects(LogFormat::FhirR4), objects(LogFormat::FhirR5)), (parts, parts));
    assert_eq!(crate::csv::read(&written(LogFormat::Csv)).len(), parts + 1);
    assert_eq!(written(LogFormat::Cef).lines().count(), parts);
}

#[test]
fn what_the_forms_are_made_of_stands_on_their_page() {
    let page = include_str!("../../docs/format/exports.md");
    let named = |name: &str| page.contains(&format!("`{name}`"));
    let first = written(LogFormat::Csv);
    for name in crate::csv::read(&first)[0].iter() {
        assert!(named(name), "{name}");
    }
    let cef = written(LogFormat::Cef);
    let keys = cef.split([' ', '|']).filter_map(|word| word.split_once('=')).map(|(key, _)| key);
    for key in keys.filter(|key| !key.ends_with("Label") && !key.ends_with('\\')) {
        assert!(named(key), "{key}");
    }
    for line in written(LogFormat::FhirR4).lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        for name in line["entity"].as_array().unwrap().last().unwrap()["detail"].as_array().unwrap() {
            assert!(named(name["type"].as_str().unwrap()), "{name}");
        }
    }
    for event in AuditEvent::ALL {
        let line = (event.to_string(), fhir::codes::meaning(*event));
        let own_row = !matches!(line.1.kind.code, "110100" | "110101" | "110112" | "110113");
        assert!(!own_row || page.contains(&line.0), "{}", line.0);
    }
}
