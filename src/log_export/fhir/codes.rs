//! What events are in the codes that audit records use: DICOM, the interactions of FHIR's REST interface, and the patterns of
//! IHE BALP (docs/format/exports.md has the table).

use crate::audit::AuditEvent;
use crate::terms::Purpose;

pub(super) const DCM: &str = "http://dicom.nema.org/resources/ontology/DCM";
pub(super) const PARTICIPATION: &str = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";
pub(super) const PROVENANCE: &str = "http://terminology.hl7.org/CodeSystem/provenance-participant-type";
pub(super) const ACT_REASON: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
pub(super) const ENTITY_TYPE: &str = "http://terminology.hl7.org/CodeSystem/audit-entity-type";
pub(super) const OBJECT_ROLE: &str = "http://terminology.hl7.org/CodeSystem/object-role";
pub(super) const SOURCE_TYPE: &str = "http://terminology.hl7.org/CodeSystem/security-source-type";
pub(super) const OUTCOME: &str = "http://terminology.hl7.org/CodeSystem/audit-event-outcome";
pub(super) const BALP_ENTITY: &str = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType";
pub(super) const BALP_PROFILE: &str = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.";
/// The crate's own events; their words are its codes.
pub(super) const EVENTS: &str = "https://docs.rs/chartvault/latest/chartvault/enum.AuditEvent.html";
const EVENT_TYPE: &str = "http://terminology.hl7.org/CodeSystem/audit-event-type";
const INTERACTION: &str = "http://hl7.org/fhir/restful-interaction";

/// A code of a system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::log_export) struct Code {
    pub(super) system: &'static str,
    pub(in crate::log_export) code: &'static str,
    pub(super) display: &'static str,
}

pub(super) const fn code(system: &'static str, code: &'static str, display: &'static str) -> Code {
    Code { system, code, display }
}

/// Which of the basic patterns an event follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    Read,
    Query,
    Create,
    Update,
    Delete,
}

impl Pattern {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Read => "Read",
            Self::Query => "Query",
            Self::Create => "Create",
            Self::Update => "Update",
            Self::Delete => "Delete",
        }
    }
}

/// An event in codes.
#[derive(Clone, Copy, Debug)]
pub(in crate::log_export) struct Meaning {
    pub(in crate::log_export) kind: Code,
    pub(super) sub: Option<Code>,
    /// Create, read, update, delete, execute: their first letter.
    pub(super) action: &'static str,
    pub(super) pattern: Option<Pattern>,
}

const fn rest(interaction: &'static str, action: &'static str, pattern: Option<Pattern>) -> Meaning {
    let kind = code(EVENT_TYPE, "rest", "RESTful Operation");
    Meaning { kind, sub: Some(code(INTERACTION, interaction, interaction)), action, pattern }
}

const fn dicom(
    (kind, display): (&'static str, &'static str),
    sub: Option<(&'static str, &'static str)>,
    action: &'static str,
) -> Meaning {
    let sub = match sub {
        Some((number, display)) => Some(code(DCM, number, display)),
        None => None,
    };
    Meaning { kind: code(DCM, kind, display), sub, action, pattern: None }
}

const ACTIVITY: (&str, &str) = ("110100", "Application Activity");
const LOG_USED: (&str, &str) = ("110101", "Audit Log Used");
const EXPORT: (&str, &str) = ("110106", "Export");
const QUERY: (&str, &str) = ("110112", "Query");
const ALERT: (&str, &str) = ("110113", "Security Alert");
const AUTHENTICATION: (&str, &str) = ("110114", "User Authentication");

const START: (&str, &str) = ("110120", "Application Start");
const STOP: (&str, &str) = ("110121", "Application Stop");
const LOGIN: (&str, &str) = ("110122", "Login");
const LOGOUT: (&str, &str) = ("110123", "Logout");
const OVERRIDE: (&str, &str) = ("110127", "Emergency Override Started");
const CONFIGURATION: (&str, &str) = ("110129", "Security Configuration");
const ROLES: (&str, &str) = ("110136", "Security Roles Changed");
const USERS: (&str, &str) = ("110137", "User security Attributes Changed");

/// What an event is. One that is not known is an activity of the application.
pub(in crate::log_export) const fn meaning(event: AuditEvent) -> Meaning {
    use AuditEvent as E;
    match event {
        E::RecordRead => rest("read", "R", Some(Pattern::Read)),
        E::HistoryRead => rest("history-instance", "R", None),
        E::PatientFound | E::RecordsListed | E::ChartRead | E::KindsListed => rest("search", "E", Some(Pattern::Query)),
        E::RetentionRead | E::ChartLabelRead => rest("read", "R", None),
        E::PatientRegistered | E::RecordPut => rest("create", "C", Some(Pattern::Create)),
        E::IdentifierAdded | E::ChartLabelled | E::RecordAmended | E::RecordVoided => {
            rest("update", "U", Some(Pattern::Update))
        }
        E::RetentionChanged | E::HoldPlaced | E::HoldLifted => rest("update", "U", None),
        E::ErasureBegun | E::PatientErased => rest("delete", "D", Some(Pattern::Delete)),
        E::RecordsExported | E::BackupMade | E::BackupFailed => dicom(EXPORT, None, "R"),
        E::GlassBroken => dicom(ALERT, Some(OVERRIDE), "E"),
        E::VaultCreated => dicom(ACTIVITY, Some(START), "C"),
        E::VaultOpened | E::Recovered | E::VaultSalvaged | E::VaultRestored => dicom(ACTIVITY, Some(START), "E"),
        E::VaultClosed => dicom(ACTIVITY, Some(STOP), "E"),
        E::SessionOpened | E::TokenRefused | E::SignedIn | E::SignInRefused | E::SteppedUp | E::UnlockFailed => {
            dicom(AUTHENTICATION, Some(LOGIN), "E")
        }
        E::SessionClosed | E::SessionExpired => dicom(AUTHENTICATION, Some(LOGOUT), "E"),
        E::AuditVerified
        | E::AuditQueried
        | E::DenialExplained
        | E::EntryDisclosed
        | E::LogExported
        | E::AccessReportRead
        | E::DisclosuresAccounted
        | E::LogSubscribed
        | E::LogMonitored
        | E::LogSummarised
        | E::ProofGiven => dicom(LOG_USED, None, "R"),
        E::LogPruned => dicom(LOG_USED, None, "D"),
        E::RoleDefined | E::RoleRetired => dicom(ALERT, Some(ROLES), "U"),
        E::PrincipalEnrolled
        | E::PrincipalChanged
        | E::PrincipalDisabled
        | E::PrincipalEnabled
        | E::GrantRegistered
        | E::Revoked => dicom(ALERT, Some(USERS), "U"),
        E::IssuerTrusted
        | E::IssuerLimited
        | E::IssuerRevoked
        | E::AttesterTrusted
        | E::SlotAdded
        | E::SlotRemoved
        | E::SlotChanged
        | E::HeaderWritten
        | E::AccessRulesChanged
        | E::CompartmentCreated
        | E::ClockReset
        | E::ReadAuditChanged
        | E::KeyAdded
        | E::KeyActivated
        | E::KeyDropped
        | E::RootKeyChanged
        | E::SuiteChanged
        | E::SigningEpochBegun
        | E::LogHoldPlaced
        | E::LogHoldLifted
        | E::SinkAttached
        | E::SinkDetached
        | E::MonitoringChanged => dicom(ALERT, Some(CONFIGURATION), "U"),
        E::EntryLost | E::DamageFound | E::AnchorFailed | E::FlagRaised | E::FlagOverdue | E::CaseOverdue => {
            dicom(ALERT, None, "E")
        }
        E::PrincipalsListed
        | E::RolesListed
        | E::RightsRead
        | E::RisksReported
        | E::GrantsListed
        | E::ReviewsListed
        | E::CasesListed
        | E::FlagsListed => dicom(QUERY, None, "E"),
        _ => dicom(ACTIVITY, None, "E"),
    }
}

/// The name of a purpose in HL7 v3 ActReason; the code is its word.
pub(super) const fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Treatment => "treatment",
        Purpose::EmergencyTreatment => "Emergency Treatment",
        Purpose::BreakGlass => "break the glass",
        Purpose::Payment => "healthcare payment",
        Purpose::Operations => "healthcare operations",
        Purpose::Research => "healthcare research",
        Purpose::PublicHealth => "public health",
        Purpose::PatientRequest => "patient requested",
        Purpose::FamilyRequest => "family requested",
        Purpose::Coverage => "coverage under policy or program",
        Purpose::Legal => "legal",
        Purpose::SystemAdministration => "health system administration",
    }
}
