//! A vault and a plain picture of what it must hold, worked side by side. Whatever happens, after each opening all that
//! was acknowledged is there and equal, nothing else is, and the log verifies and has the entries that it must have.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use arbitrary::Arbitrary;
use chartvault::test_util::{Fault, FileOp, NewTestVault, TestVault, seeded};
use chartvault::*;

#[derive(Arbitrary, Debug)]
pub struct Day {
    seed: u64,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
enum Step {
    Register(u8),
    Find(u8),
    Put {
        patient: u8,
        kind: u8,
        len: Len,
        fill: u8,
    },
    Amend {
        record: u8,
        behind: bool,
        len: Len,
        fill: u8,
    },
    Void {
        record: u8,
        behind: bool,
    },
    Get(u8),
    History(u8),
    List {
        patient: u8,
        kind: u8,
        limit: u8,
        voided: bool,
    },
    Batch(Vec<(u8, u8, u8)>),
    /// A session that may only read.
    Visitor {
        record: u8,
    },
    NewSession,
    CloseSession,
    Tick(u16),
    Checkpoint,
    Reopen,
    Crash,
    /// What the next step writes meets this; then the process ends.
    Fault {
        sync: bool,
        after: u8,
        step: WriteStep,
    },
}

#[derive(Arbitrary, Debug)]
enum WriteStep {
    Register(u8),
    Put(u8, u8, Len, u8),
    Amend(u8, Len, u8),
    Batch(Vec<(u8, u8, u8)>),
}

/// Lengths about the edges: nothing, small, around the 4 KiB above which a value stays in the journal, and large.
#[derive(Arbitrary, Debug)]
enum Len {
    Small(u8),
    Edge(u8),
    Large(u16),
}

impl Len {
    fn bytes(&self, fill: u8) -> Vec<u8> {
        let len = match self {
            Self::Small(len) => usize::from(*len),
            Self::Edge(len) => 3_900 + usize::from(*len) * 2,
            Self::Large(len) => usize::from(*len),
        };
        vec![fill; len]
    }
}

struct Known {
    record: RecordRef,
    patient: usize,
    kind: usize,
    /// Bytes of each version; `true` where it voids.
    versions: Vec<(Vec<u8>, bool)>,
}

/// What is not known after a failed write: it may be found or not.
enum Doubt {
    Nothing,
    Patient(u8),
    Records(usize, Vec<(usize, Vec<u8>)>),
    Version(usize, Vec<u8>),
}

struct Picture {
    clinic: TestVault,
    session: Option<Session>,
    patients: Vec<PatientId>,
    identifiers: BTreeMap<u8, usize>,
    records: Vec<Known>,
    /// Entries of the log, where every call leaves the number that it should.
    entries: u64,
}

fn kind(kind: usize) -> Kind {
    Kind::new(["Observation", "DocumentReference"][kind % 2]).unwrap()
}

fn mrn(value: u8) -> Identifier {
    Identifier::new("urn:mrn:fuzz", &format!("patient {value}")).unwrap()
}

pub fn run(day: &Day, new: NewTestVault) {
    let _seeded = seeded(day.seed).unwrap();
    let clinic = new.build().unwrap();
    let mut picture = Picture {
        clinic,
        session: None,
        patients: Vec::new(),
        identifiers: BTreeMap::new(),
        records: Vec::new(),
        entries: 0,
    };
    picture.begin();
    picture.register(0);
    for step in day.steps.iter().take(60) {
        picture.step(step);
    }
    picture.crash();
    picture.reopen();
}

impl Picture {
    /// A new session, and the log counted anew through it.
    fn begin(&mut self) {
        self.session = Some(self.clinic.physician().unwrap());
        self.entries = self.counted();
    }

    /// Entries of the whole log, the verification's own among them. It verifies each time.
    fn counted(&self) -> u64 {
        let auditor = self.clinic.auditor().unwrap();
        let verified = auditor.audit().unwrap().verify(Scope::All).run().unwrap();
        drop(auditor);
        verified.entries
    }

    fn session(&mut self) -> Session {
        if self.session.is_none() {
            self.begin();
        }
        self.session.clone().unwrap()
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Register(identifier) => self.register(*identifier),
            Step::Find(identifier) => {
                let expected = self.identifiers.get(identifier).map(|at| self.patients[*at]);
                assert_eq!(self.session().find_patient(&mrn(*identifier)).unwrap(), expected);
            }
            Step::Put { patient, kind, len, fill } => self.put(*patient, *kind, len.bytes(*fill)),
            Step::Amend { record, behind, len, fill } => self.change(*record, *behind, Some(len.bytes(*fill))),
            Step::Void { record, behind } => self.change(*record, *behind, None),
            Step::Get(record) => self.get(*record),
            Step::History(record) => {
                if let Some(at) = self.pick(*record) {
                    self.check_record(at);
                }
            }
            Step::List { patient, kind, limit, voided } => self.list(
                usize::from(*patient) % self.patients.len(),
                usize::from(*kind) % 2,
                usize::from(*limit % 9) + 1,
                *voided,
            ),
            Step::Batch(members) => self.batch(members),
            Step::Visitor { record } => self.visitor(*record),
            Step::NewSession => self.begin(),
            Step::CloseSession => {
                if let Some(session) = self.session.take() {
                    session.close().unwrap();
                    assert!(session.find_patient(&mrn(0)).is_err());
                }
            }
            Step::Tick(seconds) => self.clinic.clock().step(i64::from(*seconds % 60)),
            Step::Checkpoint => self.clinic.vault().checkpoint().unwrap(),
            Step::Reopen => self.reopen(),
            Step::Crash => self.crash(),
            Step::Fault { sync, after, step } => self.fault(*sync, *after % 3, step),
        }
    }

    fn pick(&self, record: u8) -> Option<usize> {
        (!self.records.is_empty()).then(|| usize::from(record) % self.records.len())
    }

    fn register(&mut self, identifier: u8) {
        let registered = self.session().register_patient([mrn(identifier)]);
        if self.identifiers.contains_key(&identifier) {
            assert!(matches!(registered, Err(Error::IdentifierTaken { .. })), "{registered:?}");
            return;
        }
        self.identifiers.insert(identifier, self.patients.len());
        self.patients.push(registered.unwrap());
    }

    fn put(&mut self, patient: u8, of: u8, bytes: Vec<u8>) {
        let (patient, of) = (usize::from(patient) % self.patients.len(), usize::from(of) % 2);
        let record = self.session().put_verbatim(self.patients[patient], &kind(of), &bytes, PutOptions::new()).unwrap();
        self.learn(record, patient, of, bytes);
    }

    /// A new record has the next number of its kind in its chart.
    fn learn(&mut self, record: RecordRef, patient: usize, kind: usize, bytes: Vec<u8>) {
        let before = self.records.iter().filter(|known| (known.patient, known.kind) == (patient, kind)).count();
        assert_eq!((record.patient(), record.number()), (self.patients[patient], before as u64 + 1));
        self.records.push(Known { record, patient, kind, versions: vec![(bytes, false)] });
    }

    fn batch(&mut self, members: &[(u8, u8, u8)]) {
        let patients = self.patients.len();
        let session = self.session();
        let mut batch = session.batch();
        let members: Vec<_> = members
            .iter()
            .take(20)
            .map(|(patient, kind, len)| {
                (usize::from(*patient) % patients, usize::from(*kind) % 2, vec![*kind; usize::from(*len)])
            })
            .collect();
        for (patient, of, bytes) in &members {
            batch.put_verbatim(self.patients[*patient], &kind(*of), bytes, PutOptions::new()).unwrap();
        }
        let records = batch.commit().unwrap();
        assert_eq!(records.len(), members.len());
        for (record, (patient, of, bytes)) in records.into_iter().zip(members) {
            self.learn(record, patient, of, bytes);
        }
    }

    /// Amends (bytes given) or voids, based on the newest version or on the one before.
    fn change(&mut self, record: u8, behind: bool, bytes: Option<Vec<u8>>) {
        let Some(at) = self.pick(record) else { return };
        let session = self.session();
        let known = &mut self.records[at];
        let newest = u32::try_from(known.versions.len()).unwrap();
        let based_on = if behind && newest > 1 { newest - 1 } else { newest };
        let expected = Version::new(based_on).unwrap();
        let last = known.versions.last().unwrap().clone();
        let changed = match &bytes {
            Some(bytes) => session.amend_verbatim(known.record, expected, bytes),
            None => session.void(known.record, expected, "entered in error"),
        };
        if based_on != newest {
            assert!(matches!(changed, Err(Error::Conflict { .. })), "{changed:?}");
        } else if last.1 {
            assert!(matches!(changed, Err(Error::Voided(_))), "{changed:?}");
        } else {
            assert_eq!(changed.unwrap().number(), newest + 1);
            known.versions.push(bytes.map_or((last.0, true), |bytes| (bytes, false)));
        }
    }

    /// One read leaves one entry.
    fn get(&mut self, record: u8) {
        let Some(at) = self.pick(record) else { return };
        let session = self.session();
        let before = self.counted();
        let (known, found) = (&self.records[at], session.get_verbatim(self.records[at].record).unwrap());
        let (bytes, voided) = known.versions.last().unwrap();
        assert!(found.value == *bytes && (found.status == Status::Voided) == *voided);
        assert_eq!(found.version.number() as usize, known.versions.len());
        let counting = self.counted() - before;
        // Counting takes entries of its own: the auditor's session and verification.
        assert_eq!(counting, self.cost_of_counting() + 1, "entries for one read");
    }

    fn cost_of_counting(&self) -> u64 {
        let first = self.counted();
        self.counted() - first
    }

    fn check_record(&mut self, at: usize) {
        let session = self.session();
        let known = &self.records[at];
        let history = session.history_verbatim(known.record).unwrap();
        let found = history.iter().rev().map(|entry| (&entry.value, entry.status == Status::Voided));
        assert!(found.eq(known.versions.iter().map(|(bytes, voided)| (bytes, *voided))), "{}", known.record);
    }

    fn list(&mut self, patient: usize, of: usize, limit: usize, voided: bool) {
        let session = self.session();
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let of = kind(of);
            let mut query = session.list_verbatim(self.patients[patient], &of).limit(limit);
            query = if voided { query.include_voided() } else { query };
            query = if let Some(cursor) = after { query.after(cursor) } else { query };
            let page = query.page().unwrap();
            assert!(page.entries.len() <= limit && page.withheld == 0);
            found.extend(page.entries.into_iter().map(|entry| (entry.id, entry.value)));
            match page.next {
                Some(cursor) => after = Some(cursor),
                None => break,
            }
        }
        let of_chart = self.records.iter().rev().filter(|known| (known.patient, known.kind) == (patient, of));
        let newest = of_chart.map(|known| (known.record, known.versions.last().unwrap()));
        let expected =
            newest.filter(|(_, (_, gone))| voided || !gone).map(|(record, (bytes, _))| (record, bytes.clone()));
        assert!(found.into_iter().eq(expected));
    }

    /// Someone without the right is refused, with one entry, and nothing changes.
    fn visitor(&mut self, record: u8) {
        let Some(at) = self.pick(record) else { return };
        let record = self.records[at].record;
        let grant = self.clinic.grant("visitor").all_kinds().actions([Action::List]);
        let visitor = self.clinic.session(&grant).unwrap();
        assert!(matches!(visitor.get_verbatim(record), Err(Error::Denied { .. })));
        assert!(matches!(visitor.void(record, Version::FIRST, "no"), Err(Error::Denied { .. })));
        drop(visitor);
        self.check_record(at);
    }

    fn reopen(&mut self) {
        self.session = None;
        self.clinic.reopen().unwrap();
        assert!(self.clinic.opening().clean);
        self.check_everything();
    }

    fn crash(&mut self) {
        self.session = None;
        self.clinic.crash().unwrap();
        assert!(!self.clinic.opening().clean);
        self.check_everything();
    }

    fn check_everything(&mut self) {
        let before = self.entries;
        self.begin();
        assert!(self.entries > before, "the log is shorter than it was");
        for (identifier, at) in self.identifiers.clone() {
            assert_eq!(self.session().find_patient(&mrn(identifier)).unwrap(), Some(self.patients[at]));
        }
        (0..self.records.len()).for_each(|at| self.check_record(at));
        for patient in 0..self.patients.len() {
            (0..2).for_each(|of| self.list(patient, of, 7, true));
        }
    }

    /// A write meets a full disk or a failing sync. Until the process ends nothing is answered; afterwards what was
    /// acknowledged is there, and what was not is there wholly or not at all.
    fn fault(&mut self, sync: bool, after: u8, step: &WriteStep) {
        let session = self.session();
        let op = if sync { FileOp::Sync } else { FileOp::Write };
        let kind_of_error = if sync { ErrorKind::Other } else { ErrorKind::StorageFull };
        let fault = Fault::on(op, kind_of_error).after(after.into());
        let patients = self.patients.len();
        let mut doubt = Doubt::Nothing;
        match step {
            WriteStep::Register(identifier) => {
                if !self.identifiers.contains_key(identifier) {
                    match session.register_patient([mrn(*identifier)]) {
                        Ok(patient) => {
                            self.identifiers.insert(*identifier, self.patients.len());
                            self.patients.push(patient);
                        }
                        Err(_) => doubt = Doubt::Patient(*identifier),
                    }
                }
            }
            WriteStep::Put(patient, of, len, fill) => {
                let (patient, of, bytes) = (usize::from(*patient) % patients, usize::from(*of) % 2, len.bytes(*fill));
                match session.put_verbatim(self.patients[patient], &kind(of), &bytes, PutOptions::new()) {
                    Ok(record) => self.learn(record, patient, of, bytes),
                    Err(_) => doubt = Doubt::Records(patient, vec![(of, bytes)]),
                }
            }
            WriteStep::Amend(record, len, fill) => {
                if let Some(at) = self.pick(*record).filter(|at| !self.records[*at].versions.last().unwrap().1) {
                    let (known, bytes) = (&mut self.records[at], len.bytes(*fill));
                    let expected = Version::new(u32::try_from(known.versions.len()).unwrap()).unwrap();
                    match session.amend_verbatim(known.record, expected, &bytes) {
                        Ok(_) => known.versions.push((bytes, false)),
                        Err(_) => doubt = Doubt::Version(at, bytes),
                    }
                }
            }
            WriteStep::Batch(members) => {
                // All of one chart, so that their order is known if they are found.
                let patient = members.first().map_or(0, |(patient, ..)| usize::from(*patient) % patients);
                let records: Vec<_> = members
                    .iter()
                    .take(9)
                    .map(|(_, of, len)| (usize::from(*of) % 2, vec![*of; usize::from(*len)]))
                    .collect();
                let mut batch = session.batch();
                for (of, bytes) in &records {
                    batch.put_verbatim(self.patients[patient], &kind(*of), bytes, PutOptions::new()).unwrap();
                }
                match batch.commit() {
                    Ok(made) => {
                        for (record, (of, bytes)) in made.into_iter().zip(records) {
                            self.learn(record, patient, of, bytes);
                        }
                    }
                    Err(_) => doubt = Doubt::Records(patient, records),
                }
            }
        }
        let struck = fault.hits() > 0;
        if matches!(doubt, Doubt::Nothing) {
            drop(fault);
        } else {
            assert!(struck, "a write failed for no reason");
            drop(fault);
            // Where the log has stopped there is no access; where nothing was written, all goes on.
            let _ = session.find_patient(&mrn(0));
        }
        drop(session);
        self.session = None;
        self.clinic.crash().unwrap();
        self.session = Some(self.clinic.physician().unwrap());
        self.settle(doubt);
        self.check_everything();
    }

    /// Finds out what became of a write that was not acknowledged.
    fn settle(&mut self, doubt: Doubt) {
        let session = self.session();
        match doubt {
            Doubt::Nothing => {}
            Doubt::Patient(identifier) => {
                if let Some(patient) = session.find_patient(&mrn(identifier)).unwrap() {
                    self.identifiers.insert(identifier, self.patients.len());
                    self.patients.push(patient);
                }
            }
            Doubt::Records(patient, records) => {
                let count = |of: usize| {
                    let of = kind(of);
                    let page = session.list_verbatim(self.patients[patient], &of).include_voided().limit(1).page();
                    page.unwrap().entries.into_iter().next()
                };
                let known = |this: &Self, of| {
                    this.records.iter().filter(|known| (known.patient, known.kind) == (patient, of)).count()
                };
                let newest = [count(0), count(1)];
                let numbers = [0, 1].map(|of| newest[of].as_ref().map_or(0, |entry| entry.id.number() as usize));
                let more: usize = (0..2).map(|of| numbers[of] - known(self, of)).sum();
                assert!(more == 0 || more == records.len(), "half a batch: {more} of {}", records.len());
                if more > 0 {
                    for (of, bytes) in records {
                        let number = known(self, of) as u64 + 1;
                        let record = newest[of].as_ref().unwrap().id;
                        let record =
                            format!("{record}").rsplit_once('-').map(|(head, _)| format!("{head}-{number}")).unwrap();
                        self.learn(record.parse().unwrap(), patient, of, bytes);
                    }
                }
            }
            Doubt::Version(at, bytes) => {
                let found = session.history_verbatim(self.records[at].record).unwrap().len();
                let known = &mut self.records[at];
                assert!((0..=1).contains(&(found - known.versions.len())));
                if found > known.versions.len() {
                    known.versions.push((bytes, false));
                }
            }
        }
    }
}
