//! A finding: how grave, what, why, and what mends it.

use std::fmt;

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Weight {
    /// Something is wrong now.
    Critical,
    /// One mishap, or one person, away from harm.
    High,
    /// A safeguard that should be there is not.
    Medium,
    /// To be put right at the next round.
    Low,
    /// To be known.
    Note,
}

impl Weight {
    /// All of them, the gravest first.
    pub const ALL: [Self; 5] = [Self::Critical, Self::High, Self::Medium, Self::Low, Self::Note];
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
            Self::Note => "note",
        })
    }
}

/// The duty that a finding touches: sections of 45 CFR part 164 (the HIPAA security rule), and what they ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// 164.308(a)(1)(ii)(D).
    ActivityReview,
    /// 164.308(a)(4)(ii)(C).
    AccessModification,
    /// 164.308(a)(5)(ii)(D).
    PasswordManagement,
    /// 164.308(a)(7)(ii)(A).
    DataBackup,
    /// 164.308(a)(7)(ii)(D).
    ContingencyTesting,
    /// 164.308(a)(8).
    Evaluation,
    /// 164.312(a)(2)(ii).
    EmergencyAccess,
    /// 164.312(a)(2)(iii).
    AutomaticLogOff,
    /// 164.312(a)(2)(iv).
    Encryption,
    /// 164.312(b).
    AuditControls,
    /// 164.312(c)(1).
    Integrity,
    /// 164.312(d).
    Authentication,
    /// 164.308(a)(7)(ii)(B).
    DisasterRecovery,
    /// 164.308(a)(7)(ii)(C).
    EmergencyMode,
}

impl Reason {
    /// The section.
    #[must_use]
    pub const fn section(self) -> &'static str {
        match self {
            Self::ActivityReview => "45 CFR 164.308(a)(1)(ii)(D)",
            Self::AccessModification => "45 CFR 164.308(a)(4)(ii)(C)",
            Self::PasswordManagement => "45 CFR 164.308(a)(5)(ii)(D)",
            Self::DataBackup => "45 CFR 164.308(a)(7)(ii)(A)",
            Self::ContingencyTesting => "45 CFR 164.308(a)(7)(ii)(D)",
            Self::Evaluation => "45 CFR 164.308(a)(8)",
            Self::EmergencyAccess => "45 CFR 164.312(a)(2)(ii)",
            Self::AutomaticLogOff => "45 CFR 164.312(a)(2)(iii)",
            Self::Encryption => "45 CFR 164.312(a)(2)(iv)",
            Self::AuditControls => "45 CFR 164.312(b)",
            Self::Integrity => "45 CFR 164.312(c)(1)",
            Self::Authentication => "45 CFR 164.312(d)",
            Self::DisasterRecovery => "45 CFR 164.308(a)(7)(ii)(B)",
            Self::EmergencyMode => "45 CFR 164.308(a)(7)(ii)(C)",
        }
    }

    /// What it asks for, in a few words.
    #[must_use]
    pub const fn asks(self) -> &'static str {
        match self {
            Self::ActivityReview => "records of system activity are reviewed regularly",
            Self::AccessModification => "rights of access are reviewed and modified",
            Self::PasswordManagement => "passwords are created, changed and safeguarded by procedure",
            Self::DataBackup => "exact copies of what is kept can be had back",
            Self::ContingencyTesting => "plans for emergencies are tested and revised",
            Self::Evaluation => "safeguards are evaluated again when things change",
            Self::EmergencyAccess => "what is needed can be had in an emergency, by procedure",
            Self::AutomaticLogOff => "sessions end after a time of inactivity",
            Self::Encryption => "what is stored is encrypted, and its keys are looked after",
            Self::AuditControls => "activity is recorded and examined",
            Self::Integrity => "what is kept is protected from improper alteration and destruction",
            Self::Authentication => "whoever seeks access is who they claim to be",
            Self::DisasterRecovery => "what was lost can be restored, by procedure",
            Self::EmergencyMode => "critical work goes on, and stays protected, in an emergency",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.asks(), self.section())
    }
}

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecurityFinding {
    /// How grave.
    pub weight: Weight,
    /// A name for programs, such as `no-anchor`; it stays.
    pub code: &'static str,
    /// What.
    pub what: String,
    /// Why it matters.
    pub reason: Reason,
    /// What mends it: a call of this crate, or something to do.
    pub mend: &'static str,
}

impl SecurityFinding {
    pub(super) fn new(
        (weight, code): (Weight, &'static str),
        what: impl fmt::Display,
        reason: Reason,
        mend: &'static str,
    ) -> Self {
        Self { weight, code, what: what.to_string(), reason, mend }
    }
}
