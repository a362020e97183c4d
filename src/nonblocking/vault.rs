//! A vault whose calls are futures.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{AsyncSession, Call, Workers};
use crate::error::Error;
use crate::ids::VaultId;
use crate::keyring::{Credential, RecoveryKey};
use crate::progress::Progress;
use crate::read_audit::ReadAudit;
use crate::record::Record;
use crate::session::Session;
use crate::terms::Purpose;
use crate::token::{AttesterPublicKey, IssuerPublicKey, UnverifiedToken};
use crate::vault::{CheckReport, CheckScope, LockedVault, Options, Vault};

/// A [`Vault`] whose calls are futures; see [`Call`] for what dropping one means. Cheap to clone.
///
/// Calls own what they work on, so values, tokens and credentials move in. Whatever has no method here goes through
/// [`AsyncVault::call`].
///
/// ```
/// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
/// # use clinic::*;
/// # pollster::block_on(async {
/// # let clinic = Clinic::new();
/// # let (path, key, token) = (clinic.vault.path().to_owned(), clinic.key, clinic.token);
/// # clinic.vault.close()?;
/// let workers = Workers::start().unwrap();
/// let vault = AsyncVault::open(&workers, path).await?.unlock(key).await?;
/// let session = vault.session(token, Purpose::Treatment).await?;
/// let patient = session.register_patient([]).await?;
/// let id = session.put(patient, Note { text: "slept well".into() }).await?; // durable and logged
/// assert_eq!(session.get(id).await?.value.text, "slept well");
/// let page = session.call(move |session| session.list::<Note>(patient).limit(10).page()).await?;
/// assert_eq!(page.entries.len(), 1);
/// vault.close().await?;
/// # Ok::<(), chartvault::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct AsyncVault {
    workers: Workers,
    vault: Vault,
}

impl AsyncVault {
    /// The calls of an open vault as futures on these workers.
    #[must_use]
    pub fn over(workers: &Workers, vault: Vault) -> Self {
        Self { workers: workers.clone(), vault }
    }

    /// Creates a vault: `make` builds it with [`Vault::create`], as in blocking code.
    ///
    /// ```
    /// use chartvault::{AsyncVault, Error, RawKey, Vault, Workers};
    /// # pollster::block_on(async {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("clinic.vault");
    /// let workers = Workers::start().unwrap();
    /// let key = RawKey::generate()?;
    /// let (vault, recovery) = AsyncVault::create(&workers, move || Vault::create(path).raw_key(&key).finish()).await?;
    /// # drop(recovery);
    /// vault.close().await?;
    /// # Ok::<(), Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`NewVault::finish`](crate::NewVault::finish).
    pub fn create(
        workers: &Workers,
        make: impl FnOnce() -> Result<(Vault, RecoveryKey), Error> + Send + 'static,
    ) -> Call<Result<(Self, RecoveryKey), Error>> {
        let own = workers.clone();
        workers.call(move || make().map(|(vault, recovery)| (Self::over(&own, vault), recovery)))
    }

    /// [`Vault::open`].
    ///
    /// # Errors
    /// As [`Vault::open`].
    pub fn open(workers: &Workers, path: impl AsRef<Path>) -> Call<Result<AsyncLockedVault, Error>> {
        Self::open_with(workers, path, Options::new())
    }

    /// [`Vault::open_with`].
    ///
    /// # Errors
    /// As [`Vault::open`].
    pub fn open_with(
        workers: &Workers,
        path: impl AsRef<Path>,
        options: Options,
    ) -> Call<Result<AsyncLockedVault, Error>> {
        let (own, path): (_, PathBuf) = (workers.clone(), path.as_ref().to_owned());
        workers.call(move || {
            let locked = Arc::new(Vault::open_with(path, options)?);
            Ok(AsyncLockedVault { workers: own, locked })
        })
    }

    /// The vault itself, for what does not block: its id, suite, path, and how opening went.
    #[must_use]
    pub const fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Any work on the vault as a future.
    pub fn call<R: Send + 'static>(&self, work: impl FnOnce(&Vault) -> R + Send + 'static) -> Call<R> {
        let vault = self.vault.clone();
        self.workers.call(move || work(&vault))
    }

    /// [`Vault::session`].
    ///
    /// # Errors
    /// As [`Vault::session`].
    pub fn session(
        &self,
        token: impl AsRef<UnverifiedToken> + Send + 'static,
        purpose: Purpose,
    ) -> Call<Result<AsyncSession, Error>> {
        self.session_with(move |vault| vault.session(token, purpose))
    }

    /// A session opened by `open`, for tokens that demand more ([`Vault::session_with`]) or that the caller keeps.
    ///
    /// # Errors
    /// Whatever `open` answers.
    pub fn session_with(
        &self,
        open: impl FnOnce(&Vault) -> Result<Session, Error> + Send + 'static,
    ) -> Call<Result<AsyncSession, Error>> {
        let workers = self.workers.clone();
        self.call(move |vault| open(vault).map(|session| AsyncSession::over(&workers, session)))
    }

    /// [`Vault::trust_issuer`].
    ///
    /// # Errors
    /// As [`Vault::trust_issuer`].
    pub fn trust_issuer<C>(&self, issuer: IssuerPublicKey, credential: C) -> Call<Result<(), Error>>
    where
        C: Send + 'static,
        for<'c> Credential<'c>: From<&'c C>,
    {
        self.call(move |vault| vault.trust_issuer(issuer, &credential))
    }

    /// [`Vault::trust_attester`].
    ///
    /// # Errors
    /// As [`Vault::trust_attester`].
    pub fn trust_attester<C>(&self, attester: AttesterPublicKey, credential: C) -> Call<Result<(), Error>>
    where
        C: Send + 'static,
        for<'c> Credential<'c>: From<&'c C>,
    {
        self.call(move |vault| vault.trust_attester(attester, &credential))
    }

    /// [`Vault::set_read_audit`].
    ///
    /// # Errors
    /// As [`Vault::set_read_audit`].
    pub fn set_read_audit<C>(&self, choice: ReadAudit, credential: C) -> Call<Result<(), Error>>
    where
        C: Send + 'static,
        for<'c> Credential<'c>: From<&'c C>,
    {
        self.call(move |vault| vault.set_read_audit(choice, &credential))
    }

    /// [`Vault::reset_clock`].
    ///
    /// # Errors
    /// As [`Vault::reset_clock`].
    pub fn reset_clock<C>(&self, credential: C) -> Call<Result<(), Error>>
    where
        C: Send + 'static,
        for<'c> Credential<'c>: From<&'c C>,
    {
        self.call(move |vault| vault.reset_clock(&credential))
    }

    /// [`Vault::register`].
    ///
    /// # Errors
    /// As [`Vault::register`].
    pub fn register<T: Record + Send + 'static>(&self, sample: T) -> Call<Result<(), Error>> {
        self.call(move |vault| vault.register(&sample))
    }

    /// [`Vault::checkpoint`].
    ///
    /// # Errors
    /// As [`Vault::checkpoint`].
    pub fn checkpoint(&self) -> Call<Result<(), Error>> {
        self.call(Vault::checkpoint)
    }

    /// [`Vault::check`]: progress is reported from the thread that works.
    ///
    /// # Errors
    /// As [`Vault::check`].
    pub fn check(
        &self,
        scope: CheckScope,
        mut progress: impl FnMut(Progress) + Send + 'static,
    ) -> Call<Result<CheckReport, Error>> {
        self.call(move |vault| vault.check(scope, &mut progress))
    }

    /// [`Vault::close`]: calls that are still queued then answer [`Error::Sealed`].
    ///
    /// # Errors
    /// As [`Vault::close`].
    pub fn close(&self) -> Call<Result<(), Error>> {
        self.call(Vault::close)
    }
}

/// A [`LockedVault`] whose calls are futures.
#[derive(Clone, Debug)]
pub struct AsyncLockedVault {
    workers: Workers,
    locked: Arc<LockedVault>,
}

impl AsyncLockedVault {
    /// [`LockedVault::id`].
    ///
    /// # Errors
    /// As [`LockedVault::id`].
    pub fn id(&self) -> Call<Result<VaultId, Error>> {
        let locked = Arc::clone(&self.locked);
        self.workers.call(move || locked.id())
    }

    /// [`LockedVault::unlock`] with a passphrase, recovery key or raw key, which moves in and is wiped afterwards.
    ///
    /// # Errors
    /// As [`LockedVault::unlock`].
    pub fn unlock<C>(&self, credential: C) -> Call<Result<AsyncVault, Error>>
    where
        C: Send + 'static,
        for<'c> Credential<'c>: From<&'c C>,
    {
        self.unlock_with(credential, |_| ())
    }

    /// [`LockedVault::unlock_with`]: progress is reported from the thread that works.
    ///
    /// # Errors
    /// As [`LockedVault::unlock`].
    pub fn unlock_with<C>(
        &self,
        credential: C,
        mut progress: impl FnMut(Progress) + Send + 'static,
    ) -> Call<Result<AsyncVault, Error>>
    where
        C: Send + 'static,
        for<'c> Credential<'c>: From<&'c C>,
    {
        let (workers, locked) = (self.workers.clone(), Arc::clone(&self.locked));
        self.workers.call(move || {
            let vault = locked.unlock_with(&credential, &mut progress)?;
            Ok(AsyncVault { workers, vault })
        })
    }
}
