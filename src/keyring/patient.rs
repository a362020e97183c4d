//! Patients' erasable secrets, under the wrap keys.

use std::sync::Arc;

use super::Keyring;
use crate::bytes::Put;
use crate::crypto::aead::Suite;
use crate::crypto::kdf::PatientSecret;
use crate::crypto::seal::SealError;
use crate::crypto::{RandomFailed, random};
use crate::format::ParseError;
use crate::format::envelope::{self, EnvelopeError, EnvelopeHead, Place};
use crate::format::keys::{PatientKey, Tree};
use crate::ids::{PatientId, VaultId};
use crate::secret::{Key, Secret, SecretBytes};

/// A new patient's secret.
pub(crate) fn new_secret() -> Result<PatientSecret, RandomFailed> {
    Ok(Key::new(random::secret()?))
}

impl Keyring {
    /// The row of tree `patients` for a patient's secret, sealed under the newest wrap key.
    pub(crate) fn seal_patient_secret(
        &self,
        vault: VaultId,
        suite: Suite,
        key: PatientKey,
        patient: PatientId,
        secret: &PatientSecret,
    ) -> Result<Arc<[u8]>, SealError> {
        let (epoch, sealer) = self.newest_wrap_sealer();
        let head = EnvelopeHead { suite, epoch, generation: key.generation };
        let storage_key = key.to_bytes();
        let mut body = SecretBytes::new(Vec::with_capacity(48));
        body.put(secret.expose());
        body.put(patient.as_bytes());
        envelope::seal_value(sealer, head, Place { vault, tree: Tree::Patients, key: &storage_key }, &body)
    }

    /// A patient and the secret out of its row.
    pub(crate) fn open_patient_secret(
        &self,
        vault: VaultId,
        key: PatientKey,
        row: &[u8],
    ) -> Result<(PatientId, PatientSecret), EnvelopeError> {
        let (head, sealed) = envelope::parse(row)?;
        if head.generation != key.generation {
            return Err(ParseError::BadValue { field: "generation", offset: 8 }.into());
        }
        let sealer = self.wrap_sealer(head.epoch).ok_or(EnvelopeError::DoesNotOpen)?;
        let storage_key = key.to_bytes();
        let place = Place { vault, tree: Tree::Patients, key: &storage_key };
        let body = envelope::open_sealed(sealer, head, place, sealed)?;
        let (secret, patient) = body.split_first_chunk::<32>().ok_or(EnvelopeError::DoesNotOpen)?;
        let patient = PatientId::from_bytes(patient.try_into().map_err(|_| EnvelopeError::DoesNotOpen)?);
        // The tag in the key is this patient's, or the row was made for someone else.
        if self.patient_tag(patient) != key.patient_tag {
            return Err(EnvelopeError::DoesNotOpen);
        }
        Secret::from_slice(secret).map(|secret| (patient, Key::new(secret))).ok_or(EnvelopeError::DoesNotOpen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENT: PatientId = PatientId::from_bytes([1; 16]);
    const VAULT: VaultId = VaultId::from_bytes([0xA1; 16]);
    const SUITE: Suite = Suite::ChaCha20Poly1305;

    #[test]
    fn a_secret_comes_back_and_only_in_its_own_place() {
        let keyring = Keyring::generate().unwrap();
        let patient_tag = keyring.patient_tag(PATIENT);
        let key = PatientKey { patient_tag, generation: 2 };
        let secret = new_secret().unwrap();
        let row = keyring.seal_patient_secret(VAULT, SUITE, key, PATIENT, &secret).unwrap();
        let (patient, opened) = keyring.open_patient_secret(VAULT, key, &row).unwrap();
        assert_eq!((patient, opened.expose()), (PATIENT, secret.expose()));
        let refused = |keyring: &Keyring, vault, key| keyring.open_patient_secret(vault, key, &row).map(|_| ());
        let other_patient = PatientKey { patient_tag: [9; 16], ..key };
        let does_not_open = Err(EnvelopeError::DoesNotOpen);
        assert_eq!(refused(&keyring, VAULT, other_patient), does_not_open);
        assert_eq!(refused(&keyring, VaultId::from_bytes([0xA2; 16]), key), does_not_open);
        assert_eq!(refused(&Keyring::generate().unwrap(), VAULT, key), does_not_open);
        let other_generation = refused(&keyring, VAULT, PatientKey { generation: 3, ..key });
        let named = ParseError::BadValue { field: "generation", offset: 8 };
        assert_eq!(other_generation, Err(EnvelopeError::Malformed(named)));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_of_a_sealed_secret_is_refused() {
        let keyring = Keyring::generate().unwrap();
        let key = PatientKey { patient_tag: keyring.patient_tag(PATIENT), generation: 1 };
        let row = keyring.seal_patient_secret(VAULT, SUITE, key, PATIENT, &new_secret().unwrap()).unwrap();
        for bit in 0..row.len() * 8 {
            let mut flipped = row.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(keyring.open_patient_secret(VAULT, key, &flipped).is_err(), "bit {bit}");
        }
        for len in 0..row.len() {
            assert!(keyring.open_patient_secret(VAULT, key, &row[..len]).is_err(), "length {len}");
        }
    }
}
