//! The Merkle tree over the log: that of RFC 6962 whatever happens to the vault, and proofs that hold for an outsider.

use chartvault_verify::merkle::{self, Hash, TileId, verify_consistency, verify_inclusion};
use data_encoding::{BASE64, HEXLOWER};

use super::*;
use crate::audit::tile_key;
use crate::storage::Bytes;
use crate::unlocked::Unlocked;
use crate::{AuditFilter, Checkpoint, LogProofError, Scope, Session};

struct House {
    dir: tempfile::TempDir,
    key: RawKey,
    issuer: IssuerKey,
}

impl House {
    fn new() -> (Self, Vault) {
        let (key, issuer) = (RawKey::generate().unwrap(), IssuerKey::generate().unwrap());
        let house = Self { dir: tempfile::tempdir().unwrap(), key, issuer };
        let (vault, _) = Vault::create(house.dir.path()).raw_key(&house.key).options(house.options()).finish().unwrap();
        vault.trust_issuer(house.issuer.public(), &house.key).unwrap();
        (house, vault)
    }

    fn options(&self) -> Options {
        Options::new().scrub_rate(0).segment_bytes(64 << 10, 256 << 10).cache_bytes(8 << 20)
    }

    fn open(&self) -> Vault {
        Vault::open_with(self.dir.path(), self.options()).unwrap().unlock(&self.key).unwrap()
    }

    fn session(&self, vault: &Vault) -> Session {
        let grant = Grant::to("dr.osei").all_patients().all_kinds().actions(Action::ALL.iter().copied());
        let grant = grant.purpose(Purpose::Treatment).valid_for(std::time::Duration::from_secs(3_600));
        vault.session(grant.sign(&self.issuer, vault.id()).unwrap(), Purpose::Treatment).unwrap()
    }
}

fn log(vault: &Vault, n: usize) {
    let unlocked = vault.0.gate.enter().unwrap();
    for at in (0..n).step_by(100) {
        let drafts = (at..n.min(at + 100)).map(|_| Draft::new(AuditEvent::AuditQueried, Outcome::Allowed)).collect();
        unlocked.commit(Vec::new(), drafts).unwrap();
    }
}

fn leaves(unlocked: &Unlocked) -> Vec<Hash> {
    let entries = unlocked.committer.storage().entries(0, usize::MAX).unwrap();
    entries.iter().map(|(_, bytes)| merkle::leaf_hash(bytes)).collect()
}

/// By the definition.
fn naive(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => merkle::empty_root(),
        [one] => *one,
        several => {
            let (left, right) = several.split_at(several.len().next_power_of_two() / 2);
            merkle::node_hash(&naive(left), &naive(right))
        }
    }
}

fn checkpoint(vault: &Vault, size: u64, root: Hash) -> Checkpoint {
    let origin = format!("chartvault.local/{}", HEXLOWER.encode(vault.id().as_bytes()));
    format!("{origin}\n{size}\n{}\n\n\u{2014} a AAAAAAAA\n", BASE64.encode(&root)).parse().unwrap()
}

fn at(vault: &Vault, size: u64) -> Checkpoint {
    let root = naive(&leaves(&vault.0.gate.enter().unwrap())[..size as usize]);
    checkpoint(vault, size, root)
}

/// The tree is that of the entries, at its newest size and at others.
fn is_right(vault: &Vault) {
    let unlocked = vault.0.gate.enter().unwrap();
    let leaves = leaves(&unlocked);
    assert_eq!(unlocked.log_tree().unwrap(), (leaves.len() as u64, naive(&leaves)));
    for size in (0..=leaves.len()).filter(|size| size % 61 == 0 || size % 256 < 2 || leaves.len() - size < 3) {
        assert_eq!(unlocked.log_root(size as u64).unwrap(), naive(&leaves[..size]), "{size}");
    }
}

fn tile(level: u8, index: u64) -> Vec<u8> {
    tile_key(TileId { level, index })
}

fn stored(unlocked: &Unlocked, level: u8, index: u64) -> Option<Bytes> {
    unlocked.committer.settle();
    unlocked.committer.get(Tree::Log, &tile(level, index)).unwrap()
}

fn put(unlocked: &Unlocked, level: u8, index: u64, value: Option<Bytes>) {
    let old = stored(unlocked, level, index);
    let row = Row { tree: Tree::Log, key: tile(level, index).into(), value, replaces: old };
    unlocked.committer.commit(vec![row], Vec::new()).unwrap();
    unlocked.committer.settle();
}

#[test]
fn the_root_is_that_of_the_definition_over_reopenings_crashes_compactions_and_many_writers() {
    let (house, mut vault) = House::new();
    is_right(&vault);
    for (round, more) in [3, 250, 10, 256, 511, 40].into_iter().enumerate() {
        std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(|| log(&vault, more / 4)))));
        is_right(&vault);
        match round % 3 {
            0 => vault.close().unwrap(),
            1 => drop(vault.compact().unwrap()),
            _ => {}
        }
        // Without a close, as if the process had died.
        drop(vault);
        vault = house.open();
        is_right(&vault);
    }
    let unlocked = vault.0.gate.enter().unwrap();
    assert!(stored(&unlocked, 0, 3).is_some_and(|tile| tile.len() == 256 * 32 + 16));
    assert_eq!(stored(&unlocked, 0, leaves(&unlocked).len() as u64 / 256), None);
    drop(unlocked);
    let report = vault.check(CheckScope::All, &mut |_| ()).unwrap();
    assert!(report.is_sound() && report.total() == 0, "{report}");
}

#[test]
fn every_proof_holds_for_somebody_without_the_vault() {
    let (house, vault) = House::new();
    log(&vault, 300);
    let session = house.session(&vault);
    let leaves = leaves(&vault.0.gate.enter().unwrap());
    for size in [1, 2, 3, 100, 255, 256, 257, 300] {
        let under = at(&vault, size);
        for seq in (0..size).filter(|seq| seq % 37 == 0 || seq + 1 == size) {
            let proof = session.audit().unwrap().prove(seq, &under).unwrap();
            assert_eq!(proof.leaf, leaves[seq as usize]);
            assert_eq!(verify_inclusion(&proof.leaf, seq, size, &proof.hashes, &under.root), Ok(()));
        }
        let newest = at(&vault, 301);
        let proof = session.audit().unwrap().prove_consistency(&under, &newest).unwrap();
        assert_eq!(verify_consistency((size, &under.root), (301, &newest.root), &proof.hashes), Ok(()));
    }
    let page = session.audit().unwrap().query(AuditFilter::new().event(AuditEvent::ProofGiven)).page().unwrap();
    assert!(page.entries.len() > 20 && page.entries.iter().all(|entry| entry.detail.is_some()));
}

#[test]
fn what_is_not_of_this_log_is_refused_by_name() {
    let (house, vault) = House::new();
    log(&vault, 20);
    let session = house.session(&vault);
    let view = || session.audit().unwrap();
    let (under, unlike) = (at(&vault, 20), checkpoint(&vault, 20, [7; 32]));
    let refused = view().prove(20, &under);
    assert!(matches!(refused, Err(Error::LogProof(LogProofError::NoSuchEntry { seq: 20, size: 20 }))), "{refused:?}");
    let refused = view().prove(1, &checkpoint(&vault, 10_000, [7; 32]));
    assert!(matches!(refused, Err(Error::LogProof(LogProofError::Ahead { size: 10_000, .. }))), "{refused:?}");
    let refused = view().prove(1, &unlike);
    assert!(matches!(refused, Err(Error::LogProof(LogProofError::OtherRoot { size: 20 }))), "{refused:?}");
    let other: Checkpoint = under.note.replace("chartvault.local/", "chartvault.local/0").parse().unwrap();
    let refused = view().prove(1, &other);
    assert!(matches!(refused, Err(Error::LogProof(LogProofError::OtherLog))), "{refused:?}");
    let refused = view().prove_consistency(&under, &at(&vault, 19));
    assert!(matches!(refused, Err(Error::LogProof(LogProofError::NotEarlier { old: 20, new: 19 }))), "{refused:?}");
    let refused = view().prove_consistency(&unlike, &at(&vault, 21));
    assert!(matches!(refused, Err(Error::LogProof(LogProofError::OtherRoot { size: 20 }))), "{refused:?}");
    let unlocked = vault.0.gate.enter().unwrap();
    let refused = unlocked.log_inclusion((3, &[7; 32]), 20, &under.root);
    assert!(matches!(refused, Err(Error::LogProof(LogProofError::Unproved { size: 20 }))), "{refused:?}");
}

#[test]
fn a_disclosed_entry_is_opened_by_its_key_and_no_other_is() {
    let (house, vault) = House::new();
    log(&vault, 10);
    let session = house.session(&vault);
    let under = at(&vault, 10);
    let disclosed = session.audit().unwrap().disclose(4, "asked by the court", &under).unwrap();
    assert!(disclosed.open(&disclosed.entry).is_some());
    let root = &disclosed.checkpoint.root;
    assert_eq!(disclosed.proof.leaf, merkle::leaf_hash(&disclosed.entry));
    assert_eq!(verify_inclusion(&disclosed.proof.leaf, 4, 10, &disclosed.proof.hashes, root), Ok(()));
    let all = vault.0.gate.enter().unwrap().committer.storage().entries(0, usize::MAX).unwrap();
    for (seq, entry) in &all {
        assert_eq!(disclosed.open(entry).is_some(), *seq == 4, "{seq}");
    }
    let refused = session.audit().unwrap().disclose(4, " ", &under);
    assert!(matches!(refused, Err(Error::InvalidText { what: "reason", .. })), "{refused:?}");
    let key = HEXLOWER.encode(disclosed.expose_key());
    assert!(!format!("{disclosed:?}").contains(&key));
    let told = AuditFilter::new().event(AuditEvent::EntryDisclosed);
    let page = session.audit().unwrap().query(told.outcome(Outcome::Allowed)).page().unwrap();
    assert_eq!(page.entries[0].detail.as_deref(), Some("entry 4: asked by the court"));
}

#[test]
fn tiles_that_were_lost_changed_or_forged_change_no_answer_and_are_mended() {
    let (house, vault) = House::new();
    log(&vault, 1_100);
    let genuine = {
        let unlocked = vault.0.gate.enter().unwrap();
        let genuine: Vec<_> = (0..3).map(|index| stored(&unlocked, 0, index).unwrap()).collect();
        let mut changed = genuine[1].to_vec();
        changed[100] ^= 1;
        put(&unlocked, 0, 0, None);
        put(&unlocked, 0, 1, Some(changed.into()));
        put(&unlocked, 0, 2, Some(genuine[0].clone()));
        let above = stored(&unlocked, 1, 0).unwrap();
        put(&unlocked, 1, 0, Some([&[9; 32][..], &above[32..]].concat().into()));
        genuine
    };
    is_right(&vault);
    let report = vault.check(CheckScope::Trees, &mut |_| ()).unwrap();
    let mended = |finding: &crate::Finding| finding.what == "3 tiles of the log's tree were wrong or missing";
    assert!(report.is_sound() && report.findings.iter().any(mended), "{report}");
    let unlocked = vault.0.gate.enter().unwrap();
    (0..3).for_each(|index| assert_eq!(stored(&unlocked, 0, index), Some(genuine[index as usize].clone())));
    drop(unlocked);
    // The tile above was not full, so that opening misses it and builds the tree anew.
    drop(vault);
    let vault = house.open();
    is_right(&vault);
    assert!(stored(&vault.0.gate.enter().unwrap(), 1, 0).is_some_and(|above| above[..32] != [9; 32]));
}

#[test]
fn a_vault_from_before_the_tiles_gets_them_when_it_is_opened() {
    let (house, vault) = House::new();
    log(&vault, 600);
    {
        let unlocked = vault.0.gate.enter().unwrap();
        [(0, 0), (0, 1), (1, 0)].into_iter().for_each(|(level, index)| put(&unlocked, level, index, None));
    }
    vault.close().unwrap();
    drop(vault);
    let mut told = Vec::new();
    let locked = Vault::open_with(house.dir.path(), house.options()).unwrap();
    let vault = locked.unlock_with(&house.key, &mut |step| told.push(step.task)).unwrap();
    assert!(told.contains(&crate::Task::BuildTree));
    is_right(&vault);
    let unlocked = vault.0.gate.enter().unwrap();
    assert!([(0, 0), (0, 1), (1, 0)].into_iter().all(|(level, index)| stored(&unlocked, level, index).is_some()));
}

#[test]
fn a_salvaged_vault_has_the_tree_of_the_entries_that_it_has() {
    let (house, vault) = House::new();
    log(&vault, 600);
    vault.close().unwrap();
    drop(vault);
    let into = tempfile::tempdir().unwrap();
    let to = into.path().join("salvaged");
    let report = Vault::open(house.dir.path()).unwrap().salvage(&house.key, &to).unwrap();
    assert!(report.is_whole(), "{report}");
    let vault = Vault::open_with(&to, house.options()).unwrap().unlock(&house.key).unwrap();
    is_right(&vault);
    assert!(stored(&vault.0.gate.enter().unwrap(), 0, 1).is_some());
}

#[test]
fn without_a_tree_the_vault_goes_on_and_proofs_say_what_to_do() {
    let (house, vault) = House::new();
    vault.0.gate.enter().unwrap().committer.uproot();
    log(&vault, 300);
    let session = house.session(&vault);
    let refused = session.audit().unwrap().prove(1, &at(&vault, 2));
    assert!(matches!(refused, Err(Error::LogProof(LogProofError::NoTree))), "{refused:?}");
    let report = vault.check(CheckScope::Trees, &mut |_| ()).unwrap();
    assert!(
        report.findings.iter().any(|finding| finding.what.contains("opening the vault again builds it")),
        "{report}"
    );
    vault.close().unwrap();
    drop((session, vault));
    is_right(&house.open());
}

#[test]
fn a_tree_that_is_not_that_of_the_entries_is_a_fault_of_integrity_whatever_the_scope() {
    let (house, vault) = House::new();
    log(&vault, 700);
    let session = house.session(&vault);
    let earlier = session.audit().unwrap().verify(Scope::All).run().unwrap();
    let unlocked = vault.0.gate.enter().unwrap();
    let right = unlocked.committer.log_tree().unwrap();
    let mut edge = merkle::Frontier::default();
    for (at, leaf) in leaves(&unlocked).iter().enumerate() {
        edge.push(if at == 300 { [7; 32] } else { *leaf }, &mut |_, _| ());
    }
    unlocked.committer.plant(crate::committer::LogTree { edge: Arc::new(edge), seal: right.seal });
    for scope in [Scope::Chain, Scope::All, Scope::Since(earlier)] {
        for threads in [1, 3] {
            let found = session.audit().unwrap().verify(scope).threads(threads).run();
            assert!(
                matches!(found, Err(Error::Audit(fault)) if fault.what == crate::FaultKind::OtherRoot),
                "{found:?}"
            );
        }
    }
    let report = session.audit().unwrap().verify(Scope::Chain).report().unwrap();
    assert!(report.integrity.is_unsound(), "{report}");
}
