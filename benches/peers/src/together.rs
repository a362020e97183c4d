//! Calls that wait at the same time share one sync, which an application has to arrange for itself.

use std::sync::{Condvar, Mutex};

#[derive(Default)]
struct State {
    /// Syncs begun and ended.
    begun: u64,
    ended: u64,
    running: bool,
}

/// One sync for all who wait for one.
#[derive(Default)]
pub struct SharedSync {
    state: Mutex<State>,
    changed: Condvar,
}

impl SharedSync {
    /// Returns after a sync that began after this call did.
    pub fn sync(&self, sync: impl Fn()) {
        let mut state = self.state.lock().unwrap();
        let wanted = state.begun + 1;
        loop {
            if state.ended >= wanted {
                return;
            }
            if state.running {
                state = self.changed.wait(state).unwrap();
                continue;
            }
            state.running = true;
            state.begun += 1;
            let begun = state.begun;
            drop(state);
            sync();
            state = self.state.lock().unwrap();
            state.running = false;
            state.ended = begun;
            self.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn nobody_returns_before_a_sync_that_began_later() {
        let (shared, written, synced) = (SharedSync::default(), AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let mine = written.fetch_add(1, Ordering::SeqCst) + 1;
                        shared.sync(|| {
                            let seen = written.load(Ordering::SeqCst);
                            std::thread::yield_now();
                            synced.fetch_max(seen, Ordering::SeqCst);
                        });
                        assert!(synced.load(Ordering::SeqCst) >= mine);
                    }
                });
            }
        });
    }
}
