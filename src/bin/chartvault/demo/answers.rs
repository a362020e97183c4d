//! What the reader types, a line at a time. Read beside the drill, so that Ctrl-C ends it while it waits.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::interrupt;

/// Longest part of a line that is looked at.
const LONGEST: u64 = 256;

/// How often is looked whether somebody asked to end.
const LOOK: Duration = Duration::from_millis(50);

/// Standard input, from the first question on.
#[derive(Default)]
pub struct Answers(Option<Receiver<io::Result<String>>>);

impl Answers {
    /// The next line; `None` at the end of the input.
    pub fn next(&mut self) -> Outcome<Option<String>> {
        let lines = self.0.get_or_insert_with(listen);
        loop {
            interrupt::check("the drill is over, and its folder is removed unless --keep was said")?;
            match lines.recv_timeout(LOOK) {
                Ok(Ok(line)) => return Ok(Some(line)),
                Ok(Err(error)) => {
                    return Err(Failure::new(Code::Error, format_args!("reading your answer failed: {error}")));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
            }
        }
    }
}

/// The thread ends with the input, or with the process.
fn listen() -> Receiver<io::Result<String>> {
    let (to, lines) = sync_channel(1);
    let _ = thread::spawn(move || {
        let mut input = io::stdin().lock();
        loop {
            let mut line = Vec::new();
            let read = input.by_ref().take(LONGEST).read_until(b'\n', &mut line);
            let line = match read {
                Ok(0) => break,
                Ok(_) => Ok(String::from_utf8_lossy(&line).into_owned()),
                Err(error) => Err(error),
            };
            let failed = line.is_err();
            if to.send(line).is_err() || failed {
                break;
            }
        }
    });
    lines
}
