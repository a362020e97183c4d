//! What was revoked: one row each (docs/format/policy.md, table 12), all of them in memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::Policy;
use super::row::BadRow;
use super::text::{bit, maybe, put_text, text, time};
use crate::bytes::{Put, Reader};
use crate::clock::Timestamp;
use crate::crypto::kdf;
use crate::ids::{PrincipalId, RevocationId};
use crate::token::{CLOCK_TOLERANCE, Revocable, Revoke, TokenError};

/// Bytes of the longest reason.
pub(crate) const MAX_REVOKE_REASON: usize = 256;

const BY: u8 = 1;
const REPLACED: u8 = 2;

/// Something that was revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Revocation {
    /// What.
    pub what: Revoke,
    /// When.
    pub at: Timestamp,
    /// By whom; `None` where it was done with a credential of the vault.
    pub by: Option<PrincipalId>,
    /// The grant that was registered in its place, if a review narrowed it.
    pub replaced_by: Option<RevocationId>,
    /// Why, 1 to 256 bytes.
    pub reason: String,
}

impl Revocation {
    pub(crate) fn new(what: Revoke, at: Timestamp, by: Option<PrincipalId>, reason: &str) -> Self {
        Self { what, at, by, replaced_by: None, reason: reason.to_owned() }
    }

    /// Grants that were issued until then, inclusive, are revoked; `None` where later ones are as well.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        (!self.what.is_for_good()).then(|| self.at.saturating_add(Duration::from_secs(CLOCK_TOLERANCE)))
    }

    /// Whether it meets a grant that was issued then.
    fn meets(&self, issued_at: Timestamp) -> bool {
        // Issuers count in whole seconds.
        self.until().is_none_or(|until| issued_at <= until)
    }

    pub(super) fn place(&self) -> [u8; 16] {
        kdf::revocation_place(self.what.code(), self.what.id())
    }

    /// Behind the number of the table.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(self.what.code());
        out.put(self.what.id());
        out.put_u8(bit(&self.by, BY) | bit(&self.replaced_by, REPLACED));
        out.put_i64(self.at.as_micros());
        self.by.iter().for_each(|by| out.put(by.as_bytes()));
        self.replaced_by.iter().for_each(|by| out.put(by.as_bytes()));
        put_text(out, &self.reason);
    }

    pub(super) fn decode(mut reader: Reader<'_>) -> Result<Self, BadRow> {
        let (code, id, flags) = (reader.u8()?, reader.array()?, reader.u8()?);
        let what = Revoke::from_parts(code, id).ok_or(BadRow)?;
        let at = time(&mut reader)?;
        let by = maybe(flags, BY, || Ok(PrincipalId::from_bytes(reader.array()?)))?;
        let replaced_by = maybe(flags, REPLACED, || Ok(RevocationId::from_bytes(reader.array()?)))?;
        let reason = text(&mut reader, MAX_REVOKE_REASON)?;
        reader.finish()?;
        let blank = reason.trim().is_empty();
        if flags & !(BY | REPLACED) != 0 || blank {
            Err(BadRow)
        } else {
            Ok(Self { what, at, by, replaced_by, reason })
        }
    }
}

/// All that was revoked.
#[derive(Default)]
pub(super) struct Revoked(HashMap<Revoke, Arc<Revocation>>);

impl Revoked {
    pub(super) fn put(&mut self, row: Revocation) {
        self.0.insert(row.what, Arc::new(row));
    }

    pub(super) fn has(&self, what: Revoke) -> bool {
        self.0.contains_key(&what)
    }

    /// What revokes a token, if anything does.
    pub(super) fn of(&self, token: &Revocable) -> Option<&Arc<Revocation>> {
        token.handles().filter_map(|handle| self.0.get(&handle)).find(|revocation| revocation.meets(token.issued_at))
    }
}

impl Policy {
    /// How something was revoked.
    pub(crate) fn revocation(&self, what: Revoke) -> Option<Arc<Revocation>> {
        self.read().revoked.0.get(&what).cloned()
    }

    /// What revokes a token, if anything does.
    pub(crate) fn revoked_by(&self, token: &Revocable) -> Option<Arc<Revocation>> {
        self.read().revoked.of(token).cloned()
    }

    /// An error for its holder if a token was revoked.
    pub(crate) fn check_not_revoked(&self, token: &Revocable) -> Result<(), TokenError> {
        let Some(revocation) = self.revoked_by(token) else { return Ok(()) };
        let until = revocation.until().unwrap_or(Timestamp::MAX);
        Err(match revocation.what {
            Revoke::Block(rid) => {
                let block = (0..).zip(&token.rids).find(|(_, one)| **one == rid).map_or(0, |(block, _)| block);
                TokenError::Revoked { block, rid }
            }
            Revoke::Principal(principal) => TokenError::PrincipalRevoked { principal, until },
            Revoke::Role(role) => TokenError::RoleRevoked { role, until },
            Revoke::Issuer(issuer) => TokenError::IssuerRevoked { issuer },
            Revoke::Attester(attester) => TokenError::AttesterRevoked { attester },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::PolicyRow;
    use super::*;
    use crate::format::worked;
    use proptest::prelude::*;

    fn documented() -> Revocation {
        let what = Revoke::Principal(kdf::principal_id("dr.osei"));
        let by = Some(kdf::principal_id("a.lund"));
        Revocation::new(what, "2026-01-05T12:00:00Z".parse().unwrap(), by, "left the clinic")
    }

    #[test]
    fn the_worked_example_holds_and_whatever_was_cut_prolonged_or_flipped_is_refused_or_another_row() {
        const PAGE: &str = include_str!("../../docs/format/policy.md");
        let replaced = Revocation {
            what: Revoke::Block(RevocationId::from_bytes([0x71; 16])),
            by: None,
            replaced_by: Some(RevocationId::from_bytes([0x72; 16])),
            ..documented()
        };
        for (row, name) in [(documented(), "revocation_row"), (replaced, "revocation_row_replaced")] {
            let row = PolicyRow::Revocation(row);
            let bytes = row.to_bytes();
            assert_eq!(bytes, worked::bytes(PAGE, name));
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
        assert_eq!(worked::bytes(PAGE, "revocation_id"), documented().place());
    }

    #[test]
    fn an_issuer_and_an_attester_of_one_key_are_revoked_each_for_itself() {
        let row = |code| {
            PolicyRow::Revocation(Revocation { what: Revoke::from_parts(code, [7; 16]).unwrap(), ..documented() })
        };
        assert_ne!(row(4).place(), row(5).place());
    }

    #[test]
    fn what_was_issued_120_seconds_after_is_revoked_as_well_and_a_second_later_is_not() {
        let row = documented();
        let later = |seconds| row.at.saturating_add(Duration::from_secs(seconds));
        assert!(row.meets(later(0)) && row.meets(later(120)) && !row.meets(later(121)));
        let what = Revoke::Issuer(crate::ids::IssuerId::from_bytes([1; 16]));
        assert!(Revocation { what, ..row.clone() }.meets(Timestamp::MAX));
    }

    proptest! {
        #[test]
        fn revocations_come_back(
            (code, id, at) in (1u8..6, any::<[u8; 16]>(), any::<i64>()),
            by in proptest::option::of(any::<[u8; 16]>()),
            replaced_by in proptest::option::of(any::<[u8; 16]>()),
            reason in "[a-zé ]{0,100}x",
        ) {
            let what = Revoke::from_parts(code, id).unwrap();
            let (by, replaced_by) = (by.map(PrincipalId::from_bytes), replaced_by.map(RevocationId::from_bytes));
            let row = PolicyRow::Revocation(Revocation { what, at: Timestamp::from_micros(at), by, replaced_by, reason });
            prop_assert_eq!(PolicyRow::parse(&row.to_bytes()), Ok(row));
        }
    }
}
