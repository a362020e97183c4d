//! `init`: a new vault, its recovery key shown once, and somebody trusted to issue tokens.

use std::fs;
use std::path::PathBuf;

use chartvault::{Passphrase, RecoveryKey, Suite, Vault};
use clap::Args;

use crate::args::Common;
use crate::door::{directory, options};
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::issuer;
use crate::platform::make_private_dir;
use crate::secrets::{CredentialArgs, new_private, write_private};
use crate::show::{Facts, Show, warn};

/// Make a new vault
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  chartvault init --vault clinic.vault --issuer issuer.key
  chartvault init --vault clinic.vault --passphrase-file pass.txt --recovery-file recovery.txt

The recovery key opens the vault when its passphrase is lost. It is shown once: print it, and lock it away elsewhere.")]
pub struct Init {
    /// Trust the issuer whose secret key is in FILE; if FILE is not there, draw a key and write it
    #[arg(long, value_name = "FILE")]
    issuer: Option<PathBuf>,
    /// Write the recovery key to a new FILE instead of showing it
    #[arg(long, value_name = "FILE")]
    recovery_file: Option<PathBuf>,
    /// Keep the header, which a thief of the vault would need, in this directory on another medium
    #[arg(long, value_name = "DIR")]
    detached_header: Option<PathBuf>,
    /// The cipher: aes256-gcm or chacha20-poly1305 (default: the faster one on this machine)
    #[arg(long, value_name = "CIPHER", value_parser = suite)]
    cipher: Option<Suite>,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    credential: CredentialArgs,
}

fn suite(text: &str) -> Result<Suite, String> {
    match text {
        "aes256-gcm" => Ok(Suite::Aes256Gcm),
        "chacha20-poly1305" => Ok(Suite::ChaCha20Poly1305),
        _ => Err(format!("{text:?} is no cipher; there are aes256-gcm and chacha20-poly1305")),
    }
}

/// The word for a cipher, as `--cipher` takes it.
pub const fn cipher(suite: Suite) -> &'static str {
    match suite {
        Suite::Aes256Gcm => "aes256-gcm",
        Suite::ChaCha20Poly1305 => "chacha20-poly1305",
        _ => "another",
    }
}

pub fn run(common: &Common, args: &Init, show: Show) -> Outcome {
    let dir = directory(common)?;
    if args.credential.is_no_passphrase() {
        return Err(Failure::usage("a new vault takes a passphrase").hint("add a key file later: chartvault key add"));
    }
    let taken = fs::read_dir(dir).is_ok_and(|mut inside| inside.next().is_some());
    if taken {
        return Err(Failure::new(Code::Error, format_args!("{} is not empty", dir.display()))
            .hint("choose another directory, or open the vault in it: chartvault status"));
    }
    if args.dry_run {
        return plan(common, args, show);
    }
    let passphrase = args.credential.read_new("Passphrase for the new vault (five random words or more): ")?;
    // Whatever can be refused is refused before there is a vault.
    let issuer = args.issuer.as_deref().map(issuer::read_or_make).transpose()?;
    let recovery_file = args.recovery_file.as_deref().map(new_private).transpose()?;
    drop(recovery_file);

    let made = make_private_dir(dir).map_err(|error| Failure::file("making", dir, &error))?;
    let (vault, recovery) = create(common, args, &passphrase).inspect_err(|_| {
        if made {
            // An empty one says nothing; one with something in it stays to be looked at.
            drop(fs::remove_dir(dir));
        }
    })?;
    let text = recovery.expose_text();
    let shown = match &args.recovery_file {
        Some(path) => {
            fs::remove_file(path).map_err(|error| Failure::file("writing", path, &error))?;
            write_private(path, &format!("{}\n", *text))?;
            None
        }
        None => Some(text.as_str().to_owned()),
    };
    if let Some((issuer, _)) = &issuer {
        vault.trust_issuer(issuer.public(), &passphrase)?;
    }
    let facts = Facts::new()
        .text_of("vault", vault.id())
        .text_of("directory", dir.display())
        .with("cipher", cipher(vault.suite()))
        .maybe("issuer", issuer.as_ref().map(|(issuer, _)| issuer.public()))
        .maybe("issuer_file", args.issuer.as_ref().map(|path| path.display()))
        .maybe("recovery_key", shown)
        .maybe("recovery_file", args.recovery_file.as_ref().map(|path| path.display()));
    // Said before the vault is closed: should that fail, the recovery key is on the screen all the same.
    show.facts(&facts)?;
    vault.close()?;
    next_steps(common, args, show)?;
    Ok(Code::Ok)
}

fn create(common: &Common, args: &Init, passphrase: &Passphrase) -> Outcome<(Vault, RecoveryKey)> {
    let mut new = Vault::create(directory(common)?).passphrase(passphrase).options(options(common));
    if let Some(suite) = args.cipher {
        new = new.suite(suite);
    }
    if let Some(header) = &args.detached_header {
        new = new.detached_header(header);
    }
    Ok(new.finish()?)
}

fn plan(common: &Common, args: &Init, show: Show) -> Outcome {
    if let Some(path) = args.recovery_file.as_ref().filter(|path| path.exists()) {
        warn(show, &format!("{} exists already", path.display()));
    }
    let made = |path: &PathBuf| if path.exists() { "trusted" } else { "made and trusted" };
    let facts = Facts::new()
        .with("dry_run", true)
        .text_of("directory", directory(common)?.display())
        .maybe("issuer", args.issuer.as_ref().map(made))
        .maybe("recovery_file", args.recovery_file.as_ref().map(|path| path.display()));
    show.facts(&facts)?;
    Ok(Code::Ok)
}

fn next_steps(common: &Common, args: &Init, show: Show) -> Outcome<()> {
    let vault = directory(common)?.display();
    let key = match &args.recovery_file {
        Some(path) => format!("Print {} and lock it away in another building; then delete the file.", path.display()),
        None => {
            "Write the recovery key down now and lock it away in another building: it is not shown again.".to_owned()
        }
    };
    let header = args.detached_header.as_ref().map(|dir| format!(" --header {}", dir.display())).unwrap_or_default();
    let issuer = match &args.issuer {
        Some(path) => path.display().to_string(),
        None => {
            show.note(&format!(
                "\nNobody can be granted anything yet. Draw an issuer's key and trust it:\n  chartvault token issuer new --out \
                 issuer.key\n  chartvault token issuer trust --vault {vault}{header} --issuer issuer.key"
            ))?;
            "issuer.key".to_owned()
        }
    };
    show.note(&format!(
        "\n{key}\n\nNext, a token for whoever brings records in, and the records:\n  chartvault token mint --vault \
         {vault}{header} --issuer {issuer} --to importer --actions create,read,list \\\n    --all-patients --all-kinds --purpose \
         operations --valid-for 8h --out importer.token\n  chartvault import --vault {vault}{header} --token importer.token \
         --purpose operations FILE.ndjson\n\nThen back it up, to another disk, and the key packs to a third place:\n  chartvault \
         backup run --vault {vault}{header} --create \\\n    --to /mnt/disk/backups --packs /mnt/safe/packs\n\nThen see how it \
         stands: chartvault doctor --vault {vault}{header}\nMove the issuer's key to another machine: whoever has it can grant \
         anything here."
    ))
}
