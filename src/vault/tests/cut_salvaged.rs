//! A vault whose log was cut, damaged and salvaged: what was cut stays gone, what comes behind it stays, and so do the counts.

use std::path::PathBuf;

use super::*;
use crate::audit::{AuditEvent, Draft, EntryKind, Outcome};
use crate::format::keys::PatientKey;
use crate::storage::Scan;
use crate::{Kind, PutOptions};

const CUT: u64 = 256;

fn options() -> Options {
    Options::new().segment_bytes(64 << 10, 64 << 10).inline_limit(0)
}

/// Number of the first entry, of the next one, and the counts of all charts.
type Log = (u64, u64, Vec<u64>);

fn log_of(vault: &Vault) -> Log {
    let unlocked = vault.0.gate.enter().unwrap();
    let storage = unlocked.committer.storage();
    let (first, entries) = (storage.first_entry(), storage.head().entries);
    let kept = storage.entries(first, usize::MAX).unwrap();
    assert!(kept.iter().map(|(number, _)| *number).eq(first..entries));
    let patients = Scan { prefix: &[], after: None, limit: 9 };
    let charts = unlocked.committer.scan_keys(Tree::Patients, patients).unwrap();
    let tally = |key: &Vec<u8>| storage.tally(&PatientKey::from_bytes(key).unwrap().patient_tag);
    (first, entries, charts.iter().map(tally).collect())
}

struct Ward {
    _dir: tempfile::TempDir,
    key: RawKey,
    damaged: PathBuf,
    into: PathBuf,
    log: Log,
}

impl Ward {
    /// Cut at [`CUT`] in the middle of its life or not, then compacted or not.
    fn new(cut: bool, compacted: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (damaged, into) = (dir.path().join("vault"), dir.path().join("into"));
        let key = RawKey::generate().unwrap();
        let (vault, _) = Vault::create(&damaged).raw_key(&key).options(options()).finish().unwrap();
        let issuer = IssuerKey::generate().unwrap();
        vault.trust_issuer(issuer.public(), &key).unwrap();
        let grant = Grant::to("dr.osei").all_patients().all_kinds().actions(Action::ALL.iter().copied());
        let grant = grant.purpose(Purpose::Treatment).valid_for(std::time::Duration::from_secs(3_600));
        let session = vault.session(grant.sign(&issuer, vault.id()).unwrap(), Purpose::Treatment).unwrap();
        let charts = [0, 1].map(|_| session.register_patient([]).unwrap());
        let kind = Kind::new("Observation").unwrap();
        let put = |number: usize| {
            session.put_verbatim(charts[number % 2], &kind, &[number as u8; 500], PutOptions::new()).unwrap();
        };
        (0..280).for_each(put);
        if cut {
            let unlocked = vault.0.gate.enter().unwrap();
            let mut draft = Draft::new(AuditEvent::LogPruned, Outcome::Allowed);
            draft.kind = EntryKind::Prune;
            let queued = unlocked.committer.queue_cut(Vec::new(), draft, CUT).unwrap();
            unlocked.committer.wait(queued).unwrap();
        }
        if compacted {
            vault.compact().unwrap().unwrap();
        }
        (280..330).for_each(put);
        drop(session);
        vault.close().unwrap();
        let log = log_of(&Vault::open(&damaged).unwrap().unlock(&key).unwrap());
        let first = if cut { CUT } else { 0 };
        assert_eq!((log.0, log.2.iter().filter(|tally| **tally > CUT / 2).count()), (first, 2));
        Self { _dir: dir, key, damaged, into, log }
    }

    fn salvaged(&self) -> Log {
        Vault::open_with(&self.damaged, options()).unwrap().salvage(&self.key, &self.into).unwrap();
        let vault = Vault::open_with(&self.into, options()).unwrap().unlock(&self.key).unwrap();
        let log = log_of(&vault);
        drop(vault);
        log
    }

    /// Turns a byte of a file of the journal, in its middle or so many before its end.
    fn damage(&self, name: &str, before_end: Option<usize>) {
        let path = self.damaged.join("journal").join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        let at = before_end.map_or(bytes.len() / 2, |before| bytes.len() - before);
        bytes[at] ^= 1;
        std::fs::write(path, bytes).unwrap();
    }

    fn journal(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.damaged.join("journal")).unwrap();
        let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// Opening the salvaged vault adds entries of nobody.
fn same(salvaged: &Log, before: &Log) {
    assert!(salvaged.1 > before.1);
    assert_eq!((salvaged.0, &salvaged.2), (before.0, &before.2));
}

#[test]
fn whole_segments_with_a_cut_lose_what_was_cut_and_nothing_else() {
    let ward = Ward::new(true, false);
    assert!(ward.journal().len() > 2);
    same(&ward.salvaged(), &ward.log);
}

#[test]
fn a_whole_base_behind_a_cut_keeps_the_counts_of_what_it_lacks() {
    let ward = Ward::new(true, true);
    assert!(ward.journal().iter().any(|name| name.starts_with("base-")));
    same(&ward.salvaged(), &ward.log);
}

#[test]
fn entries_that_were_cut_and_are_lost_as_well_are_counted_all_the_same() {
    let ward = Ward::new(true, false);
    // State files and trees know where the log begins; the first segment holds entries that were cut.
    ward.damage(&ward.journal()[0], None);
    same(&ward.salvaged(), &ward.log);
}

#[test]
fn behind_a_cut_only_the_entries_that_are_lost_and_were_kept_are_stood_in_for() {
    for compacted in [false, true] {
        let ward = Ward::new(true, compacted);
        let last = ward.journal().into_iter().filter(|name| !name.starts_with("base-")).nth_back(1).unwrap();
        ward.damage(&last, None);
        let log = ward.salvaged();
        assert!(log.1 > ward.log.1);
        assert_eq!((log.0, &log.2), (CUT, &ward.log.2));
    }
}

#[test]
fn a_damaged_base_behind_a_cut_says_where_the_log_begins_as_long_as_anything_of_it_does() {
    // An entry or a row; the frame with the counts, which the state files know as well; the index.
    for (before_end, states) in [(None, false), (Some(800), true), (Some(400), false)] {
        let ward = Ward::new(true, true);
        let base = ward.journal().into_iter().find(|name| name.starts_with("base-")).unwrap();
        ward.damage(&base, before_end);
        for name in ["state.a", "state.b"].iter().filter(|_| !states) {
            std::fs::remove_file(ward.damaged.join(name)).unwrap();
        }
        let log = ward.salvaged();
        assert!(log.1 > ward.log.1);
        assert_eq!((log.0, &log.2), (CUT, &ward.log.2), "{before_end:?}");
    }
}

#[test]
fn a_damaged_base_of_a_log_that_was_never_cut_counts_nothing_as_cut() {
    for before_end in [None, Some(400)] {
        let ward = Ward::new(false, true);
        let base = ward.journal().into_iter().find(|name| name.starts_with("base-")).unwrap();
        ward.damage(&base, before_end);
        let log = ward.salvaged();
        assert_eq!((log.0, &log.2), (0, &ward.log.2), "{before_end:?}");
    }
}
