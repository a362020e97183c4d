//! Headers that are kept apart from their vault, and backups of headers.

use crate::support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chartvault::*;
use support::{House, files_in, note, small, verify, whole_log};

struct Apart {
    dir: tempfile::TempDir,
    key: RawKey,
}

impl Apart {
    fn create() -> (Self, Vault) {
        let apart = Self { dir: tempfile::tempdir().unwrap(), key: RawKey::generate().unwrap() };
        let new = Vault::create(apart.vault()).raw_key(&apart.key).options(small());
        let (vault, _) = new.detached_header(apart.stick()).finish().unwrap();
        (apart, vault)
    }

    fn vault(&self) -> PathBuf {
        self.dir.path().join("vault")
    }

    fn stick(&self) -> PathBuf {
        self.dir.path().join("mnt/stick")
    }

    fn locked(&self) -> Result<LockedVault, Error> {
        Vault::open_with(self.vault(), small().header(self.stick()))
    }

    fn open(&self) -> Vault {
        self.locked().unwrap().unlock(&self.key).unwrap()
    }
}

fn names(path: &Path) -> Vec<String> {
    files_in(path).into_iter().map(|file| file.display().to_string()).collect()
}

#[test]
fn a_detached_header_opens_its_vault_and_nothing_of_it_is_beside_the_data() {
    let (apart, vault) = Apart::create();
    let id = vault.id();
    vault.add_slot(NewSlot::of(&RawKey::generate().unwrap()).label("front desk"), &apart.key).unwrap();
    vault.close().unwrap();
    assert_eq!(names(&apart.stick()), ["header.a", "header.b"]);
    let beside = names(&apart.vault());
    assert!(beside.contains(&"header.elsewhere".to_owned()) && !beside.contains(&"header.a".to_owned()), "{beside:?}");
    for file in files_in(&apart.vault()) {
        let bytes = fs::read(apart.vault().join(&file)).unwrap();
        for text in [&b"front desk"[..], b"CVHDR1"] {
            assert!(!bytes.windows(text.len()).any(|window| window == text), "{}", file.display());
        }
    }
    let refused = Vault::open(apart.vault()).map(drop);
    assert!(
        matches!(&refused, Err(Error::Header(HeaderFileError::Elsewhere { vault: Some(vault), .. })) if *vault == id),
        "{refused:?}"
    );
    let vault = apart.open();
    assert_eq!((vault.id(), vault.slots().unwrap().len()), (id, 3));
    assert!(vault.check(CheckScope::All, &mut |_| ()).unwrap().findings.is_empty());
}

#[test]
fn a_missing_medium_is_named_and_never_written_to() {
    let (apart, vault) = Apart::create();
    let put_away = apart.dir.path().join("safe");
    fs::rename(apart.stick(), &put_away).unwrap();
    // The place where it was mounted is still there.
    fs::create_dir(apart.stick()).unwrap();
    let refused = vault.add_slot(NewSlot::of(&RawKey::generate().unwrap()), &apart.key);
    assert!(matches!(refused, Err(Error::Header(HeaderFileError::NoHeader { .. }))), "{refused:?}");
    assert!(names(&apart.stick()).is_empty());
    // What is open goes on; a medium that is locked away is no damage.
    assert!(vault.check(CheckScope::Journal, &mut |_| ()).unwrap().findings.is_empty());
    vault.close().unwrap();
    let refused = apart.locked().map(drop);
    assert!(matches!(refused, Err(Error::Header(HeaderFileError::NoHeader { .. }))), "{refused:?}");
    fs::remove_dir(apart.stick()).unwrap();
    fs::rename(&put_away, apart.stick()).unwrap();
    apart.open().close().unwrap();
}

/// Takes the medium away the next time the vault asks for the time.
struct Thief {
    from: PathBuf,
    to: PathBuf,
    armed: AtomicBool,
}

impl Clock for Thief {
    fn now(&self) -> Timestamp {
        if self.armed.swap(false, Ordering::SeqCst) {
            fs::rename(&self.from, &self.to).unwrap();
            fs::create_dir(&self.from).unwrap();
        }
        SystemClock.now()
    }
}

#[test]
fn a_medium_that_goes_while_the_header_is_changed_leaves_no_header_where_it_was_mounted() {
    let dir = tempfile::tempdir().unwrap();
    let (key, stick, drawer) = (RawKey::generate().unwrap(), dir.path().join("stick"), dir.path().join("drawer"));
    let thief = Arc::new(Thief { from: stick.clone(), to: drawer.clone(), armed: AtomicBool::new(false) });
    let new = Vault::create(dir.path().join("vault")).raw_key(&key).options(small().clock(thief.clone()));
    let (vault, _) = new.detached_header(&stick).finish().unwrap();
    let other = RawKey::generate().unwrap();
    // Between reading the header and writing it the new slot is given its time of creation.
    thief.armed.store(true, Ordering::SeqCst);
    let refused = vault.add_slot(NewSlot::of(&other), &key);
    assert!(matches!(&refused, Err(Error::Header(HeaderFileError::NoHeader { dir })) if *dir == stick), "{refused:?}");
    assert!(names(&stick).is_empty() && names(&drawer) == ["header.a", "header.b"]);
    // Brought back, it is as it was, and the change can be made.
    fs::remove_dir(&stick).unwrap();
    fs::rename(&drawer, &stick).unwrap();
    vault.add_slot(NewSlot::of(&other), &key).unwrap();
    vault.close().unwrap();
    let locked = Vault::open_with(dir.path().join("vault"), small().header(&stick)).unwrap();
    locked.unlock(&other).unwrap().close().unwrap();
}

#[test]
fn a_header_of_another_vault_and_one_too_many_are_refused() {
    let (apart, vault) = Apart::create();
    let (other, theirs) = Apart::create();
    let (ours, found) = (vault.id(), theirs.id());
    vault.close().unwrap();
    theirs.close().unwrap();
    let refused = Vault::open_with(apart.vault(), small().header(other.stick())).map(drop);
    let Err(Error::Header(HeaderFileError::HeaderOfAnotherVault { found: header, vault })) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!((header, vault), (found, ours));
    // Without the mark, the journal knows.
    fs::remove_file(apart.vault().join("header.elsewhere")).unwrap();
    let refused = Vault::open(apart.vault()).map(drop);
    assert!(matches!(refused, Err(Error::Header(HeaderFileError::NotAVault { .. }))), "{refused:?}");
    let refused = Vault::open_with(apart.vault(), small().header(other.stick())).unwrap().unlock(&other.key).map(drop);
    assert!(matches!(refused, Err(Error::Storage(_))), "{refused:?}");
    apart.open().close().unwrap();
    // A mark that is damaged still says that there was one.
    fs::write(apart.vault().join("header.elsewhere"), "?").unwrap();
    let refused = Vault::open(apart.vault()).map(drop);
    assert!(matches!(refused, Err(Error::Header(HeaderFileError::Elsewhere { vault: None, .. }))), "{refused:?}");
    // Put back beside the data, the vault is an ordinary one, and takes no second header.
    for name in ["header.a", "header.b"] {
        fs::copy(apart.stick().join(name), apart.vault().join(name)).unwrap();
    }
    let refused = apart.locked().map(drop);
    assert!(matches!(refused, Err(Error::Header(HeaderFileError::NotDetached { .. }))), "{refused:?}");
    Vault::open_with(apart.vault(), small()).unwrap().unlock(&apart.key).unwrap().close().unwrap();
}

#[test]
fn a_new_vault_takes_no_place_where_a_header_is() {
    let (apart, vault) = Apart::create();
    vault.close().unwrap();
    let new = Vault::create(apart.dir.path().join("second")).raw_key(&apart.key);
    let refused = new.detached_header(apart.stick()).finish().map(drop);
    assert!(matches!(refused, Err(Error::Header(HeaderFileError::AlreadyExists { .. }))), "{refused:?}");
    apart.open().close().unwrap();
}

#[test]
fn a_salvage_leaves_a_detached_header_where_it_is() {
    let (apart, vault) = Apart::create();
    vault.close().unwrap();
    let into = apart.dir.path().join("salvaged");
    apart.locked().unwrap().salvage(&apart.key, &into).unwrap();
    assert!(!names(&into).iter().any(|name| name == "header.a"));
    Vault::open_with(&into, small().header(apart.stick())).unwrap().unlock(&apart.key).unwrap().close().unwrap();
}

#[test]
fn a_backup_of_the_header_brings_back_a_vault_that_lost_both_copies() {
    let (house, vault) = House::create();
    let session = house.session(&vault);
    let patient = session.register_patient([]).unwrap();
    let id = session.put(patient, &note("kept")).unwrap();
    let (first, second) = (house.dir.path().join("first"), house.dir.path().join("second"));
    vault.back_up_header(&first).unwrap();
    let again = vault.back_up_header(&first);
    assert!(matches!(again, Err(Error::Header(HeaderFileError::AlreadyExists { .. }))), "{again:?}");
    vault.remove_slot(1, &house.key).unwrap();
    // Also when nothing is left on disk.
    for name in ["header.a", "header.b"] {
        fs::remove_file(house.path().join(name)).unwrap();
    }
    vault.back_up_header(&second).unwrap();
    drop(session);
    vault.close().unwrap();
    let refused = house.open_at(&house.path()).map(drop);
    assert!(matches!(refused, Err(Error::Header(HeaderFileError::NotAVault { .. }))), "{refused:?}");
    fs::copy(&first, house.path().join("header.a")).unwrap();
    let refused = house.open_at(&house.path()).map(drop);
    assert!(
        matches!(refused, Err(Error::Storage(StorageError::HeaderRolledBack { header: 1, journal: 2 }))),
        "{refused:?}"
    );
    fs::copy(&second, house.path().join("header.a")).unwrap();
    let vault = house.open();
    let session = house.session(&vault);
    assert_eq!(session.get(id).unwrap().value, note("kept"));
    verify(&session);
    let log = whole_log(&session);
    let entries = log.iter().filter(|entry| entry.event == AuditEvent::HeaderBackedUp);
    let said: Vec<_> = entries.map(|entry| (entry.outcome, entry.detail.as_deref().unwrap())).collect();
    use Outcome::*;
    assert_eq!(said, [(Allowed, "header 1"), (Allowed, "header 1"), (Failed, "header 1"), (Allowed, "header 2")]);
    assert!(house.path().join("header.b").exists());
}
