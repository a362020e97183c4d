//! What must hold of this floor's decoders whatever the bytes. Each function answers whether the bytes were taken.

pub(crate) mod outside;

use super::consent;
use super::entry::{EntryKind, EntryRef, Front, MAX_PAYLOAD};
use super::index::{Columns, Named, STRETCH};
use super::payload::{self, Payload, tag};
use super::reads;
use super::subject::{decode_block, encode_groups};
use super::view::open_entry;
use super::{AuditKeys, SubjectKey};
use crate::bytes::Put;
use crate::clock::Timestamp;
use crate::crypto::aead::Suite;
use crate::ids::VaultId;
use crate::secret::{Key, Secret};

fn keys() -> AuditKeys {
    AuditKeys::new(1, Key::new(Secret::take(&mut [5; 32])))
}

pub(crate) fn entry(bytes: &[u8]) -> bool {
    let Ok(entry) = EntryRef::parse(bytes) else { return false };
    assert_eq!(entry.to_bytes(), bytes);
    let stranger = AuditKeys::new(entry.front.epoch, Key::new(Secret::take(&mut [6; 32])));
    assert!(
        open_entry(&entry, &stranger, |_, _, _| None::<&SubjectKey>).is_err(),
        "opened under a key that nobody has"
    );
    true
}

/// A payload as it stands under a good seal.
pub(crate) fn payload(bytes: &[u8]) -> bool {
    let decoded = Payload::decode(bytes);
    let prunes = decoded.as_ref().is_ok_and(|payload| payload.fields.pruned.is_some());
    let kind = if prunes { EntryKind::Prune } else { EntryKind::Event };
    let front = Front {
        kind,
        clock_step: false,
        suite: Suite::ChaCha20Poly1305,
        vault: VaultId::from_bytes([7; 16]),
        seq: 9,
        time: Timestamp::from_micros(1_767_614_400_000_000),
        epoch: 1,
        key_id: 1,
        prev: [8; 32],
    };
    let Ok(sealed) = front.seal(&keys(), bytes, &[4; 32]) else {
        assert!(bytes.len() > MAX_PAYLOAD);
        return false;
    };
    let entry = EntryRef::parse(&sealed).unwrap();
    let read = open_entry(&entry, &keys(), |_, _, _| None::<&SubjectKey>);
    assert_eq!(read.is_ok(), decoded.is_ok());
    let (Ok(read), Ok(decoded)) = (read, decoded) else { return false };
    let line = read.to_string();
    assert!(line.chars().count() <= 140 && !line.contains('\n'), "{line}");

    let mut again = Vec::new();
    put(&decoded, &mut again);
    if again.len() == bytes.len() {
        assert_eq!(again, bytes);
    } else {
        // Fields that a later version added, which this one may pass over.
        let known = Payload::decode(&again).unwrap();
        assert!(again.len() < bytes.len() && known.fields == decoded.fields && known.clock == decoded.clock);
        assert_eq!(known.reads, decoded.reads);
    }
    true
}

fn put(payload: &Payload<'_>, out: &mut Vec<u8>) {
    payload.fields.put_before_subjects(out).unwrap();
    if !payload.subjects.is_empty() {
        let mut subjects = Vec::new();
        subjects.put_u16(u16::try_from(payload.subjects.len()).unwrap());
        payload.subjects.iter().for_each(|subject| subject.put(&mut subjects));
        payload::put_field(out, tag::SUBJECTS, &subjects).unwrap();
    }
    payload.fields.put_after_subjects(out).unwrap();
    reads::put(&payload.reads, out).unwrap();
    consent::put(&payload.fields.consent, out).unwrap();
    payload.fields.put_last(out).unwrap();
    if let Some(clock) = payload.clock {
        payload::put_field(out, tag::CLOCK, &clock.as_micros().to_be_bytes()).unwrap();
    }
}

/// What an entry says about one patient, as it stands under a good seal.
pub(crate) fn subject_block(bytes: &[u8]) -> bool {
    let Some(subject) = decode_block(bytes) else { return false };
    let head = [&subject.patient.unwrap().as_bytes()[..], &subject.counter.unwrap().to_be_bytes()].concat();
    assert_eq!([head, encode_groups(&subject.records).unwrap()].concat(), bytes);
    true
}

/// Payloads, and what they say about one patient.
#[cfg(test)]
pub(crate) fn seeds() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    use super::subject::BlockPlace;
    use super::tests::kit;
    let (mut payloads, mut blocks) = (Vec::new(), Vec::new());
    for bytes in kit::log(vec![
        kit::genesis(),
        kit::read(1),
        kit::full(),
        kit::opened_with_proofs(),
        kit::several_reads(),
        kit::pruning(),
    ]) {
        let entry = EntryRef::parse(&bytes).unwrap();
        let payload = entry.open(&kit::keys()).unwrap();
        for (index, subject) in (0..).zip(Payload::decode(&payload).unwrap().subjects) {
            let place = BlockPlace { vault: kit::VAULT, seq: entry.front.seq, index };
            let key = kit::subject_key(subject.patient_tag[0] ^ 0x80);
            let subject = subject.open(&key, kit::SUITE, place).unwrap();
            let head = [&subject.patient.unwrap().as_bytes()[..], &subject.counter.unwrap().to_be_bytes()].concat();
            blocks.push([head, encode_groups(&subject.records).unwrap()].concat());
        }
        payloads.push(payload.to_vec());
    }
    (payloads, blocks)
}

/// The rows of the log's index, under a good seal.
pub(crate) fn index(bytes: &[u8]) -> bool {
    let named = Named::parse(zeroize::Zeroizing::new(bytes.to_vec()));
    if let Some(named) = &named {
        let tag = bytes.get(6..22).and_then(|tag| tag.try_into().ok()).unwrap_or_default();
        assert!(named.places(&[tag]).iter().all(|place| u64::from(*place) < STRETCH));
    }
    let columns = Columns::parse(zeroize::Zeroizing::new(bytes.to_vec()));
    if let Some(columns) = &columns {
        assert!(columns.places(None, &super::Terms::default()).iter().all(|place| u64::from(*place) < STRETCH));
    }
    named.is_some() || columns.is_some()
}
