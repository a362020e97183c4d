//! A vault whose log is long.

use std::path::PathBuf;
use std::time::Duration;

use chartvault::{
    Action, AuditFilter, Grant, IssuerKey, Kind, PatientId, Purpose, PutOptions, RawKey, ReadAudit, RecordRef, Session,
    Token, Vault,
};

const CHARTS: usize = 1_000;
/// As many people as it takes for none to share an entry with a read of their own that waits.
pub(crate) const PEOPLE: usize = 32;

pub(crate) struct Clinic {
    dir: tempfile::TempDir,
    key: RawKey,
    tokens: Vec<Token>,
    pub(crate) vault: Vault,
    pub(crate) people: Vec<Session>,
    pub(crate) patients: Vec<PatientId>,
    pub(crate) records: Vec<RecordRef>,
}

impl Clinic {
    pub(crate) fn new(dir: Option<&str>) -> Self {
        let dir = dir.map_or_else(tempfile::tempdir, tempfile::tempdir_in).unwrap();
        let key = RawKey::generate().unwrap();
        let (vault, _) = Vault::create(dir.path().join("vault")).raw_key(&key).finish().unwrap();
        let issuer = IssuerKey::generate().unwrap();
        vault.trust_issuer(issuer.public(), &key).unwrap();
        let token = |name: String| {
            let grant = Grant::to(&name).all_patients().all_kinds().actions(Action::ALL.iter().copied());
            let grant = grant.purpose(Purpose::Treatment).valid_for(Duration::from_secs(36_000));
            grant.sign(&issuer, vault.id()).unwrap()
        };
        let tokens: Vec<Token> = (0..PEOPLE).map(|at| token(format!("person {at}"))).collect();
        let people: Vec<Session> =
            tokens.iter().map(|token| vault.session(token, Purpose::Treatment).unwrap()).collect();
        let patients = people[0].register_patients((0..CHARTS).map(|_| [])).unwrap();
        let kind = Kind::new("note").unwrap();
        let put = |patient| people[0].put_verbatim(patient, &kind, &[5; 512], PutOptions::new()).unwrap();
        let records = patients.iter().map(|patient| put(*patient)).collect();
        Self { dir, key, tokens, vault, people, patients, records }
    }

    /// Lets entries of reads wait, so that what is measured is not the disk.
    pub(crate) fn let_reads_wait(&self) {
        let window = ReadAudit::Windowed { delay: Duration::from_secs(1), entries: 10_000 };
        self.vault.set_read_audit(window, &self.key).unwrap();
    }

    /// Makes durable what waits.
    pub(crate) fn wait_no_more(&self) {
        self.vault.set_read_audit(ReadAudit::Durable, &self.key).unwrap();
    }

    pub(crate) fn entries(&self) -> u64 {
        let page = self.people[0].audit().unwrap().query(AuditFilter::new()).limit(1).page().unwrap();
        page.entries.first().map_or(0, |entry| entry.seq + 1)
    }

    /// Each person in turn reads the next record.
    pub(crate) fn read(&self, times: usize) {
        let records = self.records.iter().cycle();
        for (session, record) in self.people.iter().cycle().zip(records).take(times) {
            session.get_verbatim(*record).unwrap();
        }
    }

    pub(crate) fn read_until(&self, entries: u64) {
        self.let_reads_wait();
        self.read(usize::try_from(entries.saturating_sub(self.entries())).unwrap());
        self.wait_no_more();
        assert!(self.entries() >= entries, "reads shared entries");
        self.vault.checkpoint().unwrap();
    }

    /// Closed, and opened again.
    pub(crate) fn reopened(self) -> Self {
        let Self { dir, key, tokens, vault, people, patients, records } = self;
        drop(people);
        vault.close().unwrap();
        drop(vault);
        let vault = Vault::open(dir.path().join("vault")).unwrap().unlock(&key).unwrap();
        let people = tokens.iter().map(|token| vault.session(token, Purpose::Treatment).unwrap()).collect();
        Self { dir, key, tokens, vault, people, patients, records }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}
