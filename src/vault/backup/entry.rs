//! What the log tells of backups, and what the vault remembers of them by the same commit.

use std::time::Duration;

use super::{BackupReport, DrillReport};
use crate::audit::{AuditEvent, Draft, Outcome};
use crate::backup::manifest::Manifest;
use crate::backup::{BackupPruned, BackupVerified};
use crate::clock::Timestamp;
use crate::committer::{Row, Stripe};
use crate::error::Error;
use crate::format::keys::Tree;
use crate::policy::{self, BackupNote, BackupRow, LastBackup, LastDrill, LastPack, LastVerification, PolicyRow};
use crate::unlocked::Unlocked;

/// Bytes of what an entry says, which has room for 1,024.
const MOST_TOLD: usize = 1_000;
/// Characters of a target's name in what an entry says.
const MOST_NAME: usize = 120;

/// Enters a backup that was made, or that failed.
pub(super) fn made(unlocked: &Unlocked, target: &str, made: &Result<BackupReport, Error>) -> Result<(), Error> {
    let draft = match made {
        Ok(report) => {
            let mut draft = Draft::new(AuditEvent::BackupMade, Outcome::Allowed);
            draft.fields.count = u32::try_from(report.objects).ok();
            draft.fields.detail = Some(cut(BackupReport { target: shown(target), ..report.clone() }.to_string()));
            draft
        }
        Err(error) => failed(AuditEvent::BackupFailed, target, error),
    };
    note_it(unlocked, target, vec![note_of(unlocked, made)], draft)
}

/// Remembers a backup of which the log is told later, as long as the vault is open: where others follow within seconds.
pub(super) fn made_untold(unlocked: &Unlocked, target: &str, made: &Result<BackupReport, Error>) {
    let target = policy::kept_name(target);
    let _held = unlocked.stripes.write(&[Stripe::Policy]);
    if unlocked.policy.backups_in_the_way(&target).is_empty() {
        unlocked.policy.apply(PolicyRow::Backup(BackupRow { target, note: note_of(unlocked, made) }));
    }
}

fn note_of(unlocked: &Unlocked, made: &Result<BackupReport, Error>) -> BackupNote {
    match made {
        Ok(report) => {
            let pack = report.named.map(|pack| LastPack::new(pack.number, pack.header_generation, pack.erasures));
            let numbers = (report.manifest, report.entries, report.stored_bytes);
            BackupNote::Made(LastBackup::new((report.made, report.took), numbers, pack, report.oldest_data_epoch))
        }
        Err(error) => BackupNote::Failed(policy::failure(now(unlocked), error.word())),
    }
}

/// Enters a restore that was rehearsed, or how it failed.
pub(super) fn drilled(
    unlocked: &Unlocked,
    target: &str,
    drilled: &Result<DrillReport, Error>,
    took: Duration,
) -> Result<(), Error> {
    let now = now(unlocked);
    let (draft, notes) = match drilled {
        Ok(report) => {
            let mut draft = Draft::new(AuditEvent::DrillDone, report.outcome());
            draft.fields.count = u32::try_from(report.records_opened).ok();
            draft.fields.detail = Some(cut(report.told()));
            let (manifest, records) = (report.manifest, report.records_opened);
            let drill = LastDrill::new((now, report.outcome()), manifest, (took, report.recovery), records);
            // All that a restore needs was read and verified for it.
            let verified = LastVerification::new(now, Outcome::Allowed, manifest);
            (draft, vec![BackupNote::Drilled(drill), BackupNote::Verified(verified)])
        }
        Err(error) => {
            let drill = LastDrill::new((now, Outcome::Failed), 0, (took, Duration::ZERO), 0);
            (failed(AuditEvent::DrillDone, target, error), vec![BackupNote::Drilled(drill)])
        }
    };
    note_it(unlocked, target, notes, draft)
}

/// Enters a backup that was verified, or that could not be.
pub(super) fn verified(
    unlocked: &Unlocked,
    target: &str,
    verified: &Result<BackupVerified, Error>,
) -> Result<(), Error> {
    let (draft, outcome, manifest) = match verified {
        Ok(found) => {
            let outcome = if found.is_sound() { Outcome::Allowed } else { Outcome::Failed };
            let mut draft = Draft::new(AuditEvent::BackupVerified, outcome);
            draft.fields.count = u32::try_from(found.objects).ok();
            draft.fields.detail = Some(cut(format!("{}: {found}", shown(target))));
            (draft, outcome, found.last)
        }
        Err(error) => (failed(AuditEvent::BackupVerified, target, error), Outcome::Failed, 0),
    };
    let verification = LastVerification::new(now(unlocked), outcome, manifest);
    note_it(unlocked, target, vec![BackupNote::Verified(verification)], draft)
}

/// Enters that the vault was restored, and remembers the backup that it was restored from.
pub(super) fn restored(
    unlocked: &Unlocked,
    (target, manifest): (&str, &Manifest),
    entries: u64,
    draft: Draft,
) -> Result<(), Error> {
    let pack = manifest.pack.map(|pack| LastPack::new(pack.number, pack.header_generation, pack.erasures));
    let numbers = (manifest.number, entries, 0);
    let last = LastBackup::new((manifest.made, Duration::ZERO), numbers, pack, manifest.data_epochs.0);
    note_it(unlocked, target, vec![BackupNote::Made(last)], draft)
}

/// Commits an entry together with what is remembered of it. Targets that were not heard of for longest make room.
fn note_it(unlocked: &Unlocked, target: &str, notes: Vec<BackupNote>, draft: Draft) -> Result<(), Error> {
    let target = policy::kept_name(target);
    let _held = unlocked.stripes.write(&[Stripe::Policy]);
    let gone = unlocked.policy.backups_in_the_way(&target);
    let mut rows = Vec::new();
    for (table, id) in gone.iter().flat_map(|name| PolicyRow::places_of_backups(name)) {
        let key = unlocked.keyring().policy_tag(table, &id);
        let old = unlocked.committer.get(Tree::Policy, &key)?;
        rows.extend(old.map(|old| Row::removal(Tree::Policy, key, old)));
    }
    let notes = notes.into_iter().map(|note| PolicyRow::Backup(BackupRow { target: target.clone(), note }));
    let notes: Vec<PolicyRow> = notes.collect();
    for note in &notes {
        rows.push(unlocked.policy_row(note)?);
    }
    unlocked.commit(rows, vec![draft])?;
    unlocked.policy.forget_backups(&gone);
    notes.into_iter().for_each(|note| unlocked.policy.apply(note));
    Ok(())
}

/// Enters a pruning, or that it failed.
pub(super) fn pruned(unlocked: &Unlocked, target: &str, pruned: &Result<BackupPruned, Error>) -> Result<(), Error> {
    let draft = match pruned {
        Ok(report) => {
            let mut draft = Draft::new(AuditEvent::BackupPruned, Outcome::Allowed);
            draft.fields.count = u32::try_from(report.manifests).ok();
            draft.fields.detail = Some(cut(report.to_string()));
            draft
        }
        Err(error) => failed(AuditEvent::BackupPruned, target, error),
    };
    unlocked.commit(Vec::new(), vec![draft])
}

/// The entry of something that could not be done.
pub(super) fn failed(event: AuditEvent, target: &str, error: &Error) -> Draft {
    let mut draft = Draft::new(event, Outcome::Failed);
    draft.fields.detail = Some(cut(format!("{}: {}: {error}", shown(target), error.word())));
    draft
}

/// Also where the clock was set back.
fn now(unlocked: &Unlocked) -> Timestamp {
    unlocked.now().unwrap_or_else(|_| unlocked.clock.now())
}

/// A target's name as entries and reports show it.
pub(super) fn shown(target: &str) -> String {
    policy::kept_name(target).chars().take(MOST_NAME).collect()
}

/// As much as an entry has room for.
fn cut(told: String) -> String {
    let end = (0..=MOST_TOLD).rev().find(|end| told.is_char_boundary(*end)).unwrap_or(0);
    told.get(..end).map_or(told.clone(), str::to_owned)
}
