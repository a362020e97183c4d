//! How long the log is kept, what holds it, and where it begins (docs/format/policy.md, table 26): a row of terms, one a
//! hold, and one of the last pruning.

use std::time::Duration;

use chartvault_verify::merkle::Hash;

use super::row::BadRow;
use crate::audit::{LogPruned, TILE};
use crate::bytes::{Put, Reader};
use crate::clock::Timestamp;
use crate::ids::{LogHoldId, PrincipalId};

const TERMS: u8 = 0;
const HOLD: u8 = 1;
const CUT: u8 = 2;
/// Where the row of where the log begins stands: no hold has this id.
pub(super) const CUT_PLACE: [u8; 16] = [0xFF; 16];
/// Bytes of the reason of a hold on the log, and of its lifting.
pub(crate) const MAX_LOG_HOLD_REASON: usize = 256;
/// Holds that can stand at once.
pub(crate) const MOST_LOG_HOLDS: usize = 100;
/// Six years, two of them leap years.
const LEAST_DAYS: u64 = 2_192;
const DAY: u64 = 86_400;

/// How long entries of the log are kept. A new vault keeps them for ever.
///
/// ```
/// use std::time::Duration;
/// use chartvault::LogRetention;
/// let ten_years = LogRetention::keep_for(Duration::from_secs(3_653 * 86_400))?.newest(1_000_000);
/// assert_eq!(ten_years.kept_for(), Some(Duration::from_secs(3_653 * 86_400)));
/// assert_eq!(LogRetention::default().kept_for(), None);
/// assert!(LogRetention::keep_for(Duration::from_secs(365 * 86_400)).is_err());
/// # Ok::<(), chartvault::LogRetentionTooShort>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct LogRetention {
    /// In seconds; 0 is for ever.
    keep: u64,
    newest: u64,
}

/// Entries of the log have to be kept for longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the log cannot be kept for less than {LEAST_DAYS} days, which is six years (45 CFR 164.316); {days} are too few"
)]
#[non_exhaustive]
pub struct LogRetentionTooShort {
    /// What was asked for, in whole days.
    pub days: u64,
}

impl LogRetention {
    /// Entries are kept for this long (whole seconds), at least six years of 2,192 days: what 45 CFR 164.316(b)(2) asks for.
    ///
    /// # Errors
    /// [`LogRetentionTooShort`].
    pub const fn keep_for(length: Duration) -> Result<Self, LogRetentionTooShort> {
        let (keep, days) = (length.as_secs(), length.as_secs() / DAY);
        if days < LEAST_DAYS { Err(LogRetentionTooShort { days }) } else { Ok(Self { keep, newest: 0 }) }
    }

    /// As [`LogRetention::keep_for`], however short; for tests.
    #[cfg(feature = "test-util")]
    #[cfg_attr(docsrs, doc(cfg(feature = "test-util")))]
    pub fn however_short(length: Duration) -> Self {
        Self { keep: length.as_secs().max(1), newest: 0 }
    }

    /// The newest entries, as many as this, are kept however old they are.
    pub const fn newest(mut self, entries: u64) -> Self {
        self.newest = entries;
        self
    }

    /// For how long entries are kept; `None` is for ever.
    #[must_use]
    pub const fn kept_for(&self) -> Option<Duration> {
        if self.keep == 0 { None } else { Some(Duration::from_secs(self.keep)) }
    }

    /// How many of the newest entries are kept in any case.
    #[must_use]
    pub const fn newest_kept(&self) -> u64 {
        self.newest
    }

    /// For the log.
    pub(crate) fn told(&self) -> String {
        match self.keep {
            0 => "the log is kept for ever".to_owned(),
            keep => format!("the log is kept for {keep} s, and its newest {} entries", self.newest),
        }
    }
}

/// An order to keep the log, until it is lifted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogHold {
    /// Its id.
    pub id: LogHoldId,
    /// When it was placed.
    pub since: Timestamp,
    /// By whom.
    pub by: PrincipalId,
    /// Why, 1 to 256 bytes.
    pub reason: String,
}

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LogRetentionRow {
    Terms(LogRetention),
    /// Applied without a reason it takes the hold away; no such row is stored.
    Hold(LogHold),
    Cut(LogCut),
}

/// Where the log begins since it was pruned last. What is needed of the pruned entries to go on with the tree stands here,
/// since tiles can be lost, and could not be made anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogCut {
    /// What the prune entry says as well.
    pub(crate) pruned: LogPruned,
    /// The prune entry is one behind this.
    pub(crate) before: u64,
    /// The last tile of each level above the lowest, as far as it was filled when `end` entries were there.
    pub(crate) edge: Vec<Hash>,
}

impl LogCut {
    /// How many hashes the edge has: of a tree of whole tiles of the lowest level.
    fn edge_len(end: u64) -> u64 {
        (1..8_u32).map(|level| (end >> (8 * level)) % TILE).sum()
    }

    /// The edge's hashes of one level.
    pub(crate) fn edge_of(&self, level: u8) -> Option<&[Hash]> {
        let width = |level: u8| usize::try_from((self.pruned.end >> (8 * u32::from(level))) % TILE).ok();
        let from = (1..level).map(width).try_fold(0_usize, |sum, width| Some(sum.saturating_add(width?)))?;
        self.edge.get(from..from.checked_add(width(level)?)?)
    }
}

impl LogRetentionRow {
    pub(super) const fn place(&self) -> [u8; 16] {
        match self {
            Self::Terms(_) => [0; 16],
            Self::Hold(hold) => *hold.id.as_bytes(),
            Self::Cut(_) => CUT_PLACE,
        }
    }

    /// Behind the number of the table.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Terms(terms) => {
                out.put_u8(TERMS);
                out.put_u64(terms.keep);
                out.put_u64(terms.newest);
            }
            Self::Hold(hold) => {
                out.put_u8(HOLD);
                out.put(hold.id.as_bytes());
                out.put_i64(hold.since.as_micros());
                out.put(hold.by.as_bytes());
                // Never more than MAX_LOG_HOLD_REASON, which fits.
                out.put_u16(u16::try_from(hold.reason.len()).unwrap_or(u16::MAX));
                out.put(hold.reason.as_bytes());
            }
            Self::Cut(cut) => {
                out.put_u8(CUT);
                out.put_u64(cut.before);
                cut.pruned.put(out);
                out.put(cut.edge.as_flattened());
            }
        }
    }

    pub(super) fn decode(mut reader: Reader<'_>) -> Result<Self, BadRow> {
        let row = match reader.u8()? {
            TERMS => {
                let terms = LogRetention { keep: reader.u64()?, newest: reader.u64()? };
                // For ever, there is nothing more to say.
                if terms.keep == 0 && terms.newest > 0 {
                    return Err(BadRow);
                }
                Self::Terms(terms)
            }
            HOLD => {
                let id = LogHoldId::from_bytes(reader.array()?);
                let (since, by) = (Timestamp::from_micros(reader.i64()?), PrincipalId::from_bytes(reader.array()?));
                let reason = std::str::from_utf8(reader.len16()?).map_err(|_| BadRow)?.to_owned();
                let an_id = ![[0; 16], CUT_PLACE].contains(id.as_bytes());
                let sound = (1..=MAX_LOG_HOLD_REASON).contains(&reason.len()) && an_id;
                if !sound {
                    return Err(BadRow);
                }
                Self::Hold(LogHold { id, since, by, reason })
            }
            CUT => {
                let before = reader.u64()?;
                let pruned = LogPruned::read(&mut reader)?.ok_or(BadRow)?;
                let len = usize::try_from(LogCut::edge_len(pruned.end)).map_err(|_| BadRow)?;
                let edge = reader.take(len.saturating_mul(32))?.as_chunks::<32>().0.to_vec();
                Self::Cut(LogCut { pruned, before, edge })
            }
            _ => return Err(BadRow),
        };
        reader.finish()?;
        Ok(row)
    }
}

#[cfg(test)]
mod tests {
    use super::super::PolicyRow;
    use super::*;
    use crate::format::worked;
    use proptest::prelude::*;

    const PAGE: &str = include_str!("../../docs/format/policy.md");

    fn documented() -> [(LogRetentionRow, &'static str); 3] {
        let ten_years = LogRetention::keep_for(Duration::from_secs(3_653 * DAY)).unwrap().newest(1_000_000);
        let hold = LogHold {
            id: LogHoldId::from_bytes([0x1D; 16]),
            since: "2026-01-05T12:00:00Z".parse().unwrap(),
            by: crate::crypto::kdf::principal_id("a.lund"),
            reason: "case 17".into(),
        };
        let said = [&u64_bytes(0)[..], &u64_bytes(512), &[0xA1; 32], &hold.since.as_micros().to_be_bytes()].concat();
        let said = [&said[..], &[0, 0, 0, 1, 0, 0, 0, 3], &[0xA2; 32], &[0xA3; 32], hold.by.as_bytes()].concat();
        let pruned = LogPruned::read(&mut Reader::new(&said)).unwrap().unwrap();
        let cut = LogCut { pruned, before: 600, edge: vec![[0xA4; 32], [0xA5; 32]] };
        [
            (LogRetentionRow::Terms(ten_years), "log_retention_row"),
            (LogRetentionRow::Hold(hold), "log_hold_row"),
            (LogRetentionRow::Cut(cut), "log_cut_row"),
        ]
    }

    fn u64_bytes(n: u64) -> [u8; 8] {
        n.to_be_bytes()
    }

    #[test]
    fn the_edge_at_a_cut_has_the_last_tile_of_each_level() {
        let mut cut = match &documented()[2].0 {
            LogRetentionRow::Cut(cut) => cut.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!((cut.edge_of(1).map(<[_]>::len), cut.edge_of(2).map(<[_]>::len)), (Some(2), Some(0)));
        cut.pruned.end = 256 * 256 * 3 + 256 * 5;
        cut.edge = (0..8).map(|n| [n; 32]).collect();
        assert_eq!(LogCut::edge_len(cut.pruned.end), 8);
        assert_eq!((cut.edge_of(1), cut.edge_of(2)), (Some(&cut.edge[..5]), Some(&cut.edge[5..])));
        assert_eq!(cut.edge_of(0), Some(&[][..]));
        cut.edge.pop();
        assert_eq!(cut.edge_of(2), None);
    }

    #[test]
    fn the_worked_examples_hold_and_whatever_was_cut_prolonged_or_flipped_is_refused_or_another_row() {
        for (row, name) in documented() {
            let row = PolicyRow::LogRetention(row);
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
    }

    #[test]
    fn terms_and_holds_that_say_nothing_are_refused() {
        let nothing = PolicyRow::LogRetention(LogRetentionRow::Terms(LogRetention { keep: 0, newest: 1 }));
        assert_eq!(PolicyRow::parse(&nothing.to_bytes()), Err(BadRow));
        let hold = |id, reason: String| {
            let (since, by) = (Timestamp::from_micros(1), PrincipalId::from_bytes([2; 16]));
            let hold = LogHold { id: LogHoldId::from_bytes([id; 16]), since, by, reason };
            PolicyRow::parse(&PolicyRow::LogRetention(LogRetentionRow::Hold(hold)).to_bytes())
        };
        assert_eq!(hold(1, String::new()), Err(BadRow));
        assert_eq!(hold(1, "x".repeat(MAX_LOG_HOLD_REASON + 1)), Err(BadRow));
        assert_eq!(hold(0, "x".into()), Err(BadRow));
        assert!(hold(1, "x".repeat(MAX_LOG_HOLD_REASON)).is_ok());
    }

    #[test]
    fn six_years_are_the_least() {
        let days = |days: u64| LogRetention::keep_for(Duration::from_secs(days * DAY));
        assert_eq!(days(2_191), Err(LogRetentionTooShort { days: 2_191 }));
        assert!(days(2_192).is_ok());
        assert_eq!(LogRetention::default().kept_for(), None);
    }

    proptest! {
        #[test]
        fn terms_and_holds_come_back(keep in 1u64.., newest: u64, id in 1u128.., since: i64, reason in "[a-zé ]{1,40}") {
            let id = LogHoldId::from_bytes(u128::to_be_bytes(id));
            let (since, by) = (Timestamp::from_micros(since), PrincipalId::from_bytes([2; 16]));
            let hold = LogHold { id, since, by, reason };
            for row in [LogRetentionRow::Terms(LogRetention { keep, newest }), LogRetentionRow::Hold(hold)] {
                let row = PolicyRow::LogRetention(row);
                prop_assert_eq!(PolicyRow::parse(&row.to_bytes()), Ok(row));
            }
        }

        #[test]
        fn what_parses_is_what_would_be_written(rest in proptest::collection::vec(0u8..4, 0..60)) {
            let bytes = [&[26][..], &rest].concat();
            if let Ok(row) = PolicyRow::parse(&bytes) {
                prop_assert_eq!(row.to_bytes(), bytes);
            }
        }
    }
}
