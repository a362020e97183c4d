//! The clinic: its vault, who may grant, and who was granted what.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chartvault::{Action, Grant, IssuerKey, Passphrase, Purpose, Session, Token, Vault};

use crate::Outcome;
use crate::show::{item, note};

/// No secret: it stands here. In earnest somebody types it.
pub const PASSPHRASE: &str = "seven herons over a quiet harbour";

const HOUR: Duration = Duration::from_secs(3_600);

pub struct Clinic {
    pub path: PathBuf,
    pub passphrase: Passphrase,
    pub vault: Vault,
    issuer: IssuerKey,
}

impl Clinic {
    /// Creates the vault, shows its recovery key once, and trusts an issuer of tokens.
    pub fn create(dir: &Path) -> Outcome<Self> {
        let path = dir.join("clinic.vault");
        let passphrase = Passphrase::new(PASSPHRASE);
        let (vault, recovery) = Vault::create(&path).passphrase(&passphrase).finish()?;
        item("vault", vault.id());
        item("opens with", "a passphrase (Argon2id, 64 MiB) or the recovery key");
        note("Recovery key, shown this once. Write it down and lock it away:\n");
        let text = recovery.expose_text();
        let groups: Vec<&str> = text.split('-').collect();
        for line in groups.chunks(6) {
            println!("      {}", line.join("-"));
        }
        let issuer = IssuerKey::generate()?; // in earnest: on another machine
        vault.trust_issuer(issuer.public(), &passphrase)?;
        note("An issuer is trusted now: tokens signed with its key are accepted.");
        Ok(Self { path, passphrase, vault, issuer })
    }

    /// The program that takes over records from elsewhere. It can put, and cannot read.
    pub fn importer(&self) -> Outcome<Session> {
        self.clerk("import", &[Action::Create])
    }

    /// The program that takes records out, to compare them.
    pub fn exporter(&self) -> Outcome<Session> {
        self.clerk("comparison", &[Action::Export])
    }

    fn clerk(&self, name: &str, actions: &[Action]) -> Outcome<Session> {
        let grant = Grant::to(name).all_patients().all_kinds().actions(actions.iter().copied());
        let token = grant.purpose(Purpose::Operations).valid_for(HOUR).sign(&self.issuer, self.vault.id())?;
        Ok(self.vault.session(&token, Purpose::Operations)?)
    }

    /// A physician's token for the day: every chart, and the right to write.
    pub fn physician(&self) -> Outcome<Token> {
        let grant = Grant::to("dr.osei").all_patients().all_kinds();
        let grant = grant.actions([Action::Read, Action::List, Action::Create, Action::Amend, Action::Void]);
        Ok(grant.purpose(Purpose::Treatment).valid_for(12 * HOUR).sign(&self.issuer, self.vault.id())?)
    }

    /// A session of the privacy officer, who reads the log and not one chart.
    pub fn auditor(&self, vault: &Vault) -> Outcome<Session> {
        let grant = Grant::to("privacy.officer").all_patients().all_kinds().actions([Action::Audit]);
        let token = grant.purpose(Purpose::Operations).valid_for(HOUR).sign(&self.issuer, vault.id())?;
        Ok(vault.session(&token, Purpose::Operations)?)
    }
}
