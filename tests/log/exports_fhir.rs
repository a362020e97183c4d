//! The log as AuditEvent of FHIR: a day of a clinic, held against the schema of R4 and the patterns that its lines claim.

use crate::support;

use chartvault::*;
use serde_json::{Value, json};
use support::schema::Schema;
use support::{House, everything, note};

const SCHEMA: &str = include_str!("../data/fhir/audit-event-r4.schema.json");
const BALP: &str = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.";

/// A vault after a day in which what can happen to a chart happened.
struct Day {
    house: House,
    vault: Vault,
    patient: PatientId,
    erased: PatientId,
    ticket: Ticket,
}

impl Day {
    fn new() -> Self {
        let (house, vault) = House::create();
        vault
            .set_read_audit(ReadAudit::Windowed { delay: std::time::Duration::from_secs(60), entries: 8 }, &house.key)
            .unwrap();
        let session = house.session(&vault);
        let mrn = Identifier::new("urn:mrn:clinic-a", "12345").unwrap();
        let patient = session.register_patient([mrn.clone()]).unwrap();
        let erased = session.register_patient([]).unwrap();
        let id = session.put(patient, &note("penicillin: rash")).unwrap();
        session.put(erased, &note("b")).unwrap();
        session.find_patient(&mrn).unwrap();
        session.get(id).unwrap();
        house.clock.advance(std::time::Duration::from_secs(5));
        session.get(id).unwrap();
        session.list::<support::Note>(patient).page().unwrap();
        session.chart(patient).page().unwrap();
        session.history(id).unwrap();
        session.amend(id, Version::FIRST, &note("penicillin: anaphylaxis")).unwrap();
        let other = session.put(patient, &note("of somebody else")).unwrap();
        session.void(other, Version::FIRST, "wrong patient").unwrap();
        assert_eq!(session.export().start().unwrap().count(), 2);
        let nurse = Grant::to("n.adu")
            .all_patients()
            .all_kinds()
            .actions([Action::List])
            .purposes([Purpose::Treatment, Purpose::BreakGlass])
            .emergency([Action::Read], Confidentiality::Restricted, std::time::Duration::from_secs(900))
            .valid_for(std::time::Duration::from_secs(86_400))
            .issued_at(house.clock.now());
        let nurse = house.session_of(&vault, &nurse);
        let Err(Error::Denied { ticket, .. }) = nurse.get(id) else { panic!("not denied") };
        let urgent = nurse.break_glass(patient, EmergencyReason::PatientInDanger, "found\u{b}unconscious").unwrap();
        urgent.get(id).unwrap();
        let order = ErasureOrder::new("the patient asked", "GDPR 17(1)(b)");
        vault.erase_patient(&session, erased, &order, &house.key, &mut |_| ()).unwrap();
        Self { house, vault, patient, erased, ticket }
    }

    fn lines(&self, format: LogFormat) -> Vec<Value> {
        let mut out = Vec::new();
        let session = self.house.session_of(&self.vault, &everything().issued_at(self.house.clock.now()));
        session.audit().unwrap().export(AuditFilter::new()).format(format).write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(!text.contains(&self.erased.to_string()));
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The resources of an event, by the vault's own word.
fn of(lines: &[Value], event: AuditEvent) -> Vec<&Value> {
    let word = event.to_string();
    let is = |line: &&Value| line["subtype"].as_array().unwrap().iter().any(|code| code["code"] == *word);
    let found: Vec<&Value> = lines.iter().filter(is).collect();
    assert!(!found.is_empty(), "no {word}");
    found
}

fn items<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value[name].as_array().into_iter().flatten()
}

fn entities<'v>(line: &'v Value, kind: &str, role: &str) -> Vec<&'v Value> {
    items(line, "entity").filter(|entity| entity["type"]["code"] == *kind && entity["role"]["code"] == *role).collect()
}

/// The rules of the pattern that a resource names in `meta.profile`, as IHE BALP gives them.
fn check_pattern(line: &Value, profile: &str) {
    let name = profile.strip_prefix(BALP).unwrap();
    let (patient, pattern) = name.strip_prefix("Patient").map_or((false, name), |pattern| (true, pattern));
    let (action, interaction, client, server, user) = match pattern {
        "Read" => ("R", "read", "110152", "110153", "IRCP"),
        "Query" => ("E", "search", "110153", "110152", "IRCP"),
        "Create" => ("C", "create", "110153", "110152", "AUT"),
        "Update" => ("U", "update", "110153", "110152", "AUT"),
        "Delete" => ("D", "delete", "110150", "custodian", "AUT"),
        other => panic!("{other}"),
    };
    assert_eq!(
        (&line["type"]["code"], &line["action"], &line["outcome"]),
        (&json!("rest"), &json!(action), &json!("0"))
    );
    assert_eq!(items(line, "subtype").filter(|code| code["code"] == interaction).count(), 1);
    let agents = |code: &str| -> Vec<&Value> {
        items(line, "agent").filter(|agent| agent["type"]["coding"][0]["code"] == *code).collect()
    };
    for code in [client, server] {
        let [agent] = agents(code)[..] else { panic!("{code}: {line}") };
        assert!(agent["who"].is_object() && agent["network"].is_object() && agent["requestor"] == false);
    }
    let [user] = agents(user)[..] else { panic!("{line}") };
    assert!(user["who"].is_object() && user["requestor"] == true && user.get("network").is_none());
    let objects: Vec<&Value> = items(line, "entity").filter(|entity| entity["type"]["code"] == "2").collect();
    let [object] = objects[..] else { panic!("{line}") };
    if pattern == "Query" {
        assert!(object["role"]["code"] == "24" && object["query"].is_string() && object.get("what").is_none());
    } else {
        assert!(object["role"]["code"] == "4" && object["what"].is_object());
    }
    let patients = entities(line, "1", "1");
    assert_eq!(patients.len(), usize::from(patient), "{line}");
    assert!(patients.iter().all(|entity| entity["what"]["type"] == "Patient"));
}

#[test]
fn every_line_of_a_day_is_valid_by_the_schema_of_r4_and_by_what_it_claims() {
    let schema = Schema::new(SCHEMA);
    let lines = Day::new().lines(LogFormat::FhirR4);
    let mut ids = std::collections::BTreeSet::new();
    let mut claimed = std::collections::BTreeSet::new();
    for line in &lines {
        assert_eq!(schema.faults(line), Vec::<String>::new(), "{line}");
        // What the base resource wants and its schema does not say.
        assert!(line["recorded"].is_string() && items(line, "agent").count() > 0, "{line}");
        assert!(items(line, "agent").all(|agent| agent["requestor"].is_boolean()));
        assert!(items(line, "entity").all(|entity| entity.get("name").is_none() || entity.get("query").is_none()));
        assert!(ids.insert(line["id"].as_str().unwrap()));
        if let Some(profile) = line["meta"]["profile"][0].as_str() {
            check_pattern(line, profile);
            claimed.insert(profile.strip_prefix(BALP).unwrap());
        }
    }
    let expected = ["PatientCreate", "PatientQuery", "PatientRead", "PatientUpdate"];
    assert_eq!(claimed.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn a_denial_has_its_ticket_a_broken_glass_its_code_and_an_erased_patient_no_name() {
    let day = Day::new();
    let lines = day.lines(LogFormat::FhirR4);
    let denied: Vec<&Value> =
        of(&lines, AuditEvent::RecordRead).into_iter().filter(|line| line["outcome"] == "4").collect();
    let [denied] = denied[..] else { panic!("{denied:?}") };
    assert!(denied["outcomeDesc"].as_str().unwrap().contains(&day.ticket.to_string()));
    assert!(denied.get("meta").is_none());
    let [broken] = of(&lines, AuditEvent::GlassBroken)[..] else { panic!() };
    assert_eq!(broken["subtype"][0]["code"], "110127");
    let urgent = of(&lines, AuditEvent::RecordRead).into_iter().filter(|line| {
        line["purposeOfEvent"][0]["coding"][0] == json!({
            "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "BTG", "display": "break the glass"
        })
    });
    assert_eq!(urgent.count(), 1);
    let nameless = lines.iter().flat_map(|line| entities(line, "1", "1")).filter(|entity| entity.get("what").is_none());
    assert!(nameless.count() >= 3, "registered, put, exported");
    let told = broken["outcomeDesc"].as_str().unwrap();
    assert!(told.contains("found unconscious"), "a vertical tab is no character of a string of FHIR: {told:?}");
    // Two reads share an entry; each has a resource with its own time.
    let shared: Vec<&str> =
        of(&lines, AuditEvent::RecordRead)[..2].iter().map(|line| line["recorded"].as_str().unwrap()).collect();
    assert_ne!(shared[0], shared[1]);
}

#[test]
fn a_line_can_be_tied_to_the_log_by_number_and_leaf() {
    let day = Day::new();
    let lines = day.lines(LogFormat::FhirR4);
    let put = of(&lines, AuditEvent::RecordPut)[0];
    let [logged] = entities(put, "4", "13")[..] else { panic!("{put}") };
    let seq: u64 =
        logged["what"]["identifier"]["value"].as_str().unwrap().strip_prefix("entry-").unwrap().parse().unwrap();
    let plain = day.lines(LogFormat::JsonLines);
    let entry = plain.iter().find(|entry| entry["seq"] == seq).unwrap();
    assert_eq!((&logged["detail"][0]["type"], &logged["detail"][0]["valueString"]), (&json!("leaf"), &entry["leaf"]));
    assert_eq!(entities(put, "1", "1")[0]["what"]["identifier"]["value"], day.patient.to_string());
    assert_eq!(entry["subjects"][0]["patient"], day.patient.to_string());
}

#[test]
fn the_lines_of_r5_have_the_members_of_r5_and_say_the_same() {
    let day = Day::new();
    let (r4, r5) = (day.lines(LogFormat::FhirR4), day.lines(LogFormat::FhirR5));
    let only = |value: &Value, names: &[&str]| {
        assert!(value.as_object().unwrap().keys().all(|name| names.contains(&name.as_str())), "{value}");
    };
    for (line, before) in r5.iter().zip(&r4) {
        only(
            line,
            &[
                "resourceType",
                "id",
                "category",
                "code",
                "action",
                "occurredDateTime",
                "recorded",
                "outcome",
                "authorization",
                "patient",
                "agent",
                "source",
                "entity",
            ],
        );
        assert_eq!((&line["id"], &line["recorded"]), (&before["id"], &before["recorded"]));
        assert_eq!(line["code"]["coding"], before["subtype"]);
        assert_eq!(line["category"][0]["coding"][0], before["type"]);
        assert_eq!(line["outcome"]["code"]["code"], before["outcome"]);
        assert_eq!(line["outcome"]["detail"][0].get("text"), before.get("outcomeDesc"));
        only(&line["source"], &["site", "observer", "type"]);
        assert!(line["source"]["observer"].is_object());
        for agent in items(line, "agent") {
            only(agent, &["type", "who", "requestor", "policy", "networkUri", "networkString", "authorization"]);
            assert!(agent["who"].is_object());
        }
        assert_eq!(items(line, "entity").count(), items(before, "entity").count());
        for entity in items(line, "entity") {
            only(entity, &["what", "role", "query", "detail"]);
            assert!(items(entity, "detail").all(|detail| detail["type"]["text"].is_string()));
        }
    }
    assert!(r4.len() < r5.len(), "the first export stands in the log of the second");
}

#[test]
fn the_schema_refuses_what_is_not_valid() {
    let schema = Schema::new(SCHEMA);
    let lines = Day::new().lines(LogFormat::FhirR4);
    let sound = of(&lines, AuditEvent::RecordPut)[0];
    for (at, value) in [
        ("/outcome", json!("5")),
        ("/action", json!("X")),
        ("/recorded", json!("2026-01-05")),
        ("/id", json!("a_b")),
        ("/type", json!("rest")),
        ("/agent/0/requestor", json!("true")),
        ("/agent/0/policy/0", json!("a b")),
        ("/entity/0/type/code", json!(" 1")),
        ("/entity/0/what", json!({ "uri": "x" })),
        ("/source/observer", Value::Null),
    ] {
        let mut wrong = sound.clone();
        *wrong.pointer_mut(at).unwrap() = value;
        assert!(!schema.faults(&wrong).is_empty(), "{at}");
    }
    for missing in ["resourceType", "type", "agent", "source"] {
        let mut wrong = sound.clone();
        wrong.as_object_mut().unwrap().remove(missing);
        assert!(!schema.faults(&wrong).is_empty(), "{missing}");
    }
}
