//! The log as AuditEvent resources of FHIR, after the Basic Audit Log Patterns of IHE (BALP): one resource for each part of an
//! entry.

pub(super) mod codes;
mod r4;
mod r5;

use codes::{Code, Meaning, Pattern, code, meaning};
use data_encoding::{BASE64, HEXLOWER};

use super::part::{Part, parts};
use crate::audit::{AuditEntry, AuditEvent, AuditRecord, Outcome};
use crate::clock::Timestamp;
use crate::ids::{PatientId, VaultId};
use crate::json::{Object, quoted};
use crate::sink::Delivered;

/// Which version of FHIR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Release {
    R4,
    R5,
}

/// One resource a line.
pub(super) fn put(release: Release, vault: VaultId, delivered: &Delivered, out: &mut String) {
    let Some(entry) = &delivered.entry else { return };
    let leaf = HEXLOWER.encode(&delivered.leaf);
    for part in parts(entry) {
        let event = Event { vault, entry, part: &part, leaf: &leaf, meaning: meaning(entry.event) };
        out.push_str(&match release {
            Release::R4 => r4::resource(&event),
            Release::R5 => r5::resource(&event),
        });
        out.push('\n');
    }
}

/// One part of an entry on its way to a resource.
struct Event<'e> {
    vault: VaultId,
    entry: &'e AuditEntry,
    part: &'e Part<'e>,
    leaf: &'e str,
    meaning: Meaning,
}

/// The role that an agent plays.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Agent {
    /// Who asked.
    User,
    /// The session through which was asked.
    Client,
    /// The vault.
    Server,
}

impl Event<'_> {
    /// Names the resource: vault, entry, part. At most 64 characters.
    fn id(&self) -> String {
        format!("{}-{}-{}", HEXLOWER.encode(self.vault.as_bytes()), self.entry.seq, self.part.number)
    }

    /// The vault: also the system of all its own ids, each of which says what it is of.
    fn vault_urn(&self) -> String {
        urn(self.vault.as_bytes())
    }

    /// The profile that the resource truly follows, as far as one can say by its codes.
    fn profile(&self) -> Option<String> {
        let pattern = self.meaning.pattern?;
        let done = self.entry.outcome == Outcome::Allowed;
        let erased = self.part.subject.is_some_and(|subject| subject.patient.is_none());
        let told = pattern == Pattern::Query || self.data().is_some();
        let whose = if self.patient().is_some() { "Patient" } else { "" };
        (done && !erased && told && self.entry.session.is_some())
            .then(|| format!("{}{whose}{}", codes::BALP_PROFILE, pattern.name()))
    }

    /// The patient, where it is a person whose name is still there: the facility's own chart is nobody's.
    fn patient(&self) -> Option<PatientId> {
        self.part.subject.and_then(|subject| subject.patient).filter(|patient| *patient != PatientId::FACILITY)
    }

    /// What the event was about, where it was one thing: a record, or else the chart itself.
    fn data(&self) -> Option<String> {
        match self.part.records {
            [] if !matches!(self.meaning.pattern, Some(Pattern::Read | Pattern::Query)) => {
                Some(self.identified(&self.patient()?.to_string(), None))
            }
            [record] => Some(self.record(record)),
            _ => None,
        }
    }

    /// A reference to a record: kind, number and version, after the patient.
    fn record(&self, record: &AuditRecord) -> String {
        let chart = self.part.subject.and_then(|subject| subject.patient).map(|patient| format!("{patient}/"));
        let (chart, AuditRecord { kind, number, version, .. }) = (chart.unwrap_or_default(), record);
        self.identified(&format!("{chart}{kind}/{number}/{version}"), None)
    }

    /// A reference to something that the vault has an id for.
    fn identified(&self, value: &str, kind: Option<&str>) -> String {
        reference(&self.vault_urn(), value, kind, None)
    }

    /// A reference to the vault itself.
    fn vault_reference(&self) -> String {
        reference("urn:ietf:rfc:3986", &self.vault_urn(), Some("Device"), Some(&format!("chartvault {}", self.vault)))
    }

    /// What an agent is, by the pattern: whether the client sends or gets, and what its user does.
    fn agent_code(&self, agent: Agent) -> Code {
        const SOURCE: Code = code(codes::DCM, "110153", "Source Role ID");
        const DESTINATION: Code = code(codes::DCM, "110152", "Destination Role ID");
        match (agent, self.meaning.pattern) {
            (Agent::User, Some(Pattern::Create | Pattern::Update | Pattern::Delete)) => {
                code(codes::PARTICIPATION, "AUT", "author (originator)")
            }
            (Agent::User, _) => code(codes::PARTICIPATION, "IRCP", "information recipient"),
            (Agent::Client, Some(Pattern::Read)) => DESTINATION,
            (Agent::Client, Some(Pattern::Query | Pattern::Create | Pattern::Update)) => SOURCE,
            (Agent::Client, _) => code(codes::DCM, "110150", "Application"),
            (Agent::Server, Some(Pattern::Read)) => SOURCE,
            (Agent::Server, Some(Pattern::Query | Pattern::Create | Pattern::Update)) => DESTINATION,
            (Agent::Server, _) => code(codes::PROVENANCE, "custodian", "Custodian"),
        }
    }

    /// Which agents there are, and who each of them is.
    fn agents(&self) -> Vec<(Agent, String)> {
        let user = self.entry.actor.map(|actor| (Agent::User, self.identified(&actor.to_string(), None)));
        let client = self.entry.session.map(|session| {
            let host = self.entry.host.as_deref().and_then(clean);
            let who = reference(&self.vault_urn(), &session.to_string(), Some("Device"), host.as_deref());
            (Agent::Client, who)
        });
        user.into_iter().chain(client).chain([(Agent::Server, self.vault_reference())]).collect()
    }

    /// The blocks of the token: what authorised it.
    fn policies(&self) -> Vec<String> {
        let urn = self.vault_urn();
        self.entry.revocation_ids.iter().map(|block| quoted(&format!("{urn}#{block}"))).collect()
    }

    /// Client and vault run in one process: its host where that is known, or else the vault's name.
    fn network(&self) -> (String, bool) {
        match self.entry.host.as_deref().and_then(clean) {
            Some(host) => (host, true),
            None => (self.vault_urn(), false),
        }
    }

    fn purpose(&self) -> Option<String> {
        let purpose = self.entry.purpose?;
        Some(coding(codes::ACT_REASON, &purpose.to_string(), codes::purpose(purpose)))
    }

    /// The codes that the event has besides its type: the standard's, and the vault's own word.
    fn subtypes(&self) -> Vec<String> {
        let word = self.entry.event.to_string();
        let sub = self.meaning.sub.map(|sub| coding(sub.system, sub.code, sub.display));
        sub.into_iter().chain([coding(codes::EVENTS, &word, &word)]).collect()
    }

    /// The standard's number of how it ended, and its name.
    fn outcome(&self) -> (&'static str, &'static str) {
        match (self.entry.event, self.entry.outcome) {
            (AuditEvent::DamageFound | AuditEvent::EntryLost, _) => ("12", "Major failure"),
            (_, Outcome::Allowed) => ("0", "Success"),
            (_, Outcome::Denied) => ("4", "Minor failure"),
            (_, Outcome::Failed) => ("8", "Serious failure"),
        }
    }

    /// What else there is to say of how it ended: the rule that denied it, the ticket, how often, and the free text.
    fn told(&self) -> Option<String> {
        let AuditEntry { outcome, reason, ticket, count, detail, .. } = self.entry;
        let mut told = Vec::new();
        if *outcome != Outcome::Allowed {
            told.push(reason.map_or_else(|| outcome.to_string(), |reason| format!("{outcome} by rule {reason}")));
        }
        told.extend(ticket.as_ref().map(ToString::to_string));
        told.extend(count.map(|count| format!("count {count}")));
        told.extend(detail.as_deref().and_then(clean));
        (!told.is_empty()).then(|| told.join("; "))
    }

    /// What a query asked for, as the vault understood it.
    fn query(&self) -> Option<String> {
        if self.meaning.pattern != Some(Pattern::Query) {
            return None;
        }
        let patient = self.part.subject.and_then(|subject| subject.patient).or(self.entry.requested);
        let asked = [
            Some(self.entry.event.to_string()),
            patient.map(|patient| format!("patient={patient}")),
            self.entry.kind.map(|kind| format!("kind={kind}")),
        ];
        Some(asked.into_iter().flatten().collect::<Vec<_>>().join("&"))
    }

    /// What the entry says that the resource has no place for: name and value.
    fn details(&self) -> Vec<(&'static str, String)> {
        let entry = self.entry;
        let one = |name, value: Option<String>| value.map(|value| (name, value));
        let mut details = vec![("leaf", self.leaf.to_owned()), ("part", self.part.number.to_string())];
        details.extend(one("issuer", entry.issuer.map(|issuer| issuer.to_string())));
        details.extend(one("action", entry.action.map(|action| action.to_string())));
        details.extend(one("kind", entry.kind.map(|kind| kind.to_string())));
        details.extend(one("requested", entry.requested.map(|patient| patient.to_string())));
        let counter = self.part.subject.and_then(|subject| subject.counter);
        details.extend(one("patient-counter", counter.map(|counter| counter.to_string())));
        details.extend(one("device", entry.device.as_deref().and_then(clean)));
        details.extend(one("possession", entry.possession.then(|| "shown".to_owned())));
        details.extend(one("clock", entry.clock.map(instant)));
        details.extend(entry.attesters.iter().map(|attester| ("attester", attester.to_string())));
        details.extend(entry.refusals.iter().map(|(block, reason)| ("refusal", format!("{block}:{reason}"))));
        details.extend(entry.consent.iter().filter_map(|answer| {
            let verdict = if answer.permitted { "permitted" } else { "refused" };
            clean(&format!("{verdict} {} x{}", answer.code, answer.count)).map(|told| ("consent", told))
        }));
        details
    }

    fn request_id(&self) -> Option<String> {
        let id = clean(self.entry.request_id.as_deref()?)?;
        let mut identifier = Object::new();
        identifier.text("value", &id);
        let mut what = Object::new();
        what.member("identifier", &identifier.end());
        Some(what.end())
    }
}

fn coding(system: &str, code: &str, display: &str) -> String {
    let mut coding = Object::new();
    coding.text("system", system);
    coding.text("code", code);
    coding.text("display", display);
    coding.end()
}

fn coded(Code { system, code, display }: Code) -> String {
    coding(system, code, display)
}

/// A CodeableConcept with these codes.
fn concept(codings: impl IntoIterator<Item = String>) -> String {
    let mut concept = Object::new();
    concept.list("coding", codings.into_iter());
    concept.end()
}

/// A reference by identifier: nothing in the vault has an address.
fn reference(system: &str, value: &str, kind: Option<&str>, display: Option<&str>) -> String {
    let mut identifier = Object::new();
    identifier.text("system", system);
    identifier.text("value", value);
    let mut reference = Object::new();
    reference.maybe("type", kind.map(str::to_owned));
    reference.member("identifier", &identifier.end());
    reference.maybe("display", display.map(str::to_owned));
    reference.end()
}

fn urn(id: &[u8; 16]) -> String {
    let hex = HEXLOWER.encode(id);
    let groups = [0..8, 8..12, 12..16, 16..20, 20..32].map(|group| hex.get(group).unwrap_or_default());
    format!("urn:uuid:{}", groups.join("-"))
}

/// The type `instant` has years of four digits.
fn instant(time: Timestamp) -> String {
    const FIRST: i64 = -62_135_596_800_000_000;
    const LAST: i64 = 253_402_207_199_999_999;
    Timestamp::from_micros(time.as_micros().clamp(FIRST, LAST)).to_string()
}

/// The type `string` has no controls and no blanks but the usual ones, and is not empty.
fn clean(text: &str) -> Option<String> {
    let odd = |c: char| c.is_control() || c.is_whitespace() || c == '\u{feff}';
    let text: String = text.chars().map(|c| if odd(c) && !matches!(c, '\t' | '\r' | '\n') { ' ' } else { c }).collect();
    (!text.trim().is_empty()).then_some(text)
}

fn base64(text: &str) -> String {
    BASE64.encode(text.as_bytes())
}

#[cfg(test)]
mod tests;
