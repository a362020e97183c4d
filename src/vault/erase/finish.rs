//! What makes an erasure final. Every step can be done again: whoever goes on begins with the first.

use std::collections::BTreeSet;

use crate::audit::{AuditEvent, Draft, Outcome};
use crate::committer::Stripe;
use crate::error::Error;
use crate::keyring::Credential;
use crate::policy::{Erasure, PolicyRow};
use crate::progress::OnProgress;
use crate::unlocked::{Removed, Unlocked};
use crate::vault::compact::compact;
use crate::vault::rotate::count_unreadable;
use crate::vault::{Compaction, Vault};

/// What finishing erasures did, for all patients together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Finished {
    pub(super) patients: usize,
    /// Other patients' keys that were sealed anew.
    pub(super) rewrapped: u64,
    pub(super) records: Removed,
    pub(super) identifiers: Removed,
    pub(super) compaction: Option<Compaction>,
    /// Whether the sealed bytes went as well.
    pub(super) purged: bool,
}

impl Vault {
    /// Finishes all erasures that were begun. Whoever calls holds the lock of rotations.
    pub(super) fn finish(
        &self,
        unlocked: &Unlocked,
        credential: Credential<'_>,
        progress: &mut OnProgress<'_>,
    ) -> Result<Finished, Error> {
        let open: Vec<Erasure> =
            unlocked.policy.erasures().into_iter().filter(|erasure| erasure.finished.is_none()).collect();
        let mut done = Finished { patients: open.len(), ..Finished::default() };
        let tags: BTreeSet<[u8; 16]> = open.iter().map(|erasure| erasure.patient_tag).collect();
        let go_on = self.goes_on();
        // A new key would not help while one of those before it has to stay.
        let unreadable = count_unreadable(unlocked)?;
        if unreadable > 0 {
            return Err(Error::ErasureUnfinished { unreadable });
        }
        // First what decides: whatever becomes of the rows, nobody opens them after this. A new key each time, since the
        // one in force may be older than a secret that was destroyed.
        self.begin_wrap_key(unlocked, credential)?;
        let walked = self.finish_wrap_key(unlocked, credential, progress)?;
        done.rewrapped = walked.renewed;
        if walked.unreadable > 0 {
            return Err(Error::ErasureUnfinished { unreadable: walked.unreadable });
        }
        done.identifiers = unlocked.remove_identifiers(&tags, &go_on)?;
        for tag in &tags {
            let removed = unlocked.remove_records(tag, &go_on)?;
            done.records.rows = done.records.rows.saturating_add(removed.rows);
            done.records.left = done.records.left.saturating_add(removed.left);
        }
        if open.iter().any(|erasure| erasure.identity) {
            unlocked.committer.catch_up()?;
            unlocked.committer.settle();
            unlocked.committer.close_segment()?;
            match compact(unlocked, progress, &go_on) {
                // Bytes that the disk does not give cannot be moved, so the files that hold them stay.
                Err(Error::Storage(error)) if error.is_of_one_value() => {}
                compacted => {
                    done.compaction = compacted?;
                    unlocked.committer.storage().renew_trees()?;
                    // Where somebody else has just compacted up to there, nothing says that the old files are gone already.
                    done.purged = done.compaction.is_some();
                }
            }
        }
        self.enter_as_finished(unlocked, open, &done)?;
        Ok(done)
    }

    /// One commit, so that the entry is there if and only if the ledger says so.
    fn enter_as_finished(&self, unlocked: &Unlocked, open: Vec<Erasure>, done: &Finished) -> Result<(), Error> {
        const TOGETHER: usize = 1_000;
        let now = unlocked.now()?;
        for some in open.chunks(TOGETHER) {
            let finished: Vec<PolicyRow> = some
                .iter()
                .map(|erasure| PolicyRow::Erasure(Erasure { finished: Some(now), ..erasure.clone() }))
                .collect();
            let mut draft = Draft::new(AuditEvent::PatientErased, Outcome::Allowed);
            draft.fields.count = Some(u32::try_from(some.len()).unwrap_or(u32::MAX));
            let Finished { rewrapped, records, identifiers, purged, .. } = done;
            let bytes = if *purged { ", sealed bytes as well" } else { "" };
            draft.fields.detail = Some(format!(
                "{} versions and {} identifiers removed{bytes}, {} not readable; {rewrapped} keys sealed anew",
                records.rows,
                identifiers.rows,
                records.left.saturating_add(identifiers.left),
            ));
            let queued = {
                let _held = unlocked.stripes.write(&[Stripe::Policy]);
                let rows = finished.iter().map(|row| unlocked.policy_row(row)).collect::<Result<_, _>>()?;
                unlocked.committer.queue(rows, vec![draft])?
            };
            unlocked.committer.wait(queued)?;
            finished.into_iter().for_each(|row| unlocked.policy.apply(row));
        }
        Ok(())
    }
}
