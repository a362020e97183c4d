//! An entry in the making. Whatever does not depend on the entry's place in the chain is done by the caller, in
//! parallel; [`Chain::append`](super::chain::Chain::append) does the rest in order.

use std::collections::BTreeSet;

use zeroize::Zeroizing;

use super::consent;
use super::entry::{EntryKind, MAX_PAYLOAD, entry_len};
use super::event::{AuditEvent, Outcome};
use super::payload::{CLOCK_FIELD, FIELD_HEAD, Fields, put_field, tag};
use super::pruned::LogPruned;
use super::reads::{self, ReadMark};
use super::subject::{BlockPlace, DraftSubject, MAX_RECORDS_PER_ENTRY, PreparedSubject, subject_len};
use crate::bytes::{Length, Put};
use crate::clock::Timestamp;
use crate::crypto::RandomFailed;
use crate::crypto::aead::Suite;
use crate::crypto::random::{self, RandomArrays};
use crate::crypto::seal::SealError;
use crate::ids::{PatientId, VaultId};
use crate::secret::SecretBytes;

/// Why a draft does not become an entry. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DraftError {
    #[error("audit field {field:#06x} holds more than {limit}; shorten it")]
    FieldTooLong { field: u16, limit: usize },
    #[error("one audit entry covers at most {MAX_RECORDS_PER_ENTRY} records, not {0}; split it")]
    TooManyRecords(usize),
    #[error("the audit entry would have {0} bytes, and 65535 is the most; split it")]
    TooLarge(usize),
    #[error("a patient stands twice in one audit entry")]
    PatientTwice,
    #[error(transparent)]
    Random(#[from] RandomFailed),
}

/// What an entry shall say.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) kind: EntryKind,
    pub(crate) fields: Fields,
    pub(crate) subjects: Vec<DraftSubject>,
    /// Where several reads share the entry: each of them.
    pub(super) reads: Vec<ReadMark>,
}

impl Draft {
    pub(crate) const fn new(event: AuditEvent, outcome: Outcome) -> Self {
        Self { kind: EntryKind::Event, fields: Fields::new(event, outcome), subjects: Vec::new(), reads: Vec::new() }
    }

    /// The first entry of the next signing epoch; `detail` says why it begins.
    pub(crate) fn first_of_signing_epoch(detail: String) -> Self {
        let mut draft = Self::new(AuditEvent::SigningEpochBegun, Outcome::Allowed);
        draft.kind = EntryKind::Epoch;
        draft.fields.detail = Some(detail);
        draft
    }

    /// The entry that goes with the removal of others.
    pub(crate) const fn pruning(mut self, pruned: LogPruned) -> Self {
        self.kind = EntryKind::Prune;
        self.fields.pruned = Some(pruned);
        self
    }

    fn begins_signing_epoch(&self) -> bool {
        self.kind == EntryKind::Epoch && self.fields.event == AuditEvent::SigningEpochBegun
    }

    pub(super) fn records(&self) -> usize {
        self.subjects.iter().map(|subject| subject.records.len()).sum()
    }

    /// Size of the entry that this becomes, clock field included. Above [`MAX_ENTRY`](super::entry::MAX_ENTRY) it has
    /// to be [`split`](Self::split).
    pub(crate) fn encoded_len(&self) -> usize {
        entry_len(self.payload_len())
    }

    pub(super) fn payload_len(&self) -> usize {
        let mut fields = Length::default();
        // Fields over their limits are refused when preparing; here they only have to count.
        let fits = self.fields.put_before_subjects(&mut fields).and(self.fields.put_after_subjects(&mut fields));
        let fits = fits.and(reads::put(&self.reads, &mut fields));
        let fits = fits.and(consent::put(&self.fields.consent, &mut fields));
        let fits = fits.and(self.fields.put_last(&mut fields));
        if fits.is_err() {
            return usize::MAX / 2;
        }
        let subjects: usize = self.subjects.iter().map(|subject| subject_len(&subject.records)).sum();
        fields.0 + if self.subjects.is_empty() { 0 } else { FIELD_HEAD + 2 + subjects } + CLOCK_FIELD
    }

    /// This draft as several that each fit an entry: the same fields, the subjects and their records in order.
    pub(crate) fn split(mut self) -> Vec<Self> {
        if self.records() <= MAX_RECORDS_PER_ENTRY && self.payload_len() <= MAX_PAYLOAD {
            return vec![self];
        }
        let subjects = std::mem::take(&mut self.subjects);
        let base = self.payload_len() + FIELD_HEAD + 2;
        let (mut drafts, mut current, mut len, mut records) = (Vec::new(), self.clone(), base, 0);
        // Counted once.
        self.fields.consent.clear();
        for part in subjects.into_iter().flat_map(parts) {
            let (more, part_records) = (subject_len(&part.records), part.records.len());
            let full = len + more > MAX_PAYLOAD || records + part_records > MAX_RECORDS_PER_ENTRY;
            if full && !current.subjects.is_empty() {
                drafts.push(std::mem::replace(&mut current, self.clone()));
                (len, records) = (base, 0);
            }
            current.subjects.push(part);
            (len, records) = (len + more, records + part_records);
        }
        drafts.push(current);
        drafts
    }

    /// Encodes everything but what the place in the chain decides, and draws the random bytes.
    pub(crate) fn prepare(self) -> Result<Prepared, DraftError> {
        self.prepare_with(random::arrays)
    }

    pub(super) fn prepare_with(
        self,
        random: impl FnOnce(usize) -> Result<RandomArrays, RandomFailed>,
    ) -> Result<Prepared, DraftError> {
        let (capacity, begins_signing_epoch) = (self.payload_len(), self.begins_signing_epoch());
        let too_large = DraftError::TooLarge(entry_len(capacity));
        self.check(capacity)?;
        let (mut before, mut after) = (Zeroizing::new(Vec::with_capacity(capacity)), Zeroizing::new(Vec::new()));
        self.fields.put_before_subjects(&mut *before).map_err(|_| too_large)?;
        self.fields.put_after_subjects(&mut *after).map_err(|_| too_large)?;
        reads::put(&self.reads, &mut *after).map_err(|_| too_large)?;
        consent::put(&self.fields.consent, &mut *after).map_err(|_| too_large)?;
        self.fields.put_last(&mut *after).map_err(|_| too_large)?;
        let (first, rest) = random(self.subjects.len())?;
        let subjects = self.subjects.into_iter().zip(rest);
        let subjects = subjects.map(|(subject, random)| PreparedSubject::new(subject, random));
        let subjects = subjects.collect::<Result<_, _>>().map_err(|_| too_large)?;
        Ok(Prepared { kind: self.kind, begins_signing_epoch, before, subjects, after, capacity, random: first })
    }

    pub(super) fn check(&self, payload_len: usize) -> Result<(), DraftError> {
        if let Some((field, limit)) = self.fields.over_limit() {
            return Err(DraftError::FieldTooLong { field, limit });
        }
        if self.records() > MAX_RECORDS_PER_ENTRY {
            return Err(DraftError::TooManyRecords(self.records()));
        }
        if payload_len > MAX_PAYLOAD {
            return Err(DraftError::TooLarge(entry_len(payload_len)));
        }
        let mut seen = BTreeSet::new();
        let once = self.subjects.iter().all(|subject| seen.insert(subject.patient_tag));
        if once { Ok(()) } else { Err(DraftError::PatientTwice) }
    }
}

/// A subject with so many records that no entry holds them, as several.
fn parts(subject: DraftSubject) -> Vec<DraftSubject> {
    if subject.records.len() <= MAX_RECORDS_PER_ENTRY {
        return vec![subject];
    }
    let chunks = subject.records.chunks(MAX_RECORDS_PER_ENTRY);
    chunks.map(|chunk| DraftSubject { records: chunk.to_vec(), ..subject.clone() }).collect()
}

/// A draft that is ready to be appended.
pub(crate) struct Prepared {
    pub(super) kind: EntryKind,
    /// Whether it is the first entry of the signing epoch behind the one before.
    pub(super) begins_signing_epoch: bool,
    pub(super) subjects: Vec<PreparedSubject>,
    before: SecretBytes,
    after: SecretBytes,
    capacity: usize,
    pub(super) random: [u8; 32],
}

impl Prepared {
    /// Whether it is the first entry of the signing epoch behind the one before.
    pub(crate) const fn begins_signing_epoch(&self) -> bool {
        self.begins_signing_epoch
    }

    /// Size of the entry that this becomes, at most.
    pub(crate) const fn entry_len(&self) -> usize {
        entry_len(self.capacity)
    }

    /// The payload at this place in the chain. `clock` is written where the clock stepped back.
    pub(super) fn payload(
        self,
        suite: Suite,
        vault: VaultId,
        seq: u64,
        clock: Option<Timestamp>,
        mut counter: impl FnMut(PatientId) -> u64,
    ) -> Result<SecretBytes, SealError> {
        let mut out = self.before;
        if !self.subjects.is_empty() {
            let n = u16::try_from(self.subjects.len()).map_err(|_| SealError::TooLarge)?;
            let mut blocks = Vec::with_capacity(self.capacity);
            blocks.put_u16(n);
            for (index, subject) in (0..n).zip(&self.subjects) {
                subject.put(suite, BlockPlace { vault, seq, index }, counter(subject.patient), &mut blocks)?;
            }
            put_field(&mut *out, tag::SUBJECTS, &blocks).map_err(|_| SealError::TooLarge)?;
        }
        out.put(&self.after);
        if let Some(clock) = clock {
            put_field(&mut *out, tag::CLOCK, &clock.as_micros().to_be_bytes()).map_err(|_| SealError::TooLarge)?;
        }
        Ok(out)
    }
}
