//! Compartments (docs/format/policy.md, table 20): which kinds are sealed under a key of their own beside all others.

use super::row::BadRow;
use crate::bytes::{Put, Reader};
use crate::clock::Timestamp;
use crate::crypto::kdf;
use crate::ids::CompartmentId;
use crate::record::Kind;

/// Bytes of the name of a compartment.
pub(crate) const MAX_COMPARTMENT_NAME: usize = 64;
/// Kinds of one compartment: as many as a block of a token can name.
pub(crate) const MAX_COMPARTMENT_KINDS: usize = 32;

/// Kinds that are kept apart; see [`Vault::create_compartment`](crate::Vault::create_compartment).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compartment {
    /// What it is called, 1 to 64 bytes.
    pub name: String,
    /// Its kinds, 1 to 32, ascending by name. None ever leaves it.
    pub kinds: Vec<Kind>,
    /// When it was made.
    pub created: Timestamp,
}

impl Compartment {
    /// A name for the compartment of psychotherapy notes, which the law of many countries wants kept apart from the chart.
    pub const PSYCHOTHERAPY: &str = "psychotherapy";

    /// The id that stands for its name.
    #[must_use]
    pub fn id(&self) -> CompartmentId {
        kdf::compartment_id(&self.name)
    }

    /// Behind the number of the table.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let text = |out: &mut Vec<u8>, text: &str| {
            // Never more than 64 bytes, which fits.
            out.put_u8(u8::try_from(text.len()).unwrap_or(u8::MAX));
            out.put(text.as_bytes());
        };
        out.put_i64(self.created.as_micros());
        text(out, &self.name);
        out.put_u8(u8::try_from(self.kinds.len()).unwrap_or(u8::MAX));
        self.kinds.iter().for_each(|kind| text(out, kind.as_str()));
    }

    pub(super) fn decode(mut reader: Reader<'_>) -> Result<Self, BadRow> {
        let created = Timestamp::from_micros(reader.i64()?);
        let name = text(&mut reader)?.to_owned();
        let count = usize::from(reader.u8()?);
        if !(1..=MAX_COMPARTMENT_NAME).contains(&name.len()) || !(1..=MAX_COMPARTMENT_KINDS).contains(&count) {
            return Err(BadRow);
        }
        let kind = |_| Kind::new(text(&mut reader)?).map_err(|_| BadRow);
        let kinds = (0..count).map(kind).collect::<Result<Vec<Kind>, BadRow>>()?;
        reader.finish()?;
        if kinds.is_sorted_by(|a, b| a < b) { Ok(Self { name, kinds, created }) } else { Err(BadRow) }
    }
}

fn text<'a>(reader: &mut Reader<'a>) -> Result<&'a str, BadRow> {
    let len = reader.u8()?;
    str::from_utf8(reader.take(usize::from(len))?).map_err(|_| BadRow)
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
        let kinds = ["process-note", "psychotherapy-note"].map(|name| Kind::new(name).unwrap()).to_vec();
        let (name, created) = (Compartment::PSYCHOTHERAPY.to_owned(), "2026-01-05T12:00:00Z".parse().unwrap());
        let row = PolicyRow::Compartment(Compartment { name, kinds, created });
        let bytes = row.to_bytes();
        assert_eq!(bytes, worked::bytes(PAGE, "compartment_row"));
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

    proptest! {
        #[test]
        fn compartments_come_back(
            name in "[a-z é]{1,20}",
            kinds in proptest::collection::btree_set("[a-z]{1,64}", 1..33),
            created: i64,
        ) {
            let kinds = kinds.iter().map(|kind| Kind::new(kind).unwrap()).collect();
            let row = PolicyRow::Compartment(Compartment { name, kinds, created: Timestamp::from_micros(created) });
            prop_assert_eq!(PolicyRow::parse(&row.to_bytes()), Ok(row));
        }

        #[test]
        fn what_parses_is_what_would_be_written(rest in proptest::collection::vec(0u8..4, 0..30)) {
            let bytes = [&[20][..], &rest].concat();
            if let Ok(row) = PolicyRow::parse(&bytes) {
                prop_assert_eq!(row.to_bytes(), bytes);
            }
        }
    }
}
