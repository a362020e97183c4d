//! A vault ready for a test: made, unlocked, its issuer trusted.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{MemoryStore, TestClock};
use crate::clock::Clock;
use crate::crypto::passphrase::{Passphrase, PassphraseCost};
use crate::error::Error;
use crate::keyring::RawKey;
use crate::session::Session;
use crate::terms::{Action, Confidentiality, Purpose};
use crate::token::{Grant, GrantError, IssuerKey, Token};
use crate::vault::{Home, LockedVault, NewVault, Opening, Options, Vault};

/// A vault for a test, with what is needed to open it again, to issue tokens for it and to move its clock. It opens with a
/// raw key, because a passphrase costs time on purpose.
///
/// ```
/// use chartvault::test_util::TestVault;
/// use chartvault::{Action, Purpose};
///
/// let mut clinic = TestVault::new().build()?;
/// let nurse = clinic.session(&clinic.grant("nurse.adams").all_kinds().actions([Action::Read]))?;
/// clinic.clock().step(3_600);
/// clinic.reopen()?; // sessions end with the vault
/// assert!(clinic.opening().clean && nurse.close().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TestVault {
    vault: Vault,
    home: Home,
    options: Options,
    clock: Arc<TestClock>,
    key: RawKey,
    issuer: IssuerKey,
}

/// Why a test vault gave no session.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestVaultError {
    /// The vault refused.
    #[error(transparent)]
    Vault(#[from] Error),
    /// The grant lacks something.
    #[error(transparent)]
    Grant(#[from] GrantError),
}

/// A [`TestVault`] about to be made.
#[derive(Debug)]
#[must_use = "nothing is created before `build`"]
pub struct NewTestVault {
    home: Home,
    options: Options,
    clock: Arc<TestClock>,
    passphrase: Option<Passphrase>,
    cost: PassphraseCost,
}

impl TestVault {
    /// Starts making one, in memory, with a clock of its own and passwords that cost as little as they may unless told otherwise.
    #[allow(clippy::new_ret_no_self)]
    pub fn new() -> NewTestVault {
        NewTestVault {
            home: Home::Memory(MemoryStore::new()),
            options: Options::new().password_cost(PassphraseCost::MINIMUM),
            clock: TestClock::new(),
            passphrase: None,
            cost: PassphraseCost::MINIMUM,
        }
    }

    /// The open vault.
    #[must_use]
    pub const fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Its clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<TestClock> {
        &self.clock
    }

    /// The raw key that opens it.
    #[must_use]
    pub const fn key(&self) -> &RawKey {
        &self.key
    }

    /// The issuer whom it trusts.
    #[must_use]
    pub const fn issuer(&self) -> &IssuerKey {
        &self.issuer
    }

    /// Where it is kept, if in memory.
    #[must_use]
    pub const fn store(&self) -> Option<&MemoryStore> {
        match &self.home {
            Home::Memory(store) => Some(store),
            Home::Dir { .. } => None,
        }
    }

    /// How it went when it was opened last.
    #[must_use]
    pub fn opening(&self) -> &Opening {
        self.vault.opening()
    }

    /// A grant for a named principal, for all patients, treatment, every confidentiality and thirty days from now on. Kinds
    /// and actions are still to be said.
    pub fn grant(&self, principal: &str) -> Grant {
        Grant::to(principal)
            .all_patients()
            .purpose(Purpose::Treatment)
            .sensitivity(Confidentiality::VeryRestricted)
            .valid_for(Duration::from_secs(30 * 86_400))
            .issued_at(self.clock.now())
    }

    /// A token for this vault from its issuer.
    ///
    /// # Errors
    /// [`GrantError`] when the grant lacks something.
    pub fn token(&self, grant: &Grant) -> Result<Token, GrantError> {
        grant.sign(&self.issuer, self.vault.id())
    }

    /// A session for treatment under this grant.
    ///
    /// # Errors
    /// As [`TestVault::token`] and [`Vault::session`].
    pub fn session(&self, grant: &Grant) -> Result<Session, TestVaultError> {
        Ok(self.vault.session(self.token(grant)?, Purpose::Treatment)?)
    }

    /// A session of `dr.osei`, who may do everything to everyone's records of all kinds.
    ///
    /// # Errors
    /// As [`TestVault::session`].
    pub fn physician(&self) -> Result<Session, TestVaultError> {
        let actions = [Action::Read, Action::List, Action::Create, Action::Amend, Action::Void];
        self.session(&self.grant("dr.osei").all_kinds().actions(actions))
    }

    /// A session of `auditor`, who may read and verify the log and nothing else.
    ///
    /// # Errors
    /// As [`TestVault::session`].
    pub fn auditor(&self) -> Result<Session, TestVaultError> {
        self.session(&self.grant("auditor").all_kinds().actions([Action::Audit]))
    }

    /// Closes the vault and opens it again. Its sessions end.
    ///
    /// # Errors
    /// As [`Vault::close`] and [`LockedVault::unlock`].
    pub fn reopen(&mut self) -> Result<&Vault, Error> {
        self.vault.close()?;
        self.open_again()
    }

    /// Lets go of the vault without closing it, as when the process is killed, and opens it again. Its sessions end.
    ///
    /// # Errors
    /// As [`LockedVault::unlock`].
    pub fn crash(&mut self) -> Result<&Vault, Error> {
        self.vault.abandon();
        self.open_again()
    }

    fn open_again(&mut self) -> Result<&Vault, Error> {
        self.vault = LockedVault::at(self.home.clone(), self.options.clone())?.unlock(&self.key)?;
        Ok(&self.vault)
    }
}

impl NewTestVault {
    /// In this store.
    pub fn in_memory(self, store: &MemoryStore) -> Self {
        Self { home: Home::Memory(store.clone()), ..self }
    }

    /// On the real storage, in a directory that does not exist yet or is empty.
    pub fn in_dir(self, path: impl AsRef<Path>) -> Self {
        Self { home: Home::dir(path.as_ref()), ..self }
    }

    /// With these settings; their clock is replaced.
    pub fn options(self, options: Options) -> Self {
        Self { options, ..self }
    }

    /// With this clock.
    pub fn clock(self, clock: &Arc<TestClock>) -> Self {
        Self { clock: Arc::clone(clock), ..self }
    }

    /// With a passphrase as well, at the least cost that is accepted unless [`NewTestVault::cost`] says more.
    pub fn passphrase(self, passphrase: &str) -> Self {
        Self { passphrase: Some(Passphrase::new(passphrase)), ..self }
    }

    /// What guessing the passphrase costs.
    pub fn cost(self, cost: PassphraseCost) -> Self {
        Self { cost, ..self }
    }

    /// Makes it, with a new raw key and a new issuer that it trusts.
    ///
    /// # Errors
    /// As [`NewVault::finish`] and [`Vault::trust_issuer`].
    pub fn build(self) -> Result<TestVault, Error> {
        let Self { home, options, clock, passphrase, cost } = self;
        let options = options.clock(clock.clone());
        let (key, issuer) = (RawKey::generate()?, IssuerKey::generate()?);
        let mut new = NewVault::at(home.clone()).raw_key(&key).passphrase_cost(cost).options(options.clone());
        if let Some(passphrase) = &passphrase {
            new = new.passphrase(passphrase);
        }
        let (vault, _) = new.finish()?;
        vault.trust_issuer(issuer.public(), &key)?;
        Ok(TestVault { vault, home, options, clock, key, issuer })
    }
}
