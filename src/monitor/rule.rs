//! The rules that raise flags.

use std::fmt;

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $word:literal;)*) => {
        /// A rule that raises flags. `Display` gives its word, such as `own-record`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum MonitorRule {
            $($(#[$doc])* $name,)*
        }

        impl MonitorRule {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The number that stands for it where it is stored.
            pub(crate) const fn code(self) -> u8 {
                match self { $(Self::$name => $code,)* }
            }

            /// The rule of a stored number.
            pub(crate) const fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }

            /// Its bit in a set of rules.
            pub(super) const fn bit(self) -> u16 {
                match self { $(Self::$name => 1 << $code,)* }
            }
        }

        impl fmt::Display for MonitorRule {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$name => $word,)* })
            }
        }
    };
}

rules! {
    /// The glass was broken.
    BreakGlass = 1, "break-glass";
    /// Somebody was in their own chart. The host says whose chart that is.
    OwnRecord = 2, "own-record";
    /// Somebody was in the chart of a patient of the same surname. The host says who has it.
    SameSurname = 3, "same-surname";
    /// Somebody was in the chart of a person known to many: one labelled so ([`ChartLabel`](crate::ChartLabel)), or on the
    /// host's list.
    Vip = 4, "vip";
    /// Somebody was in the chart of a patient whom they have no part in treating. The host knows who has.
    NoRelation = 5, "no-relation";
    /// Somebody was in the charts of more patients than the vault takes for usual.
    Volume = 6, "volume";
    /// Somebody was in the charts of many more patients than on their own days before.
    Unusual = 7, "unusual";
    /// Somebody was in a chart outside opening hours.
    OffHours = 8, "off-hours";
    /// Somebody was refused again and again.
    Denials = 9, "denials";
    /// Somebody took out many records.
    BulkExport = 10, "bulk-export";
    /// Signing in was refused again and again.
    SignIns = 11, "sign-ins";
}
