//! Looking at a vault that must not be changed: after an anchor showed that it was brought back, say.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::assemble::{Parts, assemble, newest, storage_keys};
use super::log_keys::log_key;
use super::open::open_header;
use super::{Home, LockedVault, LogKey, Options, Vault};
use crate::audit::{AuditFilter, Chain, Checkpoint};
use crate::crypto::aead::Suite;
use crate::error::Error;
use crate::keyring::{Credential, UnlockedKeyring};
use crate::monitor::CareHook;
use crate::session::{AuditPage, Scope, VerifiedLog, audit};
#[cfg(feature = "test-util")]
use crate::storage::StorageError;
use crate::storage::{Embedded, Storage, file};
use crate::unlocked::{DirLock, HeldHeader, Unlocked};

/// Entries of one page, at most.
const MOST_ENTRIES: usize = 1_000;

/// The log of a vault that is only looked at; see [`LockedVault::examine`]. It offers no records. Dropping it wipes the keys and
/// removes the copy.
pub struct Evidence {
    // Dropped first: the copy is in use until then.
    unlocked: Option<Unlocked>,
    copy: PathBuf,
}

/// What comparing the log with an anchor gave; see [`Evidence::anchors`].
#[derive(Debug)]
#[non_exhaustive]
pub struct AnchorFinding {
    /// The anchor.
    pub name: String,
    /// Entries of the checkpoint that it holds, nothing if it holds none; or what is wrong: [`Error::RolledBack`],
    /// [`Error::Forked`], [`Error::Anchor`].
    pub held: Result<Option<u64>, Error>,
}

impl Vault {
    /// [`LockedVault::examine`] for a vault whose directory cannot be written, so that its lock cannot be taken: on a medium
    /// that is write-protected, say. Nobody may have the vault open meanwhile, which is not looked at then.
    ///
    /// # Errors
    /// As [`LockedVault::examine`].
    pub fn examine<'c>(
        path: impl AsRef<Path>,
        options: Options,
        credential: impl Into<Credential<'c>>,
        copy: impl AsRef<Path>,
    ) -> Result<Evidence, Error> {
        let home = Home::dir(path.as_ref()).with_header(options.header.clone());
        let _lock = match home.lock() {
            Err(Error::Io { source, .. })
                if matches!(source.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) =>
            {
                None
            }
            lock => Some(lock?),
        };
        Evidence::gather(&home, &options, credential.into(), copy.as_ref())
    }
}

impl LockedVault {
    /// Opens the vault for nothing but looking at its log. Not a byte of it is changed, and nothing is logged, so that there is no
    /// session and no record is shown: for when an anchor shows that the log was cut, brought back or rewritten, and the
    /// vault must stay as it is. It is copied into `copy`, which must not exist, and opened there, without the key that
    /// signs; the copy is removed with the [`Evidence`]. It takes as much space as the vault does. A wrong credential is
    /// not counted.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let Clinic { vault, dir, key, .. } = Clinic::new();
    /// # vault.close()?;
    /// # let path = dir.path().join("clinic.vault");
    /// let evidence = Vault::open(&path)?.examine(&key, dir.path().join("copy"))?;
    /// let verified = evidence.verify(Scope::All)?;
    /// assert_eq!(evidence.entries(AuditFilter::new(), None, 10)?.entries[0].event, AuditEvent::VaultClosed);
    /// assert_eq!(evidence.log_keys()?[0].epoch, 1);
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotEmpty`] when something is in the place of the copy, [`Error::Unlock`], [`Error::InUse`],
    /// [`Error::Storage`] when the journal is damaged or the disk of the copy full, [`Error::Audit`], [`Error::Header`],
    /// [`Error::Io`], [`Error::TamperedRow`].
    pub fn examine<'c>(
        &self,
        credential: impl Into<Credential<'c>>,
        copy: impl AsRef<Path>,
    ) -> Result<Evidence, Error> {
        let mut held = self.lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if held.is_none() {
            *held = Some(self.home.lock()?);
        }
        Evidence::gather(&self.home, &self.options, credential.into(), copy.as_ref())
    }
}

impl Evidence {
    fn gather(home: &Home, options: &Options, credential: Credential<'_>, copy: &Path) -> Result<Self, Error> {
        let from = match home {
            Home::Dir { dir, .. } => dir,
            #[cfg(feature = "test-util")]
            Home::Memory(_) => {
                return Err(StorageError::Refused { why: "there is nothing to copy of a vault in memory" }.into());
            }
        };
        let opened = open_header(home, credential)?;
        if copy.symlink_metadata().is_ok() {
            return Err(Error::NotEmpty { path: copy.to_owned() });
        }
        // From here on the copy goes with it, also where something fails.
        let mut evidence = Self { unlocked: None, copy: copy.to_owned() };
        file::create_dir(copy)?;
        for name in file::names(from)?.into_iter().filter(|name| is_copied(name)) {
            let (source, target) = (from.join(&name), copy.join(&name));
            if source.is_dir() {
                file::copy_dir(&source, &target)?;
            } else {
                fs::copy(&source, &target).map_err(|source| Error::Io {
                    doing: "copying to",
                    path: target.clone(),
                    source,
                })?;
            }
        }
        evidence.unlocked = Some(open_copy(opened, options, copy)?);
        Ok(evidence)
    }

    fn unlocked(&self) -> Result<&Unlocked, Error> {
        self.unlocked.as_ref().ok_or(Error::Sealed)
    }

    /// Verifies the log, as [`AuditVerify::run`](crate::AuditVerify::run) does.
    ///
    /// # Errors
    /// [`Error::Audit`] with the first entry that is not sound, [`Error::Storage`].
    pub fn verify(&self, scope: Scope) -> Result<VerifiedLog, Error> {
        audit::verify_all(self.unlocked()?, scope)
    }

    /// Entries of the log that a filter lets through, newest first, before the one of number `before`; 1,000 at most. As with
    /// [`AuditQuery::page`](crate::AuditQuery::page), a page can end early.
    ///
    /// # Errors
    /// [`Error::Audit`] when an entry on the way is not sound, [`Error::Storage`].
    pub fn entries(&self, filter: AuditFilter, before: Option<u64>, limit: usize) -> Result<AuditPage, Error> {
        audit::page_of(
            self.unlocked()?,
            &filter,
            limit.clamp(1, MOST_ENTRIES),
            audit::Asked { before, ..Default::default() },
        )
    }

    /// Entries as they are stored, by number, from `from` on; 1,000 at most. Whoever has none of the vault's keys can verify their
    /// chain, and the root of the tree over them against a checkpoint.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn entry_bytes(&self, from: u64, limit: usize) -> Result<Vec<(u64, Vec<u8>)>, Error> {
        let entries = self.unlocked()?.committer.storage().entries(from, limit.min(MOST_ENTRIES))?;
        Ok(entries.into_iter().map(|(number, bytes)| (number, bytes.to_vec())).collect())
    }

    /// How many entries the log has, and the root over them.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn size_and_root(&self) -> Result<(u64, [u8; 32]), Error> {
        let unlocked = self.unlocked()?;
        let size = unlocked.committer.newest_entry().map_or(0, |head| head.seq.saturating_add(1));
        Ok((size, unlocked.log_root(size)?))
    }

    /// The keys of all signing epochs with what closed each, as [`Vault::log_keys`] gives them.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::TamperedRow`].
    pub fn log_keys(&self) -> Result<Vec<LogKey>, Error> {
        let unlocked = self.unlocked()?;
        let last = unlocked.policy.epoch().map_or(0, |row| row.epoch);
        let rows = (1..=last).filter_map(|epoch| unlocked.epoch_row(epoch).transpose());
        rows.map(|row| row.map(|row| log_key(unlocked, row))).collect()
    }

    /// Compares with each anchor of the options.
    ///
    /// # Errors
    /// [`Error::Sealed`], never as long as the evidence lives.
    pub fn anchors(&self) -> Result<Vec<AnchorFinding>, Error> {
        let unlocked = self.unlocked()?;
        let compare = |(anchor, policy): &(_, _)| {
            let anchor: &Arc<dyn crate::anchor::Anchor> = anchor;
            AnchorFinding { name: anchor.name().to_owned(), held: unlocked.compare_with(anchor, policy) }
        };
        Ok(unlocked.anchors.iter().map(compare).collect())
    }

    /// Whether a checkpoint that was kept elsewhere is one of this log as it stands: of no more entries, and with the same root.
    /// Its signature is for its holder to verify.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn has(&self, checkpoint: &Checkpoint) -> Result<bool, Error> {
        let (size, _) = self.size_and_root()?;
        Ok(checkpoint.size <= size && self.unlocked()?.log_root(checkpoint.size)? == checkpoint.root)
    }
}

/// Neither the lock nor, above all, the key that signs.
fn is_copied(name: &str) -> bool {
    name == "journal" || name == "clean" || name.starts_with("state.") || name.starts_with("sled-")
}

fn open_copy(opened: UnlockedKeyring, options: &Options, copy: &Path) -> Result<Unlocked, Error> {
    let UnlockedKeyring { keyring, header, root, bytes, .. } = opened;
    drop(root);
    let (vault, generation) = (header.vault, header.generation);
    let lock = DirLock::take(copy)?;
    let (storage, _) = Embedded::open(copy, vault, storage_keys(&keyring), options.storage, generation, &mut |_| ())?;
    let storage: Arc<dyn Storage> = Arc::new(storage);
    let parts = Parts {
        vault,
        suite: header.suites.first().copied().unwrap_or(Suite::ChaCha20Poly1305),
        clock: Arc::clone(&options.clock),
        keyring,
        header: HeldHeader { generation, slots: header.slots, bytes },
        lock,
        chain: Chain::new(vault, Some(newest(&*storage, vault)?)),
        record_cache: 0,
        consent: options.consent.clone(),
        care: CareHook::default(),
        anchors: options.anchors.clone(),
        password_cost: options.password_cost,
    };
    let unlocked = assemble(parts, storage)?;
    unlocked.restore_log_tree(&mut |_| ())?;
    unlocked.load_policy()?;
    Ok(unlocked)
}

impl fmt::Debug for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evidence").field("copy", &self.copy).finish_non_exhaustive()
    }
}

impl Drop for Evidence {
    fn drop(&mut self) {
        self.unlocked = None;
        // What stays behind is sealed as the vault is.
        let _ = file::remove_dir(&self.copy);
    }
}
