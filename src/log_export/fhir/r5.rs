//! AuditEvent of FHIR R5 (5.0.0).

use super::codes::{BALP_ENTITY, OBJECT_ROLE, OUTCOME, SOURCE_TYPE};
use super::{Agent, Event, base64, clean, coded, coding, concept, instant};
use crate::json::Object;

pub(super) fn resource(event: &Event<'_>) -> String {
    let mut resource = Object::new();
    resource.text("resourceType", "AuditEvent");
    resource.text("id", &event.id());
    resource.list("category", [concept([coded(event.meaning.kind)])].into_iter());
    resource.member("code", &concept(event.subtypes()));
    resource.text("action", event.meaning.action);
    resource.text("occurredDateTime", &instant(event.part.time));
    resource.text("recorded", &instant(event.part.time));
    let (code, display) = event.outcome();
    let mut outcome = Object::new();
    outcome.member("code", &coding(OUTCOME, code, display));
    if let Some(told) = event.told() {
        let mut detail = Object::new();
        detail.text("text", &told);
        outcome.list("detail", [detail.end()].into_iter());
    }
    resource.member("outcome", &outcome.end());
    resource.list("authorization", event.purpose().into_iter().map(|purpose| concept([purpose])));
    if let Some(patient) = event.patient() {
        resource.member("patient", &event.identified(&patient.to_string(), Some("Patient")));
    }
    resource.list("agent", event.agents().into_iter().map(|(agent, who)| self::agent(event, agent, &who)));
    resource.member("source", &source(event));
    resource.list("entity", entities(event).into_iter());
    resource.end()
}

fn agent(event: &Event<'_>, which: Agent, who: &str) -> String {
    let mut agent = Object::new();
    agent.member("type", &concept([coded(event.agent_code(which))]));
    agent.member("who", who);
    agent.member("requestor", if which == Agent::User { "true" } else { "false" });
    if which == Agent::User {
        agent.list("policy", event.policies().into_iter());
        agent.list("authorization", event.purpose().into_iter().map(|purpose| concept([purpose])));
    } else {
        let (address, is_machine) = event.network();
        agent.text(if is_machine { "networkString" } else { "networkUri" }, &address);
    }
    agent.end()
}

fn source(event: &Event<'_>) -> String {
    let mut source = Object::new();
    if let Some(host) = event.entry.host.as_deref().and_then(clean) {
        let mut site = Object::new();
        site.text("display", &host);
        source.member("site", &site.end());
    }
    source.member("observer", &event.vault_reference());
    source.list("type", [concept([coding(SOURCE_TYPE, "5", "Database Server")])].into_iter());
    source.end()
}

fn entities(event: &Event<'_>) -> Vec<String> {
    let role = |code: &str, display: &str| concept([coding(OBJECT_ROLE, code, display)]);
    let entity = |what: &str, role: &str| {
        let mut entity = Object::new();
        entity.member("what", what);
        entity.member("role", role);
        entity
    };
    let mut entities = Vec::new();
    if let Some(patient) = event.patient() {
        let what = event.identified(&patient.to_string(), Some("Patient"));
        entities.push(entity(&what, &role("1", "Patient")).end());
    } else if event.part.subject.is_some_and(|subject| subject.patient.is_none()) {
        entities.push(entity(r#"{"display":"a patient who was erased"}"#, &role("1", "Patient")).end());
    }
    let query = event.query();
    if let Some(query) = &query {
        let mut asked = Object::new();
        asked.member("role", &role("24", "Query"));
        asked.text("query", &base64(query));
        entities.push(asked.end());
    }
    for record in event.part.records {
        let mut found = entity(&event.record(record), &role("4", "Domain Resource"));
        let tag = data_encoding::HEXLOWER.encode(&record.tag);
        found.list("detail", [detail("content-tag", &tag)].into_iter());
        entities.push(found.end());
    }
    if let (true, None, Some(chart)) = (event.part.records.is_empty(), &query, event.data()) {
        entities.push(entity(&chart, &role("4", "Domain Resource")).end());
    }
    if let Some(what) = event.request_id() {
        entities.push(entity(&what, &concept([coding(BALP_ENTITY, "XrequestId", "X-Request-Id")])).end());
    }
    let what = event.identified(&format!("entry-{}", event.entry.seq), None);
    let mut logged = entity(&what, &role("13", "Security Resource"));
    logged.list("detail", event.details().into_iter().map(|(name, value)| detail(name, &value)));
    entities.push(logged.end());
    entities
}

fn detail(name: &str, value: &str) -> String {
    let mut kind = Object::new();
    kind.text("text", name);
    let mut detail = Object::new();
    detail.member("type", &kind.end());
    detail.text("valueString", value);
    detail.end()
}
