//! A laptop with a copy of the vault is stolen: nothing is readable, guessing is slow, and what the removed slot still opens.

use std::fs;
use std::path::Path;
use std::time::Instant;

use chartvault::{AuditEvent, KdfParameters, Passphrase};

use super::folder::{copy, files};
use super::guide::{Answer, Guide, Question};
use super::house::{COST, House, LAPTOP_PASSPHRASE, open};
use super::{must, otherwise, refused};
use crate::failure::{Failure, Outcome};

const WHAT_NOW: Question = Question {
    asks: "There was a note with the laptop's passphrase stuck under it. What has to be done?",
    answers: &[
        Answer {
            text: "Nothing more: the charts on it are encrypted.",
            because: "They are, and the key to them was stuck under the laptop.",
        },
        Answer {
            text: "Remove the laptop's passphrase from the practice's vault. Then the stolen copy is closed as well.",
            because: "That closes the practice's vault to it, and nothing more. The stolen copy is out of reach: it opens with the old passphrase for ever.",
        },
        Answer {
            text: "Remove the laptop's passphrase, treat the charts as read, tell the data protection officer today, and \
                   change the keys.",
            because: "The copy cannot be called back, so what was in it counts as read; what is written from now on is protected by new keys.",
        },
    ],
    right: 3,
};

/// What somebody who looks through the files would look for.
const SOUGHT: [&str; 6] = ["Erika", "Mustermann", "Beispiel", "Penicillin", "AllergyIntolerance", "dr.weber"];

/// Each block of the journal begins with this, in the open: that it is found shows that the search works.
const MARK: &str = "CVF1";

pub fn play(house: &mut House, guide: &mut Guide) -> Outcome<()> {
    guide.tell(
        "Dr. Weber's laptop is stolen from the car. A copy of the whole vault was on it, closed. The thief first looks \
         through all files, then tries passphrases.",
    )?;
    let stolen = house.base.join("stolen-laptop");
    copy(&house.dir(), &stolen)?;
    let (bytes, hits) = search(&stolen)?;
    let found: Vec<_> = hits.iter().map(|(what, count)| format!("{what}: {count} times")).collect();
    guide.happened(&format!("All {bytes} bytes are searched for names and illnesses"), found.join("\n"))?;
    let readable: usize = hits.iter().filter(|(what, _)| *what != MARK).map(|(_, count)| count).sum();
    must(readable == 0, "nothing is readable in the files")?;
    must(hits.iter().any(|(what, count)| *what == MARK && *count > 0), "the search finds what is there")?;
    guide.tell(&format!(
        "({MARK} is no secret: each block of a file begins with it. It shows that the search works.)"
    ))?;

    let guesses = ["passwort", "Praxis2026", "Mustermann1"];
    let begun = Instant::now();
    for guess in guesses {
        let error = refused(open_with(&stolen, guess), "a wrong passphrase opens nothing")?;
        if guess == guesses[0] {
            guide.happened("The thief guesses passphrases", error)?;
        }
    }
    let each = begun.elapsed().as_millis().checked_div(3).unwrap_or(0).max(1);
    guide.happened("How long does a guess take?", speed(each))?;

    let vault = open(&stolen, &Passphrase::new(LAPTOP_PASSPHRASE))?;
    guide.happened(
        "Then the thief turns the laptop over, and types what the note says",
        format!("the copy is open; {} charts and all", 2),
    )?;
    let entries = house.log_of_copy(&vault, &[AuditEvent::UnlockFailed, AuditEvent::VaultOpened])?;
    guide.log_of(
        "WHERE IT STANDS in the log of the STOLEN COPY, which only the thief has",
        "log_of_copy",
        house,
        &entries,
    )?;
    vault.close()?;

    guide.ask(&WHAT_NOW)?;

    let vault = house.open()?;
    let slots = vault.slots()?;
    let named = |slot: &&chartvault::SlotInfo| slot.label == "the doctor's laptop";
    let slot = slots.iter().find(named).map(|slot| slot.number).ok_or_else(|| otherwise("the laptop has a slot"))?;
    let listed: Vec<_> = slots.iter().map(|slot| format!("{}: {} ({})", slot.number, slot.label, slot.kind)).collect();
    guide.happened("What opens the practice's vault? Each way in has a number, its SLOT", listed.join("\n"))?;
    vault.remove_slot(slot, &house.passphrase())?;
    vault.close()?;
    guide.happened("The laptop's slot is removed", format!("slot {slot} is gone"))?;
    let error = refused(open_with(&house.dir(), LAPTOP_PASSPHRASE), "the removed passphrase opens nothing")?;
    guide.happened("The note's passphrase, at the practice's vault", error)?;
    open(&stolen, &Passphrase::new(LAPTOP_PASSPHRASE))?.close()?;
    guide.happened("The note's passphrase, at the stolen copy", "it still opens, and will for ever")?;

    let vault = house.open()?;
    let wanted = [AuditEvent::SlotRemoved, AuditEvent::HeaderWritten, AuditEvent::UnlockFailed];
    let entries = house.log(&vault, &wanted)?;
    guide.log(house, &entries)?;
    guide.tell("What the thief did with the copy does not stand there: your log cannot know of it.")?;
    guide.to_do(
        &[
            "Report it at once: to the police, and to the data protection officer, who has to decide within 72 hours whether \
             the authority is told (GDPR, article 33). Was the laptop switched on? Was a passphrase with it?",
            "Remove the laptop's slot, and change any passphrase that was typed on it.",
            "If the passphrase was weak or with it: treat the charts as read, and rotate the keys, so that nothing new opens with \
             what was stolen.",
            "Five random words as a passphrase, and no note under the laptop.",
        ],
        &[
            "chartvault key ls".to_owned(),
            format!("chartvault key remove {slot}"),
            "chartvault key change".to_owned(),
            "chartvault key rotate root".to_owned(),
            "chartvault key rotate log".to_owned(),
            "chartvault doctor".to_owned(),
        ],
    )?;
    vault.close()
}

/// How many bytes there are, and how often each thing sought is among them.
fn search(dir: &Path) -> Outcome<(usize, Vec<(&'static str, usize)>)> {
    let (mut bytes, mut hits) = (0_usize, Vec::new());
    let mut texts = Vec::new();
    for file in files(dir)? {
        let text = fs::read(&file).map_err(|error| Failure::file("reading", &file, &error))?;
        bytes = bytes.saturating_add(text.len());
        texts.push(text);
    }
    for sought in SOUGHT.into_iter().chain([MARK]) {
        let count = |text: &Vec<u8>| text.windows(sought.len()).filter(|part| *part == sought.as_bytes()).count();
        hits.push((sought, texts.iter().map(count).sum()));
    }
    Ok((bytes, hits))
}

/// What guessing comes to, from how long a guess took just now.
fn speed(millis: u128) -> String {
    let (own, here) = (work(KdfParameters::recommended()), work(COST.into()));
    let in_own = millis.saturating_mul(own).checked_div(here).unwrap_or(millis).max(1);
    // Five words of a list of 7,776; half of them until one is right, on average.
    let years = 7_776_u128.pow(5).saturating_mul(in_own) / 2 / 1_000 / 31_557_600;
    format!(
        "{millis} ms here, about {in_own} ms in a vault of your own. For five random words that is {} million years on a machine \
         like this; \"Praxis2026\" is among the first million guesses, and falls within days",
        years / 1_000_000
    )
}

/// Memory times passes.
fn work(kdf: KdfParameters) -> u128 {
    match kdf {
        KdfParameters::Argon2id(cost) => u128::from(cost.memory_kib()) * u128::from(cost.passes()),
        _ => 1,
    }
}

fn open_with(dir: &Path, passphrase: &str) -> Result<(), chartvault::Error> {
    let locked = chartvault::Vault::open_with(dir, super::house::options())?;
    locked.unlock(&Passphrase::new(passphrase))?.close()
}
