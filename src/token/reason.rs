//! Why an operation is refused, and the number that stands for it in log entries.

use std::fmt;

use super::caveat::Caveat;

/// Added to the tag of an item that cannot be checked.
const UNSUPPORTED: u16 = 0x0100;
/// The code of the vault's first rule.
const RULES: u16 = 0x0300;

/// Why a token does not allow an operation: one of its blocks refuses, or a rule of the vault does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DenyReason {
    /// Before the token's validity.
    NotYetValid,
    /// After the token's validity.
    Expired,
    /// The action is not among those allowed.
    Action,
    /// The kind of record is not among those allowed.
    Kind,
    /// The patient is not among those allowed.
    Patient,
    /// The purpose of use is not among those allowed.
    Purpose,
    /// The record is more confidential than allowed.
    Sensitivity,
    /// More blocks follow than allowed.
    Depth,
    /// The token demands something that this version cannot check.
    Unsupported(Caveat),
    /// None of the roles that the grant cites allows it.
    Role,
    /// The token was used as often as it may be.
    Uses,
    /// The subject did not sign in as the token demands, or too long ago.
    SignIn,
    /// The session is not in a facility that the token names.
    Facility,
    /// A block says nothing of what may be done in an emergency.
    Emergency,
    /// A block of the token, its subject, a role or its issuer was revoked.
    Revoked,
    /// A role that the grant cites was changed since; the grant has to be issued anew.
    RoleChanged,
    /// A role that the grant cites is not one of this vault's, or was retired.
    RoleUnknown,
    /// The subject was disabled, or never enrolled where the vault wants that.
    Principal,
    /// The issuer may not grant this.
    Issuer,
    /// The record is of a category that needs consent or a role that names it, and there is neither.
    Consent,
    /// The kind is kept in a compartment, which a token reaches only by the kind's name.
    Compartment,
    /// The vault accepts registered grants only, and this one is not.
    NotRegistered,
    /// The subject has as many sessions open as the vault allows.
    TooManySessions,
    /// The chart as a whole is more confidential than allowed.
    Chart,
}

impl DenyReason {
    const SIMPLE: [Self; 23] = [
        Self::NotYetValid,
        Self::Expired,
        Self::Action,
        Self::Kind,
        Self::Patient,
        Self::Purpose,
        Self::Sensitivity,
        Self::Depth,
        Self::Role,
        Self::Uses,
        Self::SignIn,
        Self::Facility,
        Self::Emergency,
        Self::Revoked,
        Self::RoleChanged,
        Self::RoleUnknown,
        Self::Principal,
        Self::Issuer,
        Self::Consent,
        Self::Compartment,
        Self::NotRegistered,
        Self::TooManySessions,
        Self::Chart,
    ];

    /// The caveat that refused; `None` where it was a rule of the vault.
    #[must_use]
    pub const fn caveat(self) -> Option<Caveat> {
        Some(match self {
            Self::NotYetValid => Caveat::NotBefore,
            Self::Expired => Caveat::NotAfter,
            Self::Action => Caveat::Actions,
            Self::Kind => Caveat::Kinds,
            Self::Patient => Caveat::Patients,
            Self::Purpose => Caveat::Purposes,
            Self::Sensitivity => Caveat::Sensitivity,
            Self::Depth => Caveat::MaxDepth,
            Self::Role => Caveat::Roles,
            Self::Uses => Caveat::MaxUses,
            Self::SignIn => Caveat::Mfa,
            Self::Facility => Caveat::Facility,
            Self::Emergency => Caveat::Emergency,
            Self::Unsupported(caveat) => caveat,
            Self::Revoked
            | Self::RoleChanged
            | Self::RoleUnknown
            | Self::Principal
            | Self::Issuer
            | Self::Consent
            | Self::Compartment
            | Self::NotRegistered
            | Self::TooManySessions
            | Self::Chart => return None,
        })
    }

    /// Whether a rule of the vault refuses, whatever the token's blocks say.
    #[must_use]
    pub const fn is_rule(self) -> bool {
        self.caveat().is_none()
    }

    /// The number that stands for it in log entries: the tag of the refusing item, and 0x100 more where the item cannot
    /// be checked; from 0x301 on for the vault's rules. Never changes its meaning.
    #[must_use]
    pub fn code(self) -> u16 {
        let rule = |number| RULES | number;
        match self {
            Self::Unsupported(caveat) => UNSUPPORTED | u16::from(caveat.tag()),
            Self::Revoked => rule(1),
            Self::RoleChanged => rule(2),
            Self::RoleUnknown => rule(3),
            Self::Principal => rule(4),
            Self::Issuer => rule(5),
            Self::Consent => rule(6),
            Self::Compartment => rule(7),
            Self::NotRegistered => rule(8),
            Self::TooManySessions => rule(9),
            Self::Chart => rule(10),
            item => item.caveat().map_or(0, |caveat| u16::from(caveat.tag())),
        }
    }

    /// The reason of a code.
    #[must_use]
    pub fn from_code(code: u16) -> Option<Self> {
        let unsupported = Caveat::ALL.iter().map(|caveat| Self::Unsupported(*caveat));
        Self::SIMPLE.into_iter().chain(unsupported).find(|reason| reason.code() == code)
    }
}

impl fmt::Display for DenyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotYetValid => "it is not valid yet",
            Self::Expired => "it is not valid any more",
            Self::Action => "the action is not allowed",
            Self::Kind => "the kind of record is not allowed",
            Self::Patient => "the patient is not allowed",
            Self::Purpose => "the purpose of use is not allowed",
            Self::Sensitivity => "the record is more confidential than allowed",
            Self::Depth => "more blocks follow than allowed",
            Self::Role => "no role of the grant allows it",
            Self::Uses => "it was used as often as it may be",
            Self::SignIn => "the subject has not signed in as it demands, or too long ago",
            Self::Facility => "the session is not in a facility that it names",
            Self::Emergency => "it allows nothing in an emergency",
            Self::Revoked => "it was revoked",
            Self::RoleChanged => "a role of the grant was changed since it was issued",
            Self::RoleUnknown => "a role of the grant is unknown or retired",
            Self::Principal => "its subject is disabled or not enrolled",
            Self::Issuer => "its issuer may not grant this",
            Self::Consent => "the record's category needs consent or a role that names it",
            Self::Compartment => "the kind is kept in a compartment and is not named",
            Self::NotRegistered => "the grant is not registered",
            Self::TooManySessions => "its subject has too many sessions open",
            Self::Chart => "the chart is more confidential than allowed",
            Self::Unsupported(caveat) => return write!(f, "it demands `{caveat}`, which is not supported yet"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Denial;

    #[test]
    fn codes_come_back_and_are_unique() {
        let reasons: Vec<DenyReason> = (0..=u16::MAX).filter_map(DenyReason::from_code).collect();
        assert_eq!(reasons.len(), DenyReason::SIMPLE.len() + Caveat::ALL.len());
        for reason in reasons {
            assert_eq!(DenyReason::from_code(reason.code()), Some(reason));
        }
        assert_eq!((DenyReason::Expired.code(), DenyReason::Unsupported(Caveat::Mfa).code()), (0x11, 0x119));
        assert_eq!((DenyReason::Revoked.code(), DenyReason::Chart.code()), (0x301, 0x30A));
    }

    #[test]
    fn denials_name_block_and_caveat() {
        let denial = Denial { block: 2, reason: DenyReason::Unsupported(Caveat::Facility) };
        assert_eq!(denial.to_string(), "block 2 of the token: it demands `facility`, which is not supported yet");
        assert!(DenyReason::Chart.is_rule() && !DenyReason::Uses.is_rule());
    }
}
