//! The life of a vault's keys: `cargo run --release --example keys`.
//!
//! Creates a vault of the sample data and types its recovery key back; lets two persons open it together; changes a
//! passphrase; seals every record under a new key while a physician works; erases a patient, and shows that history, search,
//! log, files and a restored backup agree; and prints what the key report makes of it all. Leaves nothing behind, and exits
//! with failure unless everything turns out as it has to.

mod erase;
#[path = "../clinic/fhir.rs"]
#[allow(dead_code)] // the clinic's example uses the rest
mod fhir;
#[path = "../clinic/files.rs"]
#[allow(dead_code)]
mod files;
mod house;
mod rotate;
#[path = "../clinic/show.rs"]
#[allow(dead_code)]
mod show;

use std::error::Error;
use std::process::ExitCode;

use chartvault::{Error as VaultError, NewSlot, Passphrase, RecoveryKey, TwoPersons, Vault};

use house::House;
use show::{heading, item, note, say};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nThis run did not go as it has to: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome<()> {
    let temporary = tempfile::tempdir()?;

    heading("A new vault, and its recovery key");
    let (house, vault, recovery) = House::create(temporary.path())?;
    recover(&house, vault, &recovery)?;

    heading("Two persons together");
    let [chief, deputy] = ["oak table by the window", "rain on a tin roof"].map(Passphrase::new);
    let vault = two_persons(&house, &chief, &deputy)?;

    heading("A changed passphrase");
    let changed = Passphrase::new("eleven lanterns along the pier");
    let vault = change(&house, vault, &changed)?;

    heading("A new data key, while a physician works");
    rotate::run(&house, &vault, &changed)?;

    heading("A patient is erased");
    erase::run(&house, &vault, &changed)?;

    heading("The key report");
    let report = vault.key_report()?;
    report.to_string().lines().for_each(say);
    expect(!report.rotation.is_under_way(), "no rotation is left half-way")?;
    expect(report.erasures == 1, "the erasure is counted")?;
    Ok(vault.close()?)
}

/// Mistypes the recovery key, types it right, and opens the vault with it.
fn recover(house: &House, vault: Vault, recovery: &RecoveryKey) -> Outcome<()> {
    vault.close()?;
    let text = recovery.expose_text();
    item("on paper", "11 groups of 6 characters, each with a check; this vault's is not shown here");
    let mistyped: String =
        text.char_indices().map(|(at, letter)| if at == 7 { other(letter) } else { letter }).collect();
    let refused = mistyped.parse::<RecoveryKey>().err().ok_or("a mistyped recovery key was taken")?;
    item("one letter wrong", refused);
    Vault::open(&house.path)?.unlock(&text.parse::<RecoveryKey>()?)?.close()?;
    item("typed right", "the vault opens");
    Ok(())
}

/// Another letter that a recovery key may hold.
const fn other(letter: char) -> char {
    if letter == 'A' { 'B' } else { 'A' }
}

/// Adds a slot that two passphrases open together, and opens the vault with one of them, then with both.
fn two_persons(house: &House, chief: &Passphrase, deputy: &Passphrase) -> Outcome<Vault> {
    let vault = Vault::open(&house.path)?.unlock(&house.passphrase)?;
    let both = TwoPersons::new(chief, deputy);
    let number =
        vault.add_slot(NewSlot::of(&both).label("the board").partners("chief", "deputy"), &house.passphrase)?;
    vault.close()?;
    let locked = Vault::open(&house.path)?;
    let alone = locked.unlock(chief);
    let alone = alone.err().ok_or("one of two persons opened the vault")?;
    expect(matches!(alone, VaultError::NeedsPartner { .. }), "one of the two is not enough")?;
    item("the chief alone", alone);
    let vault = locked.unlock(&both)?;
    item("both", format!("the vault opens, by slot {number}"));
    Ok(vault)
}

/// Changes the passphrase of the vault; the old one opens it no more.
fn change(house: &House, vault: Vault, new: &Passphrase) -> Outcome<Vault> {
    let number = vault.change_credential(&house.passphrase, NewSlot::of(new))?;
    vault.close()?;
    let old = Vault::open(&house.path)?.unlock(&house.passphrase);
    item("the old one", old.err().ok_or("the old passphrase still opens the vault")?);
    let vault = Vault::open(&house.path)?.unlock(new)?;
    item("the new one", format!("the vault opens, by slot {number}"));
    note("Its key slots:\n");
    for slot in vault.slots()? {
        let used = slot.last_used.map_or_else(|| "never".to_owned(), |at| at.to_string());
        say(&format!("{:>2}  {:<16} {:<14} last used: {used}", slot.number, slot.kind.to_string(), slot.label));
    }
    Ok(vault)
}

/// Fails with what was expected and did not hold.
fn expect(holds: bool, what: &str) -> Outcome<()> {
    if holds { Ok(()) } else { Err(format!("expected that {what}").into()) }
}
