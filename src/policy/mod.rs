//! Floor 6: what the vault trusts and knows. Held in memory while unlocked, kept in the tree `policy`.

mod erasure;
mod failures;
mod people;
mod principal;
mod recovery_code;
mod retention;
mod row;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

pub use erasure::Erasure;
pub(crate) use erasure::{MAX_GROUND, decode_ledger, encode_ledger};
pub(crate) use failures::Failures;
pub(crate) use people::Enrolment;
pub use principal::Disabled;
pub(crate) use principal::{MAX_DISABLED_REASON, MAX_DISPLAY_NAME, MAX_NAME, PrincipalRow, Totp};
pub use recovery_code::RecoveryCodes;
pub(crate) use recovery_code::hash_of_typed;
pub use retention::{LegalHold, Retention, RetentionOf};
pub(crate) use retention::{MAX_HOLD_REASON, MAX_RETAINED, RetentionRow};
pub(crate) use row::{DataKeyRow, PolicyRow};

#[cfg(test)]
pub(crate) use erasure::tests::ledger_of_the_page;

use crate::clock::Timestamp;
use crate::crypto::kdf;
use crate::format::doubt::DoubtMap;
use crate::ids::{AttesterId, IssuerId, KindId};
use crate::read_audit::ReadAudit;
use crate::record::Kind;
use people::People;

#[derive(Default)]
struct Known {
    issuers: HashMap<IssuerId, [u8; 32]>,
    attesters: HashMap<AttesterId, [u8; 32]>,
    kinds: BTreeMap<KindId, Kind>,
    clock_reset: Option<(Timestamp, Timestamp)>,
    read_audit: ReadAudit,
    doubt: Option<(Timestamp, Arc<DoubtMap>)>,
    /// The data epoch in force, and how far resealing has come.
    data_key: Option<DataKeyRow>,
    /// By number: when the slot was created, and when it last opened the vault.
    slot_uses: BTreeMap<u8, (Timestamp, Timestamp)>,
    /// The erasure ledger, by patient tag.
    erasures: BTreeMap<[u8; 16], Erasure>,
    people: People,
}

/// The policy in force.
#[derive(Default)]
pub(crate) struct Policy(RwLock<Known>);

impl Policy {
    /// Takes a row in force, once it is durable.
    pub(crate) fn apply(&self, row: PolicyRow) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match row {
            PolicyRow::Issuer { public, .. } => {
                known.issuers.insert(kdf::issuer_id(&public), public);
            }
            PolicyRow::Attester { public, .. } => {
                known.attesters.insert(kdf::attester_id(&public), public);
            }
            PolicyRow::Kind { kind } => {
                known.kinds.insert(kind.id(), kind);
            }
            PolicyRow::ClockReset { jumped_to, reset_to } => known.clock_reset = Some((jumped_to, reset_to)),
            PolicyRow::ReadAudit(choice) => known.read_audit = choice,
            PolicyRow::SlotUse { slot, created, used } => {
                known.slot_uses.insert(slot, (created, used));
            }
            PolicyRow::DataKey(row) => known.data_key = Some(row),
            PolicyRow::Doubt { salvaged_at, map } => known.doubt = Some((salvaged_at, Arc::new(map))),
            // One for each chart that is to be kept: read when it is asked for.
            PolicyRow::Retention(_) => {}
            PolicyRow::Principal(row) => known.people.apply(&row),
            PolicyRow::Failures(failures) => known.people.count(failures),
            PolicyRow::Erasure(row) => {
                known.erasures.insert(row.patient_tag, row);
            }
        }
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// When a slot, told from others of its number by its time of creation, last opened the vault.
    pub(crate) fn slot_use(&self, slot: u8, created: Timestamp) -> Option<Timestamp> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.slot_uses.get(&slot).filter(|(of, _)| *of == created).map(|(_, used)| *used)
    }

    /// From what time the clock was last set back, and to which.
    pub(crate) fn clock_reset(&self) -> Option<(Timestamp, Timestamp)> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clock_reset
    }

    /// The data epoch in force, and how far resealing has come, in a vault whose data key was ever rotated.
    pub(crate) fn data_key(&self) -> Option<DataKeyRow> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).data_key
    }

    /// When entries of reads become durable.
    pub(crate) fn read_audit(&self) -> ReadAudit {
        self.0.read().unwrap_or_else(PoisonError::into_inner).read_audit
    }

    /// When the vault was salvaged, and which of its buckets are in doubt since, if any are.
    pub(crate) fn doubt(&self) -> Option<(Timestamp, Arc<DoubtMap>)> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).doubt.clone()
    }

    /// The public key of a trusted issuer.
    pub(crate) fn issuer(&self, id: IssuerId) -> Option<[u8; 32]> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).issuers.get(&id).copied()
    }

    /// The public key of a trusted attester.
    pub(crate) fn attester(&self, id: AttesterId) -> Option<[u8; 32]> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).attesters.get(&id).copied()
    }

    /// The kind of an id, if it has been used in this vault.
    pub(crate) fn kind(&self, id: KindId) -> Option<Kind> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).kinds.get(&id).cloned()
    }

    /// All kinds that have been used in this vault.
    pub(crate) fn kinds(&self) -> Vec<Kind> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).kinds.values().cloned().collect()
    }

    /// When a patient was erased, if that was done.
    pub(crate) fn erased(&self, patient_tag: &[u8; 16]) -> Option<Timestamp> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.erasures.get(patient_tag).map(|erasure| erasure.begun)
    }

    /// Whether anybody was ever erased.
    pub(crate) fn has_erasures(&self) -> bool {
        !self.0.read().unwrap_or_else(PoisonError::into_inner).erasures.is_empty()
    }

    /// The erasure ledger, ascending by patient tag.
    pub(crate) fn erasures(&self) -> Vec<Erasure> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).erasures.values().cloned().collect()
    }
}
