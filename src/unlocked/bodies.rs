//! Bodies of records that were opened lately, for all sessions of the vault: what is read again costs no cipher.
//!
//! A version of a record is written once, so an opened one stays what it is; which is the newest depends on the chart's
//! stamp. Decisions, entries and doubts are no part of this: each access has its own.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::Chart;
use crate::audit::AuditRecord;
use crate::committer::Stamp;
use crate::format::keys::{RecordKey, record_prefix};
use crate::ids::KindId;
use crate::secret::SecretBytes;

/// Parts with a lock of their own, so that readers seldom wait for each other.
const SHARDS: usize = 8;
/// What a body takes beside its bytes: its place in map and ring, counters, what the allocator adds.
const EACH: usize = 320;

/// An authentic body, wiped when its last holder lets go.
pub(crate) struct OpenedBody {
    pub(crate) key: RecordKey,
    pub(crate) bytes: SecretBytes,
    /// By which the log names this version; made once.
    tag: OnceLock<[u8; 16]>,
}

impl OpenedBody {
    pub(crate) const fn new(key: RecordKey, bytes: SecretBytes) -> Self {
        Self { key, bytes, tag: OnceLock::new() }
    }

    /// How it stands in the log. `kind` is the one of its key.
    pub(crate) fn audited(&self, chart: &Chart, kind: KindId) -> AuditRecord {
        let RecordKey { number, version, .. } = self.key;
        let made = || chart.subject.version_tag(chart.patient, kind, number, version, &self.bytes);
        AuditRecord::new(kind, number, version, *self.tag.get_or_init(made))
    }

    fn name(&self) -> Name {
        record_prefix(&self.key.patient_tag, &self.key.kind_tag, self.key.number)
    }

    fn cost(&self) -> usize {
        self.bytes.capacity() + EACH
    }
}

/// A record, whatever its version: the first bytes of its keys.
pub(crate) type Name = [u8; 32];

/// The newest versions of records, as far as they were opened lately; of each record one.
pub(crate) struct Bodies {
    shards: Vec<Mutex<Shard>>,
    /// Bytes that a shard holds at most.
    most: usize,
}

#[derive(Default)]
struct Shard {
    slots: HashMap<Name, Slot>,
    /// Each name once. The first goes next, unless it was used since it was last there.
    ring: VecDeque<Name>,
    bytes: usize,
}

struct Slot {
    body: Arc<OpenedBody>,
    /// When it was the newest version.
    at: Stamp,
    used: bool,
}

impl Bodies {
    /// At most so many bytes; 0 keeps nothing.
    pub(crate) fn new(bytes: u64) -> Self {
        let most = usize::try_from(bytes).unwrap_or(usize::MAX) / SHARDS;
        Self { shards: std::iter::repeat_with(Mutex::default).take(SHARDS).collect(), most }
    }

    /// The version of a record that is kept, and whether it was the newest at this stamp.
    pub(crate) fn newest(&self, name: &Name, at: Stamp) -> Option<(Arc<OpenedBody>, bool)> {
        let mut shard = self.shard(name)?;
        let slot = shard.slots.get_mut(name)?;
        slot.used = true;
        Some((Arc::clone(&slot.body), slot.at == at))
    }

    /// This very version, if it is kept; noted where it was the newest at a stamp.
    pub(crate) fn version(&self, key: &RecordKey, newest_at: Option<Stamp>) -> Option<Arc<OpenedBody>> {
        let name = record_prefix(&key.patient_tag, &key.kind_tag, key.number);
        let mut shard = self.shard(&name)?;
        let slot = shard.slots.get_mut(&name).filter(|slot| slot.body.key == *key)?;
        slot.used = true;
        slot.at = newest_at.unwrap_or(slot.at);
        Some(Arc::clone(&slot.body))
    }

    /// Keeps the newest version of a record as of a stamp, if the chart is `unchanged` since: asked while nobody can
    /// [`forget`](Self::forget), so that nothing comes back. One that would take half a shard is not kept.
    pub(crate) fn keep(&self, body: &Arc<OpenedBody>, at: Stamp, unchanged: impl FnOnce() -> bool) {
        let (name, cost) = (body.name(), body.cost());
        let Some(mut shard) = self.shard(&name) else { return };
        if cost > self.most / 2 || !unchanged() {
            return;
        }
        shard.put(name, Slot { body: Arc::clone(body), at, used: false }, self.most);
    }

    /// Wipes what is kept of a patient; to be called once the patient's key is gone.
    pub(crate) fn forget(&self, patient_tag: &[u8; 16]) {
        for shard in &self.shards {
            locked(shard).retain(|name| !name.starts_with(patient_tag));
        }
    }

    /// Wipes everything.
    pub(crate) fn clear(&self) {
        self.shards.iter().for_each(|shard| *locked(shard) = Shard::default());
    }

    /// None where nothing is kept.
    fn shard(&self, name: &Name) -> Option<MutexGuard<'_, Shard>> {
        if self.most == 0 {
            return None;
        }
        // Tags are keyed hashes, and the last byte counts records.
        let [first, .., last] = name;
        self.shards.get(usize::from(first ^ last) % SHARDS).map(locked)
    }

    #[cfg(test)]
    pub(crate) fn held(&self) -> (usize, usize) {
        let shards = || self.shards.iter().map(locked);
        (shards().map(|shard| shard.slots.len()).sum(), shards().map(|shard| shard.bytes).sum())
    }
}

impl Shard {
    fn put(&mut self, name: Name, slot: Slot, most: usize) {
        self.bytes += slot.body.cost();
        match self.slots.insert(name, slot) {
            Some(before) => self.bytes -= before.body.cost(),
            None => self.ring.push_back(name),
        }
        while self.bytes > most
            && let Some(first) = self.ring.pop_front()
        {
            match self.slots.get_mut(&first) {
                Some(slot) if slot.used => {
                    slot.used = false;
                    self.ring.push_back(first);
                }
                _ => self.bytes -= self.slots.remove(&first).map_or(0, |slot| slot.body.cost()),
            }
        }
    }

    fn retain(&mut self, stays: impl Fn(&Name) -> bool) {
        self.ring.retain(&stays);
        self.slots.retain(|name, _| stays(name));
        self.bytes = self.slots.values().map(|slot| slot.body.cost()).sum();
    }
}

/// A shard's steps do not panic half-way, so a poisoned lock guards a whole one.
fn locked(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
