//! Restoring: a backup becomes a vault again, in an empty directory.
//!
//! 1. The key pack opens with a credential; with its keys all manifests are verified.
//! 2. The journal is put together, piece by piece, and cut where an earlier state is wanted.
//! 3. The vault is opened, gets the patients' keys of the pack, erases again whom the ledger names, and begins another signing
//!    epoch with an entry about the restore.
//!
//! Until the last of that is durable a file marks the directory as no vault yet. Each step can be done again.

mod choose;
mod finish;
mod mark;
mod packed;
mod pieces;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::audit::AuditEvent;
use crate::backup::shelf::Shelf;
use crate::backup::{BackupFault, BackupIdentity, BackupKey, BackupTarget};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::ids::VaultId;
use crate::keyring::Credential;
use crate::progress::OnProgress;
use crate::secret::wipe_stack;
use crate::unlocked::DirLock;
use crate::vault::{Home, Options, Replayed, Vault, operate, signing};
use choose::Chosen;
pub(in crate::vault::backup) use finish::Becomes;
use mark::{Mark, Stage};
use packed::{Newest, Opened};

/// To which state a vault is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestorePoint {
    /// The newest one.
    Newest,
    /// The state that a backup was made of, by the number of its manifest.
    Manifest(u64),
    /// The state after the commit that has this entry of the log, and before the next one.
    Entry(u64),
    /// The state after the last commit whose entries are not later than this.
    Time(Timestamp),
}

impl fmt::Display for RestorePoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest => f.write_str("newest"),
            Self::Manifest(number) => write!(f, "manifest {number}"),
            Self::Entry(seq) => write!(f, "entry {seq}"),
            Self::Time(time) => write!(f, "time {time}"),
        }
    }
}

impl Vault {
    /// Starts restoring a vault from a backup, with what its key pack and a credential of that vault open.
    ///
    /// ```
    /// use chartvault::{FolderTarget, RestorePoint};
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let Clinic { vault, dir, key, .. } = Clinic::new();
    /// # let (target, packs) = (FolderTarget::create(dir.path().join("disk"))?, FolderTarget::create(dir.path().join("safe"))?);
    /// vault.backup(&target).packs_to(&packs).run()?;
    /// # let id = vault.id();
    /// # vault.close()?;
    /// // The machine is gone; the disk with the backups and the safe with the key packs are there.
    /// let new_place = dir.path().join("restored.vault");
    /// let restored = Vault::restore(&target).packs_from(&packs).into(&new_place, &key)?;
    /// let vault = Vault::open(&new_place)?.unlock(&key)?;
    /// assert_eq!(vault.id(), restored.vault);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn restore(from: &dyn BackupTarget) -> Restore<'_> {
        Restore { from, packs: None, identities: Vec::new(), point: RestorePoint::Newest, options: None }
    }
}

/// A restore about to be done; see [`Vault::restore`].
#[must_use = "nothing is restored before `into`"]
pub struct Restore<'t> {
    from: &'t dyn BackupTarget,
    packs: Option<&'t dyn BackupTarget>,
    identities: Vec<BackupIdentity>,
    point: RestorePoint,
    options: Option<Options>,
}

impl<'t> Restore<'t> {
    /// Where the key packs are, if that is not the target itself.
    pub fn packs_from(mut self, packs: &'t dyn BackupTarget) -> Self {
        self.packs = Some(packs);
        self
    }

    /// Opens sealed objects with this identity as well.
    pub fn identity(mut self, identity: BackupIdentity) -> Self {
        self.identities.push(identity);
        self
    }

    /// To which state; the newest if not said. Whatever the state, patients who were erased since stay erased.
    pub const fn to(mut self, point: RestorePoint) -> Self {
        self.point = point;
        self
    }

    /// Settings of the vault while it is restored: sizes of segments, the clock, where the header and the signing key are, if not in
    /// its directory. Anchors and sinks are not asked. The vault begins a signing epoch of its own, whatever key it finds, so that no
    /// two logs are signed by one key.
    pub fn options(mut self, options: Options) -> Self {
        self.options = Some(options);
        self
    }

    /// Restores into a directory that is empty or does not exist, or that holds the same restore, unfinished. The vault's log then
    /// has an entry about it, in a new signing epoch; the vault is closed on return.
    ///
    /// Where an anchor holds more of the log than was restored, opening with that anchor is refused, as it is after any
    /// rollback: give the vault another anchor, once somebody has looked at what is missing.
    ///
    /// # Errors
    /// [`Error::Backup`] where the backup, the key pack or the target is in the way, [`Error::NotEmpty`], also where a signing key
    /// that is kept elsewhere is there already, [`Error::InUse`],
    /// [`Error::Unlock`] when the credential does not open the pack's header, [`Error::Storage`] when the disk is full or what
    /// was brought back does not hold together. What is there then is no vault yet; run it again.
    pub fn into<'c>(self, path: impl AsRef<Path>, credential: impl Into<Credential<'c>>) -> Result<Restored, Error> {
        self.into_with(path, credential, &mut |_| ())
    }

    /// [`Restore::into`], reporting progress.
    ///
    /// # Errors
    /// As [`Restore::into`].
    pub fn into_with<'c>(
        self,
        path: impl AsRef<Path>,
        credential: impl Into<Credential<'c>>,
        progress: OnProgress<'_>,
    ) -> Result<Restored, Error> {
        let (path, credential) = (path.as_ref(), credential.into());
        let restored =
            operate(AuditEvent::VaultRestored, || self.bring_back((path, Becomes::Vault), credential, progress));
        wipe_stack();
        restored
    }

    /// Takes the directory, and says how far an earlier attempt came, and whether this is the first one.
    fn mark(&self, home: &Home, path: &Path) -> Result<(Mark, DirLock, bool), Error> {
        if !mark::is_begun(path) {
            home.make_empty()?;
        }
        let lock = home.lock()?;
        // What was there before the lock was ours may be another's beginning, and finished by now.
        let (mark, fresh) = match Mark::read(path)? {
            Some(mark) => (mark.of(self.from.name(), self.point)?, false),
            None => {
                mark::remove_unwritten(path)?;
                home.make_empty()?;
                (Mark::new(self.from.name(), self.point), true)
            }
        };
        mark.write(path)?;
        Ok((mark, lock, fresh))
    }

    /// Copies what is new at the target into a directory, for a second machine that is to take over: it needs neither key
    /// pack nor credential, but the public key of the backups, and the identity where they are sealed. Call it again and again;
    /// each call copies what was backed up since the last one. [`Restore::into`] with the same directory, which then has little
    /// left to do, makes a vault of it. That takes over: make the first backup from there to the same target at once, and the old
    /// machine's next one finds that it was left behind ([`BackupFault::NotOurs`]).
    ///
    /// ```
    /// use chartvault::FolderTarget;
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let Clinic { vault, dir, key, .. } = Clinic::new();
    /// # let (target, packs) = (FolderTarget::create(dir.path().join("disk"))?, FolderTarget::create(dir.path().join("safe"))?);
    /// vault.backup(&target).packs_to(&packs).run()?;
    /// let public = vault.backup_key()?;
    /// let place = dir.path().join("standby.vault");
    /// let followed = Vault::restore(&target).follow_into(&place, &public)?;
    /// println!("as it was at {}, {} log entries", followed.made, followed.entries);
    /// // The first machine burns.
    /// Vault::restore(&target).packs_from(&packs).into(&place, &key)?;
    /// let vault = Vault::open(&place)?.unlock(&key)?;
    /// vault.backup(&target).packs_to(&packs).run()?; // from now on backups are this machine's
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Backup`], [`Error::NotEmpty`], [`Error::InUse`], [`Error::Storage`]; call it again. Only the newest state is
    /// followed: [`BackupFault::OtherRestore`] where a restore to another one is under way.
    pub fn follow_into(&self, path: impl AsRef<Path>, key: &BackupKey) -> Result<Followed, Error> {
        self.follow_into_with(path, key, &mut |_| ())
    }

    /// [`Restore::follow_into`], reporting progress.
    ///
    /// # Errors
    /// As [`Restore::follow_into`].
    pub fn follow_into_with(
        &self,
        path: impl AsRef<Path>,
        key: &BackupKey,
        progress: OnProgress<'_>,
    ) -> Result<Followed, Error> {
        let path = path.as_ref();
        let newest = Restore { identities: Vec::new(), options: None, ..*self };
        let newest = newest.to(RestorePoint::Newest);
        let (mut mark, _lock, _) = newest.mark(&Home::dir(path), path)?;
        if mark.stage != Stage::Copying {
            return Err(BackupFault::OtherRestore { found: "a vault that is being taken over".to_owned() }.into());
        }
        let shelf = Shelf::new(self.from);
        let chosen = Chosen::find(shelf, key, RestorePoint::Newest, None)?;
        let copied = pieces::copy(path, (shelf, &chosen, &self.identities), &mut mark, progress)?;
        let last = &chosen.last().manifest;
        Ok(Followed { manifest: last.number, entries: last.tip.entries, made: last.made, copied })
    }

    pub(super) fn bring_back(
        mut self,
        (path, becomes): (&Path, Becomes),
        credential: Credential<'_>,
        progress: OnProgress<'_>,
    ) -> Result<Restored, Error> {
        let begun = Instant::now();
        let options = self.options.take().unwrap_or_default();
        let home = Home::dir(path).with_header(options.header.clone());
        let (mut mark, lock, fresh) = self.mark(&home, path)?;
        let shelf = Shelf::new(self.from);
        // That of a vault in use, or of the one that is lost: nobody's to replace. Later it may be this restore's own.
        let is_others = fresh && signing::place(&home, &options).is_taken();
        let others_key = options.signing_key.as_ref().filter(|_| is_others);
        let chosen = match others_key {
            Some(path) => Err(Error::NotEmpty { path: path.clone() }),
            None => self.choose(shelf, credential, &mark),
        };
        let (pack, chosen) = match chosen {
            // Nothing was begun: the next attempt may want something else.
            Err(error) if fresh => return mark::remove(path).and(Err(error)),
            chosen => chosen?,
        };
        mark.last = Some(chosen.last().manifest.number);
        if mark.stage == Stage::Copying {
            pieces::copy(path, (shelf, &chosen, &self.identities), &mut mark, &mut *progress)?;
            mark.reach(Stage::Cutting, path)?;
        }
        if mark.stage == Stage::Cutting {
            mark.entries = pieces::cut(path, &pack, self.point, &chosen)?;
            mark.reach(Stage::Finishing, path)?;
        }
        if mark.stage == Stage::Finishing {
            // Of the pack whose secrets are put in, which may be a newer one than an interrupted attempt had.
            home.bring_header(&pack.header, pack.vault)?;
        }
        let done = finish::finish((home, lock, options), becomes, &pack, (&chosen, &mut mark), credential, progress)?;
        Ok(Restored {
            vault: pack.vault,
            path: path.to_owned(),
            manifest: chosen.last().manifest.number,
            entries: mark.entries,
            left_out: done.left_out,
            pack: pack.number,
            erased: done.erased,
            took: begun.elapsed(),
        })
    }
}

impl Restore<'_> {
    /// The key pack that opens, and the manifests that are wanted.
    fn choose(&self, shelf: Shelf<'_>, credential: Credential<'_>, mark: &Mark) -> Result<(Opened<'_>, Chosen), Error> {
        let packs = Shelf::new(self.packs.unwrap_or(self.from));
        let newest = Newest::open(packs, &self.identities, credential)?;
        let key = &newest.pack.key;
        newest.pack.check_not_older(&Chosen::newest(shelf, key)?.manifest)?;
        // As long as nothing was cut, what is the newest now counts: more may have been backed up since an interrupted attempt.
        let chosen_before = mark.last.filter(|_| mark.stage != Stage::Copying);
        let chosen = Chosen::find(shelf, key, self.point, chosen_before)?;
        let pack = newest.opening(&chosen.last().manifest, credential)?;
        Ok((pack, chosen))
    }
}

impl fmt::Debug for Restore<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Restore").field("from", &self.from.name()).field("point", &self.point).finish_non_exhaustive()
    }
}

/// What a restore did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restored {
    /// The vault's id.
    pub vault: VaultId,
    /// Where it is now.
    pub path: PathBuf,
    /// The manifest that it was restored from.
    pub manifest: u64,
    /// Log entries of the state that was restored.
    pub entries: u64,
    /// Log entries that this backup holds beyond that state.
    pub left_out: u64,
    /// The key pack that opened it.
    pub pack: u64,
    /// What came of erasing again whom the ledger names.
    pub erased: Replayed,
    /// How long it took.
    pub took: Duration,
}

impl fmt::Display for Restored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { manifest, entries, left_out, pack, erased, took, .. } = self;
        write!(f, "manifest {manifest}, {entries} log entries, key pack {pack}, in {:.1} s", took.as_secs_f64())?;
        if *left_out > 0 {
            write!(f, "; {left_out} later entries were left out")?;
        }
        if *erased != Replayed::default() {
            write!(f, "; {erased}")?;
        }
        Ok(())
    }
}

/// How far a second machine has followed; see [`Restore::follow_into`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Followed {
    /// The newest backup, all of which is here.
    pub manifest: u64,
    /// Log entries of its state.
    pub entries: u64,
    /// When it was made, by the first machine's clock.
    pub made: Timestamp,
    /// Bytes of the journal that were copied by this call.
    pub copied: u64,
}

/// A target without backups.
fn nothing(shelf: Shelf<'_>) -> BackupFault {
    BackupFault::Nothing { target: shelf.target.name().to_owned() }
}
