//! Judges as processes of their own: one that panics, hangs or takes too much memory is a finding, not the end.

use std::io::{self, BufRead, BufReader, Write};
use std::panic;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use crate::checked::{self, Wound};
use crate::judge::{self, Care, Verdict};
use crate::ledger::Ledger;
use crate::salvaged;

/// How long one judgement may take. sled is given a minute to open before it is given up.
const PATIENCE: Duration = Duration::from_secs(150);
/// Address space of a judge. A sound run needs a tenth of it.
const MEMORY: u64 = 4 << 30;
/// Judgements before a fresh process takes over.
const TERM: usize = 2_000;

/// What a judge is asked about a vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Whether it is as it must be.
    Judge(Care),
    /// Whether a check finds this.
    Find(Wound),
    /// Whether a salvage of it keeps or names everything.
    Salvage,
}

impl Question {
    fn words(&self) -> String {
        match self {
            Self::Judge(care) => care.word().to_owned(),
            Self::Find(wound) => format!("find {}", wound.words()),
            Self::Salvage => "salvage".to_owned(),
        }
    }

    fn parse(words: &str) -> Option<Self> {
        match words.split_once(' ') {
            Some(("find", wound)) => Wound::parse(wound).map(Self::Find),
            Some(_) => None,
            None if words == "salvage" => Some(Self::Salvage),
            None => Care::parse(words).map(Self::Judge),
        }
    }

    /// The answer.
    fn answer(&self, dir: &Path, seed: u64, ledger: &Ledger) -> Verdict {
        match self {
            Self::Judge(care) => judge::judge(dir, seed, ledger, *care),
            Self::Find(wound) => checked::judge(dir, seed, ledger, wound),
            Self::Salvage => salvaged::judge(dir, seed, ledger),
        }
    }
}

/// A process that judges.
#[derive(Default)]
pub struct Judge {
    running: Option<Running>,
    /// Largest resident size of any, in KiB.
    pub peak: u64,
}

struct Running {
    child: Child,
    answers: Receiver<String>,
    judged: usize,
}

impl Judge {
    /// Has the vault in `dir` judged by a ledger that stands in a file.
    pub fn ask(&mut self, dir: &Path, ledger: &Path, seed: u64, question: &Question) -> io::Result<Verdict> {
        if self.running.as_ref().is_some_and(|running| running.judged >= TERM) {
            self.dismiss();
        }
        let running = match &mut self.running {
            Some(running) => running,
            none => none.insert(Running::start()?),
        };
        running.judged += 1;
        let question = format!("{seed}\t{}\t{}\t{}\n", question.words(), dir.display(), ledger.display());
        let asked = running.child.stdin.as_mut().map(|stdin| stdin.write_all(question.as_bytes()));
        let answer = match asked {
            Some(Ok(())) => running.answers.recv_timeout(PATIENCE),
            _ => Err(RecvTimeoutError::Disconnected),
        };
        match answer {
            Ok(line) => {
                let (peak, verdict) = parse(&line);
                self.peak = self.peak.max(peak);
                Ok(verdict)
            }
            Err(RecvTimeoutError::Timeout) => {
                self.dismiss();
                Ok(Verdict::Bad(format!("opening or reading took more than {} s", PATIENCE.as_secs())))
            }
            Err(RecvTimeoutError::Disconnected) => {
                self.dismiss();
                Ok(Verdict::Bad("the process that opened it died: out of memory, stack or luck".into()))
            }
        }
    }

    fn dismiss(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        self.dismiss();
    }
}

impl Running {
    fn start() -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("judge-server").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let (send, answers) = channel();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    if send.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        Ok(Self { child, answers, judged: 0 })
    }
}

fn parse(line: &str) -> (u64, Verdict) {
    let words: Vec<&str> = line.split('\t').collect();
    let peak = words.first().and_then(|peak| peak.parse().ok()).unwrap_or(0);
    let word = |at: usize| words.get(at).copied().unwrap_or_default().to_owned();
    let verdict = match words.get(1) {
        Some(&"good") => Verdict::Good(word(2)),
        Some(&"refused") => Verdict::Refused(word(2), word(3)),
        _ => Verdict::Bad(word(2)),
    };
    (peak, verdict)
}

/// `torture judge-server`: judges what it is asked about, line by line.
pub fn serve() -> io::Result<()> {
    limit_memory();
    panic::set_hook(Box::new(|_| ()));
    for line in io::stdin().lines() {
        let line = line?;
        let words: Vec<&str> = line.split('\t').collect();
        let [seed, question, dir, ledger] = words[..] else { continue };
        let ledger = Ledger::read(&std::fs::read_to_string(ledger)?);
        let seed = seed.parse().unwrap_or(0);
        let question = Question::parse(question).unwrap_or(Question::Judge(Care::Thorough));
        let judged = panic::catch_unwind(|| question.answer(Path::new(dir), seed, &ledger));
        let clean = |text: &str| text.replace(['\t', '\n'], " ");
        let said = match judged.unwrap_or_else(|panic| Verdict::Bad(format!("it panicked: {}", message(&*panic)))) {
            Verdict::Good(class) => format!("good\t{}", clean(&class)),
            Verdict::Refused(name, words) => format!("refused\t{}\t{}", clean(&name), clean(&words)),
            Verdict::Bad(what) => format!("bad\t{}", clean(&what)),
        };
        println!("{}\t{said}", peak());
    }
    Ok(())
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// Largest resident size so far, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(0)
}

fn limit_memory() {
    let limit = libc::rlimit { rlim_cur: MEMORY, rlim_max: MEMORY };
    // SAFETY: a plain system call; the structure outlives it.
    unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
}
