//! What a writer does, step by step, drawn from its seed.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use chartvault::{
    Action, AuditFilter, Error, Identifier, Kind, PatientId, PutOptions, RecordId, RecordRef, Scope, Session, Vault,
    Version,
};

use crate::compaction;
use crate::erasure;
use crate::keys;
use crate::ledger::{Deed, End, Ledger};
use crate::rng::Rng;
use crate::rotation;
use crate::value::{self, KINDS, Note};
use crate::workload::Shared;

/// A record that a writer may change: nobody else does.
#[derive(Clone, Copy, Debug)]
struct Own {
    record: RecordRef,
    kind: usize,
    version: u32,
    voided: bool,
}

/// One writer with its own patients.
pub struct Writer {
    number: usize,
    seed: u64,
    patients: Vec<(u64, PatientId)>,
    own: Vec<Own>,
}

/// The identifier under which an operation registers a patient.
pub fn identifier(op: u64) -> Identifier {
    Identifier::new("urn:mrn:torture", &op.to_string()).expect("a short text")
}

/// The kind of records kept verbatim.
pub fn kind(number: usize) -> Kind {
    Kind::new(KINDS[number]).expect("a kind")
}

impl Writer {
    /// Of whose records no reader hears.
    pub const UNKNOWN: usize = usize::MAX;

    pub const fn new(shared: &Shared, number: usize) -> Self {
        Self { number, seed: shared.plan.seed, patients: Vec::new(), own: Vec::new() }
    }

    /// Gives patients and records of earlier runs to the writers. What was under way when one ended stays untouched.
    pub fn share_out(writers: &mut [Self], earlier: &Ledger) {
        let count = writers.len();
        let erased = erasure::begun(earlier);
        let patients = earlier.patients().into_iter().filter(|(_, patient)| !erased.contains_key(patient));
        for (at, (op, patient)) in patients.enumerate() {
            writers[at % count].patients.push((op, patient));
        }
        for (deed, end) in earlier.ops.values() {
            let id = |text: &String| text.parse::<RecordRef>().ok();
            match (deed, end) {
                (Deed::Put { patient, kind, .. }, End::Acknowledged(ids)) => {
                    let Some(owner) =
                        writers.iter_mut().find(|writer| writer.patients.iter().any(|(_, own)| own == patient))
                    else {
                        continue;
                    };
                    let records = ids.iter().filter_map(id);
                    owner.own.extend(records.map(|record| Own { record, kind: *kind, version: 1, voided: false }));
                }
                (Deed::Amend { record, expected, .. }, end) => Self::changed(writers, *record, *expected, end, false),
                (Deed::Void { record, expected }, end) => Self::changed(writers, *record, *expected, end, true),
                _ => {}
            }
        }
    }

    fn changed(writers: &mut [Self], record: RecordRef, expected: u32, end: &End, voided: bool) {
        for own in writers.iter_mut().flat_map(|writer| &mut writer.own).filter(|own| own.record == record) {
            match end {
                End::Acknowledged(_) => (own.version, own.voided) = (expected + 1, voided),
                End::NotDone => {}
                End::Open | End::Unknown => own.voided = true,
            }
        }
    }

    /// One round. Goes on for a few steps after an error, as a host would that has not noticed yet.
    pub fn work(&mut self, shared: &Shared, vault: &Vault, session: &Session, round: usize) {
        let mut rng = Rng::of(self.seed, &[self.number as u64, round as u64]);
        let (mut after_failure, every) = (3, shared.plan.checkpoint);
        let steps = if round >= 1_000 { 4 } else { shared.plan.steps };
        if let (0, 0, 1.., Some((_, patient))) = (self.number, round, shared.plan.first, self.patients.first()) {
            self.put(shared, session, *patient, &[shared.plan.first], &mut rng);
        }
        for step in 0..steps {
            if shared.plan.rotate > 0 && step % shared.plan.rotate == shared.plan.rotate - 1 && shared.plan.writers == 1
            {
                let mut whom = None;
                let chosen = || {
                    whom = self.chosen();
                    whom
                };
                rotation::rotate(shared, vault, session, chosen);
                whom.into_iter().for_each(|patient| self.forget(shared, patient));
            } else if shared.plan.compact > 0 && step % shared.plan.compact == shared.plan.compact - 1 {
                compaction::compact(shared, vault);
            } else if every > 0 && step % every == every - 1 {
                self.checkpoint(shared, vault);
            } else {
                self.step(shared, vault, session, &mut rng);
            }
            if round < 1_000 && shared.failed.load(Ordering::Relaxed) {
                if after_failure == 0 {
                    return;
                }
                after_failure -= 1;
            }
        }
    }

    fn step(&mut self, shared: &Shared, vault: &Vault, session: &Session, rng: &mut Rng) {
        let what = rng.below(100);
        let Some(&(registered, patient)) = (!self.patients.is_empty()).then(|| rng.pick(&self.patients)) else {
            return self.register(shared, session);
        };
        let live: Vec<usize> = (0..self.own.len()).filter(|at| !self.own[*at].voided).collect();
        let own = (!live.is_empty()).then(|| *rng.pick(&live));
        match (what, own) {
            (50..64, Some(at)) => self.amend(shared, session, at, rng),
            (64..69, Some(at)) => self.void(shared, session, at),
            (69..80, Some(at)) => read(shared, session, self.own[at].record),
            (80..83, Some(at)) => self.history(shared, session, at),
            (0..36, _) => self.put(shared, session, patient, &[value::length(rng, shared.plan.largest)], rng),
            (36..50, _) => {
                let largest = shared.plan.largest.min(20_000);
                let lens: Vec<usize> = (0..2 + rng.below(3)).map(|_| value::length(rng, largest)).collect();
                self.put(shared, session, patient, &lens, rng);
            }
            (83..86, _) => look(shared, || session.list::<Note>(patient).limit(5).page().map(drop)),
            (86..89, _) => look(shared, || session.chart(patient).limit(10).page().map(drop)),
            (89..92, _) => self.register(shared, session),
            (92..94, _) => look(shared, || match session.find_patient(&identifier(registered))? {
                found if found == Some(patient) => Ok(()),
                found => {
                    shared.wrong(registered, &format!("found {found:?} instead of {patient}"));
                    Ok(())
                }
            }),
            (94..96, _) => self.denied(shared, vault, patient),
            (96, _) => {
                look(shared, || session.audit()?.query(AuditFilter::new()).limit(20).page().map(drop));
            }
            (97, _) => look(shared, || session.audit()?.verify(Scope::All).run().map(drop)),
            (98, _) => self.checkpoint(shared, vault),
            _ => read_any(shared, session, rng),
        }
    }

    /// Somebody to be erased, as long as others are left.
    fn chosen(&self) -> Option<PatientId> {
        let middle = self.patients.len() / 2;
        self.patients.get(middle).filter(|_| middle > 0).map(|(_, patient)| *patient)
    }

    fn forget(&mut self, shared: &Shared, erased: PatientId) {
        self.patients.retain(|(_, patient)| *patient != erased);
        self.own.retain(|own| own.record.patient() != erased);
        let mut known = shared.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|record| record.patient() != erased);
    }

    /// A new patient with some records, of whom nobody else knows.
    pub fn admit(&mut self, shared: &Shared, session: &Session) -> Option<PatientId> {
        self.register(shared, session);
        let (op, patient) = *self.patients.first()?;
        let mut rng = Rng::of(self.seed, &[99, op]);
        self.put(shared, session, patient, &[300, 0, 5_000], &mut rng);
        (!self.own.is_empty()).then_some(patient)
    }

    fn register(&mut self, shared: &Shared, session: &Session) {
        let op = shared.begin(&Deed::Patient);
        match session.register_patient([identifier(op)]) {
            Ok(patient) => {
                shared.acknowledge(op, &patient.to_string());
                self.patients.push((op, patient));
            }
            Err(error) => shared.fail(&op.to_string(), &error),
        }
    }

    fn put(&mut self, shared: &Shared, session: &Session, patient: PatientId, lens: &[usize], rng: &mut Rng) {
        let number = rng.below(KINDS.len());
        let op = shared.begin(&Deed::Put { patient, kind: number, lens: lens.to_vec() });
        let written = if let ([len], 0) = (lens, number) {
            let note = Note { text: value::text(self.seed, op, 0, *len) };
            session.put(patient, &note).map(|id| vec![RecordRef::from(id)])
        } else {
            put_batch(self.seed, session, patient, number, op, lens)
        };
        match written {
            Ok(records) => {
                let ids: Vec<String> = records.iter().map(RecordRef::to_string).collect();
                shared.acknowledge(op, &ids.join(" "));
                let own = |record: &RecordRef| Own { record: *record, kind: number, version: 1, voided: false };
                self.own.extend(records.iter().map(own));
                if self.number != Self::UNKNOWN {
                    shared.known.lock().unwrap_or_else(PoisonError::into_inner).extend(records);
                }
            }
            Err(error) => shared.fail(&op.to_string(), &error),
        }
    }

    fn amend(&mut self, shared: &Shared, session: &Session, at: usize, rng: &mut Rng) {
        let Own { record, kind, version, .. } = self.own[at];
        let len = value::length(rng, shared.plan.largest.min(20_000));
        let op = shared.begin(&Deed::Amend { record, kind, expected: version, len });
        let expected = Version::new(version).unwrap_or(Version::FIRST);
        let bytes = value::value(self.seed, op, 0, len);
        let amended = match RecordId::<Note>::try_from(record) {
            Ok(id) => session.amend(id, expected, &Note { text: value::text(self.seed, op, 0, len) }),
            Err(_) => session.amend_verbatim(record, expected, &bytes),
        };
        self.written(shared, at, op, amended, false);
    }

    fn void(&mut self, shared: &Shared, session: &Session, at: usize) {
        let Own { record, version, .. } = self.own[at];
        let op = shared.begin(&Deed::Void { record, expected: version });
        let expected = Version::new(version).unwrap_or(Version::FIRST);
        let voided = session.void(record, expected, "entered in error");
        self.written(shared, at, op, voided, true);
    }

    fn written(&mut self, shared: &Shared, at: usize, op: u64, answer: Result<Version, Error>, voids: bool) {
        let own = &mut self.own[at];
        match answer {
            Ok(version) if version.number() == own.version + 1 => {
                shared.acknowledge(op, &version.to_string());
                (own.version, own.voided) = (version.number(), voids);
            }
            Ok(version) => shared.wrong(op, &format!("became version {version} after {}", own.version)),
            Err(error) => {
                // Nobody knows which version it has now.
                own.voided |= !matches!(error, Error::NotCommitted(_));
                shared.fail(&op.to_string(), &error);
            }
        }
    }

    fn history(&self, shared: &Shared, session: &Session, at: usize) {
        let Own { record, version, .. } = self.own[at];
        look(shared, || {
            let versions = match RecordId::<Note>::try_from(record) {
                Ok(id) => session.history(id)?.len(),
                Err(_) => session.history_verbatim(record)?.len(),
            };
            if versions != version as usize {
                shared.wrong(0, &format!("{record} has {versions} versions instead of {version}"));
            }
            Ok(())
        });
    }

    /// A token narrowed to one kind, and a read that it does not allow.
    fn denied(&self, shared: &Shared, vault: &Vault, patient: PatientId) {
        let op = shared.begin(&Deed::Denied);
        let token = keys::token(self.seed, vault);
        let narrow = token.attenuate().patient(patient).kind_named("Observation").actions([Action::Read]).finish();
        let Ok(narrow) = narrow else { return shared.wrong(op, "a token that cannot be narrowed") };
        let put = vault
            .session(&narrow, chartvault::Purpose::Treatment)
            .and_then(|session| session.put_verbatim(patient, &kind(1), b"not allowed", PutOptions::new()));
        match put {
            Err(Error::Denied { ticket }) => shared.acknowledge(op, &ticket.to_string()),
            Err(error) => shared.fail(&op.to_string(), &error),
            Ok(record) => shared.wrong(op, &format!("{record} was put without the right")),
        }
    }

    fn checkpoint(&self, shared: &Shared, vault: &Vault) {
        // Leaves no entry, so nobody counts it.
        match vault.checkpoint() {
            Ok(()) => shared.say("a - checkpoint"),
            Err(error) => shared.fail("-", &error),
        }
    }
}

fn put_batch(
    seed: u64,
    session: &Session,
    patient: PatientId,
    number: usize,
    op: u64,
    lens: &[usize],
) -> Result<Vec<RecordRef>, Error> {
    if let ([len], true) = (lens, number > 0) {
        let bytes = value::value(seed, op, 0, *len);
        return Ok(vec![session.put_verbatim(patient, &kind(number), &bytes, PutOptions::new())?]);
    }
    let mut batch = session.batch();
    for (part, len) in lens.iter().enumerate() {
        if number == 0 {
            batch.put(patient, &Note { text: value::text(seed, op, part, *len) }, PutOptions::new())?;
        } else {
            batch.put_verbatim(patient, &kind(number), &value::value(seed, op, part, *len), PutOptions::new())?;
        }
    }
    batch.commit()
}

/// Reads a record, and looks whether its value is one that somebody wrote.
pub fn read(shared: &Shared, session: &Session, record: RecordRef) {
    let op = shared.begin(&Deed::Read);
    let read = match RecordId::<Note>::try_from(record) {
        Ok(id) => session.get(id).map(|entry| entry.value.text.into_bytes()),
        Err(_) => session.get_verbatim(record).map(|entry| entry.value),
    };
    match read {
        Ok(bytes) if value::is_genuine(shared.plan.seed, &bytes) => shared.acknowledge(op, ""),
        Ok(_) => shared.wrong(op, &format!("{record} has a value that nobody wrote")),
        Err(error) => shared.fail(&op.to_string(), &error),
    }
}

fn read_any(shared: &Shared, session: &Session, rng: &mut Rng) {
    let record = {
        let known = shared.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_empty() { None } else { Some(*rng.pick(&known)) }
    };
    if let Some(record) = record {
        read(shared, session, record);
    }
}

/// Does something that leaves an entry, and counts it.
pub fn look(shared: &Shared, look: impl FnOnce() -> Result<(), Error>) {
    let op = shared.begin(&Deed::Look);
    match look() {
        Ok(()) => shared.acknowledge(op, ""),
        Err(error) => shared.fail(&op.to_string(), &error),
    }
}
