//! The chain of entries: each carries the leaf of the one before.

use crate::entry::{Entry, EntryDefect, EntryKind};
use crate::merkle::Hash;

/// The first place where entries do not follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {seq}: {what}")]
#[non_exhaustive]
pub struct ChainFault {
    /// The number that the entry should have.
    pub seq: u64,
    /// What is wrong.
    pub what: ChainFaultKind,
}

/// What is wrong with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainFaultKind {
    /// Its bytes are no entry.
    #[error("{0}")]
    Malformed(#[from] EntryDefect),
    /// It is of another vault.
    #[error("it is of another vault")]
    WrongVault,
    /// Another number stands in its place.
    #[error("entry {found} stands in its place")]
    OutOfOrder {
        /// That number.
        found: u64,
    },
    /// It does not carry the hash of the entry before.
    #[error("it does not follow from the entry before; one of the two was changed")]
    LinkBroken,
    /// Its time is before that of the entry before.
    #[error("its time lies before that of the entry before")]
    TimeWentBack,
    /// Its audit epoch or its signing epoch does not follow from that of the entry before.
    #[error("its epoch does not follow from that of the entry before")]
    Epoch,
}

/// The last entry that was followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Link {
    /// Its number.
    pub seq: u64,
    /// Its leaf.
    pub leaf: Hash,
    /// Its time, in microseconds since 1970.
    pub time: i64,
    /// Its audit epoch.
    pub epoch: u32,
    /// Its signing epoch.
    pub key_id: u32,
    /// Whether it stands in the place of one that was lost: nobody knows the hash of that one.
    pub lost: bool,
}

/// Follows a log, entry by entry.
#[derive(Clone, Debug)]
pub struct Chain {
    vault: [u8; 16],
    next: u64,
    first: Option<Front>,
    last: Option<Link>,
    lost: u64,
}

/// What of an entry has to follow from the one before.
#[derive(Clone, Copy, Debug)]
struct Front {
    seq: u64,
    kind: EntryKind,
    prev: Hash,
    time: i64,
    epoch: u32,
    key_id: u32,
}

impl Chain {
    /// From entry `first` on. What the first one carries of the entry before it is taken as it is.
    #[must_use]
    pub const fn new(vault: [u8; 16], first: u64) -> Self {
        Self { vault, next: first, first: None, last: None, lost: 0 }
    }

    /// The signing epoch of the first entry that was followed.
    pub(crate) fn first_key(&self) -> Option<u32> {
        self.first.map(|first| first.key_id)
    }

    /// What the first entry that was followed carries of the one before it.
    pub(crate) fn first_prev(&self) -> Option<Hash> {
        self.first.map(|first| first.prev)
    }

    /// The last entry.
    #[must_use]
    pub const fn last(&self) -> Option<Link> {
        self.last
    }

    /// Number of the entry that comes next.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// How many of the entries stand in the place of lost ones.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// Follows the next entry; gives its leaf and what its front says.
    ///
    /// # Errors
    /// [`ChainFault`]; the chain then stands as before.
    pub fn follow<'e>(&mut self, bytes: &'e [u8]) -> Result<(Entry<'e>, Hash), ChainFault> {
        let seq = self.next;
        let fault = |what| ChainFault { seq, what };
        let entry = Entry::parse(bytes).map_err(|defect| fault(defect.into()))?;
        let Entry { kind, prev, time, epoch, key_id, .. } = entry;
        let front = Front { seq, kind, prev, time, epoch, key_id };
        self.place(&entry).and_then(|()| self.links(&front)).map_err(fault)?;
        let leaf = entry.leaf();
        let lost = kind == EntryKind::Lost;
        self.first.get_or_insert(front);
        self.last = Some(Link { seq, leaf, time, epoch, key_id, lost });
        self.lost += u64::from(lost);
        self.next = seq.saturating_add(1);
        Ok((entry, leaf))
    }

    /// Goes on behind what another chain followed from the next entry on, in another thread, say. One that followed nothing
    /// changes nothing.
    ///
    /// # Errors
    /// [`ChainFault`] where its first entry is not the next one of this chain, which then stands as before.
    pub fn join(&mut self, behind: &Self) -> Result<(), ChainFault> {
        let (Some(first), Some(last)) = (&behind.first, behind.last) else { return Ok(()) };
        let fault = |what| ChainFault { seq: self.next, what };
        if behind.vault != self.vault {
            return Err(fault(ChainFaultKind::WrongVault));
        }
        if first.seq != self.next {
            return Err(fault(ChainFaultKind::OutOfOrder { found: first.seq }));
        }
        self.links(first).map_err(fault)?;
        self.first.get_or_insert(*first);
        (self.last, self.next) = (Some(last), behind.next);
        self.lost = self.lost.saturating_add(behind.lost);
        Ok(())
    }

    fn place(&self, entry: &Entry<'_>) -> Result<(), ChainFaultKind> {
        if entry.vault != self.vault {
            return Err(ChainFaultKind::WrongVault);
        }
        if entry.seq != self.next {
            return Err(ChainFaultKind::OutOfOrder { found: entry.seq });
        }
        Ok(())
    }

    fn links(&self, front: &Front) -> Result<(), ChainFaultKind> {
        let Some(last) = self.last else { return Ok(()) };
        // Nobody knows the hash of an entry that was lost.
        let behind_a_gap = last.lost && front.kind != EntryKind::Lost;
        if front.prev != last.leaf && !behind_a_gap {
            return Err(ChainFaultKind::LinkBroken);
        }
        if front.time < last.time {
            return Err(ChainFaultKind::TimeWentBack);
        }
        let grown = front.epoch > last.epoch || front.key_id > last.key_id;
        let announced = front.kind == EntryKind::Epoch && front.key_id <= last.key_id.saturating_add(1);
        if front.epoch < last.epoch || front.key_id < last.key_id || (grown && !announced && !behind_a_gap) {
            return Err(ChainFaultKind::Epoch);
        }
        Ok(())
    }
}
