//! Whether each version of each record has its entry, and each entry its version: two sets that are too large to be held,
//! compared by their sums, as the state digest does it.

use std::collections::HashMap;

use crate::audit::{AuditEntry, AuditEvent, AuditRecord, Outcome};
use crate::crypto::hash::{self, HmacKey};
use crate::crypto::random;
use crate::error::Error;
use crate::format::digest::Bucket;
use crate::ids::PatientId;
use crate::record::RecordRef;

/// Parts that the sets are summed in.
const PARTS: usize = 4_096;
/// Versions that are looked at one by one where sums differ.
const MOST_SINGLE: usize = 100_000;

/// One version as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) record: RecordRef,
    pub(super) version: u32,
    /// Ties entry and content to each other.
    pub(super) tag: [u8; 16],
    /// Whether its entry can be among those that were pruned: then it is no fault if the log has none.
    pub(super) old: bool,
}

/// The sums of both sets.
pub(super) struct Join {
    /// Known to nobody, so that nobody can choose versions whose leaves add up.
    key: HmacKey,
    logged: Vec<Bucket>,
    stored: Vec<Bucket>,
}

impl Join {
    pub(super) fn new() -> Result<Self, Error> {
        let key = HmacKey::new(&random::array()?);
        Ok(Self { key, logged: vec![Bucket::default(); PARTS], stored: vec![Bucket::default(); PARTS] })
    }

    /// Forgets what was logged.
    pub(super) fn read_log_again(&mut self) {
        self.logged.fill(Bucket::default());
    }

    fn leaf(&self, written: &Written) -> ([u8; 32], usize) {
        let Written { record, version, tag, .. } = written;
        let (number, version) = (record.number().to_be_bytes(), version.to_be_bytes());
        let leaf = self.key.tag(&[record.patient().as_bytes(), record.kind().as_bytes(), &number, &version, tag]);
        let part: [u8; 2] = hash::truncate(&leaf);
        (leaf, usize::from(u16::from_be_bytes(part)) % PARTS)
    }

    pub(super) fn logged(&mut self, written: &Written) {
        let (leaf, part) = self.leaf(written);
        if let Some(bucket) = self.logged.get_mut(part) {
            bucket.add(&leaf);
        }
    }

    pub(super) fn stored(&mut self, written: &Written) {
        // Few of these have an entry: where it differs because of them, they are looked at one by one.
        if written.old {
            return;
        }
        let (leaf, part) = self.leaf(written);
        if let Some(bucket) = self.stored.get_mut(part) {
            bucket.add(&leaf);
        }
    }

    /// What has to be looked at one by one; nothing if the sets are the same.
    pub(super) fn differences(self) -> Option<Singles> {
        let differ: Vec<bool> = self.logged.iter().zip(&self.stored).map(|(logged, stored)| logged != stored).collect();
        differ.contains(&true).then(|| Singles { join: self, differ, open: HashMap::new(), full: false })
    }
}

/// Single versions of the parts whose sums differ.
pub(super) struct Singles {
    join: Join,
    differ: Vec<bool>,
    /// By leaf: the number of the entry that names it, or nothing for one that is stored.
    open: HashMap<[u8; 32], (Written, Option<u64>)>,
    /// Whether there were more than can be held.
    pub(super) full: bool,
}

impl Singles {
    /// A version on one side: stays until the other side has it, too. Those that are old come behind the log.
    pub(super) fn met(&mut self, written: &Written, seq: Option<u64>) {
        let (leaf, part) = self.join.leaf(written);
        if !self.differ.get(part).copied().unwrap_or(false) {
            return;
        }
        match self.open.get(&leaf) {
            Some((_, other)) if other.is_some() != seq.is_some() => {
                self.open.remove(&leaf);
            }
            Some(_) => {}
            None if written.old => {}
            None if self.open.len() >= MOST_SINGLE => self.full = true,
            None => {
                self.open.insert(leaf, (*written, seq));
            }
        }
    }

    /// What only one side has, with the number of the entry where it is the log.
    pub(super) fn alone(&self) -> Vec<(Written, Option<u64>)> {
        self.open.values().copied().collect()
    }
}

/// The versions that an entry says were written.
pub(super) fn writes_of(entry: &AuditEntry) -> impl Iterator<Item = Written> + '_ {
    let event = matches!(entry.event, AuditEvent::RecordPut | AuditEvent::RecordAmended | AuditEvent::RecordVoided);
    let wrote = event && entry.outcome == Outcome::Allowed;
    let subjects = entry.subjects.iter().filter(move |_| wrote);
    subjects.flat_map(|subject| {
        let patient = subject.patient;
        subject.records.iter().filter_map(move |record| Some(written(patient?, record)))
    })
}

fn written(patient: PatientId, record: &AuditRecord) -> Written {
    let AuditRecord { kind, number, version, tag } = *record;
    Written { record: RecordRef::new(patient, kind, number), version, tag, old: false }
}
