//! A witness who cosigns what goes on from what it has seen, and what a vault makes of its answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use chartvault::{
    Action, Anchor, AnchorError, AnchorFault, AnchorPolicy, Checkpoint, Error, Grant, InvalidWitness, IssuerKey,
    LogFault, LogVerdict, Options, Purpose, RawKey, Scope, Vault, VaultId, WitnessAnchor,
};
use chartvault_verify::merkle::verify_consistency;
use chartvault_verify::note::{self, Note, SignatureKind, VerifierKey};
use data_encoding::BASE64;
use ed25519_dalek::SigningKey;

const NAME: &str = "witness.example.org/w1";

/// What a witness has seen of one log, and how it is to behave.
#[derive(Default)]
struct Seen {
    log: Option<VerifierKey>,
    size: u64,
    root: [u8; 32],
    asked: usize,
    /// Answers this to everything.
    instead: Option<Vec<u8>>,
    hangs: bool,
    time: u64,
    /// A line more, behind its own.
    adds: Option<String>,
}

struct Witness {
    seen: Arc<Mutex<Seen>>,
    url: String,
    vkey: String,
}

impl Witness {
    fn start() -> Self {
        let signer = SigningKey::from_bytes(&[9; 32]);
        let key = VerifierKey::new(NAME, SignatureKind::Cosignature, signer.verifying_key().as_bytes()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Seen { time: 1_767_614_400, ..Seen::default() }));
        let shared = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (seen, signer) = (Arc::clone(&shared), signer.clone());
                thread::spawn(move || drop(answer(stream.unwrap(), &seen, &signer)));
            }
        });
        Self { seen, url, vkey: key.to_string() }
    }

    fn anchor(&self, dir: &Path) -> WitnessAnchor {
        WitnessAnchor::new(&self.url, &self.vkey, dir).unwrap().timeout(Duration::from_secs(2))
    }

    fn with<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().unwrap())
    }
}

fn answer(stream: TcpStream, seen: &Mutex<Seen>, signer: &SigningKey) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut length) = (String::new(), 0);
    reader.read_line(&mut line)?;
    assert_eq!(line, "POST /add-checkpoint HTTP/1.1\r\n");
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut seen = seen.lock().unwrap();
    seen.asked += 1;
    if seen.hangs {
        drop(seen);
        thread::sleep(Duration::from_secs(30));
        return Ok(());
    }
    if let Some(instead) = &seen.instead {
        return (&stream).write_all(instead);
    }
    let (status, sort, text) = judge(&mut seen, &String::from_utf8(body).unwrap(), signer);
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: {sort}\r\ncontent-length: {}\r\n\r\n", text.len());
    (&stream).write_all((head + &text).as_bytes())
}

/// As the specification has it.
fn judge(seen: &mut Seen, body: &str, signer: &SigningKey) -> (&'static str, &'static str, String) {
    const TEXT: &str = "text/plain";
    let (head, note) = body.split_once("\n\n").unwrap();
    let mut lines = head.lines();
    let old: u64 = lines.next().unwrap().strip_prefix("old ").unwrap().parse().unwrap();
    let proof: Vec<[u8; 32]> = lines.map(|line| BASE64.decode(line.as_bytes()).unwrap().try_into().unwrap()).collect();
    let mut note: Note = note.parse().unwrap();
    let Some(log) = &seen.log else { return ("404 Not Found", TEXT, "unknown origin".into()) };
    if note.verify(std::slice::from_ref(log)).is_err() {
        return ("403 Forbidden", TEXT, "no signature of a trusted key".into());
    }
    let checkpoint: note::Checkpoint = note.text().parse().unwrap();
    if old > checkpoint.size {
        return ("400 Bad Request", TEXT, "old is larger".into());
    }
    if old != seen.size {
        return ("409 Conflict", "text/x.tlog.size", format!("{}\n", seen.size));
    }
    if old == checkpoint.size && checkpoint.root != seen.root {
        return ("409 Conflict", TEXT, "another root".into());
    }
    let (before, after) = ((old, &seen.root), (checkpoint.size, &checkpoint.root));
    if old > 0 && verify_consistency(before, after, &proof).is_err() {
        return ("422 Unprocessable Entity", TEXT, "the proof does not hold".into());
    }
    (seen.size, seen.root) = (checkpoint.size, checkpoint.root);
    note.cosign(NAME, signer, seen.time).unwrap();
    let more = seen.adds.as_ref().map_or(String::new(), |line| format!("{line}\n"));
    ("200 OK", TEXT, format!("{}\n{more}", note.signatures().last().unwrap()))
}

struct House {
    dir: tempfile::TempDir,
    key: RawKey,
    witness: Witness,
}

impl House {
    /// A vault whose log the witness knows, and a directory for what is kept of it.
    fn new() -> (Self, Vault) {
        let (dir, key, witness) = (tempfile::tempdir().unwrap(), RawKey::generate().unwrap(), Witness::start());
        std::fs::create_dir(dir.path().join("kept")).unwrap();
        let house = Self { dir, key, witness };
        let (vault, _) =
            Vault::create(house.path()).raw_key(&house.key).options(house.options(false)).finish().unwrap();
        house.witness.with(|seen| seen.log = Some(vault.log_vkey().unwrap().parse().unwrap()));
        (house, vault)
    }

    fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("vault")
    }

    fn kept(&self) -> std::path::PathBuf {
        self.dir.path().join("kept")
    }

    fn options(&self, required: bool) -> Options {
        let policy = AnchorPolicy { every: Duration::from_secs(1), required, ..AnchorPolicy::default() };
        // The key that signs stays where it is when the vault is put back.
        let options = Options::new().signing_key_file(self.dir.path().join("signing.key"));
        options.anchor(Arc::new(self.witness.anchor(&self.kept())), policy)
    }

    fn open(&self, required: bool) -> Result<Vault, Error> {
        Vault::open_with(self.path(), self.options(required))?.unlock(&self.key)
    }

    /// Waits until so much is cosigned, and the note of it is kept.
    fn wait_for(&self, size: u64) {
        let start = Instant::now();
        let kept = || {
            let notes = std::fs::read_dir(self.kept()).unwrap().map(|entry| entry.unwrap().path());
            let mut notes = notes.filter(|path| path.extension().is_some_and(|end| end == "checkpoint"));
            let note = notes.next().and_then(|path| std::fs::read_to_string(path).ok());
            note.and_then(|note| note.parse::<Checkpoint>().ok()).map_or(0, |note| note.size)
        };
        while self.witness.with(|seen| seen.size) < size || kept() < size {
            assert!(start.elapsed() < Duration::from_secs(30), "{}", self.witness.with(|seen| seen.asked));
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Writes something to the log.
    fn work(&self, vault: &Vault) -> u64 {
        vault.trust_issuer(IssuerKey::generate().unwrap().public(), &self.key).unwrap();
        vault.log_checkpoint().unwrap().size
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name))
        } else {
            let _ = std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// The note that is kept of the vault.
fn kept(house: &House, vault: VaultId) -> String {
    house.witness.anchor(&house.kept()).last(vault).unwrap().unwrap()
}

#[test]
fn a_growing_log_is_cosigned_and_what_is_kept_proves_it_to_anybody() {
    let (house, vault) = House::new();
    let first = house.work(&vault);
    house.wait_for(first);
    let second = house.work(&vault);
    house.wait_for(second);
    vault.close().unwrap();
    let note: Note = kept(&house, vault.id()).parse().unwrap();
    let keys = [house.witness.vkey.parse().unwrap()];
    let verified = note.verify(&keys).unwrap();
    assert_eq!(verified.by()[0].1, Some(1_767_614_400));
    let vault = house.open(true).unwrap();
    assert!(vault.opening().anchors_unread.is_empty());
}

#[test]
fn a_witness_that_has_seen_more_than_is_kept_here_names_it_and_is_caught_up_with() {
    let (house, vault) = House::new();
    house.wait_for(house.work(&vault));
    // What was kept is gone: the anchor begins at nothing, and the witness does not.
    let file = std::fs::read_dir(house.kept()).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_file(&file).unwrap();
    house.wait_for(house.work(&vault));
    assert!(kept(&house, vault.id()).contains(NAME));
}

#[test]
fn a_vault_that_was_put_back_together_with_what_was_kept_is_found_out_by_the_witness() {
    let (house, vault) = House::new();
    house.wait_for(house.work(&vault));
    vault.close().unwrap();
    drop(vault);
    let saved = house.dir.path().join("saved");
    copy(&house.path(), &saved.join("vault"));
    copy(&house.kept(), &saved.join("kept"));
    let first = house.witness.with(|seen| seen.log.clone());
    let vault = house.open(true).unwrap();
    // More than is written below.
    (0..20).for_each(|_| assert!(house.work(&vault) > 0));
    let size = house.work(&vault);
    // The keys of later epochs are the log's own as well; this witness is told of them.
    house.witness.with(|seen| seen.log = Some(newest_key(&vault)));
    house.wait_for(size);
    drop(vault);
    for part in ["vault", "kept"] {
        let path = house.dir.path().join(part);
        std::fs::remove_dir_all(&path).unwrap();
        copy(&saved.join(part), &path);
    }
    // It judges the note that is kept, which the first key signed.
    house.witness.with(|seen| seen.log = first);
    let found = house.open(false);
    let Err(Error::Anchor(AnchorFault::Ahead { seen, found, .. })) = found else { panic!("{found:?}") };
    assert!(seen > found, "{seen} {found}");

    // It cannot be asked when the vault is opened, and can when somebody verifies the log.
    house.witness.with(|seen| seen.hangs = true);
    let vault = house.open(false).unwrap();
    house.witness.with(|seen| seen.hangs = false);
    let issuer = IssuerKey::generate().unwrap();
    vault.trust_issuer(issuer.public(), &house.key).unwrap();
    let grant = Grant::to("auditor").all_patients().all_kinds().actions([Action::Audit]).purpose(Purpose::Treatment);
    let token = grant.valid_for(Duration::from_secs(600)).sign(&issuer, vault.id()).unwrap();
    let session = vault.session(&token, Purpose::Treatment).unwrap();
    let report = session.audit().unwrap().verify(Scope::Chain).report().unwrap();
    let LogVerdict::Unsound(faults) = &report.freshness else { panic!("{report}") };
    assert!(matches!(faults[..], [LogFault::SeenMore { .. }]), "{report}");
}

fn newest_key(vault: &Vault) -> VerifierKey {
    vault.log_keys().unwrap().map(|key| key.unwrap()).last().unwrap().vkey.parse().unwrap()
}

fn checkpoint(vault: VaultId, signer: &SigningKey, size: u64, root: [u8; 32]) -> Checkpoint {
    let origin = format!("chartvault.local/{}", data_encoding::HEXLOWER.encode(vault.as_bytes()));
    let mut note = Note::new(&format!("{origin}\n{size}\n{}\n", BASE64.encode(&root))).unwrap();
    note.sign(&origin, signer).unwrap();
    note.to_string().parse().unwrap()
}

/// A log of one key, without a vault.
fn alone() -> (Witness, tempfile::TempDir, SigningKey, VaultId) {
    let (witness, dir, signer) = (Witness::start(), tempfile::tempdir().unwrap(), SigningKey::from_bytes(&[3; 32]));
    let vault = VaultId::from_bytes([7; 16]);
    let origin = format!("chartvault.local/{}", data_encoding::HEXLOWER.encode(vault.as_bytes()));
    let key = VerifierKey::new(&origin, SignatureKind::Ed25519, signer.verifying_key().as_bytes()).unwrap();
    witness.with(|seen| seen.log = Some(key));
    (witness, dir, signer, vault)
}

fn no_proof(_: u64) -> Result<Vec<[u8; 32]>, AnchorError> {
    Ok(Vec::new())
}

#[test]
fn a_fork_gets_no_cosignature() {
    let (witness, dir, signer, vault) = alone();
    let anchor = witness.anchor(dir.path());
    anchor.publish(vault, &checkpoint(vault, &signer, 5, [1; 32]), &no_proof).unwrap();
    let again = anchor.publish(vault, &checkpoint(vault, &signer, 5, [1; 32]), &no_proof);
    assert!(again.is_ok(), "the same once more: {again:?}");
    let fork = anchor.publish(vault, &checkpoint(vault, &signer, 5, [2; 32]), &no_proof);
    assert!(matches!(&fork, Err(AnchorError::Failed { why }) if why.contains("another root")), "{fork:?}");
    let grown = anchor.publish(vault, &checkpoint(vault, &signer, 9, [2; 32]), &no_proof);
    assert!(matches!(&grown, Err(AnchorError::Failed { why }) if why.contains("422")), "{grown:?}");
    let older = anchor.publish(vault, &checkpoint(vault, &signer, 3, [3; 32]), &no_proof);
    assert!(matches!(older, Err(AnchorError::Older { held: 5, given: 3 })), "{older:?}");
    assert_eq!(anchor.seen(vault).unwrap(), Some(5));
}

#[test]
fn a_checkpoint_that_the_witness_does_not_know_the_key_of_is_refused() {
    let (witness, dir, _, vault) = alone();
    let other = SigningKey::from_bytes(&[4; 32]);
    let refused = witness.anchor(dir.path()).publish(vault, &checkpoint(vault, &other, 5, [1; 32]), &no_proof);
    assert!(matches!(&refused, Err(AnchorError::Failed { why }) if why.contains("403")), "{refused:?}");
    witness.with(|seen| seen.log = None);
    let refused = witness.anchor(dir.path()).publish(vault, &checkpoint(vault, &other, 5, [1; 32]), &no_proof);
    assert!(matches!(&refused, Err(AnchorError::Failed { why }) if why.contains("404")), "{refused:?}");
    assert_eq!(witness.anchor(dir.path()).last(vault).unwrap(), None);
}

#[test]
fn answers_that_are_none_keep_nothing_and_take_no_memory() {
    let (witness, dir, signer, vault) = alone();
    let anchor = witness.anchor(dir.path());
    let somebody = SigningKey::from_bytes(&[5; 32]);
    let good = checkpoint(vault, &signer, 5, [1; 32]);
    let mut forged: Note = good.note.parse().unwrap();
    forged.cosign(NAME, &somebody, 1).unwrap();
    let forged = forged.signatures().last().unwrap().to_string();
    let ok = |body: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes();
    let huge = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; 1 << 20]].concat();
    let answers = [
        b"nonsense\r\n\r\n".to_vec(),
        Vec::new(),
        ok(""),
        ok("no signature line\n"),
        ok(&format!("{forged}\n")),
        huge,
        b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".to_vec(),
        b"HTTP/1.1 409 Conflict\r\ncontent-length: 5\r\n\r\nseven".to_vec(),
        b"HTTP/1.1 500 Oops\r\ncontent-length: 3\r\n\r\n\x1b[2".to_vec(),
        // Another size each time.
        b"HTTP/1.1 409 Conflict\r\ncontent-length: 1\r\n\r\n4".to_vec(),
    ];
    for answer in answers {
        let shown = String::from_utf8_lossy(&answer[..answer.len().min(60)]).into_owned();
        witness.with(|seen| seen.instead = Some(answer));
        let published = anchor.publish(vault, &good, &no_proof);
        let Err(AnchorError::Failed { why }) = published else { panic!("{shown}: {published:?}") };
        assert!(!why.contains('\u{1b}') && why.len() < 700, "{shown}: {why}");
        assert_eq!(anchor.last(vault).unwrap(), None, "{shown}");
    }
}

#[test]
fn a_witness_that_hangs_holds_nobody_up() {
    let (house, vault) = House::new();
    house.wait_for(house.work(&vault));
    house.witness.with(|seen| seen.hangs = true);
    let start = Instant::now();
    (0..3).for_each(|_| assert!(house.work(&vault) > 0));
    assert!(start.elapsed() < Duration::from_secs(2), "commits do not wait");
    vault.close().unwrap();
    drop(vault);
    let vault = house.open(false).unwrap();
    assert_eq!(vault.opening().anchors_unread.len(), 1, "{:?}", vault.opening());
    vault.close().unwrap();
    drop(vault);
    let refused = house.open(true);
    assert!(matches!(refused, Err(Error::Anchor(AnchorFault::Unread { .. }))), "{refused:?}");
}

#[test]
fn what_is_kept_is_judged_although_the_witness_hangs_for_longer_than_the_opening_waits() {
    let (house, vault) = House::new();
    house.wait_for(house.work(&vault));
    let saved = house.dir.path().join("saved");
    vault.close().unwrap();
    drop(vault);
    copy(&house.path(), &saved);
    let vault = house.open(true).unwrap();
    house.witness.with(|seen| seen.log = Some(newest_key(&vault)));
    (0..20).for_each(|_| assert!(house.work(&vault) > 0));
    house.wait_for(house.work(&vault));
    drop(vault);
    std::fs::remove_dir_all(house.path()).unwrap();
    copy(&saved, &house.path());
    house.witness.with(|seen| seen.hangs = true);
    let slow = WitnessAnchor::new(&house.witness.url, &house.witness.vkey, house.kept()).unwrap();
    let policy = AnchorPolicy { patience: Duration::from_secs(1), ..AnchorPolicy::default() };
    let options = Options::new().signing_key_file(house.dir.path().join("signing.key")).anchor(Arc::new(slow), policy);
    let found = Vault::open_with(house.path(), options).unwrap().unlock(&house.key);
    let brought_back = matches!(found, Err(Error::RolledBack { .. } | Error::Anchor(AnchorFault::UnknownKey { .. })));
    assert!(brought_back, "{found:?}");
}

#[test]
fn an_address_or_a_key_that_cannot_be_used_is_refused() {
    let (witness, dir, ..) = alone();
    let new = |url: &str, key: &str| WitnessAnchor::new(url, key, dir.path());
    for url in ["", "witness", "ftp://127.0.0.1/", "http:///", "file:///etc"] {
        assert!(matches!(new(url, &witness.vkey), Err(InvalidWitness::Address { .. })), "{url}");
    }
    for url in ["http://witness.example.org", "http://127.0.0.1.example.org/"] {
        assert!(matches!(new(url, &witness.vkey), Err(InvalidWitness::Plain { .. })), "{url}");
    }
    let signer = SigningKey::from_bytes(&[9; 32]);
    let text = VerifierKey::new(NAME, SignatureKind::Ed25519, signer.verifying_key().as_bytes()).unwrap().to_string();
    for key in ["", "a+b", text.as_str()] {
        let refused = new("https://witness.example.org", key);
        assert!(matches!(refused, Err(InvalidWitness::Key { .. })), "{key}");
    }
    assert!(new("https://witness.example.org/add/", &witness.vkey).is_ok());
}

#[test]
fn what_a_witness_adds_to_its_signature_keeps_no_vault_from_opening() {
    let long = note::signature_line("x", &[1; 4], &vec![0; 49_000]);
    let mut refused = Vec::new();
    for long in [None, Some(long)] {
        let (house, vault) = House::new();
        let log: VerifierKey = vault.log_vkey().unwrap().parse().unwrap();
        let line = long.unwrap_or_else(|| note::signature_line(log.name(), &log.hash(), &[0; 64]));
        house.witness.with(|seen| seen.adds = Some(line));
        let size = house.work(&vault);
        house.wait_for(size);
        vault.close().unwrap();
        drop(vault);
        let opened = house.open(false);
        refused.extend(opened.err());
    }
    assert!(refused.is_empty(), "{refused:?}");
}
