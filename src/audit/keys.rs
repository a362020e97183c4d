//! Keys in use for the log, with everything that does not depend on an entry derived once.

use crate::crypto::hash::{self, HmacKey, Prk};
use crate::crypto::kdf::{self, AuditKey, PatientSecret};
use crate::crypto::seal::{FLOOR_KEY, Sealer};
use crate::ids::{KindId, PatientId};
use crate::secret::Secret;

/// The key of one epoch of entries, with everything that does not depend on an entry derived once.
pub(super) struct EpochKeys {
    epoch: u32,
    key: AuditKey,
    prk: Prk,
    hedge: HmacKey,
}

impl EpochKeys {
    fn new(epoch: u32, key: AuditKey) -> Self {
        let prk = Prk::from_key(key.expose());
        let hedge = kdf::audit_hedge(&key);
        Self { epoch, key, prk, hedge }
    }

    /// The entry key `EK` of the entry with these first 94 bytes. It opens that entry and no other.
    pub(super) fn entry_key(&self, bound: &[&[u8]]) -> Secret<32> {
        kdf::audit_entry(&self.prk, &hash::sha256(bound))
    }
}

/// The keys of a log: of the epoch that seals, and of others, which open what was sealed under them. Wiped on drop.
pub(crate) struct AuditKeys {
    sealing: EpochKeys,
    others: Vec<EpochKeys>,
}

impl AuditKeys {
    /// One epoch, which seals.
    pub(crate) fn new(epoch: u32, key: AuditKey) -> Self {
        Self { sealing: EpochKeys::new(epoch, key), others: Vec::new() }
    }

    /// Another epoch beside these, which does not seal.
    pub(crate) fn and(mut self, epoch: u32, key: AuditKey) -> Self {
        self.others.push(EpochKeys::new(epoch, key));
        self
    }

    /// The epoch that seals.
    pub(crate) const fn epoch(&self) -> u32 {
        self.sealing.epoch
    }

    /// The keys that an entry says it was sealed under.
    pub(super) fn of(&self, epoch: u32) -> Option<&EpochKeys> {
        self.all().find(|held| held.epoch == epoch)
    }

    fn all(&self) -> impl Iterator<Item = &EpochKeys> {
        [&self.sealing].into_iter().chain(&self.others)
    }

    /// What seals blocks about the patient who has this secret, in the epoch that seals and in those that follow it.
    pub(crate) fn subject(&self, secret: &PatientSecret) -> SubjectKey {
        SubjectKey { secret: Some(secret.duplicate()), ..self.subject_key(&self.sealing, secret) }
    }

    /// What opens blocks about that patient in entries of an epoch; `None` where its key is not held.
    pub(crate) fn subject_in(&self, epoch: u32, secret: &PatientSecret) -> Option<SubjectKey> {
        self.of(epoch).map(|held| self.subject_key(held, secret))
    }

    /// The same patient's key in the epoch that seals now.
    pub(super) fn subject_again(&self, key: &SubjectKey) -> Option<SubjectKey> {
        key.secret.as_ref().map(|secret| self.subject(secret))
    }

    fn subject_key(&self, of: &EpochKeys, secret: &PatientSecret) -> SubjectKey {
        let prk = kdf::subject_prk(&of.key, secret);
        // Of the oldest epoch, whichever seals: a version has one tag, whenever it is written or compared.
        let first = self.all().min_by_key(|held| held.epoch).filter(|first| first.epoch != of.epoch);
        let version =
            kdf::version_mac(first.map(|first| kdf::subject_prk(&first.key, secret)).as_ref().unwrap_or(&prk));
        let sealer = Sealer::new(prk, kdf::SEAL_SUBJECT, FLOOR_KEY);
        SubjectKey { epoch: of.epoch, version, sealer, secret: None }
    }

    /// `HMAC(hedge key, random32 ‖ front ‖ padded payload)[..16]`.
    pub(super) fn salt(&self, random: &[u8; 32], front: &[u8], padded: &[u8]) -> [u8; 16] {
        hash::truncate(&self.sealing.hedge.tag(&[random, front, padded]))
    }

    /// The entry key of an entry about to be sealed; see [`EpochKeys::entry_key`].
    pub(super) fn entry_key(&self, bound: &[&[u8]]) -> Secret<32> {
        self.sealing.entry_key(bound)
    }
}

/// Seals what the log says about one patient, under the epoch's key and the patient's erasable secret. Wiped on drop.
pub(crate) struct SubjectKey {
    epoch: u32,
    pub(super) sealer: Sealer,
    version: HmacKey,
    /// Where it seals: an entry may find its place only after the next epoch has begun.
    secret: Option<PatientSecret>,
}

impl SubjectKey {
    /// Whether it was made from `keys`; if not, an entry under `keys` cannot hold its blocks.
    pub(super) const fn belongs_to(&self, keys: &AuditKeys) -> bool {
        self.epoch == keys.epoch()
    }

    /// Ties an entry to what a version of a record said, also after it was sealed again under another key:
    /// `HMAC(version key, PatientId ‖ kind id ‖ number u64 ‖ version u32 ‖ body)[..16]`.
    pub(crate) fn version_tag(
        &self,
        patient: PatientId,
        kind: KindId,
        number: u64,
        version: u32,
        body: &[u8],
    ) -> [u8; 16] {
        hash::truncate(&self.version.tag(&[
            patient.as_bytes(),
            kind.as_bytes(),
            &number.to_be_bytes(),
            &version.to_be_bytes(),
            body,
        ]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Key;

    fn keys(byte: u8) -> AuditKeys {
        AuditKeys::new(1, Key::new(Secret::take(&mut [byte; 32])))
    }

    #[test]
    fn a_version_tag_depends_on_each_part_and_on_both_keys() {
        let subject = |audit, patient| keys(audit).subject(&Key::new(Secret::take(&mut [patient; 32])));
        let (patient, kind) = (PatientId::from_bytes([1; 16]), KindId::from_bytes([2; 16]));
        let tag = subject(1, 1).version_tag(patient, kind, 3, 4, b"body");
        assert_eq!(tag, subject(1, 1).version_tag(patient, kind, 3, 4, b"body"));
        assert_ne!(tag, subject(2, 1).version_tag(patient, kind, 3, 4, b"body"));
        assert_ne!(tag, subject(1, 2).version_tag(patient, kind, 3, 4, b"body"));
        assert_ne!(tag, subject(1, 1).version_tag(PatientId::from_bytes([9; 16]), kind, 3, 4, b"body"));
        assert_ne!(tag, subject(1, 1).version_tag(patient, KindId::from_bytes([9; 16]), 3, 4, b"body"));
        assert_ne!(tag, subject(1, 1).version_tag(patient, kind, 9, 4, b"body"));
        assert_ne!(tag, subject(1, 1).version_tag(patient, kind, 3, 9, b"body"));
        assert_ne!(tag, subject(1, 1).version_tag(patient, kind, 3, 4, b"bode"));
    }
}
