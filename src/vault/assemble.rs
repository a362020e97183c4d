//! What an unlocked vault is put together from.

use std::sync::{Arc, Mutex, OnceLock};

use crate::audit::{AuditFault, Chain, EntryRef, FaultKind, Head, TileSeal};
use crate::clock::Clock;
use crate::committer::{Committer, LogTree, Stripes};
use crate::consent::ConsentHook;
use crate::crypto::aead::Suite;
use crate::crypto::kdf;
use crate::crypto::passphrase::PassphraseCost;
use crate::error::Error;
use crate::ids::VaultId;
use crate::keyring::Keyring;
use crate::monitor::CareHook;
use crate::policy::Policy;
use crate::record::Types;
use crate::storage::{Storage, StorageKeys};
use crate::unlocked::{
    AtOnce, Bodies, Challenges, Decoys, DirLock, HeldHeader, InForce, Latest, Numbers, OpenedIndex, Registered,
    SignIns, Unlocked,
};

/// The newest entry of a log that was opened: every vault has its genesis entry at least.
pub(super) fn newest(storage: &dyn Storage, vault: VaultId) -> Result<Head, Error> {
    let seq = storage.head().entries.saturating_sub(1);
    let fault = |what| AuditFault { seq, what };
    let last = storage.last_entry().ok_or_else(|| fault(FaultKind::TruncatedTail { last: seq }))?;
    let entry = EntryRef::parse(&last).map_err(|defect| fault(FaultKind::Malformed(defect)))?;
    if entry.front.vault != vault {
        return Err(fault(FaultKind::WrongVault { found: entry.front.vault }).into());
    }
    if entry.front.seq != seq {
        return Err(fault(FaultKind::Reordered { found: entry.front.seq }).into());
    }
    Ok(Head::of(&entry))
}

/// The parts.
pub(super) struct Parts {
    pub(super) vault: VaultId,
    pub(super) suite: Suite,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) keyring: Keyring,
    pub(super) header: HeldHeader,
    pub(super) lock: DirLock,
    pub(super) chain: Chain,
    /// Bytes of opened records to keep.
    pub(super) record_cache: u64,
    pub(super) consent: ConsentHook,
    pub(super) anchors: Registered,
    pub(super) care: CareHook,
    pub(super) password_cost: PassphraseCost,
}

pub(super) fn assemble(parts: Parts, storage: Arc<dyn Storage>) -> Result<Unlocked, Error> {
    let Parts {
        vault,
        suite,
        clock,
        keyring,
        header,
        lock,
        chain,
        record_cache,
        consent,
        anchors,
        care,
        password_cost,
    } = parts;
    // The epoch of the newest entry is the one in force; a newer key waits for the entry that begins its epoch.
    let keyring = match chain.head() {
        None => keyring,
        Some(Head { seq, epoch, key_id, .. }) => {
            let no_key = || AuditFault { seq, what: FaultKind::NoKey { epoch, key_id } };
            keyring.auditing_under(epoch).ok_or_else(no_key)?
        }
    };
    let keys = Arc::clone(keyring.audit());
    let committer = Committer::new(storage, suite, Arc::clone(&clock), header.generation, chain, keys);
    if chain.head().is_none() {
        let seal = Arc::new(TileSeal::new(kdf::log_tile_mac(keyring.state_key())));
        committer.plant(LogTree { edge: Arc::default(), seal });
    }
    let (stripes, policy, types) = (Stripes::new(), Policy::default(), Mutex::new(Types::default()));
    let (holders, latest, choosing, challenges) =
        (Mutex::default(), Latest::new(), Mutex::default(), Challenges::default());
    Ok(Unlocked {
        vault,
        clock,
        latest,
        in_force: InForce::new(keyring),
        committer,
        stripes,
        policy,
        consent,
        care,
        watching: Mutex::default(),
        challenges,
        decoys: Decoys::default(),
        numbers: Numbers::default(),
        bodies: Bodies::new(record_cache),
        index: OpenedIndex::default(),
        types,
        signing: OnceLock::new(),
        anchors,
        header: Mutex::new(header),
        changing: Mutex::default(),
        rotating: Mutex::default(),
        compacting: Mutex::default(),
        #[cfg(feature = "backup")]
        packing: Mutex::default(),
        #[cfg(feature = "backup")]
        backing_up: Mutex::default(),
        counting: Mutex::default(),
        at_once: AtOnce::default(),
        sign_ins: SignIns::new(password_cost),
        choosing,
        holders,
        lock,
    })
}

pub(super) fn storage_keys(keyring: &Keyring) -> StorageKeys {
    StorageKeys { journal: keyring.journal_key().duplicate(), state: keyring.state_key().duplicate() }
}
