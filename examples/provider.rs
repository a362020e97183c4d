//! A key provider that asks another process over a pipe, and does not wait for ever.
//!
//! The other process stands for whatever keeps keys where you are: a security module's daemon, the command line of a key
//! management service. Here it is this program once more, with the argument `agent`: it keeps keys in its own memory and gives
//! out a ticket for each, so that the key of the vault's slot is nowhere on the vault's disk.
//!
//! `cargo run --example provider`

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use chartvault::{Credential, KeyContext, KeyProvider, NewSlot, ProviderError, RawKey, Vault};

/// A line to the agent is `wrap VAULT KEY` or `unwrap VAULT TICKET`; its answer is `agent ok HEX` or `agent no`.
const ANSWER: &str = "agent ";

struct Agent {
    process: Mutex<Process>,
    timeout: Duration,
}

struct Process {
    child: Child,
    asks: ChildStdin,
    answers: Receiver<String>,
}

impl Agent {
    fn start(command: &mut Command, timeout: Duration) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let asks = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let lines = BufReader::new(child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?).lines();
        let (give, answers) = mpsc::channel();
        // A pipe cannot be read with a time limit, a channel can. The thread ends with the pipe.
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some(answer) = line.strip_prefix(ANSWER)
                    && give.send(answer.to_owned()).is_err()
                {
                    return;
                }
            }
        });
        Ok(Self { process: Mutex::new(Process { child, asks, answers }), timeout })
    }

    fn ask(&self, what: &str, context: &KeyContext, about: &[u8]) -> Result<Vec<u8>, ProviderError> {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        let Process { child, asks, answers } = &mut *process;
        writeln!(asks, "{what} {} {}", context.vault(), hex(about)).map_err(|_| ProviderError::Unavailable)?;
        match answers.recv_timeout(self.timeout) {
            Ok(answer) => {
                unhex(answer.strip_prefix("ok ").ok_or(ProviderError::Refused)?).ok_or(ProviderError::Garbled)
            }
            Err(RecvTimeoutError::Timeout) => {
                // Or a late answer would be taken for that to the next question.
                let _ = child.kill();
                Err(ProviderError::TimedOut)
            }
            Err(RecvTimeoutError::Disconnected) => Err(ProviderError::Unavailable),
        }
    }
}

impl KeyProvider for Agent {
    fn name(&self) -> &str {
        "example-agent"
    }

    fn wrap(&self, context: &KeyContext, key: &[u8; 32]) -> Result<Vec<u8>, ProviderError> {
        self.ask("wrap", context, key)
    }

    fn unwrap(&self, context: &KeyContext, wrapped: &[u8]) -> Result<RawKey, ProviderError> {
        let key: [u8; 32] = self.ask("unwrap", context, wrapped)?.try_into().map_err(|_| ProviderError::Garbled)?;
        Ok(RawKey::from_bytes(key))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let process = self.process.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = process.child.kill();
        let _ = process.child.wait();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2));
    digits.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}

/// The other process.
fn serve() {
    let mut held: HashMap<String, (String, String)> = HashMap::new();
    for line in io::stdin().lines().map_while(Result::ok) {
        let answer = match line.split(' ').collect::<Vec<_>>()[..] {
            ["wrap", vault, key] => {
                let ticket = hex(format!("ticket {}", held.len()).as_bytes());
                held.insert(ticket.clone(), (vault.to_owned(), key.to_owned()));
                format!("ok {ticket}")
            }
            ["unwrap", vault, ticket] => match held.get(ticket) {
                Some((of, key)) if of == vault => format!("ok {key}"),
                _ => "no".to_owned(),
            },
            _ => continue, // says nothing, as a daemon that hangs
        };
        println!("{ANSWER}{answer}");
    }
}

/// A day with the agent; `other` starts the process.
fn day(other: &mut Command) -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("clinic.vault");
    let agent = Agent::start(other, Duration::from_secs(2))?;

    let first = RawKey::generate()?;
    let (vault, recovery) = Vault::create(&path).raw_key(&first).finish()?;
    vault.add_slot(NewSlot::of(Credential::provider(&agent)).label("server room"), &first)?;
    // From now on the agent opens it, or the recovery key on its paper.
    vault.remove_slot(0, &recovery)?;
    vault.close()?;

    let vault = Vault::open(&path)?.unlock(Credential::provider(&agent))?;
    for slot in vault.slots()? {
        println!("slot {}: {}, {:?}, last used: {:?}", slot.number, slot.kind, slot.label, slot.last_used);
    }
    vault.close()?;

    // An agent that says nothing is given up.
    assert_eq!(agent.ask("hang", &KeyContext::new(vault.id()), b""), Err(ProviderError::TimedOut));
    let refused = Vault::open(&path)?.unlock(Credential::provider(&agent)).map(drop);
    println!("without its agent: {}", refused.expect_err("the agent was given up"));
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() == Some("agent") {
        serve();
        return Ok(());
    }
    day(Command::new(std::env::current_exe()?).arg("agent"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Not a test, but the other process of the one below: a test program has no arguments of its own.
    #[test]
    #[ignore = "the agent that the other test starts"]
    fn agent() {
        serve();
    }

    #[test]
    fn a_day_with_the_agent() {
        let program = std::env::current_exe().unwrap();
        day(Command::new(program).args(["tests::agent", "--exact", "--ignored", "--nocapture"])).unwrap();
    }
}
