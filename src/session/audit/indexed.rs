//! The index of the log against its entries.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::verdicts::LogFault;
use crate::audit::STRETCH;
use crate::error::Error;
use crate::unlocked::{IndexFound, Unlocked};

/// Compares the index of the full stretches from an entry on with what the entries say, on so many threads. What is missing is
/// made; what says something else than the entries is a fault, and is made anew.
pub(super) fn index_faults(unlocked: &Unlocked, from: u64, threads: usize) -> Result<Vec<LogFault>, Error> {
    let (next, end) = (AtomicU64::new((from / STRETCH).max(unlocked.first_stretch())), unlocked.full_stretches());
    let (faults, failed) = (Mutex::new(Vec::new()), Mutex::new(None));
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= end {
                return;
            }
            match unlocked.check_index(number) {
                Ok(IndexFound::Sound | IndexFound::Missing) => {}
                Ok(IndexFound::Wrong { first }) => {
                    faults.lock().unwrap_or_else(PoisonError::into_inner).push(LogFault::Index { first });
                }
                Err(error) => {
                    failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    next.store(end, Ordering::Relaxed);
                }
            }
        }
    };
    thread::scope(|scope| {
        (1..threads.min(16)).for_each(|_| drop(scope.spawn(work)));
        work();
    });
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(faults.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}
