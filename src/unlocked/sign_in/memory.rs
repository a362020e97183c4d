//! How much memory all derivations of passwords take together: many who sign in at once wait for each other, rather than
//! taking what the machine has.

use std::sync::{Condvar, Mutex, PoisonError};

/// KiB that they take together, unless one alone takes more: four at the usual cost.
const MOST: u32 = 256 * 1_024;

/// KiB in use.
#[derive(Default)]
pub(super) struct Memory {
    used: Mutex<u32>,
    freed: Condvar,
}

impl Memory {
    /// Waits until there is room for so many KiB, which are taken for as long as the answer lives.
    pub(super) fn room(&self, kib: u32) -> Room<'_> {
        let full = |used: &mut u32| *used > 0 && used.saturating_add(kib) > MOST;
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let mut used = self.freed.wait_while(used, full).unwrap_or_else(PoisonError::into_inner);
        *used = used.saturating_add(kib);
        Room { memory: self, kib }
    }
}

/// Memory that is taken.
pub(super) struct Room<'m> {
    memory: &'m Memory,
    kib: u32,
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        let mut used = self.memory.used.lock().unwrap_or_else(PoisonError::into_inner);
        *used = used.saturating_sub(self.kib);
        drop(used);
        self.memory.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn derivations_never_take_more_together_than_there_is_room_for() {
        let (memory, inside, most) = (Memory::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|threads| {
            for _ in 0..12 {
                threads.spawn(|| {
                    let _room = memory.room(MOST / 3);
                    most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::yield_now();
                    inside.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        assert!((1..=3).contains(&most.load(Ordering::SeqCst)));
        assert_eq!(*memory.used.lock().unwrap(), 0);
    }

    #[test]
    fn one_that_takes_more_than_all_may_goes_alone() {
        let memory = Memory::default();
        drop(memory.room(u32::MAX));
        assert_eq!(*memory.used.lock().unwrap(), 0);
    }
}
