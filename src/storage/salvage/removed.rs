//! Entries that were cut before the vault was damaged: they stay gone, and how many named each subject is carried over.

use std::collections::{BTreeMap, HashMap};

/// What is known of them.
#[derive(Default)]
pub(super) struct Removed {
    /// Number of the oldest entry that was kept.
    pub(super) first: u64,
    /// Up to where a base counted them.
    pub(super) counted_below: u64,
    /// By subject: up to which entry a base counted, and how many.
    counted: HashMap<[u8; 16], (u64, u64)>,
}

impl Removed {
    /// Something genuine says that the log begins there.
    pub(super) fn cut(&mut self, first: u64) {
        self.first = self.first.max(first);
    }

    /// A genuine base begins there.
    pub(super) fn base(&mut self, first: u64) {
        self.cut(first);
        self.counted_below = self.counted_below.max(first);
    }

    /// A base says how many entries below number `first` named a subject. The newest one counts.
    pub(super) fn count(&mut self, subject: [u8; 16], first: u64, entries: u64) {
        let counted = self.counted.entry(subject).or_default();
        if counted.0 < first {
            *counted = (first, entries);
        }
    }

    /// An entry that is not kept any more, and was found all the same.
    pub(super) fn found(&mut self, number: u64, subjects: &[[u8; 16]]) {
        for subject in subjects {
            let (first, entries) = self.counted.entry(*subject).or_default();
            if number >= *first {
                *entries = entries.saturating_add(1);
            }
        }
    }

    /// An entry that is not kept any more, was not found, and named a subject.
    pub(super) fn lost(&mut self, subject: [u8; 16]) {
        let (_, entries) = self.counted.entry(subject).or_default();
        *entries = entries.saturating_add(1);
    }

    /// So many that are gone named a subject, or more.
    pub(super) fn at_least(&mut self, subject: [u8; 16], least: u64) {
        let (_, entries) = self.counted.entry(subject).or_default();
        *entries = least.max(*entries);
    }

    /// How many of those that are gone named each subject.
    pub(super) fn tallies(&self) -> BTreeMap<[u8; 16], u64> {
        self.counted
            .iter()
            .map(|(subject, (_, entries))| (*subject, *entries))
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}
