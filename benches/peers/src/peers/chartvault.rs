//! chartvault itself.

use std::fs;
use std::path::Path;
use std::time::Duration;

use chartvault::{
    Action, Grant, IssuerKey, Kind, Options, PatientId, Purpose, PutOptions, RawKey, ReadAudit, RecordRef, Session,
    Suite, Vault,
};

use crate::clinic::{BATCH, CHART, Clinic, Desk, KIND, Name, Peer, ReadLog, WAITING};
use crate::window::DELAY;

/// The suite of a processor without instructions for AES.
pub const CHACHA20: Peer = Peer {
    name: "chacha20",
    label: "chartvault, ChaCha20",
    settings: "as created; unlocked with a raw key; one session, cloned for each caller; values verbatim",
    create: |path, patients| create(path, patients, Suite::ChaCha20Poly1305, Options::new()),
    open: |path| open(path, Options::new()),
};

/// The default where the processor has instructions for it.
pub const AES: Peer = Peer {
    name: "aes",
    label: "chartvault, AES",
    settings: "the same with `Suite::Aes256Gcm`",
    create: |path, patients| create(path, patients, Suite::Aes256Gcm, Options::new()),
    open: |path| open(path, Options::new()),
};

/// With other limits to what the trees hold themselves, for sizes alone.
pub const INLINE: [Peer; 3] = [
    Peer {
        name: "aes-0",
        label: "chartvault, AES, no values in the trees",
        settings: "as aes with `Options::inline_limit(0)`; size and opening alone",
        create: |path, patients| create(path, patients, Suite::Aes256Gcm, Options::new().inline_limit(0)),
        open: |path| open(path, Options::new().inline_limit(0)),
    },
    Peer {
        name: "aes-512",
        label: "chartvault, AES, sealed values up to 512 bytes in the trees",
        settings: "as aes with `Options::inline_limit(512)`; size and opening alone",
        create: |path, patients| create(path, patients, Suite::Aes256Gcm, Options::new().inline_limit(512)),
        open: |path| open(path, Options::new().inline_limit(512)),
    },
    Peer {
        name: "aes-4096",
        label: "chartvault, AES, sealed values up to 4,096 bytes in the trees",
        settings: "as aes with `Options::inline_limit(4096)`; size and opening alone",
        create: |path, patients| create(path, patients, Suite::Aes256Gcm, Options::new().inline_limit(4_096)),
        open: |path| open(path, Options::new().inline_limit(4_096)),
    },
];

struct Ours {
    vault: Vault,
    session: Session,
    patients: Vec<PatientId>,
}

/// The same key for every vault: they hold nothing, and a raw key leaves password hashing out of the times.
fn key() -> RawKey {
    RawKey::from_bytes([7; 32])
}

fn issuer() -> IssuerKey {
    IssuerKey::from_secret_bytes(&[9; 32])
}

fn session(vault: &Vault) -> Session {
    let grant = Grant::to("dr.osei").all_patients().all_kinds().actions(Action::ALL.iter().copied());
    let grant = grant.purpose(Purpose::Treatment).valid_for(Duration::from_secs(36_000));
    vault.session(grant.sign(&issuer(), vault.id()).unwrap(), Purpose::Treatment).unwrap()
}

fn create(path: &Path, patients: usize, suite: Suite, options: Options) -> Box<dyn Clinic> {
    let key = key();
    let (vault, _) = Vault::create(path.join("vault")).raw_key(&key).suite(suite).options(options).finish().unwrap();
    vault.trust_issuer(issuer().public(), &key).unwrap();
    let session = session(&vault);
    let patients: Vec<_> = (0..patients).map(|_| session.register_patient([]).unwrap()).collect();
    let names: String = patients.iter().map(|patient| format!("{patient}\n")).collect();
    fs::write(path.join("patients"), names).unwrap();
    Box::new(Ours { vault, session, patients })
}

fn open(path: &Path, options: Options) -> Box<dyn Clinic> {
    let vault = Vault::open_with(path.join("vault"), options).unwrap().unlock(&key()).unwrap();
    let session = session(&vault);
    let names = fs::read_to_string(path.join("patients")).unwrap();
    let patients = names.lines().map(|name| name.parse().unwrap()).collect();
    Box::new(Ours { vault, session, patients })
}

impl Clinic for Ours {
    fn desk(&self) -> Box<dyn Desk + '_> {
        Box::new(OurDesk { clinic: self, session: self.session.clone(), kind: Kind::new(KIND).unwrap() })
    }

    fn choose(&self, log: ReadLog) {
        let choice = match log {
            ReadLog::Durable => ReadAudit::Durable,
            ReadLog::Windowed => ReadAudit::Windowed { delay: DELAY, entries: WAITING as u32 },
        };
        if self.vault.read_audit().unwrap() != choice {
            self.vault.set_read_audit(choice, &key()).unwrap();
        }
    }

    fn close(self: Box<Self>) {
        self.vault.close().unwrap();
    }
}

struct OurDesk<'c> {
    clinic: &'c Ours,
    session: Session,
    kind: Kind,
}

impl Desk for OurDesk<'_> {
    fn put(&mut self, patient: usize, value: &[u8]) {
        self.session.put_verbatim(self.clinic.patients[patient], &self.kind, value, PutOptions::new()).unwrap();
    }

    fn import(&mut self, records: &[(usize, &[u8])]) -> Vec<Name> {
        // A batch may hold more; the log shall say the same as the peers'.
        assert!(records.len() <= BATCH);
        let mut batch = self.session.batch();
        for (patient, value) in records {
            batch.put_verbatim(self.clinic.patients[*patient], &self.kind, value, PutOptions::new()).unwrap();
        }
        batch.commit().unwrap().into_iter().map(Name::Record).collect()
    }

    fn read(&mut self, name: &Name) -> Vec<u8> {
        self.session.get_verbatim(record(name)).unwrap().value
    }

    fn chart(&mut self, patient: usize) -> usize {
        self.session.chart(self.clinic.patients[patient]).limit(CHART).page().unwrap().entries.len()
    }
}

fn record(name: &Name) -> RecordRef {
    match name {
        Name::Record(record) => *record,
        Name::Number(..) => unreachable!("the name of another peer's record"),
    }
}
