//! The log: every entry that was found, and in the place of each lost one another that says so.

use std::collections::HashMap;

use super::evidence::States;
use super::gaps::Gaps;
use super::scratch::EntryAt;
use super::{Context, Judge};
use crate::bytes::Reader;
use crate::format::base::Item;
use crate::format::frame::Entry;
use crate::format::keys::Tree;
use crate::format::row::{self, Row};
use crate::storage::StorageError;
use crate::storage::trees::Trees;

/// Entries looked up at once.
const CHUNK: usize = 1_000;

type Take<'a> = &'a mut dyn FnMut(&Item<'_>) -> Result<(), StorageError>;

/// An entry, and its subjects where a frame names them.
type Held = (Vec<u8>, Option<Vec<[u8; 16]>>);

/// Called with the number of each entry, in order; nothing for one that was lost.
type Visit<'a> = &'a mut dyn FnMut(u64, Option<Held>) -> Result<(), StorageError>;

impl Context<'_> {
    /// Writes the whole log, without a gap.
    pub(super) fn write_entries(
        &mut self,
        states: &States,
        old: Option<&Trees>,
        judge: &mut dyn Judge,
        take: Take<'_>,
    ) -> Result<(), StorageError> {
        self.note_old_entries(states, old, judge)?;
        let all_counted = self.count_cut(judge)?;
        let (mut gaps, mut found, mut first) = (Gaps::default(), 0_u64, None);
        self.each_entry(states, &mut |number, held| {
            match held {
                Some((entry, _)) => {
                    found += 1;
                    first.get_or_insert(entry);
                }
                None => gaps.push(number, number),
            }
            Ok(())
        })?;
        self.found.entries = found;
        self.found.lost_entries = gaps.into_runs();
        if !self.found.lost_entries.is_empty() || !all_counted {
            self.each_entry(states, &mut |_, held| {
                if let Some((entry, _)) = held {
                    judge.count(&entry, &mut |tag| self.patient(old, tag));
                }
                Ok(())
            })?;
        }
        if self.found.lost_entries.is_empty() && !all_counted {
            // What the counters lack was cut: nobody stands in for it.
            judge.owed().into_iter().for_each(|subject| self.removed.lost(subject));
            self.count_by_state(states, judge)?;
        }
        let mut before: Option<Vec<u8>> = None;
        self.each_entry(states, &mut |number, held| {
            let (entry, subjects) = match held {
                Some((entry, Some(subjects))) => (entry, subjects),
                Some((entry, None)) => {
                    let subjects = judge.subjects(&entry);
                    (entry, subjects)
                }
                None => judge.stand_in(number, before.as_deref(), first.as_deref())?,
            };
            take(&Item::Entry(Entry { bytes: &entry, subjects }))?;
            before = Some(entry);
            Ok(())
        })
    }

    /// Counts the entries that were cut and no base counts, as far as they are still there; says whether all of them are.
    fn count_cut(&mut self, judge: &mut dyn Judge) -> Result<bool, StorageError> {
        let (mut next, first, begins) = (0, self.removed.first, self.removed.counted_below);
        if first == 0 {
            return Ok(true);
        }
        let mut missing = first.saturating_sub(begins);
        while next < first {
            let chunk = self.scratch.entries(next, CHUNK)?;
            let ended = chunk.len() < CHUNK || chunk.last().is_some_and(|(number, _)| *number >= first);
            for (number, at) in chunk.into_iter().take_while(|(number, _)| *number < first) {
                next = number.saturating_add(1);
                let Some((entry, subjects)) = self.resolve(at) else { continue };
                let subjects = subjects.unwrap_or_else(|| judge.subjects(&entry));
                self.removed.found(number, &subjects);
                missing = missing.saturating_sub(u64::from(number >= begins));
            }
            if ended {
                break;
            }
        }
        self.removed.tallies().into_iter().for_each(|(subject, entries)| judge.were_cut(subject, entries));
        // Of a damaged base the counts themselves may be lost.
        Ok(missing == 0 && !self.found.base_damaged)
    }

    /// What a state file counts and no entry that is kept accounts for was cut.
    fn count_by_state(&mut self, states: &States, judge: &mut dyn Judge) -> Result<(), StorageError> {
        let Some(state) = states.0.first() else { return Ok(()) };
        let mut kept = HashMap::<[u8; 16], u64>::new();
        self.each_entry(states, &mut |number, held| {
            if let Some((entry, subjects)) = held.filter(|_| number < state.entries) {
                let subjects = subjects.unwrap_or_else(|| judge.subjects(&entry));
                subjects.into_iter().for_each(|subject| *kept.entry(subject).or_default() += 1);
            }
            Ok(())
        })?;
        for (subject, entries) in &state.tallies {
            let cut = entries.saturating_sub(kept.get(subject).copied().unwrap_or(0));
            self.removed.at_least(*subject, cut);
        }
        Ok(())
    }

    /// Every entry that was found or is known to have been written, from the first that was kept on. A vault has one at least.
    fn each_entry(&self, states: &States, visit: Visit<'_>) -> Result<(), StorageError> {
        let first = self.removed.first;
        let (mut next, known) = (first, states.entries().max(first.saturating_add(1)));
        loop {
            let chunk = self.scratch.entries(next, CHUNK)?;
            let ended = chunk.len() < CHUNK;
            for (number, at) in chunk {
                while next < number {
                    visit(next, None)?;
                    next += 1;
                }
                visit(number, self.resolve(at))?;
                next = number.saturating_add(1);
            }
            if ended {
                return (next..known).try_for_each(|number| visit(number, None));
            }
        }
    }

    fn resolve(&self, at: EntryAt) -> Option<Held> {
        match at {
            EntryAt::Bytes(bytes) => Some((bytes, None)),
            EntryAt::Frame(spot) => {
                let bytes = spot.read(&self.scratch.files)?;
                let entry = Entry::decode(&mut Reader::new(&bytes)).ok()?;
                Some((entry.bytes.to_vec(), Some(entry.subjects)))
            }
        }
    }

    /// Notes entries that old trees and state files have and the journal lost.
    fn note_old_entries(
        &mut self,
        states: &States,
        old: Option<&Trees>,
        judge: &mut dyn Judge,
    ) -> Result<(), StorageError> {
        let mut packs: Vec<Vec<u8>> = Vec::new();
        for state in &states.0 {
            packs.push(state.pack.clone());
        }
        let mut from = Vec::new();
        loop {
            for pack in packs.drain(..) {
                for entry in row::unpack(&pack).unwrap_or_default() {
                    if let Some(number) = judge.entry(entry, false)
                        && self.scratch.note_entry(number, &EntryAt::Bytes(entry.to_vec()))?
                    {
                        self.found.entries_from_trees += 1;
                    }
                }
            }
            let Some(trees) = old else { return Ok(()) };
            let mut last = None;
            let visited = trees.visit(Tree::Audit, &from, None, |key, row| {
                last = Some(key.to_vec());
                if let Ok(Row::Inline(pack)) = Row::parse(row) {
                    packs.push(pack.to_vec());
                }
                packs.len() < CHUNK
            });
            if let Err(error) = visited {
                self.found.trees_failed.get_or_insert(error.to_string());
                last = None;
            }
            match last {
                Some(mut key) => {
                    key.push(0);
                    from = key;
                }
                None if packs.is_empty() => return Ok(()),
                // What was read before the failure still counts; then no more is asked for.
                None => from = vec![0xFF; 9],
            }
        }
    }
}
