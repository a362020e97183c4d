//! What operators see of a day in the clinic: enough to run it, and nothing about anybody. Texts that stand nowhere else
//! are put wherever a clinic puts text, and then looked for in all that `tracing` and `metrics` were given.
#![cfg(all(feature = "tracing", feature = "metrics", feature = "async"))]

#[path = "support/capture.rs"]
mod capture;
mod support;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use capture::Capture;
use chartvault::*;
use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use support::{HandClock, copy_dir, files_in, small};

const PASSPHRASE: &str = "CanaryPassphrase-vexing-quartz";
const VALUE: &str = "CanaryValue-sphinx-of-black-quartz";
const VERBATIM: &str = "CanaryVerbatim-judge-my-vow";
const SYSTEM: &str = "urn:CanarySystem:jackdaws";
const IDENTIFIER: &str = "CanaryIdentifier-0815-4711";
const REASON: &str = "CanaryReason-entered-for-her-twin";
const LABEL: &str = "CanaryLabel-psychotherapy";
const PRINCIPAL: &str = "CanaryPrincipal.dr.zauberzahn";
const DIRECTORY: &str = "CanaryDirectory";

#[derive(Record, serde::Serialize, serde::Deserialize)]
#[record(kind = "CanaryTypedKind", version = 1)]
struct Typed {
    text: String,
}

/// What must not be seen, in every form that it might take.
#[derive(Default)]
struct Canaries(Vec<(String, &'static str)>);

impl Canaries {
    fn text(&mut self, what: &'static str, text: impl ToString) {
        let text = text.to_string();
        self.bytes(what, text.as_bytes());
        self.0.push((text, what));
    }

    fn bytes(&mut self, what: &'static str, bytes: &[u8]) {
        for text in [HEXLOWER.encode(bytes), HEXUPPER.encode(bytes), format!("{bytes:?}")] {
            self.0.push((text, what));
        }
        for text in [BASE64.encode(bytes), BASE64_NOPAD.encode(bytes), BASE64URL_NOPAD.encode(bytes)] {
            self.0.push((text, what));
        }
    }

    /// An id as it is written, and as the bytes behind it.
    fn id(&mut self, what: &'static str, id: impl ToString) {
        let text = id.to_string();
        // Its parts without the words that say what they are.
        for bare in text.split(['-', '/', ' ', ':', '.']).filter(|part| part.len() >= 16) {
            let bytes = HEXLOWER.decode(bare.as_bytes()).unwrap();
            self.bytes(what, &bytes);
            self.0.push((u128::from_be_bytes(bytes.try_into().unwrap()).to_string(), what));
        }
        self.text(what, text);
    }

    fn seen_in<'a>(&'a self, lines: &'a [String]) -> Vec<(&'static str, &'a str)> {
        let seen = |(text, what): &'a (String, &'static str)| {
            let line = lines.iter().find(|line| line.contains(text.as_str()));
            line.map(|line| (*what, line.as_str()))
        };
        self.0.iter().filter_map(seen).collect()
    }
}

/// A copy of a vault, with every file spoilt whose path in it is `chosen`; what of it still can be used, is.
fn damaged(path: &Path, pass: &Passphrase, token: &Token, clock: &Arc<HandClock>, chosen: impl Fn(&str) -> bool) {
    let copy = path.with_file_name(format!("{DIRECTORY}-damaged"));
    let _ = fs::remove_dir_all(&copy);
    copy_dir(path, &copy);
    for file in files_in(&copy).iter().filter(|file| chosen(file.to_str().unwrap())) {
        let mut bytes = fs::read(copy.join(file)).unwrap();
        bytes.iter_mut().skip(4_096).step_by(64).for_each(|byte| *byte ^= 0x40);
        fs::write(copy.join(file), bytes).unwrap();
    }
    let unlocked = Vault::open_with(&copy, options(clock)).and_then(|locked| locked.unlock(pass));
    let Ok(vault) = unlocked else { return };
    let session = vault.session(token, Purpose::Treatment).unwrap();
    let _ = session.find_patient(&Identifier::new(SYSTEM, IDENTIFIER).unwrap());
    let _ = session.audit().unwrap().verify(Scope::All).run();
    let _ = vault.close();
}

/// Panics when it is asked the second time after it was armed: in the middle of a commit.
struct Trap(AtomicI64, Arc<HandClock>);

impl Clock for Trap {
    fn now(&self) -> Timestamp {
        assert_ne!(self.0.fetch_sub(1, Ordering::SeqCst), 1, "the clock stopped");
        self.1.now()
    }
}

/// A vault that stops in the middle of a commit, and says so until it is closed.
fn stopping(path: &Path, pass: &Passphrase, token: &Token, clock: &Arc<HandClock>, record: RecordRef) {
    let trap = Arc::new(Trap(AtomicI64::new(0), Arc::clone(clock)));
    let vault = Vault::open_with(path, small().clock(trap.clone())).unwrap().unlock(pass).unwrap();
    let session = vault.session(token, Purpose::Treatment).unwrap();
    session.get_verbatim(record).unwrap();
    trap.0.store(2, Ordering::SeqCst);
    assert!(catch_unwind(AssertUnwindSafe(|| session.kinds(record.patient()))).is_err());
    assert!(matches!(session.get_verbatim(record), Err(Error::AuditUnavailable { .. })));
    assert!(vault.close().is_err());
}

fn options(clock: &Arc<HandClock>) -> Options {
    small().clock(clock.clone())
}

/// Everything that the API can do, allowed, denied and failing, on a vault that is damaged in the end.
fn whole_day(canaries: &mut Canaries) {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join(DIRECTORY);
    let clock = HandClock::new();
    let pass = Passphrase::new(PASSPHRASE);
    let new = Vault::create(&path).passphrase(&pass).passphrase_cost(PassphraseCost::MINIMUM);
    let (vault, recovery) = new.options(options(&clock)).finish().unwrap();
    let issuer = IssuerKey::generate().unwrap();
    vault.trust_issuer(issuer.public(), &pass).unwrap();
    assert!(vault.trust_issuer(issuer.public(), &Passphrase::new("CanaryWrong")).is_err());
    let attester = AttesterKey::generate().unwrap();
    vault.trust_attester(attester.public(), &pass).unwrap();
    vault.register(&Typed { text: VALUE.into() }).unwrap();
    let token = support::base_grant()
        .all_patients()
        .all_kinds()
        .actions(Action::ALL.iter().copied())
        .issued_at(clock.now())
        .idle(Duration::from_secs(3_600))
        .sign(&issuer, vault.id())
        .unwrap();
    let session = vault.session(&token, Purpose::Treatment).unwrap();
    assert!(vault.session(&token, Purpose::Research).is_err());
    let stranger = IssuerKey::generate().unwrap();
    let forged = support::everything().issued_at(clock.now()).sign(&stranger, vault.id()).unwrap();
    assert!(vault.session(&forged, Purpose::Treatment).is_err());

    let identifier = Identifier::new(SYSTEM, IDENTIFIER).unwrap();
    let patient = session.register_patient([identifier.clone()]).unwrap();
    assert!(session.register_patient([identifier.clone()]).is_err());
    session.find_patient(&identifier).unwrap();
    session.add_identifier(patient, Identifier::new(SYSTEM, &format!("{IDENTIFIER}-2")).unwrap()).unwrap();
    let labelled = || PutOptions::new().labels(Labels::new([LABEL]).unwrap());
    let typed = session.put_with(patient, &Typed { text: VALUE.into() }, labelled()).unwrap();
    let kind = Kind::new("CanaryOtherKind").unwrap();
    let verbatim = session.put_verbatim(patient, &kind, VERBATIM.as_bytes(), labelled()).unwrap();
    let mut batch = session.batch();
    batch.put(patient, &Typed { text: VALUE.into() }, labelled()).unwrap();
    batch.put_verbatim(patient, &kind, VERBATIM.as_bytes(), labelled()).unwrap();
    batch.commit().unwrap();
    let entry = session.get(typed).unwrap();
    session.get_verbatim(verbatim).unwrap();
    session.get_many(&[typed]).unwrap();
    session.get_many_verbatim(&[verbatim]).unwrap();
    let second = session.amend(typed, entry.version, &Typed { text: format!("{VALUE} 2") }).unwrap();
    assert!(session.amend(typed, entry.version, &Typed { text: VALUE.into() }).is_err());
    session.amend_verbatim(verbatim, Version::FIRST, b"[]").unwrap();
    session.get_version(typed, entry.version).unwrap();
    session.history(typed).unwrap();
    session.history_verbatim(verbatim).unwrap();
    session.list::<Typed>(patient).page().unwrap();
    session.list_verbatim(patient, &kind).page().unwrap();
    session.chart(patient).page().unwrap();
    session.kinds(patient).unwrap();
    assert!(session.export().start().unwrap().count() >= 4);
    vault.set_read_audit(ReadAudit::Windowed { delay: Duration::from_millis(5), entries: 10 }, &pass).unwrap();
    session.get(typed).unwrap();
    vault.set_read_audit(ReadAudit::Durable, &pass).unwrap();
    session.void(typed, second, REASON).unwrap();
    assert!(session.get_verbatim(typed.into()).is_err());
    let nobody = PatientId::from_bytes([0x5A; 16]);
    assert!(matches!(session.put(nobody, &Typed { text: VALUE.into() }), Err(Error::NoSuchPatient(_))));

    let narrow = token.attenuate().actions([Action::Read]).patient(nobody).finish().unwrap();
    let nurse = vault.session(&narrow, Purpose::Treatment).unwrap();
    let Err(Error::Denied { ticket }) = nurse.get(typed) else { panic!("another patient's chart was given out") };
    assert!(nurse.audit().is_err());
    nurse.close().unwrap();
    assert!(nurse.get(typed).is_err());

    session.audit().unwrap().verify(Scope::All).run().unwrap();
    let log = session.audit().unwrap().query(AuditFilter::new()).limit(1_000).page().unwrap();
    vault.checkpoint().unwrap();
    // Segments are small, so that these begin new ones.
    for _ in 0..24 {
        session.put_verbatim(patient, &kind, &[b'C'; 20_000], PutOptions::new()).unwrap();
    }
    let workers = Workers::start().unwrap();
    let nonblocking = AsyncSession::over(&workers, session.clone());
    pollster::block_on(nonblocking.get_verbatim(verbatim)).unwrap();
    clock.step(7_200);
    assert!(matches!(session.get(typed), Err(Error::SessionEnded { .. })));
    clock.step(-9_000);
    assert!(matches!(vault.session(&token, Purpose::Treatment), Err(Error::ClockRollback { .. })));
    vault.reset_clock(&pass).unwrap();
    clock.step(9_000);

    // A machine that stops: what is there is copied while the vault is open.
    let crashed = root.path().join(format!("{DIRECTORY}-crashed"));
    copy_dir(&path, &crashed);
    vault.close().unwrap();
    assert!(matches!(session.get(typed), Err(Error::Sealed)));
    let locked = Vault::open_with(&crashed, options(&clock)).unwrap();
    assert!(locked.unlock(&Passphrase::new("CanaryWrong")).is_err());
    locked.unlock(&recovery).unwrap().close().unwrap();

    damaged(&path, &pass, &token, &clock, |file| file.starts_with("sled-"));
    damaged(&path, &pass, &token, &clock, |file| file.starts_with("journal"));
    stopping(&path, &pass, &token, &clock, verbatim);

    for (what, text) in [
        ("passphrase", PASSPHRASE),
        ("passphrase", "CanaryWrong"),
        ("content", VALUE),
        ("content", VERBATIM),
        ("identifier system", SYSTEM),
        ("identifier", IDENTIFIER),
        ("reason", REASON),
        ("label", LABEL),
        ("principal", PRINCIPAL),
        ("principal", "dr.osei"),
        ("kind", "CanaryTypedKind"),
        ("kind", "CanaryOtherKind"),
        ("directory", DIRECTORY),
        ("any canary", "Canary"),
    ] {
        canaries.text(what, text);
    }
    canaries.text("directory", root.path().display());
    canaries.id("patient", patient);
    canaries.id("patient", nobody);
    canaries.id("record", typed);
    canaries.id("record", verbatim);
    canaries.id("kind id", kind.id());
    canaries.id("kind id", Kind::of::<Typed>().id());
    canaries.id("vault", vault.id());
    canaries.id("principal id", session.principal());
    canaries.id("session", session.id());
    canaries.id("ticket", ticket);
    canaries.text("recovery key", recovery.expose_text().as_str());
    for token in [&token, &narrow, &forged] {
        canaries.text("token", token.expose_text().as_str());
        canaries.bytes("token", &token.expose_bytes());
        token.revocation_ids().into_iter().for_each(|id| canaries.id("revocation id", id));
    }
    canaries.bytes("issuer", issuer.public().as_bytes());
    for entry in &log.entries {
        entry.ticket.into_iter().for_each(|ticket| canaries.id("ticket", ticket));
    }
}

/// What each operation must have shown: its span, and its row among the counters.
const OPERATIONS: [(&str, &str); 32] = [
    ("vault-created", "allowed"),
    ("vault-opened", "allowed"),
    ("vault-opened", "denied"),
    ("vault-opened", "failed"),
    ("vault-closed", "allowed"),
    ("checkpoint", "allowed"),
    ("issuer-trusted", "allowed"),
    ("issuer-trusted", "denied"),
    ("attester-trusted", "allowed"),
    ("read-audit-changed", "allowed"),
    ("records-exported", "allowed"),
    ("kind-registered", "allowed"),
    ("clock-reset", "allowed"),
    ("session-opened", "allowed"),
    ("session-opened", "denied"),
    ("session-closed", "allowed"),
    ("patient-registered", "allowed"),
    ("patient-registered", "failed"),
    ("patient-found", "allowed"),
    ("identifier-added", "allowed"),
    ("record-put", "allowed"),
    ("record-put", "failed"),
    ("record-read", "allowed"),
    ("record-read", "denied"),
    ("record-read", "failed"),
    ("records-listed", "allowed"),
    ("chart-read", "allowed"),
    ("history-read", "allowed"),
    ("record-amended", "allowed"),
    ("record-voided", "allowed"),
    ("kinds-listed", "allowed"),
    ("audit-verified", "allowed"),
];

/// All of it in one test: subscriber and recorder belong to the whole process.
#[test]
fn operators_see_every_operation_and_nothing_about_anybody() {
    let capture = Capture::install();
    let mut canaries = Canaries::default();
    let span = tracing::info_span!(target: "host", "request");
    span.in_scope(|| whole_day(&mut canaries));
    let lines = capture.lines();

    let seen = canaries.seen_in(&lines);
    assert!(canaries.0.len() > 100 && seen.is_empty(), "{seen:#?}");
    for (event, outcome) in OPERATIONS {
        let span = format!("span chartvault.{event} chartvault INFO");
        assert!(lines.iter().any(|line| line.starts_with(&span)), "{span}");
        let record = format!("record chartvault.{event} outcome={outcome}");
        assert!(lines.contains(&record), "{record}");
        for name in ["chartvault_operations_total", "chartvault_operation_duration_seconds"] {
            assert!(capture.meter(name, &format!("event={event},outcome={outcome}")) >= 1.0, "{name} {record}");
        }
    }
    for expected in [
        "message=vault opened clean=true",
        "message=vault recovered replayed_frames=",
        "message=trees rebuilt while opening",
        "message=checkpoint made",
        "message=journal segment begun",
        "message=group committed",
        "message=vault stopped",
        "outcome=failed error=audit unavailable",
        "outcome=failed error=panicked",
        "outcome=denied error=denied",
        "outcome=denied error=session ended",
        "outcome=denied error=clock rollback",
        "outcome=denied error=token refused",
        "outcome=denied error=unlock failed",
        "outcome=failed error=sealed",
        "outcome=failed error=conflict",
        "describe histogram chartvault_commit_duration_seconds Some(Seconds)",
        "describe gauge chartvault_queue_bytes Some(Bytes)",
    ] {
        assert!(lines.iter().any(|line| line.contains(expected)), "{expected}");
    }
    // A batch of two records, and a call that another thread did, inside the caller's span.
    assert!(lines.contains(&"record chartvault.record-put records=2".to_owned()));
    let spans = lines.iter().filter(|line| line.starts_with("span chartvault."));
    let outside = spans.filter(|line| !line.contains(" in Some(\"request\") ")).collect::<Vec<_>>();
    assert!(outside.is_empty(), "{outside:#?}");

    for name in ["chartvault_queue_bytes", "chartvault_sessions_open", "chartvault_vaults_stopped"] {
        assert!(capture.highest(name) >= 1.0, "{name}");
        assert_eq!(capture.meter(name, "").abs(), 0.0, "{name}");
    }
    assert!(capture.meter("chartvault_denials_total", "action=read") >= 1.0);
    assert!(capture.meter("chartvault_denials_total", "action=audit") >= 1.0);
    assert!(capture.meter("chartvault_errors_total", "error=conflict") >= 1.0);
    assert!(capture.meter("chartvault_openings_total", "clean=no") >= 1.0);
    assert!(capture.meter("chartvault_openings_total", "clean=yes") >= 2.0);
    assert!(capture.meter("chartvault_segment_rolls_total", "") >= 1.0);
    assert!(capture.meter("chartvault_rebuilds_total", "") >= 1.0);
    assert!(capture.meter("chartvault_commit_group_size", "") >= 50.0);
    assert!(capture.meter("chartvault_checkpoint_duration_seconds", "done=yes") >= 1.0);

    every_name_is_documented(&lines);
    a_leak_would_be_found(&capture, &canaries);
}

/// The page for operators lists what there is, and nothing that there is not.
fn every_name_is_documented(lines: &[String]) {
    let page = include_str!("../docs/observability.md");
    let described: Vec<_> = lines.iter().filter_map(|line| line.strip_prefix("describe ")).collect();
    assert!(described.len() >= 14);
    for name in described.iter().map(|line| line.split(' ').nth(1).unwrap()) {
        assert!(page.contains(&format!("| `{name}` |")), "{name} is not in docs/observability.md");
    }
    for name in
        page.lines().filter_map(|line| line.strip_prefix("| `chartvault_")?.split_once('`')).map(|(name, _)| name)
    {
        let name = format!("chartvault_{name}");
        assert!(described.iter().any(|line| line.contains(&format!(" {name} "))), "{name} is nowhere in the source");
    }
}

/// The search can fail: each canary is found once somebody lets it out.
fn a_leak_would_be_found(capture: &Capture, canaries: &Canaries) {
    for (text, what) in &canaries.0 {
        tracing::info!(target: "chartvault", patient = text.as_str(), "a careless line");
        assert!(canaries.seen_in(&capture.lines()[capture.lines().len() - 1..]).iter().any(|seen| seen.0 == *what));
    }
    metrics::counter!("careless", "label" => VALUE).increment(1);
    assert!(!canaries.seen_in(&capture.lines()[capture.lines().len() - 1..]).is_empty());
}
