//! Any number of threads says the same of a bundle, wherever in it something is wrong: at the borders of what one thread looks
//! at, above all.

use chartvault_verify::bundle::{BundleCheck, BundleFault, BundleWriter, Report, Trust, Verdict};
use chartvault_verify::chain::ChainFaultKind;
use chartvault_verify::epochs::origin;
use chartvault_verify::merkle::{Hash, Range, leaf_hash};
use chartvault_verify::note::{Checkpoint, Note, SignatureKind, VerifierKey};
use ed25519_dalek::SigningKey;

const VAULT: [u8; 16] = [0x11; 16];
/// Several batches, the last of them short.
const ENTRIES: u64 = 5_000;
/// The first entry of the second signing epoch, which is the first of a batch as well.
const SECOND: u64 = 1_024;

fn entry(seq: u64, prev: &Hash) -> Vec<u8> {
    let (kind, epoch) = match seq {
        0 => (1, 1),
        SECOND => (3, 2),
        _ => (2, 1 + u32::from(seq > SECOND)),
    };
    let time = 1_700_000_000_000_000 + seq;
    let head = [&b"CVA1"[..], &[kind, 0x20], &VAULT, &seq.to_be_bytes(), &time.to_be_bytes()].concat();
    let front = [&head[..], &1_u32.to_be_bytes(), &epoch.to_be_bytes(), prev, &[7; 48]].concat();
    [&front[..], &64_u16.to_be_bytes(), &[7; 80]].concat()
}

fn log() -> Vec<Vec<u8>> {
    let mut prev = [0; 32];
    let next = |seq| {
        let entry = entry(seq, &prev);
        prev = leaf_hash(&entry);
        entry
    };
    (0..ENTRIES).map(next).collect()
}

fn signer(epoch: u8) -> SigningKey {
    SigningKey::from_bytes(&[0xC0 + epoch; 32])
}

fn note(log: &[Vec<u8>], size: u64, epoch: u8) -> String {
    let mut tree = Range::empty(0);
    log[..size as usize].iter().for_each(|entry| tree.push(leaf_hash(entry)));
    let mut text = Checkpoint::new(&origin(&VAULT), size, tree.root().unwrap());
    if size == SECOND {
        let next = data_encoding::BASE64.encode(signer(2).verifying_key().as_bytes());
        text = text.with(format!("next-key 2 {next}"));
    }
    let mut note = Note::new(&text.to_string()).unwrap();
    note.sign(&origin(&VAULT), &signer(epoch)).unwrap();
    note.to_string()
}

/// A bundle of the whole log. `closed`: with the final checkpoint of the first epoch.
fn bundle(log: &[Vec<u8>], entries: &[Vec<u8>], closed: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = BundleWriter::begin(&mut out, &VAULT, &note(log, ENTRIES, 2)).unwrap();
    if closed {
        let proof = consistency(log, SECOND);
        writer.final_checkpoint(&note(log, SECOND, 1), &proof).unwrap();
    }
    let mut writer = writer.range(0, ENTRIES, &Range::empty(0), &Range::empty(ENTRIES)).unwrap();
    entries.iter().for_each(|entry| writer.entry(entry).unwrap());
    writer.finish().unwrap();
    out
}

/// That the first entries, a power of two of them, are the beginning.
fn consistency(log: &[Vec<u8>], old: u64) -> Vec<Hash> {
    assert!(old.is_power_of_two());
    let leaves: Vec<Hash> = log.iter().map(|entry| leaf_hash(entry)).collect();
    let root = |from: u64, to: u64| {
        let mut tree = Range::empty(0);
        leaves[from as usize..to as usize].iter().for_each(|leaf| tree.push(*leaf));
        tree.root().unwrap()
    };
    // What stands beside the old tree on the way up.
    let (mut at, mut proof) = (old, Vec::new());
    while at < ENTRIES {
        let next = (at * 2).min(ENTRIES);
        proof.push(root(at, next));
        at = next;
    }
    proof
}

/// What is found, which is the same for each number of threads.
fn check(bundle: &[u8], kept: Option<&str>) -> Report {
    let key = signer(1).verifying_key();
    let key = VerifierKey::new(&origin(&VAULT), SignatureKind::Ed25519, key.as_bytes()).unwrap();
    let mut trust = Trust::keys([key]);
    if let Some(kept) = kept {
        trust = trust.and_checkpoint(kept);
    }
    let alone = BundleCheck::new(&trust).run(bundle).unwrap();
    for threads in [0, 2, 3, 4, 16, 1_000] {
        let found = BundleCheck::new(&trust).threads(threads).run(bundle).unwrap();
        assert_eq!(format!("{found:?}"), format!("{alone:?}"), "{threads} threads");
    }
    alone
}

fn faults(verdict: &Verdict) -> &[BundleFault] {
    match verdict {
        Verdict::Unknown(faults) | Verdict::Unsound(faults) => faults,
        _ => &[],
    }
}

#[test]
fn a_sound_bundle_is_sound_and_compared_with_what_is_known_wherever_that_ends() {
    let log = log();
    let sound = bundle(&log, &log, true);
    for (size, epoch) in [(1_023, 1), (1_024, 1), (1_025, 2), (2_048, 2), (3_000, 2), (ENTRIES, 2)] {
        let report = check(&sound, Some(&note(&log, size, epoch)));
        assert!(report.integrity.is_sound() && report.completeness.is_sound(), "{size}: {report}");
        assert!(report.freshness.is_sound(), "{size}: {report}");
        let mut other = log.clone();
        other[1_000][100] ^= 1;
        let forked = check(&sound, Some(&note(&other, size, epoch)));
        assert_eq!(forked.freshness.is_unsound(), size > 1_000, "{size}: {forked}");
    }
    let report = check(&bundle(&log, &log, false), None);
    assert!(report.integrity.is_unsound(), "the first epoch's key did not sign it: {report}");
}

#[test]
fn the_first_fault_is_named_at_the_borders_too() {
    let log = log();
    for at in [0, 1, 1_022, 1_023, 1_024, 1_025, 2_047, 2_048, 4_095, 4_096, 4_998_usize] {
        let fault = |edit: &dyn Fn(&mut Vec<Vec<u8>>)| {
            let mut entries = log.clone();
            edit(&mut entries);
            let report = check(&bundle(&log, &entries, true), None);
            assert!(report.integrity.is_unsound(), "{at}: {report}");
            faults(&report.integrity)[0].clone()
        };
        let chain = |fault| match fault {
            BundleFault::Chain(fault) => (fault.seq as usize, fault.what),
            other => panic!("{at}: {other}"),
        };
        let changed = chain(fault(&|entries| entries[at][100] ^= 1));
        assert_eq!(changed, (at + 1, ChainFaultKind::LinkBroken));
        // What comes later is not named instead.
        let twice = chain(fault(&|entries| {
            entries[at][100] ^= 1;
            entries[4_999][0] = 0;
        }));
        assert!(twice == (at + 1, ChainFaultKind::LinkBroken) || (at == 4_998 && twice.0 == 4_999), "{twice:?}");
        let gone = chain(fault(&|entries| drop(entries.remove(at))));
        assert_eq!(gone, (at, ChainFaultKind::OutOfOrder { found: at as u64 + 1 }));
        let malformed = chain(fault(&|entries| entries[at].truncate(200)));
        assert!(malformed.0 == at && matches!(malformed.1, ChainFaultKind::Malformed(_)));
        let other = chain(fault(&|entries| entries[at][6] ^= 1));
        assert_eq!(other, (at, ChainFaultKind::WrongVault));
    }
    // One that says to be of an epoch that ended, or that did not begin.
    let mut entries = log.clone();
    entries[SECOND as usize][42..46].copy_from_slice(&1_u32.to_be_bytes());
    let early = check(&bundle(&log, &entries, true), None);
    assert_eq!(faults(&early.integrity)[0], BundleFault::WrongEpoch { seq: SECOND, epoch: 1 });
}

#[test]
fn a_bundle_cut_anywhere_is_damaged_and_all_before_the_cut_is_counted() {
    let log = log();
    let sound = bundle(&log, &log, true);
    let tail = log[0].len() + 5;
    for cut in [1, 36, 37, 38, 37 + tail, 37 + tail * 904, 37 + tail * 905 - 1, 37 + tail * 3_000 + 7] {
        let report = check(&sound[..sound.len() - cut], None);
        let whole = ENTRIES - cut.saturating_sub(37).div_ceil(tail) as u64;
        assert_eq!((report.entries, faults(&report.integrity).is_empty()), (whole, false), "{cut}: {report}");
        assert!(matches!(faults(&report.integrity)[0], BundleFault::Malformed(_)) && report.completeness.is_unsound());
    }
    for at in [sound.len() - 1, sound.len() - 37 - tail * 100] {
        let mut changed = sound.clone();
        changed[at] ^= 1;
        assert!(check(&changed, None).integrity.is_unsound(), "{at}");
    }
    let more = [&sound[..], &[0]].concat();
    assert_eq!(faults(&check(&more, None).integrity), [BundleFault::Malformed("something stands behind the end")]);
}
