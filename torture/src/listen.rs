//! A workload that runs untraced, and what it says meanwhile.

use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::bench;
use crate::plan::Plan;
use crate::scene::PATIENCE;

/// A worker that goes on until it is told or made to stop.
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    said: String,
}

impl Running {
    /// Starts the workload, maybe as another user.
    pub fn start(plan: &Plan, user: Option<u32>) -> io::Result<Self> {
        let mut command = bench::work(plan)?;
        if let Some(user) = user {
            command.uid(user).gid(user);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let (send, lines) = channel();
        let stdout = child.stdout.take().ok_or_else(|| io::Error::other("no output"))?;
        thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|line| send.send(line)).ok()
        });
        Ok(Self { child, lines, said: String::new() })
    }

    /// Listens until it has acknowledged so many things; false if it ended before.
    pub fn hear(&mut self, answers: usize) -> bool {
        let mut heard = 0;
        while heard < answers {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    heard += usize::from(line.starts_with('a'));
                    self.said.push_str(&line);
                    self.said.push('\n');
                }
                Err(_) => return false,
            }
        }
        true
    }

    /// Stops it where it is; it can still be killed.
    pub fn pause(&self) -> io::Result<()> {
        // SAFETY: a plain system call on a process of ours that was not waited for.
        if unsafe { libc::kill(self.child.id() as i32, libc::SIGSTOP) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Kills it; all that it had said until then counts.
    pub fn kill(mut self) -> io::Result<String> {
        self.child.kill()?;
        self.child.wait()?;
        self.hear(usize::MAX);
        Ok(self.said)
    }

    /// Waits for its end; what went wrong if it hangs, panics, or found something wrong.
    pub fn end(mut self) -> io::Result<Result<String, String>> {
        let started = Instant::now();
        loop {
            match self.lines.recv_timeout(Duration::from_secs(5)) {
                Ok(line) => {
                    self.said.push_str(&line);
                    self.said.push('\n');
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) if started.elapsed() > PATIENCE => {
                    self.child.kill()?;
                    self.child.wait()?;
                    return Ok(Err("it hung".into()));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        let status = self.child.wait()?;
        if !status.success() {
            return Ok(Err(format!("it panicked or died: {status}")));
        }
        Ok(self
            .said
            .lines()
            .find(|line| line.starts_with('w'))
            .map_or_else(|| Ok(self.said.clone()), |line| Err(line.to_owned())))
    }
}
