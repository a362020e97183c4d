//! Ends a copied journal at an earlier commit, so that the vault is as it was then.

use std::path::Path;

use crate::crypto::hash::HmacKey;
use crate::format::base::Item;
use crate::format::frame::FrameKind;
use crate::format::state::Place;
use crate::ids::VaultId;
use crate::storage::file::{self, StoredFile};
use crate::storage::journal::base::Base;
use crate::storage::journal::files::Files;
use crate::storage::journal::library::Library;
use crate::storage::journal::{JournalId, walk};
use crate::storage::{StorageError, StorageKeys};

/// Whether a commit stays, by its entries and the number of the first.
pub(crate) type Keep<'k> = &'k mut dyn FnMut(u64, &[&[u8]]) -> Result<bool, StorageError>;

/// Bytes that are zeroed before the next are.
const STEP: u64 = 4 << 20;

/// Where a journal ends now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Audit entries up to there.
    pub(crate) entries: u64,
    /// Whether something stood behind.
    pub(crate) shortened: bool,
}

/// Keeps all commits up to the last one of which `keep` says yes; it is given each commit's entries, with the number of the
/// first. Answers nothing, and changes nothing, if the base itself would have to be cut.
pub(crate) fn cut(
    vault_dir: &Path,
    vault: VaultId,
    keys: &StorageKeys,
    keep: Keep<'_>,
) -> Result<Option<Cut>, StorageError> {
    let id = JournalId::new(vault_dir, vault, HmacKey::new(keys.journal.expose()));
    let found = Files::list(&id)?;
    let library = Library::new(&found)?;
    // Entries that are kept, entries of all, and where what is not kept begins.
    let (mut entries, mut all) = match &found.base {
        Some(base) => {
            let held = base.header.first_entry.saturating_add(base.seal.entries);
            let is_kept = held == 0 || keep_base(base, held, keep)?;
            (is_kept.then_some(held), held)
        }
        None => (Some(0), 0),
    };
    let mut end = None;
    walk::to_the_end(&id, &found, &library, Place::default(), &mut |frame, place, _| {
        if frame.link.kind == FrameKind::Seal {
            return Ok(());
        }
        let contents = frame.contents().map_err(|error| StorageError::Damaged {
            segment: id.segment_path(place.segment),
            offset: place.offset,
            what: error.0,
        })?;
        let held: Vec<&[u8]> = contents.entries.iter().map(|entry| entry.bytes).collect();
        if held.is_empty() {
            return Ok(());
        }
        let is_kept = keep(all, &held)?;
        all = all.saturating_add(u64::try_from(held.len()).unwrap_or(u64::MAX));
        if is_kept {
            (entries, end) = (Some(all), None);
        } else {
            end.get_or_insert(place);
        }
        Ok(())
    })?;
    let Some(entries) = entries else { return Ok(None) };
    let Some(place) = end else { return Ok(Some(Cut { entries, shortened: false })) };
    // The newest first, so that what is left never has a gap.
    for later in found.segments.iter().rev().filter(|segment| segment.header.number > place.segment) {
        file::remove(&later.path)?;
        file::sync_dir(&id.dir)?;
    }
    if let Some(last) = found.segments.iter().find(|segment| segment.header.number == place.segment) {
        let file = StoredFile::open_to_write(&last.path)?;
        // From the back: whatever interrupts it leaves whole frames, at most one torn one, and zeros.
        let mut end = last.header.size;
        while end > place.offset {
            let from = end.saturating_sub(STEP).max(place.offset);
            file.write_zeros(from, end)?;
            file.sync_data()?;
            end = from;
        }
        file.sync_all()?;
    }
    Ok(Some(Cut { entries, shortened: true }))
}

/// Whether the newest entry of the base is to be kept.
fn keep_base(base: &Base, held: u64, keep: Keep<'_>) -> Result<bool, StorageError> {
    let mut newest = Vec::new();
    base.walk(
        &mut |_, item| {
            if let Item::Entry(entry) = item {
                newest.clear();
                newest.extend_from_slice(entry.bytes);
            }
            Ok(())
        },
        &mut |_| {},
    )?;
    keep(held.saturating_sub(1), &[&newest])
}
