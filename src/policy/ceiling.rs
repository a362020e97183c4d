//! What the tokens of an issuer can allow at most: one row each (docs/format/policy.md, table 19), and the issuers in memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::Policy;
use super::row::BadRow;
use super::text::{bit, maybe, put_text, text};
use crate::bytes::{Put, Reader};
use crate::clock::Timestamp;
use crate::crypto::kdf;
use crate::ids::IssuerId;
use crate::record::Kind;
use crate::terms::{Action, Confidentiality, Purpose};
use crate::token::{Ceiling, CeilingRights, MAX_CEILING_KINDS, Revoke};

const ACTIONS: u8 = 1;
const KINDS: u8 = 2;
const PURPOSES: u8 = 4;
const LONGEST: u8 = 8;
/// Bytes of a kind's name.
const MAX_KIND: usize = 64;

/// Behind the number of the table.
pub(super) fn encode((issuer, ceiling): (&IssuerId, &Ceiling), out: &mut Vec<u8>) {
    let (actions, kinds, purposes) = (ceiling.listed_actions(), ceiling.listed_kinds(), ceiling.listed_purposes());
    let longest = ceiling.longest_validity_of_grants();
    out.put(issuer.as_bytes());
    out.put_u8(bit(&actions, ACTIONS) | bit(&kinds, KINDS) | bit(&purposes, PURPOSES) | bit(&longest, LONGEST));
    out.put_u8(ceiling.most_confidential().code());
    if let Some(actions) = actions {
        out.put_u32(actions.iter().fold(0, |bits, action| bits | action.bit()));
    }
    if let Some(purposes) = purposes {
        out.put_u32(purposes.iter().fold(0, |bits, purpose| bits | purpose.bit()));
    }
    if let Some(longest) = longest {
        out.put_u32(u32::try_from(longest.as_secs()).unwrap_or(u32::MAX));
    }
    if let Some(kinds) = kinds {
        out.put_u16(u16::try_from(kinds.len()).unwrap_or(u16::MAX));
        kinds.iter().for_each(|kind| put_text(out, kind.as_str()));
    }
}

pub(super) fn decode(mut reader: Reader<'_>) -> Result<(IssuerId, Ceiling), BadRow> {
    let (issuer, flags) = (IssuerId::from_bytes(reader.array()?), reader.u8()?);
    let level = Confidentiality::from_code(reader.u8()?).ok_or(BadRow)?;
    let actions = maybe(flags, ACTIONS, || set(reader.u32()?, Action::ALL, Action::bit))?;
    let purposes = maybe(flags, PURPOSES, || set(reader.u32()?, Purpose::ALL, Purpose::bit))?;
    let longest = maybe(flags, LONGEST, || Ok(reader.u32()?))?;
    let kinds = maybe(flags, KINDS, || kinds(&mut reader))?;
    reader.finish()?;
    if flags & !(ACTIONS | KINDS | PURPOSES | LONGEST) != 0 {
        return Err(BadRow);
    }
    let mut ceiling = Ceiling::new().sensitivity(level);
    if let Some(actions) = actions {
        ceiling = ceiling.actions(actions);
    }
    if let Some(purposes) = purposes {
        ceiling = ceiling.purposes(purposes);
    }
    if let Some(seconds) = longest {
        ceiling = ceiling.longest_validity(Duration::from_secs(seconds.into()));
    }
    if let Some(kinds) = kinds {
        ceiling = ceiling.kinds(kinds);
    }
    Ok((issuer, ceiling))
}

/// Ascending, none twice.
fn kinds(reader: &mut Reader<'_>) -> Result<Vec<Kind>, BadRow> {
    let mut kinds: Vec<Kind> = Vec::new();
    for _ in 0..reader.u16()? {
        let kind = Kind::new(&text(reader, MAX_KIND)?).map_err(|_| BadRow)?;
        if kinds.last().is_some_and(|last| *last >= kind) || kinds.len() >= MAX_CEILING_KINDS {
            return Err(BadRow);
        }
        kinds.push(kind);
    }
    Ok(kinds)
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

/// Those whose tokens count, and what each can grant.
#[derive(Default)]
pub(super) struct Issuers {
    trusted: HashMap<IssuerId, ([u8; 32], Timestamp)>,
    ceilings: HashMap<IssuerId, (Ceiling, Arc<CeilingRights>)>,
}

impl Issuers {
    pub(super) fn trust(&mut self, public: [u8; 32], at: Timestamp) {
        self.trusted.insert(kdf::issuer_id(&public), (public, at));
    }

    pub(super) fn limit(&mut self, issuer: IssuerId, ceiling: Ceiling) {
        let rights = Arc::new(CeilingRights::of(&ceiling));
        self.ceilings.insert(issuer, (ceiling, rights));
    }
}

impl Policy {
    /// The public key of an issuer who is trusted, and was not revoked.
    pub(crate) fn issuer(&self, id: IssuerId) -> Option<[u8; 32]> {
        let known = self.read();
        let trusted = known.issuers.trusted.get(&id).map(|(public, _)| *public);
        trusted.filter(|_| !known.revoked.has(Revoke::Issuer(id)))
    }

    /// All issuers that were ever trusted: id, public key, and when that was last.
    pub(crate) fn issuers(&self) -> Vec<(IssuerId, [u8; 32], Timestamp)> {
        let known = self.read();
        let mut issuers: Vec<_> = known.issuers.trusted.iter().map(|(id, (public, at))| (*id, *public, *at)).collect();
        issuers.sort_by_key(|(id, _, at)| (*at, *id));
        issuers
    }

    /// What an issuer can grant at most, if that was limited.
    pub(crate) fn ceiling(&self, issuer: IssuerId) -> Option<(Ceiling, Arc<CeilingRights>)> {
        self.read().issuers.ceilings.get(&issuer).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::PolicyRow;
    use super::*;
    use crate::format::worked;
    use proptest::prelude::*;

    fn documented() -> PolicyRow {
        let ceiling = Ceiling::new()
            .actions([Action::Read, Action::List])
            .kinds(["note", "allergy"].map(|name| Kind::new(name).unwrap()))
            .purposes([Purpose::Treatment])
            .sensitivity(Confidentiality::Normal)
            .longest_validity(Duration::from_secs(12 * 3_600));
        PolicyRow::Ceiling(IssuerId::from_bytes([0x15; 16]), ceiling)
    }

    #[test]
    fn the_worked_example_holds_and_whatever_was_cut_prolonged_or_flipped_is_refused_or_another_row() {
        let row = documented();
        let bytes = row.to_bytes();
        assert_eq!(bytes, worked::bytes(include_str!("../../docs/format/policy.md"), "ceiling_row"));
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
        fn ceilings_come_back(
            actions in proptest::option::of(0u32..1 << 11),
            purposes in proptest::option::of(0u32..1 << 12),
            kinds in proptest::option::of(proptest::collection::btree_set("[a-z]{1,64}", 0..40)),
            (level, longest) in (0u8..6, proptest::option::of(any::<u32>())),
        ) {
            let mut ceiling = Ceiling::new().sensitivity(Confidentiality::from_code(level).unwrap());
            if let Some(bits) = actions {
                ceiling = ceiling.actions(set(bits, Action::ALL, Action::bit).unwrap());
            }
            if let Some(bits) = purposes {
                ceiling = ceiling.purposes(set(bits, Purpose::ALL, Purpose::bit).unwrap());
            }
            if let Some(kinds) = kinds {
                ceiling = ceiling.kinds(kinds.iter().map(|kind| Kind::new(kind).unwrap()));
            }
            if let Some(seconds) = longest {
                ceiling = ceiling.longest_validity(Duration::from_secs(seconds.into()));
            }
            let row = PolicyRow::Ceiling(IssuerId::from_bytes([1; 16]), ceiling);
            prop_assert_eq!(PolicyRow::parse(&row.to_bytes()), Ok(row));
        }

        #[test]
        fn what_parses_is_what_would_be_written(rest in proptest::collection::vec(0u8..16, 0..60)) {
            let bytes = [&[19][..], &[7; 16], &rest].concat();
            if let Ok(row) = PolicyRow::parse(&bytes) {
                prop_assert_eq!(row.to_bytes(), bytes);
            }
        }
    }
}
