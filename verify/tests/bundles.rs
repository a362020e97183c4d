//! Bundles of a log that is made here, and what becomes of the verdicts when somebody edits them.

use std::convert::Infallible;

use chartvault_verify::bundle::{
    BundleCheck, BundleError, BundleFault, BundleWriter, Report, Trust, Verdict, verify_bundle,
};
use chartvault_verify::chain::ChainFaultKind;
use chartvault_verify::epochs::{EpochFault, Epochs, origin};
use chartvault_verify::merkle::{Hash, Range, TileId, TileSource, leaf_hash, prove_consistency, root_at, tile_root};
use chartvault_verify::note::{Checkpoint, Note, SignatureKind, VerifierKey};
use ed25519_dalek::SigningKey;

const VAULT: [u8; 16] = [0x11; 16];
const ENTRIES: u64 = 600;
/// The first entries of the second and of the third signing epoch.
const SECOND: u64 = 300;
const THIRD: u64 = 520;

/// An entry that nobody can open, as far as an outsider can tell a good one.
fn entry(vault: [u8; 16], seq: u64, prev: &Hash, fill: u8) -> Vec<u8> {
    let epoch = 1 + u32::from(seq >= SECOND) + u32::from(seq >= THIRD);
    let kind = match seq {
        0 => 1,
        SECOND | THIRD => 3,
        _ => 2,
    };
    let time = 1_700_000_000_000_000_i64 + i64::try_from(seq).unwrap();
    let head = [&b"CVA1"[..], &[kind, 0x20], &vault, &seq.to_be_bytes(), &time.to_be_bytes()].concat();
    let front = [&head[..], &1_u32.to_be_bytes(), &epoch.to_be_bytes(), prev, &[fill; 48]].concat();
    [&front[..], &64_u16.to_be_bytes(), &[fill; 80]].concat()
}

struct Log {
    vault: [u8; 16],
    entries: Vec<Vec<u8>>,
}

fn log_of(vault: [u8; 16], fill: impl Fn(u64) -> u8) -> Log {
    let (mut entries, mut prev) = (Vec::new(), [0; 32]);
    for seq in 0..ENTRIES {
        let entry = entry(vault, seq, &prev, fill(seq));
        prev = leaf_hash(&entry);
        entries.push(entry);
    }
    Log { vault, entries }
}

fn log() -> Log {
    log_of(VAULT, |seq| (seq % 251) as u8)
}

impl TileSource for Log {
    type Error = Infallible;

    fn tile(&self, TileId { level, index }: TileId, width: u16) -> Result<Vec<Hash>, Infallible> {
        let children = (index * 256..).take(width.into());
        Ok(match level {
            0 => children.map(|seq| leaf_hash(&self.entries[seq as usize])).collect(),
            _ => children
                .map(|index| {
                    let Ok(tile) = self.tile(TileId { level: level - 1, index }, 256);
                    tile_root(&tile).unwrap()
                })
                .collect(),
        })
    }
}

fn signer(epoch: u8) -> SigningKey {
    SigningKey::from_bytes(&[0xC0 + epoch; 32])
}

fn key(epoch: u8) -> VerifierKey {
    VerifierKey::new(&origin(&VAULT), SignatureKind::Ed25519, signer(epoch).verifying_key().as_bytes()).unwrap()
}

impl Log {
    fn checkpoint(&self, size: u64, epoch: u8, next: bool) -> String {
        let Ok(root) = root_at(self, size);
        let mut text = Checkpoint::new(&origin(&self.vault), size, root);
        if next {
            let public = data_encoding::BASE64.encode(signer(epoch + 1).verifying_key().as_bytes());
            text = text.with(format!("next-key {} {public}", epoch + 1));
        }
        let mut note = Note::new(&text.to_string()).unwrap();
        note.sign(&origin(&self.vault), &signer(epoch)).unwrap();
        note.to_string()
    }

    /// A bundle of `count` entries from `first` on, against the checkpoint of all of them; the entries as `edit` leaves them.
    fn bundle(&self, (first, count): (u64, u64), edit: impl Fn(&mut Vec<Vec<u8>>)) -> Vec<u8> {
        self.bundle_at(ENTRIES, self.checkpoint(ENTRIES, 3, false), (first, count), edit)
    }

    fn bundle_at(
        &self,
        size: u64,
        checkpoint: String,
        (first, count): (u64, u64),
        edit: impl Fn(&mut Vec<Vec<u8>>),
    ) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = BundleWriter::begin(&mut out, &self.vault, &checkpoint).unwrap();
        for (closed, epoch) in [(SECOND, 1), (THIRD, 2)] {
            let Ok(proof) = prove_consistency(self, closed, size);
            writer.final_checkpoint(&self.checkpoint(closed, epoch, true), &proof).unwrap();
        }
        let Ok(proof) = prove_consistency(self, 580, size);
        writer.earlier_checkpoint(&self.checkpoint(580, 3, false), &proof).unwrap();
        let (Ok(left), Ok(right)) = (Range::of_tiles(self, 0, first), Range::of_tiles(self, first + count, size));
        let mut writer = writer.range(first, count, &left, &right).unwrap();
        let mut entries: Vec<Vec<u8>> = self.entries[first as usize..(first + count) as usize].to_vec();
        edit(&mut entries);
        entries.iter().for_each(|entry| writer.entry(entry).unwrap());
        writer.finish().unwrap();
        out
    }
}

fn pinned() -> Trust {
    Trust::keys([key(1)])
}

fn verify(bundle: &[u8], trust: &Trust) -> Report {
    let report = verify_bundle(bundle, trust).unwrap();
    let on_three = BundleCheck::new(trust).threads(3).run(bundle).unwrap();
    assert_eq!(format!("{on_three:?}"), format!("{report:?}"));
    report
}

fn faults(verdict: &Verdict) -> &[BundleFault] {
    match verdict {
        Verdict::Unsound(faults) => faults,
        _ => &[],
    }
}

/// What kind of fault the entries have, and where.
fn broken(report: &Report) -> Option<(u64, ChainFaultKind)> {
    faults(&report.integrity).iter().find_map(|fault| match fault {
        BundleFault::Chain(fault) => Some((fault.seq, fault.what)),
        _ => None,
    })
}

#[test]
fn a_bundle_as_it_was_exported_is_sound_whichever_range_it_has() {
    let log = log();
    for range in [(0, ENTRIES), (0, 1), (17, 300), (299, 2), (599, 1), (600, 0), (256, 256)] {
        let report = verify(&log.bundle(range, |_| ()), &pinned());
        assert_eq!(
            (&report.integrity, &report.completeness),
            (&Verdict::Sound, &Verdict::Sound),
            "{range:?}: {report}"
        );
        assert_eq!((report.first, report.entries), range);
        assert_eq!(report.freshness, Verdict::Unknown(vec![BundleFault::NothingKnown]));
        assert_eq!(report.signed_by, [(key(3), None)]);
    }
}

#[test]
fn the_key_of_any_epoch_is_enough_from_there_on() {
    let bundle = log().bundle((540, 60), |_| ());
    for pinned in 1..=3 {
        let report = verify(&bundle, &Trust::keys([key(pinned)]));
        assert!(report.integrity.is_sound(), "{pinned}: {report}");
    }
    let stranger = verify(&bundle, &Trust::keys([key(4)]));
    assert!(matches!(faults(&stranger.integrity), [BundleFault::Unsigned(_)]), "{stranger}");
}

#[test]
fn what_is_known_from_elsewhere_is_compared() {
    let log = log();
    let whole = log.bundle((0, ENTRIES), |_| ());
    let part = log.bundle((590, 10), |_| ());
    let fresh = |bundle: &[u8], note: String| verify(bundle, &pinned().and_checkpoint(note)).freshness;
    for (size, epoch) in [(600, 3), (580, 3), (599, 3), (300, 1), (1, 1)] {
        assert_eq!(fresh(&whole, log.checkpoint(size, epoch, false)), Verdict::Sound, "{size}");
    }
    assert_eq!(fresh(&part, log.checkpoint(580, 3, false)), Verdict::Sound, "it has the proof");
    assert_eq!(fresh(&part, log.checkpoint(300, 1, true)), Verdict::Sound, "a final checkpoint");
    let cannot = BundleFault::NotComparable { anchored: 579 };
    assert_eq!(fresh(&part, log.checkpoint(579, 3, false)), Verdict::Unknown(vec![cannot]));
    let other = log_of(VAULT, |seq| if seq < 100 { 1 } else { 2 });
    let forked = fresh(&whole, other.checkpoint(580, 3, false));
    assert_eq!(forked, Verdict::Unsound(vec![BundleFault::Forked { anchored: 580 }]));
    assert!(matches!(fresh(&whole, "x".into()), Verdict::Unsound(_)));
    assert!(matches!(fresh(&whole, log.checkpoint(580, 9, false)), Verdict::Unknown(_)), "signed by nobody known");
}

// The ten edits.

#[test]
fn edit_1_an_entry_was_changed() {
    let report = verify(&log().bundle((100, 50), |entries| entries[20][130] ^= 1), &pinned());
    assert_eq!(broken(&report), Some((121, ChainFaultKind::LinkBroken)), "{report}");
    let last = verify(&log().bundle((100, 50), |entries| entries[49][130] ^= 1), &pinned());
    assert_eq!(faults(&last.integrity), [BundleFault::WrongRoot], "{last}");
}

#[test]
fn edit_2_an_entry_was_deleted() {
    let report = verify(&log().bundle((100, 50), |entries| drop(entries.remove(20))), &pinned());
    assert_eq!(broken(&report), Some((120, ChainFaultKind::OutOfOrder { found: 121 })), "{report}");
    assert!(report.completeness.is_unsound(), "{report}");
}

#[test]
fn edit_3_an_entry_was_inserted() {
    let insert = |entries: &mut Vec<Vec<u8>>| {
        let prev = leaf_hash(&entries[19]);
        entries.insert(20, entry(VAULT, 120, &prev, 77));
    };
    let report = verify(&log().bundle((100, 50), insert), &pinned());
    assert_eq!(broken(&report), Some((121, ChainFaultKind::OutOfOrder { found: 120 })), "{report}");
}

#[test]
fn edit_4_two_entries_were_exchanged() {
    let report = verify(&log().bundle((100, 50), |entries| entries.swap(20, 21)), &pinned());
    assert_eq!(broken(&report), Some((120, ChainFaultKind::OutOfOrder { found: 121 })), "{report}");
}

#[test]
fn edit_5_an_entry_stands_twice() {
    let report = verify(&log().bundle((100, 50), |entries| entries.insert(20, entries[20].clone())), &pinned());
    assert_eq!(broken(&report), Some((121, ChainFaultKind::OutOfOrder { found: 120 })), "{report}");
}

#[test]
fn edit_6_the_tail_was_cut() {
    let report = verify(&log().bundle((100, 50), |entries| entries.truncate(40)), &pinned());
    assert_eq!(faults(&report.completeness), [BundleFault::Count { found: 40, said: 50 }], "{report}");
    // And so that the numbers fit: a smaller range is said, with the hashes of the larger one.
    let log = log();
    let bundle = log.bundle((100, 50), |_| ());
    for len in 0..bundle.len() {
        match verify_bundle(&bundle[..len], &pinned()) {
            Ok(cut) => assert!(cut.integrity.is_unsound() && !cut.completeness.is_sound(), "{len}: {cut}"),
            Err(error) => assert!(matches!(error, BundleError::NotABundle) && len < 24, "{len}: {error}"),
        }
    }
}

#[test]
fn entries_whose_root_nobody_looked_at_are_not_called_sound() {
    // All of them forged, in a chain that holds, one fewer or more than the range says: no root can be made of them.
    let forged = log_of(VAULT, |seq| (seq % 241) as u8);
    for (cut, said) in [(49, 50), (51, 50)] {
        let put = |entries: &mut Vec<Vec<u8>>| *entries = forged.entries[..cut].to_vec();
        let report = verify(&log().bundle((0, said), put), &pinned());
        assert!(!report.integrity.is_sound() && report.completeness.is_unsound(), "{report}");
    }
}

#[test]
fn edit_7_all_hashes_were_made_anew_after_an_edit() {
    let forge = |entries: &mut Vec<Vec<u8>>| {
        entries[20][130] ^= 1;
        for at in 21..entries.len() {
            let leaf = leaf_hash(&entries[at - 1]);
            entries[at][46..78].copy_from_slice(&leaf);
        }
    };
    let report = verify(&log().bundle((100, 50), forge), &pinned());
    assert_eq!((broken(&report), faults(&report.integrity)), (None, &[BundleFault::WrongRoot][..]), "{report}");
}

#[test]
fn edit_8_entries_of_another_vault_were_put_in() {
    let other = log_of([0x22; 16], |seq| (seq % 251) as u8);
    let swap = |entries: &mut Vec<Vec<u8>>| entries[20] = other.entries[120].clone();
    let report = verify(&log().bundle((100, 50), swap), &pinned());
    assert_eq!(broken(&report), Some((120, ChainFaultKind::WrongVault)), "{report}");
    // The whole bundle of another vault, under the keys of this one.
    let report = verify(&other.bundle((0, 10), |_| ()), &pinned());
    assert!(report.integrity.is_unsound(), "{report}");
}

#[test]
fn edit_9_an_older_checkpoint_stands_for_a_log_that_was_rolled_back() {
    let log = log();
    let old = log.bundle_at(590, log.checkpoint(590, 3, false), (500, 90), |_| ());
    let report = verify(&old, &pinned());
    assert!(report.integrity.is_sound() && !report.freshness.is_sound(), "by itself it is sound: {report}");
    let known = verify(&old, &pinned().and_checkpoint(log.checkpoint(600, 3, false)));
    assert_eq!(faults(&known.freshness), [BundleFault::Stale { anchored: 600, size: 590 }], "{known}");
}

#[test]
fn edit_10_the_signature_was_forged() {
    let log = log();
    let forged = log.checkpoint(ENTRIES, 9, false);
    let report = verify(&log.bundle_at(ENTRIES, forged, (0, 10), |_| ()), &pinned());
    assert!(matches!(faults(&report.integrity), [BundleFault::Unsigned(_)]), "{report}");
    let edited = log.checkpoint(ENTRIES, 3, false).replace("\n600\n", "\n601\n");
    let report = verify(&log.bundle_at(ENTRIES, edited, (0, 10), |_| ()), &pinned());
    assert!(report.integrity.is_unsound(), "{report}");
}

#[test]
fn whoever_steals_the_key_in_force_cannot_write_closed_epochs_anew() {
    // The thief has the key of epoch 3 and writes all entries anew, with the final checkpoints that are known.
    let (real, forged) = (log(), log_of(VAULT, |seq| (seq % 241) as u8));
    let mut out = Vec::new();
    let mut writer = BundleWriter::begin(&mut out, &VAULT, &forged.checkpoint(ENTRIES, 3, false)).unwrap();
    for (closed, epoch) in [(SECOND, 1), (THIRD, 2)] {
        let Ok(proof) = prove_consistency(&forged, closed, ENTRIES);
        writer.final_checkpoint(&real.checkpoint(closed, epoch, true), &proof).unwrap();
    }
    let mut writer = writer.range(0, ENTRIES, &Range::empty(0), &Range::empty(ENTRIES)).unwrap();
    forged.entries.iter().for_each(|entry| writer.entry(entry).unwrap());
    writer.finish().unwrap();
    let report = verify(&out, &pinned());
    assert_eq!(faults(&report.integrity)[0], BundleFault::NotABeginning { size: SECOND }, "{report}");
}

#[test]
fn a_key_that_was_pinned_later_opens_no_way_around_the_one_of_the_first_epoch() {
    // All finals, and the checkpoint, are signed with the stolen key of epoch 3.
    let forged = log_of(VAULT, |seq| (seq % 241) as u8);
    let sign = |size: u64, next: Option<u8>| {
        let Ok(root) = root_at(&forged, size);
        let mut text = Checkpoint::new(&origin(&VAULT), size, root);
        if let Some(next) = next {
            let public = data_encoding::BASE64.encode(signer(3).verifying_key().as_bytes());
            text = text.with(format!("next-key {next} {public}"));
        }
        let mut note = Note::new(&text.to_string()).unwrap();
        note.sign(&origin(&VAULT), &signer(3)).unwrap();
        note.to_string()
    };
    let mut out = Vec::new();
    let mut writer = BundleWriter::begin(&mut out, &VAULT, &sign(ENTRIES, None)).unwrap();
    for (closed, epoch) in [(SECOND, 1), (THIRD, 2)] {
        let Ok(proof) = prove_consistency(&forged, closed, ENTRIES);
        writer.final_checkpoint(&sign(closed, Some(epoch + 1)), &proof).unwrap();
    }
    let mut writer = writer.range(0, ENTRIES, &Range::empty(0), &Range::empty(ENTRIES)).unwrap();
    forged.entries.iter().for_each(|entry| writer.entry(entry).unwrap());
    writer.finish().unwrap();
    let pinned_first = verify(&out, &pinned());
    assert!(matches!(faults(&pinned_first.integrity), [BundleFault::Unsigned(_)]), "{pinned_first}");
    let several = verify(&out, &Trust::keys([key(1), key(2), key(3)]));
    assert!(faults(&several.integrity).contains(&BundleFault::SeveralKeys), "{several}");
}

#[test]
fn the_key_of_a_closed_epoch_signs_nothing_larger() {
    let log = log();
    let by_the_first = log.checkpoint(ENTRIES, 1, false);
    let report = verify(&log.bundle_at(ENTRIES, by_the_first, (0, 10), |_| ()), &pinned());
    assert!(matches!(faults(&report.integrity), [BundleFault::Unsigned(_)]), "{report}");
}

#[test]
fn an_epoch_that_is_skipped_closed_twice_or_not_closed_is_named() {
    let log = log();
    let build = |finals: &[(u64, u8)]| {
        let mut out = Vec::new();
        let mut writer = BundleWriter::begin(&mut out, &VAULT, &log.checkpoint(ENTRIES, 3, false)).unwrap();
        for (size, epoch) in finals {
            let Ok(proof) = prove_consistency(&log, *size, ENTRIES);
            writer.final_checkpoint(&log.checkpoint(*size, *epoch, true), &proof).unwrap();
        }
        let mut writer = writer.range(0, ENTRIES, &Range::empty(0), &Range::empty(ENTRIES)).unwrap();
        log.entries.iter().for_each(|entry| writer.entry(entry).unwrap());
        writer.finish().unwrap();
        out
    };
    let all = pinned();
    assert!(verify(&build(&[(SECOND, 1), (THIRD, 2)]), &all).integrity.is_sound());
    let twice = verify(&build(&[(SECOND, 1), (SECOND, 1), (THIRD, 2)]), &all);
    assert_eq!(faults(&twice.integrity), [BundleFault::Epoch(EpochFault::Twice { epoch: 1 })], "{twice}");
    // The empty epoch: closed where it began.
    let elsewhere = verify(&build(&[(SECOND + 1, 1), (THIRD, 2)]), &all);
    assert_eq!(faults(&elsewhere.integrity), [BundleFault::WrongEpoch { seq: SECOND, epoch: 2 }], "{elsewhere}");
    // Nobody who trusts the first key knows anything of the third.
    let open = verify(&build(&[(SECOND, 1)]), &all);
    assert!(matches!(faults(&open.integrity), [BundleFault::Unsigned(_)]), "{open}");
    // Who pinned the third knows that the second was never closed, or by whom nobody can say.
    let later = verify(&build(&[]), &Trust::keys([key(3)]));
    let doubts = [(1, SECOND), (2, THIRD)].map(|(epoch, seq)| BundleFault::NotClosed { epoch, seq });
    assert_eq!(later.integrity, Verdict::Unknown(doubts.to_vec()), "{later}");
    let broken = verify(&build(&[(SECOND, 1), (THIRD, 3)]), &pinned());
    assert!(broken.integrity.is_unsound(), "{broken}");
}

#[test]
fn an_epoch_without_an_entry_is_not_taken_for_one() {
    let log = log();
    let mut epochs = Epochs::new(&VAULT, Some(&key(1)));
    epochs.close(&log.checkpoint(SECOND, 1, true)).unwrap();
    // By the second key, which is right, and where the epoch had just begun.
    let empty = epochs.close(&log.checkpoint(SECOND, 2, true));
    assert_eq!(empty, Err(EpochFault::Twice { epoch: 2 }));
    assert!(epochs.close(&log.checkpoint(THIRD, 2, true)).is_ok());
}

#[test]
fn a_bundle_with_any_byte_flipped_is_not_sound() {
    let bundle = log().bundle((590, 10), |_| ());
    let sound = |bundle: &[u8]| {
        verify_bundle(bundle, &pinned())
            .is_ok_and(|report| report.integrity.is_sound() && report.completeness.is_sound())
    };
    assert!(sound(&bundle));
    for at in 0..bundle.len() {
        for mask in [1, 0x80] {
            let mut flipped = bundle.clone();
            flipped[at] ^= mask;
            assert!(!sound(&flipped), "byte {at}");
        }
    }
    assert!(!sound(&[&bundle[..], &[0]].concat()));
}

#[test]
fn a_bundle_of_the_largest_log_there_can_be_does_not_panic() {
    let mut note = Note::new(&Checkpoint::new(&origin(&VAULT), u64::MAX, [0; 32]).to_string()).unwrap();
    note.sign(&origin(&VAULT), &signer(9)).unwrap();
    let mut out = Vec::new();
    let writer = BundleWriter::begin(&mut out, &VAULT, &note.to_string()).unwrap();
    let left = Range::of_nodes(0, u64::MAX, vec![[0; 32]; 64]).unwrap();
    let mut writer = writer.range(u64::MAX, 0, &left, &Range::empty(u64::MAX)).unwrap();
    let mut last = entry(VAULT, 600, &[0; 32], 1);
    last[22..30].fill(0xFF);
    writer.entry(&last).unwrap();
    writer.finish().unwrap();
    assert!(verify(&out, &pinned()).integrity.is_unsound());
}

#[test]
fn forged_lengths_cost_nothing() {
    let bundle = log().bundle((590, 10), |_| ());
    for at in 24..200 {
        let mut forged = bundle.clone();
        forged[at] = 0xFF;
        let _ = verify_bundle(&forged[..], &pinned());
    }
}

/// Two entries under a checkpoint of three, one of them disclosed to nobody: small enough for the page.
fn small() -> Vec<u8> {
    let (mut entries, mut prev) = (Vec::new(), [0; 32]);
    for seq in 0..3 {
        let entry = entry(VAULT, seq, &prev, 0xE0 + seq as u8);
        prev = leaf_hash(&entry);
        entries.push(entry);
    }
    let log = Log { vault: VAULT, entries };
    let mut out = Vec::new();
    let writer = BundleWriter::begin(&mut out, &VAULT, &log.checkpoint(3, 1, false)).unwrap();
    let (Ok(left), Ok(right)) = (Range::of_tiles(&log, 0, 1), Range::of_tiles(&log, 3, 3));
    let mut writer = writer.range(1, 2, &left, &right).unwrap();
    log.entries[1..].iter().for_each(|entry| writer.entry(entry).unwrap());
    writer.finish().unwrap();
    out
}

#[test]
fn the_page_shows_these_bytes() {
    let page = include_str!("../../docs/format/bundle.md");
    let hex: String = data_encoding::HEXLOWER.encode(&small());
    let lines: Vec<&str> = hex.as_bytes().chunks(96).map(|line| std::str::from_utf8(line).unwrap()).collect();
    assert!(page.contains(&format!("```text\n{}\n```", lines.join("\n"))), "{}", lines.join("\n"));
    assert!(page.contains(&key(1).to_string()), "{}", key(1));
    let report = verify(&small(), &pinned());
    assert!(report.integrity.is_sound() && report.completeness.is_sound(), "{report}");
}
