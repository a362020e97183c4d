//! Removes backups that are kept no longer.
//!
//! 1. All manifests are read and verified, all objects listed.
//! 2. What may go is decided ([`BackupRetention`]).
//! 3. Of each chain that goes, manifests are removed from the newest to the oldest, and then the objects that they named.
//!
//! Killed anywhere, no manifest is left whose objects are not. What it leaves are objects that no manifest names.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use super::fault::BackupFault;
use super::manifest::{BackupKey, Manifest};
use super::object::ObjectId;
use super::retention::{BackupRetention, Seen, Verdict};
use super::shelf::Shelf;
use super::target::{BackupTarget, StoredObject, TargetError};
use crate::clock::{Clock, SystemClock, Timestamp};

mod report;

pub use report::{BackupPruned, KeptBackup};

/// Prepares the pruning of a target. No vault is needed, and no key but the public one, so that it can be done by another machine
/// than the one whose backups they are, with a credential that may remove, which that one does not have.
///
/// Manifests that this key did not sign are an error, and nothing is removed. Key packs are not touched.
///
/// ```
/// use chartvault::{BackupRetention, FolderTarget, prune_backups};
/// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
/// # use clinic::*;
/// # let Clinic { vault, dir, .. } = Clinic::new();
/// # let disk = dir.path().join("disk");
/// # let target = FolderTarget::create(&disk)?;
/// # vault.backup(&target).run()?;
/// # vault.backup(&target).from_the_beginning().run()?;
/// let key = vault.backup_key()?; // noted on the other machine, once
/// let target = FolderTarget::open(&disk)?;
/// let pruned = prune_backups(&target, key, BackupRetention::new().last(1)).run()?;
/// assert_eq!((pruned.manifests, pruned.kept.len()), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn prune_backups(target: &dyn BackupTarget, key: BackupKey, retention: BackupRetention) -> PruneBackups<'_> {
    PruneBackups { target, key, retention, now: None, dry_run: false, orphans: false }
}

/// Backups about to be pruned; see [`prune_backups`].
#[must_use = "nothing is removed before `run`"]
pub struct PruneBackups<'t> {
    target: &'t dyn BackupTarget,
    key: BackupKey,
    retention: BackupRetention,
    now: Option<Timestamp>,
    dry_run: bool,
    orphans: bool,
}

impl PruneBackups<'_> {
    /// The time to which ages are counted. If this is not called it is that of this machine's clock, not of the one whose backups
    /// they are.
    pub const fn as_of(mut self, now: Timestamp) -> Self {
        self.now = Some(now);
        self
    }

    /// Removes nothing, and reports what would be removed.
    pub const fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    /// Removes objects that no manifest names as well: what an interrupted backup, or an interrupted pruning, has left. An object
    /// is there before the manifest that names it, so **no backup may be running** to this target: one that is would lose what it
    /// has copied so far, and be damaged.
    pub const fn orphans(mut self) -> Self {
        self.orphans = true;
        self
    }

    /// Removes what may go. If it fails, or is killed, whatever is still listed as a backup is whole; run it again. What the target
    /// does not allow to be removed is no failure: it is in [`BackupPruned::refused`].
    ///
    /// # Errors
    /// [`BackupFault::Target`] when the target fails; [`BackupFault::Unsigned`], [`BackupFault::Manifest`] and
    /// [`BackupFault::Broken`] of a manifest that is not as it has to be, whereupon nothing is removed; [`BackupFault::Raced`]
    /// when orphans were to be removed and a backup was made meanwhile.
    pub fn run(&self) -> Result<BackupPruned, BackupFault> {
        let now = self.now.unwrap_or_else(|| SystemClock.now());
        let shelf = Shelf::new(self.target);
        let held = Held::read(shelf, &self.key)?;
        if self.orphans
            && let Some(number) = newer(&shelf.manifests()?, &held)
        {
            return Err(BackupFault::Raced { number });
        }
        let Verdict { wanted, mut chains } = self.retention.judge(&held.seen, now);
        chains.retain(|chain| !held.damaged.contains(chain));
        let pruned = BackupPruned {
            target: self.target.name().to_owned(),
            dry_run: self.dry_run,
            damaged: held.damaged.iter().copied().collect(),
            ..BackupPruned::default()
        };
        let mut run = Run { prune: self, shelf, held, pruned };
        for chain in chains {
            run.remove_chain(chain)?;
        }
        if self.orphans {
            run.remove_orphans()?;
        }
        run.pruned.kept = run.held.left(&wanted);
        Ok(run.pruned)
    }
}

impl fmt::Debug for PruneBackups<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { retention, dry_run, orphans, .. } = self;
        let mut shown = f.debug_struct("PruneBackups");
        shown.field("target", &self.target.name()).field("retention", retention);
        shown.field("dry_run", dry_run).field("orphans", orphans).finish_non_exhaustive()
    }
}

/// A manifest that was made since all were read.
fn newer(numbers: &[u64], held: &Held) -> Option<u64> {
    let last = held.seen.last().map(|manifest| manifest.number);
    numbers.iter().copied().find(|number| last.is_none_or(|last| *number > last))
}

/// What a target holds.
#[derive(Default)]
struct Held {
    /// By their numbers, ascending.
    seen: Vec<Seen>,
    /// Chains of which a manifest or an object is missing. They give no restore points; nor are they removed, since somebody has
    /// to look into it.
    damaged: BTreeSet<u64>,
    /// Which manifest names an object; none if several do. Nobody's backups look so, but whoever can sign could have the objects
    /// of others removed with his own.
    named: HashMap<ObjectId, Option<u64>>,
    /// Lengths of the objects that there are.
    there: BTreeMap<ObjectId, u64>,
}

impl Held {
    fn read(shelf: Shelf<'_>, key: &BackupKey) -> Result<Self, BackupFault> {
        // In this order: the objects of a manifest are there before it is.
        let numbers = shelf.manifests()?;
        let mut held = Self::default();
        // What has another name was put there by somebody else, and is left.
        let each = &mut |object: StoredObject| held.there.extend(object.name.parse().ok().map(|id| (id, object.len)));
        shelf.target.list("objects/", each).map_err(|error| shelf.failed(error))?;
        let mut before = None;
        for number in numbers {
            let read = shelf.manifest(number, Some(key))?;
            held.add(&read.manifest, before)?;
            before = Some((number, read.sha256));
        }
        Ok(held)
    }

    fn add(&mut self, manifest: &Manifest, before: Option<(u64, [u8; 32])>) -> Result<(), BackupFault> {
        let Manifest { number, made, chain: (chain, _), previous, .. } = *manifest;
        if chain > number {
            return Err(BackupFault::Broken { number });
        }
        let is_linked = chain == number
            || before.is_some_and(|(last, sha256)| last.checked_add(1) == Some(number) && previous == Some(sha256))
                && self.seen.last().is_some_and(|last| last.chain == chain);
        let mut is_there = true;
        for piece in &manifest.pieces {
            is_there &= self.there.get(&piece.name) == Some(&piece.stored);
            self.named.entry(piece.name).and_modify(|by| *by = None).or_insert(Some(number));
        }
        if !(is_linked && is_there) {
            self.damaged.insert(chain);
        }
        let whole = manifest.whole && !self.damaged.contains(&chain);
        self.seen.push(Seen { number, made, whole, chain });
        Ok(())
    }

    /// The restore points that there are now.
    fn left(&self, wanted: &BTreeSet<u64>) -> Vec<KeptBackup> {
        let whole = self.seen.iter().filter(|manifest| manifest.whole);
        let kept =
            |&Seen { number, made, .. }: &Seen| KeptBackup { manifest: number, made, wanted: wanted.contains(&number) };
        whole.map(kept).collect()
    }
}

/// A pruning under way.
struct Run<'r> {
    prune: &'r PruneBackups<'r>,
    shelf: Shelf<'r>,
    held: Held,
    pruned: BackupPruned,
}

impl Run<'_> {
    fn remove_chain(&mut self, chain: u64) -> Result<(), BackupFault> {
        let of_chain = self.held.seen.iter().filter(|manifest| manifest.chain == chain);
        let numbers: Vec<u64> = of_chain.map(|manifest| manifest.number).collect();
        let (mut gone, mut removed, mut all) = (Vec::new(), BTreeSet::new(), true);
        for number in numbers.into_iter().rev() {
            // Its objects are known from itself alone, and it is about to go.
            let manifest = self.shelf.manifest(number, Some(&self.prune.key))?.manifest;
            if !self.delete(&Manifest::name_of(number))? {
                // Those before it are what it needs.
                all = false;
                break;
            }
            self.pruned.manifests = self.pruned.manifests.saturating_add(1);
            removed.insert(number);
            let ids = manifest.pieces.iter().map(|piece| piece.name);
            gone.extend(ids.filter(|id| self.held.named.get(id) == Some(&Some(number))));
        }
        self.held.seen.retain(|manifest| !removed.contains(&manifest.number));
        for id in gone {
            if self.remove_object(&id)? {
                self.pruned.objects = self.pruned.objects.saturating_add(1);
            }
        }
        if all {
            self.pruned.chains.push(chain);
        }
        Ok(())
    }

    fn remove_orphans(&mut self) -> Result<(), BackupFault> {
        let unnamed = self.held.there.keys().filter(|id| !self.held.named.contains_key(*id));
        for id in unnamed.copied().collect::<Vec<_>>() {
            if self.remove_object(&id)? {
                self.pruned.orphans = self.pruned.orphans.saturating_add(1);
            }
        }
        Ok(())
    }

    fn remove_object(&mut self, id: &ObjectId) -> Result<bool, BackupFault> {
        let is_gone = self.delete(&id.to_string())?;
        if is_gone && let Some(len) = self.held.there.remove(id) {
            self.pruned.bytes = self.pruned.bytes.saturating_add(len);
        }
        Ok(is_gone)
    }

    /// Whether it is gone; else the target did not allow it.
    fn delete(&mut self, name: &str) -> Result<bool, BackupFault> {
        if self.prune.dry_run {
            return Ok(true);
        }
        match self.prune.target.delete(name) {
            Ok(()) | Err(TargetError::Absent { .. }) => Ok(true),
            Err(TargetError::Refused { why, .. }) => {
                self.pruned.refused.push((name.to_owned(), why));
                Ok(false)
            }
            Err(error) => Err(self.shelf.failed(error)),
        }
    }
}

#[cfg(test)]
mod tests;
