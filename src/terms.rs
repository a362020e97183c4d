//! The field's own words that tokens, decisions and the log share: actions, purposes of use, confidentiality, categories.

use std::fmt;
use std::str::FromStr;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Read back from, and serialized as, the word that `Display` shows.
macro_rules! word_as_text {
    ($name:ident, $word:expr) => {
        impl FromStr for $name {
            type Err = InvalidTerm;

            fn from_str(text: &str) -> Result<Self, InvalidTerm> {
                Self::ALL.iter().copied().find(|term| ($word)(term) == text).ok_or(InvalidTerm(stringify!($name)))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(($word)(self))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(D::Error::custom)
            }
        }
    };
}

macro_rules! term {
    ($(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $item:ident = $bit:literal, $word:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$item_doc])* $item,)*
        }

        impl $name {
            /// All of them, in the order of their bits.
            pub const ALL: &'static [Self] = &[$(Self::$item),*];

            /// The bit that stands for it in tokens and log entries.
            pub(crate) const fn bit(self) -> u32 {
                match self { $(Self::$item => 1 << $bit,)* }
            }

            /// The one with exactly this bit.
            pub(crate) const fn from_bit(bit: u32) -> Option<Self> {
                $(if bit == 1 << $bit { return Some(Self::$item); })*
                None
            }
        }

        impl $name {
            pub(crate) const fn word(self) -> &'static str {
                match self { $(Self::$item => $word,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }

        word_as_text!($name, |term: &$name| term.word());
    };
}

mod categories;

pub use categories::{Categories, Category};

/// Text that is none of the words of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the text is no word of `{0}`; see its `ALL`")]
pub struct InvalidTerm(&'static str);

term! {
    /// What a token may allow.
    Action {
        /// Read a record, its history, or find a patient by identifier.
        Read = 0, "read";
        /// List the records of a kind or of a chart.
        List = 1, "list";
        /// Register patients and identifiers, and put new records.
        Create = 2, "create";
        /// Write a new version of a record.
        Amend = 3, "amend";
        /// Mark a record as entered in error.
        Void = 4, "void";
        /// Take records out in bulk.
        Export = 5, "export";
        /// Erase a patient.
        Erase = 6, "erase";
        /// Read and verify the audit log.
        Audit = 7, "audit";
        /// Review grants and emergency accesses, and say what has to be kept and for how long.
        Review = 8, "review";
        /// Issue and revoke grants.
        Grant = 9, "grant";
        /// Operate the vault: issuers, keys, backups.
        Operate = 10, "operate";
    }
}

term! {
    /// Why a session uses the vault, in the codes of HL7 v3 PurposeOfUse.
    Purpose {
        /// TREAT: care of this patient.
        Treatment = 0, "TREAT";
        /// ETREAT: care in an emergency.
        EmergencyTreatment = 1, "ETREAT";
        /// BTG: break the glass.
        BreakGlass = 2, "BTG";
        /// HPAYMT: payment.
        Payment = 3, "HPAYMT";
        /// HOPERAT: running the clinic.
        Operations = 4, "HOPERAT";
        /// HRESCH: research.
        Research = 5, "HRESCH";
        /// PUBHLTH: public health.
        PublicHealth = 6, "PUBHLTH";
        /// PATRQT: the patient asked.
        PatientRequest = 7, "PATRQT";
        /// FAMRQT: the family asked.
        FamilyRequest = 8, "FAMRQT";
        /// COVERAGE: insurance coverage.
        Coverage = 9, "COVERAGE";
        /// HLEGAL: law.
        Legal = 10, "HLEGAL";
        /// HSYSADMIN: administration of the system.
        SystemAdministration = 11, "HSYSADMIN";
    }
}

/// How confidential a record is (HL7 v3 Confidentiality), from open to very restricted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Confidentiality {
    /// U: no protection needed.
    Unrestricted,
    /// L: low.
    Low,
    /// M: moderate.
    Moderate,
    /// N: what is usual for charts; the default of records and grants.
    #[default]
    Normal,
    /// R: restricted.
    Restricted,
    /// V: very restricted.
    VeryRestricted,
}

impl Confidentiality {
    /// All of them, ascending.
    pub const ALL: &'static [Self] =
        &[Self::Unrestricted, Self::Low, Self::Moderate, Self::Normal, Self::Restricted, Self::VeryRestricted];

    /// The byte that stands for it.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Unrestricted => 0,
            Self::Low => 1,
            Self::Moderate => 2,
            Self::Normal => 3,
            Self::Restricted => 4,
            Self::VeryRestricted => 5,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Unrestricted => "U",
            Self::Low => "L",
            Self::Moderate => "M",
            Self::Normal => "N",
            Self::Restricted => "R",
            Self::VeryRestricted => "V",
        }
    }

    /// The level of a stored byte.
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|level| level.code() == code)
    }
}

impl fmt::Display for Confidentiality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

word_as_text!(Confidentiality, |level: &Confidentiality| level.word());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_and_codes_come_back() {
        for action in Action::ALL {
            assert_eq!(Action::from_bit(action.bit()), Some(*action));
        }
        for purpose in Purpose::ALL {
            assert_eq!(Purpose::from_bit(purpose.bit()), Some(*purpose));
        }
        for level in Confidentiality::ALL {
            assert_eq!(Confidentiality::from_code(level.code()), Some(*level));
        }
        for level in Confidentiality::ALL {
            assert_eq!(level.to_string().parse(), Ok(*level));
        }
        assert_eq!("amend".parse(), Ok(Action::Amend));
        assert_eq!("treat".parse::<Purpose>(), Err(InvalidTerm("Purpose")));
        assert_eq!(serde_json::to_string(&Purpose::BreakGlass).unwrap(), "\"BTG\"");
        assert_eq!(serde_json::from_str::<Action>("\"void\"").unwrap(), Action::Void);
        assert_eq!(
            (Action::from_bit(3), Purpose::from_bit(1 << 12), Confidentiality::from_code(6)),
            (None, None, None)
        );
    }
}
