//! The keys of one chart, ready for use.

use std::sync::{Arc, OnceLock};

use super::Unlocked;
use crate::audit::{AuditRecord, DraftSubject, SubjectKey};
use crate::committer::{Row, Stripe};
use crate::crypto::kdf::PatientSecret;
use crate::crypto::seal::Sealer;
use crate::error::Error;
use crate::format::envelope::{self, Place};
use crate::format::keys::{PatientKey, RecordKey, Tree};
use crate::ids::{CompartmentId, KindId, PatientId};
use crate::keyring::{self, Keyring};
use crate::record::{RecordRef, Version};
use crate::secret::SecretBytes;
use crate::storage::Scan;

/// The first generation of a patient's secret.
const FIRST_GENERATION: u32 = 1;

const TAMPERED: Error = Error::TamperedRow { what: "patient's key" };

/// A patient's chart with its key schedules done. Wiped on drop.
pub(crate) struct Chart {
    pub(crate) patient: PatientId,
    pub(crate) tag: [u8; 16],
    pub(crate) generation: u32,
    /// Seals what the log says about this patient.
    pub(crate) subject: Arc<SubjectKey>,
    /// The data epoch that `records` belongs to.
    epoch: u32,
    records: Sealer,
    /// Those of its records that are kept in compartments, by their kinds; made when the first is needed.
    kept_apart: OnceLock<Vec<KeptApart>>,
    /// For records of other data epochs.
    secret: PatientSecret,
    /// What was in force when these keys were derived: opens whatever stood in the chart then.
    keyring: Arc<Keyring>,
}

impl Chart {
    /// Whether its keys were derived from the keyring that is in force. Only then may it seal.
    pub(crate) fn is_up_to_date(&self, in_force: &Arc<Keyring>) -> bool {
        Arc::ptr_eq(&self.keyring, in_force)
    }

    /// The data epoch that seals its new records.
    pub(crate) const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Seals and opens its records of a kind.
    pub(crate) fn sealer(&self, kind_tag: &[u8; 8]) -> &Sealer {
        self.kept_apart(kind_tag).map_or(&self.records, |kept| &kept.sealer)
    }

    /// The compartment that a kind is kept in.
    pub(crate) fn compartment(&self, kind_tag: &[u8; 8]) -> Option<CompartmentId> {
        self.kept_apart(kind_tag).map(|kept| kept.compartment)
    }

    /// Opens records of another data epoch. `None` where its key is not held.
    pub(crate) fn sealer_of(&self, epoch: u32, compartment: Option<CompartmentId>) -> Option<Sealer> {
        self.keyring.record_sealer(epoch, &self.secret, compartment)
    }

    fn kept_apart(&self, kind_tag: &[u8; 8]) -> Option<&KeptApart> {
        let keyring = &self.keyring;
        if keyring.kept_apart().is_empty() {
            return None;
        }
        let one = |(kind, compartment): (&KindId, &CompartmentId)| {
            // The keyring has the key of each compartment that it knows kinds of.
            let sealer = keyring.record_sealer(self.epoch, &self.secret, Some(*compartment))?;
            let kind_tag = keyring.kind_tag(&self.tag, *kind);
            Some(KeptApart { kind_tag, compartment: *compartment, sealer })
        };
        let kept = self.kept_apart.get_or_init(|| keyring.kept_apart().iter().filter_map(one).collect());
        kept.iter().find(|kept| kept.kind_tag == *kind_tag)
    }

    /// This patient in an audit entry, with the records that were touched.
    pub(crate) fn audited(&self, records: Vec<AuditRecord>) -> DraftSubject {
        DraftSubject {
            patient: self.patient,
            patient_tag: self.tag,
            generation: self.generation,
            key: Arc::clone(&self.subject),
            records,
        }
    }
}

/// A kind of a chart that is kept in a compartment.
struct KeptApart {
    kind_tag: [u8; 8],
    compartment: CompartmentId,
    sealer: Sealer,
}

/// A patient's row, opened.
struct PatientRow {
    /// What opened it.
    keyring: Arc<Keyring>,
    key: PatientKey,
    patient: PatientId,
    secret: PatientSecret,
}

impl Unlocked {
    /// A new chart and the row that makes it.
    pub(crate) fn new_chart(&self, patient: PatientId) -> Result<(Chart, Row), Error> {
        let (secret, keyring) = (keyring::new_patient_secret()?, self.keyring());
        let key = PatientKey { patient_tag: keyring.patient_tag(patient), generation: FIRST_GENERATION };
        let value = keyring.seal_patient_secret(self.vault, self.suite(), key, patient, &secret)?;
        let row = Row::new(Tree::Patients, key.to_bytes().to_vec(), value);
        Ok((self.chart_of(keyring, patient, key, secret)?, row))
    }

    /// The chart of a patient, if there is one.
    pub(crate) fn find_chart(&self, patient: PatientId) -> Result<Option<Chart>, Error> {
        let Some(row) = self.patient_row(&self.keyring().patient_tag(patient))? else { return Ok(None) };
        if row.patient != patient {
            return Err(TAMPERED);
        }
        self.chart_of_row(row).map(Some)
    }

    /// The first chart behind a patient tag, in the order of tags, or the first of all: its tag and its patient.
    pub(crate) fn next_patient(&self, passed: Option<&[u8; 16]>) -> Result<Option<([u8; 16], PatientId)>, Error> {
        let mut passed = passed.copied();
        loop {
            // Behind all generations of that patient's secret.
            let after = passed.map(|tag| [&tag[..], &[0xFF; 4]].concat());
            let scan = Scan { prefix: &[], after: after.as_deref(), limit: 1 };
            let keys = self.committer.scan_keys(Tree::Patients, scan)?;
            let Some(key) = keys.first() else { return Ok(None) };
            let tag = PatientKey::from_bytes(key).map_err(|_| TAMPERED)?.patient_tag;
            if let Some(patient) = self.patient_unless_erased(&tag)? {
                return Ok(Some((tag, patient)));
            }
            passed = Some(tag);
        }
    }

    /// The patient behind a tag whose key was seen. `None` where they were erased since. Hold no stripe.
    pub(crate) fn patient_unless_erased(&self, tag: &[u8; 16]) -> Result<Option<PatientId>, Error> {
        if let Some(patient) = self.patient_of(tag)? {
            return Ok(Some(patient));
        }
        // Whoever erases shows the row gone before the ledger says so, and has the chart until both are done.
        let _settled = self.stripes.read(Stripe::chart(tag));
        self.policy.erased(tag).map_or(Err(TAMPERED), |_| Ok(None))
    }

    /// Opens a subject's key for reading the log's entries of an epoch. `None` where the patient is unknown or erased.
    pub(crate) fn subject_of(&self, epoch: u32, tag: &[u8; 16], generation: u32) -> Option<SubjectKey> {
        let row = self.patient_row(tag).ok()??;
        let of_generation = row.key.generation == generation;
        of_generation.then(|| row.keyring.audit().subject_in(epoch, &row.secret)).flatten()
    }

    /// The chart whose patient's key is this row.
    pub(crate) fn chart_at(&self, key: &[u8], value: &[u8]) -> Result<Chart, Error> {
        let key = PatientKey::from_bytes(key).map_err(|_| TAMPERED)?;
        let keyring = self.keyring();
        let (patient, secret) = keyring.open_patient_secret(self.vault, key, value).map_err(|_| TAMPERED)?;
        self.chart_of(keyring, patient, key, secret)
    }

    /// The chart behind a patient tag, if there is one.
    pub(crate) fn chart_of_tag(&self, tag: &[u8; 16]) -> Result<Option<Chart>, Error> {
        self.patient_row(tag)?.map(|row| self.chart_of_row(row)).transpose()
    }

    /// The patient behind a patient tag, if there is one.
    pub(crate) fn patient_of(&self, tag: &[u8; 16]) -> Result<Option<PatientId>, Error> {
        Ok(self.patient_row(tag)?.map(|row| row.patient))
    }

    fn patient_row(&self, tag: &[u8; 16]) -> Result<Option<PatientRow>, Error> {
        loop {
            let keyring = self.keyring();
            let rows = self.committer.scan(Tree::Patients, Scan { prefix: tag, after: None, limit: 1 })?;
            let Some((key, value)) = rows.into_iter().next() else { return Ok(None) };
            let key = PatientKey::from_bytes(&key).map_err(|_| TAMPERED)?;
            match keyring.open_patient_secret(self.vault, key, &value) {
                Ok((patient, secret)) => return Ok(Some(PatientRow { keyring, key, patient, secret })),
                Err(_) if Arc::ptr_eq(&keyring, &self.keyring()) => return Err(TAMPERED),
                // Wrapped anew meanwhile, under a key that this keyring has not got.
                Err(_) => {}
            }
        }
    }

    fn chart_of_row(&self, row: PatientRow) -> Result<Chart, Error> {
        let PatientRow { keyring, key, patient, secret } = row;
        self.chart_of(keyring, patient, key, secret)
    }

    fn chart_of(
        &self,
        keyring: Arc<Keyring>,
        patient: PatientId,
        key: PatientKey,
        secret: PatientSecret,
    ) -> Result<Chart, Error> {
        let epoch = keyring.data_epoch();
        let records = keyring.record_sealer(epoch, &secret, None).ok_or(Error::TamperedRow { what: "keyring" })?;
        let subject = Arc::new(keyring.audit().subject(&secret));
        let PatientKey { patient_tag: tag, generation } = key;
        let kept_apart = OnceLock::new();
        Ok(Chart { patient, tag, generation, subject, epoch, records, kept_apart, secret, keyring })
    }

    /// A record's row, sealed.
    pub(crate) fn record_row(&self, chart: &Chart, key: RecordKey, body: &[u8]) -> Result<Row, Error> {
        let epochs = (chart.epoch, chart.generation);
        self.sealed_row(chart.sealer(&key.kind_tag), epochs, Tree::Records, &key.to_bytes(), body)
    }

    /// Opens one version of a record where it was found.
    pub(crate) fn open_record(
        &self,
        chart: &Chart,
        kind: KindId,
        key: RecordKey,
        value: &[u8],
    ) -> Result<SecretBytes, Error> {
        let record = RecordRef::new(chart.patient, kind, key.number);
        let version = Version::new(key.version).unwrap_or(Version::FIRST);
        let tampered = || Error::Tampered { record, version };
        let bytes = key.to_bytes();
        let place = Place { vault: self.vault, tree: Tree::Records, key: &bytes };
        let (head, sealed) = envelope::parse(value).map_err(|_| tampered())?;
        if head.generation != chart.generation {
            return Err(tampered());
        }
        let opened = if head.epoch == chart.epoch {
            envelope::open_sealed(chart.sealer(&key.kind_tag), head, place, sealed)
        } else {
            // Sealed before the chart's keys were derived, or under a key that came since.
            let compartment = chart.compartment(&key.kind_tag);
            let sealer = chart.sealer_of(head.epoch, compartment);
            let sealer = sealer.or_else(|| self.keyring().record_sealer(head.epoch, &chart.secret, compartment));
            let sealer = sealer.ok_or_else(tampered)?;
            envelope::open_sealed(&sealer, head, place, sealed)
        };
        // Or in a compartment that was made since.
        let opened = opened.or_else(|error| {
            let keyring = self.keyring();
            let compartment = keyring.kept_apart().get(&kind).filter(|_| !chart.is_up_to_date(&keyring));
            let sealer = compartment.and_then(|id| keyring.record_sealer(head.epoch, &chart.secret, Some(*id)));
            sealer.map_or(Err(error), |sealer| envelope::open_sealed(&sealer, head, place, sealed))
        });
        opened.map_err(|_| tampered())
    }
}
