//! How far the log has come, for those who wait for more of it and hold nothing of the vault meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Default)]
struct State {
    /// Durable entries.
    entries: u64,
    /// Nothing is added any more, or everybody is to look for themselves.
    ended: bool,
    /// Who waits: waking nobody would cost a system call for each commit.
    waiting: usize,
    /// Goes up whenever everybody is to look up.
    nudges: u64,
}

#[derive(Default)]
pub(crate) struct Growth {
    state: Mutex<State>,
    changed: Condvar,
}

impl Growth {
    /// So many entries are durable.
    pub(super) fn reaches(&self, entries: u64) {
        let mut state = self.lock();
        state.entries = state.entries.max(entries);
        self.wake(&state);
    }

    /// The log stops, or the vault is sealed.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        self.wake(&state);
    }

    /// Has everybody who waits look whether to go on.
    pub(crate) fn nudge(&self) {
        let mut state = self.lock();
        state.nudges = state.nudges.wrapping_add(1);
        self.wake(&state);
    }

    /// Durable entries.
    pub(crate) fn entries(&self) -> u64 {
        self.lock().entries
    }

    /// Waits until there are more entries than these, the end, a nudge, or for so long; not at all once told to stop. Whoever
    /// tells so nudges afterwards.
    pub(crate) fn wait_beyond(&self, entries: u64, most: Duration, stop: &AtomicBool) {
        self.wait(most, |state| state.entries > entries || stop.load(Ordering::SeqCst));
    }

    /// Waits for so long, or until the end or a nudge.
    pub(crate) fn pause(&self, most: Duration, stop: &AtomicBool) {
        self.wait(most, |_| stop.load(Ordering::SeqCst));
    }

    fn wait(&self, most: Duration, enough: impl Fn(&State) -> bool) {
        let until = Instant::now().checked_add(most);
        let mut state = self.lock();
        let nudges = state.nudges;
        while !enough(&state) && !state.ended && state.nudges == nudges {
            let left = until.map_or(most, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return;
            }
            state.waiting = state.waiting.saturating_add(1);
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            state.waiting = state.waiting.saturating_sub(1);
        }
    }

    fn wake(&self, state: &State) {
        if state.waiting > 0 {
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    static GO_ON: AtomicBool = AtomicBool::new(false);

    #[test]
    fn who_waits_for_more_is_woken_by_the_next_entry_by_a_nudge_and_by_the_end() {
        let growth = Growth::default();
        growth.reaches(3);
        growth.wait_beyond(2, LONG, &GO_ON);
        let began = Instant::now();
        for wake in
            [&|| growth.reaches(4) as _, &|| growth.nudge() as _, &|| growth.end() as _] as [&(dyn Fn() + Sync); 3]
        {
            std::thread::scope(|scope| {
                let waits = scope.spawn(|| growth.wait_beyond(3, LONG, &GO_ON));
                std::thread::sleep(Duration::from_millis(20));
                wake();
                waits.join().unwrap();
            });
        }
        growth.pause(LONG, &GO_ON);
        Growth::default().pause(LONG, &AtomicBool::new(true));
        assert!(began.elapsed() < LONG);
        assert_eq!(growth.entries(), 4);
    }

    #[test]
    fn nobody_waits_longer_than_they_said() {
        let growth = Growth::default();
        let began = Instant::now();
        growth.wait_beyond(0, Duration::from_millis(10), &GO_ON);
        growth.pause(Duration::from_millis(10), &GO_ON);
        assert!(began.elapsed() >= Duration::from_millis(20));
    }
}
