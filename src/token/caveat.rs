//! The names of what a block can say.

use std::fmt;

macro_rules! caveats {
    ($($(#[$doc:meta])* $name:ident = $tag:literal, $word:literal;)*) => {
        /// One kind of statement in a token's block. Errors and denials name the one that refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Caveat {
            $($(#[$doc])* $name,)*
        }

        impl Caveat {
            /// All of them, in the order of their tags.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The byte that stands for it in tokens.
            #[must_use]
            pub const fn tag(self) -> u8 {
                match self { $(Self::$name => $tag,)* }
            }

            pub(super) const fn from_tag(tag: u8) -> Option<Self> {
                match tag { $($tag => Some(Self::$name),)* _ => None }
            }
        }

        impl fmt::Display for Caveat {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$name => $word,)* })
            }
        }
    };
}

caveats! {
    /// Who the token was granted to.
    Subject = 0x01, "subject";
    /// Roles that bound the grant.
    Roles = 0x02, "roles";
    /// When the token starts to count.
    NotBefore = 0x10, "not before";
    /// When the token stops to count.
    NotAfter = 0x11, "validity";
    /// What may be done.
    Actions = 0x12, "actions";
    /// With which kinds of record.
    Kinds = 0x13, "kinds";
    /// In whose charts.
    Patients = 0x14, "patients";
    /// For which purposes of use.
    Purposes = 0x15, "purposes";
    /// How confidential a record may be.
    Sensitivity = 0x16, "sensitivity";
    /// How often the token may be used.
    MaxUses = 0x17, "number of uses";
    /// How many blocks may still follow.
    MaxDepth = 0x18, "depth";
    /// That the subject signed in with several factors.
    Mfa = 0x19, "sign-in level";
    /// From which device.
    Device = 0x1A, "device";
    /// How long a session may last and lie idle.
    Session = 0x1B, "session length";
    /// What others must have attested.
    Attestations = 0x1C, "attestations";
    /// In which facility.
    Facility = 0x1D, "facility";
    /// What the token allows once the glass is broken.
    Emergency = 0x1E, "emergency";
}

impl Caveat {
    /// Only the grant can say it.
    pub(super) const fn is_for_grants(self) -> bool {
        matches!(self, Self::Subject | Self::Roles)
    }

    /// Every grant must say it.
    pub(super) const MANDATORY: [Self; 8] = [
        Self::Subject,
        Self::NotAfter,
        Self::Actions,
        Self::Kinds,
        Self::Patients,
        Self::Purposes,
        Self::Sensitivity,
        Self::MaxDepth,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_come_back_and_ascend() {
        assert!(Caveat::ALL.is_sorted_by(|a, b| a.tag() < b.tag() && a < b));
        for tag in 0..=u8::MAX {
            assert_eq!(Caveat::from_tag(tag).map(Caveat::tag), Caveat::ALL.iter().map(|c| c.tag()).find(|t| *t == tag));
        }
    }
}
