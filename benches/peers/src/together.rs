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
