//! Floor 9: a vault from outside: create, open, unlock, look after, close.

mod attempts;
mod compact;
mod create;
mod open;
mod opening;
mod options;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use compact::Compaction;
pub use create::NewVault;
pub use open::LockedVault;
pub use opening::Opening;
pub use options::Options;

use crate::audit::{AuditEvent, Draft, Outcome};
use crate::committer::Stripe;
use crate::crypto::aead::Suite;
use crate::error::Error;
use crate::ids::VaultId;
use crate::keyring::{Credential, UnlockError};
use crate::policy::PolicyRow;
use crate::record::{self, Kind, Record};
use crate::session::Session;
use crate::terms::Purpose;
use crate::token::{IssuerPublicKey, UnverifiedToken};
use crate::unlocked::{Gate, Unlocked};
use compact::Keeper;

/// An unlocked vault. Cheap to clone, `Send` and `Sync`; all clones and sessions are sealed by [`Vault::close`].
///
/// Dropping the last clone without closing loses nothing that was acknowledged: the next opening finds it in the
/// journal, takes a little longer, and says so in the log.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    dir: PathBuf,
    id: VaultId,
    suite: Suite,
    gate: Gate,
    opening: Opening,
    /// The thread that compacts when it is due.
    keeper: Keeper,
}

impl Vault {
    fn new(dir: PathBuf, unlocked: Unlocked, opening: Opening) -> Self {
        let (id, suite) = (unlocked.vault, unlocked.suite);
        let gate = Gate::new(unlocked);
        let keeper = Keeper::start(&gate);
        Self(Arc::new(Inner { dir, id, suite, gate, opening, keeper }))
    }

    /// The vault's id, which tokens name.
    #[must_use]
    pub fn id(&self) -> VaultId {
        self.0.id
    }

    /// The AEAD that seals its values.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.0.suite
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.dir
    }

    /// How opening went: whether the last process closed the vault, and what had to be mended.
    #[must_use]
    pub fn opening(&self) -> &Opening {
        &self.0.opening
    }

    /// Opens a session with a token, for one purpose of use. The log has an entry either way.
    ///
    /// # Errors
    /// [`Error::Token`] with the reason why the token is refused, [`Error::SessionRefused`] when it does not allow the
    /// purpose, [`Error::ClockRollback`], [`Error::Sealed`], [`Error::AuditUnavailable`].
    pub fn session(&self, token: impl AsRef<UnverifiedToken>, purpose: Purpose) -> Result<Session, Error> {
        Session::open(self.0.gate.clone(), token.as_ref(), purpose)
    }

    /// Trusts an issuer: tokens signed with its secret key are accepted from now on. Asks for a credential of the vault,
    /// because whoever issues tokens decides who reads charts.
    ///
    /// # Errors
    /// [`Error::Unlock`] when the credential does not open the vault, [`Error::Sealed`], [`Error::AuditUnavailable`].
    pub fn trust_issuer<'c>(
        &self,
        issuer: IssuerPublicKey,
        credential: impl Into<Credential<'c>>,
    ) -> Result<(), Error> {
        let mut draft = Draft::new(AuditEvent::IssuerTrusted, Outcome::Allowed);
        draft.fields.issuer = Some(issuer.id());
        self.administer(credential.into(), draft, |unlocked| {
            Ok(PolicyRow::Issuer { public: *issuer.as_bytes(), trusted_at: unlocked.now()? })
        })
    }

    /// Sets the latest time that the vault has seen back to the system clock. Needed once after the clock had jumped
    /// ahead and was set right, when every access answers [`Error::ClockRollback`]. Log entries keep the later time, with
    /// the clock's own beside it, until the clock has caught up.
    ///
    /// # Errors
    /// [`Error::Unlock`] when the credential does not open the vault, [`Error::Sealed`], [`Error::AuditUnavailable`].
    pub fn reset_clock<'c>(&self, credential: impl Into<Credential<'c>>) -> Result<(), Error> {
        let draft = Draft::new(AuditEvent::ClockReset, Outcome::Allowed);
        self.administer(credential.into(), draft, |unlocked| Ok(unlocked.clock_reset_row()))
    }

    /// Changes the policy if the credential opens the vault; logs it either way.
    fn administer(
        &self,
        credential: Credential<'_>,
        mut draft: Draft,
        row: impl FnOnce(&Unlocked) -> Result<PolicyRow, Error>,
    ) -> Result<(), Error> {
        let unlocked = self.0.gate.enter()?;
        match self.confirm(&unlocked, credential).and_then(|()| row(&unlocked)) {
            Ok(row) => self.keep(&unlocked, row, draft),
            Err(error) => {
                draft.fields.outcome = Outcome::Denied;
                draft.fields.detail = Some(error.word().to_owned());
                unlocked.commit(Vec::new(), vec![draft])?;
                Err(error)
            }
        }
    }

    /// Whether a credential opens this very vault. The header is read again from disk, where somebody may have put one
    /// with a credential of their own, so what it opens has to be the keys in use.
    fn confirm(&self, unlocked: &Unlocked, credential: Credential<'_>) -> Result<(), Error> {
        let opened = open::open_header(&self.0.dir, credential)?;
        if opened.header.vault == self.0.id && opened.keyring.is_same(&unlocked.keyring) {
            return Ok(());
        }
        Err(Error::Unlock(UnlockError::HeaderTampered))
    }

    /// Makes a record type known and proves with a sample that its values come back whole, so that a type which cannot
    /// be read back is found at start and not in the clinic. Putting does the same with the first value of a type.
    ///
    /// # Errors
    /// [`Error::Encode`] when the sample does not come back whole, [`Error::Sealed`], [`Error::AuditUnavailable`].
    pub fn register<T: Record>(&self, sample: &T) -> Result<(), Error> {
        record::prove_round_trip(sample)?;
        let unlocked = self.0.gate.enter()?;
        unlocked.set_proven::<T>();
        let kind = Kind::of::<T>();
        if unlocked.knows(&kind) {
            return Ok(());
        }
        let mut draft = Draft::new(AuditEvent::KindRegistered, Outcome::Allowed);
        draft.fields.kind = Some(kind.id());
        self.keep(&unlocked, PolicyRow::Kind { kind }, draft)
    }

    /// Makes a policy row durable with its entry, then takes it in force.
    fn keep(&self, unlocked: &Unlocked, row: PolicyRow, draft: Draft) -> Result<(), Error> {
        let queued = {
            let _held = unlocked.stripes.write(&[Stripe::Policy]);
            unlocked.committer.queue(vec![unlocked.policy_row(&row)?], vec![draft])?
        };
        unlocked.committer.wait(queued)?;
        unlocked.policy.apply(row);
        Ok(())
    }

    /// Makes the trees durable up to now, so that opening after a crash has nothing older to bring over. Happens by itself
    /// now and then; takes up to a second.
    ///
    /// # Errors
    /// [`Error::Storage`] when it fails; what was acknowledged is safe in the journal all the same. [`Error::Sealed`].
    pub fn checkpoint(&self) -> Result<(), Error> {
        Ok(self.0.gate.enter()?.committer.storage().checkpoint()?)
    }

    /// Closes the vault: waits for calls under way (so do not call it from inside one, such as a progress report), writes the closing entry, makes the trees durable and wipes the
    /// keys. Clones and sessions that still live then answer [`Error::Sealed`]. The next opening is quick.
    ///
    /// # Errors
    /// [`Error::Sealed`] when it was closed already; [`Error::AuditUnavailable`] or [`Error::Storage`] when the last
    /// writes fail. It is closed all the same, and what was acknowledged is safe.
    pub fn close(&self) -> Result<(), Error> {
        self.0.keeper.stop();
        let unlocked = self.0.gate.seal()?;
        unlocked.let_go();
        let logged = unlocked.commit(Vec::new(), vec![Draft::new(AuditEvent::VaultClosed, Outcome::Allowed)]);
        let closed = unlocked.committer.storage().close();
        logged?;
        Ok(closed?)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("id", &self.0.id).field("dir", &self.0.dir).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
