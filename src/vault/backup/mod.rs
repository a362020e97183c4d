//! Backups of a vault in use: made, and told of in its log.

mod continuous;
mod drill;
mod entry;
mod goes_on;
mod keys;
mod pack;
mod packs;
mod prune;
mod restore;
mod run;
mod under_way;
mod verified;

use std::fmt;
use std::time::{Duration, Instant};

pub use continuous::{BackupThread, ContinuousBackup, FollowedState};
pub use drill::{Drill, DrillReport};
pub use prune::VaultPrune;
pub use restore::{Followed, Restore, RestorePoint, Restored};

use under_way::UnderWay;

use super::{Vault, operate};
use crate::audit::AuditEvent;
use crate::backup::manifest::PackRef;
use crate::backup::{BackupKey, BackupRecipient, BackupTarget};
use crate::clock::Timestamp;
use crate::crypto::kdf;
use crate::crypto::sign::SigningSeed;
use crate::error::Error;
use crate::progress::OnProgress;
use crate::unlocked::Unlocked;

impl Vault {
    /// Starts a backup: a copy of the vault as it is now, made while others go on working. The first one to a target copies
    /// all of it; later ones copy what was written since. Nothing of what it holds can be read without a key pack, which
    /// [`Backup::packs_to`] keeps apart, and a credential of the vault.
    ///
    /// Objects are only ever added, each under a name of its own, so that a target can refuse to replace or remove any. A backup that was
    /// interrupted is gone on with by the next one.
    ///
    /// ```
    /// use chartvault::{BackupIdentity, FolderTarget};
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let Clinic { vault, dir, .. } = Clinic::new();
    /// # let (disk, safe) = (dir.path().join("disk"), dir.path().join("safe"));
    /// let office = BackupIdentity::generate(); // its text lies in the safe; the machine knows the recipient only
    /// let (target, packs) = (FolderTarget::create(&disk)?, FolderTarget::create(&safe)?);
    /// let made = vault.backup(&target).packs_to(&packs).seal_to(office.recipient()).run()?;
    /// assert!(made.from_the_beginning);
    /// let next = vault.backup(&target).packs_to(&packs).seal_to(office.recipient()).run()?;
    /// assert!(next.journal_bytes < made.journal_bytes);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn backup<'t>(&'t self, target: &'t dyn BackupTarget) -> Backup<'t> {
        Backup { vault: self, target, packs: None, recipients: Vec::new(), from_the_beginning: false }
    }

    /// The public key that verifies the manifests of this vault's backups. It stays the same for good: note it where the
    /// backups are not.
    ///
    /// # Errors
    /// [`Error::Sealed`].
    pub fn backup_key(&self) -> Result<BackupKey, Error> {
        let unlocked = self.0.gate.enter()?;
        Ok(key_of(&unlocked))
    }
}

/// The key that signs what backups consist of.
fn seed_of(unlocked: &Unlocked) -> SigningSeed {
    SigningSeed::from_seed(&kdf::backup_signing_seed(unlocked.keyring().state_key()))
}

/// How long something took, to the microsecond, as it is kept.
fn elapsed(begun: Instant) -> Duration {
    Duration::from_micros(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX))
}

fn key_of(unlocked: &Unlocked) -> BackupKey {
    BackupKey::new(unlocked.vault, seed_of(unlocked).public())
}

/// A backup about to be made; see [`Vault::backup`].
#[must_use = "nothing is backed up before `run`"]
pub struct Backup<'t> {
    vault: &'t Vault,
    target: &'t dyn BackupTarget,
    packs: Option<&'t dyn BackupTarget>,
    recipients: Vec<BackupRecipient>,
    from_the_beginning: bool,
}

impl<'t> Backup<'t> {
    /// Keeps a key pack there: header, erasure ledger and patients' sealed keys, without which no backup can be restored. A new
    /// one is made when keys or the ledger changed, and older ones are removed once no newest backup at any target needs them
    /// ([`BackupReport::needed_packs`]). Vaults cannot share the place; targets of one vault can. Let it be another place than the
    /// target, since whoever has both has what a stolen machine would have given him. Without this call no key pack is made, and the one
    /// that was made last has to do.
    pub fn packs_to(mut self, packs: &'t dyn BackupTarget) -> Self {
        self.packs = Some(packs);
        self
    }

    /// Seals all objects to this recipient as well (age, X25519): others see how many there are and how large, and not
    /// how the journal is made up. Each recipient opens all that is sealed from then on: where recipients change, make a backup
    /// [`from_the_beginning`](Self::from_the_beginning), of which those of now open all.
    pub fn seal_to(mut self, recipient: BackupRecipient) -> Self {
        self.recipients.push(recipient);
        self
    }

    /// Copies everything once more, instead of what was written since the last backup, and makes a new key pack.
    pub const fn from_the_beginning(mut self) -> Self {
        self.from_the_beginning = true;
        self
    }

    /// Makes the backup; the log has an entry of it, or of why it could not be made.
    ///
    /// # Errors
    /// [`Error::Backup`] when a target fails, or holds what is not this vault's; [`Error::Storage`] when the journal cannot be
    /// read, [`Error::RotationUnderWay`] when keys changed again and again meanwhile, [`Error::ClockRollback`], [`Error::Sink`]
    /// when a required sink is behind, [`Error::Sealed`], [`Error::AuditUnavailable`].
    pub fn run(self) -> Result<BackupReport, Error> {
        self.run_with(&mut |_| ())
    }

    /// [`Backup::run`], reporting progress.
    ///
    /// # Errors
    /// As [`Backup::run`].
    pub fn run_with(self, progress: OnProgress<'_>) -> Result<BackupReport, Error> {
        operate(AuditEvent::BackupMade, || {
            let unlocked = self.vault.0.gate.enter()?;
            let under_way = UnderWay::to(self.target.name(), &unlocked);
            let made = run::run((&unlocked, &under_way), &self, progress);
            entry::made(&unlocked, self.target.name(), &made)?;
            made.inspect(|_| under_way.remembered())
        })
    }

    /// [`Backup::run`] unasked, which does not keep the vault open, with an entry of the log only if that is wanted; says
    /// whether it was.
    fn run_told(self, tell: impl FnOnce(&Result<BackupReport, Error>) -> bool) -> Result<(BackupReport, bool), Error> {
        let run = |unlocked: &Unlocked| {
            let under_way = UnderWay::to(self.target.name(), unlocked);
            let made = run::run((unlocked, &under_way), &self, &mut |_| ());
            let told = tell(&made);
            if told {
                entry::made(unlocked, self.target.name(), &made)?;
            } else {
                entry::made_untold(unlocked, self.target.name(), &made);
            }
            made.inspect(|_| under_way.remembered()).map(|report| (report, told))
        };
        operate(AuditEvent::BackupMade, || self.vault.0.gate.look_in(run)?)
    }
}

impl fmt::Debug for Backup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backup").field("target", &self.target.name()).finish_non_exhaustive()
    }
}

/// What a backup did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupReport {
    /// The target's name.
    pub target: String,
    /// Number of the manifest, by which the backup is restored.
    pub manifest: u64,
    /// When the state was taken that it holds.
    pub made: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// Whether all of the journal was copied, rather than what was written since the last backup.
    pub from_the_beginning: bool,
    /// Objects that were written.
    pub objects: u64,
    /// Bytes of the journal that they hold.
    pub journal_bytes: u64,
    /// Their bytes as they are kept.
    pub stored_bytes: u64,
    /// Log entries up to the end of the backup: it holds all that was acknowledged before them.
    pub entries: u64,
    /// The key pack that it needs, if one was ever made.
    pub pack: Option<u64>,
    /// Whether that is new.
    pub new_pack: bool,
    /// Whether keys or the erasure ledger changed since it was made, and no place for a newer one was given
    /// ([`Backup::packs_to`]): this backup cannot be restored before there is one.
    pub pack_is_old: bool,
    /// Older key packs that the place where they are kept did not remove: they open what was erased or taken away since.
    pub older_packs: Vec<u64>,
    /// Older key packs that stay, since the last backup to another target has records under a data key that was dropped since.
    /// They go once there is a newer one. Until then they open what was erased or taken away since.
    pub needed_packs: Vec<u64>,
    /// What the key pack is of.
    named: Option<PackRef>,
    oldest_data_epoch: u32,
}

impl fmt::Display for BackupReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, manifest, objects, journal_bytes, entries, .. } = self;
        let how = if self.from_the_beginning { "from the beginning" } else { "what is new" };
        write!(
            f,
            "manifest {manifest} at {target}: {how}, {journal_bytes} bytes in {objects} objects, {entries} log entries"
        )?;
        match self.pack {
            Some(pack) if self.new_pack => write!(f, ", new key pack {pack}")?,
            Some(pack) if self.pack_is_old => {
                write!(
                    f,
                    ", key pack {pack}, which is older than the keys: without a newer one this cannot be restored"
                )?;
            }
            Some(pack) => write!(f, ", key pack {pack}")?,
            None => f.write_str(", no key pack: without one nothing can be restored")?,
        }
        let listed = |packs: &[u64]| packs.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        if !self.older_packs.is_empty() {
            write!(f, "; older key packs are left: {}", listed(&self.older_packs))?;
        }
        if !self.needed_packs.is_empty() {
            write!(f, "; backups at other targets still need key packs {}", listed(&self.needed_packs))?;
        }
        Ok(())
    }
}
