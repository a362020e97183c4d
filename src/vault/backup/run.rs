//! Copies the journal to a target, piece by piece, and says in manifests what the copy consists of.

use std::time::Instant;

use super::goes_on::{can_go_on, check_ours};
use super::keys::Keys;
use super::under_way::UnderWay;
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

/// How often the state is taken again because data keys were dropped meanwhile that it needs.
const ATTEMPTS: u32 = 4;

/// Makes a backup.
pub(super) fn run(
    (unlocked, under_way): (&Unlocked, &UnderWay<'_>),
    backup: &Backup<'_>,
    progress: OnProgress<'_>,
) -> Result<BackupReport, Error> {
    let begun = Instant::now();
    let before = Before::at(Shelf::new(backup.target), &key_of(unlocked))?;
    let mut new_pack = false;
    for _ in 0..ATTEMPTS {
        let state = State::now(unlocked, under_way)?;
        let (newest, goes_on) = before.checked(unlocked, &state.shipment)?;
        let goes_on = goes_on && !backup.from_the_beginning;
        // Before the journal is copied: whoever was erased is to be in no pack as soon as can be.
        let whole = before.whole().map(|whole| &whole.manifest);
        let packed = pack::keep(unlocked, backup, (newest, whole))?;
        new_pack |= packed.new;
        if packed.keys.is_some_and(|keys| keys.data_epochs.0 > state.keys.data_epochs.0) {
            continue;
        }
        let newest = before.newest.as_ref();
        let mut run = Run::begin((unlocked, backup), &state, newest, goes_on, packed.pack)?;
        run.copy(&state.shipment, progress)?;
        let Run { next, done, .. } = run;
        under_way.is_whole(next.data_epochs.0);
        let named = packed.pack;
        let older = pack::tidy(unlocked, backup, packed, &next);
        return Ok(BackupReport {
            target: backup.target.name().to_owned(),
            manifest: next.number,
            made: next.made,
            took: elapsed(begun),
            from_the_beginning: !goes_on,
            objects: done.objects,
            journal_bytes: done.journal,
            stored_bytes: done.stored,
            entries: next.tip.entries,
            pack: named.map(|pack| pack.number),
            new_pack,
            pack_is_old: named
                .is_some_and(|pack| pack.header_generation < next.header_generation || pack.erasures < next.erasures),
            older_packs: older.left.into_iter().collect(),
            needed_packs: older.needed.into_iter().collect(),
            named,
            oldest_data_epoch: next.data_epochs.0,
        });
    }
    Err(Error::RotationUnderWay)
}

/// What a target holds before a backup.
struct Before {
    newest: Option<SignedManifest>,
    /// The newest of a copy that was ended, if that is another one.
    newest_whole: Option<SignedManifest>,
}

impl Before {
    fn at(shelf: Shelf<'_>, key: &BackupKey) -> Result<Self, BackupFault> {
        let numbers = shelf.manifests()?;
        let mut found = Self { newest: None, newest_whole: None };
        for number in numbers.iter().rev() {
            let manifest = shelf.manifest(*number, Some(key))?;
            let is_whole = manifest.manifest.whole;
            match &found.newest {
                None => found.newest = Some(manifest),
                Some(_) if is_whole => found.newest_whole = Some(manifest),
                Some(_) => {}
            }
            if is_whole {
                break;
            }
        }
        Ok(found)
    }

    fn whole(&self) -> Option<&SignedManifest> {
        self.newest.as_ref().filter(|newest| newest.manifest.whole).or(self.newest_whole.as_ref())
    }

    /// The manifest that says whose the target is, which has to be this vault, and whether the copy that is there can be gone
    /// on with.
    fn checked(&self, unlocked: &Unlocked, shipment: &Shipment) -> Result<(Option<&Manifest>, bool), Error> {
        let Some(newest) = &self.newest else { return Ok((None, false)) };
        match check_ours(unlocked, &newest.manifest, shipment) {
            Ok(()) => Ok((Some(&newest.manifest), can_go_on(newest, shipment)?)),
            // Whoever began that copy did not end it, and nobody can have been restored from it.
            Err(Error::Backup(BackupFault::NotOurs { .. })) if !newest.manifest.whole => {
                let whole = self.whole().map(|whole| &whole.manifest);
                whole.map_or(Ok(()), |whole| check_ours(unlocked, whole, shipment))?;
                Ok((whole, false))
            }
            Err(error) => Err(error),
        }
    }
}

/// The state that is backed up.
struct State {
    /// What was answered before this moment is in it, and so is each entry of an earlier time.
    made: Timestamp,
    keys: Keys,
    shipment: Shipment,
}

impl State {
    fn now(unlocked: &Unlocked, under_way: &UnderWay<'_>) -> Result<Self, Error> {
        let made = unlocked.now()?;
        unlocked.committer.catch_up()?;
        // Once a data key is dropped nothing more is under it, so the oldest is that of before; a pack made later has at least
        // the rest of behind it.
        let oldest = under_way.needs_keys_of_now();
        let shipment = unlocked.committer.storage().ship()?.ok_or(BackupFault::InMemory)?;
        let keys = Keys::now(unlocked);
        let keys = Keys { data_epochs: (oldest, keys.data_epochs.1), ..keys };
        // The tree over the log grows behind it.
        unlocked.committer.catch_up()?;
        Ok(Self { made, keys, shipment })
    }
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
        (unlocked, backup): (&'r Unlocked, &'r Backup<'r>),
        State { made, keys, shipment }: &State,
        newest: Option<&SignedManifest>,
        goes_on: bool,
        pack: Option<PackRef>,
    ) -> Result<Self, Error> {
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
            made: *made,
            previous: newest.map(|newest| newest.sha256),
            chain,
            sealed: !backup.recipients.is_empty(),
            header_generation: keys.generation,
            data_epochs: keys.data_epochs,
            erasures: keys.erasures,
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
