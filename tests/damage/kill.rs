//! `kill -9` of a process that imports, at many moments: while records go in, around segment rolls, while the vault is
//! created, opened and closed. Whatever the process had printed as acknowledged must be there and equal; no batch is
//! there by half; the log verifies.

use crate::support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use chartvault::*;
use support::{everything, small, verify, whole_log};

/// What the killed process is told.
const DIR: &str = "CHARTVAULT_KILL_DIR";
const KEY: &str = "CHARTVAULT_KILL_KEY";
const TOKEN: &str = "CHARTVAULT_KILL_TOKEN";
const PATIENT: &str = "CHARTVAULT_KILL_PATIENT";
const ROUND: &str = "CHARTVAULT_KILL_ROUND";
const CLOSE_AFTER: &str = "CHARTVAULT_KILL_CLOSE_AFTER";

/// Several hundred bytes to several frames' worth of a small segment, known from its name alone.
fn value(name: &str) -> Vec<u8> {
    let seed: usize = name.bytes().fold(7, |seed, byte| seed.wrapping_mul(31).wrapping_add(usize::from(byte)));
    let len = if seed.is_multiple_of(11) { 20_000 } else { 200 + seed % 3_000 };
    let filler = name.bytes().cycle().take(len);
    name.bytes().chain([b'|']).chain(filler).collect()
}

fn name_of(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == b'|').expect("a value that the import never wrote");
    String::from_utf8(value[..end].to_vec()).unwrap()
}

fn kind() -> Kind {
    Kind::new("Observation").unwrap()
}

/// The process that is killed. Run by the tests below only.
#[test]
#[ignore = "the process that the other tests kill"]
fn victim() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let told = |name: &str| std::env::var(name).unwrap_or_default();
    let key = RawKey::from_bytes(bytes_of(&told(KEY)));
    println!();
    if told(TOKEN).is_empty() {
        let (vault, _) = Vault::create(&dir).raw_key(&key).options(small()).finish().unwrap();
        println!("ack created {}", vault.id());
        std::thread::sleep(Duration::from_secs(60));
        return;
    }
    let vault = Vault::open_with(&dir, small()).unwrap().unlock(&key).unwrap();
    let session = vault.session(Token::from_text(&told(TOKEN)).unwrap(), Purpose::Treatment).unwrap();
    let (patient, round): (PatientId, String) = (told(PATIENT).parse().unwrap(), told(ROUND));
    let close_after: usize = told(CLOSE_AFTER).parse().unwrap();
    println!("ack opened");
    let mut last = None;
    for at in 0..close_after {
        let name = format!("{round}.{at}");
        match (at % 5, last) {
            (3, _) => {
                let mut batch = session.batch();
                for part in 0..4 {
                    batch.put_verbatim(patient, &kind(), &value(&format!("{name}/{part}")), PutOptions::new()).unwrap();
                }
                for (part, record) in batch.commit().unwrap().into_iter().enumerate() {
                    println!("ack put {record} {name}/{part}");
                }
            }
            (4, Some((record, version))) => {
                let version = session.amend_verbatim(record, version, &value(&name)).unwrap();
                println!("ack amended {record} {name} {version}");
            }
            _ => {
                let record = session.put_verbatim(patient, &kind(), &value(&name), PutOptions::new()).unwrap();
                println!("ack put {record} {name}");
                last = Some((record, Version::FIRST));
            }
        }
    }
    println!("ack closing");
    vault.close().unwrap();
    println!("ack closed");
    std::thread::sleep(Duration::from_secs(60));
}

fn bytes_of(hex: &str) -> [u8; 32] {
    std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
}

fn hex_of(key: &RawKey) -> String {
    key.expose_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A vault in which a victim works, and what all victims acknowledged so far.
struct Ward {
    dir: tempfile::TempDir,
    key: RawKey,
    token: Token,
    patient: PatientId,
    /// Newest acknowledged value's name and version of each record.
    acknowledged: BTreeMap<RecordRef, (String, u32)>,
    /// Victims that left an open vault behind.
    unclean: usize,
    seed: u64,
}

/// A process on its way to be killed.
struct Victim {
    child: Child,
    lines: Receiver<String>,
    heard: Vec<String>,
}

impl Victim {
    fn start(dir: &Path, key: &RawKey, more: &[(&str, String)]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "kill::victim", "--nocapture"]).env(DIR, dir).env(KEY, hex_of(key));
        command.envs(more.iter().cloned());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(acknowledged) = line.strip_prefix("ack ") {
                    let _ = send.send(acknowledged.to_owned());
                }
            }
        });
        Self { child, lines, heard: Vec::new() }
    }

    /// Waits until it has acknowledged something that `is_it`.
    fn hear(&mut self, mut is_it: impl FnMut(&str) -> bool) {
        loop {
            match self.lines.recv_timeout(Duration::from_secs(60)) {
                Ok(line) => {
                    self.heard.push(line);
                    if is_it(self.heard.last().unwrap()) {
                        return;
                    }
                }
                Err(_) => {
                    let _ = self.child.kill();
                    let output = self.child.stderr.take().map(std::io::read_to_string);
                    panic!("the victim ended by itself after {:?}: {output:?}", self.heard.last());
                }
            }
        }
    }

    /// Kills it; all that it had printed until then counts.
    fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.code().is_none(), "it was killed and did not end by itself: {status}");
        self.heard.extend(self.lines.iter());
        self.heard
    }
}

impl Ward {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = RawKey::generate().unwrap();
        let issuer = IssuerKey::generate().unwrap();
        let created = Vault::create(dir.path().join("vault")).raw_key(&key).options(small()).finish();
        let (vault, _) = created.unwrap();
        vault.trust_issuer(issuer.public(), &key).unwrap();
        let token = everything().sign(&issuer, vault.id()).unwrap();
        let patient = vault.session(&token, Purpose::Treatment).unwrap().register_patient([]).unwrap();
        vault.close().unwrap();
        Self { dir, key, token, patient, acknowledged: BTreeMap::new(), unclean: 0, seed: 1 }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("vault")
    }

    fn segments(&self) -> usize {
        std::fs::read_dir(self.path().join("journal")).unwrap().count()
    }

    fn random(&mut self, below: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) % below
    }

    fn start(&self, round: usize, close_after: usize) -> Victim {
        let told = [
            (TOKEN, self.token.expose_text().to_string()),
            (PATIENT, self.patient.to_string()),
            (ROUND, round.to_string()),
            (CLOSE_AFTER, close_after.to_string()),
        ];
        Victim::start(&self.path(), &self.key, &told)
    }

    /// No version without its log entry, and no entry without its version.
    fn compare_log_with_records(&self) {
        let vault = Vault::open_with(self.path(), small()).unwrap().unlock(&self.key).unwrap();
        let session = vault.session(&self.token, Purpose::Treatment).unwrap();
        let mut logged = BTreeSet::new();
        for entry in whole_log(&session) {
            if matches!(entry.event, AuditEvent::RecordPut | AuditEvent::RecordAmended) {
                let records = entry.subjects.iter().flat_map(|subject| &subject.records);
                logged.extend(records.map(|record| (record.number, record.version)));
            }
        }
        let versions = |(record, (_, newest)): (&RecordRef, &(String, u32))| {
            (1..=*newest).map(|version| (record.number(), version)).collect::<Vec<_>>()
        };
        assert_eq!(logged, self.acknowledged.iter().flat_map(versions).collect());
    }

    /// Opens what the victim left behind and judges it by what the victim had said.
    fn judge(&mut self, heard: &[String]) {
        for line in heard {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["put", record, name] => {
                    self.acknowledged.insert(record.parse().unwrap(), (name.to_owned(), 1));
                }
                ["amended", record, name, version] => {
                    let version: Version = version.parse().unwrap();
                    self.acknowledged.insert(record.parse().unwrap(), (name.to_owned(), version.number()));
                }
                _ => {}
            }
        }
        let closed = heard.last().is_some_and(|last| last == "closed");
        let vault = Vault::open_with(self.path(), small()).unwrap().unlock(&self.key).unwrap();
        assert!(!closed || vault.opening().clean, "{}", vault.opening());
        self.unclean += usize::from(!vault.opening().clean);
        let session = vault.session(&self.token, Purpose::Treatment).unwrap();
        let mut found: BTreeMap<RecordRef, (String, u32)> = BTreeMap::new();
        let mut after = None;
        loop {
            let query = session.list_verbatim(self.patient, &kind()).limit(1_000);
            let query = if let Some(cursor) = after { query.after(cursor) } else { query };
            let page = query.page().unwrap();
            for entry in page.entries {
                let name = name_of(&entry.value);
                assert_eq!(entry.value, value(&name), "{name}");
                found.insert(entry.id, (name, entry.version.number()));
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        for (record, (name, version)) in &self.acknowledged {
            let (there, newest) = found.get(record).unwrap_or_else(|| panic!("{name} was acknowledged and is gone"));
            // The last amendment may have become durable before it could be printed.
            assert!((there, newest) == (name, version) || newest > version, "{name}: {there} {newest}");
        }
        let unheard = found.keys().filter(|record| !self.acknowledged.contains_key(record)).count();
        assert!(unheard <= 4, "{unheard} records that nobody acknowledged, and one step makes 4 at most");
        let mut batches: BTreeMap<String, usize> = BTreeMap::new();
        for (name, _) in found.values() {
            if let Some((batch, _)) = name.split_once('/') {
                *batches.entry(batch.to_owned()).or_default() += 1;
            }
        }
        assert!(batches.values().all(|parts| *parts == 4), "half a batch: {batches:?}");
        self.acknowledged = found;
        verify(&session);
        vault.close().unwrap();
    }
}

#[test]
fn a_killed_import_keeps_every_acknowledged_record() {
    let mut ward = Ward::new();
    for round in 0..36 {
        let mut victim = ward.start(round, 10_000);
        let (mut count, delay) = (round * 2, ward.random(12_000));
        victim.hear(|_| {
            count = count.saturating_sub(1);
            count == 0
        });
        std::thread::sleep(Duration::from_micros(delay));
        let heard = victim.kill();
        ward.judge(&heard);
    }
    assert_eq!(ward.unclean, 36, "each was killed in the middle of its work");
    assert!(ward.segments() > 10, "the journal rolled on the way");
    ward.compare_log_with_records();
}

#[test]
fn a_process_killed_while_a_segment_rolls_keeps_every_acknowledged_record() {
    let mut ward = Ward::new();
    for round in 0..16 {
        let mut victim = ward.start(round, 10_000);
        victim.hear(|line| line == "opened");
        let (before, started) = (ward.segments(), Instant::now());
        while ward.segments() == before {
            assert!(started.elapsed() < Duration::from_secs(60), "the journal never rolled");
        }
        std::thread::sleep(Duration::from_micros(ward.random(8) * 700));
        let heard = victim.kill();
        ward.judge(&heard);
    }
    assert_eq!(ward.unclean, 16, "each was killed in the middle of its work");
    ward.compare_log_with_records();
}

#[test]
fn a_process_killed_while_opening_or_closing_loses_nothing() {
    let mut ward = Ward::new();
    for round in 0..12 {
        let mut victim = ward.start(round, 6);
        if round % 2 == 0 {
            std::thread::sleep(Duration::from_millis(5 + 4 * round as u64));
        } else {
            victim.hear(|line| line == "closing");
            std::thread::sleep(Duration::from_micros(ward.random(30_000)));
        }
        let heard = victim.kill();
        ward.judge(&heard);
    }
}

#[test]
fn a_process_killed_while_creating_leaves_a_vault_or_none() {
    for round in 0..10_u64 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vault");
        let key = RawKey::generate().unwrap();
        let victim = Victim::start(&path, &key, &[]);
        std::thread::sleep(Duration::from_millis(4 + 5 * round));
        let created = victim.kill().iter().any(|line| line.starts_with("created"));
        match Vault::open_with(&path, small()) {
            Ok(locked) => drop(locked.unlock(&key).unwrap()),
            Err(error) => assert!(!created && matches!(error, Error::Header(_)), "created: {created}; {error}"),
        }
    }
}
