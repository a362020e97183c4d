//! An anchor that is two programs of the host.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::{Anchor, AnchorError, ProofFrom};
use crate::audit::{Checkpoint, note, origin};
use crate::ids::VaultId;

/// How often it is looked whether a program has ended.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// What a program finds the vault's origin under.
const ORIGIN: &str = "CHARTVAULT_ORIGIN";

/// Runs a program that keeps a checkpoint, which it reads from its standard input, and one that writes the last one to its
/// standard output, or nothing if there is none. Both find the vault's origin in the environment variable
/// `CHARTVAULT_ORIGIN`; what does not end with success has failed, and what does not end in time is killed.
#[derive(Clone, Debug)]
pub struct CommandAnchor {
    name: String,
    publish: Program,
    last: Program,
    timeout: Duration,
}

/// A program and its arguments.
#[derive(Clone, Debug)]
struct Program(OsString, Vec<OsString>);

impl Program {
    fn new<A: AsRef<OsStr>>(program: impl AsRef<OsStr>, args: impl IntoIterator<Item = A>) -> Self {
        Self(program.as_ref().to_owned(), args.into_iter().map(|arg| arg.as_ref().to_owned()).collect())
    }
}

impl CommandAnchor {
    /// `publish` and `last` are a program and its arguments each. They have ten seconds.
    pub fn new<A: AsRef<OsStr>, B: AsRef<OsStr>>(
        name: impl Into<String>,
        publish: (impl AsRef<OsStr>, impl IntoIterator<Item = A>),
        last: (impl AsRef<OsStr>, impl IntoIterator<Item = B>),
    ) -> Self {
        let (publish, last) = (Program::new(publish.0, publish.1), Program::new(last.0, last.1));
        Self { name: name.into(), publish, last, timeout: Duration::from_secs(10) }
    }

    /// So much time.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    fn run(&self, program: &Program, vault: VaultId, input: &str) -> Result<String, AnchorError> {
        let failed = |why: String| AnchorError::Failed { why };
        let Program(path, args) = program;
        let child = Command::new(path)
            .args(args)
            .env(ORIGIN, origin(vault))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.map_err(|error| failed(format!("the program cannot be started: {error}")))?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let input = input.to_owned();
        // Each on its own, so that neither waits for the other nor we for a program that does neither.
        thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(input.as_bytes())));
        let (send, output) = mpsc::channel();
        thread::spawn(move || {
            let mut text = String::new();
            let most = u64::try_from(note::MAX_NOTE).unwrap_or(u64::MAX);
            let read = stdout.map(|stdout| stdout.take(most).read_to_string(&mut text));
            let _ = send.send(matches!(read, Some(Ok(_))).then_some(text));
        });
        let deadline = Instant::now() + self.timeout;
        self.wait(&mut child, deadline)?;
        match output.recv_timeout(deadline.saturating_duration_since(Instant::now()).max(LOOK_EVERY)) {
            Ok(Some(text)) => Ok(text),
            Ok(None) | Err(RecvTimeoutError::Disconnected) => Err(failed("what it wrote is no text".into())),
            // Something that it started holds its output open.
            Err(RecvTimeoutError::Timeout) => Err(AnchorError::TimedOut { after: self.timeout }),
        }
    }

    fn wait(&self, child: &mut Child, deadline: Instant) -> Result<(), AnchorError> {
        loop {
            match child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(AnchorError::Failed { why: format!("it ended with {status}") }),
                Ok(None) if Instant::now() < deadline => thread::sleep(LOOK_EVERY),
                ended => {
                    let _ = child.kill().and_then(|()| child.wait());
                    return Err(match ended {
                        Err(error) => AnchorError::Failed { why: format!("it cannot be waited for: {error}") },
                        Ok(_) => AnchorError::TimedOut { after: self.timeout },
                    });
                }
            }
        }
    }
}

impl Anchor for CommandAnchor {
    fn name(&self) -> &str {
        &self.name
    }

    fn last(&self, vault: VaultId) -> Result<Option<String>, AnchorError> {
        self.run(&self.last, vault, "").map(|text| Some(text).filter(|text| !text.is_empty()))
    }

    fn publish(&self, vault: VaultId, checkpoint: &Checkpoint, _: ProofFrom<'_>) -> Result<(), AnchorError> {
        self.run(&self.publish, vault, &checkpoint.note).map(drop)
    }
}
