//! A clinic with a disk for backups and a safe for key packs.

use std::path::{Path, PathBuf};

use chartvault::*;

use super::{House, Note, note, whole_log};

pub struct Offsite {
    pub house: House,
    pub vault: Vault,
    pub target: FolderTarget,
    pub packs: FolderTarget,
}

impl Offsite {
    pub fn new() -> Self {
        Self::of(House::create())
    }

    pub fn of((house, vault): (House, Vault)) -> Self {
        let at = |name: &str| FolderTarget::create(house.dir.path().join(name)).unwrap();
        let (target, packs) = (at("disk"), at("safe"));
        Self { house, vault, target, packs }
    }

    pub fn disk(&self) -> PathBuf {
        self.house.dir.path().join("disk")
    }

    pub fn safe(&self) -> PathBuf {
        self.house.dir.path().join("safe")
    }

    pub fn session(&self) -> Session {
        self.house.session(&self.vault)
    }

    pub fn backup(&self) -> Backup<'_> {
        self.vault.backup(&self.target).packs_to(&self.packs)
    }

    pub fn restore(&self) -> Restore<'_> {
        Vault::restore(&self.target).packs_from(&self.packs).options(self.house.options())
    }

    /// A place for a restored vault.
    pub fn place(&self, name: &str) -> PathBuf {
        self.house.dir.path().join(name)
    }

    pub fn restored(&self, name: &str, restore: Restore<'_>) -> Result<(Restored, Vault, Session), Error> {
        let place = self.place(name);
        let restored = restore.into(&place, &self.house.key)?;
        let (vault, session) = self.open(&place);
        Ok((restored, vault, session))
    }

    pub fn open(&self, path: &Path) -> (Vault, Session) {
        let vault = self.house.open_at(path).unwrap();
        let session = self.house.session(&vault);
        (vault, session)
    }

    /// A patient with so many notes, some of them long.
    pub fn patient(&self, notes: usize) -> (PatientId, Vec<RecordId<Note>>) {
        let session = self.session();
        let patient = session.register_patient([]).unwrap();
        (patient, (0..notes).map(|number| session.put(patient, &note(&text(number))).unwrap()).collect())
    }

    pub fn erase(&self, patient: PatientId) {
        let order = ErasureOrder::new("the patient asked", "GDPR 17(1)(b)");
        self.vault.erase_patient(&self.session(), patient, &order, &self.house.key, &mut |_| ()).unwrap();
    }
}

/// The text of a note by its number.
pub fn text(number: usize) -> String {
    format!("note {number}: {}", "penicillin ".repeat(number % 50))
}

pub fn all_are_there(session: &Session, notes: &[RecordId<Note>]) {
    for (number, id) in notes.iter().enumerate() {
        assert_eq!(session.get(*id).unwrap().value.text, text(number));
    }
}

/// What the log tells of an event.
pub fn told(session: &Session, event: AuditEvent) -> Vec<String> {
    let of = whole_log(session).into_iter().filter(|entry| entry.event == event);
    of.map(|entry| entry.detail.unwrap_or_default()).collect()
}

pub fn is_sound(vault: &Vault) {
    let report = vault.check(CheckScope::All, &mut |_| ()).unwrap();
    assert!(report.is_sound(), "{report}");
}

/// A target whose calls fail from the n-th on, before or after they had their effect, as if whoever calls were killed there.
pub struct Killed<'t> {
    pub to: &'t dyn BackupTarget,
    pub passing: std::sync::atomic::AtomicI64,
    pub after_effect: bool,
}

impl<'t> Killed<'t> {
    pub fn at(to: &'t dyn BackupTarget, passing: i64, after_effect: bool) -> Self {
        Self { to, passing: passing.into(), after_effect }
    }

    /// Whether a call failed.
    pub fn was_met(&self) -> bool {
        self.passing.load(std::sync::atomic::Ordering::Relaxed) < 0
    }

    fn call<T>(&self, call: impl FnOnce() -> Result<T, TargetError>) -> Result<T, TargetError> {
        let left = self.passing.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        if left > 0 {
            return call();
        }
        if left == 0 && self.after_effect {
            let _ = call();
        }
        Err(TargetError::Unreachable { why: "killed".into(), retry: true })
    }
}

impl BackupTarget for Killed<'_> {
    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<(), TargetError> {
        self.call(|| self.to.put_new(name, bytes))
    }

    fn get(&self, name: &str, limit: usize) -> Result<Vec<u8>, TargetError> {
        self.call(|| self.to.get(name, limit))
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(StoredObject)) -> Result<(), TargetError> {
        self.call(|| self.to.list(prefix, each))
    }

    fn delete(&self, name: &str) -> Result<(), TargetError> {
        self.call(|| self.to.delete(name))
    }

    fn name(&self) -> &str {
        self.to.name()
    }
}
