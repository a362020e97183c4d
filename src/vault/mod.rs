//! Floor 9: a vault from outside: create, open, unlock, look after, close.

mod anchors;
mod assemble;
mod attempts;
#[cfg(feature = "backup")]
mod backup;
mod backup_status;
mod check;
mod compact;
mod create;
mod erase;
mod evidence;
mod header;
mod home;
mod keeper;
mod key_report;
mod log_keys;
mod log_retention;
mod memory;
mod monitoring;
mod open;
mod opening;
mod options;
mod own_account;
mod rotate;
mod salvage;
mod scrub;
mod seal;
mod security;
mod sign_in;
mod signing;
mod sinks;
mod slots;
mod trust;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

pub use anchors::AnchorState;
#[cfg(feature = "backup")]
pub use backup::{
    Backup, BackupReport, BackupThread, ContinuousBackup, Drill, DrillReport, Followed, FollowedState, Restore,
    RestorePoint, Restored, VaultPrune,
};
pub use backup_status::{BackupStatus, TargetStatus};
pub use check::{CheckReport, CheckScope, Finding, FindingPlace};
pub use compact::Compaction;
pub use create::NewVault;
pub use erase::{ErasureLedger, ErasureLevel, ErasureOrder, ErasureReport, Replayed};
pub use evidence::{AnchorFinding, Evidence};
pub(crate) use home::Home;
pub use key_report::{KeyAge, KeyReport, KeyRisk, KeySort};
pub use log_keys::{LogKey, LogKeys};
pub use memory::{MemoryGuard, MemoryProtection};
#[cfg(feature = "test-util")]
pub(crate) use open::state_file_key;
pub use open::{LockedVault, Unlocking};
pub use opening::{KdfUpgrade, MissingReads, Opening};
pub use options::Options;
pub use own_account::OwnAccount;
pub use rotate::{RootRotation, Rotated, Rotation};
pub use salvage::{Doubt, JournalWound, SalvageReport, SalvagedRecords};
pub use scrub::Health;
pub use security::{LastDone, Reason, SecurityFinding, SecurityReport, WaivedAdvisory, Weight};
pub use sign_in::SignIn;

use crate::audit::{AuditEvent, Draft, Outcome};
use crate::committer::Stripe;
use crate::crypto::aead::Suite;
use crate::error::Error;
use crate::ids::VaultId;
use crate::keyring::Credential;
use crate::observe;
use crate::policy::{AccessRules, PolicyRow};
use crate::read_audit::ReadAudit;
use crate::record::{self, Kind, Record};
use crate::secret::wipe_stack;
use crate::session::{Session, SessionOpening};
use crate::terms::{Action, Purpose};
use crate::token::{Challenge, UnverifiedToken};
use crate::unlocked::{Gate, Unlocked};
use anchors::Anchors;
use keeper::Keeper;
use seal::IdleSeal;
use sinks::Sinks;

/// An unlocked vault. Cheap to clone, `Send` and `Sync`; all clones and sessions are sealed by [`Vault::close`].
///
/// Dropping the last clone without closing loses nothing that was acknowledged: the next opening finds it in the
/// journal, takes a little longer, and says so in the log.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    home: Home,
    id: VaultId,
    /// What seals; here as well, to be told once the vault is closed.
    suite: Mutex<Suite>,
    /// The threads that bring the log to sinks. Before the gate, through which they note how far they came.
    sinks: Sinks,
    gate: Gate,
    opening: Opening,
    /// The thread that compacts when it is due, and scrubs.
    keeper: Keeper,
    /// The thread that seals the vault when nobody has used it for long.
    _idle: Option<IdleSeal>,
    /// The threads that give anchors what they are to hold.
    anchors: Arc<Anchors>,
    memory: MemoryProtection,
}

impl Vault {
    fn new(
        home: Home,
        unlocked: Unlocked,
        opening: Opening,
        options: &Options,
        anchored: &[Option<u64>],
    ) -> Result<Self, Error> {
        let (id, suite) = (unlocked.vault, Mutex::new(unlocked.suite()));
        let memory = MemoryProtection::of(options);
        let gate = Gate::new(unlocked, options.seal_when_idle);
        let keeper = Keeper::start(&gate, &home, options);
        let anchors = Arc::new(Anchors::start(&gate, id, options, anchored));
        let idle = options.seal_when_idle.map(|most| IdleSeal::start(&gate, &keeper, &anchors, most)).transpose();
        let doing = "starting the thread that seals when idle";
        let idle = idle.map_err(|source| Error::Io { doing, path: home.path().to_owned(), source })?;
        let sinks = Sinks::default();
        let vault =
            Self(Arc::new(Inner { home, id, suite, sinks, gate, opening, keeper, _idle: idle, anchors, memory }));
        let unlocked = vault.0.gate.enter()?;
        // Without the thread that a window needs reads are durable, which is more than was chosen.
        let _ = vault.follow(&unlocked, unlocked.policy.read_audit());
        // What cannot be told now is told later.
        let _ = unlocked.escalate_overdue();
        let _ = unlocked.tell_of_overdue_reviews();
        vault.start_sinks(&unlocked, options)?;
        let _ = unlocked.escalate_flags();
        drop(unlocked);
        Ok(vault)
    }

    /// From now on the log grows without its tree, until the vault is opened again.
    #[cfg(feature = "test-util")]
    pub(crate) fn uproot(&self) -> Result<(), Error> {
        self.0.gate.enter()?.committer.uproot();
        Ok(())
    }

    /// Lets entries of reads wait as chosen.
    fn follow(&self, unlocked: &Arc<Unlocked>, choice: ReadAudit) -> Result<(), Error> {
        let doing = "starting the thread that writes the log of";
        let path = || self.path().to_owned();
        self.0.gate.choose(unlocked, choice).map_err(|source| Error::Io { doing, path: path(), source })
    }

    /// The vault's id, which tokens name.
    #[must_use]
    pub fn id(&self) -> VaultId {
        self.0.id
    }

    /// The AEAD that seals its values.
    #[must_use]
    pub fn suite(&self) -> Suite {
        *self.0.suite.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its directory; an empty path for a vault in memory, which only tests make.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.home.path()
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
    /// purpose, [`Error::Proof`] when it demands that something is shown beside it ([`Vault::session_with`]),
    /// [`Error::ClockRollback`], [`Error::Sealed`], [`Error::AuditUnavailable`].
    pub fn session(&self, token: impl AsRef<UnverifiedToken>, purpose: Purpose) -> Result<Session, Error> {
        self.session_with(&token, purpose).open()
    }

    /// Starts opening a session with a token that demands more than itself: a proof of possession if it is bound to its
    /// holder, a device, attestations. [`Vault::session`] is the short form for one that demands nothing.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let Clinic { vault, token, dir, .. } = Clinic::new();
    /// use chartvault::{DeviceKey, ProofError};
    /// let device = DeviceKey::generate()?; // stays in the tablet
    /// let token = token.attenuate().device(device.public().id()).finish()?;
    /// let challenge = vault.challenge()?;
    /// let proof = device.prove(&token, &challenge, Purpose::Treatment, &[0; 32]);
    /// let session = vault.session_with(&token, Purpose::Treatment).device(proof.clone()).open()?;
    /// let again = vault.session_with(&token, Purpose::Treatment).device(proof).open();
    /// assert!(matches!(again, Err(Error::Proof(ProofError::UnknownChallenge)))); // good once
    /// # drop((session, dir));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn session_with<'t>(&self, token: &'t impl AsRef<UnverifiedToken>, purpose: Purpose) -> SessionOpening<'t> {
        SessionOpening::new(self.0.gate.clone(), token.as_ref(), purpose)
    }

    /// Gives out a challenge for one session opening within 60 seconds, to be answered by holders, devices and sign-in
    /// attestations. At most 4,096 are outstanding; they are kept in memory only, and so are unknown once the vault is
    /// opened again. Leaves no log entry: nothing is accessed.
    ///
    /// # Errors
    /// [`Error::TooManyChallenges`], [`Error::ClockRollback`], [`Error::Sealed`], [`Error::Random`].
    pub fn challenge(&self) -> Result<Challenge, Error> {
        self.0.gate.enter()?.challenge()
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

    /// When entries of reads become durable in this vault.
    ///
    /// # Errors
    /// [`Error::Sealed`].
    pub fn read_audit(&self) -> Result<ReadAudit, Error> {
        Ok(self.0.gate.enter()?.policy.read_audit())
    }

    /// Chooses anew when entries of reads become durable, from now on and after every later opening. Asks for a
    /// credential of the vault, because a window is a gap in what the log can promise. The change is an entry of the log,
    /// which names the old choice and the new one; when it returns, all entries from under the old choice are durable.
    ///
    /// # Errors
    /// [`Error::ReadAudit`] for a window outside its bounds, [`Error::Unlock`] when the credential does not open the
    /// vault, [`Error::Io`] when the thread that a window needs cannot be started (reads are durable then, until the next
    /// opening), [`Error::Sealed`], [`Error::AuditUnavailable`].
    pub fn set_read_audit<'c>(&self, choice: ReadAudit, credential: impl Into<Credential<'c>>) -> Result<(), Error> {
        let choice = choice.check()?;
        let unlocked = self.0.gate.enter()?;
        let _choosing = unlocked.choosing.lock().unwrap_or_else(PoisonError::into_inner);
        let old = unlocked.policy.read_audit();
        let changed = self.administer(credential.into(), read_audit_draft(old, choice), |unlocked| {
            // No read is answered early between the two choices: after a crash, the stored one must be the one that held.
            unlocked.committer.choose(ReadAudit::Durable);
            Ok(PolicyRow::ReadAudit(choice))
        });
        self.follow(&unlocked, unlocked.policy.read_audit())?;
        changed
    }

    /// What holds for all tokens of this vault.
    ///
    /// # Errors
    /// [`Error::Sealed`].
    pub fn access_rules(&self) -> Result<AccessRules, Error> {
        Ok(self.0.gate.enter()?.policy.rules())
    }

    /// Sets what holds for all tokens, at the next call of open sessions and after every later opening. Asks for a credential
    /// of the vault, as it can take away what protects charts. An entry of the log has the new rules.
    ///
    /// # Errors
    /// [`Error::Unlock`] when the credential does not open the vault, [`Error::Sealed`], [`Error::AuditUnavailable`].
    pub fn set_access_rules<'c>(&self, rules: AccessRules, credential: impl Into<Credential<'c>>) -> Result<(), Error> {
        let mut draft = Draft::new(AuditEvent::AccessRulesChanged, Outcome::Allowed);
        draft.fields.detail = Some(rules.told());
        self.administer(credential.into(), draft, |_| Ok(PolicyRow::Rules(rules)))
    }

    /// Changes the policy if the credential opens the vault; logs it either way.
    fn administer(
        &self,
        credential: Credential<'_>,
        draft: Draft,
        row: impl FnOnce(&Unlocked) -> Result<PolicyRow, Error>,
    ) -> Result<(), Error> {
        operate(draft.fields.event, || {
            let unlocked = self.0.gate.enter()?;
            self.confirm_and_keep(&unlocked, credential, draft, row)
        })
    }

    fn confirm_and_keep(
        &self,
        unlocked: &Unlocked,
        credential: Credential<'_>,
        mut draft: Draft,
        row: impl FnOnce(&Unlocked) -> Result<PolicyRow, Error>,
    ) -> Result<(), Error> {
        match self.confirm(unlocked, credential).and_then(|()| row(unlocked)) {
            Ok(row) => self.keep(unlocked, row, draft),
            Err(error) => {
                draft.fields.outcome = Outcome::Denied;
                draft.fields.detail = Some(error.word().to_owned());
                unlocked.commit(Vec::new(), vec![draft])?;
                Err(error)
            }
        }
    }

    /// Whether a credential opens this very vault. The header is read again from disk, where somebody may have put one
    /// with a credential of their own, or an older one with a slot that was removed; so what it opens has to be the keys in
    /// use, and not older than the header in force.
    fn confirm(&self, unlocked: &Unlocked, credential: Credential<'_>) -> Result<(), Error> {
        let held = unlocked.header.lock().unwrap_or_else(PoisonError::into_inner).generation;
        let same = self.reopen(unlocked, held, credential).map(drop);
        wipe_stack();
        same
    }

    /// Makes a record type known and proves with a sample that its values come back whole, so that a type which cannot
    /// be read back is found at start and not in the clinic. Also finds types of the program that give a version of the
    /// kind, back to the oldest, another shape. Putting does the same with the first value of a type.
    ///
    /// # Errors
    /// [`Error::Encode`] when the sample does not come back whole or a version has two shapes, [`Error::Sealed`], [`Error::AuditUnavailable`].
    pub fn register<T: Record>(&self, sample: &T) -> Result<(), Error> {
        record::prove_round_trip(sample)?;
        let unlocked = self.0.gate.enter()?;
        unlocked.types().admit::<T>()?;
        let kind = Kind::of::<T>();
        if unlocked.knows(&kind) {
            return Ok(());
        }
        let mut draft = Draft::new(AuditEvent::KindRegistered, Outcome::Allowed);
        draft.fields.kind = Some(kind.id());
        operate(draft.fields.event, || self.keep(&unlocked, PolicyRow::Kind { kind }, draft))
    }

    /// Makes a policy row durable with its entry, then takes it in force; one after the other, so that what is in force is
    /// what stands there last.
    fn keep(&self, unlocked: &Unlocked, row: PolicyRow, draft: Draft) -> Result<(), Error> {
        let _held = unlocked.stripes.write(&[Stripe::Policy]);
        unlocked.committer.commit(vec![unlocked.policy_row(&row)?], vec![draft])?;
        unlocked.policy.apply(row);
        Ok(())
    }

    /// Makes the trees durable up to now, so that opening after a crash has nothing older to bring over. Happens by itself
    /// now and then; takes up to a second.
    ///
    /// # Errors
    /// [`Error::Storage`] when it fails; what was acknowledged is safe in the journal all the same. [`Error::Sealed`].
    pub fn checkpoint(&self) -> Result<(), Error> {
        observe::operation("checkpoint", Action::Operate.word(), || {
            let unlocked = self.0.gate.enter()?;
            unlocked.committer.flush()?;
            unlocked.committer.settle();
            Ok(unlocked.committer.storage().checkpoint()?)
        })
    }
}

/// An operation on the vault as a whole, as operators see it.
fn operate<T>(event: AuditEvent, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    observe::operation(event.word(), Action::Operate.word(), work)
}

fn read_audit_draft(old: ReadAudit, new: ReadAudit) -> Draft {
    let mut draft = Draft::new(AuditEvent::ReadAuditChanged, Outcome::Allowed);
    draft.fields.detail = Some(format!("from {old} to {new}"));
    draft
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("id", &self.0.id).field("home", &self.0.home).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
