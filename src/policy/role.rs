//! Roles as rows: one for the revision in force (table 8), one for each before it (table 9); docs/format/policy.md.

use super::row::BadRow;
use crate::bytes::{Put, Reader};
use crate::clock::Timestamp;
use crate::crypto::kdf;
use crate::ids::PrincipalId;
use crate::record::Kind;
use crate::terms::{Action, Categories, Category, Confidentiality, Purpose};
use crate::token::{Role, RoleRevision};

const RETIRED: u8 = 1;
const ALL_KINDS: u8 = 2;

/// The id under which a role's row is kept.
pub(super) fn place(row: &RoleRevision, superseded: bool) -> [u8; 16] {
    let id = row.role.id();
    if superseded { kdf::role_revision_id(id, row.revision) } else { *id.as_bytes() }
}

/// Behind the number of the table.
pub(super) fn encode(row: &RoleRevision, out: &mut Vec<u8>) {
    let RoleRevision { role, revision, defined_at, defined_by, retired } = row;
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    out.put_u8(flag(*retired, RETIRED) | flag(role.listed_kinds().is_none(), ALL_KINDS));
    out.put_u32(*revision);
    out.put_i64(defined_at.as_micros());
    out.put(defined_by.as_bytes());
    out.put_u32(role.listed_actions().fold(0, |bits, action| bits | action.bit()));
    out.put_u32(role.listed_purposes().fold(0, |bits, purpose| bits | purpose.bit()));
    out.put_u8(role.ceiling().code());
    out.put_u32(role.listed_categories().collect::<Categories>().bits());
    // All of them within the limits of `Role::check`, which their lengths fit.
    put_text(out, role.name());
    put_text(out, role.description_text());
    if let Some(kinds) = role.listed_kinds() {
        out.put_u8(u8::try_from(kinds.len()).unwrap_or(u8::MAX));
        kinds.iter().for_each(|kind| put_text(out, kind.as_str()));
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.put_u16(u16::try_from(text.len()).unwrap_or(u16::MAX));
    out.put(text.as_bytes());
}

pub(super) fn decode(mut reader: Reader<'_>) -> Result<RoleRevision, BadRow> {
    let flags = reader.u8()?;
    let (revision, defined_at) = (reader.u32()?, Timestamp::from_micros(reader.i64()?));
    let defined_by = PrincipalId::from_bytes(reader.array()?);
    let (actions, purposes) = (reader.u32()?, reader.u32()?);
    let ceiling = Confidentiality::from_code(reader.u8()?).ok_or(BadRow)?;
    let categories = set(reader.u32()?, Category::ALL, Category::bit)?;
    let (name, description) = (text(&mut reader)?, text(&mut reader)?);
    let mut role = Role::new(name)
        .description(description)
        .actions(set(actions, Action::ALL, Action::bit)?)
        .purposes(set(purposes, Purpose::ALL, Purpose::bit)?)
        .sensitivity(ceiling)
        .categories(categories);
    if flags & ALL_KINDS != 0 {
        role = role.all_kinds();
    } else {
        let mut last: Option<Kind> = None;
        for _ in 0..reader.u8()? {
            let kind = Kind::new(text(&mut reader)?).map_err(|_| BadRow)?;
            if last.as_ref().is_some_and(|last| *last >= kind) {
                return Err(BadRow);
            }
            last = Some(kind.clone());
            role = role.kinds([kind]);
        }
    }
    reader.finish()?;
    if flags & !(RETIRED | ALL_KINDS) != 0 || revision == 0 || role.check().is_err() {
        return Err(BadRow);
    }
    Ok(RoleRevision { role, revision, defined_at, defined_by, retired: flags & RETIRED != 0 })
}

fn text<'a>(reader: &mut Reader<'a>) -> Result<&'a str, BadRow> {
    std::str::from_utf8(reader.len16()?).map_err(|_| BadRow)
}

/// The terms whose bits are set, if there are no others.
fn set<T: Copy>(bits: u32, all: &[T], bit: impl Fn(T) -> u32) -> Result<Vec<T>, BadRow> {
    let known = all.iter().fold(0, |known, term| known | bit(*term));
    if bits & !known == 0 {
        Ok(all.iter().copied().filter(|term| bits & bit(*term) != 0).collect())
    } else {
        Err(BadRow)
    }
}

#[cfg(test)]
mod tests {
    use super::super::PolicyRow;
    use super::*;
    use crate::format::worked;
    use proptest::prelude::*;

    const PAGE: &str = include_str!("../../docs/format/policy.md");

    fn documented() -> RoleRevision {
        let role = Role::new("nurse")
            .description("care")
            .actions([Action::Read, Action::List])
            .kinds([Kind::new("note").unwrap(), Kind::new("allergy").unwrap()])
            .purposes([Purpose::Treatment])
            .categories([Category::Hiv]);
        let defined_at = "2026-01-05T12:00:00Z".parse().unwrap();
        RoleRevision { role, revision: 2, defined_at, defined_by: kdf::principal_id("dr.osei"), retired: false }
    }

    #[test]
    fn the_worked_example_holds_and_whatever_was_cut_prolonged_or_flipped_is_refused_or_another_row() {
        let row = PolicyRow::Role(documented());
        let bytes = row.to_bytes();
        assert_eq!(bytes, worked::bytes(PAGE, "role_row"));
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
        let before = PolicyRow::RoleBefore(documented());
        assert_eq!(PolicyRow::parse(&before.to_bytes()), Ok(before.clone()));
        assert_eq!(worked::bytes(PAGE, "role_revision_id"), before.place().1);
    }

    proptest! {
        #[test]
        fn roles_come_back(
            name in "[a-zé ]{0,30}x",
            description in "[a-zé ]{0,100}",
            (actions, purposes, categories) in (1u32..1 << 11, 1u32..1 << 12, 0u32..1 << 24),
            kinds in proptest::option::of(proptest::collection::btree_set("[a-z]{1,64}", 1..33)),
            (revision, at, by, retired) in (1u32.., any::<i64>(), any::<[u8; 16]>(), any::<bool>()),
        ) {
            let mut role = Role::new(&name)
                .description(&description)
                .actions(set(actions, Action::ALL, Action::bit).unwrap())
                .purposes(set(purposes, Purpose::ALL, Purpose::bit).unwrap())
                .categories(set(categories, Category::ALL, Category::bit).unwrap());
            role = match kinds {
                None => role.all_kinds(),
                Some(kinds) => role.kinds(kinds.iter().map(|kind| Kind::new(kind).unwrap())),
            };
            let (defined_at, defined_by) = (Timestamp::from_micros(at), PrincipalId::from_bytes(by));
            let row = PolicyRow::Role(RoleRevision { role, revision, defined_at, defined_by, retired });
            prop_assert_eq!(PolicyRow::parse(&row.to_bytes()), Ok(row));
        }

        #[test]
        fn what_parses_is_what_would_be_written(rest in proptest::collection::vec(0u8..4, 0..80)) {
            let bytes = [&[8][..], &rest].concat();
            if let Ok(row) = PolicyRow::parse(&bytes) {
                prop_assert_eq!(row.to_bytes(), bytes);
            }
        }
    }
}
