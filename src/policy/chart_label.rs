//! How a chart is labelled as a whole (docs/format/policy.md, table 35): one row a labelled chart, held in memory.

use std::fmt;

use super::row::BadRow;
use crate::bytes::{Put, Reader};
use crate::terms::{Categories, Category, Confidentiality};

/// Bytes of the reason for labelling a chart.
pub(crate) const MAX_LABEL_REASON: usize = 256;

const STAFF: u8 = 1;
const VIP: u8 = 2;

/// How a chart is labelled as a whole: every record of it is at least so confidential, and has these categories.
///
/// A chart that is more than normally confidential, or whose patient is one of the staff or known to many, is *restricted*:
/// the host's [`Consent`](crate::Consent) is asked before it is opened. For who may not open it the patient is not there.
/// `Debug` shows nothing of it.
///
/// ```
/// use chartvault::{Category, ChartLabel, Confidentiality};
/// let label = ChartLabel::new().confidentiality(Confidentiality::Restricted).category(Category::Hiv).staff();
/// assert!(label.is_restricted() && label.categories.contains(Category::Hiv));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChartLabel {
    /// How confidential each record is at least.
    pub confidentiality: Confidentiality,
    /// Categories that each record has.
    pub categories: Categories,
    /// The patient is one of the staff.
    pub staff: bool,
    /// The patient is known to many.
    pub vip: bool,
}

impl ChartLabel {
    /// Nothing: what every chart has until it is labelled.
    pub const NONE: Self =
        Self { confidentiality: Confidentiality::Unrestricted, categories: Categories::NONE, staff: false, vip: false };

    /// Nothing, to be added to.
    #[must_use]
    pub const fn new() -> Self {
        Self::NONE
    }

    /// With each record at least so confidential.
    #[must_use]
    pub const fn confidentiality(mut self, level: Confidentiality) -> Self {
        self.confidentiality = level;
        self
    }

    /// With a category that each record has.
    #[must_use]
    pub const fn category(mut self, category: Category) -> Self {
        self.categories = self.categories.with(category);
        self
    }

    /// The patient is one of the staff.
    #[must_use]
    pub const fn staff(mut self) -> Self {
        self.staff = true;
        self
    }

    /// The patient is known to many.
    #[must_use]
    pub const fn vip(mut self) -> Self {
        self.vip = true;
        self
    }

    /// Whether it says more of the chart than that it has categories.
    #[must_use]
    pub fn is_restricted(&self) -> bool {
        self.staff || self.vip || self.confidentiality > Confidentiality::Normal
    }
}

impl Default for ChartLabel {
    fn default() -> Self {
        Self::NONE
    }
}

impl fmt::Debug for ChartLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChartLabel(redacted)")
    }
}

/// The label of a chart: a policy row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChartLabelRow {
    pub(crate) patient_tag: [u8; 16],
    pub(crate) label: ChartLabel,
}

impl ChartLabelRow {
    /// Behind the number of the table.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let ChartLabel { confidentiality, categories, staff, vip } = self.label;
        out.put(&self.patient_tag);
        out.put_u8(confidentiality.code());
        out.put_u8(if staff { STAFF } else { 0 } | if vip { VIP } else { 0 });
        out.put_u32(categories.bits());
    }

    pub(super) fn decode(mut reader: Reader<'_>) -> Result<Self, BadRow> {
        let (patient_tag, level, flags) = (reader.array()?, reader.u8()?, reader.u8()?);
        let label = ChartLabel {
            confidentiality: Confidentiality::from_code(level).ok_or(BadRow)?,
            categories: Categories::from_bits(reader.u32()?),
            staff: flags & STAFF != 0,
            vip: flags & VIP != 0,
        };
        reader.finish()?;
        if flags & !(STAFF | VIP) != 0 || label == ChartLabel::NONE {
            return Err(BadRow);
        }
        Ok(Self { patient_tag, label })
    }
}

#[cfg(test)]
mod tests {
    use super::super::PolicyRow;
    use super::*;
    use crate::format::worked;
    use proptest::prelude::*;

    const PAGE: &str = include_str!("../../docs/format/policy.md");

    #[test]
    fn the_worked_example_holds_and_whatever_was_cut_prolonged_or_flipped_is_refused_or_another_row() {
        let label = ChartLabel::new().confidentiality(Confidentiality::VeryRestricted).staff();
        let label = label.category(Category::Hiv).category(Category::PsychotherapyNote);
        let row = PolicyRow::ChartLabel(ChartLabelRow { patient_tag: [0xD4; 16], label });
        let bytes = row.to_bytes();
        assert_eq!(bytes, worked::bytes(PAGE, "chart_label_row"));
        assert_eq!(PolicyRow::parse(&bytes), Ok(row.clone()));
        for len in 0..bytes.len() {
            assert_eq!(PolicyRow::parse(&bytes[..len]), Err(BadRow), "{len}");
        }
        assert_eq!(PolicyRow::parse(&[&bytes[..], &[0]].concat()), Err(BadRow));
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(PolicyRow::parse(&bad).as_ref(), Ok(&row), "bit {bit}");
        }
    }

    #[test]
    fn a_row_without_a_label_is_refused_and_a_category_of_a_newer_version_is_kept() {
        let row = |label| PolicyRow::ChartLabel(ChartLabelRow { patient_tag: [1; 16], label });
        assert_eq!(PolicyRow::parse(&row(ChartLabel::NONE).to_bytes()), Err(BadRow));
        let newer = ChartLabel { categories: Categories::from_bits(1 << 27), ..ChartLabel::NONE };
        assert_eq!(PolicyRow::parse(&row(newer).to_bytes()), Ok(row(newer)));
        assert!(newer.categories.has_unknown());
    }

    proptest! {
        #[test]
        fn labels_come_back(tag: [u8; 16], level in 0u8..6, bits: u32, staff: bool, vip: bool) {
            let confidentiality = Confidentiality::from_code(level).unwrap();
            let label = ChartLabel { confidentiality, categories: Categories::from_bits(bits), staff, vip };
            prop_assume!(label != ChartLabel::NONE);
            let row = PolicyRow::ChartLabel(ChartLabelRow { patient_tag: tag, label });
            prop_assert_eq!(PolicyRow::parse(&row.to_bytes()), Ok(row));
        }

        #[test]
        fn what_parses_is_what_would_be_written(rest in proptest::collection::vec(0u8..4, 20..24)) {
            let bytes = [&[35][..], &rest].concat();
            if let Ok(row) = PolicyRow::parse(&bytes) {
                prop_assert_eq!(row.to_bytes(), bytes);
            }
        }
    }
}
