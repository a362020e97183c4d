//! How often this thread did what costs time: for tests that two ways cost the same.

use std::cell::RefCell;
use std::collections::BTreeMap;

thread_local! {
    static DONE: RefCell<BTreeMap<&'static str, u64>> = const { RefCell::new(BTreeMap::new()) };
}

/// Counts an operation.
pub(crate) fn one(operation: &'static str) {
    DONE.with_borrow_mut(|done| *done.entry(operation).or_default() += 1);
}

/// What `work` does, by operation.
pub(crate) fn during<T>(work: impl FnOnce() -> T) -> (T, BTreeMap<&'static str, u64>) {
    DONE.take();
    (work(), DONE.take())
}
