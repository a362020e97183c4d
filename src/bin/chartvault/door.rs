//! The way into a vault: found by --vault, opened with a credential, worked in under a token.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use chartvault::{
    AnchorPolicy, AnchorState, FileAnchor, LockedVault, Options, Purpose, Session, UnverifiedToken, Vault,
};
use clap::Args;

use crate::args::Common;
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::secrets::{CredentialArgs, Secret, first_line, private_file};
use crate::show::{Show, warn};
use crate::ticker::Ticker;
use crate::words;

/// How long an anchor that holds nothing yet is waited for.
const ANCHOR_PATIENCE: Duration = Duration::from_secs(10);

/// The token, and for what.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "The session")]
pub struct SessionArgs {
    /// The file of the token that says what may be done
    #[arg(long, value_name = "FILE", env = "CHARTVAULT_TOKEN_FILE", hide_env_values = true)]
    pub token: PathBuf,
    /// The purpose of use, which stands in the log: treatment, payment, operations, research, … or an HL7 code
    #[arg(long, value_name = "PURPOSE", env = "CHARTVAULT_PURPOSE", hide_env_values = true, value_parser = words::purpose)]
    pub purpose: Purpose,
    /// Work in a salvaged vault that is in doubt
    #[arg(long, hide_short_help = true)]
    pub accept_doubtful: bool,
}

/// An open vault, which is closed however the verb ends: one that was not closed has more to do at its next opening, and
/// keeps the key of its signing epoch.
pub struct Door(Vault);

impl Door {
    /// A vault that is open.
    pub const fn of(vault: Vault) -> Self {
        Self(vault)
    }

    /// Closes it, and says whether that went well.
    pub fn close(self) -> Outcome<()> {
        Ok(self.0.close()?)
    }
}

impl Deref for Door {
    type Target = Vault;

    fn deref(&self) -> &Vault {
        &self.0
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // Whether it was closed before, or cannot be: what ended the verb is told, and the journal needs no closing.
        drop(self.0.close());
    }
}

/// The vault's directory.
pub fn directory(common: &Common) -> Outcome<&Path> {
    common.vault.as_deref().ok_or_else(|| {
        Failure::usage("no vault is named")
            .hint("name its directory with --vault DIR, or in the environment as CHARTVAULT")
    })
}

/// What the process is told of the vault. Background work that pays in long runs alone is off.
pub fn options(common: &Common) -> Options {
    let mut options = Options::new().cache_bytes(64 << 20).scrub_rate(0).harden_process();
    if let Some(header) = &common.header {
        options = options.header(header);
    }
    if let Some(file) = &common.signing_key {
        options = options.signing_key_file(file);
    }
    if let Some(dir) = &common.anchor {
        options = options.anchor(
            Arc::new(FileAnchor::new(dir.display().to_string(), dir)),
            AnchorPolicy { required: true, every: Duration::from_secs(1), ..AnchorPolicy::default() },
        );
    }
    options
}

/// Finds the vault and takes its lock.
pub fn find(common: &Common) -> Outcome<LockedVault> {
    Ok(Vault::open_with(directory(common)?, options(common))?)
}

/// Opens the vault, asking for the credential if need be.
pub fn open(common: &Common, credential: &CredentialArgs, show: Show) -> Outcome<(Door, Secret)> {
    let locked = find(common)?;
    let secret = credential.read("Passphrase of the vault: ")?;
    let mut ticker = Ticker::new(show);
    let vault = locked.unlock_with(secret.credential(), &mut |progress| ticker.tick(progress))?;
    drop(ticker);
    tell_of_opening(&vault, show);
    first_anchoring(&vault);
    Ok((Door(vault), secret))
}

/// An anchor that holds nothing yet is given something before anything else is done, which takes a second: the library does
/// it in the background, and a verb may be over by then. From then on closing the vault does it.
fn first_anchoring(vault: &Vault) {
    let begun = Instant::now();
    let waiting = |state: &AnchorState| state.size.is_none() && state.failure.is_none();
    while vault.anchors().iter().any(waiting) && begun.elapsed() < ANCHOR_PATIENCE {
        thread::sleep(Duration::from_millis(50));
    }
}

/// What went otherwise than it should when the vault was opened.
fn tell_of_opening(vault: &Vault, show: Show) {
    let opening = vault.opening();
    if let Some(why) = &opening.rebuilt {
        warn(show, &format!("the trees were built anew from the journal: {why}"));
    }
    for anchor in &opening.anchors_unread {
        warn(show, &format!("anchor {anchor} could not be read"));
    }
    if let Some(why) = &opening.signing_key_unsaved {
        warn(show, &format!("the key that signs the log's checkpoints could not be saved: {why}"));
    }
}

/// Opens the vault and a session in it.
pub fn enter(
    common: &Common,
    credential: &CredentialArgs,
    session: &SessionArgs,
    show: Show,
) -> Outcome<(Door, Session)> {
    // Before the passphrase is asked for: whoever forgot the token has not typed in vain.
    let token = read_token(&session.token)?;
    let (vault, _) = open(common, credential, show)?;
    let opening = vault.session_with(&token, session.purpose);
    let opening = if session.accept_doubtful { opening.accept_doubtful() } else { opening };
    let opened = opening.open()?;
    Ok((vault, opened))
}

/// A token out of its file, in text or bytes.
pub fn read_token(path: &Path) -> Outcome<UnverifiedToken> {
    let bytes = private_file(path)?;
    let parsed = match bytes.starts_with(b"cvt1_") {
        true => UnverifiedToken::from_text(&first_line(&bytes, "a token")?),
        false => UnverifiedToken::from_bytes(&bytes),
    };
    parsed.map_err(|error| {
        Failure::new(Code::WrongCredential, format_args!("{} holds no token: {error}", path.display()))
            .hint("a token is made with: chartvault token mint")
    })
}
