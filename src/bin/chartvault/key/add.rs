//! `key add`: one more way into the vault.

use std::fs;
use std::path::{Path, PathBuf};

use chartvault::{KeyFile, NewSlot, RecoveryKey};
use clap::{Args, ValueEnum};

use crate::args::Common;
use crate::door::{Door, open};
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::secrets::{CredentialArgs, Secret, new_passphrase, write_private};
use crate::show::{Facts, Show};

/// What opens the new slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    Passphrase,
    RecoveryKey,
    KeyFile,
}

/// Add something that opens the vault
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  chartvault key add passphrase --label 'second doctor'
  chartvault key add recovery-key --out recovery.txt
  chartvault key add key-file --out /media/stick/clinic.key

A recovery key is shown once, unless --out names a file for it.")]
pub struct Add {
    /// What: a passphrase, a recovery key, or a key file on another medium
    #[arg(value_name = "WHAT")]
    what: Sort,
    /// The new file for a recovery key or key file, for its owner alone
    #[arg(long, value_name = "FILE", required_if_eq("what", "key-file"))]
    out: Option<PathBuf>,
    /// A file whose first line is the new passphrase, instead of asking for it
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,
    /// What the slot is called; everybody who has the header can read it
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    #[command(flatten)]
    credential: CredentialArgs,
}

pub fn run(common: &Common, args: &Add, show: Show) -> Outcome {
    if args.what != Sort::Passphrase && args.new_passphrase_file.is_some() {
        return Err(Failure::usage("--new-passphrase-file goes with `key add passphrase`"));
    }
    let (vault, secret) = open(common, &args.credential, show)?;
    let facts = match (args.what, &args.out) {
        (Sort::Passphrase, None) => {
            let new = new_passphrase(args.new_passphrase_file.as_deref())?;
            Facts::new().with("slot", add(&vault, args, NewSlot::of(&new), &secret)?)
        }
        (Sort::RecoveryKey, out) => recovery_key(&vault, args, out.as_deref(), &secret)?,
        (Sort::KeyFile, Some(path)) => {
            let file = KeyFile::create(path, vault.id()).map_err(|error| Failure::new(Code::Error, error))?;
            let number = add(&vault, args, NewSlot::of(&file), &secret).inspect_err(|_| forget(path))?;
            Facts::new().with("slot", number).text_of("file", path.display())
        }
        (Sort::Passphrase, Some(_)) => return Err(Failure::usage("--out goes with a recovery key or a key file")),
        (Sort::KeyFile, None) => return Err(Failure::usage("say which file: --out FILE")),
    };
    show.facts(&facts)?;
    vault.close()?;
    Ok(Code::Ok)
}

/// The key is safe in its file, if it has one, before there is a slot that it opens.
fn recovery_key(vault: &Door, args: &Add, out: Option<&Path>, secret: &Secret) -> Outcome<Facts> {
    let key = RecoveryKey::generate().map_err(|error| Failure::new(Code::Error, error))?;
    let text = key.expose_text();
    if let Some(path) = out {
        write_private(path, &format!("{}\n", *text))?;
    }
    let number = add(vault, args, NewSlot::of(&key), secret).inspect_err(|_| out.into_iter().for_each(forget))?;
    let shown = out.is_none().then(|| text.as_str().to_owned());
    Ok(Facts::new().with("slot", number).maybe("recovery_key", shown).maybe("file", out.map(Path::display)))
}

fn add<'a>(vault: &Door, args: &'a Add, slot: NewSlot<'a>, secret: &Secret) -> Outcome<u8> {
    let default = match args.what {
        Sort::Passphrase => "passphrase",
        Sort::RecoveryKey => "recovery key",
        Sort::KeyFile => "key file",
    };
    Ok(vault.add_slot(slot.label(args.label.as_deref().unwrap_or(default)), secret.credential())?)
}

/// Removes a file that was made just now and opens nothing.
fn forget(path: &Path) {
    drop(fs::remove_file(path));
}
