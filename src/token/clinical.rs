//! Roles that a clinic can start from. They are data: copy, change, leave out.

use super::role::Role;
use crate::record::Kind;
use crate::terms::{Action, Confidentiality, Purpose};

/// Kinds under the names of FHIR R4 resources, as far as a front desk needs them.
const FRONT_DESK: &[&str] = &["Appointment", "Coverage", "Encounter", "Patient", "RelatedPerson", "Schedule", "Slot"];
const LABORATORY: &[&str] = &["DiagnosticReport", "ImagingStudy", "Observation", "ServiceRequest", "Specimen"];
const BILLING: &[&str] =
    &["Account", "ChargeItem", "Claim", "Coverage", "Encounter", "ExplanationOfBenefit", "Invoice"];

fn kinds(names: &[&str]) -> Vec<Kind> {
    names.iter().filter_map(|name| Kind::new(name).ok()).collect()
}

impl Role {
    /// Roles to start from: physician, nurse, front desk, laboratory, billing, auditor, privacy officer, administrator. Kinds
    /// have the names of FHIR R4 resources. Nobody who treats patients also grants or reviews rights.
    #[must_use]
    pub fn clinical() -> Vec<Self> {
        use Action::{Amend, Audit, Create, Erase, Export, Grant, List, Operate, Read, Review, Void};
        let role = |name: &str, text: &str, actions: &[Action], purposes: &[Purpose]| {
            Self::new(name).description(text).actions(actions.iter().copied()).purposes(purposes.iter().copied())
        };
        let care = [Purpose::Treatment, Purpose::EmergencyTreatment, Purpose::BreakGlass];
        vec![
            role("physician", "treats patients", &[Read, List, Create, Amend, Void], &care)
                .all_kinds()
                .sensitivity(Confidentiality::Restricted),
            role("nurse", "cares for patients", &[Read, List, Create, Amend], &care).all_kinds(),
            role(
                "front-desk",
                "registers patients and makes appointments",
                &[Read, List, Create, Amend],
                &[Purpose::Operations, Purpose::Coverage],
            )
            .kinds(kinds(FRONT_DESK)),
            role("laboratory", "takes orders and reports results", &[Read, List, Create, Amend], &[Purpose::Treatment])
                .kinds(kinds(LABORATORY)),
            role(
                "billing",
                "writes invoices and claims",
                &[Read, List, Create, Amend],
                &[Purpose::Payment, Purpose::Coverage],
            )
            .kinds(kinds(BILLING)),
            role(
                "auditor",
                "reads the log and explains denials, and no chart",
                &[Audit],
                &[Purpose::Operations, Purpose::Legal],
            )
            .all_kinds(),
            role(
                "privacy-officer",
                "reviews rights and emergencies, answers patients",
                &[Review, Audit, Grant, Export, Erase],
                &[Purpose::Operations, Purpose::Legal, Purpose::PatientRequest],
            )
            .all_kinds()
            .sensitivity(Confidentiality::VeryRestricted),
            role(
                "administrator",
                "runs the vault, and reads no chart",
                &[Operate],
                &[Purpose::SystemAdministration, Purpose::Operations],
            )
            .all_kinds(),
        ]
    }
}
