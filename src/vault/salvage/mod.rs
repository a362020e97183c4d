//! Salvage: from a damaged vault, a new one of all that verifies.

mod examiner;
mod records;
mod report;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

pub use report::{Doubt, JournalWound, SalvageReport, SalvagedRecords};

use super::assemble::{Parts, assemble, newest, storage_keys};
use super::open::open_header;
use super::{Home, LockedVault, Vault, operate};
use crate::audit::{AuditEvent, Chain, Draft, EntryKind, Outcome};
use crate::consent::ConsentHook;
use crate::crypto::aead::Suite;
use crate::crypto::passphrase::PassphraseCost;
use crate::error::Error;
use crate::keyring::detached;
use crate::keyring::{Credential, UnlockedKeyring, copies};
use crate::monitor::CareHook;
use crate::progress::OnProgress;
use crate::storage::salvage::{Found, Salvage};
use crate::storage::{Embedded, Storage, StorageError, file};
use crate::unlocked::{DirLock, HeldHeader};
use examiner::Examiner;

/// What is built on the way, beside the new vault's place.
const BUILDING: &str = ".salvaging";
/// All that is ever in there, the lock before all else.
const PARTS: [&str; 4] = [LOCK, "scratch", "old", "vault"];
const LOCK: &str = "lock";

impl LockedVault {
    /// Makes a new vault in `into` of everything that verifies in this one, which is damaged. Not a byte of the damaged
    /// vault is changed. The new vault has the same id, keys and credentials, and opens with [`Vault::open`]; its log has
    /// all entries that were found, one in the place of each that was lost, and one about the salvage.
    ///
    /// Where it can be proved that the new vault holds exactly what the damaged one held, it is an ordinary vault. Where
    /// it cannot, that stands in the new vault: it opens no session unless the host accepts that
    /// ([`SessionOpening::accept_doubtful`]), says of each record whether it is in doubt, and takes no writes.
    ///
    /// `into` must not exist or be empty. What is needed on the way stands beside it, under the same name with
    /// `.salvaging` behind it; if the process is killed, salvaging again begins anew. It takes free space for the new
    /// vault, for a copy of the old trees and for an index of the journal: about three times the damaged vault.
    ///
    /// A wrong credential is not counted in the damaged vault's log, which must not change.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let Clinic { vault, token, dir, key, .. } = Clinic::new();
    /// # vault.close()?;
    /// # drop(vault);
    /// # let path = dir.path().join("clinic.vault");
    /// # let into = dir.path().join("salvaged.vault");
    /// let report = Vault::open(&path)?.salvage(&key, &into)?;
    /// println!("{report}");
    /// let vault = Vault::open(&into)?.unlock(&key)?;
    /// assert!(vault.doubt()?.is_none()); // nothing was lost
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotEmpty`], [`Error::Unlock`], [`Error::InUse`], [`Error::Storage`] when the disk of `into` is full, a file
    /// has a newer format, or the header is older than the journal allows; [`Error::NotCommitted`] and
    /// [`Error::AuditUnavailable`] when the disk of `into` fails; [`Error::Header`], [`Error::Io`], [`Error::Random`]. `into`
    /// is not there then.
    ///
    /// [`SessionOpening::accept_doubtful`]: crate::SessionOpening::accept_doubtful
    pub fn salvage<'c>(
        &self,
        credential: impl Into<Credential<'c>>,
        into: impl AsRef<Path>,
    ) -> Result<SalvageReport, Error> {
        self.salvage_with(credential, into, &mut |_| ())
    }

    /// [`LockedVault::salvage`], reporting progress.
    ///
    /// # Errors
    /// As [`LockedVault::salvage`].
    pub fn salvage_with<'c>(
        &self,
        credential: impl Into<Credential<'c>>,
        into: impl AsRef<Path>,
        progress: OnProgress<'_>,
    ) -> Result<SalvageReport, Error> {
        operate(AuditEvent::VaultSalvaged, || self.hold_and_salvage(credential.into(), into.as_ref(), progress))
    }

    fn hold_and_salvage(
        &self,
        credential: Credential<'_>,
        into: &Path,
        progress: OnProgress<'_>,
    ) -> Result<SalvageReport, Error> {
        let mut held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_none() {
            *held = Some(self.home.lock()?);
        }
        let from = match &self.home {
            Home::Dir { dir, .. } => dir,
            #[cfg(feature = "test-util")]
            Home::Memory(_) => {
                return Err(StorageError::Refused { why: "there is nothing to salvage in a vault in memory" }.into());
            }
        };
        let opened = open_header(&self.home, credential)?;
        let site = Site::prepare(from, into)?;
        let salvaged = self.build(from, &site, opened, progress);
        site.clear(salvaged)
    }

    fn build(
        &self,
        from: &Path,
        site: &Site,
        opened: UnlockedKeyring,
        progress: OnProgress<'_>,
    ) -> Result<SalvageReport, Error> {
        let UnlockedKeyring { keyring, header, root, .. } = opened;
        let detached = self.home.is_detached();
        let suite = header.suites.first().copied().unwrap_or(Suite::ChaCha20Poly1305);
        let (clock, storage) = (Arc::clone(&self.options.clock), self.options.storage);
        let now = clock.now();
        let (keys, work, to) = (storage_keys(&keyring), site.work.as_path(), site.vault());
        file::create_dir(&to)?;
        let salvage = Salvage { from, work, to: &to, vault: header.vault, keys: &keys, options: storage };
        let mut examiner = Examiner::new(header.vault, suite, &keyring, now);
        let found: Found = salvage.run(&mut examiner, &mut *progress)?;
        let (journal, generation) = (found.header_generation, header.generation);
        if journal > generation {
            return Err(StorageError::HeaderRolledBack { header: generation, journal }.into());
        }
        let doubt = examiner.doubt.take();
        let records = std::mem::take(&mut examiner.tally).finish();
        drop(examiner);

        let slots = header.slots.clone();
        let header_bytes = keyring.new_header(header.vault, generation, &header.suites, slots, &root)?;
        drop(root);
        let (storage, _) =
            Embedded::open(&to, header.vault, storage_keys(&keyring), storage, generation, &mut *progress)?;
        let storage: Arc<dyn Storage> = Arc::new(storage);
        let chain = Chain::new(header.vault, Some(newest(&*storage, header.vault)?));
        let (vault, lock) = (header.vault, DirLock::take(&to)?);
        let header = HeldHeader { generation, slots: header.slots, bytes: header_bytes.clone() };
        let password_cost = PassphraseCost::default();
        let (consent, anchors) = (ConsentHook::default(), Vec::new());
        let parts = Parts {
            vault,
            suite,
            clock,
            keyring,
            header,
            lock,
            chain,
            record_cache: 0,
            consent,
            anchors,
            care: CareHook::default(),
            password_cost,
        };
        let unlocked = assemble(parts, storage)?;
        unlocked.load_policy()?;
        let mut report = SalvageReport::new(from.to_owned(), site.into.clone(), found, records);
        report.doubt = doubt.map(|(salvaged_at, map)| Doubt::of(salvaged_at, &map));
        let mut draft = Draft::new(AuditEvent::VaultSalvaged, Outcome::Allowed);
        draft.kind = EntryKind::Recovery;
        draft.fields.detail = Some(report.detail());
        unlocked.commit(Vec::new(), vec![draft])?;
        unlocked.committer.storage().close()?;
        drop(unlocked);
        if detached {
            // The one that opened the damaged vault opens this one: it is not put beside the data.
            detached::mark(&to, vault)?;
        } else {
            copies::create(&to, &header_bytes)?;
        }
        Ok(report)
    }
}

impl Vault {
    /// What is in doubt since the vault was salvaged; nothing in a vault that never was, or of which all was proved.
    ///
    /// # Errors
    /// [`Error::Sealed`].
    pub fn doubt(&self) -> Result<Option<Doubt>, Error> {
        let doubt = self.0.gate.enter()?.policy.doubt();
        Ok(doubt.map(|(salvaged_at, map)| Doubt::of(salvaged_at, &map)))
    }
}

/// Where a new vault is built.
struct Site {
    into: PathBuf,
    work: PathBuf,
    /// Keeps others from building in the same place.
    _lock: DirLock,
}

impl Site {
    fn prepare(from: &Path, into: &Path) -> Result<Self, Error> {
        let not_empty = |path: &Path| Err(Error::NotEmpty { path: path.to_owned() });
        let io = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| Error::Io { doing, path, source }
        };
        let into = std::path::absolute(into).map_err(io("finding", into))?;
        let Some(name) = into.file_name() else { return not_empty(&into) };
        let parent = into.parent().unwrap_or(&into);
        // Before anything is made: it might be made inside the damaged vault.
        let there = parent.ancestors().find(|dir| dir.exists()).unwrap_or(parent);
        let inside = there.canonicalize().map_err(io("finding", there))?;
        if inside.starts_with(from.canonicalize().map_err(io("finding", from))?) {
            return Err(StorageError::Refused { why: "the new vault would lie inside the damaged one" }.into());
        }
        let mut building = OsString::from(name);
        building.push(BUILDING);
        let work = into.with_file_name(building);
        // What is behind a link is somebody else's.
        if [&into, &work].into_iter().any(|path| path.is_symlink()) {
            return Err(StorageError::Refused { why: "there is a link in the place of the new vault" }.into());
        }
        if !file::names(&into)?.is_empty() {
            return not_empty(&into);
        }
        // What an attempt left behind that was killed has its lock.
        let names = file::names(&work)?;
        let ours = names.iter().all(|name| PARTS.contains(&name.as_str()));
        if !ours || (!names.is_empty() && !names.iter().any(|name| name == LOCK)) {
            return not_empty(&work);
        }
        file::create_dir_durably(parent)?;
        file::create_dir(&work)?;
        let lock = DirLock::take(&work)?;
        let site = Self { into, work, _lock: lock };
        site.sweep()?;
        Ok(site)
    }

    fn vault(&self) -> PathBuf {
        self.work.join("vault")
    }

    fn sweep(&self) -> Result<(), StorageError> {
        PARTS.iter().skip(1).try_for_each(|part| file::remove_dir(&self.work.join(part)))
    }

    /// Puts the new vault in place, if there is one, and removes what was needed on the way.
    fn clear(self, salvaged: Result<SalvageReport, Error>) -> Result<SalvageReport, Error> {
        let placed = salvaged.and_then(|report| {
            self.place()?;
            Ok(report)
        });
        // What cannot be removed is removed by the next attempt, which knows it by its lock.
        let swept = self.sweep();
        let Self { work, _lock, .. } = self;
        drop(_lock);
        if swept.is_ok() {
            let _ = file::remove_dir(&work);
        }
        // Whatever was committed went with it.
        placed.map_err(|error| match error {
            Error::OutcomeUnknown(source) => Error::NotCommitted(source),
            error => error,
        })
    }

    fn place(&self) -> Result<(), Error> {
        match fs::remove_dir(&self.into) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(Error::Io { doing: "replacing the empty", path: self.into.clone(), source });
            }
            _ => {}
        }
        Ok(file::rename(&self.vault(), &self.into)?)
    }
}
