//! How secrets come in: typed at a prompt, or from a file, a descriptor or a command. Never as an argument, which others on
//! the machine can read.

use std::env;
use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use chartvault::{Credential, KeyFile, Passphrase, RecoveryKey};
use clap::Args;
use zeroize::Zeroizing;

use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::platform;

/// More than any passphrase, token or key has.
const MOST: u64 = 64 << 10;

/// Where the credential comes from that opens the vault.
#[derive(Args, Clone, Debug, Default)]
#[group(id = "credential", multiple = false)]
#[command(next_help_heading = "What opens the vault (asked for if nothing is said)")]
pub struct CredentialArgs {
    /// A file whose first line is the passphrase [env: CHARTVAULT_PASSPHRASE_FILE]
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// An inherited file descriptor whose first line is the passphrase
    #[arg(long, value_name = "N")]
    pub passphrase_fd: Option<u32>,
    /// A shell command whose first line of output is the passphrase [env: CHARTVAULT_PASSPHRASE_COMMAND]
    #[arg(long, value_name = "COMMAND")]
    pub passphrase_command: Option<String>,
    /// A file with the recovery key
    #[arg(long, value_name = "FILE")]
    pub recovery_key_file: Option<PathBuf>,
    /// A key file, as `key add --key-file` makes it [env: CHARTVAULT_KEY_FILE]
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
}

/// Something that opens a vault.
pub enum Secret {
    Passphrase(Passphrase),
    Recovery(RecoveryKey),
    File(KeyFile),
}

impl Secret {
    pub fn credential(&self) -> Credential<'_> {
        match self {
            Self::Passphrase(passphrase) => passphrase.into(),
            Self::Recovery(key) => key.into(),
            Self::File(file) => file.into(),
        }
    }
}

impl CredentialArgs {
    /// Reads it, or asks for the passphrase. What the arguments say comes before what the environment says.
    pub fn read(&self, prompt: &str) -> Outcome<Secret> {
        self.or_environment().read_said(prompt)
    }

    fn read_said(&self, prompt: &str) -> Outcome<Secret> {
        if let Some(path) = &self.key_file {
            let file = KeyFile::read(path).map_err(|error| Failure::new(Code::Error, error))?;
            return Ok(Secret::File(file));
        }
        if let Some(path) = &self.recovery_key_file {
            let key = first_line(&private_file(path)?, "the recovery key")?;
            let key = key.parse().map_err(|error| Failure::new(Code::WrongCredential, error))?;
            return Ok(Secret::Recovery(key));
        }
        match self.passphrase()? {
            Some(passphrase) => Ok(Secret::Passphrase(passphrase)),
            None => Ok(Secret::Passphrase(Passphrase::new(&ask(prompt)?))),
        }
    }

    /// A new passphrase: asked for twice where it is typed.
    pub fn read_new(&self, prompt: &str) -> Outcome<Passphrase> {
        self.or_environment().read_new_said(prompt)
    }

    fn read_new_said(&self, prompt: &str) -> Outcome<Passphrase> {
        if let Some(passphrase) = self.passphrase()? {
            return Ok(passphrase);
        }
        let first = ask(prompt)?;
        let again = ask("Once more, so that no slip of a finger locks you out: ")?;
        if *first != *again {
            return Err(Failure::new(Code::Error, "the two are not the same; nothing was done").hint("run it again"));
        }
        Ok(Passphrase::new(&first))
    }

    fn or_environment(&self) -> Self {
        let said = self.clone();
        if said.passphrase_fd.is_some() || said.files().any(Option::is_some) || said.passphrase_command.is_some() {
            return said;
        }
        let path = |name| env::var_os(name).map(PathBuf::from);
        let passphrase_file = path("CHARTVAULT_PASSPHRASE_FILE");
        let passphrase_command = env::var("CHARTVAULT_PASSPHRASE_COMMAND").ok().filter(|_| passphrase_file.is_none());
        let key_file =
            path("CHARTVAULT_KEY_FILE").filter(|_| passphrase_file.is_none() && passphrase_command.is_none());
        Self { passphrase_file, passphrase_command, key_file, ..said }
    }

    fn files(&self) -> impl Iterator<Item = &Option<PathBuf>> {
        [&self.passphrase_file, &self.recovery_key_file, &self.key_file].into_iter()
    }

    /// Whether something else than a passphrase is named.
    pub const fn is_no_passphrase(&self) -> bool {
        self.recovery_key_file.is_some() || self.key_file.is_some()
    }

    fn passphrase(&self) -> Outcome<Option<Passphrase>> {
        let text = if let Some(path) = &self.passphrase_file {
            private_file(path)?
        } else if let Some(number) = self.passphrase_fd {
            let from = platform::descriptor(number);
            let named = PathBuf::from(format!("file descriptor {number}"));
            let from = from.map_err(|error| Failure::file("opening", &named, &error))?;
            read(from).map_err(|error| Failure::file("reading", &named, &error))?
        } else if let Some(command) = &self.passphrase_command {
            of_command(command)?
        } else {
            return Ok(None);
        };
        Ok(Some(Passphrase::new(&first_line(&text, "the passphrase")?)))
    }
}

/// A passphrase that is to open the vault from now on, out of a file, or asked for. The environment is not looked at: what it
/// names opens the vault now.
pub fn new_passphrase(file: Option<&Path>) -> Outcome<Passphrase> {
    let from = CredentialArgs { passphrase_file: file.map(Path::to_owned), ..CredentialArgs::default() };
    from.read_new_said("The new passphrase (five random words or more): ")
}

/// A text file with a secret in it, which its owner alone may read; `-` is standard input.
pub fn private_file(path: &Path) -> Outcome<Zeroizing<Vec<u8>>> {
    if path.as_os_str() == "-" {
        return read(io::stdin().lock()).map_err(|error| Failure::file("reading", path, &error));
    }
    let file = File::open(path).map_err(|error| Failure::file("opening", path, &error))?;
    let about = file.metadata().map_err(|error| Failure::file("reading", path, &error))?;
    if about.is_file()
        && let Some(mode) = platform::open_to_others(&about)
    {
        let path = path.display();
        return Err(Failure::new(
            Code::Error,
            format_args!("others may read {path} (mode {mode:03o}), which holds a secret"),
        )
        .hint(format_args!("make it private: chmod 600 {path}")));
    }
    read(file).map_err(|error| Failure::file("reading", path, &error))
}

/// Writes a secret to a new file that its owner alone may read, durably.
pub fn write_private(path: &Path, text: &str) -> Outcome<()> {
    let mut file = new_private(path)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.map_err(|error| Failure::file("writing", path, &error))
}

/// A new file that its owner alone may read.
pub fn new_private(path: &Path) -> Outcome<File> {
    platform::create_private(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::new(Code::Error, format_args!("{} exists already", path.display()))
            .hint("choose another name; nothing was written over"),
        _ => Failure::file("creating", path, &error),
    })
}

/// The first line, which is not empty.
pub fn first_line(bytes: &[u8], what: &str) -> Outcome<Zeroizing<String>> {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = std::str::from_utf8(line).map_err(|_| Failure::new(Code::Error, format_args!("{what} is not UTF-8")))?;
    if text.is_empty() {
        return Err(Failure::new(Code::Error, format_args!("the first line, which should be {what}, is empty")));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

fn of_command(line: &str) -> Outcome<Zeroizing<Vec<u8>>> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(Code::Error, format_args!("the passphrase command failed: {error}"))
    };
    let mut child = platform::shell(line).stdout(Stdio::piped()).spawn().map_err(|error| failed(&error))?;
    let out = child.stdout.take().map_or_else(|| Ok(Zeroizing::default()), read);
    let status = child.wait().map_err(|error| failed(&error))?;
    if !status.success() {
        return Err(failed(&status));
    }
    out.map_err(|error| failed(&error))
}

fn read(from: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    // Room for all of it, so that growing leaves no copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(MOST).unwrap_or(0)));
    from.take(MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Asks at the terminal; the answer is not shown. Where there is none, the first line of standard input is not taken for
/// a secret by accident.
pub fn ask(prompt: &str) -> Outcome<Zeroizing<String>> {
    let none = || {
        Failure::new(Code::Error, "there is no terminal to ask for the passphrase at")
            .hint("say where it comes from: --passphrase-file, --passphrase-fd or --passphrase-command")
    };
    let answer = rpassword::prompt_password(prompt).map_err(|error| match error.kind() {
        io::ErrorKind::Interrupted => Failure::interrupted("nothing was done"),
        _ => none(),
    })?;
    Ok(Zeroizing::new(answer))
}

/// Asks a question at the terminal, whose answer has to be the word `yes`; `true` without asking where `yes` was said already.
pub fn confirmed(yes: bool, question: &str) -> Outcome<bool> {
    if yes {
        return Ok(true);
    }
    let mut input = io::stdin().lock();
    if !input.is_terminal() {
        return Err(Failure::usage("there is no terminal to ask at").hint("add --yes if you are sure"));
    }
    drop(write!(io::stderr(), "{question} Type yes: "));
    let mut answer = String::new();
    let _ = input.by_ref().take(64).read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}
