//! SQLite with a records table and an audit table filled by the application: as SQLCipher, and without encryption.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::clinic::{CHART, Clinic, Desk, KIND, Name, Peer, ReadLog, patient_id};
use crate::entry::{Action, Chain, Draft, Entry};
use crate::window::Window;

/// What a vendor would build instead.
pub const SQLCIPHER: Peer = Peer {
    name: "sqlcipher",
    label: "SQLCipher",
    settings: "SQLCipher 4 defaults (AES-256-CBC, HMAC-SHA-512, pages of 4 KiB; OpenSSL), a raw key; `journal_mode=WAL`, \
               `synchronous=FULL`, 256 MiB of cache a connection; a connection a thread, `BEGIN IMMEDIATE`, \
               `busy_timeout` of 60 s, cached prepared statements; fdatasync",
    create: |path, _| create(path, true),
    open: |path| open(path, true),
};

/// What encryption costs it.
pub const PLAIN: Peer = Peer {
    name: "sqlite",
    label: "SQLite, nothing encrypted",
    settings: "the same library and settings without a key",
    create: |path, _| create(path, false),
    open: |path| open(path, false),
};

const SCHEMA: &str = "
    CREATE TABLE records (id INTEGER PRIMARY KEY, patient BLOB NOT NULL, kind TEXT NOT NULL, version INTEGER NOT NULL,
        recorded_at INTEGER NOT NULL, author BLOB NOT NULL, value BLOB NOT NULL);
    CREATE INDEX records_of_patient ON records (patient, recorded_at);
    CREATE TABLE audit (seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, actor BLOB NOT NULL, action INTEGER NOT NULL,
        patient BLOB NOT NULL, record INTEGER NOT NULL, outcome INTEGER NOT NULL, rest BLOB NOT NULL,
        hash BLOB NOT NULL);";

struct Sql {
    path: PathBuf,
    encrypted: bool,
    /// Its connection stays open, so that the journal is not removed whenever the last desk goes.
    window: Window,
}

fn create(path: &Path, encrypted: bool) -> Box<dyn Clinic> {
    connect(path, encrypted).execute_batch(SCHEMA).unwrap();
    open(path, encrypted)
}

fn open(path: &Path, encrypted: bool) -> Box<dyn Clinic> {
    let window = window(connect(path, encrypted));
    Box::new(Sql { path: path.to_owned(), encrypted, window })
}

/// A connection with the recommended durable settings.
pub(super) fn connect(path: &Path, encrypted: bool) -> Connection {
    let connection = Connection::open(path.join("clinic.db")).unwrap();
    if encrypted {
        let key: String = std::iter::repeat_n("a7", 32).collect();
        connection.execute_batch(&format!("PRAGMA key = \"x'{key}'\"")).unwrap();
        let version: String = connection.query_row("PRAGMA cipher_version", [], |row| row.get(0)).unwrap();
        assert!(version.starts_with("4."), "SQLCipher {version}");
    }
    let journal: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).unwrap();
    assert_eq!(journal, "wal");
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA cache_size = -262144").unwrap();
    connection.busy_timeout(Duration::from_secs(60)).unwrap();
    connection.set_prepared_statement_cache_capacity(32);
    connection
}

/// A window whose entries this connection writes.
pub(super) fn window(mut connection: Connection) -> Window {
    Window::new(move |drafts| {
        let transaction = begin(&mut connection);
        let mut chain = end_of_log(&transaction);
        drafts.into_iter().for_each(|draft| log(&transaction, &chain.append(draft)));
        transaction.commit().unwrap();
    })
}

pub(super) fn begin(connection: &mut Connection) -> Transaction<'_> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate).unwrap()
}

fn prepared<'c>(connection: &'c Connection, text: &str) -> CachedStatement<'c> {
    connection.prepare_cached(text).unwrap()
}

/// Where the next entry goes.
pub(super) fn end_of_log(connection: &Connection) -> Chain {
    let mut newest = prepared(connection, "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1");
    let newest = newest.query_row([], |row| Ok(Chain { next: row.get::<_, u64>(0)? + 1, last: row.get(1)? }));
    newest.optional().unwrap().unwrap_or_default()
}

pub(super) fn log(connection: &Connection, entry: &Entry) {
    let Entry { seq, time, actor, action, patient, record, outcome, rest, hash } = entry;
    prepared(connection, "INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")
        .execute(params![seq, time, actor, action, patient, record, outcome, rest, hash])
        .unwrap();
}

/// Adds a record without its entry.
pub(super) fn insert(connection: &Connection, patient: usize, value: &[u8]) -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as i64;
    let text =
        "INSERT INTO records (patient, kind, version, recorded_at, author, value) VALUES (?1, ?2, 1, ?3, ?4, ?5)";
    let row = params![patient_id(patient), KIND, now, b"dr.osei@clinic-a", value];
    prepared(connection, text).insert(row).unwrap() as u64
}

/// Everything there is to know about a record: kind, version, time, author, value.
type Record = (String, u32, i64, [u8; 16], Vec<u8>);

pub(super) fn value(connection: &Connection, record: u64) -> Vec<u8> {
    let mut query = prepared(connection, "SELECT kind, version, recorded_at, author, value FROM records WHERE id = ?1");
    let record: Record = query.query_row([record], |row| row.try_into()).unwrap();
    record.4
}

/// The numbers of the newest records of a chart, and how many were read.
pub(super) fn newest(connection: &Connection, patient: usize) -> Vec<u64> {
    let text = "SELECT id, kind, version, recorded_at, author, value FROM records WHERE patient = ?1 \
                ORDER BY recorded_at DESC LIMIT ?2";
    let mut query = prepared(connection, text);
    let rows = query.query_map(params![patient_id(patient), CHART], |row| {
        let record: Record = (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?);
        Ok((row.get::<_, u64>(0)?, record))
    });
    let records: Vec<(u64, Record)> = rows.unwrap().map(Result::unwrap).collect();
    std::hint::black_box(&records);
    records.into_iter().map(|(number, _)| number).collect()
}

impl Clinic for Sql {
    fn desk(&self) -> Box<dyn Desk + '_> {
        Box::new(SqlDesk { connection: connect(&self.path, self.encrypted), window: &self.window })
    }

    fn choose(&self, log: ReadLog) {
        self.window.choose(log);
    }

    fn close(self: Box<Self>) {}
}

struct SqlDesk<'c> {
    connection: Connection,
    window: &'c Window,
}

impl SqlDesk<'_> {
    /// Does the work and writes its entry, in one transaction.
    fn logged<T>(&mut self, work: impl FnOnce(&Connection) -> (T, Draft)) -> T {
        let transaction = begin(&mut self.connection);
        let (value, draft) = work(&transaction);
        log(&transaction, &end_of_log(&transaction).append(draft));
        transaction.commit().unwrap();
        value
    }
}

impl Desk for SqlDesk<'_> {
    fn put(&mut self, patient: usize, value: &[u8]) {
        self.logged(|connection| {
            let record = insert(connection, patient, value);
            ((), Draft::new(Action::Put, vec![patient_id(patient)], vec![record]))
        });
    }

    fn import(&mut self, records: &[(usize, &[u8])]) -> Vec<Name> {
        self.logged(|connection| {
            let numbers: Vec<_> = records.iter().map(|(patient, value)| insert(connection, *patient, value)).collect();
            let names = records.iter().zip(&numbers).map(|((patient, _), number)| Name::Number(*patient, *number));
            let names = names.collect();
            let mut patients: Vec<_> = records.iter().map(|(patient, _)| *patient).collect();
            patients.dedup();
            (names, Draft::new(Action::Put, patients.into_iter().map(patient_id).collect(), numbers))
        })
    }

    fn read(&mut self, name: &Name) -> Vec<u8> {
        let Name::Number(patient, record) = *name else { unreachable!("the name of another peer's record") };
        let draft = || Draft::new(Action::Read, vec![patient_id(patient)], vec![record]);
        if self.window.is_on() {
            let value = value(&self.connection, record);
            self.window.push(draft());
            return value;
        }
        self.logged(|connection| (value(connection, record), draft()))
    }

    fn chart(&mut self, patient: usize) -> usize {
        self.logged(|connection| {
            let numbers = newest(connection, patient);
            (numbers.len(), Draft::new(Action::Chart, vec![patient_id(patient)], numbers))
        })
    }
}
