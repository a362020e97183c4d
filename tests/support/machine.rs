//! A vault and a plain in-memory picture of what it must hold, worked side by side. Every answer is compared.

use std::cell::Cell;
use std::collections::BTreeMap;

use chartvault::*;

use super::{House, Note, copy_dir, verify};

pub const KINDS: [&str; 3] = ["note", "Observation", "DocumentReference"];
/// Identifiers that patients can have.
pub const IDENTIFIERS: u8 = 8;

/// What one version must say.
#[derive(Clone, PartialEq)]
struct Told {
    bytes: Vec<u8>,
    status: Status,
    reason: Option<String>,
    clinical_time: Option<Timestamp>,
    recorded_at: Timestamp,
    confidentiality: Confidentiality,
}

impl Told {
    fn event_time(&self) -> Timestamp {
        self.clinical_time.unwrap_or(self.recorded_at)
    }
}

/// Fields of a typed or verbatim entry, as far as the picture knows them.
fn told<T, Id>(entry: &Entry<T, Id>, bytes: Vec<u8>) -> Told {
    Told {
        bytes,
        status: entry.status,
        reason: entry.reason.clone(),
        clinical_time: entry.clinical_time,
        recorded_at: entry.recorded_at,
        confidentiality: entry.confidentiality,
    }
}

/// A value, by seed and length, so that failing cases print short.
#[derive(Clone, Copy, Debug)]
pub struct Value {
    pub seed: u8,
    pub len: usize,
}

impl Value {
    fn text(self) -> String {
        (0..self.len).map(|at| char::from(b'a' + (self.seed.wrapping_add(at as u8) % 26))).collect()
    }
}

/// A step of a rotation of keys.
#[derive(Clone, Copy, Debug)]
pub enum Turn {
    BeginData,
    Continue,
    Wrap,
    Audit,
    Suite,
    Root,
}

impl Turn {
    pub const ALL: [Self; 6] = [Self::BeginData, Self::Continue, Self::Wrap, Self::Audit, Self::Suite, Self::Root];
}

/// Everything that is known of one record.
struct Known {
    record: RecordRef,
    kind: usize,
    patient: usize,
    versions: Vec<Told>,
}

impl Known {
    fn newest(&self) -> &Told {
        self.versions.last().unwrap()
    }

    /// Whether a list of this chart shows it.
    fn is_in(&self, patient: usize, voided: bool) -> bool {
        self.patient == patient && (voided || self.newest().status == Status::Active)
    }
}

/// The two side by side.
pub struct Machine {
    house: House,
    /// With two sessions that take turns, so that each meets what the other has read.
    open: Option<(Vault, [Session; 2])>,
    turn: Cell<usize>,
    patients: Vec<PatientId>,
    /// Identifier values and whom they lead to.
    identifiers: BTreeMap<u8, usize>,
    records: Vec<Known>,
}

fn mrn(value: u8) -> Identifier {
    Identifier::new("urn:mrn:model", &format!("patient {value}")).unwrap()
}

impl Machine {
    /// A vault that keeps so many bytes of opened records.
    pub fn new(record_cache: u64) -> Self {
        let (house, vault) = House::create_with(move |options| options.record_cache(record_cache));
        let sessions = [(); 2].map(|()| house.session(&vault));
        let mut machine = Self {
            house,
            open: Some((vault, sessions)),
            turn: Cell::new(0),
            patients: Vec::new(),
            identifiers: BTreeMap::new(),
            records: Vec::new(),
        };
        machine.register(0);
        machine
    }

    fn vault(&self) -> &Vault {
        &self.open.as_ref().unwrap().0
    }

    fn session(&self) -> &Session {
        self.turn.set(self.turn.get() ^ 1);
        &self.open.as_ref().unwrap().1[self.turn.get()]
    }

    fn tick(&self) -> Timestamp {
        self.house.clock.step(1);
        self.house.clock.now()
    }

    /// Changes keys, and nothing that anybody reads.
    pub fn rotate(&self, turn: Turn) {
        let (vault, key, none) = (self.vault(), &self.house.key, &mut |_: Progress| ());
        match turn {
            Turn::BeginData => assert!(vault.begin_data_rotation(key).unwrap().is_under_way()),
            Turn::Continue => {
                assert_eq!(vault.continue_rotation(key, none).unwrap().unreadable, 0);
                assert!(!vault.rotation().unwrap().is_under_way());
            }
            Turn::Wrap => assert!(vault.rotate_wrap_key(key, none).unwrap().rewrapped > 0),
            Turn::Audit => assert!(vault.rotate_audit_key(key).unwrap() > 1),
            Turn::Suite => {
                let suite = match vault.suite() {
                    Suite::Aes256Gcm => Suite::ChaCha20Poly1305,
                    _ => Suite::Aes256Gcm,
                };
                assert_eq!(vault.change_suite(suite, key, none).unwrap().unreadable, 0);
            }
            Turn::Root => assert_eq!(vault.rotate_root_key(&[key.into()]).unwrap().kept, [0]),
        }
    }

    pub fn register(&mut self, identifier: u8) {
        let registered = self.session().register_patient([mrn(identifier)]);
        if self.identifiers.contains_key(&identifier) {
            assert!(matches!(registered, Err(Error::IdentifierTaken { .. })), "{registered:?}");
            return;
        }
        self.identifiers.insert(identifier, self.patients.len());
        self.patients.push(registered.unwrap());
    }

    pub fn add_identifier(&mut self, patient: usize, identifier: u8) {
        let patient = patient % self.patients.len();
        let added = self.session().add_identifier(self.patients[patient], mrn(identifier));
        match self.identifiers.get(&identifier) {
            Some(other) if *other != patient => assert!(matches!(added, Err(Error::IdentifierTaken { .. }))),
            _ => added.unwrap(),
        }
        self.identifiers.entry(identifier).or_insert(patient);
    }

    pub fn find(&self, identifier: u8) {
        let expected = self.identifiers.get(&identifier).map(|at| self.patients[*at]);
        assert_eq!(self.session().find_patient(&mrn(identifier)).unwrap(), expected);
    }

    pub fn put(&mut self, patient: usize, kind: usize, value: Value, back: Option<u32>) {
        let patient = patient % self.patients.len();
        let (now, text) = (self.tick(), value.text());
        let clinical_time = back.map(|back| Timestamp::from_micros(now.as_micros() - i64::from(back)));
        let mut options = PutOptions::new().confidentiality(Confidentiality::Restricted);
        if let Some(time) = clinical_time {
            options = options.clinical_time(time);
        }
        let chart = self.patients[patient];
        let record = match kind {
            0 => self.session().put_with(chart, &Note { text: text.clone() }, options).map(RecordRef::from),
            _ => self.session().put_verbatim(chart, &Kind::new(KINDS[kind]).unwrap(), text.as_bytes(), options),
        };
        let confidentiality = Confidentiality::Restricted;
        let bytes = text.into_bytes();
        let first =
            Told { bytes, status: Status::Active, reason: None, clinical_time, recorded_at: now, confidentiality };
        self.learn(record.unwrap(), kind, patient, first);
    }

    pub fn batch(&mut self, members: &[(usize, usize, Value)]) {
        let now = self.tick();
        let mut batch = self.session().batch();
        for (patient, kind, value) in members {
            let chart = self.patients[patient % self.patients.len()];
            let text = value.text();
            match kind {
                0 => batch.put(chart, &Note { text }, PutOptions::new()).unwrap(),
                _ => {
                    let kind = Kind::new(KINDS[*kind]).unwrap();
                    batch.put_verbatim(chart, &kind, text.as_bytes(), PutOptions::new()).unwrap();
                }
            }
        }
        let records = batch.commit().unwrap();
        assert_eq!(records.len(), members.len());
        for (record, (patient, kind, value)) in records.into_iter().zip(members) {
            let first = Told {
                bytes: value.text().into_bytes(),
                status: Status::Active,
                reason: None,
                clinical_time: None,
                recorded_at: now,
                confidentiality: Confidentiality::Normal,
            };
            self.learn(record, *kind, patient % self.patients.len(), first);
        }
    }

    /// A new record has the next number of its kind in its chart.
    fn learn(&mut self, record: RecordRef, kind: usize, patient: usize, first: Told) {
        let number = 1 + self.records.iter().filter(|known| (known.kind, known.patient) == (kind, patient)).count();
        assert_eq!((record.patient(), record.number()), (self.patients[patient], number as u64));
        assert_eq!(record.kind(), Kind::new(KINDS[kind]).unwrap().id());
        self.records.push(Known { record, kind, patient, versions: vec![first] });
    }

    /// Amends (`value` given) or voids, based on the newest version or on one that is `behind` it.
    pub fn change(&mut self, which: usize, behind: usize, value: Option<Value>) {
        if self.records.is_empty() {
            return;
        }
        let now = self.tick();
        let at = which % self.records.len();
        let known = &self.records[at];
        let newest = known.versions.len();
        let based_on = newest.saturating_sub(behind).max(1);
        let last = known.versions[newest - 1].clone();
        let expected = versions_of(self.session(), known)[newest - based_on].0;
        let (record, text) = (known.record, value.map(Value::text));
        let changed = match &text {
            None => self.session().void(record, expected, "entered in error"),
            Some(text) if known.kind == 0 => {
                self.session().amend::<Note>(record.try_into().unwrap(), expected, &Note { text: text.clone() })
            }
            Some(text) => self.session().amend_verbatim(record, expected, text.as_bytes()),
        };
        if based_on != newest {
            assert!(matches!(changed, Err(Error::Conflict { .. })), "{changed:?}");
        } else if last.status == Status::Voided {
            assert!(matches!(changed, Err(Error::Voided(_))), "{changed:?}");
        } else {
            assert_eq!(changed.unwrap().number() as usize, newest + 1);
            let next = match text {
                Some(text) => Told { bytes: text.into_bytes(), reason: None, recorded_at: now, ..last },
                None => {
                    Told { status: Status::Voided, reason: Some("entered in error".into()), recorded_at: now, ..last }
                }
            };
            self.records[at].versions.push(next);
        }
    }

    pub fn read(&self, which: usize) {
        if let Some(known) = self.records.get(which % self.records.len().max(1)) {
            self.check_record(known);
        }
    }

    fn check_record(&self, known: &Known) {
        let session = self.session();
        let history = versions_of(session, known);
        let expected: Vec<&Told> = known.versions.iter().rev().collect();
        assert!(history.iter().map(|(_, told)| told).eq(expected.iter().copied()), "history of {}", known.record);
        let newest = known.versions.last().unwrap();
        let (oldest, first) = (history[history.len() - 1].0, &known.versions[0]);
        if known.kind == 0 {
            let id: RecordId<Note> = known.record.try_into().unwrap();
            let text = |entry: Entry<Note>| told(&entry, entry.value.text.clone().into_bytes());
            assert!(text(session.get(id).unwrap()) == *newest, "{}", known.record);
            assert!(text(session.get_version(id, oldest).unwrap()) == *first, "{}", known.record);
        } else {
            let bytes = |entry: VerbatimEntry| told(&entry, entry.value.clone());
            assert!(bytes(session.get_verbatim(known.record).unwrap()) == *newest, "{}", known.record);
            assert!(bytes(session.get_verbatim_version(known.record, oldest).unwrap()) == *first);
        }
    }

    /// Lists one kind of one chart page by page, newest first.
    pub fn list(&self, patient: usize, kind: usize, limit: usize, voided: bool) {
        let patient = patient % self.patients.len();
        let chart = self.patients[patient];
        let mut expected: Vec<&Known> =
            self.records.iter().filter(|known| known.kind == kind && known.is_in(patient, voided)).collect();
        expected.sort_by_key(|known| std::cmp::Reverse(known.record.number()));
        let found = match kind {
            0 => pages(
                || self.session().list::<Note>(chart).limit(limit),
                voided,
                |entry| (RecordRef::from(entry.id), told(entry, entry.value.text.clone().into_bytes())),
            ),
            _ => pages(
                || self.session().list_verbatim(chart, &Kind::new(KINDS[kind]).unwrap()).limit(limit),
                voided,
                |entry| (entry.id, told(entry, entry.value.clone())),
            ),
        };
        let expected = expected.iter().map(|known| (known.record, known.newest().clone()));
        assert!(found.into_iter().eq(expected), "list of {} in {chart}", KINDS[kind]);
    }

    /// Reads a whole chart page by page: each record once, by falling time; of one kind and time, by falling number.
    pub fn chart(&self, patient: usize, limit: usize, voided: bool) {
        let patient = patient % self.patients.len();
        let mut found: Vec<(RecordRef, Timestamp, Told)> = Vec::new();
        let mut after = None;
        loop {
            let mut query = self.session().chart(self.patients[patient]).limit(limit);
            query = if voided { query.include_voided() } else { query };
            query = if let Some(cursor) = after { query.after(cursor) } else { query };
            let page = query.page().unwrap();
            assert!(page.entries.len() <= limit && page.withheld == 0);
            for entry in &page.entries {
                let told = match entry.kind().as_str() {
                    "note" => entry.decode::<Note>().map(|note| told(&note, note.value.text.clone().into_bytes())),
                    _ => entry.verbatim().map(|bytes| told(&bytes, bytes.value.clone())),
                };
                found.push((entry.record(), entry.time(), told.unwrap()));
            }
            match page.next {
                Some(cursor) => after = Some(cursor),
                None => break,
            }
        }
        let by_time = |a: &(RecordRef, Timestamp, Told), b: &(RecordRef, Timestamp, Told)| {
            a.1 > b.1 || (a.1 == b.1 && (a.0.kind() != b.0.kind() || a.0.number() > b.0.number()))
        };
        assert!(found.is_sorted_by(by_time), "order of the chart");
        let expected = self.records.iter().filter(|known| known.is_in(patient, voided));
        let mut expected: Vec<_> =
            expected.map(|known| (known.record, known.newest().event_time(), known.newest().clone())).collect();
        expected.sort_by_key(|(record, _, _)| *record);
        found.sort_by_key(|(record, _, _)| *record);
        assert!(found == expected, "chart of {}", self.patients[patient]);
    }

    pub fn kinds(&self, patient: usize) {
        let patient = patient % self.patients.len();
        let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
        for known in self.records.iter().filter(|known| known.patient == patient) {
            *expected.entry(KINDS[known.kind]).or_default() += 1;
        }
        let found = self.session().kinds(self.patients[patient]).unwrap();
        let found: BTreeMap<_, _> = found.iter().map(|count| (count.kind.as_str(), count.records)).collect();
        assert_eq!(found, expected);
    }

    /// All typed records of a chart in one call, in an order of the caller's.
    pub fn get_many(&self, patient: usize) {
        let patient = patient % self.patients.len();
        let wanted: Vec<&Known> =
            self.records.iter().filter(|known| (known.kind, known.patient) == (0, patient)).rev().collect();
        let ids: Vec<RecordId<Note>> = wanted.iter().map(|known| known.record.try_into().unwrap()).collect();
        let found = self.session().get_many(&ids).unwrap();
        let found = found.iter().map(|entry| told(entry, entry.value.text.clone().into_bytes()));
        assert!(found.eq(wanted.iter().map(|known| known.newest().clone())));
    }

    /// Closes the vault and opens it again.
    pub fn close_and_open(&mut self) {
        self.vault().close().unwrap();
        assert!(matches!(self.session().kinds(self.patients[0]), Err(Error::Sealed)));
        self.reopen(true);
    }

    /// Opens it again after it was dropped without closing.
    pub fn drop_and_open(&mut self) {
        self.reopen(false);
    }

    fn reopen(&mut self, closed: bool) {
        // What holds the directory goes before it is opened again.
        self.open = None;
        let vault = self.house.open();
        assert_eq!(vault.opening().clean, closed, "{}", vault.opening());
        let sessions = [(); 2].map(|()| self.house.session(&vault));
        self.open = Some((vault, sessions));
        self.check_everything();
    }

    /// Copies the directory while the vault is open, as after a power cut, and opens the copy.
    pub fn check_live_copy(&mut self) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("copy");
        copy_dir(&self.house.path(), &path);
        let vault = self.house.open_at(&path).unwrap();
        assert!(!vault.opening().clean);
        let sessions = [(); 2].map(|()| self.house.session(&vault));
        let own = self.open.replace((vault, sessions));
        self.check_everything();
        self.vault().close().unwrap();
        self.open = own;
    }

    /// Reads everything in every way, and verifies the log.
    pub fn check_everything(&self) {
        (0..IDENTIFIERS).for_each(|identifier| self.find(identifier));
        self.records.iter().for_each(|known| self.check_record(known));
        for patient in 0..self.patients.len() {
            for kind in 0..KINDS.len() {
                self.list(patient, kind, 7, true);
                self.list(patient, kind, 1_000, false);
            }
            self.chart(patient, 5, true);
            self.chart(patient, 1_000, false);
            self.kinds(patient);
            self.get_many(patient);
        }
        let verified = verify(self.session());
        assert!(verified.entries as usize > self.records.len());
    }
}

/// All versions of a record, newest first.
fn versions_of(session: &Session, known: &Known) -> Vec<(Version, Told)> {
    if known.kind == 0 {
        let history = session.history::<Note>(known.record.try_into().unwrap()).unwrap();
        history.iter().map(|entry| (entry.version, told(entry, entry.value.text.clone().into_bytes()))).collect()
    } else {
        let history = session.history_verbatim(known.record).unwrap();
        history.iter().map(|entry| (entry.version, told(entry, entry.value.clone()))).collect()
    }
}

/// All entries of a list, page by page.
fn pages<'s, E, R>(query: impl Fn() -> ListQuery<'s, E>, voided: bool, view: impl Fn(&E) -> R) -> Vec<R> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let mut query = query();
        query = if voided { query.include_voided() } else { query };
        query = if let Some(cursor) = after { query.after(cursor) } else { query };
        let page = query.page().unwrap();
        assert_eq!(page.withheld, 0);
        found.extend(page.entries.iter().map(&view));
        match page.next {
            Some(cursor) => after = Some(cursor),
            None => return found,
        }
    }
}
