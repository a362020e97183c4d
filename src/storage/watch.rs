//! Runs what may never come back (sled, opening or flushing a damaged directory) on a thread of its own, for as long as
//! its directory shows that something goes on.

use std::fs;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::StorageError;

/// Does `work`, and gives up after `patience` without an answer and without any change of a file in `dir`. The thread is
/// then left behind; what it holds must not be used again.
pub(super) fn watched<T: Send + 'static>(
    doing: &'static str,
    dir: &Path,
    patience: Duration,
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    let failed = |reason: String| StorageError::Trees { doing, reason };
    let (sender, receiver) = mpsc::channel();
    let run = move || {
        // Nobody listens any more once patience has run out.
        let _ = sender.send(work());
    };
    thread::Builder::new().name("chartvault-sled".into()).spawn(run).map_err(|error| failed(error.to_string()))?;
    let step = patience / 8;
    let (mut seen, mut since) = (newest_change(dir), Instant::now());
    loop {
        match receiver.recv_timeout(step) {
            Ok(done) => return done,
            Err(RecvTimeoutError::Disconnected) => return Err(failed("it panicked".into())),
            Err(RecvTimeoutError::Timeout) => {}
        }
        let now = newest_change(dir);
        if now != seen {
            (seen, since) = (now, Instant::now());
        } else if since.elapsed() >= patience {
            return Err(failed(format!("it did not come back for {} seconds", patience.as_secs())));
        }
    }
}

/// Sizes and the time of the newest change of the files right inside a directory.
fn newest_change(dir: &Path) -> (u64, Option<SystemTime>) {
    let files = fs::read_dir(dir).into_iter().flatten().flatten().filter_map(|entry| entry.metadata().ok());
    files.fold((0, None), |(bytes, newest), about| {
        (bytes.saturating_add(about.len()), newest.max(about.modified().ok()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(800);

    #[test]
    fn work_that_shows_progress_is_waited_for_and_work_that_does_not_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let busy = watched("opening", dir.path(), PATIENCE, move || {
            for bytes in 0..20 {
                fs::write(&path, vec![1; bytes]).unwrap();
                thread::sleep(Duration::from_millis(100));
            }
            Ok(7)
        });
        assert!(matches!(busy, Ok(7)), "{busy:?}");
        let started = Instant::now();
        let (_never, never) = mpsc::channel::<()>();
        let stuck = watched("flushing", dir.path(), PATIENCE, move || Ok(never.recv().is_ok()));
        assert!(matches!(stuck, Err(StorageError::Trees { doing: "flushing", .. })), "{stuck:?}");
        assert!(started.elapsed() >= PATIENCE);
        let panicked = watched::<()>("opening", dir.path(), PATIENCE, || panic!("on purpose"));
        assert!(matches!(panicked, Err(StorageError::Trees { doing: "opening", .. })), "{panicked:?}");
    }
}
