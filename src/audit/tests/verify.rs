//! Attacks on a whole log.

use super::kit::{self, OTHER_VAULT, SUITE, VAULT, keys};
use crate::audit::chain::{Chain, Head};
use crate::audit::defect::EntryDefect;
use crate::audit::draft::Draft;
use crate::audit::entry::{EntryKind, EntryRef, leaf_hash};
use crate::audit::event::{AuditEvent, Outcome};
use crate::audit::verify::{AuditFault, Examined, FaultKind, Lost, Verified, Verifier};
use crate::clock::Timestamp;
use crate::crypto::aead::Suite;
use crate::ids::PatientId;
use crate::progress::{Progress, Task};
use crate::secret::{Key, Secret};

type Entries = Vec<Vec<u8>>;

fn log() -> Entries {
    kit::log((0..30).map(|n| if n == 0 { kit::genesis() } else { kit::read(1 + n % 3) }).collect())
}

fn head_of(entries: &Entries) -> Head {
    Head::of(&EntryRef::parse(entries.last().unwrap()).unwrap())
}

fn push_all(mut verifier: Verifier<'_>, entries: &Entries, head: &Head) -> Result<Verified, AuditFault> {
    for (seq, entry) in (0..).zip(entries) {
        verifier.push(seq, entry)?;
    }
    verifier.finish(Some(head))
}

/// Without any key, against the head of the log as it was written.
fn fault(attacked: &Entries) -> Option<(u64, FaultKind)> {
    push_all(Verifier::new(VAULT), attacked, &head_of(&log())).err().map(|fault| (fault.seq, fault.what))
}

/// With keys; the attacker also replaced what is known about the head.
fn fault_with_keys(attacked: &Entries) -> Option<(u64, FaultKind)> {
    let open_all = || {
        let mut verifier = Verifier::new(VAULT);
        for (seq, entry) in (0..).zip(attacked) {
            verifier.push_examined(Examined::of(seq, entry, Some(&mut kit::open)))?;
        }
        verifier.finish(Some(&head_of(attacked)))
    };
    open_all().err().map(|fault: AuditFault| (fault.seq, fault.what))
}

/// Links all entries anew, as someone can who has no key.
fn recompute_hashes(entries: &mut Entries) {
    for at in 1..entries.len() {
        let leaf = leaf_hash(&entries[at - 1]);
        entries[at][46..78].copy_from_slice(&leaf);
    }
}

fn renumber(entries: &mut Entries) {
    for (seq, entry) in (0u64..).zip(entries.iter_mut()) {
        entry[22..30].copy_from_slice(&seq.to_be_bytes());
    }
}

#[test]
fn a_log_as_it_was_written_is_sound() {
    let entries = log();
    assert_eq!((fault(&entries), fault_with_keys(&entries)), (None, None));
    let verified = push_all(Verifier::new(VAULT), &entries, &head_of(&entries)).unwrap();
    assert_eq!((verified.entries, verified.head, verified.lost), (30, Some(head_of(&entries)), Lost::default()));
}

#[test]
fn entries_in_the_place_of_lost_ones_are_counted_and_hide_nothing_else() {
    let mut entries = log();
    for at in 10..13 {
        let head = Head::of(&EntryRef::parse(&entries[at - 1]).unwrap());
        let mut draft = Draft::new(AuditEvent::EntryLost, Outcome::Failed);
        draft.kind = EntryKind::Lost;
        let lost = draft.prepare().unwrap();
        entries[at] = Chain::new(VAULT, Some(head)).append(&keys(), SUITE, head.time, lost, |_| 0).unwrap();
    }
    let verified = push_all(Verifier::new(VAULT), &entries, &head_of(&entries)).unwrap();
    let what = FaultKind::Lost { entries: 3, gaps: 1 };
    assert_eq!(verified.lost.fault(), Some(AuditFault { seq: 10, what }));
    assert_eq!((fault(&entries), fault_with_keys(&entries)), (None, None), "whoever asks passes them");
    let with = |edit: &dyn Fn(&mut Entries)| {
        let mut edited = entries.clone();
        edit(&mut edited);
        (fault(&edited), fault_with_keys(&edited).map(|(seq, _)| seq))
    };
    let flip = |at: usize| move |entries: &mut Entries| *entries[at].last_mut().unwrap() ^= 1;
    assert_eq!(with(&flip(9)), (Some((10, FaultKind::LinkBroken)), Some(9)));
    assert_eq!(with(&flip(11)), (Some((12, FaultKind::LinkBroken)), Some(11)));
    assert_eq!(with(&flip(12)), (None, Some(12)), "only the key tells who stands in for a lost entry");
    assert_eq!(with(&flip(13)), (Some((14, FaultKind::LinkBroken)), Some(13)));
}

#[test]
fn an_edited_entry_breaks_the_link_of_the_next() {
    for at in 0..29u8 {
        let mut entries = log();
        *entries[usize::from(at)].last_mut().unwrap() ^= 1;
        assert_eq!(fault(&entries), Some((u64::from(at) + 1, FaultKind::LinkBroken)));
        assert_eq!(fault_with_keys(&entries), Some((u64::from(at), FaultKind::CannotOpen)), "keys find it at once");
    }
    let mut entries = log();
    *entries[29].last_mut().unwrap() ^= 1;
    assert_eq!(fault(&entries), Some((29, FaultKind::OtherHead)), "the newest one");
}

#[test]
fn any_flipped_bit_of_an_entry_is_found_without_a_key() {
    let entries = kit::log(vec![kit::genesis(), kit::read(1), kit::read(2)]);
    let head = head_of(&entries);
    for bit in 0..entries[1].len() * 8 {
        let mut bad = entries.clone();
        bad[1][bit / 8] ^= 1 << (bit % 8);
        let fault = push_all(Verifier::new(VAULT), &bad, &head).unwrap_err();
        assert!((1..=2).contains(&fault.seq), "bit {bit}: {fault}");
    }
}

#[test]
fn a_deleted_entry_is_missing() {
    for at in 0..29usize {
        let mut entries = log();
        entries.remove(at);
        let seq = u64::try_from(at).unwrap();
        assert_eq!(fault(&entries), Some((seq, FaultKind::Missing { found: seq + 1 })));
    }
}

#[test]
fn a_deleted_entry_with_numbers_and_hashes_recomputed_does_not_open() {
    let mut entries = log();
    entries.remove(5);
    renumber(&mut entries);
    recompute_hashes(&mut entries);
    assert_eq!(fault(&entries), Some((29, FaultKind::TruncatedTail { last: 29 })));
    assert_eq!(fault_with_keys(&entries), Some((5, FaultKind::CannotOpen)));
}

#[test]
fn an_inserted_entry_is_found() {
    let mut entries = log();
    let forged = kit::log_of(
        VAULT,
        &kit::audit_keys(0xA2),
        (0..7).map(|n| if n == 0 { kit::genesis() } else { kit::read(1) }).collect(),
    );
    entries.insert(6, forged[6].clone());
    assert_eq!(fault(&entries), Some((6, FaultKind::LinkBroken)));
    renumber(&mut entries);
    recompute_hashes(&mut entries);
    assert_eq!(fault(&entries), Some((30, FaultKind::BeyondHead { last: 29 })));
    assert_eq!(fault_with_keys(&entries), Some((6, FaultKind::CannotOpen)));
}

#[test]
fn exchanged_entries_are_found() {
    let mut entries = log();
    entries.swap(1, 2);
    assert_eq!(fault(&entries), Some((1, FaultKind::Missing { found: 2 })));
    renumber(&mut entries);
    recompute_hashes(&mut entries);
    assert!(matches!(fault(&entries), Some((2, FaultKind::TimeWentBack { .. }))));
    assert_eq!(fault_with_keys(&entries), Some((1, FaultKind::CannotOpen)));
}

#[test]
fn an_earlier_entry_in_the_place_of_a_later_one_is_found() {
    let mut entries = log();
    entries[5] = entries[2].clone();
    assert_eq!(fault(&entries), Some((5, FaultKind::Reordered { found: 2 })));
}

#[test]
fn a_duplicated_entry_is_found() {
    let mut entries = log();
    entries.insert(4, entries[3].clone());
    assert_eq!(fault(&entries), Some((4, FaultKind::Duplicated)));
}

#[test]
fn a_cut_tail_is_found_against_the_known_head() {
    for keep in [0, 1, 29] {
        let mut entries = log();
        entries.truncate(keep);
        let seq = u64::try_from(keep).unwrap();
        assert_eq!(fault(&entries), Some((seq, FaultKind::TruncatedTail { last: 29 })));
    }
}

/// Whoever holds the keys cuts the tail and writes another one: only the known head tells.
#[test]
fn a_tail_cut_and_written_anew_is_found_against_the_known_head() {
    let mut entries = log();
    entries.truncate(20);
    let mut chain = Chain::new(VAULT, Some(head_of(&entries)));
    for _ in 20..30 {
        let now = Timestamp::from_micros(kit::START + 60_000_000);
        let draft = Draft { subjects: vec![], ..kit::read(1) };
        entries.push(chain.append(&kit::keys(), kit::SUITE, now, draft.prepare().unwrap(), |_| 1).unwrap());
    }
    assert_eq!(fault_with_keys(&entries), None);
    assert_eq!(fault(&entries), Some((29, FaultKind::OtherHead)));
}

#[test]
fn all_hashes_recomputed_after_an_edit_are_found_by_opening_and_by_the_head() {
    let mut entries = log();
    *entries[7].last_mut().unwrap() ^= 1;
    recompute_hashes(&mut entries);
    assert_eq!(fault(&entries), Some((29, FaultKind::OtherHead)));
    assert_eq!(fault_with_keys(&entries), Some((7, FaultKind::CannotOpen)));
    let mut entries = log();
    entries[7][37] ^= 1;
    recompute_hashes(&mut entries);
    assert_eq!(fault_with_keys(&entries), Some((7, FaultKind::CannotOpen)), "the time");
}

#[test]
fn another_vaults_log_or_entry_is_refused_patched_or_not() {
    let drafts = || (0..30).map(|n| if n == 0 { kit::genesis() } else { kit::read(1 + n % 3) }).collect();
    let mut other = kit::log_of(OTHER_VAULT, &kit::keys(), drafts());
    assert_eq!(fault(&other), Some((0, FaultKind::WrongVault { found: OTHER_VAULT })));
    let mut entries = log();
    entries[5] = other[5].clone();
    assert_eq!(fault(&entries), Some((5, FaultKind::WrongVault { found: OTHER_VAULT })));
    for entry in &mut other {
        entry[6..22].copy_from_slice(VAULT.as_bytes());
    }
    recompute_hashes(&mut other);
    assert_eq!(fault_with_keys(&other), Some((0, FaultKind::CannotOpen)));
}

#[test]
fn an_entry_of_an_older_time_or_epoch_is_found() {
    let mut entries = log();
    let older = (kit::START - 1).to_be_bytes();
    entries[5][30..38].copy_from_slice(&older);
    recompute_hashes(&mut entries);
    let before = Timestamp::from_micros(kit::START + 4_000_000);
    let found = Timestamp::from_micros(kit::START - 1);
    assert_eq!(fault(&entries), Some((5, FaultKind::TimeWentBack { found, before })));
    for at in [41, 45] {
        let mut entries = log();
        entries[5][at] = 0;
        recompute_hashes(&mut entries);
        assert_eq!(fault(&entries), Some((5, FaultKind::EpochWentBack)));
    }
}

#[test]
fn a_signing_epoch_that_is_skipped_or_begins_with_another_entry_is_found() {
    let begins = || Draft::first_of_signing_epoch("the one before was closed".into());
    let sound = kit::log(vec![kit::genesis(), kit::read(1), begins(), kit::read(1), begins()]);
    assert_eq!(fault_with_keys(&sound), None);
    // Byte 45 ends the number of the signing epoch.
    let at = |entry: usize, key_id: u8| {
        let mut entries = sound.clone();
        entries[entry..].iter_mut().for_each(|bytes| bytes[45] = key_id);
        recompute_hashes(&mut entries);
        fault(&entries)
    };
    assert_eq!(at(2, 3), Some((2, FaultKind::SigningEpoch { found: 3, before: 1 })), "skipped");
    assert_eq!(at(3, 3), Some((3, FaultKind::SigningEpoch { found: 3, before: 2 })), "begun by a read");
    assert_eq!(at(4, 1), Some((4, FaultKind::EpochWentBack)));
    // Whoever has the keys can make an entry that says it and does not do it, or the other way round.
    let forged = |event, key_id| {
        let front = Head::of(&EntryRef::parse(&sound[1]).unwrap());
        let mut draft = begins();
        draft.fields.event = event;
        let mut entries = sound[..2].to_vec();
        let before = Head { key_id: key_id - u32::from(event == AuditEvent::SigningEpochBegun), ..front };
        let mut chain = Chain::new(VAULT, Some(before));
        entries.push(chain.append(&kit::keys(), kit::SUITE, before.time, draft.prepare().unwrap(), |_| 1).unwrap());
        fault_with_keys(&entries)
    };
    let fault = |found| Some((2, FaultKind::SigningEpoch { found, before: 1 }));
    assert_eq!(forged(AuditEvent::SigningEpochBegun, 2), None);
    assert_eq!(forged(AuditEvent::KeyActivated, 1), None);
    assert_eq!(forged(AuditEvent::SigningEpochBegun, 1), fault(1));
    assert_eq!(forged(AuditEvent::KeyActivated, 2), fault(2));
}

#[test]
fn a_malformed_entry_names_its_defect() {
    let mut entries = log();
    entries[5].pop();
    assert_eq!(fault(&entries), Some((5, FaultKind::Malformed(EntryDefect::Truncated))));
    let mut entries = log();
    entries[5][4] = 1;
    assert_eq!(fault(&entries), Some((5, FaultKind::Malformed(EntryDefect::Genesis))));
    let pushed = Verifier::new(VAULT).push(0, &[]);
    assert_eq!(pushed, Err(AuditFault { seq: 0, what: FaultKind::Malformed(EntryDefect::Truncated) }));
}

#[test]
fn a_gap_in_a_patients_counter_is_found() {
    let counted = |counters: [u64; 3]| {
        let mut chain = Chain::new(VAULT, None);
        let now = Timestamp::from_micros(kit::START);
        let mut append = |draft: Draft, counter| {
            chain.append(&kit::keys(), Suite::Aes256Gcm, now, draft.prepare().unwrap(), |_| counter).unwrap()
        };
        let mut entries = vec![append(kit::genesis(), 0)];
        entries.extend(counters.map(|counter| append(kit::read(1), counter)));
        fault_with_keys(&entries)
    };
    let gap = |expected, found| FaultKind::CounterGap { patient: PatientId::from_bytes([1; 16]), expected, found };
    assert_eq!(counted([1, 2, 3]), None);
    assert_eq!(counted([2, 3, 4]), Some((1, gap(1, 2))));
    assert_eq!(counted([1, 3, 4]), Some((2, gap(2, 3))));
    assert_eq!(counted([1, 2, 2]), Some((3, gap(3, 2))));
}

#[test]
fn a_block_or_a_key_that_does_not_fit_is_named() {
    let mut swapped = kit::read(1);
    swapped.subjects[0].patient_tag = kit::patient_tag(2);
    let entries = kit::log(vec![kit::genesis(), swapped]);
    assert_eq!(fault_with_keys(&entries), Some((1, FaultKind::CannotOpenSubject { index: 0 })));
    let later = crate::audit::keys::AuditKeys::new(2, Key::new(Secret::take(&mut [0xA1; 32])));
    let entries = kit::log_of(VAULT, &later, vec![kit::genesis()]);
    assert_eq!(fault_with_keys(&entries), Some((0, FaultKind::NoKey { epoch: 2, key_id: 1 })));
}

#[test]
fn verification_goes_on_from_a_trusted_head() {
    let entries = log();
    let trusted = Head::of(&EntryRef::parse(&entries[9]).unwrap());
    let rest = |entries: &Entries| {
        let mut verifier = Verifier::after(VAULT, trusted);
        for (seq, entry) in (0..).zip(entries).skip(10) {
            verifier.push_examined(Examined::of(seq, entry, Some(&mut kit::open)))?;
        }
        verifier.finish(Some(&head_of(entries))).map(|verified| verified.entries)
    };
    assert_eq!(rest(&entries), Ok(20));
    let mut other = kit::log(vec![kit::genesis(); 1]);
    other.extend_from_slice(
        &kit::log((0..30).map(|n| if n == 0 { kit::genesis() } else { kit::read(1) }).collect())[1..],
    );
    assert_eq!(rest(&other), Err(AuditFault { seq: 10, what: FaultKind::LinkBroken }));
}

#[test]
fn progress_is_reported_and_ends_at_the_whole() {
    let entries = log();
    let mut seen: Vec<Progress> = Vec::new();
    let mut note = |progress| seen.push(progress);
    push_all(Verifier::new(VAULT).reporting(&mut note, Some(30)), &entries, &head_of(&entries)).unwrap();
    assert_eq!(seen.last(), Some(&Progress::new(Task::VerifyAudit, 30, Some(30))));
}

#[test]
fn a_fault_says_where_what_and_what_to_do() {
    let fault = AuditFault { seq: 7, what: FaultKind::Missing { found: 9 } };
    assert_eq!(
        fault.to_string(),
        "the audit log is not sound at entry 7: it is missing; the next one there is 9. \
         Keep the vault as it is, as evidence; go on with a backup"
    );
}
