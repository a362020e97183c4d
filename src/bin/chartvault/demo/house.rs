//! The practice of the drill: a real vault, people with invented names, and an auditor who reads its log.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chartvault::{
    Action, AuditEntry, AuditEvent, AuditFilter, Confidentiality, Grant, Identifier, IssuerKey, Kind, MonitoringRules,
    NewSlot, Options, Passphrase, PassphraseCost, PatientId, PrincipalId, Purpose, PutOptions, RecordRef, RecoveryKey,
    Session, Token, Vault, VaultId,
};

use super::{failed, must};
use crate::door::Door;
use crate::failure::Outcome;
use crate::secrets::write_private;

/// What key derivation costs here: the least that the library takes. A vault of one's own has more by default.
pub const COST: PassphraseCost = PassphraseCost::MINIMUM;

/// A working day: how long all tokens of the drill are valid.
pub const DAY: Duration = Duration::from_secs(8 * 3_600);

/// What opens the laptop's copy, and stands on a note under it.
pub const LAPTOP_PASSPHRASE: &str = "sommer2026";

/// People by the names that tokens know, and those that people know.
pub const DOCTOR: &str = "dr.weber";
pub const NURSE: &str = "n.kaya";
const OFFICER: &str = "privacy.officer";
const AUDITOR: &str = "auditor";
const FRONT_DESK: &str = "front.desk";
const STAFF: [(&str, &str); 5] = [
    (DOCTOR, "Dr. Anna Weber"),
    (NURSE, "Nurse Deniz Kaya"),
    (OFFICER, "Ruth Lindner, privacy officer"),
    (AUDITOR, "the auditor"),
    (FRONT_DESK, "the front desk"),
];

/// A patient's chart, with one record in it.
pub struct Chart {
    pub patient: PatientId,
    pub record: RecordRef,
    /// What was put: nothing of it may be readable in the files.
    pub text: &'static str,
}

const ERIKA: &str = r#"{"resourceType":"AllergyIntolerance","patient":{"display":"Erika Mustermann"},"code":{"text":"Penicillin: anaphylaxis in 2019"}}"#;
const MAX: &str = r#"{"resourceType":"Condition","subject":{"display":"Max Beispiel"},"code":{"text":"Depression, in treatment since March"}}"#;

pub struct House {
    /// The folder of the drill.
    pub base: PathBuf,
    pub id: VaultId,
    passphrase: &'static str,
    /// What opens the copies that were made before the passphrase changed.
    passphrase_before: &'static str,
    pub recovery: RecoveryKey,
    issuer: IssuerKey,
    officer: Token,
    auditor: Token,
    /// A patient of everyday.
    pub erika: Chart,
    /// The nurse's neighbour, whose chart is confidential.
    pub neighbour: Chart,
    /// The number of the first entry that was not shown yet.
    seen: u64,
}

impl House {
    /// Makes the vault, its people and its charts.
    pub fn build(base: &Path) -> Outcome<Self> {
        let passphrase = "five harbour lamps burn softly tonight";
        let (opens, laptop) = (Passphrase::new(passphrase), Passphrase::new(LAPTOP_PASSPHRASE));
        let new = Vault::create(base.join("clinic.vault")).passphrase(&opens).passphrase_cost(COST);
        let (vault, recovery) = new.options(options()).finish()?;
        let vault = Door::of(vault);
        let issuer = IssuerKey::generate().map_err(failed)?;
        vault.trust_issuer(issuer.public(), &opens)?;
        let _ = vault.add_slot(NewSlot::of(&laptop).kdf(COST).label("the doctor's laptop"), &opens)?;
        vault.set_monitoring(MonitoringRules::new(), &opens)?;

        let sign = |grant: Grant| grant.all_kinds().valid_for(DAY).sign(&issuer, vault.id()).map_err(failed);
        let office = [Action::Audit, Action::Review, Action::Grant];
        let officer = sign(Grant::to(OFFICER).all_patients().actions(office).purpose(Purpose::Operations))?;
        let log = Grant::to(AUDITOR).all_patients().actions([Action::Audit]).purpose(Purpose::Operations);
        let auditor = sign(log)?;
        let desk = Grant::to(FRONT_DESK).all_patients().actions([Action::Create]).purpose(Purpose::Operations);
        let desk = vault.session(&sign(desk.sensitivity(Confidentiality::Restricted))?, Purpose::Operations)?;
        let erika = chart(&desk, "4711", "AllergyIntolerance", ERIKA, Confidentiality::Normal)?;
        let neighbour = chart(&desk, "4712", "Condition", MAX, Confidentiality::Restricted)?;
        let mut house = Self {
            base: base.to_owned(),
            id: vault.id(),
            passphrase,
            passphrase_before: passphrase,
            recovery,
            issuer,
            officer,
            auditor,
            erika,
            neighbour,
            seen: 0,
        };
        // What was written so far belongs to no scene.
        let _ = house.log(&vault, &[])?;
        vault.close()?;
        Ok(house)
    }

    pub fn dir(&self) -> PathBuf {
        self.base.join("clinic.vault")
    }

    pub fn passphrase(&self) -> Passphrase {
        Passphrase::new(self.passphrase)
    }

    /// From now on another passphrase opens the vault.
    pub const fn passphrase_is_now(&mut self, passphrase: &'static str) {
        self.passphrase = passphrase;
    }

    pub fn open(&self) -> Outcome<Door> {
        open(&self.dir(), &self.passphrase())
    }

    /// A token for a day, which nobody but the issuing desk can sign.
    pub fn sign(&self, grant: Grant) -> Outcome<Token> {
        grant.all_patients().all_kinds().valid_for(DAY).sign(&self.issuer, self.id).map_err(failed)
    }

    pub const fn issuer(&self) -> &IssuerKey {
        &self.issuer
    }

    /// A session of whoever looks after privacy.
    pub fn officer(&self, vault: &Vault) -> Outcome<Session> {
        Ok(vault.session(&self.officer, Purpose::Operations)?)
    }

    /// What was written since the log was read last, of the events wanted, each of which has to be there.
    pub fn log(&mut self, vault: &Vault, wanted: &[AuditEvent]) -> Outcome<Vec<AuditEntry>> {
        let entries = self.log_from(vault, self.seen)?;
        if let Some(last) = entries.last() {
            self.seen = last.seq.saturating_add(1);
        }
        chosen(entries, wanted)
    }

    /// The same from a copy of the vault, whose log goes on by itself.
    pub fn log_of_copy(&self, vault: &Vault, wanted: &[AuditEvent]) -> Outcome<Vec<AuditEntry>> {
        self.log_after(vault, self.seen, wanted)
    }

    /// The same from an entry on.
    pub fn log_after(&self, vault: &Vault, first: u64, wanted: &[AuditEvent]) -> Outcome<Vec<AuditEntry>> {
        chosen(self.log_from(vault, first)?, wanted)
    }

    /// The auditor's own reading is in the log as well, and left out here.
    fn log_from(&self, vault: &Vault, first: u64) -> Outcome<Vec<AuditEntry>> {
        let session = vault.session_with(&self.auditor, Purpose::Operations).accept_doubtful().open()?;
        let query = session.audit()?.query(AuditFilter::new()).starting_at(first).oldest_first().limit(1_000);
        let mut entries = query.page()?.entries;
        session.close()?;
        let auditor = PrincipalId::of(AUDITOR);
        entries.retain(|entry| entry.actor != Some(auditor));
        Ok(entries)
    }

    /// The name of somebody of this house.
    #[allow(clippy::unused_self)] // a house knows its people
    pub fn name_of(&self, principal: PrincipalId) -> &'static str {
        let known = STAFF.iter().find(|(name, _)| PrincipalId::of(name) == principal);
        known.map_or("somebody unknown", |(_, name)| *name)
    }

    /// What a reader needs who goes on with the vault that was kept.
    pub fn leave_keys(&self) -> Outcome<()> {
        let keys = [
            ("passphrase.txt", self.passphrase.to_owned()),
            ("passphrase-of-copies.txt", self.passphrase_before.to_owned()),
            ("recovery.txt", self.recovery.expose_text().to_string()),
            ("officer.token", self.officer.expose_text().to_string()),
        ];
        keys.iter().try_for_each(|(name, text)| write_private(&self.base.join(name), &format!("{text}\n")))
    }
}

fn chosen(mut entries: Vec<AuditEntry>, wanted: &[AuditEvent]) -> Outcome<Vec<AuditEntry>> {
    entries.retain(|entry| wanted.contains(&entry.event));
    for event in wanted {
        must(entries.iter().any(|entry| entry.event == *event), &format!("the log has an entry {event}"))?;
    }
    Ok(entries)
}

fn chart(desk: &Session, number: &str, kind: &str, text: &'static str, level: Confidentiality) -> Outcome<Chart> {
    let patient = desk.register_patient([Identifier::new("urn:mrn:practice", number).map_err(failed)?])?;
    let options = PutOptions::new().confidentiality(level);
    let record = desk.put_verbatim(patient, &Kind::new(kind).map_err(failed)?, text.as_bytes(), options)?;
    Ok(Chart { patient, record, text })
}

/// Opens a vault of the drill, wherever it is.
pub fn open(dir: &Path, passphrase: &Passphrase) -> Outcome<Door> {
    Ok(Door::of(Vault::open_with(dir, options())?.unlock(passphrase)?))
}

/// Small files, and records in the trees as well, so that a bit that flips in the journal costs none of them.
pub fn options() -> Options {
    Options::new().cache_bytes(16 << 20).segment_bytes(64 << 10, 256 << 10).inline_limit(4_096).scrub_rate(0)
}
