//! What log and operators are told of an error: one word, and how grave it is.

use super::Error;
use crate::keyring::UnlockError;
use crate::monitor::FlagError;
use crate::observe::Told;
use crate::record::DecodeError;
use crate::sink::SinkFault;

impl Error {
    /// One word for the log: what went wrong, without saying about whom.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Denied { .. } | Self::SessionRefused(_) => "denied",
            Self::Token(_) => "token refused",
            Self::Proof(_) => "proof refused",
            Self::AlreadyTrusted { .. } => "trusted already",
            Self::Doubtful { .. } | Self::DoubtfulReadOnly { .. } => "in doubt",
            Self::SessionEnded { .. } => "session ended",
            Self::ClockRollback { .. } => "clock rollback",
            Self::Sealed => "sealed",
            Self::InUse { .. } | Self::NotEmpty { .. } => "in use",
            Self::Unlock(_) | Self::Header(_) | Self::NoCredential | Self::Slot(_) => "unlock failed",
            Self::NoSuchSlot { .. } => "no such slot",
            Self::LastSlot { .. } => "last slot",
            Self::RotationUnderWay => "rotation under way",
            Self::NeedsPartner { .. } => "needs a partner",
            Self::NoSuchPatient(_) => "no such patient",
            Self::NoSuchRecord(_) => "no such record",
            Self::NoSuchVersion { .. } => "no such version",
            Self::Conflict { .. } => "conflict",
            Self::Voided(_) => "voided",
            Self::LegalHold { .. } => "under legal hold",
            Self::Retained { .. } => "to be kept",
            Self::Erased { .. } => "erased",
            Self::FacilityChart => "facility chart",
            Self::ErasureUnfinished { .. } => "erasure unfinished",
            Self::OtherVault => "other vault",
            Self::Ledger(_) => "ledger refused",
            Self::IdentifierTaken { .. } => "identifier taken",
            Self::Identifier(_)
            | Self::InvalidText { .. }
            | Self::TooMany { .. }
            | Self::TooManyChallenges { .. }
            | Self::CommitTooLarge { .. }
            | Self::CursorOfAnother
            | Self::Role(_)
            | Self::ReadAudit(_) => "outside limits",
            Self::NoSuchRole { .. } => "no such role",
            Self::WasRevoked { .. } => "revoked",
            Self::NoSuchGrant { .. } => "no such grant",
            Self::NoSuchReview { .. } => "no such review",
            Self::ReviewClosed { .. } => "review closed",
            Self::ReviewUnfinished { .. } => "review unfinished",
            Self::OwnGrant { .. } => "own grant",
            Self::GrantEnded { .. } => "grant ended",
            Self::NoReplacement { .. } => "no replacement",
            Self::RolledBack { .. } => "rolled back",
            Self::Forked { .. } => "forked",
            Self::Anchor(_) => "anchor",
            Self::Output(_) => "output failed",
            Self::LogProof(_) => "no proof",
            Self::LogArchive(_) => "not archived",
            Self::NoSuchLogHold { .. } => "no such hold",
            Self::NoSuchTicket { .. } => "no such ticket",
            Self::NoSuchCase { .. } => "no such case",
            Self::CaseClosed { .. } => "closed already",
            Self::OwnCase { .. } => "of their own",
            Self::Flag(FlagError::NoSuchFlag { .. }) => "no such flag",
            Self::Flag(FlagError::Closed { .. }) => "closed already",
            Self::Flag(FlagError::OwnFlag { .. } | FlagError::OwnSuppressor) => "of their own",
            Self::Flag(FlagError::NoSuchSuppressor { .. }) => "no such suppressor",
            Self::CompartmentExists { .. } => "compartment exists",
            Self::KindInUse { .. } => "kind in use",
            Self::Encode(_) => "not encodable",
            Self::Decode { source: DecodeError::Upgrade { .. }, .. } => "not upgradable",
            Self::Decode { .. } => "not decodable",
            Self::Tampered { .. } | Self::TamperedRow { .. } => "tampered",
            Self::Missing { .. } => "missing",
            Self::AuditUnavailable { .. } => "audit unavailable",
            Self::Audit(_) => "audit log not sound",
            Self::NotCommitted(_) | Self::OutcomeUnknown(_) => "not committed",
            Self::Storage(_) | Self::Io { .. } => "storage failed",
            Self::Random(_) => "no random bytes",
            Self::SignInRefused => "sign-in refused",
            Self::TryAgain { .. } => "too many failures",
            Self::StepUpNeeded { .. } => "step-up needed",
            Self::NoSuchPrincipal { .. } => "no such principal",
            Self::AlreadyEnrolled { .. } => "enrolled already",
            Self::WrongCode => "wrong code",
            Self::NothingToConfirm => "nothing to confirm",
            Self::NoMemory { .. } => "no memory",
            Self::Sink(SinkFault::Behind { .. }) => "sink behind",
            Self::Sink(_) => "sink refused",
            Self::LogEndsBefore { .. } => "log ends before",
            Self::LogBeginsAfter { .. } => "log begins after",
            Self::LogPrune(_) => "not pruned",
            Self::RestoreUnfinished { .. } => "restore unfinished",
            #[cfg(feature = "backup")]
            Self::Backup(_) => "backup failed",
        }
    }
}

impl Told for Error {
    fn word(&self) -> &'static str {
        Error::word(self)
    }

    fn is_denial(&self) -> bool {
        matches!(
            self,
            Self::Denied { .. }
                | Self::Token(_)
                | Self::SessionRefused(_)
                | Self::Proof(_)
                | Self::SignInRefused
                | Self::TryAgain { .. }
                | Self::StepUpNeeded { .. }
                | Self::SessionEnded { .. }
                | Self::ClockRollback { .. }
                | Self::Doubtful { .. }
                | Self::DoubtfulReadOnly { .. }
                | Self::LegalHold { .. }
                | Self::Retained { .. }
                | Self::FacilityChart
                | Self::CompartmentExists { .. }
                | Self::KindInUse { .. }
                | Self::OwnCase { .. }
                | Self::Flag(FlagError::OwnFlag { .. } | FlagError::OwnSuppressor)
                | Self::NeedsPartner { .. }
                | Self::Unlock(UnlockError::WrongCredential)
        )
    }

    fn is_alarming(&self) -> bool {
        matches!(
            self,
            Self::Tampered { .. }
                | Self::TamperedRow { .. }
                | Self::Missing { .. }
                | Self::Audit(_)
                | Self::RolledBack { .. }
                | Self::Forked { .. }
                | Self::Anchor(_)
                | Self::AuditUnavailable { .. }
                | Self::Sink(SinkFault::Behind { .. })
                | Self::LogEndsBefore { .. }
                | Self::NotCommitted(_)
                | Self::OutcomeUnknown(_)
                | Self::Storage(_)
                | Self::Header(_)
                | Self::Unlock(UnlockError::HeaderTampered)
        )
    }
}
