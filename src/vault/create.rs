//! Creating a vault. The header is written last: until then there is no vault.

use std::path::Path;
use std::sync::Arc;

use super::assemble::{Parts, assemble, storage_keys};
use super::{Home, Opening, Options, Vault, operate, read_audit_draft, signing};
use crate::audit::{AuditEvent, Chain, Draft, EntryKind, Outcome};
use crate::crypto::aead::Suite;
use crate::crypto::kdf_parameters::KdfParameters;
use crate::crypto::passphrase::{Passphrase, PassphraseCost};
use crate::crypto::random;
use crate::error::Error;
use crate::format::slot::Slot;
use crate::ids::{PatientId, VaultId};
use crate::keyring::{self, Credential, Keyring, NewSlot, RawKey, RecoveryKey, SlotPlace};
use crate::observe;
use crate::policy::PolicyRow;
use crate::read_audit::ReadAudit;
use crate::secret::wipe_stack;
use crate::unlocked::HeldHeader;

/// A vault about to be created; see [`Vault::create`].
#[must_use = "nothing is created before `finish`"]
#[derive(Debug)]
pub struct NewVault<'a> {
    home: Home,
    passphrase: Option<&'a Passphrase>,
    raw_key: Option<&'a RawKey>,
    suite: Suite,
    kdf: KdfParameters,
    options: Options,
    read_audit: ReadAudit,
}

impl Vault {
    /// Starts creating a vault in a directory that does not exist yet or is empty.
    ///
    /// ```
    /// use chartvault::{Passphrase, Vault};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("clinic.vault");
    /// # let cost = chartvault::PassphraseCost::MINIMUM;
    /// let pass = Passphrase::new("correct horse battery staple");
    /// let (vault, recovery) = Vault::create(&path).passphrase(&pass).passphrase_cost(cost).finish()?;
    /// println!("Write this down and lock it away: {}", *recovery.expose_text());
    /// vault.close()?;
    /// let vault = Vault::open(&path)?.unlock(&pass)?;
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    pub fn create<'a>(path: impl AsRef<Path>) -> NewVault<'a> {
        NewVault::at(Home::dir(path.as_ref()))
    }
}

impl<'a> NewVault<'a> {
    pub(crate) fn at(home: Home) -> Self {
        Self {
            home,
            passphrase: None,
            raw_key: None,
            suite: Suite::fastest(),
            kdf: KdfParameters::default(),
            options: Options::new(),
            read_audit: ReadAudit::Durable,
        }
    }

    /// The passphrase that unlocks it.
    pub const fn passphrase(mut self, passphrase: &'a Passphrase) -> Self {
        self.passphrase = Some(passphrase);
        self
    }

    /// A 256-bit key that unlocks it, instead of a passphrase or besides one.
    pub const fn raw_key(mut self, key: &'a RawKey) -> Self {
        self.raw_key = Some(key);
        self
    }

    /// The AEAD that seals values; [`Suite::fastest`] on this processor if not called.
    pub const fn suite(mut self, suite: Suite) -> Self {
        self.suite = suite;
        self
    }

    /// What guessing the passphrase costs; 64 MiB and 3 passes if not called.
    pub const fn passphrase_cost(mut self, cost: PassphraseCost) -> Self {
        self.kdf = KdfParameters::Argon2id(cost);
        self
    }

    /// How the passphrase becomes a key, where it is not to be Argon2id.
    ///
    /// ```
    /// use chartvault::{KdfParameters, Passphrase, Pbkdf2Iterations, Vault};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("clinic.vault");
    /// let pass = Passphrase::new("correct horse battery staple");
    /// let kdf = Pbkdf2Iterations::MINIMUM;
    /// let (vault, _) = Vault::create(&path).passphrase(&pass).passphrase_kdf(kdf).finish()?;
    /// assert_eq!(vault.slots()?[0].kdf, Some(KdfParameters::Pbkdf2(kdf)));
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    pub fn passphrase_kdf(mut self, kdf: impl Into<KdfParameters>) -> Self {
        self.kdf = kdf.into();
        self
    }

    /// When entries of reads become durable; before the value is returned if not called. Kept in the vault;
    /// [`Vault::set_read_audit`] changes it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use chartvault::{RawKey, ReadAudit, Vault};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("clinic.vault");
    /// let window = ReadAudit::Windowed { delay: Duration::from_millis(50), entries: 500 };
    /// let key = RawKey::generate()?;
    /// let (vault, _) = Vault::create(&path).raw_key(&key).read_audit(window).finish()?;
    /// assert_eq!(vault.read_audit()?, window);
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    pub const fn read_audit(mut self, choice: ReadAudit) -> Self {
        self.read_audit = choice;
        self
    }

    /// Puts the header into another directory, such as one on a medium that is locked away; it is created if need be. A
    /// stolen disk is then without the key slots. The vault is opened with [`Options::header`].
    ///
    /// ```
    /// use chartvault::{Options, RawKey, Vault};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let (path, stick) = (dir.path().join("clinic.vault"), dir.path().join("stick"));
    /// let key = RawKey::generate()?;
    /// Vault::create(&path).raw_key(&key).detached_header(&stick).finish()?.0.close()?;
    /// assert!(Vault::open(&path).is_err());
    /// let vault = Vault::open_with(&path, Options::new().header(&stick))?.unlock(&key)?;
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    pub fn detached_header(mut self, path: impl AsRef<Path>) -> Self {
        self.home = self.home.with_header(Some(path.as_ref().to_owned()));
        self
    }

    /// Settings of this process.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Creates the vault and leaves it unlocked. The recovery key opens it when every other credential is lost; it is
    /// returned here and never again.
    ///
    /// # Errors
    /// [`Error::NoCredential`] without a passphrase or raw key, [`Error::Slot`] for an empty passphrase or when its memory
    /// cannot be had, [`Error::ReadAudit`] for a window outside its bounds, [`Error::NotEmpty`] when something is in the directory, [`Error::InUse`], [`Error::Io`],
    /// [`Error::Storage`], [`Error::Random`].
    pub fn finish(self) -> Result<(Vault, RecoveryKey), Error> {
        let created = operate(AuditEvent::VaultCreated, || self.create());
        wipe_stack();
        created
    }

    fn create(mut self) -> Result<(Vault, RecoveryKey), Error> {
        self.home = self.home.with_header(self.options.header.clone());
        if self.passphrase.is_none() && self.raw_key.is_none() {
            return Err(Error::NoCredential);
        }
        let read_audit = self.read_audit.check()?;
        // Looked at again under the lock: somebody else may have created a vault here meanwhile, and closed it.
        self.home.make_empty()?;
        let lock = self.home.lock()?;
        self.home.make_empty()?;
        let id = VaultId::from_bytes(random::array()?);
        let recovery = RecoveryKey::generate()?;
        let keyring = Keyring::generate()?;
        let (header, slots) = self.header(id, &keyring, &recovery)?;
        let storage = self.home.create_storage(id, storage_keys(&keyring), self.options.storage)?;
        let parts = Parts {
            vault: id,
            suite: self.suite,
            clock: Arc::clone(&self.options.clock),
            keyring,
            header: HeldHeader { generation: FIRST_GENERATION, slots, bytes: header.clone() },
            lock,
            chain: Chain::new(id, None),
            record_cache: self.options.record_cache,
            password_cost: self.options.password_cost,
            consent: self.options.consent.clone(),
            care: self.options.care.clone(),
            anchors: self.options.anchors.clone(),
        };
        let place = signing::place(&self.home, &self.options);
        if place.is_taken() {
            return Err(Error::NotEmpty { path: self.options.signing_key.unwrap_or_default() });
        }
        let unlocked = assemble(parts, storage)?;
        let signing = signing::of_new_vault(&unlocked, place)?;
        let (chart, row) = unlocked.new_chart(PatientId::FACILITY)?;
        let mut genesis = Draft::new(AuditEvent::VaultCreated, Outcome::Allowed);
        genesis.kind = EntryKind::Genesis;
        genesis.subjects = vec![chart.audited(Vec::new())];
        let (mut rows, mut drafts) = (vec![row], vec![genesis]);
        rows.extend(signing.row(&unlocked)?);
        if read_audit != ReadAudit::Durable {
            let row = PolicyRow::ReadAudit(read_audit);
            rows.push(unlocked.policy_row(&row)?);
            drafts.push(read_audit_draft(ReadAudit::Durable, read_audit));
            unlocked.policy.apply(row);
        }
        unlocked.commit(rows, drafts)?;
        signing.take(&unlocked);
        self.home.create_header(&header, id)?;
        observe::opened(true, 0, 0, None);
        Ok((Vault::new(self.home, unlocked, Opening::created(), &self.options, &[])?, recovery))
    }

    fn header(&self, id: VaultId, keyring: &Keyring, recovery: &RecoveryKey) -> Result<(Vec<u8>, Vec<Slot>), Error> {
        let root = keyring::new_root()?;
        let passphrase = self.passphrase.map(|passphrase| ("passphrase", Credential::from(passphrase)));
        let raw_key = self.raw_key.map(|key| ("raw key", Credential::from(key)));
        let recovery = Some(("recovery key", Credential::from(recovery)));
        let credentials = [passphrase, raw_key, recovery].into_iter().flatten();
        let created = self.options.clock.now();
        let mut slots = Vec::new();
        for (number, (label, credential)) in (0..).zip(credentials) {
            let prepared = NewSlot::of(credential).kdf(self.kdf).prepare(id)?;
            slots.push(prepared.seal(id, self.suite, SlotPlace { number, created, label: label.to_owned() }, &root)?);
        }
        Ok((keyring.new_header(id, FIRST_GENERATION, &[self.suite], slots.clone(), &root)?, slots))
    }
}

const FIRST_GENERATION: u64 = 1;
