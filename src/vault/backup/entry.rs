//! What the log tells of backups.

use super::BackupReport;
use crate::audit::{AuditEvent, Draft, Outcome};
use crate::backup::BackupPruned;
use crate::error::Error;
use crate::unlocked::Unlocked;

/// Characters of what is logged of a failure.
const MOST_TOLD: usize = 300;

/// Enters a backup that was made, or that failed.
pub(super) fn made(unlocked: &Unlocked, target: &str, made: &Result<BackupReport, Error>) -> Result<(), Error> {
    let draft = match made {
        Ok(report) => {
            let mut draft = Draft::new(AuditEvent::BackupMade, Outcome::Allowed);
            draft.fields.count = u32::try_from(report.objects).ok();
            draft.fields.detail = Some(report.to_string());
            draft
        }
        Err(error) => failed(AuditEvent::BackupFailed, target, error),
    };
    unlocked.commit(Vec::new(), vec![draft])
}

/// Enters a pruning, or that it failed.
pub(super) fn pruned(unlocked: &Unlocked, target: &str, pruned: &Result<BackupPruned, Error>) -> Result<(), Error> {
    let draft = match pruned {
        Ok(report) => {
            let mut draft = Draft::new(AuditEvent::BackupPruned, Outcome::Allowed);
            draft.fields.count = u32::try_from(report.manifests).ok();
            draft.fields.detail = Some(report.to_string().chars().take(MOST_TOLD).collect());
            draft
        }
        Err(error) => failed(AuditEvent::BackupPruned, target, error),
    };
    unlocked.commit(Vec::new(), vec![draft])
}

/// The entry of something that could not be done.
pub(super) fn failed(event: AuditEvent, target: &str, error: &Error) -> Draft {
    let mut draft = Draft::new(event, Outcome::Failed);
    let told: String = error.to_string().chars().take(MOST_TOLD).collect();
    draft.fields.detail = Some(format!("{target}: {}: {told}", error.word()));
    draft
}
