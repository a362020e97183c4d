//! One entry for somebody without the vault: its key, and the proof that it is in the log.

use std::fmt;

use zeroize::Zeroizing;

use super::proofs::{InclusionProof, entry, inclusion};
use super::subjects::GivenOut;
use super::{AuditView, access};
use crate::audit::{AuditEvent, AuditFault, Checkpoint, EntryRef, FaultKind};
use crate::error::Error;
use crate::secret::Secret;
use crate::session::access::{Done, Hold};

/// Bytes of the longest reason.
const MAX_REASON: usize = 512;

/// An entry, the key that opens it and no other, and the proof that it is in the log of a checkpoint. The key opens what
/// the entry says apart from what it says about patients, which is sealed once more under keys of theirs.
pub struct Disclosure {
    /// The entry as it is stored (docs/format/audit.md).
    pub entry: Vec<u8>,
    /// That it is in the log.
    pub proof: InclusionProof,
    /// The checkpoint under which that is proved.
    pub checkpoint: Checkpoint,
    key: Secret<32>,
}

impl Disclosure {
    /// The entry's key `EK`, 32 bytes: whoever has it reads the entry.
    pub fn expose_key(&self) -> &[u8; 32] {
        self.key.expose()
    }

    /// What an entry says, as its receiver opens it: the payload of docs/format/audit.md. Nothing for entries that the key
    /// does not open, which are all but one.
    #[must_use]
    pub fn open(&self, entry: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        EntryRef::parse(entry).ok()?.open_with_entry_key(&self.key).ok()
    }
}

/// Why an entry is disclosed has to be said.
pub(super) fn checked_reason(reason: &str) -> Result<(), Error> {
    let blank = reason.trim().is_empty();
    if blank || reason.len() > MAX_REASON {
        let len = if blank { 0 } else { reason.len() };
        return Err(Error::InvalidText { what: "reason", len, least: 1, limit: MAX_REASON });
    }
    Ok(())
}

impl fmt::Debug for Disclosure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disclosure").field("seq", &self.proof.seq).finish_non_exhaustive()
    }
}

impl AuditView<'_> {
    /// Discloses one entry: whoever is given the answer can read it, and see that it is in the log of the checkpoint; of the
    /// other entries they learn nothing. The reason, 1 to 512 bytes that are not all blank, is logged with the number: say to
    /// whom as well. The log names the patients whom the entry is about, so that it stands in the
    /// [`access_report`](Self::access_report) and the [`accounting_of_disclosures`](Self::accounting_of_disclosures) of each.
    ///
    /// # Errors
    /// [`Error::InvalidText`] for a blank or too long reason, [`Error::LogProof`] as with [`AuditView::prove`],
    /// [`Error::Audit`] where the key is not there, and what [`Session`] lists.
    ///
    /// [`Session`]: crate::Session
    pub fn disclose(self, seq: u64, reason: &str, under: &Checkpoint) -> Result<Disclosure, Error> {
        let op = self.0.begin(access(AuditEvent::EntryDisclosed))?;
        op.run(Hold::Nothing, |op| {
            checked_reason(reason)?;
            let proof = inclusion(&op.unlocked, seq, under)?;
            let (entry, _) = entry(&op.unlocked, seq)?;
            let mut given_out = GivenOut::default();
            let key = given_out.key_of(&op.unlocked, seq, &entry)?;
            let disclosure = Disclosure { entry, proof, checkpoint: under.clone(), key };
            if disclosure.open(&disclosure.entry).is_none() {
                return Err(Error::from(AuditFault { seq, what: FaultKind::CannotOpen }).into());
            }
            let told = format!("entry {seq}: {reason}");
            let subjects = given_out.subjects(&op.unlocked)?;
            // Of one who was erased meanwhile the key opens nothing either.
            Ok(Done { detail: Some(told), leave_out: Some(|_, _| None), ..Done::read(disclosure, subjects) })
        })
    }
}
