//! AuditEvent of FHIR R4 (4.0.1).

use super::codes::{BALP_ENTITY, ENTITY_TYPE, OBJECT_ROLE, SOURCE_TYPE};
use super::{Agent, Event, base64, clean, coded, coding, concept, instant};
use crate::json::{Object, quoted};

pub(super) fn resource(event: &Event<'_>) -> String {
    let mut resource = Object::new();
    resource.text("resourceType", "AuditEvent");
    resource.text("id", &event.id());
    if let Some(profile) = event.profile() {
        let mut meta = Object::new();
        meta.list("profile", [quoted(&profile)].into_iter());
        resource.member("meta", &meta.end());
    }
    resource.member("type", &coded(event.meaning.kind));
    resource.list("subtype", event.subtypes().into_iter());
    resource.text("action", event.meaning.action);
    resource.text("recorded", &instant(event.part.time));
    resource.text("outcome", event.outcome().0);
    resource.maybe("outcomeDesc", event.told());
    resource.list("purposeOfEvent", event.purpose().into_iter().map(|purpose| concept([purpose])));
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
        agent.list("purposeOfUse", event.purpose().into_iter().map(|purpose| concept([purpose])));
    } else {
        let (address, is_machine) = event.network();
        let mut network = Object::new();
        network.text("address", &address);
        network.text("type", if is_machine { "1" } else { "5" });
        agent.member("network", &network.end());
    }
    agent.end()
}

fn source(event: &Event<'_>) -> String {
    let mut source = Object::new();
    source.maybe("site", event.entry.host.as_deref().and_then(clean));
    source.member("observer", &event.vault_reference());
    source.list("type", [coding(SOURCE_TYPE, "5", "Database Server")].into_iter());
    source.end()
}

fn entities(event: &Event<'_>) -> Vec<String> {
    let entity = |what: Option<&str>, kind: (&str, &str), role: (&str, &str)| {
        let mut entity = Object::new();
        if let Some(what) = what {
            entity.member("what", what);
        }
        entity.member("type", &coding(ENTITY_TYPE, kind.0, kind.1));
        entity.member("role", &coding(OBJECT_ROLE, role.0, role.1));
        entity
    };
    const PERSON: (&str, &str) = ("1", "Person");
    const OBJECT: (&str, &str) = ("2", "System Object");
    const OTHER: (&str, &str) = ("4", "Other");
    const RESOURCE: (&str, &str) = ("4", "Domain Resource");
    let mut entities = Vec::new();
    if let Some(patient) = event.patient() {
        let what = event.identified(&patient.to_string(), Some("Patient"));
        entities.push(entity(Some(&what), PERSON, ("1", "Patient")).end());
    } else if event.part.subject.is_some_and(|subject| subject.patient.is_none()) {
        let mut erased = entity(None, PERSON, ("1", "Patient"));
        erased.text("description", "a patient who was erased");
        entities.push(erased.end());
    }
    let query = event.query();
    if let Some(query) = &query {
        let mut asked = entity(None, OBJECT, ("24", "Query"));
        asked.text("description", query);
        asked.text("query", &base64(query));
        entities.push(asked.end());
    }
    // Beside a query, which is the one system object of its pattern, what it found is something else.
    let sort = if query.is_some() { OTHER } else { OBJECT };
    for record in event.part.records {
        let mut found = entity(Some(&event.record(record)), sort, RESOURCE);
        found.text("description", &format!("content tag {}", data_encoding::HEXLOWER.encode(&record.tag)));
        entities.push(found.end());
    }
    if let (true, None, Some(chart)) = (event.part.records.is_empty(), &query, event.data()) {
        entities.push(entity(Some(&chart), OBJECT, RESOURCE).end());
    }
    if let Some(what) = event.request_id() {
        let mut transaction = Object::new();
        transaction.member("what", &what);
        transaction.member("type", &coding(BALP_ENTITY, "XrequestId", "X-Request-Id"));
        entities.push(transaction.end());
    }
    let mut logged = entity(
        Some(&event.identified(&format!("entry-{}", event.entry.seq), None)),
        OTHER,
        ("13", "Security Resource"),
    );
    logged.list(
        "detail",
        event.details().into_iter().map(|(name, value)| {
            let mut detail = Object::new();
            detail.text("type", name);
            detail.text("valueString", &value);
            detail.end()
        }),
    );
    entities.push(logged.end());
    entities
}
