//! The passphrase is forgotten: the recovery key opens the vault, and a new passphrase takes the old one's place.

use chartvault::{AuditEvent, NewSlot, Passphrase, RecoveryKey, SlotKind, Vault};

use super::guide::{Answer, Guide, Question};
use super::house::{COST, House, options};
use super::{failed, must, otherwise, refused};
use crate::door::Door;
use crate::failure::Outcome;

const NEW: &str = "seven green bicycles under the bridge";

const WHAT_NOW: Question = Question {
    asks: "Nobody knows the passphrase any more. What opens the vault?",
    answers: &[
        Answer {
            text: "The makers of the program: they have a key for such cases.",
            because: "There is none. What its makers could open, a thief could open as well.",
        },
        Answer {
            text: "The recovery key: the paper that was printed on the first day and lies in a safe elsewhere.",
            because: "It opens the vault as the passphrase does. That is what it was printed for.",
        },
        Answer {
            text: "Trying on until it works: the vault does not lock itself.",
            because: "It does not, but each try takes a while and stands in the log, and five random words are not found by trying.",
        },
    ],
    right: 2,
};

pub fn play(house: &mut House, guide: &mut Guide) -> Outcome<()> {
    guide.tell(
        "The colleague who always opened the vault in the morning is on a long journey and cannot be reached. The others \
         remember something with a harbour.",
    )?;
    let locked = || Vault::open_with(house.dir(), options());
    for guess in ["five harbour lights burn softly tonight", "four harbour lamps burn softly tonight"] {
        let error = refused(locked()?.unlock(&Passphrase::new(guess)), "a wrong passphrase opens nothing")?;
        guide.happened(&format!("They try \"{guess}\""), error)?;
    }

    guide.ask(&WHAT_NOW)?;

    let vault = Door::of(locked()?.unlock(&house.recovery)?);
    guide.happened(
        "The recovery key is fetched from the safe and typed in",
        format!("the vault is open: {}", vault.id()),
    )?;
    let old = vault.slots()?.into_iter().find(|slot| slot.kind == SlotKind::Passphrase);
    let old = old.map(|slot| slot.number).ok_or_else(|| otherwise("the passphrase has a slot"))?;
    let new = vault.add_slot(NewSlot::of(&Passphrase::new(NEW)).kdf(COST).label("passphrase"), &house.recovery)?;
    guide.happened("A new passphrase is added", format!("slot {new}"))?;
    vault.remove_slot(old, &house.recovery)?;
    guide.happened(
        "The forgotten one is removed: who knows whether it stands on a paper somewhere",
        format!("slot {old}"),
    )?;
    // The envelope is open, so what was in it is replaced as well.
    let paper = RecoveryKey::generate().map_err(failed)?;
    let opened = vault.slots()?.into_iter().find(|slot| slot.kind == SlotKind::RecoveryKey);
    let opened = opened.map(|slot| slot.number).ok_or_else(|| otherwise("the recovery key has a slot"))?;
    let number = vault.add_slot(NewSlot::of(&paper).label("recovery key"), &house.recovery)?;
    vault.remove_slot(opened, &Passphrase::new(NEW))?;
    guide.happened(
        "The envelope is open now, so a new recovery key is printed, and the old one removed",
        format!("slot {number} in the place of slot {opened}"),
    )?;
    vault.close()?;
    let error = refused(locked()?.unlock(&house.recovery), "the old recovery key opens nothing")?;
    guide.happened("The old recovery key, tried once more", error)?;
    house.passphrase_is_now(NEW);
    house.recovery = paper;

    let vault = house.open()?;
    let kinds: Vec<_> = vault.slots()?.iter().map(|slot| slot.kind.to_string()).collect();
    must(kinds.len() == 2, "there are two ways in")?;
    guide.happened("The new passphrase opens the vault; it has these ways in", kinds.join("\n"))?;
    let wanted = [AuditEvent::UnlockFailed, AuditEvent::VaultOpened, AuditEvent::SlotAdded, AuditEvent::SlotRemoved];
    let entries = house.log(&vault, &wanted)?;
    guide.log(house, &entries)?;
    guide.advise(
        &[
            "Do not go on guessing. Fetch the recovery key; two people go, and write down when.",
            "Open the vault with it, add a new passphrase of five random words, and remove the forgotten one.",
            "Make a new recovery key, print it, check the print by opening the vault with it, seal the envelope, remove the \
             old one.",
            "Once a quarter: see whether the envelope is where it should be. Without passphrase and recovery key the charts \
             are lost; nobody can help then.",
        ],
        &[
            "chartvault key ls --recovery-key-file recovery.txt".to_owned(),
            "chartvault key add passphrase --label passphrase --recovery-key-file recovery.txt".to_owned(),
            format!("chartvault key remove {old}"),
            "chartvault key add recovery-key --out new-recovery.txt".to_owned(),
            format!("chartvault key remove {opened}"),
        ],
    )?;
    vault.close()
}
