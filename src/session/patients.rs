//! Patients and the identifiers that lead to them.

use std::collections::HashSet;
use std::fmt;

use super::Session;
use super::access::{Access, Done, Hold, Op, Refused};
use crate::audit::AuditEvent;
use crate::committer::{Row, Stripe};
use crate::crypto::random;
use crate::error::Error;
use crate::format::keys::{LookupRowKey, Tree};
use crate::ids::PatientId;
use crate::keyring;
use crate::storage::Scan;
use crate::terms::Action;
use crate::token::Reach;
use crate::unlocked::Chart;

/// Identifiers that one call may register.
const MAX_IDENTIFIERS: usize = 64;
/// Patients that one call may register.
const MAX_PATIENTS: usize = 1_000;

/// What a patient is known by elsewhere: a system such as `urn:mrn:clinic-a` and a value such as `12345`. Stored only
/// as a keyed hash; unique within its system. Case and inner spaces count, leading and trailing spaces do not.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Identifier {
    system: String,
    value: String,
}

impl Identifier {
    /// From a system and a value, each 1 to 1,024 bytes once they are in Unicode NFC without white space around them.
    /// Kept in that form, so that two spellings of one identifier are equal.
    ///
    /// # Errors
    /// [`Error::Identifier`] when one of them is blank or too long.
    pub fn new(system: &str, value: &str) -> Result<Self, Error> {
        Ok(Self { system: keyring::normal_identifier(system)?, value: keyring::normal_identifier(value)? })
    }

    /// The system.
    #[must_use]
    pub fn system(&self) -> &str {
        &self.system
    }
}

/// Shows the system alone: the value tells who the patient is.
impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identifier({:?}, redacted)", self.system)
    }
}

impl Session {
    /// Registers a patient under any number of identifiers (up to 64), none of which may be taken. Needs the create
    /// action for all patients.
    ///
    /// # Errors
    /// [`Error::IdentifierTaken`], [`Error::TooMany`], and what [`Session`] lists.
    pub fn register_patient(&self, identifiers: impl IntoIterator<Item = Identifier>) -> Result<PatientId, Error> {
        let (patient, identifiers) = (PatientId::from_bytes(random::array()?), checked(identifiers)?);
        self.register(&[(patient, identifiers)], patient)
    }

    /// Registers up to 1,000 patients at once, each as [`Session::register_patient`] does, all or none; gives them in the
    /// order of their identifiers. One sync and one log entry (more where they are too many for one) serve for all, so this
    /// is how to import many.
    ///
    /// # Errors
    /// As [`Session::register_patient`]; [`Error::IdentifierTaken`] also where two of them have an identifier in common,
    /// and [`Error::CommitTooLarge`].
    ///
    /// ```
    /// # mod clinic { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clinic.rs")); }
    /// # use clinic::*;
    /// # let clinic = Clinic::new();
    /// # let session = clinic.session();
    /// let mrn = |number: u32| Identifier::new("urn:mrn:clinic-b", &number.to_string());
    /// let patients = session.register_patients([[mrn(1)?], [mrn(2)?]])?;
    /// assert_eq!(session.find_patient(&mrn(2)?)?, Some(patients[1]));
    /// # Ok::<(), chartvault::Error>(())
    /// ```
    pub fn register_patients<I>(&self, patients: impl IntoIterator<Item = I>) -> Result<Vec<PatientId>, Error>
    where
        I: IntoIterator<Item = Identifier>,
    {
        let mut all: Vec<(PatientId, Vec<Identifier>)> = Vec::new();
        for identifiers in patients {
            if all.len() == MAX_PATIENTS {
                return Err(Error::TooMany { what: "patients", len: MAX_PATIENTS + 1, limit: MAX_PATIENTS });
            }
            all.push((PatientId::from_bytes(random::array()?), checked(identifiers)?));
        }
        self.register(&all, all.iter().map(|(patient, _)| *patient).collect())
    }

    fn register<T>(&self, patients: &[(PatientId, Vec<Identifier>)], answer: T) -> Result<T, Error> {
        let op = self.begin(Access {
            event: AuditEvent::PatientRegistered,
            action: Action::Create,
            kind: Reach::Filtered,
            patient: Reach::Whole,
        })?;
        let mut stripes = Vec::new();
        for (patient, identifiers) in patients {
            stripes.extend(op.stripes(identifiers)?);
            stripes.push(op.stripe(*patient));
        }
        op.run(Hold::Write(&stripes), |op| {
            let (mut rows, mut subjects, mut given) = (Vec::new(), Vec::new(), HashSet::new());
            for (patient, identifiers) in patients {
                let (chart, row) = op.unlocked.new_chart(*patient)?;
                rows.push(row);
                for identifier in identifiers {
                    if !given.insert(identifier) {
                        return Err(Error::IdentifierTaken { system: identifier.system.clone() }.into());
                    }
                    rows.extend(op.identifier_row(&chart, identifier)?);
                }
                subjects.push(chart.audited(Vec::new()));
            }
            Ok(Done::write(answer, rows, subjects))
        })
    }

    /// Adds an identifier to a patient. One that leads to the same patient already is no error. Needs the create action
    /// for all patients: the answer tells whether anybody has the identifier.
    ///
    /// # Errors
    /// [`Error::IdentifierTaken`] when it leads to another patient, [`Error::NoSuchPatient`], and what [`Session`] lists.
    pub fn add_identifier(&self, patient: PatientId, identifier: Identifier) -> Result<(), Error> {
        let op = self.begin(Access {
            event: AuditEvent::IdentifierAdded,
            action: Action::Create,
            kind: Reach::Filtered,
            patient: Reach::One(patient),
        })?;
        let mut stripes = op.stripes(std::slice::from_ref(&identifier))?;
        stripes.push(op.stripe(patient));
        op.run(Hold::Write(&stripes), |op| {
            op.decide(Reach::Filtered, Reach::Whole, None).map_err(Refused::Denied)?;
            let chart = op.chart(patient)?;
            let rows = op.identifier_row(&chart, &identifier)?.into_iter().collect();
            Ok(Done::write((), rows, vec![chart.audited(Vec::new())]))
        })
    }

    /// The patient whom an identifier leads to. `None` when there is none (or, in a salvaged vault that is in doubt, when the
    /// identifier was lost), and when it leads to somebody whose restricted chart may not be opened; a token that is limited
    /// to some patients gets [`Error::Denied`] for every other, whether they exist or not, and for one of those whose
    /// chart may not be opened.
    ///
    /// # Errors
    /// What [`Session`] lists.
    pub fn find_patient(&self, identifier: &Identifier) -> Result<Option<PatientId>, Error> {
        let op = self.begin(Access {
            event: AuditEvent::PatientFound,
            action: Action::Read,
            kind: Reach::Filtered,
            patient: Reach::Filtered,
        })?;
        op.run(Hold::Nothing, |op| op.found(identifier))
    }
}

fn checked(identifiers: impl IntoIterator<Item = Identifier>) -> Result<Vec<Identifier>, Error> {
    let mut unique: Vec<Identifier> = Vec::new();
    for identifier in identifiers {
        if unique.contains(&identifier) {
            continue;
        }
        if unique.len() == MAX_IDENTIFIERS {
            let (len, limit) = (MAX_IDENTIFIERS + 1, MAX_IDENTIFIERS);
            return Err(Error::TooMany { what: "identifiers", len, limit });
        }
        unique.push(identifier);
    }
    Ok(unique)
}

impl Op<'_> {
    fn identifier_tag(&self, identifier: &Identifier) -> Result<[u8; 16], Error> {
        Ok(self.unlocked.keyring().identifier_tag(&identifier.system, &identifier.value)?)
    }

    fn stripes(&self, identifiers: &[Identifier]) -> Result<Vec<Stripe>, Error> {
        let tags = identifiers.iter().map(|identifier| self.identifier_tag(identifier));
        tags.map(|tag| Ok(Stripe::identifier(&tag?))).collect()
    }

    /// Whom an identifier leads to, as far as the caller may know. Nobody, somebody whom the token leaves out, and somebody
    /// whose chart is not to be opened are one answer, and take the same work.
    fn found(&self, identifier: &Identifier) -> Result<Done<Option<PatientId>>, Refused> {
        let everybody = self.would_allow(Reach::Filtered, Reach::Whole, None);
        let Some(patient) = self.lookup(identifier)? else {
            self.unlocked.open_decoy_pointer();
            self.unlocked.look_up_decoy();
            if !everybody {
                self.unlocked.look_up_decoy();
            }
            self.unlocked.seal_decoy_subject();
            self.decide(Reach::Filtered, Reach::Whole, None).map_err(Refused::Denied)?;
            return Ok(Done::read(None, Vec::new()));
        };
        if let Err(denial) = self.decide(Reach::Filtered, Reach::One(patient), None) {
            let _ = self.unlocked.look_up(patient);
            return Err(Refused::Denied(denial));
        }
        match self.chart(patient) {
            // Erased since: the identifier leads to nobody any more.
            Err(Refused::Failed(Error::Erased { .. })) => Ok(Done::read(None, Vec::new())),
            Err(Refused::Hidden(denial, _)) if !everybody => Err(Refused::Denied(denial)),
            Err(Refused::Hidden(denial, chart)) => {
                let denied = Some(denial.reason);
                Ok(Done { denied, ..Done::read(None, vec![chart.audited(Vec::new())]) })
            }
            chart => Ok(Done::read(Some(patient), vec![chart?.audited(Vec::new())])),
        }
    }

    /// Whom an identifier leads to.
    fn lookup(&self, identifier: &Identifier) -> Result<Option<PatientId>, Error> {
        const WHAT: &str = "identifier";
        let tag = self.identifier_tag(identifier)?;
        let mut after: Option<Vec<u8>> = None;
        let (key, value) = loop {
            let scan = Scan { prefix: &tag, after: after.as_deref(), limit: 1 };
            let rows = self.unlocked.committer.scan(Tree::Lookup, scan)?;
            let Some((key, value)) = rows.into_iter().next() else { return Ok(None) };
            let leads_to = LookupRowKey::from_bytes(&key).map_err(|_| Error::TamperedRow { what: WHAT })?.patient_tag;
            if self.unlocked.policy.erased(&leads_to).is_none() {
                break (key, value);
            }
            // Still to be removed: its patient was erased.
            after = Some(key);
        };
        let keyring = self.unlocked.keyring();
        let body = self.unlocked.open_row(keyring.lookup_sealer(), Tree::Lookup, &key, &value, WHAT)?;
        let patient: [u8; 16] = body.as_slice().try_into().map_err(|_| Error::TamperedRow { what: WHAT })?;
        Ok(Some(PatientId::from_bytes(patient)))
    }

    /// The row that makes an identifier lead to a chart; `None` when it does already. Its stripe must be held.
    fn identifier_row(&self, chart: &Chart, identifier: &Identifier) -> Result<Option<Row>, Error> {
        match self.lookup(identifier)? {
            Some(patient) if patient == chart.patient => return Ok(None),
            Some(_) => return Err(Error::IdentifierTaken { system: identifier.system.clone() }),
            None => {}
        }
        let key = LookupRowKey { identifier_tag: self.identifier_tag(identifier)?, patient_tag: chart.tag };
        let keyring = self.unlocked.keyring();
        let (sealer, id) = (keyring.lookup_sealer(), chart.patient);
        self.unlocked.sealed_row(sealer, (0, 0), Tree::Lookup, &key.to_bytes(), id.as_bytes()).map(Some)
    }
}
