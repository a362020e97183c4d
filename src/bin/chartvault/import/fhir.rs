//! What there is to know of a FHIR resource: its type and id, whose it is, when it happened, how confidential it is.

use chartvault::{Category, Confidentiality, Identifier, Kind, Labels, PutOptions, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

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

/// What a line holds.
pub enum Unit<'a> {
    Resource(Resource),
    /// The resources of a Bundle, each as the bytes that stand in it.
    Bundle(Vec<&'a RawValue>),
}

/// Reads a line. A reason names nothing of what stands in it.
pub fn unit(bytes: &[u8]) -> Result<Unit<'_>, String> {
    let resource = Resource::parse(bytes)?;
    if resource.kind.as_str() != "Bundle" {
        return Ok(Unit::Resource(resource));
    }
    // A Bundle without entries is an empty one.
    let bundle: Bundle<'_> = serde_json::from_slice(bytes).map_err(|_| "its Bundle has no list of entries")?;
    Ok(Unit::Bundle(bundle.entry.into_iter().filter_map(|entry| entry.resource).collect()))
}

#[derive(Deserialize)]
struct Bundle<'a> {
    #[serde(borrow, default)]
    entry: Vec<BundleEntry<'a>>,
}

#[derive(Deserialize)]
struct BundleEntry<'a> {
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
}

/// A resource, and what its fields say.
pub struct Resource {
    kind: Kind,
    json: Value,
}

impl Resource {
    /// Reads it. A reason names nothing of what stands in it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let json: Value = serde_json::from_slice(bytes)
            .map_err(|error| format!("it is no JSON (line {}, column {} of it)", error.line(), error.column()))?;
        let name = json.get("resourceType").and_then(Value::as_str).ok_or("it has no resourceType")?;
        let kind = Kind::new(name).map_err(|_| "its resourceType is no name of a type")?;
        Ok(Self { kind, json })
    }

    /// Its resource type.
    pub const fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Its id.
    pub fn id(&self) -> Option<&str> {
        self.text("/id")
    }

    /// Whether it is a Patient resource.
    pub fn is_patient(&self) -> bool {
        self.kind.as_str() == "Patient"
    }

    /// The resource id of the patient whose chart it belongs in: a Patient's own, or the one it refers to. `None` for
    /// what is about no patient (an organisation, a medication), or about one inside itself (`#newborn`) or on another
    /// server (an absolute URL): nobody here is known by that.
    pub fn patient(&self) -> Option<&str> {
        if self.is_patient() {
            return self.id();
        }
        let fields = PATIENT.iter().filter_map(|field| self.json.get(field));
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
    pub fn identifiers(&self) -> Vec<Identifier> {
        if !self.is_patient() {
            return Vec::new();
        }
        let all = self.json.get("identifier").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let identifier = |identifier: &Value| {
            Identifier::new(identifier.get("system")?.as_str()?, identifier.get("value")?.as_str()?).ok()
        };
        all.iter().filter_map(identifier).collect()
    }

    /// When it happened, how confidential it is (R or V, where its security labels say so), and its sensitive categories.
    pub fn options(&self) -> PutOptions {
        let time = TIME.iter().find_map(|field| instant(self.text(field)?));
        let mut options = time.map_or(PutOptions::new(), |time| PutOptions::new().clinical_time(time));
        let security = self.json.pointer("/meta/security").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let codes: Vec<&str> = security.iter().filter_map(|coding| coding.get("code")?.as_str()).collect();
        // What the file calls less confidential than usual is kept as usual: its word does not open anything.
        let level = codes.iter().filter_map(|code| code.parse::<Confidentiality>().ok()).max();
        if let Some(level) = level.filter(|level| *level > Confidentiality::default()) {
            options = options.confidentiality(level);
        }
        let categories = codes.iter().filter_map(|code| code.parse::<Category>().ok());
        match categories.map(|category| category.to_string()).collect::<Vec<_>>() {
            none if none.is_empty() => options,
            labels => Labels::new(labels).map_or(options.clone(), |labels| options.labels(labels)),
        }
    }

    fn text(&self, pointer: &str) -> Option<&str> {
        self.json.pointer(pointer)?.as_str()
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
        assert_eq!(patient_in(r#"{"resourceType":"Patient","id":"a"}"#).as_deref(), Some("a"));
        for (reference, patient) in [
            ("Patient/a", Some("a")),
            ("Patient/a/_history/3", Some("a")),
            ("urn:uuid:a", Some("a")),
            ("Group/a", None),
            ("#a", None),
            ("https://elsewhere.example/fhir/Patient/a", None),
        ] {
            let json = format!(r#"{{"resourceType":"Observation","subject":{{"reference":"{reference}"}}}}"#);
            assert_eq!(patient_in(&json).as_deref(), patient, "{reference}");
        }
    }

    #[test]
    fn a_bundle_gives_its_resources_as_they_stand_in_it() {
        let json =
            br#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Device" , "id":"d"}},{"fullUrl":"x"}]}"#;
        let Ok(Unit::Bundle(entries)) = unit(json) else { panic!("no bundle") };
        assert_eq!(
            entries.iter().map(|entry| entry.get()).collect::<Vec<_>>(),
            [r#"{"resourceType":"Device" , "id":"d"}"#]
        );
        assert!(matches!(unit(br#"{"resourceType":"Bundle"}"#), Ok(Unit::Bundle(none)) if none.is_empty()));
    }

    #[test]
    fn a_reason_shows_nothing_of_the_resource() {
        for wrong in [
            r#"{"resourceType":"Patient","name":"Ama Secret"#,
            r#"{"name":"Ama Secret"}"#,
            r#"{"resourceType":"Ama Secret"}"#,
            r#"{"resourceType":"Bundle","entry":"Ama Secret"}"#,
            r#"["Ama Secret"]"#,
        ] {
            let Err(reason) = unit(wrong.as_bytes()) else { panic!("{wrong}") };
            assert!(!reason.contains("Secret"), "{reason}");
        }
    }
}
