//! Kills at a moment that is told by what the process is about to do.

use std::path::Path;

use crate::tracer::{Call, Observer, Reaction, What};

/// When to kill, once so many answers were given.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum KillWhen {
    /// Before an answer is said.
    Answered,
    /// Between a frame's write and its sync.
    Unsynced,
    /// Before a finished base gets its name.
    BaseNamed,
    /// With a named base, before the log has its entry.
    CompactionLogged,
    /// Before that file of those which a base covers is removed, counted from 1.
    Removing(usize),
    /// Once this was said of a rotation: before that frame, counted from 1.
    Framing(&'static str, usize),
    /// Before that write of a copy of the header, counted from 1.
    Heading(&'static str, usize),
}

impl KillWhen {
    fn is_said(self, bytes: &[u8]) -> bool {
        match self {
            Self::Framing(what, _) | Self::Heading(what, _) => {
                String::from_utf8_lossy(bytes).starts_with(&format!("a - rotating {what}"))
            }
            _ => false,
        }
    }

    fn concerns(self, path: &Path) -> bool {
        match self {
            Self::Framing(..) => in_journal(path),
            Self::Heading(..) => path.file_stem().is_some_and(|stem| stem == "header"),
            _ => false,
        }
    }

    const fn number(self) -> Option<usize> {
        match self {
            Self::Framing(_, number) | Self::Heading(_, number) => Some(number),
            _ => None,
        }
    }
}

/// Kills after so many answers.
pub(crate) struct Killer {
    answers: usize,
    when: KillWhen,
    written: bool,
    named: bool,
    removed: usize,
    said: bool,
    since: usize,
}

impl Killer {
    pub(crate) const fn new(answers: usize, when: KillWhen) -> Self {
        Self { answers, when, written: false, named: false, removed: 0, said: false, since: 0 }
    }
}

impl Observer for Killer {
    fn enter(&mut self, call: &Call) -> Reaction {
        let now = match &call.what {
            What::Say { bytes } if self.when.is_said(bytes) => {
                self.said = true;
                false
            }
            What::Write { path, .. } if self.said && self.when.concerns(path) => {
                self.since += 1;
                self.when.number() == Some(self.since)
            }
            What::Say { bytes } if bytes.starts_with(b"a ") => {
                self.answers = self.answers.saturating_sub(1);
                // An answer without a sync before it: the frame is not synced now either.
                self.when == KillWhen::Answered || (self.when == KillWhen::Unsynced && self.written)
            }
            What::Write { path, len, .. } => {
                self.written = in_journal(path) && *len > 1_024;
                self.when == KillWhen::CompactionLogged && self.named && in_journal(path)
            }
            What::Sync { path } if in_journal(path) => {
                let unsynced = self.when == KillWhen::Unsynced && self.written;
                self.written = false;
                unsynced
            }
            What::Rename { to, .. } if is_base(to) => {
                self.named = true;
                self.when == KillWhen::BaseNamed
            }
            What::Remove { path, .. } if self.named && in_journal(path) => {
                self.removed += 1;
                self.when == KillWhen::Removing(self.removed)
            }
            _ => false,
        };
        if now && self.answers == 0 { Reaction::Kill } else { Reaction::Go }
    }
}

fn in_journal(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "cvj")
}

fn is_base(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("base-"))
}
