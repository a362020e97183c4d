//! Rows sealed anew under the keys and the suite in force. What they say does not change.

use super::{Chart, Unlocked};
use crate::crypto::seal::Sealer;
use crate::error::Error;
use crate::format::envelope::{self, Place};
use crate::format::keys::{PatientKey, RecordKey, Tree};
use crate::ids::CompartmentId;
use crate::storage::Bytes;

/// What became of a row.
pub(crate) enum Renewed {
    /// It is sealed as new ones are.
    Current,
    /// What is to take its place.
    Anew(Bytes),
    /// It does not open, so it stays as it is, and needs the key that it names.
    Unreadable,
}

/// One chart's sealer of an epoch that does not seal any more, so that it is derived once for all its versions of a compartment or of none.
#[derive(Default)]
pub(crate) struct OlderSealer(Option<(u32, Option<CompartmentId>, Sealer)>);

impl Unlocked {
    /// One version of a record of this chart, which has to be up to date.
    pub(crate) fn renew_record(
        &self,
        chart: &Chart,
        older: &mut OlderSealer,
        key: &[u8],
        value: &[u8],
    ) -> Result<Renewed, Error> {
        let (Ok(key), Ok((head, sealed))) = (RecordKey::from_bytes(key), envelope::parse(value)) else {
            return Ok(Renewed::Unreadable);
        };
        let of_epoch = head.epoch == chart.epoch();
        if of_epoch && head.suite == self.suite() {
            return Ok(Renewed::Current);
        }
        let compartment = chart.compartment(&key.kind_tag);
        if !of_epoch && older.0.as_ref().is_none_or(|(epoch, of, _)| (*epoch, *of) != (head.epoch, compartment)) {
            let sealer = chart.sealer_of(head.epoch, compartment);
            older.0 = sealer.map(|sealer| (head.epoch, compartment, sealer));
        }
        let in_force = of_epoch.then(|| chart.sealer(&key.kind_tag));
        let sealer = in_force.or_else(|| older.0.as_ref().map(|(.., sealer)| sealer));
        let bytes = key.to_bytes();
        let place = Place { vault: self.vault, tree: Tree::Records, key: &bytes };
        let opened = sealer.map(|sealer| envelope::open_sealed(sealer, head, place, sealed));
        match opened {
            Some(Ok(body)) if head.generation == chart.generation => {
                Ok(self.record_row(chart, key, &body)?.value.map_or(Renewed::Unreadable, Renewed::Anew))
            }
            _ => Ok(Renewed::Unreadable),
        }
    }

    /// A patient's secret.
    pub(crate) fn renew_patient(&self, key: &[u8], value: &[u8]) -> Result<Renewed, Error> {
        let (Ok(key), Ok((head, _))) = (PatientKey::from_bytes(key), envelope::parse(value)) else {
            return Ok(Renewed::Unreadable);
        };
        let (keyring, suite) = (self.keyring(), self.suite());
        if head.epoch == keyring.newest_wrap_sealer().0 && head.suite == suite {
            return Ok(Renewed::Current);
        }
        let Ok((patient, secret)) = keyring.open_patient_secret(self.vault, key, value) else {
            return Ok(Renewed::Unreadable);
        };
        let sealed = keyring.seal_patient_secret(self.vault, suite, key, patient, &secret)?;
        Ok(Renewed::Anew(sealed))
    }

    /// A row of a tree that is sealed under one key which is never rotated: only the suite can be another.
    pub(crate) fn renew_other(&self, tree: Tree, key: &[u8], value: &[u8]) -> Result<Renewed, Error> {
        let Ok((head, _)) = envelope::parse(value) else { return Ok(Renewed::Unreadable) };
        if head.suite == self.suite() {
            return Ok(Renewed::Current);
        }
        let keyring = self.keyring();
        let sealer = if tree == Tree::Policy { keyring.policy_sealer() } else { keyring.lookup_sealer() };
        let Ok(body) = self.open_row(sealer, tree, key, value, "row") else { return Ok(Renewed::Unreadable) };
        let row = self.sealed_row(sealer, (head.epoch, head.generation), tree, key, &body)?;
        Ok(row.value.map_or(Renewed::Unreadable, Renewed::Anew))
    }
}
