//! The erasure ledger outside the vault, for whoever restores a backup: what it names has to be erased again.

use std::fmt;

use crate::audit::{AuditEvent, Draft, Outcome};
use crate::committer::Stripe;
use crate::error::Error;
use crate::format::ledger::{self, LedgerError};
use crate::ids::VaultId;
use crate::keyring::Credential;
use crate::policy::{Erasure, PolicyRow, decode_ledger, encode_ledger};
use crate::progress::OnProgress;
use crate::secret::wipe_stack;
use crate::unlocked::Unlocked;
use crate::vault::header::refused;
use crate::vault::rotate::rotating;
use crate::vault::{Vault, operate};

/// The erasure ledger of a vault as a file to keep beside its backups, sealed under a key of the vault
/// (docs/format/policy.md, "Erasure ledger"). Names nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct ErasureLedger(Vec<u8>);

impl ErasureLedger {
    /// From the bytes that were kept. What they say is verified when they are taken in.
    ///
    /// # Errors
    /// [`LedgerError`] when they do not have the form of a ledger that this version can read.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LedgerError> {
        ledger::parse(bytes)?;
        Ok(Self(bytes.to_vec()))
    }

    /// The bytes to keep.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The vault whose ledger it claims to be.
    ///
    /// # Errors
    /// [`LedgerError`], which [`ErasureLedger::from_bytes`] would have answered.
    pub fn vault(&self) -> Result<VaultId, LedgerError> {
        ledger::parse(&self.0).map(|sealed| sealed.vault)
    }

    pub(in crate::vault) fn seal(unlocked: &Unlocked, entries: &[Erasure]) -> Result<Self, Error> {
        let mut bytes = ledger::head(unlocked.suite(), unlocked.vault);
        let plaintext = encode_ledger(entries.iter());
        let sealed = unlocked.keyring().ledger_sealer().seal(unlocked.suite(), &bytes, &plaintext)?;
        bytes.extend_from_slice(&sealed);
        Ok(Self(bytes))
    }

    fn open(&self, unlocked: &Unlocked) -> Result<Vec<Erasure>, LedgerError> {
        let parsed = ledger::parse(&self.0)?;
        if parsed.vault != unlocked.vault {
            return Err(LedgerError::OtherVault { vault: parsed.vault });
        }
        let aad = ledger::head(parsed.suite, parsed.vault);
        let opened = unlocked.keyring().ledger_sealer().open(parsed.suite, &aad, parsed.sealed);
        decode_ledger(&opened.map_err(|_| LedgerError::DoesNotOpen)?).map_err(|_| LedgerError::DoesNotOpen)
    }
}

impl fmt::Debug for ErasureLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ErasureLedger({} bytes)", self.0.len())
    }
}

/// What taking in a ledger did; see [`Vault::replay_erasures`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replayed {
    /// Patients of this vault who were erased by it.
    pub erased: usize,
    /// Patients who were erased here already.
    pub known: usize,
    /// Patients whom this vault does not have: registered after the backup was made, say. Entered in its ledger all the same.
    pub absent: usize,
    /// Patients of this vault whose key the disk does not give: they are not erased. Check the vault, and replay again.
    pub unreadable: usize,
}

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { erased, known, absent, unreadable } = self;
        write!(f, "{erased} patients erased, {known} were erased before, {absent} are not in this vault")?;
        if *unreadable > 0 {
            write!(f, "; {unreadable} could not be erased, since the disk does not give their keys")?;
        }
        Ok(())
    }
}

impl Vault {
    /// The erasure ledger as bytes to keep beside backups: a backup that is restored knows nothing of what was erased since
    /// it was made. Leaves no log entry: it names nobody.
    ///
    /// # Errors
    /// [`Error::Sealed`], [`Error::Random`].
    pub fn export_erasures(&self) -> Result<ErasureLedger, Error> {
        let unlocked = self.0.gate.enter()?;
        ErasureLedger::seal(&unlocked, &unlocked.policy.erasures())
    }

    /// Erases again whom a ledger of this vault names: to be called after a backup was restored, before anybody works with
    /// it. Asks for a credential of the vault and for no token, since each of these erasures was decided before; holds and
    /// dates that the backup still has do not count. The log has an entry for each patient. Somebody whose key does not open
    /// any more is erased like the others.
    ///
    /// An older ledger of the same vault is taken as well, without a word: it erases fewer, and brings nobody back. Which is the
    /// newest only whoever keeps them knows.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let Clinic { vault, token, key, dir, .. } = Clinic::new();
    /// # let session = vault.session(&token, Purpose::Treatment)?;
    /// # let patient = session.register_patient([])?;
    /// # let order = ErasureOrder::new("the patient asked for it", "GDPR, article 17 (1) (b)");
    /// # vault.erase_patient(&session, patient, &order, &key, &mut |_| ())?;
    /// let kept = vault.export_erasures()?; // kept beside the backups, and replaced after each erasure
    /// // Here the vault that was restored would come.
    /// let ledger = ErasureLedger::from_bytes(kept.as_bytes())?;
    /// let replayed = vault.replay_erasures(&ledger, &key, &mut |_| ())?;
    /// assert_eq!((replayed.erased, replayed.known), (0, 1));
    /// # drop(dir);
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Ledger`] when it is not a ledger of this vault or was changed, [`Error::Unlock`] when the credential does not
    /// open the vault, otherwise as [`Vault::erase_patient`]. What was begun is finished as there.
    pub fn replay_erasures<'c>(
        &self,
        ledger: &ErasureLedger,
        credential: impl Into<Credential<'c>>,
        mut progress: OnProgress<'_>,
    ) -> Result<Replayed, Error> {
        let credential = credential.into();
        let replayed = operate(AuditEvent::ErasureBegun, || {
            let unlocked = self.0.gate.enter()?;
            let _rotating = rotating(&unlocked)?;
            let entries = ledger.open(&unlocked).map_err(Error::from);
            let entries = match entries.and_then(|entries| self.confirm(&unlocked, credential).map(|()| entries)) {
                Ok(entries) => entries,
                Err(error) => return Err(refused(&unlocked, AuditEvent::ErasureBegun, error)),
            };
            let mut replayed = Replayed::default();
            for entry in entries {
                self.replay(&unlocked, entry, &mut replayed)?;
            }
            if unlocked.policy.erasures().iter().any(|erasure| erasure.finished.is_none()) {
                self.finish(&unlocked, credential, &mut progress)?;
            }
            Ok(replayed)
        });
        wipe_stack();
        replayed
    }

    fn replay(&self, unlocked: &Unlocked, entry: Erasure, replayed: &mut Replayed) -> Result<(), Error> {
        let tag = entry.patient_tag;
        if unlocked.policy.erased(&tag).is_some() {
            replayed.known += 1;
            return Ok(());
        }
        let mut draft = Draft::new(AuditEvent::ErasureBegun, Outcome::Allowed);
        let queued = {
            let _held = unlocked.stripes.write(&[Stripe::chart(&tag), Stripe::Policy]);
            let chart = match unlocked.chart_of_tag(&tag) {
                // What does not open can go all the same.
                Err(Error::TamperedRow { .. }) => Some(None),
                Err(Error::Storage(error)) if error.is_of_one_value() => {
                    replayed.unreadable += 1;
                    return Ok(());
                }
                chart => chart?.map(Some),
            };
            let (rows, row) = match chart {
                Some(chart) => {
                    draft.subjects = chart.iter().map(|chart| chart.audited(Vec::new())).collect();
                    draft.fields.detail = Some(format!("replayed: {}; {}", entry.reason, entry.legal_ground));
                    let log_entries = unlocked.committer.storage().tally(&tag).saturating_add(1);
                    let erasure = Erasure { finished: None, log_entries, ..entry };
                    replayed.erased += 1;
                    (unlocked.rows_of_erasure(&erasure)?, PolicyRow::Erasure(erasure))
                }
                None => {
                    draft.fields.detail = Some("replayed: a patient whom this vault does not have".to_owned());
                    // Nothing is to be done here; where the ledger was written, it was.
                    let finished = entry.finished.or(Some(entry.begun));
                    let row = PolicyRow::Erasure(Erasure { finished, ..entry });
                    replayed.absent += 1;
                    (vec![unlocked.policy_row(&row)?], row)
                }
            };
            let queued = unlocked.committer.queue(rows, vec![draft])?;
            // Before the chart is let go.
            unlocked.policy.apply(row);
            queued
        };
        unlocked.committer.wait(queued)?;
        unlocked.forget_patient(&tag);
        Ok(())
    }
}
