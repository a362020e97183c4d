use super::kit::{self, START, SUITE, VAULT};
use crate::audit::chain::{AppendError, Chain, Head};
use crate::audit::draft::Draft;
use crate::audit::entry::{EntryKind, EntryRef, leaf_hash};
use crate::audit::event::{AuditEvent, Outcome};
use crate::audit::keys::{AuditKeys, SubjectKey};
use crate::audit::view::{OpenEntryError, open_entry};
use crate::clock::Timestamp;
use crate::crypto::hash;
use crate::secret::{Key, Secret};

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(START + micros)
}

fn append(chain: &mut Chain, keys: &AuditKeys, now: Timestamp, draft: Draft) -> Result<Vec<u8>, AppendError> {
    chain.append(keys, SUITE, now, draft.prepare().unwrap(), |_| 1)
}

fn begun() -> Chain {
    let mut chain = Chain::new(VAULT, None);
    append(&mut chain, &kit::keys(), at(0), kit::genesis()).unwrap();
    chain
}

fn keys_of(epoch: u32) -> AuditKeys {
    AuditKeys::new(epoch, Key::new(Secret::take(&mut [0xA1; 32])))
}

#[test]
fn entries_are_numbered_and_each_carries_the_hash_of_the_one_before() {
    let entries = kit::log(vec![kit::genesis(), kit::read(1), kit::read(2)]);
    let parsed: Vec<EntryRef<'_>> = entries.iter().map(|entry| EntryRef::parse(entry).unwrap()).collect();
    assert_eq!(parsed.iter().map(|entry| entry.front.seq).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(parsed[0].front.prev, [0; 32]);
    assert_eq!(parsed[1].front.prev, hash::sha256(&[&[0], &entries[0]]));
    assert_eq!(parsed[2].front.prev, parsed[1].leaf());
}

#[test]
fn a_chain_goes_on_from_a_stored_entry() {
    let entries = kit::log(vec![kit::genesis(), kit::read(1)]);
    let head = Head::of(&EntryRef::parse(&entries[1]).unwrap());
    let mut chain = Chain::new(VAULT, Some(head));
    let next = append(&mut chain, &kit::keys(), at(9_000_000), kit::read(2)).unwrap();
    assert_eq!(EntryRef::parse(&next).unwrap().front.prev, leaf_hash(&entries[1]));
    assert_eq!(chain.head(), Some(Head::of(&EntryRef::parse(&next).unwrap())));
}

#[test]
fn the_genesis_entry_is_the_first_and_only_the_first() {
    let mut chain = Chain::new(VAULT, None);
    assert_eq!(append(&mut chain, &kit::keys(), at(0), kit::read(1)), Err(AppendError::Genesis));
    assert_eq!(chain.head(), None);
    assert_eq!(append(&mut begun(), &kit::keys(), at(0), kit::genesis()), Err(AppendError::Genesis));
}

#[test]
fn time_never_goes_back_and_a_step_of_more_than_two_minutes_is_flagged_with_what_the_clock_said() {
    for (now, time, flagged) in
        [(5, 5, false), (-1, 0, false), (-120_000_000, 0, false), (-120_000_001, 0, true), (-START, 0, true)]
    {
        let bytes = append(&mut begun(), &kit::keys(), at(now), kit::read(1)).unwrap();
        let entry = EntryRef::parse(&bytes).unwrap();
        assert_eq!((entry.front.time, entry.front.clock_step), (at(time), flagged), "{now}");
        assert_eq!(kit::open(&entry).unwrap().clock, flagged.then(|| at(now)));
    }
}

#[test]
fn an_entry_with_a_clock_step_has_the_foreseen_size() {
    for n in 0..40 {
        let mut draft = kit::read(1);
        draft.fields.detail = Some("a".repeat(n));
        let foreseen = draft.encoded_len();
        let bytes = append(&mut begun(), &kit::keys(), at(-200_000_000), draft).unwrap();
        assert_eq!(bytes.len(), foreseen);
    }
}

#[test]
fn epochs_never_go_back() {
    let mut chain = begun();
    append(&mut chain, &keys_of(2), at(1), Draft { subjects: vec![], ..kit::read(1) }).unwrap();
    for (epoch, sound) in [(1, false), (2, true), (3, true)] {
        let draft = Draft { subjects: vec![], ..kit::read(1) };
        let appended = append(&mut chain.clone(), &keys_of(epoch), at(2), draft);
        assert_eq!(appended.err(), (!sound).then_some(AppendError::EpochBehind), "{epoch}");
    }
}

#[test]
fn the_signing_epoch_grows_with_the_entry_that_begins_one_and_with_no_other() {
    let mut chain = begun();
    let mut key_id = |draft: Draft| {
        append(&mut chain, &kit::keys(), at(1), draft).unwrap();
        chain.head().unwrap().key_id
    };
    let mut of_the_audit_key = Draft::new(AuditEvent::KeyActivated, Outcome::Allowed);
    of_the_audit_key.kind = EntryKind::Epoch;
    assert_eq!([key_id(kit::read(1)), key_id(of_the_audit_key)], [1, 1]);
    assert_eq!(key_id(Draft::first_of_signing_epoch("the one before was closed".into())), 2);
    assert_eq!(key_id(kit::read(1)), 2);
    assert_eq!(key_id(Draft::first_of_signing_epoch("the one before was closed".into())), 3);
    let last = Head { key_id: u32::MAX, ..begun().head().unwrap() };
    let next = Draft::first_of_signing_epoch(String::new());
    assert_eq!(append(&mut Chain::new(VAULT, Some(last)), &kit::keys(), at(1), next), Err(AppendError::SigningEpochs));
}

/// The keys of the tests, and those of a second epoch, which seals.
fn in_the_second_epoch() -> AuditKeys {
    AuditKeys::new(2, Key::new(Secret::take(&mut [0xA2; 32]))).and(1, Key::new(Secret::take(&mut [0xA1; 32])))
}

#[test]
fn a_subject_prepared_before_the_epoch_changed_is_sealed_under_the_key_of_the_entry() {
    let mut chain = begun();
    let (keys, secret) = (in_the_second_epoch(), Key::new(Secret::take(&mut [1; 32])));
    let bytes = append(&mut chain, &keys, at(1), kit::read(1)).unwrap();
    let entry = EntryRef::parse(&bytes).unwrap();
    assert_eq!(entry.front.epoch, 2);
    assert!(matches!(kit::open(&entry), Err(OpenEntryError::OtherKey { epoch: 2, key_id: 1 })));
    let opened = open_entry(&entry, &keys, |epoch, _, _| keys.subject_in(epoch, &secret)).unwrap();
    assert_eq!(opened.subjects[0].records, [kit::record(1, 1)]);
    let of_the_first = open_entry(&entry, &keys, |_, _, _| keys.subject_in(1, &secret));
    assert!(matches!(of_the_first, Err(OpenEntryError::Subject { index: 0 })));
}

#[test]
fn entries_of_each_epoch_open_beside_each_other_and_a_version_has_one_tag_in_all() {
    let mut chain = begun();
    let keys = in_the_second_epoch();
    let first = append(&mut chain, &kit::keys(), at(1), kit::read(1)).unwrap();
    let second = append(&mut chain, &keys, at(2), kit::read(1)).unwrap();
    let secret = Key::new(Secret::take(&mut [1; 32]));
    for entry in [&first, &second] {
        let entry = EntryRef::parse(entry).unwrap();
        let opened = open_entry(&entry, &keys, |epoch, _, _| keys.subject_in(epoch, &secret)).unwrap();
        assert_eq!(opened.subjects[0].patient, Some(kit::patient(1)));
    }
    let tag = |key: &SubjectKey| key.version_tag(kit::patient(1), kit::record(1, 1).kind, 1, 1, b"body");
    let before = tag(&kit::keys().subject(&secret));
    assert_eq!(tag(&keys.subject(&secret)), before);
    assert_eq!([1, 2].map(|epoch| tag(&keys.subject_in(epoch, &secret).unwrap())), [before; 2]);
    assert!(keys.subject_in(3, &secret).is_none());
}

#[test]
fn a_subject_prepared_with_what_only_opens_is_refused_and_nothing_changes() {
    let mut chain = begun();
    let before = chain.head();
    let mut draft = kit::read(1);
    let only_opens = kit::keys().subject_in(1, &Key::new(Secret::take(&mut [1; 32]))).unwrap();
    draft.subjects[0].key = std::sync::Arc::new(only_opens);
    assert_eq!(append(&mut chain, &in_the_second_epoch(), at(1), draft), Err(AppendError::EpochMoved));
    assert_eq!(chain.head(), before);
}

#[test]
fn the_last_number_is_not_passed() {
    let head = Head { seq: u64::MAX, leaf: [0; 32], time: at(0), epoch: 1, key_id: 1 };
    let mut chain = Chain::new(VAULT, Some(head));
    assert_eq!(append(&mut chain, &kit::keys(), at(1), kit::read(1)), Err(AppendError::Exhausted));
}
