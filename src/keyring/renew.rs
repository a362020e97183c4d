//! Keyrings that differ from the one in force by a key, before and after a rotation.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Keyring;
use crate::audit::AuditKeys;
use crate::crypto::RandomFailed;
use crate::format::keyring::KeyMaterial;
use crate::ids::{CompartmentId, KindId};

impl Keyring {
    /// Whether both are of one vault, maybe before and after a rotation.
    pub(crate) fn agrees(&self, other: &Self) -> bool {
        self.keys.agrees(&other.keys)
    }

    /// A second copy, to be changed.
    pub(crate) fn duplicate(&self) -> Self {
        let (audit, kept_apart) = (Arc::clone(&self.audit), Arc::clone(&self.kept_apart));
        Self { sealing: self.sealing, audit, kept_apart, ..Self::new(self.keys.duplicate()) }
    }

    /// This one, sealing records under a data epoch that it holds.
    pub(crate) fn sealing_under(self, epoch: u32) -> Option<Self> {
        self.keys.data.get(epoch)?;
        Some(Self { sealing: epoch, ..self })
    }

    /// This one, sealing the log under an audit epoch that it holds.
    pub(crate) fn auditing_under(self, epoch: u32) -> Option<Self> {
        let audit = Arc::new(self.audit_keys_under(epoch)?);
        Some(Self { audit, ..self })
    }

    /// The keys of the log, sealing under an epoch that is held.
    pub(crate) fn audit_keys_under(&self, epoch: u32) -> Option<AuditKeys> {
        self.keys.audit.get(epoch)?;
        Some(audit_keys(&self.keys, epoch))
    }

    /// With a new audit key, which does not seal yet. `None` where no more keys fit.
    pub(crate) fn with_new_audit_key(&self) -> Result<Option<Self>, RandomFailed> {
        let Some(audit) = self.keys.audit.with_new()? else { return Ok(None) };
        Ok(self.of(KeyMaterial { audit, ..self.keys.duplicate() }))
    }

    /// The audit epochs that are held, ascending.
    pub(crate) fn audit_epochs(&self) -> Vec<u32> {
        self.keys.audit.iter().map(|held| held.epoch).collect()
    }

    /// The newest audit epoch that is held, whether it seals yet or not.
    pub(crate) const fn newest_audit_epoch(&self) -> u32 {
        self.keys.audit.newest().epoch
    }

    /// Whether an audit key is held that does not seal yet.
    pub(crate) fn has_waiting_audit_key(&self) -> bool {
        self.newest_audit_epoch() != self.audit.epoch()
    }

    /// With the key of a new compartment. `None` where there is one of this id, or no more keys fit.
    pub(crate) fn with_new_compartment(&self, id: CompartmentId) -> Result<Option<Self>, RandomFailed> {
        let Some(compartments) = self.keys.compartments.with_new(id)? else { return Ok(None) };
        Ok(self.of(KeyMaterial { compartments, ..self.keys.duplicate() }))
    }

    /// Whether the key of a compartment is held.
    pub(crate) fn has_compartment(&self, id: CompartmentId) -> bool {
        self.keys.compartments.get(id).is_some()
    }

    /// This one, with kinds kept in compartments. `None` where the key of one is not held.
    pub(crate) fn keeping_apart(self, kinds: BTreeMap<KindId, CompartmentId>) -> Option<Self> {
        let held = kinds.values().all(|id| self.has_compartment(*id));
        held.then(|| Self { kept_apart: Arc::new(kinds), ..self })
    }

    /// With a new data key, which does not seal yet. `None` where no more keys fit.
    pub(crate) fn with_new_data_key(&self) -> Result<Option<Self>, RandomFailed> {
        let Some(data) = self.keys.data.with_new()? else { return Ok(None) };
        Ok(self.of(KeyMaterial { data, ..self.keys.duplicate() }))
    }

    /// With a new wrap key, which seals patients' secrets from then on. `None` where no more keys fit.
    pub(crate) fn with_new_wrap_key(&self) -> Result<Option<Self>, RandomFailed> {
        let Some(wrap) = self.keys.wrap.with_new()? else { return Ok(None) };
        Ok(self.of(KeyMaterial { wrap, ..self.keys.duplicate() }))
    }

    /// Without the data keys before the one that seals. One that is to seal next stays.
    pub(crate) fn without_older_data_keys(&self) -> Option<Self> {
        let data = self.keys.data.only(|epoch| epoch >= self.sealing)?;
        self.of(KeyMaterial { data, ..self.keys.duplicate() })
    }

    /// Without the wrap keys before the newest.
    pub(crate) fn without_older_wrap_keys(&self) -> Option<Self> {
        let newest = self.keys.wrap.newest().epoch;
        let wrap = self.keys.wrap.only(|epoch| epoch == newest)?;
        self.of(KeyMaterial { wrap, ..self.keys.duplicate() })
    }

    /// The newest data epoch that is held, whether it seals yet or not.
    pub(crate) const fn newest_data_epoch(&self) -> u32 {
        self.keys.data.newest().epoch
    }

    /// Whether a data key is held that does not seal yet.
    pub(crate) const fn has_waiting_data_key(&self) -> bool {
        self.newest_data_epoch() != self.sealing
    }

    /// The data epochs that are held, ascending.
    pub(crate) fn data_epochs(&self) -> Vec<u32> {
        self.keys.data.iter().map(|held| held.epoch).collect()
    }

    /// The wrap epochs that are held, ascending. The last one seals.
    pub(crate) fn wrap_epochs(&self) -> Vec<u32> {
        self.keys.wrap.iter().map(|held| held.epoch).collect()
    }

    /// Other keys, with the epochs that seal here.
    fn of(&self, keys: KeyMaterial) -> Option<Self> {
        let of = Self::new(keys).sealing_under(self.sealing)?.auditing_under(self.audit.epoch())?;
        Some(Self { kept_apart: Arc::clone(&self.kept_apart), ..of })
    }
}

/// The keys of the log, of which that of the epoch seals.
pub(super) fn audit_keys(keys: &KeyMaterial, epoch: u32) -> AuditKeys {
    let newest = keys.audit.newest();
    let key = keys.audit.get(epoch).unwrap_or(&newest.key);
    let others = keys.audit.iter().filter(|held| held.epoch != epoch);
    others.fold(AuditKeys::new(epoch, key.duplicate()), |keys, held| keys.and(held.epoch, held.key.duplicate()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::kdf::PatientSecret;
    use crate::keyring::new_patient_secret;

    fn secret() -> PatientSecret {
        new_patient_secret().unwrap()
    }

    #[test]
    fn a_new_data_key_opens_and_does_not_seal_before_it_is_put_in_force() {
        let old = Keyring::generate().unwrap();
        let grown = old.with_new_data_key().unwrap().unwrap();
        assert_eq!((grown.data_epochs(), grown.data_epoch()), (vec![1, 2], 1));
        assert!(grown.agrees(&old) && grown.record_sealer(2, &secret(), None).is_some());
        let grown = grown.sealing_under(2).unwrap();
        assert_eq!(grown.data_epoch(), 2);
        let left = grown.without_older_data_keys().unwrap();
        assert_eq!((left.data_epochs(), left.data_epoch()), (vec![2], 2));
        assert!(left.record_sealer(1, &secret(), None).is_none() && left.agrees(&grown));
        assert!(!left.agrees(&old), "no data key in common");
        assert!(left.sealing_under(1).is_none());
    }

    #[test]
    fn a_data_key_that_waits_is_not_dropped_with_the_older_ones() {
        let waiting = Keyring::generate().unwrap().with_new_data_key().unwrap().unwrap();
        assert_eq!(waiting.without_older_data_keys().unwrap().data_epochs(), [1, 2]);
    }

    #[test]
    fn a_new_audit_key_opens_and_does_not_seal_before_it_is_put_in_force_and_the_older_one_stays() {
        let old = Keyring::generate().unwrap();
        let grown = old.with_new_audit_key().unwrap().unwrap();
        assert_eq!((grown.audit_epochs(), grown.audit().epoch()), (vec![1, 2], 1));
        assert!(grown.has_waiting_audit_key() && grown.agrees(&old));
        assert!(grown.audit().subject_in(2, &secret()).is_some());
        let turned = grown.auditing_under(2).unwrap();
        assert!(turned.audit().epoch() == 2 && !turned.has_waiting_audit_key());
        assert!(turned.audit().subject_in(1, &secret()).is_some());
        let later = turned.with_new_data_key().unwrap().unwrap();
        assert_eq!((later.audit().epoch(), later.duplicate().audit().epoch()), (2, 2));
        assert!(later.auditing_under(3).is_none());
    }

    #[test]
    fn a_new_wrap_key_seals_at_once_and_the_older_one_opens_until_it_is_dropped() {
        let old = Keyring::generate().unwrap();
        let grown = old.with_new_wrap_key().unwrap().unwrap();
        assert_eq!((grown.newest_wrap_sealer().0, grown.wrap_epochs()), (2, vec![1, 2]));
        assert!(grown.wrap_sealer(1).is_some());
        let left = grown.without_older_wrap_keys().unwrap();
        assert_eq!((left.wrap_epochs(), left.data_epoch()), (vec![2], 1));
        assert!(left.wrap_sealer(1).is_none());
    }
}
