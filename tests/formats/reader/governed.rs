//! What the stranger finds of roles, uses of tokens, the rules for all tokens, emergencies, and refusals in the log.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

fn rows(read: &Value, table: &str) -> BTreeMap<String, Value> {
    let rows = read["policy"][table].as_object().unwrap_or_else(|| panic!("no table {table}"));
    rows.iter().map(|(id, row)| (id.clone(), row.clone())).collect()
}

fn seconds(length: Option<Duration>) -> Value {
    json!(length.map(|length| length.as_secs()))
}

/// A role as the reader shows it.
fn shown(revision: &RoleRevision) -> Value {
    let role = &revision.role;
    let kinds = role.listed_kinds().map(|kinds| kinds.iter().map(ToString::to_string).collect::<Vec<_>>());
    let words = |words: Vec<String>| json!(words);
    json!({
        "name": role.name(), "revision": revision.revision, "retired": revision.retired,
        "defined_at": revision.defined_at.as_micros(), "defined_by": hex(revision.defined_by.as_bytes()),
        "actions": words(role.listed_actions().map(|action| action.to_string()).collect()),
        "purposes": words(role.listed_purposes().map(|purpose| purpose.to_string()).collect()),
        "sensitivity": role.ceiling().to_string(),
        "categories": role.listed_categories().fold(0, |bits, category| bits | 1_u32 << place(category)),
        "description": role.description_text(), "kinds": kinds.map_or(json!("all"), |kinds| json!(kinds)),
    })
}

/// The bit of a category in a row.
fn place(category: Category) -> usize {
    Category::ALL.iter().position(|known| *known == category).unwrap()
}

/// An emergency as the reader shows it, without the patient's tag.
fn told(case: &ReviewCase) -> Value {
    let id = |bytes: &[u8; 16]| hex(bytes);
    let review = case.review.as_ref();
    json!({
        "actor": id(case.actor.as_bytes()), "session": id(case.session.as_bytes()), "token": id(case.token.as_bytes()),
        "from": case.at.as_micros(), "until": case.until.as_micros(), "reason": case.reason.to_string(),
        "text": case.text, "overdue": case.escalated.map(Timestamp::as_micros),
        "assigned": case.assigned.map(|(to, since)| json!([id(to.as_bytes()), since.as_micros()])),
        "review": review.map(|by| {
            json!([id(by.by.as_bytes()), by.at.as_micros(), by.verdict.to_string(), by.note])
        }),
    })
}

#[test]
fn a_stranger_reads_roles_uses_rules_emergencies_and_labels_of_charts_as_the_library_does() {
    if !can_run() {
        return;
    }
    let exhibit = Exhibit::new(Suite::ChaCha20Poly1305);
    let (clock, pass) = (&exhibit.clock, Passphrase::new(PASSPHRASE));
    let vault = exhibit.open(&exhibit.path()).unwrap();
    let nothing = json(&exhibit.path(), PASSPHRASE);
    for table in ["roles", "roles_before", "uses", "access_rules", "emergencies", "chart_labels"] {
        assert!(rows(&nothing, table).is_empty(), "{table}");
    }

    let office = session(&vault, &exhibit.issuer, clock);
    let nurse = Role::new("nurse").description("care").kind::<Note>().actions([Action::Read, Action::List]);
    let nurse = nurse.purposes([Purpose::Treatment]).categories([Category::Hiv, Category::SickleCell]);
    office.roles().define(&nurse).unwrap();
    clock.step(60);
    office.roles().define(&nurse.kind::<Allergy>().sensitivity(Confidentiality::Low)).unwrap();
    let auditor = Role::new("r\u{e9}viseur").all_kinds().actions([Action::Audit]).purposes([Purpose::Operations]);
    office.roles().define(&auditor).unwrap();
    office.roles().retire(auditor.name(), "nobody has it").unwrap();
    let rules = AccessRules::new().sessions_at_once(90).idle(HOUR).review_within(HOUR);
    vault.set_access_rules(rules.longest_validity(HOUR * 24 * 90), &pass).unwrap();

    let patient = office.register_patient([]).unwrap();
    let id = office.put(patient, &note("a")).unwrap();
    let grant = Grant::to("n.adu").all_patients().all_kinds().actions([Action::Read, Action::List, Action::Grant]);
    let grant = grant.purposes([Purpose::Treatment, Purpose::BreakGlass]).valid_for(HOUR).max_uses(40);
    let grant = grant.emergency([Action::Read], Confidentiality::Normal, HOUR / 4).issued_at(clock.now());
    let token = grant.sign(&exhibit.issuer, vault.id()).unwrap();
    let narrow = token.attenuate().issued_at(clock.now()).max_uses(3);
    let narrow = narrow.emergency([Action::Read], Confidentiality::Low, HOUR / 8).finish().unwrap();
    let [ward, delegate] = [&token, &narrow].map(|token| vault.session(token, Purpose::Treatment).unwrap());
    assert!(ward.get(id).is_ok() && delegate.get(id).is_ok());
    assert!(matches!(ward.put(patient, &note("b")), Err(Error::Denied { .. })));
    ward.break_glass(patient, EmergencyReason::PatientInDanger, "found unconscious").unwrap();
    ward.break_glass(patient, EmergencyReason::Other, "alarm in room 4").unwrap();
    delegate.break_glass(patient, EmergencyReason::RightsMissing, "rights came late").unwrap();
    let open = office.cases().list(CaseState::Open, None).unwrap();
    office.cases().assign(open[0].id, office.principal()).unwrap();
    office.cases().assign(open[1].id, office.principal()).unwrap();
    office.cases().close(open[1].id, Verdict::Referred, "to the ward's head").unwrap();
    let label = ChartLabel::new().confidentiality(Confidentiality::Low).category(Category::Hiv).vip();
    office.label_chart(patient, label, "policy 7").unwrap();
    // At the next opening the two cases that were not closed are overdue.
    clock.advance(2 * HOUR);
    vault.close().unwrap();
    let vault = exhibit.open(&exhibit.path()).unwrap();
    let office = session(&vault, &exhibit.issuer, clock);
    let cases = office.cases().list(CaseState::Any, None).unwrap();
    assert_eq!(cases.iter().filter(|case| case.escalated.is_some()).count(), 2);
    let in_force = office.roles().list().unwrap();
    let nurses = office.roles().revisions("nurse").unwrap();
    let log = whole_log(&office);
    vault.close().unwrap();

    let read = json(&exhibit.path(), PASSPHRASE);
    let by_id = in_force.iter().map(|role| (hex(role.role.id().as_bytes()), shown(role))).collect();
    assert_eq!(rows(&read, "roles"), by_id);
    assert_eq!(in_force.len(), 2);
    let before: BTreeSet<String> = rows(&read, "roles_before").values().map(ToString::to_string).collect();
    assert!(before.contains(&shown(&nurses[0]).to_string()) && before.len() == 2, "{before:?}");
    // Two operations of the narrow token count for both of its blocks: it read, and broke the glass.
    let used = |at: usize| hex(narrow.revocation_ids()[at].as_bytes());
    let uses = BTreeMap::from([(used(0), json!(5)), (used(1), json!(2))]);
    assert_eq!(rows(&read, "uses"), uses.into_iter().collect());
    let [rule] = &rows(&read, "access_rules").into_values().collect::<Vec<_>>()[..] else { panic!("{read}") };
    assert_eq!(
        rule,
        &json!({
            "registered_only": false, "enrolled_only": false, "sessions": 90, "idle": 3_600, "review": 3_600,
            "validity": 90 * 86_400, "longest": seconds(rules.longest_session()),
        })
    );
    let mut found = rows(&read, "emergencies");
    let tags: BTreeSet<String> = found
        .values_mut()
        .map(|row| row.as_object_mut().unwrap().remove("patient_tag").unwrap().as_str().unwrap().to_owned())
        .collect();
    assert_eq!(found, cases.iter().map(|case| (hex(case.id.as_bytes()), told(case))).collect());
    let labels = rows(&read, "chart_labels");
    assert_eq!(labels.values().collect::<Vec<_>>(), [&json!(["L", 2, 1 << place(Category::Hiv)])]);
    assert_eq!(tags, labels.into_keys().collect(), "one patient, by the tag");

    let lines: Vec<&str> = read["log"]["lines"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    for (line, entry) in lines.iter().zip(&log) {
        let start = format!("{} {} {} {}", entry.seq, entry.time, entry.event, entry.outcome);
        assert!(line.starts_with(&start), "{line} is not {start}");
        let refused = entry.refusals.iter().map(|(block, code)| format!(" {block}:{code:04X}")).collect::<String>();
        let says =
            if refused.is_empty() { !line.contains(" refused ") } else { line.contains(&format!(" refused{refused}")) };
        assert!(says, "{line} is not refused{refused}");
    }
    assert!(log.iter().any(|entry| entry.refusals == [(0, 0x12)]), "the note that was not put");
}

/// Words differ nowhere between the reader and the library; a new event is a new word in the reader.
#[test]
fn a_stranger_has_the_word_of_every_event() {
    if !can_run() {
        return;
    }
    let print = "import json, read_vault; print(json.dumps(read_vault.EVENTS))";
    let mut command = Command::new("python3");
    command.args(["-c", print]).current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop"));
    let output = command.env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap();
    let known: BTreeMap<String, String> = serde_json::from_slice(&output.stdout).unwrap();
    for (code, word) in &known {
        assert_eq!(AuditEvent::from_code(code.parse().unwrap()).to_string(), *word);
    }
    for event in AuditEvent::ALL {
        let line = format!("{}: \"{event}\"", event.code());
        assert!(known.contains_key(&event.code().to_string()), "EVENTS in tests/interop/read_vault.py lacks {line}");
    }
}
