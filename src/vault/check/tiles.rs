//! The tiles of the log's Merkle tree and its index against its entries, which were found sound before.

use super::{Check, Finding, FindingPlace, Severity, rows_of};
use crate::audit::LogProofError;
use crate::error::Error;
use crate::format::keys::Tree;
use crate::unlocked::{IndexFound, TilesFound};

impl Check<'_, '_> {
    pub(super) fn check_tiles(&mut self) -> Result<(), Error> {
        let unlocked = self.unlocked;
        let checked = unlocked.check_log_tiles(&mut |step| self.tell(step.task, step.done, step.total));
        self.go_on()?;
        let TilesFound { mended, lost, same } = match checked {
            Ok(checked) => checked,
            Err(Error::LogProof(LogProofError::NoTree)) => {
                let what = "there is no Merkle tree over the log; opening the vault again builds it".to_owned();
                self.add(Finding::new(rows_of(Tree::Log), what, Severity::Mendable));
                return Ok(());
            }
            Err(Error::LogProof(LogProofError::Unproved { .. })) => {
                self.found(FindingPlace::Rows { of: "the log's tree" }, "tiles of pruned entries lead to another root");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if lost > 0 {
            let what =
                format!("{lost} tiles of pruned entries are missing: proofs about these cannot be made any more");
            self.add(Finding::new(rows_of(Tree::Log), what, Severity::Grave));
        }
        if mended > 0 {
            let what = format!("{mended} tiles of the log's tree were wrong or missing");
            self.add(Finding::new(rows_of(Tree::Log), what, Severity::Mended));
        }
        if !same {
            self.found(FindingPlace::Rows { of: "the log's tree" }, "its root is not that of the entries");
        }
        Ok(())
    }

    pub(super) fn check_index(&mut self) -> Result<(), Error> {
        let mut wrong = 0_u64;
        for number in self.unlocked.first_stretch()..self.unlocked.full_stretches() {
            self.go_on()?;
            match self.unlocked.check_index(number)? {
                // It is made when a query first needs it.
                IndexFound::Sound | IndexFound::Missing => {}
                IndexFound::Wrong { .. } => wrong = wrong.saturating_add(1),
            }
        }
        if wrong > 0 {
            let what = format!("{wrong} rows of the log's index said something else than its entries");
            self.add(Finding::new(rows_of(Tree::Log), what, Severity::Mended));
        }
        Ok(())
    }
}
