//! Entries of reads gathered in memory and written every 100 ms in one transaction, as an application would do it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::clinic::{ReadLog, WAITING};
use crate::entry::Draft;

/// The longest that an entry waits.
pub const DELAY: Duration = Duration::from_millis(100);

#[derive(Default)]
struct Waiting {
    drafts: Vec<Draft>,
    first: Option<Instant>,
    /// Taken out, and not durable yet.
    being_written: usize,
    ended: bool,
}

#[derive(Default)]
struct Shared {
    on: AtomicBool,
    waiting: Mutex<Waiting>,
    /// There is something to write, or more than may wait.
    due: Condvar,
    written: Condvar,
}

/// The waiting entries, and the thread that writes them.
pub struct Window {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

impl Window {
    /// Starts the thread; `write` makes entries durable.
    pub fn new(mut write: impl FnMut(Vec<Draft>) + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let writer = std::thread::spawn(move || {
            while let Some(drafts) = theirs.take() {
                write(drafts);
                theirs.waiting.lock().unwrap().being_written = 0;
                theirs.written.notify_all();
            }
        });
        Self { shared, writer: Some(writer) }
    }

    pub fn choose(&self, log: ReadLog) {
        self.shared.on.store(log == ReadLog::Windowed, Ordering::Relaxed);
    }

    pub fn is_on(&self) -> bool {
        self.shared.on.load(Ordering::Relaxed)
    }

    /// Takes an entry in; waits while too many are not durable.
    pub fn push(&self, draft: Draft) {
        let mut waiting = self.shared.waiting.lock().unwrap();
        while waiting.drafts.len() + waiting.being_written >= WAITING {
            self.shared.due.notify_one();
            waiting = self.shared.written.wait(waiting).unwrap();
        }
        waiting.drafts.push(draft);
        if waiting.first.is_none() {
            waiting.first = Some(Instant::now());
            self.shared.due.notify_one();
        }
    }
}

impl Shared {
    /// Waits until entries are due and takes them; nothing at the end.
    fn take(&self) -> Option<Vec<Draft>> {
        let mut waiting = self.waiting.lock().unwrap();
        loop {
            let left = waiting.first.map(|first| DELAY.saturating_sub(first.elapsed()));
            let full = waiting.drafts.len() >= WAITING;
            match left {
                Some(left) if left.is_zero() || full || waiting.ended => {
                    waiting.first = None;
                    waiting.being_written = waiting.drafts.len();
                    return Some(std::mem::take(&mut waiting.drafts));
                }
                Some(left) => waiting = self.due.wait_timeout(waiting, left).unwrap().0,
                None if waiting.ended => return None,
                None => waiting = self.due.wait(waiting).unwrap(),
            }
        }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.shared.waiting.lock().unwrap().ended = true;
        self.shared.due.notify_one();
        if let Some(writer) = self.writer.take() {
            writer.join().unwrap();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Action;

    #[test]
    fn entries_are_written_in_time_and_all_of_them_at_the_end() {
        let (write, written) = std::sync::mpsc::channel();
        let window = Window::new(move |drafts| write.send(drafts.len()).unwrap());
        let draft = || Draft::new(Action::Read, vec![[1; 16]], vec![1]);
        window.push(draft());
        assert_eq!(written.recv_timeout(Duration::from_secs(30)), Ok(1));
        (0..WAITING + 1).for_each(|_| window.push(draft()));
        drop(window);
        let rest: Vec<_> = written.iter().collect();
        assert_eq!(rest.iter().sum::<usize>(), WAITING + 1);
        assert!(rest.iter().all(|written| *written <= WAITING));
    }
}
