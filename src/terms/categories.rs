//! Sensitive categories of records (HL7 v3 ActCode, ActInformationSensitivityPolicy), and sets of them.

use std::fmt;
use std::str::FromStr;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::InvalidTerm;

term! {
    /// Why a record is sensitive, in the codes of HL7 v3 ActCode (ActInformationSensitivityPolicy). Each stands for itself
    /// alone: who may read `SUD` may not read `ETHUD` because of it. `Display` and `FromStr` have the code.
    Category {
        /// ETH: substance abuse.
        SubstanceAbuse = 0, "ETH";
        /// GDIS: genetic disease.
        GeneticDisease = 1, "GDIS";
        /// HIV: HIV and AIDS.
        Hiv = 2, "HIV";
        /// MST: military sexual trauma.
        MilitarySexualTrauma = 3, "MST";
        /// PREGNANT: pregnancy.
        Pregnancy = 4, "PREGNANT";
        /// SCA: sickle cell anaemia.
        SickleCellAnaemia = 5, "SCA";
        /// SDV: sexual assault, abuse or domestic violence.
        SexualOrDomesticViolence = 6, "SDV";
        /// SEX: sexuality and reproductive health.
        SexualHealth = 7, "SEX";
        /// SPI: specially protected information.
        SpeciallyProtected = 8, "SPI";
        /// BH: behavioural health.
        BehaviouralHealth = 9, "BH";
        /// COGN: cognitive disability.
        CognitiveDisability = 10, "COGN";
        /// DVD: developmental disability.
        DevelopmentalDisability = 11, "DVD";
        /// EMOTDIS: emotional disturbance.
        EmotionalDisturbance = 12, "EMOTDIS";
        /// MH: mental health.
        MentalHealth = 13, "MH";
        /// PSY: psychiatric disorder.
        Psychiatry = 14, "PSY";
        /// PSYTHPN: psychotherapy notes.
        PsychotherapyNote = 15, "PSYTHPN";
        /// SUD: substance use disorder.
        SubstanceUse = 16, "SUD";
        /// ETHUD: alcohol use disorder.
        AlcoholUse = 17, "ETHUD";
        /// OPIOIDUD: opioid use disorder.
        OpioidUse = 18, "OPIOIDUD";
        /// STD: sexually transmitted disease.
        SexuallyTransmitted = 19, "STD";
        /// TBOO: not to be told to the patient before somebody has talked with them.
        Taboo = 20, "TBOO";
        /// VIO: violence.
        Violence = 21, "VIO";
        /// IDS: identifiers.
        Identifiers = 22, "IDS";
        /// SICKLE: sickle cell.
        SickleCell = 23, "SICKLE";
    }
}

/// Stands for a category whose name this version does not know.
const UNKNOWN: u32 = 1 << 31;

/// A set of categories. `Debug` shows only how many there are: which they are says something of a patient.
///
/// ```
/// use chartvault::{Categories, Category};
/// let both: Categories = [Category::Hiv, Category::Psychiatry].into_iter().collect();
/// assert!(both.contains(Category::Hiv) && !both.contains(Category::Taboo));
/// assert_eq!(both.iter().count(), 2);
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Categories(u32);

impl Categories {
    /// No category.
    pub const NONE: Self = Self(0);

    /// This set and one category more.
    #[must_use]
    pub const fn with(self, category: Category) -> Self {
        Self(self.0 | category.bit())
    }

    /// What is in either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether a category is among them.
    #[must_use]
    pub const fn contains(self, category: Category) -> bool {
        self.0 & category.bit() != 0
    }

    /// Whether there are none, not even one that this version does not know.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many there are, those that this version does not know included.
    #[must_use]
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether there is one that this version does not know, written by a newer one. No role allows it.
    #[must_use]
    pub fn has_unknown(self) -> bool {
        self.0 & !known() != 0
    }

    /// Those that this version knows, in the order of [`Category::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Category> {
        (0..u32::BITS).filter_map(move |bit| Category::from_bit(self.0 & (1 << bit)))
    }

    /// Whether each of them is known, and in `allowed`.
    pub(crate) fn are_within(self, allowed: Self) -> bool {
        !self.has_unknown() && self.0 & !allowed.0 == 0
    }

    /// This set and one that has a name which this version does not know.
    pub(crate) const fn with_unknown(self) -> Self {
        Self(self.0 | UNKNOWN)
    }

    /// The bits that stand for it in stored rows, those of newer versions included.
    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }
}

fn known() -> u32 {
    Category::ALL.iter().fold(0, |bits, category| bits | category.bit())
}

impl From<Category> for Categories {
    fn from(category: Category) -> Self {
        Self::NONE.with(category)
    }
}

impl FromIterator<Category> for Categories {
    fn from_iter<I: IntoIterator<Item = Category>>(categories: I) -> Self {
        categories.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for Categories {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Categories({} redacted)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_come_back_and_none_has_the_bit_of_the_unknown() {
        for category in Category::ALL {
            assert_eq!(category.to_string().parse(), Ok(*category));
            assert_eq!(Category::from_bit(category.bit()), Some(*category));
            assert_eq!(category.bit() & UNKNOWN, 0);
        }
        assert!("hiv".parse::<Category>().is_err() && "".parse::<Category>().is_err());
    }

    #[test]
    fn what_is_not_known_is_within_nothing() {
        let all: Categories = Category::ALL.iter().copied().collect();
        let hiv = Categories::from(Category::Hiv);
        assert!(hiv.are_within(all) && Categories::NONE.are_within(Categories::NONE) && !all.are_within(hiv));
        assert!(!hiv.with_unknown().are_within(all.with_unknown()) && hiv.with_unknown().has_unknown());
        assert!(!Categories::from_bits(1 << 24).are_within(all));
        assert!(!all.has_unknown() && !Categories::NONE.with_unknown().is_empty());
    }

    #[test]
    fn debug_shows_no_category() {
        assert_eq!(format!("{:?}", Categories::from(Category::Hiv)), "Categories(1 redacted)");
    }
}
