//! A log that was pruned, against somebody who removes or puts back entries below the session: what the log begins with has to be
//! what an entry of it says.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chartvault_verify::bundle::{BundleFault, Trust, Verdict, verify_bundle};
use chartvault_verify::merkle::{Frontier, TileId, leaf_hash};

use super::*;
use crate::audit::{AuditEvent, AuditFault, Draft, EntryKind, FaultKind, LogPruneError, LogPruned, Outcome, tile_key};
use crate::clock::Clock;
use crate::policy::{LogCut, LogRetention, LogRetentionRow, PolicyRow};
use crate::session::Scope;
use crate::storage::Bytes;
use crate::unlocked::Unlocked;
use crate::{LogProofError, Session};

const YEAR: Duration = Duration::from_secs(366 * 86_400);

struct Hands(AtomicI64);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed))
    }
}

struct House {
    dir: tempfile::TempDir,
    key: RawKey,
    issuer: IssuerKey,
    clock: Arc<Hands>,
}

impl House {
    /// With so many entries of seven years ago.
    fn with(entries: usize) -> (Self, Vault) {
        let (key, issuer) = (RawKey::generate().unwrap(), IssuerKey::generate().unwrap());
        let clock = Arc::new(Hands(AtomicI64::new(1_750_000_000_000_000)));
        let house = Self { dir: tempfile::tempdir().unwrap(), key, issuer, clock };
        let (vault, _) = Vault::create(house.dir.path()).raw_key(&house.key).options(house.options()).finish().unwrap();
        vault.trust_issuer(house.issuer.public(), &house.key).unwrap();
        log(&vault, entries);
        house.clock.0.fetch_add(i64::try_from(7 * YEAR.as_micros()).unwrap(), Ordering::Relaxed);
        vault.set_log_retention(LogRetention::keep_for(6 * YEAR).unwrap(), &house.key).unwrap();
        (house, vault)
    }

    fn options(&self) -> Options {
        Options::new().clock(self.clock.clone()).scrub_rate(0).segment_bytes(64 << 10, 256 << 10).cache_bytes(8 << 20)
    }

    fn open(&self) -> Vault {
        Vault::open_with(self.dir.path(), self.options()).unwrap().unlock(&self.key).unwrap()
    }

    fn session_of(&self, vault: &Vault, name: &str) -> Session {
        let grant = Grant::to(name).all_patients().all_kinds().actions(Action::ALL.iter().copied());
        let grant = grant.purpose(Purpose::Treatment).valid_for(Duration::from_secs(3_600));
        let grant = grant.issued_at(self.clock.now());
        vault.session(grant.sign(&self.issuer, vault.id()).unwrap(), Purpose::Treatment).unwrap()
    }

    fn prune(&self, vault: &Vault, from: u64, to: u64) -> LogPruned {
        self.try_to_prune(vault, from, to).unwrap()
    }

    fn try_to_prune(&self, vault: &Vault, from: u64, to: u64) -> Result<LogPruned, Error> {
        let (ours, theirs) = (self.session_of(vault, "a.lund"), self.session_of(vault, "s.berg"));
        let mut file = Vec::new();
        ours.audit().unwrap().archive(from..to, &mut file).unwrap();
        ours.audit().unwrap().prune(&mut &file[..], &theirs)
    }
}

fn log(vault: &Vault, n: usize) {
    let unlocked = vault.0.gate.enter().unwrap();
    for at in (0..n).step_by(100) {
        let drafts = (at..n.min(at + 100)).map(|_| Draft::new(AuditEvent::AuditQueried, Outcome::Allowed)).collect();
        unlocked.commit(Vec::new(), drafts).unwrap();
    }
}

/// Removes entries as the storage does it, with an entry that says something else.
fn cut(vault: &Vault, rows: Vec<Row>, draft: Draft, first: u64) {
    let unlocked = vault.0.gate.enter().unwrap();
    unlocked.committer.wait(unlocked.committer.queue_cut(rows, draft, first).unwrap()).unwrap();
}

fn event() -> Draft {
    Draft::new(AuditEvent::AuditQueried, Outcome::Allowed)
}

/// What verification says, whatever it is let open.
fn fault(vault: &Vault, house: &House) -> (u64, FaultKind) {
    let session = house.session_of(vault, "a.lund");
    let verdict = session.audit().unwrap().verify(Scope::All).report().unwrap();
    assert!(verdict.integrity.is_unsound(), "{verdict}");
    match session.audit().unwrap().verify(Scope::All).run() {
        Err(Error::Audit(AuditFault { seq, what })) => (seq, what),
        other => panic!("{other:?}"),
    }
}

fn check_finds(vault: &Vault, what: &str) {
    let report = vault.check(CheckScope::Records, &mut |_| ()).unwrap();
    assert!(!report.is_sound() && report.findings.iter().any(|finding| finding.what.contains(what)), "{report}");
}

#[test]
fn attack_pruned_without_authority() {
    let (house, vault) = House::with(600);
    cut(&vault, Vec::new(), event(), 256);
    assert_eq!(fault(&vault, &house), (256, FaultKind::NotPruned));
    check_finds(&vault, "no entry says that those before it were pruned");
    vault.close().unwrap();
    drop(vault);
    let vault = house.open();
    assert_eq!(fault(&vault, &house), (256, FaultKind::NotPruned));
}

#[test]
fn attack_pruned_further_than_the_entry_says() {
    let (house, vault) = House::with(900);
    house.prune(&vault, 0, 256);
    cut(&vault, Vec::new(), event(), 512);
    assert_eq!(fault(&vault, &house), (512, FaultKind::NotPruned));
    check_finds(&vault, "no entry says that those before it were pruned");
}

#[test]
fn attack_the_row_of_the_cut_is_gone_or_says_other_hashes_than_the_entry() {
    let (house, vault) = House::with(600);
    house.prune(&vault, 0, 256);
    let put = |change: &dyn Fn(&mut LogCut)| {
        let unlocked = vault.0.gate.enter().unwrap();
        let mut cut = unlocked.log_cut().unwrap().unwrap();
        change(&mut cut);
        let row = unlocked.policy_row(&PolicyRow::LogRetention(LogRetentionRow::Cut(cut))).unwrap();
        unlocked.commit(vec![row], Vec::new()).unwrap();
    };
    let genuine = vault.0.gate.enter().unwrap().log_cut().unwrap().unwrap();
    for change in [
        (|cut: &mut LogCut| cut.pruned.last[0] ^= 1) as fn(&mut LogCut),
        |cut| cut.pruned.root[0] ^= 1,
        |cut| cut.pruned.archive[0] ^= 1,
        |cut| cut.before += 400,
    ] {
        put(&change);
        assert_eq!(fault(&vault, &house), (256, FaultKind::NotPruned));
        put(&|cut| *cut = genuine.clone());
        assert!(house.session_of(&vault, "a.lund").audit().unwrap().verify(Scope::All).run().is_ok());
    }
    let unlocked = vault.0.gate.enter().unwrap();
    let gone = unlocked.removed_policy_row(&PolicyRow::LogRetention(LogRetentionRow::Cut(genuine))).unwrap();
    unlocked.commit(gone.into_iter().collect(), Vec::new()).unwrap();
    drop(unlocked);
    assert_eq!(fault(&vault, &house), (256, FaultKind::NotPruned));
}

#[test]
fn attack_what_was_pruned_is_put_back_in_part() {
    let (house, vault) = House::with(900);
    house.prune(&vault, 0, 256);
    // As if entries from 256 on, that had gone with 512, stood there again.
    let unlocked = vault.0.gate.enter().unwrap();
    let older = unlocked.log_cut().unwrap().unwrap();
    let mut pruned = older.pruned;
    (pruned.first, pruned.end) = (256, 512);
    let newer = LogCut { pruned, before: unlocked.committer.newest_entry().unwrap().seq, edge: vec![[1; 32]; 2] };
    let row = unlocked.policy_row(&PolicyRow::LogRetention(LogRetentionRow::Cut(newer))).unwrap();
    let draft = Draft::new(AuditEvent::LogPruned, Outcome::Allowed).pruning(pruned);
    unlocked.commit(vec![row], vec![draft]).unwrap();
    drop(unlocked);
    assert_eq!(fault(&vault, &house), (256, FaultKind::PrunedIsThere { end: 512 }));
    check_finds(&vault, "is there again");
    // And with the older row: then the newer entry tells.
    let unlocked = vault.0.gate.enter().unwrap();
    let row = unlocked.policy_row(&PolicyRow::LogRetention(LogRetentionRow::Cut(older))).unwrap();
    unlocked.commit(vec![row], Vec::new()).unwrap();
    drop(unlocked);
    assert_eq!(fault(&vault, &house), (256, FaultKind::PrunedIsThere { end: 512 }));
    check_finds(&vault, "is there again");
}

/// By somebody with all keys: outside it shows where the entry is opened.
#[test]
fn a_prune_entry_that_says_other_hashes_is_found_by_whoever_has_a_bundle_and_its_key() {
    let pinned = |vault: &Vault| vault.log_vkey().unwrap().parse().unwrap();
    let verified = |vault: &Vault, house: &House, seq: u64| {
        let (session, mut file) = (house.session_of(vault, "a.lund"), Vec::new());
        session.audit().unwrap().bundle(256..seq + 1).disclosing(seq, "asked for").write(&mut file).unwrap();
        verify_bundle(&file[..], &Trust::keys([pinned(vault)])).unwrap()
    };
    let newest = |vault: &Vault| vault.0.gate.enter().unwrap().committer.newest_entry().unwrap().seq;
    let (house, vault) = House::with(600);
    let said = house.prune(&vault, 0, 256);
    let report = verified(&vault, &house, newest(&vault));
    assert!(report.integrity.is_sound() && report.before.unwrap().pruned_by.is_some(), "{report}");
    let changes: [fn(&mut LogPruned); 2] = [|said| said.last[0] ^= 1, |said| said.root[0] ^= 1];
    for change in changes {
        let (house, vault) = House::with(600);
        let mut forged = said;
        change(&mut forged);
        cut(&vault, Vec::new(), Draft::new(AuditEvent::LogPruned, Outcome::Allowed).pruning(forged), 256);
        let seq = newest(&vault);
        let report = verified(&vault, &house, seq);
        let Verdict::Unsound(faults) = &report.integrity else { panic!("{report}") };
        assert_eq!(faults[0], BundleFault::NotAsPruned { seq });
    }
}

#[test]
fn behind_an_entry_that_was_lost_nothing_is_cut() {
    let (house, vault) = House::with(0);
    let unlocked = vault.0.gate.enter().unwrap();
    let newest = unlocked.committer.newest_entry().unwrap().seq;
    log(&vault, usize::try_from(510 - newest).unwrap());
    let mut lost = Draft::new(AuditEvent::EntryLost, Outcome::Failed);
    lost.kind = EntryKind::Lost;
    unlocked.commit(Vec::new(), vec![lost]).unwrap();
    assert_eq!(unlocked.committer.newest_entry().unwrap().seq, 511);
    drop(unlocked);
    log(&vault, 20);
    house.clock.0.fetch_add(i64::try_from(7 * YEAR.as_micros()).unwrap(), Ordering::Relaxed);
    let refused = house.try_to_prune(&vault, 0, 512);
    assert!(matches!(refused, Err(Error::LogPrune(LogPruneError::EndsWithALostOne { seq: 511 }))), "{refused:?}");
    house.prune(&vault, 0, 256);
}

fn drop_tiles(unlocked: &Unlocked, tiles: &[(u8, u64)]) {
    unlocked.committer.settle();
    for (level, index) in tiles {
        let key = tile_key(TileId { level: *level, index: *index });
        let old = unlocked.committer.get(Tree::Log, &key).unwrap();
        let row = Row { tree: Tree::Log, key: Bytes::from(key), value: None, replaces: old };
        unlocked.committer.commit(vec![row], Vec::new()).unwrap();
    }
    unlocked.committer.settle();
}

#[test]
fn without_any_tile_the_tree_goes_on_from_the_row_of_the_cut_and_what_is_lost_is_told() {
    let (house, vault) = House::with(900);
    let leaves: Vec<_> = {
        let unlocked = vault.0.gate.enter().unwrap();
        let entries = unlocked.committer.storage().entries(0, usize::MAX).unwrap();
        entries.iter().map(|(_, bytes)| leaf_hash(bytes)).collect()
    };
    let old = vault.log_checkpoint().unwrap();
    house.prune(&vault, 0, 768);
    let root = |size: usize| {
        let mut tree = Frontier::default();
        leaves[..size].iter().for_each(|leaf| tree.push(*leaf, &mut |_, _| ()));
        tree.root()
    };
    let is_right = |vault: &Vault| {
        let unlocked = vault.0.gate.enter().unwrap();
        for size in [768, 800, leaves.len()] {
            assert_eq!(unlocked.log_root(size as u64).unwrap(), root(size), "{size}");
        }
    };
    drop_tiles(&vault.0.gate.enter().unwrap(), &[(1, 0), (0, 1)]);
    is_right(&vault);
    check_finds(&vault, "1 tiles of pruned entries are missing");
    drop_tiles(&vault.0.gate.enter().unwrap(), &[(1, 0), (0, 0), (0, 2), (0, 3)]);
    vault.abandon();
    drop(vault);
    let vault = house.open();
    is_right(&vault);
    let session = house.session_of(&vault, "a.lund");
    assert!(session.audit().unwrap().prove(800, &old).is_ok());
    let lost = session.audit().unwrap().prove(5, &old);
    assert!(matches!(lost, Err(Error::LogProof(LogProofError::Pruned { seq: 0, first: 768 }))), "{lost:?}");
    assert!(session.audit().unwrap().verify(Scope::All).run().is_ok());
}

#[test]
fn a_salvaged_vault_begins_where_the_other_did() {
    let (house, vault) = House::with(900);
    let said = house.prune(&vault, 0, 512);
    vault.close().unwrap();
    drop(vault);
    let into = tempfile::tempdir().unwrap();
    let to = into.path().join("salvaged");
    let report = Vault::open(house.dir.path()).unwrap().salvage(&house.key, &to).unwrap();
    assert!(report.is_whole(), "{report}");
    let vault = Vault::open_with(&to, house.options()).unwrap().unlock(&house.key).unwrap();
    let session = house.session_of(&vault, "a.lund");
    let report = session.audit().unwrap().verify(Scope::All).report().unwrap();
    assert!(report.integrity.is_sound() && report.pruned == Some(said), "{report}");
    let report = vault.check(CheckScope::All, &mut |_| ()).unwrap();
    assert!(report.is_sound(), "{report}");
}

#[test]
fn who_only_looks_at_a_pruned_vault_sees_the_same() {
    let (house, vault) = House::with(600);
    house.prune(&vault, 0, 512);
    let root = vault.log_checkpoint().unwrap();
    vault.close().unwrap();
    drop(vault);
    let copy = tempfile::tempdir().unwrap();
    let locked = Vault::open_with(house.dir.path(), house.options()).unwrap();
    let evidence = locked.examine(&house.key, copy.path().join("copy")).unwrap();
    assert_eq!(evidence.verify(Scope::All).unwrap().first, 512);
    assert!(evidence.has(&root).unwrap());
    let below = evidence.entry_bytes(511, 1);
    assert!(matches!(below, Err(Error::Storage(StorageError::Pruned { first: 512 }))), "{below:?}");
}
