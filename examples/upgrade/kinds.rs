//! One kind in three versions, as it stands in the source of the newest program: old types stay for as long as vaults hold
//! values of them.

use chartvault::{Record, Shape};
use serde::{Deserialize, Serialize};

/// How it began: the severity in the physician's own words.
#[derive(Record, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[record(kind = "allergy", version = 1, shape = 0xbaf4e7651e31b1fb)]
pub struct AllergyV1 {
    pub substance: String,
    pub severity: String,
}

/// Version 2 knows three severities.
#[derive(Record, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[record(kind = "allergy", version = 2, shape = 0x76322fdc3fe9c0fe, previous = AllergyV1)]
pub struct AllergyV2 {
    pub substance: String,
    pub severity: Severity,
}

/// The newest version also keeps the year when it began.
#[derive(Record, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[record(kind = "allergy", version = 3, previous = AllergyV2)]
pub struct Allergy {
    pub substance: String,
    pub severity: Severity,
    pub since: Option<u16>,
}

#[derive(Shape, Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub enum Severity {
    Mild,
    Moderate,
    Severe,
}

/// Words that fit none of the three are refused: to guess would be a wrong answer.
#[derive(Debug)]
pub struct NoSuchSeverity {
    /// Bytes of the word. The word itself is the patient's, and error messages go to places where it must not.
    len: usize,
}

impl std::fmt::Display for NoSuchSeverity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the severity, a word of {} bytes, is none of mild, moderate and severe", self.len)
    }
}

impl std::error::Error for NoSuchSeverity {}

/// A step that can fail.
impl TryFrom<AllergyV1> for AllergyV2 {
    type Error = NoSuchSeverity;

    fn try_from(AllergyV1 { substance, severity }: AllergyV1) -> Result<Self, NoSuchSeverity> {
        let severity = match severity.trim().to_lowercase().as_str() {
            "mild" => Severity::Mild,
            "moderate" => Severity::Moderate,
            "severe" => Severity::Severe,
            other => return Err(NoSuchSeverity { len: other.len() }),
        };
        Ok(Self { substance, severity })
    }
}

/// A step that cannot.
impl From<AllergyV2> for Allergy {
    fn from(AllergyV2 { substance, severity }: AllergyV2) -> Self {
        Self { substance, severity, since: None }
    }
}
