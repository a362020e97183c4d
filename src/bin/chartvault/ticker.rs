//! Progress of long tasks on standard error: one line that changes on a terminal, JSON lines where JSON is asked for.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use chartvault::{Progress, Task};
use serde_json::json;

use crate::show::Show;

const OFTEN: Duration = Duration::from_millis(200);

/// Shows how far a task has come, a few times a second at most.
#[derive(Debug)]
pub struct Ticker {
    show: Show,
    terminal: bool,
    last: Option<Instant>,
    line: bool,
}

impl Ticker {
    pub fn new(show: Show) -> Self {
        Self { show, terminal: io::stderr().is_terminal(), last: None, line: false }
    }

    /// From the library.
    pub fn tick(&mut self, progress: Progress) {
        self.tell(task(progress.task), progress.done, progress.total);
    }

    /// From a verb.
    pub fn tell(&mut self, task: &str, done: u64, total: Option<u64>) {
        let due = self.last.is_none_or(|last| last.elapsed() >= OFTEN);
        if !self.show.progress || !due {
            return;
        }
        self.last = Some(Instant::now());
        let text = match (self.show.json, total) {
            (true, _) => format!("{}\n", json!({ "progress": { "task": task, "done": done, "total": total } })),
            (false, Some(total)) if total > 0 => {
                format!("{task}: {done} of {total} ({} %)", done.min(total).saturating_mul(100) / total)
            }
            (false, _) => format!("{task}: {done}"),
        };
        let text = match (self.show.json, self.terminal) {
            (true, _) => text,
            (false, true) => format!("\r\x1b[K{text}"),
            (false, false) => format!("{text}\n"),
        };
        self.line = !self.show.json && self.terminal;
        // Progress that nobody sees is none.
        drop(io::stderr().write_all(text.as_bytes()));
    }
}

/// Clears the line.
impl Drop for Ticker {
    fn drop(&mut self) {
        if self.line {
            drop(io::stderr().write_all(b"\r\x1b[K"));
        }
    }
}

fn task(task: Task) -> &'static str {
    match task {
        Task::ReadJournal => "reading the journal, bytes",
        Task::Rebuild => "rebuilding the trees, bytes",
        Task::Compact => "compacting, bytes",
        Task::CheckJournal => "checking the journal, bytes",
        Task::CheckTrees => "checking the trees, rows",
        Task::CheckLog => "checking the log, entries",
        Task::CheckRecords => "checking records, versions",
        Task::VerifyAudit => "verifying the log, entries",
        Task::Export => "exporting, records",
        Task::Salvage => "salvaging, bytes and rows",
        Task::RewrapPatients => "sealing patients' keys anew",
        Task::ResealRecords => "sealing records anew, versions",
        Task::ResealRows => "sealing rows anew",
        Task::CountResealed => "counting what is left, versions",
        Task::BuildTree => "building the log's tree, entries",
        Task::ExportLog => "writing the log out, entries",
        Task::Backup => "backing up, bytes",
        Task::VerifyBackup => "verifying the backup, bytes",
        Task::Restore => "bringing the backup back, bytes",
        Task::Drill => "comparing with the vault, records",
        _ => "working",
    }
}
