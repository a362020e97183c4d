//! Why a verb was not done: what happened, and what to do next.

use std::fmt::{self, Display};
use std::io::{self, Write};
use std::path::Path;

use chartvault::{AnchorFault, Error, HeaderFileError, TokenError};
use serde_json::json;

use crate::exit::Code;

/// What a verb answers when it was done.
pub type Outcome<T = Code> = Result<T, Failure>;

/// Something that ended a verb.
#[derive(Debug)]
pub struct Failure {
    code: Code,
    message: String,
    hint: Option<String>,
    /// Nobody reads what is written: then nothing is said of it.
    quiet: bool,
}

impl Failure {
    /// With a message.
    pub fn new(code: Code, message: impl Display) -> Self {
        Self { code, message: message.to_string(), hint: None, quiet: false }
    }

    /// With what to do next.
    pub fn hint(mut self, hint: impl Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// What happened, without what to do.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The arguments do not go together.
    pub fn usage(message: impl Display) -> Self {
        Self::new(Code::Usage, message)
    }

    /// A file operation failed.
    pub fn file(doing: &str, path: &Path, error: &io::Error) -> Self {
        Self::new(Code::Error, format_args!("{doing} {} failed: {error}", path.display()))
    }

    /// Ended by a signal.
    pub fn interrupted(what_stays: &str) -> Self {
        Self::new(Code::Interrupted, format_args!("interrupted; {what_stays}"))
    }

    /// Says it on standard error, and gives the exit code.
    pub fn tell(&self, json: bool) -> Code {
        if self.quiet {
            return self.code;
        }
        let text = if json {
            let error = json!({ "code": self.code.number(), "kind": self.code.word(), "message": self.message, "hint": self.hint });
            format!("{}\n", json!({ "error": error }))
        } else {
            format!("{self}\n")
        };
        // Where nobody reads standard error there is nobody to tell; the exit code says it all the same.
        drop(io::stderr().write_all(text.as_bytes()));
        self.code
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\nhint: {hint}"))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let hint = hint_for(&error);
        let mut message = error.to_string();
        if let Error::Io { source, .. } = &error {
            message = format!("{message}: {source}");
        }
        if let Some(source) = storage_cause(&error) {
            message = format!("{message}: {source}");
        }
        let failure = Self::new(Code::of(&error), message);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// The operating system's answer, where there is one.
fn storage_cause(error: &Error) -> Option<&io::Error> {
    match error {
        Error::Storage(chartvault::StorageError::Io { source, .. }) => Some(source),
        _ => None,
    }
}

/// What to do at the command line, where the library's own words speak to programs.
fn hint_for(error: &Error) -> Option<&'static str> {
    Some(match error {
        Error::Header(HeaderFileError::NotAVault { .. }) => {
            "name the vault with --vault DIR or CHARTVAULT, or make one: chartvault init --vault DIR"
        }
        Error::Header(HeaderFileError::Elsewhere { .. }) => "name the directory of the header with --header DIR",
        Error::Header(HeaderFileError::NotDetached { .. }) => "leave --header out",
        Error::RestoreUnfinished { .. } => "run chartvault restore once more, with the same --from, --packs and --to",
        Error::InUse { .. } => "end the other program; a vault is open in one process at a time",
        Error::NeedsPartner { .. } => "the tool opens vaults with one credential; use that of another slot",
        Error::Doubtful { .. } => "add --accept-doubtful to read and export what is there",
        Error::Denied { .. } => {
            "see what the token allows: chartvault token inspect FILE; why it was denied: chartvault audit explain TICKET"
        }
        Error::Token(TokenError::UnknownIssuer { .. }) => {
            "have the vault trust the issuer: chartvault token issuer trust cvpk1_… ; or take a token of this vault"
        }
        Error::Token(_) | Error::SessionRefused(_) => "see what the token says: chartvault token inspect FILE",
        Error::Tampered { .. } | Error::TamperedRow { .. } | Error::Missing { .. } => {
            "keep all files as they are; chartvault check --all names what is wrong, docs/repair.md goes on from there"
        }
        Error::Storage(chartvault::StorageError::Damaged { .. }) => {
            "keep all files as they are, and copy them elsewhere; without a backup: chartvault salvage --into DIR"
        }
        Error::RolledBack { .. } | Error::Forked { .. } | Error::Anchor(AnchorFault::UnknownKey { .. }) => {
            "if it was restored from a backup: begin a new anchor, chartvault audit anchor NEWDIR, and keep the old one as it is; \
             if not: keep all files as they are, and ask who could write them; docs/audit.md says what is proved"
        }
        Error::Audit(_) => {
            "keep all files as they are, and ask who could write them; docs/audit.md says what is proved"
        }
        _ => return None,
    })
}

impl From<io::Error> for Failure {
    /// For what is written to standard output.
    fn from(error: io::Error) -> Self {
        let quiet = error.kind() == io::ErrorKind::BrokenPipe;
        Self { quiet, ..Self::new(Code::Error, format_args!("writing the answer failed: {error}")) }
    }
}
