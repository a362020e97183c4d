//! The index of the log: kept beside the tiles, made out of the entries where it is not there, and never believed where it
//! does not open for exactly these entries.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::Unlocked;
use crate::audit::{AuditFault, Columns, EntryKind, EntryRef, FaultKind, Named, Part, STRETCH, Said};
use crate::bytes::Put;
use crate::committer::{CommitFailed, Row};
use crate::crypto::aead::Suite;
use crate::crypto::kdf;
use crate::crypto::seal::{FLOOR_VALUE, Sealer};
use crate::error::Error;
use crate::secret::SecretBytes;
use crate::storage::Tree;

/// Bytes of opened rows that are kept in memory.
const HELD_BYTES: usize = 32 << 20;
/// What rows begin with; another form begins with another number.
const FORM: u8 = 1;

/// Rows that were opened lately. Wiped on drop.
#[derive(Default)]
pub(crate) struct OpenedIndex(Mutex<Held>);

#[derive(Default)]
struct Held {
    named: HashMap<u64, Arc<Named>>,
    columns: HashMap<u64, Arc<Columns>>,
    bytes: usize,
}

impl OpenedIndex {
    fn with<T>(&self, use_it: impl FnOnce(&mut Held) -> T) -> T {
        use_it(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Held {
    /// Makes room; what was held is opened again when it is asked for.
    fn room_for(&mut self, bytes: usize) {
        if self.bytes.saturating_add(bytes) > HELD_BYTES {
            *self = Self::default();
        }
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// A stretch of the log up to whose end all entries are there.
struct Stretch {
    number: u64,
    /// Those that were not pruned.
    entries: Range<u64>,
    /// Leaf of its last entry, from which all others follow.
    leaf: [u8; 32],
}

impl Unlocked {
    /// How many stretches from the log's first entry on are full.
    pub(crate) fn full_stretches(&self) -> u64 {
        self.committer.newest_entry().map_or(0, |head| head.seq.saturating_add(1)) / STRETCH
    }

    /// The first stretch with an entry that was not pruned.
    pub(crate) fn first_stretch(&self) -> u64 {
        self.committer.storage().first_entry() / STRETCH
    }

    /// The removals of what the index says of entries before a number, which are about to be pruned. The rest of a stretch gets its
    /// rows again when it is asked for.
    pub(crate) fn index_of_pruned(&self, end: u64) -> Result<Vec<Row>, Error> {
        let mut rows = Vec::new();
        for number in self.first_stretch()..end.div_ceil(STRETCH) {
            for part in Part::ALL {
                let key = part.key(number);
                if let Some(old) = self.committer.get(Tree::Log, &key)? {
                    rows.push(Row::removal(Tree::Log, key, old));
                }
            }
        }
        Ok(rows)
    }

    /// Forgets what is held of the index.
    pub(crate) fn forget_index(&self) {
        self.index.with(|held| *held = Held::default());
    }

    /// Which entries of a full stretch name whom.
    pub(crate) fn index_named(&self, stretch: u64) -> Result<Arc<Named>, Error> {
        if let Some(held) = self.index.with(|held| held.named.get(&stretch).cloned()) {
            return Ok(held);
        }
        let stretch = self.stretch(stretch)?;
        let stored = self.stored_index(&stretch, Part::Named).and_then(Named::parse);
        let named = match stored {
            Some(named) => named,
            None => self.build_index(&stretch)?.0,
        };
        let named = Arc::new(named);
        self.index.with(|held| {
            held.room_for(named.len());
            held.named.insert(stretch.number, Arc::clone(&named));
        });
        Ok(named)
    }

    /// What else its entries say.
    pub(crate) fn index_columns(&self, stretch: u64) -> Result<Arc<Columns>, Error> {
        if let Some(held) = self.index.with(|held| held.columns.get(&stretch).cloned()) {
            return Ok(held);
        }
        let stretch = self.stretch(stretch)?;
        let stored = self.stored_index(&stretch, Part::Columns).and_then(Columns::parse);
        let columns = match stored {
            Some(columns) => columns,
            None => self.build_index(&stretch)?.1,
        };
        let columns = Arc::new(columns);
        self.index.with(|held| {
            held.room_for(columns.len());
            held.columns.insert(stretch.number, Arc::clone(&columns));
        });
        Ok(columns)
    }

    /// Makes what is not there of the next full stretches, at most so many of them; gives the number behind the last that was
    /// looked at.
    pub(crate) fn index_ahead(&self, from: u64, most: u64) -> Result<u64, Error> {
        let from = from.max(self.first_stretch());
        let until = self.full_stretches().min(from.saturating_add(most));
        for number in from..until {
            let there = |part: Part| self.committer.get(Tree::Log, &part.key(number)).is_ok_and(|row| row.is_some());
            if !Part::ALL.into_iter().all(there) {
                self.build_index(&self.stretch(number)?)?;
            }
        }
        Ok(until.max(from))
    }

    /// Compares the index of a full stretch with its entries, and writes anew what is wrong or missing. Says whether a row
    /// that opens says something else than the entries do, which no damage brings about.
    pub(crate) fn check_index(&self, number: u64) -> Result<IndexFound, Error> {
        let stretch = self.stretch(number)?;
        let said = self.said(&stretch)?;
        let (named, columns) = (Named::encode(&said), Columns::encode(&said));
        let stored = [Part::Named, Part::Columns].map(|part| self.stored_index(&stretch, part));
        let same =
            |stored: &Option<SecretBytes>, made: &SecretBytes| stored.as_ref().is_some_and(|row| **row == **made);
        let [stored_named, stored_columns] = &stored;
        if same(stored_named, &named) && same(stored_columns, &columns) {
            return Ok(IndexFound::Sound);
        }
        let wrong = (stored_named.is_some() && !same(stored_named, &named))
            || (stored_columns.is_some() && !same(stored_columns, &columns));
        self.forget_index();
        self.store_index(&stretch, &named, &columns)?;
        Ok(if wrong { IndexFound::Wrong { first: stretch.entries.start } } else { IndexFound::Missing })
    }

    fn stretch(&self, number: u64) -> Result<Stretch, Error> {
        let (start, first) = (number.saturating_mul(STRETCH), self.committer.storage().first_entry());
        let last = start.saturating_add(STRETCH - 1);
        let fault = |what| AuditFault { seq: last, what };
        let found = self.committer.storage().entries(last, 1)?;
        let (_, bytes) = found.first().ok_or_else(|| fault(FaultKind::TruncatedTail { last }))?;
        let entry = EntryRef::parse(bytes).map_err(|defect| fault(FaultKind::Malformed(defect)))?;
        Ok(Stretch { number, entries: start.max(first)..last.saturating_add(1), leaf: entry.leaf() })
    }

    /// A row as it is stored, opened; nothing where it is missing or not the vault's for exactly these entries.
    fn stored_index(&self, stretch: &Stretch, part: Part) -> Option<SecretBytes> {
        let key = part.key(stretch.number);
        let row = self.committer.get(Tree::Log, &key).ok().flatten()?;
        let [FORM, suite, sealed @ ..] = &*row else { return None };
        self.index_sealer().open(Suite::from_code(*suite)?, &self.index_aad(stretch, &key), sealed).ok()
    }

    /// As if somebody who has the vault's keys had emptied the index of a stretch.
    #[cfg(test)]
    pub(crate) fn forge_index(&self, number: u64) -> Result<(), Error> {
        self.forget_index();
        self.store_index(&self.stretch(number)?, &Named::encode(&[]), &Columns::encode(&[]))
    }

    fn build_index(&self, stretch: &Stretch) -> Result<(Named, Columns), Error> {
        let said = self.said(stretch)?;
        let (named, columns) = (Named::encode(&said), Columns::encode(&said));
        self.store_index(stretch, &named, &columns)?;
        let malformed = AuditFault { seq: stretch.entries.start, what: FaultKind::LinkBroken };
        Ok((Named::parse(named).ok_or(malformed)?, Columns::parse(columns).ok_or(malformed)?))
    }

    /// Where there is no room for them, they are made again when they are needed.
    fn store_index(&self, stretch: &Stretch, named: &[u8], columns: &[u8]) -> Result<(), Error> {
        let (sealer, suite) = (self.index_sealer(), self.suite());
        let row = |part: Part, body: &[u8]| {
            let key = part.key(stretch.number);
            let mut value = vec![FORM, suite.code()];
            value.put(&sealer.seal(suite, &self.index_aad(stretch, &key), body)?);
            // No digest covers these rows; see the committer's tiles.
            Ok(Row { tree: Tree::Log, key: key.into(), value: Some(value.into()), replaces: Some([].into()) })
        };
        let rows: Result<Vec<Row>, Error> =
            [(Part::Named, named), (Part::Columns, columns)].into_iter().map(|(part, body)| row(part, body)).collect();
        match self.committer.commit(rows?, Vec::new()) {
            Ok(()) | Err(CommitFailed::NotCommitted(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// What each entry of the stretch says, which follow from one another up to the last.
    fn said(&self, stretch: &Stretch) -> Result<Vec<(u16, Said)>, Error> {
        let Range { start, end } = stretch.entries;
        let count = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
        let (keyring, mut said) = (self.keyring(), Vec::with_capacity(count));
        let (mut before, mut behind_lost, mut expected) = (None, false, start);
        for (seq, bytes) in self.committer.storage().entries(start, count)? {
            let fault = |what| AuditFault { seq: expected, what };
            let entry = EntryRef::parse(&bytes).map_err(|defect| fault(FaultKind::Malformed(defect)))?;
            let lost = entry.front.kind == EntryKind::Lost;
            let linked = before.is_none_or(|before| before == entry.front.prev) || (behind_lost && !lost);
            if (seq, entry.front.seq, entry.front.vault) != (expected, expected, self.vault) || !linked {
                return Err(fault(FaultKind::LinkBroken).into());
            }
            let opened = Said::of(&entry, keyring.audit()).map_err(|error| fault(FaultKind::from(error)))?;
            let place = seq.saturating_sub(stretch.number.saturating_mul(STRETCH));
            said.push((u16::try_from(place).unwrap_or(u16::MAX), opened));
            (before, behind_lost, expected) = (Some(entry.leaf()), lost, expected.saturating_add(1));
        }
        if expected == end && before == Some(stretch.leaf) {
            return Ok(said);
        }
        let last = expected.saturating_sub(1);
        Err(AuditFault { seq: expected, what: FaultKind::TruncatedTail { last } }.into())
    }

    fn index_sealer(&self) -> Sealer {
        Sealer::new(kdf::log_index_prk(self.keyring().state_key()), kdf::SEAL_INDEX, FLOOR_VALUE)
    }

    /// `form u8 ‖ vault id ‖ key of the row ‖ first entry u64 ‖ leaf of the stretch's last entry`.
    fn index_aad(&self, stretch: &Stretch, key: &[u8]) -> Vec<u8> {
        [&[FORM][..], self.vault.as_bytes(), key, &stretch.entries.start.to_be_bytes(), &stretch.leaf].concat()
    }
}

/// What a comparison of the index with the entries found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IndexFound {
    Sound,
    /// A row was not there or did not open, and was made.
    Missing,
    /// A row said something else than the entries.
    Wrong {
        /// First entry of the stretch.
        first: u64,
    },
}
