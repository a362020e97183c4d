//! The vault of this example: the sample data, and who works with it.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chartvault::{
    Action, Confidentiality, Grant, Identifier, IssuerKey, Kind, Passphrase, PatientId, Purpose, PutOptions, RecordRef,
    RecoveryKey, Session, Token, Vault,
};

use crate::Outcome;
use crate::fhir::Resource;
use crate::show::{count, item};

/// Records of one commit.
const BATCH: usize = 500;
/// The system of this clinic's patient numbers.
const NUMBERS: &str = "urn:example:patients";

pub struct House {
    pub path: PathBuf,
    /// The first one.
    pub passphrase: Passphrase,
    /// Every chart, every action.
    token: Token,
    /// Each record, and what was put.
    pub records: Vec<(RecordRef, Vec<u8>)>,
    /// Patients, those with most records first, and their numbers.
    pub patients: Vec<(PatientId, Identifier)>,
}

impl House {
    pub fn create(dir: &Path) -> Outcome<(Self, Vault, RecoveryKey)> {
        let (path, passphrase) = (dir.join("clinic.vault"), Passphrase::new("seven herons over a quiet harbour"));
        let (vault, recovery) = Vault::create(&path).passphrase(&passphrase).finish()?;
        let issuer = IssuerKey::generate()?; // in earnest: on another machine
        vault.trust_issuer(issuer.public(), &passphrase)?;
        let grant = Grant::to("dr.osei").all_patients().all_kinds().actions(Action::ALL.iter().copied());
        let grant = grant.sensitivity(Confidentiality::VeryRestricted).purpose(Purpose::Treatment);
        let token = grant.valid_for(Duration::from_secs(3_600)).sign(&issuer, vault.id())?;
        let mut house = Self { path, passphrase, token, records: Vec::new(), patients: Vec::new() };
        house.fill(&house.session(&vault)?)?;
        item("put", format!("{} FHIR resources of {} patients", count(house.records.len()), house.patients.len()));
        Ok((house, vault, recovery))
    }

    pub fn session(&self, vault: &Vault) -> Outcome<Session> {
        Ok(vault.session(&self.token, Purpose::Treatment)?)
    }

    fn fill(&mut self, session: &Session) -> Outcome<()> {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/carebundle-200.ndjson.zst");
        let lines = zstd::decode_all(File::open(sample)?)?;
        let lines: Vec<&[u8]> = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
        let mut charts: HashMap<String, (PatientId, Identifier, usize)> = HashMap::new();
        for lines in lines.chunks(BATCH) {
            let mut batch = session.batch();
            for line in lines {
                let resource = Resource::parse(line)?;
                let chart = match resource.patient() {
                    None => PatientId::FACILITY,
                    Some(named) => match charts.get_mut(named) {
                        Some((patient, _, records)) => {
                            *records += 1;
                            *patient
                        }
                        None => {
                            let number = Identifier::new(NUMBERS, named)?;
                            let patient = session.register_patient([number.clone()])?;
                            charts.insert(named.to_owned(), (patient, number, 1));
                            patient
                        }
                    },
                };
                batch.put_verbatim(chart, &Kind::new(resource.kind())?, line, PutOptions::new())?;
            }
            self.records.extend(batch.commit()?.into_iter().zip(lines.iter().map(|line| line.to_vec())));
        }
        let mut charts: Vec<_> = charts.into_values().collect();
        charts.sort_by_key(|(patient, _, records)| (std::cmp::Reverse(*records), *patient));
        self.patients = charts.into_iter().map(|(patient, number, _)| (patient, number)).collect();
        Ok(())
    }
}
