//! Grants that the vault knows: a row each (docs/format/policy.md, table 11), and one for when each was used (table 21).

use super::row::BadRow;
use super::text::{bit, maybe, put_text, text, time};
use crate::bytes::{Put, Reader};
use crate::clock::Timestamp;
use crate::ids::{PrincipalId, RevocationId};
use crate::token::StoredGrant;

/// Bytes of the longest note.
pub(crate) const MAX_GRANT_NOTE: usize = 256;

const REGISTERED: u8 = 1;

/// A grant as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GrantRow {
    pub(crate) grant: StoredGrant,
    /// When it was registered, or first opened a session.
    pub(crate) since: Timestamp,
    /// Who registered it; nobody where it was seen opening a session.
    pub(crate) registered_by: Option<PrincipalId>,
    pub(crate) note: String,
}

impl GrantRow {
    pub(crate) fn id(&self) -> RevocationId {
        self.grant.id()
    }

    /// Bytes that it is held to take, of those that all grants together may.
    pub(crate) fn len(&self) -> usize {
        self.grant.len().saturating_add(self.note.len()).saturating_add(64)
    }

    /// Behind the number of the table.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(bit(&self.registered_by, REGISTERED));
        out.put_i64(self.since.as_micros());
        self.registered_by.iter().for_each(|by| out.put(by.as_bytes()));
        put_text(out, &self.note);
        self.grant.put(out);
    }

    pub(super) fn decode(mut reader: Reader<'_>) -> Result<Self, BadRow> {
        let flags = reader.u8()?;
        let since = time(&mut reader)?;
        let registered_by = maybe(flags, REGISTERED, || Ok(PrincipalId::from_bytes(reader.array()?)))?;
        let note = text(&mut reader, MAX_GRANT_NOTE)?;
        let grant = StoredGrant::read(&mut reader).map_err(|_| BadRow)?;
        reader.finish()?;
        if flags & !REGISTERED != 0 { Err(BadRow) } else { Ok(Self { grant, since, registered_by, note }) }
    }
}

/// When a grant opened sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GrantUse {
    pub(crate) id: RevocationId,
    pub(crate) sessions: u32,
    pub(crate) last: Timestamp,
}

impl GrantUse {
    /// Behind the number of the table.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.put(self.id.as_bytes());
        out.put_u32(self.sessions);
        out.put_i64(self.last.as_micros());
    }

    pub(super) fn decode(mut reader: Reader<'_>) -> Result<Self, BadRow> {
        let id = RevocationId::from_bytes(reader.array()?);
        let (sessions, last) = (reader.u32()?, time(&mut reader)?);
        reader.finish()?;
        if sessions == 0 { Err(BadRow) } else { Ok(Self { id, sessions, last }) }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::super::PolicyRow;
    use super::*;
    use crate::crypto::kdf::principal_id;
    use crate::format::worked;
    use proptest::prelude::*;

    const PAGE: &str = include_str!("../../docs/format/policy.md");

    /// The two blocks of the example of token.md.
    pub(in super::super) fn documented() -> GrantRow {
        let page = include_str!("../../docs/format/token.md");
        let grant = StoredGrant::claimed(&worked::bytes(page, "token"));
        let since = "2026-01-05T12:05:00Z".parse().unwrap();
        GrantRow { grant, since, registered_by: Some(principal_id("a.lund")), note: "night shift".into() }
    }

    fn check(row: &PolicyRow, name: &str) {
        let bytes = row.to_bytes();
        assert_eq!(bytes, worked::bytes(PAGE, name));
        assert_eq!(PolicyRow::parse(&bytes).as_ref(), Ok(row));
        for len in 0..bytes.len() {
            assert_eq!(PolicyRow::parse(&bytes[..len]), Err(BadRow), "{len}");
        }
        assert_eq!(PolicyRow::parse(&[&bytes[..], &[0]].concat()), Err(BadRow));
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(PolicyRow::parse(&bad).as_ref(), Ok(row), "bit {bit}");
        }
    }

    #[test]
    fn the_worked_examples_hold_and_whatever_was_cut_prolonged_or_flipped_is_refused_or_another_row() {
        let documented = documented();
        let last = "2026-01-06T07:30:00Z".parse().unwrap();
        check(&PolicyRow::GrantUse(GrantUse { id: documented.id(), sessions: 3, last }), "grant_use_row");
        check(&PolicyRow::Grant(Arc::new(documented)), "grant_row");
    }

    #[test]
    fn what_is_kept_of_a_grant_holds_neither_its_proof_nor_its_signatures() {
        let page = include_str!("../../docs/format/token.md");
        let (token, row) = (worked::bytes(page, "token"), PolicyRow::Grant(Arc::new(documented())).to_bytes());
        let secret = worked::bytes(page, "seed 1");
        let holds = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
        assert!(holds(&token, &secret) && !holds(&row, &secret));
        assert!(!holds(&row, &worked::bytes(page, "sig_0")) && !holds(&row, &worked::bytes(page, "sig_1")));
    }

    proptest! {
        #[test]
        fn grants_and_their_uses_come_back(
            (since, last, sessions) in (any::<i64>(), any::<i64>(), 1u32..),
            by in proptest::option::of(any::<[u8; 16]>()),
            note in "[a-zé ]{0,120}",
        ) {
            let registered_by = by.map(PrincipalId::from_bytes);
            let row = GrantRow { since: Timestamp::from_micros(since), registered_by, note, ..documented() };
            let used = PolicyRow::GrantUse(GrantUse { id: row.id(), sessions, last: Timestamp::from_micros(last) });
            prop_assert_eq!(PolicyRow::parse(&used.to_bytes()), Ok(used));
            let row = PolicyRow::Grant(Arc::new(row));
            prop_assert_eq!(PolicyRow::parse(&row.to_bytes()), Ok(row));
        }
    }
}
