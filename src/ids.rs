//! Identifiers of 16 bytes. Each has its own type and its own prefix in text, so that they cannot be confused.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::{Deserialize, Serialize};

/// Text that is not what its type expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the text is not {expected}")]
pub struct InvalidId {
    expected: &'static str,
}

impl InvalidId {
    pub(crate) const fn new(expected: &'static str) -> Self {
        Self { expected }
    }
}

pub(crate) fn write_id(f: &mut fmt::Formatter<'_>, prefix: &str, bytes: &[u8; 16]) -> fmt::Result {
    f.write_str(prefix)?;
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

pub(crate) fn parse_id(text: &str, prefix: &str, expected: &'static str) -> Result<[u8; 16], InvalidId> {
    let invalid = InvalidId::new(expected);
    let digits = text.strip_prefix(prefix).ok_or(invalid)?;
    let bytes = HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).map_err(|_| invalid)?;
    bytes.try_into().map_err(|_| invalid)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name([u8; 16]);

        impl $name {
            /// From its 16 bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// Its 16 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_id(f, $prefix, &self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse_id(text, $prefix, $expected).map(Self)
            }
        }
    };
}

id!(
    /// A vault, drawn at random when it is created.
    VaultId, "vault-", "a vault id (`vault-` and 32 hexadecimal digits)"
);
id!(
    /// A patient, drawn at random when registered. It says nothing about the person; identifiers such as a
    /// medical record number lead to it.
    PatientId, "patient-", "a patient id (`patient-` and 32 hexadecimal digits)"
);
id!(
    /// A person or program that acts. Derived from its name (docs/format.md, "Principal").
    PrincipalId, "principal-", "a principal id (`principal-` and 32 hexadecimal digits)"
);
id!(
    /// One opened session.
    SessionId, "session-", "a session id (`session-` and 32 hexadecimal digits)"
);
id!(
    /// A record kind, derived from its name (docs/format.md, "Kind").
    KindId, "kind-", "a kind id (`kind-` and 32 hexadecimal digits)"
);
id!(
    /// Names one block of a token, so that it and all that was narrowed from it can be revoked.
    RevocationId, "rid-", "a revocation id (`rid-` and 32 hexadecimal digits)"
);
id!(
    /// A compartment, derived from its name.
    CompartmentId, "compartment-", "a compartment id (`compartment-` and 32 hexadecimal digits)"
);
id!(
    /// Names an issuer's public key.
    IssuerId, "issuer-", "an issuer id (`issuer-` and 32 hexadecimal digits)"
);
id!(
    /// Names an attester's public key.
    AttesterId, "attester-", "an attester id (`attester-` and 32 hexadecimal digits)"
);
id!(
    /// A role, derived from its name (docs/format.md, "Role").
    RoleId, "role-", "a role id (`role-` and 32 hexadecimal digits)"
);
id!(
    /// A facility, such as a site of the clinic. Derived from its name (docs/format.md, "Facility").
    FacilityId, "facility-", "a facility id (`facility-` and 32 hexadecimal digits)"
);
id!(
    /// An emergency that was invoked, to be reviewed.
    CaseId, "case-", "a case id (`case-` and 32 hexadecimal digits)"
);
id!(
    /// A hold on the log.
    LogHoldId, "loghold-", "a log hold id (`loghold-` and 32 hexadecimal digits)"
);
id!(
    /// Handed out with a denial; an auditor finds the reason by it.
    Ticket, "ticket-", "a ticket (`ticket-` and 32 hexadecimal digits)"
);

/// Names a device by the SHA-256 of its public key: `device-` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId([u8; 32]);

impl DeviceId {
    /// From its 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("device-")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for DeviceId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = InvalidId::new("a device id (`device-` and 64 hexadecimal digits)");
        let digits = text.strip_prefix("device-").ok_or(invalid)?;
        let bytes = HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).map_err(|_| invalid)?;
        bytes.try_into().map(Self).map_err(|_| invalid)
    }
}

impl PatientId {
    /// The vault's own chart for what belongs to no patient: organisations, practitioners, devices. Sixteen zero
    /// bytes, which are never drawn for a patient.
    pub const FACILITY: Self = Self([0; 16]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_and_is_not_shared_between_types() {
        let patient = PatientId::from_bytes([0x5A; 16]);
        let text = patient.to_string();
        assert_eq!(text, format!("patient-{}", "5a".repeat(16)));
        assert_eq!(text.parse::<PatientId>(), Ok(patient));
        assert!(text.parse::<VaultId>().is_err());
        assert!(text[..text.len() - 1].parse::<PatientId>().is_err());
        assert!(format!("{text}00").parse::<PatientId>().is_err());
        let device = DeviceId::from_bytes([0x5A; 32]);
        assert_eq!(device.to_string().parse(), Ok(device));
        assert!("device-5a".parse::<DeviceId>().is_err() && text.parse::<DeviceId>().is_err());
    }
}
