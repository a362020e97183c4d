//! Opens what a salvage finds: rows under their keys, entries under theirs.

use std::collections::HashMap;

use super::records::Tally;
use crate::audit::{
    AuditEvent, Chain, Draft, EntryKind, EntryRef, Head, LogPruned, Outcome, TILE, TileSeal, open_entry, subject_tags,
    tile_of,
};
use crate::clock::Timestamp;
use crate::crypto::aead::Suite;
use crate::crypto::kdf::{self, PatientSecret};
use crate::crypto::seal::Sealer;
use crate::format::doubt::DoubtMap;
use crate::format::envelope::{self, EnvelopeHead, Place};
use crate::format::keys::{PatientKey, RecordKey, Tree};
use crate::ids::{CompartmentId, KindId, PatientId, VaultId};
use crate::keyring::Keyring;
use crate::policy::{LogRetentionRow, PolicyRow};
use crate::record::Body;
use crate::storage::salvage::{Chosen, FindPatient, Judge, StandIn};
use crate::storage::{Bytes, StorageError};

/// Subjects that are counted for one entry that stands in for another.
const SUBJECTS: usize = 60_000;
/// Bytes of a key in the tree `lookup`, and of one in `policy`.
const LOOKUP_KEY: usize = 32;
const POLICY_KEY: usize = 16;

/// A patient whose records are being looked at. Wiped on drop.
struct Open {
    tag: [u8; 16],
    patient: Option<(PatientId, PatientSecret)>,
    sealer: Option<(u32, Option<CompartmentId>, Sealer)>,
}

/// Judges for one salvage.
pub(super) struct Examiner<'a> {
    vault: VaultId,
    suite: Suite,
    keyring: &'a Keyring,
    now: Timestamp,
    kinds: Vec<KindId>,
    /// Kinds that are kept in compartments.
    kept_apart: Vec<(KindId, CompartmentId)>,
    open: Option<Open>,
    pub(super) tally: Tally,
    /// Doubt from an earlier salvage.
    before: Option<(Timestamp, DoubtMap)>,
    /// All doubt, and since when.
    pub(super) doubt: Option<(Timestamp, DoubtMap)>,
    doubt_key: [u8; POLICY_KEY],
    tiles: TileSeal,
    /// What the vault says was pruned from its log.
    pruned: Option<LogPruned>,
    /// Of each subject: entries found, and the highest counter among them.
    counters: HashMap<[u8; 16], (u64, u64)>,
    /// Subjects still to be counted for entries that were lost.
    owed: Option<Vec<[u8; 16]>>,
}

impl<'a> Examiner<'a> {
    pub(super) fn new(vault: VaultId, suite: Suite, keyring: &'a Keyring, now: Timestamp) -> Self {
        let (kinds, kept_apart, tally, counters) = (Vec::new(), Vec::new(), Tally::default(), HashMap::new());
        let (open, before, doubt, pruned, owed) = (None, None, None, None, None);
        let (table, id) = PolicyRow::PLACE_OF_DOUBT;
        let doubt_key = keyring.policy_tag(table, &id);
        let tiles = TileSeal::new(kdf::log_tile_mac(keyring.state_key()));
        Self {
            vault,
            suite,
            keyring,
            now,
            kinds,
            kept_apart,
            open,
            tally,
            before,
            doubt,
            doubt_key,
            tiles,
            pruned,
            counters,
            owed,
        }
    }

    fn opens(&self, sealer: &Sealer, row: &Chosen<'_>) -> bool {
        let place = Place { vault: self.vault, tree: row.tree, key: row.key };
        envelope::open_value(sealer, place, row.value).is_ok()
    }

    fn policy_row(&mut self, row: &Chosen<'_>) -> bool {
        let place = Place { vault: self.vault, tree: Tree::Policy, key: row.key };
        let opened = envelope::open_value(self.keyring.policy_sealer(), place, row.value);
        let parsed = opened.ok().and_then(|(_, body)| PolicyRow::parse(&body).ok());
        match parsed {
            Some(PolicyRow::Kind { kind }) => self.kinds.push(kind.id()),
            Some(PolicyRow::Compartment(row)) => {
                self.kept_apart.extend(row.kinds.iter().map(|kind| (kind.id(), row.id())));
            }
            Some(PolicyRow::LogRetention(LogRetentionRow::Cut(cut))) => self.pruned = Some(cut.pruned),
            Some(PolicyRow::Doubt { salvaged_at, map }) => self.before = Some((salvaged_at, map)),
            Some(_) => {}
            None => return false,
        }
        row.key.len() == POLICY_KEY
    }

    /// Leaves of what was pruned. The tiles above are made of these, and those of entries that are there of the entries.
    fn is_tile_of_pruned(&self, row: &Chosen<'_>) -> bool {
        let pruned = |index: u64| self.pruned.is_some_and(|pruned| index < pruned.end / TILE);
        let id = tile_of(row.key).filter(|id| id.level == 0 && pruned(id.index));
        id.is_some_and(|id| self.tiles.decode(id, row.value).is_some())
    }

    fn patient_row(&self, key: &[u8], value: &[u8]) -> Option<(PatientId, PatientSecret)> {
        let key = PatientKey::from_bytes(key).ok()?;
        self.keyring.open_patient_secret(self.vault, key, value).ok()
    }

    /// Turns to the patient of this tag.
    fn turn_to(&mut self, tag: [u8; 16], patients: FindPatient<'_>) {
        if self.open.as_ref().is_none_or(|open| open.tag != tag) {
            let patient = patients(&tag).and_then(|(key, value)| self.patient_row(&key, &value));
            self.open = Some(Open { tag, patient, sealer: None });
        }
    }

    fn patient(&self) -> Option<PatientId> {
        self.open.as_ref()?.patient.as_ref().map(|(patient, _)| *patient)
    }

    /// The kind of a record, if the record opens.
    fn record(&mut self, key: RecordKey, row: &Chosen<'_>) -> Option<KindId> {
        let (head, sealed) = envelope::parse(row.value).ok()?;
        let (vault, keyring) = (self.vault, self.keyring);
        let is = |kind| keyring.kind_tag(&key.patient_tag, kind) == key.kind_tag;
        let compartment = self.kept_apart.iter().find(|(kind, _)| is(*kind)).map(|(_, compartment)| *compartment);
        let Open { patient, sealer, .. } = self.open.as_mut()?;
        let (_, secret) = patient.as_ref()?;
        if sealer.as_ref().is_none_or(|(epoch, of, _)| (*epoch, *of) != (head.epoch, compartment)) {
            let made = keyring.record_sealer(head.epoch, secret, compartment);
            *sealer = made.map(|sealer| (head.epoch, compartment, sealer));
        }
        let (.., sealer) = sealer.as_ref()?;
        let place = Place { vault, tree: Tree::Records, key: row.key };
        let opened = envelope::open_sealed(sealer, head, place, sealed).ok()?;
        let kind = Body::parse(&opened).ok()?.kind;
        (keyring.kind_tag(&key.patient_tag, kind) == key.kind_tag).then_some(kind)
    }

    fn kind_of(&self, key: &RecordKey) -> Option<KindId> {
        self.kinds.iter().copied().find(|kind| self.keyring.kind_tag(&key.patient_tag, *kind) == key.kind_tag)
    }

    /// Subjects of lost entries: as many as the counters of the entries found do not account for.
    fn owe(&self) -> Vec<[u8; 16]> {
        let missing = |(tag, (found, highest)): (&[u8; 16], &(u64, u64))| {
            let count = usize::try_from(highest.saturating_sub(*found)).unwrap_or(0);
            std::iter::repeat_n(*tag, count)
        };
        self.counters.iter().flat_map(missing).collect()
    }
}

impl Judge for Examiner<'_> {
    fn row(&mut self, row: &Chosen<'_>, patients: FindPatient<'_>) -> bool {
        match row.tree {
            Tree::Patients => self.patient_row(row.key, row.value).is_some(),
            Tree::Lookup => row.key.len() == LOOKUP_KEY && self.opens(self.keyring.lookup_sealer(), row),
            Tree::Policy => self.policy_row(row),
            Tree::Log => self.is_tile_of_pruned(row),
            // What is derived from the entries is made anew.
            Tree::Audit => false,
            Tree::Records => {
                let Ok(key) = RecordKey::from_bytes(row.key) else { return false };
                self.turn_to(key.patient_tag, patients);
                let opened = self.record(key, row);
                let before = self.before.as_ref().is_some_and(|(_, map)| map.covers(row.tree, row.key));
                let kind = opened.or_else(|| self.kind_of(&key));
                self.tally.version(key, self.patient().zip(kind), opened.is_some(), row.doubtful || before);
                opened.is_some()
            }
        }
    }

    fn lost(&mut self, tree: Tree, key: &[u8], patients: FindPatient<'_>) {
        if tree != Tree::Records {
            return;
        }
        if let Ok(key) = RecordKey::from_bytes(key) {
            self.turn_to(key.patient_tag, patients);
            let name = self.patient().zip(self.kind_of(&key));
            self.tally.version(key, name, false, true);
        }
    }

    fn is_doubt(&self, tree: Tree, key: &[u8]) -> bool {
        tree == Tree::Policy && *key == self.doubt_key
    }

    fn doubt(&mut self, found: &DoubtMap) -> Result<Option<(Vec<u8>, Bytes)>, StorageError> {
        let (mut map, mut salvaged_at) = (found.clone(), self.now);
        if let Some((at, before)) = &self.before {
            if map.count() == 0 {
                salvaged_at = *at;
            }
            map.join(before);
        }
        if map.count() == 0 {
            return Ok(None);
        }
        let key = self.doubt_key.to_vec();
        let place = Place { vault: self.vault, tree: Tree::Policy, key: &key };
        let head = EnvelopeHead { suite: self.suite, epoch: 0, generation: 0 };
        let body = PolicyRow::Doubt { salvaged_at, map: map.clone() }.to_bytes();
        let sealed = envelope::seal_value(self.keyring.policy_sealer(), head, place, &body);
        let value =
            sealed.map_err(|_| StorageError::Refused { why: "the row of what is in doubt cannot be sealed" })?;
        self.doubt = Some((salvaged_at, map));
        Ok(Some((key, value)))
    }

    fn entry(&mut self, entry: &[u8], vouched: bool) -> Option<u64> {
        let parsed = EntryRef::parse(entry).ok().filter(|entry| entry.front.vault == self.vault)?;
        if !vouched && subject_tags(&parsed, self.keyring.audit()).is_err() {
            return None;
        }
        Some(parsed.front.seq)
    }

    fn subjects(&mut self, entry: &[u8]) -> Vec<[u8; 16]> {
        let tags = EntryRef::parse(entry).ok().and_then(|entry| subject_tags(&entry, self.keyring.audit()).ok());
        tags.unwrap_or_default()
    }

    fn count(&mut self, entry: &[u8], patients: FindPatient<'_>) {
        let Ok(parsed) = EntryRef::parse(entry) else { return };
        let mut tags = Vec::new();
        let opened = {
            let key = |epoch, tag: &[u8; 16], generation| {
                tags.push(*tag);
                let (key, value) = patients(tag)?;
                let (_, secret) = self.patient_row(&key, &value)?;
                let known = PatientKey::from_bytes(&key).is_ok_and(|key| key.generation == generation);
                known.then(|| self.keyring.audit().subject_in(epoch, &secret)).flatten()
            };
            open_entry(&parsed, self.keyring.audit(), key)
        };
        let counters =
            opened.map(|entry| entry.subjects.into_iter().map(|subject| subject.counter).collect::<Vec<_>>());
        for (at, tag) in tags.into_iter().enumerate() {
            let counter = counters.as_ref().ok().and_then(|counters| counters.get(at).copied().flatten());
            let (found, highest) = self.counters.entry(tag).or_default();
            *found += 1;
            *highest = (*highest).max(counter.unwrap_or(0)).max(*found);
        }
    }

    fn were_cut(&mut self, subject: [u8; 16], entries: u64) {
        self.counters.insert(subject, (entries, entries));
    }

    fn owed(&self) -> Vec<[u8; 16]> {
        self.owe()
    }

    fn stand_in(&mut self, number: u64, before: Option<&[u8]>, next: Option<&[u8]>) -> Result<StandIn, StorageError> {
        let refused = |why| StorageError::Refused { why };
        let parse = |entry| EntryRef::parse(entry).map_err(|_| refused("a log entry that cannot be read"));
        let head = before.map(parse).transpose()?.map(|entry| Head::of(&entry));
        let next = next.map(parse).transpose()?.map(|entry| entry.front);
        let time = head.map(|head| head.time).or(next.map(|next| next.time)).unwrap_or(self.now);
        // An epoch does not go back: what stood here was of that of the entry before, or of a later one.
        let epoch = head.map(|head| head.epoch).or(next.map(|next| next.epoch));
        let epoch = epoch.unwrap_or_else(|| self.keyring.audit().epoch());
        let keys = self.keyring.audit_keys_under(epoch);
        let keys = keys.ok_or_else(|| refused("a log entry under a key that the header does not have"))?;
        // The first entry behind a cut. Where it is not known what was pruned, the chain shows that.
        let pruned = self.pruned.map(|pruned| pruned.head()).filter(|last| last.seq.checked_add(1) == Some(number));
        let behind_cut = number.checked_sub(1).map(|seq| {
            let key_id = next.map_or(1, |next| next.key_id);
            Head { seq, leaf: [0; 32], time, epoch, key_id }
        });
        let head = head.or(pruned).or(behind_cut);
        let mut draft = Draft::new(AuditEvent::EntryLost, Outcome::Failed);
        draft.kind = EntryKind::Lost;
        let prepared = draft.prepare().map_err(|_| refused("an entry for a lost one cannot be made"))?;
        let appended = Chain::new(self.vault, head).append(&keys, self.suite, time, prepared, |_| 0);
        let entry = appended.map_err(|_| refused("an entry for a lost one cannot be made"))?;
        if self.owed.is_none() {
            self.owed = Some(self.owe());
        }
        let owed = self.owed.get_or_insert_default();
        let subjects = owed.split_off(owed.len().saturating_sub(SUBJECTS));
        Ok((entry, subjects))
    }
}
