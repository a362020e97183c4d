//! Roles that a clinic can start from. They are data: copy, change, leave out.

use super::role::Role;
use crate::record::Kind;
use crate::terms::{Action, Category, Confidentiality, Purpose};

/// Kinds under the names of FHIR R4 resources, as far as a front desk needs them.
const FRONT_DESK: &[&str] = &["Appointment", "Coverage", "Encounter", "Patient", "RelatedPerson", "Schedule", "Slot"];
const LABORATORY: &[&str] = &["DiagnosticReport", "ImagingStudy", "Observation", "ServiceRequest", "Specimen"];
const BILLING: &[&str] =
    &["Account", "ChargeItem", "Claim", "Coverage", "Encounter", "ExplanationOfBenefit", "Invoice"];

/// What whoever treats has to know of. Substance use, and what is said in psychotherapy, stand under laws of their own (42 CFR
/// part 2; 45 CFR 164.508(a)(2)).
const CARE: [Category; 6] = [
    Category::GeneticDisease,
    Category::Hiv,
    Category::Pregnancy,
    Category::SexualHealth,
    Category::SexuallyTransmitted,
    Category::SickleCell,
];
const PSYCHOTHERAPY: [Category; 4] =
    [Category::BehaviouralHealth, Category::MentalHealth, Category::Psychiatry, Category::PsychotherapyNote];

fn kinds(names: &[&str]) -> Vec<Kind> {
    names.iter().filter_map(|name| Kind::new(name).ok()).collect()
}

impl Role {
    /// Roles to start from: physician, psychotherapist, nurse, front desk, laboratory, billing, auditor, privacy officer, administrator. Kinds
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
                .sensitivity(Confidentiality::Restricted)
                .categories(CARE),
            role(
                "psychotherapist",
                "treats patients, and keeps notes of their own",
                &[Read, List, Create, Amend, Void],
                &care,
            )
            .all_kinds()
            .sensitivity(Confidentiality::Restricted)
            .categories(PSYCHOTHERAPY),
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
