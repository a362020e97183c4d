//! A laptop with a copy of the vault is stolen: nothing is readable, guessing is slow, and what the removed slot still opens.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use chartvault::{Action, AuditEvent, Error, Grant, IssuerKey, KdfParameters, Passphrase, Purpose, SlotInfo, Vault};

use super::folder::{copy, files};
use super::guide::{Answer, Guide, Question};
use super::house::{COST, DAY, House, LAPTOP_PASSPHRASE, open, options};
use super::{failed, must, otherwise, refused};
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

/// What thieves try first.
const GUESSES: [&str; 3] = ["passwort", "Praxis2026", "Mustermann1"];

/// Each block of the journal begins with this, in the open: that it is found shows that the search works.
const MARK: &str = "CVF1";

/// What the copy's own log tells of the thief.
const COPY_SAYS: [AuditEvent; 4] =
    [AuditEvent::UnlockFailed, AuditEvent::VaultOpened, AuditEvent::IssuerTrusted, AuditEvent::RecordRead];

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

    let (mut answer, mut fastest) = (None, Duration::MAX);
    for guess in GUESSES {
        let begun = Instant::now();
        answer = Some(refused(open_with(&stolen, guess), "a wrong passphrase opens nothing")?);
        fastest = fastest.min(begun.elapsed());
    }
    if let Some(error) = answer {
        guide.happened(&format!("The thief tries passphrases: {}", GUESSES.join(", ")), error)?;
    }
    guide.happened("How long does a guess take?", speed(fastest.as_millis().max(1)))?;

    let note = Passphrase::new(LAPTOP_PASSPHRASE);
    let vault = open(&stolen, &note)?;
    // Whoever can open a vault can have it trust an issuer, and sign tokens as they like.
    let thief = IssuerKey::generate().map_err(failed)?;
    vault.trust_issuer(thief.public(), &note)?;
    let all = Grant::to("thief").all_patients().all_kinds().actions([Action::Read]).purpose(Purpose::Treatment);
    let token = all.valid_for(DAY).sign(&thief, vault.id()).map_err(failed)?;
    let read = vault.session(&token, Purpose::Treatment)?.get_verbatim(house.erika.record)?;
    guide.happened(
        "Then the thief turns the laptop over, types what the note says, and makes themselves a pass",
        String::from_utf8_lossy(&read.value),
    )?;
    let entries = house.log_of_copy(&vault, &COPY_SAYS)?;
    guide.log_of(
        "WHERE IT STANDS in the log of the STOLEN COPY, which only the thief has",
        "log_of_copy",
        "stolen-laptop",
        house,
        &entries,
    )?;
    vault.close()?;

    guide.ask(&WHAT_NOW)?;

    let vault = house.open()?;
    let slots = vault.slots()?;
    let named = |slot: &&SlotInfo| slot.label == "the doctor's laptop";
    let slot = slots.iter().find(named).map(|slot| slot.number).ok_or_else(|| otherwise("the laptop has a slot"))?;
    guide.happened("What opens the practice's vault? Each way in has a number, its SLOT", listed(&slots))?;
    vault.remove_slot(slot, &house.passphrase())?;
    guide.happened("The laptop's slot is removed; what is left", listed(&vault.slots()?))?;
    vault.close()?;
    let error = refused(open_with(&house.dir(), LAPTOP_PASSPHRASE), "the removed passphrase opens nothing")?;
    guide.happened("The note's passphrase, at the practice's vault", error)?;
    open(&stolen, &Passphrase::new(LAPTOP_PASSPHRASE))?.close()?;
    guide.happened("The note's passphrase, at the stolen copy", "it still opens, and will for ever")?;

    let vault = house.open()?;
    let wanted = [AuditEvent::SlotRemoved, AuditEvent::HeaderWritten, AuditEvent::UnlockFailed];
    let entries = house.log(&vault, &wanted)?;
    guide.log(house, &entries)?;
    guide.tell("What the thief did with the copy does not stand there: your log cannot know of it.")?;
    guide.advise(
        &[
            "Report it at once: to the police, and to the data protection officer, who has to decide within 72 hours whether \
             the authority is told (GDPR, article 33). Was the laptop switched on? Was a passphrase with it?",
            "Remove the laptop's slot, and change any passphrase that was typed on it.",
            "If the passphrase was weak or with it: treat the charts as read, and rotate the keys, so that no record written from \
             then on opens with what was stolen. That drops all other ways in: add them again afterwards.",
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
    let each = millis.saturating_mul(own).checked_div(here).unwrap_or(millis).max(1);
    let hours = each.saturating_mul(1_000_000) / 3_600_000;
    // Five words of a list of 7,776; half of all until one is right, on average.
    let years = 7_776_u128.pow(5).saturating_mul(each) / 2 / 1_000 / 31_557_600;
    format!(
        "{millis} ms here; in a vault of your own, which makes it dearer, about {each} ms. A machine like this one is through \
         with a list of a million common passwords in {hours} hours. With five random words it would need {} million \
         years.",
        years / 1_000_000
    )
}

fn listed(slots: &[SlotInfo]) -> String {
    let told = |slot: &SlotInfo| format!("{}: {} ({})", slot.number, slot.label, slot.kind);
    slots.iter().map(told).collect::<Vec<_>>().join("\n")
}

/// Memory times passes.
fn work(kdf: KdfParameters) -> u128 {
    match kdf {
        KdfParameters::Argon2id(cost) => u128::from(cost.memory_kib()) * u128::from(cost.passes()),
        _ => 1,
    }
}

fn open_with(dir: &Path, passphrase: &str) -> Result<(), Error> {
    let locked = Vault::open_with(dir, options())?;
    locked.unlock(&Passphrase::new(passphrase))?.close()
}
