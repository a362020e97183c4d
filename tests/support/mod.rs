//! What the behaviour tests share: a vault in a directory of its own, opened with a raw key, under a clock set by hand.
#![allow(dead_code)] // no test uses all of it

pub mod exhibit;
pub mod golden;
pub mod machine;
pub mod offsite;
pub mod schema;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use chartvault::test_util::TestClock as HandClock;
use chartvault::*;

/// A typed record.
#[derive(Record, serde::Serialize, serde::Deserialize, Clone, Debug, PartialEq, Eq)]
#[record(kind = "note", version = 1)]
pub struct Note {
    pub text: String,
}

/// A typed record of another kind.
#[derive(Record, serde::Serialize, serde::Deserialize, Clone, Debug, PartialEq, Eq)]
#[record(kind = "allergy", version = 1)]
pub struct Allergy {
    pub substance: String,
}

pub fn note(text: &str) -> Note {
    Note { text: text.to_owned() }
}

/// A vault's directory and everything needed to open it and to issue tokens for it.
pub struct House {
    pub dir: tempfile::TempDir,
    pub key: RawKey,
    pub issuer: IssuerKey,
    pub clock: Arc<HandClock>,
    settings: Box<dyn Fn(Options) -> Options + Send + Sync>,
}

impl House {
    /// A new vault that trusts its issuer, and the house around it.
    pub fn create() -> (Self, Vault) {
        Self::create_with(|options| options)
    }

    /// A house whose vault has further settings, whenever it is opened.
    pub fn create_with(settings: impl Fn(Options) -> Options + Send + Sync + 'static) -> (Self, Vault) {
        let house = Self {
            dir: tempfile::tempdir().unwrap(),
            key: RawKey::generate().unwrap(),
            issuer: IssuerKey::generate().unwrap(),
            clock: HandClock::new(),
            settings: Box::new(settings),
        };
        let (vault, _) = Vault::create(house.path()).raw_key(&house.key).options(house.options()).finish().unwrap();
        vault.trust_issuer(house.issuer.public(), &house.key).unwrap();
        (house, vault)
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("clinic.vault")
    }

    /// Small segments, so that a short test rolls them, cheap passwords, and this house's clock.
    pub fn options(&self) -> Options {
        (self.settings)(small().clock(self.clock.clone()).password_cost(PassphraseCost::MINIMUM))
    }

    pub fn open(&self) -> Vault {
        self.open_at(&self.path()).unwrap()
    }

    pub fn open_at(&self, path: &Path) -> Result<Vault, Error> {
        Vault::open_with(path, self.options())?.unlock(&self.key)
    }

    /// A grant of everything for treatment, to be limited further.
    pub fn grant(&self) -> Grant {
        everything().issued_at(self.clock.now())
    }

    pub fn session(&self, vault: &Vault) -> Session {
        self.session_of(vault, &self.grant())
    }

    pub fn session_of(&self, vault: &Vault, grant: &Grant) -> Session {
        vault.session(grant.sign(&self.issuer, vault.id()).unwrap(), Purpose::Treatment).unwrap()
    }
}

/// A grant of everything, for 30 days.
pub fn everything() -> Grant {
    base_grant().all_patients().all_kinds().actions(Action::ALL.iter().copied())
}

/// A grant that still lacks patients, kinds and actions.
pub fn base_grant() -> Grant {
    Grant::to("dr.osei")
        .purpose(Purpose::Treatment)
        .sensitivity(Confidentiality::VeryRestricted)
        .valid_for(Duration::from_secs(30 * 86_400))
}

/// Small segments and a small cache.
pub fn small() -> Options {
    Options::new().segment_bytes(64 << 10, 256 << 10).cache_bytes(8 << 20)
}

/// Copies a directory as it is, whoever has it open.
pub fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// All files below a directory, by their path in it, sorted.
pub fn files_in(dir: &Path) -> Vec<PathBuf> {
    fn walk(dir: &Path, base: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, base, found);
            } else {
                found.push(path.strip_prefix(base).unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(dir, dir, &mut found);
    found.sort();
    found
}

/// The whole log, oldest first.
pub fn whole_log(session: &Session) -> Vec<AuditEntry> {
    let mut entries = Vec::new();
    let mut before = None;
    loop {
        let query = session.audit().unwrap().query(AuditFilter::new()).limit(1_000);
        let page = match before {
            None => query.page().unwrap(),
            Some(seq) => query.before(seq).page().unwrap(),
        };
        entries.extend(page.entries);
        match page.next {
            Some(seq) => before = Some(seq),
            None => break,
        }
    }
    entries.reverse();
    entries
}

/// The log is sound from its first entry to its newest.
pub fn verify(session: &Session) -> VerifiedLog {
    session.audit().unwrap().verify(Scope::All).run().unwrap()
}
