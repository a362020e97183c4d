//! The index of the log: queries answer as if there were none, whatever happens to it.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::audit::{Part, STRETCH};
use crate::storage::Bytes;
use crate::unlocked::Unlocked;
use crate::{AuditEntry, AuditFilter, Kind, LogFault, LogVerdict, PatientId, PutOptions, ReadAudit, Scope, Session};

struct House {
    dir: tempfile::TempDir,
    key: RawKey,
    issuer: IssuerKey,
    patients: Vec<PatientId>,
}

impl House {
    /// A vault whose log has a little more than two full stretches: reads of several charts by several people, for several
    /// purposes, some of which are refused.
    fn new() -> (Self, Vault) {
        let (key, issuer) = (RawKey::generate().unwrap(), IssuerKey::generate().unwrap());
        let mut house = Self { dir: tempfile::tempdir().unwrap(), key, issuer, patients: Vec::new() };
        let (vault, _) = Vault::create(house.dir.path()).raw_key(&house.key).options(options()).finish().unwrap();
        vault.trust_issuer(house.issuer.public(), &house.key).unwrap();
        let first = house.session(&vault, "dr.osei", Purpose::Treatment);
        house.patients = first.register_patients((0..30).map(|_| [])).unwrap();
        let kind = Kind::new("note").unwrap();
        let put = |patient: &PatientId| first.put_verbatim(*patient, &kind, b"x", PutOptions::new()).unwrap();
        let records: Vec<_> = house.patients.iter().map(put).collect();
        let window = ReadAudit::Windowed { delay: Duration::from_secs(10), entries: 10_000 };
        vault.set_read_audit(window, &house.key).unwrap();
        // As many sessions as it takes for reads not to share entries.
        let sessions: Vec<Session> = (0..20)
            .map(|at| {
                let purpose = if at % 5 == 0 { Purpose::Payment } else { Purpose::Treatment };
                house.session(&vault, ["dr.osei", "nurse.b", "clerk"][at % 3], purpose)
            })
            .collect();
        let unknown = PatientId::from_bytes([9; 16]);
        for at in 0..9_000_usize {
            let session = &sessions[at % sessions.len()];
            if at % 701 == 0 {
                assert!(session.chart(unknown).page().is_err());
            }
            session.get_verbatim(records[(at * at / 7) % 30]).unwrap();
        }
        vault.set_read_audit(ReadAudit::Durable, &house.key).unwrap();
        (house, vault)
    }

    fn open(&self) -> Vault {
        Vault::open_with(self.dir.path(), options()).unwrap().unlock(&self.key).unwrap()
    }

    fn session(&self, vault: &Vault, who: &str, purpose: Purpose) -> Session {
        let grant = Grant::to(who).all_patients().all_kinds().actions(Action::ALL.iter().copied());
        let grant = grant.purpose(Purpose::Treatment).purpose(Purpose::Payment).valid_for(Duration::from_secs(3_600));
        vault.session(grant.sign(&self.issuer, vault.id()).unwrap(), purpose).unwrap()
    }

    fn auditor(&self, vault: &Vault) -> Session {
        self.session(vault, "auditor", Purpose::Treatment)
    }
}

fn id_of(name: &str) -> crate::PrincipalId {
    crate::crypto::kdf::principal_id(name)
}

fn options() -> Options {
    Options::new().scrub_rate(0)
}

/// All entries there were, by reading the log without a question that the index could answer.
fn all(session: &Session) -> Vec<AuditEntry> {
    let (mut all, mut from) = (Vec::new(), Some(0));
    while let Some(at) = from {
        let query = session.audit().unwrap().query(AuditFilter::new()).oldest_first().starting_at(at).limit(1_000);
        let page = query.page().unwrap();
        all.extend(page.entries);
        // The queries themselves are in the log.
        from = page.next.filter(|next| *next < 9_100);
    }
    all
}

/// The numbers of what a filter lets through, of the entries before one, page after page.
fn asked(session: &Session, filter: &AuditFilter, (limit, oldest): (usize, bool), end: u64) -> Vec<u64> {
    let (mut found, mut next) = (Vec::new(), Some(if oldest { 0 } else { end }));
    while let Some(at) = next {
        let query = session.audit().unwrap().query(filter.clone()).limit(limit);
        let query = if oldest { query.oldest_first().starting_at(at).before(end) } else { query.before(at) };
        let page = query.page().unwrap();
        assert!(page.entries.len() <= limit);
        found.extend(page.entries.iter().map(|entry| entry.seq));
        next = page.next;
    }
    found
}

fn wanted(all: &[AuditEntry], filter: &AuditFilter, oldest: bool) -> Vec<u64> {
    let mut seqs: Vec<u64> = all.iter().filter(|entry| filter.matches(entry)).map(|entry| entry.seq).collect();
    if !oldest {
        seqs.reverse();
    }
    seqs
}

fn filters(patients: &[PatientId], all: &[AuditEntry]) -> impl Strategy<Value = AuditFilter> + use<> {
    let (patients, times) = (patients.to_vec(), all.iter().map(|entry| entry.time).collect::<Vec<_>>());
    let actors = ["dr.osei", "nurse.b", "clerk", "nobody"].map(id_of);
    (0..3_usize, 0..3_usize, any::<u8>(), any::<prop::sample::Index>(), any::<prop::sample::Index>()).prop_map(
        move |(named, people, other, a, b)| {
            let mut filter = AuditFilter::new();
            for n in 0..named {
                filter = filter.patient(patients[(a.index(30) + n * 7) % 30]);
            }
            for n in 0..people {
                filter = filter.actor(actors[(b.index(4) + n) % 4]);
            }
            if other & 1 > 0 {
                filter = filter.event(AuditEvent::RecordRead);
            }
            if other & 2 > 0 {
                filter = filter.outcome(if other & 4 > 0 { Outcome::Allowed } else { Outcome::Failed });
            }
            if other & 8 > 0 {
                filter = filter.purpose(Purpose::Payment);
            }
            if other & 48 == 48 {
                filter = filter.action(Action::Read);
            }
            if other & 192 == 192 {
                filter = filter.from(times[a.index(times.len())]).to(times[b.index(times.len())]);
            }
            filter
        },
    )
}

#[test]
fn queries_answer_as_a_reading_of_all_entries_does_whatever_happens_to_the_index() {
    let (house, vault) = House::new();
    let session = house.auditor(&vault);
    let all = all(&session);
    let end = all.last().unwrap().seq + 1;
    assert!(end > 2 * STRETCH, "{end}");
    let ways = (filters(&house.patients, &all), 1..300_usize, any::<bool>());
    let mut runner = TestRunner::new(Config::with_cases(60));
    let same = |session: &Session, runner: &mut TestRunner| {
        runner
            .run(&ways, |(filter, limit, oldest)| {
                let (found, right) = (asked(session, &filter, (limit, oldest), end), wanted(&all, &filter, oldest));
                prop_assert_eq!(found, right, "{:?} {} {}", filter, limit, oldest);
                Ok(())
            })
            .unwrap();
    };
    same(&session, &mut runner);

    // Opened anew, from the rows that were stored.
    drop(session);
    vault.close().unwrap();
    let vault = house.open();
    assert!(rows(&vault).iter().all(Option::is_some), "the rows were stored");
    same(&house.auditor(&vault), &mut runner);

    // A patient who is erased is in the index no more than in the entries: by what cannot be told.
    let session = house.auditor(&vault);
    let filter = AuditFilter::new().patient(house.patients[3]);
    assert!(!asked(&session, &filter, (100, false), end).is_empty());
    let report = session.audit().unwrap().verify(Scope::All).report().unwrap();
    assert!(report.completeness.is_sound(), "{report}");
}

const KEYS: [(Part, u64); 4] = [(Part::Named, 0), (Part::Columns, 0), (Part::Named, 1), (Part::Columns, 1)];

fn rows(vault: &Vault) -> [Option<Bytes>; 4] {
    let unlocked = vault.0.gate.enter().unwrap();
    KEYS.map(|(part, number)| unlocked.committer.get(Tree::Log, &part.key(number)).unwrap())
}

fn put(unlocked: &Unlocked, (part, number): (Part, u64), value: Option<Bytes>) {
    let row = Row { tree: Tree::Log, key: part.key(number).into(), value, replaces: Some([].into()) };
    unlocked.committer.commit(vec![row], Vec::new()).unwrap();
    unlocked.committer.settle();
}

/// What somebody does to the rows, and what queries then answer.
fn attacked(attack: impl Fn(&Unlocked, &[Bytes; 4])) -> (Vault, Session, House) {
    let (house, vault) = House::new();
    let session = house.auditor(&vault);
    let filter = AuditFilter::new().patient(house.patients[5]).actor(id_of("nurse.b"));
    let end = 2 * STRETCH;
    let right = asked(&session, &filter, (50, false), end);
    assert!(right.len() > 10, "{right:?}");
    drop(session);
    let stored = rows(&vault).map(Option::unwrap);
    attack(&vault.0.gate.enter().unwrap(), &stored);
    vault.close().unwrap();
    let vault = house.open();
    let session = house.auditor(&vault);
    assert_eq!(asked(&session, &filter, (50, false), end), right);
    assert!(rows(&vault).iter().all(Option::is_some), "they were made anew");
    (vault, session, house)
}

#[test]
fn an_index_row_that_was_removed_keeps_no_entry_back() {
    for key in KEYS {
        attacked(|unlocked, _| put(unlocked, key, None));
    }
}

#[test]
fn index_rows_that_were_swapped_changed_or_cut_are_made_anew() {
    attacked(|unlocked, rows| {
        put(unlocked, KEYS[0], Some(Arc::clone(&rows[2])));
        put(unlocked, KEYS[2], Some(Arc::clone(&rows[0])));
        put(unlocked, KEYS[1], Some(rows[1][..rows[1].len() - 1].into()));
        let mut flipped = rows[3].to_vec();
        flipped[100] ^= 1;
        put(unlocked, KEYS[3], Some(flipped.into()));
    });
}

#[test]
fn the_index_of_another_vault_is_made_anew() {
    let (_other_house, other) = House::new();
    let unlocked = other.0.gate.enter().unwrap();
    (0..2).for_each(|number| drop(unlocked.index_named(number).unwrap()));
    drop(unlocked);
    let theirs = rows(&other).map(Option::unwrap);
    attacked(|unlocked, _| {
        for (key, row) in KEYS.iter().zip(&theirs) {
            put(unlocked, *key, Some(Arc::clone(row)));
        }
    });
}

#[test]
fn an_index_that_keeps_entries_back_under_the_vaults_own_key_is_found_by_a_full_verification() {
    let (house, vault) = House::new();
    let unlocked = vault.0.gate.enter().unwrap();
    // The keeper may be making it, and is then done with it.
    unlocked.index_ahead(0, 2).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    // Of no entries at all, by somebody who has the vault's keys.
    unlocked.forge_index(1).unwrap();
    let session = house.auditor(&vault);
    let filter = AuditFilter::new().patient(house.patients[5]);
    let second = |found: &[u64]| found.iter().filter(|seq| (STRETCH..2 * STRETCH).contains(*seq)).count();
    assert_eq!(second(&asked(&session, &filter, (50, false), 2 * STRETCH)), 0, "the index is all that queries have");
    let report = session.audit().unwrap().verify(Scope::All).report().unwrap();
    let LogVerdict::Unsound(faults) = &report.completeness else { panic!("{report}") };
    assert_eq!(faults[..], [LogFault::Index { first: STRETCH }]);
    assert!(report.integrity.is_sound());
    assert!(second(&asked(&session, &filter, (50, false), 2 * STRETCH)) > 10, "it was made anew");
    assert!(session.audit().unwrap().verify(Scope::All).report().unwrap().completeness.is_sound());
}
