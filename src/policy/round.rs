//! Reviews of grants: a row for each round (docs/format/policy.md, table 14), and one for each decision (table 15).

use super::row::BadRow;
use super::text::{bit, maybe, put_text, text, time};
use crate::bytes::{Put, Reader};
use crate::clock::Timestamp;
use crate::crypto::kdf;
use crate::ids::{PrincipalId, RevocationId};
use crate::token::StoredGrant;

/// Bytes of the longest note of a round or a decision.
pub(crate) const MAX_REVIEW_NOTE: usize = 512;
/// Grants that one round can list.
pub(crate) const MOST_IN_ROUND: usize = 50_000;

const TOLD: u8 = 1;
const CLOSED: u8 = 2;

/// A round as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoundRow {
    /// From 1.
    pub(crate) number: u32,
    pub(crate) opened: Timestamp,
    pub(crate) opened_by: PrincipalId,
    pub(crate) due: Timestamp,
    /// When the log was told that it is overdue.
    pub(crate) told: Option<Timestamp>,
    pub(crate) closed: Option<(Timestamp, PrincipalId)>,
    pub(crate) note: String,
    /// Ascending by id.
    pub(crate) items: Vec<RoundItem>,
}

/// A grant that a round lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RoundItem {
    pub(crate) grant: RevocationId,
    pub(crate) subject: PrincipalId,
    /// How it came to an end without a decision, once the round is closed.
    pub(crate) ended: Option<Ended>,
}

/// How a grant came to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ended {
    /// It is not valid any more.
    Expired,
    /// It was revoked, or something that it depends on.
    Revoked,
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        })
    }
}

impl RoundRow {
    pub(super) fn place(&self) -> [u8; 16] {
        let mut place = [0; 16];
        place.iter_mut().zip(self.number.to_be_bytes()).for_each(|(to, byte)| *to = byte);
        place
    }

    /// Behind the number of the table.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.put_u32(self.number);
        out.put_u8(bit(&self.told, TOLD) | bit(&self.closed, CLOSED));
        out.put_i64(self.opened.as_micros());
        out.put(self.opened_by.as_bytes());
        out.put_i64(self.due.as_micros());
        self.told.iter().for_each(|at| out.put_i64(at.as_micros()));
        if let Some((at, by)) = self.closed {
            out.put_i64(at.as_micros());
            out.put(by.as_bytes());
        }
        put_text(out, &self.note);
        out.put_u32(u32::try_from(self.items.len()).unwrap_or(u32::MAX));
        for item in &self.items {
            out.put(item.grant.as_bytes());
            out.put(item.subject.as_bytes());
            out.put_u8(match item.ended {
                None => 0,
                Some(Ended::Expired) => 1,
                Some(Ended::Revoked) => 2,
            });
        }
    }

    pub(super) fn decode(mut reader: Reader<'_>) -> Result<Self, BadRow> {
        let (number, flags) = (reader.u32()?, reader.u8()?);
        let (opened, opened_by) = (time(&mut reader)?, PrincipalId::from_bytes(reader.array()?));
        let due = time(&mut reader)?;
        let told = maybe(flags, TOLD, || time(&mut reader))?;
        let closed = maybe(flags, CLOSED, || Ok((time(&mut reader)?, PrincipalId::from_bytes(reader.array()?))))?;
        let note = text(&mut reader, MAX_REVIEW_NOTE)?;
        let mut items: Vec<RoundItem> = Vec::new();
        for _ in 0..reader.u32()? {
            let grant = RevocationId::from_bytes(reader.array()?);
            let subject = PrincipalId::from_bytes(reader.array()?);
            let ended = match reader.u8()? {
                0 => None,
                1 if closed.is_some() => Some(Ended::Expired),
                2 if closed.is_some() => Some(Ended::Revoked),
                _ => return Err(BadRow),
            };
            if items.last().is_some_and(|last| last.grant >= grant) || items.len() >= MOST_IN_ROUND {
                return Err(BadRow);
            }
            items.push(RoundItem { grant, subject, ended });
        }
        reader.finish()?;
        if number == 0 || flags & !(TOLD | CLOSED) != 0 {
            return Err(BadRow);
        }
        Ok(Self { number, opened, opened_by, due, told, closed, note, items })
    }

    /// What it lists of a grant.
    pub(crate) fn item(&self, grant: RevocationId) -> Option<&RoundItem> {
        self.items.get(self.items.binary_search_by_key(&grant, |item| item.grant).ok()?)
    }
}

/// What a reviewer decides over a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReviewDecision {
    /// It stays as it is.
    Keep,
    /// It is revoked, and a grant takes its place that was registered already: of the same subject, live, allowing less, and
    /// not narrowed from this one, with which it would be revoked.
    Narrow {
        /// The id of that grant.
        to: RevocationId,
    },
    /// It is revoked.
    Revoke,
}

impl std::fmt::Display for ReviewDecision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Keep => f.write_str("keep"),
            Self::Narrow { to } => write!(f, "narrow to {to}"),
            Self::Revoke => f.write_str("revoke"),
        }
    }
}

/// What was decided over a grant in a review.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decided {
    /// What.
    pub decision: ReviewDecision,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: PrincipalId,
    /// Why, up to 512 bytes.
    pub note: String,
}

/// A decision as it is stored, with the grant as it was then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DecisionRow {
    pub(crate) round: u32,
    pub(crate) decided: Decided,
    pub(crate) grant: StoredGrant,
}

impl DecisionRow {
    pub(super) fn place(&self) -> [u8; 16] {
        kdf::review_decision_id(self.round, self.grant.id())
    }

    /// Behind the number of the table.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.put_u32(self.round);
        match self.decided.decision {
            ReviewDecision::Keep => out.put_u8(1),
            ReviewDecision::Narrow { to } => {
                out.put_u8(2);
                out.put(to.as_bytes());
            }
            ReviewDecision::Revoke => out.put_u8(3),
        }
        out.put_i64(self.decided.at.as_micros());
        out.put(self.decided.by.as_bytes());
        put_text(out, &self.decided.note);
        self.grant.put(out);
    }

    pub(super) fn decode(mut reader: Reader<'_>) -> Result<Self, BadRow> {
        let round = reader.u32()?;
        let decision = match reader.u8()? {
            1 => ReviewDecision::Keep,
            2 => ReviewDecision::Narrow { to: RevocationId::from_bytes(reader.array()?) },
            3 => ReviewDecision::Revoke,
            _ => return Err(BadRow),
        };
        let (at, by) = (time(&mut reader)?, PrincipalId::from_bytes(reader.array()?));
        let note = text(&mut reader, MAX_REVIEW_NOTE)?;
        let grant = StoredGrant::read(&mut reader).map_err(|_| BadRow)?;
        reader.finish()?;
        if round == 0 { Err(BadRow) } else { Ok(Self { round, decided: Decided { decision, at, by, note }, grant }) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::PolicyRow;
    use super::super::grant::tests::documented as documented_grant;
    use super::*;
    use crate::crypto::kdf::principal_id;
    use crate::format::worked;
    use proptest::prelude::*;

    const PAGE: &str = include_str!("../../docs/format/policy.md");

    fn noon() -> Timestamp {
        "2026-01-05T12:00:00Z".parse().unwrap()
    }

    fn documented() -> RoundRow {
        let item = |byte, ended| {
            let grant = RevocationId::from_bytes([byte; 16]);
            RoundItem { grant, subject: principal_id("dr.osei"), ended }
        };
        RoundRow {
            number: 4,
            opened: noon(),
            opened_by: principal_id("a.lund"),
            due: noon().saturating_add(Duration::from_secs(14 * 86_400)),
            told: None,
            closed: Some((noon().saturating_add(Duration::from_secs(86_400)), principal_id("a.lund"))),
            note: "first quarter".into(),
            items: vec![item(0x71, None), item(0x72, Some(Ended::Expired))],
        }
    }

    fn decision() -> DecisionRow {
        let (at, by) = (noon(), principal_id("a.lund"));
        let decision = ReviewDecision::Narrow { to: RevocationId::from_bytes([0x72; 16]) };
        let decided = Decided { decision, at, by, note: "reads only".into() };
        DecisionRow { round: 4, decided, grant: documented_grant().grant }
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
        check(&PolicyRow::Round(Arc::new(documented())), "review_round_row");
        check(&PolicyRow::Decision(Arc::new(decision())), "review_decision_row");
        assert_eq!(worked::bytes(PAGE, "review_decision_id"), decision().place());
    }

    #[test]
    fn a_round_lists_each_grant_once_and_at_most_50_000() {
        let mut row = documented();
        row.items.reverse();
        assert_eq!(PolicyRow::parse(&PolicyRow::Round(Arc::new(row)).to_bytes()), Err(BadRow));
        let items = |count: usize| {
            let item = |number: u64| {
                let grant = RevocationId::from_bytes((u128::from(number) << 64).to_be_bytes());
                RoundItem { grant, subject: principal_id("dr.osei"), ended: None }
            };
            let items = (0..count as u64).map(item).collect();
            PolicyRow::Round(Arc::new(RoundRow { items, ..documented() }))
        };
        assert!(PolicyRow::parse(&items(MOST_IN_ROUND).to_bytes()).is_ok());
        assert_eq!(PolicyRow::parse(&items(MOST_IN_ROUND + 1).to_bytes()), Err(BadRow));
    }

    proptest! {
        #[test]
        fn rounds_and_decisions_come_back(
            (number, opened, due, by) in (1u32.., any::<i64>(), any::<i64>(), any::<[u8; 16]>()),
            told in proptest::option::of(any::<i64>()),
            closed in proptest::option::of(any::<i64>()),
            note in "[a-zé ]{0,250}",
            items in proptest::collection::btree_map(any::<[u8; 16]>(), 0u8..3, 0..20),
            decision in 0u8..3,
        ) {
            let by = PrincipalId::from_bytes(by);
            let ended = |ended| match (ended, closed) {
                (1, Some(_)) => Some(Ended::Expired),
                (2, Some(_)) => Some(Ended::Revoked),
                _ => None,
            };
            let items = items.into_iter().map(|(id, how)| {
                RoundItem { grant: RevocationId::from_bytes(id), subject: by, ended: ended(how) }
            });
            let row = PolicyRow::Round(Arc::new(RoundRow {
                number,
                opened: Timestamp::from_micros(opened),
                opened_by: by,
                due: Timestamp::from_micros(due),
                told: told.map(Timestamp::from_micros),
                closed: closed.map(|at| (Timestamp::from_micros(at), by)),
                note: note.clone(),
                items: items.collect(),
            }));
            prop_assert_eq!(PolicyRow::parse(&row.to_bytes()), Ok(row));
            let to = RevocationId::from_bytes([decision; 16]);
            let choices = [ReviewDecision::Keep, ReviewDecision::Narrow { to }, ReviewDecision::Revoke];
            let decided = Decided { decision: choices[usize::from(decision)], at: Timestamp::from_micros(due), by, note };
            let row = PolicyRow::Decision(Arc::new(DecisionRow { round: number, decided, ..self::decision() }));
            prop_assert_eq!(PolicyRow::parse(&row.to_bytes()), Ok(row));
        }
    }
}
