//! Nothing readable at rest, and nothing in messages: texts that stand nowhere else are put wherever a clinic puts text,
//! and then looked for in every file of the vault and in whatever `Debug` and `Display` print.

use crate::support;

use std::fmt::{Debug, Display};
use std::fs;
use std::path::Path;
use std::time::Duration;

use chartvault::*;
use support::{copy_dir, files_in, small};

const PASSPHRASE: &str = "CanaryPassphrase-vexing-quartz";
const VALUE: &str = "CanaryValue-sphinx-of-black-quartz";
const VERBATIM: &str = "CanaryVerbatim-judge-my-vow";
const SYSTEM: &str = "urn:CanarySystem:jackdaws";
const IDENTIFIER: &str = "CanaryIdentifier-0815-4711";
const REASON: &str = "CanaryReason-entered-for-her-twin";
const LABEL: &str = "CanaryLabel-psychotherapy";
const PRINCIPAL: &str = "CanaryPrincipal.dr.zauberzahn";
const TEXTS: [&str; 10] =
    [PASSPHRASE, VALUE, VERBATIM, SYSTEM, IDENTIFIER, REASON, LABEL, PRINCIPAL, "CanaryTypedKind", "CanaryOtherKind"];

#[derive(Record, serde::Serialize, serde::Deserialize)]
#[record(kind = "CanaryTypedKind", version = 1)]
struct Typed {
    text: String,
}

fn other_kind() -> Kind {
    Kind::new("CanaryOtherKind").unwrap()
}

fn typed() -> Typed {
    Typed { text: VALUE.into() }
}

/// A vault full of canaries.
struct Cage {
    dir: tempfile::TempDir,
    key: RawKey,
    recovery: RecoveryKey,
    issuer: IssuerKey,
    token: Token,
    vault: Vault,
    session: Session,
    patient: PatientId,
    typed: RecordId<Typed>,
    verbatim: RecordRef,
}

fn identifier() -> Identifier {
    Identifier::new(SYSTEM, IDENTIFIER).unwrap()
}

fn options() -> PutOptions {
    PutOptions::new().labels(Labels::new([LABEL]).unwrap()).clinical_time("2026-01-05T12:00:00Z".parse().unwrap())
}

impl Cage {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (key, passphrase) = (RawKey::generate().unwrap(), Passphrase::new(PASSPHRASE));
        let created = Vault::create(dir.path().join("vault")).raw_key(&key).passphrase(&passphrase);
        let created = created.passphrase_cost(PassphraseCost::MINIMUM).options(small()).finish();
        let (vault, recovery) = created.unwrap();
        let issuer = IssuerKey::generate().unwrap();
        vault.trust_issuer(issuer.public(), &key).unwrap();
        let grant = Grant::to(PRINCIPAL).all_patients().all_kinds().actions(Action::ALL.iter().copied());
        let grant = grant.purpose(Purpose::Treatment).valid_for(Duration::from_secs(3_600));
        let token = grant.sign(&issuer, vault.id()).unwrap();
        let session = vault.session(&token, Purpose::Treatment).unwrap();
        let patient = session.register_patient([identifier()]).unwrap();
        let typed = session.put_with(patient, &typed(), options()).unwrap();
        let verbatim = session.put_verbatim(patient, &other_kind(), VERBATIM.as_bytes(), options()).unwrap();
        // Long enough to be kept in the journal alone.
        session.put_verbatim(patient, &other_kind(), VERBATIM.repeat(300).as_bytes(), options()).unwrap();
        let cage = Self { dir, key, recovery, issuer, token, vault, session, patient, typed, verbatim };
        cage.work();
        cage
    }

    fn work(&self) {
        let s = &self.session;
        let second = s.amend(self.typed, Version::FIRST, &typed()).unwrap();
        s.void(self.typed, second, REASON).unwrap();
        s.find_patient(&identifier()).unwrap();
        s.chart(self.patient).page().unwrap();
        s.history(self.typed).unwrap();
        s.audit().unwrap().query(AuditFilter::new().patient(self.patient)).page().unwrap();
    }

    /// Every byte string that may stand in no file.
    fn canaries(&self) -> Vec<(String, Vec<u8>)> {
        let named = |name: &str, bytes: &[u8]| (name.to_owned(), bytes.to_vec());
        let mut canaries: Vec<_> = TEXTS.iter().map(|text| named(text, text.as_bytes())).collect();
        let recovery = self.recovery.expose_text();
        canaries.extend([
            named("raw key", &*self.key.expose_bytes()),
            named("recovery key as text", recovery.as_bytes()),
            named("first words of the recovery key", &recovery.as_bytes()[..12]),
            named("issuer's secret key", &*self.issuer.to_secret_bytes()),
            named("token", &self.token.expose_bytes()),
            named("patient id", self.patient.as_bytes()),
            named("id of the typed kind", RecordRef::from(self.typed).kind().as_bytes()),
            named("id of the other kind", other_kind().id().as_bytes()),
            named("principal id", self.session.principal().as_bytes()),
            named("issuer's public key", self.issuer.public().as_bytes()),
            named("session id", self.session.id().as_bytes()),
        ]);
        canaries
    }

    fn hold(&self, dir: &Path, when: &str) {
        let files = files_in(dir);
        assert!(files.len() >= 7, "{files:?}");
        for file in files {
            let bytes = fs::read(dir.join(&file)).unwrap();
            for (name, canary) in self.canaries() {
                let found = bytes.windows(canary.len()).position(|part| part == canary);
                assert_eq!(found, None, "{when}: {name} stands in {}", file.display());
            }
        }
    }
}

#[test]
fn no_file_holds_what_was_put_nor_a_key() {
    let cage = Cage::new();
    let path = cage.vault.path().to_owned();
    cage.hold(&path, "while open");
    let copy = cage.dir.path().join("copy");
    copy_dir(&path, &copy);
    drop(Vault::open_with(&copy, small()).unwrap().unlock(&cage.key).unwrap());
    cage.hold(&copy, "opened after a crash");
    cage.vault.close().unwrap();
    cage.hold(&path, "closed");
    let locked = Vault::open_with(&path, small()).unwrap();
    assert!(locked.unlock(&Passphrase::new("CanaryValue-sphinx-of-black-quartz")).is_err());
    cage.hold(&path, "after a failed unlock");
}

#[test]
fn the_search_would_find_a_canary() {
    let cage = Cage::new();
    fs::write(cage.vault.path().join("leak"), [b"....", VALUE.as_bytes()].concat()).unwrap();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| cage.hold(cage.vault.path(), "leaking")));
    assert!(caught.is_err());
}

/// What was printed, to be searched.
#[derive(Default)]
struct Printed(Vec<String>);

impl Printed {
    fn debug(&mut self, value: &impl Debug) {
        self.0.push(format!("{value:?} {value:#?}"));
    }

    /// Both forms of an error and of all its sources.
    fn error<T>(&mut self, answer: Result<T, impl std::error::Error>) {
        let Err(error) = answer else { panic!("an error was expected") };
        self.both(&error);
        let mut source = error.source();
        while let Some(inner) = source {
            self.both(&inner);
            source = inner.source();
        }
    }

    fn both(&mut self, value: &(impl Debug + Display)) {
        self.debug(value);
        self.0.push(value.to_string());
    }

    /// `allowed` texts may stand in messages: kinds and systems are named on purpose.
    fn hold(&self, cage: &Cage, allowed: &[&str]) {
        let bytes = |bytes: &[u8]| bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
        let mut secrets: Vec<String> =
            TEXTS.iter().filter(|text| !allowed.contains(text)).map(|s| (*s).into()).collect();
        secrets.extend(TEXTS.iter().map(|text| bytes(&text.as_bytes()[..8])));
        for key in [*cage.key.expose_bytes(), *cage.issuer.to_secret_bytes()] {
            secrets.extend([bytes(&key[..6]), key[..6].iter().map(|byte| format!("{byte:02x}")).collect()]);
        }
        secrets.extend([cage.recovery.expose_text()[..12].to_owned(), cage.token.expose_text()[5..30].to_owned()]);
        secrets.push(bytes(&cage.token.expose_bytes()[..8]));
        for printed in &self.0 {
            for secret in &secrets {
                assert!(!printed.contains(secret.as_str()), "{secret} stands in {printed}");
            }
        }
    }
}

#[test]
fn nothing_printed_shows_a_value_an_identifier_or_a_key() {
    let cage = Cage::new();
    let (s, patient) = (&cage.session, cage.patient);
    let mut printed = Printed::default();
    printed.debug(&Passphrase::new(PASSPHRASE));
    printed.debug(&cage.key);
    printed.debug(&cage.recovery);
    printed.debug(&cage.issuer);
    printed.debug(&cage.token);
    printed.debug(&UnverifiedToken::from_bytes(&cage.token.expose_bytes()).unwrap());
    printed.debug(&cage.token.attenuate());
    printed.debug(&Vault::create("nowhere").raw_key(&cage.key).passphrase(&Passphrase::new(PASSPHRASE)));
    printed.debug(&(&cage.vault, s, cage.vault.opening(), small(), identifier(), options()));
    printed.debug(&s.get(cage.typed).map(|entry| format!("{entry:?}")));
    printed.debug(&s.get_verbatim(cage.verbatim).unwrap());
    printed.debug(&s.history(cage.typed).map(|entries| format!("{entries:?}")));
    printed.debug(&s.list_verbatim(patient, &other_kind()).page().unwrap());
    printed.debug(&s.list::<Typed>(patient));
    let mut batch = s.batch();
    batch.put(patient, &typed(), options()).unwrap();
    printed.debug(&batch);
    for entry in s.audit().unwrap().query(AuditFilter::new()).page().unwrap().entries {
        printed.both(&entry);
    }
    printed.debug(&s.audit().unwrap());
    printed.hold(&cage, &["CanaryTypedKind", "CanaryOtherKind", SYSTEM]);
}

#[test]
fn no_error_repeats_a_value_an_identifier_or_a_key() {
    let cage = Cage::new();
    let (s, patient) = (&cage.session, cage.patient);
    let other = s.register_patient([]).unwrap();
    let mut printed = Printed::default();
    printed.error(s.register_patient([identifier()]));
    printed.error(s.add_identifier(other, identifier()));
    printed.error(Identifier::new(SYSTEM, &IDENTIFIER.repeat(100)));
    printed.error(Labels::new([LABEL.repeat(20)]));
    printed.error(s.void(cage.verbatim, Version::FIRST, &REASON.repeat(100)));
    printed.error(s.amend(cage.typed, Version::FIRST, &typed()));
    printed.error(s.put_verbatim(patient, &other_kind(), &VERBATIM.repeat(60_000).into_bytes(), options()));
    printed.error(s.put(patient, &Typed { text: VALUE.repeat(60_000) }));
    printed.error(s.get_verbatim(cage.typed.into()).map(drop));
    let misread: RecordRef = cage.typed.into();
    printed.error(RecordId::<support::Note>::try_from(misread));
    let text = Kind::new("CanaryTypedKind").unwrap();
    let raw = s.put_verbatim(patient, &text, VERBATIM.as_bytes(), options()).unwrap();
    printed.error(s.get::<Typed>(raw.try_into().unwrap()).map(drop));
    printed.error(s.list::<Typed>(patient).page().map(drop));
    printed.error(Token::from_text(PASSPHRASE).map(drop));
    printed.error(Token::from_text(&format!("{}x", *cage.token.expose_text())).map(drop));
    printed.error(UnverifiedToken::from_bytes(&cage.token.expose_bytes()[1..]).map(drop));
    printed.error(cage.recovery.expose_text()[1..].parse::<RecoveryKey>().map(drop));
    printed.error(IDENTIFIER.parse::<PatientId>());
    printed.error(IDENTIFIER.parse::<Timestamp>());
    printed.error(Kind::new(VALUE.repeat(9).as_str()));
    printed.error(cage.vault.session(&cage.token, Purpose::Research).map(drop));
    printed.error(cage.vault.trust_issuer(cage.issuer.public(), &Passphrase::new(VALUE)));
    let narrow = cage.token.attenuate().actions([Action::List]).finish().unwrap();
    printed.error(cage.vault.session(&narrow, Purpose::Treatment).unwrap().get(cage.typed).map(drop));
    printed.error(Vault::open(cage.vault.path()).map(drop));
    printed.error(Vault::create(cage.vault.path()).raw_key(&cage.key).finish().map(drop));
    cage.vault.close().unwrap();
    printed.error(s.get(cage.typed).map(drop));
    let locked = Vault::open(cage.vault.path()).unwrap();
    printed.debug(&locked);
    printed.error(locked.unlock(&Passphrase::new(VALUE)).map(drop));
    printed.error(locked.unlock(&RawKey::generate().unwrap()).map(drop));
    printed.hold(&cage, &["CanaryTypedKind", "CanaryOtherKind", SYSTEM]);
}
