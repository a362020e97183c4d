//! The vault, and those who work with it.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chartvault::{
    Action, AnchorPolicy, Clock, Error, FileAnchor, Grant, IssuerKey, Options, Passphrase, PatientId, Purpose, Record,
    Scope, Session, SummaryPage, SystemClock, Vault,
};
use serde::{Deserialize, Serialize};

use crate::show::{item, say};
use crate::{Outcome, must};

const DAYS: usize = 3;

#[derive(Record, Serialize, Deserialize)]
#[record(kind = "note", version = 1)]
struct Note {
    text: String,
}

pub struct House {
    pub path: PathBuf,
    pub pass: Passphrase,
    pub pinned: String,
    desk: IssuerKey,
    anchor: PathBuf,
    vault: RefCell<Vault>,
    /// As it was after the second day.
    pub copy: PathBuf,
}

pub fn open(dir: &Path) -> Outcome<House> {
    let (path, anchor) = (dir.join("house.vault"), dir.join("another-disk"));
    std::fs::create_dir(&anchor)?;
    let (pass, desk) = (Passphrase::new("a lantern in every second window"), IssuerKey::generate()?);
    let (vault, _) = Vault::create(&path).passphrase(&pass).options(options(&anchor)).finish()?;
    vault.trust_issuer(desk.public(), &pass)?;
    let pinned = vault.log_vkey()?;
    item("pinned key", &pinned);
    item("anchor", "a file on another disk holds the newest checkpoint");
    let copy = dir.join("yesterday.vault");
    Ok(House { path, pass, pinned, desk, anchor, vault: RefCell::new(vault), copy })
}

pub fn options(anchor: &Path) -> Options {
    Options::new().anchor(Arc::new(FileAnchor::new("other disk", anchor)), AnchorPolicy::default())
}

impl House {
    pub fn options(&self) -> Options {
        options(&self.anchor)
    }

    pub fn vault(&self) -> Vault {
        self.vault.borrow().clone()
    }

    fn session(&self, who: &str, actions: impl IntoIterator<Item = Action>) -> Outcome<Session> {
        let vault = self.vault();
        let grant = Grant::to(who).all_patients().all_kinds().actions(actions).purpose(Purpose::Treatment);
        let token = grant.valid_for(Duration::from_secs(3_600)).sign(&self.desk, vault.id())?;
        Ok(vault.session(&token, Purpose::Treatment)?)
    }

    pub fn auditor(&self) -> Outcome<Session> {
        self.session("a.lund", [Action::Audit])
    }

    pub fn three_days(&self) -> Outcome<()> {
        let mut patients: Vec<PatientId> = Vec::new();
        for day in 1..=DAYS {
            let ward = self.session("dr.osei", [Action::Create, Action::Read, Action::List])?;
            for number in 0..40 {
                let patient = ward.register_patient([])?;
                patients.push(patient);
                let note = ward.put(patient, &Note { text: format!("day {day}, patient {number}") })?;
                ward.get(note)?;
            }
            // Somebody who may only read tries to write.
            let clerk = self.session("k.moss", [Action::Read])?;
            let refused = patients.first().map(|patient| clerk.put(*patient, &Note { text: String::new() }));
            must(matches!(refused, Some(Err(Error::Denied { .. }))), "a clerk wrote a note")?;
            drop((ward, clerk));
            let (epoch, size) = (self.vault().opening().signing_epoch, self.vault().log_checkpoint()?.size);
            item(
                &format!("day {day}"),
                format!("signing epoch {epoch}, {size} entries; its key is destroyed at the close"),
            );
            if day < DAYS {
                self.close_and_open(day)?;
            }
        }
        Ok(())
    }

    fn close_and_open(&self, day: usize) -> Outcome<()> {
        self.vault().close()?;
        if day + 1 == DAYS {
            copy(&self.path, &self.copy)?;
        }
        *self.vault.borrow_mut() = Vault::open_with(&self.path, self.options())?.unlock(&self.pass)?;
        Ok(())
    }

    pub fn close(&self) -> Outcome<()> {
        Ok(self.vault().close()?)
    }

    pub fn verdicts(&self) -> Outcome<()> {
        let report = self.auditor()?.audit()?.verify(Scope::All).report()?;
        report.to_string().lines().for_each(say);
        must(report.is_sound(), "the log is not sound")
    }

    pub fn page(&self, dir: &Path) -> Outcome<()> {
        let now = SystemClock.now();
        let week = Duration::from_secs(7 * 24 * 3_600);
        let from = chartvault::Timestamp::from_micros(now.as_micros() - i64::try_from(week.as_micros())?);
        let summary = self.auditor()?.audit()?.summary(from, now.saturating_add(Duration::from_secs(60)))?;
        let page = summary.to_html(&SummaryPage::new().title("The week in this house"));
        must(!page.contains("patient-"), "a patient is named on the page")?;
        std::fs::write(dir.join("week.html"), &page)?;
        summary.to_string().lines().take(14).for_each(say);
        item("week.html", format!("{} bytes, with charts, without a script, no patient named", page.len()));
        Ok(())
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
