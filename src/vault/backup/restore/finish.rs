//! Makes a vault of what was brought back.

use std::sync::Mutex;

use super::super::entry::{self, shown};
use super::BackupFault;
use super::choose::Chosen;
use super::mark::{self, Mark, Stage};
use super::packed::Opened;
use crate::audit::{AuditEvent, Draft, EntryKind, Outcome};
use crate::committer::Row;
use crate::error::Error;
use crate::format::keys::Tree;
use crate::keyring::Credential;
use crate::progress::OnProgress;
use crate::unlocked::{DirLock, Unlocked};
use crate::vault::{ErasureLedger, Home, LockedVault, Options, Replayed, Vault};

/// What a directory is once all was brought back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::vault::backup) enum Becomes {
    /// A vault.
    Vault,
    /// What a drill looks at: it stays marked as unfinished, and is never a vault for anybody else.
    Copy,
}

/// What came of it.
pub(super) struct Finished {
    pub(super) left_out: u64,
    pub(super) erased: Replayed,
}

pub(super) fn finish(
    (home, lock, options): (Home, DirLock, Options),
    becomes: Becomes,
    pack: &Opened<'_>,
    (chosen, mark): (&Chosen, &mut Mark),
    credential: Credential<'_>,
    progress: OnProgress<'_>,
) -> Result<Finished, Error> {
    // Of a later attempt the key is this restore's own.
    let brought_back = mark.stage == Stage::Finishing;
    let options = Options { brought_back, ..options.for_restoring() };
    let locked = LockedVault { home, options, lock: Mutex::new(Some(lock)) };
    let vault = locked.unlock_unfinished(credential, &mut *progress)?;
    let finished = finish_open(&vault, pack, (chosen, mark), credential, progress);
    let finished = finished.and_then(|finished| match becomes {
        // As long as the lock is ours: nobody else goes on with what is finished.
        Becomes::Vault => mark::remove(vault.path()).map(|()| finished),
        Becomes::Copy => Ok(finished),
    });
    let closed = vault.close();
    let finished = finished?;
    if becomes == Becomes::Copy {
        closed?;
    }
    // A vault that was not closed properly is one: its next opening goes on as after a crash.
    Ok(finished)
}

fn finish_open(
    vault: &Vault,
    pack: &Opened<'_>,
    (chosen, mark): (&Chosen, &mut Mark),
    credential: Credential<'_>,
    progress: OnProgress<'_>,
) -> Result<Finished, Error> {
    let unlocked = vault.0.gate.enter()?;
    let last = &chosen.last().manifest;
    let entries = mark.entries;
    if mark.stage == Stage::Finishing {
        check_root(&unlocked, chosen, entries)?;
        replace_secrets(&unlocked, pack)?;
        mark.reach(Stage::Erasing, vault.path())?;
    }
    vault.go_on_erasing(credential, &mut *progress)?;
    let ledger = ErasureLedger::from_bytes(&pack.ledger)?;
    let erased = vault.replay_erasures(&ledger, credential, progress)?;
    let left_out = last.tip.entries.saturating_sub(entries);
    let mut draft = Draft::new(AuditEvent::VaultRestored, Outcome::Allowed);
    draft.kind = EntryKind::Recovery;
    draft.fields.detail = Some(format!(
        "to {} from {}: manifest {}, {entries} log entries, {left_out} later ones left out; key pack {}; {erased}",
        mark.point,
        shown(&mark.source),
        last.number,
        pack.number
    ));
    entry::restored(&unlocked, (&mark.source, last), entries, draft)?;
    Ok(Finished { left_out, erased })
}

/// Whether the log is the one that the manifest is of.
fn check_root(unlocked: &Unlocked, chosen: &Chosen, entries: u64) -> Result<(), Error> {
    let signed = chosen.manifests().filter(|manifest| manifest.whole && manifest.tip.entries <= entries).last();
    let Some((number, tip)) = signed.map(|manifest| (manifest.number, manifest.tip)) else { return Ok(()) };
    match tip.root {
        Some(root) if unlocked.committer.log_tree().is_some() && unlocked.log_root(tip.entries)? != root => {
            Err(BackupFault::Broken { number }.into())
        }
        _ => Ok(()),
    }
}

/// Gives each patient the sealed secret of the pack: those of the backup may be under keys that are gone.
fn replace_secrets(unlocked: &Unlocked, pack: &Opened<'_>) -> Result<(), Error> {
    const TOGETHER: usize = 1_000;
    for secrets in pack.secrets() {
        for some in secrets?.chunks(TOGETHER) {
            let mut rows = Vec::new();
            for (key, value) in some {
                match unlocked.committer.get(Tree::Patients, key)? {
                    Some(old) if *old != value[..] => {
                        let row = Row::new(Tree::Patients, key.clone(), value.clone());
                        rows.push(Row { replaces: Some(old), ..row });
                    }
                    // A patient of later than this state is not in it.
                    _ => {}
                }
            }
            if !rows.is_empty() {
                // Nobody else has the vault yet.
                unlocked.commit(rows, Vec::new())?;
            }
        }
    }
    unlocked.forget_charts();
    Ok(())
}
