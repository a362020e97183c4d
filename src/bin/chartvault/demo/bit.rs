//! One bit of a file changes, as disks do: it is found and named, and a new vault is made of what verifies.

use std::fs;
use std::path::{Path, PathBuf};

use chartvault::{Action, AuditEvent, CheckScope, Grant, Purpose, Vault};

use super::folder::copy;
use super::guide::{Answer, Guide, Question};
use super::house::{DOCTOR, House, open, options};
use super::{must, otherwise};
use crate::failure::{Failure, Outcome};

const WHAT_NOW: Question = Question {
    asks: "The weekly check has found damage. What do you do first?",
    answers: &[
        Answer {
            text: "Keep all files as they are, copy the folder elsewhere, and call whoever looks after the machine.",
            because: "As long as nobody touches the files nothing more is lost, and every way back stays open.",
        },
        Answer {
            text: "Delete the file that the report names: the vault will make a new one.",
            because: "In that file are charts and pages of the log. Deleted, they are gone; one bit is far less.",
        },
        Answer {
            text: "Work on. One bit among millions does no harm.",
            because: "Where one bit changed, more will: disks rarely fail once. Have it looked at while all can be saved.",
        },
    ],
    right: 1,
};

pub fn play(house: &mut House, guide: &mut Guide) -> Outcome<()> {
    guide.tell(
        "Disks grow old, and now and then one gives back something else than was written: one single bit, a one where there \
         was a zero. In many programs nobody ever notices, and a dose of 10 may read 11 from then on. We change one bit in a \
         copy of the vault, in its JOURNAL, the files in which every write stands first.",
    )?;
    let damaged = house.base.join("old-disk");
    copy(&house.dir(), &damaged)?;
    let (file, at) = flip(&damaged)?;
    guide.happened("One bit is flipped", format!("{}, byte {at}", file.display()))?;

    let vault = open(&damaged, &house.passphrase())?;
    let report = vault.check(CheckScope::All, &mut |_| ())?;
    vault.close()?;
    must(!report.is_sound() && !report.findings.is_empty(), "the check finds the bit")?;
    guide.happened("The vault is checked", &report)?;

    guide.ask(&WHAT_NOW)?;

    guide.tell(
        "A backup that is whole is the best way back. Without one there is SALVAGE: it reads the damaged vault, changes \
         nothing in it, and makes a new one beside it of all that can be proved to be right.",
    )?;
    let mended = house.base.join("salvaged.vault");
    let report = Vault::open_with(&damaged, options())?.salvage(&house.passphrase(), &mended)?;
    guide.happened("The damaged vault is salvaged", &report)?;
    must(report.is_whole(), "all of it is proved to be back")?;

    let vault = open(&mended, &house.passphrase())?;
    let token = house.sign(Grant::to(DOCTOR).actions([Action::Read]).purpose(Purpose::Treatment))?;
    let session = vault.session(&token, Purpose::Treatment)?;
    let read = session.get_verbatim(house.erika.record)?;
    must(read.value == house.erika.text.as_bytes(), "the record is what was put")?;
    guide.happened(
        "Erika Mustermann's record, read from the new vault and compared",
        format!("{} bytes, the same as were written", read.value.len()),
    )?;
    session.close()?;
    let report = vault.check(CheckScope::All, &mut |_| ())?;
    must(report.is_sound(), "the new vault is sound")?;
    guide.happened("The new vault is checked", &report)?;

    // The new vault's log begins with that of the damaged one, which had been copied from the practice's.
    let entries = house.log_of_copy(&vault, &[AuditEvent::VaultSalvaged, AuditEvent::VaultChecked])?;
    guide.log_of(
        "WHERE IT STANDS IN THE LOG of the new vault, which goes on from the old one's",
        "log",
        "salvaged.vault",
        house,
        &entries,
    )?;
    guide.advise(
        &[
            "Keep the damaged files as they are and copy the folder elsewhere. Nobody has to be afraid of having done it.",
            "Have the disk and the memory tested; do not go on with this disk.",
            "Restore a backup that is whole. Without one: salvage, and read what the report says is lost or in doubt.",
            "Check each week, so that damage is found while a good backup is still there.",
        ],
        &[
            "chartvault check --all".to_owned(),
            "chartvault salvage --into mended.vault".to_owned(),
            "chartvault check --all --vault mended.vault".to_owned(),
        ],
    )?;
    vault.close()
}

/// Flips one bit in the middle of an early block of the journal. Blocks begin with a mark that stands in the open.
fn flip(vault: &Path) -> Outcome<(PathBuf, usize)> {
    let path = vault.join("journal").join("0000000001.cvj");
    let mut bytes = fs::read(&path).map_err(|error| Failure::file("reading", &path, &error))?;
    let begins = |at: &usize| bytes.get(*at..).is_some_and(|rest| rest.starts_with(b"CVF1\0"));
    let block = (512..bytes.len()).step_by(8).filter(begins).take(10).last();
    let at = block.and_then(|at| at.checked_add(120)).ok_or_else(|| otherwise("the journal has blocks"))?;
    let byte = bytes.get_mut(at).ok_or_else(|| otherwise("the block is whole"))?;
    *byte ^= 1;
    fs::write(&path, bytes).map_err(|error| Failure::file("writing", &path, &error))?;
    Ok((path, at))
}
