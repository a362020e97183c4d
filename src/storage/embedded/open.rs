//! Opening: first judge everything without changing anything, then mend what a crash leaves, then apply.

use super::super::journal::tail::Tail;
use super::super::journal::walk::{self, Walk};
use super::super::journal::{files::Files, reader::SegmentReader};
use super::super::load::Loader;
use super::rebuild::{Replayed, Report, Source};
use super::*;
use crate::progress::Task;
use crate::storage::file::StoredFile;

pub(super) fn open(
    dir: &Path,
    vault: VaultId,
    keys: &StorageKeys,
    options: StorageOptions,
    header_generation: u64,
    mut progress: OnProgress<'_>,
) -> Result<(Embedded, Opened), StorageError> {
    let journal = JournalId::new(dir, vault, HmacKey::new(keys.journal.expose()));
    let state_key = HmacKey::new(keys.state.expose());
    let found = Files::list(&journal)?;
    let library = Library::new(&found)?;
    let (files, state) = StateFiles::read(dir, vault, kdf::state_file_mac(&keys.state))?;
    let applied = state.as_ref().map(|state| state.applied).unwrap_or_default();
    let total = found.bytes();
    let mut report = Report::new(&mut progress, Task::ReadJournal, total);
    let walk = walk::to_the_end(&journal, &found, &library, applied, &mut |_, _, len| {
        report.add(len);
        Ok(())
    })?;
    let clean_mark = files.clean()?;
    if let Some((seq, hash)) = clean_mark {
        must_reach(&walk, seq, &hash, "the clean mark")?;
    }
    let clean = clean_mark == Some((walk.tip.seq, walk.tip.hash)) && walk.tail == Tail::Zeros;
    let seen = state.as_ref().map_or(0, |state| state.header_generation).max(walk.header_generation);
    if seen > header_generation {
        return Err(StorageError::HeaderRolledBack { header: header_generation, journal: seen });
    }

    let (trees, numbers, mut reason) = open_trees(dir, &files, state.as_ref(), &options)?;
    let settled = trees.as_ref().map(Trees::settled).transpose();
    if settled.is_err() {
        reason = Some("the trees could not be read");
    }
    let settled = settled.unwrap_or_default().flatten();
    if let Some((seq, hash)) = settled {
        must_reach(&walk, seq, &hash, "the trees")?;
    }
    if trees.is_some() && settled.map_or(0, |(seq, _)| seq) < applied.seq {
        reason = Some("the trees are older than the state file");
    }
    if trees.is_some() && applied.seq < found.covered().seq {
        reason = Some("the trees are older than the base of the journal");
    }

    files.remove_clean()?;
    mend(&journal, &library, &walk, found.covered().seq, clean)?;
    let compacted = verify_base_of_interrupted(&found, &state_key)?;
    let source = Source {
        dir,
        journal: &journal,
        files: &found,
        library: &library,
        state_key: &state_key,
        cache_bytes: options.cache_bytes,
    };
    let named = state.as_ref().map(|state| state.trees);
    let next_number = numbers.iter().copied().chain(named).max().unwrap_or(0).saturating_add(1);
    let mut replayed = 0_u64;
    let (trees, done) = match (trees, state, reason) {
        (Some(trees), Some(state), None) => {
            let (from, mut report) = (state.applied, Report::new(&mut progress, Task::ReadJournal, total));
            let mut replay = source.replay(Loader::into_old(&trees), state);
            if from != walk.tip {
                walk::between(&journal, &found, &library, (from, walk.tip), &mut |frame, place, len| {
                    report.add(len);
                    replayed = replayed.saturating_add(u64::try_from(len).unwrap_or(u64::MAX));
                    if settled.is_some_and(|(seq, hash)| seq == place.seq && hash != place.hash) {
                        return Err(behind(&walk, place.seq, "the trees"));
                    }
                    replay.frame(frame, place, &journal.segment_path(place.segment))
                })?;
            }
            let done = replay.finish(&mut |_, _, _| Ok(()))?;
            if from != walk.tip {
                trees.set_settled(walk.tip.seq, &walk.tip.hash)?;
            }
            (trees, done)
        }
        (trees, _, _) => {
            drop(trees);
            // Beside the trees that the state file names there are only those that a rebuild was killed in.
            for other in numbers.iter().filter(|other| named.is_some_and(|named| named != **other)) {
                let _ = file::remove_dir(&trees::dir(dir, *other));
            }
            let rebuilt = source.rebuild(next_number, walk.tip, &mut progress)?;
            (rebuilt.trees, rebuilt.replayed)
        }
    };
    let Replayed { applied, tallies, last_entry, frames } = done;
    let mut opened = Opened {
        clean,
        state_files: 0,
        set_aside: None,
        torn: match walk.tail {
            Tail::Zeros => None,
            Tail::Torn { offset, len } => Some(Torn { segment: walk.segment.path.clone(), offset, len }),
        },
        replayed_frames: frames,
        rebuilt: reason,
        compacted,
        header_generation: seen,
    };
    let file = StoredFile::open_to_write(&walk.segment.path)?;
    let writer = Writer::resume(journal.clone(), &options, file, walk.segment, walk.next, walk.tip);
    let number = trees.number;
    let built = reason.is_some();
    // What was compared while it was built was still in sled's cache.
    let verified = false;
    let start =
        Start { journal, state_key, library, writer, applied, tallies, last_entry, trees, files, verified, replayed };
    let embedded = Embedded::start(dir, options, start);
    if built {
        embedded.inner.checkpoint()?;
    }
    if !clean {
        opened.state_files = rewrite_state_files(&embedded.inner);
    }
    // No state file names the others any more. What cannot be removed or set aside now is removed next time.
    if clean && !built {
        let _ = trees::remove_set_aside(dir);
    }
    for old in numbers.into_iter().filter(|old| *old != number) {
        if named == Some(old) || trees::is_suspect(dir, old) {
            opened.set_aside = trees::set_aside(dir, old).ok().or(opened.set_aside);
        }
        let _ = file::remove_dir(&trees::dir(dir, old));
    }
    Ok((embedded, opened))
}

/// Refuses a journal that ends before a frame that is known to have existed, or has another one in its place.
fn must_reach(walk: &Walk, seq: u64, hash: &[u8; 32], witness: &'static str) -> Result<(), StorageError> {
    if seq < walk.tip.seq || (seq == walk.tip.seq && *hash == walk.tip.hash) {
        return Ok(());
    }
    Err(behind(walk, seq, witness))
}

fn behind(walk: &Walk, evidence: u64, witness: &'static str) -> StorageError {
    match walk.tail {
        Tail::Zeros => StorageError::JournalBehind { journal: walk.tip.seq, evidence, witness },
        Tail::Torn { offset, .. } => walk.segment.damaged(offset, "the remains of a frame that had been acknowledged"),
    }
}

type OpenedTrees = (Option<Trees>, Vec<u64>, Option<&'static str>);

/// Opens the trees that the state file names (without one: the newest, to hear what they know). Gives all numbers of
/// trees that exist, and why the trees must be rebuilt, if they must.
fn open_trees(
    dir: &Path,
    files: &StateFiles,
    state: Option<&State>,
    options: &StorageOptions,
) -> Result<OpenedTrees, StorageError> {
    let numbers = trees::list(dir)?;
    let Some(number) = state.map(|state| state.trees).or(numbers.last().copied()) else {
        return Ok((None, numbers, Some("there were no trees")));
    };
    if !numbers.contains(&number) {
        return Ok((None, numbers, Some("the trees were missing")));
    }
    let lost = files.lost_openings();
    if lost > 1 {
        files.remove_opening()?;
        return Ok((None, numbers, Some("two openings of the trees in a row never came back")));
    }
    files.mark_opening(lost > 0)?;
    let opened = Trees::open(dir, number, options.cache_bytes);
    files.remove_opening()?;
    match opened {
        Ok(trees) if state.is_some() => Ok((Some(trees), numbers, None)),
        Ok(trees) => Ok((Some(trees), numbers, Some("no state file says what the trees must hold"))),
        Err(StorageError::Trees { .. }) => Ok((None, numbers, Some("the trees could not be opened"))),
        Err(error) => Err(error),
    }
}

/// If a compaction was interrupted before it removed what the base covers, that can be removed, once the log has the
/// entry of it. Since these files are still the only other copy, all of the base is read and verified first.
fn verify_base_of_interrupted(found: &Files, state_key: &HmacKey) -> Result<Option<u64>, StorageError> {
    let Some(base) = found.base.as_ref().filter(|_| !found.covered_files.is_empty()) else { return Ok(None) };
    base.verify(state_key, &mut |_| {})?;
    Ok(Some(base.header.through.seq))
}

/// Removes files that the base covers, the oldest first, so that what is left never has a gap.
pub(super) fn remove_covered(found: &Files) -> Result<(), StorageError> {
    found.covered_files.iter().try_for_each(|path| file::remove(path))?;
    found.covered_files.first().map_or(Ok(()), |path| file::sync_parent(path))
}

/// Mends what a crash leaves behind in the journal.
fn mend(journal: &JournalId, library: &Library, walk: &Walk, covered: u64, clean: bool) -> Result<(), StorageError> {
    file::remove(&journal.successor_path())?;
    file::remove(&journal.new_base_path())?;
    if let Some(path) = &walk.unused_successor {
        file::remove(path)?;
        file::sync_dir(&journal.dir)?;
        library.remove(walk.segment.header.number.saturating_add(1));
    }
    if let Tail::Torn { offset, len } = walk.tail {
        let file = StoredFile::open_to_write(&walk.segment.path)?;
        set_aside(journal, walk, &file, offset, len);
        file.write_zeros(offset, offset.saturating_add(len))?;
        file.sync_data()?;
    }
    if !clean && walk.tip.seq > covered {
        rewrite_tip(journal, walk)?;
    }
    Ok(())
}

/// A state file that was being written when the machine stopped would look like damage to a check. What is not written anew
/// now is mended by the next checkpoints.
fn rewrite_state_files(inner: &Inner) -> usize {
    let bad = lock(&inner.checkpoints).bad();
    for _ in &bad {
        let _ = inner.checkpoint();
    }
    bad.len()
}

/// Keeps the bytes of a torn frame for whoever wants to look at them. Opening does not depend on it.
fn set_aside(journal: &JournalId, walk: &Walk, file: &StoredFile, offset: u64, len: u64) {
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    let _ = file
        .read_at(&mut bytes, offset)
        .and_then(|()| StoredFile::create(&journal.torn_path(walk.segment.header.number, offset)))
        .and_then(|aside| aside.write_at(&bytes, 0));
}

/// After a failed sync the last frame may be in the system's cache, look clean, and be absent from the disk. Writing
/// it again makes sure of it.
fn rewrite_tip(journal: &JournalId, walk: &Walk) -> Result<(), StorageError> {
    let path = journal.segment_path(walk.tip.segment);
    let segment = Segment { header: walk.segment.header, path };
    let file = StoredFile::open_to_write(&segment.path)?;
    let mut reader = SegmentReader::over(&segment.path)?;
    let bytes = reader.frame_at(walk.tip.offset)?.map_err(|error| segment.damaged(walk.tip.offset, error.0))?;
    file.write_at(bytes, walk.tip.offset)?;
    file.sync_data()
}
