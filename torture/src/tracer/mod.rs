//! Runs a process under `ptrace`, stops it at each system call that changes a disk, and lets an observer decide: go on,
//! die before it, or be refused with an error. A seccomp filter picks the calls, so everything else runs at full speed.
//!
//! Linux on x86-64. One thread may trace one process at a time; several threads may trace at once.

mod call;
mod filter;
mod memory;

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

pub use call::{Call, What};
pub use filter::Watch;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    Go,
    /// The whole process dies before the call.
    Kill,
    /// The call does not happen; its caller gets this error number.
    Refuse(i32),
}

/// Sees the calls of a traced process.
pub trait Observer {
    /// A call below the watched directory is about to happen.
    fn enter(&mut self, call: &Call) -> Reaction;

    /// It came back; errors are negative.
    fn leave(&mut self, _id: u64, _result: i64) {}
}

/// How a traced process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// It took too long and was killed for that.
    pub hung: bool,
    /// Everything it said, whole lines or not.
    pub said: String,
    /// The end of what it complained about.
    pub complaint: String,
}

/// What is traced, and how closely.
pub struct Tracer<'a> {
    pub watch: Watch,
    /// Calls on files outside are not shown.
    pub below: &'a Path,
    /// Whether calls carry what they write.
    pub with_data: bool,
    pub patience: Duration,
}

impl Tracer<'_> {
    /// Runs the command to its end.
    pub fn run(&self, command: &mut Command, observer: &mut dyn Observer) -> io::Result<Ended> {
        let program = filter::program(self.watch);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // SAFETY: between fork and exec only async-signal-safe system calls are made, on memory prepared before.
        unsafe {
            command.pre_exec(move || {
                if libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) != 0 {
                    return Err(io::Error::last_os_error());
                }
                filter::install(&program)
            });
        }
        let mut child = command.spawn()?;
        let pid = child.id() as i32;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let listen = |pipe: Option<_>| thread::spawn(move || pipe.map_or_else(String::new, read_all));
        let said = listen(stdout.map(|pipe| Box::new(pipe) as Box<dyn io::Read + Send>));
        let complaint = listen(stderr.map(|pipe| Box::new(pipe) as Box<dyn io::Read + Send>));
        let (done, waiting) = channel::<()>();
        let patience = self.patience;
        let watchdog = thread::spawn(move || {
            let hung = waiting.recv_timeout(patience) == Err(RecvTimeoutError::Timeout);
            if hung {
                kill(pid);
            }
            hung
        });
        let code = self.follow(pid, observer);
        drop(done);
        let hung = watchdog.join().unwrap_or(false);
        let code = code?;
        let complaint = complaint.join().unwrap_or_default();
        let start = complaint.char_indices().rev().nth(600).map_or(0, |(at, _)| at);
        Ok(Ended {
            code,
            hung,
            said: said.join().unwrap_or_default(),
            complaint: complaint[start..].replace('\n', " | "),
        })
    }

    /// Follows all threads of the process until it ends.
    fn follow(&self, pid: i32, observer: &mut dyn Observer) -> io::Result<Option<i32>> {
        let mut ids = std::collections::HashMap::new();
        let (mut next_id, mut started) = (0_u64, false);
        loop {
            let mut status = 0;
            // SAFETY: waits for threads that this thread traces; `status` is ours.
            let tid = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::__WNOTHREAD) };
            if tid < 0 {
                let error = io::Error::last_os_error();
                match error.raw_os_error() {
                    Some(libc::EINTR) => continue,
                    _ => return Err(error),
                }
            }
            if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
                // The first thread is the last to be seen to end. Other children of this thread live on.
                if tid == pid {
                    return Ok(libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)));
                }
                continue;
            }
            let (signal, event) = (libc::WSTOPSIG(status), status >> 16);
            if !started && tid == pid {
                started = true;
                set_options(pid)?;
                resume(tid, libc::PTRACE_CONT, 0);
            } else if signal == libc::SIGTRAP && event == libc::PTRACE_EVENT_SECCOMP {
                match self.entered(tid, next_id, observer)? {
                    None => resume(tid, libc::PTRACE_CONT, 0),
                    Some(Reaction::Go) => {
                        ids.insert(tid, next_id);
                        next_id += 1;
                        resume(tid, libc::PTRACE_SYSCALL, 0);
                    }
                    Some(Reaction::Kill) => kill(pid),
                    Some(Reaction::Refuse(errno)) => {
                        memory::skip_call(tid, errno)?;
                        resume(tid, libc::PTRACE_CONT, 0);
                    }
                }
            } else if signal == libc::SIGTRAP | 0x80 {
                if let (Some(id), Some(result)) = (ids.remove(&tid), memory::result(tid)) {
                    observer.leave(id, result);
                }
                resume(tid, libc::PTRACE_CONT, 0);
            } else if signal == libc::SIGTRAP || signal == libc::SIGSTOP {
                resume(tid, libc::PTRACE_CONT, 0);
            } else {
                resume(tid, libc::PTRACE_CONT, signal);
            }
        }
    }

    fn entered(&self, tid: i32, id: u64, observer: &mut dyn Observer) -> io::Result<Option<Reaction>> {
        let Some(registers) = memory::registers(tid) else { return Ok(None) };
        let Some(what) = call::read(tid, &registers, self.with_data) else { return Ok(None) };
        let ours = match &what {
            What::Say { .. } => true,
            other => other.path().is_some_and(|path| path.starts_with(self.below)),
        };
        Ok(ours.then(|| observer.enter(&Call { id, what })))
    }
}

fn read_all(mut pipe: Box<dyn io::Read + Send>) -> String {
    let mut bytes = Vec::new();
    let _ = pipe.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Ends a process of ours, by its id.
fn kill(pid: i32) {
    // SAFETY: a plain system call; the process is not reaped before its tracer sees its end.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}

fn set_options(pid: i32) -> io::Result<()> {
    let options =
        libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACECLONE | libc::PTRACE_O_TRACESECCOMP | libc::PTRACE_O_EXITKILL;
    // SAFETY: a plain system call on a thread that we trace.
    if unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, pid, 0, options) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// A thread that has just been killed cannot be resumed; its end is seen soon.
fn resume(tid: i32, how: libc::c_uint, signal: i32) {
    // SAFETY: a plain system call on a thread that we trace.
    unsafe { libc::ptrace(how, tid, 0, signal) };
}

/// This very program.
pub fn myself() -> io::Result<PathBuf> {
    std::env::current_exe()
}
