//! What there is to know of a FHIR resource: its type, whose it is, when it happened, and what to call it.

use chartvault::{Identifier, Timestamp};
use serde_json::Value;

pub struct Resource(Value);

/// The system under which a patient's resource id is registered.
const RESOURCE_ID: &str = "urn:fhir:Patient";
/// Fields that name the patient a resource is about.
const PATIENT: [&str; 5] = ["subject", "patient", "beneficiary", "for", "individual"];
/// Fields that say when it happened, the most telling first.
const TIME: [&str; 30] = [
    "/effectiveDateTime",
    "/effectivePeriod/start",
    "/effectiveInstant",
    "/onsetDateTime",
    "/onsetPeriod/start",
    "/occurrenceDateTime",
    "/occurrencePeriod/start",
    "/performedDateTime",
    "/performedPeriod/start",
    "/servicedDate",
    "/servicedPeriod/start",
    "/whenHandedOver",
    "/authoredOn",
    "/period/start",
    "/startDate",
    "/collection/collectedDateTime",
    "/recordedDate",
    "/recorded",
    "/dateTime",
    "/dateWritten",
    "/sent",
    "/start",
    "/started",
    "/date",
    "/issued",
    "/created",
    "/timestamp",
    "/billablePeriod/start",
    "/birthDate",
    "/meta/lastUpdated",
];

impl Resource {
    pub fn parse(line: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(line).map(Self)
    }

    /// Its resource type.
    pub fn kind(&self) -> &str {
        self.text("/resourceType").unwrap_or("unknown")
    }

    /// The resource id of the patient whose chart it belongs in: a Patient's own, or the one it refers to. `None` for
    /// what is about no patient (an organisation, a medication), or about one inside itself (`#newborn`) or on another
    /// server (an absolute URL): nobody here is known by that.
    pub fn patient(&self) -> Option<&str> {
        if self.kind() == "Patient" {
            return self.text("/id");
        }
        let fields = PATIENT.iter().filter_map(|field| self.0.get(field));
        // A few resource types have a list here.
        let mut references = fields.flat_map(|field| match field {
            Value::Array(several) => several.as_slice(),
            one => std::slice::from_ref(one),
        });
        references.find_map(|reference| {
            let reference = reference.get("reference")?.as_str()?;
            let id = reference.strip_prefix("Patient/").or_else(|| reference.strip_prefix("urn:uuid:"))?;
            id.split('/').next() // without the version of the resource that is meant
        })
    }

    /// A Patient's identifiers. Those without a system say nothing outside the resource.
    pub fn identifiers(&self) -> impl Iterator<Item = Identifier> {
        let all = self.0.get("identifier").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        all.iter().filter_map(|identifier| {
            Identifier::new(identifier.get("system")?.as_str()?, identifier.get("value")?.as_str()?).ok()
        })
    }

    /// When what it tells of happened.
    pub fn time(&self) -> Option<Timestamp> {
        TIME.iter().find_map(|field| instant(self.text(field)?))
    }

    /// What a person would call it.
    pub fn title(&self) -> Option<&str> {
        const NAMED_BY: [&str; 8] = [
            "/code",
            "/vaccineCode",
            "/medicationCodeableConcept",
            "/type/0",
            "/description",
            "/type",
            "/category/0",
            "/series/0/bodySite",
        ];
        NAMED_BY.iter().find_map(|field| {
            let inside = |rest| self.text(&format!("{field}/{rest}"));
            inside("text").or_else(|| inside("coding/0/display")).or_else(|| inside("display"))
        })
    }

    /// A Patient's name.
    pub fn name(&self) -> Option<String> {
        let (given, family) = (self.text("/name/0/given/0"), self.text("/name/0/family"));
        match (given, family) {
            (None, None) => self.text("/name/0/text").map(str::to_owned),
            _ => Some([given, family].into_iter().flatten().collect::<Vec<_>>().join(" ")),
        }
    }

    fn text(&self, pointer: &str) -> Option<&str> {
        self.0.pointer(pointer)?.as_str()
    }
}

/// The identifier that a patient's resource id stands for.
pub fn resource_id(id: &str) -> Result<Identifier, chartvault::Error> {
    Identifier::new(RESOURCE_ID, id)
}

/// The instant of a FHIR date; of one without day or time, the first instant that it covers (in UTC).
fn instant(date: &str) -> Option<Timestamp> {
    let rest = match date.len() {
        4 => "-01-01T00:00:00Z",
        7 => "-01T00:00:00Z",
        10 => "T00:00:00Z",
        _ => "",
    };
    format!("{date}{rest}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patient_in(json: &str) -> Option<String> {
        Resource::parse(json.as_bytes()).unwrap().patient().map(str::to_owned)
    }

    #[test]
    fn a_resource_belongs_to_the_patient_it_names() {
        let own = r#"{"resourceType":"Patient","id":"a","managingOrganization":{"reference":"Organization/b"}}"#;
        assert_eq!(patient_in(own).as_deref(), Some("a"));
        for (reference, patient) in [
            ("Patient/a", Some("a")),
            ("Patient/a/_history/3", Some("a")),
            ("urn:uuid:a", Some("a")),
            ("Group/a", None),
            ("#a", None),
            ("https://elsewhere.example/fhir/Patient/a", None),
        ] {
            let found = patient_in(&format!(r#"{{"subject":{{"reference":"{reference}"}}}}"#));
            assert_eq!(found.as_deref(), patient, "{reference}");
        }
        let list = r#"{"subject":[{"reference":"Device/d"},{"reference":"Patient/a"}]}"#;
        assert_eq!(patient_in(list).as_deref(), Some("a"));
        assert_eq!(patient_in(r#"{"subject":{"display":"somebody"}}"#), None);
    }

    #[test]
    fn dates_without_day_or_time_count_from_their_first_instant() {
        for (date, start) in [
            ("2012", Some("2012-01-01T00:00:00Z")),
            ("2012-05", Some("2012-05-01T00:00:00Z")),
            ("2012-05-06", Some("2012-05-06T00:00:00Z")),
            ("2012-05-06T07:08:09+02:00", Some("2012-05-06T05:08:09Z")),
            ("2012-13", None),
            ("in May", None),
        ] {
            assert_eq!(instant(date).map(|time| time.to_string()).as_deref(), start, "{date}");
        }
    }
}
