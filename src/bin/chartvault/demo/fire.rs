//! A fire: the vault's folder is gone, and comes back from the backup and the key pack in the safe, but for what came after it.

use std::fs;

use chartvault::{Action, AuditEvent, Error, FolderTarget, Grant, Kind, Passphrase, Purpose, PutOptions, Vault};

use super::guide::{Answer, Guide, Question};
use super::house::{DOCTOR, House, open, options};
use super::{failed, must, otherwise, refused};
use crate::failure::{Failure, Outcome};

const WHAT_NOW: Question = Question {
    asks: "The surgery burned out, and the computer with it. What is needed to get the charts back?",
    answers: &[
        Answer {
            text: "The disk with the backups: all charts are on it.",
            because: "They are, and nobody can open them. Else whoever finds the disk in a taxi could.",
        },
        Answer {
            text: "The disk with the backups, the key pack out of the safe, and the passphrase or the recovery key.",
            because: "Three things that lie in three places. Whoever has one of them has nothing; you fetch all of them.",
        },
        Answer {
            text: "Nothing helps: the vault was encrypted, and its key burned with it.",
            because: "The keys lie in the key pack, locked by the passphrase. That is why the pack lies in the safe of another house.",
        },
    ],
    right: 2,
};

/// A visit of the morning, after the backup of the evening.
const VISIT: &[u8] =
    br#"{"resourceType":"Encounter","subject":{"display":"Erika Mustermann"},"reasonCode":[{"text":"Vaccination"}]}"#;

pub fn play(house: &mut House, guide: &mut Guide) -> Outcome<()> {
    guide.tell(
        "Each evening the practice makes a BACKUP on a disk that Dr. Weber takes home. A KEY PACK belongs to it, and lies in a \
         safe somewhere else: it holds the keys, themselves locked by the passphrase. A backup without a key pack opens for \
         nobody.",
    )?;
    let (disk, safe) = (house.base.join("disk-at-home"), house.base.join("safe"));
    let target = FolderTarget::create(&disk).map_err(failed)?;
    let packs = FolderTarget::create(&safe).map_err(failed)?;
    let vault = house.open()?;
    let made = vault.backup(&target).packs_to(&packs).run()?;
    guide.happened("The backup of the evening", &made)?;

    let doctor = Grant::to(DOCTOR).actions([Action::Read, Action::Create]).purpose(Purpose::Treatment);
    let doctor = house.sign(doctor)?;
    let session = vault.session(&doctor, Purpose::Treatment)?;
    let encounter = Kind::new("Encounter").map_err(failed)?;
    let visit = session.put_verbatim(house.erika.patient, &encounter, VISIT, PutOptions::new())?;
    session.close()?;
    guide.happened("The next day Erika Mustermann is vaccinated, and Dr. Weber writes it down", visit)?;
    let status = vault.backup_status()?;
    let (lost, _) = status.loss_window().ok_or_else(|| otherwise("the vault knows of its backup"))?;
    guide.happened("What would be lost now?", format!("{lost} log entries and what was written with them"))?;
    vault.close()?;

    fs::remove_dir_all(house.dir()).map_err(|error| Failure::file("removing", &house.dir(), &error))?;
    let error = refused(Vault::open_with(house.dir(), options()), "the folder is gone")?;
    guide.happened("In the afternoon, before the next backup, there is a fire; the folder is gone", error)?;

    guide.ask(&WHAT_NOW)?;

    let alone = Vault::restore(&target).options(options()).into(house.dir(), &house.passphrase());
    guide.happened("The disk alone, on a new computer", refused(alone, "a backup opens with no key pack")?)?;
    let again = || Vault::restore(&target).packs_from(&packs).options(options());
    let guess = Passphrase::new("five harbour lamps burn softly tonight");
    let error = refused(again().into(house.dir(), &guess), "a passphrase that was removed opens no key pack")?;
    guide.happened("Disk and key pack, with the passphrase that was forgotten and removed", error)?;
    let restored = again().into(house.dir(), &house.passphrase())?;
    must(restored.entries == made.entries, "all of the backup is back")?;
    guide.happened("Disk, key pack and the passphrase of now", &restored)?;

    let vault = open(&house.dir(), &house.passphrase())?;
    must(vault.id() == house.id, "it is the same vault")?;
    // The pass of yesterday: the vault that came back trusts whom it trusted.
    let session = vault.session(&doctor, Purpose::Treatment)?;
    let read = session.get_verbatim(house.erika.record)?;
    must(read.value == house.erika.text.as_bytes(), "the record is what was put")?;
    guide.happened(
        "What was there in the evening is there, with the pass of yesterday: the allergy",
        String::from_utf8_lossy(&read.value),
    )?;
    let gone = refused(session.get_verbatim(visit), "what came after the backup is gone")?;
    must(matches!(gone, Error::NoSuchRecord(_)), "the visit is not found")?;
    guide.happened("What came after it is lost: the vaccination", gone)?;
    session.close()?;

    // What was written by now is shown from the restore on: the entries of the day burned, and their numbers are given anew.
    let wanted = [AuditEvent::VaultRestored, AuditEvent::VaultOpened, AuditEvent::RecordRead];
    let entries = house.log_after(&vault, restored.entries, &wanted)?;
    guide.log(house, &entries)?;
    guide.tell(
        "The log goes on from the evening: everybody can see that the vault was brought back, and that what came after \
         the backup is missing. Who looked into which chart on that day, nobody knows any more.",
    )?;
    let anew = vault.backup(&target).packs_to(&packs).run()?;
    must(anew.manifest > made.manifest, "the backups go on")?;
    guide.happened("The new computer makes its first backup, on the same disk", &anew)?;
    guide.advise(
        &[
            "Fetch the disk, the key pack and the passphrase; two people go, and write down when.",
            "Restore into a new folder, and have the whole vault checked before anybody works with it.",
            "Find out what is missing: the appointment book and the laboratory know of that day. Write it in again, and have \
             the data protection officer decide what the gap in the log means.",
            "Take away once more what was taken away on that day: passes that were revoked, colleagues who left.",
            "Make a backup of the new vault at once. See that the old computer, should it come back, is used by nobody.",
            "Each day one backup at least, on two disks that are never in the same house. Once a quarter: rehearse this.",
        ],
        &[
            "chartvault backup run --to disk-at-home --packs safe".to_owned(),
            "chartvault backup verify --to disk-at-home".to_owned(),
            "chartvault backup drill --to disk-at-home --packs safe".to_owned(),
            "chartvault restore --from disk-at-home --packs safe --into new.vault".to_owned(),
            "chartvault check --all --vault new.vault".to_owned(),
            "chartvault backup status".to_owned(),
        ],
    )?;
    vault.close()
}
