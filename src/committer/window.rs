//! Entries of reads that are answered for before they are durable: how many, how long, and who is told when they are due.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::read_audit::ReadAudit;

/// Bytes of entries that may be answered for without being durable.
const WINDOW_BYTES: usize = 4 << 20;

/// What reads take of the window, given back once their entry is durable.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Share {
    /// Reads, as if each had an entry of its own.
    pub(super) entries: usize,
    pub(super) bytes: usize,
}

/// Reads that were answered for and are not durable yet.
#[derive(Default)]
pub(super) struct Window {
    choice: ReadAudit,
    taken: Share,
}

impl Window {
    pub(super) const fn choose(&mut self, choice: ReadAudit) {
        self.choice = choice;
    }

    /// Whether reads may be answered for at all.
    pub(super) const fn is_open(&self) -> bool {
        matches!(self.choice, ReadAudit::Windowed { .. })
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.taken.entries == 0
    }

    /// Takes entries in, and says how long they may wait; `None` when they have to be durable first.
    pub(super) fn admit(&mut self, share: Share) -> Option<Duration> {
        let ReadAudit::Windowed { delay, entries } = self.choice else { return None };
        let after = Share { entries: self.taken.entries + share.entries, bytes: self.taken.bytes + share.bytes };
        if after.entries >= usize::try_from(entries).unwrap_or(usize::MAX) || after.bytes > WINDOW_BYTES {
            return None;
        }
        self.taken = after;
        Some(delay)
    }

    pub(super) const fn release(&mut self, share: Share) {
        self.taken.entries = self.taken.entries.saturating_sub(share.entries);
        self.taken.bytes = self.taken.bytes.saturating_sub(share.bytes);
    }
}

#[derive(Default)]
struct Due {
    at: Option<Instant>,
    ended: bool,
}

/// Tells a thread when the first of what waits for it is due: entries to be written, or groups to be settled.
#[derive(Default)]
pub(crate) struct Bell {
    due: Mutex<Due>,
    changed: Condvar,
}

impl Bell {
    /// Sees to it that it rings within `delay`.
    pub(super) fn within(&self, delay: Duration) {
        let mut due = self.lock();
        let Some(at) = Instant::now().checked_add(delay) else { return };
        // What it was to ring for may have been written since, or chosen under a longer delay.
        if due.at.is_none_or(|earlier| at < earlier) {
            due.at = Some(at);
            self.changed.notify_all();
        }
    }

    /// Waits until it rings; `false` once it has ended.
    pub(crate) fn wait(&self) -> bool {
        let mut due = self.lock();
        loop {
            if due.ended {
                return false;
            }
            let Some(at) = due.at else {
                due = self.changed.wait(due).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                due.at = None;
                return true;
            }
            due = self.changed.wait_timeout(due, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ends the waiting of whoever waits.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// Lets it be waited for again.
    pub(crate) fn begin(&self) {
        self.lock().ended = false;
    }

    fn lock(&self) -> MutexGuard<'_, Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(entries: usize, bytes: usize) -> Share {
        Share { entries, bytes }
    }

    #[test]
    fn a_window_takes_fewer_entries_than_it_was_given_and_so_many_bytes() {
        let delay = Duration::from_secs(1);
        let mut window = Window::default();
        assert_eq!(window.admit(share(1, 1)), None);
        window.choose(ReadAudit::Windowed { delay, entries: 3 });
        assert_eq!([window.admit(share(1, 1)), window.admit(share(1, 1))], [Some(delay); 2]);
        assert_eq!(window.admit(share(1, 1)), None);
        window.release(share(2, 2));
        assert!(window.is_empty());
        assert_eq!(window.admit(share(3, 1)), None);
        assert_eq!(window.admit(share(1, WINDOW_BYTES + 1)), None);
        assert_eq!(window.admit(share(1, WINDOW_BYTES)), Some(delay));
        assert_eq!(window.admit(share(1, 1)), None);
        window.choose(ReadAudit::Windowed { delay, entries: 1 });
        window.release(share(1, WINDOW_BYTES));
        assert_eq!(window.admit(share(1, 1)), None);
    }

    #[test]
    fn a_bell_that_was_to_ring_late_rings_early_for_whatever_may_wait_less() {
        let (bell, (rang, has_rung)) = (Bell::default(), std::sync::mpsc::sync_channel(1));
        bell.within(Duration::from_secs(3_600));
        std::thread::scope(|scope| {
            scope.spawn(|| rang.send(bell.wait()).unwrap());
            bell.within(Duration::from_millis(1));
            let rung = has_rung.recv_timeout(Duration::from_secs(30));
            bell.end();
            assert_eq!(rung, Ok(true));
        });
    }

    #[test]
    fn a_bell_rings_once_for_all_that_is_due_and_ends() {
        let bell = Bell::default();
        bell.within(Duration::from_millis(1));
        bell.within(Duration::from_secs(3_600));
        assert!(bell.wait());
        bell.within(Duration::from_secs(3_600));
        bell.end();
        assert!(!bell.wait());
    }
}
