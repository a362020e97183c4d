//! Copies the journal to a target, piece by piece, and says in manifests what the copy consists of.

use std::time::Instant;

use super::goes_on::{can_go_on, check_ours};
use super::{Backup, BackupReport, elapsed, key_of, pack, seed_of};
use crate::backup::manifest::{End, Manifest, PackRef, Piece, SignedManifest, Tip, hash_of};
use crate::backup::object::ObjectId;
use crate::backup::shelf::{PIECE, Shelf};
use crate::backup::{BackupFault, BackupKey, TargetError, seal};
use crate::clock::Timestamp;
use crate::crypto::{hash, random};
use crate::error::Error;
use crate::progress::{OnProgress, Progress, Task};
use crate::storage::Shipment;
use crate::storage::copy::{JournalFile, Part, ShipFile};
use crate::unlocked::Unlocked;

/// Pieces after which a manifest is made, so that whoever is interrupted has not done them in vain.
const PIECES: usize = 16;

/// Makes a backup.
pub(super) fn run(unlocked: &Unlocked, backup: &Backup<'_>, progress: OnProgress<'_>) -> Result<BackupReport, Error> {
    let begun = Instant::now();
    // What was answered before this moment is in it, and so is each entry of an earlier time.
    let made = unlocked.now()?;
    unlocked.committer.catch_up()?;
    let shelf = Shelf::new(backup.target);
    let (numbers, key) = (shelf.manifests()?, key_of(unlocked));
    let newest = numbers.last().map(|number| shelf.manifest(*number, Some(&key))).transpose()?;
    let shipment = unlocked.committer.storage().ship()?.ok_or(BackupFault::InMemory)?;
    // The tree over the log grows behind it.
    unlocked.committer.catch_up()?;
    // The manifest that says whose the target is.
    let mut ours = newest.as_ref();
    let mut goes_on = false;
    let whole;
    if let Some(newest) = &newest {
        match check_ours(unlocked, &newest.manifest, &shipment) {
            Ok(()) => goes_on = !backup.from_the_beginning && can_go_on(newest, &shipment)?,
            // Whoever began that copy did not end it, and nobody can have been restored from it.
            Err(Error::Backup(BackupFault::NotOurs { .. })) if !newest.manifest.whole => {
                whole = newest_whole(shelf, &numbers, &key)?;
                whole.as_ref().map_or(Ok(()), |whole| check_ours(unlocked, &whole.manifest, &shipment))?;
                ours = whole.as_ref();
            }
            Err(error) => return Err(error),
        }
    }
    let packed = pack::keep(unlocked, backup, ours.map(|ours| &ours.manifest))?;
    let mut run = Run::begin(unlocked, backup, &shipment, newest.as_ref(), (goes_on, packed.pack, made))?;
    run.copy(&shipment, progress)?;
    let Run { next, done, .. } = run;
    Ok(BackupReport {
        target: backup.target.name().to_owned(),
        manifest: next.number,
        made: next.made,
        took: elapsed(begun),
        from_the_beginning: !goes_on,
        objects: done.objects,
        journal_bytes: done.journal,
        stored_bytes: done.stored,
        entries: next.tip.entries,
        pack: packed.pack.map(|pack| pack.number),
        new_pack: packed.new,
        pack_is_old: packed
            .pack
            .is_some_and(|pack| pack.header_generation < next.header_generation || pack.erasures < next.erasures),
        older_packs: packed.older,
        named: packed.pack,
    })
}

/// The newest manifest of a copy that was ended.
fn newest_whole(shelf: Shelf<'_>, numbers: &[u64], key: &BackupKey) -> Result<Option<SignedManifest>, BackupFault> {
    for number in numbers.iter().rev() {
        let manifest = shelf.manifest(*number, Some(key))?;
        if manifest.manifest.whole {
            return Ok(Some(manifest));
        }
    }
    Ok(None)
}

#[derive(Default)]
struct Done {
    objects: u64,
    journal: u64,
    stored: u64,
}

/// A backup under way.
struct Run<'r> {
    unlocked: &'r Unlocked,
    backup: &'r Backup<'r>,
    shelf: Shelf<'r>,
    /// The manifest that is being made.
    next: Manifest,
    done: Done,
}

impl<'r> Run<'r> {
    fn begin(
        unlocked: &'r Unlocked,
        backup: &'r Backup<'r>,
        shipment: &Shipment,
        newest: Option<&SignedManifest>,
        (goes_on, pack, made): (bool, Option<PackRef>, Timestamp),
    ) -> Result<Self, Error> {
        let keyring = unlocked.keyring();
        let epochs = keyring.data_epochs();
        let data_epochs = (epochs.first().copied().unwrap_or(0), epochs.last().copied().unwrap_or(0));
        let number = newest.map_or(0, |newest| newest.manifest.number).saturating_add(1);
        let root = match unlocked.committer.log_tree() {
            Some(_) => Some(unlocked.log_root(shipment.entries)?),
            None => None,
        };
        let begun = newest.filter(|_| goes_on).map(|newest| (newest.manifest.chain, newest.manifest.end));
        let first = shipment.files.first().ok_or(BackupFault::InMemory)?;
        let (chain, end) = begun.unwrap_or(((number, 0), End { at: 0, ..end_of(first) }));
        let next = Manifest {
            vault: unlocked.vault,
            number,
            made,
            previous: newest.map(|newest| newest.sha256),
            chain,
            sealed: !backup.recipients.is_empty(),
            header_generation: pack::generation(unlocked),
            data_epochs,
            erasures: pack::erasures(unlocked),
            pack,
            end,
            whole: false,
            tip: Tip {
                frame: shipment.tip.seq,
                hash: shipment.tip.hash,
                entries: shipment.entries,
                first_entry: shipment.first_entry,
                root,
            },
            pieces: Vec::new(),
        };
        Ok(Self { unlocked, backup, shelf: Shelf::new(backup.target), next, done: Done::default() })
    }

    /// Copies what the target does not have yet, and makes the last manifest.
    fn copy(&mut self, shipment: &Shipment, progress: OnProgress<'_>) -> Result<(), Error> {
        let from = self.next.end;
        let begin = shipment.files.iter().position(|file| file.part.file == from.file).unwrap_or(0);
        let files = shipment.files.get(begin..).unwrap_or_default();
        let total: u64 = files.iter().map(|file| file.part.len).sum::<u64>().saturating_sub(from.at);
        for file in files {
            let mut at = if file.part.file == from.file { from.at } else { 0 };
            while at < file.part.len {
                let len = PIECE.min(file.part.len - at);
                if !(self.backup.vault.goes_on())() {
                    return Err(Error::Sealed);
                }
                self.put(file, Part { offset: at, len, ..file.part })?;
                at = at.saturating_add(len);
                self.next.end = End { at, ..end_of(file) };
                progress(Progress::new(Task::Backup, self.done.journal, Some(total.max(self.done.journal))));
                if self.next.pieces.len() >= PIECES {
                    self.publish(false)?;
                }
            }
        }
        self.publish(true)
    }

    fn put(&mut self, file: &ShipFile, part: Part) -> Result<(), Error> {
        let mut bytes = file.read(&part)?;
        let mut part = part;
        if part.end() == part.size && matches!(part.file, JournalFile::Segment { .. }) {
            // What follows a seal is zeros that nobody needs.
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            bytes.truncate(used);
            part.len = u64::try_from(used).unwrap_or(u64::MAX);
        }
        let journal = part.len;
        self.next.chain.1 = self.next.chain.1.saturating_add(journal);
        self.done.journal = self.done.journal.saturating_add(journal);
        if bytes.is_empty() {
            return Ok(());
        }
        let sealed = seal::seal(&self.backup.recipients, bytes)?;
        let stored = u64::try_from(sealed.len()).unwrap_or(u64::MAX);
        let name = ObjectId::from_bytes(random::array()?);
        let piece = Piece { name, stored, sha256: hash::sha256(&[&sealed]), part };
        self.backup.target.put_new(&name.to_string(), &sealed).map_err(|error| self.shelf.failed(error))?;
        self.next.pieces.push(piece);
        self.done.objects = self.done.objects.saturating_add(1);
        self.done.stored = self.done.stored.saturating_add(stored);
        Ok(())
    }

    /// Signs the manifest and puts it in place; unless it is the last one, another is begun.
    fn publish(&mut self, whole: bool) -> Result<(), Error> {
        self.next.whole = whole;
        let note = self.next.sign(&seed_of(self.unlocked));
        let (number, name) = (self.next.number, Manifest::name_of(self.next.number));
        self.backup.target.put_new(&name, note.as_bytes()).map_err(|error| match error {
            TargetError::Exists { .. } => BackupFault::Raced { number },
            error => self.shelf.failed(error),
        })?;
        if !whole {
            let pieces = Vec::new();
            let previous = Some(hash_of(&note));
            self.next = Manifest { number: number.saturating_add(1), previous, pieces, ..self.next.clone() };
        }
        Ok(())
    }
}

/// Where a file ends as it is now.
fn end_of(file: &ShipFile) -> End {
    End { file: file.part.file, size: file.part.size, at: file.part.len }
}
