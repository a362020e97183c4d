//! Erasing patients, so that nobody reads anything of them any more: not with the vault's keys, and not from old copies of
//! what this vault holds.
//!
//! One commit destroys the patient's secret and enters it in the ledger; from then on the chart is gone. What follows makes
//! it final: a new wrap key, under which all other patients' secrets are sealed anew, so that no key of the vault opens a
//! copy of the old secret in the journal, in a tree or in a backup; then the rows go, and where that was asked for the bytes
//! as well. Each step is durable before the next, and whatever is interrupted is gone on with by the next unlock.

mod finish;
mod ledger;
mod report;

use super::rotate::rotating;
use super::{Vault, operate};
use crate::audit::AuditEvent;
use crate::error::Error;
use crate::ids::PatientId;
use crate::keyring::Credential;
use crate::policy::{Erasure, MAX_GROUND};
use crate::progress::OnProgress;
use crate::secret::wipe_stack;
use crate::session::{Ground, Session};

pub use ledger::{ErasureLedger, Replayed};
pub use report::{ErasureLevel, ErasureReport};

/// Why a patient is to be erased; see [`Vault::erase_patient`].
///
/// ```
/// use chartvault::ErasureOrder;
/// let order = ErasureOrder::new("the patient asked for it", "GDPR, article 17 (1) (b)").identity();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct ErasureOrder {
    reason: String,
    legal_ground: String,
    identity: bool,
}

impl ErasureOrder {
    /// Reason and legal ground, 1 to 256 bytes each. Both stay, in the log and in the ledger: let them name no person.
    pub fn new(reason: &str, legal_ground: &str) -> Self {
        Self { reason: reason.to_owned(), legal_ground: legal_ground.to_owned(), identity: false }
    }

    /// Also removes the sealed bytes, which nobody can open any more, and what still tells the patient's id (a random number
    /// to which identifiers led): the journal is compacted and the trees are built anew. Takes as long as that, and space for
    /// what is left of both once more. Without it the next compaction does the larger part.
    pub const fn identity(mut self) -> Self {
        self.identity = true;
        self
    }

    fn check(&self) -> Result<(), Error> {
        for (what, text) in [("reason", &self.reason), ("legal ground", &self.legal_ground)] {
            if text.trim().is_empty() || text.len() > MAX_GROUND {
                let len = if text.trim().is_empty() { 0 } else { text.len() };
                return Err(Error::InvalidText { what, len, least: 1, limit: MAX_GROUND });
            }
        }
        Ok(())
    }
}

impl Vault {
    /// Erases a patient: destroys the secret on which every key of the chart depends, changes the wrap key so that no older
    /// copy of that secret opens any more, and removes records and identifiers. Needs a session of this vault whose token has
    /// the erase action for this patient and all kinds, and a credential of the vault. Others go on working. It takes time in
    /// proportion to the patients of the vault, since all their secrets are sealed anew.
    ///
    /// From the moment at which the secret is gone every access answers [`Error::Erased`], identifiers lead to nobody, and
    /// the log tells what was done with the chart, but not any more with whose, nor with which records. An erasure that was
    /// begun is always finished: by this call, by the next unlock, or by [`Vault::finish_erasures`]. The same person is
    /// registered anew as another patient.
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let Clinic { vault, token, key, dir, .. } = Clinic::new();
    /// # let session = vault.session(&token, Purpose::Treatment)?;
    /// let mrn = Identifier::new("urn:mrn:clinic-a", "12345")?;
    /// let patient = session.register_patient([mrn.clone()])?;
    /// let id = session.put(patient, &Note { text: "penicillin: rash".into() })?;
    /// let order = ErasureOrder::new("the patient asked for it", "GDPR, article 17 (1) (b)");
    /// let report = vault.erase_patient(&session, patient, &order, &key, &mut |_| ())?;
    /// println!("{report}");
    /// assert!(matches!(session.get(id), Err(Error::Erased { .. })));
    /// assert_eq!(session.find_patient(&mrn)?, None);
    /// # drop(dir);
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    ///
    /// # Errors
    /// Nothing was erased: [`Error::Denied`], [`Error::LegalHold`], [`Error::Retained`], [`Error::FacilityChart`],
    /// [`Error::Erased`] (it was before), [`Error::NoSuchPatient`], [`Error::InvalidText`], [`Error::Unlock`] when the
    /// credential does not open the vault, [`Error::OtherVault`], [`Error::RotationUnderWay`], [`Error::DoubtfulReadOnly`].
    /// The chart is gone and the rest is to be finished: [`Error::ErasureUnfinished`], [`Error::Header`], [`Error::Storage`],
    /// [`Error::Sealed`] when the vault is closed meanwhile. Whichever it was, [`Vault::erasures`] says it.
    pub fn erase_patient<'c>(
        &self,
        session: &Session,
        patient: PatientId,
        order: &ErasureOrder,
        credential: impl Into<Credential<'c>>,
        mut progress: OnProgress<'_>,
    ) -> Result<ErasureReport, Error> {
        order.check()?;
        let credential = credential.into();
        if !session.is_of(&self.0.gate) {
            return Err(Error::OtherVault);
        }
        let unlocked = self.0.gate.enter()?;
        let _rotating = rotating(&unlocked)?;
        let ground = Ground { reason: &order.reason, legal_ground: &order.legal_ground, identity: order.identity };
        let begun = session.begin_erasure(patient, &ground, || self.confirm(&unlocked, credential));
        wipe_stack();
        let begun = begun?;
        unlocked.forget_patient(&begun.patient_tag);
        let finished = self.finish(&unlocked, credential, &mut progress);
        wipe_stack();
        Ok(ErasureReport::of(&begun, &finished?))
    }

    /// The erasure ledger: every erasure, unfinished ones included, in no order that means anything. Leaves no log entry: it
    /// names nobody.
    ///
    /// # Errors
    /// [`Error::Sealed`].
    pub fn erasures(&self) -> Result<Vec<Erasure>, Error> {
        Ok(self.0.gate.enter()?.policy.erasures())
    }

    /// Goes on with erasures that were interrupted; gives how many are finished by it. Unlocking does it, too.
    ///
    /// # Errors
    /// As [`Vault::erase_patient`], as far as it concerns the second half.
    pub fn finish_erasures<'c>(
        &self,
        credential: impl Into<Credential<'c>>,
        mut progress: OnProgress<'_>,
    ) -> Result<usize, Error> {
        let credential = credential.into();
        let finished = operate(AuditEvent::PatientErased, || {
            let unlocked = self.0.gate.enter()?;
            if unlocked.policy.erasures().iter().all(|erasure| erasure.finished.is_some()) {
                return Ok(0);
            }
            let _rotating = rotating(&unlocked)?;
            Ok(self.finish(&unlocked, credential, &mut progress)?.patients)
        });
        wipe_stack();
        finished
    }

    /// Part of unlocking: finishes what was interrupted. Where it cannot, the vault opens all the same: the charts are gone,
    /// and the ledger says what is still to be done. Only what stops the vault is an error.
    pub(in crate::vault) fn go_on_erasing(
        &self,
        credential: Credential<'_>,
        progress: OnProgress<'_>,
    ) -> Result<(), Error> {
        if self.erasures()?.iter().all(|erasure| erasure.finished.is_some()) {
            return Ok(());
        }
        let finished = self.finish_erasures(credential, progress);
        // Nobody else is inside: nothing was queued but by this.
        match self.0.gate.enter()?.committer.is_stopped() {
            true => finished.map(drop),
            false => Ok(()),
        }
    }
}
