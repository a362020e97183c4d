//! What an entry says about one patient: a block that only the epoch's key together with the patient's own secret
//! opens, so that erasing the patient closes it for ever without touching the chain.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::keys::SubjectKey;
use crate::bytes::{Put, Reader, Truncated};
use crate::crypto::aead::{Suite, TAG_LEN};
use crate::crypto::pad;
use crate::crypto::seal::{FLOOR_KEY, SEALED_HEAD, SealError};
use crate::ids::{KindId, PatientId, VaultId};
use crate::secret::SecretBytes;

/// Records in one entry, over all its patients.
pub(crate) const MAX_RECORDS_PER_ENTRY: usize = 1_000;

/// Bytes of a subject before its sealed block: patient tag, generation, length.
const CLEAR_LEN: usize = 16 + 4 + 2;
/// Bytes of a block before its groups: patient, counter, number of groups.
const BLOCK_HEAD: usize = 16 + 8 + 2;
/// Bytes of a group before its records: kind id, number of records.
const GROUP_HEAD: usize = 16 + 2;
/// Bytes of one record.
const RECORD_LEN: usize = 8 + 4 + 16;

/// One version of one record that an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct AuditRecord {
    /// Its kind.
    pub kind: KindId,
    /// Its number within patient and kind, from 1.
    pub number: u64,
    /// Its version, from 1; 0 where no version was touched.
    pub version: u32,
    /// Ties the entry to what the version said: an HMAC of its content, cut to 16 bytes. Zeros where no version was
    /// touched.
    pub tag: [u8; 16],
}

impl AuditRecord {
    pub(crate) const fn new(kind: KindId, number: u64, version: u32, tag: [u8; 16]) -> Self {
        Self { kind, number, version, tag }
    }
}

/// One patient whom an entry is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditSubject {
    /// The patient; `None` when the patient was erased: what was said then stays closed for ever.
    pub patient: Option<PatientId>,
    /// Counts the entries about the patient, from 1 and without gaps; `None` when the patient was erased.
    pub counter: Option<u64>,
    /// The records touched, in the order in which the caller got them.
    pub records: Vec<AuditRecord>,
}

/// A patient in a [`Draft`](super::draft::Draft).
#[derive(Clone)]
pub(crate) struct DraftSubject {
    pub(crate) patient: PatientId,
    pub(crate) patient_tag: [u8; 16],
    /// Generation of the patient's secret that `key` was made from.
    pub(crate) generation: u32,
    pub(crate) key: Arc<SubjectKey>,
    pub(crate) records: Vec<AuditRecord>,
}

/// Size of a subject with these records inside the payload.
pub(super) fn subject_len(records: &[AuditRecord]) -> usize {
    SubjectLen::of(records).in_entry()
}

/// Size of a subject to which records are added.
pub(super) struct SubjectLen(usize);

impl SubjectLen {
    pub(super) fn of(records: &[AuditRecord]) -> Self {
        let mut len = Self(BLOCK_HEAD);
        len.add(&[], records);
        len
    }

    /// `more` come behind those that are `held`.
    pub(super) fn add(&mut self, held: &[AuditRecord], more: &[AuditRecord]) {
        let groups = more.chunk_by(|a, b| a.kind == b.kind).count();
        let goes_on = held.last().zip(more.first()).is_some_and(|(last, first)| last.kind == first.kind);
        self.0 += (groups - usize::from(goes_on)) * GROUP_HEAD + more.len() * RECORD_LEN;
    }

    /// Inside the payload, sealed.
    pub(super) const fn in_entry(&self) -> usize {
        CLEAR_LEN + SEALED_HEAD + pad::padded_len(self.0, FLOOR_KEY) + TAG_LEN
    }
}

/// Does all that sealing a subject into an entry takes, and forgets it.
pub(crate) fn seal_and_discard(subject: DraftSubject, suite: Suite, vault: VaultId) {
    let place = BlockPlace { vault, seq: 0, index: 0 };
    // An entry draws all its random bytes in one call, and nothing of this one stays.
    if let Ok(prepared) = PreparedSubject::new(subject, [0; 32]) {
        let _ = prepared.put(suite, place, 1, &mut Vec::new());
    }
}

/// A subject with all the work done that needs neither `seq` nor counter.
pub(super) struct PreparedSubject {
    pub(super) patient: PatientId,
    pub(super) key: Arc<SubjectKey>,
    patient_tag: [u8; 16],
    generation: u32,
    groups: SecretBytes,
    random: [u8; 32],
}

impl PreparedSubject {
    pub(super) fn new(subject: DraftSubject, random: [u8; 32]) -> Result<Self, SealError> {
        Ok(Self {
            groups: Zeroizing::new(encode_groups(&subject.records).ok_or(SealError::TooLarge)?),
            patient: subject.patient,
            key: subject.key,
            patient_tag: subject.patient_tag,
            generation: subject.generation,
            random,
        })
    }

    /// Appends the subject to the payload of the entry at `seq`.
    pub(super) fn put(
        &self,
        suite: Suite,
        place: BlockPlace,
        counter: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        let mut block = Zeroizing::new(Vec::with_capacity(BLOCK_HEAD + self.groups.len()));
        block.put(self.patient.as_bytes());
        block.put_u64(counter);
        block.put(&self.groups);
        let sealed = self.key.sealer.seal_with(suite, &place.aad(), &block, &self.random)?;
        out.put(&self.patient_tag);
        out.put_u32(self.generation);
        out.put_len16(&sealed).map_err(|_| SealError::TooLarge)
    }
}

/// `groups u16 ‖ groups × (kind id ‖ n u16 ‖ n × (number u64 ‖ version u32 ‖ tag[16]))`, a group for each run of one kind.
pub(super) fn encode_groups(records: &[AuditRecord]) -> Option<Vec<u8>> {
    let runs = records.chunk_by(|a, b| a.kind == b.kind);
    let mut out = Vec::with_capacity(records.len() * (GROUP_HEAD + RECORD_LEN) + 2);
    out.put_u16(u16::try_from(runs.clone().count()).ok()?);
    for run in runs {
        out.put(run.first()?.kind.as_bytes());
        out.put_u16(u16::try_from(run.len()).ok()?);
        for record in run {
            out.put_u64(record.number);
            out.put_u32(record.version);
            out.put(&record.tag);
        }
    }
    Some(out)
}

/// Where a block stands: bound into its seal, so that it opens nowhere else.
#[derive(Clone, Copy)]
pub(super) struct BlockPlace {
    pub(super) vault: VaultId,
    pub(super) seq: u64,
    /// The block's position in its entry, from 0.
    pub(super) index: u16,
}

impl BlockPlace {
    fn aad(self) -> Vec<u8> {
        let mut aad = Vec::with_capacity(26);
        aad.put(self.vault.as_bytes());
        aad.put_u64(self.seq);
        aad.put_u16(self.index);
        aad
    }
}

/// A subject as it stands in a payload, its block still closed.
#[derive(Clone, Copy)]
pub(super) struct SubjectRef<'a> {
    pub(super) patient_tag: [u8; 16],
    pub(super) generation: u32,
    sealed: &'a [u8],
}

impl<'a> SubjectRef<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, Truncated> {
        Ok(Self { patient_tag: reader.array()?, generation: reader.u32()?, sealed: reader.len16()? })
    }

    /// As it stood in the payload.
    #[cfg(any(test, fuzzing))]
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.put(&self.patient_tag);
        out.put_u32(self.generation);
        out.put_len16(self.sealed).unwrap();
    }

    /// `None` when the block does not open under `key` at this place, or holds anything but a block.
    pub(super) fn open(&self, key: &SubjectKey, suite: Suite, place: BlockPlace) -> Option<AuditSubject> {
        let block = key.sealer.open(suite, &place.aad(), self.sealed).ok()?;
        decode_block(&block)
    }
}

/// Reads a block strictly: groups are runs, none empty, no more records than an entry may have.
pub(super) fn decode_block(block: &[u8]) -> Option<AuditSubject> {
    let mut reader = Reader::new(block);
    let patient = PatientId::from_bytes(reader.array().ok()?);
    let counter = reader.u64().ok()?;
    let groups = reader.u16().ok()?;
    let mut records: Vec<AuditRecord> = Vec::new();
    for _ in 0..groups {
        let kind = KindId::from_bytes(reader.array().ok()?);
        let n = reader.u16().ok()?;
        let too_many = records.len() + usize::from(n) > MAX_RECORDS_PER_ENTRY;
        if n == 0 || too_many || records.last().is_some_and(|last| last.kind == kind) {
            return None;
        }
        for _ in 0..n {
            let (number, version, tag) = (reader.u64().ok()?, reader.u32().ok()?, reader.array().ok()?);
            records.push(AuditRecord { kind, number, version, tag });
        }
    }
    reader.finish().ok()?;
    (counter > 0).then_some(AuditSubject { patient: Some(patient), counter: Some(counter), records })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::tests::kit;
    use proptest::prelude::*;

    fn any_record() -> impl Strategy<Value = AuditRecord> {
        (0u8..3, any::<u64>(), any::<u32>(), any::<[u8; 16]>()).prop_map(|(kind, number, version, tag)| {
            AuditRecord::new(KindId::from_bytes([kind; 16]), number, version, tag)
        })
    }

    fn put(records: Vec<AuditRecord>, place: BlockPlace, counter: u64) -> Vec<u8> {
        let prepared = PreparedSubject::new(kit::subject(1, records), [7; 32]).unwrap();
        let mut out = Vec::new();
        prepared.put(Suite::ChaCha20Poly1305, place, counter, &mut out).unwrap();
        out
    }

    fn place(seq: u64) -> BlockPlace {
        BlockPlace { vault: kit::VAULT, seq, index: 0 }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn open_inverts_put_and_the_size_is_foreseen(records in proptest::collection::vec(any_record(), 0..40), counter in 1u64..) {
            let bytes = put(records.clone(), place(5), counter);
            prop_assert_eq!(bytes.len(), subject_len(&records));
            let mut reader = Reader::new(&bytes);
            let subject = SubjectRef::read(&mut reader).unwrap();
            prop_assert_eq!(reader.finish(), Ok(()));
            let opened = subject.open(&kit::subject_key(1), Suite::ChaCha20Poly1305, place(5)).unwrap();
            prop_assert_eq!(opened, AuditSubject { patient: Some(kit::patient(1)), counter: Some(counter), records });
        }

        #[test]
        fn decoding_arbitrary_blocks_never_panics_and_is_canonical(block in proptest::collection::vec(0u8..4, 0..120)) {
            if let Some(subject) = decode_block(&block) {
                let groups = encode_groups(&subject.records).unwrap();
                prop_assert_eq!(&block[24..], &groups[..]);
            }
        }
    }

    #[test]
    fn a_block_opens_only_at_its_place_and_for_its_patient() {
        let bytes = put(vec![], place(5), 1);
        let subject = SubjectRef::read(&mut Reader::new(&bytes)).unwrap();
        let opens = |key, suite, place| subject.open(key, suite, place).is_some();
        let (key, suite) = (kit::subject_key(1), Suite::ChaCha20Poly1305);
        assert!(opens(&key, suite, place(5)));
        assert!(!opens(&key, suite, place(6)));
        assert!(!opens(&key, suite, BlockPlace { index: 1, ..place(5) }));
        assert!(!opens(&key, suite, BlockPlace { vault: VaultId::from_bytes([9; 16]), ..place(5) }));
        assert!(!opens(&key, Suite::Aes256Gcm, place(5)));
        assert!(!opens(&kit::subject_key(2), suite, place(5)));
    }

    #[test]
    fn blocks_that_are_not_canonical_are_refused() {
        let record = |kind: u8| AuditRecord::new(KindId::from_bytes([kind; 16]), 1, 1, [0; 16]);
        let block = |counter: u64, groups: &[u8]| [&[1; 16], &counter.to_be_bytes()[..], groups].concat();
        let two = encode_groups(&[record(1), record(2)]).unwrap();
        assert!(decode_block(&block(1, &two)).is_some());
        assert!(decode_block(&block(0, &two)).is_none(), "counters start at 1");
        for len in 0..block(1, &two).len() {
            assert!(decode_block(&block(1, &two)[..len]).is_none(), "length {len}");
        }
        assert!(decode_block(&[block(1, &two), vec![0]].concat()).is_none(), "trailing byte");
        let one = encode_groups(&[record(1)]).unwrap();
        let split = [&[0, 2][..], &one[2..], &one[2..]].concat();
        assert!(decode_block(&block(1, &split)).is_none(), "one run in two groups");
        let empty = [&[0, 1][..], &[1; 16], &[0, 0]].concat();
        assert!(decode_block(&block(1, &empty)).is_none(), "empty group");
        for (n, sound) in [(MAX_RECORDS_PER_ENTRY, true), (MAX_RECORDS_PER_ENTRY + 1, false)] {
            let groups = encode_groups(&vec![record(1); n]).unwrap();
            assert_eq!(decode_block(&block(1, &groups)).is_some(), sound, "{n} records");
        }
        let bomb = [&[0xFF, 0xFF][..], &[1; 16], &[0xFF, 0xFF]].concat();
        assert!(decode_block(&block(1, &bomb)).is_none());
    }
}
